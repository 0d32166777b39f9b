#include "nn/layers/mask.h"

#include <exception>

#include "nn/base/require.h"

static MayAttend nothing_allowed(int queries, int keys) {
    require(queries >= 0 && keys >= 0, "MayAttend: a table of ", queries, " x ", keys, ", neither may be negative");
    MayAttend may{.queries = queries, .keys = keys, .table = {}};
    try {
        may.table.resize(static_cast<std::size_t>(queries) * keys);
    } catch (const std::exception&) {  // std::bad_alloc, std::length_error
        require(false, "MayAttend: no memory for a table of ", queries, " x ", keys, "; make it smaller, or in pieces");
    }
    return may;
}

static void set(MayAttend& may, int query, int key, bool allowed) {
    may.table[static_cast<std::size_t>(query) * may.keys + key] = allowed;
}

static void require_ones_and_zeros(const char* place, const Matrix& m) {
    for (const float x : m) require(x == 0 || x == 1, place, ": a mask holds 1 (may) and 0 (may not), not ", x);
}

MayAttend may_attend(const Matrix& ones_and_zeros) {
    require_ones_and_zeros("may_attend", ones_and_zeros);
    MayAttend may = nothing_allowed(ones_and_zeros.rows, ones_and_zeros.cols);
    for (int i = 0; i < may.queries; ++i)
        for (int j = 0; j < may.keys; ++j) set(may, i, j, ones_and_zeros(i, j) == 1);
    return may;
}

MayAttend causal(int queries, int keys) {
    require(queries <= keys, "causal: ", queries, " queries are the last of only ", keys, " keys");
    MayAttend may = nothing_allowed(queries, keys);
    const int in_cache = keys - queries;
    for (int i = 0; i < queries; ++i)
        for (int j = 0; j <= in_cache + i; ++j) set(may, i, j, true);
    return may;
}

MayAttend padding(const Matrix& mask) {
    require_ones_and_zeros("padding", mask);
    const int B = mask.rows, T = mask.cols;
    MayAttend may = nothing_allowed(B * T, T);
    for (int b = 0; b < B; ++b)
        for (int i = 0; i < T; ++i)
            for (int j = 0; j < T; ++j) set(may, b * T + i, j, mask(b, j) == 1);
    return may;
}

MayAttend prefix(int length, int prefix) {
    require(prefix >= 0 && prefix <= length, "prefix: ", prefix, " tokens of ", length, ", it must be 0 to that many");
    MayAttend may = causal(length, length);
    for (int i = 0; i < length; ++i)
        for (int j = 0; j < prefix; ++j) set(may, i, j, true);
    return may;
}

MayAttend window(int length, int before, int after) {
    require(before >= 0 && after >= 0, "window: ", before, " before and ", after, " after, neither may be negative");
    MayAttend may = nothing_allowed(length, length);
    for (int i = 0; i < length; ++i)
        for (int j = 0; j < length; ++j) set(may, i, j, j - i <= after && i - j <= before);
    return may;
}

MayAttend same_span(const std::vector<int>& span_of_token) {
    const int length = static_cast<int>(span_of_token.size());
    MayAttend may = nothing_allowed(length, length);
    for (int i = 0; i < length; ++i)
        for (int j = 0; j < length; ++j) set(may, i, j, span_of_token[i] == span_of_token[j]);
    return may;
}

MayAttend operator&(const MayAttend& a, const MayAttend& b) {
    for (const MayAttend* const may : {&a, &b})
        require(may->allows_all() || may->table.size() == static_cast<std::size_t>(may->queries) * may->keys,
                "MayAttend &: the table of ", may->queries, " x ", may->keys, " holds ", may->table.size(),
                " entries, one for each pair is needed");
    if (a.allows_all()) return b;
    if (b.allows_all()) return a;
    const MayAttend& longer = a.queries >= b.queries ? a : b;
    const MayAttend& shorter = a.queries >= b.queries ? b : a;
    require(a.keys == b.keys && longer.queries % shorter.queries == 0, "MayAttend &: a table of ", a.queries, " x ", a.keys,
            " and one of ", b.queries, " x ", b.keys,
            " do not fit; both must have the same number of keys, and one a whole multiple of the other's queries");
    MayAttend both = longer;
    for (int i = 0; i < both.queries; ++i)
        for (int j = 0; j < both.keys; ++j) set(both, i, j, longer(i, j) && shorter(i % shorter.queries, j));
    return both;
}
