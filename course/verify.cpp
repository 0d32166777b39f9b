// verify.cpp: the proof that the course does what it says, for every task of the table or a sample; teacher.h says what is
// proved.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "course/grade/body.h"
#include "course/teacher.h"
#include "nn/base/require.h"
#include "nn/data/file.h"

static constexpr int seeds_tried = 5;  // the seed of the options and those after it

static void say(const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

namespace {
// Counts what does not hold, and says it.
struct Proof {
    int failures = 0, statements = 0;

    void holds(bool condition, const std::string& statement) {
        ++statements;
        if (condition) return;
        ++failures;
        say("DOES NOT HOLD: " + statement);
    }
};
}  // namespace

static std::vector<Task> chosen_tasks(const VerifyOptions& options) {
    const std::vector<Task> all = all_tasks();
    std::vector<Task> some;
    const int n = static_cast<int>(all.size()), count = options.sample > 0 ? std::min(options.sample, n) : n;
    for (int k = 0; k < count; ++k)
        some.push_back(all[static_cast<std::size_t>(k) * static_cast<std::size_t>(n) / static_cast<std::size_t>(count)]);
    if (options.only.empty()) return some;
    some.clear();
    for (const Task& task : all)
        if (task.name == options.only) some.push_back(task);
    require(!some.empty(), "course: there is no task ", options.only);
    return some;
}

static std::string body_in(const std::string& text, const Task& task) { return body_of(text, task.body, task.file); }

// Every task with the tree's own solution: nothing is cut out or put in.
static std::vector<Graded> graded_as_built(const Exam& exam, const Tree& tree, bool with_cases) {
    const std::string complaint = build(tree, with_cases);
    require(complaint.empty(), "course: the solution does not compile: ", complaint);
    std::vector<Graded> all;
    for (const Task& task : exam.tasks) {
        Graded graded;
        graded.task = task;
        grade(graded, programs_of(tree), exam.seed, exam.expected.at(task.name), with_cases, false);
        all.push_back(graded);
    }
    return all;
}

static std::string solution_body(const Task& task) { return body_in(read_file(task.file), task); }
static std::string last_hint_body(const Task& task) { return leading_checks(solution_body(task)) + "\n" + task.code; }
static std::string blank_body(const Task& task) {
    return body_in(blanked(read_file(task.file), task.body, task.name, task.contracts[0].file, task.file), task);
}

static void all_points(Proof& proof, const std::vector<Graded>& graded, const std::string& what) {
    for (const Graded& one : graded)
        proof.holds(one.complete(), one.task.name + ": " + what + " earns all points\n" + report_of(one, true));
    say(what + ": " + std::to_string(graded.size()) + " tasks graded");
}

// The last hint's body, of every task: the questions of every seed, the public tests once.
static void hints_earn_all(Proof& proof, const std::vector<Exam>& exams, const Tree& tree, bool with_cases) {
    for (const Task& task : exams[0].tasks) {
        const std::string solution = read_file(tree.folder + "/" + task.file);
        const Change change(tree, task.file, with_body(solution, task.body, last_hint_body(task) + "\n", task.file));
        const std::string complaint = build(tree, with_cases);
        proof.holds(complaint.empty(), task.name + ": the last hint compiles\n" + complaint);
        if (!complaint.empty()) continue;
        for (const Exam& exam : exams) {
            Graded graded;
            graded.task = task;
            const bool first = exam.seed == exams[0].seed;
            if (!first) graded.task.cases.clear();  // their points go to the questions
            grade(graded, programs_of(tree), exam.seed, exam.expected.at(task.name), with_cases && first, false);
            proof.holds(graded.complete(), task.name + ": the last hint earns all points, seed " + std::to_string(exam.seed) +
                                               "\n" + report_of(graded, true));
        }
    }
    say("the last hint: " + std::to_string(exams[0].tasks.size()) + " tasks graded, " + std::to_string(exams.size()) + " seeds");
}

static bool says_unwritten(const std::string& words, const Task& task) {
    return words.find(not_written(task.name)) != std::string::npos;
}

// The blank's own task: no point, and every public case fails.
static void earns_nothing(Proof& proof, const Graded& one) {
    proof.holds(one.score() == 0, one.task.name + ": a blank earns nothing\n" + report_of(one, true));
    for (std::size_t k = 0; k < one.cases.size(); ++k)
        proof.holds(!one.cases[k].passed, one.task.name + ": the blank fails " + one.task.cases[k].title);
}

// Another task beside the blank: what it loses, it loses by calling the blank, and the failure says so.
//   returns  whether it waits for the blank
static bool names_the_blank(Proof& proof, const Graded& one, const Task& blank) {
    bool waits = false;
    if (one.comparison.right < one.comparison.asked) {
        waits = true;
        proof.holds(says_unwritten(one.comparison.difference, blank),
                    one.task.name + ": an answer is wrong while only " + blank.name + " is blank\n" + report_of(one, true));
    }
    for (std::size_t k = 0; k < one.cases.size(); ++k) {
        if (one.cases[k].passed) continue;
        waits = true;
        proof.holds(says_unwritten(one.cases[k].said, blank),
                    one.task.name + ": a case fails while only " + blank.name + " is blank\n" + report_of(one, true));
    }
    return waits;
}

// Each task alone is blanked, and all tasks of its module are asked and tested.
static void blanks_fail_their_own(Proof& proof, const Exam& exam, const Tree& tree, bool with_cases) {
    std::string waiting;
    for (const Task& blank : exam.tasks) {
        const std::string solution = read_file(tree.folder + "/" + blank.file);
        const Change change(tree, blank.file, with_body(solution, blank.body, blank_body(blank) + "\n", blank.file));
        const std::string complaint = build(tree, with_cases);
        proof.holds(complaint.empty(), blank.name + ": a blank compiles\n" + complaint);
        if (!complaint.empty()) continue;
        for (const Task& task : exam.tasks) {
            if (task.module != blank.module) continue;
            Graded graded;
            graded.task = task;
            grade(graded, programs_of(tree), exam.seed, exam.expected.at(task.name), with_cases, false);
            if (task.name == blank.name)
                earns_nothing(proof, graded);
            else if (names_the_blank(proof, graded, blank))
                waiting += " " + task.name + " for " + blank.name + ",";
        }
    }
    say("blanks: " + std::to_string(exam.tasks.size()) +
        " tasks graded; waiting for another:" + (waiting.empty() ? " none" : waiting));
}

// Every mistake inside the function is caught by the questions, and named by its numbers or by a relation.
static void mistakes_are_named(Proof& proof, const Exam& exam) {
    int planted = 0, named = 0, by_relation = 0;
    for (const Task& task : exam.tasks) {
        const Expected& expected = exam.expected.at(task.name);
        Expected strangers = expected;  // without knowing any mistake
        strangers.mistakes.clear();
        for (const KnownMistake& mistake : expected.mistakes) {
            ++planted;
            const Comparison known = compare(mistake.answers, expected), unknown = compare(mistake.answers, strangers);
            const bool by_questions = known.right < known.asked;
            proof.holds(by_questions,
                        task.name + ": the questions of seed " + std::to_string(exam.seed) + " notice " + mistake.name);
            named += (" " + known.mistake + " ").find(" " + mistake.name + " ") != std::string::npos;
            by_relation += unknown.cause.starts_with("fits: ");
        }
    }
    say("mistakes, seed " + std::to_string(exam.seed) + ": " + std::to_string(planted) + " planted, " + std::to_string(named) +
        " named by their answers, " + std::to_string(by_relation) + " by the numbers alone");
    proof.holds(10 * named >= 9 * planted, "nine of ten mistakes are named");
}

// With each task's first mistake as a twist: the twisted solution earns all points, the published one does not and is told why.
static void twists_separate(Proof& proof, const std::vector<Task>& tasks, int seed, const Tree& tree) {
    const PackOptions options{.module = "", .seed = seed, .twist = "auto"};
    const std::map<std::string, Mistake> twists = twists_of(tasks, options);
    std::vector<Task> twisted;
    for (Task task : tasks) {
        task.cases.clear();  // public tests judge by the published form
        if (twists.count(task.name) > 0) twisted.push_back(task);
    }
    if (twisted.empty()) return;
    const Exam exam = make_exams(twisted, {seed}, twists, tree, false, nullptr)[0];
    std::map<std::string, Handed> own, published;
    for (const Task& task : twisted) {
        own[task.name] = {body_in(reference_text(task, twists), task), ""};
        published[task.name] = {solution_body(task), ""};
    }
    all_points(proof, grade_bodies(exam, own, tree, "build/course/runs", false), "the twist, on its own questions,");
    for (const Graded& one : grade_bodies(exam, published, tree, "build/course/runs", false)) {
        proof.holds(one.score() < one.task.points, one.task.name + ": the published form loses points under the twist");
        proof.holds(one.comparison.mistake.find("published") != std::string::npos,
                    one.task.name + ": the published form is recognised\n" + report_of(one, true));
    }
}

// Bodies that do something else than answering, past the list of what is refused: none of them earns a point.
static void hostile_bodies_earn_nothing(Proof& proof, const Exam& exam, const Tree& tree, bool with_cases) {
    Exam one = exam;
    one.tasks.resize(1);
    const Task& task = one.tasks[0];
    for (const char* const body :
         {"for (volatile int x = 0;; x = x + 1) {}", "__builtin_exit(0);", "__builtin_abort();",
          "__builtin_printf(\"1 passed, 0 failed\\n\"); __builtin_exit(0);", "*static_cast<volatile int*>(nullptr) = 1;",
          "throw 1;", "for (;;) __builtin_printf(\"1 passed, 0 failed\\n\");", "this is no program"}) {
        const std::map<std::string, Handed> bodies{{task.name, {std::string(body) + "\n__builtin_unreachable();", ""}}};
        const Graded graded = grade_bodies(one, bodies, tree, "build/course/runs", with_cases)[0];
        proof.holds(graded.score() == 0, task.name + ": nothing is earned by " + body + "\n" + report_of(graded, true));
    }
    say("hostile bodies: 8 tried on " + task.name);
}

// The starters of all modules: make finds every file that it needs, doctest's header too; built without a warning, 0 points.
//   built  false: only whether all files are there
static void starters_are_empty(Proof& proof, const Tree& here, const Tree& tree, bool built) {
    std::string make;
    for (const std::string& word : here.make) make += word + " ";
    for (const std::string& module : all_modules()) {
        const std::string folder = "build/course/starter-" + module, log = folder + ".log";
        write_starter(folder, module, tree);
        const std::string look = "cd " + folder + " && " + make + "-n course-build > ../starter-" + module + ".log 2>&1";
        proof.holds(std::system(look.c_str()) == 0, module + ": the starter has every file that make needs; see " + log);
        proof.holds(is_file(folder + "/doctest/doctest/doctest.h"), module + ": the starter has doctest's header");
        if (!built) continue;
        const std::string build = "cd " + folder + " && " + make + "WERROR=1 course-build > ../starter-" + module + ".log 2>&1";
        proof.holds(std::system(build.c_str()) == 0, module + ": the starter builds without a warning; see " + log);
        for (const Task& task : all_tasks(module)) {
            const std::string check = "cd " + folder + " && " + here.out + "/run_course check " + task.name + " > check.log 2>&1";
            proof.holds(std::system(check.c_str()) != 0 && read_file(folder + "/check.log").starts_with(task.name + "   0 of"),
                        task.name + ": in the starter it has 0 points");
        }
        say("starter of " + module + ": built");
    }
}

static void without_cases(Exam& exam) {
    for (Task& task : exam.tasks) task.cases.clear();
}

int verify(const VerifyOptions& options, const Tree& here) {
    Proof proof;
    const std::vector<Task> tasks = chosen_tasks(options);
    copy_project("build/course/verify", here.out);
    Tree tree = here;
    tree.folder = "build/course/verify";
    std::vector<int> seeds;
    for (int k = 0; k < seeds_tried; ++k) seeds.push_back(options.seed + k);
    std::vector<Exam> exams = make_exams(tasks, seeds, {}, tree, true, say);
    if (!options.with_cases)
        for (Exam& exam : exams) without_cases(exam);
    const Exam& exam = exams[0];
    all_points(proof, graded_as_built(exam, tree, options.with_cases), "the solution");
    hints_earn_all(proof, exams, tree, options.with_cases);
    blanks_fail_their_own(proof, exam, tree, options.with_cases);
    for (const Exam& one : exams) mistakes_are_named(proof, one);
    hostile_bodies_earn_nothing(proof, exam, tree, options.with_cases);
    twists_separate(proof, tasks, options.seed, tree);
    starters_are_empty(proof, here, tree, options.sample == 0 && options.only.empty());
    std::printf("%d statements, %d of them do not hold\n", proof.statements, proof.failures);
    return proof.failures == 0 ? 0 : 1;
}
