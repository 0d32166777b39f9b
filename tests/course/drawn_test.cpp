#include "course/drawn/drawn.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "course/grade/comparison.h"
#include "nn/base/decimal.h"
#include "nn/data/file.h"
#include "nn/data/text.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("drawn");

static std::vector<Answer> answers_of(const std::string& task, int seed) {
    Answers answers;
    answer_all(task, seed, answers);
    return answers.list;
}

static std::string as_text(const std::vector<Answer>& answers) {
    std::string text;
    for (const Answer& answer : answers) text += text_of(answer);
    return text;
}

TEST_CASE("answer_all: the reference solution answers every question; equal seeds ask equal questions, others differ") {
    for (const std::string& task : drawn_tasks()) {
        INFO(task);
        const std::vector<Answer> answers = answers_of(task, 5);
        CHECK(answers.size() >= 9);
        for (const Answer& answer : answers) {
            INFO(answer.name);
            CHECK(answer.error == "");
            CHECK(!answer.value.empty());
        }
        CHECK(as_text(answers) == as_text(answers_of(task, 5)));
        CHECK(as_text(answers) != as_text(answers_of(task, 6)));
    }
    CHECK(error_of([] {
              Answers answers;
              answer_all("cooking", 1, answers);
          }) == "course: there are no questions for the task cooking");
}

// How a question's answer is recognised: the task, the question, the shape, and a sum of the numbers, each times 1 ... 7 in turn.
static std::string line_of(const std::string& task, const Answer& answer, double& slack) {
    double sum = 0;
    slack = 1e-4;
    for (std::size_t k = 0; k < answer.value.size(); ++k) {
        const double weighted = static_cast<double>(k % 7 + 1) * answer.value[k];
        sum += weighted;
        slack += 1e-4 * std::abs(weighted);
    }
    return task + "\t" + answer.name + "\t" + shape(answer.value) + "\t" + fixed_digits(sum, 4);
}

// Packs that were handed out hold the answers of their seeds: what is drawn from a seed must not change, with any compiler. If a
// question is changed on purpose, the lines that this test prints belong into the file.
TEST_CASE("answer_all: seed 7 asks of every task what it has always asked") {
    const std::vector<std::string> lines = split_lines(read_file("tests/course/drawn_seed_7.txt"));
    std::size_t n = 0;
    for (const std::string& task : drawn_tasks())
        for (const Answer& answer : answers_of(task, 7)) {
            double slack = 0;
            const std::string line = line_of(task, answer, slack), known = n < lines.size() ? lines[n++] : "\t";
            const std::size_t sum = line.rfind('\t'), known_sum = known.rfind('\t');
            const bool same = line.substr(0, sum) == known.substr(0, known_sum) &&
                              std::abs(decimal_number(line.substr(sum + 1)).value() -
                                       decimal_number(known.substr(known_sum + 1)).value_or(NAN)) <= slack;
            CHECK_MESSAGE(same, line);
        }
    CHECK(n == lines.size());
}

TEST_CASE("answer_command: writes the answers into an open file and closes it; other words are refused") {
    const TemporaryFolder folder;
    const auto opened = [&] { return open(folder.path("answers").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600); };
    for (const std::string seed : {"0", "7", "100000000"}) {
        const int pipe = opened();
        answer_command({"causal", seed, std::to_string(pipe)});
        CHECK(read_file(folder.path("answers")) == as_text(answers_of("causal", std::stoi(seed))));
        CHECK(close(pipe) == -1);
    }
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{}, {"causal", "7"}, {"causal", "7", "1", "2"}})
        CHECK(error_of([&] { answer_command(words); }) == "run_answers TASK SEED PIPE");
    for (const std::string seed : {"-1", "100000001", "one"})
        CHECK(error_of([&] {
                  answer_command({"causal", seed, "1"});
              }) == "run_answers: the seed is \"" + seed + "\", expected a number from 0 to 100000000");
    for (const std::string pipe : {"-1", "999999", "one"})
        CHECK(error_of([&] { answer_command({"causal", "7", pipe}); }) == "run_answers: " + pipe + " is not an open file");
    const int pipe = opened();
    CHECK(error_of([&] {
              answer_command({"cooking", "7", std::to_string(pipe)});
          }) == "course: there are no questions for the task cooking");
}

// The answers to one question of a task, one of each round.
static std::vector<Matrix> answers_to(const std::string& task, const std::string& question, int seed) {
    std::vector<Matrix> found;
    for (const Answer& answer : answers_of(task, seed))
        if (answer.name == question) found.push_back(answer.value);
    CHECK(found.size() == static_cast<std::size_t>(rounds));
    return found;
}

static int not_zero(const Matrix& m) {
    return static_cast<int>(std::count_if(m.begin(), m.end(), [](float x) { return x != 0; }));
}

TEST_CASE("answer_all: a question asks what its name says") {
    for (int seed = 1; seed <= 5; ++seed) {
        for (const Matrix& may : answers_to("causal", "n queries of n tokens", seed)) {
            CHECK(may.rows == may.cols);
            CHECK(not_zero(may) == may.rows * (may.rows + 1) / 2);
        }
        for (const Matrix& may : answers_to("causal", "n queries after a cache", seed)) {
            CHECK(may.cols > may.rows);
            CHECK(may(0, may.cols - may.rows) == 1);
            CHECK(may(0, may.cols - may.rows + 1) == 0);
        }
        for (const Matrix& may : answers_to("causal", "one query after a cache", seed)) CHECK(not_zero(may) == may.cols);
        for (const Matrix& context : answers_to("attention", "a query that may attend to nothing", seed)) {
            for (int j = 0; j < context.cols; ++j) CHECK(context(0, j) == 0);
            CHECK(not_zero(context) > 0);
        }
        for (const Matrix& y : answers_to("layer_norm", "mean and variance", seed))
            for (int i = 0; i < y.rows; ++i) {
                double sum = 0, squares = 0;
                for (int j = 0; j < y.cols; ++j) sum += y(i, j), squares += y(i, j) * y(i, j);
                CHECK(std::abs(sum) < 1e-4);
                CHECK(squares == Approx(y.cols).epsilon(1e-4));
            }
        for (const Matrix& p : answers_to("top_p", "p of 0 keeps one", seed)) CHECK(not_zero(p) == 1);
        for (const Matrix& p : answers_to("top_p", "p of 1 keeps all", seed)) CHECK(not_zero(p) == p.cols);
        for (const Matrix& p : answers_to("top_p", "equal probabilities, reached exactly", seed)) CHECK(not_zero(p) == 2);
        for (const Matrix& p : answers_to("top_p", "equal probabilities, crossed", seed)) CHECK(not_zero(p) == 3);
        for (const Matrix& span : answers_to("best_span", "answers of one word", seed))
            for (int b = 0; b < span.rows; ++b) CHECK(span(b, 0) == span(b, 1));
        for (const Matrix& span : answers_to("best_span", "answers of at most two words", seed))
            for (int b = 0; b < span.rows; ++b) CHECK(span(b, 1) - span(b, 0) <= 1);
        for (const Matrix& span : answers_to("best_span", "of equal spans the first", seed)) CHECK(span[0] == span[1]);
    }
}

TEST_CASE("answer_all: each round asks about larger arguments than the round before") {
    struct Sizes {
        std::string task, question, of_rounds;
    };
    for (const Sizes& sizes : std::vector<Sizes>{{"all_pairs", "one ranking without ties", "(10, 3) (15, 3) (21, 3)"},
                                                 {"reward_loss", "gradient", "(9, 1) (10, 1) (11, 1)"},
                                                 {"whiten", "everything counts", "(2, 7) (3, 7) (4, 7)"},
                                                 {"advantages", "prompts and padding", "(2, 6) (3, 6) (4, 6)"},
                                                 {"ppo_loss", "ratio", "(3, 6) (3, 7) (3, 8)"},
                                                 {"dpo_loss", "margin", "(3, 1) (4, 1) (5, 1)"},
                                                 {"next_tokens", "padding on the left", "(1, 21) (1, 28) (1, 35)"},
                                                 {"corrupt_batch", "the labels", "(1, 30) (1, 40) (1, 50)"},
                                                 {"top_p", "different probabilities", "(1, 9) (1, 13) (1, 17)"},
                                                 {"embed_patches", "one image", "(7, 5) (13, 7) (21, 9)"}})
        for (int seed = 1; seed <= 2; ++seed) {
            std::string shapes;
            for (const Matrix& answer : answers_to(sizes.task, sizes.question, seed))
                shapes += (shapes.empty() ? "" : " ") + shape(answer);
            CHECK_MESSAGE(shapes == sizes.of_rounds, sizes.task);
        }
}

TEST_CASE("between: both ends are drawn, nothing beyond them") {
    Random random(1);
    std::set<int> drawn;
    for (int k = 0; k < 200; ++k) drawn.insert(between(random, 3, 6));
    CHECK(drawn == std::set<int>{3, 4, 5, 6});
}

TEST_CASE("answer_all: no answer is all zeros or the same for every question") {
    for (const std::string& task : drawn_tasks()) {
        const std::vector<Answer> one = answers_of(task, 11);
        int moving = 0, zero = 0;
        for (int seed = 12; seed < 16; ++seed) {
            const std::vector<Answer> other = answers_of(task, seed);
            for (std::size_t k = 0; k < one.size(); ++k) moving += !same_answer(one[k], other[k]);
        }
        for (const Answer& answer : one) {
            bool all_zero = true;
            for (const float x : answer.value) all_zero = all_zero && x == 0;
            zero += all_zero;
        }
        INFO(task, ": ", moving, " of ", 4 * one.size(), " answers differ from seed to seed, ", zero, " are zeros");
        CHECK(2 * moving >= static_cast<int>(4 * one.size()));
        CHECK(6 * zero <= static_cast<int>(one.size()));
    }
}

TEST_SUITE_END();
