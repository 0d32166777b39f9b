#include "gpt/families/llama.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"
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

TEST_CASE("llama: every step, the loss, every gradient, Meta's layout and the continuation equal the published implementation's") {
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
        golden.check_integers("greedy", joined_continuations(sequences_of(golden, "input.input_ids"), generate(batch, w, config, limits)));
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

TEST_CASE("llama: the tokens that come later change nothing before them") {
    const llama::Weights w = tiny_weights();
    const Matrix one = llama::forward(make_batch({{1, 2, 3, 4, 5}}), w, tiny).logits.value();
    const Matrix other = llama::forward(make_batch({{1, 2, 3, 9, 9}}), w, tiny).logits.value();
    CHECK(identical(slice_rows(one, 0, 3), slice_rows(other, 0, 3)));
    CHECK(!identical(slice_rows(one, 3, 1), slice_rows(other, 3, 1)));
}

TEST_CASE("llama: padding on the left changes no logit of a token, and none of what is written after it") {
    const llama::Weights w = tiny_weights();
    const Matrix alone = llama::forward(make_batch({{1, 2, 3}}), w, tiny).logits.value();
    const TokenBatch both = make_batch({{4, 5, 6, 7, 8}, {1, 2, 3}}, 0, Side::left);
    check_close("logits", slice_rows(llama::forward(both, w, tiny).logits.value(), 7, 3), alone);
    const Limits limits{.new_tokens = 6};
    CHECK(generate(both, w, tiny, limits)[1] == generate(make_batch({{1, 2, 3}}), w, tiny, limits)[0]);
}

TEST_CASE("llama: read_on gives the numbers of the full pass, also after padding on the left") {
    const llama::Weights w = tiny_weights();
    const TokenBatch all = make_batch({{4, 5, 6, 7, 8, 9}, {1, 2, 3, 4}}, 0, Side::left);
    const Matrix full = llama::forward(all, w, tiny).hidden.value();
    Memory memory = llama::make_memory(tiny, 2, 6);
    TokenBatch first = make_batch({{4, 5, 6, 7}, {1, 2}}, 0, Side::left);
    llama::read_on(first, w, tiny, memory);
    const Matrix next = llama::read_on(make_batch({{8, 9}, {3, 4}}), w, tiny, memory).hidden.value();
    check_close("first sequence", slice_rows(next, 0, 2), slice_rows(full, 4, 2));
    check_close("second sequence", slice_rows(next, 2, 2), slice_rows(full, 10, 2));
    CHECK_THROWS_WITH(llama::read_on(make_batch({{8}, {3}}), w, tiny, memory),
                      "llama: the memory holds 6 of 6 tokens, 1 more do not fit; make it with a larger capacity");
}

TEST_CASE("llama: only the distances of tokens matter, not where the text begins") {
    // The rotation makes scores depend on differences; nothing else knows a position.
    const llama::Weights w = tiny_weights();
    const Var x = slice_rows(w.words, 1, 4);
    const BlockOptions options{.heads = 6, .activation = Activation::silu, .norm = NormKind::rms};
    const auto output_at = [&](const std::vector<int>& positions) {
        return block(x, w.blocks[0], options, {.self = {.may = causal(4, 4), .rotary = {.base = 10000, .positions = positions}}}).output.value();
    };
    check_close("moved", output_at({5, 6, 7, 8}), output_at({0, 1, 2, 3}));
    CHECK(difference(output_at({0, 2, 4, 6}), output_at({0, 1, 2, 3})) != "");
}

TEST_CASE("llama: beam search of width 1 is greedy") {
    const llama::Weights w = tiny_weights();
    const Limits limits{.new_tokens = 5};
    CHECK(beam_search({3, 1}, 1, w, tiny, limits)[0].ids == generate(make_batch({{3, 1}}), w, tiny, limits)[0]);
}

TEST_CASE("llama::config_of: what is saved is read back, in both layouts, with shared key heads, eps and base of the rotation") {
    const llama::Config config{.vocabulary = 7, .width = 12, .depth = 2, .heads = 3, .key_value_heads = 1, .mlp_width = 10,
                               .eps = 1e-3f, .rotary_base = 500};
    Random random;
    const llama::Weights w = llama::make_weights(config, random);
    const TemporaryFolder folder;
    const std::string path = folder.path("llama.safetensors");
    for (const bool meta : {false, true}) {
        const auto table = [&](const llama::Weights& of) { return meta ? llama::meta_parameters(of, config) : llama::parameters(of, config); };
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
        CHECK(error_of([&] { llama::config_of(Safetensors(path)); }).starts_with(path + ": nothing says the number of heads"));
        CHECK(llama::config_of(Safetensors(path), {{"num_attention_heads", "3"}}).key_value_heads == 1);
        CHECK(error_of([&] { llama::config_of(Safetensors(path), {{"n_heads", "4"}}); }) ==
              path + ": 4 heads do not divide a width of 12 into parts that make up keys of width 4");
    }
}

TEST_CASE("llama: a file with stored frequencies of the rotation loads all the same") {
    const llama::Weights w = tiny_weights();
    std::vector<TensorToWrite> tensors;
    for (const Parameter& parameter : llama::parameters(w, tiny))
        tensors.push_back({.name = parameter.name, .shape = parameter.shape, .floats = published_value(parameter), .integers = {}});
    tensors.push_back({.name = "model.layers.0.self_attn.rotary_emb.inv_freq", .shape = {1}, .floats = Matrix{{1}}, .integers = {}});
    const TemporaryFolder folder;
    const std::string path = folder.path("llama.safetensors");
    write_safetensors(path, tensors);
    Random random(2);
    const llama::Weights other = llama::make_weights(tiny, random);
    load(llama::parameters(other, tiny), Safetensors(path), llama::load_rules());
    const TokenBatch batch = make_batch({{1, 2, 3}});
    CHECK(identical(llama::forward(batch, other, tiny).logits.value(), llama::forward(batch, w, tiny).logits.value()));
}

TEST_CASE("llama: a config or batch that does not fit is refused, and says why") {
    Random random;
    CHECK_THROWS_WITH(llama::make_weights({.width = 12, .heads = 4}, random),
                      "llama: 4 heads must divide a width of 12 into even parts, whose columns are turned in pairs");
    CHECK_THROWS_WITH(llama::make_weights({.width = 16, .heads = 4, .key_value_heads = 3}, random),
                      "llama: 3 heads of keys and values must divide 4 heads");
    CHECK_THROWS_WITH(llama::make_weights({.vocabulary = 0}, random),
                      "llama: 0 tokens, width 4096, depth 32, inner width 11008: sizes must be positive");
    CHECK(without_place(error_of([&] { llama::forward(make_batch({{1, 11}}), tiny_weights(), tiny); })) ==
          "embed: id 11 is outside a table of 11 rows, counted from 0");
}

TEST_SUITE_END();
