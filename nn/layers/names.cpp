#include "nn/layers/names.h"

#include <set>

#include "nn/base/require.h"

// --- one tensor ---

namespace {

// A linear layer of the block and the names of its tensors.
struct NamedLayer {
    const char* part;  // "query", for errors
    Linear layer;
    const char* name;
    const char* bias_name;             // usually the same as name
    const char* bias_alone = nullptr;  // used when other layers under the same name have no bias
    int heads_out = 0;                 // number of heads in its columns; 0 = not divided into heads
    int heads_in = 0;                  // number of heads in its rows
    bool rotated = false;              // a query or key, which rotary positions rotate
};

}  // namespace

// "attn.proj.*" and "weight": "blocks.0.attn.proj.weight"
static std::string full_name(const std::string& prefix, const char* name, const char* word, const char* part) {
    require(name != nullptr, "block names: there is no name for the ", part, " of ", prefix);
    std::string result = name;
    const std::size_t star = result.find('*');
    if (star != std::string::npos) result.replace(star, 1, word);
    return prefix + result;
}

static bool same_name(const char* a, const char* b) { return a != nullptr && b != nullptr && std::string(a) == b; }

// The published order of the columns of a fused tensor; empty = the same as ours.
static std::vector<int> columns_of(const std::vector<NamedLayer>& fused, const std::string& name, HeadLayout layout) {
    if (layout == HeadLayout::head_by_head && fused.size() > 1 && fused[0].heads_out > 0) {
        const int width = fused[0].layer.weight.cols(), H = fused[0].heads_out;
        for (const NamedLayer& layer : fused)
            require(layer.layer.weight.cols() == width && layer.heads_out == H, "block names: ", name,
                    " is fused head by head, but its ", layer.part, " has ", layer.heads_out, " heads in ",
                    layer.layer.weight.cols(), " columns and its ", fused[0].part, " ", H, " in ", width);
        return columns_head_by_head(static_cast<int>(fused.size()), H, width / H);
    }
    if (layout == HeadLayout::pairs && fused.size() == 1 && fused[0].rotated)
        return columns_of_pairs(fused[0].heads_out, fused[0].layer.weight.cols() / fused[0].heads_out);
    return {};
}

static int columns_together(const std::vector<NamedLayer>& fused) {
    int columns = 0;
    for (const NamedLayer& layer : fused) columns += layer.layer.weight.cols();
    return columns;
}

// The total number of heads; 0 unless every layer is divided into heads.
static int heads_together(const std::vector<NamedLayer>& fused) {
    int heads = 0;
    for (const NamedLayer& layer : fused) {
        if (layer.heads_out == 0) return 0;
        heads += layer.heads_out;
    }
    return heads;
}

static Parameter weight_of(const std::vector<NamedLayer>& fused, const std::string& name, const BlockNames& names) {
    const long in = fused[0].layer.weight.rows(), out = columns_together(fused);
    Parameter result{.name = name, .shape = {in, out}, .stored = names.stored, .parts = {}};
    if (names.stored == Stored::out_by_in) result.shape = {out, in};
    if (names.layout == HeadLayout::own_dimension) {
        const long H = heads_together(fused), from = fused[0].heads_in;
        if (H > 0) {
            result.shape = {in, H, out / H};
            result.stored = Stored::in_by_rest;
        }
        if (from > 0) {
            result.shape = {from, in / from, out};
            result.stored = Stored::as_it_is;
        }
    }
    result.columns = columns_of(fused, name, names.layout);
    for (const NamedLayer& layer : fused) result.parts.push_back(layer.layer.weight);
    return result;
}

static Parameter bias_of(const std::vector<NamedLayer>& fused, const std::string& name, const BlockNames& names) {
    const long out = columns_together(fused), H = heads_together(fused);
    Parameter result{.name = name, .shape = {out}, .stored = Stored::as_it_is, .parts = {}};
    if (names.layout == HeadLayout::own_dimension && H > 0) {
        result.shape = {H, out / H};
        result.stored = Stored::one_row;
    }
    result.columns = columns_of(fused, name, names.layout);
    for (const NamedLayer& layer : fused) result.parts.push_back(layer.layer.bias);
    return result;
}

// --- several layers ---

// All layers with the name of layer k; empty when an earlier layer has the same name.
static std::vector<NamedLayer> under_name_of(std::size_t k, const std::vector<NamedLayer>& layers,
                                             const char* NamedLayer::*name) {
    std::vector<NamedLayer> found;
    for (std::size_t other = 0; other < layers.size(); ++other) {
        if (other != k && !same_name(layers[other].*name, layers[k].*name)) continue;
        if (other < k) return {};
        found.push_back(layers[other]);
    }
    return found;
}

// Adds all layers; those that share a name become one tensor.
static void add_layers(Parameters& table, const std::string& prefix, const std::vector<NamedLayer>& layers,
                       const BlockNames& names) {
    for (std::size_t k = 0; k < layers.size(); ++k) {
        const char* const part = layers[k].part;
        const std::vector<NamedLayer> fused = under_name_of(k, layers, &NamedLayer::name);
        if (!fused.empty()) table.push_back(weight_of(fused, full_name(prefix, layers[k].name, names.weight, part), names));

        const std::vector<NamedLayer> biases = under_name_of(k, layers, &NamedLayer::bias_name);
        std::vector<NamedLayer> present;
        for (const NamedLayer& layer : biases)
            if (layer.layer.bias) present.push_back(layer);
        if (present.empty()) continue;
        if (present.size() == biases.size()) {
            table.push_back(bias_of(present, full_name(prefix, layers[k].bias_name, names.bias, part), names));
        } else {
            for (const NamedLayer& layer : present)
                table.push_back(bias_of({layer}, full_name(prefix, layer.bias_alone, names.bias, "bias alone"), names));
        }
    }
}

static void add_norm(Parameters& table, const std::string& prefix, const Norm& w, const char* name, const BlockNames& names) {
    if (w.gain) table.push_back({full_name(prefix, name, names.gain, "norm"), {w.gain.cols()}, Stored::as_it_is, {w.gain}});
    if (w.bias) table.push_back({full_name(prefix, name, names.shift, "norm"), {w.bias.cols()}, Stored::as_it_is, {w.bias}});
}

// A sublayer: its norm and its layers.
static void add_sublayer(Parameters& table, const std::string& prefix, const Norm& norm, const char* norm_name,
                         const std::vector<NamedLayer>& layers, const BlockNames& names) {
    if (!names.norms_last) add_norm(table, prefix, norm, norm_name, names);
    add_layers(table, prefix, layers, names);
    if (names.norms_last) add_norm(table, prefix, norm, norm_name, names);
}

static void add_scale(Parameters& table, const std::string& prefix, const Var& scale, const char* name) {
    if (scale) table.push_back({full_name(prefix, name, "", "layer scale"), {scale.cols()}, Stored::as_it_is, {scale}});
}

// --- the block ---

// Query, key, value and output; empty for an absent attention.
static std::vector<NamedLayer> layers_of(const Attention& w, const AttentionNames& names, HeadLayout layout, int H,
                                         const std::string& prefix) {
    if (!w.query.weight) return {};
    int G = 0;  // heads of keys and values
    if (layout == HeadLayout::side_by_side) {
        H = 0;
    } else {
        const int width = w.query.weight.cols();
        require(H > 0 && width % H == 0, "block names: the layout of ", prefix, " needs a number of heads that divides ", width,
                ", not ", H);
        G = w.key.weight.cols() / (width / H);
    }
    const bool one = names.biases != nullptr;  // one tensor of all biases
    return {{"query", w.query, names.query, one ? names.biases : names.query, names.query_bias, H, 0, true},
            {"key", w.key, names.key, one ? names.biases : names.key, nullptr, G, 0, true},
            {"value", w.value, names.value, one ? names.biases : names.value, names.value_bias, G},
            {"attention's output", w.output, names.output, names.output, nullptr, 0, H}};
}

static void require_own_names(const Parameters& table, std::size_t first) {
    std::set<std::string> seen;
    for (std::size_t k = first; k < table.size(); ++k)
        require(seen.insert(table[k].name).second, "block names: two tensors would be called ", table[k].name);
}

void add_parameters(Parameters& table, const std::string& prefix, const Block& block, const BlockNames& names, int heads) {
    const std::size_t first = table.size();
    const bool gated = static_cast<bool>(block.mlp.gate.weight);
    const char* const expand = gated && names.gated_expand != nullptr ? names.gated_expand : names.expand;
    std::vector<NamedLayer> mlp;
    if (block.mlp.expand.weight) mlp.push_back({"MLP's expand", block.mlp.expand, expand, expand});
    if (gated) mlp.push_back({"MLP's gate", block.mlp.gate, names.gate, names.gate});
    if (block.mlp.contract.weight) mlp.push_back({"MLP's contract", block.mlp.contract, names.contract, names.contract});
    std::vector<NamedLayer> attention = layers_of(block.attention, names.attention, names.layout, heads, prefix);
    if (same_name(names.attention.query, expand)) {  // all layers that read x are one tensor
        attention.insert(attention.end(), mlp.begin(), mlp.end());
        mlp.clear();
    }

    const std::vector<NamedLayer> cross = layers_of(block.cross, names.cross, names.layout, heads, prefix);

    add_scale(table, prefix, block.scale1, names.scale1);
    add_scale(table, prefix, block.scale2, names.scale2);
    add_sublayer(table, prefix, block.norm1, names.norm1, attention, names);
    add_sublayer(table, prefix, block.norm_cross, names.norm_cross, cross, names);
    add_sublayer(table, prefix, block.norm2, names.norm2, mlp, names);
    require_own_names(table, first);
}

void add_parameters(Parameters& table, const std::string& prefix, const std::vector<Block>& blocks, const BlockNames& names,
                    int heads, const std::string& separator) {
    for (std::size_t l = 0; l < blocks.size(); ++l)
        add_parameters(table, prefix + std::to_string(l) + separator, blocks[l], names, heads);
}

// --- layers outside the blocks ---

void add_parameters(Parameters& table, const std::string& name, const Linear& w, const BlockNames& names) {
    if (w.weight) add_layers(table, "", {{"layer", w, name.c_str(), name.c_str()}}, names);
}

void add_parameters(Parameters& table, const std::string& name, const Norm& w, const BlockNames& names) {
    add_norm(table, "", w, name.c_str(), names);
}

// --- the tables ---

// Query, key and value are one tensor.
static constexpr AttentionNames fused(const char* together, const char* output) {
    return {.query = together, .key = together, .value = together, .output = output};
}

const BlockNames timm_names{
    .norm1 = "norm1.*",
    .attention = {.query = "attn.qkv.*",
                  .key = "attn.qkv.*",
                  .value = "attn.qkv.*",
                  .output = "attn.proj.*",
                  .query_bias = "attn.q_bias",
                  .value_bias = "attn.v_bias"},
    .norm2 = "norm2.*",
    .expand = "mlp.fc1.*",
    .contract = "mlp.fc2.*",
    .scale1 = "gamma_1",
    .scale2 = "gamma_2",
};

const BlockNames hugging_face_vit_names{
    .norm1 = "layernorm_before.*",
    .attention = {.query = "attention.attention.query.*",
                  .key = "attention.attention.key.*",
                  .value = "attention.attention.value.*",
                  .output = "attention.output.dense.*"},
    .norm2 = "layernorm_after.*",
    .expand = "intermediate.dense.*",
    .contract = "output.dense.*",
};

const BlockNames flax_vit_names{
    .norm1 = "LayerNorm_0/*",
    .attention = {.query = "MultiHeadDotProductAttention_0/query/*",
                  .key = "MultiHeadDotProductAttention_0/key/*",
                  .value = "MultiHeadDotProductAttention_0/value/*",
                  .output = "MultiHeadDotProductAttention_0/out/*"},
    .norm2 = "LayerNorm_1/*",
    .expand = "MlpBlock_0/Dense_0/*",
    .contract = "MlpBlock_0/Dense_1/*",
    .weight = "kernel",
    .gain = "scale",
    .stored = Stored::as_it_is,
    .layout = HeadLayout::own_dimension,
};

const BlockNames bert_names{
    .norm1 = "attention.output.LayerNorm.*",
    .attention = {.query = "attention.self.query.*",
                  .key = "attention.self.key.*",
                  .value = "attention.self.value.*",
                  .output = "attention.output.dense.*"},
    .norm2 = "output.LayerNorm.*",
    .expand = "intermediate.dense.*",
    .contract = "output.dense.*",
    .norms_last = true,
};

const BlockNames gpt2_names{
    .norm1 = "ln_1.*",
    .attention = fused("attn.c_attn.*", "attn.c_proj.*"),
    .norm2 = "ln_2.*",
    .expand = "mlp.c_fc.*",
    .contract = "mlp.c_proj.*",
    .stored = Stored::as_it_is,
};

const BlockNames opt_names{
    .norm1 = "self_attn_layer_norm.*",
    .attention = {.query = "self_attn.q_proj.*",
                  .key = "self_attn.k_proj.*",
                  .value = "self_attn.v_proj.*",
                  .output = "self_attn.out_proj.*"},
    .norm2 = "final_layer_norm.*",
    .expand = "fc1.*",
    .contract = "fc2.*",
    .norm_cross = "encoder_attn_layer_norm.*",
    .cross = {.query = "encoder_attn.q_proj.*",
              .key = "encoder_attn.k_proj.*",
              .value = "encoder_attn.v_proj.*",
              .output = "encoder_attn.out_proj.*"},
};

const BlockNames bloom_names{
    .norm1 = "input_layernorm.*",
    .attention = fused("self_attention.query_key_value.*", "self_attention.dense.*"),
    .norm2 = "post_attention_layernorm.*",
    .expand = "mlp.dense_h_to_4h.*",
    .contract = "mlp.dense_4h_to_h.*",
    .layout = HeadLayout::head_by_head,
};

static constexpr BlockNames glm_blocks{
    .norm1 = "input_layernorm.*",
    .attention = fused("attention.query_key_value.*", "attention.dense.*"),
    .norm2 = "post_attention_layernorm.*",
    .expand = "mlp.dense_h_to_4h.*",
    .contract = "mlp.dense_4h_to_h.*",
};

const BlockNames glm_names = glm_blocks;

// GLM's blocks with a gate, whose two halves are stored in the other order.
static constexpr BlockNames gated_glm() {
    BlockNames names = glm_blocks;
    names.gate = names.expand;  // the second half of the tensor, to which the activation function is applied; expand is the first
    names.layout = HeadLayout::head_by_head;
    return names;
}

const BlockNames glm130b_names = gated_glm();

const BlockNames llama_names{
    .norm1 = "input_layernorm.*",
    .attention = {.query = "self_attn.q_proj.*",
                  .key = "self_attn.k_proj.*",
                  .value = "self_attn.v_proj.*",
                  .output = "self_attn.o_proj.*"},
    .norm2 = "post_attention_layernorm.*",
    .expand = "mlp.up_proj.*",
    .contract = "mlp.down_proj.*",
    .gate = "mlp.gate_proj.*",
};

const BlockNames meta_llama_names{
    .norm1 = "attention_norm.*",
    .attention = {.query = "attention.wq.*", .key = "attention.wk.*", .value = "attention.wv.*", .output = "attention.wo.*"},
    .norm2 = "ffn_norm.*",
    .expand = "feed_forward.w3.*",
    .contract = "feed_forward.w2.*",
    .gate = "feed_forward.w1.*",
    .layout = HeadLayout::pairs,
};

const BlockNames palm_names{
    .norm1 = "fn.norm.*",
    .attention = fused("fn.fused_attn_ff_proj.*", "fn.attn_out.*"),
    .expand = "fn.fused_attn_ff_proj.*",
    .contract = "fn.ff_out.1.*",
    .gate = "fn.fused_attn_ff_proj.*",
    .gain = "gamma",
};

static constexpr AttentionNames t5_self_attention{.query = "layer.0.SelfAttention.q.*",
                                                  .key = "layer.0.SelfAttention.k.*",
                                                  .value = "layer.0.SelfAttention.v.*",
                                                  .output = "layer.0.SelfAttention.o.*"};

const BlockNames t5_encoder_names{
    .norm1 = "layer.0.layer_norm.*",
    .attention = t5_self_attention,
    .norm2 = "layer.1.layer_norm.*",
    .expand = "layer.1.DenseReluDense.wi.*",
    .contract = "layer.1.DenseReluDense.wo.*",
    .gate = "layer.1.DenseReluDense.wi_0.*",
    .gated_expand = "layer.1.DenseReluDense.wi_1.*",
};

const BlockNames t5_decoder_names{
    .norm1 = "layer.0.layer_norm.*",
    .attention = t5_self_attention,
    .norm2 = "layer.2.layer_norm.*",
    .expand = "layer.2.DenseReluDense.wi.*",
    .contract = "layer.2.DenseReluDense.wo.*",
    .gate = "layer.2.DenseReluDense.wi_0.*",
    .gated_expand = "layer.2.DenseReluDense.wi_1.*",
    .norm_cross = "layer.1.layer_norm.*",
    .cross = {.query = "layer.1.EncDecAttention.q.*",
              .key = "layer.1.EncDecAttention.k.*",
              .value = "layer.1.EncDecAttention.v.*",
              .output = "layer.1.EncDecAttention.o.*"},
};

const BlockNames clip_names{
    .norm1 = "layer_norm1.*",
    .attention = {.query = "self_attn.q_proj.*",
                  .key = "self_attn.k_proj.*",
                  .value = "self_attn.v_proj.*",
                  .output = "self_attn.out_proj.*"},
    .norm2 = "layer_norm2.*",
    .expand = "mlp.fc1.*",
    .contract = "mlp.fc2.*",
};

// A block has self-attention or, in the second half of CoCa's text decoder, cross-attention under the same names.
const BlockNames open_clip_names{
    .norm1 = "ln_1.*",
    .attention = fused("attn.in_proj_*", "attn.out_proj.*"),
    .norm2 = "ln_2.*",
    .expand = "mlp.c_fc.*",
    .contract = "mlp.c_proj.*",
    .norm_cross = "ln_1.*",
    .cross = fused("attn.in_proj_*", "attn.out_proj.*"),
};

const BlockNames flamingo_names{
    .norm2 = "ff.0.*",
    .expand = "ff.1.*",
    .contract = "ff.3.*",
    .norm_cross = "attn.norm.*",
    .cross = {.query = "attn.to_q.*", .key = "attn.to_kv.*", .value = "attn.to_kv.*", .output = "attn.to_out.*"},
};

const BlockNames mask2former_names{
    .norm1 = "norm.*",
    .attention = fused("self_attn.in_proj_*", "self_attn.out_proj.*"),
    .norm2 = "norm.*",
    .expand = "linear1.*",
    .contract = "linear2.*",
    .norm_cross = "norm.*",
    .cross = fused("multihead_attn.in_proj_*", "multihead_attn.out_proj.*"),
};

const BlockNames maskgit_names{
    .norm1 = "Attention_0/attention_output_ln/*",
    .attention = {.query = "Attention_0/self_attention/query/*",
                  .key = "Attention_0/self_attention/key/*",
                  .value = "Attention_0/self_attention/value/*",
                  .output = "Attention_0/self_attention/out/*"},
    .norm2 = "Mlp_0/layer_output_ln/*",
    .expand = "Mlp_0/intermediate_output/*",
    .contract = "Mlp_0/layer_output/*",
    .weight = "kernel",
    .gain = "scale",
    .stored = Stored::as_it_is,
    .layout = HeadLayout::own_dimension,
};

const BlockNames uvim_decoder_names{
    .norm1 = "LayerNorm1/*",
    .attention = {.query = "SelfAttn/query/*", .key = "SelfAttn/key/*", .value = "SelfAttn/value/*", .output = "SelfAttn/out/*"},
    .norm2 = "LayerNorm3/*",
    .expand = "MLP/Dense_0/*",
    .contract = "MLP/Dense_1/*",
    .norm_cross = "LayerNorm2/*",
    .cross = {.query = "CrossAttn/query/*", .key = "CrossAttn/key/*", .value = "CrossAttn/value/*", .output = "CrossAttn/out/*"},
    .weight = "kernel",
    .gain = "scale",
    .stored = Stored::as_it_is,
    .layout = HeadLayout::own_dimension,
};

const BlockNames pix2seq_encoder_names{
    .norm1 = "mha_ln/*",
    .attention = {.query = "mha/_query_dense/*",
                  .key = "mha/_key_dense/*",
                  .value = "mha/_value_dense/*",
                  .output = "mha/_output_dense/*"},
    .norm2 = "mlp/layernorms/0/*",
    .expand = "mlp/mlp_layers/0/dense1/*",
    .contract = "mlp/mlp_layers/0/dense2/*",
    .weight = "kernel",
    .gain = "gamma",
    .shift = "beta",
    .stored = Stored::as_it_is,
    .layout = HeadLayout::own_dimension,
};

const BlockNames pix2seq_decoder_names{
    .norm1 = "self_ln/*",
    .attention = {.query = "self_mha/_query_dense/*",
                  .key = "self_mha/_key_dense/*",
                  .value = "self_mha/_value_dense/*",
                  .output = "self_mha/_output_dense/*"},
    .norm2 = "mlp/layernorms/0/*",
    .expand = "mlp/mlp_layers/0/dense1/*",
    .contract = "mlp/mlp_layers/0/dense2/*",
    .norm_cross = "cross_ln/*",
    .cross = {.query = "cross_mha/_query_dense/*",
              .key = "cross_mha/_key_dense/*",
              .value = "cross_mha/_value_dense/*",
              .output = "cross_mha/_output_dense/*"},
    .weight = "kernel",
    .gain = "gamma",
    .shift = "beta",
    .stored = Stored::as_it_is,
    .layout = HeadLayout::own_dimension,
};

const BlockNames unified_io_encoder_names{
    .norm1 = "pre_attention_layer_norm/*",
    .attention = {.query = "attention/query/*",
                  .key = "attention/key/*",
                  .value = "attention/value/*",
                  .output = "attention/out/*"},
    .norm2 = "pre_mlp_layer_norm/*",
    .expand = "mlp/wi_1/*",
    .contract = "mlp/wo/*",
    .gate = "mlp/wi_0/*",
    .weight = "kernel",
    .gain = "scale",
    .stored = Stored::as_it_is,
};

const BlockNames unified_io_decoder_names{
    .norm1 = "pre_self_attention_layer_norm/*",
    .attention = {.query = "self_attention/query/*",
                  .key = "self_attention/key/*",
                  .value = "self_attention/value/*",
                  .output = "self_attention/out/*"},
    .norm2 = "pre_mlp_layer_norm/*",
    .expand = "mlp/wi_1/*",
    .contract = "mlp/wo/*",
    .gate = "mlp/wi_0/*",
    .norm_cross = "pre_cross_attention_layer_norm/*",
    .cross = {.query = "encoder_decoder_attention/query/*",
              .key = "encoder_decoder_attention/key/*",
              .value = "encoder_decoder_attention/value/*",
              .output = "encoder_decoder_attention/out/*"},
    .weight = "kernel",
    .gain = "scale",
    .stored = Stored::as_it_is,
};
