// comparison.h: what was answered beside what was expected; and which known mistake would have answered so.
//
//   rule     |yours - expected| <= 1e-5 + 1e-4 |expected|, element by element, as everywhere in the tests
//   names    a known mistake is named when it explains every answer, the right ones too; else the relations of course/cause are
//            asked
//   next     grading.h
#pragma once
#include <string>
#include <vector>

#include "course/grade/answers.h"

// The answers to the same questions when one of course/mistakes is made: numbers and text, no solution.
struct KnownMistake {
    std::string name, says, hint;
    std::vector<Answer> answers;
};

// What is expected of one task, for one seed.
struct Expected {
    std::vector<Answer> answers;
    std::vector<KnownMistake> mistakes;
};

// As a file: every answer is a line; a line "mistake TAB name TAB says TAB hint" begins what a mistake answers.
std::string text_of(const Expected& expected);
Expected read_expected(const std::string& path);

struct Comparison {
    int right = 0, asked = 0;
    std::string name;        // of the first answer that differs; "" when all agree
    std::string difference;  // "element (0, 1) of (4, 6): yours 1, expected 0; 3 of 24 differ", or what was thrown
    std::string place;       // the same without numbers of the answer: "3 of 24 numbers differ, the first at (0, 1)"
    std::string cause;       // a mistake's sentence, or a relation; "" when nothing is known
    std::string hint;        // of the mistake
    std::string mistake;     // its name

    double share() const { return asked == 0 ? 0 : static_cast<double>(right) / asked; }
};

bool same_answer(const Answer& given, const Answer& expected);

Comparison compare(const std::vector<Answer>& given, const Expected& expected);
