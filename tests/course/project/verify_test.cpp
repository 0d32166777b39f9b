// verify_test.cpp: the proof of the course in a small project whose "compiler" writes scripts that compute what the sources return.
#include "course/command/course_command.h"
#include "course/teacher.h"
#include "nn/data/file.h"
#include "nn/data/text.h"
#include "tests/course/project/small_project.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("verify");

// The program of the answers computes `return expression;` for x = the seed; that of the tests passes where the expression is the
// published one. `less` calls `down`. In a starter the build writes run_course, which prints what the file `points` says and fails;
// with a file `content` it prints 0 points for half and does not fail. With a file `silent`, less does not say that it waits for
// down; with a file `careless`, every test passes.
static const char* const compiler = R"SH(if [ "$1" = -n ]; then test -f course/expected/seed; exit; fi
mkdir -p build/out/tests
answers=build/out/run_answers tests=build/out/tests/run
printf '#!/bin/sh\nx=$2\ncase $1 in\n' > $answers
printf '#!/bin/sh\ncase $2 in\n' > $tests
for task in down less half twice root; do
    file=$task.cpp
    if [ $task = down ]; then file=deep/down.cpp; fi
    if [ ! -f $file ]; then continue; fi
    if grep -q 'no program' $file; then echo "an error in $file"; exit 1; fi
    blank=
    if grep -q 'not written yet' $file; then blank=$task; fi
    if [ $task = less ] && grep -q 'not written yet' deep/down.cpp; then blank=down; fi
    result=$(sed -n 's/.*return \(.*\);.*/\1/p' $file)
    if [ -f silent ] && [ "$blank" = down ] && [ $task = less ]; then blank=nothing; fi
    if [ -f careless ]; then echo "*=$task) echo '1 passed, 0 failed';;" >> $tests; fi
    if [ -n "$blank" ]; then
        echo "$task) printf 'x\\t! course: $blank is not written yet\\n' >&\$3;;" >> $answers
        echo "*=$task) echo 'ERROR: course: $blank is not written yet';;" >> $tests
        continue
    fi
    if [ -z "$result" ]; then
        echo "$task) exit 1;;" >> $answers
        continue
    fi
    echo "$task) printf 'x\\t1 2 %xp+0 3p+0\\n' \$(($result)) >&\$3;;" >> $answers
    case $result in
    'x - 1' | 'x - 3' | 'x / 2' | '2 * x' | 'x * x') echo "*=$task) echo '1 passed, 0 failed';;" >> $tests ;;
    *) echo "*=$task) echo 'ERROR: another number';;" >> $tests ;;
    esac
done
echo esac >> $answers
echo esac >> $tests
printf '#!/bin/sh\nif [ $2 = half ] && [ -f ../../../content ]; then echo "half   0 of 6"; exit; fi\n' > build/out/run_course
printf 'echo "$2   $(cat ../../../points)"\nexit 1\n' >> build/out/run_course
chmod +x build/out/run_answers build/out/tests/run build/out/run_course
)SH";

namespace {
// A project with a task of every module and two of the module attention.
struct WholeCourse : SmallProject {
    Variable doctest_compiler{"CXX", "sh compiler.sh"};

    WholeCourse() {
        furnish();
        for (const char* const file : {"course/drawn/language.cpp", "course/drawn/rlhf.cpp"}) write(file, "");
        add_task("less", "less.cpp", "x - 3", "title    Less\nmodule   attention\nminutes  5\n");
        add_task("root", "root.cpp", "x * x", "title    Square\nmodule   rlhf\nminutes  5\n");
        write("make.sh", compiler);
        write("points", "0 of 6");
        tree.make = {"sh", folder.path("make.sh")};
    }
    Printed proof(const VerifyOptions& options = {}) const {
        return printed([&] { return verify(options, tree); });
    }
    Printed command(const std::vector<std::string>& options) const {
        std::vector<std::string> words{"verify", "--out", "build/out", "--make", "sh " + folder.path("make.sh")};
        words.insert(words.end(), options.begin(), options.end());
        return printed([&] { return course_command(words); });
    }
};
}  // namespace

TEST_CASE("verify: a course that is right: what is said of every part of the proof, and the number of statements") {
    const WholeCourse course;
    const Printed proof = course.command({});
    CHECK(
        proof.words ==
        "down: 1 answers, 2 mistakes\n"
        "less: 1 answers, 0 mistakes\n"
        "twice: 1 answers, 0 mistakes\n"
        "half: 1 answers, 0 mistakes\n"
        "root: 1 answers, 0 mistakes\n"
        "the solution: 5 tasks graded\n"
        "the last hint: 5 tasks graded, 5 seeds\n"
        "blanks: 5 tasks graded; waiting for another: less for down,\n"
        "mistakes, seed 271: 2 planted, 2 named by their answers, 0 by the numbers alone\n"
        "mistakes, seed 272: 2 planted, 2 named by their answers, 0 by the numbers alone\n"
        "mistakes, seed 273: 2 planted, 2 named by their answers, 0 by the numbers alone\n"
        "mistakes, seed 274: 2 planted, 2 named by their answers, 0 by the numbers alone\n"
        "mistakes, seed 275: 2 planted, 2 named by their answers, 0 by the numbers alone\n"
        "hostile bodies: 8 tried on down\n"
        "the twist, on its own questions,: 1 tasks graded\n"
        "starter of attention: built\n"
        "starter of vit: built\n"
        "starter of language: built\n"
        "starter of rlhf: built\n"
        // 5 solutions; 5 hints compile and earn all points of 5 seeds; 5 blanks compile, earn nothing and fail their test, less says
        // twice why it fails; 2 mistakes of 5 seeds are noticed, and named; 8 hostile bodies; 1 twist, of which the published
        // solution loses points and is named; 4 starters are whole, have doctest and build, their 5 tasks have no points
        "95 statements, 0 of them do not hold\n");
    CHECK(proof.status == 0);
    CHECK(read_file("deep/down.cpp").find("return x - 1;") != std::string::npos);  // the project is as it was
}

TEST_CASE("verify: a sample is spread over the table; one task; another seed; without the public tests") {
    const WholeCourse course;
    const std::string two = course.proof({.sample = 2, .seed = 9, .only = ""}).words;
    CHECK(two.starts_with("down: 1 answers, 2 mistakes\ntwice: 1 answers, 0 mistakes\nthe solution: 2 tasks graded\n"));
    CHECK(course.command({"--sample", "2", "--seed", "9"}).words == two);
    CHECK(two.find("mistakes, seed 13: 2 planted") != std::string::npos);
    CHECK(two.find("mistakes, seed 14") == std::string::npos);
    CHECK(two.find("starter of") == std::string::npos);  // only looked at, not built
    CHECK(two.ends_with("the twist, on its own questions,: 1 tasks graded\n54 statements, 0 of them do not hold\n"));
    CHECK(course.proof({.sample = 9, .only = ""}).words.find("the solution: 5 tasks graded\n") != std::string::npos);
    const std::string less = course.proof({.only = "less", .with_cases = false}).words;
    CHECK(course.command({"less", "--cases", "no"}).words == less);
    CHECK(
        less.starts_with("less: 1 answers, 0 mistakes\nthe solution: 1 tasks graded\nthe last hint: 1 tasks graded, 5 seeds\n"
                         "blanks: 1 tasks graded; waiting for another: none\nmistakes, seed 271: 0 planted, 0 named"));
    CHECK(less.ends_with("hostile bodies: 8 tried on less\n30 statements, 0 of them do not hold\n"));
    CHECK_THROWS_WITH(course.proof({.only = "more"}), "course: there is no task more");
}

// The statements that do not hold, and the line of their number.
static std::vector<std::string> refuted(const Printed& proof) {
    CHECK(proof.status == 1);
    std::vector<std::string> found;
    const std::vector<std::string> lines = split_lines(proof.words);
    for (const std::string& line : lines)
        if (line.starts_with("DOES NOT HOLD: ")) found.push_back(line.substr(15));
    found.push_back(lines.back());
    return found;
}
using Lines = std::vector<std::string>;

TEST_CASE(
    "verify: what does not hold is said: starters with points, or not whole; a task that does not wait for the blank as it should") {
    const WholeCourse course;
    course.write("points", "1 of 6");
    course.write("content", "");
    course.write("silent", "");
    std::string task = read_file("course/tasks/less.txt");  // its hint answers right, but fails the test, which is run once
    course.write("course/tasks/less.txt", task.replace(task.find("x - 3"), 5, "x - 1 - 2"));
    std::filesystem::remove("doctest/doctest/doctest.h");
    course.write("compiler.sh", "exit 1\n");
    CHECK(refuted(course.proof()) == Lines{"less: the last hint earns all points, seed 271",
                                           "less: an answer is wrong while only down is blank",
                                           "less: a case fails while only down is blank",
                                           "attention: the starter has doctest's header", "down: in the starter it has 0 points",
                                           "less: in the starter it has 0 points", "vit: the starter has doctest's header",
                                           "twice: in the starter it has 0 points", "language: the starter has doctest's header",
                                           "half: in the starter it has 0 points", "rlhf: the starter has doctest's header",
                                           "root: in the starter it has 0 points", "95 statements, 12 of them do not hold"});
}

TEST_CASE(
    "verify: what does not hold is said: a wrong hint, a mistake that nothing notices, tests that pass whatever is written") {
    const WholeCourse course;
    std::string task = read_file("course/tasks/down.txt");
    task.replace(task.find("x - 1"), 5, "x - 9");
    course.write("course/tasks/down.txt", task);
    course.write("careless", "");
    std::string mistake = read_file("course/mistakes/up.txt");
    mistake.replace(mistake.rfind("x + 1"), 5, "x - 3 + 2");
    course.write("course/mistakes/up.txt", mistake);
    Lines wrong;
    for (int seed = 5; seed <= 9; ++seed) wrong.push_back("down: the last hint earns all points, seed " + std::to_string(seed));
    wrong.push_back("down: the blank fails down");
    for (int seed = 5; seed <= 9; ++seed) {
        wrong.push_back("down: the questions of seed " + std::to_string(seed) + " notice up");
        wrong.push_back("nine of ten mistakes are named");
    }
    // the twist of seed 5 is that mistake: the published form answers its questions, too
    wrong.push_back("down: the published form loses points under the twist");
    wrong.push_back("down: the published form is recognised");
    wrong.push_back("44 statements, 18 of them do not hold");
    CHECK(refuted(course.proof({.seed = 5, .only = "down"})) == wrong);
}

TEST_SUITE_END();
