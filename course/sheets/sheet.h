// sheet.h: worksheets for pencil and paper. The numbers are drawn from a seed, the answers computed by the functions of the project.
//
//   shows    that an exam and the code cannot disagree: every answer is what the function that the sheet is about returns
//   numbers  chosen so that they can be computed by hand: scores are 0, ln 2 or ln 3, so attention weights are fractions; the
//            standard deviation of a row is whole; discounts are 1 and 1/2
//   use      const Sheet sheet = make_sheet("attention", 7);
//            sheet_text(sheet), sheet_html(sheet)     to print
//            check_answers(sheet, "A = 1/4\nB = 3")   a verdict for each question
//   next     arithmetic.cpp, text.cpp, learning.cpp: the sheets; sheet_command.h prints and checks them
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/base/random.h"

struct Question {
    std::string label;  // "A", "B", ...: what an answer line begins with
    std::string asked;  // "the weight of key 2 in row 0"
    double number = 0;  // the answer
    std::string words;  // the answer where it is not a number; then `number` is not used
};

struct Sheet {
    std::string name, title, equation;
    std::string header;              // of the function that computes the answers
    std::vector<std::string> given;  // lines
    std::vector<Question> questions;

    void ask(const std::string& what, double answer);
    void ask_words(const std::string& what, const std::string& answer);
};

// The worksheets, in teaching order.
std::vector<std::string> sheet_names();

//   throws  std::invalid_argument for an unknown name, listing the known ones
Sheet make_sheet(const std::string& name, int seed);

// A seed for a student: the same name gives the same numbers.
int seed_of(std::string_view student);

// As text of at most 80 columns; with the answers if `key`.
std::string sheet_text(const Sheet& sheet, bool key = false);
// As a page to print.
std::string sheet_html(const Sheet& sheet, bool key = false);

// "7/3", "-2", "0.25", "ln 3", "-ln 2", "3 ln 2".   returns nothing for anything else
std::optional<double> number_of(std::string_view words);

struct Verdict {
    std::string label;
    bool right = false;
    std::string comment;  // "right", "wrong", "missing", "not a number: abc"
};
// One verdict for each question. A line of answers is "A = 7/3"; other lines are skipped. A number is right within 0.005 of the
// answer, so two decimals are enough; words are compared without white space at their ends.
std::vector<Verdict> check_answers(const Sheet& sheet, std::string_view answers);

// --- for the sheets themselves ---

// Makes a worksheet known under a name; `order` is its place in the list.
struct SheetMaker {
    SheetMaker(int order, const char* name, void (*fill)(Sheet& sheet, Random& random));
};

// Logarithms of whole numbers, the rows equally long: as a matrix, and as lines "0   ln 2   ln 3", columns aligned.
Matrix logarithms(const std::vector<std::vector<int>>& arguments);
std::vector<std::string> logarithm_rows(const std::vector<std::vector<int>>& arguments);

// A row of whole numbers as a line, columns aligned with those of logarithm_rows.
std::string row_text(const Matrix& m, int row);
