#include "nn/training/progress.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("progress");

TEST_CASE("progress_line: bar, step, loss and time left") {
    CHECK(progress_line("training", 180, 300, 0.42126f, 12) ==
          "training  [############--------]  step 180 of 300   loss 0.4213   8 s left");
    CHECK(progress_line("training", 1, 1000, 2, 1) ==
          "training  [--------------------]  step 1 of 1000   loss 2.0000   16 min 39 s left");
    CHECK(progress_line("training", 1, 10001, 2, 1) ==
          "training  [--------------------]  step 1 of 10001   loss 2.0000   2 h 46 min left");
    CHECK(progress_line("x", 300, 300, 0.0f, 9) == "x  [####################]  step 300 of 300   loss 0.0000   0 s left");
    CHECK(progress_line("merges", 5, 20, 1.0) == "merges  [#####---------------]  step 5 of 20   3 s left");  // no loss
    CHECK(progress_line("x", 0, 300, 0.0f, 0) == "x  [--------------------]  step 0 of 300   loss 0.0000");
}
