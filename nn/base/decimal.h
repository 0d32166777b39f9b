// decimal.h: numbers as decimal digits, the same under every locale.
//
//   note   printf and strtod use the decimal point of the program's locale: in a German one 0.5 is "0,5". Files and lessons must
//          not depend on it, so these functions ignore the locale. nn/data/text.h reads numbers.
#pragma once
#include <string>

// Like printf's "%.*f", "%.*e" and "%.*g" in the locale "C".   digits  at least 0
std::string fixed_digits(double number, int digits);       // fixed_digits(0.25, 4) is "0.2500"
std::string scientific_digits(double number, int digits);  // scientific_digits(12345, 2) is "1.23e+04"
std::string short_digits(double number, int digits);       // short_digits(0.001, 4) is "0.001"
