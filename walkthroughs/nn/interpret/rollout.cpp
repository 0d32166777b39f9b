// rollout.cpp: which patch determines the answer? Attention traced through all layers, with and without the question.
//
//   papers   Abnar and Zuidema, 2020, arXiv 2005.00928 (rollout, flow); Chefer et al., 2021, arXiv 2012.09838 and 2103.15679
//            (relevance); the repository vit-explain
//   shows    that a product of attention matrices gives the same map for every question, and that the gradient of one output
//            makes it depend on the question
//   symbols  A_l attention of layer l (H*n, n)   G_l gradient of the asked logit with respect to A_l   M_l mean over heads
//            n tokens, [cls] first
//   before   walkthroughs/vit/vit.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/rollout.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/vit.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/lesson/published_vit.h"

struct Choices {
    int steps = 600;
    int puzzles = 60;
    std::string weights, image;
    ModelOptions model_options;  // settings that a checkpoint's shapes do not determine
};

// --- images with two shapes, and two questions ---

static const int patch = 4, grid = 3, side = patch * grid, patches = grid * grid;

namespace {
struct Puzzle {
    Image image;
    int answers[2] = {};    // plus or x?  box or bars?
    int positions[2] = {};  // the patch that determines each answer
};
}  // namespace

// Is pixel (y, x) of a patch on the shape? Kinds: plus, x, box, bars.
static bool on_shape(int kind, int y, int x) {
    const bool middle_row = y == 1 || y == 2, middle_column = x == 1 || x == 2, end_row = y == 0 || y == 3;
    if (kind == 0) return middle_row || middle_column;
    if (kind == 1) return x == y || x + y == 3;
    if (kind == 2) return end_row || x == 0 || x == 3;
    return end_row;
}

static Puzzle draw_puzzle(Random& random) {
    Puzzle p{.image = Image(side, side, 1)};
    for (float& pixel : p.image.pixels) pixel = 0.3f * random.normal();
    const std::vector<int> positions = permutation(random, patches);
    for (int q = 0; q < 2; ++q) {
        p.answers[q] = random.below(2);
        p.positions[q] = positions[q];
        for (int y = 0; y < patch; ++y)
            for (int x = 0; x < patch; ++x)
                if (on_shape(2 * q + p.answers[q], y, x))
                    p.image(positions[q] / grid * patch + y, positions[q] % grid * patch + x, 0) += 1;
    }
    return p;
}

static vit::Config model_config() {
    return {.grid = {.height = side, .width = side, .patch_size = patch, .channels = 1},
            .width = 32,
            .depth = 2,
            .heads = 4,
            .mlp_width = 64,
            .classes = 4};
}

namespace {
struct TwoQuestions : Objective {
    const vit::Weights& w;
    const vit::Config& config;
    Random random;
    TwoQuestions(const vit::Weights& w, const vit::Config& config, int seed) : w(w), config(config), random(1000 + seed) {}

    Var loss(int) override {
        std::vector<Image> images;
        std::vector<int> labels[2];
        for (int b = 0; b < 64; ++b) {
            const Puzzle p = draw_puzzle(random);
            images.push_back(p.image);
            for (int q = 0; q < 2; ++q) labels[q].push_back(p.answers[q]);
        }
        const Var logits = vit::forward(images, w, config).logits;  // (B, 4)
        return add(cross_entropy(slice_cols(logits, 0, 2), labels[0]), cross_entropy(slice_cols(logits, 2, 2), labels[1]));
    }
};
}  // namespace

// --- the methods: each gives one number per patch ---

enum Method { rolled, flowing, explained, gradient_rolled, wrong_pairs, gradient_relevant, relevant, methods };
static const std::vector<std::string> method_names{"rollout",
                                                   "flow",
                                                   "vit-explain (max, discard 0.9)",
                                                   "gradient rollout",
                                                   "the same, layers paired as published",
                                                   "gradient relevance",
                                                   "relevance"};

// The relevance of each patch for row 0, [cls]: (1, N).
static Matrix patches_of(const Matrix& joint) { return slice_cols(slice_rows(joint, 0, 1), 1, joint.cols - 1); }

// The map of each method for the predicted logit of one question, (1, 9).
static std::vector<Matrix> maps_of(const Image& image, int question, const vit::Weights& w, const vit::Config& config) {
    const Inside inside = vit::inside(w, config);
    const auto run = [&] { return vit::forward({image}, w, config).logits; };  // (1, 4)
    const Matrix logits = follow(run, inside).outputs;
    const int target = 2 * question + (logits[2 * question + 1] > logits[2 * question]);
    const Inspection trace = follow(run, inside, {{.row = 0, .column = target}});
    const std::vector<Matrix>&A = trace.weights, &G = trace.gradients;

    const rollout::Normalisation rows = rollout::Normalisation::rows;
    std::vector<Matrix> layers, largest, by_gradient, mispaired;
    for (int l = 0; l < config.depth; ++l) {
        const Matrix& other = G[config.depth - 1 - l];
        layers.push_back(rollout::augmented(rollout::mean_over_heads(A[l], config.heads)));
        const Matrix fused = rollout::fused(A[l], config.heads, rollout::Fusion::max);
        largest.push_back(rollout::half_residual(rollout::discarded(fused, 0.9, true), rows));
        by_gradient.push_back(rollout::half_residual(rollout::weighted_mean(A[l], G[l], config.heads), rows));
        mispaired.push_back(rollout::half_residual(rollout::weighted_mean(A[l], other, config.heads), rows));
    }
    return {patches_of(rollout::token_rollout(trace, inside)),
            patches_of(rollout::rows_divided_by_sums(rollout::max_flows(layers).back())),
            patches_of(rollout::products(largest).back()),
            patches_of(rollout::products(by_gradient).back()),
            patches_of(rollout::products(mispaired).back()),
            patches_of(rollout::token_gradient_relevance(trace, inside)),
            patches_of(rollout::token_relevance(trace, inside))};
}

static Matrix as_grid(const Matrix& map) { return reshape(map, grid, grid); }

// --- the steps ---

namespace {
struct Tested {
    std::vector<Puzzle> puzzles;
    double accuracy = 0;
};
}  // namespace

static Tested test_model(const vit::Weights& w, const vit::Config& config, int count, int seed) {
    const NoTape evaluation;
    Random random(7000 + seed);
    Tested test;
    for (int i = 0; i < count; ++i) {
        const Puzzle& p = test.puzzles.emplace_back(draw_puzzle(random));
        const Matrix logits = vit::forward({p.image}, w, config).logits.value();
        for (int q = 0; q < 2; ++q) test.accuracy += ((logits[2 * q + 1] > logits[2 * q]) == (p.answers[q] == 1)) / (2.0 * count);
    }
    return test;
}

// Trains and tests the model.
static Tested step_1_task(Lesson& lesson, const vit::Weights& w, const vit::Config& config, const Choices& choices, int seed) {
    lesson.step("What is the task?", "4 logits: plus or x? and box or bars?");
    TwoQuestions objective(w, config, seed);
    const Recipe recipe{
        .schedule = {.peak = 1e-3f, .warm_up = std::min(30, choices.steps), .steps = choices.steps, .floor = 0.05f}, .batch = 64};
    ShowProgress progress("a ViT on two questions", choices.steps);
    lesson.code(2);
    const std::vector<float> losses = train(objective, nothing_decays(variables(vit::parameters(w, config))), recipe, &progress);
    const Tested tested = test_model(w, config, choices.puzzles, seed);
    const std::vector<Puzzle>& test = tested.puzzles;
    std::vector<Captioned> shown;
    for (std::size_t i = 0; i < 3 && i < test.size(); ++i)
        shown.push_back({std::string(test[i].answers[0] == 0 ? "plus" : "x") + ", " + (test[i].answers[1] == 0 ? "box" : "bars"),
                         picture(test[i].image, lesson.colours)});
    lesson.pictures(shown);
    lesson.curves({smoothed("loss", losses, std::max(1, static_cast<int>(losses.size()) / 50))}, {"training step", "loss"});
    lesson.say("Accuracy on held-out images: ", fixed(tested.accuracy, 3),
               ". Every image has a shape for each question, in two of nine "
               "patches, so for each question the deciding patch is known, and it differs between the questions.");
    return tested;
}

static void step_2_two_maps(Lesson& lesson, const std::vector<Puzzle>& test, const vit::Weights& w, const vit::Config& config) {
    lesson.step("Does the map depend on the question?", "rollout: J_l = B_l J_(l-1), B = (M + I) / 2");
    std::vector<Captioned> shown;
    for (const Method method : {rolled, relevant})
        for (int q = 0; q < 2; ++q) {
            const std::vector<Matrix> maps = maps_of(test[0].image, q, w, config);
            shown.push_back({method_names[method] + (q == 0 ? ", plus or x" : ", box or bars"),
                             heat_map(as_grid(maps[method]), lesson.colours)});
        }
    lesson.pictures(shown);
    lesson.lines(
        {"plus or x is in patch " + text(test[0].positions[0]) + ", box or bars in patch " + text(test[0].positions[1])});
    lesson.why(
        "attention is the same for every question: one forward pass, one set of matrices, one map. Relevance weights each "
        "layer by the gradient of the asked logit.");
}

namespace {
struct Scores {
    double right[methods] = {};  // largest of the nine is the deciding patch
    double share[methods] = {};  // of the deciding patch among the positive values
};
}  // namespace

static Scores step_3_all(Lesson& lesson, const std::vector<Puzzle>& test, const vit::Weights& w, const vit::Config& config) {
    lesson.step("Which method finds it?", "both questions for every image");
    Scores scores;
    lesson.code(3);
    for (const Puzzle& p : test)
        for (int q = 0; q < 2; ++q) {
            const std::vector<Matrix> maps = maps_of(p.image, q, w, config);
            for (int m = 0; m < methods; ++m) {
                double positive = 1e-12;
                for (const float x : maps[m]) positive += std::max(0.0f, x);
                const double n = 2.0 * static_cast<double>(test.size());
                scores.right[m] += (argmax_row(maps[m], 0) == p.positions[q]) / n;
                scores.share[m] += std::max(0.0f, maps[m][p.positions[q]]) / positive / n;
            }
        }
    lesson.predict("How often is the deciding patch the largest of rollout's map? A fraction from 0 to 1.",
                   {scores.right[rolled], 0.1});
    std::vector<std::vector<std::string>> rows{{"method", "right (chance 0.111)", "weight of the deciding patch"}};
    for (int m = 0; m < methods; ++m) rows.push_back({method_names[m], fixed(scores.right[m], 3), fixed(scores.share[m], 3)});
    lesson.table(rows);
    lesson.why(
        "the first three give the same map for both questions, which is right for at most one of the two, so at most 0.5. "
        "The others multiply by the gradient of the asked logit. Pairing layer l's attention with the gradient of another "
        "layer, as the published code does, loses part of it.");
    return scores;
}

// The columns of the largest logits, the largest first; logits are (1, K).
static std::vector<int> best_classes(Matrix logits, int count) {
    std::vector<int> best;
    for (int rank = 0; rank < std::min(count, logits.cols); ++rank) {
        best.push_back(argmax_row(logits, 0));
        logits[best.back()] = -INFINITY;
    }
    return best;
}

// The relevance of each patch for [cls] at its place in the image; joint is (n, n).
static Matrix on_grid_of(const vit::Config& config, const Matrix& joint) {
    return reshape(patches_of(joint), config.grid.down(), config.grid.across());
}

// The map of rollout, which is the same for every class.
static Captioned rollout_map(const Inspection& trace, const Inside& inside, const vit::Config& config, Colours colours) {
    const Matrix map = on_grid_of(config, rollout::token_rollout(trace, inside));
    return {"rollout", heat_map(map, colours)};
}

// "class 3, p = 0.912": the class and its probability.
static std::string class_caption(const Matrix& logits, int label) {
    const Matrix probabilities = softmax_rows(logits).value();  // (1, K)
    return "class " + text(label) + ", p = " + fixed(probabilities[label], 3);
}

// A published ViT on the user's image: the patches that are relevant for its first and its second answer.
static void published(Lesson& lesson, const Choices& choices) {
    lesson.step("Which patches decided the class?", "relevance of each patch for one class", choices.weights);
    require(!choices.image.empty(), "--weights needs an image: --image FILE");
    const PublishedVit model = read_published_vit(choices.weights, choices.model_options.settings());
    require(model.config.classes > 0, choices.weights, ": this model has no classifier, so there is no answer to explain");
    const Image photograph = read_photograph(choices.image, model.config);
    const Image image = prepared_photograph(photograph, model.config, choices.weights);
    const Inside inside = vit::inside(model.w, model.config);
    const auto run = [&] { return vit::forward({image}, model.w, model.config).logits; };
    const Matrix logits = follow(run, inside).outputs;  // (1, K)
    std::vector<Captioned> shown{{"image", picture(photograph, lesson.colours)}};
    for (const int label : best_classes(logits, 2)) {
        const Inspection trace = follow(run, inside, {{.row = 0, .column = label}});
        const Matrix map = on_grid_of(model.config, rollout::token_relevance(trace, inside));
        if (shown.size() == 1) shown.push_back(rollout_map(trace, inside, model.config, lesson.colours));
        shown.push_back({class_caption(logits, label), heat_map(map, lesson.colours)});
    }
    lesson.pictures(shown);
    lesson.why("rollout is one map for all questions; relevance is another for each class.");
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (!choices.weights.empty()) return published(lesson, choices);
    Random random(seed);
    const vit::Config config = model_config();
    const vit::Weights w = vit::make_weights(config, random, {.stddev = 0.1f});
    const Tested tested = step_1_task(lesson, w, config, choices, seed);
    const std::vector<Puzzle>& test = tested.puzzles;
    step_2_two_maps(lesson, test, w, config);
    const Scores scores = step_3_all(lesson, test, w, config);
    lesson.say("Next: gpt/prompting/in_context looks at the attention of a model that learns from its prompt.");

    lesson.step("Do the claims hold?");
    lesson.claim_at_least("accuracy", tested.accuracy, 0.95);
    const double blind = std::max({scores.right[rolled], scores.right[flowing], scores.right[explained]});
    lesson.claim_at_most("deciding patch found by maps that do not depend on the question", blind, 0.5 + 1e-9);
    lesson.claim_at_least("by gradient relevance", scores.right[gradient_relevant], 0.9);
    lesson.claim_at_least("by relevance", scores.right[relevant], 0.9);
    lesson.claim_at_least("weight of the deciding patch, relevance minus rollout", scores.share[relevant] - scores.share[rolled],
                          0.3);
}

int main(int argc, char** argv) {
    Options options("nn/interpret/rollout", "Rollout and relevance: which patch determines the answer?", "5 seconds");
    Choices choices;
    options.add("steps", choices.steps, "steps of training", 1, 100'000);
    options.add("puzzles", choices.puzzles, "puzzles to explain", 1, 10'000);
    options.add("weights", choices.weights, "do not train: explain what this ViT checkpoint (safetensors) says of --image");
    options.add("image", choices.image, "with --weights: an image of your own, PNG, PPM or PGM");
    choices.model_options.declare(options, 4);
    choices.model_options.declare_image_size(options);
    for (const char* const name : {"image", "heads", "eps", "activation", "image-size"}) options.needs(name, "weights");
    for (const char* const name : {"steps", "puzzles"}) options.excludes(name, "weights");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
