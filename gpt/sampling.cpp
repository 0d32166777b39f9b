#include "gpt/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "nn/autograd/operations.h"

namespace gpt {

static const float nothing = -std::numeric_limits<float>::infinity();

// --- from logits to probabilities ---

// Logits below the k-th largest become minus infinity. Only the k-th has to be found: that needs no sorting.
static void keep_top_k(std::vector<float>& logits, int k) {
    if (k <= 0 || k >= static_cast<int>(logits.size())) return;
    std::vector<float> ordered = logits;
    std::nth_element(ordered.begin(), ordered.begin() + (k - 1), ordered.end(), std::greater<float>());
    const float smallest_kept = ordered[k - 1];
    for (float& logit : logits)
        if (logit < smallest_kept) logit = nothing;
}

// Words from the likeliest down until their probabilities together reach p; the word that reaches it is kept.
static void keep_top_p(std::vector<float>& logits, float p) {
    if (p >= 1) return;
    const int V = static_cast<int>(logits.size());
    std::vector<float> probabilities = logits;
    softmax_in_place(probabilities.data(), V);
    std::vector<int> order(V);
    std::iota(order.begin(), order.end(), 0);
    const auto likelier = [&](int a, int b) {
        return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
    };
    double sum = 0;  // of the words in order[0 ... kept - 1]
    int kept = 0;
    for (int batch = 32; kept == 0 || (kept < V && sum < p); batch *= 4) {
        const int end = std::min(V, kept + batch);  // the next best words, in order; the many unlikely ones stay unsorted
        std::partial_sort(order.begin() + kept, order.begin() + end, order.end(), likelier);
        while (kept < end && (kept == 0 || sum < p)) sum += probabilities[order[kept++]];
    }
    for (int rank = kept; rank < V; ++rank) logits[order[rank]] = nothing;
}

static void make_greedy(std::vector<float>& logits) {
    const auto best = std::max_element(logits.begin(), logits.end());
    for (auto logit = logits.begin(); logit != logits.end(); ++logit) *logit = logit == best ? 0 : nothing;
}

Matrix sampling_probabilities(const Matrix& logits, const Sampling& sampling) {
    require(sampling.temperature >= 0, "sampling: the temperature is ", sampling.temperature, ", it cannot be below 0");
    require(sampling.top_k >= 0, "sampling: top_k is ", sampling.top_k, ", it cannot be below 0 (0 keeps all words)");
    require(sampling.top_p >= 0 && sampling.top_p <= 1, "sampling: top_p is ", sampling.top_p,
            ", it lies between 0 and 1 (1 keeps all words)");
    Matrix probabilities = Matrix::unset(logits.rows, logits.cols);
    for (int i = 0; i < logits.rows; ++i) {
        std::vector<float> row(logits.row(i), logits.row(i + 1));
        if (sampling.temperature > 0) {
            for (float& logit : row) logit /= sampling.temperature;
            keep_top_k(row, sampling.top_k);
            keep_top_p(row, sampling.top_p);
        } else {
            make_greedy(row);
        }
        softmax_in_place(row.data(), logits.cols);
        std::copy(row.begin(), row.end(), probabilities.row(i));
    }
    return probabilities;
}

int draw_token(const Matrix& probabilities, int row, float u) {
    require(row >= 0 && row < probabilities.rows && u >= 0 && u < 1, "draw_token: row ", row, " of ", probabilities,
            " with u = ", u, ", u lies in [0, 1)");
    return draw(probabilities.row(row), probabilities.cols, u);
}

// --- writing ---

bool ends_in_repetition(const std::vector<int>& ids, int times, int longest) {
    if (times < 2) return false;
    const int size = static_cast<int>(ids.size());
    for (int count = 1; count <= longest && count * times <= size; ++count)
        if (std::equal(ids.end() - count * (times - 1), ids.end(), ids.end() - count * times)) return true;
    return false;
}

// log p(word) of one row of logits
static float log_probability_of(const Matrix& logits, int row, int id) {
    const float* const s = logits.row(row);
    const float largest = *std::max_element(s, s + logits.cols);
    double total = 0;
    for (int j = 0; j < logits.cols; ++j) total += std::exp(s[j] - largest);
    return s[id] - largest - static_cast<float>(std::log(total));
}

static bool is_finished(const std::vector<int>& written, const Limits& limits) {
    if (written.empty()) return false;
    return written.back() == limits.end_of_text || ends_in_repetition(written, limits.repetitions);
}

std::vector<std::vector<int>> generate(const std::vector<int>& prompts, int length, const Weights& w, const Config& config,
                                       const Limits& limits, const Sampling& sampling, const Matrix& draws,
                                       const Watcher& watcher) {
    const int total = static_cast<int>(prompts.size());
    require(length > 0 && total > 0 && total % length == 0, "generate: ", total, " tokens are not a whole number of prompts of ",
            length);
    require(limits.new_tokens >= 0 && length + limits.new_tokens - 1 <= config.positions, "generate: a prompt of ", length,
            " tokens and ", limits.new_tokens, " new ones exceed the ", config.positions, " positions of this model");
    const int B = total / length;
    require(sampling.temperature == 0 || (draws.rows == B && draws.cols == limits.new_tokens), "generate: draws are ",
            draws, ", ", B, " prompts and ", limits.new_tokens, " new tokens need (", B, ", ", limits.new_tokens, ")");
    std::vector<std::vector<int>> written(B);
    std::vector<bool> finished(B, false);
    if (limits.new_tokens == 0) return written;

    Cache cache = make_cache(config, B, length + limits.new_tokens - 1);  // the last new word is never read
    std::vector<int> next = prompts;  // first all of the prompts, then one word of each sequence
    for (int t = 0; t < limits.new_tokens; ++t) {
        const Matrix logits = next_logits(next, w, config, cache);  // (B, V)
        const Matrix probabilities = sampling.temperature == 0 ? Matrix() : sampling_probabilities(logits, sampling);
        next.assign(B, 0);  // a finished sequence goes on with word 0, and nobody listens
        for (int b = 0; b < B; ++b) {
            if (finished[b]) continue;
            next[b] = sampling.temperature == 0 ? argmax_row(logits, b) : draw_token(probabilities, b, draws(b, t));
            written[b].push_back(next[b]);
            finished[b] = is_finished(written[b], limits);
            if (watcher) watcher(b, next[b], std::exp(log_probability_of(logits, b, next[b])));
        }
        if (std::find(finished.begin(), finished.end(), false) == finished.end()) break;
    }
    return written;
}

std::vector<std::vector<int>> generate_greedily(const std::vector<int>& prompts, int length, const Weights& w,
                                                const Config& config, const Limits& limits) {
    return generate(prompts, length, w, config, limits, {.temperature = 0}, {});
}

// --- beam search ---

double beam_score(const Beam& beam, float alpha) {
    return beam.log_probability / std::pow(std::max<double>(1, static_cast<double>(beam.ids.size())), alpha);
}

// A beam and one more word.
struct Extension {
    int beam;
    int id;
    double log_probability;
};

static bool likelier_extension(const Extension& a, const Extension& b) { return a.log_probability > b.log_probability; }

// The `count` likeliest extensions of all beams by one word, best first. Row i of the logits belongs to beam i.
static std::vector<Extension> best_extensions(const std::vector<Beam>& beams, const Matrix& logits, int count) {
    const Matrix log_p = log_softmax_rows(logits).value();  // (beams, V)
    std::vector<Extension> all;
    for (int i = 0; i < log_p.rows; ++i)
        for (int id = 0; id < log_p.cols; ++id) all.push_back({i, id, beams[i].log_probability + log_p(i, id)});
    const int kept = std::min<int>(count, static_cast<int>(all.size()));
    std::partial_sort(all.begin(), all.begin() + kept, all.end(), likelier_extension);
    all.resize(kept);
    return all;
}

static void keep_best(std::vector<Beam>& beams, int width, float alpha) {
    std::stable_sort(beams.begin(), beams.end(),
                     [alpha](const Beam& a, const Beam& b) { return beam_score(a, alpha) > beam_score(b, alpha); });
    if (static_cast<int>(beams.size()) > width) beams.resize(width);
}

std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha) {
    const int length = static_cast<int>(prompt.size());
    require(width > 0 && length > 0, "beam_search: ", width, " beams for a prompt of ", length,
            " tokens, both must be at least 1");
    require(limits.new_tokens >= 0 && length + limits.new_tokens - 1 <= config.positions, "beam_search: a prompt of ", length,
            " tokens and ", limits.new_tokens, " new ones exceed the ", config.positions, " positions of this model");
    std::vector<Beam> beams(1), finished;  // at first one beam of no words
    if (limits.new_tokens == 0) return beams;
    Cache cache = make_cache(config, 1, length + limits.new_tokens - 1);
    std::vector<int> next = prompt;
    for (int t = 0; t < limits.new_tokens && !beams.empty(); ++t) {
        const Matrix logits = next_logits(next, w, config, cache);  // (beams, V)
        // One extension of each beam may be the end of the text, so twice the width leaves `width` that go on.
        const std::vector<Extension> extensions = best_extensions(beams, logits, 2 * width);
        std::vector<Beam> longer;
        std::vector<int> parents;
        next.clear();
        for (const Extension& extension : extensions) {
            Beam beam{.ids = beams[extension.beam].ids, .log_probability = extension.log_probability};
            beam.ids.push_back(extension.id);
            beam.finished = is_finished(beam.ids, limits);
            if (beam.finished) {
                finished.push_back(std::move(beam));
            } else if (static_cast<int>(longer.size()) < width) {
                longer.push_back(std::move(beam));
                parents.push_back(extension.beam);
                next.push_back(extension.id);
            }
        }
        keep_best(finished, width, alpha);
        beams = std::move(longer);
        if (!beams.empty()) cache = select_sequences(cache, parents);
    }
    finished.insert(finished.end(), beams.begin(), beams.end());
    keep_best(finished, width, alpha);
    return finished;
}

double log_probability(const std::vector<int>& prompt, const std::vector<int>& continuation, const Weights& w,
                       const Config& config) {
    const NoTape no_tape;
    require(!prompt.empty(), "log_probability: an empty prompt, the first word of a text has no probability");
    std::vector<int> ids = prompt;
    ids.insert(ids.end(), continuation.begin(), continuation.end());
    const int T = static_cast<int>(ids.size()), P = static_cast<int>(prompt.size());
    const Matrix logits = forward(ids, T, w, config).logits.value();  // (T, V)
    double sum = 0;
    for (int t = P; t < T; ++t) sum += log_probability_of(logits, t - 1, ids[t]);
    return sum;
}

}  // namespace gpt
