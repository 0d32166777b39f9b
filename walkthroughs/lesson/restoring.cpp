#include "walkthroughs/lesson/restoring.h"

#include <algorithm>
#include <cmath>

#include "nn/data/idx.h"
#include "walkthroughs/toys/plane_waves.h"

static const std::string digits = "walkthroughs/data/digits-";

DatasetFiles::DatasetFiles()
    : train_images(digits + "train-images.idx3-ubyte"),
      test_images(digits + "test-images.idx3-ubyte"),
      train_labels(digits + "train-labels.idx1-ubyte"),
      test_labels(digits + "test-labels.idx1-ubyte") {}

bool DatasetFiles::own() const {
    const DatasetFiles usual;
    return train_images != usual.train_images || test_images != usual.test_images;
}

void DatasetFiles::declare(Options& options, bool with_labels) {
    options.add("train-images", train_images, "IDX file of images to learn from: MNIST, Fashion-MNIST, ...");
    if (with_labels) options.add("train-labels", train_labels, "IDX file of their classes");
    options.add("test-images", test_images, "IDX file of test images; the first 500 are used");
    if (with_labels) options.add("test-labels", test_labels, "IDX file of their classes");
    options.add("train-count", train_count, "use only the first N training images; 0: all", 0, 100'000'000);
    options.add("patch-size", patch_size, "side of a square in pixels; 0: a quarter of the height, or the next that divides", 0,
                64);
}

static void require_one_size(const std::vector<Image>& images, const Image& first, const std::string& path) {
    const Image& image = images.at(0);  // all images of a file have one size
    require(image.height == first.height && image.width == first.width, path, ": images of ", shape(image),
            ", those to learn from are ", shape(first));
}

static void keep_first(std::vector<Image>& images, int count) {
    if (count > 0 && count < static_cast<int>(images.size())) images.resize(count);
}

Dataset images_to_restore(const DatasetFiles& files) {
    Dataset dataset;
    dataset.one = files.own() ? "image" : "digit";
    dataset.train = read_idx_images(files.train_images);
    dataset.test = read_idx_images(files.test_images);
    require_one_size(dataset.test, dataset.train.at(0), files.test_images);
    keep_first(dataset.train, files.train_count);
    keep_first(dataset.test, 500);
    double sum = 0, squares = 0, count = 0;
    for (const Image& image : dataset.train)
        for (const float x : image.pixels) {
            sum += x;
            squares += x * x;
            ++count;
        }
    dataset.mean = static_cast<float>(sum / count);
    dataset.standard_deviation = static_cast<float>(std::sqrt(std::max(0.0, squares / count - sum / count * (sum / count))));
    require(dataset.standard_deviation > 0, files.train_images, ": all pixels are ", dataset.mean,
            ", there is nothing to restore");
    for (Image& image : dataset.train) image = normalise(image, {dataset.mean}, {dataset.standard_deviation});
    for (Image& image : dataset.test) image = normalise(image, {dataset.mean}, {dataset.standard_deviation});
    return dataset;
}

Dataset digits_to_restore() { return images_to_restore({}); }

PatchGrid grid_of(const Dataset& dataset, const DatasetFiles& files) {
    const Image& image = dataset.test.at(0);
    int side = files.patch_size > 0 ? files.patch_size : std::max(1, image.height / 4);
    while (files.patch_size == 0 && (image.height % side != 0 || image.width % side != 0)) --side;
    const PatchGrid grid{.height = image.height, .width = image.width, .patch_size = side, .channels = image.channels};
    check(grid, "--patch-size");
    return grid;
}

Dataset waves_to_restore(int count, int size, int seed) {
    Random random(1'000'000 + seed);  // other waves than in training
    return {.one = "wave", .train = {}, .test = plane_waves(random, count, size), .mean = 0.5f, .standard_deviation = 0.5f};
}

Image as_light(const Image& image, const Dataset& dataset) {
    Image light = image;
    for (float& x : light.pixels) x = std::min(1.0f, std::max(0.0f, x * dataset.standard_deviation + dataset.mean));
    return light;
}

std::vector<Image> draw_batch(const Dataset& dataset, int count, Random& random) {
    const Image& like = dataset.test.at(0);
    if (dataset.train.empty()) return plane_waves(random, count, like.height, like.channels);
    std::vector<Image> batch;
    for (int b = 0; b < count; ++b) batch.push_back(dataset.train[random.below(static_cast<int>(dataset.train.size()))]);
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

ErrorsWithBaselines errors_with_baselines(const Dataset& dataset, const std::vector<Image>& predicted, const Matrix& mask,
                                          int patch_size, Measure measure) {
    const std::vector<Image>& originals = dataset.test;
    const std::vector<Image>& known = dataset.train.empty() ? dataset.test : dataset.train;
    const std::vector<Image> means(originals.size(), mean_image(known)), medians(originals.size(), median_image(known));
    std::vector<Image> copied;
    for (int b = 0; b < mask.rows; ++b) copied.push_back(copy_nearest_visible(originals[b], slice_rows(mask, b, 1), patch_size));
    return {.model = errors(predicted, originals, mask, patch_size, measure),
            .mean = errors(means, originals, mask, patch_size, measure),
            .median = errors(medians, originals, mask, patch_size, measure),
            .copy = errors(copied, originals, mask, patch_size, measure)};
}

std::vector<std::vector<std::string>> error_table(const ErrorsWithBaselines& found) {
    return {{"error on", "masked patches", "visible patches"},
            {"this model", fixed(found.model.masked), fixed(found.model.visible)},
            {"the mean image", fixed(found.mean.masked), fixed(found.mean.visible)},
            {"the median image", fixed(found.median.masked), fixed(found.median.visible)},
            {"copy of the nearest visible patch", fixed(found.copy.masked), fixed(found.copy.visible)}};
}

std::vector<Image> triples(const Dataset& dataset, const std::vector<Image>& predicted, const Matrix& mask, int patch_size,
                           int count) {
    std::vector<Image> all;
    for (int b = 0; b < count; ++b) {
        const Image original = as_light(dataset.test[b], dataset);
        const Triple triple = restoration(original, as_light(predicted[b], dataset), slice_rows(mask, b, 1), patch_size);
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
    Image in_colour(sheet.height, sheet.width, 3);  // grey images too, so that the file is always a PPM
    for (int y = 0; y < sheet.height; ++y)
        for (int x = 0; x < sheet.width; ++x)
            for (const int c : {0, 1, 2}) in_colour(y, x, c) = sheet(y, x, std::min(c, sheet.channels - 1));
    write_image(path, in_colour);
}

std::string list_text(const std::vector<int>& numbers) {
    std::string list;
    for (const int number : numbers) list += (list.empty() ? "" : " ") + std::to_string(number);
    return list;
}
