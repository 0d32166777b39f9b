#!/usr/bin/env python3
"""Writes nn/data/unicode_tables.inc from the Unicode tables that Python carries.

    python3 tools/unicode_tables.py > nn/data/unicode_tables.inc

Run it only to move to another version of Unicode; the program itself needs no Python. The committed tables were made by
Python 3.11 (Unicode 14.0.0), the version with which the fixtures of both tokenizers were computed.

The rule of each table, for all code points c from 0 to 10FFFF:
    classes         runs of equal class; the class comes from category(c):  L* letter, N* number, P* punctuation,
                    Cc control, Cf format, Zs space, Mn mark, all others none (left out)
    sigma contexts  what str.lower() takes c for when it decides about a sigma beside it: ignorable when c is looked through
                    ("A" c sigma is final, c sigma is not), cased when c itself counts as a letter with case (c sigma is final)
    lower cases     c and its lower case, where that is another single character; runs whose members lie `step` apart and move
                    by the same distance are one row. The only lower case of two characters, that of U+0130, is in the code.
    combining       runs of equal canonical combining class, 0 left out
    widths          columns of a terminal: 2 for East_Asian_Width W and F; 0 for accents and what encloses (Mn Me), controls and
                    format characters (Cc Cf, but not the soft hyphen), and the jamo that join a syllable; 1 is left out
    decompositions  one step of canonical decomposition: c, first, second (0: there is none). Hangul is arithmetic, in the code.
"""
import sys
import unicodedata

CHARACTERS = [chr(c) for c in range(0x110000)]
CLASSES = {"Cc": "control", "Cf": "format", "Zs": "space", "Mn": "mark"}
CLASSES_BY_LETTER = {"L": "letter", "N": "number", "P": "punctuation"}


def class_of(character):
    category = unicodedata.category(character)
    return CLASSES.get(category) or CLASSES_BY_LETTER.get(category[0])


def sigma_context_of(character):
    final = "\u03c2"
    counts_as_letter = (character + "\u03a3").lower()[-1] == final
    if counts_as_letter:
        return "cased"
    is_looked_through = ("A" + character + "\u03a3").lower()[-1] == final
    return "ignorable" if is_looked_through else None


def width_of(character):
    category = unicodedata.category(character)
    joins_a_syllable = "\u1160" <= character <= "\u11ff"
    if joins_a_syllable or category in ("Mn", "Me", "Cc") or (category == "Cf" and character != "\u00ad"):
        return "0"
    return "2" if unicodedata.east_asian_width(character) in ("W", "F") else None


def runs(value_of):
    """[first, last, value] of neighbours with the same value; those without one are left out."""
    result = []
    for c, character in enumerate(CHARACTERS):
        value = value_of(character)
        if value and result and result[-1][1] == c - 1 and result[-1][2] == value:
            result[-1][1] = c
        elif value:
            result.append([c, c, value])
    return result


def lower_case_runs():
    """[first, last, step, distance]"""
    result = []
    for c, character in enumerate(CHARACTERS):
        lower = character.lower()
        if lower == character or len(lower) > 1:
            continue
        distance = ord(lower) - c
        previous = result[-1] if result else None
        if previous and previous[3] == distance and c - previous[1] in ((previous[2],) if previous[2] else (1, 2)):
            previous[2] = c - previous[1]
            previous[1] = c
        else:
            result.append([c, c, 0, distance])
    return [[first, last, step or 1, distance] for first, last, step, distance in result]


def decompositions():
    result = []
    for c, character in enumerate(CHARACTERS):
        parts = unicodedata.decomposition(character)
        if parts and not parts.startswith("<"):
            numbers = [int(part, 16) for part in parts.split()]
            result.append([c, numbers[0], numbers[1] if len(numbers) > 1 else 0])
    return result


def write_table(type_name, name, rows):
    print(f"static constexpr {type_name} {name}[] = {{")
    line = "   "
    for row in rows:
        if len(line) + 1 + len(row) > 130:
            print(line)
            line = "   "
        line += " " + row
    print(line + "\n};\n")


def code(number):
    return f"0x{number:X}"


def main():
    version = unicodedata.unidata_version
    print(f"// unicode_tables.inc: made by tools/unicode_tables.py from Unicode {version}; the rules stand there.\n")
    write_table("ClassRun", "class_runs", [f"{{{code(a)}, {code(b)}, {value}}}," for a, b, value in runs(class_of)])
    write_table("SigmaRun", "sigma_runs", [f"{{{code(a)}, {code(b)}, {value}}}," for a, b, value in runs(sigma_context_of)])
    write_table("LowerRun", "lower_runs", [f"{{{code(a)}, {code(b)}, {step}, {way}}}," for a, b, step, way in lower_case_runs()])
    write_table("CombiningRun", "combining_runs",
                [f"{{{code(a)}, {code(b)}, {value}}}," for a, b, value in runs(unicodedata.combining)])
    write_table("WidthRun", "width_runs", [f"{{{code(a)}, {code(b)}, {value}}}," for a, b, value in runs(width_of)])
    write_table("Decomposition", "decompositions",
                [f"{{{code(c)}, {code(first)}, {code(second)}}}," for c, first, second in decompositions()])


if __name__ == "__main__":
    sys.exit(main())
