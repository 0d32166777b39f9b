// pretraining.cpp: the lesson on self-supervised pre-training: masked autoencoding improves a classifier trained on few labels.
//
//   paper    He et al., "Masked Autoencoders Are Scalable Vision Learners", 2021, arXiv 2111.06377, sections 1 and 4
//   shows    that unlabelled images teach an encoder what a few labelled ones cannot, and how many labels that is worth
//   next     mae.cpp shows how masked autoencoding works
#include <algorithm>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/idx.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/mask_pixels/mae.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/restoring.h"

struct Choices {
    int steps = 2500;
    int tuning_steps = 300;
    int labels = 5;
    int trials = 3;
    DatasetFiles dataset;
};

// Images and their labels.
struct Labelled {
    std::vector<Image> images;
    std::vector<int> labels;
};

struct Labels {
    std::vector<int> train, test;  // of digits.train and digits.test
    int classes = 0;
};

// One label per image.
static std::vector<int> labels_for(const std::vector<Image>& images, const std::string& path, const std::string& images_path,
                                   int count) {
    std::vector<int> labels = read_idx_labels(path);
    const bool shortened = count > 0 && labels.size() >= images.size();
    require(labels.size() == images.size() || shortened, path, ": ", labels.size(), " labels for the ", images.size(),
            " images of ", images_path);
    labels.resize(images.size());
    return labels;
}

static Labels read_labels(const Dataset& dataset, const DatasetFiles& files) {
    Labels labels{.train = labels_for(dataset.train, files.train_labels, files.train_images, files.train_count),
                  .test = labels_for(dataset.test, files.test_labels, files.test_images, 500)};
    for (const std::vector<int>& all : {labels.train, labels.test})
        labels.classes = std::max(labels.classes, *std::max_element(all.begin(), all.end()) + 1);
    return labels;
}

// Half of the patches are masked, not three quarters: a digit of 8 x 8 pixels has only 16 patches.
static mae::Config encoder_config(const PatchGrid& grid) {
    return {.grid = grid,
            .width = 48,
            .depth = 2,
            .heads = 4,
            .decoder_width = 32,
            .decoder_depth = 1,
            .decoder_heads = 4,
            .mlp_ratio = 2,
            .mask_ratio = 0.5,
            .normalise_targets = false};
}

// The first `count` images of each class, after shuffling.
static Labelled few_of_each(const std::vector<Image>& images, const Labels& known, int count, Random& random) {
    const std::vector<int>& labels = known.train;
    Labelled few;
    std::vector<int> taken(known.classes, 0);
    for (const int k : permutation(random, static_cast<int>(images.size()))) {
        if (taken[labels[k]]++ >= count) continue;
        few.images.push_back(images[k]);
        few.labels.push_back(labels[k]);
    }
    return few;
}

static Recipe pretraining_recipe(int steps) {
    return {
        .schedule = {.peak = 5e-3f, .warm_up = steps / 20, .steps = steps}, .batch = 32, .weight_decay = 0.05f, .beta2 = 0.95f};
}

static Recipe fine_tuning_recipe(int steps) {
    return {.schedule = {.peak = 1e-3f, .warm_up = steps / 10, .steps = steps}, .batch = 25, .weight_decay = 0.05f};
}

namespace {
struct RestoringLoss : Objective {
    const mae::Weights& w;
    const mae::Config& config;
    const Dataset& digits;
    int batch;
    Random& random;

    RestoringLoss(const mae::Weights& w, const mae::Config& config, const Dataset& digits, int batch, Random& random)
        : w(w), config(config), digits(digits), batch(batch), random(random) {}

    Var loss(int) override {
        const std::vector<Image> images = draw_batch(digits, batch, random);
        const mae::Steps forward = mae::forward(images, uniform_matrix(random, batch, config.grid.count()), w, config);
        return mae::loss(forward, config);
    }
};
}  // namespace

static void pretrain(const mae::Weights& w, const mae::Config& config, const Dataset& digits, int steps, Random& random) {
    const Recipe recipe = pretraining_recipe(steps);
    RestoringLoss objective(w, config, digits, recipe.batch, random);
    ShowProgress progress("pre-training", steps);
    train(objective, weights_decay(mae::parameters(w, config)), recipe, &progress);
}

// Logits (B, K) from the mean over each image's patch tokens, which pre-training trained; it never used [cls].
static Var logits_of(const std::vector<Image>& images, const vit::Weights& w, const vit::Config& config) {
    const vit::Steps steps = vit::forward(images, w, config);
    const int B = static_cast<int>(images.size()), N = config.grid.count();
    Matrix average(B, B * N);  // row b averages the patch tokens of image b
    for (int b = 0; b < B; ++b)
        for (int n = 0; n < N; ++n) average(b, b * N + n) = 1.0f / N;
    const Var patch_tokens = drop_first_of_each(steps.norm, N + 1);  // (B*N, D)
    return linear(matmul(average, patch_tokens), w.classifier);      // (B, K)
}

namespace {
struct ReadingLoss : Objective {
    const vit::Weights& w;
    const vit::Config& config;
    const Labelled& few;
    int batch;
    Random& random;

    ReadingLoss(const vit::Weights& w, const vit::Config& config, const Labelled& few, int batch, Random& random)
        : w(w), config(config), few(few), batch(batch), random(random) {}

    Var loss(int) override {
        Labelled drawn;
        for (int b = 0; b < batch; ++b) {
            const int k = random.below(static_cast<int>(few.images.size()));
            drawn.images.push_back(few.images[k]);
            drawn.labels.push_back(few.labels[k]);
        }
        return cross_entropy(logits_of(drawn.images, w, config), drawn.labels);
    }
};
}  // namespace

// Trains all weights on the labelled images.
static void fine_tune(const vit::Weights& w, const vit::Config& config, const Labelled& few, int steps, Random& random) {
    const Recipe recipe = fine_tuning_recipe(steps);
    ReadingLoss objective(w, config, few, recipe.batch, random);
    ShowProgress progress("fine-tuning", steps);
    train(objective, weights_decay(vit::parameters(w, config)), recipe, &progress);
}

static float test_accuracy(const vit::Weights& w, const vit::Config& config, const Dataset& digits, const Labels& labels) {
    const NoTape evaluation;
    return accuracy(logits_of(digits.test, w, config).value(), labels.test);
}

// --- the lesson ---

static void step_1_labels(Lesson& lesson, const Dataset& digits, const Labelled& few, int classes) {
    lesson.step("What is the data?", "", "many images, few labels");
    std::vector<Image> one_each;
    for (int label = 0; label < classes; ++label) {
        const std::size_t first = std::find(few.labels.begin(), few.labels.end(), label) - few.labels.begin();
        if (first == few.labels.size()) continue;  // a class that only the test images have
        one_each.push_back(as_light(few.images[first], digits));
    }
    lesson.picture("one labelled image of each class", contact_sheet(one_each, 5));
    lesson.say(digits.train.size(), " training images, of which only ", few.images.size(),
               " have labels. The test set: ", digits.test.size(),
               digits.one == "digit" ? " digits of other writers." : " other images.");
    lesson.why(
        "images are cheap, labels are not: a person has to give each of them. A classifier can use only labelled images; an autoencoder can use all.");
}

static mae::Weights step_2_restore(Lesson& lesson, const Dataset& digits, const mae::Config& config, int steps, int seed) {
    lesson.step("What can be learned without labels?", "loss = error on masked patches");
    Random random(seed);
    const mae::Weights w = mae::make_weights(config, random);
    lesson.code();
    pretrain(w, config, digits, steps, random);
    const NoTape evaluation;
    const Matrix noise = uniform_matrix(random, static_cast<int>(digits.test.size()), config.grid.count());
    const mae::Steps restored = mae::forward(digits.test, noise, w, config);
    const std::vector<Image> predicted = mae::predicted_images(restored, config);
    show_triples(lesson,
                 triples(digits, predicted, restored.masking.mask, config.grid.patch_size, std::min<int>(2, predicted.size())));
    lesson.why(
        "to predict a masked stroke the encoder must represent which strokes occur together, which is also what distinguishes digits. Error on masked patches: ",
        fixed(mae::loss(restored, config).value()(0, 0)), ".");
    return w;
}

struct Trial {
    float from_scratch;
    float pretrained;
};

// Fine-tunes a fresh and the pre-trained encoder on `count` labels per class.
static Trial run_trial(const Dataset& digits, const Labels& labels, const mae::Weights& encoder, const mae::Config& config,
                       int count, int steps, int seed) {
    const vit::Config classifier = mae::vit_config(config, labels.classes);
    Random draw(seed), scratch_random(seed), pretrained_random(seed);
    const Labelled few = few_of_each(digits.train, labels, count, draw);
    Random start(seed);
    const mae::Weights fresh = mae::make_weights(config, start);  // the initialisation of pre-training
    const vit::Weights scratch = mae::make_classifier(fresh, config, labels.classes, scratch_random);
    const vit::Weights pretrained = mae::make_classifier(encoder, config, labels.classes, pretrained_random);
    fine_tune(scratch, classifier, few, steps, scratch_random);
    fine_tune(pretrained, classifier, few, steps, pretrained_random);
    return {test_accuracy(scratch, classifier, digits, labels), test_accuracy(pretrained, classifier, digits, labels)};
}

static std::vector<Trial> step_3_read(Lesson& lesson, const Dataset& digits, const Labels& labels, const mae::Weights& encoder,
                                      const mae::Config& config, const Choices& choices, int seed) {
    lesson.step("Does it help a classifier?", "", "same labels, same steps, same batches");
    std::vector<Trial> trials;
    std::vector<std::vector<std::string>> table{{"draw of labels", "from scratch", "pre-trained"}};
    for (int trial = 0; trial < choices.trials; ++trial) {
        trials.push_back(run_trial(digits, labels, encoder, config, choices.labels, choices.tuning_steps, 1000 * seed + trial));
        table.push_back({text(trial + 1), fixed(100 * trials.back().from_scratch, 1) + " %",
                         fixed(100 * trials.back().pretrained, 1) + " %"});
    }
    lesson.table(table);
    lesson.why(
        "both classifiers have the same architecture and see the same labelled images in the same order; only the initial weights of the encoder differ.");
    return trials;
}

// returns the accuracies with 1, 5 and 20 labels per class
static std::vector<Trial> step_5_labels(Lesson& lesson, const Dataset& digits, const Labels& labels, const mae::Weights& encoder,
                                        const mae::Config& config, const Choices& choices, int seed) {
    lesson.step("How many labels is pre-training worth?", "accuracy over labels per class");
    std::vector<Trial> trials;
    std::vector<std::vector<std::string>> table{{"labels per class", "from scratch", "pre-trained"}};
    Series scratch{.name = "from scratch", .x = {}, .y = {}}, pretrained{.name = "pre-trained", .x = {}, .y = {}};
    for (const int count : {1, 5, 20}) {
        trials.push_back(run_trial(digits, labels, encoder, config, count, choices.tuning_steps, 1000 * seed + 100 + count));
        table.push_back(
            {text(count), fixed(100 * trials.back().from_scratch, 1) + " %", fixed(100 * trials.back().pretrained, 1) + " %"});
        for (Series* series : {&scratch, &pretrained}) series->x.push_back(static_cast<float>(count));
        scratch.y.push_back(trials.back().from_scratch);
        pretrained.y.push_back(trials.back().pretrained);
    }
    lesson.predict("What is the accuracy from scratch with 20 labels per class? From 0 to 1.",
                   {trials.back().from_scratch, 0.05});
    lesson.table(table);
    lesson.curves({scratch, pretrained}, {"labels per class", "accuracy"});
    lesson.why(
        "the fewer the labels, the more pre-training helps; with many labels supervised training finds the same features. Next: vit/mask_pixels/mae shows how masked autoencoding works.");
    return trials;
}

static void step_4_compare(Lesson& lesson, const std::vector<Trial>& trials, const Choices& choices, int classes) {
    lesson.step("Is the difference systematic?", "mean over " + text(choices.trials) + " draws of labels");
    double scratch = 0, pretrained = 0;
    int better = 0;
    for (const Trial& trial : trials) {
        scratch += trial.from_scratch / trials.size();
        pretrained += trial.pretrained / trials.size();
        better += trial.pretrained > trial.from_scratch;
    }
    lesson.say("Mean test accuracy: ", fixed(100 * scratch, 1), " % from scratch, ", fixed(100 * pretrained, 1),
               " % pre-trained; pre-training was better in ", better, " of ", trials.size(), " draws.");
    lesson.why("both had the same ", classes * choices.labels,
               " labels. The pre-trained encoder already has features for strokes; the other has to learn them from ",
               classes * choices.labels, " images.");
    if (choices.dataset.own())  // for other images, only better than chance
        lesson.claim_at_least("accuracy of the pre-trained classifier, as a multiple of chance", pretrained * classes, 1);
    else
        lesson.claim_at_most("errors of the pre-trained classifier over those from scratch, mean over the draws",
                             (1 - pretrained) / (1 - scratch), 0.9);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const Dataset digits = images_to_restore(choices.dataset);
    const Labels labels = read_labels(digits, choices.dataset);
    const mae::Config config = encoder_config(grid_of(digits, choices.dataset));
    Random random(1000 * seed);
    step_1_labels(lesson, digits, few_of_each(digits.train, labels, choices.labels, random), labels.classes);
    const mae::Weights encoder = step_2_restore(lesson, digits, config, choices.steps, seed);
    const std::vector<Trial> trials = step_3_read(lesson, digits, labels, encoder, config, choices, seed);
    step_4_compare(lesson, trials, choices, labels.classes);
    step_5_labels(lesson, digits, labels, encoder, config, choices, seed);
}

int main(int argc, char** argv) {
    Options options("vit/mask_pixels/pretraining",
                    "Self-supervised pre-training: unlabelled images teach what a few labels cannot.", "20 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "pre-training steps, without labels", 1, 100'000);
    options.add("tuning-steps", choices.tuning_steps, "fine-tuning steps", 1, 100'000);
    options.add("labels", choices.labels, "labelled images of each class", 1, 100);
    choices.dataset.declare(options, true);
    options.add("trials", choices.trials, "draws of labelled images", 1, 100);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
