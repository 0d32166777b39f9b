// data2vec.h: predict what a slow average of the model itself, which sees everything, has in its upper layers at the hidden places.
//
//   paper    Baevski et al., "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language", 2022,
//            arXiv 2202.03555
//   shows    that a target need not be a word, a pixel or a code: it may be learned with the model, and then depends on the whole
//            input. The core reads embedded rows and does not know whether they are words, patches or sound
//   symbols  B sequences   T tokens in each, padding included   D width   L blocks   K upper blocks that make the target
//            M hidden tokens of the whole batch   V words   f what a block's MLP adds, before residual connection and norm
//            tau decay of the average
//   differs  from the published code: the loss is its sum over the hidden tokens, as there, and mean_loss is what the trainer
//            divides it to; no dropout, no layer drop
//   neighbour  bert.h (bert) predicts tokens; here the target is a vector that the averaged model itself computes
//   next     data2vec.cpp, then its walkthrough
#pragma once
#include <vector>

#include "nn/layers/embedding.h"
#include "nn/layers/transformer.h"
#include "nn/training/moving_average.h"

namespace data2vec {

// The defaults are the published text model, of the shape of RoBERTa-base.
struct Config {
    int width = 768;                    // D
    int depth = 12;                     // L
    int heads = 12;                     // must divide D
    int mlp_width = 3072;
    int average_layers = 10;            // K, the uppermost ones
    int head_layers = 2;                // of the regression head: 1, or 2 with a GELU and 2 D between them
    bool normalise_tokens = true;       // each of the K tensors, over the D numbers of a token ("layer_norm_target_layer")
    bool normalise_channels = false;    // each of the K tensors, over the T tokens of a sequence ("instance_norm_target_layer")
    bool normalise_average = false;     // their average, over the D numbers of a token ("layer_norm_targets")
    float beta = 4;                     // where the loss turns from a square into a straight line; 0 = a square throughout
    float loss_scale = 1;               // factor on the loss; 0 = 1 / sqrt(D)
    DecaySchedule average = {};         // tau
    float eps = 1e-5f;                  // of every LayerNorm
    // the text in front of the core
    int words = 50265;                  // V; 0 = no words: the rows come embedded from elsewhere
    int positions = 512;                // longest text
    int padding_word = 1;
    int mask_word = 50264;              // stands in the student's input for a hidden word
};

// What the student and the teacher each have.
struct Network {
    Var words;                  // (V, D)              no value without words, as the two below
    Var positions;              // (positions + p + 1, D)  row p (the padding word's number) is padding's, row p + 1 that of the first word
    Norm embedding_norm;
    std::vector<Block> blocks;  // L, post-norm: every sublayer hands on normalised tokens
};

struct Weights {
    Network student;           // trained
    Network teacher;           // follows it, see update_teacher()
    std::vector<Linear> head;  // (D, D), or (D, 2 D) and (2 D, D)
};

// Fresh weights: normal with this standard deviation, biases 0, gains 1; the teacher begins as a copy of the student.
//   throws  std::invalid_argument for a config that does not fit together
Weights make_weights(const Config& config, Random& random, float stddev = 0.02f);

// Names, shapes and places of the published text checkpoint. Its teacher, a dictionary of its own there, is called encoder._ema.NAME.
Parameters parameters(const Weights& w, const Config& config);

// What is trained: the student and its head.
Parameters trained_parameters(const Weights& w, const Config& config);

// The teacher after update number `update`, 0, 1, ...: its blocks move towards the student's, its embeddings are the student's.
//   source  section 3.3: positions and the encoding of the input are shared
void update_teacher(const Weights& w, const Config& config, int update);

// --- words to rows ---

struct TextSteps {
    std::vector<int> positions;  // B*T  rows of the table: the i-th word that is not padding has i + padding_word + 1
    Var embeddings;              // (B*T, D)  word plus position, normalised
    Var rows;                    // (B*T, D)  0 at padding
};

//   words   B*T of them
//   throws  std::invalid_argument when one is not in the vocabulary, or a text is longer than the table
TextSteps embed_text(const std::vector<int>& words, int length, const Network& network, const Config& config);

// 1 where a word is not padding; 1 where the student does not see it. (B, T)
Matrix word_mask(const std::vector<int>& words, int length, const Config& config);
Matrix hidden_mask(const std::vector<int>& student_words, int length, const Config& config);

// --- the core ---

struct Targets {
    StackSteps teacher;          // of the whole input, all steps kept
    std::vector<Matrix> layers;  // K of (B*T, D)  f of the upper blocks, normalised; the lowest of them first
    Matrix average;              // (B*T, D)
    Matrix targets;              // (B*T, D)
};

struct Steps {
    StackSteps student;
    std::vector<int> hidden;  // M         rows
    Var prediction;           // (M, D)
    Matrix targets;           // (M, D)    at the same rows
};

// What is to be predicted at every row. No gradient flows through it.
//   rows  (B*T, D), the teacher's embedding of the whole input
//   how   segments of length T, and who is padding
Targets make_targets(const Var& rows, const Attending& how, const Weights& w, const Config& config);

// The student on embedded rows, what is hidden covered.
//   rows    (B*T, D)
//   hidden  (B, T)  1 = hidden
Steps predict(const Var& rows, const Matrix& hidden, const Attending& how, const Matrix& targets, const Weights& w,
              const Config& config);

// Text: both together.
struct TextModelSteps {
    TextSteps embedding, teacher_embedding;
    Targets targets;
    Steps steps;
};

//   student_words  B*T, mask_word at the hidden places
//   words          B*T, the text itself
//   throws         std::invalid_argument when the two differ where nothing is hidden, or nothing is hidden
TextModelSteps forward(const std::vector<int>& student_words, const std::vector<int>& words, int length, const Weights& w,
                       const Config& config);

// The loss of every hidden token: the sum over its D numbers, before loss_scale. (M, 1)
Var token_losses(const Steps& steps, const Config& config);

// Their sum times loss_scale, (1, 1), as published; and divided by M, which is what a step follows.
Var loss(const Steps& steps, const Config& config);
Var mean_loss(const Steps& steps, const Config& config);

// Standard deviation over the rows of every number, their mean: when it goes to 0, all targets are the same and the model has
// collapsed.
double spread(const Matrix& targets);

}  // namespace data2vec
