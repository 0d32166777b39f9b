#include "nn/autograd/small_matrix.h"

#include <bit>
#include <cmath>
#include <limits>

#include "nn/base/matmul.h"
#include "nn/base/parallel.h"
#include "nn/base/random.h"
#include "tests/test.h"

static constexpr float infinity = std::numeric_limits<float>::infinity();
static constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

static float rounded_to_bfloat16(float x) { return from_bfloat16(to_bfloat16(x)); }

// The largest |a - b| over the bound of each element.
static double worst_share(const Matrix& a, const Matrix& b, const Matrix& bound) {
    double worst = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        const double share = std::abs(static_cast<double>(a[k]) - b[k]) / bound[k];
        worst = share <= worst ? worst : share;  // NaN becomes the worst
    }
    return worst;
}

// sum over k of |x(i, k) w(j, k)|: rounding errors of a product are a small part of it.
static Matrix sizes_of_products(const Matrix& x, const Matrix& w) {
    Matrix sizes(x.rows, w.rows, 1e-30f);
    for (int i = 0; i < x.rows; ++i)
        for (int j = 0; j < w.rows; ++j)
            for (int k = 0; k < w.cols; ++k) sizes(i, j) += std::abs(x(i, k) * w(j, k));
    return sizes;
}

TEST_SUITE("small_matrix") {
    TEST_CASE("to_bfloat16: keeps 8 significant bits, rounded to nearest, ties to even") {
        CHECK(to_bfloat16(1) == 0x3f80);
        CHECK(to_bfloat16(-2) == 0xc000);
        // by hand: between 1 and 2 the neighbours are 1/128 apart
        CHECK(rounded_to_bfloat16(1 + 1 / 128.0f) == 1 + 1 / 128.0f);   // itself one of them
        CHECK(rounded_to_bfloat16(1 + 1 / 256.0f) == 1);                // half-way: 0 is even
        CHECK(rounded_to_bfloat16(1 + 3 / 256.0f) == 1 + 2 / 128.0f);   // half-way between 1/128 and 2/128: 2 is even
        CHECK(rounded_to_bfloat16(1 + 5 / 1024.0f) == 1 + 1 / 128.0f);  // 5/8 of the distance: up; cutting off would give 1
        CHECK(rounded_to_bfloat16(2 - 1 / 512.0f) == 2);                // up to the next power of two
        CHECK(std::signbit(rounded_to_bfloat16(-0.0f)));
    }

    TEST_CASE("to_bfloat16: of all bfloat16 numbers the nearest, for floats of every exponent") {
        Random random(3);
        for (int exponent = 1; exponent < 254; ++exponent)
            for (int n = 0; n < 20; ++n) {
                const std::uint32_t bits = static_cast<std::uint32_t>(exponent) << 23 | random.below(1 << 23);
                const float x = std::bit_cast<float>(bits);
                const float below = from_bfloat16(static_cast<std::uint16_t>(bits >> 16));
                const float above = from_bfloat16(static_cast<std::uint16_t>((bits >> 16) + 1));
                const double nearest = std::min(static_cast<double>(x) - below, static_cast<double>(above) - x);
                const double distance = std::abs(static_cast<double>(rounded_to_bfloat16(x)) - x);
                if (distance > nearest || distance > x / 256.0) FAIL_CHECK(x, " became ", rounded_to_bfloat16(x));
                if (rounded_to_bfloat16(-x) != -rounded_to_bfloat16(x)) FAIL_CHECK("the sign of ", x, " changes its rounding");
            }
    }

    TEST_CASE("to_int8_rows: a block by hand") {
        // by hand: the largest is 2.54, so scale = 2.54 / 127 = 0.02 and q = x / 0.02
        const Int8Rows small = to_int8_rows(Matrix{{2.54f, -1, 0.031f, 0.009f, 0}});
        REQUIRE(small.scales.size() == 1);
        REQUIRE(small.numbers.size() == 32);
        CHECK(small.scales[0] == Approx(0.02));
        CHECK(small.numbers[0] == 127);
        CHECK(small.numbers[1] == -50);
        CHECK(small.numbers[2] == 2);  // 1.55
        CHECK(small.numbers[3] == 0);  // 0.45
        CHECK(small.numbers[4] == 0);
        CHECK(small.numbers[5] == 0);  // padding
        const Matrix back = restored(small);
        CHECK(back.cols == 5);
        CHECK(back(0, 1) == Approx(-1));
        CHECK(back(0, 2) == Approx(0.04));
    }

    TEST_CASE("to_int8_rows: each block of 32 numbers of a row has its own scale") {
        Matrix w(2, 70);  // blocks of 32, 32 and 6
        w(0, 31) = 127;
        w(0, 32) = 12.7f;
        w(0, 69) = -1.27f;
        w(1, 0) = 254;
        const Int8Rows small = to_int8_rows(w);
        REQUIRE(small.scales.size() == 6);
        const std::vector<float> expected{1, 0.1f, 0.01f, 2, 0, 0};
        for (int b = 0; b < 6; ++b) CHECK(small.scales[b] == Approx(expected[b]));
        CHECK(identical(restored(to_int8_rows(Matrix(3, 40))), Matrix(3, 40)));  // zeros stay zeros
        CHECK(identical(restored(to_int8_rows(Matrix{{1e-40f, -1e-37f}})), Matrix(1, 2)));
    }

    TEST_CASE("restored: bfloat16 is within half a unit in the last place, int8 within half a scale") {
        Random random(5);
        const Matrix w = normal_matrix(random, 40, 100, 3);
        Matrix half_unit(40, 100), half_scale(40, 100);
        for (int j = 0; j < 40; ++j)
            for (int k = 0; k < 100; ++k) {
                half_unit(j, k) = std::ldexp(1.0f, std::ilogb(w(j, k)) - 8);
                float largest = 0;
                for (int q = k / 32 * 32; q < std::min(k / 32 * 32 + 32, 100); ++q)
                    largest = std::max(largest, std::abs(w(j, q)));
                half_scale(j, k) = largest / 254;
            }
        CHECK(worst_share(restored(to_bfloat16_rows(w)), w, half_unit) <= 1);
        CHECK(worst_share(restored(to_int8_rows(w)), w, half_scale) <= 1 + 1e-5);
        // What is stored exactly is restored exactly.
        CHECK(identical(restored(to_bfloat16_rows(restored(to_bfloat16_rows(w)))), restored(to_bfloat16_rows(w))));
    }

    TEST_CASE("bytes_of: 2 bytes a number, or 1 and 4 for each 32") {
        CHECK(bytes_of(to_bfloat16_rows(Matrix(3, 64))) == 3 * 64 * 2);
        CHECK(bytes_of(to_int8_rows(Matrix(3, 64))) == 3 * (64 + 2 * 4));
        CHECK(bytes_of(to_int8_rows(Matrix(3, 65))) == 3 * (96 + 3 * 4));
    }

    TEST_CASE("matmul_transposed: by hand") {
        const Matrix x{{1, 2}, {-1, 0.5f}}, w{{127, 0}, {0, -127}, {127, 127}};  // scale 1
        const Matrix expected{{127, -254, 381}, {-127, -63.5f, -63.5f}};
        CHECK(identical(matmul_transposed(x, to_int8_rows(w)), expected));
        CHECK(identical(matmul_transposed(x, to_bfloat16_rows(w)), expected));
    }

    TEST_CASE("matmul_transposed: equals its specification for widths with and without padding, and for many outputs") {
        Random random(7);
        for (const int rows : {1, 2, 5})
            for (const int outputs : {1, 7, 8, 9, 129, 3000})
                for (const int width : {1, 31, 32, 33, 96, 200}) {
                    const Matrix x = normal_matrix(random, rows, width), w = normal_matrix(random, outputs, width, 0.1f);
                    const Bfloat16Rows bf16 = to_bfloat16_rows(w);
                    const Int8Rows int8 = to_int8_rows(w);
                    const Matrix sizes = sizes_of_products(x, w);
                    INFO(rows, " x ", width, " x ", outputs);
                    CHECK(worst_share(matmul_transposed(x, bf16), matmul_transposed_textbook(x, bf16), sizes) < 1e-6);
                    CHECK(worst_share(matmul_transposed(x, int8), matmul_transposed_textbook(x, int8), sizes) < 1e-6);
                }
        CHECK(matmul_transposed(Matrix(2, 3), to_int8_rows(Matrix(0, 3))).cols == 0);
        CHECK(identical(matmul_transposed(Matrix(2, 0), to_bfloat16_rows(Matrix(3, 0))), Matrix(2, 3)));
    }

    TEST_CASE("matmul_transposed: the same bits with one thread and with several") {
        Random random(8);
        const Matrix x = normal_matrix(random, 1, 768), w = normal_matrix(random, 1000, 768);
        const Bfloat16Rows bf16 = to_bfloat16_rows(w);
        const Int8Rows int8 = to_int8_rows(w);
        const int before = thread_count();
        set_thread_count(1);
        const Matrix y_bf16 = matmul_transposed(x, bf16), y_int8 = matmul_transposed(x, int8);
        set_thread_count(3);
        CHECK(identical(matmul_transposed(x, bf16), y_bf16));
        CHECK(identical(matmul_transposed(x, int8), y_int8));
        set_thread_count(before);
    }

    TEST_CASE("to_bfloat16_rows, to_int8_rows: NaN and infinity are refused with row and column") {
        CHECK_THROWS_WITH(to_bfloat16_rows(Matrix{{1, 2}, {3, not_a_number}}),
                          "to_bfloat16_rows: nan in row 1, column 1 of (2, 2) is not a finite number of bfloat16");
        CHECK_THROWS_WITH(to_int8_rows(Matrix{{1, -infinity}}), "to_int8_rows: -inf in row 0, column 1 of (1, 2) is not finite");
        CHECK(error_of([] { to_int8_rows(Matrix{{not_a_number}}); }).starts_with("to_int8_rows: nan in row 0"));
        CHECK(error_of([] { to_bfloat16_rows(Matrix{{infinity}}); }).starts_with("to_bfloat16_rows: inf"));
        // The largest float would round up to infinity; the largest bfloat16 is just below.
        CHECK(error_of([] { to_bfloat16_rows(Matrix{{std::numeric_limits<float>::max()}}); }).starts_with("to_bfloat16_rows: "));
        CHECK_NOTHROW(to_bfloat16_rows(Matrix{{3.38e38f}}));
    }

    TEST_CASE("matmul_transposed: different widths are refused with the caller's line") {
        CHECK(without_place(error_of([] { matmul_transposed(Matrix(1, 3), to_int8_rows(Matrix(2, 4))); })) ==
              "matmul_transposed: (1, 3) times the transpose of a small (2, 4), the widths differ");
    }
    TEST_CASE("restored, matmul_transposed: small rows whose members do not belong together are refused") {
        const Matrix x(1, 3, 1);
        const std::string cure = "; to_bfloat16_rows and to_int8_rows make them, leave their members alone";
        CHECK(error_of([&] {
                  restored(Int8Rows{2, 3, {}, {}});
              }) == "restored: a small (2, 3) holds 0 numbers and 0 scales" + cure);
        CHECK(error_of([&] {
                  restored(Bfloat16Rows{2, 3, {}});
              }) == "restored: a small (2, 3) holds 0 numbers and 0 scales" + cure);
        CHECK(error_of([&] {
                  matmul_transposed(x, Bfloat16Rows{1, 3, {}});
              }).find("a small (1, 3) holds 0 numbers") != std::string::npos);
        Int8Rows cut = to_int8_rows(Matrix(2, 3, 1));
        cut.scales.pop_back();
        CHECK(error_of([&] { matmul_transposed(x, cut); }) ==
              "matmul_transposed: a small (2, 3) holds 64 numbers and 1 scales" + cure);
        CHECK(error_of([&] { restored(Bfloat16Rows{-1, 3, {}}); }).find("a small (-1, 3) holds 0 numbers") != std::string::npos);
        CHECK(restored(Int8Rows{}).empty());
    }
}
