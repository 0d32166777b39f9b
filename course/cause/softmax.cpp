#include "course/cause/softmax.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

static double row_sum(const Matrix& m, int i) {
    double sum = 0;
    for (int j = 0; j < m.cols; ++j) sum += m(i, j);
    return sum;
}

bool rows_are_probabilities(const Matrix& m) {
    if (m.cols < 2 || m.rows < 2) return false;
    bool any = false;
    for (int i = 0; i < m.rows; ++i) {
        for (int j = 0; j < m.cols; ++j)
            if (!(m(i, j) >= 0)) return false;
        const double sum = row_sum(m, i);
        if (std::abs(sum - 1) > 1e-3 && sum != 0) return false;
        any = any || sum > 0;
    }
    return any;
}

// Large enough that its logarithm is accurate to a thousandth.
static bool telling(float p) { return p > 1e-4f; }

std::string weights_everywhere_equal(const Compared& c) {
    if (c.distinct < 3) return "";
    for (int i = 0; i < c.ours.rows; ++i) {
        float seen = 0;
        for (int j = 0; j < c.ours.cols; ++j) {
            if (c.ours(i, j) == 0) continue;
            if (seen != 0 && std::abs(c.ours(i, j) - seen) > 1e-6f) return "";
            seen = c.ours(i, j);
        }
    }
    return "fits: in each row all of your weights are equal, as if every score were the same";
}

// log ours = factor log expected + a constant of the row, with one factor for all rows
std::string scores_were_scaled(const Compared& c) {
    double xx = 0, xy = 0;
    int rows = 0, elements = 0;
    std::vector<std::pair<double, double>> points;  // (log expected, log ours), each less the mean of its row
    for (int i = 0; i < c.ours.rows; ++i) {
        std::vector<std::pair<double, double>> row;
        double mean_x = 0, mean_y = 0;
        for (int j = 0; j < c.ours.cols; ++j) {
            if ((c.ours(i, j) == 0) != (c.expected(i, j) == 0)) return "";  // another mask
            if (!telling(c.ours(i, j)) || !telling(c.expected(i, j))) continue;
            row.push_back({std::log(c.expected(i, j)), std::log(c.ours(i, j))});
            mean_x += row.back().first, mean_y += row.back().second;
        }
        if (row.size() < 2) continue;
        ++rows;
        for (const auto& [x, y] : row) {
            const double dx = x - mean_x / static_cast<double>(row.size()), dy = y - mean_y / static_cast<double>(row.size());
            points.push_back({dx, dy});
            xx += dx * dx, xy += dx * dy;
            ++elements;
        }
    }
    if (elements - rows < 4 || xx < 1e-6) return "";
    const double factor = xy / xx;
    if (std::abs(factor - 1) < 1e-3) return "";
    for (const auto& [x, y] : points)
        if (std::abs(y - factor * x) > 2e-3 + 2e-3 * std::abs(y)) return "";
    const std::string named = named_factor(factor, c.known.sizes, 1e-3);
    return "fits: your weights are those of scores multiplied by " + (named.empty() ? short_number(factor) : named);
}

// Whether d_ij = a_i + b_j for all known (not NaN) elements of a block. a and b are found by walking from element to element.
//   returns  the number of elements beyond those needed to find a and b, no value when one contradicts
static std::optional<int> additive(const std::vector<double>& d, int rows, int cols) {
    std::vector<double> a(rows, NAN), b(cols, NAN);
    for (double& start : a) {
        if (!std::isnan(start)) continue;
        start = 0;
        for (bool found = true; found;) {
            found = false;
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < cols; ++j) {
                    const double x = d[i * cols + j];
                    if (std::isnan(x) || std::isnan(a[i]) == std::isnan(b[j])) continue;
                    found = true;
                    if (std::isnan(b[j]))
                        b[j] = x - a[i];
                    else
                        a[i] = x - b[j];
                }
        }
    }
    int known = 0, needed = 0;
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < cols; ++j) {
            const double x = d[i * cols + j];
            if (std::isnan(x)) continue;
            ++known;
            if (std::abs(x - a[i] - b[j]) > 5e-3) return std::nullopt;
        }
    for (const double x : a) needed += !std::isnan(x);
    for (const double x : b) needed += !std::isnan(x);
    return std::max(known - needed + 1, 0);
}

static double log_ratio(float ours, float expected) {
    return telling(ours) && telling(expected) ? std::log(ours) - std::log(expected) : NAN;
}

// softmax of s^T: log ours_ij - log expected_ji is a constant of the row plus one of the column.
std::string scores_were_transposed(const Compared& c) {
    const int T = c.ours.cols;
    if (T < 3 || c.ours.rows % T != 0 || !rows_are_probabilities(c.ours)) return "";
    int checked = 0;
    for (int first = 0; first < c.ours.rows; first += T) {
        std::vector<double> d(static_cast<std::size_t>(T) * T);
        for (int i = 0; i < T; ++i)
            for (int j = 0; j < T; ++j) d[i * T + j] = log_ratio(c.ours(first + i, j), c.expected(first + j, i));
        const std::optional<int> more = additive(d, T, T);
        if (!more) return "";
        checked += *more;
    }
    return checked < 6 ? "" : "fits: your weights are those of the transposed scores: queries and keys are exchanged";
}

// Whether in every block of `block` rows each column sums to 1 (to 0 where all of it is masked), and log ours - log expected is a
// constant of the row plus one of the column, which at least two elements confirm.
static bool columns_are_probabilities(const Compared& c, int block) {
    const int T = c.ours.cols;
    int checked = 0;
    for (int first = 0; first < c.ours.rows; first += block) {
        std::vector<double> d, sums(T);
        for (int i = first; i < first + block; ++i)
            for (int j = 0; j < T; ++j) {
                d.push_back(log_ratio(c.ours(i, j), c.expected(i, j)));
                sums[j] += c.ours(i, j);
            }
        if (std::any_of(sums.begin(), sums.end(), [](double sum) { return sum != 0 && std::abs(sum - 1) > 1e-3; })) return false;
        const std::optional<int> more = additive(d, block, T);
        if (!more) return false;
        checked += *more;
    }
    return checked >= 2;
}

std::string softmax_over_columns(const Compared& c) {
    for (const int block : {c.ours.cols, c.ours.rows})
        if (c.ours.rows % block == 0 && columns_are_probabilities(c, block))
            return "fits: your columns sum to 1, not your rows: softmax over the wrong axis";
    return "";
}

// The region of square blocks that `changed` marks; it has a name only when all of it is marked or masked in both.
static std::string region_of(const Compared& c, const Matrix& changed) {
    const int T = changed.cols;
    if (changed.rows % T != 0) return "";
    bool above = true, next = true, diagonal = true, below = true;
    for (int i = 0; i < changed.rows; ++i)
        for (int j = 0; j < T; ++j) {
            const int ahead = j - i % T;
            const bool marked = changed(i, j) != 0, open = !marked && (c.ours(i, j) != 0 || c.expected(i, j) != 0);
            above = above && !(marked ? ahead <= 0 : open && ahead > 0);
            next = next && !(marked ? ahead != 1 : open && ahead == 1);
            diagonal = diagonal && !(marked ? ahead != 0 : open && ahead == 0);
            below = below && !(marked ? ahead >= 0 : open && ahead < 0);
        }
    if (diagonal) return "on the diagonal: each token and itself";
    if (next) return "right above the diagonal: each token and the next one, a causal mask off by one";
    if (above) return "above the diagonal: the future";
    return below ? "below the diagonal: the past" : "";
}

std::string mask_other_way_round(const Compared& c) {
    if (!rows_are_probabilities(c.ours)) return "";
    int both = 0, zeros = 0, others_zeros = 0;
    for (std::size_t k = 0; k < c.ours.size(); ++k) {
        both += c.ours[k] != 0 && c.expected[k] != 0;
        if (c.ours[k] == 0 && c.expected[k] == 0) return "";
        zeros += c.ours[k] == 0;
        others_zeros += c.expected[k] == 0;
    }
    // Both may allow only the diagonal, one element of each row.
    if (both > c.ours.rows || zeros < 3 || others_zeros < 3) return "";
    return "fits: your mask is the other way round: you attend where expected is 0, and not where it is not";
}

// Where both allow, ours is the expected row times a constant: the same scores under another mask.
std::string mask_differs(const Compared& c) {
    Matrix more(c.ours.rows, c.ours.cols), fewer(c.ours.rows, c.ours.cols);
    int added = 0, missing = 0, checked = 0;
    if (!rows_are_probabilities(c.ours)) return "";
    for (int i = 0; i < c.ours.rows; ++i) {
        double ratio = 0;
        for (int j = 0; j < c.ours.cols; ++j) {
            const float p = c.ours(i, j), q = c.expected(i, j);
            if (p != 0 && q == 0) more(i, j) = 1, ++added;
            if (p == 0 && q > 1e-6f) fewer(i, j) = 1, ++missing;
            if (!telling(p) || !telling(q)) continue;
            if (ratio == 0) {
                ratio = p / q;
                continue;
            }
            if (std::abs(p / q - ratio) > 2e-3 * ratio) return "";
            ++checked;
        }
    }
    if (checked < 3 || (added == 0 && missing == 0)) return "";
    std::string sentence;
    if (added > 0) {
        const std::string where = region_of(c, more);
        sentence = "you attend to positions that the mask excludes" + (where.empty() ? "" : ", " + where);
    }
    if (missing > 0) {
        const std::string where = region_of(c, fewer);
        sentence += std::string(sentence.empty() ? "" : "; ") + "you exclude positions that may be attended to" +
                    (where.empty() ? "" : ", " + where);
    }
    return "fits: " + sentence + "; the scores themselves are right";
}

std::string weights_taken_away_after(const Compared& c) {
    int checked = 0;
    double least = INFINITY;
    for (int i = 0; i < c.ours.rows; ++i) {
        double ratio = 0;
        for (int j = 0; j < c.ours.cols; ++j) {
            const float p = c.ours(i, j), q = c.expected(i, j);
            if ((p == 0) != (q == 0) && std::max(p, q) > 1e-6f) return "";
            if (!telling(p) || !telling(q)) continue;
            if (ratio != 0 && std::abs(p / q - ratio) > 2e-3 * ratio) return "";
            checked += ratio != 0;
            ratio = p / q;
            if (ratio > 1 + 1e-4) return "";
            least = std::min(least, ratio);
        }
    }
    if (checked < 3 || least > 0.999) return "";
    return "fits: rows of yours sum to less than 1, down to " + short_number(least) +
           ": weights were masked after the softmax instead of scores before it";
}
