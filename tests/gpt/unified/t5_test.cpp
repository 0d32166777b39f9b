#include "gpt/unified/t5.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/gpt/published_file.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("t5");

static t5::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const std::string feed_forward = file.metadata_text("feed_forward_proj");
    const bool gated = feed_forward.starts_with("gated-");
    // "gated-gelu" means the tanh form
    const Activation activation =
        feed_forward == "gated-gelu" ? Activation::gelu_tanh : activation_of_name(gated ? feed_forward.substr(6) : feed_forward);
    return {.vocabulary = file.metadata_int("vocab_size"),
            .width = file.metadata_int("d_model"),
            .encoder_depth = file.metadata_int("num_layers"),
            .decoder_depth = file.metadata_int("num_decoder_layers"),
            .heads = file.metadata_int("num_heads"),
            .head_width = file.metadata_int("d_kv"),
            .mlp_width = file.metadata_int("d_ff"),
            .gated = gated,
            .activation = activation,
            .tied = golden.flag("tie_word_embeddings"),
            .buckets = file.metadata_int("relative_attention_num_buckets"),
            .max_distance = file.metadata_int("relative_attention_max_distance"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
            .padding_token = file.metadata_int("pad_token_id"),
            .end_token = file.metadata_int("eos_token_id"),
            .start_token = file.metadata_int("decoder_start_token_id")};
}

static std::vector<int> buckets_of_offsets(bool both_ways) {
    std::vector<int> buckets;
    for (int offset = -200; offset <= 200; ++offset) buckets.push_back(t5::relative_bucket(offset, both_ways, 32, 128));
    return buckets;
}

TEST_CASE("t5: every step, the loss, every gradient and the continuation equal the published implementation's") {
    for (const std::string& path : golden_files("t5")) {
        const Golden golden(path);
        const t5::Config config = config_of_fixture(golden);
        const TokenBatch source{.sequences = dimensions_of(golden, "input.input_ids")[0],
                                .length = dimensions_of(golden, "input.input_ids")[1],
                                .ids = golden.integers("input.input_ids"),
                                .mask = numbers_of(golden, "input.attention_mask")};
        const std::vector<int> labels = golden.integers("input.labels");
        Random random;
        const t5::Weights w = t5::make_weights(config, random);
        const Parameters parameters = t5::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const TokenBatch target = t5::shifted_right(labels, dimensions_of(golden, "input.labels")[1], config);
        const t5::Steps steps = t5::forward(source, target, w, config);
        const Var loss = t5::loss(steps, labels);

        golden.check_integers("relative_buckets_bidirectional_32_128", buckets_of_offsets(true));
        golden.check_integers("relative_buckets_causal_32_128", buckets_of_offsets(false));
        golden.check_integers("encoder.relative_buckets", steps.encoder.buckets);
        golden.check("encoder.position_bias", steps.encoder.bias.value());
        check_stack(golden, steps.encoder.blocks, config.encoder_depth,
                    {{"encoder.block.#.self_attention", Step::weights},
                     {"encoder.block.#.layer.0", Step::after_attention},
                     {"encoder.block.#.layer.1", Step::output},
                     {"encoder.block.#", Step::output}});
        golden.check("encoder.final_layer_norm", steps.encoder.output.value());
        golden.check_integers("decoder_input_ids", target.ids);
        golden.check_integers("decoder.relative_buckets", steps.decoder.buckets);
        golden.check("decoder.position_bias", steps.decoder.bias.value());
        check_stack(golden, steps.decoder.blocks, config.decoder_depth,
                    {{"decoder.block.#.self_attention", Step::weights},
                     {"decoder.block.#.layer.0", Step::after_attention},
                     {"decoder.block.#.cross_attention", Step::cross_weights},
                     {"decoder.block.#.layer.1", Step::after_cross},
                     {"decoder.block.#.layer.2", Step::output},
                     {"decoder.block.#", Step::output}});
        golden.check("decoder.final_layer_norm", steps.decoder.hidden.value());
        golden.check("logits", steps.decoder.logits.value());
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);

        const std::vector<std::vector<int>> starts(source.sequences, {config.start_token});
        const Limits limits{.new_tokens = golden.file.metadata_int("greedy_steps")};
        golden.check_integers("greedy", joined_continuations(starts, t5::generate(source, w, config, limits)));
        golden.check_all_used();
    }
}

// --- worked numbers ---

TEST_CASE("relative_bucket: small distances one by one, then each bucket is wider than the one before") {
    // N = 8, M = 16, one way: e = 4 buckets for distances 0 ... 3, then 4 + floor(ln(a / 4) / ln(4) * 4):
    // a = 4: 0, 5: 0.64, 6: 1.17, 8: 2, 11: 2.92, 12: 3.17, 16: 4 -> at most 7
    const std::vector<int> distances{0, 1, 2, 3, 4, 5, 6, 8, 11, 12, 16, 500}, buckets{0, 1, 2, 3, 4, 4, 5, 6, 6, 7, 7, 7};
    for (std::size_t i = 0; i < distances.size(); ++i) CHECK(t5::relative_bucket(-distances[i], false, 8, 16) == buckets[i]);
    CHECK(t5::relative_bucket(3, false, 8, 16) == 0);  // a key after the query, which a decoder never sees
    // both ways half of them for each: e = 2, keys after the query from bucket 4 on
    CHECK(t5::relative_bucket(-1, true, 8, 16) == 1);
    CHECK(t5::relative_bucket(1, true, 8, 16) == 5);
    CHECK(t5::relative_bucket(0, true, 8, 16) == 0);
    CHECK(t5::relative_bucket(500, true, 8, 16) == 7);
    for (const int offset : {-8, -9, -11}) CHECK(t5::relative_bucket(offset, true, 32, 128) == 8);  // the example of the contract
    CHECK(t5::relative_bucket(-12, true, 32, 128) == 9);
}

TEST_CASE("shifted_right: the start token, then all labels but the last, padding for what is ignored") {
    const t5::Config config{.padding_token = 9, .start_token = 3};
    const TokenBatch target = t5::shifted_right({7, 8, 1, -100, 7, 1, -100, -100}, 4, config);
    CHECK(target.ids == std::vector<int>{3, 7, 8, 1, 3, 7, 1, 9});
    CHECK(target.mask.empty());  // ignored labels stand at the end, where no token that counts can see them
}

TEST_CASE("corrupt: a span becomes one sentinel in the input, and follows that sentinel in the target") {
    // a b c d e = 10 ... 14, masked: b c and e; sentinels 99, 98, ...
    const t5::Corrupted corrupted = t5::corrupt({10, 11, 12, 13, 14}, {0, 1, 1, 0, 1}, t5::sentinel(0, 100), 1);
    CHECK(corrupted.input == std::vector<int>{10, 99, 13, 98, 1});
    CHECK(corrupted.target == std::vector<int>{99, 11, 12, 98, 14, 97, 1});
    CHECK(t5::corrupt({10, 11}, {1, 1}, 99, 1).input == std::vector<int>{99, 1});
    CHECK_THROWS_WITH(t5::corrupt({10, 11}, {1}, 99, 1),
                      "corrupt: 2 tokens, but 1 entries say which are masked; each token needs one");
}

TEST_CASE("random_spans: the requested numbers of spans and masked tokens, a visible token before each span") {
    Random random(3);
    std::vector<int> masked_at(12, 0);
    for (int trial = 0; trial < 500; ++trial) {
        const std::vector<char> is_masked = t5::random_spans(12, 4, 2, random);
        REQUIRE(is_masked.size() == 12);
        REQUIRE(std::count(is_masked.begin(), is_masked.end(), 1) == 4);
        int spans = 0;
        for (int t = 0; t < 12; ++t) {
            spans += is_masked[t] && (t == 0 || !is_masked[t - 1]);
            masked_at[t] += is_masked[t];
        }
        REQUIRE(spans == 2);
    }
    CHECK(masked_at[0] == 0);
    for (int t = 1; t < 12; ++t) CHECK(masked_at[t] > 0);
    CHECK_THROWS_WITH(t5::random_spans(4, 3, 2, random),
                      "random_spans: 2 spans of 3 masked tokens together in a text of 4: every span "
                      "needs a token, and a visible one before it");
}

// --- properties ---

// All sizes differ: V = 13, E = 10, 2 heads of 3, F = 7, depths 2 and 3.
static t5::Config tiny(bool gated = true, bool tied = false) {
    return {.vocabulary = 13,
            .width = 10,
            .encoder_depth = 2,
            .decoder_depth = 3,
            .heads = 2,
            .head_width = 3,
            .mlp_width = 7,
            .gated = gated,
            .activation = gated ? Activation::gelu_tanh : Activation::relu,
            .tied = tied,
            .buckets = 6,
            .max_distance = 9};
}

static t5::Weights tiny_weights(const t5::Config& config) {
    Random random(1);
    return t5::make_weights(config, random);
}

static const TokenBatch two_sources = make_batch({{4, 5, 6, 7, 1}, {8, 9, 1}});

TEST_CASE("t5: a prediction depends on its source and earlier target tokens, not on other sequences or padding") {
    const t5::Config config = tiny();
    const t5::Weights w = tiny_weights(config);
    const auto logits = [&](const TokenBatch& source, const std::vector<int>& target) {
        return t5::forward(source, equal_batch(target, 3), w, config).decoder.logits.value();
    };
    const Matrix both = logits(two_sources, {0, 2, 3, 0, 4, 5});
    check_close("without padding", slice_rows(both, 3, 3), logits(make_batch({{8, 9, 1}}), {0, 4, 5}));
    TokenBatch other = two_sources;
    other.ids[8] = 12;  // padding
    CHECK(identical(logits(other, {0, 2, 3, 0, 4, 5}), both));
    other.ids[7] = 12;  // the last token of the second source
    const Matrix changed = logits(other, {0, 2, 3, 0, 4, 5});
    CHECK(identical(slice_rows(changed, 0, 3), slice_rows(both, 0, 3)));
    CHECK(difference(slice_rows(changed, 3, 1), slice_rows(both, 3, 1)) != "");
    CHECK(identical(slice_rows(logits(two_sources, {0, 2, 9, 0, 4, 5}), 0, 2), slice_rows(both, 0, 2)));
}

TEST_CASE("t5: incremental decoding with cached keys of target and source equals the full pass") {
    for (const bool gated : {true, false}) {
        const t5::Config config = tiny(gated, !gated);
        const t5::Weights w = tiny_weights(config);
        const Matrix full = t5::forward(two_sources, equal_batch({0, 2, 3, 4, 0, 5, 6, 7}, 4), w, config).decoder.logits.value();
        t5::Reader reader(two_sources, w, config, 4);
        check_close("first two", reader.read(equal_batch({0, 2, 0, 5}, 2)),
                    Var(concat_rows({slice_rows(full, 1, 1), slice_rows(full, 5, 1)})).value());
        reader.select({1, 0});  // as a beam search does: the sequences are reordered, and each keeps its own source
        check_close("third", reader.read(equal_batch({6, 3}, 1)),
                    Var(concat_rows({slice_rows(full, 6, 1), slice_rows(full, 2, 1)})).value());
        reader.select({1});
        check_close("fourth", reader.read(equal_batch({4}, 1)), slice_rows(full, 3, 1));
        CHECK_THROWS_WITH(reader.read(equal_batch({4}, 1)),
                          "t5: the memory holds 4 of 4 tokens, 1 more do not fit; make it with a larger capacity");
    }
}

TEST_CASE("t5: sequences selected before the first read keep their sources") {
    const t5::Config config = tiny();
    const t5::Weights w = tiny_weights(config);
    t5::Reader reader(two_sources, w, config, 1), other(two_sources, w, config, 1);
    const Matrix straight = reader.read(equal_batch({0, 0}, 1));
    other.select({1, 1, 0});
    const Matrix chosen = other.read(equal_batch({0, 0, 0}, 1));
    check_close("second source", slice_rows(chosen, 0, 1), slice_rows(straight, 1, 1));
    check_close("first source", slice_rows(chosen, 2, 1), slice_rows(straight, 0, 1));
}

TEST_CASE("t5: beam search of width 1 is greedy, wide ones find likelier answers, and sampling at temperature 0 is greedy") {
    const t5::Config config = tiny();
    const t5::Weights w = tiny_weights(config);
    const Limits limits{.new_tokens = 5, .end_of_text = config.end_token};
    const std::vector<int> greedy = t5::generate(two_sources, w, config, limits)[1];
    const std::vector<Beam> one = t5::beam_search({8, 9, 1}, 1, w, config, limits);
    CHECK(one[0].ids == greedy);
    CHECK(t5::beam_search({8, 9, 1}, 6, w, config, limits)[0].log_probability >= one[0].log_probability - 1e-5f);
    Random random(2);
    const Matrix draws = uniform_matrix(random, 2, 5);
    CHECK(t5::generate(two_sources, w, config, limits, {.top_k = 1}, draws)[1] == greedy);
    CHECK(t5::generate(two_sources, w, config, limits, {.temperature = 5}, draws)[1] != greedy);
}

TEST_CASE("t5: all blocks of a stack share one bias table, which sums their gradients") {
    const t5::Config config = tiny();
    const t5::Weights w = tiny_weights(config);
    const std::vector<int> labels{2, 3, 1, 4, 1, -100};
    const auto loss_of = [&](const std::vector<Var>& tables) {
        t5::Weights moved = w;
        moved.encoder_distances = tables[0];
        moved.decoder_distances = tables[1];
        return t5::loss(t5::forward(two_sources, t5::shifted_right(labels, 3, config), moved, config), labels);
    };
    check_gradient_by_differences(loss_of, {w.encoder_distances.value(), w.decoder_distances.value()});
}

TEST_CASE("make_weights: query matrices are smaller by sqrt(K), since scores are not divided by it") {
    Random random(5);
    const t5::Config config{
        .vocabulary = 50, .width = 64, .encoder_depth = 1, .decoder_depth = 1, .heads = 4, .head_width = 25, .mlp_width = 80};
    const t5::Weights w = t5::make_weights(config, random);
    const auto deviation = [](const Var& m) { return root_mean_square(m.value()); };
    for (const Attention& attention : {w.encoder[0].attention, w.decoder[0].attention, w.decoder[0].cross}) {
        CHECK(deviation(attention.query.weight) / (1 / std::sqrt(64.0 * 25)) == Approx(1).epsilon(0.05));
        CHECK(deviation(attention.key.weight) / (1 / 8.0) == Approx(1).epsilon(0.05));
        CHECK(deviation(attention.value.weight) / (1 / 8.0) == Approx(1).epsilon(0.05));
        CHECK(deviation(attention.output.weight) / (1 / 10.0) == Approx(1).epsilon(0.05));
    }
    for (const Block& block : {w.encoder[0], w.decoder[0]}) {
        CHECK(deviation(block.mlp.expand.weight) / (1 / 8.0) == Approx(1).epsilon(0.05));
        CHECK(deviation(block.mlp.contract.weight) / (1 / std::sqrt(80.0)) == Approx(1).epsilon(0.05));
    }
    CHECK(deviation(w.token_embedding) == Approx(1.0).epsilon(0.05));
    CHECK(&w.output.value() == &w.token_embedding.value());  // tied
    // 1.1: a gate, and an output matrix of its own; the tables of distances, large enough to be measured
    t5::Config larger = config;
    larger.gated = true, larger.tied = false, larger.heads = 20, larger.head_width = 5, larger.buckets = 60;
    const t5::Weights gated = t5::make_weights(larger, random, 0.25f);
    for (const Block& block : {gated.encoder[0], gated.decoder[0]})
        CHECK(deviation(block.mlp.gate.weight) / (1 / 8.0) == Approx(1).epsilon(0.05));
    CHECK(deviation(gated.output) / 0.25 == Approx(1).epsilon(0.05));
    CHECK(deviation(gated.encoder_distances) / (1 / 8.0) == Approx(1).epsilon(0.1));
    CHECK(deviation(gated.decoder_distances) / (1 / 8.0) == Approx(1).epsilon(0.1));
}

TEST_CASE("load_rules (t5): copies of the token embedding and an unused bias load; differing copies do not") {
    const TemporaryFolder folder;
    t5::Config config = tiny(false, true);
    const t5::Weights w = tiny_weights(config);
    Parameters file = t5::parameters(w, config);
    for (const std::string copy : {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"})
        file.push_back({copy, {13, 10}, Stored::as_it_is, {w.token_embedding}});
    file.push_back({"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
                    {6, 2},
                    Stored::as_it_is,
                    {w.decoder_distances}});
    save(file, folder.path("repeated.safetensors"));
    Random random(9);
    const t5::Weights other = t5::make_weights(config, random);
    load(t5::parameters(other, config), Safetensors(folder.path("repeated.safetensors")), t5::load_rules(config));
    CHECK(identical(other.token_embedding.value(), w.token_embedding.value()));
    CHECK(identical(other.decoder[2].cross.key.weight.value(), w.decoder[2].cross.key.weight.value()));

    file[file.size() - 2].parts = {Var(Matrix(13, 10))};  // another lm_head.weight: this model is not tied
    save(file, folder.path("untied.safetensors"));
    CHECK_THROWS(load(t5::parameters(other, config), Safetensors(folder.path("untied.safetensors")), t5::load_rules(config)));
    config.tied = false;
    const t5::Weights untied = t5::make_weights(config, random);
    load(t5::parameters(untied, config), Safetensors(folder.path("untied.safetensors")), t5::load_rules(config));
    CHECK(untied.output.value()(3, 3) == 0);
}

TEST_CASE("t5: loads bfloat16 in three shards, tied (2019) and gated (1.1); empty_weights are zeros") {
    for (const bool gated : {false, true}) {
        const t5::Config config = tiny(gated, !gated);
        const t5::Weights w = tiny_weights(config);
        const Parameters table = t5::parameters(w, config);
        make_exact_in_half(table);
        const TokenBatch target = equal_batch({0, 5, 6, 0, 7, 8}, 3);
        const Matrix logits = t5::forward(two_sources, target, w, config).decoder.logits.value();
        std::vector<PublishedTensor> tensors = tensors_of(table);
        tensors.push_back({"encoder.embed_tokens.weight", {13, 10}, w.token_embedding.value()});
        if (!gated) tensors.erase(tensors.begin());  // some files hold the token embedding under its other name only
        const TemporaryFolder folder;
        const std::string activation = gated ? "gated-gelu" : "relu";
        const Safetensors file(write_published(folder, tensors, {.precision = Precision::bfloat16, .shards = 3},
                                               R"({"model_type": "t5", "d_model": 10, "num_heads": 2, "feed_forward_proj": ")" +
                                                   activation +
                                                   R"(", "relative_attention_max_distance": 9, "layer_norm_epsilon": 1e-06,
                                                   "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0})"));
        const t5::Config found = t5::config_of(file);
        CHECK(found.encoder_depth == 2);
        CHECK(found.decoder_depth == 3);
        CHECK(found.head_width == 3);
        CHECK(found.buckets == 6);
        CHECK(found.max_distance == 9);
        CHECK(found.gated == gated);
        CHECK(found.tied == !gated);
        CHECK(found.activation == config.activation);
        const t5::Weights other = t5::empty_weights(found);
        for (const Var& table : {other.token_embedding, other.encoder_distances, other.decoder_distances, other.output})
            for (const float x : table.value()) REQUIRE(x == 0);
        load(t5::parameters(other, found), file, t5::load_rules(found));
        CHECK(identical(t5::forward(two_sources, target, other, found).decoder.logits.value(), logits));

        save(table, folder.path("saved.safetensors"), t5::metadata(config));
        CHECK(t5::config_of(Safetensors(folder.path("saved.safetensors")), {}).activation == config.activation);
        const TemporaryFolder without_json;
        save(table, without_json.path("silent.safetensors"));
        const Safetensors silent(without_json.path("silent.safetensors"));
        GivenSettings given;
        if (gated) given["feed_forward_proj"] = "gated-gelu";
        const t5::Config usual = t5::config_of(silent, given);
        CHECK(usual.activation == config.activation);
        CHECK(usual.max_distance == 128);
        CHECK(usual.eps == 1e-6f);
        CHECK(usual.padding_token == 0);
        CHECK(usual.end_token == 1);
        CHECK(usual.start_token == 0);
        given["eos_token_id"] = "[3, 4]";
        CHECK(t5::config_of(silent, given).end_token == 3);
        given["eos_token_id"] = "2";
        CHECK(t5::config_of(silent, given).end_token == 2);
        given["eos_token_id"] = "99";
        CHECK(error_of([&] { t5::config_of(silent, given); }).starts_with(silent.path + ": t5: special token 99 is not one of"));
        CHECK(error_of([&] {
                  t5::config_of(silent, {{"feed_forward_proj", gated ? "relu" : "gated-gelu"}});
              }) == silent.path + ": feed_forward_proj is " + (gated ? "relu" : "gated-gelu") + ", but the tensors have " +
                        (gated ? "a gate" : "no gate"));
    }
}

TEST_CASE("t5: config_of finds the width of a single head") {
    t5::Config config = tiny();
    config.heads = 1;
    const TemporaryFolder folder;
    save(t5::parameters(tiny_weights(config), config), folder.path("f"), t5::metadata(config));
    CHECK(t5::config_of(Safetensors(folder.path("f"))).head_width == config.head_width);
}

TEST_CASE("t5: rejects an inconsistent config or batch, and names the reason") {
    Random random;
    CHECK_THROWS_WITH(t5::make_weights({.vocabulary = 0}, random),
                      "t5: 0 tokens, width 768, depths 12 and 12, inner width 3072: sizes must be positive");
    CHECK_THROWS_WITH(t5::make_weights({.head_width = 0}, random), "t5: 12 heads of width 0: both must be positive");
    CHECK_THROWS_WITH(t5::make_weights({.buckets = 32, .max_distance = 16}, random),
                      "t5: 32 buckets up to distance 16: there must be at least 4, and half of them fewer than the distance");
    CHECK_THROWS_WITH(t5::make_weights({.start_token = 32128}, random), "t5: special token 32128 is not one of 32128 tokens");
    const t5::Config config = tiny();
    const t5::Weights w = tiny_weights(config);
    CHECK_THROWS_WITH(t5::forward(two_sources, equal_batch({0}, 1), w, config), "t5: 1 targets for 2 sources, each needs one");
    t5::Config deeper = config;
    deeper.decoder_depth = 4;
    CHECK_THROWS_WITH(
        t5::forward(two_sources, equal_batch({0, 0}, 1), w, deeper),
        "t5: decoder: the configuration says 4 blocks, the weights hold 3; pass the configuration that the weights were "
        "made with");
    CHECK(without_place(error_of([&] { t5::forward(make_batch({{13}}), equal_batch({0}, 1), w, config); })) ==
          "embed: id 13 is outside a table of 13 rows, counted from 0");
}

TEST_CASE("t5: texts that are all padding, sources that are not the encoded ones and more queries than keys are refused") {
    Random random(1);
    const t5::Config config = tiny();
    const t5::Weights w = t5::make_weights(config, random);
    const TokenBatch text = make_batch({{1, 2}}), padding{.sequences = 1, .length = 2, .ids = {1, 2}, .mask = Matrix(1, 2)};
    CHECK_THROWS_WITH(t5::forward(padding, text, w, config), "t5: sequence 0 of 1 is all padding; leave it out");
    CHECK_THROWS_WITH(t5::forward(text, padding, w, config), "t5: sequence 0 of 1 is all padding; leave it out");
    CHECK_THROWS_WITH(t5::decode(text, Matrix(3, config.width), text, w, config),
                      "t5: an encoded source (3, 10) for 1 sources of 2 tokens, each token needs a row");
    CHECK_THROWS_WITH(t5::Reader(text, Matrix(1, config.width), w, config, 4),
                      "t5: an encoded source (1, 10) for 1 sources of 2 tokens, each token needs a row");
    CHECK_THROWS_WITH(t5::relative_buckets(3, 2, true, config),
                      "t5: 3 queries are the last of 2 keys; there must be 1 to that many");
}

TEST_CASE("relative_bucket, corrupt: buckets that cannot be told apart, and more spans than sentinels, are refused") {
    CHECK_THROWS_WITH(t5::relative_bucket(1, true, 0, 16),
                      "relative_bucket: 0 buckets up to distance 16; there must be at least 4, and half of them fewer than the "
                      "distance");
    CHECK_THROWS_WITH(t5::relative_bucket(1, true, 8, 4),
                      "relative_bucket: 8 buckets up to distance 4; there must be at least 4, and half of them fewer than the "
                      "distance");
    CHECK_THROWS_WITH(t5::corrupt({5, 6, 7}, {1, 0, 1}, 1, 9),
                      "corrupt: the masked spans need 3 sentinels, from 1 downwards there are fewer ids; mask fewer spans");
    CHECK_NOTHROW(t5::corrupt({5, 6, 7}, {1, 0, 1}, 2, 9));
}

TEST_CASE("t5: every invalid size is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<t5::Config, std::string>>{
             {{.width = 0}, "t5: 32128 tokens, width 0, depths 12 and 12, inner width 3072: sizes must be positive"},
             {{.encoder_depth = -1}, "t5: 32128 tokens, width 768, depths -1 and 12, inner width 3072: sizes must be positive"},
             {{.decoder_depth = -1}, "t5: 32128 tokens, width 768, depths 12 and -1, inner width 3072: sizes must be positive"},
             {{.mlp_width = 0}, "t5: 32128 tokens, width 768, depths 12 and 12, inner width 0: sizes must be positive"},
             {{.heads = 0}, "t5: 0 heads of width 64: both must be positive"},
             {{.buckets = 3},
              "t5: 3 buckets up to distance 128: there must be at least 4, and half of them fewer than the distance"},
             {{.padding_token = -1}, "t5: special token -1 is not one of 32128 tokens"},
             {{.end_token = 32128}, "t5: special token 32128 is not one of 32128 tokens"},
         })
        CHECK_THROWS_WITH(t5::make_weights(config, random), text.c_str());
    t5::Config smallest{.vocabulary = 2,
                        .width = 1,
                        .encoder_depth = 0,
                        .decoder_depth = 0,
                        .heads = 1,
                        .head_width = 1,
                        .mlp_width = 1,
                        .buckets = 4,
                        .max_distance = 3,
                        .eps = 0};
    CHECK_NOTHROW(t5::make_weights(smallest, random));
    smallest.vocabulary = 1, smallest.end_token = 0;  // one token is padding, end and start
    CHECK_NOTHROW(t5::make_weights(smallest, random));
}

TEST_CASE("sentinel: the highest ids of the vocabulary, counted downwards") {
    CHECK(t5::sentinel(0, 100) == 99);
    CHECK(t5::sentinel(2, 100) == 97);
}

TEST_CASE("relative_bucket, relative_buckets, random_spans: each argument check fails by itself, the limits are allowed") {
    const std::string buckets = "; there must be at least 4, and half of them fewer than the distance";
    CHECK(t5::relative_bucket(0, true, 4, 3) == 0);
    CHECK(error_of([] { t5::relative_bucket(0, true, 3, 9); }) == "relative_bucket: 3 buckets up to distance 9" + buckets);
    CHECK(error_of([] { t5::relative_bucket(0, true, 4, 2); }) == "relative_bucket: 4 buckets up to distance 2" + buckets);
    CHECK(t5::relative_buckets(1, 1, true, tiny()) == std::vector<int>{0});
    CHECK_THROWS_WITH(t5::relative_buckets(0, 1, true, tiny()),
                      "t5: 0 queries are the last of 1 keys; there must be 1 to that many");
    Random random(1);
    const auto refusal = [&](int length, int masked, int spans) {
        return error_of([&] { t5::random_spans(length, masked, spans, random); });
    };
    const std::string rule = ": every span needs a token, and a visible one before it";
    CHECK(t5::random_spans(2, 1, 1, random) == std::vector<char>{0, 1});
    CHECK(t5::random_spans(4, 2, 2, random) == std::vector<char>{0, 1, 0, 1});
    CHECK(refusal(4, 2, 0) == "random_spans: 0 spans of 2 masked tokens together in a text of 4" + rule);
    CHECK(refusal(8, 1, 2) == "random_spans: 2 spans of 1 masked tokens together in a text of 8" + rule);
    CHECK(refusal(4, 3, 2) == "random_spans: 2 spans of 3 masked tokens together in a text of 4" + rule);
}

TEST_CASE("t5::Config: the defaults") {
    const t5::Config usual{};
    CHECK(usual.vocabulary == 32128);
    CHECK(usual.width == 768);
    CHECK(usual.encoder_depth == 12);
    CHECK(usual.decoder_depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.head_width == 64);
    CHECK(usual.mlp_width == 3072);
    CHECK(!usual.gated);
    CHECK(usual.activation == Activation::relu);
    CHECK(usual.tied);
    CHECK(usual.buckets == 32);
    CHECK(usual.max_distance == 128);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.padding_token == 0);
    CHECK(usual.end_token == 1);
    CHECK(usual.start_token == 0);
}

TEST_CASE("relative_bucket, relative_buckets: a distance and a number of pairs that no int holds are refused") {
    constexpr int most = 2147483647;
    CHECK(t5::relative_bucket(-most, true, 32, 128) == 15);
    CHECK_THROWS_WITH(t5::relative_bucket(-most - 1, true, 32, 128),
                      "relative_bucket: an offset of -2147483648 has no distance as an int");
    CHECK_THROWS_WITH(t5::relative_buckets(most, most, true, {}),
                      "t5: 2147483647 queries and 2147483647 keys have more pairs than the 2147483647 rows of a matrix");
}

TEST_CASE("t5: a table of distances of another configuration, and a sentinel outside the vocabulary, are refused") {
    const t5::Config config = tiny();
    const t5::Weights w = tiny_weights(config);
    const TokenBatch targets = make_batch({{0, 4}, {0, 5}});
    t5::Weights other = w;
    other.encoder_distances = Matrix(w.encoder_distances.rows() + 1, config.heads);
    CHECK(error_of([&] {
              t5::forward(two_sources, targets, other, config);
          }).starts_with("t5: encoder: the table of distances is"));
    other = w;
    other.decoder_distances = Matrix(config.buckets, config.heads + 1);
    CHECK(error_of([&] {
              t5::forward(two_sources, targets, other, config);
          }).starts_with("t5: decoder: the table of distances is"));
    CHECK(t5::sentinel(19, 20) == 0);
    for (const int k : {-1, 20})
        CHECK(error_of([&] { t5::sentinel(k, 20); }) ==
              "sentinel: number " + std::to_string(k) + " in a vocabulary of 20, counted from 0");
}

TEST_SUITE_END();
