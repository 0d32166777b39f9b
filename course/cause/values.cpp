#include "course/cause/values.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <vector>

// --- a function of the expected number ---

namespace {
struct Function {
    const char* name;
    double (*f)(double);
};
double logarithm(double x) { return x > 0 ? std::log(x) : NAN; }
double minus_logarithm(double x) { return -logarithm(x); }
double exponential(double x) { return std::exp(x); }
double exponential_of_minus(double x) { return std::exp(-x); }
double square_of(double x) { return x * x; }
double absolute(double x) { return std::abs(x); }
double positive_part(double x) { return std::max(x, 0.0); }
double reciprocal(double x) { return x != 0 ? 1 / x : NAN; }
double one_minus(double x) { return 1 - x; }
double reversed(double x) { return x > 0 ? -std::log(1 - std::exp(-x)) : NAN; }  // -log sigmoid(d) -> -log sigmoid(-d)
double hyperbolic_tangent(double x) { return std::tanh(x); }
double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double half_square(double x) { return x * x / 2; }
double minus_one(double x) { return std::exp(x) - 1; }
const Function functions[] = {{"the logarithm of", logarithm},
                              {"minus the logarithm of", minus_logarithm},
                              {"exp of", exponential},
                              {"exp of minus", exponential_of_minus},
                              {"the square of", square_of},
                              {"half the square of", half_square},
                              {"the absolute value of", absolute},
                              {"the reciprocal of", reciprocal},
                              {"1 minus", one_minus},
                              {"exp, less 1, of", minus_one},
                              {"tanh of", hyperbolic_tangent},
                              {"the sigmoid of", logistic},
                              {"-log sigmoid with the sign reversed, -log(1 - exp(-x)), of", reversed}};
}  // namespace

std::string function_of_expected(const Compared& c) {
    // For a mask, every wrong element is 1 minus the right one: informative only when all are wrong.
    const bool all_differ = c.differing.size() == c.expected.size() && c.expected.size() >= 4;
    if (c.evidence < (all_differ ? 2 : 3)) return "";
    for (const Function& function : functions) {
        bool ours_is = true, expected_is = true;
        for (const std::size_t k : c.differing) {
            ours_is = ours_is && fits(c.ours[k], function.f(c.expected[k]));
            expected_is = expected_is && fits(c.expected[k], function.f(c.ours[k]));
            if (!ours_is && !expected_is) break;
        }
        if (ours_is) return std::string("fits: yours is ") + function.name + " what is expected";
        if (expected_is) return std::string("fits: expected is ") + function.name + " yours: it is missing";
    }
    return "";
}

// --- another activation ---

namespace {
double gelu(double x) { return x * (1 + std::erf(x / std::sqrt(2.0))) / 2; }
double gelu_tanh(double x) { return x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x))) / 2; }
double gelu_quick(double x) { return x / (1 + std::exp(-1.702 * x)); }
double silu(double x) { return x / (1 + std::exp(-x)); }
const Function activations[] = {{"GELU (erf)", gelu},
                                {"GELU (tanh form)", gelu_tanh},
                                {"GELU (quick form)", gelu_quick},
                                {"SiLU", silu},
                                {"ReLU", positive_part}};
}  // namespace

// The solutions of f(x) = y, for an f that falls from 0 to its only minimum and then rises: none, one or two.
static std::vector<double> inverse(double (*f)(double), double y) {
    double low = -3, high = 0;  // the minimum, by ternary search
    while (high - low > 1e-9) {
        const double a = low + (high - low) / 3, b = high - (high - low) / 3;
        (f(a) < f(b) ? high : low) = f(a) < f(b) ? b : a;
    }
    const double valley = low;
    std::vector<double> places;
    if (y < f(valley)) return places;
    constexpr double far_away = 40;
    for (const double far : {-far_away, far_away}) {
        if (f(far) < y) continue;
        double below = valley, above = far;  // f(below) <= y <= f(above)
        while (std::abs(above - below) > 1e-12) {
            const double middle = (below + above) / 2;
            (f(middle) < y ? below : above) = middle;
        }
        places.push_back(below);
    }
    return places;
}

std::string other_activation(const Compared& c) {
    if (c.distinct < 8) return "";
    for (const Function& right : activations) {
        if (right.f == positive_part) continue;  // not invertible
        for (const Function& wrong : activations) {
            if (wrong.f == right.f) continue;
            int judged = 0;
            bool all = true;
            for (std::size_t n = 0; n < c.differing.size() && all; ++n) {
                const std::size_t k = c.differing[n];
                if (std::abs(c.expected[k]) > 30) continue;
                bool any = false;
                for (const double x : inverse(right.f, c.expected[k]))
                    any = any || std::abs(wrong.f(x) - c.ours[k]) <= 2e-6 + 2e-5 * std::abs(x);
                // Near the minimum a rounded y determines x poorly: only a large distance counts.
                if (!any && c.expected[k] < -0.1)
                    any = std::abs(c.ours[k] - c.expected[k]) < 0.2;
                else
                    ++judged;
                all = any;
            }
            if (all && judged >= 8) return std::string("fits: yours is ") + wrong.name + " where " + right.name + " is expected";
        }
    }
    return "";
}

// --- multiples ---

std::string multiple_of_expected(const Compared& c) {
    double product = 0, square = 0;  // their quotient is the factor that brings the expected numbers nearest to ours
    for (const std::size_t k : c.differing) {
        product += static_cast<double>(c.ours[k]) * c.expected[k];
        square += static_cast<double>(c.expected[k]) * c.expected[k];
    }
    if (product == 0) return "";
    const double factor = product / square;
    for (const std::size_t k : c.differing)
        if (!fits(c.ours[k], factor * c.expected[k])) return "";
    const bool everywhere = c.differing.size() == c.expected.size();
    const std::string equation = everywhere ? "fits: yours = expected * " : "fits: where it differs, yours = expected * ";
    if (c.distinct >= 3) return equation + factor_text(factor, c.known.sizes);
    // A single number is a multiple of any other: only an exact factor with a name is informative.
    const std::string named = named_factor(factor, c.known.sizes, 1e-5);
    return named.empty() ? "" : equation + named;
}

std::string shifted_by_a_number(const Compared& c) {
    if (c.evidence < 3) return "";
    double sum = 0;
    for (const std::size_t k : c.differing) sum += static_cast<double>(c.ours[k]) - c.expected[k];
    const double shift = sum / static_cast<double>(c.differing.size());
    for (const std::size_t k : c.differing)
        if (std::abs(c.ours[k] - c.expected[k] - shift) > 2e-6 + 1e-6 * std::abs(c.expected[k])) return "";
    std::string amount = factor_text(std::abs(shift), c.known.sizes);
    if (amount.find('=') == std::string::npos) amount = amount.substr(0, amount.find(','));  // a sum is not "twice" or "half"
    const bool everywhere = c.differing.size() == c.expected.size();
    return std::string(everywhere ? "fits: yours = expected" : "fits: where it differs, yours = expected") +
           (shift < 0 ? " - " : " + ") + amount;
}

// --- scaled around a centre, as by a norm ---

namespace {
struct Line {
    double slope, offset;
};
}  // namespace

// y = slope x + offset through all points: only when it goes through each, and there are at least four.
static std::optional<Line> line_through(const std::vector<double>& x, const std::vector<double>& y) {
    double mean_x = 0, mean_y = 0, xx = 0, xy = 0, largest = 0;
    const double n = static_cast<double>(x.size());
    for (std::size_t k = 0; k < x.size(); ++k) mean_x += x[k] / n, mean_y += y[k] / n;
    for (std::size_t k = 0; k < x.size(); ++k) {
        const double dx = x[k] - mean_x;
        xx += dx * dx, xy += dx * y[k];
        largest = std::max(largest, std::abs(y[k]));
    }
    if (x.size() < 4 || xx < 1e-8) return std::nullopt;
    const Line line{xy / xx, mean_y - xy / xx * mean_x};
    for (std::size_t k = 0; k < x.size(); ++k)
        if (std::abs(line.slope * x[k] + line.offset - y[k]) > 2e-6 + 2e-5 * largest) return std::nullopt;
    return line;
}

static std::vector<double> column(const Matrix& m, int j) {
    std::vector<double> numbers;
    for (int i = 0; i < m.rows; ++i) numbers.push_back(m(i, j));
    return numbers;
}

std::string stretched_columns(const Compared& c) {
    const int D = c.expected.cols;
    if (D < 2) return "";
    std::vector<double> slopes;
    for (int j = 0; j < D; ++j) {
        const std::optional<Line> line = line_through(column(c.expected, j), column(c.ours, j));
        if (!line) return "";
        slopes.push_back(line->slope);
        if (std::abs(line->slope - slopes.front()) > 5e-4 * std::abs(slopes.front())) return "";
    }
    // The mean slope is more accurate than that of each column.
    const double slope = std::accumulate(slopes.begin(), slopes.end(), 0.0) / D;
    if (std::abs(slope - 1) < 1e-5) return "fits: every column is shifted by its own constant";
    return "fits: in every column yours = expected * " + factor_text(slope, c.known.sizes) +
           " around a constant: the spread is measured differently";
}

// Whether every differing row is a multiple of the expected one, after subtracting `center` from both.
static bool rows_are_multiples(const Compared& c, const Matrix& center, double& least, double& most) {
    least = 1e30, most = -1e30;
    std::set<int> rows;
    for (const std::size_t k : c.differing) rows.insert(c.row(k));
    for (const int i : rows) {
        double product = 0, square = 0, largest = 0;
        for (int j = 0; j < c.expected.cols; ++j) {
            const double x = c.expected(i, j) - center(0, j), y = c.ours(i, j) - center(0, j);
            product += x * y, square += x * x;
            largest = std::max({largest, std::abs(x), std::abs(y)});
        }
        if (square == 0) return false;
        const double factor = product / square;
        for (int j = 0; j < c.expected.cols; ++j)
            if (std::abs(c.ours(i, j) - center(0, j) - factor * (c.expected(i, j) - center(0, j))) > 2e-6 + 5e-5 * largest)
                return false;
        least = std::min(least, factor), most = std::max(most, factor);
    }
    return true;
}

std::string stretched_rows(const Compared& c) {
    const int D = c.expected.cols;
    if (D < 4 || c.evidence < 4) return "";
    double least, most;
    const auto words = [&](const std::string& around) {
        return "fits: every row that differs has its own factor, " + short_number(least) + " to " + short_number(most) + around +
               ": what the row is divided by is measured differently (an eps, a sum, a norm)";
    };
    if (rows_are_multiples(c, Matrix(1, D), least, most)) return words("");
    for (const auto& [name, other] : c.known.others)
        if (other.rows == 1 && other.cols == D && rows_are_multiples(c, other, least, most)) return words(", around " + name);
    return "";
}

std::string norm_forgotten(const Compared& c) {
    const int R = c.expected.rows, D = c.expected.cols;
    if (D < 4 || R < 6) return "";
    const auto normalised = [&](const Matrix& m) {
        Matrix result(m.rows, m.cols);
        for (int i = 0; i < m.rows; ++i) {
            std::vector<double> row(m.row(i), m.row(i + 1));
            const double mean = std::accumulate(row.begin(), row.end(), 0.0) / D;
            for (double& x : row) x -= mean;
            const double length = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 1e-12));
            std::transform(row.begin(), row.end(), result.row(i), [&](double x) { return static_cast<float>(x / length); });
        }
        return result;
    };
    const auto is_norm_of = [&](const Matrix& after, const Matrix& before) {
        const Matrix x = normalised(before);
        for (int j = 0; j < D; ++j) {
            const std::vector<double> from = column(x, j), to = column(after, j);
            double a = 0, b = 0, xx = 0, xy = 0;
            for (int i = 0; i < R; ++i) a += from[i] / R, b += to[i] / R;
            for (int i = 0; i < R; ++i) {
                const double dx = from[i] - a;
                xx += dx * dx, xy += dx * to[i];
            }
            if (xx < 1e-6) return false;
            for (int i = 0; i < R; ++i)
                if (std::abs(b + xy / xx * (from[i] - a) - to[i]) > 2e-4) return false;
        }
        return true;
    };
    if (is_norm_of(c.expected, c.ours)) return "fits: expected is the layer norm of yours: a norm is missing";
    if (is_norm_of(c.ours, c.expected)) return "fits: yours is the layer norm of what is expected: a norm too many";
    return "";
}

std::string only_small_differences(const Compared& c) {
    double worst = 0, largest = 0;
    for (const float x : c.expected) largest = std::max(largest, static_cast<double>(std::abs(x)));
    for (const std::size_t k : c.differing) worst = std::max(worst, std::abs(static_cast<double>(c.ours[k]) - c.expected[k]));
    if (worst > 2e-3 * largest || c.differing.size() < 3) return "";
    return "differs only by " + short_number(100 * worst / largest) +
           " % of the largest number: a constant or an approximation (eps, which GELU, precision) rather than the structure";
}
