// softmax.h: hypotheses for matrices whose expected rows are probabilities, such as attention weights. Each is a sentence, or "".
//
//   idea    p_ij = exp(s_ij) / sum_j exp(s_ij), so log p_ij is the score minus a constant of its row: changes of the scores show
//           in the logarithms
//   blocks  attention weights of all sequences and heads are stacked, (B*heads*queries, keys); in self-attention each block is
//           square
#pragma once
#include <string>

#include "course/cause/compared.h"

bool rows_are_probabilities(const Matrix& m);  // each row sums to 1 or, if fully masked, to 0

std::string weights_everywhere_equal(const Compared& c);  // uniform rows: the scores are missing
std::string scores_were_scaled(const Compared& c);        // softmax of the scores times one factor: 1 / sqrt(h) missing
std::string scores_were_transposed(const Compared& c);    // queries and keys exchanged
std::string softmax_over_columns(const Compared& c);      // the wrong axis
std::string mask_differs(const Compared& c);              // another mask: missing, off by one, too much masked
std::string mask_other_way_round(const Compared& c);      // the mask inverted
std::string weights_taken_away_after(const Compared& c);  // masked after the softmax: rows sum to less than 1
