#include "gpt/sampling.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/golden.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("sampling");

TEST_CASE("filtered distributions and draws equal the published implementation's, setting by setting") {
    for (const std::string& path : golden_files("gpt")) {
        const Golden golden(path);
        const Safetensors& file = golden.file;
        const gpt::Config config{.vocabulary = file.metadata_int("vocab_size"),
                                 .positions = file.metadata_int("n_positions"),
                                 .width = file.metadata_int("n_embd"),
                                 .depth = file.metadata_int("n_layer"),
                                 .heads = file.metadata_int("n_head"),
                                 .mlp_width = static_cast<int>(file.tensors.at("weights.h.0.mlp.c_fc.weight").shape.at(1)),
                                 .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
                                 .activation = activation_of_name(file.metadata_text("activation_function"))};
        Random random;
        const gpt::Weights w = gpt::make_weights(config, random);
        golden.load_weights(gpt::parameters(w, config));
        const int T = static_cast<int>(file.tensors.at("input.input_ids").shape.at(1));
        const Matrix all = gpt::forward(golden.integers("input.input_ids"), T, w, config).logits.value();
        const Matrix logits = slice_rows(all, T - 1, 1);  // sequence 0, last position

        const Matrix temperature = golden.input("sampling.temperature"), top_p = golden.input("sampling.top_p");
        const std::vector<int> top_k = golden.integers("input.sampling.top_k");
        const Matrix u = golden.input("sampling.u");  // (settings, draws)
        Matrix probabilities(u.rows, config.vocabulary);
        std::vector<int> tokens;
        for (int s = 0; s < u.rows; ++s) {
            const gpt::Sampling sampling{.temperature = temperature[s], .top_k = top_k[s], .top_p = top_p[s]};
            const Matrix row = gpt::sampling_probabilities(logits, sampling);
            std::copy(row.begin(), row.end(), probabilities.row(s));
            for (int draw = 0; draw < u.cols; ++draw) tokens.push_back(gpt::draw_token(row, 0, u(s, draw)));
        }
        golden.check("sampling.probs", probabilities);
        golden.check_integers("sampling.tokens", tokens);
    }
}

// --- filters by hand ---

static const Matrix halves{{std::log(0.5f), std::log(0.125f), std::log(0.25f), std::log(0.125f)}};  // p = 1/2, 1/8, 1/4, 1/8

TEST_CASE("without filters the words are drawn as the model says") {
    check_close("p", gpt::sampling_probabilities(halves, {}), {{0.5f, 0.125f, 0.25f, 0.125f}});
}

TEST_CASE(
    "temperature 1/2 squares the probabilities, temperature 2 takes their root, temperature 0 takes the first of the largest") {
    // squares: 16, 1, 4, 1 of 22 parts
    check_close("cold", gpt::sampling_probabilities(halves, {.temperature = 0.5f}), {{16 / 22.f, 1 / 22.f, 4 / 22.f, 1 / 22.f}});
    const float root = std::sqrt(2.0f);  // roots: 2, 1, root 2, 1 of 4 + root 2 parts
    check_close("hot", gpt::sampling_probabilities(halves, {.temperature = 2}),
                {{2 / (4 + root), 1 / (4 + root), root / (4 + root), 1 / (4 + root)}});
    check_close("greedy", gpt::sampling_probabilities({{1, 3, 3}}, {.temperature = 0}), {{0, 1, 0}});
}

TEST_CASE("top-k keeps the k likeliest and whatever equals the last of them") {
    check_close("1", gpt::sampling_probabilities(halves, {.top_k = 1}), {{1, 0, 0, 0}});
    check_close("2", gpt::sampling_probabilities(halves, {.top_k = 2}), {{2 / 3.f, 0, 1 / 3.f, 0}});
    check_close("3 is 4, two are equal", gpt::sampling_probabilities(halves, {.top_k = 3}), {{0.5f, 0.125f, 0.25f, 0.125f}});
    check_close("9 of 4", gpt::sampling_probabilities(halves, {.top_k = 9}), {{0.5f, 0.125f, 0.25f, 0.125f}});
}

TEST_CASE("top-p keeps the fewest words that reach p, the one that crosses it included, and never none") {
    check_close("0", gpt::sampling_probabilities(halves, {.top_p = 0}), {{1, 0, 0, 0}});
    check_close("0.4", gpt::sampling_probabilities(halves, {.top_p = 0.4f}), {{1, 0, 0, 0}});
    check_close("0.6", gpt::sampling_probabilities(halves, {.top_p = 0.6f}), {{2 / 3.f, 0, 1 / 3.f, 0}});
    check_close("0.8: of the two equal ones the first", gpt::sampling_probabilities(halves, {.top_p = 0.8f}),
                {{4 / 7.f, 1 / 7.f, 2 / 7.f, 0}});
    check_close("0.95", gpt::sampling_probabilities(halves, {.top_p = 0.95f}), {{0.5f, 0.125f, 0.25f, 0.125f}});
}

TEST_CASE("the order matters: top-p counts the probabilities that temperature and top-k have left") {
    // after top-k 2: 2/3 and 1/3. 0.6 is reached by the first alone; counted before top-k it would need both
    check_close("k then p", gpt::sampling_probabilities(halves, {.top_k = 2, .top_p = 0.6f}), {{1, 0, 0, 0}});
    // squared: 16/22 = 0.73 reaches 0.6 alone
    check_close("temperature then p", gpt::sampling_probabilities(halves, {.temperature = 0.5f, .top_p = 0.6f}), {{1, 0, 0, 0}});
}

TEST_CASE("top-p on a large vocabulary keeps what a full sort would keep") {
    Random random(4);
    const int V = 3000;
    const Matrix logits = normal_matrix(random, 1, V, 1.5f);
    const Matrix p = softmax_rows(logits).value();
    std::vector<float> sorted(p.begin(), p.end());
    std::sort(sorted.begin(), sorted.end(), std::greater<float>());
    for (const float top_p : {0.05f, 0.5f, 0.9f, 0.999f}) {
        double sum = 0;
        int expected = 0;
        while (expected == 0 || sum < top_p) sum += sorted[expected++];
        const Matrix kept = gpt::sampling_probabilities(logits, {.top_p = top_p});
        int count = 0;
        float least_kept = 1, most_dropped = 0, total = 0;
        for (int j = 0; j < V; ++j) {
            total += kept[j];
            if (kept[j] > 0)
                ++count, least_kept = std::min(least_kept, p[j]);
            else
                most_dropped = std::max(most_dropped, p[j]);
        }
        CHECK(count == expected);
        CHECK(least_kept >= most_dropped);
        CHECK(total == Approx(1));
    }
}

TEST_CASE("draw_token: the first word whose running sum exceeds u") {
    const Matrix p{{0.25f, 0, 0.5f, 0.25f}};
    CHECK(gpt::draw_token(p, 0, 0) == 0);
    CHECK(gpt::draw_token(p, 0, 0.2499f) == 0);
    CHECK(gpt::draw_token(p, 0, 0.25f) == 2);  // exceeds, not reaches; and a word of probability 0 is never drawn
    CHECK(gpt::draw_token(p, 0, 0.74f) == 2);
    CHECK(gpt::draw_token(p, 0, 0.75f) == 3);
    CHECK(gpt::draw_token(p, 0, 0.9999999f) == 3);
}

// --- writing ---

static const gpt::Config tiny{.vocabulary = 7, .positions = 12, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12};

static gpt::Weights random_weights(unsigned seed) {
    Random random(seed);
    return gpt::make_weights(tiny, random, {.stddev = 0.4f, .embedding_stddev = 0.8f});
}

// What generate() must equal: the whole text read again for every word, without any cache.
static std::vector<int> continued_without_cache(std::vector<int> ids, int count, const gpt::Weights& w,
                                                const gpt::Sampling& sampling, const Matrix& draws, int row) {
    std::vector<int> written;
    for (int t = 0; t < count; ++t) {
        const int T = static_cast<int>(ids.size());
        const Matrix logits = slice_rows(gpt::forward(ids, T, w, tiny).logits.value(), T - 1, 1);
        const Matrix p = gpt::sampling_probabilities(logits, sampling);
        written.push_back(gpt::draw_token(p, 0, sampling.temperature == 0 ? 0.5f : draws(row, t)));
        ids.push_back(written.back());
    }
    return written;
}

TEST_CASE("writing with a cache gives the words of writing without one, up to the last position of the model") {
    Random random(5);
    const Matrix draws = uniform_matrix(random, 3, 9);
    const std::vector<int> prompts{1, 2, 3, 4, 5, 6, 0, 0, 1, 6, 5, 4};  // three of four
    for (unsigned seed = 1; seed <= 4; ++seed) {
        const gpt::Weights w = random_weights(seed);
        for (const gpt::Sampling& sampling :
             {gpt::Sampling{}, {.temperature = 0}, {.temperature = 0.7f, .top_k = 4, .top_p = 0.9f}}) {
            const auto written =
                gpt::generate(prompts, 4, w, tiny, {.new_tokens = 9}, sampling, draws);  // 4 + 9 - 1 = 12 are read
            for (int b = 0; b < 3; ++b) {
                const std::vector<int> prompt(prompts.begin() + 4 * b, prompts.begin() + 4 * b + 4);
                CHECK(written[b] == continued_without_cache(prompt, 9, w, sampling, draws, b));
            }
        }
    }
}

TEST_CASE("writing stops behind the end of the text, and the other sequences go on") {
    Random random(6);
    const Matrix draws = uniform_matrix(random, 4, 8);
    const gpt::Weights w = random_weights(2);
    const std::vector<int> prompts{1, 2, 3, 4};  // four of one word
    const auto free = gpt::generate(prompts, 1, w, tiny, {.new_tokens = 8}, {}, draws);
    const auto ended = gpt::generate(prompts, 1, w, tiny, {.new_tokens = 8, .end_of_text = 3}, {}, draws);
    bool one_stopped = false;
    for (int b = 0; b < 4; ++b) {
        const auto end = std::find(free[b].begin(), free[b].end(), 3);
        const std::vector<int> up_to_end(free[b].begin(), end == free[b].end() ? end : end + 1);
        CHECK(ended[b] == up_to_end);
        one_stopped = one_stopped || up_to_end.size() < 8;
    }
    CHECK(one_stopped);
}

TEST_CASE("ends_in_repetition: the same piece at the end, as often as asked") {
    CHECK(gpt::ends_in_repetition({7, 1, 2, 1, 2, 1, 2}, 3));
    CHECK(!gpt::ends_in_repetition({7, 1, 2, 1, 2, 1, 2}, 4));
    CHECK(!gpt::ends_in_repetition({1, 2, 1, 2, 1, 2, 7}, 3));
    CHECK(gpt::ends_in_repetition({5, 5}, 2));
    CHECK(!gpt::ends_in_repetition({5}, 2));
    CHECK(!gpt::ends_in_repetition({5, 5, 5}, 0));
    CHECK(!gpt::ends_in_repetition({5, 5, 5}, 1));
    CHECK(gpt::ends_in_repetition({1, 2, 3, 1, 2, 3}, 2, 3));
    CHECK(!gpt::ends_in_repetition({1, 2, 3, 1, 2, 3}, 2, 2));  // the piece is longer than was looked for
}

TEST_CASE("a model that turns in circles is stopped") {
    gpt::Weights w = random_weights(3);
    for (float& x : w.words.value()) x = 1;  // all words alike: every logit is the same, and greedy takes word 0 for ever
    CHECK(gpt::generate_greedily({1}, 1, w, tiny, {.new_tokens = 9, .repetitions = 3}) ==
          std::vector<std::vector<int>>{{0, 0, 0}});
    CHECK(gpt::generate_greedily({1}, 1, w, tiny, {.new_tokens = 9})[0].size() == 9);
}

TEST_CASE("the watcher is told every word and how likely the model thought it, before any filter") {
    const gpt::Weights w = random_weights(4);
    std::vector<int> seen;
    std::vector<float> probabilities;
    const gpt::Watcher watcher = [&](int sequence, int id, float p) {
        CHECK(sequence == 0);
        seen.push_back(id);
        probabilities.push_back(p);
    };
    Random random(7);
    const std::vector<int> written =
        gpt::generate({1, 2}, 2, w, tiny, {.new_tokens = 3}, {.top_k = 2}, uniform_matrix(random, 1, 3), watcher)[0];
    CHECK(seen == written);
    std::vector<int> ids{1, 2};
    for (int t = 0; t < 3; ++t) {
        const Matrix p = softmax_rows(gpt::forward(ids, 2 + t, w, tiny).logits).value();
        CHECK(probabilities[t] == Approx(p(1 + t, written[t])));
        ids.push_back(written[t]);
    }
}

// --- beam search ---

TEST_CASE("a beam of one is greedy") {
    for (unsigned seed = 1; seed <= 5; ++seed) {
        const gpt::Weights w = random_weights(seed);
        const auto greedy = gpt::generate_greedily({1, 2, 3}, 3, w, tiny, {.new_tokens = 5})[0];
        const std::vector<gpt::Beam> beams = gpt::beam_search({1, 2, 3}, 1, w, tiny, {.new_tokens = 5});
        REQUIRE(beams.size() == 1);
        CHECK(beams[0].ids == greedy);
        CHECK(beams[0].log_probability == Approx(gpt::log_probability({1, 2, 3}, greedy, w, tiny)).epsilon(1e-4));
    }
}

TEST_CASE("a beam as wide as all beginnings finds the likeliest continuation of three words") {
    for (unsigned seed = 1; seed <= 3; ++seed) {
        const gpt::Weights w = random_weights(seed);
        double best = -1e9;
        std::vector<int> best_ids;
        for (int a = 0; a < 7; ++a)
            for (int b = 0; b < 7; ++b)
                for (int c = 0; c < 7; ++c) {
                    const double log_p = gpt::log_probability({4, 2}, {a, b, c}, w, tiny);
                    if (log_p > best) best = log_p, best_ids = {a, b, c};
                }
        const std::vector<gpt::Beam> beams = gpt::beam_search({4, 2}, 49, w, tiny, {.new_tokens = 3});
        CHECK(beams[0].ids == best_ids);
        CHECK(beams[0].log_probability == Approx(best).epsilon(1e-4));
        for (std::size_t k = 1; k < beams.size(); ++k) CHECK(beams[k - 1].log_probability >= beams[k].log_probability);
    }
}

TEST_CASE("an ended candidate is kept, and the length penalty decides between short and long") {
    const gpt::Beam short_one{.ids = {1}, .log_probability = -2, .finished = true};
    const gpt::Beam long_one{.ids = {2, 3, 4, 5}, .log_probability = -4, .finished = false};
    CHECK(gpt::beam_score(short_one, 0) > gpt::beam_score(long_one, 0));  // -2 against -4
    CHECK(gpt::beam_score(short_one, 1) < gpt::beam_score(long_one, 1));  // -2 against -1
    CHECK(gpt::beam_score(long_one, 0.5f) == Approx(-2));                 // -4 / sqrt 4

    const gpt::Weights w = random_weights(2);
    const int likeliest = gpt::beam_search({1}, 1, w, tiny, {.new_tokens = 1})[0].ids[0];
    const std::vector<gpt::Beam> beams = gpt::beam_search({1}, 3, w, tiny, {.new_tokens = 4, .end_of_text = likeliest});
    CHECK(beams[0].ids == std::vector<int>{likeliest});  // nothing longer can be likelier than its own beginning
    CHECK(beams[0].finished);
    for (const gpt::Beam& beam : beams) CHECK(beam.finished == (beam.ids.back() == likeliest));

    // one beam: when the likeliest word ends the text, the second likeliest goes on, and wins where length is rewarded
    const std::vector<gpt::Beam> longer = gpt::beam_search({1}, 1, w, tiny, {.new_tokens = 4, .end_of_text = likeliest}, 3);
    REQUIRE(longer.size() == 1);
    CHECK(longer[0].ids.size() == 4);
    CHECK(gpt::beam_search({1}, 2, w, tiny, {.new_tokens = 0}).size() == 1);
}

TEST_CASE("log_probability adds up the words of the continuation only") {
    const gpt::Weights w = random_weights(1);
    const Matrix p = softmax_rows(gpt::forward({1, 2, 3}, 3, w, tiny).logits).value();
    CHECK(gpt::log_probability({1}, {2, 3}, w, tiny) == Approx(std::log(p(0, 2)) + std::log(p(1, 3))));
    CHECK(gpt::log_probability({1, 2, 3}, {}, w, tiny) == 0);
}

TEST_CASE("wrong settings are refused") {
    const gpt::Weights w = random_weights(1);
    CHECK_THROWS_WITH(gpt::sampling_probabilities(halves, {.temperature = -1}),
                      "sampling: the temperature is -1.000000, it cannot be below 0");
    CHECK_THROWS_WITH(gpt::sampling_probabilities(halves, {.top_k = -1}),
                      "sampling: top_k is -1, it cannot be below 0 (0 keeps all words)");
    CHECK_THROWS_WITH(gpt::sampling_probabilities(halves, {.top_p = 1.5f}),
                      "sampling: top_p is 1.500000, it lies between 0 and 1 (1 keeps all words)");
    CHECK_THROWS_WITH(gpt::draw_token(halves, 0, 1), "draw_token: row 0 of (1, 4) with u = 1.000000, u lies in [0, 1)");
    CHECK_THROWS_WITH(gpt::generate({1, 2, 3}, 2, w, tiny, {}, {}, {}),
                      "generate: 3 tokens are not a whole number of prompts of 2");
    CHECK_THROWS_WITH(gpt::generate({1, 2}, 2, w, tiny, {.new_tokens = 12}, {}, {}),
                      "generate: a prompt of 2 tokens and 12 new ones exceed the 12 positions of this model");
    CHECK_THROWS_WITH(gpt::generate({1, 2}, 1, w, tiny, {.new_tokens = 3}, {}, Matrix(2, 2)),
                      "generate: draws are (2, 2), 2 prompts and 3 new tokens need (2, 3)");
    CHECK_THROWS_WITH(gpt::beam_search({}, 2, w, tiny, {}),
                      "beam_search: 2 beams for a prompt of 0 tokens, both must be at least 1");
    CHECK_THROWS_WITH(gpt::beam_search({1}, 2, w, tiny, {.new_tokens = 13}),
                      "beam_search: a prompt of 1 tokens and 13 new ones exceed the 12 positions of this model");
    CHECK_THROWS_WITH(gpt::log_probability({}, {1}, w, tiny),
                      "log_probability: an empty prompt, the first word of a text has no probability");
}

TEST_SUITE_END();
