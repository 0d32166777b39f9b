#include "walkthroughs/lesson/review_models.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "nn/data/parameters.h"
#include "nn/training/progress.h"

namespace reviews {

gpt::Config model_config() {
    return {.vocabulary = vocabulary, .positions = 16, .width = 32, .depth = 2, .heads = 2, .mlp_width = 128};
}

float mean(const std::vector<float>& numbers) { return ppo::mean_of(numbers); }

static gpt::Weights copy_of(const gpt::Weights& w) {
    Random unused;  // every number that it draws is replaced
    gpt::Weights copy = gpt::make_weights(model_config(), unused);
    copy_values(gpt::parameters(w, model_config()), gpt::parameters(copy, model_config()));
    return copy;
}

// Gradients of a loss, then one step of the optimizer.
static void learn_from(const Var& loss, AdamW& optimizer, float rate) {
    backward(loss);
    clip_gradient_norm(optimizer.variables, 1);
    optimizer.update(rate);
    zero_gradients(optimizer.variables);
}

static AdamW adam(const Parameters& parameters, float learning_rate) {
    return AdamW({}, variables(parameters), {.learning_rate = learning_rate, .weight_decay = 0});
}

// The ids with everything ignored that is no part of an answer.
static std::vector<int> answer_labels(const ppo::Episodes& episodes) {
    std::vector<int> labels(episodes.tokens.size(), ignored_label);
    for (int b = 0; b < episodes.count(); ++b) {
        const int first = b * episodes.length + episodes.prompt_lengths[b];
        std::copy_n(episodes.tokens.begin() + first, episodes.answer_lengths[b], labels.begin() + first);
    }
    return labels;
}

// --- 1: learn to write ---

Writer learn_to_write(Random& random, Descent descent) {
    const Schedule schedule{.peak = 3e-3f, .steps = 300, .descent = descent};
    Writer writer{.w = gpt::make_weights(model_config(), random), .losses = {}};
    AdamW optimizer = adam(gpt::parameters(writer.w, model_config()), schedule.peak);
    Progress progress("learning to write", schedule.steps);
    for (int step = 0; step < schedule.steps; ++step) {
        const ppo::Episodes texts = human_texts(64, random);
        const Matrix mask = ppo::answer_mask(texts);
        const Tape tape;
        const gpt::Steps steps = gpt::forward(texts.tokens, texts.length, writer.w, model_config());
        const Var log_p = ppo::token_log_probabilities(steps.logits, texts);  // (B, T-1)
        const float tokens = std::accumulate(mask.begin(), mask.end(), 0.0f);
        const Var loss = scale(sum(log_p), -1 / tokens);  // the mean over the words of the answers
        learn_from(loss, optimizer, learning_rate(schedule, step));
        writer.losses.push_back(loss.value()(0, 0));
        progress.update(step, writer.losses.back());
    }
    return writer;
}

// --- 2: many answers ---

ppo::Episodes write(const gpt::Weights& w, int count, Random& random, int times) {
    std::vector<int> prompts;
    for (int b = 0; b < count; ++b) {
        const std::vector<int> prompt = prompt_of(b / times % nouns);
        prompts.insert(prompts.end(), prompt.begin(), prompt.end());
    }
    const Matrix draws = uniform_matrix(random, count, longest_answer);
    return ppo::roll_out(prompts, prompt_length, w, model_config(), longest_answer, full_stop, padding, draws);
}

Matrix log_probabilities(const gpt::Weights& w, const ppo::Episodes& episodes) {
    const NoTape frozen;
    const gpt::Steps steps = gpt::forward(episodes.tokens, episodes.length, w, model_config());
    return ppo::token_log_probabilities(steps.logits, episodes).value();
}

// --- 3: a person puts them in order ---

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
            "\" is no prompt, the prompts are \"the movie\", \"the food\", \"the book\" and \"the song\"");
    return 0;
}

Ranked ranked_rows(const std::vector<preferences::Ranking>& rankings) {
    std::vector<int> nouns_of, group, ranks;
    std::vector<Answer> answers;
    for (std::size_t g = 0; g < rankings.size(); ++g) {
        const preferences::Ranking& ranking = rankings[g];
        for (std::size_t k = 0; k < ranking.answers.size(); ++k) {
            nouns_of.push_back(noun_of(ranking.prompt));
            answers.push_back(ids_of(ranking.answers[k]));
            group.push_back(static_cast<int>(g));
            ranks.push_back(ranking.ranks.at(k));
        }
    }
    return {.episodes = episodes_of(nouns_of, answers), .pairs = preferences::all_pairs(group, ranks)};
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

// --- 4: learn to judge ---

static Var reward_of_rows(const reward_model::Weights& w, const ppo::Episodes& episodes) {
    return reward_model::forward(episodes.tokens, text_lengths(episodes), w, model_config()).rewards;  // (N, 1)
}

Judge learn_to_judge(const gpt::Weights& writer, const std::vector<preferences::Ranking>& rankings, Random& random, int epochs) {
    const int batch = 16, count = static_cast<int>(rankings.size());
    Judge judge{.w = reward_model::from_language_model(writer, model_config()), .zero = 0, .losses = {}};
    AdamW optimizer = adam(reward_model::parameters(judge.w, model_config()), 1e-3f);
    Progress progress("learning to judge", epochs);
    for (int epoch = 0; epoch < epochs; ++epoch) {
        const std::vector<int> order = permutation(random, count);
        float total = 0;
        int batches = 0;
        for (int first = 0; first < count; first += batch) {
            std::vector<preferences::Ranking> some;
            for (int k = first; k < std::min(count, first + batch); ++k) some.push_back(rankings[order[k]]);
            const Ranked ranked = ranked_rows(some);
            if (ranked.pairs.list.empty()) continue;  // everything tied
            const Tape tape;
            const Var rewards = reward_of_rows(judge.w, ranked.episodes);
            const reward_model::LossSteps steps = reward_model::loss(rewards, ranked.pairs);
            learn_from(steps.loss, optimizer, optimizer.config.learning_rate);
            total += steps.loss.value()(0, 0);
            ++batches;
        }
        require(batches > 0, "reviews: no ranking says that one answer is better than another, there is nothing to learn");
        judge.losses.push_back(total / static_cast<float>(batches));
        progress.update(epoch, judge.losses.back());
    }
    judge.zero = mean(rewards_of(judge, ranked_rows(rankings).episodes));
    return judge;
}

std::vector<float> rewards_of(const Judge& judge, const ppo::Episodes& episodes) {
    const NoTape frozen;
    const Matrix rewards = reward_of_rows(judge.w, episodes).value();  // (N, 1)
    std::vector<float> shifted;
    for (const float reward : rewards) shifted.push_back(reward - judge.zero);
    return shifted;
}

Judged judged(const Judge& judge, const std::vector<preferences::Ranking>& rankings) {
    const Ranked ranked = ranked_rows(rankings);
    const std::vector<float> rewards = rewards_of(judge, ranked.episodes);
    Matrix column(static_cast<int>(rewards.size()), 1);
    std::copy(rewards.begin(), rewards.end(), column.begin());
    return {.agreement = preferences::agreement(rewards, ranked.pairs),
            .true_agreement = preferences::agreement(rewards, true_pairs(ranked, rankings)),
            .correlation = preferences::correlation(rewards, true_scores(ranked.episodes)),
            .loss = reward_model::loss(column, ranked.pairs).loss.value()(0, 0)};
}

// --- 5: fine-tune ---

static float mean_kl(const Matrix& log_p, const Matrix& reference_log_p, const ppo::Episodes& episodes) {
    return mean(ppo::kl_of_episodes(log_p, reference_log_p, ppo::answer_mask(episodes)));
}

Measured measure(const gpt::Weights& policy, const gpt::Weights& reference, const Judge& judge, Random& random, int count) {
    const ppo::Episodes texts = write(policy, count, random);
    return {.true_score = mean(true_scores(texts)),
            .reward = mean(rewards_of(judge, texts)),
            .kl = mean_kl(log_probabilities(policy, texts), log_probabilities(reference, texts), texts),
            .sentences = static_cast<float>(share_of_sentences(texts))};
}

static float largest_departure_from_1(const Matrix& ratio) {
    float largest = 0;
    for (const float r : ratio) largest = std::max(largest, std::abs(r - 1));
    return largest;
}

Pleaser please(const gpt::Weights& reference, const Judge& judge, const PpoRun& run, Random& random) {
    const ppo::Config config{.kl_coefficient = run.beta, .adaptive = false};
    Pleaser pleaser{.w = ppo::from_language_model(reference, model_config()), .history = {}};
    PpoHistory& history = pleaser.history;
    AdamW optimizer = adam(ppo::parameters(pleaser.w, model_config()), run.learning_rate);
    Progress progress("PPO, beta " + text(run.beta).substr(0, 4), run.iterations);
    for (int iteration = 0; iteration < run.iterations; ++iteration) {
        // Write, and have it judged: from here on these numbers stay as they are.
        const ppo::Episodes episodes = write(pleaser.w.trunk, run.episodes, random);
        const Matrix mask = ppo::answer_mask(episodes);  // (B, T-1)
        const ppo::PolicySteps old = ppo::forward(episodes, pleaser.w, model_config());
        const Matrix old_log_p = old.log_probabilities.value(), old_values = old.values.value();
        const Matrix reference_log_p = log_probabilities(reference, episodes);  // (B, T-1)
        const std::vector<float> scores = rewards_of(judge, episodes);
        const ppo::RewardSteps rewards =
            ppo::rewards_and_advantages(scores, old_log_p, reference_log_p, old_values, mask, run.beta, config);
        // Learn from them a few times over.
        for (int epoch = 0; epoch < run.epochs; ++epoch) {
            const Tape tape;
            const ppo::PolicySteps policy = ppo::forward(episodes, pleaser.w, model_config());
            const ppo::LossSteps steps = ppo::loss(policy, old_log_p, old_values, rewards, mask, config);
            if (epoch == 0)
                history.first_ratio_error = std::max(history.first_ratio_error, largest_departure_from_1(steps.ratio.value()));
            learn_from(steps.loss, optimizer, run.learning_rate);
        }
        history.true_score.push_back(mean(true_scores(episodes)));
        history.reward.push_back(mean(scores));
        history.kl.push_back(mean_kl(old_log_p, reference_log_p, episodes));
        history.sentences.push_back(static_cast<float>(share_of_sentences(episodes)));
        progress.update(iteration, -history.reward.back());
    }
    return pleaser;
}

Comparisons comparisons_of(const std::vector<preferences::Ranking>& rankings) {
    std::vector<int> nouns_of;
    std::vector<Answer> better, worse;
    for (const preferences::Ranking& ranking : rankings) {
        const preferences::Pairs pairs = preferences::all_pairs(std::vector<int>(ranking.ranks.size(), 0), ranking.ranks);
        for (const preferences::Pair& pair : pairs.list) {
            nouns_of.push_back(noun_of(ranking.prompt));
            better.push_back(ids_of(ranking.answers[pair.better]));
            worse.push_back(ids_of(ranking.answers[pair.worse]));
        }
    }
    return {.better = episodes_of(nouns_of, better), .worse = episodes_of(nouns_of, worse)};
}

// Some rows of something that has `length` numbers in each.
static std::vector<int> rows_of(const std::vector<int>& all, int length, const std::vector<int>& order, int first, int count) {
    std::vector<int> rows;
    for (int k = first; k < first + count; ++k) {
        const auto row = all.begin() + order[k] * length;
        rows.insert(rows.end(), row, row + length);
    }
    return rows;
}

dpo::Batch dpo_batch(const Comparisons& comparisons, const std::vector<int>& order, int first, int count) {
    const ppo::Episodes &better = comparisons.better, &worse = comparisons.worse;
    const int T = better.length;
    return dpo::join(rows_of(better.tokens, T, order, first, count), rows_of(answer_labels(better), T, order, first, count),
                     rows_of(worse.tokens, T, order, first, count), rows_of(answer_labels(worse), T, order, first, count), count,
                     padding);
}

Follower follow(const gpt::Weights& reference, const Comparisons& comparisons, const DpoRun& run, Random& random) {
    const dpo::Config config{.beta = run.beta};
    const int batches = comparisons.count() / run.batch;
    const Schedule schedule{
        .peak = run.learning_rate, .warm_up = run.warm_up, .steps = run.epochs * batches, .descent = Descent::none};
    Follower follower{.w = copy_of(reference), .history = {}};
    AdamW optimizer = adam(gpt::parameters(follower.w, model_config()), run.learning_rate);
    Progress progress("DPO, beta " + text(run.beta).substr(0, 4), schedule.steps);
    for (int epoch = 0; epoch < run.epochs; ++epoch) {
        const std::vector<int> order = permutation(random, comparisons.count());
        for (int b = 0; b < batches; ++b) {
            const dpo::Batch batch = dpo_batch(comparisons, order, b * run.batch, run.batch);
            const dpo::LogProbabilities frozen =
                dpo::log_probabilities(batch, reference, model_config());  // no tape yet: constants
            const Tape tape;
            const dpo::LogProbabilities policy = dpo::log_probabilities(batch, follower.w, model_config());
            const dpo::LossSteps steps = dpo::loss(policy, frozen, config);
            learn_from(steps.loss, optimizer, learning_rate(schedule, optimizer.steps));
            follower.history.loss.push_back(steps.loss.value()(0, 0));
            follower.history.accuracy.push_back(steps.accuracy);
            follower.history.chosen.push_back(mean({steps.chosen_rewards.begin(), steps.chosen_rewards.end()}) / run.beta);
            follower.history.rejected.push_back(mean({steps.rejected_rewards.begin(), steps.rejected_rewards.end()}) / run.beta);
            progress.update(optimizer.steps - 1, follower.history.loss.back());
        }
    }
    return follower;
}

}  // namespace reviews
