// names.h: the state dict names of the tensors of a block, in published checkpoints.
//
//   shows    that the checkpoints of thirty systems hold the same blocks: they differ only in tensor names and layouts, which are
//            tables, so that no system needs a loading loop of its own
//   example  add_parameters(table, "blocks.0.", block, timm_names) adds blocks.0.norm1.weight (D), blocks.0.norm1.bias (D),
//            blocks.0.attn.qkv.weight (3 D, D), blocks.0.attn.qkv.bias (3 D), ..., blocks.0.mlp.fc2.bias (D)
//   symbols  D width   H heads   h head width
#pragma once
#include <string>

#include "nn/data/parameters.h"
#include "nn/layers/transformer.h"

// The layout of heads in the tensors of queries, keys and values.
enum class HeadLayout {
    side_by_side,   // head 0, head 1, ... of all queries, then of all keys, then of all values.   most models
    head_by_head,   // fused as (H, 3, h): query, key and value of head 0, then of head 1, ...     BLOOM, GLM-130B
    pairs,          // rotary pairs side by side in queries and keys, see columns_of_pairs.        Meta's LLaMA
    own_dimension,  // kernels (D, H, h), biases (H, h), output (H, h, D).                          Flax
};

// In a name, * stands for "weight" or "bias": "attn.proj.*", "attn.in_proj_*". Parts with the same name are one fused tensor, in
// the order query, key, value, expand, gate. nullptr: the model has no such part.
struct AttentionNames {
    const char* query = nullptr;
    const char* key = nullptr;
    const char* value = nullptr;
    const char* output = nullptr;
    const char* biases = nullptr;      // of query, key and value as one tensor, where the weights are three
    const char* query_bias = nullptr;  // of a fused layer whose key has no bias
    const char* value_bias = nullptr;
};

struct BlockNames {
    const char* norm1 = nullptr;
    AttentionNames attention = {};
    const char* norm2 = nullptr;
    const char* expand = nullptr;
    const char* contract = nullptr;
    const char* gate = nullptr;
    const char* gated_expand = nullptr;  // the name of expand in a gated MLP, where it differs
    const char* norm_cross = nullptr;
    AttentionNames cross = {};
    const char* scale1 = nullptr;
    const char* scale2 = nullptr;
    // replacements of *
    const char* weight = "weight";  // of a linear layer
    const char* bias = "bias";
    const char* gain = "weight";  // of a norm
    const char* shift = "bias";
    // tensor layout
    Stored stored = Stored::out_by_in;  // of a linear layer: out_by_in (PyTorch), or as_it_is (Flax, TensorFlow, GPT-2)
    HeadLayout layout = HeadLayout::side_by_side;
    bool norms_last = false;  // list the norm of a sublayer after it; affects only the order
};

// Adds the tensors of a block, named prefix + name: "h.0." + "ln_1.weight". Absent parts add nothing: Block{.cross = w} adds only
// one attention.
//   heads   of the queries; needed for layouts other than side_by_side
//   throws  std::invalid_argument when a part has no name, two tensors get the same name, or heads do not divide the width
void add_parameters(Parameters& table, const std::string& prefix, const Block& block, const BlockNames& names, int heads = 0);

// The same for every block of a stack: prefix + number + separator + name, "blocks." "3" "." "norm1.weight".
void add_parameters(Parameters& table, const std::string& prefix, const std::vector<Block>& blocks, const BlockNames& names,
                    int heads = 0, const std::string& separator = ".");

// The same for layers outside the blocks, with the full name: "params/MlmLayer_0/mlm_dense/*".
void add_parameters(Parameters& table, const std::string& name, const Linear& w, const BlockNames& names);
void add_parameters(Parameters& table, const std::string& name, const Norm& w, const BlockNames& names);

// --- the tables ---
// For each: the models that use it, and the prefix of block 0.

// images
extern const BlockNames timm_names;              // MAE, MaskFeat, ViTDet; with q_bias BEiT, SimMIM, EVA, VideoMAE: blocks.0.
extern const BlockNames hugging_face_vit_names;  // ViT, PaLI: vit.encoder.layer.0.
extern const BlockNames flax_vit_names;          // big_vision, UViM: params/encoder/encoderblock_0/
extern const BlockNames mask2former_names;       // one sublayer each: ...transformer_self_attention_layers.0.

// text
extern const BlockNames bert_names;        // BERT: bert.encoder.layer.0.
extern const BlockNames gpt2_names;        // GPT, GPT-2, Gato: h.0.
extern const BlockNames opt_names;         // OPT and other fairseq models, Galactica, BioGPT, data2vec: model.decoder.layers.0.
extern const BlockNames bloom_names;       // BLOOM: h.0.
extern const BlockNames glm_names;         // GLM: transformer.layers.0.
extern const BlockNames glm130b_names;     // GLM-130B, expand and gate fused: transformer.layers.0.
extern const BlockNames llama_names;       // LLaMA as Hugging Face publishes it: model.layers.0.
extern const BlockNames meta_llama_names;  // LLaMA as Meta publishes it: layers.0.
extern const BlockNames palm_names;        // PaLM, all layers that read x fused: 1.
extern const BlockNames t5_encoder_names;  // T5, PaLI: encoder.block.0.
extern const BlockNames t5_decoder_names;  // T5, PaLI: decoder.block.0.

// images and text
extern const BlockNames clip_names;       // CLIP and OWL-ViT as Hugging Face publishes them: text_model.encoder.layers.0.
extern const BlockNames open_clip_names;  // CLIP as OpenAI publishes it, OpenCLIP, CoCa: transformer.resblocks.0.
extern const BlockNames flamingo_names;   // the blocks between those of the language model: gated_cross_attn_layer.

// images as tokens
extern const BlockNames maskgit_names;             // MaskGIT: params/TransformerLayer_0/
extern const BlockNames uvim_decoder_names;        // UViM, second stage: params/decoder/EncDecBlock0/
extern const BlockNames pix2seq_encoder_names;     // Pix2Seq: model/encoder/transformer_encoder/enc_layers/0/
extern const BlockNames pix2seq_decoder_names;     // Pix2Seq: model/decoder/decoder/dec_layers/0/
extern const BlockNames unified_io_encoder_names;  // Unified-IO: encoder/layers_0/
extern const BlockNames unified_io_decoder_names;  // Unified-IO: decoder/layers_0/
