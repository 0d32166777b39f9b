#include "gpt/families/palm.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/gpt/decoder_checks.h"
#include "tests/gpt/published_file.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("palm");

static palm::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.vocabulary = file.metadata_int("num_tokens"),
            .width = file.metadata_int("dim"),
            .depth = file.metadata_int("depth"),
            .heads = file.metadata_int("heads"),
            .head_width = file.metadata_int("dim_head"),
            .mlp_width = file.metadata_int("ff_mult") * file.metadata_int("dim"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

TEST_CASE("palm: every step, the loss, the z-loss and every gradient equal the community implementation's") {
    for (const std::string& path : golden_files("palm")) {
        const Golden golden(path);
        const palm::Config config = config_of_fixture(golden);
        const TokenBatch batch = make_batch(sequences_of(golden, "input.input_ids"));
        Random random;
        const palm::Weights w = palm::make_weights(config, random);
        const Parameters parameters = palm::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const palm::Steps steps = palm::forward(batch, w, config);
        const Var loss = palm::loss(steps, batch);
        const float z_weight = static_cast<float>(golden.file.metadata_double("z_loss_weight"));

        golden.check("embeddings", steps.embeddings.value());
        check_stack(golden, steps.decoder, config.depth,
                    {{"block.#.norm", Step::norm1},
                     {"block.#.attention", Step::weights},
                     {"block.#.heads", Step::context},
                     {"block.#.attn_out", Step::attention_output},
                     {"block.#.ff_out", Step::mlp_output},
                     {"block.#", Step::output}},
                    {.sequences = batch.sequences, .heads = config.heads});
        golden.check("norm", steps.hidden.value());
        golden.check("logits", steps.logits.value());
        golden.check("loss", loss.value());
        golden.check("z_loss", palm::z_loss(steps, batch, z_weight).value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- properties ---

// All sizes differ: V = 11, E = 10, 3 heads of 4 (H h = 12, not E), I = 14.
static const palm::Config tiny{.vocabulary = 11, .width = 10, .depth = 2, .heads = 3, .head_width = 4, .mlp_width = 14};

static palm::Weights tiny_weights() {
    Random random(1);
    return palm::make_weights(tiny, random, {.draw = Draw::normal, .stddev = 0.5f});
}

TEST_CASE("palm: a block is z + attention(N(z)) + mlp(N(z)), and both read the same norm") {
    const palm::Weights w = tiny_weights();
    const KeepSteps keep;
    const palm::Steps steps = palm::forward(make_batch({{1, 2, 3, 4}}), w, tiny);
    const BlockSteps& first = steps.decoder.blocks[0];
    const Var sum = add(add(steps.embeddings, first.attention.output), first.mlp.output);
    check_close("sum", first.output.value(), sum.value());
    CHECK(identical(first.norm1.value(), first.norm2.value()));
    CHECK(!w.blocks[0].norm2.gain);
}

TEST_CASE("palm: all heads share one key and one value: the cache holds h numbers of each per token and block") {
    const palm::Weights w = tiny_weights();
    CHECK(shape(w.blocks[0].attention.query.weight.value()) == "(10, 12)");
    CHECK(shape(w.blocks[0].attention.key.weight.value()) == "(10, 4)");
    const Memory memory = palm::make_memory(tiny, 1, 5);
    CHECK(shape(memory.blocks[0].keys.value()) == "(5, 4)");
    CHECK(shape(memory.blocks[0].values.value()) == "(5, 4)");
}

TEST_CASE("palm: all projections of the normalised input are one tensor of H h + 2 h + 2 I rows") {
    const palm::Weights w = tiny_weights();
    const Parameters table = palm::parameters(w, tiny);
    // by hand: 3 * 4 + 2 * 4 + 2 * 14 = 48
    CHECK(table[2].name == "1.fn.fused_attn_ff_proj.weight");
    CHECK(table[2].shape == std::vector<long>{48, 10});
    CHECK(table.back().name == "3.gamma");
}

TEST_CASE("z_loss: the square of log Z over rows with a next token") {
    // by hand: logits 0 0 0 0 give Z = 4 and log Z = ln 4; the last row, whose Z is another, has no next token
    palm::Steps steps;
    steps.logits = Var(Matrix{{0, 0, 0, 0}, {1, 1, 1, 1}, {5, 5, 5, 5}});
    const double ln4 = std::log(4.0);
    CHECK(palm::z_loss(steps, make_batch({{0, 1, 2}}), 1).value()[0] == doctest::Approx((ln4 * ln4 + (1 + ln4) * (1 + ln4)) / 2));
    CHECK(palm::z_loss(steps, make_batch({{0, 1, 2}})).value()[0] ==
          doctest::Approx(1e-4 * (ln4 * ln4 + (1 + ln4) * (1 + ln4)) / 2));
    CHECK_THROWS_WITH(palm::z_loss(steps, make_batch({{0}, {1}, {2}})),
                      "palm: none of 3 rows of the batch has a next token; a text needs at least 2 tokens");
}

TEST_CASE("z_loss: its gradient agrees with finite differences") {
    check_gradient_by_differences(
        [](const std::vector<Var>& inputs) {
            palm::Steps steps;
            steps.logits = inputs[0];
            return palm::z_loss(steps, make_batch({{0, 1, 2}}), 0.5f);
        },
        {Matrix{{0.1f, -0.4f, 0.3f}, {1, 0.2f, -1}, {0.5f, 0.5f, 0}}});
}

TEST_CASE("palm: later tokens do not affect earlier positions") { check_causal(tiny_weights(), tiny); }

TEST_CASE("palm: left padding changes no logit, and no generated token") { check_left_padding(tiny_weights(), tiny); }

TEST_CASE("palm: read_on equals the full pass, also with left padding") { check_reading_on(tiny_weights(), tiny); }

TEST_CASE("palm: generate and beam_search equal the full pass, with and without padding") { check_writing(tiny_weights(), tiny); }

TEST_CASE("palm::config_of: infers heads, head width and inner width from the shapes of a sharded bfloat16 file") {
    const palm::Weights w = tiny_weights();
    const Parameters table = palm::parameters(w, tiny);
    make_exact_in_half(table);
    const Matrix logits = palm::forward(make_batch({{1, 2, 3}}), w, tiny).logits.value();
    const TemporaryFolder folder;
    const Safetensors file(write_published(folder, tensors_of(table), {.precision = Precision::bfloat16, .shards = 2}, ""));
    const palm::Config config = palm::config_of(file);
    CHECK(config.heads == 3);
    CHECK(config.head_width == 4);
    CHECK(config.mlp_width == 14);
    CHECK(config.depth == 2);
    Random random(2);
    const palm::Weights other = palm::make_weights(config, random);
    load(palm::parameters(other, config), file);
    CHECK(identical(palm::forward(make_batch({{1, 2, 3}}), other, config).logits.value(), logits));

    // 12 of queries, 28 of the MLP; the rest is a key and a value: 7 are odd, 0 are none, halves of 10 do not divide 12
    for (const long rows : {47, 40, 50}) {
        std::vector<PublishedTensor> odd = tensors_of(table);
        for (PublishedTensor& tensor : odd)
            if (tensor.name == "1.fn.fused_attn_ff_proj.weight")
                tensor = {tensor.name, {rows, 10}, Matrix(static_cast<int>(rows), 10)};
        const Safetensors broken(write_published(folder, odd, {}, ""));
        const std::string place = broken.path + ": " + std::to_string(rows) + " rows of 1.fn.fused_attn_ff_proj.weight";
        CHECK(error_of([&] { palm::config_of(broken); }).starts_with(place + " are not 12 of queries, two of 14"));
    }
}

TEST_CASE("palm: rejects an inconsistent config or batch, and names the reason") {
    Random random;
    CHECK_THROWS_WITH(palm::make_weights({.heads = 4, .head_width = 3}, random),
                      "palm: 4 heads of width 3: there must be one at least, of an even width, as columns are turned in pairs");
    CHECK_THROWS_WITH(palm::make_weights({.vocabulary = 0}, random),
                      "palm: 0 tokens, width 18432, depth 118, inner width 73728: sizes must be positive");
    CHECK(without_place(error_of([&] {
              palm::forward(make_batch({{1, 11}}), tiny_weights(), tiny);
          })) == "embed: id 11 is outside a table of 11 rows, counted from 0");
}

TEST_CASE("palm: a depth that the weights do not have, an eps below 0 and a text that is all padding are refused") {
    Random random(1);
    const palm::Config config{.vocabulary = 7, .width = 8, .depth = 1, .heads = 2, .head_width = 4, .mlp_width = 6};
    check_refusals("palm", palm::make_weights(config, random), config);
}

TEST_CASE("palm: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<palm::Config, std::string>>{
             {{.width = 0}, "palm: 256000 tokens, width 0, depth 118, inner width 73728: sizes must be positive"},
             {{.depth = -1}, "palm: 256000 tokens, width 18432, depth -1, inner width 73728: sizes must be positive"},
             {{.mlp_width = 0}, "palm: 256000 tokens, width 18432, depth 118, inner width 0: sizes must be positive"},
             {{.heads = 0},
              "palm: 0 heads of width 256: there must be one at least, of an even width, as columns are turned in pairs"},
             {{.head_width = 0},
              "palm: 48 heads of width 0: there must be one at least, of an even width, as columns are turned in pairs"},
             {{.rotary_base = 0}, "palm: a rotary base of 0.000000, it must be above 0; 10000 is usual"},
         })
        CHECK_THROWS_WITH(palm::make_weights(config, random), text.c_str());
    const palm::Config smallest{
        .vocabulary = 1, .width = 1, .depth = 0, .heads = 1, .head_width = 2, .mlp_width = 1, .eps = 0, .rotary_base = 0.5f};
    CHECK_NOTHROW(palm::make_weights(smallest, random));
}

TEST_CASE("palm::Config: the defaults") {
    const palm::Config usual{};
    CHECK(usual.vocabulary == 256000);
    CHECK(usual.width == 18432);
    CHECK(usual.depth == 118);
    CHECK(usual.heads == 48);
    CHECK(usual.head_width == 256);
    CHECK(usual.mlp_width == 73728);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.rotary_base == 10000);
}

TEST_CASE("palm: heads of other widths than the weights', too wide heads and a z-loss of no number are refused") {
    Random random(1);
    palm::Config wide = tiny;
    wide.heads = wide.head_width = 65536;
    CHECK(error_of([&] { palm::make_weights(wide, random); }) ==
          "palm: 65536 heads of width 65536 are wider than the 2147483647 columns of a matrix");
    const palm::Weights w = tiny_weights();
    const TokenBatch batch = make_batch({{1, 2, 3}});
    const auto refusal = [&](int heads, int head_width) {
        palm::Config other = tiny;
        other.heads = heads;
        other.head_width = head_width;
        return error_of([&] { palm::forward(batch, w, other); });
    };
    CHECK(refusal(3, 4).empty());
    CHECK(refusal(4, 4).starts_with("palm: the query matrix is (10, 12), the configuration says (10, 16)"));
    CHECK(refusal(6, 2).starts_with("palm: the key matrix is (10, 4), the configuration says (10, 2)"));
    CHECK(error_of([&] { palm::parameters({}, tiny); }).starts_with("palm: the configuration says 2 blocks, the weights hold 0"));
    const palm::Steps steps = palm::forward(batch, w, tiny);
    CHECK(palm::z_loss(steps, batch, 0).value()[0] == 0);
    for (const float weight : {NAN, INFINITY, -1.0f})
        CHECK(error_of([&] {
                  palm::z_loss(steps, batch, weight);
              }).ends_with(", the factor must be finite and at least 0; 1e-4 is usual"));
}

TEST_SUITE_END();
