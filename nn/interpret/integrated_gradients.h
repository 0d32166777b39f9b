// integrated_gradients.h: how much each input number has contributed to an output, such that the contributions add up to it.
//
//   paper    Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017, arXiv 1703.01365, Eq. 1 and section 5
//   shows    that the gradient at x says what the next small step does, not what got you here: so the gradients are added up along
//            the straight line from an input that means nothing (the baseline) to x
//   symbols  B groups of rows (sequences, images), each with one output F   x input, b baseline (both (rows, E))   n points on the line
//            alpha_k a point, w_k its weight
//   differs  from captum: `trapezoid` is the trapezoidal rule; captum's, whose weights add up to (n-1)/n, is `trapezoid_as_published`
//   neighbour  rollout.h asks the attention weights; here the gradients along a path from a baseline are summed
//   note     Rows of different groups must not touch one another in F: then all groups, and all points, may run as one batch.
//   next     integrated_gradients.cpp, then its walkthrough
#pragma once
#include <string>
#include <vector>

#include "nn/autograd/hook.h"

namespace integrated_gradients {

// What is explained: one number for each group of rows of x.
class Output {
public:
    virtual Var of(const Var& x) = 0;  // (rows, E) -> (B, 1)
    virtual ~Output() = default;
};

// Puts x in place of a step before the first block ("words", "embeddings", "patches") while it lives: so any model of the house
// becomes an Output.
class InputAt : public Hook {
public:
    InputAt(std::string step, Var x) : name(std::move(step)), x(std::move(x)) {}
    Var at(const StepPlace& step, const Var& value) override { return step.is(name) ? x : value; }

private:
    std::string name;
    Var x;
};

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
    Matrix attributions;           // (rows, E)  (x - b) * sum of w_k dF/dz at z_k = b + alpha_k (x - b)
    std::vector<float> delta;      // B  sum of a group's attributions - (F(x) - F(b)): the error of the rule, above 0 = too much
    std::vector<Matrix> gradients;  // n of (rows, E)  at each point
    Matrix outputs;                // (n, B)  F at each point
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

// The sum of each row, one number a token or patch: (rows, 1); and divided by the length of all of a group's.
Matrix row_totals(const Matrix& attributions);
Matrix normalised_totals(const Matrix& attributions, int groups);

}  // namespace integrated_gradients
