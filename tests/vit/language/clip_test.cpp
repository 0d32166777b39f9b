#include "vit/language/clip.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/contrastive.h"
#include "tests/fixture_views.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("clip");

static clip::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const float eps = static_cast<float>(file.metadata_double("layer_norm_eps"));
    const Activation activation = activation_of_name(file.metadata_text("hidden_act"));
    const int side = file.metadata_int("vision_config.image_size");
    return {.vision = {.grid = {.height = side,
                                .width = side,
                                .patch_size = file.metadata_int("vision_config.patch_size"),
                                .channels = file.metadata_int("vision_config.num_channels")},
                       .width = file.metadata_int("vision_config.hidden_size"),
                       .depth = file.metadata_int("vision_config.num_hidden_layers"),
                       .heads = file.metadata_int("vision_config.num_attention_heads"),
                       .mlp_width = file.metadata_int("vision_config.intermediate_size"),
                       .eps = eps,
                       .activation = activation},
            .text = {.vocabulary = file.metadata_int("text_config.vocab_size"),
                     .positions = file.metadata_int("text_config.max_position_embeddings"),
                     .width = file.metadata_int("text_config.hidden_size"),
                     .depth = file.metadata_int("text_config.num_hidden_layers"),
                     .heads = file.metadata_int("text_config.num_attention_heads"),
                     .mlp_width = file.metadata_int("text_config.intermediate_size"),
                     .eps = eps,
                     .activation = activation},
            .shared_width = file.metadata_int("projection_dim")};
}

static TokenBatch texts_of_fixture(const Golden& golden) {
    return equal_batch(golden.integers("input.tokens"), dimensions_of(golden, "input.tokens")[1]);
}

TEST_CASE("clip: every step of both towers, the logits, the losses and every gradient equal the published implementation's") {
    for (const std::string& path : golden_files("clip")) {
        const Golden golden(path);
        const clip::Config config = config_of_fixture(golden);
        const std::vector<Image> images = images_of(golden, "input.pixel_values");
        const TokenBatch texts = texts_of_fixture(golden);
        Random random;
        const clip::Weights w = clip::make_weights(config, random);
        const Parameters parameters = clip::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const clip::Steps steps = clip::forward(images, texts, w, config);
        const Contrastive losses = contrastive(steps.logits_per_text);
        const Var loss = clip::loss(steps);

        golden.check("vision_model.patches", channel_major_patches_of(images, config.vision.grid.patch_size));
        golden.check("vision_model.patch_embeddings", steps.image.patch_embeddings.value());
        golden.check("vision_model.embeddings", steps.image.embeddings.value());
        golden.check("vision_model.pre_norm", steps.image.pre_norm.value());
        check_stack(golden, steps.image.encoder, config.vision.depth,
                    {{"vision_model.attention.#", Step::weights}, {"vision_model.layer.#", Step::output}});
        golden.check("vision_model.pooled", steps.image.pooled.value());

        golden.check("text_model.embeddings", steps.text.embeddings.value());
        check_stack(golden, steps.text.encoder, config.text.depth,
                    {{"text_model.attention.#", Step::weights}, {"text_model.layer.#", Step::output}});
        golden.check("text_model.final_norm", steps.text.norm.value());
        golden.check_integers("eot_index", steps.text.ends);
        golden.check("text_model.pooled", steps.text.pooled.value());

        golden.check("image_embeds", steps.image_embeddings.value());
        golden.check("text_embeds", steps.text_embeddings.value());
        golden.check("logits_per_text", steps.logits_per_text.value());
        golden.check("logits_per_image", steps.logits_per_image.value());
        golden.check("zero_shot_probability",
                     clip::class_probabilities(steps.image_embeddings, steps.text_embeddings, w).value());
        golden.check("loss_text", losses.loss_rows.value());
        golden.check("loss_image", losses.loss_columns.value());
        golden.check("loss", loss.value());

        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
