#include "walkthroughs/lesson/pretraining.h"

#include "tests/test.h"

TEST_SUITE("pretraining") {
    TEST_CASE("smoothed: means of groups; the last group may be shorter") {
        const Smoothed curve = smoothed({1, 3, 5, 7, 10}, 2);
        CHECK(curve.steps == std::vector<float>{2, 4, 5});
        CHECK(curve.losses == std::vector<float>{2, 6, 10});
    }

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
        CHECK(smoothed(first, 30).losses[1] < 0.7f * smoothed(first, 30).losses[0]);
    }
}
