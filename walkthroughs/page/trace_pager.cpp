#include "walkthroughs/page/trace_pager.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/base/show.h"
#include "nn/data/text.h"
#include "walkthroughs/lesson/options.h"
#include "walkthroughs/lesson/pictures.h"
#include "walkthroughs/page/trace_text.h"

// ---- keys -------------------------------------------------------------------------------------------------------------------

PressedKey first_key(std::string_view sent, bool ended) {
    static constexpr std::pair<std::string_view, Key> known[] = {
        {"\x1b[A", Key::up},       {"\x1b[B", Key::down},       {"\x1b[C", Key::right}, {"\x1b[D", Key::left},
        {"\x1bOA", Key::up},       {"\x1bOB", Key::down},       {"\x1bOC", Key::right}, {"\x1bOD", Key::left},
        {"\x1b[5~", Key::page_up}, {"\x1b[6~", Key::page_down}, {"\x1b[H", Key::home},  {"\x1b[F", Key::end},
        {"\x1b[1~", Key::home},    {"\x1b[4~", Key::end},       {"\x1bOH", Key::home},  {"\x1bOF", Key::end},
        {"\r", Key::enter},        {"\n", Key::enter},          {"\x7f", Key::back},    {"\b", Key::back},
        {"q", Key::quit},          {"g", Key::gradient},        {"n", Key::not_finite}, {"\x04", Key::quit}};
    if (sent.empty()) return {};
    for (const auto& [bytes, key] : known)
        if (sent.starts_with(bytes)) return {key, bytes.size()};
    if (sent[0] != '\x1b') return {Key::other, 1};
    if (sent.size() == 1) return ended ? PressedKey{Key::back, 1} : PressedKey{};
    if (sent[1] != '[' && sent[1] != 'O') return {Key::back, 1};
    for (std::size_t k = 2; k < sent.size(); ++k)  // another sequence, as long as it is
        if (sent[k] >= '@' && sent[k] <= '~') return {Key::other, k + 1};
    return ended ? PressedKey{Key::other, sent.size()} : PressedKey{};
}

// ---- what is chosen ---------------------------------------------------------------------------------------------------------

TracePager::TracePager(const Trace& given) : trace(given), notes(source_notes(given)), list(trace_list(given, notes)) {
    require(!trace.values.empty(), "trace: it holds no value; the program computed nothing with a Var");
}

const Matrix& TracePager::shown() const {
    const TracedValue& value = trace.values[static_cast<std::size_t>(chosen)];
    return gradient ? value.gradient : value.value;
}

void TracePager::open(int index) {
    chosen = index;
    row = col = 0;
    inside = true;
    if (shown().empty()) gradient = false;
}

void TracePager::move(Key key) {
    const int page = 10;
    int& along = inside ? row : chosen;
    const int most = inside ? std::max(0, shown().rows - 1) : static_cast<int>(list.size()) - 1;
    if (key == Key::up) along -= 1;
    if (key == Key::down) along += 1;
    if (key == Key::page_up) along -= page;
    if (key == Key::page_down) along += page;
    if (key == Key::home) along = 0;
    if (key == Key::end) along = most;
    along = std::clamp(along, 0, most);
    if (key == Key::left) col -= 1;
    if (key == Key::right) col += 1;
    col = std::clamp(col, 0, std::max(0, shown().cols - 1));
}

bool TracePager::press(Key key) {
    const TracedValue& value = trace.values[static_cast<std::size_t>(chosen)];
    switch (key) {
        case Key::quit:
        case Key::back:
            if (!inside) return key != Key::quit;
            inside = gradient = false;
            return true;
        case Key::enter: {
            const auto input = std::find_if(value.inputs.begin(), value.inputs.end(), [](int k) { return k >= 0; });
            if (!inside)
                open(chosen);
            else if (input != value.inputs.end())
                open(*input);
            return true;
        }
        case Key::gradient:
            if (inside && !value.gradient.empty()) gradient = !gradient;
            return true;
        case Key::not_finite:
            if (first_not_finite(trace) >= 0) open(first_not_finite(trace));
            return true;
        default: move(key); return true;
    }
}

// ---- how it looks -----------------------------------------------------------------------------------------------------------

static std::string in_reverse(const std::string& words) { return "\x1b[7m" + words + "\x1b[0m"; }

// The beginning of a line, in at most `width` columns.
static std::string fitted(const std::string& line, int width) {
    std::string kept;
    for (const char32_t c : decode_utf8(line)) {
        const std::string letter = encode_utf8(c);
        if (display_width(kept + letter) > width) break;
        kept += letter;
    }
    return kept;
}

// The first of the `room` shown lines of `count`, such that line `at` is among them.
static int first_shown(int at, int count, int room) { return std::clamp(at - room / 2, 0, std::max(0, count - room)); }

std::vector<std::string> TracePager::list_screen(int width, int height) const {
    const int count = static_cast<int>(list.size()), first = first_shown(chosen, count, height - 1);
    std::vector<std::string> lines{
        fitted(joined({count, " values   arrows, Enter: its numbers   n: not finite   q: the end"}), width)};
    for (int k = first; k < std::min(count, first + height - 1); ++k) {
        const std::string line = fitted(list[static_cast<std::size_t>(k)], width);
        lines.push_back(k == chosen ? in_reverse(line) : line);
    }
    return lines;
}

std::vector<std::string> TracePager::value_screen(int width, int height) const {
    static constexpr int cell = 10, margin = 5;
    const TracedValue& value = trace.values[static_cast<std::size_t>(chosen)];
    const SourceNote& note = notes[static_cast<std::size_t>(chosen)];
    const Matrix& m = shown();
    const std::string name = note.name.empty() ? value.operation : note.name;
    std::vector<std::string> lines{fitted((gradient ? "gradient of " : "") + name + " " + shape(m) + "   arrows  g: " +
                                              (gradient ? "value" : "gradient") + "  Enter: first input  q: back",
                                          width),
                                   fitted(note.code, width)};
    const int across = std::max(1, (width - margin) / cell), down = std::max(1, height / 2 - 3);
    const int top = first_shown(row, m.rows, down), left = first_shown(col, m.cols, across);
    const auto right_aligned = [](const std::string& words, int columns) {
        return std::string(static_cast<std::size_t>(std::max(0, columns - display_width(words))), ' ') + words;
    };
    std::string heading(margin, ' ');
    for (int j = left; j < std::min(m.cols, left + across); ++j) heading += right_aligned(text(j), cell);
    lines.push_back(heading);
    for (int i = top; i < std::min(m.rows, top + down); ++i) {
        std::string line = right_aligned(text(i), margin);
        for (int j = left; j < std::min(m.cols, left + across); ++j) {
            const std::string all = fixed(m(i, j));
            const bool fits = static_cast<int>(all.size()) < cell;
            const std::string number = right_aligned(fits ? all : short_digits(static_cast<double>(m(i, j)), 3), cell);
            line += i == row && j == col ? in_reverse(number) : number;
        }
        lines.push_back(line);
    }
    lines.push_back("");
    for (const std::string& told :
         gradient ? explain_gradient(trace, notes, chosen, row, col) : explain_value(trace, notes, chosen, row, col))
        for (const std::string& line : wrapped(told, width)) lines.push_back(fitted(line, width));
    lines.resize(std::min(lines.size(), static_cast<std::size_t>(height)));
    return lines;
}

std::vector<std::string> TracePager::screen(int width, int height) const {
    return inside ? value_screen(width, height) : list_screen(width, height);
}

// ---- the terminal -----------------------------------------------------------------------------------------------------------

namespace {

constexpr std::array<int, 4> ending_signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr std::string_view enter_screen = "\x1b[?1049h\x1b[?25l", leave_screen = "\x1b[?25h\x1b[?1049l";

// What a signal handler needs to restore the terminal; it may only use simple types.
struct Kept {
    int in = -1, out = -1;
    termios settings = {};
} kept;

void set_back() {
    if (kept.in < 0) return;
    tcsetattr(kept.in, TCSANOW, &kept.settings);
    [[maybe_unused]] const ssize_t written = write(kept.out, leave_screen.data(), leave_screen.size());
    kept.in = -1;
}

void end_by_signal(int number) {
    set_back();
    raise(number);  // SA_RESETHAND: this time it ends the program
}

// Keys arrive at once and are not printed, on a screen of its own, as long as this object lives.
class RawTerminal {
public:
    RawTerminal(int in, int out) {
        termios settings{};
        if (tcgetattr(in, &settings) != 0) return;
        kept = {in, out, settings};
        struct sigaction action {};
        action.sa_handler = end_by_signal;
        action.sa_flags = static_cast<int>(SA_RESETHAND);
        for (std::size_t k = 0; k < ending_signals.size(); ++k) sigaction(ending_signals[k], &action, &before[k]);
        settings.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        settings.c_cc[VMIN] = 1;
        settings.c_cc[VTIME] = 0;
        settings.c_cc[VSUSP] = _POSIX_VDISABLE;  // a stopped program would leave the terminal as it is now
        tcsetattr(in, TCSANOW, &settings);
        [[maybe_unused]] const ssize_t written = write(out, enter_screen.data(), enter_screen.size());
        active = true;
    }
    ~RawTerminal() {
        if (!active) return;
        set_back();
        for (std::size_t k = 0; k < ending_signals.size(); ++k) sigaction(ending_signals[k], &before[k], nullptr);
    }
    RawTerminal(const RawTerminal&) = delete;

private:
    bool active = false;
    std::array<struct sigaction, ending_signals.size()> before{};
};

}  // namespace

// The next key; Key::quit at the end of the input.   sent  what has arrived and was not used yet
static Key next_key(int in, std::string& sent) {
    while (true) {
        pollfd waiting{in, POLLIN, 0};
        const bool ended = !sent.empty() && poll(&waiting, 1, 50) == 0;  // an escape sequence arrives at once
        const PressedKey pressed = first_key(sent, ended);
        if (pressed.bytes > 0) {
            sent.erase(0, pressed.bytes);
            return pressed.key;
        }
        char buffer[64];
        const ssize_t count = read(in, buffer, sizeof buffer);
        if (count <= 0) return Key::quit;
        sent.append(buffer, static_cast<std::size_t>(count));
    }
}

void page_trace(const Trace& trace, std::FILE* in, std::FILE* out) {
    TracePager pager(trace);
    std::fflush(out);
    const RawTerminal raw(fileno(in), fileno(out));
    std::string sent;
    do {
        winsize size{};
        const bool known = ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 20 && size.ws_row > 5;
        std::string page = "\x1b[H\x1b[2J";
        bool first = true;
        for (const std::string& line : pager.screen(known ? size.ws_col : 80, known ? size.ws_row : 24)) {
            page += (first ? "" : "\r\n") + line;
            first = false;
        }
        write_or_throw(page, out);
        std::fflush(out);
    } while (pager.press(next_key(fileno(in), sent)));
}
