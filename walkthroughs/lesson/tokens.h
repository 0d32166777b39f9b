// tokens.h: show the tokens of a text; read a text from the command line.
#pragma once
#include <string>
#include <vector>

#include "walkthroughs/lesson/pictures.h"

// A printable form of a token: a line end as an arrow, other control characters as a dot, bytes of incomplete characters as <D0>.
std::string shown_token(const std::string& token);

// Lines of at most `width` columns in which adjacent tokens have different backgrounds, or a bar between them in plain text.
//   tokens  any bytes, shown as above; a line end also ends the line
std::vector<std::string> token_lines(const std::vector<std::string>& tokens, Colours colours, int width = 100);

// The text of an option --text: the content of the file of this name if there is one, else the argument itself.
//   throws  std::invalid_argument when the file exists but cannot be read
std::string text_or_file(const std::string& words);
