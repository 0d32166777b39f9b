#include "walkthroughs/lesson/published_vit.h"

#include <vector>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/json.h"
#include "vit/language/photograph.h"

PublishedVit read_published_vit(const std::string& weights, const GivenSettings& given) {
    const Safetensors file(weights);
    const vit::Config config = vit::config_of(file, given);
    Random random;
    const vit::Weights w = vit::make_weights(config, random);
    LoadRules rules = vit::load_rules();
    rules.ignored_prefixes.push_back("training.");  // of a saved training state
    load(vit::parameters(w, config), file, rules);
    return {config, w};
}

static Image with_channels(const Image& image, int channels) {
    if (image.channels == channels || image.channels != 1) return image;
    Image result(image.height, image.width, channels);
    for (std::size_t k = 0; k < result.pixels.size(); ++k) result.pixels[k] = image.pixels[k / channels];
    return result;
}

Image read_photograph(const std::string& path, const vit::Config& config) {
    const Image photograph = with_channels(read_image(path), config.grid.channels);
    require(photograph.channels == config.grid.channels, "--image: ", path, " has ", photograph.channels,
            " channels, the model reads ", config.grid.channels,
            config.grid.channels == 1 ? "; convert it: magick FILE -colorspace gray FILE.pgm" : "");
    return photograph;
}

static void require_step(const Json& said, const std::string& step, bool wanted, const std::string& path) {
    const Json* const done = said.find_unless_null(step);
    require(done == nullptr || done->as_boolean() == wanted, path, ": ", step, " is ", wanted ? "false" : "true",
            "; only photographs that are resized and normalised, and not cropped, are read here");
}

// 224, or {"height": 224, "width": 224}.
static void require_size(const Json& said, const vit::Config& config, const std::string& path) {
    const Json* const size = said.find_unless_null("size");
    if (size == nullptr) return;
    const bool is_pair = size->kind == Json::Kind::object && size->find("height") != nullptr && size->find("width") != nullptr;
    require(
        is_pair || size->kind == Json::Kind::number, path, ": size is ", brief_string(json_text(*size)),
        "; one side, or {\"height\": 224, \"width\": 224}, is needed, other ways to cut a photograph are not implemented here");
    const int height = is_pair ? size->at("height").as_int() : size->as_int();
    const int width = is_pair ? size->at("width").as_int() : size->as_int();
    require(height == config.grid.height && width == config.grid.width, path, ": size is ", height, " x ", width,
            ", the model reads images of ", config.grid.height, " x ", config.grid.width, "; this belongs to another model");
}

static std::vector<float> channels_of(const Json& said, const char* key, int channels, const std::string& path) {
    std::vector<float> numbers;
    if (const Json* const list = said.find_unless_null(key))
        for (const Json& number : list->as_array()) numbers.push_back(static_cast<float>(number.as_number()));
    else
        numbers.assign(channels, 0.5f);
    require(static_cast<int>(numbers.size()) == channels, path, ": ", key, " has ", numbers.size(), " numbers, one for each of ",
            channels, " channels is needed");
    return numbers;
}

// The photograph normalised as the file says.
//   prepared  what vit::preprocess() returns: x - 1/2, divided by 1/2
static Image normalised_as(const Json& said, const Image& prepared, const vit::Config& config, const std::string& path) {
    require(said.kind == Json::Kind::object, path, ": is another JSON value than an object {...}");
    require_step(said, "do_resize", true, path);
    require_step(said, "do_normalize", true, path);
    require_step(said, "do_center_crop", false, path);
    require_pixels_to_1(said, path);
    if (const Json* const filter = said.find_unless_null("resample"))
        require(filter->as_int() == 2, path, ": resample is ", filter->as_int(), "; only 2, bilinear, is known here");
    require_size(said, config, path);
    std::vector<float> mean = channels_of(said, "image_mean", config.grid.channels, path);
    std::vector<float> deviation = channels_of(said, "image_std", config.grid.channels, path);
    for (const float number : deviation)
        require(number > 0, path, ": image_std holds ", number, ", by which pixels are divided; it must be above 0");
    for (float& number : mean) number = 2 * number - 1;  // both in units of what preprocess() returns
    for (float& number : deviation) number *= 2;
    return normalise(prepared, mean, deviation);
}

Image prepared_photograph(const Image& photograph, const vit::Config& config, const std::string& weights) {
    const Image prepared = vit::preprocess(photograph, config);
    const std::string path = folder_prefix(weights) + "preprocessor_config.json";
    if (!is_file(path)) return prepared;
    const Json said = read_json(path);
    return with_source(path, [&] { return normalised_as(said, prepared, config, path); });
}
