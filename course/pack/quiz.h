// quiz.h: questions from the ledgers: the tables of the README files that say where the published code differs from its paper.
//
//   format   GIFT, which Moodle reads: ::name:: question { =right ~wrong ~wrong }; a plain text is made of the same questions
#pragma once
#include <string>
#include <vector>

struct QuizQuestion {
    std::string asked, right;
    std::vector<std::string> wrong;
};

// Questions about the ledger of a README: what does the published code do? The wrong answers are right ones of other rows.
std::vector<QuizQuestion> quiz_of(const std::string& readme, int seed, int most = 10);

std::string gift_text(const std::vector<QuizQuestion>& questions);

// The same on paper, the answers in an order that follows from the seed, and the key at the end.
std::string paper_text(const std::vector<QuizQuestion>& questions, int seed);
