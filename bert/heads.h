// heads.h: BERT's fine-tuning heads. One linear layer on the trunk classifies sequences or tokens, or locates a span.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, section 3.2 (fine-tuning), sections 4.1 to 4.3 and Figure 4
//   shows    that a new task needs D K + K new parameters; all others are pre-trained on plain text
//   symbols  B sequences   T tokens in each   D width   K labels
//   differs  no dropout. The caller chooses whether the trunk is frozen; the paper trains it (frozen: section 5.3)
//   next     heads.cpp, then the walkthrough bert/fine_tuning
#pragma once
#include <vector>

#include "bert/bert.h"

struct Inside;  // nn/interpret/inside.h

namespace heads {

enum class Task {
    sequences,  // one of K labels for a sequence or a pair; reads the pooled [CLS]
    tokens,     // one of K labels for every token: named entities, parts of speech
    spans,      // first and last token of the answer to a question; K = 2 scores per token
};

struct Config {
    bert::Config trunk;
    Task task = Task::sequences;
    int labels = 2;  // K; always 2 for spans
};

// Keeps the trunk's pooler only for a task that reads it.
//   throws  std::invalid_argument when labels < 1, or labels != 2 for spans
Config make_config(const bert::Config& trunk, Task task, int labels = 2);

struct Weights {
    bert::Weights trunk;
    Linear head;  // (D, K)
};

Weights make_weights(const Config& config, Random& random, const Init& init = {});

// The head alone, "classifier" or "qa_outputs"; and trunk plus head.
Parameters head_parameters(const Weights& w, const Config& config);
Parameters parameters(const Weights& w, const Config& config);

// frozen: the trunk is not recorded on the tape, so backward() stops at the head and costs almost nothing.
enum class Trunk { trained, frozen };

struct Steps {
    bert::Steps trunk;
    Var logits;         // (B, K) for sequences, (B*T, K) for tokens
    Var probabilities;  // the same shape, each row sums to 1
};

// throws std::invalid_argument when config.task is another task
Steps classify_sequences(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk = Trunk::trained);
Steps classify_tokens(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk = Trunk::trained);

// Mean cross-entropy, (1, 1). Tokens without a label (padding, [CLS], continuation pieces of a word) carry ignored_label.
Var loss(const Steps& steps, const std::vector<int>& labels);

struct SpanSteps {
    bert::Steps trunk;
    Var logits;        // (B*T, 2)
    Var start_logits;  // (B, T)  column 0 of logits, one sequence per row; the softmax runs over its tokens
    Var end_logits;    // (B, T)  column 1
};
SpanSteps locate_spans(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk = Trunk::trained);

// The mean of the two cross-entropies, (1, 1); starts and ends are positions 0 ... T-1, or ignored_label.
Var loss(const SpanSteps& steps, const std::vector<int>& starts, const std::vector<int>& ends);

// The span with the largest start + end score; of equal scores, the one with the smallest start, then the smallest end.
//   first, last  positions of the text in the sequence (the question before it is excluded)
//   longest      most tokens in an answer
//   throws       std::invalid_argument when the text is empty or outside the sequence
struct Span {
    int start, end;  // both included
    float score;
};
Span best_span(const SpanSteps& steps, int sequence, int first, int last, int longest = 30);

// Layout of the model for nn/interpret: blocks, options, output head.
Inside inside(const Weights& w, const Config& config);

}  // namespace heads
