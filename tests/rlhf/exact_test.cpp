#include "rlhf/exact.h"

#include <cmath>
#include <numeric>

#include "nn/autograd/operations.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("exact");

TEST_CASE("all_answers: three tokens, token 0 ends, at most two positions") {
    const auto answers = exact::all_answers(3, 0, 2);
    const std::vector<std::vector<int>> by_hand = {{0}, {1, 0}, {1, 1}, {1, 2}, {2, 0}, {2, 1}, {2, 2}};
    CHECK(answers == by_hand);
    CHECK(exact::all_answers(4, 3, 3).size() == 1 + 3 + 9 * 4);
    CHECK_THROWS_WITH(exact::all_answers(20, 0, 8),
                      "all_answers: 20 tokens and 8 positions make more than 20000 answers; take fewer tokens or "
                      "shorter answers");
    CHECK_THROWS_WITH(exact::all_answers(0, 0, 8), "all_answers: 0 tokens and answers of at most 8; both must be at least 1");
}

static const gpt::Config tiny{.vocabulary = 4, .positions = 8, .width = 8, .depth = 1, .heads = 2, .mlp_width = 16};

TEST_CASE("log_probabilities: the probabilities of all answers sum to 1") {
    Random random(1);
    const gpt::Weights w = gpt::make_weights(tiny, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    const auto answers = exact::all_answers(4, 3, 4);
    const Matrix p = exact::probabilities(exact::log_probabilities({1, 2}, answers, w, tiny).value());
    CHECK(std::accumulate(p.begin(), p.end(), 0.0) == Approx(1).epsilon(1e-5));
}

static const Matrix q{{0.1f}, {0.2f}, {0.4f}, {0.2f}, {0.1f}}, rewards{{2}, {1}, {0.5f}, {0}, {-1}};

TEST_CASE("optimal_policy: the reference times exp(r / beta), E[r] 1.569 at a KL of 1.030") {
    const Matrix best = exact::optimal_policy(q, rewards, 0.5f);
    check_close("pi*", best, Matrix{{0.6627f}, {0.1794f}, {0.1320f}, {0.0243f}, {0.0016f}}, {1e-4f, 0});
    CHECK(exact::expected_reward(q, rewards) == Approx(0.5));
    CHECK(exact::expected_reward(best, rewards) == Approx(1.569).epsilon(1e-3));
    CHECK(exact::kl(best, q) == Approx(1.030).epsilon(1e-3));
    CHECK(exact::objective(best, q, rewards, 0.5f) == Approx(exact::optimal_objective(q, rewards, 0.5f)));
}

TEST_CASE("optimal_objective: no policy exceeds it, and kl is never negative") {
    Random random(2);
    const double best = exact::optimal_objective(q, rewards, 0.5f);
    for (int trial = 0; trial < 200; ++trial) {
        const Matrix p = softmax_rows(normal_matrix(random, 1, 5, 2)).value();
        const Matrix column = reshape(p, 5, 1);
        CHECK(exact::objective(column, q, rewards, 0.5f) <= best + 1e-6);
        CHECK(exact::kl(column, q) >= 0);
    }
    CHECK(exact::kl(q, q) == 0);
    CHECK(exact::kl(Matrix{{1}, {0}}, Matrix{{0.5f}, {0.5f}}) == Approx(std::log(2.0)));
    CHECK_THROWS_WITH(exact::kl(Matrix{{1}, {0}}, Matrix{{0}, {1}}),
                      "kl: answer 0 has p > 0 but q = 0, so the KL is infinite; q must be above 0 wherever p is");
}

TEST_CASE("optimal_policy: a small beta does not overflow; beta 0 throws") {
    check_close("greedy", exact::optimal_policy(q, rewards, 1e-3f), Matrix{{1}, {0}, {0}, {0}, {0}});
    CHECK(error_of([] { exact::optimal_policy(q, rewards, 0); }).starts_with("optimal_policy: beta is 0"));
}

TEST_CASE("loss: minus the objective; gradient descent from the reference ends at the optimum") {
    const Matrix log_q = log(q).value();
    CHECK(exact::loss(log_q, log_q, rewards, 0.5f).value()(0, 0) == Approx(-exact::expected_reward(q, rewards)));
    Var logits = parameter(transpose(log_q));
    for (int step = 0; step < 4000; ++step) {
        const Tape tape;
        const Var log_p = log_softmax_rows(logits);
        const Var column =
            matmul_transposed(Matrix{{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}, {0, 0, 0, 1, 0}, {0, 0, 0, 0, 1}}, log_p);
        backward(exact::loss(column, log_q, rewards, 0.5f));
        for (int k = 0; k < 5; ++k) logits.value()[k] -= 2 * logits.gradient()[k];
        logits.zero_gradient();
    }
    check_close("pi", transpose(softmax_rows(logits.value()).value()), exact::optimal_policy(q, rewards, 0.5f), {1e-4f, 1e-3f});
}

TEST_CASE("loss: its gradient is the expectation of score times grad log p") {
    Random random(3);
    const gpt::Weights w = gpt::make_weights(tiny, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    const auto answers = exact::all_answers(4, 3, 2);
    Matrix r(static_cast<int>(answers.size()), 1);
    for (float& x : r) x = random.normal();
    Matrix log_q(r.rows, 1);  // beta 0: no KL term
    {
        const Tape tape;
        backward(exact::loss(exact::log_probabilities({1}, answers, w, tiny), log_q, r, 0));
    }
    const Matrix exact_gradient = w.token_embedding.gradient();
    Var words = w.token_embedding;
    words.zero_gradient();
    // REINFORCE with the probabilities in place of the frequencies of infinitely many samples
    const Tape tape;
    const Var log_p = exact::log_probabilities({1}, answers, w, tiny);
    const Matrix p = exact::probabilities(log_p.value());
    backward(scale(sum(multiply(log_p, multiply(Var(p), r).value())), -1));
    check_close("gradient", words.gradient(), exact_gradient);
}

TEST_CASE("exact: empty prompts and too many answers throw") {
    CHECK_THROWS_WITH(exact::expected_reward(Matrix(2, 1), Matrix(3, 1)),
                      "expected_reward: probabilities (2, 1) and rewards (3, 1), each answer needs both");
    Random random;
    const gpt::Weights w = gpt::make_weights(tiny, random);
    CHECK_THROWS_WITH(exact::log_probabilities({}, {{1}}, w, tiny),
                      "exact: a prompt of 0 tokens and 1 answers; there must be at least one of each");
}

TEST_CASE("exact: an empty answer, and probabilities, rewards and coefficients that are not numbers, are refused") {
    Random random;
    const gpt::Weights w = gpt::make_weights(tiny, random);
    const float nan = std::nanf("");
    CHECK_THROWS_WITH(exact::log_probabilities({1}, {{2}, {}}, w, tiny),
                      "exact: answer 1 of 2 is empty; an answer has at least one token");
    CHECK_THROWS_WITH(exact::log_probabilities({1}, {{}, {2}}, w, tiny),
                      "exact: answer 0 of 2 is empty; an answer has at least one token");
    const Matrix half(2, 1, 0.5f);
    CHECK_THROWS_WITH(exact::kl(Matrix{{0.5f}, {nan}}, half),
                      "kl: the probability of answer 1 is nan, it must be finite and at least 0");
    CHECK_THROWS_WITH(exact::kl(half, Matrix{{-1}, {2}}),
                      "kl: the probability of answer 0 is -1.000000, it must be finite and at least 0");
    CHECK(error_of([&] {
              exact::optimal_policy(half, Matrix{{1}, {nan}}, 1);
          }).starts_with("optimal_policy: the rewards (2, 1) hold nan"));
    CHECK(error_of([&] {
              exact::optimal_policy(half, Matrix{{INFINITY}, {1}}, 1);
          }).starts_with("optimal_policy: the rewards (2, 1) hold inf"));
    CHECK_THROWS_WITH(exact::objective(half, half, half, -1), "objective: beta is -1.000000, it must be finite and at least 0");
}

TEST_CASE("all_answers, kl, objective, optimal_policy: each limit is allowed, what lies beyond it is refused") {
    CHECK(exact::all_answers(1, 0, 1) == std::vector<std::vector<int>>{{0}});
    CHECK_THROWS_WITH(exact::all_answers(1, 0, 0), "all_answers: 1 tokens and answers of at most 0; both must be at least 1");
    CHECK(exact::all_answers(3, 0, 2, 7).size() == 7);
    CHECK_THROWS_WITH(exact::all_answers(3, 0, 2, 6),
                      "all_answers: 3 tokens and 2 positions make more than 6 answers; take fewer tokens or shorter answers");
    Random random;
    const gpt::Weights w = gpt::make_weights(tiny, random);
    CHECK_THROWS_WITH(exact::log_probabilities({1}, {}, w, tiny),
                      "exact: a prompt of 1 tokens and 0 answers; there must be at least one of each");
    const Matrix half(2, 1, 0.5f), one(1, 1, 1), zero(1, 1);
    CHECK_THROWS_WITH(exact::kl(half, one), "kl: probabilities (2, 1) and (1, 1), the shapes must be equal");
    CHECK(exact::expected_reward(half, Matrix{{2}, {4}}) == 3);
    CHECK_THROWS_WITH(exact::kl(Matrix{{INFINITY}, {1}}, half),
                      "kl: the probability of answer 0 is inf, it must be finite and at least 0");
    CHECK(exact::objective(half, half, Matrix{{2}, {4}}, 0) == 3);
    CHECK_THROWS_WITH(exact::objective(one, one, zero, INFINITY), "objective: beta is inf, it must be finite and at least 0");
    // p = (1, 0), q = (1/2, 1/2): KL = ln 2; E[r] = 2
    CHECK(exact::objective(Matrix{{1}, {0}}, half, Matrix{{2}, {4}}, 0.5f) == Approx(2 - 0.5 * std::log(2.0)));
    CHECK_THROWS_WITH(exact::optimal_policy(half, one, 1),
                      "optimal_policy: probabilities (2, 1) and rewards (1, 1), each answer needs both, and there must be one");
    CHECK_THROWS_WITH(exact::optimal_policy(Matrix(), Matrix(), 1),
                      "optimal_policy: probabilities (0, 0) and rewards (0, 0), each answer needs both, and there must be one");
    CHECK_THROWS_WITH(
        exact::optimal_policy(one, zero, 0),
        "optimal_policy: beta is 0.000000, it must be a number above 0; without the KL penalty the optimum is the single best "
        "answer");
    CHECK(error_of([&] { exact::optimal_objective(one, zero, INFINITY); }).starts_with("optimal_policy: beta is inf"));
    CHECK(exact::optimal_policy(one, zero, 0.25f)[0] == 1);
}

TEST_CASE("all_answers, kl, expected_reward, loss: end tokens, distributions and shapes that are none are refused") {
    CHECK(exact::all_answers(3, 2, 1).size() == 3);
    for (const int end : {-1, 3})
        CHECK(error_of([&] { exact::all_answers(3, end, 2); }) ==
              "all_answers: token " + std::to_string(end) + " ends an answer, there are 3, counted from 0");
    const std::string sums = "those of all answers sum to 1; take every answer, as all_answers lists them";
    for (const float rest : {0.499f - 2e-3f, 0.501f + 2e-3f}) {
        const Matrix p{{0.5f}, {rest}};
        CHECK(error_of([&] { exact::kl(p, Matrix(2, 1, 0.5f)); }).ends_with(sums));
        CHECK(error_of([&] { exact::kl(Matrix(2, 1, 0.5f), p); }).ends_with(sums));
        CHECK(error_of([&] { exact::expected_reward(p, Matrix(2, 1)); }).ends_with(sums));
        CHECK(error_of([&] { exact::optimal_policy(p, Matrix(2, 1), 1); }).ends_with(sums));
    }
    CHECK(error_of([] { exact::kl(Matrix{{0.5f}, {0.4995f}}, Matrix(2, 1, 0.5f)); }).empty());  // rounding
    CHECK(
        error_of([] { exact::expected_reward(Matrix{{1}}, Matrix{{NAN}}); }).starts_with("expected_reward: the rewards (1, 1)"));
    const auto loss = [](const Matrix& log_p, const Matrix& log_q, const Matrix& r, float beta) {
        return error_of([&] { exact::loss(log_p, log_q, r, beta); });
    };
    const Matrix two(2, 1, std::log(0.5f));
    CHECK(loss(two, two, Matrix(2, 1), 0).empty());
    const std::string rows = "; each answer needs a row of each, and there is one column";
    CHECK(loss(Matrix(3, 1), two, Matrix(2, 1), 1) == "exact: log-probabilities (3, 1) and (2, 1) and rewards (2, 1)" + rows);
    CHECK(loss(two, two, Matrix(1, 1), 1) == "exact: log-probabilities (2, 1) and (2, 1) and rewards (1, 1)" + rows);
    CHECK(loss(Matrix(1, 2), Matrix(1, 2), Matrix(1, 2), 1).ends_with(rows));
    for (const float beta : {NAN, -1.0f}) CHECK(loss(two, two, two, beta).ends_with(", it must be finite and at least 0"));
}

TEST_SUITE_END();
