// pacl.h: patch aligned contrastive learning. Which patches show what the sentence says, learned from captions only.
//
//   paper    Mukhoti et al., "Open Vocabulary Semantic Segmentation with Patch Aligned Contrastive Learning", 2022,
//            arXiv 2212.04994, section 3
//   shows    that changing how an image and a sentence are compared is enough to find things in images, without a single mask
//   symbols  B images and sentences   N = rows x cols patches   Dv, Dt widths of the frozen encoders' features   D shared width
//            v', u' patch and sentence, rows of length 1   s cosine   a weight of a patch   phi compatibility
//   differs  no code was published: the widths of the embedder, one normalisation before and none after pooling, and bilinear
//            enlargement are our choice; patches do not overlap (the paper's inference takes a smaller stride)
//   against  clip.h: there the class token stands for the image; here every sentence weighs the patches for itself
//   neighbour  clip.h compares a sentence with the whole image; here with each of its patches
//   next     pacl.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/maps/map.h"
#include "vit/language/clip.h"

namespace pacl {

// The defaults are those for CLIP ViT-B/16 at 224 pixels.
struct Config {
    int rows = 14, cols = 14;  // of the patch grid, N = rows cols
    int vision_width = 768;    // Dv
    int text_width = 512;      // Dt
    int width = 512;           // D
};

struct Weights {
    Linear linear;           // (Dv, D)  what an embedding is without the two layers below
    Linear expand, contract;  // (Dv, D), (D, D)
    Linear text;             // (Dt, D)
    Var log_scale;           // (1, 1)  as in CLIP
};

// Fresh weights: normal, 1 / sqrt(inputs); biases 0; the scale as in CLIP.
//   throws  std::invalid_argument for sizes that are not positive
Weights make_weights(const Config& config, Random& random);

Parameters parameters(const Weights& w);

struct Steps {
    Var vision_embeddings;  // (B*N, D)  v = linear(f) + contract(relu(expand(f)))
    Var text_embeddings;    // (B, D)
    Var patches;            // (B*N, D)  v', rows of length 1
    Var texts;              // (B, D)    u', rows of length 1
    // One row for each image and sentence: image 0 with sentence 0, image 0 with sentence 1, ...
    Var similarity;     // (B*B, N)  s: how well each patch fits the sentence
    Var patch_weights;  // (B*B, N)  a: softmax of the row
    Var pooled;         // (B*B, D)  the image as this sentence sees it, not brought to length 1 again
    Var compatibility;      // (B, B)  phi: images x sentences, a weighted mean of cosines
    Var logits_per_image;   // (B, B)  exp(log_scale) phi
};

// The head on top of frozen encoders.
//   patch_features  (B*N, Dv)  tokens of the patches, no class token
//   text_features   (texts, Dt)
//   throws  std::invalid_argument when these are not whole images, or as wide as the config says
Steps forward(const Var& patch_features, const Var& text_features, const Weights& w, const Config& config);

// Image i and sentence i are a pair, for all i. (1, 1)
Var loss(const Steps& steps);

// The trained embedders: features to rows of length 1.
Var embed_patches(const Var& patch_features, const Weights& w);
Var embed_texts(const Var& text_features, const Weights& w);

struct Segmentation {
    Map patch_scores;      // (images*N, classes)  cosine of each patch with each class
    Map scores;            // (images*height*width, classes)  enlarged
    Map probabilities;     // the same; softmax over the classes, no temperature
    std::vector<int> patch_classes;  // (images*N)  the largest score
    std::vector<int> classes;        // (images*height*width)  the likeliest class of every pixel
};

// Every pixel of images of height x width is given a class, named by a sentence.
//   class_features  (classes, Dt)
Segmentation segment(const Var& patch_features, const Var& class_features, int height, int width, const Weights& w, const Config& config);

// f of CLIP: what the frozen image tower says of every patch, (B*N, Dv); no gradient flows into the tower.
Var clip_patch_features(const std::vector<Image>& images, const clip::VisionWeights& w, const clip::VisionConfig& config);

}  // namespace pacl
