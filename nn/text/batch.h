// batch.h: texts of different lengths as one batch of tokens: padding at one end, and a mask that says where it is.
//
//   shows    that ids and mask are all there is to a batch: positions, labels and who may attend to whom follow from these two
//   symbols  B sequences   T tokens in each, padding included
//   layout   sequence b owns the ids b T ... b T + T - 1, and the same rows of every matrix of tokens
//   padding  What a model computes at a padding row means nothing. It is defined all the same (never NaN), but no token sees it
//            and no label asks for it, so that no gradient comes from there.
#pragma once
#include <string_view>
#include <vector>

#include "nn/layers/attention.h"

// Where the padding stands.
enum class Side {
    right,  // behind the text, for training: positions do not move
    left,   // before the text, for writing: the last token of every prompt stands at T - 1, and the new tokens follow it
};

struct TokenBatch {
    int sequences = 0;     // B
    int length = 0;        // T
    std::vector<int> ids;  // (B*T)
    Matrix mask;           // (B, T)  1 = a token, 0 = padding; empty = no padding

    bool is_token(int sequence, int t) const { return mask.empty() || mask(sequence, t) == 1; }
};

// Fills sequences up with `padding_token` to the longest of them.
//   throws   std::invalid_argument when there is no sequence, or one of them has no token
//   Example: make_batch({{7, 8, 9}, {5}}, 0)              ids 7 8 9  5 0 0   mask 1 1 1  1 0 0
//            make_batch({{7, 8, 9}, {5}}, 0, Side::left)  ids 7 8 9  0 0 5   mask 1 1 1  0 0 1
TokenBatch make_batch(const std::vector<std::vector<int>>& sequences, int padding_token = 0, Side padding = Side::right);

// Sequences of `length` tokens without padding, one after the other.
//   throws   std::invalid_argument when the ids are not a whole number of them
TokenBatch equal_batch(const std::vector<int>& ids, int length);

// Throws std::invalid_argument, beginning with `place`, when there is no token, or `total` tokens are not whole sequences of `length`.
void require_whole_sequences(std::string_view place, int total, int length);

// Throws std::invalid_argument, beginning with `place`, when ids, mask, sequences and length do not fit together.
void require_fits(std::string_view place, const TokenBatch& batch);

// The same for a forward pass over whole texts: also when a sequence has no token at all, only padding.
void require_texts(std::string_view place, const TokenBatch& batch);

// The position of every token in its text, (B*T): how many tokens stand before it. Padding gets 0, so that it can be looked up.
//   last     only of the last so many columns, (B * last): the others have been read before; 0 = all
//   Example: 0 0 5 6 7 padded on the left by two: 0 0 0 1 2
std::vector<int> positions(const TokenBatch& batch, int last = 0);

// The row of a learned table that every token reads, where the table begins with `offset` rows that no text position uses and
// padding reads the last of them: position + offset for a token, offset - 1 for padding. The offset is 2 in fairseq and its
// successors (OPT, Galactica, BioGPT).
//   Example: 0 0 5 6 7 padded on the left by two, offset 2: 1 1 2 3 4
std::vector<int> position_rows(const TokenBatch& batch, int offset, int last = 0);

// The token to be predicted at every row, (B*T): the id one place further on. ignored_label where that is padding, at a padding
// row (the first token of a text is predicted by nothing), and at the last row of each sequence.
//   Example: 7 8 9: 8 9 -100.   Padded on the left, 0 7 8: -100 8 -100.   Padded on the right, 7 8 0: 8 -100 -100
std::vector<int> next_tokens(const TokenBatch& batch);
std::vector<int> next_tokens(const std::vector<int>& ids, int length);  // of equal_batch(ids, length)

// Row range of each sequence and its mask: a token may attend to every token of its sequence, causally only to those up to
// itself, and to no padding. A padding row that may then attend to nothing receives zeros (nn/layers/attention.h).
//   last     only for queries in the last so many columns; keys and values of the others are in a cache; 0 = all
Attending attending(const TokenBatch& batch, bool causally, int last = 0);

// The same for a cross-attention: `queries` tokens of another text for each sequence of the source. They may attend to all
// tokens of their sequence of the source, and to no padding.
Attending attending_to(const TokenBatch& source, int queries);

// What a reader with a cache (nn/text/decoding.h) remembers of its texts, to know positions and padding of what comes next:
//   append(seen, next);
//   ... positions(seen, next.length) ... attending(seen, true, next.length) ...
// append makes every sequence of `seen` longer by those of `next`; an empty `seen` becomes `next`.
//   throws   std::invalid_argument when their numbers of sequences differ
void append(TokenBatch& seen, const TokenBatch& next);
// Sequence s of the result is sequence chosen[s].   throws std::invalid_argument when one of them does not exist
TokenBatch select_sequences(const TokenBatch& batch, const std::vector<int>& chosen);
