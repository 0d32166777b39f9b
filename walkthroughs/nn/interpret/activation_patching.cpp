// activation_patching.cpp: an induction circuit, found by interventions.
//
//   papers   Meng et al. (ROME), 2022, arXiv 2202.05262; Wang et al. (IOI), 2022, arXiv 2211.00593; sweeps as in TransformerLens
//   shows    how the one fact in which two texts differ moves through a GPT of two blocks: from a symbol to its successor, and
//            from there to the last token, each by one attention layer
//   symbols  r_l residual stream before block l   T tokens   d logit(right) - logit(wrong) at the last token
//   before   logit_lens.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/activation_patching.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/published_gpt.h"
#include "walkthroughs/toys/jumping_walk.h"

namespace toy = jumping_walk;
namespace patching = activation_patching;

struct Choices {
    toy::Training training;
    int texts = 100;
    std::string weights, vocab, merges;
    std::string clean = "The capital of France is", corrupted = "The capital of Italy is";
    ModelOptions model_options;  // settings that a checkpoint's shapes do not determine
};

static const int query = 3, other = 1;  // the two of the eight that are swapped

namespace {
struct Reader : patching::Run {
    const toy::Learned& model;
    std::vector<int> ids;
    Reader(const toy::Learned& model, std::vector<int> ids) : model(model), ids(std::move(ids)) {}

    Var logits() override { return gpt::forward(ids, toy::length, model.w, model.config).logits; }
};

// Both runs and the metric.
struct Experiment {
    Reader clean_run, corrupted_run;
    patching::Kept clean, corrupted;
    patching::Metric metric;
    patching::Sizes sizes;

    // The metric of the corrupted run with these sites patched from the clean one.
    double restored(const std::vector<patching::Site>& sites) {
        const NoTape evaluation;
        const patching::Patch patch(sites, clean);
        return metric.of(corrupted_run.logits().value());
    }
    patching::Site at(int block, const std::string& step, const std::vector<int>& tokens) const {
        patching::Site site{.block = block, .step = step};
        for (const int token : tokens)
            for (const int row : patching::rows_of_token(sizes, token)) site.rows.push_back(row);
        return site;
    }
};
}  // namespace

static Experiment make_experiment(const toy::Learned& model, int count, Random& random) {
    std::vector<toy::Text> clean, corrupted;
    std::vector<int> right, wrong;
    for (int b = 0; b < count; ++b) {
        clean.push_back(toy::draw(random, {.query = query, .hidden = {other, other + 1, query, query + 1}}));
        corrupted.push_back(clean.back());
        std::swap(corrupted.back().ids[other], corrupted.back().ids[query]);
        right.push_back(clean.back().ids[query + 1]);
        wrong.push_back(clean.back().ids[other + 1]);
    }
    Reader clean_run(model, toy::inputs(clean)), corrupted_run(model, toy::inputs(corrupted));
    patching::Kept clean_kept = patching::record(clean_run), corrupted_kept = patching::record(corrupted_run);
    const patching::Metric metric = patching::make_metric(right, wrong, toy::length, clean_kept, corrupted_kept);
    return {clean_run,
            corrupted_run,
            std::move(clean_kept),
            std::move(corrupted_kept),
            metric,
            patching::sizes_of(gpt::inside(model.w, model.config), count, toy::length)};
}

static std::string letters(const std::vector<int>& ids, int begin, int end) {
    std::string line;
    for (int t = begin; t < end; ++t) line += std::string(1, static_cast<char>('a' + ids[t])) + " ";
    return line;
}

// Trains the model.
static Experiment step_1_two_runs(Lesson& lesson, toy::Learned& model, const Choices& choices, Random& random) {
    lesson.step("Which fact do we trace?", "clean and corrupted differ in one swap");
    lesson.code(2);
    model = toy::learn(choices.training, random);
    const Experiment e = make_experiment(model, choices.texts, random);
    lesson.lines(
        {"clean       " + letters(e.clean_run.ids, 0, toy::shown) + "  " + letters(e.clean_run.ids, toy::shown, toy::length),
         "corrupted   " + letters(e.corrupted_run.ids, 0, toy::shown) + "  " +
             letters(e.corrupted_run.ids, toy::shown, toy::length)});
    lesson.say("Symbols ", other, " and ", query,
               " (counted from 0) are swapped, so another symbol must follow the last one. Over ", e.sizes.sequences,
               " texts d = logit(right) - logit(wrong) is ", fixed(e.metric.clean, 2), " in the clean runs and ",
               fixed(e.metric.corrupted, 2), " in the corrupted ones.");
    lesson.why(
        "the metric is (d - d(corrupted)) / (d(clean) - d(corrupted)): 0 when a patch restores nothing, 1 when it "
        "restores the whole answer.");
    return e;
}

static Matrix step_2_sweep(Lesson& lesson, Experiment& e) {
    lesson.step("Where is the fact, layer by layer?", "one r_l of one token from the clean run");
    lesson.code();
    const Matrix before = patching::sweep_tokens(e.corrupted_run, e.clean, "input", e.sizes, e.metric);
    const Matrix after = patching::sweep_tokens(e.corrupted_run, e.clean, "output", e.sizes, e.metric);
    const Matrix all = concat_rows({Var(before), Var(slice_rows(after, 1, 1))}).value();  // (3, T)
    const bool moved = all(1, query + 1) > all(1, query);
    lesson.predict("Where is the fact before block 1: at the swapped symbols, or at their successors?",
                   {std::string(moved ? "successors" : "swapped symbols")});
    std::vector<std::vector<std::string>> rows{{"token", "before block 0", "before block 1", "after block 1"}};
    for (int t = 0; t < toy::length; ++t) {
        double largest = 0;
        for (int l = 0; l < 3; ++l) largest = std::max(largest, std::abs(static_cast<double>(all(l, t))));
        if (largest < 0.005) continue;
        rows.push_back({t < toy::shown         ? "symbol " + text(t)
                        : t == toy::length - 1 ? "the last"
                                               : "walk " + text(t - toy::shown),
                        fixed(all(0, t), 3), fixed(all(1, t), 3), fixed(all(2, t), 3)});
    }
    lesson.table(rows);
    lesson.say("Tokens that are not in the table restore less than 0.005 everywhere.");
    lesson.why(
        "before block 0 each swapped symbol holds a part of the fact. Before block 1 the fact is one position further "
        "right, and after block 1 at the last token.");
    return all;
}

namespace {
struct Moves {
    double swapped[3], successors[3], end[3];  // before block 0, before block 1, after block 1
    double attention_0, attention_1, mlp_0;
};
}  // namespace

static Moves step_3_both(Lesson& lesson, Experiment& e) {
    lesson.step("What do both positions restore together?", "r_l of two tokens at once");
    const std::vector<int> swapped{other, query}, successors{other + 1, query + 1}, end{toy::length - 1};
    Moves m{};
    for (int l = 0; l < 3; ++l) {
        const int block = std::min(l, 1);
        const std::string step = l < 2 ? "input" : "output";
        m.swapped[l] = e.restored({e.at(block, step, swapped)});
        m.successors[l] = e.restored({e.at(block, step, successors)});
        m.end[l] = e.restored({e.at(block, step, end)});
    }
    lesson.code(3);
    m.attention_0 = e.restored({e.at(0, "attention_output", successors)});
    m.mlp_0 = e.restored({e.at(0, "mlp_output", successors)});
    m.attention_1 = e.restored({e.at(1, "attention_output", end)});
    lesson.table({{"from the clean run", "before block 0", "before block 1", "after block 1"},
                  {"the two swapped symbols", fixed(m.swapped[0], 3), fixed(m.swapped[1], 3), fixed(m.swapped[2], 3)},
                  {"their two successors", fixed(m.successors[0], 3), fixed(m.successors[1], 3), fixed(m.successors[2], 3)},
                  {"the last token", fixed(m.end[0], 3), fixed(m.end[1], 3), fixed(m.end[2], 3)}});
    lesson.table({{"sublayer from the clean run", "restored"},
                  {"attention of block 0, at the successors", fixed(m.attention_0, 3)},
                  {"MLP of block 0, at the successors", fixed(m.mlp_0, 3)},
                  {"attention of block 1, at the last token", fixed(m.attention_1, 3)}});
    lesson.why(
        "attention of block 0 moves the fact one position to the right: it writes each symbol's predecessor into the "
        "symbol. Attention of block 1 moves it to the end: the last token attends to the symbol whose predecessor equals "
        "itself. This is an induction circuit, and patching either of its two steps restores the answer. (Attention and "
        "MLP need not sum to 1: the MLP works on the output of attention.)");
    return m;
}

// Mean attention from a row to a column: block 0 from each successor to its predecessor, block 1 from the end to the answer.
static double looks(const patching::Kept& kept, const patching::Sizes& sizes, int block, int head, int from, int to) {
    const Matrix& weights = kept.step(block, "weights");  // (B H T, T)
    double sum = 0;
    for (int b = 0; b < sizes.sequences; ++b) sum += weights((b * sizes.heads + head) * sizes.length + from, to);
    return sum / sizes.sequences;
}

static double step_4_heads(Lesson& lesson, Experiment& e) {
    lesson.step("Which heads are involved?", "context of one head, all tokens");
    lesson.code();
    const Matrix heads = patching::sweep_heads(e.corrupted_run, e.clean, "context", e.sizes, e.metric);  // (L, H)
    std::vector<std::vector<std::string>> rows{
        {"head", "block 0 restores", "attends one back", "block 1 restores", "end attends to answer"}};
    double least = 1, sums[2] = {};
    for (int h = 0; h < e.sizes.heads; ++h) {
        const double back = looks(e.clean, e.sizes, 0, h, query + 1, query);
        const double to_answer = looks(e.clean, e.sizes, 1, h, toy::length - 1, query + 1);
        least = std::min(least, to_answer);
        for (int l = 0; l < 2; ++l) sums[l] += heads(l, h);
        rows.push_back({text(h), fixed(heads(0, h), 3), fixed(back, 3), fixed(heads(1, h), 3), fixed(to_answer, 3)});
    }
    lesson.table(rows);
    lesson.why(
        "heads attend along the path of the fact: in block 0 one token back, in block 1 from the end to the answer. "
        "Patched one by one, the four heads of block 0 restore ",
        fixed(sums[0], 3), " in sum, those of block 1 ", fixed(sums[1], 3),
        "; all heads of a block at once restore 1 (step 3). Effects of heads that share the work do not add up.");
    return least;
}

static double step_5_gradient(Lesson& lesson, Experiment& e, const Matrix& sweep) {
    lesson.step("Can one backward pass replace the sweep?", "sum of (clean - corrupted) * d metric / d r_l");
    lesson.code(2);
    const std::vector<Matrix> gradients = patching::gradients_of_inputs(e.corrupted_run, e.sizes, e.metric);
    const Matrix guess = patching::gradient_patch(gradients, e.clean, e.corrupted, e.sizes);  // (L, T)
    std::vector<std::vector<std::string>> rows{{"token", "block 0: patch", "gradient", "block 1: patch", "gradient"}};
    double elsewhere = 0;
    for (int t = 0; t < toy::length; ++t) {
        if (t >= other && t <= query + 1)
            rows.push_back({"symbol " + text(t), fixed(sweep(0, t), 3), fixed(guess(0, t), 3), fixed(sweep(1, t), 3),
                            fixed(guess(1, t), 3)});
        if (t != other && t != query) elsewhere = std::max(elsewhere, std::abs(static_cast<double>(guess(0, t))));
    }
    lesson.table(rows);
    lesson.why(
        "the gradient is a first-order approximation of a patch. It is zero where the runs agree, so it selects the right "
        "tokens; but saturated attention has a small gradient, so neither size nor sign is reliable.");
    return elsewhere;
}

// "The| capital| of": a text as the model reads it.
static std::string with_bars(const std::vector<int>& ids, const PublishedGpt& model) {
    std::string shown;
    for (const int id : ids) shown += (shown.empty() ? "" : "|") + model.name(id);
    return shown;
}

namespace {
// Both prompts as ids, of the same length.
struct Prompts {
    std::vector<int> clean, corrupted;
};
}  // namespace

// The prompts of --clean and --corrupted.
static Prompts read_prompts(const PublishedGpt& model, const Choices& choices) {
    Prompts prompts{model.ids(choices.clean), model.ids(choices.corrupted)};
    require(prompts.corrupted.size() == prompts.clean.size(), "--clean has ", prompts.clean.size(), " tokens, ",
            with_bars(prompts.clean, model), "; --corrupted has ", prompts.corrupted.size(), ", ",
            with_bars(prompts.corrupted, model), "; they must be as long, so that every token has a counterpart");
    return prompts;
}

// Blocks down, tokens of the corrupted prompt across.
static void show_restored(Lesson& lesson, const Matrix& restored, const std::vector<int>& ids, const PublishedGpt& model) {
    std::vector<std::string> tokens, blocks;
    for (const int id : ids) tokens.push_back(model.name(id));
    for (int l = 0; l < restored.rows; ++l) blocks.push_back("block " + text(l));
    lesson.heat("restored: blocks down, tokens across", restored, blocks, tokens);
}

// A row for each token: the most that it restores, and before which block; restored is (L, T).
static std::vector<std::vector<std::string>> largest_by_token(const Matrix& restored, const std::vector<int>& ids,
                                                              const PublishedGpt& model) {
    std::vector<std::vector<std::string>> rows{{"token", "most", "before block"}};
    for (int t = 0; t < restored.cols; ++t) {
        int best = 0;
        for (int l = 0; l < restored.rows; ++l)
            if (restored(l, t) > restored(best, t)) best = l;
        rows.push_back({model.name(ids[t]), fixed(restored(best, t), 3), text(best)});
    }
    return rows;
}

// A published GPT-2 on two prompts of the user: where the difference between them lies, block by block.
static void published(Lesson& lesson, const Choices& choices) {
    lesson.step("Where is the fact, layer by layer?", "one r_l of one token from the clean run", choices.weights);
    const PublishedGpt model =
        read_published_gpt(choices.weights, choices.vocab, choices.merges, choices.model_options.settings());
    const Prompts prompts = read_prompts(model, choices);
    const int T = static_cast<int>(prompts.clean.size());
    patching::ForwardPass clean_run([&] { return gpt::forward(prompts.clean, T, model.w, model.config).logits; });
    patching::ForwardPass corrupted_run([&] { return gpt::forward(prompts.corrupted, T, model.w, model.config).logits; });
    const patching::Kept clean = patching::record(clean_run), corrupted = patching::record(corrupted_run);
    const int right = argmax_row(clean.logits, T - 1), wrong = argmax_row(corrupted.logits, T - 1);
    require(right != wrong, "both prompts are continued by \"", model.name(right),
            "\"; there is no difference to follow: take another fact, or words after it that ask for it");
    const patching::Metric metric = patching::make_metric({right}, {wrong}, T, clean, corrupted);
    const patching::Sizes sizes = patching::sizes_of(gpt::inside(model.w, model.config), 1, T);
    lesson.say("\"", choices.clean, "\" goes on with \"", model.name(right), "\", \"", choices.corrupted, "\" with \"",
               model.name(wrong), "\".");
    lesson.code();
    const Matrix restored = patching::sweep_tokens(corrupted_run, clean, "input", sizes, metric);  // (L, T)
    show_restored(lesson, restored, prompts.corrupted, model);
    lesson.table(largest_by_token(restored, prompts.clean, model));
    lesson.why(
        "0: the corrupted answer stays; 1: the clean one is back. The fact enters where the prompts differ and leaves at the last token.");
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (!choices.weights.empty()) return published(lesson, choices);
    Random random(seed);
    toy::Learned model;
    Experiment e = step_1_two_runs(lesson, model, choices, random);
    const Matrix sweep = step_2_sweep(lesson, e);
    const Moves m = step_3_both(lesson, e);
    const double least = step_4_heads(lesson, e);
    const double elsewhere = step_5_gradient(lesson, e, sweep);
    lesson.say("Next: nn/interpret/integrated_gradients attributes the output to the input.");

    lesson.step("Do the claims hold?");
    lesson.claim_at_most("the swapped symbols restore 1 before block 0; off by", std::abs(m.swapped[0] - 1), 0.02);
    lesson.claim_at_most("the swapped symbols restore 0 before block 1; off by", std::abs(m.swapped[1]), 0.02);
    lesson.claim_at_most("the successors restore 0 before block 0; off by", std::abs(m.successors[0]), 0.02);
    lesson.claim_at_most("the successors restore 1 before block 1; off by", std::abs(m.successors[1] - 1), 0.02);
    lesson.claim_at_most("attention of block 0 at the successors restores 1; off by", std::abs(m.attention_0 - 1), 0.02);
    lesson.claim_at_most("attention of block 1 at the last token restores 1; off by", std::abs(m.attention_1 - 1), 0.02);
    lesson.claim_at_least("least attention of a head of block 1 to the answer", least, 0.5);
    lesson.claim_at_most("gradient estimate where the runs agree", elsewhere, 1e-6);
}

int main(int argc, char** argv) {
    Options options("nn/interpret/activation_patching",
                    "Activation patching: an induction circuit, found by "
                    "interventions.",
                    "5 seconds");
    Choices choices;
    options.add("steps", choices.training.steps, "steps of training", 1, 100'000);
    options.add("texts", choices.texts, "pairs of texts", 1, 10'000);
    options.add("weights", choices.weights, "do not train: ask this checkpoint (safetensors), as published for gpt2");
    options.add("merges", choices.merges, "its merges.txt");
    options.add("vocab", choices.vocab, "its vocab.json");
    options.add("clean", choices.clean, "with --weights: a prompt");
    options.add("corrupted", choices.corrupted, "the same with one fact changed, of as many tokens");
    choices.model_options.declare(options, 4);
    for (const char* const name : {"merges", "vocab", "clean", "corrupted", "heads", "eps", "activation"})
        options.needs(name, "weights");
    for (const char* const name : {"steps", "texts"}) options.excludes(name, "weights");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
