// sheet_command_test.cpp: what make sheet-NAME prints and returns, and the text of every sheet of two seeds.
#include "course/sheets/sheet_command.h"

#include "course/sheets/sheet.h"
#include "nn/data/file.h"
#include "tests/course/project/small_project.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("sheet_command");

static Printed said(const std::vector<std::string>& words) {
    return printed([&] { return sheet_command(words); });
}

// A sheet that was handed out is checked later by the same seed: what is drawn from a seed must not change. keys_test.cpp shows
// that the keys are right. If a sheet is changed on purpose, write these files again: run_sheet all --key --seed N.
TEST_CASE("sheet_command: all sheets with their keys, as seeds 2 and 7 have always drawn them") {
    for (const std::string seed : {"2", "7"})
        CHECK(said({"all", "--key", "--seed", seed}).words == read_file("tests/course/sheets/seed_" + seed + ".txt"));
}

TEST_CASE("sheet_command: the names, one sheet of a seed or a student with or without its key, and a page in a file") {
    std::string names;
    for (const std::string& name : sheet_names()) names += name + "\n";
    CHECK(said({}).words == names);
    CHECK(said({}).status == 0);
    const std::string first = sheet_text(make_sheet("kl", 1)), key = sheet_text(make_sheet("kl", 1), true);
    CHECK(said({"kl"}).words == first);
    CHECK(said({"kl"}).status == 0);
    CHECK(said({"--key", "kl", "--seed", "1"}).words == key);
    CHECK(said({"kl", "--for", "Ann"}).words == sheet_text(make_sheet("kl", seed_of("Ann"))));
    CHECK(said({"all"}).words.starts_with(sheet_text(make_sheet("attention", 1)) + "\n\n"));
    CHECK(said({"kl", "--seed", "0"}).words == sheet_text(make_sheet("kl", 0)));
    CHECK(said({"kl", "--seed", "2147483647"}).words == sheet_text(make_sheet("kl", 2147483647)));
    const TemporaryFolder folder;
    CHECK(said({"kl", "--key", "--html", folder.path("kl.html")}).words.empty());
    CHECK(read_file(folder.path("kl.html")) == sheet_html(make_sheet("kl", 1), true));
    const Printed help = said({"kl", "--help"});
    CHECK(help.words.starts_with("usage: run_sheet NAME [--seed N | --for STUDENT]"));
    CHECK(help.words.ends_with("compared with the answers\n"));
    CHECK(help.status == 0);
}

TEST_CASE("sheet_command: a verdict on each answer of a file, their number, and status 0 only when all are right") {
    const TemporaryFolder folder;
    const std::vector<std::string> words{"kl", "--seed", "7", "--check", folder.path("answers.txt")};
    folder.file("answers.txt", "A = x\nB = 100\nC = 0\n");
    const Printed wrong = said(words);
    CHECK(wrong.words == "A   not a number: x\nB   wrong\nC   right\nD   missing\n1 of 4 right\n");
    CHECK(wrong.status == 1);
    std::string key;
    for (const Question& question : make_sheet("kl", 7).questions)
        key += question.label + " = " + std::to_string(question.number) + "\n";
    folder.file("answers.txt", key);
    const Printed right = said(words);
    CHECK(right.words == "A   right\nB   right\nC   right\nD   right\n4 of 4 right\n");
    CHECK(right.status == 0);
}

TEST_CASE("sheet_command: an unknown option or sheet, a second name, a missing value and an unfit seed are refused") {
    for (const char* const option : {"--seed", "--for", "--html", "--check"})
        CHECK(error_of([&] { sheet_command({"kl", option}); }) == std::string(option) + " needs a value");
    for (const char* const word : {"--keys", "gae"})
        CHECK(error_of([&] { sheet_command({"kl", word}); }) == "unknown option " + std::string(word) + "; --help lists them");
    CHECK(error_of([] { sheet_command({"--keys"}); }) == "unknown option --keys; --help lists them");
    CHECK(error_of([] { sheet_command({"x"}); }).starts_with("unknown worksheet x; available: attention "));
    for (const char* const seed : {"-1", "2147483648", "1.5", "one"})
        CHECK(error_of([&] {
                  sheet_command({"kl", "--seed", seed});
              }) == "--seed is \"" + std::string(seed) + "\", expected a number from 0 to 2147483647");
    CHECK(error_of([] {
              sheet_command({"kl", "--seed", "1", "--for", "Ann"});
          }) == "--seed and --for both choose the numbers; give one of them");
}

TEST_SUITE_END();
