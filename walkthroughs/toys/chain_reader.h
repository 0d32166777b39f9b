// chain_reader.h: train any language model on a second-order Markov chain, and measure its loss at each position.
//
//   use      llama::Weights w = ...;
//            ReaderOf<llama::Weights, llama::Config> reader(w, config, llama::parameters(w, config));
//            learn_chain(reader, chain, {.length = 24, .steps = 500}, random, "LLaMA");
//            const std::vector<float> losses = losses_by_position(reader, chain, 96, 400, random);
#pragma once
#include <string>
#include <vector>

#include "nn/base/random.h"
#include "nn/data/parameters.h"
#include "nn/text/batch.h"
#include "walkthroughs/toys/markov_chain.h"

// A model that predicts the next symbol at every row of a batch.
class ChainReader {
public:
    virtual Var logits(const TokenBatch& batch) const = 0;  // (B*T, V)
    virtual ~ChainReader() = default;

    Parameters parameters;
};

// One of gpt/families.
template <class Weights, class Config>
class ReaderOf : public ChainReader {
public:
    ReaderOf(const Weights& w, const Config& config, Parameters table) : w(w), config(config) { parameters = std::move(table); }
    Var logits(const TokenBatch& batch) const override { return forward(batch, w, config).logits; }

private:
    const Weights& w;
    const Config& config;
};

struct ChainTraining {
    int length = 24;  // predictions per text: the context length
    int batch = 16;
    int steps = 500;
    float learning_rate = 3e-3f;
};

// Trains on new texts in every step: AdamW without weight decay, beta2 = 0.98, gradients clipped at 1; 50 steps of warm-up, then
// a cosine to a twentieth of the learning rate.   what  the name of the progress line   returns  the losses
std::vector<float> learn_chain(const ChainReader& reader, const SecondOrderChain& chain, const ChainTraining& training,
                               Random& random, const std::string& what);

// The mean loss of predicting symbol 1, 2, ..., length from those before it, over `texts` new texts: `length` numbers.
std::vector<float> losses_by_position(const ChainReader& reader, const SecondOrderChain& chain, int length, int texts,
                                      Random& random);

// The mean of numbers first ... end - 1.   throws std::invalid_argument when the range is empty
double mean_between(const std::vector<float>& numbers, int first, int end);

// Means of groups of `group` numbers, with the middle of each group as x.
struct Grouped {
    std::vector<float> x, y;
};
Grouped grouped(const std::vector<float>& numbers, int group);
