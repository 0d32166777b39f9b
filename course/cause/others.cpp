#include "course/cause/others.h"

#include <algorithm>
#include <cmath>

// How another value is broadcast to the expected one: as it is, some rows repeated downwards, or a column repeated sideways.
static bool can_repeat(const Matrix& other, const Matrix& m) {
    const bool downwards = other.rows > 0 && m.rows % other.rows == 0 && other.cols == m.cols;
    const bool sideways = other.cols == 1 && other.rows == m.rows;
    return downwards || sideways;
}
static float repeated(const Matrix& other, int i, int j) { return other(i % other.rows, other.cols == 1 ? 0 : j); }

// The number of another value at the same index; the shape may differ.
static bool same_count(const Matrix& other, const Matrix& m) { return other.size() == m.size(); }

std::string equal_to_another(const Compared& c) {
    for (const auto& [name, other] : c.known.others) {
        if (!same_count(other, c.ours)) continue;
        const auto near = [](float x, float y) { return fits(x, y); };
        if (c.evidence < 1 || !std::equal(c.ours.begin(), c.ours.end(), other.begin(), near)) continue;
        // Whole numbers (masks, ranks) may be equal by accident unless there are many.
        const bool whole = std::all_of(c.ours.begin(), c.ours.end(), [](float x) { return x == std::round(x); });
        const bool enough = whole ? c.ours.size() >= 24 : c.ours.size() == 1 || c.evidence >= 2;
        if (enough) return "fits: yours is what " + name + " should be";
    }
    return "";
}

// Whether ours is everywhere the expected number plus sign times the other one, whose rows 0 ... period - 1 repeat downwards.
static bool differs_by(const Compared& c, const Matrix& other, int period, int sign) {
    for (int i = 0; i < c.ours.rows; ++i)
        for (int j = 0; j < c.ours.cols; ++j) {
            const double o = other(i % period, other.cols == 1 ? 0 : j);
            const double slack = 4e-6 + 3e-5 * (std::abs(c.expected(i, j)) + std::abs(o));
            if (std::abs(static_cast<double>(c.ours(i, j)) - c.expected(i, j) - sign * o) > slack) return false;
        }
    return true;
}

std::string forgotten_or_too_many(const Compared& c) {
    if (c.evidence < (c.expected.size() == 1 ? 1 : 2)) return "";
    const int R = c.expected.rows;
    for (const auto& [name, other] : c.known.others) {
        if (other.cols != c.expected.cols && !(other.cols == 1 && other.rows == R)) continue;
        for (int period = std::min(R, other.rows); period >= 1; --period) {
            if (R % period != 0 || (other.rows > period && period < 2)) continue;  // a single row out of many is weak evidence
            const std::string part = other.rows > period ? "the first " + std::to_string(period) + " rows of " + name : name;
            const std::string how = period == R ? "" : period == 1 ? " in every row" : ", repeated";
            if (differs_by(c, other, period, -1)) return "fits: yours = expected - " + part + how + ": it is missing";
            if (differs_by(c, other, period, 1)) return "fits: yours = expected + " + part + how + ": one too many";
        }
    }
    return "";
}

std::string factor_forgotten(const Compared& c) {
    if (c.evidence < 3) return "";
    for (const auto& [name, other] : c.known.others) {
        if (!can_repeat(other, c.expected)) continue;
        bool forgotten = true, too_many = true;
        for (int i = 0; i < c.ours.rows && (forgotten || too_many); ++i)
            for (int j = 0; j < c.ours.cols && (forgotten || too_many); ++j) {
                const double o = repeated(other, i, j);
                forgotten = forgotten && fits(c.expected(i, j), c.ours(i, j) * o);
                too_many = too_many && fits(c.ours(i, j), c.expected(i, j) * o);
            }
        if (forgotten) return "fits: expected = yours * " + name + ": a factor is missing";
        if (too_many) return "fits: yours = expected * " + name + ": a factor too many";
    }
    return "";
}

std::string other_mean_or_sum(const Compared& c) {
    if (c.expected.size() != 1 || c.evidence < 1) return "";
    for (const auto& [name, other] : c.known.others) {
        if (other.size() < 2) continue;
        double sum = 0;
        for (const float x : other) sum += x;
        const double mean = sum / static_cast<double>(other.size());
        const auto close = [&](double x) { return std::abs(c.ours[0] - x) <= 2e-6 + 1e-5 * std::abs(x) && std::abs(x) > 1e-3; };
        if (close(mean)) return "fits: yours is the mean of all of " + name;
        if (close(sum)) return "fits: yours is the sum of all of " + name;
    }
    return "";
}
