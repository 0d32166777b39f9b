#include "gpt/prompting/in_context.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gpt/writing.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"

namespace in_context {

// --- the text ---

static void check(const Task& task) {
    require(task.inputs > 0 && task.labels > 0 && task.pairs > 0, "in_context: ", task.inputs, " inputs, ", task.labels,
            " labels, ", task.pairs, " pairs, each must be at least 1");
}

static void require_sequences(int sequences) {
    require(sequences > 0, "in_context: ", sequences, " sequences, there must be at least 1");
}

Batch make_batch(const Task& task, Random& random, int sequences) {
    require_sequences(sequences);
    check(task);
    Batch batch;
    for (int b = 0; b < sequences; ++b) {
        std::vector<int> f;  // the hidden table of this sequence
        for (int x = 0; x < task.inputs; ++x) f.push_back(random.below(task.labels));
        for (int n = 0; n < task.pairs; ++n) {
            const int x = random.below(task.inputs);
            batch.ids.push_back(x);
            batch.ids.push_back(task.inputs + f[x]);
            batch.answers.push_back(f[x]);
        }
    }
    return batch;
}

std::vector<int> prompt_of(const Task& task, const std::vector<std::pair<int, int>>& examples, int query) {
    require(query >= 0 && query < task.inputs, "in_context: a query ", query, " of ", task.inputs, " inputs, counted from 0");
    std::vector<int> ids;
    for (const auto& [x, label] : examples) {
        require(x >= 0 && x < task.inputs && label >= 0 && label < task.labels, "in_context: an example of input ", x,
                " and label ", label, ", there are ", task.inputs, " and ", task.labels, ", counted from 0");
        ids.push_back(x);
        ids.push_back(task.inputs + label);
    }
    ids.push_back(query);
    return ids;
}

// --- the best possible answer ---

static double never_shown(const Task& task, int shots) {
    check(task);
    require(shots >= 0, "in_context: ", shots, " shots, there cannot be fewer than 0");
    return std::pow(1 - 1.0 / task.inputs, shots);
}

double best_accuracy(const Task& task, int shots) { return 1 - never_shown(task, shots) * (1 - 1.0 / task.labels); }

double best_loss(const Task& task, int shots) { return never_shown(task, shots) * std::log(static_cast<double>(task.labels)); }

// --- the model ---

gpt::Config model_of(const Task& task) {
    check(task);
    return {.vocabulary = task.inputs + task.labels,
            .positions = 2 * task.pairs,
            .width = 32,
            .depth = 2,
            .heads = 2,
            .mlp_width = 64,
            .tied = false};
}

Var label_logits(const gpt::Steps& steps, const Task& task) {
    check(task);
    const Matrix& all = steps.logits.value();
    require(all.cols == task.inputs + task.labels && all.rows % 2 == 0, "in_context: logits ", all, " for ", task.inputs,
            " inputs and ", task.labels, " labels; each needs a column, and each pair two rows");
    std::vector<int> after_input;  // rows 0, 2, 4, ...: after an input, before its label
    for (int row = 0; row < steps.logits.rows(); row += 2) after_input.push_back(row);
    const Var logits = gather_rows(steps.logits, after_input);  // (B*N, K+L)
    return slice_cols(logits, task.inputs, task.labels);        // (B*N, L)
}

Var loss(const gpt::Steps& steps, const Batch& batch, const Task& task) {
    return cross_entropy(label_logits(steps, task), batch.answers);
}

Recipe recipe_of(const Training& training) {
    return {.schedule = {.peak = training.learning_rate,
                         .warm_up = std::min(100, training.steps),
                         .steps = training.steps,
                         .descent = Descent::linear,
                         .floor = 0.05f},
            .batch = training.batch,
            .beta2 = 0.98f};
}

namespace {
struct LabelLoss : Objective {
    const gpt::Weights& w;
    const gpt::Config& config;
    const Task& task;
    int sequences;
    Random& random;

    LabelLoss(const gpt::Weights& w, const gpt::Config& config, const Task& task, int sequences, Random& random)
        : w(w), config(config), task(task), sequences(sequences), random(random) {}

    Var loss(int) override {
        const Batch batch = make_batch(task, random, sequences);
        return in_context::loss(gpt::forward(batch.ids, 2 * task.pairs, w, config), batch, task);
    }
};
}  // namespace

std::vector<float> train(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Training& training,
                         Random& random, Watcher* watcher) {
    LabelLoss objective(w, config, task, training.batch, random);
    return ::train(objective, nothing_decays(variables(gpt::parameters(w, config))), recipe_of(training), watcher);
}

// --- using it ---

std::vector<float> accuracy_by_shots(const gpt::Weights& w, const gpt::Config& config, const Task& task, Random& random,
                                     int sequences) {
    require_sequences(sequences);
    check(task);
    const NoTape no_tape;
    std::vector<float> right(task.pairs, 0);
    const int at_once = 250;
    for (int done = 0; done < sequences; done += at_once) {
        const Batch batch = make_batch(task, random, std::min(at_once, sequences - done));
        const Matrix logits = label_logits(gpt::forward(batch.ids, 2 * task.pairs, w, config), task).value();  // (B*N, L)
        for (int i = 0; i < logits.rows; ++i) right[i % task.pairs] += argmax_row(logits, i) == batch.answers[i];
    }
    for (float& share : right) share /= static_cast<float>(sequences);
    return right;
}

static double mean_log_probability(const std::vector<int>& prompt, const std::vector<int>& candidate, const gpt::Weights& w,
                                   const gpt::Config& config) {
    return gpt::log_probability(prompt, candidate, w, config) / static_cast<double>(candidate.size());
}

int choose(const std::vector<int>& prompt, const std::vector<std::vector<int>>& candidates, const gpt::Weights& w,
           const gpt::Config& config, const std::vector<int>& neutral) {
    require(!candidates.empty(), "choose: no candidates; give at least one continuation");
    int best = 0;
    double best_score = -std::numeric_limits<double>::infinity();
    for (int c = 0; c < static_cast<int>(candidates.size()); ++c) {
        require(!candidates[c].empty(), "choose: candidate ", c, " has no tokens; leave it out");
        double score = mean_log_probability(prompt, candidates[c], w, config);
        if (!neutral.empty()) score -= mean_log_probability(neutral, candidates[c], w, config);
        if (score > best_score) best_score = score, best = c;
    }
    return best;
}

}  // namespace in_context
