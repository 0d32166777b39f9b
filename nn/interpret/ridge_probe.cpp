#include "nn/interpret/ridge_probe.h"

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

// Feature j of row i, followed by a constant 1.
static double feature(const Matrix& x, int i, int j) { return j < x.cols ? x(i, j) : 1.0; }

double ridge_probe(const Matrix& features, const std::vector<int>& labels, const Matrix& test_features,
                   const std::vector<int>& test_labels, int classes, double lambda) {
    require(features.rows > 0 && features.rows == static_cast<int>(labels.size()) && test_features.cols == features.cols &&
                test_features.rows == static_cast<int>(test_labels.size()) && test_features.rows > 0,
            "ridge_probe: features ", features, " and ", test_features, " for ", static_cast<int>(labels.size()), " and ",
            static_cast<int>(test_labels.size()), " labels; both must be equally wide, with a label for each row");
    for (const std::vector<int>* const list : {&labels, &test_labels})
        for (const int label : *list)
            require(label >= 0 && label < classes, "ridge_probe: label ", label, " of ", classes,
                    " classes, they are counted from 0");
    require(lambda > 0 && std::isfinite(lambda), "ridge_probe: lambda is ", lambda,
            ", it must be positive and finite, or there may be no solution");
    require_finite(features, "ridge_probe", "features");
    require_finite(test_features, "ridge_probe", "test features");
    const int D = features.cols + 1;
    Table gram = zeros(D, D), W = zeros(D, classes);  // X^T X + lambda n I (D, D) and X^T Y (D, classes)
    for (int i = 0; i < features.rows; ++i)
        for (int a = 0; a < D; ++a) {
            for (int b = 0; b < D; ++b) gram[a][b] += feature(features, i, a) * feature(features, i, b);
            W[a][labels[i]] += feature(features, i, a);
        }
    for (int a = 0; a < D; ++a) gram[a][a] += lambda * features.rows;
    solve(gram, W);
    int right = 0;
    for (int i = 0; i < test_features.rows; ++i) {
        int best = 0;
        double most = -INFINITY;
        for (int c = 0; c < classes; ++c) {
            double output = 0;
            for (int a = 0; a < D; ++a) output += feature(test_features, i, a) * W[a][c];
            if (output > most) best = c;
            most = std::fmax(most, output);
        }
        right += best == test_labels[i];
    }
    return static_cast<double>(right) / test_features.rows;
}
