#include "nn/base/storage.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "tests/test.h"
#if defined(__GLIBC__)
#include <malloc.h>
#endif

// Under AddressSanitizer no memory is recycled.
#if defined(__SANITIZE_ADDRESS__)
static const bool kept = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
static const bool kept = false;
#else
static const bool kept = true;
#endif
#else
static const bool kept = true;
#endif

TEST_SUITE_BEGIN("storage");

TEST_CASE("borrow_floats: blocks of every size are aligned to 64 bytes and writable") {
    for (std::size_t count = 1; count < 3000; count += count < 300 ? 1 : 97) {
        float* const floats = borrow_floats(count);
        CHECK(reinterpret_cast<std::uintptr_t>(floats) % 64 == 0);
        for (std::size_t k = 0; k < count; ++k) floats[k] = static_cast<float>(k);
        return_floats(floats, count);
    }
    return_floats(nullptr, 10);
}

TEST_CASE("borrow_floats: returned memory is reused") {
    release_storage();
    float* const first = borrow_floats(1000);
    return_floats(first, 1000);
    float* const second = borrow_floats(1000);
    if (kept) CHECK(first == second);
    return_floats(second, 1000);
}

TEST_CASE("borrow_floats: a reused block is never smaller than requested") {
    // All sizes at once, each filled with its own number, which overlapping blocks would overwrite.
    release_storage();
    std::vector<std::pair<float*, std::size_t>> pieces;
    for (int round = 0; round < 2; ++round) {
        for (std::size_t count = 1; count < 2000; count += 7) {
            float* const floats = borrow_floats(count);
            std::fill_n(floats, count, static_cast<float>(count));
            pieces.emplace_back(floats, count);
        }
        for (const auto& [floats, count] : pieces) {
            const std::size_t size = count;
            CHECK(std::count(floats, floats + size, static_cast<float>(size)) == static_cast<long>(size));
        }
        for (const auto& [floats, count] : pieces) return_floats(floats, count);
        pieces.clear();
    }
    release_storage();
}

// Whether a block of `returned` floats serves the next request, for `requested`.
static bool serves(std::size_t returned, std::size_t requested) {
    release_storage();
    float* const first = borrow_floats(returned);
    return_floats(first, returned);
    float* const second = borrow_floats(requested);
    return_floats(second, requested);
    return first == second;
}

TEST_CASE("borrow_floats: a block serves every request that is rounded up to its size, and no other") {
    if (!kept) return;
    // up to 128 floats in steps of a cache line; above, in eight steps from one power of two to the next: 144, ... 256, 288, ...
    const std::vector<std::size_t> sizes{16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320};
    for (std::size_t k = 0; k < sizes.size(); ++k) {
        CAPTURE(sizes[k]);
        CHECK(serves(sizes[k], k == 0 ? 0 : sizes[k - 1] + 1));
        CHECK(!serves(sizes[k], sizes[k] + 1));
        if (k > 0) CHECK(!serves(sizes[k], sizes[k - 1]));
    }
    CHECK(serves(1 << 20, (1 << 20) - (1 << 16) + 1));
    CHECK(!serves(1 << 20, (1 << 20) - (1 << 16)));
    release_storage();
}

#if defined(__GLIBC__)  // which tells the size of a block
TEST_CASE("borrow_floats: at most an eighth of a block is unused, apart from the rest of a cache line") {
    release_storage();
    for (const std::size_t count : {1, 16, 17, 127, 128, 129, 144, 145, 255, 256, 257, 1000, 1025, 3000, 4097}) {
        CAPTURE(count);
        float* const floats = borrow_floats(count);
        const std::size_t wanted = count * sizeof(float), size = malloc_usable_size(floats);
        CHECK(size >= wanted);
        CHECK(size <= wanted + wanted / 8 + 2 * 64);  // a line for rounding up, and one for the alignment
        return_floats(floats, count);
    }
    release_storage();
}
#endif

TEST_CASE("borrow_floats: two blocks in use never overlap") {
    float* const a = borrow_floats(20);
    float* const b = borrow_floats(20);
    CHECK(a != b);
    return_floats(a, 20);
    return_floats(b, 20);
}

TEST_SUITE_END();
