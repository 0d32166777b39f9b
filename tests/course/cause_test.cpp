#include "course/cause/cause.h"

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "course/cause/compared.h"
#include "course/cause/known.h"
#include "course/cause/others.h"
#include "course/cause/places.h"
#include "course/cause/softmax.h"
#include "course/cause/values.h"
#include "nn/base/random.h"
#include "nn/data/safetensors.h"
#include "nn/layers/activation.h"
#include "nn/layers/attention.h"
#include "nn/layers/norm.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("cause");

static Matrix changed(Matrix m, const std::function<float(float)>& f) {
    for (float& x : m) x = f(x);
    return m;
}

static Matrix some(int rows, int cols, std::uint64_t seed = 1) {
    Random random(seed);
    return normal_matrix(random, rows, cols, 1);
}

TEST_CASE("cause: empty if the numbers agree or no guess fits") {
    CHECK(cause(some(6, 8), some(6, 8), {}) == "");
    CHECK(cause(some(6, 8, 1), some(6, 8, 2), {}) == "");
}

TEST_CASE("agree, fits: the limits of the tests, and of rounding; NaN agrees with nothing, infinity with itself") {
    CHECK(agree(1.0001f, 1));
    CHECK(agree(0.9999f, 1));
    CHECK_FALSE(agree(1.00013f, 1));
    CHECK(agree(1e-5f, 0));
    CHECK_FALSE(agree(2e-5f, 0));
    CHECK(agree(-3, -3));
    CHECK_FALSE(agree(3, -3));
    CHECK(agree(INFINITY, INFINITY));
    CHECK_FALSE(agree(1, INFINITY));
    CHECK_FALSE(agree(NAN, NAN));
    CHECK_FALSE(agree(NAN, 1));
    CHECK(fits(3e-6, 0));
    CHECK_FALSE(fits(4e-6, 0));
    CHECK(fits(-100.01, -100));
    CHECK_FALSE(fits(-100.02, -100));
    CHECK(fits(Matrix{{1, 2}}, Matrix{{1, 2}}));
    CHECK_FALSE(fits(Matrix{{1, 2}}, Matrix{{1, 3}}));
    CHECK_FALSE(fits(Matrix{{1, 2}}, Matrix{{1}, {2}}));
}

TEST_CASE("Compared: which elements differ, how many pairs they are, and which of them tell") {
    const Matrix ours{{1, 2, 7}, {3, 4, 7}}, expected{{1, 5, 8}, {9, 4, 8}};
    const Known known;
    const Compared c(ours, expected, known);
    CHECK(c.differing == std::vector<std::size_t>{1, 2, 3, 5});
    CHECK(c.row(5) == 1);
    CHECK(c.col(5) == 2);
    CHECK(c.distinct == 3);  // 2 5, 7 8 twice, 3 9
    CHECK(c.evidence == 3);
    // around 1 fits() allows 1.03e-4: twenty times that is 2.06e-3
    const Matrix ones{{1, 1}}, near{{1.002f, 1.0021f}};
    CHECK(Compared(near, ones, known).differing.size() == 2);
    CHECK(Compared(near, ones, known).distinct == 2);
    CHECK(Compared(near, ones, known).evidence == 1);
    CHECK(Compared(ones, Matrix{{1}, {1}}, known).differing.empty());  // another shape
    const Matrix equal{{1, 1, 1}}, different{{2, 3, 4}};
    CHECK(Compared(equal, different, known).evidence == 1);
    CHECK(Compared(different, equal, known).evidence == 1);
}

TEST_CASE("named_factor: plain factors, expressions of sizes, small fractions") {
    for (const auto& [factor, words] : std::vector<std::pair<double, std::string>>{{-1, "-1, the sign"},
                                                                                   {2, "2, twice"},
                                                                                   {0.5, "0.5, half"},
                                                                                   {-2, "-2, minus twice"},
                                                                                   {-0.5, "-0.5, minus half"},
                                                                                   {4, "4, four times"},
                                                                                   {0.25, "0.25, a quarter"},
                                                                                   {3, "3, a whole number"},
                                                                                   {12, "12, a whole number"},
                                                                                   {13, ""},
                                                                                   {1, ""},
                                                                                   {2.0 / 3, "0.6667 = 2 / 3"},
                                                                                   {-1.5, "-1.5 = -3 / 2"},
                                                                                   {12.0 / 11, "1.091 = 12 / 11"},
                                                                                   {1.0 / 12, "0.08333 = 1 / 12"},
                                                                                   {1.0 / 13, ""},
                                                                                   {2 * (1 + 4e-5), "2, twice"},
                                                                                   {2 * (1 + 6e-5), ""}})
        CHECK(named_factor(factor, {}) == words);
    for (const auto& [factor, words] :
         std::vector<std::pair<double, std::string>>{{5, "5 = a"},
                                                     {-5, "-5 = -a"},
                                                     {0.2, "0.2 = 1 / a"},
                                                     {std::sqrt(5), "2.236 = sqrt(a)"},
                                                     {1 / std::sqrt(5), "0.4472 = 1 / sqrt(a)"},
                                                     {0.8, "0.8 = (a - 1) / a"},
                                                     {1.25, "1.25 = a / (a - 1)"},
                                                     {std::sqrt(0.8), "0.8944 = sqrt((a - 1) / a)"},
                                                     {std::sqrt(1.25), "1.118 = sqrt(a / (a - 1))"}})
        CHECK(named_factor(factor, {{"a", 5}}) == words + ", a = 5");
    // of small sizes only the root, of fractions no root; 1 and 0 give no name
    CHECK(named_factor(std::sqrt(3), {{"a", 3}}) == "1.732 = sqrt(a), a = 3");
    CHECK(named_factor(1 / std::sqrt(3), {{"a", 3}}) == "0.5774 = 1 / sqrt(a), a = 3");
    CHECK(named_factor(std::sqrt(2), {{"a", 2}}) == "1.414 = sqrt(a), a = 2");
    CHECK(named_factor(3, {{"a", 3}}) == "3, a whole number");
    CHECK(named_factor(0.7345, {{"a", 0.7345}}) == "0.7345 = a, a = 0.7345");
    CHECK(named_factor(1 / 0.7345, {{"a", 0.7345}}) == "1.361 = 1 / a, a = 0.7345");
    CHECK(named_factor(std::sqrt(0.7345), {{"a", 0.7345}}).empty());
    CHECK(named_factor(7, {{"a", 1}, {"b", 0}}) == "7, a whole number");
    // several sizes: each number once, three names at most
    CHECK(named_factor(6, {{"a", 6}, {"b", 6}, {"c", 36}}) == "6 = a or sqrt(c), a = 6, c = 36");
    CHECK(named_factor(1.2, {{"a", 6}, {"b", 1.2}, {"c", 1 / 1.2}, {"d", 1.20001}}) ==
          "1.2 = a / (a - 1) or b or 1 / c, a = 6, b = 1.2, c = 0.8333");
    CHECK(named_factor(2, {}, 0) == "2, twice");
    CHECK(named_factor(3, {}, 0) == "3, a whole number");
    CHECK(named_factor(12.0004, {}) == "12, a whole number");
    CHECK(named_factor(12.001, {}) == "");
    CHECK(named_factor(-100.004, {{"a", 100}}) == "-100 = -a, a = 100");
    CHECK(named_factor(0.0101, {{"a", 100}}) == "");
    CHECK(named_factor(7, {{"a", -7}, {"b", -0.5}}) == "7, a whole number");
    CHECK(factor_text(13, {}) == "13");
    CHECK(factor_text(2, {}) == "2, twice");
}

TEST_CASE("cause: a factor is named from the sizes: sqrt(8), the unbiased variance of 24 numbers, the sign") {
    const Matrix expected = some(6, 8);
    const Known known{.sizes = {{"head width", 8}, {"width", 24}}, .others = {}};
    CHECK(cause(changed(expected, [](float x) { return x * std::sqrt(8.0f); }), expected, known) ==
          "fits: yours = expected * 2.828 = sqrt(head width), head width = 8");
    CHECK(cause(changed(expected, [](float x) { return x * std::sqrt(23.0f / 24); }), expected, known) ==
          "fits: yours = expected * 0.9789 = sqrt((width - 1) / width), width = 24");
    const Matrix wide = some(6, 11);
    CHECK(cause(changed(wide, [](float x) { return x * 6; }), wide, {}) == "fits: yours = expected * 6 = its rows, its rows = 6");
    CHECK(cause(changed(wide, [](float x) { return x / 11; }), wide, {}) ==
          "fits: yours = expected * 0.09091 = 1 / its columns, its columns = 11");
    CHECK(cause(changed(expected, [](float x) { return -x; }), expected, known) == "fits: yours = expected * -1, the sign");
    CHECK(cause(changed(expected, [](float x) { return x * 0.7345f; }), expected, known) == "fits: yours = expected * 0.7345");
}

TEST_CASE("cause: for a single number only a named factor is reported, and no size below 5 gives a name") {
    const Known known{.sizes = {{"batch", 6}, {"heads", 3}}, .others = {}};
    CHECK(cause(Matrix{{3}}, Matrix{{0.5}}, known) == "fits: yours = expected * 6 = batch, batch = 6");
    CHECK(cause(Matrix{{1.5}}, Matrix{{0.5}}, known) == "fits: yours = expected * 3, a whole number");
    CHECK(cause(Matrix{{1}}, Matrix{{1.5}}, known) == "fits: yours = expected * 0.6667 = 2 / 3");
    CHECK(cause(Matrix{{0.7345f}}, Matrix{{1}}, known) == "");
}

TEST_CASE("cause: functions of the expected number, and missing terms") {
    const Matrix positive = changed(some(4, 5), [](float x) { return 0.1f + x * x; });
    CHECK(cause(changed(positive, [](float x) { return std::log(x); }), positive, {}) ==
          "fits: yours is the logarithm of what is expected");
    CHECK(cause(positive, changed(positive, [](float x) { return std::log(x); }), {}) ==
          "fits: expected is the logarithm of yours: it is missing");
    const Matrix any = some(4, 5);
    CHECK(cause(any, changed(any, [](float x) { return std::tanh(x); }), {}) == "fits: expected is tanh of yours: it is missing");
    const auto loss = [](float d) { return std::log1p(std::exp(-d)); };  // -log sigmoid(d)
    CHECK(cause(changed(any, [&](float d) { return loss(-d); }), changed(any, loss), {}) ==
          "fits: yours is -log sigmoid with the sign reversed, -log(1 - exp(-x)), of what is expected");
    CHECK(cause(changed(any, [](float x) { return x + 0.25f; }), any, {}) == "fits: yours = expected + 0.25");
    const Known known{.sizes = {{"codes", 20}}, .others = {}};
    CHECK(cause(changed(any, [](float x) { return x > 0 ? x - 20 : x; }), any, known) ==
          "fits: where it differs, yours = expected - 20 = codes, codes = 20");
}

TEST_CASE("cause: each function of the expected number has its name") {
    const Matrix positive = changed(some(4, 5), [](float x) { return 0.15f + 0.4f * std::abs(x); });
    using Case = std::pair<std::string, std::function<float(float)>>;
    for (const auto& [name, f] : std::vector<Case>{{"the logarithm of", [](float x) { return std::log(x); }},
                                                   {"minus the logarithm of", [](float x) { return -std::log(x); }},
                                                   {"the square of", [](float x) { return x * x; }},
                                                   {"half the square of", [](float x) { return x * x / 2; }},
                                                   {"the reciprocal of", [](float x) { return 1 / x; }},
                                                   {"1 minus", [](float x) { return 1 - x; }},
                                                   {"exp, less 1, of", [](float x) { return std::exp(x) - 1; }},
                                                   {"tanh of", [](float x) { return std::tanh(x); }},
                                                   {"the sigmoid of", [](float x) { return 1 / (1 + std::exp(-x)); }}})
        CHECK(cause(changed(positive, f), positive, {}) == "fits: yours is " + name + " what is expected");
    // named by the inverse, which comes first
    for (const auto& [name, f] : std::vector<Case>{{"the logarithm of", [](float x) { return std::exp(x); }},
                                                   {"minus the logarithm of", [](float x) { return std::exp(-x); }},
                                                   {"the square of", [](float x) { return std::sqrt(x); }}})
        CHECK(cause(changed(positive, f), positive, {}) == "fits: expected is " + name + " yours: it is missing");
    const Matrix any = some(4, 5);
    CHECK(cause(changed(any, [](float x) { return std::abs(x); }), any, {}) ==
          "fits: yours is the absolute value of what is expected");
    CHECK(cause(changed(any, [](float x) { return x - 0.25f; }), any, {}) == "fits: yours = expected - 0.25");
    CHECK(cause(changed(any, [](float x) { return x > 0 ? 3.5f * x : x; }), any, {}) ==
          "fits: where it differs, yours = expected * 3.5 = 7 / 2");
}

TEST_CASE("cause: a relation is named only with enough rows, columns or different numbers to be more than chance") {
    const Known none;
    const auto of = [&](const Matrix& ours, const Matrix& expected) { return Compared(ours, expected, none); };
    // two pairs suffice where all of four or more numbers are wrong, else three
    CHECK(function_of_expected(of({{0, 1, 1, 0}}, {{1, 0, 0, 1}})) == "fits: yours is 1 minus what is expected");
    CHECK(function_of_expected(of({{0, 1, 1}}, {{1, 0, 0}})) == "");
    CHECK(function_of_expected(of({{0, 1, 1, 0, 5}}, {{1, 0, 0, 1, 5}})) == "");
    CHECK(function_of_expected(of({{4, 9, 16, 1}}, {{2, 3, 4, 1}})) == "fits: yours is the square of what is expected");
    CHECK(function_of_expected(of({{4, 9, 1}}, {{2, 3, 1}})) == "");
    CHECK(shifted_by_a_number(of({{2, 3, 4}}, {{1, 2, 3}})) == "fits: yours = expected + 1");
    CHECK(shifted_by_a_number(of({{2, 3}}, {{1, 2}})) == "");
    // three pairs have any factor, fewer only one with a name
    CHECK(multiple_of_expected(of({{1.37f, 2.74f, 4.11f}}, {{1, 2, 3}})) == "fits: yours = expected * 1.37");
    CHECK(multiple_of_expected(of({{1.37f, 2.74f}}, {{1, 2}})) == "");
    CHECK(multiple_of_expected(of({{2, 4}}, {{1, 2}})) == "fits: yours = expected * 2, twice");
    // lines through four rows, in two columns
    CHECK(
        stretched_columns(of({{3, 4}, {5, 6}, {7, 8}, {9, 8}}, {{1, 1}, {2, 2}, {3, 3}, {4, 3}})).starts_with("fits: in every"));
    CHECK(stretched_columns(of({{3, 4}, {5, 6}, {7, 8}}, {{1, 1}, {2, 2}, {3, 3}})) == "");
    CHECK(stretched_columns(of({{3}, {5}, {7}, {9}}, {{1}, {2}, {3}, {4}})) == "");
    CHECK(stretched_rows(of({{2, 4, 6, 8}}, {{1, 2, 3, 4}}))
              .starts_with("fits: every row that differs has its own factor, 2 to 2:"));
    CHECK(
        stretched_rows(of({{2000, 4000, 6000.1f, 8000}}, {{1000, 2000, 3000, 4000}})).starts_with("fits: every row"));  // rounded
    CHECK(stretched_rows(of({{2, 4, 6.1f, 8}}, {{1, 2, 3, 4}})) == "");
    CHECK(stretched_rows(of({{2, 4, 6}}, {{1, 2, 3}})) == "");
    CHECK(stretched_rows(of({{2, 4, 6, 2}}, {{1, 2, 3, 1}})) == "");
    CHECK(
        only_small_differences(of({{100, 100.1f, 100.1f, 100.1f}}, {{100, 100, 100, 100}})).starts_with("differs only by 0.1 %"));
    CHECK(only_small_differences(of({{100, 100.1f, 100.1f}}, {{100, 100, 100}})) == "");
    CHECK(only_small_differences(of({{100.3f, 100.3f, 100.3f}}, {{100, 100, 100}})) == "");
    const auto normalised = [](const Matrix& x) { return layer_norm(Var(x), make_layer_norm(x.cols), 1e-12f).value(); };
    const Matrix six = some(6, 4), five = some(5, 4), narrow = some(6, 3);
    CHECK(norm_forgotten(of(six, normalised(six))) == "fits: expected is the layer norm of yours: a norm is missing");
    CHECK(norm_forgotten(of(normalised(six), six)) == "fits: yours is the layer norm of what is expected: a norm too many");
    CHECK(norm_forgotten(of(five, normalised(five))) == "");
    CHECK(norm_forgotten(of(narrow, normalised(narrow))) == "");
}

TEST_CASE("cause: relations of places and to other values with the least evidence that they need, and with less") {
    const Known none;
    const auto of = [&](const Matrix& ours, const Matrix& expected) { return Compared(ours, expected, none); };
    CHECK(transposed_blocks(of({{1, 3}, {2, 4}, {5, 7}, {6, 8}}, {{1, 2}, {3, 4}, {5, 6}, {7, 8}})) ==
          "fits: every block of 2 rows is the transpose of what is expected");
    CHECK(transposed_blocks(of({{1, 3}, {2, 4}}, {{1, 2}, {3, 4}})) == "");
    const std::string rows = "fits: your rows are right but in other positions:",
                      columns = "fits: your columns are right but in other positions:";
    CHECK(rows_moved(of({{2}, {3}, {1}}, {{1}, {2}, {3}})) == rows + " the first row comes last");
    CHECK(rows_moved(of({{2}, {1}}, {{1}, {2}})) == "");
    CHECK(columns_moved(of({{2, 3, 1}, {5, 6, 4}}, {{1, 2, 3}, {4, 5, 6}})) == columns + " the first column comes last");
    CHECK(columns_moved(of({{2, 3, 1}}, {{1, 2, 3}})) == "");
    CHECK(numbers_moved(of({{2, 3, 4, 5, 6, 1}}, {{1, 2, 3, 4, 5, 6}})) ==
          "fits: each row holds the right numbers in other columns");
    CHECK(numbers_moved(of({{2, 3, 4, 5, 1}}, {{1, 2, 3, 4, 5}})) == "");
    // n rows of which the first few, or those of the list, are wrong
    const auto wrong = [&](int n, const std::vector<int>& places) {
        Matrix expected(n, 1, 1), ours = expected;
        for (const int place : places) ours(place, 0) = 2;
        return places_that_differ(of(ours, expected));
    };
    CHECK(wrong(4, {3}) == "differs only in row 3");
    CHECK(wrong(3, {2}) == "");
    CHECK(wrong(4, {0, 1}) == "differs only in rows 0, 1");
    CHECK(wrong(4, {0, 1, 2}) == "");
    CHECK(wrong(12, {0, 1, 2, 3, 4, 5}) == "differs only in rows 0, 1, 2, 3, 4, 5");
    CHECK(wrong(14, {0, 1, 2, 3, 4, 5, 6}) == "differs only in rows 0, 1, 2, 3, 4, 5 ...");
    CHECK(wrong(6, {1, 4}) == "differs only in rows 1, 4, number 1 of each group of 3");
    CHECK(wrong(6, {2, 5}) == "differs only in rows 2, 5, the last of each group of 3");
    CHECK(wrong(6, {1, 3, 5}) == "differs only in rows 1, 3, 5, the last of each group of 2");

    const auto beside = [](const Matrix& other) { return Known{.sizes = {}, .others = {{"x", other}}}; };
    Matrix whole(1, 24), fewer(1, 23);
    for (int k = 0; k < 24; ++k) whole[k] = static_cast<float>(k);
    for (int k = 0; k < 23; ++k) fewer[k] = static_cast<float>(k);
    const auto raised = [](const Matrix& m) { return changed(m, [](float x) { return x + 0.5f; }); };
    const auto equal = [&](const Matrix& m) {
        const Known known = beside(m);
        return equal_to_another(Compared(m, raised(m), known));
    };
    CHECK(equal(whole) == "fits: yours is what x should be");
    CHECK(equal(fewer) == "");
    CHECK(equal({{0.25f}}) == "fits: yours is what x should be");
    CHECK(equal({{0.25f, 1.25f}}) == "fits: yours is what x should be");
    CHECK(equal({{0.25f, 0.25f}}) == "");
    const Known two = beside({{2}}), twos = beside({{2, 2}}), three = beside({{2, 3, 4}}), pair = beside({{2, 3}});
    CHECK(forgotten_or_too_many(Compared({{1}}, {{3}}, two)) == "fits: yours = expected - x: it is missing");
    CHECK(forgotten_or_too_many(Compared({{1, 1}}, {{3, 3}}, twos)) == "");
    CHECK(forgotten_or_too_many(Compared({{1, 2}}, {{3, 4}}, twos)) == "fits: yours = expected - x: it is missing");
    CHECK(factor_forgotten(Compared({{1, 2, 3}}, {{2, 6, 12}}, three)) == "fits: expected = yours * x: a factor is missing");
    CHECK(factor_forgotten(Compared({{2, 6, 12}}, {{1, 2, 3}}, three)) == "fits: yours = expected * x: a factor too many");
    CHECK(factor_forgotten(Compared({{1, 2}}, {{2, 6}}, pair)) == "");
    CHECK(other_mean_or_sum(Compared({{9}}, {{1}}, three)) == "fits: yours is the sum of all of x");
    CHECK(other_mean_or_sum(Compared({{2}}, {{1}}, two)) == "");  // a single number is not summed
    const Known nothing = beside({{1, -1}});
    CHECK(other_mean_or_sum(Compared({{0}}, {{1}}, nothing)) == "");
}

TEST_CASE("cause: the wrong form of GELU is recognised through its input") {
    const Var x(some(8, 12));
    const Matrix erf = activate(x, Activation::gelu).value(), form = activate(x, Activation::gelu_tanh).value();
    CHECK(cause(form, erf, {}) == "fits: yours is GELU (tanh form) where GELU (erf) is expected");
    CHECK(cause(erf, form, {}) == "fits: yours is GELU (erf) where GELU (tanh form) is expected");
    CHECK(cause(activate(x, Activation::silu).value(), erf, {}) == "fits: yours is SiLU where GELU (erf) is expected");
}

// --- attention weights ---

// A = softmax(factor q k^T), three stacked heads of six tokens; hidden(i, j) is the mask
static Matrix weights_of(float factor, bool turned, bool (*hidden)(int, int)) {
    Matrix A(18, 6);
    for (int head = 0; head < 3; ++head) {
        const Matrix q = some(6, 4, 10 + head), k = some(6, 4, 20 + head);
        for (int i = 0; i < 6; ++i) {
            double total = 0;
            for (int j = 0; j < 6; ++j) {
                double score = 0;
                for (int c = 0; c < 4; ++c) score += turned ? k(i, c) * q(j, c) : q(i, c) * k(j, c);
                A(head * 6 + i, j) = hidden(i, j) ? 0 : static_cast<float>(std::exp(factor * score));
                total += A(head * 6 + i, j);
            }
            for (int j = 0; j < 6; ++j) A(head * 6 + i, j) = static_cast<float>(A(head * 6 + i, j) / total);
        }
    }
    return A;
}
static bool nothing_hidden(int, int) { return false; }
static bool future(int i, int j) { return j > i; }
static bool beyond_the_next(int i, int j) { return j > i + 1; }
static bool past(int i, int j) { return j < i; }
static bool last_two(int, int j) { return j >= 4; }

TEST_CASE("cause: attention weights: scaled scores, exchanged queries and keys, the wrong axis") {
    const Known known{.sizes = {{"head width", 4}}, .others = {}};
    const Matrix right = weights_of(0.5f, false, nothing_hidden);
    CHECK(cause(weights_of(1, false, nothing_hidden), right, known) ==
          "fits: your weights are those of scores multiplied by 2, twice");
    CHECK(cause(weights_of(0.5f, true, nothing_hidden), right, known) ==
          "fits: your weights are those of the transposed scores: queries and keys are exchanged");
    Matrix by_column(18, 6);
    for (int head = 0; head < 3; ++head)
        for (int j = 0; j < 6; ++j) {
            double total = 0;
            const Matrix q = some(6, 4, 10 + head), k = some(6, 4, 20 + head);
            for (int round = 0; round < 2; ++round)
                for (int i = 0; i < 6; ++i) {
                    double score = 0;
                    for (int c = 0; c < 4; ++c) score += q(i, c) * k(j, c);
                    if (round == 0)
                        total += std::exp(0.5 * score);
                    else
                        by_column(head * 6 + i, j) = static_cast<float>(std::exp(0.5 * score) / total);
                }
        }
    CHECK(cause(by_column, right, known) == "fits: your columns sum to 1, not your rows: softmax over the wrong axis");
    CHECK(cause(Matrix(18, 6, 1.0f / 6), right, known) ==
          "fits: in each row all of your weights are equal, as if every score were the same");
}

TEST_CASE("cause: attention weights: a mask that is missing, off by one, or applied after softmax") {
    const Matrix causal_weights = weights_of(0.5f, false, future);
    CHECK(
        cause(weights_of(0.5f, false, nothing_hidden), causal_weights, {}) ==
        "fits: you attend to positions that the mask excludes, above the diagonal: the future; the scores themselves are right");
    CHECK(cause(weights_of(0.5f, false, beyond_the_next), causal_weights, {}).find("a causal mask off by one") !=
          std::string::npos);
    CHECK(cause(causal_weights, weights_of(0.5f, false, nothing_hidden), {}) ==
          "fits: you exclude positions that may be attended to, above the diagonal: the future; the scores themselves are right");
    CHECK(cause(weights_of(0.5f, false, past), causal_weights, {}) ==
          "fits: your mask is the other way round: you attend where expected is 0, and not where it is not");
    Matrix too_late = weights_of(0.5f, false, nothing_hidden);
    for (int i = 0; i < 18; ++i)
        for (int j = 0; j < 6; ++j)
            if (last_two(i, j)) too_late(i, j) = 0;
    CHECK(cause(too_late, weights_of(0.5f, false, last_two), {}).find("after the softmax instead of scores before it") !=
          std::string::npos);
}

static bool itself(int i, int j) { return i == j; }
static bool first_key(int i, int j) { return j == 0 && i > 0; }

TEST_CASE("cause: attention weights: the region in which the masks differ is named where it has a name") {
    const Matrix all = weights_of(0.5f, false, nothing_hidden);
    const std::string end = "; the scores themselves are right", more = "fits: you attend to positions that the mask excludes",
                      fewer = "fits: you exclude positions that may be attended to";
    CHECK(cause(all, weights_of(0.5f, false, itself), {}) == more + ", on the diagonal: each token and itself" + end);
    CHECK(cause(weights_of(0.5f, false, itself), all, {}) == fewer + ", on the diagonal: each token and itself" + end);
    CHECK(cause(all, weights_of(0.5f, false, past), {}) == more + ", below the diagonal: the past" + end);
    CHECK(cause(weights_of(0.5f, false, past), all, {}) == fewer + ", below the diagonal: the past" + end);
    CHECK(cause(weights_of(0.5f, false, first_key), all, {}) == fewer + end);
    CHECK(cause(weights_of(0.5f, false, beyond_the_next), weights_of(0.5f, false, future), {}) ==
          more + ", right above the diagonal: each token and the next one, a causal mask off by one" + end);
    CHECK(cause(weights_of(0.5f, false, first_key), weights_of(0.5f, false, future), {}) ==
          more + ", above the diagonal: the future; you exclude positions that may be attended to" + end);
}

TEST_CASE("cause: attention weights: what is no distribution, or no whole number of square blocks, is not explained by scores") {
    const Matrix right = weights_of(0.5f, false, nothing_hidden), turned = weights_of(0.5f, true, nothing_hidden);
    const auto twice = [](float x) { return 2 * x; };
    CHECK(cause(changed(turned, twice), right, {}).find("queries and keys are exchanged") == std::string::npos);
    CHECK(cause(changed(weights_of(0.5f, false, past), twice), weights_of(0.5f, false, future), {}).find("other way round") ==
          std::string::npos);
    CHECK(cause(changed(right, twice), weights_of(0.5f, false, future), {}).find("the mask excludes") == std::string::npos);
    const auto first_rows = [](const Matrix& m, int rows) {
        Matrix result(rows, m.cols);
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < m.cols; ++j) result(i, j) = m(i, j);
        return result;
    };
    CHECK(cause(first_rows(turned, 8), first_rows(right, 8), {}) == "");
    CHECK(cause(first_rows(turned, 12), first_rows(right, 12), {}) ==
          "fits: your weights are those of the transposed scores: queries and keys are exchanged");
    // other keys are open, in rows that are not square: a mask without a name
    CHECK(cause(first_rows(right, 8), first_rows(weights_of(0.5f, false, future), 8), {}) ==
          "fits: you attend to positions that the mask excludes; the scores themselves are right");
    // scores multiplied by the root of the head width, by a number without a name, and by one that differs from row to row
    const Known known{.sizes = {{"head width", 8}}, .others = {}};
    CHECK(cause(weights_of(0.5f * std::sqrt(8.0f), false, future), weights_of(0.5f, false, future), known) ==
          "fits: your weights are those of scores multiplied by 2.828 = sqrt(head width), head width = 8");
    CHECK(cause(weights_of(0.43f, false, nothing_hidden), right, known) ==
          "fits: your weights are those of scores multiplied by 0.86");
    Matrix mixed = right;
    const Matrix other = weights_of(1, false, nothing_hidden);
    for (int j = 0; j < 6; ++j) mixed(3, j) = other(3, j), mixed(9, j) = weights_of(0.25f, false, nothing_hidden)(9, j);
    CHECK_FALSE(cause(mixed, right, known).starts_with("fits: your weights are those of scores"));
    // A row alone in its column says nothing of the others, which are related by one number only; two are asked for.
    const Matrix columns{{1, 0, 0}, {0, 0.4f, 0.7f}, {0, 0.6f, 0.3f}},
        rows{{1, 0, 0}, {0, 0.4f / 1.1f, 0.7f / 1.1f}, {0, 0.6f / 0.9f, 0.3f / 0.9f}};
    CHECK(softmax_over_columns(Compared(columns, rows, known)) == "");
    // one row of different weights is enough to say that not all are equal
    Matrix equal(18, 6, 1.0f / 6);
    equal(17, 0) = 0.5f, equal(17, 1) = 0.5f - 4.0f / 6;
    CHECK_FALSE(cause(equal, right, known).starts_with("fits: in each row all of your weights are equal"));
}

// --- other steps ---

TEST_CASE("cause: another step, a missing one, one too many, a missing gain") {
    const Matrix a = some(6, 8, 1), b = some(6, 8, 2), bias = some(1, 8, 3), table = some(3, 8, 4);
    const auto sum = [](const Matrix& x, const Matrix& y) {
        Matrix result = x;
        for (int i = 0; i < x.rows; ++i)
            for (int j = 0; j < x.cols; ++j) result(i, j) += y(i % y.rows, j);
        return result;
    };
    const Known known{.sizes = {}, .others = {{"bias", bias}, {"layer.0.output", b}, {"positions", table}}};
    CHECK(cause(b, a, known) == "fits: yours is what layer.0.output should be");
    CHECK(cause(a, sum(a, b), known) == "fits: yours = expected - layer.0.output: it is missing");
    CHECK(cause(sum(a, b), a, known) == "fits: yours = expected + layer.0.output: one too many");
    CHECK(cause(a, sum(a, bias), known) == "fits: yours = expected - bias in every row: it is missing");
    CHECK(cause(a, sum(a, table), known) == "fits: yours = expected - positions, repeated: it is missing");
    const Matrix long_table = some(5, 8, 4);  // more positions than a sequence of 3 needs: its first three rows are `table`
    CHECK(cause(a, sum(a, table), {.sizes = {}, .others = {{"positions", long_table}}}) ==
          "fits: yours = expected - the first 3 rows of positions, repeated: it is missing");
    Matrix times_bias = a;
    for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 8; ++j) times_bias(i, j) *= bias(0, j);
    CHECK(cause(a, times_bias, known) == "fits: expected = yours * bias: a factor is missing");
    CHECK(cause(Matrix{{0.4f}}, Matrix{{0.9f}}, {.sizes = {}, .others = {{"losses", Matrix{{0.1f, 0.3f, 0.8f}}}}}) ==
          "fits: yours is the mean of all of losses");
}

// --- norms ---

TEST_CASE("cause: norms: another variance, eps at another position, no norm") {
    const int D = 12;
    const Matrix x = some(10, D, 5);
    Norm w = make_layer_norm(D);
    w.gain = parameter(changed(some(1, D, 6), [](float g) { return 1 + 0.1f * g; }));
    w.bias = parameter(some(1, D, 7));
    const Matrix right = layer_norm(Var(x), w, 1e-5f).value();
    Matrix other_spread = right, other_eps = right;
    for (int i = 0; i < 10; ++i)
        for (int j = 0; j < D; ++j) {
            const float b = w.bias.value()(0, j);
            other_spread(i, j) = (right(i, j) - b) * std::sqrt(11.0f / 12) + b;
            other_eps(i, j) = (right(i, j) - b) * (1 + 0.01f * i) + b;
        }
    const Known known{.sizes = {{"width", 12}}, .others = {{"weights.norm.bias", w.bias.value()}}};
    CHECK(cause(other_spread, right, known) ==
          "fits: in every column yours = expected * 0.9574 = sqrt((width - 1) / width), width = 12 "
          "around a constant: the spread is measured differently");
    CHECK(cause(other_eps, right, known)
              .starts_with("fits: every row that differs has its own factor, 1.01 to 1.09, around weights"));
    CHECK(cause(x, right, known) == "fits: expected is the layer norm of yours: a norm is missing");
    CHECK(cause(right, x, known) == "fits: yours is the layer norm of what is expected: a norm too many");
}

// --- places ---

static Matrix rows_from(const Matrix& m, const std::vector<int>& from) {
    Matrix result(m.rows, m.cols);
    for (int i = 0; i < m.rows; ++i)
        for (int j = 0; j < m.cols; ++j) result(i, j) = m(from[i], j);
    return result;
}

TEST_CASE("cause: the right numbers in the wrong positions") {
    const Matrix m = some(6, 4);
    CHECK(cause(transpose(m), m, {}) == "fits: yours is the transpose of what is expected");
    CHECK(cause(rows_from(m, {1, 2, 0, 4, 5, 3}), m, {}) ==
          "fits: your rows are right but in other positions: in every group of 3 rows the first row comes last");
    CHECK(cause(rows_from(m, {5, 4, 3, 2, 1, 0}), m, {}) ==
          "fits: your rows are right but in other positions: the order is reversed");
    CHECK(cause(rows_from(m, {0, 3, 1, 2, 4, 5}), m, {}) ==
          "fits: your rows are right but in another order, 3 of 6: row 1 of yours belongs at position 3");
    // Two by three pixels read column by column: 0 3 1 4 2 5.
    const Matrix wide = some(5, 6);
    CHECK(cause(transpose(rows_from(transpose(wide), {0, 3, 1, 4, 2, 5})), wide, {}) ==
          "fits: your columns are right but in other positions: the columns are 2 by 3 and were read as 3 by 2");
    Matrix mixed = m;
    std::swap(mixed(0, 0), mixed(3, 2));
    std::swap(mixed(1, 1), mixed(5, 0));
    std::swap(mixed(2, 3), mixed(4, 1));
    CHECK(cause(mixed, m, {}) == "fits: all numbers are right, in other positions");
    Matrix in_rows = m;
    for (int i = 0; i < 6; ++i) std::swap(in_rows(i, i % 4), in_rows(i, (i + 1 + i % 2) % 4));
    CHECK(cause(in_rows, m, {}) == "fits: each row holds the right numbers in other columns");
}

TEST_CASE("cause: orders of rows that have a name, in the whole or in groups") {
    const Matrix m = some(12, 4);
    const auto said = [&](const std::vector<int>& from) {
        const std::string words = cause(rows_from(m, from), m, {}), start = "fits: your rows are right but in other positions:";
        return words.starts_with(start) ? words.substr(start.size()) : words;
    };
    CHECK(said({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0}) == " the first row comes last");
    CHECK(said({11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) == " the last row comes first");
    CHECK(said({2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1}) == " every row is moved by 2");
    CHECK(said({10, 11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) == " every row is moved by 2");
    CHECK(said({3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10}) == " in every group of 4 rows the last row comes first");
    CHECK(said({3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8}) == " in every group of 4 rows the order is reversed");
    CHECK(said({0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}) == " the rows are 3 by 4 and were read as 4 by 3");
    CHECK(said({0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}) == " the rows are 4 by 3 and were read as 3 by 4");
    CHECK(cause(transpose(rows_from(transpose(m), {1, 0, 2, 3})), m, {}) ==
          "fits: your columns are right but in another order, 2 of 4: column 0 of yours belongs at position 1");
    // Of equal rows each is taken from its own position where that is free: row 2 from 2, not from 0.
    const Matrix twice{{1, 2}, {3, 4}, {1, 2}, {5, 6}}, last{{1, 2}, {3, 4}, {5, 6}, {5, 6}};
    CHECK(cause(rows_from(twice, {1, 3, 2, 0}), twice, {}) ==
          "fits: your rows are right but in another order, 3 of 4: row 0 of yours belongs at position 1");
    CHECK(cause(rows_from(last, {2, 0, 3, 1}), last, {}) ==
          "fits: your rows are right but in another order, 4 of 4: row 0 of yours belongs at position 2");
    // every block of two rows, transposed
    const Matrix blocks = some(6, 2);
    Matrix turned = blocks;
    for (int block = 0; block < 6; block += 2) std::swap(turned(block, 1), turned(block + 1, 0));
    CHECK(cause(turned, blocks, {}) == "fits: every block of 2 rows is the transpose of what is expected");
    CHECK(cause(transpose(blocks), blocks, {}) == "fits: yours is the transpose of what is expected");
    CHECK(cause(some(2, 6, 3), blocks, {}).empty());
}

TEST_CASE("cause: where the wrong numbers are is reported as a fact, not a guess") {
    const Matrix m = some(6, 4), noise = some(6, 4, 9);
    Matrix first_of_three = m, one_column = m, masked = m;
    for (int j = 0; j < 4; ++j) first_of_three(0, j) = noise(0, j), first_of_three(3, j) = noise(3, j);
    for (int i = 0; i < 6; ++i) one_column(i, 2) = noise(i, 2);
    const Matrix mask{{1}, {0}, {1}, {1}, {0}, {1}};
    for (int j = 0; j < 4; ++j) masked(1, j) = noise(1, j), masked(4, j) = noise(4, j);
    CHECK(cause(first_of_three, m, {}) == "differs only in rows 0, 3, the first of each group of 3");
    CHECK(cause(one_column, m, {}) == "differs only in column 2");
    CHECK(cause(masked, m, {.sizes = {}, .others = {{"input.mask", mask}}}) == "differs only where input.mask is 0");
    const Matrix other_way = changed(mask, [](float x) { return 1 - x; });
    CHECK(cause(masked, m, {.sizes = {}, .others = {{"input.mask", other_way}}}) == "differs only where input.mask is 1");
    // where a mask is all ones it says nothing, and rows that have no pattern are only listed
    CHECK(cause(masked, m, {.sizes = {}, .others = {{"input.mask", Matrix(6, 1, 1)}}}) ==
          "differs only in rows 1, 4, number 1 of each group of 3");
    const Matrix tall = some(16, 3), other = some(16, 3, 9);
    const auto rows_wrong = [&](const std::vector<int>& rows) {
        Matrix wrong = tall;
        for (const int i : rows)
            for (int j = 0; j < 3; ++j) wrong(i, j) = other(i, j);
        return cause(wrong, tall, {});
    };
    CHECK(rows_wrong({3}) == "differs only in row 3");
    CHECK(rows_wrong({2, 5}) == "differs only in rows 2, 5");
    CHECK(rows_wrong({3, 7, 11, 15}) == "differs only in rows 3, 7, 11, 15, the last of each group of 4");
    CHECK(rows_wrong({0, 2, 4, 6, 8, 10, 12, 14}) == "differs only in rows 0, 2, 4, 6, 8, 10 ..., the first of each group of 2");
    CHECK(rows_wrong({0, 1, 2, 3, 4, 5, 7, 8}) == "differs only in rows 0, 1, 2, 3, 4, 5 ...");
    CHECK(rows_wrong({0, 1, 2, 3, 4, 5, 7, 8, 9}) == "");  // more than half of them
    Matrix two_columns = m;
    for (int i = 0; i < 6; ++i) two_columns(i, 1) = noise(i, 1), two_columns(i, 3) = noise(i, 3);
    CHECK(cause(two_columns, m, {}) == "differs only in columns 1, 3, the last of each group of 2");
}

TEST_CASE("cause: differences of less than 2 in 1000 of the largest number are reported as small") {
    Random random(3);
    Matrix m = some(6, 4), ours = m;
    m(0, 0) = ours(0, 0) = 10;
    for (std::size_t k = 1; k < ours.size(); ++k) ours[k] += k % 2 == 0 ? 0.01f : 0.004f * random.uniform();
    CHECK(cause(ours, m, {}).starts_with("differs only by 0.1 % of the largest number: "));
    ours(5, 3) += 0.03f;
    CHECK(cause(ours, m, {}) == "");
}

TEST_CASE("cause: NaN and infinity are reported with the position of the first") {
    Matrix m = some(3, 4);
    m(1, 2) = m(2, 0) = std::nanf("");
    CHECK(cause(m, some(3, 4), {}).starts_with("2 of yours are not numbers, the first at (1, 2)"));
    CHECK(cause(Matrix(3, 4), some(3, 4), {}) == "all of yours are 0: nothing was computed, or nothing flowed here");
    Matrix infinite = some(3, 4);
    infinite(1, 2) = infinite(2, 0) = INFINITY;
    CHECK(cause(infinite, some(3, 4), {}) == "differs only in being infinite at 2 places, the first at (1, 2)");
    infinite(2, 3) = NAN;
    CHECK(cause(infinite, some(3, 4), {}).starts_with("1 of yours are not numbers, the first at (1, 2)"));
    CHECK(cause({{INFINITY, NAN}}, {{1, 2}}, {}).starts_with("1 of yours are not numbers, the first at (0, 0)"));
    CHECK(cause(Matrix(1, 2), {{1, 3}}, {}) == "all of yours are 0: nothing was computed, or nothing flowed here");
    CHECK(cause(Matrix(1, 2), Matrix{{0, 3}}, {}) != "all of yours are 0: nothing was computed, or nothing flowed here");
}

TEST_CASE("known_of: sizes from metadata and inputs, masks as fractions, other values; gradients only for a gradient") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("x-a.safetensors"),
                      {{.name = "expected.a", .shape = {2, 3}, .floats = some(2, 3)},
                       {.name = "expected.b", .shape = {2, 3}, .floats = some(2, 3)},
                       {.name = "grad.w", .shape = {3}, .floats = some(1, 3)},
                       {.name = "grad.v", .shape = {3}, .floats = some(1, 3)},
                       {.name = "input.mask", .shape = {2, 4}, .integers = {1, 0, 0, 0, 1, 1, 1, 1}}},
                      {{"hidden_size", "24"}, {"num_attention_heads", "3"}, {"act", "gelu"}});
    const Safetensors file(folder.path("x-a.safetensors"));
    const Known of_step = known_of(file, "expected.a"), of_gradient = known_of(file, "grad.w");
    CHECK(of_step.sizes == std::map<std::string, double>{{"hidden_size", 24},
                                                         {"num_attention_heads", 3},
                                                         {"head width", 8},
                                                         {"the ones in input.mask", 5},
                                                         {"the fraction of ones in input.mask", 0.625},
                                                         {"rows of input.mask", 2},
                                                         {"columns of input.mask", 4}});
    CHECK(of_step.others.size() == 2);
    CHECK(of_step.others.at("input.mask")(1, 3) == 1);
    CHECK(of_step.others.count("b") == 1);
    for (const auto& [width, heads] : std::vector<std::pair<std::string, std::string>>{
             {"n_embd", "n_head"}, {"embed_dim", "num_heads"}, {"hidden_size", "n_head"}}) {
        const std::vector<TensorToWrite> tensors{
            {.name = "input.one", .shape = {}, .integers = {3}},
            {.name = "input.row", .shape = {3}, .integers = {4, 5, 6}},
            {.name = "input.none", .shape = {2, 0}, .integers = {}},
            {.name = "input.zeros", .shape = {2}, .integers = {0, 0}},
            {.name = "input.block", .shape = {2, 2, 3}, .integers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}};
        write_safetensors(folder.path("y.safetensors"), tensors, {{width, "20"}, {heads, "5"}, {"empty", ""}, {"odd", "3x"}});
        const Safetensors other(folder.path("y.safetensors"));
        const Known known = known_of(other, "expected.nothing");
        CHECK(known.sizes == std::map<std::string, double>{{width, 20},
                                                           {heads, 5},
                                                           {"head width", 4},
                                                           {"the fraction of ones in input.zeros", 0},
                                                           {"rows of input.none", 2},
                                                           {"columns of input.none", 0},
                                                           {"rows of input.block", 2},
                                                           {"columns of input.block", 2}});
        CHECK(identical(as_matrix(other, "input.one"), Matrix{{3}}));
        CHECK(identical(as_matrix(other, "input.row"), Matrix{{4, 5, 6}}));
        CHECK(identical(as_matrix(other, "input.block"), Matrix{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11}}));
    }
    for (const auto& [heads, width] : std::vector<std::pair<std::string, double>>{{"0", 0}, {"1", 20}}) {
        write_safetensors(folder.path("z.safetensors"), {{.name = "input.mask", .shape = {3}, .integers = {0, 1, 0}}},
                          {{"n_embd", "20"}, {"n_head", heads}});
        const Safetensors third(folder.path("z.safetensors"));
        const Known known = known_of(third, "expected.nothing");
        CHECK(known.sizes.count("head width") == (heads == "0" ? 0 : 1));
        if (heads != "0") CHECK(known.sizes.at("head width") == width);
        CHECK(known.sizes.at("the ones in input.mask") == 1);
    }
    CHECK(of_gradient.others.size() == 1);
    CHECK(of_gradient.others.count("grad.v") == 1);
}

// --- no guess ---

// Many steps of many shapes and many sizes, to provoke accidental fits.
static Known rich_known(Random& random) {
    Known known;
    for (int k = 0; k < 40; ++k) {
        const int rows = 1 + random.below(8), cols = 1 + random.below(8);
        known.others["step " + std::to_string(k)] = normal_matrix(random, rows, cols, 1);
    }
    for (int s = 2; s < 30; ++s) known.sizes["size " + std::to_string(s)] = s;
    return known;
}

TEST_CASE("cause: no guess about unrelated numbers, of any shape, including a single number") {
    Random random(7);
    int guesses = 0;
    for (int round = 0; round < 3000; ++round) {
        const Known known = rich_known(random);
        const int rows = 1 + random.below(8), cols = 1 + random.below(8);
        const Matrix ours = normal_matrix(random, rows, cols, 1), expected = normal_matrix(random, rows, cols, 1);
        const std::string said = cause(ours, expected, known);
        if (said.starts_with("fits: ")) {
            ++guesses;
            MESSAGE(shape(ours), ": ", said);
        }
    }
    CHECK(guesses <= 3);  // one number alone and 28 sizes: an accident in a thousand
}

TEST_CASE("cause: no guess about noise, of any size and anywhere") {
    Random random(8);
    for (int round = 0; round < 1000; ++round) {
        const Known known = rich_known(random);
        const int rows = 2 + random.below(8), cols = 2 + random.below(8);
        const Matrix expected = normal_matrix(random, rows, cols, 1);
        Matrix ours = expected;
        const float size = std::pow(10.0f, -static_cast<float>(random.below(4)));
        for (float& x : ours)
            if (random.below(3) > 0) x += size * normal_matrix(random, 1, 1, 1)[0];
        const std::string said = cause(ours, expected, known);
        INFO(shape(ours), ": ", said);
        CHECK_FALSE(said.starts_with("fits: "));
    }
}

TEST_CASE("cause: no guess about attention weights of other queries and keys, whatever the mask") {
    const KeepSteps keep;
    for (std::uint64_t seed = 1; seed < 200; ++seed) {
        Random random(seed);
        const auto weights = [&] {
            return attend(Var(normal_matrix(random, 12, 8, 1)), Var(normal_matrix(random, 12, 8, 1)),
                          Var(normal_matrix(random, 12, 8, 1)), 2,
                          {.segments = Segments::equal(3, 4), .may = seed % 2 == 0 ? MayAttend{} : causal(4, 4)})
                .weights.value();
        };
        const std::string said = cause(weights(), weights(), {.sizes = {{"head width", 4}}, .others = {}});
        INFO(said);
        CHECK_FALSE(said.starts_with("fits: "));
    }
}

TEST_CASE("cause: no guess about masks and counts, whose few numbers repeat everywhere") {
    Random random(9);
    for (int round = 0; round < 1000; ++round) {
        const int rows = 2 + random.below(4), cols = 4 + random.below(5), different = 2 + random.below(3);
        const auto whole_numbers = [&] {
            Matrix m(rows, cols);
            for (float& x : m) x = static_cast<float>(random.below(different));
            return m;
        };
        Known known;
        for (int k = 0; k < 10; ++k) known.others["step " + std::to_string(k)] = whole_numbers();
        const Matrix ours = whole_numbers(), expected = whole_numbers();
        const std::string said = cause(ours, expected, known);
        INFO(shape(ours), ": ", said);
        CHECK_FALSE(said.starts_with("fits: "));
    }
}

TEST_CASE("cause: a single number that contradicts a guess withdraws it") {
    const Matrix expected = some(6, 8);
    Matrix ours = changed(expected, [](float x) { return 2 * x; });
    CHECK(cause(ours, expected, {}) == "fits: yours = expected * 2, twice");
    ours(3, 3) += 0.01f;
    CHECK(cause(ours, expected, {}) == "");
    Matrix moved = rows_from(expected, {1, 2, 0, 4, 5, 3});
    moved(0, 0) += 0.01f;
    CHECK(cause(moved, expected, {}) == "");
}

TEST_SUITE_END();
