# grid.py: what in_gdb.py and in_lldb.py share: rows and columns of numbers as text, as grid_text of nn/base/show.cpp prints them,
# and where the steps of a walkthrough begin.
import math
import re


def step_lines(source):
    """The numbers of the lines of a walkthrough that open a step: lesson.step("Who looks at whom?", ...)."""
    try:
        with open(source, encoding="utf-8") as file:
            return [number for number, line in enumerate(file, 1) if re.match(r"\s*lesson\.step\(", line)]
    except OSError:
        return []


def number(x):
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    return "%.4e" % x if abs(x) >= 1e7 else "%.4f" % x


def shown(count, most):
    if count <= most:
        return list(range(count))
    return list(range(most // 2)) + [None] + list(range(count - most // 2, count))


def grid(rows, cols, element, most=8, width=80):
    """element(i, j) gives one number; of more than `most` rows or columns the corners are shown, of fewer where a line is too wide."""
    text = grid_of(rows, cols, element, most)
    while most > 2 and len(text.split("\n", 1)[0]) > width:
        most -= 1
        text = grid_of(rows, cols, element, most)
    return text


def grid_of(rows, cols, element, most):
    down, across = shown(rows, most), shown(cols, most)
    cells = [["..." if i is None or j is None else number(element(i, j)) for j in across] for i in down]
    width = max([len(cell) for row in cells for cell in row if cell != "..."] + [3])
    lines = []
    for row in cells:
        lines.append(" " + "".join("  " + cell.rjust(3 if j is None else width) for cell, j in zip(row, across)))
    return "\n".join(lines)


def plausible(*sizes):
    """False for what memory holds before a constructor has run."""
    product = 1
    for size in sizes:
        if size < 0 or size > 1 << 30:
            return False
        product *= size
    return product <= 1 << 32


def matrix_text(rows, cols, element):
    if not plausible(rows, cols):
        return "(not constructed yet)"
    shape = "(%d, %d)" % (rows, cols)
    return shape if rows * cols == 0 else shape + "\n" + grid(rows, cols, element)


def image_text(height, width, channels, element):
    """element(y, x, c)"""
    if not plausible(height, width, channels):
        return "(not constructed yet)"
    words = "%d x %d x %d" % (height, width, channels)
    if height * width == 0:
        return words
    for c in range(min(channels, 4)):
        words += "\nchannel %d\n%s" % (c, grid(height, width, lambda y, x: element(y, x, c)))
    return words
