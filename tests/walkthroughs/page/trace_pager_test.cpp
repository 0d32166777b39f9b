#include "walkthroughs/page/trace_pager.h"

#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>

#include "nn/autograd/operations.h"
#include "nn/data/file.h"
#include "nn/data/text.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/walkthroughs/pseudo_terminal.h"
#include "walkthroughs/lesson/pictures.h"

TEST_SUITE_BEGIN("trace_pager");

static Key key_of(std::string_view sent, bool ended = false) { return first_key(sent, ended).key; }

TEST_CASE("first_key: arrows and pages in both spellings, letters, and how many bytes a key has") {
    CHECK(key_of("\x1b[A") == Key::up);
    CHECK(key_of("\x1b[B") == Key::down);
    CHECK(key_of("\x1b[C") == Key::right);
    CHECK(key_of("\x1b[D") == Key::left);
    CHECK(key_of("\x1bOA") == Key::up);
    CHECK(key_of("\x1b[5~") == Key::page_up);
    CHECK(key_of("\x1b[6~") == Key::page_down);
    CHECK(key_of("\x1b[H") == Key::home);
    CHECK(key_of("\x1b[4~") == Key::end);
    CHECK(key_of("\r") == Key::enter);
    CHECK(key_of("\n") == Key::enter);
    CHECK(key_of("\x7f") == Key::back);
    CHECK(key_of("q") == Key::quit);
    CHECK(key_of("x") == Key::other);
    CHECK(key_of("\x1bOB") == Key::down);
    CHECK(key_of("\x1bOC") == Key::right);
    CHECK(key_of("\x1bOD") == Key::left);
    for (const char* const home : {"\x1b[1~", "\x1bOH"}) CHECK(key_of(home) == Key::home);
    for (const char* const end : {"\x1b[F", "\x1bOF"}) CHECK(key_of(end) == Key::end);
    CHECK(key_of("\b") == Key::back);
    CHECK(key_of("\x04") == Key::quit);
    CHECK(key_of("g") == Key::gradient);
    CHECK(key_of("n") == Key::not_finite);
    CHECK(first_key("\x1b[5~q").bytes == 4);
    CHECK(first_key("\x1b[Aq").bytes == 3);  // one key after the other
    CHECK(first_key("q\x1b[A").bytes == 1);
    CHECK(first_key("x\x1b[A").bytes == 1);
}

TEST_CASE(
    "first_key: a sequence that has not arrived is waited for; Esc alone is a key when nothing follows; others are skipped whole") {
    CHECK(first_key("").bytes == 0);
    CHECK(first_key("\x1b").bytes == 0);
    CHECK(first_key("\x1b[").bytes == 0);
    CHECK(first_key("\x1b[5").bytes == 0);
    CHECK(key_of("\x1b", true) == Key::back);
    CHECK(key_of("\x1bq") == Key::back);
    CHECK(first_key("\x1bq").bytes == 1);
    CHECK(key_of("\x1b[1;5A") == Key::other);  // control and up
    CHECK(first_key("\x1b[1;5Aq").bytes == 6);
    CHECK(first_key("\x1b[5", true).bytes == 3);
    CHECK(first_key("\x1b", true).bytes == 1);
    CHECK(key_of("\x1bxO") == Key::back);
    for (const std::string unknown : {"\x1bOP", "\x1b[Z", "\x1b[@", "\x1b[9~"}) {
        CHECK(key_of(unknown + "q") == Key::other);
        CHECK(first_key(unknown + "q").bytes == unknown.size());
    }
}

static Trace small_trace() {
    Tracing tracing;
    const Var a = parameter(Matrix{{1, 2, 3}, {4, 5, 6}});
    const Tape tape;
    backward(sum(scale(a, 2)));
    return tracing.trace();
}

static std::string page_of(const TracePager& pager, int width = 80, int height = 24) {
    std::string page;
    for (const std::string& line : pager.screen(width, height)) page += line + "\n";
    return page;
}

static bool shows(const TracePager& pager, const std::string& words) { return page_of(pager).find(words) != std::string::npos; }

TEST_CASE("TracePager: down and Enter open a value, arrows choose its cell, and its arithmetic is shown below") {
    const Trace trace = small_trace();
    TracePager pager(trace);
    CHECK(shows(pager, "3 values"));
    CHECK(shows(pager, "\x1b[7m    0"));
    CHECK(pager.press(Key::up));  // the first one stays
    CHECK(shows(pager, "\x1b[7m    0"));
    CHECK(pager.press(Key::down));
    CHECK(shows(pager, "\x1b[7m    1"));
    CHECK(pager.press(Key::enter));
    CHECK(shows(pager, "\x1b[7m    2.0000\x1b[0m"));
    for (const Key key : {Key::right, Key::down, Key::down, Key::right, Key::right}) CHECK(pager.press(key));
    CHECK(shows(pager, "\x1b[7m   12.0000\x1b[0m"));
    CHECK(shows(pager, "= 12, and the program has 12"));
    CHECK(pager.press(Key::gradient));
    CHECK(shows(pager, "gradient of"));
    CHECK(shows(pager, "= 1, and the program has 1"));
    CHECK(pager.press(Key::enter));  // its input a
    CHECK(shows(pager, "= 2, and the program has 2"));
    CHECK(pager.press(Key::quit));  // back to the list
    CHECK(shows(pager, "\x1b[7m    0"));
    CHECK(pager.press(Key::back));
    CHECK_FALSE(pager.press(Key::quit));
}

TEST_CASE(
    "TracePager: no line is wider than the terminal, there are no more lines than it has, and the chosen one is among them") {
    Tracing tracing;
    Var x = parameter(Matrix(40, 30, 0.5f));
    for (int k = 0; k < 50; ++k) x = scale(x, 1.5f);
    const Trace trace = tracing.trace();
    TracePager pager(trace);
    for (const Key key : {Key::page_down, Key::end, Key::enter, Key::end, Key::right, Key::page_up, Key::back, Key::home}) {
        pager.press(key);
        for (const auto& [width, height] : {std::pair{40, 10}, {100, 30}}) {
            const std::vector<std::string> lines = pager.screen(width, height);
            CHECK(static_cast<int>(lines.size()) <= height);
            for (const std::string& line : lines) CHECK(display_width(line) <= width);
            CHECK(std::any_of(lines.begin(), lines.end(),
                              [](const std::string& l) { return l.find("\x1b[7m") != std::string::npos; }));
        }
    }
    CHECK_THROWS_AS(TracePager(Trace{}), std::invalid_argument);
}

TEST_CASE("TracePager: a value's screen: its name, its line, numbers of rows and columns, ten columns for each number") {
    const Trace trace = small_trace();
    TracePager pager(trace);
    pager.press(Key::down);
    pager.press(Key::enter);
    pager.press(Key::down);
    std::vector<std::string> lines = pager.screen(80, 24);
    REQUIRE(lines.size() > 6);
    CHECK(lines[0] == "scale (2, 3)   arrows  g: gradient  Enter: first input  q: back");
    CHECK(lines[1] == "backward(sum(scale(a, 2)));");
    CHECK(lines[2] == "              0         1         2");
    CHECK(lines[3] == "    0    2.0000    4.0000    6.0000");
    CHECK(lines[4] == "    1\x1b[7m    8.0000\x1b[0m   10.0000   12.0000");
    CHECK(lines[5].empty());
    for (const Key key : {Key::left, Key::left, Key::right, Key::home}) pager.press(key);
    CHECK(pager.screen(80, 24)[3] == "    0    2.0000\x1b[7m    4.0000\x1b[0m    6.0000");
    for (const Key key : {Key::page_down, Key::gradient}) pager.press(key);
    lines = pager.screen(80, 24);
    CHECK(lines[0] == "gradient of scale (2, 3)   arrows  g: value  Enter: first input  q: back");
    CHECK(lines[4] == "    1    1.0000\x1b[7m    1.0000\x1b[0m    1.0000");
    pager.press(Key::gradient);
    CHECK(pager.screen(80, 24)[0].starts_with("scale (2, 3)"));
    pager.press(Key::gradient);
    pager.press(Key::enter);  // its input: the first cell again, and still the gradient
    CHECK(pager.screen(80, 24)[0].starts_with("gradient of a (2, 3)"));
    CHECK(pager.screen(80, 24)[3].starts_with("    0\x1b[7m"));
    pager.press(Key::enter);  // which has no input
    CHECK(pager.screen(80, 24)[0].starts_with("gradient of a (2, 3)"));
    pager.press(Key::back);
    pager.press(Key::enter);  // opened from the list it is the value
    CHECK(pager.screen(80, 24)[0].starts_with("a (2, 3)"));
}

TEST_CASE(
    "TracePager: of a long list and a large matrix the part around the choice is shown; numbers that need ten columns are shortened") {
    Tracing tracing;
    Matrix numbers(40, 30, 1234.5678f);
    numbers(39, 29) = 12345.678f;
    Var x = parameter(numbers);
    for (int k = 0; k < 50; ++k) x = scale(x, 1);
    const Trace trace = tracing.trace();
    TracePager pager(trace);
    for (int k = 0; k < 25; ++k) pager.press(Key::down);
    std::vector<std::string> lines = pager.screen(60, 10);
    REQUIRE(lines.size() == 10);
    CHECK(lines[0] == "51 values   arrows, Enter: its numbers   n: not finite   q: ");
    CHECK(lines[1].starts_with("   21"));
    CHECK(lines[5].starts_with("\x1b[7m   25"));
    CHECK(lines[9].starts_with("   29"));
    for (const auto& [key, number] : {std::pair{Key::page_up, "   15"},
                                      {Key::page_up, "    5"},
                                      {Key::page_up, "    0"},
                                      {Key::page_down, "   10"},
                                      {Key::end, "   50"},
                                      {Key::down, "   50"},
                                      {Key::home, "    0"}}) {
        pager.press(key);
        CHECK(shows(pager, std::string("\x1b[7m") + number));
    }
    pager.press(Key::end);
    lines = pager.screen(60, 10);
    REQUIRE(lines.size() == 10);
    CHECK(lines[1].starts_with("   42"));
    CHECK(lines[9].starts_with("\x1b[7m   50"));
    pager.press(Key::home);
    CHECK(pager.screen(60, 10)[9].starts_with("    8"));  // at the beginning the screen is full all the same
    pager.press(Key::not_finite);                         // all are finite: nothing is opened
    CHECK(shows(pager, "51 values"));
    pager.press(Key::enter);
    pager.press(Key::gradient);  // nothing has flowed in
    pager.press(Key::end);
    for (int k = 0; k < 40; ++k) pager.press(Key::right);
    lines = pager.screen(40, 10);  // three columns and two rows
    CHECK(lines[0].starts_with("x (40, 30)"));
    CHECK(lines[2] == "             27        28        29");
    CHECK(lines[3] == "   38 1234.5677 1234.5677 1234.5677");
    CHECK(lines[4] == "   39 1234.5677 1234.5677\x1b[7m  1.23e+04\x1b[0m");
    pager.press(Key::home);
    for (int k = 0; k < 40; ++k) pager.press(Key::left);
    CHECK(pager.screen(40, 10)[2] == "              0         1         2");
    CHECK(pager.screen(24, 10)[2] == "              0");
    CHECK(pager.screen(40, 4).size() == 4);
}

TEST_CASE("TracePager: one step is one value, row or column; a matrix of one row has no second; what has no gradient is shown") {
    Tracing tracing;
    {
        const Tape tape;
        const Var x = Matrix{{1, 2, 3, 4}}, w = parameter(Matrix{{1}, {2}, {3}, {4}});
        backward(sum(scale(scale(matmul(x, w), 2), 3)));
    }
    const Trace trace = tracing.trace();  // x, w, the product, two scaled, the sum
    TracePager pager(trace);
    for (const Key key : {Key::down, Key::down, Key::down, Key::down, Key::down}) pager.press(key);
    std::vector<std::string> lines = pager.screen(80, 8);  // all fit
    REQUIRE(lines.size() == 7);
    CHECK(lines[1].starts_with("    0"));
    CHECK(lines[6].starts_with("\x1b[7m    5"));
    pager.press(Key::up);
    CHECK(shows(pager, "\x1b[7m    4"));
    for (const Key key : {Key::home, Key::enter, Key::down, Key::end, Key::right, Key::right, Key::right, Key::left})
        pager.press(key);
    CHECK(pager.screen(80, 8)[3] == "    0    1.0000    2.0000\x1b[7m    3.0000\x1b[0m    4.0000");
    for (const Key key : {Key::back, Key::down, Key::enter, Key::right, Key::down, Key::down, Key::down, Key::up})
        pager.press(key);
    lines = pager.screen(80, 8);  // room for one row
    CHECK(lines[2] == "              0");
    CHECK(lines[3] == "    2\x1b[7m    3.0000\x1b[0m");
    CHECK(lines[4].empty());
    for (const Key key : {Key::back, Key::down, Key::enter, Key::gradient}) pager.press(key);
    CHECK(pager.screen(80, 24)[0].starts_with("gradient of matmul (1, 1)"));
    pager.press(Key::enter);
    CHECK(pager.screen(80, 24)[0].starts_with("x (1, 4)   arrows  g: gradient"));
}

TEST_CASE("TracePager: a number of a row may need all columns of the margin") {
    Tracing tracing;
    const Var x = scale(Matrix(10'001, 1, 1), 2);
    const Trace trace = tracing.trace();
    TracePager pager(trace);
    for (const Key key : {Key::end, Key::enter, Key::end}) pager.press(key);
    CHECK(pager.screen(80, 24)[11] == "10000\x1b[7m    2.0000\x1b[0m");
}

TEST_CASE("TracePager: n opens the first value that is not finite, be it the first of all") {
    {
        Tracing tracing;
        const Var first = scale(Matrix{{NAN}}, 1);
        const Trace trace = tracing.trace();
        TracePager pager(trace);
        pager.press(Key::down);
        pager.press(Key::not_finite);
        CHECK(pager.screen(80, 24)[3] == "    0\x1b[7m       nan\x1b[0m");
        CHECK(pager.screen(80, 24)[0].find("scale") == std::string::npos);
    }
    Tracing tracing;
    const Var bad = log(Matrix{{-1}});
    const Trace trace = tracing.trace();
    TracePager pager(trace);
    CHECK(pager.press(Key::not_finite));
    CHECK(shows(pager, "nan"));
}

// ---- the terminal ---------------------------------------------------------------------------------------------------------

namespace {
using Handler = void (*)(int);
using Settings = std::array<tcflag_t, 7>;  // of a terminal: its four words of flags, its stop key, VMIN and VTIME

struct Pager {
    pid_t process;
    int wait() const {
        int status = 0;
        waitpid(process, &status, 0);
        return status;
    }
};
}  // namespace

static constexpr std::array<int, 4> ending_signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const std::string enter_screen = "\x1b[?1049h\x1b[?25l", leave_screen = "\x1b[?25h\x1b[?1049l", clear = "\x1b[H\x1b[2J";

static Settings settings_of(const PseudoTerminal& terminal) {
    termios now{};
    tcgetattr(terminal.end(), &now);
    return {now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag, now.c_cc[VSUSP], now.c_cc[VMIN], now.c_cc[VTIME]};
}

static bool all_signals_end_the_program() {
    return std::all_of(ending_signals.begin(), ending_signals.end(), [](int number) {
        struct sigaction action {};
        sigaction(number, nullptr, &action);
        return action.sa_handler == Handler{SIG_DFL};
    });
}

// page_trace in a process of its own at this terminal, which returns 0 if it restored what signals do.
static Pager started(const Trace& trace, const PseudoTerminal& terminal) {
    const pid_t child = fork();
    if (child != 0) return {child};
    alarm(300);  // a pager that never ends is ended
    for (const int number : ending_signals) std::signal(number, SIG_DFL);
    dup2(terminal.end(), STDIN_FILENO);
    page_trace(trace, stdin, fdopen(terminal.end(), "w"));
    _exit(all_signals_end_the_program() ? 0 : 1);
}

static std::string as_written(const TracePager& pager, int width, int height) {
    std::string page = clear;
    for (const std::string& line : pager.screen(width, height)) page += (page == clear ? "" : "\r\n") + line;
    return page;
}

TEST_CASE("page_trace: keys act at once and are not printed, on a screen of its own; then the terminal is as before") {
    const Trace trace = small_trace();
    PseudoTerminal terminal(40, 8);
    if (!terminal) return;
    const Settings before = settings_of(terminal);
    const Pager pager = started(trace, terminal);
    TracePager expected(trace);
    std::string written = terminal.read_until(clear);
    CHECK(written == enter_screen + clear);
    const Settings during = settings_of(terminal);
    CHECK((during[3] & (ICANON | ECHO)) == 0);
    CHECK(during[4] == _POSIX_VDISABLE);
    CHECK(during[5] == 1);  // a read waits for one byte
    CHECK(during[6] == 0);
    // the second value, its numbers; Esc, which nothing follows: the list again
    written = clear;
    std::string screens = as_written(expected, 40, 8);
    for (const auto& [keys, pressed] : std::vector<std::pair<std::string, std::vector<Key>>>{
             {"\x1b[B", {Key::down}}, {"\r", {Key::enter}}, {"\x1b[Cg\x1b", {Key::right, Key::gradient, Key::back}}}) {
        terminal.type(keys);
        for (const Key key : pressed) {
            written += terminal.read_until(clear);
            expected.press(key);
            screens += as_written(expected, 40, 8);
        }
    }
    CHECK(written + as_written(expected, 40, 8).substr(clear.size()) == screens);
    terminal.resize(60, 9);
    terminal.type("\x1b[A");
    screens = as_written(expected, 40, 8);
    expected.press(Key::up);
    written = clear + terminal.read_until(clear);
    terminal.type("q");
    written += terminal.read_until(leave_screen);
    CHECK(written == screens + as_written(expected, 60, 9) + leave_screen);
    CHECK(pager.wait() == 0);
    CHECK(settings_of(terminal) == before);
}

TEST_CASE(
    "page_trace: without a terminal one screen of 80 x 24 for each key until the input ends, and signals stay as they are") {
    const Trace trace = small_trace();
    const TemporaryFolder folder;
    std::FILE* const in = std::fopen(folder.file("in", "\x1b[B").c_str(), "r");
    std::FILE* const out = std::fopen(folder.path("out").c_str(), "w");
    const Handler before = std::signal(SIGTERM, SIG_IGN);
    page_trace(trace, in, out);
    CHECK((std::signal(SIGTERM, before) == SIG_IGN));
    std::fclose(in);
    std::fclose(out);
    TracePager expected(trace);
    std::string screens = as_written(expected, 80, 24);
    expected.press(Key::down);
    screens += as_written(expected, 80, 24);
    CHECK(read_file(folder.path("out")) == screens);
}

TEST_CASE("page_trace: a signal that ends the program restores the terminal first") {
    const Trace trace = small_trace();
    for (const int number : ending_signals) {
        PseudoTerminal terminal;
        if (!terminal) return;
        const Settings before = settings_of(terminal);
        const Pager pager = started(trace, terminal);
        terminal.read_until(clear);
        CHECK(settings_of(terminal) != before);
        kill(pager.process, number);
        const int status = pager.wait();
        CHECK(WIFSIGNALED(status));
        CHECK(WTERMSIG(status) == number);
        CHECK(settings_of(terminal) == before);
        CHECK(terminal.read_until(leave_screen).ends_with(leave_screen));
    }
}

TEST_CASE(
    "page_trace: a terminal of more than 20 columns and 5 rows is filled; one that is smaller or unknown counts as 80 x 24") {
    Tracing tracing;
    Var x = parameter(Matrix{{1}});
    for (int k = 0; k < 40; ++k) x = scale(x, 1);
    const Trace trace = tracing.trace();
    const TracePager pager(trace);
    const auto first_screen = [&](int columns, int rows) {
        PseudoTerminal terminal(columns, rows);
        if (!terminal) return as_written(pager, columns, rows);
        const Pager shown = started(trace, terminal);
        terminal.type("q");
        terminal.read_until(enter_screen);
        const std::string written = terminal.read_until(leave_screen);
        shown.wait();
        return written.substr(0, written.find(leave_screen));
    };
    CHECK(first_screen(21, 6) == as_written(pager, 21, 6));
    for (const auto& [columns, rows] : {std::pair{20, 6}, {21, 5}, {0, 0}})
        CHECK(first_screen(columns, rows) == as_written(pager, 80, 24));
}

TEST_SUITE_END();
