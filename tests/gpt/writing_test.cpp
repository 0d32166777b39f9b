#include "gpt/writing.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "tests/golden.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("writing");

TEST_CASE("parity: filtered distributions and draws equal the published implementation's for every setting") {
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
            const Sampling sampling{.temperature = temperature[s], .top_k = top_k[s], .top_p = top_p[s]};
            const Matrix row = sampling_probabilities(logits, sampling);
            std::copy(row.begin(), row.end(), probabilities.row(s));
            for (int draw = 0; draw < u.cols; ++draw) tokens.push_back(draw_token(row, 0, u(s, draw)));
        }
        golden.check("sampling.probs", probabilities);
        golden.check_integers("sampling.tokens", tokens);
    }
}

// --- writing ---

static const gpt::Config tiny{.vocabulary = 7, .positions = 12, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12};

static gpt::Weights random_weights(unsigned seed) {
    Random random(seed);
    return gpt::make_weights(tiny, random, {.stddev = 0.4f, .embedding_stddev = 0.8f});
}

// What generate() must equal: the whole text is read again for every token, without a cache.
static std::vector<int> continued_without_cache(std::vector<int> ids, int count, const gpt::Weights& w, const Sampling& sampling,
                                                const Matrix& draws, int row) {
    std::vector<int> written;
    for (int t = 0; t < count; ++t) {
        const int T = static_cast<int>(ids.size());
        const Matrix logits = slice_rows(gpt::forward(ids, T, w, tiny).logits.value(), T - 1, 1);
        const Matrix p = sampling_probabilities(logits, sampling);
        written.push_back(draw_token(p, 0, sampling.temperature == 0 ? 0.5f : draws(row, t)));
        ids.push_back(written.back());
    }
    return written;
}

TEST_CASE("generate: the cache changes no token, up to the model's last position") {
    Random random(5);
    const Matrix draws = uniform_matrix(random, 3, 9);
    const std::vector<int> prompts{1, 2, 3, 4, 5, 6, 0, 0, 1, 6, 5, 4};  // three prompts of four tokens
    for (unsigned seed = 1; seed <= 4; ++seed) {
        const gpt::Weights w = random_weights(seed);
        for (const Sampling& sampling : {Sampling{}, {.temperature = 0}, {.temperature = 0.7f, .top_k = 4, .top_p = 0.9f}}) {
            const auto written =
                gpt::generate(prompts, 4, w, tiny, {.new_tokens = 9}, sampling, draws);  // 4 + 9 - 1 = 12 are read
            for (int b = 0; b < 3; ++b) {
                const std::vector<int> prompt(prompts.begin() + 4 * b, prompts.begin() + 4 * b + 4);
                CHECK(written[b] == continued_without_cache(prompt, 9, w, sampling, draws, b));
            }
        }
    }
}

TEST_CASE("generate: a sequence stops at the end of text while the others continue") {
    Random random(6);
    const Matrix draws = uniform_matrix(random, 4, 8);
    const gpt::Weights w = random_weights(2);
    const std::vector<int> prompts{1, 2, 3, 4};  // four prompts of one token
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

TEST_CASE("generate: a model that repeats itself stops at new_tokens") {
    gpt::Weights w = random_weights(3);
    for (float& x : w.token_embedding.value())
        x = 1;  // all tokens alike: equal logits, and greedy decoding takes token 0 forever
    CHECK(gpt::generate_greedily({1}, 1, w, tiny, {.new_tokens = 9, .repetitions = 3}) ==
          std::vector<std::vector<int>>{{0, 0, 0}});
    CHECK(gpt::generate_greedily({1}, 1, w, tiny, {.new_tokens = 9})[0].size() == 9);
}

// --- beam search ---

TEST_CASE("beam_search: width 1 is greedy decoding") {
    for (unsigned seed = 1; seed <= 5; ++seed) {
        const gpt::Weights w = random_weights(seed);
        const auto greedy = gpt::generate_greedily({1, 2, 3}, 3, w, tiny, {.new_tokens = 5})[0];
        const std::vector<Beam> beams = gpt::beam_search({1, 2, 3}, 1, w, tiny, {.new_tokens = 5});
        REQUIRE(beams.size() == 1);
        CHECK(beams[0].ids == greedy);
        CHECK(beams[0].log_probability == Approx(gpt::log_probability({1, 2, 3}, greedy, w, tiny)).epsilon(1e-4));
    }
}

TEST_CASE("beam_search: with room for all prefixes it finds the most likely continuation of three tokens") {
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
        const std::vector<Beam> beams = gpt::beam_search({4, 2}, 49, w, tiny, {.new_tokens = 3});
        CHECK(beams[0].ids == best_ids);
        CHECK(beams[0].log_probability == Approx(best).epsilon(1e-4));
        for (std::size_t k = 1; k < beams.size(); ++k) CHECK(beams[k - 1].log_probability >= beams[k].log_probability);
    }
}

TEST_CASE("beam_search: width 1 is greedy on 200 small GPTs; an end of text in second rank does not end the text") {
    const gpt::Config small{.vocabulary = 6, .positions = 8, .width = 8, .depth = 1, .heads = 2, .mlp_width = 16};
    for (unsigned seed = 1; seed <= 200; ++seed) {
        Random random(seed);
        const gpt::Weights w = gpt::make_weights(small, random, {.stddev = 0.4f, .embedding_stddev = 0.8f});
        const Limits limits{.new_tokens = 6, .end_of_text = 5};
        CHECK(gpt::beam_search({1, 2}, 1, w, small, limits)[0].ids == gpt::generate_greedily({1, 2}, 2, w, small, limits)[0]);
    }
}

TEST_CASE("beam_search: a finished candidate is kept, since no continuation is more likely than its prefix") {
    const gpt::Weights w = random_weights(2);
    const int likeliest = gpt::beam_search({1}, 1, w, tiny, {.new_tokens = 1})[0].ids[0];
    const std::vector<Beam> beams = gpt::beam_search({1}, 3, w, tiny, {.new_tokens = 4, .end_of_text = likeliest});
    CHECK(beams[0].ids == std::vector<int>{likeliest});
    CHECK(beams[0].finished);
    for (const Beam& beam : beams) CHECK(beam.finished == (beam.ids.back() == likeliest));
    // one beam: when the most likely token ends the text, the second most likely continues, and wins under a length reward
    const std::vector<Beam> longer = gpt::beam_search({1}, 1, w, tiny, {.new_tokens = 4, .end_of_text = likeliest}, 3);
    REQUIRE(longer.size() == 1);
    CHECK(longer[0].ids.size() == 4);
}

TEST_CASE("log_probability: sums over the tokens of the continuation only") {
    const gpt::Weights w = random_weights(1);
    const Matrix p = softmax_rows(gpt::forward({1, 2, 3}, 3, w, tiny).logits).value();
    CHECK(gpt::log_probability({1}, {2, 3}, w, tiny) == Approx(std::log(p(0, 2)) + std::log(p(1, 3))));
    CHECK(gpt::log_probability({1, 2, 3}, {}, w, tiny) == 0);
}

TEST_CASE("gpt::Reader: NaN weights throw at the first generated token") {
    gpt::Weights w = random_weights(1);
    w.norm.gain.value()[0] = std::nanf("");
    const char* const fault = ": the logit of token 0 is NaN (7 of 7 are); look for a NaN or an infinity in the weights";
    CHECK(error_of([&] {
              gpt::generate_greedily({1, 2}, 1, w, tiny, {.new_tokens = 3});
          }) == std::string("generate: sequence 0, new token 0") + fault);
    CHECK(error_of([&] {
              gpt::beam_search({1, 2}, 2, w, tiny, {.new_tokens = 3});
          }) == std::string("beam_search: beam 0, new token 0") + fault);
}

TEST_CASE("writing: texts beyond the model's positions, and prompts with padding, are refused") {
    const gpt::Weights w = random_weights(1);
    CHECK_THROWS_WITH(
        gpt::generate({1, 2, 3}, 2, w, tiny, {}, {}, {}),
        "equal_batch: 3 tokens are not a whole number of sequences of 2, 1 are left over; cut them off or fill the last sequence up");
    CHECK_NOTHROW(gpt::generate({1, 2}, 2, w, tiny, {.new_tokens = 0}, {}, Matrix(1, 0)));
    CHECK_THROWS_WITH(
        gpt::generate({1, 2}, 2, w, tiny, {.new_tokens = -1}, {}, {}),
        "generate: a prompt of 2 tokens and -1 new ones exceed the 12 positions of this model; shorten the prompt or ask for fewer tokens");
    CHECK_THROWS_WITH(
        gpt::generate({1, 2}, 2, w, tiny, {.new_tokens = 12}, {}, {}),
        "generate: a prompt of 2 tokens and 12 new ones exceed the 12 positions of this model; shorten the prompt or ask for fewer tokens");
    CHECK_THROWS_WITH(gpt::generate({1, 2}, 1, w, tiny, {.new_tokens = 3}, {}, Matrix(2, 2)),
                      "generate: draws are (2, 2), 2 prompts and 3 new tokens need (2, 3)");
    CHECK_THROWS_WITH(
        gpt::beam_search({1}, 2, w, tiny, {.new_tokens = 13}),
        "beam_search: a prompt of 1 tokens and 13 new ones exceed the 12 positions of this model; shorten the prompt or ask for fewer tokens");
    CHECK_THROWS_WITH(
        gpt::log_probability({}, {1}, w, tiny),
        "log_probability: an empty prompt; the first token of a text has no probability, so begin with the end of text");
    gpt::Reader reader(w, tiny, 2, 5);
    CHECK_THROWS_WITH(
        generate_greedily(make_batch({{1, 2}, {3}}, 0, Side::left), reader, {}),
        "gpt: prompts with padding cannot be read, because positions are counted from column 0; pass prompts of equal length");
    CHECK_NOTHROW(reader.read(make_batch({{1, 2}, {3, 4}})));  // a mask without padding
}

TEST_CASE("gpt::Reader: another number of sequences than it was made for, and tokens that no int counts, are refused") {
    Random random;
    const gpt::Weights w = gpt::make_weights(tiny, random);
    gpt::Reader reader(w, tiny, 1, 5);
    CHECK_THROWS_WITH(reader.read(equal_batch({1, 2}, 1)),
                      "gpt: 2 sequences for a reader of 1; make it with as many as the prompts");
    CHECK(error_of([&] {
              gpt::generate_greedily({1, 2, 3}, 3, w, tiny, {.new_tokens = 2147483647});
          }).starts_with("generate: a prompt of 3 tokens and 2147483647 new ones exceed the "));
}

TEST_SUITE_END();
