// owl_vit.cpp: an open-vocabulary detector: each image token predicts a box, each sentence is a class.
//
//   paper    Minderer et al., "Simple Open-Vocabulary Object Detection with Vision Transformers", 2022, arXiv 2205.06230
//   shows    how a box starts at its token's own position, how tokens and targets are matched, and that after training any
//            sentence can be a class
//   symbols  N tokens   Q queries   n targets
//   before   walkthroughs/vit/detect/mask2former.cpp (matching)
//   next     vild.cpp teaches classes that have no boxes
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/train.h"
#include "vit/detect/annotate.h"
#include "vit/detect/boxes.h"
#include "vit/detect/metrics.h"
#include "vit/detect/owl_vit.h"
#include "walkthroughs/lesson/lesson.h"

namespace {
struct Choices {
    int steps = 1000;
    std::string query = "green box, blue";
    std::string out;
    int seed = 1;
};

// An image with two boxes of different colours.
struct Scene {
    Image image;
    owl_vit::Target target = {};
};
}  // namespace

static const int side = 16, colour_count = 5;
static const std::vector<std::string> colour_names{"red", "green", "blue", "yellow", "pink"};

// --- words ---

static const int box_word = 6, begin_of_text = 7, end_of_text = 8, text_length = 4;  // 0 = padding, 1 ... 5 = colours

// "red box" as <sot> red box <eot>.   throws std::invalid_argument for a word outside the vocabulary
static std::vector<int> ids_of(const std::string& query) {
    std::vector<int> ids{begin_of_text};
    std::string word;
    for (const char letter : query + " ") {
        if (letter != ' ') {
            word += letter;
            continue;
        }
        if (word.empty()) continue;
        const auto found = std::find(colour_names.begin(), colour_names.end(), word);
        require(word == "box" || found != colour_names.end(), "--query: the model does not know the word '", word,
                "'; it knows red, green, blue, yellow, pink and box");
        ids.push_back(word == "box" ? box_word : static_cast<int>(found - colour_names.begin()) + 1);
        word.clear();
    }
    require(ids.size() >= 2 && ids.size() < text_length, "--query: '", query, "' must have one or two words");
    ids.push_back(end_of_text);
    return ids;
}

static TokenBatch texts_of(const std::vector<std::string>& queries) {
    std::vector<std::vector<int>> sequences;
    for (const std::string& query : queries) sequences.push_back(ids_of(query));
    return make_batch(sequences);
}

// "red box, blue" -> {"red box", "blue"}
static std::vector<std::string> queries_in(const std::string& list) {
    std::vector<std::string> queries(1);
    for (const char letter : list) {
        if (letter == ',')
            queries.emplace_back();
        else if (letter != ' ' || !queries.back().empty())  // blanks after a comma are left out
            queries.back() += letter;
    }
    return queries;
}

static std::vector<std::string> all_queries() {
    std::vector<std::string> queries;
    for (const std::string& name : colour_names) queries.push_back(name + " box");
    return queries;
}

// --- scenes ---

static Colour colour_of(int k) { return k == 4 ? palette(8) : palette(k); }

static Scene draw_scene(Random& random) {
    Scene scene{.image = Image(side, side, 3)};
    for (float& x : scene.image.pixels) x = 0.1f * random.normal();
    const std::vector<int> colours = permutation(random, colour_count);
    scene.target.boxes = Matrix(2, 4);
    for (int half = 0; half < 2; ++half) {
        const int height = 4 + random.below(4), width = 4 + random.below(4);
        const int top = random.below(side - height + 1), left = half * side / 2 + random.below(side / 2 - width + 1);
        for (int y = top; y < top + height; ++y)
            for (int x = left; x < left + width; ++x) {
                const Colour colour = colour_of(colours[half]);
                scene.image(y, x, 0) += colour.red;
                scene.image(y, x, 1) += colour.green;
                scene.image(y, x, 2) += colour.blue;
            }
        const float s = side;
        const float numbers[4] = {(left + width / 2.0f) / s, (top + height / 2.0f) / s, width / s, height / s};
        std::copy_n(numbers, 4, scene.target.boxes.row(half));
        scene.target.labels.push_back(colours[half]);
    }
    return scene;
}

static std::vector<Scene> draw_scenes(Random& random, int count) {
    std::vector<Scene> scenes;
    for (int i = 0; i < count; ++i) scenes.push_back(draw_scene(random));
    return scenes;
}

// --- the model ---

static owl_vit::Config config_of_toy() {
    owl_vit::Config config;
    config.clip.vision = {
        .grid = {.height = side, .width = side, .patch_size = 4}, .width = 48, .depth = 2, .heads = 4, .mlp_width = 96};
    config.clip.text = {
        .vocabulary = end_of_text + 1, .positions = text_length, .width = 32, .depth = 1, .heads = 4, .mlp_width = 64};
    config.clip.shared_width = 32;
    return config;
}

namespace {
struct Detector {
    owl_vit::Config config = config_of_toy();
    owl_vit::Weights w;

    explicit Detector(Random& random) : w(owl_vit::make_weights(config, random)) {}
};

struct DetectingLoss : Objective {
    const Detector& model;
    int batch;
    Random random;
    TokenBatch texts;

    DetectingLoss(const Detector& model, int batch, int seed)
        : model(model), batch(batch), random(seed), texts(owl_vit::repeated(texts_of(all_queries()), batch)) {}

    Var loss(int) override {
        std::vector<Image> images;
        std::vector<owl_vit::Target> targets;
        for (const Scene& scene : draw_scenes(random, batch)) {
            images.push_back(scene.image);
            targets.push_back(scene.target);
        }
        return owl_vit::losses(owl_vit::forward(images, texts, model.w, model.config), targets, model.config).total;
    }
};

// How well the best box for each target's colour fits.
struct Quality {
    double mean_iou = 0, found = 0;  // found: the fraction with an IoU above one half
    float average_precision = 0;     // at IoU 0.5
};
}  // namespace

static owl_vit::Steps look_at(const std::vector<Scene>& scenes, const std::vector<std::string>& queries, const Detector& model) {
    std::vector<Image> images;
    for (const Scene& scene : scenes) images.push_back(scene.image);
    return owl_vit::forward(images, owl_vit::repeated(texts_of(queries), static_cast<int>(images.size())), model.w, model.config);
}

static Matrix corners_of(const Matrix& boxes) { return convert_boxes(boxes, BoxFormat::centre_size, BoxFormat::corners).value(); }

static Quality quality_of(const std::vector<Scene>& scenes, const Detector& model) {
    const NoTape evaluation;
    const int N = model.config.clip.vision.grid.count();
    const owl_vit::Steps steps = look_at(scenes, all_queries(), model);
    Quality quality;
    std::vector<BoxesOfImage> found, objects;
    for (int i = 0; i < static_cast<int>(scenes.size()); ++i) {
        const owl_vit::Target& target = scenes[i].target;
        const Matrix scores = transpose(slice_rows(steps.logits.value(), i * N, N));  // (Q, N)
        const Matrix boxes = corners_of(slice_rows(steps.boxes.value(), i * N, N)), wanted = corners_of(target.boxes);
        for (int t = 0; t < 2; ++t) {
            const int best = argmax_row(scores, target.labels[t]);
            const double overlap = pairwise_iou(slice_rows(boxes, best, 1), slice_rows(wanted, t, 1))[0];
            quality.mean_iou += overlap / (2.0 * static_cast<double>(scenes.size()));
            quality.found += (overlap > 0.5) / (2.0 * static_cast<double>(scenes.size()));
        }
        objects.push_back({wanted, target.labels, {}});
        BoxesOfImage all;
        const std::vector<owl_vit::Found> detections = owl_vit::detections(steps, i, 0);
        all.corners = Matrix(static_cast<int>(detections.size()), 4);
        for (std::size_t d = 0; d < detections.size(); ++d) {
            std::copy_n(detections[d].box.begin(), 4, all.corners.row(static_cast<int>(d)));
            all.labels.push_back(detections[d].query);
            all.scores.push_back(detections[d].score);
        }
        found.push_back(all);
    }
    quality.average_precision = mean_average_precision(found, objects, colour_count, 0.5f);
    return quality;
}

// --- drawing ---

static Image large_image(const Image& image, Colours colours) { return enlarged(image, colours == Colours::none ? 1 : 3); }

// --- the lesson ---

static void step_1_scene(Lesson& lesson, const std::vector<Scene>& scenes) {
    lesson.step("What are the queries?", "class = sentence, object = box");
    std::vector<Captioned> page;
    for (int i = 0; i < 2; ++i) {
        Image large = large_image(scenes[i].image, lesson.colours);
        for (int t = 0; t < 2; ++t) draw_box(large, slice_rows(corners_of(scenes[i].target.boxes), t, 1), {1, 1, 1});
        page.push_back({colour_names[scenes[i].target.labels[0]] + " box, " + colour_names[scenes[i].target.labels[1]] + " box",
                        picture(large, lesson.colours)});
    }
    lesson.pictures(page);
    const TokenBatch texts = texts_of({"red box", "pink"});
    std::vector<std::string> ids;
    for (const int id : texts.ids) ids.push_back(text(id));
    lesson.table({{"sentence", "tokens"},
                  {"red box", ids[0] + " " + ids[1] + " " + ids[2] + " " + ids[3]},
                  {"pink", ids[4] + " " + ids[5] + " " + ids[6] + " " + ids[7]}});
    lesson.why("a sentence goes through CLIP's text tower and becomes one vector; that is a class. Token ", begin_of_text,
               " begins a text, ", end_of_text, " ends it, 0 is padding.");
}

static void step_2_start(Lesson& lesson, const Scene& scene, const Detector& model) {
    lesson.step("What is the box of an untrained token?", "sigmoid(MLP(token) + bias of its position)", "section 3.1");
    lesson.code();
    const Matrix bias = owl_vit::box_bias(model.config.clip.vision.grid);  // (N, 4)
    Image large = large_image(scene.image, lesson.colours);
    const Matrix starts = sigmoid(bias).value();
    for (const int n : {0, 5, 10}) draw_box(large, slice_rows(corners_of(starts), n, 1), palette(n));
    lesson.pictures({{"where tokens 0, 5 and 10 begin", picture(large, lesson.colours)}});
    lesson.matrix("sigmoid(bias): x, y, width, height", slice_rows(starts, 0, 6));
    lesson.why(
        "a token need not predict its position, only how far its box differs from its own cell. The centre is at the far corner "
        "of the cell, (column + 1) / g, as in the published code.");
    const int last = starts.rows - 1;
    lesson.predict("What is the width of the box of token " + text(last) + ", the last one?", {starts(last, 2), 0.02});
}

static void show_matching(Lesson& lesson, const Scene& scene, const Detector& model, int rows_shown) {
    const owl_vit::Steps steps = look_at({scene}, all_queries(), model);
    const owl_vit::Losses losses = owl_vit::losses(steps, {scene.target}, model.config);
    const Matrix& cost = losses.costs[0];
    std::vector<int> order;
    for (int n = 0; n < cost.rows; ++n) order.push_back(n);
    std::sort(order.begin(), order.end(),
              [&](int a, int b) { return std::min(cost(a, 0), cost(a, 1)) < std::min(cost(b, 0), cost(b, 1)); });
    std::vector<std::vector<std::string>> rows{{"token"}};
    for (const int label : scene.target.labels) rows[0].push_back("cost for the " + colour_names[label] + " box");
    for (int k = 0; k < rows_shown; ++k) {
        rows.push_back({text(order[k])});
        for (int t = 0; t < 2; ++t) {
            const bool chosen =
                std::find(losses.matches[0].begin(), losses.matches[0].end(), Matched{order[k], t}) != losses.matches[0].end();
            rows.back().push_back(chosen ? "[" + fixed(cost(order[k], t), 3) + "]" : fixed(cost(order[k], t), 3) + " ");
        }
    }
    lesson.table(rows);
}

static void step_3_matching(Lesson& lesson, const Scene& scene, const Detector& model) {
    lesson.step("Which token is matched with which target?", "focal + L1 - GIoU, cheapest assignment", "before training");
    show_matching(lesson, scene, model, 5);
    lesson.why(
        "the five cheapest of 16 tokens; brackets mark the assignment. Every target gets exactly one token, every other token should reject every sentence. Before training the position decides: tokens near a target begin near it.");
}

static void step_4_train(Lesson& lesson, const Detector& model, const Choices& choices, const std::vector<Scene>& test) {
    lesson.step("What is the loss?", "focal on all tokens, L1 and 1 - GIoU on the matched ones", text(choices.steps) + " steps");
    const Recipe recipe{.schedule = {.peak = 2e-3f,
                                     .warm_up = choices.steps / 10,
                                     .steps = choices.steps,
                                     .descent = Descent::cosine,
                                     .floor = 0.05f},
                        .batch = 16};
    DetectingLoss objective(model, recipe.batch, 1000 + choices.seed);
    Trainer trainer(nothing_decays(variables(owl_vit::parameters(model.w, model.config))), recipe);
    Series iou{.name = "mean IoU on new scenes", .x = {0}, .y = {static_cast<float>(quality_of(test, model).mean_iou)}};
    {
        ShowProgress progress("training", choices.steps);
        for (int part = 1; part <= 8; ++part) {
            const int end = choices.steps * part / 8;
            train_until(end, objective, trainer, &progress);
            iou.x.push_back(static_cast<float>(end));
            iou.y.push_back(static_cast<float>(quality_of(test, model).mean_iou));
        }
    }
    lesson.curves({iou}, {"training step", "mean IoU"});
    show_matching(lesson, test[0], model, 5);
    lesson.why(
        "now the sentence decides too, not only the position: the token of one box is expensive for the sentence of the other.");
}

namespace {
// The box of the image token with a query's highest score.
struct BestBox {
    float score = 0;  // 0 ... 1
    Matrix corners;   // (1, 4)  left, top, right, bottom, fractions of the image's sides
};
}  // namespace

// The best box of every query in image i.
static std::vector<BestBox> best_boxes(const owl_vit::Steps& steps, int i, const Detector& model) {
    const int N = model.config.clip.vision.grid.count();
    const Matrix scores = transpose(sigmoid(slice_rows(steps.logits, i * N, N)).value());  // (Q, N)
    std::vector<BestBox> found;
    for (int q = 0; q < scores.rows; ++q) {
        const int best = argmax_row(scores, q);
        found.push_back({scores(q, best), corners_of(slice_rows(steps.boxes.value(), i * N + best, 1))});
    }
    return found;
}

// The image with a frame around every box whose score reaches 0.3.
static Image framed(Image image, const std::vector<BestBox>& found) {
    for (const BestBox& box : found)
        if (box.score >= 0.3f) draw_box(image, box.corners, {1, 1, 1});
    return image;
}

// A row for each query: what the scene holds, the query, the score and the corners of its best box.
static void add_query_rows(std::vector<std::vector<std::string>>& rows, int number, const Scene& scene,
                           const std::vector<std::string>& queries, const std::vector<BestBox>& found) {
    const std::string held = colour_names[scene.target.labels[0]] + ", " + colour_names[scene.target.labels[1]];
    for (std::size_t q = 0; q < queries.size(); ++q) {
        const Matrix& box = found[q].corners;
        rows.push_back({text(number), held, queries[q], fixed(found[q].score, 2), fixed(box[0], 2), fixed(box[1], 2),
                        fixed(box[2], 2), fixed(box[3], 2)});
    }
}

static void step_5_ask(Lesson& lesson, const std::vector<Scene>& scenes, const Detector& model, const Choices& choices) {
    const std::vector<std::string> queries = queries_in(choices.query);
    lesson.step("What does a query of your own find?", "--query \"" + choices.query + "\"", "any words it knows");
    const owl_vit::Steps steps = look_at(scenes, queries, model);
    std::vector<Captioned> page;
    std::vector<Image> file;
    std::vector<std::vector<std::string>> rows{{"scene", "holds", "sentence", "best score", "left", "top", "right", "bottom"}};
    for (int i = 0; i < 3; ++i) {
        const std::vector<BestBox> found = best_boxes(steps, i, model);
        add_query_rows(rows, i + 1, scenes[i], queries, found);
        const Image shown = framed(large_image(scenes[i].image, lesson.colours), found);
        if (i < 2) page.push_back({"scene " + text(i + 1), picture(shown, lesson.colours)});
        file.push_back(framed(enlarged(scenes[i].image, 12), found));
    }
    lesson.pictures(page);
    lesson.table(rows);
    if (!choices.out.empty()) write_image(choices.out, in_a_row(file, 6));
    lesson.why(
        "a frame is drawn where the best score reaches 0.3. A colour that is not there has no good token, so nothing is drawn: a "
        "detector with a list of classes answers in the same way, but here the list is yours.");
    lesson.predict(
        "what the single word 'box' finds. It occurred in every training sentence, never alone: run with --query box.");
}

static void walk(Lesson& lesson, const Choices& choices) {
    texts_of(queries_in(choices.query));  // refuses unknown words before anything is computed
    Random random(choices.seed);
    const Detector model(random);
    Random held_out(1'000'000 + choices.seed);
    const std::vector<Scene> test = draw_scenes(held_out, 100);
    step_1_scene(lesson, test);
    step_2_start(lesson, test[0], model);
    step_3_matching(lesson, test[0], model);
    const Quality before = quality_of(test, model);
    step_4_train(lesson, model, choices, test);
    const std::vector<Scene> shown(test.begin(), test.begin() + 3);
    step_5_ask(lesson, shown, model, choices);
    const Quality after = quality_of(test, model);
    lesson.step("How good is it?", "IoU = I / U", "100 new scenes, the best box for each target's sentence");
    lesson.table({{"", "mean IoU", "IoU above 0.5", "average precision at 0.5"},
                  {"before training", fixed(before.mean_iou, 3), fixed(before.found, 3), fixed(before.average_precision, 3)},
                  {"after", fixed(after.mean_iou, 3), fixed(after.found, 3), fixed(after.average_precision, 3)}});
    lesson.why("average precision asks more than the best box: false boxes with high scores lower it too.");
    lesson.say("Next: vit/detect/vild recognises classes that have no boxes.");
    lesson.claim_at_most("fraction found before training", before.found, 0.2);
    lesson.claim_at_least("fraction of targets found with an IoU above one half", after.found, 0.9);
    lesson.claim_at_least("mean IoU", after.mean_iou, 0.75);
}

int main(int argc, char** argv) {
    Options options("vit/detect/owl_vit", "A detector whose queries are words.", "5 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps", 1, 100'000);
    options.add("query", choices.query, "what to look for, separated by commas");
    options.add_output("out", choices.out, "a PPM or PNG file for three scenes with the boxes that were asked for");
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
