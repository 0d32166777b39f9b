// vild.cpp: a detector's head recognises classes without training boxes.
//
//   paper    Gu et al., "Open-vocabulary Object Detection via Vision and Language Knowledge Distillation", 2021, arXiv 2104.13921
//   shows    that a classifier of text embeddings accepts new classes but does not recognise them, and that distillation from
//            CLIP's image tower makes it do so
//   symbols  R labelled regions   M proposals   C classes   D width of CLIP   t temperature
//   before   owl_vit.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/norm.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/detect/vild.h"
#include "walkthroughs/lesson/lesson.h"

namespace {
struct Choices {
    int steps = 600;
    double weight = 0.5;
    int seed = 1;
};
}  // namespace

static const int base_count = 10, novel_count = 5, class_count = base_count + novel_count, clip_width = 16, feature_width = 32;

// --- a synthetic world with 15 classes that CLIP has learned ---

namespace {
// The features of a region from CLIP and from the detector's backbone.
struct Regions {
    Matrix features;           // (n, 32)  the backbone's
    Matrix clip_embeddings;    // (n, 16)  of CLIP's image tower, for the crop
    std::vector<int> classes;  // n, -1 = background
};

struct World {
    Matrix sentences;  // (16, 16)  a direction for each class; one more, of a class that does not occur in training
    Matrix eye;        // (16, 32)  the backbone's linear map of directions

    explicit World(Random& random)
        : sentences(unit_rows(normal_matrix(random, class_count + 1, clip_width)).value()),
          eye(normal_matrix(random, clip_width, feature_width)) {}
};
}  // namespace

// The region of each class given: its direction with noise, and the backbone's features of it; background is any direction.
static Regions draw_regions(const World& world, const std::vector<int>& classes, Random& random) {
    const int n = static_cast<int>(classes.size());
    Matrix directions = normal_matrix(random, n, clip_width);
    for (int i = 0; i < n; ++i)
        if (classes[i] >= 0)
            for (int j = 0; j < clip_width; ++j) directions(i, j) = world.sentences(classes[i], j) + 0.15f * directions(i, j);
    const Matrix embeddings = unit_rows(directions).value();
    Matrix features = tanh(scale(matmul(embeddings, world.eye), 2)).value();
    for (float& x : features) x += 0.05f * random.normal();
    return {features, embeddings, classes};
}

static std::vector<int> random_classes(Random& random, int count, int first, int last) {
    std::vector<int> classes;
    for (int i = 0; i < count; ++i) classes.push_back(first + random.below(last - first));
    return classes;
}

// --- the head ---

static vild::Config config_with(double weight, bool double_branch) {
    return {.region_height = 1,
            .region_width = 1,
            .region_channels = feature_width,
            .layers = 2,
            .hidden = 64,
            .clip_width = clip_width,
            .classes = class_count,
            .double_branch = double_branch,
            .temperature = 20,
            .distill_weight = static_cast<float>(weight)};
}

// The table of sentences as the frozen classifier: (16, classes), a column for each.
static Var classifier_of(const World& world, int classes) { return transpose(slice_rows(world.sentences, 0, classes)); }

namespace {
struct HeadLoss : Objective {
    const World& world;
    const vild::Weights& w;
    const vild::Config& config;
    Regions labelled;
    Random random;

    HeadLoss(const World& world, const vild::Weights& w, const vild::Config& config, const Regions& labelled, int seed)
        : world(world), w(w), config(config), labelled(labelled), random(seed) {}

    Var loss(int) override {
        const int labelled_count = 64, background_count = 16, proposals = 64;
        Matrix regions = Matrix::unset(labelled_count + background_count, feature_width);
        std::vector<int> labels;  // 0 = background, k + 1 = class k
        for (int i = 0; i < labelled_count; ++i) {
            const int chosen = random.below(labelled.features.rows);
            std::copy_n(labelled.features.row(chosen), feature_width, regions.row(i));
            labels.push_back(labelled.classes[chosen] + 1);
        }
        const Regions background = draw_regions(world, std::vector<int>(background_count, -1), random);
        std::copy(background.features.begin(), background.features.end(), regions.row(labelled_count));
        labels.resize(labelled_count + background_count, 0);
        const Regions unlabelled = draw_regions(world, random_classes(random, proposals, 0, class_count), random);
        const vild::Distillation distillation{unlabelled.features, unlabelled.clip_embeddings, Matrix(proposals, 4, 1)};
        return vild::training_losses(regions, labels, distillation, {}, w, config).loss;
    }
};
}  // namespace

// start  another number: other initial weights, the same examples
static vild::Weights train_head(const World& world, const vild::Config& config, const Regions& labelled, const Choices& choices,
                                const std::string& name, int start = 0) {
    Random random(choices.seed + 1000 * start);
    vild::Weights w = vild::make_weights(config, random);
    w.classes = classifier_of(world, class_count);
    const Recipe recipe{.schedule = {.peak = 2e-3f, .steps = choices.steps, .descent = Descent::none}};
    HeadLoss objective(world, w, config, labelled, choices.seed + 100);
    ShowProgress progress(name, choices.steps);
    train(objective, nothing_decays(variables(vild::parameters(w, config))), recipe, &progress);
    return w;
}

// Accuracy: the fraction of regions whose most probable class, background excluded, is the right one.
static double accuracy_of(const Matrix& probabilities, const std::vector<int>& classes) {
    int right = 0;
    for (int i = 0; i < probabilities.rows; ++i) right += argmax_row(probabilities, i) == classes[i];
    return static_cast<double>(right) / probabilities.rows;
}

static Matrix probabilities_of(const Regions& regions, const vild::Weights& w, const vild::Config& config) {
    const Var embeddings = vild::embed_regions(regions.features, w.text, config).embeddings;
    return vild::text_probabilities(vild::logits(embeddings, w, config).value());
}

// Mean cosine of a region's embedding with the sentence of its class.
static double cosine_with_own(const World& world, const Regions& regions, const vild::Weights& w, const vild::Config& config) {
    const Matrix embeddings = vild::embed_regions(regions.features, w.text, config).embeddings.value();
    double sum = 0;
    for (int i = 0; i < embeddings.rows; ++i)
        for (int j = 0; j < clip_width; ++j)
            sum += static_cast<double>(embeddings(i, j)) * world.sentences(regions.classes[i], j);
    return sum / embeddings.rows;
}

// --- the lesson ---

static void step_1_classifier(Lesson& lesson, const World& world) {
    lesson.step("What is the classifier?", "logit_k = t cos(e, t_k)", "Eq. 3");
    lesson.heat("sentences, one a row", world.sentences);
    lesson.say(base_count, " base classes have boxes, ", novel_count,
               " novel ones have none. Each row stands for CLIP's embedding of a sentence such as 'a photo of a zebra', brought "
               "to length 1. The table is frozen.");
    lesson.why(
        "an ordinary classifier learns a vector for each class, so a class without boxes has none. Here every class that can be described has its row before training.");
}

static void step_2_region(Lesson& lesson, const World& world, const Regions& novel, const Choices& choices) {
    lesson.step("What happens to one region?", "e = z / |z|, softmax(t [cos(e, b), cos(e, t_1), ...])", "fresh weights");
    const vild::Config config = config_with(0, false);
    Random random(choices.seed);
    vild::Weights w = vild::make_weights(config, random);
    w.classes = classifier_of(world, class_count);
    const Var region = slice_rows(novel.features, 0, 1);
    lesson.code(2);
    const vild::BranchSteps steps = vild::embed_regions(region, w.text, config);  // z, e (1, D)
    const Var logits = vild::logits(steps.embeddings, w, config);                 // (1, C + 1)
    lesson.matrix("logits", logits.value(), 8);
    lesson.why(
        "column 0 is background. No sentence describes 'nothing of interest', so its vector b is the only row of the table that "
        "is learned.");
    lesson.predict("how many numbers are trained for a 16th class.");
}

namespace {
// A trained head and its accuracies among all classes.
struct Head {
    vild::Config config;
    vild::Weights w;
    double base = 0, novel = 0;
    double cosine = 0;  // of a novel region with its own sentence

    Head(const World& world, const Regions& labelled, const Regions& base_regions, const Regions& novel_regions, double weight,
         const Choices& choices, const std::string& name, int start = 0)
        : config(config_with(weight, false)),
          w(train_head(world, config, labelled, choices, name, start)),
          base(accuracy_of(probabilities_of(base_regions, w, config), base_regions.classes)),
          novel(accuracy_of(probabilities_of(novel_regions, w, config), novel_regions.classes)),
          cosine(cosine_with_own(world, novel_regions, w, config)) {}
};
}  // namespace

static double mean_novel(const std::vector<Head>& heads) {
    double sum = 0;
    for (const Head& head : heads) sum += head.novel;
    return sum / static_cast<double>(heads.size());
}

static Head step_3_sentences(Lesson& lesson, const World& world, const Regions& labelled, const Regions& base,
                             const Regions& novel, const Choices& choices) {
    lesson.step("Do text embeddings alone suffice for new classes?", "ViLD-text: cross entropy on boxes of base classes");
    const Head head(world, labelled, base, novel, 0, choices, "without distillation, start 1");
    const Matrix answers = probabilities_of(novel, head.w, head.config);
    int as_base = 0;
    for (int i = 0; i < answers.rows; ++i) as_base += argmax_row(answers, i) < base_count;
    lesson.predict("What fraction of the regions of novel classes gets the right name?", {head.novel, 0.1});
    lesson.say("Regions of base classes: ", fixed(head.base, 3), " right; of novel classes: ", fixed(head.novel, 3),
               ", all among ", class_count, " names. ", fixed(100.0 * as_base / answers.rows, 0),
               " % of the novel regions get the name of a base class.");
    lesson.why("the head has learned to map regions to ", base_count,
               " directions, the only ones that were ever right. The mean cosine of a novel region with its own sentence is ",
               fixed(head.cosine, 2), ", that of a base region ", fixed(cosine_with_own(world, base, head.w, head.config), 2),
               ".");
    return head;
}

// Heads that differ in nothing but their initial weights; the first is given. Returns the mean accuracy on novel regions.
static double step_4_starts(Lesson& lesson, const Head& first, const World& world, const Regions& labelled, const Regions& base,
                            const Regions& novel, const Choices& choices) {
    lesson.step("What do other initial weights change?", "the same regions, sentences and steps");
    std::vector<Head> heads{first};
    for (int start = 1; start < 5; ++start)
        heads.emplace_back(world, labelled, base, novel, 0, choices, "without distillation, start " + text(start + 1), start);
    std::vector<std::vector<std::string>> rows{{"initial weights", "base", "novel"}};
    for (std::size_t i = 0; i < heads.size(); ++i)
        rows.push_back({text(static_cast<int>(i) + 1), fixed(heads[i].base, 3), fixed(heads[i].novel, 3)});
    lesson.table(rows);
    lesson.say("The same regions, sentences and steps from five initial weights. On average ", fixed(mean_novel(heads), 3),
               " of the novel regions are right; a random name would be right for ", fixed(1.0 / class_count, 3), ".");
    lesson.why(
        "the loss does not determine where a region of a novel class is mapped to: its sentence was never the right one. So what is right is "
        "an accident of the initial weights, and a single run says little.");
    return mean_novel(heads);
}

static Head step_5_teacher(Lesson& lesson, const Head& without, const World& world, const Regions& labelled, const Regions& base,
                           const Regions& novel, const Choices& choices) {
    lesson.step("What does distillation from image embeddings add?", "+ w |e - g / |g||_1 on all proposals", "Eq. 4");
    const Head with(world, labelled, base, novel, choices.weight, choices, "with distillation");
    lesson.table({{"trained on", "base", "novel", "novel: cosine with own sentence"},
                  {"boxes of base classes", fixed(without.base, 3), fixed(without.novel, 3), fixed(without.cosine, 3)},
                  {"and CLIP's view of all proposals", fixed(with.base, 3), fixed(with.novel, 3), fixed(with.cosine, 3)}});
    lesson.why(
        "proposals have no labels, but CLIP embeds each crop as a direction. Sentences and images of one thing "
        "share a direction, so a head that imitates CLIP's images can be queried with CLIP's sentences.");
    lesson.predict("both numbers for --weight 0 and for --weight 20.");
    return with;
}

// Returns the ensemble's accuracy on novel regions.
static double step_6_branches(Lesson& lesson, const World& world, const Regions& labelled, const Regions& base,
                              const Regions& novel, const Choices& choices) {
    lesson.step("One head or two?", "p = p_text^(2/3) p_image^(1/3) for base, exchanged for novel", "ViLD-ensemble");
    const vild::Config two = config_with(choices.weight, true);
    const vild::Weights branches = train_head(world, two, labelled, choices, "two branches");
    std::vector<int> is_base(class_count, 0);
    std::fill_n(is_base.begin(), base_count, 1);
    std::vector<std::vector<std::string>> rows{{"asked", "base", "novel"}, {"text branch"}, {"image branch"}, {"ensemble"}};
    double right = 0;
    for (const Regions* regions : {&base, &novel}) {
        const Var embeddings = vild::embed_regions(regions->features, branches.image, two).embeddings;
        const Matrix text = probabilities_of(*regions, branches, two);
        const Matrix image = vild::image_probabilities(vild::class_cosines(embeddings, branches, two).value());
        right = accuracy_of(vild::ensemble(text, image, is_base), regions->classes);
        rows[1].push_back(fixed(accuracy_of(text, regions->classes), 3));
        rows[2].push_back(fixed(accuracy_of(image, regions->classes), 3));
        rows[3].push_back(fixed(right, 3));
    }
    lesson.table(rows);
    lesson.why(
        "the two losses have conflicting gradients in one head. With a branch for each, the branch that was trained on boxes decides on "
        "base classes, and the one that imitates CLIP on novel ones.");
    return right;
}

static void step_7_new_row(Lesson& lesson, const World& world, const vild::Weights& w, Random& random) {
    lesson.step("What about a class that was not in the proposals?", "one more row, no training");
    vild::Config larger = config_with(0, false);
    larger.classes = class_count + 1;
    vild::Weights with_row = w;
    with_row.classes = classifier_of(world, class_count + 1);
    const Regions regions = draw_regions(world, std::vector<int>(200, class_count), random);
    const double right = accuracy_of(probabilities_of(regions, with_row, larger), regions.classes);
    lesson.say("200 regions of the 16th class, with its sentence appended to the table: ", fixed(right, 3),
               " are named correctly, among 16 classes.");
    lesson.why(
        "distillation has taught the head how CLIP turns what the backbone sees into directions, not a list. How far that "
        "reaches beyond the classes of the proposals depends on how many of them there were: here 15 directions in a space of ",
        clip_width, ".");
}

static void walk(Lesson& lesson, const Choices& choices) {
    Random random(choices.seed);
    const World world(random);
    const Regions labelled = draw_regions(world, random_classes(random, 400, 0, base_count), random);
    const Regions base = draw_regions(world, random_classes(random, 500, 0, base_count), random);
    const Regions novel = draw_regions(world, random_classes(random, 500, base_count, class_count), random);
    step_1_classifier(lesson, world);
    step_2_region(lesson, world, novel, choices);
    const Head without = step_3_sentences(lesson, world, labelled, base, novel, choices);
    const double mean_of_starts = step_4_starts(lesson, without, world, labelled, base, novel, choices);
    const Head with = step_5_teacher(lesson, without, world, labelled, base, novel, choices);
    const double ensemble = step_6_branches(lesson, world, labelled, base, novel, choices);
    step_7_new_row(lesson, world, with.w, random);
    lesson.say("Next: vit/sequence/pix2seq writes boxes as tokens.");
    lesson.claim_at_least("base classes, without distillation", without.base, 0.95);
    lesson.claim_at_most("novel classes, without distillation, mean of five initial weights", mean_of_starts, 0.35);
    lesson.claim_at_least("novel classes, with distillation", with.novel, 0.95);
    lesson.claim_at_least("novel classes, with two branches and the ensemble", ensemble, 0.8);
}

int main(int argc, char** argv) {
    Options options("vit/detect/vild", "Detects classes that have no boxes in training.", "3 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps of each head", 1, 100'000);
    options.add("weight", choices.weight, "of the distillation loss", 0, 1000);
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
