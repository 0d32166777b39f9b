// inside.h: where the parts of a model lie, and one run of it with everything that this folder looks at.
//
//   shows    that explaining asks the same of every model: its attention weights, its residual stream, its heads, and what makes
//            outputs of the last stream. Each model says where they lie in one function beside it, `inside(w, config)`:
//            vit, heads and mlm (BERT), gpt, llama, palm, bloom, galactica, biogpt, glm, gato; t5 and clip have one for each stack
//   symbols  L blocks   H heads   n tokens of all sequences   E width   K outputs (classes, tokens of the vocabulary)
//            A_l attention weights of block l   r_l residual stream before block l, r_L after the last
//   use      const Inside inside = vit::inside(w, config);
//            const auto run = [&] { return vit::forward({image}, w, config).logits; };             // (1, K)
//            const Inspection trace = follow(run, inside, {{.row = 0, .column = 7}});                    // why class 7?
//            const Matrix map = rollout::token_relevance(trace, inside);                            // (1, n)  rollout.h
//            const Matrix early = outputs_of(trace.streams[1], inside);                             // (n, K)  logit_lens.h
//            activation_patching::ForwardPass, integrated_gradients::OutputOf take the same `run`
//   next     inside.cpp; then rollout.h, integrated_gradients.h, logit_lens.h, activation_patching.h
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "nn/autograd/hook.h"
#include "nn/layers/transformer.h"

// A layer between the last stream and the outputs: x -> activation(norm(x) W + b).
enum class Nonlinearity { none, tanh, gelu };
struct HeadLayer {
    bool normed = false;               // without it x goes in as it is
    Norm norm = {};
    NormKind kind = NormKind::layer;
    float eps = 1e-5f;
    Linear linear = {};                // (in, out)
    Nonlinearity nonlinearity = Nonlinearity::none;
};

// One stack of blocks of a model, and what follows it.
struct Inside {
    std::string stack = {};            // how hooks call it, see hook.h; "" in a model with one stack
    std::vector<Block> blocks;         // L of them: the model's own weights, not copies
    BlockOptions options;              // H, eps, where the norms stand
    std::vector<HeadLayer> head = {};  // from a row of r_L to its outputs; empty for an encoder without outputs of its own

    // "query" -> "encoder query"
    std::string step(const std::string& name) const { return stack.empty() ? name : stack + " " + name; }
};

// Of a language model: logits = norm(r_L) words^T, with the kind and eps of the blocks' norms.
//   last   nothing with Order::post, whose last block ends in a norm
//   words  (V, E)  the output matrix; a copy is kept
Inside inside_of(std::vector<Block> blocks, const BlockOptions& options, const Norm& last, const Var& words);

// What a model would say if this were its last stream, row by row: (rows, E) -> (rows, K).
//   throws  std::invalid_argument when the stack has no outputs
Matrix outputs_of(const Matrix& stream, const Inside& inside);

// One output: row and column of what the run returns. A classifier has one row for each sequence, which it reads from the first
// token; a language model one for each token.
struct Asked {
    int row = 0;
    int column = 0;
};

// What one run has shown. All are copies: they have no gradients and no past.
struct Inspection {
    Matrix outputs;                 // (rows, K)  what the run has returned
    std::vector<Asked> asked;
    StackSteps steps;               // every step of every block
    std::vector<Matrix> streams;    // L + 1 of (n, E)     r_0 ... r_L
    std::vector<Matrix> weights;    // L of (B*H*T, T)     A_l, head below head, sequence below sequence
    std::vector<Matrix> gradients;  // L of (B*H*T, T)     d (sum of what was asked) / d A_l; none where nothing was asked
};

// Runs the model once, under a hook.
//   run     a forward pass; what it returns are the outputs
//   asked   the outputs whose gradient is wanted; of different sequences several may be asked at once
//   throws  std::invalid_argument when the run never came through this stack, or there is no such output
Inspection follow(const std::function<Var()>& run, const Inside& inside, const std::vector<Asked>& asked = {});
