#include "nn/training/optimizer.h"

#include <cmath>

#include "nn/base/parallel.h"
#include "nn/base/random.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("optimizer");

static Var with_gradient(const Matrix& value, const Matrix& gradient) {
    Var v = parameter(value);
    v.gradient() = gradient;
    return v;
}

TEST_CASE("AdamW: two steps by hand") {
    // beta1 = 1/2, beta2 = 3/4, lr = 0.1, eps = 1, decay = 0.5; w = 2, g = 3 and then g = -1
    // step 1  w = 2 (1 - 0.05) = 1.9   m = 1.5    v = 2.25    m / (1 - 1/2) = 3     sqrt(v / (1 - 3/4)) = 3
    //         w = 1.9 - 0.1 * 3 / (3 + 1) = 1.825
    // step 2  w = 1.825 * 0.95 = 1.73375   m = 0.25   v = 1.9375   m / (3/4) = 1/3   sqrt(v / (7/16)) = sqrt(31/7) = 2.1044044
    //         w = 1.73375 - 0.1 * 0.3333333 / 3.1044044 = 1.7230126
    const AdamWConfig config{.learning_rate = 0.1f, .beta1 = 0.5f, .beta2 = 0.75f, .eps = 1, .weight_decay = 0.5f};
    Var w = with_gradient(Matrix{{2}}, Matrix{{3}});
    AdamW optimizer({w}, {}, config);
    optimizer.update();
    CHECK(w.value()(0, 0) == Approx(1.825).epsilon(1e-6));
    w.gradient() = Matrix{{-1}};
    optimizer.update();
    CHECK(w.value()(0, 0) == Approx(1.7230126).epsilon(1e-6));
    CHECK(optimizer.m[0](0, 0) == Approx(0.25));
    CHECK(optimizer.v[0](0, 0) == Approx(1.9375));
    CHECK(optimizer.steps == 2);
}

TEST_CASE("AdamW: runs on several threads; a large variable moves as its rows do one by one") {
    Random random(6);
    const Matrix value = normal_matrix(random, 110, 1000), gradient = normal_matrix(random, 110, 1000);
    Var all = with_gradient(value, gradient);
    std::vector<Var> rows;
    for (int i = 0; i < value.rows; ++i) rows.push_back(with_gradient(slice_rows(value, i, 1), slice_rows(gradient, i, 1)));
    AdamW of_all({all}, {}), of_rows(rows, {});
    for (int step = 0; step < 2; ++step) of_all.update(), of_rows.update();
    for (int i = 0; i < value.rows; ++i) CHECK(identical(slice_rows(all.value(), i, 1), rows[i].value()));
}

TEST_CASE("AdamW: the first step has the size of the learning rate in every coordinate, for any gradient") {
    Var w = with_gradient(Matrix{{0, 0, 0}}, Matrix{{1e-3f, -50, 7}});
    AdamW optimizer({w}, {}, {.learning_rate = 0.01f});
    optimizer.update();
    CHECK(w.value()(0, 0) == Approx(-0.01).epsilon(1e-4));
    CHECK(w.value()(0, 1) == Approx(0.01).epsilon(1e-4));
    CHECK(w.value()(0, 2) == Approx(-0.01).epsilon(1e-4));
}

TEST_CASE("AdamW: eps is added to the root, not under it") {
    // g = 1e-4, eps = 1e-4: step 1 is lr * 1e-4 / (1e-4 + 1e-4) = lr / 2; under the root it would be lr / 100
    Var w = with_gradient(Matrix{{0}}, Matrix{{1e-4f}});
    AdamW optimizer({w}, {}, {.learning_rate = 1, .eps = 1e-4f});
    optimizer.update();
    CHECK(w.value()(0, 0) == Approx(-0.5).epsilon(1e-4));
}

TEST_CASE("AdamW: weight decay applies to decayed variables only, as lr times decay, and does not enter the moments") {
    Var pulled = with_gradient(Matrix{{10}}, Matrix{{0}}), free = with_gradient(Matrix{{10}}, Matrix{{0}});
    AdamW optimizer({pulled}, {free}, {.learning_rate = 0.5f, .weight_decay = 0.2f});
    optimizer.update();
    CHECK(pulled.value()(0, 0) == Approx(9));
    CHECK(free.value()(0, 0) == 10);
    CHECK(optimizer.m[0](0, 0) == 0);
    optimizer.update(0);  // weight decay is scaled by the learning rate of the schedule
    CHECK(pulled.value()(0, 0) == Approx(9));
}

TEST_CASE("AdamW: each variable counts its own steps, so one unfrozen later starts at 1") {
    // Both begin at (1, -2) with the gradient (0.5, -1), rate 0.1, no decay; the second is frozen in steps 1 to 3. Its first step
    // is as long as any first step, 0.1 in every direction: (0.9, -1.9). Counted with the other's t = 4 it would be
    // 0.1 (1 - beta1) / (1 - beta1^4) / sqrt((1 - beta2) / (1 - beta2^4)) = 0.1 * 0.2908 * 1.9985 = 0.0581 long.
    Var early = parameter(Matrix{{1, -2}}), late = parameter(Matrix{{1, -2}});
    AdamW optimizer({}, {early, late}, {.learning_rate = 0.1f, .weight_decay = 0});
    for (int step = 1; step <= 4; ++step) {
        early.gradient() = Matrix{{0.5f, -1}};
        if (step == 4) late.gradient() = Matrix{{0.5f, -1}};
        optimizer.update();
        CHECK(optimizer.m[1].empty() == (step < 4));
    }
    CHECK(late.value()(0, 0) == Approx(0.9).epsilon(1e-6));
    CHECK(late.value()(0, 1) == Approx(-1.9).epsilon(1e-6));
    CHECK(early.value()(0, 0) == Approx(0.6).epsilon(1e-6));
    CHECK(optimizer.steps == 4);
    CHECK(optimizer.variable_steps == std::vector<int>{4, 1});
    late.zero_gradient();  // frozen again: its step count stops
    optimizer.update();
    CHECK(optimizer.variable_steps == std::vector<int>{5, 1});
}

TEST_CASE("AdamW, Sgd: invalid learning rates and settings are refused") {
    const Var w = parameter(Matrix{{1}});
    CHECK_THROWS_WITH(AdamW({w}, {}, {.learning_rate = -1}),
                      "AdamW: a learning rate of -1.000000, it must be finite and at least 0; 0.001 is usual");
    CHECK_NOTHROW(AdamW({w}, {}, {.beta1 = 0, .beta2 = 0}));
    CHECK_THROWS_WITH(AdamW({w}, {}, {.beta1 = 1}),
                      "AdamW: a beta of 1.000000, it must be from 0 to below 1; 0.9 and 0.999 are usual");
    CHECK_THROWS_WITH(AdamW({w}, {}, {.beta2 = -0.1f}),
                      "AdamW: a beta of -0.100000, it must be from 0 to below 1; 0.9 and 0.999 are usual");
    CHECK_THROWS_WITH(AdamW({w}, {}, {.eps = -1}), "AdamW: an eps of -1.000000, it must be finite and at least 0; 1e-8 is usual");
    CHECK_THROWS_WITH(AdamW({w}, {}, {.weight_decay = NAN}),
                      "AdamW: a weight decay of nan, it must be finite and at least 0; 0 turns it off");
    AdamW adam({w});
    CHECK_THROWS_WITH(adam.update(NAN), "AdamW: a learning rate of nan, it must be finite and at least 0; 0.001 is usual");
    CHECK_THROWS_WITH(Sgd({w}, -1), "Sgd: a learning rate of -1.000000, it must be finite and at least 0; 0.001 is usual");
    CHECK_THROWS_WITH(Sgd({w}, 1, -0.5f), "Sgd: a momentum of -0.500000, it must be from 0 to below 1; 0.9 is usual");
    CHECK_THROWS_WITH(Sgd({w}, 1, 1), "Sgd: a momentum of 1.000000, it must be from 0 to below 1; 0.9 is usual");
    Sgd sgd({w});
    CHECK_THROWS_WITH(sgd.update(-1), "Sgd: a learning rate of -1.000000, it must be finite and at least 0; 0.001 is usual");
}

TEST_CASE("AdamW, Sgd: a variable without a gradient is not changed") {
    Var w = parameter(Matrix{{10}});
    AdamW adam({w});
    adam.update();
    Sgd sgd({w});
    sgd.update();
    CHECK(w.value()(0, 0) == 10);
}

TEST_CASE("AdamW: bit-identical with one thread and with two") {
    Random random(1);
    const Matrix start = normal_matrix(random, 600, 500), gradient = normal_matrix(random, 600, 500);
    const int threads_before = thread_count();
    Matrix results[2];
    for (int threads = 1; threads <= 2; ++threads) {
        set_thread_count(threads);
        Var w = with_gradient(start, gradient);
        AdamW optimizer({w});
        optimizer.update();
        optimizer.update();
        results[threads - 1] = w.value();
    }
    set_thread_count(threads_before);
    CHECK(identical(results[0], results[1]));
    CHECK(!identical(results[0], start));
    CHECK(results[0](599, 499) != start(599, 499));
}

TEST_CASE("Sgd: with momentum, by hand") {
    // momentum 1/2, lr 0.1, g = 2 twice: m = 2, then 3; w = 1 - 0.2 - 0.3
    Var w = with_gradient(Matrix{{1}}, Matrix{{2}});
    Sgd optimizer({w}, 0.1f, 0.5f);
    optimizer.update();
    CHECK(w.value()(0, 0) == Approx(0.8));
    optimizer.update();
    CHECK(w.value()(0, 0) == Approx(0.5));
    Var plain = with_gradient(Matrix{{1}}, Matrix{{2}});
    Sgd descent({plain}, 0.1f);
    descent.update();
    descent.update();
    CHECK(plain.value()(0, 0) == Approx(0.6));
}

TEST_CASE("clip_gradient_norm: the norm of all gradients together; smaller ones are not changed") {
    // lengths: sqrt(9 + 16) = 5 with both
    Var a = with_gradient(Matrix{{0}}, Matrix{{3}}), b = with_gradient(Matrix{{0, 0}}, Matrix{{0, 4}}),
        none = parameter(Matrix{{0}});
    CHECK(clip_gradient_norm({a, b, none}, 5) == 5);
    CHECK(a.gradient()(0, 0) == 3);
    CHECK(clip_gradient_norm({a, b, none}, 1) == 5);
    CHECK(a.gradient()(0, 0) == Approx(0.6).epsilon(1e-5));
    CHECK(b.gradient()(0, 1) == Approx(0.8).epsilon(1e-5));
    CHECK(none.gradient().empty());
}

TEST_CASE("clip_gradient_norm: divides by norm + 1e-6, as PyTorch does") {
    Var tiny = with_gradient(Matrix{{0}}, Matrix{{4e-6f}});
    clip_gradient_norm({tiny}, 2e-6f);
    CHECK(tiny.gradient()(0, 0) == Approx(1.6e-6).epsilon(1e-4));  // 4e-6 * 2e-6 / (4e-6 + 1e-6)
}

TEST_CASE("clip_gradient_norm: sums every number, also where the size is not a multiple of eight") {
    for (const int count : {1, 7, 8, 9, 31}) {
        Var v = with_gradient(Matrix(1, count), Matrix(1, count, 2));
        CHECK(clip_gradient_norm({v}, 1000) == Approx(2 * std::sqrt(count)));
    }
}

TEST_CASE("clip_gradient_norm: refuses norms that are not finite and limits that are not positive") {
    Var v = with_gradient(Matrix{{0}}, Matrix{{NAN}});
    CHECK_THROWS_WITH(
        clip_gradient_norm({v}, 1),
        "clip_gradient_norm: the norm of the gradients is nan, training has blown up; a smaller learning rate or a longer "
        "warm-up may help");
    CHECK_THROWS_WITH(clip_gradient_norm({v}, 0), "clip_gradient_norm: a largest norm of 0.000000, it must be above 0");
}

TEST_CASE("zero_gradients: leaves no gradient") {
    Var v = with_gradient(Matrix{{0}}, Matrix{{1}});
    zero_gradients({v});
    CHECK(v.gradient().empty());
}

TEST_CASE("weights_decay: weights and embeddings decay, gains and biases do not, tied ones count once") {
    const Var w = parameter(Matrix(2, 3)), gain = parameter(Matrix(1, 3)), frozen = Var(Matrix(1, 1));
    const DecayChoice choice = weights_decay({{"w", {3, 2}, Stored::out_by_in, {w}},
                                              {"gain", {3}, Stored::as_it_is, {gain}},
                                              {"tied", {2, 3}, Stored::as_it_is, {w}},
                                              {"frozen", {1}, Stored::as_it_is, {frozen}}});
    REQUIRE(choice.decayed.size() == 1);
    REQUIRE(choice.not_decayed.size() == 1);
    CHECK(choice.decayed[0].same_as(w));
    CHECK(choice.not_decayed[0].same_as(gain));
}

TEST_CASE("nothing_decays: keeps the variables in order") {
    const Var a = parameter(Matrix(1, 1)), b = parameter(Matrix(2, 2));
    const DecayChoice choice = nothing_decays({a, b});
    CHECK(choice.decayed.empty());
    REQUIRE(choice.not_decayed.size() == 2);
    CHECK(choice.not_decayed[1].same_as(b));
}

TEST_CASE("AdamW, Sgd: a constant, and a gradient of another shape, are refused") {
    CHECK_THROWS_WITH(AdamW({Var(Matrix(2, 3))}), "AdamW: a variable of shape (2, 3) is a constant, make it with parameter()");
    CHECK_THROWS_WITH(Sgd({Var(Matrix(2, 3))}), "Sgd: a variable of shape (2, 3) is a constant, make it with parameter()");
    Var v = with_gradient(Matrix(2, 3), Matrix(3, 2));
    AdamW optimizer({v});
    CHECK_THROWS_WITH(optimizer.update(), "AdamW: a gradient of shape (3, 2) for a variable of shape (2, 3)");
    Sgd sgd({v});
    CHECK_THROWS_WITH(sgd.update(), "Sgd: a gradient of shape (3, 2) for a variable of shape (2, 3)");
}

TEST_CASE("AdamW, Sgd: find the minimum of a quadratic") {
    Var a = parameter(Matrix{{5, -3}}), b = parameter(Matrix{{5, -3}});
    AdamW adam({a}, {}, {.learning_rate = 0.1f, .weight_decay = 0});
    Sgd sgd({b}, 0.05f, 0.5f);
    for (int step = 0; step < 500; ++step) {
        for (Var* const w : {&a, &b}) w->gradient() = Matrix{{2 * (w->value()(0, 0) - 1), 20 * (w->value()(0, 1) - 2)}};
        adam.update();
        sgd.update();
    }
    for (const Var& w : {a, b}) {
        CHECK(w.value()(0, 0) == Approx(1).epsilon(1e-3));
        CHECK(w.value()(0, 1) == Approx(2).epsilon(1e-3));
    }
}

TEST_CASE("AdamW, Sgd: a variable that is listed twice is refused") {
    const Var a = parameter(Matrix(1, 2)), b = parameter(Matrix(3, 1));
    CHECK_THROWS_WITH(AdamW({a, b}, {a}), "AdamW: variables 0 and 2 are the same, of shape (1, 2); list it once");
    CHECK_THROWS_WITH(Sgd({a, b, b}), "Sgd: variables 1 and 2 are the same, of shape (3, 1); list it once");
}

TEST_CASE("AdamW, Sgd: variables, moments and settings that were changed after construction are checked in every update") {
    Var w = parameter(Matrix(2, 2)), other = parameter(Matrix(1, 3));
    w.gradient() = Matrix(2, 2, 1);
    AdamW more({w}), settings({w}), moments({w}), reshaped({w});
    more.variables.push_back(other);
    CHECK_THROWS_WITH(more.update(),
                      "AdamW: 2 variables but 1 moments; make a new optimizer when variables are added or taken away");
    settings.config.beta2 = 2;
    CHECK(error_of([&] { settings.update(); }).starts_with("AdamW: a beta of 2.000000"));
    moments.update();
    moments.m[0] = Matrix(5, 5);
    CHECK_THROWS_WITH(moments.update(),
                      "AdamW: a moment of shape (5, 5) for a variable of shape (2, 2); make a new optimizer when "
                      "a variable changes its shape");
    reshaped.update();
    w.value() = Matrix(3, 3);
    w.gradient() = Matrix(3, 3, 1);
    CHECK(error_of([&] { reshaped.update(); }).starts_with("AdamW: a moment of shape (2, 2) for a variable of shape (3, 3)"));
    Sgd sgd({other});
    sgd.variables.push_back(w);
    CHECK(error_of([&] { sgd.update(); }).starts_with("Sgd: 2 variables but 1 moments"));
}

TEST_CASE("AdamWConfig: the defaults") {
    const AdamWConfig usual{};
    CHECK(usual.learning_rate == 1e-3f);
    CHECK(usual.beta1 == 0.9f);
    CHECK(usual.beta2 == 0.999f);
    CHECK(usual.eps == 1e-8f);
    CHECK(usual.weight_decay == 0.01f);
}

TEST_CASE("Sgd: the defaults") {
    const Sgd usual({});
    CHECK(usual.learning_rate == 0.1f);
    CHECK(usual.momentum == 0);
}

TEST_CASE("Sgd: a momentum that was changed since is checked at each update") {
    const Var w = parameter(Matrix{{1}});
    Sgd sgd({w}, 0.1f, 0.5f);
    for (const float momentum : {NAN, 1.0f, -0.5f}) {
        sgd.momentum = momentum;
        CHECK(error_of([&] { sgd.update(); }).ends_with(", it must be from 0 to below 1; 0.9 is usual"));
    }
    sgd.momentum = 0;
    CHECK(error_of([&] { sgd.update(); }).empty());
}
