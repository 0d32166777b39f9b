// functions.h: exp, tanh and the normal distribution that the compiler can vectorise in plain loops, without fast-math.
//
//   why     std::exp handles one number per call. These functions contain no branch and no call, so a loop over a row compiles to
//           vector instructions: about ten times as fast.
//   exact   Error over all of float: fast_exp 1, fast_tanh 2 units in the last place (ulp), fast_normal_cdf 1e-7. exp(-infinity)
//           is exactly 0, because masks rely on it; NaN stays NaN.
//   source  exp and tanh: method of Moshier's Cephes library, as are the constants of tanh; the others were fitted for this file
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

// std::exp.  exp(x) = 2^n exp(r), n = x / ln 2 rounded, r = x - n ln 2, so that |r| <= 0.35 and a short polynomial is enough.
//
// A float between 2^23 and 2^24 is an integer that stands in its lowest bits: adding 1.5 * 2^23 rounds to an integer and shows it
// there. A power of two is a float whose exponent bits, the ninth from above to the second, are n + 127.
inline constexpr float to_integer = 12582912;

inline float fast_exp(float x) {
    const float shifted = x * 1.44269504f + (to_integer + 254);
    const float n = shifted - (to_integer + 254);
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two pieces; n times the first is exact
    float exp_r = 1.3814433142e-3f * r + 8.3687966884e-3f;
    exp_r = exp_r * r + 4.1668395796e-2f;
    exp_r = exp_r * r + 1.6666519973e-1f;
    exp_r = exp_r * r + 4.9999993403e-1f;
    exp_r = (exp_r * r + 1) * r + 1;
    // 2^n is made in two factors: for n = -150 or 128 it is not a float although the result may be one.
    const std::uint32_t both = std::bit_cast<std::uint32_t>(shifted) << 23;  // n + 254
    const std::uint32_t first = (both >> 1) & 0xff800000u;                   // half of it, rounded down
    const float y = exp_r * std::bit_cast<float>(first) * std::bit_cast<float>(both - first);
    const float not_low = x < -104 ? 0 : y;  // outside [-104, 89] y is meaningless
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

// P(X <= x) of a standard normal X, (1 + erf(x / sqrt 2)) / 2. The tail below -|x| is 2^(q |x|) / 2, q a polynomial in |x|.
inline float fast_normal_cdf(float x) {
    const float size = std::abs(x);
    float q = 4.4742349315e-7f * size - 8.6595665633e-6f;
    q = q * size + 6.9963462519e-5f;
    q = q * size - 2.6981411492e-4f;
    q = q * size - 8.6595084605e-6f;
    q = q * size + 6.9527322158e-3f;
    q = q * size - 5.2445249361e-2f;
    q = q * size - 4.5921909995e-1f;
    q = q * size - 1.1511044393f;
    const float shifted = q * size + (to_integer + 126);
    const float n = shifted - (to_integer + 126);
    const float r = q * size - n;  // |r| <= 1/2, and 2^(q |x|) = 2^n 2^r
    float two_r = 1.3264727180e-3f * r + 9.6715126409e-3f;
    two_r = two_r * r + 5.5507337433e-2f;
    two_r = two_r * r + 2.4022242085e-1f;
    two_r = two_r * r + 6.9314697760e-1f;
    two_r = two_r * r + 1;
    const float half_of_two_n = std::bit_cast<float>(std::bit_cast<std::uint32_t>(shifted) << 23);
    const float tail = size > 6 ? 0 : two_r * half_of_two_n;  // below -6 less than 1e-9
    return x > 0 ? 1 - tail : tail;
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
