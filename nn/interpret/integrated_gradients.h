// integrated_gradients.h: the contribution of each input number to an output, such that the contributions add up to it.
//
//   paper    Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017, arXiv 1703.01365, Eq. 3 and section 5
//   equations [IG 3]
//   shows    that the gradient at x tells only the effect of a small change: so gradients are averaged along the straight line
//            from an uninformative input (the baseline) to x
//   symbols  B groups of rows (sequences, images), each with one output F   x input, b baseline (both (rows, E))   n points on the line
//            alpha_k a point, w_k its weight
//   differs  from captum: `trapezoid` is the trapezoidal rule; captum's, whose weights add up to (n-1)/n, is `trapezoid_as_published`
//   neighbour  rollout.h uses attention weights; here gradients along a path from a baseline are summed
//   note     F of a group must depend on the rows of that group only: then all groups run as one batch.
//   next     integrated_gradients.cpp, then its walkthrough
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "nn/autograd/hook.h"

namespace integrated_gradients {

// The output to explain: one number for each group of rows of x.
class Output {
public:
    virtual Var of(const Var& x) = 0;  // (rows, E) -> (B, 1)
    virtual ~Output() = default;
};

// While it exists, replaces a step before the first block by x, which makes an Output of any model. The step is
// "token_embeddings" in every language model; "embeddings", the sum with positions, in BERT, Gato and T5's encoder; "patches" in
// a ViT.
// In a model with several stacks the name of the stack precedes it: "text token_embeddings".
class InputAt : public Hook {
public:
    InputAt(std::string step, Var x) : name(std::move(step)), x(std::move(x)) {}
    Var at(const StepId& step, const Var& value) override;
    bool was_read() const { return read; }  // whether the run has come to the step

private:
    std::string name;
    Var x;
    bool read = false;
};

// One output of each group, or the difference of two, of any model of this project.
//   use  const auto run = [&] { return heads::classify_sequences(batch, w, config).logits; };
//        OutputOf output(run, "embeddings", rows, right, wrong);                    // logit(right) - logit(wrong) of each sentence
//        const Matrix x = input_of(run, "embeddings");                              // and the baseline from another run
class OutputOf : public Output {
public:
    //   run      a forward pass, which returns (rows, K); its own input fixes only the shapes
    //   step     where x is put in
    //   rows     of the outputs: one of each group
    //   columns  of each of these rows the output that is explained; `against`: the one that is subtracted, empty = none
    OutputOf(std::function<Var()> run, std::string step, std::vector<int> rows, std::vector<int> columns,
             std::vector<int> against = {});
    Var of(const Var& x) override;

private:
    std::function<Var()> run;
    std::string step;
    std::vector<int> rows, columns, against;
};

// What a run has at that step.
//   throws  std::invalid_argument, with the names of the steps that the run has before its blocks, when this is not one of them
Matrix input_of(const std::function<Var()>& run, const std::string& step);

// --- points on the line ---

enum class Rule {
    left,                    // alpha k / n
    right,                   // (k + 1) / n
    middle,                  // (k + 1/2) / n
    trapezoid_as_published,  // k / (n - 1), weights 1 / n, the two ends half: they add up to (n - 1) / n
    trapezoid,               // k / (n - 1), weights 1 / (n - 1), the two ends half
    gauss_legendre,          // roots of the Legendre polynomial P_n
};

struct Points {
    std::vector<double> alphas;   // n, from 0 to 1
    std::vector<double> weights;  // n
};
//   throws  std::invalid_argument for n below 1, or below 2 for a trapezoid
Points points(Rule rule, int n);

// --- attribution ---

struct Attribution {
    Matrix attributions;            // (rows, E)  (x - b) * sum of w_k dF/dz at z_k = b + alpha_k (x - b)
    std::vector<float> delta;       // B  sum of a group's attributions - (F(x) - F(b)): the error of the rule, above 0 = too much
    std::vector<Matrix> gradients;  // n of (rows, E)  at each point
    Matrix outputs;                 // (n, B)  F at each point
};
//   throws  std::invalid_argument when x and b differ in shape, or the groups do not divide the rows
Attribution attribute(Output& output, const Matrix& x, const Matrix& baseline, const Points& points, int groups);

// F of every group, and dF / dx: (B, 1) and (rows, E).
struct ValueAndGradient {
    Matrix output;
    Matrix gradient;
};
ValueAndGradient gradient_at(Output& output, const Matrix& x);

// --- summaries ---

// The sum of each row, one number per token or patch: (rows, 1); and the same divided by the Euclidean norm over each group.
Matrix row_totals(const Matrix& attributions);
Matrix normalised_totals(const Matrix& attributions, int groups);

}  // namespace integrated_gradients
