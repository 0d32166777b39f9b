#include "course/grade/submission.h"

#include <unistd.h>

#include <filesystem>
#include <optional>

#include "course/grade/body.h"
#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/data/text.h"

namespace fs = std::filesystem;

static constexpr std::size_t largest_file = 1 << 20;

std::string handed_in(const std::string& folder, const std::string& file) {
    std::string found;
    const std::string name = fs::path(file).filename().string();
    if (fs::is_regular_file(folder + "/" + file)) {
        found = folder + "/" + file;
    } else {
        for (const std::string& path : files_below(folder)) {
            if (fs::path(path).filename().string() != name) continue;
            if (!found.empty()) return "";
            found = path;
        }
    }
    if (found.empty() || !fs::is_regular_file(found) || fs::file_size(found) > largest_file) return "";
    // A link could lead to the solution.
    const std::string root = fs::canonical(folder).string() + "/";
    return fs::canonical(found).string().starts_with(root) && !fs::is_symlink(found) ? read_file(found) : "";
}

Exam read_exam(const std::string& folder, const std::vector<Task>& tasks) {
    const std::vector<std::string> lines = split_lines(read_file(folder + "/seed"));
    const std::optional<long> seed = lines.empty() ? std::nullopt : whole_number(lines[0]);
    require(seed.has_value(), folder, "/seed: holds no number");
    Exam exam{.tasks = tasks, .seed = static_cast<int>(*seed), .expected = {}};
    for (const Task& task : tasks) exam.expected[task.name] = read_expected(folder + "/" + task.name + ".txt");
    return exam;
}

Handed handed_body(const Task& task, const std::string& text) {
    if (text.empty()) return {"", task.file + " was not submitted"};
    try {
        const std::string body = body_of(text, task.body, task.file);
        const std::string why = objection(body, task.without);
        if (!why.empty()) return {"", task.file + ": " + task.name + ": " + why};
        if (is_blank(body, task.name)) return {"", "not written yet"};
        return {body, ""};
    } catch (const std::exception& error) {
        return {"", error.what()};
    }
}

namespace {
struct Built {
    std::string answers, tests;  // the programs, kept in memory: no student's program can touch that of another
};
}  // namespace

static void put_program(const std::string& path, const std::string& bytes) {
    write_file_atomically(path, bytes);
    fs::permissions(path, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read |
                              fs::perms::others_exec);
}

// Programs run under the account `nobody`, which must enter the folders and read the files whatever the umask of the grader is.
static void open_to_all(const std::string& folder) {
    const fs::perms read = fs::perms::group_read | fs::perms::others_read, enter = fs::perms::group_exec | fs::perms::others_exec;
    fs::permissions(folder, read | enter, fs::perm_options::add);
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
        fs::permissions(entry.path(), entry.is_directory() ? read | enter : read, fs::perm_options::add);
}

// A folder of its own for the programs of one task, with the files that public tests read.
static Programs lay_out(const Built& built, const Tree& tree, const std::string& folder) {
    fs::remove_all(folder);
    fs::create_directories(folder + "/tests");
    for (const char* const part : {"tests/golden", "walkthroughs/data"})
        if (fs::exists(tree.folder + "/" + part)) {
            fs::create_directories(fs::path(folder + "/" + part).parent_path());
            fs::copy(tree.folder + "/" + part, folder + "/" + part, fs::copy_options::recursive);
        }
    put_program(folder + "/answers", built.answers);
    if (!built.tests.empty()) put_program(folder + "/tests/run", built.tests);
    open_to_all(folder);
    return {.folder = folder, .answers = "./answers", .tests = "./tests/run"};
}

std::vector<Graded> grade_bodies(const Exam& exam, const std::map<std::string, Handed>& bodies, const Tree& tree,
                                 const std::string& scratch, bool with_cases) {
    std::vector<Graded> all;
    std::vector<Built> programs;
    for (const Task& task : exam.tasks) {
        Graded graded;
        graded.task = task;
        Built built;
        const auto handed = bodies.find(task.name);
        graded.refused = handed == bodies.end() ? task.file + " was not submitted" : handed->second.refused;
        if (graded.refused.empty()) {
            const std::string solution = read_file(tree.folder + "/" + task.file);
            const Change change(tree, task.file, with_body(solution, task.body, handed->second.body + "\n", task.file));
            const std::string complaint = build(tree, with_cases);
            if (complaint.empty()) {
                const Programs made = programs_of(tree);
                built.answers = read_file(tree.folder + "/" + made.answers);
                if (with_cases) built.tests = read_file(tree.folder + "/" + made.tests);
            } else {
                graded.refused = "it does not compile:\n" + complaint;
            }
        }
        all.push_back(graded);
        programs.push_back(built);
    }
    const bool as_nobody = geteuid() == 0;
    for (std::size_t k = 0; k < all.size(); ++k) {
        if (!all[k].refused.empty()) continue;
        const Programs laid_out = lay_out(programs[k], tree, scratch + "/" + all[k].task.name);
        grade(all[k], laid_out, exam.seed, exam.expected.at(all[k].task.name), with_cases, as_nobody);
        std::error_code none;
        fs::remove_all(scratch + "/" + all[k].task.name, none);
    }
    return all;
}

std::string results_json(const std::vector<Graded>& graded, double seconds) {
    std::string tests;
    int number = 0;
    for (const Graded& one : graded) {
        ++number;
        tests += tests.empty() ? "\n" : ",\n";
        tests +=
            "  {\"name\": " + json_string(one.task.name + ": " + one.task.title) + ", \"number\": \"" + std::to_string(number) +
            "\", \"score\": " + short_digits(one.score(), 6) + ", \"max_score\": " + std::to_string(one.task.points) +
            ", \"status\": \"" + (one.complete() ? "passed" : "failed") + "\", \"visibility\": \"visible\", \"tags\": [" +
            json_string(one.task.module) + "], \"output\": " + json_string(encode_utf8(decode_utf8(report_of(one, false)))) + "}";
    }
    return "{\"execution_time\": " + short_digits(seconds, 4) +
           ", \"visibility\": \"visible\", \"stdout_visibility\": \"hidden\", \"tests\": [" + tests + "\n]}\n";
}
