// fine_tuning.cpp: eight labelled sentences are enough for a model that has read, and far too few for one that has not.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, sections 3.2, 4 and 5.3
//   shows    that what was learned from plain text carries over to words that no label ever spoke of; and that one trunk serves
//            sentences, words and spans, with one linear layer for each
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
#include "walkthroughs/toys/sentences.h"

struct Choices {
    int steps = 1500, draws = 8, labelled_people = 2, fine_tuning_steps = 60;
};

static const wordpiece::Config reading{.lower_case = false};

static std::string percent(double share) { return fixed(100 * share, 1) + " %"; }

// --- the trunk ---

struct Pretrained {
    wordpiece::Vocabulary vocabulary;
    bert::Config config;  // without a pooler
    mlm::Weights w;
};

static Pretrained step_pretrain(Lesson& lesson, const std::vector<Sentence>& sentences, const Choices& choices, Random& random) {
    lesson.step("What does it know before the first label?", "loss = mean of -log p(the hidden word)");
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
    const std::vector<float> losses = pretrain(trained.w, trained.config, how, read, random);
    const Smoothed curve = smoothed(losses, std::max(1, how.steps / 60));
    lesson.curves({{.name = "loss of the hidden words", .x = curve.steps, .y = curve.losses}});
    lesson.why("as in bert/bert, it reads ", sentences.size(), " sentences without any label and fills in what is hidden.");
    return trained;
}

// --- what is labelled ---

// Russian sentences whose verb is hidden, so that nothing but the subject tells whether a man or a woman is meant.
struct Task {
    std::vector<Sentence> labelled, test;
};

static std::string with_gap(const Sentence& sentence) { return sentence.subject + " [MASK] " + sentence.object; }

// Of each kind, `people` subjects get two labelled sentences each; all sentences about the other subjects are the test.
static Task draw_task(const std::vector<Sentence>& sentences, int people, Random& random) {
    std::vector<std::string> names[2];
    std::vector<Sentence> russian;
    for (const Sentence& sentence : sentences) {
        if (sentence.language != 1 || !sentence.ending.empty()) continue;
        russian.push_back(sentence);
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
    for (const int k : permutation(random, static_cast<int>(russian.size()))) {
        const Sentence& sentence = russian[k];
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
    for (const Sentence& sentence : sentences) sequences.push_back(encode_with_masks(with_gap(sentence), vocabulary, reading));
    return bert::make_batch(sequences, vocabulary.padding);
}

static std::vector<int> forms_of(const std::vector<Sentence>& sentences) {
    std::vector<int> forms;
    for (const Sentence& sentence : sentences) forms.push_back(sentence.form);
    return forms;
}

static void step_task(Lesson& lesson, const Task& task) {
    lesson.step("What is it to learn from labels?");
    std::vector<std::vector<std::string>> rows{{"labelled sentence", "label"}};
    for (const Sentence& sentence : task.labelled)
        rows.push_back({with_gap(sentence), sentence.form == 0 ? "0  a man" : "1  a woman"});
    lesson.table(rows);
    std::set<std::string> others;
    for (const Sentence& sentence : task.test) others.insert(sentence.subject);
    std::string list;
    for (const std::string& name : others) list += (list.empty() ? "" : ", ") + name;
    lesson.say("These ", task.labelled.size(), " are all. The test: ", task.test.size(), " sentences about ", others.size(),
               " others: ", list, ".");
    lesson.why(
        "no label says anything about the people of the test, and the verb that would give it away is hidden. Who has never read "
        "anything can only guess.");
    lesson.predict("how many of the test sentences a model gets right that has read, and one that has not.");
}

// --- fine-tuning ---

enum class Start { pretrained, pretrained_frozen, fresh };

// A model with a fresh head, and a fresh pooler where the task has one; the trunk below it as `start` says.
static heads::Weights make_model(const heads::Config& config, const Pretrained& trained, Start start, Random& random) {
    const heads::Weights w = heads::make_weights(config, random, {.stddev = 0.1f});
    if (start == Start::fresh) return w;
    bert::Config without_pooler = config.trunk;
    without_pooler.pooler = false;
    copy_values(bert::parameters(trained.w.trunk, trained.config), bert::parameters(w.trunk, without_pooler));
    return w;
}

// A frozen trunk, pooler included, leaves the head alone to be trained.
static std::vector<Var> trained_variables(const heads::Weights& w, const heads::Config& config, Start start) {
    if (start != Start::pretrained_frozen) return variables(heads::parameters(w, config));
    return variables(heads::head_parameters(w, config));
}

// A constant rate, higher where only a head is trained.
static Recipe fine_tuning_recipe(Start start, int steps) {
    const float rate = start == Start::pretrained_frozen ? 1e-2f : 1e-3f;
    return {.schedule = {.peak = rate, .steps = steps, .descent = Descent::none}};
}

namespace {
// Each on all labelled sentences at once.
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
    lesson.step("What is new in the model?", "logits = tanh([CLS] W_p + b_p) W + b", "(B, K)");
    const heads::Config config = heads::make_config(trained.config, heads::Task::sequences, 2);
    const heads::Weights w = make_model(config, trained, Start::pretrained, random);
    const bert::Batch batch = batch_of(task.labelled, trained.vocabulary);
    lesson.code();
    const heads::Steps steps = heads::classify_sequences(batch, w, config);
    lesson.matrix("probabilities", steps.probabilities.value());
    const long below = count_numbers(bert::parameters(trained.w.trunk, trained.config));
    lesson.say("The head has ", count_numbers(heads::head_parameters(w, config)), " numbers, the pooler ",
               count_numbers(bert::parameters(w.trunk, config.trunk)) - below, ", the trunk below them ", below, ".");
    lesson.why("head and pooler are random, so these are guesses; the trunk below them has read.");
}

struct Results {
    std::vector<float> pretrained, frozen, fresh;  // share of right answers, one for each draw
};

static float mean_of(const std::vector<float>& numbers) {
    float sum = 0;
    for (const float x : numbers) sum += x;
    return sum / static_cast<float>(numbers.size());
}

static Results step_compare(Lesson& lesson, const Pretrained& trained, const std::vector<Sentence>& sentences,
                            const Choices& choices, Random& random) {
    lesson.step("Does it help to have read?");
    const heads::Config config = heads::make_config(trained.config, heads::Task::sequences, 2);
    Results results;
    std::vector<std::vector<std::string>> rows{
        {"draw", "labelled about", "read, all trained", "read, trunk frozen", "fresh, all trained"}};
    for (int draw = 0; draw < choices.draws; ++draw) {
        const Task task = draw_task(sentences, choices.labelled_people, random);
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
        std::set<std::string> names;
        for (const Sentence& sentence : task.labelled) names.insert(sentence.subject);
        std::string list;
        for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
        rows.push_back({text(draw + 1), list, percent(results.pretrained.back()), percent(results.frozen.back()),
                        percent(results.fresh.back())});
    }
    rows.push_back(
        {"mean", "", percent(mean_of(results.pretrained)), percent(mean_of(results.frozen)), percent(mean_of(results.fresh))});
    lesson.table(rows);
    lesson.why(
        "each draw labels other people and starts from other random heads. All three learn their labelled sentences; what "
        "differs is what "
        "that says about the rest. For the fresh model two names are two unrelated rows of numbers. The one that has read had to "
        "choose "
        "verb forms for all of them. A frozen trunk keeps that knowledge at the gap; training moves it to [CLS], where the head "
        "reads.");
    return results;
}

// How much two rows point in the same direction: 1 the same, 0 nothing in common.
static float cosine(const Matrix& m, int a, int b) {
    double ab = 0, aa = 0, bb = 0;
    for (int j = 0; j < m.cols; ++j) {
        ab += m(a, j) * m(b, j);
        aa += m(a, j) * m(a, j);
        bb += m(b, j) * m(b, j);
    }
    return static_cast<float>(ab / std::sqrt(aa * bb));
}

struct Likeness {
    float same_kind, other_kind;  // mean cosines
};

// The vector at the gap of "... [MASK] чай" for every subject, compared with one another.
static Likeness likeness(const bert::Weights& trunk, const bert::Config& config, const std::vector<Sentence>& sentences,
                         const wordpiece::Vocabulary& vocabulary) {
    std::vector<Sentence> about_tea;
    for (const Sentence& sentence : sentences)
        if (sentence.object == "чай" && sentence.ending.empty()) about_tea.push_back(sentence);
    const bert::Batch batch = batch_of(about_tea, vocabulary);
    const Matrix output = bert::forward(batch, trunk, config).encoder.output.value();  // (B*T, D)
    const std::vector<int> gaps = mask_places(batch.ids, vocabulary);
    double sum[2] = {0, 0};
    int count[2] = {0, 0};
    for (std::size_t a = 0; a < gaps.size(); ++a)
        for (std::size_t b = a + 1; b < gaps.size(); ++b) {
            const int same = about_tea[a].form == about_tea[b].form;
            sum[same] += cosine(output, gaps[a], gaps[b]);
            ++count[same];
        }
    return {static_cast<float>(sum[1] / count[1]), static_cast<float>(sum[0] / count[0])};
}

static void step_why(Lesson& lesson, const Pretrained& trained, const std::vector<Sentence>& sentences, Random& random) {
    lesson.step("What has reading changed?", "cos(a, b) = a b / (|a| |b|)");
    const bert::Weights fresh = bert::make_weights(trained.config, random, {.stddev = 0.1f});
    const Likeness read = likeness(trained.w.trunk, trained.config, sentences, trained.vocabulary);
    const Likeness unread = likeness(fresh, trained.config, sentences, trained.vocabulary);
    lesson.say("The vector at the gap of \"Мама [MASK] чай\", \"Папа [MASK] чай\" and so on, all twelve, two at a time:");
    lesson.table({{"mean cosine", "two women or two men", "a woman and a man"},
                  {"trunk that has read", fixed(read.same_kind), fixed(read.other_kind)},
                  {"fresh trunk", fixed(unread.same_kind), fixed(unread.other_kind)}});
    lesson.why(
        "to fill the gap with пил or пила, women had to become alike and different from men. One labelled woman then speaks for "
        "all.");
    lesson.claim("the trunk that has read tells the kinds apart more than the fresh one",
                 read.same_kind - read.other_kind > unread.same_kind - unread.other_kind + 0.1f);
}

// --- the other two heads ---

// 0 subject, 1 verb, 2 object, 3 ending, for every word of a sentence; [CLS], [SEP] and padding carry no label.
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
        int t = 1;  // behind [CLS]
        for (int role = 0; role < 4; ++role) {
            if (role == 2) marked.starts.push_back(t);
            for (int k = 0; k < word_count(*parts[role]); ++k) marked.roles[b * T + t++] = role;
            if (role == 2) marked.ends.push_back(t - 1);
        }
    }
    return marked;
}

// Both heads: 80 steps on all marked sentences at once.
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
    lesson.step("Can the same trunk label every word?", "logits = tokens W + b", "(B*T, K)");
    const heads::Config config = heads::make_config(trained.config, heads::Task::tokens, 4);
    const heads::Weights w = make_model(config, trained, Start::pretrained, random);
    const Marked few = mark(drawn.few, trained.vocabulary), many = mark(drawn.many, trained.vocabulary);
    TokenLoss objective(w, config, few);
    train(objective, nothing_decays(variables(heads::parameters(w, config))), marked_recipe);
    lesson.code();
    const heads::Steps steps = heads::classify_tokens(many.batch, w, config);
    const float right = accuracy(steps.logits.value(), many.roles);
    static const std::string names[] = {"subject", "verb", "object", "ending"};
    std::vector<std::vector<std::string>> rows{{"word", "read as", "p"}};
    for (int t = 1; t < many.batch.length && many.batch.mask(0, t) == 1; ++t) {
        if (many.roles[t] == ignored_label) continue;
        const int role = argmax_row(steps.logits.value(), t);
        rows.push_back({trained.vocabulary.entries[many.batch.ids[t]], names[role], fixed(steps.probabilities.value()(t, role))});
    }
    lesson.table(rows);
    lesson.why("after ", drawn.few.size(), " labelled sentences in both languages, ", percent(right),
               " of the words of the other ", drawn.many.size(), " are labelled as they should be.");
    return right;
}

static float step_spans(Lesson& lesson, const Pretrained& trained, const FewAndMany& drawn, Random& random) {
    lesson.step("Can it point at an answer?", "p_start = softmax over the words of a sentence", "section 4.2");
    const heads::Config config = heads::make_config(trained.config, heads::Task::spans);
    const heads::Weights w = make_model(config, trained, Start::pretrained, random);
    const Marked few = mark(drawn.few, trained.vocabulary), many = mark(drawn.many, trained.vocabulary);
    SpanLoss objective(w, config, few);
    train(objective, nothing_decays(variables(heads::parameters(w, config))), marked_recipe);
    const heads::SpanSteps steps = heads::locate_spans(many.batch, w, config);
    int exact = 0;
    std::vector<std::vector<std::string>> rows{{"what is done something to?", "first word", "last word", "score"}};
    for (int b = 0; b < many.batch.sequences; ++b) {
        int last = many.batch.length - 1;
        while (many.batch.mask(b, last) == 0) --last;
        const heads::Span span = heads::best_span(steps, b, 1, last - 1, 4);
        exact += span.start == many.starts[b] && span.end == many.ends[b];
        if (b >= 5) continue;
        const auto word = [&](int t) { return trained.vocabulary.entries[many.batch.ids[b * many.batch.length + t]]; };
        rows.push_back({drawn.many[b].words(), word(span.start), word(span.end), fixed(span.score, 2)});
    }
    lesson.table(rows);
    const float right = static_cast<float>(exact) / static_cast<float>(many.batch.sequences);
    lesson.why(
        "a word is scored as the beginning of the answer and as its end; the best pair in order wins. Both ends are right in ",
        percent(right), " of ", many.batch.sequences, " sentences.");
    return right;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    const std::vector<Sentence> sentences = all_sentences();
    const Pretrained trained = step_pretrain(lesson, sentences, choices, random);
    const Task first_task = draw_task(sentences, choices.labelled_people, random);
    step_task(lesson, first_task);
    step_head(lesson, trained, first_task, random);
    const Results results = step_compare(lesson, trained, sentences, choices, random);
    step_why(lesson, trained, sentences, random);
    const FewAndMany drawn = draw_few(sentences, 24, random);
    const float words = step_words(lesson, trained, drawn, random);
    const float spans = step_spans(lesson, trained, drawn, random);
    lesson.claim_at_least("people no label spoke of, right after reading, share", mean_of(results.pretrained), 0.8);
    lesson.claim_at_least("more than without reading, by", mean_of(results.pretrained) - mean_of(results.fresh), 0.2);
    lesson.claim_at_least("words labelled as they should be after 24 sentences, share", words, 0.9);
    lesson.claim_at_least("answers with both ends right after 24 sentences, share", spans, 0.8);
}

int main(int argc, char** argv) {
    Options options("bert/fine_tuning", "Eight labels suffice for a model that has read.", "8 seconds");
    Choices choices;
    options.add("steps", choices.steps, "steps of reading before the first label", 1, 1'000'000);
    options.add("draws", choices.draws, "how often labels are drawn anew", 1, 1000);
    options.add("people", choices.labelled_people, "labelled subjects of each kind, of six", 1, 5);
    options.add("fine-tuning-steps", choices.fine_tuning_steps, "steps on the labelled sentences", 1, 100'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
