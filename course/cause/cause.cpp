#include "course/cause/cause.h"

#include <cmath>

#include "course/cause/others.h"
#include "course/cause/places.h"
#include "course/cause/softmax.h"
#include "course/cause/values.h"

// NaN and infinity are reported without a guess.
static std::string not_numbers(const Compared& c) {
    int nans = 0, infinities = 0;
    std::size_t first = c.ours.size();
    for (const std::size_t k : c.differing) {
        if (std::isfinite(c.ours[k])) continue;
        (std::isnan(c.ours[k]) ? nans : infinities) += 1;
        if (first == c.ours.size()) first = k;
    }
    if (first == c.ours.size()) return "";
    const std::string place = ", the first at (" + std::to_string(c.row(first)) + ", " + std::to_string(c.col(first)) + ")";
    if (nans == 0) return "differs only in being infinite at " + std::to_string(infinities) + " places" + place;
    return std::to_string(nans) + " of yours are not numbers" + place +
           ": look for 0 / 0, infinity - infinity, the root or logarithm of something negative";
}

static std::string all_zero(const Compared& c) {
    for (const float x : c.ours)
        if (x != 0) return "";
    return c.distinct >= 2 ? "all of yours are 0: nothing was computed, or nothing flowed here" : "";
}

using Question = std::string (*)(const Compared&);

// The first hypothesis that fits is given: first a known factor for all numbers, then a formula, then a permutation, and last,
// without explanation, the positions of the wrong numbers.
static const Question questions[] = {not_numbers,          all_zero,          equal_to_another,      transposed_blocks,
                                     function_of_expected, other_mean_or_sum, forgotten_or_too_many, multiple_of_expected,
                                     shifted_by_a_number,  factor_forgotten};
static const Question questions_of_weights[] = {weights_everywhere_equal, scores_were_scaled, scores_were_transposed,
                                                softmax_over_columns,     mask_differs,       mask_other_way_round,
                                                weights_taken_away_after};
static const Question questions_at_last[] = {rows_moved,         columns_moved,         numbers_moved,    stretched_columns,
                                             norm_forgotten,     stretched_rows,        other_activation, masked_places,
                                             places_that_differ, only_small_differences};

template <std::size_t count>
static std::string first_answer(const Question (&asked)[count], const Compared& c) {
    for (const Question question : asked) {
        const std::string answer = question(c);
        if (!answer.empty()) return answer;
    }
    return "";
}

// Adds a size unless it has a name already.
static void add_size(Known& known, const std::string& name, int size) {
    for (const auto& [other, value] : known.sizes)
        if (value == size) return;
    known.sizes[name] = size;
}

std::string cause(const Matrix& ours, const Matrix& expected, const Known& known) {
    Known with_shape = known;
    add_size(with_shape, "its rows", expected.rows);
    add_size(with_shape, "its columns", expected.cols);
    const Compared c(ours, expected, with_shape);
    if (!same_shape(ours, expected)) {
        const std::string turned = transposed_blocks(c);
        return turned.empty() ? equal_to_another(c) : turned;
    }
    if (c.differing.empty()) return "";
    std::string answer = first_answer(questions, c);
    if (answer.empty() && rows_are_probabilities(expected)) answer = first_answer(questions_of_weights, c);
    if (answer.empty()) answer = first_answer(questions_at_last, c);
    return answer;
}
