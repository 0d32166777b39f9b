#include "walkthroughs/lesson/restoring.h"

#include <algorithm>
#include <cmath>

#include "nn/data/idx.h"
#include "walkthroughs/toys/plane_waves.h"

static const std::string digits = "walkthroughs/data/digits-";

PictureFiles::PictureFiles()
    : train_images(digits + "train-images.idx3-ubyte"),
      test_images(digits + "test-images.idx3-ubyte"),
      train_labels(digits + "train-labels.idx1-ubyte"),
      test_labels(digits + "test-labels.idx1-ubyte") {}

bool PictureFiles::own() const {
    const PictureFiles usual;
    return train_images != usual.train_images || test_images != usual.test_images;
}

void PictureFiles::declare(Options& options, bool with_labels) {
    options.add("train-images", train_images, "IDX file of pictures to learn from: MNIST, Fashion-MNIST, ...");
    if (with_labels) options.add("train-labels", train_labels, "IDX file of their classes");
    options.add("test-images", test_images, "IDX file of test pictures; the first 500 are used");
    if (with_labels) options.add("test-labels", test_labels, "IDX file of their classes");
    options.add("train-count", train_count, "use only the first N training images; 0: all", 0, 100'000'000);
    options.add("patch-size", patch_size, "side of a square in pixels; 0: a quarter of the height, or the next that divides", 0,
                64);
}

static void require_one_size(const std::vector<Image>& images, const Image& first, const std::string& path) {
    require(!images.empty(), path, ": holds no picture");
    const Image& image = images[0];  // all images of a file have one size
    require(image.height == first.height && image.width == first.width, path, ": pictures of ", shape(image),
            ", those to learn from are ", shape(first));
}

static void keep_first(std::vector<Image>& images, int count) {
    if (count > 0 && count < static_cast<int>(images.size())) images.resize(count);
}

Pictures pictures_to_restore(const PictureFiles& files) {
    Pictures pictures;
    pictures.one = files.own() ? "picture" : "digit";
    pictures.train = read_idx_images(files.train_images);
    pictures.test = read_idx_images(files.test_images);
    require(!pictures.train.empty(), files.train_images, ": holds no picture");
    require_one_size(pictures.test, pictures.train[0], files.test_images);
    keep_first(pictures.train, files.train_count);
    keep_first(pictures.test, 500);
    double sum = 0, squares = 0, count = 0;
    for (const Image& picture : pictures.train)
        for (const float x : picture.pixels) {
            sum += x;
            squares += x * x;
            ++count;
        }
    pictures.mean = static_cast<float>(sum / count);
    pictures.standard_deviation = static_cast<float>(std::sqrt(std::max(0.0, squares / count - sum / count * (sum / count))));
    require(pictures.standard_deviation > 0, files.train_images, ": all pixels are ", pictures.mean,
            ", there is nothing to restore");
    for (Image& picture : pictures.train) picture = normalise(picture, {pictures.mean}, {pictures.standard_deviation});
    for (Image& picture : pictures.test) picture = normalise(picture, {pictures.mean}, {pictures.standard_deviation});
    return pictures;
}

Pictures digits_to_restore() { return pictures_to_restore({}); }

PatchGrid grid_of(const Pictures& pictures, const PictureFiles& files) {
    const Image& image = pictures.test.at(0);
    int side = files.patch_size > 0 ? files.patch_size : std::max(1, image.height / 4);
    while (files.patch_size == 0 && (image.height % side != 0 || image.width % side != 0)) --side;
    const PatchGrid grid{.height = image.height, .width = image.width, .patch_size = side, .channels = image.channels};
    check(grid, "--patch-size");
    return grid;
}

Pictures waves_to_restore(int count, int size, int seed) {
    Random random(1'000'000 + seed);  // other waves than in training
    return {.one = "wave", .train = {}, .test = plane_waves(random, count, size), .mean = 0.5f, .standard_deviation = 0.5f};
}

Image as_light(const Image& picture, const Pictures& pictures) {
    Image light = picture;
    for (float& x : light.pixels) x = std::min(1.0f, std::max(0.0f, x * pictures.standard_deviation + pictures.mean));
    return light;
}

std::vector<Image> draw_batch(const Pictures& pictures, int count, Random& random) {
    if (pictures.train.empty()) return plane_waves(random, count, pictures.test.at(0).height, pictures.test[0].channels);
    std::vector<Image> batch;
    for (int b = 0; b < count; ++b) batch.push_back(pictures.train[random.below(static_cast<int>(pictures.train.size()))]);
    return batch;
}

Recipe restoring_recipe(int steps) {
    return {.schedule = {.peak = 5e-3f, .warm_up = steps / 20, .steps = steps, .descent = Descent::cosine, .floor = 0.05f},
            .batch = 32,
            .beta2 = 0.95f};
}

namespace {
// Measures the test loss 16 times during training.
struct TestCurve : Watcher {
    Restoring& restoring;
    Progress progress;
    int interval;
    Series curve;

    TestCurve(Restoring& restoring, int steps, const std::string& what)
        : restoring(restoring), progress(what, steps), interval(std::max(1, steps / 16)), curve{.name = what, .x = {}, .y = {}} {}

    bool after_step(int step, float loss) override {
        progress.update(step, loss);
        if ((step + 1) % interval != 0) return true;
        curve.x.push_back(static_cast<float>(step + 1));
        curve.y.push_back(restoring.test_loss());
        return true;
    }
};
}  // namespace

Series train_to_restore(Restoring& restoring, const Parameters& table, int steps, const std::string& what) {
    const Recipe recipe = restoring_recipe(steps);
    restoring.batch = recipe.batch;
    TestCurve test(restoring, steps, what);
    train(restoring, nothing_decays(variables(table)), recipe, &test);
    return test.curve;
}

ErrorsWithBaselines errors_with_baselines(const Pictures& pictures, const std::vector<Image>& predicted, const Matrix& mask,
                                          int patch_size, Measure measure) {
    const std::vector<Image>& originals = pictures.test;
    const std::vector<Image>& known = pictures.train.empty() ? pictures.test : pictures.train;
    const std::vector<Image> means(originals.size(), mean_image(known)), medians(originals.size(), median_image(known));
    std::vector<Image> copied;
    for (int b = 0; b < mask.rows; ++b) copied.push_back(copy_nearest_visible(originals[b], slice_rows(mask, b, 1), patch_size));
    return {.model = errors(predicted, originals, mask, patch_size, measure),
            .mean = errors(means, originals, mask, patch_size, measure),
            .median = errors(medians, originals, mask, patch_size, measure),
            .copy = errors(copied, originals, mask, patch_size, measure)};
}

std::vector<std::vector<std::string>> error_table(const ErrorsWithBaselines& found) {
    return {{"error on", "hidden patches", "visible patches"},
            {"this model", fixed(found.model.hidden), fixed(found.model.visible)},
            {"the mean picture", fixed(found.mean.hidden), fixed(found.mean.visible)},
            {"the median picture", fixed(found.median.hidden), fixed(found.median.visible)},
            {"copy of the nearest visible patch", fixed(found.copy.hidden), fixed(found.copy.visible)}};
}

std::vector<Image> triples(const Pictures& pictures, const std::vector<Image>& predicted, const Matrix& mask, int patch_size,
                           int count) {
    std::vector<Image> all;
    for (int b = 0; b < count; ++b) {
        const Image original = as_light(pictures.test[b], pictures);
        const Triple triple = restoration(original, as_light(predicted[b], pictures), slice_rows(mask, b, 1), patch_size);
        all.insert(all.end(), {triple.masked, triple.restored, triple.original});
    }
    return all;
}

void show_triples(Lesson& lesson, const std::vector<Image>& triples) {
    for (std::size_t k = 0; k + 2 < triples.size(); k += 3) {
        lesson.pictures({{"masked", picture(triples[k], lesson.colours)},
                         {"restored", picture(triples[k + 1], lesson.colours)},
                         {"original", picture(triples[k + 2], lesson.colours)}});
        lesson.lines({""});
    }
}

void write_triples(const std::string& path, const std::vector<Image>& triples) {
    if (path.empty()) return;
    const Image sheet = contact_sheet(triples, 3, 8, 4);
    Image in_colour(sheet.height, sheet.width, 3);  // grey pictures too, so that the file is always a PPM
    for (int y = 0; y < sheet.height; ++y)
        for (int x = 0; x < sheet.width; ++x)
            for (int c = 0; c < 3; ++c) in_colour(y, x, c) = sheet(y, x, std::min(c, sheet.channels - 1));
    write_image(path, in_colour);
}

std::string list_text(const std::vector<int>& numbers) {
    std::string list;
    for (const int number : numbers) list += (list.empty() ? "" : " ") + std::to_string(number);
    return list;
}
