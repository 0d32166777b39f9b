// mlm.cpp: what BERT is asked: some words are hidden, one in ten of them is a lie, one in ten is left, and only these count.
//
//   paper    Devlin et al. 2018, arXiv 1810.04805, section 3.1 and appendix A.1
//   shows    80/10/10 word by word, in the form of the paper's programs and in that of PyTorch's; and what the two losses are
//   before   wordpiece.cpp
//   next     bert.cpp trains on it
#include "bert/mlm.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/require.h"
#include "nn/training/loss.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/sentences.h"

struct Choices {
    std::string text =
        "Мама мыла раму утром. Папа читал книгу вечером. Mother washes the window and the children wash the floor. "
        "Whoever hides a word must know it; whoever finds it must read what stands before it and what stands behind it.";
    std::string vocabulary;
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

static std::string percent(double share) { return fixed(100 * share, 1) + " %"; }

// --- what became of a word ---

enum class Fate { untouched, masked, replaced, kept };

static Fate fate_of(const mlm::Corrupted& corrupted, int place, int original, int mask_id) {
    if (corrupted.labels[place] == ignored_label) return Fate::untouched;
    if (corrupted.ids[place] == mask_id) return Fate::masked;
    return corrupted.ids[place] == original ? Fate::kept : Fate::replaced;
}

static std::string name_of(Fate fate) {
    switch (fate) {
        case Fate::masked: return "[MASK]";
        case Fate::replaced: return "another word";
        case Fate::kept: return "left as it is";
        case Fate::untouched: break;
    }
    return "not asked for";
}

// Red is hidden, yellow a lie, green left; without colours [MASK], <a lie>, {left}.
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
        if (display_width(lines.back()) + display_width(word) > 88) lines.emplace_back();
        lines.back() += word + " ";
    }
    return lines;
}

// --- the steps ---

static Reading step_pieces(Lesson& lesson, const Choices& choices) {
    lesson.step("Which words may be hidden?");
    Reading reading;
    reading.config = {.lower_case = !choices.cased && !choices.vocabulary.empty()};
    if (choices.vocabulary.empty()) {
        std::vector<std::string> texts{choices.text};
        for (const Sentence& sentence : all_sentences()) texts.push_back(sentence.words());
        reading.vocabulary = vocabulary_of(texts);
    } else {
        reading.vocabulary = wordpiece::load_vocabulary(choices.vocabulary);
    }
    reading.ids = encode_with_masks(choices.text, reading.vocabulary, reading.config);
    require(reading.size() > 2 && reading.size() <= 512, "--text has ", reading.size() - 2, " pieces, 1 to 510 are needed");
    lesson.code();
    reading.special = mlm::special_positions(reading.ids, {reading.vocabulary.classification, reading.vocabulary.separator});
    const mlm::Corrupted nothing{.ids = reading.ids, .labels = std::vector<int>(reading.ids.size(), ignored_label), .positions = {}};
    lesson.lines(painted_lines(reading, nothing, lesson.colours));
    lesson.say(reading.size(), " pieces of a vocabulary of ", reading.vocabulary.size(),
               ". [CLS] and [SEP] say nothing and are never hidden, nor is padding.");
    return reading;
}

static mlm::Corrupted step_batch_form(Lesson& lesson, const Reading& reading, const mlm::Corruption& how, Random& random) {
    lesson.step("Which are hidden, and how?", "u_select < 0.15, u_mask < 0.8, u_random < 0.5", "PyTorch's form");
    const mlm::Draws draws = mlm::make_draws(random, 1, reading.size(), reading.vocabulary.size());
    lesson.code();
    const mlm::Corrupted corrupted = mlm::corrupt_batch(reading.ids, reading.special, draws, how);
    lesson.lines(painted_lines(reading, corrupted, lesson.colours));
    std::vector<std::vector<std::string>> rows{
        {"place", "the word", "u_select", "u_mask", "u_random", "becomes", "the model reads", "label"}};
    for (const int t : corrupted.positions) {
        const Fate fate = fate_of(corrupted, t, reading.ids[t], how.mask_id);
        rows.push_back({text(t), reading.word(reading.ids[t]), fixed(draws.u_select[t], 2), fixed(draws.u_mask[t], 2),
                        fate == Fate::masked ? "" : fixed(draws.u_random[t], 2), name_of(fate), reading.word(corrupted.ids[t]),
                        text(corrupted.labels[t])});
    }
    if (rows.size() > 1) lesson.table(rows);
    lesson.say(lesson.colours == Colours::none
                   ? "[MASK] is hidden, <a lie> is another word, {what is left} looks like all the others."
                   : "Red is hidden, yellow is another word, green is left and looks like all the others.");
    lesson.why("a coin for every word: ", corrupted.positions.size(), " of ", reading.size(),
               " here, another number next time. All others carry the label ", ignored_label, ", which the loss leaves out.");
    lesson.predict("how many are asked for with --select 0.5.");
    return corrupted;
}

static void step_candidates_form(Lesson& lesson, const Reading& reading, const mlm::Corruption& how, Random& random) {
    const long open = std::count(reading.special.begin(), reading.special.end(), 0);
    lesson.step("How did the first BERT do it?", "min(20, max(1, round(0.15 T))) words", "the original form");
    const mlm::CandidateDraws draws = mlm::make_candidate_draws(random, static_cast<int>(open), reading.vocabulary.size());
    lesson.code();
    const mlm::Corrupted corrupted = mlm::corrupt_candidates(reading.ids, reading.special, draws, how);
    lesson.lines(painted_lines(reading, corrupted, lesson.colours));
    lesson.why("the order of the words is shuffled and the first ", corrupted.positions.size(),
               " are taken: always as many for T = ", reading.size(),
               ", the special ones counted. The paper's sentence \"15 % of the words\" fits both; the programs differ.");
}

struct Shares {
    double selected, masked, replaced, kept;  // the last three of what was selected
};

static Shares step_shares(Lesson& lesson, const Reading& reading, const mlm::Corruption& how, Random& random) {
    lesson.step("Is it 80, 10 and 10?");
    const int rounds = std::max(200, 200'000 / reading.size());  // enough words for the shares to settle
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
    lesson.table({{"of", "what", "share"},
                  {"all words", "are asked for", percent(shares.selected)},
                  {"these", "are hidden by [MASK]", percent(shares.masked)},
                  {"these", "are another word", percent(shares.replaced)},
                  {"these", "are left", percent(shares.kept)}});
    lesson.why(
        "[MASK] never occurs in a text that somebody asks about later. If only it were asked for, a model could be idle wherever "
        "it "
        "does not stand. So one in ten is a lie and one in ten is true: no word may be believed, every place has to be "
        "understood. "
        "A random word that happens to be the true one counts as left.");
    return shares;
}

struct LossesSeen {
    float chosen, chosen_by_hand, all_places;
};

static LossesSeen step_loss(Lesson& lesson, const Reading& reading, const mlm::Corrupted& corrupted, Random& random) {
    lesson.step("What does a wrong guess cost?", "mean over the places asked for of -log p(label)");
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
    double sum = 0;
    std::vector<std::vector<std::string>> rows{{"place", "label", "p(label)", "-log p"}};
    for (const int t : corrupted.positions) {
        const double cost = -std::log(p(t, corrupted.labels[t]));
        sum += cost;
        rows.push_back({text(t), reading.word(corrupted.labels[t]), fixed(p(t, corrupted.labels[t])), fixed(cost)});
    }
    if (rows.size() > 1) lesson.table(rows);
    const float by_hand = static_cast<float>(sum / std::max<std::size_t>(1, corrupted.positions.size()));
    const float all = mlm::loss(steps, reading.ids).masked_words.value()(0, 0);
    lesson.say("Their mean is ", fixed(by_hand), ", losses.masked_words is ", fixed(losses.masked_words.value()(0, 0)),
               ". A fresh model knows nothing: ln ", config.vocabulary, " = ", fixed(std::log(config.vocabulary)), ".");
    lesson.say("Does the second sentence really follow the first? Two answers, read from [CLS]: losses.next_sentence is ",
               fixed(losses.next_sentence.value()(0, 0)), ", ln 2 = ", fixed(std::log(2)),
               ". The loss of BERT is the sum: ", fixed(losses.sum.value()(0, 0)), ".");
    lesson.why("over all ", reading.size(), " places it would be ", fixed(all),
               " here and soon near 0: what is not hidden can be copied, and copying teaches nothing.");
    return {losses.masked_words.value()(0, 0), by_hand, all};
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    const Reading reading = step_pieces(lesson, choices);
    const mlm::Corruption how{.select = choices.select, .mask_id = reading.vocabulary.mask};
    const mlm::Corrupted corrupted = step_batch_form(lesson, reading, how, random);
    step_candidates_form(lesson, reading, how, random);
    const Shares shares = step_shares(lesson, reading, how, random);
    const LossesSeen losses = step_loss(lesson, reading, corrupted, random);
    const double lies = 0.1 / reading.vocabulary.size();  // a random word is the true one now and then
    lesson.claim_at_most("share asked for, distance from " + fixed(choices.select, 2), std::abs(shares.selected - choices.select),
                         0.01);
    lesson.claim_at_most("share of [MASK], distance from 0.8", std::abs(shares.masked - 0.8), 0.02);
    lesson.claim_at_most("share of other words, distance from 0.1", std::abs(shares.replaced - 0.1 + lies), 0.02);
    lesson.claim_at_most("share left, distance from 0.1", std::abs(shares.kept - 0.1 - lies), 0.02);
    lesson.claim_at_most("the loss counts the places asked for and no other: distance from the mean by hand",
                         std::abs(losses.chosen - losses.chosen_by_hand), 1e-4);
}

int main(int argc, char** argv) {
    Options options("bert/mlm", "Hide a word, tell a lie, leave one as it is: what BERT is asked to find out.", "a second");
    Choices choices;
    options.add("text", choices.text, "a text of your own");
    options.add("vocab", choices.vocabulary, "a published vocab.txt to cut it with");
    options.add("cased", choices.cased, "the vocabulary of --vocab tells capitals from small letters");
    options.add("select", choices.select, "share of the words that are asked for", 0.01, 1);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
