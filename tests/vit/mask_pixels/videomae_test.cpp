#include "vit/mask_pixels/videomae.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/temporary_folder.h"
#include "tests/vit/vit_fixture.h"
#include "vit/mask_pixels/masking.h"

TEST_SUITE_BEGIN("videomae");

static videomae::Config golden_config(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.grid = grid_of(golden),
            .frames = file.metadata_int("num_frames"),
            .tubelet = file.metadata_int("tubelet_size"),
            .mask_ratio = file.metadata_double("mask_ratio"),
            .width = file.metadata_int("encoder_embed_dim"),
            .depth = file.metadata_int("encoder_depth"),
            .heads = file.metadata_int("encoder_num_heads"),
            .decoder_width = file.metadata_int("decoder_embed_dim"),
            .decoder_depth = file.metadata_int("decoder_depth"),
            .decoder_heads = file.metadata_int("decoder_num_heads"),
            .mlp_ratio = file.metadata_double("mlp_ratio"),
            .query_value_bias = golden.flag("qkv_bias"),
            .layer_scale = layer_scale_of(golden),
            .normalise_targets = golden.flag("normlize_target"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

TEST_CASE("parity: every step, the loss and every gradient of the published code") {
    for (const std::string& path : golden_files("videomae")) {
        const Golden golden(path);
        const videomae::Config config = golden_config(golden);
        CHECK(videomae::cube_numbers(config) == golden.file.metadata_int("decoder_num_classes"));
        Random random(1);
        const videomae::Weights w = videomae::make_weights(config, random);
        golden.load_weights(videomae::parameters(w, config));
        const std::vector<videomae::Clip> clips = videos_of(golden, "input.videos");
        CHECK(static_cast<int>(clips.size()) == golden.file.metadata_int("batch_size"));
        const Matrix mask = videomae::tube_masking(golden.integers("input.mask_permutation"), config);
        CHECK(integers_of(mask) == golden.integers("input.bool_masked_pos"));
        Tape tape;
        const videomae::Steps steps = videomae::forward(clips, mask, w, config);
        golden.check_integers("bool_masked_pos", integers_of(steps.mask));
        golden.check("patch_embed", steps.cube_embeddings.value());
        golden.check("pos_embed", w.encoder.positions.value());
        golden.check("decoder_pos_embed", w.decoder_positions.value());
        golden.check("encoder_input", steps.encoder_input.value());
        check_stack(golden, steps.encoder, config.depth,
                    {{"encoder.blocks.#.attention_probs", Step::weights}, {"encoder.blocks.#.output", Step::output}});
        golden.check("encoder_norm", steps.encoder_norm.value());
        golden.check("encoder_to_decoder", steps.encoder_to_decoder.value());
        golden.check("decoder_input", steps.decoder_input.value());
        check_stack(golden, steps.decoder, config.decoder_depth,
                    {{"decoder.blocks.#.attention_probs", Step::weights}, {"decoder.blocks.#.output", Step::output}});
        golden.check("decoder_norm", steps.decoder_norm.value());
        golden.check("pred", steps.prediction.value());
        std::vector<videomae::Clip> pixels;
        std::vector<Var> cubes;
        for (const videomae::Clip& clip : clips) {
            pixels.push_back(videomae::undo_normalisation(clip, config));
            cubes.push_back(videomae::cubes_of(pixels.back(), config));
        }
        golden.check("unnormalised_videos", channels_first_of(pixels));
        golden.check("target_patches", concat_rows(cubes).value());
        golden.check("target_normalised", videomae::normalise_cubes(concat_rows(cubes).value(), config.grid.channels));
        const Matrix targets = videomae::targets(clips, config);
        golden.check("labels", gather_rows(targets, masked_rows(steps.mask)).value());
        const Var loss = videomae::loss(steps, targets);
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(videomae::parameters(w, config), golden);
        golden.check_all_used();
    }
}

// --- what must be true of it ---

// A model and a batch that a test may modify.
namespace {
struct VideoCase {
    videomae::Config config;
    videomae::Weights w;
    std::vector<videomae::Clip> clips;
    Matrix mask;
};
}  // namespace

static VideoCase small_case() {
    VideoCase c;
    c.config = {.grid = {.height = 4, .width = 6, .patch_size = 2, .channels = 2},
                .frames = 4,
                .tubelet = 2,
                .mask_ratio = 0.5,
                .width = 8,
                .depth = 1,
                .heads = 2,
                .decoder_width = 6,
                .decoder_depth = 1,
                .decoder_heads = 1,
                .mlp_ratio = 2,
                .normalise_targets = false,
                .channel_mean = {},
                .channel_std = {}};
    Random random(7);
    c.w = videomae::make_weights(c.config, random);
    for (int b = 0; b < 2; ++b) {
        videomae::Clip clip;
        for (int t = 0; t < 4; ++t) {
            clip.push_back(Image(4, 6, 2));
            for (float& x : clip.back().pixels) x = random.uniform();
        }
        c.clips.push_back(clip);
    }
    c.mask = videomae::tube_masking({0, 1, 2, 3, 4, 5, /* next clip */ 5, 3, 1, 0, 2, 4}, c.config);
    return c;
}

TEST_CASE("tube_masking: a position whose entry is one of the largest is masked in each time slot") {
    // ratio 0.5 of 6 positions masks 3: entries 3, 4, 5
    CHECK(identical(small_case().mask, Matrix{{0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1}, {1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1}}));
}

TEST_CASE("masked_positions: rounded down: 0.9 of 196 is 176, 0.7 of 9 is 6") {
    CHECK(videomae::masked_positions({}) == 176);
    CHECK(videomae::masked_positions({.grid = {.height = 12, .width = 12, .patch_size = 4}, .mask_ratio = 0.7}) == 6);
}

TEST_CASE("cubes_of: two frames of one patch are adjacent in a row, and clip_of inverts it") {
    const videomae::Config config{.grid = {.height = 1, .width = 2, .patch_size = 1, .channels = 2}, .frames = 4, .tubelet = 2};
    videomae::Clip clip(4, Image(1, 2, 2));
    for (int t = 0; t < 4; ++t)
        for (int k = 0; k < 4; ++k) clip[t].pixels[k] = static_cast<float>(10 * t + k);
    // slot 0: position 0 has channels 0 1 of frame 0, then those of frame 1
    CHECK(
        identical(videomae::cubes_of(clip, config), Matrix{{0, 1, 10, 11}, {2, 3, 12, 13}, {20, 21, 30, 31}, {22, 23, 32, 33}}));
    const videomae::Clip back = videomae::clip_of(videomae::cubes_of(clip, config), config);
    for (int t = 0; t < 4; ++t) CHECK(back[t].pixels == clip[t].pixels);
}

TEST_CASE("normalise_cubes: each channel alone: 1 and 3 become -1 / sqrt 2 and 1 / sqrt 2, for any values of the others") {
    const Matrix normalised = videomae::normalise_cubes({{1, 100, 3, 500}}, 2);
    CHECK(normalised(0, 0) == Approx(-1 / std::sqrt(2.0)));
    CHECK(normalised(0, 3) == Approx(1 / std::sqrt(2.0)));
    // 1e-6 is added outside the root: +-1e-6 has the standard deviation 1.414e-6, so it becomes 1 / 2.414; inside the root it
    // would be 0.001
    CHECK(videomae::normalise_cubes({{-1e-6f, 1e-6f}}, 1)(0, 1) == Approx(1 / 2.41421356));
    CHECK_THROWS_WITH(videomae::normalise_cubes(Matrix(1, 3), 3),
                      "normalise_cubes: cubes of 3 numbers of 3 channels have no variance");
}

TEST_CASE("forward: a masked tube has no influence on the prediction, a visible one only on its own clip") {
    const VideoCase c = small_case();
    const Matrix before = videomae::forward(c.clips, c.mask, c.w, c.config).prediction.value();
    CHECK(before.rows == 12);  // 6 masked cubes in each clip
    VideoCase masked = c, visible = c;
    for (Image& frame : masked.clips[0]) frame(2, 0, 0) += 1;   // position 3
    for (Image& frame : visible.clips[0]) frame(0, 0, 0) += 1;  // position 0
    CHECK(identical(videomae::forward(masked.clips, c.mask, c.w, c.config).prediction.value(), before));
    const Matrix after = videomae::forward(visible.clips, c.mask, c.w, c.config).prediction.value();
    CHECK(difference(slice_rows(after, 0, 6), slice_rows(before, 0, 6), {0, 0}) != "");
    CHECK(identical(slice_rows(after, 6, 6), slice_rows(before, 6, 6)));
}

TEST_CASE("forward: a mask need not be a tube, if the same number of cubes is masked in each clip") {
    const VideoCase c = small_case();
    const Matrix random_mask = make_mask({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11, 9, 7, 5, 3, 1, 0, 2, 4, 6, 8, 10}, 12, 0, 5);
    const videomae::Steps steps = videomae::forward(c.clips, random_mask, c.w, c.config);
    CHECK(steps.prediction.rows() == 10);
    Matrix uneven = random_mask;
    uneven(1, 11) = 0;
    CHECK_THROWS_WITH(videomae::forward(c.clips, uneven, c.w, c.config),
                      "videomae: clip 1 has 4 masked cubes and clip 0 5; all clips must have the same number");
    Matrix first_none(2, 12);
    first_none(1, 0) = first_none(1, 4) = 1;
    CHECK_THROWS_WITH(videomae::forward(c.clips, first_none, c.w, c.config),
                      "videomae: clip 1 has 2 masked cubes and clip 0 0; all clips must have the same number");
    Matrix one(2, 12);
    one(0, 3) = one(1, 5) = 1;
    CHECK(videomae::forward(c.clips, one, c.w, c.config).prediction.rows() == 2);
    Matrix all_but_one(2, 12, 1);
    all_but_one(0, 3) = all_but_one(1, 5) = 0;
    CHECK(videomae::forward(c.clips, all_but_one, c.w, c.config).prediction.rows() == 22);
    CHECK_THROWS_WITH(videomae::forward(c.clips, Matrix(2, 12, 1), c.w, c.config),
                      "videomae: 12 masked cubes of 12; some must be visible, and some not");
    CHECK_THROWS_WITH(videomae::forward(c.clips, Matrix(2, 12), c.w, c.config),
                      "videomae: 0 masked cubes of 12; some must be visible, and some not");
}

TEST_CASE("completed: the masked cubes are the predicted ones, the others the target's") {
    const VideoCase c = small_case();
    const Matrix targets = videomae::targets(c.clips, c.config);
    const videomae::Steps steps = videomae::forward(c.clips, c.mask, c.w, c.config);
    const Matrix cubes = videomae::completed(steps, targets);
    CHECK(identical(slice_rows(cubes, 0, 3), slice_rows(targets, 0, 3)));
    CHECK(identical(slice_rows(cubes, 3, 3), slice_rows(steps.prediction.value(), 0, 3)));
}

TEST_CASE("undo_normalisation: restores the pixels with mean and standard deviation of each channel") {
    const videomae::Config config{.grid = {.height = 2, .width = 2, .patch_size = 2}};
    Image frame(1, 1, 3);
    frame.pixels = {0, 1, -1};
    const videomae::Clip pixels = videomae::undo_normalisation({frame}, config);
    CHECK(pixels[0].pixels[0] == Approx(0.485));
    CHECK(pixels[0].pixels[1] == Approx(0.456 + 0.224));
    CHECK(pixels[0].pixels[2] == Approx(0.406 - 0.225));
}

TEST_CASE("make_weights: positions are interleaved sines and cosines of the token's index, not trained") {
    const VideoCase c = small_case();
    const Matrix& positions = c.w.encoder.positions.value();
    CHECK(positions.rows == 12);
    CHECK(positions(5, 0) == Approx(std::sin(5.0)));
    CHECK(positions(5, 1) == Approx(std::cos(5.0)));
    CHECK(positions(5, 2) == Approx(std::sin(5 / std::pow(10000, 2.0 / 8))));
    CHECK_FALSE(c.w.encoder.positions.requires_gradient());
}

TEST_CASE("videomae: an inconsistent config, clip or mask throws an error that gives the reason") {
    const VideoCase c = small_case();
    Random random;
    CHECK_THROWS_WITH(videomae::make_weights({.frames = 15}, random), "videomae: cubes of 2 frames do not divide a clip of 15");
    CHECK_THROWS_WITH(videomae::make_weights({.mask_ratio = 1}, random),
                      "videomae: a mask ratio of 1.000000 masks 196 of 196 positions");
    CHECK_THROWS_WITH(videomae::make_weights({.decoder_heads = 5}, random),
                      "videomae: 5 heads do not divide a decoder width of 384");
    CHECK_THROWS_WITH(videomae::make_weights({.channel_mean = {0.5f}}, random),
                      "videomae: 1 means and 3 standard deviations for 3 channels");
    CHECK_THROWS_WITH(videomae::forward(c.clips, Matrix(2, 9), c.w, c.config),
                      "videomae: a mask (2, 9) for 2 clips of 12 cubes; each clip needs a row, each cube a number");
    VideoCase broken = c;
    broken.clips[1].pop_back();
    CHECK_THROWS_WITH(videomae::forward(broken.clips, c.mask, c.w, c.config),
                      "videomae: clip 1 has 3 frames, this model reads 4");
    for (const Image& frame : {Image(4, 4, 2), Image(6, 6, 2), Image(4, 6, 1)}) {
        broken.clips[1].push_back(frame);
        CHECK(error_of([&] { videomae::forward(broken.clips, c.mask, c.w, c.config); }) ==
              "videomae: frame 3 of clip 1 is " + shape(frame) + ", this model reads 4 x 6 x 2");
        broken.clips[1].pop_back();
    }
    const std::string each = " clips of 12 cubes; each clip needs a row, each cube a number";
    CHECK(error_of([&] { videomae::forward({}, Matrix(0, 12), c.w, c.config); }) == "videomae: a mask (0, 12) for 0" + each);
    CHECK(error_of([&] { videomae::forward(c.clips, Matrix(1, 12), c.w, c.config); }) == "videomae: a mask (1, 12) for 2" + each);
    for (const Matrix& cubes : {Matrix(11, 16), Matrix(12, 15), Matrix(16, 12), Matrix(16, 16), Matrix(12, 12)})
        CHECK(error_of([&] { videomae::clip_of(cubes, c.config); }) ==
              "videomae: cubes " + shape(cubes) + " for a clip of 12 cubes of 16 numbers");
}

TEST_CASE(
    "videomae: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for the size") {
    Random random(1);
    const auto table = [&](const videomae::Config& config) {
        return videomae::parameters(videomae::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("videomae"))
        check_given_settings(golden_config(Golden(path)), table, videomae::config_of, "the size of the images");
    videomae::Config scaled = small_case().config;
    scaled.grid.channels = 3;
    scaled.channel_mean = {0.5f, 0.25f, 0.125f};
    scaled.channel_std = {1, 2, 0.1f};
    scaled.layer_scale = 0.5f;
    const TemporaryFolder folder;
    const std::string path = folder.path("videomae.safetensors");
    save(table(scaled), path, videomae::metadata(scaled));
    const videomae::Config read = videomae::config_of(Safetensors(path), {});
    CHECK(read.layer_scale == 1.0f);  // the factors are among the tensors; fresh ones would begin at 1
    CHECK(read.channel_mean == scaled.channel_mean);
    CHECK(read.channel_std == scaled.channel_std);
    const videomae::Config as_it_is = small_case().config;  // of two channels, not normalised
    save(table(as_it_is), path, videomae::metadata(as_it_is));
    CHECK(videomae::config_of(Safetensors(path), {}).channel_mean.empty());
    CHECK(videomae::config_of(Safetensors(path), {}).channel_std.empty());
    // A published file does not say them: those of ImageNet.
    save(table(scaled), path);
    const videomae::Config published = videomae::config_of(
        Safetensors(path),
        {{"image_size", "4,6"}, {"num_frames", "4"}, {"num_attention_heads", "2"}, {"decoder_num_attention_heads", "1"}});
    CHECK(published.channel_mean == std::vector<float>{0.485f, 0.456f, 0.406f});
    CHECK(published.channel_std == std::vector<float>{0.229f, 0.224f, 0.225f});
}

TEST_CASE("make_weights: a channel's standard deviation of 0 is refused") {
    Random random(1);
    videomae::Config config;
    config.channel_std = {1, 0, 1};
    CHECK_THROWS_WITH(videomae::make_weights(config, random),
                      "videomae: a standard deviation of 0.000000 of a channel, it must be above 0");
}

TEST_CASE("videomae: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<videomae::Config, std::string>>{
             {{.depth = -1}, "videomae: depth -1, inner width 3072, 0 classes: none may be negative, and the width not 0"},
             {{.tubelet = 0}, "videomae: cubes of 0 frames do not divide a clip of 16"},
             {{.frames = 0}, "videomae: cubes of 2 frames do not divide a clip of 0"},
             {{.width = 9, .heads = 1}, "videomae: widths of 9 and 384 must be even for the positions"},
             {{.decoder_width = 9, .decoder_heads = 1}, "videomae: widths of 768 and 9 must be even for the positions"},
             {{.decoder_heads = 0}, "videomae: 0 heads do not divide a decoder width of 384"},
             {{.decoder_width = 0}, "videomae: 6 heads do not divide a decoder width of 0"},
             {{.width = 4, .heads = 1, .decoder_width = 2, .decoder_heads = 1, .mlp_ratio = 0.25},  // MLPs of 1 and of 0
              "videomae: a decoder of 4 blocks with MLPs of ratio 0.250000; the depth may not be negative, the ratio must be "
              "positive"},
             {{.decoder_depth = -1},
              "videomae: a decoder of -1 blocks with MLPs of ratio 4.000000; the depth may not be negative, the ratio "
              "must be positive"},
             {{.mask_ratio = -0.5}, "videomae: a mask ratio of -0.500000 is not a fraction from 0 to 1"},
             {{.mask_ratio = 0}, "videomae: a mask ratio of 0.000000 masks 0 of 196 positions"},
             {{.channel_mean = {}}, "videomae: 0 means and 3 standard deviations for 3 channels"},
             {{.channel_mean = {1, 1}, .channel_std = {1, 1}}, "videomae: 2 means and 2 standard deviations for 3 channels"},
         })
        CHECK_THROWS_WITH(videomae::make_weights(config, random), text.c_str());
    CHECK_THROWS_WITH(videomae::undo_normalisation({Image(2, 2, 2)}, {}),
                      "videomae: a clip of 2 channels, there are 3 means of channels");
    const videomae::Config smallest{.grid = {.height = 2, .width = 1, .patch_size = 1, .channels = 1},
                                    .frames = 1,
                                    .tubelet = 1,
                                    .mask_ratio = 0.5,
                                    .width = 2,
                                    .depth = 0,
                                    .heads = 1,
                                    .decoder_width = 2,
                                    .decoder_depth = 0,
                                    .decoder_heads = 1,
                                    .mlp_ratio = 0.5,
                                    .channel_mean = {},
                                    .channel_std = {},
                                    .eps = 0};
    CHECK_NOTHROW(videomae::make_weights(smallest, random));
}

TEST_CASE("normalise_cubes: no channel, a number that the channels do not divide, and one number are refused") {
    CHECK_NOTHROW(videomae::normalise_cubes(Matrix(1, 4), 2));
    CHECK_THROWS_WITH(videomae::normalise_cubes(Matrix(1, 4), 0),
                      "normalise_cubes: cubes of 4 numbers of 0 channels have no variance");
    CHECK_THROWS_WITH(videomae::normalise_cubes(Matrix(1, 5), 2),
                      "normalise_cubes: cubes of 5 numbers of 2 channels have no variance");
    CHECK_THROWS_WITH(videomae::normalise_cubes(Matrix(1, 2), 2),
                      "normalise_cubes: cubes of 2 numbers of 2 channels have no variance");
}

TEST_CASE("make_weights: Xavier-uniform, with no bias between encoder and decoder") {
    videomae::Config wide = small_case().config;
    wide.width = 64, wide.decoder_width = 48, wide.grid.patch_size = 2;
    Random random(2);
    const videomae::Weights w = videomae::make_weights(wide, random);
    const int cube = videomae::cube_numbers(wide);
    CHECK(root_mean_square(w.encoder.projection.weight.value()) / xavier_deviation(cube, 64) == Approx(1).epsilon(0.1));
    CHECK(root_mean_square(w.encoder_to_decoder.weight.value()) / xavier_deviation(64, 48) == Approx(1).epsilon(0.06));
    CHECK_FALSE(w.encoder_to_decoder.bias);
    CHECK(root_mean_square(w.head.weight.value()) / xavier_deviation(48, cube) == Approx(1).epsilon(0.1));
}

TEST_CASE("videomae::Config: the defaults") {
    const videomae::Config usual{};
    CHECK(usual.frames == 16);
    CHECK(usual.tubelet == 2);
    CHECK(usual.mask_ratio == 0.9);
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.decoder_width == 384);
    CHECK(usual.decoder_depth == 4);
    CHECK(usual.decoder_heads == 6);
    CHECK(usual.mlp_ratio == 4);
    CHECK(usual.query_value_bias);
    CHECK(usual.normalise_targets);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.channel_mean == std::vector<float>{0.485f, 0.456f, 0.406f});
    CHECK(usual.channel_std == std::vector<float>{0.229f, 0.224f, 0.225f});
}

TEST_CASE("time_slots, token_count, cube_numbers, masked_positions: what does not divide, or cannot be counted, is refused") {
    const videomae::Config good{.grid = {.height = 8, .width = 8, .patch_size = 4, .channels = 3}, .frames = 4, .tubelet = 2};
    CHECK(videomae::token_count(good) == 8);
    CHECK(videomae::cube_numbers(good) == 96);
    for (const int tubelet : {0, 3, -2}) {
        videomae::Config config = good;
        config.tubelet = tubelet;
        const std::string words = error_of([&] { videomae::time_slots(config); });
        CHECK(words == "videomae: cubes of " + std::to_string(tubelet) + " frames do not divide a clip of 4");
        CHECK(error_of([&] { videomae::token_count(config); }) == words);
        CHECK(error_of([&] { videomae::cube_numbers(config); }) == words);
    }
    videomae::Config config = good;
    config.frames = 1 << 30;
    CHECK(error_of([&] { videomae::token_count(config); }) ==
          "videomae: 2147483648.000000 cubes of a clip are more than an int can count");
    config.tubelet = 1 << 30;
    CHECK(error_of([&] { videomae::cube_numbers(config); }).ends_with(" numbers of a cube are more than an int can count"));
    for (const double ratio : {static_cast<double>(NAN), 1.5, -0.5}) {
        config.mask_ratio = ratio;
        CHECK(error_of([&] { videomae::masked_positions(config); }).ends_with(" is not a fraction from 0 to 1"));
    }
    config.grid.patch_size = 3;
    const std::string grid = "videomae: an image of 8 x 8 does not split into patches of side 3";
    CHECK(error_of([&] { videomae::token_count(config); }).starts_with(grid));
    CHECK(error_of([&] { videomae::cube_numbers(config); }).starts_with(grid));
    CHECK(error_of([&] { videomae::masked_positions(config); }).starts_with(grid));
}

TEST_SUITE_END();
