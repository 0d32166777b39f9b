// compared.h: two matrices of one shape, where they differ, and what is known besides.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/base/matrix.h"

// What a guess may use besides the two matrices.
struct Known {
    std::map<std::string, double> sizes;   // numbers that a factor may be made of: "head width" -> 8
    std::map<std::string, Matrix> others;  // other values by name: the steps, inputs and weights of the same fixture
};

struct Compared {
    const Matrix& ours;
    const Matrix& expected;
    const Known& known;
    std::vector<std::size_t> differing;  // element numbers, in order

    Compared(const Matrix& ours, const Matrix& expected, const Known& known);

    int row(std::size_t element) const { return static_cast<int>(element) / expected.cols; }
    int col(std::size_t element) const { return static_cast<int>(element) % expected.cols; }
    // How many different numbers, of ours and of the expected, are so far from each other that agreeing with a guess is no
    // accident (twenty times what fits() allows). The same pair 500 times is evidence only once; a mask of 0 and 1 never has more
    // than two.
    int evidence = 0;
    int distinct = 0;  // different pairs that differ, by however little
};

// Do two numbers agree, one of them right, as everywhere in the tests?  |ours - expected| <= 1e-5 + 1e-4 |expected|; NaN never agrees,
// equal infinities do
bool agree(float ours, float expected);

// Do two numbers agree, one of them computed from numbers that were rounded?  |a - b| <= 3e-6 + 1e-4 |b|
bool fits(double a, double b);
bool fits(const Matrix& a, const Matrix& b);  // all of them, and the shape

// Four digits: "2.828", "0.01", "-1"
std::string short_number(double number);

// A factor with its name, if the sizes have one for it: "2.828 = sqrt(head width), head width = 8"; "" when they have none.
//   relative  how well the factor is known
std::string named_factor(double factor, const std::map<std::string, double>& sizes, double relative = 5e-5);
// The same, or just the number.
std::string factor_text(double factor, const std::map<std::string, double>& sizes);
