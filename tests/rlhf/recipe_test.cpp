#include "rlhf/recipe.h"

#include <algorithm>
#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("recipe");

// A language of six tokens: 0 ends an answer, 1 and 2 are prompts, 3 is preferred to 4.
static const gpt::Config config{.vocabulary = 6, .positions = 4, .width = 8, .depth = 1, .heads = 2, .mlp_width = 16};
static const rlhf::Prompts prompts{.tokens = {1, 2}, .length = 1};
static const rlhf::Rollout rollout{.new_tokens = 2, .end_token = 0, .padding_token = 5};

static gpt::Weights some_weights(int seed) {
    Random random(seed);
    return gpt::make_weights(config, random, {.stddev = 0.2f, .embedding_stddev = 0.2f});
}

static bool same_weights(const gpt::Weights& a, const gpt::Weights& b) {
    const std::vector<Var> of_a = variables(gpt::parameters(a, config)), of_b = variables(gpt::parameters(b, config));
    return std::equal(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(),
                      [](const Var& x, const Var& y) { return identical(x.value(), y.value()); });
}

static gpt::Weights copy_of(const gpt::Weights& w) { return ppo::from_language_model(w, config).trunk; }

// Prompt 1 or 2 and the answer "token 0".
static ppo::Episodes texts_with(const std::vector<int>& tokens) {
    ppo::Episodes texts;
    texts.length = 3;
    for (std::size_t b = 0; b < tokens.size(); ++b) {
        texts.tokens.insert(texts.tokens.end(), {1 + static_cast<int>(b) % 2, tokens[b], 0});
        texts.prompt_lengths.push_back(1);
        texts.answer_lengths.push_back(2);
    }
    return texts;
}

namespace {
struct LikedOnly : rlhf::Demonstrations {
    ppo::Episodes draw(int count, Random&) override { return texts_with(std::vector<int>(count, 3)); }
};

// 1 for an answer that begins with the preferred token.
struct Likes : rlhf::Score {
    std::vector<float> of(const ppo::Episodes& episodes) override {
        std::vector<float> scores;
        for (int b = 0; b < episodes.count(); ++b) scores.push_back(episodes.tokens[b * episodes.length + 1] == 3 ? 1.0f : 0.0f);
        return scores;
    }
};

struct OneScore : rlhf::Score {
    std::vector<float> of(const ppo::Episodes&) override { return {1}; }
};

struct CountSteps : Watcher {
    std::vector<int> steps;
    bool after_step(int step, float) override {
        steps.push_back(step);
        return true;
    }
};
}  // namespace

// `rankings` of three answers each: 3 is better than 5, 5 better than 4.
static rlhf::RankedTexts ranked_texts(int rankings) {
    rlhf::RankedTexts ranked;
    std::vector<int> tokens;
    for (int g = 0; g < rankings; ++g)
        for (const int token : {4, 3, 5}) {
            tokens.push_back(token);
            ranked.group.push_back(g);
            ranked.ranks.push_back(token == 3 ? 1 : token == 5 ? 2 : 3);
        }
    ranked.texts = texts_with(tokens);
    for (std::size_t n = 0; n < tokens.size(); ++n)  // the answers of a ranking follow one prompt
        ranked.texts.tokens[n * static_cast<std::size_t>(ranked.texts.length)] = 1 + ranked.group[n] % 2;
    return ranked;
}

// --- the inputs of the training loops ---

TEST_CASE("preference_pairs: K(K-1)/2 pairs per ranking, without ties") {
    rlhf::RankedTexts ranked = ranked_texts(2);
    const rlhf::PreferencePairs pairs = rlhf::preference_pairs(ranked);
    CHECK(pairs.count() == 6);
    // rows 0 1 2 hold 4 3 5: pairs (0,1), (0,2), (1,2), the better row chosen
    const auto first_token = [](const ppo::Episodes& texts, int row) { return texts.tokens[row * 3 + 1]; };
    const int chosen[] = {3, 5, 3}, rejected[] = {4, 4, 5};
    for (int k = 0; k < 6; ++k) {
        CHECK(first_token(pairs.chosen, k) == chosen[k % 3]);
        CHECK(first_token(pairs.rejected, k) == rejected[k % 3]);
    }
    rlhf::RankedTexts alone = ranked_texts(1);  // rankings of one answer
    alone.group = {0, 1, 2};
    CHECK(rlhf::preference_pairs(alone).count() == 0);
    ranked.ranks = {1, 1, 1, 1, 2, 1};
    CHECK(rlhf::preference_pairs(ranked).count() == 2);
    ranked.ranks.pop_back();
    CHECK_THROWS_WITH(rlhf::preference_pairs(ranked), "rlhf: 6 texts, 6 groups and 5 ranks; each text needs one of each");
    ranked = ranked_texts(2);
    ranked.group.push_back(1);
    CHECK_THROWS_WITH(rlhf::preference_pairs(ranked), "rlhf: 6 texts, 7 groups and 6 ranks; each text needs one of each");
    ranked = ranked_texts(2);
    ranked.group[4] = -1;
    CHECK(error_of([&] { rlhf::preference_pairs(ranked); }) == "rlhf: text 4 belongs to ranking -1; rankings are counted from 0");
}

TEST_CASE("dpo_batch: chosen rows first, labels on the answers only") {
    const rlhf::PreferencePairs pairs = rlhf::preference_pairs(ranked_texts(1));
    const dpo::Batch batch = rlhf::dpo_batch(pairs, {2, 0, 1}, 1, 2, 5);  // pairs 0 and 1
    CHECK(batch.pairs == 2);
    CHECK(batch.tokens[1] == 3);                                                              // chosen of pair 0
    CHECK(batch.tokens[3 + 1] == 5);                                                          // chosen of pair 1
    CHECK(batch.tokens[6 + 1] == 4);                                                          // rejected of pair 0
    CHECK(batch.labels == std::vector<int>{3, 0, -100, 5, 0, -100, 4, 0, -100, 4, 0, -100});  // at the row that predicts them
}

TEST_CASE("sample: cycles through the prompts, each `times` times; the same seed gives the same answers") {
    const gpt::Weights w = some_weights(1);
    Random first(1), second(1);
    const ppo::Episodes once = rlhf::sample(w, config, prompts, 6, rollout, first, 2);
    std::vector<int> begins;
    for (int b = 0; b < 6; ++b) begins.push_back(once.tokens[b * once.length]);
    CHECK(begins == std::vector<int>{1, 1, 2, 2, 1, 1});
    CHECK(once.length == 3);
    CHECK(rlhf::sample(w, config, prompts, 6, rollout, second, 2).tokens == once.tokens);
    CHECK_THROWS_WITH(rlhf::sample(w, config, {.tokens = {1, 2, 1}, .length = 2}, 6, rollout, first),
                      "rlhf: 3 tokens are not a whole number of prompts of 2 tokens; at least one prompt is needed");
    CHECK_THROWS_WITH(rlhf::sample(w, config, {.tokens = {1}, .length = 0}, 6, rollout, first),
                      "rlhf: 1 tokens are not a whole number of prompts of 0 tokens; at least one prompt is needed");
    CHECK_THROWS_WITH(rlhf::sample(w, config, {.tokens = {}, .length = 2}, 6, rollout, first),
                      "rlhf: 0 tokens are not a whole number of prompts of 2 tokens; at least one prompt is needed");
    CHECK_THROWS_WITH(rlhf::sample(w, config, prompts, 1, rollout, first, 0),
                      "rlhf: 1 answers, each prompt 0 times, of up to 2 tokens; each must be at least 1");
    CHECK_THROWS_WITH(rlhf::sample(w, config, prompts, 1, {.new_tokens = 0}, first, 1),
                      "rlhf: 1 answers, each prompt 1 times, of up to 0 tokens; each must be at least 1");
    CHECK(rlhf::sample(w, config, prompts, 1, {.new_tokens = 1}, first, 1).count() == 1);
    CHECK_THROWS_WITH(rlhf::sample(w, config, prompts, 0, rollout, first),
                      "rlhf: 0 answers, each prompt 1 times, of up to 2 tokens; each must be at least 1");
}

TEST_CASE("RewardScore: the reward minus the shift") {
    reward_model::Weights w = reward_model::from_language_model(some_weights(2), config);
    Random random(3);
    w.score.weight = parameter(normal_matrix(random, 8, 1));
    const ppo::Episodes texts = texts_with({3, 4});
    const std::vector<float> plain = rlhf::rewards(w, config, texts);
    const std::vector<float> shifted = rlhf::RewardScore(w, config, 0.5f).of(texts);
    CHECK(plain[0] == Approx(reward_model::forward({1, 3, 0}, {3}, w, config).rewards.value()(0, 0)).epsilon(1e-5));
    CHECK(plain[0] != plain[1]);
    for (int b = 0; b < 2; ++b) CHECK(shifted[b] == plain[b] - 0.5f);
}

// --- step 1 ---

TEST_CASE("supervised_fine_tuning: makes the demonstrated answers likely") {
    const gpt::Weights w = some_weights(4);
    LikedOnly people;
    Random random(1);
    const std::vector<float> losses = rlhf::supervised_fine_tuning(
        w, config, people, {.schedule = {.peak = 1e-2f, .steps = 60, .descent = Descent::none}, .batch = 4}, random);
    CHECK(losses.size() == 60);
    // the first loss is the mean over the two tokens of each answer
    const Matrix log_p = rlhf::log_probabilities(some_weights(4), config, texts_with({3, 3}));
    CHECK(losses.front() == Approx(-(log_p(0, 0) + log_p(0, 1) + log_p(1, 0) + log_p(1, 1)) / 4));
    CHECK(losses.back() < 0.1f);
    const ppo::Episodes texts = rlhf::sample(w, config, prompts, 40, rollout, random);
    const std::vector<float> liked = Likes().of(texts);
    CHECK(ppo::mean_of(liked) > 0.8f);
}

TEST_CASE("supervised_fine_tuning: demonstrations without an answer throw") {
    struct NoAnswers : rlhf::Demonstrations {
        ppo::Episodes draw(int, Random&) override {
            return {.tokens = {1, 5}, .length = 2, .prompt_lengths = {1}, .answer_lengths = {0}};
        }
    } no_answers;
    Random random(1);
    CHECK_THROWS_WITH(rlhf::supervised_fine_tuning(some_weights(4), config, no_answers, {}, random),
                      "rlhf: the demonstrations have no answer tokens");
    struct OneToken : rlhf::Demonstrations {
        ppo::Episodes draw(int, Random&) override {
            return {.tokens = {1, 3}, .length = 2, .prompt_lengths = {1}, .answer_lengths = {1}};
        }
    } one_token;
    CHECK_NOTHROW(rlhf::supervised_fine_tuning(some_weights(4), config, one_token, {.schedule = {.steps = 1}}, random));
}

// --- step 2 ---

TEST_CASE("train_reward_model: starts at log 2 and ends with rewards in the order of the ranks") {
    const reward_model::Weights w = reward_model::from_language_model(some_weights(5), config);
    Random random(1);
    CountSteps watcher;
    const rlhf::RewardModelRecipe recipe{.epochs = 20,
                                         .training = {.schedule = {.peak = 1e-2f, .descent = Descent::none}, .batch = 4}};
    const std::vector<float> losses = rlhf::train_reward_model(w, config, ranked_texts(6), recipe, random, &watcher);
    CHECK(losses.size() == 20);
    CHECK(watcher.steps.size() == 40);  // 6 rankings are a batch of 4 and one of 2
    CHECK(losses.front() < std::log(2.0));
    CHECK(losses.front() > 0.5);
    CHECK(losses.back() < 0.1f);
    CHECK(*std::min_element(losses.begin(), losses.end()) > 0);  // every epoch has its batches
    const std::vector<float> rewards = rlhf::rewards(w, config, texts_with({4, 3, 5}));
    CHECK(rewards[1] > rewards[2]);
    CHECK(rewards[2] > rewards[0]);
    const auto steps_of = [&](int rankings) {  // batches of 2
        CountSteps counted;
        const rlhf::RewardModelRecipe once{.epochs = 1, .training = {.schedule = {.peak = 0}, .batch = 2}};
        rlhf::train_reward_model(w, config, ranked_texts(rankings), once, random, &counted);
        return counted.steps.size();
    };
    CHECK(steps_of(4) == 2);
    CHECK(steps_of(5) == 3);
}

TEST_CASE("train_reward_model: a batch of ties neither trains nor counts") {
    rlhf::RankedTexts ranked = ranked_texts(2);
    for (int n = 3; n < 6; ++n) ranked.ranks[n] = 1;
    const rlhf::RewardModelRecipe recipe{.epochs = 1, .training = {.schedule = {.peak = 0}, .batch = 1}};
    Random random(1);
    const reward_model::Weights w = reward_model::from_language_model(some_weights(5), config);
    CHECK(rlhf::train_reward_model(w, config, ranked, recipe, random)[0] == Approx(std::log(2.0)));  // not half of it
    for (int n = 0; n < 3; ++n) ranked.ranks[n] = 1;
    CHECK_THROWS_WITH(rlhf::train_reward_model(w, config, ranked, recipe, random),
                      "rlhf: no ranking says that one answer is better than another; rank answers that differ");
    rlhf::RankedTexts alone = ranked_texts(1);  // its ranks differ, but each answer is the only one of its ranking
    alone.group = {0, 1, 2};
    CHECK_THROWS_WITH(rlhf::train_reward_model(w, config, alone, recipe, random),
                      "rlhf: no ranking says that one answer is better than another; rank answers that differ");
    CHECK_THROWS_WITH(rlhf::train_reward_model(w, config, ranked_texts(1), {.epochs = -1}, random),
                      "rlhf: -1 epochs of reward model training, it must not be negative");
    CHECK(rlhf::train_reward_model(w, config, ranked_texts(1), {.epochs = 0}, random).empty());
}

// --- step 3 ---

static rlhf::PpoRecipe small_ppo(float rate) {
    return {.objective = {.kl_coefficient = 0.05f, .adaptive = false},
            .epochs = 4,
            .rollout = rollout,
            .training = {.schedule = {.peak = rate, .descent = Descent::none}, .batch = 32}};
}

TEST_CASE("ppo_iteration: the score rises, the reference does not change") {
    const gpt::Weights reference = some_weights(6), before = copy_of(reference);
    rlhf::PpoTrainer run(reference, config, small_ppo(1e-2f));
    Likes score;
    Random random(1);
    std::vector<rlhf::PpoIteration> all;
    for (int k = 0; k < 20; ++k) all.push_back(rlhf::ppo_iteration(run, prompts, score, random));
    CHECK(all.front().mean_score < 0.4f);
    CHECK(all.back().mean_score > 0.8f);
    CHECK(std::abs(all.front().mean_kl) < 1e-5f);  // policy and reference are the same at first
    CHECK(all.back().mean_kl > 0.1f);
    for (const rlhf::PpoIteration& it : all) {
        CHECK(it.first_ratio_error < 1e-5f);
        CHECK(it.losses.size() == 4);
        CHECK(it.episodes.count() == 32);
        CHECK(it.kl_coefficient == 0.05f);  // not adaptive
    }
    CHECK(run.trainer.optimizer.steps == 80);
    CHECK(same_weights(reference, before));
    CHECK(same_weights(run.reference, before));
    CHECK_FALSE(same_weights(run.policy.trunk, before));
}

TEST_CASE("ppo_iteration: with a learning rate of 0 the policy stays equal to the reference") {
    const gpt::Weights reference = some_weights(6);
    rlhf::PpoTrainer run(reference, config, small_ppo(0));
    Likes score;
    Random random(1);
    const rlhf::PpoIteration it = rlhf::ppo_iteration(run, prompts, score, random);
    CHECK(same_weights(run.policy.trunk, reference));
    CHECK(it.losses[0] == it.losses[3]);
}

TEST_CASE("ppo_iteration: one update equals the same computation written out") {
    const gpt::Weights reference = some_weights(7);
    rlhf::PpoRecipe recipe = small_ppo(1e-2f);
    recipe.epochs = 1;
    rlhf::PpoTrainer run(reference, config, recipe);
    const gpt::Weights further = some_weights(10);  // a policy that differs from the reference
    copy_values(gpt::parameters(further, config), gpt::parameters(run.policy.trunk, config));
    Likes score;
    Random random(3), again(3);
    rlhf::ppo_iteration(run, prompts, score, random);

    const ppo::Weights w = ppo::from_language_model(further, config);
    const ppo::Episodes episodes = rlhf::sample(w.trunk, config, prompts, 32, rollout, again);
    const Matrix mask = ppo::answer_mask(episodes);
    const ppo::PolicySteps old = ppo::forward(episodes, w, config);
    const Matrix log_p = old.log_probabilities.value(), values = old.values.value();
    const ppo::RewardSteps rewards = ppo::rewards_and_advantages(
        score.of(episodes), log_p, rlhf::log_probabilities(reference, config, episodes), values, mask, 0.05f, recipe.objective);
    AdamW adam({}, variables(ppo::parameters(w, config)), {.learning_rate = 1e-2f, .weight_decay = 0});
    {
        const Tape tape;
        backward(ppo::loss(ppo::forward(episodes, w, config), log_p, values, rewards, mask, recipe.objective).loss);
        clip_gradient_norm(adam.variables, 1);
        adam.update();
    }
    CHECK(same_weights(run.policy.trunk, w.trunk));
}

TEST_CASE(
    "ppo_iteration: the KL coefficient falls while the KL is below the target and rises above it, by at most 0.2 B / horizon") {
    rlhf::PpoRecipe recipe = small_ppo(1e-2f);
    recipe.objective = {.kl_coefficient = 0.05f, .adaptive = true, .kl_target = 1e-3f, .kl_horizon = 320};
    rlhf::PpoTrainer run(some_weights(6), config, recipe);
    Likes score;
    Random random(1);
    const rlhf::PpoIteration first = rlhf::ppo_iteration(run, prompts, score, random);  // KL 0: far below the target
    CHECK(first.kl_coefficient == 0.05f);
    CHECK(run.kl_coefficient == Approx(0.05 * (1 - 0.2 * 32 / 320)));
    for (int k = 0; k < 8; ++k) rlhf::ppo_iteration(run, prompts, score, random);
    const float before = run.kl_coefficient;
    const rlhf::PpoIteration late = rlhf::ppo_iteration(run, prompts, score, random);  // by now far above it
    CHECK(late.mean_kl > 1e-3f * 1.2f);
    CHECK(late.kl_coefficient == before);
    CHECK(run.kl_coefficient == Approx(before * (1 + 0.2 * 32 / 320)));
}

static std::string refused(const rlhf::PpoRecipe& recipe) {
    const std::string error = error_of([&] { rlhf::PpoTrainer(some_weights(1), config, recipe); });
    CHECK(error.starts_with("tests/rlhf/recipe_test.cpp:"));
    return without_place(error);
}

TEST_CASE("PpoTrainer: an invalid recipe throws") {
    CHECK(refused({.epochs = -1}) == "rlhf: -1 epochs on each rollout, it must not be negative; 4 is usual");
    CHECK(refused({.objective = {.kl_coefficient = -1}}) ==
          "rlhf: a KL coefficient of -1.000000, it must be finite and at least 0; 0 turns the penalty off");
    CHECK(refused({.objective = {.kl_coefficient = INFINITY}}).starts_with("rlhf: a KL coefficient of inf"));
    CHECK(refused({.objective = {.kl_target = 0}}) ==
          "rlhf: a KL target of 0.000000 and a horizon of 10000.000000, both must be above 0; 6 and 10000 are usual");
    CHECK(refused({.objective = {.trace = 2}}) ==
          "rlhf: a discount of 1.000000 and a lambda of 2.000000, both must be from 0 to 1; 1 and 0.95 are usual");
    CHECK(refused({.objective = {.clip = 0}}) ==
          "rlhf: ratios clipped at 0.000000 and values at 0.200000, both must be above 0; 0.2 is usual");
    CHECK(refused({.objective = {.value_weight = -1}}) ==
          "rlhf: a value loss of weight -1.000000, it must be finite and at least 0; 0.1 is usual");
    CHECK(refused({.objective = {.value_weight = INFINITY}}).starts_with("rlhf: a value loss of weight inf"));
    CHECK(refused({.training = {.batch = 0}}) == "train: a batch of 0, a step needs at least 1 example");
    CHECK(refused({.objective = {.kl_horizon = 0}}) ==
          "rlhf: a KL target of 6.000000 and a horizon of 0.000000, both must be above 0; 6 and 10000 are usual");
    const std::string from_0_to_1 = ", both must be from 0 to 1; 1 and 0.95 are usual";
    CHECK(refused({.objective = {.trace = -0.5f}}) == "rlhf: a discount of 1.000000 and a lambda of -0.500000" + from_0_to_1);
    CHECK(refused({.objective = {.discount = -0.5f, .trace = 1}}) ==
          "rlhf: a discount of -0.500000 and a lambda of 1.000000" + from_0_to_1);
    CHECK(refused({.objective = {.discount = 1.5f, .trace = 1}}) ==
          "rlhf: a discount of 1.500000 and a lambda of 1.000000" + from_0_to_1);
    CHECK(refused({.objective = {.value_clip = 0}}) ==
          "rlhf: ratios clipped at 0.200000 and values at 0.000000, both must be above 0; 0.2 is usual");
    CHECK_NOTHROW(rlhf::PpoTrainer(some_weights(1), config,
                                   {.objective = {.kl_coefficient = 0,
                                                  .adaptive = false,
                                                  .kl_target = 0,
                                                  .kl_horizon = 0,
                                                  .discount = 0,
                                                  .trace = 0,
                                                  .value_weight = 0},
                                    .epochs = 0,
                                    .rollout = {.new_tokens = 1}}));
    CHECK_NOTHROW(rlhf::PpoTrainer(some_weights(1), config, {.objective = {.kl_target = 0.5f, .kl_horizon = 1, .trace = 1}}));
    rlhf::PpoTrainer run(some_weights(1), config, small_ppo(0));
    OneScore one;
    Random random(1);
    CHECK_THROWS_WITH(rlhf::ppo_iteration(run, prompts, one, random), "rlhf: 1 scores for 32 episodes; each needs one");
}

// --- DPO ---

static rlhf::DpoRecipe small_dpo(float rate) {
    return {.objective = {.beta = 0.5f},
            .epochs = 6,
            .padding_token = 5,
            .training = {.schedule = {.peak = rate, .descent = Descent::none}, .batch = 4}};
}

TEST_CASE("dpo_epoch: starts at log 2, orders the pairs, and does not change the reference") {
    const rlhf::PreferencePairs pairs = rlhf::preference_pairs(ranked_texts(6));  // 18 pairs: 4 whole batches
    const gpt::Weights reference = some_weights(8), before = copy_of(reference);
    rlhf::DpoTrainer run(reference, config, small_dpo(1e-2f), pairs.count());
    CHECK(run.trainer.recipe.schedule.steps == 24);
    Random random(1);
    CountSteps watcher;
    std::vector<rlhf::DpoStep> all;
    for (int epoch = 0; epoch < 6; ++epoch)
        for (const rlhf::DpoStep& step : rlhf::dpo_epoch(run, pairs, random, &watcher)) all.push_back(step);
    CHECK(all.size() == 24);
    CHECK(watcher.steps.back() == 23);
    CHECK(all.front().loss == Approx(std::log(2.0)));
    CHECK(all.front().chosen == Approx(0));
    CHECK(all.back().loss < 0.5f);
    CHECK(all.back().accuracy == 1);
    CHECK(all.back().chosen > all.back().rejected + 1);
    // what is measured is log pi - log pi_ref, without beta: the answers 3 against 4, read directly
    const Matrix policy = rlhf::log_probabilities(run.policy, config, texts_with({3, 4}));
    const Matrix frozen = rlhf::log_probabilities(reference, config, texts_with({3, 4}));
    CHECK(policy(0, 0) - frozen(0, 0) > policy(1, 0) - frozen(1, 0) + 1);
    CHECK(same_weights(reference, before));
    CHECK(same_weights(run.reference, before));
}

TEST_CASE("dpo_epoch: every pair once per epoch; measures log pi - log pi_ref of whole answers, without beta") {
    rlhf::RankedTexts ranked = ranked_texts(4);
    std::rotate(ranked.ranks.begin() + 3, ranked.ranks.begin() + 4, ranked.ranks.begin() + 6);  // not all rankings alike
    const rlhf::PreferencePairs pairs = rlhf::preference_pairs(ranked);                         // 12 pairs, 3 batches
    const gpt::Weights reference = some_weights(8), other = some_weights(9);
    rlhf::DpoTrainer run(reference, config, small_dpo(0), pairs.count());
    copy_values(gpt::parameters(other, config), gpt::parameters(run.policy, config));
    Random random(1);
    const std::vector<rlhf::DpoStep> steps = rlhf::dpo_epoch(run, pairs, random);
    REQUIRE(steps.size() == 3);
    double chosen = 0, rejected = 0, loss = 0, accuracy = 0;  // means over the steps
    for (const rlhf::DpoStep& step : steps) {
        chosen += step.chosen / 3.0;
        rejected += step.rejected / 3.0;
        loss += step.loss / 3.0;
        accuracy += step.accuracy / 3.0;
    }
    // the same of all pairs, read directly
    const auto log_ratio = [&](const ppo::Episodes& texts, int row) {
        const Matrix policy = rlhf::log_probabilities(other, config, texts),
                     frozen = rlhf::log_probabilities(reference, config, texts);
        return policy(row, 0) + policy(row, 1) - frozen(row, 0) - frozen(row, 1);
    };
    double all_chosen = 0, all_rejected = 0, all_losses = 0, right = 0;
    for (int k = 0; k < 12; ++k) {
        const double c = log_ratio(pairs.chosen, k), r = log_ratio(pairs.rejected, k);
        all_chosen += c / 12;
        all_rejected += r / 12;
        all_losses += std::log1p(std::exp(-0.5 * (c - r))) / 12;
        right += (c > r) / 12.0;
    }
    CHECK(chosen == Approx(all_chosen).epsilon(1e-4));
    CHECK(rejected == Approx(all_rejected).epsilon(1e-4));
    CHECK(loss == Approx(all_losses).epsilon(1e-4));
    CHECK(accuracy == Approx(right).epsilon(1e-4));
}

TEST_CASE("dpo_epoch: with a learning rate of 0 every loss is log 2") {
    const rlhf::PreferencePairs pairs = rlhf::preference_pairs(ranked_texts(3));
    const gpt::Weights reference = some_weights(8);
    rlhf::DpoTrainer run(reference, config, small_dpo(0), pairs.count());
    Random random(1);
    for (const rlhf::DpoStep& step : rlhf::dpo_epoch(run, pairs, random)) CHECK(step.loss == Approx(std::log(2.0)));
    CHECK(same_weights(run.policy, reference));
    rlhf::PreferencePairs four = pairs;  // one batch
    for (ppo::Episodes* const side : {&four.chosen, &four.rejected}) {
        side->tokens.resize(4 * 3);
        side->prompt_lengths.resize(4);
        side->answer_lengths.resize(4);
    }
    CHECK(rlhf::dpo_epoch(run, four, random).size() == 1);
    // a ranking of three makes three pairs; the batch is four
    CHECK_THROWS_WITH(rlhf::dpo_epoch(run, rlhf::preference_pairs(ranked_texts(1)), random),
                      "rlhf: 3 preference pairs, a batch needs 4; rank more answers or take a smaller batch");
}

static std::string refused(const rlhf::DpoRecipe& recipe, int pairs) {
    const std::string error = error_of([&] { rlhf::DpoTrainer(some_weights(1), config, recipe, pairs); });
    CHECK(error.starts_with("tests/rlhf/recipe_test.cpp:"));
    return without_place(error);
}

TEST_CASE("DpoTrainer: an invalid recipe throws") {
    CHECK(refused({.epochs = -1}, 64) == "rlhf: -1 epochs of DPO, it must not be negative");
    CHECK(refused({.objective = {.beta = 0}}, 64) == "rlhf: a beta of 0.000000, it must be above 0 and finite; 0.1 is usual");
    CHECK(refused({.objective = {.beta = INFINITY}}, 64).starts_with("rlhf: a beta of inf"));
    CHECK(refused({.objective = {.label_smoothing = 0.5f}}, 64) ==
          "rlhf: labels smoothed by 0.500000, it must be from 0 to below 0.5; 0 turns it off");
    CHECK(refused({.objective = {.label_smoothing = -0.5f}}, 64) ==
          "rlhf: labels smoothed by -0.500000, it must be from 0 to below 0.5; 0 turns it off");
    CHECK_NOTHROW(rlhf::DpoTrainer(some_weights(1), config, {.epochs = 0, .training = {.batch = 1}}, 1));
    CHECK(refused({.training = {.clip_norm = -1}}, 64) ==
          "train: gradients clipped to a norm of -1.000000, it must be above 0; 1 is usual, no_clipping turns it off");
    CHECK(refused(small_dpo(1e-3f), 3) == "rlhf: 3 preference pairs, a batch needs 4; rank more answers or take a smaller batch");
}

TEST_CASE("dpo_batch, PpoTrainer: pairs that do not exist and answers without a token are refused") {
    const ppo::Episodes one{.tokens = {1, 2, 3}, .length = 3, .prompt_lengths = {1}, .answer_lengths = {2}};
    const rlhf::PreferencePairs pairs{one, one};
    CHECK_THROWS_WITH(rlhf::dpo_batch(pairs, {0}, 0, 2, 0), "rlhf: pairs 0 to 2 of an order of 1, counted from 0, at least one");
    CHECK_THROWS_WITH(rlhf::dpo_batch(pairs, {9}, 0, 1, 0),
                      "rlhf: there is no pair 9 among 1 chosen and 1 rejected answers, counted from 0");
    CHECK_THROWS_WITH(rlhf::dpo_batch({one, {}}, {0}, 0, 1, 0),
                      "rlhf: there is no pair 0 among 1 chosen and 0 rejected answers, counted from 0");
    CHECK(rlhf::dpo_batch(pairs, {0}, 0, 1, 0).pairs == 1);
    CHECK_THROWS_WITH(rlhf::dpo_batch({{}, one}, {0}, 0, 1, 0),
                      "rlhf: there is no pair 0 among 0 chosen and 1 rejected answers, counted from 0");
    CHECK_THROWS_WITH(rlhf::dpo_batch(pairs, {-1}, 0, 1, 0),
                      "rlhf: there is no pair -1 among 1 chosen and 1 rejected answers, counted from 0");
    CHECK_THROWS_WITH(rlhf::dpo_batch(pairs, {0}, -1, 1, 0),
                      "rlhf: pairs -1 to 0 of an order of 1, counted from 0, at least one");
    CHECK_THROWS_WITH(rlhf::dpo_batch(pairs, {0}, 0, 0, 0), "rlhf: pairs 0 to 0 of an order of 1, counted from 0, at least one");
    Random random;
    const gpt::Config config{.vocabulary = 7, .positions = 5, .width = 4, .depth = 1, .heads = 2, .mlp_width = 4};
    const gpt::Weights w = gpt::make_weights(config, random);
    CHECK(without_place(error_of([&] { rlhf::PpoTrainer(w, config, {.rollout = {.new_tokens = 0}}); })) ==
          "rlhf: answers of up to 0 tokens, each must be at least 1");
}

TEST_CASE("rlhf::Rollout: the defaults") {
    const rlhf::Rollout usual{};
    CHECK(usual.new_tokens == 1);
    CHECK(usual.end_token == 0);
    CHECK(usual.padding_token == 0);
}

TEST_CASE("rlhf::RewardModelRecipe: the defaults") {
    const rlhf::RewardModelRecipe usual{};
    CHECK(usual.training.schedule.peak == 1e-3f);
    CHECK(usual.training.schedule.warm_up == 0);
    CHECK(usual.training.schedule.descent == Descent::none);
    CHECK(usual.training.batch == 16);
    CHECK(usual.epochs == 8);
}

TEST_CASE("rlhf::PpoRecipe: the defaults") {
    const rlhf::PpoRecipe usual{};
    CHECK(usual.training.schedule.peak == 1e-3f);
    CHECK(usual.training.schedule.warm_up == 0);
    CHECK(usual.training.schedule.descent == Descent::none);
    CHECK(usual.training.batch == 64);
    CHECK(usual.epochs == 4);
}

TEST_CASE("rlhf::DpoRecipe: the defaults") {
    const rlhf::DpoRecipe usual{};
    CHECK(usual.training.schedule.peak == 2e-4f);
    CHECK(usual.training.schedule.warm_up == 30);
    CHECK(usual.training.schedule.descent == Descent::none);
    CHECK(usual.training.batch == 64);
    CHECK(usual.epochs == 4);
    CHECK(usual.padding_token == 0);
}

TEST_CASE("dpo_batch: a chosen and a rejected answer to different prompts are refused") {
    const ppo::Episodes one{.tokens = {1, 2, 3}, .length = 3, .prompt_lengths = {2}, .answer_lengths = {1}};
    ppo::Episodes other = one;
    other.tokens = {1, 2, 4};
    CHECK(rlhf::dpo_batch({one, other}, {0}, 0, 1, 0).pairs == 1);
    other.tokens = {1, 3, 4};
    CHECK(error_of([&] {
              rlhf::dpo_batch({one, other}, {0}, 0, 1, 0);
          }) == "rlhf: the answers of pair 0 follow different prompts, of 2 and 2 tokens; both must have the same");
    other = {.tokens = {1, 2, 3}, .length = 3, .prompt_lengths = {1}, .answer_lengths = {2}};
    CHECK(error_of([&] { rlhf::dpo_batch({one, other}, {0}, 0, 1, 0); }).find("prompts, of 2 and 1 tokens") != std::string::npos);
}

TEST_SUITE_END();
