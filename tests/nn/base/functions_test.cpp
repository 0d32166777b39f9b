#include "nn/base/functions.h"

#include <algorithm>
#include <limits>
#include <numbers>
#include <vector>

#include "nn/base/random.h"
#include "tests/test.h"

static constexpr float infinity = std::numeric_limits<float>::infinity();
static constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// The error of y in units in the last place.
static double distance_in_ulp(float y, double exact) {
    const float nearest = static_cast<float>(exact);
    if (y == nearest) return 0;  // also two infinities
    const float size = std::min(std::abs(nearest), std::numeric_limits<float>::max());
    const double ulp = static_cast<double>(size) - std::nextafter(size, -1.0f);
    return std::abs(y - exact) / ulp;
}

static double difference(float y, double exact) { return std::abs(y - exact); }

// The largest error over every 4099th of all floats.
static double worst(double distance_of(float y, double exact), float ours(float), double theirs(double)) {
    double largest = 0;
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 4099) {
        const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
        if (std::isnan(x)) continue;
        const double distance = distance_of(ours(x), theirs(x));
        largest = distance <= largest ? largest : distance;  // NaN becomes the worst
    }
    return largest;
}

static double exp_in_double(double x) { return std::exp(x); }
static double tanh_in_double(double x) { return std::tanh(x); }
static double normal_cdf_in_double(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

TEST_SUITE("functions") {
    TEST_CASE("fast_exp, fast_tanh: within two units in the last place of the standard library, over all of float") {
        CHECK(worst(distance_in_ulp, fast_exp, exp_in_double) < 1.5);
        CHECK(worst(distance_in_ulp, fast_tanh, tanh_in_double) < 2);
    }

    TEST_CASE("fast_normal_cdf: within 1e-7 of the standard library, over all of float") {
        CHECK(worst(difference, fast_normal_cdf, normal_cdf_in_double) < 1e-7);
        for (float x = -2; x < 0; x += 1e-3f)  // the tail is no difference of larger numbers
            if (std::abs(fast_normal_cdf(x) / normal_cdf_in_double(x) - 1) > 1e-6) FAIL_CHECK("at ", x);
    }

    TEST_CASE("fast_tanh: no jump where one formula takes over from the other") {
        for (const float border : {0.625f, 9.0f})
            for (float x = border - 0.01f; x < border + 0.01f; x = std::nextafter(x, infinity) + 1e-6f)
                if (distance_in_ulp(fast_tanh(x), std::tanh(static_cast<double>(x))) > 2) FAIL_CHECK("tanh at ", x);
    }

    TEST_CASE("fast_exp, fast_tanh, fast_normal_cdf: known values are exact") {
        CHECK(fast_exp(0) == 1);
        CHECK(fast_exp(-infinity) == 0);
        CHECK(fast_exp(infinity) == infinity);
        CHECK(fast_exp(std::numeric_limits<float>::lowest()) == 0);
        CHECK(fast_exp(std::numeric_limits<float>::max()) == infinity);
        CHECK(fast_tanh(0) == 0);
        CHECK(fast_tanh(infinity) == 1);
        CHECK(fast_tanh(-infinity) == -1);
        CHECK(fast_normal_cdf(0) == 0.5f);
        CHECK(fast_normal_cdf(infinity) == 1);
        CHECK(fast_normal_cdf(-infinity) == 0);
    }

    TEST_CASE("fast_exp, fast_tanh, fast_normal_cdf: NaN stays NaN") {
        CHECK(std::isnan(fast_exp(not_a_number)));
        CHECK(std::isnan(fast_tanh(not_a_number)));
        CHECK(std::isnan(fast_normal_cdf(not_a_number)));
    }

    TEST_CASE("fast_exp: gives subnormal results, and results up to the largest float") {
        // exp(-100) = 3.78e-44 is 27 times the smallest float of all, 1.4e-45
        CHECK(fast_exp(-100) == 27 * std::numeric_limits<float>::denorm_min());
        CHECK(fast_exp(-103.9f) == std::numeric_limits<float>::denorm_min());
        CHECK(fast_exp(-104) == 0);
        CHECK(fast_exp(88.72f) < infinity);
        CHECK(fast_exp(88.73f) == infinity);
    }

    TEST_CASE("sum_of, dot_of, max_of: use every element, for every length") {
        for (const int count : {0, 1, 2, 31, 32, 33, 63, 64, 65, 100}) {
            std::vector<float> x(count, 1);
            CHECK(sum_of(x.data(), count) == count);
            CHECK(max_of(x.data(), count) == (count == 0 ? -infinity : 1));
            for (int k = 0; k < count; ++k) {
                x[k] = 5;
                CHECK(sum_of(x.data(), count) == count + 4);
                CHECK(max_of(x.data(), count) == 5);
                CHECK(dot_of(x.data(), x.data(), count) == count + 24);  // 5 * 5 instead of 1 * 1
                x[k] = 1;
            }
        }
    }

    TEST_CASE("max_of: one NaN at any position makes it NaN") {
        for (const int count : {1, 2, 31, 32, 33, 64, 100}) {
            std::vector<float> x(count, 1);
            for (int k = 0; k < count; ++k) {
                x[k] = not_a_number;
                CHECK(std::isnan(max_of(x.data(), count)));
                x[k] = 1;
            }
        }
    }

    TEST_CASE("sum_in_double, dot_in_double: use every element, and keep the 1 beside 2^24 that a sum in float drops") {
        for (const int count : {0, 1, 2, 31, 32, 33, 63, 64, 65, 100}) {
            std::vector<float> x(count, 1);
            for (int k = 0; k < count; ++k) {
                x[k] = 5;
                CHECK(sum_in_double(x.data(), count) == count + 4);
                CHECK(dot_in_double(x.data(), x.data(), count) == count + 24);
                x[k] = 1;
            }
        }
        const std::vector<float> x{16777216, 1, -16777216};
        CHECK(sum_in_double(x.data(), 3) == 1);
        CHECK(sum_of(x.data(), 3) == 0);
        const std::vector<float> ones(3, 1);
        CHECK(dot_in_double(x.data(), ones.data(), 3) == 1);
        CHECK(dot_of(x.data(), ones.data(), 3) == 0);
    }

    TEST_CASE("exp_of: writes exp(x - shift) and returns the sum, also in place") {
        Random random(3);
        for (const int count : {1, 31, 32, 33, 100}) {
            std::vector<float> x(count), y(count);
            for (float& number : x) number = random.normal();
            const float sum = exp_of(x.data(), 0.5f, y.data(), count);
            double expected = 0;
            for (int k = 0; k < count; ++k) {
                CHECK(y[k] == Approx(std::exp(x[k] - 0.5f)).epsilon(1e-6));
                expected += y[k];
            }
            CHECK(sum == Approx(expected).epsilon(1e-6));
            CHECK(exp_of(x.data(), 0.5f, x.data(), count) == sum);
            CHECK(x == y);
        }
    }
}
