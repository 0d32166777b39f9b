// exam_test.cpp: exams and grades in a small tree, whose "compiler" writes programs that answer with a checksum of the source.
#include "course/exam.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "course/grade/body.h"
#include "course/grade/submission.h"
#include "course/teacher.h"
#include "nn/data/file.h"
#include "tests/course/project/small_project.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("exam");

static const std::string source = "nn/layers/mask.cpp";

// The answer is (checksum of the source without its blanks, seed); every public test passes.
static const char* const compiler = R"(mkdir -p out/tests
if grep -q 'syntax mistake' nn/layers/mask.cpp; then echo 'an error'; exit 1; fi
sum=$(tr -d ' \n' < nn/layers/mask.cpp | cksum | cut -d' ' -f1)
cat > out/run_answers <<END
#!/bin/sh
id -u
printf 'x\t1 2 %xp+0 %xp+0\n' $sum \$2 >&\$3
END
printf '#!/bin/sh\necho 1 passed, 0 failed\n' > out/tests/run
chmod +x out/run_answers out/tests/run
)";

static Tree small_tree(const TemporaryFolder& folder) {
    std::filesystem::permissions(folder.path(""), std::filesystem::perms(0755));  // a program may run as another user
    std::filesystem::create_directories(folder.path("nn/layers"));
    write_file_atomically(folder.path(source), read_file(source));
    write_file_atomically(folder.path("make.sh"), compiler);
    Tree tree;
    tree.folder = folder.path("");
    tree.out = "out";
    tree.make = {"sh", "make.sh"};
    return tree;
}

static std::vector<Task> causal_task() { return {read_task("course/tasks/causal.txt")}; }

static std::vector<std::string> names_of(const std::vector<KnownMistake>& mistakes) {
    std::vector<std::string> names;
    for (const KnownMistake& mistake : mistakes) names.push_back(mistake.name);
    return names;
}

static const std::vector<std::string> of_causal{"causal_hides_itself", "causal_no_cache", "causal_off_by_one", "causal_reversed"};

static std::vector<std::string> said;
static void keep_said(const std::string& line) { said.push_back(line); }

TEST_CASE("make_exams: the answers of the solution and of each mistake inside of the task's function, for every seed") {
    const TemporaryFolder folder;
    const Tree tree = small_tree(folder);
    said.clear();
    const std::vector<Exam> exams = make_exams(causal_task(), {3, 8}, {}, tree, true, keep_said);
    CHECK(said == std::vector<std::string>{"causal: 1 answers, 4 mistakes"});
    CHECK(read_file(folder.path(source)) == read_file(source));  // as it was
    REQUIRE(exams.size() == 2);
    for (const Exam& exam : exams) {
        const Expected& expected = exam.expected.at("causal");
        REQUIRE(expected.answers.size() == 1);
        CHECK(expected.answers[0].value(0, 1) == static_cast<float>(exam.seed));
        CHECK(names_of(expected.mistakes) == of_causal);
        for (const KnownMistake& mistake : expected.mistakes) {
            CHECK(mistake.answers.at(0).value(0, 0) != expected.answers[0].value(0, 0));
            CHECK(mistake.answers[0].value(0, 1) == static_cast<float>(exam.seed));
            const Mistake planted = read_mistake("course/mistakes/" + mistake.name + ".txt");
            CHECK(mistake.says == planted.says);
            CHECK(mistake.hint == planted.hint);
        }
    }
    CHECK(exams[1].seed == 8);
    CHECK(make_exams(causal_task(), {3}, {}, tree, false, nullptr)[0].expected.at("causal").mistakes.empty());

    write_exam(folder.path("exam"), exams[1]);
    const Exam read = read_exam(folder.path("exam"), causal_task());
    CHECK(read.seed == 8);
    CHECK(text_of(read.expected.at("causal")) == text_of(exams[1].expected.at("causal")));
}

TEST_CASE("make_exams: each task is asked in the solution, not in the program of the mistake before it") {
    const SmallProject project;  // every answer is a checksum of all sources
    const auto answers = [&](const std::map<std::string, Mistake>& twists) {
        std::vector<float> sums;
        const Exam exam = make_exams(all_tasks(), {3}, twists, project.tree, true, nullptr)[0];
        for (const char* const name : {"down", "half", "twice"}) sums.push_back(exam.expected.at(name).answers.at(0).value(0, 0));
        return sums;
    };
    const std::vector<float> published = answers({});
    CHECK(published == std::vector<float>(3, published[0]));
    const std::vector<float> twisted = answers(twists_of(all_tasks(), {.module = "attention", .twist = "up"}));
    CHECK(twisted[0] != published[0]);
    CHECK(twisted[1] == published[1]);
    CHECK(twisted[2] == published[2]);
}

TEST_CASE("make_exams: with a twist the twisted solution is right, and the published one a mistake that is named") {
    const TemporaryFolder folder;
    const Tree tree = small_tree(folder);
    const std::map<std::string, Mistake> twists = twists_of(causal_task(), {.module = "attention", .twist = "causal_no_cache"});
    const Expected published = make_exams(causal_task(), {3}, {}, tree, true, nullptr)[0].expected.at("causal");
    said.clear();
    const Expected twisted = make_exams(causal_task(), {3}, twists, tree, true, keep_said)[0].expected.at("causal");
    CHECK(said.at(0).ends_with(" mistakes, twist causal_no_cache"));
    CHECK(same_answer(twisted.answers[0], published.mistakes[1].answers[0]));
    REQUIRE_FALSE(twisted.mistakes.empty());
    CHECK(twisted.mistakes[0].name == "published");
    CHECK(same_answer(twisted.mistakes[0].answers[0], published.answers[0]));
    CHECK(twisted.mistakes[0].says.ends_with(twists.at("causal").says));
    CHECK(twisted.mistakes.size() > 1);  // those that leave the twist in place
    for (const KnownMistake& mistake : twisted.mistakes) CHECK(mistake.name != "causal_no_cache");
    CHECK(reference_text(causal_task()[0], {}) == read_file(source));
    CHECK(reference_text(causal_task()[0], twists) == with_mistake(read_file(source), twists.at("causal")));
}

TEST_CASE("make_exams: a solution that does not compile, or answers nothing, is refused") {
    const TemporaryFolder folder;
    Tree tree = small_tree(folder);
    tree.make = {"sh", "-c", "echo an error; exit 1"};
    CHECK_THROWS_WITH(make_exams(causal_task(), {3}, {}, tree, true, nullptr),
                      "course: the solution does not compile: an error\\n");
    tree.make = {"sh", "-c", "mkdir -p out; printf '#!/bin/sh\\n' > out/run_answers; chmod +x out/run_answers"};
    CHECK_THROWS_WITH(make_exams(causal_task(), {3}, {}, tree, true, nullptr), "course: nothing was answered for causal");
}

TEST_CASE("twists_of: by name, or by the seed among the mistakes of each task; a name that fits nowhere is refused") {
    const auto twist = [](int seed, const std::string& names) {
        const std::map<std::string, Mistake> twists =
            twists_of(causal_task(), {.module = "attention", .seed = seed, .twist = names});
        return twists.empty() ? "" : twists.at("causal").name;
    };
    CHECK(twist(1, "") == "");
    for (int seed = 0; seed < 6; ++seed) CHECK(twist(seed, "auto") == of_causal[seed % 4]);
    CHECK(twist(1, "causal_reversed") == "causal_reversed");
    CHECK(twist(1, "auto causal_reversed") == "causal_reversed");
    CHECK_THROWS_WITH(twist(1, "no_scale"), "course: the twist no_scale is not a mistake inside a task of attention");
}

TEST_CASE("grade_bodies: each body is built into the solution and asked; what is not accepted earns nothing") {
    const TemporaryFolder folder, scratch;
    std::filesystem::permissions(scratch.path(""), std::filesystem::perms(0755));
    const Tree tree = small_tree(folder);
    const Exam exam = make_exams(causal_task(), {3}, {}, tree, true, nullptr)[0];
    const Task& task = exam.tasks[0];
    const auto graded = [&](const std::map<std::string, Handed>& bodies, bool with_cases = true) {
        return grade_bodies(exam, bodies, tree, scratch.path("runs"), with_cases).at(0);
    };
    const std::string right = body_of(read_file(source), task.body, source);
    const Graded complete = graded({{"causal", {right, ""}}});
    CHECK(complete.refused.empty());
    CHECK(complete.score() == 6);
    CHECK(complete.cases.size() == 1);
    // started by root, as Gradescope does, a student's program runs under the account `nobody`
    CHECK(complete.asked.output == std::to_string(geteuid() == 0 ? 65534 : geteuid()) + "\n");
    CHECK_FALSE(std::filesystem::exists(scratch.path("runs/causal")));
    CHECK(graded({{"causal", {right, ""}}}, false).score() == 4);  // without the two points of the public test
    const mode_t before = umask(077);  // files of a strict grader: the account must be able to read the programs all the same
    CHECK(graded({{"causal", {right, ""}}}).score() == 6);
    umask(before);

    const Mistake planted = read_mistake("course/mistakes/causal_off_by_one.txt");
    const std::string wrong = body_of(with_mistake(read_file(source), planted), task.body, source);
    const Graded mistaken = graded({{"causal", {wrong, ""}}});
    CHECK(mistaken.score() == 0);
    CHECK(mistaken.comparison.mistake == "causal_off_by_one");
    CHECK(graded({{"causal", {" syntax mistake ", ""}}}).refused == "it does not compile:\nan error\n");
    CHECK(graded({{"causal", {"", "not written yet"}}}).refused == "not written yet");
    CHECK(graded({}).refused == source + " was not submitted");
    CHECK(read_file(folder.path(source)) == read_file(source));
}

TEST_SUITE_END();
