// attention.h: scaled dot-product attention, through which tokens exchange information.
//
//   paper    Vaswani et al., "Attention Is All You Need", 2017, arXiv 1706.03762, section 3.2, Eq. 1
//   shows    that heads are slices of columns and a batch is stacked rows, so that no other layer needs to know of either; that
//            causal, cross-, grouped-query and cached attention are one function with different options
//   symbols  n queries   m keys   D width of the model   H heads   h head width   G heads of keys and values, G = H in most models
//            A = softmax(q k^T / sqrt(h)) (n, m) for each sequence and head
//   equations [Attention 1]
//   differs  no dropout
#pragma once
#include <vector>

#include "nn/base/segments.h"
#include "nn/layers/linear.h"
#include "nn/layers/mask.h"
#include "nn/layers/position.h"

// Keys and values of the tokens already read, which the next token need not compute again.
struct KeyValueCache {
    int sequences = 0;
    int capacity = 0;        // most tokens of a sequence
    int filled = 0;          // tokens stored so far
    Var keys = {};           // (sequences * capacity, G h), after rotation in models with rotary positions
    Var values = {};         // (sequences * capacity, G h)
    bool of_source = false;  // cross-attention: keys and values of the source, computed by the first call and then only read
    Segments segments = {};  // of_source: the rows of each sequence
};
KeyValueCache make_cache(int sequences, int capacity, int key_width, int value_width = 0);  // value_width 0 = key_width
KeyValueCache make_source_cache();

// Sequence s of the new cache is a copy of sequence chosen[s] of the old one; for beam search.
//   throws  std::invalid_argument when one of them does not exist
KeyValueCache select_sequences(const KeyValueCache& cache, const std::vector<int>& chosen);

// The options of an attention. The default: one sequence, every token may attend to every token, scale 1 / sqrt(h).
struct Attending {
    Segments segments = {};      // of the queries; empty = one segment
    Segments key_segments = {};  // of the keys and values, one for each query segment; empty = the same as those
    MayAttend may = {};          // the mask; its rows are the queries of one segment (shared by all), or of the whole batch
    Var bias = {};               // added to the scores after scaling: (H * n, m) for every segment, or as large as the weights
    float scale = 0;             // of q k^T; 0 = 1 / sqrt(h)
    Rotary rotary = {};          // rotary position embedding of queries and keys
    KeyValueCache* cache = nullptr;  // the next tokens attend to those in the cache and to themselves
};

struct Attended {
    Var context;  // (n, D)  A v, heads side by side
    Var weights;  // (segments * H * n, m)  A of segment 0 head 0, then head 1, ...; a constant (no gradient flows through it),
                  //                        and no value unless steps are kept
};

// Scaled dot-product attention in H heads; head j works on columns j*h ... (j+1)*h - 1.
//   q        (rows of all query segments, H h)
//   k        (rows of all key segments, G h): G follows from the width. Query head j uses key head floor(j / (H / G))
//   v        (rows of all key segments, G hv): values may have a different head width
//   returns  context (n, H hv); zeros for a query that may attend to no key
//   throws   std::invalid_argument when H does not divide the width of q, or G not H, or segments, mask or bias do not fit, or
//            a rotation or a cache is given, which only attention() applies
//   source   Eq. 1 and section 3.2.2; grouped-query attention: Ainslie et al. 2023, arXiv 2305.13245
Attended attend(const Var& q, const Var& k, const Var& v, int heads, const Attending& how = {}, Where where = Where::current());

// The specification of attend(): the context, one query and one head at a time. Rotation and cache are done by attention().
Matrix attend_textbook(const Matrix& q, const Matrix& k, const Matrix& v, int heads, const Attending& how = {});

struct Attention {
    Linear query;   // (D, H h)
    Linear key;     // (width of the source, G h)
    Linear value;   // (width of the source, G h)
    Linear output;  // (H h, D)
};

// The inputs of queries, keys and values. Self-attention: x for all three. Cross-attention: keys and values from a source.
// DETR and its successors add positions to the inputs of queries and keys only.
struct Sources {
    Var query, key, value;

    Sources(const Var& x) : query(x), key(x), value(x) {}
    Sources(const Var& x, const Var& source) : query(x), key(source), value(source) {}
    Sources(const Var& of_query, const Var& of_key, const Var& of_value) : query(of_query), key(of_key), value(of_value) {}
};

struct AttentionSteps {
    Var query, key, value;           // (n, H h), (m, G h), (m, G h); with a cache, of the new tokens
    Var rotated_query, rotated_key;  // in models with rotary positions
    Var weights;                     // (segments * H * n, m); with a cache m includes the earlier tokens
    Var context;                     // (n, H h)
    Var output;                      // (n, D)  context times the output matrix
};

// Projects to queries, keys and values, attends, and projects back.
//   with a cache   x holds the next tokens, the same number for each sequence. Their keys and values are added to the cache as
//                  constants. Without a mask in `how` attention is causal; a mask is (new tokens, all tokens so far). The result
//                  equals the full forward pass up to rounding. A cache of_source is filled by the first call.
//   throws         std::invalid_argument when the cache is full, or the sequences have different numbers of new tokens, or a
//                  rotation is given with a cache of_source
AttentionSteps attention(const Sources& from, const Attention& w, int heads, const Attending& how = {});
