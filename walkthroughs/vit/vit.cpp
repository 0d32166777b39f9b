// vit.cpp: a Vision Transformer is trained on handwritten digits, looked into, and asked about order.
//
//   paper    Dosovitskiy et al., "An Image Is Worth 16x16 Words", 2021, arXiv 2010.11929
//   shows    that a model without a single convolution reads the digits of people whose writing it has never seen,
//            and that its positions are what turns a bag of patches into a picture
//   symbols  B images of a batch   N patches   D token width   K classes
//   before   patch_embedding.cpp
#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "nn/data/file.h"
#include "nn/data/idx.h"
#include "nn/data/text.h"
#include "nn/training/loss.h"
#include "nn/training/optimizer.h"
#include "nn/training/progress.h"
#include "nn/training/schedule.h"
#include "nn/training/state.h"
#include "vit/vit.h"
#include "walkthroughs/lesson/cross_and_box.h"
#include "walkthroughs/lesson/lesson.h"

static const std::string digits = "walkthroughs/data/digits-";

struct Choices {
    std::string train_images = digits + "train-images.idx3-ubyte", train_labels = digits + "train-labels.idx1-ubyte";
    std::string test_images = digits + "test-images.idx3-ubyte", test_labels = digits + "test-labels.idx1-ubyte";
    std::string save, resume, weights, image, class_names;
    int train_count = 0, epochs = 0, stop_after = 0, patch_size = 0, heads = 0;
    int width = 64, depth = 3, batch = 32;
    double learning_rate = 3e-3, weight_decay = 0.05, shift = 1;
    bool skip_positions = false;
    int seed = 1;

    bool own_data() const { return train_images != Choices().train_images || test_images != Choices().test_images; }
};

// --- training ---

struct Recipe {
    int epochs;
    int batch;
    Schedule schedule;
    float weight_decay;
    float shift;  // how far a picture is moved at random, pixels: so much to either side, half as much up and down
};

static int batches(const LabelledImages& data, const Recipe& recipe) { return (data.count() + recipe.batch - 1) / recipe.batch; }

// Loss and gradients of one batch, then one step of the optimizer.
static float train_batch(const std::vector<Image>& images, const std::vector<int>& labels, const vit::Weights& w,
                         const vit::Config& config, AdamW& optimizer, const Schedule& schedule) {
    Tape tape;
    const vit::Steps steps = vit::forward(images, w, config);
    const Var loss = vit::loss(steps, labels);
    backward(loss);
    clip_gradient_norm(optimizer.variables, 1);
    optimizer.update(learning_rate(schedule, optimizer.steps));
    zero_gradients(optimizer.variables);
    return loss.value()(0, 0);
}

// One pass over all pictures in random order, each moved a little.   returns the mean loss of its batches
static float train_epoch(const LabelledImages& data, const vit::Weights& w, const vit::Config& config, AdamW& optimizer,
                         const Recipe& recipe, Random& random, Progress& progress) {
    const std::vector<int> order = permutation(random, data.count());
    const float dark = -1;  // what comes in at the edges
    float sum = 0;
    for (int b = 0; b < batches(data, recipe); ++b) {
        std::vector<Image> images;
        std::vector<int> labels;
        for (int i = b * recipe.batch; i < std::min(data.count(), (b + 1) * recipe.batch); ++i) {
            const float down = random.uniform(-recipe.shift / 2, recipe.shift / 2);
            const float right = random.uniform(-recipe.shift, recipe.shift);
            images.push_back(shifted_smoothly(data.images[order[i]], down, right, dark));
            labels.push_back(data.labels[order[i]]);
        }
        const float loss = train_batch(images, labels, w, config, optimizer, recipe.schedule);
        progress.update(optimizer.steps - 1, loss);
        sum += loss;
    }
    return sum / static_cast<float>(batches(data, recipe));
}

static AdamW make_optimizer(const vit::Weights& w, const vit::Config& config, const Recipe& recipe) {
    const DecayChoice choice = weights_decay(vit::parameters(w, config));
    return AdamW(choice.decayed, choice.not_decayed, {.learning_rate = recipe.schedule.peak, .weight_decay = recipe.weight_decay});
}

// The logits of all pictures, (n, K), a few at a time.
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

static std::string percent(double share) { return fixed(100 * share, 1) + " %"; }

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
    lesson.step("What is there to learn from?");
    std::vector<Captioned> page;
    for (int label = 0; label < std::min(train.classes, 10); ++label) {
        const auto found = std::find(train.labels.begin(), train.labels.end(), label);
        if (found == train.labels.end()) continue;
        page.push_back({text(label), picture(visible(train.images[found - train.labels.begin()]), lesson.colours)});
    }
    lesson.pictures(page);
    lesson.say(train.count(), " pictures of ", shape(train.images[0]), " to learn from, ", test.count(),
               " others to be asked about, ", train.classes, " classes. The one of each above is the first in the file.");
    if (test.images[0].height == 8) lesson.why("the others were written by other people: only what digits have in common will help.");
}

// --- the model ---

static void step_build(Lesson& lesson, const vit::Weights& w, const vit::Config& config, const Image& image, int label) {
    lesson.step("What will learn it?", "image -> z0 -> L blocks -> y -> logits", "Eqs. 1-4");
    lesson.code();
    const vit::Steps steps = vit::forward({image}, w, config);
    const BlockSteps& block = steps.encoder.blocks[0];
    lesson.table({{"value", "shape", "what it is"},
                  {"embedding.patches", shape(steps.embedding.patches), "the squares of one picture, one a row"},
                  {"embedding.z0", shape(steps.embedding.z0.value()), "[cls] and the squares as tokens, with positions"},
                  {"blocks[0].attention.weights", shape(block.attention.weights.value()), "who looks at whom, head below head"},
                  {"blocks[0].intermediate", shape(block.intermediate.value()), "inside the MLP"},
                  {"encoder.output", shape(steps.encoder.output.value()), "the tokens after all blocks"},
                  {"class_tokens", shape(steps.class_tokens.value()), "the row of [cls], after the last norm"},
                  {"logits", shape(steps.logits.value()), "one number for each class"}});
    lesson.matrix("probabilities", steps.probabilities.value(), 10);
    lesson.why("nothing is learned yet, so the true class, ", label, ", gets ", percent(steps.probabilities.value()(0, label)),
               ": about as much as the others. The loss of a guess is ln ", config.classes, " = ", fixed(std::log(config.classes)), ".");
    lesson.predict("the number of trained numbers when D is doubled. Now there are ", count_numbers(vit::parameters(w, config)), ".");
}

struct Trained {
    std::vector<float> losses;  // of each epoch
    double seconds = 0;
};

static Trained step_train(Lesson& lesson, const LabelledImages& data, const vit::Weights& w, const vit::Config& config, AdamW& optimizer,
                          const Recipe& recipe, Random& random, const Choices& choices) {
    lesson.step("How does it learn?", "w <- w - lr d loss / d w, for every number");
    const int done = optimizer.steps / batches(data, recipe);
    const int last = choices.stop_after > 0 ? std::min(recipe.epochs, choices.stop_after) : recipe.epochs;
    lesson.say(recipe.epochs - done, " times through all pictures, ", recipe.batch, " at a time, each moved by up to ",
               fixed(recipe.shift, 1), " pixels to a side and half as far up or down, so that no picture comes twice: ",
               recipe.schedule.steps - optimizer.steps, " steps of AdamW.");
    Trained trained;
    const auto begin = std::chrono::steady_clock::now();
    {
        Progress progress("training", recipe.schedule.steps);
        for (int epoch = done; epoch < last; ++epoch) {
            trained.losses.push_back(train_epoch(data, w, config, optimizer, recipe, random, progress));
            if (!choices.save.empty()) save_training_state(choices.save, vit::parameters(w, config), optimizer, random);
        }
    }
    trained.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (trained.losses.empty()) {
        lesson.say("The saved state had all of them already.");
        return trained;
    }
    Series loss{.name = "loss of the epochs", .x = {}, .y = trained.losses};
    for (std::size_t e = 0; e < trained.losses.size(); ++e) loss.x.push_back(static_cast<float>(done + e + 1));
    lesson.curves({loss});
    lesson.say("From ", fixed(trained.losses.front()), " to ", fixed(trained.losses.back()), " in ", fixed(trained.seconds, 1), " seconds.");
    if (!choices.save.empty()) lesson.say("Saved in ", choices.save, "; --resume goes on from there, --weights asks it.");
    return trained;
}

static float step_test(Lesson& lesson, const LabelledImages& test, const vit::Weights& w, const vit::Config& config) {
    lesson.step("Does it know what it has never seen?");
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
    lesson.say(test.count() - wrong, " of ", test.count(), " right: ", percent(right), errors.empty() ? "." : ". Wrong, among others:");
    lesson.pictures(errors);
    if (!errors.empty()) lesson.predict("which of these you would have read as the model did, before you look at the captions again.");
    return right;
}

// What [cls] looks at in the last block, one picture for each head.
static std::vector<Captioned> attention_pictures(const Lesson& lesson, const Image& image, const vit::Weights& w, const vit::Config& config) {
    const vit::Steps steps = vit::forward({image}, w, config);
    std::vector<Captioned> pictures;
    for (int head = 0; head < std::min(config.heads, 5); ++head)
        pictures.push_back({"head " + text(head), heat_map(vit::class_attention(steps, config, config.depth - 1, head), lesson.colours)});
    return pictures;
}

static void step_attention(Lesson& lesson, const Image& image, const vit::Weights& fresh, const vit::Weights& w, const vit::Config& config) {
    lesson.step("What does [cls] look at?", "row 0 of A, last block", "Eq. 6");
    lesson.picture("the picture", visible(image));
    lesson.say("Before training, each head spread over the squares:");
    lesson.pictures(attention_pictures(lesson, image, fresh, config));
    lesson.say("After training:");
    lesson.pictures(attention_pictures(lesson, image, w, config));
    lesson.why("before, scores are nearly equal and every square gets about 1/", vit::patch_count(config) + 1,
               "; a map shows the tiny rest, scaled up. Afterwards each head has found squares that tell classes apart.");
}

// --- positions ---

// Trains the small model of the toy and returns its share of right answers on pictures it has not seen.
static float order_accuracy(const LabelledImages& train, const LabelledImages& test, bool with_positions, int seed, std::vector<float>& losses) {
    const vit::Config config{.image_height = 12, .image_width = 12, .patch_size = 4, .channels = 1, .width = 32, .depth = 2, .heads = 4,
                             .mlp_width = 64, .classes = 2, .eps = 1e-6f};
    const Recipe recipe{.epochs = 10, .batch = 64, .schedule = {.peak = 1e-3f, .steps = 630, .descent = Descent::none},
                        .weight_decay = 0, .shift = 0};
    Random random(seed);
    vit::Weights w = vit::make_weights(config, random);
    if (!with_positions) w.positions = Var(Matrix(vit::patch_count(config) + 1, config.width));  // zeros, and not trained
    AdamW optimizer = make_optimizer(w, config, recipe);
    Progress progress(with_positions ? "with positions" : "without", recipe.schedule.steps);
    for (int epoch = 0; epoch < recipe.epochs; ++epoch)
        losses.push_back(train_epoch(train, w, config, optimizer, recipe, random, progress));
    return accuracy(answers(test, w, config), test.labels);
}

struct OrderAccuracies {
    float with = 0, without = 0;
};

static OrderAccuracies step_positions(Lesson& lesson, int seed) {
    lesson.step("What are the positions for?", "z0 = [x_class; x_p E] + E_pos", "Eq. 1");
    Random random(seed + 1000);
    const LabelledImages train = cross_and_box(random, 4000), test = cross_and_box(random, 1000);
    std::vector<Captioned> page;
    for (int i = 0; i < 4; ++i) {
        const std::string caption = train.labels[i] == 1 ? "cross first" : "box first";
        page.push_back({caption, picture(train.images[i], lesson.colours)});
    }
    lesson.pictures(page);
    lesson.say("Another question: does the cross come before the box, in reading order? A small ViT is trained on it twice, from the same "
               "start: with positions, and with all of them held at 0.");
    Series on{.name = "loss with positions", .x = {}, .y = {}}, off{.name = "without", .x = {}, .y = {}};
    const OrderAccuracies right{.with = order_accuracy(train, test, true, seed, on.y), .without = order_accuracy(train, test, false, seed, off.y)};
    for (std::size_t e = 0; e < on.y.size(); ++e) {
        on.x.push_back(static_cast<float>(e + 1));
        off.x.push_back(static_cast<float>(e + 1));
    }
    lesson.curves({on, off});
    lesson.say("Right on ", test.count(), " new pictures: with positions ", percent(right.with), ", without ", percent(right.without), ".");
    lesson.why("without positions the tokens of both classes are the same, only in another order, and nothing in attention, norm or MLP "
               "depends on the order. So no training can do better than a coin.");
    lesson.predict("what happens when only the class token has a position.");
    return right;
}

// --- a published checkpoint ---

static Image with_channels(const Image& image, int channels) {
    if (image.channels == channels || image.channels != 1) return image;
    Image result(image.height, image.width, channels);
    for (std::size_t k = 0; k < result.pixels.size(); ++k) result.pixels[k] = image.pixels[k / channels];
    return result;
}

static void step_ask_checkpoint(Lesson& lesson, const Choices& choices) {
    lesson.step("What does a trained model see in this picture?", choices.weights);
    require(!choices.image.empty(), "--weights: which picture shall it look at? --image FILE");
    const Safetensors file(choices.weights);
    vit::Config config = vit::config_of(file);
    if (choices.heads > 0) config.heads = choices.heads;
    Random random;
    const vit::Weights w = vit::make_weights(config, random);
    load(vit::parameters(w, config), file, {.allow_unexpected = true});  // a saved training state holds more than weights
    const Image photograph = with_channels(read_image(choices.image), config.channels);
    require(photograph.channels == config.channels, "--image: ", choices.image, " has ", photograph.channels, " channels, the model reads ",
            config.channels);
    std::vector<std::string> names;
    if (!choices.class_names.empty()) names = split_lines(read_file(choices.class_names));
    const Image image = vit::preprocess(photograph, config);
    lesson.picture("", photograph);
    const vit::Steps steps = vit::forward({image}, w, config);
    Matrix left = steps.probabilities.value();  // (1, K)
    std::vector<std::vector<std::string>> rows{{"class", "probability"}};
    for (int place = 0; place < std::min(5, config.classes); ++place) {
        const int best = argmax_row(left, 0);
        const std::string name = best < static_cast<int>(names.size()) ? names[best] : "class " + text(best);
        rows.push_back({name, percent(left(0, best))});
        left(0, best) = -1;
    }
    lesson.table(rows);
    std::vector<Captioned> maps;
    for (int head = 0; head < std::min(4, config.heads); ++head)
        maps.push_back({"head " + text(head), heat_map(vit::class_attention(steps, config, config.depth - 1, head), lesson.colours)});
    lesson.say("What [cls] looks at in the last block:");
    lesson.pictures(maps);
}

// --- the lesson ---

static vit::Config config_for(const LabelledImages& data, const Choices& choices) {
    const Image& image = data.images[0];
    const int P = choices.patch_size > 0 ? choices.patch_size : std::max(1, image.height / 4);
    return {.image_height = image.height, .image_width = image.width, .patch_size = P, .channels = image.channels, .width = choices.width,
            .depth = choices.depth, .heads = choices.heads > 0 ? choices.heads : 4, .mlp_width = 2 * choices.width,
            .classes = data.classes, .eps = 1e-6f};
}

static Recipe recipe_for(const LabelledImages& data, const Choices& choices) {
    Recipe recipe{.epochs = choices.epochs > 0 ? choices.epochs : std::max(1, 43000 / data.count()), .batch = choices.batch, .schedule = {},
                  .weight_decay = static_cast<float>(choices.weight_decay), .shift = static_cast<float>(choices.shift)};
    const int steps = recipe.epochs * batches(data, recipe);
    recipe.schedule = {.peak = static_cast<float>(choices.learning_rate), .warm_up = steps / 10, .steps = steps};
    return recipe;
}

// The share of the most frequent class: what a model reaches that does not look.
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
    const Recipe recipe = recipe_for(train, choices);
    Random random(choices.seed);
    const vit::Weights w = vit::make_weights(config, random, 0.1f);
    Random same(choices.seed);
    const vit::Weights fresh = vit::make_weights(config, same, 0.1f);  // stays as it is, for comparison
    AdamW optimizer = make_optimizer(w, config, recipe);
    if (!choices.resume.empty()) load_training_state(choices.resume, vit::parameters(w, config), optimizer, random);

    step_look(lesson, train, test);
    step_build(lesson, fresh, config, test.images[0], test.labels[0]);
    step_train(lesson, train, w, config, optimizer, recipe, random, choices);
    const float right = step_test(lesson, test, w, config);
    step_attention(lesson, test.images[0], fresh, w, config);
    OrderAccuracies order;
    if (!choices.skip_positions) order = step_positions(lesson, choices.seed);

    if (choices.own_data())
        lesson.claim_at_least("right on pictures never seen, against always naming the largest class", right, share_of_largest_class(test));
    else
        lesson.claim_at_least("digits of people whose writing it never saw, share read right", right, 0.95);
    if (choices.skip_positions) return;
    lesson.claim_at_least("cross before box, with positions", order.with, 0.95);
    lesson.claim_at_most("cross before box, without positions: a coin", order.without, 0.55);
}

int main(int argc, char** argv) {
    Options options("vit/vit", "A transformer that reads patches as words learns to read digits.", "25 seconds on two cores");
    Choices choices;
    options.add("train-images", choices.train_images, "IDX file of pictures to learn from: MNIST, Fashion-MNIST, ...");
    options.add("train-labels", choices.train_labels, "IDX file of their classes");
    options.add("test-images", choices.test_images, "IDX file of pictures to be asked about");
    options.add("test-labels", choices.test_labels, "IDX file of their classes");
    options.add("train-count", choices.train_count, "learn from the first so many only; 0: all", 0, 100'000'000);
    options.add("epochs", choices.epochs, "times through the training pictures; 0: until about 43,000 were seen", 0, 10'000);
    options.add("batch", choices.batch, "pictures in a step", 1, 10'000);
    options.add("learning-rate", choices.learning_rate, "of AdamW, at its peak", 0, 1);
    options.add("weight-decay", choices.weight_decay, "of AdamW", 0, 10);
    options.add("shift", choices.shift, "pictures are moved sideways by up to so many pixels, half as far up and down", 0, 8);
    options.add("patch-size", choices.patch_size, "side of a square in pixels; 0: a quarter of the picture", 0, 64);
    options.add("width", choices.width, "D, numbers in a token", 1, 1024);
    options.add("depth", choices.depth, "L, blocks", 1, 48);
    options.add("heads", choices.heads, "heads; 0: 4, and with --weights as many as are 64 wide", 0, 64);
    options.add("skip-positions", choices.skip_positions, "leave out the experiment with positions on and off");
    options.add("save", choices.save, "write weights and training state here after every epoch (safetensors)");
    options.add("resume", choices.resume, "go on from a file that --save wrote, with the same options");
    options.add("stop-after", choices.stop_after, "stop training after so many epochs; 0: do not", 0, 10'000);
    options.add("weights", choices.weights, "do not train: ask a published or saved checkpoint (safetensors) about --image");
    options.add("image", choices.image, "PPM or PGM file for --weights");
    options.add("class-names", choices.class_names, "text file with the name of class 0, 1, ... in each line");
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
