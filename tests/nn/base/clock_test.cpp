#include "nn/base/clock.h"

#include <chrono>
#include <thread>

#include "tests/test.h"

TEST_SUITE("clock") {
    TEST_CASE("seconds_now: differences are in seconds and never negative") {
        const double begin = seconds_now();
        double before = begin;
        for (int i = 0; i < 1000; ++i) {
            const double now = seconds_now();
            CHECK(now >= before);
            before = now;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        const double slept = seconds_now() - before;
        CHECK(slept >= 0.02);
        CHECK(slept < 20);  // a loaded machine may be late, but not a thousand times
    }
}
