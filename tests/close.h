// close.h: compare two matrices, and gradients with finite differences.
//
//   rule   |ours - golden| <= 1e-5 + 1e-4 |golden|, element by element; NaN never agrees, equal infinities do
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "nn/autograd/variable.h"
#include "tests/test.h"

struct Tolerance {
    float absolute = 1e-5f;
    float relative = 1e-4f;
};

// "" when ours agrees, else the difference: the shapes, or the first element with both values, and how many elements differ.
std::string difference(const Matrix& ours, const Matrix& golden, Tolerance tolerance = {});
bool agrees(float ours, float golden, Tolerance tolerance = {});

// The fraction of the tolerance that was used, by the worst element: |ours - golden| / (absolute + relative |golden|). At most 1
// when all agree; infinity when a NaN, an infinity or the shape does not agree.
struct Share {
    double share = 0;
    int row = 0, col = 0;  // of that element
};
Share largest_share(const Matrix& ours, const Matrix& golden, Tolerance tolerance = {});

// One assertion for two matrices.
void check_close(const std::string& step, const Matrix& ours, const Matrix& golden, Tolerance tolerance = {},
                 Where where = Where::current());

// One assertion that `complaint` is empty, reported at the given line of the test.
void check_none(const std::string& complaint, const Where& where);

// "" when the gradients of an operation agree with finite differences of every input number, else where they do not.
//   function   computes a Var from the inputs; a result that is not (1, 1) is summed with fixed weights, different for every
//              element
//   inputs     where to differentiate; avoid kinks such as relu at 0
//   agrees     when |gradient - difference| <= 2e-3 + 2e-3 |difference| everywhere; two backward passes are made, which must
//              accumulate
std::string gradient_difference(const std::function<Var(const std::vector<Var>&)>& function, const std::vector<Matrix>& inputs);

// The same as one assertion.
void check_gradient_by_differences(const std::function<Var(const std::vector<Var>&)>& function, const std::vector<Matrix>& inputs,
                                   Where where = Where::current());

// A loop over more than 65,535 numbers runs on several threads in ranges. One assertion that every range is right: value and
// gradient of 1100 rows of 100 numbers at once equal those of seven rows at a time, which are a single range.
//   function   row by row: (n, 100) -> (n, m); `first` is the number of its first row among the 1100
void check_rows_alike(const std::string& name, const std::function<Var(const Var& rows, int first)>& function,
                      Where where = Where::current());
