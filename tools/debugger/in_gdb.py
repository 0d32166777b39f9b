# in_gdb.py: gdb prints a Matrix as a grid, a Var with its operation, an Image by channels; `step` stays inside the project.
#
#   print q          shape and numbers           call show(q)    the same from inside the program
#   heat q           a heat map                  stats q         smallest, largest, mean
#   n                next, but not to and fro between a list of words and the closing brace
#   lesson FILE      stop where the steps of the walkthrough FILE begin, or in main when it has none
import linecache
import os
import sys

import gdb
import gdb.FrameDecorator

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grid  # noqa: E402

for command in [
    "set pagination off",
    "set confirm off",
    "set print frame-arguments scalars",
    "set print object off",
    "set print pretty on",  # a member of a struct on a line of its own
    "set print elements 60",
    "set breakpoint pending off",
    "set disable-randomization on",
]:
    gdb.execute(command, to_string=True)
try:
    gdb.execute("set debuginfod enabled off", to_string=True)
except gdb.error:
    pass  # an older gdb does not ask the network


def only_shapes():
    """Whether a value is printed as an argument of a frame, where its numbers would fill the screen (gdb 13 and newer tell)."""
    return hasattr(gdb, "print_options") and gdb.print_options().get("summary", False)


class MatrixPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        try:
            rows, cols = int(self.value["rows"]), int(self.value["cols"])
            if only_shapes():
                return "(%d, %d)" % (rows, cols)
            values = self.value["values"]
            return grid.matrix_text(rows, cols, lambda i, j: float(values[i * cols + j]))
        except gdb.error:  # no memory yet, or optimised out
            return "(not constructed yet)"


class ImagePrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        try:
            height, width, channels = (int(self.value[name]) for name in ("height", "width", "channels"))
            if only_shapes():
                return "%d x %d x %d" % (height, width, channels)
            first = self.value["pixels"]["_M_impl"]["_M_start"]
            return grid.image_text(height, width, channels, lambda y, x, c: float(first[(y * width + x) * channels + c]))
        except gdb.error:  # no memory yet, or optimised out
            return "(not constructed yet)"


class VarPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        try:
            record = self.value["record"]
            if int(record) == 0:
                return "no value"
            record = record.dereference()
            words = record["operation"].string() + " " + MatrixPrinter(record["value"]).to_string()
            gradient = record["gradient"]
            if int(gradient["rows"]) > 0 and not only_shapes():
                words += "\ngradient " + MatrixPrinter(gradient).to_string()
            return words
        except gdb.error:  # no memory yet, or optimised out
            return "(not constructed yet)"


class SlicePrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        try:
            rows, cols, row_step = (int(self.value[name]) for name in ("rows", "cols", "row_step"))
            col_step = int(self.value["col_step"]) if self.value.type.fields()[-1].name == "col_step" else 1
            first = self.value["first"]
            if only_shapes():
                return "(%d, %d)" % (rows, cols)
            return grid.matrix_text(rows, cols, lambda i, j: float(first[i * row_step + j * col_step]))
        except gdb.error:  # no memory yet, or optimised out
            return "(not constructed yet)"


class NotYetPrinter:
    """A container of the standard library before its constructor has run, whose memory holds anything."""

    def __init__(self, _):
        pass

    def to_string(self):
        return "(not constructed yet)"


def vector_is_constructed(value):
    inside = value["_M_impl"]
    first, last, end = (int(inside[name]) for name in ("_M_start", "_M_finish", "_M_end_of_storage"))
    size = max(1, value.type.template_argument(0).sizeof)
    if first == 0:
        return last == 0 and end == 0
    return first <= last <= end and (last - first) % size == (end - first) % size == 0 and readable(first, end - first)


def string_is_constructed(value):
    first, length = int(value["_M_dataplus"]["_M_p"]), int(value["_M_string_length"])
    return 0 <= length and readable(first, length + 1)


def hash_table_is_constructed(value):
    table = value["_M_h"]
    buckets, count = int(table["_M_bucket_count"]), int(table["_M_element_count"])
    return 0 < buckets < 1 << 27 and 0 <= count < 1 << 30 and readable(int(table["_M_buckets"]), 8 * buckets)


def tree_is_constructed(value):
    tree = value["_M_t"]["_M_impl"]
    root, count = int(tree["_M_header"]["_M_parent"]), int(tree["_M_node_count"])
    return 0 <= count < 1 << 30 and (root == 0) == (count == 0) and (root == 0 or readable(root, 32))


def readable(first, length):
    """Whether memory of this length can be read: its first and last byte, and at most one gigabyte."""
    if length > 1 << 30:
        return False
    try:
        for address in (first, first + max(0, length - 1)):
            gdb.selected_inferior().read_memory(address, 1)
    except gdb.error:  # MemoryError is one
        return False
    return True


CONSTRUCTED = {
    "std::vector<": vector_is_constructed,
    "std::__cxx11::basic_string<": string_is_constructed,
    "std::unordered_map<": hash_table_is_constructed,
    "std::unordered_set<": hash_table_is_constructed,
    "std::map<": tree_is_constructed,
    "std::set<": tree_is_constructed,
}


def not_yet(value, name):
    """The printer of a container that is not constructed yet; None for the usual printer."""
    for beginning, is_constructed in CONSTRUCTED.items():
        if name.startswith(beginning) and name.endswith(">") and not name.startswith("std::vector<bool"):
            try:
                return None if is_constructed(value) else NotYetPrinter(value)
            except gdb.MemoryError:  # a reference that is not bound yet
                return NotYetPrinter(value)
            except gdb.error:  # another library's container
                return None
    return None


PRINTERS = {"Matrix": MatrixPrinter, "Image": ImagePrinter, "Var": VarPrinter, "Slice": SlicePrinter, "OutSlice": SlicePrinter}


def printer_for(value):
    kind = value.type
    if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        value = value.referenced_value()
        kind = value.type
    printer = PRINTERS.get(kind.unqualified().strip_typedefs().name)
    return printer(value) if printer else None


def not_yet_constructed(value):
    if value.type.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        value = value.referenced_value()
    return not_yet(value, value.type.unqualified().strip_typedefs().name or "")


def put_first(_):
    """Those of the library that a program is linked with would come first."""
    for objfile in gdb.objfiles():
        if objfile.pretty_printers[:1] != [not_yet_constructed]:
            objfile.pretty_printers.insert(0, not_yet_constructed)


gdb.pretty_printers.insert(0, printer_for)
gdb.events.new_objfile.connect(put_first)
gdb.events.stop.connect(put_first)


class Call(gdb.Command):
    """heat EXPRESSION, stats EXPRESSION: calls the function of that name, which is linked into every program."""

    def __init__(self, name):
        self.function = name
        super().__init__(name, gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        gdb.execute("call %s(%s)" % (self.function, argument))


Call("heat")
Call("stats")


class Forward(gdb.Command):
    """n, n COUNT: next, without the stops at the end of a list. g++ attributes what happens at the end of a list such as
    rows{{"token", "p"}} to the closing brace of the function, and next stops there and here for each of its elements."""

    def __init__(self):
        self.event = None
        gdb.events.stop.connect(self.keep)
        super().__init__("n", gdb.COMMAND_RUNNING)

    def keep(self, event):
        self.event = event

    def invoke(self, argument, from_tty):
        for _ in range(int(argument or 1)):
            if not self.forward():
                return

    def forward(self):
        """Whether the program stopped behind the line, not for a breakpoint or a signal, and not because it has ended."""
        if gdb.selected_inferior().pid == 0:
            raise gdb.GdbError("The program is not being run.")
        frame, behind = gdb.newest_frame(), False
        line = frame.find_sal().line
        while not behind:
            quietly("next")
            if gdb.selected_inferior().pid == 0:
                return False
            there = gdb.newest_frame()
            sal = there.find_sal()
            if isinstance(self.event, (gdb.BreakpointEvent, gdb.SignalEvent)):
                break
            behind = there != frame or (sal.line != line and not closes_function(sal))
        if there == frame and behind:
            print("%d\t%s" % (sal.line, source_line(sal)))
        else:
            gdb.execute("frame")
        return behind


def quietly(command):
    """Without telling where the program stops; a gdb before 13 tells it all the same."""
    try:
        gdb.execute("set suppress-cli-notifications on", to_string=True)
    except gdb.error:
        pass
    try:
        gdb.execute(command, to_string=True)
    finally:
        try:
            gdb.execute("set suppress-cli-notifications off", to_string=True)
        except gdb.error:
            pass


def source_line(sal):
    return linecache.getline(sal.symtab.fullname(), sal.line).rstrip("\n") if sal.symtab else ""


def closes_function(sal):
    return source_line(sal).startswith("}")


Forward()


class Lesson(gdb.Command):
    """lesson FILE: stop where the steps of the walkthrough FILE begin, or in main when it has none."""

    def __init__(self):
        super().__init__("lesson", gdb.COMMAND_BREAKPOINTS)

    def invoke(self, source, from_tty):
        steps = grid.step_lines(source)
        for line in steps:
            gdb.execute("break %s:%d" % (source, line), to_string=True)
        if not steps:
            gdb.execute("tbreak main", to_string=True)
        where = "at each of its %d steps" % len(steps) if steps else "in main"
        print("%s stops %s.  continue: on to the next   n, step: one line   print x, heat x, stats x: look at x" % (source, where))


Lesson()

def without_parameters(name):
    depth = 0  # of template arguments, which may hold parentheses of their own
    for k, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0 and not name[:k].endswith("operator") and not name.startswith("(anonymous", k):
            return name[:k]
    return name


class Short(gdb.FrameDecorator.FrameDecorator):
    """A frame without its address and without the types of its parameters, whose values follow anyway."""

    def function(self):
        name = self.inferior_frame().name()
        return without_parameters(name).replace("[abi:cxx11]", "") if name else super().function()

    def address(self):
        return None


class Ours:
    """backtrace without the frames of the standard library, through which a function object is called."""

    name, priority, enabled = "ours", 100, True

    def filter(self, frames):
        return (Short(frame) for frame in frames if not (frame.inferior_frame().name() or "").startswith("std::"))


gdb.frame_filters[Ours.name] = Ours()

# step goes over the standard library, also where it is called through a template, over what our own types and plans need
# (constructors, element access, checks, slices), and over the printing of a walkthrough: it lands where something is computed.
SCOPES = (
    "std __gnu_cxx doctest Matrix Image Var Record Segments Slice OutSlice MayAttend Plan "
    "Series Captioned LessonAnswer DecayChoice ShowProgress NoTape KeepSteps"
).split()
FUNCTIONS = (
    "operator.new operator.delete borrow_floats return_floats shape text same_shape require existing record_operation "
    "hook_lives steps_are_kept make_plan worth_sharing query_part key_part part whole transposed overlap divided_up"
).split()
# The full name of a function begins with its own name, or with the type that a template returns: "void require<int>(bool)". One that
# returns a std::string is called shape[abi:cxx11](Image const&).
for pattern in ["%s::" % scope for scope in SCOPES] + ["%s([[]abi:cxx11])?([(<]|$)" % name for name in FUNCTIONS]:
    gdb.execute("skip -rfunction '^([a-z]* |.anonymous namespace.::)*%s'" % pattern, to_string=True)
# Sizes and the like of any struct, its constructor without arguments, its copies, and its destructor.
COPIES = r"(^|::)([A-Za-z_0-9]+)::\\2[(]([)]|.*\\2 const&[)]|.*\\2&&[)])"
ACCESSORS = "size|count|rows|cols|down|across|longest|symbols|english|own|own_rankings|same_as|is_token|first_[a-z]*"
# What only refuses a wrong argument, or writes a number into the message; in any namespace.
CHECKS = "check|check_[a-z_]*|require_[a-z_]*|short_digits|fixed_digits|scientific_digits|fixed|percent"
for pattern in ["::(%s)[(]" % ACCESSORS, "::~", "::operator=[(]", COPIES, "(^|::)(%s)([[]abi:cxx11])?[(]" % CHECKS]:
    gdb.execute("skip -rfunction '%s'" % pattern, to_string=True)
gdb.execute("skip -gfile *.c", to_string=True)  # of the C library, where its sources are known; the project has none
TYPES = ["nn/base/matrix.h", "nn/base/require.h", "nn/base/require.cpp", "nn/autograd/variable.h", "nn/data/image.h"]
PRINTING = ["walkthroughs/lesson/lesson.h", "walkthroughs/lesson/lesson.cpp", "walkthroughs/lesson/pictures.cpp"]
for file in TYPES + PRINTING:
    gdb.execute("skip -file %s" % file, to_string=True)
