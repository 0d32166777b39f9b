#include "course/teacher.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "course/grade/body.h"
#include "course/pack/closure.h"
#include "course/pack/handout.h"
#include "course/pack/quiz.h"
#include "course/pack/zip.h"
#include "nn/base/clock.h"
#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

namespace fs = std::filesystem;

static constexpr int public_seed = 1;
static const std::string work_folder = "build/course/work";

static void say(const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

// The same way of building, in a copy of the project.
static Tree copied(const Tree& here) {
    copy_project(work_folder, here.out);
    Tree tree = here;
    tree.folder = work_folder;
    return tree;
}

std::map<std::string, Mistake> twists_of(const std::vector<Task>& tasks, const PackOptions& options) {
    const std::vector<Mistake> all = all_mistakes();
    std::map<std::string, Mistake> twists;
    std::set<std::string> wanted;
    for (const std::string& name : split(options.twist, ' '))
        if (!name.empty()) wanted.insert(name);
    const bool automatic = wanted.erase("auto") > 0;
    for (const Task& task : tasks) {
        const std::vector<Mistake> inside = mistakes_of(task, all);
        if (automatic && !inside.empty()) twists[task.name] = inside[static_cast<std::size_t>(options.seed) % inside.size()];
        for (const Mistake& mistake : inside)
            if (wanted.erase(mistake.name) > 0) twists[task.name] = mistake;
    }
    require(wanted.empty(), "course: the twist ", wanted.empty() ? "" : *wanted.begin(), " is not a mistake inside a task of ",
            options.module);
    return twists;
}

// Public tests that judge by the published form cannot count where a twist asks for another one: those that the reference fails
// go, and their points go to the questions.
static void drop_cases(Exam& exam, const std::map<std::string, Mistake>& twists, const Tree& tree, const std::string& scratch) {
    std::map<std::string, Handed> references;
    Exam twisted = exam;
    std::erase_if(twisted.tasks, [&](const Task& task) { return twists.count(task.name) == 0; });
    for (const Task& task : twisted.tasks)
        references[task.name] = {body_of(reference_text(task, twists), task.body, task.file), ""};
    for (const Graded& graded : grade_bodies(twisted, references, tree, scratch))
        for (Task& task : exam.tasks) {
            if (task.name != graded.task.name) continue;
            task.cases.clear();
            for (std::size_t k = 0; k < graded.cases.size(); ++k)
                if (graded.cases[k].passed) task.cases.push_back(graded.task.cases[k]);
        }
}

// --- what goes into the archives ---

static std::string command_output(const std::string& command) {
    std::string text;
    if (std::FILE* const pipe = popen(command.c_str(), "r")) {
        for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
        pclose(pipe);
    }
    return text;
}

// doctest's header, so that it need not be installed; "" when the compiler does not find it.
static std::string doctest_header() {
    const std::string option = is_file("build/doctest/option") ? split_lines(read_file("build/doctest/option"))[0] : "";
    std::string listed = command_output("printf '#include <doctest/doctest.h>\\n' | ${CXX:-c++} " + option +
                                        " -std=c++20 -M -x c++ - 2>/dev/null");
    std::replace(listed.begin(), listed.end(), '\n', ' ');
    for (const std::string& word : split(listed, ' '))
        if (word.ends_with("doctest/doctest.h")) return read_file(word);
    return "";
}

// The files with which the tasks of a module can be built and tested.
static std::set<std::string> sources_of(const Exam& exam, const std::string& module) {
    std::set<std::string> suites;
    std::vector<std::string> roots{"course/run_course.cpp", "course/verify.cpp", "course/run_answers.cpp",
                                   "course/drawn/" + module + ".cpp", "tests/main.cpp"};
    for (const Task& task : exam.tasks) {
        roots.push_back(task.file);
        for (const PublicCase& one : task.cases) suites.insert(one.suite);
        for (const Contract& contract : task.contracts) roots.push_back(contract.file);
    }
    for (const std::string& file : files_of_suites(suites)) roots.push_back(file);
    std::set<std::string> files = closure(roots);
    for (const std::string& fixture : fixtures_of(files)) files.insert(fixture);
    for (const char* const other : {"Makefile", "course/rules.mk", "LICENSE", "tests/find_doctest.sh", "tools/standard.h"})
        files.insert(other);
    return files;
}

static void add_exam(std::map<std::string, std::string>& files, const std::string& folder, const Exam& exam) {
    files[folder + "/seed"] = std::to_string(exam.seed) + "\n";
    for (const auto& [name, expected] : exam.expected) files[folder + "/" + name + ".txt"] = text_of(expected);
}

static std::map<std::string, std::string> read_all(const std::set<std::string>& paths) {
    std::map<std::string, std::string> files;
    for (const std::string& path : paths) files[path] = read_file(path);
    if (const std::string header = doctest_header(); !header.empty()) files["doctest/doctest/doctest.h"] = header;
    return files;
}

static std::map<std::string, std::string> starter_files(const Exam& exam, const std::string& module,
                                                        const std::map<std::string, Mistake>& twists) {
    std::map<std::string, std::string> files = read_all(sources_of(exam, module));
    for (const Task& task : exam.tasks) {
        Task given = task;
        if (twists.count(task.name) > 0) given.code = "// This course asks for another form than the paper: see the handout.\n";
        files[task.file] = blanked(files[task.file], task.body, task.name, task.contracts[0].file, task.file);
        files["course/tasks/" + task.name + ".txt"] = sealed_text(given);
    }
    add_exam(files, "course/expected", exam);
    files["README.md"] = read_file("course/STUDENTS.md");
    return files;
}

static bool is_executable(const std::string& path) {
    return path.ends_with(".sh") || path == "setup.sh" || path == "run_autograder";
}

static void write_folder(const std::string& folder, const std::map<std::string, std::string>& files) {
    fs::remove_all(folder);
    for (const auto& [path, bytes] : files) {
        const std::string to = folder + "/" + path;
        fs::create_directories(fs::path(to).parent_path());
        write_file_atomically(to, bytes);
        if (is_executable(path))
            fs::permissions(to, fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec, fs::perm_options::add);
    }
}

// Built where it will run: the processor that made this archive may know other instructions.
static const char* const setup_script =
    "#!/bin/sh\n"
    "# Run once, when Gradescope builds the container.\n"
    "apt-get update && apt-get install -y g++ make\n"
    "cd /autograder/source/tree && make -j2 ARCH= course-build\n"
    "chmod -R go-rwx /autograder/source\n";

static std::string run_script(const std::string& module) {
    return "#!/bin/sh\n"
           "# Run for every submission. What the submission prints or returns is not asked: run_course compares and writes the "
           "results.\n"
           "cd /autograder/source/tree || exit 1\n"
           "chmod -R go-rwx /autograder/source\n"
           "chmod go-rwx /autograder/results\n"
           "build/release/run_course grade " +
           module +
           " --make 'make ARCH=' --submission /autograder/submission --json /autograder/results/results.json --scratch "
           "/tmp/course\n";
}

static std::map<std::string, std::string> autograder_files(const Exam& exam, const std::string& module,
                                                           const std::map<std::string, Mistake>& twists) {
    std::map<std::string, std::string> files;
    for (const auto& [path, bytes] : read_all(sources_of(exam, module))) files["tree/" + path] = bytes;
    for (const Task& task : exam.tasks) {
        std::string& text = files["tree/" + task.file];
        if (const auto twist = twists.find(task.name); twist != twists.end()) text = with_mistake(text, twist->second);
        files["tree/course/tasks/" + task.name + ".txt"] = sealed_text(task);
    }
    add_exam(files, "tree/course/expected", exam);
    files["setup.sh"] = setup_script;
    files["run_autograder"] = run_script(module);
    return files;
}

static std::string zipped(const std::map<std::string, std::string>& files) {
    std::vector<ZipFile> list;
    for (const auto& [name, bytes] : files) list.push_back({name, bytes, is_executable(name)});
    return zip_bytes(list);
}

static std::string ledger_of(const std::string& module) {
    if (module == "attention") return "nn/README.md";
    return module == "language" ? "bert/README.md" : module + "/README.md";
}

int make_pack(const PackOptions& options, const Tree& here) {
    const std::vector<Task> tasks = all_tasks(options.module);
    const std::map<std::string, Mistake> twists = twists_of(tasks, options);
    const std::string folder = "build/course/" + options.module + "-" + std::to_string(options.seed);
    fs::remove_all(folder);
    fs::create_directories(folder);
    const Tree tree = copied(here);
    std::vector<Exam> exams = make_exams(tasks, {public_seed, options.seed}, twists, tree, true, say);
    if (!twists.empty()) drop_cases(exams[0], twists, tree, work_folder + "-runs");
    exams[1].tasks = exams[0].tasks;

    const std::string name = options.module + "-" + std::to_string(options.seed);
    write_folder(folder + "/" + name, starter_files(exams[0], options.module, twists));
    const std::string tar =
        "tar -C '" + folder + "' -czf '" + folder + "/starter.tar.gz' '" + name + "' && rm -rf '" + folder + "/" + name + "'";
    require(std::system(tar.c_str()) == 0, "course: tar could not make ", folder, "/starter.tar.gz");
    write_file_atomically(folder + "/handout.html", handout_html(options.module, options.seed, exams[0].tasks, twists));
    write_file_atomically(folder + "/autograder.zip", zipped(autograder_files(exams[1], options.module, twists)));
    const std::vector<QuizQuestion> quiz = quiz_of(ledger_of(options.module), options.seed);
    write_file_atomically(folder + "/quiz.gift", gift_text(quiz));
    write_file_atomically(folder + "/quiz.txt", paper_text(quiz, options.seed));
    fs::remove_all(work_folder);
    say("wrote " + folder + ": starter.tar.gz handout.html autograder.zip quiz.txt quiz.gift");
    return 0;
}

void write_starter(const std::string& folder, const std::string& module, const Tree& tree) {
    write_folder(folder, starter_files(make_exams(all_tasks(module), {public_seed}, {}, tree, false, nullptr)[0], module, {}));
}

int grade_submission(const std::string& module, const std::string& submission, const std::string& json,
                     const std::string& scratch, const Tree& here) {
    const double begin = seconds_now();
    const Exam exam = read_exam("course/expected", all_tasks(module));
    std::map<std::string, Handed> bodies;
    for (const Task& task : exam.tasks) bodies[task.name] = handed_body(task, handed_in(submission, task.file));
    const std::string complaint = build(here, true);  // what is built before a student's code does not count as its time
    require(complaint.empty(), "course: the solution does not compile: ", complaint);
    Tree tree = here;
    tree.build_seconds = 120;
    const std::vector<Graded> graded = grade_bodies(exam, bodies, tree, scratch);
    double score = 0;
    int of = 0;
    for (const Graded& one : graded) {
        say(report_of(one, false));
        score += one.score();
        of += one.task.points;
    }
    const std::string hints = handed_in(submission, "course/hints_read.txt");
    if (!hints.empty()) say("hints read, as the submission says:\n" + hints);
    say(fixed_digits(score, 2) + " of " + std::to_string(of) + " points");
    if (!json.empty()) write_file_atomically(json, results_json(graded, seconds_now() - begin));
    return 0;
}
