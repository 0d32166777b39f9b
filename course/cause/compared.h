// compared.h: two matrices of one shape, where they differ, and what else is known.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/base/matrix.h"

// What a guess may use besides the two matrices.
struct Known {
    std::map<std::string, double> sizes;   // numbers from which a factor may be formed: "head width" -> 8
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
    // How many distinct numbers, ours or expected, differ by so much (twenty times what fits() allows) that agreement with a
    // guess is not accidental. The same pair 500 times counts once; a mask of 0 and 1 has at most two.
    int evidence = 0;
    int distinct = 0;  // distinct pairs that differ at all
};

// Whether two numbers agree, one of them right, as in all tests: |ours - expected| <= 1e-5 + 1e-4 |expected|; NaN never agrees,
// equal infinities do
bool agree(float ours, float expected);

// Whether two numbers agree up to rounding: |a - b| <= 3e-6 + 1e-4 |b|
bool fits(double a, double b);
bool fits(const Matrix& a, const Matrix& b);  // all of them, and the shape

// Four digits: "2.828", "0.01", "-1"
std::string short_number(double number);

// A factor as an expression of the sizes: "2.828 = sqrt(head width), head width = 8"; "" if no expression fits.
//   relative  the relative accuracy of the factor
std::string named_factor(double factor, const std::map<std::string, double>& sizes, double relative = 5e-5);
// The same, or only the number.
std::string factor_text(double factor, const std::map<std::string, double>& sizes);
