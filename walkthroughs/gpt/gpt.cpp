// gpt.cpp: the lesson on GPT: train on a text, watch samples improve as the loss falls, and compare with a known entropy.
//
//   paper    Radford et al., "Language Models are Unsupervised Multitask Learners", 2019
//   shows    that next-token prediction learns spelling, words and syntax, one after the other
//   symbols  B sequences   T tokens   E width   L blocks   H heads   V vocabulary
//   before   walkthroughs/gpt/bpe.cpp
//   next     walkthroughs/programs/generate.cpp trains on a text of yours, and writes with a published checkpoint
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "gpt/bpe.h"
#include "gpt/writing.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/clock.h"
#include "nn/interpret/inside.h"
#include "nn/interpret/rollout.h"
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

// Trains the tokenizer.
static Corpus step_text(Lesson& lesson, const std::string& text, const Choices& choices) {
    lesson.step("What is the training text?");
    lesson.code();
    const Corpus corpus = make_corpus(text, choices.merges, choices.length);
    std::vector<std::string> tokens;
    for (int k = 0; k < std::min<int>(60, static_cast<int>(corpus.train.size())); ++k)
        tokens.push_back(corpus.vocabulary.tokens[corpus.train[k]]);
    lesson.lines(token_lines(tokens, lesson.colours));
    lesson.say(text.size(), " bytes, ", corpus.train.size() + corpus.test.size(), " tokens of ", corpus.vocabulary.size(),
               " distinct ones, ", fixed(corpus.bytes_per_token, 2), " bytes each on average. A twentieth is held out.");
    lesson.why("the text supplies its own labels: every token is the target for the tokens before it.");
    return corpus;
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
    std::vector<std::string> tokens;
    for (const int id : ids) tokens.push_back(shown_token(corpus.vocabulary.tokens[id]));
    lesson.pictures({{"causal mask (query down, key across)", heat_map(table, lesson.colours, tokens, tokens)},
                     {"weights, head 0, untrained", heat_map(A, lesson.colours, tokens, tokens)}});
    lesson.why(
        "a token that could attend to the next one would have nothing to predict. With the causal mask one forward pass makes ",
        T - 1, " predictions, each from its own past.");
    lesson.predict("How many of the " + text(T * T) + " entries of this mask are 1?", {T * (T + 1) / 2.0, 0.5});
}

static void step_shapes(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus, int T) {
    lesson.step("What does the model compute?", "ids -> x -> L blocks -> LN -> x wte^T");
    const std::vector<int> ids(corpus.test.begin(), corpus.test.begin() + T);
    lesson.code(2);
    const gpt::Steps steps = gpt::forward(ids, T, w, config);
    const Var loss = gpt::loss(steps, next_tokens(ids, T));
    const BlockSteps& block = steps.decoder.blocks[0];
    lesson.table({{"value", "shape", "what it is"},
                  {"embeddings", shape(steps.embeddings.value()), "token + position"},
                  {"blocks[0].attention.weights", shape(block.attention.weights.value()), "heads stacked"},
                  {"blocks[0].mlp.hidden", shape(block.mlp.hidden.value()), "inside the MLP"},
                  {"hidden", shape(steps.hidden.value()), "after the final norm"},
                  {"logits", shape(steps.logits.value()), "row t predicts token t + 1"}});
    lesson.why("the token embedding is used twice: as input, and transposed as output matrix. ",
               count_numbers(gpt::parameters(w, config)), " parameters in all. Before training the loss is ",
               fixed(loss.value()[0]), ", near ln V = ", fixed(std::log(static_cast<double>(config.vocabulary))), ".");
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

// The loss of the unigram baseline, which uses only token frequencies.
static double unigram_loss(const Corpus& corpus) {
    std::vector<double> counts(corpus.vocabulary.size(), 1);
    double total = corpus.vocabulary.size();
    for (const int id : corpus.train) counts[id] += 1, total += 1;
    double sum = 0;
    for (const int id : corpus.test) sum -= std::log(counts[id] / total);
    return sum / static_cast<double>(corpus.test.size());
}

// Continues the beginning of a comment, always with the same draws.
static std::string written_text(const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus, int seed) {
    Random random(seed + 100);
    const std::vector<int> prompt = bpe::encode("// ", corpus.vocabulary);
    const int P = static_cast<int>(prompt.size()), count = std::min(40, config.positions - P + 1);
    const Sampling sampling{.temperature = 0.8f};
    const std::vector<int> written =
        gpt::generate(prompt, P, w, config, {.new_tokens = count}, sampling, uniform_matrix(random, 1, count))[0];
    return bpe::decode(prompt, corpus.vocabulary) + bpe::decode(written, corpus.vocabulary);
}

// A line end as " / ", other control characters as dots: an untrained model writes any byte, also those that move a cursor.
static std::string on_one_line(const std::string& text) {
    std::string line;
    for (const char c : text) {
        const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
        line += c == '\n' ? std::string(" / ") : is_control ? std::string("\u00B7") : std::string(1, c);
    }
    return line;
}

struct Learned {
    double first = 0, last = 0, unigram = 0;  // losses on the held-out text
};

static Learned step_train(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Corpus& corpus,
                          const Choices& choices, Random& random) {
    lesson.step("How does it learn?", "loss = mean of -log p(token t+1 | tokens up to t)");
    const int T = choices.length;
    lesson.say(choices.steps, " steps of ", choices.batch, " chunks of ", T,
               " tokens. Samples, always from the same random draws:");
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
        lesson.say("after ", pauses[pause], " steps, held-out loss ", fixed(learned.last, 3), " = ",
                   fixed(learned.last / std::log(2.0) / corpus.bytes_per_token, 2), " bits per byte:");
        lesson.lines(wrapped(on_one_line(written_text(w, config, corpus, choices.seed)), 71));
    }
    lesson.curves({curve}, {"training step", "loss, nats"});
    learned.unigram = unigram_loss(corpus);
    lesson.why("the baseline of token frequencies has a loss of ", fixed(learned.unigram, 3),
               ". Anything below that is learned from the order of tokens: first pairs, then words and line structure.");
    return learned;
}

// --- generation ---

struct CacheMeasured {
    bool same = false;
    double with = 0, without = 0;  // tokens per second
};

// The `count` most likely tokens after the prompt, where every token is predicted by a forward pass over the whole text so far.
static std::vector<int> generated_without_cache(const std::vector<int>& prompt, int count, const gpt::Weights& w,
                                                const gpt::Config& config) {
    std::vector<int> ids = prompt;
    for (int t = 0; t < count; ++t) {
        const gpt::Steps steps = gpt::forward(ids, static_cast<int>(ids.size()), w, config);
        ids.push_back(argmax_row(steps.logits.value(), steps.logits.rows() - 1));
    }
    return {ids.end() - count, ids.end()};
}

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
    const std::vector<int> without = generated_without_cache(prompt, count, w, config);
    measured.without = static_cast<double>(without.size()) / (seconds_now() - begin);
    measured.same = with == without;
    lesson.table(
        {{"", "tokens per second"}, {"with the cache", fixed(measured.with, 0)}, {"without", fixed(measured.without, 0)}});
    lesson.why("a token does not attend to later ones, so its keys and values never change: they are computed once and cached. ",
               measured.same ? "The generated tokens are the same." : "But the generated tokens differ!");
    return measured;
}

// What the last norm and the output matrix read from the last row of the residual stream, before block 0 and after every block: the
// first choice, and the probability of the token `said`.
static std::vector<std::vector<std::string>> predictions_by_block(const Inspection& trace, const Inside& inside, int said,
                                                                  const std::function<std::string(int)>& name) {
    std::vector<std::vector<std::string>> rows{{"read off", "prediction", "p", "p of " + name(said)}};
    const int blocks = static_cast<int>(trace.residual_streams.size()) - 1;
    for (int l = 0; l <= blocks; ++l) {
        const Matrix& stream = trace.residual_streams[l];
        const Matrix last = slice_rows(stream, stream.rows - 1, 1);       // (1, E)
        const Matrix p = softmax_rows(outputs_of(last, inside)).value();  // (1, V)
        const int best = argmax_row(p, 0);
        rows.push_back({l == 0 ? "before block 0" : "after block " + text(l - 1), name(best), fixed(p[best]), fixed(p[said])});
    }
    return rows;
}

// Which tokens the prediction came from, and after which block it appears.
static void step_decided(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const bpe::Vocabulary& vocabulary,
                         const std::vector<int>& ids) {
    lesson.step("What decided this token?", "R = R + C R, C = mean over heads of max(0, A * dlogit/dA)", "Chefer et al. 2021");
    const int T = static_cast<int>(ids.size());
    const auto name = [&](int id) { return id < vocabulary.size() ? shown_token(vocabulary.tokens[id]) : "<" + text(id) + ">"; };
    lesson.code(5);
    const Inside inside = gpt::inside(w, config);
    const auto run = [&] { return gpt::forward(ids, T, w, config).logits; };
    const int said = argmax_row(follow(run, inside).outputs, T - 1);
    const Inspection trace = follow(run, inside, {{.row = T - 1, .column = said}});
    const Matrix relevance = rollout::token_gradient_relevance(trace, inside);  // (1, T)
    const float most = *std::max_element(relevance.begin(), relevance.end());
    std::vector<std::vector<std::string>> rows{{"token", "relevance", ""}};
    for (int t = std::max(0, T - 12); t < T; ++t) rows.push_back({name(ids[t]), fixed(relevance[t]), bar(relevance[t], most)});
    lesson.table(rows);
    lesson.table(predictions_by_block(trace, inside, said, name));
    lesson.why(
        "the first table shows from which tokens the prediction ", name(said),
        " came: attention weights times the gradient of its "
        "logit. The second applies the last norm and the output matrix to the residual stream after every block. Both methods are "
        "explained in walkthroughs/nn/interpret.");
}

// --- a Markov chain with a known entropy ---

struct ChainLoss {
    double loss = 0, minimum = 0;  // on the same test text
};

// The mean of -log P of the true transitions: what a perfect model would lose on this text, in sequences of T symbols.
static double loss_of_truth(const MarkovChain& chain, const std::vector<int>& symbols, int T) {
    const int sequences = static_cast<int>(symbols.size()) / T;
    double loss = 0;
    for (int b = 0; b < sequences; ++b)
        for (int t = b * T; t + 1 < (b + 1) * T; ++t)
            loss -= std::log(chain.transitions(symbols[t], symbols[t + 1])) / (sequences * (T - 1.0));
    return loss;
}

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
    for (int b = 0; b < 2000; ++b) {
        const std::vector<int> ids = sample(chain, random, T);
        test.insert(test.end(), ids.begin(), ids.end());
    }
    const ChainLoss result{.loss = held_out_loss(test, T, w, config), .minimum = loss_of_truth(chain, test, T)};
    lesson.matrix("P", chain.transitions, 12);
    lesson.table({{"predictor", "nats per symbol"},
                  {"uniform", fixed(std::log(static_cast<double>(chain.symbols())), 3)},
                  {"symbol frequencies", fixed(unigram_entropy(chain), 3)},
                  {"the previous symbol: the entropy H of the chain", fixed(causal_entropy(chain), 3)},
                  {"the true probabilities, on the test text", fixed(result.minimum, 3)},
                  {"this model, on the same text", fixed(result.loss, 3)}});
    lesson.why(
        "this language is a table of ", chain.symbols(), " x ", chain.symbols(),
        " probabilities, so the lowest possible loss is known. A model below it must have seen the target: a leaking mask, or targets that are not shifted. Next: gpt/bert_against_gpt, then gpt/prompting/in_context.");
    return result;
}

// --- the lesson ---

static void walk(Lesson& lesson, const Choices& choices) {
    const std::string text = own_text();
    const Corpus corpus = step_text(lesson, text, choices);
    const gpt::Config config{.vocabulary = corpus.vocabulary.size(),
                             .positions = choices.length,
                             .width = choices.width,
                             .depth = choices.depth,
                             .heads = choices.heads,
                             .mlp_width = 4 * choices.width};
    Random random(choices.seed);
    const gpt::Weights w = gpt::make_weights(config, random, {.stddev = 0.05f, .embedding_stddev = 0.05f});

    step_mask(lesson, w, config, corpus);
    step_shapes(lesson, w, config, corpus, choices.length);
    const Learned learned = step_train(lesson, w, config, corpus, choices, random);
    const CacheMeasured cache = step_cache(lesson, w, config, corpus);
    step_decided(lesson, w, config, corpus.vocabulary, {corpus.test.begin(), corpus.test.begin() + std::min(16, choices.length)});
    const ChainLoss chain = step_chain(lesson, choices.seed);

    lesson.step("Does it hold?");
    lesson.claim_at_most("held-out loss, compared with the baseline of token frequencies", learned.last, 0.75 * learned.unigram);
    lesson.claim("the cache does not change the generated tokens", cache.same);
    lesson.claim_at_least("speed with the cache over speed without", cache.with / cache.without, 1.5);
    lesson.claim_at_most("loss on the chain minus its minimum, nats", chain.loss - chain.minimum, 0.02);
    lesson.claim_at_least("loss on the chain minus its minimum, never negative, nats", chain.loss - chain.minimum, 0);
}

int main(int argc, char** argv) {
    Options options("gpt/gpt", "A GPT is trained on the sources of this project.", "25 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "steps of training", 16, 1'000'000);
    options.add("batch", choices.batch, "sequences of text in a batch", 1, 10'000);
    options.add("length", choices.length, "T, tokens in a sequence", 16, 4096);
    options.add("width", choices.width, "E, numbers in a token", 1, 4096);
    options.add("depth", choices.depth, "L, blocks", 1, 96);
    options.add("heads", choices.heads, "H, must divide the width", 1, 256);
    options.add("merges", choices.merges, "merges of the tokenizer that is trained first", 0, 50'000);
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
