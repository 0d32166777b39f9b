// gpt.cpp: the lesson on GPT: train on a text, watch samples improve as the loss falls, and compare with a known entropy.
//
//   paper    Radford et al., "Language Models are Unsupervised Multitask Learners", 2019
//   shows    that next-token prediction learns spelling, words and syntax, one after the other
//   symbols  B sequences   T tokens   E width   L blocks   H heads   V vocabulary
//   before   walkthroughs/gpt/bpe.cpp     next   bert_against_gpt.cpp
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

// The documentation and sources of this project, below the working directory, ordered by name.
static std::string own_text() {
    std::vector<std::string> paths;
    if (is_file("README.md")) paths.push_back("README.md");
    for (const std::string folder : {"bert", "gpt", "nn", "rlhf", "vit"})
        for (const std::string& path : files_below(folder))
            if (path.ends_with(".h") || path.ends_with(".cpp") || path.ends_with(".md")) paths.push_back(path);
    std::string all;
    for (const std::string& path : paths) all += read_file(path) + "\n";
    require(all.size() > 50'000,
            "gpt: no sources found below this folder; run it from the root of the project, or name a file with --text");
    return all;
}

struct Corpus {
    bpe::Vocabulary vocabulary;
    std::vector<int> train, test;  // ids; the held-out part is taken from all over the text
    double bytes_per_token = 0;
};

// Holds out one chunk of every twenty, so that both parts have the same distribution.
static Corpus make_corpus(const std::string& text, const Choices& choices) {
    Corpus corpus;
    const std::string sample =
        text.substr(0, valid_utf8_length(std::string_view(text).substr(0, std::min<std::size_t>(text.size(), 300'000))));
    Progress progress("learning the tokenizer", choices.merges_to_learn);
    corpus.vocabulary = bpe::vocabulary_of(bpe::train(sample, choices.merges_to_learn, true, &progress));
    const std::vector<int> ids = bpe::encode(text, corpus.vocabulary);
    corpus.bytes_per_token = static_cast<double>(text.size()) / static_cast<double>(ids.size());
    const std::size_t chunk = 4 * (choices.length + 1);
    for (std::size_t first = 0; first < ids.size(); first += chunk) {
        std::vector<int>& part = first / chunk % 20 == 10 ? corpus.test : corpus.train;
        part.insert(part.end(), ids.begin() + first, ids.begin() + std::min(ids.size(), first + chunk));
    }
    const std::size_t least = 2 * (choices.length + 1);
    require(corpus.train.size() > least && corpus.test.size() > least, "gpt: ", ids.size(),
            " tokens are too few for a training and a test part; take a longer text or a smaller --length");
    return corpus;
}

static void step_text(Lesson& lesson, const std::string& text, const Corpus& corpus) {
    lesson.step("What is the training text?");
    std::vector<std::string> tokens;
    for (int k = 0; k < std::min<int>(60, static_cast<int>(corpus.train.size())); ++k)
        tokens.push_back(corpus.vocabulary.tokens[corpus.train[k]]);
    lesson.lines(token_lines(tokens, lesson.colours));
    lesson.say(text.size(), " bytes, ", corpus.train.size() + corpus.test.size(), " tokens of ", corpus.vocabulary.size(),
               " distinct ones, ", fixed(corpus.bytes_per_token, 2), " bytes each on average. A twentieth is held out.");
    lesson.why("the text supplies its own labels: every token is the target for the tokens before it.");
}

// --- the model ---

static void step_mask(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus) {
    lesson.step("Who may attend to whom?", "s_ij = -infinity where j > i", "GPT section 3.1");
    const int T = 12;
    lesson.code(3);
    const MayAttend may = causal(T, T);
    const std::vector<int> ids(corpus.test.begin(), corpus.test.begin() + T);
    const gpt::Steps steps = gpt::forward(ids, T, w, config);
    Matrix table(T, T);
    for (int i = 0; i < T; ++i)
        for (int j = 0; j < T; ++j) table(i, j) = may(i, j);
    const Matrix A = slice_rows(steps.decoder.blocks[0].attention.weights.value(), 0, T);
    lesson.pictures({{"causal mask (query down, key across)", heat_map(table, lesson.colours)}, {"weights, head 0, untrained", heat_map(A, lesson.colours)}});
    lesson.why("a token that could attend to the next one would have nothing to predict. With the causal mask one forward pass makes ", T - 1, " predictions, each from its own past.");
    lesson.predict("How many of the " + text(T * T) + " entries of this mask are 1?", {T * (T + 1) / 2.0, 0.5});
}

static void step_shapes(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus, int T) {
    lesson.step("What does the model compute?", "ids -> x -> L blocks -> LN -> x wte^T");
    const std::vector<int> ids(corpus.test.begin(), corpus.test.begin() + T);
    lesson.code(2);
    const gpt::Steps steps = gpt::forward(ids, T, w, config);
    const Var loss = gpt::loss(steps, next_tokens(ids, T));
    const BlockSteps& block = steps.decoder.blocks[0];
    lesson.table(
        {{"value", "shape", "what it is"},
         {"embeddings", shape(steps.embeddings.value()), "token + position"},
         {"blocks[0].attention.weights", shape(block.attention.weights.value()), "heads stacked"},
         {"blocks[0].mlp.hidden", shape(block.mlp.hidden.value()), "inside the MLP"},
         {"hidden", shape(steps.hidden.value()), "after the final norm"},
         {"logits", shape(steps.logits.value()), "row t predicts token t + 1"}});
    lesson.why("the token embedding is used twice: as input, and transposed as output matrix. ", count_numbers(gpt::parameters(w, config)),
               " parameters in all. Before training the loss is ", fixed(loss.value()[0]),
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

static std::vector<int> random_chunks(const std::vector<int>& text, int count, int length, Random& random) {
    std::vector<int> ids;
    for (int b = 0; b < count; ++b) {
        const int first = random.below(static_cast<int>(text.size()) - length + 1);
        ids.insert(ids.end(), text.begin() + first, text.begin() + first + length);
    }
    return ids;
}

namespace {
// Next-token loss on a batch of texts of T tokens.
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
    std::vector<int> draw_ids() override { return random_chunks(text, batch, T, random); }
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

// Mean loss on the held-out text, nats per token.
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

// The loss of the unigram baseline, which knows only token frequencies.
static double unigram_loss(const Corpus& corpus) {
    std::vector<double> counts(corpus.vocabulary.size(), 1);
    double total = corpus.vocabulary.size();
    for (const int id : corpus.train) counts[id] += 1, total += 1;
    double sum = 0;
    for (const int id : corpus.test) sum -= std::log(counts[id] / total);
    return sum / static_cast<double>(corpus.test.size());
}

// The prompt of the samples during training: --prompt, a comment sign for our own sources, or the beginning of the held-out text.
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
    double first = 0, last = 0, unigram = 0;  // losses on the held-out text
};

static Learned step_train(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus,
                          const Choices& choices, Random& random) {
    lesson.step("How does it learn?", "loss = mean of -log p(token t+1 | tokens up to t)");
    const int T = choices.length;
    lesson.say(choices.steps, " steps of ", choices.batch, " chunks of ", T, " tokens. Samples, always from the same random draws:");
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
        lesson.say("after ", pauses[pause], " steps, held-out loss ", fixed(learned.last, 3), " = ",
                   fixed(learned.last / std::log(2.0) / corpus.bytes_per_token, 2), " bits per byte:");
        lesson.lines(wrapped(on_one_line(written_text(w, config, corpus, choices)), 70));
    }
    lesson.curves({curve});
    learned.unigram = unigram_loss(corpus);
    lesson.why("the baseline of token frequencies has a loss of ", fixed(learned.unigram, 3), ". Anything below that is learned from the order of tokens: first pairs, then words and line structure.");
    if (!choices.save.empty()) {
        save(gpt::parameters(w, config), choices.save + ".safetensors", gpt::metadata(config));
        bpe::save_vocabulary(corpus.vocabulary, choices.save + "-vocab.json", choices.save + "-merges.txt");
        lesson.say("Written: ", choices.save, ".safetensors, ", choices.save, "-vocab.json, ", choices.save,
                   "-merges.txt; load them with --weights, --vocab and --merges.");
    }
    return learned;
}

// --- generation ---

struct CacheMeasured {
    bool same = false;
    double with = 0, without = 0;  // tokens per second
};

static CacheMeasured step_cache(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus) {
    lesson.step("Must the whole text be read again for each token?", "key/value cache");
    const NoTape no_tape;
    const int P = 4, count = std::min(60, config.positions - P + 1);
    const std::vector<int> prompt(corpus.test.begin(), corpus.test.begin() + P);
    double begin = seconds_now();
    lesson.code();
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
        {{"", "tokens per second"}, {"with the cache", fixed(measured.with, 0)}, {"without", fixed(measured.without, 0)}});
    lesson.why("a token does not attend to later ones, so its keys and values never change: they are computed once and cached. ",
               measured.same ? "The generated tokens are the same." : "But the generated tokens differ!");
    return measured;
}

// Generates with a published checkpoint, token by token.
static void step_generate(Lesson& lesson, const Choices& choices) {
    const Safetensors checkpoint(choices.weights);
    const gpt::Config config = gpt::config_of(checkpoint, choices.tell.told());
    require(!choices.merges.empty(), "gpt: --weights needs --merges, the merges.txt of the same model");
    const bpe::Vocabulary vocabulary =
        choices.vocab.empty() ? bpe::load_merges(choices.merges) : bpe::load_vocabulary(choices.vocab, choices.merges);
    require(vocabulary.size() <= config.vocabulary, "gpt: ", choices.merges, " has ", vocabulary.size(), " tokens, ",
            choices.weights, " only ", config.vocabulary, "; they belong to different models");
    Random random(choices.seed);
    const gpt::Weights w = gpt::empty_weights(config);
    load(gpt::parameters(w, config), checkpoint, gpt::load_rules(config));

    lesson.step("What comes next?", "p = softmax(h wte^T)");
    lesson.say(choices.weights, ": ", count_numbers(gpt::parameters(w, config)), " parameters, ", config.depth, " blocks of width ",
               config.width, ", ", config.heads, " heads, eps ", setting_text(config.eps), ", ", name_of_activation(config.activation), ", vocabulary ", config.vocabulary, ", ", config.positions, " positions.");
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
    lesson.say(read - P, " tokens in ", fixed(seconds, 2), " seconds, including the prompt.");
    lesson.why("the number before a token is its probability before temperature and filters; --temperature 0 always chooses the most likely.");
}

// --- a Markov chain with a known entropy ---

struct ChainLoss {
    double loss = 0, minimum = 0;  // on the same test text
};

static ChainLoss step_chain(Lesson& lesson, int seed) {
    lesson.step("What is the lowest possible loss?", "H = - sum_a pi_a sum_b P_ab ln P_ab");
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
    ChainLoss result;
    const int sequences = 2000;
    for (int b = 0; b < sequences; ++b) {
        const std::vector<int> ids = sample(chain, random, T);
        for (int t = 0; t + 1 < T; ++t) result.minimum -= std::log(chain.transitions(ids[t], ids[t + 1])) / (sequences * (T - 1.0));
        test.insert(test.end(), ids.begin(), ids.end());
    }
    result.loss = test_loss(test, T, w, config);
    lesson.matrix("P", chain.transitions, 12);
    lesson.table({{"predictor", "nats per symbol"},
                  {"uniform", fixed(std::log(static_cast<double>(chain.symbols())), 3)},
                  {"symbol frequencies", fixed(unigram_entropy(chain), 3)},
                  {"the previous symbol: the entropy H of the chain", fixed(causal_entropy(chain), 3)},
                  {"the true probabilities, on the test text", fixed(result.minimum, 3)},
                  {"this model, on the same text", fixed(result.loss, 3)}});
    lesson.why("this language is a table of ", chain.symbols(), " x ", chain.symbols(), " probabilities, so the lowest possible loss is known. A model below it must have seen the target: a leaking mask, or targets that are not shifted. Next: gpt/bert_against_gpt, then gpt/prompting/in_context.");
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
    const ChainLoss chain = step_chain(lesson, choices.seed);

    lesson.step("Does it hold?");
    const double fraction = choices.text.empty() ? 0.75 : 1;  // for any other text, only that the order of tokens helps
    lesson.claim_at_most("held-out loss, compared with the baseline of token frequencies", learned.last, fraction * learned.unigram);
    lesson.claim("the cache does not change the generated tokens", cache.same);
    lesson.claim_at_least("speed with the cache over speed without", cache.with / cache.without, 1.5);
    lesson.claim_at_most("loss on the chain minus its minimum, nats", chain.loss - chain.minimum, 0.02);
    lesson.claim_at_least("and never below it, nats", chain.loss - chain.minimum, 0);
}

int main(int argc, char** argv) {
    Options options("gpt/gpt", "Train a GPT on a text, or generate with a published one.",
                    "25 seconds on two cores");
    Choices choices;
    options.add("text", choices.text, "learn from this file (or these words) instead of the sources of this project");
    options.add("steps", choices.steps, "training steps", 16, 1'000'000);
    options.add("batch", choices.batch, "chunks per step", 1, 10'000);
    options.add("length", choices.length, "T, tokens per chunk", 16, 4096);
    options.add("width", choices.width, "E, width", 1, 4096);
    options.add("depth", choices.depth, "L, blocks", 1, 96);
    choices.tell.declare(options, 4);
    options.add("merges-to-learn", choices.merges_to_learn, "merges of the tokenizer, which is trained first", 0, 50'000);
    options.add_output("save", choices.save, "save to NAME.safetensors, NAME-vocab.json and NAME-merges.txt",
                       {".safetensors", "-vocab.json", "-merges.txt"});
    options.add("prompt", choices.prompt, "prompt: words, or a file");
    options.add("tokens", choices.tokens, "new tokens", 1, 4096);
    options.add("temperature", choices.temperature, "0: greedy", 0, 100);
    options.add("top-k", choices.top_k, "sample from the k most likely tokens; 0: from all", 0, 1'000'000);
    options.add("top-p", choices.top_p, "sample from the smallest set of tokens with this total probability", 0, 1);
    options.add("weights", choices.weights, "generate with this checkpoint (safetensors, as published for gpt2) instead of training");
    options.add("merges", choices.merges, "its merges.txt");
    options.add("vocab", choices.vocab, "its vocab.json");
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
