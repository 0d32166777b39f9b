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
    CHECK(file.metadata_int("mask_token_id") == maskgit::hidden_word);
    const maskgit::Config config{.words = file.metadata_int("codebook_size"),
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
            shares.push_back(static_cast<float>(maskgit::hidden_share(maskgit::schedule_of_name(name), r, total)));
        golden.check("schedule." + name, row_of(shares));
    }
}

static void check_masking(const Golden& golden, const maskgit::MaskedBatch& batch, const maskgit::MaskSchedule& schedule) {
    std::vector<float> ratios;
    for (const float r : floats_of(golden, "input.ratio"))
        ratios.push_back(static_cast<float>(maskgit::hidden_share(schedule, r, batch.mask.cols)));
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
    const maskgit::Draws draws{numbers_of(golden, "input.decode.sample_gumbel"), numbers_of(golden, "input.decode.choice_gumbel")};
    const std::vector<maskgit::Round> rounds = maskgit::decode(golden.integers("input.decode.start_ids"), draws, w, config, how);
    for (std::size_t i = 0; i < rounds.size(); ++i) {
        const std::string number = std::to_string(i), step = "decode.step_" + number + ".";
        if (golden.has("expected.decode.logits_step_" + number)) golden.check("decode.logits_step_" + number, rounds[i].logits);
        golden.check_integers(step + "input_ids", rounds[i].ids);
        golden.check_integers(step + "sampled_ids", rounds[i].sampled);
        golden.check(step + "selected_probs", finite(rounds[i].probabilities));
        golden.check_integers(step + "mask_len", rounds[i].to_hide);
        golden.check(step + "temperature", rounds[i].temperature);
        golden.check(step + "confidence", finite(rounds[i].confidence));
        golden.check_integers(step + "masking", integers_of(rounds[i].hide));
    }
    golden.check_integers("decode.final_ids", rounds.back().sampled);
}

TEST_CASE("maskgit: schedules, every step, three losses, every gradient and each round of decoding equal the published implementation's") {
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
            maskgit::hide_words(golden.integers("input.tokens"), golden.integers("input.class_label"), floats_of(golden, "input.ratio"),
                                golden.input("mask_noise"), schedule, config);
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
        golden.check("loss_unsmoothed", maskgit::weighted_loss(steps.logits, batch.labels, golden.input("loss_weights"), 0).value());
        const Var loss = golden.flag("compute_loss_for_all") ? loss_all : maskgit::loss(steps, batch, config);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        check_decoding(golden, w, config);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
