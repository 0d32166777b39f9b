#include "nn/base/storage.h"

#include <array>
#include <bit>
#include <mutex>
#include <new>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define KEEP_STORAGE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP_STORAGE 0
#endif
#endif
#ifndef KEEP_STORAGE
#define KEEP_STORAGE 1
#endif

static constexpr std::align_val_t alignment{64};
static constexpr std::size_t smallest = 16;                // floats: one cache line
static constexpr std::size_t most = std::size_t{1} << 58;  // floats: rounded up, their bytes still fit 64 bits
static constexpr int steps = 8;                            // sizes between one power of two and the next

namespace {
// A free list holds blocks of one size, which fit every request that is rounded up to it. At most 1/8 of a block is unused.
struct FreeList {
    std::size_t index;
    std::size_t size;  // floats
};
}  // namespace

static FreeList free_list_for(std::size_t count) {
    if (count <= smallest * steps) {
        const std::size_t lines = count == 0 ? 1 : (count + smallest - 1) / smallest;
        return {lines - 1, lines * smallest};
    }
    const std::size_t exponent = std::bit_width(count - 1) - 1;  // 2^exponent < count <= 2^(exponent + 1)
    const std::size_t step = (std::size_t{1} << exponent) / steps;
    const std::size_t number = (count - (std::size_t{1} << exponent) + step - 1) / step;  // 1 ... steps
    return {exponent * steps + number, (std::size_t{1} << exponent) + number * step};
}

namespace {
struct FreeLists {
    std::mutex mutex;
    std::array<std::vector<float*>, 64 * steps> free;
};
}  // namespace

// Never destroyed: a static Matrix may return its floats after other statics are gone.
static FreeLists& free_lists() {
    static FreeLists* const the_free_lists = new FreeLists;
    return *the_free_lists;
}

float* borrow_floats(std::size_t count) {
    if (count > most) throw std::bad_alloc();
    const FreeList list = free_list_for(count);
    if (KEEP_STORAGE) {
        const std::lock_guard lock(free_lists().mutex);
        std::vector<float*>& free = free_lists().free[list.index];
        if (!free.empty()) {
            float* const floats = free.back();
            free.pop_back();
            return floats;
        }
    }
    const std::size_t size = KEEP_STORAGE ? list.size : count;
    return static_cast<float*>(::operator new(size * sizeof(float), alignment));
}

void return_floats(float* floats, std::size_t count) noexcept {
    if (floats == nullptr) return;
    if (KEEP_STORAGE) {
        try {
            const std::lock_guard lock(free_lists().mutex);
            free_lists().free[free_list_for(count).index].push_back(floats);
            return;
        } catch (const std::bad_alloc&) {
            // no memory to remember the block: return it to the system
        }
    }
    ::operator delete(floats, alignment);
}

void release_storage() noexcept {
    const std::lock_guard lock(free_lists().mutex);
    for (std::vector<float*>& free : free_lists().free) {
        for (float* const floats : free) ::operator delete(floats, alignment);
        free.clear();
    }
}
