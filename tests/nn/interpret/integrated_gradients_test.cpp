#include "nn/interpret/integrated_gradients.h"

#include <cmath>

#include "bert/heads.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/patches.h"
#include "tests/bert/bert_golden.h"
#include "tests/fixture_views.h"
#include "tests/test.h"
#include "tests/vit/vit_fixture.h"
#include "vit/vit.h"

namespace ig = integrated_gradients;

TEST_SUITE_BEGIN("integrated_gradients");

static const std::vector<std::pair<std::string, ig::Rule>> rules{
    {"riemann_left", ig::Rule::left},         {"riemann_right", ig::Rule::right},
    {"riemann_middle", ig::Rule::middle},     {"riemann_trapezoid", ig::Rule::trapezoid_as_published},
    {"trapezoid_exact", ig::Rule::trapezoid}, {"gausslegendre", ig::Rule::gauss_legendre},
};

namespace {

// The logit or probability of each row's own target.
struct Targets {
    std::vector<int> target;
    bool probabilities;
    Var of(const Var& logits) const { return pick(probabilities ? softmax_rows(logits) : logits, target); }  // (B, 1)
};

struct SentenceOutput : ig::Output {
    const heads::Weights& w;
    const heads::Config& config;
    bert::Batch batch;
    std::string step;
    Targets targets;
    SentenceOutput(const heads::Weights& w, const heads::Config& config, bert::Batch batch, std::string step, Targets targets)
        : w(w), config(config), batch(std::move(batch)), step(std::move(step)), targets(std::move(targets)) {}

    Var of(const Var& x) override {
        const ig::InputAt input(step, x);
        return targets.of(heads::classify_sequences(batch, w, config).logits);
    }
};

// Images as patches: every pixel of an image is a number of one of its rows.
struct ImageOutput : ig::Output {
    const vit::Weights& w;
    const vit::Config& config;
    std::vector<Image> images;
    Targets targets;
    ImageOutput(const vit::Weights& w, const vit::Config& config, std::vector<Image> images, Targets targets)
        : w(w), config(config), images(std::move(images)), targets(std::move(targets)) {}

    Var of(const Var& x) override {
        const ig::InputAt input("patches", x);
        return targets.of(vit::forward(images, w, config).logits);
    }
};

// Our rows in the fixture's layout: (B, T, E) is ours; pixels are (B, C, H, W).
struct Arranged {
    const vit::Config* image = nullptr;
    Matrix operator()(const Matrix& rows) const {
        return image == nullptr ? rows : channels_first_of(unpatchify_all(rows, image->grid));
    }
};

}  // namespace

static void check_layer(const Golden& golden, const std::string& layer, ig::Output& output, const Matrix& x,
                        const Matrix& baseline, int groups, const Arranged& arranged) {
    const ig::ValueAndGradient at_x = ig::gradient_at(output, x);
    golden.check(layer + ".gradient", arranged(at_x.gradient));
    golden.check(layer + ".input_x_gradient", arranged(multiply(x, at_x.gradient).value()));
    const int n = golden.file.metadata_int("n_steps");
    for (const auto& [name, rule] : rules) {
        const ig::Attribution attribution = ig::attribute(output, x, baseline, ig::points(rule, n), groups);
        golden.check(layer + "." + name + ".attributions", arranged(attribution.attributions));
        golden.check(layer + "." + name + ".delta", row_of(attribution.delta));
        if (rule != ig::Rule::gauss_legendre) continue;
        golden.check(layer + ".gausslegendre.outputs", attribution.outputs);
        std::vector<Var> gradients;
        for (const Matrix& gradient : attribution.gradients) gradients.push_back(arranged(gradient));
        golden.check(layer + ".gausslegendre.gradients", concat_rows(gradients).value());
        const Matrix totals = reshape(ig::row_totals(attribution.attributions), groups, x.rows / groups);
        if (arranged.image != nullptr) {
            golden.check(layer + ".gausslegendre.patch_attributions", totals);
        } else {
            golden.check(layer + ".gausslegendre.token_attributions", totals);
            golden.check(layer + ".gausslegendre.token_attributions_normalised",
                         reshape(ig::normalised_totals(attribution.attributions, groups), groups, x.rows / groups));
        }
    }
    const ig::Attribution converged = ig::attribute(output, x, baseline, ig::points(ig::Rule::gauss_legendre, 200), groups);
    golden.check(layer + ".converged.attributions", arranged(converged.attributions));
}

static void check_points(const Golden& golden) {
    for (const auto& [name, rule] : rules) {
        const ig::Points points = ig::points(rule, golden.file.metadata_int("n_steps"));
        golden.check(name + ".alphas", row_of({points.alphas.begin(), points.alphas.end()}));
        golden.check(name + ".step_sizes", row_of({points.weights.begin(), points.weights.end()}));
    }
}

// F(x), F(b) and their difference, from the logits of both.
static void check_outputs(const Golden& golden, const Matrix& logits, const Matrix& baseline_logits, const Targets& targets) {
    golden.check("logits", logits);
    golden.check("baseline_logits", baseline_logits);
    golden.check("output", targets.probabilities ? softmax_rows(logits).value() : logits);
    golden.check("baseline_output", targets.probabilities ? softmax_rows(baseline_logits).value() : baseline_logits);
    golden.check("difference", reshape(subtract(targets.of(logits), targets.of(baseline_logits)).value(), 1, logits.rows));
}

static void check_sentences(const Golden& golden, const Targets& targets) {
    const heads::Config config =
        heads::make_config(bert_config(golden), heads::Task::sequences, golden.file.metadata_int("num_labels"));
    Random random(1);
    const heads::Weights w = heads::make_weights(config, random);
    golden.load_weights(with_names_of(heads::parameters(w, config), golden));
    const bert::Batch batch = bert_batch(golden);
    bert::Batch baseline = batch;  // the mask stays that of the sentence
    baseline.ids = golden.integers("input.baseline_input_ids");
    const heads::Steps steps = heads::classify_sequences(batch, w, config),
                       of_baseline = heads::classify_sequences(baseline, w, config);
    check_outputs(golden, steps.logits.value(), of_baseline.logits.value(), targets);
    SentenceOutput words(w, config, batch, "token_embeddings", targets), embeddings(w, config, batch, "embeddings", targets);
    const bert::TokenEmbedding &of_x = steps.trunk.embedding, &of_b = of_baseline.trunk.embedding;
    golden.check("word_embeddings.input", of_x.token_embeddings.value());
    golden.check("word_embeddings.baseline", of_b.token_embeddings.value());
    golden.check("embeddings.input", of_x.z0.value());
    golden.check("embeddings.baseline", of_b.z0.value());
    check_layer(golden, "word_embeddings", words, of_x.token_embeddings.value(), of_b.token_embeddings.value(), batch.sequences,
                {});
    check_layer(golden, "embeddings", embeddings, of_x.z0.value(), of_b.z0.value(), batch.sequences, {});
}

static void check_images(const Golden& golden, const Targets& targets) {
    const vit::Config config = vit_of_fixture(golden);
    Random random(1);
    const vit::Weights w = vit::make_weights(config, random);
    golden.load_weights(vit::parameters(w, config));
    const std::vector<Image> images = images_of(golden, "input.pixel_values"),
                             baseline = images_of(golden, "input.baseline_pixel_values");
    check_outputs(golden, vit::forward(images, w, config).logits.value(), vit::forward(baseline, w, config).logits.value(),
                  targets);
    ImageOutput output(w, config, images, targets);
    const Matrix x = patchify_all(images, config.grid, "test"), b = patchify_all(baseline, config.grid, "test");
    check_layer(golden, "pixels", output, x, b, static_cast<int>(images.size()), {&config});
}

TEST_CASE("integrated_gradients: points, gradients, attributions and their errors equal captum's, by six rules") {
    for (const std::string& path : golden_files("integrated_gradients")) {
        const Golden golden(path);
        const Targets targets{golden.integers("input.target"), golden.file.metadata_text("output") == "probabilities"};
        check_points(golden);
        if (golden.file.metadata_text("model") == "vit")
            check_images(golden, targets);
        else
            check_sentences(golden, targets);
        golden.check_all_used();
    }
}

// --- by hand ---

namespace {
struct Product : ig::Output {  // F = x1 x2
    Var of(const Var& x) override { return multiply(slice_cols(x, 0, 1), slice_cols(x, 1, 1)); }
};
struct Saturated : ig::Output {  // F = 1 - max(0, 1 - x)
    Var of(const Var& x) override { return shift(scale(maximum(shift(scale(x, -1), 1), Matrix(1, 1)), -1), 1); }
};
struct Linearly : ig::Output {  // F = 3 x1 - x2
    Var of(const Var& x) override { return matmul(x, Matrix{{3}, {-1}}); }
};
}  // namespace

TEST_CASE("attribute: F = x1 x2 gives each factor half; the left sum of 4 points gives 3/8 of F") {
    Product product;
    const Matrix x{{2, 3}}, zero(1, 2);
    for (const ig::Rule rule : {ig::Rule::middle, ig::Rule::gauss_legendre, ig::Rule::trapezoid}) {
        const ig::Attribution a = ig::attribute(product, x, zero, ig::points(rule, 4), 1);
        check_close("half each", a.attributions, Matrix{{3, 3}});
        CHECK(a.delta[0] == Approx(0).epsilon(1e-5));
    }
    check_close("left", ig::attribute(product, x, zero, ig::points(ig::Rule::left, 4), 1).attributions, Matrix{{2.25f, 2.25f}});
    check_close("one point", ig::attribute(product, x, zero, ig::points(ig::Rule::gauss_legendre, 1), 1).attributions,
                Matrix{{3, 3}});
}

TEST_CASE("attribute: a saturated unit has gradient 0 at x = 2, and integrated gradient 1") {
    Saturated saturated;
    CHECK(ig::gradient_at(saturated, Matrix{{2}}).gradient[0] == 0);
    CHECK(ig::attribute(saturated, Matrix{{2}}, Matrix{{0}}, ig::points(ig::Rule::middle, 4), 1).attributions[0] == Approx(1));
}

TEST_CASE("attribute: a linear F gives weight times (x - b) whatever the rule; the published trapezoid loses 1/n of it") {
    Linearly linearly;
    const Matrix x{{2, 3}, {0, 1}}, b{{1, 1}, {0, 0}};
    const Matrix expected{{3, -2}, {0, -1}};
    for (const auto& [name, rule] : rules) {
        const ig::Attribution a = ig::attribute(linearly, x, b, ig::points(rule, 5), 2);
        const float share = rule == ig::Rule::trapezoid_as_published ? 0.8f : 1;
        check_close(name, a.attributions, scale(expected, share).value());
        CHECK(a.delta[0] == Approx(share - 1));  // 3 - 2 = 1 in all
    }
}

TEST_CASE("points: Gauss-Legendre by hand: 2 points at 1/2 -+ 1/sqrt 12 with weight 1/2; weights add up to 1") {
    const ig::Points two = ig::points(ig::Rule::gauss_legendre, 2);
    CHECK(two.alphas[0] == Approx(0.5 - 1 / std::sqrt(12.0)));
    CHECK(two.alphas[1] == Approx(0.5 + 1 / std::sqrt(12.0)));
    CHECK(two.weights[0] == Approx(0.5));
    for (const auto& [name, rule] : rules) {
        double total = 0;
        for (const double w : ig::points(rule, 7).weights) total += w;
        CHECK(total == Approx(rule == ig::Rule::trapezoid_as_published ? 6.0 / 7 : 1));
    }
    CHECK_THROWS_WITH(ig::points(ig::Rule::trapezoid, 1), "integrated_gradients: 1 points, a trapezoid needs 2");
    CHECK_THROWS_WITH(ig::points(ig::Rule::left, 0), "integrated_gradients: 0 points, at least 1 is needed");
}

TEST_CASE("attribute: arguments that do not fit are refused") {
    Linearly linearly;
    const ig::Points points = ig::points(ig::Rule::middle, 2);
    CHECK_THROWS_WITH(ig::attribute(linearly, Matrix(2, 2), Matrix(1, 2), points, 1),
                      "integrated_gradients: the input is (2, 2), the baseline (1, 2), the shapes must be equal");
    CHECK_THROWS_WITH(ig::attribute(linearly, Matrix(3, 2), Matrix(3, 2), points, 2),
                      "integrated_gradients: 2 groups of the rows of (3, 2), all must have the same number of rows");
}

TEST_CASE("attribute: an output that does not depend on the input attributes nothing to it") {
    struct Constant : ig::Output {
        Var weight = parameter(Matrix(1, 1, 7));
        Var of(const Var&) override { return scale(weight, 2); }
    } constant;
    const ig::Points points = ig::points(ig::Rule::middle, 2);
    CHECK(identical(ig::attribute(constant, Matrix(2, 3, 1), Matrix(2, 3), points, 1).attributions, Matrix(2, 3)));
}

TEST_CASE("normalised_totals: the row sums of each group, divided by their length; zeros stay") {
    // row sums 3 and 4, 0 and 0, 12 and -9
    const Matrix attributions{{2, 1}, {4, 0}, {1, -1}, {0, 0}, {5, 7}, {0, -9}};
    check_close("totals", ig::normalised_totals(attributions, 3), Matrix{{0.6f}, {0.8f}, {0}, {0}, {0.8f}, {-0.6f}});
}

TEST_CASE("normalised_totals: rows that do not split into groups are refused") {
    CHECK_THROWS_WITH(ig::normalised_totals(Matrix(3, 2), 2),
                      "integrated_gradients: 2 groups of the rows of (3, 2), all must have the same number of rows");
    CHECK_THROWS_WITH(ig::normalised_totals(Matrix(3, 2), 0),
                      "integrated_gradients: 0 groups of the rows of (3, 2), all must have the same number of rows");
    CHECK(ig::normalised_totals(Matrix(3, 2, 1), 1).rows == 3);
    CHECK(ig::normalised_totals(Matrix(3, 2, 1), 3).rows == 3);
}

TEST_CASE("attribute: NaN and points without weights are refused") {
    Linearly linearly;
    const ig::Points points = ig::points(ig::Rule::middle, 2);
    CHECK_THROWS_WITH(ig::attribute(linearly, {{NAN, 0}}, {{0, 0}}, points, 1),
                      "integrated_gradients: the numbers of the input (1, 2) hold nan in row 0, column 0 (from 0); all must be "
                      "finite, trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(ig::attribute(linearly, {{1, 0}}, {{0, INFINITY}}, points, 1),
                      "integrated_gradients: the numbers of the baseline (1, 2) hold inf in row 0, column 1 (from 0); all must "
                      "be finite, trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(
        ig::attribute(linearly, {{1, 0}}, {{0, 0}}, {}, 1),
        "integrated_gradients: 0 points with 0 weights; there must be at least one, and a weight for each, see points()");
    CHECK_THROWS_WITH(
        ig::attribute(linearly, {{1, 0}}, {{0, 0}}, {{0.5}, {}}, 1),
        "integrated_gradients: 1 points with 0 weights; there must be at least one, and a weight for each, see points()");
    CHECK_THROWS_WITH(ig::points(ig::Rule::trapezoid, 1), "integrated_gradients: 1 points, a trapezoid needs 2");
    CHECK(ig::points(ig::Rule::trapezoid, 2).alphas == std::vector<double>{0, 1});
    CHECK(ig::points(ig::Rule::left, 1).alphas == std::vector<double>{0});
}

TEST_CASE("OutputOf, attribute: rows, columns, groups and outputs that do not match are refused") {
    const auto refusal = [](const std::vector<int>& rows, const std::vector<int>& columns, const std::vector<int>& against) {
        return error_of([&] { ig::OutputOf([] { return Var(Matrix(1, 1)); }, "embeddings", rows, columns, against); });
    };
    CHECK(refusal({0}, {1}, {}).empty());
    CHECK(refusal({0}, {1}, {2}).empty());
    CHECK(refusal({0}, {1, 2}, {}) == "integrated_gradients: 2 outputs of 1 rows are to be explained, 0 to be subtracted");
    CHECK(refusal({0}, {1, 2}, {1}) == "integrated_gradients: 2 outputs of 1 rows are to be explained, 1 to be subtracted");
    CHECK(refusal({0, 1}, {1, 2}, {1}) == "integrated_gradients: 2 outputs of 2 rows are to be explained, 1 to be subtracted");
    struct Itself : ig::Output {
        Var of(const Var& x) override { return x; }
    } itself;
    const ig::Points points = ig::points(ig::Rule::middle, 1);
    CHECK_THROWS_WITH(ig::attribute(itself, Matrix(1, 2), Matrix(1, 2), points, 1),
                      "integrated_gradients: the output is (1, 2), it should be one number for each group, (B, 1)");
    CHECK_THROWS_WITH(ig::attribute(itself, Matrix(2, 1), Matrix(2, 1), points, 1),
                      "integrated_gradients: 2 outputs for 1 groups, each needs one");
    CHECK_THROWS_WITH(ig::attribute(itself, Matrix(2, 1), Matrix(2, 1), points, 0),
                      "integrated_gradients: 0 groups of the rows of (2, 1), all must have the same number of rows");
    CHECK(identical(ig::attribute(itself, Matrix(2, 1, 3), Matrix(2, 1), points, 2).attributions, Matrix(2, 1, 3)));
}

TEST_CASE("points, attribute, input_of: too many points, those that are no numbers, and no run are refused") {
    namespace ig = integrated_gradients;
    CHECK(ig::points(ig::Rule::middle, 10'000).alphas.size() == 10'000);
    CHECK_THROWS_WITH(ig::points(ig::Rule::middle, 10'001), doctest::Contains("integrated_gradients: 10001 points, each costs"));
    struct Sum : ig::Output {
        Var of(const Var& x) override { return sum(x); }
    } output;
    const Matrix x(1, 2, 1);
    CHECK_THROWS_WITH(ig::attribute(output, x, x, {{0.5, NAN}, {0.5, 0.5}}, 1),
                      "integrated_gradients: point 1 is nan with weight 0.500000, both must be finite");
    CHECK_THROWS_WITH(ig::attribute(output, x, x, {{0.5}, {INFINITY}}, 1),
                      "integrated_gradients: point 0 is 0.500000 with weight inf, both must be finite");
    CHECK_THROWS_WITH(ig::input_of(nullptr, "input"),
                      "integrated_gradients: no run is given; give a function that runs the model once");
}

TEST_CASE("OutputOf: no run is refused, and a step that the run does not have") {
    CHECK(error_of([] { ig::OutputOf(nullptr, "embeddings", {0}, {0}); }) ==
          "integrated_gradients: no run is given; give a function that runs the model once");
    const auto run = [] { return named_step("embeddings", Var(Matrix{{1, 2}})); };
    ig::OutputOf right(run, "embeddings", {0}, {1}), wrong(run, "embedding", {0}, {1});
    CHECK(right.of(Var(Matrix{{3, 4}})).value()[0] == 4);
    CHECK(error_of([&] {
              wrong.of(Var(Matrix{{3, 4}}));
          }) == "integrated_gradients: the run has no step embedding whose value could be replaced; see hook.h for the names");
}

TEST_SUITE_END();
