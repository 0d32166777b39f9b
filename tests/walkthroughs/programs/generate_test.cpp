// Runs the program itself, on checkpoints that are written here as other programs write them.
#include <algorithm>
#include <filesystem>

#include "gpt/bpe.h"
#include "gpt/families/biogpt.h"
#include "gpt/families/bloom.h"
#include "gpt/families/galactica.h"
#include "gpt/families/glm.h"
#include "gpt/families/llama.h"
#include "gpt/families/palm.h"
#include "gpt/unified/gato.h"
#include "gpt/unified/t5.h"
#include "gpt/writing.h"
#include "nn/autograd/small_weights.h"
#include "nn/base/decimal.h"
#include "nn/data/text.h"
#include "tests/command.h"
#include "tests/gpt/published_file.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("generate");

static const std::string program = std::string(BUILT) + "/walk/programs/generate";

// What the program wrote as ids; the whole output where there is no such line.
static std::string new_ids(const CommandResult& result) {
    INFO(result.output);
    CHECK(result.status == 0);
    for (const std::string& line : split_lines(result.output)) {
        const std::size_t at = line.find("new      ");
        if (at != std::string::npos) return line.substr(at + 9);
    }
    return result.output;
}

static std::string listed(const std::vector<int>& ids) {
    std::string line;
    for (const int id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
    return line;
}

TEST_CASE(
    "generate: continues ids with a sharded bfloat16 checkpoint in Llama's layout and its config.json, with and without a cache") {
    if (!std::filesystem::exists(program)) return;  // only the plain build makes programs
    const llama::Config config{.vocabulary = 11, .width = 12, .depth = 2, .heads = 6, .key_value_heads = 3, .mlp_width = 10};
    Random random(1);
    const llama::Weights w = llama::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.5f});
    make_exact_in_half(llama::parameters(w, config));
    const TemporaryFolder folder;
    const std::string index =
        write_published(folder, tensors_of(llama::parameters(w, config)), {.precision = Precision::bfloat16, .shards = 3},
                        R"({"model_type": "llama", "num_attention_heads": 6, "rms_norm_eps": 1e-06, "eos_token_id": null})");
    const std::string expected = listed(generate(make_batch({{3, 1, 4}}), w, config, Limits{.new_tokens = 12})[0]);
    const std::string call = program + " --weights " + index + " --ids '3 1 4' --tokens 12";
    CHECK(new_ids(run_command(call + " --temperature 0")) == expected);
    CHECK(new_ids(run_command(call + " --temperature 0 --no-cache")) == expected);
    CHECK(new_ids(run_command(call + " --beams 1")) == expected);
    CHECK(new_ids(run_command(call + " --beams 3 --no-cache")) ==
          listed(beam_search({3, 1, 4}, 3, w, config, Limits{.new_tokens = 12})[0].ids));
}

// One small model of each family that generates with nn/text/memory.h: visit(weights, config).
template <class Visit>
static void visit_decoders(Random& random, const Visit& visit) {
    const Init init{.draw = Draw::normal, .stddev = 0.5f};
    const llama::Config llama_config{
        .vocabulary = 11, .width = 12, .depth = 2, .heads = 6, .key_value_heads = 3, .mlp_width = 10};
    visit(llama::make_weights(llama_config, random, init), llama_config);
    const bloom::Config bloom_config{.vocabulary = 11, .width = 12, .depth = 2, .heads = 3};
    visit(bloom::make_weights(bloom_config, random, init), bloom_config);
    const palm::Config palm_config{.vocabulary = 11, .width = 10, .depth = 2, .heads = 3, .head_width = 4, .mlp_width = 14};
    visit(palm::make_weights(palm_config, random, init), palm_config);
    const galactica::Config galactica_config{
        .vocabulary = 11, .width = 12, .depth = 2, .heads = 3, .mlp_width = 10, .positions = 9};
    visit(galactica::make_weights(galactica_config, random, init), galactica_config);
    const biogpt::Config biogpt_config{.vocabulary = 11, .width = 12, .depth = 2, .heads = 3, .mlp_width = 10, .positions = 9};
    visit(biogpt::make_weights(biogpt_config, random, init), biogpt_config);
    // 1 is [MASK] and 4 is [sop]
    const glm::Config glm_config{.vocabulary = 11,
                                 .positions = 9,
                                 .width = 12,
                                 .depth = 2,
                                 .heads = 3,
                                 .mlp_width = 10,
                                 .special = {.mask = 1, .start = 4}};
    visit(glm::make_weights(glm_config, random, init, init), glm_config);
}

static const gpt::Config small_gpt{.vocabulary = 11, .positions = 9, .width = 12, .depth = 2, .heads = 3, .mlp_width = 10};
static const t5::Config small_t5{.vocabulary = 11,
                                 .width = 10,
                                 .encoder_depth = 1,
                                 .decoder_depth = 2,
                                 .heads = 2,
                                 .head_width = 3,
                                 .mlp_width = 7,
                                 .buckets = 6,
                                 .max_distance = 9,
                                 .end_token = 10};

TEST_CASE("generate: recognises every family by its model_type, and writes the library's tokens") {
    if (!std::filesystem::exists(program)) return;
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors");
    const std::string call = program + " --weights " + path + " --ids 3,1,4 --tokens 5 --temperature 0";
    const TokenBatch prompt = make_batch({{3, 1, 4}});
    const Limits limits{.new_tokens = 5};
    Random random(1);
    const auto check_family = [&](const auto& w, const auto& config) {
        save(parameters(w, config), path, metadata(config));
        INFO(metadata(config).at("model_type"));
        CHECK(new_ids(run_command(call)) == listed(generate(prompt, w, config, limits)[0]));
        CHECK(new_ids(run_command(call + " --no-cache")) == listed(generate(prompt, w, config, limits)[0]));
    };
    visit_decoders(random, check_family);

    const t5::Weights t5_weights = t5::make_weights(small_t5, random);
    save(t5::parameters(t5_weights, small_t5), path, t5::metadata(small_t5));
    const Limits to_end{.new_tokens = 5, .end_of_text = 10};
    CHECK(new_ids(run_command(call)) == listed(t5::generate(prompt, t5_weights, small_t5, to_end)[0]));
    CHECK(new_ids(run_command(call + " --no-cache")) == listed(t5::generate(prompt, t5_weights, small_t5, to_end)[0]));

    const gpt::Weights gpt_weights = gpt::make_weights(small_gpt, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    save(gpt::parameters(gpt_weights, small_gpt), path, gpt::metadata(small_gpt));
    CHECK(new_ids(run_command(call)) == listed(gpt::generate_greedily({3, 1, 4}, 3, gpt_weights, small_gpt, limits)[0]));
}

// The largest difference of two rows of logits, over the largest logit.
static double relative_difference(const Matrix& a, const Matrix& b) {
    REQUIRE(same_shape(a, b));
    double difference = 0, size = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        difference = std::max(difference, static_cast<double>(std::abs(a[k] - b[k])));
        size = std::max(size, static_cast<double>(std::abs(b[k])));
    }
    return difference / size;
}

TEST_CASE("generate: --format bf16 and int8 write what each family writes with its weights rounded to those numbers") {
    if (!std::filesystem::exists(program)) return;
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors");
    Random random(1);
    // make_reader(capacity): a reader of the model
    const auto check_family = [&](const Parameters& table, const auto& metadata, const std::vector<int>& start,
                                  const auto& make_reader) {
        INFO(metadata.at("model_type"));
        save(table, path, metadata);
        const CommandResult plain = run_command(program + " --weights " + path + " --ids 3,1,4 --tokens 5 --temperature 0");
        CHECK(plain.output.find("Every token reads") == std::string::npos);
        const TokenBatch one = make_batch({{start[0]}});
        for (const std::string name : {"bf16", "int8"}) {
            load(table, Safetensors(path));
            std::vector<Matrix> originals;
            for (const Var& w : variables(table)) originals.push_back(w.value());
            const auto trial = make_reader(static_cast<int>(start.size()) + 2);
            trial->read(make_batch({start}));
            const auto logits_of_next = [&] {
                const auto reader = make_reader(static_cast<int>(start.size()) + 1);
                reader->read(make_batch({start}));
                return reader->read(one);
            };
            Matrix small_logits;
            {
                const SmallWeights small(weight_format(name), [&] { trial->read(one); });
                CHECK(small.numbers > 0);
                small_logits = logits_of_next();
            }
            int changed = 0;
            for (std::size_t k = 0; k < originals.size(); ++k) changed += !identical(originals[k], variables(table)[k].value());
            CHECK(changed > 4);
            CHECK(relative_difference(small_logits, logits_of_next()) < 1e-5);
            const auto reader = make_reader(static_cast<int>(start.size()) + 4);
            const std::string expected = listed(generate_greedily(make_batch({start}), *reader, {.new_tokens = 5})[0]);
            const std::string call = program + " --weights " + path + " --ids 3,1,4 --tokens 5 --temperature 0 --format " + name;
            CHECK(new_ids(run_command(call)) == expected);
            CHECK(new_ids(run_command(call + " --no-cache")) == expected);
        }
    };
    const auto check_decoder = [&]<class Weights, class Config>(const Weights& w, const Config& config) {
        check_family(parameters(w, config), metadata(config), {3, 1, 4},
                     [&](int capacity) { return std::make_unique<MemoryReader<Weights, Config>>(w, config, 1, capacity); });
    };
    visit_decoders(random, check_decoder);
    const gpt::Weights gpt_weights = gpt::make_weights(small_gpt, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    check_family(gpt::parameters(gpt_weights, small_gpt), gpt::metadata(small_gpt), {3, 1, 4},
                 [&](int capacity) { return std::make_unique<gpt::Reader>(gpt_weights, small_gpt, 1, capacity); });
    const t5::Weights t5_weights = t5::make_weights(small_t5, random);
    check_family(t5::parameters(t5_weights, small_t5), t5::metadata(small_t5), {small_t5.start_token}, [&](int capacity) {
        return std::make_unique<t5::Reader>(make_batch({{3, 1, 4}}), t5_weights, small_t5, capacity);
    });
}

TEST_CASE("generate: Gato continues text, and actions after a separator, with and without a cache, and says what they are") {
    if (!std::filesystem::exists(program)) return;
    const gato::Config config{.text_tokens = 6,
                              .continuous_tokens = 8,
                              .discrete_tokens = 5,
                              .width = 12,
                              .depth = 2,
                              .heads = 3,
                              .mlp_width = 10,
                              .patch_size = 2,
                              .residual_channels = 4,
                              .groups = 2,
                              .patch_positions = 6,
                              .observation_positions = 12};
    Random random(3);
    const gato::Weights w = gato::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.5f});
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors");
    save(gato::parameters(w, config), path, gato::metadata(config));
    const std::string weights = program + " --weights " + path;
    const auto call = [&](const std::string& ids) { return weights + " --tokens 5 --temperature 0 --ids '" + ids + "'"; };
    const Limits limits{.new_tokens = 5};

    const gato::Episode of_text{.text = {{3, 1, 4}}};
    const std::string text = listed(gato::generate({of_text}, gato::Next::text, w, config, limits)[0]);
    CHECK(new_ids(run_command(call("3 1 4"))) == text);
    CHECK(new_ids(run_command(call("3 1 4") + " --no-cache")) == text);
    CHECK(new_ids(run_command(weights + " --tokens 5 --ids '3 1 4' --beams 3 --no-cache")) ==
          listed(gato::beam_search(of_text, gato::Next::text, 3, w, config, limits)[0].ids));

    // Two time steps: a text, and value 2, which is token 6 + 8 + 2, as the first action.
    const gato::Episode of_actions{.text = {{3, 1}, {2, 5}}, .discrete_actions = {{2}, {0}}};
    const std::vector<int> actions = gato::generate({of_actions}, gato::Next::action, w, config, limits)[0];
    const CommandResult played = run_command(call("3,1|16;2,5|"));
    CHECK(new_ids(played) == listed(actions));
    CHECK(new_ids(run_command(call("3 1 | 16 ; 2 5 |") + " --no-cache")) == listed(actions));
    CHECK(played.output.find("prompt   3 1 | 16 ; 2 5 |") != std::string::npos);
    CHECK(played.output.find("         value 2\n") != std::string::npos);  // what token 16 of the prompt is
    std::string others;
    for (const int id : actions) {
        if (id < 6) continue;
        const int bin = id - 6;
        others += others.empty() ? "" : ", ";
        others += id >= 14 ? "value " + std::to_string(id - 14)
                           : "bin " + std::to_string(bin) + " (" + fixed_digits(2 * (bin + 0.5) / 8 - 1, 4) + ")";
    }
    REQUIRE(!others.empty());
    CHECK(played.output.find("         " + others) != std::string::npos);

    const auto refusal = [](const std::string& command) { return run_command(command + " 2>&1 >/dev/null").output; };
    CHECK(refusal(call("3 19")).find("--ids: 19 is not one of the tokens 0 ... 18, nor one of the marks |;") !=
          std::string::npos);
    CHECK(refusal(call("3 | 16 |")).find("a second separator in one time step") != std::string::npos);
    save(gato::parameters(w, config), path);
    CHECK(refusal(call("3") + " --family gato").find("missing setting: the number of text tokens") != std::string::npos);
    const std::string options = " --family gato --heads 3 --settings text_tokens=6,continuous_tokens=8,num_group_norm_groups=2";
    CHECK(new_ids(run_command(call("3 1 4") + options)) == text);
}

TEST_CASE("generate: rejects a file of unknown family, heads or tokens, and names the cure") {
    if (!std::filesystem::exists(program)) return;
    const bloom::Config config{.vocabulary = 300, .width = 12, .depth = 1, .heads = 3};
    Random random(1);
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors"), call = program + " --weights " + path + " --ids 3";
    save(bloom::parameters(bloom::make_weights(config, random), config), path);
    const auto refusal = [](const std::string& command) {
        const CommandResult refused = run_command(command + " 2>&1 >/dev/null");
        CHECK(refused.status == 2);
        return refused.output;
    };
    CHECK(refusal(call).find("missing setting: the family of the model") != std::string::npos);
    CHECK(refusal(call).find("or give --family NAME") != std::string::npos);
    CHECK(refusal(call + " --family mamba").find("its family is mamba; this program writes with gpt2, ") != std::string::npos);
    CHECK(refusal(call + " --family bloom").find("missing setting: the number of heads") != std::string::npos);
    CHECK(refusal(call + " --family bloom --heads 3 --ids 300").find("given twice") != std::string::npos);
    CHECK(refusal(program + " --weights " + path + " --ids 300 --family bloom --heads 3")
              .find("300 is not one of the tokens 0 ... 299") != std::string::npos);
    CHECK(refusal(program + " --weights " + path + " --family bloom --heads 3").find("there is no tokenizer.json beside it") !=
          std::string::npos);
    CHECK(refusal(call + " --format f16").find("weight format f16 is unknown; it may be f32, bf16 or int8") != std::string::npos);
    CHECK(refusal(call + " --settings heads").find("--settings: \"heads\" is not KEY=VALUE") != std::string::npos);
    CHECK(run_command(call + " --family bloom --settings n_head=3 --tokens 2").status == 0);
    CHECK(run_command(program + " --weights " + path + " --family bloom --heads 3 --tokens 2 --ids \"1\n2\t3\r\"").status == 0);
    CHECK(refusal(program + " --weights " + path + " --family bloom --heads 3 --ids ' '")
              .find("the prompt has no token; give some in --ids") != std::string::npos);
    CHECK(refusal(call + " --family bloom --settings n_head=3,").find("--settings: \"\" is not KEY=VALUE") != std::string::npos);
    CHECK(refusal(call + " --family bloom --settings n_head=3,n_head=4").find("--settings: n_head is given twice") !=
          std::string::npos);
    CHECK(
        refusal(call + " --family bloom --settings n_head=3 --heads 4").find("n_head is \"3\"; both name the number of heads") !=
        std::string::npos);
    CHECK(refusal(call + " --family bloom --heads 3 --width 5").find("--width means nothing together with --weights") !=
          std::string::npos);
    const std::string unread = refusal(call + " --family bloom --heads 3 --settings n_haed=4");
    CHECK(unread.find("n_haed=4 is given, but a model of family bloom reads no such setting; it reads ") != std::string::npos);
    CHECK(unread.find(", n_head, ") != std::string::npos);
    CHECK(std::count(unread.begin(), unread.end(), '\n') == 1);
    folder.file("config.json", R"({"model_type": "bloom", "n_head": 3, "eos_token_id": [7]})");
    CHECK(run_command(call + " --tokens 2").status == 0);
    folder.file("config.json", R"({"model_type": "bloom", "n_head": 3, "eos_token_id": [7, 8]})");
    CHECK(run_command(call + " --tokens 2").status == 0);
    for (const std::string beyond : {"300", "-1"}) {
        folder.file("config.json", R"({"model_type": "bloom", "n_head": 3, "eos_token_id": )" + beyond + "}");
        CHECK(
            refusal(call + " --tokens 2").find("eos_token_id is " + beyond + ", the model has the tokens 0 ... 299; say with") !=
            std::string::npos);
        CHECK(run_command(call + " --tokens 2 --end 7").status == 0);
    }
    folder.file("config.json", R"({"model_type": "bloom", "n_head": 3, "eos_token_id": 299})");
    CHECK(run_command(call + " --tokens 2").status == 0);
}

TEST_CASE("generate: a text ends at any eos_token_id, of generation_config.json before config.json, unless --end names another") {
    if (!std::filesystem::exists(program)) return;
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors");
    Random random(1);
    const gpt::Weights w = gpt::make_weights(small_gpt, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    const std::vector<int> ids = gpt::generate_greedily({3, 1, 4}, 3, w, small_gpt, {.new_tokens = 6})[0];
    const int second = ids[1];
    REQUIRE(ids[0] != second);
    std::map<std::string, std::string> metadata = gpt::metadata(small_gpt);
    const auto written = [&](const std::string& arguments) {
        save(gpt::parameters(w, small_gpt), path, metadata);
        return new_ids(run_command(program + " --weights " + path + " --ids 3,1,4 --tokens 6 --temperature 0" + arguments));
    };
    const auto until = [&](int count) { return listed({ids.begin(), ids.begin() + count}); };
    int unwritten = 0;
    while (std::find(ids.begin(), ids.end(), unwritten) != ids.end()) ++unwritten;
    const std::string none_first = joined({unwritten, ", ", second});
    CHECK(written("") == until(6));
    folder.file("config.json", "{\"eos_token_id\": [" + none_first + "]}");
    CHECK(written("") == until(2));
    CHECK(written(joined({" --end ", ids[0]})) == until(1));
    folder.file("generation_config.json", R"({"eos_token_id": null})");  // says nothing
    CHECK(written("") == until(2));
    folder.file("generation_config.json", joined({R"({"eos_token_id": )", ids[0], "}"}));
    CHECK(written("") == until(1));
    folder.file("generation_config.json", "{\"eos_token_id\": [" + none_first + "]}");
    folder.file("config.json", joined({R"({"eos_token_id": )", ids[0], "}"}));
    CHECK(written("") == until(2));
    CHECK(written(joined({" --settings eos_token_id=", ids[0]})) == until(1));
    metadata["eos_token_id"] = std::to_string(ids[0]);  // of the file itself
    CHECK(written("") == until(1));
}

TEST_CASE("generate: an option that can have no effect is refused, not ignored") {
    if (!std::filesystem::exists(program)) return;
    const auto refusal = [](const std::string& arguments) {
        const CommandResult refused = run_command("timeout 5 " + program + " " + arguments + " 2>&1 >/dev/null");
        CHECK(refused.status == 2);
        return refused.output;
    };
    for (const std::string drawn : {"--temperature 1", "--top-k 5", "--top-p 0.5", "--probabilities"})
        CHECK(refusal("--beams 2 " + drawn).find(" means nothing together with --beams; leave one of them out") !=
              std::string::npos);
    CHECK(refusal("--weights /none/model.safetensors")
              .ends_with(": /none/model.safetensors: cannot be opened: No such file or directory\n"));
    CHECK(refusal("--alpha 1").find("--alpha means something only together with --beams") != std::string::npos);
    CHECK(refusal("--prompt a --ids 1").find("--prompt means nothing together with --ids") != std::string::npos);
    CHECK(refusal("--weights a --vocab b").find("--vocab means something only together with --merges") != std::string::npos);
    for (const std::string filter : {"--top-k 5", "--top-p 0.5"})
        CHECK(refusal("--temperature 0 " + filter).find("--temperature 0 always takes the likeliest token") != std::string::npos);
}

TEST_CASE("generate: reads and writes text with a tokenizer.json beside the checkpoint") {
    if (!std::filesystem::exists(program)) return;
    const TemporaryFolder folder;
    const bpe::Vocabulary vocabulary = bpe::make_vocabulary({});  // 256 bytes and the end of the text
    std::string names;
    for (int id = 0; id < 256; ++id) {
        const std::string symbol = bpe::symbols_of(vocabulary.tokens[id]);
        const std::string escaped = symbol == "\"" || symbol == "\\" ? "\\" + symbol : symbol;
        names += (id > 0 ? ", \"" : "\"") + escaped + "\": " + std::to_string(id);
    }
    folder.file("tokenizer.json",
                R"({"version": "1.0", "added_tokens": [{"id": 256, "content": "<|endoftext|>", "special": true}],
        "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": false, "byte_fallback": false, "merges": [], "vocab": {)" +
                    names + "}}}");
    const llama::Config config{.vocabulary = 257, .width = 12, .depth = 1, .heads = 2, .key_value_heads = 2, .mlp_width = 10};
    Random random(1);
    const llama::Weights w = llama::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.5f});
    save(llama::parameters(w, config), folder.path("model.safetensors"), llama::metadata(config));
    const std::vector<int> prompt = bpe::encode("Hi", vocabulary);
    const std::string call =
        program + " --weights " + folder.path("model.safetensors") + " --tokens 3 --temperature 0 --probabilities";
    const CommandResult result = run_command(call + " --prompt Hi");
    INFO(result.output);
    CHECK(result.status == 0);
    CHECK(result.output.find("prompt   Hi") != std::string::npos);
    const CommandResult by_ids = run_command(call + " --ids '" + listed(prompt) + "'");
    CHECK(new_ids(by_ids) == listed(generate(make_batch({prompt}), w, config, Limits{.new_tokens = 3, .end_of_text = 256})[0]));
}

TEST_CASE("generate: a model trained on a text is saved, resumed with the same numbers, and prompted") {
    if (!std::filesystem::exists(program)) return;
    const TemporaryFolder folder;
    std::string words;
    for (int i = 0; i < 700; ++i) words += "one two three four five ";
    const std::string text = folder.file("text.txt", words);
    const std::string sizes =
        " --text " + text +
        " --length 16 --width 16 --depth 1 --heads 2 --merges-to-learn 10 --temperature 0 --tokens 4 --prompt one";
    const auto held_out = [](const CommandResult& result) {
        INFO(result.output);
        CHECK(result.status == 0);
        const std::size_t at = result.output.rfind("held-out loss after");
        return at == std::string::npos ? result.output : result.output.substr(at, result.output.find('\n', at) - at);
    };
    const std::string whole = held_out(run_command(program + sizes + " --steps 20"));
    CHECK(held_out(run_command(program + sizes + " --steps 20 --stop-after 8 --save " + folder.path("a"))) != whole);
    CHECK(held_out(run_command(program + sizes + " --steps 20 --resume " + folder.path("a"))) == whole);
    CHECK(run_command(program + sizes + " --steps 8 --resume " + folder.path("a")).status == 0);
    for (const std::string early : {" --steps 7", " --steps 20 --stop-after 7"})
        CHECK(run_command(program + sizes + early + " --resume " + folder.path("a") + " 2>&1 >/dev/null")
                  .output.find("a.safetensors: 8 steps are done there, training is to end after 7; give a larger number") !=
              std::string::npos);
    CHECK(run_command(program + sizes + " --steps 20 --resume " + folder.path("a.safetensors") + " 2>&1 >/dev/null")
              .output.find("give the name that --save was given, without .safetensors") != std::string::npos);
    const CommandResult asked =
        run_command(program + " --weights " + folder.path("a.safetensors") + " --vocab " + folder.path("a-vocab.json") +
                    " --merges " + folder.path("a-merges.txt") + " --prompt one --tokens 4 --temperature 0");
    INFO(asked.output);
    CHECK(asked.status == 0);
    CHECK(asked.output.find("gpt2") != std::string::npos);
}

TEST_SUITE_END();
