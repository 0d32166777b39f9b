// inside.h: the layout of a model (blocks, residual stream, output head), and one run of it with all recorded values.
//
//   shows    that interpretation needs the same of every model: attention weights, residual stream, attention heads, and the
//            output head. Each model describes its layout in one function, `inside(w, config)`:
//            vit, heads and mlm (BERT), gpt, llama, palm, bloom, galactica, biogpt, glm, gato; t5 and clip one for each stack
//   symbols  L blocks   H heads   n tokens of all sequences   E width   K outputs (classes, tokens of the vocabulary)
//            A_l attention weights of block l   r_l residual stream before block l, r_L after the last
//   use      const Inside inside = vit::inside(w, config);
//            const auto run = [&] { return vit::forward({image}, w, config).logits; };             // (1, K)
//            const Inspection trace = follow(run, inside, {{.row = 0, .column = 7}});                    // why class 7?
//            const Matrix map = rollout::token_relevance(trace, inside);                            // (1, n)  rollout.h
//            const Matrix early = outputs_of(trace.residual_streams[1], inside);                   // (n, K)  logit_lens.h
//            activation_patching::ForwardPass, integrated_gradients::OutputOf take the same `run`
//   next     inside.cpp; then rollout.h, integrated_gradients.h, logit_lens.h, activation_patching.h
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "nn/autograd/hook.h"
#include "nn/layers/transformer.h"

// A layer between the final residual stream and the outputs: x -> activation(norm(x) W + b).
enum class Nonlinearity { none, tanh, gelu };
struct HeadLayer {
    bool normed = false;  // false: no norm
    Norm norm = {};
    NormKind kind = NormKind::layer;
    float eps = 1e-5f;
    Linear linear = {};  // (in, out)
    Nonlinearity nonlinearity = Nonlinearity::none;
};

// One stack of blocks of a model, and its output head.
struct Inside {
    std::string stack = {};            // its name in hooks, see hook.h; "" in a model with one stack
    std::vector<Block> blocks;         // L of them: the model's own weights, not copies
    BlockOptions options;              // H, eps, order of the norms
    std::vector<HeadLayer> head = {};  // from a row of r_L to its outputs; empty for an encoder without outputs

    // "query" -> "encoder query"
    std::string step(const std::string& name) const { return stack.empty() ? name : stack + " " + name; }
};

// Inside of a language model: logits = norm(r_L) output_matrix^T, with the kind and eps of the blocks' norms.
//   last   empty with Order::post, whose last block ends in a norm
//   output_matrix  (V, E); a copy is kept
Inside inside_of(std::vector<Block> blocks, const BlockOptions& options, const Norm& last, const Var& output_matrix);

// Applies the output head to a residual stream, row by row: (rows, E) -> (rows, K).
//   throws  std::invalid_argument when the stack has no output head
Matrix outputs_of(const Matrix& stream, const Inside& inside);

// One output: row and column of the matrix that the run returns. A classifier returns one row per sequence, computed from the
// first token; a language model one row per token.
struct Asked {
    int row = 0;
    int column = 0;
};

// Values recorded in one run. All are copies, detached from the tape.
struct Inspection {
    Matrix outputs;  // (rows, K)  the result of the run
    std::vector<Asked> asked;
    StackSteps steps;                      // every step of every block
    std::vector<Matrix> residual_streams;  // L + 1 of (n, E)     r_0 ... r_L
    std::vector<Matrix> weights;           // L of (B*H*T, T)     A_l, heads stacked within sequences, sequences stacked
    std::vector<Matrix> gradients;         // L of (B*H*T, T)     d (sum of the asked outputs) / d A_l; empty if none was asked
};

// Runs the model once, under a hook.
//   run     a forward pass that returns the outputs
//   asked   outputs whose gradient is computed; several only if they belong to different sequences
//   throws  std::invalid_argument when the run does not use this stack, or an asked output does not exist
Inspection follow(const std::function<Var()>& run, const Inside& inside, const std::vector<Asked>& asked = {});
