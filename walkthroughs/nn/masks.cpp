// masks.cpp: attention masks, and the effects of common mistakes with them.
//
//   shows    that padding, causal, windowed and prefix attention differ only in the mask, and which number reveals each mistake
//   symbols  n tokens   A (n, n) weights, row = query, column = key
//   next     ../vit/patch_embedding.cpp
#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "nn/layers/attention.h"
#include "walkthroughs/lesson/lesson.h"

static const int n = 5;

// '#' may, '.' may not; a row for each query.
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
    lesson.step("Which token may attend to which?", "# may   . may not   row = query, column = key");
    lesson.code(4);
    const MayAttend future_hidden = causal(n, n);               // GPT: itself and earlier tokens
    const MayAttend near = window(n, 1, 1);                     // one back, one ahead
    const MayAttend question = prefix(n, 2);                    // T5: 2 are visible to all, the rest is causal
    const MayAttend filled = padding(Matrix{{1, 1, 1, 0, 0}});  // BERT: the last two are padding
    lesson.pictures({{"causal", drawing(future_hidden)},
                     {"window 1, 1", drawing(near)},
                     {"prefix 2", drawing(question)},
                     {"padding 11100", drawing(filled)}});
    const bool same = drawing(window(n, n - 1, 0)).lines == drawing(future_hidden).lines;
    lesson.predict("Which of the four is window(5, 4, 0): causal, window, prefix or padding?",
                   {std::string(same ? "causal" : "none")});
}

static Matrix step_weights(Lesson& lesson, const Matrix& x) {
    lesson.step("How does a mask change the weights?", "A = softmax(s), s_ij = -infinity where not allowed");
    lesson.code(2);
    const Matrix A_free = weights(x, {});              // (5, 5)
    const Matrix A_causal = weights(x, causal(n, n));  // (5, 5)
    lesson.matrix("A_free", A_free);
    lesson.matrix("A_causal", A_causal);
    lesson.why(
        "exp(-infinity) is exactly 0, and the other weights sum to 1: token 0 attends only to itself, with weight 1. The weights "
        "need no renormalising.");
    return A_causal;
}

static MayAttend step_and(Lesson& lesson) {
    lesson.step("How are two masks combined?", "a & b: both must allow");
    lesson.code(2);
    const MayAttend filled = padding(Matrix{{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}});  // two sentences
    const MayAttend both = filled & causal(n, n);                                // (10, 5)
    lesson.pictures({{"padding of two", drawing(filled)}, {"& causal", drawing(both)}});
    lesson.why("the mask of one sentence is repeated for every sentence of the batch. a & b equals b & a.");
    return both;
}

static Matrix step_nothing_allowed(Lesson& lesson, const Matrix& x) {
    lesson.step("What is the context of a token that may attend to nothing?", "a row of zeros");
    Matrix table(n, n, 1);
    for (int j = 0; j < n; ++j) table(3, j) = 0;
    lesson.code();
    const Attended attended = attend(x, x, x, 1, {.may = may_attend(table)});  // context (5, 2)
    const Matrix context = attended.context.value();
    lesson.matrix("context", context);
    lesson.why(
        "softmax would be 0 / 0 = NaN, and one such row would make every gradient NaN. So it is defined as zero weights and zero "
        "context.");
    return context;
}

// --- mistakes ---

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

// Information from later tokens: the largest weight above the diagonal.
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
    lesson.step("Which number reveals a wrong mask?", "four mistakes with the same mask");
    const Matrix may = ones_and_zeros(causal(n, n));
    const Matrix scores = scores_of(x);

    Matrix inverted(n, n);  // true = hide: the convention of other libraries
    for (std::size_t k = 0; k < inverted.size(); ++k) inverted[k] = 1 - may[k];
    const Matrix A_inverted = weights(x, may_attend(inverted));

    const Matrix A_zeroed = softmax_rows(multiply(scores, may)).value();  // score 0 in place of -infinity
    const Matrix A_late = multiply(softmax_rows(scores), may).value();    // after softmax, not before

    const Matrix real{{1}, {1}, {1}, {0}, {0}};                       // padding applied to queries ...
    const Matrix A_queries = multiply(weights(x, {}), real).value();  // ... instead of keys
    const float queries_share = A_queries(0, 3) + A_queries(0, 4);

    lesson.pictures({{"true = hide", heat_map(A_inverted, lesson.colours)},
                     {"0, not -infinity", heat_map(A_zeroed, lesson.colours)},
                     {"after softmax", heat_map(A_late, lesson.colours)},
                     {"rows, not columns", heat_map(A_queries, lesson.colours)}});
    const Wrong wrong{leak(A_inverted), leak(A_zeroed), row_sum(A_late, 0), queries_share};
    lesson.table({{"mistake", "revealed by", "right", "here"},
                  {"mask read as true = hide", "weight on the future", "0", fixed(wrong.inverted_leak)},
                  {"0 added in place of -infinity", "weight on the future", "0", fixed(wrong.zeroed_leak)},
                  {"weights set to 0 after softmax", "sum of row 0", "1", fixed(wrong.late_row_sum)},
                  {"padding applied to rows", "weight of token 0 on padding", "0", fixed(wrong.queries_share)}});
    lesson.why(
        "all four run, and all four train. The first two let a language model read the token that it should predict, so its loss "
        "is too low; the third shrinks the context of early tokens; the fourth mixes padding into every sentence.");
    return wrong;
}

static void walk(Lesson& lesson, int seed) {
    Random random(seed);
    const Matrix x = normal_matrix(random, n, 2);  // (5, 2)
    step_tables(lesson);
    const Matrix A_causal = step_weights(lesson, x);
    const MayAttend both = step_and(lesson);
    const Matrix context = step_nothing_allowed(lesson, x);
    const Wrong wrong = step_wrong(lesson, x);

    float error = 0;
    for (int i = 0; i < n; ++i) error = std::max(error, std::abs(row_sum(A_causal, i) - 1));
    lesson.say("Next: vit/patch_embedding turns an image into tokens, bert/wordpiece a text.");
    lesson.claim_at_most("causal: weight on the future", leak(A_causal), 0);
    lesson.claim_at_most("causal: rows still sum to 1, largest error", error, 1e-6);
    lesson.claim("padding & causal allows what both allow: token 4 of the short sentence may attend to 3 tokens",
                 row_sum(ones_and_zeros(both), n + 4) == 3);
    lesson.claim("a token that may attend to nothing has a context of exactly 0", context(3, 0) == 0 && context(3, 1) == 0);
    lesson.claim("each mistake is revealed by its number",
                 wrong.inverted_leak > 0 && wrong.zeroed_leak > 0 && wrong.late_row_sum < 1 && wrong.queries_share > 0);
}

int main(int argc, char** argv) {
    Options options("nn/masks", "A mask says which token may attend to which.", "a second");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, options.seed); });
}
