// attention.h: where tokens look at one another.
//
//   paper    Vaswani et al., "Attention Is All You Need", 2017, arXiv 1706.03762, section 3.2, Eq. 1
//   shows    that heads are slices of columns and that a batch is stacked rows: no other layer has to know of either; that causal,
//            cross, grouped-query and cached attention are one function that is told different things
//   symbols  n queries   m keys   D width of the model   H heads   h head width   G heads of keys and values, G = H in most models
//            A = softmax(q k^T / sqrt(h)) (n, m) for each sequence and head
//   differs  no dropout
#pragma once
#include <vector>

#include "nn/base/segments.h"
#include "nn/layers/linear.h"
#include "nn/layers/mask.h"
#include "nn/layers/position.h"

// Keys and values of the tokens already read, so that one more token need not compute them again.
struct KeyValueCache {
    int sequences = 0;
    int capacity = 0;        // tokens that a sequence can hold
    int filled = 0;          // tokens that it holds
    Var keys = {};           // (sequences * capacity, G h), rotated where the model rotates
    Var values = {};         // (sequences * capacity, G h)
    bool of_source = false;  // cross-attention: the keys and values of the source, computed at the first call and then only read
    Segments segments = {};  // of_source: where those of each sequence lie
};
KeyValueCache make_cache(int sequences, int capacity, int key_width, int value_width = 0);  // value_width 0 = key_width
KeyValueCache make_source_cache();

// Sequence s of the new cache is a copy of sequence chosen[s] of the old one: beam search.
//   throws  std::invalid_argument when one of them does not exist
KeyValueCache select_sequences(const KeyValueCache& cache, const std::vector<int>& chosen);

// Everything about an attention that is not its inputs. The default: one sequence, every token may attend to every token,
// scale 1 / sqrt(h).
struct Attending {
    Segments segments = {};          // of the queries; empty = one segment
    Segments key_segments = {};      // of the keys and values, one for each of the queries'; empty = the same as the queries'
    MayAttend may = {};              // rows: the queries of one segment (shared by all), or all queries of the batch
    Var bias = {};                   // added to the scores after scaling: (H * n, m) for every segment, or as large as the weights
    float scale = 0;                 // of q k^T; 0 = 1 / sqrt(h)
    Rotary rotary = {};              // queries and keys are turned by their positions
    KeyValueCache* cache = nullptr;  // self-attention of the tokens that come next to those in the cache and themselves
};

struct Attended {
    Var context;  // (n, D)  what every token received, heads side by side
    Var weights;  // (segments * H * n, m)  A of segment 0 head 0, then head 1, ...; a constant, no gradient flows through this handle;
                  //                        no value unless steps are kept
};

// Scaled dot-product attention in H heads; head j works on columns j*h ... (j+1)*h - 1.
//   q        (rows of all query segments, H h)
//   k        (rows of all key segments, G h): G follows from the width. Query head j reads key head j / (H / G), rounded down
//   v        (rows of all key segments, G hv): values may have another head width
//   returns  context (n, H hv); a query that may attend to nothing receives zeros
//   throws   std::invalid_argument when H does not divide the width of q, or G not H, or segments, mask or bias do not fit
//   source   Eq. 1 and section 3.2.2; shared key heads: Ainslie et al. 2023, arXiv 2305.13245
Attended attend(const Var& q, const Var& k, const Var& v, int heads, const Attending& how = {}, Where where = Where::current());

// The specification of attend(): the context, one query and one head after the other. Rotation and cache belong to attention().
Matrix attend_textbook(const Matrix& q, const Matrix& k, const Matrix& v, int heads, const Attending& how = {});

struct Attention {
    Linear query;   // (D, H h)
    Linear key;     // (width of the source, G h)
    Linear value;   // (width of the source, G h)
    Linear output;  // (H h, D)
};

// What queries, keys and values are computed from. Self-attention: all from x. Cross-attention: keys and values from a source.
// DETR and its successors add positions to the inputs of queries and keys only.
struct Sources {
    Var query, key, value;

    Sources(const Var& x) : query(x), key(x), value(x) {}
    Sources(const Var& x, const Var& source) : query(x), key(source), value(source) {}
    Sources(const Var& of_query, const Var& of_key, const Var& of_value) : query(of_query), key(of_key), value(of_value) {}
};

struct AttentionSteps {
    Var query, key, value;            // (n, H h), (m, G h), (m, G h); with a cache those of the new tokens
    Var rotated_query, rotated_key;   // where the model rotates
    Var weights;                      // (segments * H * n, m); with a cache m counts the earlier tokens too
    Var context;                      // (n, H h)
    Var output;                       // (n, D)  context times the output matrix
};

// Projects, attends, projects back.
//   with a cache   x holds the next tokens, equally many for each sequence. Their keys and values are added to the cache, as numbers:
//                  no gradient flows into them. Without a mask in `how` attention is causal; a mask is (new tokens, all tokens so far).
//                  The numbers are those of the full pass up to rounding. A cache of_source is filled at the first call.
//   throws         std::invalid_argument when the cache is full, or the new tokens are not equally many for each sequence
AttentionSteps attention(const Sources& from, const Attention& w, int heads, const Attending& how = {});
