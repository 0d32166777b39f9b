#include "gpt/families/biogpt.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/test.h"
#include "tests/nn/data/told_config.h"

TEST_SUITE_BEGIN("biogpt");

static biogpt::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.vocabulary = file.metadata_int("vocab_size"),
            .width = file.metadata_int("hidden_size"),
            .depth = file.metadata_int("num_hidden_layers"),
            .heads = file.metadata_int("num_attention_heads"),
            .mlp_width = file.metadata_int("intermediate_size"),
            .positions = file.metadata_int("max_position_embeddings"),
            .position_offset = file.metadata_int("position_offset"),
            .scale_embedding = golden.flag("scale_embedding"),
            .activation = activation_of_name(file.metadata_text("hidden_act")),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

// Published labels stand at the token itself; ours at the row that predicts it.
static std::vector<int> one_earlier(const std::vector<int>& labels, int length) {
    std::vector<int> moved(labels.size(), ignored_label);
    for (std::size_t i = 0; i + 1 < labels.size(); ++i)
        if (static_cast<int>(i) % length != length - 1) moved[i] = labels[i + 1];
    return moved;
}

TEST_CASE("biogpt: every step, the loss and every gradient equal the published implementation's, with padding on the left") {
    for (const std::string& path : golden_files("biogpt")) {
        Golden golden(path);
        golden.allow_of_row(
            "grad.biogpt.embed_tokens.weight", 1e-6f,
            "the token whose embedding is nearly 0: its norm multiplies gradients by about 1 / sqrt(eps) = 316, and "
            "PyTorch's float32 uses up to 1.05 of the tolerance there");
        const biogpt::Config config = config_of_fixture(golden);
        const TokenBatch batch{.sequences = dimensions_of(golden, "input.input_ids")[0],
                               .length = dimensions_of(golden, "input.input_ids")[1],
                               .ids = golden.integers("input.input_ids"),
                               .mask = numbers_of(golden, "input.attention_mask")};
        Random random;
        const biogpt::Weights w = biogpt::make_weights(config, random);
        const Parameters parameters = biogpt::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const biogpt::Steps steps = biogpt::forward(batch, w, config);
        const Var loss = biogpt::loss(steps, one_earlier(golden.integers("input.labels"), batch.length));

        // Rows of padding are 0 in the fixtures.
        golden.check("positions", padding_zeroed(steps.positions.value(), batch.mask));
        golden.check("embeddings", padding_zeroed(steps.embeddings.value(), batch.mask));
        check_stack(golden, steps.decoder, config.depth,
                    {{"layer.#.self_attn_layer_norm", Step::norm1},
                     {"layer.#.attention", Step::weights},
                     {"layer.#.self_attn", Step::attention_output},
                     {"layer.#", Step::output}},
                    {.sequences = batch.sequences, .heads = config.heads, .mask = batch.mask});
        golden.check("layer_norm", padding_zeroed(steps.hidden.value(), batch.mask));
        golden.check("logits", padding_zeroed(steps.logits.value(), batch.mask));
        golden.check_integers("greedy_next", argmax_of_rows(last_tokens(steps.logits.value(), batch.mask)));
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- properties ---

// All sizes differ: V = 11, E = 12, 3 heads of 4, F = 10, 9 positions.
static biogpt::Config tiny() { return {.vocabulary = 11, .width = 12, .depth = 2, .heads = 3, .mlp_width = 10, .positions = 9}; }

static biogpt::Weights tiny_weights(const biogpt::Config& config) {
    Random random(1);
    return biogpt::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.3f});
}

TEST_CASE("biogpt: the tokens that come later change nothing before them, padding on the left changes nothing at all") {
    const biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    const auto logits = [&](const TokenBatch& batch) { return biogpt::forward(batch, w, config).logits.value(); };
    const Matrix one = logits(make_batch({{1, 2, 3, 4, 5}}));
    const Matrix other = logits(make_batch({{1, 2, 3, 9, 9}}));
    CHECK(identical(slice_rows(one, 0, 3), slice_rows(other, 0, 3)));
    CHECK(!identical(slice_rows(one, 3, 1), slice_rows(other, 3, 1)));
    const TokenBatch both = make_batch({{4, 5, 6, 7, 8}, {1, 2, 3}}, 0, Side::left);
    check_close("padded", slice_rows(logits(both), 7, 3), slice_rows(one, 0, 3));
}

TEST_CASE("biogpt: read_on gives the numbers of the full pass, after padding on the left and beyond it") {
    const biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    const Matrix full = biogpt::forward(make_batch({{4, 5, 6, 7, 8, 9}, {1, 2, 3, 4}}, 0, Side::left), w, config).hidden.value();
    Memory memory = biogpt::make_memory(config, 2, 6);
    biogpt::read_on(make_batch({{4, 5, 6, 7}, {1, 2}}, 0, Side::left), w, config, memory);
    const Matrix next = biogpt::read_on(make_batch({{8, 9}, {3, 4}}), w, config, memory).hidden.value();
    check_close("first sequence", slice_rows(next, 0, 2), slice_rows(full, 4, 2));
    check_close("second sequence", slice_rows(next, 2, 2), slice_rows(full, 10, 2));
    CHECK_THROWS_WITH(biogpt::read_on(make_batch({{8}, {3}}), w, config, memory),
                      "biogpt: the memory holds 6 of 6 tokens, 1 more do not fit; make it with a larger capacity");
}

TEST_CASE("biogpt: writing goes through the common door: greedy after padding, beams, sampling") {
    const biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    const Limits limits{.new_tokens = 4};
    const std::vector<int> greedy = generate(make_batch({{1, 2, 3}}), w, config, limits)[0];
    CHECK(generate(make_batch({{4, 5, 6, 7, 8}, {1, 2, 3}}, 0, Side::left), w, config, limits)[1] == greedy);
    CHECK(beam_search({1, 2, 3}, 1, w, config, limits)[0].ids == greedy);
    std::vector<int> text{1, 2, 3};  // the same without a memory
    for (int i = 0; i < 4; ++i)
        text.push_back(argmax_of_rows(biogpt::forward(make_batch({text}), w, config).logits.value()).back());
    CHECK(std::vector<int>(text.begin() + 3, text.end()) == greedy);
    Random random(2);
    CHECK(generate(make_batch({{1, 2, 3}}), w, config, limits, {.top_k = 1}, uniform_matrix(random, 1, 4))[0] == greedy);
}

TEST_CASE("biogpt: the table of words collects the gradient of both of its uses") {
    const biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    const TokenBatch batch = make_batch({{4, 5, 6, 7}, {1, 2}}, 0, Side::left);
    const auto loss_of = [&](const std::vector<Var>& tables) {
        biogpt::Weights moved = w;
        moved.words = tables[0];
        moved.positions = tables[1];
        return biogpt::loss(biogpt::forward(batch, moved, config), batch);
    };
    check_gradient_by_differences(loss_of, {w.words.value(), w.positions.value()});
}

TEST_CASE("biogpt: words are scaled by sqrt(E), positions are not") {
    biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    const Matrix scaled = biogpt::forward(make_batch({{7}}), w, config).embeddings.value();
    const float by_hand = std::sqrt(12.0f) * w.words.value()(7, 5) + w.positions.value()(2, 5);
    CHECK(scaled(0, 5) == Approx(by_hand));
    config.scale_embedding = false;
    const Matrix plain = biogpt::forward(make_batch({{7}}), w, config).embeddings.value();
    CHECK(plain(0, 5) == Approx(w.words.value()(7, 5) + w.positions.value()(2, 5)));
}

TEST_CASE("biogpt: a prompt without labels teaches only through what follows it") {
    const biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    const TokenBatch batch = make_batch({{1, 2, 3, 4}});
    const biogpt::Steps steps = biogpt::forward(batch, w, config);
    const Matrix losses = token_losses(steps.logits, next_tokens(batch)).value();
    CHECK(biogpt::loss(steps, {-100, 3, 4, -100}).value()(0, 0) == Approx((losses(1, 0) + losses(2, 0)) / 2));
    CHECK(biogpt::loss(steps, batch).value()(0, 0) == Approx((losses(0, 0) + losses(1, 0) + losses(2, 0)) / 3));
}

TEST_CASE("biogpt: a config or batch that does not fit is refused, and says why") {
    Random random;
    const biogpt::Config config = tiny();
    biogpt::Config odd = config;
    odd.heads = 5;
    CHECK_THROWS_WITH(biogpt::make_weights(odd, random), "biogpt: 5 heads must divide a width of 12");
    odd = config;
    odd.vocabulary = 0;
    CHECK_THROWS_WITH(biogpt::make_weights(odd, random),
                      "biogpt: 0 tokens, width 12, depth 2, inner width 10, 9 positions: sizes must be positive");
    odd = config;
    odd.position_offset = 0;
    CHECK_THROWS_WITH(biogpt::make_weights(odd, random),
                      "biogpt: a position offset of 0: padding reads the row before that of the "
                      "first token, so there must be one");
    const biogpt::Weights w = tiny_weights(config);
    CHECK_THROWS_WITH(biogpt::forward(equal_batch(std::vector<int>(10, 1), 10), w, config),
                      "biogpt: a text of 10 tokens, but there are 9 positions; cut the text");
    CHECK(without_place(error_of([&] {
              biogpt::forward(make_batch({{1, 11}}), w, config);
          })) == "embed: id 11 is outside a table of 11 rows, counted from 0");
    odd = config;
    odd.depth = 3;
    CHECK_THROWS_WITH(biogpt::forward(equal_batch({1}, 1), w, odd),
                      "biogpt: the configuration says 3 blocks, the weights hold 2; pass the configuration that the weights were made with");
    Memory memory = biogpt::make_memory(config, 1, 20);
    biogpt::read_on(equal_batch(std::vector<int>(9, 1), 9), w, config, memory);
    CHECK_THROWS_WITH(biogpt::read_on(equal_batch({1}, 1), w, config, memory),
                      "biogpt: 9 tokens were read, 1 more exceed 9 positions; ask for fewer");
}

TEST_CASE(
    "biogpt: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the heads") {
    Random random(1);
    const auto table = [&](const biogpt::Config& config) {
        return biogpt::parameters(biogpt::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("biogpt"))
        check_told(config_of_fixture(Golden(path)), table, biogpt::config_of, "the number of heads", biogpt::load_rules());
}

TEST_SUITE_END();
