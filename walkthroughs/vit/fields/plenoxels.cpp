// plenoxels.cpp: fit a scene to twenty small photographs in seconds, with voxels and derivatives and no network.
//
//   paper    Fridovich-Keil et al., "Plenoxels: Radiance Fields without Neural Networks", 2022, arXiv 2112.05131
//   shows    how one ray is rendered, the gradient of each density, and why the fit needs a regulariser: without total variation it
//            overfits the training views
//   symbols  sigma density   T transmittance   alpha 1 - exp(-sigma delta)   w weight T alpha   c colour
//   next     dff.cpp teaches the same scene what its parts are called
#include <algorithm>
#include <cmath>
#include <ctime>
#include <numbers>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/base/clock.h"
#include "vit/fields/plenoxels.h"
#include "vit/fields/spheres.h"
#include "walkthroughs/lesson/lesson.h"

namespace {

struct Choices {
    int steps = 400;
    int voxels = 20;
    int views = 20;
    int side = 24;
    int harmonics = 9;
    int widest = 64, test_views = 8;  // of photographs that are read
    double radius = 0.8;
    double background = 1;
    std::string spheres, photographs, test_photographs, out;
};

// The training and the test views.
struct Photographs {
    std::vector<View> train, test;
};

}  // namespace

// At most `count` of the views, evenly spread over them.
static std::vector<View> some_of(const std::vector<View>& views, int count) {
    const int all = static_cast<int>(views.size()), taken = std::min(count, all);
    std::vector<View> some;
    for (int i = 0; i < taken; ++i) some.push_back(views[static_cast<std::size_t>(i) * views.size() / taken]);
    return some;
}

// Without a file of test views every eighth photograph is held out, as is usual for scenes without such a file.
static Photographs read_photographs(const Choices& choices) {
    const std::vector<View> all = read_views(choices.photographs, choices.widest);
    if (!choices.test_photographs.empty())
        return {all, some_of(read_views(choices.test_photographs, choices.widest), choices.test_views)};
    require(all.size() >= 2, choices.photographs,
            ": one view; give at least two, of which one is held out, or --test-photographs");
    Photographs split;
    for (std::size_t v = 0; v < all.size(); ++v) (v % 8 == 0 ? split.test : split.train).push_back(all[v]);
    split.test = some_of(split.test, choices.test_views);
    return split;
}

static Photographs take_photographs(const Choices& choices) {
    if (!choices.photographs.empty()) return read_photographs(choices);
    const std::vector<Sphere> spheres = choices.spheres.empty() ? four_spheres() : read_spheres(choices.spheres);
    return {views_of(spheres, choices.views, choices.side), views_of(spheres, 7, choices.side, 1.234)};
}

// Bounds that were measured with four spheres, twenty voxels and the usual number of steps hold there only.
static bool is_the_scene_of_the_lesson(const Choices& choices) {
    const Choices usual;
    return choices.spheres.empty() && choices.photographs.empty() && choices.steps >= usual.steps &&
           choices.voxels == usual.voxels && choices.views >= usual.views && choices.side == usual.side &&
           choices.radius == usual.radius && choices.background == usual.background;
}

static plenoxels::Config config_of(const Choices& choices) {
    return {.harmonics = choices.harmonics, .background = static_cast<float>(choices.background)};
}

static plenoxels::Scene fog(int voxels, const Choices& choices) {
    plenoxels::Scene scene{plenoxels::full_grid({voxels, voxels, voxels}, {choices.radius, choices.radius, choices.radius}), {}};
    scene.weights = plenoxels::make_weights(scene.grid, config_of(choices));
    return scene;
}

static Image taken(const Camera& camera, const plenoxels::Scene& scene, const plenoxels::Config& config) {
    return image_of(plenoxels::photograph(camera, scene, config), camera.height, camera.width);
}

// The mean over the views, in dB.
static double mean_psnr(const std::vector<View>& views, const plenoxels::Scene& scene, const plenoxels::Config& config) {
    double total = 0;
    for (const View& view : views) total += psnr(pixels_of(taken(view.camera, scene, config)), pixels_of(view.image));
    return total / static_cast<double>(views.size());
}

// Images of equal height beside one another, with gaps.
static Image row_of_images(const std::vector<Image>& images) {
    const int gap = 1;
    int width = -gap;
    for (const Image& image : images) width += image.width + gap;
    Image row(images[0].height, width, 3, 0.5f);
    int left = 0;
    for (const Image& image : images) {
        for (int y = 0; y < row.height; ++y)
            for (int x = 0; x < image.width; ++x)
                for (int c = 0; c < 3; ++c) row(y, left + x, c) = image(y, x, c);
        left += image.width + gap;
    }
    return row;
}

// --- one ray, by hand ---

static void step_1_photographs(Lesson& lesson, const Photographs& photographs) {
    lesson.step("What is known of the scene?", "", "images, and where each was taken from");
    std::vector<Image> some;
    for (std::size_t v = 0; v < std::min<std::size_t>(3, photographs.train.size()); ++v)
        some.push_back(photographs.train[v].image);
    lesson.picture("three of the training views", row_of_images(some));
    lesson.matrix("pose", photographs.train[0].camera.pose);
    const PixelRays pixels = pixel_rays(photographs.train);
    lesson.why("every pixel of the ", text(static_cast<int>(photographs.train.size())),
               " views is one ray and one colour: ", pixels.rays.count(),
               " equations for the scene. The pose holds the camera's directions right, up and backward, and its "
               "position. Nothing says where a surface is.");
}

static Rendering step_2_one_ray(Lesson& lesson) {
    lesson.step("How is the colour of a ray computed?", "C = sum_i T_i alpha_i c_i + T_end * background", "NeRF Eq. 3");
    const float half = std::log(2.f);                   // exp(-ln 2) = 1/2
    const Var depths = Matrix{{half}, {half}, {half}};  // sigma_i delta_i
    const Var colours = Matrix{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    lesson.code();
    const Rendering r = render(depths, colours, Segments::one(3));
    lesson.table(
        {{"sample", "alpha", "T", "weight", "colour"},
         {"1", fixed(r.alphas.value()(0, 0)), fixed(r.transmittance.value()(0, 0)), fixed(r.weights.value()(0, 0)), "red"},
         {"2", fixed(r.alphas.value()(1, 0)), fixed(r.transmittance.value()(1, 0)), fixed(r.weights.value()(1, 0)), "green"},
         {"3", fixed(r.alphas.value()(2, 0)), fixed(r.transmittance.value()(2, 0)), fixed(r.weights.value()(2, 0)), "blue"}});
    lesson.matrix("pixel before a white background", over_background(r, 1).value());
    lesson.why(
        "each of three thin layers stops half of the light that arrives at it: 1/2, then 1/4, then 1/8; the background gives the "
        "last ",
        fixed(r.remaining.value()(0, 0), 3), ". Nearer layers hide those behind them.");
    const Rendering opaque = render(Var(Matrix{{100}, {half}, {half}}), colours, Segments::one(3));
    lesson.predict("What is the green of the pixel when the first layer is opaque?",
                   {over_background(opaque, 1).value()(0, 1), 0.01});
    return r;
}

static void step_3_gradient(Lesson& lesson) {
    lesson.step("What is the gradient of a pixel for a density?", "dC/d(sigma_i delta) = T_{i+1} c_i - (light from behind i)");
    const Tape tape;
    const float half = std::log(2.f);
    const Var depths = parameter({{half}, {half}, {half}});
    const Var brightness = Matrix{{0.2f}, {0.9f}, {0.4f}};
    lesson.code(2);
    const Var pixel = over_background(render(depths, brightness, Segments::one(3)), 1);
    backward(pixel);  // nothing but running sums along the ray, read backwards
    // by hand: T after each sample 1/2, 1/4, 1/8; light from behind = later weights times their brightness + 1/8 of the background
    const double behind[3] = {0.9 / 4 + 0.4 / 8 + 0.125, 0.4 / 8 + 0.125, 0.125}, after[3] = {0.5, 0.25, 0.125};
    const double own[3] = {0.2, 0.9, 0.4};
    std::vector<std::vector<std::string>> rows = {
        {"sample", "brightness", "T after it", "light from behind", "by hand", "backward"}};
    double worst = 0;
    for (int i = 0; i < 3; ++i) {
        const double by_hand = after[i] * own[i] - behind[i];
        worst = std::max(worst, std::abs(by_hand - depths.gradient()(i, 0)));
        rows.push_back({text(i + 1), fixed(own[i], 1), fixed(after[i], 3), fixed(behind[i], 3), fixed(by_hand),
                        fixed(depths.gradient()(i, 0))});
    }
    lesson.table(rows);
    lesson.why(
        "a denser sample shows more of itself and less of what lies behind it. The first sample is dark and hides bright ones, "
        "so "
        "its gradient is the most negative: to brighten the pixel it must become thinner.");
    lesson.claim_at_most("largest difference between the formula and backward()", worst, 1e-5);
}

static void step_4_corners(Lesson& lesson) {
    lesson.step("How is the field interpolated between voxels?", "the mean of 8 corners, weighted with the opposite volumes");
    const plenoxels::Grid grid = plenoxels::full_grid({2, 2, 2}, {1, 1, 1});
    lesson.code();
    const plenoxels::Corners corners = plenoxels::corners_of({{0.25f, 0, 0.5f}}, grid);
    lesson.matrix("weights", corners.weights);
    lesson.why(
        "the point (1/4, 0, 1/2) lies three quarters towards x = 0, on the side y = 0 and in the middle between z = 0 and 1: "
        "3/8, "
        "3/8, 1/8, 1/8 and four zeros, in the order z fastest. Their gradient goes back to the same corners with the same "
        "weights.");
}

// --- fitting ---

// Of all threads together: unlike the time on the clock it hardly depends on what else the machine is doing.
static double processor_seconds_now() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

namespace {

// Measures the PSNR of held-out views 16 times during training.
class WatchFit : public Watcher {
public:
    WatchFit(const std::string& name, const std::vector<View>& views, const plenoxels::Scene& scene,
             const plenoxels::Config& config, int steps)
        : curve{name, {}, {}}, views(views), scene(scene), config(config), steps(steps), progress(name, steps) {}
    bool after_step(int step, float loss) override {
        progress.update(step, loss);
        if ((step + 1) % std::max(1, steps / 16) == 0) {
            const double begin = seconds_now(), processor_begin = processor_seconds_now();
            curve.x.push_back(static_cast<float>(step + 1));
            curve.y.push_back(static_cast<float>(mean_psnr(views, scene, config)));
            seconds_of_judging += seconds_now() - begin;
            processor_seconds_of_judging += processor_seconds_now() - processor_begin;
        }
        return true;
    }
    Series curve;
    double seconds_of_judging = 0, processor_seconds_of_judging = 0;

private:
    const std::vector<View>& views;
    const plenoxels::Scene& scene;
    const plenoxels::Config config;
    int steps;
    Progress progress;
};

struct Fitted {
    plenoxels::Scene scene;
    Series curve;  // PSNR of held-out views
    double train = 0, test = 0, seconds = 0, processor_seconds = 0;
};

}  // namespace

static Fitted fitted(const Photographs& photographs, const Choices& choices, const plenoxels::FitRecipe& recipe, int seed,
                     const std::string& name) {
    Fitted result{fog(choices.voxels, choices), {}};
    const plenoxels::Config config = config_of(choices);
    WatchFit watch(name, photographs.test, result.scene, config, recipe.steps);
    const double begin = seconds_now(), processor_begin = processor_seconds_now();
    plenoxels::fit(result.scene, pixel_rays(photographs.train), config, recipe, seed, &watch);
    result.seconds = seconds_now() - begin - watch.seconds_of_judging;
    result.processor_seconds = processor_seconds_now() - processor_begin - watch.processor_seconds_of_judging;
    result.curve = watch.curve;
    result.train = mean_psnr(photographs.train, result.scene, config);
    result.test = mean_psnr(photographs.test, result.scene, config);
    return result;
}

static Fitted step_5_fit(Lesson& lesson, const Photographs& photographs, const Choices& choices, int seed) {
    lesson.step("Can the scene be found from the images alone?", "loss = (C - target)^2 + lambda TV", "photographs, regularised");
    const plenoxels::Config config = config_of(choices);
    const double before = mean_psnr(photographs.test, fog(choices.voxels, choices), config);
    const Fitted fit = fitted(photographs, choices, {.steps = choices.steps}, seed, "PSNR of held-out views");
    lesson.curves({fit.curve}, {"training step", "PSNR, dB"});
    std::vector<Captioned> pairs;
    for (std::size_t v = 0; v < std::min<std::size_t>(3, photographs.test.size()); ++v) {
        const View& view = photographs.test[v];
        const Image ours = taken(view.camera, fit.scene, config);
        const std::string number = text(static_cast<int>(v) + 1);
        pairs.push_back(
            {"truth | rendered, test view " + number + ": " + fixed(psnr(pixels_of(ours), pixels_of(view.image)), 1) + " dB",
             picture(row_of_images({view.image, ours}), lesson.colours)});
    }
    lesson.pictures(pairs);
    const double rays = static_cast<double>(choices.steps) * plenoxels::FitRecipe{}.batch;
    lesson.say(text(fit.scene.grid.voxels()), " voxels, ", choices.steps, " steps of ", plenoxels::FitRecipe{}.batch, " rays in ",
               fixed(fit.seconds, 1), " s: ", fixed(rays / fit.seconds / 1000, 1), " thousand rays a second.");
    lesson.table({{"PSNR in dB", "training views", "views not trained on"},
                  {"the fog at the start", "", fixed(before, 1)},
                  {"fitted", fixed(fit.train, 1), fixed(fit.test, 1)}});
    lesson.why(
        "20 dB is a mean error of a tenth, 30 dB of three hundredths. Densities begin as a thin grey fog in which every sample "
        "of a ray "
        "receives a part of its gradient; where rays from several sides agree, a surface condenses.");
    if (is_the_scene_of_the_lesson(choices)) {
        lesson.claim_at_least("PSNR of held-out views, in dB", fit.test, 33);
        lesson.claim_at_most("processor seconds of fitting, all threads together", fit.processor_seconds, 30);
    }
    lesson.claim_at_least("gain over the fog, in dB", fit.test - before, 5);
    return fit;
}

static void step_6_inside(Lesson& lesson, const Photographs& photographs, const Fitted& fit, const Choices& choices) {
    lesson.step("Where is the surface?", "w_i = T_i alpha_i along one ray");
    const plenoxels::Config config = config_of(choices);
    const Camera& camera = photographs.test[0].camera;
    const Rays rays = rays_of_pixels(camera, {camera.height / 2 * camera.width + camera.width / 2}, 0.5);
    const NoTape evaluation;
    const plenoxels::Steps steps = plenoxels::forward(rays, fit.scene.grid, fit.scene.weights, config);
    const int n = steps.samples.t.rows;
    if (n > 0) {
        lesson.heat("density along the ray through the middle", reshape(steps.sigma.value(), 1, n));
        lesson.heat("weight of each sample", reshape(steps.rendering.weights.value(), 1, n));
    }
    lesson.matrix("pixel", steps.pixels.value());
    lesson.why("the ray starts to see at ", fixed(n > 0 ? steps.samples.t(0, 0) : 0, 1), " voxels from the camera and takes ", n,
               " samples, half a voxel apart. The weights are those of a surface: a few samples hold nearly all of the pixel, "
               "however dense "
               "what lies behind them is.");
}

static void step_7_regulariser(Lesson& lesson, const Photographs& photographs, const Fitted& fit, const Choices& choices,
                               int seed) {
    lesson.step("What happens without total variation?", "lambda = 0", "total variation off");
    const Fitted bare = fitted(photographs, choices, {.steps = choices.steps, .tv_density = 0, .tv_harmonics = 0}, seed,
                               "without total variation");
    lesson.curves({fit.curve, bare.curve}, {"training step", "PSNR, dB"});
    lesson.table({{"PSNR in dB", "training views", "views not trained on", "gap"},
                  {"with total variation", fixed(fit.train, 1), fixed(fit.test, 1), fixed(fit.train - fit.test, 1)},
                  {"without", fixed(bare.train, 1), fixed(bare.test, 1), fixed(bare.train - bare.test, 1)}});
    lesson.why(
        "a voxel has ", 3 * choices.harmonics + 1,
        " numbers of its own, so the training views can be explained by haze that looks right from "
        "their positions only. Total variation makes neighbours agree unless the images insist. Here it costs the training "
        "views ",
        fixed(bare.train - fit.train, 1), " dB, and gives the others ", fixed(fit.test - bare.test, 1), " dB.");
    lesson.predict("both numbers with half as many views: --views 10.");
    if (is_the_scene_of_the_lesson(choices)) {
        lesson.claim_at_least("how much better the training views are without it, in dB", bare.train - fit.train, 8);
        lesson.claim_at_least("how much better other views are with it, in dB", fit.test - bare.test, 1);
    }
}

// The fog of this many voxels along each axis, fitted with half of the steps.
static plenoxels::Scene coarse_scene(int voxels, const PixelRays& pixels, const Choices& choices, int seed) {
    const plenoxels::Scene coarse = fog(voxels, choices);
    plenoxels::fit(coarse, pixels, config_of(choices), {.steps = choices.steps / 2}, seed);
    return coarse;
}

namespace {
// PSNR of the test views after each stage, in dB.
struct StagePsnr {
    double coarse = 0, sparse = 0, resampled = 0, refined = 0;
};
}  // namespace

// A row for each stage: its grid, its number of voxels and its PSNR.
static std::vector<std::vector<std::string>> rows_of_stages(const plenoxels::Scene& coarse, const plenoxels::Scene& sparse,
                                                            const plenoxels::Scene& fine, const StagePsnr& quality, int few,
                                                            int many) {
    const std::string coarse_name = text(few) + "^3", fine_name = text(many) + "^3";
    return {{"grid", "voxels", "PSNR of test views in dB"},
            {coarse_name + ", fitted with half of the steps", text(coarse.grid.voxels()), fixed(quality.coarse, 2)},
            {"pruned", text(sparse.grid.voxels()), fixed(quality.sparse, 2)},
            {fine_name + ", resampled from it", text(fine.grid.voxels()), fixed(quality.resampled, 2)},
            {"fitted with the other half", text(fine.grid.voxels()), fixed(quality.refined, 2)}};
}

static void step_8_coarse_to_fine(Lesson& lesson, const Photographs& photographs, const Choices& choices, int seed) {
    lesson.step("How many voxels does the scene need?", "keep where max over rays of w >= 0.01, and neighbours",
                "coarse to fine");
    const plenoxels::Config config = config_of(choices);
    const PixelRays pixels = pixel_rays(photographs.train);
    const int few = std::max(2, choices.voxels * 3 / 5), many = 2 * few;
    const double begin = seconds_now();
    const plenoxels::Scene coarse = coarse_scene(few, pixels, choices, seed);
    lesson.code(3);
    const Matrix seen = plenoxels::largest_weights(pixels.rays, coarse.grid, coarse.weights, config);
    const plenoxels::Scene sparse = plenoxels::pruned(coarse, seen, 0.01f);
    const plenoxels::Scene fine = plenoxels::resampled(sparse, {many, many, many});
    StagePsnr quality{.coarse = mean_psnr(photographs.test, coarse, config),
                      .sparse = mean_psnr(photographs.test, sparse, config),
                      .resampled = mean_psnr(photographs.test, fine, config)};
    plenoxels::fit(fine, pixels, config, {.steps = choices.steps / 2, .density_rate = 1}, seed);
    const double seconds = seconds_now() - begin;
    quality.refined = mean_psnr(photographs.test, fine, config);
    lesson.table(rows_of_stages(coarse, sparse, fine, quality, few, many));
    const double share = static_cast<double>(sparse.grid.voxels()) / coarse.grid.voxels();
    lesson.why("most of the box is air, and the inside of what is not air is hidden. What no ray sees is dropped, ",
               fixed(100 * (1 - share), 0),
               " % of the voxels; a finer grid starts from the coarse one by the same trilinear mixture. All this took ",
               fixed(seconds, 1), " s. The paper goes from 256^3 to 512^3, which fits into memory only in this way.");
    lesson.claim_at_most("PSNR that pruning costs, in dB", quality.coarse - quality.sparse, 0.05);
    if (is_the_scene_of_the_lesson(choices)) {
        lesson.claim_at_most("fraction of the voxels that is kept", share, 0.75);
        lesson.claim_at_least("PSNR that the finer grid gains, in dB", quality.refined - quality.sparse, 1.5);
    }
}

static void step_9_turn(Lesson& lesson, const Fitted& fit, const Choices& choices, double distance) {
    lesson.step("How does it look from a new viewpoint?", "", "a turn around the scene");
    const plenoxels::Config config = config_of(choices);
    const int frames = choices.out.empty() ? 6 : 24, side = choices.out.empty() ? 28 : 128;
    std::vector<Image> shown;
    for (int k = 0; k < frames; ++k) {
        const double angle = 2 * std::numbers::pi * k / frames;
        const Point3 eye{0.9 * distance * std::cos(angle), 0.9 * distance * std::sin(angle), 0.4 * distance};
        const Image frame = taken(look_at(eye, {}, {0, 0, 1}, side, side, 45), fit.scene, config);
        if (!choices.out.empty()) write_image(choices.out + (k < 10 ? "-0" : "-") + text(k) + ".ppm", frame);
        if (k % (frames / 6) == 0) shown.push_back(resize_bilinear_antialiased(frame, 28, 28));
    }
    lesson.picture("from 0, 60 and 120 degrees", row_of_images({shown[0], shown[1], shown[2]}));
    lesson.picture("from 180, 240 and 300 degrees", row_of_images({shown[3], shown[4], shown[5]}));
    if (!choices.out.empty()) {
        write_image(choices.out + "-turn.ppm", row_of_images(shown));
        lesson.say(text(frames), " images written, ", choices.out, "-00.ppm and so on, and all six in a row in ", choices.out,
                   "-turn.ppm.");
    }
    lesson.why(
        "the field is a function of position and direction, so any camera may look at it. --out NAME writes the turn as files of "
        "128 x 128 "
        "pixels, finer than any image that was fitted.");
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const Photographs photographs = take_photographs(choices);
    step_1_photographs(lesson, photographs);
    step_2_one_ray(lesson);
    step_3_gradient(lesson);
    step_4_corners(lesson);
    const Fitted fit = step_5_fit(lesson, photographs, choices, seed);
    step_6_inside(lesson, photographs, fit, choices);
    step_7_regulariser(lesson, photographs, fit, choices, seed);
    step_8_coarse_to_fine(lesson, photographs, choices, seed);
    const Matrix& pose = photographs.train[0].camera.pose;
    step_9_turn(lesson, fit, choices, std::sqrt(pose(0, 3) * pose(0, 3) + pose(1, 3) * pose(1, 3) + pose(2, 3) * pose(2, 3)));
    lesson.say("Next: vit/fields/dff teaches the same scene what its parts are called.");
}

int main(int argc, char** argv) {
    Options options("vit/fields/plenoxels", "A radiance field without a network, fitted to photographs.",
                    "20 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "steps of fitting", 1, 100'000);
    options.add("voxels", choices.voxels, "voxels along each axis", 2, 256);
    options.add("views", choices.views, "training views that are drawn", 1, 1000);
    options.add("side", choices.side, "pixels along a side of the images that are drawn", 4, 1024);
    options.add("harmonics", choices.harmonics, "spherical harmonics of a channel: 1, 4 or 9", 1, 9);
    options.add("radius", choices.radius, "half a side of the box around the origin", 0.01, 1000);
    options.add("background", choices.background, "brightness behind the scene: 1 white, 0 black", 0, 1);
    options.add("spheres", choices.spheres, "a text file with other spheres, one a line: x y z radius red green blue");
    options.add("photographs", choices.photographs,
                "a JSON file of views in NeRF's format (transforms_train.json), with PNG or PPM images, to fit instead");
    options.add("test-photographs", choices.test_photographs,
                "another such file, of test views; without it every eighth is held out");
    options.add("widest", choices.widest, "wider photographs are reduced to this width, in pixels", 4, 4096);
    options.add("test-views", choices.test_views, "test photographs that are used, evenly spread", 1, 1000);
    options.add_output("out", choices.out, "beginning of the names of PPM files for a turn around the scene",
                       {"-00.ppm", "-turn.ppm"});
    for (const char* const name : {"test-photographs", "widest", "test-views"}) options.needs(name, "photographs");
    for (const char* const name : {"spheres", "views", "side"}) options.excludes(name, "photographs");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
