// heads.h: what BERT is good for. One linear layer on top of the trunk, for sentences, for words, for a passage in a text.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, section 3.2 (fine-tuning), sections 4.1 to 4.3 and Figure 4
//   shows    that a new task needs (D, K) new numbers; all the rest was learnt from plain text
//   symbols  B sequences   T words in each   D width   K labels
//   differs  no dropout. Whoever calls forward says whether the trunk is frozen; the paper trains it (frozen: section 5.3)
//   next     heads.cpp, then the walkthrough bert/fine_tuning
#pragma once
#include <vector>

#include "bert/bert.h"

struct Inside;  // nn/interpret/inside.h

namespace heads {

enum class Task {
    sequences,  // one of K labels for a sequence or a pair; reads the pooled [CLS]
    tokens,     // one of K labels for every word: names, parts of speech
    spans,      // first and last word of the answer to a question; K = 2 scores a word
};

struct Config {
    bert::Config trunk;
    Task task = Task::sequences;
    int labels = 2;  // K; always 2 for spans
};

// The trunk keeps its pooler only where the task reads it.
//   throws  std::invalid_argument when there are no labels, or not 2 for spans
Config make_config(const bert::Config& trunk, Task task, int labels = 2);

struct Weights {
    bert::Weights trunk;
    Linear head;          // (D, K)
};

Weights make_weights(const Config& config, Random& random, const Init& init = {});

// The head alone, "classifier" or "qa_outputs"; and the trunk before it.
Parameters head_parameters(const Weights& w, const Config& config);
Parameters parameters(const Weights& w, const Config& config);

// frozen: nothing of the trunk is written down, so backward() stops at the head and costs next to nothing.
enum class Trunk { trained, frozen };

struct Steps {
    bert::Steps trunk;
    Var logits;         // (B, K) for sequences, (B*T, K) for words
    Var probabilities;  // the same shape, each row sums to 1
};

// throws std::invalid_argument when the model was made for another task
Steps classify_sequences(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk = Trunk::trained);
Steps classify_tokens(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk = Trunk::trained);

// Mean cross entropy, (1, 1). What has no label of its own (padding, [CLS], the rest of a split word) carries ignored_label.
Var loss(const Steps& steps, const std::vector<int>& labels);

struct SpanSteps {
    bert::Steps trunk;
    Var logits;        // (B*T, 2)
    Var start_logits;  // (B, T)  column 0 of logits, a sequence a row: softmax over its words
    Var end_logits;    // (B, T)  column 1
};
SpanSteps locate_spans(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk = Trunk::trained);

// The mean of both cross entropies, (1, 1); starts and ends are places 0 ... T-1, or ignored_label.
Var loss(const SpanSteps& steps, const std::vector<int>& starts, const std::vector<int>& ends);

// The span with the largest start + end score, the first of equal ones.
//   first, last  where the text lies in the sequence (the question before it holds no answer)
//   longest      words of an answer at most
//   throws       std::invalid_argument when the text is empty or outside the sequence
struct Span {
    int start, end;  // both included
    float score;
};
Span best_span(const SpanSteps& steps, int sequence, int first, int last, int longest = 30);

// Where its parts lie, for nn/interpret.
Inside inside(const Weights& w, const Config& config);

}  // namespace heads
