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
static constexpr std::size_t smallest = 16;  // floats: one cache line
static constexpr int steps = 8;              // shelf sizes between one power of two and the next

namespace {
// A shelf holds pieces of one size, so that a piece fits every request of its shelf. At most 1/8 of a piece is unused.
struct Shelf {
    std::size_t index;
    std::size_t size;  // floats
};
}  // namespace

static Shelf shelf_for(std::size_t count) {
    if (count <= smallest * steps) {
        const std::size_t lines = count == 0 ? 1 : (count + smallest - 1) / smallest;
        return {lines - 1, lines * smallest};
    }
    const std::size_t octave = std::bit_width(count - 1) - 1;       // 2^octave < count <= 2^(octave + 1)
    const std::size_t step = (std::size_t{1} << octave) / steps;
    const std::size_t place = (count - (std::size_t{1} << octave) + step - 1) / step;  // 1 ... steps
    return {octave * steps + place, (std::size_t{1} << octave) + place * step};
}

namespace {
struct Shelves {
    std::mutex mutex;
    std::array<std::vector<float*>, 64 * steps> free;
};
}  // namespace

// Never destroyed: a Matrix that lives as long as the program may still give its floats back.
static Shelves& shelves() {
    static Shelves* const the_shelves = new Shelves;
    return *the_shelves;
}

float* borrow_floats(std::size_t count) {
    const Shelf shelf = shelf_for(count);
    if (KEEP_STORAGE) {
        const std::lock_guard lock(shelves().mutex);
        std::vector<float*>& free = shelves().free[shelf.index];
        if (!free.empty()) {
            float* const floats = free.back();
            free.pop_back();
            return floats;
        }
    }
    const std::size_t size = KEEP_STORAGE ? shelf.size : count;
    return static_cast<float*>(::operator new(size * sizeof(float), alignment));
}

void return_floats(float* floats, std::size_t count) noexcept {
    if (floats == nullptr) return;
    if (KEEP_STORAGE) {
        try {
            const std::lock_guard lock(shelves().mutex);
            shelves().free[shelf_for(count).index].push_back(floats);
            return;
        } catch (const std::bad_alloc&) {
            // no room to remember the piece: give it to the system instead
        }
    }
    ::operator delete(floats, alignment);
}

void release_storage() noexcept {
    const std::lock_guard lock(shelves().mutex);
    for (std::vector<float*>& free : shelves().free) {
        for (float* const floats : free) ::operator delete(floats, alignment);
        free.clear();
    }
}
