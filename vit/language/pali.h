// pali.h: PaLI. A pre-trained ViT and a pre-trained T5 are joined by one matrix: image tokens precede the prompt of the T5.
//
//   paper    Chen et al., "PaLI: A Jointly-Scaled Multilingual Language-Image Model", 2022, arXiv 2209.06794, section 3
//   shows    that captioning, question answering and text recognition are one task, "image and text in, text out", named in the
//            prompt; the language model gets no new layers, only more rows
//   symbols  B examples   N patches   Dv width of the ViT   S tokens of a prompt   T tokens of an answer   E width of the T5
//   differs  no code was published: the published ViT and T5 are combined as the paper says. The ViT has a class token, which is
//            dropped after its last norm (the paper's ViT-e has none)
//   against  flamingo.h: there the language model is frozen and has cross-attention to images; here it reads image tokens and is
//            trained
//   neighbour  t5.h (gpt/unified) reads text; here image tokens precede it
//   next     pali.cpp, then its walkthrough; gpt/unified/t5.h and vit/vit.h are its halves
#pragma once
#include <map>
#include <string>
#include <vector>

#include "gpt/unified/t5.h"
#include "vit/vit.h"

namespace pali {

// The defaults have the structure of PaLI-3B with the base sizes of ViT and mT5.
struct Config {
    vit::Config vision = {.classes = 0, .eps = 1e-6f};
    t5::Config language = {.gated = true, .activation = Activation::gelu_tanh, .tied = false};
};

struct Weights {
    vit::Weights vision;  // without classifier
    Linear projection;    // (Dv, E)
    t5::Weights language;
};

// Fresh weights of both halves as in their own files; the projection is normal with standard deviation Dv^-1/2.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, float output_stddev = 1);

// Names of the halves as published, under vit. and t5.
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

struct ImageSteps {
    vit::Steps vision;
    Var tokens;      // (B*N, Dv)  without the class tokens
    Var embeddings;  // (B*N, E)   projected
};

struct Steps {
    ImageSteps image;
    TokenBatch source;  // of N + S tokens: the padding mask is 1 for patches and tokens; the ids of patches are unused
    Var encoder_input;  // (B*(N+S), E)  patches first
    t5::EncoderSteps encoder;
    t5::DecoderSteps decoder;  // logits (B*T, V): row t predicts the label at t
};

// The image tokens that the language model reads.
ImageSteps read_images(const std::vector<Image>& images, const Weights& w, const Config& config);

// The whole model.
//   prompts  S tokens each, padding at the end
//   target   the decoder's input, see t5::shifted_right()
//   throws   std::invalid_argument unless there is a prompt and a target for each image
Steps forward(const std::vector<Image>& images, const TokenBatch& prompts, const TokenBatch& target, const Weights& w,
              const Config& config);

// Mean cross-entropy over the labels that are not ignored, (1, 1).
Var loss(const Steps& steps, const std::vector<int>& labels);

// Greedy decoding: an answer to each prompt; it ends with the end token if that was written.
std::vector<std::vector<int>> answers(const std::vector<Image>& images, const TokenBatch& prompts, const Weights& w,
                                      const Config& config, int new_tokens);

}  // namespace pali
