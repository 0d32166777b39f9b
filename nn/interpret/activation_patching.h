// activation_patching.h: replace an activation of one run by that of another, and measure how much of the answer it restores.
//
//   papers   Meng et al., "Locating and Editing Factual Associations in GPT" (ROME), 2022, arXiv 2202.05262 (causal tracing)
//            Wang et al., "Interpretability in the Wild", 2022, arXiv 2211.00593 (path patching)
//            the sweeps over all sites as in the code of TransformerLens 1.9
//   shows    that attention weights show where a model looks and a probe what can be read off, but only an intervention shows
//            what is used
//   symbols  B prompts of T tokens   L blocks   H heads   D head width   clean, corrupted  two runs that differ in one fact
//   differs  independent of the model: a Run gives logits, and nn/autograd/hook.h replaces steps
//   neighbour  integrated_gradients.h computes the contribution of each input; here an activation is replaced and the run repeated
//   use      for a model of this project: ForwardPass, and sizes_of() its Inside
//   next     activation_patching.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/interpret/inside.h"

namespace activation_patching {

// A model with its input: a forward pass that can be repeated.
class Run {
public:
    virtual Var logits() = 0;  // (B*T, V)
    virtual ~Run() = default;
};

// Any forward pass as a Run: ForwardPass clean([&] { return gpt::forward(ids, T, w, config).logits; });
class ForwardPass : public Run {
public:
    // throws  std::invalid_argument without a run
    explicit ForwardPass(std::function<Var()> run);
    Var logits() override { return run(); }

private:
    std::function<Var()> run;
};

// All steps of a run, and its logits.
struct Kept {
    std::map<std::pair<int, std::string>, Matrix> steps;
    Matrix logits;  // (B*T, V)

    // By its full name, block -1 for what comes before the blocks.   throws std::invalid_argument with the names that the block has
    const Matrix& step(int block, const std::string& name) const;
};
Kept record(Run& run);

// A part of a step: some rows, some columns.
struct Site {
    int block = 0;
    std::string step;  // its full name, see hook.h: "input", "after_attention", "attention_output", "mlp_output", "context",
                       // "query", "weights"; "decoder cross query"; ...
    std::vector<int> rows = {};  // empty = all
    int first_col = 0;
    int cols = 0;  // 0 = all
};

// While it exists, these sites have the values of another run; the rest of the run is computed from them.
class Patch : public Hook {
public:
    // throws  std::invalid_argument for a site that the other run has not kept: it would never be patched
    Patch(std::vector<Site> sites, const Kept& from);
    Var at(const StepId& step, const Var& value) override;

private:
    std::vector<Site> sites;
    const Kept& from;
};

// --- the sites of a model: where an activation can be patched ---

struct Sizes {
    int sequences, length;   // B, T
    int depth, heads;        // L, H
    std::string stack = {};  // of a model with several, see inside.h: the sweeps below look for their steps in it

    std::string step(const std::string& name) const { return stack.empty() ? name : stack + " " + name; }
};
Sizes sizes_of(const Inside& inside, int sequences, int length);
// The rows of token t of every sequence, in the residual stream.
std::vector<int> rows_of_token(const Sizes& sizes, int token);
// One head's columns of "query", "key", "value" or "context"; for "weights" its rows. token -1 = all tokens.
//   step   without the name of the stack
//   width  of that step
Site head_site(const Sizes& sizes, const std::string& step, int block, int head, int width, int token = -1);

// --- the metric ---

// The normalised logit difference: 0 in the corrupted run, 1 in the clean run.
struct Metric {
    std::vector<int> right, wrong;    // B tokens each
    int length;                       // T
    double clean = 0, corrupted = 0;  // mean over B of logit(right) - logit(wrong) at the last token

    std::vector<float> differences(const Matrix& logits) const;  // B
    Var mean_difference(const Var& logits) const;                // (1, 1)
    float of(const Matrix& logits) const;                        // (mean difference - corrupted) / (clean - corrupted)
};
Metric make_metric(const std::vector<int>& right, const std::vector<int>& wrong, int length, const Kept& clean,
                   const Kept& corrupted);

// --- sweeps ---

// The metric of `base` with one site patched from `from`: for each block and token, (L, T); for each block and head (at all
// tokens), (L, H); for each block, token and head, (L*T, H).
//   step    without the name of the stack; for tokens one with a row for each token, for heads "query", "key", "value", "context"
//           or "weights". A patched step is replaced as a whole: its other effects follow from it, nothing else is held
//   throws  std::invalid_argument when `from` has no such step in a block, when the step has other rows than `sizes` says, or no
//           heads, or heads share its columns (keys and values of grouped-query attention)
Matrix sweep_tokens(Run& base, const Kept& from, const std::string& step, const Sizes& sizes, const Metric& metric);
Matrix sweep_heads(Run& base, const Kept& from, const std::string& step, const Sizes& sizes, const Metric& metric);
Matrix sweep_heads_and_tokens(Run& base, const Kept& from, const std::string& step, const Sizes& sizes, const Metric& metric);

// --- path patching ---

// Where the direct effect of a head is measured.
struct Receiver {
    int block = -1, head = -1;  // the query of this head; -1: the final residual stream
};
// The metric of the clean run when one head (the sender) writes its corrupted output at the last token and only the receiver
// reacts to it: queries, keys and values below the receiver stay clean. MLPs are recomputed unless frozen.
//   returns  (blocks of senders, H): all L blocks, or those below the receiver's
Matrix path_patching(Run& clean_run, const Kept& clean, const Kept& corrupted, Receiver receiver, bool mlps_frozen,
                     const Sizes& sizes, const Metric& metric);

// --- causal tracing ---

// Mean probability of `answer` at the last token of noisy copies, with one site restored to its clean value.
//   copies      S copies of the prompt, run with noise (an EmbeddingNoise exists)
//   clean       the run of the single prompt, whose values are restored in every copy
//   step        "output": of one block; "mlp_output", "attention_output": of a window of blocks around it
//   returns     (T, L)
Matrix causal_trace(Run& copies, const Kept& clean, const std::string& step, int window, int answer, const Sizes& sizes);

// While it exists, adds noise to the word embeddings of tokens begin, begin + 1, ... of each copy, before positions are added.
//   noise   (S * tokens, E), already scaled
class EmbeddingNoise : public Hook {
public:
    EmbeddingNoise(Matrix noise, int begin, int length) : noise(std::move(noise)), begin(begin), length(length) {}
    Var at(const StepId& step, const Var& value) override;

private:
    Matrix noise;
    int begin, length;
};

// --- attribution patching: all sites at once, to first order ---

// For every block, the gradient of the metric with respect to its input in the corrupted run, (B*T, E).
std::vector<Matrix> gradients_of_inputs(Run& corrupted_run, const Sizes& sizes, const Metric& metric);
// (L, T): sum over sequences and features of (clean - corrupted) * gradient, the first-order approximation of patching.
Matrix gradient_patch(const std::vector<Matrix>& gradients, const Kept& clean, const Kept& corrupted, const Sizes& sizes);

}  // namespace activation_patching
