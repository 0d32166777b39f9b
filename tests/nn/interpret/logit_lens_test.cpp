#include "nn/interpret/logit_lens.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/text/batch.h"
#include "tests/fixture_views.h"
#include "tests/nn/interpret/gpt_fixture.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("logit_lens");

namespace {
// The numbers of every layer, side by side for the fixture: (B, L+1, T).
struct ByLayer {
    int sequences, layers, length;
    template <class Number>
    std::vector<Number> arranged(const std::vector<std::vector<Number>>& of_layers) const {
        std::vector<Number> result;
        for (int b = 0; b < sequences; ++b)
            for (int l = 0; l < layers; ++l)
                result.insert(result.end(), of_layers[l].begin() + b * length, of_layers[l].begin() + (b + 1) * length);
        return result;
    }
    Matrix matrix(const std::vector<std::vector<float>>& of_layers) const {
        return reshape(row_of(arranged(of_layers)), sequences * layers, length);
    }
};
}  // namespace

static std::string joined_names(const std::vector<logit_lens::Part>& parts) {
    std::string names;
    for (const logit_lens::Part& part : parts) names += (names.empty() ? "" : ",") + part.name;
    return names;
}

TEST_CASE("logit_lens: every lens, statistic and attribution equals tuned-lens' and TransformerLens'") {
    for (const std::string& path : golden_files("logit_lens")) {
        const Golden golden(path);
        const auto [config, w] = gpt_of_fixture(golden);
        const std::vector<std::vector<int>> sequences = sequences_of(golden, "input.input_ids");
        const TokenBatch batch = make_batch(sequences);
        const int B = batch.sequences, T = batch.length, L = config.depth, position = golden.file.metadata_int("position");
        const std::vector<int> last = golden.integers("input.target_last"), alternative = golden.integers("input.alternative");

        const KeepSteps keep;
        const gpt::Steps steps = gpt::forward(batch.ids, T, w, config);
        check_stack(golden, steps.decoder, L,
                    {{"block.#", Step::output},
                     {"block.#.resid_mid", Step::after_attention},
                     {"block.#.attention", Step::weights},
                     {"block.#.z", Step::context},
                     {"block.#.attn", Step::attention_output},
                     {"block.#.mlp", Step::mlp_output}},
                    {.sequences = B, .heads = config.heads});
        golden.check("embeddings", steps.embeddings.value());
        golden.check("logits", steps.logits.value());

        // the lens at every residual stream
        const logit_lens::Readout readout{.norm = w.norm, .eps = config.eps, .output_matrix = w.output.value()};
        std::vector<Matrix> streams{steps.embeddings.value()};
        for (const BlockSteps& block : steps.decoder.blocks) streams.push_back(block.output.value());
        std::vector<int> right = next_tokens(batch);
        for (int b = 0; b < B; ++b) right[b * T + T - 1] = last[b];
        const Matrix final_logits = logit_lens::logits(streams.back(), readout);
        std::vector<std::vector<float>> kl, reverse_kl, js, entropy, cross_entropy, max_probability;
        std::vector<std::vector<int>> rank, top;
        for (int l = 0; l <= L; ++l) {
            const Matrix logits = logit_lens::logits(streams[l], readout);
            golden.check("lens." + std::to_string(l) + ".logits", logits);
            golden.check("lens." + std::to_string(l) + ".probabilities", softmax_rows(logits).value());
            if (l < L)
                golden.check("lens_mid." + std::to_string(l) + ".logits",
                             logit_lens::logits(steps.decoder.blocks[l].after_attention.value(), readout));
            const logit_lens::Comparison comparison = logit_lens::compare(logits, final_logits, right);
            kl.push_back(comparison.kl);
            reverse_kl.push_back(comparison.reverse_kl);
            js.push_back(comparison.js);
            entropy.push_back(comparison.entropy);
            cross_entropy.push_back(comparison.cross_entropy);
            max_probability.push_back(comparison.max_probability);
            rank.push_back(comparison.rank);
            top.push_back(comparison.top);
        }
        const ByLayer by_layer{B, L + 1, T};
        golden.check("lens.kl", by_layer.matrix(kl));
        golden.check("lens.reverse_kl", by_layer.matrix(reverse_kl));
        golden.check("lens.js", by_layer.matrix(js));
        golden.check("lens.entropy", by_layer.matrix(entropy));
        golden.check("lens.cross_entropy", by_layer.matrix(cross_entropy));
        golden.check("lens.max_probability", by_layer.matrix(max_probability));
        golden.check_integers("lens.rank", by_layer.arranged(rank));
        golden.check_integers("lens.top", by_layer.arranged(top));

        // the same with a frozen scale
        const Matrix scale = logit_lens::final_scale(streams.back(), readout);
        const logit_lens::Unembedding unembedding = logit_lens::folded(readout);
        golden.check("final_scale", reshape(scale, B, T));
        golden.check("unembedding_folded", unembedding.U);
        golden.check("unembedding_bias", unembedding.c);
        for (int l = 0; l <= L; ++l)
            golden.check("frozen." + std::to_string(l) + ".logits", logit_lens::frozen_logits(streams[l], scale, unembedding));

        // attribution
        const Matrix words = gather_rows(w.token_embedding, batch.ids).value();
        const Matrix positions = add_repeated(Var(Matrix(B * T, config.width)), slice_rows(w.positions, 0, T)).value();
        const std::vector<logit_lens::Part> parts = logit_lens::parts_of(steps.decoder, w.blocks, config.heads, words, positions);
        CHECK(joined_names(parts) == golden.file.metadata_text("attribution_components"));
        std::vector<int> rows;
        for (int b = 0; b < B; ++b) rows.push_back(b * T + position);
        std::vector<Var> components, last_logits;
        std::vector<float> target, difference;
        for (const logit_lens::Part& part : parts) {
            components.push_back(part.value);
            const std::vector<float> to_right = logit_lens::contribution_to(part, right, scale, unembedding);
            target.insert(target.end(), to_right.begin(), to_right.end());
            const Matrix at_position = logit_lens::contribution(part, rows, scale, unembedding);  // (B, V)
            last_logits.push_back(at_position);
            for (int b = 0; b < B; ++b) difference.push_back(at_position(b, right[rows[b]]) - at_position(b, alternative[b]));
        }
        golden.check("attribution.components", concat_rows(components).value());
        golden.check("attribution.target", reshape(row_of(target), static_cast<int>(parts.size()) * B, T));
        golden.check("attribution.last_logits", concat_rows(last_logits).value());
        golden.check("attribution.difference", reshape(row_of(difference), static_cast<int>(parts.size()), B));
        std::vector<float> logit_difference;
        for (int b = 0; b < B; ++b)
            logit_difference.push_back(steps.logits.value()(rows[b], right[rows[b]]) -
                                       steps.logits.value()(rows[b], alternative[b]));
        golden.check("logit_difference", row_of(logit_difference));
        golden.check_all_used();
    }
}

// --- by hand and by construction ---

static logit_lens::Readout small_readout() {
    return {
        .norm = {.gain = Matrix{{2, 1}}, .bias = Matrix{{0.5f, 0}}}, .eps = 0, .output_matrix = Matrix{{1, 0}, {0, 1}, {1, 1}}};
}

TEST_CASE("folded: by hand, two features and three tokens") {
    // gain * output matrix: (2, 0), (0, 1), (2, 1); less their means: (1, -1), (-0.5, 0.5), (0.5, -0.5). bias . output matrix:
    // 0.5, 0, 0.5
    const logit_lens::Unembedding folded = logit_lens::folded(small_readout());
    check_close("U", folded.U, Matrix{{1, -0.5f, 0.5f}, {-1, 0.5f, -0.5f}});
    check_close("c", folded.c, Matrix{{0.5f, 0, 0.5f}});
    // without gain and bias: (1, 0), (0, 1), (1, 1), less their means
    const logit_lens::Unembedding plain =
        logit_lens::folded({.norm = {}, .eps = 0, .output_matrix = small_readout().output_matrix});
    check_close("U", plain.U, Matrix{{0.5f, -0.5f, 0}, {-0.5f, 0.5f, 0}});
    CHECK(identical(plain.c, Matrix(1, 3)));
}

TEST_CASE("frozen_logits: the final residual stream gives the model's logits; half of it gives half of them, up to c") {
    const logit_lens::Readout readout = small_readout();
    const Matrix stream{{3, 1}, {0, 5}};
    const Matrix scale = logit_lens::final_scale(stream, readout);  // (3 - 1) / 2 = 1 and 2.5
    check_close("scale", scale, Matrix{{1}, {2.5f}});
    const logit_lens::Unembedding folded = logit_lens::folded(readout);
    check_close("logits", logit_lens::frozen_logits(stream, scale, folded), logit_lens::logits(stream, readout));
    const Matrix whole = logit_lens::frozen_logits(stream, scale, folded);
    const Matrix half = logit_lens::frozen_logits(::scale(stream, 0.5f).value(), scale, folded);
    for (int i = 0; i < 2; ++i)
        for (int v = 0; v < 3; ++v) CHECK(half(i, v) - folded.c[v] == Approx((whole(i, v) - folded.c[v]) / 2));
}

TEST_CASE("compare: by hand, p = (3/4, 1/4) in the layer and (1/2, 1/2) in the last") {
    const float ln3 = std::log(3.0f);
    const logit_lens::Comparison c = logit_lens::compare(Matrix{{ln3, 0}}, Matrix{{0, 0}}, {1});
    CHECK(c.kl[0] == Approx(0.5 * std::log(0.5 / 0.75) + 0.5 * std::log(0.5 / 0.25)));
    CHECK(c.reverse_kl[0] == Approx(0.75 * std::log(1.5) + 0.25 * std::log(0.5)));
    CHECK(c.entropy[0] == Approx(-0.75 * std::log(0.75) - 0.25 * std::log(0.25)));
    CHECK(c.cross_entropy[0] == Approx(std::log(4.0)));
    CHECK(c.max_probability[0] == Approx(0.75));
    CHECK(c.rank[0] == 2);
    CHECK(c.top[0] == 0);
    // the average is (5/8, 3/8)
    CHECK(c.js[0] == Approx((0.75 * std::log(0.75 / 0.625) + 0.25 * std::log(0.25 / 0.375) + 0.5 * std::log(0.5 / 0.625) +
                             0.5 * std::log(0.5 / 0.375)) /
                            2));
}

TEST_CASE("parts_of: the parts add up to the final residual stream, and their contributions with c to the logits") {
    Random random(1);
    const gpt::Config config{.vocabulary = 7, .positions = 5, .width = 6, .depth = 2, .heads = 3, .mlp_width = 8};
    const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    for (const Block& block : w.blocks) {
        Var bias = block.attention.output.bias;
        bias.value() = normal_matrix(random, 1, 6);
    }
    const std::vector<int> ids{1, 2, 3, 4};
    const KeepSteps keep;
    const gpt::Steps steps = gpt::forward(ids, 4, w, config);
    const std::vector<logit_lens::Part> parts = logit_lens::parts_of(
        steps.decoder, w.blocks, 3, gather_rows(w.token_embedding, ids).value(), slice_rows(w.positions, 0, 4).value());
    REQUIRE(parts.size() == 2 * 3 + 2 + 3);
    const logit_lens::Readout readout{.norm = w.norm, .eps = config.eps, .output_matrix = w.output.value()};
    const Matrix scale = logit_lens::final_scale(steps.decoder.output.value(), readout);
    const logit_lens::Unembedding unembedding = logit_lens::folded(readout);
    Matrix stream(4, 6), logits(4, 7);
    for (const logit_lens::Part& part : parts) {
        add_to(stream, part.value);
        add_to(logits, logit_lens::contribution(part, {0, 1, 2, 3}, scale, unembedding));
    }
    check_close("stream", stream, steps.decoder.output.value());
    check_close("logits", add(logits, unembedding.c).value(), steps.logits.value());
}

TEST_CASE("logit_lens: arguments that do not fit are refused, with the reason") {
    CHECK_THROWS_WITH(logit_lens::compare(Matrix(2, 3), Matrix(2, 4), {0, 1}),
                      "logit_lens: logits of a layer are (2, 3), of the last one (2, 4), the shapes must be equal");
    CHECK_THROWS_WITH(logit_lens::compare(Matrix(2, 3), Matrix(2, 3), {0}),
                      "logit_lens: 1 right tokens for the rows of (2, 3), each row needs one");
    CHECK_THROWS_WITH(logit_lens::compare(Matrix(1, 3), Matrix(1, 3), {3}),
                      "logit_lens: the right token of row 0 is 3, there are 3 tokens, counted from 0");
    CHECK_THROWS_WITH(logit_lens::parts_of({}, std::vector<Block>(2), 1, Matrix(1, 2), Matrix(1, 2)),
                      "logit_lens: 0 kept steps of 2 blocks; make a KeepSteps before the forward pass");
}

TEST_CASE("logit_lens: NaN, which would have rank 1, is refused, and so are rows, heads and norms that do not exist") {
    const logit_lens::Unembedding unembedding{.U = Matrix(2, 3), .c = Matrix(1, 3)};
    const logit_lens::Readout readout{.norm = make_layer_norm(3), .eps = 0, .output_matrix = Matrix(4, 2)};
    CHECK_THROWS_WITH(logit_lens::compare({{NAN, 0}}, {{0, 0}}, {0}),
                      "logit_lens: the logits of a layer (1, 2) hold nan in row 0, column 0 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(logit_lens::compare({{0, 0}}, {{0, INFINITY}}, {0}),
                      "logit_lens: the logits of the last layer (1, 2) hold inf in row 0, column 1 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(
        logit_lens::folded(readout),
        "logit_lens: the last norm has 3 numbers, the output matrix is (4, 2); gain and bias must be as wide as its rows");
    CHECK_THROWS_WITH(logit_lens::contribution({"x", Matrix(2, 2)}, {2}, Matrix(2, 1), unembedding),
                      "logit_lens: row 2 of a residual stream (2, 2), they are counted from 0");
    CHECK_THROWS_WITH(logit_lens::contribution_to({"x", Matrix(2, 2)}, {0, 3}, Matrix(2, 1, 1), unembedding),
                      "logit_lens: token 3 of row 1, there are 3, counted from 0");
    CHECK_THROWS_WITH(logit_lens::frozen_logits(Matrix(2, 2), Matrix(1, 1), unembedding),
                      "logit_lens: 1 standard deviations for a residual stream (2, 2), each row needs one, see final_scale");
    CHECK_THROWS_WITH(logit_lens::parts_of({}, {}, 0, Matrix(1, 2), Matrix(1, 2)),
                      "logit_lens: 0 heads do not divide a context of width 0");
    CHECK_THROWS_WITH(logit_lens::parts_of({}, {}, 1, Matrix(1, 2), Matrix(2, 2)),
                      "logit_lens: token embeddings (1, 2) and positions (2, 2), the shapes must be equal");
}

TEST_CASE("readout_of: a head of no or two layers, without a norm, with a bias or with an activation is refused") {
    const HeadLayer plain{.normed = true, .norm = make_layer_norm(2), .linear = {.weight = Matrix(2, 3), .bias = {}}};
    const auto refusal = [](const std::vector<HeadLayer>& head) {
        return error_of([&] { logit_lens::readout_of({.blocks = {}, .options = {}, .head = head}); });
    };
    const std::string rule =
        "logit_lens: the head of this model is not one norm and one matrix; take outputs_of() of nn/interpret/inside.h";
    CHECK(refusal({plain}).empty());
    CHECK(refusal({}) == rule);
    CHECK(refusal({plain, plain}) == rule);
    HeadLayer without_norm = plain, with_bias = plain, curved = plain;
    without_norm.normed = false;
    with_bias.linear.bias = Matrix(1, 3);
    curved.nonlinearity = Nonlinearity::tanh;
    for (const HeadLayer& layer : {without_norm, with_bias, curved}) CHECK(refusal({layer}) == rule);
}

TEST_CASE(
    "compare, final_scale, contribution: no tokens, empty rows, a token below 0 and another model's unembedding are refused") {
    CHECK_THROWS_WITH(logit_lens::compare(Matrix(1, 0), Matrix(1, 0), {0}),
                      "logit_lens: logits (1, 0), there must be at least one token");
    CHECK(logit_lens::compare(Matrix(1, 1), Matrix(1, 1), {0}).rank == std::vector<int>{1});
    CHECK_THROWS_WITH(logit_lens::compare(Matrix(1, 3), Matrix(1, 3), {-1}),
                      "logit_lens: the right token of row 0 is -1, there are 3 tokens, counted from 0");
    CHECK(logit_lens::compare(Matrix(1, 3), Matrix(1, 3), {2}).rank == std::vector<int>{1});
    const logit_lens::Readout readout = small_readout();
    CHECK_THROWS_WITH(logit_lens::final_scale(Matrix(2, 0), readout),
                      "logit_lens: a residual stream (2, 0), a row must hold at least 1 number");
    CHECK(identical(logit_lens::final_scale(Matrix(1, 1), readout), Matrix(1, 1)));
    const logit_lens::Unembedding unembedding{.U = Matrix(2, 3), .c = Matrix(1, 3)};
    CHECK_THROWS_WITH(
        logit_lens::contribution({"x", Matrix(1, 4)}, {0}, Matrix(1, 1, 1), unembedding),
        "logit_lens: a residual stream (1, 4) meets an unembedding (2, 3), which must have 4 rows; both must be of the same "
        "model");
    CHECK_THROWS_WITH(logit_lens::contribution({"x", Matrix(1, 2)}, {1}, Matrix(1, 1, 1), unembedding),
                      "logit_lens: row 1 of a residual stream (1, 2), they are counted from 0");
    CHECK_THROWS_WITH(logit_lens::contribution({"x", Matrix(2, 2)}, {-1}, Matrix(2, 1, 1), unembedding),
                      "logit_lens: row -1 of a residual stream (2, 2), they are counted from 0");
    CHECK(logit_lens::contribution({"x", Matrix(2, 2)}, {0, 1}, Matrix(2, 1, 1), unembedding).rows == 2);
    CHECK_THROWS_WITH(logit_lens::contribution_to({"x", Matrix(1, 2)}, {-1}, Matrix(1, 1, 1), unembedding),
                      "logit_lens: token -1 of row 0, there are 3, counted from 0");
    CHECK(logit_lens::contribution_to({"x", Matrix(1, 2)}, {2}, Matrix(1, 1, 1), unembedding) == std::vector<float>{0});
    CHECK_THROWS_WITH(logit_lens::contribution_to({"x", Matrix(2, 2)}, {0}, Matrix(2, 1, 1), unembedding),
                      "logit_lens: 1 tokens for the rows of (2, 2), each row needs one");
}

TEST_CASE("folded: a gain and a bias of another width are refused, each by itself; both may be absent") {
    const auto refusal = [](const Var& gain, const Var& bias) {
        return error_of(
            [&] { logit_lens::folded({.norm = {.gain = gain, .bias = bias}, .eps = 0, .output_matrix = Matrix(3, 2)}); });
    };
    const std::string rule =
        "logit_lens: the last norm has 1 numbers, the output matrix is (3, 2); gain and bias must be as wide as its rows";
    const Matrix two(1, 2), one(1, 1);
    CHECK(refusal(one, two) == rule);
    CHECK(refusal(two, one) == rule);
    CHECK(refusal(two, two).empty());
    CHECK(refusal({}, {}).empty());
}

TEST_CASE("parts_of: blocks whose outputs are not simply added are refused, each kind by itself") {
    Random random(1);
    const Block plain = make_block(random, {.width = 2, .mlp_width = 3});
    Inspection trace;
    trace.residual_streams = {Matrix(1, 2)};
    const auto refusal = [&](const std::vector<Block>& blocks, const BlockOptions& options) {
        return error_of([&] { logit_lens::parts_of(trace, {.blocks = blocks, .options = options}); });
    };
    CHECK(logit_lens::parts_of(trace, {.blocks = {}, .options = {}}).size() == 2);  // "embed" and "bias"
    const std::string rule =
        "logit_lens: the last residual stream is the sum of what the blocks write only with pre-norm or parallel blocks and a plain "
        "residual";
    CHECK(refusal({}, {.order = Order::parallel}).empty());
    CHECK(refusal({}, {.order = Order::post}) == rule);
    CHECK(refusal({}, {.order = Order::normed_residual}) == rule);
    CHECK(refusal({}, {.residual = 2}) == rule);
    CHECK(refusal({}, {.order = Order::parallel, .residual = 2}) == rule);
    Block scaled_attention = plain, scaled_mlp = plain, crossing = plain;
    scaled_attention.scale1 = Matrix(1, 2);
    scaled_mlp.scale2 = Matrix(1, 2);
    crossing.cross.query.weight = Matrix(2, 2);
    for (const Block& block : {scaled_attention, scaled_mlp, crossing})
        CHECK(refusal({block}, {}) == "logit_lens: parts are not defined for blocks with layer scale or cross-attention");
    CHECK(refusal({plain}, {}) == "logit_lens: 0 kept steps of 1 blocks; make a KeepSteps before the forward pass");
}

TEST_CASE("parts_of: heads that do not divide the context are refused") {
    Random random(1);
    StackSteps steps;
    steps.blocks.resize(1);
    const std::vector<Block> blocks{make_block(random, {.width = 4, .mlp_width = 3})};
    CHECK_THROWS_WITH(logit_lens::parts_of(steps, blocks, 3, Matrix(1, 4), Matrix(1, 4)),
                      "logit_lens: 3 heads do not divide a context of width 4");
    CHECK_THROWS_WITH(logit_lens::parts_of(steps, blocks, 0, Matrix(1, 4), Matrix(1, 4)),
                      "logit_lens: 0 heads do not divide a context of width 4");
    CHECK(logit_lens::parts_of({}, {}, 1, Matrix(1, 4), Matrix(1, 4)).size() == 3);
}

TEST_CASE("logit_lens::Readout: the defaults") {
    const logit_lens::Readout usual{};
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.kind == NormKind::layer);
}

TEST_CASE("parts_of: a trace that follow() has not made is refused") {
    CHECK(error_of([] { logit_lens::parts_of(Inspection{}, Inside{}); }) ==
          "logit_lens: a trace without residual streams; follow() keeps them");
}

TEST_SUITE_END();
