// corpus.h: a text to learn from, cut into tokens that were learned from it, with a held-out part.
//
//   use      const Corpus corpus = make_corpus(own_text(), 400, 64);
//            const std::vector<int> ids = random_stretches(corpus.train, 8, 64, random);
//            double nats = held_out_loss(corpus.test, 64, weights, config);
#pragma once
#include <string>
#include <vector>

#include "gpt/bpe.h"
#include "gpt/gpt.h"
#include "nn/training/train.h"

// The documentation and the sources of this project below the working directory, in the order of their names.
//   throws  std::invalid_argument when there are none
std::string own_text();

struct Corpus {
    bpe::Vocabulary vocabulary;
    std::vector<int> train, test;  // ids; the test part are stretches from all over the text that training never sees
    double bytes_per_token = 0;
};

// Learns `merges` merges from the beginning of the text and encodes all of it. One stretch of every twenty is held out, so that
// both parts have the same distribution.
//   length   tokens of a stretch to train on
//   throws   std::invalid_argument when the text is too short to train on and to test with
Corpus make_corpus(const std::string& text, int merges, int length);
// The same with the tokens of an existing vocabulary.
Corpus make_corpus(const std::string& text, const bpe::Vocabulary& vocabulary, int length);

// `count` stretches of `length` tokens, one after the other, each from anywhere in the text.
std::vector<int> random_stretches(const std::vector<int>& text, int count, int length, Random& random);

// The next token of each of `length`, in a batch of texts: what a GPT is trained for.
struct NextTokens : Objective {
    const gpt::Weights& w;
    const gpt::Config& config;
    int length, batch;
    Random& random;

    NextTokens(const gpt::Weights& w, const gpt::Config& config, int length, int batch, Random& random)
        : w(w), config(config), length(length), batch(batch), random(random) {}

    virtual std::vector<int> draw_ids() = 0;  // (batch * length)
    Var loss(int) override;
};

struct NextTokensOfText : NextTokens {
    const std::vector<int>& text;

    NextTokensOfText(const gpt::Weights& w, const gpt::Config& config, int length, int batch, Random& random,
                     const std::vector<int>& text)
        : NextTokens(w, config, length, batch, random), text(text) {}
    std::vector<int> draw_ids() override { return random_stretches(text, batch, length, random); }
};

// Mean cross-entropy of a text that is cut into pieces of `length`, nats a token.
double held_out_loss(const std::vector<int>& text, int length, const gpt::Weights& w, const gpt::Config& config);
