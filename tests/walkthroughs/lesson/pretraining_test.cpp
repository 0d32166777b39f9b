#include "walkthroughs/lesson/pretraining.h"

#include "nn/autograd/rearrange.h"
#include "tests/test.h"
#include "tests/walkthroughs/written_out.h"
#include "walkthroughs/lesson/pictures.h"

TEST_SUITE("pretraining") {
    TEST_CASE("pretrain: the same seed gives the same losses, and they fall") {
        const bert::Config config{
            .vocabulary = 4, .positions = 4, .width = 8, .depth = 1, .heads = 2, .mlp_width = 8, .pooler = false};
        const Reader read = [](Random&) { return std::vector<int>{0, 1, 2, 1}; };
        const auto losses = [&] {
            Random random(1);
            const mlm::Weights w = mlm::make_weights(config, random, {.stddev = 0.2f});
            return pretrain(w, config, {.steps = 60, .batch = 8, .peak = 1e-2f, .mask_id = 3, .special_ids = {}}, read, random);
        };
        const std::vector<float> first = losses();
        CHECK(first == losses());
        const std::vector<float> halves = smoothed("loss", first, 30).y;
        CHECK(halves[1] < 0.7f * halves[0]);
    }

    TEST_CASE("pretrain: Adam written out: 50 steps of warm-up, then linear to 0") {
        const bert::Config config{
            .vocabulary = 6, .positions = 4, .width = 8, .depth = 1, .heads = 2, .mlp_width = 8, .pooler = false};
        const std::vector<int> text{0, 1, 2, 5};
        const Pretraining how{.steps = 60, .batch = 8, .peak = 5e-3f, .mask_id = 3, .special_ids = {0}};
        Random random(2), again(2);
        const mlm::Weights w = mlm::make_weights(config, random, {.stddev = 0.2f});
        const std::vector<float> losses = pretrain(
            w, config, how, [&](Random&) { return text; }, random);
        const mlm::Weights same = mlm::make_weights(config, again, {.stddev = 0.2f});
        const auto rate = [](int step) { return step < 50 ? 5e-3 * (step + 1) / 50 : 5e-3 * (1 - (step - 50) / 10.0); };
        const std::vector<float> expected = adam_written_out(variables(mlm::parameters(same, config)), 60, rate, [&] {
            bert::Batch batch = bert::make_batch(std::vector<std::vector<int>>(8, text));
            const mlm::Draws draws = mlm::make_draws(again, 8, 4, 6);
            const std::vector<int> starts = mlm::special_positions(batch.ids, {0});
            const mlm::Corrupted corrupted = mlm::corrupt_batch(batch.ids, starts, draws, {.mask_id = 3});
            REQUIRE(!corrupted.positions.empty());
            batch.ids = corrupted.ids;
            return mlm::loss(mlm::forward(batch, same, config, corrupted.positions), mlm::labels_at_positions(corrupted)).sum;
        });
        REQUIRE(losses.size() == 60);
        for (int step = 0; step < 60; ++step) CHECK(losses[step] == Approx(expected[step]).epsilon(1e-3));
    }

    TEST_CASE("pretrain: a batch without a masked token has the loss 0 and changes no weight, not even by the moments of Adam") {
        const bert::Config config{
            .vocabulary = 6, .positions = 40, .width = 8, .depth = 1, .heads = 2, .mlp_width = 8, .pooler = false};
        Random random(3);
        const mlm::Weights w = mlm::make_weights(config, random, {.stddev = 0.2f});
        std::vector<Matrix> before;  // of three steps: a row of the first norm and of the token embedding
        const Reader read = [&](Random&) {
            before.push_back(concat_rows({w.trunk.norm.bias.value(), slice_rows(w.trunk.token_embedding.value(), 1, 1)}).value());
            return before.size() == 2 ? std::vector<int>(40, 0) : std::vector<int>(40, 1);
        };
        const Pretraining how{.steps = 3, .batch = 1, .mask_id = 3, .special_ids = {0}};
        const std::vector<float> losses = pretrain(w, config, how, read, random);
        REQUIRE(losses.size() == 3);
        CHECK(losses[0] > 0);
        CHECK(losses[1] == 0);
        CHECK(losses[2] > 0);
        CHECK(!identical(before[1], before[0]));
        CHECK(identical(before[2], before[1]));
    }

    TEST_CASE("Pretraining: the defaults") {
        const Pretraining usual{};
        CHECK(usual.steps == 1500);
        CHECK(usual.batch == 32);
        CHECK(usual.peak == 3e-3f);
        CHECK(usual.mask_id == 4);
    }
}
