#include "gpt/unified/gato.h"

#include <cmath>
#include <limits>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/golden.h"
#include "tests/nn/data/given_settings.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("gato");

static gato::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    CHECK(file.metadata_text("activation_fn") == "gelu (exact)");
    const gato::Config config{.text_tokens = file.metadata_int("text_tokens"),
                              .continuous_tokens = file.metadata_int("continuous_tokens"),
                              .discrete_tokens = file.metadata_int("discrete_tokens"),
                              .width = file.metadata_int("embed_dim"),
                              .depth = file.metadata_int("layers"),
                              .heads = file.metadata_int("heads"),
                              .mlp_width = 4 * file.metadata_int("embed_dim"),
                              .patch_size = file.metadata_int("patch_size"),
                              .residual_channels = file.metadata_int("resid_mid_channels"),
                              .groups = file.metadata_int("num_groups"),
                              .patch_positions = file.metadata_int("position_vocab_size"),
                              .observation_positions = file.metadata_int("context_len"),
                              .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
                              .mu = static_cast<float>(file.metadata_double("mu")),
                              .largest = static_cast<float>(file.metadata_double("M"))};
    CHECK(file.metadata_int("token_start_text") == 0);
    CHECK(file.metadata_int("token_start_continuous") == config.first_continuous());
    CHECK(file.metadata_int("token_start_discrete") == config.first_discrete());
    CHECK(file.metadata_int("vocab_size") == config.vocabulary());
    return config;
}

// The rows of an integer tensor (T, n).
static std::vector<std::vector<int>> integers_of_steps(const Golden& golden, const std::string& full_name) {
    return golden.has(full_name) ? sequences_of(golden, full_name) : std::vector<std::vector<int>>();
}

static gato::Episode episode_of_fixture(const Golden& golden, int number) {
    const std::string prefix = "input.episode." + text(number) + ".";
    gato::Episode episode;
    if (golden.has(prefix + "images")) episode.images = images_of(golden, prefix + "images");
    for (Image& image : episode.images)
        for (float& pixel : image.pixels) pixel /= 255;  // ours are 0 ... 1
    episode.text = integers_of_steps(golden, prefix + "text");
    if (golden.has(prefix + "continuous_obs")) episode.continuous_observations = golden.file.matrix(prefix + "continuous_obs");
    episode.discrete_observations = integers_of_steps(golden, prefix + "discrete_obs");
    if (golden.has(prefix + "continuous_actions")) episode.continuous_actions = golden.file.matrix(prefix + "continuous_actions");
    episode.discrete_actions = integers_of_steps(golden, prefix + "discrete_actions");
    return episode;
}

TEST_CASE("gato: numbers, tokens, every step, the loss and every gradient equal the published re-implementation's") {
    for (const std::string& path : golden_files("gato")) {
        const Golden golden(path);
        const gato::Config config = config_of_fixture(golden);
        Random random;
        const gato::Weights w = gato::make_weights(config, random);
        const Parameters parameters = gato::parameters(w, config);
        golden.load_weights(parameters);

        // numbers
        const int bins = golden.file.metadata_int("value_bins");
        Matrix squeezed = golden.input("values");
        std::vector<int> value_bins, action_bins;
        for (float& x : squeezed) {
            x = gato::mu_law(x, config);
            value_bins.push_back(gato::bin_of(x, bins));
        }
        for (const float x : golden.input("action_values")) action_bins.push_back(gato::bin_of(x, bins));
        golden.check("mu_law", squeezed);
        golden.check_integers("value_bins", value_bins);
        golden.check_integers("action_bins", action_bins);

        // the model
        std::vector<gato::Episode> episodes;
        for (int k = 0; k < golden.file.metadata_int("episodes"); ++k) episodes.push_back(episode_of_fixture(golden, k));
        const Tape tape;
        const gato::Steps steps = gato::forward(episodes, w, config);
        const Var loss = gato::loss(steps);
        const TokenBatch& batch = steps.batch;

        for (std::size_t k = 0; k < episodes.size(); ++k)
            if (steps.image_embeddings[k])
                golden.check("episode." + text(static_cast<int>(k)) + ".image_embeddings", steps.image_embeddings[k].value());
        golden.check_integers("tokens", batch.ids);
        golden.check_integers("attention_mask", integers_of(batch.mask));
        golden.check_integers("target_mask", std::vector<int>(steps.is_target.begin(), steps.is_target.end()));
        std::vector<int> loss_mask;  // (B, L - 1)
        for (std::size_t i = 0; i < steps.labels.size(); ++i)
            if (static_cast<int>(i) % batch.length != batch.length - 1) loss_mask.push_back(steps.labels[i] != ignored_label);
        golden.check_integers("loss_mask", loss_mask);
        golden.check("embeddings", steps.embeddings.value());
        check_stack(golden, steps.decoder, config.depth, {{"block.#", Step::output}},
                    {.sequences = batch.sequences, .heads = config.heads, .mask = batch.mask});
        golden.check("final_norm", padding_zeroed(steps.hidden.value(), batch.mask));
        golden.check("logits", padding_zeroed(steps.logits.value(), batch.mask));
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- numbers ---

TEST_CASE("mu_law: M becomes 1, 1 becomes 0.4547, the sign stays") {
    const gato::Config config;
    // ln(100 * 1 + 1) / ln(100 * 256 + 1) = 4.6151 / 10.1504
    CHECK(gato::mu_law(1, config) == Approx(0.4547).epsilon(1e-3));
    CHECK(gato::mu_law(-1, config) == Approx(-0.4547).epsilon(1e-3));
    CHECK(gato::mu_law(256, config) == Approx(1.0));
    CHECK(gato::mu_law(-256, config) == Approx(-1.0));
    CHECK(gato::mu_law(0, config) == 0);
}

TEST_CASE("bin_of: equal bins from -1 to 1; 1 belongs to the last, values outside to the nearest") {
    const std::vector<float> values{-1, -0.51f, -0.5f, -0.01f, 0, 0.49f, 0.5f, 1, -7, 7};
    const std::vector<int> bins{0, 0, 1, 1, 2, 2, 3, 3, 0, 3};  // 4 bins, each 0.5 wide
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(gato::bin_of(values[i], 4) == bins[i]);
    CHECK(gato::bin_of(std::numeric_limits<float>::infinity(), 4) == 3);
    CHECK(gato::centre_of_bin(0, 4) == Approx(-0.75));
    CHECK(gato::centre_of_bin(3, 4) == Approx(0.75));
    for (int bin = 0; bin < 1024; ++bin) REQUIRE(gato::bin_of(gato::centre_of_bin(bin, 1024), 1024) == bin);
    CHECK_THROWS_WITH(gato::bin_of(std::nanf(""), 4),
                      "gato: a value of nan in 4 bins; it must be a number, and there must be at least 1 bin");
}

TEST_CASE("tokens: text, bins and discrete values have separate ranges; mu-law applies to observations only") {
    const gato::Config config{.text_tokens = 10, .continuous_tokens = 4, .discrete_tokens = 3};
    CHECK(gato::token_of_action(1, config) == 13);  // the last bin, not the first discrete value
    CHECK(gato::token_of_action(0.3f, config) == 12);
    CHECK(gato::token_of_observation(0.3f, config) == 12);  // mu-law: 0.34
    CHECK(gato::token_of_observation(2, config) == 13);     // mu-law: 0.52
    CHECK(gato::token_of_discrete(0, config) == 14);
    CHECK(gato::action_of_token(13, config) == Approx(0.75));
    CHECK_THROWS_WITH(gato::token_of_discrete(3, config), "gato: discrete value 3 is outside 0 ... 2");
    CHECK_THROWS_WITH(gato::action_of_token(14, config), "gato: token 14 is not one of the 4 bins from 10 on");
}

TEST_CASE("patch_position: the middle of the patch's interval, rounded half to even; a draw stays inside it") {
    for (int r = 0; r < 3; ++r) CHECK(gato::patch_position(r, 3, 32) == std::vector<int>{4, 15, 26}[r]);  // 4.5 -> 4
    CHECK(gato::patch_position(0, 2, 8) == 2);  // rows 0 ... 3: 1.5 -> 2
    CHECK(gato::patch_position(1, 2, 8) == 6);  // rows 4 ... 7: 5.5 -> 6
    CHECK(gato::patch_position(1, 2, 8, 0) == 4);
    CHECK(gato::patch_position(1, 2, 8, 0.99f) == 7);
    CHECK(gato::patch_position(2, 3, 3) == 2);
}

// --- the stream ---

// All sizes differ: V = 9 + 8 + 5, E = 12, 3 heads, patches of 2.
static gato::Config tiny() {
    return {.text_tokens = 9,
            .continuous_tokens = 8,
            .discrete_tokens = 5,
            .width = 12,
            .depth = 2,
            .heads = 3,
            .mlp_width = 10,
            .patch_size = 2,
            .channels = 3,
            .residual_channels = 4,
            .groups = 2,
            .patch_positions = 6,
            .observation_positions = 7};
}

static gato::Weights tiny_weights() {
    Random random(1);
    return gato::make_weights(tiny(), random, {.draw = Draw::normal, .stddev = 0.4f});
}

static const gato::Episode two_steps{
    .text = {{1}, {2}}, .continuous_observations = {{0.5f}, {-0.5f}}, .discrete_actions = {{3}, {4}}};

TEST_CASE("tokens_of: observations with positions, a separator, actions; positions restart at every time step") {
    const std::vector<gato::Token> stream = gato::tokens_of(two_steps, tiny());
    const std::vector<int> ids{1, 14, 0, 20, 2, 10, 0, 21}, positions{0, 1, -1, -1, 0, 1, -1, -1},
        targets{1, 0, 0, 1, 1, 0, 0, 1};
    // mu-law of 0.5 is 0.387: bin floor(1.387 / 2 * 8) = 5, id 9 + 5; of -0.5: floor(0.613 / 2 * 8) = 2, id 9 + 2
    REQUIRE(stream.size() == ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
        INFO("token ", i);
        CHECK(stream[i].position == positions[i]);
        CHECK(stream[i].is_target == (targets[i] == 1));
        CHECK((stream[i].kind == gato::Kind::separator) == (i % 4 == 2));
    }
    CHECK(stream[0].id == 1);
    CHECK(stream[1].id == 14);
    CHECK(stream[3].id == 9 + 8 + 3);
    CHECK(stream[5].id == 11);
}

TEST_CASE("tokens_of: patches come first, have no ids, and are never targets") {
    const std::vector<gato::Token> stream = gato::tokens_of({.images = {Image(2, 4, 3)}, .discrete_actions = {{1}}}, tiny());
    REQUIRE(stream.size() == 4);
    for (int i = 0; i < 2; ++i) {
        CHECK(stream[i].kind == gato::Kind::patch);
        CHECK(stream[i].position == i);
        CHECK_FALSE(stream[i].is_target);
    }
}

TEST_CASE("forward: targets are text and actions; the separator predicts the first action, padding predicts nothing") {
    const gato::Steps steps = gato::forward({two_steps, {.text = {{5, 6}}}}, tiny_weights(), tiny());
    const std::vector<int> of_first{ignored_label, ignored_label, 20, 2, ignored_label, ignored_label, 21, ignored_label};
    CHECK(std::vector<int>(steps.labels.begin(), steps.labels.begin() + 8) == of_first);
    // five columns of padding, 5, 6, separator
    const std::vector<int> of_second{-100, -100, -100, -100, -100, 6, -100, -100};
    CHECK(std::vector<int>(steps.labels.begin() + 8, steps.labels.end()) == of_second);
}

static gato::Episode with_images() {
    Random random(4);
    gato::Episode episode{.discrete_observations = {{2}, {0}}, .continuous_actions = {{0.2f}, {-0.7f}}};
    for (int t = 0; t < 2; ++t) {
        Image image(4, 2, 3);
        for (float& pixel : image.pixels) pixel = random.uniform();
        episode.images.push_back(image);
    }
    return episode;
}

TEST_CASE("forward: other episodes, left padding and later tokens change nothing") {
    const gato::Weights w = tiny_weights();
    const gato::Config config = tiny();
    const Matrix alone = gato::forward({two_steps}, w, config).logits.value();      // (8, V)
    const gato::Steps both = gato::forward({with_images(), two_steps}, w, config);  // 10 tokens each
    REQUIRE(both.batch.length == 10);
    check_close("padded", slice_rows(both.logits.value(), 12, 8), alone);
    CHECK(identical(slice_rows(both.embeddings.value(), 10, 2), Matrix(2, 12)));  // padding: zeros
    gato::Episode other = two_steps;
    other.discrete_actions = {{3}, {0}};
    const Matrix changed = gato::forward({other}, w, config).logits.value();
    CHECK(identical(slice_rows(changed, 0, 7), slice_rows(alone, 0, 7)));
    CHECK(!identical(slice_rows(changed, 7, 1), slice_rows(alone, 7, 1)));
}

TEST_CASE("forward: each patch gets its own row, whatever other episodes are in the batch") {
    const gato::Weights w = tiny_weights();
    const gato::Config config = tiny();
    const gato::Episode episode = with_images();
    const gato::Steps steps = gato::forward({{.images = {Image(2, 2, 3, 0.5f)}}, two_steps, episode}, w, config);
    const Matrix patches = gato::embed_images(episode.images, w, config).value();  // (2 * 2, E)
    const Matrix& x = steps.embeddings.value();
    for (int t = 0; t < 2; ++t)
        for (int n = 0; n < 2; ++n)
            for (int j = 0; j < 12; ++j) CHECK(x(20 + t * 5 + n, j) == Approx(patches(t * 2 + n, j) + w.positions.value()(n, j)));
}

// --- writing ---

// The episodes of the tests below: one with images and an observed number, one with a text to continue.
static gato::Episode text_episode() { return {.text = {{1, 2, 3}, {4, 5, 6}}}; }

TEST_CASE("prompt_of: ends at the last separator for actions, at the token before it for text") {
    const std::vector<gato::Token> action = gato::prompt_of(two_steps, gato::Next::action, tiny());
    REQUIRE(action.size() == 7);  // of 8 tokens all but the last action
    CHECK(action.back().kind == gato::Kind::separator);
    const std::vector<gato::Token> text = gato::prompt_of(text_episode(), gato::Next::text, tiny());
    REQUIRE(text.size() == 7);  // 1 2 3 | 4 5 6
    CHECK(text.back().id == 6);
    CHECK(text.back().position == 2);
    CHECK_THROWS_WITH(gato::prompt_of(two_steps, gato::Next::text, tiny()),
                      "gato: the last observation of an episode does not end in text, so no text can follow it");
    const gato::Episode lowest{.text = {{1}}, .continuous_observations = {{-256}}};  // the first id after the texts
    CHECK(error_of([&] { gato::prompt_of(lowest, gato::Next::text, tiny()); }).starts_with("gato: the last observation"));
}

// The logits of the next token, by the full pass over episodes that include the tokens generated so far.
static Matrix next_logits(const gato::Episode& episode, gato::Next next, const gato::Weights& w, const gato::Config& config) {
    const gato::Steps steps = gato::forward({episode}, w, config);
    const int row = static_cast<int>(gato::prompt_of(episode, next, config).size()) - 1;
    return slice_rows(steps.logits.value(), row, 1);
}

TEST_CASE("gato: generated text equals the full pass, greedy, drawn and with beams, with and without padding") {
    const gato::Weights w = tiny_weights();
    gato::Config config = tiny();  // the same tables, nearly all of them text, so that an episode can hold what is written
    config.text_tokens = 20;
    config.continuous_tokens = config.discrete_tokens = 1;
    const Limits limits{.new_tokens = 3};
    const Sampling sampling{.temperature = 1.5f, .top_k = 9};
    Random random(5);
    const Matrix draws = uniform_matrix(random, 1, 3);
    gato::Episode greedy = text_episode(), drawn = text_episode();
    std::vector<int> likeliest, by_draws;
    for (int t = 0; t < 3; ++t) {
        likeliest.push_back(argmax_of_rows(next_logits(greedy, gato::Next::text, w, config))[0]);
        const Matrix p = sampling_probabilities(next_logits(drawn, gato::Next::text, w, config), sampling);
        by_draws.push_back(draw_token(p, 0, draws(0, t)));
        REQUIRE(std::max(likeliest.back(), by_draws.back()) < config.text_tokens);
        greedy.text.back().push_back(likeliest.back());
        drawn.text.back().push_back(by_draws.back());
    }
    CHECK(gato::generate({text_episode()}, gato::Next::text, w, config, limits)[0] == likeliest);
    CHECK(gato::generate({text_episode()}, gato::Next::text, w, config, limits, sampling, draws)[0] == by_draws);
    CHECK(gato::generate({{.text = {{7, 8}, {1, 2}, {7, 4, 2, 1}}}, text_episode()}, gato::Next::text, w, config, limits)[1] ==
          likeliest);
    CHECK(gato::beam_search(text_episode(), gato::Next::text, 1, w, config, limits)[0].ids == likeliest);
    CHECK(gato::beam_search(text_episode(), gato::Next::text, 4, w, config, limits)[0].log_probability >=
          gato::beam_search(text_episode(), gato::Next::text, 1, w, config, limits)[0].log_probability - 1e-5f);
}

TEST_CASE("gato: a generated action equals the full pass, and the next action depends on it") {
    const gato::Weights w = tiny_weights();
    const gato::Config config = tiny();
    const gato::Episode episode = with_images();
    const gato::Steps steps = gato::forward({episode}, w, config);  // ends in separator, action
    gato::Reader reader({episode}, gato::Next::action, w, config, 20);
    const Matrix first = reader.read(reader.prompts());
    check_close("separator", first, slice_rows(steps.logits.value(), steps.batch.length - 2, 1));
    const int action = gato::token_of_action(-0.7f, config);  // what the episode holds
    const Matrix second = reader.read(equal_batch({action}, 1));
    check_close("action", second, slice_rows(steps.logits.value(), steps.batch.length - 1, 1));
    CHECK_THROWS_WITH(gato::Reader({episode}, gato::Next::action, w, config, 20).read(equal_batch({1}, 1)),
                      "gato: what is read first must begin with the prompts of the reader");
}

TEST_CASE(
    "tokens_of_ids: ids of observations, separators and actions give the tokens of their episode; a misplaced mark throws") {
    const std::vector<int> ids{1, 14, gato::separator_mark, 20, gato::step_mark, 2, 11, gato::separator_mark, 21};
    const std::vector<gato::Token> stream = gato::tokens_of_ids(ids, tiny()), expected = gato::tokens_of(two_steps, tiny());
    REQUIRE(stream.size() == expected.size());
    for (std::size_t i = 0; i < stream.size(); ++i) {
        INFO("token ", i);
        CHECK(stream[i].kind == expected[i].kind);
        CHECK(stream[i].id == expected[i].id);
        CHECK(stream[i].position == expected[i].position);
        CHECK(stream[i].is_target == expected[i].is_target);
    }
    CHECK_THROWS_WITH(gato::tokens_of_ids({1, 22}, tiny()), "gato: token 22 is outside 0 ... 21");
    CHECK_THROWS_WITH(gato::tokens_of_ids({1, -3}, tiny()), "gato: token -3 is outside 0 ... 21");
    CHECK(gato::tokens_of_ids({}, tiny()).empty());
    const std::vector<gato::Token> observed = gato::tokens_of_ids({8, 9}, tiny());
    CHECK(observed[0].is_target);        // the last id of the texts
    CHECK_FALSE(observed[1].is_target);  // the first of the numbers
    CHECK_THROWS_WITH(gato::tokens_of_ids({1, -1, 20, -1}, tiny()),
                      "gato: a second separator in one time step; a step is an observation, a separator, actions");
    CHECK_THROWS_WITH(gato::tokens_of_ids({1, -2, 2}, tiny()),
                      "gato: a time step ends without a separator between its observation and its actions");
    CHECK_THROWS_WITH(gato::tokens_of_ids({1, -1, 20, -2}, tiny()),
                      "gato: nothing follows the end of the last time step; leave its mark out");
    CHECK_THROWS_WITH(gato::tokens_of_ids(std::vector<int>(8, 1), tiny()), "gato: an observation of more than 7 tokens");
}

TEST_CASE(
    "gato::Reader: prompts of ids give the logits of their episodes; reading generated tokens again gives those of the cache") {
    const gato::Weights w = tiny_weights();
    const gato::Config config = tiny();
    const gato::Episode text_only = text_episode();
    const std::vector<int> ids{1, 2, 3, -1, -2, 4, 5, 6}, shorter{7, -1, 20};
    gato::Reader episodes({text_only}, gato::Next::text, w, config, 9);
    const std::vector<std::vector<gato::Token>> prompts{gato::tokens_of_ids(ids, config), gato::tokens_of_ids(shorter, config)};
    gato::Reader both(prompts, w, config, 9);
    const Matrix first = both.read(both.prompts());  // 7 tokens; 4 columns of padding and 3 tokens
    check_close("prompt", slice_rows(first, 0, 1), episodes.read(episodes.prompts()));
    gato::Reader alone({prompts[0]}, w, config, 9);
    check_close("one prompt", alone.read(alone.prompts()), slice_rows(first, 0, 1));
    gato::Reader of_one_token({gato::tokens_of_ids({7}, config)}, w, config, 9);
    of_one_token.read(of_one_token.prompts());
    check_close("after a prompt of one token", of_one_token.read(equal_batch({8}, 1)),
                next_logits({.text = {{7, 8}}}, gato::Next::text, w, config));
    TokenBatch whole = both.prompts();
    const TokenBatch generated = equal_batch({8, 2, 20, 21}, 2);
    append(whole, generated);
    TokenBatch whole_of_one = both.prompts();
    append(whole_of_one, equal_batch({8, 20}, 1));
    const Matrix after_one = both.read(equal_batch({8, 20}, 1));
    check_close("one token read again", gato::Reader(prompts, w, config, 9).read(whole_of_one), after_one);
    const Matrix cached = both.read(equal_batch({2, 21}, 1));
    check_close("read again", gato::Reader(prompts, w, config, 9).read(whole), cached);
    gato::Episode longer = text_only;
    longer.text.back().insert(longer.text.back().end(), {8, 2});
    check_close("full pass", slice_rows(cached, 0, 1), next_logits(longer, gato::Next::text, w, config));
    const TokenBatch one = equal_batch({whole.ids.begin(), whole.ids.begin() + whole.length}, whole.length);
    CHECK_THROWS_WITH(gato::Reader(prompts, w, config, 9).read(one),
                      "gato: what is read first must begin with the prompts of the reader");
    whole.ids[0] = 5;
    CHECK_THROWS_WITH(gato::Reader(prompts, w, config, 9).read(whole),
                      "gato: what is read first must begin with the prompts of the reader");
    CHECK_THROWS_WITH(gato::Reader(std::vector<std::vector<gato::Token>>{{}}, w, config, 9),
                      "gato: a prompt of 0 tokens must have at least one and no patch, whose image only an episode holds");
    CHECK_THROWS_WITH(gato::Reader({{{.kind = gato::Kind::patch}}}, w, config, 9),
                      "gato: a prompt of 1 tokens must have at least one and no patch, whose image only an episode holds");
}

TEST_CASE("gato: gradients of tokens, separator, positions and patch embedding agree with finite differences") {
    const gato::Config config = tiny();
    const gato::Weights w = tiny_weights();
    const auto loss_of = [&](const std::vector<Var>& moved_weights) {
        gato::Weights moved = w;
        moved.separator = moved_weights[0];
        moved.positions = moved_weights[1];
        moved.expand.weight = moved_weights[2];
        moved.rows = moved_weights[3];
        return gato::loss(gato::forward({with_images(), two_steps}, moved, config));
    };
    check_gradient_by_differences(loss_of, {w.separator.value(), w.positions.value(), w.expand.weight.value(), w.rows.value()});
}

TEST_CASE("gato: rejects an inconsistent episode or config, and names the reason") {
    Random random;
    const gato::Config config = tiny();
    const gato::Weights w = tiny_weights();
    gato::Config odd = config;
    odd.heads = 5;
    CHECK_THROWS_WITH(gato::make_weights(odd, random), "gato: 5 heads must divide a width of 12");
    odd = config;
    odd.groups = 3;
    CHECK_THROWS_WITH(gato::make_weights(odd, random),
                      "gato: patches of side 2, 3 channels, 3 groups of 4 residual channels: sizes must "
                      "be positive, and the groups divide the channels");
    CHECK_THROWS_WITH(gato::forward({}, w, config), "gato: there is no episode; give at least one");
    odd = config;
    odd.depth = 1;
    CHECK_THROWS_WITH(
        gato::forward({two_steps}, w, odd),
        "gato: the configuration says 1 blocks, the weights hold 2; pass the configuration that the weights were made with");
    CHECK_THROWS_WITH(gato::forward({{}}, w, config), "gato: an episode of 0 time steps, it must have at least 1");
    CHECK_THROWS_WITH(gato::forward({{.text = {{1}, {2}}, .discrete_actions = {{1}}}}, w, config),
                      "gato: an episode has parts of 2 and of 1 time steps, all must have the same number");
    CHECK_THROWS_WITH(gato::forward({{.text = {{9}}}}, w, config), "gato: text token 9 is outside 0 ... 8");
    CHECK_THROWS_WITH(gato::forward({{.text = {std::vector<int>(8, 1)}}}, w, config),
                      "gato: an observation of 8 tokens, there are 7 positions; observe less, or set observation_positions");
    CHECK_THROWS_WITH(gato::embed_images({Image(14, 2, 3)}, w, config),
                      "gato: 7 x 1 patches, there are 6 positions; take larger patches, or set patch_positions");
    CHECK_THROWS_WITH(gato::embed_images({}, w, config), "gato: there is no image; give at least one");
}

TEST_CASE(
    "gato: config_of reads back what metadata wrote, for the sizes of every fixture; without it one line asks for its tokens") {
    Random random(1);
    const auto table = [&](const gato::Config& config) { return gato::parameters(gato::make_weights(config, random), config); };
    for (const std::string& path : golden_files("gato"))
        check_given_settings(config_of_fixture(Golden(path)), table, gato::config_of, "the number of text tokens");
    gato::Config two_channels = tiny();  // the kernels of the patches have a side of 3
    two_channels.channels = 2;
    check_given_settings(two_channels, table, gato::config_of, "the number of text tokens");
}

TEST_CASE("gato: values without a bin, bins without a value and patches without a position are refused") {
    gato::Config config = tiny();
    CHECK_THROWS_WITH(gato::bin_of(NAN, 8),
                      "gato: a value of nan in 8 bins; it must be a number, and there must be at least 1 bin");
    CHECK_THROWS_WITH(gato::bin_of(0.5f, 0),
                      "gato: a value of 0.500000 in 0 bins; it must be a number, and there must be at least 1 bin");
    CHECK_THROWS_WITH(gato::centre_of_bin(8, 8), "gato: bin 8 of 8, they are counted from 0");
    CHECK_THROWS_WITH(gato::patch_position(2, 2, 8, -1),
                      "gato: patch 2 of 2 with 8 positions and a draw of -1.000000; patches are counted from 0, each needs a "
                      "position, a draw is below 1");
    CHECK_THROWS_WITH(gato::patch_position(0, 2, 1, -1),
                      "gato: patch 0 of 2 with 1 positions and a draw of -1.000000; patches are counted from 0, each needs a "
                      "position, a draw is below 1");
    CHECK_THROWS_WITH(gato::patch_position(0, 2, 8, 1),
                      "gato: patch 0 of 2 with 8 positions and a draw of 1.000000; patches are counted from 0, each needs a "
                      "position, a draw is below 1");
    CHECK_THROWS_WITH(gato::token_of_discrete(-1, config), "gato: discrete value -1 is outside 0 ... 4");
    config.mu = 0;
    CHECK_THROWS_WITH(gato::mu_law(1, config),
                      "gato: mu-law with mu 0.000000 up to 256.000000, both must be positive; 100 and 256 are usual");
}

TEST_CASE("gato: every invalid size or factor is refused by itself, the smallest valid one is accepted") {
    Random random;
    for (const auto& [config, text] : std::vector<std::pair<gato::Config, std::string>>{
             {{.text_tokens = 0}, "gato: 0 text tokens, 1024 bins, 1024 discrete values: all must be positive"},
             {{.continuous_tokens = 0}, "gato: 32000 text tokens, 0 bins, 1024 discrete values: all must be positive"},
             {{.discrete_tokens = 0}, "gato: 32000 text tokens, 1024 bins, 0 discrete values: all must be positive"},
             {{.width = 0},
              "gato: width 0, depth 24, inner width 8192, 128 patch positions, 1024 positions: sizes must be positive"},
             {{.depth = -1},
              "gato: width 2048, depth -1, inner width 8192, 128 patch positions, 1024 positions: sizes must be positive"},
             {{.mlp_width = 0},
              "gato: width 2048, depth 24, inner width 0, 128 patch positions, 1024 positions: sizes must be positive"},
             {{.patch_positions = 0},
              "gato: width 2048, depth 24, inner width 8192, 0 patch positions, 1024 positions: sizes must be positive"},
             {{.observation_positions = 0},
              "gato: width 2048, depth 24, inner width 8192, 128 patch positions, 0 positions: sizes must be positive"},
             {{.heads = 0}, "gato: 0 heads must divide a width of 2048"},
             {{.patch_size = 0},
              "gato: patches of side 0, 3 channels, 32 groups of 64 residual channels: sizes must be positive, and the "
              "groups divide the channels"},
             {{.channels = 0},
              "gato: patches of side 16, 0 channels, 32 groups of 64 residual channels: sizes must be positive, and "
              "the groups divide the channels"},
             {{.groups = 0},
              "gato: patches of side 16, 3 channels, 0 groups of 64 residual channels: sizes must be positive, and the "
              "groups divide the channels"},
             {{.residual_channels = 0},
              "gato: patches of side 16, 3 channels, 32 groups of 0 residual channels: sizes must be positive, and the "
              "groups divide the channels"},
         })
        CHECK_THROWS_WITH(gato::make_weights(config, random), text.c_str());
    const gato::Config smallest{.text_tokens = 1,
                                .continuous_tokens = 1,
                                .discrete_tokens = 1,
                                .width = 1,
                                .depth = 0,
                                .heads = 1,
                                .mlp_width = 1,
                                .patch_size = 1,
                                .channels = 1,
                                .residual_channels = 1,
                                .groups = 1,
                                .patch_positions = 1,
                                .observation_positions = 1,
                                .eps = 0};
    CHECK_NOTHROW(gato::make_weights(smallest, random));
}

TEST_CASE("mu_law, bin_of, patch_position, token_of_discrete: each argument check fails by itself, the limits are allowed") {
    gato::Config config = tiny();
    CHECK(gato::mu_law(1, {.mu = 1, .largest = 1}) == 1);
    CHECK_THROWS_WITH(gato::mu_law(1, {.largest = 0}),
                      "gato: mu-law with mu 100.000000 up to 0.000000, both must be positive; 100 and 256 are usual");
    CHECK(gato::bin_of(0.5f, 1) == 0);
    CHECK(gato::centre_of_bin(0, 1) == 0);
    CHECK_THROWS_WITH(gato::centre_of_bin(-1, 8), "gato: bin -1 of 8, they are counted from 0");
    const int first = config.first_continuous();
    CHECK(gato::action_of_token(first, config) == gato::centre_of_bin(0, config.continuous_tokens));
    CHECK(error_of([&] { gato::action_of_token(first - 1, config); }) ==
          "gato: token " + std::to_string(first - 1) + " is not one of the " + std::to_string(config.continuous_tokens) +
              " bins from " + std::to_string(first) + " on");
    const int last = first + config.continuous_tokens - 1;
    CHECK(gato::action_of_token(last, config) == gato::centre_of_bin(config.continuous_tokens - 1, config.continuous_tokens));
    CHECK(error_of([&] { gato::action_of_token(last + 1, config); }).starts_with("gato: token " + std::to_string(last + 1)));
    CHECK(gato::token_of_discrete(0, config) == config.first_discrete());
    CHECK(gato::token_of_discrete(4, config) == config.vocabulary() - 1);
    CHECK_THROWS_WITH(gato::token_of_discrete(5, config), "gato: discrete value 5 is outside 0 ... 4");
    CHECK_THROWS_WITH(gato::tokens_of({.text = {{-1}}}, config), "gato: text token -1 is outside 0 ... 8");
    CHECK(gato::tokens_of({.text = {{0, 8, 1, 1, 1, 1, 1}}}, config).size() == 8);  // seven positions, and the separator
    CHECK_THROWS_WITH(gato::tokens_of_ids({config.vocabulary()}, config), "gato: token 22 is outside 0 ... 21");
    CHECK(gato::tokens_of_ids({0}, config).size() == 1);
    const auto refusal = [](int index, int count, int positions) {
        return error_of([&] { gato::patch_position(index, count, positions, -1); });
    };
    const std::string rule = " and a draw of -1.000000; patches are counted from 0, each needs a position, a draw is below 1";
    CHECK(refusal(0, 1, 1) == "");
    CHECK(refusal(0, 0, 1) == "gato: patch 0 of 0 with 1 positions" + rule);
    CHECK(refusal(-1, 1, 1) == "gato: patch -1 of 1 with 1 positions" + rule);
    CHECK(refusal(1, 1, 1) == "gato: patch 1 of 1 with 1 positions" + rule);
    CHECK(refusal(1, 2, 1) == "gato: patch 1 of 2 with 1 positions" + rule);

    Random random(1);
    const gato::Weights w = gato::make_weights(config, random);
    const std::string table = ", there are 6 positions; take larger patches, or set patch_positions";
    CHECK(error_of([&] { gato::embed_images({Image(2, 14, 3)}, w, config); }) == "gato: 1 x 7 patches" + table);
    CHECK_NOTHROW(gato::embed_images({Image(12, 12, 3)}, w, config));
    gato::Reader reader({{.text = {{1}}}}, gato::Next::text, w, config, 9);
    CHECK_THROWS_WITH(reader.select({0}), "gato: sequences can be chosen once the prompts are read");
    reader.read(reader.prompts());
    CHECK_NOTHROW(reader.select({0}));  // one token was read
    for (int position = 1; position < config.observation_positions; ++position) reader.read(equal_batch({1}, 1));
    CHECK_THROWS_WITH(reader.read(equal_batch({1}, 1)), "gato: an observation of more than 7 tokens");
    CHECK_THROWS_WITH(gato::generate({}, gato::Next::text, w, config, {}, {}, {}), "gato: there is no episode");
    CHECK(error_of([&] { gato::forward({{.text = {{-1}}}}, w, config); }).starts_with("gato: text token -1 is outside 0 ... "));
    CHECK_NOTHROW(gato::forward({{.text = {std::vector<int>(7, 1)}}}, w, config));  // as many as positions
}

TEST_CASE("gato::Config: the defaults") {
    const gato::Config usual{};
    CHECK(usual.text_tokens == 32000);
    CHECK(usual.continuous_tokens == 1024);
    CHECK(usual.discrete_tokens == 1024);
    CHECK(usual.width == 2048);
    CHECK(usual.depth == 24);
    CHECK(usual.heads == 16);
    CHECK(usual.mlp_width == 8192);
    CHECK(usual.patch_size == 16);
    CHECK(usual.channels == 3);
    CHECK(usual.residual_channels == 64);
    CHECK(usual.groups == 32);
    CHECK(usual.patch_positions == 128);
    CHECK(usual.observation_positions == 1024);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.mu == 100);
    CHECK(usual.largest == 256);
}

TEST_CASE("patch_position: of a large table as of a small one") {
    CHECK(gato::patch_position(1073741823, 1073741824, 1073741824) == 1073741823);
    CHECK(gato::patch_position(1, 2, 1000000000) == 750000000);  // rows 500000000 ... 999999999, half to even
    CHECK(error_of([] { gato::patch_position(0, 2, 1073741825); }) ==
          "gato: a table of 1073741825 positions, twice as many must fit an int");
}

TEST_SUITE_END();
