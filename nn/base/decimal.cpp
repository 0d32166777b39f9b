#include "nn/base/decimal.h"

#include <algorithm>
#include <charconv>

static std::string digits_of(double number, std::chars_format format, int digits) {
    // The largest double has 309 digits before the point; a sign, the point and an exponent need a few more.
    std::string words(static_cast<std::size_t>(std::max(digits, 0)) + 330, ' ');
    const std::to_chars_result result =
        std::to_chars(words.data(), words.data() + words.size(), number, format, std::max(digits, 0));
    words.resize(static_cast<std::size_t>(result.ptr - words.data()));
    return words;
}

std::string fixed_digits(double number, int digits) { return digits_of(number, std::chars_format::fixed, digits); }
std::string scientific_digits(double number, int digits) { return digits_of(number, std::chars_format::scientific, digits); }
std::string short_digits(double number, int digits) { return digits_of(number, std::chars_format::general, digits); }
