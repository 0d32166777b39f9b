// gato.h: Gato. Games, robots, captions and chat as one stream of tokens, for one network with one set of weights.
//
//   paper    Reed et al., "A Generalist Agent", 2022, arXiv 2205.06175
//   shows    that a common tokenisation is all it takes: numbers become bins, images become patches, text is text, each in its
//            place of a fixed order; the loss is that of a language model, on text and actions only, never on observations
//   symbols  B episodes   T time steps of an episode   L tokens of the longest episode   E width   H heads   V tokens in all
//            p patch side   n_h, n_w patches down and across   n bins of a number
//   differs  follows an open re-implementation: exact GELU instead of GEGLU, an output matrix of its own; dropout is left out,
//            and so is the first norm of the patch embedding (3 channels); pixels are 0 ... 1, as read_image() gives them
//   against  gpt/gpt.h: the blocks are GPT-2's, but rows are words, patches or separators, padding stands on the left, and
//            positions are counted inside a time step
//   neighbour  gpt.h (gpt) is the network; here its tokens are joint angles, buttons and image patches too
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
    int text_tokens = 32000;        // ids 0 ... text_tokens - 1
    int continuous_tokens = 1024;   // n, bins of a number; their ids follow
    int discrete_tokens = 1024;     // their ids follow
    int width = 2048;               // E
    int depth = 24;                 // blocks
    int heads = 16;                 // H, must divide E
    int mlp_width = 8192;           // inner width of the MLP
    int patch_size = 16;            // p, pixels; must divide height and width of every image
    int channels = 3;               // of an image
    int residual_channels = 64;     // inside the patch embedding
    int groups = 32;                // of its group norm, must divide the residual channels
    int patch_positions = 128;      // rows of the tables of patch positions
    int observation_places = 1024;  // rows of the table of places inside a time step
    float eps = 1e-5f;              // of every norm
    float mu = 100;                 // of mu-law
    float largest = 256;            // M: what mu-law maps to 1

    int vocabulary() const { return text_tokens + continuous_tokens + discrete_tokens; }  // V
    int first_continuous() const { return text_tokens; }
    int first_discrete() const { return text_tokens + continuous_tokens; }
};

// --- tokenisation (section 2.1) ---

// sign(x) ln(mu |x| + 1) / ln(mu M + 1): small numbers keep their resolution, large ones are squeezed.   +-M -> +-1
float mu_law(float x, const Config& config);

// The bin of a number: it is clipped to [-1, 1], which is cut into equal bins. 1 itself belongs to the last one.
int bin_of(float x, int bins);
// The centre of a bin, at most half a bin's width (1 / bins) from what was put in.
float centre_of_bin(int bin, int bins);

// Ids of an observed number (by mu-law), of an action (which is in [-1, 1] already), and of a discrete value.
//   throws  std::invalid_argument for a discrete value without a token
int token_of_observation(float x, const Config& config);
int token_of_action(float x, const Config& config);
int token_of_discrete(int value, const Config& config);
// The action that a token stands for.   throws std::invalid_argument for a token that is no bin
float action_of_token(int token, const Config& config);

// What an agent saw and did, T time steps of it. What a task does not have is empty; the others have T rows or entries.
struct Episode {
    std::vector<Image> images = {};  // one for each step, equally large, pixels 0 ... 1
    std::vector<std::vector<int>> text = {};
    Matrix continuous_observations = {};
    std::vector<std::vector<int>> discrete_observations = {};
    Matrix continuous_actions = {};
    std::vector<std::vector<int>> discrete_actions = {};
};

// T.   throws std::invalid_argument when the parts have different numbers of steps, or there is none
int steps_of(const Episode& episode);

enum class Kind { word, patch, separator };  // word: an id of the vocabulary, be it text, a bin or a discrete value

// One position of the stream.
struct Token {
    Kind kind = Kind::word;
    int id = 0;              // of a word; 0 otherwise
    int place = -1;          // inside the observation of its time step; -1: actions and separators have none
    bool is_target = false;  // text and actions are predicted
};

// The stream of an episode, step by step:
//   [patches, text, continuous observations, discrete observations] separator [continuous actions, discrete actions]
std::vector<Token> tokens_of(const Episode& episode, const Config& config);

// --- the model ---

struct Weights {
    Var words;             // (V, E)
    Var separator;         // (1, E)
    Var places;            // (observation places, E)
    Convolution expand;    // 3 x 3, channels -> residual channels
    Norm norm;             // of groups of residual channels
    Convolution contract;  // 3 x 3, residual channels -> channels
    Linear project;        // (channels p p, E), a patch with the channel slowest
    Var rows, columns;     // (patch positions, E) each
    std::vector<Block> blocks;
    Norm last_norm;
    Var output;  // (V, E)
    Var unused;  // (1, E)  in published files: the word table of the GPT-2 code around the blocks
};

// Fresh weights: normal, biases 0, gains 1.   throws std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, const Init& init = {.draw = Draw::normal});

// Names and layout of the re-implementation's checkpoints: "transformer.h.0.attn.c_attn.weight".
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its shapes, the rest from where nn/layers/model_config.h looks for it.
//   throws  std::invalid_argument in one line that says what is missing, and its cures
Config config_of(const Safetensors& checkpoint, const Told& told = {});

// What shapes do not tell, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// The index of patch number `index` of `count` in a row (or column) in a table of positions. The patch covers a part of the
// image, and that part covers some rows of the table: the middle one in evaluation, half to even, or a random one in training.
//   draw     from [0, 1); below 0: the middle one
//   Example: 3 patches, 32 positions: 4, 15, 26
int patch_position(int index, int count, int positions, float draw = -1);

// The patches of images as tokens, with their positions, (images * n_h * n_w, E).
//   random   draws the positions, as in training; nullptr: the middle ones
//   throws   std::invalid_argument when p does not divide the sizes, or there are more patches than positions
Var embed_images(const std::vector<Image>& images, const Weights& w, const Config& config, Random* random = nullptr);

struct Steps {
    TokenBatch batch;                   // ids (0 where a row is no word) and mask, padded on the left
    std::vector<int> labels;            // (B*L)  the token to be predicted at each row, ignored_label where there is none
    std::vector<char> is_target;        // (B*L)  1 = text or action
    std::vector<Var> image_embeddings;  // of each episode (T n_h n_w, E); no value where it has no images
    Var embeddings;                     // (B*L, E)  rows of padding are 0
    StackSteps decoder;                 // GPT-2's blocks
    Var hidden;                         // (B*L, E)  LayerNorm of the last block
    Var logits;                         // (B*L, V)
};

// The whole model.
//   random  as in embed_images
//   throws  std::invalid_argument when there is no episode, or one does not fit
Steps forward(const std::vector<Episode>& episodes, const Weights& w, const Config& config, Random* random = nullptr);

// Mean cross-entropy over the rows that have a label, (1, 1): those followed by text or an action.
Var loss(const Steps& steps);

// --- writing: actions, or more text ---

// What is written to an episode that has just been observed.
enum class Next {
    text,    // the text of the last time step goes on
    action,  // the actions of the last time step; those that the episode holds there are not looked at
};

// The stream up to where writing begins: to the last separator with Next::action, to the last token before it with Next::text.
std::vector<Token> prompt_of(const Episode& episode, Next next, const Config& config);

// The network as generate() and beam_search() of nn/text/decoding.h see it. The first read() must be of `prompts`: the streams
// are embedded, patches included. After that it reads the words that are written: text, whose places count on, or actions, which
// have none. Keys and values are kept, so the numbers are those of the full pass up to rounding.
struct Reader : TokenReader {
    const Weights& weights;
    const Config& config;
    Steps start;              // embeddings of the prompts; released once they are read
    std::vector<int> places;  // of the next word of each sequence, -1: none
    Memory memory;

    // capacity: tokens of a sequence, the prompt with its padding included
    Reader(const std::vector<Episode>& episodes, Next next, const Weights& w, const Config& c, int capacity);

    const TokenBatch& prompts() const { return start.batch; }
    Matrix read(const TokenBatch& next) override;
    void select(const std::vector<int>& chosen) override;
};

// Writes new tokens to each episode.   returns  the tokens; action_of_token() says which action one is
std::vector<std::vector<int>> generate(const std::vector<Episode>& episodes, Next next, const Weights& w, const Config& config,
                                       const Limits& limits, const Sampling& sampling = {.temperature = 0},
                                       const Matrix& draws = {});
std::vector<Beam> beam_search(const Episode& episode, Next next, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha = 0);

// Where its parts lie, for nn/interpret.
Inside inside(const Weights& w, const Config& config);

}  // namespace gato
