#include "nn/layers/model_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

namespace settings {
const Setting heads{
    "the number of heads", {"num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads"}, "--heads N"};
const Setting key_value_heads{"the number of key and value heads", {"num_key_value_heads", "n_kv_heads", "n_head_kv"}};
const Setting eps{"the eps of the norms",
                  {"layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "norm_eps", "layernorm_epsilon"}};
const Setting activation{"the activation function", {"hidden_act", "activation_function", "afn", "dense_act_fn", "act"}};
const Setting rotary_base{"the base of the rotation", {"rope_theta", "rotary_emb_base", "rope_parameters.rope_theta"}};
const Setting width{"the width", {"hidden_size", "n_embd", "d_model", "dim", "embed_dim"}};
const Setting depth{"the number of blocks", {"num_hidden_layers", "n_layer", "num_layers", "n_layers", "depth"}};
const Setting mlp_width{"the inner width of the MLP", {"intermediate_size", "n_inner", "d_ff", "ffn_dim"}};
const Setting vocabulary{"the size of the vocabulary", {"vocab_size"}};
const Setting positions{"the number of positions", {"max_position_embeddings", "n_positions", "n_ctx"}};
const Setting image_size{"the size of the images", {"image_size", "img_size"}, "--image-size N"};
const Setting patch_size{"the side of the patches", {"patch_size"}};
const Setting classes{"the number of classes", {"num_labels"}};
}  // namespace settings

// "folder/" of "folder/model.safetensors", "" of "model.safetensors".
ModelConfig::ModelConfig(const Safetensors& checkpoint, GivenSettings given_settings)
    : path(checkpoint.path),
      config_path(folder_prefix(checkpoint.path) + "config.json"),
      given(std::move(given_settings)),
      metadata(checkpoint.metadata) {
    if (!is_file(config_path)) return;
    config = read_json(config_path);
    require(config.kind == Json::Kind::object, config_path,
            ": the configuration of a model is a JSON object {...}, this is another value");
}

// "vision_config.hidden_size" is a member of a member. nullptr when it is absent or null.
static const Json* member_at(const Json& config, std::string_view key) {
    const Json* here = &config;
    while (here != nullptr && here->kind == Json::Kind::object) {
        const std::size_t dot = key.find('.');
        here = here->find_unless_null(key.substr(0, dot));
        if (dot == std::string_view::npos) return here;
        key.remove_prefix(dot + 1);
    }
    return nullptr;
}

// "1e-5" and "0.00001" are the same number.
static bool same_value(const std::string& a, const std::string& b) {
    const std::optional<double> first = decimal_number(a), second = decimal_number(b);
    return a == b || (first && second && *first == *second);
}

// The same setting under two names: nothing says which of two values is right.
void ModelConfig::require_one_value(const Setting& setting, const std::vector<Found>& all) {
    for (const Found& other : all)
        require(same_value(other.value, all[0].value), all[0].from, ": ", all[0].key, " is ", brief_string(all[0].value),
                ", but ", other.key, " is ", brief_string(other.value), "; both name ", setting.what,
                ", remove the one that is wrong");
}

// The first source that has the setting decides.
std::optional<ModelConfig::Found> ModelConfig::found(const Setting& setting) const {
    if (given.asked != nullptr) given.asked->insert(setting.keys.begin(), setting.keys.end());
    std::vector<Found> in_given, in_metadata, in_config;
    for (const std::string& key : setting.keys) {
        if (const auto entry = given.find(key); entry != given.end())
            in_given.push_back({entry->second, key, "the given settings"});
        if (const auto entry = metadata.find(key); entry != metadata.end())
            in_metadata.push_back({entry->second, key, path + ": its metadata"});
        if (const Json* const value = member_at(config, key))
            in_config.push_back({value->kind == Json::Kind::string ? value->string : json_text(*value), key, config_path});
    }
    for (const std::vector<Found>* const all : {&in_given, &in_metadata, &in_config}) {
        if (all->empty()) continue;
        require_one_value(setting, *all);
        return all->front();
    }
    return {};
}

ModelConfig::Found ModelConfig::required(const Setting& setting) const {
    const std::optional<Found> value = found(setting);
    if (value) return *value;
    require(!setting.keys.empty(), path, ": a setting \"", setting.what, "\" without a key, under which files would store it");
    const std::string option = setting.option.empty() ? "" : ", or give " + setting.option;
    const bool has_file = config.kind == Json::Kind::object;
    require(false, path, ": missing setting: ", setting.what, ", which tensor shapes do not determine; ",
            has_file ? "add \"" + setting.keys[0] + "\" to " + config_path
                     : "put the config.json that was published with it into its folder",
            ", write \"", setting.keys[0], "\" into its metadata", option);
    return {};
}

std::optional<std::string> ModelConfig::find(const Setting& setting) const {
    const std::optional<Found> value = found(setting);
    if (!value) return {};
    return value->value;
}

int ModelConfig::integer_of(const Setting& setting, const Found& found) {
    const std::optional<long> number = whole_number(found.value);
    require(number && *number >= std::numeric_limits<int>::min() && *number <= std::numeric_limits<int>::max(), found.from, ": ",
            found.key, " is ", brief_string(found.value), "; ", setting.what, " must be a whole number");
    return static_cast<int>(*number);
}

double ModelConfig::real_of(const Setting& setting, const Found& found) {
    const std::optional<double> number = decimal_number(found.value);
    require(number.has_value(), found.from, ": ", found.key, " is ", brief_string(found.value), "; ", setting.what,
            " must be a number");
    const float held = static_cast<float>(*number);
    require(std::isfinite(held) && (held != 0 || *number == 0), found.from, ": ", found.key, " is ", brief_string(found.value),
            "; ", setting.what, " must be a number that a float can hold");
    return *number;
}

int ModelConfig::integer(const Setting& setting) const { return integer_of(setting, required(setting)); }
double ModelConfig::real(const Setting& setting) const { return real_of(setting, required(setting)); }
std::string ModelConfig::string(const Setting& setting) const { return required(setting).value; }

// "16", "12" of "16,12" or "[16, 12]"; one empty item of "" or "[]".
static std::vector<std::string> items_of(const std::string& list) {
    const bool in_brackets = list.starts_with('[') && list.ends_with(']');
    std::vector<std::string> items = split(in_brackets ? list.substr(1, list.size() - 2) : list, ',');
    for (std::string& item : items) item = item.substr(std::min(item.find_first_not_of(' '), item.size()));
    return items;
}

std::vector<int> ModelConfig::integers(const Setting& setting) const {
    const Found list = required(setting);
    std::vector<int> numbers;
    for (const std::string& item : items_of(list.value)) numbers.push_back(integer_of(setting, {item, list.key, list.from}));
    return numbers;
}

std::vector<float> ModelConfig::reals(const Setting& setting) const {
    const Found list = required(setting);
    const std::vector<std::string> items = items_of(list.value);
    if (items.size() == 1 && items[0].empty()) return {};
    std::vector<float> numbers;
    for (const std::string& item : items) numbers.push_back(static_cast<float>(real_of(setting, {item, list.key, list.from})));
    return numbers;
}

int ModelConfig::integer(const Setting& setting, int otherwise) const {
    const std::optional<Found> value = found(setting);
    return value ? integer_of(setting, *value) : otherwise;
}

double ModelConfig::real(const Setting& setting, double otherwise) const {
    const std::optional<Found> value = found(setting);
    return value ? real_of(setting, *value) : otherwise;
}

Activation ModelConfig::activation_of(const Setting& setting, const Found& found) {
    try {
        return activation_of_name(found.value);
    } catch (const std::invalid_argument& error) {
        require(false, found.from, ": ", found.key, ", ", setting.what, ": ", error.what());
    }
    return {};
}

Activation ModelConfig::activation(const Setting& setting) const { return activation_of(setting, required(setting)); }

Activation ModelConfig::activation(const Setting& setting, const std::string& otherwise) const {
    const std::optional<Found> value = found(setting);
    return value ? activation_of(setting, *value) : activation_of_name(otherwise);
}

bool ModelConfig::flag(const Setting& setting) const {
    const Found value = required(setting);
    require(value.value == "true" || value.value == "false", value.from, ": ", value.key, " is ", brief_string(value.value), "; ",
            setting.what, " must be true or false");
    return value.value == "true";
}

std::string ModelConfig::string(const Setting& setting, const std::string& otherwise) const {
    const std::optional<Found> value = found(setting);
    return value ? value->value : otherwise;
}

void ModelConfig::require_agrees(const Setting& setting, int from_shapes) const {
    const std::optional<Found> value = found(setting);
    if (!value) return;
    const int said = integer_of(setting, *value);
    require(said == from_shapes, value->from, ": ", value->key, " is ", said, ", but the tensors of ", path, " say ", from_shapes,
            " for ", setting.what, "; this is the configuration of another model");
}

void ModelConfig::require_flag_agrees(const Setting& setting, bool from_tensors) const {
    const std::optional<Found> value = found(setting);
    require(!value || flag(setting) == from_tensors, value ? value->from : "", ": ", value ? value->key : "", " is ",
            value ? value->value : "", ", but the tensors of ", path, " say ", from_tensors ? "true" : "false", " for ",
            setting.what, "; this is the configuration of another model");
}

void ModelConfig::require_tied(bool tied) const {
    const std::optional<Found> value = found({"whether the output matrix is the token embedding", {"tie_word_embeddings"}});
    if (!value) return;
    const bool says_tied = value->value == "true" || value->value == "True";  // Python writes the second
    require(says_tied || value->value == "false" || value->value == "False", value->from, ": ", value->key, " is ",
            brief_string(value->value), "; it must be true or false");
    require(says_tied == tied, value->from, ": ", value->key, " is ", value->value, ", but ", path,
            tied ? " holds no output matrix besides the token embedding" : " holds an output matrix unlike the token embedding",
            "; this is the configuration of another model, or a tensor is missing or out of date");
}

void ModelConfig::require_only(const std::string& key, const std::string& value) const {
    const std::optional<Found> entry = found({key, {key}});
    require(!entry || entry->value == value, entry ? entry->from : "", ": ", key, " is ", entry ? brief_string(entry->value) : "",
            "; only ", value, " is implemented here");
}

// --- a configuration as a whole ---

namespace {

// Each kind of member, read.
struct ReadMember {
    const ModelConfig& model_config;
    const Setting& setting;

    void operator()(int* value) const { *value = model_config.integer(setting); }
    void operator()(float* value) const { *value = static_cast<float>(model_config.real(setting)); }
    void operator()(double* value) const { *value = model_config.real(setting); }
    void operator()(bool* value) const { *value = model_config.flag(setting); }
    void operator()(Activation* value) const { *value = model_config.activation(setting); }
    void operator()(std::vector<float>* value) const { *value = model_config.reals(setting); }
};

// And as text.
struct MemberText {
    std::string operator()(const int* value) const { return std::to_string(*value); }
    std::string operator()(const float* value) const { return setting_text(*value); }
    std::string operator()(const double* value) const { return short_digits(*value, 17); }
    std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
    std::string operator()(const Activation* value) const { return name_of_activation(*value); }
    std::string operator()(const std::vector<float>* value) const {
        std::string all;
        for (const float number : *value) {
            if (!all.empty()) all += ',';
            all += setting_text(number);
        }
        return all;
    }
};

}  // namespace

static void require_value(const char* place, const Member& member) {
    const bool given = std::visit([](const auto* value) { return value != nullptr; }, member.value);
    require(given, place, ": ", member.setting.what, " has no variable that holds it; give its address");
}

void read_members(const ModelConfig& model_config, const std::vector<Member>& members) {
    for (const Member& member : members) {
        require_value("read_members", member);
        if (member.from == Member::From::shapes)
            model_config.require_agrees(member.setting, *std::get<int*>(member.value));
        else if (member.from == Member::From::file || model_config.has(member.setting))
            std::visit(ReadMember{model_config, member.setting}, member.value);
    }
}

std::map<std::string, std::string> metadata_of(const std::string& model_type, const std::vector<Member>& members) {
    std::map<std::string, std::string> metadata{{"format", "pt"}, {"model_type", model_type}};
    for (const Member& member : members) {
        require_value("metadata_of", member);
        if (member.from != Member::From::shapes) metadata[member.setting.keys[0]] = std::visit(MemberText{}, member.value);
    }
    return metadata;
}

int size_of(const Safetensors& checkpoint, const std::string& name, std::size_t which, const LoadRules& rules) {
    const std::string stored = name_in_file(checkpoint, name, rules);
    return checkpoint.dimension(stored.empty() ? name : stored, which);
}

int count_blocks(const Safetensors& checkpoint, const std::string& prefix, const std::string& ending, const LoadRules& rules,
                 int first) {
    int count = 0;
    while (!name_in_file(checkpoint, prefix + std::to_string(first + count) + ending, rules).empty()) ++count;
    return count;
}

void require_depth(std::string_view who, int depth, std::size_t held) {
    require(depth == static_cast<int>(held), who, ": the configuration says ", depth, " layers, the weights hold ", held,
            "; pass the configuration that the weights were made with");
}

double ratio_of(int inner, int width) {
    require(inner >= 0 && width > 0, "ratio_of: an inner width of ", inner, " and a width of ", width,
            ", which must be at least 0 and 1");
    const double ratio = static_cast<double>(inner) / width;
    return static_cast<int>(width * ratio) == inner ? ratio : std::nextafter(ratio, std::numeric_limits<double>::infinity());
}

std::string setting_text(float number) {
    for (int digits = 1; digits < 9; ++digits) {
        const std::string words = short_digits(number, digits);
        if (const auto read_back = decimal_number(words); read_back && static_cast<float>(*read_back) == number) return words;
    }
    return short_digits(number, 9);
}
