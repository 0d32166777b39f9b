// told.h: options for what the shapes of a checkpoint do not tell: --heads, --eps, --activation, --image-size.
//
//   use      TellModel tell;
//            tell.declare(options, 4);                                       // a model that is trained here has 4 heads
//            const gpt::Config config = gpt::config_of(file, tell.told());   // beside --weights
#pragma once
#include <string>

#include "nn/data/model_config.h"
#include "walkthroughs/lesson/options.h"

struct TellModel {
    int heads = 0;           // 0, "" = not given
    double eps = 0;
    std::string activation;  // as configurations call it: "gelu_new"
    int image_size = 0;      // pixels

    // usual_heads  how many heads a model has that the program trains itself
    void declare(Options& options, int usual_heads);
    void declare_image_size(Options& options);

    int heads_or(int usual_heads) const { return heads > 0 ? heads : usual_heads; }
    Told told() const;
};
