#include "rlhf/preferences.h"

#include <cmath>
#include <cstdio>

#include "nn/autograd/operations.h"
#include "nn/data/file.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("preferences");

using namespace preferences;

TEST_CASE("all_pairs: three answers without ties make three pairs, better first; a tie makes none") {
    const Pairs pairs = all_pairs({0, 0, 0}, {2, 1, 3});
    REQUIRE(pairs.list.size() == 3);
    CHECK(pairs.list[0].better == 1);  // rows 0 and 1: row 1 is better
    CHECK(pairs.list[0].worse == 0);
    CHECK(pairs.list[1].better == 0);  // rows 0 and 2
    CHECK(pairs.list[2].better == 1);  // rows 1 and 2
    CHECK(all_pairs({0, 0, 0}, {1, 1, 2}).list.size() == 2);
    CHECK(all_pairs({0, 0}, {1, 1}).list.empty());
}

TEST_CASE("all_pairs: answers of different rankings are never paired; groups counts rankings without a pair") {
    const Pairs pairs = all_pairs({0, 1, 0, 1, 2}, {1, 1, 2, 2, 1});
    REQUIRE(pairs.list.size() == 2);
    CHECK(pairs.list[0].worse == 2);
    CHECK(pairs.list[1].worse == 3);
    CHECK(pairs.group == std::vector<int>{0, 1});
    CHECK(pairs.groups == 3);
}

TEST_CASE("bradley_terry: a reward ln 3 higher wins with probability 3/4, whatever the level") {
    CHECK(bradley_terry(std::log(3.0f), 0) == Approx(0.75));
    CHECK(bradley_terry(100 + std::log(3.0f), 100) == Approx(0.75).epsilon(1e-4));
    CHECK(bradley_terry(0, std::log(3.0f)) == Approx(0.25));
}

TEST_CASE("plackett_luce_nll: rewards ln 3, ln 2, ln 1 in this order have probability 3/6 * 2/3 = 1/3") {
    const std::vector<float> rewards = {std::log(2.0f), std::log(3.0f), 0};
    CHECK(plackett_luce_nll(rewards, {2, 1, 3}) == Approx(std::log(3.0)));
    // all six orders together have probability 1
    const std::vector<std::vector<int>> orders = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    double total = 0;
    for (const std::vector<int>& ranks : orders) total += std::exp(-plackett_luce_nll(rewards, ranks));
    CHECK(total == Approx(1));
}

TEST_CASE("plackett_luce_nll: equals Bradley-Terry for two answers") {
    CHECK(plackett_luce_nll({0.7f, -0.4f}, {1, 2}) == Approx(-std::log(bradley_terry(0.7f, -0.4f))));
    CHECK(plackett_luce_nll({0.7f, -0.4f}, {2, 1}) == Approx(-std::log(bradley_terry(-0.4f, 0.7f))));
}

TEST_CASE("rank: without noise, by score; ties share a rank and the next rank is skipped") {
    CHECK(rank({0.1f, 3, -1, 3}, {.noise = 0}, {0.5f, 0.5f, 0.5f, 0.5f}) == std::vector<int>{3, 1, 4, 1});
    CHECK(rank({0, 0.5f, 0.5f}, {.noise = 0, .tie_margin = 0.5f}, {0.5f, 0.5f, 0.5f}) ==
          std::vector<int>{1, 1, 1});  // 0.5 is not farther
    CHECK(rank({0, 0.3f, 2}, {.noise = 0, .tie_margin = 0.5f}, {0.5f, 0.5f, 0.5f}) == std::vector<int>{2, 2, 1});
}

TEST_CASE("rank: with Gumbel noise of scale s, choices follow Bradley-Terry for score / s") {
    Random random(1);
    int first_wins = 0;
    const int trials = 20000;
    for (int k = 0; k < trials; ++k) {
        const std::vector<float> draws = {random.uniform(1e-6f, 0.999999f), random.uniform(1e-6f, 0.999999f)};
        first_wins += rank({1, 0.5f}, {.noise = 0.5f}, draws)[0] == 1;
    }
    // sigmoid(0.5 / 0.5) = 0.731; the standard error of 20000 trials is 0.003
    CHECK(first_wins / double(trials) == Approx(0.731).epsilon(0.015));
}

TEST_CASE("agreement, kendall_tau and correlation: worked by hand") {
    const Pairs pairs = all_pairs({0, 0, 0}, {1, 2, 3});
    CHECK(agreement({3, 2, 1}, pairs) == 1);
    CHECK(agreement({1, 2, 3}, pairs) == 0);
    CHECK(agreement({3, 1, 2}, pairs) == Approx(2.0 / 3));
    CHECK(agreement({1, 1, 1}, pairs) == 0.5f);
    CHECK(agreement({1, 2}, Pairs{}) == 0.5f);
    CHECK(kendall_tau({3, 2, 1}, {1, 2, 3}) == 1);
    CHECK(kendall_tau({1, 2, 3}, {1, 2, 3}) == -1);
    CHECK(kendall_tau({3, 1, 2}, {1, 2, 3}) == Approx(1.0 / 3));
    CHECK(kendall_tau({1, 1, 1}, {1, 2, 3}) == 0);
    CHECK(kendall_tau({1, 5, 3, 2}, {4, 1, 2, 2}) == Approx(5 / std::sqrt(30.0)));  // 5 of 6 rewards and of 5 ranks that differ
    CHECK(correlation({1, 2, 3}, {10, 20, 30}) == Approx(1));
    CHECK(correlation({1, 2, 3}, {3, 2, 1}) == Approx(-1));
    CHECK(correlation({1, 2, 3}, {5, 5, 5}) == 0);
    CHECK(correlation({1, 2, 6}, {1, 3, 2}) == Approx(1 / std::sqrt(28.0)));  // (-2 -1 3) and (-1 1 0)
}

TEST_CASE("differences: gradient +1 to the better answer, -1 to the worse") {
    const Var rewards = parameter(Matrix{{5}, {7}, {1}});
    const Tape tape;
    const Var d = differences(rewards, all_pairs({0, 0, 0}, {1, 2, 3}));  // 5-7, 5-1, 7-1
    CHECK(identical(d.value(), Matrix{{-2}, {4}, {6}}));
    backward(sum(d));
    CHECK(identical(rewards.gradient(), Matrix{{2}, {0}, {-2}}));
}

namespace {
struct TemporaryFile {
    std::string path = "build/preferences_test.jsonl";
    ~TemporaryFile() { std::remove(path.c_str()); }
};
}  // namespace

TEST_CASE("write_rankings: read_rankings restores them, quotes and other scripts included") {
    const TemporaryFile file;
    const std::vector<Ranking> rankings = {{"the \"movie\" was", {"good .", "плохо", ""}, {1, 2, 2}}, {"", {}, {}}};
    write_rankings(file.path, rankings);
    const std::vector<Ranking> read = read_rankings(file.path);
    REQUIRE(read.size() == 2);
    CHECK(read[0].prompt == rankings[0].prompt);
    CHECK(read[0].answers == rankings[0].answers);
    CHECK(read[0].ranks == rankings[0].ranks);
    CHECK(line_of(rankings[0]) ==
          "{\"prompt\": \"the \\\"movie\\\" was\", \"answers\": [\"good .\", \"плохо\", \"\"], \"ranks\": [1, 2, 2]}\n");
}

static std::string error_of_file(const std::string& text, bool forgive = false) {
    const TemporaryFile file;
    write_file_atomically(file.path, text);
    return error_of([&] { read_rankings(file.path, forgive); });
}

TEST_CASE("read_rankings: errors give path, line and reason") {
    const std::string good = "{\"prompt\": \"p\", \"answers\": [\"a\", \"b\"], \"ranks\": [1, 2]}\n";
    CHECK(error_of_file(good + good) == "");
    CHECK(error_of_file(good + "\n" + good) == "");
    CHECK(error_of_file(good + "{\"prompt\": \"p\"}\n").starts_with("build/preferences_test.jsonl: line 2: "));
    CHECK(error_of_file("{\"prompt\": \"p\", \"answers\": [\"a\"], \"ranks\": [1, 2]}\n") ==
          "build/preferences_test.jsonl: line 1: 1 answers but 2 ranks");
    CHECK(error_of_file("{\"prompt\": \"p\", \"answers\": [\"a\"], \"ranks\": [0]}\n") ==
          "build/preferences_test.jsonl: line 1: a rank of 0, the best rank is 1");
    const std::string broken = good + good.substr(0, 20);
    CHECK(error_of_file(broken).starts_with("build/preferences_test.jsonl: line 2: "));
    CHECK(error_of_file(broken, true) == "");                            // an interrupted write: the complete lines are kept
    CHECK(error_of_file(good.substr(0, 20) + "\n" + good, true) != "");  // but only the last line may be incomplete
}

TEST_CASE("ranks_of_order: 2 1 3=4 gives ranks 2, 1, 3, 3") {
    CHECK(preferences::ranks_of_order("2 1 3=4", 4) == std::vector<int>{2, 1, 3, 3});
    CHECK(preferences::ranks_of_order("  3>1, 2 ", 3) == std::vector<int>{2, 3, 1});
    CHECK(preferences::ranks_of_order("1 = 2 = 3", 3) == std::vector<int>{1, 1, 1});
    CHECK(preferences::ranks_of_order("2=3 1", 3) == std::vector<int>{3, 1, 1});  // two share rank 1, rank 2 is skipped
    const auto refusal = [](const char* order) { return error_of([&] { preferences::ranks_of_order(order, 3); }); };
    CHECK(refusal("1 2") == "answer 3 is missing");
    CHECK(refusal("") == "answer 1 is missing");
    CHECK(refusal("1 2 2 3") == "answer 2 occurs twice");
    CHECK(refusal("1 2 4") == "\"4\" is not one of the answers 1 to 3");
    CHECK(refusal("1 2 x") == "\"x\" is not one of the answers 1 to 3");
    CHECK(refusal("=1 2 3") == "an = must stand between two tied answers");
    CHECK(refusal("1 2 3=") == "an = must stand between two tied answers");
    CHECK(refusal("1 ==2 3") == "an = must stand between two tied answers");
}

TEST_CASE("preferences: invalid arguments throw") {
    CHECK_THROWS_WITH(all_pairs({0}, {1, 2}), "all_pairs: 1 group numbers and 2 ranks; each answer needs both");
    CHECK_THROWS_WITH(all_pairs({0, -1}, {1, 2}), "all_pairs: answer 1 belongs to ranking -1, they are counted from 0");
    CHECK_THROWS_WITH(all_pairs({-1, 0}, {1, 2}), "all_pairs: answer 0 belongs to ranking -1, they are counted from 0");
    CHECK_THROWS_WITH(all_pairs({0, 0}, {1, 0}), "all_pairs: answer 1 has rank 0, the best rank is 1");
    CHECK_THROWS_WITH(plackett_luce_nll({1, 2}, {1, 1}),
                      "plackett_luce_nll: rank 1 occurs twice; Plackett-Luce has no ties, use the Bradley-Terry loss of pairs");
    CHECK_THROWS_WITH(plackett_luce_nll({1, NAN}, {1, 2}),
                      "plackett_luce_nll: the reward of answer 1 is nan, it must be a finite number");
    CHECK_THROWS_WITH(plackett_luce_nll({NAN, 1}, {1, 2}),
                      "plackett_luce_nll: the reward of answer 0 is nan, it must be a finite number");
    CHECK_THROWS_WITH(plackett_luce_nll({1, 2}, {1}), "plackett_luce_nll: 2 rewards and 1 ranks, each answer needs both");
    CHECK_THROWS_WITH(rank({1}, {}, {}), "rank: 1 scores and 0 draws, each answer needs both");
    CHECK(error_of([] { gumbel(1); }).starts_with("gumbel: the draw is 1"));
    CHECK(gumbel(0.5f) == Approx(0.366513));  // -ln ln 2: above 0, as the long tail of large values is
}

TEST_CASE("differences, rank: rewards that are not a column, negative noise and scores of NaN are refused") {
    CHECK_THROWS_WITH(preferences::differences(Matrix(2, 2), {.list = {{0, 1}}, .group = {0}, .groups = 1}),
                      "differences: rewards (2, 2), they must be one column, a row for each answer");
    CHECK_THROWS_WITH(preferences::rank({1, 2}, {.noise = -1}, {0.5f, 0.5f}),
                      "rank: noise -1.000000 and a tie margin of 0.000000, neither may be negative, and the noise not infinite");
    CHECK_THROWS_WITH(preferences::rank({1, std::nanf("")}, {}, {0.5f, 0.5f}),
                      "rank: the score of answer 1 is nan, it must be a number");
    CHECK_THROWS_WITH(preferences::rank({std::nanf(""), 1}, {}, {0.5f, 0.5f}),
                      "rank: the score of answer 0 is nan, it must be a number");
}

TEST_CASE("all_pairs, agreement, kendall_tau, line_of: rewards of other answers, and rewards that are not numbers, are refused") {
    CHECK_THROWS_WITH(
        preferences::all_pairs({0, 1000000000}, {1, 2}),
        "all_pairs: answer 1 belongs to ranking 1000000000, 2 answers have at most 2 rankings; number them without gaps");
    const preferences::Pairs pair{.list = {{0, 1}}, .group = {0}, .groups = 1},
        outside{.list = {{0, 9}}, .group = {0}, .groups = 1};
    CHECK_THROWS_WITH(preferences::agreement({1, std::nanf("")}, pair),
                      "agreement: the reward of answer 1 is nan, it must be a number; look for a NaN in the reward model");
    CHECK_THROWS_WITH(preferences::agreement({1, 2}, outside),
                      "agreement: a pair of answers 0 and 9, there are 2 rewards, counted from 0");
    CHECK(error_of([] {
              preferences::kendall_tau({std::nanf(""), 1}, {1, 2});
          }).starts_with("kendall_tau: the reward of answer 0 is nan"));
    CHECK_THROWS_WITH(preferences::line_of({"p", {"a"}, {1, 2}}),
                      "line_of: 1 answers but 2 ranks to the prompt \"p\", each answer needs one");
}

TEST_CASE("gumbel, rank, agreement, correlation: each argument check fails by itself, the limits are allowed") {
    CHECK_THROWS_WITH(preferences::gumbel(0), "gumbel: the draw is 0.000000, it must lie between 0 and 1");
    CHECK_THROWS_WITH(preferences::gumbel(1), "gumbel: the draw is 1.000000, it must lie between 0 and 1");
    CHECK_THROWS_WITH(preferences::rank({1, 2}, {.tie_margin = -1}, {0.5f, 0.5f}),
                      "rank: noise 0.500000 and a tie margin of -1.000000, neither may be negative, and the noise not infinite");
    CHECK(error_of([] { preferences::rank({1}, {.noise = INFINITY}, {0.5f}); }).starts_with("rank: noise inf"));
    CHECK(preferences::rank({1, 2}, {.noise = 0, .tie_margin = INFINITY}, {0.5f, 0.5f}) == std::vector<int>{1, 1});
    CHECK(preferences::rank({1, 2}, {.noise = 0, .tie_margin = 0}, {0.5f, 0.5f}) == std::vector<int>{2, 1});
    const auto refusal = [](int better, int worse) {
        return error_of([&] { preferences::agreement({1, 2}, {.list = {{better, worse}}, .group = {0}, .groups = 1}); });
    };
    const std::string held = ", there are 2 rewards, counted from 0";
    CHECK(refusal(0, 1) == "");
    CHECK(refusal(-1, 1) == "agreement: a pair of answers -1 and 1" + held);
    CHECK(refusal(1, -1) == "agreement: a pair of answers 1 and -1" + held);
    CHECK(refusal(2, 0) == "agreement: a pair of answers 2 and 0" + held);
    CHECK(refusal(0, 2) == "agreement: a pair of answers 0 and 2" + held);
    CHECK_THROWS_WITH(preferences::correlation({1, 2}, {1}),
                      "correlation: 2 numbers and 1; both must have the same number, at least 1");
    CHECK_THROWS_WITH(preferences::correlation({}, {}),
                      "correlation: 0 numbers and 0; both must have the same number, at least 1");
    CHECK_NOTHROW(preferences::correlation({1}, {1}));
    CHECK_THROWS_WITH(preferences::all_pairs({0, 2}, {1, 2}),
                      "all_pairs: answer 1 belongs to ranking 2, 2 answers have at most 2 rankings; number them without gaps");
    CHECK(preferences::all_pairs({0, 1}, {1, 1}).groups == 2);
    CHECK_THROWS_WITH(preferences::kendall_tau({1}, {1, 2}), "kendall_tau: 1 rewards and 2 ranks, each answer needs both");
    CHECK_THROWS_WITH(preferences::ranks_of_order("0", 1), "\"0\" is not one of the answers 1 to 1");
    CHECK_THROWS_WITH(preferences::ranks_of_order("2", 1), "\"2\" is not one of the answers 1 to 1");
    CHECK(preferences::ranks_of_order("1", 1) == std::vector<int>{1});
}

TEST_CASE("preferences::Person: the defaults") {
    const preferences::Person usual{};
    CHECK(usual.noise == 0.5f);
    CHECK(usual.tie_margin == 0);
}

TEST_CASE("ranks_of_order: fewer than 0 answers are refused") {
    CHECK_THROWS_WITH(preferences::ranks_of_order("1", -1), "ranks_of_order: -1 answers, there cannot be fewer than 0");
    CHECK(preferences::ranks_of_order("", 0).empty());
}

TEST_CASE("plackett_luce_nll, line_of, correlation: ranks below 1 and numbers that are none are refused") {
    CHECK(error_of([] {
              preferences::plackett_luce_nll({1, 1}, {5, 0});
          }) == "plackett_luce_nll: answer 1 has rank 0, the best rank is 1");
    CHECK(error_of([] {
              preferences::plackett_luce_nll({1, 1}, {0, 5});
          }) == "plackett_luce_nll: answer 0 has rank 0, the best rank is 1");
    CHECK(error_of([] {
              preferences::line_of({"p", {"a"}, {0}});
          }) == "line_of: a rank of 0 to the prompt \"p\", the best rank is 1");
    CHECK(error_of([] {
              preferences::correlation({1, NAN}, {1, 2});
          }) == "correlation: numbers 1 are nan and 2.000000, both must be finite");
    CHECK(error_of([] {
              preferences::correlation({1, 2}, {INFINITY, 2});
          }).starts_with("correlation: numbers 0 are 1.000000 and inf"));
}

TEST_SUITE_END();
