// gpt.cpp: a GPT is trained on a text, writes better as its loss falls, and is measured where the best possible loss is known.
//
//   paper    Radford et al., "Language Models are Unsupervised Multitask Learners", 2019
//   shows    that "predict the next token" is a whole school: spelling, words, syntax, one after the other
//   symbols  B sequences   T tokens   E width   L blocks   H heads   V vocabulary
//   before   walkthroughs/gpt/bpe.cpp
//   next     walkthroughs/programs/generate.cpp trains on a text of yours, and writes with a published checkpoint
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/bpe.h"
#include "gpt/writing.h"
#include "nn/autograd/operations.h"
#include "nn/base/clock.h"
#include "nn/text/batch.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/corpus.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/tokens.h"
#include "walkthroughs/toys/markov_chain.h"

struct Choices {
    int steps = 1000, batch = 8, length = 64, width = 96, depth = 2, heads = 4, merges = 400;
    int seed = 1;
};

// --- the text ---

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
    lesson.pictures({{"who (down) may look at whom (across)", heat_map(table, lesson.colours)},
                     {"and does, in head 0 of an untrained model", heat_map(A, lesson.colours)}});
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

namespace {
struct NextTokensOfChain : NextTokens {
    const MarkovChain& chain;
    NextTokensOfChain(const gpt::Weights& w, const gpt::Config& config, int T, int batch, Random& random,
                      const MarkovChain& chain)
        : NextTokens(w, config, T, batch, random), chain(chain) {}
    std::vector<int> draw_ids() override {
        std::vector<int> ids;
        for (int b = 0; b < batch; ++b) {
            const std::vector<int> sequence = sample(chain, random, length);
            ids.insert(ids.end(), sequence.begin(), sequence.end());
        }
        return ids;
    }
};
}  // namespace

// The loss of knowing only how frequent every token is.
static double frequency_loss(const Corpus& corpus) {
    std::vector<double> counts(corpus.vocabulary.size(), 1);
    double total = corpus.vocabulary.size();
    for (const int id : corpus.train) counts[id] += 1, total += 1;
    double sum = 0;
    for (const int id : corpus.test) sum -= std::log(counts[id] / total);
    return sum / static_cast<double>(corpus.test.size());
}

// Goes on from the beginning of a comment, always with the same draws.
static std::string written_text(const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus, int seed) {
    Random random(seed + 100);
    const std::vector<int> prompt = bpe::encode("// ", corpus.vocabulary);
    const int P = static_cast<int>(prompt.size()), count = std::min(40, config.positions - P + 1);
    const Sampling sampling{.temperature = 0.8f};
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
        learned.last = held_out_loss(corpus.test, T, w, config);
        if (pause == 0) learned.first = learned.last;
        lesson.say("after ", pauses[pause], " steps, test loss ", fixed(learned.last, 3), " = ",
                   fixed(learned.last / std::log(2.0) / corpus.bytes_per_token, 2), " bits a byte:");
        lesson.lines(wrapped(on_one_line(written_text(w, config, corpus, choices.seed)), 88));
    }
    lesson.curves({curve});
    learned.frequencies = frequency_loss(corpus);
    lesson.why("knowing only how frequent each token is would cost ", fixed(learned.frequencies, 3),
               ". What is below that is learned from ",
               "the order of tokens: first which follow one another, then words and the shapes of lines.");
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
    result.loss = held_out_loss(test, T, w, config);
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
    const std::string text = own_text();
    const Corpus corpus = make_corpus(text, choices.merges, choices.length);
    const gpt::Config config{.vocabulary = corpus.vocabulary.size(),
                             .positions = choices.length,
                             .width = choices.width,
                             .depth = choices.depth,
                             .heads = choices.heads,
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
    lesson.claim_at_most("test loss after training, against knowing only the frequencies", learned.last,
                         0.75 * learned.frequencies);
    lesson.claim("with the cache it writes the same tokens as without", cache.same);
    lesson.claim_at_least("speed with the cache over speed without", cache.with / cache.without, 1.5);
    lesson.claim_at_most("loss on the chain above its floor, nats", floor.loss - floor.floor, 0.02);
    lesson.claim_at_least("and never below it, nats", floor.loss - floor.floor, 0);
}

int main(int argc, char** argv) {
    Options options("gpt/gpt", "A GPT learns to write from the sources of this project.", "25 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "steps of training", 16, 1'000'000);
    options.add("batch", choices.batch, "stretches of text in a step", 1, 10'000);
    options.add("length", choices.length, "T, tokens in a stretch", 16, 4096);
    options.add("width", choices.width, "E, numbers in a token", 1, 4096);
    options.add("depth", choices.depth, "L, blocks", 1, 96);
    options.add("heads", choices.heads, "H, must divide the width", 1, 256);
    options.add("merges", choices.merges, "merges of the tokenizer that is trained first", 0, 50'000);
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
