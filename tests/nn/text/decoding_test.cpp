#include "nn/text/decoding.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/autograd/operations.h"
#include "nn/base/random.h"
#include "nn/training/loss.h"
#include "tests/close.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("decoding");

// --- filters by hand ---

static const Matrix halves{{std::log(0.5f), std::log(0.125f), std::log(0.25f), std::log(0.125f)}};  // p = 1/2, 1/8, 1/4, 1/8

TEST_CASE("sampling_probabilities: without filters they are the model's probabilities") {
    check_close("p", sampling_probabilities(halves, {}), {{0.5f, 0.125f, 0.25f, 0.125f}});
}

TEST_CASE("sampling_probabilities: temperature 1/2 squares them, 2 takes their root, 0 takes the first of the largest") {
    // squares: 16, 1, 4, 1 of 22 parts
    check_close("cold", sampling_probabilities(halves, {.temperature = 0.5f}), {{16 / 22.f, 1 / 22.f, 4 / 22.f, 1 / 22.f}});
    const float root = std::sqrt(2.0f);  // roots: 2, 1, root 2, 1 of 4 + root 2 parts
    check_close("hot", sampling_probabilities(halves, {.temperature = 2}),
                {{2 / (4 + root), 1 / (4 + root), root / (4 + root), 1 / (4 + root)}});
    check_close("greedy", sampling_probabilities({{1, 3, 3}}, {.temperature = 0}), {{0, 1, 0}});
}

TEST_CASE("sampling_probabilities: top-k keeps the k likeliest tokens and all equal to the last of them") {
    check_close("1", sampling_probabilities(halves, {.top_k = 1}), {{1, 0, 0, 0}});
    check_close("2", sampling_probabilities(halves, {.top_k = 2}), {{2 / 3.f, 0, 1 / 3.f, 0}});
    check_close("3 is 4, two are equal", sampling_probabilities(halves, {.top_k = 3}), {{0.5f, 0.125f, 0.25f, 0.125f}});
    check_close("9 of 4", sampling_probabilities(halves, {.top_k = 9}), {{0.5f, 0.125f, 0.25f, 0.125f}});
    check_close("not the first", sampling_probabilities({{0, 2, 1}}, {.top_k = 1}), {{0, 1, 0}});
}

TEST_CASE("sampling_probabilities: top-p keeps the fewest tokens that reach p, including the one that crosses it, at least one") {
    check_close("0", sampling_probabilities(halves, {.top_p = 0}), {{1, 0, 0, 0}});
    check_close("0.4", sampling_probabilities(halves, {.top_p = 0.4f}), {{1, 0, 0, 0}});
    check_close("0.6", sampling_probabilities(halves, {.top_p = 0.6f}), {{2 / 3.f, 0, 1 / 3.f, 0}});
    check_close("0.8: of the two equal ones the first", sampling_probabilities(halves, {.top_p = 0.8f}),
                {{4 / 7.f, 1 / 7.f, 2 / 7.f, 0}});
    check_close("0.95", sampling_probabilities(halves, {.top_p = 0.95f}), {{0.5f, 0.125f, 0.25f, 0.125f}});
}

TEST_CASE("sampling_probabilities: top-p uses the probabilities after temperature and top-k") {
    // after top-k 2: 2/3 and 1/3. 0.6 is reached by the first alone; counted before top-k it would need both
    check_close("k then p", sampling_probabilities(halves, {.top_k = 2, .top_p = 0.6f}), {{1, 0, 0, 0}});
    // squared: 16/22 = 0.73 reaches 0.6 alone
    check_close("temperature then p", sampling_probabilities(halves, {.temperature = 0.5f, .top_p = 0.6f}), {{1, 0, 0, 0}});
}

TEST_CASE("keep_top_p: the token that reaches p exactly is the last, and of equal ones the smaller ids are kept") {
    const auto kept = [](std::vector<float> p, float top_p) {
        std::vector<float> by_textbook = p;
        keep_top_p_textbook(by_textbook.data(), static_cast<int>(p.size()), top_p);
        keep_top_p(p.data(), static_cast<int>(p.size()), top_p);
        CHECK(by_textbook == p);
        return p;
    };
    // 1/2 + 1/4 = 3/4 is reached: nothing after it. A little more needs one of the two eighths: the first.
    CHECK(kept({0.125f, 0.5f, 0.25f, 0.125f}, 0.75f) == std::vector<float>{0, 0.5f, 0.25f, 0});
    CHECK(kept({0.125f, 0.5f, 0.25f, 0.125f}, 0.7501f) == std::vector<float>{0.125f, 0.5f, 0.25f, 0});
    CHECK(kept({0.125f, 0.5f, 0.25f, 0.125f}, 0.875f) == std::vector<float>{0.125f, 0.5f, 0.25f, 0});
    CHECK(kept({0.125f, 0.5f, 0.25f, 0.125f}, 0.876f) == std::vector<float>{0.125f, 0.5f, 0.25f, 0.125f});
    CHECK(kept({0.25f, 0.25f, 0.25f, 0.25f}, 0.5f) == std::vector<float>{0.25f, 0.25f, 0, 0});
    CHECK(kept({0.25f, 0.25f, 0.25f, 0.25f}, 0) == std::vector<float>{0.25f, 0, 0, 0});
    CHECK(kept({0.25f, 0.25f}, 0.9f) == std::vector<float>{0.25f, 0.25f});  // p is never reached: all are kept
}

// Logits of V tokens; `levels` of them differ, 0 = all.
static std::vector<float> random_probabilities(Random& random, int V, float spread, int levels) {
    Matrix logits = normal_matrix(random, 1, V, spread);
    if (levels > 0)
        for (float& logit : logits) logit = spread * static_cast<float>(random.below(levels));
    softmax_in_place(logits.begin(), V);
    return {logits.begin(), logits.end()};
}

TEST_CASE("keep_top_p: equals its specification: flat, peaked, all equal, few different values, any p") {
    Random random(4);
    for (const int V : {1, 2, 3, 17, 500, 3000})
        for (const float spread : {0.0f, 0.001f, 0.3f, 1.5f, 9.0f})
            for (const int levels : {0, 1, 2, 5})
                for (const float p : {0.0f, 1e-6f, 0.05f, 0.5f, 0.75f, 0.9f, 0.999f, 0.999999f, 1.0f}) {
                    const std::vector<float> probabilities = random_probabilities(random, V, spread, levels);
                    std::vector<float> fast = probabilities, textbook = probabilities;
                    keep_top_p(fast.data(), V, p);
                    keep_top_p_textbook(textbook.data(), V, p);
                    INFO(V, " tokens, spread ", spread, ", levels ", levels, ", p ", p);
                    CHECK(fast == textbook);
                }
}

TEST_CASE("sampling_probabilities: after top-p they sum to 1 and keep their proportions") {
    Random random(4);
    const Matrix logits = normal_matrix(random, 1, 3000, 1.5f);
    const Matrix p = softmax_rows(logits).value(), kept = sampling_probabilities(logits, {.top_p = 0.6f});
    double total = 0, of_kept = 0;
    for (int j = 0; j < 3000; ++j) {
        total += kept[j];
        if (kept[j] > 0) of_kept += p[j];
    }
    CHECK(total == Approx(1));
    CHECK(of_kept >= 0.6);
    const int likeliest = argmax_row(logits, 0);
    CHECK(kept[likeliest] == Approx(p[likeliest] / of_kept));
}

// --- NaN and infinity ---

static const float infinity = std::numeric_limits<float>::infinity(), not_a_number = std::numeric_limits<float>::quiet_NaN();

TEST_CASE("sampling_probabilities: each row is that of its logits alone") {
    const Matrix logits{{1, 3, 2}, {3, infinity, 1}, {4, -1, 3}, {2, 2, 5}};
    for (const Sampling& sampling : {Sampling{.temperature = 0}, Sampling{.temperature = 0.5f}, Sampling{.top_k = 1},
                                     Sampling{.top_k = 2}, Sampling{.top_p = 0.7f}})
        for (int i = 0; i < logits.rows; ++i)
            CHECK(identical(slice_rows(sampling_probabilities(logits, sampling), i, 1),
                            sampling_probabilities(slice_rows(logits, i, 1), sampling)));
}

TEST_CASE("sampling_probabilities: a temperature too small to divide by is greedy") {
    CHECK(identical(sampling_probabilities({{1, 3, 3, 2}}, {.temperature = 1e-42f}), {{0, 1, 0, 0}}));
    CHECK(identical(sampling_probabilities({{-1, -3, -2}}, {.temperature = 1e-42f}), {{1, 0, 0}}));
    CHECK(identical(sampling_probabilities({{-1, -3, -2}}, {.temperature = 1e-20f}), {{1, 0, 0}}));  // divided, without overflow
    CHECK(identical(sampling_probabilities({{1, 3, 3, 2}}, {.temperature = 1e-30f}), {{0, 0.5f, 0.5f, 0}}));  // the least
    CHECK(identical(sampling_probabilities({{2e38f, 3e38f, -3e38f}}, {.temperature = 0.001f}), {{0, 1, 0}}));
}

TEST_CASE("sampling_probabilities: minus infinity gets 0, plus infinity leaves 0 to the others") {
    for (const float temperature : {0.5f, 1.0f, 3.0f}) {
        const Sampling sampling{.temperature = temperature};
        check_close("minus", sampling_probabilities({{2, -infinity, 2}}, sampling), {{0.5f, 0, 0.5f}});
        check_close("plus", sampling_probabilities({{infinity, 5, infinity, -infinity}}, sampling), {{0.5f, 0, 0.5f, 0}});
    }
    check_close("greedy", sampling_probabilities({{5, infinity, infinity}}, {.temperature = 0}), {{0, 1, 0}});
    check_close("top-k", sampling_probabilities({{1, infinity, infinity}}, {.top_k = 1}), {{0, 0.5f, 0.5f}});
    check_close("top-p", sampling_probabilities({{1, infinity, infinity}}, {.top_p = 0.5f}), {{0, 1, 0}});
}

TEST_CASE("sampling_probabilities: a NaN, or a row of minus infinities, is named with its row") {
    for (const float temperature : {0.0f, 1.0f}) {
        const Sampling sampling{.temperature = temperature};
        CHECK_THROWS_WITH(
            sampling_probabilities({{1, 2, 3}, {1, not_a_number, not_a_number}}, sampling),
            "sampling: row 1: the logit of token 1 is NaN (2 of 3 are); look for a NaN or an infinity in the weights");
        CHECK_THROWS_WITH(
            sampling_probabilities({{not_a_number, 2}}, sampling),
            "sampling: row 0: the logit of token 0 is NaN (1 of 2 are); look for a NaN or an infinity in the weights");
        CHECK_THROWS_WITH(sampling_probabilities({{-infinity, -infinity}}, sampling),
                          "sampling: row 0: all 2 logits are minus infinity, so that no token can follow");
    }
}

TEST_CASE("draw_token: the first token whose cumulative probability exceeds u") {
    const Matrix p{{0.25f, 0, 0.5f, 0.25f}};
    CHECK(draw_token(p, 0, 0) == 0);
    CHECK(draw_token(p, 0, 0.2499f) == 0);
    CHECK(draw_token(p, 0, 0.25f) == 2);  // exceeds, not reaches; and a token of probability 0 is never drawn
    CHECK(draw_token(p, 0, 0.74f) == 2);
    CHECK(draw_token(p, 0, 0.75f) == 3);
    CHECK(draw_token(p, 0, 0.9999999f) == 3);
    for (const float u : {-0.1f, 1.0f, not_a_number})
        CHECK(error_of([&] { draw_token(p, 0, u); }).starts_with("draw_token: row 0"));
    for (const int row : {-1, 1}) CHECK(error_of([&] { draw_token(p, row, 0.5f); }).starts_with("draw_token: row "));
}

TEST_CASE("log_probability: sums log p(label) over the rows that have a label") {
    // rows: p = 1/2, 1/8, 1/4, 1/8 each; labels 2 and 0: log 1/4 + log 1/2 = -3 log 2
    const Matrix two{{std::log(0.5f), std::log(0.125f), std::log(0.25f), std::log(0.125f)},
                     {std::log(0.5f), std::log(0.125f), std::log(0.25f), std::log(0.125f)}};
    CHECK(log_probability(two, {2, 0}) == Approx(-3 * std::log(2.0)));
    CHECK(log_probability(two, {ignored_label, 3}) == Approx(-3 * std::log(2.0)));
    CHECK(log_probability(two, {ignored_label, ignored_label}) == 0);
    CHECK(log_probability({{1000, 1000}}, {1}) == Approx(-std::log(2.0)));  // no overflow
    CHECK(log_probability({{1, infinity}}, {1}) == 0);
    CHECK(log_probability({{1, infinity}}, {0}) == -std::numeric_limits<double>::infinity());
    CHECK_THROWS_WITH(log_probability(two, {1}), "log_probability: 1 labels for the rows of (2, 4)");
    CHECK_THROWS_WITH(log_probability(two, {1, 4}),
                      "log_probability: label 4 of row 1 is not one of 4 tokens, nor -100 (ignored)");
    CHECK_THROWS_WITH(log_probability(two, {1, -1}),
                      "log_probability: label -1 of row 1 is not one of 4 tokens, nor -100 (ignored)");
    CHECK_THROWS_WITH(
        log_probability({{1, not_a_number}}, {0}),
        "log_probability: row 0: the logit of token 1 is NaN (1 of 2 are); look for a NaN or an infinity in the weights");
}

// --- generation ---

namespace {
// A bigram model: row i of the table holds the logits after token i.
struct Bigrams : TokenReader {
    Matrix after;                         // (V, V)
    std::vector<std::vector<int>> texts;  // tokens that each sequence has read
    std::vector<TokenBatch> reads;        // the argument of each call
    std::vector<int> selected;            // how many sequences each call of select chose

    explicit Bigrams(const Matrix& table, int sequences = 1) : after(table), texts(sequences) {}

    Matrix read(const TokenBatch& next) override {
        reads.push_back(next);
        Matrix logits(next.sequences, after.cols);
        for (int s = 0; s < next.sequences; ++s) {
            for (int t = 0; t < next.length; ++t)
                if (next.is_token(s, t)) texts[s].push_back(next.ids[s * next.length + t]);
            std::copy(after.row(texts[s].back()), after.row(texts[s].back() + 1), logits.row(s));
        }
        return logits;
    }

    void select(const std::vector<int>& chosen) override {
        selected.push_back(static_cast<int>(chosen.size()));
        std::vector<std::vector<int>> kept;
        for (const int s : chosen) kept.push_back(texts[s]);
        texts = kept;
    }
};
}  // namespace

// After 0 comes 1, after 1 comes 2, after 2 comes 3, after 3 comes 0.
static const Matrix in_turn{{0, 9, 0, 0}, {0, 0, 9, 0}, {0, 0, 0, 9}, {9, 0, 0, 0}};

TEST_CASE("generate: reads the prompts once, then one token of each sequence, never the last one") {
    Bigrams model(in_turn, 2);
    CHECK(generate_greedily(equal_batch({3, 0, 1, 2}, 2), model, {.new_tokens = 3}) ==
          std::vector<std::vector<int>>{{1, 2, 3}, {3, 0, 1}});
    CHECK(model.texts == std::vector<std::vector<int>>{{3, 0, 1, 2}, {1, 2, 3, 0}});
    CHECK(model.reads.size() == 3);
    CHECK(model.reads[0].length == 2);
    CHECK(model.reads[2].ids == std::vector<int>{2, 0});
}

TEST_CASE("generate: passes left-padded prompts on with their mask, and refuses those that end in padding") {
    Bigrams model(in_turn, 2);
    const TokenBatch prompts = make_batch({{3, 0, 1}, {2}}, 0, Side::left);
    CHECK(generate_greedily(prompts, model, {.new_tokens = 2}) == std::vector<std::vector<int>>{{2, 3}, {3, 0}});
    CHECK(model.texts[1] == std::vector<int>{2, 3});
    CHECK(identical(model.reads[0].mask, {{1, 1, 1}, {0, 0, 1}}));
    CHECK_THROWS_WITH(generate_greedily(make_batch({{3, 0, 1}, {2}}), model, {}),
                      "generate: prompt 1 ends in padding, and what follows would follow that; pad on the left");
    CHECK_THROWS_WITH(generate_greedily(make_batch({{2}, {3, 0, 1}}), model, {}),
                      "generate: prompt 0 ends in padding, and what follows would follow that; pad on the left");
}

TEST_CASE("generate: stops a sequence after its end of text; the others continue, and it is fed token 0") {
    Bigrams model(in_turn, 2);
    CHECK(generate_greedily(equal_batch({0, 2}, 1), model, {.new_tokens = 4, .end_of_text = 3}) ==
          std::vector<std::vector<int>>{{1, 2, 3}, {3}});
    CHECK(model.reads.size() == 3);  // nothing is read when all have finished
    CHECK(model.reads[2].ids == std::vector<int>{2, 0});
}

TEST_CASE("generate: stops at repetitions") {
    Bigrams model(in_turn, 1);
    CHECK(generate_greedily(equal_batch({0}, 1), model, {.new_tokens = 40, .repetitions = 2})[0] ==
          std::vector<int>{1, 2, 3, 0, 1, 2, 3, 0});
}

TEST_CASE("generate: draws with the number of its sequence and step") {
    const Matrix even(4, 4);  // all logits 0: the quarter of [0, 1) in which u lies is the token
    Bigrams model(even, 2);
    CHECK(generate(equal_batch({0, 0}, 1), model, {.new_tokens = 3}, {}, {{0.9f, 0.1f, 0.3f}, {0.6f, 0.3f, 0.9f}}) ==
          std::vector<std::vector<int>>{{3, 0, 1}, {2, 1, 3}});
}

TEST_CASE("generate: the watcher gets every token and its probability under the model, before filters") {
    const Matrix after{{std::log(0.5f), std::log(0.125f), std::log(0.375f)}, {0, 0, 0}, {0, 0, 0}};
    Bigrams model(after);
    std::vector<float> seen;
    const TokenWatcher watcher = [&](int sequence, int id, float p) {
        seen.insert(seen.end(), {static_cast<float>(sequence), static_cast<float>(id), p});
    };
    generate(equal_batch({0}, 1), model, {.new_tokens = 2}, {.top_k = 2}, {{0.9f, 0}}, watcher);
    REQUIRE(seen.size() == 6);
    CHECK(seen[0] == 0);
    CHECK(seen[1] == 2);
    CHECK(seen[2] == Approx(0.375));  // among the two that are left it would be 3/7
    CHECK(seen[5] == Approx(1 / 3.0));
}

TEST_CASE("ends_in_repetition: the same piece at the end, the given number of times") {
    CHECK(ends_in_repetition({7, 1, 2, 1, 2, 1, 2}, 3));
    CHECK(!ends_in_repetition({7, 1, 2, 1, 2, 1, 2}, 4));
    CHECK(!ends_in_repetition({1, 2, 1, 2, 1, 2, 7}, 3));
    CHECK(ends_in_repetition({5, 5}, 2));
    CHECK(!ends_in_repetition({5}, 2));
    CHECK(!ends_in_repetition({5, 5, 5}, 0));
    CHECK(!ends_in_repetition({5, 5, 5}, 1));
    CHECK(ends_in_repetition({1, 2, 3, 1, 2, 3}, 2, 3));
    CHECK(!ends_in_repetition({1, 2, 3, 1, 2, 3}, 2, 2));  // the piece is longer than was looked for
}

TEST_CASE("generate, beam_search: a NaN is named with sequence and new token, and nothing is returned") {
    Matrix broken = in_turn;
    broken(2, 1) = not_a_number;  // met after token 2: sequence 1 reads it second
    const std::string rest = ": the logit of token 1 is NaN (1 of 4 are); look for a NaN or an infinity in the weights";
    const std::vector<int> ids{3, 1};
    Bigrams greedy(broken, 2), drawing(broken, 2), beams(broken), impossible(Matrix(4, 4, -infinity));
    CHECK_THROWS_WITH(generate_greedily(equal_batch(ids, 1), greedy, {.new_tokens = 3}),
                      ("generate: sequence 1, new token 1" + rest).c_str());
    CHECK_THROWS_WITH(generate(equal_batch(ids, 1), drawing, {.new_tokens = 3}, {.top_k = 1}, Matrix(2, 3, 0.5f)),
                      ("generate: sequence 1, new token 1" + rest).c_str());
    CHECK_THROWS_WITH(beam_search({1}, 1, beams, {.new_tokens = 3}), ("beam_search: beam 0, new token 1" + rest).c_str());
    CHECK_THROWS_WITH(beam_search({1}, 2, impossible, {}),
                      "beam_search: beam 0, new token 0: all 4 logits are minus infinity, so that no token can follow");
    // a finished sequence is ignored
    Bigrams finished(broken, 2);
    CHECK(generate_greedily(equal_batch(ids, 1), finished, {.new_tokens = 2, .end_of_text = 2})[1] == std::vector<int>{2});
}

TEST_CASE("generate: with temperature 1e-42 equals greedy decoding, without draws") {
    Bigrams cold(in_turn), greedy(in_turn);
    CHECK(generate(equal_batch({2}, 1), cold, {.new_tokens = 5}, {.temperature = 1e-42f}, {}) ==
          generate_greedily(equal_batch({2}, 1), greedy, {.new_tokens = 5}));
}

// --- beam search ---

// The logarithms of a table of probabilities.
static Matrix logs(Matrix p) {
    for (float& x : p) x = std::log(x);
    return p;
}

static std::vector<std::vector<int>> ids_of(const std::vector<Beam>& beams) {
    std::vector<std::vector<int>> ids;
    for (const Beam& beam : beams) ids.push_back(beam.ids);
    return ids;
}

TEST_CASE("beam_search: width 2 finds the text that greedy decoding misses") {
    // after 0: p(1) = 0.6, p(2) = 0.4.   after 1: even.   after 2: p(0) = 0.9
    const Matrix after = logs({{0.001f, 0.6f, 0.399f}, {0.34f, 0.33f, 0.33f}, {0.9f, 0.05f, 0.05f}});
    Bigrams greedy(after), wide(after);
    CHECK(generate_greedily(equal_batch({0}, 1), greedy, {.new_tokens = 2})[0] == std::vector<int>{1, 0});  // 0.6 * 0.34 = 0.204
    const std::vector<Beam> beams = beam_search({0}, 2, wide, {.new_tokens = 2});
    CHECK(ids_of(beams) == std::vector<std::vector<int>>{{2, 0}, {1, 0}});  // 0.399 * 0.9 = 0.359
    CHECK(beams[0].log_probability == Approx(std::log(0.399 * 0.9)));
    CHECK_FALSE(beams[0].finished);
}

TEST_CASE("beam_search: the reader selects sequences only before it reads again") {
    Bigrams reader(Matrix(3, 3)), ended(logs({{0, 1}, {1, 1}}));
    beam_search({0}, 2, reader, {.new_tokens = 3});
    CHECK(reader.reads.size() == 3);
    CHECK(reader.selected == std::vector<int>{2, 2});
    // every beam ends with 1
    CHECK(ids_of(beam_search({0}, 2, ended, {.new_tokens = 3, .end_of_text = 1})) == std::vector<std::vector<int>>{{1}});
    CHECK(ended.reads.size() == 1);
    CHECK(ended.selected.empty());
}

TEST_CASE("beam_search: an end of text that ranks below the beam width is not a finished hypothesis") {
    // the text ends with 2, which is always the second likeliest: p = 0.6, 0.1, 0.3
    const Matrix after = logs({{0.6f, 0.1f, 0.3f}, {0.6f, 0.1f, 0.3f}, {0.6f, 0.1f, 0.3f}});
    const Limits limits{.new_tokens = 3, .end_of_text = 2};
    Bigrams one(after), two(after);
    CHECK(ids_of(beam_search({0}, 1, one, limits)) ==
          std::vector<std::vector<int>>{{0, 0, 0}});  // 0.216, although 2 alone has 0.3
    CHECK(ids_of(beam_search({0}, 2, two, limits)) == std::vector<std::vector<int>>{{2}, {0, 0, 0}});  // now it ranks within
}

TEST_CASE("beam_search: drops an ending below the width and keeps the beginnings that rank after it") {
    // p = 0.4, 0.35, 0.2, 0.05; 2 ends the text. Width 2: ranks 0 and 1 continue, 2 is third and dropped.
    // Then 0.16, 0.14, 0.14, 0.1225: the ending of a beam has 0.4 * 0.2 = 0.08 and ranks below 2 again.
    const Matrix row = logs({{0.4f, 0.35f, 0.2f, 0.05f}});
    Matrix after(4, 4);
    for (int i = 0; i < 4; ++i) std::copy(row.begin(), row.end(), after.row(i));
    Bigrams model(after);
    const std::vector<Beam> beams = beam_search({0}, 2, model, {.new_tokens = 2, .end_of_text = 2});
    CHECK(ids_of(beams) == std::vector<std::vector<int>>{{0, 0}, {0, 1}});  // 0.14 twice: that of the better beam
    for (const Beam& beam : beams) CHECK_FALSE(beam.finished);
}

TEST_CASE("generate, beam_search: a text ends at the first of several tokens, and enough beams are left") {
    // After 0: 1, 2 and 3 with p = 0.4, 0.3, 0.2, and 0 with 0.1. 1, 2 and 3 end a text.
    const Matrix row = logs({{0.1f, 0.4f, 0.3f, 0.2f}});
    Matrix after(4, 4);
    for (int i = 0; i < 4; ++i) std::copy(row.begin(), row.end(), after.row(i));
    const Limits limits{.new_tokens = 2, .end_of_text = 1, .other_ends = {3, 2}};
    for (const int id : {1, 2, 3}) CHECK(ends_text(id, limits));
    CHECK_FALSE(ends_text(0, limits));
    Bigrams greedy(after), beams(after);
    CHECK(generate_greedily(equal_batch({0}, 1), greedy, limits) == std::vector<std::vector<int>>{{1}});
    // Width 1: 1 ends (0.4); 2 and 3 rank below the width, and 0, the fourth, goes on. Then 0 1 has 0.04.
    const std::vector<Beam> found = beam_search({0}, 1, beams, limits);
    CHECK(ids_of(found) == std::vector<std::vector<int>>{{1}});
    CHECK(beams.reads.size() == 2);
    CHECK_THROWS_WITH(generate_greedily(equal_batch({0}, 1), greedy, {.other_ends = {4}}),
                      "generate: another end of text is token 4, the model knows 4");
    CHECK_THROWS_WITH(beam_search({0}, 1, greedy, {.other_ends = {0, -1}}),
                      "beam_search: another end of text is token -1, it must be one of the vocabulary");
}

TEST_CASE("beam_search: of equally likely extensions that of the higher-ranking beam first, then the smaller id") {
    Bigrams even(Matrix(4, 4));  // all the same
    CHECK(ids_of(beam_search({0}, 3, even, {.new_tokens = 1})) == std::vector<std::vector<int>>{{0}, {1}, {2}});
    Bigrams again(Matrix(4, 4));
    CHECK(ids_of(beam_search({0}, 3, again, {.new_tokens = 2})) == std::vector<std::vector<int>>{{0, 0}, {0, 1}, {0, 2}});
    // finished and not: the earlier ending first
    Bigrams sure(logs({{0, 1}, {0, 1}}));
    CHECK(ids_of(beam_search({0}, 2, sure, {.new_tokens = 3})) ==
          std::vector<std::vector<int>>{{1, 1, 1}});  // p = 1; 0 cannot follow
}

TEST_CASE("beam_search: of two finished texts with equal scores the one that ended first is the best") {
    // 1 ends the text. After 0 it has p = 1/2, as 2 has; after 2 it is certain: both texts have p = 1/2.
    Bigrams model(logs({{0, 0.5f, 0.5f}, {1, 0, 0}, {0, 1, 0}}));
    CHECK(ids_of(beam_search({0}, 2, model, {.new_tokens = 3, .end_of_text = 1})) == std::vector<std::vector<int>>{{1}, {2, 1}});
}

TEST_CASE("beam_search: width 1 with alpha 0 is greedy: 500 random models, many with equal logits") {
    Random random(11);
    int ended = 0;
    for (int k = 0; k < 500; ++k) {
        Matrix after = normal_matrix(random, 6, 6, 2);
        if (k % 2 == 0)
            for (float& logit : after) logit = std::round(logit);  // ties
        Bigrams one(after), greedy(after);
        const Limits limits{.new_tokens = 6, .end_of_text = 5, .repetitions = k % 3};
        const std::vector<int> written = generate_greedily(equal_batch({1, 2}, 2), greedy, limits)[0];
        const std::vector<Beam> beams = beam_search({1, 2}, 1, one, limits);
        REQUIRE(beams.size() == 1);
        CHECK(beams[0].ids == written);
        ended += written.back() == 5;
    }
    CHECK(ended > 50);
}

TEST_CASE("beam_search: width 1 stays greedy where rounding hides which logit is larger") {
    // log p(1) > log p(0), but not after 10 is added to both: 1e-30 is lost beside log 2
    Bigrams one({{0, 1e-30f}, {0, 1e-30f}}), greedy({{0, 1e-30f}, {0, 1e-30f}});
    CHECK(beam_search({0}, 1, one, {.new_tokens = 3})[0].ids ==
          generate_greedily(equal_batch({0}, 1), greedy, {.new_tokens = 3})[0]);
}

TEST_CASE("beam_score: log-probability divided by length^alpha, so that alpha decides between short and long") {
    const Beam short_one{.ids = {1}, .log_probability = -2, .finished = true};
    const Beam long_one{.ids = {2, 3, 4, 5}, .log_probability = -4, .finished = false};
    CHECK(beam_score(short_one, 0) > beam_score(long_one, 0));  // -2 against -4
    CHECK(beam_score(short_one, 1) < beam_score(long_one, 1));  // -2 against -1
    CHECK(beam_score(long_one, 0.5f) == Approx(-2));            // -4 / sqrt 4
    // the same in a search: 2 ends the text with 0.6, or 0 goes on with 0.4 and then 0.9, 0.9
    const Matrix after = logs({{0.9f, 0.05f, 0.05f}, {0.4f, 0.001f, 0.599f}, {0.3f, 0.3f, 0.4f}});
    Bigrams by_sum(after), by_mean(after);
    const Limits limits{.new_tokens = 3, .end_of_text = 2};
    CHECK(beam_search({1}, 2, by_sum, limits)[0].ids == std::vector<int>{2});            // log 0.599 = -0.51 against -1.13
    CHECK(beam_search({1}, 2, by_mean, limits, 1)[0].ids == std::vector<int>{0, 0, 0});  // -1.13 / 3 = -0.38
}

TEST_CASE("generate, beam_search, sampling: wrong settings are refused with place, value and rule") {
    Bigrams model(in_turn);
    const TokenBatch prompt = equal_batch({1, 2}, 2);
    CHECK_THROWS_WITH(sampling_probabilities(halves, {.temperature = -1}),
                      "sampling: the temperature is -1.000000, it must be finite and not below 0 (0 = greedy)");
    CHECK_THROWS_WITH(sampling_probabilities(halves, {.temperature = infinity}),
                      "sampling: the temperature is inf, it must be finite and not below 0 (0 = greedy)");
    CHECK_THROWS(sampling_probabilities(halves, {.temperature = not_a_number}));
    CHECK_THROWS_WITH(sampling_probabilities(halves, {.top_k = -1}),
                      "sampling: top_k is -1, it cannot be below 0 (0 keeps all tokens)");
    CHECK_THROWS_WITH(sampling_probabilities(halves, {.top_p = 1.5f}),
                      "sampling: top_p is 1.500000, it lies between 0 and 1 (1 keeps all tokens)");
    CHECK_THROWS_WITH(draw_token(halves, 0, 1), "draw_token: row 0 of (1, 4) with u = 1.000000, u lies in [0, 1)");
    CHECK_THROWS_WITH(generate(prompt, model, {.new_tokens = 3}, {}, Matrix(2, 2)),
                      "generate: draws are (2, 2), 1 prompts and 3 new tokens need (1, 3)");
    CHECK_THROWS_WITH(generate(prompt, model, {.new_tokens = 3}, {}, Matrix(2, 3)),
                      "generate: draws are (2, 3), 1 prompts and 3 new tokens need (1, 3)");
    CHECK_THROWS_WITH(generate(prompt, model, {.new_tokens = 3}, {}, Matrix(1, 2)),
                      "generate: draws are (1, 2), 1 prompts and 3 new tokens need (1, 3)");
    CHECK_THROWS_WITH(generate_greedily(prompt, model, {.new_tokens = -1}),
                      "generate: -1 new tokens, there cannot be fewer than 0");
    CHECK_THROWS_WITH(generate_greedily(prompt, model, {.end_of_text = 4}),
                      "generate: the end of text is token 4, the model knows 4 (-1 = none)");
    CHECK_THROWS_WITH(beam_search({}, 2, model, {}), "beam_search: 2 beams for a prompt of 0 tokens, both must be at least 1");
    CHECK_THROWS_WITH(beam_search({1}, 0, model, {}), "beam_search: 0 beams for a prompt of 1 tokens, both must be at least 1");
    CHECK_THROWS_WITH(beam_search({1}, 2, model, {}, -1), "beam_search: alpha is -1.000000, it must be finite and not below 0");
    CHECK(beam_search({1}, 2, model, {.new_tokens = 0}).size() == 1);  // one beam of no tokens
    CHECK(generate_greedily(prompt, model, {.new_tokens = 0}) == std::vector<std::vector<int>>(1));
}

TEST_CASE("generate: a negative number of repetitions is refused") {
    struct Nothing : TokenReader {
        Matrix read(const TokenBatch&) override { return Matrix(1, 3); }
        void select(const std::vector<int>&) override {}
    } nothing;
    CHECK_THROWS_WITH(generate_greedily(make_batch({{1}}), nothing, {.repetitions = -1}),
                      "generate: an end after -1 repetitions, there cannot be fewer than 0 (0 = never)");
}

TEST_CASE("generate, beam_search, beam_score: an end of text below -1, a huge width and an alpha of NaN") {
    Bigrams model(in_turn);
    CHECK_THROWS_WITH(generate_greedily(make_batch({{1}}), model, {.end_of_text = -2}),
                      "generate: the end of text is token -2, it is one of the vocabulary, or -1 when there is none");
    CHECK(beam_search({1}, 2147483647, model, {.new_tokens = 1}).size() == 4);  // all extensions of one beam
    CHECK_THROWS_WITH(beam_score({.ids = {1}, .log_probability = -1}, not_a_number),
                      "beam_score: alpha is nan, it must be finite and not below 0");
    CHECK_THROWS_WITH(beam_score({.ids = {1}, .log_probability = -1}, -1),
                      "beam_score: alpha is -1.000000, it must be finite and not below 0");
    CHECK_THROWS_WITH(beam_score({.ids = {1}, .log_probability = -1}, infinity),
                      "beam_score: alpha is inf, it must be finite and not below 0");
    CHECK_THROWS_WITH(beam_search({1}, 2, model, {}, infinity), "beam_search: alpha is inf, it must be finite and not below 0");
}

TEST_CASE("generate: logits that are not a row for each sequence, or hold no token, are refused") {
    struct Answering : TokenReader {
        Matrix answer;
        Matrix read(const TokenBatch&) override { return answer; }
        void select(const std::vector<int>&) override {}
    } reader;
    const auto refusal = [&](const Matrix& answer) {
        reader.answer = answer;
        return error_of([&] { generate_greedily(make_batch({{1}}), reader, {.new_tokens = 1}); });
    };
    CHECK(refusal(Matrix(1, 1)).empty());
    CHECK(refusal(Matrix(2, 3)) == "generate: the reader gave logits (2, 3) for 1 sequences");
    CHECK(refusal(Matrix(1, 0)) == "generate: the reader gave logits (1, 0) for 1 sequences");
}

TEST_CASE("Sampling: the defaults") {
    const Sampling usual{};
    CHECK(usual.temperature == 1);
    CHECK(usual.top_k == 0);
    CHECK(usual.top_p == 1);
}

TEST_CASE("Limits: the defaults") {
    const Limits usual{};
    CHECK(usual.new_tokens == 20);
    CHECK(usual.end_of_text == -1);
    CHECK(usual.repetitions == 0);
}

TEST_CASE("keep_top_p, keep_top_p_textbook: a share that is no number, fewer than 0 probabilities and none at all are refused") {
    float probabilities[] = {0.75f, 0.25f};
    for (const auto keep : {keep_top_p, keep_top_p_textbook}) {
        const auto refusal = [&](float* given, int V, float p) { return error_of([&] { keep(given, V, p); }); };
        const std::string rule = " probabilities; p must be a number from 0 on, and the probabilities must be there";
        CHECK(refusal(probabilities, 2, 0).empty());
        CHECK(refusal(nullptr, 0, 0.5f).empty());
        CHECK(refusal(probabilities, 2, NAN) == "keep_top_p: a share p of nan of 2" + rule);
        CHECK(refusal(probabilities, 2, -0.5f) == "keep_top_p: a share p of -0.500000 of 2" + rule);
        CHECK(refusal(probabilities, -1, 0.5f) == "keep_top_p: a share p of 0.500000 of -1" + rule);
        CHECK(refusal(nullptr, 2, 0.5f) == "keep_top_p: a share p of 0.500000 of 2" + rule);
    }
}

TEST_SUITE_END();
