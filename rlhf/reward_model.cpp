#include "rlhf/reward_model.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"

namespace reward_model {

Steps forward(const std::vector<int>& tokens, const std::vector<int>& lengths, const Weights& w, const gpt::Config& config) {
    const int N = static_cast<int>(lengths.size());
    require(N > 0 && tokens.size() % N == 0, "reward_model: ", tokens.size(), " tokens do not split into ", N,
            " texts of equal length");
    const int T = static_cast<int>(tokens.size()) / N;
    std::vector<int> last;  // the row of each text's last real token; padding follows
    for (int n = 0; n < N; ++n) {
        require(lengths[n] >= 1 && lengths[n] <= T, "reward_model: text ", n, " has ", lengths[n], " tokens of ", T,
                ", it must have 1 to that many");
        last.push_back(n * T + lengths[n] - 1);
    }
    Steps steps;
    steps.trunk = gpt::trunk(tokens, T, w.trunk, config);       // (N*T, E)
    steps.last_hidden = gather_rows(steps.trunk.hidden, last);  // (N, E)
    steps.rewards = linear(steps.last_hidden, w.score);         // (N, 1)
    return steps;
}

// Row g averages over the pairs of ranking g: (rankings, pairs).
static Matrix averaging(const preferences::Pairs& pairs) {
    require(pairs.group.size() == pairs.list.size(), "reward_model: ", pairs.group.size(), " numbers of rankings for ",
            pairs.list.size(), " pairs, each needs one");
    for (const int g : pairs.group)
        require(g >= 0 && g < pairs.groups, "reward_model: a pair of ranking ", g, ", there are ", pairs.groups,
                ", counted from 0");
    std::vector<int> count(pairs.groups);
    for (const int g : pairs.group) ++count[g];
    Matrix mean(pairs.groups, static_cast<int>(pairs.list.size()));
    for (int p = 0; p < mean.cols; ++p) mean(pairs.group[p], p) = 1.0f / count[pairs.group[p]];
    return mean;
}

static int rankings_with_a_pair(const Matrix& mean) {
    int count = 0;
    for (int g = 0; g < mean.rows; ++g) {
        bool any = false;
        for (int p = 0; p < mean.cols; ++p) any = any || mean(g, p) > 0;
        count += any;
    }
    return count;
}

LossSteps loss(const Var& rewards, const preferences::Pairs& pairs) {
    require(!pairs.list.empty(), "reward_model: no ranking has a pair, all answers are tied; rank answers that differ");
    for (const preferences::Pair& pair : pairs.list)
        require(pair.better != pair.worse, "reward_model: answer ", pair.better, " is compared with itself; leave the pair out");
    const Matrix mean_of_ranking = averaging(pairs);
    const int counted = rankings_with_a_pair(mean_of_ranking);
    LossSteps steps;
    steps.differences = preferences::differences(rewards, pairs);    // (pairs, 1)  d = r_better - r_worse
    steps.pair_loss = softplus(scale(steps.differences, -1));        // (pairs, 1)  -log sigmoid(d)
    steps.ranking_loss = matmul(mean_of_ranking, steps.pair_loss);   // (rankings, 1)
    steps.loss = scale(sum(steps.ranking_loss), 1.0f / counted);     // (1, 1)  [InstructGPT 1]
    steps.loss_flat = mean(steps.pair_loss);                         // (1, 1)
    steps.probability = sigmoid(steps.differences.value()).value();  // (pairs, 1)
    const Matrix& r = rewards.value();
    steps.accuracy = preferences::agreement({r.begin(), r.end()}, pairs);
    return steps;
}

// --- weights ---

Weights make_weights(const gpt::Config& config, Random& random, const gpt::Start& start) {
    return {.trunk = gpt::make_weights(config, random, start),
            .score = {.weight = parameter(Matrix(config.width, 1)), .bias = {}}};
}

Weights from_language_model(const gpt::Weights& trained, const gpt::Config& config) {
    Random unused;  // its draws are overwritten
    Weights w = reward_model::make_weights(config, unused);
    copy_values(gpt::parameters(trained, config), gpt::parameters(w.trunk, config));
    return w;
}

Parameters parameters(const Weights& w, const gpt::Config& config) {
    Parameters table = gpt::parameters(w.trunk, config, "transformer.");
    add_parameters(table, "score", w.score);
    return table;
}

}  // namespace reward_model
