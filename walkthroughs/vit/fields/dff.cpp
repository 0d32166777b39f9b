// dff.cpp: features are distilled into a fitted scene; then a word selects a part, and the part is removed.
//
//   paper    Kobayashi et al., "Decomposing NeRF for Editing via Feature Field Distillation", 2022, arXiv 2205.15585
//   shows    that many noisy 2-D answers become one consistent field in space, that a word selects points and not pixels, and that a
//            name finds what a colour confuses
//   symbols  R rays   n samples on them   C features of the teacher   w weights of the samples
//   next     vit/fields/dff.h also has the radiance field of the paper, a network in place of the voxels
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"
#include "nn/base/clock.h"
#include "vit/fields/dff.h"
#include "vit/fields/plenoxels.h"
#include "vit/fields/spheres.h"
#include "walkthroughs/lesson/lesson.h"

namespace {

struct Choices {
    int fit_steps = 400;
    int distil_steps = 200;
    double noise = 0.4;
    std::string remove = "lime";
    std::string out;
};

}  // namespace

// The teacher's words: the four spheres in order, then the background.
static const std::vector<std::string> words = {"cherry", "lime", "blueberry", "pea", "nothing"};
static const int background_word = 4;
static const int feature_count = 8;  // C

static const plenoxels::Config rendering{};  // 9 harmonics, half a voxel a step, white behind

namespace {

// A simulated 2-D network that outputs the object of each pixel, with noise.
struct Teacher {
    Matrix vectors;  // (5, C)  one of each word, of length 1, at right angles to one another
    double noise;    // standard deviation of the noise on every number of every pixel
};

}  // namespace

static Teacher make_teacher(Random& random, double noise) {
    Teacher teacher{normal_matrix(random, static_cast<int>(words.size()), feature_count), noise};
    for (int i = 0; i < teacher.vectors.rows; ++i) {  // Gram and Schmidt
        float* const row = teacher.vectors.row(i);
        for (int k = 0; k < i; ++k) {
            double along = 0;
            for (int j = 0; j < feature_count; ++j) along += row[j] * teacher.vectors(k, j);
            for (int j = 0; j < feature_count; ++j) row[j] -= static_cast<float>(along * teacher.vectors(k, j));
        }
        double squares = 0;
        for (int j = 0; j < feature_count; ++j) squares += row[j] * row[j];
        for (int j = 0; j < feature_count; ++j) row[j] /= static_cast<float>(std::sqrt(squares));
    }
    return teacher;
}

// The word of each pixel as a number; the background is the last.
static std::vector<int> word_numbers(const std::vector<Sphere>& spheres, const Camera& camera) {
    std::vector<int> numbers = labels_of(spheres, camera);
    for (int& number : numbers)
        if (number < 0) number = background_word;
    return numbers;
}

// The teacher's features of every pixel: (H*W, C).
static Matrix ask(const Teacher& teacher, const std::vector<int>& numbers, Random& random) {
    Matrix features = normal_matrix(random, static_cast<int>(numbers.size()), feature_count, static_cast<float>(teacher.noise));
    for (int r = 0; r < features.rows; ++r)
        for (int j = 0; j < feature_count; ++j) features(r, j) += teacher.vectors(numbers[r], j);
    return features;
}

// The word whose vector is nearest in angle.
static std::vector<int> nearest_words(const Matrix& features, const Teacher& teacher) {
    const dff::Selection s = dff::select(features, {.vectors = teacher.vectors});
    std::vector<int> nearest;
    for (int r = 0; r < features.rows; ++r) nearest.push_back(argmax_row(s.cosine, r));
    return nearest;
}

static double share_right(const std::vector<int>& answers, const std::vector<int>& truth) {
    int right = 0;
    for (std::size_t r = 0; r < truth.size(); ++r) right += answers[r] == truth[r];
    return static_cast<double>(right) / static_cast<double>(truth.size());
}

// A colour for each word.
static Image image_of_words(const std::vector<int>& numbers, int side) {
    const float colours[5][3] = {{0.9f, 0.2f, 0.2f}, {0.3f, 0.9f, 0.3f}, {0.2f, 0.3f, 0.95f}, {0, 0.4f, 0.1f}, {1, 1, 1}};
    Image image(side, side, 3);
    for (int r = 0; r < side * side; ++r)
        for (int c = 0; c < 3; ++c) image(r / side, r % side, c) = colours[numbers[r]][c];
    return image;
}

static Image row_of_images(const std::vector<Image>& images) {
    Image row(images[0].height, static_cast<int>(images.size()) * (images[0].width + 1) - 1, 3, 0.5f);
    for (std::size_t k = 0; k < images.size(); ++k)
        for (int y = 0; y < row.height; ++y)
            for (int x = 0; x < images[k].width; ++x)
                for (int c = 0; c < 3; ++c) row(y, static_cast<int>(k) * (images[0].width + 1) + x, c) = images[k](y, x, c);
    return row;
}

// --- the scene, as the Plenoxels lesson fits it ---

namespace {

struct World {
    std::vector<Sphere> spheres = four_spheres(true);  // lime and pea have the same green
    std::vector<View> train, test;
    plenoxels::Scene scene;
    Var features;  // (V, C)  a feature vector for each voxel
    Teacher teacher;
};

}  // namespace

static void step_1_scene(Lesson& lesson, World& world, const Choices& choices, int seed) {
    lesson.step("Which scene?", "", "fitted as in the Plenoxels lesson");
    world.train = views_of(world.spheres, 20, 24);
    world.test = views_of(world.spheres, 7, 24, 1.234);
    world.scene.grid = plenoxels::full_grid({20, 20, 20}, {0.8, 0.8, 0.8});
    world.scene.weights = plenoxels::make_weights(world.scene.grid, rendering);
    ShowProgress progress("fitting the scene", choices.fit_steps);
    plenoxels::fit(world.scene, pixel_rays(world.train), rendering, {.steps = choices.fit_steps}, seed, &progress);
    const View& view = world.test[0];
    const Matrix ours = plenoxels::photograph(view.camera, world.scene, rendering);
    lesson.picture("truth | rendered", row_of_images({view.image, image_of(ours, 24, 24)}));
    lesson.why(
        "four spheres: a cherry, a lime, a blueberry and a pea. Lime and pea have exactly the same green. The field knows "
        "density and "
        "colour at every point, ",
        fixed(psnr(ours, pixels_of(view.image)), 1), " dB in this view, and nothing about objects.");
}

static std::vector<int> true_words(const World& world) {
    std::vector<int> all;
    for (const View& view : world.test) {
        const std::vector<int> numbers = word_numbers(world.spheres, view.camera);
        all.insert(all.end(), numbers.begin(), numbers.end());
    }
    return all;
}

static double step_2_teacher(Lesson& lesson, World& world, const Choices& choices, int seed) {
    lesson.step("What does the teacher output?", "feature of a pixel = vector of its word + noise");
    Random random(seed);
    world.teacher = make_teacher(random, choices.noise);
    lesson.matrix("vectors", world.teacher.vectors);
    const std::vector<int> truth = word_numbers(world.spheres, world.test[0].camera);
    const std::vector<int> said = nearest_words(ask(world.teacher, truth, random), world.teacher);
    lesson.picture("truth | nearest word to the teacher's feature",
                   row_of_images({image_of_words(truth, 24), image_of_words(said, 24)}));
    const std::vector<int> all = true_words(world);
    const double right = share_right(nearest_words(ask(world.teacher, all, random), world.teacher), all);
    lesson.predict("What fraction of the pixels does the teacher name correctly?", {right, 0.08});
    lesson.why("the noise has a standard deviation of ", fixed(choices.noise, 1), " in each of ", feature_count,
               " numbers, anew for every pixel and "
               "view, as a 2-D network errs differently in every image. It names ",
               fixed(100 * right, 1), " % of the pixels correctly.");
    return right;
}

// --- distillation ---

// Mean over the voxels of the squared differences with the next voxel along each axis, summed over C: carries features into the
// opaque inside, which no ray reaches.
static Var roughness(const Var& features, const plenoxels::Grid& grid) {
    const std::vector<int> cells = plenoxels::cells_with_neighbours(grid);
    const int distance[3] = {grid.size[1] * grid.size[2], grid.size[2], 1};
    Var total = Matrix(1, 1);
    for (const int step : distance) {
        std::vector<int> next = cells;
        for (int& cell : next) cell += step;
        total = add(total, sum(square(subtract(gather_rows(features, next), gather_rows(features, cells)))));
    }
    return scale(total, 1 / (3 * static_cast<float>(cells.size()) * features.cols()));
}

// The rendered features: the weighted sum of the samples' features, plus the background's times the remaining transmittance.
static Var rendered_features(const plenoxels::Steps& steps, const Var& features, const Teacher& teacher) {
    const Var at_samples = plenoxels::interpolate(features, steps.samples.corners);                      // (n, C)
    const Var of_scene = dff::render_features(steps.rendering.weights, at_samples, steps.samples.rays);  // (R, C)
    const Var of_background =
        multiply(stop(steps.rendering.remaining), slice_rows(teacher.vectors, background_word, 1));  // (R, C)
    return add(of_scene, of_background);
}

namespace {

class Distilling : public Objective {
public:
    Distilling(const World& world, int seed) : world(world), pixels(pixel_rays(world.train)), random(seed) {
        std::vector<int> truth;
        for (const View& view : world.train) {
            const std::vector<int> numbers = word_numbers(world.spheres, view.camera);
            truth.insert(truth.end(), numbers.begin(), numbers.end());
        }
        said = ask(world.teacher, truth, random);
    }
    Var loss(int) override {
        std::vector<int> numbers(500);
        for (int& number : numbers) number = random.below(pixels.rays.count());
        Matrix target(500, feature_count);
        for (int r = 0; r < 500; ++r) std::copy_n(said.row(numbers[r]), feature_count, target.row(r));
        const plenoxels::Steps steps =
            plenoxels::forward(chosen(pixels, numbers).rays, world.scene.grid, world.scene.weights, rendering);
        const Var distance = dff::feature_loss(rendered_features(steps, world.features, world.teacher), target);
        return add(distance, scale(roughness(world.features, world.scene.grid), 0.3f * feature_count));
    }

private:
    const World& world;
    PixelRays pixels;
    Matrix said;  // of every training pixel, computed once
    Random random;
};

}  // namespace

static void step_3_stop(Lesson& lesson, World& world, int seed) {
    lesson.step("Does the teacher change the density?", "F = sum_i stop(w_i) f_i", "feature distillation");
    world.features = parameter(Matrix(world.scene.grid.voxels(), feature_count));
    Random random(seed);
    world.features.value() = normal_matrix(random, world.features.rows(), feature_count, 0.1f);
    Distilling distilling(world, seed);
    const Tape tape;
    zero_gradients({world.scene.weights.density});
    lesson.code();
    backward(distilling.loss(0));
    float largest = 0, of_features = 0;
    for (const float g : world.scene.weights.density.gradient()) largest = std::max(largest, std::abs(g));
    for (const float g : world.features.gradient()) of_features = std::max(of_features, std::abs(g));
    lesson.say("largest gradient of a feature ", fixed(of_features), ", of a density ", fixed(largest));
    lesson.why(
        "features are rendered with the weights of the image, but as constants. The teacher errs differently in every view; without stop(), its errors would distort the geometry.");
    lesson.claim_at_most("largest gradient that reaches a density", largest, 0);
    world.features.zero_gradient();
    world.features.value() = Matrix(world.features.rows(), feature_count);
}

// The nearest word to the rendered feature of each pixel of the test views.
static std::vector<int> words_of_field(const World& world) {
    const NoTape evaluation;
    std::vector<int> answers;
    for (const View& view : world.test) {
        const plenoxels::Steps steps =
            plenoxels::forward(rays_of(view.camera, 0.5), world.scene.grid, world.scene.weights, rendering);
        const Matrix features = rendered_features(steps, world.features, world.teacher).value();  // (R, C)
        const std::vector<int> nearest = nearest_words(features, world.teacher);
        answers.insert(answers.end(), nearest.begin(), nearest.end());
    }
    return answers;
}

static void step_4_distil(Lesson& lesson, World& world, const Choices& choices, int seed, double teacher_right) {
    lesson.step("What does the field learn from twenty noisy views?", "min |F - teacher|^2 over the features of all voxels");
    const double begin = seconds_now();
    Distilling distilling(world, seed);
    ShowProgress progress("distilling", choices.distil_steps);
    const Recipe recipe{.schedule = {.peak = 0.05f, .steps = choices.distil_steps, .descent = Descent::none},
                        .clip_norm = no_clipping};
    train(distilling, nothing_decays({world.features}), recipe, &progress);
    const double seconds = seconds_now() - begin;
    const std::vector<int> answers = words_of_field(world), truth = true_words(world);
    const double field_right = share_right(answers, truth);
    const std::vector<int> first(answers.begin(), answers.begin() + 24 * 24), first_truth(truth.begin(), truth.begin() + 24 * 24);
    lesson.picture("truth | nearest word to the rendered feature, a view not trained on",
                   row_of_images({image_of_words(first_truth, 24), image_of_words(first, 24)}));
    lesson.table({{"pixels of new views named correctly", "%"},
                  {"the teacher itself", fixed(100 * teacher_right, 1)},
                  {"the field that it taught", fixed(100 * field_right, 1)}});
    lesson.why(
        "a voxel is seen by many rays of many views, whose noise is independent, so their mean is nearly free of it: after ",
        choices.distil_steps, " steps, ", fixed(seconds, 1),
        " s, the student is better than its teacher. The roughness term spreads the words into the "
        "inside the spheres, where no ray looks.");
    const Choices usual;
    if (choices.noise != usual.noise || choices.distil_steps < usual.distil_steps) return;  // the bounds were measured with these
    lesson.claim_at_least("fraction of pixels that the field names correctly", field_right, 0.985);
    lesson.claim_at_least("how many times fewer errors than the teacher", (1 - teacher_right) / (1 - field_right), 10);
}

// --- queries and edits ---

namespace {

// One view with what a query needs: steps and features at the samples.
struct Looked {
    plenoxels::Steps steps;
    Matrix features;  // (n, C)
};

}  // namespace

static Looked look(const Camera& camera, const World& world) {
    const NoTape evaluation;
    Looked looked{plenoxels::forward(rays_of(camera, 0.5), world.scene.grid, world.scene.weights, rendering), {}};
    looked.features = plenoxels::interpolate(world.features, looked.steps.samples.corners).value();
    return looked;
}

static dff::Selection select_word(const Looked& looked, const World& world, int word) {
    return dff::select(looked.features, {.vectors = world.teacher.vectors, .positive = {word}, .sharpness = 10});
}

// Selection by colour: that of this object against those of the others and of the white highlights.
static dff::Selection select_colour(const Looked& looked, int word) {
    const Matrix red_green_blue_white{{0.9f, 0.2f, 0.2f}, {0.2f, 0.8f, 0.3f}, {0.2f, 0.3f, 0.95f}, {1, 1, 1}};
    const int colour_of_word[4] = {0, 1, 2, 1};  // lime and pea are green
    return dff::select(looked.steps.colours.value(),
                       {.vectors = red_green_blue_white, .positive = {colour_of_word[word]}, .sharpness = 10});
}

static Matrix rendered(const Looked& looked, const Var& optical_depths, const Var& colours) {
    return over_background(render(optical_depths, colours, looked.steps.samples.rays), rendering.background).value();
}

static Image as_image(const Matrix& pixels, int side) { return image_of(pixels, side, side); }

static void step_5_query(Lesson& lesson, const World& world, int word) {
    lesson.step("Where is the " + words[word] + "?", "p_j = softmax_j(10 cos(f, q_j))", "query");
    const View& view = world.test[0];
    const Looked looked = look(view.camera, world);
    lesson.code();
    const dff::Selection s = select_word(looked, world, word);
    const NoTape evaluation;
    const Matrix seen = along_rays(looked.steps.rendering.weights, s.positive, looked.steps.samples.rays).value();  // (R, 1)
    lesson.pictures({{"view", picture(view.image, lesson.colours)},
                     {"rendered probability", picture(image_of(seen, 24, 24), lesson.colours)}});
    int selected = 0;
    for (const float x : s.selected) selected += x > 0;
    lesson.why(selected, " of ", s.selected.rows,
               " sample points of this view are selected: each asks which word its own feature is "
               "nearest to. The selection is in space, so what is hidden in this view is selected too.");
}

static Matrix drawn_without(int word, const Camera& camera, const World& world) {
    std::vector<Sphere> others = world.spheres;
    others.erase(others.begin() + word);
    return pixels_of(draw_spheres(others, camera));
}

namespace {
// PSNR against the scene drawn without the object, in dB, mean over the test views.
struct RemovalQuality {
    double unedited = 0, hard = 0, soft = 0, by_colour = 0;
};
}  // namespace

static RemovalQuality quality_of_removal(const World& world, int word) {
    const NoTape evaluation;
    RemovalQuality mean;
    for (const View& view : world.test) {
        const Looked looked = look(view.camera, world);
        const dff::Selection s = select_word(looked, world, word);
        const Var& depths = looked.steps.optical_depths;
        const Matrix truth = drawn_without(word, view.camera, world);
        const auto share = [&](const Var& edited) {
            return psnr(rendered(looked, edited, looked.steps.colours), truth) / world.test.size();
        };
        mean.unedited += share(depths);
        mean.hard += share(dff::removed(depths, s.selected));
        mean.soft += share(dff::softly_removed(depths, s.positive));
        mean.by_colour += share(dff::removed(depths, select_colour(looked, word).selected));
    }
    return mean;
}

static void step_6_remove(Lesson& lesson, const World& world, int word) {
    lesson.step("What does the scene show without it?", "sigma = 0 where selected", "edit, then render");
    const auto [unedited, hard, soft, by_colour] = quality_of_removal(world, word);
    const NoTape evaluation;
    const View& view = world.test[0];
    const Looked looked = look(view.camera, world);
    const dff::Selection s = select_word(looked, world, word);
    const Var left = dff::removed(looked.steps.optical_depths, s.selected);
    const Matrix removed = rendered(looked, left, looked.steps.colours), truth = drawn_without(word, view.camera, world);
    const std::vector<Image> shown{view.image, as_image(removed, 24), as_image(truth, 24)};
    lesson.picture("before | " + words[word] + " removed | drawn without it", row_of_images(shown));
    lesson.table({{"compared with a scene without the " + words[word], "PSNR in dB"},
                  {"unedited", fixed(unedited, 1)},
                  {"removed by its name", fixed(hard, 1)},
                  {"softly, alpha (1 - p)", fixed(soft, 1)},
                  {"removed by its colour", fixed(by_colour, 1)}});
    lesson.why("the edit happens before rendering, so what stood behind the ", words[word],
               " appears, with the colours that other views have seen there. "
               "Green is the colour of the lime and of the pea: a query by colour cannot tell them apart, a query by name can.");
    lesson.claim_at_least("PSNR after removing by name, in dB", hard, 32);
    lesson.claim_at_least("gain over the unedited scene, in dB", hard - unedited, 10);
    if (word == 1 || word == 3) lesson.claim_at_least("gain over removing by colour, in dB", hard - by_colour, 10);
}

// With --out: a view of 128 x 128 pixels as it is, without the object, with it in another colour, and the object alone.
static void write_edits(Lesson& lesson, const World& world, const Choices& choices, int word) {
    if (choices.out.empty()) return;
    const int side = 128;
    const Matrix& pose = world.test[0].camera.pose;
    const Camera camera = look_at({pose(0, 3), pose(1, 3), pose(2, 3)}, {}, {0, 0, 1}, side, side, 45);
    const NoTape evaluation;
    const Looked looked = look(camera, world);
    const dff::Selection s = select_word(looked, world, word);
    const Var& depths = looked.steps.optical_depths;
    const Var& colours = looked.steps.colours;
    const Var exchanged = dff::recoloured(colours, gather_cols(colours, {1, 0, 2}), s.selected);
    write_image(choices.out + ".ppm",
                row_of_images({as_image(looked.steps.pixels.value(), side),
                               as_image(rendered(looked, dff::removed(depths, s.selected), colours), side),
                               as_image(rendered(looked, depths, exchanged), side),
                               as_image(rendered(looked, dff::extracted(depths, s.selected), colours), side)}));
    lesson.say("written: ", choices.out, ".ppm, before, removed, recoloured and alone in 128 x 128 pixels.");
}

namespace {
// PSNR of the pixels that do not show a word, over several views.
struct OtherPixels {
    double squares = 0;
    long numbers = 0;

    void add(const Matrix& before, const Matrix& after, const std::vector<int>& shown, int word) {
        for (int r = 0; r < before.rows; ++r)
            for (int c = 0; c < 3; ++c) {
                if (shown[r] == word) continue;
                squares += std::pow(after(r, c) - before(r, c), 2);
                ++numbers;
            }
    }
    double psnr() const { return -10 * std::log10(squares / static_cast<double>(numbers) + 1e-12); }
};
}  // namespace

// A view of 24 x 24 pixels as it is, recoloured, and with the selected object alone.
static std::vector<Image> images_of_edits(const Looked& looked, const Matrix& recoloured, const dff::Selection& s) {
    const Var depths_alone = dff::extracted(looked.steps.optical_depths, s.selected);
    const Matrix alone = rendered(looked, depths_alone, looked.steps.colours);
    return {as_image(looked.steps.pixels.value(), 24), as_image(recoloured, 24), as_image(alone, 24)};
}

static void step_7_recolour(Lesson& lesson, const World& world, const Choices& choices, int word) {
    lesson.step("How does it look in another colour, and alone?", "c = edit(c) where selected;  sigma = 0 where not selected");
    std::vector<Image> shown;
    OtherPixels other_pixels;
    lesson.code(6);
    for (const View& view : world.test) {
        const NoTape evaluation;
        const Looked looked = look(view.camera, world);
        const dff::Selection s = select_word(looked, world, word);
        const Var& colours = looked.steps.colours;
        const Var edited = dff::recoloured(colours, gather_cols(colours, {1, 0, 2}), s.selected);  // red and green exchanged
        const Matrix recoloured = rendered(looked, looked.steps.optical_depths, edited);
        other_pixels.add(looked.steps.pixels.value(), recoloured, word_numbers(world.spheres, view.camera), word);
        if (shown.empty()) shown = images_of_edits(looked, recoloured, s);
    }
    const double others = other_pixels.psnr();
    lesson.picture("before | red and green exchanged in the " + words[word] + " | nothing else left", row_of_images(shown));
    write_edits(lesson, world, choices, word);
    lesson.why("light and shade stay, because they are in the colours that are exchanged. Pixels that do not show the ",
               words[word], " stay as they are up to its soft edge: ", fixed(others, 1), " dB between before and after.");
    lesson.claim_at_least("PSNR of all other pixels, before against after, in dB", others, 35);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const auto found = std::find(words.begin(), words.begin() + background_word, choices.remove);
    const int word = static_cast<int>(found - words.begin());
    require(word < background_word, "--remove ", choices.remove, ": the scene has a cherry, a lime, a blueberry and a pea");
    World world;
    step_1_scene(lesson, world, choices, seed);
    const double teacher_right = step_2_teacher(lesson, world, choices, seed);
    step_3_stop(lesson, world, seed);
    step_4_distil(lesson, world, choices, seed, teacher_right);
    step_5_query(lesson, world, word);
    step_6_remove(lesson, world, word);
    step_7_recolour(lesson, world, choices, word);
    lesson.say("Next: rlhf/agents/socratic joins models of image, sound and text.");
}

int main(int argc, char** argv) {
    Options options("vit/fields/dff", "A scene learns the names of its parts; one is removed.", "10 seconds on two cores");
    Choices choices;
    options.add("fit-steps", choices.fit_steps, "steps of fitting the scene", 1, 100'000);
    options.add("distil-steps", choices.distil_steps, "steps of distilling the teacher", 1, 100'000);
    options.add("noise", choices.noise, "standard deviation of the teacher's noise", 0, 10);
    options.add("remove", choices.remove, "what is removed: cherry, lime, blueberry or pea");
    options.add_output("out", choices.out, "beginning of the name of a PPM file for the edits", {".ppm"});
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
