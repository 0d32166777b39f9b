// model_config.h: what the shapes of a checkpoint do not tell about its model: the number of heads, eps, the activation, ...
//
//   shows    that nothing about a model needs to be guessed: whoever published it wrote it down
//   source   in this order: what the caller says (an option of a program); the metadata of the file, where what is saved here
//            keeps it; "config.json" in the same folder, as published models come with it
//   keys     Published configurations call the same thing by different names (num_attention_heads, n_head, ...). A Setting lists
//            them all, and the same lists serve every model. A key inside another object is written with a dot:
//            "vision_config.hidden_size". A value of null is no value.
//   use      const ModelConfig told(checkpoint, {{"num_attention_heads", "4"}});
//            config.heads = told.integer(settings::heads);
//            config.eps = told.real(settings::eps, 1e-5);  // published code takes 1e-5 where a configuration has no such key
//            told.require_agrees(settings::width, config.width);
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nn/data/json.h"
#include "nn/data/parameters.h"
#include "nn/data/safetensors.h"
#include "nn/layers/activation.h"

// What a caller says about a model, as metadata are written: {"num_attention_heads", "4"}. It counts more than any file.
using Told = std::map<std::string, std::string>;

struct Setting {
    std::string what;               // for messages: "the number of heads"
    std::vector<std::string> keys;  // in published configurations; the first is the one that is written here
    std::string option = {};        // of the programs that take it: "--heads N"; "" = none
};

namespace settings {
extern const Setting heads, key_value_heads, eps, activation, rotary_base;                           // not told by shapes
extern const Setting width, depth, mlp_width, vocabulary, positions, image_size, patch_size, classes;  // told by most of them
}  // namespace settings

class ModelConfig {
public:
    // Reads config.json beside the checkpoint where there is one.
    //   throws  std::invalid_argument with its path when it is not a JSON object
    explicit ModelConfig(const Safetensors& checkpoint, Told told = {});

    // The value as it is written, a string without its quotation marks; nothing when it is told nowhere.
    std::optional<std::string> find(const Setting& setting) const;
    bool has(const Setting& setting) const { return find(setting).has_value(); }

    // The value as what it must be.   throws std::invalid_argument in one line that says where the value comes from and what it is
    // instead; or, when it is told nowhere, what is missing and the three cures
    int integer(const Setting& setting) const;
    double real(const Setting& setting) const;
    std::string words(const Setting& setting) const;
    std::vector<int> integers(const Setting& setting) const;  // "224", "16,12" or [16, 12]

    // The same for a setting that published code itself fills in where a configuration does not have it.
    int integer(const Setting& setting, int otherwise) const;
    double real(const Setting& setting, double otherwise) const;
    std::string words(const Setting& setting, const std::string& otherwise) const;

    // true or false.   throws std::invalid_argument for anything else
    bool flag(const Setting& setting) const;

    // The widths, depths, ... that the shapes told, against what the configuration says, if it says anything: one that belongs to
    // another model would give wrong heads without a word.   throws std::invalid_argument with both numbers
    void require_agrees(const Setting& setting, int from_shapes) const;

    // For what other members of the family do and the model here does not.
    //   throws  std::invalid_argument when the configuration has the key with another value: "position_embedding_type", "absolute"
    void require_only(const std::string& key, const std::string& value) const;

private:
    struct Found {
        std::string value, key, from;  // from: the caller, the metadata, or the path of config.json
    };
    std::string path, config_path;
    Told told;
    std::map<std::string, std::string> metadata;
    Json config;  // null when there is no config.json

    std::optional<Found> found(const Setting& setting) const;
    Found required(const Setting& setting) const;
    static int integer_of(const Setting& setting, const Found& found);
    static double real_of(const Setting& setting, const Found& found);
};

// --- a configuration as a whole ---

// A member of a configuration: how published configurations call it, where it lies here, and what tells it. A system lists its
// members once; config_of reads the list and metadata writes it.
struct Member {
    enum class From {
        shapes,  // the tensors: config_of has set it, and what a file says must agree
        file,    // the caller or a file, and nothing else
        usual,   // the same; where neither says anything it stays as it is: what published code takes then
    };
    Setting setting;
    std::variant<int*, float*, double*, bool*, Activation*> value;
    From from = From::usual;
};

// Sets all members.
//   throws  std::invalid_argument in one line as ModelConfig does: what is missing, of the wrong kind, or does not agree
void read_members(const ModelConfig& further, const std::vector<Member>& members);

// What save() writes beside the tensors, so that the file alone gives the configuration back: members that shapes do not tell.
std::map<std::string, std::string> metadata_of(const std::string& model_type, const std::vector<Member>& members);

// A dimension of a tensor, and how many blocks a file holds, under any name that the rules allow:
//   size_of(checkpoint, "word_embeddings.weight", 0, load_rules())
//   count_blocks(checkpoint, "h.", ".input_layernorm.weight", load_rules())
//   throws  size_of: std::invalid_argument when the tensor is not there
int size_of(const Safetensors& checkpoint, const std::string& name, std::size_t which, const LoadRules& rules = {});
int count_blocks(const Safetensors& checkpoint, const std::string& prefix, const std::string& block_ending,
                 const LoadRules& rules = {});

// For the door of a forward pass of layers that are no blocks of nn/layers/transformer.h.
//   throws  std::invalid_argument, beginning with `who`, when the weights do not hold as many as the configuration says
void require_depth(std::string_view who, int depth, std::size_t held);

// inner / width, such that width * ratio, rounded down, is `inner` again.
double ratio_of(int inner, int width);

// "1e-05": a real number for metadata, with as few digits as read back to the same float.
std::string setting_text(float number);
