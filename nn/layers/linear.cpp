#include "nn/layers/linear.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/formula.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/small_weights.h"

Var make_weight(Random& random, int in, int out, const Init& init, int fan_out) {
    require(in > 0 && out > 0, "make_weight: a matrix from ", in, " to ", out, " features, both must be at least 1");
    require(init.stddev >= 0 && std::isfinite(init.stddev), "make_weight: a standard deviation of ", init.stddev,
            ", it must be finite and at least 0; 0.02 is usual");
    require(fan_out >= 0, "make_weight: a fan-out of ", fan_out, ", it cannot be below 0; 0 = the number of outputs");
    if (init.draw == Draw::xavier_uniform) {
        const float bound = std::sqrt(6.0f / static_cast<float>(in + (fan_out > 0 ? fan_out : out)));
        return parameter(uniform_matrix(random, in, out, -bound, bound));
    }
    if (init.stddev == 0) return parameter(Matrix(in, out));
    if (init.draw == Draw::normal) return parameter(normal_matrix(random, in, out, init.stddev));
    return parameter(truncated_normal_matrix(random, in, out, init.stddev));
}

Linear make_linear(Random& random, int in, int out, const Init& init) {
    return {.weight = make_weight(random, in, out, init), .bias = parameter(Matrix(1, out))};
}

Linear make_linear_without_bias(Random& random, int in, int out, const Init& init) {
    return {.weight = make_weight(random, in, out, init), .bias = {}};
}

// forward   y = x W + b
// backward  dx = dy W^T,  dW = x^T dy,  db = the sum of the rows of dy
static void linear_backward(Record& y) {
    Var& x = y.inputs[0];
    Var& weight = y.inputs[1];
    Var& bias = y.inputs[2];
    const Matrix& dy = y.gradient;
    add_gradient_product(x, whole(dy), transposed(whole(weight.value())));
    add_gradient_product(weight, transposed(whole(x.value())), whole(dy));
    if (bias.requires_gradient()) add_sum_of_rows(gradient_to_add_to(bias), dy);
}

static Explained linear_explained(const Record&, const std::vector<Var>& inputs) {
    return {.value = std::string("sum(k, cols(a), a(i,k) * b(k,j))") + (inputs[2] ? " + c(0,j)" : ""),
            .gradients = {"sum(k, cols(y), dy(i,k) * b(j,k))", "sum(k, rows(y), a(k,i) * dy(k,j))", "sum(k, rows(y), dy(k,j))"}};
}

static Matrix product(const Matrix& x, const Linear& w, Where where) {
    Matrix y = Matrix::unset(x.rows, w.weight.cols());
    if (!w.bias) {
        multiply(whole(y), whole(x), whole(w.weight.value()), where);
    } else {
        for (int i = 0; i < y.rows; ++i) std::copy_n(w.bias.value().begin(), y.cols, y.row(i));
        multiply_add(whole(y), whole(x), whole(w.weight.value()), where);
    }
    return y;
}

// The same from the small form of W while a SmallWeights holds one; else (0, 0).
static Matrix small_product(const Matrix& x, const Linear& w, Where where) {
    Matrix y = SmallWeights::product(x, w.weight, where);
    for (int i = 0; w.bias && i < y.rows; ++i)
        for (int j = 0; j < y.cols; ++j) y(i, j) += w.bias.value()[j];
    return y;
}

Var linear(const Var& x, const Linear& w, Where where) {
    require(x.cols() == w.weight.rows(), where, "linear: an input of shape ", x.value(), " meets a weight of shape ",
            w.weight.value(), ", the inner sizes differ");
    require(!w.bias || (w.bias.rows() == 1 && w.bias.cols() == w.weight.cols()), where, "linear: a bias of shape ",
            w.bias ? w.bias.value() : Matrix(), " for an output of width ", w.weight.cols());
    Matrix y = small_product(x.value(), w, where);
    if (y.empty()) y = product(x.value(), w, where);
    return record_operation("linear", std::move(y), {x, w.weight, w.bias}, {linear_backward, linear_explained}, where);
}

void add_parameters(Parameters& table, const std::string& name, const Linear& w, Stored stored) {
    const long in = w.weight.rows(), out = w.weight.cols();
    const std::vector<long> shape = stored == Stored::out_by_in ? std::vector<long>{out, in} : std::vector<long>{in, out};
    table.push_back({name + ".weight", shape, stored, {w.weight}});
    if (w.bias) table.push_back({name + ".bias", {out}, Stored::as_it_is, {w.bias}});
}
