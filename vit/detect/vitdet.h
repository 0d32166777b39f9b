// vitdet.h: ViTDet. A plain ViT as the backbone of a detector: window attention, and a feature pyramid from the last map alone.
//
//   paper    Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", 2022, arXiv 2203.16527
//   shows    that a detector needs no hierarchical backbone: a few global blocks connect the windows, and every scale can be
//            computed from one map
//   symbols  B images   H, W height and width   P patch side   h = H / P, w = W / P tokens   D width   A heads   d = D / A head width
//            k window side   S windows of the batch, or B in a global block   (a, b) map on which attention works: (k, k) or (h, w)
//            C channels of the pyramid
//   differs  maps are rows, channels last, image after image; no drop path, which the published code draws at random
//   neighbour  vit.h (vit) attends to all patches in every block; here most blocks attend inside windows
//   next     vitdet.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/data/image.h"
#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"
#include "nn/maps/convolution.h"
#include "nn/maps/map.h"

namespace vitdet {

// The defaults are the paper's ViT-B.
struct Config {
    int patch_size = 16;         // P, pixels
    int channels = 3;            // of an image
    int table_height = 64;       // h and w of the relative position tables of global blocks:
    int table_width = 64;        //   1024 / 16 in the paper; interpolated for maps of another size
    int position_side = 14;      // tokens along a side of the pre-training image, 224 / 16
    bool class_position = true;  // the table of absolute positions begins with that of a class token
    bool absolute_positions = true;
    bool relative_positions = true;
    int width = 768;       // D
    int depth = 12;        // blocks
    int heads = 12;        // A; must divide D
    int mlp_width = 3072;  // inner width of the MLP
    bool query_key_value_bias = true;
    int window = 14;                                        // k, tokens; 0 = every block is global
    std::vector<int> windowed = {0, 1, 3, 4, 6, 7, 9, 10};  // blocks with window attention; the others are global
    std::vector<int> residual = {};               // blocks followed by three convolutions, the alternative to global ones
    std::vector<double> scales = {4, 2, 1, 0.5};  // levels of the pyramid, relative to the map of tokens: some of these
    int pyramid_channels = 256;                   // C; 0 = no pyramid
    bool top_level = true;                        // one more level: every second pixel of the last one
    float eps = 1e-6f;                            // of every LayerNorm
};

// throws  std::invalid_argument in one line for an inconsistent config
void check(const Config& config);

bool is_windowed(const Config& config, int block);
bool has_residual(const Config& config, int block);

// Three convolutions with a residual connection: 1 x 1 to D/2, 3 x 3, 1 x 1 to D, each with a norm; no biases.
struct ResidualConvolutions {
    Convolution convolutions[3];
    Norm norms[3];
};

// One level of the pyramid.
struct Level {
    double scale = 1;
    std::vector<TransposedConvolution> deconvolutions;  // 2, 1 or 0 of them: each doubles the map and halves the channels
    Norm norm;                                          // between two of them
    Convolution lateral, smooth;                        // 1 x 1 to C and 3 x 3, without bias
    Norm lateral_norm, smooth_norm;
};

struct Weights {
    Convolution projection;  // (P*P*channels, D), kernel and stride P
    Var positions;           // (1 + s*s, D) or (s*s, D), s = position_side
    std::vector<Block> blocks;
    std::vector<Var> tables_down, tables_across;  // of each block (2a - 1, d) and (2b - 1, d), shared by its heads
    std::vector<ResidualConvolutions> residual;   // of each block; absent in most
    std::vector<Level> levels;
};

// Fresh weights: truncated normal, standard deviation 0.02; relative positions 0; the last norm of residual convolutions 0, so
// that they start as the identity.
Weights make_weights(const Config& config, Random& random, const Init& init = {});

// Names of the released Mask R-CNN checkpoints. Levels are named after their stride: simfp_2 has stride 4.
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// log2 of a level's stride in pixels, the number in its names: scale 4 and P = 16 give 2.
//   throws  std::invalid_argument when the stride is below one pixel
int level_number(double scale, const Config& config);

// --- windows ---

// Windows of k x k tokens, row by row in each image; the map is padded to multiples of k.
struct Windows {
    std::vector<int> rows;     // the row of the map at each position of each window; -1 = padding
    std::vector<int> inverse;  // the position in `rows` of each row of the map
    int count = 0;             // windows of all images
    int padded_height = 0, padded_width = 0;
};
Windows windows(const MapSize& size, int side);

// The map as windows, (S*k*k, D), padded with zeros.   And back, without the padding.
Var partition(const Var& map, const Windows& windows, Where where = Where::current());
Var unpartition(const Var& inside, const Windows& windows, Where where = Where::current());

// --- relative positions ---

// The row of a table (2 length - 1) for each pair of query and key along one axis: entry query * length + key is
// query - key + length - 1.
std::vector<int> offsets(int length);

// A table for 2 length - 1 offsets; a table of another length is interpolated linearly.   (L, d) -> (2 length - 1, d)
Var table_for(const Var& table, int length, Where where = Where::current());

// Relative position bias of the attention scores: q . Rh[i - i' + a - 1] + q . Rw[j - j' + b - 1] for query (i, j), key (i', j').
//   query   (S*a*b, A*d), before it is scaled
//   down    (2a - 1, d) Rh   across (2b - 1, d) Rw
//   returns (S*A*a*b, a*b), as attention takes it
Var decomposed_bias(const Var& query, const Var& down, const Var& across, int a, int b, int heads,
                    Where where = Where::current());

// --- the model ---

struct BlockSteps {
    Var norm1;                 // (B*h*w, D)
    Var inside;                // (S*a*b, D)         the windows, padded with zeros; in a global block norm1
    Var table_down;            // (2a - 1, d)        Rh, interpolated where necessary
    Var table_across;          // (2b - 1, d)        Rw
    Var bias;                  // (S*A*a*b, a*b)
    AttentionSteps attention;  // of the windows
    Var after_attention;       // (B*h*w, D)
    Var norm2;                 // (B*h*w, D)
    MlpSteps mlp;
    Var output;  // (B*h*w, D)         after the residual convolutions where there are any
};

struct Steps {
    Map image;                       // (B*H*W, channels)
    Map patch_embeddings;            // (B*h*w, D)
    Var positions;                   // (h*w, D)          fitted to the map
    std::vector<BlockSteps> blocks;  // empty unless steps are kept
    Map last;                        // (B*h*w, D)        output of the last block; no norm follows
    std::vector<Map> pyramid;        // each (B*h'*w', C), finest first, then the top level
};

// One block.   size  of the map z
BlockSteps block(const Var& z, const Weights& w, const Config& config, int number, const MapSize& size);

// Every level from the last map.
std::vector<Map> pyramid(const Map& last, const Weights& w, const Config& config);

// The whole backbone. Images may have any height and width that P divides; all of a batch have the same.
Steps forward(const std::vector<Image>& images, const Weights& w, const Config& config);

// Multiplications in one block's attention on h x w tokens, scores and weighted values without projections: 2 S (ab)^2 D.
double attention_multiplications(const Config& config, int block, int height, int width);

}  // namespace vitdet
