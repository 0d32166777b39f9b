#include "vit/detect/vitdet.h"

#include <sstream>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
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

static void check_block(const Golden& golden, const vitdet::BlockSteps& steps, const vitdet::Config& config, int l, const MapSize& size) {
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

TEST_CASE("vitdet: parity: every step, the pyramid, the loss and every gradient of the published code") {
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

TEST_SUITE_END();
