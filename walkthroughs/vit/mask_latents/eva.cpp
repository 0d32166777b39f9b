// eva.cpp: a masked model predicts a teacher's features at masked patches.
//
//   paper    Fang et al., "EVA: Exploring the Limits of Masked Visual Representation Learning at Scale", 2022, arXiv 2211.07636
//   shows    the cosine as a loss: its baseline, its gradient, its best possible value; and that the model learns the directions
//            although they were never labels
//   symbols  N patches   F numbers of a teacher's feature   M masked patches
//   before   ../mask_pixels/maskfeat.cpp predicts a feature made by hand
//   next     beit_v2.cpp turns such features into discrete tokens
#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/norm.h"
#include "nn/training/train.h"
#include "vit/mask_latents/eva.h"
#include "vit/mask_pixels/masking.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/toys/plane_waves.h"

static const float pi = 3.14159265f;
static const int directions = 6, masked = 4, test_images = 300;

struct Choices {
    int steps = 500;
    double noise = 0.1;  // of the teacher, standard deviation of each number
};

static eva::Config toy_config() {
    return {.grid = {.height = 18, .width = 18, .patch_size = 6},
            .width = 32,
            .depth = 2,
            .heads = 4,
            .mlp_width = 64,
            .feature_width = 16};
}

// A frozen teacher with six concepts: the same unit vector for every patch of the same direction, plus noise.
struct Teacher {
    Matrix concepts;  // (6, F)
    float noise;
};

static Teacher make_teacher(Random& random, double noise) {
    return {unit_rows(normal_matrix(random, directions, toy_config().feature_width)).value(), static_cast<float>(noise)};
}

// Images with the teacher's features of all their patches.
struct Batch {
    std::vector<Image> images;
    std::vector<int> direction;  // B*N
    Matrix features;             // (B*N, F)
    Matrix mask;                 // (B, N)
};

static Batch draw_batch(Random& random, const Teacher& teacher, int count) {
    const PatchGrid grid = toy_config().grid;
    Batch batch;
    for (int b = 0; b < count; ++b) {
        const int first = random.below(directions);  // row r of the image has direction first + r
        std::vector<float> angles;
        for (int n = 0; n < grid.count(); ++n) {
            batch.direction.push_back((first + n / grid.across()) % directions);
            angles.push_back(pi / directions * static_cast<float>(batch.direction.back()));
        }
        batch.images.push_back(oriented_patches(random, grid, angles));
    }
    const Matrix concepts = gather_rows(teacher.concepts, batch.direction).value();
    const Matrix noise = normal_matrix(random, concepts.rows, concepts.cols, teacher.noise);
    batch.features = add(concepts, noise).value();
    batch.mask = draw_masks(random, count, grid.count(), masked);
    return batch;
}

// How often the concept nearest to the prediction is the right one.
static double right_concepts(const eva::Steps& steps, const Batch& batch, const Teacher& teacher) {
    const Matrix cosines = matmul_transposed(unit_rows(steps.prediction), teacher.concepts).value();  // (M, 6)
    double right = 0;
    for (int i = 0; i < cosines.rows; ++i) right += argmax_row(cosines, i) == batch.direction[steps.masked_rows[i]];
    return right / cosines.rows;
}

// The loss of the best constant prediction: the direction of the mean of all features.
static double constant_answer(const Batch& batch) {
    const Matrix features = gather_rows(batch.features, masked_rows(batch.mask)).value();
    Matrix mean(1, features.cols);
    const Matrix units = unit_rows(features).value();
    add_sum_of_rows(mean, units);
    return -static_cast<double>(sum(matmul_transposed(units, unit_rows(mean))).value()(0, 0)) / features.rows;
}

// The loss of a model that knows every concept, and not the noise.
static double best_possible(const Batch& batch, const Teacher& teacher) {
    const std::vector<int> rows = masked_rows(batch.mask);
    std::vector<int> direction;
    for (const int row : rows) direction.push_back(batch.direction[row]);
    const Var u = gather_rows(teacher.concepts, direction), v = unit_rows(gather_rows(batch.features, rows));
    return -mean(row_sums(multiply(u, v))).value()(0, 0);
}

// --- one image, step by step ---

static Batch step_1_teacher(Lesson& lesson, Random& random, const Teacher& teacher) {
    lesson.step("What is the target?", "t = teacher(whole image)   (N, F)", "section 2.1");
    lesson.code();
    const Batch batch = draw_batch(random, teacher, 1);
    Image light = batch.images[0];
    for (float& x : light.pixels) x = 0.5f + 0.5f * x;
    lesson.pictures(
        {{"the image", picture(light, lesson.colours)}, {"t: a row for each patch", heat_map(batch.features, lesson.colours)}});
    lesson.why("the teacher stands for CLIP. It has a concept for each of ", directions, " directions: a vector of ",
               teacher.concepts.cols,
               " numbers, plus noise of its own. Rows of the same direction look alike, and it outputs the same concept for ",
               "every patch, since it sees the whole image. The student is not given the number of concepts.");
    return batch;
}

static eva::Steps step_2_student(Lesson& lesson, const Batch& batch, const eva::Weights& w, const eva::Config& config) {
    lesson.step("What does the student see?", "x (1 - m) + mask_token m");
    lesson.code();
    const eva::Steps steps = eva::forward(batch.images, batch.mask, w, config);
    lesson.matrix("mask", reshape(batch.mask, config.grid.down(), config.grid.across()));
    lesson.why("the encoder and the covered patches are SimMIM's. A row of the image may be masked as a whole: then the rows ",
               "above and below determine it, because the direction turns by 30 degrees from row to row.");
    return steps;
}

static void step_3_loss(Lesson& lesson, const eva::Steps& steps, const Batch& batch) {
    lesson.step("What is the loss?", "-mean cos(prediction, t) over the M masked patches");
    lesson.code(2);
    const Var cosines = eva::cosines(steps, batch.features);  // (M, 1)
    const Var loss = eva::loss(steps, batch.features);        // (1, 1)
    lesson.matrix("cosines", transpose(cosines.value()));
    lesson.why(
        "the loss is ", fixed(loss.value()(0, 0)),
        ". Lengths do not count, so neither has to be normalised. With u the direction of a prediction and v that of its target, "
        "the gradient of the cosine is v - (u.v) u, divided by the length of the prediction: it is orthogonal to the prediction "
        "and can only rotate it.");
}

// --- training ---

namespace {
struct Student : Objective {
    const Teacher& teacher;
    const eva::Weights& w;
    const eva::Config& config;
    Random random;

    Student(const Teacher& teacher, const eva::Weights& w, const eva::Config& config, int seed)
        : teacher(teacher), w(w), config(config), random(seed) {}

    Var loss(int) override {
        const Batch batch = draw_batch(random, teacher, 64);
        return eva::loss(eva::forward(batch.images, batch.mask, w, config), batch.features);
    }
};

struct Evaluation : Watcher {
    const Student& student;
    const Batch& test;
    Progress progress;
    int steps;
    Series loss{.name = "loss at masked patches", .x = {}, .y = {}}, right{.name = "right concept, fraction", .x = {}, .y = {}};

    Evaluation(const Student& student, const Batch& test, int steps)
        : student(student), test(test), progress("training", steps), steps(steps) {}

    bool after_step(int step, float value) override {
        progress.update(step, value);
        if (step == 0 || (step + 1) % std::max(1, steps / 10) == 0) measure(step + 1);
        return true;
    }

    void measure(int step) {
        const NoTape evaluation;
        const eva::Steps steps_of_test = eva::forward(test.images, test.mask, student.w, student.config);
        loss.x.push_back(static_cast<float>(step));
        loss.y.push_back(eva::loss(steps_of_test, test.features).value()(0, 0));
        right.x.push_back(static_cast<float>(step));
        right.y.push_back(static_cast<float>(right_concepts(steps_of_test, test, student.teacher)));
    }
};
}  // namespace

static void step_4_train(Lesson& lesson, const Teacher& teacher, const eva::Weights& w, const eva::Config& config,
                         const Choices& choices, int seed) {
    lesson.step("Does the model learn the concepts?", "", "300 unseen images");
    Random random(1'000'000 + seed);
    const Batch test = draw_batch(random, teacher, test_images);
    Student student(teacher, w, config, seed);
    Evaluation evaluation(student, test, choices.steps);
    const Recipe recipe{.schedule = {.peak = 2e-3f, .steps = choices.steps, .descent = Descent::none}, .batch = 64};
    train(student, nothing_decays(variables(eva::parameters(w, config))), recipe, &evaluation);
    std::vector<std::vector<std::string>> rows{{"after step", "loss", "right concept"}};
    for (std::size_t k = 0; k < evaluation.loss.x.size(); ++k)
        rows.push_back(
            {text(static_cast<int>(evaluation.loss.x[k])), fixed(evaluation.loss.y[k], 3), fixed(evaluation.right.y[k], 3)});
    const double constant = constant_answer(test), best = best_possible(test, teacher);
    lesson.predict("What is the lowest loss of a model that gives the same answer everywhere?", {constant, 0.1});
    lesson.curves({evaluation.loss, evaluation.right}, {"training step", "loss; fraction of right concepts"});
    lesson.table(rows);
    lesson.why("the best constant answer has ", fixed(constant, 3),
               ", since the mean of all concepts has a positive cosine with each: that, and not 0, is the baseline. A model that "
               "knows the concepts and not the noise has ",
               fixed(best, 3), ", so -1 is out of reach. The nearest concept is the right one in ",
               fixed(100 * evaluation.right.y.back(), 1), " % of the masked patches (chance: ", fixed(100.0 / directions, 1),
               " %). The student was not given the number of concepts, ", directions, ".");
    lesson.predict("the last loss with --noise 0.3, and the fraction of right concepts.");
    lesson.claim_at_least("fraction of masked patches with the right concept", evaluation.right.y.back(), 0.9);
    lesson.claim_at_most("of the way from constant to best possible, left", (evaluation.loss.y.back() - best) / (constant - best),
                         0.15);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const eva::Config config = toy_config();
    Random random(seed);
    const Teacher teacher = make_teacher(random, choices.noise);
    const eva::Weights w = eva::make_weights(config, random, 0.02f);
    const Batch batch = step_1_teacher(lesson, random, teacher);
    const eva::Steps steps = step_2_student(lesson, batch, w, config);
    step_3_loss(lesson, steps, batch);
    step_4_train(lesson, teacher, w, config, choices, seed);
    lesson.say("Next: vit/mask_latents/beit_v2 turns such features into discrete tokens.");
}

int main(int argc, char** argv) {
    Options options("vit/mask_latents/eva", "Predicts the features of a teacher at masked patches.", "3 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps", 1, 100'000);
    options.add("noise", choices.noise, "standard deviation of the teacher's noise", 0, 1);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
