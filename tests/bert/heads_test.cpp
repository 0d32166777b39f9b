#include "bert/heads.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/training/loss.h"
#include "tests/bert/bert_golden.h"
#include "tests/golden.h"

static const bert::Config tiny{.vocabulary = 9, .positions = 8, .width = 12, .depth = 1, .heads = 2, .mlp_width = 16};

TEST_SUITE("bert_cls") {
    TEST_CASE("parity: every named step, the loss and every gradient equal the published classifier's") {
        for (const std::string& path : golden_files("bert_cls")) {
            const Golden golden(path);
            const heads::Config config =
                heads::make_config(bert_config(golden), heads::Task::sequences, golden.file.metadata_int("num_labels"));
            Random random(1);
            const heads::Weights w = heads::make_weights(config, random);
            const Parameters parameters = with_names_of(heads::parameters(w, config), golden);
            golden.load_weights(parameters);

            Tape tape;
            const heads::Steps steps = heads::classify_sequences(bert_batch(golden), w, config);
            const Var loss = heads::loss(steps, golden.integers("input.labels"));
            check_encoder(golden, steps.trunk);
            golden.check("logits", steps.logits.value());
            golden.check("probabilities", steps.probabilities.value());
            golden.check("loss", loss.value());
            backward(loss);
            check_gradients(parameters, golden);
            golden.check_all_used();
        }
    }

    TEST_CASE(
        "head_parameters: a (D, K) weight and K biases, applied to [CLS], to every token, or to every token for start and end") {
        Random random(1);
        const bert::Batch batch = bert::make_batch({{1, 2, 3}, {4, 5, 6}});
        const heads::Config sequences = heads::make_config(tiny, heads::Task::sequences, 3);
        const heads::Weights a = heads::make_weights(sequences, random);
        CHECK(count_numbers(heads::head_parameters(a, sequences)) == 12 * 3 + 3);
        CHECK(shape(heads::classify_sequences(batch, a, sequences).logits.value()) == "(2, 3)");

        const heads::Config tokens = heads::make_config(tiny, heads::Task::tokens, 4);
        const heads::Weights b = heads::make_weights(tokens, random);
        CHECK(shape(heads::classify_tokens(batch, b, tokens).probabilities.value()) == "(6, 4)");

        const heads::Config spans = heads::make_config(tiny, heads::Task::spans);
        const heads::Weights c = heads::make_weights(spans, random);
        const heads::SpanSteps steps = heads::locate_spans(batch, c, spans);
        CHECK(shape(steps.start_logits.value()) == "(2, 3)");
        for (int row = 0; row < 6; ++row) {  // row bT + t of the scores is token t of sequence b
            CHECK(steps.start_logits.value()(row / 3, row % 3) == steps.logits.value()(row, 0));
            CHECK(steps.end_logits.value()(row / 3, row % 3) == steps.logits.value()(row, 1));
        }
    }

    TEST_CASE("parameters: the three heads have the published names, and only the sequence head has a pooler") {
        Random random(1);
        const auto names = [&](heads::Task task) {
            const heads::Config config = heads::make_config(tiny, task);
            const Parameters table = heads::parameters(heads::make_weights(config, random), config);
            return table[table.size() - 3].name + " " + table[table.size() - 2].name + " " + table.back().name;
        };
        CHECK(names(heads::Task::sequences) == "bert.pooler.dense.bias classifier.weight classifier.bias");
        CHECK(names(heads::Task::tokens) == "bert.encoder.layer.0.output.LayerNorm.bias classifier.weight classifier.bias");
        CHECK(names(heads::Task::spans) == "bert.encoder.layer.0.output.LayerNorm.bias qa_outputs.weight qa_outputs.bias");
    }

    TEST_CASE("Trunk::frozen: same outputs and same head gradient, no gradient in the trunk") {
        Random random(2);
        const heads::Config config = heads::make_config(tiny, heads::Task::sequences, 3);
        const heads::Weights w = heads::make_weights(config, random, {.stddev = 0.3f});
        const bert::Batch batch = bert::make_batch({{1, 2, 3}, {4, 5}});
        Matrix head_gradient;
        {
            Tape tape;
            backward(heads::loss(heads::classify_sequences(batch, w, config), {2, 0}));
            head_gradient = w.head.weight.gradient();
            CHECK(!w.trunk.token_embedding.gradient().empty());
        }
        for (Var& v : variables(heads::parameters(w, config))) v.zero_gradient();
        Tape tape;
        backward(heads::loss(heads::classify_sequences(batch, w, config, heads::Trunk::frozen), {2, 0}));
        CHECK(identical(w.head.weight.gradient(), head_gradient));
        for (const Var& v : variables(bert::parameters(w.trunk, config.trunk))) CHECK(v.gradient().empty());
    }

    TEST_CASE("loss: tokens with ignored_label do not count") {
        Random random(3);
        const heads::Config config = heads::make_config(tiny, heads::Task::tokens, 4);
        const heads::Weights w = heads::make_weights(config, random, {.stddev = 0.5f});
        const heads::Steps steps = heads::classify_tokens(bert::make_batch({{1, 2, 3}}), w, config);
        const Matrix& p = steps.probabilities.value();  // (3, 4)
        const float loss = heads::loss(steps, {ignored_label, 2, 1}).value()[0];
        CHECK(loss == Approx(-(std::log(p(1, 2)) + std::log(p(2, 1))) / 2));
    }

    TEST_CASE("loss (spans): the mean of two cross-entropies, each over the tokens of a sequence") {
        heads::SpanSteps steps;
        steps.start_logits = Matrix{{0, 0, std::log(2.f)}};  // p = 1, 1, 2 of 4
        steps.end_logits = Matrix{{0, std::log(6.f), 0}};    // p = 1, 6, 1 of 8
        CHECK(heads::loss(steps, {0}, {1}).value()[0] == Approx((std::log(4.0) + std::log(8.0 / 6)) / 2));
    }

    TEST_CASE("best_span: the end never precedes the start, lies in the question, or exceeds the longest answer") {
        heads::SpanSteps steps;
        steps.start_logits = Matrix{{9, 0, 1, 5, 0}};
        steps.end_logits = Matrix{{9, 6, 0, 1, 4}};
        const auto is = [](const heads::Span& span, int start, int end, float score) {
            return span.start == start && span.end == end && span.score == score;
        };
        CHECK(is(heads::best_span(steps, 0, 0, 4), 0, 0, 18));
        CHECK(is(heads::best_span(steps, 0, 1, 4), 3, 4, 9));  // 5 + 6 would be more, but there the end precedes the start
        CHECK(is(heads::best_span(steps, 0, 1, 4, 1), 1, 1,
                 6));  // one token: 0 + 6, 1 + 0, 5 + 1, 0 + 4; the first of equal scores
        CHECK(is(heads::best_span(steps, 0, 2, 3), 3, 3, 6));
        CHECK(is(heads::best_span(steps, 0, 3, 4, 2), 3, 4, 9));  // two tokens, far from the beginning
    }

    TEST_CASE("locate_spans: gradients equal finite differences") {
        Random random(4);
        const heads::Config config = heads::make_config(tiny, heads::Task::spans);
        const heads::Weights w = heads::make_weights(config, random, {.stddev = 0.5f});
        const bert::Batch batch = bert::make_batch({{1, 2, 3}, {4, 5}});
        check_gradient_by_differences(
            [&](const std::vector<Var>& inputs) {
                const heads::Weights moved{.trunk = w.trunk, .head = {.weight = inputs[0], .bias = inputs[1]}};
                return heads::loss(heads::locate_spans(batch, moved, config), {1, 0}, {2, 1});
            },
            {w.head.weight.value(), w.head.bias.value()});
    }

    TEST_CASE("heads: inconsistent tasks, labels and spans throw a one-line error") {
        Random random(1);
        CHECK_THROWS_WITH(heads::make_config(tiny, heads::Task::sequences, 0), "heads: 0 labels; at least 1 is needed");
        CHECK_THROWS_WITH(heads::make_config(tiny, heads::Task::spans, 3),
                          "heads: a span has a start and an end, not 3 labels; make_config sets 2");
        const heads::Config config = heads::make_config(tiny, heads::Task::tokens);
        const heads::Weights w = heads::make_weights(config, random);
        const bert::Batch batch = bert::make_batch({{1, 2}});
        CHECK_THROWS_WITH(
            heads::classify_sequences(batch, w, config),
            "classify_sequences: this model was made for another task; make its configuration with make_config(trunk, Task::...) for this one");
        CHECK_THROWS_WITH(
            heads::locate_spans(batch, w, config),
            "locate_spans: this model was made for another task; make its configuration with make_config(trunk, Task::...) for this one");
        const heads::Config spans = heads::make_config(tiny, heads::Task::spans);
        const heads::Weights s = heads::make_weights(spans, random);
        CHECK_THROWS_WITH(
            heads::classify_tokens(batch, s, spans),
            "classify_tokens: this model was made for another task; make its configuration with make_config(trunk, Task::...) for this one");
        const heads::SpanSteps steps = heads::locate_spans(batch, s, spans);
        CHECK_THROWS_WITH(heads::best_span(steps, 1, 0, 0), "best_span: sequence 1 of 1, counted from 0");
        CHECK_THROWS_WITH(heads::best_span(steps, 0, 1, 0),
                          "best_span: positions 1 to 0 of 2, answers of at most 30; positions are counted from 0, the last not "
                          "before the first, an answer has at least 1");
        CHECK_THROWS_WITH(heads::best_span(steps, 0, 0, 2),
                          "best_span: positions 0 to 2 of 2, answers of at most 30; positions are counted from 0, the last not "
                          "before the first, an answer has at least 1");
        heads::SpanSteps diverged;
        diverged.start_logits = Matrix{{0, std::nanf("")}};
        diverged.end_logits = Matrix{{0, 1}};
        CHECK_THROWS_WITH(
            heads::best_span(diverged, 0, 0, 1),
            "best_span: the scores of position 1 of sequence 0 are nan and 1.000000, neither may be NaN; look for it in "
            "the weights or the input");
        CHECK(heads::best_span(diverged, 0, 0, 0).end == 0);  // outside the text nothing is read
        heads::Config seven = config;
        seven.labels = 7;
        CHECK(error_of([&] { heads::classify_tokens(batch, w, seven); }).starts_with("heads: the head is ("));
    }

    TEST_CASE("best_span, make_config, make_weights: each argument check fails by itself, the limits are allowed") {
        heads::SpanSteps steps;
        steps.start_logits = Matrix(1, 3);
        steps.end_logits = Matrix(1, 3);
        const auto refusal = [&](int sequence, int first, int last, int longest) {
            return error_of([&] { heads::best_span(steps, sequence, first, last, longest); });
        };
        const std::string rule = "; positions are counted from 0, the last not before the first, an answer has at least 1";
        CHECK(refusal(0, 0, 0, 1) == "");
        CHECK(refusal(0, 2, 2, 1) == "");
        CHECK(refusal(-1, 0, 0, 1) == "best_span: sequence -1 of 1, counted from 0");
        CHECK(refusal(1, 0, 0, 1) == "best_span: sequence 1 of 1, counted from 0");
        CHECK(refusal(0, -1, 0, 1) == "best_span: positions -1 to 0 of 3, answers of at most 1" + rule);
        CHECK(refusal(0, 1, 0, 1) == "best_span: positions 1 to 0 of 3, answers of at most 1" + rule);
        CHECK(refusal(0, 0, 3, 1) == "best_span: positions 0 to 3 of 3, answers of at most 1" + rule);
        CHECK(refusal(0, 0, 0, 0) == "best_span: positions 0 to 0 of 3, answers of at most 0" + rule);
        const std::string nan_rule = ", neither may be NaN; look for it in the weights or the input";
        steps.end_logits = Matrix{{0, NAN, 0}};
        CHECK(refusal(0, 1, 1, 1) == "best_span: the scores of position 1 of sequence 0 are 0.000000 and nan" + nan_rule);
        steps.start_logits = Matrix{{NAN, 0, 0}};
        CHECK(refusal(0, 0, 0, 1) == "best_span: the scores of position 0 of sequence 0 are nan and 0.000000" + nan_rule);

        Random random(1);
        CHECK_THROWS_WITH(heads::make_config(tiny, heads::Task::tokens, 0), "heads: 0 labels; at least 1 is needed");
        CHECK_NOTHROW(heads::make_weights(heads::make_config(tiny, heads::Task::tokens, 1), random));
        heads::Config none = heads::make_config(tiny, heads::Task::tokens, 1);
        none.labels = 0;
        CHECK_THROWS_WITH(heads::make_weights(none, random), "heads: a classifier of 0 labels; at least 1 is needed");
    }

    TEST_CASE("heads::Config: the defaults") {
        const heads::Config usual{};
        CHECK(usual.task == heads::Task::sequences);
        CHECK(usual.labels == 2);
    }
}
