#include "gpt/families/galactica.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/gpt/decoder_checks.h"
#include "tests/gpt/opt_fixture.h"
#include "tests/gpt/published_file.h"
#include "tests/nn/data/given_settings.h"
#include "tests/test.h"

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

TEST_CASE("galactica: every step, the loss and every gradient equal the published implementation's, with padding on the left") {
    for (const std::string& path : golden_files("galactica")) {
        const Golden golden(path);
        const galactica::Config config = config_of_fixture(golden);
        Random random;
        check_opt_fixture(golden, galactica::make_weights(config, random), config, "final_layer_norm");
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

TEST_CASE("galactica: later tokens do not affect earlier positions, and left padding affects none") {
    check_causal(tiny_weights(tiny()), tiny());
    check_left_padding(tiny_weights(tiny()), tiny());
}

TEST_CASE("galactica: read_on equals the full pass, with and without left padding") {
    check_reading_on(tiny_weights(tiny()), tiny());
}

TEST_CASE("galactica: generate and beam_search: greedy with left padding, beams, sampling") {
    check_writing(tiny_weights(tiny()), tiny());
}

// --- tokenisation ---

// The pieces as one line: tokens in braces.
static std::string shown(std::string_view text) {
    std::string line;
    for (const galactica::Piece& piece : galactica::pieces(text)) line += piece.is_token ? "{" + piece.text + "}" : piece.text;
    return line;
}

TEST_CASE("pieces: the examples of section 3.1, row by row") {
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
    "pieces: a point is a token only between digits; other special tokens inside a sequence are split; an open one ends with the text") {
    CHECK(shown("It is 3. Or .5") == "It is {3}. Or .{5}");
    CHECK(shown("1.9") == "{1}{.}{9}");  // the last character of the text
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

TEST_CASE("parameters: biases and gains are saved only if the config has them") {
    galactica::Config config = tiny();
    CHECK(galactica::parameters(tiny_weights(config), config).size() == 2 + 2 * 6);
    config.biases = config.affine_norms = true;
    CHECK(galactica::parameters(tiny_weights(config), config).size() == 2 + 2 * 16 + 2);
    config.affine_norms = false;
    CHECK(galactica::parameters(tiny_weights(config), config).size() == 2 + 2 * 12);
}

TEST_CASE("galactica: loads files with and without biases and gains, bfloat16 in two shards, with a stored output matrix") {
    for (const bool biases : {false, true})
        for (const bool gains : {false, true}) {
            galactica::Config config = tiny();
            config.biases = biases;
            config.affine_norms = gains;
            const galactica::Weights w = tiny_weights(config);
            const Parameters table = galactica::parameters(w, config);
            make_exact_in_half(table);
            const Matrix logits = galactica::forward(make_batch({{1, 2, 3}}), w, config).logits.value();
            std::vector<PublishedTensor> tensors = tensors_of(table);
            if (biases)
                tensors.push_back({"lm_head.weight", {11, 12}, w.token_embedding.value()});
            else
                for (PublishedTensor& tensor : tensors) tensor.name = tensor.name.substr(6);  // without "model."
            const TemporaryFolder folder;
            const Safetensors file(write_published(folder, tensors, {.precision = Precision::bfloat16, .shards = 2},
                                                   R"({"model_type": "opt", "num_attention_heads": 3, "hidden_size": 12,
                                                       "num_hidden_layers": 2, "activation_function": "gelu",
                                                       "word_embed_proj_dim": 12, "do_layer_norm_before": true})"));
            const galactica::Config found = galactica::config_of(file);
            CHECK(found.biases == biases);
            CHECK(found.affine_norms == gains);
            CHECK(found.positions == 9);
            Random random(2);
            const galactica::Weights other = galactica::make_weights(found, random);
            load(galactica::parameters(other, found), file, galactica::load_rules());
            CHECK(identical(galactica::forward(make_batch({{1, 2, 3}}), other, found).logits.value(), logits));
        }
    const TemporaryFolder folder;
    save(galactica::parameters(tiny_weights(tiny()), tiny()), folder.path("saved.safetensors"), galactica::metadata(tiny()));
    CHECK(galactica::config_of(Safetensors(folder.path("saved.safetensors"))).heads == 3);
    save(galactica::parameters(tiny_weights(tiny()), tiny()), folder.path("saved.safetensors"));
    const Safetensors silent(folder.path("saved.safetensors"));
    CHECK(error_of([&] {
              galactica::config_of(silent, {{"n_head", "3"}});
          }).starts_with(silent.path + ": missing setting: the activation function"));
    CHECK(error_of([&] {
              galactica::config_of(silent, {{"n_head", "3"}, {"do_layer_norm_before", "false"}});
          }) == "the given settings: do_layer_norm_before is \"false\"; only true is implemented here");
    const auto refusal = [&](const std::string& key, const std::string& value) {
        return error_of([&] { galactica::config_of(silent, {{"n_head", "3"}, {"activation_function", "gelu"}, {key, value}}); });
    };
    const std::string given = "the given settings: ", tensors = ", but the tensors of " + silent.path + " say ";
    CHECK(refusal("enable_bias", tiny().biases ? "true" : "false") == "");
    CHECK(refusal("enable_bias", tiny().biases ? "false" : "true").find(tensors) != std::string::npos);
    CHECK(refusal("layer_norm_elementwise_affine", tiny().affine_norms ? "true" : "false") == "");
    CHECK(refusal("layer_norm_elementwise_affine", tiny().affine_norms ? "false" : "true").find(tensors) != std::string::npos);
    CHECK(refusal("word_embed_proj_dim", "6").starts_with(given + "word_embed_proj_dim is 6" + tensors + "12 for"));
    CHECK(refusal("_remove_final_layer_norm", "false") == "");
    CHECK(refusal("_remove_final_layer_norm", "true").starts_with(given + "_remove_final_layer_norm is \"true\"; only false"));
    CHECK(refusal("tie_word_embeddings", "false").starts_with(given + "tie_word_embeddings is false, but " + silent.path));
    CHECK(error_of([&] {
              galactica::config_of(silent, {{"n_head", "5"}, {"activation_function", "gelu"}});
          }) == silent.path + ": galactica: 5 heads must divide a width of 12");
}

TEST_CASE("galactica: error messages name galactica") {
    Random random;
    galactica::Config odd = tiny();
    odd.heads = 5;
    CHECK_THROWS_WITH(galactica::make_weights(odd, random), "galactica: 5 heads must divide a width of 12");
    odd = tiny();
    odd.vocabulary = 0;
    CHECK_THROWS_WITH(galactica::make_weights(odd, random),
                      "galactica: 0 tokens, width 12, depth 2, inner width 10, 9 positions: sizes must be positive");
    odd = tiny();
    odd.position_offset = 0;
    CHECK_THROWS_WITH(galactica::make_weights(odd, random),
                      "galactica: a position offset of 0: padding reads the row before that of the "
                      "first token, so there must be one");
    const galactica::Config config = tiny();
    const galactica::Weights w = tiny_weights(config);
    CHECK_THROWS_WITH(galactica::forward(equal_batch(std::vector<int>(10, 1), 10), w, config),
                      "galactica: a text of 10 tokens, but there are 9 positions; cut the text");
    CHECK(without_place(error_of([&] {
              galactica::forward(make_batch({{1, 11}}), w, config);
          })) == "embed: id 11 is outside a table of 11 rows, counted from 0");
    odd = config;
    odd.depth = 3;
    CHECK_THROWS_WITH(galactica::forward(equal_batch({1}, 1), w, odd),
                      "galactica: the configuration says 3 blocks, the weights hold 2; pass the configuration that the weights "
                      "were made with");
    Memory memory = galactica::make_memory(config, 1, 20);
    galactica::read_on(equal_batch(std::vector<int>(9, 1), 9), w, config, memory);
    CHECK_THROWS_WITH(galactica::read_on(equal_batch({1}, 1), w, config, memory),
                      "galactica: 9 tokens were read, 1 more exceed 9 positions; ask for fewer");
}

TEST_CASE("galactica: config_of restores what metadata wrote, for the sizes of every fixture; else it asks for the heads") {
    Random random(1);
    const auto table = [&](const galactica::Config& config) {
        return galactica::parameters(galactica::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("galactica"))
        check_given_settings(config_of_fixture(Golden(path)), table, galactica::config_of, "the number of heads",
                             galactica::load_rules());
}

TEST_CASE("galactica::Config: the defaults") {
    const galactica::Config usual{};
    CHECK(usual.vocabulary == 50000);
    CHECK(usual.width == 4096);
    CHECK(usual.depth == 32);
    CHECK(usual.heads == 32);
    CHECK(usual.mlp_width == 16384);
    CHECK(usual.positions == 2048);
    CHECK(usual.position_offset == 2);
    CHECK(!usual.biases);
    CHECK(!usual.affine_norms);
    CHECK(usual.activation == Activation::gelu);
    CHECK(usual.eps == 1e-5f);
}

TEST_SUITE_END();
