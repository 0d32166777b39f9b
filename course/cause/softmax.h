// softmax.h: guesses for matrices whose expected rows are probabilities, such as attention weights. Each is one sentence, or "".
//
//   idea  p_ij = exp(s_ij) / sum_j exp(s_ij), so log p_ij is the score less a number of its row: what was done to the scores
//         can be read from the logarithms
//   blocks  attention weights of all sequences and heads stand one below the other, (B*heads*queries, keys); where queries and
//         keys are as many, each block is a square
#pragma once
#include <string>

#include "course/cause/compared.h"

bool rows_are_probabilities(const Matrix& m);  // each row sums to 1 or, excluded as a whole, to 0

std::string weights_everywhere_equal(const Compared& c);  // every row the same number everywhere: no scores at all
std::string scores_were_scaled(const Compared& c);        // softmax of the scores times one factor: 1 / sqrt(h) missing
std::string scores_were_transposed(const Compared& c);    // queries and keys exchanged
std::string softmax_over_columns(const Compared& c);      // the wrong axis
std::string mask_differs(const Compared& c);              // other places are excluded: mask missing, off by one, too much hidden
std::string mask_other_way_round(const Compared& c);      // what may be seen is hidden and the reverse
std::string weights_taken_away_after(const Compared& c);  // excluded after the softmax: rows sum to less than 1
