#include "nn/base/random.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/test.h"

TEST_SUITE_BEGIN("random");

TEST_CASE("Random: xoshiro256**, state 1, 2, 3, 4 gives the published first numbers") {
    // by hand: 2 * 5 = 10, rotated left by 7 = 1280, times 9 = 11520. The second number is made of the second word, which by then
    // is 2 ^ (3 ^ 1) = 0. The others were computed with the definition in another language.
    Random random(1);
    random.state = {1, 2, 3, 4};
    CHECK(random.next() == 11520u);
    CHECK(random.next() == 0u);
    CHECK(random.next() == 1509978240u);
    CHECK(random.next() == 1215971899390074240u);
}

TEST_CASE("Random: the seed fills the state by splitmix64; the first numbers are fixed") {
    Random zero(0), one(1), year(2024);
    CHECK(zero.next() == 0x99ec5f36cb75f2b4u);
    CHECK(zero.next() == 0xbf6e1f784956452au);
    CHECK(zero.next() == 0x1a5f849d4933e6e0u);
    CHECK(one.next() == 0xb3f2af6d0fc710c5u);
    CHECK(one.next() == 0x853b559647364ceau);
    CHECK(one.next() == 0x92f89756082a4514u);
    CHECK(one.next() == 0x642e1c7bc266a3a7u);
    CHECK(year.next() == 0x0e48715a13d7772eu);
    Random same;  // the default seed is 1
    CHECK(same.next() == 0xb3f2af6d0fc710c5u);
}

TEST_CASE("Random::uniform: uses the 24 highest bits") {
    Random random(1);  // 0xb3f2af, 0x853b55, 0x92f897 of 2^24
    CHECK(random.uniform() == 11793071 / 16777216.0f);
    CHECK(random.uniform() == 8731477 / 16777216.0f);
    CHECK(random.uniform(-2, 6) == -2 + 8 * (9631895 / 16777216.0f));
}

TEST_CASE("Random::normal: Box-Muller, the first numbers of seed 1") {
    Random random(1);
    CHECK(random.normal() == Approx(-0.8327414344656706));
    CHECK(random.normal() == Approx(-0.8173209811151113));
    CHECK(random.normal() == Approx(0.5265847839360694));
    CHECK(random.normal() == Approx(-1.6881194494397196));
}

TEST_CASE("Random: a copy continues with the same numbers") {
    Random random(5);
    random.normal();
    random.uniform();
    Random copy = random;
    Random restored(77);
    restored.state = random.state;
    const float next = random.normal();
    CHECK(copy.normal() == next);
    CHECK(restored.normal() == next);
}

TEST_CASE("Random::uniform: lies in [0, 1), with mean 1/2 and variance 1/12") {
    Random random(11);
    const int count = 100000;
    double sum = 0, squares = 0;
    float low = 1, high = 0;
    for (int n = 0; n < count; ++n) {
        const float u = random.uniform();
        low = std::min(low, u);
        high = std::max(high, u);
        sum += u;
        squares += static_cast<double>(u) * u;
    }
    const double mean = sum / count;
    CHECK(low >= 0);
    CHECK(low < 0.001);
    CHECK(high < 1);
    CHECK(high > 0.999);
    CHECK(std::abs(mean - 0.5) < 0.004);  // four standard deviations of the mean of 100,000 draws
    CHECK(std::abs(squares / count - mean * mean - 1.0 / 12) < 0.002);
}

TEST_CASE("Random::normal: moments 0, 1, 0, 3, and 4.55 % beyond two standard deviations") {
    Random random(12);
    const int count = 200000;
    double moment[5] = {};
    int beyond = 0;
    for (int n = 0; n < count; ++n) {
        const double z = random.normal();
        for (int k = 1; k <= 4; ++k) moment[k] += std::pow(z, k) / count;
        beyond += std::abs(z) > 2;
    }
    CHECK(std::abs(moment[1]) < 0.01);
    CHECK(std::abs(moment[2] - 1) < 0.015);
    CHECK(std::abs(moment[3]) < 0.04);
    CHECK(std::abs(moment[4] - 3) < 0.1);
    CHECK(std::abs(beyond / double(count) - 0.0455) < 0.002);
}

TEST_CASE("Random::below: uses the highest bits, and every number is equally likely") {
    Random pinned(1);
    const std::vector<int> expected{7, 5, 5, 3, 6, 1};  // the highest 32 bits times 10, divided by 2^32
    for (const int number : expected) CHECK(pinned.below(10) == number);

    Random random(3);
    std::vector<int> times(7);
    for (int n = 0; n < 70000; ++n) ++times[random.below(7)];
    for (const int t : times) CHECK(std::abs(t - 10000) < 400);
    CHECK(random.below(1) == 0);
    CHECK_THROWS_WITH(random.below(0), "Random::below: 0 leaves nothing to choose from");
    CHECK_THROWS_WITH(random.below(-4), "Random::below: -4 leaves nothing to choose from");
}

TEST_CASE("uniform_matrix, normal_matrix: filled in row-major order") {
    Random a(9), b(9);
    const Matrix uniform = uniform_matrix(a, 2, 3, -1, 1);
    CHECK(shape(uniform) == "(2, 3)");
    for (const float x : uniform) CHECK(x == b.uniform(-1, 1));
    const Matrix normal = normal_matrix(a, 3, 2, 0.5f);
    CHECK(shape(normal) == "(3, 2)");
    for (const float x : normal) CHECK(x == 0.5f * b.normal());
    const Matrix unit = uniform_matrix(a, 1, 2);
    for (const float x : unit) CHECK(x == b.uniform());
}

TEST_CASE("truncated_normal_matrix: within two standard deviations, and not piled up at the border") {
    Random random(4);
    const Matrix m = truncated_normal_matrix(random, 200, 100, 0.02f);
    double squares = 0;
    int at_border = 0;
    for (const float x : m) {
        CHECK_FALSE(std::abs(x) > 0.04f);
        at_border += std::abs(x) > 0.0399f;
        squares += static_cast<double>(x) * x;
    }
    // variance of a standard normal truncated at 2: 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737, standard deviation 0.8796
    CHECK(std::sqrt(squares / m.size()) / 0.02 == Approx(0.8796).epsilon(0.02));
    CHECK(at_border < 40);
}

TEST_CASE("permutation: every number once, in Fisher and Yates' order") {
    Random random(3);
    CHECK(permutation(random, 6) == std::vector<int>{2, 5, 1, 0, 3, 4});
    std::vector<int> order = permutation(random, 100);
    std::sort(order.begin(), order.end());
    for (int i = 0; i < 100; ++i) CHECK(order[i] == i);
    CHECK(permutation(random, 0).empty());
    CHECK(permutation(random, 1) == std::vector<int>{0});
}

TEST_CASE("permutation: all six orders of three are equally likely") {
    Random random(8);
    std::vector<int> times(27);
    for (int n = 0; n < 60000; ++n) {
        const std::vector<int> order = permutation(random, 3);
        ++times[9 * order[0] + 3 * order[1] + order[2]];
    }
    int orders = 0;
    for (const int t : times) {
        if (t == 0) continue;
        ++orders;
        CHECK(std::abs(t - 10000) < 400);
    }
    CHECK(orders == 6);
}

TEST_CASE("draw: the first index whose cumulative weight exceeds u times the total") {
    const float weights[] = {1, 0, 2, 1, 0};  // running sums 1, 1, 3, 4, 4
    CHECK(draw(weights, 5, 0.0f) == 0);
    CHECK(draw(weights, 5, 0.2499f) == 0);
    CHECK(draw(weights, 5, 0.25f) == 2);  // 1 does not exceed 1
    CHECK(draw(weights, 5, 0.7499f) == 2);
    CHECK(draw(weights, 5, 0.75f) == 3);
    CHECK(draw(weights, 5, 0.9999999f) == 3);
    CHECK(draw(weights, 5, 1.0f) == 3);         // even then never a column of weight 0
    const float small[] = {0, 0.125f, 0.375f};  // their total need not be 1
    CHECK(draw(small, 3, 0.0f) == 1);
    CHECK(draw(small, 3, 0.2499f) == 1);
    CHECK(draw(small, 3, 0.25f) == 2);
    const float none[] = {0, 0};
    CHECK_THROWS_WITH(draw(none, 2, 0.5f), "draw: none of the 2 weights is positive, at least one must be");
    CHECK_THROWS_WITH(draw(none, 0, 0.5f), "draw: none of the 0 weights is positive, at least one must be");
    CHECK_THROWS_WITH(draw(weights, 5, -0.5f), "draw: u is -0.500000, it must be from 0 to 1");
    CHECK_THROWS_WITH(draw(weights, 5, 1.5f), "draw: u is 1.500000, it must be from 0 to 1");
    CHECK_THROWS_WITH(draw(weights, 5, NAN), "draw: u is nan, it must be from 0 to 1");
    const float negative[] = {2, -1}, not_a_number[] = {NAN, 2};
    CHECK_THROWS_WITH(draw(negative, 2, 0.5f), "draw: weight 1 of 2 is -1.000000, it must be finite and not below 0");
    const float endless[] = {1, INFINITY};
    CHECK_THROWS_WITH(draw(endless, 2, 0.5f), "draw: weight 1 of 2 is inf, it must be finite and not below 0");
    CHECK_THROWS_WITH(draw(not_a_number, 2, 0.5f), "draw: weight 0 of 2 is nan, it must be finite and not below 0");
    Random random(1);
    CHECK(permutation(random, 0).empty());
    CHECK_THROWS_WITH(permutation(random, -1), "permutation: of -1 numbers, there cannot be fewer than 0");
    CHECK_THROWS_WITH(random.uniform(NAN, 1), "Random::uniform: a number from nan to 1.000000, both must be finite");
    CHECK_THROWS_WITH(random.uniform(0, INFINITY), "Random::uniform: a number from 0.000000 to inf, both must be finite");
    CHECK(random.uniform(2, 2) == 2);
}

TEST_CASE("uniform_matrix, normal_matrix, truncated_normal_matrix: invalid ranges and standard deviations are refused") {
    Random random;
    CHECK_THROWS_WITH(
        uniform_matrix(random, 1, 2, 3, 1),
        "uniform_matrix: numbers from 3.000000 to 1.000000, both must be finite and the first not above the second");
    CHECK_THROWS(uniform_matrix(random, 1, 2, 0, NAN));
    CHECK_THROWS(uniform_matrix(random, 1, 2, 0, INFINITY));
    CHECK_THROWS(uniform_matrix(random, 1, 2, -INFINITY, 0));
    CHECK(identical(uniform_matrix(random, 1, 2, 3, 3), Matrix{{3, 3}}));
    CHECK_THROWS_WITH(normal_matrix(random, 1, 2, -1),
                      "normal_matrix: a standard deviation of -1.000000, it must be finite and at least 0");
    CHECK_THROWS_WITH(normal_matrix(random, 1, 2, NAN),
                      "normal_matrix: a standard deviation of nan, it must be finite and at least 0");
    CHECK_THROWS_WITH(truncated_normal_matrix(random, 1, 2, INFINITY),
                      "truncated_normal_matrix: a standard deviation of inf, it must be finite and at least 0");
    CHECK(std::abs(normal_matrix(random, 1, 2, 0)(0, 1)) == 0);
}

TEST_SUITE_END();
