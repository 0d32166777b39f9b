#include "walkthroughs/toys/chain_reader.h"

#include <algorithm>
#include <utility>

#include "nn/training/loss.h"
#include "nn/training/train.h"

// `count` texts with `length` predictions each, so one symbol longer.
static TokenBatch texts_of(const SecondOrderChain& chain, int count, int length, Random& random) {
    std::vector<std::vector<int>> texts;
    for (int b = 0; b < count; ++b) texts.push_back(sample(chain, random, length + 1));
    return make_batch(texts);
}

namespace {
struct NextSymbols : Objective {
    const ChainReader& reader;
    const SecondOrderChain& chain;
    const ChainTraining& training;
    Random& random;
    NextSymbols(const ChainReader& reader, const SecondOrderChain& chain, const ChainTraining& training, Random& random)
        : reader(reader), chain(chain), training(training), random(random) {}

    Var loss(int) override {
        const TokenBatch batch = texts_of(chain, training.batch, training.length, random);
        return cross_entropy(reader.logits(batch), next_tokens(batch));
    }
};
}  // namespace

std::vector<float> learn_chain(const ChainReader& reader, const SecondOrderChain& chain, const ChainTraining& training,
                               Random& random, const std::string& what) {
    const Recipe recipe{.schedule = {.peak = training.learning_rate,
                                     .warm_up = std::min(50, training.steps),
                                     .steps = training.steps,
                                     .descent = Descent::cosine,
                                     .floor = 0.05f},
                        .batch = training.batch,
                        .beta2 = 0.98f};
    NextSymbols objective(reader, chain, training, random);
    ShowProgress progress(what, training.steps);
    return train(objective, nothing_decays(variables(reader.parameters)), recipe, &progress);
}

std::vector<float> losses_by_position(const ChainReader& reader, const SecondOrderChain& chain, int length, int texts,
                                      Random& random) {
    const NoTape no_tape;
    std::vector<double> sums(length, 0.0);
    const int at_once = 50;
    for (int done = 0; done < texts; done += at_once) {
        const int count = std::min(at_once, texts - done);
        const TokenBatch batch = texts_of(chain, count, length, random);
        const Matrix losses = token_losses(reader.logits(batch), next_tokens(batch)).value();  // (B*T, 1)
        for (int b = 0; b < count; ++b)
            for (int t = 0; t < length; ++t) sums[t] += losses[b * batch.length + t];
    }
    std::vector<float> means;
    for (const double sum : sums) means.push_back(static_cast<float>(sum / texts));
    return means;
}

double mean_between(const std::vector<float>& numbers, int first, int end) {
    require(first >= 0 && first < end && end <= static_cast<int>(numbers.size()), "mean_between: numbers ", first, " to ", end,
            " of ", static_cast<int>(numbers.size()));
    double sum = 0;
    for (int k = first; k < end; ++k) sum += numbers[k];
    return sum / (end - first);
}

Grouped grouped(const std::vector<float>& numbers, int group) {
    Grouped result;
    for (int first = 0; first + group <= static_cast<int>(numbers.size()); first += group) {
        result.x.push_back(static_cast<float>(first) + 0.5f * static_cast<float>(group - 1));
        result.y.push_back(static_cast<float>(mean_between(numbers, first, first + group)));
    }
    return result;
}
