// suspects.h: recognises a mistake by the failure that it makes. Two programs with the same mistake fail the same test with the
// same numbers, however differently they are written.
//
//   format   course/suspects.txt, written by make mistakes: a line for each mistake and test case that it breaks:
//            mistake TAB title of the case TAB the text of its first failure
//   agrees   when the words are the same and each number is within 2 in 1000; at least one number with a point, or three different
//            ones, must be there
//   silent   when more than three mistakes make this failure
//   next     tests/main.cpp asks about the first failure of every case
#pragma once
#include <string>
#include <vector>

struct Suspect {
    std::string mistake, title, failure;
};

// The lines of such a file; none when it is not there.
std::vector<Suspect> read_suspects(const std::string& path = "course/suspects.txt");
std::string suspects_text(const std::vector<Suspect>& suspects);

// One line, without what the cause finder adds, so that it can be compared.
std::string comparable(const std::string& failure);

// Whether a failure is specific enough to identify a mistake; "CHECK( false )" is not.
bool is_specific(const std::string& failure);

bool same_failure(const std::string& a, const std::string& b);

// The names of the mistakes that make this failure, each once; {} when none is known, or more than three.
std::vector<std::string> suspected(const std::vector<Suspect>& suspects, const std::string& title, const std::string& failure);
