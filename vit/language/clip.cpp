#include "vit/language/clip.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/names.h"
#include "nn/training/contrastive.h"
#include "vit/language/photograph.h"

namespace clip {

// Of either tower.
template <class TowerConfig>
static BlockOptions options_of(const TowerConfig& config) {
    return {.heads = config.heads, .eps = config.eps, .activation = config.activation};
}

// --- the image tower ---

ImageSteps vision_trunk(const std::vector<Image>& images, const VisionWeights& w, const VisionConfig& config, const char* who) {
    check(config, who);
    require_depth(who, config.depth, w.blocks);
    const int N = config.grid.count();
    const Attending how{.segments = Segments::equal(static_cast<int>(images.size()), N + 1)};
    const InStack in_stack("image");
    ImageSteps steps;
    steps.patches = patchify_all(images, config.grid, who);
    steps.patch_embeddings = linear(named_step("patches", steps.patches), w.projection);  // (B*N, Dv)
    const Var tokens = prepend_to_each(w.class_token, steps.patch_embeddings, N);         // (B*(N+1), Dv)
    steps.embeddings = add_repeated(tokens, w.positions);                                 // (B*(N+1), Dv)
    steps.pre_norm = layer_norm(steps.embeddings, w.pre_norm, config.eps);                // (B*(N+1), Dv)
    steps.encoder = stack(steps.pre_norm, w.blocks, options_of(config), {.self = how});   // (B*(N+1), Dv)
    return steps;
}

ImageSteps image_tower(const std::vector<Image>& images, const VisionWeights& w, const VisionConfig& config) {
    const Segments segments = Segments::equal(static_cast<int>(images.size()), config.grid.count() + 1);
    ImageSteps steps = vision_trunk(images, w, config);
    const Var class_tokens = gather_rows(steps.encoder.output, segments.first_rows());  // (B, Dv)
    steps.pooled = layer_norm(class_tokens, w.post_norm, config.eps);                   // (B, Dv)
    return steps;
}

// --- the text tower ---

std::vector<int> end_of_text_positions(const TokenBatch& texts) {
    std::vector<int> ends;
    for (int b = 0; b < texts.sequences; ++b) {
        const auto first = texts.ids.begin() + static_cast<std::ptrdiff_t>(b) * texts.length;
        ends.push_back(static_cast<int>(std::max_element(first, first + texts.length) - first));  // the first of equal ones
    }
    return ends;
}

TextSteps text_tower(const TokenBatch& texts, const TextWeights& w, const TextConfig& config) {
    const int B = texts.sequences, T = texts.length;
    check(config, "clip");
    require_depth("clip: text tower", config.depth, w.blocks);
    require_texts("clip", texts);
    require(T <= config.positions, "clip: sentences of ", T, " tokens, the model has ", config.positions,
            " positions; cut the longest");
    const Attending how{.segments = Segments::equal(B, T), .may = causal(T, T)};
    const InStack in_stack("text");
    TextSteps steps;
    const Var tokens = named_step("token_embeddings", embed(w.token_embedding, texts.ids));  // (B*T, Dt)
    steps.embeddings = add_repeated(tokens, slice_rows(w.positions, 0, T));                  // (B*T, Dt)
    steps.encoder = stack(steps.embeddings, w.blocks, options_of(config), {.self = how});    // (B*T, Dt)
    steps.norm = layer_norm(steps.encoder.output, w.norm, config.eps);                       // (B*T, Dt)
    // Under the causal mask only the last token has read the whole sentence; padding follows it.
    steps.ends = end_of_text_positions(texts);
    std::vector<int> rows;
    for (int b = 0; b < B; ++b) rows.push_back(b * T + steps.ends[b]);
    steps.pooled = gather_rows(steps.norm, rows);  // (B, Dt)
    return steps;
}

// --- both together ---

Steps forward(const std::vector<Image>& images, const TokenBatch& texts, const Weights& w, const Config& config) {
    Steps steps;
    steps.image = image_tower(images, w.vision, config.vision);
    steps.text = text_tower(texts, w.text, config.text);
    steps.image_embeddings = unit_rows(linear(steps.image.pooled, w.image_projection), 0);               // (B, D)
    steps.text_embeddings = unit_rows(linear(steps.text.pooled, w.text_projection), 0);                  // (B, D)
    steps.logits_per_text = scaled_cosines(steps.text_embeddings, steps.image_embeddings, w.log_scale);  // (texts, images)
    steps.logits_per_image = transpose(steps.logits_per_text);                                           // (images, texts)
    return steps;
}

Var embed_images(const std::vector<Image>& images, const Weights& w, const Config& config) {
    const Var pooled = image_tower(images, w.vision, config.vision).pooled;  // (B, Dv)
    return unit_rows(linear(pooled, w.image_projection), 0);                 // (B, D)
}

Var embed_texts(const TokenBatch& texts, const Weights& w, const Config& config) {
    const Var pooled = text_tower(texts, w.text, config.text).pooled;  // (B, Dt)
    return unit_rows(linear(pooled, w.text_projection), 0);            // (B, D)
}

Var loss(const Steps& steps) { return contrastive(steps.logits_per_text).loss; }

void limit_scale(Weights& w) {
    float& log_scale = w.log_scale.value()[0];
    log_scale = std::min(log_scale, std::log(100.0f));
}

// --- zero-shot classification ---

Var class_directions(const std::vector<TokenBatch>& prompts, const Weights& w, const Config& config) {
    std::vector<Var> directions;
    for (const TokenBatch& of_class : prompts) {
        const Var embeddings = embed_texts(of_class, w, config);                  // (prompts, D)
        const Var sum = matmul(Matrix(1, of_class.sequences, 1.0f), embeddings);  // (1, D)
        directions.push_back(unit_rows(sum, 0));                                  // (1, D)  a mean has the same direction
    }
    require(!directions.empty(), "class_directions: there is no class; give the sentences of at least one");
    return concat_rows(directions);  // (classes, D)
}

Var class_probabilities(const Var& image_embeddings, const Var& directions, const Weights& w) {
    return softmax_rows(scaled_cosines(image_embeddings, directions, w.log_scale));  // (images, classes)
}

// --- photographs ---

const std::vector<float> image_mean{0.48145466f, 0.4578275f, 0.40821073f};
const std::vector<float> image_standard_deviation{0.26862954f, 0.26130258f, 0.27577711f};

Image preprocess(const Image& photograph, const VisionConfig& config, const Preparation& how) {
    require(how.shorter_side >= 0, "clip: a shorter side of ", how.shorter_side,
            " pixels, it cannot be below 0; 0 = the side of the model's images");
    const int side = config.grid.height, shorter = how.shorter_side > 0 ? how.shorter_side : side;
    require(side == config.grid.width && config.grid.channels == 3,
            "clip: photographs are prepared for square images of 3 channels, not for ", side, " x ", config.grid.width, " x ",
            config.grid.channels);
    const Image resized = resize_shorter_side(in_colour(photograph), shorter);  // (side or more, side or more, 3)
    const Image middle = centre_crop(resized, side, side);                      // (side, side, 3)
    return normalise(middle, how.mean, how.standard_deviation);
}

// 224, or {"shortest_edge": 224}, or {"height": 224, "width": 224}: both forms are published.
static int side_of(const Json& config, const char* key, int otherwise, const std::string& path) {
    const Json* const said = config.find_unless_null(key);
    if (said == nullptr) return otherwise;
    if (said->kind == Json::Kind::number) return said->as_int();
    const bool is_pair = said->kind == Json::Kind::object && said->find("height") != nullptr && said->find("width") != nullptr;
    const bool is_edge = said->kind == Json::Kind::object && said->find("shortest_edge") != nullptr;
    require(is_pair || is_edge, path, ": ", key, " is ", brief_string(json_text(*said)),
            "; a side is needed, as 224, {\"shortest_edge\": 224} or {\"height\": 224, \"width\": 224}");
    if (is_edge) return said->at("shortest_edge").as_int();
    require(said->at("height").as_int() == said->at("width").as_int(), path, ": ", key,
            " is not a square; only squares are read here");
    return said->at("height").as_int();
}

static std::vector<float> channels_of(const Json& config, const char* key, const std::vector<float>& otherwise,
                                      const std::string& path) {
    const Json* const said = config.find_unless_null(key);
    if (said == nullptr) return otherwise;
    std::vector<float> numbers;
    for (const Json& number : said->as_array()) numbers.push_back(static_cast<float>(number.as_number()));
    require(numbers.size() == 3, path, ": ", key, " has ", numbers.size(), " numbers, one for each of 3 channels is needed");
    return numbers;
}

static Preparation preparation_in(const Json& said, const std::string& path, const VisionConfig& config) {
    Preparation how;
    for (const char* const step : {"do_resize", "do_center_crop", "do_normalize"})
        if (const Json* const done = said.find_unless_null(step))
            require(done->as_boolean(), path, ": ", step,
                    " is false; only photographs that are resized, cropped and normalised are read here");
    require_pixels_to_1(said, path);
    if (const Json* const filter = said.find_unless_null("resample"))
        require(filter->as_int() == 3, path, ": resample is ", filter->as_int(), "; only 3, bicubic, is known here");
    const int side = config.grid.height, crop = side_of(said, "crop_size", side, path);
    require(crop == side, path, ": crop_size is ", crop, ", the model reads images of ", side, "; this belongs to another model");
    how.shorter_side = side_of(said, "size", side, path);
    require(how.shorter_side >= side, path, ": size is ", how.shorter_side, ", less than the ", side, " that are cut out of it");
    how.mean = channels_of(said, "image_mean", image_mean, path);
    how.standard_deviation = channels_of(said, "image_std", image_standard_deviation, path);
    for (const float number : how.standard_deviation)
        require(number > 0, path, ": image_std holds ", number, ", by which pixels are divided; it must be above 0");
    return how;
}

Preparation preparation_of(const std::string& checkpoint_path, const VisionConfig& config) {
    const std::string path = folder_prefix(checkpoint_path) + "preprocessor_config.json";
    if (!is_file(path)) return {};
    const Json said = read_json(path);
    return with_source(path, [&] { return preparation_in(said, path, config); });
}

// --- weights ---

void check(const VisionConfig& config, const char* who) {
    check(config.grid, who);
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, who, ": ", config.heads,
            " heads do not divide an image tower of width ", config.width);
    require(config.depth >= 0 && config.mlp_width > 0, who, ": an image tower of depth ", config.depth, " and inner width ",
            config.mlp_width, ": the depth may not be negative, the width must be positive");
    require_eps(who, config.eps);
}

void check(const TextConfig& config, const char* who) {
    require(config.heads > 0 && config.width > 0 && config.width % config.heads == 0, who, ": ", config.heads,
            " heads do not divide a text tower of width ", config.width);
    require(config.vocabulary > 0 && config.positions > 0 && config.depth >= 0 && config.mlp_width > 0, who, ": a text tower of ",
            config.vocabulary, " tokens, ", config.positions, " positions, depth ", config.depth, " and inner width ",
            config.mlp_width, ": sizes must be positive");
    require_eps(who, config.eps);
}

static float inverse_root(int n) { return 1 / std::sqrt(static_cast<float>(n)); }

std::vector<Block> make_blocks(Random& random, int width, int depth, int mlp_width) {
    const Init init{.draw = Draw::normal, .stddev = inverse_root(width), .residual = inverse_root(2 * std::max(1, depth))};
    std::vector<Block> blocks;
    for (int l = 0; l < depth; ++l) {
        blocks.push_back(make_block(random, {.width = width, .mlp_width = mlp_width}, init));
        for (float& x : blocks.back().mlp.expand.weight.value()) x *= inverse_root(2);
    }
    return blocks;
}

VisionWeights make_vision_weights(const VisionConfig& config, Random& random) {
    check(config);
    const int D = config.width;
    const Init of_width{.draw = Draw::normal, .stddev = inverse_root(D)};
    VisionWeights w;
    w.projection = make_linear_without_bias(random, config.grid.numbers(), D, {.draw = Draw::normal, .stddev = 0.02f});
    w.class_token = make_weight(random, 1, D, of_width);
    w.positions = make_weight(random, config.grid.count() + 1, D, of_width);
    w.pre_norm = make_layer_norm(D);
    w.blocks = make_blocks(random, D, config.depth, config.mlp_width);
    w.post_norm = make_layer_norm(D);
    return w;
}

TextWeights make_text_weights(const TextConfig& config, Random& random) {
    check(config);
    TextWeights w;
    w.token_embedding = make_embedding(random, config.vocabulary, config.width, {.draw = Draw::normal, .stddev = 0.02f});
    w.positions = make_weight(random, config.positions, config.width, {.draw = Draw::normal, .stddev = 0.01f});
    w.blocks = make_blocks(random, config.width, config.depth, config.mlp_width);
    w.norm = make_layer_norm(config.width);
    return w;
}

Weights make_weights(const Config& config, Random& random) {
    const int D = config.shared_width;
    require(D > 0, "clip: a shared width of ", D, ", it must be positive");
    Weights w;
    w.vision = make_vision_weights(config.vision, random);
    w.text = make_text_weights(config.text, random);
    const float of_vision = inverse_root(config.vision.width), of_text = inverse_root(config.text.width);
    w.image_projection = make_linear_without_bias(random, config.vision.width, D, {.draw = Draw::normal, .stddev = of_vision});
    w.text_projection = make_linear_without_bias(random, config.text.width, D, {.draw = Draw::normal, .stddev = of_text});
    w.log_scale = parameter(Matrix{{std::log(1 / 0.07f)}});
    return w;
}

// --- loading and saving ---

Parameters parameters(const Weights& w, const Config& config) {
    const long Dv = config.vision.width, Dt = config.text.width, P = config.vision.grid.patch_size;
    const long tokens = config.vision.grid.count() + 1;
    const std::string vision = "vision_model.", text = "text_model.";
    Parameters table;
    table.push_back({"logit_scale", {}, Stored::as_it_is, {w.log_scale}});
    table.push_back({vision + "embeddings.class_embedding", {Dv}, Stored::as_it_is, {w.vision.class_token}});
    table.push_back({vision + "embeddings.patch_embedding.weight",
                     {Dv, config.vision.grid.channels, P, P},
                     Stored::patches,
                     {w.vision.projection.weight}});
    table.push_back({vision + "embeddings.position_embedding.weight", {tokens, Dv}, Stored::as_it_is, {w.vision.positions}});
    add_parameters(table, vision + "pre_layrnorm", w.vision.pre_norm);  // as the files spell it
    add_parameters(table, vision + "encoder.layers.", w.vision.blocks, clip_names);
    add_parameters(table, vision + "post_layernorm", w.vision.post_norm);
    table.push_back(
        {text + "embeddings.token_embedding.weight", {config.text.vocabulary, Dt}, Stored::as_it_is, {w.text.token_embedding}});
    table.push_back(
        {text + "embeddings.position_embedding.weight", {config.text.positions, Dt}, Stored::as_it_is, {w.text.positions}});
    add_parameters(table, text + "encoder.layers.", w.text.blocks, clip_names);
    add_parameters(table, text + "final_layer_norm", w.text.norm);
    add_parameters(table, "visual_projection", w.image_projection);
    add_parameters(table, "text_projection", w.text_projection);
    return table;
}

Parameters openai_parameters(const Weights& w, const Config& config) {
    const long Dv = config.vision.width, Dt = config.text.width, P = config.vision.grid.patch_size, D = config.shared_width;
    const long tokens = config.vision.grid.count() + 1;
    Parameters table;
    table.push_back({"positional_embedding", {config.text.positions, Dt}, Stored::as_it_is, {w.text.positions}});
    table.push_back({"text_projection", {Dt, D}, Stored::as_it_is, {w.text_projection.weight}});
    table.push_back({"logit_scale", {}, Stored::as_it_is, {w.log_scale}});
    table.push_back({"visual.class_embedding", {Dv}, Stored::as_it_is, {w.vision.class_token}});
    table.push_back({"visual.positional_embedding", {tokens, Dv}, Stored::as_it_is, {w.vision.positions}});
    table.push_back({"visual.proj", {Dv, D}, Stored::as_it_is, {w.image_projection.weight}});
    table.push_back(
        {"visual.conv1.weight", {Dv, config.vision.grid.channels, P, P}, Stored::patches, {w.vision.projection.weight}});
    add_parameters(table, "visual.ln_pre", w.vision.pre_norm);
    add_parameters(table, "visual.transformer.resblocks.", w.vision.blocks, open_clip_names);
    add_parameters(table, "visual.ln_post", w.vision.post_norm);
    add_parameters(table, "transformer.resblocks.", w.text.blocks, open_clip_names);
    table.push_back({"token_embedding.weight", {config.text.vocabulary, Dt}, Stored::as_it_is, {w.text.token_embedding}});
    add_parameters(table, "ln_final", w.text.norm);
    return table;
}

LoadRules load_rules() { return {.ignored_endings = {".position_ids", "input_resolution", "context_length", "vocab_size"}}; }

bool is_openai_layout(const Safetensors& checkpoint) { return checkpoint.has("visual.conv1.weight"); }

// A setting of one tower, "vision_config" or "text_config".
static Setting of_tower(const std::string& tower, Setting setting, const std::string& option = "") {
    for (std::string& key : setting.keys) key = tower + "." + key;
    setting.what += " (" + tower + ")";
    setting.option = option;
    return setting;
}

// Heads, eps and activation of one tower.
template <class TowerConfig>
static void read_settings(TowerConfig& config, const ModelConfig& model_config, const std::string& tower,
                          const std::string& option, bool openai, int usual_heads, const std::string& path) {
    model_config.require_agrees(of_tower(tower, settings::width), config.width);
    model_config.require_agrees(of_tower(tower, settings::depth), config.depth);
    model_config.require_agrees(of_tower(tower, settings::mlp_width), config.mlp_width);
    const Setting heads = of_tower(tower, settings::heads, option);
    const bool left_out = model_config.has({.what = tower, .keys = {tower}});  // a configuration that omits default values
    config.heads = openai     ? model_config.integer(heads, config.width / 64)
                   : left_out ? model_config.integer(heads, usual_heads)
                              : model_config.integer(heads);
    require(config.heads > 0 && config.width % config.heads == 0, path, ": ", tower, ": ", config.heads,
            " heads do not divide a width of ", config.width);
    config.eps = static_cast<float>(model_config.real(of_tower(tower, settings::eps), 1e-5));
    config.activation = model_config.activation(of_tower(tower, settings::activation), "quick_gelu");
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const bool openai = is_openai_layout(checkpoint);
    const std::string patches = openai ? "visual.conv1.weight" : "vision_model.embeddings.patch_embedding.weight";
    const std::string image_positions =
        openai ? "visual.positional_embedding" : "vision_model.embeddings.position_embedding.weight";
    const std::string text_positions = openai ? "positional_embedding" : "text_model.embeddings.position_embedding.weight";
    const std::string words = openai ? "token_embedding.weight" : "text_model.embeddings.token_embedding.weight";
    const std::string image_blocks = openai ? "visual.transformer.resblocks." : "vision_model.encoder.layers.";
    const std::string text_blocks = openai ? "transformer.resblocks." : "text_model.encoder.layers.";
    const std::string expand = openai ? ".mlp.c_fc.weight" : ".mlp.fc1.weight";
    Config config;
    VisionConfig& vision = config.vision;
    vision.width = checkpoint.dimension(patches, 0);
    vision.grid.channels = checkpoint.dimension(patches, 1);
    vision.grid.patch_size = checkpoint.dimension(patches, 2);
    const int N = checkpoint.dimension(image_positions, 0) - 1;
    const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(std::max(0, N)))));
    require(side * side == N, checkpoint.path, ": ", N, " positions are not a square grid; state the image size");
    vision.grid.height = vision.grid.width = side * vision.grid.patch_size;
    vision.depth = count_blocks(checkpoint, image_blocks, expand);
    vision.mlp_width = checkpoint.dimension(image_blocks + "0" + expand, 0);
    TextConfig& text = config.text;
    text.vocabulary = checkpoint.dimension(words, 0);
    text.width = checkpoint.dimension(words, 1);
    text.positions = checkpoint.dimension(text_positions, 0);
    text.depth = count_blocks(checkpoint, text_blocks, expand);
    text.mlp_width = checkpoint.dimension(text_blocks + "0" + expand, 0);
    const ModelConfig model_config(checkpoint, given);
    read_settings(vision, model_config, "vision_config", "--image-heads N", openai, 12, checkpoint.path);
    read_settings(text, model_config, "text_config", "--text-heads N", openai, 8, checkpoint.path);
    config.shared_width = checkpoint.dimension(openai ? "visual.proj" : "visual_projection.weight", openai ? 1 : 0);
    model_config.require_agrees(of_tower("vision_config", settings::image_size), vision.grid.height);
    model_config.require_agrees(of_tower("vision_config", settings::patch_size), vision.grid.patch_size);
    model_config.require_agrees(of_tower("text_config", settings::vocabulary), text.vocabulary);
    model_config.require_agrees(of_tower("text_config", settings::positions), text.positions);
    model_config.require_agrees({"the width of the shared space", {"projection_dim"}}, config.shared_width);
    return config;
}

template <class TowerConfig>
static void add_tower(std::map<std::string, std::string>& metadata, const std::string& tower, const TowerConfig& config) {
    metadata[tower + ".num_attention_heads"] = std::to_string(config.heads);
    metadata[tower + ".layer_norm_eps"] = setting_text(config.eps);
    metadata[tower + ".hidden_act"] = name_of_activation(config.activation);
}

std::map<std::string, std::string> metadata(const Config& config) {
    std::map<std::string, std::string> metadata{{"format", "pt"}, {"model_type", "clip"}};
    add_tower(metadata, "vision_config", config.vision);
    add_tower(metadata, "text_config", config.text);
    return metadata;
}

// --- for nn/interpret ---

Inside image_inside(const Weights& w, const Config& config) {
    return {.stack = "image",
            .blocks = w.vision.blocks,
            .options = options_of(config.vision),
            .head = {{.normed = true, .norm = w.vision.post_norm, .eps = config.vision.eps, .linear = w.image_projection}}};
}

Inside text_inside(const Weights& w, const Config& config) {
    return {.stack = "text",
            .blocks = w.text.blocks,
            .options = options_of(config.text),
            .head = {{.normed = true, .norm = w.text.norm, .eps = config.text.eps, .linear = w.text_projection}}};
}

}  // namespace clip
