// coca.h: CoCa, a contrastive captioner. CLIP and a caption decoder in one model, with both losses from one forward pass.
//
//   paper    Yu et al., "CoCa: Contrastive Captioners are Image-Text Foundation Models", 2022, arXiv 2205.01917, section 3
//   shows    that a decoder whose first half has no cross-attention is a text encoder; its second half attends to the image and
//            generates the caption
//   symbols  B pairs   N patches   Dv width of the image tower   Q queries of the pooler   D width of the text and shared width
//            T tokens of a caption, padding included   V tokens of the vocabulary
//   differs  the code of open_clip (the paper published none): one pooler for both losses, and [cls] at the end of the text; no dropout
//   against  clip.h: the image tower is the same up to its last block, with exact GELU; gpt/gpt.h: the second half has cross-attention
//   neighbour  clip.h has the contrastive loss alone; here a decoder writes the caption from the same image tokens
//   next     coca.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/layers/pooler.h"
#include "nn/text/memory.h"
#include "vit/language/clip.h"

namespace coca {

// The defaults are coca_ViT-L-14 of open_clip.
struct Config {
    clip::VisionConfig vision = {
        .grid = {.patch_size = 14}, .width = 1024, .depth = 24, .heads = 16, .mlp_width = 4096, .activation = Activation::gelu};
    int queries = 256;  // Q; the first is for the contrastive loss, the others are the image tokens of the decoder
    int pooler_heads = 8;
    int vocabulary = 49408;  // V
    int positions = 76;      // longest caption, in tokens
    int width = 768;         // D
    int text_depth = 12;     // blocks without cross-attention
    int text_heads = 12;
    int decoder_depth = 12;  // blocks with cross-attention to the image
    int decoder_heads = 12;
    float eps = 1e-5f;  // of every LayerNorm after the image tower
    int padding_token = 0;
    // Attention mask of [cls]. False: as the published weights were trained, with the padding mask one column too far to the right
    // ([cls] sees the first padding token, and itself only in a caption without padding). True: itself and every token but padding.
    bool correct_class_mask = false;
    float contrastive_weight = 1, caption_weight = 2;  // of the two losses
};

// A block that attends to the image: cross-attention and MLP, no self-attention.
struct CrossBlock {
    Norm source_norm;  // of the image tokens
    Block block;
};

struct Weights {
    clip::VisionWeights vision;  // no norm after its blocks
    Pooler pooler;               // Q queries
    Norm pooled_norm;            // of all of them
    Linear image_projection;     // (D, D), no bias

    Var token_embedding;  // (V, D)
    Var positions;        // (positions + 1, D): [cls] has the last row
    Var class_token;      // (1, D)
    std::vector<Block> text_blocks;
    Norm text_norm;          // of [cls] only
    Linear text_projection;  // (D, D), no bias

    std::vector<Block> decoder_blocks;        // causal self-attention
    std::vector<CrossBlock> decoder_crosses;  // one after each of them
    Norm decoder_norm;
    Linear output;  // (D, V), no bias

    Var log_scale;  // (1, 1)
};

// Fresh weights as in CLIP; [cls] and positions 0.01.   throws std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random);

// Names and layout of open_clip's checkpoints.
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// --- the model ---

struct ImageSteps {
    clip::ImageSteps tower;
    PoolerSteps pooler;  // output (B*Q, D)
    Var pooled;          // (B*Q, D)  normalised
    Var features;        // (B, D)  query 0, projected, length 1
    Var tokens;          // (B*(Q-1), D)  the other queries, not projected
};

struct TextSteps {
    MayAttend may;       // (B*T, T)
    StackSteps encoder;  // T rows for each caption: T - 1 tokens and [cls]
    Var features;        // (B, D)  [cls], normalised, projected, length 1
    Var tokens;          // (B*(T-1), D)  the others, not normalised
};

struct DecoderSteps {
    std::vector<BlockSteps> blocks, crosses;  // alternating
    Var norm;                                 // (B*(T-1), D)
    Var logits;                               // (B*(T-1), V)  row t predicts token t + 1
};

struct Steps {
    ImageSteps image;
    TextSteps text;
    DecoderSteps decoder;
    Var logits_per_image;     // (B, B)
    std::vector<int> labels;  // (B*(T-1))  the next token; ignored_label at padding
};

ImageSteps read_images(const std::vector<Image>& images, const Weights& w, const Config& config);

// The text encoder. The last token of each caption is not read: it is only predicted.
//   throws  std::invalid_argument for fewer than two tokens or more than `positions`
TextSteps read_texts(const TokenBatch& captions, const Weights& w, const Config& config);

// The whole model: image b and caption b are a pair. Padding is config.padding_token; the batch's mask is ignored.
Steps forward(const std::vector<Image>& images, const TokenBatch& captions, const Weights& w, const Config& config);

struct Losses {
    Var contrastive;  // (1, 1)  times contrastive_weight
    Var caption;      // (1, 1)  mean cross-entropy of all labels of the batch, times caption_weight
    Var total;        // (1, 1)
};
Losses losses(const Steps& steps, const Weights& w, const Config& config);

// --- writing captions ---

// For generate() and beam_search() of nn/text/decoding.h; the prompt of each image is its start token.
struct Captioner : TokenReader {
    const Weights& weights;
    const Config& config;
    Var image_tokens;                    // (B*(Q-1), D)
    Memory text, decoder;                // key-value caches of the two halves
    std::vector<KeyValueCache> sources;  // keys and values of the image tokens, for each cross-attention

    Captioner(const std::vector<Image>& images, const Weights& w, const Config& config, int capacity);
    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

// Greedy decoding: a caption of each image, without the start token; it ends with end_of_text if that was written.
std::vector<std::vector<int>> captions(const std::vector<Image>& images, const Weights& w, const Config& config, int start_token,
                                       const Limits& limits);

}  // namespace coca
