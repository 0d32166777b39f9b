#include "walkthroughs/lesson/told.h"

#include "nn/base/require.h"

void TellModel::declare(Options& options, int usual_heads) {
    options.add("heads", heads, joined({"heads; 0: ", usual_heads, ", and with --weights what the file or config.json beside it says"}), 0, 256);
    options.add("eps", eps, "with --weights: eps of its norms; 0: what the file or config.json says, or its kind's published value", 0, 1);
    options.add("activation", activation, "with --weights: gelu, gelu_new, quick_gelu, relu or silu instead of what they say");
}

void TellModel::declare_image_size(Options& options) {
    options.add("image-size", image_size, "with --weights: side of its pictures, pixels; 0: what the file or config.json says", 0, 10'000);
}

Told TellModel::told() const {
    Told told;
    if (heads > 0) told[settings::heads.keys[0]] = text(heads);
    if (eps > 0) told[settings::eps.keys[0]] = setting_text(static_cast<float>(eps));
    if (!activation.empty()) told[settings::activation.keys[0]] = activation;
    if (image_size > 0) told[settings::image_size.keys[0]] = text(image_size);
    return told;
}
