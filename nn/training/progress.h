// progress.h: a progress line: steps done, loss, time left.
//
//   note   overwritten in place, and only on a terminal that can erase (not TERM=dumb); a pipe or a file gets nothing
#pragma once
#include <string>

class Progress {
public:
    Progress(std::string what, int steps);
    Progress(std::string what, int steps, bool visible);
    ~Progress();  // erases the line
    Progress(const Progress&) = delete;

    // After step 0, 1, ..., steps - 1; writes at most ten times a second.
    void update(int step, float loss);
    void update(int step);  // without a loss

private:
    bool is_time(double now) const;
    void write(double now, const std::string& line);
    std::string what;
    int steps;
    bool visible;
    bool written = false;
    double begin, last;  // seconds_now() when it was made and when the line was last written
};

// "training  [######----]  step 180 of 300   loss 0.4213   8 s left"; `done` steps took `seconds`.
std::string progress_line(const std::string& what, int done, int steps, float loss, double seconds);
std::string progress_line(const std::string& what, int done, int steps, double seconds);  // the same without the loss
