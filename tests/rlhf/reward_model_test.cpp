#include "rlhf/reward_model.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/rlhf/fixture.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("reward_model");

// -log likelihood of every ranking; a ranking with ties has none.
static void check_plackett_luce(const Golden& golden, const Matrix& rewards, const std::vector<int>& group,
                                const std::vector<int>& ranks, int groups) {
    std::vector<int> valid;
    Matrix nll(1, groups);
    for (int g = 0; g < groups; ++g) {
        std::vector<float> r;
        std::vector<int> order;
        for (std::size_t n = 0; n < group.size(); ++n) {
            if (group[n] != g) continue;
            r.push_back(rewards[n]);
            order.push_back(ranks[n]);
        }
        const std::string error = error_of([&] { nll(0, g) = preferences::plackett_luce_nll(r, order); });
        valid.push_back(error.empty());
    }
    golden.check_integers("plackett_luce_valid", valid);
    golden.check("plackett_luce_nll", nll);
}

TEST_CASE("parity: every step, both losses and every gradient equal the published implementation's") {
    for (const std::string& path : golden_files("reward_model")) {
        const Golden golden(path);
        const gpt::Config config = gpt_config_of_fixture(golden);
        const std::vector<int> tokens = golden.integers("input.tokens"), lengths = golden.integers("input.lengths");
        const std::vector<int> group = golden.integers("input.group"), ranks = golden.integers("input.rank");
        Random random;
        const reward_model::Weights w = reward_model::make_weights(config, random);
        const Parameters parameters = reward_model::parameters(w, config);
        golden.load_weights(parameters, gpt::load_rules(config));

        const Tape tape;
        const reward_model::Steps steps = reward_model::forward(tokens, lengths, w, config);
        const preferences::Pairs pairs = preferences::all_pairs(group, ranks);
        const reward_model::LossSteps loss = reward_model::loss(steps.rewards, pairs);

        check_trunk(golden, steps.trunk, config, mask_of_lengths(lengths, golden.file.dimension("input.tokens", 1)));
        golden.check("last_hidden", steps.last_hidden.value());
        golden.check("rewards", transpose(steps.rewards.value()));
        std::vector<int> flat;
        for (const preferences::Pair& pair : pairs.list) flat.insert(flat.end(), {pair.better, pair.worse});
        golden.check_integers("pairs", flat);
        golden.check_integers("pair_group", pairs.group);
        golden.check("pair_probability", transpose(loss.probability));
        golden.check("pair_loss", transpose(loss.pair_loss.value()));
        golden.check("ranking_loss", transpose(loss.ranking_loss.value()));
        golden.check("loss", loss.loss.value());
        golden.check("loss_flat", loss.loss_flat.value());
        golden.check("accuracy", loss.accuracy);
        check_plackett_luce(golden, steps.rewards.value(), group, ranks, pairs.groups);

        backward(loss.loss);
        golden.check("grad_rewards", transpose(steps.rewards.gradient()));
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

static const gpt::Config tiny{.vocabulary = 9, .positions = 8, .width = 8, .depth = 1, .heads = 2, .mlp_width = 16};

TEST_CASE("forward: tokens after the last real one do not change the reward, tokens before it do") {
    Random random(1);
    reward_model::Weights w = reward_model::make_weights(tiny, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    w.score.weight = parameter(normal_matrix(random, 8, 1));
    const float reward = reward_model::forward({1, 2, 3, 0, 0}, {3}, w, tiny).rewards.value()(0, 0);
    CHECK(reward_model::forward({1, 2, 3, 7, 8}, {3}, w, tiny).rewards.value()(0, 0) == reward);
    CHECK(reward_model::forward({1, 2, 3}, {3}, w, tiny).rewards.value()(0, 0) == Approx(reward));
    CHECK(std::abs(reward_model::forward({4, 2, 3, 0, 0}, {3}, w, tiny).rewards.value()(0, 0) - reward) > 1e-3f);
    // the reward at the end of the padded row differs, so the classic mistake is visible
    CHECK(std::abs(reward_model::forward({1, 2, 3, 0, 0}, {5}, w, tiny).rewards.value()(0, 0) - reward) > 1e-3f);
}

TEST_CASE("loss: log 2 with a zero head, whatever the rankings; a sum over four pairs would be 2.77") {
    Random random(2);
    const gpt::Weights trained = gpt::make_weights(tiny, random);
    const reward_model::Weights w = reward_model::from_language_model(trained, tiny);
    const Var rewards = reward_model::forward({1, 2, 3, 4, 5, 6}, {2, 2, 2}, w, tiny).rewards;
    const reward_model::LossSteps loss = reward_model::loss(rewards, preferences::all_pairs({0, 0, 0}, {3, 1, 2}));
    CHECK(loss.loss.value()(0, 0) == Approx(std::log(2.0)));
    CHECK(loss.loss_flat.value()(0, 0) == Approx(std::log(2.0)));
    CHECK(loss.accuracy == 0.5f);
}

TEST_CASE("loss: by hand for rankings of two and three answers, where the two means differ") {
    // d = ln 3 has probability 3/4, d = -ln 3 has 1/4, d = 0 has 1/2
    const float a = std::log(3.0f);
    const Matrix rewards{{a}, {0}, {0}, {a}, {a}};
    const reward_model::LossSteps loss = reward_model::loss(rewards, preferences::all_pairs({0, 0, 1, 1, 1}, {1, 2, 1, 2, 3}));
    // ranking 0: -log 3/4.  ranking 1: pairs (2,3) -log 1/4, (2,4) -log 1/4, (3,4) -log 1/2
    const double first = -std::log(0.75), second = (2 * -std::log(0.25) - std::log(0.5)) / 3;
    CHECK(loss.ranking_loss.value()(0, 0) == Approx(first));
    CHECK(loss.ranking_loss.value()(1, 0) == Approx(second));
    CHECK(loss.loss.value()(0, 0) == Approx((first + second) / 2));
    CHECK(loss.loss_flat.value()(0, 0) == Approx((first + 3 * second) / 4));
}

TEST_CASE("loss: the gradient raises the better reward and lowers the worse") {
    const Var rewards = parameter(Matrix{{0}, {0}});
    const Tape tape;
    backward(reward_model::loss(rewards, preferences::all_pairs({0, 0}, {2, 1})).loss);
    CHECK(rewards.gradient()(0, 0) == 0.5f);   // row 1 won: descent lowers row 0
    CHECK(rewards.gradient()(1, 0) == -0.5f);  // and raises row 1
}

TEST_CASE("from_language_model: training the copy leaves the original unchanged") {
    Random random(3);
    const gpt::Weights trained = gpt::make_weights(tiny, random);
    const reward_model::Weights w = reward_model::from_language_model(trained, tiny);
    CHECK(identical(w.trunk.token_embedding.value(), trained.token_embedding.value()));
    CHECK_FALSE(w.trunk.token_embedding.same_as(trained.token_embedding));
}

TEST_CASE("loss: a ranking that is all ties does not enter the mean") {
    const Matrix rewards{{std::log(3.0f)}, {0}, {5}, {7}};
    const reward_model::LossSteps loss = reward_model::loss(rewards, preferences::all_pairs({0, 0, 1, 1}, {1, 2, 1, 1}));
    CHECK(loss.ranking_loss.value()(1, 0) == 0);
    CHECK(loss.loss.value()(0, 0) == Approx(-std::log(0.75)));  // counted as zero it would be half of that
}

TEST_CASE("reward_model: invalid lengths and batches without a pair throw") {
    Random random(4);
    const reward_model::Weights w = reward_model::make_weights(tiny, random);
    CHECK_THROWS_WITH(reward_model::forward({1, 2, 3}, {1, 1}, w, tiny),
                      "reward_model: 3 tokens do not split into 2 texts of equal length");
    CHECK_THROWS_WITH(reward_model::forward({1, 2, 3}, {0}, w, tiny),
                      "reward_model: text 0 has 0 tokens of 3, it must have 1 to that many");
    CHECK_THROWS_WITH(reward_model::forward({1, 2, 3}, {4}, w, tiny),
                      "reward_model: text 0 has 4 tokens of 3, it must have 1 to that many");
    CHECK_THROWS_WITH(reward_model::forward({}, {}, w, tiny), "reward_model: 0 tokens do not split into 0 texts of equal length");
    CHECK_NOTHROW(reward_model::forward({1, 2, 3}, {1}, w, tiny));
    CHECK_NOTHROW(reward_model::forward({1, 2, 3}, {3}, w, tiny));
    CHECK_THROWS_WITH(reward_model::loss(Matrix(2, 1), preferences::all_pairs({0, 0}, {1, 1})),
                      "reward_model: no ranking has a pair, all answers are tied; rank answers that differ");
}

TEST_CASE("loss: pairs of a ranking that does not exist, or of none, are refused") {
    CHECK_THROWS_WITH(reward_model::loss(Matrix(2, 1), {.list = {{0, 1}}, .group = {3}, .groups = 1}),
                      "reward_model: a pair of ranking 3, there are 1, counted from 0");
    CHECK_THROWS_WITH(reward_model::loss(Matrix(2, 1), {.list = {{0, 1}}, .group = {-1}, .groups = 1}),
                      "reward_model: a pair of ranking -1, there are 1, counted from 0");
    CHECK_THROWS_WITH(reward_model::loss(Matrix(2, 1), {.list = {{0, 1}}, .group = {1}, .groups = 1}),
                      "reward_model: a pair of ranking 1, there are 1, counted from 0");
    CHECK_THROWS_WITH(reward_model::loss(Matrix(2, 1), {.list = {{0, 1}}, .group = {}, .groups = 1}),
                      "reward_model: 0 numbers of rankings for 1 pairs, each needs one");
}

TEST_CASE("loss: an answer that is compared with itself is refused") {
    CHECK(error_of([] {
              reward_model::loss(Var(Matrix(2, 1)), {{{0, 1}, {1, 1}}, {0, 0}, 1});
          }) == "reward_model: answer 1 is compared with itself; leave the pair out");
}

TEST_SUITE_END();
