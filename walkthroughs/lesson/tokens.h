// tokens.h: show the tokens of a text; read a text from the command line.
#pragma once
#include <string>
#include <vector>

#include "walkthroughs/lesson/pictures.h"

// A token in printable form: a line end as an arrow, other control characters as a dot, incomplete characters as bytes, <D0>.
std::string shown_token(const std::string& token);

// A text as a terminal may print it: control characters as a dot, so that a model cannot send the terminal commands; line ends and
// tabs stay.
std::string shown_text(const std::string& text);

// Lines of at most `width` columns in which adjacent tokens have different backgrounds, or a bar after each token in plain text.
//   tokens  any bytes, shown as above; a line end also ends the line
std::vector<std::string> token_lines(const std::vector<std::string>& tokens, Colours colours, int width = 71);

// The value of --text: the content of the file or pipe of this name when there is one, otherwise the words themselves.
//   throws  std::invalid_argument when the file exists but cannot be read, and for one word that ends in .txt and names no file
std::string text_or_file(const std::string& words);

// The names of the classes of a classifier, a line each; none without a path. Blank lines at the end do not count.
//   throws  std::invalid_argument when the file cannot be read or does not hold as many lines
std::vector<std::string> class_names(const std::string& path, int classes);

// The value of --language: "en" leaves out the Russian texts of a lesson, "ru" has both.   throws std::invalid_argument for others
bool only_english(const std::string& language);

// The lines of a text that are all ASCII.
std::string ascii_lines(const std::string& text);
