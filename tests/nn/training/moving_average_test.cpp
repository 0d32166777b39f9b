#include "nn/training/moving_average.h"

#include <cmath>

#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("moving_average");

TEST_CASE("decay_at: from 0.9 to 0.99 over 10 updates, by hand") {
    const DecaySchedule schedule{.start = 0.9, .end = 0.99, .updates = 10};
    CHECK(decay_at(schedule, 0) == Approx(0.9).epsilon(1e-12));
    CHECK(decay_at(schedule, 4) == Approx(0.936).epsilon(1e-12));  // 0.99 - 0.09 * 0.6
    CHECK(decay_at(schedule, 9) == Approx(0.981).epsilon(1e-12));
    CHECK(decay_at(schedule, 10) == 0.99);
    CHECK(decay_at(schedule, 1000) == 0.99);
    CHECK(decay_at({.start = 0.5, .end = 0.75, .updates = 0}, 0) == 0.75);
    CHECK(decay_at({.start = 0, .end = 1, .updates = 4}, 1) == 0.25);
    CHECK(decay_at({.start = 1, .end = 0, .updates = 4}, 1) == 0.75);
}

TEST_CASE("move_towards: three quarters of 8 and one quarter of 4 are 7; the model does not change") {
    const Var average = parameter({{8, 0}}), model = parameter({{4, 1}});
    move_towards({average}, {model}, 0.75);
    CHECK(identical(average.value(), Matrix{{7, 0.25f}}));
    CHECK(identical(model.value(), Matrix{{4, 1}}));
}

TEST_CASE("move_towards: a decay of 0 copies, a decay of 1 changes nothing") {
    const Var average = parameter({{8, 0}}), model = parameter({{4, 1}});
    move_towards({average}, {model}, 1);
    CHECK(identical(average.value(), Matrix{{8, 0}}));
    move_towards({average}, {model}, 0);
    CHECK(identical(average.value(), Matrix{{4, 1}}));
}

TEST_CASE("move_towards: after n updates towards a constant model, tau^n of the difference is left") {
    const Var average = parameter({{1}}), model = parameter({{0}});
    for (int n = 0; n < 10; ++n) move_towards({average}, {model}, 0.5);
    CHECK(average.value()(0, 0) == 1.0f / 1024);
}

TEST_CASE("decay_at, move_towards: lists, shapes and decays that do not fit are refused, and nothing is changed") {
    const Var average = parameter({{8, 0}});
    CHECK_THROWS_WITH(move_towards({average}, {}, 0.5),
                      "move_towards: the average has 1 matrices, the model 0; both must have the same number");
    CHECK_THROWS_WITH(move_towards({average, average}, {average, parameter(Matrix(2, 1))}, 0.5),
                      "move_towards: matrix 1 is (1, 2), that of the model is (2, 1), the shapes must be equal");
    CHECK_THROWS_WITH(move_towards({average, average}, {parameter(Matrix(2, 1)), average}, 0.5),
                      "move_towards: matrix 0 is (1, 2), that of the model is (2, 1), the shapes must be equal");
    CHECK_THROWS_WITH(move_towards({average}, {average}, 1.5), "move_towards: a decay of 1.500000 must lie between 0 and 1");
    const auto refused = [](const DecaySchedule& schedule, int update) {
        return error_of([&] { decay_at(schedule, update); }).starts_with("decay_at: update ");
    };
    CHECK(refused({.start = -0.1, .end = 1, .updates = 5}, 1));
    CHECK(refused({.start = 1.1, .end = 1, .updates = 5}, 1));
    CHECK(refused({.start = 0.9, .end = -0.1, .updates = 5}, 1));
    CHECK(refused({.start = 0.9, .end = 1, .updates = -1}, 1));
    CHECK(refused({.start = 0.9, .end = 1, .updates = 5}, -1));
    for (const double tau : {-0.1, std::nan("")})
        CHECK(error_of([&] { move_towards({average}, {average}, tau); }).starts_with("move_towards: a decay of "));
    CHECK_THROWS_WITH(
        decay_at({.start = 0.9, .end = 2, .updates = 5}, 1),
        "decay_at: update 1 of a decay from 0.900000 to 2.000000 over 5 updates; decays lie between 0 and 1, counts from 0");
    CHECK(identical(average.value(), Matrix{{8, 0}}));
}

TEST_CASE("DecaySchedule: the defaults") {
    const DecaySchedule usual{};
    CHECK(usual.start == 0.999);
    CHECK(usual.end == 0.9999);
    CHECK(usual.updates == 100000);
}

TEST_CASE("move_towards: a teacher that shares the student's own matrices is refused, and nothing changes") {
    const Var own = parameter(Matrix{{1}}), shared = parameter(Matrix{{2, 3}});
    CHECK(error_of([&] {
              move_towards({own, shared}, {parameter(Matrix{{5}}), shared}, 0.5);
          }) ==
          "move_towards: matrix 1 of the average, (1, 2), is that of the model itself; an average needs a copy of the weights");
    CHECK(own.value()[0] == 1);
}

TEST_SUITE_END();
