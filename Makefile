# A new file needs no line here: the system folders, walkthroughs/lesson, page and toys are the library, every other
# walkthroughs/**/X.cpp is a program, every tests/**/X_test.cpp is part of the one test program. `make help` prints the lines
# that begin with ##. course/rules.mk and tools/rules.mk hold the rules of the course, and of pages, bench and formatting.

BUILD ?= release
ARGS ?=
DEBUGGER ?= gdb
# Set for some files only; without a value here, the environment could set them for the others.
OPT :=
MORE :=
HEADERS :=
STANDARD :=
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all test fuzz mistakes course course-build run pages bench format check-format refresh-readme check-readme clean help
# ---- Where things go: each kind of build and each compiler has a folder of its own ----
override BUILD := $(strip $(BUILD))
ifeq ($(filter $(BUILD),release debug asan),)
$(error BUILD=$(BUILD) is unknown; it may be release, debug or asan)
endif
ifeq ($(shell command -v $(firstword $(CXX)) 2>/dev/null),)
$(error CXX=$(CXX) is not a program; name a C++20 compiler: CXX=g++)
endif
compiler := $(if $(filter-out default,$(origin CXX)),$(patsubst %,-%,$(filter-out g++,$(notdir $(firstword $(CXX))))))
OUT := build/$(BUILD)$(compiler)
# ---- How things are compiled ----
# Those options of a list that this compiler knows.
known = $(foreach option,$(1),$(shell $(CXX) -Werror $(option) -E -x c++ /dev/null >/dev/null 2>&1 && echo $(option)))
# This processor's instructions, and its largest registers, of which g++ uses half: exp then takes 0.7 of the time.
ARCH := $(call known,-march=native -mprefer-vector-width=512)
# The user's CXXFLAGS and LDFLAGS come first, without the options under which a NaN may pass for a number.
FAST_MATH := -ffast-math -Ofast -funsafe-math-optimizations -ffinite-math-only -fassociative-math
# g++ 12 warns of an overlap inside std::string that cannot happen. No code here reads errno after a square root, or the flags
# that arithmetic sets.
OPTIONS := $(strip $(filter-out $(FAST_MATH),$(CXXFLAGS)) -std=c++20 -Wall -Wextra -Wpedantic $(call known,-Wno-restrict) $(ARCH) \
    -fno-math-errno -fno-trapping-math -pthread -I.)
LINKING = $(strip $(LDFLAGS) -pthread) $(filter -fsanitize=%,$(OPT_$(BUILD)))
# An index outside a vector, a string or a Matrix stops the program. NDEBUG: not in the loops below, where that costs a tenth.
CHECKED := -D_GLIBCXX_ASSERTIONS
OPT_release := -Og $(CHECKED)
OPT_debug := -O0 -g3 $(CHECKED)
OPT_asan := -O0 -g $(CHECKED) -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# Loops over many numbers, which the compiler turns into vector instructions at -O3. The other files take little of the time.
VECTORISED := $(filter-out %/show_variable.cpp %formula.cpp %/trace.cpp,$(wildcard nn/base/matmul.cpp nn/base/functions.cpp nn/base/matrix.cpp nn/layers/*.cpp \
    nn/autograd/*.cpp nn/training/loss.cpp nn/training/optimizer.cpp nn/text/decoding.cpp tools/bench/limits.cpp \
    tools/bench/loops.cpp))
# ---- What there is ----
find = $(sort $(if $(wildcard $(1)),$(shell find $(wildcard $(1)) -name '$(2)')))
LIBRARY_SOURCES := $(call find,nn bert gpt vit rlhf walkthroughs/lesson walkthroughs/page walkthroughs/toys,*.cpp)
WALK_SOURCES := $(filter-out $(LIBRARY_SOURCES),$(call find,walkthroughs,*.cpp))
TEST_SOURCES := $(filter-out tests/debugger/% tests/fuzz/%,$(call find,tests,*.cpp))
COURSE_SOURCES := $(filter-out course/run_%,$(call find,course,*.cpp))
COURSE_PROGRAMS = $(patsubst course/%.cpp,$(OUT)/%,$(wildcard course/run_*.cpp))
BENCH_SOURCES := $(wildcard tools/bench/*.cpp)
object = $(patsubst %.cpp,$(OUT)/objects/%.o,$(1))
LIBRARY := $(OUT)/library.a
WALKS := $(patsubst walkthroughs/%.cpp,$(OUT)/walk/%,$(WALK_SOURCES))
# Linked into every program, because a debugger calls them: show(x), heat(x), stats(x).
SHOW := $(filter %/show.o $(OUT)/objects/nn/autograd/show_%.o $(OUT)/objects/nn/data/show_%.o,$(call object,$(LIBRARY_SOURCES)))

$(OUT)/objects/%.o: OPT = $(OPT_$(BUILD))
ifeq ($(BUILD),release)
$(call object,$(WALK_SOURCES) $(TEST_SOURCES)): OPT = -O0 $(CHECKED)
$(call object,$(VECTORISED)): OPT = -O3 -DNDEBUG
# The usual standard headers are compiled once for each level of optimisation and put in front of every file.
STANDARD := $(patsubst %,$(OUT)/standard-%.h.gch,O0 Og O3)
.SECONDARY: $(STANDARD)
HEADERS = -include $(OUT)/standard$(firstword $(OPT)).h
$(call object,nn/base/matmul.cpp nn/base/random.cpp): HEADERS =
endif
# The matrix product is fast in every build and adds in the same order everywhere.
$(call object,nn/base/matmul.cpp): MORE = $(if $(filter-out release,$(BUILD)),-O3) $(call known,-fno-loop-unroll-and-jam)
# No fused multiply-add: the same seed gives the same numbers with every compiler.
$(call object,nn/base/random.cpp): MORE = -ffp-contract=off
$(call object,$(TEST_SOURCES)): MORE = $(DOCTEST) -DBUILT='"$(OUT)"' -DDEBUG_BUILT='"build/debug$(compiler)"'
# $(OUT)/flags holds the compiler, its options and the instructions of this processor, $(OUT)/files the list of sources. Both are
# written only when they change: after that everything is compiled, or linked, again.
remember = $(shell { mkdir -p $(OUT) && cd $(OUT) && echo '$(2)' > $(1).new && { cmp -s $(1).new $(1) && rm $(1).new || mv $(1).new $(1); }; } 2>/dev/null)
INSTRUCTIONS := $(shell $(CXX) $(ARCH) -dM -E -x c++ /dev/null | cksum; $(CXX) --version | head -n 1)
$(call remember,flags,$(CXX) $(OPTIONS) $(OPT_$(BUILD)) $(LINKING) $(INSTRUCTIONS))
$(call remember,files,$(LIBRARY_SOURCES) $(TEST_SOURCES) $(COURSE_SOURCES))
ifeq ($(filter help clean,$(MAKECMDGOALS))$(shell [ -s $(OUT)/files ] && echo written),)
$(error $(OUT) cannot be written; copy the project into a folder of your own, on a disk with room, and make it there)
endif
# ---- The library and the walkthroughs ----
## make                     build the library and every walkthrough
all: $(LIBRARY) $(WALKS)

$(OUT)/objects/%.o: %.cpp $(OUT)/flags $(STANDARD)
	@echo "compile $<"
	@mkdir -p $(@D) && $(CXX) $(OPTIONS) $(if $(WERROR),-Werror) $(OPT) $(MORE) $(HEADERS) -MMD -MP -c $< -o $@
$(STANDARD): $(OUT)/standard-%.h.gch: tools/standard.h $(OUT)/flags
	@echo "compile $< with -$*"
	@echo '#include "$<"' >$(@:.gch=) && $(CXX) $(OPTIONS) -$* $(if $(filter O3,$*),-DNDEBUG,$(CHECKED)) -x c++-header $(@:.gch=) -o $@

$(LIBRARY): $(call object,$(LIBRARY_SOURCES)) $(OUT)/files
	@echo "archive $@"
	@rm -f $@ && ar crs $@ $(filter %.o,$^)

$(WALKS): $(OUT)/walk/%: $(OUT)/objects/walkthroughs/%.o
$(WALKS) $(OUT)/tests/run $(COURSE_PROGRAMS) $(OUT)/bench $(OUT)/book: $(LIBRARY)
$(WALKS) $(OUT)/tests/run $(COURSE_PROGRAMS) $(OUT)/bench $(OUT)/book $(OUT)/debugger/lesson: $(SHOW)
	@echo "link    $@"
	@mkdir -p $(@D) && $(CXX) $(filter %.o,$^) $(filter %.a,$^) $(LINKING) -o $@
# ---- Tests ----
## make test                all tests; then build/tests/run takes options, for example --test-suite=mae
test: $(OUT)/tests/run $(if $(filter release,$(BUILD)),$(WALKS))  # the plain build also tests the programs
	@$(MAKE) --no-print-directory BUILD=debug build/debug$(compiler)/debugger/lesson
	@mkdir -p build/tests && $(if $(filter build/release,$(OUT)),ln -sf ../release/tests/run build/tests/run,true)
	@$(OUT)/tests/run $(ARGS)
$(COURSE_PROGRAMS): $(OUT)/%: $(OUT)/objects/course/%.o $(call object,$(COURSE_SOURCES))
$(OUT)/tests/run: $(call object,$(TEST_SOURCES) $(COURSE_SOURCES)) $(OUT)/files
# The program that the tests step through in gdb. It does not link the library, which would then be compiled a second time.
$(OUT)/debugger/lesson: $(call object,tests/debugger/lesson.cpp $(addprefix nn/,base/matrix.cpp base/require.cpp base/decimal.cpp \
    base/storage.cpp autograd/variable.cpp data/image.cpp data/file.cpp data/file_kind.cpp data/text.cpp image/inflate.cpp image/png.cpp))

# The option under which the compiler finds doctest's header.
DOCTEST = $$(cat build/doctest/option)
$(call object,$(TEST_SOURCES)): build/doctest/option
build/doctest/option:
	@mkdir -p $(@D) && tests/find_doctest.sh '$(CXX)' build/doctest > $@
# ---- Running ----
## make walk-NAME           run one walkthrough; its options go into ARGS="..."
## make debug-NAME          step through one walkthrough in gdb (DEBUGGER=lldb: in lldb)
program = $(patsubst walkthroughs/%.cpp,%,$(filter %/$(subst -,_,$*).cpp,$(WALK_SOURCES)))
find_program = $(if $(program),true,echo "$@: unknown walkthrough. Available: $(sort $(notdir $(WALKS)))" && exit 2)
walk-%:
	@$(find_program) && $(MAKE) --no-print-directory $(OUT)/walk/$(program)
	@$(OUT)/walk/$(program) $(ARGS)
debug-%:
	@$(find_program) && $(MAKE) --no-print-directory BUILD=debug build/debug$(compiler)/walk/$(program)
	@tools/debugger/start $(DEBUGGER) walkthroughs/$(program).cpp build/debug$(compiler)/walk/$(program) $(ARGS)

## make run                 the guided tour: the programs listed in walkthroughs/tour
run: $(addprefix $(OUT)/walk/,$(shell sed -e 's/\#.*//' $(wildcard walkthroughs/tour) /dev/null | awk 'NF > 1 { print $$2 }'))
	@walkthroughs/run_tour.sh walkthroughs/tour $(OUT)/walk

## make clean               remove build/
clean:
	rm -rf build
## BUILD=debug or asan      unoptimised, or checked for memory errors; CXX=clang++-16  WERROR=1
help:
	@sed -n -e 's/^## //p' $(wildcard Makefile course/rules.mk tools/rules.mk)
	@echo 'walkthroughs:'
	@echo '$(sort $(notdir $(WALKS)))' | fold -s -w 76 | sed -e 's/ *$$//' -e 's/^/    /'
-include course/rules.mk tools/rules.mk
# ---- Which object needs which header: written by the compiler ----
-include $(patsubst %.cpp,$(OUT)/objects/%.d,$(LIBRARY_SOURCES) $(WALK_SOURCES) $(TEST_SOURCES) $(BENCH_SOURCES) tools/book.cpp $(COURSE_SOURCES) \
    $(wildcard course/run_*.cpp) tests/debugger/lesson.cpp)
