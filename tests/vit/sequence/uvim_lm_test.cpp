#include "vit/sequence/uvim_lm.h"

#include "nn/autograd/operations.h"
#include "tests/fixture_views.h"

TEST_SUITE_BEGIN("uvim_lm");

static std::vector<int> pair_in(const std::string& text) {  // "12,16"
    const std::size_t comma = text.find(',');
    return {std::stoi(text.substr(0, comma)), std::stoi(text.substr(comma + 1))};
}

static uvim_lm::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    const std::vector<int> size = pair_in(file.metadata_text("input_size")), patch = pair_in(file.metadata_text("patch_size"));
    REQUIRE(patch[0] == patch[1]);
    CHECK(file.metadata_text("gelu") == "tanh");
    CHECK(!golden.flag("decoder_attention_bias"));
    return {.grid = {.height = size[0], .width = size[1], .patch_size = patch[0], .channels = 3},
            .width = file.metadata_int("emb_dim"),
            .depth = file.metadata_int("num_layers"),
            .heads = file.metadata_int("num_heads"),
            .mlp_width = file.metadata_int("mlp_dim"),
            .vocabulary = file.metadata_int("vocab_size"),
            .code_length = file.metadata_int("seq_len"),
            .learned_positions = file.metadata_text("posemb_type") == "learn",
            .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon"))};
}

TEST_CASE("uvim_lm: every step, the loss, every gradient and the greedy code equal the published implementation's") {
    for (const std::string& path : golden_files("uvim_lm")) {
        const Golden golden(path);
        const uvim_lm::Config config = golden_config(golden);
        Random random;
        const uvim_lm::Weights w = uvim_lm::make_weights(config, random);
        const Parameters parameters = uvim_lm::parameters(w, config);
        golden.load_weights(parameters);
        const std::vector<Image> images = images_of(golden, "input.image");
        const std::vector<int> tokens = uvim_lm::tokens_of(golden.integers("input.codes"));

        const Tape tape;
        const uvim_lm::Steps steps = uvim_lm::forward(images, tokens, w, config);
        golden.check("pos_embedding_encoder", steps.encoder.positions.value());
        golden.check("pos_embedding_decoder", steps.positions.value());
        golden.check_integers("shifted", uvim_lm::shifted(tokens, config.code_length));
        check_stack(golden, steps.encoder.blocks, config.depth, {{"encoder.block_#", Step::output}});
        golden.check("encoded", steps.encoder.encoded.value());
        check_stack(golden, steps.decoder, config.depth,
                    {{"decoder.self_probs_#", Step::weights},
                     {"decoder.cross_probs_#", Step::cross_weights},
                     {"decoder.block_#", Step::output}});
        golden.check("logits", steps.logits.value());
        const Var loss = uvim_lm::loss(steps, tokens);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_integers("greedy_tokens", uvim_lm::write(images, w, config));
        golden.check_all_used();
    }
}

TEST_SUITE_END();
