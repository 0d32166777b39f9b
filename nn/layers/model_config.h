// model_config.h: settings of a model that its tensor shapes do not determine: the number of heads, eps, the activation function, ...
//
//   shows    that nothing about a published model needs to be guessed: its configuration says it
//   source   in this order: the caller (an option of a program); the metadata of the file, where programs of this project save
//            it; "config.json" in the same folder
//   keys     Published configurations use different names for the same setting (num_attention_heads, n_head, ...). A Setting
//            lists them all, for every model. A key inside another object is written with a dot: "vision_config.hidden_size". A
//            null value counts as absent. One source that has two of the names with different values is refused.
//   use      const ModelConfig model_config(checkpoint, {{"num_attention_heads", "4"}});
//            config.heads = model_config.integer(settings::heads);
//            config.eps = model_config.real(settings::eps, 1e-5);  // the default of the published code
//            model_config.require_agrees(settings::width, config.width);
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nn/data/json.h"
#include "nn/data/parameters.h"
#include "nn/data/safetensors.h"
#include "nn/layers/activation.h"

// Settings given by the caller, which override all files: {"num_attention_heads", "4"}.
struct GivenSettings : std::map<std::string, std::string> {
    using std::map<std::string, std::string>::map;
    // Every key that is looked up is added here, so that a program can name a given key that nothing reads; nullptr: not noted.
    std::set<std::string>* asked = nullptr;
};

struct Setting {
    std::string what;               // for messages: "the number of heads"
    std::vector<std::string> keys;  // in published configurations; the first is used for saving
    std::string option = {};        // of the programs that take it: "--heads N"; "" = none
};

namespace settings {
extern const Setting heads, key_value_heads, eps, activation, rotary_base;                             // not in the shapes
extern const Setting width, depth, mlp_width, vocabulary, positions, image_size, patch_size, classes;  // in the shapes of most
}  // namespace settings

class ModelConfig {
public:
    // Reads config.json beside the checkpoint, if there is one.
    //   throws  std::invalid_argument with its path when it is not a JSON object
    explicit ModelConfig(const Safetensors& checkpoint, GivenSettings given = {});

    // The value as written, a string without quotation marks; no value when no source has it.
    std::optional<std::string> find(const Setting& setting) const;
    bool has(const Setting& setting) const { return find(setting).has_value(); }

    // The value, converted.   throws std::invalid_argument when it has another type (naming its source), or no source has it
    // (with the three cures)
    int integer(const Setting& setting) const;
    double real(const Setting& setting) const;
    std::string string(const Setting& setting) const;
    std::vector<int> integers(const Setting& setting) const;  // "224", "16,12" or [16, 12]
    std::vector<float> reals(const Setting& setting) const;   // the same, also none: "" or []

    // The same for a setting with a default.
    int integer(const Setting& setting, int otherwise) const;
    double real(const Setting& setting, double otherwise) const;
    std::string string(const Setting& setting, const std::string& otherwise) const;

    // The activation function of this name.   throws std::invalid_argument, naming its source, for an unknown one
    Activation activation(const Setting& setting) const;
    Activation activation(const Setting& setting, const std::string& otherwise) const;

    // true or false.   throws std::invalid_argument for anything else
    bool flag(const Setting& setting) const;

    // Compares a width, depth, ... read from the shapes with the configuration, if that has it: the configuration of another
    // model would silently give a wrong number of heads.   throws std::invalid_argument with both numbers
    void require_agrees(const Setting& setting, int from_shapes) const;

    // The same for what is true or false, such as whether there are biases, which the names of the tensors tell.
    void require_flag_agrees(const Setting& setting, bool from_tensors) const;

    // Compares "tie_word_embeddings" with what the file holds: tied = it has no output matrix but the token embedding.
    //   throws  std::invalid_argument when the configuration says otherwise: one of the two belongs to another model
    void require_tied(bool tied) const;

    // For variants that are not implemented.
    //   throws  std::invalid_argument when the configuration has the key with another value: "position_embedding_type", "absolute"
    void require_only(const std::string& key, const std::string& value) const;

private:
    struct Found {
        std::string value, key, from;  // from: the caller, the metadata, or the path of config.json
    };
    std::string path, config_path;
    GivenSettings given;
    std::map<std::string, std::string> metadata;
    Json config;  // null when there is no config.json

    std::optional<Found> found(const Setting& setting) const;
    Found required(const Setting& setting) const;
    static void require_one_value(const Setting& setting, const std::vector<Found>& all);
    static Activation activation_of(const Setting& setting, const Found& found);
    static int integer_of(const Setting& setting, const Found& found);
    static double real_of(const Setting& setting, const Found& found);
};

// --- a configuration as a whole ---

// A member of a configuration: its setting, where its value is stored, and what determines it. A system lists its members once;
// config_of reads the list and metadata writes it.
struct Member {
    enum class From {
        shapes,  // the tensor shapes: config_of has set it, and the configuration must agree
        file,    // the caller or a file; required
        usual,   // the caller or a file; without either it keeps its value, the default of the published code
    };
    Setting setting;
    std::variant<int*, float*, double*, bool*, Activation*, std::vector<float>*> value;
    From from = From::usual;
};

// Sets all members.
//   throws  std::invalid_argument as ModelConfig does: a value that is missing, of another type, or does not agree
void read_members(const ModelConfig& model_config, const std::vector<Member>& members);

// Metadata for save(), from which config_of restores the configuration: all members that tensor shapes do not determine.
std::map<std::string, std::string> metadata_of(const std::string& model_type, const std::vector<Member>& members);

// A dimension of a tensor, and the number of blocks in a file, under any name that the rules allow:
//   size_of(checkpoint, "word_embeddings.weight", 0, load_rules())
//   count_blocks(checkpoint, "h.", ".input_layernorm.weight", load_rules())
//   first   the number of the first block
//   throws  size_of: std::invalid_argument when the tensor is missing
int size_of(const Safetensors& checkpoint, const std::string& name, std::size_t which, const LoadRules& rules = {});
int count_blocks(const Safetensors& checkpoint, const std::string& prefix, const std::string& block_ending,
                 const LoadRules& rules = {}, int first = 0);

// Checks the number of layers that are not blocks of nn/layers/transformer.h, at the beginning of a forward pass.
//   throws  std::invalid_argument, beginning with `who`, when configuration and weights have different numbers
void require_depth(std::string_view who, int depth, std::size_t held);

// inner / width, such that width * ratio, rounded down, is `inner` again.
double ratio_of(int inner, int width);

// "1e-05": a real number for metadata, with the fewest digits that read back to the same float.
std::string setting_text(float number);
