// main.cpp: runs all tests and ends with a summary line, "120 passed, 0 failed", after a list of how much of the tolerance each
// fixture used (golden.h) and, after failures, which to look at first: the one in the lowest folder.
// Without options the folders are tested from the bottom up, so that the first failure is the nearest to its cause.
// Takes doctest's options: --test-suite=mae, --test-case="*causal*", --list-test-suites, --help, ...
#define DOCTEST_CONFIG_IMPLEMENT
#if __has_include(<doctest/doctest.h>)
#include <doctest/doctest.h>
#else
#include <doctest.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "course/grade/steps.h"
#include "course/mistake.h"
#include "course/suspects.h"
#include "nn/base/require.h"
#include "tests/golden.h"

// The folders, lowest first; the other tests (of programs, of project rules) come after them.
static const std::vector<std::string> floors{"nn/base", "nn/autograd",  "nn/data", "nn/layers", "nn/maps", "nn/training",
                                             "nn/text", "nn/interpret", "bert",    "gpt",       "vit",     "rlhf",
                                             ""};

// The floor of "tests/nn/base/matrix_test.cpp" is number 0.
static std::size_t floor_of(const std::string& file) {
    std::size_t floor = 0;
    while (!floors[floor].empty() && file.find("tests/" + floors[floor] + "/") == std::string::npos) ++floor;
    return floor;
}

// How many test cases have run and failed; -1 when none was requested (--help, --list-test-cases).
static int ran = -1;
static int failed = 0;
static std::size_t lowest_floor = floors.size();  // of a failure
static std::string lowest_failure;                // the first on that floor

static void print_result() {
    const std::string shares = shares_used();
    if (!shares.empty())
        std::printf("fraction of the tolerance that rounding used, at most, for each fixture:\n%s\n", shares.c_str());
    const StepsCompared steps = steps_compared();
    if (failed > 0 && steps.all > 0) std::printf("%s\n", steps_line(steps).c_str());
    if (!lowest_failure.empty()) std::printf("look first at %s\n", lowest_failure.c_str());
    std::printf("%d passed, %d failed\n", ran - failed, failed);
    std::fflush(stdout);
}

namespace {
// Compares the first failure of a case with those of known mistakes and names the mistake that agrees. With the environment
// variable RECORD_FAILURES the failure is written to that file instead, in the format of course/suspects.h.
struct Recogniser : doctest::IReporter {
    std::string title;
    bool seen = false;  // a failure of this case

    explicit Recogniser(const doctest::ContextOptions&) {}

    void failed(const std::string& failure) {
        if (seen) return;
        seen = true;
        if (const char* const path = std::getenv("RECORD_FAILURES")) {
            if (std::FILE* const file = std::fopen(path, "a")) {
                std::fputs(suspects_text({{"?", title, comparable(failure)}}).c_str(), file);
                std::fclose(file);
            }
            return;
        }
        static const std::vector<Suspect> suspects = read_suspects();
        for (const std::string& name : suspected(suspects, title, failure)) {
            const std::string path = "course/mistakes/" + name + ".txt";
            std::printf("    suspect  %s: %s\n", path.c_str(), read_mistake(path).says.c_str());
        }
    }

    void test_case_start(const doctest::TestCaseData& test) override {
        title = test.m_name;
        seen = false;
    }
    void log_assert(const doctest::AssertData& data) override {
        if (!data.m_failed) return;
        const doctest::String what = data.m_threw ? data.m_exception : data.m_decomp;
        failed(std::string(data.m_expr) + " is " + what.c_str());
    }
    void log_message(const doctest::MessageData& message) override {
        if (message.m_severity != doctest::assertType::is_warn) failed(message.m_string.c_str());
    }
    void test_case_exception(const doctest::TestCaseException& exception) override { failed(exception.error_string.c_str()); }

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
};
}  // namespace
REGISTER_LISTENER("recogniser", 2, Recogniser);

namespace {
struct Counter : doctest::IReporter {
    bool crashed = false;
    const doctest::TestCaseData* running = nullptr;

    explicit Counter(const doctest::ContextOptions&) {}

    void test_case_start(const doctest::TestCaseData& test) override { running = &test; }
    void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
        const std::size_t floor = floor_of(running->m_file.c_str());
        if (stats.testCaseSuccess || floor >= lowest_floor) return;
        lowest_floor = floor;
        lowest_failure =
            std::string(running->m_file.c_str()) + ":" + text(static_cast<int>(running->m_line)) + ": " + running->m_name;
    }
    void test_run_end(const doctest::TestRunStats& stats) override {
        ran = std::max(ran, 0) + static_cast<int>(stats.numTestCasesPassingFilters);
        failed += static_cast<int>(stats.numTestCasesFailed);
        if (!crashed) return;
        if (failed == 0) failed = 1;
        print_result();
        std::_Exit(1);  // main is not reached after a crash
    }
    void test_case_exception(const doctest::TestCaseException& exception) override { crashed = crashed || exception.is_crash; }

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
};
}  // namespace
REGISTER_LISTENER("counter", 1, Counter);

// All tests, floor by floor.   returns 1 when any failed
static int run_from_the_ground_up() {
    int result = 0;
    std::string lower;  // the files of the floors that were tested: "*tests/nn/base/*,*tests/nn/autograd/*"
    for (const std::string& floor : floors) {
        doctest::Context context;
        context.setOption("minimal", true);  // failures only
        if (floor.empty())
            context.setOption("source-file-exclude", lower.c_str());
        else
            context.setOption("source-file", ("*tests/" + floor + "/*").c_str());
        lower += (lower.empty() ? "" : ",") + ("*tests/" + floor + "/*");
        result = std::max(result, context.run());
    }
    return result;
}

int main(int count, char** arguments) {
    const int result = count == 1 ? run_from_the_ground_up() : doctest::Context(count, arguments).run();
    if (ran < 0) return result;
    print_result();
    if (std::ferror(stdout) != 0) {
        std::fputs("the output cannot be written\n", stderr);
        return 1;
    }
    return ran == 0 ? 1 : result;
}
