// heads.cpp: multi-head attention: several attentions side by side, each on its own columns.
//
//   paper    Vaswani et al., "Attention Is All You Need", 2017, arXiv 1706.03762, section 3.2.2
//   shows    that a head is a slice of columns, and that a reshape in its place silently mixes tokens
//   symbols  n tokens   D width   H heads   h = D / H
//   next     masks.cpp
#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/attention.h"
#include "walkthroughs/lesson/lesson.h"

static const int n = 4, D = 4, H = 2, h = D / H;

// Element (i, j) is i.j: token i, feature j. So each number shows where it comes from.
static Matrix labelled_tokens() {
    Matrix x(n, D);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < D; ++j) x(i, j) = static_cast<float>(i) + 0.1f * static_cast<float>(j);
    return x;
}

static void step_slices(Lesson& lesson, const Matrix& x) {
    lesson.step("What is the input of one head?", "head j: columns j h ... (j+1) h - 1");
    lesson.matrix("x", x);
    lesson.code(2);
    const Matrix head_0 = slice_cols(x, 0, h);  // (4, 2)
    const Matrix head_1 = slice_cols(x, h, h);  // (4, 2)
    lesson.matrix("head_0", head_0);
    lesson.matrix("head_1", head_1);
    lesson.why("the number 2.3 is feature 3 of token 2. Every head has all ", n, " tokens, and its own ", h,
               " features of each.");
}

static Matrix step_two_heads(Lesson& lesson, const Matrix& x) {
    lesson.step("What do two heads compute?", "context = [head_0, head_1]");
    lesson.code(5);
    const Var x_0 = slice_cols(x, 0, h), x_1 = slice_cols(x, h, h);    // (4, 2)
    const Attended first = attend(x_0, x_0, x_0, 1);                   // A (4, 4), context (4, 2)
    const Attended second = attend(x_1, x_1, x_1, 1);                  // A (4, 4), context (4, 2)
    const Var context = concat_cols({first.context, second.context});  // (4, 4)
    const Attended at_once = attend(x, x, x, H);                       // A (8, 4), context (4, 4)
    const Var three = concat_rows({x, x, x});                          // a batch of three such sentences
    lesson.predict("How many rows has at_once.weights for a batch of 3 such sentences?",
                   {1.0 * attend(three, three, three, H, {.segments = Segments::equal(3, n)}).weights.rows(), 0.5});
    lesson.matrix("first.weights", first.weights.value());
    lesson.matrix("second.weights", second.weights.value());
    lesson.matrix("context", context.value());
    lesson.why(
        "each head has its own queries, weights and averages, so a token can attend to different tokens in different heads. "
        "attend() with H = ",
        H, " computes both; the weights of the heads are stacked: ", shape(at_once.weights.value()), ".");
    float difference = 0;
    for (std::size_t k = 0; k < at_once.context.value().size(); ++k)
        difference = std::max(difference, std::abs(at_once.context.value()[k] - context.value()[k]));
    return Matrix{{difference}};
}

// Heads by reshape alone: (n, D) read as (H n, h), with the first n rows as head 0. The shapes are right, the numbers are not.
static Var attend_after_reshape(const Var& x) {
    const Var rows = reshape(x, H * n, h);  // (8, 2)
    std::vector<Var> contexts;
    for (int head = 0; head < H; ++head) {
        const Var part = slice_rows(rows, head * n, n);           // (4, 2)  meant to be the head's slice
        contexts.push_back(attend(part, part, part, 1).context);  // (4, 2)
    }
    return reshape(concat_rows(contexts), n, D);
}

static void step_reshape(Lesson& lesson, const Matrix& x) {
    lesson.step("What if we only reshape?", "(n, D) -> (H n, h), rows 0 ... n-1 to head 0");
    lesson.code(2);
    const Matrix rows = reshape(x, H * n, h);          // (8, 2)
    const Matrix not_head_0 = slice_rows(rows, 0, n);  // (4, 2)
    lesson.matrix("not_head_0", not_head_0);
    lesson.why(
        "the shape is right, and no check fails. But these rows are tokens 0 and 1, each cut in two: 0.0 0.1 and 0.2 0.3 are two "
        "halves of one token, which now attend to each other. Tokens 2 and 3 went to the other head.");
}

// How much the output of the last token depends on the first token: the largest |d context_3 / d x_0|.
static float influence_of_first_on_last(const Var& context, const Var& x) {
    Matrix only_last(n, 1);
    only_last(n - 1, 0) = 1;
    const Var last = sum(multiply(context, only_last));  // (1, 1)
    backward(last);
    float largest = 0;
    for (int j = 0; j < D; ++j) largest = std::max(largest, std::abs(x.gradient()(0, j)));
    return largest;
}

struct Influence {
    float sliced, reshaped;
};
static Influence step_influence(Lesson& lesson, const Matrix& x) {
    lesson.step("How can the mistake be detected?", "d context_3 / d x_0");
    Tape tape;
    const Matrix soft = scale(x, 0.25f).value();  // smaller scores, so that no weight is nearly 0
    const Var x_sliced = parameter(soft), x_reshaped = parameter(soft);
    const float sliced = influence_of_first_on_last(attend(x_sliced, x_sliced, x_sliced, H).context, x_sliced);
    const float reshaped = influence_of_first_on_last(attend_after_reshape(x_reshaped), x_reshaped);
    lesson.table({{"heads by", "largest |d context_3 / d x_0|"}, {"slices", fixed(sliced, 6)}, {"reshape", fixed(reshaped, 6)}});
    lesson.why(
        "with slices the last token depends on the first. With the reshape it cannot: such a model trains, but stays worse than "
        "it should be. Comparing with numbers from published code reveals it.");
    return {sliced, reshaped};
}

static void walk(Lesson& lesson) {
    const Matrix x = labelled_tokens();  // (4, 4)
    step_slices(lesson, x);
    const Matrix difference = step_two_heads(lesson, x);
    step_reshape(lesson, x);
    const Influence influence = step_influence(lesson, x);
    lesson.say("Next: nn/masks restricts which tokens attend to which.");

    lesson.claim_at_most("attend() with 2 heads equals two attentions on slices, largest difference", difference(0, 0), 1e-6);
    lesson.claim("heads by slices: the first token affects the last, derivative " + fixed(influence.sliced, 6),
                 influence.sliced > 0.001f);
    lesson.claim_at_most("heads by reshape: it does not, derivative", influence.reshaped, 0);
}

int main(int argc, char** argv) {
    Options options("nn/heads", "A head is a slice of columns.", "a second");
    options.read_or_exit(argc, argv);
    return give_lesson(options, walk);
}
