# in_lldb.py: what in_gdb.py does for gdb, for lldb: summaries of Matrix, Var and Image, and the command lesson.
#
#   p q, v q                 shape and numbers
#   p show(q)   p heat(q)    functions of the program itself        p stats(q)
#   lesson FILE              stop where the steps of the walkthrough FILE begin, or in main when it has none
import os
import sys

import lldb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grid  # noqa: E402

# step goes over the standard library and over the small change of our own types, as in in_gdb.py.
SKIPPED = (
    "^(std|__gnu_cxx|doctest|Matrix|Image|Var|Record|Segments|Slice|OutSlice|MayAttend|Plan|Part|Lesson)::"
    "|(^|::)(Series|Captioned|LessonAnswer|DecayChoice|ShowProgress|NoTape|KeepSteps)::"
    "|::(size|count|rows|cols|down|across|longest|symbols|english|own|own_rankings|same_as|is_token|first_[a-z]*)[(]|::~|::operator=[(]"
    "|(^|::)(check|check_[a-z_]*|require_[a-z_]*|short_digits|fixed_digits|scientific_digits|fixed|percent)([[]abi:cxx11])?[(]"
    "|(^| )(borrow_floats|return_floats|shape|text|same_shape|require|existing|record_operation|hook_lives|steps_are_kept)([[]abi:cxx11])?[(<]"
    "|(^| )(make_plan|worth_sharing|query_part|key_part|part|whole|transposed|overlap|divided_up)[(<]"
)


def integer(value, name):
    return value.GetChildMemberWithName(name).GetValueAsSigned()


def floats(address, count, process):
    """The numbers at an address, read at once."""
    import struct

    error = lldb.SBError()
    content = process.ReadMemory(address, 4 * count, error) if count else b""
    return struct.unpack("%df" % count, content) if error.Success() else None


def matrix_summary(value, _):
    value = value.GetNonSyntheticValue()
    rows, cols = integer(value, "rows"), integer(value, "cols")
    if not grid.plausible(rows, cols):
        return "(not constructed yet)"
    address = value.GetChildMemberWithName("values").GetValueAsUnsigned()
    numbers = floats(address, rows * cols, value.GetProcess())
    if numbers is None:
        return "(not constructed yet)"
    return grid.matrix_text(rows, cols, lambda i, j: numbers[i * cols + j])


def slice_summary(value, _):
    rows, cols, row_step = (integer(value, name) for name in ("rows", "cols", "row_step"))
    col_step = integer(value, "col_step") if value.GetChildMemberWithName("col_step").IsValid() else 1
    if not grid.plausible(rows, cols):
        return "(not constructed yet)"
    address = value.GetChildMemberWithName("first").GetValueAsUnsigned()
    numbers = floats(address, (rows - 1) * row_step + (cols - 1) * col_step + 1 if rows * cols else 0, value.GetProcess())
    if numbers is None:
        return "(not constructed yet)"
    return grid.matrix_text(rows, cols, lambda i, j: numbers[i * row_step + j * col_step])


def image_summary(value, _):
    height, width, channels = (integer(value, name) for name in ("height", "width", "channels"))
    if not grid.plausible(height, width, channels):
        return "(not constructed yet)"
    pixels = value.GetChildMemberWithName("pixels")
    count = height * width * channels
    first = pixels.GetChildAtIndex(0)  # of the vector as lldb shows it
    numbers = floats(first.GetLoadAddress(), count, value.GetProcess()) if count else ()
    if numbers is None:
        return "(not constructed yet)"
    return grid.image_text(height, width, channels, lambda y, x, c: numbers[(y * width + x) * channels + c])


def var_summary(value, _):
    pointer = value.GetNonSyntheticValue().GetChildMemberWithName("record")
    if pointer.GetValueAsUnsigned() == 0:
        return "no value"
    record = pointer.Dereference()
    operation = (record.GetChildMemberWithName("operation").GetSummary() or "").strip('"')
    words = operation + " " + matrix_summary(record.GetChildMemberWithName("value"), None)
    gradient = record.GetChildMemberWithName("gradient")
    if integer(gradient, "rows") > 0:
        words += "\ngradient " + matrix_summary(gradient, None)
    return words


def lesson(debugger, source, result, _):
    target = debugger.GetSelectedTarget()
    steps = grid.step_lines(source)
    for line in steps:
        target.BreakpointCreateByLocation(lldb.SBFileSpec(os.path.basename(source)), line)
    if not steps:
        target.BreakpointCreateByName("main")
    where = "at each of its %d steps" % len(steps) if steps else "in main"
    print("%s stops %s.  continue: on to the next   next, step: one line   v x, p heat(x), p stats(x): look at x" % (source, where))


def __lldb_init_module(debugger, _):
    for kind, summary in (("Matrix", "matrix"), ("Image", "image"), ("Var", "var"), ("Slice", "slice"), ("OutSlice", "slice")):
        debugger.HandleCommand("type summary add -F %s.%s_summary %s" % (__name__, summary, kind))
    debugger.HandleCommand("command script add -f %s.lesson lesson" % __name__)
    debugger.HandleCommand("settings set target.process.thread.step-avoid-regexp " + SKIPPED)
