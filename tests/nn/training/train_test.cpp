#include "nn/training/train.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("train");

namespace {
// Half the squared distance to a target: the gradient is w - target.
struct Chase : Objective {
    Var w = parameter(Matrix{{3, 4}});
    Matrix target{{0, 0}};
    std::vector<int> steps_seen;

    Var loss(int step) override {
        steps_seen.push_back(step);
        return scale(sum(square(subtract(w, target))), 0.5f);
    }
};

struct Notes : Watcher {
    std::vector<int> steps;
    std::vector<float> losses;
    int last = 1000;
    bool after_step(int step, float loss) override {
        steps.push_back(step);
        losses.push_back(loss);
        return step < last;
    }
};

struct NothingToLearn : Chase {
    Var loss(int step) override { return step % 2 == 0 ? Var() : Chase::loss(step); }
};

struct NotFinite : Chase {
    float value = 0;
    Var loss(int) override { return scale(sum(w), value); }
};
}  // namespace

TEST_CASE("train_step: loss, clipped gradient, update, by hand") {
    // w = (3, 4), loss = 25 / 2, gradient (3, 4) of length 5, clipped to 1: (0.6, 0.8); rate 0.5: w = (2.7, 3.6)
    Chase chase;
    Sgd descent({chase.w});
    CHECK(train_step(chase, 0, descent, 0.5f, 1) == 12.5f);
    CHECK(chase.w.value()(0, 0) == Approx(2.7));
    CHECK(chase.w.value()(0, 1) == Approx(3.6));
    CHECK(chase.w.gradient().empty());  // zeroed for the next step
    CHECK(descent.steps == 1);
}

TEST_CASE("train_step: without clipping the whole gradient is used") {
    Chase chase;
    Sgd descent({chase.w});
    train_step(chase, 0, descent, 0.5f, no_clipping);
    CHECK(chase.w.value()(0, 0) == Approx(1.5));
    CHECK(chase.w.value()(0, 1) == Approx(2));
}

TEST_CASE("train: bit-identical to the loop written out, with decay and schedule") {
    const Recipe recipe{.schedule = {.peak = 0.1f, .warm_up = 2, .steps = 6, .descent = Descent::linear, .floor = 0.1f},
                        .clip_norm = 2,
                        .weight_decay = 0.1f,
                        .beta1 = 0.8f,
                        .beta2 = 0.95f,
                        .eps = 1e-3f};
    Chase chase;
    const std::vector<float> losses = train(chase, {.decayed = {chase.w}, .not_decayed = {}}, recipe);

    Chase by_hand;
    AdamW optimizer({by_hand.w}, {}, {.beta1 = 0.8f, .beta2 = 0.95f, .eps = 1e-3f, .weight_decay = 0.1f});
    std::vector<float> expected;
    for (int step = 0; step < 6; ++step) {
        const Tape tape;
        const Var loss = by_hand.loss(step);
        backward(loss);
        clip_gradient_norm({by_hand.w}, 2);
        optimizer.update(learning_rate(recipe.schedule, step));
        by_hand.w.zero_gradient();
        expected.push_back(loss.value()(0, 0));
    }
    CHECK(losses == expected);
    CHECK(identical(chase.w.value(), by_hand.w.value()));
    CHECK(chase.steps_seen == std::vector<int>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("train: gradients left from before the first step are ignored") {
    Chase fresh, used;
    used.w.gradient() = Matrix{{-100, 50}};
    const Recipe recipe{.schedule = {.peak = 0.1f, .steps = 3}};
    train(fresh, nothing_decays({fresh.w}), recipe);
    train(used, nothing_decays({used.w}), recipe);
    CHECK(identical(fresh.w.value(), used.w.value()));
}

TEST_CASE("train: the watcher gets every loss and can stop the training") {
    Chase chase;
    Notes notes;
    notes.last = 2;
    const std::vector<float> losses = train(chase, nothing_decays({chase.w}), {.schedule = {.peak = 0.1f, .steps = 10}}, &notes);
    CHECK(notes.steps == std::vector<int>{0, 1, 2});
    CHECK(notes.losses == losses);
    CHECK(losses[0] == 12.5f);
    CHECK(losses[2] < losses[1]);
}

TEST_CASE("ShowProgress: never stops the training") {
    ShowProgress progress("test", 3);
    CHECK(progress.after_step(0, 1));
    CHECK(progress.after_step(2, 0));
}

TEST_CASE("train_until: a run in two parts equals a run in one") {
    const Recipe recipe{.schedule = {.peak = 0.1f, .warm_up = 3, .steps = 8}};
    Chase whole, parts;
    std::vector<float> losses = train(whole, nothing_decays({whole.w}), recipe);
    Trainer trainer(nothing_decays({parts.w}), recipe);
    std::vector<float> first = train_until(5, parts, trainer);
    const std::vector<float> second = train_until(8, parts, trainer);
    CHECK(first.size() == 5);
    first.insert(first.end(), second.begin(), second.end());
    CHECK(first == losses);
    CHECK(identical(whole.w.value(), parts.w.value()));
    CHECK(train_until(8, parts, trainer).empty());  // it is there already
}

TEST_CASE("train: a step without a loss counts, and changes nothing") {
    NothingToLearn chase;
    Trainer trainer(nothing_decays({chase.w}), {.schedule = {.peak = 0.1f, .steps = 4}, .weight_decay = 0.5f});
    CHECK(train_step(chase, trainer) == 0);
    CHECK(identical(chase.w.value(), Matrix{{3, 4}}));
    CHECK(train_step(chase, trainer) == 12.5f);
    CHECK(trainer.optimizer.steps == 2);
    CHECK(trainer.optimizer.variable_steps == std::vector<int>{1});
}

TEST_CASE("train: variables that do not decay are unchanged where the gradient is 0") {
    Chase pulled, kept;
    pulled.target = kept.target = Matrix{{3, 4}};  // they are there already
    const Recipe recipe{.schedule = {.peak = 0.5f, .steps = 1}, .weight_decay = 0.2f};
    train(pulled, {.decayed = {pulled.w}, .not_decayed = {}}, recipe);
    train(kept, nothing_decays({kept.w}), recipe);
    CHECK(pulled.w.value()(0, 0) == Approx(2.7));  // 3 (1 - 0.5 * 0.2)
    CHECK(kept.w.value()(0, 0) == 3);
}

TEST_CASE("train: a learning rate of 0 changes nothing, 0 steps return no losses") {
    Chase chase;
    train(chase, {.decayed = {chase.w}, .not_decayed = {}}, {.schedule = {.peak = 0, .steps = 3}, .weight_decay = 1});
    CHECK(identical(chase.w.value(), Matrix{{3, 4}}));
    CHECK(train(chase, nothing_decays({chase.w}), {.schedule = {.steps = 0}}).empty());
}

TEST_CASE("train: a loss that is not finite is named with its step") {
    NotFinite chase;
    chase.value = NAN;
    CHECK_THROWS_WITH(
        train(chase, nothing_decays({chase.w}), {}),
        "train: the loss of step 0 is nan, training has blown up; a smaller learning rate or a longer warm-up may help; --trap-nan "
        "(trap_nan(true)) names the operation that made it");
    CHECK(identical(chase.w.value(), Matrix{{3, 4}}));
}

static std::string refusal(const Recipe& recipe) {
    const std::string error = error_of([&] { require_sound(recipe); });
    CHECK(error.starts_with("tests/nn/training/train_test.cpp:"));
    return without_place(error);
}

TEST_CASE("require_sound: every value of a recipe is checked, with place, value, rule and cure") {
    CHECK_NOTHROW(require_sound(Recipe()));
    CHECK_NOTHROW(require_sound(Recipe{.schedule = {.peak = 0, .steps = 0}, .clip_norm = no_clipping}));
    CHECK_NOTHROW(require_sound(Recipe{.schedule = {.floor = 1}}));
    CHECK(refusal({.schedule = {.steps = -1}}) == "train: -1 steps of training, there cannot be fewer than 0");
    CHECK(refusal({.schedule = {.warm_up = -2}}) == "train: -2 steps of warm-up, there cannot be fewer than 0; 0 turns it off");
    CHECK(refusal({.schedule = {.peak = -1}}) ==
          "train: a learning rate of -1.000000, it must be finite and at least 0; 0.001 is usual");
    CHECK(refusal({.schedule = {.peak = NAN}}) ==
          "train: a learning rate of nan, it must be finite and at least 0; 0.001 is usual");
    CHECK(refusal({.schedule = {.floor = 1.5f}}) ==
          "train: the learning rate ends at 1.500000 of its peak, it must be a fraction from 0 to 1");
    CHECK(refusal({.batch = 0}) == "train: a batch of 0, a step needs at least 1 example");
    CHECK(refusal({.clip_norm = 0}) ==
          "train: gradients clipped to a norm of 0.000000, it must be above 0; 1 is usual, no_clipping turns it off");
    CHECK(refusal({.clip_norm = NAN}).starts_with("train: gradients clipped to a norm of nan"));
    CHECK(refusal({.weight_decay = -0.1f}) ==
          "train: a weight decay of -0.100000, it must be finite and at least 0; 0 turns it off");
    CHECK(refusal({.beta1 = 1}) == "train: a beta of 1.000000, it must be from 0 to below 1; 0.9 and 0.999 are usual");
    CHECK(refusal({.beta2 = -0.5f}) == "train: a beta of -0.500000, it must be from 0 to below 1; 0.9 and 0.999 are usual");
    CHECK(refusal({.eps = INFINITY}) == "train: an eps of inf, it must be finite and at least 0; 1e-8 is usual");
}

TEST_CASE("train: an invalid recipe is reported with the caller's line, and nothing is trained") {
    Chase chase;
    const std::string error = error_of([&] { train(chase, nothing_decays({chase.w}), {.batch = -3}); });
    CHECK(error.starts_with("tests/nn/training/train_test.cpp:"));
    CHECK(without_place(error) == "train: a batch of -3, a step needs at least 1 example");
    CHECK(chase.steps_seen.empty());
}

TEST_CASE("Recipe: the defaults") {
    const Recipe usual{};
    CHECK(usual.batch == 1);
    CHECK(usual.clip_norm == 1);
    CHECK(usual.weight_decay == 0);
    CHECK(usual.beta1 == 0.9f);
    CHECK(usual.beta2 == 0.999f);
    CHECK(usual.eps == 1e-8f);
}

TEST_CASE("train: variables that the loss does not depend on are refused, unless the loss is 0") {
    struct Scaled : Objective {
        Var w = parameter(Matrix{{3}});
        float factor = 1;
        Var loss(int) override { return scale(sum(w), factor); }
    } objective;
    const Var other = parameter(Matrix{{5}});
    const Recipe one_step{.schedule = {.steps = 1}};
    CHECK(error_of([&] { train(objective, nothing_decays({other, objective.w}), one_step); }).empty());
    objective.w.value() = Matrix{{3}};
    CHECK(error_of([&] { train(objective, nothing_decays({other}), one_step); }) ==
          "train: the loss of step 0, 3.000000, depends on none of the 1 variables that are trained; give those that it is "
          "computed from");
    CHECK(error_of([&] { train(objective, {}, one_step); }).find("none of the 0 variables") != std::string::npos);
    objective.factor = 0;
    CHECK(error_of([&] { train(objective, nothing_decays({other}), one_step); }).empty());
}

TEST_SUITE_END();
