#include "vit/sequence/uvim_lm.h"

#include <algorithm>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"

TEST_SUITE_BEGIN("uvim_lm");

static std::vector<int> pair_in(const std::string& text) {  // "12,16"
    const std::size_t comma = text.find(',');
    return {std::stoi(text.substr(0, comma)), std::stoi(text.substr(comma + 1))};
}

static uvim_lm::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    const std::vector<int> size = pair_in(file.metadata_text("input_size")), patch = pair_in(file.metadata_text("patch_size"));
    CHECK(file.metadata_text("gelu") == "tanh");
    CHECK(!golden.flag("decoder_attention_bias"));
    return {.grid = {.height = size[0], .width = size[1], .patch_height = patch[0], .patch_width = patch[1]},
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

// --- properties ---

// Two rows of a matrix.
static Matrix two_rows(const Matrix& m, int first, int second) {
    return concat_rows({slice_rows(m, first, 1), slice_rows(m, second, 1)}).value();
}

static const uvim_lm::Config tiny{.grid = {.height = 4, .width = 6, .patch_height = 2, .patch_width = 3},
                                  .width = 8,
                                  .depth = 2,
                                  .heads = 2,
                                  .mlp_width = 12,
                                  .vocabulary = 6,
                                  .code_length = 5};

static std::vector<Image> two_images() {
    Random random(2);
    std::vector<Image> images(2, Image(4, 6, 3));
    for (Image& image : images)
        for (float& x : image.pixels) x = random.uniform();
    return images;
}

TEST_CASE("tokens_of, codes_of: code k is token k + 1; 0 starts the text and is not a code") {
    CHECK(uvim_lm::tokens_of({0, 4}) == std::vector<int>{1, 5});
    CHECK(uvim_lm::codes_of({1, 5}) == std::vector<int>{0, 4});
    CHECK(uvim_lm::shifted({1, 2, 3, 4, 5, 6}, 3) == std::vector<int>{0, 1, 2, 0, 4, 5});
    CHECK(uvim_lm::shifted({1, 2}, 1) == std::vector<int>{0, 0});
    CHECK_THROWS_WITH(uvim_lm::codes_of({1, 0}), "uvim_lm: token 0 is not a code: it starts a text");
}

TEST_CASE("Reader: token by token equals the full pass, also after a selection of sequences") {
    Random random(3);
    const uvim_lm::Weights w = uvim_lm::make_weights(tiny, random);
    const std::vector<int> tokens{1, 2, 3, 4, 5, 5, 4, 3, 2, 1};
    const Matrix full = uvim_lm::forward(two_images(), tokens, w, tiny).logits.value();  // (2*5, 6)
    uvim_lm::Reader reader(two_images(), w, tiny);
    check_close("first", reader.read(make_batch({{0}, {0}})), two_rows(full, 0, 5));
    check_close("second", reader.read(make_batch({{1}, {5}})), two_rows(full, 1, 6));
    reader.select({1, 1});  // both continue with the second image
    check_close("third", reader.read(make_batch({{4}, {4}})), two_rows(full, 7, 7));
}

TEST_CASE("write: a text starts with token 0, and each token is the most probable one of the full pass") {
    for (const int seed : {1, 2, 3, 4, 5}) {
        Random random(seed);
        const uvim_lm::Weights w = uvim_lm::make_weights(tiny, random, {.stddev = 0.5f});
        const std::vector<int> tokens = uvim_lm::write(two_images(), w, tiny);
        const Matrix logits = uvim_lm::forward(two_images(), tokens, w, tiny).logits.value();  // (2*5, 6)
        std::vector<int> most_probable;
        for (int i = 0; i < logits.rows; ++i)
            most_probable.push_back(static_cast<int>(std::max_element(logits.row(i), logits.row(i + 1)) - logits.row(i)));
        CHECK(tokens == most_probable);
    }
}

TEST_CASE("forward: later tokens change nothing before them; the image changes every token") {
    Random random(4);
    const uvim_lm::Weights w = uvim_lm::make_weights(tiny, random);
    std::vector<Image> images = two_images();
    const Matrix one = uvim_lm::forward({images[0]}, {1, 2, 3, 4, 5}, w, tiny).logits.value();
    const Matrix other = uvim_lm::forward({images[0]}, {1, 2, 5, 4, 5}, w, tiny).logits.value();
    CHECK(identical(slice_rows(one, 0, 3), slice_rows(other, 0, 3)));
    CHECK(!identical(slice_rows(one, 3, 1), slice_rows(other, 3, 1)));
    CHECK(!identical(slice_rows(uvim_lm::forward({images[1]}, {1, 2, 3, 4, 5}, w, tiny).logits.value(), 0, 1),
                     slice_rows(one, 0, 1)));
}

TEST_CASE("uvim_lm: an inconsistent config or text throws an error that gives the reason") {
    Random random;
    CHECK_THROWS_WITH(uvim_lm::make_weights({.width = 10, .heads = 3}, random), "uvim_lm: 3 heads do not divide a width of 10");
    const uvim_lm::Weights w = uvim_lm::make_weights(tiny, random);
    CHECK_THROWS_WITH(uvim_lm::forward(two_images(), {1, 2}, w, tiny), "uvim_lm: 2 tokens for 2 images, each needs 5");
}

TEST_CASE("uvim_lm: a depth that the weights do not have, codes below 0 and empty texts are refused") {
    Random random;
    const uvim_lm::Weights w = uvim_lm::make_weights(tiny, random);
    uvim_lm::Config deeper = tiny;
    deeper.depth = tiny.depth + 1;
    CHECK_THROWS_WITH(uvim_lm::forward(two_images(), std::vector<int>(10, 1), w, deeper),
                      "uvim_lm: encoder: the configuration says 3 blocks, the weights hold 2; pass the configuration that the "
                      "weights were made with");
    CHECK_THROWS_WITH(uvim_lm::tokens_of({0, -1}), "uvim_lm: entry -1 of a code, they are counted from 0");
    CHECK_THROWS_WITH(uvim_lm::codes_of({0}), "uvim_lm: token 0 is not a code: it starts a text");
    CHECK_THROWS_WITH(uvim_lm::shifted({1, 2}, 0), "uvim_lm: texts of 0 tokens, there must be at least 1");
}

TEST_CASE(
    "uvim_lm: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what "
    "is missing") {
    Random random(1);
    const auto table = [&](const uvim_lm::Config& config) {
        return uvim_lm::parameters(uvim_lm::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("uvim_lm")) {
        const uvim_lm::Config config = golden_config(Golden(path));
        check_given_settings(config, table, uvim_lm::config_of, "the size of the images");
        const TemporaryFolder folder;
        const std::string saved = folder.path("uvim_lm.safetensors");
        save(table(config), saved, uvim_lm::metadata(config));
        CHECK(error_of([&] {
                  uvim_lm::config_of(Safetensors(saved), {{"image_size", "8,8,3"}});
              }) == saved + ": an image size of 3 numbers, it is one side, or height and width");
    }
    check_given_settings(tiny, table, uvim_lm::config_of, "the size of the images");  // patches of 2 x 3
}

TEST_CASE("uvim_lm: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<uvim_lm::Config, std::string>>{
             {{.heads = 0}, "uvim_lm: 0 heads do not divide a width of 1024"},
             {{.width = 0}, "uvim_lm: 16 heads do not divide a width of 0"},
             {{.vocabulary = 1},
              "uvim_lm: 1 tokens, codes of 256 tokens, depth 24: sizes must be positive, and one token starts a text"},
             {{.code_length = 0},
              "uvim_lm: 4097 tokens, codes of 0 tokens, depth 24: sizes must be positive, and one token starts a text"},
             {{.mlp_width = 0},
              "uvim_lm: 4097 tokens, codes of 256 tokens, depth 24: sizes must be positive, and one token starts a text"},
             {{.depth = -1},
              "uvim_lm: 4097 tokens, codes of 256 tokens, depth -1: sizes must be positive, and one token starts a text"},
         })
        CHECK_THROWS_WITH(uvim_lm::make_weights(config, random), text.c_str());
    const uvim_lm::Config smallest{.grid = {.height = 1, .width = 1, .patch_height = 1, .patch_width = 1},
                                   .width = 1,
                                   .depth = 0,
                                   .heads = 1,
                                   .mlp_width = 1,
                                   .vocabulary = 2,
                                   .code_length = 1,
                                   .learned_positions = true,
                                   .eps = 0};
    CHECK_NOTHROW(uvim_lm::make_weights(smallest, random));
}

TEST_CASE("make_weights: tokens have the standard deviation 1, learned positions 1 / sqrt(D)") {
    Random random(5);
    uvim_lm::Config config = tiny;
    config.learned_positions = true;
    config.width = 64;
    const uvim_lm::Weights w = uvim_lm::make_weights(config, random);
    for (const Var& positions : {w.encoder_positions, w.decoder_positions}) {
        double squares = 0;
        for (const float x : positions.value()) squares += static_cast<double>(x) * x;
        CHECK(squares / static_cast<double>(positions.value().size()) * 64 == Approx(1).epsilon(0.2));
    }
    CHECK(root_mean_square(w.token_embedding.value()) == Approx(1).epsilon(0.1));
}

TEST_CASE("uvim_lm::Config: the defaults") {
    const uvim_lm::Config usual{};
    CHECK(usual.width == 1024);
    CHECK(usual.depth == 24);
    CHECK(usual.heads == 16);
    CHECK(usual.mlp_width == 4096);
    CHECK(usual.vocabulary == 4097);
    CHECK(usual.code_length == 256);
    CHECK(!usual.learned_positions);
    CHECK(usual.eps == 1e-6f);
}

TEST_CASE("shifted: tokens that are not whole texts are refused") {
    CHECK(error_of([] { uvim_lm::shifted({1, 2, 3}, 2); }) == "uvim_lm: 3 tokens are not whole texts of 2");
}

TEST_SUITE_END();
