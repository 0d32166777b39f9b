#include "gpt/writing.h"

#include <algorithm>

#include "nn/training/loss.h"

namespace gpt {

// --- as a reader ---

Reader::Reader(const Weights& w, const Config& config, int sequences, int capacity)
    : weights(w), config(config), cache(make_cache(config, sequences, capacity)) {}

Matrix Reader::read(const TokenBatch& next) {
    const bool padded = std::find(next.mask.begin(), next.mask.end(), 0.0f) != next.mask.end();
    require(next.sequences == cache.sequences, "gpt: ", next.sequences, " sequences for a reader of ", cache.sequences,
            "; make it with as many as the prompts");
    require(
        !padded,
        "gpt: prompts with padding cannot be read, because positions are counted from column 0; pass prompts of equal length");
    return next_logits(next.ids, weights, config, cache);  // (B, V)
}

void Reader::select(const std::vector<int>& chosen) { cache = select_sequences(cache, chosen); }

// --- writing ---

// How many tokens of each sequence are read: all but the last new one.
static int tokens_read(const char* place, int length, const Limits& limits, const Config& config) {
    require(limits.new_tokens >= 0 && long{length} + limits.new_tokens - 1 <= config.positions, place, ": a prompt of ", length,
            " tokens and ", limits.new_tokens, " new ones exceed the ", config.positions,
            " positions of this model; shorten the prompt or ask for fewer tokens");
    return std::max(1, length + limits.new_tokens - 1);
}

std::vector<std::vector<int>> generate(const std::vector<int>& prompts, int length, const Weights& w, const Config& config,
                                       const Limits& limits, const Sampling& sampling, const Matrix& draws,
                                       const TokenWatcher& watcher) {
    const TokenBatch batch = equal_batch(prompts, length);
    Reader reader(w, config, batch.sequences, tokens_read("generate", length, limits, config));
    return ::generate(batch, reader, limits, sampling, draws, watcher);
}

std::vector<std::vector<int>> generate_greedily(const std::vector<int>& prompts, int length, const Weights& w,
                                                const Config& config, const Limits& limits) {
    return generate(prompts, length, w, config, limits, {.temperature = 0}, {});
}

std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha) {
    const int length = static_cast<int>(prompt.size());
    Reader reader(w, config, 1, tokens_read("beam_search", length, limits, config));
    return ::beam_search(prompt, width, reader, limits, alpha);
}

double log_probability(const std::vector<int>& prompt, const std::vector<int>& continuation, const Weights& w,
                       const Config& config) {
    const NoTape no_tape;
    require(!prompt.empty(),
            "log_probability: an empty prompt; the first token of a text has no probability, so begin with the end of text");
    std::vector<int> ids = prompt;
    ids.insert(ids.end(), continuation.begin(), continuation.end());
    const int T = static_cast<int>(ids.size()), P = static_cast<int>(prompt.size());
    const Matrix logits = forward(ids, T, w, config).logits.value();  // (T, V)
    std::vector<int> labels = next_tokens(ids, T);
    std::fill_n(labels.begin(), P - 1, ignored_label);  // predictions of the prompt itself do not count
    return ::log_probability(logits, labels);
}

}  // namespace gpt
