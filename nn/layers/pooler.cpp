#include "nn/layers/pooler.h"

#include <limits>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"

// Repeats all rows for every sequence: (Q, D) -> (sequences*Q, D).
static Var for_every_sequence(const Var& rows, int sequences) {
    std::vector<int> indices;
    for (int b = 0; b < sequences; ++b)
        for (int q = 0; q < rows.rows(); ++q) indices.push_back(q);
    return gather_rows(rows, indices);
}

// --- attentional pooler ---

PoolerSteps pool(const Var& tokens, const Segments& segments, const Pooler& w, int heads, float eps) {
    const int B = segments.size(), Q = w.queries.rows();
    require(B > 0, "pool: no sequence of the ", tokens.rows(), " tokens is given; Segments::one(rows) is a single one");
    PoolerSteps steps;
    steps.queries = for_every_sequence(layer_norm(w.queries, w.query_norm, eps), B);  // (B*Q, D)
    steps.source = layer_norm(tokens, w.source_norm, eps);                            // (B*n, Ds)
    const Attending how{.segments = Segments::equal(B, Q), .key_segments = segments};
    steps.attention = attention({steps.queries, steps.source}, w.attention, heads, how);  // (B*Q, D)
    return steps;
}

Pooler make_pooler(Random& random, int queries, int width, int source_width, const Init& init) {
    Pooler w;
    w.queries = make_weight(random, queries, width, init);
    w.query_norm = make_layer_norm(width);
    w.source_norm = make_layer_norm(source_width);
    w.attention = make_attention(random, BlockShape{.width = width}, source_width, init);
    return w;
}

// --- Perceiver resampler ---

// The tokens of each sequence, followed by its latents: (B*n, D) and (B*R, D) -> (B*(n+R), D).
static Var tokens_and_latents(const Var& tokens, const Var& latents, int sequences) {
    const int n = tokens.rows() / sequences, R = latents.rows() / sequences;
    std::vector<int> rows;
    for (int b = 0; b < sequences; ++b) {
        for (int i = 0; i < n; ++i) rows.push_back(b * n + i);
        for (int r = 0; r < R; ++r) rows.push_back(sequences * n + b * R + r);
    }
    return gather_rows(concat_rows({tokens, latents}), rows);
}

// Adds row f of the table to every token of frame f.
static Var add_frames(const Var& tokens, int sequences, const Var& frames) {
    const int F = frames.rows(), n = tokens.rows() / sequences;
    require(F > 0 && n % F == 0, "resample: ", n, " tokens do not divide into ", F, " frames; give a multiple of ", F);
    std::vector<int> frame_of_token;
    for (int i = 0; i < n; ++i) frame_of_token.push_back(i / (n / F));
    return add_repeated(tokens, gather_rows(frames, frame_of_token));
}

ResamplerSteps resample(const Var& tokens, int sequences, const Resampler& w, int heads, float eps) {
    require(sequences > 0 && tokens.rows() > 0 && tokens.rows() % sequences == 0, "resample: ", tokens.rows(),
            " tokens are not a whole number for each of ", sequences, " sequences");
    const int B = sequences, n = tokens.rows() / B, R = w.latents.rows();
    const Attending how{.segments = Segments::equal(B, R), .key_segments = Segments::equal(B, n + R)};
    const Var x = w.frames ? add_frames(tokens, B, w.frames) : tokens;  // (B*n, D)
    ResamplerSteps steps;
    Var latents = for_every_sequence(w.latents, B);  // (B*R, D)
    for (std::size_t l = 0; l < w.layers.size(); ++l) {
        const InBlock in_block(static_cast<int>(l));
        const ResamplerLayer& layer = w.layers[l];
        ResamplerLayerSteps of_layer;
        const Var source = layer_norm(x, layer.source_norm, eps);                      // (B*n, D)
        const Var queries = layer_norm(latents, layer.latent_norm, eps);               // (B*R, D)
        const Var keys = tokens_and_latents(source, queries, B);                       // (B*(n+R), D)
        of_layer.attention = attention({queries, keys}, layer.attention, heads, how);  // (B*R, D)
        const Var after_attention = add(latents, of_layer.attention.output);           // (B*R, D)
        of_layer.mlp = mlp(layer_norm(after_attention, layer.mlp_norm, eps), layer.mlp, Activation::gelu);
        latents = add(after_attention, of_layer.mlp.output);  // (B*R, D)
        if (steps_are_kept()) steps.layers.push_back(of_layer);
    }
    steps.latents = layer_norm(latents, w.norm, eps);  // (B*R, D)
    return steps;
}

Resampler make_resampler(Random& random, const ResamplerShape& shape, const Init& init) {
    require(shape.frames > 0, "make_resampler: ", shape.frames, " frames, there must be at least 1; 1 = images");
    require(shape.depth > 0 && shape.heads > 0 && shape.head_width > 0, "make_resampler: ", shape.depth, " layers of ",
            shape.heads, " heads of width ", shape.head_width, ", each must be at least 1");
    require(long{shape.heads} * shape.head_width <= std::numeric_limits<int>::max(), "make_resampler: ", shape.heads,
            " heads of width ", shape.head_width, " are wider than the 2147483647 columns of a matrix");
    const BlockShape layer{.width = shape.width,
                           .mlp_width = shape.mlp_width,
                           .query_width = shape.heads * shape.head_width,
                           .query_bias = false,
                           .key_bias = false,
                           .value_bias = false,
                           .bias = false};
    Resampler w;
    w.latents = make_weight(random, shape.latents, shape.width, init);
    if (shape.frames > 1) w.frames = make_weight(random, shape.frames, shape.width, init);
    for (int l = 0; l < shape.depth; ++l)
        w.layers.push_back({.source_norm = make_layer_norm(shape.width),
                            .latent_norm = make_layer_norm(shape.width),
                            .attention = make_attention(random, layer, shape.width, init),
                            .mlp_norm = make_layer_norm(shape.width),
                            .mlp = make_mlp(random, layer, init)});
    w.norm = make_layer_norm(shape.width);
    return w;
}

void add_parameters(Parameters& table, const std::string& prefix, const Resampler& w) {
    table.push_back({prefix + "latents", {w.latents.rows(), w.latents.cols()}, Stored::as_it_is, {w.latents}});
    if (w.frames) table.push_back({prefix + "frame_embs", {w.frames.rows(), w.frames.cols()}, Stored::as_it_is, {w.frames}});
    for (std::size_t l = 0; l < w.layers.size(); ++l) {
        const ResamplerLayer& layer = w.layers[l];
        const std::string name = prefix + "layers." + std::to_string(l) + ".";
        add_parameters(table, name + "0.norm_media", layer.source_norm);
        add_parameters(table, name + "0.norm_latents", layer.latent_norm);
        add_parameters(table, name + "0.to_q", layer.attention.query);
        const long in = layer.attention.key.weight.rows(), out = layer.attention.key.weight.cols();
        table.push_back({name + "0.to_kv.weight",
                         {2 * out, in},
                         Stored::out_by_in,
                         {layer.attention.key.weight, layer.attention.value.weight}});
        add_parameters(table, name + "0.to_out", layer.attention.output);
        add_parameters(table, name + "1.0", layer.mlp_norm);
        add_parameters(table, name + "1.1", layer.mlp.expand);
        add_parameters(table, name + "1.3", layer.mlp.contract);
    }
    add_parameters(table, prefix + "norm", w.norm);
}
