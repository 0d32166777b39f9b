# Rules for those who publish, measure or change the project, included by the Makefile.
## make fuzz                broken files for every reader (needs clang 15 or newer), a minute each; ARGS="300 json" for one
fuzz:
	@tests/fuzz/run.sh $(ARGS)

## make pages               every lesson as web page and text, the systems and the ledgers: build/pages
PAGES := $(WALKS:$(OUT)/walk/%=build/pages/%.html)
$(PAGES): build/pages/%.html: $(OUT)/walk/%
	@mkdir -p $(@D) && $< --page $@ </dev/null >$(@:.html=.txt) && echo "page    $@" || { cat $(@:.html=.txt) && exit 1; }
$(OUT)/book: $(call object,tools/book.cpp)
pages: $(PAGES) $(OUT)/book
	@tools/systems.sh >build/systems.md && $(OUT)/book build/pages build/systems.md

## make bench               measure the speed of the matrix product and of whole models
$(OUT)/bench: $(call object,$(BENCH_SOURCES))
bench: $(OUT)/bench
	@$(OUT)/bench $(ARGS)
## make format              lay the sources out with clang-format 14; check-format: would it change any?
format check-format:
	@clang-format $(if $(filter format,$@),-i,--dry-run -Werror) $(foreach end,cpp h,$(call find,nn bert gpt vit rlhf tests course walkthroughs tools,*.$(end)))
## make refresh-readme      write the outputs that README files show after a line <!-- output: command -->
refresh-readme check-readme: all
	@tests/readme_outputs.sh $(patsubst %-readme,%,$@)
