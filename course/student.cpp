#include "course/student.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "course/grade/body.h"
#include "course/grade/grading.h"
#include "course/grade/submission.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

namespace fs = std::filesystem;

static const std::string state_folder = "build/course/";

static std::string state_of(const std::string& name, const char* what) {
    const std::string path = state_folder + name + "." + what;
    return is_file(path) ? read_file(path) : "";
}

static void remember(const std::string& name, const char* what, const std::string& text) {
    fs::create_directories(state_folder);
    write_file_atomically(state_folder + name + "." + what, text);
}

static Task task_named(const std::string& name) {
    std::string names;
    for (const Task& task : all_tasks()) {
        if (task.name == name) return task;
        names += " " + task.name;
    }
    require(false, "course: there is no task ", name, "; there are:", names);
    return {};
}

static bool is_written(const Task& task) { return !is_blank(body_of(read_file(task.file), task.body, task.file), task.name); }

static std::string full_score(const Task& task) { return std::to_string(task.points) + " of " + std::to_string(task.points); }

int list_tasks() {
    std::string module;
    int points = 0, of = 0, done = 0;
    const std::vector<Task> tasks = all_tasks();
    const Task* next = nullptr;  // the shortest one that is not done
    for (const Task& task : tasks) {
        if (task.module != module) std::printf("%s%s\n", module.empty() ? "" : "\n", task.module.c_str());
        module = task.module;
        const std::string score = state_of(task.name, "score");  // "6 of 6"
        const bool complete = score == full_score(task);
        const char* const mark = complete ? "x" : is_written(task) ? "-" : " ";
        std::printf("  [%s] %-14s  %-36s  %2d min  %s\n", mark, task.name.c_str(), task.title.c_str(), task.minutes,
                    score.empty() ? (std::to_string(task.points) + " points").c_str() : score.c_str());
        done += complete;
        of += task.points;
        points += complete ? task.points : 0;
        if (!complete && (next == nullptr || task.minutes < next->minutes)) next = &task;
    }
    std::printf("\n%d of %zu tasks done, %d of %d points.", done, tasks.size(), points, of);
    if (next != nullptr)
        std::printf(" Next: %s, in %s\n    make check-%s    make hint-%s", next->name.c_str(), next->file.c_str(),
                    next->name.c_str(), next->name.c_str());
    std::printf("\n");
    return 0;
}

int check_task(const std::string& name, const Tree& tree) {
    const Task task = task_named(name);
    require(is_file("course/expected/seed"),
            "course: nothing is expected here, this is the project itself; make course-pack MODULE=", task.module,
            " makes a starter in which ", name, " can be checked");
    const Exam exam = read_exam("course/expected", {task});
    const Handed handed = handed_body(task, read_file(task.file));
    Graded graded;
    graded.task = task;
    graded.refused = handed.refused;
    if (handed.refused.empty()) grade(graded, programs_of(tree), exam.seed, exam.expected.at(name), true, false);
    const std::string report = report_of(graded, true);
    std::fputs(report.c_str(), stdout);
    const std::string first_line = report.substr(0, report.find('\n'));
    remember(name, "score", first_line.substr(first_line.rfind("   ") + 3));
    if (graded.complete()) {
        std::printf("    done\n");
        return 0;
    }
    std::string contract;
    for (const Contract& one : task.contracts) contract += (contract.empty() ? "" : ", ") + one.file + " (" + one.function + ")";
    std::printf("    write      %s\n    read       %s\n    hint       make hint-%s\n", task.file.c_str(), contract.c_str(),
                name.c_str());
    return 1;
}

int next_hint(const std::string& name) {
    const Task task = task_named(name);
    std::vector<std::string> ladder = task.hints;
    ladder.push_back("\n" + task.code);
    const std::optional<long> read = whole_number(state_of(name, "hints"));
    const std::size_t seen = static_cast<std::size_t>(std::max(0L, read.value_or(0)));
    const std::size_t now = std::min(seen + 1, ladder.size());
    for (std::size_t k = 0; k < now; ++k) {
        const std::string head = "hint " + std::to_string(k + 1) + " of " + std::to_string(ladder.size()) + "   ";
        if (k < task.hints.size())
            std::printf("%s", paragraph(head, ladder[k]).c_str());
        else
            std::printf("%s%s", head.c_str(), ladder[k].c_str());  // code keeps its lines
    }
    remember(name, "hints", std::to_string(now));
    std::string all;
    for (const Task& one : all_tasks())
        if (const std::string count = state_of(one.name, "hints"); !count.empty()) all += one.name + " " + count + "\n";
    write_file_atomically("course/hints_read.txt", all);
    return 0;
}

int watch_task(const std::string& name, const Tree& tree) {
    const Task task = task_named(name);
    fs::file_time_type last{};
    for (;;) {
        const fs::file_time_type saved = fs::last_write_time(task.file);
        if (saved == last) {
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            continue;
        }
        last = saved;
        const std::string complaint = build(tree, true);
        if (!complaint.empty())
            std::printf("%s", complaint.c_str());
        else if (check_task(name, tree) == 0)
            return 0;
        std::printf("waiting for %s to be saved; Ctrl-C ends\n", task.file.c_str());
        std::fflush(stdout);
    }
}
