#include "nn/interpret/ridge_probe.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/base/finite.h"
#include "nn/base/require.h"

using Table = std::vector<std::vector<double>>;

static Table zeros(int rows, int cols) { return Table(rows, std::vector<double>(cols, 0)); }

// Solves A W = B for positive definite A by Gaussian elimination, in place: B becomes W.
static void solve(Table& A, Table& B) {
    const int n = static_cast<int>(A.size());
    for (int k = 0; k < n; ++k)
        for (int i = 0; i < n; ++i) {
            if (i == k) continue;
            const double factor = A[i][k] / A[k][k];
            for (int j = k; j < n; ++j) A[i][j] -= factor * A[k][j];
            for (std::size_t c = 0; c < B[i].size(); ++c) B[i][c] -= factor * B[k][c];
        }
    for (int k = 0; k < n; ++k)
        for (double& x : B[k]) x /= A[k][k];
}

// The rows with a column of ones after them, in double: (n, D + 1).
static Table with_ones(const Matrix& x) {
    Table rows;
    for (int i = 0; i < x.rows; ++i) {
        rows.emplace_back(x.row(i), x.row(i + 1));
        rows.back().push_back(1);
    }
    return rows;
}

static Table transposed(const Table& x) {
    Table y = zeros(static_cast<int>(x[0].size()), static_cast<int>(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i)
        for (std::size_t j = 0; j < y.size(); ++j) y[j][i] = x[i][j];
    return y;
}

// A (n, k), B (k, m)
static Table product(const Table& A, const Table& B) {
    Table C = zeros(static_cast<int>(A.size()), static_cast<int>(B[0].size()));
    for (std::size_t i = 0; i < A.size(); ++i)
        for (std::size_t k = 0; k < B.size(); ++k)
            for (std::size_t j = 0; j < C[i].size(); ++j) C[i][j] += A[i][k] * B[k][j];
    return C;
}

// Both forms give the same W (D + 1, classes); the cheaper one inverts the smaller matrix: (D + 1, D + 1) or (n, n).
//   ridge  lambda n
static Table fit(const Table& X, const Table& Y, double ridge) {
    const Table Xt = transposed(X);
    const bool few_rows = X.size() < Xt.size();
    Table gram = few_rows ? product(X, Xt) : product(Xt, X);
    Table W = few_rows ? Y : product(Xt, Y);
    for (std::size_t k = 0; k < gram.size(); ++k) gram[k][k] += ridge;
    solve(gram, W);
    return few_rows ? product(Xt, W) : W;
}

static Table one_hot(const std::vector<int>& labels, int classes) {
    Table Y = zeros(static_cast<int>(labels.size()), classes);
    for (std::size_t i = 0; i < labels.size(); ++i) Y[i][labels[i]] = 1;
    return Y;
}

double ridge_probe(const Matrix& features, const std::vector<int>& labels, const Matrix& test_features,
                   const std::vector<int>& test_labels, int classes, double lambda) {
    require(features.rows > 0 && features.rows == static_cast<int>(labels.size()) && test_features.cols == features.cols &&
                test_features.rows == static_cast<int>(test_labels.size()) && test_features.rows > 0,
            "ridge_probe: features ", features, " and ", test_features, " for ", static_cast<int>(labels.size()), " and ",
            static_cast<int>(test_labels.size()),
            " labels; both must have the same number of columns, with a label for each row");
    for (const std::vector<int>* const list : {&labels, &test_labels})
        for (const int label : *list)
            require(label >= 0 && label < classes, "ridge_probe: label ", label, " of ", classes,
                    " classes, they are counted from 0");
    require(lambda > 0 && std::isfinite(lambda), "ridge_probe: lambda is ", lambda,
            ", it must be positive and finite, or there may be no solution");
    require_finite(features, "ridge_probe", "features");
    require_finite(test_features, "ridge_probe", "test features");
    const Table W = fit(with_ones(features), one_hot(labels, classes), lambda * features.rows);  // (D + 1, classes)
    const Table outputs = product(with_ones(test_features), W);
    int right = 0;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const auto most = std::max_element(outputs[i].begin(), outputs[i].end());
        right += most - outputs[i].begin() == test_labels[i];
    }
    return static_cast<double>(right) / test_features.rows;
}
