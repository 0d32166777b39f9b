#include "walkthroughs/lesson/published_vit.h"

#include "nn/data/file.h"
#include "nn/training/state.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("published_vit");

static const vit::Config model{
    .grid = {.height = 4, .width = 4, .patch_size = 2, .channels = 3}, .width = 4, .depth = 1, .heads = 2, .mlp_width = 4};

// Every pixel has the values 0.25, 0.5 and 1.
static Image photograph() {
    Image image(4, 4, 3);
    for (int y = 0; y < 4; ++y)
        for (int x = 0; x < 4; ++x) {
            image(y, x, 0) = 0.25f;
            image(y, x, 1) = 0.5f;
            image(y, x, 2) = 1;
        }
    return image;
}

TEST_CASE("prepared_photograph: mean and standard deviation are those of preprocessor_config.json, else 0.5") {
    const TemporaryFolder folder;
    const std::string weights = folder.path("model.safetensors"), config = folder.path("preprocessor_config.json");
    const auto pixel = [&] {
        const Image image = prepared_photograph(photograph(), model, weights);
        return std::vector<float>{image(1, 2, 0), image(1, 2, 1), image(1, 2, 2)};
    };
    CHECK(pixel() == std::vector<float>{-0.5f, 0, 1});
    write_file_atomically(config, R"({"size": 4, "resample": 2})");
    CHECK(pixel() == std::vector<float>{-0.5f, 0, 1});
    write_file_atomically(
        config,
        R"({"do_normalize": true, "image_mean": [0.75, 0.5, 0.5], "image_std": [0.25, 1, 0.125], "size": {"height": 4, "width": 4}})");
    CHECK(pixel() == std::vector<float>{-2, 0, 4});  // (0.25 - 0.75) / 0.25, (0.5 - 0.5) / 1, (1 - 0.5) / 0.125
}

TEST_CASE("prepared_photograph: a preparation that is not done here, or of another model, is refused") {
    const TemporaryFolder folder;
    const std::string weights = folder.path("model.safetensors"), config = folder.path("preprocessor_config.json");
    const auto error = [&](const std::string& words) {
        write_file_atomically(config, words);
        return error_of([&] { prepared_photograph(photograph(), model, weights); });
    };
    const std::string cure = "; only photographs that are resized and normalised, and not cropped, are read here";
    CHECK(error(R"({"do_normalize": false})") == config + ": do_normalize is false" + cure);
    CHECK(error(R"({"do_resize": false})") == config + ": do_resize is false" + cure);
    CHECK(error(R"({"do_center_crop": true})") == config + ": do_center_crop is true" + cure);
    CHECK(error(R"({"do_rescale": false})") == config + ": do_rescale is false; only pixels from 0 to 1 are normalised here");
    CHECK(error(R"({"rescale_factor": 0.00392156862745098})").empty());
    CHECK(error(R"({"rescale_factor": 0.0039})").starts_with(config + ": rescale_factor is 0.0039; only 1/255"));
    CHECK(error(R"({"rescale_factor": 1})") ==
          config + ": rescale_factor is 1; only 1/255 is known here, which makes bytes numbers from 0 to 1");
    CHECK(error(R"({"do_rescale": true, "do_resize": null, "size": null, "resample": null, "image_mean": null})").empty());
    const std::string needed =
        "; one side, or {\"height\": 224, \"width\": 224}, is needed, other ways to cut a photograph are not implemented here";
    CHECK(error(R"({"size": {"shortest_edge": 4}})") == config + R"(: size is "{\"shortest_edge\":4}")" + needed);
    CHECK(error(R"({"size": {"height": 4}})") == config + R"(: size is "{\"height\":4}")" + needed);
    CHECK(error(R"({"size": {"width": 4}})") == config + R"(: size is "{\"width\":4}")" + needed);
    CHECK(error(R"({"size": [4, 4]})") == config + R"(: size is "[4,4]")" + needed);
    CHECK(error(R"({"resample": 3})") == config + ": resample is 3; only 2, bilinear, is known here");
    const std::string other = ", the model reads images of 4 x 4; this belongs to another model";
    CHECK(error(R"({"size": 8})") == config + ": size is 8 x 8" + other);
    CHECK(error(R"({"size": {"height": 4, "width": 8}})") == config + ": size is 4 x 8" + other);
    CHECK(error(R"({"size": {"height": 8, "width": 4}})") == config + ": size is 8 x 4" + other);
    CHECK(error(R"({"image_mean": [0.5, 0.5]})") == config + ": image_mean has 2 numbers, one for each of 3 channels is needed");
    CHECK(error(R"({"image_std": [0.5, 0, 0.5]})") ==
          config + ": image_std holds 0.000000, by which pixels are divided; it must be above 0");
    CHECK(error("[]") == config + ": is another JSON value than an object {...}");
    CHECK(error(R"({"do_resize": 1})") == config + ": json: line 1: a truth value is needed, this is a number");
    CHECK(error("{").starts_with(config + ": line 1, byte 1: "));
}

TEST_CASE("read_published_vit: the settings and weights of a saved model, also of a training state") {
    const TemporaryFolder folder;
    Random random(3);
    const vit::Weights w = vit::make_weights(model, random);
    const Parameters parameters = vit::parameters(w, model);
    AdamW optimizer(variables(parameters));
    save_training_state(folder.path("state"), parameters, optimizer, random, vit::metadata(model));
    const PublishedVit read = read_published_vit(folder.path("state"), {});
    CHECK(read.config.heads == 2);
    CHECK(identical(vit::forward({photograph()}, read.w, read.config).logits.value(),
                    vit::forward({photograph()}, w, model).logits.value()));
}

TEST_CASE("read_photograph: grey pixels serve for three channels, colours not for one") {
    const TemporaryFolder folder;
    const std::string grey = folder.path("grey.pgm"), colours = folder.path("colours.ppm");
    write_image(grey, Image(1, 2, 1, 0.5f));
    write_image(colours, photograph());
    const Image three = read_photograph(grey, model);
    CHECK(three.channels == 3);
    for (const float x : three.pixels) CHECK(x == Approx(0.5).epsilon(0.01));
    vit::Config one = model;
    one.grid.channels = 1;
    CHECK(error_of([&] { read_photograph(colours, one); }) ==
          "--image: " + colours + " has 3 channels, the model reads 1; convert it: magick FILE -colorspace gray FILE.pgm");
}
