#include "vit/language/coca.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("coca");

static coca::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const std::string& key) { return file.metadata_int(key); };
    const float eps = static_cast<float>(file.metadata_double("layer_norm_eps"));
    const int width = number("vision_cfg.width");
    return {.vision = {.grid = {.height = number("vision_cfg.image_height"),
                                .width = number("vision_cfg.image_width"),
                                .patch_size = number("vision_cfg.patch_size"),
                                .channels = dimensions_of(golden, "input.pixel_values")[1]},
                       .width = width,
                       .depth = number("vision_cfg.layers"),
                       .heads = width / number("vision_cfg.head_width"),
                       .mlp_width = static_cast<int>(width * file.metadata_double("vision_cfg.mlp_ratio")),
                       .eps = eps,
                       .activation = Activation::gelu},
            .queries = number("vision_cfg.n_queries"),
            .pooler_heads = number("vision_cfg.attn_pooler_heads"),
            .vocabulary = number("text_cfg.vocab_size"),
            .positions = number("text_cfg.context_length"),
            .width = number("embed_dim"),
            .text_depth = number("text_cfg.layers"),
            .text_heads = number("text_cfg.heads"),
            .decoder_depth = number("multimodal_cfg.layers"),
            .decoder_heads = number("multimodal_cfg.heads"),
            .eps = eps,
            .padding_token = number("pad_id"),
            .correct_class_mask = golden.flag("correct_cls_mask"),
            .contrastive_weight = static_cast<float>(file.metadata_double("clip_loss_weight")),
            .caption_weight = static_cast<float>(file.metadata_double("caption_loss_weight"))};
}

static TokenBatch captions_of_fixture(const Golden& golden) {
    return equal_batch(golden.integers("input.tokens"), dimensions_of(golden, "input.tokens")[1]);
}

static std::vector<int> ones_and_zeros(const MayAttend& may) { return {may.table.begin(), may.table.end()}; }

TEST_CASE("coca: every step of the three parts, both losses and every gradient equal the published implementation's") {
    for (const std::string& path : golden_files("coca")) {
        const Golden golden(path);
        const coca::Config config = config_of_fixture(golden);
        const std::vector<Image> images = images_of(golden, "input.pixel_values");
        const TokenBatch captions = captions_of_fixture(golden);
        Random random;
        const coca::Weights w = coca::make_weights(config, random);
        const Parameters parameters = coca::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const coca::Steps steps = coca::forward(images, captions, w, config);
        const coca::Losses losses = coca::losses(steps, w, config);

        const coca::ImageSteps& image = steps.image;
        golden.check("visual.patch_embeddings", image.tower.patch_embeddings.value());
        golden.check("visual.pre_norm", image.tower.pre_norm.value());
        check_stack(golden, image.tower.encoder, config.vision.depth, {{"visual.block.#", Step::output}});
        golden.check("visual.pooler_attention", image.pooler.attention.weights.value());
        golden.check("visual.attn_pool", image.pooler.attention.output.value());
        golden.check("visual.post_norm", image.pooled.value());
        golden.check("image_features", image.features.value());
        golden.check("image_tokens", image.tokens.value());

        golden.check_integers("text.attention_allowed", ones_and_zeros(steps.text.may));
        check_stack(golden, steps.text.encoder, config.text_depth, {{"text.block.#", Step::output}});
        golden.check("text_features", steps.text.features.value());
        golden.check("text_tokens", steps.text.tokens.value());

        check_stack(golden, {steps.decoder.blocks, steps.decoder.norm}, config.decoder_depth, {{"text_decoder.block.#", Step::output}});
        check_stack(golden, {steps.decoder.crosses, steps.decoder.norm}, config.decoder_depth,
                    {{"text_decoder.cross_attn.#", Step::output}});
        golden.check("text_decoder.final_norm", steps.decoder.norm.value());
        golden.check("logits", steps.decoder.logits.value());
        std::vector<int> labels = steps.labels;  // the fixture keeps padding as it is
        for (int& label : labels) label = label == ignored_label ? config.padding_token : label;
        golden.check_integers("labels", labels);

        golden.check("logits_per_image", steps.logits_per_image.value());
        golden.check("contrastive_loss", losses.contrastive.value());
        golden.check("caption_loss", losses.caption.value());
        golden.check("loss", losses.total.value());
        backward(losses.total);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
