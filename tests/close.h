// close.h: do two matrices agree, and do gradients agree with slopes?
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

// "" when ours agrees, else what differs: the shape, or the first element with both values, and how many elements of how many.
std::string difference(const Matrix& ours, const Matrix& golden, Tolerance tolerance = {});
bool agrees(float ours, float golden, Tolerance tolerance = {});

// How much of what the tolerance allows was used, by the element that used most: |ours - golden| / (absolute + relative |golden|).
// At most 1 where all agree; infinity where a NaN or an infinity does not agree, or a shape.
struct Share {
    double share = 0;
    int row = 0, col = 0;  // of that element
};
Share largest_share(const Matrix& ours, const Matrix& golden, Tolerance tolerance = {});

// One assertion for two matrices of any origin.
void check_close(const std::string& step, const Matrix& ours, const Matrix& golden, Tolerance tolerance = {},
                 Where where = Where::current());

// One assertion that there is nothing to complain of, reported at the line of the test that asked for it.
void check_none(const std::string& complaint, const Where& where);

// "" when the gradients of an operation agree with differences, else where they do not: every number of every
// input is moved a little to both sides.
//   function   makes a Var from the inputs; a result that is not (1, 1) is summed with fixed weights that differ in every element
//   inputs     where to look; keep away from corners such as relu at 0
//   agrees     when |gradient - slope| <= 2e-3 + 2e-3 |slope| everywhere; two passes backward are made, which must add up to twice that
std::string slope_difference(const std::function<Var(const std::vector<Var>&)>& function, const std::vector<Matrix>& inputs);

// One assertion of the same.
void check_gradient_by_differences(const std::function<Var(const std::vector<Var>&)>& function, const std::vector<Matrix>& inputs,
                                   Where where = Where::current());

// A loop over more than 65,535 numbers is shared out to threads in ranges. One assertion that each range does its own part: the value
// and the gradient of 1100 rows of 100 numbers at once are those of seven rows at a time, which are a single range.
//   function   row by row: (n, 100) -> (n, m); `first` is the number of its first row among the 1100
void check_rows_alike(const std::string& name, const std::function<Var(const Var& rows, int first)>& function,
                      Where where = Where::current());
