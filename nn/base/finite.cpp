#include "nn/base/finite.h"

#include <cmath>

void require_finite(const Matrix& m, std::string_view who, std::string_view what) {
    for (int i = 0; i < m.rows; ++i)
        for (int j = 0; j < m.cols; ++j)
            require(std::isfinite(m(i, j)), who, ": the ", what, " ", m, " hold ", m(i, j), " in row ", i, ", column ", j,
                    " (from 0); all must be finite, trap_nan(true) names the operation that made it");
}
