// side_by_side.h: one progress line for training runs that go on at once, each on a thread of its own.
//
//   use      SharedProgress progress("random masks and tubes", 2 * steps);
//            parallel_for(2, [&](int k) { train(k == 0 ? first : second); });  // each step of each calls progress.count_step()
//   note     Runs may share what none of them changes, such as images and configurations; a Var belongs to one run.
#pragma once
#include <mutex>
#include <string>

#include "nn/training/progress.h"

class SharedProgress {
public:
    // steps   of all runs together
    SharedProgress(const std::string& what, int steps);
    SharedProgress(const std::string& what, int steps, bool visible);

    // After a step of any run, from any thread.   returns  the steps done so far
    int count_step();

private:
    std::mutex mutex;  // guards the rest
    Progress progress;
    int done = 0;
};
