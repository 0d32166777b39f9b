#include "gpt/families/glm.h"

#include <cmath>
#include <set>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/gpt/published_file.h"
#include "tests/nn/data/given_settings.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("glm");

static std::vector<int> integers_of(const MayAttend& may) { return {may.table.begin(), may.table.end()}; }

static glm::Config glm_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.version = glm::Version::glm,
            .vocabulary = file.metadata_int("vocab_size"),
            .positions = file.metadata_int("max_sequence_length"),
            .width = file.metadata_int("hidden_size"),
            .depth = file.metadata_int("num_layers"),
            .heads = file.metadata_int("num_attention_heads"),
            .mlp_width = 4 * file.metadata_int("hidden_size"),
            .eps = static_cast<float>(file.metadata_double("layernorm_epsilon")),
            .special = {.mask = file.metadata_int("MASK_token_id"),
                        .long_mask = file.metadata_int("gMASK_token_id"),
                        .sentence_mask = file.metadata_int("sMASK_token_id"),
                        .start = file.metadata_int("sop_token_id"),
                        .end = file.metadata_int("eop_token_id")}};
}

static glm::Config glm130b_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(!golden.flag("position_encoding_2d"));
    return {.version = glm::Version::glm130b,
            .vocabulary = file.metadata_int("vocab_size"),
            .width = file.metadata_int("hidden_size"),
            .depth = file.metadata_int("num_layers"),
            .heads = file.metadata_int("num_attention_heads"),
            .mlp_width = file.metadata_int("inner_hidden_size"),
            .eps = static_cast<float>(file.metadata_double("layernorm_epsilon")),
            .alpha = static_cast<float>(file.metadata_double("deepnorm_alpha")),
            .special = {.mask = file.metadata_int("mask_token_id"),
                        .long_mask = file.metadata_int("gmask_token_id"),
                        .start = file.metadata_int("sop_token_id")}};
}

// The fixture's texts with the spans that it cuts out; also its `sep`.
static std::vector<glm::Sequence> sequences_of_fixture(const Golden& golden, const glm::SpecialTokens& special) {
    const std::vector<std::vector<int>> texts = sequences_of(golden, "input.text");
    const int mask_of_task[] = {special.mask, special.long_mask, special.sentence_mask};
    std::vector<glm::Sequence> sequences;
    for (std::size_t row = 0; row < texts.size(); ++row) {
        const std::string name = "input.row" + text(static_cast<int>(row)) + ".";
        const std::vector<int> bounds = golden.integers(name + "spans");
        std::vector<glm::Span> spans;
        for (std::size_t k = 0; k + 1 < bounds.size(); k += 2) spans.push_back({bounds[k], bounds[k + 1]});
        sequences.push_back(glm::cut_spans(texts[row], spans, golden.integers(name + "permutation"),
                                           mask_of_task[golden.integers(name + "task")[0]], special));
    }
    return sequences;
}

TEST_CASE("glm: the sequence built from a text, every step, the loss and every gradient equal the published implementation's") {
    for (const std::string& path : golden_files("glm")) {
        const Golden golden(path);
        const glm::Config config = glm_config(golden);
        const std::vector<glm::Sequence> sequences = sequences_of_fixture(golden, config.special);
        const glm::Batch batch = glm::make_batch(sequences);
        std::vector<int> separators;
        for (const glm::Sequence& sequence : sequences) separators.push_back(sequence.context);
        golden.check_integers("sep", separators);
        golden.check_integers("tokens", batch.tokens);
        golden.check_integers("targets", batch.targets);
        golden.check_integers("loss_mask", batch.loss_mask);
        golden.check_integers("position_ids", batch.positions);
        golden.check_integers("block_position_ids", batch.block_positions);
        golden.check_integers("attention_mask", integers_of(batch.may));

        Random random;
        const glm::Weights w = glm::make_weights(config, random);
        const Parameters parameters = glm::parameters(w, config);
        golden.load_weights(parameters);
        const Tape tape;
        const glm::Steps steps = glm::forward(batch, w, config);
        const Var loss = glm::loss(steps, batch);
        golden.check("embeddings", steps.embeddings.value());
        check_stack(golden, steps.decoder, config.depth,
                    {{"layer.#.query_key_value", Step::query_key_value},
                     {"layer.#.attention_probs", Step::weights},
                     {"layer.#.attention", Step::attention_output},
                     {"layer.#", Step::output}},
                    {.sequences = batch.sequences, .heads = config.heads});
        golden.check("final_layernorm", steps.hidden.value());
        golden.check("logits", steps.logits.value());
        golden.check("token_loss", reshape(glm::target_losses(steps, batch).value(), batch.sequences, batch.length));
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_CASE("GLM-130B: positions and mask of a prompt, every step, the loss and every gradient equal the published layers'") {
    for (const std::string& path : golden_files("glm130b")) {
        const Golden golden(path);
        const glm::Config config = glm130b_config(golden);
        glm::Batch batch = glm::to_be_continued(make_batch(sequences_of(golden, "input.input_ids")), config);
        CHECK(batch.positions == golden.integers("input.position_ids"));
        CHECK(integers_of(batch.may) == golden.integers("input.allowed"));
        batch.targets = golden.integers("input.labels");
        batch.loss_mask = integers_of(numbers_of(golden, "input.loss_mask"));

        Random random;
        const glm::Weights w = glm::make_weights(config, random);
        const Parameters parameters = glm::parameters(w, config);
        golden.load_weights(parameters);
        const Tape tape;
        const glm::Steps steps = glm::forward(batch, w, config);
        const Var loss = glm::loss(steps, batch);
        golden.check("embeddings", steps.embeddings.value());
        check_stack(golden, steps.decoder, config.depth, {{"layer.#.attention_probs", Step::weights}, {"layer.#", Step::output}},
                    {.sequences = batch.sequences, .heads = config.heads});
        golden.check("final_layernorm", steps.hidden.value());
        golden.check("logits", steps.logits.value());
        golden.check("token_loss", reshape(glm::target_losses(steps, batch).value(), batch.sequences, batch.length));
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- from a text to a sequence ---

// M, S, E and two more; text tokens are above.
static const glm::SpecialTokens special{.mask = 1, .long_mask = 2, .sentence_mask = 3, .start = 4, .end = 5};

TEST_CASE("cut_spans: a mask for each span, then the spans in shuffled order, inputs one token after their targets") {
    // by hand: text 6 7 8 9 10 with tokens 1-2 and token 4 cut out, the second first
    const glm::Sequence s = glm::cut_spans({6, 7, 8, 9, 10}, {{1, 3}, {4, 5}}, {1, 0}, 1, special);
    CHECK(s.tokens == std::vector<int>{6, 1, 9, 1, 4, 10, 4, 7, 8});
    CHECK(s.targets == std::vector<int>{6, 1, 9, 1, 10, 5, 7, 8, 5});
    CHECK(s.loss_mask == std::vector<int>{0, 0, 0, 0, 1, 1, 1, 1, 1});
    CHECK(s.positions == std::vector<int>{0, 1, 2, 3, 3, 3, 1, 1, 1});
    CHECK(s.block_positions == std::vector<int>{0, 0, 0, 0, 1, 2, 1, 2, 3});
    CHECK(s.context == 4);
}

TEST_CASE("cut_spans: rejects adjacent, empty and outside spans, and incomplete permutations") {
    const std::string rule = ": spans must not be empty, in order, with a token between two of them";
    CHECK_THROWS_WITH(glm::cut_spans({6, 7, 8}, {{0, 1}, {1, 2}}, {0, 1}, 1, special),
                      ("glm: the span 1 to 2 of a text of 3 tokens" + rule).c_str());
    CHECK_THROWS_WITH(glm::cut_spans({6, 7, 8}, {{1, 1}}, {0}, 1, special),
                      ("glm: the span 1 to 1 of a text of 3 tokens" + rule).c_str());
    CHECK_THROWS_WITH(glm::cut_spans({6, 7, 8}, {{2, 4}}, {0}, 1, special),
                      ("glm: the span 2 to 4 of a text of 3 tokens" + rule).c_str());
    CHECK_THROWS_WITH(glm::cut_spans({6, 7, 8}, {{0, 1}, {2, 3}}, {0, 0}, 1, special),
                      "glm: a permutation of 2 numbers must name each of 2 spans once");
    CHECK_THROWS_WITH(glm::cut_spans({6, 7, 8}, {{0, 1}, {2, 3}}, {1, 1}, 1, special),
                      "glm: a permutation of 2 numbers must name each of 2 spans once");
}

TEST_CASE("cut_spans, make_batch: special tokens without ids, ids below 0 and lists of other lengths are refused") {
    const auto refusal = [](int mask, const glm::SpecialTokens& tokens) {
        return error_of([&] { glm::cut_spans({6, 7, 8}, {{1, 2}}, {0}, mask, tokens); });
    };
    const std::string rule = "; a span needs all three, give them their ids";
    CHECK(refusal(0, {.start = 0, .end = 0}).empty());
    CHECK(refusal(-1, {.start = 0, .end = 0}) == "glm: the mask of a span is token -1, [sop] is 0 and [eop] 0" + rule);
    CHECK(refusal(0, {.start = -1, .end = 0}) == "glm: the mask of a span is token 0, [sop] is -1 and [eop] 0" + rule);
    CHECK(refusal(0, {.start = 0, .end = -1}) == "glm: the mask of a span is token 0, [sop] is 0 and [eop] -1" + rule);
    CHECK_NOTHROW(glm::cut_spans({6, 0, 8}, {}, {}, -1, {}));  // nothing is cut out
    CHECK_THROWS_WITH(glm::cut_spans({-6, 7, 8}, {}, {}, 1, special), "glm: token 0 of the text is -6, ids are counted from 0");
    CHECK_THROWS_WITH(glm::cut_spans({6, -7, 8}, {}, {}, 1, special), "glm: token 1 of the text is -7, ids are counted from 0");
    const glm::Sequence whole = glm::cut_spans({6, 7, 8}, {{1, 2}}, {0}, 1, special);
    CHECK(error_of([&] { glm::make_batch({whole, glm::Sequence{}}); }) == "glm: sequence 1 of 2 has no token; leave it out");
    for (std::vector<int> glm::Sequence::*list :
         {&glm::Sequence::targets, &glm::Sequence::loss_mask, &glm::Sequence::positions, &glm::Sequence::block_positions}) {
        glm::Sequence shorter = whole;
        (shorter.*list).pop_back();
        CHECK(error_of([&] {
                  glm::make_batch({shorter});
              }).starts_with("glm: sequence 0 has 5 tokens and a list of 4 targets, marks or positions; "));
    }
    for (const int context : {-1, 6}) {
        glm::Sequence other = whole;
        other.context = context;
        CHECK(error_of([&] { glm::make_batch({other}); }).find("of which the first " + std::to_string(context)) !=
              std::string::npos);
    }
    for (const int context : {0, 5}) {
        glm::Sequence other = whole;
        other.context = context;
        CHECK_NOTHROW(glm::make_batch({other}));
    }
}

TEST_CASE("make_batch: part A attends to A only, part B to A and to earlier tokens of B; padding is 0") {
    // 6 M 8 | S 7 and a shorter one, 6 M | S, whose target is 5
    const glm::Batch batch = glm::make_batch(
        {glm::cut_spans({6, 7, 8}, {{1, 2}}, {0}, 1, special), glm::cut_spans({6, 9}, {{1, 2}}, {0}, 1, special)});
    CHECK(batch.tokens == std::vector<int>{6, 1, 8, 4, 7, 6, 1, 4, 9, 0});
    CHECK(batch.targets == std::vector<int>{6, 1, 8, 7, 5, 6, 1, 9, 5, 0});
    CHECK(batch.loss_mask == std::vector<int>{0, 0, 0, 1, 1, 0, 0, 1, 1, 0});
    CHECK(batch.positions == std::vector<int>{0, 1, 2, 1, 1, 0, 1, 1, 1, 0});
    CHECK(batch.block_positions == std::vector<int>{0, 0, 0, 1, 2, 0, 0, 1, 2, 0});
    CHECK(integers_of(batch.may) == std::vector<int>{1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1,
                                                     1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1});
    CHECK_THROWS_WITH(glm::make_batch({}), "glm: there is no sequence; give at least one");
}

TEST_CASE("to_be_continued: new tokens have the mask's position; after [gMASK] of GLM-130B positions increase") {
    const glm::Config old{.special = special}, large{.version = glm::Version::glm130b, .special = special};
    const TokenBatch blank = make_batch({{6, 1, 8, 4, 7, 9}}), tail = make_batch({{6, 8, 2, 4, 7, 9}});
    CHECK(glm::to_be_continued(blank, old).positions == std::vector<int>{0, 1, 2, 1, 1, 1});
    CHECK(glm::to_be_continued(blank, old).block_positions == std::vector<int>{0, 0, 0, 1, 2, 3});
    CHECK(glm::to_be_continued(blank, large).positions == std::vector<int>{0, 1, 2, 1, 1, 1});
    CHECK(glm::to_be_continued(tail, old).positions == std::vector<int>{0, 1, 2, 2, 2, 2});
    CHECK(glm::to_be_continued(tail, large).positions == std::vector<int>{0, 1, 2, 3, 4, 5});
    // padded on the left by one, only the last two columns
    const glm::Batch last = glm::to_be_continued(make_batch({{6, 1, 8, 4, 7}, {1, 8, 4, 7}}, 0, Side::left), old, 2);
    CHECK(last.positions == std::vector<int>{1, 1, 0, 0});
    CHECK(last.block_positions == std::vector<int>{1, 2, 1, 2});
    CHECK(integers_of(last.may) == std::vector<int>{1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1});
    CHECK_THROWS_WITH(glm::to_be_continued(make_batch({{6, 1, 8}}), old),
                      "glm: sequence 0 has no [sop], token 4, where its blank is filled");
    for (const std::vector<int>& no_mask : {std::vector<int>{6, 8, 4}, {4, 1}})
        CHECK_THROWS_WITH(glm::to_be_continued(make_batch({no_mask}), old),
                          "glm: sequence 0 has no [MASK], [gMASK] or [sMASK] before its [sop]");
    CHECK(glm::to_be_continued(make_batch({{1, 4}}), old).positions == std::vector<int>{0, 0});
    CHECK(glm::to_be_continued(make_batch({{1, 4}}), old, 2).length == 2);
    for (const int last : {3, -1})
        CHECK_THROWS_WITH(glm::to_be_continued(make_batch({{1, 4}}), old, last),
                          ("glm: the last " + std::to_string(last) +
                           " columns of texts of 2 tokens; there must be 1 to that many, or 0 for all")
                              .c_str());
}

// --- properties of both models ---

// All sizes differ: V = 13, P = 9, E = 12, 3 heads of 4, F = 10.
static glm::Config tiny(glm::Version version) {
    return {.version = version,
            .vocabulary = 13,
            .positions = 9,
            .width = 12,
            .depth = 2,
            .heads = 3,
            .mlp_width = 10,
            .special = special};
}

static glm::Weights tiny_weights(glm::Version version) {
    Random random(1);
    return glm::make_weights(tiny(version), random, {.draw = Draw::normal, .stddev = 0.5f},
                             {.draw = Draw::normal, .stddev = 0.5f});
}

static const glm::Version both_versions[] = {glm::Version::glm, glm::Version::glm130b};

static Matrix logits_of_text(const std::vector<int>& text, glm::Version version) {
    const glm::Config config = tiny(version);
    return glm::forward(glm::to_be_continued(make_batch({text}), config), tiny_weights(version), config).logits.value();
}

TEST_CASE("glm: part A is bidirectional and independent of part B; part B is causal") {
    for (const glm::Version version : both_versions) {
        const Matrix one = logits_of_text({6, 1, 8, 4, 7, 9, 10}, version);
        const Matrix later = logits_of_text({6, 1, 8, 4, 7, 11, 12}, version);  // other tokens from column 5 on
        const Matrix right = logits_of_text({6, 1, 12, 4, 7, 9, 10}, version);  // another token after the mask
        CHECK(identical(slice_rows(one, 0, 5), slice_rows(later, 0, 5)));
        CHECK(!identical(slice_rows(one, 5, 1), slice_rows(later, 5, 1)));
        CHECK(difference(slice_rows(one, 0, 1), slice_rows(right, 0, 1)) != "");
    }
}

TEST_CASE("glm: read_on equals the full pass, also with left padding") {
    for (const glm::Version version : both_versions) {
        const glm::Config config = tiny(version);
        const glm::Weights w = tiny_weights(version);
        const TokenBatch all = make_batch({{6, 7, 1, 8, 4, 9, 10}, {11, 2, 4, 12, 6}}, 0, Side::left);
        const Matrix full = glm::forward(glm::to_be_continued(all, config), w, config).hidden.value();
        Memory memory = glm::make_memory(config, 2, 7);
        const Matrix prompt =
            glm::read_on(make_batch({{6, 7, 1, 8, 4}, {11, 2, 4}}, 0, Side::left), w, config, memory).hidden.value();
        const Matrix one = glm::read_on(make_batch({{9}, {12}}), w, config, memory).hidden.value();
        const Matrix two = glm::read_on(make_batch({{10}, {6}}), w, config, memory).hidden.value();
        check_close("prompt", slice_rows(prompt, 0, 5), slice_rows(full, 0, 5));
        check_close("padded prompt", slice_rows(prompt, 7, 3), slice_rows(full, 9, 3));
        check_close("one more", one, concat_rows({slice_rows(Var(full), 5, 1), slice_rows(Var(full), 12, 1)}).value());
        check_close("two more", two, concat_rows({slice_rows(Var(full), 6, 1), slice_rows(Var(full), 13, 1)}).value());
    }
}

// The logits of what follows, by the full pass.
static Matrix next_logits(const std::vector<int>& ids, const glm::Weights& w, const glm::Config& config) {
    const Matrix logits = glm::forward(glm::to_be_continued(make_batch({ids}), config), w, config).logits.value();
    return slice_rows(logits, logits.rows - 1, 1);
}

TEST_CASE("glm: generate and beam_search equal the full pass, with and without padding") {
    for (const glm::Version version : both_versions) {
        const glm::Config config = tiny(version);
        const glm::Weights w = tiny_weights(version);
        const Limits limits{.new_tokens = 4};
        const std::vector<int> prompt{11, 2, 4};
        const TokenBatch padded = make_batch({{6, 7, 1, 8, 4}, prompt}, 0, Side::left);
        const Sampling sampling{.temperature = 1.5f, .top_k = 6};
        Random random(2);
        const Matrix draws = uniform_matrix(random, 1, 4);
        std::vector<int> greedy = prompt, drawn = prompt;
        for (int t = 0; t < 4; ++t) {
            greedy.push_back(argmax_of_rows(next_logits(greedy, w, config))[0]);
            drawn.push_back(draw_token(sampling_probabilities(next_logits(drawn, w, config), sampling), 0, draws(0, t)));
        }
        greedy.erase(greedy.begin(), greedy.begin() + 3);
        drawn.erase(drawn.begin(), drawn.begin() + 3);
        CHECK(generate(make_batch({prompt}), w, config, limits)[0] == greedy);
        CHECK(generate(padded, w, config, limits)[1] == greedy);
        CHECK(generate(make_batch({prompt}), w, config, limits, sampling, draws)[0] == drawn);
        CHECK(beam_search(prompt, 1, w, config, limits)[0].ids == greedy);
        const float of_four = beam_search(prompt, 4, w, config, limits)[0].log_probability;
        const float of_one = beam_search(prompt, 1, w, config, limits)[0].log_probability;
        CHECK(of_four >= of_one - 1e-5f);  // the same text in a batch of another size is the same up to rounding
    }
}

TEST_CASE("glm: loads a bfloat16 file in two shards, with the prefix glm., stored frequencies and given special tokens") {
    for (const glm::Version version : both_versions) {
        const bool large = version == glm::Version::glm130b;
        const glm::Config config = tiny(version);
        const glm::Weights w = tiny_weights(version);
        const Parameters table = glm::parameters(w, config);
        make_exact_in_half(table);
        const TokenBatch text = make_batch({{6, 1, 8, 4, 7}});
        const Matrix logits = glm::forward(glm::to_be_continued(text, config), w, config).logits.value();
        std::vector<PublishedTensor> tensors = tensors_of(table, large ? "" : "glm.");
        if (large) tensors.push_back({"transformer.layers.0.attention.rotary_emb.inv_freq", {1}, Matrix{{1}}});
        const TemporaryFolder folder;
        const Safetensors file(write_published(folder, tensors, {.precision = Precision::bfloat16, .shards = 2},
                                               R"({"num_attention_heads": 3, "num_layers": 2, "hidden_size": 12,
                                                   "layernorm_epsilon": 1e-05, "mask_token_id": 1, "gmask_token_id": 2,
                                                   "smask_token_id": 3, "sop_token_id": 4, "eop_token_id": 5})"));
        const glm::Config found = glm::config_of(file);
        CHECK(found.version == version);
        CHECK(found.heads == 3);
        CHECK(found.mlp_width == 10);
        CHECK(found.positions == (large ? 0 : 9));
        CHECK(found.special.start == 4);
        CHECK(found.special.end == 5);
        Random random(3);
        const glm::Weights other = glm::make_weights(found, random);
        load(glm::parameters(other, found), file, glm::load_rules());
        CHECK(identical(glm::forward(glm::to_be_continued(text, found), other, found).logits.value(), logits));

        save(table, folder.path("saved.safetensors"), glm::metadata(config));
        glm::Config numbered = config;
        numbered.special = {.mask = 1, .long_mask = 2, .sentence_mask = 3, .start = 4, .end = 5};
        std::map<std::string, std::string> said = glm::metadata(numbered);
        CHECK(said["mask_token_id"] + said["gmask_token_id"] + said["smask_token_id"] == "123");
        CHECK(said["sop_token_id"] + said["eop_token_id"] == "45");
        CHECK(glm::config_of(Safetensors(folder.path("saved.safetensors"))).special.long_mask == 2);
        const TemporaryFolder without_json;
        save(table, without_json.path("silent.safetensors"));
        const glm::Config usual =
            glm::config_of(Safetensors(without_json.path("silent.safetensors")), {{"num_attention_heads", "3"}});
        CHECK(usual.eps == 1e-5f);
        const glm::SpecialTokens none = usual.special;
        CHECK(std::set<int>{none.mask, none.long_mask, none.sentence_mask, none.start, none.end} == std::set<int>{-1});
    }
}

TEST_CASE("GLM-130B: the residual connection carries alpha times the normed value") {
    const glm::Config config = tiny(glm::Version::glm130b);
    const glm::Weights w = tiny_weights(glm::Version::glm130b);
    const KeepSteps keep;
    const glm::Steps steps = glm::forward(glm::to_be_continued(make_batch({{6, 1, 8, 4, 7}}), config), w, config);
    const BlockSteps& first = steps.decoder.blocks[0];
    // by hand: L = 2, alpha = sqrt(4) = 2
    check_close("attention", first.after_attention.value(), add(scale(first.norm1, 2), first.attention.output).value());
    check_close("mlp", first.output.value(), add(scale(first.norm2, 2), first.mlp.output).value());
}

TEST_CASE("make_weights (glm): weights that write into the residual stream are sqrt(2 L) times smaller") {
    Random random(2);
    const glm::Config config{.vocabulary = 10, .positions = 3, .width = 64, .depth = 8, .heads = 2, .mlp_width = 200};
    const glm::Weights w =
        glm::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.4f}, {.draw = Draw::normal, .stddev = 1});
    glm::Config shallow = config;
    shallow.depth = 1;
    const glm::Weights only =
        glm::make_weights(shallow, random, {.draw = Draw::normal, .stddev = 0.4f}, {.draw = Draw::normal, .stddev = 1});
    double in = 0, out = 0, of_one = 0;
    for (const float x : w.blocks[0].mlp.expand.weight.value()) in += x * x;
    for (const float x : w.blocks[0].mlp.contract.weight.value()) out += x * x;
    for (const float x : only.blocks[0].mlp.contract.weight.value()) of_one += x * x;
    CHECK(std::sqrt(of_one / (64 * 200)) / (0.4 / std::sqrt(2.0)) == doctest::Approx(1).epsilon(0.03));
    CHECK(std::sqrt(in / (64 * 200)) / 0.4 == doctest::Approx(1).epsilon(0.03));
    CHECK(std::sqrt(out / (64 * 200)) / 0.1 == doctest::Approx(1).epsilon(0.03));  // sqrt(2 * 8) = 4
}

TEST_CASE("glm: rejects an inconsistent config or batch, and names the reason") {
    Random random;
    CHECK_THROWS_WITH(glm::make_weights({.width = 12, .heads = 5}, random), "glm: 5 heads do not divide a width of 12");
    CHECK_THROWS_WITH(glm::make_weights({.version = glm::Version::glm130b, .width = 12, .heads = 4}, random),
                      "glm: heads of width 3 cannot be turned in pairs of columns; an even width can");
    CHECK_THROWS_WITH(glm::make_weights({.vocabulary = 0}, random),
                      "glm: 0 tokens, width 1024, depth 24, inner width 4096: sizes must be positive");
    CHECK_THROWS_WITH(glm::make_weights({.positions = 0}, random), "glm: 0 positions, there must be one at least");
    const glm::Config config = tiny(glm::Version::glm);
    glm::Batch batch = glm::to_be_continued(make_batch({{6, 1, 4}}), config);
    batch.positions.pop_back();
    CHECK_THROWS_WITH(glm::forward(batch, tiny_weights(glm::Version::glm), config),
                      "glm: 1 sequences of 3 tokens, but 3 tokens, 2 positions, 3 block positions, and a mask for 3 queries; "
                      "there must be one of each for every token, see make_batch");
    const auto refusal = [&](const auto& change) {
        glm::Batch changed = glm::to_be_continued(make_batch({{6, 1, 4}}), config);
        change(changed);
        const std::string error = error_of([&] { glm::forward(changed, tiny_weights(glm::Version::glm), config); });
        return error.substr(0, error.find("; there must be one of each for every token"));
    };
    CHECK(refusal([](glm::Batch&) {}).empty());
    CHECK(refusal([](glm::Batch& one) { one.tokens.pop_back(); }) ==
          "glm: 1 sequences of 3 tokens, but 2 tokens, 3 positions, 3 block positions, and a mask for 3 queries");
    CHECK(refusal([](glm::Batch& one) { one.block_positions.pop_back(); }) ==
          "glm: 1 sequences of 3 tokens, but 3 tokens, 3 positions, 2 block positions, and a mask for 3 queries");
    CHECK(refusal([](glm::Batch& one) { one.may.queries = 2; }) ==
          "glm: 1 sequences of 3 tokens, but 3 tokens, 3 positions, 3 block positions, and a mask for 2 queries");
    CHECK(refusal([](glm::Batch& one) { one = {}; }) ==
          "glm: 0 sequences of 0 tokens, but 0 tokens, 0 positions, 0 block positions, and a mask for 0 queries");
    const glm::Batch one_token = glm::make_batch({glm::cut_spans({6}, {}, {}, 1, special)});
    CHECK(glm::forward(one_token, tiny_weights(glm::Version::glm), config).logits.rows() == 1);
    CHECK(without_place(error_of([&] {
              glm::forward(glm::to_be_continued(make_batch({{13, 1, 4}}), config), tiny_weights(glm::Version::glm), config);
          })) == "embed: id 13 is outside a table of 13 rows, counted from 0");
}

TEST_CASE(
    "glm: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the heads") {
    Random random(1);
    const auto table = [&](const glm::Config& config) { return glm::parameters(glm::make_weights(config, random), config); };
    for (const std::string& path : golden_files("glm"))
        check_given_settings(glm_config(Golden(path)), table, glm::config_of, "the number of heads");
    for (const std::string& path : golden_files("glm130b"))
        check_given_settings(glm130b_config(Golden(path)), table, glm::config_of, "the number of heads");
}

TEST_CASE("glm: a depth that the weights do not have, an eps below 0 and a sequence of no token are refused") {
    Random random(1);
    const glm::Config config = tiny(glm::Version::glm);
    const glm::Weights w = glm::make_weights(config, random);
    glm::Config deeper = config, no_eps = config;
    deeper.depth = config.depth + 1;
    no_eps.eps = -1;
    const glm::Batch batch = glm::make_batch({glm::cut_spans({1, 2, 3}, {{1, 2}}, {0}, 4, config.special)});
    CHECK_THROWS_WITH(
        glm::forward(batch, w, deeper),
        "glm: the configuration says 3 blocks, the weights hold 2; pass the configuration that the weights were made with");
    CHECK_THROWS_WITH(glm::forward(batch, w, no_eps),
                      "glm: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual");
    CHECK(glm::make_batch({glm::cut_spans({6}, {}, {}, 1, special)}).length == 1);
    CHECK_THROWS_WITH(glm::make_batch({{}}), "glm: sequence 0 of 1 has no token; leave it out");
    CHECK_THROWS_WITH(glm::make_batch({}), "glm: there is no sequence; give at least one");
}

TEST_CASE("glm: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<glm::Config, std::string>>{
             {{.width = 0}, "glm: 30592 tokens, width 0, depth 24, inner width 4096: sizes must be positive"},
             {{.depth = -1}, "glm: 30592 tokens, width 1024, depth -1, inner width 4096: sizes must be positive"},
             {{.mlp_width = 0}, "glm: 30592 tokens, width 1024, depth 24, inner width 0: sizes must be positive"},
             {{.heads = 0}, "glm: 0 heads do not divide a width of 1024"},
             {{.alpha = -1},
              "glm: a factor alpha of -1.000000 and a rotary base of 10000.000000, the first may not be negative (0 = "
              "sqrt(2 L)), the second must be above 0; 10000 is usual"},
             {{.rotary_base = 0},
              "glm: a factor alpha of 0.000000 and a rotary base of 0.000000, the first may not be negative (0 = "
              "sqrt(2 L)), the second must be above 0; 10000 is usual"},
         })
        CHECK_THROWS_WITH(glm::make_weights(config, random), text.c_str());
    const glm::Config smallest{.vocabulary = 1,
                               .positions = 1,
                               .width = 1,
                               .depth = 0,
                               .heads = 1,
                               .mlp_width = 1,
                               .eps = 0,
                               .alpha = 0,
                               .rotary_base = 0.5f};
    CHECK_NOTHROW(glm::make_weights(smallest, random));
}

TEST_CASE("glm::SpecialTokens: the defaults") {
    const glm::SpecialTokens usual{};
    CHECK(usual.mask == -1);
    CHECK(usual.long_mask == -1);
    CHECK(usual.sentence_mask == -1);
    CHECK(usual.start == -1);
    CHECK(usual.end == -1);
}

TEST_CASE("glm::Config: the defaults") {
    const glm::Config usual{};
    CHECK(usual.version == glm::Version::glm);
    CHECK(usual.vocabulary == 30592);
    CHECK(usual.positions == 512);
    CHECK(usual.width == 1024);
    CHECK(usual.depth == 24);
    CHECK(usual.heads == 16);
    CHECK(usual.mlp_width == 4096);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.alpha == 0);
    CHECK(usual.rotary_base == 10000);
}

TEST_CASE("loss: a mark that is neither 0 nor 1, and marks of another number, are refused") {
    glm::Batch batch = glm::make_batch({glm::cut_spans({6, 7, 8}, {{1, 2}}, {0}, 1, special)});
    const glm::Config config = tiny(glm::Version::glm);
    const glm::Steps steps = glm::forward(batch, tiny_weights(glm::Version::glm), config);
    CHECK(error_of([&] { glm::loss(steps, batch); }).empty());
    for (const int mark : {2, -1}) {
        batch.loss_mask[1] = mark;
        CHECK(error_of([&] { glm::loss(steps, batch); }) ==
              "glm: target 1 is marked " + std::to_string(mark) + ", it must be 1 (it counts) or 0");
    }
    batch.loss_mask.pop_back();
    CHECK(error_of([&] { glm::loss(steps, batch); }) == "glm: 5 targets and 4 marks of those that count; each needs one");
}

TEST_SUITE_END();
