// matrix.cpp: the type Matrix, matrix products and broadcasting.
//
//   shows    that rows are tokens and columns are features, that a product treats every row independently, and broadcasting
//   symbols  n tokens   D features   m features after a product
//   next     gradients.cpp
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "nn/autograd/operations.h"
#include "nn/base/matmul.h"
#include "walkthroughs/lesson/lesson.h"

static Matrix step_matrix(Lesson& lesson) {
    lesson.step("How is a sentence stored?", "x (n, D)");
    lesson.code(3);
    const Matrix x{{1, 2},   // three tokens, one per row
                   {3, 4},   // two features, one per column
                   {5, 6}};  // (3, 2)
    lesson.matrix("x", x);
    std::string in_memory;
    for (const float number : x) in_memory += " " + fixed(number, 0);
    lesson.say("Element (i, j) is feature j of token i. In memory the rows follow one another:", in_memory, ".");
    lesson.predict("What is x(2, 0)?", {x(2, 0), 0.01});
    return x;
}

static Matrix step_product(Lesson& lesson, const Matrix& x) {
    lesson.step("What does a product do to a token?", "y = x W   (n, D)(D, m) -> (n, m)");
    lesson.code(3);
    const Matrix W{{1, 0, 1},       // (2, 3)  of feature 0
                   {0, 1, 1}};      //         of feature 1
    const Matrix y = matmul(x, W);  // (3, 3)
    lesson.matrix("W", W);
    lesson.matrix("y", y);
    lesson.why("column 0 of W copies feature 0, column 1 copies feature 1, column 2 adds both. The last row: 5*1 + 6*1 = ",
               fixed(y(2, 2), 0), ".");
    lesson.predict("y when the two rows of W are exchanged.");
    return y;
}

static bool step_rows_alone(Lesson& lesson, const Matrix& x, const Matrix& y) {
    lesson.step("Do tokens affect one another?", "no row of x W depends on another row of x");
    const Matrix W{{1, 0, 1}, {0, 1, 1}};
    lesson.code(3);
    Matrix x_other = x;
    x_other(0, 0) = 100;
    const Matrix y_other = matmul(x_other, W);  // (3, 3)
    lesson.matrix("y_other", y_other);
    lesson.why(
        "only row 0 has changed. So the sentences of a batch can be stacked in one matrix, and no product mixes them. Attention "
        "is the layer that combines rows.");
    return identical(slice_rows(y, 1, 2), slice_rows(y_other, 1, 2));
}

static Matrix step_repeated_row(Lesson& lesson, const Matrix& y) {
    lesson.step("How is one bias added to all tokens?", "y + b   (n, m) + (1, m)");
    lesson.code(2);
    const Matrix b{{10, 20, 30}};              // (1, 3)
    const Matrix shifted = add(y, b).value();  // (3, 3)
    lesson.matrix("b", b);
    lesson.matrix("shifted", shifted);
    lesson.why(
        "broadcasting: where two sizes differ one of them must be 1, and that row is read again for every token. Nothing is "
        "copied.");
    return shifted;
}

static Matrix step_repeated_column(Lesson& lesson, const Matrix& x) {
    lesson.step("How is each token divided by its own number?", "x / s   (n, D) / (n, 1)");
    lesson.code(2);
    const Matrix s = row_sums(x).value();        // (3, 1)
    const Matrix shares = divide(x, s).value();  // (3, 2)
    lesson.predict("What is the sum of each row of shares?", {row_sums(shares).value()[0], 0.01});
    lesson.matrix("s", s);
    lesson.matrix("shares", shares);
    lesson.why(
        "the column is broadcast to every feature. Softmax and LayerNorm do the same: compute a number of each row, then divide "
        "the row by it.");
    return shares;
}

static Matrix step_transpose(Lesson& lesson, const Matrix& x) {
    lesson.step("How is every token compared with every other?", "x x^T   (n, D)(D, n) -> (n, n)");
    lesson.code();
    const Matrix products = matmul_transposed(x, x);  // (3, 3)
    lesson.matrix("products", products);
    lesson.why("element (i, j) is token i times token j, feature by feature: 1*3 + 2*4 = ", fixed(products(0, 1), 0),
               ". This is how attention begins. (i, j) and (j, i) are equal here, because both sides are the same x.");
    return products;
}

static std::string step_refused(Lesson& lesson, const Matrix& x) {
    lesson.step("What happens when the shapes do not fit?");
    std::string message;
    try {
        lesson.code();
        matmul(x, x);  // (3, 2)(3, 2)
    } catch (const std::invalid_argument& error) {
        message = error.what();
    }
    lesson.say(message);
    lesson.why(
        "the first must have as many columns as the second has rows. The message names the caller's line, so that you need not "
        "search inside the library.");
    return message;
}

static void walk(Lesson& lesson) {
    const Matrix x = step_matrix(lesson);
    const Matrix y = step_product(lesson, x);
    const bool rows_alone = step_rows_alone(lesson, x, y);
    const Matrix shifted = step_repeated_row(lesson, y);
    const Matrix shares = step_repeated_column(lesson, x);
    const Matrix products = step_transpose(lesson, x);
    const std::string message = step_refused(lesson, x);
    lesson.say("Next: nn/gradients follows derivatives back through such products.");

    lesson.claim("a product treats every row independently: after changing token 0, rows 1 and 2 are bit-identical", rows_alone);
    lesson.claim("a (1, 3) bias reaches every row", identical(slice_rows(shifted, 2, 1), Matrix{{15, 26, 41}}));
    float error = 0;
    for (int i = 0; i < shares.rows; ++i) error = std::max(error, std::abs(shares(i, 0) + shares(i, 1) - 1));
    lesson.claim_at_most("rows divided by their sums sum to 1, largest error", error, 1e-6);
    lesson.claim("x x^T is its own transpose", identical(products, transpose(products)));
    lesson.claim("shapes that do not fit are refused, and both are named",
                 message.find("(3, 2) times (3, 2)") != std::string::npos);
}

int main(int argc, char** argv) {
    Options options("nn/matrix", "Rows are tokens, columns are features.", "a second");
    options.read_or_exit(argc, argv);
    return give_lesson(options, walk);
}
