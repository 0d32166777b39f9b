// unified_io.h: Unified-IO. Captions, boxes, joints, masks and images are words of one vocabulary, and one model writes them all.
//
//   paper    Lu et al., "Unified-IO: A Unified Model for Vision, Language, and Multi-Modal Tasks", 2022, arXiv 2206.08916
//   shows    that no task needs layers of its own: text has its words, a place is one of 1000 words, a picture is the words of a
//            VQ-GAN; the task is a sentence in the prompt, and the loss is the same for all
//   symbols  B examples   S words of a prompt   n patches of its image   T words of an answer   m codes of an image that is
//            written   E width   H heads   K head width, H K need not be E   F inner width   V words, Vi codes
//   layout   encoder rows of an example: S words, then n patches; decoder rows: T words, then m codes
//   differs  no dropout; a batch is stacked rows; the bias that the published code computes for cross-attention and never uses is
//            not computed
//   against  gpt/unified/t5.h: a second kind of row, places of its own, a second bias from learned positions
//   shares   vit/mask_latents/vector_quantizer.h
//   neighbour  pix2seq.h writes boxes as tokens; here masks, images and text share the vocabulary too
//   next     unified_io.cpp
#pragma once
#include <array>
#include <string>
#include <vector>

#include "nn/data/image.h"
#include "nn/data/patches.h"
#include "nn/layers/transformer.h"
#include "nn/maps/convolution.h"
#include "nn/maps/group_norm.h"
#include "vit/mask_latents/vector_quantizer.h"

namespace unified_io {

// The network that turns a picture into codes: a VQ-GAN's encoder and its dictionary.
struct VaeConfig {
    int resolution = 256;                            // side of the picture, pixels
    int filters = 128;                               // channels of level 0
    std::vector<int> multipliers = {1, 1, 2, 2, 4};  // channels of each level, in units of `filters`; each halves the side
    int res_blocks = 2;                              // at each level
    std::vector<int> attention_sides = {16};         // levels of this side have an attention behind every block
    int code_width = 256;
    int groups = 32;  // of every GroupNorm
    float eps = 1e-6f;
};

// The defaults are the published base model.
struct Config {
    int vocabulary = 33152;        // V: 32,000 pieces, 1100 sentinels (1000 of them places), the rest is padding of the table
    int image_vocabulary = 16384;  // Vi
    PatchGrid grid = {.height = 384, .width = 384, .patch_size = 16};
    int width = 768;            // E
    int heads = 12;             // H
    int head_width = 64;        // K
    int mlp_width = 2048;       // F
    int encoder_depth = 12;     // blocks
    int decoder_depth = 12;     // blocks
    int encoder_text = 256;     // longest prompt
    int encoder_patches = 576;  // most patches
    int decoder_text = 128;     // longest answer
    int decoder_codes = 256;    // most codes
    int decoder_grid = 16;      // codes of a row of the image that is written
    int buckets = 32;           // of distances between words
    int max_distance = 128;
    int image_buckets = 8;  // of distances between patches, in each of two directions
    int max_image_distance = 20;
    float eps = 1e-6f;  // of every RMSNorm
    VaeConfig vae = {};
};

struct ResBlock {
    Norm norm1;
    Convolution conv1;  // 3 x 3
    Norm norm2;
    Convolution conv2;     // 3 x 3
    Convolution shortcut;  // 1 x 1, of the input; only where the number of channels changes
};

struct MapAttention {
    Norm norm;
    Convolution query, key, value, output;  // 1 x 1
};

struct Level {
    std::vector<ResBlock> blocks;
    std::vector<MapAttention> attentions;  // one behind each block, or none
    Convolution down;                      // 3 x 3, stride 2; the last level has none
};

struct Vae {
    Convolution first;
    std::vector<Level> levels;
    ResBlock middle1;
    MapAttention middle_attention;
    ResBlock middle2;
    Norm norm;
    Convolution last;     // 3 x 3
    Convolution to_code;  // 1 x 1
    Var codebook;         // (Vi, code width)
};

// Encoder or decoder.
struct Half {
    Var positions;                        // (longest text + most patches, E)
    Var segments;                         // (2, E)  row 0 is added to words, row 1 to patches or codes
    Norm text_norm, image_norm;           // of what goes in; in the decoder one norm for both
    Norm position_norm;                   // of the positions, before they become queries and keys
    Linear position_query, position_key;  // (E, H K)
    Var text_distances;                   // (H, buckets)
    Var image_distances;                  // (H, 4 image_buckets^2)
    std::vector<Block> blocks;
    Norm norm;  // after the last block
};

struct Weights {
    Var words;                // (V + Vi, E)  of both halves, and of the output
    Linear image_projection;  // (P*P*C, E)
    Half encoder, decoder;
    Vae vae;  // not trained
};

// Fresh weights: normal with standard deviation 1 for words, 0.02 for tables of positions, segments and distances,
// (E K)^-1/2 for queries, E^-1/2 for what else reads rows of width E, (H K)^-1/2 and F^-1/2 for what writes them.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random);

// Names and layout of the published checkpoints: "encoder/layers_0/attention/query/kernel".
Parameters parameters(const Weights& w, const Config& config);

// What published files hold besides: the matrices of a cross-attention's bias, which is not used, and the VQ-GAN's decoder.
LoadRules load_rules();

// --- distances ---

// The bucket of a distance between words, as in T5.   offset: position of the key - position of the query
int text_bucket(int offset, bool both_ways, const Config& config);

// The bucket of two patches: a quadrant, and in it a bucket for each direction.
//   dx, dy   column and row of the key - those of the query
//   returns  0 ... 4 N^2 - 1 with N = image_buckets
//   Example: image_bucket(0, 0) is 0; with N = 8 image_bucket(1, 0) is 128 + 1, image_bucket(0, 1) is 192 + 8
int image_bucket(int dx, int dy, const Config& config);

// --- pictures as codes ---

struct CodeSteps {
    Map encoded;           // (B*h*w, code width)
    Map raw;               // (B*h*w, code width)  after the last 1 x 1 convolution
    std::vector<int> ids;  // (B*h*w)  the codes, row by row
};

// No gradient flows into this.   throws std::invalid_argument when a picture is not of the size that the config says
CodeSteps codes_of(const std::vector<Image>& pictures, const Weights& w, const Config& config);

// --- the model ---

// What is asked.
struct Source {
    std::vector<int> words;     // (B*S)  0 is padding
    std::vector<Image> images;  // B
    Matrix patches = {};        // (B, n)  1 = there, 0 = padding; empty = all there
};

// What is answered.
struct Target {
    std::vector<int> words;        // (B*T)  0 is padding
    std::vector<int> inputs = {};  // (B*T)  0, then all words but the last of each; empty = this is formed
    std::vector<int> codes = {};   // (B*m)  empty = no image is written: then one masked row stands for it
};

struct EncoderSteps {
    Matrix patches;  // (B*n, P*P*C)
    Var text;        // (B*S, E)
    Var image;       // (B*n, E)
    Var embeddings;  // (B*(S+n), E)
    Var positions;   // (S+n, E)  normed
    Var relative;    // (H*(S+n), S+n)  bias of distances
    Var absolute;    // (H*(S+n), S+n)  bias of positions
    StackSteps blocks;
    Var output;  // (B*(S+n), E)  RMSNorm of the last block
};

struct DecoderSteps {
    Var embeddings;  // (B*(T+m), E)
    Var positions;   // (T+m, E)  normed
    Var relative;    // (H*(T+m), T+m)
    Var absolute;    // (H*(T+m), T+m)
    StackSteps blocks;
    Var hidden;        // (B*(T+m), E)  RMSNorm of the last block
    Var text_logits;   // (B*T, V)   row t predicts word t
    Var image_logits;  // (B*m, Vi)  row k predicts code k
};

struct Steps {
    Matrix source_mask;  // (B, S+n)
    Matrix target_mask;  // (B, T+m)
    EncoderSteps encoder;
    DecoderSteps decoder;
};

//   throws  std::invalid_argument when source and target do not fit together or into the config, or an id is not a word
Steps forward(const Source& source, const Target& target, const Weights& w, const Config& config);

struct Losses {
    Var text;   // (B*T, 1)  0 at padding
    Var image;  // (B*m, 1)  no value when no image is written
    Var total;  // (1, 1)    sum of all over their number
};
Losses losses(const Steps& steps, const Target& target);

// --- places as words ---

// How places stand in the vocabulary of words. A sentinel k is last - k: sentinels count down. The first of them are ordinary.
struct Places {
    int last = 33099;    // sentinel 0
    int ordinary = 100;  // sentinels before the one of bin 0
    int bins = 1000;
    int first_id = 32000;  // the ids above it count as places when an answer is read: the last bin's own id does not
    int end_token = 1;
};

struct Box {
    float x1, y1, x2, y2;  // pixels
};

struct FoundBox {
    std::array<int, 4> ids;  // as written: y1, x1, y2, x2
    Box box;
    std::vector<int> label;  // the words behind it
};

// A box as four words, y1 x1 y2 x2. The picture is padded to a square, so both directions are measured by its longer side.
std::array<int, 4> words_of_box(const Box& box, int width, int height, const Places& places = {});

// A coordinate from its word. One bin too many: bin b is read as (b + 1) / bins.
float coordinate_of(int id, int width, int height, const Places& places = {});

// The boxes of an answer.   throws std::invalid_argument when it is not four places and then a label, again and again
std::vector<FoundBox> boxes_of(const std::vector<int>& answer, int width, int height, const Places& places = {});

inline constexpr int joints = 17;

struct Pose {
    bool found = false;       // not all joints are unlabelled
    bool invalid = false;     // some joints were not written
    std::vector<float> x, y;  // 17, pixels; unlabelled ones stand at the mean of the others
    std::vector<int> labels;  // 17: 0 unlabelled, 1 occluded, 2 visible
};

// The joints of an answer: place, place, word of the label, 17 times.
//   label_words  ids of the words of labels 0, 1 and 2 ("1", "2", "3")
//   throws       std::invalid_argument for an answer of another form, or another label
Pose pose_of(const std::vector<int>& answer, const std::array<int, 3>& label_words, int width, int height,
             const Places& places = {});

// The objects of a segmentation that was written as a picture: white or gray, red, green, blue.
//   picture  (h, w, 3) of 0 ... 255
//   returns  a mask (h*w) of 0 and 1 for each object that there is
std::vector<std::vector<int>> masks_of(const Image& picture);

}  // namespace unified_io
