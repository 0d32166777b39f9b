#include "course/grade/task.h"

#include <algorithm>
#include <map>
#include <optional>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

static constexpr std::size_t value_begin = 9;  // columns of a line before its value

int Task::public_points() const {
    int sum = 0;
    for (const PublicCase& one : cases) sum += one.points;
    return sum;
}

static std::string stem(const std::string& path) {
    const std::size_t begin = path.rfind('/') + 1;  // 0 without a folder, as npos + 1 is 0
    return path.substr(begin, path.rfind('.') - begin);
}

static int number(const std::string& words, const std::string& place, const char* key) {
    const std::optional<long> found = whole_number(words);
    require(found && *found >= 0 && *found <= 1000, place, ": ", key, " is \"", words, "\", expected a number from 0 to 1000");
    return static_cast<int>(*found);
}

// "2 mask: each mask as a picture"
static PublicCase case_of(const std::string& value, const std::string& place) {
    const std::size_t space = value.find(' '), colon = value.find(": ");
    require(space != std::string::npos && colon != std::string::npos && space < colon, place, ": case is \"", value,
            "\", expected \"points suite: title of a test\"");
    return {.points = number(value.substr(0, space), place, "case"),
            .suite = value.substr(space + 1, colon - space - 1),
            .title = value.substr(colon + 2)};
}

static Contract contract_of(const std::string& value, const std::string& place) {
    const std::size_t space = value.find(' ');
    require(space != std::string::npos, place, ": contract is \"", value, "\", expected \"file function\"");
    return {value.substr(0, space), value.substr(space + 1)};
}

// Letters moved by half of the alphabet (ROT13): done twice, the text is the original.
static std::string turned(std::string words) {
    for (char& c : words) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>('a' + (c - 'a' + 13) % 26);
        if (c >= 'A' && c <= 'Z') c = static_cast<char>('A' + (c - 'A' + 13) % 26);
    }
    return words;
}

static std::string key_line(const std::string& key, const std::string& value) {
    return value.empty() ? key + "\n" : key + std::string(value_begin - key.size(), ' ') + value + "\n";
}

std::string sealed_text(const Task& task) {
    std::string text = key_line("title", task.title) + key_line("module", task.module) +
                       key_line("points", std::to_string(task.points)) + key_line("minutes", std::to_string(task.minutes)) +
                       key_line("file", task.file) + key_line("body", task.body);
    for (const Contract& contract : task.contracts) text += key_line("contract", contract.file + " " + contract.function);
    text += key_line("equation", task.equation);
    for (const PublicCase& one : task.cases)
        text += key_line(one.by_steps ? "steps" : "case", std::to_string(one.points) + " " + one.suite + ": " + one.title);
    for (const std::string& name : task.without) text += key_line("without", name);
    for (const std::string& hint : task.hints) text += key_line("hint", hint);
    for (const std::string& line : split_lines(task.code)) text += key_line("sealed", turned(line));
    return text;
}

Task read_task(const std::string& path) {
    Task task;
    task.name = stem(path);
    std::map<std::string, std::string> once;  // keys of one line
    int line_number = 0;
    for (const std::string& line : split_lines(read_file(path))) {
        ++line_number;
        if (line.empty()) continue;
        const std::string place = path + ":" + std::to_string(line_number);
        const std::string key = line.substr(0, line.find(' '));
        const std::string value = line.substr(std::min(value_begin, line.size()));
        require(line.find_first_not_of(' ', key.size()) >= value_begin, place, ": the value begins in column ", value_begin + 1);
        if (key == "case" || key == "steps") {
            task.cases.push_back(case_of(value, place));
            task.cases.back().by_steps = key == "steps";
        } else if (key == "contract") {
            task.contracts.push_back(contract_of(value, place));
        } else if (key == "without") {
            task.without.push_back(value);
        } else if (key == "hint") {
            task.hints.push_back(value);
        } else if (key == "code") {
            task.code += value + "\n";
        } else if (key == "sealed") {
            task.code += turned(value) + "\n";
        } else {
            const std::vector<std::string> known{"title", "module", "points", "minutes", "file", "body", "equation"};
            require(std::find(known.begin(), known.end(), key) != known.end(), place, ": there is no key ", key);
            require(once.count(key) == 0, place, ": a second line of ", key);
            once[key] = value;
        }
    }
    for (const char* const key : {"title", "module", "points", "minutes", "file", "body", "equation"})
        require(once.count(key) > 0, path, ": there is no line of ", key);
    require(!task.contracts.empty() && !task.code.empty(), path, ": there is no line of contract or code");
    require(task.hints.size() == 2, path, ": ", task.hints.size(), " lines of hint, expected 2; the third hint is the code");
    task.title = once["title"];
    task.module = once["module"];
    task.file = once["file"];
    task.body = once["body"];
    task.equation = once["equation"];
    task.points = number(once["points"], path, "points");
    task.minutes = number(once["minutes"], path, "minutes");
    require(task.drawn_points() > 0, path, ": the cases take ", task.public_points(), " of ", task.points,
            " points, something must be left for the questions of the seed");
    return task;
}

std::vector<std::string> all_modules() { return {"attention", "vit", "language", "rlhf"}; }

std::vector<Task> all_tasks(const std::string& module, const std::string& folder) {
    std::vector<Task> found;
    for (const std::string& path : files_below(folder))
        if (path.ends_with(".txt")) found.push_back(read_task(path));
    std::vector<Task> tasks;
    for (const std::string& of_course : all_modules())
        for (const Task& task : found)
            if (task.module == of_course && (module.empty() || module == of_course)) tasks.push_back(task);
    require(!tasks.empty(), "course: there is no task of the module '", module,
            "'; the modules are attention, vit, language, rlhf");
    return tasks;
}
