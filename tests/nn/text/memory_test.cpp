#include "nn/text/memory.h"

#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("memory");

TEST_CASE("read_next: positions count the tokens of each text, without left padding") {
    Memory memory = make_memory(2, 2, 5, 4);
    const Reading first = read_next(memory, make_batch({{7, 8, 9}, {5}}, 0, Side::left), "test");
    CHECK(first.positions == std::vector<int>{0, 1, 2, 0, 0, 0});
    REQUIRE(first.contexts.size() == 2);
    CHECK(first.contexts[1].self.cache == &memory.blocks[1]);
    const MayAttend& may = first.contexts[0].self.may;
    CHECK(may(1, 0));                                             // token 1 of text 0 attends to the one before it
    CHECK(!may(1, 2));                                            // and not to the one after it
    CHECK(may(1 * 3 + 2, 2));                                     // the only token of text 1 attends to itself
    CHECK(!may(1 * 3 + 2, 1));                                    // and not the padding before it
    for (KeyValueCache& block : memory.blocks) block.filled = 3;  // as the blocks do
    CHECK(read_next(memory, make_batch({{1}, {2}}), "test").positions == std::vector<int>{3, 1});
}

TEST_CASE("read_next: another number of sequences and tokens beyond the capacity are refused, and the memory is unchanged") {
    Memory memory = make_memory(1, 2, 3, 4);
    CHECK_THROWS_WITH(read_next(memory, make_batch({{1}}), "test"),
                      "test: 1 sequences for a memory of 2, all must go on; select_sequences leaves some out");
    CHECK_THROWS_WITH(read_next(memory, make_batch({{1, 2, 3, 4}, {1}}), "test"),
                      "test: the memory holds 0 of 3 tokens, 4 more do not fit; make it with a larger capacity");
    CHECK(memory.seen.length == 0);
    CHECK_THROWS_WITH(make_memory(1, 0, 3, 4), "make_memory: 0 sequences of 3 tokens, both must be positive");
}

TEST_CASE("select_sequences: the memory continues from the chosen sequences") {
    Memory memory = make_memory(1, 2, 3, 4);
    read_next(memory, make_batch({{7, 8}, {5}}, 0, Side::left), "test");
    const Memory chosen = select_sequences(memory, {1, 1, 0});
    CHECK(chosen.sequences == 3);
    CHECK(chosen.seen.ids == std::vector<int>{0, 5, 0, 5, 7, 8});
    CHECK(chosen.blocks[0].sequences == 3);
    Memory of_one_token = make_memory(1, 2, 3, 4);
    CHECK(select_sequences(of_one_token, {1, 1, 0}).sequences == 3);  // before anything is read
    read_next(of_one_token, make_batch({{7}, {5}}), "test");
    CHECK(select_sequences(of_one_token, {1, 0}).seen.ids == std::vector<int>{5, 7});
}

TEST_CASE("last_rows: the last row of each sequence") {
    const Var hidden = Matrix{{1}, {2}, {3}, {4}, {5}, {6}};
    CHECK(identical(last_rows(hidden, make_batch({{1, 2, 3}, {1, 2, 3}})).value(), Matrix{{3}, {6}}));
    CHECK(identical(last_rows(hidden, make_batch({{1, 2, 3, 4, 5, 6}})).value(), Matrix{{6}}));
}

TEST_CASE("make_memory, tokens_read: fewer than 0 blocks, and more tokens than an int counts, are refused") {
    CHECK_THROWS_WITH(make_memory(1, 2, 0, 4), "make_memory: 2 sequences of 0 tokens, both must be positive");
    CHECK_NOTHROW(make_memory(0, 1, 1, 1));
    CHECK_THROWS_WITH(make_memory(-1, 1, 1, 1), "make_memory: -1 blocks, there cannot be fewer than 0");
    CHECK(tokens_read(3, 4) == 6);
    CHECK(tokens_read(3, 0) == 3);
    CHECK(tokens_read(3, 2147483645) == 2147483647);
    CHECK_THROWS_WITH(tokens_read(3, 2147483647),
                      "generate: a prompt of 3 tokens and 2147483647 new ones are more than can be counted; ask for fewer");
}

TEST_CASE("read_next: blocks that did not run after the last reading are named, and the memory is unchanged") {
    Memory memory = make_memory(2, 1, 5, 4);
    read_next(memory, make_batch({{7, 8}}), "test");
    memory.blocks[0].filled = 2;  // block 1 has failed
    CHECK_THROWS_WITH(
        read_next(memory, make_batch({{9}}), "test"),
        "test: the memory has seen 2 tokens, but block 1 holds the keys of 0; the blocks did not run to their end, begin "
        "again with make_memory");
    CHECK(memory.seen.length == 2);
    memory.blocks[0].filled = 0;
    memory.blocks[1].filled = 2;
    CHECK(error_of([&] {
              read_next(memory, make_batch({{9}}), "test");
          }).starts_with("test: the memory has seen 2 tokens, but block 0 holds the keys of 0;"));
}

TEST_CASE("last_rows: hidden states of another batch are refused, be they more or fewer") {
    const TokenBatch batch = make_batch({{1, 2}, {3, 4}, {5, 6}});
    const auto refusal = [&](int rows) { return error_of([&] { last_rows(Var(Matrix(rows, 4)), batch); }); };
    CHECK(refusal(6).empty());
    for (const int rows : {5, 7, 12})
        CHECK(refusal(rows) == "last_rows: hidden states (" + std::to_string(rows) +
                                   ", 4) for 3 sequences of 2 tokens; each token needs a row, and there must be one");
    CHECK(error_of([] {
              last_rows(Var(Matrix(0, 4)), TokenBatch{});
          }).starts_with("last_rows: hidden states (0, 4) for 0 sequences of 0 tokens;"));
}

TEST_SUITE_END();
