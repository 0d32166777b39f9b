// places.h: the right numbers in the wrong positions, and the positions of wrong numbers.
#pragma once
#include <string>

#include "course/cause/compared.h"

// Hypotheses: each is one sentence, or "".
std::string transposed_blocks(const Compared& c);  // whole, or block by block
std::string rows_moved(const Compared& c);         // shifted inside groups, reversed, exchanged
std::string columns_moved(const Compared& c);      // every row's columns in another order
std::string numbers_moved(const Compared& c);      // the same numbers in an unknown order

// Facts: the positions of the differing elements: one row or column, the first or last of each group, above the diagonal ...
std::string places_that_differ(const Compared& c);
// The same in terms of another value that is 0 or 1 everywhere: "only where input.attention_mask is 0".
std::string masked_places(const Compared& c);
