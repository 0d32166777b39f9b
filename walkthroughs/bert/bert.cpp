// bert.cpp: BERT learns to fill gaps, first in sentences, then in a Markov chain whose entropies are known exactly.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, section 3
//   shows    that reading both sides finds the word that neither side alone determines, and reaches a loss below the minimum of
//            every left-to-right model
//   before   wordpiece.cpp, mlm.cpp
//   next     fine_tuning.cpp
#include "bert/bert.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bert/mlm.h"
#include "bert/wordpiece.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/require.h"
#include "nn/data/file_kind.h"
#include "nn/data/text.h"
#include "nn/interpret/integrated_gradients.h"
#include "nn/training/loss.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/lesson/tokens.h"
#include "walkthroughs/toys/markov_chain.h"
#include "walkthroughs/toys/sentences.h"

static const std::string russian_question = "Мама [MASK] раму", english_question = "Mother [MASK] the window";

struct Choices {
    std::string sentence, text, weights, vocabulary, save, language = "ru";
    int steps = 1500, chain_steps = 2000, width = 48, pieces = 1000, block = -1;
    bool cased = false;
    ModelOptions model_options;  // settings that a checkpoint's shapes do not determine

    bool english() const { return only_english(language); }
};

struct Model {
    wordpiece::Vocabulary vocabulary;
    wordpiece::Config reading;
    bert::Config config;
    mlm::Weights w;
};

// A published model may have more rows than its vocabulary has entries: the table is filled up to a round number.
static std::string word_of(const Model& model, int id) {
    const bool is_known = id < static_cast<int>(model.vocabulary.entries.size());
    return is_known ? model.vocabulary.entries[id] : "<" + text(id) + ">";
}

static std::vector<int> special_ids(const wordpiece::Vocabulary& vocabulary) {
    return {vocabulary.padding, vocabulary.unknown, vocabulary.classification, vocabulary.separator};
}

// --- predictions ---

// The predictions for the first [MASK] of a sentence.
struct Predictions {
    std::vector<mlm::Prediction> guesses;  // the five most likely
    float probability_of(int id) const {
        for (const mlm::Prediction& guess : guesses)
            if (guess.id == id) return guess.probability;
        return 0;
    }
};

static Predictions ask(const Model& model, const std::string& sentence) {
    const std::vector<int> ids = encode_with_masks(sentence, model.vocabulary, model.reading);
    const std::vector<int> positions = mask_positions(ids, model.vocabulary);
    const mlm::Steps steps = mlm::forward(bert::make_batch({ids}, model.vocabulary.padding), model.w, model.config, positions);
    return {mlm::best_predictions(steps.prediction_logits.value(), 0)};
}

static void print_guesses(Lesson& lesson, const Model& model, const std::string& sentence) {
    const std::vector<int> ids = encode_with_masks(sentence, model.vocabulary, model.reading);
    const std::vector<int> positions = mask_positions(ids, model.vocabulary);
    const mlm::Steps steps = mlm::forward(bert::make_batch({ids}, model.vocabulary.padding), model.w, model.config, positions);
    std::vector<std::vector<std::string>> rows{{"t", "1st", "p", "2nd", "p", "3rd", "p", "4th", "p"}};
    for (std::size_t k = 0; k < positions.size(); ++k) {
        std::vector<std::string> row{text(positions[k])};
        for (const mlm::Prediction& guess : mlm::best_predictions(steps.prediction_logits.value(), static_cast<int>(k), 4)) {
            row.push_back(word_of(model, guess.id));
            row.push_back(fixed(guess.probability));
        }
        row.resize(rows[0].size());
        rows.push_back(row);
    }
    lesson.say(sentence);
    lesson.table(rows);
}

// --- sentences ---

static Model sentence_model(const std::vector<Sentence>& sentences, const Choices& choices, Random& random) {
    std::vector<std::string> texts;
    for (const Sentence& sentence : sentences) texts.push_back(sentence.words());
    Model model;
    model.vocabulary = vocabulary_of(texts);
    model.reading = {.lower_case = false};
    model.config = {.vocabulary = model.vocabulary.size(),
                    .positions = 16,
                    .width = choices.width,
                    .depth = 2,
                    .heads = choices.model_options.heads_or(4),
                    .mlp_width = 2 * choices.width,
                    .pooler = false};
    model.w = mlm::make_weights(model.config, random, {.stddev = 0.1f});
    return model;
}

static void step_read(Lesson& lesson, const Model& model, const std::string& sentence) {
    lesson.step("What does BERT read?", "z0 = LayerNorm(token + token type + position)", "(T, D)");
    const std::vector<int> ids = encode_with_masks(sentence, model.vocabulary, model.reading);
    const bert::Batch batch = bert::make_batch({ids}, model.vocabulary.padding);
    lesson.code();
    const bert::TokenEmbedding steps = bert::embed_tokens(batch, model.w.trunk, model.config);
    std::vector<std::vector<std::string>> rows{{"t", "token", "id", "z0, the first four of " + text(model.config.width)}};
    for (std::size_t t = 0; t < ids.size(); ++t) {
        std::string numbers;
        for (int j = 0; j < 4; ++j) numbers += fixed(steps.z0.value()(static_cast<int>(t), j)) + "  ";
        rows.push_back({text(t), word_of(model, ids[t]), text(ids[t]), numbers});
    }
    lesson.table(rows);
    if (sentence == russian_question)
        lesson.say(
            "Мама мыла раму: Mama washed(f.) the frame, the first sentence of a Russian primer. --language en asks in English.");
    lesson.why(
        "three embeddings are looked up for every token and added: token, token type, position. A Vision Transformer multiplies pixels instead. From z0 on both models are the same, except that BERT is post-norm and ViT pre-norm.");
}

static void step_guess_untrained(Lesson& lesson, const Model& model, const Choices& choices) {
    lesson.step("What does it predict before training?", "p = softmax(h words^T + b)", "(S, V)");
    print_guesses(lesson, model, choices.sentence);
    lesson.why("nothing is learned yet: each of the ", model.vocabulary.size(), " tokens has a probability of about ",
               fixed(1.0 / model.vocabulary.size()), ", and the loss is about ln ", model.vocabulary.size(), " = ",
               fixed(std::log(model.vocabulary.size())), ".");
}

static void step_train_sentences(Lesson& lesson, const Model& model, const SplitSentences& corpus, const Choices& choices,
                                 Random& random) {
    lesson.step("How does it learn without labels?", "loss = mean of -log p(masked token)");
    const Pretraining how{.steps = choices.steps, .mask_id = model.vocabulary.mask, .special_ids = special_ids(model.vocabulary)};
    const auto read = [&](Random& draw) {
        const Sentence& sentence = corpus.train[draw.below(static_cast<int>(corpus.train.size()))];
        return encode_with_masks(sentence.words(), model.vocabulary, model.reading);
    };
    lesson.say(corpus.train.size(), " sentences, such as \"", corpus.train.front().words(), "\" and \"",
               corpus.train.back().words(), "\"; ", how.steps, " steps of ", how.batch,
               " sentences in which 15 % of the tokens are selected. ", corpus.test.size(), " sentences are held out.");
    lesson.code();
    const std::vector<float> losses = pretrain(model.w, model.config, how, read, random);
    lesson.curves({smoothed("masked language model loss", losses, std::max(1, how.steps / 60))}, {"training step", "loss, nats"});
    lesson.why(
        "it does not fall to 0, because subject, object and ending cannot be predicted with certainty; only the verb can.");
}

static void step_restore(Lesson& lesson, const Model& model, const Choices& choices) {
    lesson.step("Which token is missing?");
    print_guesses(lesson, model, choices.sentence);
}

static void step_both_sides(Lesson& lesson, const Model& model, bool english) {
    lesson.step("Which side determines it?");
    std::vector<std::string> sentences{english_question, "They [MASK] the window", "Mother [MASK] a song", "They [MASK] a song"};
    if (!english)
        sentences.insert(sentences.begin(), {russian_question, "Папа [MASK] раму", "Мама [MASK] чай", "Папа [MASK] чай"});
    std::vector<std::vector<std::string>> rows{{"sentence", "1st", "p", "2nd", "p"}};
    for (const std::string& sentence : sentences) {
        const Predictions predictions = ask(model, sentence);
        rows.push_back({sentence, word_of(model, predictions.guesses[0].id), fixed(predictions.guesses[0].probability),
                        word_of(model, predictions.guesses[1].id), fixed(predictions.guesses[1].probability)});
    }
    lesson.table(rows);
    if (!english)
        lesson.say(
            "раму: the frame, чай: tea; Мама мыла: Mama washed(f.), Папа мыл: Papa washed(m.); пила, пил: drank(f.), drank(m.).");
    lesson.why(
        "the right side determines the verb (the window: wash), the left side its form (Mother: washes, They: wash). Changing one side changes one half of the answer.");
    const std::string question = english ? english_question : russian_question, expected = english ? "washes" : "мыла";
    const Predictions predictions = ask(model, question);
    const std::string best = word_of(model, predictions.guesses[0].id);
    lesson.claim("the most likely token for \"" + question + "\" is \"" + best + "\", expected \"" + expected + "\"",
                 best == expected);
    lesson.claim_at_least("probability of the expected token",
                          predictions.probability_of(wordpiece::id_of(model.vocabulary, expected)), 0.7);
}

static void step_never_seen(Lesson& lesson, const Model& model, const SplitSentences& corpus) {
    lesson.step("Did it memorise the sentences?");
    std::vector<std::vector<int>> sequences;
    std::vector<int> labels;
    for (const Sentence& sentence : corpus.test) {
        const std::string gap = sentence.subject + " [MASK] " + sentence.object + " " + sentence.ending;
        sequences.push_back(encode_with_masks(gap, model.vocabulary, model.reading));
        labels.push_back(wordpiece::id_of(model.vocabulary, sentence.verb));
    }
    const bert::Batch batch = bert::make_batch(sequences, model.vocabulary.padding);
    const std::vector<int> positions = mask_positions(batch.ids, model.vocabulary);
    lesson.code();
    const mlm::Steps steps = mlm::forward(batch, model.w, model.config, positions);
    const float loss = mlm::loss(steps, labels).sum.value()(0, 0);
    const float right = accuracy(steps.prediction_logits.value(), labels);
    lesson.table({{"baseline for the verbs of " + text(labels.size()) + " held-out sentences", "candidates", "loss"},
                  {"neither side", "all tokens", fixed(std::log(model.vocabulary.size()))},
                  {"the left side only: form known, verb unknown", text(objects) + " verbs", fixed(std::log(objects))},
                  {"the right side only: verb known, form unknown", "2 forms", fixed(std::log(2))},
                  {"BERT, both sides", "", fixed(loss)}});
    lesson.why(
        "these pairs of subject and object never occurred together in training. BERT combines what it learned about each side.");
    lesson.claim_at_least("accuracy on the verbs of held-out sentences", right, 0.9);
    lesson.claim_at_most("loss on these verbs; a guess between the two forms costs ln 2 = " + fixed(std::log(2)), loss,
                         0.5 * std::log(2));
}

static void step_attention(Lesson& lesson, const Model& model, const Choices& choices) {
    lesson.step("What does [MASK] attend to?", "A = softmax(q k^T / sqrt(h))");
    const std::vector<int> ids = encode_with_masks(choices.sentence, model.vocabulary, model.reading);
    const bert::Batch batch = bert::make_batch({ids}, model.vocabulary.padding);
    const bert::Steps steps = bert::forward(batch, model.w.trunk, model.config);
    const int gap = mask_positions(ids, model.vocabulary).at(0);
    std::vector<Captioned> maps;
    std::vector<std::vector<std::string>> rows{{"block", "head"}};
    for (const int id : ids) rows[0].push_back(word_of(model, id));
    const std::vector<std::string> words(rows[0].begin() + 2, rows[0].end());
    require(choices.block < model.config.depth, "--block ", choices.block, ": the model has blocks 0 to ",
            model.config.depth - 1);
    const int first = choices.block >= 0 ? choices.block : model.config.depth <= 4 ? 0 : model.config.depth - 1;
    const int last = choices.block >= 0 ? choices.block : model.config.depth - 1;
    for (int l = first; l <= last; ++l)
        for (int h = 0; h < model.config.heads; ++h) {
            const Matrix A = bert::attention_of(steps, batch, model.config, l, h);  // (T, T)
            maps.push_back({"block " + text(l) + " head " + text(h), heat_map(A, lesson.colours, words, words)});
            rows.push_back({text(l), text(h)});
            for (int t = 0; t < A.cols; ++t) rows.back().push_back(fixed(A(gap, t), 2));
        }
    lesson.pictures(maps);
    lesson.say(
        "Attention weights, one heat map per head: a row per query, a column per key, bright for large. The rows of [MASK] in numbers:");
    lesson.table(rows);
    lesson.why(
        "there is no causal mask, so weights above the diagonal are not 0: [MASK] attends to tokens before it and after it.");
}

// The contribution of each word of the sentence to the difference of two logits in the gap, `right` minus `wrong`; the baseline is the
// same sentence with every word masked. T numbers.
static std::vector<float> evidence(const Model& model, const std::vector<int>& ids, int gap, int right, int wrong) {
    namespace ig = integrated_gradients;
    const auto run_of = [&](const std::vector<int>& of) {
        return [&model, gap, batch = bert::make_batch({of}, model.vocabulary.padding)] {
            return mlm::forward(batch, model.w, model.config, {gap}).prediction_logits;  // (1, V)
        };
    };
    std::vector<int> masked = ids;
    std::fill(masked.begin() + 1, masked.end() - 1, model.vocabulary.mask);
    const Matrix x = ig::input_of(run_of(ids), "embeddings"), b = ig::input_of(run_of(masked), "embeddings");  // (T, D)
    ig::OutputOf difference(run_of(ids), "embeddings", {0}, {right}, {wrong});
    const ig::Attribution found = ig::attribute(difference, x, b, ig::points(ig::Rule::middle, 64), 1);
    const Matrix totals = ig::row_totals(found.attributions);  // (T, 1)
    return {totals.begin(), totals.end()};
}

// The ids of the words that the best one is compared with; the second best when none is named.
static std::vector<int> rivals_of(const Model& model, const std::vector<std::string>& others, int second) {
    if (others.empty()) return {second};
    std::vector<int> ids;
    for (const std::string& other : others) ids.push_back(wordpiece::id_of(model.vocabulary, other));
    return ids;
}

// The headings, and a row for each word: its contribution to each column's difference, as a number and a bar.
static std::vector<std::vector<std::string>> evidence_rows(const Model& model, const std::vector<int>& ids,
                                                           const std::vector<std::string>& headings,
                                                           const std::vector<std::vector<float>>& columns) {
    std::vector<std::vector<std::string>> rows{{"word"}};
    for (const std::string& heading : headings) {
        rows[0].push_back(heading);
        rows[0].push_back("");
    }
    for (std::size_t t = 0; t < ids.size(); ++t) {
        rows.push_back({word_of(model, ids[t])});
        for (const std::vector<float>& column : columns) {
            const float most = *std::max_element(column.begin(), column.end());
            rows.back().push_back(fixed(column[t], 2));
            rows.back().push_back(bar(column[t], most, 12));
        }
    }
    return rows;
}

// Attributions of the margin over the second best word; in the toy's sentence also over the other form and the other verb.
static void step_decided(Lesson& lesson, const Model& model, const std::string& sentence,
                         const std::vector<std::string>& others) {
    lesson.step("Which word decided the gap?", "(z0 - b) * mean of d(logit - logit') / dz0", "Sundararajan et al. 2017");
    const std::vector<int> ids = encode_with_masks(sentence, model.vocabulary, model.reading);
    const int gap = mask_positions(ids, model.vocabulary).at(0);
    const std::vector<mlm::Prediction> guesses = ask(model, sentence).guesses;
    const int best = guesses[0].id;
    const std::vector<int> against = rivals_of(model, others, guesses[1].id);
    std::vector<std::string> headings;
    std::vector<std::vector<float>> columns;
    lesson.code(2);
    for (const int wrong : against) {
        columns.push_back(evidence(model, ids, gap, best, wrong));
        headings.push_back(word_of(model, best) + ", not " + word_of(model, wrong));
    }
    lesson.table(evidence_rows(model, ids, headings, columns));
    lesson.why(
        "attention weights show where [MASK] attends, not what for. Here each word gets its contribution to the difference of two logits, "
        "relative to the same sentence with every word masked",
        others.empty() ? "."
                       : ". The subject decides the form, the object decides "
                         "the verb: each column is a different question.");
    if (others.size() != 2) return;
    const auto largest = [](const std::vector<float>& column) {
        return std::max_element(column.begin(), column.end()) - column.begin();
    };
    const bool as_known = largest(columns[0]) == gap - 1 && largest(columns[1]) == gap + 1;
    lesson.claim("the form is decided by the word before the gap, the verb by the word after it", as_known);
}

// --- a Markov chain with known entropies ---

static constexpr int chain_length = 16;
static const int chain_mask = 12;  // the id after the chain's 12 symbols

static void step_chain(Lesson& lesson, const MarkovChain& chain) {
    lesson.step("What is the lowest possible loss?", "H(x_t | context)");
    lesson.heat("P, transition probabilities, one row per symbol", chain.transitions);
    lesson.table({{"context", "lowest loss", "nats"},
                  {"nothing", "H(x_t)", fixed(unigram_entropy(chain))},
                  {"everything before it", "H(x_t | x_t-1)", fixed(causal_entropy(chain))},
                  {"both sides", "H(x_t | x_t-1, x_t+1)", fixed(two_sided_entropy(chain))}});
    lesson.why(
        "in a Markov chain a symbol depends on the past only through the symbol before it, and on the future only through the symbol after it, so each minimum is a sum over P. No left-to-right model can get below ",
        fixed(causal_entropy(chain)), ".");
}

struct Measured {
    double loss, error;  // mean over masked symbols, and its standard error
};

// One masked symbol, neither first nor last, in each of many fresh samples.
static Measured chain_test_loss(const MarkovChain& chain, const mlm::Weights& w, const bert::Config& config, Random& random) {
    double sum = 0, squares = 0;
    const int rounds = 16, at_once = 256;
    for (int round = 0; round < rounds; ++round) {
        std::vector<std::vector<int>> sequences;
        std::vector<int> positions, labels;
        for (int b = 0; b < at_once; ++b) {
            sequences.push_back(sample(chain, random, chain_length));
            const int t = 1 + random.below(chain_length - 2);
            positions.push_back(b * chain_length + t);
            labels.push_back(sequences.back()[t]);
            sequences.back()[t] = chain_mask;
        }
        const mlm::Steps steps = mlm::forward(bert::make_batch(sequences), w, config, positions);
        const Var losses = token_losses(steps.prediction_logits, labels);  // (256, 1)
        for (const float loss : losses.value()) {
            sum += loss;
            squares += static_cast<double>(loss) * loss;
        }
    }
    const double n = rounds * at_once, mean = sum / n;
    return {mean, std::sqrt((squares / n - mean * mean) / n)};
}

static void step_chain_training(Lesson& lesson, const MarkovChain& chain, const mlm::Weights& w, const bert::Config& config,
                                const Choices& choices, Random& random) {
    lesson.step("What loss does BERT reach?");
    const Pretraining how{.steps = choices.chain_steps, .peak = 6e-3f, .mask_id = chain_mask, .special_ids = {}};
    const auto read = [&](Random& draw) { return sample(chain, draw, chain_length); };
    lesson.code();
    const std::vector<float> losses = pretrain(w, config, how, read, random);
    const Series curve = smoothed("training loss", losses, std::max(1, how.steps / 60));
    const std::vector<float> ends{curve.x.front(), curve.x.back()};
    const float causal = static_cast<float>(causal_entropy(chain)), both = static_cast<float>(two_sided_entropy(chain));
    lesson.curves({curve,
                   {.name = "minimum, left to right", .x = ends, .y = {causal, causal}},
                   {.name = "minimum, both sides", .x = ends, .y = {both, both}}},
                  {"training step", "loss, nats"});
    lesson.why(
        "in training 15 % of the symbols are selected, so a neighbour is sometimes masked too, and 10 % of the selected are replaced by random ones: the training loss stays above the test loss, where one symbol is masked.");
}

static void step_chain_answer(Lesson& lesson, const MarkovChain& chain, const mlm::Weights& w, const bert::Config& config,
                              Random& random) {
    lesson.step("Does it predict the exact probabilities?", "p(b | a, c) = P_ab P_bc / sum over b", "Bayes");
    std::vector<int> symbols = sample(chain, random, chain_length);
    const int t = chain_length / 2;
    const int truth = symbols[t];
    symbols[t] = chain_mask;
    const mlm::Steps steps = mlm::forward(bert::make_batch({symbols}), w, config, {t});
    const Matrix logits = slice_cols(steps.prediction_logits.value(), 0, chain.symbols());  // without [MASK]
    const Matrix ours = softmax_rows(logits).value();
    const Matrix exact = between(chain, symbols[t - 1], symbols[t + 1]);
    std::vector<std::vector<std::string>> rows{
        {"between " + text(symbols[t - 1]) + " and " + text(symbols[t + 1])}, {"exact"}, {"BERT"}};
    for (int b = 0; b < chain.symbols(); ++b) {
        rows[0].push_back(text(b));
        rows[1].push_back(fixed(exact(0, b), 2));
        rows[2].push_back(fixed(ours(0, b), 2));
    }
    lesson.table(rows);
    lesson.why("the masked symbol was ", truth, ". BERT learned P and Bayes' rule from samples alone.");
}

static void step_chain_test(Lesson& lesson, const MarkovChain& chain, const mlm::Weights& w, const bert::Config& config,
                            Random& random) {
    lesson.step("Is it below the minimum of every left-to-right model?");
    const Measured test = chain_test_loss(chain, w, config, random);
    const double causal = causal_entropy(chain), both = two_sided_entropy(chain);
    lesson.say("Loss of 4096 symbols masked in new samples: ", fixed(test.loss), ", standard error ", fixed(test.error), ": ",
               percent((causal - test.loss) / (causal - both)), " of the way from ", fixed(causal), " down to ", fixed(both),
               ". Next: bert/fine_tuning puts new heads on such a trunk.");
    lesson.claim_at_most("test loss; the bound is halfway between the minimum left to right, " + fixed(causal) +
                             ", and with both sides, " + fixed(both),
                         test.loss, 0.5 * (causal + both));
    lesson.claim_at_least("test loss; not below the minimum with both sides, less four standard errors", test.loss,
                          both - 4 * test.error);
}

static void walk_chain(Lesson& lesson, const Choices& choices, Random& random) {
    const MarkovChain chain = make_markov_chain(random);
    const bert::Config config{.vocabulary = chain.symbols() + 1,
                              .positions = chain_length,
                              .token_types = 1,
                              .width = 32,
                              .depth = 2,
                              .heads = 2,
                              .mlp_width = 64,
                              .pooler = false};
    const mlm::Weights w = mlm::make_weights(config, random, {.stddev = 0.1f});
    step_chain(lesson, chain);
    step_chain_training(lesson, chain, w, config, choices, random);
    step_chain_answer(lesson, chain, w, config, random);
    step_chain_test(lesson, chain, w, config, random);
}

// --- the user's own text ---

static constexpr int text_length = 32;  // tokens in a sequence, [CLS] and [SEP] included

// Splits the tokens of a text into sequences.
static std::vector<std::vector<int>> cut_into_sequences(const std::vector<int>& pieces, const wordpiece::Vocabulary& vocabulary) {
    std::vector<std::vector<int>> sequences;
    const std::size_t room = text_length - 2;
    for (std::size_t first = 0; first < pieces.size(); first += room) {
        std::vector<int> sequence{vocabulary.classification};
        sequence.insert(sequence.end(), pieces.begin() + static_cast<long>(first),
                        pieces.begin() + static_cast<long>(std::min(pieces.size(), first + room)));
        sequence.push_back(vocabulary.separator);
        sequences.push_back(sequence);
    }
    return sequences;
}

static Model step_own_vocabulary(Lesson& lesson, const std::string& text_given, const Choices& choices, Random& random) {
    lesson.step("What is the vocabulary of your text?");
    Model model;
    model.reading = {.lower_case = !choices.cased};
    if (choices.vocabulary.empty()) {
        Progress progress("learning the vocabulary", choices.pieces);
        const wordpiece::Learned learned = wordpiece::learn_vocabulary(text_given, choices.pieces, model.reading, 2, &progress);
        model.vocabulary = wordpiece::make_vocabulary(learned.entries);
    } else {
        model.vocabulary = wordpiece::load_vocabulary(choices.vocabulary);
    }
    model.config = {.vocabulary = model.vocabulary.size(),
                    .positions = text_length,
                    .width = choices.width,
                    .depth = 2,
                    .heads = choices.model_options.heads_or(4),
                    .mlp_width = 2 * choices.width,
                    .pooler = false};
    model.w = mlm::make_weights(model.config, random, {.stddev = 0.1f});
    lesson.say(model.vocabulary.size(), " entries, the last of them ", model.vocabulary.entries.back(), ". The model has ",
               count_numbers(mlm::parameters(model.w, model.config)), " parameters.");
    return model;
}

static void step_own_training(Lesson& lesson, const Model& model, const std::string& text_given, const Choices& choices,
                              Random& random) {
    lesson.step("What does it learn from your text?");
    const std::vector<int> pieces = wordpiece::encode(text_given, model.vocabulary, model.reading);
    const std::vector<std::vector<int>> sequences = cut_into_sequences(pieces, model.vocabulary);
    require(!sequences.empty(), choices.text, ": contains no words");
    const Pretraining how{.steps = choices.steps, .mask_id = model.vocabulary.mask, .special_ids = special_ids(model.vocabulary)};
    lesson.say(pieces.size(), " tokens in ", sequences.size(), " sequences of at most ", text_length, "; ", how.steps,
               " steps of ", how.batch, ".");
    const auto read = [&](Random& draw) { return sequences[draw.below(static_cast<int>(sequences.size()))]; };
    const std::vector<float> losses = pretrain(model.w, model.config, how, read, random);
    const Series curve = smoothed("masked language model loss", losses, std::max(1, how.steps / 30));
    lesson.curves({curve}, {"training step", "loss, nats"});
    lesson.claim_at_most("final loss; the initial one was " + fixed(curve.y.front()), curve.y.back(), curve.y.front());
}

// --- the lesson ---

static void save_model(Lesson& lesson, const Model& model, const std::string& path) {
    if (path.empty()) return;
    save(mlm::parameters(model.w, model.config), path, bert::metadata(model.config));
    wordpiece::save_vocabulary(model.vocabulary, path + ".vocab.txt");
    lesson.say("Saved as ", path, " and ", path, ".vocab.txt; load them with --weights, --vocab and --cased.");
}

static void walk_sentences(Lesson& lesson, const Choices& choices, Random& random) {
    std::vector<Sentence> sentences = all_sentences();
    if (choices.english()) std::erase_if(sentences, [](const Sentence& sentence) { return sentence.language != 0; });
    const SplitSentences corpus = split_sentences(sentences, random);
    const Model model = sentence_model(sentences, choices, random);
    step_read(lesson, model, choices.sentence);
    step_guess_untrained(lesson, model, choices);
    step_train_sentences(lesson, model, corpus, choices, random);
    step_restore(lesson, model, choices);
    const std::string changed = choices.english() ? "They [MASK] the window" : "Папа [MASK] раму";
    lesson.predict("Which word is most likely in \"" + changed + "\"?", {word_of(model, ask(model, changed).guesses[0].id)});
    step_both_sides(lesson, model, choices.english());
    step_never_seen(lesson, model, corpus);
    step_attention(lesson, model, choices);
    if (choices.sentence == Choices().sentence)
        step_decided(lesson, model, choices.sentence, {"мыл", "пила"});
    else
        step_decided(lesson, model, choices.sentence, {});
    save_model(lesson, model, choices.save);
}

static void walk_own_text(Lesson& lesson, const Choices& choices, Random& random) {
    const std::string text_given = read_text_file(choices.text);
    const Model model = step_own_vocabulary(lesson, text_given, choices, random);
    step_own_training(lesson, model, text_given, choices, random);
    step_restore(lesson, model, choices);
    save_model(lesson, model, choices.save);
}

static void walk_published(Lesson& lesson, const Choices& choices, Random& random) {
    require(!choices.vocabulary.empty(), "--weights needs --vocab, the vocab.txt of the same model");
    Model model;
    model.vocabulary = wordpiece::load_vocabulary(choices.vocabulary);
    model.reading = {.lower_case = !choices.cased};
    wordpiece::require_same_settings(choices.vocabulary, model.reading);
    const Safetensors file(choices.weights);
    model.config = bert::config_of(file, choices.model_options.settings());
    model.config.pooler = false;  // not needed here
    require(model.config.vocabulary >= model.vocabulary.used(), choices.vocabulary, ": ", model.vocabulary.used(),
            " entries, but the model has ", model.config.vocabulary);
    model.w = mlm::make_weights(model.config, random);
    LoadRules rules = mlm::load_rules();
    rules.allow_unexpected = true;
    load(mlm::parameters(model.w, model.config), file, rules);
    lesson.say(count_numbers(mlm::parameters(model.w, model.config)), " parameters: width ", model.config.width, ", ",
               model.config.depth, " blocks, ", model.config.heads, " heads, ", model.config.vocabulary, " entries.");
    lesson.step("Which token is missing?");
    print_guesses(lesson, model, choices.sentence);
    step_attention(lesson, model, choices);
    step_decided(lesson, model, choices.sentence, {});
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    require(choices.sentence.find("[MASK]") != std::string::npos, "--sentence \"", choices.sentence, "\" contains no [MASK]");
    Random random(seed);
    if (!choices.weights.empty()) return walk_published(lesson, choices, random);
    if (!choices.text.empty()) return walk_own_text(lesson, choices, random);
    walk_sentences(lesson, choices, random);
    if (choices.chain_steps > 0) walk_chain(lesson, choices, random);
}

int main(int argc, char** argv) {
    Options options("bert/bert", "BERT reads both sides of a masked word and predicts what neither side alone determines.",
                    "15 seconds");
    Choices choices;
    options.add("sentence", choices.sentence, "a sentence with [MASK], such as \"They [MASK] a song\"");
    options.add("language", choices.language, "en: English sentences only; ru: both languages");
    options.add("text", choices.text, "a text file of your own to learn from, UTF-8");
    options.add("steps", choices.steps, "training steps on sentences", 1, 1'000'000);
    options.add("chain-steps", choices.chain_steps, "training steps on the Markov chain; 0: without that part", 0, 1'000'000);
    options.add("width", choices.width, "D, divisible by the number of heads", 4, 1024);
    choices.model_options.declare(options, 4);
    options.add("pieces", choices.pieces, "size of the vocabulary learned from --text", 100, 100'000);
    options.add("weights", choices.weights, "a published checkpoint (safetensors) instead of training");
    options.add("vocab", choices.vocabulary, "its vocab.txt");
    options.add("cased", choices.cased, "the vocabulary of --vocab or --text is cased");
    options.add("block", choices.block, "block whose attention is shown; -1: all of a small model, the last of a large one", -1,
                1000);
    options.add_output("save", choices.save, "file for the trained model (safetensors)", {"", ".vocab.txt"});
    for (const char* const name : {"vocab", "eps", "activation"}) options.needs(name, "weights");
    options.needs("pieces", "text");
    options.needs_one_of("cased", {"weights", "text"});
    options.excludes("chain-steps", "text");
    for (const char* const name : {"text", "steps", "chain-steps", "width", "pieces", "save"}) options.excludes(name, "weights");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) {
        if (choices.sentence.empty()) choices.sentence = choices.english() ? english_question : russian_question;
        walk(lesson, choices, options.seed);
    });
}
