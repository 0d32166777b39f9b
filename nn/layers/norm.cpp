#include "nn/layers/norm.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "nn/autograd/formula.h"
#include "nn/base/functions.h"
#include "nn/base/parallel.h"

static Var ones(const char* place, int width) {
    require(width > 0, place, ": a width of ", width, ", it must be at least 1");
    return parameter(Matrix(1, width, 1));
}

Norm make_layer_norm(int width) { return {.gain = ones("make_layer_norm", width), .bias = parameter(Matrix(1, width))}; }

Norm make_rms_norm(int width) { return {.gain = ones("make_rms_norm", width), .bias = {}}; }

namespace {
struct NormRecord : Record {
    NormKind kind = NormKind::layer;
    Matrix normalised;                   // (n, D)  x^
    std::vector<double> one_over_sigma;  // n
    float eps = 0;
};
}  // namespace

static Matrix rounded_row(const std::vector<double>& numbers) {
    Matrix row = Matrix::unset(1, static_cast<int>(numbers.size()));
    for (int j = 0; j < row.cols; ++j) row[j] = static_cast<float>(numbers[j]);
    return row;
}

// forward   layer  x^ = (x - mean) / sigma,  sigma = sqrt(variance + eps)
//           rms    x^ = x / sigma,           sigma = sqrt(mean of x^2 + eps)
//           y = x^ gain + bias
// backward  dgain = sum dy x^,  dbias = sum dy,  and with g = dy gain:
//           layer  dx = (g - mean(g) - x^ mean(g x^)) / sigma
//           rms    dx = (g - x^ mean(g x^)) / sigma
//           x^ does not change when x is scaled, so the part of g along x^ is removed; nor, under a layer norm, when x is
//           shifted, so the mean of g is removed.
static void norm_backward(Record& y) {
    const NormRecord& kept = static_cast<NormRecord&>(y);
    const Matrix& dy = y.gradient;
    const Var& gain = y.inputs[1];
    const Var& bias = y.inputs[2];
    const int D = dy.cols;
    Matrix dx = Matrix::unset(dy.rows, D);
    std::vector<double> dgain(D), dbias(D);  // a batch may have thousands of rows
    for (int i = 0; i < dy.rows; ++i) {
        const float* const upstream = dy.row(i);
        const float* const x_hat = kept.normalised.row(i);
        float* const g = dx.row(i);  // first g, then dx
        for (int j = 0; j < D; ++j) {
            dgain[j] += upstream[j] * x_hat[j];
            dbias[j] += upstream[j];
            g[j] = gain ? upstream[j] * gain.value()[j] : upstream[j];
        }
        const double mean_g = kept.kind == NormKind::layer ? sum_in_double(g, D) / D : 0;
        const double mean_g_x = dot_in_double(g, x_hat, D) / D;
        const double one_over_sigma = kept.one_over_sigma[i];
        for (int j = 0; j < D; ++j) g[j] = static_cast<float>((g[j] - mean_g - x_hat[j] * mean_g_x) * one_over_sigma);
    }
    add_gradient(y.inputs[0], std::move(dx));
    if (gain) add_gradient(y.inputs[1], rounded_row(dgain));
    if (bias) add_gradient(y.inputs[2], rounded_row(dbias));
}

// `words` with m the mean (rms: 0) and s the sigma of this row of x.
static std::string with_mean_and_sigma(const std::string& words, const std::string& row, NormKind kind) {
    const std::string x = "a(" + row + ",k)", mean = kind == NormKind::layer ? "sum(k, cols(a), " + x + ") / cols(a)" : "0";
    const std::string square = "(" + x + " - m) * (" + x + " - m)";
    return "let(m, " + mean + ", let(s, sqrt(sum(k, cols(a), " + square + ") / cols(a) + eps), " + words + "))";
}

static Explained norm_explained(const Record& y, const std::vector<Var>& inputs) {
    const NormRecord& kept = static_cast<const NormRecord&>(y);
    const std::string gain = inputs[1] ? " * b(0,j)" : "", bias = inputs[2] ? " + c(0,j)" : "";
    const std::string g_j = "dy(i,j)" + gain, g_k = inputs[1] ? "dy(i,k) * b(0,k)" : "dy(i,k)";
    const std::string mean_g = kept.kind == NormKind::layer ? " - sum(k, cols(a), " + g_k + ") / cols(a)" : "";
    const std::string along_x = " - (a(i,j) - m) / s * sum(k, cols(a), " + g_k + " * (a(i,k) - m) / s) / cols(a)";
    const std::string dgain_of_row = with_mean_and_sigma("dy(r,j) * (a(r,j) - m) / s", "r", kept.kind),
                      dgain = "sum(r, rows(a), " + dgain_of_row + ")";
    return {.value = with_mean_and_sigma("(a(i,j) - m) / s" + gain + bias, "i", kept.kind),
            .gradients = {with_mean_and_sigma("(" + g_j + mean_g + along_x + ") / s", "i", kept.kind), dgain,
                          "sum(r, rows(a), dy(r,j))"},
            .tables = {{"eps", {kept.eps}}}};
}

// x^ of one row; returns 1 / sigma. In double, because normalising a nearly constant row magnifies rounding errors a
// thousandfold.
static double normalise_row(const float* x, float* x_hat, int D, NormKind kind, float eps) {
    const double mean = kind == NormKind::layer ? sum_in_double(x, D) / D : 0;  // mu
    for (int j = 0; j < D; ++j) x_hat[j] = static_cast<float>(x[j] - mean);
    const double variance = dot_in_double(x_hat, x_hat, D) / D;  // [LayerNorm 3]; rms: the mean square
    const double one_over_sigma = 1 / std::sqrt(variance + eps);
    for (int j = 0; j < D; ++j) x_hat[j] = static_cast<float>((x[j] - mean) * one_over_sigma);
    return one_over_sigma;
}

static void require_row(const char* name, const char* what, const Var& row, const Var& x, Where where) {
    if (row)
        require(row.rows() == 1 && row.cols() == x.cols(), where, name, ": an input of shape ", x.value(), " meets a ", what,
                " of shape ", row.value(), ", it should be (1, ", x.cols(), ")");
}

Var normalise(const Var& x, const Norm& w, NormKind kind, float eps, Where where) {
    const char* const name = kind == NormKind::layer ? "layer_norm" : "rms_norm";
    const int D = x.cols();
    require(D > 0, where, name, ": an input of shape ", x.value(), " has no features");
    require(eps >= 0 && std::isfinite(eps), where, name, ": eps is ", eps,
            ", it is under a root, and must be finite and not below 0; 1e-5 is usual");
    require_row(name, "gain", w.gain, x, where);
    require_row(name, "bias", w.bias, x, where);
    NormRecord* const kept = new NormRecord;
    kept->kind = kind;
    kept->eps = eps;
    kept->normalised = Matrix::unset(x.rows(), D);
    kept->one_over_sigma.resize(x.rows());
    Matrix y = Matrix::unset(x.rows(), D);
    const float* const gain = w.gain ? w.gain.value().begin() : nullptr;
    const float* const bias = w.bias ? w.bias.value().begin() : nullptr;
    parallel_ranges(x.rows(), grain_of_rows(D), [&](int first, int last) {
        for (int i = first; i < last; ++i) {
            float* const x_hat = kept->normalised.row(i);
            kept->one_over_sigma[i] = normalise_row(x.value().row(i), x_hat, D, kind, eps);
            float* const out = y.row(i);
            for (int j = 0; j < D; ++j)
                out[j] = x_hat[j] * (gain ? gain[j] : 1) + (bias ? bias[j] : 0);  // [LayerNorm 4] [RMSNorm 4]
        }
    });
    return record_operation(kept, name, std::move(y), {x, w.gain, w.bias}, {norm_backward, norm_explained}, where);
}

Var layer_norm(const Var& x, const Norm& w, float eps, Where where) { return normalise(x, w, NormKind::layer, eps, where); }

Var rms_norm(const Var& x, const Norm& w, float eps, Where where) { return normalise(x, w, NormKind::rms, eps, where); }

namespace {
struct UnitRowsRecord : Record {
    Matrix lengths;  // (n, 1)  norms of the rows of x; 0 where the row was divided by eps
    float eps = 0;
};
}  // namespace

// forward   y = x / length, length = |x|
// backward  dx = (dy - y (y . dy)) / length: scaling x does not change y.   Where |x| < eps:  y = x / eps, dx = dy / eps
static void unit_rows_backward(Record& y) {
    const UnitRowsRecord& kept = static_cast<UnitRowsRecord&>(y);
    const int D = y.value.cols;
    Matrix dx = Matrix::unset(y.value.rows, D);
    for (int i = 0; i < dx.rows; ++i) {
        const float* const dy = y.gradient.row(i);
        const float* const unit = y.value.row(i);
        const float length = kept.lengths(i, 0);
        const float along = length > 0 ? dot_of(unit, dy, D) : 0;
        const float divisor = length > 0 ? length : kept.eps;
        for (int j = 0; j < D; ++j) dx(i, j) = (dy[j] - unit[j] * along) / divisor;
    }
    add_gradient(y.inputs[0], std::move(dx));
}

static Explained unit_rows_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "let(n, sqrt(sum(k, cols(a), a(i,k) * a(i,k))), a(i,j) / max(n, eps))",
            .gradients = {"let(n, sqrt(sum(k, cols(a), a(i,k) * a(i,k))), if(n < eps, dy(i,j) / eps, (dy(i,j) - y(i,j) * sum(k, "
                          "cols(y), y(i,k) * dy(i,k))) / n))"},
            .tables = {{"eps", {static_cast<const UnitRowsRecord&>(y).eps}}}};
}

Var unit_rows(const Var& x, float eps, Where where) {
    require(eps >= 0 && std::isfinite(eps), where, "unit_rows: eps is ", eps,
            ", it is the least divisor, and must be finite and not below 0; 1e-12 is usual");
    const int D = x.cols();
    UnitRowsRecord* const kept = new UnitRowsRecord;
    kept->eps = eps;
    kept->lengths = Matrix(x.rows(), 1);
    Matrix y = Matrix::unset(x.rows(), D);
    for (int i = 0; i < y.rows; ++i) {
        const float* const row = x.value().row(i);
        const float length = std::sqrt(dot_of(row, row, D));
        if (!(length < eps)) kept->lengths(i, 0) = length;
        const float divisor = length < eps ? eps : length;
        for (int j = 0; j < D; ++j) y(i, j) = row[j] / divisor;
    }
    return record_operation(kept, "unit_rows", std::move(y), {x}, {unit_rows_backward, unit_rows_explained}, where);
}

void add_parameters(Parameters& table, const std::string& name, const Norm& w) {
    if (w.gain) table.push_back({name + ".weight", {w.gain.cols()}, Stored::as_it_is, {w.gain}});
    if (w.bias) table.push_back({name + ".bias", {w.bias.cols()}, Stored::as_it_is, {w.bias}});
}
