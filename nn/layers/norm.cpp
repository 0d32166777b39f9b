#include "nn/layers/norm.h"

#include <cmath>
#include <utility>

#include "nn/base/functions.h"
#include "nn/base/parallel.h"

LayerNorm make_layer_norm(int width) { return {.gain = parameter(Matrix(1, width, 1)), .bias = parameter(Matrix(1, width))}; }

struct LayerNormRecord : Record {
    Matrix normalised;     // (n, D)  x^ = (x - mean) / deviation
    Matrix one_over_sigma;  // (n, 1)  1 / sqrt(variance + eps)
};

// forward   x^ = (x - mean) / sigma,  sigma = sqrt(variance + eps),  y = x^ gain + bias
// backward  dgain = sum dy x^,  dbias = sum dy,  and with g = dy gain:
//           dx = (g - mean(g) - x^ mean(g x^)) / sigma
//           Moving all of x alike, or stretching it, changes nothing: those two parts of g are taken out.
static void layer_norm_backward(Record& y) {
    const LayerNormRecord& kept = static_cast<LayerNormRecord&>(y);
    const Matrix& dy = y.gradient;
    const Matrix& gain = y.inputs[1].value();
    const int D = dy.cols;
    Matrix dx = Matrix::unset(dy.rows, D);
    Matrix dgain(1, D), dbias(1, D);
    for (int i = 0; i < dy.rows; ++i) {
        const float* const upstream = dy.row(i);
        const float* const x_hat = kept.normalised.row(i);
        float* const g = dx.row(i);  // first g, then dx
        for (int j = 0; j < D; ++j) {
            g[j] = upstream[j] * gain[j];
            dgain[j] += upstream[j] * x_hat[j];
            dbias[j] += upstream[j];
        }
        const float mean_g = sum_of(g, D) / D;
        const float mean_g_x = dot_of(g, x_hat, D) / D;
        const float one_over_sigma = kept.one_over_sigma(i, 0);
        for (int j = 0; j < D; ++j) g[j] = (g[j] - mean_g - x_hat[j] * mean_g_x) * one_over_sigma;
    }
    add_gradient(y.inputs[0], std::move(dx));
    add_gradient(y.inputs[1], std::move(dgain));
    add_gradient(y.inputs[2], std::move(dbias));
}

Var layer_norm(const Var& x, const LayerNorm& w, float eps, Where where) {
    const int D = x.cols();
    require(D > 0 && w.gain.rows() == 1 && w.gain.cols() == D && same_shape(w.gain.value(), w.bias.value()), where,
            "layer_norm: an input of shape ", x.value(), " meets a gain of shape ", w.gain.value(), " and a bias of shape ",
            w.bias.value());
    LayerNormRecord* const kept = new LayerNormRecord;
    kept->normalised = Matrix::unset(x.rows(), D);
    kept->one_over_sigma = Matrix::unset(x.rows(), 1);
    const Matrix& gain = w.gain.value();
    const Matrix& bias = w.bias.value();
    Matrix y = Matrix::unset(x.rows(), D);
    const auto normalise = [&](int i) {
        const float* const row = x.value().row(i);
        float* const x_hat = kept->normalised.row(i);  // first x - mean
        const float mean = sum_of(row, D) / D;
        for (int j = 0; j < D; ++j) x_hat[j] = row[j] - mean;
        const float variance = dot_of(x_hat, x_hat, D) / D;
        const float one_over_sigma = 1 / std::sqrt(variance + eps);
        kept->one_over_sigma(i, 0) = one_over_sigma;
        for (int j = 0; j < D; ++j) {
            x_hat[j] *= one_over_sigma;
            y(i, j) = x_hat[j] * gain[j] + bias[j];
        }
    };
    parallel_ranges(x.rows(), grain_of_rows(D), [&](int first, int last) {
        for (int i = first; i < last; ++i) normalise(i);
    });
    return record_operation(kept, "layer_norm", std::move(y), {x, w.gain, w.bias}, layer_norm_backward, where);
}

void add_parameters(Parameters& table, const std::string& name, const LayerNorm& w) {
    table.push_back({name + ".weight", {w.gain.cols()}, Stored::as_it_is, {w.gain}});
    table.push_back({name + ".bias", {w.bias.cols()}, Stored::as_it_is, {w.bias}});
}
