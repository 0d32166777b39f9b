// mlm.cpp: the lesson on masked language modelling. Some tokens are selected: 80 % are masked, 10 % replaced, 10 % kept.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, section 3.1 and appendix A.1
//   shows    80/10/10 token by token, in the form of the original code and of PyTorch's; and the two losses
//   before   wordpiece.cpp
//   next     bert.cpp trains on it
#include "bert/mlm.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nn/autograd/operations.h"
#include "nn/base/require.h"
#include "nn/training/loss.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/tokens.h"
#include "walkthroughs/toys/sentences.h"

static const std::string russian_text = "Мама мыла раму утром. Папа читал книгу вечером. ";
static const std::string english_text =
    "Mother washes the window and the children wash the floor. To hide a word is easy; to restore it one must read the words before it and the words after it.";

struct Choices {
    std::string text, language = "ru", vocabulary;
    double select = 0.15;
    bool cased = false;
};

struct Reading {
    wordpiece::Vocabulary vocabulary;
    wordpiece::Config config;
    std::vector<int> ids, special;  // [CLS] ... [SEP]

    int size() const { return static_cast<int>(ids.size()); }
    const std::string& word(int id) const { return vocabulary.entries.at(id); }
};

// --- the fate of a token ---

enum class Fate { untouched, masked, replaced, kept };

static Fate fate_of(const mlm::Corrupted& corrupted, int position, int original, int mask_id) {
    if (corrupted.labels[position] == ignored_label) return Fate::untouched;
    if (corrupted.ids[position] == mask_id) return Fate::masked;
    return corrupted.ids[position] == original ? Fate::kept : Fate::replaced;
}

static std::string name_of(Fate fate) {
    switch (fate) {
        case Fate::masked: return "[MASK]";
        case Fate::replaced: return "random token";
        case Fate::kept: return "kept";
        case Fate::untouched: break;
    }
    return "not selected";
}

// Red is masked, yellow replaced, green kept; without colours [MASK], <replaced>, {kept}.
static std::string painted(const std::string& word, Fate fate, Colours colours) {
    if (fate == Fate::untouched) return word;
    if (colours != Colours::none)
        return (fate == Fate::masked     ? "\x1b[30;48;5;203m"
                : fate == Fate::replaced ? "\x1b[30;48;5;221m"
                                         : "\x1b[30;48;5;114m") +
               word + "\x1b[0m";
    return fate == Fate::masked ? word : fate == Fate::replaced ? "<" + word + ">" : "{" + word + "}";
}

static std::vector<std::string> painted_lines(const Reading& reading, const mlm::Corrupted& corrupted, Colours colours) {
    std::vector<std::string> lines(1);
    for (int t = 0; t < reading.size(); ++t) {
        const std::string word =
            painted(reading.word(corrupted.ids[t]), fate_of(corrupted, t, reading.ids[t], reading.vocabulary.mask), colours);
        if (display_width(lines.back()) + display_width(word) > 71) lines.emplace_back();
        lines.back() += word + " ";
    }
    return lines;
}

// --- the steps ---

static Reading step_pieces(Lesson& lesson, const Choices& choices) {
    lesson.step("Which tokens may be masked?");
    Reading reading;
    reading.config = {.lower_case = !choices.cased && !choices.vocabulary.empty()};
    if (choices.vocabulary.empty()) {
        std::vector<std::string> texts{choices.text};
        for (const Sentence& sentence : all_sentences()) texts.push_back(sentence.words());
        reading.vocabulary = vocabulary_of(texts);
    } else {
        reading.vocabulary = wordpiece::load_vocabulary(choices.vocabulary);
        wordpiece::require_same_settings(choices.vocabulary, reading.config);
    }
    reading.ids = encode_with_masks(choices.text, reading.vocabulary, reading.config);
    require(reading.size() > 2 && reading.size() <= 512, "--text has ", reading.size() - 2, " pieces, 1 to 510 are needed");
    lesson.code();
    reading.special = mlm::special_positions(reading.ids, {reading.vocabulary.classification, reading.vocabulary.separator});
    const mlm::Corrupted nothing{
        .ids = reading.ids, .labels = std::vector<int>(reading.ids.size(), ignored_label), .positions = {}};
    lesson.lines(painted_lines(reading, nothing, lesson.colours));
    lesson.say(reading.size(), " pieces of a vocabulary of ", reading.vocabulary.size(),
               ". [CLS], [SEP] and padding are never selected.");
    if (choices.text.starts_with(russian_text))
        lesson.say(
            "The Russian sentences: Mama washed(f.) the frame in the morning. Papa read(m.) a book in the evening. --language en leaves them out.");
    return reading;
}

static mlm::Corrupted step_batch_form(Lesson& lesson, const Reading& reading, const mlm::Corruption& how, Random& random) {
    lesson.step("Which are selected, and what happens to them?", "u_select < 0.15, u_mask < 0.8, u_random < 0.5",
                "PyTorch's form");
    const mlm::Draws draws = mlm::make_draws(random, 1, reading.size(), reading.vocabulary.size());
    lesson.code();
    const mlm::Corrupted corrupted = mlm::corrupt_batch(reading.ids, reading.special, draws, how);
    lesson.lines(painted_lines(reading, corrupted, lesson.colours));
    std::vector<std::vector<std::string>> rows{
        {"t", "token", "u_select", "u_mask", "u_random", "becomes", "model reads", "label"}};
    for (const int t : corrupted.positions) {
        const Fate fate = fate_of(corrupted, t, reading.ids[t], how.mask_id);
        rows.push_back({text(t), reading.word(reading.ids[t]), fixed(draws.u_select[t], 2), fixed(draws.u_mask[t], 2),
                        fate == Fate::masked ? "" : fixed(draws.u_random[t], 2), name_of(fate), reading.word(corrupted.ids[t]),
                        text(corrupted.labels[t])});
    }
    if (rows.size() > 1) lesson.table(rows);
    lesson.say(lesson.colours == Colours::none
                   ? "[MASK] is masked, <a token> is replaced at random, {a token} is selected but kept."
                   : "Red is masked, yellow is replaced at random, green is selected but kept.");
    lesson.why("every token is selected independently: ", corrupted.positions.size(), " of ", reading.size(),
               " here, a different number next time. All others have the label ", ignored_label, ", which the loss ignores.");
    const mlm::Corrupted half = mlm::corrupt_batch(reading.ids, reading.special, draws, {.select = 0.5, .mask_id = how.mask_id});
    lesson.predict("How many are selected with the same draws and --select 0.5?",
                   {static_cast<double>(half.positions.size()), 3});
    return corrupted;
}

static void step_candidates_form(Lesson& lesson, const Reading& reading, const mlm::Corruption& how, Random& random) {
    const long open = std::count(reading.special.begin(), reading.special.end(), 0);
    lesson.step("How does the original code select?", "min(20, max(1, round(0.15 T))) tokens", "the original form");
    const mlm::CandidateDraws draws = mlm::make_candidate_draws(random, static_cast<int>(open), reading.vocabulary.size());
    lesson.code();
    const mlm::Corrupted corrupted = mlm::corrupt_candidates(reading.ids, reading.special, draws, how);
    lesson.lines(painted_lines(reading, corrupted, lesson.colours));
    lesson.why("the candidates are shuffled and the first ", corrupted.positions.size(),
               " are selected: always this number for T = ", reading.size(),
               ", special tokens included. The paper's \"15 % of all WordPiece tokens\" fits both forms.");
}

struct Shares {
    double selected, masked, replaced, kept;  // the last three are fractions of the selected
};

static Shares step_shares(Lesson& lesson, const Reading& reading, const mlm::Corruption& how, Random& random) {
    lesson.step("Is it 80, 10 and 10?");
    const int rounds = std::max(200, 200'000 / reading.size());  // enough tokens for stable fractions
    long count[4] = {0, 0, 0, 0}, open = 0;
    for (int round = 0; round < rounds; ++round) {
        const mlm::Draws draws = mlm::make_draws(random, 1, reading.size(), reading.vocabulary.size());
        const mlm::Corrupted corrupted = mlm::corrupt_batch(reading.ids, reading.special, draws, how);
        for (int t = 0; t < reading.size(); ++t) {
            open += reading.special[t] == 0;
            ++count[static_cast<int>(fate_of(corrupted, t, reading.ids[t], how.mask_id))];
        }
    }
    const double selected = static_cast<double>(count[1] + count[2] + count[3]);
    const Shares shares{selected / static_cast<double>(open), count[1] / selected, count[2] / selected, count[3] / selected};
    lesson.table({{"of", "what", "fraction"},
                  {"all tokens", "are selected", percent(shares.selected)},
                  {"the selected", "become [MASK]", percent(shares.masked)},
                  {"the selected", "become a random token", percent(shares.replaced)},
                  {"the selected", "are kept", percent(shares.kept)}});
    lesson.why(
        "[MASK] never occurs in fine-tuning. If only [MASK] had to be predicted, the model could ignore all other positions. With random and kept tokens among the selected, it must represent every position in context. A random token that equals the true one counts as kept.");
    return shares;
}

struct LossesSeen {
    float selected, selected_by_hand, all_positions;
};

// The cross-entropy -log p(label) of each selected position; p is (T, V).
static std::vector<double> cross_entropies(const Matrix& p, const mlm::Corrupted& corrupted) {
    std::vector<double> costs;
    for (const int t : corrupted.positions) costs.push_back(-std::log(p(t, corrupted.labels[t])));
    return costs;
}

// A row for each selected position: its label, the label's probability and the cross-entropy.
static std::vector<std::vector<std::string>> cost_rows(const Reading& reading, const mlm::Corrupted& corrupted, const Matrix& p,
                                                       const std::vector<double>& costs) {
    std::vector<std::vector<std::string>> rows{{"t", "label", "p(label)", "-log p"}};
    for (std::size_t k = 0; k < costs.size(); ++k) {
        const int t = corrupted.positions[k], label = corrupted.labels[t];
        rows.push_back({text(t), reading.word(label), fixed(p(t, label)), fixed(costs[k])});
    }
    return rows;
}

static LossesSeen step_loss(Lesson& lesson, const Reading& reading, const mlm::Corrupted& corrupted, Random& random) {
    lesson.step("What is the loss?", "mean over selected positions of -log p(label)");
    const bert::Config config{.vocabulary = reading.vocabulary.size(),
                              .positions = reading.size(),
                              .width = 32,
                              .depth = 2,
                              .heads = 2,
                              .mlp_width = 64};
    const mlm::Weights w = mlm::make_weights(config, random);
    const bert::Batch batch = bert::make_batch({corrupted.ids});
    lesson.code(2);
    const mlm::Steps steps = mlm::forward(batch, w, config);
    const mlm::Losses losses = mlm::loss(steps, corrupted.labels, {0});
    const Matrix p = softmax_rows(steps.prediction_logits).value();  // (T, V)
    const std::vector<double> costs = cross_entropies(p, corrupted);
    if (!costs.empty()) lesson.table(cost_rows(reading, corrupted, p, costs));
    const double sum = std::accumulate(costs.begin(), costs.end(), 0.0);
    const float by_hand = static_cast<float>(sum / std::max<std::size_t>(1, costs.size()));
    const float all = mlm::loss(steps, reading.ids).masked_tokens.value()(0, 0);
    lesson.say("Their mean is ", fixed(by_hand), ", losses.masked_tokens is ", fixed(losses.masked_tokens.value()(0, 0)),
               ". The loss of an untrained model is about ln ", config.vocabulary, " = ", fixed(std::log(config.vocabulary)),
               ".");
    lesson.say(
        "Next sentence prediction: does the second sentence follow the first? Two classes, read from [CLS]: losses.next_sentence is ",
        fixed(losses.next_sentence.value()(0, 0)), ", ln 2 = ", fixed(std::log(2)),
        ". BERT's loss is the sum: ", fixed(losses.sum.value()(0, 0)), ".");
    lesson.why(
        "over all ", reading.size(), " positions it would be ", fixed(all),
        " here, and soon near 0 in training: tokens that are not masked can be copied, which teaches nothing. Next: bert/bert is trained on this loss.");
    return {losses.masked_tokens.value()(0, 0), by_hand, all};
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    const Reading reading = step_pieces(lesson, choices);
    const mlm::Corruption how{.select = choices.select, .mask_id = reading.vocabulary.mask};
    const mlm::Corrupted corrupted = step_batch_form(lesson, reading, how, random);
    step_candidates_form(lesson, reading, how, random);
    const Shares shares = step_shares(lesson, reading, how, random);
    const LossesSeen losses = step_loss(lesson, reading, corrupted, random);
    const double same = 0.1 / reading.vocabulary.size();  // a random token equals the true one
    lesson.claim_at_most("fraction selected, distance from " + fixed(choices.select, 2),
                         std::abs(shares.selected - choices.select), 0.01);
    lesson.claim_at_most("fraction masked, distance from 0.8", std::abs(shares.masked - 0.8), 0.02);
    lesson.claim_at_most("fraction replaced, distance from 0.1", std::abs(shares.replaced - 0.1 + same), 0.02);
    lesson.claim_at_most("fraction kept, distance from 0.1", std::abs(shares.kept - 0.1 - same), 0.02);
    lesson.claim_at_most("the loss covers the selected positions only: distance from the mean by hand",
                         std::abs(losses.selected - losses.selected_by_hand), 1e-4);
}

int main(int argc, char** argv) {
    Options options("bert/mlm", "Masked language modelling: 15 % of the tokens are selected, then masked, replaced or kept.",
                    "a second");
    Choices choices;
    options.add("text", choices.text, "a text of your own");
    options.add("language", choices.language, "en: no Russian sentences; ru: both languages");
    options.add("vocab", choices.vocabulary, "a published vocab.txt");
    options.add("cased", choices.cased, "the vocabulary of --vocab is cased");
    options.add("select", choices.select, "fraction of the tokens that are selected", 0.01, 1);
    options.needs("cased", "vocab");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) {
        const bool english = only_english(choices.language);
        if (choices.text.empty()) choices.text = (english ? "" : russian_text) + english_text;
        walk(lesson, choices, options.seed);
    });
}
