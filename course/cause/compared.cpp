#include "course/cause/compared.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <utility>

bool agree(float ours, float expected) {
    if (ours == expected) return true;
    return std::isfinite(expected) && std::abs(ours - expected) <= 1e-5f + 1e-4f * std::abs(expected);
}

static double allowed(double b) { return 3e-6 + 1e-4 * std::abs(b); }

Compared::Compared(const Matrix& ours, const Matrix& expected, const Known& known)
    : ours(ours), expected(expected), known(known) {
    if (!same_shape(ours, expected)) return;
    std::set<std::pair<float, float>> pairs;
    std::set<float> our_values, expected_values;  // where they are far apart
    for (std::size_t k = 0; k < ours.size(); ++k) {
        if (agree(ours[k], expected[k])) continue;
        differing.push_back(k);
        pairs.insert({ours[k], expected[k]});
        const double distance = std::abs(static_cast<double>(ours[k]) - expected[k]);
        if (!(distance > 20 * allowed(expected[k]))) continue;
        our_values.insert(ours[k]);
        expected_values.insert(expected[k]);
    }
    distinct = static_cast<int>(pairs.size());
    evidence = static_cast<int>(std::min(our_values.size(), expected_values.size()));
}

bool fits(double a, double b) { return std::abs(a - b) <= allowed(b); }

bool fits(const Matrix& a, const Matrix& b) {
    if (!same_shape(a, b)) return false;
    return std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) { return fits(x, y); });
}

std::string short_number(double number) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.4g", number);
    return buffer;
}

// Expressions of a size s that mistakes produce, likeliest first. For small sizes only the root, because other expressions fit by
// accident: 2 / 3 is (s - 1) / s for any size of 3.
static std::vector<std::pair<double, std::string>> made_of(const std::string& name, double s) {
    const bool whole = s == std::floor(s);
    if (whole && s < 2) return {};
    if (whole && s < 5) return {{std::sqrt(s), "sqrt(" + name + ")"}, {1 / std::sqrt(s), "1 / sqrt(" + name + ")"}};
    std::vector<std::pair<double, std::string>> made{{s, name}, {1 / s, "1 / " + name}};
    if (!whole) return made;
    made.insert(made.end(), {{std::sqrt(s), "sqrt(" + name + ")"},
                             {1 / std::sqrt(s), "1 / sqrt(" + name + ")"},
                             {(s - 1) / s, "(" + name + " - 1) / " + name},
                             {s / (s - 1), name + " / (" + name + " - 1)"},
                             {std::sqrt((s - 1) / s), "sqrt((" + name + " - 1) / " + name + ")"},
                             {std::sqrt(s / (s - 1)), "sqrt(" + name + " / (" + name + " - 1))"}});
    return made;
}

std::string named_factor(double factor, const std::map<std::string, double>& sizes, double relative) {
    const std::pair<double, const char*> plain[] = {{-1, "the sign"},    {2, "twice"},         {0.5, "half"},
                                                    {-2, "minus twice"}, {-0.5, "minus half"}, {4, "four times"},
                                                    {0.25, "a quarter"}};
    for (const auto& [value, words] : plain)
        if (std::abs(factor - value) <= relative * std::abs(value)) return short_number(factor) + ", " + words;
    const double size = std::abs(factor);
    const std::string sign = std::signbit(factor) ? "-" : "";
    std::string names, values;
    std::set<double> seen;  // equal sizes only once
    for (const auto& [name, s] : sizes) {
        if (seen.count(s) > 0) continue;
        for (const auto& [value, words] : made_of(name, s)) {
            if (std::abs(size - value) > relative * value) continue;
            names += (names.empty() ? "" : " or ") + sign + words;
            values += ", " + name + " = " + short_number(s);
            seen.insert(s);
            break;
        }
        if (seen.size() == 3) break;  // a longer list is not informative
    }
    if (!names.empty()) return short_number(factor) + " = " + names + values;
    for (int q = 1; q <= 12; ++q)  // a small fraction suggests a different count
        for (int p = 1; p <= 12; ++p)
            if (p != q && std::abs(size - static_cast<double>(p) / q) <= relative * p / q)
                return short_number(factor) +
                       (q == 1 ? ", a whole number" : " = " + sign + std::to_string(p) + " / " + std::to_string(q));
    return "";
}

std::string factor_text(double factor, const std::map<std::string, double>& sizes) {
    const std::string named = named_factor(factor, sizes);
    return named.empty() ? short_number(factor) : named;
}
