// fine_tuning.cpp: eight labelled sentences are enough for a pre-trained model, and far too few for one trained from scratch.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, sections 3.2, 4 and 5.3
//   shows    that pre-training generalises to words without any label; and that one trunk serves sentences, tokens and spans, with
//            one linear layer each
//   before   bert.cpp
#include <algorithm>
#include <cmath>
#include <set>

#include "bert/heads.h"
#include "bert/mlm.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/lesson/tokens.h"
#include "walkthroughs/toys/sentences.h"

struct Choices {
    int steps = 1500, draws = 8, labelled_people = 2, fine_tuning_steps = 60;
    std::string language = "ru";

    bool english() const { return only_english(language); }
};

static const wordpiece::Config reading{.lower_case = false};

// --- the trunk ---

struct Pretrained {
    wordpiece::Vocabulary vocabulary;
    bert::Config config;  // without a pooler
    mlm::Weights w;
};

static Pretrained step_pretrain(Lesson& lesson, const std::vector<Sentence>& sentences, const Choices& choices, Random& random) {
    lesson.step("What does pre-training learn without labels?", "loss = mean of -log p(masked token)");
    std::vector<std::string> texts;
    for (const Sentence& sentence : sentences) texts.push_back(sentence.words());
    Pretrained trained;
    trained.vocabulary = vocabulary_of(texts);
    trained.config = {.vocabulary = trained.vocabulary.size(),
                      .positions = 16,
                      .width = 48,
                      .depth = 2,
                      .heads = 4,
                      .mlp_width = 96,
                      .pooler = false};
    trained.w = mlm::make_weights(trained.config, random, {.stddev = 0.1f});
    const Pretraining how{.steps = choices.steps,
                          .mask_id = trained.vocabulary.mask,
                          .special_ids = {trained.vocabulary.padding, trained.vocabulary.unknown,
                                          trained.vocabulary.classification, trained.vocabulary.separator}};
    const auto read = [&](Random& draw) {
        const Sentence& sentence = sentences[draw.below(static_cast<int>(sentences.size()))];
        return encode_with_masks(sentence.words(), trained.vocabulary, reading);
    };
    lesson.code();
    const std::vector<float> losses = pretrain(trained.w, trained.config, how, read, random);
    lesson.curves({smoothed("masked language model loss", losses, std::max(1, how.steps / 60))}, {"training step", "loss, nats"});
    lesson.why("as in bert/bert, it predicts masked tokens of ", sentences.size(), " sentences without labels.");
    return trained;
}

// --- the task ---

// Sentences whose verb is masked. The label is the form that the verb would have, which only the subject determines: in Russian the
// gender, in English the number.
struct Task {
    std::vector<Sentence> labelled, test;
};

static std::string with_mask(const Sentence& sentence) { return sentence.subject + " [MASK] " + sentence.object; }

// Of each form, `people` subjects get two labelled sentences each; all sentences about the other subjects are the test set.
static Task draw_task(const std::vector<Sentence>& sentences, int language, int people, Random& random) {
    std::vector<std::string> names[2];
    std::vector<Sentence> of_language;
    for (const Sentence& sentence : sentences) {
        if (sentence.language != language || !sentence.ending.empty()) continue;
        of_language.push_back(sentence);
        std::vector<std::string>& known = names[sentence.form];
        if (std::find(known.begin(), known.end(), sentence.subject) == known.end()) known.push_back(sentence.subject);
    }
    std::set<std::string> chosen;
    for (const std::vector<std::string>& kind : names) {
        const std::vector<int> order = permutation(random, static_cast<int>(kind.size()));
        for (int k = 0; k < people; ++k) chosen.insert(kind[order[k]]);
    }
    Task task;
    std::multiset<std::string> taken;
    for (const int k : permutation(random, static_cast<int>(of_language.size()))) {
        const Sentence& sentence = of_language[k];
        if (chosen.count(sentence.subject) == 0) {
            task.test.push_back(sentence);
        } else if (taken.count(sentence.subject) < 2) {
            task.labelled.push_back(sentence);
            taken.insert(sentence.subject);
        }
    }
    return task;
}

static bert::Batch batch_of(const std::vector<Sentence>& sentences, const wordpiece::Vocabulary& vocabulary) {
    std::vector<std::vector<int>> sequences;
    for (const Sentence& sentence : sentences) sequences.push_back(encode_with_masks(with_mask(sentence), vocabulary, reading));
    return bert::make_batch(sequences, vocabulary.padding);
}

static std::vector<int> forms_of(const std::vector<Sentence>& sentences) {
    std::vector<int> forms;
    for (const Sentence& sentence : sentences) forms.push_back(sentence.form);
    return forms;
}

static void step_task(Lesson& lesson, const Task& task, bool english) {
    lesson.step("What is the labelled task?");
    const std::string labels[2] = {english ? "0  one person" : "0  a man", english ? "1  several" : "1  a woman"};
    std::vector<std::vector<std::string>> rows{{"labelled sentence", "label"}};
    for (const Sentence& sentence : task.labelled) rows.push_back({with_mask(sentence), labels[sentence.form]});
    lesson.table(rows);
    if (!english)
        lesson.say(
            "Subjects: Папа father, Дедушка grandfather, Брат brother, Дядя uncle, Сосед neighbour(m.), Друг friend(m.); Мама mother, Бабушка grandmother, Сестра sister, Тётя aunt, Соседка neighbour(f.), Подруга friend(f.). --language en asks for the number of English subjects.");
    std::set<std::string> others;
    for (const Sentence& sentence : task.test) others.insert(sentence.subject);
    std::string list;
    for (const std::string& name : others) list += (list.empty() ? "" : ", ") + name;
    lesson.say("These ", task.labelled.size(), " are the whole training set. The test set: ", task.test.size(),
               " sentences about ", others.size(), " other subjects: ", list, ".");
    lesson.why(
        "no label covers the subjects of the test set, and the verb that would reveal the form is masked. Without pre-training a model can only guess.");
}

// --- fine-tuning ---

enum class Start { pretrained, pretrained_frozen, fresh };

// A model with a fresh head, and a fresh pooler where the task has one; the trunk pre-trained or fresh.
static heads::Weights make_model(const heads::Config& config, const Pretrained& trained, Start start, Random& random) {
    const heads::Weights w = heads::make_weights(config, random, {.stddev = 0.1f});
    if (start == Start::fresh) return w;
    bert::Config without_pooler = config.trunk;
    without_pooler.pooler = false;
    copy_values(bert::parameters(trained.w.trunk, trained.config), bert::parameters(w.trunk, without_pooler));
    return w;
}

// With a frozen trunk, pooler included, only the head is trained.
static std::vector<Var> trained_variables(const heads::Weights& w, const heads::Config& config, Start start) {
    if (start != Start::pretrained_frozen) return variables(heads::parameters(w, config));
    return variables(heads::head_parameters(w, config));
}

// A constant learning rate, larger when only the head is trained.
static Recipe fine_tuning_recipe(Start start, int steps) {
    const float rate = start == Start::pretrained_frozen ? 1e-2f : 1e-3f;
    return {.schedule = {.peak = rate, .steps = steps, .descent = Descent::none}};
}

namespace {
// One batch of all labelled sentences.
struct SequenceLoss : Objective {
    const heads::Weights& w;
    const heads::Config& config;
    const bert::Batch& batch;
    const std::vector<int>& labels;
    heads::Trunk trunk;

    SequenceLoss(const heads::Weights& w, const heads::Config& config, const bert::Batch& batch, const std::vector<int>& labels,
                 heads::Trunk trunk)
        : w(w), config(config), batch(batch), labels(labels), trunk(trunk) {}

    Var loss(int) override { return heads::loss(heads::classify_sequences(batch, w, config, trunk), labels); }
};
}  // namespace

static void fine_tune(const heads::Weights& w, const heads::Config& config, const bert::Batch& batch,
                      const std::vector<int>& labels, Start start, int steps) {
    const heads::Trunk trunk = start == Start::pretrained_frozen ? heads::Trunk::frozen : heads::Trunk::trained;
    SequenceLoss objective(w, config, batch, labels, trunk);
    train(objective, nothing_decays(trained_variables(w, config, start)), fine_tuning_recipe(start, steps));
}

static float test_accuracy(const heads::Weights& w, const heads::Config& config, const Task& task,
                           const wordpiece::Vocabulary& vocabulary) {
    const heads::Steps forward = heads::classify_sequences(batch_of(task.test, vocabulary), w, config);
    return accuracy(forward.logits.value(), forms_of(task.test));
}

static void step_head(Lesson& lesson, const Pretrained& trained, const Task& task, Random& random) {
    lesson.step("Which weights are new?", "logits = tanh([CLS] W_p + b_p) W + b", "(B, K)");
    const heads::Config config = heads::make_config(trained.config, heads::Task::sequences, 2);
    const heads::Weights w = make_model(config, trained, Start::pretrained, random);
    const bert::Batch batch = batch_of(task.labelled, trained.vocabulary);
    lesson.code();
    const heads::Steps steps = heads::classify_sequences(batch, w, config);
    lesson.matrix("probabilities", steps.probabilities.value());
    const long below = count_numbers(bert::parameters(trained.w.trunk, trained.config));
    lesson.say("The head has ", count_numbers(heads::head_parameters(w, config)), " parameters, the pooler ",
               count_numbers(bert::parameters(w.trunk, config.trunk)) - below, ", the pre-trained trunk ", below, ".");
    lesson.why("head and pooler are random, so these are guesses; the trunk is pre-trained.");
}

struct Results {
    std::vector<float> pretrained, frozen, fresh;  // test accuracy of each draw
};

static float mean_of(const std::vector<float>& numbers) {
    float sum = 0;
    for (const float x : numbers) sum += x;
    return sum / static_cast<float>(numbers.size());
}

// Trains one model for each start on the same labels, and adds its test accuracy to the results.
static void compare_starts(Results& results, const Task& task, const heads::Config& config, const Pretrained& trained,
                           const Choices& choices, Random& random) {
    const bert::Batch batch = batch_of(task.labelled, trained.vocabulary);
    const std::vector<int> labels = forms_of(task.labelled);
    const auto right_after = [&](Start start) {
        const heads::Weights w = make_model(config, trained, start, random);
        fine_tune(w, config, batch, labels, start, choices.fine_tuning_steps);
        return test_accuracy(w, config, task, trained.vocabulary);
    };
    results.pretrained.push_back(right_after(Start::pretrained));
    results.frozen.push_back(right_after(Start::pretrained_frozen));
    results.fresh.push_back(right_after(Start::fresh));
}

// "Мама, Папа": each subject of the sentences once, sorted.
static std::string subjects_of(const std::vector<Sentence>& sentences) {
    std::set<std::string> names;
    for (const Sentence& sentence : sentences) names.insert(sentence.subject);
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    return list;
}

static Results step_compare(Lesson& lesson, const Pretrained& trained, const std::vector<Sentence>& sentences,
                            const Choices& choices, Random& random) {
    lesson.step("Does pre-training help?", "fine-tune, linear probe, from scratch");
    const heads::Config config = heads::make_config(trained.config, heads::Task::sequences, 2);
    Results results;
    std::vector<std::vector<std::string>> rows{{"draw", "labelled subjects", "fine-tuned", "frozen trunk", "from scratch"}};
    for (int draw = 0; draw < choices.draws; ++draw) {
        const Task task = draw_task(sentences, choices.english() ? 0 : 1, choices.labelled_people, random);
        compare_starts(results, task, config, trained, choices, random);
        rows.push_back({text(draw + 1), subjects_of(task.labelled), percent(results.pretrained.back()),
                        percent(results.frozen.back()), percent(results.fresh.back())});
    }
    rows.push_back(
        {"mean", "", percent(mean_of(results.pretrained)), percent(mean_of(results.frozen)), percent(mean_of(results.fresh))});
    lesson.predict("What is the mean test accuracy after pre-training, all weights trained? From 0 to 1.",
                   {mean_of(results.pretrained), 0.05});
    lesson.table(rows);
    lesson.why(
        "each draw labels other subjects and starts from other random heads. All three fit their labelled sentences; they differ in generalisation. From scratch, two names are two unrelated embeddings. Pre-training had to predict verb forms for all of them. A frozen trunk keeps that information at [MASK]; fine-tuning moves it to [CLS], where the head reads.");
    return results;
}

// Cosine similarity of two rows.
static float cosine(const Matrix& m, int a, int b) {
    double ab = 0, aa = 0, bb = 0;
    for (int j = 0; j < m.cols; ++j) {
        ab += m(a, j) * m(b, j);
        aa += m(a, j) * m(a, j);
        bb += m(b, j) * m(b, j);
    }
    return static_cast<float>(ab / std::sqrt(aa * bb));
}

struct Similarity {
    float same_form, other_form;  // mean cosines
};

// The output vectors at [MASK] of "... [MASK] чай" (tea) or "... [MASK] a book", for all pairs of subjects.
static Similarity similarity(const bert::Weights& trunk, const bert::Config& config, const std::vector<Sentence>& sentences,
                             const wordpiece::Vocabulary& vocabulary, const std::string& object) {
    std::vector<Sentence> chosen;
    for (const Sentence& sentence : sentences)
        if (sentence.object == object && sentence.ending.empty()) chosen.push_back(sentence);
    const bert::Batch batch = batch_of(chosen, vocabulary);
    const Matrix output = bert::forward(batch, trunk, config).encoder.output.value();  // (B*T, D)
    const std::vector<int> masks = mask_positions(batch.ids, vocabulary);
    double sum[2] = {0, 0};
    int count[2] = {0, 0};
    for (std::size_t a = 0; a < masks.size(); ++a)
        for (std::size_t b = a + 1; b < masks.size(); ++b) {
            const int same = chosen[a].form == chosen[b].form;
            sum[same] += cosine(output, masks[a], masks[b]);
            ++count[same];
        }
    return {static_cast<float>(sum[1] / count[1]), static_cast<float>(sum[0] / count[0])};
}

static void step_similarity(Lesson& lesson, const Pretrained& trained, const std::vector<Sentence>& sentences, bool english,
                            Random& random) {
    lesson.step("What has pre-training changed?", "cos(a, b) = a b / (|a| |b|)");
    const std::string object = english ? "a book" : "чай";
    const bert::Weights fresh = bert::make_weights(trained.config, random, {.stddev = 0.1f});
    const Similarity pretrained = similarity(trained.w.trunk, trained.config, sentences, trained.vocabulary, object);
    const Similarity untrained = similarity(fresh, trained.config, sentences, trained.vocabulary, object);
    lesson.say("The output vectors at [MASK] of \"... [MASK] ", object, "\" for all twelve subjects, in pairs:");
    lesson.table({{"mean cosine", "same verb form", "different form"},
                  {"pre-trained trunk", fixed(pretrained.same_form), fixed(pretrained.other_form)},
                  {"fresh trunk", fixed(untrained.same_form), fixed(untrained.other_form)}});
    lesson.why(
        english
            ? "to predict reads or read, subjects of the same number had to become similar, and different from the others."
            : "to predict пил, drank(m.), or пила, drank(f.), women had to become similar to one another and different from men.",
        " One labelled subject then generalises to all of its kind.");
    lesson.claim("the pre-trained trunk separates the forms more than the fresh one",
                 pretrained.same_form - pretrained.other_form > untrained.same_form - untrained.other_form + 0.1f);
}

// --- the other two heads ---

// Labels: 0 subject, 1 verb, 2 object, 3 ending for every token of a sentence; [CLS], [SEP] and padding have none.
struct Marked {
    bert::Batch batch;
    std::vector<int> roles;         // (B*T)
    std::vector<int> starts, ends;  // of the object, (B)
};

static int word_count(const std::string& words) {
    return static_cast<int>(std::count(words.begin(), words.end(), ' ')) + (words.empty() ? 0 : 1);
}

static Marked mark(const std::vector<Sentence>& sentences, const wordpiece::Vocabulary& vocabulary) {
    std::vector<std::vector<int>> sequences;
    for (const Sentence& sentence : sentences) sequences.push_back(encode_with_masks(sentence.words(), vocabulary, reading));
    Marked marked{.batch = bert::make_batch(sequences, vocabulary.padding), .roles = {}, .starts = {}, .ends = {}};
    const int T = marked.batch.length;
    marked.roles.assign(marked.batch.ids.size(), ignored_label);
    for (std::size_t b = 0; b < sentences.size(); ++b) {
        const std::string* const parts[] = {&sentences[b].subject, &sentences[b].verb, &sentences[b].object,
                                            &sentences[b].ending};
        int t = 1;  // after [CLS]
        for (int role = 0; role < 4; ++role) {
            if (role == 2) marked.starts.push_back(t);
            for (int k = 0; k < word_count(*parts[role]); ++k) marked.roles[b * T + t++] = role;
            if (role == 2) marked.ends.push_back(t - 1);
        }
    }
    return marked;
}

// For both heads: 80 steps on one batch of all labelled sentences.
static const Recipe marked_recipe{.schedule = {.peak = 1e-3f, .steps = 80, .descent = Descent::none}, .clip_norm = no_clipping};

namespace {
struct TokenLoss : Objective {
    const heads::Weights& w;
    const heads::Config& config;
    const Marked& marked;
    TokenLoss(const heads::Weights& w, const heads::Config& config, const Marked& marked)
        : w(w), config(config), marked(marked) {}

    Var loss(int) override { return heads::loss(heads::classify_tokens(marked.batch, w, config), marked.roles); }
};

struct SpanLoss : Objective {
    const heads::Weights& w;
    const heads::Config& config;
    const Marked& marked;
    SpanLoss(const heads::Weights& w, const heads::Config& config, const Marked& marked) : w(w), config(config), marked(marked) {}

    Var loss(int) override { return heads::loss(heads::locate_spans(marked.batch, w, config), marked.starts, marked.ends); }
};
}  // namespace

struct FewAndMany {
    std::vector<Sentence> few, many;
};

static FewAndMany draw_few(const std::vector<Sentence>& sentences, int few, Random& random) {
    FewAndMany drawn;
    for (const int k : permutation(random, static_cast<int>(sentences.size())))
        (static_cast<int>(drawn.few.size()) < few ? drawn.few : drawn.many).push_back(sentences[k]);
    return drawn;
}

static float step_words(Lesson& lesson, const Pretrained& trained, const FewAndMany& drawn, Random& random) {
    lesson.step("Can the same trunk label every token?", "logits = tokens W + b", "(B*T, K)");
    const heads::Config config = heads::make_config(trained.config, heads::Task::tokens, 4);
    const heads::Weights w = make_model(config, trained, Start::pretrained, random);
    const Marked few = mark(drawn.few, trained.vocabulary), many = mark(drawn.many, trained.vocabulary);
    TokenLoss objective(w, config, few);
    train(objective, nothing_decays(variables(heads::parameters(w, config))), marked_recipe);
    lesson.code();
    const heads::Steps steps = heads::classify_tokens(many.batch, w, config);
    const float right = accuracy(steps.logits.value(), many.roles);
    static const std::string names[] = {"subject", "verb", "object", "ending"};
    std::vector<std::vector<std::string>> rows{{"token", "predicted", "p"}};
    for (int t = 1; t < many.batch.length && many.batch.mask(0, t) == 1; ++t) {
        if (many.roles[t] == ignored_label) continue;
        const int role = argmax_row(steps.logits.value(), t);
        rows.push_back({trained.vocabulary.entries[many.batch.ids[t]], names[role], fixed(steps.probabilities.value()(t, role))});
    }
    lesson.table(rows);
    lesson.why("after fine-tuning on ", drawn.few.size(), " labelled sentences, ", percent(right), " of the tokens of the other ",
               drawn.many.size(), " sentences are labelled correctly.");
    return right;
}

// The best span of each sentence, padding and special tokens left out.
static std::vector<heads::Span> best_spans(const heads::SpanSteps& steps, const bert::Batch& batch) {
    std::vector<heads::Span> spans;
    for (int b = 0; b < batch.sequences; ++b) {
        int last = batch.length - 1;
        while (batch.mask(b, last) == 0) --last;
        spans.push_back(heads::best_span(steps, b, 1, last - 1, 4));
    }
    return spans;
}

static float step_spans(Lesson& lesson, const Pretrained& trained, const FewAndMany& drawn, Random& random) {
    lesson.step("Can it locate a span?", "p_start = softmax over the tokens of a sentence", "section 4.2");
    const heads::Config config = heads::make_config(trained.config, heads::Task::spans);
    const heads::Weights w = make_model(config, trained, Start::pretrained, random);
    const Marked few = mark(drawn.few, trained.vocabulary), many = mark(drawn.many, trained.vocabulary);
    SpanLoss objective(w, config, few);
    train(objective, nothing_decays(variables(heads::parameters(w, config))), marked_recipe);
    const heads::SpanSteps steps = heads::locate_spans(many.batch, w, config);
    const std::vector<heads::Span> spans = best_spans(steps, many.batch);
    int exact = 0;
    for (int b = 0; b < many.batch.sequences; ++b) exact += spans[b].start == many.starts[b] && spans[b].end == many.ends[b];
    std::vector<std::vector<std::string>> rows{{"Where is the object?", "first token", "last token", "score"}};
    for (int b = 0; b < std::min(5, many.batch.sequences); ++b) {
        const auto word = [&](int t) { return trained.vocabulary.entries[many.batch.ids[b * many.batch.length + t]]; };
        rows.push_back({drawn.many[b].words(), word(spans[b].start), word(spans[b].end), fixed(spans[b].score, 2)});
    }
    lesson.table(rows);
    const float right = static_cast<float>(exact) / static_cast<float>(many.batch.sequences);
    lesson.why("each token gets a score as start and one as end of the span; the best ordered pair wins. Both ends are right in ",
               percent(right), " of ", many.batch.sequences,
               " sentences. Next: gpt/bert_against_gpt compares BERT with a model that reads only the left side.");
    return right;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    std::vector<Sentence> sentences = all_sentences();
    const bool english = choices.english();
    if (english) std::erase_if(sentences, [](const Sentence& sentence) { return sentence.language != 0; });
    const Pretrained trained = step_pretrain(lesson, sentences, choices, random);
    const Task first_task = draw_task(sentences, english ? 0 : 1, choices.labelled_people, random);
    step_task(lesson, first_task, english);
    step_head(lesson, trained, first_task, random);
    const Results results = step_compare(lesson, trained, sentences, choices, random);
    step_similarity(lesson, trained, sentences, english, random);
    const FewAndMany drawn = draw_few(sentences, 24, random);
    const float words = step_words(lesson, trained, drawn, random);
    const float spans = step_spans(lesson, trained, drawn, random);
    lesson.claim_at_least("accuracy on subjects without a label, fine-tuned", mean_of(results.pretrained), 0.8);
    lesson.claim_at_least("gain over training from scratch", mean_of(results.pretrained) - mean_of(results.fresh), 0.2);
    lesson.claim_at_least("token accuracy after 24 labelled sentences", words, 0.9);
    lesson.claim_at_least("exact spans after 24 labelled sentences, fraction", spans, 0.8);
}

int main(int argc, char** argv) {
    Options options("bert/fine_tuning", "Fine-tuning: eight labels suffice for a pre-trained model.", "8 seconds");
    Choices choices;
    options.add("steps", choices.steps, "pre-training steps", 1, 1'000'000);
    options.add("language", choices.language, "en: English sentences only; ru: Russian labels");
    options.add("draws", choices.draws, "number of random label sets", 1, 1000);
    options.add("people", choices.labelled_people, "labelled subjects of each form, of six", 1, 5);
    options.add("fine-tuning-steps", choices.fine_tuning_steps, "fine-tuning steps", 1, 100'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
