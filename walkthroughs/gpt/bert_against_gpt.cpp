// bert_against_gpt.cpp: "Мама ___ раму". Two models of the same size read the same sentences, one both sides, one only the left.
//
//   papers   Devlin et al. 2018, arXiv 1810.04805; Radford et al. 2019
//   shows    what a causal mask hides, what it is good for, and how a model that only looks back can fill a gap all the same
//   before   walkthroughs/bert/bert.cpp, walkthroughs/gpt/gpt.cpp
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "bert/mlm.h"
#include "gpt/writing.h"
#include "nn/autograd/operations.h"
#include "nn/text/batch.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/sentences.h"

struct Choices {
    int steps = 800, width = 48, seed = 1;
};

// Both models, their words and their sentences.
struct Readers {
    Corpus corpus;
    wordpiece::Vocabulary vocabulary;
    wordpiece::Config reading;
    bert::Config bert_config;
    mlm::Weights bert;
    gpt::Config gpt_config;
    gpt::Weights gpt;
};

static std::vector<int> ids_of(const Readers& readers, const std::string& words) {
    return encode_with_masks(words, readers.vocabulary, readers.reading);
}

static const int verb_place = 2;  // [CLS] subject verb object

static Readers make_readers(const Choices& choices, Random& random) {
    Readers readers;
    const std::vector<Sentence> sentences = all_sentences();
    readers.corpus = split_corpus(sentences, random);
    std::vector<std::string> texts;
    for (const Sentence& sentence : sentences) texts.push_back(sentence.words());
    readers.vocabulary = vocabulary_of(texts);
    readers.reading = {.lower_case = false};
    readers.bert_config = {.vocabulary = readers.vocabulary.size(),
                           .positions = 8,
                           .width = choices.width,
                           .depth = 2,
                           .heads = 4,
                           .mlp_width = 2 * choices.width,
                           .pooler = false};
    readers.gpt_config = {.vocabulary = readers.vocabulary.size(),
                          .positions = 8,
                          .width = choices.width,
                          .depth = 2,
                          .heads = 4,
                          .mlp_width = 2 * choices.width};
    readers.bert = mlm::make_weights(readers.bert_config, random, {.stddev = 0.1f});
    readers.gpt = gpt::make_weights(readers.gpt_config, random, {.stddev = 0.1f, .embedding_stddev = 0.1f});
    return readers;
}

static void step_masks(Lesson& lesson) {
    lesson.step("Who sees whom?");
    const int T = 5;
    Matrix everybody(T, T, 1), past(T, T);
    const MayAttend may = causal(T, T);
    for (int i = 0; i < T; ++i)
        for (int j = 0; j < T; ++j) past(i, j) = may(i, j);
    lesson.pictures({{"BERT: all see all", heat_map(everybody, lesson.colours)},
                     {"GPT: nobody sees what comes", heat_map(past, lesson.colours)}});
    lesson.lines({"[CLS] Мама [MASK] раму [SEP]     BERT is given the sentence with a hole in it",
                  "[CLS] Мама ...                   GPT is given what stands before the hole"});
    lesson.why(
        "that is the whole difference between the two floors bert/ and gpt/ (and the order of norms and sums). From it follows ",
        "what each can be asked: BERT to fill, GPT to go on.");
}

static Recipe gpt_recipe(int steps) {
    return {.schedule = {.peak = 3e-3f, .warm_up = std::min(50, steps), .steps = steps, .descent = Descent::linear},
            .batch = 32,
            .beta2 = 0.98f};
}

namespace {
struct NextWords : Objective {
    const Readers& readers;
    int batch;
    Random& random;
    NextWords(const Readers& readers, int batch, Random& random) : readers(readers), batch(batch), random(random) {}

    Var loss(int) override {
        std::vector<std::vector<int>> sequences;
        for (int b = 0; b < batch; ++b) {
            const Sentence& sentence = readers.corpus.train[random.below(static_cast<int>(readers.corpus.train.size()))];
            sequences.push_back(ids_of(readers, sentence.words()));
        }
        const TokenBatch tokens = make_batch(sequences, readers.vocabulary.padding);
        return gpt::loss(gpt::forward(tokens.ids, tokens.length, readers.gpt, readers.gpt_config), next_tokens(tokens));
    }
};
}  // namespace

static void step_train(Lesson& lesson, const Readers& readers, const Choices& choices, Random& random) {
    lesson.step("How do they learn?", "BERT: the hidden word.   GPT: the next word.");
    lesson.say(readers.corpus.train.size(), " sentences such as \"", readers.corpus.train.back().words(), "\", ",
               readers.corpus.test.size(), " kept for the test; BERT has ",
               count_numbers(mlm::parameters(readers.bert, readers.bert_config)), " numbers, GPT ",
               count_numbers(gpt::parameters(readers.gpt, readers.gpt_config)), ".");
    const Pretraining how{.steps = 2 * choices.steps,
                          .mask_id = readers.vocabulary.mask,
                          .special_ids = {readers.vocabulary.padding, readers.vocabulary.unknown,
                                          readers.vocabulary.classification, readers.vocabulary.separator}};
    const auto read = [&](Random& draw) {
        return ids_of(readers, readers.corpus.train[draw.below(static_cast<int>(readers.corpus.train.size()))].words());
    };
    const Smoothed bert_curve = smoothed(pretrain(readers.bert, readers.bert_config, how, read, random), 20);
    const Recipe recipe = gpt_recipe(choices.steps);
    NextWords next_words(readers, recipe.batch, random);
    const DecayChoice trained = nothing_decays(variables(gpt::parameters(readers.gpt, readers.gpt_config)));
    std::vector<float> losses;
    {
        ShowProgress progress("training GPT", choices.steps);
        losses = train(next_words, trained, recipe, &progress);
    }
    const Smoothed gpt_curve = smoothed(losses, 20);
    lesson.curves({{"BERT", bert_curve.steps, bert_curve.losses}, {"GPT", gpt_curve.steps, gpt_curve.losses}});
    lesson.why(
        "the two losses are not to be compared: they ask different questions. GPT is asked at every word, BERT at one of seven, ",
        "so BERT gets twice the steps.");
}

// Probabilities of every word in the place of the verb, (1, V).
static Matrix bert_fills(const Readers& readers, const std::vector<int>& masked) {
    const bert::Batch batch = bert::make_batch({masked}, readers.vocabulary.padding);
    return softmax_rows(mlm::forward(batch, readers.bert, readers.bert_config, {verb_place}).prediction_logits).value();
}
static Matrix gpt_goes_on(const Readers& readers, const std::vector<int>& ids) {
    const int T = static_cast<int>(ids.size());
    return softmax_rows(slice_rows(gpt::forward(ids, T, readers.gpt, readers.gpt_config).logits.value(), verb_place - 1, 1))
        .value();
}

// log p of each sentence with one of the candidates in the place of the verb: GPT reads each of them to its end.
static Matrix gpt_reads_whole(const Readers& readers, const std::vector<int>& masked, const std::vector<int>& candidates) {
    const int T = static_cast<int>(masked.size()), C = static_cast<int>(candidates.size());
    std::vector<int> ids;
    for (const int candidate : candidates) {
        ids.insert(ids.end(), masked.begin(), masked.end());
        ids[ids.size() - T + verb_place] = candidate;
    }
    const gpt::Steps steps = gpt::forward(ids, T, readers.gpt, readers.gpt_config);
    const Var losses = gpt::position_losses(steps, next_tokens(ids, T));  // (C*T, 1)
    const Matrix by_sentence = reshape(losses.value(), C, T);
    Matrix log_p(1, C);
    for (int c = 0; c < C; ++c)
        for (int t = 0; t < T; ++t) log_p(0, c) -= by_sentence(c, t);
    return log_p;
}

static std::vector<int> all_verbs(const Readers& readers) {
    std::set<int> verbs;
    for (const Sentence& sentence : all_sentences()) verbs.insert(ids_of(readers, sentence.words())[verb_place]);
    return {verbs.begin(), verbs.end()};
}

static std::string best_words(const Readers& readers, const Matrix& probabilities, int count) {
    std::string words;
    for (const mlm::Guess& guess : mlm::best_guesses(log(probabilities).value(), 0, count))
        words += (words.empty() ? "" : ", ") + readers.vocabulary.entries.at(guess.id) + " " + fixed(guess.probability, 2);
    return words;
}

static std::string most_likely(const Readers& readers, const std::vector<int>& candidates, const Matrix& log_p) {
    const Matrix p = softmax_rows(log_p).value();
    const int best = argmax_row(p, 0);
    return readers.vocabulary.entries.at(candidates[best]) + " " + fixed(p[best], 2);
}

static void step_ask(Lesson& lesson, const Readers& readers) {
    lesson.step("Мама ___ раму", "p(word | both sides) and p(word | left side)");
    const std::vector<int> candidates = all_verbs(readers);
    std::vector<std::vector<std::string>> rows{
        {"sentence", "BERT", "GPT, from the left", "GPT, reading each verb's sentence whole"}};
    const std::vector<std::string> questions{"Мама [MASK] раму", "Мама [MASK] книгу", "Папа [MASK] раму"};
    for (const std::string& question : questions) {
        const std::vector<int> ids = ids_of(readers, question);
        rows.push_back({question, best_words(readers, bert_fills(readers, ids), 1),
                        best_words(readers, gpt_goes_on(readers, ids), 3),
                        most_likely(readers, candidates, gpt_reads_whole(readers, ids, candidates))});
    }
    lesson.table(rows);
    lesson.why(
        "the object tells which verb, the subject tells its form. From the left GPT knows the form only, and its answer cannot "
        "change ",
        "with the object. But the sentence is as likely as the product of all its words, so GPT can try each verb and read on: "
        "what ",
        "does not fit makes the object unlikely. That costs one reading for each candidate.");
    lesson.predict("BERT's answer to \"[MASK] мыла раму\", and GPT's");
}

struct Scores {
    double bert = 0, gpt_left = 0, gpt_whole = 0, gpt_change = 0, bert_change = 0;
};

static Scores step_count(Lesson& lesson, const Readers& readers) {
    lesson.step("How often are they right?", "on pairs of subject and object that neither has seen");
    const std::vector<int> candidates = all_verbs(readers);
    Scores scores;
    const double share = 1.0 / static_cast<double>(readers.corpus.test.size());
    for (const Sentence& sentence : readers.corpus.test) {
        std::vector<int> ids = ids_of(readers, sentence.words());
        const int verb = ids[verb_place];
        ids[verb_place] = readers.vocabulary.mask;
        scores.bert += share * (argmax_row(bert_fills(readers, ids), 0) == verb);
        scores.gpt_left += share * (argmax_row(gpt_goes_on(readers, ids), 0) == verb);
        scores.gpt_whole += share * (candidates[argmax_row(gpt_reads_whole(readers, ids, candidates), 0)] == verb);
    }
    // how much the first answer moves when the object, which stands behind the hole, is another one
    const std::vector<int> a = ids_of(readers, "Мама [MASK] раму"), b = ids_of(readers, "Мама [MASK] книгу");
    for (int id = 0; id < readers.vocabulary.size(); ++id) {
        scores.bert_change =
            std::max<double>(scores.bert_change, std::abs(bert_fills(readers, a)[id] - bert_fills(readers, b)[id]));
        scores.gpt_change =
            std::max<double>(scores.gpt_change, std::abs(gpt_goes_on(readers, a)[id] - gpt_goes_on(readers, b)[id]));
    }
    lesson.table({{"who", "right", "largest change of a probability when the object changes"},
                  {"BERT, both sides", fixed(scores.bert, 3), fixed(scores.bert_change)},
                  {"GPT, left side", fixed(scores.gpt_left, 3), fixed(scores.gpt_change)},
                  {"GPT, whole sentences", fixed(scores.gpt_whole, 3), ""}});
    lesson.why("a subject goes with eight verbs, so from the left nobody can be right more often than about one time in eight.");
    return scores;
}

static void step_write(Lesson& lesson, const Readers& readers) {
    lesson.step("And what can BERT not do?", "write");
    Random random(5);
    const int count = 4, T = readers.gpt_config.positions;
    const std::vector<int> prompts(count, readers.vocabulary.classification);
    lesson.code(3);
    const auto written = gpt::generate(prompts, 1, readers.gpt, readers.gpt_config,
                                       {.new_tokens = T - 1, .end_of_text = readers.vocabulary.separator}, {},
                                       uniform_matrix(random, count, T - 1));
    for (const std::vector<int>& ids : written) {
        std::string line;
        for (const int id : ids) line += readers.vocabulary.entries.at(id) + " ";
        lesson.lines({line});
    }
    lesson.why(
        "every word GPT writes becomes part of what it has read; it was trained for just that. BERT knows the words around a "
        "hole, ",
        "but has no order in which to fill many, and gives no probability to a sentence as a whole.");
}

static void walk(Lesson& lesson, const Choices& choices) {
    Random random(choices.seed);
    const Readers readers = make_readers(choices, random);
    step_masks(lesson);
    step_train(lesson, readers, choices, random);
    step_ask(lesson, readers);
    const Scores scores = step_count(lesson, readers);
    step_write(lesson, readers);

    lesson.step("Does it hold?");
    lesson.claim_at_least("BERT finds the verb that only both sides tell", scores.bert, 0.95);
    lesson.claim_at_most("GPT finds it from the left side", scores.gpt_left, 0.3);
    lesson.claim_at_least("GPT finds it by reading whole sentences", scores.gpt_whole, 0.9);
    lesson.claim_at_most("change of GPT's answer when the object changes", scores.gpt_change, 0);
}

int main(int argc, char** argv) {
    Options options("gpt/bert_against_gpt", "BERT and GPT before the same hole: Мама ___ раму.", "15 seconds");
    Choices choices;
    options.add("steps", choices.steps, "steps of training for GPT; BERT gets twice as many", 1, 100'000);
    options.add("width", choices.width, "numbers in a token, of both", 4, 1024);
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
