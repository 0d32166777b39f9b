#include "vit/detect/vitdet.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <sstream>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("vitdet");

// "4.0,2.0,1.0,0.5" -> {4, 2, 1, 0.5}; "" -> {}
static std::vector<double> numbers_in(const std::string& text) {
    std::vector<double> numbers;
    std::stringstream stream(text);
    for (std::string word; std::getline(stream, word, ',');) numbers.push_back(std::stod(word));
    return numbers;
}

static std::vector<int> whole_numbers_in(const std::string& text) {
    std::vector<int> numbers;
    for (const double number : numbers_in(text)) numbers.push_back(static_cast<int>(number));
    return numbers;
}

static vitdet::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    const int P = file.metadata_int("patch_size"), D = file.metadata_int("embed_dim");
    REQUIRE(file.metadata_text("pyramid_norm") == "LN");
    return {.patch_size = P,
            .channels = file.metadata_int("in_chans"),
            .table_height = file.metadata_int("img_size") / P,
            .table_width = file.metadata_int("img_size") / P,
            .position_side = file.metadata_int("pretrain_img_size") / P,
            .class_position = golden.flag("pretrain_use_cls_token"),
            .absolute_positions = golden.flag("use_abs_pos"),
            .relative_positions = golden.flag("use_rel_pos"),
            .width = D,
            .depth = file.metadata_int("depth"),
            .heads = file.metadata_int("num_heads"),
            .mlp_width = static_cast<int>(D * file.metadata_double("mlp_ratio")),
            .query_key_value_bias = golden.flag("qkv_bias"),
            .window = file.metadata_int("window_size"),
            .windowed = whole_numbers_in(file.metadata_text("window_block_indexes")),
            .residual = whole_numbers_in(file.metadata_text("residual_block_indexes")),
            .scales = numbers_in(file.metadata_text("scale_factors")),
            .pyramid_channels = file.metadata_int("out_channels"),
            .top_level = file.metadata_text("top_block") == "LastLevelMaxPool",
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps"))};
}

// The names of the levels: p and the logarithm of the stride; the top level has twice the stride of the last.
static std::vector<std::string> level_names(const vitdet::Config& config) {
    std::vector<std::string> names;
    int last = 0;
    for (const double scale : config.scales) {
        last = vitdet::level_number(scale, config);
        names.push_back("pyramid.p" + std::to_string(last));
    }
    if (config.top_level) names.push_back("pyramid.p" + std::to_string(last + 1));
    return names;
}

static void check_block(const Golden& golden, const vitdet::BlockSteps& steps, const vitdet::Config& config, int l,
                        const MapSize& size) {
    const std::string block = "block_" + std::to_string(l) + ".";
    const bool windowed = vitdet::is_windowed(config, l);
    const int a = windowed ? config.window : size.height, b = windowed ? config.window : size.width;
    if (windowed) {
        const vitdet::Windows cut = vitdet::windows(size, config.window);
        golden.check(block + "windows", steps.inside.value());
        golden.check_integers(block + "padded_hw", {cut.padded_height, cut.padded_width});
    }
    if (config.relative_positions) {  // indexed by query and key: (a, a, d)
        golden.check(block + "rel_pos_h_table", gather_rows(steps.table_down, vitdet::offsets(a)).value());
        golden.check(block + "rel_pos_w_table", gather_rows(steps.table_across, vitdet::offsets(b)).value());
        golden.check(block + "rel_pos_bias", steps.bias.value());
    }
    golden.check(block + "attention_probs", steps.attention.weights.value());
    golden.check(block + "attention_out", steps.attention.output.value());
    golden.check(block + "output", steps.output.value());
}

TEST_CASE("parity: every step, the pyramid, the loss and every gradient of the published code") {
    for (const std::string& path : golden_files("vitdet")) {
        const Golden golden(path);
        const vitdet::Config config = config_of_fixture(golden);
        Random random;
        const vitdet::Weights w = vitdet::make_weights(config, random);
        const Parameters parameters = vitdet::parameters(w, config);
        golden.load_weights(parameters);
        const std::vector<Image> images = images_of(golden, "input.image");

        const Tape tape;
        const vitdet::Steps steps = vitdet::forward(images, w, config);
        const MapSize size = steps.last.size;

        golden.check("patches", channel_major_patches_of(images, config.patch_size));
        golden.check("patch_embeddings", steps.patch_embeddings.pixels.value());
        if (config.absolute_positions) golden.check("abs_pos", steps.positions.value());
        for (int l = 0; l < config.depth; ++l) check_block(golden, steps.blocks[l], config, l, size);
        golden.check("last_feat", maps_channels_first(steps.last.pixels.value(), size.height, size.width));

        const std::vector<std::string> names = level_names(config);
        REQUIRE(steps.pyramid.size() == names.size());
        Var loss;  // stands in for a detector's: the sum over levels of mean((level - target)^2)
        for (std::size_t k = 0; k < names.size(); ++k) {
            const Map& level = steps.pyramid[k];
            golden.check(names[k], maps_channels_first(level.pixels.value(), level.size.height, level.size.width));
            const Var error = mean_squared_error(level.pixels, rows_of_maps(golden, "input.target." + names[k].substr(8)));
            loss = loss ? add(loss, error) : error;
        }
        golden.check("loss", loss.value());

        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// A model in which all sizes differ: images of 10 x 14, P = 2, so 5 x 7 tokens; windows of 3, two blocks, the last one global.
static const vitdet::Config tiny{.patch_size = 2,
                                 .channels = 1,
                                 .table_height = 5,
                                 .table_width = 7,
                                 .position_side = 4,
                                 .class_position = false,
                                 .width = 8,
                                 .depth = 2,
                                 .heads = 2,
                                 .mlp_width = 12,
                                 .window = 3,
                                 .windowed = {0},
                                 .scales = {2, 0.5},
                                 .pyramid_channels = 6,
                                 .top_level = false};

static Image random_image(Random& random, int height = 10, int width = 14) {
    Image image(height, width, 1);
    for (float& x : image.pixels) x = random.normal();
    return image;
}

TEST_CASE("windows: 2 x 3 tokens in windows of 2: the second is padded") {
    const vitdet::Windows cut = vitdet::windows({1, 2, 3}, 2);  // rows 0 1 2 above 3 4 5
    CHECK(cut.rows == std::vector<int>{0, 1, 3, 4, 2, -1, 5, -1});
    CHECK(cut.inverse == std::vector<int>{0, 1, 4, 2, 3, 6});
    CHECK(cut.count == 2);
    CHECK(cut.padded_height == 2);
    CHECK(cut.padded_width == 4);
    const Matrix map{{1}, {2}, {3}, {4}, {5}, {6}};
    CHECK(identical(vitdet::partition(map, cut).value(), Matrix{{1}, {2}, {4}, {5}, {3}, {0}, {6}, {0}}));
    CHECK(vitdet::windows({2, 4, 4}, 2).count == 8);
    CHECK(error_of([] { vitdet::windows({1, 2, 3}, 0); }) == "windows: side 0 on 1 image of 2 x 3, both must be at least 1");
}

TEST_CASE("unpartition: inverts partition, for any size") {
    Random random(1);
    for (const MapSize size : {MapSize{1, 1, 1}, MapSize{2, 5, 7}, MapSize{3, 6, 4}})
        for (const int side : {1, 3, 8}) {
            const Matrix map = normal_matrix(random, size.rows(), 2);
            const vitdet::Windows cut = vitdet::windows(size, side);
            CHECK(identical(vitdet::unpartition(vitdet::partition(map, cut), cut).value(), map));
        }
}

TEST_CASE("decomposed_bias: one row of two tokens, by hand") {
    // a = 1, b = 2, one head of width 1: q = 2 and 3, Rh = [10], Rw = [1, 5, 7] for offsets -1, 0, 1 (query - key)
    // query 0: key 0 is offset 0: 2 * 10 + 2 * 5 = 30, key 1 is offset -1: 2 * 10 + 2 * 1 = 22
    // query 1: key 0 is offset 1: 3 * 10 + 3 * 7 = 51, key 1: 3 * 10 + 3 * 5 = 45
    const Var bias = vitdet::decomposed_bias(Matrix{{2}, {3}}, Matrix{{10}}, Matrix{{1}, {5}, {7}}, 1, 2, 1);
    CHECK(identical(bias.value(), Matrix{{30, 22}, {51, 45}}));
    CHECK(vitdet::offsets(2) == std::vector<int>{1, 0, 2, 1});
    // the same numbers downwards
    const Var below = vitdet::decomposed_bias(Matrix{{2}, {3}}, Matrix{{1}, {5}, {7}}, Matrix{{10}}, 2, 1, 1);
    CHECK(identical(below.value(), Matrix{{30, 22}, {51, 45}}));
    CHECK(without_place(error_of([] { vitdet::decomposed_bias(Matrix(2, 1), Matrix(2, 1), Matrix(3, 1), 1, 2, 1); })) ==
          "decomposed_bias: tables (2, 1) and (3, 1) for a map of 1 x 2, which has 1 and 3 offsets");
    CHECK(without_place(error_of([] { vitdet::decomposed_bias(Matrix(12, 1), Matrix(5, 1), Matrix(6, 1), 3, 4, 1); })) ==
          "decomposed_bias: tables (5, 1) and (6, 1) for a map of 3 x 4, which has 5 and 7 offsets");
    const auto refused = [](int a, int b) {
        return without_place(error_of([&] { vitdet::decomposed_bias(Matrix(4, 1), Matrix(1, 1), Matrix(3, 1), a, b, 1); }));
    };
    CHECK(refused(-1, 2) == "decomposed_bias: queries (4, 1) are not maps of -1 x 2");
    CHECK(refused(2, -1) == "decomposed_bias: queries (4, 1) are not maps of 2 x -1");
    CHECK(refused(1, 3) == "decomposed_bias: queries (4, 1) are not maps of 1 x 3");
}

TEST_CASE("decomposed_bias: gradients of queries and tables agree with finite differences") {
    Random random(2);
    const Matrix query = normal_matrix(random, 2 * 6, 4), down = normal_matrix(random, 3, 2),
                 across = normal_matrix(random, 5, 2);
    check_gradient_by_differences([](const std::vector<Var>& v) { return vitdet::decomposed_bias(v[0], v[1], v[2], 2, 3, 2); },
                                  {query, down, across});
}

TEST_CASE("table_for: a table of another length is interpolated linearly") {
    // 3 offsets become 5: positions 0.6 p - 0.2, clamped: 0, 0.4, 1, 1.6, 2
    check_close("table", vitdet::table_for(Matrix{{0}, {1}, {2}}, 3).value(), {{0}, {0.4f}, {1}, {1.6f}, {2}});
    const Matrix fits{{0}, {1}, {2}};
    CHECK(identical(vitdet::table_for(fits, 2).value(), fits));
}

// A model whose biases and relative positions are not 0.
static vitdet::Weights random_weights(const vitdet::Config& config, Random& random) {
    const vitdet::Weights w = vitdet::make_weights(config, random, {.stddev = 0.4f});
    for (Var& variable : variables(vitdet::parameters(w, config)))
        for (float& x : variable.value())
            if (x == 0) x = 0.3f * random.normal();
    return w;
}

TEST_CASE("block: padding is zero before attention, and is attended to") {
    const KeepSteps keep;
    Random random(3);
    const vitdet::Weights w = random_weights(tiny, random);
    const vitdet::BlockSteps steps = vitdet::forward({random_image(random)}, w, tiny).blocks[0];
    // 5 x 7 tokens in windows of 3: the last window, number 5, holds the token (3, 6) and below it (4, 6); the rest is padding
    const Matrix last = slice_rows(steps.inside.value(), 5 * 9, 9);
    for (const int place : {1, 2, 4, 5, 6, 7, 8})
        for (int j = 0; j < tiny.width; ++j) CHECK(last(place, j) == 0);
    CHECK(last(0, 0) != 0);
    const Matrix& weights = steps.attention.weights.value();  // (6 windows * 2 heads * 9, 9)
    const int row = 5 * 2 * 9;
    CHECK(weights(row, 1) > 0.001f);
    // The value at a padded position is the bias, as for an input of zeros.
    check_close("value", slice_rows(steps.attention.value.value(), 5 * 9 + 1, 1), w.blocks[0].attention.value.bias.value());
}

// The largest change of the last map at token (0, 0) when the image changes at its lower right corner.
static float change_of_first_token(const vitdet::Config& config) {
    Random random(4);
    const vitdet::Weights w = random_weights(config, random);
    Image image = random_image(random);
    const Matrix before = vitdet::forward({image}, w, config).last.pixels.value();
    image(9, 13, 0) += 1;
    const Matrix after = vitdet::forward({image}, w, config).last.pixels.value();
    float largest = 0;
    for (int j = 0; j < before.cols; ++j) largest = std::max(largest, std::abs(after(0, j) - before(0, j)));
    return largest;
}

TEST_CASE("forward: windows do not attend to each other; a global block, or convolutions, connect them") {
    vitdet::Config windowed = tiny;
    windowed.windowed = {0, 1};
    CHECK(change_of_first_token(windowed) == 0);
    CHECK(change_of_first_token(tiny) > 0);
    vitdet::Config near = windowed;
    near.residual = {1};  // 3 x 3 reaches the next token only
    CHECK(change_of_first_token(near) == 0);
}

TEST_CASE("forward: the images of a batch do not attend to each other") {
    Random random(5);
    const vitdet::Weights w = random_weights(tiny, random);
    const Image a = random_image(random), b = random_image(random);
    const vitdet::Steps together = vitdet::forward({a, b}, w, tiny);
    const Map alone = vitdet::forward({b}, w, tiny).pyramid[0];
    check_close("image 1", slice_rows(together.pyramid[0].pixels.value(), alone.size.rows(), alone.size.rows()),
                alone.pixels.value());
}

TEST_CASE("forward: fresh residual convolutions add nothing") {
    Random random(6), same(6);
    vitdet::Config with = tiny;
    with.residual = {1};
    const Image image = random_image(random);
    Random first(7), second(7);
    const vitdet::Weights w = vitdet::make_weights(tiny, first), more = vitdet::make_weights(with, second);
    CHECK(identical(vitdet::forward({image}, w, tiny).last.pixels.value(),
                    vitdet::forward({image}, more, with).last.pixels.value()));
    const Parameters table = vitdet::parameters(more, with);  // and are called as in the published code
    int found = 0, norms = 0;
    for (const Parameter& entry : table) {
        const long numbers = std::accumulate(entry.shape.begin(), entry.shape.end(), 1L, std::multiplies<long>());
        CHECK_MESSAGE(published_value(entry).size() == static_cast<std::size_t>(numbers), entry.name);
    }
    for (const Parameter& entry : table)
        found += entry.name == "backbone.net.blocks.1.residual.conv2.weight" && entry.shape == std::vector<long>{4, 4, 3, 3};
    CHECK(found == 1);
    for (const auto& [name, channels] : {std::pair{"norm1", 4}, {"norm2", 4}, {"norm3", 8}})
        for (const Parameter& entry : table)
            norms += entry.name.starts_with(std::string("backbone.net.blocks.1.residual.") + name) &&
                     entry.shape == std::vector<long>{channels};
    CHECK(norms == 6);  // a gain and a bias of each
    for (const auto& [name, shape] : {std::pair{"conv1", std::vector<long>{4, 8, 1, 1}}, {"conv3", {8, 4, 1, 1}}})
        found += std::any_of(table.begin(), table.end(), [&](const Parameter& entry) {
            return entry.name == std::string("backbone.net.blocks.1.residual.") + name + ".weight" && entry.shape == shape;
        });
    CHECK(found == 3);
}

TEST_CASE("forward: residual convolutions add LN(1x1(gelu(LN(3x3(gelu(LN(1x1(x)))))))) to the output of their block") {
    Random random(8);
    vitdet::Config with = tiny;
    with.residual = {1};  // the last block
    const vitdet::Weights w = random_weights(with, random);
    for (Var gain : {w.residual[1].norms[0].gain, w.residual[1].norms[1].gain, w.residual[1].norms[2].gain})
        for (float& x : gain.value()) x += 0.5f * random.normal();
    vitdet::Weights without = w;
    without.residual[1] = {};
    const Image image = random_image(random);
    const Map x = vitdet::forward({image}, without, tiny).last;
    const auto step = [&](const Map& from, int number, int side) {
        const Matrix y = convolve_textbook(from.pixels.value(), from.size, w.residual[1].convolutions[number].weight.value(), {},
                                           {.side = side, .padding = Padding::all(side / 2)});
        return layer_norm(y, w.residual[1].norms[number], with.eps);
    };
    const Map narrow{activate(step(x, 0, 1), Activation::gelu), x.size};
    const Map spread{activate(step(narrow, 1, 3), Activation::gelu), x.size};
    check_close("last", vitdet::forward({image}, w, with).last.pixels.value(), add(x.pixels, step(spread, 2, 1)).value());
}

TEST_CASE("level_number: log2 of the stride") {
    vitdet::Config config;  // P = 16
    CHECK(vitdet::level_number(4, config) == 2);
    CHECK(vitdet::level_number(0.5, config) == 5);
    config.patch_size = 4;
    CHECK(vitdet::level_number(4, config) == 0);
    config.patch_size = 2;
    CHECK(error_of([&] { vitdet::level_number(4, config); }) ==
          "vitdet: a level of scale 4.000000 of patches of 2 pixels has a stride below a pixel; take a smaller scale or larger "
          "patches");
}

TEST_CASE("attention_multiplications: global attention on 64 x 64 tokens costs 17.5 times that in windows of 14") {
    // windows: 5 * 5 of 14^2 tokens each, 2 * 25 * 196^2 D; global: 2 * 4096^2 D; the ratio is 16777216 / 960400
    const vitdet::Config config;
    CHECK(vitdet::attention_multiplications(config, 2, 64, 64) / vitdet::attention_multiplications(config, 0, 64, 64) ==
          Approx(16777216.0 / 960400));
}

TEST_CASE("vitdet: inconsistent arguments throw a one-line error") {
    Random random(8);
    const vitdet::Weights w = vitdet::make_weights(tiny, random);
    CHECK(error_of([&] { vitdet::forward({}, w, tiny); }) == "vitdet: there is no image; give at least one");
    CHECK(error_of([&] { vitdet::forward({Image(10, 13, 1)}, w, tiny); }) ==
          "vitdet: an image of 10 x 13 x 1, this model reads 1 channels and sides that 2 divides");
    vitdet::Config wrong = tiny;
    wrong.windowed = {2};
    CHECK(error_of([&] { vitdet::make_weights(wrong, random); }) ==
          "vitdet: block 2 cannot be windowed, there are 2 blocks, counted from 0");
    wrong = tiny;
    wrong.scales = {3};
    CHECK(error_of([&] { vitdet::make_weights(wrong, random); }) ==
          "vitdet: a level of scale 3.000000, the pyramid has 4, 2, 1 and 0.5");
    wrong = tiny;
    wrong.heads = 3;
    CHECK(error_of([&] { vitdet::make_weights(wrong, random); }) == "vitdet: 3 heads do not divide a width of 8");
}

TEST_CASE("vitdet: depths, blocks and axes that the weights do not have are refused") {
    Random random(8);
    const vitdet::Weights w = vitdet::make_weights(tiny, random);
    vitdet::Config deeper = tiny, no_eps = tiny;
    deeper.depth = 3;
    no_eps.eps = NAN;
    const std::vector<Image> images{Image(4, 4, 1)};
    CHECK_THROWS_WITH(
        vitdet::forward(images, w, deeper),
        "vitdet: the configuration says 3 blocks, the weights hold 2; pass the configuration that the weights were made with");
    CHECK_THROWS_WITH(vitdet::forward(images, w, no_eps),
                      "vitdet: an eps of nan, it is added to a variance and must be finite and at least 0; 1e-5 is usual");
    CHECK_THROWS_WITH(vitdet::block(Matrix(4, 8), w, tiny, 2, {1, 2, 2}), "vitdet: there is no block 2 among 2, counted from 0");
    CHECK_THROWS_WITH(vitdet::offsets(0), "offsets: an axis of 0 tokens, it must have at least 1");
    CHECK(without_place(error_of([&] { vitdet::table_for(Matrix(3, 4), 0); })) ==
          "table_for: an axis of 0 tokens, it must have at least 1");
}

TEST_CASE(
    "vitdet: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const vitdet::Config& config) {
        return vitdet::parameters(vitdet::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("vitdet")) {
        const vitdet::Config config = config_of_fixture(Golden(path));
        check_given_settings(config, table, vitdet::config_of, "the side of a window, in tokens; 0 without windows");
    }
}

TEST_CASE("vitdet: config_of reads every variant: without positions, windows or pyramid, with residual blocks") {
    Random random(1);
    const auto table = [&](const vitdet::Config& config) {
        return vitdet::parameters(vitdet::make_weights(config, random), config);
    };
    const vitdet::Config fixture = config_of_fixture(Golden(golden_files("vitdet")[0]));
    const std::string window = "the side of a window, in tokens; 0 without windows";
    vitdet::Config config = fixture;
    config.relative_positions = false;  // then the shapes do not determine the number of heads
    check_given_settings(config, table, vitdet::config_of, "the number of heads");
    config = fixture;
    config.heads = config.width;  // heads of width 1
    check_given_settings(config, table, vitdet::config_of, window);
    config = fixture;
    config.window = 0;
    config.windowed = {};
    check_given_settings(config, table, vitdet::config_of, window);
    config = fixture;
    config.windowed = {};  // windows, but in no block
    check_given_settings(config, table, vitdet::config_of, window);
    config = fixture;
    config.windowed.clear();
    for (int l = 1; l < config.depth; ++l) config.windowed.push_back(l);  // only the first block is global
    check_given_settings(config, table, vitdet::config_of, window);
    config = fixture;
    config.windowed = {0, 1, 2};
    config.residual = {0, 2};
    config.class_position = false;
    config.scales = {1, 0.5};
    check_given_settings(config, table, vitdet::config_of, window);
    config = fixture;
    config.absolute_positions = false;
    config.query_key_value_bias = false;
    config.pyramid_channels = 0;
    check_given_settings(config, table, vitdet::config_of, window);
    config = fixture;
    {
        const TemporaryFolder folder;
        const std::string path = folder.path("vitdet.safetensors");
        vitdet::Config without_pyramid = fixture;
        without_pyramid.pyramid_channels = 0;
        save(table(without_pyramid), path, vitdet::metadata(without_pyramid));
        CHECK(vitdet::config_of(Safetensors(path), {}).pyramid_channels == 0);
    }
    config.table_height = 5;  // maps that are not square
    check_given_settings(config, table, vitdet::config_of, window);
}

TEST_CASE("check: every invalid size is refused by itself, the smallest valid one is accepted") {
    const std::string at_least = ": all must be at least 1", inner = ": none may be negative, and the inner width not 0";
    for (const auto& [config, text] : std::vector<std::pair<vitdet::Config, std::string>>{
             {{.patch_size = 0}, "vitdet: patch side 0, 3 channels, tables for 64 x 64 tokens, positions of side 14" + at_least},
             {{.channels = 0}, "vitdet: patch side 16, 0 channels, tables for 64 x 64 tokens, positions of side 14" + at_least},
             {{.table_height = 0},
              "vitdet: patch side 16, 3 channels, tables for 0 x 64 tokens, positions of side 14" + at_least},
             {{.table_width = 0}, "vitdet: patch side 16, 3 channels, tables for 64 x 0 tokens, positions of side 14" + at_least},
             {{.position_side = 0},
              "vitdet: patch side 16, 3 channels, tables for 64 x 64 tokens, positions of side 0" + at_least},
             {{.heads = 0}, "vitdet: 0 heads do not divide a width of 768"},
             {{.width = 0}, "vitdet: 12 heads do not divide a width of 0"},
             {{.depth = -1}, "vitdet: depth -1, inner width 3072, window 14, 256 channels of the pyramid" + inner},
             {{.mlp_width = 0}, "vitdet: depth 12, inner width 0, window 14, 256 channels of the pyramid" + inner},
             {{.window = -1}, "vitdet: depth 12, inner width 3072, window -1, 256 channels of the pyramid" + inner},
             {{.pyramid_channels = -1}, "vitdet: depth 12, inner width 3072, window 14, -1 channels of the pyramid" + inner},
             {{.eps = -1}, "vitdet: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual"},
             {{.windowed = {-1}}, "vitdet: block -1 cannot be windowed, there are 12 blocks, counted from 0"},
             {{.windowed = {12}}, "vitdet: block 12 cannot be windowed, there are 12 blocks, counted from 0"},
             {{.residual = {-1}}, "vitdet: block -1 cannot have convolutions, there are 12 blocks, counted from 0"},
             {{.residual = {12}}, "vitdet: block 12 cannot have convolutions, there are 12 blocks, counted from 0"},
         })
        CHECK_THROWS_WITH(vitdet::check(config), text.c_str());
    const vitdet::Config least{.patch_size = 1,
                               .channels = 1,
                               .table_height = 1,
                               .table_width = 1,
                               .position_side = 1,
                               .width = 1,
                               .depth = 0,
                               .heads = 1,
                               .mlp_width = 1,
                               .window = 0,
                               .windowed = {},
                               .pyramid_channels = 0,
                               .eps = 0};
    CHECK_NOTHROW(vitdet::check(least));
    CHECK_NOTHROW(vitdet::check({.window = 1}));
    vitdet::Config thin = tiny;
    thin.pyramid_channels = 1;
    Random random(2);
    const vitdet::Weights w = vitdet::make_weights(thin, random);
    CHECK(vitdet::forward({random_image(random)}, w, thin).pyramid[0].channels() == 1);
    CHECK_NOTHROW(vitdet::check({.windowed = {0, 11}, .residual = {0, 11}}));
}

TEST_CASE("windows, decomposed_bias, block, forward: each argument check fails by itself") {
    CHECK_NOTHROW(vitdet::windows({1, 1, 1}, 1));
    CHECK(error_of([] { vitdet::windows({1, 1, 1}, 0); }).starts_with("windows: side 0 on "));
    CHECK(error_of([] { vitdet::windows({1, 0, 1}, 1); }).starts_with("windows: side 1 on "));
    CHECK(error_of([] { vitdet::windows({1, 0, 1}, 1); }).ends_with(", both must be at least 1"));

    const auto refusal = [](const Matrix& query, const Matrix& down, const Matrix& across, int a, int b, int heads) {
        return without_place(error_of([&] { vitdet::decomposed_bias(query, down, across, a, b, heads); }));
    };
    const Matrix query(2, 2), down(1, 2), across(3, 2);  // a map of 1 x 2, one head of width 2
    CHECK(refusal(query, down, across, 1, 2, 1) == "");
    CHECK(refusal(query, down, across, 0, 2, 1) == "decomposed_bias: queries (2, 2) are not maps of 0 x 2");
    CHECK(refusal(query, down, across, 1, 0, 1) == "decomposed_bias: queries (2, 2) are not maps of 1 x 0");
    CHECK(refusal(query, down, across, 1, 3, 1) == "decomposed_bias: queries (2, 2) are not maps of 1 x 3");
    CHECK(refusal(query, down, across, 1, 2, 0) == "decomposed_bias: tables (1, 2) and (3, 2) for queries (2, 2) of 0 heads");
    CHECK(refusal(query, down, across, 1, 2, 2) == "decomposed_bias: tables (1, 2) and (3, 2) for queries (2, 2) of 2 heads");
    CHECK(refusal(query, down, Matrix(3, 1), 1, 2, 1) ==
          "decomposed_bias: tables (1, 2) and (3, 1) for queries (2, 2) of 1 heads");
    const std::string offsets = " for a map of 1 x 2, which has 1 and 3 offsets";
    CHECK(refusal(query, Matrix(3, 2), across, 1, 2, 1) == "decomposed_bias: tables (3, 2) and (3, 2)" + offsets);
    CHECK(refusal(query, down, Matrix(1, 2), 1, 2, 1) == "decomposed_bias: tables (1, 2) and (1, 2)" + offsets);

    Random random(1);
    const vitdet::Weights w = random_weights(tiny, random);
    CHECK_THROWS_WITH(vitdet::block(Matrix(4, 8), w, tiny, -1, {1, 2, 2}),
                      "vitdet: there is no block -1 among 2, counted from 0");
    CHECK_NOTHROW(vitdet::table_for(Matrix(1, 2), 1));
    for (const Image& image : {Image(10, 14, 1 + tiny.channels), Image(11, 14, tiny.channels), Image(10, 13, tiny.channels),
                               Image(0, 14, tiny.channels)})
        CHECK(error_of([&] { vitdet::forward({image}, w, tiny); }) ==
              "vitdet: an image of " + std::to_string(image.height) + " x " + std::to_string(image.width) + " x " +
                  std::to_string(image.channels) + ", this model reads " + std::to_string(tiny.channels) +
                  " channels and sides that 2 divides");
}

TEST_CASE("forward: without relative or absolute positions the result is that of tables of zeros") {
    Random random(2);
    const vitdet::Weights w = random_weights(tiny, random);
    const Image image = random_image(random);
    vitdet::Config neither = tiny;
    neither.relative_positions = neither.absolute_positions = false;
    const Matrix without = vitdet::forward({image}, w, neither).last.pixels.value();
    for (const std::vector<Var>* const tables : {&w.tables_down, &w.tables_across})
        for (Var table : *tables)
            for (float& x : table.value()) x = 0;
    Var positions = w.positions;
    for (float& x : positions.value()) x = 0;
    check_close("map", without, vitdet::forward({image}, w, tiny).last.pixels.value());
}

TEST_CASE("forward: positions are interpolated when only one side of the map has their number of tokens") {
    Random random(3);
    for (const int side : {5, 7}) {  // of 5 x 7 tokens
        vitdet::Config config = tiny;
        config.position_side = side;
        const vitdet::Weights w = random_weights(config, random);
        const vitdet::Steps steps = vitdet::forward({random_image(random)}, w, config);
        CHECK(steps.positions.rows() == 5 * 7);
    }
}

TEST_CASE("pyramid: no level has no top level") {
    Random random(3);
    vitdet::Config config = tiny;
    config.scales = {};
    config.top_level = true;
    CHECK(vitdet::forward({random_image(random)}, random_weights(config, random), config).pyramid.empty());
}

TEST_CASE("config_of: patches of two pixels have no level of scale 4; positions that are no square are refused") {
    Random random(1);
    const auto table = [&](const vitdet::Config& config) { return vitdet::parameters(random_weights(config, random), config); };
    const TemporaryFolder folder;
    const std::string path = folder.path("vitdet.safetensors");
    save(table(tiny), path, vitdet::metadata(tiny));
    CHECK(vitdet::config_of(Safetensors(path), {}).scales == std::vector<double>{2, 0.5});

    change_shape(path, "backbone.net.pos_embed", {1, 18, 8});
    CHECK(error_of([&] { vitdet::config_of(Safetensors(path), {}); }) ==
          path + ": 18 absolute positions are neither a square nor one more than a square");
}

TEST_CASE("is_windowed, metadata: a window of one token is a window; without windows no list of blocks is written") {
    vitdet::Config config = tiny;
    config.window = 1;
    CHECK(vitdet::is_windowed(config, 0));
    CHECK_FALSE(vitdet::is_windowed(config, 1));
    CHECK(vitdet::metadata(config).contains("window_block_indexes"));
    config.window = 0;
    CHECK_FALSE(vitdet::is_windowed(config, 0));
    CHECK_FALSE(vitdet::metadata(config).contains("window_block_indexes"));
}

TEST_CASE("vitdet::Config: the defaults") {
    const vitdet::Config usual{};
    CHECK(usual.patch_size == 16);
    CHECK(usual.channels == 3);
    CHECK(usual.table_height == 64);
    CHECK(usual.table_width == 64);
    CHECK(usual.position_side == 14);
    CHECK(usual.class_position);
    CHECK(usual.absolute_positions);
    CHECK(usual.relative_positions);
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_width == 3072);
    CHECK(usual.query_key_value_bias);
    CHECK(usual.window == 14);
    CHECK(usual.pyramid_channels == 256);
    CHECK(usual.top_level);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.windowed == std::vector<int>{0, 1, 3, 4, 6, 7, 9, 10});
    CHECK(usual.scales == std::vector<double>{4, 2, 1, 0.5});
}

TEST_CASE("vitdet: windows, tables, positions, levels and blocks that cannot be are refused") {
    Random random(1);
    const auto refusal = [&](auto change) {
        vitdet::Config other = tiny;
        change(other);
        return error_of([&] { vitdet::make_weights(other, random); });
    };
    CHECK(refusal([](vitdet::Config& c) { c.window = 0; }) ==
          "vitdet: 1 blocks with windows of side 0; give the side, or no such block");
    CHECK(refusal([](vitdet::Config& c) {
              c.window = 0;
              c.windowed = {};
          }).empty());
    CHECK_NOTHROW(vitdet::check({.table_height = 1 << 30, .table_width = 1 << 30}));
    CHECK(refusal([](vitdet::Config& c) { c.table_height = (1 << 30) + 1; }).ends_with(" have more rows than a matrix"));
    CHECK(refusal([](vitdet::Config& c) { c.table_width = (1 << 30) + 1; }).ends_with(" have more rows than a matrix"));
    CHECK(refusal([](vitdet::Config& c) { c.position_side = 65536; }).ends_with(" have more rows than a matrix"));
    CHECK(error_of([] {
              vitdet::windows({1, 2, 2}, 2147483647);
          }).ends_with(", padded to whole windows more rows than a matrix has; take smaller windows"));
    CHECK(error_of([] { vitdet::offsets(1 << 16); }) == "offsets: an axis of 65536 tokens has more pairs than an int can count");
    const vitdet::Weights w = random_weights(tiny, random);
    vitdet::Config other = tiny;
    other.scales = {2, 1, 0.5};
    CHECK(error_of([&] {
              vitdet::forward({random_image(random)}, w, other);
          }).starts_with("vitdet: levels of the pyramid: the configuration says 3 layers, the weights hold 2"));
    vitdet::Config bare = tiny;
    bare.pyramid_channels = 0;
    CHECK(vitdet::forward({random_image(random)}, random_weights(bare, random), bare).pyramid.empty());
    const auto counted = [](int block, int height, int width) {
        return error_of([&] { vitdet::attention_multiplications(tiny, block, height, width); });
    };
    CHECK(counted(1, 1, 1).empty());
    CHECK(counted(2, 4, 4) == "vitdet: block 2 of 2 on a map of 4 x 4; blocks are counted from 0, sizes from 1");
    CHECK(counted(-1, 4, 4).starts_with("vitdet: block -1 of 2"));
    CHECK(counted(0, 0, 4).starts_with("vitdet: block 0 of 2 on a map of 0 x 4;"));
    CHECK(counted(0, 4, -1).starts_with("vitdet: block 0 of 2 on a map of 4 x -1;"));
}

TEST_SUITE_END();
