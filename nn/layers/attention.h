// attention.h: the one place where tokens look at one another.
//
//   paper    Vaswani et al., "Attention Is All You Need", 2017, arXiv 1706.03762, section 3.2, Eq. 1
//   shows    that heads are slices of columns and that a batch is stacked rows: nobody else has to know of either
//   symbols  n queries   m keys   D width   H heads   h = D / H head width
//            A = softmax(q k^T / sqrt(h)) (n, m) for each sequence and head
//   differs  no dropout
#pragma once
#include "nn/base/segments.h"
#include "nn/layers/linear.h"
#include "nn/layers/mask.h"

// Everything about an attention that is not its inputs. The default: one sequence, everybody sees everybody, scale 1 / sqrt(h).
struct Attending {
    Segments segments = {};      // of the queries; empty = one segment
    Segments key_segments = {};  // of the keys and values, one for each of the queries'; empty = the same as the queries'
    MayAttend may = {};          // rows: the queries of one segment (shared by all), or all queries of the batch
    Var bias = {};               // (H * n, m), added to the scores of every segment after scaling: relative positions; absent = 0
    float scale = 0;             // of q k^T; 0 = 1 / sqrt(h)
};

struct Attended {
    Var context;  // (n, D)  what every token received, heads side by side
    Var weights;  // (segments * H * n, m)  A of segment 0 head 0, then head 1, ...; a constant, no gradient flows through this handle
};

// Scaled dot-product attention in H heads; head j works on columns j*h ... (j+1)*h - 1.
//   q        (rows of all query segments, D)
//   k, v     (rows of all key segments, D)
//   returns  a query that may attend to nothing receives zeros
//   throws   std::invalid_argument when H does not divide D, or segments, mask or bias do not fit
//   source   Eq. 1 and section 3.2.2
Attended attend(const Var& q, const Var& k, const Var& v, int heads, const Attending& how = {}, Where where = Where::current());

// Keys and values of the tokens already seen, so that generating one more token need not compute them again.
struct KeyValueCache {
    int sequences = 0;
    int capacity = 0;  // tokens a sequence can hold
    int filled = 0;    // tokens it holds
    Var keys;          // (sequences * capacity, D)
    Var values;        // (sequences * capacity, D)
};
KeyValueCache make_cache(int sequences, int capacity, int width);

struct Attention {
    Linear query, key, value;  // (D, D) each
    Linear output;             // (D, D)
};

Attention make_attention(Random& random, int width, float deviation = 0.02f);

struct AttentionSteps {
    Var query, key, value;  // (n, D), (m, D), (m, D)
    Var weights;            // (segments * H * n, m)
    Var context;            // (n, D)
    Var output;             // (n, D)  context times the output matrix
};

// Projects, attends, projects back. Self-attention when `x` and `source` are the same, cross-attention otherwise.
AttentionSteps attention(const Var& x, const Var& source, const Attention& w, int heads, const Attending& how = {});

// Self-attention of the tokens that come next, `x` (sequences * new tokens, D), to all tokens in the cache and themselves, causally.
// Their keys and values are added to the cache, as numbers: no gradient flows into them. The numbers are those of the full pass.
//   throws  std::invalid_argument when the cache is full, or the new tokens are not equally many for each sequence
AttentionSteps attention(const Var& x, const Attention& w, int heads, KeyValueCache& cache);
