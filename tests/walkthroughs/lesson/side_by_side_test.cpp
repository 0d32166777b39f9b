#include "walkthroughs/lesson/side_by_side.h"

#include <set>

#include "nn/base/parallel.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("side_by_side");

TEST_CASE("SharedProgress: steps that end at once on several threads are counted once each") {
    const int threads = thread_count();
    set_thread_count(4);
    SharedProgress progress("runs", 4000, false);
    std::vector<int> counts(4000);
    parallel_for(4, [&](int run) {
        for (int step = 0; step < 1000; ++step) counts[run * 1000 + step] = progress.count_step();
    });
    set_thread_count(threads);
    const std::set<int> different(counts.begin(), counts.end());
    CHECK(different.size() == 4000);
    CHECK(*different.begin() == 1);
    CHECK(*different.rbegin() == 4000);
}

TEST_SUITE_END();
