// owl_vit.h: an open-vocabulary detector: CLIP without its pooling, every image token one box and one embedding.
//
//   paper    Minderer et al., "Simple Open-Vocabulary Object Detection with Vision Transformers", 2022, arXiv 2205.06230
//   shows    that a detector needs neither proposals nor a decoder nor a list of classes: a token's score for a class is a cosine with
//            a sentence, its box begins at the token's own place
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
    float class_cost = 1, box_cost = 1, overlap_cost = 1;   // in the matching
    float class_weight = 1, box_weight = 1, overlap_weight = 1;  // of the losses
    float focal_alpha = 0.3f;
    float focal_gamma = 2;
    float absent_logit = -1e6f;                             // of a query that is filled up
};

// throws  std::invalid_argument in one line for a config that does not fit together
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

struct Steps {
    clip::ImageSteps image;
    Var all_tokens;            // (B*(N+1), Dv)  the last norm, on every token
    Var features;              // (B*N, Dv)      LN(token * class token)
    clip::TextSteps text;
    Var queries;               // (B*Q, D)       rows of length 1
    std::vector<int> present;  // (B*Q)          1 = a query, 0 = filled up
    Var class_embeddings;      // (B*N, Dt)      rows of length 1, but for the 1e-6
    Var shift, scale;          // (B*N, 1)       scale = elu(.) + 1, above 0
    Var logits;                // (B*N, Q)       (cosine + shift) scale
    Var box_raw;               // (B*N, 4)
    Var boxes;                 // (B*N, 4)       centre x and y, width, height; shares of the image
};

// The text tower with the published masks: causal, and padding is pushed to the lowest finite number. A sentence that is all padding
// therefore attends evenly to everything before it.
clip::TextSteps masked_text_tower(const TokenBatch& texts, const clip::TextWeights& w, const clip::TextConfig& config);

// Where boxes begin, before the sigmoid: the far corner of each token's cell, and the size of one.   (N, 4)
//   log(v + 1e-4) - log(1 - v + 1e-4), v = (column + 1) / g, (row + 1) / g, 1 / g, 1 / g
Matrix box_bias(const PatchGrid& grid);

// The whole model.
//   texts   B*Q sentences, those of image 0 first; a query whose first token is 0 is absent
//   throws  std::invalid_argument when the sentences do not divide among the images
Steps forward(const std::vector<Image>& images, const TokenBatch& texts, const Weights& w, const Config& config);

// The same queries for every image.
TokenBatch repeated(const TokenBatch& texts, int images);

// --- matching and losses ---

struct Target {
    std::vector<int> labels;  // n, which of the image's queries
    Matrix boxes = {};        // (n, 4)  centre and size, shares of the image
};

// Of each token with each target of one image: class, box and overlap cost, weighted and added up.
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
    Matrix box;       // (1, 4) corners, shares of the image
};
// Every token's best query, if its score reaches the threshold; the best first.
//   overlap  boxes of one query that overlap by more than this are suppressed; 1 = none
std::vector<Found> detections(const Steps& steps, int image, float threshold, float overlap = 1);

}  // namespace owl_vit
