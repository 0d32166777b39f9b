#include "rlhf/ppo.h"

#include <cmath>
#include <numeric>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/rlhf/fixture.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("ppo");

static ppo::Penalty penalty_of_name(const std::string& name) {
    if (name == "kl") return ppo::Penalty::kl;
    if (name == "abs") return ppo::Penalty::abs;
    REQUIRE(name == "mse");
    return ppo::Penalty::square;
}

static ppo::Config ppo_config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const char* key) { return static_cast<float>(file.metadata_double(key)); };
    return {.kl_coefficient = number("init_kl_coef"),
            .adaptive = true,
            .kl_target = number("target"),
            .kl_horizon = number("horizon"),
            .penalty = penalty_of_name(file.metadata_text("kl_penalty")),
            .discount = number("gamma"),
            .trace = number("lam"),
            .clip = number("cliprange"),
            .value_clip = number("cliprange_value"),
            .value_weight = number("vf_coef"),
            .whiten_rewards = golden.flag("whiten_rewards")};
}

static Matrix masked(const Matrix& m, const Matrix& mask) { return multiply(Var(m), mask).value(); }

TEST_CASE("parity: every quantity, both losses and every gradient equal the published implementation's") {
    for (const std::string& path : golden_files("ppo")) {
        const Golden golden(path);
        const gpt::Config config = gpt_config_of_fixture(golden);
        const ppo::Config ppo_config = ppo_config_of_fixture(golden);
        ppo::Episodes episodes{.tokens = golden.integers("input.tokens"),
                               .length = 0,
                               .prompt_lengths = golden.integers("input.query_lengths"),
                               .answer_lengths = golden.integers("input.response_lengths")};
        episodes.length = static_cast<int>(episodes.tokens.size()) / episodes.count();
        const Matrix scores = golden.input("scores");
        const Matrix old_log_probabilities = golden.input("old_logprobs"), old_values = golden.input("old_values");

        Random random;
        const ppo::Weights w = ppo::from_language_model(gpt::make_weights(config, random), config);
        const Parameters parameters = ppo::parameters(w, config);
        golden.load_weights(parameters, gpt::load_rules(config));
        const gpt::Weights reference = gpt::make_weights(config, random);
        load(gpt::parameters(reference, config, "transformer."), golden.file, gpt::load_rules(config), "input.reference.");

        const Matrix mask = ppo::answer_mask(episodes);
        golden.check_integers("mask", integers_of(mask));
        const gpt::Steps reference_steps = gpt::forward(episodes.tokens, episodes.length, reference, config);
        const Matrix reference_log_probabilities = ppo::token_log_probabilities(reference_steps.logits, episodes).value();

        const Tape tape;
        const ppo::PolicySteps policy = ppo::forward(episodes, w, config);
        const ppo::RewardSteps rewards =
            ppo::rewards_and_advantages({scores.begin(), scores.end()}, old_log_probabilities, reference_log_probabilities,
                                        old_values, mask, ppo_config.kl_coefficient, ppo_config);
        const ppo::LossSteps loss = ppo::loss(policy, old_log_probabilities, old_values, rewards, mask, ppo_config);

        std::vector<int> lengths;
        for (int b = 0; b < episodes.count(); ++b) lengths.push_back(episodes.prompt_lengths[b] + episodes.answer_lengths[b]);
        const Matrix tokens = mask_of_lengths(lengths, episodes.length);  // (B, L)
        check_trunk(golden, policy.trunk, config, tokens);
        golden.check("logits", padding_zeroed(policy.trunk.logits.value(), tokens));
        golden.check("logprobs", policy.log_probabilities.value());
        golden.check("vpreds", policy.values.value());
        golden.check("ref_logprobs", reference_log_probabilities);
        golden.check("kl", rewards.kl);
        golden.check("non_score_reward", rewards.non_score_reward);
        golden.check("rewards", rewards.rewards);
        golden.check("rewards_used", rewards.rewards_used);
        golden.check("advantages_raw", rewards.advantages_raw);
        golden.check("returns", rewards.returns);
        golden.check("advantages", rewards.advantages);
        golden.check("ratio", masked(loss.ratio.value(), mask));
        golden.check("policy_loss", loss.policy_loss.value());
        golden.check("value_loss", loss.value_loss.value());
        golden.check("loss", loss.loss.value());
        golden.check("policy_clipfrac", loss.policy_clip_fraction);
        golden.check("value_clipfrac", loss.value_clip_fraction);
        golden.check("entropy", loss.entropy);
        golden.check("approxkl", loss.approximate_kl);
        golden.check("policykl", loss.policy_kl);
        const std::vector<float> kl = ppo::kl_of_episodes(old_log_probabilities, reference_log_probabilities, mask);
        golden.check("kl_per_sequence", row_of(kl));
        golden.check("mean_kl", ppo::mean_of(kl));
        golden.check("kl_coef_next",
                     ppo::next_kl_coefficient(ppo_config.kl_coefficient, ppo::mean_of(kl), episodes.count(), ppo_config));

        backward(loss.loss);
        golden.check("grad_logprobs", policy.log_probabilities.gradient());
        golden.check("grad_vpreds", policy.values.gradient());
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_CASE("answer_mask: a prompt of 2 and an answer of 3 in a row of 6; column t belongs to token t+1") {
    const ppo::Episodes episodes{.tokens = {1, 2, 3, 4, 5, 0}, .length = 6, .prompt_lengths = {2}, .answer_lengths = {3}};
    CHECK(identical(ppo::answer_mask(episodes), Matrix{{0, 1, 1, 1, 0}}));
}

TEST_CASE("generalised_advantages: rewards 1, 2 and values 0.5, 1 with gamma = lambda = 1 give 2.5 and 1") {
    const Matrix rewards{{0, 1, 2, 0}}, values{{0, 0.5f, 1, 0}}, mask{{0, 1, 1, 0}};
    // delta_2 = 2 + 0 - 1 = 1; delta_1 = 1 + 1 - 0.5 = 1.5; A_2 = 1, A_1 = 1.5 + 1
    CHECK(identical(ppo::generalised_advantages(rewards, values, mask, 1, 1), Matrix{{0, 2.5f, 1, 0}}));
    CHECK(identical(ppo::generalised_advantages(rewards, values, mask, 1, 0), Matrix{{0, 1.5f, 1, 0}}));  // one step
    CHECK(
        identical(ppo::generalised_advantages(rewards, values, mask, 0.5f, 1), Matrix{{0, 1.5f, 1, 0}}));  // 1 + 0.5 - 0.5 + 0.5
}

TEST_CASE("whiten: the variance divides by n - 1, and positions outside the mask stay 0") {
    const Matrix x{{7, 1, 3, 7}}, mask{{0, 1, 1, 0}};
    const float d = 1 / std::sqrt(2.0f);  // mean 2, variance (1 + 1) / (2 - 1) = 2
    check_close("whitened", ppo::whiten(x, mask), Matrix{{0, -d, d, 0}});
    check_close("mean kept", ppo::whiten(x, mask, true), Matrix{{0, 2 - d, 2 + d, 0}});
}

TEST_CASE("whiten: adds 1e-8 to the variance, inside the root") {
    // mean 1e-4, variance (1e-8 + 1e-8) / 1 = 2e-8: 1e-4 / sqrt(2e-8 + 1e-8) = 1 / sqrt 3
    const float d = 1 / std::sqrt(3.0f);
    check_close("whitened", ppo::whiten(Matrix{{0, 2e-4f}}, Matrix{{1, 1}}), Matrix{{-d, d}});
}

static const ppo::Config fixed{.kl_coefficient = 0.5f, .adaptive = false};

TEST_CASE("rewards_and_advantages: the score at the last answer token, the penalty at every answer token, 0 on padding") {
    const Matrix mask{{0, 1, 1, 0}}, old_lp{{9, -1, -2, 9}}, ref_lp{{9, -2, -2.5f, -9}};
    const ppo::RewardSteps steps = ppo::rewards_and_advantages({10}, old_lp, ref_lp, Matrix(1, 4), mask, 0.5f, fixed);
    CHECK(identical(steps.kl, Matrix{{0, 1, 0.5f, 0}}));
    check_close("rewards", steps.rewards, Matrix{{0, -0.5f, 9.75f, 0}});
    // The score of an episode without an answer has no place; an answer of one token may be the first column.
    const Matrix none(3, 2), answers{{0, 0}, {1, 0}, {1, 1}};
    check_close("scores", ppo::rewards_and_advantages({10, 20, 30}, none, none, none, answers, 0.5f, fixed).rewards,
                Matrix{{0, 0}, {20, 0}, {0, 30}});
    ppo::Config square = fixed, absolute = fixed;
    square.penalty = ppo::Penalty::square;
    absolute.penalty = ppo::Penalty::abs;
    CHECK(identical(ppo::rewards_and_advantages({10}, old_lp, ref_lp, Matrix(1, 4), mask, 0.5f, square).kl,
                    Matrix{{0, 0.5f, 0.125f, 0}}));
    CHECK(identical(ppo::rewards_and_advantages({10}, ref_lp, old_lp, Matrix(1, 4), mask, 0.5f, absolute).kl,
                    Matrix{{0, 1, 0.5f, 0}}));
    check_close("negative", ppo::rewards_and_advantages({10}, ref_lp, old_lp, Matrix(1, 4), mask, 0.5f, fixed).kl,
                Matrix{{0, -1, -0.5f, 0}});
}

TEST_CASE("rewards_and_advantages: with a prompt of one token the first column belongs to the answer") {
    const ppo::Episodes episodes{.tokens = {1, 2, 3}, .length = 3, .prompt_lengths = {1}, .answer_lengths = {2}};
    const Matrix mask = ppo::answer_mask(episodes);
    CHECK(identical(mask, Matrix{{1, 1}}));
    const Matrix old_lp{{-1, -2}}, ref_lp{{-3, -2}}, values{{0.5f, 1}};
    ppo::Config whole_return = fixed;
    whole_return.trace = 1;
    // kl 2 and 0, so rewards -0.5 * 2 = -1 and the score 4; A_1 = 4 - 1 = 3, A_0 = -1 + 1 - 0.5 + 3 = 2.5
    const ppo::RewardSteps steps = ppo::rewards_and_advantages({4}, old_lp, ref_lp, values, mask, 0.5f, whole_return);
    CHECK(identical(steps.kl, Matrix{{2, 0}}));
    check_close("rewards", steps.rewards, Matrix{{-1, 4}});
    check_close("advantages_raw", steps.advantages_raw, Matrix{{2.5f, 3}});
    check_close("returns", steps.returns, Matrix{{3, 4}});
    const float d = 1 / std::sqrt(2.0f);
    check_close("advantages", steps.advantages, Matrix{{-d, d}});
}

// A policy of one episode with two answer tokens whose log-probabilities and values are given.
static ppo::PolicySteps policy_of(const Matrix& log_probabilities, const Matrix& values) {
    ppo::PolicySteps policy;
    policy.trunk.logits = Matrix(log_probabilities.cols + 1, 4);  // uniform over four tokens
    policy.log_probabilities = parameter(log_probabilities);
    policy.values = parameter(values);
    return policy;
}

TEST_CASE("rewards_and_advantages: returns are values plus advantages before whitening") {
    // No KL, a score of 2 at the end: rewards 0, 2.  A_1 = 2 - 1 = 1, A_0 = (0 + 1 - 0.5) + 0.5 * 1 = 1, returns 0.5 + 1, 1 + 1
    ppo::Config config = fixed;
    config.discount = 1;
    config.trace = 0.5f;
    const Matrix mask{{1, 1}}, zero(1, 2), values{{0.5f, 1}};
    const ppo::RewardSteps steps = ppo::rewards_and_advantages({2}, zero, zero, values, mask, 0.5f, config);
    check_close("rewards", steps.rewards, Matrix{{0, 2}});
    check_close("advantages", steps.advantages_raw, Matrix{{1, 1}});
    check_close("returns", steps.returns, Matrix{{1.5f, 2}});
    check_close("whitened: alike, so nothing is left", steps.advantages, zero);
}

TEST_CASE("loss: clipping removes the gradient only where it would move the ratio further out") {
    const Matrix mask{{1, 1, 1, 1}}, zero(1, 4);
    ppo::RewardSteps rewards;
    rewards.advantages = Matrix{{1, 1, -1, -1}};
    rewards.returns = zero;
    // ratios 1.5, 0.5, 1.5, 0.5 with a clip of 0.2: all four are outside, but only 1.5 with A > 0 and 0.5 with A < 0 are clipped
    const float up = std::log(1.5f), down = std::log(0.5f);
    const ppo::PolicySteps policy = policy_of(Matrix{{up, down, up, down}}, zero);
    const Tape tape;
    const ppo::LossSteps loss = ppo::loss(policy, zero, zero, rewards, mask, fixed);
    // by hand: max(-1.5, -1.2) = -1.2; max(-0.5, -0.8) = -0.5; max(1.5, 1.2) = 1.5; max(0.5, 0.8) = 0.8
    CHECK(loss.policy_loss.value()(0, 0) == Approx((-1.2 - 0.5 + 1.5 + 0.8) / 4));
    CHECK(loss.policy_clip_fraction == 0.5f);
    backward(loss.loss);
    check_close("gradient", policy.log_probabilities.gradient(), Matrix{{0, -0.5f / 4, 1.5f / 4, 0}});
}

TEST_CASE("loss: the value loss is the larger of the losses of value and clipped value") {
    const Matrix mask{{1, 1}}, old_values{{0, 0}};
    ppo::RewardSteps rewards;
    rewards.advantages = Matrix(1, 2);
    rewards.returns = Matrix{{1, 1}};
    // values 0.5 (clipped to 0.2: error 0.64 is worse than 0.25) and 3 (clipped to 0.2: 0.64; unclipped 4 is worse)
    const ppo::PolicySteps policy = policy_of(Matrix(1, 2), Matrix{{0.5f, 3}});
    const ppo::LossSteps loss = ppo::loss(policy, Matrix(1, 2), old_values, rewards, mask, fixed);
    CHECK(loss.value_loss.value()(0, 0) == Approx(0.5 * (0.64 + 4) / 2));
    CHECK(loss.value_clip_fraction == 0.5f);
    CHECK(loss.entropy == Approx(std::log(4.0)));
}

TEST_CASE("loss: a value within value_clip of the old one is not clipped, even by rounding") {
    // (V - old) + old is V only for exact numbers; in float it may be the next one, whose error may be the larger one
    Random random(4);
    const Matrix old_values = uniform_matrix(random, 1, 200, -0.1f, 0.1f), mask(1, 200, 1);
    Matrix values(1, 200);  // at most 0.2 from the old ones; small, so that V - old has fewer fractional digits than V
    for (float& v : values) v = 0.01f * random.uniform();
    ppo::RewardSteps rewards;
    rewards.advantages = Matrix(1, 200);
    rewards.returns = Matrix(1, 200);
    const ppo::LossSteps loss = ppo::loss(policy_of(Matrix(1, 200), values), Matrix(1, 200), old_values, rewards, mask, fixed);
    CHECK(loss.value_clip_fraction == 0);
}

TEST_CASE("loss: in the first epoch the ratio is 1 everywhere, which a shift by one token would break") {
    const gpt::Config config{.vocabulary = 7, .positions = 8, .width = 8, .depth = 1, .heads = 2, .mlp_width = 16};
    Random random(1);
    const gpt::Weights start = gpt::make_weights(config, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    const ppo::Weights w = ppo::from_language_model(start, config);
    const Matrix draws = uniform_matrix(random, 3, 4);
    const ppo::Episodes episodes = ppo::roll_out({1, 2, 3, 4, 5, 6}, 2, w.trunk, config, 4, 0, 0, draws);
    REQUIRE(episodes.count() == 3);
    REQUIRE(episodes.length == 6);
    const Matrix mask = ppo::answer_mask(episodes);
    const Matrix lp = ppo::forward(episodes, w, config).log_probabilities.value();
    // the probability of an answer, token by token, from the model's own next-token logits
    for (int b = 0; b < 3; ++b) {
        const auto row = episodes.tokens.begin() + b * 6;
        const std::vector<int> prompt(row, row + 2), answer(row + 2, row + 2 + episodes.answer_lengths[b]);
        const double direct = gpt::log_probability(prompt, answer, w.trunk, config);
        CHECK(std::accumulate(lp.row(b), lp.row(b) + 5, 0.0) == Approx(direct).epsilon(1e-4));
    }
    const ppo::RewardSteps rewards = ppo::rewards_and_advantages({1, 2, 3}, lp, lp, Matrix(3, 5), mask, 0.2f, fixed);
    const ppo::LossSteps loss = ppo::loss(ppo::forward(episodes, w, config), lp, Matrix(3, 5), rewards, mask, fixed);
    check_close("ratio", loss.ratio.value(), Matrix(3, 5, 1));
    CHECK(loss.approximate_kl == Approx(0));
    CHECK(identical(rewards.kl, Matrix(3, 5)));  // the policy is its own reference
}

TEST_CASE("next_kl_coefficient: moves towards the target, by at most 0.2 B / horizon") {
    const ppo::Config config{.kl_target = 2, .kl_horizon = 100};
    CHECK(ppo::next_kl_coefficient(0.5f, 2, 10, config) == Approx(0.5));
    CHECK(ppo::next_kl_coefficient(0.5f, 2.2f, 10, config) == Approx(0.5 * (1 + 0.1 * 10 / 100)));
    CHECK(ppo::next_kl_coefficient(0.5f, 50, 10, config) == Approx(0.5 * (1 + 0.2 * 10 / 100)));
    CHECK(ppo::next_kl_coefficient(0.5f, 0, 10, config) == Approx(0.5 * (1 - 0.2 * 10 / 100)));
    CHECK(ppo::next_kl_coefficient(0.5f, 50, 10, fixed) == 0.5f);
}

TEST_CASE("kl_of_episodes: may be negative for one sampled answer") {
    const Matrix mask{{1, 1, 0}, {1, 1, 1}};
    const std::vector<float> kl = ppo::kl_of_episodes(Matrix{{-2, -1, 5}, {-1, -1, -1}}, Matrix{{-1, -1, 0}, {-2, -2, -2}}, mask);
    CHECK(kl == std::vector<float>{-1, 3});
    CHECK(ppo::mean_of(kl) == 1);
}

TEST_CASE("ppo: inconsistent shapes and episodes throw") {
    const ppo::Episodes too_long{.tokens = {1, 2, 3}, .length = 3, .prompt_lengths = {2}, .answer_lengths = {2}};
    CHECK_THROWS_WITH(ppo::answer_mask(too_long), "ppo: episode 0 has a prompt of 2 and an answer of 2 tokens of 3");
    const ppo::Episodes uneven{.tokens = {1, 2}, .length = 3, .prompt_lengths = {1}, .answer_lengths = {1}};
    CHECK_THROWS_WITH(ppo::answer_mask(uneven),
                      "ppo: 2 tokens, 1 prompts and 1 answers do not form episodes of 3 tokens; each prompt needs an answer, "
                      "filled up to that length");
    // one row of old values would silently be broadcast to two episodes
    ppo::PolicySteps two_episodes = policy_of(Matrix(2, 2), Matrix(2, 2));
    CHECK_THROWS_WITH(
        ppo::loss(two_episodes, Matrix(2, 2), Matrix(1, 2), {}, Matrix(2, 2, 1), fixed),
        "ppo: log-probabilities (2, 2) and (2, 2), values (2, 2) and (1, 2) for a mask of (2, 2); each token needs one of each");
    CHECK_THROWS_WITH(ppo::masked_mean(Matrix(1, 2), Matrix(1, 2)),
                      "ppo: none of 2 tokens belongs to an answer; at least one must");
    CHECK(error_of([] { ppo::whiten(Matrix(1, 2), Matrix{{1, 0}}); }).starts_with("ppo: whitening needs two answer tokens"));
    CHECK_THROWS_WITH(
        ppo::rewards_and_advantages({1}, Matrix(1, 2), Matrix(1, 3), Matrix(1, 2), Matrix(1, 2), 1, {}),
        "ppo: 1 scores, log-probabilities (1, 2) and (1, 3), values (1, 2) for a mask of (1, 2); each token needs one of each");
}

TEST_CASE("generalised_advantages, next_kl_coefficient: wrong shapes, and settings that would give NaN, are refused") {
    const Matrix x(1, 2, 1);
    CHECK_THROWS_WITH(ppo::generalised_advantages(x, Matrix(2, 2), x, 1, 0.5f),
                      "generalised_advantages: rewards (1, 2), values (2, 2) and a mask (1, 2), the shapes must be equal");
    CHECK_THROWS_WITH(ppo::generalised_advantages(x, x, x, 2, 0.5f),
                      "generalised_advantages: a discount of 2.000000 and a lambda of 0.500000, both must be from 0 to 1; 1 and "
                      "0.95 are usual");
    CHECK_THROWS_WITH(ppo::next_kl_coefficient(0.1f, 1, 4, {.kl_horizon = 0}),
                      "next_kl_coefficient: a KL target of 6.000000 and a horizon of 0.000000, both must be above 0; 6 and 10000 "
                      "are usual");
    CHECK_THROWS_WITH(ppo::next_kl_coefficient(0.1f, std::nanf(""), 4, {}),
                      "next_kl_coefficient: a mean KL of nan over 4 episodes; it must be a number, of at least 1 episode");
    CHECK(ppo::next_kl_coefficient(0.1f, std::nanf(""), 4, {.adaptive = false}) == 0.1f);
}

TEST_CASE("rewards_and_advantages: a mask holds 0 and 1, and log-probabilities and values are finite") {
    const Matrix x(1, 2, 1);
    const auto error = [&](const Matrix& policy, const Matrix& reference, const Matrix& values, const Matrix& mask) {
        return error_of([&] { ppo::rewards_and_advantages({1}, policy, reference, values, mask, 0.1f, {}); });
    };
    CHECK(error(x, x, x, x).empty());
    CHECK(error(x, x, x, Matrix{{1, 2}}).starts_with("ppo: the mask of token 1 is 2.000000, it must be 1 (of an answer) or 0"));
    CHECK(error(x, x, x, Matrix{{2, 1}}).starts_with("ppo: the mask of token 0 is 2.000000, it must be 1 (of an answer) or 0"));
    const Matrix broken{{1, std::nanf("")}};
    CHECK(error(broken, x, x, x).starts_with("ppo: token 1 has the log-probabilities nan and 1.000000 and the value 1.000000"));
    CHECK(error(x, broken, x, x).starts_with("ppo: token 1 has the log-probabilities 1.000000 and nan "));
    CHECK(error(x, x, broken, x).find("and the value nan, all must be finite; look for a NaN in the policy") !=
          std::string::npos);
}

TEST_CASE("rewards_and_advantages: a score or a KL coefficient of NaN is refused") {
    const Matrix x(1, 2, 1);
    CHECK_THROWS_WITH(ppo::rewards_and_advantages({std::nanf("")}, x, x, x, x, 0.1f, {}),
                      "ppo: the score of episode 0 is nan, it must be a number; look for a NaN in the reward model");
    CHECK_THROWS_WITH(ppo::rewards_and_advantages({1}, x, x, x, x, std::nanf(""), {}),
                      "ppo: a KL coefficient of nan, it must be finite and at least 0; 0.2 is usual, 0 turns the penalty off");
    CHECK(error_of([&] {
              ppo::rewards_and_advantages({1}, x, x, x, x, -1, {});
          }).starts_with("ppo: a KL coefficient of -1.000000"));
    CHECK(error_of([&] { ppo::next_kl_coefficient(std::nanf(""), 1, 8, {}); }).starts_with("ppo: a KL coefficient of nan"));
}

TEST_CASE("answer_mask, roll_out, kl_of_episodes: lengths that no int adds, padding outside the vocabulary, and other shapes") {
    const int largest = 2147483647;
    CHECK(error_of([&] {
              ppo::answer_mask({.tokens = {1, 2}, .length = 2, .prompt_lengths = {largest}, .answer_lengths = {largest}});
          }).starts_with("ppo: episode 0 has a prompt of 2147483647 and an answer of 2147483647 tokens of 2"));
    CHECK_THROWS_WITH(ppo::kl_of_episodes(Matrix(1, 2), Matrix(1, 3), Matrix(1, 2)),
                      "ppo: log-probabilities (1, 2) and (1, 3) for a mask (1, 2), the shapes must be equal");
    Random random;
    const gpt::Config config{.vocabulary = 7, .positions = 5, .width = 4, .depth = 1, .heads = 2, .mlp_width = 4};
    const gpt::Weights w = gpt::make_weights(config, random);
    CHECK_THROWS_WITH(ppo::roll_out({1, 2}, 2, w, config, 3, 5, -1, Matrix(1, 3)),
                      "ppo: padding with token -1, the model knows 7; any of them will do");
    CHECK_THROWS_WITH(ppo::roll_out({1, 2}, 2, w, config, 0, 5, 0, Matrix(1, 0)),
                      "ppo: answers of up to 0 tokens, each must be at least 1");
}

TEST_CASE("answer_mask, roll_out: each length alone is refused, the shortest and the longest are allowed") {
    const auto refusal = [](std::vector<int> tokens, std::vector<int> prompts, std::vector<int> answers) {
        return error_of(
            [&] { ppo::answer_mask({.tokens = tokens, .length = 3, .prompt_lengths = prompts, .answer_lengths = answers}); });
    };
    CHECK(refusal({1, 2, 3}, {1}, {2}) == "");
    CHECK(refusal({1, 2, 3}, {3}, {0}) == "");
    const ppo::Episodes one_token{.tokens = {4}, .length = 1, .prompt_lengths = {1}, .answer_lengths = {0}};
    CHECK(identical(ppo::answer_mask(one_token), Matrix(1, 0)));
    CHECK(
        refusal({1, 2, 3}, {1}, {1, 1}) ==
        "ppo: 3 tokens, 1 prompts and 2 answers do not form episodes of 3 tokens; each prompt needs an answer, filled up to that "
        "length");
    CHECK(
        refusal({1, 2, 3}, {1}, {}) ==
        "ppo: 3 tokens, 1 prompts and 0 answers do not form episodes of 3 tokens; each prompt needs an answer, filled up to that "
        "length");
    CHECK(
        refusal({1, 2, 3, 4}, {1}, {2}) ==
        "ppo: 4 tokens, 1 prompts and 1 answers do not form episodes of 3 tokens; each prompt needs an answer, filled up to that "
        "length");
    CHECK(refusal({1, 2, 3}, {0}, {2}) == "ppo: episode 0 has a prompt of 0 and an answer of 2 tokens of 3");
    CHECK(refusal({1, 2, 3}, {1}, {-1}) == "ppo: episode 0 has a prompt of 1 and an answer of -1 tokens of 3");
    CHECK(refusal({1, 2, 3}, {1}, {3}) == "ppo: episode 0 has a prompt of 1 and an answer of 3 tokens of 3");

    Random random;
    const gpt::Config config{.vocabulary = 7, .positions = 5, .width = 4, .depth = 1, .heads = 2, .mlp_width = 4};
    const gpt::Weights w = gpt::make_weights(config, random);
    CHECK_NOTHROW(ppo::roll_out({1, 2}, 2, w, config, 1, 5, 0, Matrix(1, 1)));
    CHECK_NOTHROW(ppo::roll_out({1, 2}, 2, w, config, 1, 5, 6, Matrix(1, 1)));
    CHECK_THROWS_WITH(ppo::roll_out({1, 2}, 2, w, config, 1, 5, 7, Matrix(1, 1)),
                      "ppo: padding with token 7, the model knows 7; any of them will do");
}

TEST_CASE("masked_mean, whiten, mean_of: other shapes, one answer token and no numbers are refused") {
    CHECK_THROWS_WITH(ppo::masked_mean(Matrix(1, 2), Matrix(1, 3, 1)),
                      "ppo: numbers (1, 2) for a mask (1, 3), the shapes must be equal");
    CHECK(ppo::masked_mean(Matrix{{3, 4}}, Matrix{{1, 0}}) == 3);
    CHECK_THROWS_WITH(ppo::whiten(Matrix(1, 2), Matrix{{1, 0}}),
                      "ppo: whitening needs two answer tokens, here is 1.000000; roll out longer answers or more prompts");
    CHECK_THROWS_WITH(ppo::mean_of({}), "mean_of: no numbers; give at least one");
    CHECK(ppo::mean_of({2}) == 2);
}

TEST_CASE("generalised_advantages, next_kl_coefficient: each setting alone is refused, its limits are allowed") {
    const Matrix x(1, 2, 1);
    CHECK_THROWS_WITH(ppo::generalised_advantages(x, x, Matrix(1, 3), 1, 1),
                      "generalised_advantages: rewards (1, 2), values (1, 2) and a mask (1, 3), the shapes must be equal");
    const std::string rule = ", both must be from 0 to 1; 1 and 0.95 are usual";
    const auto refusal = [&x](float discount, float trace) {
        return error_of([&] { ppo::generalised_advantages(x, x, x, discount, trace); });
    };
    CHECK(refusal(0, 1) == "");
    CHECK(refusal(1, 0) == "");
    CHECK(refusal(-0.5f, 1) == "generalised_advantages: a discount of -0.500000 and a lambda of 1.000000" + rule);
    CHECK(refusal(1.5f, 1) == "generalised_advantages: a discount of 1.500000 and a lambda of 1.000000" + rule);
    CHECK(refusal(1, -0.5f) == "generalised_advantages: a discount of 1.000000 and a lambda of -0.500000" + rule);
    CHECK(refusal(1, 1.5f) == "generalised_advantages: a discount of 1.000000 and a lambda of 1.500000" + rule);

    CHECK_THROWS_WITH(
        ppo::next_kl_coefficient(0.1f, 1, 4, {.kl_target = 0}),
        "next_kl_coefficient: a KL target of 0.000000 and a horizon of 10000.000000, both must be above 0; 6 and 10000 "
        "are usual");
    CHECK_THROWS_WITH(ppo::next_kl_coefficient(0.1f, 1, 0, {}),
                      "next_kl_coefficient: a mean KL of 1.000000 over 0 episodes; it must be a number, of at least 1 episode");
    // a mean KL of 12 is 1 above the target of 6, clipped to 0.2; one episode of a horizon of 2
    CHECK(ppo::next_kl_coefficient(1, 12, 1, {.kl_target = 6, .kl_horizon = 2}) == Approx(1.1f));
    CHECK(ppo::next_kl_coefficient(1, 12, 1, {.kl_target = 0.5f, .kl_horizon = 1}) == Approx(1.2f));
    CHECK(ppo::next_kl_coefficient(0, 12, 1, {}) == 0);
    CHECK_THROWS_WITH(ppo::next_kl_coefficient(INFINITY, 1, 1, {}),
                      "ppo: a KL coefficient of inf, it must be finite and at least 0; 0.2 is usual, 0 turns the penalty off");
}

TEST_CASE("rewards_and_advantages, loss, kl_of_episodes: each matrix of another shape is refused by itself") {
    const Matrix x(1, 2, 1), wide(1, 3, 1);
    const std::string needs = " for a mask of (1, 2); each token needs one of each";
    const auto refusal = [&](std::vector<float> scores, const Matrix& old, const Matrix& reference, const Matrix& values) {
        return error_of([&] { ppo::rewards_and_advantages(scores, old, reference, values, x, 0, {}); });
    };
    CHECK(refusal({1}, x, x, x) == "");
    CHECK(refusal({1, 2}, x, x, x) == "ppo: 2 scores, log-probabilities (1, 2) and (1, 2), values (1, 2)" + needs);
    CHECK(refusal({1}, wide, x, x) == "ppo: 1 scores, log-probabilities (1, 3) and (1, 2), values (1, 2)" + needs);
    CHECK(refusal({1}, x, wide, x) == "ppo: 1 scores, log-probabilities (1, 2) and (1, 3), values (1, 2)" + needs);
    CHECK(refusal({1}, x, x, wide) == "ppo: 1 scores, log-probabilities (1, 2) and (1, 2), values (1, 3)" + needs);

    const auto loss_refusal = [&](const Matrix& log_p, const Matrix& old, const Matrix& values, const Matrix& old_values) {
        const ppo::PolicySteps policy = policy_of(log_p, values);
        return error_of([&] { ppo::loss(policy, old, old_values, {}, x, fixed); });
    };
    CHECK(loss_refusal(wide, x, x, x) == "ppo: log-probabilities (1, 3) and (1, 2), values (1, 2) and (1, 2)" + needs);
    CHECK(loss_refusal(x, wide, x, x) == "ppo: log-probabilities (1, 2) and (1, 3), values (1, 2) and (1, 2)" + needs);
    CHECK(loss_refusal(x, x, wide, x) == "ppo: log-probabilities (1, 2) and (1, 2), values (1, 3) and (1, 2)" + needs);
    CHECK(loss_refusal(x, x, x, wide) == "ppo: log-probabilities (1, 2) and (1, 2), values (1, 2) and (1, 3)" + needs);

    ppo::RewardSteps rewards;
    rewards.advantages = rewards.returns = x;
    CHECK_THROWS_WITH(ppo::loss(policy_of(x, x), x, x, rewards, Matrix(1, 2), fixed),
                      "ppo: none of 2 tokens belongs to an answer; at least one must");
    CHECK_NOTHROW(ppo::loss(policy_of(x, x), x, x, rewards, Matrix{{0, 1}}, fixed));

    CHECK_THROWS_WITH(ppo::kl_of_episodes(wide, x, x),
                      "ppo: log-probabilities (1, 3) and (1, 2) for a mask (1, 2), the shapes must be equal");
}

TEST_CASE("ppo::Config: the defaults") {
    const ppo::Config usual{};
    CHECK(usual.kl_coefficient == 0.2f);
    CHECK(usual.adaptive);
    CHECK(usual.kl_target == 6);
    CHECK(usual.kl_horizon == 10000);
    CHECK(usual.penalty == ppo::Penalty::kl);
    CHECK(usual.discount == 1);
    CHECK(usual.trace == 0.95f);
    CHECK(usual.clip == 0.2f);
    CHECK(usual.value_clip == 0.2f);
    CHECK(usual.value_weight == 0.1f);
    CHECK(!usual.whiten_rewards);
}

TEST_CASE(
    "loss, answer_mask, next_kl_coefficient: clipping and weights that are none, no episode and a short horizon are refused") {
    const Matrix one(1, 1, 1);
    ppo::RewardSteps rewards;
    rewards.advantages = rewards.returns = one;
    const auto refusal = [&](const ppo::Config& config) {
        return error_of([&] { ppo::loss(policy_of(one, one), one, one, rewards, one, config); });
    };
    CHECK(refusal({.value_weight = 0}).empty());
    for (const float clip : {NAN, 0.0f, -1.0f}) {
        CHECK(refusal({.clip = clip}).ends_with(" and values at 0.200000, both must be above 0; 0.2 is usual"));
        CHECK(refusal({.value_clip = clip}).starts_with("ppo: ratios clipped at 0.200000 and values at "));
    }
    for (const float weight : {NAN, INFINITY, -1.0f})
        CHECK(refusal({.value_weight = weight}).ends_with(", the factor must be finite and at least 0; 0.1 is usual"));
    CHECK(error_of([] { ppo::answer_mask({}); }) == "ppo: 0 episodes of 0 tokens; there must be at least one of each");
    CHECK(error_of([] { ppo::answer_mask({.tokens = {}, .length = 1, .prompt_lengths = {}, .answer_lengths = {}}); }) ==
          "ppo: 0 episodes of 1 tokens; there must be at least one of each");
    CHECK(error_of([] { ppo::answer_mask({.tokens = {}, .length = 0, .prompt_lengths = {1}, .answer_lengths = {1}}); }) ==
          "ppo: 1 episodes of 0 tokens; there must be at least one of each");
    CHECK(ppo::next_kl_coefficient(1, 0, 49, {.kl_horizon = 10}) == Approx(0.02));
    CHECK(
        error_of([] { ppo::next_kl_coefficient(1, 0, 50, {.kl_horizon = 10}); }) ==
        "next_kl_coefficient: 50 episodes for a horizon of 10.000000 would turn the coefficient to 0 or below; take a horizon above "
        "10.000000");
    CHECK(ppo::next_kl_coefficient(1, 100, 50, {.kl_horizon = 10}) == Approx(2));
}

TEST_SUITE_END();
