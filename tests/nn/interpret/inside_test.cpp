#include "nn/interpret/inside.h"

#include "bert/heads.h"
#include "bert/mlm.h"
#include "gpt/families/biogpt.h"
#include "gpt/families/bloom.h"
#include "gpt/families/galactica.h"
#include "gpt/families/glm.h"
#include "gpt/families/llama.h"
#include "gpt/families/palm.h"
#include "gpt/gpt.h"
#include "gpt/unified/t5.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/activation_patching.h"
#include "nn/interpret/integrated_gradients.h"
#include "nn/interpret/logit_lens.h"
#include "nn/interpret/rollout.h"
#include "tests/close.h"
#include "tests/test.h"
#include "vit/language/clip.h"
#include "vit/vit.h"

TEST_SUITE_BEGIN("inside");

using Run = std::function<Var()>;

// What must hold for the adapter of any model: the run uses every block, attention weights sum to 1, the residual stream is the
// sum of the blocks' outputs, and the head maps the final residual stream to the model's outputs.
//   rows  of the final residual stream from which the outputs were computed, in their order
static void check_adapter(const std::string& name, const Run& run, const Inside& inside, const std::vector<int>& rows) {
    CAPTURE(name);
    const int last = static_cast<int>(rows.size()) - 1;
    const Inspection trace = follow(run, inside, {{.row = last, .column = 1}});
    const std::size_t L = inside.blocks.size();
    REQUIRE(L == 2);
    REQUIRE(trace.residual_streams.size() == L + 1);
    for (std::size_t l = 0; l < L; ++l) {
        const BlockSteps& steps = trace.steps.blocks[l];
        const Matrix& A = trace.weights[l];
        CHECK(A.rows % inside.options.heads == 0);
        for (int i = 0; i < A.rows; ++i) {
            double sum = 0;
            for (int j = 0; j < A.cols; ++j) sum += A(i, j);
            CHECK(sum == Approx(1));
        }
        CHECK(same_shape(trace.gradients[l], A));
        CHECK(steps.attention.query.rows() == trace.residual_streams[l].rows);
        Matrix written = steps.attention.output.value();
        if (steps.cross.output) add_to(written, steps.cross.output.value());
        add_to(written, steps.mlp.output.value());
        const bool plain = inside.options.order == Order::pre || inside.options.order == Order::parallel;
        if (plain)
            check_close(name + ": r_l + what block l writes", add(trace.residual_streams[l], written).value(),
                        trace.residual_streams[l + 1]);
    }
    if (inside.head.empty()) return;
    check_close(name + ": outputs of the last residual stream",
                outputs_of(gather_rows(trace.residual_streams[L], rows).value(), inside), trace.outputs);
    double length = 0;
    for (const float x : trace.gradients[L - 1]) length += std::abs(x);
    CHECK(length > 0);
}

static std::vector<int> all_rows(int count) {
    std::vector<int> rows(count);
    for (int i = 0; i < count; ++i) rows[i] = i;
    return rows;
}

static const Init wide{.draw = Draw::normal, .stddev = 0.3f};
static const std::vector<int> ids{3, 1, 4, 1, 5};

TEST_CASE("inside: the adapters of the language models give blocks, residual stream and head") {
    Random random(1);
    const TokenBatch batch = make_batch({ids});
    const std::vector<int> rows = all_rows(5);
    {
        for (const Order order : {Order::pre, Order::post}) {
            const gpt::Config config{
                .vocabulary = 7, .positions = 6, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12, .order = order};
            const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.3f, .embedding_stddev = 0.3f});
            check_adapter(
                "gpt", [&] { return gpt::forward(ids, 5, w, config).logits; }, gpt::inside(w, config), rows);
        }
    }
    {
        const llama::Config config{.vocabulary = 7, .width = 8, .depth = 2, .heads = 4, .key_value_heads = 2, .mlp_width = 12};
        const llama::Weights w = llama::make_weights(config, random, wide);
        check_adapter(
            "llama", [&] { return llama::forward(batch, w, config).logits; }, llama::inside(w, config), rows);
    }
    {
        const palm::Config config{.vocabulary = 7, .width = 8, .depth = 2, .heads = 2, .head_width = 4, .mlp_width = 12};
        const palm::Weights w = palm::make_weights(config, random, wide);
        check_adapter(
            "palm", [&] { return palm::forward(batch, w, config).logits; }, palm::inside(w, config), rows);
    }
    {
        const bloom::Config config{.vocabulary = 7, .width = 8, .depth = 2, .heads = 2};
        const bloom::Weights w = bloom::make_weights(config, random, wide);
        check_adapter(
            "bloom", [&] { return bloom::forward(batch, w, config).logits; }, bloom::inside(w, config), rows);
    }
    {
        const galactica::Config config{.vocabulary = 7, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12, .positions = 8};
        const galactica::Weights w = galactica::make_weights(config, random, wide);
        check_adapter(
            "galactica", [&] { return galactica::forward(batch, w, config).logits; }, galactica::inside(w, config), rows);
    }
    {
        const biogpt::Config config{.vocabulary = 7, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12, .positions = 8};
        const biogpt::Weights w = biogpt::make_weights(config, random, wide);
        check_adapter(
            "biogpt", [&] { return biogpt::forward(batch, w, config).logits; }, biogpt::inside(w, config), rows);
    }
}

static t5::Config small_t5(bool tied) {
    return {.vocabulary = 9,
            .width = 8,
            .encoder_depth = 2,
            .decoder_depth = 2,
            .heads = 2,
            .head_width = 4,
            .mlp_width = 12,
            .tied = tied,
            .buckets = 4,
            .max_distance = 8};
}

TEST_CASE("inside: T5 has two stacks, and its decoder's outputs are the logits, tied or not") {
    Random random(2);
    for (const bool tied : {true, false}) {
        const t5::Config config = small_t5(tied);
        const t5::Weights w = t5::make_weights(config, random);
        const TokenBatch source = make_batch({{3, 4, 5, 1}}), target = make_batch({{0, 6, 7}});
        const Run run = [&] { return t5::forward(source, target, w, config).decoder.logits; };
        check_adapter("encoder", run, t5::encoder_inside(w, config), all_rows(3));
        check_adapter("decoder", run, t5::decoder_inside(w, config), all_rows(3));
        const Inspection encoder = follow(run, t5::encoder_inside(w, config)),
                         decoder = follow(run, t5::decoder_inside(w, config));
        CHECK(encoder.residual_streams[0].rows == 4);
        CHECK(decoder.residual_streams[0].rows == 3);
        CHECK(decoder.gradients.empty());  // nothing was asked
        CHECK(shape(decoder.steps.blocks[0].cross.weights.value()) == "(6, 4)");
        CHECK_THROWS_WITH(outputs_of(encoder.residual_streams[2], t5::encoder_inside(w, config)),
                          "outputs_of: this stack has no outputs of its own; ask the stack that reads it");
    }
}

TEST_CASE("inside: the classifiers read the first row, the masked language model every row, CLIP's towers one row each") {
    Random random(3);
    Image image(4, 4, 1);
    for (float& x : image.pixels) x = random.normal();
    {
        const vit::Config config{.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 1},
                                 .width = 8,
                                 .depth = 2,
                                 .heads = 2,
                                 .mlp_width = 12,
                                 .classes = 3};
        const vit::Weights w = vit::make_weights(config, random, wide);
        check_adapter("vit", [&] { return vit::forward({image}, w, config).logits; }, vit::inside(w, config), {0});
    }
    const bert::Config trunk{.vocabulary = 7, .positions = 6, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12};
    const bert::Batch batch = bert::make_batch({ids});
    {
        const heads::Config config = heads::make_config(trunk, heads::Task::sequences, 3);
        const heads::Weights w = heads::make_weights(config, random, wide);
        check_adapter("sequences", [&] { return heads::classify_sequences(batch, w, config).logits; }, heads::inside(w, config),
                      {0});
    }
    {
        const heads::Config config = heads::make_config(trunk, heads::Task::tokens, 3);
        const heads::Weights w = heads::make_weights(config, random, wide);
        check_adapter(
            "tokens", [&] { return heads::classify_tokens(batch, w, config).logits; }, heads::inside(w, config), all_rows(5));
    }
    {
        bert::Config config = trunk;
        config.pooler = false;
        const mlm::Weights w = mlm::make_weights(config, random, wide);
        check_adapter(
            "mlm", [&] { return mlm::forward(batch, w, config).prediction_logits; }, mlm::inside(w, config), all_rows(5));
    }
    const clip::Config config{.vision = {.grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 1},
                                         .width = 8,
                                         .depth = 2,
                                         .heads = 2,
                                         .mlp_width = 12},
                              .text = {.vocabulary = 7, .positions = 6, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12},
                              .shared_width = 5};
    const clip::Weights w = clip::make_weights(config, random);
    const TokenBatch text = make_batch({{2, 5, 6}});
    const auto towers = [&] { return clip::forward({image}, text, w, config); };
    check_adapter("image", [&] { return linear(towers().image.pooled, w.image_projection); }, clip::image_inside(w, config), {0});
    check_adapter("text", [&] { return linear(towers().text.pooled, w.text_projection); }, clip::text_inside(w, config), {2});
}

// --- a toy whose mechanism is set by hand ---

// One block, one head, an MLP that outputs zeros: the last token attends to the token whose first feature is 1 and copies its
// second.
// Tokens: 0 neutral, 1 marked, means "yes", 2 marked, means "no".
namespace {
struct ByHand {
    gpt::Config config{.vocabulary = 3, .positions = 4, .width = 4, .depth = 1, .heads = 1, .mlp_width = 1, .tied = false};
    gpt::Weights w = gpt::empty_weights(config);

    ByHand() {
        // features: mark, yes, no, and one that makes the mean of every token 0
        w.token_embedding.value() = Matrix{{0, 1, 1, -2}, {2, 1, -1, -2}, {2, -1, 1, -2}};
        w.output.value() = Matrix{{0, 0, 0, 0}, {0, 1, -1, 0}, {0, -1, 1, 0}};
        w.blocks[0].attention.query.bias.value()[0] = 4;  // the query of every token matches the mark
        w.blocks[0].attention.key.weight.value()(0, 0) = 4;
        w.blocks[0].attention.value.weight.value()(1, 1) = 3;
        w.blocks[0].attention.value.weight.value()(2, 2) = 3;
        for (int e = 0; e < 4; ++e) w.blocks[0].attention.output.weight.value()(e, e) = 1;
        for (Norm* norm : {&w.blocks[0].norm1, &w.blocks[0].norm2, &w.norm}) norm->gain.value() = Matrix(1, 4, 1.0f);
    }
};
}  // namespace

TEST_CASE("inside: every method of this folder finds the one relevant token, by hand: token 1 of four") {
    const ByHand toy;
    const std::vector<int> yes{0, 1, 0, 0}, no{0, 2, 0, 0};
    const Inside inside = gpt::inside(toy.w, toy.config);
    const Run run = [&] { return gpt::forward(yes, 4, toy.w, toy.config).logits; };
    const Run other = [&] { return gpt::forward(no, 4, toy.w, toy.config).logits; };
    const Inspection trace = follow(run, inside, {{.row = 3, .column = 1}});

    CHECK(trace.weights[0](3, 1) > 0.99f);  // the last token attends to token 1
    CHECK(argmax_row(rollout::token_gradient_relevance(trace, inside), 0) == 1);
    CHECK(argmax_row(rollout::token_relevance(trace, inside), 0) == 1);
    const Matrix shares = rollout::token_rollout(trace, inside);  // half of the token itself, half of token 1
    CHECK(shares(0, 1) == Approx(0.5).epsilon(0.02));
    CHECK(shares(0, 3) == Approx(0.5).epsilon(0.02));

    // token 1 makes all of logit(yes) - logit(no) at the last token
    namespace ig = integrated_gradients;
    ig::OutputOf output(run, "token_embeddings", {3}, {1}, {2});
    const Matrix x = ig::input_of(run, "token_embeddings"),
                 b = ig::input_of(
                     [&] {
                         return gpt::forward({0, 0, 0, 0}, 4, toy.w, toy.config).logits;
                     },
                     "token_embeddings");
    const ig::Attribution found = ig::attribute(output, x, b, ig::points(ig::Rule::middle, 64), 1);
    CHECK(argmax_row(transpose(ig::row_totals(found.attributions)), 0) == 1);
    CHECK(std::abs(found.delta[0]) < 0.02f);

    // the answer is there after the block and not before; head 0 has moved it
    const logit_lens::Readout readout = logit_lens::readout_of(inside);
    const Matrix before = logit_lens::logits(trace.residual_streams[0], readout),
                 after = logit_lens::logits(trace.residual_streams[1], readout);
    CHECK(before(3, 1) == Approx(before(3, 2)));
    CHECK(after(3, 1) > after(3, 2) + 1);
    check_close("the lens is the head", outputs_of(trace.residual_streams[1], inside), after);
    const Matrix s = logit_lens::final_scale(trace.residual_streams[1], readout);
    const logit_lens::Unembedding unembedding = logit_lens::folded(readout);
    float of_head = 0, sum = unembedding.c[1] - unembedding.c[2];
    std::vector<std::string> names;
    for (const logit_lens::Part& part : logit_lens::parts_of(trace, inside)) {
        names.push_back(part.name);
        const Matrix logits = logit_lens::contribution(part, {3}, s, unembedding);
        sum += logits[1] - logits[2];
        if (part.name == "L0H0") of_head = logits[1] - logits[2];
    }
    CHECK(sum == Approx(after(3, 1) - after(3, 2)).epsilon(1e-4));
    CHECK(of_head == Approx(sum).epsilon(1e-3));
    CHECK(names == std::vector<std::string>{"L0H0", "0_mlp_out", "embed", "bias"});

    // and token 1 restores it
    namespace patching = activation_patching;
    patching::ForwardPass clean(run), corrupted(other);
    const patching::Kept good = patching::record(clean), bad = patching::record(corrupted);
    const patching::Metric metric = patching::make_metric({1}, {2}, 4, good, bad);
    const Matrix restored = patching::sweep_tokens(corrupted, good, "input", patching::sizes_of(inside, 1, 4), metric);
    check_close("restored", restored, Matrix{{0, 1, 0, 0}});
}

TEST_CASE(
    "sweeps: in a model with several stacks the sizes name one; T5's encoder holds the difference before its decoder does") {
    Random random(5);
    const t5::Config config = small_t5(false);
    const t5::Weights w = t5::make_weights(config, random);
    const TokenBatch target = make_batch({{0, 6}});
    namespace patching = activation_patching;
    patching::ForwardPass clean([&] { return t5::forward(make_batch({{3, 4, 5}}), target, w, config).decoder.logits; });
    patching::ForwardPass corrupted([&] { return t5::forward(make_batch({{3, 8, 5}}), target, w, config).decoder.logits; });
    const patching::Kept good = patching::record(clean), bad = patching::record(corrupted);
    const patching::Metric metric = patching::make_metric({2}, {3}, 2, good, bad);
    const Matrix encoder =
        patching::sweep_tokens(corrupted, good, "input", patching::sizes_of(t5::encoder_inside(w, config), 1, 3), metric);
    check_close("encoder, before block 0", slice_rows(encoder, 0, 1), Matrix{{0, 1, 0}});
    const Matrix decoder =
        patching::sweep_tokens(corrupted, good, "input", patching::sizes_of(t5::decoder_inside(w, config), 1, 2), metric);
    check_close("decoder, before block 0", slice_rows(decoder, 0, 1), Matrix{{0, 0}});
    const patching::Sizes in_decoder = patching::sizes_of(t5::decoder_inside(w, config), 1, 2);
    CHECK(patching::head_site(in_decoder, "query", 0, 1, 8).step == "decoder query");
    // the cross-attention of both blocks contributes all of it
    std::vector<patching::Site> crosses;
    for (int l = 0; l < 2; ++l) crosses.push_back({.block = l, .step = "decoder cross attention_output"});
    const patching::Patch patch(crosses, good);
    CHECK(metric.of(corrupted.logits().value()) == Approx(1).epsilon(1e-4));
}

// --- what does not fit ---

TEST_CASE("follow: a run that does not use the stack, and an output that does not exist, are refused") {
    const ByHand toy;
    const Run run = [&] { return gpt::forward({0, 1}, 2, toy.w, toy.config).logits; };
    Inside wrong = gpt::inside(toy.w, toy.config);
    CHECK_THROWS_WITH(follow(run, wrong, {{.row = 2, .column = 0}}),
                      "follow: output 2, 0 was requested, the run has returned (2, 3)");
    CHECK_THROWS_WITH(follow(run, wrong, {{.row = 0, .column = 3}}),
                      "follow: output 0, 3 was requested, the run has returned (2, 3)");
    CHECK_THROWS_WITH(follow(run, wrong, {{.row = -1, .column = 0}}),
                      "follow: output -1, 0 was requested, the run has returned (2, 3)");
    CHECK_THROWS_WITH(follow(run, wrong, {{.row = 0, .column = -1}}),
                      "follow: output 0, -1 was requested, the run has returned (2, 3)");
    const Inspection two = follow(
        [&] {
            return gpt::forward({0, 1, 0, 2}, 2, toy.w, toy.config).logits;
        },
        wrong, {{.row = 1, .column = 0}});
    CHECK_THROWS_WITH(rollout::token_rollout(two, wrong),
                      "rollout: attention weights (4, 2) of 1 heads and 4 tokens; one sequence at a time can be explained");
    CHECK_THROWS_WITH(rollout::token_rollout(follow(run, wrong), wrong),
                      "rollout: no output was requested, or there is no block; give follow() the output");
    const Inspection one = follow(run, wrong, {{.row = 1, .column = 1}});
    Inside of_another = wrong;
    of_another.head[0].linear.weight = Var(Matrix(4, 3));
    CHECK_THROWS_WITH(rollout::token_relevance(one, of_another),
                      doctest::Contains("the Inside must be that of the model that ran"));
    // An output that no block has a part in: gradients of 0, as large as the attention weights.
    const Var apart = parameter(Matrix(2, 3));
    const Inspection none = follow(
        [&] {
            gpt::forward({0, 1, 0, 2}, 2, toy.w, toy.config);
            return multiply(apart, apart);
        },
        wrong, {{.row = 1, .column = 0}});
    CHECK(identical(none.gradients[0], Matrix(4, 2)));
    // Outputs that are the attention weights themselves: 1 at each that was asked for.
    const Inspection itself = follow(
        [&] {
            return gpt::forward({0, 1, 0, 2}, 2, toy.w, toy.config).decoder.blocks[0].attention.weights;
        },
        wrong, {{.row = 3, .column = 1}, {.row = 2, .column = 0}});
    CHECK(identical(itself.gradients[0], Matrix{{0, 0}, {0, 0}, {1, 0}, {0, 1}}));
    wrong.stack = "encoder";
    CHECK_THROWS_WITH(follow(run, wrong),
                      "follow: the run did not come through block 0 of stack \"encoder\" (see hook.h for the names of stacks)");
}

TEST_CASE(
    "token_relevance, parts_of, readout_of: a model without a published rule or a plain head is refused, gradient relevance is not") {
    Random random(4);
    const TokenBatch batch = make_batch({ids});
    const llama::Config config{.vocabulary = 7, .width = 8, .depth = 2, .heads = 4, .key_value_heads = 2, .mlp_width = 12};
    const llama::Weights w = llama::make_weights(config, random, wide);
    const Inside inside = llama::inside(w, config);
    const Inspection trace = follow([&] { return llama::forward(batch, w, config).logits; }, inside, {{.row = 4, .column = 2}});
    CHECK_THROWS_WITH(
        rollout::token_relevance(trace, inside),
        "rollout: no rule of relevance is known for gated MLPs and shared key heads; gradient relevance needs none");
    CHECK(rollout::token_gradient_relevance(trace, inside).cols == 5);
    // RMSNorm: the parts alone sum to the logits
    const logit_lens::Readout readout = logit_lens::readout_of(inside);
    check_close("lens", logit_lens::logits(trace.residual_streams[2], readout), trace.outputs);
    const Matrix s = logit_lens::final_scale(trace.residual_streams[2], readout);
    const logit_lens::Unembedding unembedding = logit_lens::folded(readout);
    check_close("frozen lens", logit_lens::frozen_logits(trace.residual_streams[2], s, unembedding), trace.outputs);
    Matrix sum(1, 7);
    for (const logit_lens::Part& part : logit_lens::parts_of(trace, inside))
        add_to(sum, logit_lens::contribution(part, {4}, s, unembedding));
    check_close("sum of the parts", sum, slice_rows(trace.outputs, 4, 1));

    bert::Config trunk{.vocabulary = 7, .positions = 6, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12, .pooler = false};
    const mlm::Weights of_mlm = mlm::make_weights(trunk, random, wide);
    const Inside post = mlm::inside(of_mlm, trunk);
    CHECK_THROWS_WITH(logit_lens::readout_of(post), doctest::Contains("outputs_of() of nn/interpret/inside.h"));
    const Inspection of_bert = follow([&] { return mlm::forward(bert::make_batch({ids}), of_mlm, trunk).prediction_logits; },
                                      post, {{.row = 2, .column = 1}});
    CHECK_THROWS_WITH(logit_lens::parts_of(of_bert, post), doctest::Contains("only with pre-norm or parallel blocks"));
    CHECK(rollout::token_relevance(of_bert, post).cols == 5);  // of a masked word, through both layers of its head
}

TEST_CASE("HeadLayer: the defaults") {
    const HeadLayer usual{};
    CHECK(!usual.normed);
    CHECK(usual.kind == NormKind::layer);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.nonlinearity == Nonlinearity::none);
}

TEST_CASE("Asked: the defaults") {
    const Asked usual{};
    CHECK(usual.row == 0);
    CHECK(usual.column == 0);
}

TEST_CASE("follow: no run is refused") {
    CHECK(error_of([] { follow(nullptr, Inside{}); }) == "follow: no run is given; give a function that runs the model once");
}

TEST_SUITE_END();
