// trace_pager.h: a trace on a whole terminal: arrow keys choose a value of the list and a cell of it; below is the arithmetic.
//
//   keys    list   up, down, page up, page down, Home, End    Enter: its numbers   n: the first that is not finite   q: the end
//           value  arrows: another cell   g: its gradient or its value   Enter: its first input   q, Esc, Backspace: the list
//   note    The terminal is restored however the pager ends: by q, at the end of the input, by an exception or by a signal.
//   next    trace_text.h has the same as typed commands, for a pipe
#pragma once
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "nn/autograd/trace.h"
#include "walkthroughs/page/trace_page.h"

enum class Key {
    unfinished,
    other,
    up,
    down,
    left,
    right,
    page_up,
    page_down,
    home,
    end,
    enter,
    back,
    quit,
    gradient,
    not_finite
};

struct PressedKey {
    Key key = Key::unfinished;
    std::size_t bytes = 0;  // of the key; 0 when more must arrive first
};
// The first key in what a terminal has sent: "\x1b[A" is up.   ended  nothing follows soon, so an escape byte alone is the key Esc
PressedKey first_key(std::string_view sent, bool ended = false);

// What is chosen and how it looks, without a terminal.
class TracePager {
public:
    explicit TracePager(const Trace& trace);

    bool press(Key key);  // false: the end
    // At most `height` lines of at most `width` columns; the chosen line or cell is in reverse video.
    std::vector<std::string> screen(int width, int height) const;

private:
    const Trace& trace;
    std::vector<SourceNote> notes;
    std::vector<std::string> list;
    int chosen = 0, row = 0, col = 0;
    bool inside = false, gradient = false;  // one value is shown; its gradient

    const Matrix& shown() const;
    void open(int index);
    void move(Key key);
    std::vector<std::string> list_screen(int width, int height) const;
    std::vector<std::string> value_screen(int width, int height) const;
};

// Lets a person browse on the terminal of `in` and `out`.
void page_trace(const Trace& trace, std::FILE* in, std::FILE* out);
