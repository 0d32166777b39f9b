#include "vit/language/flamingo.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("flamingo");

static flamingo::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const auto number = [&](const std::string& key) { return file.metadata_int(key); };
    const int E = number("n_embd"), Dv = number("vis_dim");
    return {.language = {.vocabulary = number("vocab_size"),
                         .positions = number("n_positions"),
                         .width = E,
                         .depth = number("n_layer"),
                         .heads = number("n_head"),
                         .mlp_width = 4 * E,
                         .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
                         .activation = activation_of_name(file.metadata_text("activation_function"))},
            .resampler = {.latents = number("perceiver.num_latents"),
                          .width = Dv,
                          .depth = number("perceiver.depth"),
                          .heads = number("perceiver.heads"),
                          .head_width = number("perceiver.dim_head"),
                          .mlp_width = number("perceiver.ff_mult") * Dv,
                          .frames = number("frames")},
            .heads = number("cross_attn.heads"),
            .head_width = number("cross_attn.dim_head"),
            .mlp_width = number("cross_attn.ff_mult") * E,
            .every = number("cross_attn_every_n_layers"),
            .only_last_image = golden.flag("only_attend_immediate_media"),
            .image_token = number("media_token_id")};
}

static TokenBatch texts_of_fixture(const Golden& golden) {
    TokenBatch texts = equal_batch(golden.integers("input.tokens"), dimensions_of(golden, "input.tokens")[1]);
    texts.mask = numbers_of(golden, "input.attention_mask");
    return texts;
}

TEST_CASE("flamingo: every step, the loss and every gradient, of the frozen model too, equal the published implementation's") {
    for (const std::string& path : golden_files("flamingo")) {
        Golden golden(path);
        const flamingo::Config config = config_of_fixture(golden);
        const TokenBatch texts = texts_of_fixture(golden);
        const int T = golden.file.metadata_int("num_media");
        Random random;
        const gpt::Weights language = gpt::make_weights(config.language, random);
        const flamingo::Weights w = flamingo::make_weights(config, language, random);
        const Parameters parameters = flamingo::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const flamingo::Steps steps = flamingo::forward(texts, golden.input("vision_features"), T, w, config);
        const Var loss = flamingo::loss(steps, next_tokens(golden.integers("input.labels"), texts.length));

        const auto tokens_only = [&](const Var& value) { return padding_zeroed(value.value(), texts.mask); };
        REQUIRE(static_cast<int>(steps.resampler.layers.size()) == config.resampler.depth);
        for (int l = 0; l < config.resampler.depth; ++l) {
            const std::string layer = "perceiver.layer." + std::to_string(l);
            golden.check(layer + ".attn_out", steps.resampler.layers[l].attention.output.value());
            golden.check(layer + ".ff_out", steps.resampler.layers[l].mlp.output.value());
        }
        golden.check("media_latents", steps.resampler.latents.value());
        golden.check_integers("media_mask", integers_of(padding_zeroed(steps.sees, texts.mask)));
        for (int l = 0; l < config.language.depth; ++l) {
            const std::string layer = "layer." + std::to_string(l);
            if ((l + 1) % config.every == 0) {
                const flamingo::GatedSteps& gated = steps.gated[(l + 1) / config.every - 1];
                golden.check(layer + ".cross_attention", tokens_only(gated.attention.weights));
                golden.check(layer + ".cross_attn_out", tokens_only(gated.attention.output));
                golden.check(layer + ".gated_cross_attn", tokens_only(gated.output));
            }
            golden.check(layer + ".output", tokens_only(steps.blocks[l].output));
        }
        golden.check("final_norm", tokens_only(steps.hidden));
        golden.check("logits", tokens_only(steps.logits));
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
