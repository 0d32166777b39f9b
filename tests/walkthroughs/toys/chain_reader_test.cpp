#include "walkthroughs/toys/chain_reader.h"

#include <cmath>

#include "gpt/families/llama.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/close.h"
#include "tests/test.h"
#include "tests/walkthroughs/written_out.h"

TEST_SUITE_BEGIN("chain_reader");

namespace {
// The optimal model: the logits of a row are the log-probabilities after the last two symbols; uniform after one.
class Oracle : public ChainReader {
public:
    explicit Oracle(const SecondOrderChain& chain) : chain(chain) {}
    Var logits(const TokenBatch& batch) const override {
        Matrix result(static_cast<int>(batch.ids.size()), chain.symbols());
        for (int row = 0; row < result.rows; ++row) {
            if (row % batch.length == 0) continue;
            const int pair = batch.ids[row - 1] * chain.symbols() + batch.ids[row];
            for (int c = 0; c < result.cols; ++c) result(row, c) = std::log(chain.transitions(pair, c));
        }
        return Var(result);
    }

private:
    const SecondOrderChain& chain;
};
}  // namespace

TEST_CASE("losses_by_position: the chain's entropy at every position for a perfect model, ln S for a uniform one") {
    Random random(2);
    const SecondOrderChain chain = make_second_order_chain(random);
    const std::vector<float> losses = losses_by_position(Oracle(chain), chain, 10, 1020, random);
    CHECK(losses.size() == 10);
    CHECK(losses[0] == Approx(std::log(6.0)));
    CHECK(mean_between(losses, 1, 10) == Approx(causal_entropy(chain)).epsilon(0.05));
}

TEST_CASE("learn_chain: a few steps bring a small LLaMA below the uniform baseline; equal seeds give equal losses") {
    std::vector<std::vector<float>> runs;
    for (int run = 0; run < 2; ++run) {
        Random random(3);
        const SecondOrderChain chain = make_second_order_chain(random, 3);
        const llama::Config config{.vocabulary = 3, .width = 8, .depth = 1, .heads = 2, .key_value_heads = 2, .mlp_width = 8};
        const llama::Weights w = llama::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.2f});
        const ReaderOf<llama::Weights, llama::Config> reader(w, config, llama::parameters(w, config));
        runs.push_back(
            learn_chain(reader, chain, {.length = 8, .batch = 8, .steps = 60, .learning_rate = 1e-2f}, random, "test"));
    }
    CHECK(runs[0] == runs[1]);
    CHECK(mean_between(runs[0], 50, 60) < mean_between(runs[0], 0, 5) - 0.05);
}

namespace {
// Predicts every symbol from nothing but how frequent it is.
struct Frequencies : ChainReader {
    Var scores = parameter(Matrix(1, 3));
    Frequencies() { parameters = {{"scores", {3}, Stored::as_it_is, {scores}}}; }
    Var logits(const TokenBatch& batch) const override {
        return add_repeated(Matrix(static_cast<int>(batch.ids.size()), 3), scores);
    }
};
}  // namespace

TEST_CASE("learn_chain: Adam written out: 50 steps of warm-up, then a cosine to a twentieth of the peak; 24 predictions a text") {
    Random random(4);
    const SecondOrderChain chain = make_second_order_chain(random, 3);
    Frequencies trained, expected;
    Random drawn(5), again(5);
    const std::vector<float> losses =
        learn_chain(trained, chain, {.batch = 4, .steps = 80, .learning_rate = 0.02f}, drawn, "test");
    const auto rate = [](int step) {
        if (step < 50) return 0.02 * (step + 1) / 50;
        return 0.02 * (0.05 + 0.95 * (1 + std::cos(3.14159265 * (step - 50) / 30)) / 2);
    };
    const std::vector<float> same = adam_written_out({expected.scores}, 80, rate, [&] {
        std::vector<std::vector<int>> texts;
        for (int b = 0; b < 4; ++b) texts.push_back(sample(chain, again, 25));
        const TokenBatch batch = make_batch(texts);
        return cross_entropy(expected.logits(batch), next_tokens(batch));
    });
    REQUIRE(losses.size() == 80);
    for (int step = 0; step < 80; ++step) CHECK(losses[step] == Approx(same[step]).epsilon(1e-6));
    check_close("scores", trained.scores.value(), expected.scores.value());
    // With fewer than 50 steps the rate only rises.
    Frequencies two;
    Random short_run(5);
    CHECK(learn_chain(two, chain, {.batch = 4, .steps = 1, .learning_rate = 0.02f}, short_run, "test").size() == 1);
    for (const float score : two.scores.value()) CHECK(std::abs(score) == Approx(0.02).epsilon(1e-3));  // Adam's first step
}

TEST_CASE("losses_by_position: the number of texts need not be a multiple of what is read at once") {
    Random random(2);
    const SecondOrderChain chain = make_second_order_chain(random, 3);
    const Frequencies uniform;
    for (const int texts : {1, 50, 51})
        for (const float loss : losses_by_position(uniform, chain, 4, texts, random)) CHECK(loss == Approx(std::log(3.0)));
}

TEST_CASE("mean_between, grouped: worked by hand") {
    CHECK(mean_between({1, 2, 3, 8}, 1, 4) == Approx(13.0 / 3));
    CHECK_THROWS_WITH(mean_between({1, 2}, 1, 3), "mean_between: numbers 1 to 3 of 2");
    CHECK_THROWS_WITH(mean_between({1, 2}, 1, 1), "mean_between: numbers 1 to 1 of 2");
    CHECK_THROWS_WITH(mean_between({1, 2}, -1, 1), "mean_between: numbers -1 to 1 of 2");
    CHECK(mean_between({1, 2}, 0, 2) == 1.5);
    CHECK(grouped({1, 3, 5, 9, 7, 2}, 3).x == std::vector<float>{1, 4});
    const Grouped two = grouped({1, 3, 5, 9, 7}, 2);  // the last, alone, is left out
    CHECK(two.x == std::vector<float>{0.5f, 2.5f});
    CHECK(two.y == std::vector<float>{2, 7});
}

TEST_CASE("ChainTraining: the defaults") {
    const ChainTraining usual{};
    CHECK(usual.length == 24);
    CHECK(usual.batch == 16);
    CHECK(usual.steps == 500);
    CHECK(usual.learning_rate == 3e-3f);
}

TEST_SUITE_END();
