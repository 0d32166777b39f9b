// batch.h: a batch of texts of different lengths: token ids and a padding mask.
//
//   shows    that positions, labels and attention masks of a batch all follow from ids and padding mask
//   symbols  B sequences   T tokens in each, padding included
//   layout   sequence b owns the ids b T ... b T + T - 1, and the same rows of every matrix of tokens
//   padding  The output at a padding row is meaningless but finite. No token attends to padding and it has no label, so it
//            contributes no gradient.
#pragma once
#include <string_view>
#include <vector>

#include "nn/layers/attention.h"

// The side of the padding.
enum class Side {
    right,  // after the text, for training
    left,   // before the text, for generation: the last token of every prompt is in column T - 1, and the new tokens follow
};

struct TokenBatch {
    int sequences = 0;     // B
    int length = 0;        // T
    std::vector<int> ids;  // (B*T)
    Matrix mask;           // (B, T)  1 = a token, 0 = padding; empty = no padding

    bool is_token(int sequence, int t) const { return mask.empty() || mask(sequence, t) == 1; }
};

// Pads sequences with `padding_token` to the length of the longest.
//   throws   std::invalid_argument when there is no sequence, or one is empty
//   Example: make_batch({{7, 8, 9}, {5}}, 0)              ids 7 8 9  5 0 0   mask 1 1 1  1 0 0
//            make_batch({{7, 8, 9}, {5}}, 0, Side::left)  ids 7 8 9  0 0 5   mask 1 1 1  0 0 1
TokenBatch make_batch(const std::vector<std::vector<int>>& sequences, int padding_token = 0, Side padding = Side::right);

// Sequences of `length` tokens without padding, one after the other.
//   throws   std::invalid_argument when the ids are not a whole number of sequences
TokenBatch equal_batch(const std::vector<int>& ids, int length);

// Throws std::invalid_argument, beginning with `place`, when there is no token, or `total` tokens are not whole sequences of `length`.
void require_whole_sequences(std::string_view place, int total, int length);

// Throws std::invalid_argument, beginning with `place`, when ids, mask, sequences and length do not fit together.
void require_fits(std::string_view place, const TokenBatch& batch);

// The same for a forward pass over whole texts: also when a sequence is all padding.
void require_texts(std::string_view place, const TokenBatch& batch);

// The position of every token, (B*T): the number of tokens before it in its text. Padding gets 0, so that a lookup is valid.
//   last     only for the last `last` columns, (B * last), where the others have been read before; 0 = all
//   Example: 0 0 5 6 7 padded on the left by two: 0 0 0 1 2
std::vector<int> positions(const TokenBatch& batch, int last = 0);

// The row of a learned position table for every token, where the table begins with `offset` reserved rows: position + offset for
// a token, offset - 1 for padding. The offset is 2 in fairseq and its successors (OPT, Galactica, BioGPT).
//   Example: 0 0 5 6 7 padded on the left by two, offset 2: 1 1 2 3 4
std::vector<int> position_rows(const TokenBatch& batch, int offset, int last = 0);

// The label of every row for next-token prediction, (B*T): the id of the next column. ignored_label where that is padding, at
// padding rows, and in the last column.
//   Example: 7 8 9: 8 9 -100.   Padded on the left, 0 7 8: -100 8 -100.   Padded on the right, 7 8 0: 8 -100 -100
std::vector<int> next_tokens(const TokenBatch& batch);
std::vector<int> next_tokens(const std::vector<int>& ids, int length);  // of equal_batch(ids, length)

// Row range of each sequence, and its attention mask: a token may attend to all tokens of its sequence (if causal, up to itself)
// and not to padding. A padding row that may attend to nothing receives zeros (nn/layers/attention.h).
//   last     only for queries in the last `last` columns, where keys and values of the others are in a cache; 0 = all
Attending attending(const TokenBatch& batch, bool causally, int last = 0);

// The same for cross-attention: `queries` tokens of another text for each sequence of the source, which may attend to all tokens
// of that sequence and not to padding.
Attending attending_to(const TokenBatch& source, int queries);

// A reader with a cache (nn/text/decoding.h) appends each batch to what it has read, to know positions and padding of the next:
//   append(seen, next);
//   ... positions(seen, next.length) ... attending(seen, true, next.length) ...
// append makes every sequence of `seen` longer by those of `next`; an empty `seen` becomes `next`.
//   throws   std::invalid_argument when their numbers of sequences differ
void append(TokenBatch& seen, const TokenBatch& next);
// Sequence s of the result is sequence chosen[s].   throws std::invalid_argument when one does not exist
TokenBatch select_sequences(const TokenBatch& batch, const std::vector<int>& chosen);
