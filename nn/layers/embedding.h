// embedding.h: a table with one row per token id. A lookup equals a product with a one-hot row.
#pragma once
#include <string_view>
#include <vector>

#include "nn/layers/linear.h"

// A newly initialised table, (vocabulary, width).
Var make_embedding(Random& random, int vocabulary, int width, const Init& init = {});

// Checks at the beginning of a forward pass that a matrix has the shape that the configuration says.
//   throws  std::invalid_argument, "gpt: the token embedding is (11, 8), the configuration says (7, 8); ..."
void require_shape(std::string_view who, std::string_view what, const Var& matrix, int rows, int cols);

// Row ids[i] of the table: (vocabulary, width), n ids -> (n, width).   throws std::invalid_argument naming an id outside the table
Var embed(const Var& table, const std::vector<int>& ids, Where where = Where::current());
