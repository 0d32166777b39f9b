#include "nn/interpret/activation_patching.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"

namespace activation_patching {

// --- keeping and replacing ---

const Matrix& Kept::step(int block, const std::string& name) const { return step_of(steps, block, name, "activation_patching"); }

ForwardPass::ForwardPass(std::function<Var()> run) : run(std::move(run)) {
    require(static_cast<bool>(this->run), "activation_patching: no run is given; give a function that runs the model once");
}

namespace {
struct KeepAll : Hook {
    Kept& kept;
    explicit KeepAll(Kept& kept) : kept(kept) {}
    Var at(const StepId& step, const Var& value) override {
        kept.steps.insert_or_assign({step.block, step.full_name()}, value.value());
        return value;
    }
};
}  // namespace

Kept record(Run& run) {
    const NoTape no_tape;
    Kept kept;
    const KeepAll hook(kept);
    kept.logits = run.logits().value();
    return kept;
}

Patch::Patch(std::vector<Site> sites, const Kept& from) : sites(std::move(sites)), from(from) {
    for (const Site& site : this->sites) from.step(site.block, site.step);
}

// Patches a copy, so that other handles keep their value. The copy is a constant: no gradient flows through a patch.
Var Patch::at(const StepId& step, const Var& value) {
    Matrix patched;
    for (const Site& site : sites) {
        if (site.block != step.block || !step.is(site.step)) continue;
        if (patched.empty()) patched = value.value();
        const Matrix& other = from.step(site.block, site.step);
        require(same_shape(other, patched), "activation_patching: step ", site.step, " of block ", site.block, " is ", patched,
                ", in the other run it was ", other, "; both runs must have prompts of the same length");
        const int cols = site.cols > 0 ? site.cols : patched.cols;
        require(site.first_col >= 0 && site.first_col <= patched.cols - cols, "activation_patching: columns ", site.first_col,
                " to ", site.first_col + cols, " of step ", site.step, ", which is ", patched, "; they are counted from 0");
        const int count = site.rows.empty() ? patched.rows : static_cast<int>(site.rows.size());
        for (int i = 0; i < count; ++i) {
            const int row = site.rows.empty() ? i : site.rows[i];
            require(row >= 0 && row < patched.rows, "activation_patching: row ", row, " of step ", site.step, ", which is ",
                    patched, "; they are counted from 0");
            std::copy_n(other.row(row) + site.first_col, cols, patched.row(row) + site.first_col);
        }
    }
    return patched.empty() ? value : Var(std::move(patched));
}

// --- the sites of a model: where an activation can be patched ---

Sizes sizes_of(const Inside& inside, int sequences, int length) {
    return {sequences, length, static_cast<int>(inside.blocks.size()), inside.options.heads, inside.stack};
}

static void check(const Sizes& sizes) {
    require(sizes.sequences > 0 && sizes.length > 0 && sizes.heads > 0 && sizes.depth > 0,
            "activation_patching: ", sizes.sequences, " sequences of ", sizes.length, " tokens, ", sizes.depth, " blocks of ",
            sizes.heads, " heads: all must be at least 1");
}

static void check_token(const Sizes& sizes, int token) {
    check(sizes);
    require(token >= 0 && token < sizes.length, "activation_patching: token ", token, " of ", sizes.length,
            ", they are counted from 0");
}

std::vector<int> rows_of_token(const Sizes& sizes, int token) {
    check_token(sizes, token);
    std::vector<int> rows;
    for (int b = 0; b < sizes.sequences; ++b) rows.push_back(b * sizes.length + token);
    return rows;
}

// "query", or "cross query": whether the heads of an attention lie side by side in this step; in "weights" they are stacked.
static bool has_heads(const std::string& step) {
    const std::string name = step.substr(step.rfind(' ') + 1);
    for (const char* const known : {"query", "key", "value", "context", "weights"})
        if (name == known) return true;
    return false;
}

Site head_site(const Sizes& sizes, const std::string& step, int block, int head, int width, int token) {
    check(sizes);
    if (token >= 0) check_token(sizes, token);
    require(has_heads(step), "activation_patching: step ", step,
            " has no heads; only query, key, value, context and weights have");
    require(block >= 0 && block < sizes.depth && head >= 0 && head < sizes.heads, "activation_patching: head ", head,
            " of block ", block, ", there are ", sizes.depth, " blocks of ", sizes.heads, " heads, counted from 0");
    require(step == "weights" || (width > 0 && width % sizes.heads == 0), "activation_patching: step ", step, " is ", width,
            " wide, ", sizes.heads, " heads do not divide it; only query, key, value and context have heads side by side");
    Site site{.block = block, .step = sizes.step(step)};
    if (step == "weights") {  // (B * H * T, T): the rows of this head
        for (int b = 0; b < sizes.sequences; ++b)
            for (int t = 0; t < sizes.length; ++t)
                if (token < 0 || t == token) site.rows.push_back((b * sizes.heads + head) * sizes.length + t);
        return site;
    }
    site.cols = width / sizes.heads;
    site.first_col = head * site.cols;
    if (token >= 0) site.rows = rows_of_token(sizes, token);
    return site;
}

// --- the metric ---

static void require_answers(const std::vector<int>& right, const std::vector<int>& wrong, const Matrix& logits) {
    require(wrong.size() == right.size(), "activation_patching: ", right.size(), " right and ", wrong.size(),
            " wrong answers; each prompt needs both");
    for (std::size_t b = 0; b < right.size(); ++b)
        require(std::min(right[b], wrong[b]) >= 0 && std::max(right[b], wrong[b]) < logits.cols, "activation_patching: answers ",
                right[b], " and ", wrong[b], " of prompt ", b, ", there are ", logits.cols, " tokens, counted from 0");
}

static void check(const Metric& metric, const Matrix& logits) {
    require(metric.length > 0 && logits.rows == static_cast<long>(metric.right.size()) * metric.length,
            "activation_patching: logits ", logits, " for ", metric.right.size(), " prompts of ", metric.length,
            " tokens; each token needs a row");
    require_answers(metric.right, metric.wrong, logits);
}

std::vector<float> Metric::differences(const Matrix& logits) const {
    check(*this, logits);
    std::vector<float> result;
    for (std::size_t b = 0; b < right.size(); ++b) {
        const int row = (static_cast<int>(b) + 1) * length - 1;
        result.push_back(logits(row, right[b]) - logits(row, wrong[b]));
    }
    return result;
}

Var Metric::mean_difference(const Var& logits) const {
    check(*this, logits.value());
    std::vector<int> last_rows;
    for (std::size_t b = 0; b < right.size(); ++b) last_rows.push_back((static_cast<int>(b) + 1) * length - 1);
    const Var last = gather_rows(logits, last_rows);              // (B, V)
    return mean(subtract(pick(last, right), pick(last, wrong)));  // (1, 1)
}

static double mean_of(const std::vector<float>& numbers) {
    double sum = 0;
    for (const float x : numbers) sum += x;
    return sum / static_cast<double>(numbers.size());
}

float Metric::of(const Matrix& logits) const {
    require(std::isfinite(clean) && std::isfinite(corrupted) && clean != corrupted, "activation_patching: a metric from ",
            corrupted, " in the corrupted run to ", clean, " in the clean one; the two must differ, make_metric measures them");
    return static_cast<float>((mean_of(differences(logits)) - corrupted) / (clean - corrupted));
}

Metric make_metric(const std::vector<int>& right, const std::vector<int>& wrong, int length, const Kept& clean,
                   const Kept& corrupted) {
    const int B = static_cast<int>(right.size());
    require(
        B > 0 && wrong.size() == right.size() && clean.logits.rows == B * length && same_shape(clean.logits, corrupted.logits),
        "activation_patching: ", right.size(), " right and ", wrong.size(), " wrong answers for logits ", clean.logits, " and ",
        corrupted.logits, " of prompts of ", length, " tokens; each prompt needs both answers, each of its tokens a row");
    require_finite(clean.logits, "activation_patching", "logits of the clean run");
    require_finite(corrupted.logits, "activation_patching", "logits of the corrupted run");
    require_answers(right, wrong, clean.logits);
    Metric metric{.right = right, .wrong = wrong, .length = length};
    metric.clean = mean_of(metric.differences(clean.logits));
    metric.corrupted = mean_of(metric.differences(corrupted.logits));
    require(metric.clean != metric.corrupted, "activation_patching: both runs prefer the right answer by ",
            static_cast<float>(metric.clean), "; there is nothing to restore, corrupt the prompts where it matters");
    return metric;
}

// --- sweeps ---

static float metric_with(Run& run, const std::vector<Site>& sites, const Kept& from, const Metric& metric) {
    const NoTape no_tape;
    const Patch patch(sites, from);
    return metric.of(run.logits().value());
}

// Throws unless the other run has this step in every block, with a row for each token.
static void check_rows_of_tokens(const Kept& from, const std::string& step, const Sizes& sizes) {
    check(sizes);
    for (int l = 0; l < sizes.depth; ++l) {
        const Matrix& value = from.step(l, sizes.step(step));
        require(value.rows == sizes.sequences * sizes.length, "activation_patching: step ", step, " of block ", l, " is ", value,
                ", which is not a row for each of ", sizes.sequences, " sequences of ", sizes.length,
                " tokens; take a step that has one, and the sizes of the run");
    }
}

// The width of a step in which heads lie side by side.
//   throws  when several query heads share one head of this step (grouped-query attention), whose columns are not one head's
static int width_of_heads(const Kept& from, const std::string& step, int block, const Sizes& sizes) {
    if (!has_heads(step)) return 0;  // head_site refuses it
    const Matrix& patched = from.step(block, sizes.step(step));
    const int width = patched.cols;
    const long rows = static_cast<long>(sizes.sequences) * sizes.length * (step == "weights" ? sizes.heads : 1);
    require(patched.rows == rows, "activation_patching: step ", step, " of block ", block, " is ", patched, ", ", sizes.sequences,
            " sequences of ", sizes.length, " tokens and ", sizes.heads, " heads make ", rows,
            " rows; take the sizes of the run");
    const std::size_t name = step.rfind(' ') + 1;
    const bool is_key = step.substr(name) == "key", is_value = step.substr(name) == "value";
    if (!is_key && !is_value) return width;
    const std::string own = step.substr(0, name) + (is_key ? "query" : "context");
    const int width_of_all = from.step(block, sizes.step(own)).cols;
    require(width == width_of_all, "activation_patching: step ", step, " of block ", block, " is ", width, " wide and ", own, " ",
            width_of_all, ": heads share its columns; patch ", own, ", which has columns for each");
    return width;
}

Matrix sweep_tokens(Run& base, const Kept& from, const std::string& step, const Sizes& sizes, const Metric& metric) {
    check_rows_of_tokens(from, step, sizes);
    Matrix result(sizes.depth, sizes.length);
    for (int l = 0; l < sizes.depth; ++l)
        for (int t = 0; t < sizes.length; ++t)
            result(l, t) =
                metric_with(base, {{.block = l, .step = sizes.step(step), .rows = rows_of_token(sizes, t)}}, from, metric);
    return result;
}

Matrix sweep_heads(Run& base, const Kept& from, const std::string& step, const Sizes& sizes, const Metric& metric) {
    check(sizes);
    Matrix result(sizes.depth, sizes.heads);
    for (int l = 0; l < sizes.depth; ++l)
        for (int h = 0; h < sizes.heads; ++h)
            result(l, h) = metric_with(base, {head_site(sizes, step, l, h, width_of_heads(from, step, l, sizes))}, from, metric);
    return result;
}

Matrix sweep_heads_and_tokens(Run& base, const Kept& from, const std::string& step, const Sizes& sizes, const Metric& metric) {
    check(sizes);
    Matrix result(sizes.depth * sizes.length, sizes.heads);
    for (int l = 0; l < sizes.depth; ++l)
        for (int t = 0; t < sizes.length; ++t)
            for (int h = 0; h < sizes.heads; ++h) {
                const int width = width_of_heads(from, step, l, sizes);
                result(l * sizes.length + t, h) = metric_with(base, {head_site(sizes, step, l, h, width, t)}, from, metric);
            }
    return result;
}

// --- path patching ---

// Queries, keys and values (and MLP outputs, if frozen) of the blocks below `end`.
static std::vector<Site> frozen_sites(int end, bool mlps_frozen, const Sizes& sizes) {
    std::vector<Site> sites;
    for (int l = 0; l < end; ++l) {
        for (const char* const step : {"query", "key", "value"}) sites.push_back({.block = l, .step = sizes.step(step)});
        if (mlps_frozen) sites.push_back({.block = l, .step = sizes.step("mlp_output")});
    }
    return sites;
}

// The clean run in which one head writes its corrupted output at the last token and all frozen sites stay clean.
static Kept run_with_sender(Run& clean_run, const Kept& clean, const Kept& corrupted, const std::vector<Site>& frozen,
                            const Site& sender) {
    const Patch hold(frozen, clean);
    const Patch send({sender}, corrupted);
    return record(clean_run);
}

Matrix path_patching(Run& clean_run, const Kept& clean, const Kept& corrupted, Receiver receiver, bool mlps_frozen,
                     const Sizes& sizes, const Metric& metric) {
    check(sizes);
    require(receiver.block < sizes.depth, "path_patching: the receiver is in block ", receiver.block, " of ", sizes.depth,
            ", counted from 0; below 0 it is the residual stream after the last");
    const bool to_stream = receiver.block < 0;
    const int senders = to_stream ? sizes.depth : receiver.block, last = sizes.length - 1;
    const std::vector<Site> frozen = frozen_sites(senders, mlps_frozen, sizes);
    const Site receives = to_stream
                              ? Site{.block = sizes.depth - 1, .step = sizes.step("output"), .rows = rows_of_token(sizes, last)}
                              : head_site(sizes, "query", receiver.block, receiver.head,
                                          clean.step(receiver.block, sizes.step("query")).cols, last);
    Matrix result(senders, sizes.heads);
    for (int l = 0; l < senders; ++l)
        for (int h = 0; h < sizes.heads; ++h) {
            const Site sender = head_site(sizes, "context", l, h, clean.step(l, sizes.step("context")).cols, last);
            const Kept received = run_with_sender(clean_run, clean, corrupted, frozen, sender);
            result(l, h) = metric_with(clean_run, {receives}, received, metric);
        }
    return result;
}

// --- causal tracing ---

Var EmbeddingNoise::at(const StepId& step, const Var& value) {
    if (!step.is("token_embeddings")) return value;
    require(length > 0, "activation_patching: noise on sequences of ", length, " tokens, there must be at least 1");
    const int copies = value.rows() / length, tokens = noise.rows / std::max(1, copies);
    require(value.rows() % length == 0 && noise.rows == copies * tokens && noise.cols == value.cols() && begin >= 0 &&
                begin + tokens <= length,
            "activation_patching: noise ", noise, " from token ", begin, " on, for word embeddings ", value.value(),
            " of sequences of ", length,
            " tokens; each copy needs the same number of noisy rows, as wide as the embeddings and within the prompt");
    Matrix noisy(value.rows(), value.cols());
    for (int s = 0; s < copies; ++s)
        for (int t = 0; t < tokens; ++t) std::copy_n(noise.row(s * tokens + t), noise.cols, noisy.row(s * length + begin + t));
    return add(value, noisy);
}

// The values of the single prompt, repeated for every copy.
static Kept repeated(const Kept& clean, const std::string& step, const Sizes& sizes) {
    Kept result;
    for (int l = 0; l < sizes.depth; ++l) {
        const Var one = clean.step(l, sizes.step(step));
        result.steps.insert({{l, sizes.step(step)}, concat_rows(std::vector<Var>(sizes.sequences, one)).value()});
    }
    return result;
}

// The blocks whose step is restored together with that of block l: only l for "output".
static std::vector<int> window_of(const std::string& step, int l, int window, int depth) {
    if (step == "output") return {l};
    const int all = std::min(window, 2 * depth);  // more reach no further block
    std::vector<int> blocks;
    for (int j = std::max(0, l - all / 2); j < std::min(depth, l + (all + 1) / 2); ++j) blocks.push_back(j);
    return blocks;
}

Matrix causal_trace(Run& copies, const Kept& clean, const std::string& step, int window, int answer, const Sizes& sizes) {
    check(sizes);
    require(window >= 1, "causal_trace: a window of ", window, " blocks, it must be at least 1");
    const NoTape no_tape;
    const Kept values = repeated(clean, step, sizes);
    const std::vector<int> last_rows = rows_of_token(sizes, sizes.length - 1);
    Matrix result(sizes.length, sizes.depth);
    for (int t = 0; t < sizes.length; ++t)
        for (int l = 0; l < sizes.depth; ++l) {
            std::vector<Site> sites;
            for (const int j : window_of(step, l, window, sizes.depth))
                sites.push_back({.block = j, .step = sizes.step(step), .rows = rows_of_token(sizes, t)});
            const Patch patch(sites, values);
            const Matrix p = softmax_rows(gather_rows(copies.logits(), last_rows)).value();  // (S, V)
            require(answer >= 0 && answer < p.cols, "causal_trace: the answer is token ", answer, ", there are ", p.cols,
                    ", counted from 0");
            require_finite(p, "causal_trace", "probabilities");
            double sum = 0;
            for (int s = 0; s < p.rows; ++s) sum += p(s, answer);
            result(t, l) = static_cast<float>(sum / p.rows);
        }
    return result;
}

// --- attribution patching ---

std::vector<Matrix> gradients_of_inputs(Run& corrupted_run, const Sizes& sizes, const Metric& metric) {
    check(sizes);
    const Tape tape;
    Recording recording;
    const Var difference = metric.mean_difference(corrupted_run.logits());
    backward(scale(difference, static_cast<float>(1 / (metric.clean - metric.corrupted))));
    std::vector<Matrix> gradients;
    for (int l = 0; l < sizes.depth; ++l) gradients.push_back(recording.step(l, sizes.step("input")).gradient());
    return gradients;
}

Matrix gradient_patch(const std::vector<Matrix>& gradients, const Kept& clean, const Kept& corrupted, const Sizes& sizes) {
    check(sizes);
    require(static_cast<int>(gradients.size()) == sizes.depth, "gradient_patch: gradients of ", gradients.size(),
            " blocks, there are ", sizes.depth, "; each needs one, see gradients_of_inputs");
    Matrix result(sizes.depth, sizes.length);
    for (int l = 0; l < sizes.depth; ++l) {
        const Matrix &good = clean.step(l, sizes.step("input")), &bad = corrupted.step(l, sizes.step("input")), &g = gradients[l];
        require(same_shape(good, bad) && same_shape(good, g) && good.rows == sizes.sequences * sizes.length,
                "gradient_patch: block ", l, " has inputs ", good, " and ", bad, " and a gradient ", g,
                "; all must have a row for each of ", sizes.sequences, " sequences of ", sizes.length, " tokens");
        for (int t = 0; t < sizes.length; ++t) {
            double sum = 0;
            for (const int row : rows_of_token(sizes, t))
                for (int e = 0; e < g.cols; ++e) sum += (static_cast<double>(good(row, e)) - bad(row, e)) * g(row, e);
            result(l, t) = static_cast<float>(sum);
        }
    }
    return result;
}

}  // namespace activation_patching
