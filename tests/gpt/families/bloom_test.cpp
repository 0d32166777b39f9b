#include "gpt/families/bloom.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/gpt/decoder_checks.h"
#include "tests/gpt/published_file.h"
#include "tests/nn/data/given_settings.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("bloom");

static bloom::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.vocabulary = file.metadata_int("vocab_size"),
            .width = file.metadata_int("hidden_size"),
            .depth = file.metadata_int("n_layer"),
            .heads = file.metadata_int("n_head"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon"))};
}

static TokenBatch batch_of_fixture(const Golden& golden) {
    const Matrix mask = numbers_of(golden, "input.attention_mask");
    const Side side = golden.file.metadata_text("padding_side") == "left" ? Side::left : Side::right;
    return make_batch(sequences_of(golden, "input.input_ids", mask), golden.file.metadata_int("pad_token_id"), side);
}

// The fixture's labels stand at the token itself; the published code shifts them by one.
static std::vector<int> shifted_labels(const Golden& golden, const TokenBatch& batch) {
    const std::vector<int> labels = golden.integers("input.labels");
    std::vector<int> shifted;
    for (int b = 0; b < batch.sequences; ++b)
        for (int t = 1; t <= batch.length; ++t)
            shifted.push_back(t < batch.length ? labels[b * batch.length + t] : ignored_label);
    return shifted;
}

TEST_CASE("bloom: the slopes, every step, the loss, every gradient and the next token equal the published implementation's") {
    for (const std::string& path : golden_files("bloom")) {
        const Golden golden(path);
        const bloom::Config config = config_of_fixture(golden);
        const TokenBatch batch = batch_of_fixture(golden);
        CHECK(batch.ids == golden.integers("input.input_ids"));
        CHECK(next_tokens(batch) == shifted_labels(golden, batch));
        Random random;
        const bloom::Weights w = bloom::make_weights(config, random);
        const Parameters parameters = bloom::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const bloom::Steps steps = bloom::forward(batch, w, config);
        const Var loss = bloom::loss(steps, batch);

        const Matrix mask = numbers_of(golden, "input.attention_mask");
        golden.check("alibi_slopes", row_of(bloom::alibi_slopes(config.heads)));
        golden.check("word_embeddings", padding_zeroed(steps.token_embeddings.value(), mask));
        golden.check("embeddings", padding_zeroed(steps.embeddings.value(), mask));
        // The published sublayers add the residual connection themselves, so their outputs are the residual stream after them.
        check_stack(golden, steps.decoder, config.depth,
                    {{"layer.#.query_key_value", Step::query_key_value, Heads::interleaved},
                     {"layer.#.attention", Step::weights},
                     {"layer.#.self_attention", Step::after_attention},
                     {"layer.#.mlp", Step::output},
                     {"layer.#", Step::output}},
                    {.sequences = batch.sequences, .heads = config.heads, .mask = mask});
        golden.check("ln_f", padding_zeroed(steps.hidden.value(), mask));
        golden.check("logits", padding_zeroed(steps.logits.value(), mask));
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);

        std::vector<int> next;
        for (const std::vector<int>& written : generate(batch, w, config, Limits{.new_tokens = 1})) next.push_back(written[0]);
        golden.check_integers("greedy_next", next);
        golden.check_all_used();
    }
}

// --- positions ---

TEST_CASE("alibi_slopes: powers of 1/2 for a power of two heads, every second slope of the next power for the others") {
    // by hand: 8 heads 2^-1 ... 2^-8; 4 heads 2^-2, 2^-4, 2^-6, 2^-8
    CHECK(bloom::alibi_slopes(8) ==
          std::vector<float>{1 / 2.f, 1 / 4.f, 1 / 8.f, 1 / 16.f, 1 / 32.f, 1 / 64.f, 1 / 128.f, 1 / 256.f});
    CHECK(bloom::alibi_slopes(4) == std::vector<float>{1 / 4.f, 1 / 16.f, 1 / 64.f, 1 / 256.f});
    CHECK(bloom::alibi_slopes(1) == std::vector<float>{1 / 256.f});
    // 6 = 4 + 2: the four of 4 heads, then number 0 and 2 of 8 heads
    CHECK(bloom::alibi_slopes(6) == std::vector<float>{1 / 4.f, 1 / 16.f, 1 / 64.f, 1 / 256.f, 1 / 2.f, 1 / 8.f});
    // 3 = 2 + 1: 2^-4, 2^-8, then number 0 of 4 heads
    CHECK(bloom::alibi_slopes(3) == std::vector<float>{1 / 16.f, 1 / 256.f, 1 / 4.f});
    CHECK_THROWS_WITH(bloom::alibi_slopes(0), "alibi_slopes: 0 heads, at least one is needed");
}

TEST_CASE("alibi_bias: minus slope times distance, head after head, for the last queries of all keys") {
    // 2 queries, the last of 3 tokens: query 1 is 1, 0 away from tokens 0, 1; query 2 is 2, 1, 0 away
    CHECK(identical(bloom::alibi_bias({0.5f, 0.25f}, 2, 3),
                    Matrix{{-0.5f, -0.f, 0}, {-1, -0.5f, -0.f}, {-0.25f, -0.f, 0}, {-0.5f, -0.25f, -0.f}}));
}

TEST_CASE("alibi_bias: a query and keys that score alike give the weights 2^-distance times a constant, at slope ln 2") {
    // by hand: scores 0 everywhere, bias -ln 2 times 2, 1, 0: weights 1 : 2 : 4
    const Var zero(Matrix(3, 1)), v(Matrix{{7}, {0}, {14}});
    const KeepSteps keep;
    const Attended attended =
        attend(zero, zero, v, 1, {.may = causal(3, 3), .bias = Var(bloom::alibi_bias({std::log(2.f)}, 3, 3))});
    check_close("weights", slice_rows(attended.weights.value(), 2, 1), {{1 / 7.f, 2 / 7.f, 4 / 7.f}});
    CHECK(attended.context.value()(2, 0) == doctest::Approx(9));  // (7 + 0 + 56) / 7
}

// --- properties ---

// All sizes differ: V = 11, E = 12, 3 heads of 4.
static const bloom::Config tiny{.vocabulary = 11, .width = 12, .depth = 2, .heads = 3};

static bloom::Weights tiny_weights() {
    Random random(1);
    return bloom::make_weights(tiny, random, {.draw = Draw::normal, .stddev = 0.5f});
}

TEST_CASE("bloom: later tokens do not affect earlier positions") { check_causal(tiny_weights(), tiny); }

TEST_CASE("bloom: the order of earlier tokens matters, without position embeddings") {
    const bloom::Weights w = tiny_weights();
    const Matrix one = bloom::forward(make_batch({{1, 2, 3}}), w, tiny).logits.value();
    const Matrix other = bloom::forward(make_batch({{2, 1, 3}}), w, tiny).logits.value();
    CHECK(difference(slice_rows(one, 2, 1), slice_rows(other, 2, 1)) != "");
}

TEST_CASE("bloom: padding on either side changes no logit") {
    const bloom::Weights w = tiny_weights();
    const Matrix alone = bloom::forward(make_batch({{1, 2, 3}}), w, tiny).logits.value();
    const TokenBatch left = make_batch({{4, 5, 6, 7, 8}, {1, 2, 3}}, 0, Side::left);
    const TokenBatch right = make_batch({{4, 5, 6, 7, 8}, {1, 2, 3}});
    check_close("left", slice_rows(bloom::forward(left, w, tiny).logits.value(), 7, 3), alone);
    check_close("right", slice_rows(bloom::forward(right, w, tiny).logits.value(), 5, 3), alone);
}

TEST_CASE("bloom: read_on equals the full pass, also with left padding") { check_reading_on(tiny_weights(), tiny); }

TEST_CASE("bloom: generate and beam_search equal the full pass, with and without padding") {
    check_writing(tiny_weights(), tiny);
}

TEST_CASE("bloom: loads a file with the prefix transformer. and a second copy of the token embedding") {
    const bloom::Weights w = tiny_weights();
    const Parameters table = bloom::parameters(w, tiny);
    make_exact_in_half(table);
    const Matrix logits = bloom::forward(make_batch({{1, 2, 3}}), w, tiny).logits.value();
    for (const std::string prefix : {"", "transformer."})
        for (const bool has_copy : {false, true}) {
            std::vector<PublishedTensor> tensors = tensors_of(table, prefix);
            if (has_copy) tensors.push_back({"lm_head.weight", {11, 12}, w.token_embedding.value()});
            const TemporaryFolder folder;
            const Safetensors file(write_published(folder, tensors, {.precision = Precision::float16, .shards = 2},
                                                   R"({"model_type": "bloom", "n_head": 3, "n_embed": 12, "n_layer": 2,
                                                       "layer_norm_epsilon": 1e-05, "vocab_size": 11,
                                                       "apply_residual_connection_post_layernorm": false})"));
            const bloom::Config config = bloom::config_of(file);
            CHECK(config.vocabulary == 11);
            CHECK(config.width == 12);
            CHECK(config.depth == 2);
            CHECK(config.heads == 3);
            Random random(2);
            const bloom::Weights other = bloom::make_weights(config, random);
            load(bloom::parameters(other, config), file, bloom::load_rules());
            CHECK(identical(bloom::forward(make_batch({{1, 2, 3}}), other, config).logits.value(), logits));
        }
}

TEST_CASE("bloom: config_of reads back the metadata; without them the number of heads is unknown") {
    const TemporaryFolder folder;
    bloom::Config config = tiny;
    config.eps = 1e-3f;
    save(bloom::parameters(tiny_weights(), config), folder.path("bloom.safetensors"), bloom::metadata(config));
    const bloom::Config found = bloom::config_of(Safetensors(folder.path("bloom.safetensors")));
    CHECK(found.heads == 3);
    CHECK(found.eps == 1e-3f);
    save(bloom::parameters(tiny_weights(), config), folder.path("bloom.safetensors"));
    const Safetensors silent(folder.path("bloom.safetensors"));
    CHECK(error_of([&] { bloom::config_of(silent); }).starts_with(silent.path + ": missing setting: the number of heads"));
    CHECK(bloom::config_of(silent, {{"n_head", "3"}}).eps == 1e-5f);
    CHECK(error_of([&] {
              bloom::config_of(silent, {{"n_head", "3"}, {"apply_residual_connection_post_layernorm", "true"}});
          }) == "the given settings: apply_residual_connection_post_layernorm is \"true\"; only false is implemented here");
    CHECK(error_of([&] {
              bloom::config_of(silent, {{"n_head", "5"}});
          }) == silent.path + ": bloom: 5 heads do not divide a width of 12");
    CHECK(bloom::config_of(silent, {{"n_head", "3"}, {"tie_word_embeddings", "true"}}).heads == 3);
    CHECK(error_of([&] {
              bloom::config_of(silent, {{"n_head", "3"}, {"tie_word_embeddings", "false"}});
          }).starts_with("the given settings: tie_word_embeddings is false, but " + silent.path + " holds no output matrix"));
}

TEST_CASE("make_weights (bloom): weights that write into the residual stream are sqrt(2 L) times smaller") {
    for (const int depth : {1, 8}) {
        Random random(2);
        const bloom::Config config{.vocabulary = 200, .width = 64, .depth = depth, .heads = 2};
        const bloom::Weights w = bloom::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.4f});
        const auto deviation = [](const Var& m) {
            double squares = 0;
            for (const float x : m.value()) squares += static_cast<double>(x) * x;
            return std::sqrt(squares / static_cast<double>(m.value().size()));
        };
        const double smaller = 0.4 / std::sqrt(2.0 * depth);
        CHECK(deviation(w.token_embedding) / 0.4 == Approx(1).epsilon(0.03));
        CHECK(deviation(w.blocks[0].attention.query.weight) / 0.4 == Approx(1).epsilon(0.03));
        CHECK(deviation(w.blocks[0].attention.output.weight) / smaller == Approx(1).epsilon(0.03));
        CHECK(deviation(w.blocks[0].mlp.expand.weight) / 0.4 == Approx(1).epsilon(0.03));
        CHECK(deviation(w.blocks[0].mlp.contract.weight) / smaller == Approx(1).epsilon(0.03));
    }
}

TEST_CASE("bloom: rejects an inconsistent config or batch, and names the reason") {
    Random random;
    CHECK_THROWS_WITH(bloom::make_weights({.width = 12, .heads = 5}, random), "bloom: 5 heads do not divide a width of 12");
    CHECK_THROWS_WITH(bloom::make_weights({.vocabulary = 0}, random),
                      "bloom: 0 tokens, width 14336, depth 70: sizes must be positive");
    CHECK(without_place(error_of([&] {
              bloom::forward(make_batch({{1, 11}}), tiny_weights(), tiny);
          })) == "embed: id 11 is outside a table of 11 rows, counted from 0");
}

TEST_CASE(
    "bloom: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the heads") {
    Random random(1);
    const auto table = [&](const bloom::Config& config) {
        return bloom::parameters(bloom::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("bloom"))
        check_given_settings(config_of_fixture(Golden(path)), table, bloom::config_of, "the number of heads",
                             bloom::load_rules());
}

TEST_CASE("bloom: a depth that the weights do not have, an eps below 0 and a text that is all padding are refused") {
    Random random(1);
    const bloom::Config config{.vocabulary = 7, .width = 8, .depth = 1, .heads = 2};
    check_refusals("bloom", bloom::make_weights(config, random), config);
}

TEST_CASE("alibi_bias: more queries than keys, and no head, are refused") {
    const std::string rule = "; each head needs a slope, and the queries are the last of the keys";
    CHECK(error_of([] { bloom::alibi_bias({0.5f}, 4, 2); }) == "alibi_bias: 1 slopes, 4 queries and 2 keys" + rule);
    CHECK(error_of([] { bloom::alibi_bias({}, 2, 2); }) == "alibi_bias: 0 slopes, 2 queries and 2 keys" + rule);
}

TEST_CASE("make_weights, alibi_bias: every invalid size is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<bloom::Config, std::string>>{
             {{.vocabulary = 0}, "bloom: 0 tokens, width 14336, depth 70: sizes must be positive"},
             {{.width = 0}, "bloom: 250880 tokens, width 0, depth 70: sizes must be positive"},
             {{.depth = -1}, "bloom: 250880 tokens, width 14336, depth -1: sizes must be positive"},
             {{.heads = 0}, "bloom: 0 heads do not divide a width of 14336"},
         })
        CHECK_THROWS_WITH(bloom::make_weights(config, random), text.c_str());
    CHECK_NOTHROW(bloom::make_weights({.vocabulary = 1, .width = 1, .depth = 0, .heads = 1, .eps = 0}, random));
    const std::string rule = "; each head needs a slope, and the queries are the last of the keys";
    CHECK(error_of([] { bloom::alibi_bias({0.5f}, -1, 2); }) == "alibi_bias: 1 slopes, -1 queries and 2 keys" + rule);
    CHECK(error_of([] { bloom::alibi_bias({0.5f}, 3, 2); }) == "alibi_bias: 1 slopes, 3 queries and 2 keys" + rule);
    CHECK(error_of([] { bloom::alibi_bias({}, 1, 2); }) == "alibi_bias: 0 slopes, 1 queries and 2 keys" + rule);
    CHECK(bloom::alibi_bias({0.5f}, 0, 2).rows == 0);
    CHECK(bloom::alibi_bias({0.5f}, 2, 2)(1, 0) == -0.5f);
}

TEST_CASE("bloom::Config: the defaults") {
    const bloom::Config usual{};
    CHECK(usual.vocabulary == 250880);
    CHECK(usual.width == 14336);
    CHECK(usual.depth == 70);
    CHECK(usual.heads == 112);
    CHECK(usual.eps == 1e-5f);
}

TEST_CASE("alibi_bias: more rows than a matrix has, and a slope that is no number, are refused") {
    CHECK(error_of([] {
              bloom::alibi_bias({1, 0.5f}, 1073741824, 1073741824);
          }) == "alibi_bias: 2 heads of 1073741824 queries are more than the 2147483647 rows of a matrix");
    for (const float slope : {NAN, INFINITY})
        CHECK(error_of([&] { bloom::alibi_bias({1, slope}, 1, 2); }).ends_with(", it must be finite; alibi_slopes gives them"));
}

TEST_SUITE_END();
