#include "vit/detect/matching.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/base/require.h"

// Every row and column has a potential: c(i, j) - row[i] - column[j] is at least 0 everywhere and 0 for every matched pair. As long
// as that holds, no other assignment of the matched rows is cheaper. Rows are added one at a time, each along the shortest path from
// it to a free column; the matched rows on the path change their columns.
//   cost     (n, m), n <= m
//   returns  the column of each row
static std::vector<int> columns_of_rows(const Matrix& cost) {
    const int n = cost.rows, m = cost.cols;
    const double infinity = std::numeric_limits<double>::infinity();
    std::vector<double> row_potential(n + 1), column_potential(m + 1);
    std::vector<int> row_of(m + 1, 0);    // of each column, counted from 1; 0 = free. Column 0 holds the new row
    std::vector<int> previous(m + 1, 0);  // the column before it on the shortest path
    for (int row = 1; row <= n; ++row) {
        row_of[0] = row;
        int column = 0;                                 // the end of the path so far
        std::vector<double> distance(m + 1, infinity);  // of the shortest known path to each column
        std::vector<char> done(m + 1, 0);
        while (row_of[column] != 0) {
            done[column] = 1;
            const int from = row_of[column];
            double nearest = infinity;
            int next = 0;
            for (int j = 1; j <= m; ++j) {
                if (done[j]) continue;
                const double reduced = cost(from - 1, j - 1) - row_potential[from] - column_potential[j];
                if (reduced < distance[j]) {
                    distance[j] = reduced;
                    previous[j] = column;
                }
                if (distance[j] < nearest) {
                    nearest = distance[j];
                    next = j;
                }
            }
            for (int j = 0; j <= m; ++j) {  // the path's length moves into the potentials
                if (done[j]) {
                    row_potential[row_of[j]] += nearest;
                    column_potential[j] -= nearest;
                } else {
                    distance[j] -= nearest;
                }
            }
            column = next;
        }
        for (; column != 0; column = previous[column]) row_of[column] = row_of[previous[column]];  // rows move along the path
    }
    std::vector<int> columns(n);
    for (int j = 1; j <= m; ++j)
        if (row_of[j] != 0) columns[row_of[j] - 1] = j - 1;
    return columns;
}

std::vector<Matched> assign(const Matrix& cost) {
    for (int i = 0; i < cost.rows; ++i)
        for (int j = 0; j < cost.cols; ++j)
            require(std::isfinite(cost(i, j)), "assign: the cost of row ", i, " and column ", j, " is ", cost(i, j),
                    ", it must be finite");
    std::vector<Matched> pairs;
    if (cost.empty()) return pairs;
    const bool tall = cost.rows > cost.cols;                                          // columns_of_rows needs n <= m
    const std::vector<int> partner = columns_of_rows(tall ? transpose(cost) : cost);  // [DETR 1]
    for (int k = 0; k < static_cast<int>(partner.size()); ++k)
        pairs.push_back(tall ? Matched{partner[k], k} : Matched{k, partner[k]});
    std::sort(pairs.begin(), pairs.end(), [](const Matched& a, const Matched& b) { return a.row < b.row; });
    return pairs;
}

double cost_of(const Matrix& cost, const std::vector<Matched>& pairs) {
    double total = 0;
    for (const Matched& pair : pairs) {
        require(pair.row >= 0 && pair.row < cost.rows && pair.column >= 0 && pair.column < cost.cols, "cost_of: row ", pair.row,
                " and column ", pair.column, " of costs ", cost, ", both are counted from 0");
        total += cost(pair.row, pair.column);
    }
    return total;
}
