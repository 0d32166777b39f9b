#include "nn/interpret/integrated_gradients.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"

namespace integrated_gradients {

// --- any model as an output ---

Var InputAt::at(const StepId& step, const Var& value) {
    if (!step.is(name)) return value;
    read = true;
    return x;
}

OutputOf::OutputOf(std::function<Var()> run, std::string step, std::vector<int> rows, std::vector<int> columns,
                   std::vector<int> against)
    : run(std::move(run)),
      step(std::move(step)),
      rows(std::move(rows)),
      columns(std::move(columns)),
      against(std::move(against)) {
    require(static_cast<bool>(this->run), "integrated_gradients: no run is given; give a function that runs the model once");
    require(this->columns.size() == this->rows.size() && (this->against.empty() || this->against.size() == this->rows.size()),
            "integrated_gradients: ", this->columns.size(), " outputs of ", this->rows.size(), " rows are to be explained, ",
            this->against.size(), " to be subtracted");
}

Var OutputOf::of(const Var& x) {
    const InputAt input(step, x);
    const Var outputs = run();
    require(input.was_read(), "integrated_gradients: the run has no step ", step,
            " whose value could be replaced; see hook.h for the names");
    const Var chosen = gather_rows(outputs, rows);                            // (B, K)
    const Var asked = pick(chosen, columns);                                  // (B, 1)
    return against.empty() ? asked : subtract(asked, pick(chosen, against));  // (B, 1)
}

Matrix input_of(const std::function<Var()>& run, const std::string& step) {
    require(static_cast<bool>(run), "integrated_gradients: no run is given; give a function that runs the model once");
    const NoTape no_tape;
    const Recording recording;
    run();
    return recording.step(-1, step).value();
}

// --- points on the line ---

// P_n(r) and its derivative, by (j + 1) P_(j+1) = (2j + 1) r P_j - j P_(j-1).
namespace {
struct Legendre {
    double value, derivative;
};
}  // namespace

static Legendre legendre(int n, double r) {
    double before = 1, now = r;  // P_0, P_1
    for (int j = 1; j < n; ++j) {
        const double next = ((2 * j + 1) * r * now - j * before) / (j + 1);
        before = now;
        now = next;
    }
    return {now, n * (r * now - before) / (r * r - 1)};
}

// The roots of P_n by Newton's method, moved from -1 ... 1 to 0 ... 1, in ascending order.
static Points gauss_legendre(int n) {
    Points result;
    for (int k = n - 1; k >= 0; --k) {  // from the smallest root on, because the cosine falls
        double r = std::cos(std::numbers::pi * (k + 0.75) / (n + 0.5));
        for (int step = 0; step < 100; ++step) {
            const Legendre p = legendre(n, r);
            const double change = p.value / p.derivative;
            r -= change;
            if (std::abs(change) < 1e-15) break;
        }
        const double slope = legendre(n, r).derivative;
        result.alphas.push_back((1 + r) / 2);
        result.weights.push_back(1 / ((1 - r * r) * slope * slope));
    }
    return result;
}

Points points(Rule rule, int n) {
    const bool both_ends = rule == Rule::trapezoid || rule == Rule::trapezoid_as_published;
    require(n >= (both_ends ? 2 : 1), "integrated_gradients: ", n, " points, ",
            both_ends ? "a trapezoid needs 2" : "at least 1 is needed");
    require(n <= 10'000, "integrated_gradients: ", n,
            " points, each costs a forward and a backward pass; at most 10000, 20 to 300 are usual");
    if (rule == Rule::gauss_legendre) return gauss_legendre(n);
    Points result;
    for (int k = 0; k < n; ++k) {
        const bool end = k == 0 || k == n - 1;
        switch (rule) {
            case Rule::left: result.alphas.push_back(static_cast<double>(k) / n); break;
            case Rule::right: result.alphas.push_back(static_cast<double>(k + 1) / n); break;
            case Rule::middle: result.alphas.push_back((k + 0.5) / n); break;
            default: result.alphas.push_back(static_cast<double>(k) / (n - 1));
        }
        const double whole = rule == Rule::trapezoid ? 1.0 / (n - 1) : 1.0 / n;
        result.weights.push_back(both_ends && end ? whole / 2 : whole);
    }
    return result;
}

// --- attribution ---

ValueAndGradient gradient_at(Output& output, const Matrix& x) {
    const Tape tape;
    const Var z = parameter(x);
    const Var F = output.of(z);  // (B, 1)
    require(F.cols() == 1, "integrated_gradients: the output is ", F.value(), ", it should be one number for each group, (B, 1)");
    const Matrix values = F.value();
    backward(sum(F));  // groups are independent: each row of z gets the gradient of its own F
    return {values, z.gradient().empty() ? Matrix(x.rows, x.cols) : z.gradient()};
}

// b + alpha (x - b)
static Matrix point_between(const Matrix& baseline, const Matrix& x, double alpha) {
    Matrix z = Matrix::unset(x.rows, x.cols);
    for (std::size_t k = 0; k < z.size(); ++k)
        z[k] = static_cast<float>(baseline[k] + alpha * (static_cast<double>(x[k]) - baseline[k]));
    return z;
}

Attribution attribute(Output& output, const Matrix& x, const Matrix& baseline, const Points& points, int groups) {
    require(same_shape(x, baseline), "integrated_gradients: the input is ", x, ", the baseline ", baseline,
            ", the shapes must be equal");
    require_finite(x, "integrated_gradients", "numbers of the input");
    require_finite(baseline, "integrated_gradients", "numbers of the baseline");
    require(!points.alphas.empty() && points.alphas.size() == points.weights.size(),
            "integrated_gradients: ", points.alphas.size(), " points with ", points.weights.size(),
            " weights; there must be at least one, and a weight for each, see points()");
    for (std::size_t k = 0; k < points.alphas.size(); ++k)
        require(std::isfinite(points.alphas[k]) && std::isfinite(points.weights[k]), "integrated_gradients: point ", k, " is ",
                points.alphas[k], " with weight ", points.weights[k], ", both must be finite");
    require(groups > 0 && x.rows % groups == 0, "integrated_gradients: ", groups, " groups of the rows of ", x,
            ", all must have the same number of rows");
    const int n = static_cast<int>(points.alphas.size());
    Attribution result{.attributions = Matrix::unset(x.rows, x.cols), .delta = {}, .gradients = {}, .outputs = Matrix(n, groups)};
    std::vector<double> total(x.size());  // sum of w_k dF/dz
    for (int k = 0; k < n; ++k) {
        const ValueAndGradient at = gradient_at(output, point_between(baseline, x, points.alphas[k]));
        require(at.output.rows == groups, "integrated_gradients: ", at.output.rows, " outputs for ", groups,
                " groups, each needs one");
        std::copy(at.output.begin(), at.output.end(), result.outputs.row(k));
        for (std::size_t i = 0; i < total.size(); ++i) total[i] += points.weights[k] * at.gradient[i];
        result.gradients.push_back(at.gradient);
    }
    const Matrix at_x = gradient_at(output, x).output, at_baseline = gradient_at(output, baseline).output;
    const std::size_t size = x.size() / groups;  // numbers of a group
    for (int g = 0; g < groups; ++g) {
        double sum = 0;
        for (std::size_t i = g * size; i < (g + 1) * size; ++i) {
            const double attribution = (static_cast<double>(x[i]) - baseline[i]) * total[i];  // [IG 3]
            result.attributions[i] = static_cast<float>(attribution);
            sum += attribution;
        }
        result.delta.push_back(static_cast<float>(sum - (static_cast<double>(at_x[g]) - at_baseline[g])));
    }
    return result;
}

// --- summaries ---

Matrix row_totals(const Matrix& attributions) {
    Matrix totals(attributions.rows, 1);
    for (int i = 0; i < attributions.rows; ++i) {
        double sum = 0;
        for (int j = 0; j < attributions.cols; ++j) sum += attributions(i, j);
        totals(i, 0) = static_cast<float>(sum);
    }
    return totals;
}

Matrix normalised_totals(const Matrix& attributions, int groups) {
    require(groups > 0 && attributions.rows % groups == 0, "integrated_gradients: ", groups, " groups of the rows of ",
            attributions, ", all must have the same number of rows");
    Matrix totals = row_totals(attributions);
    const int length = attributions.rows / groups;
    for (int g = 0; g < groups; ++g) {
        double squares = 0;
        for (int t = 0; t < length; ++t) squares += static_cast<double>(totals[g * length + t]) * totals[g * length + t];
        const double norm = std::sqrt(squares);
        for (int t = 0; t < length && norm > 0; ++t) totals[g * length + t] = static_cast<float>(totals[g * length + t] / norm);
    }
    return totals;
}

}  // namespace integrated_gradients
