// random.h: numbers that look random and are the same everywhere: same seed, same numbers, whatever compiler or thread count.
//
//   source   xoshiro256**, Blackman and Vigna, 2018; its state is filled by splitmix64 from one seed
//   differs  std::normal_distribution is left to each library's taste, so normal() is our own (Box and Muller, 1958)
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "nn/base/matrix.h"

struct Random {
    std::array<std::uint64_t, 4> state;

    explicit Random(std::uint64_t seed = 1);

    std::uint64_t next();      // 64 random bits
    float uniform();           // in [0, 1), a multiple of 2^-24
    float uniform(float low, float high);
    float normal();            // mean 0, standard deviation 1
    int below(int count);      // 0 ... count - 1, each equally likely.   throws std::invalid_argument when count < 1
};

// (rows, cols) of independent draws
Matrix uniform_matrix(Random& random, int rows, int cols, float low = 0, float high = 1);
Matrix normal_matrix(Random& random, int rows, int cols, float deviation = 1);

// Normal draws, each drawn again until it lies within two deviations of 0: what the published transformers start from.
Matrix truncated_normal_matrix(Random& random, int rows, int cols, float deviation);

// 0 ... count - 1 in random order (Fisher and Yates)
std::vector<int> permutation(Random& random, int count);

// The first column whose running sum of `weights` (which need not sum to 1) exceeds u * sum, u in [0, 1).
// throws std::invalid_argument when no weight is positive
int draw(const float* weights, int count, float u);
