#include "nn/interpret/rollout.h"

#include <algorithm>
#include <cmath>

#include "bert/heads.h"
#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/bert/bert_golden.h"
#include "tests/fixture_views.h"
#include "tests/test.h"
#include "tests/vit/vit_fixture.h"
#include "vit/vit.h"

TEST_SUITE_BEGIN("rollout");

namespace {

// A classifier that has read one image or sentence, with gradients of one logit.
struct RolloutCase {
    StackSteps stack;
    std::vector<Block> blocks;
    BlockOptions options;
    Matrix input;                            // of the first block
    std::vector<Matrix> weights, gradients;  // A_l, G_l
    Matrix logits;
    Matrix last;  // relevance of the last block's output
    bool is_vit = true;
};

}  // namespace

// (1, K) with a 1 at the target: where all relevance begins
static Matrix one_hot(int classes, int target) {
    Matrix m(1, classes);
    m[target] = 1;
    return m;
}

// Only row 0 was read.
static Matrix at_first_row(const Matrix& relevance, int rows) {
    Matrix m(rows, relevance.cols);
    std::copy(relevance.begin(), relevance.end(), m.begin());
    return m;
}

static void take_gradients(RolloutCase& c, const Recording& recording, const Var& logits, int target) {
    c.logits = logits.value();
    backward(sum(slice_cols(logits, target, 1)));
    for (std::size_t l = 0; l < c.blocks.size(); ++l) {
        const Var& A = recording.step(static_cast<int>(l), "weights");
        c.weights.push_back(A.value());
        c.gradients.push_back(A.gradient());
    }
}

static RolloutCase vit_case(const Golden& golden, int target) {
    const vit::Config config = vit_of_fixture(golden);
    Random random(1);
    const vit::Weights w = vit::make_weights(config, random);
    golden.load_weights(vit::parameters(w, config));
    RolloutCase c;
    c.blocks = w.blocks;
    c.options = vit::block_options(config);
    const Tape tape;
    const Recording recording;
    const vit::Steps steps = vit::forward(images_of(golden, "input.pixel_values"), w, config);
    take_gradients(c, recording, steps.logits, target);
    c.stack = steps.encoder;
    c.input = steps.embedding.z0.value();
    const Matrix class_token =
        rollout::linear_relevance(steps.class_tokens.value(), w.classifier.weight.value(), one_hot(config.classes, target));
    golden.check("relevance.classifier", class_token);
    c.last = at_first_row(class_token, c.input.rows);
    return c;
}

static RolloutCase bert_case(const Golden& golden, int target) {
    const heads::Config config =
        heads::make_config(bert_config(golden), heads::Task::sequences, golden.file.metadata_int("num_labels"));
    Random random(1);
    const heads::Weights w = heads::make_weights(config, random);
    golden.load_weights(with_names_of(heads::parameters(w, config), golden));
    RolloutCase c;
    c.is_vit = false;
    c.blocks = w.trunk.blocks;
    c.options = {.heads = config.trunk.heads, .eps = config.trunk.eps, .order = Order::post};
    const Tape tape;
    const Recording recording;
    const heads::Steps steps = heads::classify_sequences(bert_batch(golden), w, config);
    take_gradients(c, recording, steps.logits, target);
    c.stack = steps.trunk.encoder;
    c.input = steps.trunk.embedding.z0.value();
    const Matrix pooled =
        rollout::linear_relevance(steps.trunk.pooled.value(), w.head.weight.value(), one_hot(config.labels, target));
    const Matrix class_token = rollout::linear_relevance(steps.trunk.class_tokens.value(), w.trunk.pooler.weight.value(), pooled);
    golden.check("relevance.classifier", pooled);
    golden.check("relevance.pooler", class_token);
    c.last = at_first_row(class_token, c.input.rows);
    return c;
}

static std::vector<std::string> words_of(const std::string& list) {
    std::vector<std::string> words{""};
    for (const char letter : list) {
        if (letter == ',')
            words.emplace_back();
        else
            words.back() += letter;
    }
    return words;
}

static rollout::Fusion fusion_of(const std::string& name) {
    return name == "mean" ? rollout::Fusion::mean : name == "max" ? rollout::Fusion::max : rollout::Fusion::min;
}

static std::string text_of(std::size_t number) { return std::to_string(number); }

static void check_rollout_and_flow(const Golden& golden, const RolloutCase& c) {
    std::vector<Matrix> bare, layers;
    for (std::size_t l = 0; l < c.weights.size(); ++l) {
        bare.push_back(rollout::mean_over_heads(c.weights[l], c.options.heads));
        layers.push_back(rollout::augmented(bare.back()));
        golden.check("layer." + text_of(l) + ".attention_probs", c.weights[l]);
        golden.check("layer." + text_of(l) + ".attention_gradient", c.gradients[l]);
        golden.check("layer." + text_of(l) + ".mean_attention", bare.back());
        golden.check("layer." + text_of(l) + ".augmented_attention", layers.back());
    }
    const std::vector<Matrix> joint = rollout::products(layers), flows = rollout::max_flows(layers);
    for (std::size_t l = 0; l < layers.size(); ++l) {
        golden.check("rollout." + text_of(l), joint[l]);
        golden.check("max_flow." + text_of(l), flows[l]);
        golden.check("flow." + text_of(l), rollout::rows_divided_by_sums(flows[l]));
    }
    golden.check("rollout_without_residual", rollout::products(bare).back());
}

// One chain of layers of vit-explain, as published and with rows divided by their own sums.
static void check_explained(const Golden& golden, const std::string& name, const std::string& rows_name,
                            const std::vector<Matrix>& fused, double discard, bool spare_first) {
    std::vector<Matrix> published, rows;
    for (const Matrix& F : fused) {
        const Matrix kept = rollout::discarded(F, discard, spare_first);
        published.push_back(rollout::half_residual(kept, rollout::Normalisation::columns_as_published));
        rows.push_back(rollout::half_residual(kept, rollout::Normalisation::rows));
    }
    const std::vector<Matrix> joint = rollout::products(published);
    for (std::size_t l = 0; l < joint.size(); ++l) golden.check(name + ".joint." + text_of(l), joint[l]);
    golden.check(name + ".mask", rollout::class_map(joint.back()));
    golden.check(rows_name + ".joint", rollout::products(rows).back());
}

static void check_vit_explain(const Golden& golden, const RolloutCase& c) {
    const std::vector<std::string> ratios = words_of(golden.file.metadata_text("discard_ratios"));
    for (std::size_t k = 0; k < ratios.size(); ++k) {
        const double discard = std::stod(ratios[k]);
        for (const std::string& fusion : words_of(golden.file.metadata_text("head_fusions"))) {
            std::vector<Matrix> fused;
            for (const Matrix& A : c.weights) fused.push_back(rollout::fused(A, c.options.heads, fusion_of(fusion)));
            const std::string name = fusion + "." + text_of(k);
            check_explained(golden, "explain." + name, "explain_rows." + name, fused, discard, true);
        }
        std::vector<Matrix> weighted;
        for (std::size_t l = 0; l < c.weights.size(); ++l)
            weighted.push_back(rollout::weighted_mean(c.weights[l], c.gradients[l], c.options.heads));
        check_explained(golden, "grad_rollout." + text_of(k), "grad_rollout_rows." + text_of(k), weighted, discard, false);
    }
    std::vector<Matrix> mispaired;  // layer l's attention with layer L-1-l's gradient
    for (std::size_t l = 0; l < c.weights.size(); ++l) {
        const Matrix& G = c.gradients[c.weights.size() - 1 - l];
        const Matrix F =
            rollout::discarded(rollout::weighted_mean(c.weights[l], G, c.options.heads), std::stod(ratios[0]), false);
        mispaired.push_back(rollout::half_residual(F, rollout::Normalisation::columns_as_published));
    }
    golden.check("grad_rollout_published_pairing.0.joint", rollout::products(mispaired).back());
}

static void check_gradient_relevance(const Golden& golden, const RolloutCase& c) {
    std::vector<Matrix> weighted;
    for (std::size_t l = 0; l < c.weights.size(); ++l) {
        weighted.push_back(rollout::positive_weighted_mean(c.weights[l], c.gradients[l], c.options.heads));
        golden.check("gradient_relevance.layer." + text_of(l) + ".weighted", weighted.back());
    }
    const std::vector<Matrix> joint = rollout::gradient_relevance(weighted);
    for (std::size_t l = 0; l < joint.size(); ++l) golden.check("gradient_relevance.joint." + text_of(l), joint[l]);
}

static void check_relevance(const Golden& golden, const RolloutCase& c) {
    const int heads = c.options.heads;
    std::vector<Matrix> weighted(c.blocks.size());
    Matrix relevance = c.last;
    for (int l = static_cast<int>(c.blocks.size()) - 1; l >= 0; --l) {
        const Matrix input = l == 0 ? c.input : c.stack.blocks[l - 1].output.value();
        const rollout::BlockRelevance r = rollout::block_relevance(c.stack.blocks[l], c.blocks[l], c.options, input, relevance);
        const std::string layer = "relevance.layer." + text_of(l) + ".";
        golden.check(layer + "add_mlp.residual", r.mlp_residual);
        golden.check(layer + "add_mlp.mlp", r.mlp_output);
        golden.check(layer + "intermediate", r.hidden);
        golden.check(layer + (c.is_vit ? "layernorm_after" : "mlp_input"), r.mlp_input);
        golden.check(layer + (c.is_vit ? "after_attention" : "attention_output"), r.after_attention);
        golden.check(layer + "add_attention.residual", r.attention_residual);
        golden.check(layer + "add_attention.attention", r.attention_output);
        golden.check(layer + "context", r.context);
        golden.check(layer + "attention_probs", r.weights);
        if (!c.is_vit) golden.check(layer + "scores", r.weights);  // softmax, scale and the zero mask pass it on
        golden.check(layer + "query", by_heads(r.query, heads, 1));
        golden.check(layer + "key", by_heads(r.key, heads, 1));
        golden.check(layer + (c.is_vit ? "layernorm_before" : "attention_input"), r.attention_input);
        golden.check(layer + "input", r.input);
        weighted[l] = rollout::positive_weighted_mean(r.weights, c.gradients[l], heads);
        golden.check(layer + "weighted", weighted[l]);
        relevance = r.input;
    }
    const Matrix joint = rollout::relevance_product(weighted, golden.file.metadata_int("start_layer"), !c.is_vit);
    golden.check("relevance.joint", joint);
    Matrix map = slice_rows(joint, 0, 1);
    if (c.is_vit)
        map = slice_cols(map, 1, map.cols - 1);
    else
        map[0] = *std::min_element(map.begin(), map.end());
    golden.check("relevance.map", map);
}

TEST_CASE(
    "parity: rollout, flow, vit-explain, gradient relevance and relevance equal the published implementations', step by step") {
    for (const std::string& path : golden_files("rollout")) {
        const Golden golden(path);
        const int target = golden.integers("input.target").at(0);
        const RolloutCase c = golden.file.metadata_text("model") == "vit" ? vit_case(golden, target) : bert_case(golden, target);
        golden.check("logits", c.logits);
        check_rollout_and_flow(golden, c);
        check_vit_explain(golden, c);
        check_gradient_relevance(golden, c);
        check_relevance(golden, c);
        golden.check_all_used();
    }
}

// --- by hand ---

TEST_CASE("products, max_flows: by hand, two layers and two tokens, each attending to one") {
    const std::vector<Matrix> layers{rollout::augmented(Matrix{{1, 0}, {1, 0}}), rollout::augmented(Matrix{{0, 1}, {0, 1}})};
    check_close("B_0", layers[0], Matrix{{1, 0}, {0.5f, 0.5f}});
    check_close("B_1", layers[1], Matrix{{0.5f, 0.5f}, {0, 1}});
    check_close("B_1 B_0", rollout::products(layers)[1], Matrix{{0.75f, 0.25f}, {0.5f, 0.5f}});
    const Matrix flow = rollout::max_flows(layers)[1];
    // from token 0 to input 0: 1/2 through token 0, and 1/2 through token 1, whose edge to input 0 has capacity 1/2
    check_close("flow", slice_rows(flow, 0, 1), Matrix{{1, 0.5f}});
    check_close("shares", slice_rows(rollout::rows_divided_by_sums(flow), 0, 1), Matrix{{2 / 3.0f, 1 / 3.0f}});
    check_close("zeros stay", rollout::rows_divided_by_sums({{0, 0}, {1, 3}}), Matrix{{0, 0}, {0.25f, 0.75f}});
}

TEST_CASE("max_flows: flow along one path may be undone to make room for another") {
    // Greedy paths may block each other; the maximum flow equals the minimum cut: here both edges out of token 0, 0.6 + 0.4.
    const std::vector<Matrix> layers{Matrix{{0.5f, 0.5f}, {0.1f, 0.9f}}, Matrix{{0.6f, 0.4f}, {0.5f, 0.5f}}};
    const Matrix flow = rollout::max_flows(layers)[1];
    CHECK(flow(0, 0) == Approx(0.5 + 0.1));
    CHECK(flow(0, 1) == Approx(0.5 + 0.4));
    CHECK(identical(rollout::max_flows({layers[0]})[0], layers[0]));  // one layer: each pair has its own edge
}

TEST_CASE("discarded: the smallest entries become 0; spare_first keeps entry [0, 0]") {
    const Matrix m{{0.1f, 0.4f}, {0.3f, 0.2f}};
    check_close("half", rollout::discarded(m, 0.5, false), Matrix{{0, 0.4f}, {0.3f, 0}});
    check_close("spared", rollout::discarded(m, 0.5, true), Matrix{{0.1f, 0.4f}, {0.3f, 0}});
    check_close("of equal ones the first", rollout::discarded({{0.3f, 0.1f}, {0.1f, 0.4f}}, 0.25, false),
                Matrix{{0.3f, 0}, {0.1f, 0.4f}});
    check_close("0.7 of 4 is 2", rollout::discarded(m, 0.7, false), Matrix{{0, 0.4f}, {0.3f, 0}});
    CHECK(identical(rollout::discarded(m, 1, false), Matrix(2, 2)));
    CHECK(identical(rollout::discarded(m, 0, false), m));
    CHECK_THROWS_WITH(rollout::discarded(m, -0.5, false), "rollout: a fraction of -0.500000 to discard is not between 0 and 1");
    CHECK_THROWS_WITH(rollout::discarded(m, 1.5, false), "rollout: a fraction of 1.500000 to discard is not between 0 and 1");
}

TEST_CASE("half_residual: the published division takes column j by the sum of row j") {
    const Matrix F{{1, 0}, {1, 2}};  // (F + I) / 2 = (1, 0), (0.5, 1.5); row sums 1 and 2
    check_close("rows", rollout::half_residual(F, rollout::Normalisation::rows), Matrix{{1, 0}, {0.25f, 0.75f}});
    check_close("published", rollout::half_residual(F, rollout::Normalisation::columns_as_published),
                Matrix{{1, 0}, {0.5f, 0.75f}});
}

TEST_CASE("linear_relevance: by hand, only positive products get relevance, in proportion") {
    // x = (2, -1), W = (3, 1; 2, -4): column 0 has the products 6 and -2, of which 6 takes all; column 1 has 2 and 4
    const Matrix r = rollout::linear_relevance(Matrix{{2, -1}}, Matrix{{3, 1}, {2, -4}}, Matrix{{0.4f, 0.6f}});
    check_close("relevance", r, Matrix{{0.4f + 0.2f, 0.4f}});
}

TEST_CASE("sum_relevance: conserves the total: 3 and 1 of 4") {
    const rollout::Summands parts = rollout::sum_relevance(Matrix{{3}}, Matrix{{1}}, Matrix{{2}});
    CHECK(parts.u[0] == Approx(1.5));
    CHECK(parts.v[0] == Approx(0.5));
}

TEST_CASE("sum_relevance: where the sum is 0 nothing is passed on; the other elements share the total") {
    // by hand: 1.5 and 0.5 of the first element's 2; scaled by 3/4 and 1/4 of the total of 7
    const rollout::Summands parts = rollout::sum_relevance(Matrix{{3, 1}}, Matrix{{1, -1}}, Matrix{{2, 5}});
    check_close("u", parts.u, Matrix{{5.25f, 0}});
    check_close("v", parts.v, Matrix{{1.75f, 0}});
}

TEST_CASE("sum_relevance: a summand of zeros receives nothing, the other all") {
    const Matrix some{{3, 1}}, none(1, 2), relevance{{2, 5}};
    const rollout::Summands first = rollout::sum_relevance(some, none, relevance);
    const rollout::Summands second = rollout::sum_relevance(none, some, relevance);
    check_close("u", first.u, relevance);
    CHECK(identical(first.v, none));
    CHECK(identical(second.u, none));
    check_close("v", second.v, relevance);
}

TEST_CASE("block_relevance: conserves the total relevance, in pre-norm and post-norm blocks") {
    for (const Order order : {Order::pre, Order::post}) {
        Random random(3);
        const Block w = make_block(random, {.width = 8, .mlp_width = 12}, {.stddev = 0.5f});
        const BlockOptions options{.heads = 2, .order = order};
        const Matrix z = normal_matrix(random, 4, 8);
        const KeepSteps keep;
        const BlockSteps steps = block(z, w, options);
        Matrix relevance(4, 8);
        relevance(0, 3) = 1;
        const rollout::BlockRelevance r = rollout::block_relevance(steps, w, options, z, relevance);
        double total = 0;
        for (const float x : r.input) total += x;
        CHECK(total == Approx(1).epsilon(1e-3));
    }
}

TEST_CASE("rollout: arguments that do not fit are refused") {
    CHECK_THROWS_WITH(
        rollout::mean_over_heads(Matrix(6, 4), 2),
        "rollout: attention weights (6, 4) are not 2 square matrices stacked vertically; they must be of one sequence");
    CHECK_THROWS_WITH(rollout::relevance_product({Matrix(2, 2)}, 1, false),
                      "rollout: there is no layer 1 among 1, counted from 0");
}

TEST_CASE("rollout: weights that are not square, not finite or negative are refused") {
    const Matrix good{{0.5f, 0.5f}, {0.5f, 0.5f}}, no_number{{0.5f, NAN}, {0.5f, 0.5f}};
    CHECK_THROWS_WITH(rollout::fused(no_number, 1, rollout::Fusion::max),
                      "rollout: the attention weights (2, 2) hold nan in row 0, column 1 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(rollout::discarded(no_number, 0.5, true),
                      "rollout: the attention weights (2, 2) hold nan in row 0, column 1 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(rollout::discarded(good, 2, true), "rollout: a fraction of 2.000000 to discard is not between 0 and 1");
    CHECK_THROWS_WITH(rollout::augmented(Matrix(2, 3)),
                      "rollout: attention weights (2, 3) must be square, a row and a column for each token");
    CHECK_THROWS_WITH(rollout::products({good, Matrix(3, 3)}),
                      "rollout: the weights of a layer are (3, 3), those of the first (2, 2), the shapes must be equal");
    CHECK_THROWS_WITH(rollout::max_flows({no_number}),
                      "rollout: the weights of a layer (2, 2) hold nan in row 0, column 1 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(rollout::max_flows({{{-1, 2}, {0.5f, 0.5f}}}),
                      "max_flows: an attention weight of -1.000000, it must not be negative");
    CHECK_THROWS_WITH(rollout::half_residual(Matrix(2, 3), rollout::Normalisation::rows),
                      "rollout: attention weights (2, 3) must be square, a row and a column for each token");
    CHECK_THROWS_WITH(rollout::class_map(Matrix(1, 1)),
                      "class_map: attention (1, 1) must have a row and a column for the class token and for at least one other");
    CHECK_THROWS_WITH(
        rollout::class_map(Matrix(2, 2)),
        "class_map: the largest weight of the class token is 0.000000, it must be above 0 to be a measure of the others");
    CHECK_THROWS_WITH(rollout::weighted_mean(good, Matrix(1, 2), 1),
                      "rollout: attention weights (2, 2) and a gradient (1, 2), the shapes must be equal");
}

TEST_CASE("class_map: attention that is not square is refused") {
    CHECK_THROWS_WITH(rollout::class_map(Matrix(2, 3, 1)),
                      "class_map: attention (2, 3) must have a row and a column for the class token and for at least one other");
}

// --- the whole way, of a model of one block and a head of two layers ---

namespace {
struct TwoLayerHead {
    Inside inside;
    Inspection trace;
};
}  // namespace

// Four tokens; the head reads token `row`: three outputs of tanh(N(r) W0 + b0) W1 + b1, of which `column` is asked for.
static TwoLayerHead two_layer_head(int row, int column = 2) {
    Random random(5);
    const Init init{.stddev = 0.5f};
    const Block w = make_block(random, {.width = 4, .mlp_width = 6}, init);
    const Matrix z = normal_matrix(random, 4, 4);
    const HeadLayer pooler{.normed = true,
                           .norm = make_layer_norm(4),
                           .linear = {.weight = normal_matrix(random, 4, 5), .bias = normal_matrix(random, 1, 5)},
                           .nonlinearity = Nonlinearity::tanh};
    const HeadLayer classifier{.linear = {.weight = normal_matrix(random, 5, 3), .bias = normal_matrix(random, 1, 3)}};
    TwoLayerHead model{.inside = {.blocks = {w}, .options = {.heads = 2}, .head = {pooler, classifier}}, .trace = {}};
    Inspection& trace = model.trace;
    const KeepSteps keep;
    const BlockSteps steps = block(z, w, model.inside.options);
    trace.steps.blocks = {steps};
    trace.residual_streams = {z, steps.output.value()};
    trace.outputs = outputs_of(trace.residual_streams[1], model.inside);
    trace.asked = {{.row = row, .column = column}};
    trace.weights = {steps.attention.weights.value()};
    trace.gradients = {normal_matrix(random, 8, 4)};
    return model;
}

TEST_CASE("token_relevance: relevance passes the layers of a head, the block, and the attention from the last to the first") {
    for (const auto& [row, column] : {std::pair{0, 2}, std::pair{3, 2}, std::pair{3, 0}}) {
        const auto [inside, trace] = two_layer_head(row, column);
        const HeadLayer &pooler = inside.head[0], &classifier = inside.head[1];
        const Var normed = normalise(slice_rows(trace.residual_streams[1], row, 1), pooler.norm, pooler.kind, pooler.eps);
        const Var pooled = tanh(linear(normed, pooler.linear));
        const Matrix of_pooled = rollout::linear_relevance(pooled.value(), classifier.linear.weight.value(), one_hot(3, column));
        const Matrix of_row = rollout::linear_relevance(normed.value(), pooler.linear.weight.value(), of_pooled);
        Matrix last(4, 4);
        std::copy(of_row.begin(), of_row.end(), last.row(row));
        const rollout::BlockRelevance r =
            rollout::block_relevance(trace.steps.blocks[0], inside.blocks[0], inside.options, trace.residual_streams[0], last);
        const Matrix weighted = rollout::positive_weighted_mean(r.weights, trace.gradients[0], 2);
        check_close("row", rollout::token_relevance(trace, inside), slice_rows(weighted, row, 1));
    }
}

TEST_CASE(
    "token_rollout, token_relevance: an output that was not asked for, a row beyond the stack and another model are refused") {
    const auto [inside, trace] = two_layer_head(3);
    const auto rolled = [&, &inside = inside](const Inspection& changed) {
        return error_of([&] { rollout::token_rollout(changed, inside); });
    };
    CHECK(rolled(trace).empty());
    const std::string nothing = "rollout: no output was requested, or there is no block; give follow() the output";
    Inspection not_asked = trace, no_block = trace, fewer_rows = trace, fewer_cols = trace, beyond = trace;
    not_asked.asked.clear();
    no_block.weights.clear();
    fewer_rows.weights[0] = Matrix(7, 4);
    fewer_cols.weights[0] = Matrix(8, 3);
    beyond.asked[0].row = 4;
    CHECK(rolled(not_asked) == nothing);
    CHECK(rolled(no_block) == nothing);
    CHECK(rolled(fewer_rows) ==
          "rollout: attention weights (7, 4) of 2 heads and 4 tokens; one sequence at a time can be explained");
    CHECK(rolled(fewer_cols) ==
          "rollout: attention weights (8, 3) of 2 heads and 4 tokens; one sequence at a time can be explained");
    CHECK(rolled(beyond) == "rollout: output row 4 was requested, the stack has 4 tokens");
    for (const int column : {-1, 3}) {
        Inspection no_column = trace;
        no_column.asked[0].column = column;
        CHECK(error_of([&, &inside = inside] {
                  rollout::token_relevance(no_column, inside);
              }).starts_with("rollout: output " + std::to_string(column) + " was requested, the run has returned "));
    }

    const float said = trace.outputs(3, 2);
    const auto with_output = [&, &trace = trace, &inside = inside](float output) {
        Inspection changed = trace;
        changed.outputs(3, 2) = output;
        return error_of([&] { rollout::token_relevance(changed, inside); });
    };
    const float most = 1e-3f * (1 + std::abs(said));
    CHECK(with_output(said).empty());
    CHECK(with_output(said + 0.9f * most).empty());
    CHECK(with_output(said - 0.9f * most).empty());
    CHECK(with_output(said + 1.2f * most).ends_with(" for output 2; the Inside must be that of the model that ran"));
    CHECK(with_output(said - 1.2f * most).starts_with("rollout: the head makes "));
    CHECK(with_output(NAN) ==
          "rollout: output 2 is nan, there is nothing to explain; look for a NaN or an infinity in the weights or in the input");
    CHECK(with_output(INFINITY).starts_with("rollout: output 2 is inf, "));
    Inspection wider = trace;
    wider.outputs = Matrix(4, 4);
    CHECK(
        error_of([&, &inside = inside] { rollout::token_relevance(wider, inside); })
            .ends_with(
                " of the last residual stream, the run has returned 0.000000 for output 2; the Inside must be that of the model "
                "that ran"));
}

TEST_CASE("block_relevance: orders, MLPs and steps without a rule, and shapes that differ, are refused") {
    const auto [inside, trace] = two_layer_head(0);
    const BlockSteps& steps = trace.steps.blocks[0];
    const Matrix relevance(4, 4);
    const auto refusal = [&, &trace = trace](const BlockSteps& steps, const Block& w, Order order, const Matrix& relevance) {
        return error_of(
            [&] { rollout::block_relevance(steps, w, {.heads = 2, .order = order}, trace.residual_streams[0], relevance); });
    };
    CHECK(refusal(steps, inside.blocks[0], Order::pre, relevance).empty());
    CHECK(refusal(steps, inside.blocks[0], Order::parallel, relevance) ==
          "rollout: a block of order number 2; relevance is known for 0 (pre-norm) and 1 (post-norm) only");
    CHECK(refusal(steps, inside.blocks[0], Order::normed_residual, relevance) ==
          "rollout: a block of order number 3; relevance is known for 0 (pre-norm) and 1 (post-norm) only");
    const std::string no_rule =
        "rollout: no rule of relevance is known for gated MLPs and shared key heads; gradient relevance needs none";
    Block gated = inside.blocks[0];
    gated.mlp.gate.weight = Matrix(4, 6);
    CHECK(refusal(steps, gated, Order::pre, relevance) == no_rule);
    BlockSteps shared = steps, not_kept = steps, longer = steps;
    shared.attention.key = Matrix(4, 2);
    CHECK(refusal(shared, inside.blocks[0], Order::pre, relevance) == no_rule);
    not_kept.attention.weights = {};
    CHECK(refusal(not_kept, inside.blocks[0], Order::pre, relevance) ==
          "rollout: the steps of the block were not kept; make a KeepSteps before the forward pass");
    CHECK(refusal(steps, inside.blocks[0], Order::pre, Matrix(3, 4)) ==
          "rollout: an input (4, 4) and relevance (3, 4) for a block of tokens (4, 4), the shapes must be equal");
    longer.after_attention = Matrix(5, 4);
    CHECK(refusal(longer, inside.blocks[0], Order::pre, relevance) ==
          "rollout: an input (4, 4) and relevance (4, 4) for a block of tokens (5, 4), the shapes must be equal");
}

TEST_CASE("relevance_product: a layer below 0 is refused, the last one is read") {
    const std::vector<Matrix> layers{Matrix(2, 2), Matrix(2, 2, 1)};
    CHECK_THROWS_WITH(rollout::relevance_product(layers, -1, false), "rollout: there is no layer -1 among 2, counted from 0");
    CHECK_THROWS_WITH(rollout::relevance_product(layers, 2, false), "rollout: there is no layer 2 among 2, counted from 0");
    check_close("last", rollout::relevance_product(layers, 1, false), Matrix{{2, 1}, {1, 2}});
}

TEST_CASE("augmented: attention of no tokens is refused, that of one token is accepted") {
    CHECK_THROWS_WITH(rollout::augmented(Matrix()),
                      "rollout: attention weights (0, 0) must be square, a row and a column for each token");
    CHECK_THROWS_WITH(rollout::augmented(Matrix(3, 2)),
                      "rollout: attention weights (3, 2) must be square, a row and a column for each token");
    CHECK(identical(rollout::augmented(Matrix{{1}}), Matrix{{1}}));
}

TEST_CASE("sum_relevance: shapes that differ are refused") {
    const Matrix a(2, 3, 1), b(1, 3, 1);
    CHECK(error_of([&] { rollout::sum_relevance(a, a, b); }) ==
          "sum_relevance: summands (2, 3) and (2, 3) with a relevance of (1, 3), the shapes must be equal");
    CHECK(error_of([&] { rollout::sum_relevance(a, b, a); }).starts_with("sum_relevance: summands (2, 3) and (1, 3)"));
    CHECK(error_of([&] { rollout::sum_relevance(a, a, a); }).empty());
}

TEST_SUITE_END();
