// storage.h: memory for matrices, recycled from one training step to the next.
//
//   why   Fresh memory from the system costs a page fault every 4096 bytes. Every training step asks for the same sizes, so freed
//         memory is kept in free lists and reused.
//   note  Nothing is kept under AddressSanitizer, so that reading past the end of a Matrix is detected.
#pragma once
#include <cstddef>

// Memory for `count` floats, aligned to 64 bytes, uninitialised.   throws std::bad_alloc
float* borrow_floats(std::size_t count);

// Takes back the result of borrow_floats(count); nullptr is allowed.
void return_floats(float* floats, std::size_t count) noexcept;

// Returns all recycled memory to the system.
void release_storage() noexcept;
