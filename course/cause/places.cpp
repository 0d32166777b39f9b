#include "course/cause/places.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

// The sizes into which n rows may be grouped, the whole first, then the smaller ones.
static std::vector<int> groups_of(int n) {
    std::vector<int> groups;
    for (int g = n; g >= 2; --g)
        if (n % g == 0) groups.push_back(g);
    return groups;
}

//   row  "row" or "column"
static std::string in_groups(int group, int rows, const std::string& row) {
    return group == rows ? "" : " in every group of " + std::to_string(group) + " " + row + "s";
}

// --- the right numbers in the wrong positions ---

std::string transposed_blocks(const Compared& c) {
    if (c.ours.rows == c.expected.cols && c.ours.cols == c.expected.rows && !same_shape(c.ours, c.expected))
        return fits(c.ours, transpose(c.expected)) ? "fits: yours is the transpose of what is expected" : "";
    const int T = c.expected.cols;
    if (c.evidence < 4 || T < 2 || c.expected.rows % T != 0) return "";
    for (int i = 0; i < c.ours.rows; ++i)
        for (int j = 0; j < T; ++j)
            if (!fits(c.ours(i, j), c.expected(i / T * T + j, i % T))) return "";
    return c.expected.rows == T ? "fits: yours is the transpose of what is expected"
                                : "fits: every block of " + std::to_string(T) + " rows is the transpose of what is expected";
}

static bool row_fits(const Matrix& a, int i, const Matrix& b, int k) {
    return std::equal(a.row(i), a.row(i + 1), b.row(k), [](float x, float y) { return fits(x, y); });
}

// Row i of ours is row from[i] of the expected; {} when a row of ours matches none, or several.
static std::vector<int> row_order(const Matrix& ours, const Matrix& expected) {
    std::vector<int> from, left(expected.rows);
    std::iota(left.begin(), left.end(), 0);
    for (const int i : std::vector<int>(left)) {
        const auto fits_here = [&](int k) { return row_fits(ours, i, expected, k); };
        auto row = std::find(left.begin(), left.end(), i);  // in its own position, if it is right there
        if (row == left.end() || !fits_here(i)) row = std::find_if(left.begin(), left.end(), fits_here);
        if (row == left.end()) return {};
        from.push_back(*row);
        left.erase(row);
    }
    return from;
}

static int moved(const std::vector<int>& from) {
    int count = 0;
    for (int i = 0; const int k : from) count += k != i++;
    return count;
}

// Whether row i is row order(i) of the expected, for every i.
template <class Order>
static bool is_order(const std::vector<int>& from, const Order& order) {
    for (int i = 0; const int k : from)
        if (k != order(i++)) return false;
    return true;
}

// "the first of each group comes last", for an order that is the same in every group; "" when it has no such name.
static std::string name_of_order(const std::vector<int>& from, const char* row) {
    const int n = static_cast<int>(from.size());
    for (const int g : groups_of(n)) {
        for (const int shift : {1, g - 1, 2, g - 2}) {
            if (!is_order(from, [&](int i) { return i / g * g + (i % g + shift) % g; })) continue;
            const std::string where = in_groups(g, n, row);
            if (shift == 1) return where + " the first " + row + " comes last";
            if (shift == g - 1) return where + " the last " + row + " comes first";
            return where + " every " + row + " is moved by " + std::to_string(std::min(shift, g - shift));
        }
        if (is_order(from, [&](int i) { return i / g * g + g - 1 - i % g; }))
            return in_groups(g, n, row) + " the order is reversed";
        // A group of p * q that was read as q * p: position a * q + b holds the element of position b * p + a.
        for (int p = 2; p <= g / 2; ++p) {
            if (g % p != 0) continue;
            const int q = g / p;
            if (is_order(from, [&](int i) { return i / g * g + i % g % q * p + i % g / q; }))
                return in_groups(g, n, row) + " the " + row + "s are " + std::to_string(q) + " by " + std::to_string(p) +
                       " and were read as " + std::to_string(p) + " by " + std::to_string(q);
        }
    }
    return "";
}

static std::string first_moved(const std::vector<int>& from, const char* row) {
    std::size_t i = 0;
    while (from[i] == static_cast<int>(i)) ++i;  // there is one
    return " in another order, " + std::to_string(moved(from)) + " of " + std::to_string(from.size()) + ": " + row + " " +
           std::to_string(i) + " of yours belongs at position " + std::to_string(from[i]);
}

std::string rows_moved(const Compared& c) {
    if (c.evidence < 3 || c.expected.rows > 2000) return "";
    const std::vector<int> from = row_order(c.ours, c.expected);
    if (from.empty()) return "";
    const std::string name = name_of_order(from, "row");
    return "fits: your rows are right but" + (name.empty() ? first_moved(from, "row") : " in other positions:" + name);
}

std::string columns_moved(const Compared& c) {
    if (c.evidence < 3 || c.expected.rows < 2 || c.expected.cols > 2000) return "";
    const std::vector<int> from = row_order(transpose(c.ours), transpose(c.expected));
    if (from.empty()) return "";
    const std::string name = name_of_order(from, "column");
    return "fits: your columns are right but" + (name.empty() ? first_moved(from, "column") : " in other positions:" + name);
}

static bool same_numbers(std::vector<float> a, std::vector<float> b) {
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    return std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) { return fits(x, y); });
}

std::string numbers_moved(const Compared& c) {
    if (c.evidence < 6) return "";
    bool in_rows = true;
    for (int i = 0; i < c.ours.rows && in_rows; ++i)
        in_rows = same_numbers({c.ours.row(i), c.ours.row(i + 1)}, {c.expected.row(i), c.expected.row(i + 1)});
    if (in_rows) return "fits: each row holds the right numbers in other columns";
    const bool all = same_numbers({c.ours.begin(), c.ours.end()}, {c.expected.begin(), c.expected.end()});
    return all ? "fits: all numbers are right, in other positions" : "";
}

// --- the positions of the wrong numbers ---

static std::string list(const std::set<int>& numbers) {
    std::string words;
    int count = 0;
    for (const int n : numbers) {
        if (count++ == 6) return words + " ...";
        words += (count > 1 ? ", " : " ") + std::to_string(n);
    }
    return words;
}

// "the last of each group of 9", when `places` are exactly that; the smallest group that explains all of them.
static std::string every_nth(const std::set<int>& places, int n) {
    if (places.size() < 2) return "";
    for (int g = 2; g < n; ++g) {
        if (n % g != 0 || places.size() != static_cast<std::size_t>(n / g)) continue;
        const int at = *places.begin() % g;
        if (!std::all_of(places.begin(), places.end(), [&](int i) { return i % g == at; })) continue;
        const std::string place = at == 0 ? "the first" : at == g - 1 ? "the last" : "number " + std::to_string(at);
        return place + " of each group of " + std::to_string(g);
    }
    return "";
}

std::string places_that_differ(const Compared& c) {
    if (c.differing.empty() || c.differing.size() == c.expected.size() || c.expected.size() < 4) return "";
    std::set<int> rows, cols;
    for (const std::size_t k : c.differing) rows.insert(c.row(k)), cols.insert(c.col(k));
    const int R = c.expected.rows, C = c.expected.cols;
    if (static_cast<int>(rows.size()) < R) {
        const std::string nth = every_nth(rows, R);
        if (nth.empty() && static_cast<int>(rows.size()) > R / 2) return "";  // nearly everywhere is not informative
        return "differs only in row" + std::string(rows.size() == 1 ? "" : "s") + list(rows) + (nth.empty() ? "" : ", " + nth);
    }
    if (static_cast<int>(cols.size()) < C) {
        const std::string nth = every_nth(cols, C);
        return "differs only in column" + std::string(cols.size() == 1 ? "" : "s") + list(cols) + (nth.empty() ? "" : ", " + nth);
    }
    return "";
}

std::string masked_places(const Compared& c) {
    if (c.differing.size() < 2 || c.differing.size() == c.expected.size()) return "";
    for (const auto& [name, other] : c.known.others) {
        // A number for each element, or one for each row.
        const bool each = other.size() == c.expected.size(), by_row = static_cast<int>(other.size()) == c.expected.rows;
        if ((!each && !by_row) || !std::all_of(other.begin(), other.end(), [](float x) { return x == 0 || x == 1; })) continue;
        bool at_zeros = false, at_ones = false;
        for (const std::size_t k : c.differing) (other[each ? k : c.row(k)] == 0 ? at_zeros : at_ones) = true;
        const std::set<float> values(other.begin(), other.end());
        if (values.size() == 1 || (at_zeros && at_ones)) continue;
        return "differs only where " + name + (at_zeros ? " is 0" : " is 1");
    }
    return "";
}
