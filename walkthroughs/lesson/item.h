// item.h: the content of a lesson as data, one item per call; lesson.cpp writes it as text, walkthroughs/page/page.cpp as a web
// page.
#pragma once
#include <string>
#include <vector>

#include "nn/base/matrix.h"
#include "walkthroughs/lesson/pictures.h"

struct Item {
    enum class Kind { step, say, why, predict, code, matrix, pictures, curves, table, lines, claim };

    Kind kind = Kind::say;
    std::string words = {};               // the question, the prose, the name of the matrix, the claim
    std::string equation = {};            // of a step
    std::string source = {};              // where the equation comes from; where the code is
    std::string answer = {};              // of a prediction; "" when the lesson gives none
    std::vector<std::string> lines = {};  // of code, or as they are
    Matrix matrix = {};
    int most = 8;  // rows and columns of the matrix that a text shows
    std::vector<Captioned> pictures = {};
    std::vector<Series> series = {};
    AxisNames axes = {};
    std::vector<std::vector<std::string>> rows = {};  // of a table; rows[0] is the heading
    bool holds = true;                                // of a claim
};
