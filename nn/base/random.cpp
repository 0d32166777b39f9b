#include "nn/base/random.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "nn/base/require.h"

static std::uint64_t splitmix64(std::uint64_t& state) {
    std::uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

Random::Random(std::uint64_t seed) {
    for (std::uint64_t& word : state) word = splitmix64(seed);
}

std::uint64_t Random::next() {
    const std::uint64_t result = std::rotl(state[1] * 5, 7) * 9;
    const std::uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = std::rotl(state[3], 45);
    return result;
}

float Random::uniform() { return static_cast<float>(next() >> 40) * 0x1p-24f; }

float Random::uniform(float low, float high) {
    require(std::isfinite(low) && std::isfinite(high), "Random::uniform: a number from ", low, " to ", high,
            ", both must be finite");
    return low + (high - low) * uniform();
}

// Box-Muller: two uniform draws give radius and angle of a pair of normal draws. The second of the pair is dropped, so that the
// generator needs no state beyond its four words.
float Random::normal() {
    const double u = (static_cast<double>(next() >> 11) + 1) * 0x1p-53;  // (0, 1]: its logarithm is finite
    const double v = static_cast<double>(next() >> 11) * 0x1p-53;        // [0, 1)
    const double radius = std::sqrt(-2 * std::log(u));
    return static_cast<float>(radius * std::cos(2 * std::numbers::pi * v));
}

int Random::below(int count) {
    require(count >= 1, "Random::below: ", count, " leaves nothing to choose from");
    return static_cast<int>(((next() >> 32) * static_cast<std::uint64_t>(count)) >> 32);
}

Matrix uniform_matrix(Random& random, int rows, int cols, float low, float high) {
    require(std::isfinite(low) && std::isfinite(high) && low <= high, "uniform_matrix: numbers from ", low, " to ", high,
            ", both must be finite and the first not above the second");
    Matrix m = Matrix::unset(rows, cols);
    for (float& x : m) x = random.uniform(low, high);
    return m;
}

static void require_spread(const char* who, float standard_deviation) {
    require(standard_deviation >= 0 && std::isfinite(standard_deviation), who, ": a standard deviation of ", standard_deviation,
            ", it must be finite and at least 0");
}

Matrix normal_matrix(Random& random, int rows, int cols, float standard_deviation) {
    require_spread("normal_matrix", standard_deviation);
    Matrix m = Matrix::unset(rows, cols);
    for (float& x : m) x = standard_deviation * random.normal();
    return m;
}

Matrix truncated_normal_matrix(Random& random, int rows, int cols, float standard_deviation) {
    require_spread("truncated_normal_matrix", standard_deviation);
    Matrix m = Matrix::unset(rows, cols);
    for (float& x : m) {
        float z = random.normal();
        while (std::abs(z) > 2) z = random.normal();
        x = standard_deviation * z;
    }
    return m;
}

std::vector<int> permutation(Random& random, int count) {
    require(count >= 0, "permutation: of ", count, " numbers, there cannot be fewer than 0");
    std::vector<int> order(count);
    std::iota(order.begin(), order.end(), 0);
    for (int i = count - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    return order;
}

int draw(const float* weights, int count, float u) {
    require(u >= 0 && u <= 1, "draw: u is ", u, ", it must be from 0 to 1");
    float total = 0;
    for (int j = 0; j < count; ++j) {
        require(weights[j] >= 0 && std::isfinite(weights[j]), "draw: weight ", j, " of ", count, " is ", weights[j],
                ", it must be finite and not below 0");
        total += weights[j];
    }
    require(total > 0, "draw: none of the ", count, " weights is positive, at least one must be");
    float sum = 0;
    int last = 0;  // returned if rounding leaves the cumulative sum below u * total
    for (int j = 0; j < count; ++j) {
        sum += weights[j];
        if (weights[j] > 0) last = j;
        if (sum > u * total) return j;
    }
    return last;
}
