// limits.h: how fast could this machine be at best? Three plain loops that do nothing else.
#pragma once

// Multiplications and additions a second (each counts as one), all numbers in registers, on every thread in use at once.
double operations_per_second();

// Bytes a second read on every thread in use at once, from so many bytes that are read again and again: from the memory, or from
// the cache that holds them.
double bytes_read_per_second(double bytes);

// Bytes a second moved where half of them are read and half are written: numbers that are changed where they stand, bytes / 2 of them,
// again and again. What is written leaves beside what comes in, so that more bytes move in a second than by reading alone.
double bytes_moved_per_second(double bytes);
