// memory.h: what a decoder keeps of the tokens that it has read, so that it can read on.
//
//   shows    that reading on needs three things only: keys and values of every block, the position of each new token, and which of
//            the earlier columns were padding
//   symbols  B sequences   L blocks
//   use      a family of models gives three functions, and writes through MemoryReader:
//                Memory make_memory(const Config&, int sequences, int capacity);
//                Steps  read_on(const TokenBatch& next, const Weights&, const Config&, Memory&);   Steps::hidden, (B*T, E)
//                Var    logits_of(const Var& hidden, const Weights&, const Config&);
#pragma once
#include <algorithm>
#include <vector>

#include "nn/layers/transformer.h"
#include "nn/text/decoding.h"

struct Memory {
    std::vector<KeyValueCache> blocks;  // L
    std::vector<KeyValueCache> sources = {};  // L of an encoder-decoder: keys and values of what it writes about; else none
    TokenBatch seen;                    // everything read so far, with its padding
    int sequences = 0;                  // B
    int capacity = 0;                   // tokens that each sequence can hold
};

// Room for `capacity` tokens of each sequence.   throws std::invalid_argument unless sequences and capacity are positive
//   with_source  an encoder-decoder: the source is projected when the first tokens are read, and never again
Memory make_memory(int depth, int sequences, int capacity, int key_width, bool with_source = false);

// Sequence s of the new memory has read what sequence chosen[s] of the old one has read.
Memory select_sequences(const Memory& memory, const std::vector<int>& chosen);

// What the blocks of a model are told about the next tokens.
struct Reading {
    std::vector<int> positions;          // (B*T)  how many tokens of its text stand before each; padding gets 0
    std::vector<BlockContext> contexts;  // one for each block: its caches, and the mask where there is padding
};

// Prepares to read `next`, and adds it to what has been seen; its keys and values are added by the blocks as they run.
//   throws  std::invalid_argument, beginning with `place`, when it does not fit into the memory; the memory is unchanged then
Reading read_next(Memory& memory, const TokenBatch& next, const char* place);

// The last row of each sequence: (B*T, E) -> (B, E).
Var last_rows(const Var& hidden, const TokenBatch& batch);

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
        const Var hidden = read_on(next, weights, config, memory).hidden;            // (B*T, E)
        return logits_of(last_rows(hidden, next), weights, config).value();          // (B, V)
    }
    void select(const std::vector<int>& chosen) override { memory = select_sequences(memory, chosen); }
};

// The loops of decoding.h with a reader as large as they need: the last new token is never read.
template <class Weights, class Config>
std::vector<std::vector<int>> generate(const TokenBatch& prompts, const Weights& w, const Config& config, const Limits& limits,
                                       const Sampling& sampling = {.temperature = 0}, const Matrix& draws = {},
                                       const TokenWatcher& watcher = nullptr) {
    MemoryReader<Weights, Config> reader(w, config, prompts.sequences, prompts.length + std::max(0, limits.new_tokens - 1));
    return generate(prompts, reader, limits, sampling, draws, watcher);
}

template <class Weights, class Config>
std::vector<Beam> beam_search(const std::vector<int>& prompt, int width, const Weights& w, const Config& config, const Limits& limits,
                              float alpha = 0) {
    MemoryReader<Weights, Config> reader(w, config, 1, static_cast<int>(prompt.size()) + std::max(0, limits.new_tokens - 1));
    return beam_search(prompt, width, reader, limits, alpha);
}
