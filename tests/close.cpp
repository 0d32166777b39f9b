#include "tests/close.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "nn/base/random.h"

void check_none(const std::string& complaint, const Where& where) {
    if (complaint.empty())
        CHECK(complaint.empty());
    else
        ADD_FAIL_CHECK_AT(where.file_name(), static_cast<int>(where.line()), complaint);
}

// Enough digits to distinguish any two floats.
static std::string digits(double number) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.9g", number);
    return buffer;
}

bool agrees(float ours, float golden, Tolerance tolerance) {
    if (ours == golden) return true;  // also infinities of the same sign
    return std::abs(ours - golden) <= tolerance.absolute + tolerance.relative * std::abs(golden) && std::isfinite(golden);
}

Share largest_share(const Matrix& ours, const Matrix& golden, Tolerance tolerance) {
    const double infinity = std::numeric_limits<double>::infinity();
    if (!same_shape(ours, golden)) return {.share = infinity};
    Share largest;
    for (int i = 0; i < ours.rows; ++i)
        for (int j = 0; j < ours.cols; ++j) {
            const double x = ours(i, j), y = golden(i, j);
            if (x == y) continue;  // also infinities of the same sign
            const bool both_finite = std::isfinite(x) && std::isfinite(y);
            const double share =
                both_finite ? std::abs(x - y) / (tolerance.absolute + static_cast<double>(tolerance.relative) * std::abs(y))
                            : infinity;
            if (share > largest.share) largest = {share, i, j};
        }
    return largest;
}

std::string difference(const Matrix& ours, const Matrix& golden, Tolerance tolerance) {
    if (!same_shape(ours, golden)) return "ours is " + shape(ours) + ", golden " + shape(golden);
    int count = 0, first_row = 0, first_col = 0, worst_row = 0, worst_col = 0;
    double worst = -1;
    for (int i = 0; i < ours.rows; ++i)
        for (int j = 0; j < ours.cols; ++j) {
            if (agrees(ours(i, j), golden(i, j), tolerance)) continue;
            const double distance = std::abs(static_cast<double>(ours(i, j)) - golden(i, j));
            if (count++ == 0) first_row = i, first_col = j;
            if (distance > worst) worst = distance, worst_row = i, worst_col = j;
        }
    if (count == 0) return "";
    std::string words = "element (" + text(first_row) + ", " + text(first_col) + ") of " + shape(ours) + ": ours " +
                        digits(ours(first_row, first_col)) + ", golden " + digits(golden(first_row, first_col)) + "; " +
                        text(count) + " of " + text(ours.size()) + " differ";
    if (worst > 0) words += ", the most by " + digits(worst) + " at (" + text(worst_row) + ", " + text(worst_col) + ")";
    return words;
}

void check_close(const std::string& step, const Matrix& ours, const Matrix& golden, Tolerance tolerance, Where where) {
    const std::string differs = difference(ours, golden, tolerance);
    check_none(differs.empty() ? "" : step + ": " + differs, where);
}

// sum of weight * result, in double, so that the finite differences are not lost in rounding
static double weighted_sum(const Matrix& result, const Matrix& weights) {
    double sum = 0;
    for (std::size_t k = 0; k < result.size(); ++k) sum += static_cast<double>(result.begin()[k]) * weights.begin()[k];
    return sum;
}

namespace {
// The same as a recorded operation, independent of the operations under test.
struct WeightedSum : Record {
    Matrix weights;
};
}  // namespace
static void weighted_sum_backward(Record& record) {
    Matrix contribution = static_cast<WeightedSum&>(record).weights;
    for (float& x : contribution) x *= record.gradient(0, 0);
    add_gradient(record.inputs[0], std::move(contribution));
}
static Var weighted_sum(const Var& result, const Matrix& weights) {
    WeightedSum* const kept = new WeightedSum;
    kept->weights = weights;
    Matrix value(1, 1, static_cast<float>(weighted_sum(result.value(), weights)));
    return record_operation(kept, "weighted_sum", std::move(value), {result}, weighted_sum_backward, Where::current());
}

std::string gradient_difference(const std::function<Var(const std::vector<Var>&)>& function, const std::vector<Matrix>& inputs) {
    std::vector<Var> vars;
    for (const Matrix& input : inputs) vars.push_back(parameter(input));

    Matrix weights;
    for (int pass = 0; pass < 2; ++pass) {  // the second pass must add to existing gradients
        const Tape tape;
        const Var result = function(vars);
        Random random(20);
        weights = result.value().size() == 1 ? Matrix{{1}} : uniform_matrix(random, result.rows(), result.cols(), 0.5f, 1.5f);
        backward(weighted_sum(result, weights));
    }

    const NoTape no_tape;
    const float h = 0.02f;  // four points: the error of the derivative is of order h^4
    for (std::size_t n = 0; n < vars.size(); ++n) {
        Matrix slopes(inputs[n].rows, inputs[n].cols);
        for (std::size_t k = 0; k < slopes.size(); ++k) {
            float& x = vars[n].value().begin()[k];
            const float here = x;
            double at[4];
            const float steps[4] = {-2 * h, -h, h, 2 * h};
            for (int s = 0; s < 4; ++s) {
                x = here + steps[s];
                at[s] = weighted_sum(function(vars).value(), weights);
            }
            x = here;
            slopes.begin()[k] = static_cast<float>((at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h));
        }
        Matrix gradient = vars[n].gradient().empty() ? Matrix(slopes.rows, slopes.cols) : vars[n].gradient();
        for (float& g : gradient) g /= 2;
        const std::string differs = difference(gradient, slopes, {2e-3f, 2e-3f});
        if (!differs.empty()) return "gradient of input " + text(n) + " (golden: slope by differences): " + differs;
    }
    return "";
}

void check_gradient_by_differences(const std::function<Var(const std::vector<Var>&)>& function, const std::vector<Matrix>& inputs,
                                   Where where) {
    check_none(gradient_difference(function, inputs), where);
}

void check_rows_alike(const std::string& name, const std::function<Var(const Var& rows, int first)>& function, Where where) {
    const int rows = 1100, cols = 100, at_once = 7;
    Random random(21);
    const Matrix x = normal_matrix(random, rows, cols);
    const Var all = parameter(x);
    Matrix result, weights;
    {
        const Tape tape;
        const Var y = function(all, 0);
        result = y.value();
        weights = uniform_matrix(random, result.rows, result.cols, 0.5f, 1.5f);
        backward(weighted_sum(y, weights));
    }
    for (int first = 0; first < rows; first += at_once) {
        const int count = first + at_once <= rows ? at_once : rows - first;
        const Var some = parameter(slice_rows(x, first, count));
        const Tape tape;
        const Var y = function(some, first);
        const std::string value = difference(slice_rows(result, first, count), y.value());
        backward(weighted_sum(y, slice_rows(weights, first, count)));
        const std::string gradient = difference(slice_rows(all.gradient(), first, count), some.gradient());
        if (!value.empty() || !gradient.empty())
            return check_none(name + ", rows " + text(first) +
                                  " and on (golden: seven rows at a time): " + (value.empty() ? "gradient, " + gradient : value),
                              where);
    }
    check_none("", where);
}
