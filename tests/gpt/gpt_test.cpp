#include "gpt/gpt.h"

#include <cmath>

#include "gpt/writing.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/file.h"
#include "nn/text/batch.h"
#include "nn/training/loss.h"
#include "tests/fixture_views.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("gpt");

// "gelu" in the 2018 model's configuration means the tanh form: it is what its code computes under that name.
static Activation activation_of_fixture(const Safetensors& file, Order order) {
    if (order == Order::pre) return activation_of_name(file.metadata_text("activation_function"));
    return file.metadata_text("afn") == "gelu" ? Activation::gelu_tanh : activation_of_name(file.metadata_text("afn"));
}

static gpt::Config config_of_fixture(const Golden& golden, Order order) {
    const Safetensors& file = golden.file;
    return {.vocabulary = file.metadata_int("vocab_size"),
            .positions = file.metadata_int("n_positions"),
            .width = file.metadata_int("n_embd"),
            .depth = file.metadata_int("n_layer"),
            .heads = file.metadata_int("n_head"),
            .mlp_width = static_cast<int>(file.tensors.at("weights.h.0.mlp.c_fc.weight").shape.at(1)),
            .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
            .activation = activation_of_fixture(file, order),
            .order = order};
}

static int sequence_length(const Golden& golden) {
    return static_cast<int>(golden.file.tensors.at("input.input_ids").shape.at(1));
}

// The loss of every position but the last: (B*T, 1) -> (B, T-1)
static Matrix without_last_position(const Matrix& losses, int T) {
    const Matrix by_sequence = reshape(losses, losses.rows / T, T);
    return slice_cols(by_sequence, 0, T - 1);
}

// Fixtures of the 2018 model hold neither qkv nor gelu.
static const std::vector<StepName> names_of_block{{"block.#.ln_1", Step::norm1},
                                                  {"block.#.qkv", Step::query_key_value, Heads::side_by_side, true},
                                                  {"block.#.attention", Step::weights},
                                                  {"block.#.attn", Step::attention_output},
                                                  {"block.#.gelu", Step::hidden, Heads::side_by_side, true},
                                                  {"block.#.mlp", Step::mlp_output},
                                                  {"block.#", Step::output}};

TEST_CASE("parity: GPT-2's steps, losses, gradients and greedy continuation equal the published implementation's") {
    for (const std::string& path : golden_files("gpt")) {
        const Golden golden(path);
        const gpt::Config config = config_of_fixture(golden, Order::pre);
        const std::vector<int> ids = golden.integers("input.input_ids");
        const int T = sequence_length(golden);
        Random random;
        const gpt::Weights w = gpt::make_weights(config, random);
        const Parameters parameters = gpt::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const gpt::Steps steps = gpt::forward(ids, T, w, config);
        const std::vector<int> labels = next_tokens(ids, T);
        const Var loss = gpt::loss(steps, labels);

        golden.check("embeddings", steps.embeddings.value());
        check_stack(golden, steps.decoder, config.depth, names_of_block);
        golden.check("ln_f", steps.hidden.value());
        golden.check("logits", steps.logits.value());
        golden.check("position_loss", without_last_position(gpt::position_losses(steps, labels).value(), T));
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);

        const int greedy_steps = golden.file.metadata_int("greedy_steps");
        golden.check_integers("greedy",
                              joined_continuations(sequences_of(golden, "input.input_ids"),
                                                   gpt::generate_greedily(ids, T, w, config, {.new_tokens = greedy_steps})));
        golden.leave_out("sampling.probs", "writing_test.cpp compares it");
        golden.leave_out("sampling.tokens", "writing_test.cpp compares it");
        golden.check_all_used();
    }
}

TEST_CASE("parity: the steps, loss and gradients of GPT (2018) equal the published implementation's") {
    for (const std::string& path : golden_files("gpt1")) {
        const Golden golden(path);
        const gpt::Config config = config_of_fixture(golden, Order::post);
        const std::vector<int> ids = golden.integers("input.input_ids");
        const int T = sequence_length(golden);
        Random random;
        const gpt::Weights w = gpt::make_weights(config, random);
        const Parameters parameters = gpt::parameters(w, config);
        golden.load_weights(parameters);

        const Tape tape;
        const gpt::Steps steps = gpt::forward(ids, T, w, config);
        const Var loss = gpt::loss(steps, next_tokens(ids, T));
        golden.check("embeddings", steps.embeddings.value());
        check_stack(golden, steps.decoder, config.depth, names_of_block);
        CHECK(steps.hidden.same_as(steps.decoder.output));  // no final norm
        golden.check("logits", steps.logits.value());
        golden.check("loss", loss.value());
        backward(loss);
        check_gradients(parameters, golden);
        golden.check_all_used();
    }
}

// --- properties ---

// All sizes differ: V = 11, at most 9 tokens, E = 8, two heads of 4, inner width 12.
static const gpt::Config tiny{.vocabulary = 11, .positions = 9, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12};
static gpt::Config tiny_2018() {
    gpt::Config config = tiny;
    config.order = Order::post;
    return config;
}
static const std::vector<int> some_ids{3, 1, 4, 1, 5, 9, 2, 6, 5, 3};  // two sequences of five

static gpt::Weights random_weights(const gpt::Config& config, unsigned seed = 1) {
    Random random(seed);
    return gpt::make_weights(config, random, {.stddev = 0.4f, .embedding_stddev = 0.5f});
}

TEST_CASE("forward: a change of later tokens leaves earlier outputs identical") {
    for (const gpt::Config& config : {tiny, tiny_2018()}) {
        const gpt::Weights w = random_weights(config);
        std::vector<int> changed = some_ids;
        changed[3] = 10;  // the fourth token of the first sequence
        const Matrix before = gpt::forward(some_ids, 5, w, config).logits.value();
        const Matrix after = gpt::forward(changed, 5, w, config).logits.value();
        CHECK(identical(slice_rows(before, 0, 3), slice_rows(after, 0, 3)));
        CHECK(difference(slice_rows(before, 3, 1), slice_rows(after, 3, 1)) != "");
        CHECK(difference(slice_rows(before, 4, 1), slice_rows(after, 4, 1)) != "");
        CHECK(identical(slice_rows(before, 5, 5), slice_rows(after, 5, 5)));  // the other sequence is unchanged too
    }
}

TEST_CASE("forward: attention weights are 0 above the diagonal, and the first token attends only to itself") {
    const KeepSteps keep;
    const gpt::Weights w = random_weights(tiny);
    const gpt::Steps steps = gpt::forward(some_ids, 5, w, tiny);
    for (const BlockSteps& block : steps.decoder.blocks) {
        const Matrix& A = block.attention.weights.value();  // (2 sequences * 2 heads * 5, 5)
        REQUIRE(shape(A) == "(20, 5)");
        for (int i = 0; i < A.rows; ++i) {
            float sum = 0;
            for (int j = 0; j < A.cols; ++j) {
                if (j > i % 5) CHECK(A(i, j) == 0);
                sum += A(i, j);
            }
            CHECK(sum == Approx(1));
            if (i % 5 == 0) CHECK(A(i, 0) == 1);
        }
    }
}

TEST_CASE("forward: a batch gives the outputs of its sequences alone") {
    const gpt::Weights w = random_weights(tiny);
    const Matrix together = gpt::forward(some_ids, 5, w, tiny).logits.value();
    const std::vector<int> second(some_ids.begin() + 5, some_ids.end());
    check_close("second sequence", gpt::forward(second, 5, w, tiny).logits.value(), slice_rows(together, 5, 5));
}

TEST_CASE("forward: padding on the right changes nothing before it") {
    const gpt::Weights w = random_weights(tiny);
    const Matrix short_one = gpt::forward({3, 1, 4}, 3, w, tiny).logits.value();
    const Matrix filled_up = gpt::forward({3, 1, 4, 7, 7}, 5, w, tiny).logits.value();
    check_close("first three rows", slice_rows(filled_up, 0, 3), short_one);
}

TEST_CASE("loss: the mean of the position losses without the last position") {
    const gpt::Weights w = random_weights(tiny);
    const gpt::Steps steps = gpt::forward(some_ids, 5, w, tiny);
    const std::vector<int> labels = next_tokens(some_ids, 5);
    const Matrix each = gpt::position_losses(steps, labels).value();  // (10, 1)
    double sum = 0;
    for (int i = 0; i < 10; ++i) {
        const Matrix p = softmax_rows(slice_rows(steps.logits, i, 1)).value();  // (1, V)
        if (i % 5 == 4)
            CHECK(each(i, 0) == 0);
        else
            CHECK(each(i, 0) == Approx(-std::log(p(0, some_ids[i + 1]))));
        sum += each(i, 0);
    }
    CHECK(gpt::loss(steps, labels).value()[0] == Approx(sum / 8));
}

TEST_CASE("forward: a tied embedding sums two gradient contributions, as embedding and as output matrix") {
    gpt::Config untied = tiny;
    untied.tied = false;
    const gpt::Weights w = random_weights(tiny);
    CHECK(w.output.same_as(w.token_embedding));
    gpt::Weights apart = w;  // the same numbers, but an untied output matrix
    apart.output = parameter(w.token_embedding.value());
    const std::vector<int> labels = next_tokens(some_ids, 5);

    const Tape tape;
    backward(gpt::loss(gpt::forward(some_ids, 5, w, tiny), labels));
    const Matrix tied_gradient = w.token_embedding.gradient();
    for (Var& v : variables(gpt::parameters(w, tiny))) v.zero_gradient();
    backward(gpt::loss(gpt::forward(some_ids, 5, apart, untied), labels));
    Matrix sum = apart.token_embedding.gradient();
    add_to(sum, apart.output.gradient());
    check_close("sum of both", tied_gradient, sum);
    CHECK(difference(apart.token_embedding.gradient(), tied_gradient) != "");
}

// --- incremental decoding ---

TEST_CASE("trunk with a cache: hidden states equal those of the full pass, for chunks of any size") {
    for (const gpt::Config& config : {tiny, tiny_2018()}) {
        const gpt::Weights w = random_weights(config);
        const gpt::Steps full = gpt::trunk({3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8}, 6, w, config);  // two sequences of six
        gpt::Cache cache = gpt::make_cache(config, 2, 6);
        const gpt::Steps first = gpt::trunk({3, 1, 4, 2, 6, 5}, w, config, cache);  // tokens 0 to 2 of both
        const gpt::Steps fourth = gpt::trunk({1, 3}, w, config, cache);
        const gpt::Steps rest = gpt::trunk({5, 9, 5, 8}, w, config, cache);
        CHECK(cache.filled == 6);
        const Matrix pieces =
            concat_rows({slice_rows(first.hidden, 0, 3), slice_rows(fourth.hidden, 0, 1), slice_rows(rest.hidden, 0, 2),
                         slice_rows(first.hidden, 3, 3), slice_rows(fourth.hidden, 1, 1), slice_rows(rest.hidden, 2, 2)})
                .value();
        check_close("hidden", pieces, full.hidden.value());
    }
}

TEST_CASE("next_logits: the logits after the last new token of each sequence") {
    const gpt::Weights w = random_weights(tiny);
    const Matrix full = gpt::forward(some_ids, 5, w, tiny).logits.value();
    gpt::Cache cache = gpt::make_cache(tiny, 2, 5);
    const Matrix logits = gpt::next_logits(some_ids, w, tiny, cache);
    check_close("first", slice_rows(logits, 0, 1), slice_rows(full, 4, 1));
    check_close("second", slice_rows(logits, 1, 1), slice_rows(full, 9, 1));
}

TEST_CASE("select_sequences: a selected sequence continues as if it had been alone") {
    const gpt::Weights w = random_weights(tiny);
    gpt::Cache both = gpt::make_cache(tiny, 2, 7);
    gpt::next_logits(some_ids, w, tiny, both);
    gpt::Cache chosen = gpt::select_sequences(both, {1, 1, 0});
    const Matrix logits = gpt::next_logits({0, 7, 7}, w, tiny, chosen);  // (3, V)
    check_close("second and 0", slice_rows(logits, 0, 1),
                slice_rows(gpt::forward({9, 2, 6, 5, 3, 0}, 6, w, tiny).logits.value(), 5, 1));
    check_close("second and 7", slice_rows(logits, 1, 1),
                slice_rows(gpt::forward({9, 2, 6, 5, 3, 7}, 6, w, tiny).logits.value(), 5, 1));
    check_close("first and 7", slice_rows(logits, 2, 1),
                slice_rows(gpt::forward({3, 1, 4, 1, 5, 7}, 6, w, tiny).logits.value(), 5, 1));
}

// --- weights ---

static float standard_deviation_of(const Matrix& m) {
    double squares = 0;
    for (const float x : m) squares += static_cast<double>(x) * x;
    return static_cast<float>(std::sqrt(squares / static_cast<double>(m.size())));
}

TEST_CASE("make_weights: standard deviation 0.02, and 0.02 / sqrt(2 L) for the two output projections of a block") {
    const gpt::Config config{.vocabulary = 300, .positions = 64, .width = 64, .depth = 8, .heads = 4, .mlp_width = 256};
    Random random(3);
    const gpt::Weights w = gpt::make_weights(config, random);
    for (const Block& block : w.blocks) {
        CHECK(standard_deviation_of(block.attention.query.weight.value()) / 0.02f == Approx(1).epsilon(0.03));
        CHECK(standard_deviation_of(block.mlp.expand.weight.value()) / 0.02f == Approx(1).epsilon(0.03));
        CHECK(standard_deviation_of(block.attention.output.weight.value()) / 0.005f ==
              Approx(1).epsilon(0.03));  // 0.02 / sqrt(16)
        CHECK(standard_deviation_of(block.mlp.contract.weight.value()) / 0.005f == Approx(1).epsilon(0.03));
        CHECK(standard_deviation_of(block.mlp.contract.bias.value()) == 0);
    }
    CHECK(standard_deviation_of(w.token_embedding.value()) / 0.02f == Approx(1).epsilon(0.03));
    CHECK(standard_deviation_of(w.positions.value()) / 0.02f == Approx(1).epsilon(0.03));
    float largest = 0;
    for (const float x : w.token_embedding.value()) largest = std::max(largest, std::abs(x));
    CHECK(largest > 0.05f);  // not truncated at two standard deviations
    gpt::Config shallow = config;
    shallow.depth = 1, shallow.tied = false;
    const gpt::Weights one = gpt::make_weights(shallow, random);
    CHECK(standard_deviation_of(one.blocks[0].mlp.contract.weight.value()) / 0.02f == Approx(1 / std::sqrt(2.0)).epsilon(0.03));
    CHECK(standard_deviation_of(one.output.value()) / 0.02f == Approx(1).epsilon(0.03));

    std::vector<int> ids(40);
    for (int t = 0; t < 40; ++t) ids[t] = random.below(300);
    CHECK(gpt::loss(gpt::forward(ids, 40, w, config), next_tokens(ids, 40)).value()[0] == Approx(std::log(300.0)).epsilon(0.01));
}

TEST_CASE("empty_weights: zeros of all shapes") {
    const gpt::Weights w = gpt::empty_weights(tiny);
    CHECK(w.output.same_as(w.token_embedding));
    CHECK(count_numbers(gpt::parameters(w, tiny)) == count_numbers(gpt::parameters(random_weights(tiny), tiny)));
    CHECK(standard_deviation_of(w.token_embedding.value()) == 0);
    CHECK(standard_deviation_of(w.blocks[1].attention.query.weight.value()) == 0);
}

TEST_CASE("Config: the default is the small GPT-2 with 124,439,808 parameters") {
    const gpt::Config config;
    const long E = config.width, m = config.mlp_width;
    const long block = 4 * E + (E * 3 * E + 3 * E) + (E * E + E) + (E * m + m) + (m * E + E);
    CHECK(config.vocabulary * E + config.positions * E + config.depth * block + 2 * E == 124439808);
    Random random;
    CHECK(count_numbers(gpt::parameters(gpt::make_weights(tiny, random), tiny)) ==
          11 * 8 + 9 * 8 + 2 * (4 * 8 + 8 * 24 + 24 + 8 * 8 + 8 + 8 * 12 + 12 + 12 * 8 + 8) + 2 * 8);
}

TEST_CASE("parameters: the names of gpt2 and openai-gpt, with a prefix, and with an untied output matrix") {
    Random random;
    const Parameters gpt2 = gpt::parameters(gpt::make_weights(tiny, random), tiny);
    CHECK(gpt2.front().name == "wte.weight");
    CHECK(gpt2[4].name == "h.0.attn.c_attn.weight");
    CHECK(shape_text(gpt2[4].shape) == "(8, 24)");
    CHECK(gpt2.back().name == "ln_f.bias");
    const Parameters gpt1 = gpt::parameters(gpt::make_weights(tiny_2018(), random), tiny_2018());
    CHECK(gpt1.front().name == "tokens_embed.weight");
    CHECK(gpt1.back().name == "h.1.mlp.c_proj.bias");
    gpt::Config untied = tiny;
    untied.tied = false;
    const Parameters with_head = gpt::parameters(gpt::make_weights(untied, random), untied, "transformer.");
    CHECK(with_head.front().name == "transformer.wte.weight");
    CHECK(with_head.back().name == "lm_head.weight");
}

TEST_CASE("config_of: a saved model loads with the same configuration and numbers") {
    const TemporaryFolder folder;
    const std::string path = folder.path("gpt_test.safetensors");
    gpt::Config untied = tiny;
    untied.tied = false;
    gpt::Config others = tiny, exact_2018 = tiny_2018();  // what tensor shapes do not determine
    others.eps = 0.25f;
    others.activation = Activation::relu;
    exact_2018.activation = Activation::gelu;  // "gelu" means the tanh form in files of 2018
    for (const gpt::Config& config : {tiny, tiny_2018(), untied, others, exact_2018}) {
        const gpt::Weights w = random_weights(config);
        save(gpt::parameters(w, config), path, gpt::metadata(config));
        const Safetensors checkpoint(path);
        const gpt::Config found = gpt::config_of(checkpoint);
        CHECK(found.vocabulary == 11);
        CHECK(found.positions == 9);
        CHECK(found.width == 8);
        CHECK(found.depth == 2);
        CHECK(found.heads == 2);
        CHECK(found.mlp_width == 12);
        CHECK(found.order == config.order);
        CHECK(found.tied == config.tied);
        CHECK(found.eps == config.eps);
        CHECK(found.activation == config.activation);
        const gpt::Weights other = random_weights(found, 2);
        load(gpt::parameters(other, found), checkpoint, gpt::load_rules(found));
        CHECK(identical(gpt::forward(some_ids, 5, other, found).logits.value(),
                        gpt::forward(some_ids, 5, w, config).logits.value()));
    }
}

// A file as other programs write it: the prefix "transformer.", the masks of every block, and perhaps a copy of the embedding.
static void write_foreign_file(const std::string& path, const gpt::Weights& w, bool with_head) {
    std::vector<TensorToWrite> tensors;
    for (const Parameter& parameter : gpt::parameters(w, tiny, "transformer."))
        tensors.push_back(
            {.name = parameter.name, .shape = parameter.shape, .floats = published_value(parameter), .integers = {}});
    for (const std::string block : {"0", "1"}) {
        tensors.push_back(
            {.name = "transformer.h." + block + ".attn.bias", .shape = {1, 1, 9, 9}, .floats = Matrix(9, 9), .integers = {}});
        tensors.push_back(
            {.name = "transformer.h." + block + ".attn.masked_bias", .shape = {}, .floats = Matrix(1, 1), .integers = {}});
    }
    tensors.push_back({.name = "transformer.position_ids", .shape = {9}, .floats = {}, .integers = {0, 1, 2, 3, 4, 5, 6, 7, 8}});
    if (with_head)
        tensors.push_back({.name = "lm_head.weight", .shape = {11, 8}, .floats = w.token_embedding.value(), .integers = {}});
    write_safetensors(path, tensors);
}

TEST_CASE("load_rules: prefix, stored causal masks and a second copy of the embedding load") {
    const TemporaryFolder folder;
    const std::string path = folder.path("gpt_test_foreign.safetensors");
    const gpt::Weights w = random_weights(tiny);
    for (const bool with_head : {false, true}) {
        write_foreign_file(path, w, with_head);
        const Safetensors checkpoint(path);
        const gpt::Config found = gpt::config_of(checkpoint, {{"n_head", "2"}});
        CHECK(found.heads == 2);
        CHECK(found.tied);
        const gpt::Weights other = random_weights(found, 2);
        load(gpt::parameters(other, found), checkpoint, gpt::load_rules(found));
        CHECK(
            identical(gpt::forward(some_ids, 5, other, found).logits.value(), gpt::forward(some_ids, 5, w, tiny).logits.value()));
        load(gpt::parameters(other, found, "transformer."), checkpoint,
             gpt::load_rules(found));  // our names may have the prefix too
    }
}

TEST_CASE("gpt: inconsistent configs, ids and caches throw an error with the numbers received and required") {
    const gpt::Weights w = random_weights(tiny);
    CHECK_THROWS_WITH(
        gpt::forward({1, 2, 3}, 2, w, tiny),
        "gpt: 3 tokens are not a whole number of sequences of 2, 1 are left over; cut them off or fill the last sequence up");
    CHECK_THROWS_WITH(gpt::forward({}, 2, w, tiny), "gpt: there is no token; give at least one sequence of 2");
    CHECK_THROWS_WITH(gpt::forward(std::vector<int>(10), 10, w, tiny),
                      "gpt: a sequence of 10 tokens, this model has 9 positions; cut the text");
    CHECK(without_place(error_of([&] { gpt::forward({11}, 1, w, tiny); })) ==
          "embed: id 11 is outside a table of 11 rows, counted from 0");
    Random random;
    gpt::Config three_heads = tiny;
    three_heads.heads = 3;
    CHECK_THROWS_WITH(gpt::make_weights(three_heads, random), "gpt: 3 heads do not divide a width of 8");
    gpt::Config empty = tiny;
    empty.vocabulary = 0;
    CHECK_THROWS_WITH(gpt::make_weights(empty, random),
                      "gpt: vocabulary 0, 9 positions, width 8, depth 2, inner width 12: sizes must be positive");

    CHECK_THROWS_WITH(
        gpt::make_cache(tiny, 1, 10),
        "gpt: a cache of 1 sequences of 10 tokens, this model has 9 positions; prompt and new tokens must fit, and be at least 1");
    gpt::Cache cache = gpt::make_cache(tiny, 2, 3);
    CHECK_THROWS_WITH(gpt::trunk({1, 2, 3}, w, tiny, cache), "gpt: 3 new tokens for a cache of 2 sequences");
    gpt::trunk({1, 2, 3, 4}, w, tiny, cache);
    CHECK_THROWS_WITH(gpt::trunk({1, 2, 3, 4}, w, tiny, cache), "gpt: the cache holds 2 of 3 tokens, 2 more do not fit");
    CHECK(cache.filled == 2);
    CHECK_THROWS_WITH(gpt::select_sequences(cache, {2}), "select_sequences: there is no sequence 2 among 2, counted from 0");
    CHECK_THROWS_WITH(gpt::select_sequences(cache, {}), "select_sequences: none of 2 sequences is chosen; choose at least one");
}

TEST_CASE("config_of: a file that is not a GPT checkpoint throws with its path") {
    const TemporaryFolder folder;
    const std::string path = folder.path("gpt_test_other.safetensors");
    write_safetensors(path, {{.name = "a", .shape = {1}, .floats = Matrix(1, 1), .integers = {}}});
    CHECK(error_of([&] { gpt::config_of(Safetensors(path)); }) ==
          path + ": there is no tensor wte.weight, this is not a GPT checkpoint; near it: a");
    write_safetensors(path, {{.name = "wte.weight", .shape = {2}, .floats = Matrix(1, 2), .integers = {}}});
    CHECK(error_of([&] { gpt::config_of(Safetensors(path)); }) == path + ": wte.weight has the shape (2), it should be a matrix");
    const gpt::Weights w = random_weights(tiny);
    save(gpt::parameters(w, tiny), path);
    CHECK(error_of([&] { gpt::config_of(Safetensors(path)); }) ==
          path +
              ": missing setting: the number of heads, which tensor shapes do not determine; put the config.json that was "
              "published with it into its folder, write \"num_attention_heads\" into its metadata, or give --heads N");
    CHECK(error_of([&] {
              gpt::config_of(Safetensors(path), {{"n_head", "3"}});
          }) == path + ": 3 heads do not divide a width of 8");
}

TEST_CASE("loss: a few steps of gradient descent memorise two sentences") {
    const gpt::Weights w = random_weights(tiny);
    const std::vector<int> labels = next_tokens(some_ids, 5);
    float last = 0;
    for (int step = 0; step < 150; ++step) {
        const Tape tape;
        const Var loss = gpt::loss(gpt::forward(some_ids, 5, w, tiny), labels);
        backward(loss);
        last = loss.value()[0];
        for (Var& v : variables(gpt::parameters(w, tiny))) {
            for (std::size_t k = 0; k < v.value().size(); ++k) v.value()[k] -= 0.1f * v.gradient()[k];
            v.zero_gradient();
        }
    }
    CHECK(last < 0.1f);
    CHECK(gpt::generate_greedily({3, 9}, 1, w, tiny, {.new_tokens = 4}) ==
          std::vector<std::vector<int>>{{1, 4, 1, 5}, {2, 6, 5, 3}});
}

TEST_CASE("load_rules: a tied embedding stored as lm_head.weight alone, and names with a wrapper's prefix, load") {
    const TemporaryFolder folder;
    const std::string path = folder.path("gpt.safetensors");
    for (const gpt::Config& config : {tiny, tiny_2018()}) {
        const gpt::Weights w = random_weights(config);
        const Matrix expected = gpt::forward(some_ids, 5, w, config).logits.value();
        const std::string words = config.order == Order::pre ? "wte.weight" : "tokens_embed.weight";
        for (const std::string prefix :
             {"", "transformer.", "_orig_mod.transformer.", "module.", "module._orig_mod.transformer."}) {
            Parameters table = gpt::parameters(w, config);
            for (Parameter& parameter : table) {
                const bool is_words = parameter.name == words && prefix.ends_with("transformer.");
                const std::string wrapper = prefix.ends_with("transformer.") ? prefix.substr(0, prefix.size() - 12) : prefix;
                parameter.name = is_words ? wrapper + "lm_head.weight" : prefix + parameter.name;
            }
            save(table, path);
            const Safetensors checkpoint(path);
            const gpt::Config found = gpt::config_of(checkpoint, {{"n_head", "2"}});
            CHECK(found.tied);
            CHECK(found.order == config.order);
            const gpt::Weights other = random_weights(found, 2);
            load(gpt::parameters(other, found), checkpoint, gpt::load_rules(found));
            CHECK_MESSAGE(identical(gpt::forward(some_ids, 5, other, found).logits.value(), expected), prefix);
        }
    }
}

TEST_CASE("config_of: the error names the kind of another model's checkpoint") {
    const TemporaryFolder folder;
    const std::string path = folder.path("vit.safetensors");
    write_safetensors(path,
                      {{.name = "vit.embeddings.patch_embeddings.projection.weight", .shape = {1}, .floats = Matrix(1, 1)}});
    CHECK(error_of([&] { gpt::config_of(Safetensors(path)); })
              .starts_with(path + ": there is no tensor wte.weight, this is not a GPT checkpoint; this looks like a ViT "
                                  "(vit.embeddings.patch_embeddings.projection.weight), a GPT-2 (wte.weight) was asked for"));
}

TEST_CASE("config_of: heads, eps and activation come from config.json beside the file; another model's throws") {
    const TemporaryFolder folder;
    const std::string path = folder.path("model.safetensors"), config = folder.path("config.json");
    save(gpt::parameters(random_weights(tiny), tiny), path);
    write_file_atomically(config, R"({"n_embd": 8, "n_layer": 2, "n_head": 4})");
    CHECK(gpt::config_of(Safetensors(path)).heads == 4);
    CHECK(gpt::config_of(Safetensors(path)).eps == 1e-5f);  // the default
    CHECK(gpt::config_of(Safetensors(path)).activation == Activation::gelu_tanh);
    CHECK(gpt::config_of(Safetensors(path), {{"num_attention_heads", "1"}}).heads == 1);
    write_file_atomically(config, R"({"n_head": 4, "layer_norm_epsilon": 0.5, "activation_function": "relu"})");
    CHECK(gpt::config_of(Safetensors(path)).eps == 0.5f);
    CHECK(gpt::config_of(Safetensors(path)).activation == Activation::relu);
    write_file_atomically(config, R"({"n_embd": 768, "n_head": 4})");
    CHECK(
        error_of([&] { gpt::config_of(Safetensors(path)); }).starts_with(config + ": n_embd is 768, but the tensors of " + path));
    for (const std::string size : {"vocab_size", "n_positions", "n_inner"}) {
        write_file_atomically(config, R"({"n_head": 4, ")" + size + R"(": 999})");
        CHECK(error_of([&] {
                  gpt::config_of(Safetensors(path));
              }).starts_with(config + ": " + size + " is 999, but the tensors of "));
    }
    write_file_atomically(config, R"({"n_head": 4, "tie_word_embeddings": false, "n_inner": null})");
    CHECK(error_of([&] { gpt::config_of(Safetensors(path)); }).starts_with(config + ": tie_word_embeddings is false, but "));
    write_file_atomically(config, R"({"n_head": 4, "activation_function": "mish"})");
    CHECK(error_of([&] {
              gpt::config_of(Safetensors(path));
          }).starts_with(config + ": activation_function, the activation function: "));
    write_file_atomically(config, R"({"n_head": 4, "scale_attn_by_inverse_layer_idx": true})");
    CHECK(error_of([&] { gpt::config_of(Safetensors(path)); }) ==
          config + ": scale_attn_by_inverse_layer_idx is \"true\"; only false is implemented here");
}

TEST_CASE("forward: a configuration that does not match the weights throws") {
    const gpt::Weights w = random_weights(tiny);
    gpt::Config five = tiny, none = tiny, odd = tiny, negative = tiny;
    five.depth = 5;
    none.depth = -1;
    odd.heads = 3;
    negative.eps = -1;
    CHECK(error_of([&] { gpt::forward(some_ids, 5, w, five); }) ==
          "gpt: the configuration says 5 blocks, the weights hold 2; pass the configuration that the weights were made with");
    CHECK(error_of([&] {
              gpt::forward(some_ids, 5, w, none);
          }).starts_with("gpt: vocabulary 11, 9 positions, width 8, depth -1, "));
    CHECK(error_of([&] { gpt::forward(some_ids, 5, w, odd); }) == "gpt: 3 heads do not divide a width of 8");
    CHECK(error_of([&] { gpt::forward(some_ids, 5, w, negative); }) ==
          "gpt: an eps of -1, it is added to a variance and must be finite and at least 0; 1e-5 is usual");
    Random random;
    CHECK(error_of([&] { gpt::make_weights(negative, random); }).starts_with("gpt: an eps of -1"));
    gpt::Cache cache = gpt::make_cache(tiny, 1, 4);
    CHECK(error_of([&] { gpt::trunk({1, 2}, w, five, cache); }).starts_with("gpt: the configuration says 5 blocks"));
    cache.filled = 3;
    CHECK_THROWS_WITH(gpt::trunk({1}, w, tiny, cache),
                      "gpt: the cache says 3 tokens of each sequence, one of its blocks 0; make a new one with make_cache");
}

TEST_CASE("forward: a configuration with other sizes than the weights throws with both shapes") {
    const gpt::Weights w = random_weights(tiny);
    const auto refusal = [&](const auto& change) {
        gpt::Config other = tiny;
        change(other);
        return error_of([&] { gpt::forward(some_ids, 5, w, other); });
    };
    const std::string cure = "; pass the configuration that the weights were made with";
    CHECK(refusal([](gpt::Config& c) { c.vocabulary = 7; }) ==
          "gpt: the token embedding is (11, 8), the configuration says (7, 8)" + cure);
    CHECK(refusal([](gpt::Config& c) { c.width = 16; }) ==
          "gpt: the token embedding is (11, 8), the configuration says (11, 16)" + cure);
    CHECK(refusal([](gpt::Config& c) { c.positions = 99; }) ==
          "gpt: the position embedding is (9, 8), the configuration says (99, 8)" + cure);
    CHECK(refusal([](gpt::Config& c) { c.mlp_width = 99; }) ==
          "gpt: the first matrix of an MLP is (8, 12), the configuration says (8, 99)" + cure);
    CHECK(
        refusal([](gpt::Config& c) { c.order = Order::post; }).starts_with("gpt: the weights hold a norm after the last block"));
    CHECK(refusal([](gpt::Config& c) {
              c.order = Order::parallel;
          }).starts_with("gpt: its blocks are pre-norm (GPT-2) or post-norm"));
    gpt::Weights untied = w;
    untied.output = Var(w.token_embedding.value());  // parameters() would leave it out, and a saved file lose it
    CHECK(error_of([&] {
              gpt::forward(some_ids, 5, untied, tiny);
          }).starts_with("gpt: the configuration says that the output matrix is the token embedding"));
    CHECK(error_of([&] {
              gpt::forward(some_ids, 5, {}, tiny);
          }).starts_with("gpt: the configuration says 2 blocks, the weights hold 0"));
}

TEST_CASE("make_weights, make_cache, trunk: each argument check fails by itself, the smallest sizes are allowed") {
    Random random(1);
    const auto refusal = [&](int gpt::Config::*size, int given) {
        gpt::Config config = tiny;
        config.*size = given;
        return error_of([&] { gpt::make_weights(config, random); });
    };
    const std::string rule = ": sizes must be positive";
    CHECK(refusal(&gpt::Config::vocabulary, 0) == "gpt: vocabulary 0, 9 positions, width 8, depth 2, inner width 12" + rule);
    CHECK(refusal(&gpt::Config::positions, 0) == "gpt: vocabulary 11, 0 positions, width 8, depth 2, inner width 12" + rule);
    CHECK(refusal(&gpt::Config::width, 0) == "gpt: vocabulary 11, 9 positions, width 0, depth 2, inner width 12" + rule);
    CHECK(refusal(&gpt::Config::depth, -1) == "gpt: vocabulary 11, 9 positions, width 8, depth -1, inner width 12" + rule);
    CHECK(refusal(&gpt::Config::mlp_width, 0) == "gpt: vocabulary 11, 9 positions, width 8, depth 2, inner width 0" + rule);
    CHECK(refusal(&gpt::Config::heads, 0) == "gpt: 0 heads do not divide a width of 8");
    const gpt::Config least{.vocabulary = 1, .positions = 1, .width = 1, .depth = 0, .heads = 1, .mlp_width = 1};
    CHECK_NOTHROW(gpt::make_weights(least, random));

    CHECK_THROWS_WITH(
        gpt::make_cache(tiny, 0, 1),
        "gpt: a cache of 0 sequences of 1 tokens, this model has 9 positions; prompt and new tokens must fit, and be at least 1");
    CHECK_THROWS_WITH(
        gpt::make_cache(tiny, 1, 0),
        "gpt: a cache of 1 sequences of 0 tokens, this model has 9 positions; prompt and new tokens must fit, and be at least 1");
    CHECK_NOTHROW(gpt::make_cache(tiny, 1, 9));
    const gpt::Weights w = gpt::make_weights(tiny, random);
    gpt::Cache one = gpt::make_cache(tiny, 1, 1);
    CHECK_THROWS_WITH(gpt::trunk({}, w, tiny, one), "gpt: 0 new tokens for a cache of 1 sequences");
    CHECK_THROWS_WITH(gpt::trunk({1, 2}, w, tiny, one), "gpt: the cache holds 0 of 1 tokens, 2 more do not fit");
    one.filled = -1;
    CHECK_THROWS_WITH(gpt::trunk({1}, w, tiny, one), "gpt: the cache holds -1 of 1 tokens, 1 more do not fit");
    one.filled = 0;
    CHECK_NOTHROW(gpt::trunk({1}, w, tiny, one));
    one.sequences = 0;
    CHECK_THROWS_WITH(gpt::trunk({1}, w, tiny, one), "gpt: 1 new tokens for a cache of 0 sequences");
}

TEST_CASE("forward: an output matrix that is not tied, and an order that is neither pre nor post, are refused") {
    Random random(1);
    gpt::Config untied = tiny, other = tiny;
    untied.tied = false;
    CHECK_THROWS_WITH(
        gpt::forward({1}, 1, gpt::make_weights(untied, random), tiny),
        "gpt: the configuration says that the output matrix is the token embedding, in the weights it is a different one; set "
        "tied = false, or make the output matrix the token embedding");
    const gpt::Weights w = gpt::make_weights(tiny, random);
    other.order = Order::parallel;
    CHECK_THROWS_WITH(gpt::forward({1}, 1, w, other),
                      "gpt: its blocks are pre-norm (GPT-2) or post-norm (GPT 2018), this configuration has another order");
}

TEST_CASE("gpt::Config: the defaults") {
    const gpt::Config usual{};
    CHECK(usual.vocabulary == 50257);
    CHECK(usual.positions == 1024);
    CHECK(usual.width == 768);
    CHECK(usual.depth == 12);
    CHECK(usual.heads == 12);
    CHECK(usual.mlp_width == 3072);
    CHECK(usual.eps == 1e-5f);
    CHECK(usual.activation == Activation::gelu_tanh);
    CHECK(usual.order == Order::pre);
    CHECK(usual.tied);
}

TEST_CASE("gpt::Start: the defaults") {
    const gpt::Start usual{};
    CHECK(usual.stddev == 0.02f);
    CHECK(usual.embedding_stddev == 0.02f);
}

TEST_CASE("make_weights: an order that no GPT has is refused before the weights are drawn") {
    Random random(1);
    gpt::Config config = tiny;
    config.order = Order::parallel;
    CHECK(error_of([&] { gpt::make_weights(config, random); }).starts_with("gpt: its blocks are pre-norm (GPT-2) or post-norm"));
}

TEST_SUITE_END();
