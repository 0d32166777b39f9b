// data2vec.h: data2vec. Predicts the upper layers of a teacher, a moving average of the model itself, at the masked positions.
//
//   paper    Baevski et al., "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language", 2022,
//            arXiv 2202.03555
//   shows    that a target need not be a token, a pixel or a code: it can be learned with the model, and then depends on the whole
//            input. The core reads embedded rows, whether of text, patches or sound
//   symbols  B sequences   T tokens in each, padding included   D width   L blocks   K upper blocks averaged in the target
//            M masked tokens of the whole batch   V tokens of the vocabulary   f output of a block's MLP, before residual
//            connection and norm   tau decay of the moving average
//   differs  from the published code: its loss is the sum over the masked tokens, and its trainer divides by their number; here
//            both are functions, loss and mean_loss; no dropout, no layer drop
//   neighbour  bert.h (bert) predicts tokens; here the target is a vector that the averaged model itself computes
//   next     data2vec.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/layers/embedding.h"
#include "nn/layers/model_config.h"
#include "nn/layers/transformer.h"
#include "nn/training/moving_average.h"

namespace data2vec {

// The defaults are the published text model, of the shape of RoBERTa-base.
struct Config {
    int width = 768;  // D
    int depth = 12;   // L
    int heads = 12;   // must divide D
    int mlp_width = 3072;
    int average_layers = 10;          // K, the uppermost blocks
    int head_layers = 2;              // of the regression head: 1, or 2 with a GELU and 2 D between them
    bool normalise_tokens = true;     // each of the K tensors, over the D numbers of a token ("layer_norm_target_layer")
    bool normalise_channels = false;  // each of the K tensors, over the T tokens of a sequence ("instance_norm_target_layer")
    bool normalise_average = false;   // their average, over the D numbers of a token ("layer_norm_targets")
    float beta = 4;                   // |difference| at which the loss turns from quadratic to linear; 0 = squared error
    float loss_scale = 1;             // factor on the loss; 0 = 1 / sqrt(D)
    DecaySchedule average = {};       // tau
    float eps = 1e-5f;                // of every LayerNorm
    // the text embedding
    int vocabulary = 50265;  // V; 0 = no text: the caller gives embedded rows
    int positions = 512;     // longest text
    int padding_token = 1;   // id of the padding token
    int mask_token = 50264;  // id of the mask token, which replaces masked tokens in the student's input
};

// The parameters of the student, and of the teacher.
struct Network {
    Var token_embedding;  // (V, D)              absent without text, as the two below
    Var positions;        // (positions + p + 1, D)  p = padding_token: row p is for padding, row p + 1 for the first token
    Norm embedding_norm;
    std::vector<Block> blocks;  // L, post-norm
};

struct Weights {
    Network student;           // trained
    Network teacher;           // its moving average, see update_teacher()
    std::vector<Linear> head;  // (D, D), or (D, 2 D) and (2 D, D)
};

// Fresh weights: normal with this standard deviation, biases 0, gains 1; the teacher starts as a copy of the student.
//   throws  std::invalid_argument for an inconsistent config
Weights make_weights(const Config& config, Random& random, float stddev = 0.02f);

// Names, shapes and layout of the published text checkpoint. Its teacher, a separate dictionary there, is named encoder._ema.NAME.
Parameters parameters(const Weights& w, const Config& config);

// The configuration of a checkpoint: sizes from its tensor shapes, the rest from the sources that nn/layers/model_config.h lists.
//   throws  std::invalid_argument in one line that says what is missing, and how to supply it
Config config_of(const Safetensors& checkpoint, const GivenSettings& given = {});

// What tensor shapes do not determine, for save(parameters(w, config), path, metadata(config)).
std::map<std::string, std::string> metadata(const Config& config);

// The trained parameters: the student and its head.
Parameters trained_parameters(const Weights& w, const Config& config);

// Updates the teacher after training step `update`, 0, 1, ...: its blocks move towards the student's, its embeddings are copied.
//   source  section 3.3: positions and the encoding of the input are shared
void update_teacher(const Weights& w, const Config& config, int update);

// --- text embedding ---

struct TextSteps {
    std::vector<int> positions;  // B*T  rows of the table: padding_token + 1 + i for the i-th token that is not padding
    Var embeddings;              // (B*T, D)  token plus position embedding, normalised
    Var rows;                    // (B*T, D)  0 at padding
};

//   tokens  B*T token ids
//   throws  std::invalid_argument when one is not in the vocabulary, or a text is longer than the table
TextSteps embed_text(const std::vector<int>& tokens, int length, const Network& network, const Config& config);

// 1 where a token is not padding; 1 where it is masked in the student's input. (B, T)
Matrix token_mask(const std::vector<int>& tokens, int length, const Config& config);
Matrix student_mask(const std::vector<int>& student_tokens, int length, const Config& config);

// --- the core ---

struct Targets {
    StackSteps teacher;          // of the whole input, all steps kept
    std::vector<Matrix> layers;  // K of (B*T, D)  f of the upper blocks, normalised; the lowest of them first
    Matrix average;              // (B*T, D)
    Matrix targets;              // (B*T, D)
};

struct Steps {
    StackSteps student;
    std::vector<int> masked_rows;  // M         rows
    Var prediction;                // (M, D)
    Matrix targets;                // (M, D)    at the same rows
};

// The target at each row. No gradient flows through it.
//   rows  (B*T, D), the teacher's embedding of the whole input
//   how   segments of length T, and the padding mask
Targets make_targets(const Var& rows, const Attending& how, const Weights& w, const Config& config);

// The student on embedded rows of the masked input.
//   rows    (B*T, D)
//   mask    (B, T)  1 = masked
Steps predict(const Var& rows, const Matrix& mask, const Attending& how, const Matrix& targets, const Weights& w,
              const Config& config);

// Both for text.
struct TextModelSteps {
    TextSteps embedding, teacher_embedding;
    Targets targets;
    Steps steps;
};

//   student_tokens  B*T, mask_token at the masked positions
//   tokens          B*T, the text itself
//   throws         std::invalid_argument when the two differ where nothing is masked, or nothing is masked
TextModelSteps forward(const std::vector<int>& student_tokens, const std::vector<int>& tokens, int length, const Weights& w,
                       const Config& config);

// The loss of each masked token: the sum over its D numbers, before loss_scale. (M, 1)
Var token_losses(const Steps& steps, const Config& config);

// Their sum times loss_scale, (1, 1), as published; and the mean over the M tokens, which is minimised.
Var loss(const Steps& steps, const Config& config);
Var mean_loss(const Steps& steps, const Config& config);

// Standard deviation of each column over the rows, averaged: at 0 all targets are equal, which means that the model has collapsed.
double spread(const Matrix& targets);

}  // namespace data2vec
