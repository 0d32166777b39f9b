#include "gpt/prompting/in_context.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "gpt/writing.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("in_context");

static const in_context::Task card{};  // four inputs, four labels, twelve pairs

TEST_CASE("best_accuracy: shown before, or guessed") {
    CHECK(in_context::best_accuracy(card, 0) == Approx(0.25));
    CHECK(in_context::best_accuracy(card, 1) == Approx(0.4375));  // 1/4 seen, and 3/4 * 1/4 guessed
    CHECK(in_context::best_accuracy(card, 2) == Approx(0.578).epsilon(0.001));
    CHECK(in_context::best_accuracy(card, 4) == Approx(0.763).epsilon(0.001));
    CHECK(in_context::best_accuracy(card, 11) == Approx(0.968).epsilon(0.001));
    CHECK(in_context::best_accuracy({.inputs = 8, .labels = 4, .pairs = 16}, 15) == Approx(0.899).epsilon(0.001));
    CHECK(in_context::best_loss(card, 0) == Approx(std::log(4.0)));
    CHECK(in_context::best_loss(card, 2) == Approx(9.0 / 16 * std::log(4.0)));
}

TEST_CASE("make_batch: an input keeps its label within a sequence; tables differ between sequences") {
    Random random(1);
    const in_context::Task task{.inputs = 3, .labels = 5, .pairs = 7};
    const in_context::Batch batch = in_context::make_batch(task, random, 200);
    REQUIRE(batch.ids.size() == 200 * 14);
    REQUIRE(batch.answers.size() == 200 * 7);
    std::vector<int> label_of_input_0(5, 0), inputs(3, 0);
    for (int b = 0; b < 200; ++b) {
        std::map<int, int> table;
        for (int n = 0; n < 7; ++n) {
            const int x = batch.ids[b * 14 + 2 * n], label = batch.ids[b * 14 + 2 * n + 1];
            REQUIRE((x >= 0 && x < 3 && label >= 3 && label < 8));
            CHECK(batch.answers[b * 7 + n] == label - 3);
            if (table.count(x)) CHECK(table[x] == label);
            table[x] = label;
            ++inputs[x];
        }
        if (table.count(0)) ++label_of_input_0[table[0] - 3];
    }
    for (const int count : label_of_input_0) CHECK(count > 15);  // about 190 / 5
    for (const int count : inputs) CHECK(std::abs(count - 1400 / 3) < 100);
}

TEST_CASE("prompt_of: examples, then the query without its label") {
    CHECK(in_context::prompt_of(card, {}, 2) == std::vector<int>{2});
    CHECK(in_context::prompt_of(card, {{0, 3}, {2, 1}}, 0) == std::vector<int>{0, 7, 2, 5, 0});
}

TEST_CASE("model_of: 18,432 parameters") {
    Random random(1);
    const gpt::Config config = in_context::model_of(card);
    CHECK(count_numbers(gpt::parameters(gpt::make_weights(config, random), config)) == 18432);
}

TEST_CASE("label_logits: the rows of the inputs and the columns of the labels") {
    const in_context::Task task{.inputs = 2, .labels = 3, .pairs = 2};
    Matrix logits(8, 5);  // two sequences of four tokens
    for (std::size_t k = 0; k < logits.size(); ++k) logits[k] = static_cast<float>(k);
    gpt::Steps steps;
    steps.logits = logits;
    CHECK(identical(in_context::label_logits(steps, task).value(), Matrix{{2, 3, 4}, {12, 13, 14}, {22, 23, 24}, {32, 33, 34}}));
    // the query's own label is one row further down and is not read
}

TEST_CASE("loss: the mean over the labels only, ln L before training") {
    Random random(2);
    const gpt::Config config = in_context::model_of(card);
    const gpt::Weights w = gpt::make_weights(config, random);
    const in_context::Batch batch = in_context::make_batch(card, random, 4);
    const gpt::Steps steps = gpt::forward(batch.ids, 24, w, config);
    CHECK(in_context::loss(steps, batch, card).value()[0] == Approx(std::log(4.0)).epsilon(0.02));
    const Matrix p = softmax_rows(in_context::label_logits(steps, card)).value();  // (48, 4)
    double sum = 0;
    for (int i = 0; i < 48; ++i) sum -= std::log(p(i, batch.answers[i]));
    CHECK(in_context::loss(steps, batch, card).value()[0] == Approx(sum / 48));
}

TEST_CASE("recipe_of: warm-up of 100 steps or all of them, then linear descent to 5 %") {
    const Recipe recipe = in_context::recipe_of({.steps = 400, .batch = 7, .learning_rate = 0.5f});
    CHECK(recipe.schedule.warm_up == 100);
    CHECK(recipe.schedule.steps == 400);
    CHECK(recipe.schedule.peak == 0.5f);
    CHECK(recipe.schedule.descent == Descent::linear);
    CHECK(recipe.schedule.floor == 0.05f);
    CHECK(recipe.batch == 7);
    CHECK(recipe.beta2 == 0.98f);
    CHECK(in_context::recipe_of({.steps = 30}).schedule.warm_up == 30);
}

TEST_CASE("accuracy_by_shots: of each pair, the share of the sequences whose label is the likeliest") {
    const in_context::Task task{.inputs = 2, .labels = 2, .pairs = 3};
    Random random(3);
    const gpt::Config config = in_context::model_of(task);
    const gpt::Weights w = gpt::make_weights(config, random, in_context::start);
    for (const int sequences : {1, 2, 3, 4, 5, 251}) {  // 250 run at once
        Random drawn(sequences), again(sequences);
        const std::vector<float> accuracy = in_context::accuracy_by_shots(w, config, task, drawn, sequences);
        const in_context::Batch batch = in_context::make_batch(task, again, sequences);
        const Matrix logits = in_context::label_logits(gpt::forward(batch.ids, 6, w, config), task).value();  // (B * 3, 2)
        std::vector<float> right(3);
        for (int i = 0; i < logits.rows; ++i) right[i % 3] += logits(i, batch.answers[i]) > logits(i, 1 - batch.answers[i]);
        REQUIRE(accuracy.size() == 3);
        for (int n = 0; n < 3; ++n) CHECK(accuracy[n] == right[n] / static_cast<float>(sequences));
    }
}

TEST_CASE("train: after a short training few-shot beats one-shot, one-shot beats zero-shot, and zero-shot stays at chance" *
          only_when_optimised) {
    const in_context::Task task{.inputs = 2, .labels = 2, .pairs = 5};
    Random random(3);
    const gpt::Config config = in_context::model_of(task);
    const gpt::Weights w = gpt::make_weights(config, random, in_context::start);
    const std::vector<float> losses = in_context::train(w, config, task, {.steps = 150, .batch = 24}, random);
    REQUIRE(losses.size() == 150);
    CHECK(losses.front() > losses.back());
    const std::vector<float> accuracy = in_context::accuracy_by_shots(w, config, task, random, 2000);
    REQUIRE(accuracy.size() == 5);
    for (int n = 0; n < 5; ++n) {
        INFO(n, " shots: ", accuracy[n], ", best ", in_context::best_accuracy(task, n));
        CHECK(std::abs(accuracy[n] - in_context::best_accuracy(task, n)) < 0.05);
    }
    // used as a language model: the most likely candidate after the prompt
    const std::vector<std::vector<int>> labels{{2}, {3}};
    CHECK(in_context::choose(in_context::prompt_of(task, {{0, 1}, {1, 0}, {0, 1}}, 0), labels, w, config) == 1);
    CHECK(in_context::choose(in_context::prompt_of(task, {{0, 1}, {1, 0}, {0, 1}}, 1), labels, w, config) == 0);
    CHECK(in_context::choose(in_context::prompt_of(task, {{0, 0}, {1, 1}, {0, 0}}, 0), labels, w, config) == 0);
}

TEST_CASE("choose: scores by mean log-probability per token, minus that after the neutral context") {
    const gpt::Config config{.vocabulary = 6, .positions = 8, .width = 8, .depth = 1, .heads = 2, .mlp_width = 8};
    Random random(5);
    const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    const std::vector<std::vector<int>> candidates{{1, 2, 3}, {4}, {5, 0}};
    int chosen_otherwise_by_sum = 0;  // if sum and mean always chose alike, the test could not tell them apart
    for (const std::vector<int>& prompt : std::vector<std::vector<int>>{{2, 3}, {1}, {0, 4}, {5, 5}, {3, 1, 2}}) {
        std::vector<double> sums, means, relative;
        for (const std::vector<int>& candidate : candidates) {
            const double after_prompt = gpt::log_probability(prompt, candidate, w, config);
            const double after_neutral = gpt::log_probability({0}, candidate, w, config);
            const double words = static_cast<double>(candidate.size());
            sums.push_back(after_prompt);
            means.push_back(after_prompt / words);
            relative.push_back((after_prompt - after_neutral) / words);
        }
        const auto best = [](const std::vector<double>& scores) {
            return std::max_element(scores.begin(), scores.end()) - scores.begin();
        };
        CHECK(in_context::choose(prompt, candidates, w, config) == best(means));
        CHECK(in_context::choose(prompt, candidates, w, config, {0}) == best(relative));
        chosen_otherwise_by_sum += best(sums) != best(means);
    }
    CHECK(chosen_otherwise_by_sum > 0);
    CHECK(in_context::choose({1}, {{2}, {2}}, w, config) == 0);  // of equal ones the first
    CHECK_THROWS_WITH(in_context::choose({1}, {}, w, config), "choose: no candidates; give at least one continuation");
    CHECK_THROWS_WITH(in_context::choose({1}, {{2}, {}}, w, config), "choose: candidate 1 has no tokens; leave it out");
}

TEST_CASE("make_batch: a task without inputs, labels or pairs throws") {
    Random random(1);
    CHECK_THROWS_WITH(in_context::make_batch({.inputs = 0}, random, 1),
                      "in_context: 0 inputs, 4 labels, 12 pairs, each must be at least 1");
}

TEST_CASE("make_batch, prompt_of, best_accuracy: no sequence, inputs that do not exist and negative shots are refused") {
    Random random(1);
    const in_context::Task task{.inputs = 3, .labels = 2};
    CHECK_THROWS_WITH(in_context::make_batch(task, random, 0), "in_context: 0 sequences, there must be at least 1");
    CHECK_THROWS_WITH(in_context::prompt_of(task, {}, 3), "in_context: a query 3 of 3 inputs, counted from 0");
    CHECK_THROWS_WITH(in_context::prompt_of(task, {{1, 2}}, 0),
                      "in_context: an example of input 1 and label 2, there are 3 and 2, counted from 0");
    CHECK_THROWS_WITH(in_context::best_accuracy(task, -1), "in_context: -1 shots, there cannot be fewer than 0");
}

TEST_CASE("make_batch, prompt_of: each argument check fails by itself, the smallest sizes are allowed") {
    Random random(1);
    CHECK_THROWS_WITH(in_context::make_batch({.labels = 0}, random, 1),
                      "in_context: 4 inputs, 0 labels, 12 pairs, each must be at least 1");
    CHECK_THROWS_WITH(in_context::make_batch({.pairs = 0}, random, 1),
                      "in_context: 4 inputs, 4 labels, 0 pairs, each must be at least 1");
    CHECK(in_context::make_batch({.inputs = 1, .labels = 1, .pairs = 1}, random, 1).ids == std::vector<int>{0, 1});
    const in_context::Task task{.inputs = 3, .labels = 2, .pairs = 4};
    const auto refusal = [&](int x, int label) { return error_of([&] { in_context::prompt_of(task, {{x, label}}, 0); }); };
    const std::string counted = ", there are 3 and 2, counted from 0";
    CHECK(refusal(0, 0) == "");
    CHECK(refusal(2, 1) == "");
    CHECK(refusal(-1, 0) == "in_context: an example of input -1 and label 0" + counted);
    CHECK(refusal(3, 0) == "in_context: an example of input 3 and label 0" + counted);
    CHECK(refusal(0, -1) == "in_context: an example of input 0 and label -1" + counted);
    CHECK(refusal(0, 2) == "in_context: an example of input 0 and label 2" + counted);
    CHECK_THROWS_WITH(in_context::prompt_of(task, {}, -1), "in_context: a query -1 of 3 inputs, counted from 0");
}

TEST_CASE("in_context::Task: the defaults") {
    const in_context::Task usual{};
    CHECK(usual.inputs == 4);
    CHECK(usual.labels == 4);
    CHECK(usual.pairs == 12);
}

TEST_CASE("in_context::Training: the defaults") {
    const in_context::Training usual{};
    CHECK(usual.steps == 600);
    CHECK(usual.batch == 32);
    CHECK(usual.learning_rate == 3e-3f);
    CHECK(in_context::start.stddev == 0.1f);
    CHECK(in_context::start.embedding_stddev == 0.5f);
}

TEST_CASE("in_context: tasks without inputs, labels or pairs, logits of another task and no sequence are refused") {
    using namespace in_context;
    for (const Task& task : {Task{0, 3, 4}, Task{3, 0, 4}, Task{3, 3, 0}}) {
        const std::string words = error_of([&] { model_of(task); });
        CHECK(words.ends_with(" pairs, each must be at least 1"));
        CHECK(error_of([&] { best_accuracy(task, 1); }) == words);
        CHECK(error_of([&] { best_loss(task, 1); }) == words);
        CHECK(error_of([&] { label_logits(gpt::Steps{}, task); }) == words);
    }
    gpt::Steps steps;
    steps.logits = Matrix(4, 6);
    CHECK(label_logits(steps, {3, 3, 2}).cols() == 3);
    CHECK(error_of([&] {
              label_logits(steps, {3, 2, 2});
          }) == "in_context: logits (4, 6) for 3 inputs and 2 labels; each needs a column, and each pair two rows");
    steps.logits = Matrix(3, 6);
    CHECK(error_of([&] { label_logits(steps, {3, 3, 2}); }).starts_with("in_context: logits (3, 6) for 3 inputs"));
    Random random(1);
    for (const int sequences : {0, -1})
        CHECK(error_of([&] {
                  accuracy_by_shots({}, {}, {3, 3, 2}, random, sequences);
              }) == "in_context: " + std::to_string(sequences) + " sequences, there must be at least 1");
}

TEST_SUITE_END();
