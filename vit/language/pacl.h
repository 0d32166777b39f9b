// pacl.h: PACL, patch aligned contrastive learning. Patches are aligned with sentences, learned from captions alone.
//
//   paper    Mukhoti et al., "Open Vocabulary Semantic Segmentation with Patch Aligned Contrastive Learning", 2022,
//            arXiv 2212.04994, section 3
//   shows    that a new way to compare an image with a sentence is enough to segment images, without a single training mask
//   symbols  B images and sentences   N = rows x cols patches   Dv, Dt widths of the frozen encoders' features   D shared width
//            v', u' patch and sentence, rows of length 1   s cosine   a weight of a patch   phi compatibility
//   differs  no code was published: the widths of the embedder, one normalisation before and none after pooling, and bilinear
//            upsampling are our choice; patches do not overlap (the paper's inference has a smaller stride)
//   against  clip.h: there the class token represents the image; here each sentence has its own weights of the patches
//   neighbour  clip.h compares a sentence with the whole image; here with each of its patches
//   next     pacl.cpp, then its walkthrough
#pragma once
#include <map>
#include <string>
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
    Linear linear;            // (Dv, D)  the residual path of the vision embedder
    Linear expand, contract;  // (Dv, D), (D, D)
    Linear text;              // (Dt, D)
    Var log_scale;            // (1, 1)  as in CLIP
};

// Fresh weights: normal, 1 / sqrt(inputs); biases 0; the scale as in CLIP.
//   throws  std::invalid_argument for sizes that are not positive
Weights make_weights(const Config& config, Random& random);

Parameters parameters(const Weights& w);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct Steps {
    Var vision_embeddings;  // (B*N, D)  v = linear(f) + contract(relu(expand(f)))
    Var text_embeddings;    // (B, D)
    Var patches;            // (B*N, D)  v', rows of length 1
    Var texts;              // (B, D)    u', rows of length 1
    // One row for each image and sentence: image 0 with sentence 0, image 0 with sentence 1, ...
    Var similarity;        // (B*B, N)  s: cosine of each patch with the sentence
    Var patch_weights;     // (B*B, N)  a: softmax of the row
    Var pooled;            // (B*B, D)  the image's patches, weighted for this sentence; not normalised again
    Var compatibility;     // (B, B)  phi: images x sentences, a weighted mean of cosines
    Var logits_per_image;  // (B, B)  exp(log_scale) phi
};

// The head on top of frozen encoders.
//   patch_features  (B*N, Dv)  tokens of the patches, no class token
//   text_features   (texts, Dt)
//   throws  std::invalid_argument when these are not whole images, or their width is not that of the config
Steps forward(const Var& patch_features, const Var& text_features, const Weights& w, const Config& config);

// Image i and sentence i are a pair, for all i. (1, 1)
Var loss(const Steps& steps);

// The trained embedders: features to rows of length 1.
Var embed_patches(const Var& patch_features, const Weights& w);
Var embed_texts(const Var& text_features, const Weights& w);

struct Segmentation {
    Map patch_scores;                // (images*N, classes)  cosine of each patch with each class
    Map scores;                      // (images*height*width, classes)  upsampled
    Map probabilities;               // the same; softmax over the classes, no temperature
    std::vector<int> patch_classes;  // (images*N)  class of the largest score
    std::vector<int> classes;        // (images*height*width)  most probable class of each pixel
};

// Zero-shot segmentation: a class for each pixel of height x width; the classes are named by sentences.
//   class_features  (classes, Dt)
Segmentation segment(const Var& patch_features, const Var& class_features, int height, int width, const Weights& w,
                     const Config& config);

// Features f of each patch from CLIP's frozen image tower, (B*N, Dv); no gradient flows into the tower.
Var clip_patch_features(const std::vector<Image>& images, const clip::VisionWeights& w, const clip::VisionConfig& config);

}  // namespace pacl
