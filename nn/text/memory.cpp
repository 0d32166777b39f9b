#include "nn/text/memory.h"

#include <algorithm>
#include <limits>

#include "nn/autograd/rearrange.h"

Memory make_memory(int depth, int sequences, int capacity, int key_width, bool with_source) {
    require(depth >= 0, "make_memory: ", depth, " blocks, there cannot be fewer than 0");
    require(sequences > 0 && capacity > 0, "make_memory: ", sequences, " sequences of ", capacity,
            " tokens, both must be positive");
    Memory memory{.blocks = {}, .sources = {}, .seen = {}, .sequences = sequences, .capacity = capacity};
    for (int l = 0; l < depth; ++l) memory.blocks.push_back(make_cache(sequences, capacity, key_width));
    if (with_source) memory.sources.assign(depth, make_source_cache());
    return memory;
}

Memory select_sequences(const Memory& memory, const std::vector<int>& chosen) {
    Memory selected{.blocks = {},
                    .sources = {},
                    .seen = memory.seen.length == 0 ? TokenBatch{} : select_sequences(memory.seen, chosen),
                    .sequences = static_cast<int>(chosen.size()),
                    .capacity = memory.capacity};
    for (const KeyValueCache& block : memory.blocks) selected.blocks.push_back(select_sequences(block, chosen));
    for (const KeyValueCache& source : memory.sources) selected.sources.push_back(select_sequences(source, chosen));
    return selected;
}

Reading read_next(Memory& memory, const TokenBatch& next, const char* place) {
    require_fits(place, next);
    require(next.sequences == memory.sequences, place, ": ", next.sequences, " sequences for a memory of ", memory.sequences,
            ", all must go on; select_sequences leaves some out");
    require(memory.seen.length + next.length <= memory.capacity, place, ": the memory holds ", memory.seen.length, " of ",
            memory.capacity, " tokens, ", next.length, " more do not fit; make it with a larger capacity");
    for (std::size_t l = 0; l < memory.blocks.size(); ++l)
        require(memory.blocks[l].filled == memory.seen.length, place, ": the memory has seen ", memory.seen.length,
                " tokens, but block ", l, " holds the keys of ", memory.blocks[l].filled,
                "; the blocks did not run to their end, begin again with make_memory");
    append(memory.seen, next);
    Reading reading{.positions = positions(memory.seen, next.length), .contexts = {}};
    const MayAttend may = attending(memory.seen, true, next.length).may;
    for (std::size_t l = 0; l < memory.blocks.size(); ++l) {
        BlockContext context{.self = {.may = may, .cache = &memory.blocks[l]}};
        if (!memory.sources.empty())
            context.cross = {.segments = Segments::equal(memory.sequences, next.length), .cache = &memory.sources[l]};
        reading.contexts.push_back(context);
    }
    return reading;
}

int tokens_read(int prompt_length, int new_tokens) {
    const long total = long{prompt_length} + std::max(0, new_tokens - 1);
    require(total <= std::numeric_limits<int>::max(), "generate: a prompt of ", prompt_length, " tokens and ", new_tokens,
            " new ones are more than can be counted; ask for fewer");
    return static_cast<int>(total);
}

Var last_rows(const Var& hidden, const TokenBatch& batch) {
    require(batch.sequences > 0 && hidden.rows() == long{batch.sequences} * batch.length, "last_rows: hidden states ",
            hidden.value(), " for ", batch.sequences, " sequences of ", batch.length,
            " tokens; each token needs a row, and there must be one");
    std::vector<int> rows;
    for (int b = 0; b < batch.sequences; ++b) rows.push_back((b + 1) * batch.length - 1);
    return gather_rows(hidden, rows);
}
