// softmax_test.cpp: each hypothesis about attention weights with the least evidence that it needs, and with less.
#include "course/cause/softmax.h"

#include <algorithm>
#include <cmath>

#include "tests/course/cause/guesses.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("softmax");

static Matrix times(float factor, Matrix scores) {
    for (float& s : scores)
        if (s != hidden) s *= factor;
    return scores;
}

// The first rows of a matrix.
static Matrix top(const Matrix& m, int rows) {
    Matrix result(rows, m.cols);
    std::copy(m.begin(), m.row(rows), result.begin());
    return result;
}

TEST_CASE("rows_are_probabilities: two rows and two columns at least, none negative, each sum 1 or 0, not all 0") {
    CHECK(rows_are_probabilities({{0.5f, 0.5f}, {0, 1}}));
    CHECK(rows_are_probabilities({{0, 0}, {0.25f, 0.75f}}));
    CHECK(rows_are_probabilities({{0.25f, 0.7509f}, {0, 0}}));
    CHECK_FALSE(rows_are_probabilities({{0.25f, 0.7511f}, {0, 1}}));
    CHECK_FALSE(rows_are_probabilities({{0, 0}, {0, 0}}));
    CHECK_FALSE(rows_are_probabilities({{0.5f, 0.5f}}));
    CHECK_FALSE(rows_are_probabilities({{1}, {1}}));
    CHECK_FALSE(rows_are_probabilities({{-0.5f, 1.5f}, {0, 1}}));
    CHECK_FALSE(rows_are_probabilities({{0, 1}, {1.5f, -0.5f}}));
    CHECK_FALSE(rows_are_probabilities({{0, 1}, {NAN, 1}}));
}

TEST_CASE("weights_everywhere_equal: but for those that are 0; three different pairs at least") {
    const std::string words = "fits: in each row all of your weights are equal, as if every score were the same";
    const Matrix ours{{0.25f, 0.25f, 0.25f, 0.25f}, {1.0f / 3, std::nextafter(1.0f / 3, 1.0f), 0, 1.0f / 3}};
    const Matrix expected{{0.1f, 0.2f, 0.3f, 0.4f}, {0.5f, 0.3f, 0, 0.2f}};
    check_guess(weights_everywhere_equal, ours, expected, words);
    CHECK(said(weights_everywhere_equal, {{0.25f, 0.25f, 0.25f}}, {{0.1f, 0.2f, 0.3f}}) == words);
    CHECK(said(weights_everywhere_equal, {{0.25f, 0.25f}}, {{0.1f, 0.2f}}) == "");
}

TEST_CASE("scores_were_scaled: one factor for all rows, known from four numbers more than there are rows") {
    const std::string words = "fits: your weights are those of scores multiplied by 3, a whole number";
    const Matrix scores{{0, 0.5f, -0.5f}, {0.3f, 0, hidden}, {-0.2f, 0.4f, 0.7f}, {hidden, 0.1f, hidden}};
    const Matrix expected = weights_from(scores), ours = weights_from(times(3, scores));
    check_guess(scores_were_scaled, top(ours, 3), top(expected, 3), words);
    CHECK(said(scores_were_scaled, ours, expected) == words);               // a row of one number says nothing
    CHECK(said(scores_were_scaled, top(ours, 2), top(expected, 2)) == "");  // 3 + 2 numbers in 2 rows
    const Matrix pairs{{0, 0.5f}, {0, 0.2f}, {0, 0.7f}, {0, -0.6f}};
    CHECK(said(scores_were_scaled, weights_from(times(3, pairs)), weights_from(pairs)) == words);
    CHECK(said(scores_were_scaled, top(weights_from(times(3, pairs)), 3), top(weights_from(pairs), 3)) == "");
    // a factor of 1 says nothing, nor do expected scores that are all the same, or nearly
    CHECK(said(scores_were_scaled, expected, expected) == "");
    CHECK(said(scores_were_scaled, ours, weights_from(times(0, scores))) == "");
    CHECK(said(scores_were_scaled, weights_from(times(2, pairs)), weights_from(times(2e-4f, pairs))) == "");
    // weights below 1e-4 do not count: here that leaves three numbers more than there are rows
    Matrix small = pairs;
    small(0, 1) = -10;
    CHECK(said(scores_were_scaled, weights_from(times(3, small)), weights_from(small)) == "");
    // a weight below 1e-4 on one side only may be anything
    Matrix scattered = scores;
    scattered(0, 2) = -4;  // 0.007 of the expected, and 2e-6 of ours
    Matrix ours_scattered = weights_from(times(3, scattered));
    ours_scattered(0, 2) *= 20;
    CHECK(said(scores_were_scaled, ours_scattered, weights_from(scattered)) == words);
    // another mask
    Matrix open = ours;
    open(3, 0) = 0.1f;
    CHECK(said(scores_were_scaled, open, expected) == "");
}

// The weights of transposed scores, in blocks of three rows.
static Matrix weights_of_transposed(const Matrix& scores) {
    Matrix turned = scores;
    for (int i = 0; i < scores.rows; ++i)
        for (int j = 0; j < 3; ++j) turned(i, j) = scores(i / 3 * 3 + j, i % 3);
    return weights_from(turned);
}

TEST_CASE("scores_were_transposed: six relations between the numbers of square blocks") {
    const std::string words = "fits: your weights are those of the transposed scores: queries and keys are exchanged";
    Matrix scores{{0, 0.5f, -0.7f}, {0.3f, 0.1f, 0.9f},  {-0.2f, 0.4f, 1.1f},
                  {0.8f, 0, 0.6f},  {0.3f, -0.5f, 0.2f}, {1, 0.4f, 0.1f}};
    check_guess(scores_were_transposed, weights_of_transposed(scores), weights_from(scores), words);  // 4 of each block
    CHECK(said(scores_were_transposed, top(weights_of_transposed(scores), 3), top(weights_from(scores), 3)) == "");
    scores(0, 1) = scores(3, 2) = hidden;
    check_guess(scores_were_transposed, weights_of_transposed(scores), weights_from(scores), words);  // 3 of each
    scores(5, 0) = hidden;
    CHECK(said(scores_were_transposed, weights_of_transposed(scores), weights_from(scores)) == "");  // 3 and 2
    // a block of which nothing is known does not matter; two columns are too few
    const Matrix large =
        weights_from({{0, 0.5f, -0.7f, 0.2f}, {0.3f, 0.1f, 0.9f, 1}, {-0.2f, 0.4f, 1.1f, 0}, {0.1f, 0.6f, 0.2f, 0.9f}});
    const Matrix turned =
        weights_from({{0, 0.3f, -0.2f, 0.1f}, {0.5f, 0.1f, 0.4f, 0.6f}, {-0.7f, 0.9f, 1.1f, 0.2f}, {0.2f, 1, 0, 0.9f}});
    CHECK(said(scores_were_transposed, turned, large) == words);
    Matrix large_and_none(8, 4), turned_and_none(8, 4);
    std::copy(large.begin(), large.end(), large_and_none.begin());
    std::copy(turned.begin(), turned.end(), turned_and_none.begin());
    CHECK(said(scores_were_transposed, turned_and_none, large_and_none) == words);
    CHECK(said(scores_were_transposed, top(turned_and_none, 6), top(large_and_none, 6)) == "");
    Matrix mostly_none(28, 4), mostly_none_turned(28, 4);  // blocks of which nothing is known are no relations
    std::copy(large.begin(), large.row(3), mostly_none.begin());
    std::copy(turned.begin(), turned.row(3), mostly_none_turned.begin());
    CHECK(said(scores_were_transposed, mostly_none_turned, mostly_none) == "");
    Matrix twos(8, 2), twos_turned(8, 2);
    for (int i = 0; i < 8; ++i) twos(i, 0) = 0.1f + 0.08f * static_cast<float>(i), twos(i, 1) = 1 - twos(i, 0);
    for (int i = 0; i < 8; ++i) twos_turned(i, 0) = twos_turned(i, 1) = 0.5f;
    CHECK(said(scores_were_transposed, twos_turned, twos) == "");
}

// exp of the scores, divided by its sum in each column of every block.
static Matrix weights_by_column(const Matrix& scores, int block) {
    Matrix result(scores.rows, scores.cols);
    for (int first = 0; first < scores.rows; first += block) {
        Matrix part(scores.cols, block);
        for (int i = 0; i < block; ++i)
            for (int j = 0; j < scores.cols; ++j) part(j, i) = scores(first + i, j);
        part = weights_from(part);
        for (int i = 0; i < block; ++i)
            for (int j = 0; j < scores.cols; ++j) result(first + i, j) = part(j, i);
    }
    return result;
}

TEST_CASE("softmax_over_columns: of blocks or of the whole, two relations and two sums at least") {
    const std::string words = "fits: your columns sum to 1, not your rows: softmax over the wrong axis";
    const Matrix scores{{0, 0.5f}, {0.3f, -0.1f}, {-0.2f, 0.4f}, {1, 0.7f}};
    check_guess(softmax_over_columns, weights_by_column(scores, 2), weights_from(scores), words);  // 1 relation of each block
    check_guess(softmax_over_columns, weights_by_column(scores, 4), weights_from(scores), words);  // the whole: 3 relations
    CHECK(said(softmax_over_columns, top(weights_by_column(scores, 2), 2), top(weights_from(scores), 2)) == "");
    const Matrix three = top(scores, 3);
    CHECK(said(softmax_over_columns, weights_by_column(three, 3), weights_from(three)) == words);  // 2 relations, 2 sums
    Matrix column_hidden = scores;
    for (int i = 0; i < 4; ++i) column_hidden(i, 1) = hidden;
    CHECK(said(softmax_over_columns, weights_by_column(column_hidden, 4), weights_from(column_hidden)) == "");
    // a column that is hidden in one block only
    Matrix part_hidden{{0, 0.5f, 0.2f},       {0.3f, -0.1f, 0.6f}, {0.2f, 0.1f, 0.9f},
                       {-0.2f, 0.4f, hidden}, {1, 0.7f, hidden},   {0.6f, 0, hidden}};
    check_guess(softmax_over_columns, weights_by_column(part_hidden, 3), weights_from(part_hidden), words);
    // A number alone in its row and column is related to nothing: the other four give one relation.
    CHECK(said(softmax_over_columns, {{1, 0, 0}, {0, 0.4f, 0.7f}, {0, 0.6f, 0.3f}},
               {{1, 0, 0}, {0, 0.4f / 1.1f, 0.7f / 1.1f}, {0, 0.6f / 0.9f, 0.3f / 0.9f}}) == "");
    // Rows that are reached from each other one after the other.
    const Matrix first_only{{0.4f, hidden, hidden}, {0.3f, -0.1f, 0.6f}, {0.2f, 0.1f, 0.9f}},
        last_only{{hidden, hidden, 0.4f}, {0.3f, -0.1f, 0.6f}, {0.2f, 0.1f, 0.9f}};
    check_guess(softmax_over_columns, weights_by_column(first_only, 3), weights_from(first_only), words);
    check_guess(softmax_over_columns, weights_by_column(last_only, 3), weights_from(last_only), words);
    // a chain in which row 1 is reached by its last column first: as many numbers as unknowns, no relation
    Matrix chain{{hidden, hidden, 0.5f}, {0.2f, hidden, 0.3f}, {0.4f, 0.1f, hidden}};
    CHECK(said(softmax_over_columns, weights_by_column(chain, 3), weights_from(chain)) == "");
}

TEST_CASE("mask_other_way_round: each weight is 0 in one of the two only, but for one of each row; three zeros in both") {
    const std::string words = "fits: your mask is the other way round: you attend where expected is 0, and not where it is not";
    const Matrix ours{{0.5f, 0.5f, 0}, {0, 0.4f, 0.6f}, {0.3f, 0, 0.7f}}, expected{{0, 0.2f, 0.8f}, {1, 0, 0}, {0, 1, 0}};
    CHECK(said(mask_other_way_round, ours, expected) == words);
    for (std::size_t k = 0; k < ours.size(); ++k) {  // the same zero in both
        Matrix a = ours, b = expected;
        a[k] = b[k] = 0;
        CHECK(said(mask_other_way_round, a, b) == "");
    }
    CHECK(said(mask_other_way_round, {{0, 1}, {0, 1}, {0, 1}}, {{1, 0}, {1, 0}, {1, 0}}) == words);
    CHECK(said(mask_other_way_round, {{0, 1}, {0, 1}}, {{1, 0}, {1, 0}}) == "");
    CHECK(said(mask_other_way_round, {{0, 1}, {0, 1}, {0, 1}}, {{1, 0}, {1, 0}, {0.5f, 0.5f}}) == "");
    CHECK(said(mask_other_way_round, {{0, 1}, {0, 1}, {0.5f, 0.5f}}, {{1, 0}, {1, 0}, {1, 0}}) == "");
    // allowed in both: one of each row, not more
    const Matrix both{{0.5f, 0.5f, 0}, {0, 0.5f, 0.5f}, {0.5f, 0, 0.5f}};
    CHECK(said(mask_other_way_round, both, {{0.5f, 0, 0.5f}, {0.5f, 0.5f, 0}, {0, 0.5f, 0.5f}}) == words);
    CHECK(said(mask_other_way_round, both, {{0.4f, 0.3f, 0.3f}, {0.5f, 0.5f, 0}, {0, 0.5f, 0.5f}}) == "");
    CHECK(said(mask_other_way_round, {{0.3f, 0.3f, 0.4f, 0}, {0.3f, 0.3f, 0.4f, 0}, {0.3f, 0.3f, 0.4f, 0}},
               {{0, 0.3f, 0.3f, 0.4f}, {0, 0.3f, 0.3f, 0.4f}, {0, 0.3f, 0.3f, 0.4f}}) == "");
    CHECK(said(mask_other_way_round, times(2, both), {{0.5f, 0, 0.5f}, {0.5f, 0.5f, 0}, {0, 0.5f, 0.5f}}) == "");
}

TEST_CASE("mask_differs: the regions that have a name, of one number and of more; three relations of numbers that both have") {
    const std::string more = "fits: you attend to positions that the mask excludes",
                      fewer = "fits: you exclude positions that may be attended to", end = "; the scores themselves are right";
    const Matrix scores{{0, 0.5f, -0.7f}, {0.3f, 0.1f, 0.9f}, {-0.2f, 0.4f, 1.1f}};
    const auto without = [&](const std::vector<std::pair<int, int>>& places) {
        Matrix some = scores;
        for (const auto& [i, j] : places) some(i, j) = hidden;
        return weights_from(some);
    };
    const Matrix all = without({});
    using Places = std::vector<std::pair<int, int>>;
    for (const auto& [places, name] : std::vector<std::pair<Places, std::string>>{
             {{{0, 0}, {1, 1}, {2, 2}}, ", on the diagonal: each token and itself"},
             {{{0, 1}, {0, 2}, {1, 2}}, ", above the diagonal: the future"},
             {{{1, 0}, {2, 0}, {2, 1}}, ", below the diagonal: the past"},
             {{{0, 1}, {1, 2}}, ", right above the diagonal: each token and the next one, a causal mask off by one"},
             {{{0, 0}, {1, 1}}, ""},
             {{{1, 1}, {2, 2}}, ""},
             {{{0, 1}}, ""},
             {{{0, 2}}, ""},
             {{{0, 0}, {0, 1}, {1, 2}}, ""},
             {{{1, 0}, {2, 1}}, ""},
             {{{1, 0}, {1, 1}, {2, 1}}, ""}}) {
        CHECK(said(mask_differs, all, without(places)) == more + name + end);
        CHECK(said(mask_differs, without(places), all) == fewer + name + end);
    }
    CHECK(said(mask_differs, without({{0, 1}}), without({{2, 0}})) ==
          more + "; you exclude positions that may be attended to" + end);
    // what is hidden in both is no contradiction to a name
    CHECK(said(mask_differs, without({{0, 2}}), without({{0, 1}, {0, 2}, {1, 2}})) ==
          more + ", right above the diagonal: each token and the next one, a causal mask off by one" + end);
    check_guess(mask_differs, without({{0, 1}}), without({{0, 1}, {2, 1}}), more + end);
    Matrix loud = scores;  // the hidden score would take nearly all: quotients are small
    for (int i = 0; i < 3; ++i) loud(i, 2) = 6;
    Matrix quiet = loud;
    for (int i = 0; i < 3; ++i) quiet(i, 2) = hidden;
    check_guess(mask_differs, weights_from(loud), weights_from(quiet), more + end);
    // a region that is more than its name, and one of which a part is hidden in both
    Matrix wide(5, 5), on_and_above(5, 5), on_and_below(5, 5), causal(5, 5), corner(5, 5);
    for (int i = 0; i < 5; ++i)
        for (int j = 0; j < 5; ++j) {
            wide(i, j) = corner(i, j) = 0.1f * static_cast<float>((3 * i + 5 * j) % 7);
            on_and_above(i, j) = j >= i ? hidden : wide(i, j);
            on_and_below(i, j) = j <= i ? hidden : wide(i, j);
            causal(i, j) = j > i ? hidden : wide(i, j);
        }
    corner(0, 4) = hidden;
    CHECK(said(mask_differs, weights_from(wide), weights_from(on_and_above)) == more + end);
    CHECK(said(mask_differs, weights_from(wide), weights_from(on_and_below)) == more + end);
    CHECK(said(mask_differs, weights_from(corner), weights_from(causal)) == more + ", above the diagonal: the future" + end);
    CHECK(said(mask_differs, weights_from(causal), weights_from(corner)) == fewer + ", above the diagonal: the future" + end);
    // three relations: 2 in a row of three, 1 in a row of two
    const Matrix least = top(without({{1, 0}}), 2), least_expected = top(all, 2);
    CHECK(said(mask_differs, least, least_expected) == fewer + end);
    CHECK(said(mask_differs, top(without({{1, 0}, {0, 2}}), 2), least_expected) == "");
    CHECK(said(mask_differs, all, all) == "");
    Matrix tiny = all;  // an expected weight of a millionth is as good as none
    tiny(0, 2) = 1e-6f;
    CHECK(said(mask_differs, without({{0, 2}, {1, 2}}), tiny) == fewer + end);
    CHECK(said(mask_differs, without({{0, 2}}), tiny) == "");
}

TEST_CASE("weights_taken_away_after: rows are the expected ones times at most 1, some less; three relations") {
    const Matrix expected = weights_from({{0, 0.5f, -0.7f}, {0.3f, 0.1f, hidden}, {-0.2f, 0.4f, 1.1f}});
    Matrix ours = expected;
    for (int j = 0; j < 3; ++j) ours(0, j) *= 0.8f, ours(2, j) *= 0.5f;
    const std::string end = ": weights were masked after the softmax instead of scores before it",
                      words = "fits: rows of yours sum to less than 1, down to 0.5" + end;
    check_guess(weights_taken_away_after, ours, expected, words);
    CHECK(said(weights_taken_away_after, top(ours, 2), top(expected, 2)) ==
          "fits: rows of yours sum to less than 1, down to 0.8" + end);
    CHECK(said(weights_taken_away_after, top(ours, 1), top(expected, 1)) == "");  // two relations
    CHECK(said(weights_taken_away_after, expected, expected) == "");
    Matrix larger = ours;
    for (int j = 0; j < 3; ++j) larger(2, j) *= 2.0001f;  // a row that sums to 1.0001 is rounded, one to 1.01 is not
    CHECK(said(weights_taken_away_after, larger, expected) != "");
    for (int j = 0; j < 3; ++j) larger(2, j) *= 1.01f;
    CHECK(said(weights_taken_away_after, larger, expected) == "");
    Matrix nearly = expected;
    for (float& p : nearly) p *= 0.9995f;
    CHECK(said(weights_taken_away_after, nearly, expected) == "");
    Matrix hides = ours;
    hides(0, 0) = 0;
    CHECK(said(weights_taken_away_after, hides, expected) == "");
    Matrix least = ours;  // two in a thousand of a small quotient
    for (int j = 0; j < 3; ++j) least(2, j) *= 0.02f;
    check_guess(weights_taken_away_after, least, expected, "fits: rows of yours sum to less than 1, down to 0.01" + end);
    // a millionth in place of 0 does not matter, two do
    Matrix tiny = ours;
    tiny(1, 2) = 1e-6f;
    CHECK(said(weights_taken_away_after, tiny, expected) == words);
    tiny(1, 2) = 2e-6f;
    CHECK(said(weights_taken_away_after, tiny, expected) == "");
    // small weights are compared too
    Matrix small = expected, small_ours = ours;
    small(1, 2) = 0.004f, small_ours(1, 2) = 0.0044f;
    CHECK(said(weights_taken_away_after, small_ours, small) == "");
}

TEST_SUITE_END();
