// maskgit.h: MaskGIT. Generates an image's tokens in a few parallel rounds: predict all masked tokens, keep the most confident.
//
//   paper    Chang et al., "MaskGIT: Masked Generative Image Transformer", 2022, arXiv 2202.04200
//   shows    that a masked model can generate: trained with a random mask ratio, it decodes in parallel, in a few rounds instead of
//            one pass per token
//   equations [MaskGIT 1] loss
//   symbols  B images   h, w grid of tokens, N = h w   K codes of the tokenizer   C classes   V = K + C + 1
//            D width   T rounds of decoding   r fraction of the rounds that is done   gamma(r) fraction of tokens still masked
//   tokens   0 ... K-1 are the codes of the tokenizer (maskgit_vqgan.h), K + c is class c, -1 is a masked token
//   layout   each image is a sequence of N + 1: its class, then its tokens row by row. Image b owns rows b(N+1) ... b(N+1)+N
//   differs  the noise of masking and decoding is an argument; no dropout; a batch is stacked rows
//   against  bert/mlm: the mask ratio is drawn anew for each image, from 0 to 1; all tokens can be masked
//   neighbour  beit_v2.h predicts the codes of masked patches once, to learn features; here repeatedly, to generate an image
//   next     maskgit.cpp, then its walkthrough
#pragma once
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/layers/transformer.h"

namespace maskgit {

inline constexpr int mask_token = -1;

// The defaults are the published model of ImageNet at 256 x 256 pixels.
struct Config {
    int codebook_size = 1024;    // K
    int classes = 1000;          // C
    int down = 16, across = 16;  // h, w
    int width = 768;             // D
    int depth = 24;              // blocks
    int heads = 16;              // must divide D
    int mlp_width = 3072;        // inner width of the MLP
    float eps = 1e-12f;          // of every LayerNorm
    float label_smoothing = 0.1f;

    int count() const { return down * across; }                     // N
    int vocabulary() const { return codebook_size + classes + 1; }  // V: masked tokens have the last row of the table
};

struct Weights {
    Var token_embedding;  // (V, D)    also the output matrix
    Var positions;        // (N+1, D)
    Norm embedding_norm;
    std::vector<Block> blocks;  // post-norm
    Linear hidden;              // (D, D)    prediction head
    Norm hidden_norm;
    Var bias;  // (1, V)    of the logits
};

// Fresh weights: truncated normal with standard deviation 0.02, biases 0.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {});

// Names, shapes and layout of the published checkpoint ("params/...", joined by /).
Parameters parameters(const Weights& w, const Config& config);

// --- training: predict masked tokens ---

// gamma(r), the fraction of tokens that is still masked at progress r: 1 at r = 0, about 0 at r = 1, clamped to 1e-6 ... 1.
enum class Shape {
    cosine,  // cos(pi r / 2): the paper's choice
    power,   // 1 - r^exponent; exponent 1 is "uniform", 2 "pow2"
    log,     // -log2(r) / log2(total)
    exp,     // 1 - 2^(-log2(total) (1 - r))
};
struct MaskSchedule {
    Shape shape = Shape::cosine;
    double exponent = 1;
};
// "cosine", "uniform", "pow2", "pow2.5", ..., "log", "exp".   throws std::invalid_argument for another name
MaskSchedule schedule_of_name(const std::string& name);
double masked_fraction(const MaskSchedule& schedule, double r, double total);

struct MaskedBatch {
    std::vector<int> ids;     // (B*(N+1))  class and masked tokens of each image
    std::vector<int> labels;  // (B*(N+1))  class and true tokens
    Matrix mask;              // (B, N)     1 = masked
};

// Masks the ceil(gamma(r) N) tokens of each image whose noise is smallest.
//   tokens   (B*N)
//   classes  (B)
//   r        (B), in [0, 1)
//   noise    (B, N)
//   throws   std::invalid_argument when sizes do not fit, or a token or class does not exist
MaskedBatch mask_tokens(const std::vector<int>& tokens, const std::vector<int>& classes, const std::vector<float>& r,
                        const Matrix& noise, const MaskSchedule& schedule, const Config& config);

struct Steps {
    Var embeddings;  // (B*(N+1), D)  LN(token + position)
    StackSteps encoder;
    Var hidden;  // (B*(N+1), D)
    Var logits;  // (B*(N+1), V)
};

// The whole model.
//   ids      (B*(N+1))
//   throws   std::invalid_argument when they are not whole sequences, or one is not a token, class or mask_token
Steps forward(const std::vector<int>& ids, const Weights& w, const Config& config);

// Cross-entropy with label smoothing s, -(1 - s) log p(label) - s/V sum over all V of log p: for each image the weighted mean over
// its positions, then the mean over the images, (1, 1).
//   weights  (B, N+1)
//   throws   std::invalid_argument when sizes do not fit, or all weights of an image are 0
Var weighted_loss(const Var& logits, const std::vector<int>& labels, const Matrix& weights, float smoothing);

// The training loss: only masked tokens count.
Var loss(const Steps& steps, const MaskedBatch& batch, const Config& config);

// --- decoding: T rounds ---

struct Decoding {
    int rounds = 8;                   // T
    int first_round = 0;              // above 0, for editing: rounds, and so the schedule, start there
    float choice_temperature = 4.5f;  // scale of the noise on the confidence; falls to 0 in the last round
    MaskSchedule schedule = {};
};

// Gumbel noise -log(-log u): the argmax of logits + noise is a draw from their softmax.
struct Draws {
    Matrix tokens;  // (rounds * B * (N+1), K)  for sampling tokens
    Matrix choice;  // (rounds * B, N+1)        for choosing the tokens to keep
};
Draws draw_gumbel(Random& random, int images, const Config& config, const Decoding& how);

struct Round {
    std::vector<int> ids;      // (B*(N+1))  input of the model
    Matrix logits;             // (B*(N+1), K)  without classes and the mask token
    std::vector<int> sampled;  // (B*(N+1))  a sample for each masked token, the others unchanged
    Matrix probabilities;      // (B, N+1)  of the samples; infinity where the token was known
    std::vector<int> to_mask;  // (B)  number of tokens that are masked again
    float temperature;         // of the choice
    Matrix confidence;         // (B, N+1)  log probability + temperature * noise; infinity where the token was known
    Matrix mask;               // (B, N+1)  1 = masked again
};

// The number of an image's tokens that are masked again after round t = 0, 1, ...
//   masked_at_first  masked tokens of this image when decoding began
//   masked_now       before this round
//   returns          floor(masked_at_first gamma((t+1)/T)), but at least 1 and below masked_now: each round fixes a token
int tokens_to_mask(int round, int masked_at_first, int masked_now, const Decoding& how);

// Fills in the masked tokens of each image. The result is `sampled` of the last round; its `mask` is not used.
//   ids      (B*(N+1)), classes in front; without a masked token nothing changes
//   throws   std::invalid_argument when draws or ids do not fit, or there is no round to run
std::vector<Round> decode(const std::vector<int>& ids, const Draws& draws, const Weights& w, const Config& config,
                          const Decoding& how);

// A class and N masked tokens for each image: (B*(N+1)).
std::vector<int> empty_images(const std::vector<int>& classes, const Config& config);

// Without the classes: (B*(N+1)) -> (B*N).
std::vector<int> tokens_of(const std::vector<int>& ids, const Config& config);

}  // namespace maskgit
