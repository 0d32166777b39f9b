#include "vit/detect/vild.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("vild");

static vild::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const std::string distill = file.metadata_text("visual_feature_distill");
    REQUIRE((distill == "vanilla" || distill == "double_branch"));
    REQUIRE(file.metadata_int("num_convs") == 0);
    REQUIRE(!golden.flag("use_batch_norm"));
    return {.region_height = file.metadata_int("roi_height"),
            .region_width = file.metadata_int("roi_width"),
            .region_channels = file.metadata_int("num_filters"),
            .layers = file.metadata_int("num_fcs"),
            .hidden = file.metadata_int("fc_dims"),
            .clip_width = file.metadata_int("clip_dim"),
            .classes = file.metadata_int("num_classes") - 1,  // theirs counts background
            .double_branch = distill == "double_branch",
            .unit_classifier = golden.flag("normalize_classifier"),
            .unit_regions = golden.flag("normalize_visual"),
            .temperature = static_cast<float>(file.metadata_double("temperature")),
            .distill_weight = static_cast<float>(file.metadata_double("feat_distill_weight")),
            .mask_rare = golden.flag("mask_rare")};
}

// (B, regions, h, w, c) -> (B*regions, h*w*c)
static Matrix regions_of(const Golden& golden, const std::string& name) {
    const std::vector<int> d = dimensions_of(golden, "input." + name);
    return reshape(golden.input(name), d[0] * d[1], d[2] * d[3] * d[4]);
}

TEST_CASE("vild: parity: embeddings, logits, both losses, every gradient and the ensemble of the published code") {
    for (const std::string& path : golden_files("vild")) {
        const Golden golden(path);
        const vild::Config config = config_of_fixture(golden);
        Random random;
        const vild::Weights w = vild::make_weights(config, random);
        const Parameters parameters = vild::parameters(w, config);
        golden.load_weights(parameters);
        const vild::Distillation distillation{regions_of(golden, "distill_roi_features"), golden.input("clip_image_embeddings"),
                                              golden.input("distill_boxes")};
        const std::vector<int> base = golden.integers("input.base_class_mask");
        const Matrix regions = regions_of(golden, "roi_features");

        const Tape tape;
        const vild::Steps steps = vild::training_losses(regions, golden.integers("input.class_targets"), distillation, base, w, config);

        golden.check("projected", steps.regions.projected.value());
        golden.check("region_embeddings", steps.regions.embeddings.value());
        golden.check("class_logits", steps.logits.value());
        const Matrix text = vild::text_probabilities(steps.logits.value());
        golden.check("class_probability", text);
        golden.check("distill_region_embeddings", steps.distilled.embeddings.value());
        golden.check("distill_targets", steps.targets);
        golden.check_integers("valid_rois", steps.valid);
        golden.check("text_loss", steps.text_loss.value());
        golden.check("image_loss", steps.image_loss.value());
        golden.check("loss", steps.loss.value());
        if (config.double_branch) {
            const NoTape inference;
            const Var embeddings = vild::embed_regions(regions, w.image, config).embeddings;
            const Matrix cosines = vild::class_cosines(embeddings, w, config).value();
            const Matrix image = vild::image_probabilities(cosines);
            golden.check("image_branch_embeddings", embeddings.value());
            golden.check("image_branch_logits", cosines);
            golden.check("image_branch_probability", image);
            golden.check("ensemble_probability", vild::ensemble(text, image, base));
        }

        backward(steps.loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
