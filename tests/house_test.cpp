// house_test.cpp: project rules that no compiler checks: which folder may include which, where files are, how programs behave.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "nn/data/file.h"
#include "tests/command.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

namespace fs = std::filesystem;

static const std::vector<std::string> library_folders{
    "nn", "bert", "gpt", "vit", "rlhf", "walkthroughs/lesson", "walkthroughs/page", "walkthroughs/toys"};
static const std::vector<std::string> all_folders{"nn", "bert", "gpt", "vit", "rlhf", "walkthroughs", "tests", "tools", "course"};

// The files under the folders that end so, sorted: "vit/vit.cpp".
static std::vector<std::string> files_in(const std::vector<std::string>& folders, const std::vector<std::string>& endings) {
    std::vector<std::string> found;
    for (const std::string& folder : folders)
        for (const std::string& path : files_below(folder))
            for (const std::string& ending : endings)
                if (path.ends_with(ending)) found.push_back(path);
    std::sort(found.begin(), found.end());
    return found;
}

static std::vector<std::string> lines_of(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
}

static std::string folder_of(const std::string& path) { return fs::path(path).parent_path().generic_string(); }
static std::string stem_of(const std::string& path) { return fs::path(path).stem().string(); }
static bool under(const std::string& path, const std::string& folder) { return path.starts_with(folder + "/"); }
static bool in_library(const std::string& path) {
    return std::any_of(library_folders.begin(), library_folders.end(),
                       [&](const std::string& folder) { return under(path, folder); });
}

// What each folder may include besides the standard library; the first entry that matches a file counts.
static const std::vector<std::pair<std::string, std::vector<std::string>>> allowed_includes{
    {"nn/base", {"nn/base"}},
    {"nn/autograd", {"nn/base", "nn/autograd"}},
    {"nn/image", {"nn/base", "nn/image"}},
    {"nn/data", {"nn/base", "nn/autograd", "nn/image", "nn/data"}},
    {"nn/layers", {"nn/base", "nn/autograd", "nn/data", "nn/layers"}},  // every layer lists its parameters
    {"nn/maps", {"nn/base", "nn/autograd", "nn/data", "nn/layers", "nn/maps"}},
    {"nn/training", {"nn/base", "nn/autograd", "nn/data", "nn/training"}},
    {"nn/text", {"nn/base", "nn/autograd", "nn/data", "nn/layers", "nn/training", "nn/text"}},
    {"nn/interpret", {"nn"}},
    {"bert", {"nn", "bert"}},
    {"gpt", {"nn", "gpt"}},
    {"vit", {"nn", "bert", "gpt", "vit"}},
    {"rlhf", {"nn", "gpt", "vit", "rlhf"}},
    {"walkthroughs", library_folders},
    {"tools", {"nn", "bert", "gpt", "vit", "rlhf", "walkthroughs/lesson", "walkthroughs/page", "tools"}},
    {"course/sheets", {"nn", "bert", "gpt", "rlhf", "course"}},
    {"course/drawn", {"nn", "bert", "gpt", "vit", "rlhf", "course"}},
    {"course", {"nn", "course"}},
    {"tests",
     {"nn", "bert", "gpt", "vit", "rlhf", "walkthroughs/lesson", "walkthroughs/page", "walkthroughs/toys", "course", "tests"}},
};

static bool may_include(const std::string& file, const std::string& included) {
    for (const auto& [floor, allowed] : allowed_includes)
        if (under(file, floor))
            return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& below) { return under(included, below); });
    return false;
}

// The path between quotes of an #include line, or between < and >; "" for other lines.
static std::string included_path(const std::string& line, char open, char close) {
    if (!line.starts_with("#include")) return "";
    const std::size_t begin = line.find(open);
    if (begin == std::string::npos) return "";
    return line.substr(begin + 1, line.find(close, begin + 1) - begin - 1);
}

// The prose of a line: all of it in a text file, the comment in a source file.
static std::string said(const std::string& path, const std::string& line) {
    if (path.ends_with(".md")) return line;
    const std::string mark = path.ends_with(".py") || path.ends_with(".sh") || path == "Makefile" ? "#" : "//";
    const std::size_t begin = line.find(mark);
    return begin == std::string::npos ? "" : line.substr(begin);
}

// The words of a line that look like a path of this project: letters, digits and / _ . - that end in .h, .cpp, .md, .py or .sh.
static std::vector<std::string> paths_in(const std::string& line) {
    std::vector<std::string> paths;
    std::string word;
    for (const char letter : line + " ") {
        if (std::isalnum(static_cast<unsigned char>(letter)) || std::string("/_.-*~$<>()").find(letter) != std::string::npos) {
            word += letter;
            continue;
        }
        while (word.ends_with('.')) word.pop_back();
        const std::string ending = fs::path(word).extension().string();
        const bool ours = ending == ".h" || ending == ".cpp" || ending == ".md" || ending == ".py" || ending == ".sh";
        const std::string stem = stem_of(word);
        const bool is_pattern = word.find_first_of("*$<>~()") != std::string::npos || stem.empty() || stem == "X" ||
                                stem == "X_test" || stem == "NAME" || stem == "FILE";
        if (ours && !is_pattern && !under(word, "build")) paths.push_back(word);
        word.clear();
    }
    return paths;
}

static bool known(const std::string& name, const std::string& said_in, const std::vector<std::string>& files) {
    if (fs::exists(name) || fs::exists(fs::path(folder_of(said_in)) / name)) return true;
    return std::any_of(files.begin(), files.end(), [&](const std::string& file) { return file.ends_with("/" + name); });
}

TEST_SUITE_BEGIN("house");

TEST_CASE("includes: point downwards only") {
    for (const std::string& file : files_in(all_folders, {".h", ".cpp"}))
        for (const std::string& line : lines_of(file)) {
            const std::string included = included_path(line, '"', '"');
            if (included.empty()) continue;
            INFO(file, " includes ", included);
            CHECK(fs::exists(included));  // from the root of the project
            CHECK(may_include(file, included));
        }
}

TEST_CASE("may_include: accepts includes of lower floors and rejects all others") {
    CHECK(may_include("vit/vit.cpp", "nn/layers/linear.h"));
    CHECK(may_include("rlhf/ppo.cpp", "gpt/gpt.h"));
    CHECK(may_include("nn/maps/convolution.cpp", "nn/autograd/rows.h"));
    CHECK_FALSE(may_include("nn/layers/linear.cpp", "nn/maps/map.h"));
    CHECK_FALSE(may_include("nn/layers/linear.h", "vit/vit.h"));
    CHECK_FALSE(may_include("nn/base/show.cpp", "nn/autograd/variable.h"));
    CHECK_FALSE(may_include("bert/bert.cpp", "gpt/gpt.h"));
    CHECK_FALSE(may_include("gpt/gpt.cpp", "bert/bert.h"));
    CHECK_FALSE(may_include("vit/vit.cpp", "rlhf/ppo.h"));
    CHECK_FALSE(may_include("vit/vit.cpp", "tests/close.h"));
}

TEST_CASE("headers: include none of the standard headers that slow down every file") {
    const std::set<std::string> heavy{"iostream", "sstream", "random",     "memory", "thread",
                                      "ranges",   "regex",   "filesystem", "fstream"};
    for (const std::string& file : files_in(library_folders, {".h"}))
        for (const std::string& line : lines_of(file)) {
            INFO(file, ": ", line);
            CHECK(heavy.count(included_path(line, '<', '>')) == 0);
        }
}

TEST_CASE("compiler flags: fast-math is off: NaN, the order of sums, subnormals and -0 are preserved") {
#ifdef __FAST_MATH__
    FAIL("compiled with -ffast-math");
#endif
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
    FAIL("compiled with -ffinite-math-only");
#endif
    volatile float nan_value = std::numeric_limits<float>::quiet_NaN(), large = 1e8f, one = 1, smallest = 1e-38f, zero = 0;
    const float same = nan_value, other = nan_value;
    CHECK_FALSE(same == other);
    CHECK((large + one) - large == 0);
    CHECK(smallest / 16 > 0);
    CHECK(std::signbit(-zero * one));
}

TEST_CASE("folders: at most a dozen sources in each") {
    std::map<std::string, std::set<std::string>> stems;
    for (const std::string& file : files_in(all_folders, {".h", ".cpp"})) stems[folder_of(file)].insert(stem_of(file));
    for (const auto& [folder, names] : stems) {
        INFO(folder);
        CHECK(names.size() <= 12);
    }
}

TEST_CASE("sources: each has its test, whose suite has its name") {
    for (const std::string& file : files_in(library_folders, {".cpp"})) {
        const std::string test = "tests/" + file.substr(0, file.size() - 4) + "_test.cpp";
        INFO(file, " is tested by ", test);
        CHECK(fs::exists(test));
    }
    // Where the fixtures of a system carry another name than its file, so does its suite.
    const std::map<std::string, std::string> other_name = {
        {"wordpiece", "tokenizer_bert"}, {"bpe", "tokenizer_gpt2"}, {"heads", "bert_cls"}, {"clip_tokenizer", "tokenizer_clip"}};
    for (const std::string& file : files_in({"tests"}, {"_test.cpp"})) {
        const std::string stem = stem_of(file).substr(0, stem_of(file).size() - 5);
        const std::string suite = other_name.count(stem) > 0 ? other_name.at(stem) : stem;
        const std::vector<std::string> lines = lines_of(file);
        bool found = false;
        for (const std::string& line : lines)
            found = found || line == "TEST_SUITE_BEGIN(\"" + suite + "\");" || line == "TEST_SUITE(\"" + suite + "\") {";
        INFO(file, " holds the suite ", suite);
        CHECK(found);
    }
}

// The types that lines of a .cpp define outside every namespace.
static std::vector<std::string> types_outside_namespaces(const std::vector<std::string>& lines) {
    std::vector<std::string> names;
    bool in_namespace = false;
    for (const std::string& line : lines) {
        if (line.starts_with("namespace ") && line.ends_with("{")) in_namespace = true;
        if (line.starts_with("}  // namespace")) in_namespace = false;
        for (const std::string keyword : {"struct ", "class ", "enum class "}) {
            if (in_namespace || !line.starts_with(keyword) || line.find('{') == std::string::npos) continue;
            const std::size_t end = line.find_first_of(" :{", keyword.size());
            names.push_back(line.substr(keyword.size(), end - keyword.size()));
        }
    }
    return names;
}

// A linker takes two types of one name for the same type (one definition rule), and one of the two goes wrong silently. A
// walkthrough is a program of its own.
TEST_CASE("types: those of a single source are in an unnamed namespace") {
    for (const std::string& file : files_in({"nn", "bert", "gpt", "vit", "rlhf", "walkthroughs/lesson", "walkthroughs/page",
                                             "walkthroughs/toys", "tests", "tools"},
                                            {".cpp"})) {
        if (under(file, "tests/fuzz") || under(file, "tests/debugger")) continue;  // programs of their own
        for (const std::string& name : types_outside_namespaces(lines_of(file))) {
            INFO(file, " defines ", name, " outside every namespace");
            CHECK(false);
        }
    }
}

TEST_CASE("headers: types outside namespaces have different names") {
    std::map<std::string, std::string> where;
    for (const std::string& file : files_in(library_folders, {".h"}))
        for (const std::string& name : types_outside_namespaces(lines_of(file))) {
            INFO(name, " is defined by ", file, " and by ", where[name]);
            CHECK(where[name].empty());
            where[name] = file;
        }
}

TEST_CASE("types_outside_namespaces: finds types of one line and of several, and none in a namespace") {
    CHECK(types_outside_namespaces({"struct A { int x; };", "class B : A {", "};", "enum class C { one };"}).size() == 3);
    CHECK(types_outside_namespaces({"namespace {", "struct A {", "};", "}  // namespace", "struct D;"}).empty());
}

TEST_CASE("sources: each begins with a comment on its purpose, unless its header has one") {
    for (const std::string& file : files_in(all_folders, {".h", ".cpp"})) {
        const bool has_header = file.ends_with(".cpp") && fs::exists(file.substr(0, file.size() - 4) + ".h");
        const bool is_mirror = file.ends_with("_test.cpp");
        if (has_header || is_mirror) continue;
        const std::vector<std::string> lines = lines_of(file);
        INFO(file, " begins with its own name");
        CHECK(!lines.empty());
        if (!lines.empty()) CHECK(lines[0].starts_with("// " + fs::path(file).filename().string() + ": "));
    }
}

TEST_CASE("comments: every path that is named exists") {
    std::vector<std::string> files = files_in(all_folders, {".h", ".cpp", ".md", ".py", ".sh"});
    for (const char* const file : {"README.md", "Makefile"})
        if (fs::exists(file)) files.push_back(file);
    for (const std::string& file : files) {
        int number = 0;
        for (const std::string& line : lines_of(file)) {
            ++number;
            for (const std::string& path : paths_in(said(file, line))) {
                INFO(file, ":", number, " names ", path);
                CHECK(known(path, file, files));
            }
        }
    }
}

TEST_CASE("README.md: the table of systems is what tools/systems.sh reads from the headers") {
    CHECK_MESSAGE(read_file("README.md").find(run_command("tools/systems.sh").output) != std::string::npos,
                  "make refresh-readme writes it");
}

TEST_CASE("README files: links lead to existing files") {
    std::vector<std::string> files = files_in(all_folders, {".md"});
    if (fs::exists("README.md")) files.push_back("README.md");
    for (const std::string& file : files)
        for (const std::string& line : lines_of(file))
            for (std::size_t at = line.find("]("); at != std::string::npos; at = line.find("](", at + 1)) {
                const std::string whole = line.substr(at + 2, line.find(')', at) - at - 2);
                const std::string target = whole.substr(0, whole.find('#'));
                if (target.empty() || target.find("://") != std::string::npos) continue;
                INFO(file, " links to ", target);
                CHECK(fs::exists(fs::path(folder_of(file)) / target));
            }
}

TEST_CASE("walkthroughs: no two have the same name") {
    std::map<std::string, std::string> seen;
    for (const std::string& file : files_in({"walkthroughs"}, {".cpp"})) {
        if (in_library(file)) continue;
        INFO(file, " and ", seen[stem_of(file)]);
        CHECK(seen[stem_of(file)].empty());
        seen[stem_of(file)] = file;
    }
}

TEST_CASE("walkthroughs: --help works, and an unknown option is refused in one line with status 2") {
    for (const std::string& file : files_in({"walkthroughs"}, {".cpp"})) {
        const std::string program = std::string(BUILT) + "/walk/" + file.substr(13, file.size() - 13 - 4);
        if (in_library(file) || !fs::exists(program)) continue;
        INFO(program);
        const CommandResult help = run_command(program + " --help");
        CHECK(help.status == 0);
        CHECK(std::count(help.output.begin(), help.output.end(), '\n') >= 2);
        const CommandResult refused = run_command(program + " --no-such-option");
        INFO(refused.output);
        CHECK(refused.status == 2);
        CHECK(std::count(refused.output.begin(), refused.output.end(), '\n') == 1);
        CHECK(refused.output.find("--no-such-option") != std::string::npos);
    }
}

// --- equations: a header lists those that its source computes, "equations [NeRF 2] depths, [NeRF 3] rendering" ---

// The folders whose headers do; add one when its headers and sources are done.
static const std::vector<std::string> folders_with_equations{"nn", "vit", "gpt/families", "gpt/unified"};

// The labels of a line, "[ViT 1]" or "[Adam algorithm 1]": in brackets a name that begins with a capital, then a number.
static std::vector<std::string> equation_labels(const std::string& line) {
    std::vector<std::string> labels;
    for (std::size_t begin = line.find('['); begin != std::string::npos; begin = line.find('[', begin + 1)) {
        const std::size_t end = line.find(']', begin);
        if (end == std::string::npos) break;
        const std::string inside = line.substr(begin + 1, end - begin - 1);
        const std::size_t space = inside.rfind(' ');
        if (space == std::string::npos || !std::isupper(static_cast<unsigned char>(inside[0]))) continue;
        const std::string number = inside.substr(space + 1);
        const bool is_number = !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
        const bool is_name = inside.find_first_of(",;:=()+*") == std::string::npos;
        if (is_number && is_name) labels.push_back("[" + inside + "]");
    }
    return labels;
}

// The numbers that a line cites: "Eq. 5" cites 5, "Eqs. 3-5" and "Eqs. 3, 4 and 5" cite 3, 4 and 5.
static std::vector<int> cited_equations(const std::string& line) {
    std::vector<int> numbers;
    for (std::size_t at = line.find("Eq"); at != std::string::npos; at = line.find("Eq", at + 1)) {
        const bool several = line.compare(at, 5, "Eqs. ") == 0;
        if (!several && line.compare(at, 4, "Eq. ") != 0) continue;
        std::size_t digit = at + (several ? 5 : 4);
        bool to_this = false;  // the end of a range
        while (digit < line.size() && std::isdigit(static_cast<unsigned char>(line[digit]))) {
            std::size_t end = digit;
            while (end < line.size() && std::isdigit(static_cast<unsigned char>(line[end]))) ++end;
            const int number = std::stoi(line.substr(digit, end - digit));
            const int first = to_this ? numbers.back() + 1 : number;
            for (int n = first; n <= number; ++n) numbers.push_back(n);
            if (!several) break;
            to_this = line.compare(end, 1, "-") == 0;
            const bool comma = line.compare(end, 2, ", ") == 0, conjunction = line.compare(end, 5, " and ") == 0;
            digit = to_this ? end + 1 : comma ? end + 2 : conjunction ? end + 5 : line.size();
        }
    }
    return numbers;
}

// The labels that a header lists: in the line "//   equations ..." and in the lines that continue it.
static std::set<std::string> listed_equations(const std::vector<std::string>& header) {
    std::set<std::string> listed;
    bool in_list = false;
    for (const std::string& line : header) {
        in_list = line.starts_with("//   equations ") || (in_list && line.starts_with("//            "));
        if (!in_list) continue;
        for (const std::string& label : equation_labels(line)) listed.insert(label);
    }
    return listed;
}

TEST_CASE("equations: a header lists each number that it cites, and its source computes each on one labelled line") {
    std::size_t found = 0;
    for (const std::string& header : files_in(folders_with_equations, {".h"})) {
        const std::string source = header.substr(0, header.size() - 2) + ".cpp";
        const std::vector<std::string> lines = lines_of(header);
        const std::set<std::string> listed = listed_equations(lines);
        for (const std::string& line : lines)
            for (const int number : cited_equations(line)) {
                INFO(header, " cites Eq. ", number, ", which its line \"//   equations\" does not list");
                CHECK(std::any_of(listed.begin(), listed.end(),
                                  [&](const std::string& label) { return label.ends_with(" " + std::to_string(number) + "]"); }));
            }
        std::map<std::string, int> labelled;
        for (const std::string& line : lines_of(source))
            for (const std::string& label : equation_labels(said(source, line))) ++labelled[label];
        for (const std::string& label : listed) {
            INFO(source, " computes ", label, ", which ", header, " lists, on one line");
            CHECK(labelled[label] == 1);
            ++found;
        }
        for (const auto& [label, count] : labelled) {
            INFO(source, " has the label ", label, ", which ", header, " does not list");
            CHECK(listed.count(label) == 1);
        }
    }
    CHECK(found >= 20);
}

TEST_CASE("equation_labels, cited_equations, listed_equations: find names with a number, lists and ranges, and continued lines") {
    using Labels = std::vector<std::string>;
    using Numbers = std::vector<int>;
    CHECK(equation_labels("// (n, h)   [ViT 5] [Adam algorithm 1]") == Labels{"[ViT 5]", "[Adam algorithm 1]"});
    CHECK(equation_labels("// [MASK], [1 2; 3 4], x[i 1], A[0], [a 1], [B = 2]").empty());
    CHECK(cited_equations("//   paper   2017, Eq. 5, 2018; Eqs. 3-5; Eqs. 7, 9 and 11; Eqx 4") == Numbers{5, 3, 4, 5, 7, 9, 11});
    CHECK(listed_equations({"//   equations [A 1] first,", "//            [B 2]", "//   differs [C 3]"}) ==
          std::set<std::string>{"[A 1]", "[B 2]"});
}

// All programs of the walkthroughs. The plain build has every one of them; where some are missing, as after make debug-vit, there
// are none to be tried.
static std::vector<std::string> built_walkthroughs() {
    std::vector<std::string> programs;
    bool complete = true;
    for (const std::string& file : files_in({"walkthroughs"}, {".cpp"})) {
        if (in_library(file)) continue;
        programs.push_back(std::string(BUILT) + "/walk/" + file.substr(13, file.size() - 13 - 4));
        complete = complete && fs::exists(programs.back());
    }
    return complete ? programs : std::vector<std::string>{};
}

TEST_CASE("walkthroughs: the plain build has every program") {
    CHECK((std::string_view(BUILT) != "build/release" || !built_walkthroughs().empty()));
}

static bool is_one_line(const std::string& output) { return std::count(output.begin(), output.end(), '\n') == 1; }

TEST_CASE("walkthroughs: end with status 1 and one line when their output cannot be written") {
    const std::vector<std::string> programs = built_walkthroughs();
    if (!fs::exists("/dev/full")) return;
    for (const std::string& program : programs) {
        const CommandResult help = run_command(program + " --help > /dev/full");
        INFO(program, " --help: ", help.output);
        CHECK(help.status == 1);
        CHECK(help.output.ends_with(": the output cannot be written: No space left on device\n"));
        CHECK(is_one_line(help.output));
    }
    if (programs.empty()) return;
    const std::string lesson = std::string(BUILT) + "/walk/nn/matrix";
    const CommandResult full = run_command(lesson + " > /dev/full");
    CHECK(full.status == 1);
    CHECK(full.output.ends_with(": the output cannot be written: No space left on device\n"));
    CHECK(is_one_line(full.output));
    const TemporaryFolder folder;
    const CommandResult limited = run_command("ulimit -f 0; " + lesson + " --page " + folder.path("page") + " > /dev/null");
    CHECK(limited.status != 0);
    CHECK(limited.output.find(": cannot be written: File too large\n") != std::string::npos);
    CHECK(is_one_line(limited.output));
    const CommandResult closed = run_command("{ sleep 0.3; " + lesson + "; echo status $? >&2; } | true");
    CHECK(closed.output.ends_with(": the output cannot be written: Broken pipe\nstatus 1\n"));
}

TEST_CASE("walkthroughs: an output path that cannot be written is refused before anything is computed, for every option") {
    std::size_t options = 0;
    for (const std::string& program : built_walkthroughs())
        for (const std::string option : {"--save", "--out"}) {
            if (run_command(program + " --help").output.find("  " + option + " ") == std::string::npos) continue;
            ++options;
            const CommandResult refused = run_command("timeout 5 " + program + " " + option + " /no/such/folder/model");
            INFO(program, ": ", refused.output);
            CHECK(refused.status == 2);
            CHECK(is_one_line(refused.output));
            CHECK(refused.output.find(option + " /no/such/folder/model") != std::string::npos);
        }
    CHECK((options >= 7 || built_walkthroughs().empty()));
}

TEST_CASE("walkthroughs: an option that can have no effect beside another is refused before anything is computed") {
    struct Pair {
        std::string program, given;
        std::vector<std::string> without_effect;
    };
    const std::string weights = "--weights a";
    const std::vector<Pair> pairs{
        {"nn/interpret/rollout", weights, {"--steps 2", "--puzzles 2"}},
        {"nn/interpret/logit_lens", weights, {"--steps 2", "--texts 2"}},
        {"nn/interpret/activation_patching", weights, {"--steps 2", "--texts 2"}},
        {"vit/language/clip", weights, {"--steps 2"}},
        {"vit/vit", weights, {"--train-images a", "--train-labels a", "--test-images a", "--test-labels a", "--epochs 1"}},
        {"bert/bert", weights, {"--steps 2", "--pieces 200", "--chain-steps 0"}},
        {"bert/bert", "--text a", {"--chain-steps 0"}},
        {"vit/patch_embedding", "--image a", {"--digit 1"}},
        {"vit/mask_pixels/hog", "--image a", {"--digit 1"}},
        {"vit/masked_family", "--whole", {"--steps 2", "--teacher-steps 2", "--seeds 2"}},
        {"rlhf/ranking", "--rank", {"--noise 1", "--seeds 2"}},
        {"rlhf/ranking", "--rankings a", {"--noise 1", "--seeds 2"}},
        {"vit/fields/plenoxels", "--photographs a", {"--spheres a", "--views 2", "--side 8"}},
        {"nn/interpret/rollout", "", {"--heads 2"}},
        {"nn/interpret/logit_lens", "", {"--heads 2"}},
        {"nn/interpret/activation_patching", "", {"--heads 2"}},
        {"vit/language/clip", "", {"--image-heads 2", "--text-heads 2", "--vocab a", "--merges a"}},
        {"bert/mlm", "", {"--cased"}},
        {"bert/bert", "", {"--cased", "--pieces 200"}},
        {"gpt/bpe", "", {"--vocab a"}},
        {"vit/fields/plenoxels", "", {"--test-photographs a", "--widest 9", "--test-views 2"}}};
    if (built_walkthroughs().empty()) return;
    for (const Pair& pair : pairs)
        for (const std::string& option : pair.without_effect) {
            const std::string program = std::string(BUILT) + "/walk/" + pair.program;
            const CommandResult refused = run_command("timeout 5 " + program + " " + pair.given + " " + option);
            INFO(program, " ", pair.given, " ", option, ": ", refused.output);
            CHECK(refused.status == 2);
            CHECK(is_one_line(refused.output));
            CHECK(refused.output.find(option.substr(0, option.find(' ')) + " means ") != std::string::npos);
        }
}

// printf and strtod ask the locale for the decimal point, as std::to_string does of a double.
TEST_CASE("locale: only nn/base/decimal.h and nn/data/text.h write and read decimal numbers") {
    for (const std::string& file : files_in(library_folders, {".h", ".cpp"}))
        for (const std::string& line : lines_of(file)) {
            INFO(file, ": ", line);
            for (const std::string call : {"strtod(", "strtof(", "stod(", "stof(", "atof(", "setlocale("})
                CHECK(line.find(call) == std::string::npos);
            const std::size_t format = line.find("printf(");
            if (format == std::string::npos) continue;
            bool shows_decimals = false;  // "%.4f", "%10.*g"
            for (std::size_t at = line.find('%', format); at != std::string::npos; at = line.find('%', at + 1)) {
                const std::size_t letter = line.find_first_not_of("0123456789.*+- #", at + 1);
                shows_decimals = shows_decimals ||
                                 (letter != std::string::npos && std::string("fFeEgGa").find(line[letter]) != std::string::npos);
            }
            CHECK_FALSE(shows_decimals);
        }
}

// The names of variables that the Makefile uses, "$(OPT)", without those that users may set and those of make itself.
static std::set<std::string> own_variables_of_makefile() {
    const std::set<std::string> from_outside{"CXX", "CXXFLAGS", "LDFLAGS", "BUILD",        "ARGS",   "DEBUGGER",
                                             "V",   "WERROR",   "MAKE",    "MAKECMDGOALS", "CURDIR", "MAKEFLAGS"};
    std::set<std::string> names;
    for (const std::string& line : lines_of("Makefile"))
        for (std::size_t at = line.find("$("); at != std::string::npos; at = line.find("$(", at + 1)) {
            std::size_t end = at + 2;
            while (end < line.size() && (std::isalpha(static_cast<unsigned char>(line[end])) || line[end] == '_')) ++end;
            const std::string name = line.substr(at + 2, end - at - 2);
            if (end < line.size() && line[end] == ')' && !name.empty() && from_outside.count(name) == 0) names.insert(name);
        }
    return names;
}

static std::string make_in(const std::string& environment, const std::string& words) {
    return run_command("env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u CXX -u BUILD " + environment + " make --no-print-directory " +
                       words)
        .output;
}

TEST_CASE("Makefile: its own variables do not depend on the environment") {
    const std::set<std::string> names = own_variables_of_makefile();
    CHECK(names.count("MORE") + names.count("OPT") + names.count("HEADERS") == 3);
    std::string environment;
    for (const std::string& name : names) environment += name + "=-from-outside ";
    const std::string what =
        "-n -B build/release/objects/nn/base/matmul.o build/release/objects/nn/base/random.o "
        "build/release/objects/nn/data/text.o build/release/library.a";
    const std::string plain = make_in("", what), changed = make_in(environment, what);
    CHECK(plain.find("nn/base/matmul.cpp") != std::string::npos);
    CHECK(changed == plain);
}

TEST_CASE("Makefile: a build folder from another processor is rebuilt") {
    const TemporaryFolder folder;
    // A compiler that defines what the variable PROCESSOR says, as g++ -march=native defines what the processor can do.
    const std::string compiler =
        folder.file("cxx", "#!/bin/sh\ncase \"$*\" in *-dM*) echo \"#define $PROCESSOR\" ;; *--version*) echo 1 ;; esac\n");
    fs::permissions(compiler, fs::perms::owner_all);
    const std::string flags = "build/release-cxx/flags";
    const auto flags_on = [&](const std::string& processor) {
        make_in("PROCESSOR=" + processor, "CXX=" + compiler + " " + flags);
        return lines_of(flags);
    };
    const std::vector<std::string> one = flags_on("one");
    CHECK(one.size() == 1);
    const fs::file_time_type written = fs::exists(flags) ? fs::last_write_time(flags) : fs::file_time_type{};
    CHECK(flags_on("one") == one);
    CHECK(fs::last_write_time(flags) == written);  // not touched: nothing is compiled again
    CHECK(flags_on("two") != one);
    fs::remove_all("build/release-cxx");
}

TEST_CASE("Makefile: a folder in which nothing can be built is refused in one line, and help needs none") {
    const TemporaryFolder folder;
    fs::copy("Makefile", folder.path("Makefile"));
    const std::string build = folder.file("build", "");  // a file stands in the way, as permissions do for other users than root
    const std::string in_folder = "-C " + folder.path("") + " ";
    const std::string refused = make_in("", in_folder + "all 2>&1");
    CHECK(refused.find("build/release cannot be written; copy the project into a folder of your own") != std::string::npos);
    CHECK(std::count(refused.begin(), refused.end(), '\n') == 1);
    CHECK(make_in("", in_folder + "help 2>&1").find("cannot be written") == std::string::npos);
    fs::remove(build);
    CHECK(make_in("", in_folder + "build/release/flags 2>&1").find("cannot be written") == std::string::npos);
}

TEST_CASE("Makefile: the user's CXXFLAGS and LDFLAGS come before its own options, which stay, and fast-math is removed") {
    const TemporaryFolder folder;
    const std::string compiler = folder.file("cxx", "#!/bin/sh\n");
    fs::permissions(compiler, fs::perms::owner_all);
    const std::string what = "CXX=" + compiler + " BUILD='release ' build/release-cxx/flags";
    const std::string flags = "build/release-cxx/flags";
    make_in("", what);
    const std::string plain = lines_of(flags).at(0);
    const std::string own = plain.substr(plain.find("-std=c++20"));
    const std::string both = "CXXFLAGS='-g -ffast-math -Ofast' LDFLAGS=-s ";
    for (const bool in_environment : {true, false}) {
        make_in(in_environment ? both : "", (in_environment ? "" : both) + what);
        std::string with_both = own;
        CHECK(lines_of(flags).at(0) == compiler + " -g " + with_both.replace(with_both.rfind("-pthread"), 0, "-s "));
    }
    fs::remove_all("build/release-cxx");
}

TEST_CASE("Makefile: no compiler, or an unknown BUILD, is refused in one line") {
    for (const std::string compiler : {"", "no-such-compiler"})
        CHECK(
            make_in("", "-n CXX=" + compiler).find("*** CXX=" + compiler + " is not a program; name a C++20 compiler: CXX=g++") !=
            std::string::npos);
    CHECK(make_in("", "-n BUILD=fast").find("*** BUILD=fast is unknown; it may be release, debug or asan") != std::string::npos);
}

TEST_SUITE_END();
