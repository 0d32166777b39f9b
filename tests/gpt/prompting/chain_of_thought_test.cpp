#include "gpt/prompting/chain_of_thought.h"

#include <cmath>

#include "gpt/writing.h"
#include "nn/training/loss.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("chain_of_thought");

using chain_of_thought::Format;

static const chain_of_thought::Task card{};  // six digits modulo 7
static const chain_of_thought::Task small{.digits = 5,
                                          .count = 3};  // three digits modulo 5: = is 5, ANSWER 6, END 7, DIRECT 8, STEPS 9
static const chain_of_thought::Questions two{4, 3, 1, 0, 2, 2};  // 4 + 3 + 1 = 8 = 3 (mod 5),  0 + 2 + 2 = 4

TEST_CASE("partial_sums: every step adds one digit, and each question starts again") {
    CHECK(chain_of_thought::partial_sums(small, two) == std::vector<int>{4, 2, 3, 0, 2, 4});
    Random random(1);
    const chain_of_thought::Questions questions = chain_of_thought::make_questions(card, random, 50);
    const std::vector<int> sums = chain_of_thought::partial_sums(card, questions);
    for (int q = 0; q < 50; ++q)
        for (int k = 1; k <= 6; ++k) {
            int sum = 0;
            for (int i = 0; i < k; ++i) sum += questions[q * 6 + i];
            CHECK(sums[q * 6 + k - 1] == sum % 7);
        }
}

TEST_CASE("documents_of: direct, with steps, and with fillers as long as the steps") {
    CHECK(chain_of_thought::documents_of(small, two, Format::direct) ==
          std::vector<int>{8, 4, 3, 1, 5, 6, 3, 8, 0, 2, 2, 5, 6, 4});
    CHECK(chain_of_thought::documents_of(small, two, Format::steps) ==
          std::vector<int>{9, 4, 3, 1, 5, 4, 2, 3, 6, 3, 9, 0, 2, 2, 5, 0, 2, 4, 6, 4});
    CHECK(chain_of_thought::documents_of(small, two, Format::filler) ==
          std::vector<int>{9, 4, 3, 1, 5, 5, 5, 5, 6, 3, 9, 0, 2, 2, 5, 5, 5, 5, 6, 4});
    CHECK(chain_of_thought::document_length(card, Format::direct) == 6 + 4);
    CHECK(chain_of_thought::document_length(card, Format::steps) == 2 * 6 + 4);
    CHECK(chain_of_thought::document_length(card, Format::filler) == 2 * 6 + 4);
    CHECK(chain_of_thought::document_text(small, {9, 4, 3, 1, 5, 4, 2, 3, 6, 3, 7}) == "STEPS 4 3 1 = 4 2 3 ANSWER 3 END");
    CHECK(chain_of_thought::document_text(small, {8}) == "DIRECT");
}

TEST_CASE("prompts_of: the two prompts of a question differ only in the first token") {
    const std::vector<int> direct = chain_of_thought::prompts_of(small, two, Format::direct);
    std::vector<int> steps = chain_of_thought::prompts_of(small, two, Format::steps);
    CHECK(direct == std::vector<int>{8, 4, 3, 1, 5, 8, 0, 2, 2, 5});
    CHECK(steps == std::vector<int>{9, 4, 3, 1, 5, 9, 0, 2, 2, 5});
    CHECK(chain_of_thought::prompts_of(small, two, Format::filler) == steps);
}

TEST_CASE("labels_of: the digits have no label, every token after = has one") {
    const int none = ignored_label;
    const std::vector<int> direct = chain_of_thought::documents_of(small, {4, 3, 1}, Format::direct);
    const std::vector<int> steps = chain_of_thought::documents_of(small, {4, 3, 1}, Format::steps);
    CHECK(chain_of_thought::labels_of(small, direct, Format::direct) == std::vector<int>{none, none, none, none, 6, 3, none});
    CHECK(chain_of_thought::labels_of(small, steps, Format::steps) ==
          std::vector<int>{none, none, none, none, 4, 2, 3, 6, 3, none});
}

TEST_CASE("make_questions: any N - 1 of the digits leave all answers equally likely") {
    for (int hidden = 0; hidden < 3; ++hidden) {
        std::vector<int> seen(5, 0);
        for (int d = 0; d < 5; ++d) {
            chain_of_thought::Questions question{4, 3, 1};
            question[hidden] = d;
            ++seen[chain_of_thought::partial_sums(small, question).back()];
        }
        CHECK(seen == std::vector<int>{1, 1, 1, 1, 1});
    }
}

TEST_CASE("model_of: 26,752 parameters, and chance accuracy before training") {
    Random random(1);
    const gpt::Config config = chain_of_thought::model_of(card);
    const gpt::Weights w = gpt::make_weights(config, random);
    CHECK(count_numbers(gpt::parameters(w, config)) == 26752);
    const chain_of_thought::Questions a = chain_of_thought::make_questions(card, random, 20);
    const chain_of_thought::Questions b = chain_of_thought::make_questions(card, random, 20);
    CHECK(chain_of_thought::loss(w, config, card, a, b, Format::steps).value()[0] == Approx(std::log(12.0)).epsilon(0.02));
}

TEST_CASE("loss: the mean over all labelled tokens of both formats") {
    Random random(6);
    const gpt::Config config = chain_of_thought::model_of(small);
    const gpt::Weights w = gpt::make_weights(config, random, chain_of_thought::start);
    const chain_of_thought::Questions three = chain_of_thought::make_questions(small, random, 3);
    double sum = 0;
    for (const Format format : {Format::direct, Format::steps}) {
        const chain_of_thought::Questions& questions = format == Format::direct ? two : three;
        const std::vector<int> documents = chain_of_thought::documents_of(small, questions, format);
        const gpt::Steps steps = gpt::forward(documents, chain_of_thought::document_length(small, format), w, config);
        const Var losses = gpt::position_losses(steps, chain_of_thought::labels_of(small, documents, format));
        for (const float x : losses.value()) sum += x;
    }
    // two questions with 2 tokens each, three with 5
    CHECK(chain_of_thought::loss(w, config, small, two, three, Format::steps).value()[0] == Approx(sum / (2 * 2 + 3 * 5)));
}

TEST_CASE("majority: the most frequent answer; of ties, the first") {
    CHECK(chain_of_thought::majority({3, 1, 3}) == 3);
    CHECK(chain_of_thought::majority({1, 3, 3}) == 3);
    CHECK(chain_of_thought::majority({2, 1, 1, 2}) == 2);
    CHECK(chain_of_thought::majority({2, 1, 2, 1}) == 2);
    CHECK(chain_of_thought::majority({4}) == 4);
    CHECK_THROWS_WITH(chain_of_thought::majority({}), "majority: no answers; give at least one");
}

TEST_CASE("accuracy: the fraction of answers equal to the sum") {
    CHECK(chain_of_thought::accuracy(small, two, {3, 4}) == 1);
    CHECK(chain_of_thought::accuracy(small, two, {3, 0}) == 0.5f);
    CHECK(chain_of_thought::answers_of({{6, 3}, {0, 2, 6, 4}}) == std::vector<int>{3, 4});
}

namespace {
// A task that is learned in a second: four digits modulo 5.
struct Trained {
    chain_of_thought::Task task{.digits = 5, .count = 4};
    gpt::Config config = chain_of_thought::model_of(task);
    gpt::Weights w;
    chain_of_thought::Questions questions;
    Trained() {
        Random random(2);
        w = gpt::make_weights(config, random, chain_of_thought::start);
        chain_of_thought::train(w, config, task, {.steps = 300}, random);
        questions = chain_of_thought::make_questions(task, random, 100);
    }
};
}  // namespace

TEST_CASE("train: after a short training the model is right with steps, and reads the answer off its chain" *
          only_when_optimised) {
    const Trained t;
    const chain_of_thought::Written chains = chain_of_thought::solve(t.w, t.config, t.task, t.questions, Format::steps);
    const std::vector<int> answers = chain_of_thought::answers_of(chains);
    CHECK(chain_of_thought::accuracy(t.task, t.questions, answers) > 0.95f);
    for (const std::vector<int>& chain : chains) CHECK(chain.size() == 6);

    // a changed step changes the answer by the same amount
    const std::vector<int> moved =
        chain_of_thought::answers_of(chain_of_thought::solve_with_changed_step(t.w, t.config, t.task, t.questions, 2, 1));
    const std::vector<int> unmoved =
        chain_of_thought::answers_of(chain_of_thought::solve_with_changed_step(t.w, t.config, t.task, t.questions, 2, 0));
    int by_one = 0;
    for (int q = 0; q < 100; ++q) {
        CHECK(unmoved[q] == answers[q]);
        by_one += moved[q] == (answers[q] + 1) % 5;
    }
    CHECK(by_one > 95);

    // sampling at temperature 0 equals greedy decoding; draws of 0.5 nearly do
    const Matrix draws(100, 6, 0.5f);
    CHECK(chain_of_thought::sample_chains(t.w, t.config, t.task, t.questions, 0, draws) == chains);
    CHECK(chain_of_thought::accuracy(t.task, t.questions,
                                     chain_of_thought::answers_of(
                                         chain_of_thought::sample_chains(t.w, t.config, t.task, t.questions, 1, draws))) > 0.9f);
}

namespace {
struct StopAfterFour : Watcher {
    int seen = 0;
    bool after_step(int step, float loss) override {
        CHECK(step == seen++);
        CHECK(std::isfinite(loss));
        return step < 3;
    }
};
}  // namespace

TEST_CASE("train: a watcher can end the training") {
    Random random(3);
    const gpt::Config config = chain_of_thought::model_of(small);
    const gpt::Weights w = gpt::make_weights(config, random, chain_of_thought::start);
    StopAfterFour watcher;
    chain_of_thought::train(w, config, small, {.steps = 10, .batch = 4}, random, &watcher);
    CHECK(watcher.seen == 4);
}

TEST_CASE("train: of a batch of 3, one question is answered directly and two in the other format") {
    Random random(3);
    const gpt::Config config = chain_of_thought::model_of(small);
    const gpt::Weights w = gpt::make_weights(config, random, chain_of_thought::start);
    Random drawn(7), again(7);
    const chain_of_thought::Questions direct = chain_of_thought::make_questions(small, again, 1);
    const chain_of_thought::Questions others = chain_of_thought::make_questions(small, again, 2);
    const float before = chain_of_thought::loss(w, config, small, direct, others, Format::filler).value()[0];
    const chain_of_thought::Training training{.steps = 1, .batch = 3, .other = Format::filler};
    CHECK(chain_of_thought::train(w, config, small, training, drawn) == std::vector<float>{before});
}

TEST_CASE("chain_of_thought: invalid tasks, ids and steps throw") {
    Random random(4);
    const gpt::Config config = chain_of_thought::model_of(small);
    const gpt::Weights w = gpt::make_weights(config, random);
    CHECK_THROWS_WITH(chain_of_thought::prompts_of(small, {1, 2}, Format::direct),
                      "chain_of_thought: 2 digits are not a whole number of questions of 3");
    CHECK_THROWS_WITH(chain_of_thought::make_questions({.digits = 0}, random, 1),
                      "chain_of_thought: 6 digits modulo 0, both must be at least 1");
    CHECK_THROWS_WITH(chain_of_thought::solve_with_changed_step(w, config, small, two, 4, 1),
                      "solve_with_changed_step: step 4 of 3, they are counted from 1");
    CHECK_THROWS_WITH(chain_of_thought::solve_with_changed_step(w, config, small, two, 0, 1),
                      "solve_with_changed_step: step 0 of 3, they are counted from 1");
    CHECK_NOTHROW(chain_of_thought::solve_with_changed_step(w, config, small, two, 1, 1));
    CHECK_NOTHROW(chain_of_thought::solve_with_changed_step(w, config, small, two, 3, 1));
    CHECK_THROWS_WITH(chain_of_thought::prompts_of({.digits = 0, .count = 1}, {1}, Format::direct),
                      "chain_of_thought: 1 digits modulo 0, both must be at least 1");
    CHECK_THROWS_WITH(chain_of_thought::prompts_of({.digits = 5, .count = 0}, {1}, Format::direct),
                      "chain_of_thought: 0 digits modulo 5, both must be at least 1");
    CHECK(chain_of_thought::accuracy(small, {1, 2, 0}, {3}) == 1);  // one question is enough
    CHECK_THROWS_WITH(chain_of_thought::accuracy(small, {}, {}),
                      "chain_of_thought: 0 answers to 0 questions; each needs one, and there must be a question");
    CHECK_THROWS_WITH(chain_of_thought::accuracy(small, two, {1}),
                      "chain_of_thought: 1 answers to 2 questions; each needs one, and there must be a question");
    CHECK_THROWS_WITH(chain_of_thought::document_text(small, {10}),
                      "document_text: id 10 is outside the vocabulary of 10, counted from 0");
}

TEST_CASE("make_questions, partial_sums: a negative number of questions, and digits that the task does not have, are refused") {
    Random random(1);
    const chain_of_thought::Task task{.digits = 7, .count = 2};
    CHECK_THROWS_WITH(chain_of_thought::make_questions(task, random, -1),
                      "chain_of_thought: -1 questions, there cannot be fewer than 0");
    CHECK_THROWS_WITH(chain_of_thought::partial_sums(task, {1, 7}), "chain_of_thought: a digit 7 of 7, they are counted from 0");
}

TEST_CASE("make_questions, partial_sums, document_text: each argument check fails by itself, the limits are allowed") {
    Random random(1);
    CHECK_THROWS_WITH(chain_of_thought::make_questions({.digits = 0, .count = 1}, random, 1),
                      "chain_of_thought: 1 digits modulo 0, both must be at least 1");
    CHECK_THROWS_WITH(chain_of_thought::make_questions({.digits = 1, .count = 0}, random, 1),
                      "chain_of_thought: 0 digits modulo 1, both must be at least 1");
    CHECK(chain_of_thought::make_questions({.digits = 1, .count = 1}, random, 1) == std::vector<int>{0});
    CHECK(chain_of_thought::make_questions({.digits = 1, .count = 1}, random, 0).empty());
    const chain_of_thought::Task one{.digits = 1, .count = 1};
    CHECK_NOTHROW(chain_of_thought::prompts_of(one, {0}, chain_of_thought::Format::direct));
    CHECK_THROWS_WITH(chain_of_thought::partial_sums(one, {-1}), "chain_of_thought: a digit -1 of 1, they are counted from 0");
    CHECK_THROWS_WITH(chain_of_thought::document_text(one, {-1}),
                      "document_text: id -1 is outside the vocabulary of 6, counted from 0");
    CHECK(chain_of_thought::document_text(one, {0, 5}) == "0 STEPS");
}

TEST_CASE("chain_of_thought::Task: the defaults") {
    const chain_of_thought::Task usual{};
    CHECK(usual.digits == 7);
    CHECK(usual.count == 6);
}

TEST_CASE("chain_of_thought::Training: the defaults") {
    const chain_of_thought::Training usual{};
    CHECK(usual.steps == 600);
    CHECK(usual.batch == 64);
    CHECK(usual.learning_rate == 3e-3f);
    CHECK(usual.other == chain_of_thought::Format::steps);
    CHECK(chain_of_thought::start.stddev == 0.2f);
    CHECK(chain_of_thought::start.embedding_stddev == 0.5f);
    const chain_of_thought::Words words = chain_of_thought::words_of({.digits = 10});  // each after the digits, one after another
    CHECK(std::vector<int>{words.equals, words.answer, words.end, words.direct, words.steps} ==
          std::vector<int>{10, 11, 12, 13, 14});
}

TEST_CASE("chain_of_thought: tasks without digits, too large ones, digits beyond them and an empty continuation are refused") {
    using namespace chain_of_thought;
    const auto task_refused = [](const Task& task) {
        const std::string words = error_of([&] { words_of(task); });
        CHECK(error_of([&] { vocabulary(task); }) == words);
        CHECK(error_of([&] { written_length(task, Format::direct); }) == words);
        CHECK(error_of([&] { document_length(task, Format::steps); }) == words);
        CHECK(error_of([&] { model_of(task); }) == words);
        return words;
    };
    CHECK(task_refused({.digits = 1, .count = 1}).empty());
    CHECK(task_refused({.digits = 0, .count = 6}) == "chain_of_thought: 6 digits modulo 0, both must be at least 1");
    CHECK(task_refused({.digits = 7, .count = -1}) == "chain_of_thought: -1 digits modulo 7, both must be at least 1");
    const std::string too_large = " make more words or a longer document than an int can count";
    CHECK(vocabulary({.digits = 2147483642, .count = 1}) == 2147483647);
    CHECK(vocabulary({.digits = 2, .count = 715827880}) == 7);
    CHECK(task_refused({.digits = 2147483643, .count = 1}) == "chain_of_thought: 1 digits modulo 2147483643" + too_large);
    CHECK(task_refused({.digits = 7, .count = 715827881}) == "chain_of_thought: 715827881 digits modulo 7" + too_large);
    Random random(1);
    CHECK(error_of([&] { make_questions({.digits = 7, .count = 65536}, random, 32768); }) ==
          "chain_of_thought: 32768 questions of 65536 digits are more than an int can count");
    const Task task{.digits = 7, .count = 3};
    const std::string digit = "chain_of_thought: a digit 9 of 7, they are counted from 0";
    CHECK(error_of([&] { prompts_of(task, {1, 2, 9}, Format::direct); }) == digit);
    CHECK(error_of([&] { partial_sums(task, {9, 1, 2}); }) == digit);
    CHECK(error_of([&] { partial_sums(task, {1, 2}); }) == "chain_of_thought: 2 digits are not a whole number of questions of 3");
    CHECK(error_of([] { answers_of({{1}, {}}); }) == "answers_of: continuation 1 of 2 is empty; it has at least the answer");
}

TEST_SUITE_END();
