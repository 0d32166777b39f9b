#include "tests/vit/vit_fixture.h"

vit::Config vit_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.grid = {.height = file.metadata_int("image_height"),
                     .width = file.metadata_int("image_width"),
                     .patch_size = file.metadata_int("patch_size"),
                     .channels = file.metadata_int("num_channels")},
            .width = file.metadata_int("hidden_size"),
            .depth = file.metadata_int("num_hidden_layers"),
            .heads = file.metadata_int("num_attention_heads"),
            .mlp_width = file.metadata_int("intermediate_size"),
            .classes = file.metadata_int("num_labels"),
            .eps = static_cast<float>(file.metadata_double("layer_norm_eps")),
            .activation = activation_of_name(file.metadata_text("hidden_act")),
            .query_key_value_bias = golden.flag("qkv_bias")};
}

PatchGrid square_grid_of(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.height = file.metadata_int("img_size"),
            .width = file.metadata_int("img_size"),
            .patch_size = file.metadata_int("patch_size"),
            .channels = file.metadata_int("in_chans")};
}

PatchGrid grid_of(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.height = file.metadata_int("image_height"),
            .width = file.metadata_int("image_width"),
            .patch_size = file.metadata_int("patch_size"),
            .channels = file.metadata_int("in_chans")};
}

std::optional<float> layer_scale_of(const Golden& golden) {
    if (golden.file.metadata_text("init_values") == "none") return {};
    const float value = static_cast<float>(golden.file.metadata_double("init_values"));
    if (value == 0) return {};
    return value;
}

std::vector<Image> uniform_images(Random& random, int count, const PatchGrid& grid) {
    std::vector<Image> images(count, Image(grid.height, grid.width, grid.channels));
    for (Image& image : images)
        for (float& x : image.pixels) x = random.uniform();
    return images;
}

std::vector<Image> normal_images(int count, int height, int width, int seed) {
    Random random(seed);
    std::vector<Image> images(count, Image(height, width, 3));
    for (Image& image : images)
        for (float& x : image.pixels) x = random.normal();
    return images;
}
