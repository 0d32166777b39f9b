// places_test.cpp: numbers in other positions: each hypothesis with the least that it needs, and every number can refute it.
#include "course/cause/places.h"

#include "tests/course/cause/guesses.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("places");

// n rows of two different numbers each, in this order.
static Matrix ordered(const std::vector<int>& from) {
    Matrix m(static_cast<int>(from.size()), 2);
    float* number = m.begin();
    for (const int k : from) *number++ = static_cast<float>(2 * k + 1), *number++ = static_cast<float>(2 * k + 2);
    return m;
}

static std::vector<int> from_zero(int n) {
    std::vector<int> order;
    for (int i = 0; i < n; ++i) order.push_back(i);
    return order;
}

TEST_CASE("rows_moved, columns_moved: every order that has a name, every number counts, up to 2000 rows") {
    using Case = std::pair<std::vector<int>, std::string>;
    for (const auto& [order, name] :
         std::vector<Case>{{{1, 0, 3, 2, 5, 4}, " in other positions: in every group of 2 ROWs the first ROW comes last"},
                           {{1, 2, 0}, " in other positions: the first ROW comes last"},
                           {{2, 0, 1}, " in other positions: the last ROW comes first"},
                           {{2, 3, 0, 1}, " in other positions: every ROW is moved by 2"},
                           {{2, 1, 0}, " in other positions: the order is reversed"},
                           {{2, 1, 0, 5, 4, 3}, " in other positions: in every group of 3 ROWs the order is reversed"},
                           {{0, 2, 4, 1, 3, 5}, " in other positions: the ROWs are 3 by 2 and were read as 2 by 3"},
                           {{0, 3, 1, 4, 2, 5}, " in other positions: the ROWs are 2 by 3 and were read as 3 by 2"},
                           {{0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11},
                            " in other positions: in every group of 6 ROWs the ROWs are 3 by 2 and were read as 2 by 3"},
                           {{1, 0, 2, 3, 4}, " in another order, 2 of 5: ROW 0 of yours belongs at position 1"},
                           {{0, 1, 4, 3, 2}, " in another order, 2 of 5: ROW 2 of yours belongs at position 4"}}) {
        const Matrix ours = ordered(order), expected = ordered(from_zero(ours.rows));
        for (const std::string word : {"row", "column"}) {
            std::string words = "fits: your " + word + "s are right but" + name;
            for (std::size_t at = words.find("ROW"); at != std::string::npos; at = words.find("ROW")) words.replace(at, 3, word);
            if (word == "row")
                check_guess(rows_moved, ours, expected, words);
            else
                check_guess(columns_moved, transpose(ours), transpose(expected), words);
        }
    }
    std::vector<int> many = from_zero(2000);
    std::swap(many.front(), many.back());
    const std::string exchanged = " are right but in another order, 2 of 2000: ";
    CHECK(said(rows_moved, ordered(many), ordered(from_zero(2000))).find("rows" + exchanged) != std::string::npos);
    CHECK(said(columns_moved, transpose(ordered(many)), transpose(ordered(from_zero(2000)))).find("columns" + exchanged) !=
          std::string::npos);
    many.push_back(2000);
    CHECK(said(rows_moved, ordered(many), ordered(from_zero(2001))) == "");
    CHECK(said(columns_moved, transpose(ordered(many)), transpose(ordered(from_zero(2001)))) == "");
    CHECK(said(columns_moved, {{2, 3, 1}, {2, 3, 1}}, {{1, 2, 3}, {1, 2, 3}}) ==
          "fits: your columns are right but in other positions: the first column comes last");
}

TEST_CASE("transposed_blocks, numbers_moved: every number counts") {
    const Matrix square{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}, blocks{{1, 2}, {3, 4}, {5, 6}, {7, 8}}, wide{{1, 2, 3}, {4, 5, 6}};
    check_guess(transposed_blocks, transpose(square), square, "fits: yours is the transpose of what is expected");
    check_guess(transposed_blocks, transpose(wide), wide, "fits: yours is the transpose of what is expected");
    check_guess(transposed_blocks, {{1, 3}, {2, 4}, {5, 7}, {6, 8}}, blocks,
                "fits: every block of 2 rows is the transpose of what is expected");
    check_guess(numbers_moved, {{2, 3, 1}, {6, 4, 5}}, wide, "fits: each row holds the right numbers in other columns");
    check_guess(numbers_moved, {{4, 3, 1}, {6, 2, 5}}, wide, "fits: all numbers are right, in other positions");
}

TEST_CASE(
    "places_that_differ, masked_places: two rows of three are no place; a mask for each number or each row, with both values") {
    CHECK(said(places_that_differ, {{9, 9}, {9, 9}, {5, 6}}, {{1, 2}, {3, 4}, {5, 6}}) == "");
    CHECK(said(places_that_differ, {{9, 9}, {3, 4}, {5, 6}}, {{1, 2}, {3, 4}, {5, 6}}) == "differs only in row 0");
    CHECK(said(places_that_differ, {{9, 9}, {3, 4}}, {{1, 2}, {3, 4}}) == "differs only in row 0");
    const Matrix expected{{1, 2}, {3, 4}, {5, 6}, {7, 8}}, ours{{1, 9}, {3, 4}, {9, 6}, {7, 8}};
    const auto where = [&](const Matrix& mask) {
        return said(masked_places, ours, expected, {.sizes = {}, .others = {{"x", mask}}});
    };
    CHECK(where({{1, 0}, {1, 1}, {0, 1}, {0, 1}}) == "differs only where x is 0");
    CHECK(where({{0, 1}, {0, 0}, {1, 0}, {1, 0}}) == "differs only where x is 1");
    CHECK(where({{0}, {1}, {0}, {1}}) == "differs only where x is 0");
    CHECK(where({{1}, {0}, {1}, {1}}) == "differs only where x is 1");
    CHECK(where({{0, 0, 0, 1}}) == "differs only where x is 0");
    CHECK(where({{0}, {1}, {1}, {0}}) == "");  // some at both
    CHECK(where({{1}, {1}, {0}, {0}}) == "");
    CHECK(where({{1, 0}, {1, 1}, {1, 1}, {0, 1}}) == "");
    for (const float all : {0.0f, 1.0f}) CHECK(where(Matrix(4, 1, all)) == "");
    CHECK(where({{0}, {2}, {0}, {1}}) == "");  // no mask
    CHECK(where({{0}, {1}, {0}}) == "");       // not of this size
    CHECK(said(masked_places, {{9, 2}, {3, 4}}, {{1, 2}, {3, 4}}, {.sizes = {}, .others = {{"x", {{0, 1}, {1, 1}}}}}) == "");
}

TEST_SUITE_END();
