// embedding.h: a table with one row per word; looking a word up is a product with a one-hot row, done without the zeros.
#pragma once
#include <vector>

#include "nn/layers/linear.h"

// (vocabulary, width), fresh.
Var make_embedding(Random& random, int vocabulary, int width, const Init& init = {});

// Row ids[i] of the table: (vocabulary, width), n ids -> (n, width).   throws std::invalid_argument naming an id outside the table
Var embed(const Var& table, const std::vector<int>& ids, Where where = Where::current());
