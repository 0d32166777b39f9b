// memory.h: the key-value cache of a decoder, for generating token by token.
//
//   shows    that incremental decoding needs only keys and values of every block, positions of the new tokens, and the padding
//            mask of the earlier ones
//   symbols  B sequences   L blocks
//   use      a family of models provides three functions, and generates through MemoryReader:
//                Memory make_memory(const Config&, int sequences, int capacity);
//                Steps  read_on(const TokenBatch& next, const Weights&, const Config&, Memory&);   Steps::hidden, (B*T, E)
//                Var    logits_of(const Var& hidden, const Weights&, const Config&);
#pragma once
#include <algorithm>
#include <vector>

#include "nn/layers/transformer.h"
#include "nn/text/decoding.h"

struct Memory {
    std::vector<KeyValueCache> blocks;        // L
    std::vector<KeyValueCache> sources = {};  // L in an encoder-decoder: keys and values of the source; else empty
    TokenBatch seen;                          // all tokens read so far, with padding
    int sequences = 0;                        // B
    int capacity = 0;                         // most tokens of each sequence
};

// An empty memory.   throws std::invalid_argument unless sequences and capacity are positive
//   with_source  for an encoder-decoder: keys and values of the source are computed once, with the first tokens
Memory make_memory(int depth, int sequences, int capacity, int key_width, bool with_source = false);

// Sequence s of the new memory has read what sequence chosen[s] of the old one has read.
Memory select_sequences(const Memory& memory, const std::vector<int>& chosen);

// Positions and attention contexts of the next tokens.
struct Reading {
    std::vector<int> positions;          // (B*T)  position in the text; padding gets 0
    std::vector<BlockContext> contexts;  // for each block: its caches and the mask
};

// Appends `next` to what has been seen; the blocks add its keys and values as they run.
//   throws  std::invalid_argument, beginning with `place`, when it does not fit; the memory is unchanged then
Reading read_next(Memory& memory, const TokenBatch& next, const char* place);

// The last row of each sequence: (B*T, E) -> (B, E).
Var last_rows(const Var& hidden, const TokenBatch& batch);

// How many tokens of each sequence are read: all but the last new one.
//   throws  std::invalid_argument when an int cannot count them
int tokens_read(int prompt_length, int new_tokens);

// A model with its memory, for generate() and beam_search() of decoding.h.
template <class Weights, class Config>
struct MemoryReader : TokenReader {
    const Weights& weights;
    const Config& config;
    Memory memory;

    MemoryReader(const Weights& w, const Config& c, int sequences, int capacity)
        : weights(w), config(c), memory(make_memory(c, sequences, capacity)) {}

    Matrix read(const TokenBatch& next) override {
        const NoTape no_tape;
        const Var hidden = read_on(next, weights, config, memory).hidden;    // (B*T, E)
        return logits_of(last_rows(hidden, next), weights, config).value();  // (B, V)
    }
    void select(const std::vector<int>& chosen) override { memory = select_sequences(memory, chosen); }
};

// The functions of decoding.h with a reader of the needed capacity (the last new token is never read).
template <class Weights, class Config>
std::vector<std::vector<int>> generate(const TokenBatch& prompts, const Weights& w, const Config& config, const Limits& limits,
                                       const Sampling& sampling = {.temperature = 0}, const Matrix& draws = {},
                                       const TokenWatcher& watcher = nullptr) {
    MemoryReader<Weights, Config> reader(w, config, prompts.sequences, tokens_read(prompts.length, limits.new_tokens));
    return generate(prompts, reader, limits, sampling, draws, watcher);
}

template <class Weights, class Config>
std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, const Weights& w, const Config& config,
                              const Limits& limits, float alpha = 0) {
    MemoryReader<Weights, Config> reader(w, config, 1, tokens_read(static_cast<int>(prompt.size()), limits.new_tokens));
    return beam_search(prompt, width, reader, limits, alpha);
}
