#include "vit/mask_latents/maskgit_vqgan.h"

#include "nn/autograd/operations.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"

TEST_SUITE_BEGIN("maskgit_vqgan");

static std::vector<int> numbers_in(const std::string& text) {  // "1,2,4"
    std::vector<int> numbers{0};
    for (const char c : text) {
        if (c == ',') numbers.push_back(0);
        else numbers.back() = numbers.back() * 10 + (c - '0');
    }
    return numbers;
}

static maskgit_vqgan::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    const std::string target = file.metadata_text("entropy_loss_type");
    CHECK((target == "softmax" || target == "argmax"));
    CHECK(file.metadata_text("reconstruction_loss") == "l2 mean");
    return {.channels = dimensions_of(golden, "input.image")[1],
            .filters = file.metadata_int("filters"),
            .multipliers = numbers_in(file.metadata_text("channel_multipliers")),
            .res_blocks = file.metadata_int("num_res_blocks"),
            .groups = file.metadata_int("num_groups"),
            .eps = static_cast<float>(file.metadata_double("group_norm_epsilon")),
            .activation = activation_of_name(file.metadata_text("activation_fn")),
            .strided_downsampling = golden.flag("conv_downsample"),
            .code_width = file.metadata_int("embedding_dim"),
            .codes = file.metadata_int("codebook_size"),
            .commitment = static_cast<float>(file.metadata_double("commitment_cost")),
            .entropy_ratio = static_cast<float>(file.metadata_double("entropy_loss_ratio")),
            .entropy_temperature = static_cast<float>(file.metadata_double("entropy_temperature")),
            .entropy_target = target == "argmax" ? maskgit_vqgan::EntropyTarget::argmax : maskgit_vqgan::EntropyTarget::softmax};
}

static void check_half(const Golden& golden, const std::string& prefix, const maskgit_vqgan::HalfSteps& steps) {
    for (std::size_t k = 0; k < steps.convolutions.size(); ++k)
        golden.check(prefix + "Conv_" + std::to_string(k), steps.convolutions[k].pixels.value());
    for (std::size_t k = 0; k < steps.blocks.size(); ++k)
        golden.check(prefix + "ResBlock_" + std::to_string(k), steps.blocks[k].pixels.value());
}

// The gradient that reaches the encoder's output from the pixels: it passes the choice of a code unchanged.
static Matrix gradient_at_raw(const maskgit_vqgan::Steps& steps, const std::vector<Image>& images, const maskgit_vqgan::Weights& w,
                              const maskgit_vqgan::Config& config) {
    const Var raw = parameter(steps.raw.pixels.value());
    const Tape tape;
    const Quantized quantized = quantize(raw, w.codebook);
    const Map painted = maskgit_vqgan::decode({quantized.output, steps.raw.size}, w, config);
    backward(mean_squared_error(painted.pixels, map_of(images).pixels));
    return raw.gradient();
}

TEST_CASE("maskgit_vqgan: every step, each loss, every gradient and the straight-through gradient equal the published implementation's") {
    for (const std::string& path : golden_files("maskgit_vqgan")) {
        Golden golden(path);
        const maskgit_vqgan::Config config = golden_config(golden);
        const std::vector<Image> images = images_of(golden, "input.image");
        Random random;
        const maskgit_vqgan::Weights w = maskgit_vqgan::make_weights(config, random);
        const Parameters parameters = maskgit_vqgan::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const maskgit_vqgan::Steps steps = maskgit_vqgan::forward(images, w, config);
        check_half(golden, "trace.encoder/", steps.encoder);
        golden.check("raw", steps.raw.pixels.value());
        golden.check("distances", steps.quantized.distances.value());
        golden.check_integers("encoding_indices", steps.quantized.ids);
        golden.check("quantized", steps.quantized.output.value());
        check_half(golden, "trace.decoder/", steps.decoder);
        golden.check("reconstruction", channels_first_of(images_of(steps.reconstruction)));
        const Map painted = maskgit_vqgan::paint(steps.quantized.ids, steps.raw.size, w, config);
        golden.check("decode_from_indices", channels_first_of(images_of(painted)));

        const maskgit_vqgan::Losses losses = maskgit_vqgan::losses(steps, images, config);
        golden.check("e_latent_loss", losses.commitment.value());
        golden.check("q_latent_loss", losses.codebook.value());
        golden.check("entropy_loss", losses.entropy.value());
        golden.check("quantizer_loss", losses.quantizer.value());
        golden.check("reconstruction_loss", losses.reconstruction.value());
        golden.check("loss", losses.total.value());
        backward(losses.total);
        check_gradients(parameters, golden);
        golden.check("grad_wrt_raw_of_reconstruction_loss", gradient_at_raw(steps, images, w, config));
        golden.check_all_used();
    }
}

TEST_SUITE_END();
