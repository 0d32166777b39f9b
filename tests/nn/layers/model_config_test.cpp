#include "nn/layers/model_config.h"

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("model_config");

// A checkpoint of one number.
static Safetensors checkpoint(const TemporaryFolder& folder, const std::map<std::string, std::string>& metadata = {}) {
    const std::string path = folder.path("model.safetensors");
    write_safetensors(path, {{.name = "w", .shape = {1}, .floats = Matrix(1, 1)}}, metadata);
    return Safetensors(path);
}

TEST_CASE("ModelConfig: the caller overrides metadata, metadata overrides config.json, under any name") {
    const TemporaryFolder folder;
    write_file_atomically(folder.path("config.json"),
                          R"({"n_head": 3, "layer_norm_epsilon": 1e-3, "hidden_act": null, "image_size": [16, 12]})");
    CHECK(ModelConfig(checkpoint(folder)).integer(settings::heads) == 3);
    CHECK(ModelConfig(checkpoint(folder, {{"num_attention_heads", "4"}})).integer(settings::heads) == 4);
    const ModelConfig model_config(checkpoint(folder, {{"num_attention_heads", "4"}}), {{"n_head", "5"}});
    CHECK(model_config.integer(settings::heads) == 5);
    CHECK(model_config.real(settings::eps) == 1e-3);
    CHECK(!model_config.has(settings::activation));  // null counts as absent
    CHECK(model_config.string(settings::activation, "gelu") == "gelu");
    CHECK(model_config.integers(settings::image_size) == std::vector<int>{16, 12});
    CHECK(model_config.integer(settings::key_value_heads, 7) == 7);
}

TEST_CASE("ModelConfig: notes every name that is looked up, wherever the value comes from") {
    const TemporaryFolder folder;
    std::set<std::string> asked;
    GivenSettings given{{"rope_theta", "5"}, {"rope_teta", "6"}};
    given.asked = &asked;
    const ModelConfig model_config(checkpoint(folder, {{"rotary_emb_base", "4"}}), given);
    CHECK(asked.empty());
    CHECK(model_config.real(settings::rotary_base) == 5);
    CHECK(asked == std::set<std::string>{"rope_parameters.rope_theta", "rope_theta", "rotary_emb_base"});
    CHECK_FALSE(model_config.has(settings::classes));
    model_config.require_only("mlp_bias", "false");
    CHECK(asked ==
          std::set<std::string>{"mlp_bias", "num_labels", "rope_parameters.rope_theta", "rope_theta", "rotary_emb_base"});
}

TEST_CASE("ModelConfig: a name with a dot is a member of a member, a pair of numbers may be written 16,12") {
    const TemporaryFolder folder;
    write_file_atomically(folder.path("config.json"), R"({"vision_config": {"hidden_size": 24}, "text_config": 3})");
    const ModelConfig model_config(checkpoint(folder, {{"image_size", "16,12"}}));
    CHECK(model_config.integer({"the width", {"vision_config.hidden_size"}}) == 24);
    CHECK(!model_config.has({"the width", {"text_config.hidden_size"}}));
    CHECK(!model_config.has({"the width", {"vision_config"}}) == false);
    CHECK(model_config.integers(settings::image_size) == std::vector<int>{16, 12});
}

TEST_CASE("ModelConfig: a missing setting is refused in one line with the cures, with and without a config.json") {
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors"), config = folder.path("config.json");
    const Safetensors file = checkpoint(folder);
    CHECK(error_of([&] { ModelConfig(file).integer(settings::heads); }) ==
          path +
              ": missing setting: the number of heads, which tensor shapes do not determine; put the config.json that was "
              "published with it into its folder, write \"num_attention_heads\" into its metadata, or give --heads N");
    write_file_atomically(config, "{}");
    CHECK(error_of([&] { ModelConfig(file).real(settings::rotary_base); }) ==
          path + ": missing setting: the base of the rotation, which tensor shapes do not determine; add \"rope_theta\" to " +
              config + ", write \"rope_theta\" into its metadata");
}

TEST_CASE("ModelConfig: a value of the wrong type is named with its source") {
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors"), config = folder.path("config.json");
    write_file_atomically(config, R"({"n_head": "many", "layer_norm_eps": [1], "vocab_size": 2.5})");
    const ModelConfig model_config(checkpoint(folder, {{"num_key_value_heads", "2x"}}), {{"image_size", "big"}});
    CHECK(error_of([&] { model_config.integer(settings::heads); }) ==
          config + ": n_head is \"many\"; the number of heads must be a whole number");
    CHECK(error_of([&] { model_config.real(settings::eps); }) ==
          config + ": layer_norm_eps is \"[1]\"; the eps of the norms must be a number");
    CHECK(error_of([&] { model_config.integer(settings::vocabulary); }) ==
          config + ": vocab_size is \"2.5\"; the size of the vocabulary must be a whole number");
    CHECK(error_of([&] { model_config.integer(settings::key_value_heads); }) ==
          path + ": its metadata: num_key_value_heads is \"2x\"; the number of key and value heads must be a whole number");
    CHECK(error_of([&] { model_config.integers(settings::image_size); }) ==
          "the given settings: image_size is \"big\"; the size of the images must be a whole number");
    for (const char* const half : {"[16,12", "16,12]"})
        CHECK(error_of([&] {
                  ModelConfig(checkpoint(folder), {{"image_size", half}}).integers(settings::image_size);
              }).ends_with("; the size of the images must be a whole number"));
    const auto heads = [&](const std::string& number) {
        return error_of([&] { ModelConfig(checkpoint(folder), {{"n_head", number}}).integer(settings::heads); });
    };
    CHECK(heads("2147483647") == "");
    CHECK(heads("-2147483648") == "");
    CHECK(heads("2147483648").ends_with("n_head is \"2147483648\"; the number of heads must be a whole number"));
    CHECK(heads("-2147483649").ends_with("n_head is \"-2147483649\"; the number of heads must be a whole number"));
    write_file_atomically(config, "[]");
    CHECK(error_of([&] { ModelConfig{checkpoint(folder)}; }) ==
          config + ": the configuration of a model is a JSON object {...}, this is another value");
}

TEST_CASE("require_agrees, require_only: the configuration of another model is refused") {
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors"), config = folder.path("config.json");
    write_file_atomically(config,
                          R"({"hidden_size": 768, "position_embedding_type": "relative_key", "scale_attn_weights": true})");
    const ModelConfig model_config(checkpoint(folder));
    CHECK(error_of([&] { model_config.require_agrees(settings::width, 768); }) == "");
    CHECK(error_of([&] { model_config.require_agrees(settings::depth, 12); }) == "");  // no error
    CHECK(error_of([&] { model_config.require_agrees(settings::width, 64); }) ==
          config + ": hidden_size is 768, but the tensors of " + path +
              " say 64 for the width; this is the configuration of another model");
    const Setting scaled{"whether scores are scaled", {"scale_attn_weights"}};
    CHECK(error_of([&] { model_config.require_flag_agrees(scaled, true); }) == "");
    CHECK(error_of([&] { model_config.require_flag_agrees({"biases", {"bias"}}, false); }) == "");  // says nothing
    CHECK(error_of([&] { model_config.require_flag_agrees(scaled, false); }) ==
          config + ": scale_attn_weights is true, but the tensors of " + path +
              " say false for whether scores are scaled; this is the configuration of another model");
    CHECK(error_of([&] {
              model_config.require_flag_agrees({"the width", {"hidden_size"}}, false);
          }) == config + ": hidden_size is \"768\"; the width must be true or false");
    CHECK(error_of([&] { model_config.require_only("scale_attn_weights", "true"); }) == "");
    CHECK(error_of([&] { model_config.require_only("position_embedding_type", "absolute"); }) ==
          config + ": position_embedding_type is \"relative_key\"; only absolute is implemented here");
}

TEST_CASE("setting_text: the fewest digits that read back to the same float") {
    CHECK(setting_text(1e-5f) == "1e-05");
    CHECK(setting_text(0.1f) == "0.1");
    CHECK(setting_text(10000) == "1e+04");
    CHECK(setting_text(1.0f / 3) == "0.33333334");
    CHECK(setting_text(1.01834985e-05f) == "1.01834985e-05");  // 1.0183498e-05 is its neighbour
}

TEST_CASE("read_members, metadata_of: members of every kind are written and read back") {
    const TemporaryFolder folder;
    int width = 8, heads = 4;
    float eps = 1e-5f;
    double share = 0.1;
    bool tied = true;
    Activation activation = Activation::gelu_tanh;
    std::vector<float> means{0.5f, 0.25f}, none;
    const std::vector<Member> members{{settings::width, &width, Member::From::shapes},
                                      {settings::heads, &heads, Member::From::file},
                                      {settings::eps, &eps},
                                      {{"a share", {"share"}}, &share},
                                      {{"whether it is tied", {"tied"}}, &tied},
                                      {settings::activation, &activation},
                                      {{"means", {"means"}}, &means},
                                      {{"no numbers", {"none"}}, &none}};
    const std::map<std::string, std::string> written = metadata_of("toy", members);
    CHECK(written == std::map<std::string, std::string>{{"format", "pt"},
                                                        {"model_type", "toy"},
                                                        {"num_attention_heads", "4"},
                                                        {"layer_norm_eps", "1e-05"},
                                                        {"share", "0.10000000000000001"},
                                                        {"tied", "true"},
                                                        {"hidden_act", "gelu_new"},
                                                        {"means", "0.5,0.25"},
                                                        {"none", ""}});
    heads = 0, eps = 0, share = 0, tied = false, activation = Activation::relu, means = {}, none = {1};
    read_members(ModelConfig(checkpoint(folder, written)), members);
    CHECK(metadata_of("toy", members) == written);
    CHECK(share == 0.1);
    CHECK(means == std::vector<float>{0.5f, 0.25f});
    CHECK(none.empty());
    // Defaults of published code stay; a setting that only a file can give is required; shapes and file must agree.
    tied = false;
    read_members(ModelConfig(checkpoint(folder), {{"n_head", "2"}}), members);
    CHECK(heads == 2);
    CHECK(!tied);
    CHECK(error_of([&] {
              read_members(ModelConfig(checkpoint(folder)), members);
          }).find(": missing setting: the number of heads") != std::string::npos);
    CHECK(error_of([&] {
              read_members(ModelConfig(checkpoint(folder), {{"hidden_size", "9"}}), members);
          }).find("hidden_size is 9") != std::string::npos);
    CHECK(error_of([&] {
              read_members(ModelConfig(checkpoint(folder), {{"n_head", "2"}, {"tied", "yes"}}), members);
          }) == "the given settings: tied is \"yes\"; whether it is tied must be true or false");
}

TEST_CASE("reals: numbers with or without brackets, also none; a missing number is refused") {
    const TemporaryFolder folder;
    const Setting means{"the mean of each channel", {"image_mean"}};
    const auto reals = [&](const std::string& text) {
        return ModelConfig(checkpoint(folder), {{"image_mean", text}}).reals(means);
    };
    for (const char* const text : {"0.5,1e-3,-2", "[0.5, 1e-3, -2]"}) CHECK(reals(text) == std::vector<float>{0.5f, 1e-3f, -2});
    CHECK(reals("0") == std::vector<float>{0});
    CHECK(reals("").empty());
    CHECK(reals("[]").empty());
    const std::string rule = "; the mean of each channel must be a number";
    CHECK(error_of([&] { reals("0.5,"); }) == "the given settings: image_mean is \"\"" + rule);
    CHECK(error_of([&] { reals("[0.5, half]"); }) == "the given settings: image_mean is \"half\"" + rule);
    CHECK(error_of([&] { ModelConfig(checkpoint(folder)).reals(means); }).find(": missing setting: the mean of each channel") !=
          std::string::npos);
}

TEST_CASE("size_of, count_blocks, ratio_of: a tensor is found under any name that the rules allow; a ratio restores the width") {
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors");
    write_safetensors(path, {{.name = "transformer.h.0.w", .shape = {2, 3}, .floats = Matrix(2, 3)},
                             {.name = "transformer.h.1.w", .shape = {2, 3}, .floats = Matrix(2, 3)}});
    const Safetensors file(path);
    const LoadRules rules{.optional_prefixes = {"transformer."}};
    CHECK(size_of(file, "h.0.w", 1, rules) == 3);
    CHECK(count_blocks(file, "h.", ".w", rules) == 2);
    CHECK(count_blocks(file, "h.", ".w") == 0);
    CHECK(count_blocks(file, "h.", ".w", rules, 1) == 1);  // counted from 1, there is one
    CHECK(count_blocks(file, "h.", ".w", rules, 2) == 0);
    CHECK(error_of([&] { size_of(file, "h.2.w", 0, rules); }).find("h.2.w") != std::string::npos);
    for (int width = 1; width < 60; ++width)
        for (int inner = 1; inner < 200; ++inner) CHECK(static_cast<int>(width * ratio_of(inner, width)) == inner);
}

TEST_CASE("read_members: a number that no float can hold is refused, instead of becoming 0 or infinity") {
    const TemporaryFolder folder;
    const std::string path = folder.path("a.safetensors");
    write_safetensors(path, {{.name = "a", .shape = {1}, .floats = Matrix(1, 1)}});
    float eps = 0;
    const std::vector<Member> members{{.setting = settings::eps, .value = &eps}};
    const auto refusal = [&](const std::string& words) {
        return error_of([&] { read_members(ModelConfig(Safetensors(path), {{settings::eps.keys[0], words}}), members); });
    };
    CHECK(refusal("1e-12") == "");
    CHECK(eps == 1e-12f);
    CHECK(refusal("0") == "");
    CHECK(refusal("1e-300").ends_with(" is \"1e-300\"; " + settings::eps.what + " must be a number that a float can hold"));
    CHECK(refusal("1e300").ends_with(" is \"1e300\"; " + settings::eps.what + " must be a number that a float can hold"));
}

TEST_CASE("ratio_of, integer: sizes without a ratio, and a setting without a key, are refused") {
    CHECK(ratio_of(0, 1) == 0);
    CHECK(error_of([] { ratio_of(5, 0); }) == "ratio_of: an inner width of 5 and a width of 0, which must be at least 0 and 1");
    CHECK(error_of([] { ratio_of(-5, 3); }).starts_with("ratio_of: an inner width of -5 and a width of 3,"));
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{"w", {1}, Matrix(1, 1)}});
    const ModelConfig model_config{Safetensors(folder.path("f"))};
    CHECK(error_of([&] { model_config.integer({.what = "the number of heads", .keys = {}}); }) ==
          folder.path("f") + ": a setting \"the number of heads\" without a key, under which files would store it");
}

TEST_CASE("read_members, metadata_of: a member without a variable is refused") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{"w", {1}, Matrix(1, 1)}});
    const ModelConfig model_config{Safetensors(folder.path("f"))};
    const std::vector<Member> members{
        {.setting = {.what = "the number of heads", .keys = {"heads"}}, .value = static_cast<int*>(nullptr)}};
    const std::string rule = ": the number of heads has no variable that holds it; give its address";
    CHECK(error_of([&] { read_members(model_config, members); }) == "read_members" + rule);
    CHECK(error_of([&] { metadata_of("vit", members); }) == "metadata_of" + rule);
}

TEST_SUITE_END();

TEST_CASE("ModelConfig: a source that names a setting twice must give it one value; a source before it decides alone") {
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors"), config = folder.path("config.json");
    write_file_atomically(
        config,
        R"({"n_head": 3, "num_attention_heads": 4, "layer_norm_eps": 1e-5, "rms_norm_eps": 0.00001, "afn": "gelu", "act": "gelu"})");
    const ModelConfig model_config(checkpoint(folder));
    CHECK(error_of([&] { model_config.integer(settings::heads); }) ==
          config +
              ": num_attention_heads is \"4\", but n_head is \"3\"; both name the number of heads, remove the one that is wrong");
    CHECK(model_config.real(settings::eps) == 1e-5);  // one number, written in two ways
    CHECK(model_config.string(settings::activation) == "gelu");
    CHECK(ModelConfig(checkpoint(folder, {{"n_head", "6"}})).integer(settings::heads) == 6);
    CHECK(
        error_of([&] {
            ModelConfig(checkpoint(folder, {{"n_head", "6"}, {"num_heads", "2"}})).integer(settings::heads);
        }) ==
        path +
            ": its metadata: n_head is \"6\", but num_heads is \"2\"; both name the number of heads, remove the one that is wrong");
    CHECK(ModelConfig(checkpoint(folder), {{"n_head", "5"}}).integer(settings::heads) == 5);
    CHECK(error_of([&] {
              ModelConfig(checkpoint(folder), {{"n_head", "5"}, {"num_heads", "2"}}).integer(settings::heads);
          }).starts_with("the given settings: n_head is \"5\", but num_heads is \"2\""));
}

TEST_CASE(
    "ModelConfig: the base of the rotation is also read from rope_parameters, where later versions of the library write it") {
    const TemporaryFolder folder;
    write_file_atomically(folder.path("config.json"), R"({"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}})");
    CHECK(ModelConfig(checkpoint(folder)).real(settings::rotary_base) == 500000);
}

TEST_CASE("ModelConfig::activation: by its published name; an unknown one is refused with its source") {
    const TemporaryFolder folder;
    const std::string config = folder.path("config.json");
    write_file_atomically(config, R"({"hidden_act": "silu"})");
    CHECK(ModelConfig(checkpoint(folder)).activation(settings::activation) == Activation::silu);
    CHECK(ModelConfig(checkpoint(folder)).activation(settings::activation, "relu") == Activation::silu);
    CHECK(ModelConfig(checkpoint(folder)).activation({"another one", {"gate_act"}}, "relu") == Activation::relu);
    write_file_atomically(config, R"({"hidden_act": "mish"})");
    const std::string error = error_of([&] { ModelConfig(checkpoint(folder)).activation(settings::activation); });
    CHECK(error.starts_with(config + ": hidden_act, the activation function: activation_of_name: 'mish' is not one of gelu"));
    CHECK(error == error_of([&] { ModelConfig(checkpoint(folder)).activation(settings::activation, "relu"); }));
}

TEST_CASE("require_tied: tie_word_embeddings must say what the file holds") {
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors"), config = folder.path("config.json");
    const auto error = [&](const std::string& value, bool tied) {
        write_file_atomically(config, R"({"tie_word_embeddings": )" + value + "}");
        return error_of([&] { ModelConfig(checkpoint(folder)).require_tied(tied); });
    };
    for (const std::string yes : {"true", R"("True")"}) CHECK(error(yes, true).empty());
    for (const std::string no : {"false", R"("False")"}) CHECK(error(no, false).empty());
    for (const bool tied : {true, false}) CHECK(error("null", tied).empty());
    const std::string cure = "; this is the configuration of another model, or a tensor is missing or out of date";
    CHECK(error("false", true) ==
          config + ": tie_word_embeddings is false, but " + path + " holds no output matrix besides the token embedding" + cure);
    CHECK(error("true", false) ==
          config + ": tie_word_embeddings is true, but " + path + " holds an output matrix unlike the token embedding" + cure);
    CHECK(error("2", true) == config + ": tie_word_embeddings is \"2\"; it must be true or false");
}
