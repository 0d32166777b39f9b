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

std::vector<Image> normal_images(int count, int height, int width, int seed) {
    Random random(seed);
    std::vector<Image> images(count, Image(height, width, 3));
    for (Image& image : images)
        for (float& x : image.pixels) x = random.normal();
    return images;
}
