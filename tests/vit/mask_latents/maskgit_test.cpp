#include "vit/mask_latents/maskgit.h"

#include <cmath>
#include <limits>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"

TEST_SUITE_BEGIN("maskgit");

static maskgit::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(file.metadata_text("gelu") == "tanh");
    CHECK(file.metadata_int("mask_token_id") == maskgit::mask_token);
    const maskgit::Config config{.codebook_size = file.metadata_int("codebook_size"),
                                 .classes = file.metadata_int("num_class"),
                                 .down = file.metadata_int("latent_height"),
                                 .across = file.metadata_int("latent_width"),
                                 .width = file.metadata_int("hidden_size"),
                                 .depth = file.metadata_int("num_hidden_layers"),
                                 .heads = file.metadata_int("num_attention_heads"),
                                 .mlp_width = file.metadata_int("intermediate_size"),
                                 .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
                                 .label_smoothing = static_cast<float>(file.metadata_double("label_smoothing"))};
    CHECK(config.vocabulary() == file.metadata_int("vocab_size"));
    CHECK(config.vocabulary() - 1 == file.metadata_int("mask_token_row"));
    CHECK(config.count() + 1 == file.metadata_int("max_position_embeddings"));
    return config;
}

static std::vector<float> floats_of(const Golden& golden, const std::string& name) {
    const Matrix numbers = numbers_of(golden, name);
    return {numbers.begin(), numbers.end()};
}

// The fixtures keep 1e30 where we have infinity.
static Matrix finite(Matrix m) {
    for (float& x : m)
        if (x == std::numeric_limits<float>::infinity()) x = 1e30f;
    return m;
}

static void check_schedules(const Golden& golden) {
    const std::vector<float> ratios = floats_of(golden, "input.schedule_ratio");
    const double total = golden.integers("input.schedule_total")[0];
    const std::string prefix = "expected.schedule.";
    for (const auto& [tensor, info] : golden.file.tensors) {
        if (tensor.rfind(prefix, 0) != 0) continue;
        const std::string name = tensor.substr(prefix.size());
        std::vector<float> shares;
        for (const float r : ratios)
            shares.push_back(static_cast<float>(maskgit::masked_fraction(maskgit::schedule_of_name(name), r, total)));
        golden.check("schedule." + name, row_of(shares));
    }
}

static void check_masking(const Golden& golden, const maskgit::MaskedBatch& batch, const maskgit::MaskSchedule& schedule) {
    std::vector<float> ratios;
    for (const float r : floats_of(golden, "input.ratio"))
        ratios.push_back(static_cast<float>(maskgit::masked_fraction(schedule, r, batch.mask.cols)));
    std::vector<int> counts;
    for (const float count : row_sums(batch.mask).value()) counts.push_back(static_cast<int>(count));
    golden.check("mask_ratio", row_of(ratios));
    golden.check_integers("mask_count", counts);
    golden.check_integers("mask", integers_of(batch.mask));
    golden.check_integers("masked_ids", batch.ids);
    CHECK(batch.labels == golden.integers("input.labels"));
}

static void check_decoding(const Golden& golden, const maskgit::Weights& w, const maskgit::Config& config) {
    const Safetensors& file = golden.file;
    const maskgit::Decoding how{.rounds = file.metadata_int("num_iter"),
                                .first_round = file.metadata_int("start_iter"),
                                .choice_temperature = static_cast<float>(file.metadata_double("choice_temperature")),
                                .schedule = maskgit::schedule_of_name(file.metadata_text("mask_scheduling_method"))};
    const maskgit::Draws draws{numbers_of(golden, "input.decode.sample_gumbel"),
                               numbers_of(golden, "input.decode.choice_gumbel")};
    const std::vector<maskgit::Round> rounds = maskgit::decode(golden.integers("input.decode.start_ids"), draws, w, config, how);
    for (std::size_t i = 0; i < rounds.size(); ++i) {
        const std::string number = std::to_string(i), step = "decode.step_" + number + ".";
        if (golden.has("expected.decode.logits_step_" + number)) golden.check("decode.logits_step_" + number, rounds[i].logits);
        golden.check_integers(step + "input_ids", rounds[i].ids);
        golden.check_integers(step + "sampled_ids", rounds[i].sampled);
        golden.check(step + "selected_probs", finite(rounds[i].probabilities));
        golden.check_integers(step + "mask_len", rounds[i].to_mask);
        golden.check(step + "temperature", rounds[i].temperature);
        golden.check(step + "confidence", finite(rounds[i].confidence));
        golden.check_integers(step + "masking", integers_of(rounds[i].mask));
    }
    golden.check_integers("decode.final_ids", rounds.back().sampled);
}

TEST_CASE("maskgit: schedules, every step, loss, gradient and round of decoding equal the published implementation's") {
    for (const std::string& path : golden_files("maskgit")) {
        const Golden golden(path);
        const maskgit::Config config = golden_config(golden);
        Random random;
        const maskgit::Weights w = maskgit::make_weights(config, random);
        const Parameters parameters = maskgit::parameters(w, config);
        golden.load_weights(parameters);
        check_schedules(golden);
        const maskgit::MaskSchedule schedule = maskgit::schedule_of_name(golden.file.metadata_text("mask_scheduling_method"));
        const maskgit::MaskedBatch batch =
            maskgit::mask_tokens(golden.integers("input.tokens"), golden.integers("input.class_label"),
                                 floats_of(golden, "input.ratio"), golden.input("mask_noise"), schedule, config);
        check_masking(golden, batch, schedule);

        const Tape tape;
        const maskgit::Steps steps = maskgit::forward(batch.ids, w, config);
        golden.check("embeddings", steps.embeddings.value());
        check_stack(golden, steps.encoder, config.depth,
                    {{"layer_#.attention_probs", Step::weights},
                     {"layer_#.attention_output", Step::after_attention},
                     {"layer_#.output", Step::output}});
        golden.check("mlm_hidden", steps.hidden.value());
        golden.check("logits", steps.logits.value());

        Matrix all(batch.mask.rows, batch.mask.cols + 1, 1);
        for (int b = 0; b < all.rows; ++b) all(b, 0) = 0;
        const Var loss_all = maskgit::weighted_loss(steps.logits, batch.labels, all, config.label_smoothing);
        golden.check("loss_all", loss_all.value());
        golden.check("loss_unsmoothed",
                     maskgit::weighted_loss(steps.logits, batch.labels, golden.input("loss_weights"), 0).value());
        const Var loss = golden.flag("compute_loss_for_all") ? loss_all : maskgit::loss(steps, batch, config);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        check_decoding(golden, w, config);
        golden.check_all_used();
    }
}

// --- properties ---

static const maskgit::Config tiny{.codebook_size = 5,
                                  .classes = 3,
                                  .down = 2,
                                  .across = 4,
                                  .width = 12,
                                  .depth = 2,
                                  .heads = 3,
                                  .mlp_width = 10,
                                  .label_smoothing = 0.1f};

TEST_CASE("masked_fraction: cosine, uniform and square schedules at the middle and the ends, by hand") {
    const auto at_half = [](const char* name) { return maskgit::masked_fraction(maskgit::schedule_of_name(name), 0.5, 16); };
    CHECK(at_half("cosine") == Approx(std::sqrt(0.5)));
    CHECK(at_half("uniform") == Approx(0.5));
    CHECK(at_half("pow2") == Approx(0.75));
    CHECK(at_half("log") == Approx(1 / 4.0));            // -log2(1/2) / log2(16)
    CHECK(at_half("exp") == Approx(1 - 1 / 4.0));        // 1 - 2^(-4 / 2)
    CHECK(maskgit::masked_fraction({}, 1, 16) == 1e-6);  // never quite nothing
    CHECK(maskgit::masked_fraction(maskgit::schedule_of_name("log"), 0, 16) == 1);
    CHECK_THROWS_WITH(maskgit::schedule_of_name("square"),
                      "maskgit: 'square' is not one of cosine, uniform, pow2, pow2.5, ..., log, exp");
    CHECK_THROWS_WITH(maskgit::schedule_of_name("pow"),
                      "maskgit: 'pow' is not one of cosine, uniform, pow2, pow2.5, ..., log, exp");
}

TEST_CASE("tokens_to_mask: 16 tokens in 3 rounds; 16 cos(pi / 3) is 8, not 7.9999995") {
    const maskgit::Decoding how{.rounds = 3};
    CHECK(maskgit::tokens_to_mask(0, 16, 16, how) == 13);  // 16 cos(pi / 6) = 13.86
    CHECK(maskgit::tokens_to_mask(1, 16, 13, how) == 8);   // 16 cos(pi / 3)
    CHECK(maskgit::tokens_to_mask(2, 16, 8, how) == 1);    // at least one, although the answer does not need it
    CHECK(maskgit::tokens_to_mask(0, 16, 10, how) == 9);   // a round always fixes a token
}

TEST_CASE("mask_tokens: ceil(cos(pi r / 2) N) tokens with the smallest noise; class and visible tokens stay") {
    const Matrix noise{{0.9f, 0.1f, 0.8f, 0.2f, 0.7f, 0.3f, 0.6f, 0.4f}};
    const std::vector<int> tokens{0, 1, 2, 3, 4, 0, 1, 2};
    const maskgit::MaskedBatch batch = maskgit::mask_tokens(tokens, {2}, {2 / 3.0f}, noise, {}, tiny);  // cos(pi / 3) 8 = 4
    CHECK(batch.ids == std::vector<int>{7, 0, -1, 2, -1, 4, -1, 1, -1});
    CHECK(batch.labels == std::vector<int>{7, 0, 1, 2, 3, 4, 0, 1, 2});
    const maskgit::MaskedBatch all = maskgit::mask_tokens(tokens, {2}, {0}, noise, {}, tiny);
    CHECK(identical(all.mask, Matrix(1, 8, 1)));
}

TEST_CASE("weighted_loss: each image counts equally, however many of its tokens are masked") {
    // Two images of 2 positions. Logits ln 3 and 0: p = 3/4, 1/4. Losses of label 0: ln(4/3); of label 1: ln 4.
    const float ln3 = std::log(3.0f);
    const Var logits = Matrix{{ln3, 0}, {ln3, 0}, {ln3, 0}, {ln3, 0}};
    const double a = std::log(4 / 3.0), b = std::log(4.0);
    const float loss = maskgit::weighted_loss(logits, {0, 0, 1, 0}, {{1, 1}, {1, 0}}, 0).value()(0, 0);
    CHECK(loss == Approx((a + b) / 2));  // not (a + a + b) / 3
    const float smoothed = maskgit::weighted_loss(logits, {0, 0, 0, 0}, {{1, 1}, {1, 1}}, 0.2f).value()(0, 0);
    CHECK(smoothed == Approx(0.9 * a + 0.1 * b));  // the label has 0.8 + 0.2 / 2
    CHECK_THROWS_WITH(maskgit::weighted_loss(logits, {0, 0, 0, 0}, {{1, 1}, {0, 0}}, 0),
                      "maskgit: image 1 has no weight: nothing of it is masked");
}

static maskgit::Weights tiny_weights() {
    Random random(4);
    return maskgit::make_weights(tiny, random, {.stddev = 0.4f});
}

TEST_CASE("decode: known tokens stay, only codes of the tokenizer are sampled, and each round masks fewer") {
    const maskgit::Weights w = tiny_weights();
    Random random(5);
    const maskgit::Decoding how{.rounds = 5};
    std::vector<int> ids = maskgit::empty_images({0, 2}, tiny);
    ids[3] = 4;  // given
    const std::vector<maskgit::Round> rounds = maskgit::decode(ids, maskgit::draw_gumbel(random, 2, tiny, how), w, tiny, how);
    std::vector<int> masked{7, 8};
    for (const maskgit::Round& round : rounds) {
        CHECK(round.sampled[0] == 5);
        CHECK(round.sampled[9] == 7);
        CHECK(round.sampled[3] == 4);
        for (const int token : maskgit::tokens_of(round.sampled, tiny)) CHECK((token >= 0 && token < 5));
        for (int b = 0; b < 2; ++b) {
            int again = 0;
            for (int i = 0; i < 9; ++i) again += round.mask(b, i) == 1;
            CHECK(again == round.to_mask[b]);
            CHECK((again < masked[b] || again == 1));
            masked[b] = again;
        }
    }
    CHECK(rounds.back().temperature == 0);
}

TEST_CASE("decode: without noise each token is the most probable one, and the most confident are kept first") {
    const maskgit::Weights w = tiny_weights();
    const maskgit::Decoding how{.rounds = 8};
    const maskgit::Draws no_noise{Matrix(8 * 9, 5), Matrix(8, 9)};
    const std::vector<maskgit::Round> rounds = maskgit::decode(maskgit::empty_images({1}, tiny), no_noise, w, tiny, how);
    const Matrix& p = rounds[0].probabilities;
    int surest = 1;
    for (int i = 1; i < 9; ++i) {
        CHECK(rounds[0].sampled[i] == argmax_row(rounds[0].logits, i));
        if (p(0, i) > p(0, surest)) surest = i;
    }
    CHECK(rounds[1].ids[surest] == rounds[0].sampled[surest]);
}

TEST_CASE("forward: each position attends to all positions of its image, and to no other image") {
    const maskgit::Weights w = tiny_weights();
    std::vector<int> ids = maskgit::empty_images({0, 0}, tiny);
    const Matrix before = maskgit::forward(ids, w, tiny).logits.value();
    ids[8] = 2;  // the last token of image 0
    const Matrix after = maskgit::forward(ids, w, tiny).logits.value();
    CHECK(!identical(slice_rows(after, 1, 1), slice_rows(before, 1, 1)));
    CHECK(identical(slice_rows(after, 9, 9), slice_rows(before, 9, 9)));
}

TEST_CASE("draw_gumbel: the argmax of logits + noise is a sample of their softmax") {
    Random random(6);
    const maskgit::Config config{.codebook_size = 2, .classes = 1, .down = 50, .across = 200};
    const Matrix noise = maskgit::draw_gumbel(random, 1, config, {.rounds = 1}).tokens;  // (10001, 2)
    const float ln3 = std::log(3.0f);
    int first = 0;
    for (int i = 0; i < noise.rows; ++i) first += ln3 + noise(i, 0) > noise(i, 1);
    CHECK(first / 10001.0 == Approx(0.75).epsilon(0.03));
}

TEST_CASE("maskgit: inconsistent ids, draws and configs throw an error that gives the reason") {
    const maskgit::Weights w = tiny_weights();
    Random random;
    CHECK_THROWS_WITH(maskgit::make_weights({.width = 10, .heads = 3}, random), "maskgit: 3 heads do not divide a width of 10");
    CHECK_THROWS_WITH(maskgit::forward(std::vector<int>(10), w, tiny),
                      "maskgit: 10 ids are not whole sequences of a class and 8 tokens");
    CHECK_THROWS_WITH(maskgit::forward(std::vector<int>(9, 8), w, tiny),
                      "maskgit: id 8 is not one of 5 tokens, 3 classes, or -1 (masked)");
    CHECK_THROWS_WITH(maskgit::empty_images({3}, tiny), "maskgit: class 3 is not one of 3, counted from 0");
    CHECK_THROWS_WITH(maskgit::decode(maskgit::empty_images({0}, tiny), {}, w, tiny, {.rounds = 2, .first_round = 2}),
                      "maskgit: decoding from round 2 of 2; no round is left, they are counted from 0");
    CHECK_THROWS_WITH(maskgit::decode(maskgit::empty_images({0}, tiny), {Matrix(9, 5), Matrix(1, 9)}, w, tiny, {.rounds = 2}),
                      "maskgit: draws (9, 5) and (1, 9) for 2 rounds, 1 images of 9 ids and 5 tokens");
}

TEST_CASE(
    "maskgit: a depth that the weights do not have, fractions above 1, NaN noise and ids of part of a image "
    "are refused") {
    Random random(1);
    const maskgit::Config config{
        .codebook_size = 5, .classes = 2, .down = 1, .across = 2, .width = 4, .depth = 1, .heads = 1, .mlp_width = 4};
    const maskgit::Weights w = maskgit::make_weights(config, random);
    maskgit::Config deeper = config;
    deeper.depth = 2;
    CHECK_THROWS_WITH(
        maskgit::forward({5, 1, 2}, w, deeper),
        "maskgit: the configuration says 2 blocks, the weights hold 1; pass the configuration that the weights were made with");
    CHECK_THROWS_WITH(maskgit::mask_tokens({1, 2}, {0}, {1.5f}, Matrix(1, 2), {}, config),
                      "maskgit: a fraction of 1.500000, it must lie between 0 and 1");
    CHECK_THROWS_WITH(maskgit::mask_tokens({1, 2}, {0}, {0.5f}, {{NAN, 0}}, {}, config),
                      "maskgit: the numbers of noise (1, 2) hold nan in row 0, column 0 (from 0); all must be finite, "
                      "trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(maskgit::decode({5, 1}, {}, w, config, {}),
                      "maskgit: 2 ids are not whole sequences of a class and 2 tokens");
}

TEST_CASE("masked_fraction, tokens_of: an r outside 0 to 1, and ids that are not whole images, are refused") {
    CHECK_THROWS_WITH(maskgit::masked_fraction({}, 1.5, 16),
                      "masked_fraction: r is 1.500000 for 16.000000 tokens; r must be from 0 to 1, and there must be a token");
    CHECK_THROWS_WITH(maskgit::tokens_of({1, 2, 3}, {.down = 2, .across = 2}),
                      "maskgit: 3 ids are not whole sequences of a class and 4 tokens");
}

TEST_CASE("decode: an invalid choice temperature, first round, id or draw is refused") {
    Random random;
    const maskgit::Weights w = maskgit::make_weights(tiny, random);
    const std::vector<int> ids = maskgit::empty_images({0}, tiny);
    CHECK_THROWS_WITH(maskgit::decode(ids, {}, w, tiny, {.rounds = 2, .choice_temperature = -1}),
                      "maskgit: a choice temperature of -1.000000, it must be finite and at least 0; 4.5 is usual");
    CHECK_THROWS_WITH(maskgit::decode(ids, {}, w, tiny, {.rounds = 2, .choice_temperature = INFINITY}),
                      "maskgit: a choice temperature of inf, it must be finite and at least 0; 4.5 is usual");
    CHECK_THROWS_WITH(maskgit::decode(ids, {}, w, tiny, {.rounds = 2, .first_round = -1}),
                      "maskgit: decoding from round -1 of 2; no round is left, they are counted from 0");
    CHECK_THROWS_WITH(maskgit::decode({}, {}, w, tiny, {.rounds = 2}),
                      "maskgit: 0 ids are not whole sequences of a class and 8 tokens");
    CHECK_THROWS_WITH(maskgit::decode(ids, {Matrix(9, 5), Matrix(2, 9)}, w, tiny, {.rounds = 2}),
                      "maskgit: draws (9, 5) and (2, 9) for 2 rounds, 1 images of 9 ids and 5 tokens");
    CHECK_THROWS_WITH(maskgit::decode(ids, {Matrix(18, 4), Matrix(2, 9)}, w, tiny, {.rounds = 2}),
                      "maskgit: draws (18, 4) and (2, 9) for 2 rounds, 1 images of 9 ids and 5 tokens");
    CHECK_THROWS_WITH(maskgit::decode(ids, {Matrix(18, 5), Matrix(1, 9)}, w, tiny, {.rounds = 2}),
                      "maskgit: draws (18, 5) and (1, 9) for 2 rounds, 1 images of 9 ids and 5 tokens");
    CHECK_THROWS_WITH(maskgit::decode(ids, {Matrix(18, 5), Matrix(2, 8)}, w, tiny, {.rounds = 2}),
                      "maskgit: draws (18, 5) and (2, 8) for 2 rounds, 1 images of 9 ids and 5 tokens");
}

TEST_CASE("make_weights: every invalid size is refused by itself, the smallest valid one is accepted") {
    Random random;
    const std::string rule = ": sizes must be positive";
    for (const auto& [config, text] : std::vector<std::pair<maskgit::Config, std::string>>{
             {{.codebook_size = 0}, "maskgit: 0 tokens, 1000 classes, a grid of 16 x 16, depth 24, inner width 3072" + rule},
             {{.classes = 0}, "maskgit: 1024 tokens, 0 classes, a grid of 16 x 16, depth 24, inner width 3072" + rule},
             {{.down = 0}, "maskgit: 1024 tokens, 1000 classes, a grid of 0 x 16, depth 24, inner width 3072" + rule},
             {{.across = 0}, "maskgit: 1024 tokens, 1000 classes, a grid of 16 x 0, depth 24, inner width 3072" + rule},
             {{.depth = -1}, "maskgit: 1024 tokens, 1000 classes, a grid of 16 x 16, depth -1, inner width 3072" + rule},
             {{.mlp_width = 0}, "maskgit: 1024 tokens, 1000 classes, a grid of 16 x 16, depth 24, inner width 0" + rule},
             {{.eps = -1}, "maskgit: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual"},
             {{.heads = 0}, "maskgit: 0 heads do not divide a width of 768"},
             {{.width = 0}, "maskgit: 16 heads do not divide a width of 0"},
             {{.label_smoothing = -0.5f}, "maskgit: a label smoothing of -0.500000 is outside [0, 1)"},
             {{.label_smoothing = 1}, "maskgit: a label smoothing of 1.000000 is outside [0, 1)"},
         })
        CHECK_THROWS_WITH(maskgit::make_weights(config, random), text.c_str());
    const maskgit::Config least{.codebook_size = 1,
                                .classes = 1,
                                .down = 1,
                                .across = 1,
                                .width = 1,
                                .depth = 0,
                                .heads = 1,
                                .mlp_width = 1,
                                .eps = 0,
                                .label_smoothing = 0};
    CHECK_NOTHROW(maskgit::make_weights(least, random));
}

TEST_CASE("masked_fraction, mask_tokens, weighted_loss: each argument check fails by itself, the limits are allowed") {
    const std::string r_rule = " tokens; r must be from 0 to 1, and there must be a token";
    CHECK(error_of([] { maskgit::masked_fraction({}, -0.5, 1); }) == "masked_fraction: r is -0.500000 for 1.000000" + r_rule);
    CHECK(error_of([] { maskgit::masked_fraction({}, 0.5, 0); }) == "masked_fraction: r is 0.500000 for 0.000000" + r_rule);
    CHECK(maskgit::masked_fraction({}, 0, 1) == 1);

    const maskgit::Config pair{.codebook_size = 3, .classes = 1, .down = 1, .across = 2};
    const auto refusal = [&](std::vector<int> tokens, std::vector<int> classes, std::vector<float> r, const Matrix& noise) {
        return error_of([&] { maskgit::mask_tokens(tokens, classes, r, noise, {}, pair); });
    };
    const std::string needs = " tokens; each token needs a number of noise, each image a fraction";
    CHECK(refusal({0, 2}, {0}, {0}, Matrix(1, 2)) == "");
    CHECK(refusal({0, 2}, {0}, {1}, Matrix(1, 2)) == "");
    CHECK(refusal({}, {}, {}, Matrix(0, 2)) == "maskgit: 0 tokens, 0 fractions and noise (0, 2) for 0 images of 2" + needs);
    CHECK(refusal({0}, {0}, {0}, Matrix(1, 2)) == "maskgit: 1 tokens, 1 fractions and noise (1, 2) for 1 images of 2" + needs);
    CHECK(refusal({0, 2}, {0}, {0, 0}, Matrix(1, 2)) ==
          "maskgit: 2 tokens, 2 fractions and noise (1, 2) for 1 images of 2" + needs);
    CHECK(refusal({0, 2}, {0}, {0}, Matrix(2, 2)) == "maskgit: 2 tokens, 1 fractions and noise (2, 2) for 1 images of 2" + needs);
    CHECK(refusal({0, 2}, {0}, {0}, Matrix(1, 3)) == "maskgit: 2 tokens, 1 fractions and noise (1, 3) for 1 images of 2" + needs);
    CHECK(refusal({0, 2}, {0}, {-0.5f}, Matrix(1, 2)) == "maskgit: a fraction of -0.500000, it must lie between 0 and 1");
    CHECK(refusal({0, 3}, {0}, {0}, Matrix(1, 2)) == "maskgit: token 3 is not one of 3, counted from 0");
    CHECK(refusal({-1, 2}, {0}, {0}, Matrix(1, 2)) == "maskgit: token -1 is not one of 3, counted from 0");
    CHECK(refusal({0, 2}, {-1}, {0}, Matrix(1, 2)) == "maskgit: class -1 is not one of 1, counted from 0");

    CHECK_THROWS_WITH(maskgit::weighted_loss(Matrix(3, 2), {0, 0, 0}, {{1, 1}}, 0),
                      "maskgit: weights (1, 2) for logits (3, 2); each row of logits needs one");
    const maskgit::Weights w = tiny_weights();
    CHECK_THROWS_WITH(maskgit::forward({}, w, tiny), "maskgit: 0 ids are not whole sequences of a class and 8 tokens");
    CHECK_THROWS_WITH(maskgit::forward(std::vector<int>(9, -2), w, tiny),
                      "maskgit: id -2 is not one of 5 tokens, 3 classes, or -1 (masked)");
}

TEST_CASE("decode: of equal logits the first token is taken; one round and a choice temperature of 0 are enough") {
    maskgit::Weights w = tiny_weights();
    w.token_embedding = Var(Matrix(w.token_embedding.rows(), w.token_embedding.cols()));
    w.bias = Var(Matrix(w.bias.rows(), w.bias.cols()));
    const maskgit::Draws no_noise{Matrix(9, 5), Matrix(1, 9)};
    const maskgit::Decoding once{.rounds = 1, .choice_temperature = 0};
    const std::vector<maskgit::Round> rounds = maskgit::decode(maskgit::empty_images({1}, tiny), no_noise, w, tiny, once);
    REQUIRE(rounds.size() == 1);
    CHECK(maskgit::tokens_of(rounds[0].sampled, tiny) == std::vector<int>(8, 0));
}

TEST_CASE("schedule_of_name: a power may be below 1, not 0") {
    CHECK(maskgit::schedule_of_name("pow0.5").exponent == 0.5);
    CHECK_THROWS_WITH(maskgit::schedule_of_name("pow0"),
                      "maskgit: 'pow0' is not one of cosine, uniform, pow2, pow2.5, ..., log, exp");
}

TEST_CASE("decode: each image of a batch hides one token less than before, where the schedule would hide as many") {
    const maskgit::Weights w = tiny_weights();
    Random random(5);
    const maskgit::Decoding how{.rounds = 16};  // 8 tokens: half of the rounds change nothing in floor(8 cos(pi / 2 t / 16))
    const std::vector<maskgit::Round> rounds =
        maskgit::decode(maskgit::empty_images({0, 2}, tiny), maskgit::draw_gumbel(random, 2, tiny, how), w, tiny, how);
    int before = 8;
    for (const maskgit::Round& round : rounds) {
        CHECK(round.to_mask[0] == round.to_mask[1]);
        CHECK((round.to_mask[1] < before || before == 1));
        before = round.to_mask[1];
    }
}

TEST_CASE("maskgit::Config: the defaults") {
    const maskgit::Config usual{};
    CHECK(usual.codebook_size == 1024);
    CHECK(usual.classes == 1000);
    CHECK(usual.down == 16);
    CHECK(usual.across == 16);
    CHECK(usual.width == 768);
    CHECK(usual.depth == 24);
    CHECK(usual.heads == 16);
    CHECK(usual.mlp_width == 3072);
    CHECK(usual.eps == 1e-12f);
    CHECK(usual.label_smoothing == 0.1f);
}

TEST_CASE("maskgit::MaskSchedule: the defaults") {
    const maskgit::MaskSchedule usual{};
    CHECK(usual.shape == maskgit::Shape::cosine);
    CHECK(usual.exponent == 1);
}

TEST_CASE("maskgit::Decoding: the defaults") {
    const maskgit::Decoding usual{};
    CHECK(usual.rounds == 8);
    CHECK(usual.first_round == 0);
    CHECK(usual.choice_temperature == 4.5f);
}

TEST_CASE("tokens_to_mask: a round that does not exist is refused") {
    const maskgit::Decoding how{.rounds = 2};
    CHECK_THROWS_WITH(maskgit::tokens_to_mask(-1, 10, 10, how), "maskgit: round -1 of 2, counted from 0");
    CHECK_THROWS_WITH(maskgit::tokens_to_mask(2, 10, 10, how), "maskgit: round 2 of 2, counted from 0");
    CHECK_NOTHROW(maskgit::tokens_to_mask(1, 10, 10, how));
}

TEST_CASE("maskgit: schedules, rounds, draws and sizes that are none are refused") {
    using namespace maskgit;
    for (const double exponent : {static_cast<double>(NAN), 0.0, -1.0})
        CHECK(error_of([&] {
                  masked_fraction({Shape::power, exponent}, 0.5, 4);
              }).ends_with(", it must be finite and above 0; 1 is linear"));
    CHECK(tokens_to_mask(0, 4, 1, {}) == 1);
    const std::string masked = " at first; there must be one, and no more than those";
    CHECK(error_of([] { tokens_to_mask(0, 4, 0, {}); }) == "maskgit: 0 tokens are masked of 4" + masked);
    CHECK(error_of([] { tokens_to_mask(0, 2, 3, {}); }) == "maskgit: 3 tokens are masked of 2" + masked);
    Random random(1);
    const Config config{
        .codebook_size = 5, .classes = 3, .down = 2, .across = 2, .width = 8, .depth = 1, .heads = 2, .mlp_width = 8};
    const std::string draws = "; there must be an image, and a round, from 0 on";
    CHECK(error_of([&] { draw_gumbel(random, 0, config, {}); }) == "maskgit: draws for 0 images in rounds 0 to 8" + draws);
    CHECK(error_of([&] { draw_gumbel(random, 1, config, {.rounds = 0}); }) ==
          "maskgit: draws for 1 images in rounds 0 to 0" + draws);
    CHECK(error_of([&] { draw_gumbel(random, 1, config, {.first_round = -1}); }).ends_with("in rounds -1 to 8" + draws));
    CHECK(error_of([&] {
              draw_gumbel(random, 1 << 15, config, {.rounds = 1 << 15});
          }).ends_with(" rounds of 32768 images of 5 ids are more than the 2147483647 rows of a matrix"));
    Config large = config;
    large.down = large.across = 65536;
    CHECK(
        error_of([&] { make_weights(large, random); }).starts_with("maskgit: a grid of 65536 x 65536 and 5 tokens of 3 classes"));
    large.down = 1;
    large.across = 2147483647;
    CHECK(error_of([&] { make_weights(large, random); }).ends_with(" classes are more than an int can count"));
    large = config;
    large.codebook_size = 2147483644;  // the table needs another row, of the mask token
    CHECK(error_of([&] { make_weights(large, random); }).ends_with(" classes are more than an int can count"));
    const Weights w = make_weights(config, random);
    const Draws good = draw_gumbel(random, 1, config, {.rounds = 2});
    for (Matrix Draws::*const which : {&Draws::tokens, &Draws::choice}) {
        Draws bad = good;
        (bad.*which)[3] = NAN;
        CHECK(error_of([&] {
                  decode(empty_images({0}, config), bad, w, config, {.rounds = 2});
              }).starts_with("maskgit: the draws of "));
    }
}

TEST_SUITE_END();
