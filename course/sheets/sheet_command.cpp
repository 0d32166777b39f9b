#include "course/sheets/sheet_command.h"

#include <cstdio>
#include <optional>

#include "course/sheets/sheet.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

static const char* const usage =
    "usage: run_sheet NAME [--seed N | --for STUDENT] [--key] [--html FILE] [--check FILE]\n"
    "  NAME         a worksheet; \"all\" prints every one; without a name the worksheets are listed\n"
    "  --seed N     other numbers (1)\n"
    "  --for NAME   the numbers of this student: the same name gives the same numbers\n"
    "  --key        with the answers\n"
    "  --html FILE  as a page to print\n"
    "  --check FILE lines like \"A = 7/3\" are compared with the answers\n";

namespace {
struct SheetChoices {
    std::string name, html, answers;  // the last two are paths
    int seed = 1;
    bool key = false, help = false;
};
}  // namespace

static int seed_from(const std::string& words) {
    const std::optional<long> number = whole_number(words);
    require(number && *number >= 0 && *number <= 2147483647, "--seed ", words, " must be a whole number, 0 or more");
    return static_cast<int>(*number);
}

static SheetChoices read_choices(const std::vector<std::string>& words) {
    SheetChoices choices;
    for (auto word = words.begin(); word != words.end(); ++word) {
        const auto value = [&] {
            require(word + 1 != words.end(), *word, " needs a value");
            return *++word;
        };
        if (*word == "--help")
            choices.help = true;
        else if (*word == "--key")
            choices.key = true;
        else if (*word == "--html")
            choices.html = value();
        else if (*word == "--check")
            choices.answers = value();
        else if (*word == "--for")
            choices.seed = seed_of(value());
        else if (*word == "--seed")
            choices.seed = seed_from(value());
        else {
            require(choices.name.empty() && !word->starts_with("--"), "unknown option ", *word, "; --help lists them");
            choices.name = *word;
        }
    }
    return choices;
}

// The verdicts on a file of answers.   returns 0 when all are right, else 1
static int check(const Sheet& sheet, const std::string& path) {
    std::size_t right = 0;
    const std::vector<Verdict> verdicts = check_answers(sheet, read_file(path));
    for (const Verdict& verdict : verdicts) {
        std::printf("%s   %s\n", verdict.label.c_str(), verdict.comment.c_str());
        right += verdict.right;
    }
    std::printf("%zu of %zu right\n", right, verdicts.size());
    return right == verdicts.size() ? 0 : 1;
}

int sheet_command(const std::vector<std::string>& words) {
    const SheetChoices choices = read_choices(words);
    if (choices.help) {
        std::fputs(usage, stdout);
    } else if (choices.name.empty()) {
        for (const std::string& name : sheet_names()) std::printf("%s\n", name.c_str());
    } else if (choices.name == "all") {
        for (const std::string& name : sheet_names())
            std::printf("%s\n\n", sheet_text(make_sheet(name, choices.seed), choices.key).c_str());
    } else {
        const Sheet sheet = make_sheet(choices.name, choices.seed);
        if (!choices.answers.empty()) return check(sheet, choices.answers);
        if (choices.html.empty())
            std::fputs(sheet_text(sheet, choices.key).c_str(), stdout);
        else
            write_file_atomically(choices.html, sheet_html(sheet, choices.key));
    }
    return 0;
}
