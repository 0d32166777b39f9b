// decoder_checks.h: checks that every decoder-only model must pass, whatever its blocks are.
//
//   use      TEST_CASE("llama: ...") { check_writing(tiny_weights(), tiny); }
//   needs    forward(), make_memory(), read_on() and logits_of() of its family; 11 tokens at least, 8 positions
//   promise  a cache gives the numbers of the full pass by the parity rule (1e-5 + 1e-4 |x|), not bit for bit: sums are formed
//            over other row counts
#pragma once
#include <string>
#include <vector>

#include "nn/autograd/rearrange.h"
#include "nn/text/memory.h"
#include "nn/training/loss.h"
#include "tests/close.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

// Later tokens do not change earlier hidden states.
template <class Weights, class Config>
void check_causal(const Weights& w, const Config& config) {
    const Matrix one = forward(make_batch({{1, 2, 3, 4, 5}}), w, config).logits.value();
    const Matrix other = forward(make_batch({{1, 2, 3, 9, 9}}), w, config).logits.value();
    CHECK(identical(slice_rows(one, 0, 3), slice_rows(other, 0, 3)));
    CHECK(!identical(slice_rows(one, 3, 1), slice_rows(other, 3, 1)));
}

// Padding on the left changes no logit of a token.
template <class Weights, class Config>
void check_left_padding(const Weights& w, const Config& config) {
    const Matrix alone = forward(make_batch({{1, 2, 3}}), w, config).logits.value();
    const TokenBatch both = make_batch({{4, 5, 6, 7, 8}, {1, 2, 3}}, 0, Side::left);
    check_close("logits", slice_rows(forward(both, w, config).logits.value(), 7, 3), alone);
}

// Prompt, two tokens at once, one token: the hidden states of the full pass, after padding on the left, too.
template <class Weights, class Config>
void check_reading_on(const Weights& w, const Config& config) {
    const TokenBatch all = make_batch({{4, 5, 6, 7, 8, 9}, {1, 2, 3, 4}}, 0, Side::left);
    const Matrix full = forward(all, w, config).hidden.value();
    Memory memory = make_memory(config, 2, 6);
    read_on(make_batch({{4, 5, 6}, {1}}, 0, Side::left), w, config, memory);
    const Matrix two = read_on(make_batch({{7, 8}, {2, 3}}), w, config, memory).hidden.value();
    const Matrix one = read_on(make_batch({{9}, {4}}), w, config, memory).hidden.value();
    check_close("two at once, first sequence", slice_rows(two, 0, 2), slice_rows(full, 3, 2));
    check_close("two at once, second sequence", slice_rows(two, 2, 2), slice_rows(full, 9, 2));
    check_close("one, first sequence", slice_rows(one, 0, 1), slice_rows(full, 5, 1));
    check_close("one, second sequence", slice_rows(one, 1, 1), slice_rows(full, 11, 1));
    CHECK(error_of([&] {
              read_on(make_batch({{8}, {3}}), w, config, memory);
          }).find("the memory holds 6 of 6 tokens, 1 more do not fit; make it with a larger capacity") != std::string::npos);
}

// Refused at the beginning of a forward pass: a depth that the weights do not have, an eps below 0, a text that is all padding.
template <class Weights, class Config>
void check_refusals(const std::string& name, const Weights& w, const Config& config) {
    Config deeper = config, no_eps = config;
    deeper.depth += 1;
    no_eps.eps = -1;
    const TokenBatch text_of_two = make_batch({{1, 2}});
    const TokenBatch padding{.sequences = 1, .length = 2, .ids = {1, 2}, .mask = Matrix(1, 2)};
    CHECK_THROWS_WITH(forward(text_of_two, w, deeper),
                      (name + ": the configuration says " + text(deeper.depth) + " blocks, the weights hold " +
                       text(config.depth) + "; pass the configuration that the weights were made with")
                          .c_str());
    CHECK_THROWS_WITH(
        forward(text_of_two, w, no_eps),
        (name + ": an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual").c_str());
    CHECK_THROWS_WITH(forward(padding, w, config), (name + ": sequence 0 of 1 is all padding; leave it out").c_str());
}

// The logits of what follows, by the full pass.
template <class Weights, class Config>
Matrix next_logits_without_memory(const std::vector<int>& ids, const Weights& w, const Config& config) {
    const Matrix logits = forward(make_batch({ids}), w, config).logits.value();
    return slice_rows(logits, logits.rows - 1, 1);
}

// Greedy decoding, sampling and beam search with a cache, compared with loops that read everything again for each token.
template <class Weights, class Config>
void check_writing(const Weights& w, const Config& config) {
    const std::vector<int> prompt{1, 2, 3};
    const TokenBatch alone = make_batch({prompt}), padded = make_batch({{4, 5, 6, 7, 8}, prompt}, 0, Side::left);
    const Limits limits{.new_tokens = 4};

    std::vector<int> greedy = prompt;
    for (int t = 0; t < 4; ++t) greedy.push_back(argmax_of_rows(next_logits_without_memory(greedy, w, config))[0]);
    greedy.erase(greedy.begin(), greedy.begin() + 3);
    CHECK(generate(alone, w, config, limits)[0] == greedy);
    CHECK(generate(padded, w, config, limits)[1] == greedy);

    const Sampling sampling{.temperature = 1.5f, .top_k = 6, .top_p = 0.95f};
    Random random(2);
    const Matrix draws = uniform_matrix(random, 1, 4);
    std::vector<int> drawn = prompt;
    for (int t = 0; t < 4; ++t) {
        const Matrix p = sampling_probabilities(next_logits_without_memory(drawn, w, config), sampling);
        drawn.push_back(draw_token(p, 0, draws(0, t)));
    }
    drawn.erase(drawn.begin(), drawn.begin() + 3);
    CHECK(generate(alone, w, config, limits, sampling, draws)[0] == drawn);

    CHECK(beam_search(prompt, 1, w, config, limits)[0].ids == greedy);
    const std::vector<Beam> beams = beam_search(prompt, 3, w, config, limits);
    REQUIRE(beams.size() == 3);
    for (const Beam& beam : beams) {
        double log_p = 0;
        std::vector<int> ids = prompt;
        for (const int id : beam.ids) {
            log_p += log_probability(next_logits_without_memory(ids, w, config), {id});
            ids.push_back(id);
        }
        CHECK(beam.log_probability == doctest::Approx(log_p).epsilon(1e-4));
    }
    CHECK(beams[0].log_probability >= beams[1].log_probability);
    CHECK(beams[1].log_probability >= beams[2].log_probability);
}
