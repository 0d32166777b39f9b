# thirty_steps.py: what tests/tools/debugger_test.cpp lets gdb do after tools/debugger/in_gdb.py: thirty times `step`, and where each one ended.
import gdb

gdb.execute("run", to_string=True)
for _ in range(30):
    gdb.execute("step", to_string=True)
    place = gdb.selected_frame().find_sal()
    print("stepped to %s:%d" % (place.symtab.fullname() if place.symtab else "nowhere", place.line))
