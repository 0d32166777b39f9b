#include "nn/base/decimal.h"

#include <clocale>
#include <cmath>
#include <cstdio>
#include <limits>

#include "nn/base/require.h"
#include "nn/base/show.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("decimal");

TEST_CASE("fixed_digits, scientific_digits, short_digits: what printf writes in the locale C") {
    const double largest = std::numeric_limits<double>::max();
    for (const double number : {0.0, -0.0, 0.25, -1.5, 1e-7, 12345.678, 0.0001, 1e15, 5e-324, largest, -largest, 1 / 3.0}) {
        char words[400];
        for (const int digits : {0, 1, 4, 17}) {
            std::snprintf(words, sizeof words, "%.*f", digits, number);
            CHECK(fixed_digits(number, digits) == words);
            std::snprintf(words, sizeof words, "%.*e", digits, number);
            CHECK(scientific_digits(number, digits) == words);
            std::snprintf(words, sizeof words, "%.*g", digits, number);
            CHECK(short_digits(number, digits) == words);
        }
    }
    CHECK(fixed_digits(std::numeric_limits<double>::infinity(), 4) == "inf");
    CHECK(short_digits(-std::numeric_limits<double>::infinity(), 4) == "-inf");
    CHECK(fixed_digits(std::abs(std::nan("")), 4) == "nan");
}

// A locale that writes a comma where there is one on this machine; the C library knows none that is not installed.
static const char* locale_with_comma() {
    for (const char* const name : {"de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8", "de_DE.utf8", "de_DE"})
        if (std::setlocale(LC_ALL, name) != nullptr) return name;
    return nullptr;
}

TEST_CASE("numbers are read and written with a point under a locale that writes a comma") {
    const std::string before = std::setlocale(LC_ALL, nullptr);
    if (locale_with_comma() == nullptr) return;  // none is installed
    CHECK(fixed_digits(0.5, 2) == "0.50");
    CHECK(text(Part(0.5)) == "0.500000");
    CHECK(decimal_number("0.5") == 0.5);
    CHECK(json_text(parse_json("[0.5, 1e-3]", "json")) == "[0.5,0.001]");
    CHECK(grid_text(Matrix{{0.5f}}) == "(1, 1)\n   0.5000\n");
    std::setlocale(LC_ALL, before.c_str());
}

TEST_SUITE_END();
