#include "vit/sequence/unified_io.h"

#include <algorithm>
#include <sstream>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
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

static unified_io::Places places_of_fixture(const Golden& golden) {
    const int bins = golden.file.metadata_int("num_detection_bin"), first = golden.file.metadata_int("bin_start");
    const int last = golden.file.metadata_int("token_vocab") - 1;
    return {.last = last, .ordinary = last + 1 - first - bins, .bins = bins, .first_id = first};
}

static void check_boxes(const Golden& golden, int width, int height, const unified_io::Places& places) {
    const Matrix boxes = golden.input("boxes_xyxy");  // (n, 4)
    std::vector<int> ids, extra, lengths;
    for (int k = 0; k < boxes.rows; ++k) {
        const unified_io::Box box{.x1 = boxes(k, 0), .y1 = boxes(k, 1), .x2 = boxes(k, 2), .y2 = boxes(k, 3)};
        for (const int id : unified_io::words_of_box(box, width, height, places)) {
            ids.push_back(id);
            extra.push_back(places.last - id);
        }
    }
    golden.check_integers("box_token_ids", ids);
    golden.check_integers("box_extra_ids", extra);
    const auto found = unified_io::boxes_of(golden.integers("input.box_sequence"), width, height, places);
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

static void check_pose(const Golden& golden, int width, int height, const unified_io::Places& places) {
    std::array<int, 3> words{};
    std::istringstream parts(golden.file.metadata_text("keypoint_label_ids"));  // "300=1,301=2,302=3"
    for (std::string part; std::getline(parts, part, ',');)
        words.at(std::stoi(part.substr(part.find('=') + 1)) - 1) = std::stoi(part);
    const unified_io::Pose pose = unified_io::pose_of(golden.integers("input.keypoint_sequence"), words, width, height, places);
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
    Image picture(size.at(0), size.at(1), size.at(2));
    std::copy(numbers.begin(), numbers.end(), picture.pixels.begin());
    std::vector<int> all;
    for (const std::vector<int>& mask : unified_io::masks_of(picture)) all.insert(all.end(), mask.begin(), mask.end());
    golden.check_integers("segmentation_masks", all);
}

TEST_CASE("unified_io: every step, the loss, every gradient and what answers mean equal the published implementation's") {
    for (const std::string& path : golden_files("unified_io")) {
        Golden golden(path);
        const unified_io::Config config = config_of_fixture(golden);
        for (int l = 0; l < config.decoder_depth; ++l)
            golden.allow_of_row("expected.decoder.layer_" + std::to_string(l) + ".output", 1e-6f,
                                "small elements of a row are differences of large ones; float32 alone uses up to 1.3 of the rule");
        Random random;
        const unified_io::Weights w = unified_io::make_weights(config, random);
        const Parameters parameters = unified_io::parameters(w, config);
        golden.load_weights(parameters, unified_io::load_rules());

        const unified_io::Source source{.words = golden.integers("input.text_encoder_inputs"),
                                        .images = images_of(golden, "input.image"),
                                        .patches = numbers_of(golden, "input.image_encoder_mask")};
        unified_io::Target target{.words = golden.integers("input.text_decoder_targets"),
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
        const int S = static_cast<int>(source.words.size()) / B, T = static_cast<int>(target.words.size()) / B;
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
        golden.check("decoder.embeddings", decoder.embeddings.value());
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
        const unified_io::Places places = places_of_fixture(golden);
        check_boxes(golden, width, height, places);
        check_pose(golden, width, height, places);
        check_masks(golden);
        golden.check_all_used();
    }
}

TEST_SUITE_END();
