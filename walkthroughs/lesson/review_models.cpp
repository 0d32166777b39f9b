#include "walkthroughs/lesson/review_models.h"

#include <algorithm>

#include "nn/training/progress.h"

namespace reviews {

// --- recipes ---

static Recipe sft_recipe(Descent descent) { return {.schedule = {.peak = 3e-3f, .steps = 300, .descent = descent}, .batch = 64}; }

static const Recipe reward_recipe{.schedule = {.peak = 1e-3f, .descent = Descent::none}, .batch = 16};

static const rlhf::Rollout rollout{.new_tokens = longest_answer, .end_token = full_stop, .padding_token = padding};

static rlhf::PpoRecipe ppo_recipe(const PpoRun& run) {
    return {.objective = {.kl_coefficient = run.beta, .adaptive = false},
            .epochs = run.epochs,
            .rollout = rollout,
            .training = {.schedule = {.peak = run.learning_rate, .descent = Descent::none}, .batch = run.episodes}};
}

static rlhf::DpoRecipe dpo_recipe(const DpoRun& run) {
    const Schedule schedule{.peak = run.learning_rate, .warm_up = run.warm_up, .descent = Descent::none};
    return {.objective = {.beta = run.beta},
            .epochs = run.epochs,
            .padding_token = padding,
            .training = {.schedule = schedule, .batch = run.batch}};
}

gpt::Config model_config() {
    return {.vocabulary = vocabulary, .positions = 16, .width = 32, .depth = 2, .heads = 2, .mlp_width = 128};
}

float mean(const std::vector<float>& numbers) { return ppo::mean_of(numbers); }

// --- 1: supervised fine-tuning ---

namespace {
struct HumanTexts : rlhf::Demonstrations {
    ppo::Episodes draw(int count, Random& random) override { return human_texts(count, random); }
};
}  // namespace

SftModel train_sft(Random& random, Descent descent) {
    const Recipe recipe = sft_recipe(descent);
    SftModel sft{.w = gpt::make_weights(model_config(), random), .losses = {}};
    HumanTexts people;
    ShowProgress progress("supervised fine-tuning", recipe.schedule.steps);
    sft.losses = rlhf::supervised_fine_tuning(sft.w, model_config(), people, recipe, random, &progress);
    return sft;
}

// --- 2: sampling ---

static rlhf::Prompts prompts() {
    rlhf::Prompts all{.tokens = {}, .length = prompt_length};
    for (int noun = 0; noun < nouns; ++noun) {
        const std::vector<int> prompt = prompt_of(noun);
        all.tokens.insert(all.tokens.end(), prompt.begin(), prompt.end());
    }
    return all;
}

ppo::Episodes write(const gpt::Weights& w, int count, Random& random, int times) {
    return rlhf::sample(w, model_config(), prompts(), count, rollout, random, times);
}

Matrix log_probabilities(const gpt::Weights& w, const ppo::Episodes& episodes) {
    return rlhf::log_probabilities(w, model_config(), episodes);
}

// --- 3: ranking ---

std::vector<preferences::Ranking> questions(const ppo::Episodes& episodes, int answers) {
    std::vector<preferences::Ranking> all;
    for (int b = 0; b + answers <= episodes.count(); b += answers) {
        const auto row = episodes.tokens.begin() + b * episodes.length;
        preferences::Ranking question{
            .prompt = text_of({row + 1, row + prompt_length}), .answers = {}, .ranks = {}};  // without <bos>
        for (int k = 0; k < answers; ++k) question.answers.push_back(text_of(answer_of(episodes, b + k)));
        all.push_back(question);
    }
    return all;
}

static std::vector<float> scores_of(const preferences::Ranking& ranking) {
    std::vector<float> scores;
    for (const std::string& answer : ranking.answers) scores.push_back(true_score(ids_of(answer)));
    return scores;
}

std::vector<preferences::Ranking> ask(std::vector<preferences::Ranking> questions, const preferences::Person& person,
                                      Random& random) {
    for (preferences::Ranking& question : questions) {
        std::vector<float> draws;
        for (std::size_t k = 0; k < question.answers.size(); ++k) draws.push_back(std::max(random.uniform(), 1e-7f));  // never 0
        question.ranks = preferences::rank(scores_of(question), person, draws);
    }
    return questions;
}

static int noun_of(const std::string& prompt) {
    for (int noun = 0; noun < nouns; ++noun)
        if (ids_of("<bos> " + prompt) == prompt_of(noun)) return noun;
    require(false, "reviews: \"", prompt,
            "\" is not a prompt; the prompts are \"the movie\", \"the food\", \"the book\" and \"the song\"");
    return 0;
}

preferences::Pairs true_pairs(const Ranked& ranked, const std::vector<preferences::Ranking>& rankings) {
    const std::vector<float> scores = true_scores(ranked.episodes);
    std::vector<int> group;
    for (std::size_t g = 0; g < rankings.size(); ++g) group.insert(group.end(), rankings[g].answers.size(), static_cast<int>(g));
    std::vector<int> ranks;  // 1 + the number of answers to the same question that are better
    for (std::size_t n = 0; n < scores.size(); ++n) {
        int better = 0;
        for (std::size_t m = 0; m < scores.size(); ++m) better += group[m] == group[n] && scores[m] > scores[n];
        ranks.push_back(1 + better);
    }
    return preferences::all_pairs(group, ranks);
}

// --- 4: reward model training ---

static rlhf::RankedTexts ranked_texts(const std::vector<preferences::Ranking>& rankings) {
    rlhf::RankedTexts ranked;
    std::vector<int> nouns_of;
    std::vector<Answer> answers;
    for (std::size_t g = 0; g < rankings.size(); ++g) {
        const preferences::Ranking& ranking = rankings[g];
        for (std::size_t k = 0; k < ranking.answers.size(); ++k) {
            nouns_of.push_back(noun_of(ranking.prompt));
            answers.push_back(ids_of(ranking.answers[k]));
            ranked.group.push_back(static_cast<int>(g));
            ranked.ranks.push_back(ranking.ranks.at(k));
        }
    }
    ranked.texts = episodes_of(nouns_of, answers);
    return ranked;
}

Ranked ranked_rows(const std::vector<preferences::Ranking>& rankings) {
    const rlhf::RankedTexts ranked = ranked_texts(rankings);
    return {.episodes = ranked.texts, .pairs = preferences::all_pairs(ranked.group, ranked.ranks)};
}

RewardModel train_reward_model(const gpt::Weights& sft, const std::vector<preferences::Ranking>& rankings, Random& random,
                               int epochs) {
    const rlhf::RewardModelRecipe recipe{.epochs = epochs, .training = reward_recipe};
    const rlhf::RankedTexts ranked = ranked_texts(rankings);
    RewardModel reward_model{.w = reward_model::from_language_model(sft, model_config()), .shift = 0, .losses = {}};
    const int batch = recipe.training.batch, batches = (static_cast<int>(rankings.size()) + batch - 1) / batch;
    ShowProgress progress("reward model training", epochs * batches);
    reward_model.losses = rlhf::train_reward_model(reward_model.w, model_config(), ranked, recipe, random, &progress);
    reward_model.shift = mean(rewards_of(reward_model, ranked.texts));
    return reward_model;
}

std::vector<float> rewards_of(const RewardModel& reward_model, const ppo::Episodes& episodes) {
    return rlhf::RewardScore(reward_model.w, model_config(), reward_model.shift).of(episodes);
}

Evaluation evaluate(const RewardModel& reward_model, const std::vector<preferences::Ranking>& rankings) {
    const Ranked ranked = ranked_rows(rankings);
    const std::vector<float> rewards = rewards_of(reward_model, ranked.episodes);
    Matrix column(static_cast<int>(rewards.size()), 1);
    std::copy(rewards.begin(), rewards.end(), column.begin());
    return {.agreement = preferences::agreement(rewards, ranked.pairs),
            .true_agreement = preferences::agreement(rewards, true_pairs(ranked, rankings)),
            .correlation = preferences::correlation(rewards, true_scores(ranked.episodes)),
            .loss = reward_model::loss(column, ranked.pairs).loss.value()(0, 0)};
}

// --- 5: PPO or DPO ---

static float mean_kl(const Matrix& log_p, const Matrix& reference_log_p, const ppo::Episodes& episodes) {
    return mean(ppo::kl_of_episodes(log_p, reference_log_p, ppo::answer_mask(episodes)));
}

Measured measure(const gpt::Weights& policy, const gpt::Weights& reference, const RewardModel& reward_model, Random& random,
                 int count) {
    const ppo::Episodes texts = write(policy, count, random);
    return {.true_score = mean(true_scores(texts)),
            .reward = mean(rewards_of(reward_model, texts)),
            .kl = mean_kl(log_probabilities(policy, texts), log_probabilities(reference, texts), texts),
            .sentences = static_cast<float>(share_of_sentences(texts))};
}

PpoModel train_ppo(const gpt::Weights& reference, const RewardModel& reward_model, const PpoRun& run, Random& random) {
    rlhf::PpoTrainer trainer(reference, model_config(), ppo_recipe(run));
    rlhf::RewardScore score(reward_model.w, model_config(), reward_model.shift);
    PpoHistory history;
    Progress progress("PPO, beta " + text(run.beta).substr(0, 4), run.iterations);
    for (int iteration = 0; iteration < run.iterations; ++iteration) {
        const rlhf::PpoIteration it = rlhf::ppo_iteration(trainer, prompts(), score, random);
        history.first_ratio_error = std::max(history.first_ratio_error, it.first_ratio_error);
        history.true_score.push_back(mean(true_scores(it.episodes)));
        history.reward.push_back(it.mean_score);
        history.kl.push_back(it.mean_kl);
        history.sentences.push_back(static_cast<float>(share_of_sentences(it.episodes)));
        progress.update(iteration, -history.reward.back());
    }
    return {.w = trainer.policy, .history = history};
}

Comparisons comparisons_of(const std::vector<preferences::Ranking>& rankings) {
    return rlhf::preference_pairs(ranked_texts(rankings));
}

dpo::Batch dpo_batch(const Comparisons& comparisons, const std::vector<int>& order, int first, int count) {
    return rlhf::dpo_batch(comparisons, order, first, count, padding);
}

DpoModel train_dpo(const gpt::Weights& reference, const Comparisons& comparisons, const DpoRun& run, Random& random) {
    rlhf::DpoTrainer trainer(reference, model_config(), dpo_recipe(run), comparisons.count());
    DpoHistory history;
    ShowProgress progress("DPO, beta " + text(run.beta).substr(0, 4), trainer.recipe.training.schedule.steps);
    for (int epoch = 0; epoch < run.epochs; ++epoch)
        for (const rlhf::DpoStep& step : rlhf::dpo_epoch(trainer, comparisons, random, &progress)) {
            history.loss.push_back(step.loss);
            history.accuracy.push_back(step.accuracy);
            history.chosen.push_back(step.chosen);
            history.rejected.push_back(step.rejected);
        }
    return {.w = trainer.policy, .history = history};
}

}  // namespace reviews
