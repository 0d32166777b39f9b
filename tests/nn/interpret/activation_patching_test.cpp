#include "nn/interpret/activation_patching.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/text/batch.h"
#include "tests/fixture_views.h"
#include "tests/nn/interpret/gpt_fixture.h"
#include "tests/test.h"

namespace patching = activation_patching;

TEST_SUITE_BEGIN("activation_patching");

namespace {
// GPT on a batch of prompts without padding.
struct GptRun : patching::Run {
    const gpt::Weights& w;
    const gpt::Config& config;
    TokenBatch batch;
    GptRun(const gpt::Weights& w, const gpt::Config& config, TokenBatch batch) : w(w), config(config), batch(std::move(batch)) {}

    Var logits() override { return gpt::forward(batch.ids, batch.length, w, config).logits; }
};
}  // namespace

// "1,6,2"
static std::vector<int> numbers_in(const std::string& words) {
    std::vector<int> numbers;
    for (std::size_t at = 0; at < words.size();) {
        std::size_t used = 0;
        numbers.push_back(std::stoi(words.substr(at), &used));
        at += used + 1;
    }
    return numbers;
}

static void check_run(const Golden& golden, const std::string& name, const patching::Kept& kept, int depth) {
    golden.check(name + "_logits", kept.logits);
    for (int l = 0; l < depth; ++l) {
        const std::string block = name + ".block." + std::to_string(l) + ".";
        golden.check(block + "resid_pre", kept.step(l, "input"));
        golden.check(block + "resid_mid", kept.step(l, "after_attention"));
        golden.check(block + "z", kept.step(l, "context"));
        golden.check(block + "attn", kept.step(l, "attention_output"));
        golden.check(block + "mlp", kept.step(l, "mlp_output"));
        golden.check(block + "attention", kept.step(l, "weights"));
    }
}

TEST_CASE("activation_patching: every run and sweep equals TransformerLens', the IOI authors' and ROME's") {
    for (const std::string& path : golden_files("activation_patching")) {
        const Golden golden(path);
        const auto [config, w] = gpt_of_fixture(golden);
        GptRun clean_run(w, config, make_batch(sequences_of(golden, "input.clean_ids")));
        GptRun corrupted_run(w, config, make_batch(sequences_of(golden, "input.corrupted_ids")));
        const patching::Sizes sizes{clean_run.batch.sequences, clean_run.batch.length, config.depth, config.heads};
        std::vector<int> right, wrong;
        for (const std::vector<int>& pair : sequences_of(golden, "input.answers")) {
            right.push_back(pair.at(0));
            wrong.push_back(pair.at(1));
        }

        const patching::Kept clean = patching::record(clean_run), corrupted = patching::record(corrupted_run);
        check_run(golden, "clean", clean, config.depth);
        check_run(golden, "corrupted", corrupted, config.depth);
        const patching::Metric metric = patching::make_metric(right, wrong, sizes.length, clean, corrupted);
        golden.check("clean_difference", row_of(metric.differences(clean.logits)));
        golden.check("corrupted_difference", row_of(metric.differences(corrupted.logits)));
        golden.check("clean_mean", static_cast<float>(metric.clean));
        golden.check("corrupted_mean", static_cast<float>(metric.corrupted));

        // denoising: the clean activation in the corrupted run
        golden.check("patch.resid_pre", patching::sweep_tokens(corrupted_run, clean, "input", sizes, metric));
        golden.check("patch.resid_mid", patching::sweep_tokens(corrupted_run, clean, "after_attention", sizes, metric));
        golden.check("patch.attn_out", patching::sweep_tokens(corrupted_run, clean, "attention_output", sizes, metric));
        golden.check("patch.mlp_out", patching::sweep_tokens(corrupted_run, clean, "mlp_output", sizes, metric));
        golden.check("patch.z", patching::sweep_heads_and_tokens(corrupted_run, clean, "context", sizes, metric));
        golden.check("patch.z_all_positions", patching::sweep_heads(corrupted_run, clean, "context", sizes, metric));
        golden.check("patch.q_all_positions", patching::sweep_heads(corrupted_run, clean, "query", sizes, metric));
        golden.check("patch.k_all_positions", patching::sweep_heads(corrupted_run, clean, "key", sizes, metric));
        golden.check("patch.v_all_positions", patching::sweep_heads(corrupted_run, clean, "value", sizes, metric));
        golden.check("patch.pattern_all_positions", patching::sweep_heads(corrupted_run, clean, "weights", sizes, metric));
        {
            const std::vector<int> example = numbers_in(golden.file.metadata_text("example"));  // block, token, head
            const patching::Patch patch(
                {patching::head_site(sizes, "context", example.at(0), example.at(2), config.width, example.at(1))}, clean);
            golden.check("example.logits", corrupted_run.logits().value());
        }

        // noising: the corrupted activation in the clean run
        golden.check("noising.resid_pre", patching::sweep_tokens(clean_run, corrupted, "input", sizes, metric));
        golden.check("noising.z_all_positions", patching::sweep_heads(clean_run, corrupted, "context", sizes, metric));

        // path patching
        const std::vector<int> receiver = numbers_in(golden.file.metadata_text("path_receiver"));  // block, head
        golden.check("path.head_to_logits", patching::path_patching(clean_run, clean, corrupted, {}, false, sizes, metric));
        golden.check("path.head_to_logits_mlps_frozen",
                     patching::path_patching(clean_run, clean, corrupted, {}, true, sizes, metric));
        golden.check("path.head_to_query", patching::path_patching(clean_run, clean, corrupted, {receiver.at(0), receiver.at(1)},
                                                                   false, sizes, metric));

        // causal tracing
        const std::vector<int> prompt = golden.integers("input.trace_ids"),
                               subject = numbers_in(golden.file.metadata_text("subject"));
        const int copies = dimensions_of(golden, "input.noise").at(0), Tt = static_cast<int>(prompt.size());
        GptRun prompt_run(w, config, make_batch({prompt}));
        GptRun copies_run(w, config, make_batch(std::vector<std::vector<int>>(copies, prompt)));
        const patching::Kept prompt_kept = patching::record(prompt_run);
        const Matrix p = softmax_rows(prompt_kept.logits).value();
        const int answer = argmax_row(p, Tt - 1);
        golden.check("trace.clean_probabilities", p);
        golden.check_integers("trace.answer", {answer});
        golden.check("trace.high_score", p(Tt - 1, answer));
        const Matrix noise = scale(golden.input("noise"), static_cast<float>(golden.file.metadata_double("noise_level"))).value();
        const patching::EmbeddingNoise noisy(noise, subject.at(0), Tt);
        const patching::Kept low = patching::record(copies_run);
        golden.check("trace.corrupted_word_embeddings", low.step(-1, "token_embeddings"));
        for (int l = 0; l < config.depth; ++l) golden.check("trace.corrupted.block." + std::to_string(l), low.step(l, "output"));
        const Matrix low_p = softmax_rows(low.logits).value();
        float low_score = 0;
        for (int s = 0; s < copies; ++s) low_score += low_p((s + 1) * Tt - 1, answer) / copies;
        golden.check("trace.low_score", low_score);
        const patching::Sizes traced{copies, Tt, config.depth, config.heads};
        const int window = golden.file.metadata_int("window");
        const Matrix states = patching::causal_trace(copies_run, prompt_kept, "output", 1, answer, traced);
        golden.check("trace.states", states);
        golden.check("trace.mlp", patching::causal_trace(copies_run, prompt_kept, "mlp_output", window, answer, traced));
        golden.check("trace.attn", patching::causal_trace(copies_run, prompt_kept, "attention_output", window, answer, traced));
        golden.check("trace.indirect_effect", shift(states, -low_score).value());
        golden.leave_out("gradient.resid_pre", "compared in the next case, without noise");
        golden.leave_out("gradient_patch.resid_pre", "compared in the next case, without noise");
        golden.check_all_used();
    }
}

TEST_CASE("gradients_of_inputs: the first-order estimate of every patch equals the published numbers") {
    for (const std::string& path : golden_files("activation_patching")) {
        const Golden golden(path);
        const auto [config, w] = gpt_of_fixture(golden);
        GptRun clean_run(w, config, make_batch(sequences_of(golden, "input.clean_ids")));
        GptRun corrupted_run(w, config, make_batch(sequences_of(golden, "input.corrupted_ids")));
        const patching::Sizes sizes{clean_run.batch.sequences, clean_run.batch.length, config.depth, config.heads};
        std::vector<int> right, wrong;
        for (const std::vector<int>& pair : sequences_of(golden, "input.answers")) {
            right.push_back(pair.at(0));
            wrong.push_back(pair.at(1));
        }
        const patching::Kept clean = patching::record(clean_run), corrupted = patching::record(corrupted_run);
        const patching::Metric metric = patching::make_metric(right, wrong, sizes.length, clean, corrupted);
        const std::vector<Matrix> gradients = patching::gradients_of_inputs(corrupted_run, sizes, metric);
        std::vector<Var> all;
        for (const Matrix& gradient : gradients) all.push_back(gradient);
        golden.check("gradient.resid_pre", concat_rows(all).value());
        golden.check("gradient_patch.resid_pre", patching::gradient_patch(gradients, clean, corrupted, sizes));
    }
}

// --- properties of every model ---

namespace {
struct PatchingCase {
    gpt::Config config{.vocabulary = 9, .positions = 6, .width = 8, .depth = 3, .heads = 2, .mlp_width = 12};
    gpt::Weights w;
    std::vector<std::vector<int>> clean_ids{{1, 2, 3, 4, 5}}, corrupted_ids{{1, 7, 3, 4, 5}};
    patching::Sizes sizes{1, 5, 3, 2};
};
}  // namespace

static PatchingCase small_case() {
    PatchingCase c;
    Random random(1);
    c.w = gpt::make_weights(c.config, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    return c;
}

TEST_CASE("sweep_tokens: 1 at the one token that differs before block 0, 0 elsewhere; 1 at the last token after the last block") {
    const PatchingCase c = small_case();
    GptRun clean_run(c.w, c.config, make_batch(c.clean_ids)), corrupted_run(c.w, c.config, make_batch(c.corrupted_ids));
    const patching::Kept clean = patching::record(clean_run), corrupted = patching::record(corrupted_run);
    const patching::Metric metric = patching::make_metric({3}, {4}, 5, clean, corrupted);
    const Matrix before = patching::sweep_tokens(corrupted_run, clean, "input", c.sizes, metric);
    check_close("block 0", slice_rows(before, 0, 1), Matrix{{0, 1, 0, 0, 0}}, {1e-4f, 0});
    const Matrix after = patching::sweep_tokens(corrupted_run, clean, "output", c.sizes, metric);
    check_close("block 2", slice_rows(after, 2, 1), Matrix{{0, 0, 0, 0, 1}}, {1e-4f, 0});
    const Matrix nothing = patching::sweep_tokens(clean_run, clean, "input", c.sizes, metric);
    check_close("clean into clean", nothing, Matrix(3, 5, 1), {1e-4f, 0});
}

TEST_CASE("Patch: patching a token changes no earlier logit, and leaves nothing behind for the next run") {
    const PatchingCase c = small_case();
    GptRun clean_run(c.w, c.config, make_batch(c.clean_ids)), corrupted_run(c.w, c.config, make_batch(c.corrupted_ids));
    const patching::Kept clean = patching::record(clean_run), corrupted = patching::record(corrupted_run);
    {
        const patching::Patch patch({{.block = 1, .step = "input", .rows = {3}}}, clean);
        const Matrix logits = corrupted_run.logits().value();
        check_close("before", slice_rows(logits, 0, 3), slice_rows(corrupted.logits, 0, 3));
        CHECK(difference(slice_rows(logits, 3, 1), slice_rows(corrupted.logits, 3, 1)) != "");
    }
    CHECK(identical(patching::record(corrupted_run).logits, corrupted.logits));
    const auto with_columns = [&](int first, int cols = 2) {
        const patching::Patch some({{.block = 1, .step = "input", .first_col = first, .cols = cols}}, clean);
        return error_of([&] { corrupted_run.logits(); });
    };
    CHECK(with_columns(0).empty());
    CHECK(with_columns(6).empty());
    CHECK(with_columns(7, 1).empty());
    CHECK(with_columns(-1) == "activation_patching: columns -1 to 1 of step input, which is (5, 8); they are counted from 0");
    CHECK(with_columns(7) == "activation_patching: columns 7 to 9 of step input, which is (5, 8); they are counted from 0");
    const patching::Patch beyond({{.block = 1, .step = "input", .rows = {5}}}, clean);
    CHECK_THROWS_WITH(corrupted_run.logits(),
                      "activation_patching: row 5 of step input, which is (5, 8); they are counted from 0");
}

TEST_CASE("sweep_heads: a head of the last block has no path but the direct one") {
    const PatchingCase c = small_case();
    GptRun clean_run(c.w, c.config, make_batch(c.clean_ids)), corrupted_run(c.w, c.config, make_batch(c.corrupted_ids));
    const patching::Kept clean = patching::record(clean_run), corrupted = patching::record(corrupted_run);
    const patching::Metric metric = patching::make_metric({3}, {4}, 5, clean, corrupted);
    const Matrix direct = patching::path_patching(clean_run, clean, corrupted, {}, false, c.sizes, metric);
    const Matrix noising = patching::sweep_heads(clean_run, corrupted, "context", c.sizes, metric);
    check_close("block 2", slice_rows(direct, 2, 1), slice_rows(noising, 2, 1), {1e-4f, 1e-4f});
}

TEST_CASE("make_metric: arguments that do not fit are refused, with the reason") {
    const PatchingCase c = small_case();
    GptRun run(c.w, c.config, make_batch(c.clean_ids));
    const patching::Kept kept = patching::record(run);
    CHECK_THROWS_WITH(patching::make_metric({1, 2}, {3}, 5, kept, kept),
                      "activation_patching: 2 right and 1 wrong answers for logits (5, 9) and (5, 9) of prompts of 5 tokens; "
                      "each prompt needs both answers, each of its tokens a row");
    const auto refusal = [&](const std::vector<int>& right, const std::vector<int>& wrong, int length,
                             const patching::Kept& corrupted) {
        return error_of([&] { patching::make_metric(right, wrong, length, kept, corrupted); });
    };
    patching::Kept empty, shorter;
    shorter.logits = slice_rows(kept.logits, 0, 4);
    CHECK(error_of([&] {
              patching::make_metric({}, {}, 5, empty, empty);
          }).starts_with("activation_patching: 0 right and 0 wrong answers for logits (0, 0)"));
    CHECK(refusal({1}, {3}, 4, kept).find("(5, 9) and (5, 9) of prompts of 4 tokens") != std::string::npos);
    CHECK(refusal({1}, {3}, 5, shorter).find("(5, 9) and (4, 9) of prompts of 5 tokens") != std::string::npos);
    for (const auto& [first, last] : {std::pair{0, 8}, {8, 0}})  // the first and the last token are answers
        CHECK(refusal({first}, {last}, 5, kept).find("there is nothing to restore") != std::string::npos);
    CHECK_THROWS_WITH(patching::make_metric({1}, {9}, 5, kept, kept),
                      "activation_patching: answers 1 and 9 of prompt 0, there are 9 tokens, counted from 0");
    CHECK_THROWS_WITH(patching::make_metric({9}, {1}, 5, kept, kept),
                      "activation_patching: answers 9 and 1 of prompt 0, there are 9 tokens, counted from 0");
    CHECK_THROWS_WITH(patching::make_metric({1}, {-1}, 5, kept, kept),
                      "activation_patching: answers 1 and -1 of prompt 0, there are 9 tokens, counted from 0");
    CHECK_THROWS_WITH(patching::make_metric({-1}, {1}, 5, kept, kept),
                      "activation_patching: answers -1 and 1 of prompt 0, there are 9 tokens, counted from 0");
    CHECK(error_of([&] {
              patching::make_metric({1}, {2}, 5, kept, kept);
          }).ends_with("; there is nothing to restore, corrupt the prompts where it matters"));
    CHECK_THROWS_WITH(kept.step(3, "input"),
                      "activation_patching: this run had no step input in block 3, which has no steps at all; blocks are counted "
                      "from 0, -1 is what comes before them");
    CHECK_THROWS_WITH(
        kept.step(-1, "embeddings"),
        "activation_patching: this run had no step embeddings in block -1, which has token_embeddings; blocks are counted from "
        "0, -1 is what comes before them");
}

TEST_CASE("sweeps: steps without rows for tokens, without heads or with shared heads are refused, and sizes of another run") {
    const PatchingCase c = small_case();
    GptRun clean_run(c.w, c.config, make_batch(c.clean_ids)), corrupted_run(c.w, c.config, make_batch(c.corrupted_ids));
    const patching::Kept clean = patching::record(clean_run), corrupted = patching::record(corrupted_run);
    const patching::Metric metric = patching::make_metric({3}, {4}, 5, clean, corrupted);
    const auto tokens = [&](const std::string& step, const patching::Sizes& sizes) {
        return error_of([&] { patching::sweep_tokens(corrupted_run, clean, step, sizes, metric); });
    };
    const auto heads = [&](const std::string& step, const patching::Kept& from) {
        return error_of([&] { patching::sweep_heads(corrupted_run, from, step, c.sizes, metric); });
    };
    CHECK(tokens("mlp_output", c.sizes) == "");
    CHECK(tokens("residual", c.sizes).starts_with("activation_patching: this run had no step residual in block 0, which has "));
    CHECK(tokens("input", {.sequences = 1, .length = 5, .depth = 4, .heads = 2})
              .starts_with("activation_patching: this run had no step input in block 3"));
    CHECK(
        tokens("weights", c.sizes) ==
        "activation_patching: step weights of block 0 is (10, 5), which is not a row for each of 1 sequences of 5 tokens; take a "
        "step that has one, and the sizes of the run");
    CHECK(tokens("input", {.sequences = 1, .length = 4, .depth = 3, .heads = 2})
              .starts_with(
                  "activation_patching: step input of block 0 is (5, 8), which is not a row for each of 1 sequences of 4"));
    CHECK(heads("key", clean) == "");
    CHECK(heads("mlp_output", clean) ==
          "activation_patching: step mlp_output has no heads; only query, key, value, context and weights have");
    patching::Kept shared = clean;  // one key head of 4 columns for both query heads
    shared.steps[{0, "key"}] = Matrix(5, 4);
    CHECK(
        heads("key", shared) ==
        "activation_patching: step key of block 0 is 4 wide and query 8: heads share its columns; patch query, which has columns "
        "for each");
    patching::Sizes of_stack = c.sizes;
    of_stack.stack = "decoder";
    shared.steps[{0, "decoder cross key"}] = Matrix(5, 4);
    shared.steps[{0, "decoder cross query"}] = Matrix(5, 8);
    CHECK(error_of([&] {
              patching::sweep_heads(corrupted_run, shared, "cross key", of_stack, metric);
          }).starts_with("activation_patching: step cross key of block 0 is 4 wide and cross query 8: heads share its columns;"));
}

TEST_CASE("activation_patching: tokens, heads, windows and answers that do not exist are refused") {
    const PatchingCase c = small_case();
    GptRun run(c.w, c.config, make_batch(c.clean_ids));
    const patching::Kept kept = patching::record(run);
    const patching::Sizes sizes{.sequences = 1, .length = 5, .depth = 2, .heads = 2};
    patching::Kept no_number = kept;
    no_number.logits[0] = NAN;
    const patching::Metric metric{.right = {1}, .wrong = {2}, .length = 4};
    CHECK_THROWS_WITH(patching::rows_of_token(sizes, 5), "activation_patching: token 5 of 5, they are counted from 0");
    CHECK_THROWS_WITH(patching::rows_of_token(sizes, -1), "activation_patching: token -1 of 5, they are counted from 0");
    CHECK_THROWS_WITH(patching::head_site(sizes, "context", 0, -1, 8),
                      "activation_patching: head -1 of block 0, there are 2 blocks of 2 heads, counted from 0");
    CHECK_THROWS_WITH(patching::head_site(sizes, "context", -1, 0, 8),
                      "activation_patching: head 0 of block -1, there are 2 blocks of 2 heads, counted from 0");
    CHECK_THROWS_WITH(patching::rows_of_token({}, 0),
                      "activation_patching: 0 sequences of 0 tokens, 0 blocks of 0 heads: all must be at least 1");
    CHECK_THROWS_WITH(patching::rows_of_token({0, 1, 1, 1}, 0),
                      "activation_patching: 0 sequences of 1 tokens, 1 blocks of 1 heads: all must be at least 1");
    CHECK_THROWS_WITH(patching::rows_of_token({1, 0, 1, 1}, 0),
                      "activation_patching: 1 sequences of 0 tokens, 1 blocks of 1 heads: all must be at least 1");
    CHECK_THROWS_WITH(patching::rows_of_token({1, 1, 0, 1}, 0),
                      "activation_patching: 1 sequences of 1 tokens, 0 blocks of 1 heads: all must be at least 1");
    CHECK_THROWS_WITH(patching::rows_of_token({1, 1, 1, 0}, 0),
                      "activation_patching: 1 sequences of 1 tokens, 1 blocks of 0 heads: all must be at least 1");
    CHECK(patching::rows_of_token({1, 1, 1, 1}, 0) == std::vector<int>{0});
    // of "weights" (B H T, T) the rows of head 1, for each sequence: all tokens, or token 0
    const patching::Sizes two{.sequences = 2, .length = 3, .depth = 1, .heads = 2};
    CHECK(patching::head_site(two, "weights", 0, 1, 3).rows == std::vector<int>{3, 4, 5, 9, 10, 11});
    CHECK(patching::head_site(two, "weights", 0, 1, 3, 0).rows == std::vector<int>{3, 9});
    CHECK(patching::head_site({1, 1, 1, 1}, "query", 0, 0, 1).cols == 1);
    CHECK_THROWS_WITH(patching::head_site(sizes, "context", 0, 2, 8),
                      "activation_patching: head 2 of block 0, there are 2 blocks of 2 heads, counted from 0");
    CHECK_THROWS_WITH(patching::head_site(sizes, "context", 2, 0, 8),
                      "activation_patching: head 0 of block 2, there are 2 blocks of 2 heads, counted from 0");
    CHECK_THROWS_WITH(patching::head_site(sizes, "context", 0, 0, 9),
                      "activation_patching: step context is 9 wide, 2 heads do not divide it; only query, key, value and context "
                      "have heads side by side");
    CHECK_THROWS_WITH(patching::make_metric({1}, {2}, 5, no_number, kept),
                      "activation_patching: the logits of the clean run (5, 9) hold nan in row 0, column 0 (from 0); all must be "
                      "finite, trap_nan(true) names the operation that made it");
    CHECK_THROWS_WITH(metric.differences(kept.logits),
                      "activation_patching: logits (5, 9) for 1 prompts of 4 tokens; each token needs a row");
    const patching::Metric of_one_token{.right = {1}, .wrong = {2}, .length = 1};
    CHECK(of_one_token.differences({{0, 5, 3}}) == std::vector<float>{2});
    CHECK_THROWS_WITH(patching::gradient_patch({}, kept, kept, sizes),
                      "gradient_patch: gradients of 0 blocks, there are 2; each needs one, see gradients_of_inputs");
    CHECK_THROWS_WITH(patching::causal_trace(run, kept, "output", 0, 1, sizes),
                      "causal_trace: a window of 0 blocks, it must be at least 1");
    CHECK_THROWS_WITH(patching::causal_trace(run, kept, "output", 1, 9, sizes),
                      "causal_trace: the answer is token 9, there are 9, counted from 0");
    CHECK_THROWS_WITH(patching::causal_trace(run, kept, "output", 1, -1, sizes),
                      "causal_trace: the answer is token -1, there are 9, counted from 0");
    CHECK(patching::causal_trace(run, kept, "output", 1, 0, sizes).rows == 5);
}

TEST_CASE("EmbeddingNoise: noise that does not fit is refused, whichever of its sizes is wrong") {
    const auto noised = [](const Matrix& noise, int begin, int length, const Matrix& embeddings) {
        patching::EmbeddingNoise hook(noise, begin, length);
        return hook.at({.name = "token_embeddings"}, embeddings).value();
    };
    const auto refusal = [&](const Matrix& noise, int begin, int length, const Matrix& embeddings) {
        return error_of([&] { noised(noise, begin, length, embeddings); });
    };
    const auto rule = [](const std::string& noise, int begin, const std::string& embeddings, int length) {
        return "activation_patching: noise " + noise + " from token " + std::to_string(begin) + " on, for word embeddings " +
               embeddings + " of sequences of " + std::to_string(length) +
               " tokens; each copy needs the same number of noisy rows, as wide as the embeddings and within the prompt";
    };
    const Matrix four(4, 2), two{{1, 2}, {3, 4}};  // two copies of two tokens; one noisy token of each
    CHECK(identical(noised(two, 0, 2, four), Matrix{{1, 2}, {0, 0}, {3, 4}, {0, 0}}));
    CHECK(identical(noised(two, 1, 2, four), Matrix{{0, 0}, {1, 2}, {0, 0}, {3, 4}}));
    CHECK(identical(noised(two, 0, 2, Matrix(2, 2)), two));  // every token of the only copy
    CHECK(identical(noised(two, 0, 1, Matrix(2, 2)), two));  // copies of one token
    CHECK(refusal(two, 0, 0, four) == "activation_patching: noise on sequences of 0 tokens, there must be at least 1");
    CHECK(refusal(two, 0, 2, Matrix(5, 2)) == rule("(2, 2)", 0, "(5, 2)", 2));
    CHECK(refusal(Matrix(3, 2), 0, 2, four) == rule("(3, 2)", 0, "(4, 2)", 2));
    CHECK(refusal(Matrix(2, 3), 0, 2, four) == rule("(2, 3)", 0, "(4, 2)", 2));
    CHECK(refusal(two, -1, 2, four) == rule("(2, 2)", -1, "(4, 2)", 2));
    CHECK(refusal(two, 2, 2, four) == rule("(2, 2)", 2, "(4, 2)", 2));
    CHECK(refusal(four, 1, 2, four) == rule("(4, 2)", 1, "(4, 2)", 2));
    CHECK(refusal(two, 0, 3, Matrix(2, 2)) == rule("(2, 2)", 0, "(2, 2)", 3));  // less than one copy
}

TEST_CASE(
    "Patch, path_patching, gradient_patch: another shape, a receiver beyond the last block and inputs that differ are refused") {
    const PatchingCase c = small_case();
    GptRun clean_run(c.w, c.config, make_batch(c.clean_ids)), corrupted_run(c.w, c.config, make_batch(c.corrupted_ids));
    const patching::Kept clean = patching::record(clean_run), corrupted = patching::record(corrupted_run);
    const patching::Metric metric = patching::make_metric({3}, {4}, 5, clean, corrupted);
    {
        GptRun shorter(c.w, c.config, make_batch({{1, 2, 3, 4}}));
        const patching::Patch patch({{.block = 1, .step = "input"}}, clean);
        CHECK_THROWS_WITH(shorter.logits(),
                          "activation_patching: step input of block 1 is (4, 8), in the other run it was (5, 8); both runs must "
                          "have prompts of the same length");
    }
    {
        const patching::Patch before({{.block = 1, .step = "input", .rows = {-1}}}, clean);
        CHECK_THROWS_WITH(corrupted_run.logits(),
                          "activation_patching: row -1 of step input, which is (5, 8); they are counted from 0");
    }
    {
        const patching::Patch ends({{.block = 1, .step = "input", .rows = {0, 4}}}, clean);
        CHECK_NOTHROW(corrupted_run.logits());
    }
    CHECK_THROWS_WITH(patching::path_patching(clean_run, clean, corrupted, {.block = 3, .head = 0}, false, c.sizes, metric),
                      "path_patching: the receiver is in block 3 of 3, counted from 0; below 0 it is the residual stream after "
                      "the last");
    CHECK(patching::path_patching(clean_run, clean, corrupted, {.block = 2, .head = 0}, false, c.sizes, metric).rows == 2);
    CHECK(patching::path_patching(clean_run, clean, corrupted, {.block = 0, .head = 0}, false, c.sizes, metric).rows == 0);

    const std::vector<Matrix> gradients(3, Matrix(5, 8));
    const auto refusal = [&](const std::vector<Matrix>& of_inputs, const patching::Kept& bad, const patching::Sizes& sizes) {
        return error_of([&] { patching::gradient_patch(of_inputs, clean, bad, sizes); });
    };
    const auto rule = [](const std::string& bad, const std::string& gradient, int length) {
        return "gradient_patch: block 0 has inputs (5, 8) and " + bad + " and a gradient " + gradient +
               "; all must have a row for each of 1 sequences of " + std::to_string(length) + " tokens";
    };
    patching::Kept other = corrupted;
    other.steps[{0, "input"}] = Matrix(5, 7);
    CHECK(refusal(gradients, corrupted, c.sizes).empty());
    CHECK(refusal(gradients, other, c.sizes) == rule("(5, 7)", "(5, 8)", 5));
    CHECK(refusal(std::vector<Matrix>(3, Matrix(4, 8)), corrupted, c.sizes) == rule("(5, 8)", "(4, 8)", 5));
    CHECK(refusal(gradients, corrupted, {1, 4, 3, 2}) == rule("(5, 8)", "(5, 8)", 4));
    CHECK(refusal(gradients, corrupted, {1, 6, 3, 2}) == rule("(5, 8)", "(5, 8)", 6));
}

TEST_CASE("activation_patching::Site: the defaults") {
    const activation_patching::Site usual{};
    CHECK(usual.block == 0);
    CHECK(usual.first_col == 0);
    CHECK(usual.cols == 0);
}

TEST_CASE("activation_patching::Receiver: the defaults") {
    const activation_patching::Receiver usual{};
    CHECK(usual.block == -1);
    CHECK(usual.head == -1);
}

TEST_CASE("ForwardPass, Patch: no run, and a site that the other run has not kept, are refused before anything runs") {
    CHECK(error_of([] { patching::ForwardPass run(nullptr); }) ==
          "activation_patching: no run is given; give a function that runs the model once");
    const PatchingCase c = small_case();
    GptRun clean_run(c.w, c.config, make_batch(c.clean_ids));
    const patching::Kept clean = patching::record(clean_run);
    const auto refusal = [&](int block, const std::string& step) {
        return error_of([&] { patching::Patch patch({{.block = 0, .step = "input"}, {.block = block, .step = step}}, clean); });
    };
    CHECK(refusal(2, "input").empty());
    CHECK(refusal(3, "input").starts_with("activation_patching: this run had no step input in block 3, which has no steps"));
    CHECK(refusal(2, "inputs").starts_with("activation_patching: this run had no step inputs in block 2, which has after_att"));
    CHECK(refusal(2, "decoder input").starts_with("activation_patching: this run had no step decoder input in block 2"));
}

TEST_CASE("Metric: made by hand, it needs both answers of every prompt, and two different ends") {
    const Matrix logits(4, 3);  // one prompt of four tokens, three words
    const patching::Metric good{.right = {2}, .wrong = {1}, .length = 4, .clean = 1, .corrupted = 0};
    CHECK(good.of(logits) == 0);
    const auto refusal = [&](const patching::Metric& metric) {
        const std::string of = error_of([&] { metric.of(logits); });
        CHECK(error_of([&] { metric.differences(logits); }) == (metric.clean == 1 ? of : ""));
        CHECK(error_of([&] { metric.mean_difference(logits); }) == (metric.clean == 1 ? of : ""));
        return of;
    };
    patching::Metric metric = good;
    metric.wrong = {};
    CHECK(refusal(metric) == "activation_patching: 1 right and 0 wrong answers; each prompt needs both");
    metric.wrong = {3};
    CHECK(refusal(metric) == "activation_patching: answers 2 and 3 of prompt 0, there are 3 tokens, counted from 0");
    metric.wrong = {-1};
    CHECK(refusal(metric) == "activation_patching: answers 2 and -1 of prompt 0, there are 3 tokens, counted from 0");
    metric = good;
    metric.length = 5;
    CHECK(refusal(metric) == "activation_patching: logits (4, 3) for 1 prompts of 5 tokens; each token needs a row");
    for (const double clean : {0.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
        metric = good;
        metric.clean = clean;
        CHECK(refusal(metric).ends_with("in the clean one; the two must differ, make_metric measures them"));
    }
    CHECK(error_of([] { patching::Metric{.right = {}, .wrong = {}, .length = 0, .clean = 1}.of(Matrix()); }) ==
          "activation_patching: logits (0, 0) for 0 prompts of 0 tokens; each token needs a row");
}

TEST_CASE("sweep_heads, head_site, causal_trace: sizes of another run are refused, a window may be longer than the model") {
    const PatchingCase c = small_case();
    GptRun clean_run(c.w, c.config, make_batch(c.clean_ids)), corrupted_run(c.w, c.config, make_batch(c.corrupted_ids));
    const patching::Kept clean = patching::record(clean_run), corrupted = patching::record(corrupted_run);
    const patching::Metric metric = patching::make_metric({3}, {4}, 5, clean, corrupted);
    CHECK(error_of([&] { patching::sweep_heads(corrupted_run, clean, "weights", c.sizes, metric); }).empty());
    CHECK(error_of([&] {
              patching::sweep_heads(corrupted_run, clean, "weights", {1, 5, 3, 1}, metric);
          }) ==
          "activation_patching: step weights of block 0 is (10, 5), 1 sequences of 5 tokens and 1 heads make 5 rows; take the "
          "sizes of the run");
    CHECK(error_of([&] {
              patching::sweep_heads(corrupted_run, clean, "context", {1, 4, 3, 2}, metric);
          }) ==
          "activation_patching: step context of block 0 is (5, 8), 1 sequences of 4 tokens and 2 heads make 4 rows; take the "
          "sizes of the run");
    for (const int width : {0, -8})
        CHECK(error_of([&] {
                  patching::head_site(c.sizes, "query", 0, 0, width);
              }).starts_with("activation_patching: step query is " + std::to_string(width) + " wide, 2 heads do not divide it"));
    CHECK(error_of([&] {
              patching::gradients_of_inputs(corrupted_run, {1, 5, 0, 2}, metric);
          }) == "activation_patching: 1 sequences of 5 tokens, 0 blocks of 2 heads: all must be at least 1");
    const auto trace = [&](int window) { return patching::causal_trace(corrupted_run, clean, "mlp_output", window, 3, c.sizes); };
    CHECK(identical(trace(6), trace(2147483647)));
    CHECK(difference(trace(1), trace(6)) != "");
}

TEST_SUITE_END();
