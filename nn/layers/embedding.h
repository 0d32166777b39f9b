// embedding.h: a table with one row per token id. A lookup equals a product with a one-hot row.
#pragma once
#include <vector>

#include "nn/layers/linear.h"

// A newly initialised table, (vocabulary, width).
Var make_embedding(Random& random, int vocabulary, int width, const Init& init = {});

// Row ids[i] of the table: (vocabulary, width), n ids -> (n, width).   throws std::invalid_argument naming an id outside the table
Var embed(const Var& table, const std::vector<int>& ids, Where where = Where::current());
