#include "vit/mask_latents/data2vec.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/temporary_folder.h"

TEST_SUITE_BEGIN("data2vec");

static data2vec::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(!golden.flag("normalize_before"));
    CHECK(golden.flag("learned_pos"));
    CHECK(golden.flag("layernorm_embedding"));
    CHECK(golden.flag("ema_transformer_layers_only"));
    CHECK(file.metadata_text("activation_fn") == "gelu");
    return {.width = file.metadata_int("embed_dim"),
            .depth = file.metadata_int("layers"),
            .heads = file.metadata_int("attention_heads"),
            .mlp_width = file.metadata_int("ffn_embed_dim"),
            .average_layers = file.metadata_int("average_top_k_layers"),
            .head_layers = file.metadata_int("head_layers"),
            .normalise_tokens = golden.flag("layer_norm_target_layer"),
            .normalise_channels = golden.flag("instance_norm_target_layer"),
            .normalise_average = golden.flag("layer_norm_targets"),
            .beta = static_cast<float>(file.metadata_double("loss_beta")),
            .loss_scale = static_cast<float>(file.metadata_double("loss_scale")),
            .average = {.start = file.metadata_double("ema_decay"),
                        .end = file.metadata_double("ema_end_decay"),
                        .updates = file.metadata_int("ema_anneal_end_step")},
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps")),
            .vocabulary = file.metadata_int("vocab_size"),
            .positions = file.metadata_int("max_source_positions"),
            .padding_token = file.metadata_int("pad"),
            .mask_token = file.metadata_int("mask_idx")};
}

TEST_CASE("parity: student, teacher, targets, the loss, every gradient and the teacher's next weights") {
    for (const std::string& path : golden_files("data2vec")) {
        const Golden golden(path);
        const data2vec::Config config = golden_config(golden);
        Random random(1);
        const data2vec::Weights w = data2vec::make_weights(config, random);
        golden.load_weights(data2vec::parameters(w, config));
        const int B = golden.file.metadata_int("batch_size"), T = dimensions_of(golden, "input.src_tokens")[1], H = config.heads;
        Tape tape;
        const data2vec::TextModelSteps all =
            data2vec::forward(golden.integers("input.src_tokens"), golden.integers("input.target_tokens"), T, w, config);
        golden.check("embeddings", all.embedding.embeddings.value());
        check_stack(golden, all.steps.student, config.depth,
                    {{"layers.#.after_attention", Step::after_attention},
                     {"layers.#.fc_result", Step::mlp_output},
                     {"layers.#.output", Step::output}});
        for (int l = 0; l < config.depth; ++l) {
            const Matrix mean = mean_over_heads(all.steps.student.blocks[l].attention.weights.value(), H, B);  // (B*T, T)
            golden.check("layers." + std::to_string(l) + ".attention_probs", sequence_second(mean, B));
        }
        golden.check("teacher.embeddings", all.teacher_embedding.embeddings.value());
        check_stack(golden, all.targets.teacher, config.depth,
                    {{"teacher.layers.#.fc_result", Step::mlp_output}, {"teacher.layers.#.output", Step::output}});
        for (int k = 0; k < config.average_layers; ++k) {
            const int layer = config.depth - config.average_layers + k;
            golden.check("target_layers." + std::to_string(layer), all.targets.layers[k]);
        }
        golden.check("target_average", all.targets.average);
        golden.check("targets", all.targets.targets);
        Matrix masked(B, T);
        for (const int row : all.steps.masked_rows) masked[row] = 1;
        golden.check_integers("masked_positions", integers_of(masked));
        golden.check("masked_targets", all.steps.targets);
        golden.check("prediction", all.steps.prediction.value());
        golden.check("loss_per_token", transpose(data2vec::token_losses(all.steps, config).value()));
        golden.check_integers("sample_size", {static_cast<int>(all.steps.masked_rows.size())});
        const Var loss = data2vec::loss(all.steps, config);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(data2vec::parameters(w, config), golden);
        const int update = golden.file.metadata_int("num_updates");
        golden.check("ema_decay", static_cast<float>(decay_at(config.average, update)));
        data2vec::update_teacher(w, config, update);
        const std::string teacher = "encoder._ema.";
        for (const Parameter& parameter : data2vec::parameters(w, config))
            if (parameter.name.rfind(teacher, 0) == 0)
                golden.check("ema." + parameter.name.substr(teacher.size()), published_value(parameter));
        golden.check_all_used();
    }
}

// --- what must be true of it ---

static data2vec::Config small_config() {
    return {.width = 8,
            .depth = 3,
            .heads = 2,
            .mlp_width = 12,
            .average_layers = 2,
            .head_layers = 1,
            .average = {.start = 0.5, .end = 1, .updates = 4},
            .vocabulary = 12,
            .positions = 6,
            .padding_token = 1,
            .mask_token = 11};
}

TEST_CASE("embed_text: the i-th token that is not padding has position row i + 2; padding has row 1 and embedding 0") {
    const data2vec::Config config = small_config();
    Random random(3);
    const data2vec::Weights w = data2vec::make_weights(config, random, 0.3f);
    const data2vec::TextSteps steps = data2vec::embed_text({5, 6, 7, /* next text */ 5, 1, 1}, 3, w.student, config);
    CHECK(steps.positions == std::vector<int>{2, 3, 4, 2, 1, 1});
    for (int j = 0; j < 8; ++j) CHECK(steps.rows.value()(4, j) == 0);
    CHECK(identical(slice_rows(steps.rows.value(), 0, 1), slice_rows(steps.rows.value(), 3, 1)));
    CHECK(data2vec::embed_text({5, 5, 5, 5, 5, 5}, 6, w.student, config).positions.back() == 7);  // all six
    CHECK_THROWS_WITH(data2vec::embed_text({5, 5, 5, 5, 5, 5, 5}, 7, w.student, config),
                      "data2vec: text 0 has 7 tokens, there are 6 positions");
}

TEST_CASE("make_weights: the teacher starts as a copy of the student") {
    const KeepSteps keep;
    const data2vec::Config config = small_config();
    Random random(3);
    const data2vec::Weights w = data2vec::make_weights(config, random, 0.3f);
    const std::vector<int> tokens{5, 6, 7, 8}, student_tokens{5, 6, 11, 8};
    const data2vec::TextModelSteps all = data2vec::forward(student_tokens, tokens, 4, w, config);
    const data2vec::TextSteps same = data2vec::embed_text(tokens, 4, w.student, config);
    CHECK(identical(all.teacher_embedding.rows.value(), same.rows.value()));
    CHECK(difference(all.teacher_embedding.rows.value(), all.embedding.rows.value(), {0, 0}) != "");
}

TEST_CASE("make_targets: the MLP's output before residual connection and norm; each layer has mean 0 and variance 1 per token") {
    data2vec::Config config = small_config();
    Random random(3);
    const data2vec::Weights w = data2vec::make_weights(config, random, 0.3f);
    const Matrix rows = normal_matrix(random, 4, 8);
    config.normalise_tokens = false;
    const data2vec::Targets raw = data2vec::make_targets(rows, {.segments = Segments::equal(1, 4)}, w, config);
    CHECK(identical(raw.layers[0], raw.teacher.blocks[1].mlp.output.value()));
    CHECK(identical(raw.layers[1], raw.teacher.blocks[2].mlp.output.value()));
    CHECK(raw.average(2, 3) == Approx((raw.layers[0](2, 3) + raw.layers[1](2, 3)) / 2));
    config.average_layers = 1;
    const data2vec::Targets last = data2vec::make_targets(rows, {.segments = Segments::equal(1, 4)}, w, config);
    CHECK(identical(last.average, raw.layers[1]));
    config.average_layers = 2;
    config.normalise_tokens = true;
    const data2vec::Targets normed = data2vec::make_targets(rows, {.segments = Segments::equal(1, 4)}, w, config);
    double sum = 0, squares = 0;
    for (int j = 0; j < 8; ++j) {
        sum += normed.layers[0](1, j);
        squares += normed.layers[0](1, j) * normed.layers[0](1, j);
    }
    CHECK(std::abs(sum) < 1e-5);
    CHECK(squares / 8 == Approx(1).epsilon(0.01));
    config.normalise_channels = true;  // rows without segments are one sequence
    CHECK(identical(data2vec::make_targets(rows, {}, w, config).average,
                    data2vec::make_targets(rows, {.segments = Segments::one(4)}, w, config).average));
}

TEST_CASE("make_targets: normalise_channels takes mean and variance over the tokens of one sequence, not of the batch") {
    data2vec::Config config = small_config();
    config.normalise_tokens = false;
    config.normalise_channels = true;
    Random random(3);
    const data2vec::Weights w = data2vec::make_weights(config, random, 0.3f);
    const Matrix rows = normal_matrix(random, 8, 8);
    const data2vec::Targets targets = data2vec::make_targets(rows, {.segments = Segments::equal(2, 4)}, w, config);
    for (int b = 0; b < 2; ++b) {
        double sum = 0;
        for (int t = 0; t < 4; ++t) sum += targets.layers[0](b * 4 + t, 5);
        CHECK(std::abs(sum) < 1e-5);
    }
}

TEST_CASE("predict: without text the model has no vocabulary, and reads embedded rows") {
    data2vec::Config config = small_config();
    config.vocabulary = 0;
    Random random(3);
    const data2vec::Weights w = data2vec::make_weights(config, random, 0.3f);
    CHECK(!w.student.token_embedding);
    for (const Parameter& parameter : data2vec::parameters(w, config)) CHECK(parameter.name.find("embed") == std::string::npos);
    const Matrix patches = normal_matrix(random, 6, 8);
    const Attending how{.segments = Segments::equal(2, 3)};
    const data2vec::Targets targets = data2vec::make_targets(patches, how, w, config);
    const data2vec::Steps steps = data2vec::predict(patches, {{0, 1, 0}, {1, 0, 0}}, how, targets.targets, w, config);
    CHECK(steps.masked_rows == std::vector<int>{1, 3});
    CHECK(steps.prediction.rows() == 2);
    CHECK(identical(slice_rows(steps.targets, 1, 1), slice_rows(targets.targets, 3, 1)));
}

TEST_CASE("forward: no gradient reaches the teacher") {
    const data2vec::Config config = small_config();
    Random random(3);
    const data2vec::Weights w = data2vec::make_weights(config, random, 0.3f);
    const Tape tape;
    backward(data2vec::loss(data2vec::forward({5, 6, 11, 8}, {5, 6, 7, 8}, 4, w, config).steps, config));
    CHECK(w.teacher.blocks[0].mlp.expand.weight.gradient().empty());
    CHECK(w.teacher.token_embedding.gradient().empty());
    CHECK_FALSE(w.student.blocks[0].mlp.expand.weight.gradient().empty());
}

TEST_CASE("update_teacher: blocks move by 1 - tau, embeddings are copied") {
    const data2vec::Config config = small_config();
    Random random(3);
    const data2vec::Weights w = data2vec::make_weights(config, random);
    data2vec::Weights student = w;
    const float before = w.student.blocks[1].mlp.expand.weight.value()(2, 3);
    student.student.blocks[1].mlp.expand.weight.value()(2, 3) = before + 1;
    student.student.token_embedding.value()(4, 4) = 100;
    data2vec::update_teacher(w, config, 2);  // tau = 1 - 0.5 * (1 - 2 / 4) = 0.75
    CHECK(w.teacher.blocks[1].mlp.expand.weight.value()(2, 3) == Approx(before + 0.25));
    CHECK(w.teacher.token_embedding.value()(4, 4) == 100);
}

TEST_CASE("loss: quadratic below beta, linear above, summed; by hand") {
    data2vec::Config config{.width = 4, .beta = 2, .loss_scale = 0.5f};
    data2vec::Steps steps;
    steps.prediction = Var(Matrix{{1, -6}, {2, 0}});
    steps.targets = Matrix(2, 2);
    // e^2 / 4 for 1: 0.25; |e| - 1 for -6 and 2: 5 and 1
    check_close("tokens", data2vec::token_losses(steps, config).value(), {{5.25f}, {1}});
    CHECK(data2vec::loss(steps, config).value()(0, 0) == Approx(0.5 * 6.25));
    CHECK(data2vec::mean_loss(steps, config).value()(0, 0) == Approx(0.5 * 6.25 / 2));
    config.beta = 0;
    config.loss_scale = 0;  // 1 / sqrt(4)
    CHECK(data2vec::loss(steps, config).value()(0, 0) == Approx(0.5 * 41));
}

TEST_CASE("spread: 0 when all targets are equal, else the mean standard deviation") {
    CHECK(data2vec::spread({{3, 4}, {3, 4}}) == 0);
    CHECK(data2vec::spread({{0, 4}, {2, 4}}) == 0.5);  // 1 and 0
}

TEST_CASE("data2vec: an inconsistent config or tokens throw an error that gives the reason") {
    data2vec::Config config = small_config();
    Random random(3);
    const data2vec::Weights w = data2vec::make_weights(config, random);
    CHECK_THROWS_WITH(data2vec::forward({5, 6}, {5, 6}, 2, w, config),
                      "data2vec: nothing is masked, so there is nothing to predict");
    CHECK_THROWS_WITH(
        data2vec::forward({5, 11}, {6, 6}, 2, w, config),
        "data2vec: the student reads token 5 at position 0, the teacher 6; they may differ only at masked positions");
    CHECK_THROWS_WITH(data2vec::forward({5, 11, 6}, {5, 6, 6}, 2, w, config),
                      "data2vec: 3 tokens are not a whole number of sequences of 2");
    CHECK_THROWS_WITH(data2vec::token_mask({}, 2, config), "data2vec: 0 tokens are not a whole number of sequences of 2");
    CHECK_THROWS_WITH(data2vec::token_mask({5}, 0, config), "data2vec: 1 tokens are not a whole number of sequences of 0");
    CHECK(identical(data2vec::token_mask({5, 1}, 1, config), Matrix{{1}, {0}}));
    CHECK_THROWS_WITH(data2vec::forward({11}, {5, 6}, 1, w, config),
                      "data2vec: 1 tokens for the student, 2 for the teacher; both must read the same number");
    config.average_layers = 4;
    CHECK_THROWS_WITH(
        data2vec::make_weights(config, random),
        "data2vec: 4 of 3 blocks make the target, with MLPs of 12; it needs at least one, and no more than there are");
    config = small_config();
    config.head_layers = 3;
    CHECK_THROWS_WITH(data2vec::make_weights(config, random), "data2vec: a head of 3 layers; it has 1 or 2");
}

TEST_CASE(
    "data2vec: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the "
    "heads") {
    Random random(1);
    const auto table = [&](const data2vec::Config& config) {
        return data2vec::parameters(data2vec::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("data2vec"))
        check_given_settings(golden_config(Golden(path)), table, data2vec::config_of, "the number of heads");
    data2vec::Config without_text = small_config();
    without_text.vocabulary = 0;
    const TemporaryFolder folder;
    const std::string path = folder.path("data2vec.safetensors");
    save(table(without_text), path, data2vec::metadata(without_text));
    const data2vec::Config read = data2vec::config_of(Safetensors(path), {});
    CHECK(read.vocabulary == 0);
    CHECK(read.average.start == 0.5);  // the teacher is averaged as before
    CHECK(read.average.end == 1);
    CHECK(read.average.updates == 4);
}

TEST_CASE("data2vec: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<data2vec::Config, std::string>>{
             {{.positions = 0},
              "data2vec: padding is token 1 and the mask token 50264 of 50265 tokens, with 0 positions; both must be in "
              "the vocabulary, and differ"},
             {{.padding_token = -1},
              "data2vec: padding is token -1 and the mask token 50264 of 50265 tokens, with 512 positions; both must be "
              "in the vocabulary, and differ"},
             {{.padding_token = 50265},
              "data2vec: padding is token 50265 and the mask token 50264 of 50265 tokens, with 512 positions; both must "
              "be in the vocabulary, and differ"},
             {{.mask_token = -1},
              "data2vec: padding is token 1 and the mask token -1 of 50265 tokens, with 512 positions; both must be in "
              "the vocabulary, and differ"},
             {{.mask_token = 50265},
              "data2vec: padding is token 1 and the mask token 50265 of 50265 tokens, with 512 positions; both must be in "
              "the vocabulary, and differ"},
             {{.mask_token = 1},
              "data2vec: padding is token 1 and the mask token 1 of 50265 tokens, with 512 positions; both must be in the "
              "vocabulary, and differ"},
             {{.mlp_width = 0},
              "data2vec: 10 of 12 blocks make the target, with MLPs of 0; it needs at least one, and no more than there are"},
             {{.depth = 0},
              "data2vec: 10 of 0 blocks make the target, with MLPs of 3072; it needs at least one, and no more than there are"},
             {{.average_layers = 0},
              "data2vec: 0 of 12 blocks make the target, with MLPs of 3072; it needs at least one, and no more than there are"},
             {{.heads = 0}, "data2vec: 0 heads do not divide a width of 768"},
             {{.width = 0}, "data2vec: 12 heads do not divide a width of 0"},
             {{.heads = 5}, "data2vec: 5 heads do not divide a width of 768"},
             {{.head_layers = 0}, "data2vec: a head of 0 layers; it has 1 or 2"},
             {{.beta = -1}, "data2vec: beta is -1.000000, it may not be negative"},
         })
        CHECK_THROWS_WITH(data2vec::make_weights(config, random), text.c_str());
    const data2vec::Config smallest{.width = 1,
                                    .depth = 1,
                                    .heads = 1,
                                    .mlp_width = 1,
                                    .average_layers = 1,
                                    .head_layers = 1,
                                    .beta = 0,
                                    .eps = 0,
                                    .vocabulary = 2,
                                    .positions = 1,
                                    .padding_token = 0,
                                    .mask_token = 1};
    CHECK_NOTHROW(data2vec::make_weights(smallest, random));
}

TEST_CASE("predict: a mask or targets of other rows are refused") {
    const data2vec::Config config = small_config();
    Random random(3);
    const data2vec::Weights w = data2vec::make_weights(config, random);
    const std::string rule = "; each row needs a number of the mask and a target as wide as it is";
    CHECK_THROWS_WITH(data2vec::predict(Matrix(3, 4), Matrix(1, 2), {}, Matrix(3, 4), w, config),
                      ("data2vec: a mask (1, 2) and targets (3, 4) for rows (3, 4)" + rule).c_str());
    CHECK_THROWS_WITH(data2vec::predict(Matrix(3, 4), Matrix(1, 3), {}, Matrix(3, 5), w, config),
                      ("data2vec: a mask (1, 3) and targets (3, 5) for rows (3, 4)" + rule).c_str());
}

TEST_CASE("data2vec::Config: the defaults") {
    const data2vec::Config usual{};
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_width == 3072);
    CHECK(usual.average_layers == 10);
    CHECK(usual.head_layers == 2);
    CHECK(usual.normalise_tokens);
    CHECK(!usual.normalise_channels);
    CHECK(!usual.normalise_average);
    CHECK(usual.beta == 4);
    CHECK(usual.loss_scale == 1);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.vocabulary == 50265);
    CHECK(usual.positions == 512);
    CHECK(usual.padding_token == 1);
    CHECK(usual.mask_token == 50264);
}

TEST_SUITE_END();
