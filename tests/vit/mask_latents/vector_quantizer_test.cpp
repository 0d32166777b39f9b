#include "vit/mask_latents/vector_quantizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("vector_quantizer");

TEST_CASE("quantize: the nearest of three codes by hand; of several the first") {
    const Var codes = Matrix{{0, 0}, {3, 4}, {0, 2}};
    const Quantized q = quantize(Matrix{{3, 3}, {0, 1}}, codes);
    // (3, 3): 9 + 9 = 18, 0 + 1 = 1, 9 + 1 = 10;  (0, 1): 1, 9 + 9 = 18, 1
    check_close("distances", q.distances.value(), {{18, 1, 10}, {1, 18, 1}});
    CHECK(q.ids == std::vector<int>{1, 0});
    CHECK(identical(q.output.value(), Matrix{{3, 4}, {0, 0}}));
}

static Var distances_of_inputs(const std::vector<Var>& inputs) { return squared_distances(inputs[0], inputs[1]); }

TEST_CASE("squared_distances: the gradients of vectors and codes agree with finite differences") {
    Random random(3);
    check_gradient_by_differences(distances_of_inputs, {normal_matrix(random, 4, 3), normal_matrix(random, 5, 3)});
}

TEST_CASE("squared_distances: vectors or codes that are not trained get no gradient") {
    const auto gradient = [](const Var& x, const Var& codes, const Var& of) {
        const Tape tape;
        backward(squared_distances(x, codes));
        return of.gradient();
    };
    const Var x = parameter({{3}}), codes = parameter({{1}});
    CHECK(identical(gradient(x, Matrix{{1}}, x), Matrix{{4}}));  // 2 (3 - 1)
    CHECK(identical(gradient(Matrix{{3}}, codes, codes), Matrix{{-4}}));
}

TEST_CASE("squared_distances: the distance of large, close vectors is accurate") {
    // 1000^2 + 1000.25^2 - 2 1000 1000.25 would be 0.0625 up to 0.06 in float; in double it is exact
    const Matrix d = squared_distances(Matrix{{1000}}, Matrix{{1000.25f}}).value();
    CHECK(d(0, 0) == 0.0625f);
}

TEST_CASE("quantize: straight-through passes the gradient of the code to the vector, none to the codebook") {
    const Var x = parameter({{3, 3}, {0, 1}}), codes = parameter({{0, 0}, {3, 4}});
    const Tape tape;
    const Quantized q = quantize(x, codes);
    backward(sum(multiply(q.output, Matrix{{1, 2}, {3, 4}})));
    CHECK(identical(x.gradient(), Matrix{{1, 2}, {3, 4}}));
    CHECK(codes.gradient().empty());
}

TEST_CASE("commitment_loss, codebook_loss: opposite gradients, for the vector and for the code") {
    // x = (3, 3), its code (3, 4): mean of 0 and 1 is 0.5; the derivative of d^2 / 2 at d = -1 is -1
    const auto gradients = [](Var (*loss)(const Var&, const Quantized&)) {
        const Var x = parameter({{3, 3}}), codes = parameter({{0, 0}, {3, 4}});
        const Tape tape;
        const Var value = loss(x, quantize(x, codes));
        CHECK(value.value()(0, 0) == 0.5f);
        backward(value);
        return std::pair(x.gradient(), codes.gradient());
    };
    const auto [x_committed, codes_committed] = gradients(commitment_loss);
    CHECK(identical(x_committed, Matrix{{0, -1}}));
    CHECK(codes_committed.empty());
    const auto [x_moved, codes_moved] = gradients(codebook_loss);
    CHECK(x_moved.empty());
    CHECK(identical(codes_moved, Matrix{{0, 0}, {0, 1}}));
}

TEST_CASE("sums_by_code, code_counts: rows are added to their code; an unused code has zeros") {
    const Matrix x{{1, 2}, {10, 20}, {100, 200}};
    CHECK(identical(sums_by_code(x, {2, 0, 2}, 3), Matrix{{10, 20}, {0, 0}, {101, 202}}));
    CHECK(code_counts({2, 0, 2}, 3) == std::vector<int>{1, 0, 2});
    CHECK(codes_in_use({2, 0, 2}, 3) == 2);
    CHECK(codes_in_use({2, 2}, 3) == 1);
}

TEST_CASE("average_directions: half way from (1, 0) to (0, 1) is 45 degrees; an unused code stays") {
    Matrix codes{{1, 0}, {0, -1}}, sizes{{4, 2}};
    average_directions(codes, sizes, Matrix{{0, 1}, {0, 1}}, {0, 0}, 0.5f);
    const float half = std::sqrt(0.5f);
    check_close("codes", codes, {{half, half}, {0, -1}});
    check_close("sizes", sizes, {{0.5f * 4 + 0.5f * 2, 0.5f * 2}});
}

TEST_CASE("average_directions: a code moves for a single vector") {
    Matrix codes{{1, 0}, {0, 1}}, sizes(1, 2);
    average_directions(codes, sizes, Matrix{{0, 2}}, {0}, 0);
    check_close("codes", codes, {{0, 1}, {0, 1}});
}

TEST_CASE("average_directions: each code has length 1 afterwards") {
    Random random(2);
    Matrix codes = normal_matrix(random, 3, 4), sizes(1, 3);
    average_directions(codes, sizes, normal_matrix(random, 6, 4), {0, 1, 1, 0, 0, 1}, 0.9f);
    for (int k = 0; k < 2; ++k) {
        double length = 0;
        for (int c = 0; c < 4; ++c) length += codes(k, c) * codes(k, c);
        CHECK(std::sqrt(length) == Approx(1));
    }
}

TEST_CASE("spherical_k_means: finds two clusters of directions from one row of each") {
    const float c = std::cos(0.2f), s = std::sin(0.2f);
    const Matrix z{{c, s}, {c, -s}, {s, c}, {-s, c}};  // around (1, 0) and around (0, 1)
    check_close("codes", spherical_k_means(z, {0, 3}, 3), {{1, 0}, {0, 1}});
    CHECK(identical(spherical_k_means(z, {0, 3}, 0), Matrix{{c, s}, {-s, c}}));  // no round: where it began
    check_close("three codes of two numbers", spherical_k_means(z, {0, 1, 3}, 1), {{c, s}, {c, -s}, {0, 1}});
}

TEST_CASE("random_rows: distinct rows if there are enough, else some twice") {
    Random random(1);
    std::vector<int> rows = random_rows(random, 5, 5);
    std::sort(rows.begin(), rows.end());
    CHECK(rows == std::vector<int>{0, 1, 2, 3, 4});
    CHECK(random_rows(random, 2, 7).size() == 7);
    Random drawn(2), same(2);  // where there are enough, nothing but their order is drawn
    CHECK(random_rows(drawn, 5, 5) == permutation(same, 5));
    CHECK(drawn.uniform() == same.uniform());
}

static SummedCodebook two_codes() { return {.sums = Var(Matrix{{6, 8}, {0, 1}}), .counts = Var(Matrix{{4, 1}})}; }

TEST_CASE("codewords: sums divided by counts, then by their length") {
    check_close("words", codewords(two_codes()), {{0.6f, 0.8f}, {0, 1}});
    const SummedCodebook wide{.sums = Var(Matrix{{2, 4, 4}}), .counts = Var(Matrix{{2}})};
    check_close("one word of three numbers", codewords(wide), {{1 / 3.0f, 2 / 3.0f, 2 / 3.0f}});
}

TEST_CASE("average_sums: sums and counts decay at the same rate") {
    SummedCodebook book = two_codes();
    average_sums(book, Matrix{{1, 1}, {2, 2}}, {1, 1}, 0.5f);
    check_close("sums", book.sums.value(), {{3, 4}, {3, 3.5f}});
    check_close("counts", book.counts.value(), {{2, 2.5f}});
    SummedCodebook three{.sums = Var(Matrix(3, 2)), .counts = Var(Matrix(1, 3))};
    average_sums(three, Matrix{{1, 2}, {3, 4}}, {2, 0}, 0);
    check_close("three codes", three.sums.value(), {{3, 4}, {0, 0}, {1, 2}});
}

TEST_CASE("split_busiest: an unused code becomes a copy of the most used one, each with half of the sums and counts") {
    SummedCodebook book{.sums = Var(Matrix{{6, 8}, {0, 0.01f}}), .counts = Var(Matrix{{4, 0.01f}})};
    const int splits = split_busiest(book, 0.1f, 0.1f, Matrix{{0, 1}});
    CHECK(splits == 1);
    // draws 0 and 1 are factors 1 - 0.1 and 1 + 0.1
    check_close("sums", book.sums.value(), {{3, 4}, {3 * 0.9f, 4 * 1.1f}});
    check_close("counts", book.counts.value(), {{2, 2}});
    CHECK(split_busiest(book, 0.1f, 0.1f, Matrix{{0, 1}}) == 0);  // every code has enough vectors now
    CHECK(split_busiest(book, 2, 0.1f, Matrix{{0, 1}}) == 0);     // as many as the least are enough
    SummedCodebook wide{.sums = Var(Matrix{{2, 4, 8}, {0, 0, 1}}), .counts = Var(Matrix{{4, 0}})};
    CHECK(split_busiest(wide, 0.1f, 0, Matrix(1, 3)) == 1);
    CHECK_THROWS_WITH(split_busiest(wide, 3, 0, Matrix(0, 3)),
                      "split_busiest: after 0 splits a code still has a count of 2.000000, below 3.000000; all counts together "
                      "are too small for 2 codes, or more draws are needed");
    check_close("sums of three numbers", wide.sums.value(), {{1, 2, 4}, {1, 2, 4}});
}

TEST_CASE("vector_quantizer: inconsistent shapes, ids and rates throw an error that gives the reason") {
    CHECK(without_place(error_of([] { quantize(Matrix(2, 3), Matrix(4, 2)); })) ==
          "squared_distances: vectors (2, 3) and a codebook (4, 2), both must have the same width");
    CHECK_THROWS_WITH(code_counts({0, 3}, 3), "code_counts: id 3 is not one of 3 codes, counted from 0");
    CHECK_THROWS_WITH(sums_by_code(Matrix(2, 3), {0}, 3), "sums_by_code: 1 ids for the rows of (2, 3), each needs one");
    Matrix codes(3, 2), sizes(1, 3);
    CHECK_THROWS_WITH(average_directions(codes, sizes, Matrix(2, 2), {0, 1}, 1.5f),
                      "average_directions: a decay of 1.500000, it must be a fraction from 0 to 1");
    SummedCodebook book = two_codes();
    CHECK_THROWS_WITH(average_sums(book, Matrix(1, 2), {0}, 1), "average_sums: a momentum of 1.000000 is outside [0, 1)");
    CHECK_THROWS_WITH(
        split_busiest(book, 10, 0.1f, Matrix(2, 2)),
        "split_busiest: after 2 splits a code still has a count of 1.000000, below 10.000000; all counts together are too small "
        "for 2 codes, or more draws are needed");
}

TEST_CASE("nearest_codes: no code, and distances of NaN, are refused") {
    CHECK_THROWS_WITH(nearest_codes(Matrix(2, 0)), "nearest_codes: distances (2, 0), there must be at least one code");
    CHECK_THROWS_WITH(nearest_codes(Matrix(1, 2, std::nanf(""))),
                      "nearest_codes: a distance of row 0 is NaN; look for a NaN in the features");
}

TEST_CASE("average_directions, average_sums, split_busiest: each argument check fails by itself, the limits are allowed") {
    const auto refusal = [](const Matrix& z, Matrix sizes, float decay) {
        Matrix codes(2, 3, 1);
        return error_of([&] { average_directions(codes, sizes, z, {0}, decay); });
    };
    const std::string rule = "; vectors must be as wide as codes, and each code have a size";
    CHECK(refusal(Matrix(1, 3, 1), Matrix(1, 2), 0) == "");
    CHECK(refusal(Matrix(1, 3, 1), Matrix(1, 2), 1) == "");
    CHECK(refusal(Matrix(1, 2, 1), Matrix(1, 2), 0) ==
          "average_directions: vectors (1, 2) and cluster sizes (1, 2) for codes (2, 3)" + rule);
    CHECK(refusal(Matrix(1, 3, 1), Matrix(2, 2), 0) ==
          "average_directions: vectors (1, 3) and cluster sizes (2, 2) for codes (2, 3)" + rule);
    CHECK(refusal(Matrix(1, 3, 1), Matrix(1, 3), 0) ==
          "average_directions: vectors (1, 3) and cluster sizes (1, 3) for codes (2, 3)" + rule);
    CHECK(refusal(Matrix(1, 3, 1), Matrix(1, 2), -0.5f) ==
          "average_directions: a decay of -0.500000, it must be a fraction from 0 to 1");

    SummedCodebook book = two_codes();
    CHECK_THROWS_WITH(average_sums(book, Matrix(1, 3), {0}, 0),
                      "average_sums: vectors (1, 3) for codes (2, 2), both must have the same number of columns");
    CHECK_THROWS_WITH(average_sums(book, Matrix(1, 2), {0}, -0.5f), "average_sums: a momentum of -0.500000 is outside [0, 1)");
    CHECK_THROWS_WITH(split_busiest(book, 0, 0, Matrix(1, 3)),
                      "split_busiest: draws (1, 3) for codes (2, 2), both must have the same number of columns");
    CHECK_THROWS_WITH(code_counts({-1}, 3), "code_counts: id -1 is not one of 3 codes, counted from 0");
    CHECK(nearest_codes(Matrix(1, 1)) == std::vector<int>{0});
    average_sums(book, Matrix{{1, 2}}, {1}, 0);  // nothing is kept
    CHECK(book.counts.value()[0] == 0);
    CHECK(book.counts.value()[1] == 1);
}

TEST_CASE("code_counts, random_rows: numbers below 0, and rows of none, are refused") {
    Random random(1);
    CHECK_THROWS_WITH(code_counts({}, -1), "code_counts: -1 codes, there cannot be fewer than 0");
    CHECK(code_counts({}, 0).empty());
    const std::string rule = " rows; neither may be negative, and there must be a row";
    CHECK(error_of([&] { random_rows(random, 3, -1); }) == "random_rows: -1 of 3" + rule);
    CHECK(error_of([&] { random_rows(random, 0, 1); }) == "random_rows: 1 of 0" + rule);
    CHECK(random_rows(random, 1, 0).empty());
}

TEST_CASE("codewords, average_sums, split_busiest: books without a count for each code, and numbers that are none, are refused") {
    const SummedCodebook good{Var(Matrix{{1, 0}, {0, 2}}), Var(Matrix{{1, 2}})};
    const auto all = [](const SummedCodebook& book) {
        SummedCodebook changed = book;
        const std::string words = error_of([&] { codewords(book); });
        const std::string rule = words.substr(words.find(':'));
        CHECK(error_of([&] { average_sums(changed, Matrix(1, 2), {0}, 0.5f); }).ends_with(rule));
        CHECK(error_of([&] { split_busiest(changed, 0.1f, 0, Matrix(1, 2)); }).ends_with(rule));
        return words;
    };
    const std::string rule = "; each code needs a row of sums and a count, and there must be one";
    CHECK(all({good.sums, Var(Matrix{{1, 2, 3}})}) == "codewords: sums (2, 2) and counts (1, 3)" + rule);
    CHECK(all({good.sums, Var(Matrix{{1}, {2}})}) == "codewords: sums (2, 2) and counts (2, 1)" + rule);
    CHECK(all({Var(Matrix(0, 2)), Var(Matrix(1, 0))}) == "codewords: sums (0, 2) and counts (1, 0)" + rule);
    for (const float count : {0.0f, -1.0f, NAN})
        for (const Matrix& counts : {Matrix{{1, count}}, Matrix{{count, 1}}})
            CHECK(error_of([&] {
                      codewords({good.sums, Var(counts)});
                  }).ends_with(", nothing was assigned to it; split_busiest restarts such codes"));
    const auto split = [&](float min_count, float perturb) {
        SummedCodebook book = good;
        return error_of([&] { split_busiest(book, min_count, perturb, Matrix(1, 2)); });
    };
    CHECK(split(0.5f, 0).empty());
    CHECK(split(0.5f, 1).empty());
    for (const float wrong : {NAN, INFINITY})
        CHECK(split(wrong, 0).ends_with("; the count must be finite, the other from 0 to 1"));
    for (const float wrong : {NAN, -0.5f, 1.5f})
        CHECK(split(0.5f, wrong).ends_with("; the count must be finite, the other from 0 to 1"));
}

TEST_SUITE_END();
