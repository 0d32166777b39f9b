#include "rlhf/dpo.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/rlhf/fixture.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("dpo");

TEST_CASE("parity: every quantity, the loss in four forms and every gradient equal the published implementation's") {
    for (const std::string& path : golden_files("dpo")) {
        const Golden golden(path);
        const gpt::Config config = gpt_config_of_fixture(golden);
        const dpo::Config dpo_config{.beta = static_cast<float>(golden.file.metadata_double("beta")),
                                     .label_smoothing = static_cast<float>(golden.file.metadata_double("label_smoothing")),
                                     .form = golden.file.metadata_text("loss") == "ipo" ? dpo::Form::ipo : dpo::Form::sigmoid};
        REQUIRE(!golden.flag("average_log_prob"));
        REQUIRE(golden.file.metadata_int("label_pad_token_id") == ignored_label);
        const int pairs = static_cast<int>(golden.integers("input.prompt_lengths").size());
        const dpo::Batch batch = dpo::join(golden.integers("input.chosen_input_ids"), golden.integers("input.chosen_labels"),
                                           golden.integers("input.rejected_input_ids"), golden.integers("input.rejected_labels"),
                                           pairs, golden.file.metadata_int("pad_token_id"));
        Random random;
        const gpt::Weights w = gpt::make_weights(config, random), frozen = gpt::make_weights(config, random);
        const Parameters parameters = gpt::parameters(w, config, "transformer.");
        golden.load_weights(parameters, gpt::load_rules(config));
        load(gpt::parameters(frozen, config, "transformer."), golden.file, gpt::load_rules(config), "input.reference.");
        const dpo::LogProbabilities reference = dpo::log_probabilities(batch, frozen, config);

        const Tape tape;
        const dpo::LogProbabilities policy = dpo::log_probabilities(batch, w, config);
        const dpo::LossSteps loss = dpo::loss(policy, reference, dpo_config);

        golden.check("token_logps", policy.tokens.value());
        golden.check("policy_chosen_logps", transpose(policy.chosen.value()));
        golden.check("policy_rejected_logps", transpose(policy.rejected.value()));
        golden.check("reference_chosen_logps", transpose(reference.chosen.value()));
        golden.check("reference_rejected_logps", transpose(reference.rejected.value()));
        golden.check("chosen_rewards", transpose(loss.chosen_rewards));
        golden.check("rejected_rewards", transpose(loss.rejected_rewards));
        golden.check("reward_margins", transpose(loss.reward_margins));
        golden.check("reward_accuracy", loss.accuracy);
        golden.check("losses", transpose(loss.losses.value()));
        golden.check("loss", loss.loss.value());
        const float beta = dpo_config.beta;
        golden.check("losses_dpo", transpose(dpo::loss(policy, reference, {.beta = beta}).losses.value()));
        golden.check("losses_ipo",
                     transpose(dpo::loss(policy, reference, {.beta = beta, .form = dpo::Form::ipo}).losses.value()));
        golden.check("losses_reference_free",
                     transpose(dpo::loss(policy, reference, {.beta = beta, .reference_free = true}).losses.value()));

        backward(loss.loss);
        golden.check("grad_chosen_logps", transpose(policy.chosen.gradient()));
        golden.check("grad_rejected_logps", transpose(policy.rejected.gradient()));
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

static const gpt::Config tiny{.vocabulary = 9, .positions = 8, .width = 8, .depth = 1, .heads = 2, .mlp_width = 16};
static constexpr int no = ignored_label;

TEST_CASE("loss: log 2 while the policy equals the reference, whatever the data") {
    Random random(1);
    const gpt::Weights w = gpt::make_weights(tiny, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    const dpo::Batch batch = dpo::join({1, 2, 3, 4}, {no, 2, no, 4}, {1, 5, 6, 3, 7, 8}, {no, 5, 6, no, 7, 8}, 2);
    const dpo::LogProbabilities p = dpo::log_probabilities(batch, w, tiny);
    CHECK(dpo::loss(p, p, {}).loss.value()(0, 0) == Approx(std::log(2.0)));
    CHECK(dpo::loss(p, p, {}).accuracy == 0);  // a margin of 0 is not in order
    CHECK(dpo::loss(p, p, {.beta = 3, .label_smoothing = 0.3f}).loss.value()(0, 0) == Approx(std::log(2.0)));
}

TEST_CASE("join: shifts a label from its token to the row that predicts it") {
    // two rows each; chosen ones have two tokens, rejected ones three. The first token of a row has no prediction.
    const dpo::Batch batch = dpo::join({1, 2, 3, 4}, {1, 2, no, 4}, {1, 5, 6, 3, 7, 8}, {no, 5, 6, no, no, 8}, 2, 9);
    CHECK(batch.length == 3);
    CHECK(batch.tokens == std::vector<int>{1, 2, 9, 3, 4, 9, 1, 5, 6, 3, 7, 8});
    CHECK(batch.labels == std::vector<int>{2, no, no, 4, no, no, 5, 6, no, no, 8, no});
}

TEST_CASE("log_probabilities: sums over an answer, not its mean, and ignores padding") {
    Random random(2);
    const gpt::Weights w = gpt::make_weights(tiny, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    const dpo::Batch narrow = dpo::join({1, 2, 3}, {no, 2, 3}, {1, 4, 5}, {no, 4, 5}, 1);
    const dpo::Batch wide = dpo::join({1, 2, 3}, {no, 2, 3}, {1, 4, 5, 0, 0}, {no, 4, 5, no, no}, 1);
    const dpo::LogProbabilities a = dpo::log_probabilities(narrow, w, tiny), b = dpo::log_probabilities(wide, w, tiny);
    check_close("chosen", b.chosen.value(), a.chosen.value());
    check_close("rejected", b.rejected.value(), a.rejected.value());
    CHECK(a.chosen.value()(0, 0) == Approx(a.tokens.value()(0, 0) + a.tokens.value()(0, 1)));
    CHECK(b.tokens.value()(1, 2) == 0);  // padding
}

static dpo::LogProbabilities given(float chosen, float rejected) {
    return {.tokens = {}, .chosen = parameter(Matrix{{chosen}}), .rejected = parameter(Matrix{{rejected}})};
}

TEST_CASE("loss: beta h = ln 3 has probability 3/4") {
    const dpo::LogProbabilities policy = given(-1, -2 - std::log(3.0f)), reference = given(-3, -4);
    // h = (-1 + 2 + ln 3) - (-3 + 4) = ln 3
    CHECK(dpo::loss(policy, reference, {.beta = 1}).loss.value()(0, 0) == Approx(-std::log(0.75)));
    CHECK(dpo::loss(policy, reference, {.beta = 1, .label_smoothing = 0.25f}).loss.value()(0, 0) ==
          Approx(-0.75 * std::log(0.75) - 0.25 * std::log(0.25)));
    CHECK(dpo::loss(policy, reference, {.beta = 1, .form = dpo::Form::ipo}).loss.value()(0, 0) ==
          Approx(std::pow(std::log(3.0) - 0.5, 2)));
    CHECK(dpo::loss(policy, reference, {.beta = 1, .reference_free = true}).loss.value()(0, 0) ==
          Approx(std::log1p(std::exp(-1 - std::log(3.0)))));
    const dpo::LossSteps steps = dpo::loss(policy, reference, {.beta = 0.5f});
    CHECK(steps.chosen_rewards(0, 0) == Approx(0.5 * 2));
    CHECK(steps.rejected_rewards(0, 0) == Approx(0.5 * (2 - std::log(3.0))));
    CHECK(steps.accuracy == 1);
}

TEST_CASE("loss: the gradient is -beta sigmoid(-beta h) for chosen, plus that for rejected, and shrinks as h grows") {
    const dpo::LogProbabilities policy = given(0, -std::log(3.0f)), reference = given(0, 0);
    const Tape tape;
    backward(dpo::loss(policy, reference, {.beta = 1}).loss);
    CHECK(policy.chosen.gradient()(0, 0) == Approx(-0.25));
    CHECK(policy.rejected.gradient()(0, 0) == Approx(0.25));
    CHECK(reference.chosen.gradient().empty());  // frozen
}

TEST_CASE("loss: label smoothing makes the optimal margin finite, sigmoid(beta h) = 1 - eps") {
    const float h = std::log(0.8f / 0.2f);
    const dpo::LogProbabilities policy = given(h, 0), reference = given(0, 0);
    const Tape tape;
    backward(dpo::loss(policy, reference, {.beta = 1, .label_smoothing = 0.2f}).loss);
    CHECK(policy.chosen.gradient()(0, 0) == Approx(0).epsilon(1e-6));
}

TEST_CASE("loss: on all comparisons of five answers, descent converges to the closed-form optimum" * only_when_optimised) {
    // pi_ref, r and beta are given; pi* is proportional to pi_ref exp(r / beta)
    const Matrix reference_p{{0.1f, 0.2f, 0.4f, 0.2f, 0.1f}}, r{{2, 1, 0.5f, 0, -1}};
    const float beta = 0.5f;
    Var logits = parameter(log(reference_p).value());
    const Matrix reference_lp = log_softmax_rows(logits.value()).value();
    for (int step = 0; step < 4000; ++step) {
        const Tape tape;
        const Var lp = log_softmax_rows(logits);
        Var loss = Matrix{{0}};
        for (int i = 0; i < 5; ++i)
            for (int j = 0; j < 5; ++j) {
                if (i == j) continue;
                const dpo::LogProbabilities policy{
                    .tokens = {}, .chosen = slice_cols(lp, i, 1), .rejected = slice_cols(lp, j, 1)};
                const dpo::LogProbabilities reference{
                    .tokens = {}, .chosen = Matrix{{reference_lp[i]}}, .rejected = Matrix{{reference_lp[j]}}};
                const float person = 1 / (1 + std::exp(r[j] - r[i]));  // how often i is preferred to j
                loss = add(loss, scale(dpo::loss(policy, reference, {.beta = beta}).loss, person));
            }
        backward(loss);
        for (int k = 0; k < 5; ++k) logits.value()[k] -= 1.0f * logits.gradient()[k];
        logits.zero_gradient();
    }
    const Matrix p = softmax_rows(logits.value()).value();
    check_close("pi*", p, Matrix{{0.6627f, 0.1794f, 0.1320f, 0.0243f, 0.0016f}}, {1e-4f, 0});
}

TEST_CASE("dpo: rows and labels that do not match throw") {
    CHECK_THROWS_WITH(
        dpo::join({1, 2, 3}, {1, 2}, {1}, {1}, 1),
        "dpo: 3 tokens and 2 labels of chosen answers do not form 1 rows; all rows need the same number of tokens, padded, and a label for each");
    CHECK_THROWS_WITH(
        dpo::join({1, 2}, {1, 2}, {1, 2, 3}, {1, 2, 3}, 2),
        "dpo: 3 tokens and 3 labels of rejected answers do not form 2 rows; all rows need the same number of tokens, padded, and a label for each");
}

TEST_CASE("loss: a beta that is not above 0 and a label smoothing outside 0 to 1/2 are refused") {
    const dpo::LogProbabilities p{.tokens = Matrix(2, 1), .chosen = Matrix(1, 1), .rejected = Matrix(1, 1)};
    CHECK_THROWS_WITH(dpo::loss(p, p, {.beta = 0}), "dpo: beta is 0.000000, it must be a number above 0; 0.1 is usual");
    CHECK_THROWS_WITH(dpo::loss(p, p, {.beta = std::nanf("")}), "dpo: beta is nan, it must be a number above 0; 0.1 is usual");
    const std::string rule = ", it must be from 0 to below 0.5: from 0.5 on the labels would be uninformative or inverted";
    CHECK(error_of([&] { dpo::loss(p, p, {.label_smoothing = 0.5f}); }) == "dpo: a label smoothing of 0.500000" + rule);
    CHECK(error_of([&] { dpo::loss(p, p, {.label_smoothing = -0.1f}); }) == "dpo: a label smoothing of -0.100000" + rule);
}

TEST_CASE("loss: log-probabilities that are missing, or of other pairs, are refused instead of being broadcast") {
    const dpo::LogProbabilities one{.tokens = Matrix(2, 1), .chosen = Matrix(1, 1), .rejected = Matrix(1, 1)};
    const dpo::LogProbabilities two{.tokens = Matrix(4, 1), .chosen = Matrix(2, 1), .rejected = Matrix(2, 1)};
    CHECK_THROWS_WITH(dpo::loss(one, two, {}),
                      "dpo: log-probabilities (1, 1) and (2, 1), policy and reference must be of the same pairs");
    CHECK_THROWS_WITH(dpo::loss(two, one, {}),
                      "dpo: log-probabilities (2, 1) and (1, 1), policy and reference must be of the same pairs");
    CHECK_THROWS_WITH(dpo::loss(one, {}, {}),
                      "dpo: log-probabilities are missing; compute those of policy and reference with log_probabilities");
}

TEST_CASE("log_probabilities: a pair whose answer has no labelled token, and labels of another batch, are refused") {
    Random random;
    const gpt::Config config{.vocabulary = 7, .positions = 5, .width = 4, .depth = 1, .heads = 2, .mlp_width = 4};
    const gpt::Weights w = gpt::make_weights(config, random);
    dpo::Batch batch = dpo::join({1, 2, 3}, {ignored_label, 2, 3}, {1, 4, 5}, {ignored_label, 4, 5}, 1);
    CHECK_NOTHROW(dpo::log_probabilities(batch, w, config));
    for (int t = 3; t < 6; ++t) batch.labels[t] = ignored_label;
    CHECK_THROWS_WITH(dpo::log_probabilities(batch, w, config),
                      "dpo: the rejected answer of pair 0 has no labelled token; leave the pair out");
    batch.labels.pop_back();
    CHECK_THROWS_WITH(dpo::log_probabilities(batch, w, config),
                      "dpo: 5 labels are not those of 1 pairs of two answers in 3 tokens; join makes such a batch");
}

TEST_CASE("join, log_probabilities, loss: each argument check fails by itself") {
    const std::string rows = " rows; all rows need the same number of tokens, padded, and a label for each";
    CHECK(error_of([] { dpo::join({1}, {1}, {1}, {1}, 0); }) ==
          "dpo: 1 tokens and 1 labels of chosen answers do not form 0" + rows);
    CHECK(error_of([] { dpo::join({}, {}, {1}, {1}, 1); }) ==
          "dpo: 0 tokens and 0 labels of chosen answers do not form 1" + rows);
    CHECK(error_of([] {
              dpo::join({1, 2}, {1}, {1}, {1}, 1);
          }) == "dpo: 2 tokens and 1 labels of chosen answers do not form 1" + rows);
    CHECK(dpo::join({1}, {1}, {1}, {1}, 1).length == 1);

    Random random;
    const gpt::Config config{.vocabulary = 7, .positions = 5, .width = 4, .depth = 1, .heads = 2, .mlp_width = 4};
    const gpt::Weights w = gpt::make_weights(config, random);
    CHECK_THROWS_WITH(dpo::log_probabilities({.tokens = {}, .labels = {}, .length = 1, .pairs = 0}, w, config),
                      "dpo: 0 labels are not those of 0 pairs of two answers in 1 tokens; join makes such a batch");
    CHECK_THROWS_WITH(dpo::log_probabilities({.tokens = {}, .labels = {}, .length = 0, .pairs = 1}, w, config),
                      "dpo: 0 labels are not those of 1 pairs of two answers in 0 tokens; join makes such a batch");
    CHECK_THROWS_WITH(dpo::log_probabilities(dpo::join({1}, {1}, {1}, {1}, 1), w, config),
                      "dpo: the chosen answer of pair 0 has no labelled token; leave the pair out");

    dpo::LogProbabilities both, chosen, rejected;
    both.chosen = both.rejected = chosen.chosen = rejected.rejected = Matrix(1, 1);
    CHECK_NOTHROW(dpo::loss(both, both, {.label_smoothing = 0}));
    CHECK_THROWS_WITH(dpo::loss(both, both, {.beta = INFINITY}), "dpo: beta is inf, it must be a number above 0; 0.1 is usual");
    const std::string missing =
        "dpo: log-probabilities are missing; compute those of policy and reference with log_probabilities";
    CHECK(error_of([&] { dpo::loss(rejected, both, {}); }) == missing);
    CHECK(error_of([&] { dpo::loss(chosen, both, {}); }) == missing);
    CHECK(error_of([&] { dpo::loss(both, rejected, {}); }) == missing);
    CHECK(error_of([&] { dpo::loss(both, chosen, {}); }) == missing);
}

TEST_CASE("dpo::Config: the defaults") {
    const dpo::Config usual{};
    CHECK(usual.beta == 0.1f);
    CHECK(usual.label_smoothing == 0);
    CHECK(usual.form == dpo::Form::sigmoid);
    CHECK(!usual.reference_free);
}

TEST_SUITE_END();
