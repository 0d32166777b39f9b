#include "vit/sequence/unified_io.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/nn/data/given_settings.h"
#include "tests/nn/training/root_mean_square.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("unified_io");

// "1,2,4"
static std::vector<int> whole_numbers(const std::string& text) {
    std::istringstream parts(text);
    std::vector<int> numbers;
    for (std::string part; std::getline(parts, part, ',');)
        if (!part.empty()) numbers.push_back(std::stoi(part));
    return numbers;
}

static unified_io::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(file.metadata_text("mlp_activations") == "gelu(tanh),linear");
    CHECK(file.metadata_int("num_seg_emb") == 2);
    CHECK(golden.flag("logits_via_embedding"));
    return {.vocabulary = file.metadata_int("vocab_size"),
            .image_vocabulary = file.metadata_int("image_vocab_size"),
            .grid = {.height = file.metadata_int("image_height"),
                     .width = file.metadata_int("image_width"),
                     .patch_size = file.metadata_int("image_patch_size"),
                     .channels = dimensions_of(golden, "input.image").at(1)},
            .width = file.metadata_int("emb_dim"),
            .heads = file.metadata_int("num_heads"),
            .head_width = file.metadata_int("head_dim"),
            .mlp_width = file.metadata_int("mlp_dim"),
            .encoder_depth = file.metadata_int("num_encoder_layers"),
            .decoder_depth = file.metadata_int("num_decoder_layers"),
            .encoder_text = file.metadata_int("encoder_max_text_length"),
            .encoder_patches = file.metadata_int("encoder_max_image_length"),
            .decoder_text = file.metadata_int("decoder_max_text_length"),
            .decoder_codes = file.metadata_int("decoder_max_image_length"),
            .decoder_grid = file.metadata_int("decoder_img_width"),
            .buckets = file.metadata_int("num_buckets"),
            .max_distance = file.metadata_int("max_distance"),
            .image_buckets = file.metadata_int("img_num_buckets"),
            .max_image_distance = file.metadata_int("img_max_distance"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
            .vae = {.resolution = file.metadata_int("vae_resolution"),
                    .filters = file.metadata_int("vae_ch"),
                    .multipliers = whole_numbers(file.metadata_text("vae_ch_mult")),
                    .res_blocks = file.metadata_int("vae_num_res_blocks"),
                    .attention_sides = whole_numbers(file.metadata_text("vae_attn_resolutions")),
                    .code_width = file.metadata_int("vae_embed_dim"),
                    .groups = file.metadata_int("vae_num_groups")}};
}

// The fixture keeps the same bias for every example of the batch.
static Matrix repeated(const Matrix& m, int times) { return concat_rows(std::vector<Var>(times, Var(m))).value(); }

static void check_buckets(const Golden& golden, const unified_io::Config& config) {
    std::vector<int> both_ways, causal, image;
    for (int offset = -160; offset <= 160; offset += 4) {
        both_ways.push_back(unified_io::text_bucket(offset, true, config));
        causal.push_back(unified_io::text_bucket(offset, false, config));
    }
    for (int dy = -23; dy <= 23; dy += 2)
        for (int dx = -23; dx <= 23; dx += 2) image.push_back(unified_io::image_bucket(dx, dy, config));
    golden.check_integers("relpos_bucket_text_bidirectional", both_ways);
    golden.check_integers("relpos_bucket_text_causal", causal);
    golden.check_integers("relpos_bucket_image", image);
}

static unified_io::CoordinateIds coordinates_of_fixture(const Golden& golden) {
    const int bins = golden.file.metadata_int("num_detection_bin"), first = golden.file.metadata_int("bin_start");
    const int last = golden.file.metadata_int("token_vocab") - 1;
    return {.last = last, .ordinary = last + 1 - first - bins, .bins = bins, .first_id = first};
}

static void check_boxes(const Golden& golden, int width, int height, const unified_io::CoordinateIds& coordinates) {
    const Matrix boxes = golden.input("boxes_xyxy");  // (n, 4)
    std::vector<int> ids, extra, lengths;
    for (int k = 0; k < boxes.rows; ++k) {
        const unified_io::Box box{.x1 = boxes(k, 0), .y1 = boxes(k, 1), .x2 = boxes(k, 2), .y2 = boxes(k, 3)};
        for (const int id : unified_io::tokens_of_box(box, width, height, coordinates)) {
            ids.push_back(id);
            extra.push_back(coordinates.last - id);
        }
    }
    golden.check_integers("box_token_ids", ids);
    golden.check_integers("box_extra_ids", extra);
    const auto found = unified_io::boxes_of(golden.integers("input.box_sequence"), width, height, coordinates);
    Matrix decoded(static_cast<int>(found.size()), 4);
    for (std::size_t k = 0; k < found.size(); ++k) {
        const unified_io::Box& box = found[k].box;
        const std::vector<float> corners{box.x1, box.y1, box.x2, box.y2};
        std::copy(corners.begin(), corners.end(), decoded.row(static_cast<int>(k)));
        lengths.push_back(static_cast<int>(found[k].label.size()));
    }
    golden.check("box_decoded_xyxy", decoded);
    golden.check_integers("box_label_lengths", lengths);
}

static void check_pose(const Golden& golden, int width, int height, const unified_io::CoordinateIds& coordinates) {
    std::array<int, 3> tokens{};
    std::istringstream parts(golden.file.metadata_text("keypoint_label_ids"));  // "300=1,301=2,302=3"
    for (std::string part; std::getline(parts, part, ',');)
        tokens.at(std::stoi(part.substr(part.find('=') + 1)) - 1) = std::stoi(part);
    const unified_io::Pose pose =
        unified_io::pose_of(golden.integers("input.keypoint_sequence"), tokens, width, height, coordinates);
    Matrix xy(unified_io::joints, 2);
    for (int k = 0; k < unified_io::joints; ++k) {
        xy(k, 0) = pose.x[k];
        xy(k, 1) = pose.y[k];
    }
    CHECK(pose.found);
    golden.check("keypoints_xy", xy);
    golden.check_integers("keypoint_labels", pose.labels);
    golden.check_integers("keypoints_invalid", {pose.invalid ? 1 : 0});
}

static void check_masks(const Golden& golden) {
    const std::vector<int> size = dimensions_of(golden, "input.segmentation_image");  // (h, w, 3)
    const Matrix numbers = numbers_of(golden, "input.segmentation_image");
    Image image(size.at(0), size.at(1), size.at(2));
    std::copy(numbers.begin(), numbers.end(), image.pixels.begin());
    std::vector<int> all;
    for (const std::vector<int>& mask : unified_io::masks_of(image)) all.insert(all.end(), mask.begin(), mask.end());
    golden.check_integers("segmentation_masks", all);
}

TEST_CASE("unified_io: every step, the loss, every gradient and the decoded answers equal the published implementation's") {
    for (const std::string& path : golden_files("unified_io")) {
        Golden golden(path);
        const unified_io::Config config = config_of_fixture(golden);
        for (int l = 0; l < config.decoder_depth; ++l)
            golden.allow_of_row("expected.decoder.layer_" + std::to_string(l) + ".output", 1e-6f,
                                "small elements of a row are differences of large ones");
        Random random;
        const unified_io::Weights w = unified_io::make_weights(config, random);
        const Parameters parameters = unified_io::parameters(w, config);
        golden.load_weights(parameters, unified_io::load_rules());

        const unified_io::Source source{.tokens = golden.integers("input.text_encoder_inputs"),
                                        .images = images_of(golden, "input.image"),
                                        .patches = numbers_of(golden, "input.image_encoder_mask")};
        unified_io::Target target{.tokens = golden.integers("input.text_decoder_targets"),
                                  .inputs = golden.integers("input.text_decoder_inputs")};
        const bool writes_image = golden.flag("generates_image");
        if (writes_image) {
            const auto codes = unified_io::codes_of(images_of(golden, "input.target_image"), w, config);
            golden.check("vae.encoder", codes.encoded.pixels.value());
            golden.check("vae.quant_conv", codes.raw.pixels.value());
            golden.check_integers("image_tokens", codes.ids);
            target.codes = codes.ids;
            std::vector<int> ids;
            for (const int code : codes.ids) ids.push_back(code + config.vocabulary);
            golden.check_integers("image_target_ids", ids);
        }

        const Tape tape;
        const unified_io::Steps steps = unified_io::forward(source, target, w, config);
        const unified_io::Losses losses = unified_io::losses(steps, target);

        const int B = static_cast<int>(source.images.size());
        const int S = static_cast<int>(source.tokens.size()) / B, T = static_cast<int>(target.tokens.size()) / B;
        const unified_io::EncoderSteps& encoder = steps.encoder;
        const Matrix text_there = slice_cols(steps.source_mask, 0, S);
        golden.check("image_patches", encoder.patches);
        check_tokens(golden, "encoder.text_embeddings", encoder.text.value(), text_there);
        golden.check("encoder.image_embeddings", encoder.image.value());
        golden.check("encoder.position_embedding", repeated(encoder.positions.value(), B));
        golden.check("encoder.relpos_bias", repeated(encoder.relative.value(), B));
        golden.check("encoder.abs_pos_bias", repeated(encoder.absolute.value(), B));
        REQUIRE(static_cast<int>(encoder.blocks.blocks.size()) == config.encoder_depth);
        for (int l = 0; l < config.encoder_depth; ++l) {
            const std::string layer = "encoder.layer_" + std::to_string(l) + ".";
            const BlockSteps& block = encoder.blocks.blocks[l];
            check_tokens(golden, layer + "attention_probs", block.attention.weights.value(), steps.source_mask);
            check_tokens(golden, layer + "output", block.output.value(), steps.source_mask);
        }
        check_tokens(golden, "encoder.output", encoder.output.value(), steps.source_mask);

        const unified_io::DecoderSteps& decoder = steps.decoder;
        const Matrix every_row(steps.target_mask.rows, steps.target_mask.cols, 1);  // without an image one row means nothing
        check_tokens(golden, "decoder.embeddings", decoder.embeddings.value(), writes_image ? every_row : steps.target_mask);
        golden.check("decoder.relpos_bias", decoder.relative.value());
        REQUIRE(static_cast<int>(decoder.blocks.blocks.size()) == config.decoder_depth);
        for (int l = 0; l < config.decoder_depth; ++l) {
            const std::string layer = "decoder.layer_" + std::to_string(l) + ".";
            const BlockSteps& block = decoder.blocks.blocks[l];
            check_tokens(golden, layer + "self_probs", block.attention.weights.value(), steps.target_mask);
            check_tokens(golden, layer + "cross_probs", block.cross.weights.value(), steps.target_mask);
            check_tokens(golden, layer + "output", block.output.value(), steps.target_mask);
        }
        check_tokens(golden, "decoder.output", decoder.hidden.value(), steps.target_mask);
        check_tokens(golden, "text_logits", decoder.text_logits.value(), slice_cols(steps.target_mask, 0, T));
        if (golden.has("expected.image_logits"))
            check_tokens(golden, "image_logits", decoder.image_logits.value(),
                         slice_cols(steps.target_mask, T, steps.target_mask.cols - T));
        golden.check("text_losses", reshape(losses.text.value(), B, T));
        if (writes_image) golden.check("image_losses", reshape(losses.image.value(), B, losses.image.rows() / B));
        golden.check("loss", losses.total.value());
        backward(losses.total);
        check_gradients(parameters, golden);

        check_buckets(golden, config);
        const int width = golden.file.metadata_int("token_image_width"), height = golden.file.metadata_int("token_image_height");
        const unified_io::CoordinateIds coordinates = coordinates_of_fixture(golden);
        check_boxes(golden, width, height, coordinates);
        check_pose(golden, width, height, coordinates);
        check_masks(golden);
        golden.check_all_used();
    }
}

// --- worked numbers ---

TEST_CASE("text_bucket, image_bucket: distances of 2 across, 2 down and -2 across have different buckets") {
    const unified_io::Config config;
    CHECK(unified_io::text_bucket(-3, true, config) == 3);
    CHECK(unified_io::text_bucket(3, true, config) == 16 + 3);
    CHECK(unified_io::text_bucket(3, false, config) == 0);
    CHECK(unified_io::text_bucket(-500, false, config) == 31);
    CHECK(unified_io::image_bucket(0, 0, config) == 0);
    CHECK(unified_io::image_bucket(2, 0, config) == 128 + 2);
    CHECK(unified_io::image_bucket(-2, 0, config) == 64 + 2);
    CHECK(unified_io::image_bucket(0, 2, config) == 192 + 16);
    CHECK(unified_io::image_bucket(0, -2, config) == 16);
    // ln(10 / 4) / ln(5) * 4 = 2.28; everything from 20 on, and what comes near to it, is 7
    CHECK(unified_io::image_bucket(10, 1, config) == 192 + 8 + 6);
    CHECK(unified_io::image_bucket(-100, -19, config) == 7 + 8 * 7);
}

TEST_CASE("tokens_of_box, coordinate_of: y first, both relative to the longer side, and reading adds one bin") {
    // side 200: y1 = 20 is bin 99, x1 = 50 bin 249, y2 = 100 bin 499, x2 = 200 bin 999
    const std::array<int, 4> ids = unified_io::tokens_of_box({.x1 = 50, .y1 = 20, .x2 = 200, .y2 = 100}, 200, 100);
    CHECK(ids == std::array<int, 4>{32999 - 99, 32999 - 249, 32999 - 499, 32999 - 999});
    CHECK(unified_io::coordinate_of(ids[0], 200, 100) == doctest::Approx(100 * 0.2));
    CHECK(unified_io::coordinate_of(ids[3], 200, 100) == doctest::Approx(200));
    CHECK_THROWS_WITH(
        unified_io::tokens_of_box({.x1 = 0, .y1 = 0, .x2 = 7, .y2 = 3}, 6, 4),
        "unified_io: a box that reaches to 7.000000 in an image of 6 x 4; it must lie inside a square around the image");
}

TEST_CASE("boxes_of: repeats of four coordinates and a label; the last bin throws") {
    const std::vector<int> answer{32999, 32899, 32799, 32699, 400, 401, 32001, 32002, 32003, 32004, 7, 1, 5};
    const auto boxes = unified_io::boxes_of(answer, 1000, 500);
    REQUIRE(boxes.size() == 2);
    CHECK(boxes[0].box.y1 == doctest::Approx(1));
    CHECK(boxes[0].box.x1 == doctest::Approx(101));
    CHECK(boxes[0].box.y2 == doctest::Approx(201));
    CHECK(boxes[0].box.x2 == doctest::Approx(301));
    CHECK(boxes[0].label == std::vector<int>{400, 401});
    CHECK(boxes[1].label == std::vector<int>{7});
    CHECK(unified_io::boxes_of({1}, 10, 10).empty());
    CHECK_THROWS_WITH(unified_io::boxes_of({32999, 32899, 32799, 32000, 400, 1}, 10, 10),
                      "unified_io: token 3 of an answer must be coordinate 4 of 4, it is 32000");
    CHECK_THROWS_WITH(unified_io::boxes_of({32999, 1}, 10, 10),
                      "unified_io: token 1 of an answer must be coordinate 2 of 4, the answer has ended");
    CHECK_THROWS_WITH(
        unified_io::boxes_of({32999, 32899, 32799, 32699, 1}, 10, 10),
        "unified_io: the box that ends at token 4 has no label; four coordinates must be followed by at least one token");
    CHECK_THROWS_WITH(unified_io::boxes_of({32999, 32899, 32799, 32699, 0, 1}, 10, 10),
                      "unified_io: token 4, 0, in the label of a box is not a token of a text; its tokens are above 1");
}

TEST_CASE("pose_of: unlabelled and missing joints get the mean of the others") {
    // two joints that are seen, at (x, y) = (20, 10) and (40, 30), one that is not
    const std::vector<int> answer{32990, 32980, 303, 32970, 32960, 302, 32500, 32500, 301, 1};
    const std::array<int, 3> tokens{301, 302, 303};
    const unified_io::Pose pose = unified_io::pose_of(answer, tokens, 1000, 1000);
    CHECK(pose.found);
    CHECK(pose.invalid);
    CHECK(pose.labels[0] == 2);
    CHECK(pose.labels[1] == 1);
    CHECK(pose.x[0] == doctest::Approx(20));
    CHECK(pose.y[0] == doctest::Approx(10));
    CHECK(pose.x[1] == doctest::Approx(40));
    CHECK(pose.y[1] == doctest::Approx(30));
    for (int k = 2; k < unified_io::joints; ++k) {
        CHECK(pose.labels[k] == 0);
        CHECK(pose.x[k] == doctest::Approx(30));
        CHECK(pose.y[k] == doctest::Approx(20));
    }
    CHECK_FALSE(unified_io::pose_of({32990, 32980, 301, 1}, tokens, 1000, 1000).found);
    CHECK_THROWS_WITH(unified_io::pose_of({32990, 32980, 7, 1}, tokens, 1000, 1000),
                      "unified_io: token 2 of a pose must be a joint's label, it is 7");
    CHECK_THROWS_WITH(unified_io::pose_of({32990, 32980}, tokens, 1000, 1000),
                      "unified_io: token 2 of a pose must be a joint's label, the answer has ended");
    std::vector<int> whole;
    for (int k = 0; k < unified_io::joints; ++k) whole.insert(whole.end(), {32990, 32980, 303});
    CHECK_FALSE(unified_io::pose_of(whole, tokens, 1000, 1000).invalid);
    whole.insert(whole.end(), {32990, 32980, 303});
    CHECK_THROWS_WITH(unified_io::pose_of(whole, tokens, 1000, 1000),
                      "unified_io: token 51 begins joint 18 of a pose, it has at most 17");
    // the first joint is not seen, the second is, at (x, y) = (40, 30)
    const unified_io::Pose second = unified_io::pose_of({32500, 32500, 301, 32970, 32960, 302, 1}, tokens, 1000, 1000);
    CHECK(second.labels[0] == 0);
    CHECK(second.x[0] == doctest::Approx(40));
    CHECK(second.y[0] == doctest::Approx(30));
}

TEST_CASE("masks_of: a run continues in the next row, and short runs are not objects") {
    Image image(3, 8, 3);
    const auto paint = [&](int pixel, std::vector<float> rgb) { std::copy(rgb.begin(), rgb.end(), &image.pixels[3 * pixel]); };
    for (int k = 2; k < 13; ++k) paint(k, {0, 255, 0});   // 11 pixels, over the end of a row
    for (int k = 14; k < 24; ++k) paint(k, {255, 0, 0});  // 10 pixels
    const std::vector<std::vector<int>> masks = unified_io::masks_of(image);
    REQUIRE(masks.size() == 1);
    for (int k = 0; k < 24; ++k) CHECK(masks[0][k] == (k >= 2 && k < 13));
    // |c - mean| is 45 + 22.5 + 22.5 < 100, so this is gray, and 45 > 40, so it is red as well
    for (int k = 0; k < 24; ++k) paint(k, {145, 77.5f, 77.5f});
    CHECK(unified_io::masks_of(image).size() == 2);
    CHECK_THROWS_WITH(unified_io::masks_of(Image(2, 2, 1)),
                      "unified_io: masks are read from three colours, this image is 2 x 2 x 1");
    Image begins(1, 24, 3);  // with a run of 10 pixels, then one of 11
    for (int k = 0; k < 24; ++k) std::fill_n(&begins.pixels[3 * k], 3, k == 10 || k >= 22 ? 0.0f : 100.0f);
    const std::vector<std::vector<int>> gray = unified_io::masks_of(begins);
    REQUIRE(gray.size() == 1);
    for (int k = 0; k < 24; ++k) CHECK(gray[0][k] == (k >= 11 && k < 22));
}

// --- properties ---

// All sizes differ: V = 13, Vi = 7, 2 x 3 patches, E = 10, 3 heads of 4.
static unified_io::Config tiny_config() {
    return {.vocabulary = 13,
            .image_vocabulary = 7,
            .grid = {.height = 4, .width = 6, .patch_size = 2},
            .width = 10,
            .heads = 3,
            .head_width = 4,
            .mlp_width = 9,
            .encoder_depth = 2,
            .decoder_depth = 1,
            .encoder_text = 5,
            .encoder_patches = 8,
            .decoder_text = 4,
            .decoder_codes = 6,
            .decoder_grid = 2,
            .buckets = 8,
            .max_distance = 16,
            .image_buckets = 4,
            .max_image_distance = 6,
            .vae = {.resolution = 4,
                    .filters = 4,
                    .multipliers = {1, 2},
                    .res_blocks = 1,
                    .attention_sides = {2},
                    .code_width = 3,
                    .groups = 2}};
}

static unified_io::Weights tiny_weights(const unified_io::Config& config) {
    Random random(1);
    return unified_io::make_weights(config, random);
}

static Image noise(int height, int width, unsigned seed) {
    Random random(seed);
    Image image(height, width, 3);
    const Matrix numbers = uniform_matrix(random, 1, static_cast<int>(image.pixels.size()), -1, 1);
    std::copy(numbers.begin(), numbers.end(), image.pixels.begin());
    return image;
}

static unified_io::Source two_sources() { return {.tokens = {4, 5, 1, 6, 1, 0}, .images = {noise(4, 6, 2), noise(4, 6, 3)}}; }
static const unified_io::Target two_targets{.tokens = {7, 8, 1, 9, 1, 0}, .codes = {0, 1, 2, 3, 4, 5, 6, 0}};

TEST_CASE("forward: masked inputs have no influence, and examples do not attend to each other") {
    const unified_io::Config config = tiny_config();
    const unified_io::Weights w = tiny_weights(config);
    const auto image_logits = [&](const unified_io::Source& source, const unified_io::Target& target) {
        return unified_io::forward(source, target, w, config).decoder.image_logits.value();
    };
    const Matrix both = image_logits(two_sources(), two_targets);  // (2*4, Vi)
    unified_io::Source other = two_sources();
    other.images[0] = noise(4, 6, 9);
    const Matrix changed = image_logits(other, two_targets);
    CHECK(difference(slice_rows(changed, 0, 1), slice_rows(both, 0, 1)) != "");
    CHECK(identical(slice_rows(changed, 4, 4), slice_rows(both, 4, 4)));

    unified_io::Target later = two_targets;
    later.codes[2] = 6;  // the third code is read by the fourth row
    const Matrix after = image_logits(two_sources(), later);
    CHECK(identical(slice_rows(after, 0, 3), slice_rows(both, 0, 3)));
    CHECK(difference(slice_rows(after, 3, 1), slice_rows(both, 3, 1)) != "");

    unified_io::Target padded = two_targets;
    padded.inputs = {0, 7, 8, 0, 9, 12};  // the last stands where the target is padding
    const Matrix same = image_logits(two_sources(), padded);
    CHECK(identical(same, both));

    other = two_sources();
    other.patches = Matrix(2, 6, 1);
    other.patches(1, 5) = 0;
    const Matrix masked = image_logits(other, two_targets);
    for (int c = 0; c < 3; ++c) other.images[1](3, 5, c) = 5;
    CHECK(identical(image_logits(other, two_targets), masked));
}

TEST_CASE("losses: without an image the loss is that of the text") {
    const unified_io::Config config = tiny_config();
    const unified_io::Weights w = tiny_weights(config);
    const unified_io::Target tokens{.tokens = two_targets.tokens};
    const unified_io::Steps with = unified_io::forward(two_sources(), two_targets, w, config);
    const unified_io::Steps without = unified_io::forward(two_sources(), tokens, w, config);
    CHECK(with.decoder.text_logits.cols() == 13);
    CHECK(with.decoder.image_logits.cols() == 7);
    const Matrix a = with.decoder.text_logits.value(), b = without.decoder.text_logits.value();
    check_close("tokens do not attend to the image that comes after them", slice_rows(a, 0, 5), slice_rows(b, 0, 5));
    const unified_io::Losses of_words = unified_io::losses(without, tokens);
    const Matrix each = of_words.text.value();
    CHECK(each(5, 0) == 0);
    const unified_io::Losses one = unified_io::losses(without, {.tokens = {0, 0, 0, 0, 5, 0}});
    CHECK(one.total.value()(0, 0) == one.text.value()(4, 0));  // a single token is asked for
    CHECK(of_words.total.value()(0, 0) == doctest::Approx((each[0] + each[1] + each[2] + each[3] + each[4]) / 5));
    CHECK_FALSE(of_words.image);
}

TEST_CASE("codes_of: the codes of an image do not depend on the others, and are not recorded on the tape") {
    const unified_io::Config config = tiny_config();
    const unified_io::Weights w = tiny_weights(config);
    const Tape tape;
    const unified_io::CodeSteps both = unified_io::codes_of({noise(4, 4, 5), noise(4, 4, 6)}, w, config);
    const unified_io::CodeSteps second = unified_io::codes_of({noise(4, 4, 6)}, w, config);
    CHECK(tape.operations.empty());
    REQUIRE(both.ids.size() == 8);
    CHECK(std::equal(second.ids.begin(), second.ids.end(), both.ids.begin() + 4));
    check_close("raw", slice_rows(both.raw.pixels.value(), 4, 4), second.raw.pixels.value());
    CHECK_THROWS_WITH(unified_io::codes_of({noise(6, 4, 5)}, w, config),
                      "unified_io: 1 image of 6 x 4 with 3 channels, codes are made from images of side 4 with 3");
}

// --- writing ---

// Row t of every example, of logits (B*rows, columns).
static Matrix rows_at(const Matrix& logits, int rows, int t) {
    return concat_rows({slice_rows(logits, t, 1), slice_rows(logits, rows + t, 1)}).value();
}

TEST_CASE("Reader: token by token and code by code equals the full pass") {
    const unified_io::Config config = tiny_config();
    const unified_io::Weights w = tiny_weights(config);
    const unified_io::Target tokens{.tokens = {7, 8, 9, 1, 9, 6, 5, 1}};
    const Matrix of_words = unified_io::forward(two_sources(), tokens, w, config).decoder.text_logits.value();  // (2*4, V)
    unified_io::Reader reader(two_sources(), 4, 0, w, config);
    const Matrix first = reader.read(make_batch({{0}, {0}}));  // (2, V + Vi)
    check_close("after the start", slice_cols(first, 0, 13), rows_at(of_words, 4, 0));
    CHECK(first(0, 13) == -1e10f);  // codes do not follow tokens
    check_close("two at once", slice_cols(reader.read(make_batch({{7, 8}, {9, 6}})), 0, 13), rows_at(of_words, 4, 2));
    reader.select({1, 0});
    check_close("exchanged", slice_cols(reader.read(make_batch({{5}, {9}})), 0, 13),
                concat_rows({slice_rows(of_words, 7, 1), slice_rows(of_words, 3, 1)}).value());
    unified_io::Reader second(two_sources(), 4, 0, w, config);
    second.select({1});  // before anything is read
    check_close("the second source", slice_cols(second.read(make_batch({{0}})), 0, 13), slice_rows(of_words, 4, 1));

    const unified_io::Target codes{.tokens = {1, 1}, .codes = {0, 1, 2, 3, 4, 5, 6, 0}};
    const Matrix of_codes = unified_io::forward(two_sources(), codes, w, config).decoder.image_logits.value();  // (2*4, Vi)
    unified_io::Reader painter(two_sources(), 1, 4, w, config);
    const Matrix begun = painter.read(make_batch({{0, 12}, {0, 12}}));
    check_close("code 0", slice_cols(begun, 13, 7), rows_at(of_codes, 4, 0));
    CHECK(begun(1, 12) == -1e10f);
    check_close("code 1", slice_cols(painter.read(make_batch({{13}, {17}})), 13, 7), rows_at(of_codes, 4, 1));
    check_close("code 3", slice_cols(painter.read(make_batch({{14, 15}, {18, 19}})), 13, 7), rows_at(of_codes, 4, 3));

    CHECK_THROWS_WITH(unified_io::Reader(two_sources(), 5, 0, w, config),
                      "unified_io: 5 tokens of text and 0 codes to be written, there are positions for 4 and 6");
}

TEST_CASE("write_text, write_codes: equal the argmax of the full pass, token by token") {
    const unified_io::Config config = tiny_config();
    const unified_io::Weights w = tiny_weights(config);
    unified_io::Target target{.tokens = {1, 1}, .codes = std::vector<int>(8)};
    for (int t = 0; t < 4; ++t) {
        const Matrix logits = unified_io::forward(two_sources(), target, w, config).decoder.image_logits.value();
        for (const int b : {0, 1}) target.codes[4 * b + t] = argmax_row(logits, 4 * b + t);
    }
    CHECK(unified_io::write_codes(two_sources(), 4, w, config) == target.codes);

    unified_io::Target tokens{.tokens = std::vector<int>(8, 1)};
    for (int t = 0; t < 4; ++t) {
        const Matrix logits = unified_io::forward(two_sources(), tokens, w, config).decoder.text_logits.value();
        for (const int b : {0, 1}) tokens.tokens[4 * b + t] = argmax_row(logits, 4 * b + t);
    }
    const int end = tokens.tokens[2];  // the third token of the first answer is taken to be the end
    std::vector<std::vector<int>> expected;
    for (const int b : {0, 1}) {
        std::vector<int> text(tokens.tokens.begin() + 4 * b, tokens.tokens.begin() + 4 * b + 4);
        text.resize(std::min<std::ptrdiff_t>(4, std::find(text.begin(), text.end(), end) - text.begin() + 1));
        expected.push_back(text);
    }
    CHECK(unified_io::write_text(two_sources(), 4, w, config, end) == expected);
}

TEST_CASE("unified_io: inconsistent arguments throw") {
    const unified_io::Config config = tiny_config();
    const unified_io::Weights w = tiny_weights(config);
    const auto refused = [&](const unified_io::Source& source, const unified_io::Target& target) {
        return [&] { unified_io::forward(source, target, w, config); };
    };
    unified_io::Source source = two_sources();
    unified_io::Target target = two_targets;
    source.tokens[0] = 13;
    CHECK_THROWS_WITH(refused(source, target)(), "unified_io: 13 is not one of 13 tokens of prompts, counted from 0");
    source.tokens = std::vector<int>(12, 1);
    CHECK_THROWS_WITH(refused(source, target)(),
                      "unified_io: 12 tokens of prompts for 2 examples, each needs the same number, at most 5");
    source = two_sources();
    source.patches = Matrix(2, 5, 1);
    CHECK_THROWS_WITH(refused(source, target)(), "unified_io: a mask of (2, 5) for 2 images of 6 patches, each needs one number");
    source = two_sources();
    target.codes[0] = 7;
    CHECK_THROWS_WITH(refused(source, target)(), "unified_io: 7 is not one of 7 codes, counted from 0");
    target.codes = {1, 2, 3};
    CHECK_THROWS_WITH(refused(source, target)(), "unified_io: 3 codes for 2 examples, each needs the same number, at most 6");
    target = two_targets;
    target.inputs = {0, 7};
    CHECK_THROWS_WITH(refused(source, target)(),
                      "unified_io: the decoder reads 2 tokens and writes 6; give the same number, or none to read");
    target = {.tokens = {0, 0}};
    CHECK_THROWS_WITH(unified_io::losses(unified_io::forward(source, target, w, config), target),
                      "unified_io: none of 2 tokens and no code is asked for; an answer needs at least one");

    Random random;
    unified_io::Config bad = config;
    bad.heads = 0;
    CHECK_THROWS_WITH(unified_io::make_weights(bad, random), "unified_io: 0 heads of width 4: both must be positive");
    bad = config;
    bad.encoder_patches = 5;
    CHECK_THROWS_WITH(unified_io::make_weights(bad, random), "unified_io: 6 patches, there are positions for 5");
    bad = config;
    bad.vae.groups = 3;
    CHECK_THROWS_WITH(unified_io::make_weights(bad, random), "unified_io: 4 filters, times 1, do not split into 3 groups");
    bad = config;
    bad.encoder_depth = 3;
    CHECK_THROWS(unified_io::forward(source, two_targets, w, bad));
    bad = config;
    bad.max_distance = 4;
    CHECK_THROWS_WITH(
        unified_io::make_weights(bad, random),
        "unified_io: 8 buckets up to distance 4: there must be at least 4, and half of them fewer than the distance");
}

TEST_CASE("unified_io: boxes that end before they begin, and invalid masks, are refused") {
    const unified_io::Config config = tiny_config();
    const unified_io::Weights w = tiny_weights(config);
    unified_io::Source source = two_sources();
    source.patches = Matrix(2, config.grid.count(), 0.5f);
    CHECK_THROWS_WITH(
        unified_io::tokens_of_box({.x1 = 3, .y1 = 0, .x2 = 1, .y2 = 2}, 4, 4),
        "unified_io: a box from x 3.000000 to 1.000000 and y 0.000000 to 2.000000, neither may end before it begins");
    CHECK_THROWS_WITH(unified_io::tokens_of_box({.x1 = NAN, .y1 = 0, .x2 = 1, .y2 = 2}, 4, 4),
                      "unified_io: a box that reaches to nan in an image of 4 x 4; it must lie inside a square around the image");
    CHECK_THROWS_WITH(unified_io::tokens_of_box({.x1 = 0, .y1 = 0, .x2 = 1, .y2 = 2}, 0, 0),
                      "unified_io: a box in an image of 0 x 0, both must be at least 1");
    CHECK_THROWS_WITH(unified_io::forward(source, two_targets, w, config),
                      "unified_io: a mask of patches holds 0.500000, it must hold 1 (seen) and 0 (not seen)");
}

TEST_CASE(
    "unified_io: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what is missing") {
    Random random(1);
    const auto table = [&](const unified_io::Config& config) {
        return unified_io::parameters(unified_io::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("unified_io")) {
        const unified_io::Config config = config_of_fixture(Golden(path));
        check_given_settings(config, table, unified_io::config_of, "the size of the images");
        const TemporaryFolder folder;
        const std::string saved = folder.path("unified_io.safetensors");
        save(table(config), saved, unified_io::metadata(config));
        CHECK(error_of([&] {
                  unified_io::config_of(Safetensors(saved), {{"patch_size", "0"}});
              }) == saved + ": patches of side 0, it must be at least 1");
        CHECK(error_of([&] {  // patches of 1 pixel are read as such
                  unified_io::config_of(Safetensors(saved), {{"patch_size", "1"}});
              })
                  .starts_with("unified_io: " + std::to_string(config.grid.height * config.grid.width) + " patches"));
        CHECK(error_of([&] {
                  unified_io::config_of(Safetensors(saved), {{"image_size", "8,8,3"}});
              }) == saved + ": an image size of 3 numbers, it is one side, or height and width");
    }
    unified_io::Config other = tiny_config();
    other.heads = other.vae.filters = other.vae.groups = 1;
    other.image_buckets = 50;
    other.max_image_distance = 60;
    check_given_settings(other, table, unified_io::config_of, "the size of the images");
}

TEST_CASE("coordinate_of: an image without pixels is refused") {
    CHECK_THROWS_WITH(unified_io::coordinate_of(32500, 0, 1),
                      "unified_io: a point in an image of 0 x 1, both must be at least 1");
}

TEST_CASE("make_weights: every invalid size is refused by itself, the smallest valid one is accepted") {
    Random random;
    const auto refusal = [&](const auto& change) {
        unified_io::Config config = tiny_config();
        change(config);
        return error_of([&] { unified_io::make_weights(config, random); });
    };
    using Config = unified_io::Config;
    const std::string sizes = ": sizes must be positive", written = " are written: all must be positive",
                      distance = ": there must be at least 4, and half of them fewer than the distance",
                      between = " between patches: there must be at least 2, and half of them fewer than the distance";
    CHECK(refusal([](Config& c) { c.vocabulary = 1; }) ==
          "unified_io: 1 tokens, 7 codes, width 10, inner width 9, depths 2 and 1" + sizes);
    CHECK(refusal([](Config& c) { c.image_vocabulary = 0; }) ==
          "unified_io: 13 tokens, 0 codes, width 10, inner width 9, depths 2 and 1" + sizes);
    CHECK(refusal([](Config& c) { c.width = 0; }) ==
          "unified_io: 13 tokens, 7 codes, width 0, inner width 9, depths 2 and 1" + sizes);
    CHECK(refusal([](Config& c) { c.mlp_width = 0; }) ==
          "unified_io: 13 tokens, 7 codes, width 10, inner width 0, depths 2 and 1" + sizes);
    CHECK(refusal([](Config& c) { c.encoder_depth = -1; }) ==
          "unified_io: 13 tokens, 7 codes, width 10, inner width 9, depths -1 and 1" + sizes);
    CHECK(refusal([](Config& c) { c.decoder_depth = -1; }) ==
          "unified_io: 13 tokens, 7 codes, width 10, inner width 9, depths 2 and -1" + sizes);
    CHECK(refusal([](Config& c) { c.head_width = 0; }) == "unified_io: 3 heads of width 0: both must be positive");
    CHECK(refusal([](Config& c) { c.encoder_text = 0; }) ==
          "unified_io: at most 0 tokens are read, 4 tokens and 6 codes in rows of 2" + written);
    CHECK(refusal([](Config& c) { c.decoder_text = 0; }) ==
          "unified_io: at most 5 tokens are read, 0 tokens and 6 codes in rows of 2" + written);
    CHECK(refusal([](Config& c) { c.decoder_codes = 0; }) ==
          "unified_io: at most 5 tokens are read, 4 tokens and 0 codes in rows of 2" + written);
    CHECK(refusal([](Config& c) { c.decoder_grid = 0; }) ==
          "unified_io: at most 5 tokens are read, 4 tokens and 6 codes in rows of 0" + written);
    CHECK(refusal([](Config& c) { c.buckets = 3; }) == "unified_io: 3 buckets up to distance 16" + distance);
    CHECK(refusal([](Config& c) { c.max_distance = 4; }) == "unified_io: 8 buckets up to distance 4" + distance);
    CHECK(refusal([](Config& c) { c.image_buckets = 1; }) == "unified_io: 1 buckets up to distance 6" + between);
    CHECK(refusal([](Config& c) { c.max_image_distance = 2; }) == "unified_io: 4 buckets up to distance 2" + between);
    CHECK(refusal([](Config& c) { c.vae.resolution = 0; }) ==
          "unified_io: images of side 0, 4 filters, 2 levels, 1 blocks, codes of width 3" + sizes);
    CHECK(refusal([](Config& c) { c.vae.filters = 0; }) ==
          "unified_io: images of side 4, 0 filters, 2 levels, 1 blocks, codes of width 3" + sizes);
    CHECK(refusal([](Config& c) { c.vae.multipliers = {}; }) ==
          "unified_io: images of side 4, 4 filters, 0 levels, 1 blocks, codes of width 3" + sizes);
    CHECK(refusal([](Config& c) { c.vae.res_blocks = -1; }) ==
          "unified_io: images of side 4, 4 filters, 2 levels, -1 blocks, codes of width 3" + sizes);
    CHECK(refusal([](Config& c) { c.vae.code_width = 0; }) ==
          "unified_io: images of side 4, 4 filters, 2 levels, 1 blocks, codes of width 0" + sizes);
    CHECK(refusal([](Config& c) { c.vae.multipliers = {0}; }) == "unified_io: 4 filters, times 0, do not split into 2 groups");
    CHECK(refusal([](Config& c) { c.vae.groups = 0; }) == "unified_io: 4 filters, times 1, do not split into 0 groups");
    const Config least{.vocabulary = 2,
                       .image_vocabulary = 1,
                       .grid = {.height = 1, .width = 1, .patch_size = 1},
                       .width = 1,
                       .heads = 1,
                       .head_width = 1,
                       .mlp_width = 1,
                       .encoder_depth = 0,
                       .decoder_depth = 0,
                       .encoder_text = 1,
                       .encoder_patches = 1,
                       .decoder_text = 1,
                       .decoder_codes = 1,
                       .decoder_grid = 1,
                       .buckets = 4,
                       .max_distance = 3,
                       .image_buckets = 2,
                       .max_image_distance = 2,
                       .eps = 0,
                       .vae = {.resolution = 1,
                               .filters = 1,
                               .multipliers = {1},
                               .res_blocks = 0,
                               .attention_sides = {},
                               .code_width = 1,
                               .groups = 1,
                               .eps = 0}};
    CHECK_NOTHROW(unified_io::make_weights(least, random));
}

TEST_CASE("forward, Reader, tokens_of_box, coordinate_of: each argument check fails by itself") {
    const unified_io::Config config = tiny_config();
    const unified_io::Weights w = tiny_weights(config);
    const auto refusal = [&](const auto& change) {
        unified_io::Source source = two_sources();
        unified_io::Target target = two_targets;
        change(source, target);
        return error_of([&] { unified_io::forward(source, target, w, config); });
    };
    const std::string some = " of answers: there must be some of each";
    CHECK(refusal([](auto& source, auto&) { source.images = {}; }) == "unified_io: 0 images, 6 tokens of prompts, 6" + some);
    CHECK(refusal([](auto& source, auto&) { source.tokens = {}; }) == "unified_io: 2 images, 0 tokens of prompts, 6" + some);
    CHECK(refusal([](auto&, auto& target) { target.tokens = {}; }) == "unified_io: 2 images, 6 tokens of prompts, 0" + some);
    CHECK(refusal([](auto& source, auto&) { source.tokens[0] = -1; }) ==
          "unified_io: -1 is not one of 13 tokens of prompts, counted from 0");
    CHECK(refusal([](auto& source, auto&) { source.patches = Matrix(1, 6, 1); }) ==
          "unified_io: a mask of (1, 6) for 2 images of 6 patches, each needs one number");

    const auto reader = [&](int text, int codes) {
        return error_of([&] { unified_io::Reader(two_sources(), text, codes, w, config); });
    };
    const std::string places = " codes to be written, there are positions for 4 and 6";
    CHECK(reader(1, 0) == "");
    CHECK(reader(4, 6) == "");
    CHECK(reader(0, 0) == "unified_io: 0 tokens of text and 0" + places);
    CHECK(reader(1, -1) == "unified_io: 1 tokens of text and -1" + places);
    CHECK(reader(1, 7) == "unified_io: 1 tokens of text and 7" + places);

    CHECK_NOTHROW(unified_io::tokens_of_box({.x1 = 0, .y1 = 0, .x2 = 1, .y2 = 1}, 1, 1));
    CHECK_NOTHROW(unified_io::tokens_of_box({.x1 = 1, .y1 = 1, .x2 = 1, .y2 = 1}, 1, 1));  // of one point
    CHECK_THROWS_WITH(
        unified_io::tokens_of_box({.x1 = -1, .y1 = 0, .x2 = 1, .y2 = 1}, 2, 2),
        "unified_io: a box that reaches to -1.000000 in an image of 2 x 2; it must lie inside a square around the image");
    CHECK_THROWS_WITH(
        unified_io::tokens_of_box({.x1 = 0, .y1 = 1, .x2 = 1, .y2 = 0}, 1, 1),
        "unified_io: a box from x 0.000000 to 1.000000 and y 1.000000 to 0.000000, neither may end before it begins");
    CHECK_NOTHROW(unified_io::coordinate_of(32500, 1, 1));
    CHECK_THROWS_WITH(unified_io::coordinate_of(32500, 1, 0),
                      "unified_io: a point in an image of 1 x 0, both must be at least 1");
    CHECK(error_of([&] {
              unified_io::codes_of({noise(4, 6, 5)}, w, config);
          }).ends_with(", codes are made from images of side 4 with 3"));
    CHECK(error_of([&] {
              unified_io::codes_of({Image(4, 4, 1)}, w, config);
          }).ends_with(" with 1 channels, codes are made from images of side 4 with 3"));
}

TEST_CASE("make_weights: standard deviations of T5: one over the root of the width that is summed over") {
    unified_io::Config config = tiny_config();
    config.width = 64;
    config.heads = 4;
    config.head_width = 9;
    config.mlp_width = 100;
    config.vocabulary = 300;
    Random random(1);
    const unified_io::Weights w = unified_io::make_weights(config, random);
    const auto ratio = [](const Var& v, double stddev) { return root_mean_square(v.value()) / stddev; };
    const Block& block = w.decoder.blocks[0];
    for (const Attention* const attention : {&block.attention, &block.cross}) {
        CHECK(ratio(attention->query.weight, 1 / (8.0 * 3)) == doctest::Approx(1).epsilon(0.08));  // also of the head's width, 9
        CHECK(ratio(attention->key.weight, 1 / 8.0) == doctest::Approx(1).epsilon(0.08));
        CHECK(ratio(attention->value.weight, 1 / 8.0) == doctest::Approx(1).epsilon(0.08));
        CHECK(ratio(attention->output.weight, 1 / 6.0) == doctest::Approx(1).epsilon(0.08));  // 4 heads of 9
    }
    CHECK(ratio(block.mlp.gate.weight, 1 / 8.0) == doctest::Approx(1).epsilon(0.08));
    CHECK(ratio(block.mlp.expand.weight, 1 / 8.0) == doctest::Approx(1).epsilon(0.08));
    CHECK(ratio(block.mlp.contract.weight, 1 / 10.0) == doctest::Approx(1).epsilon(0.08));
    CHECK(ratio(w.token_embedding, 1) == doctest::Approx(1).epsilon(0.08));
    CHECK(ratio(w.image_projection.weight, 1 / std::sqrt(12.0)) == doctest::Approx(1).epsilon(0.1));  // patches of 2 x 2 x 3
    for (const unified_io::Half* const half : {&w.encoder, &w.decoder}) {
        CHECK(ratio(half->position_query.weight, 1 / (8.0 * 3)) == doctest::Approx(1).epsilon(0.08));
        CHECK(ratio(half->position_key.weight, 1 / 8.0) == doctest::Approx(1).epsilon(0.08));
        for (const Var& small : {half->positions, half->segments, half->text_distances, half->image_distances})
            CHECK(ratio(small, 0.02) == doctest::Approx(1).epsilon(0.25));  // of few numbers
    }
}

TEST_CASE("make_weights: the VQ-GAN's convolutions: one over the root of the numbers that are summed over; its codes: 1") {
    unified_io::Config config = tiny_config();
    config.image_vocabulary = 200;
    config.vae.filters = 12;
    config.vae.multipliers = {1, 2};
    config.vae.code_width = 10;
    config.vae.attention_sides = {4};
    config.vae.groups = 2;
    Random random(1);
    const unified_io::Vae vae = unified_io::make_weights(config, random).vae;
    const auto ratio = [](const Var& v, double stddev) { return root_mean_square(v.value()) / stddev; };
    CHECK(ratio(vae.first.weight, 1 / std::sqrt(9 * 3.0)) == doctest::Approx(1).epsilon(0.15));  // of 324 numbers
    const unified_io::Level& wide = vae.levels.at(1);
    CHECK(ratio(wide.blocks.at(0).conv1.weight, 1 / std::sqrt(9 * 12.0)) == doctest::Approx(1).epsilon(0.08));
    CHECK(ratio(wide.blocks.at(0).conv2.weight, 1 / std::sqrt(9 * 24.0)) == doctest::Approx(1).epsilon(0.08));
    CHECK(ratio(wide.blocks.at(0).shortcut.weight, 1 / std::sqrt(12.0)) == doctest::Approx(1).epsilon(0.15));
    CHECK(ratio(vae.middle_attention.query.weight, 1 / std::sqrt(24.0)) == doctest::Approx(1).epsilon(0.08));
    CHECK(ratio(vae.last.weight, 1 / std::sqrt(9 * 24.0)) == doctest::Approx(1).epsilon(0.08));
    CHECK(ratio(vae.codebook, 1) == doctest::Approx(1).epsilon(0.08));
    for (const Norm& norm : {vae.norm, wide.blocks.at(0).norm1, wide.blocks.at(0).norm2, vae.middle_attention.norm}) {
        for (const float gain : norm.gain.value()) CHECK(gain == 1);
        for (const float bias : norm.bias.value()) CHECK(bias == 0);
    }
}

TEST_CASE("masks_of: a mean of 30 is black, distances of 100 are coloured, one of 40 is not a colour") {
    const auto kinds = [](float red, float green, float blue) {
        Image image(1, 11, 3);
        for (int x = 0; x < 11; ++x) image(0, x, 0) = red, image(0, x, 1) = green, image(0, x, 2) = blue;
        return unified_io::masks_of(image).size();
    };
    CHECK(kinds(30, 30, 30) == 0);
    CHECK(kinds(31, 31, 31) == 1);   // gray
    CHECK(kinds(100, 40, 40) == 1);  // mean 60, distances 40, 20, 20: gray only
    CHECK(kinds(100, 39, 41) == 1);
    CHECK(kinds(100, 25, 25) == 1);  // mean 50, distances 50, 25, 25: red only
    CHECK(kinds(99.6f, 24.9f, 24.9f) == 2);
    CHECK(kinds(100, 31, 31) == 2);  // mean 54, distances 46, 23, 23: gray and red
    CHECK(kinds(28, 100, 25) == 2);  // mean 51, distances 23, 49, 26: gray and green
}

TEST_CASE("unified_io::VaeConfig: the defaults") {
    const unified_io::VaeConfig usual{};
    CHECK(usual.resolution == 256);
    CHECK(usual.filters == 128);
    CHECK(usual.res_blocks == 2);
    CHECK(usual.code_width == 256);
    CHECK(usual.groups == 32);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.multipliers == std::vector<int>{1, 1, 2, 2, 4});
    CHECK(usual.attention_sides == std::vector<int>{16});
}

TEST_CASE("unified_io::Config: the defaults") {
    const unified_io::Config usual{};
    CHECK(usual.vocabulary == 33152);
    CHECK(usual.image_vocabulary == 16384);
    CHECK(usual.width == 768);
    CHECK(usual.heads == 12);
    CHECK(usual.head_width == 64);
    CHECK(usual.mlp_width == 2048);
    CHECK(usual.encoder_depth == 12);
    CHECK(usual.decoder_depth == 12);
    CHECK(usual.encoder_text == 256);
    CHECK(usual.encoder_patches == 576);
    CHECK(usual.decoder_text == 128);
    CHECK(usual.decoder_codes == 256);
    CHECK(usual.decoder_grid == 16);
    CHECK(usual.buckets == 32);
    CHECK(usual.max_distance == 128);
    CHECK(usual.image_buckets == 8);
    CHECK(usual.max_image_distance == 20);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.grid.height == 384);
    CHECK(usual.grid.width == 384);
    CHECK(usual.grid.patch_size == 16);
}

TEST_CASE("unified_io::CoordinateIds: the defaults") {
    const unified_io::CoordinateIds usual{};
    CHECK(usual.last == 33099);
    CHECK(usual.ordinary == 100);
    CHECK(usual.bins == 1000);
    CHECK(usual.first_id == 32000);
    CHECK(usual.end_token == 1);
}

TEST_CASE("text_bucket, image_bucket, coordinates: buckets, distances and bins that are none are refused") {
    using namespace unified_io;
    Config config;
    CHECK(text_bucket(-2147483647, true, config) == 15);
    const std::string far = "unified_io: an offset of -2147483648 has no distance as an int";
    const int lowest = -2147483647 - 1;
    CHECK(error_of([&] { text_bucket(lowest, true, config); }) == far);
    CHECK(error_of([&] { image_bucket(lowest, 0, config); }) == far);
    CHECK(error_of([&] { image_bucket(0, lowest, config); }) == far);
    config.buckets = 0;
    config.max_image_distance = 0;
    CHECK(error_of([&] { text_bucket(3, true, config); }).starts_with("unified_io: 0 buckets up to distance 128: there must be"));
    CHECK(error_of([&] { image_bucket(3, 3, config); }).starts_with("unified_io: 8 buckets up to distance 0 between patches:"));
    const std::string bins = "unified_io: coordinates in 0 bins, there must be at least 1";
    CHECK(error_of([] { coordinate_of(33099, 10, 10, {.bins = 0}); }) == bins);
    CHECK(error_of([] { tokens_of_box({}, 10, 10, {.bins = 0}); }) == bins);
    CHECK(error_of([] { tokens_of_box({}, 10, 10, {.bins = 1}); }) == "");
    CHECK(error_of([] { tokens_of_box({}, 10, 0); }) == "unified_io: a box in an image of 10 x 0, both must be at least 1");
    CHECK(error_of([] { tokens_of_box({}, 0, 10); }) == "unified_io: a box in an image of 0 x 10, both must be at least 1");
}

TEST_CASE("coordinate_of: an id far from the coordinates has one far outside, without overflow") {
    CHECK(unified_io::coordinate_of(-2147483647 - 1, 10, 10, {.bins = 1}) == Approx(21474836480.0 + 330000).epsilon(1e-6));
}

TEST_SUITE_END();
