// tokens.h: a text with its tokens made visible, and the text itself from the command line.
#pragma once
#include <string>
#include <vector>

#include "walkthroughs/lesson/pictures.h"

// A token as it can be printed in any table: a line end as an arrow, other control characters as a dot, bytes that are no whole
// character as <D0>.
std::string shown_token(const std::string& token);

// Lines of at most `width` places in which neighbouring tokens have different backgrounds, or a bar between them in plain text.
//   tokens  any bytes, shown as above; a line end also ends the line
std::vector<std::string> token_lines(const std::vector<std::string>& tokens, Colours colours, int width = 100);

// What --text was given: the content of the file of this name when there is one, the words themselves otherwise.
//   throws  std::invalid_argument when there is such a file, but it cannot be read
std::string text_or_file(const std::string& words);
