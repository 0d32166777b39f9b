#include "vit/mask_latents/maskgit_vqgan.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"

TEST_SUITE_BEGIN("maskgit_vqgan");

static std::vector<int> numbers_in(const std::string& text) {  // "1,2,4"
    std::vector<int> numbers{0};
    for (const char c : text) {
        if (c == ',')
            numbers.push_back(0);
        else
            numbers.back() = numbers.back() * 10 + (c - '0');
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
static Matrix gradient_at_raw(const maskgit_vqgan::Steps& steps, const std::vector<Image>& images,
                              const maskgit_vqgan::Weights& w, const maskgit_vqgan::Config& config) {
    const Var raw = parameter(steps.raw.pixels.value());
    const Tape tape;
    const Quantized quantized = quantize(raw, w.codebook);
    const Map painted = maskgit_vqgan::decode({quantized.output, steps.raw.size}, w, config);
    backward(mean_squared_error(painted.pixels, map_of(images).pixels));
    return raw.gradient();
}

TEST_CASE("maskgit_vqgan: every step, loss and gradient, the straight-through one too, equals the published implementation's") {
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

// --- properties ---

static maskgit_vqgan::Config tiny_config() {
    return {.channels = 2,
            .filters = 4,
            .multipliers = {1, 2},
            .res_blocks = 1,
            .groups = 2,
            .code_width = 3,
            .codes = 6,
            .entropy_ratio = 0.5f,
            .entropy_temperature = 1};
}

TEST_CASE("res_block: with a change of channels there is no residual connection") {
    // With a branch of zeros a block that keeps its channels returns its input; one that changes them returns zeros.
    Random random(2);
    const maskgit_vqgan::Config config = tiny_config();
    const maskgit_vqgan::Weights w = maskgit_vqgan::make_weights(config, random);
    maskgit_vqgan::ResBlock same = w.encoder.blocks[0], wider = w.encoder.blocks[1];
    REQUIRE(wider.shortcut.weight);
    for (maskgit_vqgan::ResBlock* const block : {&same, &wider})
        block->conv2.weight = Var(Matrix(block->conv2.weight.rows(), block->conv2.weight.cols()));
    const Map x{normal_matrix(random, 16, 4), {1, 4, 4}};
    CHECK(identical(maskgit_vqgan::res_block(x, same, config).pixels.value(), x.pixels.value()));
    CHECK(identical(maskgit_vqgan::res_block(x, wider, config).pixels.value(), Matrix(16, 8)));
}

TEST_CASE("encode: a strided 4 x 4 convolution halves the map as the mean does, with one more parameter") {
    Random random(3);
    maskgit_vqgan::Config config = tiny_config();
    const Image image(8, 4, 2, 0.5f);
    const maskgit_vqgan::Weights mean = maskgit_vqgan::make_weights(config, random);
    CHECK(maskgit_vqgan::encode(map_of({image}), mean, config).size == MapSize{1, 4, 2});
    config.strided_downsampling = true;
    const maskgit_vqgan::Weights strided = maskgit_vqgan::make_weights(config, random);
    CHECK(maskgit_vqgan::encode(map_of({image}), strided, config).size == MapSize{1, 4, 2});
    CHECK(strided.encoder.convolutions.size() == mean.encoder.convolutions.size() + 1);
    const Parameters table = maskgit_vqgan::parameters(strided, config);
    bool found = false;
    for (const Parameter& parameter : table)
        found = found || (parameter.name == "params/encoder/Conv_1/kernel" && parameter.shape == std::vector<long>{4, 4, 4, 4});
    CHECK(found);
}

TEST_CASE("entropy_loss: two confident vectors: -ratio ln 2 for different codes, 0 for the same code") {
    maskgit_vqgan::Config config = tiny_config();
    for (const maskgit_vqgan::EntropyTarget target :
         {maskgit_vqgan::EntropyTarget::softmax, maskgit_vqgan::EntropyTarget::argmax}) {
        config.entropy_target = target;
        const float apart = maskgit_vqgan::entropy_loss(Matrix{{0, 100}, {100, 0}}, config).value()(0, 0);
        CHECK(apart == Approx(-0.5 * std::log(2.0)).epsilon(1e-4));
        const float together = maskgit_vqgan::entropy_loss(Matrix{{0, 100}, {0, 100}}, config).value()(0, 0);
        CHECK(std::abs(together) < 1e-4);
        // two of three vectors: -ratio (2/3 ln 3/2 + 1/3 ln 3)
        const float thirds = maskgit_vqgan::entropy_loss(Matrix{{0, 100}, {0, 100}, {100, 0}}, config).value()(0, 0);
        CHECK(thirds == Approx(-0.5 * (2 * std::log(1.5) + std::log(3.0)) / 3).epsilon(1e-4));
    }
}

TEST_CASE("entropy_loss: EntropyTarget::argmax has the gradient of the softmax") {
    // argmax: forward one-hot, backward the softmax; so its gradient is finite and not zero
    maskgit_vqgan::Config config = tiny_config();
    config.entropy_target = maskgit_vqgan::EntropyTarget::argmax;
    const Var distances = parameter({{0.5f, 1}, {2, 0.25f}});
    const Tape tape;
    backward(maskgit_vqgan::entropy_loss(distances, config));
    for (const float g : distances.gradient()) CHECK(std::abs(g) > 1e-4f);
}

TEST_CASE("paint: equals the reconstruction of forward for the same codes") {
    Random random(4);
    const maskgit_vqgan::Config config = tiny_config();
    const maskgit_vqgan::Weights w = maskgit_vqgan::make_weights(config, random);
    double squares = 0;
    for (const float x : w.codebook.value()) squares += static_cast<double>(x) * x;
    CHECK(squares / static_cast<double>(w.codebook.value().size()) * config.codes == Approx(1).epsilon(0.4));  // variance 1 / K
    const maskgit_vqgan::Steps steps = maskgit_vqgan::forward({Image(4, 8, 2, 0.3f)}, w, config);
    const Map painted = maskgit_vqgan::paint(steps.quantized.ids, steps.raw.size, w, config);
    CHECK(identical(painted.pixels.value(), steps.reconstruction.pixels.value()));
    CHECK_THROWS_WITH(maskgit_vqgan::paint({0, 1}, {1, 2, 4}, w, config),
                      "maskgit_vqgan: 2 tokens for 1 image of 2 x 4, each pixel of the code needs one");
    CHECK_NOTHROW(maskgit_vqgan::paint({0}, {1, 1, 1}, w, config));
    CHECK_THROWS_WITH(maskgit_vqgan::paint({}, {0, 2, 4}, w, config),
                      "maskgit_vqgan: 0 tokens for 0 images of 2 x 4, each pixel of the code needs one");
    CHECK_THROWS_WITH(maskgit_vqgan::forward({Image(4, 8, 3)}, w, config),
                      "maskgit_vqgan: images of 3 channels, this model reads 2");
    Random other;
    CHECK_THROWS_WITH(maskgit_vqgan::make_weights({.filters = 6, .multipliers = {1}, .groups = 4}, other),
                      "maskgit_vqgan: 6 channels do not split into 4 groups");
}

TEST_CASE("maskgit_vqgan: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<maskgit_vqgan::Config, std::string>>{
             {{.channels = 0},
              "maskgit_vqgan: 5 levels, 0 channels, 128 filters, 2 blocks, 1024 codes of width 256: sizes must be positive"},
             {{.filters = 0},
              "maskgit_vqgan: 5 levels, 3 channels, 0 filters, 2 blocks, 1024 codes of width 256: sizes must be positive"},
             {{.res_blocks = -1},
              "maskgit_vqgan: 5 levels, 3 channels, 128 filters, -1 blocks, 1024 codes of width 256: sizes must be positive"},
             {{.code_width = 0},
              "maskgit_vqgan: 5 levels, 3 channels, 128 filters, 2 blocks, 1024 codes of width 0: sizes must be positive"},
             {{.codes = 0},
              "maskgit_vqgan: 5 levels, 3 channels, 128 filters, 2 blocks, 0 codes of width 256: sizes must be positive"},
             {{.multipliers = {}},
              "maskgit_vqgan: 0 levels, 3 channels, 128 filters, 2 blocks, 1024 codes of width 256: sizes must be positive"},
             {{.multipliers = {0}}, "maskgit_vqgan: 0 channels do not split into 32 groups"},
             {{.groups = 0}, "maskgit_vqgan: 128 channels do not split into 0 groups"},
             {{.eps = -1},
              "maskgit_vqgan: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual"},
             {{.eps = INFINITY},
              "maskgit_vqgan: an eps of inf, it is added to a variance and must be finite and at least 0; 1e-5 is usual"},
             {{.entropy_temperature = 0},
              "maskgit_vqgan: a temperature of 0.000000 of the entropy, it must be finite and above 0"},
             {{.entropy_temperature = INFINITY},
              "maskgit_vqgan: a temperature of inf of the entropy, it must be finite and above 0"},
         })
        CHECK_THROWS_WITH(maskgit_vqgan::make_weights(config, random), text.c_str());
    const maskgit_vqgan::Config smallest{.channels = 1,
                                         .filters = 1,
                                         .multipliers = {1},
                                         .res_blocks = 0,
                                         .groups = 1,
                                         .eps = 0,
                                         .code_width = 1,
                                         .codes = 1,
                                         .entropy_temperature = 0.5f};
    CHECK_NOTHROW(maskgit_vqgan::make_weights(smallest, random));
}

TEST_CASE("maskgit_vqgan::Config: the defaults") {
    const maskgit_vqgan::Config usual{};
    CHECK(usual.channels == 3);
    CHECK(usual.filters == 128);
    CHECK(usual.res_blocks == 2);
    CHECK(usual.groups == 32);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.activation == Activation::silu);
    CHECK(!usual.strided_downsampling);
    CHECK(usual.code_width == 256);
    CHECK(usual.codes == 1024);
    CHECK(usual.commitment == 0.25f);
    CHECK(usual.entropy_ratio == 0.1f);
    CHECK(usual.entropy_temperature == 0.01f);
    CHECK(usual.entropy_target == maskgit_vqgan::EntropyTarget::softmax);
    CHECK(usual.multipliers == std::vector<int>{1, 1, 2, 2, 4});
}

TEST_CASE("maskgit_vqgan: weights of another configuration, and factors of losses that are none, are refused") {
    using namespace maskgit_vqgan;
    const Config config{
        .channels = 1, .filters = 4, .multipliers = {1, 2}, .res_blocks = 1, .groups = 2, .code_width = 3, .codes = 5};
    Random random(1);
    const Weights w = make_weights(config, random);
    const std::vector<Image> images{Image(4, 4, 1)};
    const auto refusal = [&](const Weights& weights, const Config& other) {
        const std::string words = error_of([&] { forward(images, weights, other); });
        CHECK(error_of([&] { parameters(weights, other); }) == words);
        return words;
    };
    CHECK(refusal(w, config).empty());
    CHECK(
        refusal({}, config) ==
        "maskgit_vqgan: convolutions of the encoder: the configuration says 2 layers, the weights hold 0; pass the configuration "
        "that the weights were made with");
    Config other = config;
    other.multipliers = {1, 2, 2};
    CHECK(refusal(w, other).starts_with(
        "maskgit_vqgan: blocks of the encoder: the configuration says 4 layers, the weights hold 3;"));
    other = config;
    other.strided_downsampling = true;
    CHECK(refusal(w, other).starts_with("maskgit_vqgan: convolutions of the encoder: the configuration says 3 layers"));
    Weights cut = w;
    cut.decoder.convolutions.pop_back();
    CHECK(refusal(cut, config).starts_with("maskgit_vqgan: convolutions of the decoder: the configuration says 3 layers"));
    cut = w;
    cut.decoder.blocks.pop_back();
    CHECK(refusal(cut, config).starts_with("maskgit_vqgan: blocks of the decoder: the configuration says 3 layers"));
    for (const float factor : {NAN, INFINITY, -1.0f})
        for (float Config::*const which : {&Config::commitment, &Config::entropy_ratio}) {
            other = config;
            other.*which = factor;
            CHECK(error_of([&] { make_weights(other, random); }).ends_with(", the factors must be finite and at least 0"));
        }
    other = config;
    other.entropy_temperature = NAN;
    CHECK(error_of([&] { entropy_loss(Var(Matrix(2, 5)), other); }).ends_with(" of the entropy, it must be finite and above 0"));
}

TEST_SUITE_END();
