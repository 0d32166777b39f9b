#include "vit/language/pacl.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("pacl");

static pacl::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(file.metadata_text("activation") == "relu");
    return {.rows = file.metadata_int("grid_height"),
            .cols = file.metadata_int("grid_width"),
            .vision_width = file.metadata_int("vision_dim"),
            .text_width = file.metadata_int("text_dim"),
            .width = file.metadata_int("embed_dim")};
}

TEST_CASE("pacl: every step, the loss, every gradient and the class of every pixel equal the reference's") {
    for (const std::string& path : golden_files("pacl")) {
        const Golden golden(path);
        const pacl::Config config = config_of_fixture(golden);
        const int height = golden.file.metadata_int("image_height"), width = golden.file.metadata_int("image_width");
        Random random;
        const pacl::Weights w = pacl::make_weights(config, random);
        const Parameters parameters = pacl::parameters(w);
        golden.load_weights(parameters);

        const Tape tape;
        const pacl::Steps steps = pacl::forward(golden.input("patch_features"), golden.input("text_features"), w, config);
        const Var loss = pacl::loss(steps);
        golden.check("vision_embeddings", steps.vision_embeddings.value());
        golden.check("text_embeddings", steps.text_embeddings.value());
        golden.check("vision_normalized", steps.patches.value());
        golden.check("text_normalized", steps.texts.value());
        golden.check("similarity", steps.similarity.value());
        golden.check("patch_weights", steps.patch_weights.value());
        golden.check("pooled", steps.pooled.value());
        golden.check("compatibility", steps.compatibility.value());
        golden.check("logits_per_image", steps.logits_per_image.value());
        golden.check("loss", loss.value());

        const pacl::Segmentation map =
            pacl::segment(golden.input("patch_features"), golden.input("class_text_features"), height, width, w, config);
        golden.check("patch_scores", maps_channels_first(map.patch_scores.pixels.value(), config.rows, config.cols));
        golden.check_integers("patch_labels", map.patch_classes);
        golden.check("upsampled_scores", maps_channels_first(map.scores.pixels.value(), height, width));
        golden.check("class_probability", maps_channels_first(map.probabilities.pixels.value(), height, width));
        golden.check_integers("segmentation", map.classes);

        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
