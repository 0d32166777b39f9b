#include "tests/walkthroughs/pseudo_terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/this_process.h"

PseudoTerminal::PseudoTerminal(int columns, int rows) : person(posix_openpt(O_RDWR | O_NOCTTY)) {
    if (person < 0 || grantpt(person) != 0 || unlockpt(person) != 0) return;
    program = open(ptsname(person), O_RDWR | O_NOCTTY);
    termios settings{};
    if (tcgetattr(program, &settings) != 0) return;
    settings.c_oflag &= ~static_cast<tcflag_t>(OPOST);
    tcsetattr(program, TCSANOW, &settings);
    resize(columns, rows);
}

PseudoTerminal::~PseudoTerminal() {
    if (program >= 0) close(program);
    if (person >= 0) close(person);
}

void PseudoTerminal::resize(int columns, int rows) const {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    size.ws_row = static_cast<unsigned short>(rows);
    ioctl(program, TIOCSWINSZ, &size);
}

void PseudoTerminal::type(std::string_view keys) const {
    [[maybe_unused]] const ssize_t written = write(person, keys.data(), keys.size());
}

std::string PseudoTerminal::read_until(std::string_view last) {
    pollfd waiting{person, POLLIN, 0};
    while (arrived.find(last) == std::string::npos && poll(&waiting, 1, 10'000) > 0) {
        char buffer[1000];
        const ssize_t count = read(person, buffer, sizeof buffer);
        if (count <= 0) break;
        arrived.append(buffer, static_cast<std::size_t>(count));
    }
    const std::size_t at = arrived.find(last), end = at == std::string::npos ? arrived.size() : at + last.size();
    const std::string words = arrived.substr(0, end);
    arrived.erase(0, end);
    return words;
}

std::string shown_at_terminal(int output, const std::function<void()>& run) {
    PseudoTerminal terminal;
    if (!terminal) return "";
    const Variable term("TERM", "xterm");
    {
        const Redirected redirected(output, terminal.end());
        run();
    }
    static constexpr std::string_view end = "<end>";
    [[maybe_unused]] const ssize_t written = write(terminal.end(), end.data(), end.size());
    const std::string words = terminal.read_until(end);
    return words.substr(0, words.size() - end.size());
}
