// functions.h: exp, tanh and erf that the compiler can vectorise in plain loops, without fast-math.
//
//   why     std::exp handles one number per call. These functions contain no branch and no call, so a loop over a row compiles to
//           vector instructions: more than ten times as fast.
//   exact   Error over all of float, in units in the last place (ulp): fast_exp 1, fast_tanh 2, fast_erf 2. exp(-infinity) is
//           exactly 0, because masks rely on it; NaN stays NaN.
//   source  exp and tanh: method and constants from Moshier's Cephes library; erf: constants fitted for this file
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

// std::exp.  exp(x) = 2^n exp(r), n = x / ln 2 rounded, r = x - n ln 2, so that |r| <= 0.35 and a short polynomial is enough.
inline float fast_exp(float x) {
    const float to_integer = 12582912;  // 1.5 * 2^23: adding it rounds to an integer, which stands in the lowest bits
    const float shifted = x * 1.44269504f + to_integer;
    const float n = shifted - to_integer;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two pieces; n times the first is exact
    const float p =
        ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r + 1.6666665459e-1f) * r +
        5.0000001201e-1f;
    const float exp_r = p * r * r + r + 1;
    // A power of two is a float whose exponent bits, the ninth from above to the second, are n + 127. 2^n is made in two factors:
    // for n = -150 or 128 it is not a float although the result may be one.
    const std::uint32_t bias = 127u << 23, exponent_bits = 0xff800000u;
    const std::uint32_t all = std::bit_cast<std::uint32_t>(shifted) << 23;  // n
    const std::uint32_t half =
        static_cast<std::uint32_t>(static_cast<std::int32_t>(all) >> 1) & exponent_bits;  // n / 2, rounded down
    const float y = exp_r * std::bit_cast<float>(half + bias) * std::bit_cast<float>(all - half + bias);
    const float not_low = x < -104 ? 0 : y;  // outside of [-104, 89] y is meaningless
    return x > 89 ? std::numeric_limits<float>::infinity() : not_low;
}

// std::tanh.  A polynomial near 0; elsewhere tanh |x| = 1 - 2 / (exp(2 |x|) + 1), with the sign of x.
inline float fast_tanh(float x) {
    const float size = std::abs(x);
    const float z = x * x;
    const float p =
        (((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z + 1.33314422036e-1f) * z - 3.33332819422e-1f;
    const float near = p * z * x + x;
    const float far = std::copysign(1 - 2 / (fast_exp(2 * size) + 1), x);
    return size < 0.625f ? near : far;
}

// std::erf.  A polynomial near 0; elsewhere erf |x| = 1 - exp(q(|x|)), q a polynomial close to log(1 - erf), with the sign of x.
inline float fast_erf(float x) {
    const float size = std::abs(x);
    const float z = x * x;
    const float p =
        ((((-6.0903839587e-4f * z + 5.0119680286e-3f) * z - 2.6778913013e-2f) * z + 1.1282140952e-1f) * z - 3.7612523296e-1f) *
            z +
        1.2837915380e-1f;
    const float near = p * x + x;
    const float t = size > 4 ? 4 : size;  // erf(4) is 1 in float
    const float q =
        (((((1.9821942763e-4f * t - 3.0654880186e-3f) * t + 2.2315203835e-2f) * t - 1.0411365948e-1f) * t - 6.3697610512e-1f) *
             t -
         1.1277972297f) *
            t -
        1.6645069462e-4f;
    const float far = std::copysign(1 - fast_exp(q), x);
    return size < 0.9f ? near : far;
}

// --- a row of numbers at once ---

// Sum and maximum of `count` numbers, in 32 parallel lanes: each addition to a single sum would wait for the one before it, and
// without fast-math the compiler may not split it. The maximum is minus infinity if count is 0, and NaN if any number is NaN.
float sum_of(const float* x, int count);
float max_of(const float* x, int count);

// Sums in double, for long sums that end in one number: rounded to float, they hardly depend on the order of summation.
double sum_in_double(const float* x, std::size_t count);
double dot_in_double(const float* x, const float* y, std::size_t count);  // sum of x[k] y[k]

// sum of x[k] y[k], in 32 lanes as above
float dot_of(const float* x, const float* y, int count);

// y[k] = exp(x[k] - shift); y may be x.   returns sum_of(y)
float exp_of(const float* x, float shift, float* y, int count);
