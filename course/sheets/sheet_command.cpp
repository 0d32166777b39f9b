#include "course/sheets/sheet_command.h"

#include <cstdio>

#include "course/command/command_line.h"
#include "course/sheets/sheet.h"
#include "nn/base/require.h"
#include "nn/data/file.h"

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
    const CommandLine line = read_command_line(words, {"--help", "--key"}, {"--seed", "--for", "--html", "--check"});
    require(!line.has("--seed") || !line.has("--for"), "--seed and --for both choose the numbers; give one of them");
    const std::string name = line.only_word();
    const int seed = line.has("--for") ? seed_of(line.value("--for", "")) : line.whole("--seed", 1, 2147483647);
    const bool key = line.has("--key");
    if (line.has("--help")) {
        std::fputs(usage, stdout);
    } else if (name.empty()) {
        for (const std::string& sheet : sheet_names()) std::printf("%s\n", sheet.c_str());
    } else if (name == "all") {
        for (const std::string& sheet : sheet_names()) std::printf("%s\n\n", sheet_text(make_sheet(sheet, seed), key).c_str());
    } else {
        const Sheet sheet = make_sheet(name, seed);
        if (line.has("--check")) return check(sheet, line.value("--check", ""));
        if (line.has("--html"))
            write_file_atomically(line.value("--html", ""), sheet_html(sheet, key));
        else
            std::fputs(sheet_text(sheet, key).c_str(), stdout);
    }
    return 0;
}
