#include "course/grade/tree.h"

#include <cstdlib>
#include <filesystem>

#include "course/grade/process.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

namespace fs = std::filesystem;

Programs programs_of(const Tree& tree) {
    return {.folder = tree.folder, .answers = tree.out + "/run_answers", .tests = tree.out + "/tests/run"};
}

// The first lines of a compiler that tell an error.
static std::string first_errors(const std::string& output) {
    std::string said;
    int lines = 0;
    for (const std::string& line : split_lines(output)) {
        const bool tells = line.find("error") != std::string::npos || line.find("warning") != std::string::npos;
        if ((tells || lines > 0) && lines < 8) said += line + "\n", ++lines;
    }
    return said.empty() ? output.substr(0, 600) : said;
}

std::string build(const Tree& tree, bool with_tests) {
    std::vector<std::string> command = tree.make;
    command.push_back(tree.out + "/run_answers");
    if (with_tests) command.push_back(tree.out + "/tests/run");
    RunLimits limits;
    limits.seconds = tree.build_seconds;
    const RunResult result = run(command, tree.folder, limits);
    if (result.ended_well) return "";
    return (result.timed_out ? "the compiler was " + result.how + "\n" : "") + first_errors(result.output);
}

void copy_project(const std::string& to, const std::string& out) {
    fs::remove_all(to);
    fs::create_directories(to + "/" + out);
    const std::string copy = "cp -a ";  // with the times, by which make knows what is new
    std::string what, built;
    for (const auto& entry : fs::directory_iterator(".")) {
        const std::string name = entry.path().filename().string();
        if (name != "build" && name != ".git") what += " '" + name + "'";
    }
    for (const auto& entry : fs::directory_iterator(out)) {
        const std::string name = entry.path().filename().string();
        if (name != "walk" && name != "bench" && name != "debugger") built += " '" + entry.path().string() + "'";
    }
    std::string commands = copy + what + " " + to;
    if (!built.empty()) commands += " && " + copy + built + " " + to + "/" + out;
    if (fs::exists("build/doctest")) commands += " && " + copy + "build/doctest " + to + "/build";
    require(std::system(commands.c_str()) == 0, "course: the project could not be copied to ", to);
}

// A copy beside the file, with its times; "" when there is none.
static std::string keep(const std::string& path) {
    if (!fs::exists(path)) return "";
    const std::string kept = path + ".kept";
    fs::copy_file(path, kept, fs::copy_options::overwrite_existing);
    fs::last_write_time(kept, fs::last_write_time(path));
    return kept;
}

Change::Change(const Tree& tree, const std::string& file, const std::string& text)
    : path(tree.folder + "/" + file),
      object(tree.folder + "/" + tree.out + "/objects/" + file.substr(0, file.rfind('.')) + ".o"),
      archive(tree.folder + "/" + tree.out + "/library.a"),
      kept_path(keep(path)),
      kept_object(keep(object)) {
    require(!kept_path.empty(), "course: there is no file ", path);
    write_file_atomically(path, text);
}

Change::~Change() {
    std::error_code none;
    fs::rename(kept_path, path, none);
    if (kept_object.empty())
        fs::remove(object, none);
    else
        fs::rename(kept_object, object, none);
    fs::remove(archive, none);  // it is newer than the object that must go back into it
}
