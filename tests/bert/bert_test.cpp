#include "bert/bert.h"

#include <algorithm>
#include <cmath>

#include "bert/mlm.h"
#include "nn/autograd/operations.h"
#include "tests/bert/bert_golden.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"

static const bert::Config tiny{.vocabulary = 11, .positions = 8, .width = 12, .depth = 2, .heads = 3, .mlp_width = 20};

TEST_SUITE("bert") {
    TEST_CASE("parity: every named step, both losses and every gradient equal the published code's") {
        for (const std::string& path : golden_files("bert")) {
            const Golden golden(path);
            const bert::Config config = bert_config(golden);
            Random random(1);
            const mlm::Weights w = mlm::make_weights(config, random);
            const Parameters parameters = with_names_of(mlm::parameters(w, config), golden);
            golden.load_weights(parameters);
            const bert::Batch batch = bert_batch(golden);

            Tape tape;
            const mlm::Steps steps = mlm::forward(batch, w, config);
            const mlm::Losses losses =
                mlm::loss(steps, golden.integers("input.labels"), golden.integers("input.next_sentence_label"));
            check_encoder(golden, steps.trunk);
            golden.check("mlm_transform", steps.transform.value());
            golden.check("prediction_logits", steps.prediction_logits.value());
            golden.check("seq_relationship_logits", steps.next_sentence_logits.value());
            golden.check("masked_lm_loss", losses.masked_tokens.value());
            golden.check("next_sentence_loss", losses.next_sentence.value());
            golden.check("loss", losses.sum.value());
            backward(losses.sum);
            check_gradients(parameters, golden);

            const mlm::Corrupted by_batch = mlm::corrupt_batch(
                golden.integers("input.mlm.ids"), golden.integers("input.mlm.special"),
                {.u_select = golden.input("mlm.u_select"),
                 .u_mask = golden.input("mlm.u_mask"),
                 .u_random = golden.input("mlm.u_random"),
                 .random_tokens = golden.integers("input.mlm.random_words")},
                {.select = golden.file.metadata_double("mlm_probability"), .mask_id = golden.file.metadata_int("mask_token_id")});
            golden.check_integers("mlm.input_ids", by_batch.ids);
            golden.check_integers("mlm.labels", by_batch.labels);

            const std::vector<int> sentence = golden.integers("input.mlm_google.ids");
            const mlm::Corrupted by_candidates = mlm::corrupt_candidates(
                sentence,
                mlm::special_positions(sentence,
                                       {golden.file.metadata_int("cls_token_id"), golden.file.metadata_int("sep_token_id")}),
                {.permutation = golden.integers("input.mlm_google.permutation"),
                 .u_mask = golden.input("mlm_google.u_mask"),
                 .u_keep = golden.input("mlm_google.u_keep"),
                 .random_tokens = golden.integers("input.mlm_google.random_words")},
                {.select = golden.file.metadata_double("mlm_google_masked_lm_prob"),
                 .most = golden.file.metadata_int("mlm_google_max_predictions_per_seq"),
                 .mask_id = golden.file.metadata_int("mask_token_id")});
            golden.check_integers("mlm_google.input_ids", by_candidates.ids);
            golden.check_integers("mlm_google.positions", by_candidates.positions);
            golden.check_integers("mlm_google.labels", mlm::labels_at_positions(by_candidates));
            golden.check_all_used();
        }
    }

    TEST_CASE("embed_tokens: token + token type + position embedding, then LayerNorm") {
        const bert::Config config{
            .vocabulary = 3, .positions = 2, .width = 2, .depth = 0, .heads = 1, .mlp_width = 1, .pooler = false};
        Random random(1);
        bert::Weights w = bert::make_weights(config, random);
        w.token_embedding = Matrix{{0, 0}, {1, 2}, {5, 1}};
        w.token_types = Matrix{{0, 0}, {10, 0}};
        w.positions = Matrix{{0, 0}, {0, 100}};
        const bert::Batch batch{{.sequences = 1, .length = 2, .ids = {2, 1}, .mask = {}}, {0, 1}};
        const bert::TokenEmbedding steps = bert::embed_tokens(batch, w, config);
        // token 2 in sentence A at position 0: [5, 1] + 0 + 0 = [5, 1];   token 1 in sentence B at position 1: [1 + 10, 2 + 100]
        CHECK(identical(steps.tokens.value(), {{5, 1}, {11, 102}}));
        // LayerNorm turns any two numbers into +1 and -1: mean 3, standard deviation 2   ->  (5 - 3) / 2 = 1
        check_close("z0", steps.z0.value(), {{1, -1}, {-1, 1}});
    }

    TEST_CASE("make_batch: pads on the right, so positions do not move") {
        const bert::Batch batch = bert::make_batch({{7, 8, 9}, {5}}, 4, {{0, 0, 1}, {1}});
        CHECK(batch.sequences == 2);
        CHECK(batch.length == 3);
        CHECK(batch.ids == std::vector<int>{7, 8, 9, 5, 4, 4});
        CHECK(batch.token_types == std::vector<int>{0, 0, 1, 1, 0, 0});
        CHECK(identical(batch.mask, {{1, 1, 1}, {1, 0, 0}}));
        CHECK(bert::make_batch({{1}}).token_types.empty());
    }

    TEST_CASE("forward: neither the content nor the amount of padding changes a token") {
        const KeepSteps keep;
        Random random(2);
        const bert::Weights w = bert::make_weights(tiny, random, {.stddev = 0.5f});
        const bert::Batch alone = bert::make_batch({{1, 2, 3}});
        const bert::Batch padded = bert::make_batch({{1, 2, 3}, {4, 5, 6, 7, 8}});
        const bert::Batch other_padding = bert::make_batch({{1, 2, 3}, {4, 5, 6, 7, 8}}, 9);
        const bert::Steps steps = bert::forward(padded, w, tiny);
        const Matrix words = slice_rows(steps.encoder.output.value(), 0, 3);  // of the first sequence
        check_close("alone", bert::forward(alone, w, tiny).encoder.output.value(), words);
        check_close("other padding", slice_rows(bert::forward(other_padding, w, tiny).encoder.output.value(), 0, 3), words);
        const Matrix weights = bert::attention_of(steps, padded, tiny, 1, 2, 0);  // (5, 5)
        for (int i = 0; i < 5; ++i) {
            CHECK(weights(i, 3) == 0);
            CHECK(weights(i, 4) == 0);
            CHECK(weights(i, 0) + weights(i, 1) + weights(i, 2) == Approx(1));
        }
    }

    TEST_CASE("forward: the sequences of a batch do not affect one another, in any order") {
        Random random(3);
        const bert::Weights w = bert::make_weights(tiny, random, {.stddev = 0.5f});
        const Matrix both = bert::forward(bert::make_batch({{1, 2, 3}, {4, 5, 6}}), w, tiny).pooled.value();     // (2, D)
        const Matrix swapped = bert::forward(bert::make_batch({{4, 5, 6}, {1, 2, 3}}), w, tiny).pooled.value();  // (2, D)
        check_close("first", slice_rows(both, 0, 1), slice_rows(swapped, 1, 1));
        check_close("second", slice_rows(both, 1, 1), slice_rows(swapped, 0, 1));
    }

    TEST_CASE("forward: without position embeddings, permuting the tokens only permutes the outputs") {
        Random random(4);
        bert::Weights w = bert::make_weights(tiny, random, {.stddev = 0.5f});
        const auto swap_is_seen = [&] {
            const Matrix there = bert::forward(bert::make_batch({{1, 2, 3, 4}}), w, tiny).encoder.output.value();
            const Matrix back = bert::forward(bert::make_batch({{1, 4, 3, 2}}), w, tiny).encoder.output.value();
            return difference(slice_rows(there, 1, 1), slice_rows(back, 3, 1)) +
                   difference(slice_rows(there, 3, 1), slice_rows(back, 1, 1));
        };
        CHECK(swap_is_seen() != "");
        w.positions = Var(Matrix(tiny.positions, tiny.width));
        CHECK(swap_is_seen() == "");
    }

    TEST_CASE("forward: the middle token depends on both ends") {
        Random random(5);
        const bert::Weights w = bert::make_weights(tiny, random, {.stddev = 0.5f});
        const auto middle = [&](int first, int last) {
            return slice_rows(bert::forward(bert::make_batch({{first, 2, 3, 2, last}}), w, tiny).encoder.output.value(), 2, 1);
        };
        CHECK(difference(middle(1, 1), middle(4, 1)) != "");
        CHECK(difference(middle(1, 1), middle(1, 4)) != "");
    }

    TEST_CASE("forward: gradients of the whole model equal finite differences") {
        const bert::Config config{.vocabulary = 5, .positions = 3, .width = 4, .depth = 1, .heads = 2, .mlp_width = 3};
        Random random(6);
        const bert::Weights w = bert::make_weights(config, random, {.stddev = 0.7f});
        const bert::Batch batch = bert::make_batch({{1, 2, 3}, {4, 1}}, 0, {{0, 0, 1}, {0, 1}});
        check_gradient_by_differences(
            [&](const std::vector<Var>& inputs) {
                bert::Weights moved = w;
                moved.token_embedding = inputs[0];
                moved.positions = inputs[1];
                moved.token_types = inputs[2];
                moved.pooler.weight = inputs[3];
                return bert::forward(batch, moved, config).pooled;
            },
            {w.token_embedding.value(), w.positions.value(), w.token_types.value(), w.pooler.weight.value()});
    }

    TEST_CASE("make_weights: truncated normal of standard deviation 0.02, biases 0, gains 1") {
        const bert::Config config{.vocabulary = 400, .positions = 40, .width = 48, .depth = 1, .heads = 4, .mlp_width = 96};
        Random random(7);
        const bert::Weights w = bert::make_weights(config, random);
        double squares = 0;
        for (const float x : w.token_embedding.value()) {
            CHECK(std::abs(x) <= 0.04f);
            squares += x * x;
        }
        // truncation at two standard deviations leaves 0.88 of the standard deviation
        CHECK(std::sqrt(squares / w.token_embedding.value().size()) / 0.0176 == Approx(1).epsilon(0.03));
        CHECK(identical(w.norm.gain.value(), Matrix(1, 48, 1)));
        CHECK(identical(w.pooler.bias.value(), Matrix(1, 48)));
    }

    TEST_CASE("parameters: bert-base has the published number of parameters") {
        bert::Config shallow;  // one block of the twelve is enough to count
        shallow.depth = 1;
        Random random(1);
        const long with_one = count_numbers(bert::parameters(bert::make_weights(shallow, random), shallow));
        // a block: 4 (768 768 + 768) + 2 (2 768) + 768 3072 + 3072 + 3072 768 + 768 = 7,087,872
        CHECK(with_one + 11 * 7087872L == 109482240);
    }

    TEST_CASE("config_of: infers the config of a saved model from its shapes, and the weights load") {
        Random random(8);
        const bert::Weights w = bert::make_weights(tiny, random), other = bert::make_weights(tiny, random);
        const TemporaryFolder folder;
        const std::string path = folder.path("model.safetensors");
        bert::Config other_eps = tiny;
        other_eps.eps = 0.5f;
        other_eps.activation = Activation::relu;
        save(bert::parameters(w, tiny), path, bert::metadata(other_eps));
        const Safetensors file(path);
        CHECK(file.has("bert.encoder.layer.1.attention.output.LayerNorm.weight"));
        CHECK(file.dimension("bert.encoder.layer.0.intermediate.dense.weight", 0) == 20);  // (out, in), as PyTorch reads it
        const bert::Config config = bert::config_of(file);
        CHECK(config.vocabulary == 11);
        CHECK(config.positions == 8);
        CHECK(config.token_types == 2);
        CHECK(config.width == 12);
        CHECK(config.depth == 2);
        CHECK(config.heads == 3);
        CHECK(config.mlp_width == 20);
        CHECK(config.pooler);
        CHECK(config.eps == 0.5f);
        CHECK(config.activation == Activation::relu);
        load(bert::parameters(other, config), file, bert::load_rules());
        const bert::Batch batch = bert::make_batch({{1, 2, 3}});
        CHECK(identical(bert::forward(batch, w, other_eps).pooled.value(), bert::forward(batch, other, config).pooled.value()));
    }

    TEST_CASE("load_rules: gamma and beta, no prefix, a tensor of position ids, and heads given by the caller all load") {
        const bert::Config config{
            .vocabulary = 5, .positions = 3, .width = 128, .depth = 1, .heads = 2, .mlp_width = 8, .pooler = false};
        Random random(9);
        const bert::Weights w = bert::make_weights(config, random), other = bert::make_weights(config, random);
        Parameters old_names = bert::parameters(w, config);
        for (Parameter& parameter : old_names) {
            parameter.name = parameter.name.substr(5);  // without "bert."
            if (parameter.name.ends_with("LayerNorm.weight")) parameter.name.replace(parameter.name.size() - 6, 6, "gamma");
            if (parameter.name.ends_with("LayerNorm.bias")) parameter.name.replace(parameter.name.size() - 4, 4, "beta");
        }
        old_names.push_back({"embeddings.position_ids", {1, 3}, Stored::as_it_is, {Var(Matrix{{0, 1, 2}})}});
        const TemporaryFolder folder;
        const std::string path = folder.path("model.safetensors");
        save(old_names, path);
        const Safetensors file(path);
        const bert::Config found = bert::config_of(file, {{"num_attention_heads", "2"}});
        CHECK(found.heads == 2);
        CHECK(!found.pooler);
        load(bert::parameters(other, found), file, bert::load_rules());
        const bert::Batch batch = bert::make_batch({{1, 2, 3}});
        CHECK(identical(bert::forward(batch, w, config).encoder.output.value(),
                        bert::forward(batch, other, found).encoder.output.value()));
        CHECK(!bert::forward(batch, other, found).pooled);
        CHECK(error_of([&] {
                  bert::config_of(file, {{"num_attention_heads", "3"}});
              }) == path + ": 3 heads do not divide a width of 128");
        const auto error = [&](const std::string& key, const std::string& value) {
            return error_of([&] { bert::config_of(file, {{"num_attention_heads", "2"}, {key, value}}); });
        };
        CHECK(error("model_type", "bert").empty());
        CHECK(error("model_type", "roberta") == "the given settings: model_type is \"roberta\"; only bert is implemented here");
        CHECK(error("is_decoder", "true") == "the given settings: is_decoder is \"true\"; only false is implemented here");
        for (const std::string size : {"vocab_size", "max_position_embeddings", "intermediate_size", "type_vocab_size"})
            CHECK(error(size, "999").starts_with("the given settings: " + size + " is 999, but the tensors of "));
        CHECK(error("hidden_act", "mish").starts_with("the given settings: hidden_act, the activation function: "));
    }

    TEST_CASE("bert: inconsistent configs, batches and arguments throw a one-line error") {
        const KeepSteps keep;
        Random random(1);
        const bert::Weights w = bert::make_weights(tiny, random);
        const auto refusal = [&](const bert::Batch& batch) { return error_of([&] { bert::forward(batch, w, tiny); }); };
        CHECK(refusal({{.sequences = 2, .length = 2, .ids = {1, 2, 3}, .mask = {}}, {}}) ==
              "bert: 3 ids are not 2 sequences of length 2; there must be at least one token, and an id for each");
        CHECK(refusal(bert::make_batch({{1, 2, 3, 4, 5, 6, 7, 8, 9}})) ==
              "bert: a sequence of length 9, this model has 8 positions; truncate the text");
        CHECK(refusal({{.sequences = 1, .length = 2, .ids = {1, 2}, .mask = {}}, {1}}) ==
              "bert: 1 token types for 2 ids, each needs one, or give none");
        CHECK(refusal({{.sequences = 1, .length = 2, .ids = {1, 2}, .mask = Matrix(2, 1)}, {}}) ==
              "bert: the mask is (2, 1), the batch is (1, 2); each token needs a number, or give no mask");
        CHECK(refusal({{.sequences = 1, .length = 2, .ids = {1, 2}, .mask = Matrix(1, 2, 0.5f)}, {}}) ==
              "bert: a mask holds 1 (token) and 0 (padding), not 0.500000");
        CHECK(without_place(refusal(bert::make_batch({{1, 11}}))) ==
              "embed: id 11 is outside a table of 11 rows, counted from 0");
        CHECK_THROWS_WITH(bert::make_batch({}), "make_batch: there is no sequence; give at least one");
        CHECK_THROWS_WITH(bert::make_batch({{1}, {2}}, 0, {{0}}),
                          "make_batch: 2 sequences but 1 lists of token types; give one list for each sequence, or none");
        CHECK_THROWS_WITH(bert::make_batch({{1, 2}}, 0, {{0}}),
                          "make_batch: sequence 0 has 2 tokens but 1 token types, each needs one");
        CHECK_THROWS_WITH(bert::make_weights({.width = 10, .heads = 3}, random), "bert: 3 heads do not divide a width of 10");
        CHECK_THROWS_WITH(bert::make_weights({.vocabulary = 0}, random),
                          "bert: a vocabulary of 0, 512 positions and 2 token types, all must be positive");
        const bert::Batch batch = bert::make_batch({{1, 2}});
        const bert::Steps steps = bert::forward(batch, w, tiny);
        CHECK_THROWS_WITH(
            bert::attention_of(steps, batch, tiny, 2, 0),
            "attention_of: there is no head 0 in block 2; this model has 2 blocks of 3 heads, counted from 0 (no blocks: make a "
            "KeepSteps before forward)");
        CHECK_THROWS_WITH(bert::attention_of(steps, batch, tiny, 0, 0, 1),
                          "attention_of: there is no sequence 1 among 1, counted from 0");
    }

    TEST_CASE("forward: a depth, pooler or eps that does not match the weights, or a sequence of padding only, throws") {
        Random random(1);
        const bert::Weights w = bert::make_weights(tiny, random);
        bert::Config five = tiny, negative = tiny, bare = tiny;
        five.depth = 5;
        negative.eps = -1;
        bare.pooler = false;
        bert::Batch batch = bert::make_batch({{1, 2, 3}, {4}});
        CHECK(error_of([&] {
                  bert::forward(batch, w, five);
              }).starts_with("bert: the configuration says 5 blocks, the weights hold 2"));
        CHECK(error_of([&] { bert::forward(batch, w, negative); }).starts_with("bert: an eps of -1"));
        CHECK(error_of([&] {
                  bert::forward(batch, bert::make_weights(bare, random), tiny);
              }).starts_with("bert: the configuration asks for a pooler"));
        bert::Config words = tiny, inner = tiny;
        words.vocabulary = 5;
        inner.mlp_width = 99;
        CHECK(error_of([&] { bert::forward(batch, w, words); }).starts_with("bert: the token embedding is (11, "));
        CHECK(error_of([&] { bert::forward(batch, w, inner); }).starts_with("bert: the first matrix of an MLP is ("));
        const KeepSteps keep;
        const bert::Steps steps = bert::forward(bert::make_batch({{1, 2}}), w, tiny);
        CHECK(
            error_of([&] {
                bert::attention_of(steps, bert::make_batch({{1, 2, 3}}), tiny, 0, 0);
            }).ends_with("1 sequences of 3 tokens and 3 heads have others; pass the batch and the configuration of these steps"));
        batch.mask(1, 0) = 0;
        CHECK(error_of([&] { bert::forward(batch, w, tiny); }) == "bert: sequence 1 of 2 is all padding; leave it out");
    }

    TEST_CASE("make_weights, attention_of: each argument check fails by itself, the smallest sizes are allowed") {
        Random random(1);
        const auto refusal = [&](int bert::Config::*size, int given) {
            bert::Config config = tiny;
            config.*size = given;
            return error_of([&] { bert::make_weights(config, random); });
        };
        CHECK(refusal(&bert::Config::width, 0) == "bert: width 0, depth 2, inner width 20: sizes must be positive");
        CHECK(refusal(&bert::Config::depth, -1) == "bert: width 12, depth -1, inner width 20: sizes must be positive");
        CHECK(refusal(&bert::Config::mlp_width, 0) == "bert: width 12, depth 2, inner width 0: sizes must be positive");
        CHECK(refusal(&bert::Config::heads, 0) == "bert: 0 heads do not divide a width of 12");
        CHECK(refusal(&bert::Config::positions, 0) ==
              "bert: a vocabulary of 11, 0 positions and 2 token types, all must be positive");
        CHECK(refusal(&bert::Config::token_types, 0) ==
              "bert: a vocabulary of 11, 8 positions and 0 token types, all must be positive");
        const bert::Config least{
            .vocabulary = 1, .positions = 1, .token_types = 1, .width = 1, .depth = 0, .heads = 1, .mlp_width = 1};
        CHECK_NOTHROW(bert::make_weights(least, random));

        const KeepSteps keep;
        const bert::Batch batch = bert::make_batch({{1, 2}});
        const bert::Steps steps = bert::forward(batch, bert::make_weights(tiny, random), tiny);
        const auto refused_head = [&](int block, int head) {
            return error_of([&] { bert::attention_of(steps, batch, tiny, block, head); });
        };
        const std::string of_model =
            "; this model has 2 blocks of 3 heads, counted from 0 (no blocks: make a KeepSteps before forward)";
        CHECK(refused_head(1, 2) == "");
        CHECK(refused_head(-1, 0) == "attention_of: there is no head 0 in block -1" + of_model);
        CHECK(refused_head(0, -1) == "attention_of: there is no head -1 in block 0" + of_model);
        CHECK(refused_head(0, 3) == "attention_of: there is no head 3 in block 0" + of_model);
        CHECK_THROWS_WITH(bert::attention_of(steps, batch, tiny, 0, 0, -1),
                          "attention_of: there is no sequence -1 among 1, counted from 0");
        // as many rows, but other columns: 2 sequences of 1 token
        CHECK_THROWS_WITH(
            bert::attention_of(steps, bert::make_batch({{1}, {2}}), tiny, 0, 0),
            "attention_of: the weights are (6, 2), 2 sequences of 1 tokens and 3 heads have others; pass the batch and "
            "the configuration of these steps");
    }

    TEST_CASE("bert::Config: the defaults") {
        const bert::Config usual{};
        CHECK(usual.vocabulary == 30522);
        CHECK(usual.positions == 512);
        CHECK(usual.token_types == 2);
        CHECK(usual.width == 768);
        CHECK(usual.depth == 12);
        CHECK(usual.heads == 12);
        CHECK(usual.mlp_width == 3072);
        CHECK(usual.eps == 1e-12f);
        CHECK(usual.activation == Activation::gelu);
        CHECK(usual.pooler);
    }
}
