// formula.h: how one element of a result follows from the elements that it was computed from, as a formula that can be computed
// again, term by term, and shown.
//
//   use      static Explained matmul_explained(const Record&, const std::vector<Var>&) {
//                return {"sum(k, cols(a), a(i,k) * b(k,j))", {"sum(k, cols(y), dy(i,k) * b(j,k))", "sum(k, rows(y), a(k,i) * dy(k,j))"}};
//            }
//   formula  a(i,j), b(i,j), c(i,j) are elements of inputs 0, 1 and 2, input(n,i,j) of input n; y(i,j) of the result, dy(i,j) of its
//            gradient; rows(a), cols(y) are sizes. i and j are the row and the column that is asked for; in a gradient p is the number of
//            the input. + - * / and brackets; < <= == are 1 or 0. exp log sqrt tanh erf abs floor min max;
//            sum(k, n, f): f for k = 0 ... n-1, added up;  let(m, f, g): g, in which m is f;  if(q, f, g): f where q is not 0, else g
//            Other names are tables that the operation kept: factor, index(i).
//   note     Everything is computed in double from the floats that are there, so it agrees with them up to their rounding.
//   next     trace.h keeps whole runs with their formulas
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nn/autograd/variable.h"

// The explanation of an operation, next to its forward and backward.
struct Explained {
    std::string value;                        // y(i,j)
    std::vector<std::string> gradients = {};  // what the operation adds to the gradient of each input at (i,j); the last
                                              // one counts for all inputs that follow; "" where none flows
    bool broadcast = false;                   // inputs with a single row or column are broadcast
    std::map<std::string, std::vector<float>> tables = {};
};

// A parsed formula.
struct Formula {
    // number; name (a variable, or a table of one number); call: op(arguments), where element accesses are calls too
    enum class Kind { number, name, call };
    Kind kind = Kind::number;
    double number = 0;
    std::string name = {};  // of the variable or the function; "+", "-", "*", "/", "<", "<=", "==", "negative"
    std::vector<Formula> arguments = {};
};

//   throws  std::invalid_argument with the position where it cannot be parsed
Formula parse_formula(std::string_view words);

// The matrices and settings from which a formula is evaluated.
struct Facts {
    std::vector<const Matrix*> inputs;  // nullptr: an absent input
    const Matrix* value = nullptr;
    const Matrix* gradient = nullptr;
    const Explained* explained = nullptr;
};

// The formula for what flows into the gradient of one input: summed over all elements that read element (i, j) where it was
// broadcast. "" when no gradient flows.
std::string gradient_formula(const Explained& explained, const Facts& facts, int input);

// Element (i, j) as the formula gives it.   input  the variable p
//   throws  std::invalid_argument for a name that is not known, or an element outside its matrix
double evaluate(const Formula& formula, const Facts& facts, int i, int j, int input = 0);

// The formula with its numbers, one sum written out: "0.31 * -0.2 + 0.5 * 1.1 + ... (6 more)".   most  terms that are written out
std::string written_out(const Formula& formula, const Facts& facts, int i, int j, int input = 0, int most = 12);

// ["sum", "k", ["cols", "a"], ...]: for the page of a trace.
std::string formula_json(const Formula& formula);
