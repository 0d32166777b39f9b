// run_sheet.cpp: prints a worksheet, its key or its page, or checks typed answers: run_sheet NAME --seed 7 --check answers.txt
#include <cstdio>
#include <exception>
#include <string>

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

// The verdicts on a file of answers.   returns 0 when all are right, else 1
static int check(const Sheet& sheet, const std::string& path) {
    int right = 0;
    const std::vector<Verdict> verdicts = check_answers(sheet, read_file(path));
    for (const Verdict& verdict : verdicts) {
        std::printf("%s   %s\n", verdict.label.c_str(), verdict.comment.c_str());
        right += verdict.right;
    }
    std::printf("%d of %d right\n", right, static_cast<int>(verdicts.size()));
    return right == static_cast<int>(verdicts.size()) ? 0 : 1;
}

static int run(int argc, char** argv) {
    std::string name, html, answers;
    int seed = 1;
    bool key = false;
    for (int k = 1; k < argc; ++k) {
        const std::string word = argv[k];
        const auto value = [&] {
            require(k + 1 < argc, word, " needs a value");
            return std::string(argv[++k]);
        };
        if (word == "--help") return std::fputs(usage, stdout), 0;
        if (word == "--key")
            key = true;
        else if (word == "--html")
            html = value();
        else if (word == "--check")
            answers = value();
        else if (word == "--for")
            seed = seed_of(value());
        else if (word == "--seed") {
            const std::string given = value();
            const std::optional<double> number = decimal_number(given);
            require(number.has_value() && *number >= 0 && *number <= 2147483647 && *number == static_cast<int>(*number),
                    "--seed ", given, " must be a whole number, 0 or more");
            seed = static_cast<int>(*number);
        } else {
            require(name.empty() && !word.starts_with("--"), "unknown option ", word, "; --help lists them");
            name = word;
        }
    }
    if (name.empty()) {
        for (const std::string& sheet : sheet_names()) std::printf("%s\n", sheet.c_str());
        return 0;
    }
    if (name == "all") {
        for (const std::string& each : sheet_names()) std::printf("%s\n\n", sheet_text(make_sheet(each, seed), key).c_str());
        return 0;
    }
    const Sheet sheet = make_sheet(name, seed);
    if (!answers.empty()) return check(sheet, answers);
    if (html.empty())
        std::fputs(sheet_text(sheet, key).c_str(), stdout);
    else
        write_file_atomically(html, sheet_html(sheet, key));
    return 0;
}

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "run_sheet: %s\n", error.what());
        return 2;
    }
}
