// body.h: the body of one function in the text of a source file: found by its signature, taken out, put back in. There are no
// marks in the pages that people read.
//
//   shows    that an assignment can be made from a solution, and a submission graded inside it, by moving one piece of text
//   safety   what a student wrote is text until it is compiled. `objection` refuses everything by which a body could reach beyond
//            its own braces while it is compiled: the preprocessor, assembler, braces that close the function early
#pragma once
#include <string>
#include <vector>

// A word, a number or one character of punctuation, and where it stands.
struct Token {
    std::string word;
    std::size_t begin, end;
};

// The tokens of C++ source. Comments and the contents of literals are not tokens.
//   complaint  if given: why the text ends inside a comment or a literal, "" when it does not
std::vector<Token> tokens_of(const std::string& text, std::string* complaint = nullptr);

// The text between the braces of the function with this signature; white space in it does not matter.
//   throws  std::invalid_argument, beginning with `place`, when the signature does not occur exactly once
std::string body_of(const std::string& text, const std::string& signature, const std::string& place);

// The same text with another body.
std::string with_body(const std::string& text, const std::string& signature, const std::string& body, const std::string& place);

// The checks of the arguments at the beginning of a body: `require(...)`, `check(...)`, loops of nothing else, and the constants
// that these need; up to the last check, "" when it does not begin with any.
std::string leading_checks(const std::string& body);

// The text in which the function only says that it is not written yet; its checks stay. A pragma in the first line keeps the
// compiler from warning of what is not used until it is.
//   name      of the task
//   contract  where the student finds what to write
std::string blanked(const std::string& text, const std::string& signature, const std::string& name, const std::string& contract,
                    const std::string& place);

// What blanked() makes a function say when it is called.
std::string not_written(const std::string& name);

// Whether a body still says so outside comments.
bool is_blank(const std::string& body, const std::string& name);

// Why a body is not accepted, in one line; "" when it is.
//   without  names that this task does not allow
std::string objection(const std::string& body, const std::vector<std::string>& without);
