// unified_io.h: Unified-IO. Captions, boxes, joints, masks and images are tokens of one vocabulary, written by one model.
//
//   paper    Lu et al., "Unified-IO: A Unified Model for Vision, Language, and Multi-Modal Tasks", 2022, arXiv 2206.08916
//   shows    that no task needs its own layers: text has its tokens, a coordinate is one of 1000 tokens, an image is the codes of a
//            VQ-GAN; the task is a sentence in the prompt, and the loss is the same for all
//   symbols  B examples   S tokens of a prompt   n patches of its image   T tokens of an answer   m codes of a generated image
//            E width   H heads   K head width, H K need not be E   F inner width   V tokens of text, Vi codes
//   layout   encoder rows of an example: S tokens, then n patches; decoder rows: T tokens, then m codes
//   differs  no dropout; a batch is stacked rows; the published code's unused bias of cross-attention is not computed
//   against  gpt/unified/t5.h: rows of two kinds, each with its position embeddings, and a second bias from learned positions
//   shares   vit/mask_latents/vector_quantizer.h
//   neighbour  pix2seq.h writes boxes as tokens; here masks, images and text share the vocabulary as well
//   next     unified_io.cpp
#pragma once
#include <array>
#include <map>
#include <string>
#include <vector>

#include "nn/data/image.h"
#include "nn/data/patches.h"
#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"
#include "nn/maps/convolution.h"
#include "nn/maps/group_norm.h"
#include "nn/text/memory.h"
#include "vit/mask_latents/vector_quantizer.h"

namespace unified_io {

// The encoder and codebook of a VQ-GAN, which turns an image into codes.
struct VaeConfig {
    int resolution = 256;                            // side of the picture, pixels
    int filters = 128;                               // channels of level 0
    std::vector<int> multipliers = {1, 1, 2, 2, 4};  // channels of each level, in units of `filters`; each halves the side
    int res_blocks = 2;                              // at each level
    std::vector<int> attention_sides = {16};         // levels of this side have attention after each block
    int code_width = 256;
    int groups = 32;  // of every GroupNorm
    float eps = 1e-6f;
};

// The defaults are the published base model.
struct Config {
    int vocabulary = 33152;  // V: 32,000 pieces, 1100 sentinels (1000 of them coordinates), the rest is padding of the table
    int image_vocabulary = 16384;  // Vi
    PatchGrid grid = {.height = 384, .width = 384, .patch_size = 16};
    int width = 768;            // E
    int heads = 12;             // H
    int head_width = 64;        // K
    int mlp_width = 2048;       // F
    int encoder_depth = 12;     // blocks
    int decoder_depth = 12;     // blocks
    int encoder_text = 256;     // longest prompt
    int encoder_patches = 576;  // maximum number of patches
    int decoder_text = 128;     // longest answer
    int decoder_codes = 256;    // maximum number of codes
    int decoder_grid = 16;      // codes in a row of the generated image
    int buckets = 32;           // of distances between tokens
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
    Convolution shortcut;  // 1 x 1, of the input; only if the number of channels changes
};

struct MapAttention {
    Norm norm;
    Convolution query, key, value, output;  // 1 x 1
};

struct Level {
    std::vector<ResBlock> blocks;
    std::vector<MapAttention> attentions;  // one after each block, or empty
    Convolution down;                      // 3 x 3, stride 2; absent at the last level
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
    Var segments;                         // (2, E)  row 0 is added to tokens of text, row 1 to patches or codes
    Norm text_norm, image_norm;           // of the input embeddings; in the decoder one norm for both
    Norm position_norm;                   // of the position embeddings, before they are projected to queries and keys
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

// Fresh weights: normal with standard deviation 1 for token embeddings, 0.02 for tables of positions, segments and distances,
// (E K)^-1/2 for queries, E^-1/2 for other matrices that read rows of width E, (H K)^-1/2 and F^-1/2 for those that write them.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random);

// Names and layout of the published checkpoints: "encoder/layers_0/attention/query/kernel".
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its shapes, the rest from where nn/layers/model_config.h looks for it.
//   throws  std::invalid_argument in one line that says what is missing, and its cures
Config config_of(const Safetensors& checkpoint, const Told& told = {});

// What shapes do not tell, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// Unused tensors of published files: the bias of cross-attention, and the VQ-GAN's decoder.
LoadRules load_rules();

// --- distances ---

// The bucket of a distance between tokens, as in T5.   offset: position of the key - position of the query
int text_bucket(int offset, bool both_ways, const Config& config);

// The bucket of two patches: a quadrant, and in it a bucket for each direction.
//   dx, dy   column and row of the key - those of the query
//   returns  0 ... 4 N^2 - 1 with N = image_buckets
//   Example: image_bucket(0, 0) is 0; with N = 8 image_bucket(1, 0) is 128 + 1, image_bucket(0, 1) is 192 + 8
int image_bucket(int dx, int dy, const Config& config);

// --- images as codes ---

struct CodeSteps {
    Map encoded;           // (B*h*w, code width)
    Map raw;               // (B*h*w, code width)  after the last 1 x 1 convolution
    std::vector<int> ids;  // (B*h*w)  the codes, row by row
};

// Encodes images without gradient.   throws std::invalid_argument when an image does not have the config's size
CodeSteps codes_of(const std::vector<Image>& pictures, const Weights& w, const Config& config);

// --- the model ---

// The encoder's input.
struct Source {
    std::vector<int> words;     // (B*S)  token ids; 0 is padding
    std::vector<Image> images;  // B
    Matrix patches = {};        // (B, n)  1 = present, 0 = padding; empty = all present
};

// The decoder's target.
struct Target {
    std::vector<int> words;        // (B*T)  token ids; 0 is padding
    std::vector<int> inputs = {};  // (B*T)  0, then all tokens but the last of each; empty = computed from `words`
    std::vector<int> codes = {};   // (B*m)  empty = no image is generated; one masked row then takes its position
};

struct EncoderSteps {
    Matrix patches;  // (B*n, P*P*C)
    Var text;        // (B*S, E)
    Var image;       // (B*n, E)
    Var embeddings;  // (B*(S+n), E)
    Var positions;   // (S+n, E)  normalised
    Var relative;    // (H*(S+n), S+n)  bias of distances
    Var absolute;    // (H*(S+n), S+n)  bias of positions
    StackSteps blocks;
    Var output;  // (B*(S+n), E)  RMSNorm of the last block
};

struct DecoderSteps {
    Var embeddings;  // (B*(T+m), E)
    Var positions;   // (T+m, E)  normalised
    Var relative;    // (H*(T+m), T+m)
    Var absolute;    // (H*(T+m), T+m)
    StackSteps blocks;
    Var hidden;        // (B*(T+m), E)  RMSNorm of the last block
    Var text_logits;   // (B*T, V)   row t predicts token t
    Var image_logits;  // (B*m, Vi)  row k predicts code k
};

struct Steps {
    Matrix source_mask;  // (B, S+n)
    Matrix target_mask;  // (B, T+m)
    EncoderSteps encoder;
    DecoderSteps decoder;
};

//   throws  std::invalid_argument when source, target and config do not fit together, or an id is not in the vocabulary
Steps forward(const Source& source, const Target& target, const Weights& w, const Config& config);

struct Losses {
    Var text;   // (B*T, 1)  0 at padding
    Var image;  // (B*m, 1)  absent when no image is generated
    Var total;  // (1, 1)    mean over all
};
Losses losses(const Steps& steps, const Target& target);

// --- writing ---

// For generate() and beam_search() of nn/text/decoding.h: each source and each row of the decoder is read once. Tokens are rows of
// the embedding table: text token k is k, code k is V + k. After a text token the logits of all codes are -1e10, after a code those
// of all text tokens, as published.
struct Reader : TokenReader {
    const Weights& weights;
    const Config& config;
    int words;      // the first `words` rows are text, all later ones codes
    Matrix mask;    // (B, S+n)
    Var encoded;    // (B*(S+n), E)
    Memory memory;  // key-value caches of the decoder and of the source

    // words, codes  maximum number of rows of each kind: a text begins with token 0, an image with token V - 1
    //   throws      std::invalid_argument when the source does not fit the config, or there are fewer positions
    Reader(const Source& source, int words, int codes, const Weights& w, const Config& c);

    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

// Greedy decoding of text: an answer for each example, up to and including the end token, at most `most` tokens.
std::vector<std::vector<int>> write_words(const Source& source, int most, const Weights& w, const Config& config,
                                          int end_token = 1);

// Greedy decoding of an image: no text but the end token, then `count` codes.   returns (B*count)
std::vector<int> write_codes(const Source& source, int count, const Weights& w, const Config& config);

// --- coordinates as tokens ---

// The ids of coordinates. Sentinel k has id last - k: sentinels count down. The first 100 are ordinary sentinels.
struct Places {
    int last = 33099;    // sentinel 0
    int ordinary = 100;  // sentinels before that of bin 0
    int bins = 1000;
    int first_id = 32000;  // ids above it count as coordinates when an answer is read; the last bin's id itself does not
    int end_token = 1;
};

struct Box {
    float x1, y1, x2, y2;  // pixels
};

struct FoundBox {
    std::array<int, 4> ids;  // as written: y1, x1, y2, x2
    Box box;
    std::vector<int> label;  // the tokens after it
};

// A box as four tokens, y1 x1 y2 x2. The image is padded to a square, so both directions are relative to its longer side.
std::array<int, 4> words_of_box(const Box& box, int width, int height, const Places& places = {});

// A coordinate from its token. Off by one bin, as published: bin b is read as (b + 1) / bins.
float coordinate_of(int id, int width, int height, const Places& places = {});

// The boxes of an answer.   throws std::invalid_argument when it does not repeat four coordinates and a label
std::vector<FoundBox> boxes_of(const std::vector<int>& answer, int width, int height, const Places& places = {});

inline constexpr int joints = 17;

struct Pose {
    bool found = false;       // at least one joint is labelled
    bool invalid = false;     // some joints were not written
    std::vector<float> x, y;  // 17, pixels; unlabelled joints get the mean of the others
    std::vector<int> labels;  // 17: 0 unlabelled, 1 occluded, 2 visible
};

// The joints of an answer: two coordinates and the token of the label, 17 times.
//   label_words  ids of the tokens of labels 0, 1 and 2 ("1", "2", "3")
//   throws       std::invalid_argument for an answer of another form, or another label
Pose pose_of(const std::vector<int>& answer, const std::array<int, 3>& label_words, int width, int height,
             const Places& places = {});

// The objects of a segmentation that was generated as an image: white or gray, red, green, blue.
//   picture  (h, w, 3) of 0 ... 255
//   returns  a mask (h*w) of 0 and 1 for each object
std::vector<std::vector<int>> masks_of(const Image& picture);

}  // namespace unified_io
