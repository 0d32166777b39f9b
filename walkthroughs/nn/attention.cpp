// attention.cpp: attention by hand, on two tokens with simple numbers.
//
//   paper    Vaswani et al., "Attention Is All You Need", 2017, arXiv 1706.03762, Eq. 1
//   shows    that attention is a weighted mean, and that each token's query determines its own weights
//   equations [Attention 1]
//   symbols  n tokens   h width of a head   q, k, v (n, h)   A (n, n)
//   next     heads.cpp, masks.cpp
#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/base/matmul.h"
#include "nn/base/random.h"
#include "nn/layers/attention.h"
#include "walkthroughs/lesson/lesson.h"

struct Tokens {
    Matrix q, k, v;  // (2, 1) each
};

static Tokens step_tokens(Lesson& lesson) {
    lesson.step("What does every token contribute?", "q, k, v (n, h)");
    lesson.code(3);
    const Matrix q{{std::log(3.f)}, {0}};  // (2, 1)  what each token looks for
    const Matrix k{{0}, {1}};              // (2, 1)  what it offers
    const Matrix v{{4}, {8}};              // (2, 1)  what it passes on
    lesson.matrix("q", q);
    lesson.matrix("k", k);
    lesson.matrix("v", v);
    lesson.say("Two tokens, one number each (h = 1). The query of token 0 is ln 3 = ", fixed(q(0, 0)),
               ", that of token 1 is 0. Only token 1 has a key that is not 0. In a model the three are z W_q, z W_k and z W_v; "
               "here they are chosen so that everything can be computed by hand.");
    return {q, k, v};
}

static Matrix step_scores(Lesson& lesson, const Tokens& t) {
    lesson.step("How well does each key match each query?", "scores = q k^T   (n, n)");
    lesson.code();
    const Matrix scores = matmul_transposed(t.q, t.k);  // (2, 2)
    lesson.matrix("scores", scores);
    lesson.why("row i is the query of token i times the key of each token. Row 0 is [ln 3 * 0, ln 3 * 1], row 1 is [0, 0].");
    lesson.predict("the scores when the key of token 0 is 1 as well.");
    return scores;
}

// For random queries and eight random keys: the standard deviation of the scores, and the largest weight without and with
// scaling.
struct SpreadOfScores {
    double standard_deviation, largest, largest_scaled;
};
static SpreadOfScores spread_of_scores(int h, Random& random) {
    const int rounds = 500, keys = 8;
    double squares = 0, largest = 0, largest_scaled = 0;
    for (int round = 0; round < rounds; ++round) {
        const Matrix q = normal_matrix(random, 1, h), k = normal_matrix(random, keys, h);
        const Var scores = matmul_transposed(q, k);                                              // (1, 8)
        const Var A = softmax_rows(scores);                                                      // (1, 8)
        const Var A_scaled = softmax_rows(scale(scores, 1 / std::sqrt(static_cast<float>(h))));  // (1, 8)
        squares += sum(square(scores)).value()(0, 0);
        largest += *std::max_element(A.value().begin(), A.value().end());
        largest_scaled += *std::max_element(A_scaled.value().begin(), A_scaled.value().end());
    }
    return {std::sqrt(squares / (rounds * keys)), largest / rounds, largest_scaled / rounds};
}

static Matrix step_scale(Lesson& lesson, const Matrix& scores, int h) {
    lesson.step("Why divide by sqrt(h)?", "scores / sqrt(h)");
    Random random(1);
    std::vector<std::vector<std::string>> rows{{"h", "std. dev. of q k^T", "largest of 8 weights", "divided by sqrt(h)"}};
    for (const int width : {1, 16, 64, 256}) {
        const SpreadOfScores spread = spread_of_scores(width, random);
        rows.push_back(
            {text(width), fixed(spread.standard_deviation, 2), fixed(spread.largest, 2), fixed(spread.largest_scaled, 2)});
    }
    lesson.table(rows);
    lesson.why(
        "a sum of h random products grows like sqrt(h). Without division, softmax gives nearly all weight to one token, and "
        "where a weight is 1 no gradient flows. With it, the weights of a wide head are as soft as those of a narrow one.");
    lesson.code(2);
    const float factor = 1 / std::sqrt(static_cast<float>(h));
    const Matrix scaled = scale(scores, factor).value();  // (2, 2)
    lesson.matrix("scaled", scaled);
    lesson.say("Here h = ", h, ", so nothing changes.");
    return scaled;
}

static Matrix step_softmax(Lesson& lesson, const Matrix& scaled) {
    lesson.step("How do scores become weights?", "A_ij = exp(s_ij) / sum_k exp(s_ik)", "softmax");
    lesson.code();
    const Matrix A = softmax_rows(scaled).value();  // (2, 2)
    lesson.matrix("A", A);
    lesson.why(
        "exp(0) = 1 and exp(ln 3) = 3, so row 0 is [1, 3] / 4: token 1 gets three quarters. All scores of row 1 are 0, so its "
        "weights are equal. Every row sums to 1; a column need not.");
    lesson.predict("What is the first number of row 0 when q is doubled?", {softmax_rows(scale(scaled, 2)).value()(0, 0), 0.01});
    return A;
}

static Matrix step_mean(Lesson& lesson, const Matrix& A, const Matrix& v) {
    lesson.step("What does each token receive?", "context = A v   (n, h)");
    lesson.code();
    const Matrix context = matmul(A, v);  // (2, 1)   [Attention 1]
    lesson.matrix("context", context);
    lesson.why("token 0 receives (1*4 + 3*8) / 4 = ", fixed(context(0, 0), 0),
               ", token 1 receives (4 + 8) / 2 = ", fixed(context(1, 0), 0),
               ". A weighted mean always lies between the smallest and the largest value.");
    return context;
}

static Matrix step_attend(Lesson& lesson, const Tokens& t) {
    lesson.step("How is it done in one call?", "attend(q, k, v, heads)", "nn/layers/attention.h");
    lesson.code();
    const Attended attended = attend(t.q, t.k, t.v, 1);  // A (2, 2), context (2, 1)
    lesson.matrix("weights", attended.weights.value());
    lesson.matrix("context", attended.context.value());
    lesson.say("In every model of this project tokens exchange information only through this call.");
    return attended.context.value();
}

static float step_gradient(Lesson& lesson, const Tokens& t) {
    lesson.step("How does the context depend on the query?", "d context_0 / d q_0 = A_00 A_01 (k_1 - k_0)(v_1 - v_0)");
    const Var q = parameter(t.q);
    {
        Tape tape;
        const Attended attended = attend(q, t.k, t.v, 1);
        const Var context_0 = sum(multiply(attended.context, Matrix{{1}, {0}}));  // (1, 1)  the context of token 0
        backward(context_0);
    }
    lesson.matrix("dq", q.gradient());
    lesson.why(
        "by hand 1/4 * 3/4 * (1 - 0) * (8 - 4) = 0.75: a larger query gives more weight to the value 8. The query of token 1 "
        "does not affect the context of token 0, so its gradient is 0.");
    return q.gradient()(0, 0);
}

static void walk(Lesson& lesson) {
    const Tokens tokens = step_tokens(lesson);
    const Matrix scores = step_scores(lesson, tokens);
    const Matrix scaled = step_scale(lesson, scores, tokens.q.cols);
    const Matrix A = step_softmax(lesson, scaled);
    const Matrix context = step_mean(lesson, A, tokens.v);
    const Matrix at_once = step_attend(lesson, tokens);
    const float slope = step_gradient(lesson, tokens);
    lesson.say("Next: nn/heads splits the columns among several heads.");

    lesson.claim_at_most("token 0 receives 7 and token 1 receives 6, largest error",
                         std::max(std::abs(context(0, 0) - 7), std::abs(context(1, 0) - 6)), 1e-5);
    lesson.claim_at_most("attend() gives the same as the steps, largest difference",
                         std::max(std::abs(at_once(0, 0) - context(0, 0)), std::abs(at_once(1, 0) - context(1, 0))), 1e-5);
    lesson.claim_at_most("the derivative by hand is 0.75, error", std::abs(slope - 0.75f), 1e-5);
}

int main(int argc, char** argv) {
    Options options("nn/attention", "Attention is a weighted mean, with weights from each token's query.", "a second");
    options.read_or_exit(argc, argv);
    return give_lesson(options, walk);
}
