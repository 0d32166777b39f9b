#include "vit/language/pali.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("pali");

static pali::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const std::string& key) { return file.metadata_int(key); };
    const std::string feed_forward = file.metadata_text("t5.feed_forward_proj");
    const bool gated = feed_forward.starts_with("gated-");
    return {.vision = {.grid = {.height = number("vit.image_height"),
                                .width = number("vit.image_width"),
                                .patch_size = number("vit.patch_size"),
                                .channels = number("vit.num_channels")},
                       .width = number("vit.hidden_size"),
                       .depth = number("vit.num_hidden_layers"),
                       .heads = number("vit.num_attention_heads"),
                       .mlp_width = number("vit.intermediate_size"),
                       .classes = 0,
                       .eps = static_cast<float>(file.metadata_double("vit.layer_norm_eps"))},
            .language = {.vocabulary = number("t5.vocab_size"),
                         .width = number("t5.d_model"),
                         .encoder_depth = number("t5.num_layers"),
                         .decoder_depth = number("t5.num_decoder_layers"),
                         .heads = number("t5.num_heads"),
                         .head_width = number("t5.d_kv"),
                         .mlp_width = number("t5.d_ff"),
                         .gated = gated,
                         .activation = activation_of_name(file.metadata_text("t5.dense_act_fn")),
                         .tied = golden.flag("t5.tie_word_embeddings"),
                         .buckets = number("t5.relative_attention_num_buckets"),
                         .max_distance = number("t5.relative_attention_max_distance"),
                         .eps = static_cast<float>(file.metadata_double("t5.layer_norm_epsilon")),
                         .padding_token = number("pad_token_id"),
                         .end_token = number("eos_token_id"),
                         .start_token = number("t5.decoder_start_token_id")}};
}

TEST_CASE("pali: every step from pixels to logits, the loss and every gradient equal the published halves put together") {
    for (const std::string& path : golden_files("pali")) {
        const Golden golden(path);
        const pali::Config config = config_of_fixture(golden);
        const std::vector<Image> images = images_of(golden, "input.pixel_values");
        const TokenBatch prompts{.sequences = dimensions_of(golden, "input.tokens")[0],
                                 .length = dimensions_of(golden, "input.tokens")[1],
                                 .ids = golden.integers("input.tokens"),
                                 .mask = numbers_of(golden, "input.attention_mask")};
        const std::vector<int> labels = golden.integers("input.labels");
        const TokenBatch target = t5::shifted_right(labels, dimensions_of(golden, "input.labels")[1], config.language);
        Random random;
        const pali::Weights w = pali::make_weights(config, random);
        const Parameters parameters = pali::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const pali::Steps steps = pali::forward(images, prompts, target, w, config);
        const Var loss = pali::loss(steps, labels);

        check_stack(golden, steps.image.vision.encoder, config.vision.depth, {{"vit.layer.#", Step::output}});
        golden.check("visual_tokens", steps.image.tokens.value());
        golden.check("visual_embeddings", steps.image.embeddings.value());
        const Matrix& mask = steps.source.mask;
        golden.check_integers("encoder_mask", integers_of(mask));
        golden.check("encoder_input", padding_zeroed(steps.encoder_input.value(), mask));
        const StepView view{.sequences = prompts.sequences, .heads = config.language.heads, .mask = mask};
        check_stack(golden, steps.encoder.blocks, config.language.encoder_depth,
                    {{"encoder.attention.#", Step::weights}, {"encoder.block.#", Step::output, Heads::side_by_side, true}}, view);
        golden.check("encoder.final", padding_zeroed(steps.encoder.output.value(), mask));
        golden.check_integers("decoder_input_ids", target.ids);
        check_stack(golden, steps.decoder.blocks, config.language.decoder_depth,
                    {{"decoder.block.#", Step::output, Heads::side_by_side, true}});
        golden.check("decoder.final", steps.decoder.hidden.value());
        golden.check("logits", steps.decoder.logits.value());
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
