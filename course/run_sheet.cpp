// run_sheet.cpp: prints a worksheet, its key or its page, or checks typed answers: run_sheet NAME --seed 7 --check answers.txt
#include <cstdio>
#include <exception>

#include "course/sheets/sheet_command.h"

int main(int argc, char** argv) {
    try {
        return sheet_command({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "run_sheet: %s\n", error.what());
        return 2;
    }
}
