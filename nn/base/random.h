// random.h: pseudo-random numbers. The same seed gives the same numbers with every compiler and thread count.
//
//   source   xoshiro256**, Blackman and Vigna, 2018, seeded by splitmix64
//   differs  the standard leaves the algorithm of std::normal_distribution open, so normal() is our own (Box and Muller, 1958)
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "nn/base/matrix.h"

struct Random {
    std::array<std::uint64_t, 4> state;

    explicit Random(std::uint64_t seed = 1);

    std::uint64_t next();  // 64 random bits
    float uniform();       // in [0, 1), a multiple of 2^-24
    float uniform(float low, float high);
    float normal();        // mean 0, standard deviation 1
    int below(int count);  // 0 ... count - 1, each equally likely.   throws std::invalid_argument when count < 1
};

// (rows, cols) of independent draws
Matrix uniform_matrix(Random& random, int rows, int cols, float low = 0, float high = 1);
Matrix normal_matrix(Random& random, int rows, int cols, float standard_deviation = 1);

// Draws from a normal distribution truncated at two standard deviations (drawn again until within), the usual initialisation of
// published transformers.
Matrix truncated_normal_matrix(Random& random, int rows, int cols, float standard_deviation);

// 0 ... count - 1 in random order (Fisher and Yates)
std::vector<int> permutation(Random& random, int count);

// Draws an index with probability proportional to its weight: the first whose cumulative weight exceeds u * total, u in [0, 1).
// throws std::invalid_argument when no weight is positive
int draw(const float* weights, int count, float u);
