// attention.cpp: the questions for the tasks of the module attention.
#include "nn/layers/attention.h"

#include <algorithm>

#include "course/drawn/drawn.h"
#include "nn/autograd/operations.h"
#include "nn/layers/mask.h"
#include "nn/layers/norm.h"
#include "nn/layers/position.h"

// 1 = may, 0 = may not.
static Matrix picture(const MayAttend& may) {
    const std::size_t entries = static_cast<std::size_t>(may.queries) * static_cast<std::size_t>(may.keys);
    require(may.table.size() == entries, "a mask of ", may.queries, " x ", may.keys, " has ", may.table.size(), " entries");
    Matrix m(may.queries, may.keys);
    std::transform(may.table.begin(), may.table.end(), m.begin(), [](auto entry) { return entry != 0; });
    return m;
}

static Matrix ones_and_zeros(Random& random, int rows, int cols) {
    Matrix m(rows, cols);
    for (float& x : m) x = random.below(5) < 3;
    return m;
}

// Written out here, so that one task does not depend on another.
static MayAttend triangle(int n, int m) {
    Matrix may(n, m);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < m; ++j) may(i, j) = j - i <= m - n;
    return may_attend(may);
}

static const Drawn causal_mask("causal", [](Random& random, int round, Answers& answers) {
    const int n = between(random, 3, 6) + round, seen = between(random, 1, 4);
    answers.ask("n queries of n tokens", [&] { return picture(causal(n, n)); });
    answers.ask("n queries after a cache", [&] { return picture(causal(n, n + seen)); });
    answers.ask("one query after a cache", [&] { return picture(causal(1, n + seen)); });
});

static const Drawn padding_mask("padding", [](Random& random, int round, Answers& answers) {
    const int B = between(random, 2, 3) + round, T = between(random, 4, 6);
    Matrix right(B, T), left(B, T);
    for (int b = 0; b < B; ++b) {
        const int length = between(random, 1, T);
        for (int t = 0; t < T; ++t) right(b, t) = t < length, left(b, t) = t >= T - length;
    }
    const Matrix any = ones_and_zeros(random, B, T);
    answers.ask("padding on the right", [&] { return picture(padding(right)); });
    answers.ask("padding on the left", [&] { return picture(padding(left)); });
    answers.ask("padding anywhere", [&] { return picture(padding(any)); });
});

static const Drawn both_masks("both_masks", [](Random& random, int round, Answers& answers) {
    const int n = between(random, 2, 4), m = n + between(random, 1, 3), times = 2 + round;
    const MayAttend a = may_attend(ones_and_zeros(random, n, m)), b = may_attend(ones_and_zeros(random, n, m));
    const MayAttend batch = may_attend(ones_and_zeros(random, times * n, m));
    answers.ask("two masks of one size", [&] { return picture(a & b); });
    answers.ask("one mask for every sequence of a batch", [&] { return picture(batch & a); });
    answers.ask("the mask of a batch comes second", [&] { return picture(b & batch); });
    answers.ask("the first hides nothing", [&] { return picture(MayAttend{} & a); });
    answers.ask("the second hides nothing", [&] { return picture(a & MayAttend{}); });
});

static const Drawn scaled_dot_product("attention", [](Random& random, int round, Answers& answers) {
    const int H = 2 + round, h = between(random, 3, 5), n = between(random, 3, 5), m = n + 2, D = H * h;
    const Matrix q = normal_matrix(random, n, D), k = normal_matrix(random, m, D), v = normal_matrix(random, m, D);
    answers.ask("one head", [&] { return attend_textbook(q, k, v, 1); });
    answers.ask("several heads", [&] { return attend_textbook(q, k, v, H); });
    answers.ask("a causal mask", [&] { return attend_textbook(q, k, v, H, {.may = triangle(n, m)}); });

    Matrix hides_all = ones_and_zeros(random, n, m);
    std::fill_n(hides_all.begin(), m, 0.0f);  // its first row
    answers.ask("a query that may attend to nothing",
                [&] { return attend_textbook(q, k, v, H, {.may = may_attend(hides_all)}); });

    const Matrix wide = normal_matrix(random, m, H * (h + 2));
    answers.ask("values of another width", [&] { return attend_textbook(q, k, wide, H); });
    const Matrix shared_k = normal_matrix(random, m, h), shared_v = normal_matrix(random, m, h);
    answers.ask("one head of keys and values for all queries", [&] { return attend_textbook(q, shared_k, shared_v, H); });
    const Matrix four_q = normal_matrix(random, n, 4 * h), two_k = normal_matrix(random, m, 2 * h),
                 two_v = normal_matrix(random, m, 2 * h);
    answers.ask("four heads of queries, two of keys", [&] { return attend_textbook(four_q, two_k, two_v, 4); });

    Attending sequences;
    sequences.segments = Segments::of({2, n, 3});
    sequences.key_segments = Segments::of({3, m, 4});
    const Matrix many_q = normal_matrix(random, n + 5, D), many_k = normal_matrix(random, m + 7, D),
                 many_v = normal_matrix(random, m + 7, D);
    answers.ask("three sequences", [&] { return attend_textbook(many_q, many_k, many_v, H, sequences); });

    const Matrix bias = normal_matrix(random, H * n, m);
    answers.ask("a bias on the scores", [&] { return attend_textbook(q, k, v, H, {.bias = bias}); });
    answers.ask("another scale", [&] { return attend_textbook(q, k, v, H, {.scale = 0.3f}); });
});

static const Drawn layer_norm_rows("layer_norm", [](Random& random, int round, Answers& answers) {
    const int n = between(random, 3, 5), D = 4 + 2 * round + between(random, 0, 1);
    Matrix x = normal_matrix(random, n, D, 2);
    for (float& number : x) number += 1.5f;
    const Norm none;
    Norm learned;
    learned.gain = uniform_matrix(random, 1, D, 0.5f, 1.5f);
    learned.bias = normal_matrix(random, 1, D);
    answers.ask("mean and variance", [&] { return layer_norm(x, none, 0); });
    answers.ask("a large eps", [&] { return layer_norm(x, none, 0.7f); });
    answers.ask("gain and bias", [&] { return layer_norm(x, learned, 0.1f); });
    answers.ask("the mean stays: RMS norm", [&] { return rms_norm(x, none, 0.1f); });
    const Matrix weights = normal_matrix(random, n, D);
    answers.ask("the gradient", [&] {
        const Var input = parameter(x);
        const Tape tape;
        backward(sum(multiply(layer_norm(input, learned, 0.1f), weights)));
        return Matrix(input.gradient());
    });
});

static const Drawn rotation("rotation", [](Random& random, int round, Answers& answers) {
    const int h = 4 + 2 * round, heads = 2, n = between(random, 3, 5);
    const Matrix x = normal_matrix(random, n, heads * h);
    std::vector<int> positions;
    for (int i = 0; i < n; ++i) positions.push_back(between(random, 0, 30));
    answers.ask("one head, pairs in halves", [&] { return rotate(x, positions, heads * h, 100); });
    answers.ask("two heads, pairs in halves", [&] { return rotate(x, positions, h, 10000); });
    answers.ask("two heads, neighbours are a pair", [&] { return rotate(x, positions, h, 10000, RotaryLayout::neighbours); });
    answers.ask("the gradient is turned back", [&] {
        const Var input = parameter(x);
        const Tape tape;
        backward(sum(square(rotate(input, positions, h, 50))));
        return Matrix(input.gradient());
    });
});
