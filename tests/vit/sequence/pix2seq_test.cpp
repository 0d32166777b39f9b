#include "vit/sequence/pix2seq.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/random.h"
#include "tests/fixture_views.h"
#include "tests/nn/data/given_settings.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("pix2seq");

static pix2seq::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.grid = {.height = file.metadata_int("image_height"),
                     .width = file.metadata_int("image_width"),
                     .patch_size = file.metadata_int("patch_size"),
                     .channels = dimensions_of(golden, "input.image").at(1)},
            .width = file.metadata_int("dim_att"),
            .depth = file.metadata_int("num_encoder_layers"),
            .heads = file.metadata_int("num_heads"),
            .mlp_width = file.metadata_int("dim_mlp"),
            .decoder_width = file.metadata_int("dim_att_dec"),
            .decoder_depth = file.metadata_int("num_decoder_layers"),
            .decoder_heads = file.metadata_int("num_heads_dec"),
            .decoder_mlp_width = file.metadata_int("dim_mlp_dec"),
            .length = file.metadata_int("max_seq_len"),
            .positions = pix2seq::positions_of_name(file.metadata_text("pos_encoding")),
            .projection = pix2seq::projection_of_name(file.metadata_text("dec_proj_mode")),
            .class_token = golden.flag("use_cls_token"),
            .shared_embedding = golden.flag("shared_decoder_embedding"),
            .output_bias = golden.flag("decoder_output_bias"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
            .vocabulary = {.task = file.metadata_int("task_vocab_id"),
                           .fake_class = file.metadata_int("fake_class_token"),
                           .base_shift = file.metadata_int("base_vocab_shift"),
                           .coordinate_shift = file.metadata_int("coord_vocab_shift"),
                           .bins = file.metadata_int("quantization_bins"),
                           .size = file.metadata_int("vocab_size")}};
}

// "xent", or "xent@0.1": smoothed by a tenth
static float smoothing_of_fixture(const Golden& golden) {
    const std::string& loss = golden.file.metadata_text("loss_type");
    const std::size_t at = loss.find('@');
    return at == std::string::npos ? 0 : std::stof(loss.substr(at + 1));
}

static Matrix numbers_or_none(const Golden& golden, const std::string& name) {
    return golden.has(name) && dimensions_of(golden, name).at(0) > 0 ? numbers_of(golden, name) : Matrix();
}
static std::vector<int> integers_or_none(const Golden& golden, const std::string& name) {
    return golden.has(name) ? golden.integers(name) : std::vector<int>{};
}

// Two columns of draws as one matrix, (n, 2).
static Matrix pairs(const Golden& golden, const std::string& first, const std::string& second) {
    const Matrix a = numbers_or_none(golden, first), b = numbers_or_none(golden, second);
    return a.empty() ? Matrix() : concat_cols({a, b}).value();
}

static void check_noise(const Golden& golden, const pix2seq::Config& config) {
    const int slots = golden.file.metadata_int("max_instances");
    for (int b = 0; golden.has("expected.noise_" + std::to_string(b) + ".bbox"); ++b) {
        const std::string name = "input.noise_" + std::to_string(b) + ".";
        const pix2seq::Objects objects{.boxes = numbers_or_none(golden, name + "bbox"),
                                       .labels = integers_or_none(golden, name + "label")};
        const pix2seq::NoiseDraws draws{.duplicates = golden.integers(name + "dup_size").at(0),
                                        .tiles = integers_or_none(golden, name + "perm_tiled_1"),
                                        .again = integers_or_none(golden, name + "perm_tiled_2"),
                                        .shifted_centres = pairs(golden, name + "shift_cy", name + "shift_cx"),
                                        .random_centres = pairs(golden, name + "random_cy", name + "random_cx"),
                                        .random_sizes = pairs(golden, name + "random_h", name + "random_w"),
                                        .bad = integers_or_none(golden, name + "perm_bad"),
                                        .jitter = numbers_or_none(golden, name + "jitter"),
                                        .noise = integers_or_none(golden, name + "perm_noise")};
        const pix2seq::Objects noisy = pix2seq::with_noise(objects, slots, draws, config.vocabulary);
        golden.check("noise_" + std::to_string(b) + ".bbox", noisy.boxes);
        golden.check_integers("noise_" + std::to_string(b) + ".label", noisy.labels);
    }
}

namespace {
struct Pix2SeqBatch {
    std::vector<int> input, target;
    std::vector<float> weights;
};
}  // namespace

static std::vector<float> floats_between(const Matrix& m, int first, int count) {
    return {m.begin() + first, m.begin() + first + count};
}
static std::vector<int> integers_between(const std::vector<int>& m, int first, int count) {
    return {m.begin() + first, m.begin() + first + count};
}

static Pix2SeqBatch check_sequences(const Golden& golden, const pix2seq::Config& config) {
    const std::vector<int> shape = dimensions_of(golden, "input.bbox");  // (B, n, 4)
    const int B = shape.at(0), n = shape.at(1), bins = config.vocabulary.bins;
    const Matrix boxes = golden.input("bbox");  // (B*n, 4)
    const std::vector<int> labels = golden.integers("input.label"), classes = golden.integers("input.corrupt.rand_cls");
    const Matrix u_random = golden.input("corrupt.u_rand_n_fake"), u_fake = golden.input("corrupt.u_real_n_fake"),
                 u_real = golden.input("corrupt.u_real_n_rand_n_fake");
    std::vector<int> quantised;
    Matrix back(boxes.rows, 4);
    for (std::size_t k = 0; k < boxes.size(); ++k) {
        quantised.push_back(pix2seq::quantised(boxes[k], bins));
        back[k] = pix2seq::dequantised(quantised.back(), bins);
    }
    golden.check_integers("quantized_bbox", quantised);
    if (golden.has("expected.dequantized_bbox")) golden.check("dequantized_bbox", back);
    const pix2seq::LossWeights weights{.noise_class = static_cast<float>(golden.file.metadata_double("noise_bbox_weight")),
                                       .padding = static_cast<float>(golden.file.metadata_double("eos_token_weight"))};
    const pix2seq::Corruption corruption = pix2seq::corruption_of_name(golden.file.metadata_text("class_label_corruption"));
    Pix2SeqBatch batch;
    for (int b = 0; b < B; ++b) {
        const pix2seq::Objects objects{.boxes = slice_rows(boxes, b * n, n), .labels = integers_between(labels, b * n, n)};
        const pix2seq::CorruptionDraws draws{.classes = integers_between(classes, b * n, n),
                                             .u_random = floats_between(u_random, b * n, n),
                                             .u_real_or_fake = floats_between(u_fake, b * n, n),
                                             .u_real_or_random = floats_between(u_real, b * n, n)};
        const pix2seq::Sequence sequence =
            pix2seq::make_sequence(objects, config.length, corruption, draws, weights, config.vocabulary);
        batch.input.insert(batch.input.end(), sequence.input.begin(), sequence.input.end());
        batch.target.insert(batch.target.end(), sequence.target.begin(), sequence.target.end());
        batch.weights.insert(batch.weights.end(), sequence.weights.begin(), sequence.weights.end());
    }
    golden.check_integers("input_seq", batch.input);
    golden.check_integers("target_seq", batch.target);
    golden.check("token_weights", reshape(row_of(batch.weights), B, config.length));
    return batch;
}

static void check_detections(const Golden& golden, const std::string& name, const std::vector<pix2seq::Detections>& all) {
    std::vector<Var> boxes;
    std::vector<int> classes;
    std::vector<float> scores;
    for (const pix2seq::Detections& of_image : all) {
        boxes.push_back(of_image.boxes);
        classes.insert(classes.end(), of_image.classes.begin(), of_image.classes.end());
        scores.insert(scores.end(), of_image.scores.begin(), of_image.scores.end());
    }
    const int B = static_cast<int>(all.size());
    golden.check(name + ".bbox", concat_rows(boxes).value());
    golden.check_integers(name + ".classes", classes);
    golden.check(name + ".scores", reshape(row_of(scores), B, static_cast<int>(scores.size()) / B));
}

// Given tokens and logits, at the positions of classes only: (B, n, V).
static void check_decoding(const Golden& golden, const pix2seq::Config& config) {
    const Matrix class_logits = golden.input("decode.logits");  // (B*n, V)
    std::vector<pix2seq::Detections> all;
    int object = 0;
    for (const std::vector<int>& tokens : sequences_of(golden, "input.decode.tokens")) {
        Matrix logits(static_cast<int>(tokens.size()), config.vocabulary.size);
        for (int t = 4; t < logits.rows; t += 5) std::copy_n(class_logits.row(object++), logits.cols, logits.row(t));
        all.push_back(pix2seq::detections(tokens, logits, config.vocabulary));
    }
    check_detections(golden, "decode", all);
}

static void check_nucleus(const Golden& golden) {
    const Matrix logits = golden.input("nucleus.logits");
    std::vector<int> kept_04, kept_09, kept_k5;
    const Matrix top_5 = sampling_probabilities(logits, {.top_k = 5});
    for (int i = 0; i < logits.rows; ++i) {
        for (const int kept : pix2seq::nucleus(logits.row(i), logits.cols, 0.4f)) kept_04.push_back(kept);
        for (const int kept : pix2seq::nucleus(logits.row(i), logits.cols, 0.9f)) kept_09.push_back(kept);
        for (int v = 0; v < logits.cols; ++v) kept_k5.push_back(top_5(i, v) > 0);
    }
    golden.check_integers("nucleus.kept_p0.4", kept_04);
    golden.check_integers("nucleus.kept_p0.9", kept_09);
    golden.check_integers("nucleus.kept_k5", kept_k5);
}

TEST_CASE(
    "pix2seq: sequences, every step, the losses, every gradient and the generated objects equal the published implementation's") {
    for (const std::string& path : golden_files("pix2seq")) {
        const Golden golden(path);
        const pix2seq::Config config = config_of_fixture(golden);
        check_noise(golden, config);
        const Pix2SeqBatch batch = check_sequences(golden, config);
        check_decoding(golden, config);
        check_nucleus(golden);

        const std::vector<Image> images = images_of(golden, "input.image");
        const int B = static_cast<int>(images.size());
        Random random;
        const pix2seq::Weights w = pix2seq::make_weights(config, random);
        const Parameters parameters = pix2seq::parameters(w, config);
        golden.load_weights(parameters);
        {
            const Tape tape;
            const pix2seq::Steps steps = pix2seq::forward(images, batch.input, w, config);
            golden.check("patch_tokens", steps.encoder.patch_tokens.value());
            golden.check("vis_pos_emb", w.positions.value());
            for (int l = 0; l < config.depth; ++l)
                golden.check("encoder_" + std::to_string(l) + ".input",
                             l == 0 ? steps.encoder.input.value() : steps.encoder.blocks.blocks[l - 1].output.value());
            check_stack(golden, steps.encoder.blocks, config.depth, {{"encoder_#.attention_probs", Step::weights}});
            golden.check("encoder_final", steps.encoder.blocks.output.value());
            golden.check("encoder_output", steps.encoder.output.value());
            golden.check("encoded", steps.encoder.encoded.value());
            check_stack(golden, steps.decoder.blocks, config.decoder_depth,
                        {{"decoder_#.self_probs", Step::weights}, {"decoder_#.cross_probs", Step::cross_weights}});
            golden.check("logits", steps.decoder.logits.value());
            const Var losses = pix2seq::token_losses(steps, batch.target, smoothing_of_fixture(golden));
            golden.check("token_losses", reshape(losses.value(), B, config.length));
            std::vector<float> without_padding = batch.weights;
            for (std::size_t k = 0; k < without_padding.size(); ++k)
                if (batch.target[k] == 0) without_padding[k] = 0;
            golden.check("loss_notpad", pix2seq::loss(losses, without_padding).value());
            const Var loss = pix2seq::loss(losses, batch.weights);
            golden.check("loss", loss.value());
            backward(loss);
            check_gradients(parameters, golden);
        }

        // written by itself
        const int new_tokens = golden.file.metadata_int("infer_max_seq_len") - 1;
        pix2seq::Reader reader(images, w, config);
        const TokenBatch prompts = equal_batch(std::vector<int>(B, config.vocabulary.task), 1);
        golden.check_integers("infer.tokens", padded(generate_greedily(prompts, reader, {.new_tokens = new_tokens})));
        std::vector<Var> logits;  // step by step; the fixture has them image by image
        for (const Matrix& step : reader.logits) logits.push_back(step);
        golden.check("infer.logits", permuted(concat_rows(logits).value(), {new_tokens, B, config.vocabulary.size}, {1, 0, 2}));
        check_detections(golden, "infer", pix2seq::detect(images, w, config, new_tokens));
        golden.check_all_used();
    }
}

// --- by hand ---

// V = 20: padding 0, task 1, fake 2, classes 1 to 3 are 4 to 6, nine bins from 8 on
static const pix2seq::Vocabulary small{.task = 1, .fake_class = 2, .base_shift = 3, .coordinate_shift = 8, .bins = 9, .size = 20};

TEST_CASE("quantised: half goes to even, and the last bin is bins - 1") {
    CHECK(pix2seq::quantised(0.0625f, 9) == 0);  // 0.5
    CHECK(pix2seq::quantised(0.1875f, 9) == 2);  // 1.5
    CHECK(pix2seq::quantised(1, 9) == 8);
    CHECK(pix2seq::quantised(1.2f, 9) == 8);
    CHECK(pix2seq::dequantised(4, 9) == 0.5f);
    CHECK(pix2seq::dequantised(9, 9) == 1);
    CHECK(pix2seq::dequantised(-1, 9) == 0);
}

TEST_CASE("make_sequence: by hand, one object, one of noise, an empty slot") {
    const pix2seq::Objects objects{.boxes = Matrix{{0, 0.25f, 0.5f, 1}, {0, 0, 1, 1}, {0, 0, 0, 0}}, .labels = {2, 2 - 3, 0}};
    const pix2seq::CorruptionDraws draws{
        .classes = {1, 3, 1}, .u_random = {0.9f, 0.9f, 0.9f}, .u_real_or_fake = {0, 0, 0}, .u_real_or_random = {0, 0, 0}};
    const pix2seq::Sequence s =
        pix2seq::make_sequence(objects, 17, pix2seq::Corruption::random_or_fake, draws, {.noise_class = 0.5f}, small);
    CHECK(s.target == std::vector<int>{8, 10, 12, 16, 5, 8, 8, 16, 16, 2, 0, 0, 0, 0, 0, 0, 0});
    CHECK(s.input == std::vector<int>{1, 8, 10, 12, 16, 4, 8, 8, 16, 16, 6, 0, 0, 0, 0, 0, 0});
    CHECK(s.weights == std::vector<float>{1, 1, 1, 1, 1, 0, 0, 0, 0, 0.5f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f});
    // Above 1/2 the real class, up to there another one: fake is token 2, the drawn class token 3 + 1.
    const auto written = [&](pix2seq::Corruption corruption, float u) {
        const pix2seq::CorruptionDraws one{.classes = {1}, .u_random = {u}, .u_real_or_fake = {u}, .u_real_or_random = {u}};
        return pix2seq::make_sequence({{{0, 0, 1, 1}}, {2}}, 6, corruption, one, {}, small).input[5];
    };
    CHECK(written(pix2seq::Corruption::real_or_fake, 0.75f) == 5);
    CHECK(written(pix2seq::Corruption::real_or_fake, 0.5f) == 2);
    CHECK(written(pix2seq::Corruption::random_or_fake, 0.75f) == 4);
    CHECK(written(pix2seq::Corruption::random_or_fake, 0.5f) == 2);
    CHECK(written(pix2seq::Corruption::real_or_random_or_fake, 0.75f) == 5);
    CHECK(written(pix2seq::Corruption::real_or_random_or_fake, 0.5f) == 2);
}

TEST_CASE("detections: the class is the most probable real class, also where noise was written") {
    Matrix logits(5, 20);
    logits(4, 2) = 9;  // the fake class is likeliest
    logits(4, 5) = 1;
    const pix2seq::Detections found = pix2seq::detections({8, 10, 12, 16, 2}, logits, small);
    check_close("box", found.boxes, Matrix{{0, 0.25f, 0.5f, 1}});
    CHECK(found.classes == std::vector<int>{2});
    CHECK(found.scores[0] == Approx(std::exp(1.0) / (std::exp(9.0) + std::exp(1.0) + 18)));
    CHECK(pix2seq::detections({8, 10, 12, 16}, slice_rows(logits, 0, 4), small).classes.empty());
}

TEST_CASE("nucleus: the token that crosses p is dropped, but one is always kept") {
    const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
    CHECK(pix2seq::nucleus(logits.data(), 3, 0.9f) == std::vector<int>{1, 1, 0});
    const std::vector<float> and_none = {logits[0], logits[1], logits[2], NAN};  // the fourth is not asked for
    CHECK(pix2seq::nucleus(and_none.data(), 3, 0.9f) == std::vector<int>{1, 1, 0});
    CHECK(pix2seq::nucleus(logits.data(), 3, 0.4f) == std::vector<int>{1, 0, 0});
    const std::vector<float> quarters(4, 0);
    CHECK(pix2seq::nucleus(quarters.data(), 4, 0.5f) == std::vector<int>{1, 1, 0, 0});  // exactly p is not more than p
}

TEST_CASE("with_noise: without objects all boxes are random; everything added is labelled as noise") {
    const pix2seq::NoiseDraws draws{
        .random_centres = Matrix{{0.5f, 0.5f}}, .random_sizes = Matrix{{-1, 0.5f}}, .bad = {0}, .noise = {0}};
    const pix2seq::Objects noisy = pix2seq::with_noise({}, 1, draws, small);
    check_close("box", noisy.boxes, Matrix{{0.25f, 0.375f, 0.75f, 0.625f}});
    CHECK(noisy.labels == std::vector<int>{-1});
    const pix2seq::Objects two{.boxes = Matrix(2, 4), .labels = {1, 2}};
    CHECK(pix2seq::with_noise(two, 1, {}, small).labels.size() == 2);
    CHECK_THROWS_WITH(
        pix2seq::with_noise({}, 2, {.duplicates = 1}, small),
        "pix2seq: 1 duplicates of 0 objects for 2 empty slots; there can be 0 to that many, and none without an object");
}

// --- the model ---

static const pix2seq::Config tiny{.grid = {.height = 8, .width = 12, .patch_size = 4, .channels = 1},
                                  .width = 8,
                                  .depth = 1,
                                  .heads = 2,
                                  .mlp_width = 12,
                                  .decoder_width = 12,
                                  .decoder_depth = 2,
                                  .decoder_heads = 3,
                                  .decoder_mlp_width = 10,
                                  .length = 7,
                                  .vocabulary = small};

static std::vector<Image> two_images() {
    Random random(3);
    std::vector<Image> images(2, Image(8, 12, 1));
    for (Image& image : images)
        for (float& x : image.pixels) x = random.uniform();
    return images;
}

TEST_CASE("Reader: token by token equals the full pass, and images do not affect each other") {
    Random random(1);
    const pix2seq::Weights w = pix2seq::make_weights(tiny, random, {.stddev = 0.5f});
    const std::vector<Image> images = two_images();
    const std::vector<int> input{1, 8, 9, 4, 1, 10, 11, 5};
    const Matrix full = pix2seq::forward(images, input, w, tiny).decoder.logits.value();
    pix2seq::Reader reader(images, w, tiny);
    for (int t = 0; t < 4; ++t) {
        const Matrix next = reader.read(make_batch({{input[t]}, {input[4 + t]}}));
        check_close("first image", slice_rows(next, 0, 1), slice_rows(full, t, 1));
        check_close("second image", slice_rows(next, 1, 1), slice_rows(full, 4 + t, 1));
    }
    const Matrix alone = pix2seq::forward({images[1]}, {1, 10, 11, 5}, w, tiny).decoder.logits.value();
    check_close("alone", alone, slice_rows(full, 4, 4));
    const Matrix other = pix2seq::forward({images[0]}, {1, 10, 11, 5}, w, tiny).decoder.logits.value();
    CHECK(difference(other, alone) != "");  // the image matters
}

TEST_CASE("pix2seq: an inconsistent config or batch throws an error that gives the reason") {
    Random random;
    pix2seq::Config config = tiny;
    config.vocabulary.size = 16;
    CHECK_THROWS_WITH(pix2seq::make_weights(config, random),
                      "pix2seq: 9 bins from token 8 on, after classes from 3 on, do not fit into 16 tokens");
    config = tiny;
    config.decoder_heads = 5;
    CHECK_THROWS_WITH(pix2seq::make_weights(config, random), "pix2seq: 2 and 5 heads do not divide widths of 8 and 12");
    const pix2seq::Weights w = pix2seq::make_weights(tiny, random);
    CHECK_THROWS_WITH(pix2seq::forward(two_images(), {1, 2, 3}, w, tiny),
                      "pix2seq: 3 tokens for 2 images; each needs the same number, at most 7");
    CHECK_THROWS_WITH(pix2seq::projection_of_name("conv"), "pix2seq: a projection 'conv' is not one of linear, linear_p, mlp");
}

TEST_CASE("pix2seq: boxes, labels, draws and logits that would silently become other tokens are refused") {
    Random random;
    const pix2seq::Weights w = pix2seq::make_weights(tiny, random);
    pix2seq::Config deeper = tiny;
    deeper.decoder_depth = tiny.decoder_depth + 1;
    const pix2seq::Vocabulary& v = tiny.vocabulary;
    const pix2seq::CorruptionDraws draws{{0}, {0.5f}, {0.5f}, {0.5f}};
    const pix2seq::Objects no_number{{{0, NAN, 1, 1}}, {1}}, no_class{{{0, 0, 1, 1}}, {v.coordinate_shift - v.base_shift}},
        good{{{0, 0, 1, 1}}, {1}};
    const float no_logits[] = {0, NAN};
    CHECK_THROWS_WITH(pix2seq::forward(two_images(), {1, 2}, w, deeper),
                      "pix2seq: decoder: the configuration says 3 blocks, the weights hold 2; pass the configuration that the "
                      "weights were made with");
    CHECK_THROWS_WITH(pix2seq::make_sequence(no_number, 6, pix2seq::Corruption::random, draws, {}, v),
                      "pix2seq: the boxes (1, 4) hold nan in row 0, column 1 (from 0); all must be finite, trap_nan(true) names "
                      "the operation that made it");
    CHECK_THROWS_WITH(pix2seq::make_sequence(no_class, 6, pix2seq::Corruption::random, draws, {}, v),
                      "pix2seq: the label of object 0 is 5, there are 5, counted from 0 (an empty slot), and -1 (noise)");
    CHECK_THROWS_WITH(pix2seq::make_sequence(good, 0, pix2seq::Corruption::random, draws, {}, v),
                      "pix2seq: a sequence of 0 tokens, it must have at least 1");
    CHECK_THROWS_WITH(pix2seq::make_sequence(good, 6, pix2seq::Corruption::random, {{5}, {0.5f}, {0.5f}, {0.5f}}, {}, v),
                      "pix2seq: the class drawn for object 0 is 5, there are 5, counted from 0");
    CHECK_THROWS_WITH(pix2seq::with_noise(no_number, 2, {}, v),
                      "pix2seq: the boxes (1, 4) hold nan in row 0, column 1 (from 0); all must be finite, trap_nan(true) names "
                      "the operation that made it");
    CHECK_THROWS_WITH(pix2seq::quantised(NAN, 9),
                      "pix2seq: a coordinate of nan in 9 bins; it must be a number, and there must be at least 2 bins");
    CHECK_THROWS_WITH(pix2seq::dequantised(1, 1), "pix2seq: 1 bins, there must be at least 2");
    CHECK_THROWS_WITH(pix2seq::nucleus(no_logits, 2, 0.5f), "nucleus: logit 1 is nan, it must be a number");
    CHECK_THROWS_WITH(pix2seq::nucleus(no_logits + 1, 1, 0.5f), "nucleus: logit 0 is nan, it must be a number");
    CHECK_THROWS_WITH(pix2seq::nucleus(no_logits, 2, 1.5f),
                      "nucleus: p = 1.500000 of 2 logits; p lies between 0 and 1, and there must be a logit");
    CHECK_THROWS_WITH(pix2seq::detect(two_images(), w, tiny, 0),
                      "pix2seq: 0 new tokens, it must be 1 to 7, the longest sequence");
}

TEST_CASE(
    "pix2seq: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line says what "
    "is missing") {
    Random random(1);
    const auto table = [&](const pix2seq::Config& config) {
        return pix2seq::parameters(pix2seq::make_weights(config, random), config);
    };
    for (const std::string& path : golden_files("pix2seq")) {
        const pix2seq::Config config = config_of_fixture(Golden(path));
        const bool told_by_shapes = config.positions == pix2seq::Positions::learned && config.grid.down() == config.grid.across();
        const std::string missing = told_by_shapes ? "the number of bins" : "the size of the images";
        check_given_settings(config, table, pix2seq::config_of, missing);
    }
    // Learned positions of a square: the shapes determine the size, and also that there is no MLP after the projection.
    pix2seq::Config square = config_of_fixture(Golden(golden_files("pix2seq")[0]));
    square.grid.height = square.grid.width;
    square.positions = pix2seq::Positions::learned;
    for (const pix2seq::Projection projection :
         {pix2seq::Projection::linear, pix2seq::Projection::linear_p, pix2seq::Projection::mlp}) {
        square.projection = projection;
        check_given_settings(square, table, pix2seq::config_of, "the number of bins");
    }
    pix2seq::Config sines = square;
    sines.positions = pix2seq::Positions::sine;
    for (const pix2seq::Projection projection : {pix2seq::Projection::linear, pix2seq::Projection::linear_p}) {
        sines.projection = projection;
        sines.shared_embedding = sines.output_bias = projection == pix2seq::Projection::linear;
        check_given_settings(sines, table, pix2seq::config_of, "the size of the images");
    }
    const TemporaryFolder folder;
    const std::string path = folder.path("pix2seq.safetensors");
    save(table(sines), path, pix2seq::metadata(sines));
    CHECK(error_of([&] {
              pix2seq::config_of(Safetensors(path), {{"image_size", "8,8,3"}});
          }) == path + ": an image size of 3 numbers, it is one side, or height and width");
}

TEST_CASE("pix2seq: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<pix2seq::Config, std::string>>{
             {{.heads = 0}, "pix2seq: 0 and 16 heads do not divide widths of 768 and 512"},
             {{.heads = 5}, "pix2seq: 5 and 16 heads do not divide widths of 768 and 512"},
             {{.width = 0}, "pix2seq: 12 and 16 heads do not divide widths of 0 and 512"},
             {{.decoder_heads = 0}, "pix2seq: 12 and 0 heads do not divide widths of 768 and 512"},
             {{.decoder_width = 0}, "pix2seq: 12 and 16 heads do not divide widths of 768 and 0"},
             {{.width = 6, .heads = 1}, "pix2seq: widths of 6 and 512 must be divisible by 4 for sines of rows and columns"},
             {{.decoder_width = 6, .decoder_heads = 1},
              "pix2seq: widths of 768 and 6 must be divisible by 4 for sines of rows and columns"},
             {{.depth = -1},
              "pix2seq: depths -1 and 6, inner widths 3072 and 2048, sequences of 512 tokens: sizes must be positive"},
             {{.decoder_depth = 0},
              "pix2seq: depths 12 and 0, inner widths 3072 and 2048, sequences of 512 tokens: sizes must be positive"},
             {{.mlp_width = 0},
              "pix2seq: depths 12 and 6, inner widths 0 and 2048, sequences of 512 tokens: sizes must be positive"},
             {{.decoder_mlp_width = 0},
              "pix2seq: depths 12 and 6, inner widths 3072 and 0, sequences of 512 tokens: sizes must be positive"},
             {{.length = 0},
              "pix2seq: depths 12 and 6, inner widths 3072 and 2048, sequences of 0 tokens: sizes must be positive"},
             {{.eps = -1}, "pix2seq: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual"},
         })
        CHECK_THROWS_WITH(pix2seq::make_weights(config, random), text.c_str());
    const pix2seq::Config smallest{.grid = {.height = 1, .width = 1, .patch_size = 1, .channels = 1},
                                   .width = 4,
                                   .depth = 0,
                                   .heads = 1,
                                   .mlp_width = 1,
                                   .decoder_width = 4,
                                   .decoder_depth = 1,
                                   .decoder_heads = 1,
                                   .decoder_mlp_width = 1,
                                   .length = 1,
                                   .eps = 0};
    CHECK_NOTHROW(pix2seq::make_weights(smallest, random));
    pix2seq::Config narrow = smallest;  // sines need widths of 4
    narrow.positions = pix2seq::Positions::learned;
    narrow.width = narrow.decoder_width = 1;
    CHECK_NOTHROW(pix2seq::make_weights(narrow, random));
}

TEST_CASE("make_sequence, corruption_of_name: draws for another number of objects and unknown names are refused") {
    const pix2seq::Objects one{{{0, 0, 1, 1}}, {1}};
    const std::vector<float> u{0.5f};
    const auto refused = [&](const pix2seq::CorruptionDraws& draws, const std::string& counts) {
        CHECK_THROWS_WITH(
            pix2seq::make_sequence(one, 6, pix2seq::Corruption::random, draws, {}, tiny.vocabulary),
            ("pix2seq: 1 labels, boxes (1, 4), draws for " + counts + " objects; all counts must be equal").c_str());
    };
    refused({{}, u, u, u}, "0, 1, 1 and 1");
    refused({{0}, {}, u, u}, "1, 0, 1 and 1");
    refused({{0}, u, {}, u}, "1, 1, 0 and 1");
    refused({{0}, u, u, {}}, "1, 1, 1 and 0");
    CHECK(pix2seq::corruption_of_name("rand_cls") == pix2seq::Corruption::random);
    CHECK(pix2seq::corruption_of_name("rand_n_fake_cls") == pix2seq::Corruption::random_or_fake);
    CHECK(pix2seq::corruption_of_name("real_n_fake_cls") == pix2seq::Corruption::real_or_fake);
    CHECK(pix2seq::corruption_of_name("real_n_rand_n_fake_cls") == pix2seq::Corruption::real_or_random_or_fake);
    CHECK_THROWS_WITH(pix2seq::corruption_of_name("rand"),
                      "pix2seq: 'rand' is not one of rand_cls, rand_n_fake_cls, real_n_fake_cls, real_n_rand_n_fake_cls");
}

TEST_CASE("with_noise, make_sequence, detections, nucleus: each argument check fails by itself, the limits are allowed") {
    CHECK(pix2seq::quantised(1, 2) == 1);
    CHECK(pix2seq::dequantised(1, 2) == 1);
    CHECK_THROWS_WITH(pix2seq::quantised(0.5f, 1),
                      "pix2seq: a coordinate of 0.500000 in 1 bins; it must be a number, and there must be at least 2 bins");
    const pix2seq::Objects one{{{0, 0, 1, 1}}, {1}};
    const auto noise = [](const pix2seq::Objects& objects, int slots, const pix2seq::NoiseDraws& draws) {
        return error_of([&] { pix2seq::with_noise(objects, slots, draws, small); });
    };
    const std::string needs = " labels; each object needs four numbers and a label";
    CHECK(noise(one, 1, {}) == "");
    CHECK(noise({{{0, 0, 1, 1}}, {}}, 1, {}) == "pix2seq: boxes (1, 4) for 0" + needs);
    CHECK(noise({{{0, 0, 1}}, {1}}, 1, {}) == "pix2seq: boxes (1, 3) for 1" + needs);
    const std::string slots = " empty slots; there can be 0 to that many, and none without an object";
    CHECK(noise(one, 2, {.duplicates = -1}) == "pix2seq: -1 duplicates of 1 objects for 1" + slots);
    CHECK(noise(one, 2, {.duplicates = 2}) == "pix2seq: 2 duplicates of 1 objects for 1" + slots);
    CHECK(noise({{}, {}}, 1, {.duplicates = 1}) == "pix2seq: 1 duplicates of 0 objects for 1" + slots);
    CHECK(noise(one, 2, {.tiles = {0}}) == "pix2seq: a permutation of 1 for 2 tiled objects, it must name each of them once");
    const std::string named = ", it must name each of them once, counted from 0";
    CHECK(noise(one, 2, {.tiles = {0, 2}}) == "pix2seq: a permutation of 2 tiled objects names number 2" + named);
    CHECK(noise(one, 2, {.tiles = {0, -1}}) == "pix2seq: a permutation of 2 tiled objects names number -1" + named);
    CHECK(noise(one, 2, {.tiles = {0, 0}}) == "pix2seq: a permutation of 2 tiled objects names number 0" + named);
    CHECK(noise({{}, {}}, 1, {.tiles = {0}}) ==
          "pix2seq: a permutation of 1 for 0 tiled objects, it must name each of them once");
    CHECK(noise({{}, {}}, 1,
                {.again = {0}, .random_centres = Matrix(1, 2), .random_sizes = Matrix(1, 2), .bad = {0}, .noise = {0}}) ==
          "pix2seq: a permutation of 1 for 0 tiled objects, it must name each of them once");
    CHECK(noise(one, 2,
                {.tiles = {0, 1},
                 .again = {0, 2},
                 .shifted_centres = Matrix(1, 2),
                 .random_centres = Matrix(1, 2),
                 .random_sizes = Matrix(1, 2),
                 .bad = {0, 1},
                 .noise = {0}}) == "pix2seq: a permutation of 2 tiled objects names number 2" + named);

    // one slot without an object needs one shifted and one random box
    const auto with_boxes = [&](const Matrix& shifted, const Matrix& centres, const Matrix& sizes) {
        return noise(one, 2,
                     {.tiles = {0, 1},
                      .again = {0, 1},
                      .shifted_centres = shifted,
                      .random_centres = centres,
                      .random_sizes = sizes,
                      .bad = {0, 1},
                      .noise = {0}});
    };
    const Matrix pair(1, 2);
    CHECK(with_boxes(pair, pair, pair) == "");
    CHECK(with_boxes(Matrix(2, 2), pair, pair) == "pix2seq: the draws of shifted centres are (2, 2), (1, 2) are needed");
    CHECK(with_boxes(pair, Matrix(1, 3), pair) == "pix2seq: the draws of random centres are (1, 3), (1, 2) are needed");
    CHECK(with_boxes(pair, pair, Matrix(0, 2)) == "pix2seq: the draws of random sizes are (0, 2), (1, 2) are needed");
    // or a duplicate: its sides, 1 long, are moved by 0.05 of the draws
    const pix2seq::Objects twice =
        pix2seq::with_noise({{{0.25f, 0.25f, 0.75f, 0.75f}}, {1}}, 2,
                            {.duplicates = 1, .tiles = {0, 1}, .again = {1, 0}, .jitter = {{0, 2, 4, -2}}, .noise = {0}}, small);
    check_close("duplicate", twice.boxes, {{0.25f, 0.25f, 0.75f, 0.75f}, {0.25f, 0.3f, 0.85f, 0.7f}});
    CHECK(twice.labels == std::vector<int>{1, -1});
    CHECK(pix2seq::make_sequence({}, 3, pix2seq::Corruption::random, {}, {}, small).target == std::vector<int>{0, 0, 0});

    const std::vector<float> u{0.5f};
    const auto sequence = [&](const pix2seq::Objects& objects, int drawn_class, int length) {
        return error_of([&] {
            pix2seq::make_sequence(objects, length, pix2seq::Corruption::random, {{drawn_class}, u, u, u}, {}, small);
        });
    };
    CHECK(sequence(one, 0, 1) == "");
    CHECK(sequence(one, 4, 1) == "");  // the last of 5 classes
    CHECK(sequence(one, 5, 1) == "pix2seq: the class drawn for object 0 is 5, there are 5, counted from 0");
    CHECK(sequence(one, -1, 1) == "pix2seq: the class drawn for object 0 is -1, there are 5, counted from 0");
    CHECK(sequence({{{0, 0, 1}}, {1}}, 0, 1) == "pix2seq: boxes (1, 3), each must be four numbers");
    CHECK(sequence({Matrix(2, 4), {1}}, 0, 1) ==
          "pix2seq: 1 labels, boxes (2, 4), draws for 1, 1, 1 and 1 objects; all counts must be equal");

    CHECK_THROWS_WITH(pix2seq::detections({8, 8, 8, 8, 8}, Matrix(4, 20), small),
                      "pix2seq: logits (4, 20) for 5 tokens of 20; each token needs a row of them");
    CHECK_THROWS_WITH(pix2seq::detections({8, 8, 8, 8, 8}, Matrix(5, 19), small),
                      "pix2seq: logits (5, 19) for 5 tokens of 20; each token needs a row of them");
    const float logits[] = {0};
    const std::string p_rule = " logits; p lies between 0 and 1, and there must be a logit";
    CHECK(pix2seq::nucleus(logits, 1, 0) == std::vector<int>{1});
    CHECK(pix2seq::nucleus(logits, 1, 1) == std::vector<int>{1});
    CHECK(error_of([&] { pix2seq::nucleus(logits, 0, 0); }) == "nucleus: p = 0.000000 of 0" + p_rule);
    CHECK(error_of([&] { pix2seq::nucleus(logits, 1, -0.5f); }) == "nucleus: p = -0.500000 of 1" + p_rule);

    CHECK(pix2seq::positions_of_name("sin_cos") == pix2seq::Positions::sine);
    CHECK(pix2seq::positions_of_name("learned") == pix2seq::Positions::learned);
    CHECK_THROWS_WITH(pix2seq::positions_of_name("none"), "pix2seq: positions 'none' are neither sin_cos nor learned");
    CHECK(pix2seq::projection_of_name("linear") == pix2seq::Projection::linear);
}

TEST_CASE("make_weights, forward, detect: a vocabulary, tokens and lengths that do not fit are refused, the limits are allowed") {
    Random random(1);
    const auto vocabulary = [&](const pix2seq::Vocabulary& v) {
        pix2seq::Config config = tiny;
        config.vocabulary = v;
        return error_of([&] { pix2seq::make_weights(config, random); });
    };
    CHECK(vocabulary({.task = 1, .fake_class = 2, .base_shift = 3, .coordinate_shift = 4, .bins = 2, .size = 6}) == "");
    CHECK(vocabulary({.task = 1, .fake_class = 2, .base_shift = 3, .coordinate_shift = 4, .bins = 1, .size = 6}) ==
          "pix2seq: 1 bins from token 4 on, after classes from 3 on, do not fit into 6 tokens");
    CHECK(vocabulary({.task = 1, .fake_class = 2, .base_shift = 4, .coordinate_shift = 4, .bins = 2, .size = 6}) ==
          "pix2seq: 2 bins from token 4 on, after classes from 4 on, do not fit into 6 tokens");
    CHECK(vocabulary({.task = 1, .fake_class = 2, .base_shift = 3, .coordinate_shift = 4, .bins = 2, .size = 5}) ==
          "pix2seq: 2 bins from token 4 on, after classes from 3 on, do not fit into 5 tokens");
    const pix2seq::Weights w = pix2seq::make_weights(tiny, random);
    const std::string equally = " images; each needs the same number, at most 7";
    CHECK(error_of([&] { pix2seq::forward({}, {1}, w, tiny); }) == "pix2seq: 1 tokens for 0" + equally);
    CHECK(error_of([&] { pix2seq::forward(two_images(), {}, w, tiny); }) == "pix2seq: 0 tokens for 2" + equally);
    CHECK(error_of([&] { pix2seq::forward(two_images(), std::vector<int>(16, 1), w, tiny); }) ==
          "pix2seq: 16 tokens for 2" + equally);
    CHECK_NOTHROW(pix2seq::forward(two_images(), std::vector<int>(14, 1), w, tiny));
    CHECK_NOTHROW(pix2seq::detect(two_images(), w, tiny, 1));
    CHECK_NOTHROW(pix2seq::detect(two_images(), w, tiny, 7));
    CHECK_THROWS_WITH(pix2seq::detect(two_images(), w, tiny, 8),
                      "pix2seq: 8 new tokens, it must be 1 to 7, the longest sequence");
}

TEST_CASE("encode: with Projection::linear the decoder reads the projected rows, as they are") {
    Random random(2);
    pix2seq::Config config = tiny;
    config.projection = pix2seq::Projection::linear;
    const pix2seq::Weights w = pix2seq::make_weights(config, random, {.stddev = 0.5f});
    const pix2seq::EncoderSteps steps = pix2seq::encode(two_images(), w, config);
    const Var projected = layer_norm(linear(steps.output, w.projection), w.projection_norm, config.eps);
    CHECK(identical(steps.encoded.value(), projected.value()));
}

TEST_CASE("pix2seq::Vocabulary: the defaults") {
    const pix2seq::Vocabulary usual{};
    CHECK(usual.task == 10);
    CHECK(usual.fake_class == 30);
    CHECK(usual.base_shift == 100);
    CHECK(usual.coordinate_shift == 1000);
    CHECK(usual.bins == 1000);
    CHECK(usual.size == 3000);
}

TEST_CASE("pix2seq::LossWeights: the defaults") {
    const pix2seq::LossWeights usual{};
    CHECK(usual.noise_class == 1);
    CHECK(usual.padding == 0.1f);
}

TEST_CASE("pix2seq::Config: the defaults") {
    const pix2seq::Config usual{};
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_width == 3072);
    CHECK(usual.decoder_width == 512);
    CHECK(usual.decoder_depth == 6);
    CHECK(usual.decoder_heads == 16);
    CHECK(usual.decoder_mlp_width == 2048);
    CHECK(usual.length == 512);
    CHECK(usual.positions == pix2seq::Positions::sine);
    CHECK(usual.projection == pix2seq::Projection::mlp);
    CHECK(!usual.class_token);
    CHECK(usual.shared_embedding);
    CHECK(usual.output_bias);
    CHECK(usual.eps == 1e-6f);
    CHECK(usual.grid.height == 640);
    CHECK(usual.grid.width == 640);
}

TEST_CASE("nucleus: logits that are not given are refused") {
    CHECK(error_of([] { pix2seq::nucleus(nullptr, 2, 0.5f); }) == "nucleus: 2 logits are not given");
    CHECK(error_of([] { pix2seq::nucleus(nullptr, 1, 0.5f); }) == "nucleus: 1 logits are not given");
}

TEST_CASE("quantised: more bins than a float tells apart are refused") {
    CHECK(pix2seq::quantised(1, 1 << 24) == 16777215);
    CHECK(error_of([] { pix2seq::quantised(1, (1 << 24) + 1); }) ==
          "pix2seq: 16777217 bins, a float tells at most 16777216 apart; take fewer");
}

TEST_SUITE_END();
