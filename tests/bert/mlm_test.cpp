#include "bert/mlm.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "nn/autograd/operations.h"
#include "nn/interpret/inside.h"
#include "nn/training/loss.h"
#include "nn/training/optimizer.h"
#include "tests/close.h"
#include "tests/temporary_folder.h"

static const bert::Config tiny{.vocabulary = 9, .positions = 8, .width = 12, .depth = 1, .heads = 2, .mlp_width = 16};

static constexpr int MASK = 4;

TEST_SUITE("mlm") {
    TEST_CASE("corrupt_batch: each draw decides on selection, masking or replacement by its threshold") {
        const std::vector<int> ids{2, 10, 11, 12, 13, 14, 3, 0};
        const std::vector<int> special{1, 0, 0, 0, 0, 0, 1, 1};
        const mlm::Draws draws{.u_select = {{0, 0.14f, 0.10f, 0.0f, 0.15f, 0.16f, 0, 0}},
                               .u_mask = {{0, 0.79f, 0.80f, 0.9f, 0, 0, 0, 0}},
                               .u_random = {{0, 0.90f, 0.49f, 0.5f, 0, 0, 0, 0}},
                               .random_tokens = {20, 21, 22, 23, 24, 25, 26, 27}};
        const mlm::Corrupted corrupted = mlm::corrupt_batch(ids, special, draws, {.mask_id = MASK});
        // position 1: selected, 0.79 < 0.8 -> [MASK];   2: 0.80 is not, 0.49 < 0.5 -> token 22;   3: neither, so it stays
        // position 4: u_select = 0.15 is not below 0.15, so it is not selected; nor 5.   [CLS], [SEP], [PAD] never are
        CHECK(corrupted.ids == std::vector<int>{2, MASK, 22, 12, 13, 14, 3, 0});
        CHECK(corrupted.labels == std::vector<int>{-100, 10, 11, 12, -100, -100, -100, -100});
        CHECK(corrupted.positions == std::vector<int>{1, 2, 3});
        CHECK(mlm::labels_at_positions(corrupted) == std::vector<int>{10, 11, 12});
        // a draw of exactly `select` is not below it: 0.25 and 1/4 are the same number
        const mlm::Draws border{
            .u_select = {{0.25f, 0.2f}}, .u_mask = Matrix(1, 2), .u_random = Matrix(1, 2), .random_tokens = {1, 1}};
        CHECK(mlm::corrupt_batch({10, 11}, {0, 0}, border, {.select = 0.25}).positions == std::vector<int>{1});
        CHECK(mlm::corrupt_batch({10, 11}, {0, 0}, border, {.select = 0.5}).positions == std::vector<int>{0, 1});
    }

    TEST_CASE("corrupt_candidates: takes a fixed number in the order of the permutation, one draw per selected token") {
        const std::vector<int> ids{2, 10, 11, 12, 13, 14, 15, 16, 17, 3};  // T = 10, candidates are positions 1 to 8
        const mlm::CandidateDraws draws{.permutation = {7, 0, 3, 1, 2, 4, 5, 6},
                                        .u_mask = {{0.9f, 0.1f, 0.9f, 0, 0, 0, 0, 0}},
                                        .u_keep = {{0.4f, 0.9f, 0.5f, 0, 0, 0, 0, 0}},
                                        .random_tokens = {30, 31, 32, 33, 34, 35, 36, 37}};
        const mlm::Corrupted corrupted =
            mlm::corrupt_candidates(ids, mlm::special_positions(ids, {2, 3}), draws, {.select = 0.3, .mask_id = MASK});
        // round(0.3 10) = 3 tokens.   candidate 7 = position 8: not masked, 0.4 < 0.5 stays;   candidate 0 = position 1: [MASK];
        // candidate 3 = position 4: not masked, 0.5 is not below 0.5 -> the third random token
        CHECK(corrupted.ids == std::vector<int>{2, MASK, 11, 12, 32, 14, 15, 16, 17, 3});
        CHECK(corrupted.positions == std::vector<int>{1, 4, 8});
        CHECK(mlm::labels_at_positions(corrupted) == std::vector<int>{10, 13, 17});
        // a draw of exactly `mask` is not below it
        const mlm::CandidateDraws border{.permutation = {0}, .u_mask = {{0.5f}}, .u_keep = {{0}}, .random_tokens = {30}};
        CHECK(mlm::corrupt_candidates({10}, {0}, border, {.mask = 0.5, .mask_id = MASK}).ids == std::vector<int>{10});
    }

    TEST_CASE(
        "corrupt_candidates: rounds half to even, selects at least one token, at most `most`, and never more than the candidates") {
        Random random(1);
        const auto taken = [&](int length, mlm::Corruption how) {
            std::vector<int> special(length);
            special.front() = special.back() = 1;
            const mlm::CandidateDraws draws = mlm::make_candidate_draws(random, length - 2, 50);
            return mlm::corrupt_candidates(std::vector<int>(length, 7), special, draws, how).positions.size();
        };
        CHECK(taken(9, {.select = 0.5}) == 4);   // 4.5 -> 4
        CHECK(taken(11, {.select = 0.5}) == 6);  // 5.5 -> 6
        CHECK(taken(13, {.select = 0.5}) == 6);  // 6.5 -> 6
        CHECK(taken(20, {}) == 3);               // 0.15 20 = 3: the two special tokens count
        CHECK(taken(3, {}) == 1);                // 0.45 -> 0 -> 1
        CHECK(taken(5, {.select = 1}) == 3);     // 5 wanted, 3 there
        CHECK(taken(60, {.select = 1}) == 20);
        CHECK(taken(60, {.select = 1, .most = 7}) == 7);
    }

    TEST_CASE("corrupt_batch: over many tokens 15 % are selected, and 80, 10 and 10 % of these masked, replaced and kept") {
        Random random(2);
        const int B = 100, T = 200;
        const std::vector<int> ids(B * T, 999);  // random ids are below 500, so none is the token itself
        const mlm::Corrupted corrupted =
            mlm::corrupt_batch(ids, std::vector<int>(B * T), mlm::make_draws(random, B, T, 500), {.mask_id = 500});
        const double selected = static_cast<double>(corrupted.positions.size());
        double masked = 0, kept = 0, random_tokens = 0;
        for (const int position : corrupted.positions) {
            masked += corrupted.ids[position] == 500;
            kept += corrupted.ids[position] == 999;
            random_tokens += corrupted.ids[position] < 500;
        }
        // 20,000 draws: the standard deviation of the fraction is sqrt(0.15 0.85 / 20000) = 0.0025; of 0.1 among 3000, 0.0055
        CHECK(selected / (B * T) / 0.15 == Approx(1).epsilon(0.05));
        CHECK(masked / selected == Approx(0.8).epsilon(0.03));
        CHECK(std::abs(kept / selected - 0.1) < 0.02);
        CHECK(std::abs(random_tokens / selected - 0.1) < 0.02);
        for (int k = 0; k < B * T; ++k)
            if (corrupted.labels[k] == ignored_label)
                CHECK_MESSAGE(corrupted.ids[k] == ids[k], "a token that is not selected was changed");
    }

    TEST_CASE("forward: logits at some positions equal the same rows of the logits at all positions") {
        Random random(3);
        const mlm::Weights w = mlm::make_weights(tiny, random, {.stddev = 0.5f});
        const bert::Batch batch = bert::make_batch({{1, 2, 3}, {4, 5}});
        const Matrix all = mlm::forward(batch, w, tiny).prediction_logits.value();  // (6, 9)
        const std::vector<int> positions{1, 4};
        const mlm::Steps some = mlm::forward(batch, w, tiny, positions);
        CHECK(shape(some.prediction_logits.value()) == "(2, 9)");
        check_close("place 1", slice_rows(some.prediction_logits.value(), 0, 1), slice_rows(all, 1, 1));
        check_close("place 4", slice_rows(some.prediction_logits.value(), 1, 1), slice_rows(all, 4, 1));
        // and the loss over the chosen rows is the loss with all other rows ignored
        const float chosen = mlm::loss(some, {7, 8}).masked_tokens.value()[0];
        const float ignoring = mlm::loss(mlm::forward(batch, w, tiny), {-100, 7, -100, -100, 8, -100}).masked_tokens.value()[0];
        CHECK(chosen == Approx(ignoring).epsilon(1e-5));
    }

    TEST_CASE("loss: logits at positions that are not selected do not count") {
        const mlm::Steps steps{
            .trunk = {}, .transform = {}, .prediction_logits = Matrix{{0, std::log(3.f)}, {50, -50}}, .next_sentence_logits = {}};
        // position 0: p(token 0) = 1 / (1 + 3), so -ln p = ln 4;   position 1 would cost 100
        CHECK(mlm::loss(steps, {0, ignored_label}).masked_tokens.value()[0] == Approx(std::log(4.0)));
        CHECK(mlm::loss(steps, {0, 1}).masked_tokens.value()[0] == Approx((std::log(4.0) + 100) / 2));
        CHECK(mlm::loss(steps, {ignored_label, ignored_label}).masked_tokens.value()[0] == 0);
    }

    TEST_CASE("loss: the unweighted sum of both tasks; without next-sentence labels, the masked loss alone") {
        const mlm::Steps steps{.trunk = {},
                               .transform = {},
                               .prediction_logits = Matrix{{0, std::log(3.f)}},
                               .next_sentence_logits = Matrix{{std::log(7.f), 0}, {0, 0}}};
        const mlm::Losses losses = mlm::loss(steps, {0}, {0, 1});
        // class 0 = B follows A: -ln(7/8); and -ln(1/2) for the second sequence; their mean
        CHECK(losses.next_sentence.value()[0] == Approx((std::log(8.0 / 7) + std::log(2.0)) / 2));
        CHECK(losses.sum.value()[0] == Approx(std::log(4.0) + losses.next_sentence.value()[0]));
        const mlm::Losses tokens_only = mlm::loss(steps, {0});
        CHECK(!tokens_only.next_sentence);
        CHECK(tokens_only.sum.same_as(tokens_only.masked_tokens));
    }

    TEST_CASE("forward: the output matrix is the token embedding, and both uses contribute to its gradient") {
        Random random(4);
        const mlm::Weights w = mlm::make_weights(tiny, random, {.stddev = 0.5f});
        const bert::Batch batch = bert::make_batch({{1, 2}});
        Tape tape;
        const mlm::Steps steps = mlm::forward(batch, w, tiny);
        backward(mlm::loss(steps, {ignored_label, 8}).sum);
        const Matrix& gradient = w.trunk.token_embedding.gradient();
        const auto length = [&](int id) {
            float squares = 0;
            for (int j = 0; j < gradient.cols; ++j) squares += gradient(id, j) * gradient(id, j);
            return std::sqrt(squares);
        };
        CHECK(length(8) > 0.01f);                   // token 8 is only predicted, never read
        CHECK(length(1) > 0.01f);                   // token 1 is read
        CHECK(w.output_bias.gradient()(0, 8) < 0);  // the label's logit is to rise, all others to fall
        CHECK(w.output_bias.gradient()(0, 3) > 0);
    }

    TEST_CASE("loss: of a fresh model, ln V and ln 2") {
        const bert::Config config{.vocabulary = 400, .positions = 16, .width = 48, .depth = 2, .heads = 4, .mlp_width = 96};
        Random random(5);
        const mlm::Weights w = mlm::make_weights(config, random);
        std::vector<std::vector<int>> sequences(4);
        std::vector<int> labels;
        for (std::vector<int>& sequence : sequences)
            for (int t = 0; t < 16; ++t) {
                sequence.push_back(random.below(400));
                labels.push_back(random.below(400));
            }
        const mlm::Losses losses = mlm::loss(mlm::forward(bert::make_batch(sequences), w, config), labels, {0, 1, 0, 1});
        CHECK(losses.masked_tokens.value()[0] == Approx(std::log(400.0)).epsilon(0.01));
        CHECK(losses.next_sentence.value()[0] == Approx(std::log(2.0)).epsilon(0.02));
    }

    TEST_CASE("best_predictions: the most likely tokens first, the lower id first among equals") {
        const std::vector<mlm::Prediction> predictions =
            mlm::best_predictions({{9, 9, 9, 9}, {0, std::log(2.f), 0, std::log(4.f)}}, 1, 3);
        REQUIRE(predictions.size() == 3);  // probabilities 1, 2, 1, 4 of 8
        CHECK(predictions[0].id == 3);
        CHECK(predictions[0].probability == Approx(0.5));
        CHECK(predictions[1].id == 1);
        CHECK(predictions[2].id == 0);
        CHECK(predictions[2].probability == Approx(0.125));
        CHECK(mlm::best_predictions({{0, 1}}, 0, 5).size() == 2);
    }

    TEST_CASE("load: a saved model loads, with or without a second copy of the token embedding") {
        Random random(6);
        const mlm::Weights w = mlm::make_weights(tiny, random), other = mlm::make_weights(tiny, random);
        Parameters table = mlm::parameters(w, tiny);
        table.push_back({"cls.predictions.decoder.weight", {9, 12}, Stored::as_it_is, {w.trunk.token_embedding}});
        table.push_back({"cls.predictions.decoder.bias", {9}, Stored::as_it_is, {w.output_bias}});
        const TemporaryFolder folder;
        const std::string path = folder.path("model.safetensors");
        save(table, path);
        load(mlm::parameters(other, tiny), Safetensors(path), mlm::load_rules());
        const bert::Batch batch = bert::make_batch({{1, 2, 3}});
        CHECK(identical(mlm::forward(batch, w, tiny).prediction_logits.value(),
                        mlm::forward(batch, other, tiny).prediction_logits.value()));
        // the encoder alone loads its part of the file
        LoadRules rules = bert::load_rules();
        CHECK(error_of([&] { load(bert::parameters(other.trunk, tiny), Safetensors(path), rules); }) != "");
        rules.allow_unexpected = true;
        load(bert::parameters(other.trunk, tiny), Safetensors(path), rules);
    }

    TEST_CASE("mlm: learns a token that neither side alone determines, the XOR of its neighbours") {
        const bert::Config config{
            .vocabulary = 3, .positions = 3, .width = 16, .depth = 1, .heads = 2, .mlp_width = 32, .pooler = false};
        Random random(1);
        const mlm::Weights w = mlm::make_weights(config, random, {.stddev = 0.2f});
        AdamW optimizer(variables(mlm::parameters(w, config)), {}, {.learning_rate = 1e-2f, .weight_decay = 0});
        const bert::Batch batch = bert::make_batch({{0, 2, 0}, {0, 2, 1}, {1, 2, 0}, {1, 2, 1}});  // 2 is [MASK]
        const std::vector<int> middle{1, 4, 7, 10}, labels{0, 1, 1, 0};
        float last = 0;
        for (int step = 0; step < 150; ++step) {
            Tape tape;
            const Var loss = mlm::loss(mlm::forward(batch, w, config, middle), labels).sum;
            backward(loss);
            optimizer.update();
            zero_gradients(optimizer.variables);
            last = loss.value()[0];
        }
        CHECK(last < 0.1f);  // a model that reads one side only stays at ln 2 = 0.693
    }

    TEST_CASE("mlm: mismatched lists, draws and labels throw a one-line error") {
        Random random(1);
        CHECK_THROWS_WITH(mlm::corrupt_batch({1, 2}, {0}, mlm::make_draws(random, 1, 2, 5)),
                          "corrupt_batch: 2 ids need as many flags and draws; there are 1 flags and 2, 2, 2, 2 draws");
        CHECK_THROWS_WITH(mlm::corrupt_candidates({1, 2}, {0}, {}), "corrupt_candidates: 1 flags for 2 ids, each needs one");
        const auto with_order = [](std::vector<int> order) {
            return error_of([&] {
                mlm::corrupt_candidates({1, 2}, {0, 0}, {.permutation = order, .u_mask = {}, .u_keep = {}, .random_tokens = {}});
            });
        };
        CHECK(with_order({0, 0}) == "corrupt_candidates: the 2 numbers are not a permutation of 2 candidates");
        CHECK(with_order({1, 1}) == "corrupt_candidates: the 2 numbers are not a permutation of 2 candidates");
        CHECK(with_order({0, 2}) == "corrupt_candidates: the 2 numbers are not a permutation of 2 candidates");
        CHECK(with_order({0}) == "corrupt_candidates: the 1 numbers are not a permutation of 2 candidates");
        CHECK(with_order({1, 0}) == "corrupt_candidates: 1 tokens are selected, there are 0, 0, 0 draws");
        CHECK_THROWS_WITH(mlm::best_predictions({{0, 1}}, 1), "best_predictions: row 1 of 1, counted from 0");
        bert::Config without_pooler = tiny;
        without_pooler.pooler = false;
        const mlm::Weights w = mlm::make_weights(without_pooler, random);
        const mlm::Steps steps = mlm::forward(bert::make_batch({{1}}), w, without_pooler);
        CHECK_THROWS_WITH(
            mlm::loss(steps, {1}, {0}),
            "mlm: labels for the next sentence, but this model has no pooler; set pooler = true, or give no labels for it");
        CHECK(mlm::parameters(w, without_pooler).back().name == "cls.predictions.transform.LayerNorm.bias");
    }

    TEST_CASE("special_positions: 1 where the id is one of the special ones") {
        CHECK(mlm::special_positions({2, 7, 3, 2}, {2, 3, 3}) == std::vector<int>{1, 0, 1, 1});
        CHECK(mlm::special_positions({2, 7}, {}) == std::vector<int>{0, 0});
    }

    TEST_CASE("make_draws, make_candidate_draws: a number for each token or candidate, and every id of the vocabulary") {
        Random random(4);
        const auto check = [](const Matrix& uniform, int rows, int cols) {
            CHECK(shape(uniform) == shape(Matrix(rows, cols)));
            for (const float u : uniform) CHECK((u >= 0 && u < 1));
        };
        const auto check_ids = [](const std::vector<int>& ids) {
            CHECK(ids.size() == 60);
            CHECK(std::set<int>(ids.begin(), ids.end()) == std::set<int>{0, 1, 2});
        };
        const mlm::Draws draws = mlm::make_draws(random, 3, 20, 3);
        for (const Matrix* const uniform : {&draws.u_select, &draws.u_mask, &draws.u_random}) check(*uniform, 3, 20);
        check_ids(draws.random_tokens);
        const mlm::CandidateDraws candidates = mlm::make_candidate_draws(random, 60, 3);
        for (const Matrix* const uniform : {&candidates.u_mask, &candidates.u_keep}) check(*uniform, 1, 60);
        check_ids(candidates.random_tokens);
        CHECK(candidates.permutation.size() == 60);
        CHECK(std::set<int>(candidates.permutation.begin(), candidates.permutation.end()).size() == 60);
    }

    TEST_CASE("corrupt_batch, corrupt_candidates, best_predictions: fractions outside 0 to 1 and negative counts are refused") {
        Random random(1);
        const mlm::Draws draws = mlm::make_draws(random, 1, 2, 9);
        const std::string rule = ", it must be from 0 to 1; BERT's are 0.15, 0.8 and 0.5";
        CHECK(error_of([&] {
                  mlm::corrupt_batch({5, 6}, {0, 0}, draws, {.select = 1.5});
              }) == "corrupt_batch: a fraction of 1.500000" + rule);
        CHECK(error_of([&] {
                  mlm::corrupt_batch({5, 6}, {0, 0}, draws, {.mask = -1});
              }) == "corrupt_batch: a fraction of -1.000000" + rule);
        const mlm::CandidateDraws candidates = mlm::make_candidate_draws(random, 2, 9);
        CHECK(error_of([&] {
                  mlm::corrupt_candidates({5, 6}, {0, 0}, candidates, {.random = 2});
              }) == "corrupt_candidates: a fraction of 2.000000" + rule);
        CHECK_THROWS_WITH(mlm::corrupt_candidates({5, 6}, {0, 0}, candidates, {.most = -1}),
                          "corrupt_candidates: at most -1 tokens become id 103, neither may be negative");
        CHECK_THROWS_WITH(mlm::best_predictions(Matrix(1, 3), 0, -1),
                          "best_predictions: -1 predictions, there cannot be fewer than 0");
        CHECK_THROWS_WITH(
            mlm::best_predictions(Matrix{{0, 0, 0}, {0, std::nanf(""), 1}}, 1),
            "best_predictions: row 1 of (2, 3) holds a NaN or plus infinity; look for it in the weights or the input");
        CHECK(mlm::best_predictions(Matrix{{0, -INFINITY, 1}}, 0)[0].id == 2);
        CHECK_THROWS_WITH(mlm::make_candidate_draws(random, -1, 9),
                          "make_candidate_draws: -1 candidates, there cannot be fewer than 0");
    }

    TEST_CASE("corrupt_batch, corrupt_candidates, best_predictions, inside: each argument check fails by itself") {
        const auto refusal = [](const mlm::Draws& draws, const mlm::Corruption& how) {
            return error_of([&] { mlm::corrupt_batch({1, 2}, {0, 0}, draws, how); });
        };
        const mlm::Draws two{.u_select = Matrix(1, 2), .u_mask = Matrix(1, 2), .u_random = Matrix(1, 2), .random_tokens = {1, 1}};
        CHECK(refusal(two, {.select = 0, .mask = 0, .random = 0, .most = 0, .mask_id = 0}) == "");
        CHECK(refusal(two, {.select = 1, .mask = 1, .random = 1}) == "");
        const std::string share = ", it must be from 0 to 1; BERT's are 0.15, 0.8 and 0.5";
        CHECK(refusal(two, {.select = 1.5}) == "corrupt_batch: a fraction of 1.500000" + share);
        CHECK(refusal(two, {.mask = -0.5f}) == "corrupt_batch: a fraction of -0.500000" + share);
        CHECK(refusal(two, {.random = 1.5f}) == "corrupt_batch: a fraction of 1.500000" + share);
        CHECK(refusal(two, {.most = -1}) == "corrupt_batch: at most -1 tokens become id 103, neither may be negative");
        CHECK(refusal(two, {.mask_id = -1}) == "corrupt_batch: at most 20 tokens become id -1, neither may be negative");
        const std::string needs = "corrupt_batch: 2 ids need as many flags and draws; there are 2 flags and ";
        mlm::Draws few = two;
        few.u_select = Matrix(1, 1);
        CHECK(refusal(few, {}) == needs + "1, 2, 2, 2 draws");
        few = two;
        few.u_mask = Matrix(1, 3);
        CHECK(refusal(few, {}) == needs + "2, 3, 2, 2 draws");
        few = two;
        few.u_random = Matrix(1, 1);
        CHECK(refusal(few, {}) == needs + "2, 2, 1, 2 draws");
        few = two;
        few.random_tokens = {1};
        CHECK(refusal(few, {}) == needs + "2, 2, 2, 1 draws");

        const auto candidates = [](int mask, int keep, int tokens) {
            return error_of([&] {
                mlm::corrupt_candidates({1, 2}, {0, 0},
                                        {.permutation = {0, 1},
                                         .u_mask = Matrix(1, mask),
                                         .u_keep = Matrix(1, keep),
                                         .random_tokens = std::vector<int>(tokens, 1)},
                                        {.select = 1});
            });
        };
        CHECK(candidates(2, 2, 2) == "");
        CHECK(candidates(1, 2, 2) == "corrupt_candidates: 2 tokens are selected, there are 1, 2, 2 draws");
        CHECK(candidates(2, 1, 2) == "corrupt_candidates: 2 tokens are selected, there are 2, 1, 2 draws");
        CHECK(candidates(2, 2, 1) == "corrupt_candidates: 2 tokens are selected, there are 2, 2, 1 draws");
        Random random(1);
        CHECK(mlm::make_candidate_draws(random, 0, 5).random_tokens.empty());

        CHECK_THROWS_WITH(mlm::best_predictions(Matrix(1, 2), -1, 1), "best_predictions: row -1 of 1, counted from 0");
        CHECK_THROWS_WITH(mlm::best_predictions(Matrix(1, 2), 1, 1), "best_predictions: row 1 of 1, counted from 0");
        CHECK(mlm::best_predictions(Matrix(1, 2), 0, 0).empty());
        CHECK(mlm::best_predictions(Matrix(1, 0), 0, 0).empty());

        bert::Config tanh = tiny;
        tanh.activation = Activation::gelu_tanh;
        CHECK_THROWS_WITH(mlm::inside(mlm::make_weights(tanh, random), tanh),
                          "mlm: only GELU is known between the two layers of the head");
    }
}

TEST_CASE("load_rules: embedding and bias load from the decoder's names alone, and both copies must agree") {
    Random random(8);
    const mlm::Weights w = mlm::make_weights(tiny, random), other = mlm::make_weights(tiny, random);
    Parameters table = mlm::parameters(w, tiny);
    for (Parameter& parameter : table) {
        if (parameter.name == "bert.embeddings.word_embeddings.weight") parameter.name = "cls.predictions.decoder.weight";
        if (parameter.name == "cls.predictions.bias") parameter.name = "cls.predictions.decoder.bias";
    }
    const TemporaryFolder folder;
    const std::string path = folder.path("decoder.safetensors");
    save(table, path);
    const bert::Config found = bert::config_of(Safetensors(path), {{"num_attention_heads", "2"}});
    CHECK(found.vocabulary == 9);
    CHECK(found.width == 12);
    load(mlm::parameters(other, tiny), Safetensors(path), mlm::load_rules());
    const bert::Batch batch = bert::make_batch({{1, 2, 3}});
    CHECK(identical(mlm::forward(batch, w, tiny).prediction_logits.value(),
                    mlm::forward(batch, other, tiny).prediction_logits.value()));
    table = mlm::parameters(w, tiny);
    table.push_back({"cls.predictions.decoder.bias", {9}, Stored::as_it_is, {Var(Matrix(1, 9, 0.5f))}});
    save(table, path);
    CHECK(error_of([&] {
              load(mlm::parameters(other, tiny), Safetensors(path), mlm::load_rules());
          }).ends_with("; different: cls.predictions.decoder.bias and cls.predictions.bias"));
}

TEST_CASE("mlm::Corruption: the defaults") {
    const mlm::Corruption usual{};
    CHECK(usual.select == 0.15);
    CHECK(usual.mask == 0.8f);
    CHECK(usual.random == 0.5f);
    CHECK(usual.most == 20);
    CHECK(usual.mask_id == 103);
}

TEST_CASE("corrupt_batch, corrupt_candidates, labels_at_positions: flags, draws and positions outside their range are refused") {
    Random random(1);
    const mlm::Draws draws = mlm::make_draws(random, 1, 3, 9);
    const mlm::CandidateDraws candidate_draws = mlm::make_candidate_draws(random, 3, 9);
    const mlm::Corruption how{.mask_id = MASK};
    const auto batch = [&](int flag, Matrix mlm::Draws::*which, float u) {
        mlm::Draws changed = draws;
        (changed.*which)[1] = u;
        return error_of([&] { mlm::corrupt_batch({5, 6, 7}, {0, flag, 0}, changed, how); });
    };
    const auto candidates = [&](int flag, Matrix mlm::CandidateDraws::*which, float u) {
        mlm::CandidateDraws changed = candidate_draws;
        (changed.*which)[1] = u;
        return error_of([&] { mlm::corrupt_candidates({5, 6, 7}, {0, flag, 0}, changed, how); });
    };
    CHECK(batch(0, &mlm::Draws::u_mask, 0).empty());
    CHECK(candidates(0, &mlm::CandidateDraws::u_mask, 0).empty());
    const std::string flags = ", it must be 1 (a special token) or 0; special_positions makes them of ids";
    for (const int flag : {2, -1}) {
        CHECK(batch(flag, &mlm::Draws::u_mask, 0) == "corrupt_batch: a flag of " + std::to_string(flag) + flags);
        CHECK(candidates(flag, &mlm::CandidateDraws::u_mask, 0) ==
              "corrupt_candidates: a flag of " + std::to_string(flag) + flags);
    }
    for (const float u : {NAN, 1.0f, -0.5f}) {
        for (Matrix mlm::Draws::*const which : {&mlm::Draws::u_select, &mlm::Draws::u_mask, &mlm::Draws::u_random})
            CHECK(batch(0, which, u).ends_with(", it must lie in [0, 1)"));
        for (Matrix mlm::CandidateDraws::*const which : {&mlm::CandidateDraws::u_mask, &mlm::CandidateDraws::u_keep})
            CHECK(candidates(0, which, u).ends_with(", it must lie in [0, 1)"));
    }
    CHECK(mlm::labels_at_positions({.ids = {}, .labels = {5, 6}, .positions = {0, 1}}) == std::vector<int>{5, 6});
    for (const int position : {-1, 2})
        CHECK(error_of([&] {
                  mlm::labels_at_positions({.ids = {}, .labels = {5, 6}, .positions = {position}});
              }) == "labels_at_positions: position " + std::to_string(position) + " of 2, counted from 0");
}
