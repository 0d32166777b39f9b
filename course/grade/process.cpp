#include "course/grade/process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "nn/base/clock.h"
#include "nn/base/require.h"

static constexpr unsigned nobody = 65534;  // the user without rights, on every Linux

static void limit(int resource, rlim_t value) {
    const rlimit both{value, value};
    setrlimit(resource, &both);
}

// What the child does before it becomes the program. Only calls that are safe after fork.
static void become_limited(const RunLimits& limits) {
    setpgid(0, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, static_cast<rlim_t>(4 * limits.seconds) + 2);  // several threads
    limit(RLIMIT_FSIZE, rlim_t{1} << 28);
#ifndef __SANITIZE_ADDRESS__
    limit(RLIMIT_AS, rlim_t{1} << 31);
#endif
    if (limits.as_nobody && geteuid() == 0) {
        limit(RLIMIT_NPROC, 256);
        if (setgroups(0, nullptr) != 0 || setgid(nobody) != 0 || setuid(nobody) != 0) _exit(126);
    }
}

namespace {
struct Pipe {
    int from = -1, to = -1;
};
}  // namespace

static Pipe make_pipe() {
    int ends[2];
    require(pipe(ends) == 0, "course: no pipe can be made: ", std::strerror(errno));
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return {ends[0], ends[1]};
}

// Reads what is there, but never for long: a program may print faster than it is read. Keeps the first `most` bytes.
//   returns  whether more may come
static bool drain(int from, std::string& kept, std::size_t most, std::size_t& read_so_far) {
    char buffer[1 << 16];
    for (int turn = 0; turn < 16; ++turn) {
        const ssize_t count = read(from, buffer, sizeof buffer);
        if (count == 0) return false;
        if (count < 0) return errno == EAGAIN || errno == EINTR;
        read_so_far += static_cast<std::size_t>(count);
        if (kept.size() < most) kept.append(buffer, std::min(static_cast<std::size_t>(count), most - kept.size()));
    }
    return true;
}

// In the child: nothing to read, both outputs into one pipe, its limits, then the command. Does not return.
[[noreturn]] static void become(char** arguments, int output, const std::string& folder, const RunLimits& limits) {
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(output, 1);
    dup2(output, 2);
    close(output);
    if (chdir(folder.c_str()) != 0) _exit(125);
    unsetenv("MAKEFLAGS");  // of the make that started us
    unsetenv("MFLAGS");
    become_limited(limits);
    execvp(arguments[0], arguments);
    _exit(127);
}

// "ended with status 1"
static std::string how_it_ended(bool timed_out, int status, const RunLimits& limits) {
    if (timed_out) return "stopped after " + std::to_string(static_cast<int>(limits.seconds)) + " s";
    if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
    return "ended with status " + std::to_string(WEXITSTATUS(status));
}

RunResult run(const std::vector<std::string>& command, const std::string& folder, const RunLimits& limits) {
    const Pipe printed = make_pipe(), answered = make_pipe();
    std::vector<std::string> words = command;
    for (std::string& word : words)
        if (word == "{answers}") word = std::to_string(answered.to);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);

    const pid_t child = fork();
    require(child >= 0, "course: no process can be made: ", std::strerror(errno));
    if (child == 0) become(arguments.data(), printed.to, folder, limits);
    setpgid(child, child);
    close(printed.to);
    close(answered.to);

    RunResult result;
    const double begin = seconds_now();
    bool printing = true, answering = true, ended = false;
    std::size_t printed_bytes = 0, answered_bytes = 0;
    int status = 0;
    while (!ended) {
        pollfd waits[2] = {{printing ? printed.from : -1, POLLIN, 0}, {answering ? answered.from : -1, POLLIN, 0}};
        poll(waits, 2, 20);
        if (printing) printing = drain(printed.from, result.output, limits.output_bytes, printed_bytes);
        if (answering) answering = drain(answered.from, result.answers, limits.answer_bytes, answered_bytes);
        ended = waitpid(child, &status, WNOHANG) == child;
        result.timed_out = !ended && seconds_now() - begin > limits.seconds;
        if (result.timed_out || answered_bytes > limits.answer_bytes) {
            kill(-child, SIGKILL);
            waitpid(child, &status, 0);
            ended = true;
        }
    }
    kill(-child, SIGKILL);  // what it left behind
    drain(printed.from, result.output, limits.output_bytes, printed_bytes);
    drain(answered.from, result.answers, limits.answer_bytes, answered_bytes);
    close(printed.from);
    close(answered.from);

    result.ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    result.how = how_it_ended(result.timed_out, status, limits);
    return result;
}
