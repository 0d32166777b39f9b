#include "nn/autograd/operations.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "nn/autograd/formula.h"
#include "nn/autograd/small_weights.h"
#include "nn/base/functions.h"
#include "nn/base/parallel.h"

// Each operation: the formula and its derivative, the backward function, both as expressions of nn/autograd/formula.h (for traces),
// the forward function.
// In a backward, y is the record of the result: y.value, y.gradient (dy), y.inputs.

// --- two inputs, element by element ---

namespace {
// Reads a matrix as if it were broadcast to a larger shape: the step along a single row or column is 0.
struct Broadcast {
    const Matrix& m;
    int row_step, col_step;

    explicit Broadcast(const Matrix& matrix) : m(matrix), row_step(m.rows == 1 ? 0 : m.cols), col_step(m.cols == 1 ? 0 : 1) {}
    const float* row(int i) const { return m.begin() + static_cast<std::size_t>(i) * row_step; }
};
}  // namespace

// z = f(a, b), element by element
template <float f(float, float)>
static Matrix combine(const char* name, const Matrix& a, const Matrix& b, Where where) {
    require((a.rows == b.rows || a.rows == 1 || b.rows == 1) && (a.cols == b.cols || a.cols == 1 || b.cols == 1), where, name,
            ": ", a, " and ", b, ", where the sizes differ one of them must be 1");
    Matrix z = Matrix::unset(a.rows == 1 ? b.rows : a.rows, a.cols == 1 ? b.cols : a.cols);
    if (same_shape(a, b)) {
        parallel_ranges(z.size(), grain_of_numbers, [&](std::size_t first, std::size_t last) {
            for (std::size_t k = first; k < last; ++k) z[k] = f(a[k], b[k]);
        });
        return z;
    }
    const Broadcast left(a), right(b);
    for (int i = 0; i < z.rows; ++i) {
        const float* const x = left.row(i);
        const float* const y = right.row(i);
        for (int j = 0; j < z.cols; ++j) z(i, j) = f(x[j * left.col_step], y[j * right.col_step]);
    }
    return z;
}

// Adds to the gradient of input number `which`: derivative(a, b, dz) at every element, summed where the input was broadcast.
template <float derivative(float a, float b, float dz)>
static void combine_backward(Record& z, int which) {
    Var& input = z.inputs[which];
    if (!input.requires_gradient()) return;
    const Matrix& dz = z.gradient;
    const Broadcast left(z.inputs[0].value()), right(z.inputs[1].value());
    const int row_step = input.rows() == 1 ? 0 : input.cols();
    const int col_step = input.cols() == 1 ? 0 : 1;
    Matrix contribution = Matrix::unset(input.rows(), input.cols());
    if (same_shape(input.value(), dz)) {
        parallel_ranges(dz.rows, grain_of_rows(dz.cols), [&](std::size_t first, std::size_t last) {
            for (int i = static_cast<int>(first); i < static_cast<int>(last); ++i) {
                const float* const a = left.row(i);
                const float* const b = right.row(i);
                for (int j = 0; j < dz.cols; ++j)
                    contribution(i, j) = derivative(a[j * left.col_step], b[j * right.col_step], dz(i, j));
            }
        });
        add_gradient(input, std::move(contribution));
        return;
    }
    std::vector<double> sums(contribution.size());
    for (int i = 0; i < dz.rows; ++i) {
        const float* const a = left.row(i);
        const float* const b = right.row(i);
        const std::size_t row = static_cast<std::size_t>(i) * row_step;
        for (int j = 0; j < dz.cols; ++j)
            sums[row + j * col_step] += derivative(a[j * left.col_step], b[j * right.col_step], dz(i, j));
    }
    for (std::size_t k = 0; k < sums.size(); ++k) contribution[k] = static_cast<float>(sums[k]);
    add_gradient(input, std::move(contribution));
}

// forward   z = a + b
// backward  da = dz,  db = dz
static float add_forward(float a, float b) { return a + b; }
static float add_derivative(float, float, float dz) { return dz; }

static void add_backward(Record& z) {
    for (int which = 0; which < 2; ++which) {
        if (same_shape(z.inputs[which].value(), z.value))
            add_gradient(z.inputs[which], z.gradient);
        else
            combine_backward<add_derivative>(z, which);
    }
}

static Explained add_explained(const Record&, const std::vector<Var>&) {
    return {.value = "a(i,j) + b(i,j)", .gradients = {"dy(i,j)"}, .broadcast = true};
}

Var add(const Var& a, const Var& b, Where where) {
    return record_operation("add", combine<add_forward>("add", a.value(), b.value(), where), {a, b},
                            {add_backward, add_explained}, where);
}

// forward   z = a - b
// backward  da = dz,  db = -dz
static float subtract_forward(float a, float b) { return a - b; }
static float subtract_derivative_b(float, float, float dz) { return -dz; }

static void subtract_backward(Record& z) {
    combine_backward<add_derivative>(z, 0);
    combine_backward<subtract_derivative_b>(z, 1);
}

static Explained subtract_explained(const Record&, const std::vector<Var>&) {
    return {.value = "a(i,j) - b(i,j)", .gradients = {"dy(i,j)", "-dy(i,j)"}, .broadcast = true};
}

Var subtract(const Var& a, const Var& b, Where where) {
    return record_operation("subtract", combine<subtract_forward>("subtract", a.value(), b.value(), where), {a, b},
                            {subtract_backward, subtract_explained}, where);
}

// forward   z = a b
// backward  da = dz b,  db = dz a
static float multiply_forward(float a, float b) { return a * b; }
static float multiply_derivative_a(float, float b, float dz) { return dz * b; }
static float multiply_derivative_b(float a, float, float dz) { return dz * a; }

static void multiply_backward(Record& z) {
    combine_backward<multiply_derivative_a>(z, 0);
    combine_backward<multiply_derivative_b>(z, 1);
}

static Explained multiply_explained(const Record&, const std::vector<Var>&) {
    return {.value = "a(i,j) * b(i,j)", .gradients = {"dy(i,j) * b(i,j)", "dy(i,j) * a(i,j)"}, .broadcast = true};
}

Var multiply(const Var& a, const Var& b, Where where) {
    return record_operation("multiply", combine<multiply_forward>("multiply", a.value(), b.value(), where), {a, b},
                            {multiply_backward, multiply_explained}, where);
}

// forward   z = a / b
// backward  da = dz / b,  db = -dz a / b^2
static float divide_forward(float a, float b) { return a / b; }
static float divide_derivative_a(float, float b, float dz) { return dz / b; }
static float divide_derivative_b(float a, float b, float dz) { return -dz * a / (b * b); }

static void divide_backward(Record& z) {
    combine_backward<divide_derivative_a>(z, 0);
    combine_backward<divide_derivative_b>(z, 1);
}

static Explained divide_explained(const Record&, const std::vector<Var>&) {
    return {.value = "a(i,j) / b(i,j)",
            .gradients = {"dy(i,j) / b(i,j)", "-dy(i,j) * a(i,j) / (b(i,j) * b(i,j))"},
            .broadcast = true};
}

Var divide(const Var& a, const Var& b, Where where) {
    return record_operation("divide", combine<divide_forward>("divide", a.value(), b.value(), where), {a, b},
                            {divide_backward, divide_explained}, where);
}

// forward   z = min(a, b), z = max(a, b); NaN where either is NaN (every comparison with NaN is false)
// backward  dz to the chosen input; half to each where both are equal
static float minimum_forward(float a, float b) { return a < b || a != a ? a : b; }
static float maximum_forward(float a, float b) { return a > b || a != a ? a : b; }
static float derivative_where_a_is_smaller(float a, float b, float dz) { return a < b ? dz : a == b ? dz / 2 : 0; }
static float derivative_where_b_is_smaller(float a, float b, float dz) { return b < a ? dz : a == b ? dz / 2 : 0; }

static void minimum_backward(Record& z) {
    combine_backward<derivative_where_a_is_smaller>(z, 0);
    combine_backward<derivative_where_b_is_smaller>(z, 1);
}

static void maximum_backward(Record& z) {
    combine_backward<derivative_where_b_is_smaller>(z, 0);
    combine_backward<derivative_where_a_is_smaller>(z, 1);
}

static Explained minimum_explained(const Record&, const std::vector<Var>&) {
    return {.value = "min(a(i,j), b(i,j))",
            .gradients = {"if(a(i,j) < b(i,j), dy(i,j), if(a(i,j) == b(i,j), dy(i,j) / 2, 0))",
                          "if(b(i,j) < a(i,j), dy(i,j), if(a(i,j) == b(i,j), dy(i,j) / 2, 0))"},
            .broadcast = true};
}

Var minimum(const Var& a, const Var& b, Where where) {
    return record_operation("minimum", combine<minimum_forward>("minimum", a.value(), b.value(), where), {a, b},
                            {minimum_backward, minimum_explained}, where);
}

static Explained maximum_explained(const Record&, const std::vector<Var>&) {
    return {.value = "max(a(i,j), b(i,j))",
            .gradients = {"if(b(i,j) < a(i,j), dy(i,j), if(a(i,j) == b(i,j), dy(i,j) / 2, 0))",
                          "if(a(i,j) < b(i,j), dy(i,j), if(a(i,j) == b(i,j), dy(i,j) / 2, 0))"},
            .broadcast = true};
}

Var maximum(const Var& a, const Var& b, Where where) {
    return record_operation("maximum", combine<maximum_forward>("maximum", a.value(), b.value(), where), {a, b},
                            {maximum_backward, maximum_explained}, where);
}

// --- with a constant ---

namespace {
// For operations that keep one number for their backward.
struct NumberRecord : Record {
    float number = 0;
};
}  // namespace

static NumberRecord* number_record(float number) {
    NumberRecord* const record = new NumberRecord;
    record->number = number;
    return record;
}

// forward   y = x factor
// backward  dx = dy factor
static Matrix scaled(const Matrix& m, float factor) {
    Matrix result = Matrix::unset(m.rows, m.cols);
    for (std::size_t k = 0; k < m.size(); ++k) result[k] = m[k] * factor;
    return result;
}

static void scale_backward(Record& y) {
    const float factor = static_cast<NumberRecord&>(y).number;
    add_gradient(y.inputs[0], scaled(y.gradient, factor));
}

static Explained scale_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "a(i,j) * factor",
            .gradients = {"dy(i,j) * factor"},
            .tables = {{"factor", {static_cast<const NumberRecord&>(y).number}}}};
}

Var scale(const Var& a, float factor, Where where) {
    return record_operation(number_record(factor), "scale", scaled(a.value(), factor), {a}, {scale_backward, scale_explained},
                            where);
}

// forward   y = x + number
// backward  dx = dy
static void shift_backward(Record& y) { add_gradient(y.inputs[0], y.gradient); }

static Explained shift_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "a(i,j) + number",
            .gradients = {"dy(i,j)"},
            .tables = {{"number", {static_cast<const NumberRecord&>(y).number}}}};
}

Var shift(const Var& a, float number, Where where) {
    Matrix shifted = a.value();
    for (float& x : shifted) x += number;
    return record_operation(number_record(number), "shift", std::move(shifted), {a}, {shift_backward, shift_explained}, where);
}

// --- products ---

void add_gradient_product(Var& input, Slice a, Slice b) {
    if (!input.requires_gradient()) return;
    if (!input.gradient().empty()) return multiply_add(whole(input.gradient()), a, b);
    input.gradient() = Matrix::unset(input.rows(), input.cols());
    multiply(whole(input.gradient()), a, b);
}

// forward   C = A B
// backward  dA = dC B^T,  dB = A^T dC
static void matmul_backward(Record& c) {
    Var& a = c.inputs[0];
    Var& b = c.inputs[1];
    const Matrix& dc = c.gradient;
    add_gradient_product(a, whole(dc), transposed(whole(b.value())));
    add_gradient_product(b, transposed(whole(a.value())), whole(dc));
}

static Explained matmul_explained(const Record&, const std::vector<Var>&) {
    return {.value = "sum(k, cols(a), a(i,k) * b(k,j))",
            .gradients = {"sum(k, cols(y), dy(i,k) * b(j,k))", "sum(k, rows(y), a(k,i) * dy(k,j))"}};
}

Var matmul(const Var& a, const Var& b, Where where) {
    return record_operation("matmul", matmul(a.value(), b.value(), where), {a, b}, {matmul_backward, matmul_explained}, where);
}

// forward   C = A B^T
// backward  dA = dC B,  dB = dC^T A
static void matmul_transposed_backward(Record& c) {
    Var& a = c.inputs[0];
    Var& b = c.inputs[1];
    const Matrix& dc = c.gradient;
    add_gradient_product(a, whole(dc), whole(b.value()));
    add_gradient_product(b, transposed(whole(dc)), whole(a.value()));
}

static Explained matmul_transposed_explained(const Record&, const std::vector<Var>&) {
    return {.value = "sum(k, cols(a), a(i,k) * b(j,k))",
            .gradients = {"sum(k, cols(y), dy(i,k) * b(k,j))", "sum(k, rows(y), dy(k,i) * a(k,j))"}};
}

Var matmul_transposed(const Var& a, const Var& b, Where where) {
    Matrix c = SmallWeights::product(a.value(), b, where);
    if (c.empty()) c = matmul_transposed(a.value(), b.value(), where);
    return record_operation("matmul_transposed", std::move(c), {a, b}, {matmul_transposed_backward, matmul_transposed_explained},
                            where);
}

// --- one input, element by element ---

template <float f(float)>
static Matrix by_element(const Matrix& x) {
    Matrix y = Matrix::unset(x.rows, x.cols);
    parallel_ranges(x.size(), grain_of_numbers, [&](std::size_t first, std::size_t last) {
        for (std::size_t k = first; k < last; ++k) y[k] = f(x[k]);
    });
    return y;
}

// dx = derivative(x, y) dy at every element
template <float derivative(float x, float y)>
static void by_element_backward(Record& y) {
    const Matrix& x = y.inputs[0].value();
    Matrix dx = Matrix::unset(x.rows, x.cols);
    parallel_ranges(x.size(), grain_of_numbers, [&](std::size_t first, std::size_t last) {
        for (std::size_t k = first; k < last; ++k) dx[k] = derivative(x[k], y.value[k]) * y.gradient[k];
    });
    add_gradient(y.inputs[0], std::move(dx));
}

// forward   y = exp(x)
// backward  dx = dy y
static float exp_derivative(float, float y) { return y; }

static void exp_backward(Record& y) { by_element_backward<exp_derivative>(y); }

static Explained exp_explained(const Record&, const std::vector<Var>&) {
    return {.value = "exp(a(i,j))", .gradients = {"dy(i,j) * y(i,j)"}};
}

Var exp(const Var& a, Where where) {
    return record_operation("exp", by_element<fast_exp>(a.value()), {a}, {exp_backward, exp_explained}, where);
}

// forward   y = log(x)
// backward  dx = dy / x
static float log_forward(float x) { return std::log(x); }
static float log_derivative(float x, float) { return 1 / x; }

static void log_backward(Record& y) { by_element_backward<log_derivative>(y); }

static Explained log_explained(const Record&, const std::vector<Var>&) {
    return {.value = "log(a(i,j))", .gradients = {"dy(i,j) / a(i,j)"}};
}

Var log(const Var& a, Where where) {
    return record_operation("log", by_element<log_forward>(a.value()), {a}, {log_backward, log_explained}, where);
}

// forward   y = sqrt(x)
// backward  dx = dy / (2 y)
static float sqrt_forward(float x) { return std::sqrt(x); }
static float sqrt_derivative(float, float y) { return 0.5f / y; }

static void sqrt_backward(Record& y) { by_element_backward<sqrt_derivative>(y); }

static Explained sqrt_explained(const Record&, const std::vector<Var>&) {
    return {.value = "sqrt(a(i,j))", .gradients = {"dy(i,j) / (2 * y(i,j))"}};
}

Var sqrt(const Var& a, Where where) {
    return record_operation("sqrt", by_element<sqrt_forward>(a.value()), {a}, {sqrt_backward, sqrt_explained}, where);
}

// forward   y = x^2
// backward  dx = dy 2 x
static float square_forward(float x) { return x * x; }
static float square_derivative(float x, float) { return 2 * x; }

static void square_backward(Record& y) { by_element_backward<square_derivative>(y); }

static Explained square_explained(const Record&, const std::vector<Var>&) {
    return {.value = "a(i,j) * a(i,j)", .gradients = {"dy(i,j) * 2 * a(i,j)"}};
}

Var square(const Var& a, Where where) {
    return record_operation("square", by_element<square_forward>(a.value()), {a}, {square_backward, square_explained}, where);
}

// forward   y = |x|
// backward  dx = dy sign(x), and 0 where x is 0
static float abs_forward(float x) { return std::abs(x); }
static float abs_derivative(float x, float) { return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f; }

static void abs_backward(Record& y) { by_element_backward<abs_derivative>(y); }

static Explained abs_explained(const Record&, const std::vector<Var>&) {
    return {.value = "abs(a(i,j))", .gradients = {"if(a(i,j) == 0, 0, if(a(i,j) < 0, -dy(i,j), dy(i,j)))"}};
}

Var abs(const Var& a, Where where) {
    return record_operation("abs", by_element<abs_forward>(a.value()), {a}, {abs_backward, abs_explained}, where);
}

// forward   y = tanh(x)
// backward  dx = dy (1 - y^2)
static float tanh_derivative(float, float y) { return 1 - y * y; }

static void tanh_backward(Record& y) { by_element_backward<tanh_derivative>(y); }

static Explained tanh_explained(const Record&, const std::vector<Var>&) {
    return {.value = "tanh(a(i,j))", .gradients = {"dy(i,j) * (1 - y(i,j) * y(i,j))"}};
}

Var tanh(const Var& a, Where where) {
    return record_operation("tanh", by_element<fast_tanh>(a.value()), {a}, {tanh_backward, tanh_explained}, where);
}

// forward   y = 1 / (1 + exp(-x))
// backward  dx = dy y (1 - y)
static float sigmoid_forward(float x) { return 1 / (1 + fast_exp(-x)); }
static float sigmoid_derivative(float, float y) { return y * (1 - y); }

static void sigmoid_backward(Record& y) { by_element_backward<sigmoid_derivative>(y); }

static Explained sigmoid_explained(const Record&, const std::vector<Var>&) {
    return {.value = "1 / (1 + exp(-a(i,j)))", .gradients = {"dy(i,j) * y(i,j) * (1 - y(i,j))"}};
}

Var sigmoid(const Var& a, Where where) {
    return record_operation("sigmoid", by_element<sigmoid_forward>(a.value()), {a}, {sigmoid_backward, sigmoid_explained}, where);
}

// forward   y = log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)): the second form cannot overflow
// backward  dx = dy / (1 + exp(-x))
static float softplus_forward(float x) { return std::max(x, 0.0f) + std::log1p(fast_exp(-std::abs(x))); }
static float softplus_derivative(float x, float) { return sigmoid_forward(x); }

static void softplus_backward(Record& y) { by_element_backward<softplus_derivative>(y); }

static Explained softplus_explained(const Record&, const std::vector<Var>&) {
    return {.value = "max(a(i,j), 0) + log(1 + exp(-abs(a(i,j))))", .gradients = {"dy(i,j) / (1 + exp(-a(i,j)))"}};
}

Var softplus(const Var& a, Where where) {
    return record_operation("softplus", by_element<softplus_forward>(a.value()), {a}, {softplus_backward, softplus_explained},
                            where);
}

namespace {
struct ClampRecord : Record {
    float low = 0, high = 0;
};
}  // namespace

// forward   y = min(max(x, low), high)
// backward  dx = dy where low <= x <= high, else 0
static float clamp_derivative(float x, float y) { return x == y ? 1.0f : 0.0f; }

static void clamp_backward(Record& y) { by_element_backward<clamp_derivative>(y); }

static Explained clamp_explained(const Record& y, const std::vector<Var>&) {
    const ClampRecord& kept = static_cast<const ClampRecord&>(y);
    return {.value = "min(max(a(i,j), low), high)",
            .gradients = {"if(a(i,j) == y(i,j), dy(i,j), 0)"},
            .tables = {{"low", {kept.low}}, {"high", {kept.high}}}};
}

Var clamp(const Var& a, float low, float high, Where where) {
    require(low <= high, where, "clamp: the lower bound ", low, " is above the upper bound ", high, "; exchange them");
    Matrix y = a.value();
    for (float& x : y) x = std::min(std::max(x, low), high);
    ClampRecord* const record = new ClampRecord;
    record->low = low;
    record->high = high;
    return record_operation(record, "clamp", std::move(y), {a}, {clamp_backward, clamp_explained}, where);
}

// --- sums ---

// forward   y = sum of all x
// backward  dx = dy everywhere
static void sum_backward(Record& y) {
    const Var& x = y.inputs[0];
    add_gradient(y.inputs[0], Matrix(x.rows(), x.cols(), y.gradient[0]));
}

static Explained sum_explained(const Record&, const std::vector<Var>&) {
    return {.value = "sum(k, rows(a), sum(l, cols(a), a(k,l)))", .gradients = {"dy(0,0)"}};
}

Var sum(const Var& a, Where where) {
    const double total = sum_in_double(a.value().begin(), a.value().size());
    return record_operation("sum", Matrix(1, 1, static_cast<float>(total)), {a}, {sum_backward, sum_explained}, where);
}

Var mean(const Var& a, Where where) {
    require(!a.value().empty(), where, "mean: ", a.value(), " holds no numbers, it must hold at least 1");
    return scale(sum(a, where), 1.0f / static_cast<float>(a.value().size()), where);
}

// forward   y_i = sum over j of x_ij
// backward  dx_ij = dy_i
static void row_sums_backward(Record& y) {
    const Var& x = y.inputs[0];
    Matrix dx = Matrix::unset(x.rows(), x.cols());
    parallel_ranges(dx.rows, grain_of_rows(dx.cols), [&](std::size_t first, std::size_t last) {
        for (int i = static_cast<int>(first); i < static_cast<int>(last); ++i) std::fill_n(dx.row(i), dx.cols, y.gradient(i, 0));
    });
    add_gradient(y.inputs[0], std::move(dx));
}

static Explained row_sums_explained(const Record&, const std::vector<Var>&) {
    return {.value = "sum(k, cols(a), a(i,k))", .gradients = {"dy(i,0)"}};
}

Var row_sums(const Var& a, Where where) {
    Matrix y = Matrix::unset(a.rows(), 1);
    const Matrix& x = a.value();
    parallel_ranges(x.rows, grain_of_rows(x.cols), [&](std::size_t first, std::size_t last) {
        for (int i = static_cast<int>(first); i < static_cast<int>(last); ++i)
            y(i, 0) = static_cast<float>(sum_in_double(x.row(i), x.cols));
    });
    return record_operation("row_sums", std::move(y), {a}, {row_sums_backward, row_sums_explained}, where);
}

Var row_means(const Var& a, Where where) {
    require(a.cols() > 0, where, "row_means: ", a.value(), " has empty rows, each must hold at least 1 number");
    return scale(row_sums(a, where), 1.0f / a.cols(), where);
}

// --- softmax ---

void softmax_in_place(float* scores, int count) {
    const float largest = max_of(scores, count);
    const float excluded = -std::numeric_limits<float>::infinity();
    if (largest == excluded) {  // every score is masked
        std::fill_n(scores, count, 0.0f);
        return;
    }
    const float total = exp_of(scores, largest, scores, count);  // each is at most exp(0) = 1: no overflow
    for (int j = 0; j < count; ++j) scores[j] /= total;
}

void softmax_backward_row(const float* p, const float* dp, float* ds, int count) {
    const float mean = dot_of(p, dp, count);
    for (int j = 0; j < count; ++j) ds[j] = p[j] * (dp[j] - mean);
}

// forward   p_j = exp(s_j) / sum over k of exp(s_k), row by row
// backward  ds_j = p_j (dp_j - mean), mean = sum_k p_k dp_k: adding a constant to all scores does not change p
static void softmax_rows_backward(Record& p) {
    Matrix ds = Matrix::unset(p.value.rows, p.value.cols);
    parallel_ranges(ds.rows, grain_of_rows(ds.cols), [&](int first, int last) {
        for (int i = first; i < last; ++i) softmax_backward_row(p.value.row(i), p.gradient.row(i), ds.row(i), ds.cols);
    });
    add_gradient(p.inputs[0], std::move(ds));
}

static Explained softmax_rows_explained(const Record&, const std::vector<Var>&) {
    return {.value = "if(a(i,j) == -inf, 0, exp(a(i,j)) / sum(k, cols(a), exp(a(i,k))))",
            .gradients = {"y(i,j) * (dy(i,j) - sum(k, cols(y), y(i,k) * dy(i,k)))"}};
}

Var softmax_rows(const Var& a, Where where) {
    Matrix p = a.value();
    parallel_ranges(p.rows, grain_of_rows(p.cols), [&](int first, int last) {
        for (int i = first; i < last; ++i) softmax_in_place(p.row(i), p.cols);
    });
    return record_operation("softmax_rows", std::move(p), {a}, {softmax_rows_backward, softmax_rows_explained}, where);
}

// forward   y_j = s_j - log sum_k exp(s_k), row by row
// backward  ds_j = dy_j - exp(y_j) sum_k dy_k
static void log_softmax_rows_backward(Record& y) {
    Matrix ds = Matrix::unset(y.value.rows, y.value.cols);
    for (int i = 0; i < ds.rows; ++i) {
        const float total = static_cast<float>(sum_in_double(y.gradient.row(i), ds.cols));
        for (int j = 0; j < ds.cols; ++j) ds(i, j) = y.gradient(i, j) - fast_exp(y.value(i, j)) * total;
    }
    add_gradient(y.inputs[0], std::move(ds));
}

static Explained log_softmax_rows_explained(const Record&, const std::vector<Var>&) {
    return {.value = "a(i,j) - log(sum(k, cols(a), exp(a(i,k))))",
            .gradients = {"dy(i,j) - exp(y(i,j)) * sum(k, cols(y), dy(i,k))"}};
}

Var log_softmax_rows(const Var& a, Where where) {
    require(a.cols() > 0, where, "log_softmax_rows: ", a.value(), " has empty rows, each must hold at least 1 number");
    Matrix y = a.value();
    for (int i = 0; i < y.rows; ++i) {
        float* const row = y.row(i);
        const float largest = max_of(row, y.cols);
        double total = 0;
        for (int j = 0; j < y.cols; ++j) total += fast_exp(row[j] - largest);
        const float log_total = largest + static_cast<float>(std::log(total));
        for (int j = 0; j < y.cols; ++j) row[j] -= log_total;
    }
    return record_operation("log_softmax_rows", std::move(y), {a}, {log_softmax_rows_backward, log_softmax_rows_explained},
                            where);
}

// --- one element of each row ---

// What is shown of a list of whole numbers.
static std::vector<float> as_table(const std::vector<int>& numbers) { return {numbers.begin(), numbers.end()}; }

namespace {
struct PickRecord : Record {
    std::vector<int> columns;
};
}  // namespace

// forward   y_i = x(i, columns[i])
// backward  dx(i, columns[i]) = dy_i
static void pick_backward(Record& y) {
    const std::vector<int>& columns = static_cast<PickRecord&>(y).columns;
    Matrix& dx = gradient_to_add_to(y.inputs[0]);
    for (int i = 0; i < dx.rows; ++i) dx(i, columns[i]) += y.gradient(i, 0);
}

static Explained pick_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "a(i,column(i))",
            .gradients = {"if(column(i) == j, dy(i,0), 0)"},
            .tables = {{"column", as_table(static_cast<const PickRecord&>(y).columns)}}};
}

Var pick(const Var& a, const std::vector<int>& columns, Where where) {
    require(static_cast<int>(columns.size()) == a.rows(), where, "pick: ", columns.size(), " columns for the rows of ", a.value(),
            ", each needs one");
    Matrix y = Matrix::unset(a.rows(), 1);
    for (int i = 0; i < a.rows(); ++i) {
        require(columns[i] >= 0 && columns[i] < a.cols(), where, "pick: column ", columns[i], " of ", a.value(),
                ", counted from 0");
        y(i, 0) = a.value()(i, columns[i]);
    }
    PickRecord* const record = new PickRecord;
    record->columns = columns;
    return record_operation(record, "pick", std::move(y), {a}, {pick_backward, pick_explained}, where);
}

// --- stop-gradient and straight-through ---

Var stop(const Var& a) { return Var(a.value()); }

// forward   y = value
// backward  dpath = dy, dvalue = 0: the derivative of y = path + stop(value - path)
static void straight_through_backward(Record& y) { add_gradient(y.inputs[1], y.gradient); }

static Explained straight_through_explained(const Record&, const std::vector<Var>&) {
    return {.value = "a(i,j)", .gradients = {"0", "dy(i,j)"}};
}

Var straight_through(const Var& value, const Var& path, Where where) {
    require(same_shape(value.value(), path.value()), where, "straight_through: a value of shape ", value.value(),
            " for a path of shape ", path.value(), ", the shapes must be equal");
    return record_operation("straight_through", value.value(), {value, path},
                            {straight_through_backward, straight_through_explained}, where);
}
