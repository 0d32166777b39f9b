#include "nn/text/decoding.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/base/functions.h"
#include "nn/base/random.h"
#include "nn/training/loss.h"

static const float infinity = std::numeric_limits<float>::infinity();

// --- checking logits ---

// What is wrong with a row of logits; "" when nothing is.
static std::string fault_of(const float* logits, int V) {
    int nans = 0;
    for (int j = 0; j < V; ++j) nans += logits[j] != logits[j];
    if (nans > 0) {
        const float* const first = std::find_if(logits, logits + V, [](float x) { return std::isnan(x); });
        return joined({"the logit of token ", static_cast<int>(first - logits), " is NaN (", nans, " of ", V,
                       " are); look for a NaN or an infinity in the weights"});
    }
    if (max_of(logits, V) == -infinity) return joined({"all ", V, " logits are minus infinity, so that no token can follow"});
    return "";
}

// --- from logits to probabilities ---

// Below this temperature, division would overflow; only the largest logit has a probability long before.
static const float coldest = 1e-30f;

static bool is_greedy(const Sampling& sampling) { return sampling.temperature < coldest; }

// Plus infinity becomes 0 and all other logits minus infinity, so that the tokens at plus infinity are equally likely.
static void resolve_infinity(float* logits, int V) {
    if (max_of(logits, V) != infinity) return;
    for (int j = 0; j < V; ++j) logits[j] = logits[j] == infinity ? 0 : -infinity;
}

static void keep_largest(float* logits, int V) {
    const long best = std::max_element(logits, logits + V) - logits;  // the first, when several are equal
    for (int j = 0; j < V; ++j) logits[j] = j == best ? 0 : -infinity;
}

// Logits below the k-th largest become minus infinity. Finding the k-th needs no sorting.
static void keep_top_k(float* logits, int V, int k) {
    if (k <= 0 || k >= V) return;
    Matrix ordered = Matrix::unset(1, V);
    std::copy(logits, logits + V, ordered.begin());
    std::nth_element(ordered.begin(), ordered.begin() + (k - 1), ordered.end(), std::greater<float>());
    const float smallest_kept = ordered[k - 1];
    for (int j = 0; j < V; ++j) logits[j] = logits[j] < smallest_kept ? -infinity : logits[j];
}

// Subtracts the largest logit first, which does not change the softmax, so that no quotient overflows.
static void apply_temperature(float* logits, int V, float temperature) {
    if (temperature == 1) return;
    const float largest = max_of(logits, V);
    for (int j = 0; j < V; ++j) logits[j] = (logits[j] - largest) / temperature;
}

static void require_share(const float* probabilities, int V, float p) {
    require(V >= 0 && (V == 0 || probabilities != nullptr) && p >= 0, "keep_top_p: a share p of ", p, " of ", V,
            " probabilities; p must be a number from 0 on, and the probabilities must be there");
}

void keep_top_p_textbook(float* probabilities, int V, float p) {
    require_share(probabilities, V, p);
    if (p >= 1) return;
    std::vector<int> order(V);  // ids, likeliest first
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return probabilities[a] > probabilities[b]; });
    double sum = 0;
    for (int rank = 0; rank < V; ++rank) {
        const bool is_needed = rank == 0 || sum < p;
        sum += probabilities[order[rank]];
        if (!is_needed) probabilities[order[rank]] = 0;
    }
}

// The same without sorting: bisects for the probability of the last kept token. Non-negative floats are ordered like their bits
// read as integers, so the bisection runs over integers; each step sums the probabilities above the middle.
static std::uint32_t bits_of(float x) { return std::bit_cast<std::uint32_t>(x); }

static double sum_in_double(const float* x, int count) {
    double lane[16] = {};  // sums side by side, as in nn/base/functions.cpp
    int k = 0;
    for (; k + 16 <= count; k += 16)
        for (int q = 0; q < 16; ++q) lane[q] += x[k + q];
    for (int q = 0; k + q < count; ++q) lane[q] += x[k + q];
    double sum = 0;
    for (const double part : lane) sum += part;
    return sum;
}

// Copies numbers of at least `border` to `above`, the others to `below`; both have room for all.   returns how many are above
static int split_at(float border, const float* x, int count, float* above, float* below) {
    int high = 0, low = 0;
    for (int k = 0; k < count; ++k) {  // writes to both and advances one: no branch to mispredict
        above[high] = x[k];
        below[low] = x[k];
        const bool is_above = x[k] >= border;
        high += is_above;
        low += !is_above;
    }
    return high;
}

namespace {
struct LastKept {
    float probability;  // of the last token that top-p keeps
    double sum_before;  // of all likelier tokens
};
}  // namespace

static LastKept last_kept(const float* probabilities, int V, float p) {
    Matrix possible = Matrix::unset(1, V), above = Matrix::unset(1, V), below = Matrix::unset(1, V);
    // All tokens below this probability together sum to less than 1 - p, so none of them is needed.
    const double needless = (sum_in_double(probabilities, V) - p) / V;
    const float smallest = needless > 0 ? static_cast<float>(0.999 * needless) : 0;  // a margin for rounding
    int count = split_at(smallest, probabilities, V, possible.begin(), below.begin());
    std::uint32_t low = bits_of(infinity), high = 0;  // the answer lies in low ... high
    for (int k = 0; k < count; ++k) {
        low = std::min(low, bits_of(possible[k]));
        high = std::max(high, bits_of(possible[k]));
    }
    double sum_before = 0;
    while (low < high) {
        const std::uint32_t middle = low + (high - low) / 2 + 1;
        const int count_above = split_at(std::bit_cast<float>(middle), possible.begin(), count, above.begin(), below.begin());
        const double sum_above = sum_in_double(above.begin(), count_above);
        if (sum_before + sum_above >= p) {  // those above reach p: the last kept one is among them
            std::swap(possible, above);
            count = count_above;
            low = middle;
        } else {  // they are all kept, and the last kept one is below
            std::swap(possible, below);
            count -= count_above;
            high = middle - 1;
            sum_before += sum_above;
        }
    }
    return {std::bit_cast<float>(low), sum_before};
}

void keep_top_p(float* probabilities, int V, float p) {
    require_share(probabilities, V, p);
    if (p >= 1 || V == 0) return;
    const LastKept last = last_kept(probabilities, V, p);
    for (int j = 0; j < V; ++j) probabilities[j] = probabilities[j] < last.probability ? 0 : probabilities[j];
    double sum = last.sum_before;
    bool is_first = true;
    for (int j = 0; j < V; ++j) {
        if (probabilities[j] != last.probability) continue;
        const bool is_needed = is_first || sum < p;  // of equally likely tokens the smaller id first
        sum += probabilities[j];
        if (!is_needed) probabilities[j] = 0;
        is_first = false;
    }
}

static void make_sum_one(float* probabilities, int V) {
    const float total = static_cast<float>(sum_in_double(probabilities, V));
    for (int j = 0; j < V; ++j) probabilities[j] /= total;
}

static void check(const Sampling& sampling) {
    require(sampling.temperature >= 0 && sampling.temperature < infinity, "sampling: the temperature is ", sampling.temperature,
            ", it must be finite and not below 0 (0 = greedy)");
    require(sampling.top_k >= 0, "sampling: top_k is ", sampling.top_k, ", it cannot be below 0 (0 keeps all tokens)");
    require(sampling.top_p >= 0 && sampling.top_p <= 1, "sampling: top_p is ", sampling.top_p,
            ", it lies between 0 and 1 (1 keeps all tokens)");
}

Matrix sampling_probabilities(const Matrix& logits, const Sampling& sampling) {
    check(sampling);
    Matrix probabilities = logits;  // (n, V)
    const int V = logits.cols;
    for (int i = 0; i < logits.rows; ++i) {
        const std::string fault = fault_of(logits.row(i), V);
        require(fault.empty(), "sampling: row ", i, ": ", fault);
        float* const row = probabilities.row(i);
        resolve_infinity(row, V);
        if (is_greedy(sampling)) {
            keep_largest(row, V);
            softmax_in_place(row, V);
        } else {
            keep_top_k(row, V, sampling.top_k);  // temperature does not change the order, so this may come first
            apply_temperature(row, V, sampling.temperature);
            softmax_in_place(row, V);
            keep_top_p(row, V, sampling.top_p);
            if (sampling.top_p < 1) make_sum_one(row, V);
        }
    }
    return probabilities;
}

int draw_token(const Matrix& probabilities, int row, float u) {
    require(row >= 0 && row < probabilities.rows && u >= 0 && u < 1, "draw_token: row ", row, " of ", probabilities,
            " with u = ", u, ", u lies in [0, 1)");
    return draw(probabilities.row(row), probabilities.cols, u);
}

// log of the sum of exp(logit) over a valid row without plus infinity; log p(token) = logit - this.
static double log_total(const float* logits, int V) {
    Matrix exponentials = Matrix::unset(1, V);  // exp(logit - largest); only their sum is used
    const float largest = max_of(logits, V);
    return largest + std::log(static_cast<double>(exp_of(logits, largest, exponentials.begin(), V)));
}

// log p(token) of all tokens of one row
static std::vector<double> log_probabilities(const float* logits, int V) {
    std::vector<float> row(logits, logits + V);
    resolve_infinity(row.data(), V);
    const double total = log_total(row.data(), V);
    std::vector<double> log_p(V);
    for (int j = 0; j < V; ++j) log_p[j] = row[j] - total;
    return log_p;
}

double log_probability(const Matrix& logits, const std::vector<int>& labels) {
    require(static_cast<int>(labels.size()) == logits.rows, "log_probability: ", labels.size(), " labels for the rows of ",
            logits);
    double sum = 0;
    for (int i = 0; i < logits.rows; ++i) {
        if (labels[i] == ignored_label) continue;
        require(labels[i] >= 0 && labels[i] < logits.cols, "log_probability: label ", labels[i], " of row ", i, " is not one of ",
                logits.cols, " tokens, nor ", ignored_label, " (ignored)");
        const std::string fault = fault_of(logits.row(i), logits.cols);
        require(fault.empty(), "log_probability: row ", i, ": ", fault);
        sum += log_probabilities(logits.row(i), logits.cols)[labels[i]];
    }
    return sum;
}

// --- from one token to a text ---

bool ends_in_repetition(const std::vector<int>& ids, int times, int longest) {
    if (times < 2) return false;
    const int size = static_cast<int>(ids.size());
    for (int count = 1; count <= longest && count * times <= size; ++count)
        if (std::equal(ids.end() - count * (times - 1), ids.end(), ids.end() - count * times)) return true;
    return false;
}

bool ends_text(int id, const Limits& limits) {
    return id == limits.end_of_text ||
           std::find(limits.other_ends.begin(), limits.other_ends.end(), id) != limits.other_ends.end();
}

// written  at least one token
static bool is_finished(const std::vector<int>& written, const Limits& limits) {
    return ends_text(written.back(), limits) || ends_in_repetition(written, limits.repetitions);
}

static void check(const char* place, const Limits& limits) {
    require(limits.new_tokens >= 0, place, ": ", limits.new_tokens, " new tokens, there cannot be fewer than 0");
    require(limits.end_of_text >= -1, place, ": the end of text is token ", limits.end_of_text,
            ", it is one of the vocabulary, or -1 when there is none");
    for (const int end : limits.other_ends)
        require(end >= 0, place, ": another end of text is token ", end, ", it must be one of the vocabulary");
    require(limits.repetitions >= 0, place, ": an end after ", limits.repetitions,
            " repetitions, there cannot be fewer than 0 (0 = never)");
}

// Checks the shape of a reader's logits.
static void check_answer(const char* place, const Matrix& logits, int sequences, const Limits& limits) {
    require(logits.rows == sequences && logits.cols > 0, place, ": the reader gave logits ", logits, " for ", sequences,
            " sequences");
    require(limits.end_of_text < logits.cols, place, ": the end of text is token ", limits.end_of_text, ", the model knows ",
            logits.cols, " (-1 = none)");
    for (const int end : limits.other_ends)
        require(end < logits.cols, place, ": another end of text is token ", end, ", the model knows ", logits.cols);
}

std::vector<std::vector<int>> generate(const TokenBatch& prompts, TokenReader& reader, const Limits& limits,
                                       const Sampling& sampling, const Matrix& draws, const TokenWatcher& watcher) {
    require_fits("generate", prompts);
    check(sampling);
    const int B = prompts.sequences, T = prompts.length;
    for (int b = 0; b < B; ++b)
        require(prompts.is_token(b, T - 1), "generate: prompt ", b,
                " ends in padding, and what follows would follow that; pad on the left");
    check("generate", limits);
    const bool greedy = is_greedy(sampling);
    require(greedy || (draws.rows == B && draws.cols == limits.new_tokens), "generate: draws are ", draws, ", ", B,
            " prompts and ", limits.new_tokens, " new tokens need (", B, ", ", limits.new_tokens, ")");
    std::vector<std::vector<int>> written(B);
    std::vector<bool> finished(B, false);
    TokenBatch next = prompts;  // first the prompts, then one token of each sequence
    for (int t = 0; t < limits.new_tokens; ++t) {
        const Matrix logits = reader.read(next);  // (B, V)
        check_answer("generate", logits, B, limits);
        // Finished sequences are fed token 0; their output is ignored.
        next = {.sequences = B, .length = 1, .ids = std::vector<int>(B, 0), .mask = {}};
        for (int b = 0; b < B; ++b) {
            if (finished[b]) continue;
            const std::string fault = fault_of(logits.row(b), logits.cols);
            require(fault.empty(), "generate: sequence ", b, ", new token ", t, ": ", fault);
            const int id = greedy ? argmax_row(logits, b)
                                  : draw_token(sampling_probabilities(slice_rows(logits, b, 1), sampling), 0, draws(b, t));
            next.ids[b] = id;
            written[b].push_back(id);
            finished[b] = is_finished(written[b], limits);
            if (watcher) watcher(b, id, static_cast<float>(std::exp(log_probabilities(logits.row(b), logits.cols)[id])));
        }
        if (std::find(finished.begin(), finished.end(), false) == finished.end()) break;
    }
    return written;
}

std::vector<std::vector<int>> generate_greedily(const TokenBatch& prompts, TokenReader& reader, const Limits& limits) {
    return generate(prompts, reader, limits, {.temperature = 0}, {});
}

// --- beam search ---

double beam_score(const Beam& beam, float alpha) {
    require(alpha >= 0 && alpha < infinity, "beam_score: alpha is ", alpha, ", it must be finite and not below 0");
    return beam.log_probability / std::pow(std::max<double>(1, static_cast<double>(beam.ids.size())), alpha);
}

namespace {
// A beam and one more token.
struct Extension {
    int beam;
    int id;
    double log_probability;  // of the whole
};
}  // namespace

// The tokens with the `count` largest logits, best first; of equal ones the smaller id first.
static std::vector<int> largest_logits(const float* logits, int V, int count) {
    std::vector<int> ids(V);
    std::iota(ids.begin(), ids.end(), 0);
    const int kept = std::min(count, V);
    std::partial_sort(ids.begin(), ids.begin() + kept, ids.end(),
                      [logits](int a, int b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
    ids.resize(kept);
    return ids;
}

// The `count` likeliest extensions of all beams by one token, best first. Row i of the logits belongs to beam i. Ties: the
// higher-ranking beam first, then the larger logit (the sum may round a difference away), then the smaller id.
static std::vector<Extension> best_extensions(const std::vector<Beam>& beams, const Matrix& logits, int count) {
    std::vector<Extension> all;
    for (int i = 0; i < logits.rows; ++i) {
        const std::vector<double> log_p = log_probabilities(logits.row(i), logits.cols);  // (V)
        for (const int id : largest_logits(logits.row(i), logits.cols, count))
            if (log_p[id] > -infinity) all.push_back({i, id, beams[i].log_probability + log_p[id]});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Extension& a, const Extension& b) { return a.log_probability > b.log_probability; });
    if (static_cast<int>(all.size()) > count) all.resize(count);
    return all;
}

static void keep_best(std::vector<Beam>& beams, int width, float alpha) {
    std::stable_sort(beams.begin(), beams.end(),
                     [alpha](const Beam& a, const Beam& b) { return beam_score(a, alpha) > beam_score(b, alpha); });
    if (static_cast<int>(beams.size()) > width) beams.resize(width);
}

std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, TokenReader& reader, const Limits& limits, float alpha) {
    const int length = static_cast<int>(prompt.size());
    require(width > 0 && length > 0, "beam_search: ", width, " beams for a prompt of ", length,
            " tokens, both must be at least 1");
    check("beam_search", limits);
    require(alpha >= 0 && alpha < infinity, "beam_search: alpha is ", alpha, ", it must be finite and not below 0");
    // Each beam has at most one extension by each token that ends a text, so among these at least `width` continue.
    const double enough = (2.0 + static_cast<double>(limits.other_ends.size())) * width;
    const int most = static_cast<int>(std::min(enough, static_cast<double>(std::numeric_limits<int>::max())));
    std::vector<Beam> beams(1), finished;  // begins with one empty beam
    TokenBatch next = equal_batch(prompt, length);
    for (int t = 0; t < limits.new_tokens && !beams.empty(); ++t) {
        const Matrix logits = reader.read(next);  // (beams, V)
        check_answer("beam_search", logits, static_cast<int>(beams.size()), limits);
        for (int i = 0; i < logits.rows; ++i) {
            const std::string fault = fault_of(logits.row(i), logits.cols);
            require(fault.empty(), "beam_search: beam ", i, ", new token ", t, ": ", fault);
        }
        const std::vector<Extension> extensions = best_extensions(beams, logits, most);
        std::vector<Beam> longer;
        std::vector<int> parents;
        next = {.sequences = 0, .length = 1, .ids = {}, .mask = {}};
        for (int rank = 0; rank < static_cast<int>(extensions.size()); ++rank) {
            const Extension& extension = extensions[rank];
            Beam beam{.ids = beams[extension.beam].ids, .log_probability = extension.log_probability};
            beam.ids.push_back(extension.id);
            beam.finished = is_finished(beam.ids, limits);
            if (beam.finished) {
                if (rank < width) finished.push_back(std::move(beam));  // lower-ranking ones are dropped
            } else if (next.sequences < width) {
                longer.push_back(std::move(beam));
                parents.push_back(extension.beam);
                next.ids.push_back(extension.id);
                ++next.sequences;
            }
        }
        keep_best(finished, width, alpha);
        beams = std::move(longer);
        if (!beams.empty() && t + 1 < limits.new_tokens) reader.select(parents);
    }
    finished.insert(finished.end(), beams.begin(), beams.end());
    keep_best(finished, width, alpha);
    return finished;
}
