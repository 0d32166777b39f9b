#include "gpt/families/palm.h"

#include <cmath>
#include <limits>
#include <string>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/inside.h"
#include "nn/layers/embedding.h"
#include "nn/layers/model_config.h"
#include "nn/layers/names.h"
#include "nn/training/loss.h"

namespace palm {

// --- the model ---

static void check(const Config& config) {
    require(config.vocabulary > 0 && config.width > 0 && config.depth >= 0 && config.mlp_width > 0, "palm: ", config.vocabulary,
            " tokens, width ", config.width, ", depth ", config.depth, ", inner width ", config.mlp_width,
            ": sizes must be positive");
    require(config.heads > 0 && config.head_width > 0 && config.head_width % 2 == 0, "palm: ", config.heads, " heads of width ",
            config.head_width, ": there must be one at least, of an even width, as columns are turned in pairs");
    require(long{config.heads} * config.head_width <= std::numeric_limits<int>::max(), "palm: ", config.heads, " heads of width ",
            config.head_width, " are wider than the 2147483647 columns of a matrix");
    require_eps("palm", config.eps);
    require(config.rotary_base > 0, "palm: a rotary base of ", config.rotary_base, ", it must be above 0; 10000 is usual");
}

static BlockOptions options_of(const Config& config) {
    return {.heads = config.heads,
            .eps = config.eps,
            .activation = Activation::silu,
            .order = Order::parallel,
            .norm = NormKind::layer};
}

// Everything between ids and logits. Order::parallel: z' = z + attention(N(z)) + mlp(N(z)). That all heads of queries share one
// key follows from the width of the key matrix.
static Steps read(const std::vector<int>& ids, const std::vector<int>& positions, std::vector<BlockContext> contexts,
                  const Weights& w, const Config& config) {
    check(config);
    require_depth("palm", config.depth, w.blocks);
    for (const Block& block : w.blocks) {
        require_shape("palm", "query matrix", block.attention.query.weight, config.width, config.heads * config.head_width);
        require_shape("palm", "key matrix", block.attention.key.weight, config.width, config.head_width);
    }
    for (BlockContext& context : contexts) context.self.rotary = {.base = config.rotary_base, .positions = positions};
    Steps steps;
    steps.embeddings = named_step("token_embeddings", embed(w.token_embedding, ids));  // (B*T, E)
    steps.decoder = stack(steps.embeddings, w.blocks, options_of(config), contexts);   // (B*T, E)
    steps.hidden = layer_norm(steps.decoder.output, w.norm, config.eps);               // (B*T, E)
    return steps;
}

Steps forward(const TokenBatch& batch, const Weights& w, const Config& config) {
    require_texts("palm", batch);
    Steps steps = read(batch.ids, positions(batch), {{.self = attending(batch, true)}}, w, config);
    steps.logits = logits_of(steps.hidden, w, config);  // (B*T, V)
    return steps;
}

Var logits_of(const Var& hidden, const Weights& w, const Config&) { return matmul_transposed(hidden, w.token_embedding); }

Var loss(const Steps& steps, const TokenBatch& batch) { return cross_entropy(steps.logits, next_tokens(batch)); }

Var z_loss(const Steps& steps, const TokenBatch& batch, float weight) {
    const std::vector<int> labels = next_tokens(batch);
    std::vector<int> rows, targets;  // those that have a next token
    for (std::size_t row = 0; row < labels.size(); ++row) {
        if (labels[row] == ignored_label) continue;
        rows.push_back(static_cast<int>(row));
        targets.push_back(labels[row]);
    }
    require(weight >= 0 && std::isfinite(weight), "palm: a z-loss times ", weight,
            ", the factor must be finite and at least 0; 1e-4 is usual");
    require(!rows.empty(), "palm: none of ", labels.size(),
            " rows of the batch has a next token; a text needs at least 2 tokens");
    const Var logits = gather_rows(steps.logits, rows);                           // (n, V)
    const Var log_Z = add(token_losses(logits, targets), pick(logits, targets));  // (n, 1)  -log p = log Z - logit
    return scale(mean(square(log_Z)), weight);                                    // (1, 1)
}

// --- one token after the other ---

Memory make_memory(const Config& config, int sequences, int capacity) {
    return ::make_memory(config.depth, sequences, capacity, config.head_width);  // one key and one value, whatever H is
}

Steps read_on(const TokenBatch& next, const Weights& w, const Config& config, Memory& memory) {
    const Reading reading = read_next(memory, next, "palm");
    return read(next.ids, reading.positions, reading.contexts, w, config);
}

// --- weights ---

Weights make_weights(const Config& config, Random& random, const Init& init) {
    check(config);
    const BlockShape shape{.width = config.width,
                           .mlp_width = config.mlp_width,
                           .query_width = config.heads * config.head_width,
                           .key_value_width = config.head_width,
                           .gated = true,
                           .query_bias = false,
                           .key_bias = false,
                           .value_bias = false,
                           .bias = false};
    Weights w;
    w.token_embedding = make_embedding(random, config.vocabulary, config.width, init);
    for (int l = 0; l < config.depth; ++l) {
        w.blocks.push_back(make_block(random, shape, init));
        w.blocks.back().norm1.bias = {};
        w.blocks.back().norm2 = {};
    }
    w.norm = make_layer_norm(config.width);
    w.norm.bias = {};
    return w;
}

Parameters parameters(const Weights& w, const Config& config) {
    require_depth("palm", config.depth, w.blocks);
    Parameters table;
    table.push_back({"0.weight", {config.vocabulary, config.width}, Stored::as_it_is, {w.token_embedding}});
    for (int l = 0; l < config.depth; ++l) add_parameters(table, text(l + 1) + ".", w.blocks[l], palm_names);
    table.push_back({text(config.depth + 1) + ".gamma", {config.width}, Stored::as_it_is, {w.norm.gain}});
    return table;
}

Config config_of(const Safetensors& checkpoint) {
    Config config;
    config.vocabulary = checkpoint.dimension("0.weight", 0);
    config.width = checkpoint.dimension("0.weight", 1);
    config.depth = count_blocks(checkpoint, "", ".fn.norm.gamma", {}, 1);
    config.mlp_width = checkpoint.dimension("1.fn.ff_out.1.weight", 1);
    const int queries = checkpoint.dimension("1.fn.attn_out.weight", 1);  // H h
    const int fused = checkpoint.dimension("1.fn.fused_attn_ff_proj.weight", 0);
    const int key_and_value = fused - queries - 2 * config.mlp_width;  // 2 h
    require(key_and_value > 0 && key_and_value % 2 == 0 && queries % (key_and_value / 2) == 0, checkpoint.path, ": ", fused,
            " rows of 1.fn.fused_attn_ff_proj.weight are not ", queries, " of queries, two of ", config.mlp_width,
            " of the MLP, and one key and one value whose width divides the queries");
    config.head_width = key_and_value / 2;
    config.heads = queries / config.head_width;
    with_source(checkpoint.path, [&] { check(config); });
    return config;
}

std::map<std::string, std::string> metadata(const Config&) { return {{"format", "pt"}, {"model_type", "palm"}}; }

// --- for nn/interpret ---

Inside inside(const Weights& w, const Config& config) {
    return inside_of(w.blocks, options_of(config), w.norm, w.token_embedding);
}

}  // namespace palm
