// gpt.cpp: a GPT is trained on a text, writes better as its loss falls, and is measured where the best possible loss is known.
//
//   paper    Radford et al., "Language Models are Unsupervised Multitask Learners", 2019
//   shows    that "predict the next token" is a whole school: spelling, words, syntax, one after the other
//   symbols  B sequences   T tokens   E width   L blocks   H heads   V vocabulary
//   before   walkthroughs/gpt/bpe.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/bpe.h"
#include "gpt/writing.h"
#include "nn/autograd/operations.h"
#include "nn/base/clock.h"
#include "nn/data/file.h"
#include "nn/data/text.h"
#include "nn/text/batch.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/toys/markov_chain.h"
#include "walkthroughs/lesson/tokens.h"

struct Choices {
    std::string text, save, weights, vocab, merges, prompt;
    int steps = 1000, batch = 8, length = 64, width = 96, depth = 2, merges_to_learn = 400;
    int tokens = 40, top_k = 0;
    double temperature = 0.8, top_p = 1;
    TellModel tell;  // heads, and more of a checkpoint
    int seed = 1;
};

// --- the text ---

// Our own documentation and sources below the working directory, in the order of their names.
static std::string own_text() {
    std::vector<std::string> paths;
    if (is_file("README.md")) paths.push_back("README.md");
    for (const std::string folder : {"bert", "gpt", "nn", "rlhf", "vit"})
        for (const std::string& path : files_below(folder))
            if (path.ends_with(".h") || path.ends_with(".cpp") || path.ends_with(".md")) paths.push_back(path);
    std::string all;
    for (const std::string& path : paths) all += read_file(path) + "\n";
    require(all.size() > 50'000,
            "gpt: no sources found below this folder; run it from the top of the project, or name a file with --text");
    return all;
}

struct Corpus {
    bpe::Vocabulary vocabulary;
    std::vector<int> train, test;  // ids; the test part are pieces from all over the text that training never sees
    double bytes_per_token = 0;
};

// One stretch of every twenty is kept for the test, so that both parts are alike.
static Corpus make_corpus(const std::string& text, const Choices& choices) {
    Corpus corpus;
    const std::string sample =
        text.substr(0, valid_utf8_length(std::string_view(text).substr(0, std::min<std::size_t>(text.size(), 300'000))));
    Progress progress("learning the tokens", choices.merges_to_learn);
    corpus.vocabulary = bpe::vocabulary_of(bpe::train(sample, choices.merges_to_learn, true, &progress));
    const std::vector<int> ids = bpe::encode(text, corpus.vocabulary);
    corpus.bytes_per_token = static_cast<double>(text.size()) / static_cast<double>(ids.size());
    const std::size_t stretch = 4 * (choices.length + 1);
    for (std::size_t first = 0; first < ids.size(); first += stretch) {
        std::vector<int>& part = first / stretch % 20 == 10 ? corpus.test : corpus.train;
        part.insert(part.end(), ids.begin() + first, ids.begin() + std::min(ids.size(), first + stretch));
    }
    const std::size_t least = 2 * (choices.length + 1);
    require(corpus.train.size() > least && corpus.test.size() > least, "gpt: ", ids.size(),
            " tokens are too few to train on and to test with, ", "take a longer text or a smaller --length");
    return corpus;
}

static void step_text(Lesson& lesson, const std::string& text, const Corpus& corpus) {
    lesson.step("What is there to read?");
    std::vector<std::string> tokens;
    for (int k = 0; k < std::min<int>(60, static_cast<int>(corpus.train.size())); ++k)
        tokens.push_back(corpus.vocabulary.tokens[corpus.train[k]]);
    lesson.lines(token_lines(tokens, lesson.colours));
    lesson.say(text.size(), " bytes, ", corpus.train.size() + corpus.test.size(), " tokens of ", corpus.vocabulary.size(),
               " different ones, ", fixed(corpus.bytes_per_token, 2), " bytes each. A twentieth is kept aside for the test.");
    lesson.why(
        "a text is its own teacher: every token is the answer to the question before it, and nobody had to label anything.");
}

// --- the model ---

static void step_mask(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus) {
    lesson.step("Who may look at whom?", "s_ij = -infinity where j > i", "GPT section 3.1");
    const int T = 12;
    lesson.code(3);
    const MayAttend may = causal(T, T);
    const std::vector<int> ids(corpus.test.begin(), corpus.test.begin() + T);
    const gpt::Steps steps = gpt::forward(ids, T, w, config);
    Matrix table(T, T);
    for (int i = 0; i < T; ++i)
        for (int j = 0; j < T; ++j) table(i, j) = may(i, j);
    const Matrix A = slice_rows(steps.decoder.blocks[0].attention.weights.value(), 0, T);
    std::vector<std::string> tokens;
    for (const int id : ids) tokens.push_back(shown_token(corpus.vocabulary.tokens[id]));
    lesson.pictures({{"who (down) may look at whom (across)", heat_map(table, lesson.colours, tokens, tokens)},
                     {"and does, in head 0 of an untrained model", heat_map(A, lesson.colours, tokens, tokens)}});
    lesson.why(
        "a token that could see the next one would have nothing to predict. With the upper half gone one pass through the model ",
        "asks ", T - 1, " questions at once, each with its own past.");
    lesson.predict("the picture with nn/layers/mask.h's prefix(", T, ", 4) in place of causal. Where would the model cheat?");
}

static void step_shapes(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus, int T) {
    lesson.step("What predicts it?", "ids -> x -> L blocks -> LN -> x wte^T");
    const std::vector<int> ids(corpus.test.begin(), corpus.test.begin() + T);
    lesson.code(2);
    const gpt::Steps steps = gpt::forward(ids, T, w, config);
    const Var loss = gpt::loss(steps, next_tokens(ids, T));
    const BlockSteps& block = steps.decoder.blocks[0];
    lesson.table(
        {{"value", "shape", "what it is"},
         {"embeddings", shape(steps.embeddings.value()), "word + place"},
         {"decoder.blocks[0].attention.weights", shape(block.attention.weights.value()), "who looks at whom, head below head"},
         {"decoder.blocks[0].mlp.hidden", shape(block.mlp.hidden.value()), "inside the MLP"},
         {"hidden", shape(steps.hidden.value()), "after the last norm"},
         {"logits", shape(steps.logits.value()), "row t: one number for each token that may come at t + 1"}});
    lesson.why("the word table is used twice: to read, and transposed to write. ", count_numbers(gpt::parameters(w, config)),
               " numbers in all. Nothing is learned yet, so the loss is ", fixed(loss.value()[0]),
               ", near ln V = ", fixed(std::log(static_cast<double>(config.vocabulary))), ".");
}

// --- training ---

static Recipe text_recipe(const Choices& choices) {
    const int steps = choices.steps;
    return {
        .schedule = {.peak = 3e-3f, .warm_up = std::min(steps, 50), .steps = steps, .descent = Descent::linear, .floor = 0.05f},
        .batch = choices.batch,
        .weight_decay = 0.01f,
        .beta2 = 0.98f};
}

static const Recipe chain_recipe{
    .schedule = {.peak = 3e-3f, .warm_up = 50, .steps = 900, .descent = Descent::linear, .floor = 0.02f},
    .batch = 32,
    .beta2 = 0.98f};

static std::vector<int> random_stretches(const std::vector<int>& text, int count, int length, Random& random) {
    std::vector<int> ids;
    for (int b = 0; b < count; ++b) {
        const int first = random.below(static_cast<int>(text.size()) - length + 1);
        ids.insert(ids.end(), text.begin() + first, text.begin() + first + length);
    }
    return ids;
}

namespace {
// The next token of each of T, in a batch of texts.
struct NextTokens : Objective {
    const gpt::Weights& w;
    const gpt::Config& config;
    int T, batch;
    Random& random;

    NextTokens(const gpt::Weights& w, const gpt::Config& config, int T, int batch, Random& random)
        : w(w), config(config), T(T), batch(batch), random(random) {}

    virtual std::vector<int> draw_ids() = 0;  // (batch*T)
    Var loss(int) override {
        const std::vector<int> ids = draw_ids();
        const gpt::Steps steps = gpt::forward(ids, T, w, config);
        return gpt::loss(steps, next_tokens(ids, T));
    }
};

struct NextTokensOfText : NextTokens {
    const std::vector<int>& text;
    NextTokensOfText(const gpt::Weights& w, const gpt::Config& config, int T, int batch, Random& random,
                     const std::vector<int>& text)
        : NextTokens(w, config, T, batch, random), text(text) {}
    std::vector<int> draw_ids() override { return random_stretches(text, batch, T, random); }
};

struct NextTokensOfChain : NextTokens {
    const MarkovChain& chain;
    NextTokensOfChain(const gpt::Weights& w, const gpt::Config& config, int T, int batch, Random& random,
                      const MarkovChain& chain)
        : NextTokens(w, config, T, batch, random), chain(chain) {}
    std::vector<int> draw_ids() override {
        std::vector<int> ids;
        for (int b = 0; b < batch; ++b) {
            const std::vector<int> sequence = sample(chain, random, T);
            ids.insert(ids.end(), sequence.begin(), sequence.end());
        }
        return ids;
    }
};
}  // namespace

// Mean loss of the whole test text, nats per token.
static double test_loss(const std::vector<int>& text, int T, const gpt::Weights& w, const gpt::Config& config) {
    double sum = 0;
    int count = 0;
    const int at_once = 16;
    for (std::size_t first = 0; first + T <= text.size(); first += static_cast<std::size_t>(at_once) * T) {
        const std::size_t end = std::min(text.size() / T * T, first + static_cast<std::size_t>(at_once) * T);
        const std::vector<int> ids(text.begin() + first, text.begin() + end);
        const int sequences = static_cast<int>(ids.size()) / T;
        sum += sequences * gpt::loss(gpt::forward(ids, T, w, config), next_tokens(ids, T)).value()[0];
        count += sequences;
    }
    return sum / count;
}

// The loss of knowing only how frequent every token is.
static double frequency_loss(const Corpus& corpus) {
    std::vector<double> counts(corpus.vocabulary.size(), 1);
    double total = corpus.vocabulary.size();
    for (const int id : corpus.train) counts[id] += 1, total += 1;
    double sum = 0;
    for (const int id : corpus.test) sum -= std::log(counts[id] / total);
    return sum / static_cast<double>(corpus.test.size());
}

// What it goes on from while it is trained: the words asked for, a comment in our own sources, or the beginning of the test text.
static std::vector<int> prompt_for(const Corpus& corpus, const Choices& choices) {
    if (!choices.prompt.empty()) return bpe::encode(text_or_file(choices.prompt), corpus.vocabulary);
    if (choices.text.empty()) return bpe::encode("// ", corpus.vocabulary);
    return {corpus.test.begin(), corpus.test.begin() + 8};
}

static std::string written_text(const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus, const Choices& choices) {
    Random random(choices.seed + 100);
    const std::vector<int> prompt = prompt_for(corpus, choices);
    const int P = static_cast<int>(prompt.size()), count = std::min(choices.tokens, config.positions - P + 1);
    require(P > 0 && count > 0, "gpt: the prompt has ", P, " tokens, this model can look at ", config.positions);
    const Sampling sampling{.temperature = static_cast<float>(choices.temperature),
                                 .top_k = choices.top_k,
                                 .top_p = static_cast<float>(choices.top_p)};
    const std::vector<int> written =
        gpt::generate(prompt, P, w, config, {.new_tokens = count}, sampling, uniform_matrix(random, 1, count))[0];
    return bpe::decode(prompt, corpus.vocabulary) + bpe::decode(written, corpus.vocabulary);
}

static std::string on_one_line(const std::string& text) {
    std::string line;
    for (const char c : text) line += c == '\n' ? std::string(" / ") : std::string(1, c);
    return line;
}

struct Learned {
    double first = 0, last = 0, frequencies = 0;  // losses on the test text
};

static Learned step_train(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus,
                          const Choices& choices, Random& random) {
    lesson.step("How does it learn to write?", "loss = mean of -log p(token t+1 | tokens up to t)");
    const int T = choices.length;
    lesson.say(choices.steps, " steps of ", choices.batch, " stretches of ", T,
               " tokens. Between them it writes, always from the same draws:");
    Trainer trainer(weights_decay(gpt::parameters(w, config)), text_recipe(choices));
    NextTokensOfText objective(w, config, T, trainer.recipe.batch, random, corpus.train);
    std::vector<int> pauses{0, choices.steps / 16, choices.steps / 4, choices.steps};
    Series curve{.name = "loss", .x = {}, .y = {}};
    Learned learned;
    for (std::size_t pause = 0; pause < pauses.size(); ++pause) {
        {
            ShowProgress progress("training", choices.steps);
            for (const float loss : train_until(pauses[pause], objective, trainer, &progress)) {
                curve.x.push_back(static_cast<float>(curve.y.size()));
                curve.y.push_back(loss);
            }
        }
        learned.last = test_loss(corpus.test, T, w, config);
        if (pause == 0) learned.first = learned.last;
        lesson.say("after ", pauses[pause], " steps, test loss ", fixed(learned.last, 3), " = ",
                   fixed(learned.last / std::log(2.0) / corpus.bytes_per_token, 2), " bits a byte:");
        lesson.lines(wrapped(on_one_line(written_text(w, config, corpus, choices)), 88));
    }
    lesson.curves({curve});
    learned.frequencies = frequency_loss(corpus);
    lesson.why("knowing only how frequent each token is would cost ", fixed(learned.frequencies, 3),
               ". What is below that is learned from ",
               "the order of tokens: first which follow one another, then words and the shapes of lines.");
    if (!choices.save.empty()) {
        save(gpt::parameters(w, config), choices.save + ".safetensors", gpt::metadata(config));
        bpe::save_vocabulary(corpus.vocabulary, choices.save + "-vocab.json", choices.save + "-merges.txt");
        lesson.say("Written: ", choices.save, ".safetensors, ", choices.save, "-vocab.json, ", choices.save,
                   "-merges.txt; go on with --weights, ", "--vocab and --merges.");
    }
    return learned;
}

// --- generation ---

struct CacheMeasured {
    bool same = false;
    double with = 0, without = 0;  // tokens a second
};

static CacheMeasured step_cache(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus) {
    lesson.step("Must everything be read again for each new token?", "keep k and v of what was read");
    const NoTape no_tape;
    const int P = 4, count = std::min(60, config.positions - P + 1);
    const std::vector<int> prompt(corpus.test.begin(), corpus.test.begin() + P);
    lesson.code("gpt::generate_greedily(prompt, P, w, config, {.new_tokens = count})");
    double begin = seconds_now();
    const std::vector<int> with = gpt::generate_greedily(prompt, P, w, config, {.new_tokens = count})[0];
    CacheMeasured measured;
    measured.with = static_cast<double>(with.size()) / (seconds_now() - begin);
    begin = seconds_now();
    std::vector<int> ids = prompt;
    for (int t = 0; t < count; ++t) {
        const gpt::Steps steps = gpt::forward(ids, static_cast<int>(ids.size()), w, config);
        ids.push_back(argmax_row(steps.logits.value(), steps.logits.rows() - 1));
    }
    measured.without = count / (seconds_now() - begin);
    measured.same = std::equal(with.begin(), with.end(), ids.begin() + P, ids.end());
    lesson.table(
        {{"", "tokens a second"}, {"with the cache", fixed(measured.with, 0)}, {"all read again", fixed(measured.without, 0)}});
    lesson.why("a token cannot see what comes later, so its keys and values never change: they are computed once and kept. ",
               measured.same ? "The tokens written are the same." : "But the tokens written differ!");
    return measured;
}

// The text of a published checkpoint, token by token.
static void step_generate(Lesson& lesson, const Choices& choices) {
    const Safetensors checkpoint(choices.weights);
    const gpt::Config config = gpt::config_of(checkpoint, choices.tell.told());
    require(!choices.merges.empty(), "gpt: --weights needs --merges, the merges.txt of the same model, to read the prompt");
    const bpe::Vocabulary vocabulary =
        choices.vocab.empty() ? bpe::load_merges(choices.merges) : bpe::load_vocabulary(choices.vocab, choices.merges);
    require(vocabulary.size() <= config.vocabulary, "gpt: ", choices.merges, " has ", vocabulary.size(), " tokens, ",
            choices.weights, " only ", config.vocabulary, ": they do not belong together");
    Random random(choices.seed);
    const gpt::Weights w = gpt::empty_weights(config);
    load(gpt::parameters(w, config), checkpoint, gpt::load_rules(config));

    lesson.step("What comes next?", "p = softmax(h wte^T)");
    lesson.say(choices.weights, ": ", count_numbers(gpt::parameters(w, config)), " numbers, ", config.depth, " blocks of width ",
               config.width, ", ", config.heads, " heads, eps ", setting_text(config.eps), ", ", name_of_activation(config.activation), ", ", config.vocabulary, " tokens, at most ", config.positions,
               " at a time.");
    const std::string words = choices.prompt.empty() ? "The next word is" : text_or_file(choices.prompt);
    const std::vector<int> prompt = bpe::encode(words, vocabulary);
    const int P = static_cast<int>(prompt.size()), count = std::min(choices.tokens, config.positions - P + 1);
    require(P > 0 && count > 0, "gpt: the prompt has ", P, " tokens, this model can look at ", config.positions);
    std::vector<std::string> tokens;
    for (const int id : prompt) tokens.push_back(vocabulary.tokens[id]);
    lesson.lines(token_lines(tokens, lesson.colours));
    const Sampling sampling{.temperature = static_cast<float>(choices.temperature),
                                 .top_k = choices.top_k,
                                 .top_p = static_cast<float>(choices.top_p)};
    std::vector<int> written;
    int read = P;  // tokens of prompt and continuation
    const double begin = seconds_now();
    gpt::generate(prompt, P, w, config, {.new_tokens = count, .end_of_text = vocabulary.end_of_text, .repetitions = 8}, sampling,
                  uniform_matrix(random, 1, count), [&](int, int id, float probability) {
                      const std::string token = id < vocabulary.size() ? vocabulary.tokens[id] : "<" + text(id) + ">";
                      lesson.lines({fixed(probability) + "  " + shown_token(token)});
                      if (id < vocabulary.size()) written.push_back(id);
                      ++read;
                  });
    const double seconds = seconds_now() - begin;
    lesson.say("As text: ", words, bpe::decode(written, vocabulary));
    lesson.say(read - P, " tokens in ", fixed(seconds, 2), " seconds, reading the prompt included.");
    lesson.why(
        "the number before a token is how likely the model found it before temperature and filters; with --temperature 0 it "
        "always ",
        "takes the likeliest.");
}

// --- where the floor is known ---

struct Floor {
    double loss = 0, floor = 0;  // on the same test text
};

static Floor step_floor(Lesson& lesson, int seed) {
    lesson.step("How good can a loss be?", "H = - sum_a pi_a sum_b P_ab ln P_ab");
    Random random(seed + 10);
    const MarkovChain chain = make_markov_chain(random);
    const int T = 16;
    const gpt::Config config{.vocabulary = chain.symbols(), .positions = T, .width = 32, .depth = 2, .heads = 2, .mlp_width = 64};
    const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.1f, .embedding_stddev = 0.3f});
    NextTokensOfChain objective(w, config, T, chain_recipe.batch, random, chain);
    {
        ShowProgress progress("training on the chain", chain_recipe.schedule.steps);
        train(objective, nothing_decays(variables(gpt::parameters(w, config))), chain_recipe, &progress);
    }
    std::vector<int> test;
    Floor result;
    const int sequences = 2000;
    for (int b = 0; b < sequences; ++b) {
        const std::vector<int> ids = sample(chain, random, T);
        for (int t = 0; t + 1 < T; ++t) result.floor -= std::log(chain.transitions(ids[t], ids[t + 1])) / (sequences * (T - 1.0));
        test.insert(test.end(), ids.begin(), ids.end());
    }
    result.loss = test_loss(test, T, w, config);
    lesson.matrix("P", chain.transitions, 12);
    lesson.table({{"what is known", "nats a symbol"},
                  {"nothing", fixed(std::log(static_cast<double>(chain.symbols())), 3)},
                  {"how frequent each symbol is", fixed(unigram_entropy(chain), 3)},
                  {"the symbol before: the entropy H of the chain", fixed(causal_entropy(chain), 3)},
                  {"the true probabilities, on the test text", fixed(result.floor, 3)},
                  {"this model, on the same text", fixed(result.loss, 3)}});
    lesson.why("here the language is a table of ", chain.symbols(), " x ", chain.symbols(),
               " probabilities, so the least loss that anybody can ",
               "reach is known. A model below it has seen the future: a mask that leaks, or targets that are not shifted.");
    return result;
}

// --- the lesson ---

static void walk(Lesson& lesson, const Choices& choices) {
    if (!choices.weights.empty()) return step_generate(lesson, choices);
    const std::string text = choices.text.empty() ? own_text() : text_or_file(choices.text);
    const Corpus corpus = make_corpus(text, choices);
    const gpt::Config config{.vocabulary = corpus.vocabulary.size(),
                             .positions = choices.length,
                             .width = choices.width,
                             .depth = choices.depth,
                             .heads = choices.tell.heads_or(4),
                             .mlp_width = 4 * choices.width};
    Random random(choices.seed);
    const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.05f, .embedding_stddev = 0.05f});

    step_text(lesson, text, corpus);
    step_mask(lesson, w, config, corpus);
    step_shapes(lesson, w, config, corpus, choices.length);
    const Learned learned = step_train(lesson, w, config, corpus, choices, random);
    const CacheMeasured cache = step_cache(lesson, w, config, corpus);
    const Floor floor = step_floor(lesson, choices.seed);

    lesson.step("Does it hold?");
    const double share = choices.text.empty() ? 0.75 : 1;  // of any other text no more is promised than that its order helps
    lesson.claim_at_most("test loss after training, against knowing only the frequencies", learned.last,
                         share * learned.frequencies);
    lesson.claim("with the cache it writes the same tokens as without", cache.same);
    lesson.claim_at_least("speed with the cache over speed without", cache.with / cache.without, 1.5);
    lesson.claim_at_most("loss on the chain above its floor, nats", floor.loss - floor.floor, 0.02);
    lesson.claim_at_least("and never below it, nats", floor.loss - floor.floor, 0);
}

int main(int argc, char** argv) {
    Options options("gpt/gpt", "A GPT learns to write from a text, or a published one goes on writing.",
                    "25 seconds on two cores");
    Choices choices;
    options.add("text", choices.text, "learn from this file (or these words) instead of the sources of this project");
    options.add("steps", choices.steps, "steps of training", 16, 1'000'000);
    options.add("batch", choices.batch, "stretches of text in a step", 1, 10'000);
    options.add("length", choices.length, "T, tokens in a stretch", 16, 4096);
    options.add("width", choices.width, "E, numbers in a token", 1, 4096);
    options.add("depth", choices.depth, "L, blocks", 1, 96);
    choices.tell.declare(options, 4);
    options.add("merges-to-learn", choices.merges_to_learn, "merges of the tokenizer that is trained first", 0, 50'000);
    options.add_output("save", choices.save, "write what was learned to NAME.safetensors, NAME-vocab.json and NAME-merges.txt",
                       {".safetensors", "-vocab.json", "-merges.txt"});
    options.add("prompt", choices.prompt, "the beginning that it goes on from: words, or a file");
    options.add("tokens", choices.tokens, "new tokens to write", 1, 4096);
    options.add("temperature", choices.temperature, "0: always the likeliest token", 0, 100);
    options.add("top-k", choices.top_k, "draw from the k likeliest only; 0: from all", 0, 1'000'000);
    options.add("top-p", choices.top_p, "draw from the fewest tokens that reach this probability together", 0, 1);
    options.add("weights", choices.weights, "do not train: write with this checkpoint (safetensors), as published for gpt2");
    options.add("merges", choices.merges, "its merges.txt");
    options.add("vocab", choices.vocab, "its vocab.json");
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
