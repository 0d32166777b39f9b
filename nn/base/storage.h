// storage.h: where the numbers of a Matrix live, and how the next step of training gets them back.
//
//   why   Memory fresh from the system costs a page fault every 4096 bytes. A training step asks for the same sizes again
//         and again, so what one step gives back is kept on a shelf and handed to the next.
//   note  Under AddressSanitizer nothing is kept, so that a read after the end of a Matrix is found.
#pragma once
#include <cstddef>

// Room for `count` floats, aligned to 64 bytes, contents undefined.   throws std::bad_alloc
float* borrow_floats(std::size_t count);

// Takes back what borrow_floats(count) gave; nullptr is allowed.
void return_floats(float* floats, std::size_t count) noexcept;

// Gives everything on the shelves back to the system.
void release_storage() noexcept;
