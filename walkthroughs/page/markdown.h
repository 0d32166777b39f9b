// markdown.h: the README files as HTML: headings, paragraphs, lists, tables, blocks of code, links, `code` and **bold**.
//
//   note     It supports only what the README files of this project use; comments <!-- --> are dropped.
#pragma once
#include <functional>
#include <string>
#include <string_view>

// Where a link leads in the book; "" makes plain words of it.
using LinkTarget = std::function<std::string(const std::string& target)>;

std::string markdown_html(std::string_view markdown, const LinkTarget& target);

// The lines of a section, from the heading "## NAME" to the next one of its kind; "" when there is none.
std::string markdown_section(std::string_view markdown, std::string_view heading);
