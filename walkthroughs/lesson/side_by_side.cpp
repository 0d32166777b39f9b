#include "walkthroughs/lesson/side_by_side.h"

SharedProgress::SharedProgress(const std::string& what, int steps) : progress(what, steps) {}

SharedProgress::SharedProgress(const std::string& what, int steps, bool visible) : progress(what, steps, visible) {}

int SharedProgress::count_step() {
    const std::lock_guard lock(mutex);
    progress.update(done);
    return ++done;
}
