#include "walkthroughs/lesson/review_models.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "tests/test.h"
#include "tests/walkthroughs/pseudo_terminal.h"
#include "walkthroughs/lesson/pictures.h"

TEST_SUITE_BEGIN("review_models");

using preferences::Ranking;

static std::vector<Ranking> two_rankings() {
    return {{.prompt = "the food", .answers = {"was bad .", "was very good .", "was fine ."}, .ranks = {3, 1, 2}},
            {.prompt = "the song", .answers = {"was nice .", "was good ."}, .ranks = {2, 1}}};
}

TEST_CASE("ranked_rows: one row per answer, comparisons only within a ranking") {
    const reviews::Ranked ranked = reviews::ranked_rows(two_rankings());
    CHECK(ranked.episodes.count() == 5);
    CHECK(reviews::text_of(reviews::answer_of(ranked.episodes, 1)) == "was very good .");
    CHECK(ranked.pairs.list.size() == 4);  // three of the first, one of the second
    CHECK(ranked.pairs.list.back().better == 4);
    // without noise nice and good tie: the second ranking has no pair
    CHECK(reviews::true_pairs(ranked, two_rankings()).list.size() == 3);
    const std::vector<Ranking> best_first{{.prompt = "the book", .answers = {"was good .", "was bad ."}, .ranks = {2, 1}}};
    const preferences::Pairs true_pair =
        reviews::true_pairs(reviews::ranked_rows(best_first), best_first);  // not as it was ranked
    REQUIRE(true_pair.list.size() == 1);
    CHECK(true_pair.list[0].better == 0);
    CHECK_THROWS_WITH(reviews::ranked_rows({{.prompt = "a film", .answers = {"was bad ."}, .ranks = {1}}}),
                      "reviews: \"a\" is not one of the 20 words of this language");
    CHECK_THROWS_WITH(
        reviews::ranked_rows({{.prompt = "the good", .answers = {"was bad ."}, .ranks = {1}}}),
        "reviews: \"the good\" is not a prompt; the prompts are \"the movie\", \"the food\", \"the book\" and \"the song\"");
}

TEST_CASE("questions: K answers each, which ask ranks by score without noise") {
    const ppo::Episodes texts =
        reviews::episodes_of({1, 1, 3, 3}, {reviews::ids_of("was bad ."), reviews::ids_of("was good ."),
                                            reviews::ids_of("was not bad ."), reviews::ids_of("was very bad .")});
    Random random;
    const std::vector<Ranking> asked = reviews::ask(reviews::questions(texts, 2), {.noise = 0}, random);
    CHECK(asked.size() == 2);
    CHECK(asked[0].prompt == "the food");
    CHECK(asked[0].ranks == std::vector<int>{2, 1});
    CHECK(asked[1].prompt == "the song");
    CHECK(asked[1].ranks == std::vector<int>{1, 2});
    CHECK(asked[1].answers == std::vector<std::string>{"was not bad .", "was very bad ."});
    Random drawn(8), same(8);  // with noise: a draw for each answer
    const std::vector<Ranking> noisy = reviews::ask(reviews::questions(texts, 2), {.noise = 3}, drawn);
    for (const Ranking& question : noisy) {
        std::vector<float> scores, draws;
        for (const std::string& answer : question.answers) {
            scores.push_back(reviews::true_score(reviews::ids_of(answer)));
            draws.push_back(same.uniform());
        }
        CHECK(question.ranks == preferences::rank(scores, {.noise = 3}, draws));
    }
    CHECK((noisy[0].ranks != asked[0].ranks || noisy[1].ranks != asked[1].ranks));
    CHECK(reviews::questions(texts, 3).size() == 1);  // the fourth answer is left over
    CHECK(reviews::questions(texts, 5).empty());
}

TEST_CASE("evaluate: a reward model that gives every answer the same reward agrees with no comparison and has a loss of log 2") {
    const reviews::RewardModel flat{
        .w = reward_model::from_language_model(gpt::empty_weights(reviews::model_config()), reviews::model_config()),
        .shift = 0.5f,
        .losses = {}};
    const reviews::Evaluation evaluation = reviews::evaluate(flat, two_rankings());
    CHECK(evaluation.loss == Approx(std::log(2.0)));
    CHECK(evaluation.agreement == 0.5f);
    CHECK(evaluation.true_agreement == 0.5f);
    CHECK(evaluation.correlation == 0);
    const ppo::Episodes texts = reviews::ranked_rows(two_rankings()).episodes;
    CHECK(reviews::rewards_of(flat, texts) == std::vector<float>(5, -0.5f));
}

static gpt::Weights random_policy(int seed) {
    Random random(seed);
    return gpt::make_weights(reviews::model_config(), random, {.stddev = 0.2f, .embedding_stddev = 0.2f});
}

TEST_CASE("measure: means over fresh texts of the policy; its KL to itself is 0") {
    const gpt::Weights policy = random_policy(1), reference = random_policy(2);
    const reviews::RewardModel flat{
        .w = reward_model::from_language_model(policy, reviews::model_config()), .shift = 0.5f, .losses = {}};
    Random random(3), same(3), again(3);
    const ppo::Episodes texts = reviews::write(policy, 40, same);
    const reviews::Measured measured = reviews::measure(policy, reference, flat, random, 40);
    CHECK(measured.true_score == reviews::mean(reviews::true_scores(texts)));
    CHECK(measured.reward == Approx(-0.5));
    CHECK(measured.sentences == static_cast<float>(reviews::share_of_sentences(texts)));
    const Matrix ours = reviews::log_probabilities(policy, texts), other = reviews::log_probabilities(reference, texts);
    double kl = 0;
    for (std::size_t k = 0; k < ours.size(); ++k) kl += (ours[k] - other[k]) / 40.0;
    CHECK(measured.kl == Approx(kl).epsilon(1e-4));
    CHECK(reviews::measure(policy, policy, flat, again, 8).kl == 0);
}

TEST_CASE("train_ppo, train_dpo: one entry for each iteration or step; with a learning rate of 0 nothing is learned") {
    const gpt::Weights policy = random_policy(1);
    const reviews::RewardModel flat{
        .w = reward_model::from_language_model(policy, reviews::model_config()), .shift = 0.5f, .losses = {}};
    Random random(3), same(3);
    const reviews::PpoModel ppo_model =
        reviews::train_ppo(policy, flat, {.iterations = 2, .episodes = 8, .epochs = 1, .learning_rate = 0}, random);
    const reviews::PpoHistory& history = ppo_model.history;
    for (const std::vector<float>* const list : {&history.true_score, &history.reward, &history.kl, &history.sentences})
        CHECK(list->size() == 2);
    CHECK(history.reward[1] == Approx(-0.5));
    CHECK(std::abs(history.kl[1]) < 1e-4);
    CHECK(history.first_ratio_error < 1e-4);
    CHECK(identical(ppo_model.w.trunk.token_embedding.value(), policy.token_embedding.value()));
    // four pairs in batches of two, three times
    const reviews::DpoModel dpo_model = reviews::train_dpo(policy, reviews::comparisons_of(two_rankings()),
                                                           {.learning_rate = 0, .batch = 2, .epochs = 3}, random);
    for (const std::vector<float>* const list :
         {&dpo_model.history.loss, &dpo_model.history.accuracy, &dpo_model.history.chosen, &dpo_model.history.rejected})
        CHECK(list->size() == 6);
    for (const float loss : dpo_model.history.loss) CHECK(loss == Approx(std::log(2.0)));
    CHECK(dpo_model.history.chosen[5] == Approx(0));
    CHECK(identical(dpo_model.w.token_embedding.value(), policy.token_embedding.value()));
}

static std::vector<Ranking> repeated(const std::vector<Ranking>& rankings, int times) {
    std::vector<Ranking> all;
    for (int k = 0; k < times; ++k) all.insert(all.end(), rankings.begin(), rankings.end());
    return all;
}

// Texts and ranks of these rankings, for the loops of rlhf/recipe.h.
static rlhf::RankedTexts ranked_texts(const std::vector<Ranking>& rankings) {
    rlhf::RankedTexts ranked{.texts = reviews::ranked_rows(rankings).episodes, .group = {}, .ranks = {}};
    for (std::size_t g = 0; g < rankings.size(); ++g)
        for (const int rank : rankings[g].ranks) {
            ranked.group.push_back(static_cast<int>(g));
            ranked.ranks.push_back(rank);
        }
    return ranked;
}

TEST_CASE("train_reward_model: eight epochs in batches of 16 rankings at a constant learning rate of 0.001") {
    const std::vector<Ranking> rankings = repeated(two_rankings(), 9);  // 18: two batches
    const gpt::Weights sft = random_policy(1);
    Random random(3), same(3);
    const reviews::RewardModel trained = reviews::train_reward_model(sft, rankings, random);
    const reward_model::Weights w = reward_model::from_language_model(sft, reviews::model_config());
    const Recipe recipe{.schedule = {.peak = 1e-3f, .descent = Descent::none}, .batch = 16};
    const std::vector<float> losses =
        rlhf::train_reward_model(w, reviews::model_config(), ranked_texts(rankings), {.epochs = 8, .training = recipe}, same);
    CHECK(trained.losses == losses);
    CHECK(identical(trained.w.trunk.token_embedding.value(), w.trunk.token_embedding.value()));
}

TEST_CASE("train_ppo: by default 4 epochs on 64 episodes at 0.001, a KL coefficient of 0.2 that stays, prompts in turn") {
    const gpt::Weights policy = random_policy(1);
    const reviews::RewardModel judge{
        .w = reward_model::from_language_model(random_policy(2), reviews::model_config()), .shift = 0.5f, .losses = {}};
    Random random(3), same(3);
    const reviews::PpoModel trained = reviews::train_ppo(policy, judge, {.iterations = 2}, random);
    const Recipe training{.schedule = {.peak = 1e-3f, .descent = Descent::none}, .batch = 64};
    rlhf::PpoTrainer trainer(
        policy, reviews::model_config(),
        {.objective = {.kl_coefficient = 0.2f, .adaptive = false},
         .epochs = 4,
         .rollout = {.new_tokens = reviews::longest_answer, .end_token = reviews::full_stop, .padding_token = reviews::padding},
         .training = training});
    rlhf::Prompts prompts{.tokens = {}, .length = reviews::prompt_length};
    for (int noun = 0; noun < 4; ++noun)
        for (const int token : reviews::prompt_of(noun)) prompts.tokens.push_back(token);
    rlhf::RewardScore score(judge.w, reviews::model_config(), judge.shift);
    float first_ratio_error = 0;
    for (int k = 0; k < 2; ++k) {
        const rlhf::PpoIteration it = rlhf::ppo_iteration(trainer, prompts, score, same);
        CHECK(trained.history.reward[k] == it.mean_score);
        CHECK(trained.history.kl[k] == it.mean_kl);
        first_ratio_error = std::max(first_ratio_error, it.first_ratio_error);
        CHECK(trained.history.true_score[k] == reviews::mean(reviews::true_scores(it.episodes)));
    }
    CHECK(trained.history.first_ratio_error == first_ratio_error);
    CHECK(identical(trained.w.trunk.token_embedding.value(), trainer.policy.trunk.token_embedding.value()));
}

TEST_CASE("train_dpo: by default 4 epochs in batches of 64 pairs, beta 0.5, 30 steps of warm-up to a rate of 0.0002") {
    const reviews::Comparisons comparisons = reviews::comparisons_of(repeated(two_rankings(), 33));  // 132 pairs: 2 batches
    const gpt::Weights policy = random_policy(1);
    Random random(3), same(3);
    const reviews::DpoModel trained = reviews::train_dpo(policy, comparisons, {}, random);
    const Schedule schedule{.peak = 2e-4f, .warm_up = 30, .descent = Descent::none};
    rlhf::DpoTrainer trainer(policy, reviews::model_config(),
                             {.objective = {.beta = 0.5f},
                              .epochs = 4,
                              .padding_token = reviews::padding,
                              .training = {.schedule = schedule, .batch = 64}},
                             comparisons.count());
    REQUIRE(trained.history.loss.size() == 8);
    int k = 0;
    for (int epoch = 0; epoch < 4; ++epoch)
        for (const rlhf::DpoStep& step : rlhf::dpo_epoch(trainer, comparisons, same)) {
            CHECK(trained.history.loss[k] == step.loss);
            CHECK(trained.history.accuracy[k] == step.accuracy);
            CHECK(trained.history.chosen[k] == step.chosen);
            CHECK(trained.history.rejected[k] == step.rejected);
            ++k;
        }
    CHECK(identical(trained.w.token_embedding.value(), trainer.policy.token_embedding.value()));
}

TEST_CASE("review_models: at a terminal each training shows its progress, with all the steps that it will take") {
    const auto first_line = [](const std::function<void()>& run) { return shown_at_terminal(STDERR_FILENO, run).substr(4, 70); };
    if (!PseudoTerminal()) return;
    const gpt::Weights policy = random_policy(1);
    Random random(3);
    reviews::RewardModel judge;
    // 33 rankings in batches of 16, two epochs
    std::vector<Ranking> rankings = repeated(two_rankings(), 17);
    rankings.pop_back();
    CHECK(first_line([&] {
              judge = reviews::train_reward_model(policy, rankings, random, 2);
          }).starts_with("reward model training  [###-----------------]  step 1 of 6   loss "));
    rankings.pop_back();  // 32
    CHECK(first_line([&] {
              reviews::train_reward_model(policy, rankings, random, 1);
          }).starts_with("reward model training  [##########----------]  step 1 of 2   loss "));
    const reviews::PpoRun ppo{.iterations = 2, .episodes = 4, .epochs = 1};
    reviews::PpoHistory history;
    const std::string of_ppo = first_line([&] { history = reviews::train_ppo(policy, judge, ppo, random).history; });
    CHECK(of_ppo.starts_with("PPO, beta 0.20  [##########----------]  step 1 of 2   loss " +
                             fixed(-static_cast<double>(history.reward[0])) + " "));
    const reviews::Comparisons comparisons = reviews::comparisons_of(two_rankings());  // four pairs
    CHECK(first_line([&] {
              reviews::train_dpo(policy, comparisons, {.batch = 2, .epochs = 2}, random);
          }).starts_with("DPO, beta 0.50  [#####---------------]  step 1 of 4   loss "));
}

TEST_CASE("dpo_batch: chosen rows first, labels on the answers only") {
    const reviews::Comparisons comparisons = reviews::comparisons_of(two_rankings());
    CHECK(comparisons.count() == 4);
    const dpo::Batch batch = reviews::dpo_batch(comparisons, {3, 0}, 0, 2);
    CHECK(batch.pairs == 2);
    CHECK(batch.length == 11);
    const auto row = [&](int n) { return batch.tokens.begin() + n * 11; };
    CHECK(reviews::text_of({row(0), row(0) + 6}) == "<bos> the song was good .");
    CHECK(reviews::text_of({row(2), row(2) + 6}) == "<bos> the song was nice .");
    CHECK(batch.labels[1] == -100);  // the noun, which follows here, belongs to the prompt
    CHECK(batch.labels[2] == batch.tokens[3]);
    CHECK(batch.labels[4] == reviews::full_stop);
    CHECK(batch.labels[5] == -100);  // padding follows
}

namespace {
struct HumanTexts : rlhf::Demonstrations {
    ppo::Episodes draw(int count, Random& random) override { return reviews::human_texts(count, random); }
};

struct AfterThree : Watcher {
    bool after_step(int step, float) override { return step < 2; }
};
}  // namespace

// Three steps of supervised fine-tuning on human texts: batches of 64, a constant learning rate of 0.003.
static std::vector<float> first_losses_of_sft(int seed) {
    Random random(seed);
    const gpt::Weights w = gpt::make_weights(
        {.vocabulary = reviews::vocabulary, .positions = 16, .width = 32, .depth = 2, .heads = 2, .mlp_width = 128}, random);
    HumanTexts people;
    AfterThree stop;
    const Recipe recipe{.schedule = {.peak = 3e-3f, .steps = 300, .descent = Descent::none}, .batch = 64};
    return rlhf::supervised_fine_tuning(w, reviews::model_config(), people, recipe, random, &stop);
}

TEST_CASE("review_models: SFT, reward model and PPO on a small scale; same seed, same numbers" * only_when_optimised) {
    Random random(1);
    const reviews::SftModel sft = reviews::train_sft(random);
    CHECK(sft.losses.front() == Approx(std::log(20.0)).epsilon(0.05));  // ln of 20 words
    CHECK(sft.losses.size() == 300);
    CHECK(first_losses_of_sft(1) == std::vector<float>(sft.losses.begin(), sft.losses.begin() + 3));
    CHECK(sft.losses.back() < 1.25);  // the entropy of a word is 1.136
    const ppo::Episodes texts = reviews::write(sft.w, 320, random, 4);
    CHECK(reviews::share_of_sentences(texts) > 0.9);
    const std::vector<Ranking> rankings = reviews::ask(reviews::questions(texts, 4), {.noise = 0.5f}, random);
    const reviews::RewardModel reward_model = reviews::train_reward_model(sft.w, rankings, random);
    CHECK(std::abs(reviews::mean(reviews::rewards_of(reward_model, texts))) < 1e-4);  // the training answers have mean reward 0
    CHECK(reviews::evaluate(reward_model, rankings).agreement > 0.65);
    Random first(2), second(2);
    const reviews::PpoRun run{.iterations = 15};
    const reviews::PpoModel trained = reviews::train_ppo(sft.w, reward_model, run, first),
                            again = reviews::train_ppo(sft.w, reward_model, run, second);
    CHECK(trained.history.first_ratio_error < 1e-5);
    CHECK(trained.history.reward.back() > trained.history.reward.front() + 0.2);
    CHECK(trained.history.reward == again.history.reward);
    const reviews::Measured measured = reviews::measure(trained.w.trunk, sft.w, reward_model, first, 200);
    CHECK(measured.kl > 0);
    CHECK(measured.sentences > 0.8);
}

TEST_CASE("reviews::PpoRun: the defaults") {
    const reviews::PpoRun usual{};
    CHECK(usual.beta == 0.2f);
    CHECK(usual.iterations == 60);
    CHECK(usual.episodes == 64);
    CHECK(usual.epochs == 4);
    CHECK(usual.learning_rate == 1e-3f);
}

TEST_CASE("reviews::DpoRun: the defaults") {
    const reviews::DpoRun usual{};
    CHECK(usual.beta == 0.5f);
    CHECK(usual.learning_rate == 2e-4f);
    CHECK(usual.warm_up == 30);
    CHECK(usual.batch == 64);
    CHECK(usual.epochs == 4);
}

TEST_SUITE_END();
