#include "vit/detect/owl_vit.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/test.h"
#include "vit/detect/boxes.h"

TEST_SUITE_BEGIN("owl_vit");

static owl_vit::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const char* key) { return static_cast<float>(file.metadata_double(key)); };
    const int side = file.metadata_int("vision_config.image_size");
    const Activation activation = activation_of_name(file.metadata_text("hidden_act"));
    owl_vit::Config config;
    config.clip.vision = {.grid = {.height = side,
                                   .width = side,
                                   .patch_size = file.metadata_int("vision_config.patch_size"),
                                   .channels = golden.file.dimension("input.pixel_values", 1)},
                          .width = file.metadata_int("vision_config.hidden_size"),
                          .depth = file.metadata_int("vision_config.num_hidden_layers"),
                          .heads = file.metadata_int("vision_config.num_attention_heads"),
                          .mlp_width = file.metadata_int("vision_config.intermediate_size"),
                          .eps = number("layer_norm_eps"),
                          .activation = activation};
    config.clip.text = {.vocabulary = file.metadata_int("text_config.vocab_size"),
                        .positions = file.metadata_int("text_config.max_position_embeddings"),
                        .width = file.metadata_int("text_config.hidden_size"),
                        .depth = file.metadata_int("text_config.num_hidden_layers"),
                        .heads = file.metadata_int("text_config.num_attention_heads"),
                        .mlp_width = file.metadata_int("text_config.intermediate_size"),
                        .eps = number("layer_norm_eps"),
                        .activation = activation};
    config.clip.shared_width = file.metadata_int("projection_dim");
    config.class_cost = number("cost_class");
    config.box_cost = number("cost_bbox");
    config.overlap_cost = number("cost_giou");
    config.class_weight = number("loss_class");
    config.box_weight = number("loss_bbox");
    config.overlap_weight = number("loss_giou");
    config.focal_alpha = number("focal_alpha");
    config.focal_gamma = number("focal_gamma");
    config.absent_logit = number("masked_logit");
    return config;
}

static TokenBatch texts_of_fixture(const Golden& golden) {
    return {.sequences = golden.file.dimension("input.tokens", 0),
            .length = golden.file.dimension("input.tokens", 1),
            .ids = golden.integers("input.tokens"),
            .mask = numbers_of(golden, "input.attention_mask")};
}

static std::vector<owl_vit::Target> targets_of_fixture(const Golden& golden) {
    const std::vector<int> counts = golden.integers("input.target_counts"), labels = golden.integers("input.target_labels");
    const int M = golden.file.dimension("input.target_labels", 1);
    const Matrix boxes = golden.input("target_boxes");  // (B*M, 4)
    std::vector<owl_vit::Target> targets;
    for (int b = 0; b < static_cast<int>(counts.size()); ++b)
        targets.push_back({std::vector<int>(labels.begin() + b * M, labels.begin() + b * M + counts[b]), slice_rows(boxes, b * M, counts[b])});
    return targets;
}

// The fixture's (B, N, M) costs, 0 where there is no target, and the token of each target, -1 where there is none.
static void check_matching(const Golden& golden, const owl_vit::Losses& losses) {
    const int B = golden.file.dimension("expected.match", 0), M = golden.file.dimension("expected.match", 1);
    const int N = golden.file.dimension("expected.match_cost", 1);
    Matrix cost(B * N, M);
    std::vector<int> tokens(B * M, -1);
    for (int b = 0; b < B; ++b) {
        for (int n = 0; n < N; ++n)
            for (int t = 0; t < losses.costs[b].cols; ++t) cost(b * N + n, t) = losses.costs[b](n, t);
        for (const Matched& pair : losses.matches[b]) tokens[b * M + pair.column] = pair.row;
    }
    golden.check("match_cost", cost);
    golden.check_integers("match", tokens);
}

TEST_CASE("owl_vit: parity: every step, the matching, every loss and gradient of the published code") {
    for (const std::string& path : golden_files("owl_vit")) {
        const Golden golden(path);
        const owl_vit::Config config = config_of_fixture(golden);
        Random random;
        const owl_vit::Weights w = owl_vit::make_weights(config, random);
        const Parameters parameters = owl_vit::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const owl_vit::Steps steps = owl_vit::forward(images_of(golden, "input.pixel_values"), texts_of_fixture(golden), w, config);
        const owl_vit::Losses losses = owl_vit::losses(steps, targets_of_fixture(golden), config);

        golden.check("vision_model.embeddings", steps.image.embeddings.value());
        check_stack(golden, steps.image.encoder, config.clip.vision.depth, {{"vision_model.layer.#", Step::output}});
        check_stack(golden, steps.text.encoder, config.clip.text.depth, {{"text_model.layer.#", Step::output}});
        golden.check("image_features", steps.features.value());
        golden.check("text_embeds", steps.queries.value());
        golden.check("class_embeds", steps.class_embeddings.value());
        golden.check("logit_shift", steps.shift.value());
        golden.check_integers("query_mask", steps.present);
        golden.check("box_bias", owl_vit::box_bias(config.clip.vision.grid));
        golden.check("box_raw", steps.box_raw.value());
        golden.check("pred_boxes", steps.boxes.value());
        golden.check("pred_boxes_corners", convert_boxes(steps.boxes, BoxFormat::centre_size, BoxFormat::corners).value());
        golden.check("logits", steps.logits.value());
        golden.check("scores", sigmoid(steps.logits).value());
        check_matching(golden, losses);
        golden.check("loss_class", losses.classes.value());
        golden.check("loss_bbox", losses.boxes.value());
        golden.check("loss_giou", losses.overlap.value());
        golden.check("loss", losses.total.value());

        backward(losses.total);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
