// limits.h: the peak speed of this machine, measured by three plain loops.
#pragma once

// Multiplications and additions per second (each counts as one), with all numbers in registers, on all threads.
double operations_per_second();

// Bytes read per second on all threads, reading `bytes` bytes repeatedly: from memory, or from the cache that holds them.
double bytes_read_per_second(double bytes);

// Bytes moved per second when bytes / 2 are repeatedly read and written in place. Reads and writes overlap, so this is faster
// than reading alone.
double bytes_moved_per_second(double bytes);
