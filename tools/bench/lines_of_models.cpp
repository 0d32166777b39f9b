// lines_of_models.cpp: the benchmarks of whole models: training, a forward pass, generation, a scene.
#include <memory>
#include <utility>

#include "bert/bert.h"
#include "gpt/families/llama.h"
#include "gpt/gpt.h"
#include "nn/autograd/small_weights.h"
#include "nn/text/decoding.h"
#include "nn/text/memory.h"
#include "nn/training/train.h"
#include "tools/bench/lines.h"
#include "vit/fields/plenoxels.h"
#include "vit/fields/spheres.h"
#include "vit/vit.h"

// --- models ---

static std::vector<int> random_ids(Random& random, int count, int vocabulary) {
    std::vector<int> ids;
    for (int i = 0; i < count; ++i) ids.push_back(random.below(vocabulary));
    return ids;
}

static std::vector<Image> random_images(Random& random, int count, const vit::Config& config) {
    std::vector<Image> images;
    for (int i = 0; i < count; ++i) {
        Image image(config.grid.height, config.grid.width, config.grid.channels);
        for (float& x : image.pixels) x = random.uniform();
        images.push_back(image);
    }
    return images;
}

// Operations of a stack of blocks, forward: two for each weight and token, and two products of tokens with tokens.
static double stack_operations(int sequences, int tokens, int depth, double width, double mlp_width) {
    const double weights = 4 * width * width + 2 * width * mlp_width;
    return 2.0 * sequences * tokens * depth * (weights + 2 * tokens * width);
}

namespace {
struct GptTraining : Objective {
    gpt::Config config;
    gpt::Weights weights;
    std::vector<int> ids, labels;
    int length;

    GptTraining(const gpt::Config& config, const gpt::Weights& weights, const std::vector<int>& ids, int length)
        : config(config), weights(weights), ids(ids), labels(next_tokens(ids, length)), length(length) {}

    Var loss(int) override { return gpt::loss(gpt::forward(ids, length, weights, config), labels); }
};
}  // namespace

// No clipping: what is measured is forward, backward and AdamW.
static const Recipe bench_recipe{.schedule = {.descent = Descent::none}, .clip_norm = no_clipping, .weight_decay = 0.01f};

static std::function<void()> prepare_gpt_training(gpt::Config config, int sequences, int length) {
    Random random(1);
    const gpt::Weights weights = gpt::make_weights(config, random);
    const std::vector<int> ids = random_ids(random, sequences * length, config.vocabulary);
    const auto training = std::make_shared<GptTraining>(config, weights, ids, length);
    const auto trainer = std::make_shared<Trainer>(weights_decay(gpt::parameters(weights, config)), bench_recipe);
    return [=] { train_step(*training, *trainer); };
}

namespace {
struct VitTraining : Objective {
    vit::Config config;
    vit::Weights weights;
    std::vector<Image> images;
    std::vector<int> labels;

    VitTraining(const vit::Config& config, const vit::Weights& weights, std::vector<Image> images, std::vector<int> labels)
        : config(config), weights(weights), images(std::move(images)), labels(std::move(labels)) {}

    Var loss(int) override { return vit::loss(vit::forward(images, weights, config), labels); }
};
}  // namespace

static std::function<void()> prepare_vit_training(vit::Config config, int count) {
    Random random(1);
    const vit::Weights weights = vit::make_weights(config, random);
    const std::vector<Image> images = random_images(random, count, config);
    const std::vector<int> labels = random_ids(random, count, config.classes);
    const auto training = std::make_shared<VitTraining>(config, weights, images, labels);
    const auto trainer = std::make_shared<Trainer>(weights_decay(vit::parameters(weights, config)), bench_recipe);
    return [=] { train_step(*training, *trainer); };
}

static std::function<void()> prepare_vit_forward(vit::Config config, int count) {
    Random random(1);
    const vit::Weights weights = vit::make_weights(config, random);
    const std::vector<Image> images = random_images(random, count, config);
    return [=] { vit::forward(images, weights, config); };
}

static std::function<void()> prepare_bert_forward(bert::Config config, int length) {
    Random random(1);
    const bert::Weights weights = bert::make_weights(config, random);
    const bert::Batch batch = bert::make_batch({random_ids(random, length, config.vocabulary)});
    return [=] { bert::forward(batch, weights, config); };
}

// --- generation ---

// Generates `count` tokens greedily, which is bound by reading the weights.
static std::function<void()> prepare_generation(llama::Config config, int count, WeightFormat format) {
    Random random(1);
    const auto weights = std::make_shared<llama::Weights>(llama::make_weights(config, random));
    const auto generated = [=](int tokens) { generate(make_batch({{1}}), *weights, config, Limits{.new_tokens = tokens}); };
    const auto small = std::make_shared<SmallWeights>(format, [=] { generated(1); });
    return [=, keep = small] { generated(count); };
}

// The bytes of a number, with its part of a scale.
static double bytes_of_number(WeightFormat format) {
    return format == WeightFormat::float32 ? 4 : format == WeightFormat::bfloat16 ? 2 : 1.125;
}

static void add_generation(std::vector<Line>& lines, const std::string& name, const llama::Config& config, int count) {
    const double E = config.width, keys = E / config.heads * config.key_value_heads;
    const double block = 2 * E * E + 2 * E * keys + 3 * E * config.mlp_width;
    const double weights = config.depth * block + E * config.vocabulary;
    const std::string floats = name + " " + name_of(WeightFormat::float32);
    for (const WeightFormat format : {WeightFormat::float32, WeightFormat::bfloat16, WeightFormat::int8})
        lines.push_back({.name = name + " " + name_of(format),
                         .operations = 2 * weights * count,
                         .bytes = bytes_of_number(format) * weights * count,
                         .tokens = 1.0 * count,
                         .prepare = [=] { return prepare_generation(config, count, format); },
                         .rival = format == WeightFormat::float32 ? "" : floats});
}

// --- a scene ---

// The grid of the Plenoxels lesson: 20^3 voxels with 28 numbers each.
static plenoxels::Grid bench_grid() { return plenoxels::full_grid({20, 20, 20}, {0.8, 0.8, 0.8}); }

// Mean number of samples per ray of the lesson's views.
static double samples_of_a_ray() {
    int rays = 0, samples = 0;
    for (const Point3& place : points_on_sphere(20, 3)) {
        const plenoxels::Samples of_view =
            plenoxels::sample_rays(rays_of(look_at(place, {}, {0, 0, 1}, 24, 24, 45), 0.5), bench_grid(), {});
        rays += of_view.rays.size();
        samples += of_view.t.rows;
    }
    return static_cast<double>(samples) / rays;
}

// One step of fitting: forward, total variation, backward, RMSProp.
static std::function<void()> prepare_fitting(int rays) {
    const plenoxels::Config config;
    const plenoxels::Scene scene{bench_grid(), plenoxels::make_weights(bench_grid(), config)};
    const auto fitting = std::make_shared<plenoxels::Fitting>(scene, pixel_rays(views_of(four_spheres(), 20, 24)), config,
                                                              plenoxels::FitRecipe{.batch = rays}, 1);
    const auto optimizer = std::make_shared<plenoxels::RmsProp>(std::vector<Var>{scene.weights.density, scene.weights.harmonics},
                                                                std::vector<float>{0, 0});
    return [=] { train_step(*fitting, 0, *optimizer, 1, no_clipping); };
}

static std::function<void()> prepare_photograph(int side) {
    const plenoxels::Config config;
    const plenoxels::Scene scene{bench_grid(), plenoxels::make_weights(bench_grid(), config)};
    const Camera camera = look_at({3, 0, 1}, {}, {0, 0, 1}, side, side, 45);
    return [=] { plenoxels::photograph(camera, scene, config); };
}

std::vector<Line> lines_of_models() {
    std::vector<Line> lines;
    const gpt::Config gpt2;
    const double gpt2_forward =
        stack_operations(4, 64, gpt2.depth, gpt2.width, gpt2.mlp_width) + 2.0 * 256 * gpt2.width * gpt2.vocabulary;
    lines.push_back({"gpt2-124M train B4 T64", 3 * gpt2_forward, 0, 0, [=] { return prepare_gpt_training(gpt2, 4, 64); }});

    const vit::Config vit_base;
    for (const int count : {1, 8}) {
        const double operations =
            stack_operations(count, 197, vit_base.depth, vit_base.width, vit_base.mlp_width) + 2.0 * count * 196 * 768 * 768;
        lines.push_back({"vit-b16 forward B" + std::to_string(count), operations, 0, 0,
                         [=] { return prepare_vit_forward(vit_base, count); }});
    }
    const bert::Config bert_base;
    lines.push_back({"bert-base forward T128", stack_operations(1, 128, bert_base.depth, bert_base.width, bert_base.mlp_width), 0,
                     0, [=] { return prepare_bert_forward(bert_base, 128); }});

    const vit::Config tiny{.grid = {.height = 32, .width = 32, .patch_size = 4},
                           .width = 64,
                           .depth = 2,
                           .heads = 4,
                           .mlp_width = 256,
                           .classes = 10};
    for (const int count : {16, 1}) {
        const double operations = 3 * (stack_operations(count, 65, 2, 64, 256) + 2.0 * count * 64 * 48 * 64);
        lines.push_back({"tiny train L2 d64 h4 T65 B" + std::to_string(count), operations, 0, 0,
                         [=] { return prepare_vit_training(tiny, count); }});
    }
    return lines;
}

std::vector<Line> lines_of_generation() {
    std::vector<Line> lines;
    // The well-known small Llamas, whose output matrix is the token embedding.
    add_generation(lines, "generate 110M",
                   {.width = 768, .depth = 12, .heads = 12, .key_value_heads = 12, .mlp_width = 2048, .tied = true}, 32);
    add_generation(lines, "generate 15M",
                   {.width = 288, .depth = 6, .heads = 6, .key_value_heads = 6, .mlp_width = 768, .tied = true}, 128);
    return lines;
}

std::vector<Line> lines_of_growth() {
    std::vector<Line> lines;
    const gpt::Config small{.vocabulary = 512, .positions = 1024, .width = 128, .depth = 4, .heads = 4, .mlp_width = 512};
    const auto add = [&](const std::string& growth, const std::string& size, int B, int T) {
        const double forward = stack_operations(B, T, small.depth, small.width, small.mlp_width) + 2.0 * B * T * 128 * 512;
        lines.push_back({.name = "gpt L4 E128 train " + size,
                         .operations = 3 * forward,
                         .prepare = [=] { return prepare_gpt_training(small, B, T); },
                         .growth = growth});
    };
    for (const int T : {64, 128, 256, 512, 1024}) add("T, with B 1", "B1 T" + std::to_string(T), 1, T);
    for (const int B : {1, 2, 4, 8, 16}) add("B, with T 64", "T64 B" + std::to_string(B), B, 64);
    return lines;
}

std::vector<Line> lines_of_scenes() {
    std::vector<Line> lines;
    // Every sample reads 8 corners of 28 numbers; backward reads and writes them once more.
    const double corner_bytes = samples_of_a_ray() * 8 * 28 * 4;
    lines.push_back(
        {"plenoxels 20^3 fit 500 rays", 0, 3 * corner_bytes * 500, 0, [] { return prepare_fitting(500); }, false, 500});
    lines.push_back({"plenoxels 20^3 render 128x128", 0, corner_bytes * 128 * 128, 0, [] { return prepare_photograph(128); },
                     false, 128 * 128});
    return lines;
}
