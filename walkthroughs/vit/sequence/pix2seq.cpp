// pix2seq.cpp: an object is a sequence of five tokens, and a detector is a language model that reads an image.
//
//   paper    Chen et al., "Pix2Seq: A Language Modeling Framework for Object Detection", 2021, arXiv 2109.10852
//   shows    how a box becomes tokens and tokens a box; what noise objects teach, and with which weights; in which order the tokens
//            of an object are learned; that noise boxes are written too, but with a low score
//   symbols  T tokens of a sequence   V tokens of the vocabulary   n objects
//   toy      16 x 16 pixels, one or two rectangles in three colours; corners at even pixels, so nine bins are exact
//   before   walkthroughs/vit/detect/owl_vit.cpp (boxes from a regression), walkthroughs/gpt/gpt.cpp (writing)
#include <algorithm>
#include <string>
#include <vector>

#include "nn/autograd/rearrange.h"
#include "nn/text/decoding.h"
#include "nn/training/train.h"
#include "vit/detect/annotate.h"
#include "vit/detect/boxes.h"
#include "vit/detect/metrics.h"
#include "vit/sequence/pix2seq.h"
#include "walkthroughs/lesson/lesson.h"

namespace {
struct Choices {
    int steps = 1000;
    std::string out;
};

struct Scene {
    Image image;
    pix2seq::Objects objects = {};
};
}  // namespace

static constexpr int size = 16, slots = 2, test_images = 200;
static const std::vector<std::string> class_names{"padding", "red", "green", "blue"};
static constexpr pix2seq::Vocabulary vocabulary{
    .task = 1, .fake_class = 2, .base_shift = 3, .coordinate_shift = 7, .bins = 9, .size = 16};

// --- the toy ---

// One rectangle or two, each in its half of the image, in any order.
static Scene draw_scene(Random& random) {
    Scene scene{.image = Image(size, size, 3)};
    for (float& x : scene.image.pixels) x = random.uniform(0, 0.2f);
    const int count = 1 + random.below(slots), first = random.below(2);
    scene.objects.boxes = Matrix(count, 4);
    for (int k = 0; k < count; ++k) {
        const int height = 4 + 2 * random.below(3), width = 4 + 2 * random.below(3), colour = random.below(3);
        const int top = 2 * random.below((size - height) / 2 + 1);
        const int left = (first + k) % 2 * size / 2 + 2 * random.below((size / 2 - width) / 2 + 1);
        for (int y = top; y < top + height; ++y)
            for (int x = left; x < left + width; ++x) scene.image(y, x, colour) += 0.8f;
        const int sides[4] = {top, left, top + height, left + width};
        for (int i = 0; i < 4; ++i) scene.objects.boxes(k, i) = static_cast<float>(sides[i]) / size;
        scene.objects.labels.push_back(colour + 1);  // class 0 is padding
    }
    return scene;
}

static std::vector<Scene> draw_scenes(Random& random, int count) {
    std::vector<Scene> scenes;
    for (int i = 0; i < count; ++i) scenes.push_back(draw_scene(random));
    return scenes;
}

static pix2seq::Config config_of_toy() {
    return {.grid = {.height = size, .width = size, .patch_size = 4},
            .width = 48,
            .depth = 2,
            .heads = 4,
            .mlp_width = 96,
            .decoder_width = 48,
            .decoder_depth = 2,
            .decoder_heads = 4,
            .decoder_mlp_width = 96,
            .length = 5 * slots,
            .vocabulary = vocabulary};
}

// --- chance ---

// Empty slots are filled: any number of duplicates, then bad boxes.
static pix2seq::NoiseDraws draw_noise(Random& random, int n) {
    const int k = std::max(0, slots - n);
    if (k == 0) return {};
    const int duplicates = random.below(k + 1), bad = k - duplicates, tiles = (k / n + 1) * n;
    return {.duplicates = duplicates,
            .tiles = permutation(random, tiles),
            .again = permutation(random, tiles),
            .shifted_centres = uniform_matrix(random, bad, 2),
            .random_centres = uniform_matrix(random, bad, 2),
            .random_sizes = truncated_normal_matrix(random, bad, 2, 1),
            .bad = permutation(random, 2 * bad),
            .jitter = truncated_normal_matrix(random, duplicates, 4, 1),
            .noise = permutation(random, k)};
}

static pix2seq::Sequence sequence_of(const pix2seq::Objects& objects, Random& random, const pix2seq::Config& config) {
    pix2seq::CorruptionDraws draws;
    for (std::size_t k = 0; k < objects.labels.size(); ++k) {
        draws.classes.push_back(1 + random.below(3));
        draws.u_random.push_back(random.uniform());
        draws.u_real_or_fake.push_back(0);  // of corruptions that are not used here
        draws.u_real_or_random.push_back(0);
    }
    return pix2seq::make_sequence(objects, config.length, pix2seq::Corruption::random_or_fake, draws, {}, vocabulary);
}

namespace {
struct Batch {
    std::vector<Image> images;
    std::vector<int> input, target;
    std::vector<float> weights;
};
}  // namespace

static Batch batch_of(const std::vector<Scene>& scenes, bool noise, Random& random, const pix2seq::Config& config) {
    Batch batch;
    for (const Scene& scene : scenes) {
        const pix2seq::NoiseDraws draws = draw_noise(random, scene.objects.boxes.rows);
        const pix2seq::Objects objects = noise ? pix2seq::with_noise(scene.objects, slots, draws, vocabulary) : scene.objects;
        const pix2seq::Sequence sequence = sequence_of(objects, random, config);
        batch.images.push_back(scene.image);
        batch.input.insert(batch.input.end(), sequence.input.begin(), sequence.input.end());
        batch.target.insert(batch.target.end(), sequence.target.begin(), sequence.target.end());
        batch.weights.insert(batch.weights.end(), sequence.weights.begin(), sequence.weights.end());
    }
    return batch;
}

namespace {
struct Captioning : Objective {
    const pix2seq::Weights& w;
    const pix2seq::Config& config;
    bool noise;
    Random random;

    Captioning(const pix2seq::Weights& w, const pix2seq::Config& config, bool noise, int seed)
        : w(w), config(config), noise(noise), random(seed) {}

    Var loss(int) override {
        const Batch batch = batch_of(draw_scenes(random, 16), noise, random, config);
        const pix2seq::Steps steps = pix2seq::forward(batch.images, batch.input, w, config);
        return pix2seq::loss(pix2seq::token_losses(steps, batch.target), batch.weights);
    }
};

struct Quality {
    double mean_iou = 0;          // of the best box of each object
    double found = 0;             // fraction of objects that have a box of their class, IoU and score above one half
    double false_boxes = 0;       // of each image: score above one half, but on no object
    double empty_score = 0;       // mean score of the second box where there is no second object
    double goes_on = 0;           // fraction of images with one object where a second box is generated
    float average_precision = 0;  // at IoU 0.5
};
struct Writing {
    std::vector<std::vector<int>> tokens;  // of each image
    std::vector<pix2seq::Detections> found;
};
}  // namespace

// As corners. A generated box may have its sides exchanged: then it is empty, and overlaps nothing.
static Matrix corners_of(const Matrix& boxes) {
    Matrix corners = convert_boxes(boxes, BoxFormat::rows_first, BoxFormat::corners).value();
    for (int k = 0; k < corners.rows; ++k)
        for (int axis = 0; axis < 2; ++axis) corners(k, axis + 2) = std::max(corners(k, axis), corners(k, axis + 2));
    return corners;
}

static std::vector<Image> images_of(const std::vector<Scene>& scenes) {
    std::vector<Image> images;
    for (const Scene& scene : scenes) images.push_back(scene.image);
    return images;
}

static Writing write(const std::vector<Scene>& scenes, const pix2seq::Weights& w, const pix2seq::Config& config) {
    const std::vector<Image> images = images_of(scenes);
    pix2seq::Reader reader(images, w, config);
    const TokenBatch prompts = equal_batch(std::vector<int>(scenes.size(), vocabulary.task), 1);
    return {.tokens = generate_greedily(prompts, reader, {.new_tokens = config.length}),
            .found = pix2seq::detect(images, w, config, config.length)};
}

static Quality quality_of(const std::vector<Scene>& scenes, const Writing& writing) {
    Quality quality;
    int objects = 0, empty = 0;
    std::vector<BoxesOfImage> found, wanted;
    for (std::size_t i = 0; i < scenes.size(); ++i) {
        const pix2seq::Objects& truth = scenes[i].objects;
        const pix2seq::Detections& all = writing.found[i];
        const Matrix overlap = pairwise_iou(corners_of(all.boxes), corners_of(truth.boxes));  // (found, true)
        for (int t = 0; t < overlap.cols; ++t) {
            float best = 0;
            bool hit = false;
            for (int k = 0; k < overlap.rows; ++k) {
                best = std::max(best, overlap(k, t));
                hit = hit || (overlap(k, t) > 0.5f && all.classes[k] == truth.labels[t] && all.scores[k] > 0.5f);
            }
            quality.mean_iou += best;
            quality.found += hit;
            ++objects;
        }
        for (int k = 0; k < overlap.rows; ++k) {
            bool meets = false;
            for (int t = 0; t < overlap.cols; ++t) meets = meets || overlap(k, t) > 0.5f;
            quality.false_boxes += !meets && all.scores[k] > 0.5f;
        }
        if (overlap.cols < slots) {
            quality.empty_score += all.scores[1];
            quality.goes_on += writing.tokens[i][5] != 0;
            ++empty;
        }
        found.push_back({corners_of(all.boxes), all.classes, all.scores});
        wanted.push_back({corners_of(truth.boxes), truth.labels, {}});
    }
    quality.mean_iou /= objects;
    quality.found /= objects;
    quality.false_boxes /= static_cast<double>(scenes.size());
    quality.empty_score /= empty;
    quality.goes_on /= empty;
    quality.average_precision = mean_average_precision(found, wanted, static_cast<int>(class_names.size()), 0.5f);
    return quality;
}

// --- showing ---

static std::string word_of(int token) {
    if (token == 0) return "0";
    if (token == vocabulary.task) return "detect";
    if (token == vocabulary.fake_class) return "noise";
    if (token < vocabulary.coordinate_shift) return class_names[token - vocabulary.base_shift];
    return "<" + text(token - vocabulary.coordinate_shift) + ">";
}

static Drawing with_boxes(const Image& image, const Matrix& boxes, Colours colours) {
    Image large = enlarged(image, colours == Colours::none ? 1 : 2);
    for (int k = 0; k < boxes.rows; ++k) draw_box(large, slice_rows(corners_of(boxes), k, 1), {1, 1, 1});
    return picture(large, colours);
}

// Boxes with a score above one half.
static Matrix good_boxes(const pix2seq::Detections& found) {
    std::vector<Var> good;
    for (int k = 0; k < found.boxes.rows; ++k)
        if (found.scores[k] > 0.5f) good.push_back(slice_rows(found.boxes, k, 1));
    return good.empty() ? Matrix(0, 4) : concat_rows(good).value();
}

// Six images: as they are, with the true boxes (grey) and with the generated ones (white).
static void write_page(const std::string& path, const std::vector<Scene>& scenes, const Writing& writing) {
    if (path.empty()) return;
    std::vector<Image> rows;
    for (int i = 0; i < 6; ++i) {
        const Image plain = enlarged(scenes[i].image, 6);
        Image truth = plain, written = plain;
        const Matrix wanted = scenes[i].objects.boxes, found = good_boxes(writing.found[i]);
        for (int k = 0; k < wanted.rows; ++k) draw_box(truth, slice_rows(corners_of(wanted), k, 1), {0.6f, 0.6f, 0.6f});
        for (int k = 0; k < found.rows; ++k) draw_box(written, slice_rows(corners_of(found), k, 1), {1, 1, 1});
        rows.push_back(in_a_row({plain, truth, written}, 4));
    }
    write_image(path, in_a_column(rows, 4));
}

static Series start_of(const char* name) { return {.name = name, .x = {}, .y = {}}; }

// --- the lesson ---

static void step_1_words(Lesson& lesson, const Scene& scene) {
    lesson.step("How does a box become a sequence?", "token = round(coordinate (bins - 1)) + shift", "section 2.1");
    lesson.pictures({{"an image", picture(scene.image, lesson.colours)},
                     {"its boxes", with_boxes(scene.image, scene.objects.boxes, lesson.colours)}});
    std::vector<std::vector<std::string>> rows{{"side", "coordinate", "bin", "token", "and back"}};
    const char* const sides[4] = {"ymin", "xmin", "ymax", "xmax"};
    for (int i = 0; i < 4; ++i) {
        const float x = scene.objects.boxes(0, i);
        const int bin = pix2seq::quantised(x, vocabulary.bins);
        rows.push_back({sides[i], fixed(x), text(bin), text(vocabulary.coordinate_shift + bin),
                        fixed(pix2seq::dequantised(bin, vocabulary.bins))});
    }
    const int label = scene.objects.labels[0];
    rows.push_back({"class", class_names[label], "", text(vocabulary.base_shift + label), class_names[label]});
    lesson.table(rows);
    lesson.why("token 0 is padding and the end, ", vocabulary.task, " says 'detect', ", vocabulary.fake_class,
               " is noise, classes and ", vocabulary.bins, " bins follow: ", vocabulary.size,
               " tokens for everything that a detector outputs. There is nothing else to decode: no anchors, no regression.");
    lesson.predict("Which bin is 0.1875, 1.5 times a bin? A half is rounded to even.",
                   {1.0 * pix2seq::quantised(0.1875f, 9), 0.5});
    lesson.claim("0.0625 is bin 0, 0.1875 is bin 2", pix2seq::quantised(0.0625f, 9) == 0 && pix2seq::quantised(0.1875f, 9) == 2);
}

static void step_2_noise(Lesson& lesson, const std::vector<Scene>& scenes, const pix2seq::Config& config, int seed) {
    lesson.step("How does the model learn to end the sequence?", "L = sum w CE / sum w", "section 2.3");
    const Scene& scene = *std::find_if(scenes.begin(), scenes.end(), [](const Scene& s) { return s.objects.boxes.rows == 1; });
    Random random(seed);
    const pix2seq::NoiseDraws draws = draw_noise(random, 1);
    lesson.code();
    const pix2seq::Objects noisy = with_noise(scene.objects, slots, draws, vocabulary);
    const pix2seq::Sequence plain = sequence_of(scene.objects, random, config), sequence = sequence_of(noisy, random, config);
    lesson.pictures({{"one object", with_boxes(scene.image, scene.objects.boxes, lesson.colours)},
                     {"and one of noise", with_boxes(scene.image, noisy.boxes, lesson.colours)}});
    std::vector<std::vector<std::string>> rows{{"reads", "shall write", "weight", "", "without noise", "weight"}};
    for (int t = 0; t < config.length; ++t)
        rows.push_back({word_of(sequence.input[t]), word_of(sequence.target[t]), fixed(sequence.weights[t], 1), "",
                        word_of(plain.target[t]), fixed(plain.weights[t], 1)});
    lesson.table(rows);
    lesson.why(
        "the four coordinate tokens of a noise box have weight 0, so that the model does not learn to write bad boxes. Its "
        "class has weight 1, so that noise is distinguished from objects. The input classes are wrong on purpose, so that they "
        "cannot be copied. "
        "Without noise the rest is padding, which must weigh something, or the model never learns to end.");
}

// Trains, and measures the loss of each token of the first object during training.
static void train_model(Lesson& lesson, const pix2seq::Weights& w, const pix2seq::Config& config, bool noise,
                        const Choices& choices, const std::vector<Scene>& test, int seed) {
    Captioning objective(w, config, noise, 1000 + seed);
    const Recipe recipe{
        .schedule = {.peak = 2e-3f, .warm_up = std::min(50, choices.steps), .steps = choices.steps, .descent = Descent::linear},
        .batch = 16};
    Trainer trainer(nothing_decays(variables(pix2seq::parameters(w, config))), recipe);
    Series curves[3] = {start_of("ymin"), start_of("ymax"), start_of("class")};
    std::vector<std::vector<std::string>> rows{{"loss after steps", "ymin", "xmin", "ymax", "xmax", "class"}};
    Random random(seed);
    const Batch batch = batch_of(test, noise, random, config);
    std::vector<double> by_token(5);
    double early_class = 0, early_sides = 0;
    {
        ShowProgress progress(noise ? "with noise" : "without noise", choices.steps);
        for (int part = 0; part <= 8; ++part) {
            const int end = choices.steps * part / 8;
            train_until(end, objective, trainer, &progress);
            if (!noise) continue;
            const NoTape evaluation;
            const Matrix losses =
                pix2seq::token_losses(pix2seq::forward(batch.images, batch.input, w, config), batch.target).value();
            rows.push_back({text(end)});
            for (int token = 0; token < 5; ++token) {
                by_token[token] = 0;
                for (int b = 0; b < test_images; ++b) by_token[token] += losses[b * config.length + token] / test_images;
                rows.back().push_back(fixed(by_token[token], 2));
            }
            const int shown[3] = {0, 2, 4};
            for (int i = 0; i < 3; ++i) {
                curves[i].x.push_back(static_cast<float>(end));
                curves[i].y.push_back(static_cast<float>(by_token[shown[i]]));
            }
            if (part == 2) early_class = by_token[4], early_sides = (by_token[2] + by_token[3]) / 2;
        }
    }
    if (!noise) return;
    lesson.curves({curves[0], curves[1], curves[2]}, {"training step", "loss, nats"});
    lesson.table(rows);
    lesson.why(
        "the class comes first: a colour is recognised long before a side is located to the pixel. The far sides come next, as the near "
        "ones that they belong to have just been read, and end near 0. ymin does not: of two objects either may be named first, "
        "and the image does not tell which.");
    lesson.claim_at_least("after a quarter: loss of ymax and xmax over that of the class", early_sides / early_class, 1.5);
    lesson.claim_at_least("at the end: loss of ymin over that of ymax", by_token[0] / by_token[2], 5);
}

static Writing step_4_write(Lesson& lesson, const std::vector<Scene>& test, const pix2seq::Weights& w,
                            const pix2seq::Config& config, const std::string& out) {
    lesson.step("What does the model write?", "greedy, " + text(5 * slots) + " tokens", "section 2.2");
    lesson.code();
    const Writing writing = write(test, w, config);
    std::vector<Captioned> page;
    std::vector<std::vector<std::string>> rows{{"image", "ymin", "xmin", "ymax", "xmax", "written", "class", "score"}};
    for (int i = 0; i < 3; ++i) {
        const pix2seq::Detections& found = writing.found[i];
        for (int k = 0; k < found.boxes.rows; ++k) {
            rows.push_back({text(i + 1)});
            for (int token = 0; token < 5; ++token) rows.back().push_back(word_of(writing.tokens[i][5 * k + token]));
            rows.back().push_back(class_names[found.classes[k]]);
            rows.back().push_back(fixed(found.scores[k], 3));
        }
        page.push_back({"image " + text(i + 1) + ", of " + text(test[i].objects.boxes.rows),
                        with_boxes(test[i].image, good_boxes(found), lesson.colours)});
    }
    lesson.pictures(page);
    std::string sentence = word_of(vocabulary.task);
    for (const int token : writing.tokens[0]) sentence += " " + word_of(token);
    lesson.say("Image 1 as it was written: ", sentence);
    lesson.table(rows);
    write_page(out, test, writing);
    lesson.why(
        "frames are drawn where the score is above one half. The class is the likeliest one whatever was written: where the "
        "model writes 'noise' there is still a best class, and its probability is the score. So noise is never reported.");
    return writing;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const pix2seq::Config config = config_of_toy();
    Random held_out(1'000'000 + seed);
    const std::vector<Scene> test = draw_scenes(held_out, test_images);
    step_1_words(lesson, test[0]);
    step_2_noise(lesson, test, config, seed);

    Random random(seed), again(seed);
    const pix2seq::Weights w = pix2seq::make_weights(config, random), without = pix2seq::make_weights(config, again);
    lesson.step("Which token is learned first?", "-log p(token | image, tokens before)", text(choices.steps) + " steps");
    const Quality before = quality_of(test, write(test, w, config));
    train_model(lesson, w, config, true, choices, test, seed);
    const Writing writing = step_4_write(lesson, test, w, config, choices.out);

    lesson.step("How good is it, and do noise objects help?", "AP at IoU 0.5", text(test_images) + " new images");
    train_model(lesson, without, config, false, choices, test, seed);
    const Quality with = quality_of(test, writing), plain = quality_of(test, write(test, without, config));
    std::vector<std::vector<std::string>> rows{{"", "mean IoU", "found", "false", "AP", "goes on", "its score"}};
    const auto row = [&](const char* name, const Quality& q) {
        rows.push_back({name, fixed(q.mean_iou, 3), fixed(q.found, 3), fixed(q.false_boxes, 3), fixed(q.average_precision, 3),
                        fixed(q.goes_on, 3), fixed(q.empty_score, 3)});
    };
    row("before training", before);
    row("with noise", with);
    row("without noise", plain);
    lesson.table(rows);
    lesson.why(
        "found: of all objects; false: of each image, with a score above one half; goes on: does not write the end where there "
        "is no second object. Both models detect. One ends its text; the other continues with an arbitrary box, since the sides of noise have weight 0, and gives it a low score. The paper's gain is in recall, where many objects make a text end too early; two "
        "are too few to show it.");
    lesson.say("Next: vit/sequence/uvim writes a code that guides a whole image.");
    lesson.claim_at_most("average precision before training", before.average_precision, 0.1);
    lesson.claim_at_least("average precision with noise", with.average_precision, 0.9);
    lesson.claim_at_least("mean IoU of the best box", with.mean_iou, 0.8);
    lesson.claim_at_most("mean score of a second box where there is none", with.empty_score, 0.15);
    lesson.claim_at_least("fraction with a second box, with noise", with.goes_on, 0.9);
    lesson.claim_at_most("fraction with a second box, without", plain.goes_on, 0.2);
}

int main(int argc, char** argv) {
    Options options("vit/sequence/pix2seq", "A box is five tokens, and a language model detects.", "10 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps of each model", 1, 100'000);
    options.add_output("out", choices.out, "a PPM file: six images, their boxes, and the boxes that were written");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
