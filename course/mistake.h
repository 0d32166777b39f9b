// mistake.h: the table of classic mistakes, one small file each in course/mistakes.
//
//   shows    that the tests bite: make mistakes plants each of them, and a test must fail
//   format   every line is a key of at most 8 letters, spaces up to column 10, a value:
//                says     the 1 / sqrt(h) of the attention weights is missing
//                hint     how large is a product of h random terms?
//                file     nn/layers/attention.cpp
//                before   ...          the text that is taken out; it occurs exactly once in the file
//                after    ...          what is put in its place; several lines of before or after are lines of text
//                caught   attention: the scale is 1 / sqrt(head width), not 1 / sqrt(D)     suite and title of a test
//   next     run_mistakes.cpp plants them, suspects.h recognises them by the numbers that they give
#pragma once
#include <string>
#include <vector>

struct Mistake {
    std::string name;  // the file's, without folder and ending
    std::string says, hint, file, before, after;
    std::string suite, title;  // of the test that must catch it
};

// throws std::invalid_argument with path and line when a key is unknown, missing, or given twice where one line is meant
Mistake read_mistake(const std::string& path);

// All of course/mistakes, by name.
std::vector<Mistake> all_mistakes(const std::string& folder = "course/mistakes");

// The text of mistake.file with the mistake in it.
//   throws std::invalid_argument when `before` does not occur exactly once in the text
std::string with_mistake(const std::string& text, const Mistake& mistake);
