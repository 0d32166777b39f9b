#include "nn/text/batch.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/layers/transformer.h"
#include "nn/training/loss.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("batch");

static const int none = ignored_label;
static const std::vector<std::vector<int>> three_and_one{{7, 8, 9}, {5}};

TEST_CASE("make_batch: pads on the right, or on the left, where the next token follows the text") {
    const TokenBatch right = make_batch(three_and_one, 4);
    CHECK(right.sequences == 2);
    CHECK(right.length == 3);
    CHECK(right.ids == std::vector<int>{7, 8, 9, 5, 4, 4});
    CHECK(identical(right.mask, {{1, 1, 1}, {1, 0, 0}}));
    const TokenBatch left = make_batch(three_and_one, 4, Side::left);
    CHECK(left.ids == std::vector<int>{7, 8, 9, 4, 4, 5});
    CHECK(identical(left.mask, {{1, 1, 1}, {0, 0, 1}}));
    CHECK(left.is_token(1, 2));
    CHECK_FALSE(left.is_token(1, 1));
    for (const Side side : {Side::right, Side::left}) {
        const TokenBatch single = make_batch({{7, 8}}, 4, side);  // nothing to pad
        CHECK(single.sequences == 1);
        CHECK(single.length == 2);
        CHECK(single.ids == std::vector<int>{7, 8});
        CHECK(identical(single.mask, {{1, 1}}));
    }
}

TEST_CASE("equal_batch: sequences of one length, no mask, every position a token") {
    const TokenBatch batch = equal_batch({1, 2, 3, 4, 5, 6}, 3);
    CHECK(batch.sequences == 2);
    CHECK(batch.length == 3);
    CHECK(batch.mask.empty());
    CHECK(batch.is_token(1, 2));
}

TEST_CASE("positions: count from the first token of each text; padding gets 0") {
    CHECK(positions(make_batch(three_and_one, 0, Side::left)) == std::vector<int>{0, 1, 2, 0, 0, 0});
    CHECK(positions(make_batch({{1, 2, 3, 4, 5}, {6, 7, 8}}, 0, Side::left)) == std::vector<int>{0, 1, 2, 3, 4, 0, 0, 0, 1, 2});
    CHECK(positions(make_batch({{1, 2, 3}, {6, 7}}, 0, Side::right)) == std::vector<int>{0, 1, 2, 0, 1, 0});
    CHECK(positions(equal_batch({1, 2, 3, 4}, 2)) == std::vector<int>{0, 1, 0, 1});
}

TEST_CASE("next_tokens: a label is in the row that predicts it; the last row and padding have none") {
    CHECK(next_tokens({7, 8, 9, 4, 5, 6}, 3) == std::vector<int>{8, 9, none, 5, 6, none});
    CHECK(next_tokens(make_batch({{7, 8, 9}, {4, 5}})) == std::vector<int>{8, 9, none, 5, none, none});
    CHECK(next_tokens(make_batch({{7, 8, 9}, {4}})) == std::vector<int>{8, 9, none, none, none, none});
    // padded on the left: the padding before 4 does not predict it
    CHECK(next_tokens(make_batch({{7, 8, 9}, {4, 5}}, 0, Side::left)) == std::vector<int>{8, 9, none, none, 5, none});
}

TEST_CASE("attending: tokens attend to their own sequence, if causal to none after themselves, and never to padding") {
    const TokenBatch left = make_batch({{1, 2, 3}, {4, 5}}, 0, Side::left);
    const Attending both_ways = attending(left, false), causally = attending(left, true);
    CHECK(both_ways.segments.list[1].first == 3);
    CHECK(both_ways.segments.list[1].count == 3);
    const auto rows = [](const MayAttend& may) {
        std::string picture;
        for (int i = 0; i < may.queries; ++i) {
            for (int j = 0; j < may.keys; ++j) picture += may(i, j) ? '1' : '.';
            picture += ' ';
        }
        return picture;
    };
    CHECK(rows(both_ways.may) == "111 111 111 .11 .11 .11 ");
    CHECK(rows(causally.may) == "1.. 11. 111 ... .1. .11 ");  // row 3 is padding and may attend to nothing
    CHECK(attending(equal_batch({1, 2}, 2), false).may.allows_all());
    CHECK(rows(attending(make_batch({{1, 2}, {3, 4}}), true).may) == "1. 11 ");  // nothing is padded: one table for all sequences
}

TEST_CASE("attending: a padding row that may attend to nothing receives zeros and sends no gradient, so no NaN arises") {
    const TokenBatch left = make_batch({{1, 2, 3}, {4}}, 0, Side::left);
    Random random(1);
    const Var x = parameter(normal_matrix(random, 6, 4));
    const Tape tape;
    const Var seen = attend(x, x, x, 2, attending(left, true)).context;  // (6, 4)
    backward(sum(square(seen)));
    for (int row = 3; row < 5; ++row)
        for (int j = 0; j < 4; ++j) {
            CHECK(seen.value()(row, j) == 0);
            CHECK(x.gradient()(row, j) == 0);
        }
    check_close("the token after the padding attends to itself", slice_rows(seen.value(), 5, 1), slice_rows(x.value(), 5, 1));
}

TEST_CASE("attending: left and right padding give every token the same context") {
    Random random(2);
    const Matrix text = normal_matrix(random, 3, 4), other = normal_matrix(random, 5, 4), filling = normal_matrix(random, 2, 4);
    const auto context_of_text = [&](Side side) {
        const TokenBatch batch = make_batch({{1, 1, 1, 1, 1}, {1, 1, 1}}, 0, side);
        const Var x = side == Side::left ? concat_rows({other, filling, text}) : concat_rows({other, text, filling});
        const Matrix context = attend(x, x, x, 2, attending(batch, true)).context.value();
        return slice_rows(context, side == Side::left ? 7 : 5, 3);
    };
    check_close("context", context_of_text(Side::left), context_of_text(Side::right));
}

TEST_CASE("append, positions, attending: of the last columns, for a reader with a cache") {
    TokenBatch seen;
    append(seen, make_batch({{1, 2, 3}, {4}}, 0, Side::left));  // 1 2 3 and 0 0 4
    append(seen, equal_batch({5, 6}, 1));
    CHECK(seen.ids == std::vector<int>{1, 2, 3, 5, 0, 0, 4, 6});
    CHECK(identical(seen.mask, {{1, 1, 1, 1}, {0, 0, 1, 1}}));
    CHECK(positions(seen, 1) == std::vector<int>{3, 1});
    CHECK(positions(seen, 2) == std::vector<int>{2, 3, 0, 1});
    const MayAttend may = attending(seen, true, 2).may;
    CHECK(may.queries == 4);
    CHECK(may.keys == 4);
    const Matrix expected{{1, 1, 1, 0}, {1, 1, 1, 1}, {0, 0, 1, 0}, {0, 0, 1, 1}};
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) CHECK(may(i, j) == (expected(i, j) == 1));
    const TokenBatch swapped = select_sequences(seen, {1, 1, 0});
    CHECK(swapped.ids == std::vector<int>{0, 0, 4, 6, 0, 0, 4, 6, 1, 2, 3, 5});
    CHECK(identical(swapped.mask, {{0, 0, 1, 1}, {0, 0, 1, 1}, {1, 1, 1, 1}}));
    CHECK(select_sequences(equal_batch({1, 2}, 1), {1}).mask.empty());
}

TEST_CASE("attending: with a cache and left padding equals the whole pass without padding") {
    Random random(3);
    const Attention w = make_attention(random, 4, {.stddev = 0.5f});
    const Matrix long_text = normal_matrix(random, 5, 4), short_text = normal_matrix(random, 3, 4), filling(2, 4, 7.0f);
    const auto whole = [&](const Matrix& text) {
        return attention(Var(text), w, 2, {.may = causal(text.rows, text.rows)}).output.value();
    };
    KeyValueCache cache = make_cache(2, 5, 4);
    TokenBatch seen;
    const auto read = [&](const Matrix& x, const TokenBatch& next) {
        append(seen, next);
        Attending how = attending(seen, true, next.length);
        how.cache = &cache;
        return attention(Var(x), w, 2, how).output.value();
    };
    // prompts of four and two tokens, the second padded on the left by two; then one token of each
    const Var prompts = concat_rows({slice_rows(Var(long_text), 0, 4), Var(filling), slice_rows(Var(short_text), 0, 2)});
    const Matrix first = read(prompts.value(), make_batch({{1, 1, 1, 1}, {1, 1}}, 0, Side::left));
    const Matrix second =
        read(concat_rows({slice_rows(Var(long_text), 4, 1), slice_rows(Var(short_text), 2, 1)}).value(), equal_batch({1, 1}, 1));
    check_close("long prompt", slice_rows(first, 0, 4), slice_rows(whole(long_text), 0, 4));
    check_close("short prompt", slice_rows(first, 6, 2), slice_rows(whole(short_text), 0, 2));
    check_close("long, next", slice_rows(second, 0, 1), slice_rows(whole(long_text), 4, 1));
    check_close("short, next", slice_rows(second, 1, 1), slice_rows(whole(short_text), 2, 1));
}

TEST_CASE("position_rows: tokens count from the offset, padding reads the row before it, at either end") {
    CHECK(position_rows(make_batch({{5, 6, 7}, {8}}, 0, Side::left), 2) == std::vector<int>{2, 3, 4, 1, 1, 2});
    CHECK(position_rows(make_batch({{5, 6, 7}, {8}}), 2) == std::vector<int>{2, 3, 4, 2, 1, 1});
    CHECK(position_rows(make_batch({{5, 6, 7}, {8}}, 0, Side::left), 2, 2) == std::vector<int>{3, 4, 1, 2});
    CHECK(position_rows(equal_batch({5, 6}, 2), 3) == std::vector<int>{3, 4});
    CHECK(position_rows(equal_batch({5, 6}, 2), 0) == std::vector<int>{0, 1});
}

TEST_CASE("attending_to: queries of another text attend to all tokens of their source sequence, and not to padding") {
    const Attending how = attending_to(make_batch({{7, 8, 9}, {5}}), 2);
    CHECK(how.segments.size() == 2);
    CHECK(how.segments.list[1].first == 2);
    CHECK(how.key_segments.list[1].first == 3);
    CHECK(how.key_segments.list[1].count == 3);
    CHECK(how.may.queries == 4);
    CHECK(how.may.keys == 3);
    CHECK(how.may.table == std::vector<char>{1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0});
    CHECK(attending_to(equal_batch({1, 2, 3, 4}, 2), 3).may.allows_all());
    CHECK_THROWS_WITH(attending_to(equal_batch({1, 2}, 2), 0),
                      "attending_to: 0 queries for each sequence, there must be at least 1");
    CHECK(attending_to(equal_batch({1, 2}, 2), 1).segments.size() == 1);
}

TEST_CASE("require_fits, require_texts: an inconsistent batch is refused with place, numbers and rule") {
    CHECK_THROWS_WITH(make_batch({}), "make_batch: there is no sequence; give at least one");
    CHECK_THROWS_WITH(make_batch({{1}, {}, {2}}), "make_batch: sequence 1 of 3 has no token; leave it out");
    CHECK_THROWS_WITH(
        equal_batch({1, 2, 3}, 2),
        "equal_batch: 3 tokens are not a whole number of sequences of 2, 1 are left over; cut them off or fill the last sequence up");
    CHECK_THROWS_WITH(equal_batch({1, 2, 3}, 0), "equal_batch: a length of 0 for 3 tokens, it must be at least 1");
    CHECK_THROWS_WITH(next_tokens({.sequences = 2, .length = 2, .ids = {1, 2, 3}, .mask = {}}),
                      "next_tokens: 3 ids are not 2 sequences of length 2; there must be at least one token, and an id for each");
    CHECK_THROWS_WITH(next_tokens({.sequences = 0, .length = 2, .ids = {}, .mask = {}}),
                      "next_tokens: 0 ids are not 0 sequences of length 2; there must be at least one token, and an id for each");
    CHECK_THROWS_WITH(next_tokens({.sequences = 2, .length = 0, .ids = {}, .mask = {}}),
                      "next_tokens: 0 ids are not 2 sequences of length 0; there must be at least one token, and an id for each");
    CHECK_THROWS_WITH(positions({.sequences = 1, .length = 2, .ids = {1, 2}, .mask = Matrix(2, 1)}),
                      "positions: the mask is (2, 1), the batch is (1, 2); each token needs a number, or give no mask");
    for (const Matrix& mask : {Matrix(1, 3), Matrix(2, 2)})
        CHECK_THROWS(positions({.sequences = 1, .length = 2, .ids = {1, 2}, .mask = mask}));
    CHECK_THROWS_WITH(attending({.sequences = 1, .length = 2, .ids = {1, 2}, .mask = Matrix(1, 2, 0.5f)}, false),
                      "attending: a mask holds 1 (token) and 0 (padding), not 0.500000");
    CHECK_THROWS_WITH(positions(equal_batch({1, 2}, 2), 3),
                      "positions: the last 3 columns of 2, it must be 1 to that many, or 0 for all");
    TokenBatch seen = equal_batch({1, 2}, 1);
    CHECK_THROWS_WITH(append(seen, equal_batch({1}, 1)),
                      "append: 1 sequences come after 2, both must have the same number; select_sequences leaves some out");
    CHECK_THROWS_WITH(select_sequences(seen, {2}), "select_sequences: there is no sequence 2 among 2, counted from 0");
    CHECK_THROWS_WITH(select_sequences(seen, {-1}), "select_sequences: there is no sequence -1 among 2, counted from 0");
    TokenBatch texts = make_batch({{1, 2}, {3}, {4, 5}});
    CHECK_NOTHROW(require_texts("test", texts));
    for (const int b : {2, 0}) {
        std::fill_n(texts.mask.row(b), 2, 0.0f);
        CHECK(error_of([&] { require_texts("test", texts); }) ==
              "test: sequence " + std::to_string(b) + " of 3 is all padding; leave it out");
    }
}

TEST_CASE("position_rows: fewer than 0 reserved rows are refused") {
    CHECK_THROWS_WITH(position_rows(equal_batch({1, 2}, 2), -3),
                      "position_rows: an offset of -3, the reserved rows cannot be fewer than 0; 2 in fairseq");
}

TEST_CASE("position_rows, select_sequences: an offset beyond an int and a choice of nothing are refused") {
    const TokenBatch batch = make_batch({{7, 8, 9}, {5}});
    CHECK(position_rows(batch, 2147483644)[2] == 2147483646);
    CHECK(error_of([&] { position_rows(batch, 2147483645); }) ==
          "position_rows: an offset of 2147483645 and 3 tokens, more rows than an int can count; 2 in fairseq");
    CHECK(error_of([&] { select_sequences(batch, {}); }) ==
          "select_sequences: none of 2 sequences is chosen; choose at least one");
}

TEST_SUITE_END();
