#include "vit/mask_latents/beit_v2.h"

#include "nn/autograd/operations.h"
#include "nn/layers/relative_position.h"
#include "tests/fixture_views.h"

TEST_SUITE_BEGIN("beit_v2");

static PatchGrid golden_grid(const Safetensors& file) {
    return {.height = file.metadata_int("img_size"),
            .width = file.metadata_int("img_size"),
            .patch_size = file.metadata_int("patch_size"),
            .channels = file.metadata_int("in_chans")};
}

static beit_v2::TokenizerConfig golden_tokenizer_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.grid = golden_grid(file),
            .width = file.metadata_int("encoder_embed_dim"),
            .encoder_depth = file.metadata_int("encoder_depth"),
            .decoder_depth = file.metadata_int("decoder_depth"),
            .heads = file.metadata_int("tokenizer_num_heads"),
            .mlp_ratio = file.metadata_double("mlp_ratio"),
            .query_value_bias = golden.flag("qkv_bias"),
            .codes = file.metadata_int("n_embed"),
            .code_width = file.metadata_int("code_dim"),
            .teacher_width = file.metadata_int("decoder_out_dim"),
            .decay = static_cast<float>(file.metadata_double("decay")),
            .beta = static_cast<float>(file.metadata_double("beta")),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

static beit_v2::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    beit_v2::Config config{.grid = golden_grid(file),
                           .width = file.metadata_int("embed_dim"),
                           .depth = file.metadata_int("depth"),
                           .heads = file.metadata_int("num_heads"),
                           .mlp_ratio = file.metadata_double("mlp_ratio"),
                           .query_value_bias = golden.flag("qkv_bias"),
                           .layer_scale = {},
                           .absolute_positions = golden.flag("use_abs_pos_emb"),
                           .shared_relative_bias = golden.flag("use_shared_rel_pos_bias"),
                           .codes = file.metadata_int("vocab_size"),
                           .early_block = file.metadata_int("early_layers"),
                           .head_depth = file.metadata_int("head_layers"),
                           .shared_head = golden.flag("shared_lm_head"),
                           .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
    const float layer_scale = static_cast<float>(file.metadata_double("init_values"));
    if (layer_scale > 0) config.layer_scale = layer_scale;
    return config;
}

static void check_tokenizer(const Golden& golden, const beit_v2::TokenizerSteps& steps, const beit_v2::TokenizerConfig& config) {
    golden.check("tokenizer.preprocessed", channels_first_of(steps.scaled));
    golden.check("tokenizer.encoder_z0", steps.encoder_z0.value());
    check_stack(golden, steps.encoder, config.encoder_depth, {{"tokenizer.encoder.blocks.#.output", Step::output}});
    golden.check("tokenizer.encoder_features", steps.encoder_features.value());
    golden.check("tokenizer.to_quantizer", steps.to_quantizer.value());
    golden.check("tokenizer.z", steps.z.value());
    golden.check("tokenizer.distances", steps.quantized.distances.value());
    golden.check_integers("tokenizer.token_ids", steps.quantized.ids);
    golden.check("tokenizer.quantized", maps_channels_first(steps.quantized.output.value(), config.grid.down(), config.grid.across()));
    golden.check("tokenizer.decoder_z0", steps.decoder_z0.value());
    check_stack(golden, steps.decoder, config.decoder_depth, {{"tokenizer.decoder.blocks.#.output", Step::output}});
    golden.check("tokenizer.decoder_features", steps.decoder_features.value());
    golden.check("tokenizer.reconstruction", steps.reconstruction.value());
}

static void check_masked_model(const Golden& golden, const beit_v2::Steps& steps, const beit_v2::Config& config) {
    if (golden.has("expected.relative_position_index"))
        golden.check_integers("relative_position_index", relative_position_index(config.grid.down(), config.grid.across()));
    if (steps.bias) golden.check("rel_pos_bias", steps.bias.value());
    golden.check("patch_embed", steps.patch_embeddings.value());
    golden.check("z0", steps.z0.value());
    check_stack(golden, steps.encoder, config.depth,
                {{"blocks.#.attention_probs", Step::weights}, {"blocks.#.output", Step::output}});
    golden.check("cls_pt_input", steps.branch_input.value());
    check_stack(golden, steps.branch, config.head_depth, {{"cls_pt_layers.#.output", Step::output}});
    golden.check("logits", steps.logits.value());
    golden.check("cls_pt_logits", steps.branch_logits.value());
}

TEST_CASE("beit_v2: every step and gradient of both stages, and the codebook after its update, equal the published implementation's") {
    for (const std::string& path : golden_files("beit_v2")) {
        const Golden golden(path);
        const beit_v2::TokenizerConfig tokenizer_config = golden_tokenizer_config(golden);
        const beit_v2::Config config = golden_config(golden);
        Random random;
        beit_v2::TokenizerWeights tokenizer = beit_v2::make_weights(tokenizer_config, random);
        const beit_v2::Weights w = beit_v2::make_weights(config, random);
        Parameters parameters = beit_v2::parameters(tokenizer, tokenizer_config);
        for (const Parameter& parameter : beit_v2::parameters(w, config)) parameters.push_back(parameter);
        golden.load_weights(parameters);

        const Tape tape;
        const beit_v2::TokenizerSteps words = beit_v2::tokenize(images_of(golden, "input.images"), tokenizer, tokenizer_config);
        check_tokenizer(golden, words, tokenizer_config);
        const Matrix teacher = golden.input("teacher_features");
        golden.check("tokenizer.quantize_loss", beit_v2::quantize_loss(words, tokenizer_config).value());
        golden.check("tokenizer.rec_loss", beit_v2::reconstruction_loss(words, teacher).value());
        const Var tokenizer_loss = beit_v2::loss(words, teacher, tokenizer_config);
        golden.check("tokenizer.loss", tokenizer_loss.value());

        const Matrix mask = numbers_of(golden, "input.bool_masked_pos");
        const beit_v2::Steps steps = beit_v2::forward(images_of(golden, "input.samples"), mask, w, config);
        check_masked_model(golden, steps, config);
        const std::vector<int> labels = beit_v2::hidden_words(words.quantized.ids, steps);
        golden.check_integers("labels", labels);
        golden.check("mim_loss", beit_v2::mask_loss(steps, labels).value());
        golden.check("cls_pt_loss", beit_v2::branch_loss(steps, labels).value());
        const Var pretrain_loss = beit_v2::loss(steps, labels);
        golden.check("pretrain_loss", pretrain_loss.value());
        const Var loss = add(tokenizer_loss, pretrain_loss);
        golden.check("loss", loss.value());

        backward(loss);
        check_gradients(parameters, golden);
        beit_v2::update_codebook(tokenizer, words, tokenizer_config);
        golden.check("tokenizer.ema_codebook", tokenizer.codebook.value());
        golden.check("tokenizer.ema_cluster_size", tokenizer.cluster_size.value());
        golden.check_all_used();
    }
}

TEST_SUITE_END();
