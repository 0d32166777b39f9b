#include "nn/layers/attention.h"

#include <cmath>
#include <vector>

#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/transformer.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("attention");

TEST_CASE("attend: a key that scores ln 3 higher receives three times the weight") {
    const KeepSteps keep;
    const Matrix q{{std::log(3.0f)}, {0}};  // h = 1: only token 0 has a query
    const Matrix k{{0}, {1}};               // only token 1 has a key
    const Matrix v{{4}, {8}};
    // by hand: scores, row 0 = [0, ln 3]  ->  A, row 0 = [1, 3] / 4  ->  context 0 = (1*4 + 3*8) / 4 = 7
    //          scores, row 1 = [0, 0]     ->  A, row 1 = [1, 1] / 2  ->  context 1 = (4 + 8) / 2     = 6
    const Attended attended = attend(q, k, v, 1);
    check_close("A", attended.weights.value(), Matrix{{0.25f, 0.75f}, {0.5f, 0.5f}});
    check_close("context", attended.context.value(), Matrix{{7}, {6}});
}

TEST_CASE("attend: the scale is 1 / sqrt(head width), not 1 / sqrt(D)") {
    const KeepSteps keep;
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

TEST_CASE("attend_textbook: equals attention written with softmax_rows and products") {
    const Matrix q = random_matrix(3, 4, 1), k = random_matrix(5, 4, 2), v = random_matrix(5, 4, 3);
    std::vector<Var> contexts;
    for (int head = 0; head < 2; ++head) {
        const Var q_head = slice_cols(q, 2 * head, 2), k_head = slice_cols(k, 2 * head, 2), v_head = slice_cols(v, 2 * head, 2);
        const Var A = softmax_rows(scale(matmul_transposed(q_head, k_head), 1 / std::sqrt(2.0f)));
        contexts.push_back(matmul(A, v_head));
    }
    check_close("context", attend_textbook(q, k, v, 2), concat_cols(contexts).value());
}

// attend() against its specification.
static void check_against_textbook(const char* what, const Matrix& q, const Matrix& k, const Matrix& v, int heads,
                                   const Attending& how) {
    check_close(what, attend(q, k, v, heads, how).context.value(), attend_textbook(q, k, v, heads, how));
    const KeepSteps keep;
    check_close(what, attend(q, k, v, heads, how).context.value(), attend_textbook(q, k, v, heads, how));
}

TEST_CASE("attend: equals attend_textbook: segments of unequal length, masks, biases, shared key heads, wider values") {
    const Matrix q = random_matrix(7, 12, 1), k = random_matrix(9, 12, 2), v = random_matrix(9, 12, 3);
    const Segments queries = Segments::of({3, 4}), keys = Segments::of({4, 5});
    const Attending crossing{.segments = queries, .key_segments = keys};
    check_against_textbook("cross-attention", q, k, v, 2, crossing);
    const Matrix two_keys = slice_cols(k, 0, 6), two_values = slice_cols(v, 0, 4);
    check_against_textbook("6 heads of width 2 read 3 of keys", q, two_keys, slice_cols(v, 0, 3), 6, crossing);
    check_against_textbook("2 heads of width 6 read one of keys, values of width 4", q, two_keys, two_values, 2, crossing);
    Attending shared = crossing, own = crossing;
    shared.bias = random_matrix(2 * 4, 5, 4);
    own.bias = random_matrix(2 * 7, 5, 5);
    check_against_textbook("one bias for all segments", q, k, v, 2, shared);
    check_against_textbook("a bias for each segment", q, k, v, 2, own);
    const Matrix a = random_matrix(7, 12, 6);
    check_against_textbook("scale", a, a, a, 3, {.segments = queries, .scale = 1.5f});
}

TEST_CASE("attend: equals attend_textbook where queries are taken in pieces: 300 queries under every kind of mask") {
    const int T = 300;
    const Matrix q = random_matrix(T, 8, 1), k = random_matrix(T, 8, 2), v = random_matrix(T, 8, 3);
    Matrix holes(T, T);  // no key for the first 140 queries, then one only
    for (int i = 140; i < T; ++i) holes(i, 299 - i / 2) = 1;
    check_against_textbook("causal", q, k, v, 2, {.may = causal(T, T)});
    check_against_textbook("window", q, k, v, 2, {.may = window(T, 20, 5)});
    check_against_textbook("prefix", q, k, v, 2, {.may = prefix(T, 150)});
    check_against_textbook("holes", q, k, v, 2, {.may = may_attend(holes)});
    check_against_textbook("bias", q, k, v, 2, {.may = causal(T, T), .bias = random_matrix(2 * T, T, 4)});
    check_against_textbook("two sequences", q, k, v, 2, {.segments = Segments::equal(2, 150), .may = causal(150, 150)});
    const Matrix many = random_matrix(900, 4, 5);
    check_against_textbook("no mask, too many for one piece", many, many, many, 1, {});
}

TEST_CASE(
    "attend: under a hook, context and weights equal those of attend() without: segments, masks, biases, shared key heads") {
    const Matrix q = random_matrix(7, 12, 1), k = random_matrix(9, 6, 2), v = random_matrix(9, 4, 3);
    const Segments queries = Segments::of({3, 4}), keys = Segments::of({4, 5});
    const Matrix first{{0, 1, 1, 0, 0}, {1, 0, 0, 1, 0}, {0, 0, 0, 0, 0}};  // the first has 4 keys
    const Matrix second{{0, 1, 0, 0, 1}, {1, 0, 0, 1, 0}, {0, 0, 0, 0, 1}, {1, 1, 0, 0, 0}};
    const MayAttend may = may_attend(concat_rows({first, second}).value());
    const Matrix shared = random_matrix(2 * 4, 5, 4), own = random_matrix(2 * 7, 5, 5);
    for (const Attending& how :
         {Attending{.segments = queries, .key_segments = keys}, Attending{.segments = queries, .key_segments = keys, .may = may},
          Attending{.segments = queries, .key_segments = keys, .bias = shared},
          Attending{.segments = queries, .key_segments = keys, .may = may, .bias = own, .scale = 1.5f},
          Attending{.segments = queries, .key_segments = Segments{{{2, 3}, {0, 0}}}, .may = may}}) {
        const KeepSteps keep;
        const Attended at_once = attend(q, k, v, 2, how);
        const Recording recording;
        const Attended in_steps = attend(q, k, v, 2, how);
        check_close("context", in_steps.context.value(), at_once.context.value());
        check_close("weights", in_steps.weights.value(), at_once.weights.value());
    }
}

TEST_CASE("attend: gradients in pieces equal those of a batch of short sequences") {
    // Causal attention inside blocks of 50: as one sequence of 300 (three pieces) with a mask, and as six sequences.
    const int T = 300;
    std::vector<int> block_of(T);
    for (int i = 0; i < T; ++i) block_of[i] = i / 50;
    const Attending one{.may = same_span(block_of) & causal(T, T)};
    const Attending six{.segments = Segments::equal(6, 50), .may = causal(50, 50)};
    const Matrix dcontext = random_matrix(T, 8, 9);
    std::vector<Matrix> gradients;
    for (const Attending& how : {one, six}) {
        const Var q = parameter(random_matrix(T, 8, 1)), k = parameter(random_matrix(T, 4, 2)),
                  v = parameter(random_matrix(T, 4, 3));
        const Tape tape;
        backward(sum(multiply(attend(q, k, v, 4, how).context, dcontext)));
        for (const Var& x : {q, k, v}) gradients.push_back(x.gradient());
    }
    for (int x = 0; x < 3; ++x) check_close("gradient", gradients[x], gradients[3 + x]);
}

TEST_CASE("attend: query head j uses key head floor(j / (H / G))") {
    // H = 4 heads of width 1, G = 2 heads of keys: heads 0 and 1 read key head 0, heads 2 and 3 read key head 1
    const Matrix q{{1, 1, 1, 1}}, k{{0, 0}}, v{{10, 20}};
    check_close("context", attend(q, k, v, 4).context.value(), Matrix{{10, 10, 20, 20}});
}

TEST_CASE("attend: sequences of a batch do not attend to each other") {
    const Matrix a = random_matrix(3, 4, 1), b = random_matrix(3, 4, 2);
    const Matrix both = concat_rows({a, b}).value();
    const Matrix context = attend(both, both, both, 2, {.segments = Segments::equal(2, 3)}).context.value();
    check_close("second alone", slice_rows(context, 3, 3), attend(b, b, b, 2).context.value());
}

TEST_CASE("attend: under a causal mask, changing the future does not change the past") {
    const Matrix a = random_matrix(5, 4, 1);
    Matrix changed = a;
    for (int j = 0; j < 4; ++j) changed(4, j) += 100;
    const Attending how{.may = causal(5, 5)};
    const Matrix before = attend(a, a, a, 2, how).context.value(),
                 after = attend(changed, changed, changed, 2, how).context.value();
    CHECK(identical(slice_rows(before, 0, 4), slice_rows(after, 0, 4)));
    CHECK(difference(slice_rows(after, 4, 1), slice_rows(before, 4, 1)) != "");
}

TEST_CASE("attend: a query that may attend to nothing receives zeros and sends no gradient") {
    const Var x = parameter(random_matrix(2, 4, 1));
    const Tape tape;
    const Attended attended = attend(x, x, x, 2, {.may = may_attend(Matrix{{0, 0}, {0, 1}})});
    CHECK(identical(slice_rows(attended.context.value(), 0, 1), Matrix(1, 4)));
    backward(sum(slice_rows(attended.context, 0, 1)));
    CHECK(identical(x.gradient(), Matrix(2, 4)));
    const Attending without_keys{.segments = Segments::of({1, 1}), .key_segments = Segments::of({2, 0}), .may = causal(2, 2)};
    CHECK(identical(slice_rows(attend(x, x, x, 2, without_keys).context.value(), 1, 1), Matrix(1, 4)));
}

TEST_CASE("attend: a mask for the whole batch gives every sequence its own") {
    const KeepSteps keep;
    const Matrix a = random_matrix(4, 4, 1);
    const Segments segments = Segments::equal(2, 2);
    const Attended attended = attend(a, a, a, 1, {.segments = segments, .may = padding(Matrix{{1, 1}, {1, 0}})});
    CHECK(attended.weights.value()(0, 1) > 0);
    CHECK(attended.weights.value()(2, 1) == 0);
    CHECK(attended.weights.value()(3, 0) == 1);
}

TEST_CASE("attend: a mask for one segment serves one that does not begin at row 0") {
    const Matrix a = random_matrix(6, 4, 1), end = slice_rows(a, 3, 3);
    const Attending how{.segments = Segments::equal(2, 3), .may = causal(3, 3)};
    check_close("rows 3 to 5", slice_rows(attend(a, a, a, 2, how).context.value(), 3, 3),
                attend(end, end, end, 2, {.may = causal(3, 3)}).context.value());
    const Attending unequal{.segments = Segments::of({3, 1, 2}), .may = causal(3, 3)};
    CHECK(without_place(error_of([&] { attend(a, a, a, 2, unequal); })) ==
          "attend: a mask for 3 queries meets a segment of 1 and a batch of 6; it must have a row for each query of one of them");
}

TEST_CASE("attend: the bias is added after scaling, head by head") {
    const KeepSteps keep;
    const Matrix zero(2, 2);  // all scores 0: the weights are those of the bias alone
    const Matrix bias{{0, std::log(3.0f)}, {0, 0}, {std::log(3.0f), 0}, {0, 0}};  // head 0, then head 1
    const Matrix weights = attend(zero, zero, zero, 2, {.bias = bias}).weights.value();
    check_close("A", weights, Matrix{{0.25f, 0.75f}, {0.5f, 0.5f}, {0.75f, 0.25f}, {0.5f, 0.5f}});
}

TEST_CASE("attend: gradients of q, k, v and bias agree with finite differences; heads, segments, mask") {
    using Inputs = const std::vector<Var>&;
    const Matrix q = random_matrix(5, 4, 1), k = random_matrix(5, 4, 2), v = random_matrix(5, 4, 3);
    const Matrix longer_k = random_matrix(6, 4, 4), longer_v = random_matrix(6, 4, 5), bias = random_matrix(2 * 5, 5, 6);
    const Matrix shared_bias = random_matrix(2 * 2, 3, 7);
    check_gradient_by_differences([](Inputs x) { return attend(x[0], x[1], x[2], 2).context; }, {q, k, v});
    check_gradient_by_differences([](Inputs x) { return attend(x[0], x[1], x[2], 2, {.may = causal(5, 5)}).context; }, {q, k, v});
    check_gradient_by_differences(
        [](Inputs x) {
            return attend(x[0], x[1], x[2], 4, {.segments = Segments::of({2, 3})}).context;
        },
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
    const Matrix wide = random_matrix(5, 8, 8), own_bias = random_matrix(4 * 5, 3, 9);
    check_gradient_by_differences(
        [](Inputs x) {
            return attend(x[0], x[1], x[2], 4, {.segments = Segments::of({2, 3}), .bias = x[3]}).context;
        },
        {wide, k, slice_cols(v, 0, 2), own_bias});
}

TEST_CASE("attention: queries, keys and values may have three different inputs") {
    Random random(1);
    const Attention w = make_attention(random, 4, {.stddev = 0.5f});
    const Var a = random_matrix(3, 4, 2), b = random_matrix(5, 4, 3), c = random_matrix(5, 4, 4);
    const AttentionSteps steps = attention({a, b, c}, w, 2);
    check_close("query", steps.query.value(), linear(a, w.query).value());
    check_close("key", steps.key.value(), linear(b, w.key).value());
    check_close("value", steps.value.value(), linear(c, w.value).value());
}

TEST_CASE("attention: with rotary positions, shifting all tokens changes nothing, and a cache continues the positions") {
    Random random(1);
    const Attention w = make_attention(random, 8, {.stddev = 0.5f});
    const Var x = random_matrix(5, 8, 2);
    const Attending turned{.may = causal(5, 5), .rotary = {.base = 10000}};
    const Attending moved{.may = causal(5, 5), .rotary = {.base = 10000, .positions = {7, 8, 9, 10, 11}}};
    const Matrix full = attention(x, w, 2, turned).output.value();
    check_close("moved", attention(x, w, 2, moved).output.value(), full, {2e-5f, 1e-4f});
    CHECK(difference(attention(x, w, 2, {.may = causal(5, 5)}).output.value(), full) != "");
    KeyValueCache cache = make_cache(1, 5, 8);
    for (int t = 0; t < 5; ++t)
        check_close("token", attention(slice_rows(x, t, 1), w, 2, {.rotary = {.base = 10000}, .cache = &cache}).output.value(),
                    slice_rows(full, t, 1));
}

TEST_CASE("attention: rotary positions turn the pairs of each head, also of a single one") {
    Random random(1);
    const Attention w = make_attention(random, 8, {.stddev = 0.5f});
    const Var x = random_matrix(3, 8, 2);
    for (const int heads : {1, 2, 4}) {
        const AttentionSteps steps = attention(x, w, heads, {.rotary = {.base = 100}});
        check_close("query", steps.rotated_query.value(), rotate(steps.query, {0, 1, 2}, 8 / heads, 100).value());
        check_close("key", steps.rotated_key.value(), rotate(steps.key, {0, 1, 2}, 8 / heads, 100).value());
    }
}

TEST_CASE("attention: keys and values of a source are projected once, in the first call") {
    Random random(1);
    const Attention w = make_attention(random, 4, {.stddev = 0.5f});
    const Var x = random_matrix(2, 4, 2), source = random_matrix(5, 4, 3);
    const Attending how{.segments = Segments::equal(2, 1), .key_segments = Segments::of({2, 3})};
    const Matrix expected = attention({x, source}, w, 2, how).output.value();
    KeyValueCache kept = make_source_cache();
    Attending with_cache = how;
    with_cache.cache = &kept;
    CHECK(identical(attention({x, source}, w, 2, with_cache).output.value(), expected));
    const Var not_looked_at = random_matrix(1, 4, 5);
    CHECK(identical(attention({x, not_looked_at}, w, 2, with_cache).output.value(), expected));
    // beams: both sequences continue with the second source
    KeyValueCache second = select_sequences(kept, {1, 1});
    with_cache.cache = &second;
    const Matrix both = attention({x, not_looked_at}, w, 2, with_cache).output.value();
    const Attending of_second{.segments = Segments::equal(2, 1), .key_segments = {{{2, 3}, {2, 3}}}};
    check_close("selected", both, attention({x, source}, w, 2, of_second).output.value());
}

TEST_CASE("select_sequences: each sequence of the new cache continues the chosen one") {
    Random random(1);
    const Attention w = make_attention(random, 4, {.stddev = 0.5f});
    const Var first = random_matrix(2 * 3, 4, 2), next = random_matrix(3, 4, 3);
    KeyValueCache cache = make_cache(2, 4, 4);
    attention(first, w, 2, {.cache = &cache});
    KeyValueCache chosen = select_sequences(cache, {1, 0, 1});
    const Matrix output = attention(next, w, 2, {.cache = &chosen}).output.value();
    const Var alone = concat_rows({slice_rows(first, 3, 3), slice_rows(next, 2, 1)});
    check_close("third", slice_rows(output, 2, 1),
                slice_rows(attention(alone, w, 2, {.may = causal(4, 4)}).output.value(), 3, 1));
    CHECK_THROWS_WITH(select_sequences(cache, {0, 2}), "select_sequences: there is no sequence 2 among 2, counted from 0");
    CHECK_THROWS_WITH(select_sequences(cache, {-1}), "select_sequences: there is no sequence -1 among 2, counted from 0");
    CHECK_THROWS_WITH(select_sequences(cache, {}), "select_sequences: none of 2 sequences is chosen; choose at least one");
}

TEST_CASE("attention: with a cache equals the full pass, token by token and several at once") {
    const int T = 6, D = 4;
    Random random(1);
    const Attention w = make_attention(random, D, {.stddev = 0.5f});
    const Matrix a = random_matrix(T, D, 2), b = random_matrix(T, D, 3);
    const Attending how{.segments = Segments::equal(2, T), .may = causal(T, T)};
    const Var both = concat_rows({a, b});
    const Matrix full = attention(both, w, 2, how).output.value();
    KeyValueCache cache = make_cache(2, T, D);
    int done = 0;
    for (const int count : {1, 2, 1, 2}) {
        const Var next = concat_rows({slice_rows(a, done, count), slice_rows(b, done, count)});
        const Matrix output = attention(next, w, 2, {.cache = &cache}).output.value();
        for (int i = 0; i < count; ++i) {
            check_close("first sequence", slice_rows(output, i, 1), slice_rows(full, done + i, 1));
            check_close("second sequence", slice_rows(output, count + i, 1), slice_rows(full, T + done + i, 1));
        }
        done += count;
    }
    CHECK(cache.filled == T);
    CHECK_THROWS_WITH(attention(slice_rows(both, 0, 2), w, 2, {.cache = &cache}),
                      "attention: the cache holds 6 of 6 tokens, 1 more do not fit; make it with a larger capacity");
    CHECK_THROWS_WITH(attention(slice_rows(both, 0, 3), w, 2, {.cache = &cache}),
                      "attention: 3 new tokens for a cache of 2 sequences; each needs the same number");
}

TEST_CASE("attend, attention: sizes that do not fit are refused with the sizes") {
    const Matrix x(4, 6);
    CHECK(without_place(error_of([&] { attend(x, x, x, 4); })) == "attend: 4 heads do not divide a width of 6");
    CHECK(without_place(error_of([&] { attend(x, Matrix(3, 6), x, 2); })) ==
          "attend: k (3, 6) and v (4, 6) must have the same number of rows");
    CHECK(without_place(error_of([&] { attend(x, Matrix(4, 5), x, 2); })) ==
          "attend: q (4, 6) has 2 heads of width 3, k (4, 5) must hold a number of such heads that divides 2");
    CHECK(without_place(error_of([&] { attend(x, x, Matrix(4, 5), 2); })) ==
          "attend: v (4, 5) must hold 2 heads as k (4, 6) does");
    CHECK(without_place(error_of([&] {
              attend(x, x, x, 2, {.segments = Segments::of({3, 2})});
          })) == "attend: the segment of rows 3 to 5 is outside q, which has 4 rows");
    CHECK(without_place(error_of([&] {
              attend(x, x, x, 2, {.segments = Segments::one(4), .key_segments = Segments::equal(2, 2)});
          })) == "attend: 1 segments of queries but 2 of keys");
    CHECK(without_place(error_of([&] { attend(x, x, x, 2, {.may = causal(3, 3)}); })) ==
          "attend: a mask for 3 queries meets a segment of 4 and a batch of 4; it must have a row for each query of one of them");
    CHECK(without_place(error_of([&] { attend(x, x, x, 2, {.bias = Matrix(4, 4)}); })) ==
          "attend: the bias is (4, 4), 2 heads of 4 queries and 4 keys need (8, 4), or (8, 4) for all segments");
}

TEST_CASE("attend, attend_textbook, make_cache: a scale below 0, heads that do not divide, and empty caches are refused") {
    const Matrix x(2, 6, 1);
    CHECK(without_place(error_of([&] { attend(x, x, x, 2, {.scale = -1}); })) ==
          "attend: a scale of -1.000000, it must be a number above 0, or 0 for 1 / sqrt(head width)");
    CHECK(without_place(error_of([&] { attend(x, x, x, 2, {.scale = std::nanf("")}); })) ==
          "attend: a scale of nan, it must be a number above 0, or 0 for 1 / sqrt(head width)");
    CHECK(error_of([&] {
              attend(x, x, x, 2, {.scale = INFINITY});
          }).ends_with("a scale of inf, it must be a number above 0, or 0 for 1 / sqrt(head width)"));
    CHECK(without_place(error_of([&] { attend(Matrix(2, 0), x, x, 2); })) ==
          "attend: q (2, 0) has 2 heads of width 0, k (2, 6) must hold a number of such heads that divides 2");
    CHECK_THROWS_WITH(attend_textbook(x, x, x, 4), "attend_textbook: 4 heads do not divide a width of 6");
    CHECK(without_place(error_of([&] { attend(x, x, x, 0); })) == "attend: 0 heads do not divide a width of 6");
    CHECK(without_place(error_of([&] { attend(x, x, x, -2); })) == "attend: -2 heads do not divide a width of 6");
    const Matrix two(2, 2, 1), four(2, 4, 1), five(2, 5, 1);
    for (const auto& [k, v] : {std::pair{two, two}, {five, x}, {x, five}})  // no head of width 3, one and a half, five halves
        CHECK(error_of([&] {
                  attend_textbook(x, k, v, 2);
              }).starts_with("attend_textbook: q (2, 6) has 2 heads of width 3, k (2, "));
    CHECK(error_of([&] { attend_textbook(x, four, four, 3); }).starts_with("attend_textbook: q (2, 6) has 3 heads of width 2"));
    CHECK_THROWS_WITH(attend_textbook(x, x, x, 0), "attend_textbook: 0 heads do not divide a width of 6");
    CHECK(error_of([&] {
              attend_textbook(x, Matrix(2, 0), Matrix(2, 0), 2);
          }).starts_with("attend_textbook: q (2, 6) has 2 heads"));
    const Matrix empty(2, 0);
    CHECK(without_place(error_of([&] { attend(x, empty, x, 2); })) ==
          "attend: q (2, 6) has 2 heads of width 3, k (2, 0) must hold a number of such heads that divides 2");
    CHECK(without_place(error_of([&] { attend(x, x, empty, 2); })) == "attend: v (2, 0) must hold 2 heads as k (2, 6) does");
    CHECK(identical(attend(x, x, x, 2, {.segments = Segments::of({2, 0})}).context.value(),
                    attend(x, x, x, 2).context.value()));  // an empty one
    CHECK_THROWS_WITH(attend_textbook(empty, empty, empty, 2), "attend_textbook: 2 heads do not divide a width of 0");
    CHECK_THROWS_WITH(attend_textbook(x, Matrix(2, 2, 1), x, 2),
                      "attend_textbook: q (2, 6) has 2 heads of width 3, k (2, 2) must hold a number of such heads that divides "
                      "2, and v (2, 6) as many");
    CHECK_THROWS_WITH(make_cache(0, 3, 4), "make_cache: 0 sequences of 3 tokens with keys of width 4, each must be at least 1");
    CHECK(make_cache(1, 1, 1).values.cols() == 1);
    CHECK(make_cache(1, 1, 3, 1).values.cols() == 1);
    CHECK_THROWS_WITH(make_cache(1, 0, 4), "make_cache: 1 sequences of 0 tokens with keys of width 4, each must be at least 1");
    CHECK_THROWS_WITH(make_cache(1, 3, 0), "make_cache: 1 sequences of 3 tokens with keys of width 0, each must be at least 1");
}

TEST_CASE("attend, attention: a mask or a cache whose members do not fit together is refused") {
    const Matrix x{{1, 2}, {3, 4}};
    CHECK(without_place(error_of([&] {
              attend(x, x, x, 1, {.may = {2, 2, {1, 1, 1}}});
          })) == "attend: a mask of 2 queries and 2 keys holds 3 entries, one for each pair is needed");
    CHECK_THROWS_WITH(make_cache(60000, 60000, 1),
                      "make_cache: 60000 sequences of 60000 tokens are more than 2147483647 rows, the maximum of a matrix");
    Random random(1);
    const Attention w = make_attention(random, 2);
    const std::string cure = " rows of keys; make it with make_cache, and leave its members alone";
    const auto refusal = [&](KeyValueCache cache) { return error_of([&] { attention(Var(x), w, 1, {.cache = &cache}); }); };
    KeyValueCache negative = make_cache(1, 4, 2), cut = make_cache(1, 4, 2), bare = make_cache(1, 4, 2);
    negative.filled = -1;
    cut.keys = Matrix(1, 1);
    bare.keys = Var();
    CHECK(refusal(negative) == "attention: a cache of 1 sequences of 4 tokens, -1 of them filled, holds 4" + cure);
    CHECK(refusal(cut) == "attention: a cache of 1 sequences of 4 tokens, 0 of them filled, holds 1" + cure);
    CHECK(refusal(bare) == "attention: a cache of 1 sequences of 4 tokens, 0 of them filled, holds 0" + cure);
    CHECK(refusal(KeyValueCache{}) == "attention: 2 new tokens for a cache of 0 sequences; each needs the same number");
    CHECK(refusal(make_cache(1, 4, 2)) == "");
}

TEST_CASE("attend: each bound of a segment, a mask of too few keys, and segments out of order under a hook are refused") {
    const Matrix x(4, 6, 1);
    const auto with_segment = [&](int first, int count) {
        return without_place(error_of([&] {
            attend(x, x, x, 2, {.segments = Segments{{{first, count}}}, .key_segments = Segments::one(4)});
        }));
    };
    CHECK(with_segment(0, 4).empty());
    CHECK(with_segment(3, 1) == "attend: no segment holds row 0 of q, which has 4; each belongs to one sequence");
    CHECK(with_segment(-1, 2) == "attend: the segment of rows -1 to 1 is outside q, which has 4 rows");
    CHECK(with_segment(2, -1) == "attend: the segment of rows 2 to 1 is outside q, which has 4 rows");
    CHECK(with_segment(3, 2) == "attend: the segment of rows 3 to 5 is outside q, which has 4 rows");
    const auto with_mask = [&](int queries, int keys) {
        return without_place(error_of([&] {
            attend(x, x, x, 2, {.may = {queries, keys, std::vector<char>(static_cast<std::size_t>(queries) * keys, 1)}});
        }));
    };
    CHECK(with_mask(4, 4).empty());
    CHECK(with_mask(4, 3) == "attend: a mask for 3 keys meets a segment of 4; it must have a column for each of them");
    const Segments swapped{{{2, 2}, {0, 2}}};
    CHECK_NOTHROW(attend(x, x, x, 2, {.segments = swapped}));
    const Recording recording;
    CHECK_THROWS_WITH(attend(x, x, x, 2, {.segments = swapped}), "attend: under a hook, segments must lie one after the other");
    CHECK_NOTHROW(attend(x, x, x, 2, {.segments = Segments::equal(2, 2)}));
}

TEST_CASE("attend: queries of two segments or of none are refused; keys may serve two or none") {
    const Matrix x(4, 6, 1);
    const auto refusal = [&](const std::vector<Segment>& queries, const std::vector<Segment>& keys) {
        return without_place(error_of([&] { attend(x, x, x, 2, {.segments = {queries}, .key_segments = {keys}}); }));
    };
    CHECK(refusal({{0, 2}, {2, 2}}, {{0, 2}, {2, 2}}).empty());
    CHECK(refusal({{2, 2}, {0, 2}}, {{0, 2}, {2, 2}}).empty());
    CHECK(refusal({{0, 2}, {2, 0}, {2, 2}}, {{0, 1}, {0, 0}, {3, 1}}).empty());
    CHECK(refusal({{0, 2}, {2, 2}}, {{0, 3}, {2, 2}}).empty());
    CHECK(refusal({{0, 2}, {1, 3}}, {{0, 2}, {2, 2}}) == "attend: two segments hold row 1 of q; a row belongs to one sequence");
    CHECK(refusal({{1, 3}, {0, 2}}, {{0, 2}, {2, 2}}) == "attend: two segments hold row 1 of q; a row belongs to one sequence");
    const std::string rule = " of q, which has 4; each belongs to one sequence";
    CHECK(refusal({{1, 1}, {2, 2}}, {{0, 2}, {2, 2}}) == "attend: no segment holds row 0" + rule);
    CHECK(refusal({{0, 2}, {3, 1}}, {{0, 2}, {2, 2}}) == "attend: no segment holds row 2" + rule);
    CHECK(refusal({{0, 2}, {2, 1}}, {{0, 2}, {2, 2}}) == "attend: no segment holds row 3" + rule);
}

TEST_CASE("attention: a cache for keys or values of another width is refused, and is unchanged") {
    const Matrix x(1, 4, 1);
    Random random(1);
    const Attention w = make_attention(random, BlockShape{.width = 4, .key_value_width = 2}, 4);
    for (const auto& [keys, values] : {std::pair{4, 4}, {2, 4}, {4, 2}, {1, 1}}) {
        KeyValueCache cache = make_cache(1, 3, keys, values);
        CHECK(error_of([&] { attention(Var(x), w, 2, {.cache = &cache}); }) ==
              joined({"attention: keys (1, 2) and values (1, 2) for a cache of keys of width ", keys, " and values of width ",
                      values, "; make it with the configuration of the weights"}));
        CHECK(cache.filled == 0);
    }
    KeyValueCache cache = make_cache(1, 3, 2);
    CHECK_NOTHROW(attention(Var(x), w, 2, {.cache = &cache}));
}

TEST_CASE("Attending: the defaults") {
    const Attending usual{};
    CHECK(usual.scale == 0);
}

TEST_CASE("make_cache, attention: values of a width below 0, and a source for a cache of the tokens themselves, are refused") {
    CHECK_THROWS_WITH(make_cache(1, 2, 4, -3), "make_cache: values of width -3, it cannot be below 0; 0 = as wide as the keys");
    Random random(1);
    const Attention w = make_attention(random, 4);
    const Var x = Matrix(3, 4, 1);
    for (const int rows : {2, 4}) {
        KeyValueCache cache = make_cache(1, 9, 4);
        CHECK(error_of([&] {
                  attention({x, Var(Matrix(rows, 4))}, w, 2, {.cache = &cache});
              })
                  .ends_with(" for a cache of 1 sequences with 3 new tokens each; each token has one of both, a source needs "
                             "make_source_cache"));
        CHECK(cache.filled == 0);
    }
    KeyValueCache cache = make_cache(1, 9, 4);
    CHECK(error_of([&] {
              attention({x, x, Var(Matrix(2, 4))}, w, 2, {.cache = &cache});
          }).find("values (2, 4) for a cache") != std::string::npos);
    KeyValueCache of_source = make_source_cache();
    CHECK_THROWS_WITH(attention(x, w, 2, {.rotary = {.base = 100}, .cache = &of_source}),
                      "attention: a rotation and a cache of a source; the keys of a source have no positions among the queries");
    CHECK_FALSE(of_source.keys);
}

TEST_CASE("attend, attend_textbook: a rotation or a cache, which attention() applies, is refused") {
    const Var x = Matrix(2, 4, 1);
    KeyValueCache cache = make_cache(1, 4, 4);
    const std::string rule =
        "attend: a rotation or a cache is given, which attention() applies to the projected queries and keys; call that";
    for (const Attending& how : {Attending{.rotary = {.base = 10000}}, Attending{.cache = &cache}}) {
        CHECK(error_of([&] { attend(x, x, x, 2, how); }).ends_with(rule));
        CHECK(error_of([&] { attend_textbook(x.value(), x.value(), x.value(), 2, how); }).ends_with(rule));
    }
}

TEST_CASE("attend_textbook: segments, masks, biases and scales that do not fit are refused as by attend()") {
    const Matrix x(4, 4, 1);
    const auto refusal = [&](const Attending& how) { return error_of([&] { attend_textbook(x, x, x, 2, how); }); };
    const auto ends = [&](const Attending& how, const std::string& words) { return refusal(how).ends_with(words); };
    CHECK(refusal({.segments = Segments::equal(2, 2), .may = causal(2, 2), .bias = Var(Matrix(4, 2)), .scale = 1}).empty());
    CHECK(ends({.segments = {{{0, 9}}}}, "attend: the segment of rows 0 to 9 is outside q, which has 4 rows"));
    CHECK(ends({.may = {4, 4, {1}}}, "attend: a mask of 4 queries and 4 keys holds 1 entries, one for each pair is needed"));
    CHECK(ends({.bias = Var(Matrix(3, 3))}, "need (8, 4), or (8, 4) for all segments"));
    CHECK(ends({.scale = -1}, "it must be a number above 0, or 0 for 1 / sqrt(head width)"));
    CHECK(error_of([&] {
              attend_textbook(x, x, Matrix(3, 4), 2);
          }).ends_with("attend: k (4, 4) and v (3, 4) must have the same number of rows"));
}

TEST_SUITE_END();
