#include "tools/bench/lines.h"

#include <memory>
#include <utility>

#include "bert/bert.h"
#include "gpt/families/llama.h"
#include "gpt/gpt.h"
#include "nn/autograd/operations.h"
#include "nn/base/functions.h"
#include "nn/base/matmul.h"
#include "nn/text/decoding.h"
#include "nn/text/memory.h"
#include "nn/training/train.h"
#include "vit/fields/plenoxels.h"
#include "vit/fields/spheres.h"
#include "vit/vit.h"

// --- matrix products ---

namespace {
enum class Form { plain, b_transposed, a_transposed };
}  // namespace

static std::function<void()> prepare_product(int m, int k, int n, Form form) {
    Random random(1);
    const bool a_t = form == Form::a_transposed, b_t = form == Form::b_transposed;
    const auto a = std::make_shared<Matrix>(normal_matrix(random, a_t ? k : m, a_t ? m : k));
    const auto b = std::make_shared<Matrix>(normal_matrix(random, b_t ? n : k, b_t ? k : n));
    const auto c = std::make_shared<Matrix>(m, n);
    return [=] {
        const Slice a_read = whole(std::as_const(*a)), b_read = whole(std::as_const(*b));
        multiply_add(whole(*c), a_t ? transposed(a_read) : a_read, b_t ? transposed(b_read) : b_read);
    };
}

static void add_products(std::vector<Line>& lines, int m, int k, int n) {
    const std::string size = std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n);
    const double operations = 2.0 * m * k * n;
    const double bytes = m == 1 ? 4.0 * k * n : 0;
    lines.push_back({"matmul A B    " + size, operations, bytes, 0, [=] { return prepare_product(m, k, n, Form::plain); }});
    lines.push_back(
        {"matmul A B^T  " + size, operations, bytes, 0, [=] { return prepare_product(m, k, n, Form::b_transposed); }});
    if (m > 1)
        lines.push_back(
            {"matmul A^T B  " + size, operations, bytes, 0, [=] { return prepare_product(m, k, n, Form::a_transposed); }});
}

// --- functions, on as many numbers as the MLP or the attention of ViT-B/16 has for one image ---

static std::function<void()> prepare_function(Var (*function)(const Var&), int rows, int cols) {
    Random random(1);
    const Var x(normal_matrix(random, rows, cols));
    return [=] { function(x); };
}

// Each number is read and its value written; the arithmetic depends on the function.
static void add_function(std::vector<Line>& lines, const std::string& name, Var (*function)(const Var&), int rows, int cols) {
    const double bytes = 2.0 * 4 * rows * cols;
    lines.push_back({name, 0, bytes, 0, [=] { return prepare_function(function, rows, cols); }, true});
}

static Var exp_line(const Var& x) { return exp(x); }
static Var gelu_line(const Var& x) { return activate(x, Activation::gelu); }
static Var softmax_line(const Var& x) { return softmax_rows(x); }

// --- the optimizer: bound by memory ---

static std::function<void()> prepare_adamw(int rows, int cols) {
    Random random(1);
    Var w = parameter(normal_matrix(random, rows, cols));
    w.gradient() = normal_matrix(random, rows, cols);
    const auto optimizer = std::make_shared<AdamW>(std::vector<Var>{w}, std::vector<Var>{});
    return [=] { optimizer->update(); };
}

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

// Generates `count` tokens greedily, which is bound by reading the weights.
static std::function<void()> prepare_generation(llama::Config config, int count) {
    Random random(1);
    const llama::Weights weights = llama::make_weights(config, random);
    return [=] { generate(make_batch({{1}}), weights, config, Limits{.new_tokens = count}); };
}

// Draws one token with top-p 0.9. The smaller the spread of the logits, the more tokens are kept.
static std::function<void()> prepare_top_p(int vocabulary, float spread) {
    Random random(1);
    const Matrix logits = normal_matrix(random, 1, vocabulary, spread);
    return [=] { draw_token(sampling_probabilities(logits, {.top_p = 0.9f}), 0, 0.5f); };
}

static std::function<void()> prepare_top_p_textbook(int vocabulary, float spread) {
    Random random(1);
    const Matrix probabilities = softmax_rows(normal_matrix(random, 1, vocabulary, spread)).value();
    return [=] {
        Matrix kept = probabilities;
        keep_top_p_textbook(kept.begin(), vocabulary, 0.9f);
    };
}

static void add_generation(std::vector<Line>& lines, const std::string& name, const llama::Config& config, int count) {
    const double E = config.width, keys = E / config.heads * config.key_value_heads;
    const double block = 2 * E * E + 2 * E * keys + 3 * E * config.mlp_width;
    const double weights = config.depth * block + E * config.vocabulary;
    lines.push_back(
        {name, 2 * weights * count, 4 * weights * count, 1.0 * count, [=] { return prepare_generation(config, count); }});
}

// --- a scene ---

// The grid of the Plenoxels lesson: 20^3 voxels with 28 numbers each.
static plenoxels::Grid bench_grid() { return plenoxels::full_grid({20, 20, 20}, {0.8, 0.8, 0.8}); }

// Mean number of samples per ray of the lesson's views.
static double samples_of_a_ray() {
    int rays = 0, samples = 0;
    for (const Point3& place : places_on_sphere(20, 3)) {
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

std::vector<Line> all_lines() {
    std::vector<Line> lines;
    add_products(lines, 64, 64, 64);
    add_products(lines, 197, 768, 768);
    add_products(lines, 256, 768, 3072);
    add_products(lines, 1024, 1024, 1024);
    add_products(lines, 256, 768, 50257);
    add_products(lines, 1, 768, 3072);
    add_function(lines, "exp      197x3072", exp_line, 197, 3072);
    add_function(lines, "gelu     197x3072", gelu_line, 197, 3072);
    add_function(lines, "softmax 2364x197", softmax_line, 12 * 197, 197);

    // For each number w, g, m and v are read, and w, m and v are written.
    lines.push_back({"adamw    4096x4096", 0, 7.0 * 4 * 4096 * 4096, 0, [] { return prepare_adamw(4096, 4096); }, true});

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
    for (const auto& [name, spread] : {std::pair("flat  ", 0.1f), std::pair("peaked", 5.0f)}) {
        const double bytes = 2.0 * 4 * 32000;  // logits are read, probabilities written
        const std::string line = std::string("top-p ") + name;
        lines.push_back({line + " V32000", 0, bytes, 0, [=, s = spread] { return prepare_top_p(32000, s); }});
        lines.push_back({line + " textbook", 0, bytes, 0, [=, s = spread] { return prepare_top_p_textbook(32000, s); }});
    }
    // The well-known small Llamas, whose output matrix is the table of words.
    add_generation(lines, "generate 110M",
                   {.width = 768, .depth = 12, .heads = 12, .key_value_heads = 12, .mlp_width = 2048, .tied = true}, 32);
    add_generation(lines, "generate 15M",
                   {.width = 288, .depth = 6, .heads = 6, .key_value_heads = 6, .mlp_width = 768, .tied = true}, 128);
    // Every sample reads 8 corners of 28 numbers; backward reads and writes them once more.
    const double corner_bytes = samples_of_a_ray() * 8 * 28 * 4;
    lines.push_back(
        {"plenoxels 20^3 fit 500 rays", 0, 3 * corner_bytes * 500, 0, [] { return prepare_fitting(500); }, false, 500});
    lines.push_back({"plenoxels 20^3 render 128x128", 0, corner_bytes * 128 * 128, 0, [] { return prepare_photograph(128); },
                     false, 128 * 128});
    return lines;
}
