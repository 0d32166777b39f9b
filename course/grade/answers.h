// answers.h: what a function answered when it was asked, as named matrices, and as text on the way from one process to another.
//
//   shows    that a grader need not believe the program that it grades: the program only answers, and does not hold what is
//            expected
//   format   a line for each answer: its name, a tab, rows and columns, then the numbers as hexadecimal floats, which lose
//            nothing; "!" in place of the sizes when the function threw, and then what it said
//   next     drawn.h asks; comparison.h compares
#pragma once
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "nn/autograd/variable.h"

struct Answer {
    std::string name;
    Matrix value;
    std::string error;  // what was thrown in place of a value
};

// Answers as they are given, one after the other; written at once where a file is given, so that those before a crash are kept.
class Answers {
public:
    explicit Answers(std::FILE* file = nullptr) : file(file) {}

    std::vector<Answer> list;

    // Keeps what question() gives, or what it throws: the questions after it are asked all the same.
    template <class Question>
    void ask(const std::string& name, const Question& question) {
        try {
            keep({name, value_of(question()), ""});
        } catch (const std::exception& error) {
            keep({name, Matrix(), one_line(error.what())});
        }
    }

private:
    std::FILE* file;

    void keep(Answer answer);
    static Matrix value_of(const Matrix& value) { return value; }
    static Matrix value_of(const Var& value) { return value.value(); }
    static Matrix value_of(float value) { return Matrix(1, 1, value); }
    static Matrix value_of(const std::vector<int>& values);
    static std::string one_line(const std::string& words);
};

std::string text_of(const Answer& answer);

// The answers of a text that may be anything: reading ends at the first line that is not an answer.
std::vector<Answer> read_answers(std::string_view text);
