// guesses.h: a guess about two matrices, which every single number must be able to refute.
#pragma once
#include <string>

#include "course/cause/compared.h"

using Guessing = std::string (*)(const Compared& c);

// What a hypothesis says of the two, with other values of the fixture.
std::string said(Guessing hypothesis, const Matrix& ours, const Matrix& expected, const Known& known = {});

// Checks that the hypothesis says this, and no longer when any one number of ours is another.
void check_guess(Guessing hypothesis, const Matrix& ours, const Matrix& expected, const std::string& words,
                 const Known& known = {});

// exp of the scores, divided by its sum in each row; hidden ones are 0.
inline constexpr float hidden = -1e30f;
Matrix weights_from(Matrix scores);
