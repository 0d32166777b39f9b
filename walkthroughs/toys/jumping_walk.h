// jumping_walk.h: texts that only an induction circuit can continue, and a small GPT trained on them.
//
//   text     eight different symbols, then a walk over them: each token is followed by its successor among the eight, or the walk
//            jumps to any of the first seven
//   shows    in its walkthroughs: the answer is the successor of an earlier copy of the last token. One layer of attention can
//            find the copy; only a second layer can read its successor
//   use      const jumping_walk::Learned model = jumping_walk::learn({.steps = 600}, random);
//            const std::vector<jumping_walk::Text> asked = ...;   // jumping_walk::draw(random, {.query = 3})
//            gpt::forward(jumping_walk::inputs(asked), jumping_walk::length, model.w, model.config);
#pragma once
#include <vector>

#include "gpt/gpt.h"
#include "nn/base/random.h"

namespace jumping_walk {

inline constexpr int symbols = 16;                 // V
inline constexpr int shown = 8;                    // different symbols at the beginning
inline constexpr int walked = 13;                  // tokens of the walk
inline constexpr int length = shown + walked - 1;  // T: all tokens but the last are the input

struct Text {
    std::vector<int> ids;       // T + 1
    std::vector<char> follows;  // T + 1  whether the token is the successor of the one before it, and so predictable
};

struct Wish {
    int query = -1;                // the last input token is this one of the eight, right after a jump; -1: any
    std::vector<int> hidden = {};  // positions among the eight that the walk does not visit before the query
};

// Draws a text.   throws std::invalid_argument when the walk has nowhere to go, or the query has no successor
Text draw(Random& random, const Wish& wish = {});

// The input tokens, T of each text, and their labels: the next token where it is predictable, otherwise ignored_label.
std::vector<int> inputs(const std::vector<Text>& texts);
std::vector<int> labels(const std::vector<Text>& texts);

struct Training {
    int steps = 600;
    int batch = 64;
    float learning_rate = 3e-3f;
};

struct Learned {
    gpt::Config config;
    gpt::Weights w;
    std::vector<float> losses;  // of every step
};
// A GPT of two blocks of width 32 with 4 heads, weights of standard deviation 0.1, trained on new texts in each step: AdamW without
// weight decay, beta2 = 0.98, gradients clipped at 1; 50 steps of warm-up, then linear to a twentieth of the learning rate.
Learned learn(const Training& training, Random& random);

}  // namespace jumping_walk
