#include "nn/autograd/formula.h"

#include <functional>
#include <limits>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/autograd/rows.h"
#include "nn/autograd/trace.h"
#include "nn/base/random.h"
#include "nn/data/file.h"
#include "nn/layers/activation.h"
#include "nn/layers/linear.h"
#include "nn/layers/norm.h"
#include "nn/layers/position.h"
#include "nn/training/loss.h"
#include "tests/nn/autograd/explained.h"
#include "tests/test.h"
#include "vit/fields/volume_rendering.h"
#include "vit/mask_latents/vector_quantizer.h"

TEST_SUITE_BEGIN("formula");

static const Matrix a23{{1, 2, 3}, {4, 5, 6}}, b32{{1, 0}, {0, 1}, {2, 2}};

// Facts about a product: inputs a23 and b32.
static Facts product(const Explained& explained, const Matrix& value, const Matrix& gradient) {
    return {.inputs = {&a23, &b32}, .value = &value, .gradient = &gradient, .explained = &explained};
}

TEST_CASE(
    "evaluate: operators have the usual precedence, sum binds its variable, let names a number, if evaluates one branch only") {
    const Explained explained{.value = {}, .tables = {{"index", {2, 0}}, {"factor", {0.5f}}}};
    const Matrix y(2, 2);
    const Facts facts = product(explained, y, y);
    const auto value = [&](const std::string& words, int i = 0, int j = 0) {
        return evaluate(parse_formula(words), facts, i, j);
    };
    CHECK(value("1 + 2 * 3 - 8 / 4") == 5);
    CHECK(value("-(1 + 2) * 2") == -6);
    CHECK(value("8 - 3 - 2") == 3);
    CHECK(value("a(i,j) * 10 + b(2,1)", 1, 2) == 62);
    CHECK(value("sum(k, cols(a), a(i,k) * b(k,j))", 1, 0) == 16);  // 4 * 1 + 5 * 0 + 6 * 2
    CHECK(value("sum(k, rows(b), sum(l, k, 1))") == 3);            // 0 + 1 + 2
    CHECK(value("let(m, a(0,2), m * m)") == 9);
    CHECK(value("if(i < 1, 7, a(9,9))") == 7);
    CHECK(value("(1 < 2) + (2 <= 2) + (1 == 2)") == 2);
    CHECK(value("input(1, index(i), 1)") == 2);
    CHECK(value("factor + index(1)") == 0.5);
    CHECK(value("mod(7, 4) + floor(1.75) + min(1, 2) + max(3, 4)") == 9);
    CHECK(value("sqrt(4) + abs(-3) + exp(0) + log(1) + tanh(0) + erf(0)") == 6);
}

TEST_CASE("parse_formula: an invalid formula is refused with the position of the error") {
    CHECK_THROWS_WITH(parse_formula("1 +"), "formula \"1 +\", letter 3: the formula ends in the middle");
    CHECK_THROWS_WITH(parse_formula("a(i,j"), "formula \"a(i,j\", letter 5: the arguments of a are not closed");
    CHECK_THROWS_WITH(parse_formula("(1"), "formula \"(1\", letter 2: a bracket is not closed");
    CHECK_THROWS_WITH(parse_formula("1 2"), "formula \"1 2\", letter 2: something follows the formula");
    CHECK_THROWS_WITH(parse_formula("1 * ;"), "formula \"1 * ;\", letter 4: a number, a name or a bracket is expected here");
}

TEST_CASE("evaluate: unknown names and elements outside the matrix are refused") {
    const Explained explained{.value = {}};
    const Matrix y(2, 2);
    const Facts facts = product(explained, y, y);
    const auto refusal = [&](const std::string& words) { return error_of([&] { evaluate(parse_formula(words), facts, 0, 0); }); };
    CHECK(refusal("m") == "formula: there is no number m");
    CHECK(refusal("c(0,0)") == "formula: there is no input 2");
    CHECK(refusal("a(2,0)") == "formula: element (2, 0) of (2, 3)");
    CHECK(refusal("cosine(1)") == "formula: there is no function cosine");
    CHECK(refusal("z(0,0)") == "formula: there is no matrix z");
}

TEST_CASE("written_out: the numbers of a sum, negative ones in brackets; a term that is too long becomes one number") {
    const Explained explained{.value = {}};
    const Matrix y(2, 2);
    const Facts facts = product(explained, y, y);
    const auto written = [&](const std::string& words, int i, int j, int most = 12) {
        return written_out(parse_formula(words), facts, i, j, 0, most);
    };
    CHECK(written("sum(k, cols(a), a(i,k) * b(k,j))", 1, 0) == "4 * 1 + 5 * 0 + 6 * 2");
    CHECK(written("sum(k, cols(a), a(i,k) * b(k,j))", 1, 0, 2) == "4 * 1 + 5 * 0 + 12 (1 more)");
    CHECK(written("sum(k, cols(a), if(k == 1, a(i,k), 0))", 1, 0) == "5");
    CHECK(written("(a(0,0) - a(0,1)) / 2 * -3", 0, 0) == "(1 - 2) / 2 * (-3)");
    CHECK(written("let(m, a(0,2), exp(m) / sum(k, 2, a(0,k)))", 0, 0) == "exp(3) / (1 + 2)");
}

TEST_CASE("formula_json: lists that begin with the name of a call") {
    CHECK(formula_json(parse_formula("sum(k, cols(a), -a(i,k) * 0.5)")) ==
          "[\"sum\",\"k\",[\"cols\",\"a\"],[\"*\",[\"negative\",[\"a\",\"i\",\"k\"]],0.5]]");
}

TEST_CASE("gradient_formula: a broadcast input sums the gradients of all elements that read it") {
    const Explained explained{
        .value = "a(i,j) * b(i,j)", .gradients = {"dy(i,j) * b(i,j)", "dy(i,j) * a(i,j)"}, .broadcast = true};
    const Matrix row{{1, 2, 3}}, y(2, 3);
    const Facts facts{.inputs = {&a23, &row}, .value = &y, .gradient = &y, .explained = &explained};
    CHECK(gradient_formula(explained, facts, 0) == "dy(i,j) * b(i,j)");
    CHECK(gradient_formula(explained, facts, 1) == "sum(i, rows(y), dy(i,j) * a(i,j))");
    for (const int width : {1, 2, 3}) {
        const Matrix column(2, 1), wide(2, width);
        const Facts of_column{.inputs = {&column, &column}, .value = &wide, .gradient = &wide, .explained = &explained};
        CHECK(gradient_formula(explained, of_column, 1) ==
              (width == 1 ? "dy(i,j) * a(i,j)" : "sum(j, cols(y), dy(i,j) * a(i,j))"));
        const Matrix flat(1, 3), high(width, 3);
        const Facts of_row{.inputs = {&flat, &flat}, .value = &high, .gradient = &high, .explained = &explained};
        CHECK(gradient_formula(explained, of_row, 1) == (width == 1 ? "dy(i,j) * a(i,j)" : "sum(i, rows(y), dy(i,j) * a(i,j))"));
    }
}

// ---- every operation --------------------------------------------------------------------------------------------------------

// The operation on parameters of these values, and the gradients of its elements, weighted differently: all of it as its formulas say.
static void check_operation(const std::function<Var(const std::vector<Var>&)>& operation, const std::vector<Matrix>& values,
                            Where where = Where::current()) {
    std::vector<Var> inputs;
    for (const Matrix& value : values) inputs.push_back(parameter(value));
    Tracing tracing;
    const Tape tape;
    const Var result = operation(inputs);
    Matrix weights(result.rows(), result.cols());
    for (std::size_t k = 0; k < weights.size(); ++k)
        weights[k] = 0.3f + 0.1f * static_cast<float>(k % 7) - 0.2f * static_cast<float>(k % 3);
    backward(sum(multiply(result, weights)));
    check_explained(tracing.trace(), where);
}

TEST_CASE("operations: each explanation gives the numbers of the operation, on random inputs") {
    Random random(7);
    const Matrix a = normal_matrix(random, 3, 4), b = normal_matrix(random, 3, 4), row = normal_matrix(random, 1, 4),
                 column = normal_matrix(random, 3, 1);
    const Matrix positive = uniform_matrix(random, 3, 4, 0.5f, 2), number = normal_matrix(random, 1, 1),
                 square_matrix = normal_matrix(random, 4, 5);
    using Vars = const std::vector<Var>&;
    for (const Matrix& other : {b, row, column, number}) {
        check_operation([](Vars v) { return add(v[0], v[1]); }, {a, other});
        check_operation([](Vars v) { return subtract(v[0], v[1]); }, {other, a});
        check_operation([](Vars v) { return multiply(v[0], v[1]); }, {a, other});
        check_operation([](Vars v) { return minimum(v[0], v[1]); }, {a, other});
        check_operation([](Vars v) { return maximum(v[0], v[1]); }, {a, other});
    }
    check_operation([](Vars v) { return multiply(v[0], v[1]); }, {row, column});
    check_operation([](Vars v) { return divide(v[0], v[1]); }, {a, positive});
    check_operation([](Vars v) { return minimum(v[0], v[1]); }, {a, a});
    check_operation([](Vars v) { return scale(v[0], -1.5f); }, {a});
    check_operation([](Vars v) { return shift(v[0], 2.5f); }, {a});
    check_operation([](Vars v) { return matmul(v[0], v[1]); }, {a, square_matrix});
    check_operation([](Vars v) { return matmul_transposed(v[0], v[1]); }, {a, b});
    check_operation([](Vars v) { return matmul_transposed(v[0], v[0]); }, {a});  // both inputs are one value
    using Function = Var (*)(const Var&, Where);
    for (const Function function : std::vector<Function>{exp, square, abs, tanh, sigmoid, softplus, sum, mean, row_sums,
                                                         row_means, softmax_rows, log_softmax_rows})
        check_operation([&](Vars v) { return function(v[0], Where::current()); }, {a});
    for (const Function function : std::vector<Function>{log, sqrt})
        check_operation([&](Vars v) { return function(v[0], Where::current()); }, {positive});
    check_operation([](Vars v) { return clamp(v[0], -0.5f, 0.75f); }, {a});
    check_operation([](Vars v) { return pick(v[0], {3, 0, 2}); }, {a});
    check_operation([](Vars v) { return straight_through(v[0], v[1]); }, {a, b});
    check_operation([](Vars v) { return multiply(straight_through(scale(v[0], 2), v[1]), v[0]); }, {a, b});
}

TEST_CASE("operations: softmax of a row of minus infinities is a row of zeros, also by its formula") {
    const float excluded = -std::numeric_limits<float>::infinity();
    check_operation(
        [](const std::vector<Var>& v) {
            return softmax_rows(add(v[0], Matrix{{0, -std::numeric_limits<float>::infinity()}}));
        },
        {Matrix{{1, 2}, {3, 4}}});
    const Explained explained{.value = "if(a(i,j) == -inf, 0, exp(a(i,j)) / sum(k, cols(a), exp(a(i,k))))"};
    const Matrix scores{{excluded, excluded}}, y(1, 2);
    const Facts facts{.inputs = {&scores}, .value = &y, .gradient = &y, .explained = &explained};
    CHECK(evaluate(parse_formula(explained.value), facts, 0, 0) == 0);
}

TEST_CASE("rearrange: each explanation gives the source of the number and the target of the gradient") {
    Random random(8);
    const Matrix a = normal_matrix(random, 6, 4), b = normal_matrix(random, 2, 4), row = normal_matrix(random, 1, 4),
                 wide = normal_matrix(random, 6, 3);
    using Vars = const std::vector<Var>&;
    check_operation([](Vars v) { return transpose(v[0]); }, {a});
    check_operation([](Vars v) { return reshape(v[0], 8, 3); }, {a});
    check_operation([](Vars v) { return slice_rows(v[0], 2, 3); }, {a});
    check_operation([](Vars v) { return slice_cols(v[0], 1, 2); }, {a});
    check_operation([](Vars v) { return concat_rows({v[0], v[1], v[2]}); }, {a, b, row});
    check_operation([](Vars v) { return concat_cols({v[0], v[1], v[0]}); }, {a, wide});
    check_operation([](Vars v) { return gather_rows(v[0], {5, 0, 5, 2}); }, {a});
    check_operation([](Vars v) { return gather_cols(v[0], {3, 3, 1}); }, {a});
    check_operation([](Vars v) { return gather_side_by_side(v[0], {0, -1, 4, 4, 5, 1}, 3); }, {a});
    check_operation([](Vars v) { return add_repeated(v[0], v[1]); }, {a, b});
    check_operation([](Vars v) { return prepend_to_each(v[0], v[1], 3); }, {row, a});
    check_operation([](Vars v) { return drop_first_of_each(v[0], 2); }, {a});
}

TEST_CASE("rows: explanations of mix_rows, max_rows and sums give the numbers of the operations") {
    Random random(9);
    const Matrix x = normal_matrix(random, 6, 3), weights = normal_matrix(random, 2, 3);
    const Segments segments{{{0, 2}, {3, 3}}};
    using Vars = const std::vector<Var>&;
    check_operation([](Vars v) { return mix_rows(v[0], {0, 5, -1, 2, 2, 1}, v[1]); }, {x, weights});
    check_operation([](Vars v) { return max_rows(v[0], {0, 5, -1, 2, 3, 1}, 3); }, {x});
    check_operation([&](Vars v) { return segment_sums(v[0], segments); }, {x});
    check_operation([&](Vars v) { return sums_before(v[0], segments); }, {x});
}

TEST_CASE("formula: explanations of layers, losses and operations of single systems give the numbers of the operations") {
    Random random(10);
    const Matrix x = normal_matrix(random, 3, 4), weight = normal_matrix(random, 4, 5), bias = normal_matrix(random, 1, 5);
    const Matrix gain = normal_matrix(random, 1, 4), offset = normal_matrix(random, 1, 4), codes = normal_matrix(random, 5, 4);
    using Vars = const std::vector<Var>&;
    check_operation([](Vars v) { return linear(v[0], {.weight = v[1], .bias = v[2]}); }, {x, weight, bias});
    check_operation([](Vars v) { return linear(v[0], {.weight = v[1], .bias = {}}); }, {x, weight});
    check_operation([](Vars v) { return layer_norm(v[0], {.gain = v[1], .bias = v[2]}, 1e-3f); }, {x, gain, offset});
    check_operation([](Vars v) { return layer_norm(v[0], {}, 1e-3f); }, {x});
    check_operation([](Vars v) { return rms_norm(v[0], {.gain = v[1], .bias = {}}, 1e-3f); }, {x, gain});
    check_operation([](Vars v) { return unit_rows(v[0], 1e-3f); }, {x});
    for (const Activation activation :
         {Activation::gelu, Activation::gelu_tanh, Activation::gelu_quick, Activation::relu, Activation::silu})
        check_operation([&](Vars v) { return activate(v[0], activation); }, {x});
    for (const RotaryLayout layout : {RotaryLayout::halves, RotaryLayout::neighbours})
        check_operation([&](Vars v) { return rotate(v[0], {0, 3, 7}, 4, 100, layout); }, {normal_matrix(random, 3, 8)});
    check_operation([](Vars v) { return token_losses(v[0], {2, ignored_label, 0}); }, {x});
    check_operation([](Vars v) { return smooth_absolute(v[0], 0.7f); }, {x});
    check_operation([](Vars v) { return squared_distances(v[0], v[1]); }, {x, codes});
    check_operation([](Vars v) { return absorbed(v[0]); }, {uniform_matrix(random, 3, 2, 0.1f, 3)});
}

TEST_CASE("record_operation: every operation of every floor comes with its explanation") {
    int operations = 0;
    for (const char* const floor : {"nn", "bert", "gpt", "vit", "rlhf"})
        for (const std::string& path : files_below(floor)) {
            if (!path.ends_with(".cpp") || path == "nn/autograd/variable.cpp") continue;
            const std::string source = read_file(path);
            for (std::size_t at = source.find("record_operation("); at != std::string::npos;
                 at = source.find("record_operation(", at + 1)) {
                const std::string call = source.substr(at, source.find(';', at) - at);
                CAPTURE(path);
                CAPTURE(call);
                CHECK(call.find("_explained") != std::string::npos);
                ++operations;
            }
        }
    CHECK(operations > 50);
}

TEST_CASE("evaluate: a number just past the end of a table, a row or a column is refused, the last one is read") {
    const Explained explained{.value = {}, .tables = {{"index", {7, 9}}}};
    const Matrix y(2, 2);
    const Facts facts{.inputs = {&a23, nullptr}, .value = &y, .gradient = &y, .explained = &explained};
    const auto value = [&](const std::string& words) { return evaluate(parse_formula(words), facts, 0, 0); };
    const auto refusal = [&](const std::string& words) { return error_of([&] { value(words); }); };
    CHECK(value("index(0) + 10 * index(1)") == 97);
    CHECK(refusal("index(2)") == "formula: index has 2 numbers, there is no number 2.000000");
    CHECK(refusal("index(-1)") == "formula: index has 2 numbers, there is no number -1.000000");
    CHECK(refusal("index") == "formula: there is no number index");
    CHECK(value("a(0,0)") == 1);
    CHECK(value("a(1,2)") == 6);
    CHECK(refusal("a(-1,0)") == "formula: element (-1, 0) of (2, 3)");
    CHECK(refusal("a(2,0)") == "formula: element (2, 0) of (2, 3)");
    CHECK(refusal("a(0,-1)") == "formula: element (0, -1) of (2, 3)");
    CHECK(refusal("a(0,3)") == "formula: element (0, 3) of (2, 3)");
    CHECK(value("input(0, 1, 2)") == 6);
    CHECK(refusal("b(0,0)") == "formula: there is no input 1");
    CHECK(refusal("input(2, 0, 0)") == "formula: there is no input 2");
    const Matrix row(1, 3), column(3, 1);
    const Explained broadcast{.value = {}, .broadcast = true};
    const Facts narrow{.inputs = {&row, &column}, .value = &y, .gradient = &y, .explained = &broadcast};
    const auto refused = [&](const std::string& words) {
        return error_of([&] { evaluate(parse_formula(words), narrow, 0, 0); });
    };
    CHECK(refused("a(1,2) + b(2,1)") == "");                                  // the one row and the one column stand for all
    CHECK(refused("input(0, 1, 2)") == "formula: element (1, 2) of (1, 3)");  // the element itself
    CHECK(refused("input(1, 2, 1)") == "formula: element (2, 1) of (3, 1)");
    // only inputs are broadcast, and only where the operation says so
    const Explained plain{.value = {}};
    const auto one_row = [&](const std::string& words, const Explained& explained) {
        const Facts facts{.inputs = {&row}, .value = &row, .gradient = &row, .explained = &explained};
        return error_of([&] { evaluate(parse_formula(words), facts, 0, 0); });
    };
    CHECK(one_row("a(1,0)", broadcast) == "");
    CHECK(one_row("a(1,0)", plain) == "formula: element (1, 0) of (1, 3)");
    CHECK(one_row("y(1,0)", broadcast) == "formula: element (1, 0) of (1, 3)");
    CHECK(one_row("dy(1,0)", broadcast) == "formula: element (1, 0) of (1, 3)");
    CHECK(refusal("exp(1, 2, 3)") == "formula: exp of 3 arguments is not known");
    CHECK(refusal("index(0, 0, 0)") == "formula: index of 3 arguments is not known");
}

TEST_CASE("parse_formula: a text ends where its view ends, whatever follows in memory") {
    const std::string_view longer = "12 + 3 ";
    const Explained explained{.value = {}};
    const Matrix y(2, 2);
    const Facts facts = product(explained, y, y);
    CHECK(evaluate(parse_formula(std::string(longer)), facts, 0, 0) == 15);
    CHECK(evaluate(parse_formula(longer.substr(0, 2)), facts, 0, 0) == 12);
    CHECK(evaluate(parse_formula(longer.substr(0, 1)), facts, 0, 0) == 1);
    CHECK(evaluate(parse_formula(longer.substr(0, 6)), facts, 0, 0) == 15);
    CHECK(evaluate(parse_formula(std::string_view("1.5").substr(0, 1)), facts, 0, 0) == 1);
    CHECK(evaluate(parse_formula(std::string_view("1.5").substr(0, 2)), facts, 0, 0) == 1);
    CHECK(parse_formula(std::string_view("beta").substr(0, 2)).name == "be");
}

TEST_CASE("written_out: comparisons and each function keep their words, with brackets where they are needed") {
    const Explained explained{.value = {}};
    const Matrix y(2, 2);
    const Facts facts = product(explained, y, y);
    const auto written = [&](const std::string& words) { return written_out(parse_formula(words), facts, 0, 0); };
    CHECK(written("a(0,0) < a(0,1)") == "1 < 2");
    CHECK(written("a(0,0) <= a(0,1)") == "1 <= 2");
    CHECK(written("a(0,0) == a(0,1)") == "1 == 2");
    CHECK(written("(a(0,0) < a(0,1)) * a(0,2)") == "(1 < 2) * 3");
    CHECK(written("(a(0,0) < a(0,1)) + a(0,2)") == "(1 < 2) + 3");
    CHECK(written("(a(0,0) + a(0,1)) - (a(0,2) - 4)") == "1 + 2 - (3 - 4)");
    CHECK(written("a(0,0) * a(0,1) + a(0,2)") == "1 * 2 + 3");
    CHECK(written("a(0,0) - a(0,1) * a(0,2)") == "1 - 2 * 3");
    CHECK(written("a(0,0) / exp(a(0,1))") == "1 / exp(2)");
    for (const char* const function : {"exp", "log", "sqrt", "tanh", "erf", "abs"})
        CHECK(written(std::string(function) + "(a(0,1))") == std::string(function) + "(2)");
    CHECK(written("floor(a(0,1))") == "2");
    CHECK(written("sum(k, 0, a(0,k))") == "0");
    CHECK(written("sum(k, 3, a(0,k))") == "1 + 2 + 3");
    CHECK(written("a(0,0) + (a(0,1) + a(0,2))") == "1 + 2 + 3");
    CHECK(written("a(0,0) / (a(0,1) * a(0,2))") == "1 / (2 * 3)");
    CHECK(written("let(m, a(0,1), m + a(0,2)) * a(0,0)") == "(2 + 3) * 1");  // of a let as much as of its body
    CHECK(written("let(m, a(0,1), m * a(0,2)) + a(0,0)") == "2 * 3 + 1");
    CHECK(written("if(a(0,0) == 1, a(0,1) + a(0,2), 0) * a(0,0)") == "(2 + 3) * 1");
    CHECK(written("sum(k, 2, -a(0,k))") == "-1 + -2");
    CHECK(written("exp(sum(k, 3, a(0,k)))") == "exp(6)");  // a sum inside becomes its value
}

TEST_CASE("evaluate, gradient_formula: without matrices, tables or such an input the name that is missing is told") {
    const auto refusal = [](const char* words) { return error_of([&] { evaluate(parse_formula(words), Facts{}, 0, 0); }); };
    CHECK(evaluate(parse_formula("i + sum(k, -5, 1)"), Facts{}, 2, 0) == 2);
    CHECK(refusal("a(i,j)") == "formula: there is no input 0");
    CHECK(refusal("y(i,j)") == "formula: there is no matrix y");
    CHECK(refusal("dy(i,j)") == "formula: there is no matrix dy");
    CHECK(refusal("factor") == "formula: there is no number factor");
    CHECK(refusal("index(3)") == "formula: there is no function index");
    CHECK(refusal("sum(k, 3000000000, 1)") == "formula: a sum of 3000000000.000000 terms, which an int cannot count");
    const Explained square{.value = "a(i,j)", .gradients = {"dy(i,j)"}};
    const Matrix m(1, 1);
    const Facts facts{.inputs = {&m}};
    CHECK(gradient_formula(square, facts, 0) == "dy(i,j)");
    for (const int input : {-1, 1})
        CHECK(error_of([&] { gradient_formula(square, facts, input); }) ==
              "gradient_formula: input " + std::to_string(input) + " of 1, counted from 0");
}

TEST_CASE("parse_formula: sums, bindings and sizes without their arguments, and brackets without end, are refused") {
    const auto refusal = [](const std::string& words) { return error_of([&] { parse_formula(words); }); };
    CHECK(refusal("sum(k, 3)").ends_with("letter 9: sum has 2 arguments, it needs 3"));
    CHECK(refusal("let(k, 3)").ends_with("let has 2 arguments, it needs 3"));
    CHECK(refusal("if(1)").ends_with("if has 1 arguments, it needs 3"));
    CHECK(refusal("rows(a, b)").ends_with("rows has 2 arguments, it needs 1"));
    CHECK(refusal("cols(3)").ends_with("the first argument of cols must be a name"));
    CHECK(refusal("sum(1, 2, 3)").ends_with("the first argument of sum must be a name"));
    const auto nested = [](int depth) { return std::string(depth, '(') + "1" + std::string(depth, ')'); };
    CHECK(refusal(nested(199)).empty());
    CHECK(refusal(nested(200)).ends_with("letter 200: brackets and signs lie too deep inside one another"));
    CHECK(refusal(std::string(100000, '-') + "1").ends_with("brackets and signs lie too deep inside one another"));
    CHECK(refusal("1" + std::string(300, ' ') + "- (2) - (3)").empty());
}

TEST_CASE("written_out: fewer than one term is refused") {
    const Formula formula = parse_formula("sum(k, 3, k)");
    CHECK(written_out(formula, Facts{}, 0, 0, 0, 1) == "0 + 3 (2 more)");
    CHECK(error_of([&] { written_out(formula, Facts{}, 0, 0, 0, 0); }) == "written_out: at most 0 terms; at least 1 is needed");
}

TEST_SUITE_END();
