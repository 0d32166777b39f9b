#include "nn/layers/relative_position.h"

#include <limits>

#include "nn/autograd/rearrange.h"

int relative_offsets(int rows, int cols) {
    constexpr long most = std::numeric_limits<int>::max();
    require(rows > 0 && cols > 0, "relative_offsets: a grid of ", rows, " x ", cols, " has no patches, both must be at least 1");
    const long down = 2 * long{rows} - 1, right = 2 * long{cols} - 1;
    require(down <= (most - 3) / right, "relative_offsets: a grid of ", rows, " x ", cols, " has ", down, " x ", right,
            " offsets, more than the 2147483647 rows of a matrix");
    return static_cast<int>(down * right + 3);
}

std::vector<int> relative_position_index(int rows, int cols) {
    require(rows > 0 && cols > 0, "relative_position_index: a grid of ", rows, " x ", cols,
            " has no patches, both must be at least 1");
    const int T = relative_offsets(rows, cols), N = rows * cols;
    require((long{N} + 1) * (long{N} + 1) <= std::numeric_limits<int>::max(), "relative_position_index: a grid of ", rows, " x ",
            cols, " has more pairs than the 2147483647 rows of a matrix; make it smaller");
    std::vector<int> index;
    index.reserve(static_cast<std::size_t>(N + 1) * (N + 1));
    index.push_back(T - 1);                              // [cls] to itself
    for (int k = 0; k < N; ++k) index.push_back(T - 3);  // [cls] to each patch
    for (int q = 0; q < N; ++q) {
        index.push_back(T - 2);  // a patch to [cls]
        for (int k = 0; k < N; ++k) {
            const int down = q / cols - k / cols;   // -(rows - 1) ... rows - 1: how far the query lies below the key
            const int right = q % cols - k % cols;  // -(cols - 1) ... cols - 1
            index.push_back((down + rows - 1) * (2 * cols - 1) + right + cols - 1);
        }
    }
    return index;
}

Var bias_of_pairs(const Var& table, const std::vector<int>& index, int keys, Where where) {
    const int pairs = static_cast<int>(index.size()), heads = table.cols();
    require(keys > 0 && pairs % keys == 0, where, "bias_of_pairs: ", pairs, " pairs are not a whole number of queries with ",
            keys, " keys each");
    const Var of_pairs = gather_rows(table, index, where);          // (queries * keys, H)
    const Var of_heads = transpose(of_pairs, where);                // (H, queries * keys)
    return reshape(of_heads, heads * (pairs / keys), keys, where);  // (H * queries, keys)
}

Var relative_position_bias(const Var& table, int rows, int cols, Where where) {
    require(table.rows() == relative_offsets(rows, cols), where, "relative_position_bias: a table of shape ", table.value(),
            ", a grid of ", rows, " x ", cols, " has ", relative_offsets(rows, cols), " offsets, each needs a row");
    return bias_of_pairs(table, relative_position_index(rows, cols), rows * cols + 1, where);  // (H*(N+1), N+1)
}
