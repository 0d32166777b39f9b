// vit.cpp: a Vision Transformer is trained on handwritten digits and inspected; a second task shows what positions are for.
//
//   paper    Dosovitskiy et al., "An Image Is Worth 16x16 Words", 2021, arXiv 2010.11929
//   shows    that a model without a single convolution reads the digits of writers outside the training set, and that without
//            positions it cannot tell the order of patches
//   symbols  B images of a batch   N patches   D token width   K classes
//   before   patch_embedding.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/rearrange.h"
#include "nn/base/clock.h"
#include "nn/data/idx.h"
#include "nn/data/patches.h"
#include "nn/interpret/inside.h"
#include "nn/interpret/integrated_gradients.h"
#include "nn/interpret/rollout.h"
#include "nn/training/loss.h"
#include "nn/training/state.h"
#include "nn/training/train.h"
#include "vit/vit.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/published_vit.h"
#include "walkthroughs/lesson/tokens.h"
#include "walkthroughs/toys/cross_and_box.h"

static const std::string digits = "walkthroughs/data/digits-";

struct Choices {
    std::string train_images = digits + "train-images.idx3-ubyte", train_labels = digits + "train-labels.idx1-ubyte";
    std::string test_images = digits + "test-images.idx3-ubyte", test_labels = digits + "test-labels.idx1-ubyte";
    std::string save, resume, weights, image, class_names;
    int train_count = 0, epochs = 0, stop_after = 0, patch_size = 0;
    ModelOptions model_options;  // settings that a checkpoint's shapes do not determine
    int width = 64, depth = 3, batch = 32;
    double learning_rate = 3e-3, weight_decay = 0.05, shift = 1, slant = 0.15;
    bool skip_positions = false;
    int seed = 1;

    bool own_data() const { return train_images != Choices().train_images || test_images != Choices().test_images; }
};

// --- training ---

struct ImageRecipe {
    int epochs;
    float shift;  // how far an image is moved at random, pixels
    float slant;  // how much it is turned, slanted and stretched: at 0.15 a pixel moves by 15 % of its distance to the centre
    Recipe training{.beta2 = 0.98f};
};

static int batches(const LabelledImages& data, const ImageRecipe& recipe) {
    return (data.count() + recipe.training.batch - 1) / recipe.training.batch;
}

// Data augmentation: the image moved, rotated, slanted and stretched a little.
static Image another_hand(const Image& image, const ImageRecipe& recipe, Random& random) {
    const float shift = recipe.shift, slant = recipe.slant, dark = -1;  // what comes in at the edges
    const float down = random.uniform(-shift, shift), right = random.uniform(-shift, shift);
    const float yy = 1 + random.uniform(-slant, slant), yx = random.uniform(-slant, slant);
    const float xy = random.uniform(-slant, slant), xx = 1 + random.uniform(-slant, slant);
    return warped(image, {.down = down, .right = right, .yy = yy, .yx = yx, .xy = xy, .xx = xx}, dark);
}

namespace {
// The next batch of the epoch; each epoch shuffles all images.
struct ImageLoss : Objective {
    const LabelledImages& data;
    const vit::Weights& w;
    const vit::Config& config;
    const ImageRecipe& recipe;
    Random& random;
    std::vector<int> order;

    ImageLoss(const LabelledImages& data, const vit::Weights& w, const vit::Config& config, const ImageRecipe& recipe,
              Random& random)
        : data(data), w(w), config(config), recipe(recipe), random(random) {}

    Var loss(int step) override {
        const int B = recipe.training.batch, b = step % batches(data, recipe);
        if (b == 0) order = permutation(random, data.count());
        std::vector<Image> images;
        std::vector<int> labels;
        for (int i = b * B; i < std::min(data.count(), (b + 1) * B); ++i) {
            const Image& image = data.images[order[i]];
            images.push_back(recipe.shift > 0 || recipe.slant > 0 ? another_hand(image, recipe, random) : image);
            labels.push_back(data.labels[order[i]]);
        }
        return vit::loss(vit::forward(images, w, config), labels);
    }
};
}  // namespace

// One pass over all images.   returns the mean loss of its batches
static float train_epoch(int epoch, ImageLoss& objective, Trainer& trainer, Watcher& watcher) {
    const int steps = batches(objective.data, objective.recipe);
    float sum = 0;
    for (const float loss : train_until((epoch + 1) * steps, objective, trainer, &watcher)) sum += loss;
    return sum / static_cast<float>(steps);
}

static Trainer make_trainer(const vit::Weights& w, const vit::Config& config, const ImageRecipe& recipe) {
    return Trainer(weights_decay(vit::parameters(w, config)), recipe.training);
}

// The logits of all images, (n, K), a few at a time.
static Matrix answers(const LabelledImages& data, const vit::Weights& w, const vit::Config& config) {
    Matrix logits(data.count(), config.classes);
    const int at_once = 120;
    for (int first = 0; first < data.count(); first += at_once) {
        const int end = std::min(data.count(), first + at_once);
        const std::vector<Image> images(data.images.begin() + first, data.images.begin() + end);
        const vit::Steps steps = vit::forward(images, w, config);
        std::copy(steps.logits.value().begin(), steps.logits.value().end(), logits.row(first));
    }
    return logits;
}

// --- the data ---

static LabelledImages prepared(LabelledImages data, int most) {
    if (most > 0 && most < data.count()) {
        data.images.resize(most);
        data.labels.resize(most);
    }
    for (Image& image : data.images) image = normalise(image, {0.5f}, {0.5f});  // 0 ... 1 becomes -1 ... 1, as published
    return data;
}

static Image visible(const Image& image) { return normalise(image, {-1}, {2}); }  // and back: (x + 1) / 2

static void step_look(Lesson& lesson, const LabelledImages& train, const LabelledImages& test) {
    lesson.step("What is the training data?");
    std::vector<Captioned> page;
    for (int label = 0; label < std::min(train.classes, 10); ++label) {
        const auto found = std::find(train.labels.begin(), train.labels.end(), label);
        if (found == train.labels.end()) continue;
        page.push_back({text(label), picture(visible(train.images[found - train.labels.begin()]), lesson.colours)});
    }
    lesson.pictures(page);
    lesson.say(train.count(), " images of ", shape(train.images[0]), " to learn from, ", test.count(), " others to test on, ",
               train.classes, " classes. The one of each above is the first in the file.");
    if (test.images[0].height == 8)
        lesson.why("the test digits are from other writers, so the model must learn what all digits of a class have in common.");
}

// --- the model ---

static void step_build(Lesson& lesson, const vit::Weights& w, const vit::Config& config, const Image& image, int label) {
    lesson.step("What is the model?", "image -> z0 -> L blocks -> y -> logits", "Eqs. 1-4");
    lesson.code();
    const vit::Steps steps = vit::forward({image}, w, config);
    const BlockSteps& block = steps.encoder.blocks[0];
    lesson.table({{"value", "shape", "what it is"},
                  {"embedding.patches", shape(steps.embedding.patches), "the squares of one image, one a row"},
                  {"embedding.z0", shape(steps.embedding.z0.value()), "[cls] and the squares as tokens, with positions"},
                  {"blocks[0].attention.weights", shape(block.attention.weights.value()),
                   "attention weights, the heads stacked vertically"},
                  {"blocks[0].mlp.hidden", shape(block.mlp.hidden.value()), "inside the MLP"},
                  {"encoder.output", shape(steps.encoder.output.value()), "the tokens after all blocks"},
                  {"class_tokens", shape(steps.class_tokens.value()), "the row of [cls], after the last norm"},
                  {"logits", shape(steps.logits.value()), "one number for each class"}});
    lesson.matrix("probabilities", steps.probabilities.value(), 10);
    lesson.why("the model is untrained, so the true class, ", label, ", gets ", percent(steps.probabilities.value()(0, label)),
               ", about as much as the others. The loss of a uniform prediction is ln ", config.classes, " = ",
               fixed(std::log(config.classes)), ".");
    vit::Config doubled = config;
    doubled.width *= 2;
    Random any(1);
    const vit::Weights larger = vit::make_weights(doubled, any, {.stddev = 0.1f});
    const double numbers = static_cast<double>(count_numbers(vit::parameters(larger, doubled)));
    lesson.predict("How many parameters has the model when only D is doubled? Now there are " +
                       text(static_cast<int>(count_numbers(vit::parameters(w, config)))) + ".",
                   {numbers, 0.1 * numbers});
}

struct Trained {
    std::vector<float> losses;  // of each epoch
    double seconds = 0;
};

static Trained step_train(Lesson& lesson, const LabelledImages& data, const vit::Weights& w, const vit::Config& config,
                          Trainer& trainer, const ImageRecipe& recipe, Random& random, const Choices& choices) {
    lesson.step("How does it learn?", "w <- w - lr d loss / d w, for every number");
    const int steps = recipe.training.schedule.steps, done = trainer.optimizer.steps / batches(data, recipe);
    const int last = choices.stop_after > 0 ? std::min(recipe.epochs, choices.stop_after) : recipe.epochs;
    require(done <= last, choices.resume, ": ", done, " times through all images are done there, training is to end after ", last,
            "; give a larger number in --epochs, or in --stop-after");
    lesson.say(recipe.epochs - done, " times through all images, ", recipe.training.batch,
               " at a time: ", steps - trainer.optimizer.steps, " steps of AdamW. Each time an image is moved by up to ",
               fixed(recipe.shift, 1), " pixel and turned, slanted and stretched by up to ", percent(recipe.slant),
               ", so that none comes twice:");
    std::vector<Captioned> hands{{"as it is", picture(visible(data.images[0]), lesson.colours)}};
    Random any(choices.seed);
    for (int i = 0; i < 3; ++i)
        hands.push_back({"", picture(visible(another_hand(data.images[0], recipe, any)), lesson.colours)});
    lesson.pictures(hands);
    Trained trained;
    const double begin = seconds_now();
    {
        ImageLoss objective(data, w, config, recipe, random);
        ShowProgress progress("training", steps);
        for (int epoch = done; epoch < last; ++epoch) {
            trained.losses.push_back(train_epoch(epoch, objective, trainer, progress));
            if (!choices.save.empty())
                save_training_state(choices.save, vit::parameters(w, config), trainer.optimizer, random, vit::metadata(config));
        }
    }
    trained.seconds = seconds_now() - begin;
    if (trained.losses.empty()) {
        lesson.say("The saved state had all of them already.");
        return trained;
    }
    Series loss{.name = "loss of the epochs", .x = {}, .y = trained.losses};
    for (std::size_t e = 0; e < trained.losses.size(); ++e) loss.x.push_back(static_cast<float>(done + e + 1));
    lesson.curves({loss}, {"epoch", "loss, nats"});
    lesson.say("From ", fixed(trained.losses.front()), " to ", fixed(trained.losses.back()), " in ", fixed(trained.seconds, 1),
               " seconds.");
    if (!choices.save.empty()) lesson.say("Saved in ", choices.save, "; --resume continues from there, --weights evaluates it.");
    return trained;
}

static float step_test(Lesson& lesson, const LabelledImages& test, const vit::Weights& w, const vit::Config& config) {
    lesson.step("Does it generalise to unseen digits?");
    lesson.code(2);
    const Matrix logits = answers(test, w, config);  // (n, K)
    const float right = accuracy(logits, test.labels);
    std::vector<Captioned> errors;
    int wrong = 0;
    for (int i = 0; i < test.count(); ++i) {
        const int said = argmax_row(logits, i);
        if (said == test.labels[i]) continue;
        ++wrong;
        const std::string caption = text(test.labels[i]) + ", said " + text(said);
        if (errors.size() < 8) errors.push_back({caption, picture(visible(test.images[i]), lesson.colours)});
    }
    lesson.say(test.count() - wrong, " of ", test.count(), " right: ", percent(right),
               errors.empty() ? "." : ". Wrong, among others:");
    lesson.pictures(errors);
    if (!errors.empty())
        lesson.predict("which of these you would have read as the model did, before you look at the captions again.");
    return right;
}

// What [cls] attends to in one block, a heat map for each head.
static std::vector<Captioned> attention_maps(const Lesson& lesson, const Image& image, const vit::Weights& w,
                                             const vit::Config& config, int block) {
    const vit::Steps steps = vit::forward({image}, w, config);
    std::vector<Captioned> maps;
    for (int head = 0; head < std::min(config.heads, 4); ++head)
        maps.push_back({"head " + text(head), heat_map(vit::class_attention(steps, config, block, head), lesson.colours)});
    return maps;
}

static float smallest(const Matrix& m) { return *std::min_element(m.begin(), m.end()); }
static float largest(const Matrix& m) { return *std::max_element(m.begin(), m.end()); }

static void step_attention(Lesson& lesson, const Image& image, const Image& to_show, const vit::Weights& fresh,
                           const vit::Weights& w, const vit::Config& config) {
    const int block = config.depth - 1;
    lesson.step("What does [cls] attend to?", "row 0 of A in block " + text(block), "Eq. 6");
    lesson.picture("the image", to_show);
    lesson.say("Before training, in each head:");
    lesson.pictures(attention_maps(lesson, image, fresh, config, block));
    lesson.say("After training:");
    lesson.pictures(attention_maps(lesson, image, w, config, block));
    const Matrix before = vit::class_attention(vit::forward({image}, fresh, config), config, block, 0);
    const Matrix after = vit::class_attention(vit::forward({image}, w, config), config, block, 0);
    lesson.why("before, every square gets about 1/", config.grid.count() + 1, " (head 0: ", fixed(smallest(before)), " to ",
               fixed(largest(before)), ") and the map shows the tiny rest, scaled up. After training head 0 gives ",
               fixed(smallest(after)), " to ", fixed(largest(after)), ": it has found squares that matter.");
}

namespace ig = integrated_gradients;

static void step_decided(Lesson& lesson, const Image& image, const vit::Weights& w, const vit::Config& config) {
    lesson.step("What decided this digit?", "(x - b) * mean of d(logit_a - logit_b) / dx from b to x",
                "Sundararajan et al. 2017");
    Matrix logits = vit::forward({image}, w, config).logits.value();  // (1, K)
    const int said = argmax_row(logits, 0);
    logits[said] = -INFINITY;
    const int second = argmax_row(logits, 0);
    const Matrix x = patchify_all({image}, config.grid, "vit"), dark(x.rows, x.cols, -1.0f);  // (N, P*P*C)
    lesson.code(3);
    const auto run = [&] { return vit::forward({image}, w, config).logits; };
    ig::OutputOf lead(run, "patches", {0}, {said}, {second});
    const ig::Attribution found = ig::attribute(lead, x, dark, ig::points(ig::Rule::middle, 32), 1);
    const Image evidence = unpatchify_all(found.attributions, config.grid)[0];  // (H, W, C)
    Matrix of_pixels(evidence.height, evidence.width);
    for (std::size_t k = 0; k < evidence.pixels.size(); ++k) of_pixels[k / evidence.channels] += evidence.pixels[k];
    lesson.pictures({{"the image", picture(visible(image), lesson.colours)},
                     {"for " + text(said) + " (bright), for " + text(second) + " (dark)", heat_map(of_pixels, lesson.colours)}});
    lesson.say("It says ", said, "; next comes ", second, ". The pixels' numbers add up to the lead of ", said,
               " here less its lead on a "
               "dark image, with an error of ",
               fixed(found.delta[0], 5), ".");
    lesson.why(
        "a gradient says what the next small step would change; added up on the way from a dark image to this one, it distributes the whole lead among the pixels. A pixel that is dark in both gets 0: the question asked is \"what did the ink do?\".");
    lesson.predict("the same map against the class that you would have confused it with.");
}

// The relevance of each patch for one class, through all blocks: (H/P, W/P).
static Matrix relevance_map(const Image& image, int label, const vit::Weights& w, const vit::Config& config) {
    const Inside inside = vit::inside(w, config);
    const Inspection trace =
        follow([&] { return vit::forward({image}, w, config).logits; }, inside, {{.row = 0, .column = label}});
    const Matrix of_tokens = rollout::token_relevance(trace, inside);  // (1, N+1)
    return reshape(slice_cols(of_tokens, 1, of_tokens.cols - 1), config.grid.down(), config.grid.across());
}

// --- positions ---

const vit::Config order_config{.grid = {.height = 12, .width = 12, .patch_size = 4, .channels = 1},
                               .width = 32,
                               .depth = 2,
                               .heads = 4,
                               .mlp_width = 64,
                               .classes = 2,
                               .eps = 1e-6f};

static const ImageRecipe order_recipe{
    .epochs = 10,
    .shift = 0,
    .slant = 0,
    .training = {.schedule = {.peak = 1e-3f, .steps = 630, .descent = Descent::none}, .batch = 64, .beta2 = 0.98f}};

static vit::Weights order_weights(bool with_positions, Random& random) {
    vit::Weights w = vit::make_weights(order_config, random);
    if (!with_positions) w.positions = Var(Matrix(order_config.grid.count() + 1, order_config.width));  // zeros, and not trained
    return w;
}

// Trains the small model of the toy.   returns its losses, one for each epoch
static Series train_order(const LabelledImages& train, const vit::Weights& w, const std::string& name, Random& random) {
    Trainer trainer = make_trainer(w, order_config, order_recipe);
    ImageLoss objective(train, w, order_config, order_recipe, random);
    ShowProgress progress(name, order_recipe.training.schedule.steps);
    Series losses{.name = "loss " + name, .x = {}, .y = {}};
    for (int epoch = 0; epoch < order_recipe.epochs; ++epoch) {
        losses.x.push_back(static_cast<float>(epoch + 1));
        losses.y.push_back(train_epoch(epoch, objective, trainer, progress));
    }
    return losses;
}

struct OrderAccuracies {
    float with = 0, without = 0;
};

static OrderAccuracies step_positions(Lesson& lesson, int seed, vit::Weights& trained) {
    lesson.step("What are the positions for?", "z0 = [x_class; x_p E] + E_pos", "Eq. 1");
    Random random(seed + 1000);
    const LabelledImages train = cross_and_box(random, 4000), test = cross_and_box(random, 1000);
    std::vector<Captioned> page;
    for (int i = 0; i < 3; ++i)
        page.push_back({train.labels[i] == 1 ? "cross first" : "box first", picture(train.images[i], lesson.colours)});
    lesson.pictures(page);
    lesson.say(
        "Another question: does the cross come before the box, in reading order? A small ViT is trained on it twice, from the "
        "same start: with positions, and with all of them held at 0.");
    Random first(seed), second(seed);
    trained = order_weights(true, first);
    const vit::Weights bag = order_weights(false, second);
    const Series with = train_order(train, trained, "with positions", first),
                 without = train_order(train, bag, "without", second);
    lesson.curves({with, without}, {"epoch", "loss, nats"});
    const OrderAccuracies right{.with = accuracy(answers(test, trained, order_config), test.labels),
                                .without = accuracy(answers(test, bag, order_config), test.labels)};
    lesson.say("Right on ", test.count(), " new images: with positions ", percent(right.with), ", without ",
               percent(right.without), ".");
    lesson.why(
        "without positions the tokens of both classes are the same, only in another order, and nothing in attention, norm or MLP "
        "depends on the order. So no training can exceed chance.");
    lesson.predict("what happens when only the class token has a position.");
    return right;
}

// --- a published checkpoint ---

// The five most probable classes; left are the probabilities, (1, K).
static std::vector<std::vector<std::string>> top_five(Matrix left, const std::vector<std::string>& names) {
    std::vector<std::vector<std::string>> rows{{"class", "probability"}};
    for (int rank = 0; rank < std::min(5, left.cols); ++rank) {
        const int best = argmax_row(left, 0);
        const std::string name = names.empty() ? "class " + text(best) : names[best];
        rows.push_back({name, percent(left(0, best))});
        left(0, best) = -1;
    }
    return rows;
}

static void step_ask_checkpoint(Lesson& lesson, const Choices& choices) {
    lesson.step("What does a trained model see in this image?", choices.weights);
    require(!choices.image.empty(), "--weights needs an image: --image FILE");
    const PublishedVit model = read_published_vit(choices.weights, choices.model_options.settings());
    const vit::Config& config = model.config;
    const Image photograph = read_photograph(choices.image, config);
    const std::vector<std::string> names = class_names(choices.class_names, config.classes);
    const Image image = prepared_photograph(photograph, config, choices.weights);
    lesson.picture("", photograph);
    const vit::Steps steps = vit::forward({image}, model.w, config);
    if (config.classes > 0) lesson.table(top_five(steps.probabilities.value(), names));
    if (config.classes == 0) lesson.say(choices.weights, " has no classifier, so it predicts no class.");
    lesson.say("What [cls] attends to in the last block:");
    lesson.pictures(attention_maps(lesson, image, model.w, config, config.depth - 1));
    if (config.classes == 0) return;
    const int said = argmax_row(steps.logits.value(), 0);
    lesson.say("What decided for class ", said,
               ": each patch's relevance for its logit (nn/interpret/rollout.h), which attention alone "
               "cannot tell.");
    lesson.pictures(
        {{"relevance for class " + text(said), heat_map(relevance_map(image, said, model.w, config), lesson.colours)}});
}

// --- the lesson ---

static vit::Config config_for(const LabelledImages& data, const Choices& choices) {
    const Image& image = data.images[0];
    const int P = choices.patch_size > 0 ? choices.patch_size : std::max(1, image.height / (image.height <= 16 ? 2 : 4));
    return {.grid = {.height = image.height, .width = image.width, .patch_size = P, .channels = image.channels},
            .width = choices.width,
            .depth = choices.depth,
            .heads = choices.model_options.heads_or(4),
            .mlp_width = 2 * choices.width,
            .classes = data.classes,
            .eps = 1e-6f};
}

static ImageRecipe recipe_for(const LabelledImages& data, const Choices& choices) {
    ImageRecipe recipe{.epochs = choices.epochs > 0 ? choices.epochs : std::max(1, 72000 / data.count()),
                       .shift = static_cast<float>(choices.shift),
                       .slant = static_cast<float>(choices.slant)};
    recipe.training.batch = choices.batch;
    recipe.training.weight_decay = static_cast<float>(choices.weight_decay);
    const int steps = recipe.epochs * batches(data, recipe);
    recipe.training.schedule = {.peak = static_cast<float>(choices.learning_rate), .warm_up = steps / 10, .steps = steps};
    return recipe;
}

// The fraction of the most frequent class: the accuracy of a constant prediction.
static double share_of_largest_class(const LabelledImages& data) {
    std::vector<int> counts(data.classes);
    for (const int label : data.labels) ++counts[label];
    return *std::max_element(counts.begin(), counts.end()) / static_cast<double>(data.count());
}

static void walk(Lesson& lesson, const Choices& choices) {
    if (!choices.weights.empty()) return step_ask_checkpoint(lesson, choices);
    LabelledImages train = prepared(read_labelled_images(choices.train_images, choices.train_labels), choices.train_count);
    LabelledImages test = prepared(read_labelled_images(choices.test_images, choices.test_labels), 0);
    train.classes = test.classes = std::max(train.classes, test.classes);
    const vit::Config config = config_for(train, choices);
    const ImageRecipe recipe = recipe_for(train, choices);
    Random random(choices.seed);
    const vit::Weights w = vit::make_weights(config, random, {.stddev = 0.1f});
    Random same(choices.seed);
    const vit::Weights fresh = vit::make_weights(config, same, {.stddev = 0.1f});  // stays as it is, for comparison
    Trainer trainer = make_trainer(w, config, recipe);
    if (!choices.resume.empty())
        load_training_state(choices.resume, vit::parameters(w, config), trainer.optimizer, random, vit::metadata(config));

    step_look(lesson, train, test);
    step_build(lesson, fresh, config, test.images[0], test.labels[0]);
    step_train(lesson, train, w, config, trainer, recipe, random, choices);
    const float right = step_test(lesson, test, w, config);
    step_decided(lesson, test.images[0], w, config);
    if (config.grid.across() > 2) step_attention(lesson, test.images[0], visible(test.images[0]), fresh, w, config);
    OrderAccuracies order;
    if (!choices.skip_positions) {
        vit::Weights trained;
        order = step_positions(lesson, choices.seed, trained);
        Random start(choices.seed), noise(choices.seed);
        const Image image = cross_and_box_at(noise, 1, 8);
        step_attention(lesson, image, image, order_weights(true, start), trained, order_config);
    }
    lesson.say("Next: vit/mask_pixels/pretraining needs far fewer labels.");

    if (choices.own_data())
        lesson.claim_at_least("accuracy on unseen images, compared with always predicting the largest class", right,
                              share_of_largest_class(test));
    else
        lesson.claim_at_least("accuracy on digits of unseen writers", right, 0.95);
    if (choices.skip_positions) return;
    lesson.claim_at_least("cross before box, with positions", order.with, 0.95);
    lesson.claim_at_most("cross before box, without positions: accuracy near 1/2", order.without, 0.55);
}

int main(int argc, char** argv) {
    Options options("vit/vit", "A Transformer reads patches as tokens and classifies digits.", "20 seconds on two cores");
    Choices choices;
    options.add("train-images", choices.train_images, "IDX file of images to learn from: MNIST, Fashion-MNIST, ...");
    options.add("train-labels", choices.train_labels, "IDX file of their classes");
    options.add("test-images", choices.test_images, "IDX file of images to be asked about");
    options.add("test-labels", choices.test_labels, "IDX file of their classes");
    options.add("train-count", choices.train_count, "number of training images; 0: all", 0, 100'000'000);
    options.add("epochs", choices.epochs, "times through the training images; 0: until about 72,000 were seen", 0, 10'000);
    options.add("batch", choices.batch, "images in a step", 1, 10'000);
    options.add("learning-rate", choices.learning_rate, "of AdamW, at its peak", 0, 1);
    options.add("weight-decay", choices.weight_decay, "of AdamW", 0, 10);
    options.add("shift", choices.shift, "largest random shift of an image, in pixels", 0, 8);
    options.add("slant", choices.slant, "and turned, slanted and stretched by up to this fraction", 0, 1);
    options.add("patch-size", choices.patch_size,
                "side of a square in pixels; 0: 4 for the digits, 7 for 28 x 28, a quarter of larger images", 0, 64);
    options.add("width", choices.width, "D, numbers in a token", 1, 1024);
    options.add("depth", choices.depth, "L, blocks", 1, 48);
    choices.model_options.declare(options, 4);
    choices.model_options.declare_image_size(options);
    options.add("skip-positions", choices.skip_positions, "leave out the experiment with positions on and off");
    options.add_output("save", choices.save, "write weights and training state here after every epoch (safetensors)");
    options.add("resume", choices.resume, "go on from a file that --save wrote, with the same options");
    options.add("stop-after", choices.stop_after, "stop training after this epoch; 0: do not", 0, 10'000);
    options.add("weights", choices.weights, "do not train: ask a published or saved checkpoint (safetensors) about --image");
    options.add("image", choices.image, "PNG, PPM or PGM file for --weights");
    options.add("class-names", choices.class_names, "text file with the name of class 0, 1, ... in each line");
    for (const char* const name : {"image", "class-names", "eps", "activation", "image-size"}) options.needs(name, "weights");
    for (const char* const name :
         {"train-images", "train-labels", "test-images", "test-labels", "save", "resume", "stop-after", "train-count", "epochs",
          "batch", "learning-rate", "weight-decay", "shift", "slant", "patch-size", "width", "depth", "skip-positions"})
        options.excludes(name, "weights");
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
