// digits_in_words.cpp: real handwritten digits and their names, in English and in Russian; no class has a number.
//
//   paper    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, arXiv 2103.00020
//   shows    that digits are read by comparing them with sentences, that new wordings work, and that two languages meet in the
//            images although no text ever held both
//   before   clip.cpp
#include <algorithm>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/idx.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/language/clip.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/coloured_shapes.h"

static const std::string data = "walkthroughs/data/digits-";

struct Choices {
    int steps = 4000;
    std::string train_images = data + "train-images.idx3-ubyte", train_labels = data + "train-labels.idx1-ubyte";
    std::string test_images = data + "test-images.idx3-ubyte", test_labels = data + "test-labels.idx1-ubyte";
};

enum Language { english, russian, languages };
static const std::vector<std::string> names[languages] = {
    {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"},
    {"ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"}};
// Wordings of training, and one that joins their words anew.    (Russian: handwritten seven; the digit seven; handwritten digit seven)
static const std::vector<std::string> wordings[languages] = {{"a handwritten ", "the digit "}, {"рукописная ", "цифра "}};
static const std::string new_wording[languages] = {"the handwritten digit ", "рукописная цифра "};

static const int sentence_length = 6;

static WordList all_words() {
    WordList list{{"<pad>", "a", "the", "handwritten", "digit", "рукописная", "цифра"}};
    for (const std::vector<std::string>& of : names) list.words.insert(list.words.end(), of.begin(), of.end());
    for (const std::string word : {"<start>", "<end>"}) list.words.push_back(word);
    return list;
}

// The ten names in one wording.
static std::vector<std::string> ten(const std::string& wording, Language language) {
    std::vector<std::string> texts;
    for (const std::string& name : names[language]) texts.push_back(wording + name);
    return texts;
}

// Light of 0 ... 1 as the model sees it: about mean 0 and standard deviation 1.
static Image as_seen(const Image& light) { return normalise(light, {0.3f}, {0.38f}); }

static clip::Config config_of(const LabelledImages& digits, const WordList& words) {
    const Image& one = digits.images[0];
    return {
        .vision = {.grid = {.height = one.height, .width = one.width, .patch_size = 2, .channels = one.channels},
                   .width = 48,
                   .depth = 2,
                   .heads = 4,
                   .mlp_width = 96},
        .text = {.vocabulary = words.size(), .positions = sentence_length, .width = 32, .depth = 1, .heads = 2, .mlp_width = 64},
        .shared_width = 32};
}

namespace {
// Every batch: one image of each digit, each with a sentence of its own in a language and wording drawn for it.
struct DigitLoss : Objective {
    clip::Weights& w;
    const clip::Config& config;
    const WordList& words;
    Random random;
    std::vector<std::vector<const Image*>> of_digit{10};

    DigitLoss(const LabelledImages& digits, clip::Weights& w, const clip::Config& config, const WordList& words, int seed)
        : w(w), config(config), words(words), random(1000 + seed) {
        for (int i = 0; i < digits.count(); ++i)
            of_digit[static_cast<std::size_t>(digits.labels[i])].push_back(&digits.images[i]);
    }

    Var loss(int) override {
        clip::limit_scale(w);
        std::vector<Image> images;
        std::vector<std::string> texts;
        for (int digit = 0; digit < 10; ++digit) {
            const std::vector<const Image*>& of = of_digit[digit];
            const int language = random.below(languages);
            const Image& image = *of[static_cast<std::size_t>(random.below(static_cast<int>(of.size())))];
            images.push_back(as_seen(shifted(image, random.below(3) - 1, random.below(3) - 1)));
            texts.push_back(wordings[language][random.below(2)] + names[language][digit]);
        }
        return clip::loss(clip::forward(images, sentence_tokens(texts, words, sentence_length), w, config));
    }
};
}  // namespace

// The ten names in one wording, as directions: (10, D).
static Var directions_of(const std::string& wording, Language language, const clip::Weights& w, const clip::Config& config,
                         const WordList& words) {
    return clip::embed_texts(sentence_tokens(ten(wording, language), words, sentence_length), w, config);
}

static double accuracy_with(const Var& images, const std::vector<int>& labels, const Var& directions, const clip::Weights& w) {
    return accuracy(clip::class_probabilities(images, directions, w).value(), labels);
}

static void step_1_pairs(Lesson& lesson, const LabelledImages& train) {
    lesson.step("What is a class without a label?", "(image, sentence) pairs");
    std::vector<Captioned> shown;
    for (int i = 0; i < 3; ++i) {
        const int digit = train.labels[i];
        const Language language = i % 2 == 0 ? english : russian;
        shown.push_back({wordings[language][i / 2] + names[language][digit], picture(train.images[i], lesson.colours)});
    }
    lesson.pictures(shown);
    lesson.why(
        "each image comes with one sentence in one of two languages (рукописная семь: handwritten seven; цифра семь: the digit "
        "seven). No sentence holds both languages, and training uses the labels only through these words.");
}

static void step_2_train(Lesson& lesson, const LabelledImages& train_set, clip::Weights& w, const clip::Config& config,
                         const WordList& words, int steps, int seed) {
    lesson.step("Does it learn?", "10 pairs in every batch, each digit once");
    DigitLoss objective(train_set, w, config, words, seed);
    std::vector<float> losses;
    {
        ShowProgress progress("training", steps);
        losses = train(objective, nothing_decays(variables(clip::parameters(w, config))),
                       {.schedule = {.peak = 2e-3f, .steps = steps}}, &progress);
    }
    lesson.curves({smoothed("loss", losses, std::max(1, steps / 60))}, {"training step", "loss, nats"});
    lesson.why("a uniform guess costs ln 10 = 2.303. ", train_set.count(),
               " images, moved by up to a pixel each time they are shown.");
}

// For each digit, its name in all four wordings.
static std::vector<TokenBatch> prompts_of_digits(const WordList& words) {
    std::vector<TokenBatch> prompts;
    for (int digit = 0; digit < 10; ++digit) {
        std::vector<std::string> of;
        for (const Language language : {english, russian})
            for (const std::string& wording : wordings[language]) of.push_back(wording + names[language][digit]);
        prompts.push_back(sentence_tokens(of, words, sentence_length));
    }
    return prompts;
}

namespace {
struct Fractions {
    double least, most_new;  // of the training wordings, of the wordings that training has not seen
};
}  // namespace

// A row for each wording, and the fractions read right that the claims are about.
static Fractions read_with_each(std::vector<std::vector<std::string>>& rows, const Var& images, const std::vector<int>& labels,
                                const clip::Weights& w, const clip::Config& config, const WordList& words) {
    double least = 1, most_new = 0;
    for (const Language language : {english, russian}) {
        for (const std::string& wording : wordings[language]) {
            const double right = accuracy_with(images, labels, directions_of(wording, language, w, config, words), w);
            rows.push_back({wording + names[language][7], fixed(right, 3)});
            least = std::min(least, right);
        }
        const double fresh = accuracy_with(images, labels, directions_of(new_wording[language], language, w, config, words), w);
        rows.push_back({new_wording[language] + names[language][7] + " (never seen)", fixed(fresh, 3)});
        most_new = std::max(most_new, fresh);
    }
    return {least, most_new};
}

static void step_3_read(Lesson& lesson, const LabelledImages& test, const clip::Weights& w, const clip::Config& config,
                        const WordList& words) {
    lesson.step("Does it read digits of other writers?", "argmax over ten sentences of cos", "zero-shot");
    const NoTape evaluation;
    std::vector<Image> seen;
    for (const Image& image : test.images) seen.push_back(as_seen(image));
    const Var images = clip::embed_images(seen, w, config);
    std::vector<std::vector<std::string>> rows{{"ten sentences such as", "digits read correctly"}};
    const auto [least, most_new] = read_with_each(rows, images, test.labels, w, config, words);
    const Var directions = clip::class_directions(prompts_of_digits(words), w, config);
    const double together = accuracy_with(images, test.labels, directions, w);
    rows.push_back({"all four wordings, averaged", fixed(together, 3)});
    lesson.predict("What fraction of the digits is read right with all four wordings? Chance is 0.1.", {together, 0.05});
    lesson.table(rows);
    lesson.why(
        test.count(),
        " images by writers that training has not seen. A new combination of known words gives about the same direction: how close depends on the seed, that is on how much the other words contribute. More wordings in training, and the mean of several, make it more stable.");
    lesson.claim_at_least("digits read with training sentences, the worst of four wordings", least, 0.75);
    lesson.claim_at_least("digits read with all four wordings averaged", together, 0.75);
    lesson.claim_at_least("digits read with an unseen wording, the better language; chance is 0.1", most_new, 0.2);
}

static void step_4_translate(Lesson& lesson, const clip::Weights& w, const clip::Config& config, const WordList& words) {
    lesson.step("Are translations close to each other?", "cos(English sentence, Russian sentence)");
    const NoTape evaluation;
    const Var one = directions_of(wordings[english][1], english, w, config, words);
    const Var other = directions_of(wordings[russian][1], russian, w, config, words);
    const Matrix table = matmul_transposed(one, other).value();  // (10, 10)
    lesson.heat("English down, Russian across", table, names[english], names[russian]);
    int right = 0;
    std::string pairs;
    for (int digit = 0; digit < 10; ++digit) {
        const int nearest = argmax_row(table, digit);
        right += nearest == digit;
        pairs += (digit == 0 ? "" : ", ") + names[english][digit] + " " + names[russian][nearest];
    }
    lesson.say("The nearest Russian sentence of each English one: ", pairs, ".");
    lesson.why(
        "nothing compared a sentence with a sentence. Both were pulled to the same images, so the embeddings of a word and its translation became similar.");
    lesson.claim_at_least("English names whose nearest Russian one is the translation, of 10", right, 8);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const LabelledImages train = read_labelled_images(choices.train_images, choices.train_labels);
    const LabelledImages test = read_labelled_images(choices.test_images, choices.test_labels);
    require(train.classes <= 10 && test.classes <= 10, choices.train_labels, ": ", train.classes,
            " classes, there are names for ten");
    const WordList words = all_words();
    const clip::Config config = config_of(train, words);
    Random random(seed);
    clip::Weights w = clip::make_weights(config, random);
    step_1_pairs(lesson, train);
    step_2_train(lesson, train, w, config, words, choices.steps, seed);
    step_3_read(lesson, test, w, config, words);
    step_4_translate(lesson, w, config, words);
    lesson.say("Next: vit/fields/plenoxels reconstructs a scene from photographs.");
}

int main(int argc, char** argv) {
    Options options("vit/language/digits_in_words", "Handwritten digits, read by comparing them with sentences in two languages.",
                    "10 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps", 1, 100'000);
    options.add("train-images", choices.train_images, "IDX file of images to train on");
    options.add("train-labels", choices.train_labels, "their digits");
    options.add("test-images", choices.test_images, "IDX file of images to read");
    options.add("test-labels", choices.test_labels, "their digits");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
