#include "nn/base/matmul.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/base/parallel.h"
#include "nn/base/random.h"
#include "tests/test.h"

namespace {
// A product (m, k)(k, n) in a given form, on views inside larger matrices.
struct Product {
    Matrix a_around, b_around, c_around;
    Slice a, b;
    OutSlice c;
};

enum class Form { plain, b_transposed, a_transposed, both_transposed };
}  // namespace
static const std::vector<Form> forms{Form::plain, Form::b_transposed, Form::a_transposed, Form::both_transposed};

// `margin` numbers around each view; c begins with random numbers, to which the product is added.
static Product make_product(int m, int k, int n, Form form, int margin) {
    const bool a_transposed = form == Form::a_transposed || form == Form::both_transposed;
    const bool b_transposed = form == Form::b_transposed || form == Form::both_transposed;
    const int a_rows = a_transposed ? k : m, a_cols = a_transposed ? m : k;
    const int b_rows = b_transposed ? n : k, b_cols = b_transposed ? k : n;
    Random random(m + 100 * k + 10000 * n);
    Product p;
    p.a_around = normal_matrix(random, a_rows + 2 * margin, a_cols + 2 * margin);
    p.b_around = normal_matrix(random, b_rows + 2 * margin, b_cols + 2 * margin);
    p.c_around = normal_matrix(random, m + 2 * margin, n + 2 * margin);
    const Matrix &a_read = p.a_around, &b_read = p.b_around;
    const Slice a = part(a_read, margin, a_rows, margin, a_cols), b = part(b_read, margin, b_rows, margin, b_cols);
    p.a = a_transposed ? transposed(a) : a;
    p.b = b_transposed ? transposed(b) : b;
    p.c = part(p.c_around, margin, m, margin, n);
    return p;
}

// Compares the product with the textbook's, and checks that numbers around c are unchanged. The tolerance is a few roundings of
// the sum of absolute values; a missing or duplicate product would be thousands of times as large.
static bool agrees_with_textbook(int m, int k, int n, Form form, int margin) {
    Product p = make_product(m, k, n, form, margin);
    const Matrix before = p.c_around;
    multiply_add(p.c, p.a, p.b);
    for (int i = 0; i < before.rows; ++i)
        for (int j = 0; j < before.cols; ++j) {
            const int row = i - margin, col = j - margin;
            double expected = before(i, j), size = std::abs(expected);
            if (row >= 0 && row < m && col >= 0 && col < n) {
                for (int q = 0; q < k; ++q) {
                    const double product = static_cast<double>(p.a(row, q)) * p.b(q, col);
                    expected += product;
                    size += std::abs(product);
                }
                if (!(std::abs(p.c_around(i, j) - expected) <= 1e-6 * size)) return false;
            } else if (p.c_around(i, j) != before(i, j)) {
                return false;
            }
        }
    return true;
}

static void check_against_textbook(int m, int k, int n) {
    for (const Form form : forms)
        for (const int margin : {0, 3}) {
            CAPTURE(m);
            CAPTURE(k);
            CAPTURE(n);
            CAPTURE(static_cast<int>(form));
            CAPTURE(margin);
            CHECK(agrees_with_textbook(m, k, n, form, margin));
        }
}

TEST_SUITE("matmul") {
    TEST_CASE("matmul: (2, 3)(3, 2) by hand") {
        const Matrix a{{1, 2, 3}, {4, 5, 6}};
        const Matrix b{{7, 10}, {8, 11}, {9, 12}};
        // 1*7 + 2*8 + 3*9 = 50,  1*10 + 2*11 + 3*12 = 68,  4*7 + 5*8 + 6*9 = 122,  4*10 + 5*11 + 6*12 = 167
        const Matrix expected{{50, 68}, {122, 167}};
        CHECK(identical(matmul(a, b), expected));
        CHECK(identical(matmul_transposed(a, transpose(b)), expected));
        CHECK(identical(transposed_matmul(transpose(a), b), expected));
    }

    TEST_CASE("multiply_add: adds to c, as the textbook loop does") {
        const Matrix a{{1, 2}}, b{{3}, {4}};
        Matrix c{{100}}, textbook{{100}};
        multiply_add(whole(c), whole(a), whole(b));
        multiply_add_textbook(whole(textbook), whole(a), whole(b));
        CHECK(c(0, 0) == 111);  // 100 + 1*3 + 2*4
        CHECK(textbook(0, 0) == 111);
    }

    TEST_CASE("multiply_add_textbook: sums in double: 1e8 + 1 - 1e8 = 1") {
        const Matrix a{{1e8f, 1, -1e8f}}, ones(3, 1, 1);
        Matrix c(1, 1);
        multiply_add_textbook(whole(c), whole(a), whole(ones));
        CHECK(c(0, 0) == 1);
    }

    // The largest error of (rows, K)(K, 64) normal draws, in units in the last place of the norm of a row, sqrt(K).
    static double worst_error(int rows, int K, bool transposed_b) {
        const int N = 64;
        Random random(K + rows);
        const Matrix a = normal_matrix(random, rows, K), b = normal_matrix(random, K, N);
        const Matrix c = transposed_b ? matmul_transposed(a, transpose(b)) : matmul(a, b);
        double worst = 0;
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < N; ++j) {
                double exact = 0;
                for (int k = 0; k < K; ++k) exact += static_cast<double>(a(i, k)) * b(k, j);
                worst = std::max(worst, std::abs(c(i, j) - exact));
            }
        return worst / (std::sqrt(K) * 0x1p-24);
    }

    // A single chain of additions errs by some 20 at K = 64 and 80 at K = 1024.
    TEST_CASE("matmul: rounding does not grow with K: the worst of 2048 sums errs by less than 24 units in the last place") {
        for (const int K : {48, 64, 65, 200, 1024, 4096}) {
            CAPTURE(K);
            CHECK(worst_error(32, K, false) < 24);
            CHECK(worst_error(32, K, true) < 24);
            CHECK(worst_error(1, K, false) < 12);
            CHECK(worst_error(1, K, true) < 12);
        }
        CHECK(worst_error(32, 48, false) < 10);  // three chains of 16
    }

    TEST_CASE("multiply: overwrites c, even NaN; with K = 0 the result is 0") {
        for (const int m : {1, 9, 33})
            for (const int k : {0, 1, 40, 2500})
                for (const int n : {1, 16, 70, 300})
                    for (const Form form : forms) {
                        Product p = make_product(m, k, n, form, 1);
                        Matrix c(m, n, NAN), expected(m, n);
                        multiply(whole(c), p.a, p.b);
                        multiply_add(whole(expected), p.a, p.b);
                        CAPTURE(m);
                        CAPTURE(k);
                        CAPTURE(n);
                        bool equal = true;
                        for (std::size_t x = 0; x < c.size(); ++x) equal = equal && c[x] == expected[x];
                        CHECK(equal);
                    }
    }

    TEST_CASE("matmul: equals the textbook for every small size, also size 0") {
        for (const int m : {0, 1, 2, 5, 6, 7, 13})
            for (const int k : {0, 1, 3, 8, 17})
                for (const int n : {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33}) check_against_textbook(m, k, n);
        for (const int m : {2, 4, 8, 16, 32})  // 448, 512 and 576 products: packing begins at 512
            for (const int n : {7, 8, 9}) check_against_textbook(m, 64 / m, n);
    }

    TEST_CASE("matmul: equals the textbook at the edges of tiles and slabs") {
        for (const int m : {2, 3, 4, 7, 8, 9, 15, 16, 17}) check_against_textbook(m, 18, 65);
        for (const int k : {15, 16, 17, 32, 1023, 1024, 1025, 2048, 2049}) check_against_textbook(9, k, 19);
        for (const int n : {15, 16, 17, 32, 47, 48, 49, 63, 64, 65, 129, 255, 256, 257, 511, 512, 513, 1281})
            check_against_textbook(9, 17, n);
        check_against_textbook(101, 263, 131);  // primes
        check_against_textbook(61, 257, 521);
    }

    TEST_CASE("matmul: equals the textbook where A is too large to be packed at once") {
        CHECK(agrees_with_textbook(1500, 3000, 3, Form::a_transposed, 0));
    }

    TEST_CASE("matmul: equals the textbook for narrow and wide matrices") {
        check_against_textbook(2000, 1, 1);
        check_against_textbook(1, 2000, 1);
        check_against_textbook(1, 1, 2000);
        check_against_textbook(1500, 2, 3);
        check_against_textbook(2, 1500, 3);
        check_against_textbook(2, 3, 1500);
        check_against_textbook(65, 16, 65);  // attention heads
        check_against_textbook(17, 8, 17);
    }

    TEST_CASE("matmul: a single row takes another path, with the same result") {
        for (const int k : {1, 2, 7, 8, 9, 31, 32, 33, 100, 769})
            for (const int n : {1, 63, 255, 256, 257, 1000}) check_against_textbook(1, k, n);
    }

    TEST_CASE("matmul: the result is bit-identical for any number of threads") {
        const int threads_before = thread_count();
        const std::vector<std::vector<int>> sizes{{197, 96, 300}, {61, 257, 521}, {1, 700, 1000}, {3, 500, 1400},
                                                  {3000, 40, 16}, {1040, 64, 64}, {33, 1025, 513}};
        for (const Form form : forms)
            for (const std::vector<int>& size : sizes) {
                CAPTURE(size);
                Product alone = make_product(size[0], size[1], size[2], form, 1);
                set_thread_count(1);
                multiply_add(alone.c, alone.a, alone.b);
                for (const int threads : {2, 3, 8}) {
                    Product shared = make_product(size[0], size[1], size[2], form, 1);
                    set_thread_count(threads);
                    multiply_add(shared.c, shared.a, shared.b);
                    CHECK(identical(alone.c_around, shared.c_around));
                }
            }
        set_thread_count(threads_before);
    }

    TEST_CASE("multiply: views with any steps: every second column, every third row") {
        Random random(5);
        const Matrix a_all = normal_matrix(random, 30, 40), b_all = normal_matrix(random, 60, 90);
        const Slice a{a_all.begin(), 10, 20, 3 * 40, 2}, b{b_all.begin(), 20, 30, 3 * 90, 3};
        for (const int rows : {1, 10}) {
            const Slice a_rows{a.first, rows, a.cols, a.row_step, a.col_step};
            Matrix c(rows, 30), expected(rows, 30);
            multiply_add(whole(c), a_rows, b);
            multiply_add_textbook(whole(expected), a_rows, b);
            for (std::size_t k = 0; k < c.size(); ++k) CHECK(c[k] == Approx(expected[k]).epsilon(1e-5));
        }
    }

    TEST_CASE("multiply: c may overlap a or b, which are read before c is written") {
        for (const int n : {2, 40}) {
            Random random(n);
            const Matrix start = normal_matrix(random, n, n), other = normal_matrix(random, n, n);
            Matrix expected = start;
            multiply_add(whole(expected), whole(start), whole(other));
            Matrix a = start;
            multiply_add(whole(a), whole(static_cast<const Matrix&>(a)), whole(other));
            CHECK(identical(a, expected));
            Matrix expected_of_b = start;
            multiply_add(whole(expected_of_b), whole(other), whole(start));
            Matrix b = start;
            multiply_add(whole(b), whole(other), whole(static_cast<const Matrix&>(b)));
            CHECK(identical(b, expected_of_b));
            Matrix squared = start, square = start;
            multiply_add(whole(square), whole(start), transposed(whole(start)));
            multiply_add(whole(squared), whole(static_cast<const Matrix&>(squared)),
                         transposed(whole(static_cast<const Matrix&>(squared))));
            CHECK(identical(squared, square));
            Matrix outer = start, outer_product = start;  // column 0 times row 0
            multiply_add(whole(outer_product), part(start, 0, n, 0, 1), part(start, 0, 1, 0, n));
            const Matrix& read = outer;
            multiply_add(whole(outer), part(read, 0, n, 0, 1), part(read, 0, 1, 0, n));
            CHECK(identical(outer, outer_product));
        }
    }

    TEST_CASE("matmul: infinities and NaN propagate to the result") {
        for (const int n : {3, 70}) {
            const Matrix a(n, n, 1);
            Matrix b(n, n, 1);
            b(1, 1) = INFINITY;
            b(2, 2) = NAN;
            const Matrix c = matmul(a, b);
            CHECK(c(0, 0) == static_cast<float>(n));
            CHECK(c(0, 1) == INFINITY);
            CHECK(std::isnan(c(n - 1, 2)));
        }
    }

    TEST_CASE("matmul: a wrong shape is refused with the caller's line and both shapes") {
        const Matrix a(2, 3), b(2, 4);
        Matrix c(2, 4);
        CHECK(without_place(error_of([&] { matmul(a, b); })) == "matmul: (2, 3) times (2, 4), the inner sizes differ");
        CHECK(error_of([&] { matmul(a, b); }).find("matmul_test.cpp:") != std::string::npos);
        CHECK(without_place(error_of([&] { matmul_transposed(a, b); })) == "matmul: (2, 3) times (4, 2), the inner sizes differ");
        CHECK(without_place(error_of([&] { transposed_matmul(b, Matrix(3, 3)); })) ==
              "matmul: (4, 2) times (3, 3), the inner sizes differ");
        CHECK(without_place(error_of([&] { multiply_add(whole(c), whole(a), whole(Matrix(3, 5))); })) ==
              "matmul: the product of (2, 3) and (3, 5) does not fit into (2, 4)");
    }

    TEST_CASE("part: a range outside the matrix is refused with its rows and columns") {
        const Matrix m(4, 5);
        CHECK(part(m, 4, 0, 5, 0).rows == 0);
        CHECK_THROWS_WITH(part(m, 3, 2, 0, 5), "part: rows 3 to 5, columns 0 to 5 of a (4, 5) matrix");
        CHECK_THROWS_WITH(part(m, 0, 4, -1, 2), "part: rows 0 to 4, columns -1 to 1 of a (4, 5) matrix");
    }
}
