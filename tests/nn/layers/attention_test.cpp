#include "nn/layers/attention.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("attention");

TEST_CASE("a key that scores ln 3 higher receives three times the weight") {
    const Matrix q{{std::log(3.0f)}, {0}};  // h = 1: only token 0 asks
    const Matrix k{{0}, {1}};               // only token 1 offers
    const Matrix v{{4}, {8}};
    // by hand: scores, row 0 = [0, ln 3]  ->  A, row 0 = [1, 3] / 4  ->  context 0 = (1*4 + 3*8) / 4 = 7
    //          scores, row 1 = [0, 0]     ->  A, row 1 = [1, 1] / 2  ->  context 1 = (4 + 8) / 2     = 6
    const Attended attended = attend(q, k, v, 1);
    check_close("A", attended.weights.value(), Matrix{{0.25f, 0.75f}, {0.5f, 0.5f}});
    check_close("context", attended.context.value(), Matrix{{7}, {6}});
}

TEST_CASE("the scale is 1 / sqrt(head width), not 1 / sqrt(D)") {
    // D = 8 in two heads of 4: q k^T = 2 ln 3 must become ln 3 through 1 / sqrt(4)
    const float s = 2 * std::log(3.0f);
    const Matrix q{{s, 0, 0, 0, s, 0, 0, 0}}, k{{0, 0, 0, 0, 0, 0, 0, 0}, {1, 0, 0, 0, 1, 0, 0, 0}};
    check_close("A", attend(q, k, k, 2).weights.value(), Matrix{{0.25f, 0.75f}, {0.25f, 0.75f}});
    check_close("scale 1", attend(q, k, k, 2, {.scale = 1}).weights.value(), Matrix{{0.1f, 0.9f}, {0.1f, 0.9f}});  // 1 : 3^2
}

static Matrix random_matrix(int rows, int cols, int seed) {
    Random random(seed);
    return normal_matrix(random, rows, cols);
}

// Attention written with nothing but the elementary operations, one segment and head after the other.
static Matrix attend_step_by_step(const Matrix& q, const Matrix& k, const Matrix& v, int heads, const Segments& queries,
                                  const Segments& keys, const MayAttend& may) {
    const int h = q.cols / heads;
    std::vector<Var> segments;
    for (int s = 0; s < queries.size(); ++s) {
        std::vector<Var> contexts;
        for (int head = 0; head < heads; ++head) {
            const Var q_head = slice_cols(slice_rows(Var(q), queries.list[s].first, queries.list[s].count), head * h, h);
            const Var k_head = slice_cols(slice_rows(Var(k), keys.list[s].first, keys.list[s].count), head * h, h);
            const Var v_head = slice_cols(slice_rows(Var(v), keys.list[s].first, keys.list[s].count), head * h, h);
            Matrix scores = scale(matmul_transposed(q_head, k_head), 1 / std::sqrt(static_cast<float>(h))).value();
            for (int i = 0; i < scores.rows; ++i)
                for (int j = 0; j < scores.cols; ++j)
                    if (!may.everybody() && !may(i, j)) scores(i, j) = -INFINITY;
            contexts.push_back(matmul(softmax_rows(scores), v_head));
        }
        segments.push_back(concat_cols(contexts));
    }
    return concat_rows(segments).value();
}

TEST_CASE("equals the same thing written step by step, with heads, segments of unequal length and a mask") {
    const Matrix q = random_matrix(7, 6, 1), k = random_matrix(7, 6, 2), v = random_matrix(7, 6, 3);
    const Segments segments = Segments::of({3, 4});
    check_close("heads and segments", attend(q, k, v, 3, {.segments = segments}).context.value(),
                attend_step_by_step(q, k, v, 3, segments, segments, {}));
    const Segments one = Segments::one(7);
    check_close("causal", attend(q, k, v, 2, {.may = causal(7, 7)}).context.value(),
                attend_step_by_step(q, k, v, 2, one, one, causal(7, 7)));
}

TEST_CASE("cross-attention: queries and keys may be of different number, segment by segment") {
    const Matrix q = random_matrix(5, 4, 1), k = random_matrix(7, 4, 2), v = random_matrix(7, 4, 3);
    const Segments queries = Segments::of({2, 3}), keys = Segments::of({4, 3});
    const Attended attended = attend(q, k, v, 2, {.segments = queries, .key_segments = keys});
    check_close("context", attended.context.value(), attend_step_by_step(q, k, v, 2, queries, keys, {}));
    REQUIRE(shape(attended.weights.value()) == "(10, 4)");
    CHECK(attended.weights.value()(9, 3) == 0);  // the second segment has three keys; what is not there gets nothing
}

TEST_CASE("sequences of a batch do not see each other") {
    const Matrix a = random_matrix(3, 4, 1), b = random_matrix(3, 4, 2);
    const Matrix both = concat_rows({a, b}).value();
    const Matrix context = attend(both, both, both, 2, {.segments = Segments::equal(2, 3)}).context.value();
    check_close("second alone", slice_rows(context, 3, 3), attend(b, b, b, 2).context.value());
}

TEST_CASE("change the future, the past stays") {
    const Matrix a = random_matrix(5, 4, 1);
    Matrix changed = a;
    for (int j = 0; j < 4; ++j) changed(4, j) += 100;
    const Attending how{.may = causal(5, 5)};
    const Matrix before = attend(a, a, a, 2, how).context.value(), after = attend(changed, changed, changed, 2, how).context.value();
    CHECK(identical(slice_rows(before, 0, 4), slice_rows(after, 0, 4)));
    CHECK(difference(slice_rows(after, 4, 1), slice_rows(before, 4, 1)) != "");
}

TEST_CASE("a query that may attend to nothing receives zeros and sends no gradient") {
    const Var x = parameter(random_matrix(2, 4, 1));
    const Tape tape;
    const Attended attended = attend(x, x, x, 2, {.may = may_attend(Matrix{{0, 0}, {0, 1}})});
    CHECK(identical(slice_rows(attended.context.value(), 0, 1), Matrix(1, 4)));
    backward(sum(slice_rows(attended.context, 0, 1)));
    CHECK(identical(x.gradient(), Matrix(2, 4)));
}

TEST_CASE("a mask for the whole batch gives every sequence its own") {
    const Matrix a = random_matrix(4, 4, 1);
    const Segments segments = Segments::equal(2, 2);
    const Attended attended = attend(a, a, a, 1, {.segments = segments, .may = padding(Matrix{{1, 1}, {1, 0}})});
    CHECK(attended.weights.value()(0, 1) > 0);
    CHECK(attended.weights.value()(2, 1) == 0);
    CHECK(attended.weights.value()(3, 0) == 1);
}

TEST_CASE("a mask for one segment serves a segment that does not begin at row 0; a mask for the batch must reach its last row") {
    const Matrix a = random_matrix(5, 4, 1), end = slice_rows(a, 2, 3);
    const Attending how{.segments = {{{2, 3}}}, .may = causal(3, 3)};
    check_close("rows 2 to 4", slice_rows(attend(a, a, a, 2, how).context.value(), 2, 3),
                attend(end, end, end, 2, {.may = causal(3, 3)}).context.value());
    const Attending beyond{.segments = {{{0, 1}, {3, 2}}}, .may = causal(3, 3)};  // 3 queries, but the last is row 4
    CHECK(without_place(error_of([&] { attend(a, a, a, 2, beyond); })) ==
          "attend: a mask for 3 queries meets a segment of 2 and a batch of 3");
}

TEST_CASE("the bias is added after scaling, head by head") {
    const Matrix zero(2, 2);  // all scores 0: the weights are those of the bias alone
    const Matrix bias{{0, std::log(3.0f)}, {0, 0}, {std::log(3.0f), 0}, {0, 0}};  // head 0, then head 1
    const Matrix weights = attend(zero, zero, zero, 2, {.bias = bias}).weights.value();
    check_close("A", weights, Matrix{{0.25f, 0.75f}, {0.5f, 0.5f}, {0.75f, 0.25f}, {0.5f, 0.5f}});
}

TEST_CASE("gradients against differences: q, k, v, bias; heads, segments, mask") {
    using Inputs = const std::vector<Var>&;
    const Matrix q = random_matrix(5, 4, 1), k = random_matrix(5, 4, 2), v = random_matrix(5, 4, 3);
    const Matrix longer_k = random_matrix(6, 4, 4), longer_v = random_matrix(6, 4, 5), bias = random_matrix(2 * 5, 5, 6);
    const Matrix shared_bias = random_matrix(2 * 2, 3, 7);
    check_gradient_by_differences([](Inputs x) { return attend(x[0], x[1], x[2], 2).context; }, {q, k, v});
    check_gradient_by_differences([](Inputs x) { return attend(x[0], x[1], x[2], 2, {.may = causal(5, 5)}).context; }, {q, k, v});
    check_gradient_by_differences([](Inputs x) { return attend(x[0], x[1], x[2], 4, {.segments = Segments::of({2, 3})}).context; },
                                  {q, k, v});
    check_gradient_by_differences([](Inputs x) { return attend(x[0], x[1], x[2], 2, {.bias = x[3], .scale = 1}).context; },
                                  {q, k, v, bias});
    check_gradient_by_differences(
        [](Inputs x) {
            const Attending how{.segments = Segments::equal(2, 2), .key_segments = Segments::equal(2, 3), .bias = x[3]};
            return attend(slice_rows(x[0], 0, 4), x[1], x[2], 2, how).context;
        },
        {q, longer_k, longer_v, shared_bias});
    check_gradient_by_differences([](Inputs x) { return attend(x[0], x[0], x[0], 2).context; }, {q});
}

TEST_CASE("a cache gives the numbers of the full pass, token by token and several at once") {
    const int T = 6, D = 4;
    Random random(1);
    const Attention w = make_attention(random, D, 0.5f);
    const Matrix a = random_matrix(T, D, 2), b = random_matrix(T, D, 3);
    const Attending how{.segments = Segments::equal(2, T), .may = causal(T, T)};
    const Var both = concat_rows({a, b});
    const Matrix full = attention(both, both, w, 2, how).output.value();
    KeyValueCache cache = make_cache(2, T, D);
    int done = 0;
    for (const int count : {1, 2, 1, 2}) {
        const Var next = concat_rows({slice_rows(a, done, count), slice_rows(b, done, count)});
        const Matrix output = attention(next, w, 2, cache).output.value();
        for (int i = 0; i < count; ++i) {
            check_close("first sequence", slice_rows(output, i, 1), slice_rows(full, done + i, 1));
            check_close("second sequence", slice_rows(output, count + i, 1), slice_rows(full, T + done + i, 1));
        }
        done += count;
    }
    CHECK(cache.filled == T);
    CHECK_THROWS_WITH(attention(slice_rows(both, 0, 2), w, 2, cache),
                      "attention: the cache holds 6 of 6 tokens, 1 more do not fit");
    CHECK_THROWS_WITH(attention(slice_rows(both, 0, 3), w, 2, cache), "attention: 3 new tokens for a cache of 2 sequences");
}

TEST_CASE("what does not fit is refused with the sizes") {
    const Matrix x(4, 6);
    CHECK(without_place(error_of([&] { attend(x, x, x, 4); })) == "attend: 4 heads do not divide a width of 6");
    CHECK(without_place(error_of([&] { attend(x, Matrix(3, 6), x, 2); })) ==
          "attend: q (4, 6), k (3, 6), v (4, 6), all must be equally wide, k and v equally high");
    CHECK(without_place(error_of([&] { attend(x, x, x, 2, {.segments = Segments::of({3, 2})}); })) ==
          "attend: the segment of rows 3 to 5 is outside q, which has 4 rows");
    CHECK(without_place(error_of([&] { attend(x, x, x, 2, {.segments = Segments::one(4), .key_segments = Segments::equal(2, 2)}); })) ==
          "attend: 1 segments of queries but 2 of keys");
    CHECK(without_place(error_of([&] { attend(x, x, x, 2, {.may = causal(3, 3)}); })) ==
          "attend: a mask for 3 queries meets a segment of 4 and a batch of 4");
    CHECK(without_place(error_of([&] { attend(x, x, x, 2, {.bias = Matrix(4, 4)}); })) ==
          "attend: the bias is (4, 4), 2 heads of 4 queries and 4 keys need (8, 4)");
}

TEST_SUITE_END();
