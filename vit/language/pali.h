// pali.h: PaLI. Two pre-trained giants joined by one matrix: what a ViT sees stands in front of what a T5 reads.
//
//   paper    Chen et al., "PaLI: A Jointly-Scaled Multilingual Language-Image Model", 2022, arXiv 2209.06794, section 3
//   shows    that captions, answers and reading signs are one task, "image and text in, text out", named in the prompt; there are no
//            layers for images in the language model, only more rows
//   symbols  B examples   N patches   Dv width of the ViT   S tokens of a prompt   T tokens of an answer   E width of the T5
//   differs  no code was published: the published ViT and T5 are put together as the paper says. The ViT has a class token, which is
//            dropped after its last norm (the paper's ViT-e has none)
//   against  flamingo.h: there the language model is frozen and looks aside, here it reads the image as words and is trained
//   neighbour  t5.h (gpt/unified) reads text; here image tokens stand in front of it
//   next     pali.cpp, then its walkthrough; gpt/unified/t5.h and vit/vit.h are its halves
#pragma once
#include <vector>

#include "gpt/unified/t5.h"
#include "vit/vit.h"

namespace pali {

// The defaults are the sizes of PaLI-3B in outline: a ViT and an mT5 of their base sizes are what the parts' own defaults give.
struct Config {
    vit::Config vision = {.classes = 0, .eps = 1e-6f};
    t5::Config language = {.gated = true, .activation = Activation::gelu_tanh, .tied = false};
};

struct Weights {
    vit::Weights vision;   // without classifier
    Linear projection;     // (Dv, E)
    t5::Weights language;
};

// Fresh weights of both halves as their own files draw them; the projection is normal, Dv^-1/2.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, float output_stddev = 1);

// Names of the halves as published, under vit. and t5.
Parameters parameters(const Weights& w, const Config& config);

struct ImageSteps {
    vit::Steps vision;
    Var tokens;      // (B*N, Dv)  without the class tokens
    Var embeddings;  // (B*N, E)   projected
};

struct Steps {
    ImageSteps image;
    TokenBatch source;   // of N + S tokens: its mask is 1 for patches and for what is not padding; the ids of patches mean nothing
    Var encoder_input;   // (B*(N+S), E)  patches first
    t5::EncoderSteps encoder;
    t5::DecoderSteps decoder;  // logits (B*T, V): row t predicts the label at t
};

// The images as the language model reads them.
ImageSteps read_images(const std::vector<Image>& images, const Weights& w, const Config& config);

// The whole model.
//   prompts  S tokens each, padding at the end
//   target   the decoder's input, see t5::shifted_right()
//   throws   std::invalid_argument unless there is a prompt and a target for each image
Steps forward(const std::vector<Image>& images, const TokenBatch& prompts, const TokenBatch& target, const Weights& w,
              const Config& config);

// Mean cross-entropy over the labels that are not ignored, (1, 1).
Var loss(const Steps& steps, const std::vector<int>& labels);

// Writes an answer to each prompt, greedily; the end token, where it came, is the last.
std::vector<std::vector<int>> answers(const std::vector<Image>& images, const TokenBatch& prompts, const Weights& w,
                                      const Config& config, int new_tokens);

}  // namespace pali
