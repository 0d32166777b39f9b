// integrated_gradients.cpp: which word decided? Gradients integrated from a sentence without words to the sentence.
//
//   paper    Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017, arXiv 1703.01365
//   shows    that attributions add up to the output, which rule converges fastest, and that the model must be undecided at the
//            baseline: attributions add up for any baseline, meaningful or not
//   symbols  x input, b baseline (B T, E)   F logit of the predicted class minus the other   n points   delta error of the sum
//   before   walkthroughs/nn/gradients.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "bert/heads.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/text.h"
#include "nn/interpret/integrated_gradients.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"

namespace ig = integrated_gradients;

struct Choices {
    int steps = 300;
    int sentences = 100;
    std::string sentence;
};

// --- sentences of two opinions, of which the second counts ---

static const int pad = 0, cls = 1, sep = 2, but = 3;
static const int opinions = 6, good = 4, bad = good + opinions, neutral = bad + opinions, neutrals = 20;
static const int vocabulary = neutral + neutrals, words = 8, length = words + 2;

static std::string word(int id) {
    static const std::vector<std::string> names{
        "[PAD]", "[CLS]", "[SEP]", "but",    "good", "fine",  "great", "lovely", "bright", "fresh", "bad",  "poor",
        "awful", "dull",  "stale", "boring", "the",  "a",     "was",   "is",     "film",   "book",  "meal", "room",
        "we",    "they",  "said",  "this",   "that", "there", "here",  "today",  "house",  "train", "then", "so"};
    return names.at(id);
}

namespace {
struct Sentence {
    std::vector<int> ids;         // T
    int label = 0;                // 1 = good
    int decoy = 0, deciding = 0;  // positions of the two opinions
};
}  // namespace

static Sentence sentence(Random& random) {
    Sentence s{.ids = std::vector<int>(length, cls)};
    for (int t = 1; t <= words; ++t) s.ids[t] = neutral + random.below(neutrals);
    s.ids.back() = sep;
    std::vector<int> positions = permutation(random, words);
    positions.resize(3);
    std::sort(positions.begin(), positions.end());
    s.decoy = 1 + positions[0];
    s.deciding = 1 + positions[2];
    s.label = random.below(2);
    s.ids[s.decoy] = (random.below(2) == 1 ? good : bad) + random.below(opinions);
    s.ids[1 + positions[1]] = but;
    s.ids[s.deciding] = (s.label == 1 ? good : bad) + random.below(opinions);
    return s;
}

static Sentence without_words(Sentence s) {
    std::fill(s.ids.begin() + 1, s.ids.end() - 1, pad);
    return s;
}

static bert::Batch batch_of(const std::vector<Sentence>& sentences) {
    std::vector<std::vector<int>> ids;
    for (const Sentence& s : sentences) ids.push_back(s.ids);
    return bert::make_batch(ids);
}

// --- the model ---

enum class Undecided { taught, never };  // whether the training set contains sentences without opinion

static heads::Config model_config() {
    return heads::make_config(
        {.vocabulary = vocabulary, .positions = length, .width = 32, .depth = 2, .heads = 4, .mlp_width = 64},
        heads::Task::sequences, 2);
}

namespace {
struct OpinionLoss : Objective {
    const heads::Weights& w;
    const heads::Config& config;
    Undecided undecided;
    Random random;
    OpinionLoss(const heads::Weights& w, const heads::Config& config, Undecided undecided, int seed)
        : w(w), config(config), undecided(undecided), random(1000 + seed) {}

    Var loss(int) override {
        std::vector<Sentence> sentences;
        std::vector<int> labels;
        for (int b = 0; b < 64; ++b) {
            sentences.push_back(sentence(random));
            Sentence& s = sentences.back();
            labels.push_back(s.label);
            if (undecided == Undecided::never || b >= 16) continue;
            labels.back() = b % 2;  // half good, half bad: unpredictable
            if (b < 8)
                s = without_words(s);
            else
                for (const int t : {s.decoy, s.deciding}) s.ids[t] = neutral + random.below(neutrals);
        }
        return heads::loss(heads::classify_sequences(batch_of(sentences), w, config), labels);
    }
};

// A trained model, the test sentences, and both ends of the path.
struct SentencesToExplain {
    heads::Config config = model_config();
    heads::Weights w;
    std::vector<Sentence> sentences;
    Matrix x, baseline;  // (B T, E)
    double accuracy = 0;
    std::vector<float> losses;

    int groups() const { return static_cast<int>(sentences.size()); }
};
}  // namespace

static SentencesToExplain train_and_test(const Choices& choices, int seed, Undecided undecided) {
    SentencesToExplain e;
    Random random(seed);
    e.w = heads::make_weights(e.config, random, {.stddev = 0.1f});
    OpinionLoss objective(e.w, e.config, undecided, seed);
    const Recipe recipe{.schedule = {.peak = 1e-3f, .steps = choices.steps, .descent = Descent::none}, .batch = 64};
    ShowProgress progress(undecided == Undecided::taught ? "BERT on opinions" : "without undecided sentences", choices.steps);
    e.losses = train(objective, nothing_decays(variables(heads::parameters(e.w, e.config))), recipe, &progress);

    const NoTape evaluation;
    Random fresh(7000 + seed);
    std::vector<Sentence> empty;
    for (int b = 0; b < choices.sentences; ++b) {
        e.sentences.push_back(sentence(fresh));
        empty.push_back(without_words(e.sentences.back()));
    }
    const heads::Steps steps = heads::classify_sequences(batch_of(e.sentences), e.w, e.config);
    e.x = steps.trunk.embedding.z0.value();
    e.baseline = bert::embed_tokens(batch_of(empty), e.w.trunk, e.config.trunk).z0.value();
    for (int b = 0; b < choices.sentences; ++b)
        e.accuracy += (argmax_row(steps.logits.value(), b) == e.sentences[b].label) / static_cast<double>(choices.sentences);
    return e;
}

// --- results ---

// The fraction of sentences whose deciding word has the largest attribution of the eight.
static double deciding_first(const SentencesToExplain& e, const Matrix& numbers) {
    const Matrix totals = reshape(ig::row_totals(numbers), e.groups(), length);  // (B, T)
    double first = 0;
    for (int b = 0; b < totals.rows; ++b) first += 1 + argmax_row(slice_cols(totals, 1, words), b) == e.sentences[b].deciding;
    return first / totals.rows;
}

static double mean_size(const std::vector<float>& numbers) {
    double sum = 0;
    for (const float x : numbers) sum += std::abs(x);
    return sum / static_cast<double>(numbers.size());
}

// F of each sentence, from its embeddings: the logit of the predicted class, less that of the other or alone.
enum class Explains { lead, logit };

static ig::OutputOf output_of(const SentencesToExplain& e, Explains what) {
    const NoTape evaluation;
    const auto run = [&e, batch = batch_of(e.sentences)] {
        return heads::classify_sequences(batch, e.w, e.config).logits;
    };  // (B, 2)
    const Matrix logits = run().value();
    std::vector<int> rows, predicted, other;
    for (int b = 0; b < logits.rows; ++b) {
        rows.push_back(b);
        predicted.push_back(argmax_row(logits, b));
        other.push_back(1 - predicted.back());
    }
    if (what == Explains::logit) other.clear();
    return ig::OutputOf(run, "embeddings", rows, predicted, other);
}

static ig::Attribution attributed(const SentencesToExplain& e, ig::Rule rule, int n, Explains what = Explains::lead) {
    ig::OutputOf output = output_of(e, what);
    return ig::attribute(output, e.x, e.baseline, ig::points(rule, n), e.groups());
}

static SentencesToExplain step_1_task(Lesson& lesson, const Choices& choices, int seed) {
    lesson.step("Which word decides?", "label = the opinion after \"but\"");
    lesson.code();
    const SentencesToExplain e = train_and_test(choices, seed, Undecided::taught);
    std::vector<std::string> lines;
    for (int b = 0; b < 3 && b < e.groups(); ++b) {
        std::string line;
        for (int t = 1; t <= words; ++t) line += word(e.sentences[b].ids[t]) + " ";
        lines.push_back(line + (e.sentences[b].label == 1 ? "   -> good" : "   -> bad"));
    }
    lesson.lines(lines);
    lesson.curves({smoothed("loss", e.losses, std::max(1, static_cast<int>(e.losses.size()) / 50))},
                  {"training step", "loss, nats"});
    lesson.say("A BERT of two blocks classifies ", fixed(e.accuracy, 3),
               " of held-out sentences correctly. A quarter of its "
               "training sentences have no opinion (all words [PAD], or only neutral words) and random labels: there it should "
               "be undecided, which keeps the loss above 0.");
    return e;
}

static double step_2_gradient(Lesson& lesson, const SentencesToExplain& e) {
    lesson.step("Does the gradient find the deciding word?", "gradient * x");
    ig::OutputOf lead = output_of(e, Explains::lead);
    lesson.code();
    const ig::ValueAndGradient at = ig::gradient_at(lead, e.x);
    const double first = deciding_first(e, multiply(e.x, at.gradient).value());
    lesson.predict("In what fraction of the sentences is gradient times input largest at the deciding word?", {first, 0.1});
    lesson.say("Gradient times input is largest at the deciding word in ", fixed(first, 3), " of the sentences; chance is ",
               fixed(1.0 / words, 3), ".");
    lesson.why(
        "the gradient tells only the effect of a small change at x. Where the model is confident it is nearly zero; and "
        "gradient times x has no baseline.");
    return first;
}

static ig::Attribution step_3_line(Lesson& lesson, const SentencesToExplain& e) {
    lesson.step("What if gradients are summed along the line?", "(x - b) * sum of w_k dF/dz at b + alpha_k (x - b)", "Eq. 3");
    ig::OutputOf lead = output_of(e, Explains::lead);
    lesson.code();
    ig::Attribution found = ig::attribute(lead, e.x, e.baseline, ig::points(ig::Rule::middle, 64), e.groups());
    const Matrix totals = ig::row_totals(found.attributions);
    std::vector<std::vector<std::string>> rows{{"word", "attribution", "", "word", "attribution"}};
    for (int t = 1; t <= words; ++t)
        rows.push_back({word(e.sentences[0].ids[t]), fixed(totals[t], 3), t == e.sentences[0].deciding ? "decides" : "",
                        e.groups() > 1 ? word(e.sentences[1].ids[t]) : "", e.groups() > 1 ? fixed(totals[length + t], 3) : ""});
    lesson.table(rows);
    lesson.say("The deciding word is first in ", fixed(deciding_first(e, found.attributions), 3), " of the sentences.");
    lesson.why(
        "b is the same sentence with every word [PAD]. The line from b to x crosses the region where the prediction "
        "changes, and there the gradient is large. By the fundamental theorem of calculus the sum is the whole change of "
        "F.");
    return found;
}

namespace {
struct RuleErrors {
    double middle_16, middle_64, left_64, published_64;
};
}  // namespace

static RuleErrors step_4_rules(Lesson& lesson, const SentencesToExplain& e) {
    lesson.step("How many points are enough?", "delta = sum of attributions - (F(x) - F(b))");
    const std::vector<std::pair<std::string, ig::Rule>> rules{{"left", ig::Rule::left},
                                                              {"middle", ig::Rule::middle},
                                                              {"trapezoid as published", ig::Rule::trapezoid_as_published},
                                                              {"Gauss-Legendre", ig::Rule::gauss_legendre}};
    std::vector<std::vector<std::string>> rows{{"mean |delta|", "n = 16", "n = 64"}};
    std::vector<double> at_16, at_64;
    for (const auto& [name, rule] : rules) {
        at_16.push_back(mean_size(attributed(e, rule, 16).delta));
        at_64.push_back(mean_size(attributed(e, rule, 64).delta));
        rows.push_back({name, fixed(at_16.back(), 6), fixed(at_64.back(), 6)});
    }
    lesson.table(rows);
    lesson.why(
        "with four times as many points the error of the left sum falls to a quarter, that of the middle points far more. "
        "The published trapezoid has weights that add up to (n - 1) / n, so it always loses 1/n of the total.");
    return {at_16[1], at_64[1], at_64[0], at_64[2]};
}

namespace {
// What a baseline does to the numbers.
struct Baseline {
    double first,
        first_where_same;   // deciding word largest: of all sentences; of those whose answer the baseline b already gives
    double first_by_logit;  // the same of all, with F the logit of the predicted class alone
    double undecided;       // mean |F(b)| / mean |F(x) - F(b)|
    double delta;
    double with_lean, against;  // mean attribution of the deciding word where the prediction at b agrees with it, and where not
};
}  // namespace

static Baseline judged(const SentencesToExplain& e, const ig::Attribution& found) {
    const double by_logit = deciding_first(e, attributed(e, ig::Rule::middle, 64, Explains::logit).attributions);
    ig::OutputOf lead = output_of(e, Explains::lead);
    const NoTape evaluation;
    const Matrix at_x = lead.of(e.x).value(), at_b = lead.of(e.baseline).value(), totals = ig::row_totals(found.attributions);
    double low = 0, high = 0, sums[2] = {}, counts[2] = {}, firsts = 0;
    for (int b = 0; b < at_x.rows; ++b) {
        low += std::abs(at_b[b]);
        high += std::abs(at_x[b] - at_b[b]);
        const bool agrees = at_b[b] > 0;  // F is that of the predicted class
        sums[agrees] += totals[b * length + e.sentences[b].deciding];
        ++counts[agrees];
        const Matrix of_words = reshape(slice_rows(totals, b * length + 1, words), 1, words);
        firsts += agrees && 1 + argmax_row(of_words, 0) == e.sentences[b].deciding;
    }
    const double same = std::max(1.0, counts[1]), other = std::max(1.0, counts[0]);
    return {.first = deciding_first(e, found.attributions),
            .first_where_same = firsts / same,
            .first_by_logit = by_logit,
            .undecided = low / high,
            .delta = mean_size(found.delta),
            .with_lean = sums[1] / same,
            .against = sums[0] / other};
}

namespace {
struct BaselineLesson {
    Baseline taught, never;
};
}  // namespace

static BaselineLesson step_5_baseline(Lesson& lesson, const Choices& choices, int seed, const SentencesToExplain& taught,
                                      const ig::Attribution& found) {
    lesson.step("Does the choice of baseline matter?", "F(b) should be 0");
    const SentencesToExplain never = train_and_test(choices, seed, Undecided::never);
    const Baseline yes = judged(taught, found), no = judged(never, attributed(never, ig::Rule::middle, 64));
    lesson.table({{"trained with undecided sentences", "yes", "no"},
                  {"accuracy", fixed(taught.accuracy, 3), fixed(never.accuracy, 3)},
                  {"mean |F(b)| / mean |F(x) - F(b)|", fixed(yes.undecided, 3), fixed(no.undecided, 3)},
                  {"mean |delta|, middle, n = 64", fixed(yes.delta, 6), fixed(no.delta, 6)},
                  {"deciding word first", fixed(yes.first, 3), fixed(no.first, 3)},
                  {"the same, F = one logit", fixed(yes.first_by_logit, 3), fixed(no.first_by_logit, 3)},
                  {"first, where b agrees", fixed(yes.first_where_same, 3), fixed(no.first_where_same, 3)},
                  {"its attribution where b agrees", fixed(yes.with_lean, 3), fixed(no.with_lean, 3)},
                  {"its attribution where b disagrees", fixed(yes.against, 3), fixed(no.against, 3)}});
    lesson.why(
        "a model that never saw a sentence without words predicts one of the classes there. Attributions then explain the "
        "change from that prediction: a word that agrees with it gets far less than one that disagrees, although each "
        "alone decides its sentence. It still ranks first in most sentences, because the other words get even less: the order "
        "survives, the amounts do not. delta is small all the same: attributions add up for any baseline.");
    return {yes, no};
}

// The ids of the user's own sentence, with [CLS] and [SEP].
//   throws  std::invalid_argument for a word outside the vocabulary, listing the known words
static std::vector<int> ids_of(const std::string& given) {
    std::vector<int> ids{cls};
    for (const std::string& one : split(given, ' ')) {
        if (one.empty()) continue;
        int id = 0;
        while (id < vocabulary && word(id) != one) ++id;
        std::string known;
        for (int k = but; k < vocabulary && id == vocabulary; ++k) known += " " + word(k);
        require(id < vocabulary, "--sentence: \"", one, "\" is not one of the words of this toy:", known);
        ids.push_back(id);
    }
    ids.push_back(sep);
    require(ids.size() > 2 && static_cast<int>(ids.size()) <= length, "--sentence: 1 to ", words, " words, these are ",
            ids.size() - 2);
    return ids;
}

// The user's own sentence, of words in the vocabulary.
static void step_own(Lesson& lesson, const SentencesToExplain& e, const std::string& given) {
    lesson.step("Which word decides in your sentence?", "F = logit of the predicted class less the other", given);
    SentencesToExplain own{
        .config = e.config, .w = e.w, .sentences = {Sentence{.ids = ids_of(given)}}, .x = {}, .baseline = {}, .losses = {}};
    const std::vector<int>& ids = own.sentences[0].ids;
    own.x = bert::embed_tokens(batch_of(own.sentences), e.w.trunk, e.config.trunk).z0.value();
    own.baseline = bert::embed_tokens(batch_of({without_words(own.sentences[0])}), e.w.trunk, e.config.trunk).z0.value();
    const Matrix totals = ig::row_totals(attributed(own, ig::Rule::middle, 64).attributions);  // (T, 1)
    const int said = argmax_row(heads::classify_sequences(batch_of(own.sentences), e.w, e.config).logits.value(), 0);
    const float most = *std::max_element(totals.begin(), totals.end());
    std::vector<std::vector<std::string>> rows{{"word", "attribution", ""}};
    for (std::size_t t = 1; t + 1 < ids.size(); ++t) rows.push_back({word(ids[t]), fixed(totals[t], 3), bar(totals[t], most)});
    lesson.table(rows);
    lesson.say("It says ", said == 1 ? "good" : "bad",
               ". Training had sentences of eight words with two opinions; others are new to it.");
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (!choices.sentence.empty()) ids_of(choices.sentence);  // refuses an unknown word before the training, not after it
    const SentencesToExplain e = step_1_task(lesson, choices, seed);
    const double by_gradient = step_2_gradient(lesson, e);
    const ig::Attribution found = step_3_line(lesson, e);
    const RuleErrors errors = step_4_rules(lesson, e);
    const BaselineLesson baseline = step_5_baseline(lesson, choices, seed, e, found);
    if (!choices.sentence.empty()) step_own(lesson, e, choices.sentence);
    lesson.say("Next: nn/interpret/rollout follows attention down to the patches.");

    lesson.step("Do the claims hold?");
    const Baseline &yes = baseline.taught, &no = baseline.never;
    lesson.claim_at_least("fraction of sentences whose deciding word has the largest attribution", yes.first, 0.95);
    lesson.claim_at_least("that fraction: integrated gradients minus gradient times input", yes.first - by_gradient, 0.05);
    lesson.claim_at_most("mean |delta|, 64 middle points", errors.middle_64, 1e-3);
    lesson.claim_at_least("left sum's error as a multiple of the middle points'", errors.left_64 / errors.middle_64, 10);
    lesson.claim_at_most("|F(b)| as a fraction of |F(x) - F(b)|", yes.undecided, 0.1);
    lesson.claim_at_least("|F(b)| as a fraction of |F(x) - F(b)|, without undecided sentences", no.undecided, 0.3);
    lesson.claim_at_most("without undecided sentences, a word's attribution where b agrees, relative to where it disagrees",
                         no.with_lean / no.against, 0.6);
}

int main(int argc, char** argv) {
    Options options("nn/interpret/integrated_gradients", "Integrated gradients: which word decided?", "10 seconds");
    Choices choices;
    options.add("steps", choices.steps, "steps of training", 1, 100'000);
    options.add("sentences", choices.sentences, "sentences to explain", 1, 10'000);
    options.add("sentence", choices.sentence, "a sentence to explain, such as \"the film was good but we said boring\"");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
