#include "vit/language/pali.h"

#include <cmath>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/embedding.h"
#include "nn/layers/model_config.h"
#include "nn/training/loss.h"

namespace pali {

// --- the model ---

ImageSteps read_images(const std::vector<Image>& images, const Weights& w, const Config& config) {
    ImageSteps steps;
    const InStack in_stack("image");
    steps.vision = vit::forward(images, w.vision, config.vision);
    steps.tokens = drop_first_of_each(steps.vision.norm, config.vision.grid.count() + 1);  // (B*N, Dv)
    steps.embeddings = linear(steps.tokens, w.projection);                                 // (B*N, E)
    return steps;
}

// Patches and prompt of each example as one source of N + S tokens. Patches are never masked.
static TokenBatch patches_and_prompts(const TokenBatch& prompts, int N, const t5::Config& config) {
    const int B = prompts.sequences, S = prompts.length;
    TokenBatch source{.sequences = B, .length = N + S, .ids = {}, .mask = Matrix(B, N + S, 1.0f)};
    for (int b = 0; b < B; ++b) {
        source.ids.insert(source.ids.end(), static_cast<std::size_t>(N), config.padding_token);
        for (int t = 0; t < S; ++t) {
            source.ids.push_back(prompts.ids[b * S + t]);
            source.mask(b, N + t) = prompts.is_token(b, t);
        }
    }
    return source;
}

// Patch embeddings, then token embeddings, of each example: (B*N, E) and (B*S, E) -> (B*(N+S), E).
static Var in_front_of(const Var& patches, const Var& words, int B) {
    const int N = patches.rows() / B, S = words.rows() / B;
    std::vector<int> rows;
    for (int b = 0; b < B; ++b) {
        for (int n = 0; n < N; ++n) rows.push_back(b * N + n);
        for (int t = 0; t < S; ++t) rows.push_back(B * N + b * S + t);
    }
    return gather_rows(concat_rows({patches, words}), rows);
}

static void check(const Config& config) {
    require(config.vision.classes == 0, "pali: the image tower has ", config.vision.classes,
            " classes, it needs none; set vision.classes to 0");
}

// Everything up to the end of the encoder.
static Steps read(const std::vector<Image>& images, const TokenBatch& prompts, const Weights& w, const Config& config) {
    require_fits("pali", prompts);
    require(static_cast<int>(images.size()) == prompts.sequences, "pali: ", images.size(), " images and ", prompts.sequences,
            " prompts; each image needs one");
    check(config);
    Steps steps;
    steps.image = read_images(images, w, config);
    steps.source = patches_and_prompts(prompts, config.vision.grid.count(), config.language);
    const Var words = embed(w.language.token_embedding, prompts.ids);                            // (B*S, E)
    steps.encoder_input = in_front_of(steps.image.embeddings, words, prompts.sequences);         // (B*(N+S), E)
    steps.encoder = t5::encode(steps.encoder_input, steps.source, w.language, config.language);  // (B*(N+S), E)
    return steps;
}

Steps forward(const std::vector<Image>& images, const TokenBatch& prompts, const TokenBatch& target, const Weights& w,
              const Config& config) {
    Steps steps = read(images, prompts, w, config);
    steps.decoder = t5::decode(target, steps.encoder.output, steps.source, w.language, config.language);
    return steps;
}

Var loss(const Steps& steps, const std::vector<int>& labels) { return cross_entropy(steps.decoder.logits, labels); }

std::vector<std::vector<int>> answers(const std::vector<Image>& images, const TokenBatch& prompts, const Weights& w,
                                      const Config& config, int new_tokens) {
    const NoTape no_tape;
    const Steps steps = read(images, prompts, w, config);
    const int capacity = new_tokens > 1 ? new_tokens : 1;  // the start token and all new tokens but the last
    t5::Reader reader(steps.source, steps.encoder.output, w.language, config.language, capacity);
    const TokenBatch starts = equal_batch(std::vector<int>(images.size(), config.language.start_token), 1);
    return generate_greedily(starts, reader, {.new_tokens = new_tokens, .end_of_text = config.language.end_token});
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, float output_stddev) {
    check(config);
    const Init of_width{.draw = Draw::normal, .stddev = 1 / std::sqrt(static_cast<float>(config.vision.width))};
    Weights w;
    w.vision = vit::make_weights(config.vision, random);
    w.projection = make_linear(random, config.vision.width, config.language.width, of_width);
    w.language = t5::make_weights(config.language, random, output_stddev);
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    Parameters table = vit::parameters(w.vision, config.vision);
    add_parameters(table, "visual_projection", w.projection);
    for (const Parameter& of_language : t5::parameters(w.language, config.language, "t5.")) table.push_back(of_language);
    return table;
}

// --- the configuration of a checkpoint ---

// What tensor shapes do not determine, of both halves; the same names as in their own files, after "vit." and "t5.".
static std::vector<Member> members_of(Config& config) {
    using From = Member::From;
    vit::Config& vision = config.vision;
    t5::Config& language = config.language;
    return {{{"the width of the ViT", {"vit.hidden_size"}}, &vision.width, From::shapes},
            {{"the width of the T5", {"t5.d_model"}}, &language.width, From::shapes},
            {{"the number of heads of the ViT", {"vit.num_attention_heads"}}, &vision.heads, From::file},
            {{"the eps of the norms of the ViT", {"vit.layer_norm_eps"}}, &vision.eps},
            {{"the activation function of the ViT", {"vit.hidden_act"}}, &vision.activation},
            {{"the activation of the MLP of the T5", {"t5.dense_act_fn"}}, &language.activation, From::file},
            {{"the distance from which on all share a bucket", {"t5.relative_attention_max_distance"}}, &language.max_distance},
            {{"the eps of the norms of the T5", {"t5.layer_norm_epsilon"}}, &language.eps},
            {{"the padding token", {"t5.pad_token_id"}}, &language.padding_token},
            {{"the end token", {"t5.eos_token_id"}}, &language.end_token},
            {{"the token that the decoder starts with", {"t5.decoder_start_token_id"}}, &language.start_token}};
}

Config config_of(const Safetensors& checkpoint, const GivenSettings& given) {
    const std::string projection = "vit.embeddings.patch_embeddings.projection.weight", layer = "vit.encoder.layer.";
    Config config;
    vit::Config& vision = config.vision;
    vision.width = size_of(checkpoint, projection, 0);
    vision.grid.channels = size_of(checkpoint, projection, 1);
    vision.grid.patch_size = size_of(checkpoint, projection, 2);
    vision.depth = count_blocks(checkpoint, layer, ".output.dense.weight");
    vision.mlp_width = size_of(checkpoint, layer + "0.intermediate.dense.weight", 0);
    vision.query_key_value_bias = checkpoint.has(layer + "0.attention.attention.query.bias");
    const ModelConfig model_config(checkpoint, given);
    const int N = size_of(checkpoint, "vit.embeddings.position_embeddings", 1) - 1;
    vit::set_image_size(vision.grid, N, model_config, checkpoint.path);
    config.language = t5::sizes_of(checkpoint, "t5.");
    read_members(model_config, members_of(config));
    check(config);
    return config;
}

std::map<std::string, std::string> metadata(const Config& config) {
    Config copy = config;
    const PatchGrid& grid = config.vision.grid;
    std::map<std::string, std::string> all = metadata_of("pali", members_of(copy));
    all["image_size"] = std::to_string(grid.height) + "," + std::to_string(grid.width);
    return all;
}

}  // namespace pali
