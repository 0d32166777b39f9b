// bert.cpp: BERT learns to fill gaps, first in sentences, then in a language whose limits are known exactly.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, section 3
//   shows    that reading both sides finds the word that neither side alone can know, and passes the floor of every model that
//            reads from left to right
//   before   wordpiece.cpp, mlm.cpp
//   next     fine_tuning.cpp
#include "bert/bert.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bert/mlm.h"
#include "bert/wordpiece.h"
#include "nn/autograd/operations.h"
#include "nn/base/require.h"
#include "nn/data/file_kind.h"
#include "nn/data/text.h"
#include "nn/training/loss.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/toys/markov_chain.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/sentences.h"

struct Choices {
    std::string sentence = "Мама [MASK] раму", text, weights, vocabulary, save;
    int steps = 1500, chain_steps = 2000, width = 48, pieces = 1000, block = -1;
    bool cased = false;
    TellModel tell;  // heads, and more of a checkpoint
};

struct Model {
    wordpiece::Vocabulary vocabulary;
    wordpiece::Config reading;
    bert::Config config;
    mlm::Weights w;
};

static std::string percent(double share) { return fixed(100 * share, 1) + " %"; }

static std::string word_of(const Model& model, int id) { return model.vocabulary.entries.at(id); }

static std::vector<int> special_ids(const wordpiece::Vocabulary& vocabulary) {
    return {vocabulary.padding, vocabulary.unknown, vocabulary.classification, vocabulary.separator};
}

// --- what is asked of it ---

// The answer to the first [MASK] of a sentence.
struct Answer {
    std::vector<mlm::Guess> guesses;  // the five best
    float probability_of(int id) const {
        for (const mlm::Guess& guess : guesses)
            if (guess.id == id) return guess.probability;
        return 0;
    }
};

static Answer ask(const Model& model, const std::string& sentence) {
    const std::vector<int> ids = encode_with_masks(sentence, model.vocabulary, model.reading);
    const std::vector<int> places = mask_places(ids, model.vocabulary);
    const mlm::Steps steps = mlm::forward(bert::make_batch({ids}, model.vocabulary.padding), model.w, model.config, places);
    return {mlm::best_guesses(steps.prediction_logits.value(), 0)};
}

static void print_guesses(Lesson& lesson, const Model& model, const std::string& sentence) {
    const std::vector<int> ids = encode_with_masks(sentence, model.vocabulary, model.reading);
    const std::vector<int> places = mask_places(ids, model.vocabulary);
    const mlm::Steps steps = mlm::forward(bert::make_batch({ids}, model.vocabulary.padding), model.w, model.config, places);
    std::vector<std::vector<std::string>> rows{{"place", "1st", "p", "2nd", "p", "3rd", "p", "4th", "p", "5th", "p"}};
    for (std::size_t k = 0; k < places.size(); ++k) {
        std::vector<std::string> row{text(places[k])};
        for (const mlm::Guess& guess : mlm::best_guesses(steps.prediction_logits.value(), static_cast<int>(k))) {
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
                    .heads = choices.tell.heads_or(4),
                    .mlp_width = 2 * choices.width,
                    .pooler = false};
    model.w = mlm::make_weights(model.config, random, {.stddev = 0.1f});
    return model;
}

static void step_read(Lesson& lesson, const Model& model, const std::string& sentence) {
    lesson.step("What does BERT read?", "z0 = LayerNorm(word + sentence + place)", "(T, D)");
    const std::vector<int> ids = encode_with_masks(sentence, model.vocabulary, model.reading);
    const bert::Batch batch = bert::make_batch({ids}, model.vocabulary.padding);
    lesson.code();
    const bert::WordEmbedding steps = bert::embed_words(batch, model.w.trunk, model.config);
    std::vector<std::vector<std::string>> rows{{"place", "word", "id", "z0, the first four of " + text(model.config.width)}};
    for (std::size_t t = 0; t < ids.size(); ++t) {
        std::string numbers;
        for (int j = 0; j < 4; ++j) numbers += fixed(steps.z0.value()(static_cast<int>(t), j)) + "  ";
        rows.push_back({text(t), word_of(model, ids[t]), text(ids[t]), numbers});
    }
    lesson.table(rows);
    lesson.why(
        "three rows are looked up for every word and added: what it is, which sentence it is in, where it stands. A Vision "
        "Transformer multiplies pixels here. From z0 on both are the same, but for the norms: after every sum in BERT, before "
        "every "
        "part in ViT.");
}

static void step_guess_untrained(Lesson& lesson, const Model& model, const Choices& choices) {
    lesson.step("What would it put into the gap?", "p = softmax(h words^T + b)", "(S, V)");
    print_guesses(lesson, model, choices.sentence);
    lesson.why("nothing is learned yet: all ", model.vocabulary.size(), " words are as good as one another, about ",
               fixed(1.0 / model.vocabulary.size()), " each. The loss of not knowing is ln ", model.vocabulary.size(), " = ",
               fixed(std::log(model.vocabulary.size())), ".");
}

static void step_train_sentences(Lesson& lesson, const Model& model, const Corpus& corpus, const Choices& choices,
                                 Random& random) {
    lesson.step("How does it learn without a teacher?", "loss = mean of -log p(the hidden word)");
    const Pretraining how{.steps = choices.steps, .mask_id = model.vocabulary.mask, .special_ids = special_ids(model.vocabulary)};
    const auto read = [&](Random& draw) {
        const Sentence& sentence = corpus.train[draw.below(static_cast<int>(corpus.train.size()))];
        return encode_with_masks(sentence.words(), model.vocabulary, model.reading);
    };
    lesson.say(corpus.train.size(), " sentences in two languages, such as \"", corpus.train.front().words(), "\" and \"",
               corpus.train.back().words(), "\"; ", how.steps, " steps of ", how.batch,
               " sentences in which 15 % of the words are hidden. ", corpus.test.size(), " others are kept for later.");
    const std::vector<float> losses = pretrain(model.w, model.config, how, read, random);
    const Smoothed curve = smoothed(losses, std::max(1, how.steps / 60));
    lesson.curves({{.name = "loss of the hidden words", .x = curve.steps, .y = curve.losses}});
    lesson.why("it does not fall to 0, because subject, object and ending can be anything: only verbs are known for certain.");
}

static void step_restore(Lesson& lesson, const Model& model, const Choices& choices) {
    lesson.step("Which word was washed out?");
    print_guesses(lesson, model, choices.sentence);
}

static void step_both_sides(Lesson& lesson, const Model& model) {
    lesson.step("Which side told it?");
    std::vector<std::vector<std::string>> rows{{"sentence", "best", "p", "second", "p"}};
    for (const std::string sentence : {"Мама [MASK] раму", "Папа [MASK] раму", "Мама [MASK] чай", "Папа [MASK] чай",
                                       "She [MASK] a song", "They [MASK] a song", "They [MASK] the window"}) {
        const Answer answer = ask(model, sentence);
        rows.push_back({sentence, word_of(model, answer.guesses[0].id), fixed(answer.guesses[0].probability),
                        word_of(model, answer.guesses[1].id), fixed(answer.guesses[1].probability)});
    }
    lesson.table(rows);
    lesson.why(
        "the right side says which verb (раму: мыть, чай: пить), the left side which form (Мама: мыла, Папа: мыл). Change one "
        "side and "
        "half of the answer changes.");
    const Answer answer = ask(model, "Мама [MASK] раму");
    lesson.claim("the best word for \"Мама [MASK] раму\" is \"" + word_of(model, answer.guesses[0].id) + "\", expected \"мыла\"",
                 word_of(model, answer.guesses[0].id) == "мыла");
    lesson.claim_at_least("its probability", answer.probability_of(wordpiece::id_of(model.vocabulary, "мыла")), 0.7);
}

static void step_never_seen(Lesson& lesson, const Model& model, const Corpus& corpus) {
    lesson.step("Did it learn the sentences by heart?");
    std::vector<std::vector<int>> sequences;
    std::vector<int> labels;
    for (const Sentence& sentence : corpus.test) {
        const std::string gap = sentence.subject + " [MASK] " + sentence.object + " " + sentence.ending;
        sequences.push_back(encode_with_masks(gap, model.vocabulary, model.reading));
        labels.push_back(wordpiece::id_of(model.vocabulary, sentence.verb));
    }
    const bert::Batch batch = bert::make_batch(sequences, model.vocabulary.padding);
    const std::vector<int> places = mask_places(batch.ids, model.vocabulary);
    lesson.code();
    const mlm::Steps steps = mlm::forward(batch, model.w, model.config, places);
    const float loss = mlm::loss(steps, labels).sum.value()(0, 0);
    const float right = accuracy(steps.prediction_logits.value(), labels);
    lesson.table({{"who reads the verbs of " + text(labels.size()) + " sentences never seen", "may choose among", "loss"},
                  {"nobody", "all words", fixed(std::log(model.vocabulary.size()))},
                  {"the left side only: form known, verb unknown", text(objects) + " verbs", fixed(std::log(objects))},
                  {"the right side only: verb known, form unknown", "2 forms", fixed(std::log(2))},
                  {"BERT, both sides", "", fixed(loss)}});
    lesson.why(
        "these pairs of subject and object were never together in training. What is known about each side alone is put "
        "together.");
    lesson.claim_at_least("verbs of sentences never seen that are restored, share", right, 0.9);
    lesson.claim_at_most("their loss; a coin thrown between the two forms costs ln 2 = " + fixed(std::log(2)), loss,
                         0.5 * std::log(2));
}

static void step_attention(Lesson& lesson, const Model& model, const Choices& choices) {
    lesson.step("Where does the gap look?", "A = softmax(q k^T / sqrt(h))");
    const std::vector<int> ids = encode_with_masks(choices.sentence, model.vocabulary, model.reading);
    const bert::Batch batch = bert::make_batch({ids}, model.vocabulary.padding);
    const bert::Steps steps = bert::forward(batch, model.w.trunk, model.config);
    const int gap = mask_places(ids, model.vocabulary).at(0);
    std::vector<Captioned> pictures;
    std::vector<std::vector<std::string>> rows{{"block", "head"}};
    for (const int id : ids) rows[0].push_back(word_of(model, id));
    const std::vector<std::string> words(rows[0].begin() + 2, rows[0].end());
    require(choices.block < model.config.depth, "--block ", choices.block, ": there are ", model.config.depth, " blocks, from 0");
    const int first = choices.block >= 0 ? choices.block : model.config.depth <= 4 ? 0 : model.config.depth - 1;
    const int last = choices.block >= 0 ? choices.block : model.config.depth - 1;
    for (int l = first; l <= last; ++l)
        for (int h = 0; h < model.config.heads; ++h) {
            const Matrix A = bert::attention_of(steps, batch, model.config, l, h);  // (T, T)
            pictures.push_back({"block " + text(l) + " head " + text(h), heat_map(A, lesson.colours, words, words)});
            rows.push_back({text(l), text(h)});
            for (int t = 0; t < A.cols; ++t) rows.back().push_back(fixed(A(gap, t), 2));
        }
    lesson.pictures(pictures);
    lesson.say(
        "One picture a head: a row for each word that looks, a column for each it looks at, bright for much. The rows of [MASK] "
        "in numbers:");
    lesson.table(rows);
    lesson.why(
        "there is no causal mask, so nothing above the diagonal is forbidden: the gap takes from the word before it and from "
        "those after it.");
}

// --- a language whose limits are known ---

static constexpr int chain_length = 16;
static const int chain_mask = 12;  // the number behind the chain's 12 symbols

static void step_chain(Lesson& lesson, const MarkovChain& chain) {
    lesson.step("How good could anybody be?", "H(x_t | what is seen)");
    lesson.heat("P, a row for each symbol: how likely each next symbol is", chain.transitions);
    lesson.table({{"what is seen", "least loss", "nats"},
                  {"nothing", "H(x_t)", fixed(unigram_entropy(chain))},
                  {"everything before it", "H(x_t | x_t-1)", fixed(causal_entropy(chain))},
                  {"both sides", "H(x_t | x_t-1, x_t+1)", fixed(two_sided_entropy(chain))}});
    lesson.why(
        "in a Markov chain all that the past knows of a symbol is in the one before it, all that the future knows is in the one "
        "after it; "
        "so the least loss of every kind of reader is a sum over P. Left to right, nothing gets below ",
        fixed(causal_entropy(chain)), ".");
    lesson.predict("the loss that BERT reaches.");
}

struct Measured {
    double loss, error;  // mean over hidden symbols, and its standard error
};

// One hidden symbol, neither first nor last, in each of many fresh samples.
static Measured chain_test_loss(const MarkovChain& chain, const mlm::Weights& w, const bert::Config& config, Random& random) {
    double sum = 0, squares = 0;
    const int rounds = 16, at_once = 256;
    for (int round = 0; round < rounds; ++round) {
        std::vector<std::vector<int>> sequences;
        std::vector<int> places, labels;
        for (int b = 0; b < at_once; ++b) {
            sequences.push_back(sample(chain, random, chain_length));
            const int t = 1 + random.below(chain_length - 2);
            places.push_back(b * chain_length + t);
            labels.push_back(sequences.back()[t]);
            sequences.back()[t] = chain_mask;
        }
        const mlm::Steps steps = mlm::forward(bert::make_batch(sequences), w, config, places);
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
    lesson.step("How good does BERT get?");
    const Pretraining how{.steps = choices.chain_steps, .peak = 6e-3f, .mask_id = chain_mask, .special_ids = {}};
    const auto read = [&](Random& draw) { return sample(chain, draw, chain_length); };
    lesson.code();
    const std::vector<float> losses = pretrain(w, config, how, read, random);
    const Smoothed curve = smoothed(losses, std::max(1, how.steps / 60));
    const std::vector<float> ends{curve.steps.front(), curve.steps.back()};
    const float causal = static_cast<float>(causal_entropy(chain)), both = static_cast<float>(two_sided_entropy(chain));
    lesson.curves({{.name = "loss in training", .x = curve.steps, .y = curve.losses},
                   {.name = "floor left to right", .x = ends, .y = {causal, causal}},
                   {.name = "floor with both sides", .x = ends, .y = {both, both}}});
    lesson.why(
        "in training 15 % are hidden, so a neighbour is missing now and then, and a tenth of what is hidden lies: this loss "
        "stays above "
        "that of the test, where one symbol is hidden.");
}

static void step_chain_answer(Lesson& lesson, const MarkovChain& chain, const mlm::Weights& w, const bert::Config& config,
                              Random& random) {
    lesson.step("Does it know the probabilities?", "p(b | a, c) = P_ab P_bc / sum over b", "Bayes");
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
    lesson.why("hidden was ", truth, ". Nobody told it P, nor Bayes' rule.");
}

static void step_chain_test(Lesson& lesson, const MarkovChain& chain, const mlm::Weights& w, const bert::Config& config,
                            Random& random) {
    lesson.step("Is it below the floor of every left-to-right model?");
    const Measured test = chain_test_loss(chain, w, config, random);
    const double causal = causal_entropy(chain), both = two_sided_entropy(chain);
    lesson.say("Loss of 4096 symbols hidden in new samples: ", fixed(test.loss), " with a standard error of ", fixed(test.error),
               ". Of the way from ", fixed(causal), " down to ", fixed(both), " it has gone ",
               percent((causal - test.loss) / (causal - both)), ".");
    lesson.claim_at_most("test loss, against the middle between the floor left to right, " + fixed(causal) +
                             ", and the floor with both sides, " + fixed(both),
                         test.loss, 0.5 * (causal + both));
    lesson.claim_at_least(
        "and it is not better than possible: test loss, against the floor with both sides less four standard errors", test.loss,
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

static constexpr int text_length = 32;  // pieces of a sequence, [CLS] and [SEP] included

// The pieces of a text, cut into sequences.
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
    lesson.step("Which pieces is your text made of?");
    Model model;
    model.reading = {.lower_case = !choices.cased};
    if (choices.vocabulary.empty()) {
        Progress progress("learning the pieces", choices.pieces);
        const wordpiece::Learned learned = wordpiece::learn_vocabulary(text_given, choices.pieces, model.reading, 2, &progress);
        model.vocabulary = wordpiece::make_vocabulary(learned.entries);
    } else {
        model.vocabulary = wordpiece::load_vocabulary(choices.vocabulary);
    }
    model.config = {.vocabulary = model.vocabulary.size(),
                    .positions = text_length,
                    .width = choices.width,
                    .depth = 2,
                    .heads = choices.tell.heads_or(4),
                    .mlp_width = 2 * choices.width,
                    .pooler = false};
    model.w = mlm::make_weights(model.config, random, {.stddev = 0.1f});
    lesson.say(model.vocabulary.size(), " pieces, the last of them: ", model.vocabulary.entries.back(), ". The model has ",
               count_numbers(mlm::parameters(model.w, model.config)), " numbers.");
    return model;
}

static void step_own_training(Lesson& lesson, const Model& model, const std::string& text_given, const Choices& choices,
                              Random& random) {
    lesson.step("What does it learn from your text?");
    const std::vector<int> pieces = wordpiece::encode(text_given, model.vocabulary, model.reading);
    const std::vector<std::vector<int>> sequences = cut_into_sequences(pieces, model.vocabulary);
    require(!sequences.empty(), choices.text, ": holds no words");
    const Pretraining how{.steps = choices.steps, .mask_id = model.vocabulary.mask, .special_ids = special_ids(model.vocabulary)};
    lesson.say(pieces.size(), " pieces in ", sequences.size(), " sequences of at most ", text_length, "; ", how.steps,
               " steps of ", how.batch, ".");
    const auto read = [&](Random& draw) { return sequences[draw.below(static_cast<int>(sequences.size()))]; };
    const std::vector<float> losses = pretrain(model.w, model.config, how, read, random);
    const Smoothed curve = smoothed(losses, std::max(1, how.steps / 30));
    lesson.curves({{.name = "loss of the hidden pieces", .x = curve.steps, .y = curve.losses}});
    lesson.claim_at_most("loss at the end; at the beginning it was " + fixed(curve.losses.front()), curve.losses.back(),
                         curve.losses.front());
}

// --- the parts put together ---

static void save_model(Lesson& lesson, const Model& model, const std::string& path) {
    if (path.empty()) return;
    save(mlm::parameters(model.w, model.config), path, bert::metadata(model.config));
    wordpiece::save_vocabulary(model.vocabulary, path + ".vocab.txt");
    lesson.say("Saved as ", path, " and ", path, ".vocab.txt; --weights, --vocab and --cased read them again.");
}

static void walk_sentences(Lesson& lesson, const Choices& choices, Random& random) {
    const std::vector<Sentence> sentences = all_sentences();
    const Corpus corpus = split_corpus(sentences, random);
    const Model model = sentence_model(sentences, choices, random);
    step_read(lesson, model, choices.sentence);
    step_guess_untrained(lesson, model, choices);
    step_train_sentences(lesson, model, corpus, choices, random);
    step_restore(lesson, model, choices);
    lesson.predict("the best word when Мама becomes Папа; then when раму becomes чай. The next step shows both.");
    step_both_sides(lesson, model);
    step_never_seen(lesson, model, corpus);
    step_attention(lesson, model, choices);
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
    const Safetensors file(choices.weights);
    model.config = bert::config_of(file, choices.tell.told());
    model.config.pooler = false;  // not needed to fill gaps
    require(model.config.vocabulary >= model.vocabulary.used(), choices.vocabulary, ": ", model.vocabulary.used(),
            " entries, the model knows ", model.config.vocabulary);
    model.w = mlm::make_weights(model.config, random);
    LoadRules rules = mlm::load_rules();
    rules.allow_unexpected = true;
    load(mlm::parameters(model.w, model.config), file, rules);
    lesson.say(count_numbers(mlm::parameters(model.w, model.config)), " numbers: width ", model.config.width, ", ",
               model.config.depth, " blocks, ", model.config.heads, " heads, ", model.config.vocabulary, " pieces.");
    lesson.step("Which word was washed out?");
    print_guesses(lesson, model, choices.sentence);
    step_attention(lesson, model, choices);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    require(choices.sentence.find("[MASK]") != std::string::npos, "there is no [MASK] in \"", choices.sentence, "\"");
    Random random(seed);
    if (!choices.weights.empty()) return walk_published(lesson, choices, random);
    if (!choices.text.empty()) return walk_own_text(lesson, choices, random);
    walk_sentences(lesson, choices, random);
    walk_chain(lesson, choices, random);
}

int main(int argc, char** argv) {
    Options options("bert/bert", "Hide a word and read both sides: BERT fills the gap that no side alone can fill.",
                    "15 seconds");
    Choices choices;
    options.add("sentence", choices.sentence, "a sentence with a gap, as \"Папа [MASK] чай\"");
    options.add("text", choices.text, "a text file of your own to learn from, UTF-8");
    options.add("steps", choices.steps, "training steps on sentences", 1, 1'000'000);
    options.add("chain-steps", choices.chain_steps, "training steps on the Markov chain", 1, 1'000'000);
    options.add("width", choices.width, "numbers in a token, divisible by 4", 4, 1024);
    choices.tell.declare(options, 4);
    options.add("pieces", choices.pieces, "size of the vocabulary learned from --text", 100, 100'000);
    options.add("weights", choices.weights, "a published checkpoint, safetensors, to be asked instead of trained");
    options.add("vocab", choices.vocabulary, "its vocab.txt");
    options.add("cased", choices.cased, "the vocabulary of --vocab or --text tells capitals from small letters");
    options.add("block", choices.block, "which block's heads to look at; -1: all of a small model, the last of a large one", -1,
                1000);
    options.add_output("save", choices.save, "where to put the trained model, safetensors", {"", ".vocab.txt"});
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
