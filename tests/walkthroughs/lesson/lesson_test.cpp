#include "walkthroughs/lesson/lesson.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "nn/autograd/operations.h"
#include "nn/data/file.h"
#include "nn/data/text.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

namespace {
struct Given {
    int status;             // what the program would return
    std::string complaint;  // what it wrote to the standard error
};
}  // namespace

// give_lesson with its output suppressed, which would look like a failure of the tests.
static Given give_quietly(const Options& options, const std::function<void(Lesson&)>& walk) {
    const TemporaryFolder folder;
    int status;
    {
        const Redirected output(STDOUT_FILENO, "/dev/null"), complaints(STDERR_FILENO, folder.path("complaints"));
        status = give_lesson(options, walk);
    }
    return {status, read_file(folder.path("complaints"))};
}

TEST_SUITE_BEGIN("lesson");

namespace {
// What a lesson prints, and what it returns at its end.
struct Printed {
    std::string words;
    int result;
};
}  // namespace

static Printed printed(void (*steps)(Lesson&), bool step = false, const std::string& typed = "", Colours colours = Colours::none,
                       int page_width = 80, const std::string& purpose = "Shows a toy.") {
    const TemporaryFolder folder;
    Options options("toy", purpose, "1 second");
    options.step = step;
    std::FILE* const out = std::fopen(folder.path("out").c_str(), "w");
    std::FILE* const in = std::fopen(folder.file("in", typed).c_str(), "r");
    Lesson lesson(options, out, in, colours, page_width);
    steps(lesson);
    const int result = lesson.end();
    std::fclose(out);
    std::fclose(in);
    return {read_file(folder.path("out")), result};
}

static void one_step(Lesson& lesson) {
    lesson.step("Who looks at whom?", "A = softmax(q k^T)", "Eq. 6");
    lesson.code();
    const Matrix A{{0.25f, 0.75f}, {0.5f, 0.5f}};
    lesson.matrix("A", A);
    lesson.why(
        "exp(ln 3) = 3, so token 1 gets three parts of four; token 1 itself asked for nothing and divides evenly, as it must");
    lesson.predict("row 0 when q is doubled");
}
static const std::string line_of_matrix = std::to_string(__LINE__ - 6);

TEST_CASE("Lesson::step: question, equation and source on one line, then code, matrix, why, predict") {
    const Printed lesson = printed(one_step);
    CHECK(lesson.result == 0);
    CHECK(lesson.words ==
          "toy   Shows a toy.\n"
          "takes about 1 second\n"
          "\n"
          "step 1   Who looks at whom?             A = softmax(q k^T)   Eq. 6\n"
          "         code      const Matrix A{{0.25f, 0.75f}, {0.5f, 0.5f}};\n"
          "                   tests/walkthroughs/lesson/lesson_test.cpp:" +
              line_of_matrix +
              "\n"
              "         A (2, 2)   0.2500  0.7500\n"
              "                    0.5000  0.5000\n"
              "         why       exp(ln 3) = 3, so token 1 gets three parts of four; token 1\n"
              "                   itself asked for nothing and divides evenly, as it must\n"
              "         predict   row 0 when q is doubled\n");
}

static void the_rest(Lesson& lesson) {
    lesson.step("Only a question");
    lesson.say("Prose.");
    lesson.matrix("nothing", Matrix());
    lesson.picture("a picture", Image(1, 2, 1, 1.f));
    lesson.heat("m", Matrix{{0, 1}});
    lesson.table({{"a"}, {"1"}});
    lesson.curves({{"c", {}, {}}});
    lesson.lines({"", "a line"});
}

static void code_from_the_file(Lesson& lesson) {
    const int answer = 42;
    lesson.code(2);
    if (answer == 42) {
        lesson.say("It was ", answer, ".");
    }
    lesson.code(2);

    lesson.say("An empty line stands above.");
    lesson.code(1, Where());  // no file
}

TEST_CASE("Lesson::code: prints the source lines that follow the call, and their location") {
    const std::string words = printed(code_from_the_file).words;
    CHECK(words.find("         code      if (answer == 42) {\n"
                     "                       lesson.say(\"It was \", answer, \".\");\n"
                     "                   tests/walkthroughs/lesson/lesson_test.cpp:") != std::string::npos);
    CHECK(words.find("It was 42.") != std::string::npos);
    CHECK(words.find("         code      \n"
                     "                       lesson.say(\"An empty line stands above.\");\n") != std::string::npos);
    CHECK(words.ends_with("         code      :1\n"));
}

static void wide_things(Lesson& lesson) {
    lesson.step("A question of more than thirty letters?", "x = y");
    lesson.step("A question?", std::string(80, 'x'));
    lesson.matrix("a_name_that_takes_its_room", Matrix(1, 8, 1));
}

TEST_CASE("Lesson: an equation or matrix that exceeds the page is printed below") {
    CHECK(printed(wide_things)
              .words.ends_with("\nstep 1   A question of more than thirty letters?   x = y\n"
                               "\nstep 2   A question?\n"
                               "         " +
                               std::string(80, 'x') +
                               "\n"
                               "         a_name_that_takes_its_room (1, 8)\n"
                               "              1.0000  1.0000  1.0000  1.0000  1.0000  1.0000  1.0000  1.0000\n"));
}

static void failing_claim(Lesson& lesson) { lesson.claim("one is two", false); }
static void broken_file(Lesson&) { throw std::invalid_argument("x.ppm: not there"); }
static void broken_program(Lesson&) { throw std::logic_error("not implemented: patchify"); }

TEST_CASE("give_lesson: returns 0; 1 if a claim or the program failed; 2 if an input was rejected") {
    const Options options("toy", "Shows a toy.", "1 second");
    CHECK(give_quietly(options, one_step).status == 0);
    CHECK(give_quietly(options, failing_claim).status == 1);
    const Given refused = give_quietly(options, broken_file), failed = give_quietly(options, broken_program);
    CHECK(refused.status == 2);
    CHECK(refused.complaint == "toy: x.ppm: not there\n");
    CHECK(failed.status == 1);
    CHECK(failed.complaint == "toy: not implemented: patchify\n");
}

TEST_CASE("Lesson: prose, pictures, tables and curves are indented below the question") {
    CHECK(printed(the_rest).words ==
          "toy   Shows a toy.\n"
          "takes about 1 second\n"
          "\n"
          "step 1   Only a question\n"
          "         Prose.\n"
          "         nothing (0, 0)\n"
          "         a picture\n"
          "         @@@@\n"
          "         m  (1, 2)  min 0.0000  max 1.0000  mean 0.5000  stddev 0.5000\n"
          "           @@\n"
          "         a\n"
          "         -\n"
          "         1\n"
          "         (no points)\n"
          "\n"
          "         a line\n");
}

TEST_CASE("--page: the same steps and numbers as a web page, written at the end") {
    const TemporaryFolder folder;
    Options options("nn/toy", "Shows a toy.", "1 second");
    options.page = folder.path("page.html");
    CHECK(give_quietly(options, one_step).status == 0);
    const std::string html = read_file(options.page);
    CHECK(html.find("1. Who looks at whom?</h2>") != std::string::npos);
    CHECK(html.find("A(0,1) = 0.75\">0.7500</td>") != std::string::npos);
    CHECK(html.find("<code>make walk-toy</code>, about 1 second") != std::string::npos);
}

static void a_backward_pass(Lesson& lesson) {
    const Var w = parameter(Matrix{{3}});
    const Tape tape;
    backward(square(w));
    lesson.say("Done.");
}

TEST_CASE("--trace: the backward pass of a lesson as a web page") {
    const TemporaryFolder folder;
    Options options("nn/toy", "Shows a toy.", "1 second");
    options.trace = folder.path("trace.html");
    CHECK(give_quietly(options, a_backward_pass).status == 0);
    CHECK(read_file(options.trace).find("\"op\":\"square\"") != std::string::npos);
}

TEST_CASE("--trace: with - it is browsed at the end, where a line of input chooses a value; a file is written without that") {
    const TemporaryFolder folder;
    const std::string input = folder.file("input", "1\n");
    const auto output_with = [&](const std::string& trace) {
        Options options("nn/toy", "Shows a toy.", "1 second");
        options.trace = trace;
        const std::string output = folder.path("output");
        std::fflush(nullptr);
        const pid_t child = fork();
        if (child == 0) {
            const int in = open(input.c_str(), O_RDONLY);
            dup2(in, STDIN_FILENO);
            const Redirected out(STDOUT_FILENO, output);
            const int status = give_lesson(options, a_backward_pass);
            std::fflush(stdout);
            _exit(status);
        }
        int status = 0;
        waitpid(child, &status, 0);
        CHECK(status == 0);
        const std::string words = read_file(output);
        std::filesystem::remove(output);
        return words;
    };
    CHECK(output_with(folder.path("trace.html")).ends_with("Done.\n"));
    CHECK(output_with("-").find("trace> square 1, square\n") != std::string::npos);
    CHECK(!is_file("-"));
}

static void three_claims(Lesson& lesson) {
    CHECK(lesson.claim_at_least("digits read", 0.969, 0.95));
    CHECK(lesson.claim_at_least("words read", 0.5, 0.5));
    CHECK(lesson.claim_at_most("loss", 0.1, 0.1));
    CHECK(lesson.claim("positions matter", true));
}

static void claims_that_fail(Lesson& lesson) {
    CHECK(!lesson.claim_at_least("digits read", 0.94, 0.95));
    CHECK(!lesson.claim_at_most("loss", NAN, 0.1));
    CHECK(!lesson.claim_at_least("loss", NAN, 0.1));
    CHECK(lesson.claim("positions matter", true));
}

TEST_CASE("Lesson::claim: holds or FAILS, and determines the exit status") {
    const Printed good = printed(three_claims), bad = printed(claims_that_fail);
    CHECK(good.result == 0);
    CHECK(
        good.words.ends_with("second\n\n"
                             "claim    holds   digits read: 0.969, at least 0.95\n"
                             "claim    holds   words read: 0.5, at least 0.5\n"
                             "claim    holds   loss: 0.1, at most 0.1\n"
                             "claim    holds   positions matter\n"));
    CHECK(bad.result == 1);
    CHECK(
        bad.words.ends_with("claim    FAILS   digits read: 0.94, at least 0.95\n"
                            "claim    FAILS   loss: nan, at most 0.1\n"
                            "claim    FAILS   loss: nan, at least 0.1\n"
                            "claim    holds   positions matter\n"
                            "\n3 of 4 claims FAIL\n"));
    CHECK(printed(failing_claim).words.ends_with("claim    FAILS   one is two\n\n1 of 1 claims FAIL\n"));
    CHECK(printed(three_claims, false, "", Colours::few).words.find("claim    \x1b[32mholds\x1b[0m   ") != std::string::npos);
}

static void three_steps(Lesson& lesson) {
    lesson.step("a");
    lesson.step("b");
    lesson.step("c");
}

static int waits(const std::string& words) {
    int count = 0;
    for (std::size_t at = words.find("Enter"); at != std::string::npos; at = words.find("Enter", at + 1)) ++count;
    return count;
}

TEST_CASE("Lesson: --step waits between steps until the input ends") {
    CHECK(waits(printed(three_steps).words) == 0);
    CHECK(waits(printed(three_steps, true, "\n\n\n").words) == 2);
    CHECK(waits(printed(three_steps, true, "yes\nyes\n").words) == 2);
    CHECK(waits(printed(three_steps, true, "").words) == 1);
}

static void two_predictions(Lesson& lesson) {
    lesson.step("How many?");
    lesson.predict("How many of 9?", {7, 0.5});
    lesson.predict("Which word?", {"cat"});
}

TEST_CASE("predict: asked and checked with --step, answered at the end otherwise") {
    const std::string at_end = printed(two_predictions).words;
    CHECK(at_end.find("your answer") == std::string::npos);
    CHECK(at_end.find("step 1   How many of 9? 7\n") > at_end.find("predict   Which word?"));
    CHECK(at_end.find("step 1   Which word? cat\n") != std::string::npos);
    const std::string asked = printed(two_predictions, true, "7.4\ndog\n").words;
    CHECK(asked.find("answer    right: 7\n") != std::string::npos);
    CHECK(asked.find("answer    no: cat\n") != std::string::npos);
    CHECK(asked.find("The answers") == std::string::npos);
    const std::string ended = printed(two_predictions, true, "").words;  // the input ends at the first question
    CHECK(ended.find("step 1   How many of 9? 7\n") != std::string::npos);
    CHECK(ended.find("step 1   Which word? cat\n") != std::string::npos);
}

static void long_lines(Lesson& lesson) {
    lesson.step("A question that is longer than its column is wide", "y = x W", "Eq. 1");
    lesson.step("A question", "an equation that is much too long to stand beside any question on one page, whatever it asks");
    lesson.matrix("wide", Matrix(1, 8, -1000), 8);
    lesson.code(1);
    lesson.say("here");  // the line that is shown
}
static const std::string line_shown = std::to_string(__LINE__ - 2);

TEST_CASE("Lesson: long equations wrap, wide matrices show fewer columns; a line of code is read from its file") {
    const std::string words = printed(long_lines).words;
    CHECK(words.substr(words.find("\nstep 1") + 1) ==
          "step 1   A question that is longer than its column is wide   y = x W   Eq. 1\n"
          "\n"
          "step 2   A question\n"
          "         an equation that is much too long to stand beside any question on one\n"
          "         page, whatever it asks\n"
          "         wide (1, 8)   -1000.0000  -1000.0000  ...  -1000.0000  -1000.0000\n"
          "         code      lesson.say(\"here\");  // the line that is shown\n"
          "                   tests/walkthroughs/lesson/lesson_test.cpp:" +
              line_shown +
              "\n"
              "         here\n");
}

static const std::string forty(40, 'e');

static void as_wide_as_the_page(Lesson& lesson) {
    // 9 columns of "step 1   ", a question in 31, an equation in 40
    lesson.step("Twenty letters here?", forty);
    lesson.step("Twenty letters here?", forty + "e");
    lesson.step("A question of 29 letters, so?", forty.substr(1));  // three spaces follow it
    lesson.step("A question of 29 letters, so?", forty);
    lesson.say(std::string(35, 'a') + " " + std::string(35, 'b'));  // 71
    lesson.say(std::string(35, 'a') + " " + std::string(36, 'b'));
    lesson.why(std::string(30, 'a') + " " + std::string(30, 'b'));  // 61
    lesson.why(std::string(30, 'a') + " " + std::string(31, 'b'));
    lesson.claim(std::string(31, 'a') + " " + std::string(31, 'b'), true);  // 63
    lesson.claim(std::string(31, 'a') + " " + std::string(32, 'b'), true);
    lesson.picture(std::string(35, 'a') + " " + std::string(35, 'b'), Image(1, 1, 1, 1.f));
    lesson.picture(std::string(35, 'a') + " " + std::string(36, 'b'), Image(1, 1, 1, 1.f));
}

TEST_CASE("Lesson: lines are broken only where they would exceed 80 columns") {
    const std::string words = printed(as_wide_as_the_page).words, spaces(9, ' '), a35(35, 'a'), b35(35, 'b');
    CHECK(words.substr(words.find("\nstep 1")) ==
          "\nstep 1   Twenty letters here?           " + forty + "\n" +                 //
              "\nstep 2   Twenty letters here?\n" + spaces + forty + "e\n" +            //
              "\nstep 3   A question of 29 letters, so?   " + forty.substr(1) + "\n" +  //
              "\nstep 4   A question of 29 letters, so?\n" + spaces + forty + "\n" +    //
              spaces + a35 + " " + b35 + "\n" +                                         //
              spaces + a35 + "\n" + spaces + b35 + "b\n" +                              //
              spaces + "why       " + std::string(30, 'a') + " " + std::string(30, 'b') + "\n" + spaces + "why       " +
              std::string(30, 'a') + "\n" + spaces + "          " + std::string(31, 'b') + "\n" +  //
              "\nclaim    holds   " + std::string(31, 'a') + " " + std::string(31, 'b') + "\n" + "claim    holds   " +
              std::string(31, 'a') + "\n" + std::string(17, ' ') + std::string(32, 'b') + "\n" +  //
              spaces + a35 + " " + b35 + "\n" + spaces + "@@\n" +                                 //
              spaces + a35 + "\n" + spaces + b35 + "b\n" + spaces + "@@\n");
}

static void code_of_every_width(Lesson& lesson) {
    lesson.code();
    const int sixty_one_columns_of_code_fit_into_the_pagexxx = 0;
    lesson.code();
    const int sixty_two_columns_of_code_do_not_fit_into_itxxx = 1;
    lesson.say(sixty_one_columns_of_code_fit_into_the_pagexxx + sixty_two_columns_of_code_do_not_fit_into_itxxx);
}

TEST_CASE("Lesson::code: a line that is wider than the page continues below, four columns further in") {
    const std::string words = printed(code_of_every_width).words;
    CHECK(words.find("         code      const int sixty_one_columns_of_code_fit_into_the_pagexxx = 0;\n") != std::string::npos);
    CHECK(words.find("         code      const int sixty_two_columns_of_code_do_not_fit_into_itxxx\n"
                     "                       = 1;\n") != std::string::npos);
}

static void deep_code(Lesson& lesson) {
    lesson.code(6);
    for (int i = 0; i < 1; ++i) {
        if (i == 0) lesson.say("once");
        for (int j = 0; j < 1; ++j)
            if (j == 0)
                if (i == j) lesson.say("deep");
    }
}

TEST_CASE("Lesson::code: on a narrow page pieces stay indented; a third of the room at most, else by eight") {
    // 32 columns leave 13 for code: a line may be indented by 4, of 8 and 12 there remain 8
    const std::string words = printed(deep_code, false, "", Colours::none, 32).words;
    std::string code;
    for (const std::string line : {"for (int",
                                   "    i = 0; i",
                                   "    < 1; ++i)",
                                   "    {",
                                   "    if (i",
                                   "        == 0)",
                                   "        lesson.say(\"once\");",
                                   "    for",
                                   "        (int",
                                   "        j =",
                                   "        0; j",
                                   "        < 1;",
                                   "        ++j)",
                                   "        if",
                                   "            (j",
                                   "            ==",
                                   "            0)",
                                   "        if",
                                   "            (i",
                                   "            ==",
                                   "            j)",
                                   "            lesson.say(\"deep\");",
                                   "}"})
        code += (code.empty() ? "\n         code      " : std::string(19, ' ')) + line + "\n";
    CHECK(words.find(code) != std::string::npos);
}

static void a_wide_page(Lesson& lesson) {
    lesson.curves({{"up", {0, 1}, {0, 3}}});
    lesson.table({{"what is said in this table", "n"}, {"one two three four five six seven eight nine ten eleven twelve", "1"}});
    lesson.matrix("wide", Matrix(1, 5, 1));
    lesson.matrix("wid", Matrix(1, 5, 1));
    lesson.matrix("below", Matrix(1, 6, 1));
    lesson.matrix("shortened", Matrix(1, 5, 100));
    lesson.predict("A question of some length?", {"an answer of a length that needs two lines of a page of 60 columns"});
}

TEST_CASE("Lesson: on a page of another width the purpose, curves, tables, matrices and answers are that wide") {
    const auto given = [](int width) {
        return split_lines(printed(a_wide_page, false, "", Colours::none, width,
                                   "Shows a toy, with a purpose that is longer than one line of this page")
                               .words);
    };
    const std::vector<std::string> narrow = given(60), wide = given(100);
    const auto has = [](const std::vector<std::string>& lines, const std::string& line) {
        return std::find(lines.begin(), lines.end(), line) != lines.end();
    };
    CHECK(narrow[0] == "toy   Shows a toy, with a purpose that is longer than one");
    CHECK(narrow[1] == "      line of this page");
    CHECK(wide[0] == "toy   Shows a toy, with a purpose that is longer than one line of this page");
    CHECK(has(narrow, "           +" + std::string(36, '-')));  // 24 less than the page
    CHECK(has(wide, "           +" + std::string(64, '-')));    // at most 64
    CHECK(has(narrow, "         " + std::string(48, '-') + "  -"));
    CHECK(has(wide, "         " + std::string(62, '-') + "   -"));
    // 9 and "wide (1, 5)" and 5 * 8 and 1 are 61, one more than the page
    CHECK(has(narrow, "         wide (1, 5)"));
    CHECK(has(narrow, "         wid (1, 5)   1.0000  1.0000  1.0000  1.0000  1.0000"));
    // below a name there are 60 - 9 - 2 columns: 1 + 6 * 8 fit, 1 + 5 * 10 do not
    CHECK(has(narrow, "              1.0000  1.0000  1.0000  1.0000  1.0000  1.0000"));
    CHECK(has(narrow, "              100.0000  100.0000  ...  100.0000  100.0000"));
    CHECK(has(wide, "         wide (1, 5)   1.0000  1.0000  1.0000  1.0000  1.0000"));
    CHECK(has(narrow, "         step 0   A question of some length? an answer of a"));
    CHECK(has(narrow, "         length that needs two lines of a page of 60 columns"));
}

static void two_pictures(Lesson& lesson) {
    const Drawing dark = picture(Image(1, 1, 1), Colours::none), bright = picture(Image(1, 1, 1, 1), Colours::none);
    lesson.pictures({{std::string(72, 'a'), dark}, {"b", bright}});
    lesson.pictures({});
}

TEST_CASE("Lesson::pictures: of several none is left out, however wide the caption of the first") {
    CHECK(printed(two_pictures).words.ends_with("second\n         " + std::string(72, 'a') + "\n\n         b\n         @@\n"));
}

static void a_thousand_steps(Lesson& lesson) {
    for (int k = 1; k <= 1000; ++k) lesson.step("Why?");
}

TEST_CASE("Lesson::step: a question never touches its number") {
    const std::string words = printed(a_thousand_steps).words;
    CHECK(words.find("\nstep 9   Why?\n") != std::string::npos);
    CHECK(words.find("\nstep 999 Why?\n") != std::string::npos);
    CHECK(words.ends_with("\nstep 1000 Why?\n"));
}

static void several_replies(Lesson& lesson) {
    lesson.step("How many?");
    for (int k = 0; k < 5; ++k) lesson.predict("How many of 9?", {7, 0.5});
    lesson.predict("Which word?", {"cat"});
    lesson.predict("Which word?", {"cat"});
    lesson.predict("Which word?", {"cat"});
    lesson.predict("Exactly?", {2, 0});
    lesson.predict("Exactly?", {2, 0});
}

TEST_CASE("predict: a number within its tolerance is right, words without the spaces around them; no reply is no answer") {
    const std::string words = printed(several_replies, true, "7.5\n 6.5 \n7.51\nseven\n\n cat\t\ncats\nca t\n2.00\n2.01\n").words;
    std::vector<std::string> verdicts;
    for (std::size_t at = words.find("answer    "); at != std::string::npos; at = words.find("answer    ", at + 1))
        verdicts.push_back(words.substr(at + 10, words.find('\n', at) - at - 10));
    CHECK(verdicts == std::vector<std::string>{"right: 7", "right: 7", "no: 7", "no: 7", "7", "right: cat", "no: cat", "no: cat",
                                               "right: 2", "no: 2"});
}

TEST_CASE("refusal: names the program; outside the project's folder it says where to start") {
    const Options options("toy", "Shows a toy.", "1 second");
    const std::string why = "walkthroughs/data/digits: cannot be opened";
    CHECK(refusal(options, why) == "toy: walkthroughs/data/digits: cannot be opened");
    const TemporaryFolder folder;
    const WorkingFolder elsewhere(folder.path(""));
    const std::string own = refusal(options, why), other = refusal(options, "mine.ppm: cannot be opened");
    CHECK(own == "toy: walkthroughs/data/digits: cannot be opened; start it in the folder of the project");
    CHECK(other == "toy: mine.ppm: cannot be opened");
}
