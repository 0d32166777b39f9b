#include "nn/training/schedule.h"

#include <cmath>

#include "tests/test.h"

TEST_SUITE_BEGIN("schedule");

TEST_CASE("learning_rate: warm-up rises linearly to the peak, whatever follows") {
    for (const Descent descent : {Descent::none, Descent::cosine, Descent::linear}) {
        const Schedule schedule{.peak = 8, .warm_up = 4, .steps = 12, .descent = descent};
        for (int step = 0; step < 4; ++step) CHECK(learning_rate(schedule, step) == Approx(2 * (step + 1)));
        CHECK(learning_rate(schedule, 4) == Approx(8));
    }
}

TEST_CASE("learning_rate: cosine and linear decay, by hand") {
    // after 4 steps of warm-up 8 remain; step 6 is a quarter of the way: (1 + cos(pi / 4)) / 2 = 0.8535534, linear 3/4
    Schedule schedule{.peak = 8, .warm_up = 4, .steps = 12, .descent = Descent::cosine};
    CHECK(learning_rate(schedule, 6) == Approx(8 * 0.8535534).epsilon(1e-6));
    CHECK(learning_rate(schedule, 8) == Approx(4));
    CHECK(learning_rate(schedule, 12) == Approx(0));
    CHECK(learning_rate(schedule, 1000) == Approx(0));
    schedule.floor = 0.25f;  // 2 + 6 * share
    CHECK(learning_rate(schedule, 6) == Approx(2 + 6 * 0.8535534).epsilon(1e-6));
    CHECK(learning_rate(schedule, 12) == Approx(2));
    schedule.descent = Descent::linear;
    CHECK(learning_rate(schedule, 6) == Approx(2 + 6 * 0.75));
    CHECK(learning_rate(schedule, 11) == Approx(2 + 6 * 0.125));
    CHECK(learning_rate(schedule, 12) == Approx(2));
    CHECK(learning_rate(schedule, 13) == Approx(2));
    schedule.descent = Descent::none;
    CHECK(learning_rate(schedule, 11) == 8);
}

TEST_CASE("learning_rate: without warm-up the first step has the peak; a schedule that is all warm-up ends there") {
    CHECK(learning_rate({.peak = 3, .steps = 10}, 0) == 3);
    CHECK(learning_rate({.peak = 3, .warm_up = 5, .steps = 5}, 4) == 3);
}

TEST_CASE("learning_rate: negative steps and invalid settings are refused") {
    CHECK_THROWS_WITH(learning_rate({}, -1),
                      "learning_rate: step -1 of 1 with 0 of warm-up; none may be negative, and there must be at least 1 step");
    CHECK_THROWS_WITH(learning_rate({.steps = 0}, 0),
                      "learning_rate: step 0 of 0 with 0 of warm-up; none may be negative, and there must be at least 1 step");
    CHECK_THROWS_WITH(learning_rate({.warm_up = -1, .steps = 5}, 0),
                      "learning_rate: step 0 of 5 with -1 of warm-up; none may be negative, and there must be at least 1 step");
    CHECK_THROWS_WITH(learning_rate({.peak = -1}, 0),
                      "learning_rate: a peak of -1.000000, it must be finite and at least 0; 0.001 is usual");
    CHECK_THROWS_WITH(learning_rate({.peak = INFINITY}, 0),
                      "learning_rate: a peak of inf, it must be finite and at least 0; 0.001 is usual");
    CHECK(learning_rate({.peak = 0, .steps = 5}, 1) == 0);
    CHECK(learning_rate({.peak = 2, .steps = 5, .floor = 1}, 3) == 2);
    CHECK_THROWS_WITH(learning_rate({.floor = -0.5f}, 0), "learning_rate: a floor of -0.500000, it must be from 0 to 1");
    CHECK_THROWS_WITH(learning_rate({.floor = 1.5f}, 0), "learning_rate: a floor of 1.500000, it must be from 0 to 1");
}

TEST_CASE("Schedule: the defaults") {
    const Schedule usual{};
    CHECK(usual.peak == 1e-3f);
    CHECK(usual.warm_up == 0);
    CHECK(usual.steps == 1);
    CHECK(usual.descent == Descent::cosine);
    CHECK(usual.floor == 0);
}
