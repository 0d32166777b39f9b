// pix2seq.h: Pix2Seq. Object detection as language modelling: boxes and classes are written as a sequence of tokens.
//
//   paper    Chen et al., "Pix2Seq: A Language Modeling Framework for Object Detection", 2021, arXiv 2109.10852
//   shows    that coordinates can be tokens: then the loss of a language model trains a detector, without anchors, matching, box
//            regression or non-maximum suppression. Noise objects are appended, so that the model learns to label a box as noise
//            instead of stopping early
//   symbols  B images   N patches   D width of the encoder   E width of the decoder   V tokens   T tokens of a sequence
//            n objects of an image   an object is five tokens: ymin, xmin, ymax, xmax, class
//   differs  all random draws are arguments; a batch is stacked rows; no dropout
//   against  a captioner (vit/language/coca.h): only the vocabulary and the weights of the loss differ
//   neighbour  mask2former.h (vit/detect) predicts a set and matches it; here boxes are written one after the other as tokens
//   next     pix2seq.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/image.h"
#include "nn/data/patches.h"
#include "nn/layers/model_config.h"
#include "nn/text/memory.h"

namespace pix2seq {

// --- boxes as tokens ---

struct Vocabulary {
    int task = 10;                // the first token: "detect"
    int fake_class = 30;          // the noise class
    int base_shift = 100;         // class c is token 100 + c; class 0 is padding, so real classes start at 101
    int coordinate_shift = 1000;  // bin b is token 1000 + b
    int bins = 1000;
    int size = 3000;  // V
};

// The objects of one image: (n, 4) ymin, xmin, ymax, xmax from 0 to 1, and a class from 1 up for each; 0 = an empty slot.
// Noise has the class fake_class - base_shift, which is negative.
struct Objects {
    Matrix boxes;
    std::vector<int> labels;
};

// round(coordinate * (bins - 1)), half to even, from 0 to bins - 1; and back, from 0 to 1.
int quantised(float coordinate, int bins);
float dequantised(int bin, int bins);

// The random draws of noise objects. Permutations p shuffle by out[j] = in[p[j]].
struct NoiseDraws {
    int duplicates = 0;  // d of the k empty slots; the other k - d become bad boxes
    std::vector<int> tiles = {},
                     again = {};  // permutations of the tiled objects, (k / n + 1) n of them; `again` for the duplicates
    Matrix shifted_centres = {};  // (k - d, 2)  new y and x of the centres of real boxes, from 0 to 1
    Matrix random_centres = {};   // (k - d, 2)
    Matrix random_sizes = {};     // (k - d, 2)  truncated normal numbers; |number| / 2 is height and width
    std::vector<int> bad = {};    // permutation of shifted and random boxes together
    Matrix jitter = {};           // (d, 4)  truncated normal numbers; 0.05 of them times height or width is added
    std::vector<int> noise = {};  // permutation of bad boxes and duplicates together, k
};

// Fills up to `slots` slots with noise objects: shifted or random boxes, and jittered duplicates of real ones, all of the noise class.
// Nothing is added when there are more objects than slots.
//   throws   std::invalid_argument when a draw has another size
//   source   section 2.3, "Sequence augmentation"; the published code
Objects with_noise(const Objects& objects, int slots, const NoiseDraws& draws, const Vocabulary& vocabulary);

// Corruption of the input's classes, so that the model does not learn to copy them.
enum class Corruption {
    random,                  // any class
    random_or_fake,          // u > 0.5: any class, else fake (the default)
    real_or_fake,            // u > 0.5: unchanged, else fake
    real_or_random_or_fake,  // u > 0.5: unchanged, else as random_or_fake, with another u
};
Corruption corruption_of_name(
    const std::string& name);  // "rand_cls", "rand_n_fake_cls", "real_n_fake_cls", "real_n_rand_n_fake_cls"

struct CorruptionDraws {  // one number for each object
    std::vector<int> classes;
    std::vector<float> u_random, u_real_or_fake, u_real_or_random;
};

struct LossWeights {
    float noise_class = 1;  // of the class token of noise; its coordinates have weight 0
    float padding = 0.1f;   // of padding tokens, which mark the end
};

// Objects as a training sequence of the decoder: T tokens each.
struct Sequence {
    std::vector<int> input;      // task, then all tokens with corrupted classes
    std::vector<int> target;     // all tokens, then padding (0)
    std::vector<float> weights;  // of the target in the loss
};
//   throws   std::invalid_argument when the numbers of draws and objects differ
Sequence make_sequence(const Objects& objects, int length, Corruption corruption, const CorruptionDraws& draws,
                       const LossWeights& weights, const Vocabulary& vocabulary);

// Objects from written tokens, five each; an incomplete object at the end is dropped. The class is the most probable real class at the
// fifth token, whatever was written there: a noise object stays, with a low score.
//   logits   (tokens, V)  row t has written tokens[t]
struct Detections {
    Matrix boxes;  // (n, 4)
    std::vector<int> classes;
    std::vector<float> scores;
};
Detections detections(const std::vector<int>& tokens, const Matrix& logits, const Vocabulary& vocabulary);

// The published nucleus rule: the most probable tokens whose probabilities sum to at most p, at least one. (The usual rule also keeps
// the token that crosses p.)   returns 1 = kept, for each token
std::vector<int> nucleus(const float* logits, int count, float p);

// --- the model ---

enum class Positions { sine, learned };
enum class Projection { linear, linear_p, mlp };         // of the encoder's output: D -> E; + positions; + a residual MLP
Positions positions_of_name(const std::string& name);    // "sin_cos", "learned"
Projection projection_of_name(const std::string& name);  // "linear", "linear_p", "mlp"

// The defaults are ViT-B at 640 x 640 pixels.
struct Config {
    PatchGrid grid = {.height = 640, .width = 640};
    int width = 768;  // D
    int depth = 12;
    int heads = 12;
    int mlp_width = 3072;
    int decoder_width = 512;  // E
    int decoder_depth = 6;
    int decoder_heads = 16;
    int decoder_mlp_width = 2048;
    int length = 512;                       // T, the longest sequence
    Positions positions = Positions::sine;  // of the patches, before the encoder and after the projection
    Projection projection = Projection::mlp;
    bool class_token = false;      // in front of the patches, without a position
    bool shared_embedding = true;  // the output matrix is the token embedding
    bool output_bias = true;
    float eps = 1e-6f;  // of every LayerNorm
    Vocabulary vocabulary = {};
};

struct Weights {
    Linear stem;  // (P*P*C, D)
    Norm stem_norm;
    Var class_token;  // (1, D), or absent
    Var positions;    // (N, D); learned, or sine-cosine
    std::vector<Block> encoder;
    Norm encoder_norm;
    Linear projection;  // (D, E)
    Norm projection_norm;
    Var projected_positions;     // (N, E); absent with Projection::linear
    Block projection_mlp;        // an MLP only, or absent
    Var tokens;                  // (V, E)
    Var token_positions;         // (T, E)
    std::vector<Block> decoder;  // with cross-attention
    Norm decoder_norm;
    Var output;       // (V, E); shared: the same Var as tokens
    Var output_bias;  // (1, V), or absent
};

//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {});

// Names, shapes and layout of the published TensorFlow checkpoints.
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct EncoderSteps {
    Matrix patches;    // (B*N, P*P*C)
    Var patch_tokens;  // (B*N, D)  after the first norm, before positions
    Var input;         // (B*M, D)  with positions and class token; M = N or N + 1
    StackSteps blocks;
    Var output;   // (B*M, D)  normalised
    Var encoded;  // (B*M, E)  keys and values of the decoder's cross-attention
};
struct DecoderSteps {
    StackSteps blocks;
    Var hidden;  // (B*T, E)  normalised
    Var logits;  // (B*T, V)
};
struct Steps {
    EncoderSteps encoder;
    DecoderSteps decoder;
};

EncoderSteps encode(const std::vector<Image>& images, const Weights& w, const Config& config);

//   input    B*T tokens, image after image
Steps forward(const std::vector<Image>& images, const std::vector<int>& input, const Weights& w, const Config& config);

// -log p(target) of each token, with label smoothing, (B*T, 1); and its weighted mean over the batch, (1, 1).
Var token_losses(const Steps& steps, const std::vector<int>& target, float smoothing = 0);
Var loss(const Var& token_losses, const std::vector<float>& weights);

// --- writing ---

// For generate() of nn/text/decoding.h. Images are encoded once; the prompt is the task token.
struct Reader : TokenReader {
    const Weights& weights;
    const Config& config;
    Var encoded;  // (B*M, E)
    Memory memory;
    std::vector<Matrix> logits;  // (B, V) of every step so far

    Reader(const std::vector<Image>& images, const Weights& w, const Config& config);
    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

// Detects the objects of each image: decodes `new_tokens` tokens greedily, and reads the objects from them.
std::vector<Detections> detect(const std::vector<Image>& images, const Weights& w, const Config& config, int new_tokens);

}  // namespace pix2seq
