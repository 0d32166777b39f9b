# Rules of the course, included by the Makefile of the project, of a starter and of the grader.
## make mistakes            plant every classic mistake and see which test notices; ARGS="--sample 8" for a few
## make course              the tasks of the course; then make check-NAME, watch-NAME, hint-NAME
## make course-pack         for teachers: MODULE=attention SEED=2027 TWIST=auto; make course-verify proves that it works
# A warning in what a student wrote is not an error.
course_options = --out $(OUT) --make '$(MAKE) CXX=$(CXX) BUILD=$(BUILD) WERROR=' $(ARGS)
mistakes: $(OUT)/run_mistakes $(OUT)/tests/run
	@$(OUT)/run_mistakes $(course_options)
course-build: $(COURSE_PROGRAMS) $(OUT)/tests/run
course: $(OUT)/run_course
	@$(OUT)/run_course list
course-%: course-build
	@$(OUT)/run_course $* $(MODULE) --seed $(or $(SEED),271) --twist '$(TWIST)' $(course_options)
## make sheet-NAME          a worksheet for pencil and paper; ARGS="--seed 7 --key", ARGS=--help
sheet-%: $(OUT)/run_sheet
	@$(OUT)/run_sheet $* $(ARGS)
## make debug-task-NAME     a question that gdb or lldb answers; ARGS="--answer 3", ARGS=--help; NAME=list: all of them
debug-task-%: $(OUT)/run_debugger
	@$(OUT)/run_debugger $* $(ARGS)
check-% hint-%: course-build
	@$(OUT)/run_course $(subst -, ,$@) $(course_options)
watch-%:  # it builds by itself, and a file that does not compile yet is no reason not to start
	@test -x $(OUT)/run_course || $(MAKE) course-build
	@$(OUT)/run_course $(subst -, ,$@) $(course_options)
