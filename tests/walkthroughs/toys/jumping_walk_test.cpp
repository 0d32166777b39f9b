#include "walkthroughs/toys/jumping_walk.h"

#include <set>

#include "nn/training/loss.h"
#include "tests/test.h"
#include "tests/walkthroughs/written_out.h"

TEST_SUITE_BEGIN("jumping_walk");

// The position of a token among the eight.
static int position_of(const jumping_walk::Text& text, int t) {
    for (int position = 0; position < jumping_walk::shown; ++position)
        if (text.ids[position] == text.ids[t]) return position;
    return -1;
}

TEST_CASE("draw: eight different symbols, then a walk that steps to the next of them where the text says so") {
    Random random(1);
    int followed = 0;
    for (int n = 0; n < 200; ++n) {
        const jumping_walk::Text text = jumping_walk::draw(random);
        CHECK(text.ids.size() == 21);
        CHECK(std::set<int>(text.ids.begin(), text.ids.begin() + 8).size() == 8);
        for (int t = 0; t < 8; ++t) CHECK(!text.follows[t]);
        for (int t = 8; t < 21; ++t) {
            CHECK(position_of(text, t) >= 0);
            if (text.follows[t]) CHECK(position_of(text, t) == position_of(text, t - 1) + 1);
            followed += text.follows[t];
        }
    }
    CHECK(followed > 200 * 12 * 0.4);
    CHECK(followed < 200 * 12 * 0.7);
}

TEST_CASE("draw: the two first texts of seed 1; a walk may step on from its first symbol") {
    Random random(1);  // the claims of the lessons are made for such texts
    const jumping_walk::Text first = jumping_walk::draw(random), second = jumping_walk::draw(random);
    CHECK(first.ids == std::vector<int>{9, 10, 2, 14, 4, 12, 15, 6, 15, 14, 9, 10, 2, 14, 4, 12, 2, 14, 4, 12, 15});
    std::string steps;
    for (const char follows : first.follows) steps += follows ? "1" : "0";
    CHECK(steps == "000000000001111101110");
    CHECK(second.ids == std::vector<int>{15, 14, 8, 1, 10, 11, 7, 0, 1, 10, 11, 10, 11, 7, 0, 14, 8, 1, 10, 11, 7});
    CHECK(second.follows[9]);
}

TEST_CASE(
    "draw: a walk jumps with probability 0.3 and at the last symbol, to one of the first seven alike; all 16 symbols occur") {
    Random random(5);
    int from_before_last = 0, jumped = 0;
    std::vector<int> landed(8);
    std::set<int> symbols;
    for (int n = 0; n < 2000; ++n) {
        const jumping_walk::Text text = jumping_walk::draw(random);
        symbols.insert(text.ids.begin(), text.ids.end());
        CHECK(!text.follows[8]);
        for (int t = 8; t < 21; ++t) {
            if (!text.follows[t]) ++landed[position_of(text, t)];
            if (t == 8) continue;
            if (position_of(text, t - 1) == 7) CHECK(!text.follows[t]);
            from_before_last += position_of(text, t - 1) < 7;
            jumped += position_of(text, t - 1) < 7 && !text.follows[t];
        }
    }
    CHECK(symbols.size() == 16);
    CHECK(static_cast<double>(jumped) / from_before_last == Approx(0.3).epsilon(0.05));
    int all = 0;
    for (const int count : landed) all += count;
    CHECK(landed[7] == 0);
    for (int position = 0; position < 7; ++position) CHECK(landed[position] == Approx(all / 7.0).epsilon(0.1));
}

TEST_CASE("draw: the query comes last, after a jump; hidden positions are not visited before it") {
    Random random(2);
    for (int n = 0; n < 200; ++n) {
        const jumping_walk::Text text = jumping_walk::draw(random, {.query = 3, .hidden = {1, 2, 3, 4}});
        CHECK(position_of(text, 19) == 3);
        CHECK(position_of(text, 20) == 4);
        CHECK(!text.follows[19]);
        CHECK(text.follows[20]);
        for (int t = 8; t < 19; ++t) CHECK((position_of(text, t) == 0 || position_of(text, t) > 4));
    }
    CHECK_THROWS_WITH(jumping_walk::draw(random, {.query = 7}), "jumping_walk: the symbol at position 7 has no successor");
    CHECK_THROWS_WITH(jumping_walk::draw(random, {.query = -2}), "jumping_walk: the symbol at position -2 has no successor");
    for (int n = 0; n < 50; ++n)
        for (const int query : {0, 6}) {
            const jumping_walk::Text text = jumping_walk::draw(random, {.query = query, .hidden = {3}});
            CHECK(position_of(text, 19) == query);
            CHECK(position_of(text, 20) == query + 1);
            for (int t = 8; t < 21; ++t) CHECK(position_of(text, t) != 3);
        }
    // one position to land on, and its successor
    const jumping_walk::Text narrow = jumping_walk::draw(random, {.hidden = {0, 1, 2, 3, 4, 5}});
    for (int t = 8; t < 21; ++t) CHECK(position_of(narrow, t) == (narrow.follows[t] ? 7 : 6));
    CHECK_THROWS_WITH(jumping_walk::draw(random, {.hidden = {0, 1, 2, 3, 4, 5, 6}}), "jumping_walk: the walk has nowhere to go");
}

TEST_CASE("labels: only determined tokens are targets") {
    Random random(3);
    const std::vector<jumping_walk::Text> texts{jumping_walk::draw(random), jumping_walk::draw(random)};
    const std::vector<int> ids = jumping_walk::inputs(texts), labels = jumping_walk::labels(texts);
    CHECK(ids.size() == 40);
    CHECK(labels.size() == 40);
    for (int b = 0; b < 2; ++b)
        for (int t = 0; t < 20; ++t) {
            CHECK(ids[b * 20 + t] == texts[b].ids[t]);
            CHECK(labels[b * 20 + t] == (texts[b].follows[t + 1] ? texts[b].ids[t + 1] : ignored_label));
        }
}

TEST_CASE("learn: one loss a step, near ln 16 before anything is learned") {
    Random random(4);
    const jumping_walk::Learned model = jumping_walk::learn({.steps = 2, .batch = 8}, random);
    CHECK(model.losses.size() == 2);
    CHECK(model.config.vocabulary == 16);
    CHECK(model.config.positions == 20);
    CHECK(model.config.depth == 2);
    CHECK(model.losses[0] > 2.4f);
    CHECK(model.losses[0] < 3.5f);
}

TEST_CASE("learn: Adam written out: 50 steps of warm-up, then linear to a twentieth of the peak; weights of deviation 0.1") {
    Random random(6), again(6);
    const jumping_walk::Learned model = jumping_walk::learn({.steps = 70, .batch = 2, .learning_rate = 2e-3f}, random);
    const gpt::Config config{.vocabulary = 16, .positions = 20, .width = 32, .depth = 2, .heads = 4, .mlp_width = 64};
    const gpt::Weights w = gpt::make_weights(config, again, {.stddev = 0.1f, .embedding_stddev = 0.1f});
    const auto rate = [](int step) {
        return step < 50 ? 2e-3 * (step + 1) / 50 : 2e-3 * (0.05 + 0.95 * (1 - (step - 50) / 20.0));
    };
    const std::vector<float> same = adam_written_out(variables(gpt::parameters(w, config)), 70, rate, [&] {
        std::vector<jumping_walk::Text> texts;
        for (int b = 0; b < 2; ++b) texts.push_back(jumping_walk::draw(again));
        return gpt::loss(gpt::forward(jumping_walk::inputs(texts), 20, w, config), jumping_walk::labels(texts));
    });
    REQUIRE(model.losses.size() == 70);
    for (int step = 0; step < 70; ++step) CHECK(model.losses[step] == Approx(same[step]).epsilon(1e-5));
}

TEST_CASE("jumping_walk::Training: the defaults") {
    const jumping_walk::Training usual{};
    CHECK(usual.steps == 600);
    CHECK(usual.batch == 64);
    CHECK(usual.learning_rate == 3e-3f);
}

TEST_SUITE_END();
