#include "tests/course/cause/guesses.h"

#include <cmath>

#include "tests/test.h"

std::string said(Guessing hypothesis, const Matrix& ours, const Matrix& expected, const Known& known) {
    return hypothesis(Compared(ours, expected, known));
}

void check_guess(Guessing hypothesis, const Matrix& ours, const Matrix& expected, const std::string& words, const Known& known) {
    CHECK(said(hypothesis, ours, expected, known) == words);
    for (std::size_t k = 0; k < ours.size(); ++k) {
        Matrix other = ours;
        other[k] = 1.07f * ours[k] + 0.013f;
        INFO("element ", k, " is ", other[k], " in place of ", ours[k]);
        CHECK(said(hypothesis, other, expected, known) != words);
    }
}

Matrix weights_from(Matrix scores) {
    for (int i = 0; i < scores.rows; ++i) {
        double sum = 0;
        for (int j = 0; j < scores.cols; ++j) sum += scores(i, j) = scores(i, j) == hidden ? 0 : std::exp(scores(i, j));
        for (int j = 0; j < scores.cols; ++j) scores(i, j) = sum == 0 ? 0 : static_cast<float>(scores(i, j) / sum);
    }
    return scores;
}
