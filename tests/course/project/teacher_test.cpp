// teacher_test.cpp: packs, starters and grades, in a small project.
#include "course/teacher.h"

#include <algorithm>

#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "tests/course/project/small_project.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("teacher");

static Printed pack(const SmallProject& project, const std::string& module, const std::string& twist = "") {
    const Variable compiler("CXX", "sh compiler.sh");
    return printed([&] { return make_pack({.module = module, .seed = 2027, .twist = twist}, project.tree); });
}

// The paths of all files below a folder.
static std::vector<std::string> paths_below(const std::string& folder) {
    std::vector<std::string> paths;
    for (const std::string& path : files_below(folder)) paths.push_back(path.substr(folder.size() + 1));
    std::sort(paths.begin(), paths.end());
    return paths;
}

static bool is_executable(const std::string& path) {
    return (std::filesystem::status(path).permissions() & std::filesystem::perms::owner_exec) != std::filesystem::perms::none;
}

// Whether an archive holds a file with exactly these bytes, which are not compressed there.
static bool holds(const std::string& archive, const std::string& name, const std::string& bytes) {
    const std::size_t at = archive.find("PK\3\4");
    return at == 0 && archive.find(name + bytes + "PK") != std::string::npos;
}

static const std::string packed = "build/course/attention-2027/";

TEST_CASE("make_pack: five files, and what is said of them; what stood in the folder before is gone") {
    const SmallProject project;
    project.furnish();
    project.write(packed + "old.txt", "");
    const Printed made = pack(project, "attention");
    CHECK(made.status == 0);
    CHECK(made.words ==
          "down: 1 answers, 2 mistakes\n"
          "wrote build/course/attention-2027: starter.tar.gz handout.html autograder.zip quiz.txt quiz.gift\n");
    CHECK(paths_below("build/course") == std::vector<std::string>{"attention-2027/autograder.zip", "attention-2027/handout.html",
                                                                  "attention-2027/quiz.gift", "attention-2027/quiz.txt",
                                                                  "attention-2027/starter.tar.gz"});
    CHECK_FALSE(std::filesystem::exists("build/course/work"));
    CHECK(read_file("asked") == "#include <doctest/doctest.h>\n");
    CHECK(read_file(packed + "handout.html").find("6 points, about 15 minutes. Handout of seed 2027.") != std::string::npos);
    CHECK(read_file(packed + "quiz.txt").find("nn said two") != std::string::npos);
    CHECK(read_file(packed + "quiz.gift").starts_with("::Q1:: In the paper, or usually\\: nn said "));
    CHECK(read_file("deep/down.cpp").find("return x - 1;") != std::string::npos);  // the project is as it was
}

TEST_CASE("make_pack: the starter holds what its tasks need, without their bodies, and the public seed 1") {
    const SmallProject project;
    project.furnish();
    pack(project, "attention");
    REQUIRE(std::system(("tar -xzf " + packed + "starter.tar.gz").c_str()) == 0);
    const std::string root = "attention-2027/";
    CHECK(paths_below("attention-2027") == std::vector<std::string>{"LICENSE",
                                                                    "Makefile",
                                                                    "README.md",
                                                                    "course/drawn/attention.cpp",
                                                                    "course/expected/down.txt",
                                                                    "course/expected/seed",
                                                                    "course/rules.mk",
                                                                    "course/run_answers.cpp",
                                                                    "course/run_course.cpp",
                                                                    "course/tasks/down.txt",
                                                                    "course/verify.cpp",
                                                                    "deep/down.cpp",
                                                                    "doctest/doctest/doctest.h",
                                                                    "down.h",
                                                                    "helper.h",
                                                                    "tests/find_doctest.sh",
                                                                    "tests/golden/a-1.safetensors",
                                                                    "tests/main.cpp",
                                                                    "tests/small_test.cpp",
                                                                    "tools/standard.h"});
    CHECK(read_file(root + "README.md") == "text of course/STUDENTS.md\n");
    CHECK(read_file(root + "doctest/doctest/doctest.h") == "text of doctest.h\n");
    CHECK(read_file(root + "deep/down.cpp").find("Yours to write: down, see down.h") != std::string::npos);
    CHECK(read_file(root + "deep/down.cpp").find("return x - 1;") == std::string::npos);
    CHECK(read_file(root + "course/tasks/down.txt") == sealed_text(read_task("course/tasks/down.txt")));
    CHECK(is_executable(root + "tests/find_doctest.sh"));
    CHECK_FALSE(is_executable(root + "Makefile"));
    CHECK(read_file(root + "course/expected/seed") == "1\n");
    const Expected expected = read_expected(root + "course/expected/down.txt");
    CHECK(expected.answers.at(0).value(0, 1) == 1);
    REQUIRE(expected.mistakes.size() == 2);
    CHECK(expected.mistakes[0].says == "it is x - 2");
}

TEST_CASE("make_pack: the autograder holds the solution, the two scripts, and what is expected for the seed of the pack") {
    const SmallProject project;
    project.furnish();
    pack(project, "attention");
    const std::string zip = read_file(packed + "autograder.zip");
    const std::vector<Task> tasks = all_tasks("attention");
    const Exam exam = make_exams(tasks, {2027}, {}, project.tree, true, nullptr)[0];
    CHECK(holds(zip, "tree/deep/down.cpp", read_file("deep/down.cpp")));
    CHECK(holds(zip, "tree/course/expected/seed", "2027\n"));
    CHECK(holds(zip, "tree/course/expected/down.txt", text_of(exam.expected.at("down"))));
    CHECK(holds(zip, "tree/course/tasks/down.txt", sealed_text(tasks[0])));
    CHECK(holds(zip, "tree/tests/golden/a-1.safetensors", "numbers\n"));
    CHECK(holds(zip, "tree/doctest/doctest/doctest.h", "text of doctest.h\n"));
    CHECK(holds(zip, "setup.sh",
                "#!/bin/sh\n# Run once, when Gradescope builds the container.\napt-get update && apt-get install -y g++ make\n"
                "cd /autograder/source/tree && make -j2 ARCH= course-build\nchmod -R go-rwx /autograder/source\n"));
    CHECK(zip.find("\nbuild/release/run_course grade attention --make 'make ARCH=' --submission /autograder/submission --json "
                   "/autograder/results/results.json --scratch /tmp/course\n") != std::string::npos);
    // Unix permissions of a file that may be run, 0100755, before the place and name in the directory at the end
    const auto may_run = [&](const std::string& name) { return zip.substr(zip.rfind(name) - 6, 2) == "\xED\x81"; };
    CHECK(may_run("setup.sh"));
    CHECK(may_run("run_autograder"));
    CHECK(may_run("tree/tests/find_doctest.sh"));
    CHECK_FALSE(may_run("tree/Makefile"));
}

TEST_CASE("make_pack: with a twist the autograder has the twisted solution, and a public test that it fails counts nowhere") {
    const SmallProject project;
    project.furnish();
    CHECK(pack(project, "attention", "by_two").words.starts_with("down: 1 answers, 0 mistakes, twist by_two\n"));
    REQUIRE(std::system(("tar -xzf " + packed + "starter.tar.gz").c_str()) == 0);
    const Task given = read_task("attention-2027/course/tasks/down.txt");
    CHECK(given.code == "// This course asks for another form than the paper: see the handout.\n");
    CHECK(given.cases.empty());
    CHECK(given.points == 6);
    const Expected expected = read_expected("attention-2027/course/expected/down.txt");
    REQUIRE_FALSE(expected.mistakes.empty());
    CHECK(expected.mistakes[0].name == "published");
    CHECK(read_file(packed + "handout.html").find("it is x - 2") != std::string::npos);
    CHECK(read_file(packed + "handout.html").find("public test") == std::string::npos);
    const std::string zip = read_file(packed + "autograder.zip");
    CHECK(zip.find("tree/deep/down.cpp#include \"down.h\"\n\nint down(int x) {\n    return x - 2;\n}\nPK") != std::string::npos);
    CHECK(zip.find("small: down\nwithout") == std::string::npos);
    CHECK(zip.find("tree/course/tasks/down.txt") != std::string::npos);
    CHECK(zip.find("case     2 small: down") == std::string::npos);

    // the public tests that the other twist passes stay
    project.write("course/tasks/down.txt", read_file("course/tasks/down.txt") + "case     1 small: down, again\n");
    pack(project, "attention", "up");
    REQUIRE(std::system(("tar -xzf " + packed + "starter.tar.gz").c_str()) == 0);
    const Task kept = read_task("attention-2027/course/tasks/down.txt");
    REQUIRE(kept.cases.size() == 2);
    CHECK(kept.cases[0].title == "down");
    CHECK(kept.cases[1].title == "down, again");
    CHECK(read_file(packed + "autograder.zip").find("    return x + 1;") != std::string::npos);
}

TEST_CASE("make_pack: each module asks the ledger of its folder; refuses an unknown module and a failing tar") {
    const SmallProject project;
    project.furnish();
    pack(project, "language");
    pack(project, "vit");
    CHECK(read_file("build/course/language-2027/quiz.txt").find("bert said two") != std::string::npos);
    CHECK(read_file("build/course/vit-2027/quiz.txt").find("vit said two") != std::string::npos);
    CHECK(read_file("build/course/vit-2027/autograder.zip").find("tree/course/drawn/vit.cpp") != std::string::npos);
    CHECK(read_file("build/course/vit-2027/autograder.zip").find("tree/course/drawn/attention.cpp") == std::string::npos);
    CHECK_THROWS_WITH(pack(project, "poetry"),
                      "course: there is no task of the module 'poetry'; the modules are attention, vit, language, rlhf");
    project.write("programs/tar", "#!/bin/sh\nexit 1\n");
    std::filesystem::permissions("programs/tar", std::filesystem::perms(0755));
    const Variable first("PATH", (project.folder.path("programs") + ":" + std::getenv("PATH")).c_str());
    CHECK_THROWS_WITH(pack(project, "vit"), "course: tar could not make build/course/vit-2027/starter.tar.gz");
}

TEST_CASE("make_pack: without doctest's header in the compiler's search path the pack has none") {
    const SmallProject project;
    project.furnish();
    project.write("compiler.sh", "cat > asked\nexit 1\n");
    std::filesystem::remove("build/doctest/option");
    pack(project, "attention");
    CHECK(read_file(packed + "autograder.zip").find("doctest/doctest.h") == std::string::npos);
}

TEST_CASE("write_starter: the folder of a module; files from before are gone, and no mistake is expected") {
    const SmallProject project;
    project.furnish();
    project.write("starter/old.txt", "");
    const Variable compiler("CXX", "sh compiler.sh");
    write_starter("starter", "attention", project.tree);
    CHECK_FALSE(is_file("starter/old.txt"));
    CHECK(read_file("starter/course/expected/seed") == "1\n");
    CHECK(read_expected("starter/course/expected/down.txt").mistakes.empty());
    CHECK(read_file("starter/deep/down.cpp").find("::fail({\"course: down is not written yet") != std::string::npos);
    CHECK_FALSE(is_file("starter/twice.cpp"));
}

TEST_CASE("grade_submission: a report for each task, the hints that were read, the sum, and results.json") {
    const SmallProject project;
    std::string second = read_file("course/tasks/down.txt");  // another task of the module
    second.replace(second.find("deep/down.cpp"), 13, "half.cpp");
    second.replace(second.find("int down"), 8, "int half");
    project.write("course/tasks/less.txt", second);
    write_exam("course/expected", make_exams(all_tasks("attention"), {5}, {}, project.tree, true, nullptr)[0]);
    project.write("in/deep/down.cpp", read_file("deep/down.cpp"));
    const auto grade = [&](const std::string& json) {
        return printed([&] { return grade_submission("attention", "in", json, "runs", project.tree); });
    };
    project.write("make.sh", "echo $* >> asked_for\n" + read_file("make.sh"));
    const Printed graded = grade("results.json");
    CHECK(read_file("asked_for").starts_with("build/out/run_answers build/out/tests/run\n"));  // the public tests, too
    CHECK(graded.status == 0);
    CHECK(graded.words ==
          "down   6 of 6\n"
          "    questions  1 of 1 answered right, 4 of 4 points\n"
          "    passed     small: down\n"
          "\n"
          "less   0 of 6\n"
          "    half.cpp was not submitted\n"
          "\n"
          "6.00 of 12 points\n");
    const Json results = parse_json(read_file("results.json"), "results.json");
    CHECK(results.at("tests").as_array().size() == 2);
    CHECK(results.at("tests").as_array()[0].at("score").as_number() == 6);
    CHECK(results.at("execution_time").as_number() >= 0);
    CHECK(results.at("execution_time").as_number() < 600);

    project.write("in/course/hints_read.txt", "down 2\n");
    project.write("in/half.cpp", read_file("half.cpp"));
    std::filesystem::remove("results.json");
    CHECK(grade("").words.ends_with("hints read, as the submission says:\ndown 2\n\n12.00 of 12 points\n"));
    CHECK_FALSE(is_file("results.json"));

    // how its numbers differ is not told: they are those of the grader's seed
    project.write("in/deep/down.cpp", "int down(int x) {\n    return x - 2;\n}\n");
    const std::string wrong = grade("").words;
    CHECK(wrong.starts_with("down   0 of 6\n    questions  0 of 1 answered right, 0 of 4 points\n"));
    CHECK(wrong.find("expected") == std::string::npos);
    CHECK(wrong.find("it is x - 2") != std::string::npos);
    CHECK(wrong.ends_with("6.00 of 12 points\n"));
    // a solution that does not compile is the teacher's mistake, not the student's
    project.write("half.cpp", "int half(int x) {\n    syntax mistake\n}\n");
    CHECK_THROWS_WITH(grade(""), "course: the solution does not compile: an error\\n");
}

TEST_SUITE_END();
