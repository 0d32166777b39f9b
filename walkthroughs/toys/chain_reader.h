// chain_reader.h: any language model on a chain of the second order: how it learns, and how well it predicts at each position.
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
    int length = 24;  // predictions in a text: the window
    int batch = 16;
    int steps = 500;
    float learning_rate = 3e-3f;
};

// The loss of every step, on new texts each.   what  the name of the progress line
std::vector<float> learn_chain(const ChainReader& reader, const SecondOrderChain& chain, const ChainTraining& training,
                               Random& random, const std::string& what);

// The mean loss of predicting symbol 1, 2, ..., length from those before it, over `texts` new texts: `length` of them.
std::vector<float> losses_by_position(const ChainReader& reader, const SecondOrderChain& chain, int length, int texts,
                                      Random& random);

// The mean of numbers first ... end - 1.   throws std::invalid_argument when there are none
double mean_between(const std::vector<float>& numbers, int first, int end);

// Means of `group` numbers each, at the middle of the group.
struct Grouped {
    std::vector<float> x, y;
};
Grouped grouped(const std::vector<float>& numbers, int group);
