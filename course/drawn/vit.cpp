// vit.cpp: the questions for the tasks of the module vit.
#include "vit/vit.h"

#include <algorithm>

#include "course/drawn/drawn.h"
#include "nn/data/patches.h"
#include "nn/layers/position.h"
#include "nn/maps/resize.h"
#include "vit/mask_pixels/mae.h"
#include "vit/mask_pixels/masking.h"

static Image random_image(Random& random, int height, int width, int channels) {
    Image image(height, width, channels);
    for (float& pixel : image.pixels) pixel = random.uniform();
    return image;
}

static const Drawn patches("patchify", [](Random& random, int round, Answers& answers) {
    const int P = 2 + round, down = between(random, 2, 3), across = down + 1;
    const Image grey = random_image(random, down * P, across * P, 1), colour = random_image(random, down * P, across * P, 3);
    answers.ask("grey", [&] { return patchify(grey, P); });
    answers.ask("three channels", [&] { return patchify(colour, P); });
    answers.ask("channel-major", [&] { return patchify_channel_major(colour, P); });
});

static const Drawn embedding("embed_patches", [](Random& random, int round, Answers& answers) {
    const int P = 2, down = 2 + round, across = down + 1;
    vit::Config config{.grid = {.height = down * P, .width = across * P, .patch_size = P, .channels = 3},
                       .width = 5 + 2 * round,
                       .depth = 0,
                       .heads = 1,
                       .mlp_width = 8,
                       .classes = 0};
    vit::Weights w = vit::make_weights(config, random);
    w.projection.weight = normal_matrix(random, config.grid.numbers(), config.width);
    w.projection.bias = normal_matrix(random, 1, config.width);
    w.class_token = normal_matrix(random, 1, config.width);
    w.positions = normal_matrix(random, config.grid.count() + 1, config.width);
    std::vector<Image> images;
    for (int b = 0; b < 3; ++b) images.push_back(random_image(random, down * P, across * P, 3));
    answers.ask("patches", [&] { return vit::embed_patches(images, w, config).patches; });
    answers.ask("patch embeddings", [&] { return vit::embed_patches(images, w, config).patch_embeddings; });
    answers.ask("with the class token", [&] { return vit::embed_patches(images, w, config).tokens; });
    answers.ask("with positions", [&] { return vit::embed_patches(images, w, config).z0; });
    answers.ask("one image", [&] { return vit::embed_patches({images[1]}, w, config).z0; });
});

static const Drawn grid_positions("grid_positions", [](Random& random, int round, Answers& answers) {
    const int rows = between(random, 2, 4), cols = rows + 1 + round, width = 4 * (2 + round);
    answers.ask("a grid wider than high", [&] { return sine_cosine_grid(rows, cols, width); });
    answers.ask("a grid higher than wide", [&] { return sine_cosine_grid(cols, rows, width); });
    answers.ask("the narrowest code", [&] { return sine_cosine_grid(rows, cols, 4); });
});

static const Drawn cubic("bicubic", [](Random& random, int round, Answers& answers) {
    const int height = between(random, 3, 4), width = height + 2 + round, channels = 2;
    const MapSize size{.images = 2, .height = height, .width = width};
    const Map map{normal_matrix(random, size.rows(), channels), size};
    const auto resized = [&](int down, int across) { return resize(map, down, across, Interpolation::bicubic).pixels; };
    answers.ask("the same size", [&] { return resized(height, width); });
    answers.ask("twice as large", [&] { return resized(2 * height, 2 * width); });
    answers.ask("larger, and no whole factor", [&] { return resized(height + 2, width + 3); });
    answers.ask("smaller", [&] { return resized(height - 1, width - 2); });
});

static Matrix as_rows(const std::vector<int>& numbers, int rows) {
    require(numbers.size() % rows == 0, numbers.size(), " numbers do not make ", rows, " rows");
    Matrix m(rows, static_cast<int>(numbers.size()) / rows);
    std::copy(numbers.begin(), numbers.end(), m.begin());
    return m;
}

static const Drawn masking("mae_masking", [](Random& random, int round, Answers& answers) {
    const int down = 2 + round, across = down + 1, B = between(random, 2, 3);
    const float ratios[] = {0.5f, 0.6f, 0.75f};
    mae::Config config;
    config.grid = {.height = down, .width = across, .patch_size = 1, .channels = 1};
    config.mask_ratio = ratios[round];
    const Matrix noise = uniform_matrix(random, B, config.grid.count());
    answers.ask("shuffle", [&] { return as_rows(mae::random_masking(noise, config).shuffle, B); });
    answers.ask("keep", [&] { return as_rows(mae::random_masking(noise, config).keep, B); });
    answers.ask("restore", [&] { return as_rows(mae::random_masking(noise, config).restore, B); });
    answers.ask("mask", [&] { return mae::random_masking(noise, config).mask; });
});

static const Drawn targets("patch_targets", [](Random& random, int round, Answers& answers) {
    const int n = between(random, 3, 5), numbers = 4 + 3 * round;
    Matrix bright = uniform_matrix(random, n, numbers, 0.2f, 0.9f), flat = bright;
    for (int k = 0; k < numbers; ++k) flat(1, k) = 0.5f + 1e-4f * static_cast<float>(k % 2);
    Matrix dark = bright;
    for (float& x : dark) x *= 0.01f;
    answers.ask("bright patches", [&] { return normalise_patches(bright); });
    answers.ask("a patch that is nearly flat", [&] { return normalise_patches(flat); });
    answers.ask("dark patches", [&] { return normalise_patches(dark); });
});
