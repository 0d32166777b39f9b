// masks.cpp: who may look at whom, and what comes out when the table is read the wrong way.
//
//   shows    that padding, causal, windowed and prefix attention differ in one table, and which number betrays each wrong use
//   symbols  n tokens   A (n, n) weights, row = who looks, column = at whom
//   next     ../vit/patch_embedding.cpp
#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "nn/layers/attention.h"
#include "walkthroughs/lesson/lesson.h"

static const int n = 5;

// '#' may, '.' may not; a row for each token that looks.
static Drawing drawing(const MayAttend& may) {
    Drawing lines{{}, 2 * may.keys};
    for (int i = 0; i < may.queries; ++i) {
        std::string line;
        for (int j = 0; j < may.keys; ++j) line += may(i, j) ? "# " : ". ";
        lines.lines.push_back(line);
    }
    return lines;
}

static Matrix weights(const Matrix& x, const MayAttend& may) { return attend(x, x, x, 1, {.may = may}).weights.value(); }

static void step_tables(Lesson& lesson) {
    lesson.step("Who may look at whom?", "# may   . may not   row = who looks, column = at whom");
    lesson.code(4);
    const MayAttend future_hidden = causal(n, n);               // GPT: itself and what came before
    const MayAttend near = window(n, 1, 1);                     // one back, one ahead
    const MayAttend question = prefix(n, 2);                    // T5: 2 are seen by all, the rest is causal
    const MayAttend filled = padding(Matrix{{1, 1, 1, 0, 0}});  // BERT: the last two are filling
    lesson.pictures({{"causal", drawing(future_hidden)},
                     {"window 1, 1", drawing(near)},
                     {"prefix 2", drawing(question)},
                     {"padding 11100", drawing(filled)}});
    lesson.predict("the table of window(5, 4, 0). It is one of the four.");
}

static Matrix step_weights(Lesson& lesson, const Matrix& x) {
    lesson.step("What does the table do to the weights?", "A = softmax(s), s_ij = -infinity where not allowed");
    lesson.code(2);
    const Matrix A_free = weights(x, {});              // (5, 5)
    const Matrix A_causal = weights(x, causal(n, n));  // (5, 5)
    lesson.matrix("A_free", A_free);
    lesson.matrix("A_causal", A_causal);
    lesson.why(
        "exp(-infinity) is exactly 0, and the others share the whole: row 0 sees only itself, so its weight is 1. Nothing has to "
        "be divided again afterwards.");
    return A_causal;
}

static MayAttend step_and(Lesson& lesson) {
    lesson.step("And when two rules hold?", "both & other: each must allow it");
    lesson.code(2);
    const MayAttend filled = padding(Matrix{{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}});  // two sentences
    const MayAttend both = filled & causal(n, n);                                // (10, 5)
    lesson.pictures({{"padding of two", drawing(filled)}, {"& causal", drawing(both)}});
    lesson.why(
        "the table of one sentence is repeated for every sentence of the batch. The order does not matter: & of two tables is "
        "the same both ways.");
    return both;
}

static Matrix step_nobody(Lesson& lesson, const Matrix& x) {
    lesson.step("What does a token receive that may look at nobody?", "a row of zeros");
    Matrix table(n, n, 1);
    for (int j = 0; j < n; ++j) table(3, j) = 0;
    lesson.code();
    const Attended attended = attend(x, x, x, 1, {.may = may_attend(table)});  // context (5, 2)
    const Matrix context = attended.context.value();
    lesson.matrix("context", context);
    lesson.why(
        "0 / 0 would be no number, and one such row would spoil every gradient. So it is defined: no weights, nothing received.");
    return context;
}

// --- the wrong conventions ---

static Matrix scores_of(const Matrix& x) {
    return scale(matmul_transposed(x, x), 1 / std::sqrt(static_cast<float>(x.cols))).value();
}

static Matrix ones_and_zeros(const MayAttend& may) {
    Matrix m(may.queries, may.keys);
    for (int i = 0; i < m.rows; ++i)
        for (int j = 0; j < m.cols; ++j) m(i, j) = may(i, j) ? 1 : 0;
    return m;
}

static float row_sum(const Matrix& m, int row) {
    float sum = 0;
    for (int j = 0; j < m.cols; ++j) sum += m(row, j);
    return sum;
}

// What a token learns of tokens behind it: the largest weight above the diagonal.
static float leak(const Matrix& A) {
    float largest = 0;
    for (int i = 0; i < A.rows; ++i)
        for (int j = i + 1; j < A.cols; ++j) largest = std::max(largest, A(i, j));
    return largest;
}

struct Wrong {
    float inverted_leak, zeroed_leak, late_row_sum, queries_share;
};

static Wrong step_wrong(Lesson& lesson, const Matrix& x) {
    lesson.step("Which number betrays a wrong mask?", "four ways to misread one table");
    const Matrix may = ones_and_zeros(causal(n, n));
    const Matrix scores = scores_of(x);

    Matrix inverted(n, n);  // true = hide: the convention of other libraries
    for (std::size_t k = 0; k < inverted.size(); ++k) inverted[k] = 1 - may[k];
    const Matrix A_inverted = weights(x, may_attend(inverted));

    const Matrix A_zeroed = softmax_rows(multiply(scores, may)).value();  // score 0 in place of -infinity
    const Matrix A_late = multiply(softmax_rows(scores), may).value();    // after softmax, not before

    const Matrix real{{1}, {1}, {1}, {0}, {0}};                       // padding applied to who looks ...
    const Matrix A_queries = multiply(weights(x, {}), real).value();  // ... and not to whom is looked at
    const float queries_share = A_queries(0, 3) + A_queries(0, 4);

    lesson.pictures({{"true = hide", heat_map(A_inverted, lesson.colours)},
                     {"0, not -infinity", heat_map(A_zeroed, lesson.colours)},
                     {"after softmax", heat_map(A_late, lesson.colours)},
                     {"rows, not columns", heat_map(A_queries, lesson.colours)}});
    const Wrong wrong{leak(A_inverted), leak(A_zeroed), row_sum(A_late, 0), queries_share};
    lesson.table({{"mistake", "what betrays it", "right", "here"},
                  {"the table read as true = hide", "weight on the future", "0", fixed(wrong.inverted_leak)},
                  {"0 added in place of -infinity", "weight on the future", "0", fixed(wrong.zeroed_leak)},
                  {"weights set to 0 after softmax", "sum of row 0", "1", fixed(wrong.late_row_sum)},
                  {"padding applied to rows", "what token 0 gives to padding", "0", fixed(wrong.queries_share)}});
    lesson.why(
        "all four run, and all four train. The first two let a language model read the word that it is to predict, so its loss "
        "looks too good; the third shrinks what early tokens receive; the fourth lets filling flow into every sentence.");
    return wrong;
}

static void walk(Lesson& lesson, int seed) {
    Random random(seed);
    const Matrix x = normal_matrix(random, n, 2);  // (5, 2)
    step_tables(lesson);
    const Matrix A_causal = step_weights(lesson, x);
    const MayAttend both = step_and(lesson);
    const Matrix context = step_nobody(lesson, x);
    const Wrong wrong = step_wrong(lesson, x);

    float error = 0;
    for (int i = 0; i < n; ++i) error = std::max(error, std::abs(row_sum(A_causal, i) - 1));
    lesson.claim_at_most("causal: weight on the future", leak(A_causal), 0);
    lesson.claim_at_most("causal: rows still sum to 1, largest error", error, 1e-6);
    lesson.claim("padding & causal allows what both allow: token 4 of the short sentence sees 3 tokens",
                 row_sum(ones_and_zeros(both), n + 4) == 3);
    lesson.claim("a token that may look at nobody receives exactly 0", context(3, 0) == 0 && context(3, 1) == 0);
    lesson.claim("each wrong convention is betrayed by its number",
                 wrong.inverted_leak > 0 && wrong.zeroed_leak > 0 && wrong.late_row_sum < 1 && wrong.queries_share > 0);
}

int main(int argc, char** argv) {
    Options options("nn/masks", "One table says who may look at whom.", "a second");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, options.seed); });
}
