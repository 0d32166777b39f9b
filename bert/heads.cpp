#include "bert/heads.h"

#include <cmath>

#include <algorithm>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/inside.h"
#include "nn/training/loss.h"

namespace heads {

static bert::Steps run_trunk(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk) {
    require_shape("heads", "head", w.head.weight, config.trunk.width, config.labels);
    if (trunk == Trunk::trained) return bert::forward(batch, w.trunk, config.trunk);
    const NoTape not_recorded;
    return bert::forward(batch, w.trunk, config.trunk);
}

static void require_task(const Config& config, Task task, const char* place) {
    require(config.task == task, place,
            ": this model was made for another task; make its configuration with make_config(trunk, Task::...) for this one");
}

Steps classify_sequences(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk) {
    require_task(config, Task::sequences, "classify_sequences");
    Steps steps;
    steps.trunk = run_trunk(batch, w, config, trunk);
    steps.logits = linear(steps.trunk.pooled, w.head);  // (B, K)
    steps.probabilities = softmax_rows(steps.logits);   // (B, K)
    return steps;
}

Steps classify_tokens(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk) {
    require_task(config, Task::tokens, "classify_tokens");
    Steps steps;
    steps.trunk = run_trunk(batch, w, config, trunk);
    steps.logits = linear(steps.trunk.encoder.output, w.head);  // (B*T, K)
    steps.probabilities = softmax_rows(steps.logits);           // (B*T, K)
    return steps;
}

Var loss(const Steps& steps, const std::vector<int>& labels) { return cross_entropy(steps.logits, labels); }

SpanSteps locate_spans(const bert::Batch& batch, const Weights& w, const Config& config, Trunk trunk) {
    require_task(config, Task::spans, "locate_spans");
    const int B = batch.sequences, T = batch.length;
    SpanSteps steps;
    steps.trunk = run_trunk(batch, w, config, trunk);
    steps.logits = linear(steps.trunk.encoder.output, w.head);           // (B*T, 2)
    steps.start_logits = reshape(slice_cols(steps.logits, 0, 1), B, T);  // (B, T)
    steps.end_logits = reshape(slice_cols(steps.logits, 1, 1), B, T);    // (B, T)
    return steps;
}

Var loss(const SpanSteps& steps, const std::vector<int>& starts, const std::vector<int>& ends) {
    const Var start_loss = cross_entropy(steps.start_logits, starts);
    const Var end_loss = cross_entropy(steps.end_logits, ends);
    return scale(add(start_loss, end_loss), 0.5f);
}

Span best_span(const SpanSteps& steps, int sequence, int first, int last, int longest) {
    const Matrix& start = steps.start_logits.value();  // (B, T)
    const Matrix& end = steps.end_logits.value();      // (B, T)
    require(sequence >= 0 && sequence < start.rows, "best_span: sequence ", sequence, " of ", start.rows, ", counted from 0");
    require(first >= 0 && first <= last && last < start.cols && longest > 0, "best_span: positions ", first, " to ", last, " of ",
            start.cols, ", answers of at most ", longest,
            "; positions are counted from 0, the last not before the first, an answer has at least 1");
    for (int i = first; i <= last; ++i)
        require(!std::isnan(start(sequence, i)) && !std::isnan(end(sequence, i)), "best_span: the scores of position ", i,
                " of sequence ", sequence, " are ", start(sequence, i), " and ", end(sequence, i),
                ", neither may be NaN; look for it in the weights or the input");
    Span best{first, first, start(sequence, first) + end(sequence, first)};
    for (int i = first; i <= last; ++i) {
        for (int j = i; j <= last && j - i < longest; ++j) {
            const float score = start(sequence, i) + end(sequence, j);
            if (score > best.score) best = {i, j, score};
        }
    }
    return best;
}

// --- weights ---

Config make_config(const bert::Config& trunk, Task task, int labels) {
    require(labels > 0, "heads: ", labels, " labels; at least 1 is needed");
    require(task != Task::spans || labels == 2, "heads: a span has a start and an end, not ", labels,
            " labels; make_config sets 2");
    Config config{.trunk = trunk, .task = task, .labels = labels};
    config.trunk.pooler = task == Task::sequences;
    return config;
}

Weights make_weights(const Config& config, Random& random, const Init& init) {
    require(config.labels > 0, "heads: a classifier of ", config.labels, " labels; at least 1 is needed");
    Weights w;
    w.trunk = bert::make_weights(config.trunk, random, init);
    w.head = make_linear(random, config.trunk.width, config.labels, init);
    return w;
}

Parameters head_parameters(const Weights& w, const Config& config) {
    Parameters table;
    add_parameters(table, config.task == Task::spans ? "qa_outputs" : "classifier", w.head);
    return table;
}

Parameters parameters(const Weights& w, const Config& config) {
    Parameters table = bert::parameters(w.trunk, config.trunk);
    const Parameters head = head_parameters(w, config);
    table.insert(table.end(), head.begin(), head.end());
    return table;
}

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) {
    Inside parts{.blocks = w.trunk.blocks, .options = bert::block_options(config.trunk)};
    if (config.task == Task::sequences) parts.head.push_back({.linear = w.trunk.pooler, .nonlinearity = Nonlinearity::tanh});
    parts.head.push_back({.linear = w.head});
    return parts;
}

}  // namespace heads
