#include "course/pack/handout.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

// --- from the sources ---

// Whether the line declares it: not indented, not a comment, the name as a whole word before a bracket, or after struct or enum
// class.
static bool declares(const std::string& line, const std::string& name) {
    if (line.starts_with(" ") || line.starts_with("/") || line.starts_with("#")) return false;
    return line.starts_with("struct " + name + " {") || line.starts_with("enum class " + name + " {") ||
           line.find(" " + name + "(") != std::string::npos;
}

// Whether a comment above a declaration ends here: at an empty line, a line of the preprocessor, the end of something else.
static bool stands_apart(const std::string& line) {
    return line.empty() || line == "}" || line.starts_with("#") || line.starts_with("};") || line.starts_with("namespace");
}

std::string contract_text(const Contract& contract) {
    const std::vector<std::string> lines = split_lines(read_file(contract.file));
    const auto at = std::find_if(lines.begin(), lines.end(), [&](const auto& line) { return declares(line, contract.function); });
    require(at != lines.end(), contract.file, ": there is no declaration of ", contract.function);
    const auto begin = std::find_if(std::reverse_iterator(at), lines.rend(), stands_apart).base();
    const bool is_type = at->starts_with("struct") || at->starts_with("enum");
    const auto is_end = [&](const std::string& line) {
        return is_type ? line.ends_with("};") : line.ends_with("{") || line.find(';') != std::string::npos;
    };
    const auto end = std::find_if(at, lines.end(), is_end);
    require(end != lines.end(), contract.file, ": the declaration of ", contract.function, " does not end");
    std::string text;
    for (auto line = begin; line != end; ++line) text += *line + "\n";
    const bool opens_body = !is_type && end->ends_with(" {");
    return text + (opens_body ? end->substr(0, end->size() - 2) + ";" : *end) + "\n";
}

std::string opening_comment(const std::string& file) {
    std::string text;
    for (const std::string& line : split_lines(read_file(file))) {
        if (!line.starts_with("//")) break;
        text += line.substr(std::min<std::size_t>(3, line.size())) + "\n";  // "//" alone is an empty line
    }
    return text;
}

// --- the page ---

static std::string escaped(const std::string& words) {
    std::string html;
    for (const char c : words) html += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
    return html;
}

static std::string preformatted(const std::string& text) { return "<pre>" + escaped(text) + "</pre>\n"; }

static const char* const head =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width\">\n<title>";
static const char* const style =
    "</title>\n<style>\nbody { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }\n"
    "pre { background: #f4f4f4; padding: .7rem; overflow-x: auto; font-size: 13px; line-height: 1.35 }\n"
    ".equation { font-family: monospace; border-left: 4px solid #888; padding: .3rem .8rem }\n"
    ".twist { border: 2px solid #a40; padding: .4rem .8rem }\n"
    "table { border-collapse: collapse } td, th { padding: .1rem .8rem .1rem 0; text-align: left }\n"
    "@media print { h2 { break-before: page } }\n</style></head><body>\n";

// What the course asks for, and a row for each task.
static std::string introduction(const std::string& module, int seed, const std::vector<Task>& tasks) {
    int points = 0, minutes = 0;
    std::string rows;
    for (const Task& task : tasks) {
        points += task.points;
        minutes += task.minutes;
        rows += "<tr><td><a href=\"#" + task.name + "\">" + escaped(task.title) + "</a></td><td>" + std::to_string(task.points) +
                "</td><td>" + std::to_string(task.minutes) + "</td><td><code>" + task.file + "</code></td></tr>\n";
    }
    return "<h1>" + escaped(module) + "</h1>\n<p>" + std::to_string(tasks.size()) + " functions, " + std::to_string(points) +
           " points, about " + std::to_string(minutes) + " minutes. Handout of seed " + std::to_string(seed) +
           ". You need a C++20 compiler and make.</p>\n" +
           preformatted(
               "make course            what there is to do, and what is done\n"
               "make check-NAME        asks your function and says what differs, and why\n"
               "make watch-NAME        the same whenever you save\n"
               "make hint-NAME         one more hint") +
           "<p>The grader takes the body of each function out of your file and puts it into its own copy of the project, one task "
           "at a time. So write inside the function; a lambda can be a helper. It asks the same questions as <code>make "
           "check</code> with other numbers and sizes.</p>\n<table><tr><th>task</th><th>points</th><th>minutes</th><th>file</th>"
           "</tr>\n" +
           rows + "</table>\n";
}

// What the points of a task are for.
static std::string points_of(const Task& task) {
    std::string words =
        "<p>" + std::to_string(task.drawn_points()) + " points for right answers to the questions of the grader's seed";
    for (const PublicCase& one : task.cases)
        words += "; " + std::to_string(one.points) +
                 (one.by_steps ? " for the steps of the public test <i>" : " for the public test <i>") +
                 escaped(one.suite + ": " + one.title) + "</i>";
    return words + ".</p>\n";
}

// The section of one task.
//   twist   a mistake that this course asks for, or null
//   opened  headers whose first comment is in the page already; the header of this task is added
static std::string section_of(const Task& task, const Mistake* twist, std::set<std::string>& opened) {
    std::string section = "<h2 id=\"" + task.name + "\">" + escaped(task.title) + "</h2>\n<p>" + std::to_string(task.points) +
                          " points, " + std::to_string(task.minutes) + " minutes. In <code>" + task.file +
                          "</code>; <code>make check-" + task.name + "</code></p>\n" + preformatted(task.body) +
                          "<p class=\"equation\">" + escaped(task.equation) + "</p>\n";
    if (twist != nullptr)
        section += "<p class=\"twist\"><b>In this course, other than in the paper:</b> " + escaped(twist->says) +
                   ". This is what is asked for here, whatever the contract below says.</p>\n";
    for (const Contract& contract : task.contracts)
        section += "<p><code>" + contract.file + "</code></p>\n" + preformatted(contract_text(contract));
    const std::string header = task.contracts.back().file;
    if (header.ends_with(".h") && opened.insert(header).second)
        section +=
            "<details><summary>" + header + " begins with</summary>\n" + preformatted(opening_comment(header)) + "</details>\n";
    if (!task.without.empty()) {
        section += "<p>Not to be used, because it is the answer:";
        for (const std::string& name : task.without) section += " <code>" + escaped(name) + "</code>";
        section += "</p>\n";
    }
    return section + points_of(task);
}

std::string handout_html(const std::string& module, int seed, const std::vector<Task>& tasks,
                         const std::map<std::string, Mistake>& twists) {
    std::string page = head + escaped(module) + style + introduction(module, seed, tasks);
    std::set<std::string> opened;
    for (const Task& task : tasks) {
        const auto twist = twists.find(task.name);
        page += section_of(task, twist == twists.end() ? nullptr : &twist->second, opened);
    }
    return page + "</body></html>\n";
}
