// html.h: words as HTML: escaped, terminal colours as spans, formulas with raised and lowered letters, bytes in base64.
#pragma once
#include <string>
#include <string_view>
#include <vector>

// & < > " as entities; bytes that are not UTF-8 become U+FFFD.
std::string escaped(std::string_view words);

// Escaped lines, each with its end; codes of terminal colours become <span style="...">, other control codes are dropped.
std::string terminal_html(const std::vector<std::string>& lines);

// A formula in plain letters as a person would write it: x^2, x^(a b) raised, x_i, x_{ij} lowered, sqrt( as a root sign.
std::string formula_html(std::string_view formula);

// RFC 4648, with = at the end.
std::string base64(std::string_view bytes);
