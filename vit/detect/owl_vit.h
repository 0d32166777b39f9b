// owl_vit.h: OWL-ViT. An open-vocabulary detector: CLIP without its pooling, each image token predicts a box and an embedding.
//
//   paper    Minderer et al., "Simple Open-Vocabulary Object Detection with Vision Transformers", 2022, arXiv 2205.06230
//   shows    that a detector needs neither proposals nor a decoder nor a list of classes: a token's score for a class is its cosine
//            with a sentence, its box starts at the token's own position
//   symbols  B images   H, W height and width   P patch side   N = (H / P)(W / P) tokens   Dv, Dt widths of the two towers
//            Q queries of an image, each T text tokens   n targets of an image   g cells along a side of the grid
//   differs  from the paper: no drop path, no mosaics of images; matching and losses are DETR's with sigmoids, as the paper says,
//            but the authors' training code has more terms than boxes need
//   neighbour  clip.h (vit/language) pools its image tokens into one vector; here each token keeps its own, and gets a box
//   next     owl_vit.cpp, then its walkthrough; the two towers are vit/language/clip
#pragma once
#include <vector>

#include "vit/detect/matching.h"
#include "vit/language/clip.h"

namespace owl_vit {

// The defaults are ViT-B/32 as published, for 768 x 768 pixels.
struct Config {
    clip::Config clip = {.vision = {.grid = {.height = 768, .width = 768, .patch_size = 32}}, .text = {.positions = 16}};
    float class_cost = 1, box_cost = 1, overlap_cost = 1;        // weights in the matching
    float class_weight = 1, box_weight = 1, overlap_weight = 1;  // of the losses
    float focal_alpha = 0.3f;
    float focal_gamma = 2;
    float absent_logit = -1e6f;  // of a padding query
};

// throws  std::invalid_argument in one line for an inconsistent config
void check(const Config& config);

struct Weights {
    clip::Weights clip;
    Norm merge_norm;         // of token * class token
    Linear class_embedding;  // (Dv, Dt)
    Linear logit_shift;      // (Dv, 1)
    Linear logit_scale;      // (Dv, 1)
    Linear box[3];           // (Dv, Dv), (Dv, Dv), (Dv, 4)
};

Weights make_weights(const Config& config, Random& random);

// Names of google/owlvit-base-patch32 and its relatives.
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct Steps {
    clip::ImageSteps image;
    Var all_tokens;  // (B*(N+1), Dv)  the last norm, on every token
    Var features;    // (B*N, Dv)      LN(token * class token)
    clip::TextSteps text;
    Var queries;               // (B*Q, D)       rows of length 1
    std::vector<int> present;  // (B*Q)          1 = a query, 0 = padding
    Var class_embeddings;      // (B*N, Dt)      rows of length 1, up to the 1e-6 in the divisor
    Var shift, scale;          // (B*N, 1)       scale = elu(.) + 1, above 0
    Var logits;                // (B*N, Q)       (cosine + shift) scale
    Var box_raw;               // (B*N, 4)
    Var boxes;                 // (B*N, 4)       centre x and y, width, height; relative to the image
};

// The text tower with the published masks: causal, and padding gets the lowest finite score, not -infinity. A sentence that is all
// padding therefore attends uniformly to all tokens up to the query.
clip::TextSteps masked_text_tower(const TokenBatch& texts, const clip::TextWeights& w, const clip::TextConfig& config);

// The bias of the box logits: the lower right corner of each token's cell, and the size of a cell.   (N, 4)
//   log(v + 1e-4) - log(1 - v + 1e-4), v = (column + 1) / g, (row + 1) / g, 1 / g, 1 / g
Matrix box_bias(const PatchGrid& grid);

// The whole model.
//   texts   B*Q sentences, those of image 0 first; a query whose first token is 0 is padding
//   throws  std::invalid_argument when the number of sentences is not a multiple of the number of images
Steps forward(const std::vector<Image>& images, const TokenBatch& texts, const Weights& w, const Config& config);

// The same queries for every image.
TokenBatch repeated(const TokenBatch& texts, int images);

// --- matching and losses ---

struct Target {
    std::vector<int> labels;  // n, indices of the image's queries
    Matrix boxes = {};        // (n, 4)  centre and size, relative to the image
};

// Weighted sum of the class, box and overlap cost of each token with each target of one image.
//   logits (N, Q), boxes (N, 4)  ->  (N, n)
Matrix matching_cost(const Matrix& logits, const Matrix& boxes, const Target& target, const Config& config);

struct Losses {
    std::vector<Matrix> costs;                  // of each image (N, n)
    std::vector<std::vector<Matched>> matches;  // of each image
    Var classes, boxes, overlap;                // (1, 1) each, divided by the number of targets, before their weights
    Var total;                                  // (1, 1)
};
Losses losses(const Steps& steps, const std::vector<Target>& targets, const Config& config);

// --- detections ---

struct Found {
    int token = 0, query = 0;
    float score = 0;  // sigmoid of the logit
    Matrix box;       // (1, 4) corners, relative to the image
};
// The best query of each token, if its score reaches the threshold; best first.
//   overlap  boxes of the same query whose IoU exceeds this are suppressed; 1 = no suppression
std::vector<Found> detections(const Steps& steps, int image, float threshold, float overlap = 1);

}  // namespace owl_vit
