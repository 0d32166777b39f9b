// generate.cpp: continues a text, with a published checkpoint of any decoder of this project or with a GPT that it trains first.
//
//   use      generate --weights model.safetensors --prompt "The next word is"      words, with the tokenizer.json beside it
//            generate --weights model.safetensors.index.json --ids "1 15 27"       ids of any vocabulary
//            generate --weights gato.safetensors --ids "1 15 | 40 ; 2 16 |"        a generalist: observation | actions ; and again
//            generate --text book.txt --save book                                  trains, writes book.safetensors and its tokens
//            generate --weights model.safetensors --format int8 ...                faster, with weights of 9 bits instead of 32
//   note     Nothing about a checkpoint is guessed: its family is the model_type of its metadata or of config.json beside it, or
//            --family; settings that no file holds go into --settings
//   next     gpt/families: what each family decided
#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

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
#include "nn/base/clock.h"
#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "nn/training/state.h"
#include "walkthroughs/lesson/corpus.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/tokens.h"

struct Choices {
    // the model
    std::string weights, family, settings;
    ModelOptions shape;  // heads, eps, activation
    // the prompt, and the tokens that it is made of
    std::string prompt, ids, tokenizer, vocab, merges;
    // how to continue
    int tokens = 40, top_k = 0, beams = 0, end = -1, repetitions = 0;
    double temperature = 0.8, top_p = 1, alpha = 0;
    bool probabilities = false, no_cache = false;
    std::string format = "f32";  // of the weights that every token reads
    // training
    std::string text, save, resume;
    int steps = 400, stop_after = 0, batch = 8, length = 64, width = 96, depth = 2, merges_to_learn = 400;
    int seed = 1;
};

// --- a model, whatever its family ---

namespace {
struct Model {
    std::string family;
    int vocabulary = 0, width = 0;
    std::vector<int> ends;  // the tokens that end a text, where the configuration says so
    long numbers = 0;

    virtual ~Model() = default;
    // Ids below it are text, for which there may be a tokenizer.
    virtual int text_tokens() const { return vocabulary; }
    // Characters that may separate ids in --ids, the first for -1, the second for -2.
    virtual std::string marks() const { return ""; }
    // The meaning of a token that is not text.
    virtual std::string meaning(int) const { return ""; }
    // The first input of the decoder: the prompt, or the start token if an encoder reads the prompt.
    virtual std::vector<int> start(const std::vector<int>& prompt) const { return prompt; }
    // Reads `sequences` texts of up to `capacity` tokens each.
    virtual std::unique_ptr<TokenReader> reader(const std::vector<int>& prompt, int sequences, int capacity) const = 0;
};

// Every family that generates with nn/text/memory.h.
template <class Weights, class Config>
struct Decoder : Model {
    Weights weights;
    Config config;

    Decoder(const Weights& w, const Config& c) : weights(w), config(c) {}
    std::unique_ptr<TokenReader> reader(const std::vector<int>&, int sequences, int capacity) const override {
        return std::make_unique<MemoryReader<Weights, Config>>(weights, config, sequences, capacity);
    }
};

struct Gpt : Model {
    gpt::Weights weights;
    gpt::Config config;

    Gpt(const gpt::Weights& w, const gpt::Config& c) : weights(w), config(c) {}
    std::unique_ptr<TokenReader> reader(const std::vector<int>&, int sequences, int capacity) const override {
        return std::make_unique<gpt::Reader>(weights, config, sequences, capacity);
    }
};

struct T5 : Model {
    t5::Weights weights;
    t5::Config config;

    T5(const t5::Weights& w, const t5::Config& c) : weights(w), config(c) {}
    std::vector<int> start(const std::vector<int>&) const override { return {config.start_token}; }
    std::unique_ptr<TokenReader> reader(const std::vector<int>& prompt, int sequences, int capacity) const override {
        const TokenBatch source = make_batch(std::vector<std::vector<int>>(sequences, prompt));
        return std::make_unique<t5::Reader>(source, weights, config, capacity);
    }
};

// Gato, whose prompt has marks between ids.
struct Gato : Model {
    gato::Weights weights;
    gato::Config config;

    Gato(const gato::Weights& w, const gato::Config& c) : weights(w), config(c) {}
    int text_tokens() const override { return config.text_tokens; }
    std::string marks() const override { return "|;"; }  // gato::separator_mark, gato::step_mark
    std::string meaning(int id) const override {
        if (id >= config.first_discrete()) return "value " + text(id - config.first_discrete());
        return "bin " + text(id - config.first_continuous()) + " (" + fixed(gato::action_of_token(id, config)) + ")";
    }
    std::vector<int> start(const std::vector<int>& prompt) const override {
        std::vector<int> ids;  // a separator has none: 0
        for (const gato::Token& token : gato::tokens_of_ids(prompt, config)) ids.push_back(token.id);
        return ids;
    }
    std::unique_ptr<TokenReader> reader(const std::vector<int>& prompt, int sequences, int capacity) const override {
        const std::vector<std::vector<gato::Token>> streams(sequences, gato::tokens_of_ids(prompt, config));
        return std::make_unique<gato::Reader>(streams, weights, config, capacity);
    }
};

// Any model without its cache: everything is read again for each new token.
struct RereadingReader : TokenReader {
    const Model& model;
    const std::vector<int>& prompt;
    TokenBatch seen;

    RereadingReader(const Model& model, const std::vector<int>& prompt) : model(model), prompt(prompt) {}
    Matrix read(const TokenBatch& next) override {
        append(seen, next);
        return model.reader(prompt, seen.sequences, seen.length)->read(seen);
    }
    void select(const std::vector<int>& chosen) override { seen = select_sequences(seen, chosen); }
};
}  // namespace

// --- loading ---

// "a=1,b=2", and the options for single settings.
static GivenSettings given_settings(const Choices& choices) {
    GivenSettings given = choices.shape.settings();
    if (!choices.family.empty()) given["model_type"] = choices.family;
    if (choices.settings.empty()) return given;
    std::set<std::string> keys;
    for (const std::string& entry : split(choices.settings, ',')) {
        const std::size_t equals = entry.find('=');
        require(equals != std::string::npos && equals > 0, "--settings: ", brief_string(entry),
                " is not KEY=VALUE; several are separated by commas");
        const std::string key = entry.substr(0, equals);
        require(keys.insert(key).second, "--settings: ", key, " is given twice");
        given[key] = entry.substr(equals + 1);
    }
    return given;
}

template <class Config>
static int vocabulary_of(const Config& config) {
    return config.vocabulary;
}
static int vocabulary_of(const gato::Config& config) { return config.vocabulary(); }

// Fills the weights and names what every family has.
template <class Loaded, class Weights, class Config>
static std::unique_ptr<Model> loaded(const Safetensors& file, const Weights& w, const Config& config, const Parameters& table,
                                     LoadRules rules) {
    rules.ignored_prefixes.push_back("training.");  // a file that --save wrote holds the state of training, too
    load(table, file, rules);
    std::unique_ptr<Model> model = std::make_unique<Loaded>(w, config);
    model->numbers = count_numbers(table);
    model->vocabulary = vocabulary_of(config);
    model->width = config.width;
    return model;
}

static const Init zeros{.stddev = 0};  // to be loaded into

static std::unique_ptr<Model> load_gpt(const Safetensors& file, const GivenSettings& given) {
    const gpt::Config config = gpt::config_of(file, given);
    const gpt::Weights w = gpt::empty_weights(config);
    return loaded<Gpt>(file, w, config, gpt::parameters(w, config), gpt::load_rules(config));
}

static std::unique_ptr<Model> load_llama(const Safetensors& file, const GivenSettings& given) {
    Random not_used;
    const llama::Config config = llama::config_of(file, given);
    const llama::Weights w = llama::make_weights(config, not_used, zeros);
    const Parameters table = llama::parameters_in(file, w, config);
    return loaded<Decoder<llama::Weights, llama::Config>>(file, w, config, table, llama::load_rules(config));
}

static std::unique_ptr<Model> load_bloom(const Safetensors& file, const GivenSettings& given) {
    Random not_used;
    const bloom::Config config = bloom::config_of(file, given);
    const bloom::Weights w = bloom::make_weights(config, not_used, zeros);
    return loaded<Decoder<bloom::Weights, bloom::Config>>(file, w, config, bloom::parameters(w, config), bloom::load_rules());
}

static std::unique_ptr<Model> load_palm(const Safetensors& file, const GivenSettings&) {
    Random not_used;
    const palm::Config config = palm::config_of(file);
    const palm::Weights w = palm::make_weights(config, not_used, zeros);
    return loaded<Decoder<palm::Weights, palm::Config>>(file, w, config, palm::parameters(w, config), {});
}

static std::unique_ptr<Model> load_glm(const Safetensors& file, const GivenSettings& given) {
    Random not_used;
    const glm::Config config = glm::config_of(file, given);
    const glm::Weights w = glm::make_weights(config, not_used, zeros, zeros);
    auto model = loaded<Decoder<glm::Weights, glm::Config>>(file, w, config, glm::parameters(w, config), glm::load_rules());
    if (config.special.end >= 0) model->ends = {config.special.end};
    return model;
}

static std::unique_ptr<Model> load_galactica(const Safetensors& file, const GivenSettings& given) {
    Random not_used;
    const galactica::Config config = galactica::config_of(file, given);
    const galactica::Weights w = galactica::make_weights(config, not_used, zeros);
    const Parameters table = galactica::parameters(w, config);
    return loaded<Decoder<galactica::Weights, galactica::Config>>(file, w, config, table, galactica::load_rules());
}

static std::unique_ptr<Model> load_biogpt(const Safetensors& file, const GivenSettings& given) {
    Random not_used;
    const biogpt::Config config = biogpt::config_of(file, given);
    const biogpt::Weights w = biogpt::make_weights(config, not_used, zeros);
    const Parameters table = biogpt::parameters(w, config);
    return loaded<Decoder<biogpt::Weights, biogpt::Config>>(file, w, config, table, biogpt::load_rules());
}

static std::unique_ptr<Model> load_t5(const Safetensors& file, const GivenSettings& given) {
    const t5::Config config = t5::config_of(file, given);
    const t5::Weights w = t5::empty_weights(config);
    auto model = loaded<T5>(file, w, config, t5::parameters(w, config), t5::load_rules(config));
    model->ends = {config.end_token};
    return model;
}

static std::unique_ptr<Model> load_gato(const Safetensors& file, const GivenSettings& given) {
    Random not_used;
    const gato::Config config = gato::config_of(file, given);
    const gato::Weights w = gato::make_weights(config, not_used, zeros);
    return loaded<Gato>(file, w, config, gato::parameters(w, config), {});
}

namespace {
struct Family {
    std::string model_type;  // as configurations call it
    std::unique_ptr<Model> (*load)(const Safetensors&, const GivenSettings&);
};
}  // namespace

static const std::vector<Family> families{
    {"gpt2", load_gpt}, {"openai-gpt", load_gpt}, {"llama", load_llama},   {"bloom", load_bloom},         {"palm", load_palm},
    {"glm", load_glm},  {"glm130b", load_glm},    {"opt", load_galactica}, {"galactica", load_galactica}, {"biogpt", load_biogpt},
    {"t5", load_t5},    {"mt5", load_t5},         {"gato", load_gato}};

// A mistyped key would otherwise leave the value of a file, or the default, in force.
static void require_all_asked(const GivenSettings& given, const std::string& family) {
    std::string known;
    for (const std::string& key : *given.asked) known += (known.empty() ? "" : ", ") + key;
    for (const auto& [key, value] : given)
        require(given.asked->count(key) > 0, "--settings, or an option: ", key, "=", value, " is given, but a model of family ",
                family, " reads no such setting; it reads ", known);
}

// eos_token_id of generation_config.json beside the checkpoint, by which published code generates; none where it says nothing.
static std::vector<int> ends_of_generation(const std::string& path) {
    if (!is_file(path)) return {};
    const Json said = read_json(path);
    return with_source(path, [&] {
        const Json* const ends = said.find_unless_null("eos_token_id");
        std::vector<int> ids;
        if (ends == nullptr) return ids;
        if (ends->kind == Json::Kind::number) return std::vector<int>{ends->as_int()};
        for (const Json& id : ends->as_array()) ids.push_back(id.as_int());
        return ids;
    });
}

// The tokens at which a text ends: those of --settings or of the metadata, else of generation_config.json, else of config.json.
// None when nothing says it, or --end does.
static std::vector<int> ends_of_text(const Safetensors& file, const GivenSettings& given, const Choices& choices,
                                     int vocabulary) {
    if (choices.end >= 0) return {};
    const Setting end{"the end of a text", {"eos_token_id"}};
    const ModelConfig config(file, given);
    const bool said_here = given.count("eos_token_id") > 0 || file.metadata.count("eos_token_id") > 0;
    std::vector<int> ids;
    if (!said_here) ids = ends_of_generation(folder_prefix(choices.weights) + "generation_config.json");
    if (ids.empty() && config.find(end)) ids = config.integers(end);  // 7, or [7, 8]
    for (const int id : ids)
        require(id >= 0 && id < vocabulary, choices.weights, ": eos_token_id is ", id, ", the model has the tokens 0 ... ",
                vocabulary - 1, "; say with --end N at which of them a text ends");
    return ids;
}

static std::unique_ptr<Model> load_model(const Safetensors& file, const Choices& choices) {
    std::set<std::string> asked;
    GivenSettings given = given_settings(choices);
    given.asked = &asked;
    const ModelConfig config(file, given);
    const std::string name = config.string({"the family of the model", {"model_type"}, "--family NAME"});
    std::string known;
    for (const Family& family : families) {
        known += (known.empty() ? "" : ", ") + family.model_type;
        if (family.model_type != name) continue;
        std::unique_ptr<Model> model = family.load(file, given);
        model->family = name;
        if (const std::vector<int> ends = ends_of_text(file, given, choices, model->vocabulary); !ends.empty())
            model->ends = ends;
        require_all_asked(given, name);
        return model;
    }
    fail({choices.weights, ": its family is ", name, "; this program writes with ", known});
}

// --- words and ids ---

// The tokens of the checkpoint: the files that were named, else those beside it. No tokens at all when only ids are given.
static bpe::Vocabulary find_vocabulary(const Choices& choices) {
    if (!choices.tokenizer.empty()) return bpe::load_tokenizer(choices.tokenizer);
    if (!choices.vocab.empty()) return bpe::load_vocabulary(choices.vocab, choices.merges);
    if (!choices.merges.empty()) return bpe::load_merges(choices.merges);
    if (!choices.ids.empty()) return {};
    const std::string folder = folder_prefix(choices.weights);
    if (is_file(folder + "tokenizer.json")) return bpe::load_tokenizer(folder + "tokenizer.json");
    require(
        is_file(folder + "vocab.json") && is_file(folder + "merges.txt"), choices.weights,
        ": there is no tokenizer.json beside it, and no vocab.json with merges.txt; name one with --tokenizer, or give --ids");
    return bpe::load_vocabulary(folder + "vocab.json", folder + "merges.txt");
}

// "1 15 27", "1,15,27", or a column; a mark of the family becomes -1 or -2.
static std::vector<int> ids_of(const std::string& words, int vocabulary, const std::string& marks = "") {
    std::string spaced;
    for (const char c : words) {
        if (marks.find(c) != std::string::npos)
            spaced += std::string(" ") + c + " ";
        else
            spaced += c == ',' || c == '\t' || c == '\n' || c == '\r' ? ' ' : c;
    }
    std::vector<int> ids;
    for (const std::string& word : split(spaced, ' ')) {
        if (word.empty()) continue;
        const std::size_t mark = marks.find(word);
        const std::optional<long> id = mark == std::string::npos ? whole_number(word) : std::nullopt;
        require(mark != std::string::npos || (id && *id >= 0 && *id < vocabulary), "--ids: ", word,
                " is not one of the tokens 0 ... ", vocabulary - 1, marks.empty() ? "" : ", nor one of the marks ", marks);
        ids.push_back(mark == std::string::npos ? static_cast<int>(*id) : -1 - static_cast<int>(mark));
    }
    return ids;
}

static std::string listed(const std::vector<int>& ids, const std::string& marks) {
    std::string line;
    for (const int id : ids) line += (line.empty() ? "" : " ") + (id < 0 ? std::string(1, marks[-1 - id]) : text(id));
    return line;
}

// --- writing ---

static std::string token_text(int id, const Model& model, const bpe::Vocabulary& vocabulary) {
    if (id >= model.text_tokens()) return model.meaning(id);
    return id < vocabulary.size() ? shown_token(vocabulary.tokens[id]) : "<" + text(id) + ">";
}

// Ids, and their text if the tokenizer is known; then the meaning of tokens that are not text. A model may have more rows than
// its
// tokenizer has tokens.
static void show_text(Lesson& lesson, const std::string& name, const std::vector<int>& ids, const Model& model,
                      const bpe::Vocabulary& vocabulary) {
    std::vector<int> known;
    std::string others;
    for (const int id : ids) {
        if (id >= 0 && id < vocabulary.size()) known.push_back(id);
        if (id >= model.text_tokens()) others += (others.empty() ? "" : ", ") + model.meaning(id);
    }
    if (vocabulary.size() == 0)
        lesson.lines({name + listed(ids, model.marks())});
    else
        lesson.say(name, shown_text(bpe::decode(known, vocabulary)));
    if (!others.empty()) lesson.say("         ", others);
}

// Rounds the weights that every token reads. A trial finds them: after the prompt (and the encoder's text) has been read, one more
// token is multiplied by exactly these.
static std::unique_ptr<SmallWeights> rounded_weights(const Model& model, const std::vector<int>& prompt, WeightFormat format) {
    if (format == WeightFormat::float32) return nullptr;
    const std::vector<int> start = model.start(prompt);
    const std::unique_ptr<TokenReader> trial = model.reader(prompt, 1, static_cast<int>(start.size()) + 1);
    trial->read(make_batch({start}));
    return std::make_unique<SmallWeights>(format, [&] { trial->read(make_batch({{start[0]}})); });
}

// A text ends where --end says it, else where the configuration does, else at the end of text of the tokenizer.
static Limits limits_of(const Model& model, const bpe::Vocabulary& vocabulary, const Choices& choices) {
    Limits limits{.new_tokens = choices.tokens, .end_of_text = vocabulary.end_of_text, .repetitions = choices.repetitions};
    if (choices.end >= 0) {
        limits.end_of_text = choices.end;
    } else if (!model.ends.empty()) {
        limits.end_of_text = model.ends[0];
        limits.other_ends.assign(model.ends.begin() + 1, model.ends.end());
    }
    return limits;
}

static void write(Lesson& lesson, const Model& model, const std::vector<int>& prompt, const bpe::Vocabulary& vocabulary,
                  const Choices& choices) {
    const std::vector<int> start = model.start(prompt);
    const Limits limits = limits_of(model, vocabulary, choices);
    const int capacity = static_cast<int>(start.size()) + choices.tokens - 1;  // the last new token is never read
    const std::unique_ptr<SmallWeights> small = rounded_weights(model, prompt, weight_format(choices.format));
    if (small)
        lesson.say("Every token reads ", fixed(small->bytes / 1e6, 1), " MB of weights as ", choices.format, ", instead of ",
                   fixed(4 * small->numbers / 1e6, 1), " MB.");
    std::unique_ptr<TokenReader> reader = model.reader(prompt, 1, capacity);
    if (choices.no_cache) reader = std::make_unique<RereadingReader>(model, prompt);

    show_text(lesson, "prompt   ", prompt, model, vocabulary);
    const double begin = seconds_now();
    std::size_t written = 0;
    if (choices.beams > 0) {
        const std::vector<Beam> beams = beam_search(start, choices.beams, *reader, limits, static_cast<float>(choices.alpha));
        for (const Beam& beam : beams) {
            lesson.say("log p ", fixed(beam.log_probability, 3), beam.finished ? ", at its end" : "");
            show_text(lesson, "new      ", beam.ids, model, vocabulary);
            written = std::max(written, beam.ids.size());
        }
    } else {
        const Sampling sampling{.temperature = static_cast<float>(choices.temperature),
                                .top_k = choices.top_k,
                                .top_p = static_cast<float>(choices.top_p)};
        Random random(choices.seed);
        const TokenWatcher watcher = [&](int, int id, float probability) {
            if (choices.probabilities) lesson.lines({fixed(probability) + "  " + token_text(id, model, vocabulary)});
        };
        const std::vector<int> ids =
            generate(make_batch({start}), *reader, limits, sampling, uniform_matrix(random, 1, choices.tokens), watcher)[0];
        show_text(lesson, "new      ", ids, model, vocabulary);
        written = ids.size();
    }
    const double seconds = seconds_now() - begin;
    lesson.say(written, " tokens in ", fixed(seconds, 2),
               " s, including the prompt: ", fixed(static_cast<double>(written) / seconds, 1), " tokens per second.");
}

static void describe(Lesson& lesson, const Model& model, const std::string& name) {
    lesson.say(name, ": ", model.family, ", ", model.numbers, " parameters, width ", model.width, ", ", model.vocabulary,
               " tokens.");
}

static void write_with_checkpoint(Lesson& lesson, const Choices& choices) {
    const Safetensors file(choices.weights);  // opened first: its tokens are looked for beside it
    const bpe::Vocabulary vocabulary = find_vocabulary(choices);
    const std::unique_ptr<Model> model = load_model(file, choices);
    require(vocabulary.size() <= model->text_tokens(), choices.weights, ": its tokenizer has ", vocabulary.size(),
            " tokens, it has only ", model->text_tokens(), ": they do not belong together");
    describe(lesson, *model, choices.weights);
    const std::string words = choices.prompt.empty() ? "The next word is" : text_or_file(choices.prompt);
    if (choices.ids.empty()) bpe::require_no_special(words, vocabulary);
    const std::vector<int> prompt =
        choices.ids.empty() ? bpe::encode(words, vocabulary) : ids_of(choices.ids, model->vocabulary, model->marks());
    require(!prompt.empty(), "generate: the prompt has no token; give some in ", choices.ids.empty() ? "--prompt" : "--ids");
    write(lesson, *model, prompt, vocabulary, choices);
}

// --- training ---

static Recipe recipe_of(const Choices& choices) {
    const int steps = choices.steps;
    return {
        .schedule = {.peak = 3e-3f, .warm_up = std::min(steps, 50), .steps = steps, .descent = Descent::linear, .floor = 0.05f},
        .batch = choices.batch,
        .weight_decay = 0.01f,
        .beta2 = 0.98f};
}

static Corpus read_corpus(const Choices& choices) {
    const std::string words = choices.text.empty() ? own_text() : text_or_file(choices.text);
    require(!choices.resume.ends_with(".safetensors"), "--resume ", choices.resume,
            ": give the name that --save was given, without .safetensors");
    if (choices.resume.empty()) return make_corpus(words, choices.merges_to_learn, choices.length);
    const bpe::Vocabulary vocabulary = bpe::load_vocabulary(choices.resume + "-vocab.json", choices.resume + "-merges.txt");
    return make_corpus(words, vocabulary, choices.length);
}

static void train_and_write(Lesson& lesson, const Choices& choices) {
    const Corpus corpus = read_corpus(choices);
    const gpt::Config config{.vocabulary = corpus.vocabulary.size(),
                             .positions = choices.length,
                             .width = choices.width,
                             .depth = choices.depth,
                             .heads = choices.shape.heads_or(4),
                             .mlp_width = 4 * choices.width};
    Random random(choices.seed);
    const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.05f, .embedding_stddev = 0.05f});
    const Parameters parameters = gpt::parameters(w, config);
    Trainer trainer(weights_decay(parameters), recipe_of(choices));
    const int end = choices.stop_after > 0 ? std::min(choices.steps, choices.stop_after) : choices.steps;
    if (!choices.resume.empty())
        load_training_state(choices.resume + ".safetensors", parameters, trainer.optimizer, random, gpt::metadata(config));
    require(trainer.optimizer.steps <= end, choices.resume, ".safetensors: ", trainer.optimizer.steps,
            " steps are done there, training is to end after ", end, "; give a larger number in --steps, or in --stop-after");

    Gpt model(w, config);
    model.family = "gpt2";
    model.numbers = count_numbers(parameters);
    model.vocabulary = config.vocabulary;
    model.width = config.width;
    describe(lesson, model, "a new model");
    NextTokensOfText objective(w, config, choices.length, choices.batch, random, corpus.train);
    lesson.say("held-out loss before step ", static_cast<int>(trainer.optimizer.steps), ": ",
               fixed(held_out_loss(corpus.test, choices.length, w, config), 3), " nats per token");
    {
        ShowProgress progress("training", choices.steps);
        train_until(end, objective, trainer, &progress);
    }
    lesson.say("held-out loss after step ", static_cast<int>(trainer.optimizer.steps), ": ",
               fixed(held_out_loss(corpus.test, choices.length, w, config), 3), " nats per token");
    if (!choices.save.empty()) {
        save_training_state(choices.save + ".safetensors", parameters, trainer.optimizer, random, gpt::metadata(config));
        bpe::save_vocabulary(corpus.vocabulary, choices.save + "-vocab.json", choices.save + "-merges.txt");
        lesson.say("Written: ", choices.save, ".safetensors, ", choices.save, "-vocab.json, ", choices.save,
                   "-merges.txt. --resume ", choices.save, " goes on from there; --weights, --vocab and --merges write with it.");
    }
    const std::string words = choices.prompt.empty() ? "// " : text_or_file(choices.prompt);
    const std::vector<int> prompt =
        choices.ids.empty() ? bpe::encode(words, corpus.vocabulary) : ids_of(choices.ids, config.vocabulary);
    write(lesson, model, prompt, corpus.vocabulary, choices);
}

static void declare_generation(Options& options, Choices& choices) {
    options.add("weights", choices.weights, "checkpoint that generates: safetensors, or the index.json of several");
    options.add("family", choices.family,
                "its family, if no file gives it: gpt2, llama, bloom, palm, glm, opt, biogpt, t5, gato");
    options.add("settings", choices.settings, "further settings, KEY=VALUE,...: keys as in config.json");
    choices.shape.declare(options, 4);
    options.add("prompt", choices.prompt, "the text to continue: words, or a file");
    options.add("ids", choices.ids,
                "the same as ids of tokens: \"1 15 27\"; no tokenizer is needed then; Gato: observation | actions ;");
    options.add("tokenizer", choices.tokenizer, "its tokenizer.json, if it is not in the same folder");
    options.add("vocab", choices.vocab, "or its vocab.json");
    options.add("merges", choices.merges, "and merges.txt");
    options.add("tokens", choices.tokens, "new tokens to write", 1, 100'000);
    options.add("temperature", choices.temperature, "0: always the likeliest token", 0, 100);
    options.add("top-k", choices.top_k, "draw from the k likeliest only; 0: from all", 0, 1'000'000);
    options.add("top-p", choices.top_p, "draw from the fewest tokens that reach this probability together", 0, 1);
    options.add("beams", choices.beams, "beam search of this width instead of sampling; 0: off", 0, 1000);
    options.add("alpha", choices.alpha, "beams: log-probabilities are divided by their number to this power", 0, 10);
    options.add("end", choices.end, "stop after this token; -1: the configuration's, or else the tokenizer's", -1, 100'000'000);
    options.add("repetitions", choices.repetitions, "stop when the end is one piece, this many times in a row; 0: never", 0,
                1000);
    options.add("probabilities", choices.probabilities, "show every token with its probability");
    options.add("no-cache", choices.no_cache, "without a cache: the same text, slowly");
    options.add("format", choices.format, "format of the weights during generation: f32, bf16 (2 bytes), int8 (1.125 bytes)");
}

static void declare_training(Options& options, Choices& choices) {
    options.add("text", choices.text, "without --weights: learn from this file (or these words), not from the sources here");
    options.add("steps", choices.steps, "training steps", 0, 1'000'000);
    options.add("stop-after", choices.stop_after, "stop training after this many steps; 0: off", 0, 1'000'000);
    options.add("batch", choices.batch, "texts per step", 1, 10'000);
    options.add("length", choices.length, "T, tokens of a training text, and the positions of the model", 16, 4096);
    options.add("width", choices.width, "E, width of a token", 1, 4096);
    options.add("depth", choices.depth, "L, blocks", 1, 96);
    options.add("merges-to-learn", choices.merges_to_learn, "merges of the tokenizer that is trained first", 0, 50'000);
    options.add_output("save", choices.save,
                       "write weights, training state and tokens: NAME.safetensors, NAME-vocab.json, NAME-merges.txt",
                       {".safetensors", "-vocab.json", "-merges.txt"});
    options.add("resume", choices.resume, "continue training from what --save NAME wrote, with the same sizes");
}

int main(int argc, char** argv) {
    Options options("programs/generate", "Continues a text, with a published checkpoint or a GPT that is trained first.",
                    "10 seconds without a checkpoint");
    Choices choices;
    declare_generation(options, choices);
    declare_training(options, choices);
    for (const char* const name : {"family", "settings", "eps", "activation", "tokenizer", "vocab", "merges"})
        options.needs(name, "weights");
    for (const char* const name :
         {"text", "save", "resume", "steps", "stop-after", "batch", "length", "width", "depth", "merges-to-learn"})
        options.excludes(name, "weights");
    for (const char* const name : {"vocab", "merges"}) options.excludes(name, "tokenizer");
    options.needs("vocab", "merges");
    options.needs("alpha", "beams");
    for (const char* const name : {"temperature", "top-k", "top-p", "probabilities"}) options.excludes(name, "beams");
    options.excludes("prompt", "ids");
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) {
        weight_format(choices.format);  // refused before anything is loaded
        require(choices.temperature > 0 || (choices.top_k == 0 && choices.top_p == 1),
                "--temperature 0 always takes the likeliest token, so --top-k and --top-p mean nothing; leave them out");
        choices.weights.empty() ? train_and_write(lesson, choices) : write_with_checkpoint(lesson, choices);
    });
}
