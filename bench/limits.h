// limits.h: how fast could this machine be at best? Two plain loops that do nothing else.
#pragma once

// Multiplications and additions a second (each counts as one), all numbers in registers, on every thread in use at once.
double operations_per_second();

// Bytes a second read on every thread in use at once, from so many bytes that are read again and again: from the memory, or from
// the cache that holds them.
double bytes_per_second(double bytes);
