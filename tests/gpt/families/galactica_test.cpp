#include "gpt/families/galactica.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/test.h"
#include "tests/nn/data/told_config.h"

TEST_SUITE_BEGIN("galactica");

static galactica::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(golden.flag("do_layer_norm_before"));
    return {.vocabulary = file.metadata_int("vocab_size"),
            .width = file.metadata_int("hidden_size"),
            .depth = file.metadata_int("num_hidden_layers"),
            .heads = file.metadata_int("num_attention_heads"),
            .mlp_width = file.metadata_int("ffn_dim"),
            .positions = file.metadata_int("max_position_embeddings"),
            .position_offset = file.metadata_int("position_offset"),
            .biases = golden.flag("enable_bias"),
            .affine_norms = golden.flag("layer_norm_elementwise_affine"),
            .activation = activation_of_name(file.metadata_text("activation_function")),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

// Published labels stand at the token itself; ours at the row that predicts it.
static std::vector<int> one_earlier(const std::vector<int>& labels, int length) {
    std::vector<int> moved(labels.size(), ignored_label);
    for (std::size_t i = 0; i + 1 < labels.size(); ++i)
        if (static_cast<int>(i) % length != length - 1) moved[i] = labels[i + 1];
    return moved;
}

TEST_CASE("galactica: every step, the loss and every gradient equal the published implementation's, with padding on the left") {
    for (const std::string& path : golden_files("galactica")) {
        const Golden golden(path);
        const galactica::Config config = config_of_fixture(golden);
        const TokenBatch batch{.sequences = dimensions_of(golden, "input.input_ids")[0],
                               .length = dimensions_of(golden, "input.input_ids")[1],
                               .ids = golden.integers("input.input_ids"),
                               .mask = numbers_of(golden, "input.attention_mask")};
        Random random;
        const galactica::Weights w = galactica::make_weights(config, random);
        const Parameters parameters = galactica::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const galactica::Steps steps = galactica::forward(batch, w, config);
        const Var loss = galactica::loss(steps, one_earlier(golden.integers("input.labels"), batch.length));

        // Rows of padding are 0 in the fixtures.
        golden.check("positions", padding_zeroed(steps.positions.value(), batch.mask));
        golden.check("embeddings", padding_zeroed(steps.embeddings.value(), batch.mask));
        check_stack(golden, steps.decoder, config.depth,
                    {{"layer.#.self_attn_layer_norm", Step::norm1},
                     {"layer.#.attention", Step::weights},
                     {"layer.#.self_attn", Step::attention_output},
                     {"layer.#", Step::output}},
                    {.sequences = batch.sequences, .heads = config.heads, .mask = batch.mask});
        golden.check("final_layer_norm", padding_zeroed(steps.hidden.value(), batch.mask));
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
static galactica::Config tiny() {
    return {.vocabulary = 11, .width = 12, .depth = 2, .heads = 3, .mlp_width = 10, .positions = 9};
}

static galactica::Weights tiny_weights(const galactica::Config& config) {
    Random random(1);
    return galactica::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.5f});
}

TEST_CASE("galactica: the tokens that come later change nothing before them, padding on the left changes nothing at all") {
    const galactica::Config config = tiny();
    const galactica::Weights w = tiny_weights(config);
    const auto logits = [&](const TokenBatch& batch) { return galactica::forward(batch, w, config).logits.value(); };
    const Matrix one = logits(make_batch({{1, 2, 3, 4, 5}}));
    const Matrix other = logits(make_batch({{1, 2, 3, 9, 9}}));
    CHECK(identical(slice_rows(one, 0, 3), slice_rows(other, 0, 3)));
    CHECK(!identical(slice_rows(one, 3, 1), slice_rows(other, 3, 1)));
    const TokenBatch both = make_batch({{4, 5, 6, 7, 8}, {1, 2, 3}}, 0, Side::left);
    check_close("padded", slice_rows(logits(both), 7, 3), slice_rows(one, 0, 3));
}

TEST_CASE("galactica: read_on gives the numbers of the full pass, after padding on the left and beyond it") {
    const galactica::Config config = tiny();
    const galactica::Weights w = tiny_weights(config);
    const Matrix full =
        galactica::forward(make_batch({{4, 5, 6, 7, 8, 9}, {1, 2, 3, 4}}, 0, Side::left), w, config).hidden.value();
    Memory memory = galactica::make_memory(config, 2, 6);
    galactica::read_on(make_batch({{4, 5, 6, 7}, {1, 2}}, 0, Side::left), w, config, memory);
    const Matrix next = galactica::read_on(make_batch({{8, 9}, {3, 4}}), w, config, memory).hidden.value();
    check_close("first sequence", slice_rows(next, 0, 2), slice_rows(full, 4, 2));
    check_close("second sequence", slice_rows(next, 2, 2), slice_rows(full, 10, 2));
    CHECK_THROWS_WITH(galactica::read_on(make_batch({{8}, {3}}), w, config, memory),
                      "galactica: the memory holds 6 of 6 tokens, 1 more do not fit; make it with a larger capacity");
}

TEST_CASE("galactica: writing goes through the common door: greedy after padding, beams, sampling") {
    const galactica::Config config = tiny();
    const galactica::Weights w = tiny_weights(config);
    const Limits limits{.new_tokens = 4};
    const std::vector<int> greedy = generate(make_batch({{1, 2, 3}}), w, config, limits)[0];
    CHECK(generate(make_batch({{4, 5, 6, 7, 8}, {1, 2, 3}}, 0, Side::left), w, config, limits)[1] == greedy);
    CHECK(beam_search({1, 2, 3}, 1, w, config, limits)[0].ids == greedy);
    std::vector<int> text{1, 2, 3};  // the same without a memory
    for (int i = 0; i < 4; ++i)
        text.push_back(argmax_of_rows(galactica::forward(make_batch({text}), w, config).logits.value()).back());
    CHECK(std::vector<int>(text.begin() + 3, text.end()) == greedy);
    Random random(2);
    CHECK(generate(make_batch({{1, 2, 3}}), w, config, limits, {.top_k = 1}, uniform_matrix(random, 1, 4))[0] == greedy);
}

TEST_CASE("galactica: the table of words collects the gradient of both of its uses") {
    const galactica::Config config = tiny();
    const galactica::Weights w = tiny_weights(config);
    const TokenBatch batch = make_batch({{4, 5, 6, 7}, {1, 2}}, 0, Side::left);
    const auto loss_of = [&](const std::vector<Var>& tables) {
        galactica::Weights moved = w;
        moved.words = tables[0];
        moved.positions = tables[1];
        return galactica::loss(galactica::forward(batch, moved, config), batch);
    };
    check_gradient_by_differences(loss_of, {w.words.value(), w.positions.value()});
}

// --- tokenisation ---

// The pieces as one line: tokens in braces.
static std::string shown(std::string_view text) {
    std::string line;
    for (const galactica::Piece& piece : galactica::pieces(text)) line += piece.is_token ? "{" + piece.text + "}" : piece.text;
    return line;
}

TEST_CASE("pieces: the table of section 3.1, row by row") {
    CHECK(shown("see [START_REF] Attention is all you need, Vaswani [END_REF]!") ==
          "see {[START_REF]} Attention is all you need, Vaswani {[END_REF]}!");
    CHECK(shown("[START_SMILES]C(=O)O[END_SMILES]") == "{[START_SMILES]}{C}{(}{=}{O}{)}{O}{[END_SMILES]}");
    CHECK(shown("[START_I_SMILES]C[C@H]1[END_I_SMILES]") == "{[START_I_SMILES]}{C}{[}{C}{@}{H}{]}{1}{[END_I_SMILES]}");
    CHECK(shown("[START_AMINO]MIR[END_AMINO]") == "{[START_AMINO]}{M}{I}{R}{[END_AMINO]}");
    CHECK(shown("[START_DNA]CGGT[END_DNA] is DNA") == "{[START_DNA]}{C}{G}{G}{T}{[END_DNA]} is DNA");
    CHECK(shown("737612.62") == "{7}{3}{7}{6}{1}{2}{.}{6}{2}");
    CHECK(shown("a + b^2 >= (c - d)*e/f") == "a {+} b{^}{2} {>}{=} {(}c {-} d{)}{*}e{/}f");
    CHECK(shown("<work> 2 + 3 = 5 </work>") == "{<work>} {2} {+} {3} {=} {5} {</work>}");
}

TEST_CASE(
    "pieces: a point is a token between digits only, other special tokens inside a sequence are its letters, no end is an end") {
    CHECK(shown("It is 3. Or .5") == "It is {3}. Or .{5}");
    CHECK(shown("[START_DNA]C<work>") == "{[START_DNA]}{C}{<}{w}{o}{r}{k}{>}");
    CHECK(shown("[START_AMINO]M\xc3\xa9") == "{[START_AMINO]}{M}{\xc3\xa9}");  // two bytes are one character
    CHECK(shown("[START_ELSE]x") == "[START_ELSE]x");
    CHECK(shown("").empty());
    for (const std::string_view text : {"H 73.6", "a<b>c</work>[START_DNA]A[END_DNA]1", "[END_DNA]1.2.3"}) {
        std::string joined;
        for (const galactica::Piece& piece : galactica::pieces(text)) joined += piece.text;
        CHECK(joined == text);
    }
}

TEST_CASE("parameters: without biases and gains the file holds neither, with them it holds both") {
    galactica::Config config = tiny();
    CHECK(galactica::parameters(tiny_weights(config), config).size() == 2 + 2 * 6);
    config.biases = config.affine_norms = true;
    CHECK(galactica::parameters(tiny_weights(config), config).size() == 2 + 2 * 16 + 2);
    config.affine_norms = false;
    CHECK(galactica::parameters(tiny_weights(config), config).size() == 2 + 2 * 12);
}

TEST_CASE("galactica: a config or batch that does not fit is refused, and says why") {
    Random random;
    const galactica::Config config = tiny();
    galactica::Config odd = config;
    odd.heads = 5;
    CHECK_THROWS_WITH(galactica::make_weights(odd, random), "galactica: 5 heads must divide a width of 12");
    odd = config;
    odd.vocabulary = 0;
    CHECK_THROWS_WITH(galactica::make_weights(odd, random),
                      "galactica: 0 tokens, width 12, depth 2, inner width 10, 9 positions: sizes must be positive");
    odd = config;
    odd.position_offset = 0;
    CHECK_THROWS_WITH(galactica::make_weights(odd, random),
                      "galactica: a position offset of 0: padding reads the row before that of the "
                      "first token, so there must be one");
    const galactica::Weights w = tiny_weights(config);
    CHECK_THROWS_WITH(galactica::forward(equal_batch(std::vector<int>(10, 1), 10), w, config),
                      "galactica: a text of 10 tokens, but there are 9 positions; cut the text");
    CHECK(without_place(error_of([&] {
              galactica::forward(make_batch({{1, 11}}), w, config);
          })) == "embed: id 11 is outside a table of 11 rows, counted from 0");
    odd = config;
    odd.depth = 3;
    CHECK_THROWS_WITH(galactica::forward(equal_batch({1}, 1), w, odd),
                      "galactica: the configuration says 3 blocks, the weights hold 2; pass the configuration that the weights were made with");
    Memory memory = galactica::make_memory(config, 1, 20);
    galactica::read_on(equal_batch(std::vector<int>(9, 1), 9), w, config, memory);
    CHECK_THROWS_WITH(galactica::read_on(equal_batch({1}, 1), w, config, memory),
                      "galactica: 9 tokens were read, 1 more exceed 9 positions; ask for fewer");
}

TEST_CASE(
    "galactica: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the "
    "heads") {
    Random random(1);
    const auto table = [&](const galactica::Config& config) {
        return galactica::parameters(galactica::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("galactica"))
        check_told(config_of_fixture(Golden(path)), table, galactica::config_of, "the number of heads", galactica::load_rules());
}

TEST_SUITE_END();
