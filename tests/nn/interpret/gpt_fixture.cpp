#include "tests/nn/interpret/gpt_fixture.h"

GptOfFixture gpt_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    GptOfFixture model;
    model.config = {.vocabulary = file.metadata_int("vocab_size"),
                    .positions = file.metadata_int("n_positions"),
                    .width = file.metadata_int("n_embd"),
                    .depth = file.metadata_int("n_layer"),
                    .heads = file.metadata_int("n_head"),
                    .mlp_width = file.metadata_int("n_inner"),
                    .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
                    .activation = activation_of_name(file.metadata_text("activation_function"))};
    model.w = gpt::empty_weights(model.config);
    golden.load_weights(gpt::parameters(model.w, model.config));
    return model;
}
