#include "nn/base/decimal.h"

#include <clocale>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "nn/base/require.h"
#include "nn/base/show.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "tests/command.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

TEST_SUITE_BEGIN("decimal");

TEST_CASE("fixed_digits, scientific_digits, short_digits: like printf in the locale C") {
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

// Changes to a German locale, which writes a comma: an installed one, or one that is compiled for the test if possible.
static bool to_locale_with_comma(const TemporaryFolder& folder) {
    if (std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr) return true;
    run_command("localedef -i de_DE -f UTF-8 " + folder.path("de_DE.UTF-8"));
    const Variable compiled("LOCPATH", folder.path("").c_str());
    return std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr;
}

TEST_CASE("decimal.h: numbers are written and read with a point under a locale that uses a comma") {
    const std::string before = std::setlocale(LC_ALL, nullptr);
    const TemporaryFolder folder;
    if (!to_locale_with_comma(folder)) return;  // the last test of house_test.cpp looks at the sources themselves
    char comma[8];
    std::snprintf(comma, sizeof comma, "%.1f", 0.5);
    CHECK(std::string(comma) == "0,5");
    CHECK(fixed_digits(0.5, 2) == "0.50");
    CHECK(text(Part(0.5)) == "0.500000");
    CHECK(decimal_number("0.5") == 0.5);
    CHECK(json_text(parse_json("[0.5, 1e-3]", "json")) == "[0.5,0.001]");
    CHECK(grid_text(Matrix{{0.5f}}) == "(1, 1)\n   0.5000\n");
    std::setlocale(LC_ALL, before.c_str());
}

TEST_SUITE_END();
