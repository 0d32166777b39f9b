# make          the library and every walkthrough          make help     the other things that can be made
#
# A new file needs no line here: everything under the system folders and walkthroughs/lesson is the library, every other
# walkthroughs/**/X.cpp is a program, every tests/**/X_test.cpp is part of the one test program.

BUILD ?= release
ARGS ?=
DEBUGGER ?= gdb

# Names that are set for some targets only. Without a value for the others they would have that of the environment.
OPT :=
MORE :=
INCLUDE :=
HEADER :=
compiler :=

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

# ---- Where things go ---------------------------------------------------------------------------------------------------------
# Each kind of build and each compiler has its own folder: build/release, build/debug, build/release-clang++-16, ...
ifeq ($(filter $(BUILD),release debug asan),)
$(error BUILD=$(BUILD) is none of release, debug, asan)
endif
ifneq ($(origin CXX),default)
ifneq ($(CXX),g++)
compiler := -$(notdir $(firstword $(CXX)))
endif
endif
OUT := build/$(BUILD)$(compiler)

# ---- How things are compiled -------------------------------------------------------------------------------------------------
ARCH := $(shell $(CXX) -march=native -E -x c++ /dev/null >/dev/null 2>&1 && echo -march=native)
# g++ 12 warns of an overlap inside std::string that cannot happen; clang++ does not know that warning.
QUIET := $(shell $(CXX) -Werror -Wno-restrict -E -x c++ /dev/null >/dev/null 2>&1 && echo -Wno-restrict)
# Where there is a linker that takes half the time, it links the plain build.
GOLD := $(shell $(CXX) -fuse-ld=gold -Wl,--version >/dev/null 2>&1 && echo -fuse-ld=gold)
OPT_release := -Og -DNDEBUG
OPT_debug := -O0 -g3
OPT_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# Nobody reads errno after a square root; without it the compiler may take many roots at once. No number changes.
CXXFLAGS += -pipe -std=c++20 -Wall -Wextra -Wpedantic $(QUIET) $(if $(WERROR),-Werror) $(ARCH) -fno-math-errno -pthread -I.
LDFLAGS += -pthread $(if $(filter release,$(BUILD)),$(GOLD)) $(filter -fsanitize=%,$(OPT_$(BUILD)))

# Loops over many numbers, which the compiler turns into vector instructions only when asked.
VECTORISED := $(filter-out %/show_variable.cpp,$(wildcard nn/base/matmul.cpp nn/base/functions.cpp nn/base/matrix.cpp nn/layers/*.cpp \
    nn/autograd/*.cpp nn/training/loss.cpp nn/training/optimizer.cpp nn/text/decoding.cpp bench/limits.cpp))
# Fast also in the other builds: stepping over a matrix product does not take seconds, and it adds in the same order everywhere.
ALWAYS_FAST := nn/base/matmul.cpp
# No fused multiply-add: the same seed gives the same numbers with every compiler.
UNFUSED := nn/base/random.cpp

# ---- What there is -----------------------------------------------------------------------------------------------------------
find = $(sort $(if $(wildcard $(1)),$(shell find $(wildcard $(1)) -name '$(2)')))
LIBRARY_SOURCES := $(call find,nn bert gpt vit rlhf walkthroughs/lesson,*.cpp)
INSTANCES := $(if $(filter release,$(BUILD)),precompiled/instances.cpp)
WALK_SOURCES := $(filter-out walkthroughs/lesson/%,$(call find,walkthroughs,*.cpp))
TEST_SOURCES := $(call find,tests,*_test.cpp)
HELPER_SOURCES := $(filter-out $(TEST_SOURCES) tests/main.cpp tests/debugger/% tests/fuzz/%,$(call find,tests,*.cpp))
COURSE_PROGRAM_SOURCES := course/run_mistakes.cpp
COURSE_SOURCES := $(filter-out $(COURSE_PROGRAM_SOURCES),$(call find,course,*.cpp))
BENCH_SOURCES := $(wildcard bench/*.cpp)

object = $(patsubst %.cpp,$(OUT)/objects/%.o,$(1))
LIBRARY := $(OUT)/library.a
HELPERS := $(OUT)/tests/helpers.a
WALKS := $(patsubst walkthroughs/%.cpp,$(OUT)/walk/%,$(WALK_SOURCES))
TEST_PROGRAM := $(OUT)/tests/run
# Linked into every program, used or not, because a debugger calls them: show(x), heat(x), stats(x).
SHOW := $(filter %/show.o $(OUT)/objects/nn/autograd/show_%.o $(OUT)/objects/nn/data/show_%.o,$(call object,$(LIBRARY_SOURCES)))

# A program spends its time in the few files above; -Og for the others takes a quarter less of the compiler's time than -O1. A
# walkthrough and a test, which only call the library, need not even that.
$(call object,$(LIBRARY_SOURCES) $(INSTANCES) $(BENCH_SOURCES)): OPT = $(OPT_$(BUILD))
$(call object,$(COURSE_SOURCES) $(COURSE_PROGRAM_SOURCES)): OPT = $(OPT_$(BUILD))
CALLERS_OPT := $(if $(filter release,$(BUILD)),-O0 -DNDEBUG,$(OPT_$(BUILD)))
$(call object,$(WALK_SOURCES) $(TEST_SOURCES) $(HELPER_SOURCES) tests/main.cpp): OPT = $(CALLERS_OPT)
ifeq ($(BUILD),release)
$(call object,$(VECTORISED)): OPT = -O3 -DNDEBUG
endif
ifeq ($(BUILD),debug)
$(call object,$(ALWAYS_FAST)): OPT = -O3 -g
endif
ifeq ($(BUILD),asan)
$(call object,$(ALWAYS_FAST)): OPT = $(OPT_asan) -O3
endif
$(call object,$(UNFUSED)): MORE = -ffp-contract=off
# The tile of the matrix product is measured for the largest registers: they must be used, and g++ must not compute two k's of it side
# by side, for which there are not enough.
known = $(shell $(CXX) $(ARCH) -Werror $(1) -E -x c++ /dev/null >/dev/null 2>&1 && echo $(1))
$(call object,nn/base/matmul.cpp): MORE := $(call known,-mprefer-vector-width=512) $(call known,-fno-loop-unroll-and-jam)

# Short lines; V=1 shows the commands.
ifeq ($(V),1)
say = @:
quiet :=
else
say = @echo
quiet := @
endif

# ---- headers compiled once -----------------------------------------------------------------------------------------------------
# What the files of one kind nearly all include is compiled once and put in front of each of them; g++ and clang++ find the compiled
# form by the name of the include. doctest and our test.h are compiled so in every kind of build, standard headers in the plain one
# only: the others show whether a file includes what it uses.
PRECOMPILED := $(OUT)/precompiled
$(PRECOMPILED)/%.gch: $(OUT)/flags
	$(say) "compile $(HEADER) as $@"
	@mkdir -p $(@D) && echo '#include "$(HEADER)"' > $(PRECOMPILED)/$*
	$(quiet)$(CXX) $(CXXFLAGS) $(OPT) $(INCLUDE) -MMD -MP -MF $(PRECOMPILED)/$*.d -MT $@ -x c++-header $(PRECOMPILED)/$* -o $@
$(PRECOMPILED)/%.gch: INCLUDE =  # not that of the object for which make builds it
in_front = -include $(PRECOMPILED)/$(1)

ifeq ($(BUILD),release)
# What has options of its own goes without: g++ would crash.
FAST := $(filter-out nn/base/matmul.cpp,$(VECTORISED))
SMALL := $(filter-out $(VECTORISED) $(UNFUSED),$(LIBRARY_SOURCES) $(INSTANCES) $(BENCH_SOURCES) $(COURSE_SOURCES) \
    $(COURSE_PROGRAM_SOURCES))
$(call object,$(FAST)): $(PRECOMPILED)/fast.h.gch
$(call object,$(FAST)): INCLUDE = $(call in_front,fast.h)
$(call object,$(SMALL)): $(PRECOMPILED)/small.h.gch
$(call object,$(SMALL)): INCLUDE = $(call in_front,small.h)
$(call object,$(WALK_SOURCES)): $(PRECOMPILED)/lesson.h.gch
$(call object,$(WALK_SOURCES)): INCLUDE = $(call in_front,lesson.h)
$(PRECOMPILED)/fast.h.gch $(PRECOMPILED)/small.h.gch $(PRECOMPILED)/lesson.h.gch: HEADER = precompiled/standard.h
$(PRECOMPILED)/fast.h.gch: OPT = -O3 -DNDEBUG
$(PRECOMPILED)/small.h.gch: OPT = $(OPT_release)
$(PRECOMPILED)/lesson.h.gch: OPT = $(CALLERS_OPT)
endif
TESTING := $(TEST_SOURCES) $(HELPER_SOURCES) tests/main.cpp
$(call object,$(TESTING)): $(PRECOMPILED)/test.h.gch
$(call object,$(TESTING)): INCLUDE = $(DOCTEST) $(call in_front,test.h)
$(PRECOMPILED)/test.h.gch: build/doctest/option
$(PRECOMPILED)/test.h.gch: HEADER = $(if $(filter release,$(BUILD)),precompiled/test.h,tests/test.h)
$(PRECOMPILED)/test.h.gch: OPT = $(CALLERS_OPT)
$(PRECOMPILED)/test.h.gch: INCLUDE = $(DOCTEST)

# ---- all ---------------------------------------------------------------------------------------------------------------------
.PHONY: all
all: $(LIBRARY) $(WALKS)

$(LIBRARY): $(call object,$(LIBRARY_SOURCES) $(INSTANCES))
$(HELPERS): $(call object,$(HELPER_SOURCES))
$(LIBRARY) $(HELPERS): $(OUT)/files
	$(say) "archive $@"
	@mkdir -p $(@D) && rm -f $@
	$(quiet)ar crs $@ $(filter %.o,$^)

$(OUT)/objects/%.o: %.cpp $(OUT)/flags
	$(say) "compile $<"
	@mkdir -p $(@D)
	$(quiet)$(CXX) $(CXXFLAGS) $(OPT) $(MORE) $(INCLUDE) -MMD -MP -c $< -o $@

$(OUT)/walk/%: $(OUT)/objects/walkthroughs/%.o $(SHOW) $(LIBRARY)
	$(say) "link    $@"
	@mkdir -p $(@D)
	$(quiet)$(CXX) $^ $(LDFLAGS) -o $@

# Rewritten only when the compiler, its options or the processor have changed; everything is then compiled again. -march=native is
# another set of instructions on another processor: what the compiler defines (__AVX512F__, ...) tells which.
.PHONY: always
$(OUT)/flags: always
	@mkdir -p $(@D)
	@echo '$(CXX) $(CXXFLAGS) $(OPT_$(BUILD)) $(LDFLAGS)' "$$($(CXX) --version | head -n 1)" \
	    "instructions $$($(CXX) $(ARCH) -dM -E -x c++ /dev/null | cksum)" > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Rewritten only when a file has come or gone: what was linked of a file that is no more must go too.
$(OUT)/files: always
	@mkdir -p $(@D)
	@echo '$(LIBRARY_SOURCES) $(INSTANCES) $(HELPER_SOURCES) $(TEST_SOURCES)' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# ---- test --------------------------------------------------------------------------------------------------------------------
.PHONY: test build/tests/run
# The walkthroughs are asked for their --help, in one kind of build.
test: $(TEST_PROGRAM) $(if $(filter release,$(BUILD)),$(WALKS))
	@$(TEST_PROGRAM) $(ARGS)

# The name under which the tests of the plain build are always found.
build/tests/run: $(TEST_PROGRAM)
ifeq ($(OUT),build/release)
	@mkdir -p build/tests && ln -sf ../release/tests/run build/tests/run
test: build/tests/run
endif

# The option under which the compiler finds doctest's header.
DOCTEST = $$(cat build/doctest/option)
build/doctest/option:
	@mkdir -p $(@D)
	@tests/find_doctest.sh '$(CXX)' build/doctest > $@

$(TEST_PROGRAM): $(call object,tests/main.cpp $(TEST_SOURCES) $(COURSE_SOURCES)) $(SHOW) $(HELPERS) $(LIBRARY) $(OUT)/files
	$(say) "link    $@"
	@mkdir -p $(@D)
	$(quiet)$(CXX) $(filter %.o %.a,$^) $(LDFLAGS) -o $@

# Broken files for every reader: make fuzz ARGS="300 json" feeds one for five minutes.
.PHONY: fuzz
fuzz:
	@tests/fuzz/run.sh $(ARGS)

# ---- course --------------------------------------------------------------------------------------------------------------------
# Plants the classic mistakes one by one in a copy of the project and looks which test notices: course/README.md.
$(OUT)/run_mistakes: $(call object,course/run_mistakes.cpp $(COURSE_SOURCES)) $(LIBRARY)
	$(say) "link    $@"
	$(quiet)$(CXX) $^ $(LDFLAGS) -o $@

.PHONY: mistakes
mistakes: $(OUT)/run_mistakes $(TEST_PROGRAM)
	@$(OUT)/run_mistakes --out $(OUT) --make '$(MAKE) CXX=$(CXX) BUILD=$(BUILD) WERROR=$(WERROR)' $(ARGS)

# ---- walkthroughs ------------------------------------------------------------------------------------------------------------
# make walk-patch_embedding or walk-patch-embedding: the name of a walkthrough's file without its ending, ARGS="--seed 2" its options.
# make debug-... opens the debugger on the unoptimised build and stops where the lesson's steps begin
stem = $(notdir $(basename $(1)))
define walkthrough
.PHONY: walk-$(2) debug-$(2)
walk-$(2): $(OUT)/walk/$(1)
	@$(OUT)/walk/$(1) $$(ARGS)
debug-$(2):
	@$$(MAKE) --no-print-directory BUILD=debug build/debug$(compiler)/walk/$(1)
	@debugger/start $$(DEBUGGER) walkthroughs/$(1).cpp build/debug$(compiler)/walk/$(1) $$(ARGS)
ifneq ($(2),$(subst _,-,$(2)))
.PHONY: walk-$(subst _,-,$(2)) debug-$(subst _,-,$(2))
walk-$(subst _,-,$(2)): walk-$(2)
debug-$(subst _,-,$(2)): debug-$(2)
endif
endef
ifneq ($(filter walk-% debug-%,$(MAKECMDGOALS)),)
$(foreach program,$(patsubst walkthroughs/%.cpp,%,$(WALK_SOURCES)),$(eval $(call walkthrough,$(program),$(call stem,$(program)))))
walk-% debug-%:
	@echo "$@: there is no such walkthrough. There are: $(sort $(call stem,$(WALK_SOURCES)))" && exit 2
endif

# The guided tour: the programs and options listed in the file walkthroughs/tour.
TOUR := $(shell sed -e 's/\#.*//' walkthroughs/tour 2>/dev/null | awk 'NF > 1 { print $$2 }')
.PHONY: run
run: $(addprefix $(OUT)/walk/,$(TOUR))
	@walkthroughs/run_tour.sh walkthroughs/tour $(OUT)/walk

# ---- speed -------------------------------------------------------------------------------------------------------------------
.PHONY: bench
bench: $(OUT)/bench
ifeq ($(OUT),build/release)
	@ln -sf release/bench build/bench
endif
	@$(OUT)/bench $(ARGS)

$(OUT)/bench: $(call object,$(BENCH_SOURCES)) $(SHOW) $(LIBRARY)
	$(say) "link    $@"
	$(quiet)$(CXX) $^ $(LDFLAGS) -o $@

# ---- a small program that the tests step through in gdb ------------------------------------------------------------------------
# It links only what it shows, so that testing the debugger does not compile the whole project a second time.
DEBUGGED := $(call object,tests/debugger/lesson.cpp nn/base/matrix.cpp nn/base/require.cpp nn/base/decimal.cpp nn/base/storage.cpp nn/autograd/variable.cpp nn/data/image.cpp nn/data/file.cpp nn/data/file_kind.cpp nn/data/text.cpp) $(SHOW)
$(call object,tests/debugger/lesson.cpp): OPT = $(OPT_$(BUILD))
$(OUT)/debugger/lesson: $(DEBUGGED)
	$(say) "link    $@"
	@mkdir -p $(@D)
	$(quiet)$(CXX) $^ $(LDFLAGS) -o $@

.PHONY: build-debugger-lesson
build-debugger-lesson:
	@$(MAKE) --no-print-directory BUILD=debug build/debug$(compiler)/debugger/lesson
test: build-debugger-lesson
$(call object,tests/debugger_test.cpp tests/house_test.cpp): MORE = -DBUILT='"$(OUT)"' -DDEBUG_BUILT='"build/debug$(compiler)"'

# ---- for editors, and for those who change things ------------------------------------------------------------------------------
# One entry a source file, with the options of this kind of build: clangd and others read it.
COMPILED := $(LIBRARY_SOURCES) $(INSTANCES) $(WALK_SOURCES) $(BENCH_SOURCES) $(TEST_SOURCES) $(HELPER_SOURCES) $(wildcard tests/main.cpp)
.PHONY: compile_commands.json
compile_commands.json: build/doctest/option
	@comma=; echo '[' > $@; for file in $(COMPILED); do \
	    printf '%s{"directory": "%s", "file": "%s", "command": "%s -c %s"}\n' "$$comma" "$(CURDIR)" "$$file" \
	        "$(CXX) $(CXXFLAGS) $(OPT_$(BUILD)) $(DOCTEST)" "$$file" >> $@; comma=,; \
	done; echo ']' >> $@; echo "wrote   $@"

.PHONY: format check-format
FORMATTED = $(shell find nn bert gpt vit rlhf tests course walkthroughs bench precompiled -name '*.h' -o -name '*.cpp' 2>/dev/null)
format:
	clang-format -i $(FORMATTED)
check-format:
	clang-format --dry-run -Werror $(FORMATTED)

# Outputs that README files show stand after a line <!-- output: command --> and are written there by running the command.
.PHONY: refresh-readme check-readme
refresh-readme: all
	@tests/readme_outputs.sh refresh
check-readme: all
	@tests/readme_outputs.sh check

.PHONY: clean
clean:
	rm -rf build compile_commands.json

.PHONY: help
help:
	@echo 'make                     build the library and every walkthrough'
	@echo 'make run                 the guided tour'
	@echo 'make test                all tests; build/tests/run takes options, --test-suite=mae for example'
	@echo 'make walk-NAME           run one walkthrough; its options go into ARGS="..."'
	@echo 'make debug-NAME          step through one walkthrough in gdb (DEBUGGER=lldb: in lldb)'
	@echo 'make bench               measure the speed of the matrix product and of whole models'
	@echo 'make mistakes            plant every classic mistake and see which test notices; ARGS="--sample 8" for a few'
	@echo 'make fuzz                broken files for every reader (needs clang 15 or newer), a minute each'
	@echo 'make refresh-readme      write the outputs that the README files show'
	@echo 'make compile_commands.json  make format  make clean'
	@echo 'BUILD=debug or asan      unoptimised, or checked for errors of memory; CXX=clang++-16  WERROR=1  V=1'
	@echo 'walkthroughs:'
	@echo '$(sort $(call stem,$(WALK_SOURCES)))' | fold -s -w 100 | sed -e 's/ *$$//' -e 's/^/    /'

# ---- which object needs which header: written by the compiler ------------------------------------------------------------------
-include $(patsubst %.cpp,$(OUT)/objects/%.d,$(LIBRARY_SOURCES) $(INSTANCES) $(WALK_SOURCES) $(TEST_SOURCES) $(HELPER_SOURCES) $(BENCH_SOURCES) tests/main.cpp \
    tests/debugger/lesson.cpp $(COURSE_SOURCES) $(COURSE_PROGRAM_SOURCES))
-include $(wildcard $(PRECOMPILED)/*.d)
