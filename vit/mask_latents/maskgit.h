// maskgit.h: paint a picture of words in a few rounds: guess all hidden words at once, keep the surest, hide the rest again.
//
//   paper    Chang et al., "MaskGIT: Masked Generative Image Transformer", 2022, arXiv 2202.04200
//   shows    that BERT can write: trained with a random share of hidden words, it decodes in parallel, and a few rounds do what a
//            language model needs one pass per word for
//   symbols  B images   h, w grid of words, N = h w   K words of the picture's vocabulary   C classes   V = K + C + 1
//            D width   T rounds of decoding   r share of the rounds that is done   gamma(r) share of the words that stays hidden
//   words    0 ... K-1 are the words of the tokenizer (maskgit_vqgan.h), K + c is class c, -1 is a hidden word
//   layout   every picture is a sequence of N + 1: its class, then its words row by row. Image b owns rows b(N+1) ... b(N+1)+N
//   differs  noise of masking and decoding comes in as arguments; no dropout; a batch is stacked rows
//   against  bert/mlm: the share of hidden words is drawn anew for each picture, from none to all; all words can be hidden
//   neighbour  beit_v2.h predicts the codes of hidden patches once, to learn features; here again and again, to make an image
//   next     maskgit.cpp, then its walkthrough
#pragma once
#include <string>
#include <vector>

#include "nn/data/parameters.h"
#include "nn/layers/transformer.h"

namespace maskgit {

inline constexpr int hidden_word = -1;

// The defaults are the published model of ImageNet at 256 x 256 pixels.
struct Config {
    int words = 1024;            // K
    int classes = 1000;          // C
    int down = 16, across = 16;  // h, w
    int width = 768;             // D
    int depth = 24;              // blocks
    int heads = 16;              // must divide D
    int mlp_width = 3072;        // inner width of the MLP
    float eps = 1e-12f;          // of every LayerNorm
    float label_smoothing = 0.1f;

    int count() const { return down * across; }             // N
    int vocabulary() const { return words + classes + 1; }  // V: hidden words have the last row of the table
};

struct Weights {
    Var words;      // (V, D)    also the output matrix
    Var positions;  // (N+1, D)
    Norm embedding_norm;
    std::vector<Block> blocks;  // post-norm
    Linear hidden;              // (D, D)    of the prediction
    Norm hidden_norm;
    Var bias;  // (1, V)    of the prediction
};

// Fresh weights: truncated normal with standard deviation 0.02, biases 0.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {});

// Names, shapes and places of the published checkpoint ("params/...", joined by /).
Parameters parameters(const Weights& w, const Config& config);

// --- training: hide some, guess them ---

// What share of the words stays hidden when a share r of the way is done: 1 at r = 0, about 0 at r = 1, cut off at 1e-6 and 1.
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
double hidden_share(const MaskSchedule& schedule, double r, double total);

struct MaskedBatch {
    std::vector<int> ids;     // (B*(N+1))  the classes, and words with hidden ones
    std::vector<int> labels;  // (B*(N+1))  the classes, and all words
    Matrix mask;              // (B, N)     1 = hidden
};

// Hides the ceil(gamma(r) N) words of each picture whose noise is smallest.
//   words    (B*N)
//   classes  (B)
//   r        (B), one number of [0, 1) for each picture
//   noise    (B, N)
//   throws   std::invalid_argument when sizes do not fit, or a word or class does not exist
MaskedBatch hide_words(const std::vector<int>& words, const std::vector<int>& classes, const std::vector<float>& r,
                       const Matrix& noise, const MaskSchedule& schedule, const Config& config);

struct Steps {
    Var embeddings;  // (B*(N+1), D)  LN(word + position)
    StackSteps encoder;
    Var hidden;  // (B*(N+1), D)
    Var logits;  // (B*(N+1), V)
};

// The whole model.
//   ids      (B*(N+1))
//   throws   std::invalid_argument when they are not whole sequences, or one is no word, class or hidden_word
Steps forward(const std::vector<int>& ids, const Weights& w, const Config& config);

// Cross-entropy with label smoothing s, -(1 - s) log p(label) - s/V sum over all V of log p: for each picture the weighted mean
// over its positions, then the mean over the pictures, (1, 1).
//   weights  (B, N+1)
//   throws   std::invalid_argument when sizes do not fit, or a picture has no weight
Var weighted_loss(const Var& logits, const std::vector<int>& labels, const Matrix& weights, float smoothing);

// The training loss: only hidden words count.
Var loss(const Steps& steps, const MaskedBatch& batch, const Config& config);

// --- decoding: T rounds ---

struct Decoding {
    int rounds = 8;                   // T
    int first_round = 0;              // above 0: editing. Round numbers, and so the schedule, begin there
    float choice_temperature = 4.5f;  // of the noise on the confidence; falls to 0 in the last round
    MaskSchedule schedule = {};
};

// Gumbel noise -log(-log u): the argmax of logits + noise is a draw from their softmax.
struct Draws {
    Matrix words;   // (rounds * B * (N+1), K)  which word
    Matrix choice;  // (rounds * B, N+1)        which words stay
};
Draws draw_gumbel(Random& random, int images, const Config& config, const Decoding& how);

struct Round {
    std::vector<int> ids;      // (B*(N+1))  what the model read
    Matrix logits;             // (B*(N+1), K)  classes and the hidden word are cut off
    std::vector<int> sampled;  // (B*(N+1))  a guess for each hidden word, the others as they were
    Matrix probabilities;      // (B, N+1)  of the guesses; infinity where the word was known
    std::vector<int> to_hide;  // (B)  how many are hidden again
    float temperature;         // of the choice
    Matrix confidence;         // (B, N+1)  log probability + temperature * noise; infinity where the word was known
    Matrix hide;               // (B, N+1)  1 = hidden again
};

// How many words of a picture are hidden again after round t = 0, 1, ...
//   hidden_at_first  of this picture, when decoding began
//   hidden_now       before this round
//   returns          floor(hidden_at_first gamma((t+1)/T)), but at least 1 and below hidden_now: every round fixes a word
int words_to_hide(int round, int hidden_at_first, int hidden_now, const Decoding& how);

// Fills the hidden words of each picture. The result is `sampled` of the last round: what it would hide again does not matter.
//   ids      (B*(N+1)), classes in front; without a hidden word nothing changes
//   throws   std::invalid_argument when draws or ids do not fit, or there is no round to do
std::vector<Round> decode(const std::vector<int>& ids, const Draws& draws, const Weights& w, const Config& config,
                          const Decoding& how);

// A class and N hidden words, for each picture: (B*(N+1)).
std::vector<int> empty_pictures(const std::vector<int>& classes, const Config& config);

// Without the classes: (B*(N+1)) -> (B*N).
std::vector<int> words_of(const std::vector<int>& ids, const Config& config);

}  // namespace maskgit
