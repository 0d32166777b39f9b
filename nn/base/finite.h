// finite.h: refuses NaN and infinity where a comparison would hide them.
//
//   shows    that a NaN stays a NaN through every operation, but becomes an index, a choice or a 0 where numbers are compared
//   use      require_finite(logits, "panoptic", "class logits");
#pragma once
#include <string_view>

#include "nn/base/matrix.h"
#include "nn/base/require.h"

//   throws  std::invalid_argument in one line: "panoptic: the masks (2, 3) hold nan in row 1, column 2 (from 0); all must be ..."
void require_finite(const Matrix& m, std::string_view who, std::string_view what);
