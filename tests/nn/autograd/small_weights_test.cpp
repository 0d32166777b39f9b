#include "nn/autograd/small_weights.h"

#include <limits>

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "nn/layers/linear.h"
#include "tests/test.h"

static constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

TEST_SUITE("small_weights") {
    TEST_CASE("multiplied_in: the parameters on the right of a product, each once; no constants and no results") {
        const Var used = parameter(Matrix(3, 2, 1)), unused = parameter(Matrix(3, 2, 1)), constant{Matrix(3, 2, 1)};
        const Var x{Matrix(1, 2, 1)};
        const auto pass = [&] {
            const Var y = matmul_transposed(x, used);  // (1, 3)
            matmul_transposed(x, used);                // once more
            matmul_transposed(x, constant);            // frozen
            matmul_transposed(y, scale(y, 2));         // a result
            add(used, unused);                         // not a product
        };
        const std::vector<Multiplied> found = multiplied_in(pass);
        REQUIRE(found.size() == 1);
        CHECK(found[0].weight.same_as(used));
        CHECK(found[0].outputs_are_rows);
    }

    TEST_CASE("SmallWeights: float32 leaves the weights as they are, 4 bytes each") {
        Random random(1);
        const Matrix original = normal_matrix(random, 5, 3);
        Var w = parameter(original);
        const SmallWeights floats(WeightFormat::float32, [&] { matmul_transposed(Var(Matrix(1, 3)), w); });
        CHECK(identical(w.value(), original));
        CHECK(floats.numbers == 5 * 3);
        CHECK(floats.bytes == 5 * 3 * 4);
    }

    TEST_CASE("SmallWeights: rounds the weights, and products of up to 4 rows read the small form, those of more the floats") {
        Random random(1);
        const Matrix original = normal_matrix(random, 50, 40);
        for (const WeightFormat format : {WeightFormat::bfloat16, WeightFormat::int8}) {
            Var w = parameter(original);
            const Var one{normal_matrix(random, 1, 40)}, four{normal_matrix(random, 4, 40)}, five{normal_matrix(random, 5, 40)};
            const SmallWeights small(format, [&] { matmul_transposed(one, w); });
            const Matrix expected =
                format == WeightFormat::int8 ? restored(to_int8_rows(original)) : restored(to_bfloat16_rows(original));
            CHECK(identical(w.value(), expected));
            CHECK(small.numbers == 50 * 40);
            CHECK(small.bytes == (format == WeightFormat::int8 ? 50 * (64 + 2 * 4) : 50 * 64 * 2));
            // Changing the floats, which the contract forbids, shows which form is read.
            w.value() = Matrix(50, 40);
            CHECK(matmul_transposed(one, w).value()(0, 0) != 0);
            CHECK(matmul_transposed(four, w).value()(3, 0) != 0);
            CHECK(matmul_transposed(five, w).value()(0, 0) == 0);
        }
    }

    TEST_CASE("SmallWeights: linear() reads the small form of (in, out) transposed, and adds the bias") {
        Random random(2);
        const Linear layer{.weight = parameter(normal_matrix(random, 40, 7)), .bias = parameter(normal_matrix(random, 1, 7))};
        const Linear without{.weight = layer.weight, .bias = {}};
        const Var x{normal_matrix(random, 2, 40)};
        const Matrix rows = transpose(layer.weight.value());
        const Matrix expected = matmul_transposed_textbook(x.value(), to_int8_rows(rows));
        const SmallWeights small(WeightFormat::int8, [&] { linear(x, layer); });
        CHECK(identical(layer.weight.value(), transpose(restored(to_int8_rows(rows)))));
        Var weight = layer.weight;
        weight.value() = Matrix(40, 7);  // the small form is read
        const Matrix y = linear(x, layer).value(), y_without = linear(x, without).value();
        for (int i = 0; i < 2; ++i)
            for (int j = 0; j < 7; ++j) {
                CHECK(y_without(i, j) == Approx(expected(i, j)).epsilon(1e-5));
                CHECK(y(i, j) == Approx(expected(i, j) + layer.bias.value()[j]).epsilon(1e-5));
            }
    }

    TEST_CASE("multiplied_in: a weight that is multiplied both as it is and transposed is refused") {
        const Linear layer{.weight = parameter(Matrix(3, 3, 1)), .bias = {}};
        const Var x{Matrix(1, 3, 1)};
        CHECK_THROWS_WITH(
            multiplied_in([&] { matmul_transposed(linear(x, layer), layer.weight); }),
            "multiplied_in: a weight (3, 3) is multiplied both as it is and transposed; it cannot have one small form");
    }

    TEST_CASE("SmallWeights: ends with its scope, and the innermost one is used") {
        Var w = parameter(Matrix{{1.001f}});
        const Var x{Matrix{{1}}};
        const auto pass = [&] { matmul_transposed(x, w); };
        {
            const SmallWeights outer(WeightFormat::bfloat16, pass);
            w.value()[0] = 5;  // the small form keeps 1
            {
                const SmallWeights inner(WeightFormat::float32, pass);
                CHECK(inner.bytes == 4);
                CHECK(matmul_transposed(x, w).value()[0] == 5);
            }
            CHECK(matmul_transposed(x, w).value()[0] == 1);
        }
        CHECK(matmul_transposed(x, w).value()[0] == 5);
    }

    TEST_CASE("SmallWeights: a weight that is not finite is refused, and no weight has been rounded then") {
        Var first = parameter(Matrix{{1.001f}}), second = parameter(Matrix{{not_a_number}});
        const Var x{Matrix{{1}}};
        const auto pass = [&] {
            matmul_transposed(x, first);
            matmul_transposed(x, second);
        };
        for (const WeightFormat format : {WeightFormat::bfloat16, WeightFormat::int8})
            CHECK(error_of([&] { SmallWeights(format, pass); }).find(" nan in row 0, column 0 of (1, 1)") != std::string::npos);
        CHECK(first.value()[0] == 1.001f);
        CHECK(matmul_transposed(x, first).value()[0] == 1.001f);
    }

    TEST_CASE("weight_format, name_of: f32, bf16, int8") {
        for (const std::string name : {"f32", "bf16", "int8"}) CHECK(name_of(weight_format(name)) == name);
        CHECK_THROWS_WITH(weight_format("f16"), "weight format f16 is unknown; it may be f32, bf16 or int8");
    }
    TEST_CASE("multiplied_in, SmallWeights: no pass is refused") {
        const std::string rule = "multiplied_in: no pass is given; give a function that runs the model once";
        CHECK(error_of([] { multiplied_in(nullptr); }) == rule);
        CHECK(error_of([] { SmallWeights(WeightFormat::int8, nullptr); }) == rule);
    }
}
