// vild.h: ViLD. A two-stage detector classifies regions by CLIP's text embeddings, and is distilled from CLIP's image embeddings.
//
//   paper    Gu et al., "Open-vocabulary Object Detection via Vision and Language Knowledge Distillation", 2021, arXiv 2104.13921
//   equations [ViLD 3] logits, [ViLD 4] distillation, [ViLD 5] ensemble
//   shows    that new classes are new rows of a frozen table (ViLD-text); that knowledge of classes without boxes comes from
//            distilling CLIP's image embeddings on all proposals (ViLD-image)
//   symbols  R labelled regions, M proposals for distillation, of all images   h x w x c features of a region   C classes
//            D width of CLIP   t temperature (the logits are multiplied by it)
//   differs  only the head of the second stage is here: no proposals, box regression, masks, nor the convolutions and the batch norm
//            of the published head
//   neighbour  owl_vit.h has one box for each image token; here boxes are proposed first, and each region is classified
//   next     vild.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/layers/linear.h"
#include "nn/layers/model_config.h"

namespace vild {

// The defaults are the published ones for LVIS.
struct Config {
    int region_height = 7, region_width = 7;  // h, w
    int region_channels = 256;                // c
    int layers = 2;                           // fully connected layers before the projection
    int hidden = 1024;                        // their width
    int clip_width = 512;                     // D
    int classes = 1203;                       // C, without background
    bool double_branch = false;               // ViLD-ensemble: separate layers for distillation
    bool unit_classifier = true;              // text embeddings and background are normalised to length 1
    bool unit_regions = true;                 // so are region embeddings
    float temperature = 100;                  // t
    float distill_weight = 0.5f;
    bool mask_rare = false;  // logits of novel classes are 0 in training
};

// throws  std::invalid_argument in one line for an inconsistent config
void check(const Config& config);

struct Branch {
    std::vector<Linear> layers;  // (h*w*c, hidden), then (hidden, hidden)
    Linear project;              // (hidden, D)
};

struct Weights {
    Branch text;
    Branch image;    // with double_branch; else absent, and the text branch serves both
    Var classes;     // (D, C)  text embeddings of the class names; a constant: frozen
    Var background;  // (D, 1)  learned, since no sentence describes the background
};

Weights make_weights(const Config& config, Random& random);

// Names of the published TensorFlow checkpoints. `classes` is a constant, so it is loaded and saved but not trained.
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct BranchSteps {
    Var projected;   // (regions, D)
    Var embeddings;  // (regions, D)  of length 1
};
// regions  (regions, h*w*c), channel fastest
BranchSteps embed_regions(const Var& regions, const Branch& w, const Config& config);

// t times the cosine with background, then with each class: (regions, D) -> (regions, C + 1).
Var logits(const Var& embeddings, const Weights& w, const Config& config);
// The same without background, as in the image branch: (regions, C).
Var class_cosines(const Var& embeddings, const Weights& w, const Config& config);

// The input of distillation: proposals, and CLIP's embeddings of them.
struct Distillation {
    Matrix regions;          // (M, h*w*c)
    Matrix clip_embeddings;  // (M, D)  of any length
    Matrix boxes;            // (M, 4)  all four 0 = padding
};

struct Steps {
    BranchSteps regions;        // of the labelled regions, text branch
    Var logits;                 // (R, C + 1)  background first
    BranchSteps distilled;      // of the proposals
    Matrix targets;             // (M, D)  CLIP's embeddings, of length 1
    std::vector<int> valid;     // (M)     1 = a proposal, 0 = padding
    Var text_loss, image_loss;  // (1, 1)
    Var loss;                   // (1, 1)  text_loss + distill_weight * image_loss
};

// regions  (R, h*w*c)
// labels   (R)  0 = background, k + 1 = class k
// base     (C)  1 = a class with boxes; needed for mask_rare
//   throws std::invalid_argument when sizes do not fit
Steps training_losses(const Matrix& regions, const std::vector<int>& labels, const Distillation& distillation,
                      const std::vector<int>& base, const Weights& w, const Config& config);

// --- inference ---

// Softmax with background, which is then dropped: (R, C + 1) -> (R, C).
Matrix text_probabilities(const Matrix& logits);
// Softmax of the image branch's cosines: (R, C).
Matrix image_probabilities(const Matrix& class_cosines);
// Geometric mean with weights 2 : 1 for the text branch in base classes, 1 : 2 in novel ones.   (R, C) each
Matrix ensemble(const Matrix& text, const Matrix& image, const std::vector<int>& base);

}  // namespace vild
