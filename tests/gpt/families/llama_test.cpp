#include "gpt/families/llama.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/gpt/decoder_checks.h"
#include "tests/gpt/published_file.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("llama");

static llama::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(file.metadata_text("hidden_act") == "silu");
    return {.vocabulary = file.metadata_int("vocab_size"),
            .width = file.metadata_int("hidden_size"),
            .depth = file.metadata_int("num_hidden_layers"),
            .heads = file.metadata_int("num_attention_heads"),
            .key_value_heads = file.metadata_int("num_key_value_heads"),
            .mlp_width = file.metadata_int("intermediate_size"),
            .eps = static_cast<float>(file.metadata_double("rms_norm_eps")),
            .rotary_base = static_cast<float>(file.metadata_double("rope_theta"))};
}

static Parameter parameter_named(const Parameters& table, const std::string& name) {
    for (const Parameter& parameter : table)
        if (parameter.name == name) return parameter;
    FAIL("there is no parameter " << name);
    return {};
}

TEST_CASE(
    "llama: every step, the loss, every gradient, Meta's layout and the continuation equal the published implementation's") {
    for (const std::string& path : golden_files("llama")) {
        const Golden golden(path);
        const llama::Config config = config_of_fixture(golden);
        const TokenBatch batch = make_batch(sequences_of(golden, "input.input_ids"));
        Random random;
        const llama::Weights w = llama::make_weights(config, random);
        const Parameters parameters = llama::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const llama::Steps steps = llama::forward(batch, w, config);
        const Var loss = llama::loss(steps, batch);

        golden.check("embeddings", steps.embeddings.value());
        check_stack(golden, steps.decoder, config.depth,
                    {{"layer.#.input_layernorm", Step::norm1},
                     {"layer.#.q_rope", Step::rotated_query, Heads::stacked},
                     {"layer.#.k_rope", Step::rotated_key, Heads::stacked},
                     {"layer.#.attention", Step::weights},
                     {"layer.#.self_attn", Step::attention_output},
                     {"layer.#.silu_gate", Step::gate},
                     {"layer.#.mlp", Step::mlp_output},
                     {"layer.#", Step::output}},
                    {.sequences = batch.sequences, .heads = config.heads});
        golden.check("norm", steps.hidden.value());
        golden.check("logits", steps.logits.value());
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);

        const Parameters meta = llama::meta_parameters(w, config);
        for (const std::string name : {"layers.0.attention.wq.weight", "layers.0.attention.wk.weight"})
            golden.check("meta." + name, published_value(parameter_named(meta, name)));

        const Limits limits{.new_tokens = golden.file.metadata_int("greedy_steps")};
        golden.check_integers("greedy",
                              joined_continuations(sequences_of(golden, "input.input_ids"), generate(batch, w, config, limits)));
        golden.check_all_used();
    }
}

// --- properties ---

// All sizes differ: V = 11, E = 12, 6 heads of 2 on 3 of keys, F = 10.
static const llama::Config tiny{.vocabulary = 11, .width = 12, .depth = 2, .heads = 6, .key_value_heads = 3, .mlp_width = 10};

static llama::Weights tiny_weights() {
    Random random(1);
    return llama::make_weights(tiny, random, {.draw = Draw::normal, .stddev = 0.5f});
}

TEST_CASE("llama: later tokens do not affect earlier positions") { check_causal(tiny_weights(), tiny); }

TEST_CASE("llama: left padding changes no logit, and no generated token") { check_left_padding(tiny_weights(), tiny); }

TEST_CASE("llama: read_on equals the full pass, also with left padding") { check_reading_on(tiny_weights(), tiny); }

TEST_CASE("llama: logits depend on the distances of tokens, not on the position of the first") {
    // The rotation makes scores depend on differences of positions; nothing else depends on positions.
    const llama::Weights w = tiny_weights();
    const Var x = slice_rows(w.token_embedding, 1, 4);
    const BlockOptions options{.heads = 6, .activation = Activation::silu, .norm = NormKind::rms};
    const auto output_at = [&](const std::vector<int>& positions) {
        return block(x, w.blocks[0], options, {.self = {.may = causal(4, 4), .rotary = {.base = 10000, .positions = positions}}})
            .output.value();
    };
    check_close("moved", output_at({5, 6, 7, 8}), output_at({0, 1, 2, 3}));
    CHECK(difference(output_at({0, 2, 4, 6}), output_at({0, 1, 2, 3})) != "");
}

TEST_CASE("llama: generate and beam_search equal the full pass, with and without padding") {
    check_writing(tiny_weights(), tiny);
}

TEST_CASE("llama::config_of: reads back what was saved, in both layouts, with grouped-query heads, eps and rotary base") {
    const llama::Config config{.vocabulary = 7,
                               .width = 12,
                               .depth = 2,
                               .heads = 3,
                               .key_value_heads = 1,
                               .mlp_width = 10,
                               .eps = 1e-3f,
                               .rotary_base = 500};
    Random random;
    const llama::Weights w = llama::make_weights(config, random);
    const TemporaryFolder folder;
    const std::string path = folder.path("llama.safetensors");
    for (const bool meta : {false, true}) {
        const auto table = [&](const llama::Weights& of) {
            return meta ? llama::meta_parameters(of, config) : llama::parameters(of, config);
        };
        save(table(w), path, llama::metadata(config));
        const llama::Config found = llama::config_of(Safetensors(path));
        CHECK(found.vocabulary == 7);
        CHECK(found.width == 12);
        CHECK(found.depth == 2);
        CHECK(found.heads == 3);
        CHECK(found.key_value_heads == 1);
        CHECK(found.mlp_width == 10);
        CHECK(found.eps == 1e-3f);
        CHECK(found.rotary_base == 500);
        save(table(w), path);
        CHECK(
            error_of([&] { llama::config_of(Safetensors(path)); }).starts_with(path + ": missing setting: the number of heads"));
        const llama::Config usual = llama::config_of(Safetensors(path), {{"num_attention_heads", "3"}});
        CHECK(usual.key_value_heads == 1);
        CHECK(usual.eps == 1e-6f);
        CHECK(usual.rotary_base == 10000);
        // 4 heads are 3 wide, which does not divide the keys
        for (const std::string heads : {"4", "5", "0"})
            CHECK(error_of([&] {
                      llama::config_of(Safetensors(path), {{"n_heads", heads}});
                  }) == path + ": " + heads + " heads do not divide a width of 12 into parts that make up keys of width 4");
    }
}

// The logits of a checkpoint as it is read from files.
static Matrix logits_of_file(const std::string& path, const std::vector<int>& ids) {
    const Safetensors file(path);
    const llama::Config config = llama::config_of(file);
    Random random(2);
    const llama::Weights w = llama::make_weights(config, random);
    load(llama::parameters_in(file, w, config), file, llama::load_rules(config));
    return llama::forward(make_batch({ids}), w, config).logits.value();
}

static const std::string published_config = R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 12, "num_hidden_layers": 2,
    "num_attention_heads": 6, "num_key_value_heads": 3, "intermediate_size": 10, "vocab_size": 11, "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0, "rope_scaling": null, "attention_bias": false, "tie_word_embeddings": false, "torch_dtype": "bfloat16"})";

TEST_CASE("llama: loads a file with stored rotary frequencies") {
    const llama::Weights w = tiny_weights();
    const Parameters table = llama::parameters(w, tiny);
    make_exact_in_half(table);
    const Matrix logits = llama::forward(make_batch({{1, 2, 3}}), w, tiny).logits.value();
    std::vector<PublishedTensor> tensors = tensors_of(table);
    tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", {1}, Matrix{{1}}});
    for (const Precision precision : {Precision::float32, Precision::bfloat16, Precision::float16})
        for (const int shards : {1, 3}) {
            const TemporaryFolder folder;
            const std::string path =
                write_published(folder, tensors, {.precision = precision, .shards = shards}, published_config);
            CHECK(identical(logits_of_file(path, {1, 2, 3}), logits));
        }
}

TEST_CASE("llama: Meta's names with frequencies, and names without model., load to the same numbers") {
    const llama::Weights w = tiny_weights();
    make_exact_in_half(llama::parameters(w, tiny));
    const Matrix logits = llama::forward(make_batch({{1, 2, 3}}), w, tiny).logits.value();
    const TemporaryFolder folder;
    std::vector<PublishedTensor> meta = tensors_of(llama::meta_parameters(w, tiny));
    meta.push_back({"rope.freqs", {1}, Matrix{{1}}});
    CHECK(identical(
        logits_of_file(write_published(folder, meta, {.precision = Precision::bfloat16}, published_config), {1, 2, 3}), logits));
    std::vector<PublishedTensor> bare = tensors_of(llama::parameters(w, tiny));
    for (PublishedTensor& tensor : bare)
        if (tensor.name.starts_with("model.")) tensor.name = tensor.name.substr(6);
    CHECK(identical(logits_of_file(write_published(folder, bare, {}, published_config), {1, 2, 3}), logits));
}

TEST_CASE("llama: a missing output matrix, or a copy of the token embedding, makes a tied model") {
    llama::Config config = tiny;
    config.tied = true;
    Random random(1);
    const llama::Weights w = llama::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.5f});
    CHECK(&w.output.value() == &w.token_embedding.value());
    const Matrix logits = llama::forward(make_batch({{1, 2, 3}}), w, config).logits.value();
    const TemporaryFolder folder;
    std::vector<PublishedTensor> tensors = tensors_of(llama::parameters(w, config));
    const std::string says_untied = R"("tie_word_embeddings": false)";
    std::string says_tied = published_config;
    says_tied.replace(says_tied.find(says_untied), says_untied.size(), R"("tie_word_embeddings": true)");
    CHECK(identical(logits_of_file(write_published(folder, tensors, {}, says_tied), {1, 2, 3}), logits));
    CHECK(error_of([&] {
              llama::config_of(Safetensors(write_published(folder, tensors, {}, published_config)));
          }).starts_with(folder.path("config.json") + ": tie_word_embeddings is false, but "));
    tensors.push_back({"lm_head.weight", {11, 12}, w.token_embedding.value()});
    CHECK(identical(logits_of_file(write_published(folder, tensors, {}, published_config), {1, 2, 3}), logits));
    tensors.back().numbers(3, 4) += 1;  // another matrix: not tied
    CHECK(!identical(logits_of_file(write_published(folder, tensors, {}, published_config), {1, 2, 3}), logits));
}

TEST_CASE("llama::config_of: rejects features of later models with this layout") {
    const Parameters table = llama::parameters(tiny_weights(), tiny);
    const TemporaryFolder folder;
    const auto refusal = [&](const std::string& setting) {
        const std::string config = R"({"num_attention_heads": 6, )" + setting + "}";
        const Safetensors file(write_published(folder, tensors_of(table), {}, config));
        return error_of([&] { llama::config_of(file); });
    };
    const std::string place = folder.path("config.json");
    CHECK(refusal(R"("rope_scaling": {"rope_type": "llama3", "factor": 8.0})").starts_with(place + ": rope_scaling is "));
    CHECK(refusal(R"("attention_bias": true)") == place + ": attention_bias is \"true\"; only false is implemented here");
    CHECK(refusal(R"("sliding_window": 4096)") == place + ": sliding_window is \"4096\"; only null is implemented here");
    CHECK(refusal(R"("head_dim": 4)").starts_with(place + ": head_dim is 4, but the tensors of "));
    CHECK(refusal(R"("rope_parameters": {"rope_type": "default", "rope_theta": 500.0})").empty());
    CHECK(llama::config_of(Safetensors(folder.path("model.safetensors"))).rotary_base == 500);
    CHECK(refusal(R"("rope_scaling": {"rope_type": "default"})").empty());
    CHECK(refusal(R"("rope_scaling": {"type": "linear", "factor": 2.0})").starts_with(place + ": rope_scaling is "));
    CHECK(refusal(R"("partial_rotary_factor": 1.0)").empty());
    CHECK(refusal(R"("partial_rotary_factor": 0.5)") == place + ": partial_rotary_factor is \"0.5\"; only 1 is implemented here");
    CHECK(refusal(R"("vocab_size": 12)").starts_with(place + ": vocab_size is 12, but the tensors of "));
    CHECK(refusal(R"("intermediate_size": 12)").starts_with(place + ": intermediate_size is 12, but the tensors of "));
    CHECK(refusal(R"("tie_word_embeddings": true)").starts_with(place + ": tie_word_embeddings is true, but "));
}

TEST_CASE("llama: rejects an inconsistent config or batch, and names the reason") {
    Random random;
    CHECK_THROWS_WITH(llama::make_weights({.width = 12, .heads = 4}, random),
                      "llama: 4 heads must divide a width of 12 into even parts, whose columns are turned in pairs");
    CHECK_THROWS_WITH(llama::make_weights({.width = 16, .heads = 4, .key_value_heads = 3}, random),
                      "llama: 3 heads of keys and values must divide 4 heads");
    CHECK_THROWS_WITH(llama::make_weights({.vocabulary = 0}, random),
                      "llama: 0 tokens, width 4096, depth 32, inner width 11008: sizes must be positive");
    CHECK(without_place(error_of([&] {
              llama::forward(make_batch({{1, 11}}), tiny_weights(), tiny);
          })) == "embed: id 11 is outside a table of 11 rows, counted from 0");
}

TEST_CASE("llama: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<llama::Config, std::string>>{
             {{.width = 0}, "llama: 32000 tokens, width 0, depth 32, inner width 11008: sizes must be positive"},
             {{.depth = -1}, "llama: 32000 tokens, width 4096, depth -1, inner width 11008: sizes must be positive"},
             {{.mlp_width = 0}, "llama: 32000 tokens, width 4096, depth 32, inner width 0: sizes must be positive"},
             {{.heads = 0}, "llama: 0 heads must divide a width of 4096 into even parts, whose columns are turned in pairs"},
             {{.width = 1, .heads = 1},
              "llama: 1 heads must divide a width of 1 into even parts, whose columns are turned in pairs"},
             {{.width = 12, .heads = 5},
              "llama: 5 heads must divide a width of 12 into even parts, whose columns are turned in pairs"},
             {{.key_value_heads = 0}, "llama: 0 heads of keys and values must divide 32 heads"},
             {{.rotary_base = 0}, "llama: a rotary base of 0.000000, it must be above 0; 10000 is usual"},
         })
        CHECK_THROWS_WITH(llama::make_weights(config, random), text.c_str());
    const llama::Config smallest{
        .vocabulary = 1, .width = 2, .depth = 0, .heads = 1, .key_value_heads = 1, .mlp_width = 1, .eps = 0, .rotary_base = 0.5f};
    CHECK_NOTHROW(llama::make_weights(smallest, random));
}

TEST_CASE("llama::Config: the defaults") {
    const llama::Config usual{};
    CHECK(usual.vocabulary == 32000);
    CHECK(usual.width == 4096);
    CHECK(usual.depth == 32);
    CHECK(usual.heads == 32);
    CHECK(usual.key_value_heads == 32);
    CHECK(usual.mlp_width == 11008);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.rotary_base == 10000);
    CHECK(!usual.tied);
}

TEST_SUITE_END();
