#include "walkthroughs/lesson/restoring.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "walkthroughs/toys/plane_waves.h"

TEST_SUITE_BEGIN("restoring");

static Dataset two_images() {
    Image dark(2, 4, 1, -1), bright(2, 4, 1, 1);
    return {.one = "image", .train = {dark, dark, bright}, .test = {dark, bright}, .mean = 0.5f, .standard_deviation = 0.5f};
}

TEST_CASE("digits_to_restore: mean 0, standard deviation 1, converted back to brightness") {
    const Dataset digits = digits_to_restore();
    double sum = 0, squares = 0;
    for (const Image& image : digits.train)
        for (const float x : image.pixels) {
            sum += x;
            squares += x * x;
        }
    const double count = 64.0 * static_cast<double>(digits.train.size());
    CHECK(digits.train.size() == 1437);
    CHECK(digits.test.size() == 360);
    CHECK(sum / count == Approx(0).epsilon(1e-4));
    CHECK(squares / count == Approx(1).epsilon(1e-3));
    for (const float x : as_light(digits.test[7], digits).pixels) CHECK((x >= 0 && x <= 1));
}

// An IDX file of images, all pixels but the first 0.
static std::string idx_file(const TemporaryFolder& folder, const std::string& name, int count, int height, int width) {
    std::string bytes{0, 0, 8, 3};
    for (const int n : {count, height, width}) bytes += std::string{0, 0, static_cast<char>(n / 256), static_cast<char>(n % 256)};
    for (int k = 0; k < count; ++k) bytes += "\xff" + std::string(height * width - 1, '\0');
    write_file_atomically(folder.path(name), bytes);
    return folder.path(name);
}

TEST_CASE("images_to_restore: the user's own images, in patches that divide both sides; images that do not fit are refused") {
    const TemporaryFolder folder;
    DatasetFiles files;
    CHECK(!files.own());
    files.train_images = idx_file(folder, "train", 5, 12, 20);
    files.test_images = idx_file(folder, "test", 501, 12, 20);
    files.train_count = 3;
    const Dataset dataset = images_to_restore(files);
    CHECK(files.own());
    CHECK(dataset.train.size() == 3);
    CHECK(dataset.test.size() == 500);
    CHECK(grid_of(dataset, files).patch_size == 2);  // a quarter of 12 is 3, which does not divide 20
    files.patch_size = 4;
    CHECK(grid_of(dataset, files).count() == 15);
    files.patch_size = 5;
    CHECK(
        error_of([&] { grid_of(dataset, files); }) ==
        "--patch-size: an image of 12 x 20 does not split into patches of side 5; sizes must be at least 1, and the side divide both");
    files.test_images = idx_file(folder, "other", 2, 12, 12);
    CHECK(error_of([&] { images_to_restore(files); }) ==
          folder.path("other") + ": images of 12 x 12 x 1, those to learn from are 12 x 20 x 1");
    files.test_images = idx_file(folder, "other", 2, 20, 20);
    CHECK(error_of([&] { images_to_restore(files); }) ==
          folder.path("other") + ": images of 20 x 20 x 1, those to learn from are 12 x 20 x 1");
    files.test_images = idx_file(folder, "none", 0, 12, 20);
    CHECK(error_of([&] { images_to_restore(files); }).starts_with(folder.path("none") + ": dimension 1 is 0"));
    files.train_images = idx_file(folder, "one", 2, 1, 1);
    files.test_images = files.train_images;
    CHECK(error_of([&] { images_to_restore(files); }) ==
          files.train_images + ": all pixels are 1.000000, there is nothing to restore");
}

TEST_CASE("images_to_restore: normalised by mean and standard deviation of the training images, the test images too") {
    const TemporaryFolder folder;
    DatasetFiles files;
    files.train_images = idx_file(folder, "train", 3, 1, 4);  // 1 0 0 0: mean 1/4, variance 3/16
    files.test_images = idx_file(folder, "test", 1, 1, 4);
    const Dataset dataset = images_to_restore(files);
    CHECK(dataset.one == "image");
    CHECK(dataset.train.size() == 3);
    CHECK(dataset.mean == Approx(0.25));
    CHECK(dataset.standard_deviation == Approx(std::sqrt(3.0 / 16)));
    CHECK(dataset.train[2].pixels[0] == Approx(std::sqrt(3.0)));
    CHECK(dataset.test[0].pixels[1] == Approx(-1 / std::sqrt(3.0)));
    CHECK(grid_of(dataset, files).patch_size == 1);  // a quarter of a height of 1, but not 0
    CHECK(digits_to_restore().one == "digit");
    files.train_count = 1;
    CHECK(images_to_restore(files).train.size() == 1);
    files.train_images = idx_file(folder, "one of eight", 1, 8, 8);
    files.test_images = files.train_images;
    const Dataset eight = images_to_restore(files);
    CHECK(eight.train.size() == 1);
    CHECK(grid_of(eight, files).patch_size == 2);
    files.patch_size = 1;
    CHECK(grid_of(eight, files).patch_size == 1);
    files.patch_size = 0;
    files.train_images = idx_file(folder, "one of four", 1, 4, 4);
    files.test_images = files.train_images;
    CHECK(grid_of(images_to_restore(files), files).patch_size == 1);
}

TEST_CASE("DatasetFiles: own files are those that are not the digits; --train-labels only with labels") {
    for (const std::string name : {"--train-images", "--test-images"}) {
        DatasetFiles files;
        Options options("toy", "Shows a toy.", "1 second");
        files.declare(options);
        options.read({name, "mine", "--train-count", "0", "--patch-size", "64"});
        CHECK(files.own());
        CHECK(files.patch_size == 64);
        CHECK(error_of([&] { options.read({"--train-labels", "mine"}); }).starts_with("unknown option --train-labels"));
    }
    DatasetFiles labelled;
    Options options("toy", "Shows a toy.", "1 second");
    labelled.declare(options, true);
    options.read({"--train-labels", "a", "--test-labels", "b", "--patch-size", "0"});
    CHECK(labelled.train_labels == "a");
    CHECK(labelled.test_labels == "b");
    CHECK(!labelled.own());
}

TEST_CASE("restoring_recipe: warm-up over a twentieth of the steps, then cosine decay to 5 % of the peak") {
    const Recipe recipe = restoring_recipe(400);
    CHECK(recipe.batch == 32);
    CHECK(recipe.beta2 == 0.95f);
    CHECK(recipe.schedule.steps == 400);
    CHECK(recipe.schedule.warm_up == 20);
    CHECK(recipe.schedule.peak == 5e-3f);
    CHECK(recipe.schedule.floor == 0.05f);
    CHECK(recipe.schedule.descent == Descent::cosine);
}

TEST_CASE("waves_to_restore: determined by the seed; each batch draws new ones") {
    const Dataset waves = waves_to_restore(3, 12, 1);
    CHECK(waves.test[1].pixels == waves_to_restore(3, 12, 1).test[1].pixels);
    CHECK(waves.test[1].pixels != waves_to_restore(3, 12, 2).test[1].pixels);
    Random of_the_seed(1'000'001);
    CHECK(waves.test[2].pixels == plane_waves(of_the_seed, 3, 12)[2].pixels);
    CHECK(as_light(Image(1, 1, 1, 0.5f), waves).pixels == std::vector<float>{0.75f});  // a wave from -1 to 1
    CHECK(as_light(Image(1, 1, 1, 3), waves).pixels == std::vector<float>{1});
    CHECK(as_light(Image(1, 1, 1, -3), waves).pixels == std::vector<float>{0});
    Random random(1);
    const std::vector<Image> batch = draw_batch(waves, 2, random);
    CHECK(batch.size() == 2);
    CHECK(batch[0].width == 12);
    CHECK(batch[0].pixels != batch[1].pixels);
    CHECK(draw_batch(two_images(), 5, random).size() == 5);
    const Dataset coloured{.one = "wave", .train = {}, .test = {Image(6, 6, 3)}};
    CHECK(shape(draw_batch(coloured, 1, random)[0]) == "6 x 6 x 3");
}

TEST_CASE("errors_with_baselines: mean 1/3 (-1 -1 + 1), median -1, copy of the neighbour") {
    const Dataset dataset = two_images();
    const Matrix mask{{0, 1}, {1, 0}};
    const std::vector<Image> predicted(2, Image(2, 4, 1, 0));
    const ErrorsWithBaselines found = errors_with_baselines(dataset, predicted, mask, 2, Measure::absolute);
    CHECK(found.model.masked == Approx(1));
    CHECK(found.mean.masked == Approx((2.0 / 3 + 4.0 / 3) / 2));
    CHECK(found.median.masked == Approx((0 + 2) / 2.0));
    CHECK(found.copy.masked == Approx(0));  // both images are flat
    CHECK(found.copy.visible == Approx(0));
    CHECK(found.model.visible == Approx(1));
    CHECK(found.mean.visible == Approx((2.0 / 3 + 4.0 / 3) / 2));
    CHECK(found.median.visible == Approx((0 + 2) / 2.0));
    Dataset one = dataset;
    one.test.pop_back();
    CHECK(errors_with_baselines(one, {predicted[0]}, {{0, 1}}, 2, Measure::absolute).copy.masked == Approx(0));
    // without training images, the test images: -1 and 1
    Dataset waves = dataset;
    waves.train.clear();
    CHECK(errors_with_baselines(waves, predicted, mask, 2, Measure::absolute).mean.masked == Approx(1));
}

TEST_CASE("error_table: a line for the model and for each baseline, masked patches before visible ones") {
    const ErrorsWithBaselines found{.model = {.masked = 1, .visible = 2},
                                    .mean = {.masked = 3, .visible = 4},
                                    .median = {.masked = 5, .visible = 6},
                                    .copy = {.masked = 7, .visible = 8}};
    CHECK(error_table(found) == std::vector<std::vector<std::string>>{{"error on", "masked patches", "visible patches"},
                                                                      {"this model", "1.0000", "2.0000"},
                                                                      {"the mean image", "3.0000", "4.0000"},
                                                                      {"the median image", "5.0000", "6.0000"},
                                                                      {"copy of the nearest visible patch", "7.0000", "8.0000"}});
}

TEST_CASE("triples, write_triples: three for each image, and a file only on request") {
    const Dataset dataset = two_images();
    const std::vector<Image> shown = triples(dataset, {Image(2, 4, 1, 0), Image(2, 4, 1, 0)}, {{0, 1}, {1, 0}}, 2, 2);
    CHECK(shown.size() == 6);
    CHECK(shown[1].pixels ==
          std::vector<float>{0, 0, 0.5f, 0.5f, 0, 0, 0.5f, 0.5f});  // dark where visible; a prediction of 0 is grey
    CHECK(shown[5].pixels == Image(2, 4, 1, 1).pixels);
    write_triples("", shown);
    const TemporaryFolder folder;
    const std::string path = folder.path("triples.ppm");
    write_triples(path, shown);
    CHECK(read_image(path).width == 3 * 4 * 8 + 2 * 4);
    CHECK(read_image(path).channels == 3);
    CHECK(read_image(path).height == 2 * 2 * 8 + 4);
    // a grey pixel is grey in all three channels, a colour stays
    const std::vector<Image> grey(3, Image(1, 1, 1, 1)), red(3, Image(1, 1, 3));
    std::vector<Image> coloured = red;
    for (Image& image : coloured) image(0, 0, 0) = 1;
    write_triples(path, grey);
    for (int c = 0; c < 3; ++c) CHECK(read_image(path)(0, 0, c) == 1);
    Image half_bright(1, 2, 1);
    half_bright(0, 1, 0) = 1;
    write_triples(path, std::vector<Image>(3, half_bright));
    for (int c = 0; c < 3; ++c) CHECK(read_image(path)(0, 7, c) == 0);  // the last column of the dark pixel
    for (int c = 0; c < 3; ++c) CHECK(read_image(path)(0, 8, c) == 1);
    write_triples(path, coloured);
    for (int c = 0; c < 3; ++c) CHECK(read_image(path)(7, 7, c) == (c == 0 ? 1 : 0));
}

TEST_CASE("show_triples: masked, restored and original in a row, an empty line after each row") {
    const TemporaryFolder folder;
    const Options options("toy", "Shows a toy.", "1 second");
    std::FILE* const out = std::fopen(folder.path("out").c_str(), "w");
    Lesson lesson(options, out, stdin, Colours::none);
    const Image dark(1, 4, 1, 0), grey(1, 4, 1, 0.5f), bright(1, 4, 1, 1);
    show_triples(lesson, {dark, dark, dark, bright, grey, dark});
    std::fclose(out);
    CHECK(read_file(folder.path("out"))
              .ends_with("second\n"
                         "         masked     restored   original\n"
                         "\n"
                         "\n"
                         "         masked     restored   original\n"
                         "         @@@@@@@@   ++++++++\n"
                         "\n"));
}

namespace {
// One number that must become 3.
struct BecomeThree : Restoring {
    Var x = parameter(Matrix{{0}});
    BecomeThree() : Restoring(1) {}
    Var batch_loss(int, Random&) override { return square(shift(x, -3)); }
    float test_loss() override { return std::abs(x.value()(0, 0) - 3); }
};
}  // namespace

TEST_CASE("train_to_restore: one number reaches 3, with 16 evaluations on the way") {
    BecomeThree three;
    const Parameters table = {{"x", {1, 1}, Stored::as_it_is, {three.x}}};
    const Series curve = train_to_restore(three, table, 1600, "distance");
    CHECK(three.batch == 32);
    REQUIRE(curve.y.size() == 16);
    CHECK(curve.name == "distance");
    CHECK(curve.x.front() == 100);
    CHECK(curve.x.back() == 1600);
    CHECK(curve.y.front() > 2);
    CHECK(curve.y.back() < 0.01f);
    BecomeThree shorter;
    CHECK(train_to_restore(shorter, {{"x", {1, 1}, Stored::as_it_is, {shorter.x}}}, 8, "distance").x ==
          std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("list_text: the format that the option reads") { CHECK(list_text({14, 15, 8}) == "14 15 8"); }

TEST_SUITE_END();
