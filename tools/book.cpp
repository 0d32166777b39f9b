// book.cpp: contents, README files, systems and ledgers around the pages of the lessons; `make pages` runs it.
//   book FOLDER FILE      the file holds the table of systems
#include <cstdio>
#include <exception>

#include "nn/data/file.h"
#include "walkthroughs/page/book.h"

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr,
                     "book: a folder with the pages of the lessons and a file with the table of systems are needed; make pages "
                     "gives them\n");
        return 2;
    }
    try {
        write_book(argv[1], read_file(argv[2]));
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    return 0;
}
