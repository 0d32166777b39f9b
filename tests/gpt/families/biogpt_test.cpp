#include "gpt/families/biogpt.h"

#include <algorithm>
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

TEST_CASE("biogpt: every step, the loss and every gradient equal the published implementation's, with padding on the left") {
    for (const std::string& path : golden_files("biogpt")) {
        Golden golden(path);
        golden.allow_of_row(
            "grad.biogpt.embed_tokens.weight", 1e-6f,
            "the token whose embedding is nearly 0: its norm multiplies gradients by about 1 / sqrt(eps) = 316, and "
            "PyTorch's float32 uses up to 1.05 of the tolerance there");
        const biogpt::Config config = config_of_fixture(golden);
        Random random;
        check_opt_fixture(golden, biogpt::make_weights(config, random), config, "layer_norm");
    }
}

// --- properties ---

// All sizes differ: V = 11, E = 12, 3 heads of 4, F = 10, 9 positions.
static biogpt::Config tiny() { return {.vocabulary = 11, .width = 12, .depth = 2, .heads = 3, .mlp_width = 10, .positions = 9}; }

static biogpt::Weights tiny_weights(const biogpt::Config& config) {
    Random random(1);
    return biogpt::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.3f});
}

TEST_CASE("biogpt: later tokens do not affect earlier positions, and left padding affects none") {
    check_causal(tiny_weights(tiny()), tiny());
    check_left_padding(tiny_weights(tiny()), tiny());
}

TEST_CASE("biogpt: read_on equals the full pass, with and without left padding") {
    check_reading_on(tiny_weights(tiny()), tiny());
}

TEST_CASE("biogpt: generate and beam_search: greedy with left padding, beams, sampling") {
    check_writing(tiny_weights(tiny()), tiny());
}

TEST_CASE("biogpt: token embeddings are scaled by sqrt(E), position embeddings are not") {
    biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    const Matrix scaled = biogpt::forward(make_batch({{7}}), w, config).embeddings.value();
    const float by_hand = std::sqrt(12.0f) * w.token_embedding.value()(7, 5) + w.positions.value()(2, 5);
    CHECK(scaled(0, 5) == Approx(by_hand));
    config.scale_embedding = false;
    const Matrix plain = biogpt::forward(make_batch({{7}}), w, config).embeddings.value();
    CHECK(plain(0, 5) == Approx(w.token_embedding.value()(7, 5) + w.positions.value()(2, 5)));
}

TEST_CASE("biogpt: a prompt without labels receives gradients only from the tokens after it") {
    const biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    const TokenBatch batch = make_batch({{1, 2, 3, 4}});
    const biogpt::Steps steps = biogpt::forward(batch, w, config);
    const Matrix losses = token_losses(steps.logits, next_tokens(batch)).value();
    CHECK(biogpt::loss(steps, {-100, 3, 4, -100}).value()(0, 0) == Approx((losses(1, 0) + losses(2, 0)) / 2));
    CHECK(biogpt::loss(steps, batch).value()(0, 0) == Approx((losses(0, 0) + losses(1, 0) + losses(2, 0)) / 3));
}

TEST_CASE(
    "biogpt: loads a float16 file in two shards, with a stored output matrix, without biogpt.; its eps of 1e-12 is unused") {
    const biogpt::Weights w = tiny_weights(tiny());
    const Parameters table = biogpt::parameters(w, tiny());
    make_exact_in_half(table);
    const Matrix logits = biogpt::forward(make_batch({{1, 2, 3}}), w, tiny()).logits.value();
    for (const bool bare : {false, true}) {
        std::vector<PublishedTensor> tensors = tensors_of(table);
        if (bare)
            for (PublishedTensor& tensor : tensors) tensor.name = tensor.name.substr(7);  // without "biogpt."
        else
            tensors.push_back({"output_projection.weight", {11, 12}, w.token_embedding.value()});
        const TemporaryFolder folder;
        const Safetensors file(write_published(folder, tensors, {.precision = Precision::float16, .shards = 2},
                                               R"({"model_type": "biogpt", "num_attention_heads": 3, "hidden_size": 12,
                                                   "num_hidden_layers": 2, "hidden_act": "gelu", "scale_embedding": true,
                                                   "layer_norm_eps": 1e-12, "max_position_embeddings": 9})"));
        const biogpt::Config config = biogpt::config_of(file);
        CHECK(config.eps == 1e-5f);
        CHECK(config.positions == 9);
        CHECK(config.scale_embedding);
        Random random(2);
        const biogpt::Weights other = biogpt::make_weights(config, random);
        load(biogpt::parameters(other, config), file, biogpt::load_rules());
        CHECK(identical(biogpt::forward(make_batch({{1, 2, 3}}), other, config).logits.value(), logits));
    }
    biogpt::Config plain = tiny();
    plain.scale_embedding = false;
    const TemporaryFolder folder;
    save(table, folder.path("saved.safetensors"), biogpt::metadata(plain));
    CHECK(!biogpt::config_of(Safetensors(folder.path("saved.safetensors"))).scale_embedding);
    save(table, folder.path("silent.safetensors"));
    const biogpt::Config usual =
        biogpt::config_of(Safetensors(folder.path("silent.safetensors")), {{"num_attention_heads", "3"}});
    CHECK(usual.scale_embedding);
    CHECK(usual.activation == Activation::gelu);
    const auto refusal = [&](const std::string& key, const std::string& value) {
        return error_of([&] {
            biogpt::config_of(Safetensors(folder.path("silent.safetensors")), {{"num_attention_heads", "3"}, {key, value}});
        });
    };
    CHECK(refusal("scale_embedding", "1").find("must be true or false") != std::string::npos);
    CHECK(refusal("tie_word_embeddings", "true") == "");
    CHECK(refusal("tie_word_embeddings", "false").starts_with("the given settings: tie_word_embeddings is false, but "));
}

// --- fine-tuning ---

TEST_CASE("make_examples: only answers have labels, the first of them at the last token of the prompt") {
    const biogpt::Examples examples = biogpt::make_examples({{5, 6}, {7}}, {{1, 2}, {3, 2}});
    CHECK(examples.batch.ids == std::vector<int>{5, 6, 1, 2, 0, 7, 3, 2});
    CHECK(examples.labels == std::vector<int>{-100, 1, 2, -100, -100, 3, 2, -100});
    CHECK_THROWS_WITH(biogpt::make_examples({{5}}, {}), "biogpt: 1 prompts, but 0 answers");
}

TEST_CASE("add_virtual_tokens: enlarges the token embedding, shares all other weights, and keeps the logits of other tokens") {
    biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    const Matrix before = biogpt::forward(make_batch({{1, 2}}), w, config).logits.value();
    Random random(3);
    const biogpt::Weights larger = biogpt::add_virtual_tokens(w, config, 2, random);
    CHECK(config.vocabulary == 13);
    CHECK(shape(larger.token_embedding.value()) == "(13, 12)");
    CHECK(&larger.positions.value() == &w.positions.value());
    const Matrix after = biogpt::forward(make_batch({{1, 2}}), larger, config).logits.value();
    CHECK(identical(slice_cols(after, 0, 11), before));
    CHECK(biogpt::with_soft_prompt({5, 6}, 2, config) == std::vector<int>{5, 6, 11, 12});
    CHECK_THROWS_WITH(biogpt::add_virtual_tokens(w, config, 0, random), "biogpt: 0 virtual tokens, at least one is needed");
    biogpt::add_virtual_tokens(w, config, 1, random);
    CHECK(config.vocabulary == 14);
}

TEST_CASE("biogpt: error messages name biogpt") {
    Random random;
    biogpt::Config odd = tiny();
    odd.heads = 5;
    CHECK_THROWS_WITH(biogpt::make_weights(odd, random), "biogpt: 5 heads must divide a width of 12");
    odd = tiny();
    odd.vocabulary = 0;
    CHECK_THROWS_WITH(biogpt::make_weights(odd, random),
                      "biogpt: 0 tokens, width 12, depth 2, inner width 10, 9 positions: sizes must be positive");
    odd = tiny();
    odd.position_offset = 0;
    CHECK_THROWS_WITH(biogpt::make_weights(odd, random),
                      "biogpt: a position offset of 0: padding reads the row before that of the "
                      "first token, so there must be one");
    const biogpt::Config config = tiny();
    const biogpt::Weights w = tiny_weights(config);
    CHECK_THROWS_WITH(biogpt::forward(equal_batch(std::vector<int>(10, 1), 10), w, config),
                      "biogpt: a text of 10 tokens, but there are 9 positions; cut the text");
    CHECK(without_place(error_of([&] {
              biogpt::forward(make_batch({{1, 11}}), w, config);
          })) == "embed: id 11 is outside a table of 11 rows, counted from 0");
    odd = config;
    odd.depth = 3;
    CHECK_THROWS_WITH(biogpt::forward(equal_batch({1}, 1), w, odd),
                      "biogpt: the configuration says 3 blocks, the weights hold 2; pass the configuration that the weights were "
                      "made with");
    Memory memory = biogpt::make_memory(config, 1, 20);
    biogpt::read_on(equal_batch(std::vector<int>(9, 1), 9), w, config, memory);
    CHECK_THROWS_WITH(biogpt::read_on(equal_batch({1}, 1), w, config, memory),
                      "biogpt: 9 tokens were read, 1 more exceed 9 positions; ask for fewer");
}

TEST_CASE("biogpt: config_of restores what metadata wrote, for the sizes of every fixture; else it asks for the heads") {
    Random random(1);
    const auto table = [&](const biogpt::Config& config) {
        return biogpt::parameters(biogpt::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("biogpt"))
        check_given_settings(config_of_fixture(Golden(path)), table, biogpt::config_of, "the number of heads",
                             biogpt::load_rules());
}

TEST_CASE("biogpt::config_of: a file without biases, or without the gains of its norms, is not a BioGPT") {
    const biogpt::Config config = tiny();
    const TemporaryFolder folder;
    const auto refusal_without = [&](const std::string& ending) {
        std::vector<PublishedTensor> tensors = tensors_of(biogpt::parameters(tiny_weights(config), config));
        std::erase_if(tensors, [&](const PublishedTensor& tensor) { return tensor.name.ends_with(ending); });
        const Safetensors file(write_published(folder, tensors, {}, R"({"num_attention_heads": 3})"));
        const std::string error = error_of([&] { biogpt::config_of(file); });
        return error.substr(std::min(error.size(), file.path.size()));
    };
    CHECK(refusal_without("no such tensor").empty());
    CHECK(refusal_without(".fc1.bias") == ": a BioGPT has biases and norms with gains, this file does not");
    CHECK(refusal_without(".final_layer_norm.weight") == ": a BioGPT has biases and norms with gains, this file does not");
}

TEST_CASE("with_soft_prompt: more virtual tokens than the vocabulary holds, and fewer than 0, are refused") {
    const biogpt::Config config{.vocabulary = 9};
    CHECK_THROWS_WITH(biogpt::with_soft_prompt({1}, 10, config),
                      "with_soft_prompt: 10 virtual tokens, the vocabulary with them has 9; call add_virtual_tokens first");
    CHECK_THROWS_WITH(biogpt::with_soft_prompt({1}, -1, config),
                      "with_soft_prompt: -1 virtual tokens, the vocabulary with them has 9; call add_virtual_tokens first");
    CHECK(biogpt::with_soft_prompt({1}, 0, config) == std::vector<int>{1});
    CHECK(biogpt::with_soft_prompt({}, 9, config) == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("biogpt::Config: the defaults") {
    const biogpt::Config usual{};
    CHECK(usual.vocabulary == 42384);
    CHECK(usual.width == 1024);
    CHECK(usual.depth == 24);
    CHECK(usual.heads == 16);
    CHECK(usual.mlp_width == 4096);
    CHECK(usual.positions == 1024);
    CHECK(usual.position_offset == 2);
    CHECK(usual.scale_embedding);
    CHECK(usual.activation == Activation::gelu);
    CHECK(usual.eps == 1e-5f);
}

TEST_CASE("make_examples: an empty prompt or answer, which leaves nothing to predict, is refused") {
    const std::string rule = " tokens; without both there is nothing to predict, leave it out";
    CHECK(error_of([] {
              biogpt::make_examples({{5}, {}}, {{1}, {2}});
          }) == "biogpt: example 1 has a prompt of 0 and an answer of 1" + rule);
    CHECK(error_of([] {
              biogpt::make_examples({{5, 6}}, {{}});
          }) == "biogpt: example 0 has a prompt of 2 and an answer of 0" + rule);
}

TEST_SUITE_END();
