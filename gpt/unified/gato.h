// gato.h: Gato. Games, robots, captions and chat as one stream of tokens, for one network with one set of weights.
//
//   paper    Reed et al., "A Generalist Agent", 2022, arXiv 2205.06175
//   shows    that a common tokenization is enough: numbers become bins, images become patches, text stays text, in a fixed order;
//            the loss is that of a language model, on text and actions only, not on observations
//   symbols  B episodes   T time steps of an episode   L tokens of the longest episode   E width   H heads   V vocabulary
//            p patch side   n_h, n_w patches per column and per row   n bins of a number
//   differs  follows an open re-implementation: exact GELU instead of GEGLU, an untied output matrix; no dropout; no first
//            norm in the patch embedding (3 channels); pixels are 0 ... 1, as read_image() returns them
//   against  gpt/gpt.h: the blocks are GPT-2's, but rows are text, patches or separators, padding is on the left, and
//            positions count within a time step
//   neighbour  gpt.h (gpt) reads text tokens; here joint angles, buttons and image patches are tokens too
//   next     gato.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/data/image.h"
#include "nn/data/parameters.h"
#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"
#include "nn/maps/convolution.h"
#include "nn/text/memory.h"

struct Inside;  // nn/interpret/inside.h

namespace gato {

// The defaults are the paper's largest network (1.2 B parameters).
struct Config {
    int text_tokens = 32000;           // ids 0 ... text_tokens - 1
    int continuous_tokens = 1024;      // n, bins of a number; their ids follow
    int discrete_tokens = 1024;        // their ids follow
    int width = 2048;                  // E
    int depth = 24;                    // blocks
    int heads = 16;                    // H, must divide E
    int mlp_width = 8192;              // inner width of the MLP
    int patch_size = 16;               // p, pixels; must divide height and width of every image
    int channels = 3;                  // of an image
    int residual_channels = 64;        // inside the patch embedding
    int groups = 32;                   // of its group norm, must divide the residual channels
    int patch_positions = 128;         // rows of the row and column embeddings of patches
    int observation_positions = 1024;  // rows of the embedding of positions within a time step
    float eps = 1e-5f;                 // of every norm
    float mu = 100;                    // of mu-law
    float largest = 256;               // M: what mu-law maps to 1

    int vocabulary() const { return text_tokens + continuous_tokens + discrete_tokens; }  // V
    int first_continuous() const { return text_tokens; }
    int first_discrete() const { return text_tokens + continuous_tokens; }
};

// --- tokenization (section 2.1) ---

// sign(x) ln(mu |x| + 1) / ln(mu M + 1): keeps the resolution of small numbers and compresses large ones.   +-M -> +-1
float mu_law(float x, const Config& config);

// The bin of a number, clipped to [-1, 1]; the bins are of equal width. 1 belongs to the last bin.
int bin_of(float x, int bins);
// The centre of a bin, at most half a bin's width (1 / bins) from the number itself.
float centre_of_bin(int bin, int bins);

// Ids of an observed number (by mu-law), of an action (already in [-1, 1]), and of a discrete value.
//   throws  std::invalid_argument for a discrete value outside its range of tokens
int token_of_observation(float x, const Config& config);
int token_of_action(float x, const Config& config);
int token_of_discrete(int value, const Config& config);
// The action of a token.   throws std::invalid_argument for a token that is not a bin
float action_of_token(int token, const Config& config);

// Observations and actions of an agent over T time steps. Each modality has T rows or entries, or is empty if the task lacks it.
struct Episode {
    std::vector<Image> images = {};  // one for each step, all of one size, pixels 0 ... 1
    std::vector<std::vector<int>> text = {};
    Matrix continuous_observations = {};
    std::vector<std::vector<int>> discrete_observations = {};
    Matrix continuous_actions = {};
    std::vector<std::vector<int>> discrete_actions = {};
};

// T.   throws std::invalid_argument when the modalities have different numbers of steps, or no steps
int steps_of(const Episode& episode);

enum class Kind { token, patch, separator };  // token: an id of the vocabulary (text, bin or discrete value)

// One position of the stream.
struct Token {
    Kind kind = Kind::token;
    int id = 0;              // of a token; 0 otherwise
    int position = -1;       // position within the observation of its time step; -1 for actions and separators
    bool is_target = false;  // text and actions are predicted
};

// The token sequence of an episode, time step by time step:
//   [patches, text, continuous observations, discrete observations] separator [continuous actions, discrete actions]
std::vector<Token> tokens_of(const Episode& episode, const Config& config);

// Marks between the ids below.
inline constexpr int separator_mark = -1;  // after an observation: the separator token
inline constexpr int step_mark = -2;       // after the actions of a time step: no token, the next observation begins

// The same sequence from ids, without patches: observation, separator_mark, actions, step_mark, and again. It may end
// after any token.
//   throws   std::invalid_argument for an id outside the vocabulary, and for a mark in a wrong position
//   Example: {1, 2, separator_mark, 20, step_mark, 3} is text 1 and 2 | action 20, then text 3
std::vector<Token> tokens_of_ids(const std::vector<int>& ids, const Config& config);

// --- the model ---

struct Weights {
    Var token_embedding;   // (V, E)  token embedding
    Var separator;         // (1, E)
    Var positions;         // (observation_positions, E)  position embedding within a time step
    Convolution expand;    // 3 x 3, channels -> residual channels
    Norm norm;             // of groups of residual channels
    Convolution contract;  // 3 x 3, residual channels -> channels
    Linear project;        // (channels p p, E), channels of a patch vary slowest
    Var rows, columns;     // (patch positions, E) each
    std::vector<Block> blocks;
    Norm last_norm;
    Var output;  // (V, E)
    Var unused;  // (1, E)  in published files: the token embedding of the wrapped GPT-2, never read
};

// Fresh weights: normal, biases 0, gains 1.   throws std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the re-implementation's checkpoints: "transformer.h.0.attn.c_attn.weight".
Parameters parameters(const Weights& w, const Config& config);

// Infers the configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h
// lists.
//   throws  std::invalid_argument, one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// The position embedding index of patch `index` of `count` in a row (or column). The patch covers an interval of the image, which
// corresponds to an interval of indices: its middle in evaluation (rounded half to even), a random index of it in training.
//   draw     from [0, 1); negative: the middle
//   Example: 3 patches, 32 positions: 4, 15, 26
int patch_position(int index, int count, int positions, float draw = -1);

// Patch embeddings of images with their position embeddings, (images * n_h * n_w, E).
//   random   draws the indices, as in training; nullptr: the middle ones
//   throws   std::invalid_argument unless p divides the image sizes, and when there are more patches than positions
Var embed_images(const std::vector<Image>& images, const Weights& w, const Config& config, Random* random = nullptr);

struct Steps {
    TokenBatch batch;                   // ids (0 for patches and separators) and padding mask, padded on the left
    std::vector<int> labels;            // (B*L)  the target of each row, or ignored_label
    std::vector<char> is_target;        // (B*L)  1 = text or action
    std::vector<Var> image_embeddings;  // of each episode (T n_h n_w, E); empty for an episode without images
    Var embeddings;                     // (B*L, E)  rows of padding are 0
    StackSteps decoder;                 // GPT-2's blocks
    Var hidden;                         // (B*L, E)  LayerNorm of the last block
    Var logits;                         // (B*L, V)
};

// The whole model.
//   random  as in embed_images
//   throws  std::invalid_argument when there is no episode, or one is inconsistent
Steps forward(const std::vector<Episode>& episodes, const Weights& w, const Config& config, Random* random = nullptr);

// Mean cross-entropy over the rows that have a label, (1, 1): those whose next token is text or an action.
Var loss(const Steps& steps);

// --- generation: actions, or more text ---

// What is generated for the last time step of an episode.
enum class Next {
    text,    // a continuation of its text
    action,  // its actions; actions that the episode already holds there are ignored
};

// The token sequence to be continued: up to the last separator with Next::action, up to the token before it with Next::text.
std::vector<Token> prompt_of(const Episode& episode, Next next, const Config& config);

// The interface to generate() and beam_search() of nn/text/decoding.h. The first read() must begin with `prompts`, whose embeddings,
// patches included, are already computed. What follows, there or in later calls, are generated tokens: text, whose positions
// continue, or actions, which have no position. Keys and values are cached, so the numbers equal those of the full pass up to
// rounding.
struct Reader : TokenReader {
    const Weights& weights;
    const Config& config;
    Steps start;                 // embeddings of the prompts; released after the first read()
    std::vector<int> positions;  // position of each sequence's next token, -1: none
    Memory memory;

    // capacity: tokens of a sequence, including the prompt and its padding
    Reader(const std::vector<Episode>& episodes, Next next, const Weights& w, const Config& c, int capacity);
    // The same for sequences without patches. Text continues one that ends in an observation, actions continue any other.
    //   throws  std::invalid_argument when one holds a patch
    Reader(const std::vector<std::vector<Token>>& streams, const Weights& w, const Config& c, int capacity);

    const TokenBatch& prompts() const { return start.batch; }
    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

// Generates new tokens for each episode.   returns  the tokens; action_of_token() converts one to an action
std::vector<std::vector<int>> generate(const std::vector<Episode>& episodes, Next next, const Weights& w, const Config& config,
                                       const Limits& limits, const Sampling& sampling = {.temperature = 0},
                                       const Matrix& draws = {});
std::vector<Beam> beam_search(const Episode& episode, Next next, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha = 0);

// Layout of the model for nn/interpret: blocks, options, output head.
Inside inside(const Weights& w, const Config& config);

}  // namespace gato
