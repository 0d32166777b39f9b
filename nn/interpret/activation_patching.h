// activation_patching.h: replace one activation of a run by that of another run, and see how much of the answer comes along.
//
//   papers   Meng et al., "Locating and Editing Factual Associations in GPT" (ROME), 2022, arXiv 2202.05262 (causal tracing)
//            Wang et al., "Interpretability in the Wild", 2022, arXiv 2211.00593 (path patching)
//            the sweeps over all places as in the code of TransformerLens 1.9
//   shows    that attention shows where a model looks and a probe what can be read, but only an intervention what is used
//   symbols  B prompts of T tokens   L blocks   H heads   D head width   clean, corrupted  two runs that differ in one fact
//   differs  nothing here knows a model: a Run gives logits, and nn/autograd/hook.h finds the places in it
//   neighbour  integrated_gradients.h computes what an input contributed; here an activation is replaced, and the run is made
//             again
//   next     activation_patching.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/autograd/hook.h"

namespace activation_patching {

// A model with its input: a forward pass that can be repeated.
class Run {
public:
    virtual Var logits() = 0;  // (B*T, V)
    virtual ~Run() = default;
};

// What is kept of a run: all steps, as they were, and its logits.
struct Kept {
    std::map<std::pair<int, std::string>, Matrix> steps;
    Matrix logits;  // (B*T, V)

    const Matrix& step(int block, const std::string& name) const;
};
Kept record(Run& run);

// Which numbers of a step: some rows, some columns.
struct Place {
    int block = 0;
    std::string step;            // "input", "after_attention", "attention_output", "mlp_output", "context", "query", "weights", ...
    std::vector<int> rows = {};  // empty = all
    int first_col = 0;
    int cols = 0;                // 0 = all
};

// While it lives, these places hold the numbers of another run. Everything computed from them follows.
class Patch : public Hook {
public:
    Patch(std::vector<Place> places, const Kept& from) : places(std::move(places)), from(from) {}
    Var at(const StepPlace& step, const Var& value) override;

private:
    std::vector<Place> places;
    const Kept& from;
};

// --- the places of a model ---

struct Sizes {
    int sequences, length;  // B, T
    int depth, heads;       // L, H
};
// Token t of every sequence, in the rows of a stream.
std::vector<int> rows_of_token(const Sizes& sizes, int token);
// One head's columns of "query", "key", "value" or "context"; for "weights" its rows. token -1 = all tokens.
//   width  of that step
Place head_place(const Sizes& sizes, const std::string& step, int block, int head, int width, int token = -1);

// --- the metric ---

// How much of the answer is there: 0 as in the corrupted run, 1 as in the clean one.
struct Metric {
    std::vector<int> right, wrong;  // B tokens each
    int length;                     // T
    double clean = 0, corrupted = 0;  // mean over B of logit(right) - logit(wrong) at the last token

    std::vector<float> differences(const Matrix& logits) const;  // B
    Var mean_difference(const Var& logits) const;                // (1, 1)
    float of(const Matrix& logits) const;                        // (mean difference - corrupted) / (clean - corrupted)
};
Metric make_metric(const std::vector<int>& right, const std::vector<int>& wrong, int length, const Kept& clean, const Kept& corrupted);

// --- sweeps ---

// The metric of `base` with one place patched from `from`: block by token, (L, T), for steps of the residual stream; block by head,
// (L, H), a head at all tokens; block by token and head, (L*T, H).
Matrix sweep_tokens(Run& base, const Kept& from, const std::string& step, const Sizes& sizes, const Metric& metric);
Matrix sweep_heads(Run& base, const Kept& from, const std::string& step, const Sizes& sizes, const Metric& metric);
Matrix sweep_heads_and_tokens(Run& base, const Kept& from, const std::string& step, const Sizes& sizes, const Metric& metric);

// --- path patching ---

// Where the effect of a head is looked for.
struct Receiver {
    int block = -1, head = -1;  // the query of this head; -1: the last stream
};
// The metric of the clean run when the receiver gets, at the last token, what it would get had one head written its corrupted
// output there, while no other head reacts: queries, keys and values below the receiver stay clean. MLPs recompute unless frozen.
//   returns  (senders' blocks, H): all L blocks, or those below the receiver's
Matrix path_patching(Run& clean_run, const Kept& clean, const Kept& corrupted, Receiver receiver, bool mlps_frozen, const Sizes& sizes,
                     const Metric& metric);

// --- causal tracing ---

// Mean probability of `answer` at the last token of noisy copies, when one place is restored to the clean value.
//   copies      S copies of the prompt, run with the noise (NoiseOnWords lives)
//   clean       the run of the prompt alone: its values are put into every copy
//   step        "output": of that block alone; "mlp_output", "attention_output": of a window of blocks around it
//   returns     (T, L)
Matrix causal_trace(Run& copies, const Kept& clean, const std::string& step, int window, int answer, const Sizes& sizes);

// While it lives, noise is added to the word embeddings of tokens begin, begin + 1, ... of each copy, before positions.
//   noise   (S * tokens, E), already scaled
class NoiseOnWords : public Hook {
public:
    NoiseOnWords(Matrix noise, int begin, int length) : noise(std::move(noise)), begin(begin), length(length) {}
    Var at(const StepPlace& step, const Var& value) override;

private:
    Matrix noise;
    int begin, length;
};

// --- all places at once, to first order ---

// For every block, the gradient of the metric with respect to its input in the corrupted run, (B*T, E).
std::vector<Matrix> gradients_of_inputs(Run& corrupted_run, const Sizes& sizes, const Metric& metric);
// (L, T): sum over sequences and features of (clean - corrupted) * gradient: what patching would give if the model were linear.
Matrix gradient_patch(const std::vector<Matrix>& gradients, const Kept& clean, const Kept& corrupted, const Sizes& sizes);

}  // namespace activation_patching
