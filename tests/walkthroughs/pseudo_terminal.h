// pseudo_terminal.h: a terminal without a screen: what is written to it can be read, and keys be typed at it.
//
//   note  some systems in containers have none, then it is false; it passes bytes on as they are (no "\n" becomes "\r\n")
#pragma once
#include <functional>
#include <string>
#include <string_view>

class PseudoTerminal {
public:
    explicit PseudoTerminal(int columns = 80, int rows = 24);
    ~PseudoTerminal();
    PseudoTerminal(const PseudoTerminal&) = delete;

    explicit operator bool() const { return program >= 0; }
    int end() const { return program; }  // the descriptor for a program that reads and writes here
    void resize(int columns, int rows) const;
    void type(std::string_view keys) const;

    // What was written, up to and including `last`; everything if `last` does not arrive within ten seconds.
    std::string read_until(std::string_view last);

private:
    int person = -1, program = -1;
    std::string arrived;  // and was not read yet
};

// What `run` writes to descriptor `output` when that is a terminal that is not dumb; empty if there is none.
std::string shown_at_terminal(int output, const std::function<void()>& run);
