// book.h: the pages of all lessons as one book: contents, the README files with their maps, the table of systems, the ledgers.
//
//   use      write_book("build/pages", systems);  // after every lesson has written build/pages/FOLDER/NAME.html
//   note     Links are relative, so the folder can lie anywhere: on a disk, on any web server.
#pragma once
#include <string>
#include <vector>

// Writes index.html, systems.html, ledgers.html and a page for each README.md into the folder in which the lessons' pages lie, and
// gives those a link to index.html.
//   systems  the table of systems, in Markdown
//   throws   std::invalid_argument when no lesson has written a page there, or a file cannot be written
void write_book(const std::string& folder, const std::string& systems);

// Where a link of a README leads in the book, seen from the page that holds it: a lesson's source leads to its page, a folder or a
// README to the README's page, an address of the web stays; "" for what the book does not hold.
//   from    the README's path: "vit/README.md"
//   pages   what the book holds: "vit/mae.html", "vit/README.html"
std::string link_in_book(const std::string& target, const std::string& from, const std::vector<std::string>& pages);
