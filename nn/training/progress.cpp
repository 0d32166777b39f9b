#include "nn/training/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "nn/base/clock.h"
#include "nn/base/decimal.h"
#include "nn/base/show.h"

Progress::Progress(std::string given, int steps)
    : Progress(std::move(given), steps, isatty(STDERR_FILENO) != 0 && !terminal_is_dumb()) {}

Progress::Progress(std::string given, int steps, bool visible)
    : what(std::move(given)), steps(steps), visible(visible), begin(seconds_now()), last(begin - 1) {}

static constexpr const char* to_line_begin_and_erase = "\r\x1b[K";

Progress::~Progress() {
    if (written) std::fputs(to_line_begin_and_erase, stderr);
}

bool Progress::is_time(double now) const { return visible && now - last >= 0.1; }

void Progress::write(double now, const std::string& line) {
    last = now;
    written = true;
    std::fprintf(stderr, "%s%s", to_line_begin_and_erase, line.c_str());
    std::fflush(stderr);
}

void Progress::update(int step, float loss) {
    const double now = seconds_now();
    if (is_time(now)) write(now, progress_line(what, step + 1, steps, loss, now - begin));
}

void Progress::update(int step) {
    const double now = seconds_now();
    if (is_time(now)) write(now, progress_line(what, step + 1, steps, now - begin));
}

static std::string duration_text(double seconds) {
    const long whole = std::lround(std::clamp(seconds, 0.0, 1e9));
    if (whole < 120) return std::to_string(whole) + " s";
    if (whole < 2 * 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
    return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

static std::string line_of(const std::string& what, int done, int steps, const std::string& loss, double seconds) {
    const int length = 20;
    const int filled = steps <= 0 ? length : static_cast<int>(static_cast<long>(length) * std::clamp(done, 0, steps) / steps);
    const std::string bar = std::string(filled, '#') + std::string(length - filled, '-');
    const std::string left = done <= 0 ? "" : "   " + duration_text(seconds / done * (steps - done)) + " left";
    return what + "  [" + bar + "]  step " + std::to_string(done) + " of " + std::to_string(steps) + loss + left;
}

std::string progress_line(const std::string& what, int done, int steps, float loss, double seconds) {
    return line_of(what, done, steps, "   loss " + fixed_digits(static_cast<double>(loss), 4), seconds);
}

std::string progress_line(const std::string& what, int done, int steps, double seconds) {
    return line_of(what, done, steps, "", seconds);
}
