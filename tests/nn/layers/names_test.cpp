#include "nn/layers/names.h"

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("names");

// Every name with its shape, in order: "b.norm1.weight(4) b.norm1.bias(4) ".
static std::string listing(const Block& block, const BlockNames& names, const std::string& prefix = "", int heads = 0) {
    Parameters table;
    add_parameters(table, prefix, block, names, heads);
    std::string joined;
    for (const Parameter& parameter : table) joined += parameter.name + shape_text(parameter.shape) + " ";
    return joined;
}

// D = 4, m = 6
static Block plain_block() {
    Random random;
    return make_block(random, {.width = 4, .mlp_width = 6});
}

// As in T5 and LLaMA: a gated MLP, norms without bias, no biases at all.
static Block gated_block(int source_width = 0) {
    Random random;
    return make_block(random, {.width = 4,
                               .mlp_width = 6,
                               .source_width = source_width,
                               .gated = true,
                               .query_bias = false,
                               .key_bias = false,
                               .value_bias = false,
                               .bias = false,
                               .norm = NormKind::rms});
}

static Block cross_block(int source_width) {
    Random random;
    return make_block(random, {.width = 4, .mlp_width = 6, .source_width = source_width});
}

TEST_CASE("timm_names: fused with and without a key bias, and layer scale only if present") {
    Block block = plain_block();
    CHECK(listing(block, timm_names, "b.") ==
          "b.norm1.weight(4) b.norm1.bias(4) b.attn.qkv.weight(12, 4) b.attn.qkv.bias(12) b.attn.proj.weight(4, 4) "
          "b.attn.proj.bias(4) b.norm2.weight(4) b.norm2.bias(4) b.mlp.fc1.weight(6, 4) b.mlp.fc1.bias(6) "
          "b.mlp.fc2.weight(4, 6) b.mlp.fc2.bias(4) ");
    block.attention.key.bias = {};
    block.scale1 = block.scale2 = parameter(Matrix(1, 4));
    CHECK(
        listing(block, timm_names, "b.") ==
        "b.gamma_1(4) b.gamma_2(4) b.norm1.weight(4) b.norm1.bias(4) b.attn.qkv.weight(12, 4) b.attn.q_bias(4) b.attn.v_bias(4) "
        "b.attn.proj.weight(4, 4) b.attn.proj.bias(4) b.norm2.weight(4) b.norm2.bias(4) "
        "b.mlp.fc1.weight(6, 4) b.mlp.fc1.bias(6) b.mlp.fc2.weight(4, 6) b.mlp.fc2.bias(4) ");
    block.attention.query.bias = block.attention.value.bias = {};
    CHECK(listing(block, timm_names).find("q_bias") == std::string::npos);
}

TEST_CASE("hugging_face_vit_names, flax_vit_names: with a dimension for the heads in Flax") {
    CHECK(listing(plain_block(), hugging_face_vit_names, "vit.encoder.layer.0.") ==
          "vit.encoder.layer.0.layernorm_before.weight(4) vit.encoder.layer.0.layernorm_before.bias(4) "
          "vit.encoder.layer.0.attention.attention.query.weight(4, 4) vit.encoder.layer.0.attention.attention.query.bias(4) "
          "vit.encoder.layer.0.attention.attention.key.weight(4, 4) vit.encoder.layer.0.attention.attention.key.bias(4) "
          "vit.encoder.layer.0.attention.attention.value.weight(4, 4) vit.encoder.layer.0.attention.attention.value.bias(4) "
          "vit.encoder.layer.0.attention.output.dense.weight(4, 4) vit.encoder.layer.0.attention.output.dense.bias(4) "
          "vit.encoder.layer.0.layernorm_after.weight(4) vit.encoder.layer.0.layernorm_after.bias(4) "
          "vit.encoder.layer.0.intermediate.dense.weight(6, 4) vit.encoder.layer.0.intermediate.dense.bias(6) "
          "vit.encoder.layer.0.output.dense.weight(4, 6) vit.encoder.layer.0.output.dense.bias(4) ");
    CHECK(listing(plain_block(), flax_vit_names, "", 2) ==
          "LayerNorm_0/scale(4) LayerNorm_0/bias(4) "
          "MultiHeadDotProductAttention_0/query/kernel(4, 2, 2) MultiHeadDotProductAttention_0/query/bias(2, 2) "
          "MultiHeadDotProductAttention_0/key/kernel(4, 2, 2) MultiHeadDotProductAttention_0/key/bias(2, 2) "
          "MultiHeadDotProductAttention_0/value/kernel(4, 2, 2) MultiHeadDotProductAttention_0/value/bias(2, 2) "
          "MultiHeadDotProductAttention_0/out/kernel(2, 2, 4) MultiHeadDotProductAttention_0/out/bias(4) "
          "LayerNorm_1/scale(4) LayerNorm_1/bias(4) MlpBlock_0/Dense_0/kernel(4, 6) MlpBlock_0/Dense_0/bias(6) "
          "MlpBlock_0/Dense_1/kernel(6, 4) MlpBlock_0/Dense_1/bias(4) ");
}

TEST_CASE("bert_names, gpt2_names, opt_names: names of text encoders and decoders") {
    CHECK(listing(plain_block(), bert_names) ==
          "attention.self.query.weight(4, 4) attention.self.query.bias(4) attention.self.key.weight(4, 4) "
          "attention.self.key.bias(4) "
          "attention.self.value.weight(4, 4) attention.self.value.bias(4) attention.output.dense.weight(4, 4) "
          "attention.output.dense.bias(4) attention.output.LayerNorm.weight(4) attention.output.LayerNorm.bias(4) "
          "intermediate.dense.weight(6, 4) intermediate.dense.bias(6) output.dense.weight(4, 6) output.dense.bias(4) "
          "output.LayerNorm.weight(4) output.LayerNorm.bias(4) ");
    CHECK(
        listing(plain_block(), gpt2_names, "h.0.") ==  // stored (in, out)
        "h.0.ln_1.weight(4) h.0.ln_1.bias(4) h.0.attn.c_attn.weight(4, 12) h.0.attn.c_attn.bias(12) h.0.attn.c_proj.weight(4, 4) "
        "h.0.attn.c_proj.bias(4) h.0.ln_2.weight(4) h.0.ln_2.bias(4) h.0.mlp.c_fc.weight(4, 6) h.0.mlp.c_fc.bias(6) "
        "h.0.mlp.c_proj.weight(6, 4) h.0.mlp.c_proj.bias(4) ");
    CHECK(listing(cross_block(5), opt_names) ==
          "self_attn_layer_norm.weight(4) self_attn_layer_norm.bias(4) self_attn.q_proj.weight(4, 4) self_attn.q_proj.bias(4) "
          "self_attn.k_proj.weight(4, 4) self_attn.k_proj.bias(4) self_attn.v_proj.weight(4, 4) self_attn.v_proj.bias(4) "
          "self_attn.out_proj.weight(4, 4) self_attn.out_proj.bias(4) encoder_attn_layer_norm.weight(4) "
          "encoder_attn_layer_norm.bias(4) encoder_attn.q_proj.weight(4, 4) encoder_attn.q_proj.bias(4) "
          "encoder_attn.k_proj.weight(4, 5) encoder_attn.k_proj.bias(4) encoder_attn.v_proj.weight(4, 5) "
          "encoder_attn.v_proj.bias(4) "
          "encoder_attn.out_proj.weight(4, 4) encoder_attn.out_proj.bias(4) final_layer_norm.weight(4) final_layer_norm.bias(4) "
          "fc1.weight(6, 4) fc1.bias(6) fc2.weight(4, 6) fc2.bias(4) ");
    const std::string
        fused = "query_key_value.weight(12, 4) ",
        mlp =
            "post_attention_layernorm.weight(4) post_attention_layernorm.bias(4) "
            "mlp.dense_h_to_4h.weight(6, 4) mlp.dense_h_to_4h.bias(6) mlp.dense_4h_to_h.weight(4, 6) mlp.dense_4h_to_h.bias(4) ";
    CHECK(listing(plain_block(), bloom_names, "", 2) == "input_layernorm.weight(4) input_layernorm.bias(4) self_attention." +
                                                            fused +
                                                            "self_attention.query_key_value.bias(12) "
                                                            "self_attention.dense.weight(4, 4) self_attention.dense.bias(4) " +
                                                            mlp);
    CHECK(listing(plain_block(), glm_names) == "input_layernorm.weight(4) input_layernorm.bias(4) attention." + fused +
                                                   "attention.query_key_value.bias(12) "
                                                   "attention.dense.weight(4, 4) attention.dense.bias(4) " +
                                                   mlp);
}

TEST_CASE("llama_names, glm130b_names, palm_names: gate and expand separate, fused, or fused with query, key and value") {
    CHECK(listing(gated_block(), llama_names) ==
          "input_layernorm.weight(4) self_attn.q_proj.weight(4, 4) self_attn.k_proj.weight(4, 4) self_attn.v_proj.weight(4, 4) "
          "self_attn.o_proj.weight(4, 4) post_attention_layernorm.weight(4) mlp.up_proj.weight(6, 4) mlp.gate_proj.weight(6, 4) "
          "mlp.down_proj.weight(4, 6) ");
    CHECK(listing(gated_block(), meta_llama_names, "", 2) ==
          "attention_norm.weight(4) attention.wq.weight(4, 4) attention.wk.weight(4, 4) attention.wv.weight(4, 4) "
          "attention.wo.weight(4, 4) ffn_norm.weight(4) feed_forward.w3.weight(6, 4) feed_forward.w1.weight(6, 4) "
          "feed_forward.w2.weight(4, 6) ");
    CHECK(listing(gated_block(), glm130b_names, "", 1) ==
          "input_layernorm.weight(4) attention.query_key_value.weight(12, 4) attention.dense.weight(4, 4) "
          "post_attention_layernorm.weight(4) mlp.dense_h_to_4h.weight(12, 4) mlp.dense_4h_to_h.weight(4, 6) ");
    Block parallel = gated_block();  // PaLM: one norm, one key head of width 2; 4 + 2 + 2 + 6 + 6 rows
    parallel.norm2 = {};
    parallel.attention.key.weight = parallel.attention.value.weight = parameter(Matrix(4, 2));
    CHECK(listing(parallel, palm_names, "1.") ==
          "1.fn.norm.gamma(4) 1.fn.fused_attn_ff_proj.weight(20, 4) 1.fn.attn_out.weight(4, 4) 1.fn.ff_out.1.weight(4, 6) ");
}

TEST_CASE("t5_encoder_names, t5_decoder_names: the MLP is layer 1 or 2; wi is one matrix, or wi_0 and wi_1 with a gate") {
    CHECK(listing(gated_block(), t5_encoder_names) ==
          "layer.0.layer_norm.weight(4) layer.0.SelfAttention.q.weight(4, 4) layer.0.SelfAttention.k.weight(4, 4) "
          "layer.0.SelfAttention.v.weight(4, 4) layer.0.SelfAttention.o.weight(4, 4) layer.1.layer_norm.weight(4) "
          "layer.1.DenseReluDense.wi_1.weight(6, 4) layer.1.DenseReluDense.wi_0.weight(6, 4) layer.1.DenseReluDense.wo.weight(4, "
          "6) ");
    Block decoder = gated_block(4);
    const std::string attention =
        "layer.0.layer_norm.weight(4) layer.0.SelfAttention.q.weight(4, 4) layer.0.SelfAttention.k.weight(4, 4) "
        "layer.0.SelfAttention.v.weight(4, 4) layer.0.SelfAttention.o.weight(4, 4) layer.1.layer_norm.weight(4) "
        "layer.1.EncDecAttention.q.weight(4, 4) layer.1.EncDecAttention.k.weight(4, 4) layer.1.EncDecAttention.v.weight(4, 4) "
        "layer.1.EncDecAttention.o.weight(4, 4) layer.2.layer_norm.weight(4) ";
    CHECK(listing(decoder, t5_decoder_names) ==
          attention +
              "layer.2.DenseReluDense.wi_1.weight(6, 4) layer.2.DenseReluDense.wi_0.weight(6, 4) "
              "layer.2.DenseReluDense.wo.weight(4, 6) ");
    decoder.mlp.gate = {};
    CHECK(listing(decoder, t5_decoder_names) ==
          attention + "layer.2.DenseReluDense.wi.weight(6, 4) layer.2.DenseReluDense.wo.weight(4, 6) ");
    Block encoder = gated_block();
    encoder.mlp.gate = {};
    CHECK(listing(encoder, t5_encoder_names).find("layer.1.DenseReluDense.wi.weight(6, 4)") != std::string::npos);
}

TEST_CASE("clip_names, open_clip_names, flamingo_names: names of models for images and text") {
    CHECK(listing(plain_block(), clip_names) ==
          "layer_norm1.weight(4) layer_norm1.bias(4) self_attn.q_proj.weight(4, 4) self_attn.q_proj.bias(4) "
          "self_attn.k_proj.weight(4, 4) self_attn.k_proj.bias(4) self_attn.v_proj.weight(4, 4) self_attn.v_proj.bias(4) "
          "self_attn.out_proj.weight(4, 4) self_attn.out_proj.bias(4) layer_norm2.weight(4) layer_norm2.bias(4) "
          "mlp.fc1.weight(6, 4) mlp.fc1.bias(6) mlp.fc2.weight(4, 6) mlp.fc2.bias(4) ");
    const std::string open_clip =
        "ln_1.weight(4) ln_1.bias(4) attn.in_proj_weight(12, 4) attn.in_proj_bias(12) attn.out_proj.weight(4, 4) "
        "attn.out_proj.bias(4) "
        "ln_2.weight(4) ln_2.bias(4) mlp.c_fc.weight(6, 4) mlp.c_fc.bias(6) mlp.c_proj.weight(4, 6) mlp.c_proj.bias(4) ";
    CHECK(listing(plain_block(), open_clip_names) == open_clip);
    // a block of CoCa that has cross-attention in the place of self-attention
    const Block both = cross_block(4);
    const Block cross{.norm1 = {},
                      .attention = {},
                      .norm2 = both.norm2,
                      .mlp = both.mlp,
                      .norm_cross = both.norm_cross,
                      .cross = both.cross,
                      .scale1 = {},
                      .scale2 = {}};
    CHECK(listing(cross, open_clip_names) == open_clip);

    Block flamingo = gated_block(3);  // keys and values of a source of width 3
    flamingo.mlp.gate = {};
    flamingo.norm1 = {};
    flamingo.attention = {};
    CHECK(listing(flamingo, flamingo_names) ==
          "attn.norm.weight(4) attn.to_q.weight(4, 4) attn.to_kv.weight(8, 3) attn.to_out.weight(4, 4) ff.0.weight(4) "
          "ff.1.weight(6, 4) ff.3.weight(4, 6) ");

    const Block whole = cross_block(4);  // Mask2Former: one sublayer under each prefix
    Block self, across, mlp;
    self.norm1 = whole.norm1, self.attention = whole.attention;
    across.norm_cross = whole.norm_cross, across.cross = whole.cross;
    mlp.norm2 = whole.norm2, mlp.mlp = whole.mlp;
    CHECK(
        listing(self, mask2former_names) ==
        "norm.weight(4) norm.bias(4) self_attn.in_proj_weight(12, 4) self_attn.in_proj_bias(12) self_attn.out_proj.weight(4, 4) "
        "self_attn.out_proj.bias(4) ");
    CHECK(listing(across, mask2former_names) ==
          "norm.weight(4) norm.bias(4) multihead_attn.in_proj_weight(12, 4) multihead_attn.in_proj_bias(12) "
          "multihead_attn.out_proj.weight(4, 4) multihead_attn.out_proj.bias(4) ");
    CHECK(listing(mlp, mask2former_names) ==
          "norm.weight(4) norm.bias(4) linear1.weight(6, 4) linear1.bias(6) linear2.weight(4, 6) linear2.bias(4) ");
}

TEST_CASE("maskgit_names, uvim_decoder_names, pix2seq_encoder_names: names of models that read images as tokens") {
    CHECK(listing(plain_block(), maskgit_names, "", 2) ==
          "Attention_0/attention_output_ln/scale(4) Attention_0/attention_output_ln/bias(4) "
          "Attention_0/self_attention/query/kernel(4, 2, 2) Attention_0/self_attention/query/bias(2, 2) "
          "Attention_0/self_attention/key/kernel(4, 2, 2) Attention_0/self_attention/key/bias(2, 2) "
          "Attention_0/self_attention/value/kernel(4, 2, 2) Attention_0/self_attention/value/bias(2, 2) "
          "Attention_0/self_attention/out/kernel(2, 2, 4) Attention_0/self_attention/out/bias(4) "
          "Mlp_0/layer_output_ln/scale(4) Mlp_0/layer_output_ln/bias(4) Mlp_0/intermediate_output/kernel(4, 6) "
          "Mlp_0/intermediate_output/bias(6) Mlp_0/layer_output/kernel(6, 4) Mlp_0/layer_output/bias(4) ");
    CHECK(
        listing(cross_block(5), uvim_decoder_names, "", 2) ==
        "LayerNorm1/scale(4) LayerNorm1/bias(4) SelfAttn/query/kernel(4, 2, 2) SelfAttn/query/bias(2, 2) SelfAttn/key/kernel(4, "
        "2, 2) "
        "SelfAttn/key/bias(2, 2) SelfAttn/value/kernel(4, 2, 2) SelfAttn/value/bias(2, 2) SelfAttn/out/kernel(2, 2, 4) "
        "SelfAttn/out/bias(4) LayerNorm2/scale(4) LayerNorm2/bias(4) CrossAttn/query/kernel(4, 2, 2) CrossAttn/query/bias(2, 2) "
        "CrossAttn/key/kernel(5, 2, 2) CrossAttn/key/bias(2, 2) CrossAttn/value/kernel(5, 2, 2) CrossAttn/value/bias(2, 2) "
        "CrossAttn/out/kernel(2, 2, 4) CrossAttn/out/bias(4) LayerNorm3/scale(4) LayerNorm3/bias(4) MLP/Dense_0/kernel(4, 6) "
        "MLP/Dense_0/bias(6) MLP/Dense_1/kernel(6, 4) MLP/Dense_1/bias(4) ");
    const std::string mlp =
        "mlp/layernorms/0/gamma(4) mlp/layernorms/0/beta(4) mlp/mlp_layers/0/dense1/kernel(4, 6) mlp/mlp_layers/0/dense1/bias(6) "
        "mlp/mlp_layers/0/dense2/kernel(6, 4) mlp/mlp_layers/0/dense2/bias(4) ";
    CHECK(listing(plain_block(), pix2seq_encoder_names, "", 2) ==
          "mha_ln/gamma(4) mha_ln/beta(4) mha/_query_dense/kernel(4, 2, 2) mha/_query_dense/bias(2, 2) mha/_key_dense/kernel(4, "
          "2, 2) "
          "mha/_key_dense/bias(2, 2) mha/_value_dense/kernel(4, 2, 2) mha/_value_dense/bias(2, 2) mha/_output_dense/kernel(2, 2, "
          "4) "
          "mha/_output_dense/bias(4) " +
              mlp);
    CHECK(listing(cross_block(4), pix2seq_decoder_names, "", 2) ==
          "self_ln/gamma(4) self_ln/beta(4) self_mha/_query_dense/kernel(4, 2, 2) self_mha/_query_dense/bias(2, 2) "
          "self_mha/_key_dense/kernel(4, 2, 2) self_mha/_key_dense/bias(2, 2) self_mha/_value_dense/kernel(4, 2, 2) "
          "self_mha/_value_dense/bias(2, 2) self_mha/_output_dense/kernel(2, 2, 4) self_mha/_output_dense/bias(4) "
          "cross_ln/gamma(4) "
          "cross_ln/beta(4) cross_mha/_query_dense/kernel(4, 2, 2) cross_mha/_query_dense/bias(2, 2) "
          "cross_mha/_key_dense/kernel(4, 2, 2) cross_mha/_key_dense/bias(2, 2) cross_mha/_value_dense/kernel(4, 2, 2) "
          "cross_mha/_value_dense/bias(2, 2) cross_mha/_output_dense/kernel(2, 2, 4) cross_mha/_output_dense/bias(4) " +
              mlp);
    CHECK(
        listing(gated_block(), unified_io_encoder_names) ==
        "pre_attention_layer_norm/scale(4) attention/query/kernel(4, 4) attention/key/kernel(4, 4) attention/value/kernel(4, 4) "
        "attention/out/kernel(4, 4) pre_mlp_layer_norm/scale(4) mlp/wi_1/kernel(4, 6) mlp/wi_0/kernel(4, 6) mlp/wo/kernel(6, "
        "4) ");
    CHECK(listing(gated_block(4), unified_io_decoder_names) ==
          "pre_self_attention_layer_norm/scale(4) self_attention/query/kernel(4, 4) self_attention/key/kernel(4, 4) "
          "self_attention/value/kernel(4, 4) self_attention/out/kernel(4, 4) pre_cross_attention_layer_norm/scale(4) "
          "encoder_decoder_attention/query/kernel(4, 4) encoder_decoder_attention/key/kernel(4, 4) "
          "encoder_decoder_attention/value/kernel(4, 4) encoder_decoder_attention/out/kernel(4, 4) pre_mlp_layer_norm/scale(4) "
          "mlp/wi_1/kernel(4, 6) mlp/wi_0/kernel(4, 6) mlp/wo/kernel(6, 4) ");
}

// Columns 0, 1, 2, ... of the tensor with this ending, as a row, after each of our matrices was filled with its own numbers.
static Matrix first_row(const Block& block, const BlockNames& names, int heads, const std::string& ending) {
    Parameters table;
    add_parameters(table, "", block, names, heads);
    for (const Parameter& parameter : table)
        if (parameter.name.ends_with(ending)) {
            const Matrix published = published_value(parameter);
            return parameter.stored == Stored::out_by_in ? slice_rows(transpose(published), 0, 1)
                                                         : reshape(published, 1, static_cast<int>(published.size()));
        }
    return {};
}

static void fill_with(Var v, float first) {
    for (float& x : v.value()) x = first++;
}

TEST_CASE("HeadLayout::head_by_head: query, key and value alternate head by head in weight and bias, gate and expand do not") {
    Block block = gated_block();
    fill_with(block.attention.query.weight, 10);  // row 0: 10 11 | 12 13, head 0 and head 1
    fill_with(block.attention.key.weight, 30);
    fill_with(block.attention.value.weight, 50);
    fill_with(block.mlp.expand.weight, 100);  // row 0: 100 ... 105
    fill_with(block.mlp.gate.weight, 200);
    const Matrix by_head{{10, 11, 30, 31, 50, 51, 12, 13, 32, 33, 52, 53}};
    CHECK(identical(first_row(block, glm130b_names, 2, "query_key_value.weight"), by_head));
    CHECK(identical(first_row(block, glm130b_names, 2, "dense_h_to_4h.weight"),
                    Matrix{{100, 101, 102, 103, 104, 105, 200, 201, 202, 203, 204, 205}}));
    Block biased = plain_block();
    fill_with(biased.attention.query.bias, 1);  // 1 2 | 3 4
    fill_with(biased.attention.key.bias, 5);
    fill_with(biased.attention.value.bias, 9);
    CHECK(identical(first_row(biased, bloom_names, 2, "query_key_value.bias"), Matrix{{1, 2, 5, 6, 9, 10, 3, 4, 7, 8, 11, 12}}));
    CHECK(identical(first_row(biased, glm_names, 2, "query_key_value.bias"), Matrix{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}));
}

TEST_CASE("pairs: queries and keys of Meta's LLaMA have their pairs side by side, values as they are; key heads may be fewer") {
    Block block = gated_block();
    block.attention.key.weight = parameter(Matrix(4, 2));  // one head of width 2: nothing to move
    block.attention.query.weight = parameter(Matrix(4, 8));
    fill_with(block.attention.query.weight, 0);  // 4 heads of width 2, then 2 of width 4
    fill_with(block.attention.value.weight, 0);
    CHECK(identical(first_row(block, meta_llama_names, 4, "wq.weight"), Matrix{{0, 1, 2, 3, 4, 5, 6, 7}}));
    block.attention.key.weight = parameter(Matrix(4, 4));
    fill_with(block.attention.key.weight, 0);
    CHECK(identical(first_row(block, meta_llama_names, 2, "wq.weight"), Matrix{{0, 2, 1, 3, 4, 6, 5, 7}}));
    CHECK(identical(first_row(block, meta_llama_names, 2, "wk.weight"), Matrix{{0, 2, 1, 3}}));
    CHECK(identical(first_row(block, meta_llama_names, 2, "wv.weight"), Matrix{{0, 1, 2, 3}}));
}

TEST_CASE("HeadLayout: a saved block loads back, in every layout") {
    const TemporaryFolder folder;
    Random random(1), other(2);
    const BlockShape shape{.width = 8, .mlp_width = 6, .source_width = 5};
    for (const BlockNames* names : {&opt_names, &uvim_decoder_names, &pix2seq_decoder_names}) {
        const std::vector<Block> saved = {make_block(random, shape), make_block(random, shape)};
        const std::vector<Block> loaded = {make_block(other, shape), make_block(other, shape)};
        Parameters from, to;
        add_parameters(from, "x.", saved, *names, 2);
        add_parameters(to, "x.", loaded, *names, 2);
        CHECK(from.size() == 52);
        CHECK(from[26].name == from[0].name.substr(0, 2) + "1" + from[0].name.substr(3));
        save(from, folder.path("f"));
        load(to, Safetensors(folder.path("f")));
        for (std::size_t k = 0; k < 2; ++k) {
            CHECK(identical(saved[k].attention.key.weight.value(), loaded[k].attention.key.weight.value()));
            CHECK(identical(saved[k].cross.value.weight.value(), loaded[k].cross.value.weight.value()));
            CHECK(identical(saved[k].cross.output.weight.value(), loaded[k].cross.output.weight.value()));
            CHECK(identical(saved[k].mlp.contract.weight.value(), loaded[k].mlp.contract.weight.value()));
        }
    }
}

TEST_CASE("AttentionNames::biases: the biases of three weights as one tensor, as in PyTorch's attention with wider keys") {
    const BlockNames names{.attention = {.query = "q_proj_weight",
                                         .key = "k_proj_weight",
                                         .value = "v_proj_weight",
                                         .output = "out_proj.*",
                                         .biases = "in_proj_bias"}};
    Block block;
    block.attention = cross_block(5).cross;
    CHECK(listing(block, names, "attn.") ==
          "attn.q_proj_weight(4, 4) attn.in_proj_bias(12) attn.k_proj_weight(4, 5) attn.v_proj_weight(4, 5) "
          "attn.out_proj.weight(4, 4) "
          "attn.out_proj.bias(4) ");
}

TEST_CASE("add_parameters: a layer outside the blocks uses the same names and layouts") {
    Random random;
    const Linear w = make_linear(random, 2, 3);
    const Norm norm = make_layer_norm(3);
    const auto names_of = [&](const BlockNames& names, const std::string& name) {
        Parameters table;
        add_parameters(table, name + "dense/*", w, names);
        add_parameters(table, name + "ln/*", norm, names);
        std::string joined;
        for (const Parameter& parameter : table) joined += parameter.name + shape_text(parameter.shape) + " ";
        return joined;
    };
    CHECK(names_of(maskgit_names, "m/") == "m/dense/kernel(2, 3) m/dense/bias(3) m/ln/scale(3) m/ln/bias(3) ");
    CHECK(names_of(pix2seq_encoder_names, "") == "dense/kernel(2, 3) dense/bias(3) ln/gamma(3) ln/beta(3) ");
    Parameters inside;
    add_parameters(inside, "attn.in_proj_*.1", Linear{.weight = w.weight, .bias = {}}, timm_names);
    CHECK(inside[0].name == "attn.in_proj_weight.1");  // what follows the * stays
    CHECK(names_of(timm_names, "") == "dense/weight(3, 2) dense/bias(3) ln/weight(3) ln/bias(3) ");
}

TEST_CASE("add_parameters: absent parts add nothing; a part without a name and a duplicate name are refused") {
    CHECK(listing(Block{}, timm_names) == "");
    Block block = plain_block();
    block.norm1 = {};
    block.norm2.bias = {};
    block.mlp = {};
    CHECK(listing(block, clip_names) ==
          "self_attn.q_proj.weight(4, 4) self_attn.q_proj.bias(4) self_attn.k_proj.weight(4, 4) self_attn.k_proj.bias(4) "
          "self_attn.v_proj.weight(4, 4) self_attn.v_proj.bias(4) self_attn.out_proj.weight(4, 4) self_attn.out_proj.bias(4) "
          "layer_norm2.weight(4) ");
    CHECK_THROWS_WITH(listing(gated_block(), timm_names, "b."), "block names: there is no name for the MLP's gate of b.");
    CHECK_THROWS_WITH(listing(cross_block(4), gpt2_names, "h.0."), "block names: there is no name for the norm of h.0.");
    CHECK_THROWS_WITH(listing(cross_block(4), open_clip_names), "block names: two tensors would be called ln_1.weight");
    CHECK_THROWS_WITH(listing(plain_block(), bloom_names, "h.0."),
                      "block names: the layout of h.0. needs a number of heads that divides 4, not 0");
    CHECK_THROWS_WITH(listing(plain_block(), bloom_names, "h.0.", 3),
                      "block names: the layout of h.0. needs a number of heads that divides 4, not 3");
    Block shared = plain_block();
    shared.attention.key.weight = parameter(Matrix(4, 2));
    CHECK_THROWS_WITH(
        listing(shared, bloom_names, "", 2),
        "block names: self_attention.query_key_value.weight is fused head by head, but its key has 1 heads in 2 columns and its query 2 in 4");
    Block wider = plain_block();
    wider.attention.value.weight = parameter(Matrix(4, 6));
    CHECK_THROWS_WITH(
        listing(wider, bloom_names, "", 2),
        "block names: self_attention.query_key_value.weight is fused head by head, but its value has 2 heads in 6 columns and its query 2 in 4");
    CHECK_THROWS_WITH(
        listing(wider, bloom_names, "", 1),
        "block names: self_attention.query_key_value.weight is fused head by head, but its value has 1 heads in 6 columns and its query 1 in 4");
    BlockNames with_mlp = bloom_names;  // an MLP is as wide as the query, but has no heads
    with_mlp.expand = with_mlp.attention.query;
    Random random;
    CHECK_THROWS_WITH(
        listing(make_block(random, {.width = 4, .mlp_width = 4}), with_mlp, "", 2),
        "block names: self_attention.query_key_value.weight is fused head by head, but its MLP's expand has 0 heads in 4 columns and its query 2 in 4");
}

TEST_CASE("flax_vit_names: a single head has its own dimension as well") {
    const std::string names = listing(plain_block(), flax_vit_names, "", 1);
    for (const char* const part :
         {"query/kernel(4, 1, 4) ", "query/bias(1, 4) ", "value/kernel(4, 1, 4) ", "out/kernel(1, 4, 4) "}) {
        CAPTURE(part);
        CHECK(names.find(part) != std::string::npos);
    }
    CHECK(listing(plain_block(), bloom_names, "", 1).find("self_attention.query_key_value.weight(12, 4) ") != std::string::npos);
}

TEST_CASE("BlockNames: the defaults") {
    const BlockNames usual{};
    CHECK(usual.stored == Stored::out_by_in);
    CHECK(usual.layout == HeadLayout::side_by_side);
    CHECK(!usual.norms_last);
}

TEST_SUITE_END();
