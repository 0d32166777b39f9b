// pooler.h: reduce any number of tokens to a fixed number, by learned queries that attend to them.
//
//   papers   attentional pooler: Lee et al., "Set Transformer", 2018, arXiv 1810.00825, section 3.2; Yu et al. (CoCa), 2022,
//            arXiv 2205.01917, section 3.2
//            resampler: Jaegle et al., "Perceiver", 2021, arXiv 2103.03206; Alayrac et al. (Flamingo), 2022, arXiv 2204.14198,
//            appendix A.1.1
//   shows    that pooling is cross-attention whose queries are weights, the same for every sequence
//   symbols  B sequences (images)   n tokens of a sequence   Ds their width   Q queries or latents   D their width   H heads
#pragma once
#include <vector>

#include "nn/layers/transformer.h"

// --- attentional pooler ---

struct Pooler {
    Var queries;          // (Q, D)
    Norm query_norm;      // of the queries
    Norm source_norm;     // of the tokens
    Attention attention;  // keys and values (Ds, ...)
};

struct PoolerSteps {
    Var queries;               // (B*Q, D)  normalised, the same for every sequence
    Var source;                // (B*n, Ds)  normalised
    AttentionSteps attention;  // output (B*Q, D): row b Q + q is the output of query q for sequence b
};

// Attends with every query to every sequence.
//   segments  of the tokens, one per sequence
PoolerSteps pool(const Var& tokens, const Segments& segments, const Pooler& w, int heads, float eps);

Pooler make_pooler(Random& random, int queries, int width, int source_width, const Init& init = {});

// --- Perceiver resampler ---

struct ResamplerLayer {
    Norm source_norm;     // of the tokens
    Norm latent_norm;     // of the latents
    Attention attention;  // no biases; H h need not be D
    Norm mlp_norm;
    Mlp mlp;  // no biases
};

struct Resampler {
    Var latents;  // (R, D)
    Var frames;   // (F, D)  time embeddings, added to the tokens of each video frame; absent for images
    std::vector<ResamplerLayer> layers;
    Norm norm;  // of the final latents
};

struct ResamplerLayerSteps {
    AttentionSteps attention;  // output (B*R, D), before the residual connection
    MlpSteps mlp;              // output (B*R, D), before the residual connection
};

struct ResamplerSteps {
    std::vector<ResamplerLayerSteps> layers;
    Var latents;  // (B*R, D)
};

// In each layer the latents attend to the tokens and to one another: keys and values are computed from the tokens, then the
// latents.
//   tokens  (B*n, D), `sequences` of n tokens each; with frames n = F v, frame by frame
//   throws  std::invalid_argument when the rows do not divide into sequences, or the tokens into frames
ResamplerSteps resample(const Var& tokens, int sequences, const Resampler& w, int heads, float eps);

// The sizes of a resampler.
struct ResamplerShape {
    int latents = 64;      // R
    int width = 1024;      // D
    int depth = 6;         // layers
    int heads = 8;         // H
    int head_width = 64;   // h
    int mlp_width = 4096;  // inner width of the MLPs
    int frames = 1;        // F; 1: images
};
Resampler make_resampler(Random& random, const ResamplerShape& shape, const Init& init = {});

// Adds the tensors under the names of OpenFlamingo's checkpoints: "perceiver." + "latents", "layers.0.0.to_q.weight", ...
void add_parameters(Parameters& table, const std::string& prefix, const Resampler& w);
