#include "walkthroughs/lesson/pretraining.h"

#include "tests/test.h"
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
}
