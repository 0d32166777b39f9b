// bert_against_gpt.cpp: BERT and GPT of the same size on the same sentences: one reads both sides of a gap, one only the left.
//
//   papers   Devlin et al. 2018, arXiv 1810.04805; Radford et al. 2019
//   shows    what a causal mask hides, what it makes possible, and how a causal model can fill a gap by scoring whole sentences
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
#include "walkthroughs/lesson/tokens.h"
#include "walkthroughs/toys/sentences.h"

struct Choices {
    int steps = 800, width = 48, seed = 1;
    std::string language = "ru";

    bool english() const { return only_english(language); }
};

// Both models, their vocabulary and their sentences.
struct Readers {
    std::vector<Sentence> sentences;
    SplitSentences corpus;
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

static const int verb_position = 2;  // [CLS] subject verb object

static Readers make_readers(const Choices& choices, Random& random) {
    Readers readers;
    readers.sentences = all_sentences();
    if (choices.english()) std::erase_if(readers.sentences, [](const Sentence& sentence) { return sentence.language != 0; });
    readers.corpus = split_sentences(readers.sentences, random);
    std::vector<std::string> texts;
    for (const Sentence& sentence : readers.sentences) texts.push_back(sentence.words());
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

static void step_masks(Lesson& lesson, bool english) {
    lesson.step("Who may attend to whom?", "no mask, and a causal mask");
    const int T = 5;
    Matrix all(T, T, 1), past(T, T);
    const MayAttend may = causal(T, T);
    for (int i = 0; i < T; ++i)
        for (int j = 0; j < T; ++j) past(i, j) = may(i, j);
    using Names = std::vector<std::string>;
    const Names masked =
        english ? Names{"[CLS]", "Mother", "[MASK]", "a", "book"} : Names{"[CLS]", "Мама", "[MASK]", "раму", "[SEP]"};
    const Names whole =
        english ? Names{"[CLS]", "Mother", "reads", "a", "book"} : Names{"[CLS]", "Мама", "мыла", "раму", "[SEP]"};
    lesson.pictures({{"BERT: every token to all", heat_map(all, lesson.colours, masked, masked)},
                     {"GPT: only to earlier tokens", heat_map(past, lesson.colours, whole, whole)}});
    if (!english) lesson.say("Мама мыла раму: Mama washed(f.) the frame, the first sentence of a Russian primer.");
    lesson.lines({english ? "[CLS] Mother [MASK] a book [SEP]   BERT reads a sentence with a masked word"
                          : "[CLS] Мама [MASK] раму [SEP]   BERT reads a sentence with a masked word",
                  english ? "[CLS] Mother ...                   GPT reads the words before it"
                          : "[CLS] Мама ...                 GPT reads the words before it"});
    lesson.why(
        "the causal mask is the main difference between bert/ and gpt/ (the other is post-norm against pre-norm). It decides what each model can do: BERT fills gaps, GPT continues texts.");
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
    lesson.step("How are they trained?", "BERT: masked token.   GPT: next token.");
    lesson.say(readers.corpus.train.size(), " sentences such as \"", readers.corpus.train.back().words(), "\", ",
               readers.corpus.test.size(), " held out; BERT has ",
               count_numbers(mlm::parameters(readers.bert, readers.bert_config)), " parameters, GPT ",
               count_numbers(gpt::parameters(readers.gpt, readers.gpt_config)), ".");
    const Pretraining how{.steps = 2 * choices.steps,
                          .mask_id = readers.vocabulary.mask,
                          .special_ids = {readers.vocabulary.padding, readers.vocabulary.unknown,
                                          readers.vocabulary.classification, readers.vocabulary.separator}};
    const auto read = [&](Random& draw) {
        return ids_of(readers, readers.corpus.train[draw.below(static_cast<int>(readers.corpus.train.size()))].words());
    };
    const Series bert_curve = smoothed("BERT", pretrain(readers.bert, readers.bert_config, how, read, random), 20);
    const Recipe recipe = gpt_recipe(choices.steps);
    NextWords next_words(readers, recipe.batch, random);
    const DecayChoice trained = nothing_decays(variables(gpt::parameters(readers.gpt, readers.gpt_config)));
    std::vector<float> losses;
    {
        ShowProgress progress("training GPT", choices.steps);
        losses = train(next_words, trained, recipe, &progress);
    }
    lesson.curves({bert_curve, smoothed("GPT", losses, 20)}, {"training step", "loss, nats"});
    lesson.why(
        "the two losses cannot be compared: the tasks differ. GPT predicts at every position, BERT at 15 % of them, so BERT gets twice the steps.");
}

// Probabilities of every token at the verb's position, (1, V).
static Matrix bert_fills(const Readers& readers, const std::vector<int>& masked) {
    const bert::Batch batch = bert::make_batch({masked}, readers.vocabulary.padding);
    return softmax_rows(mlm::forward(batch, readers.bert, readers.bert_config, {verb_position}).prediction_logits).value();
}
static Matrix gpt_continues(const Readers& readers, const std::vector<int>& ids) {
    const int T = static_cast<int>(ids.size());
    return softmax_rows(slice_rows(gpt::forward(ids, T, readers.gpt, readers.gpt_config).logits.value(), verb_position - 1, 1))
        .value();
}

// log p of the sentence with each candidate as its verb, (1, C): GPT scores whole sentences.
static Matrix gpt_scores_whole(const Readers& readers, const std::vector<int>& masked, const std::vector<int>& candidates) {
    const int T = static_cast<int>(masked.size()), C = static_cast<int>(candidates.size());
    std::vector<int> ids;
    for (const int candidate : candidates) {
        ids.insert(ids.end(), masked.begin(), masked.end());
        ids[ids.size() - T + verb_position] = candidate;
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
    for (const Sentence& sentence : readers.sentences) verbs.insert(ids_of(readers, sentence.words())[verb_position]);
    return {verbs.begin(), verbs.end()};
}

static std::string best_words(const Readers& readers, const Matrix& probabilities, int count) {
    std::string words;
    for (const mlm::Prediction& guess : mlm::best_predictions(log(probabilities).value(), 0, count))
        words += (words.empty() ? "" : ", ") + readers.vocabulary.entries.at(guess.id) + " " + fixed(guess.probability, 2);
    return words;
}

static std::string most_likely(const Readers& readers, const std::vector<int>& candidates, const Matrix& log_p) {
    const Matrix p = softmax_rows(log_p).value();
    const int best = argmax_row(p, 0);
    return readers.vocabulary.entries.at(candidates[best]) + " " + fixed(p[best], 2);
}

static void step_ask(Lesson& lesson, const Readers& readers, bool english) {
    lesson.step("Which verb is missing?", "p(verb | both sides) and p(verb | left side)");
    const std::vector<int> candidates = all_verbs(readers);
    std::vector<std::vector<std::string>> rows{{"sentence", "BERT", "GPT, left side", "GPT, whole sentences"}};
    const std::vector<std::string> questions =
        english ? std::vector<std::string>{"Mother [MASK] a book", "Mother [MASK] a song", "They [MASK] a book"}
                : std::vector<std::string>{"Мама [MASK] раму", "Мама [MASK] книгу", "Папа [MASK] раму"};
    for (const std::string& question : questions) {
        const std::vector<int> ids = ids_of(readers, question);
        rows.push_back({question, best_words(readers, bert_fills(readers, ids), 1),
                        best_words(readers, gpt_continues(readers, ids), 2),
                        most_likely(readers, candidates, gpt_scores_whole(readers, ids, candidates))});
    }
    lesson.table(rows);
    if (!english) lesson.say("Mama washed(f.) the frame; Mama read(f.) a book; Papa washed(m.) the frame.");
    lesson.why(
        "the object determines the verb, the subject its form. From the left side GPT can infer only the form, and its prediction cannot depend on the object. But the probability of a sentence is the product over its tokens, so GPT can score the whole sentence with each verb: a wrong verb makes the object unlikely. That costs one forward pass per candidate.");
}

struct Scores {
    double bert = 0, gpt_left = 0, gpt_whole = 0, gpt_change = 0, bert_change = 0;
};

static Scores step_count(Lesson& lesson, const Readers& readers, bool english) {
    lesson.step("How often are they right?", "held-out pairs of subject and object");
    const std::vector<int> candidates = all_verbs(readers);
    Scores scores;
    const double share = 1.0 / static_cast<double>(readers.corpus.test.size());
    for (const Sentence& sentence : readers.corpus.test) {
        std::vector<int> ids = ids_of(readers, sentence.words());
        const int verb = ids[verb_position];
        ids[verb_position] = readers.vocabulary.mask;
        scores.bert += share * (argmax_row(bert_fills(readers, ids), 0) == verb);
        scores.gpt_left += share * (argmax_row(gpt_continues(readers, ids), 0) == verb);
        scores.gpt_whole += share * (candidates[argmax_row(gpt_scores_whole(readers, ids, candidates), 0)] == verb);
    }
    // the largest change of a probability when the object, after the gap, changes
    const std::vector<int> a = ids_of(readers, english ? "Mother [MASK] a book" : "Мама [MASK] раму");
    const std::vector<int> b = ids_of(readers, english ? "Mother [MASK] a song" : "Мама [MASK] книгу");
    for (int id = 0; id < readers.vocabulary.size(); ++id) {
        scores.bert_change =
            std::max<double>(scores.bert_change, std::abs(bert_fills(readers, a)[id] - bert_fills(readers, b)[id]));
        scores.gpt_change =
            std::max<double>(scores.gpt_change, std::abs(gpt_continues(readers, a)[id] - gpt_continues(readers, b)[id]));
    }
    lesson.predict("How often does GPT find the verb from the left side? From 0 to 1.", {scores.gpt_left, 0.08});
    lesson.table({{"model", "accuracy", "change with the object"},
                  {"BERT, both sides", fixed(scores.bert, 3), fixed(scores.bert_change)},
                  {"GPT, left side", fixed(scores.gpt_left, 3), fixed(scores.gpt_change)},
                  {"GPT, whole sentences", fixed(scores.gpt_whole, 3), ""}});
    lesson.why(
        "each subject occurs with eight verbs, so from the left side the accuracy cannot exceed about 1/8. The last column is the largest change of a probability when the object changes: 0 for a causal model.");
    return scores;
}

static void step_write(Lesson& lesson, const Readers& readers) {
    lesson.step("What can BERT not do?", "generate");
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
        "each token that GPT generates becomes part of its context, as in training. BERT predicts masked tokens, but defines no order in which to fill many, and no probability of a whole sentence. Next: gpt/prompting/in_context.");
}

static void walk(Lesson& lesson, const Choices& choices) {
    Random random(choices.seed);
    const Readers readers = make_readers(choices, random);
    const bool english = choices.english();
    step_masks(lesson, english);
    step_train(lesson, readers, choices, random);
    step_ask(lesson, readers, english);
    const Scores scores = step_count(lesson, readers, english);
    step_write(lesson, readers);

    lesson.step("Does it hold?");
    lesson.claim_at_least("BERT, both sides: accuracy", scores.bert, 0.95);
    lesson.claim_at_most("GPT, left side: accuracy", scores.gpt_left, 0.3);
    lesson.claim_at_least("GPT, whole sentences: accuracy", scores.gpt_whole, 0.9);
    lesson.claim_at_most("GPT, left side: change with the object", scores.gpt_change, 0);
}

int main(int argc, char** argv) {
    Options options("gpt/bert_against_gpt", "BERT and GPT fill the same gap: both sides, or only the left.", "15 seconds");
    Choices choices;
    options.add("steps", choices.steps, "training steps of GPT; BERT gets twice as many", 1, 100'000);
    options.add("language", choices.language, "en: English sentences only; ru: both languages");
    options.add("width", choices.width, "width of both models", 4, 1024);
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
