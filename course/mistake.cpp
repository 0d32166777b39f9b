#include "course/mistake.h"

#include <algorithm>
#include <map>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

static constexpr std::size_t value_begin = 9;  // columns of a line before its value

// "vit.cpp" of "vit/vit.cpp", "no_scale" of "course/mistakes/no_scale.txt"
static std::string stem(const std::string& path) {
    const std::size_t begin = path.rfind('/') + 1;  // 0 without a folder, as npos + 1 is 0
    return path.substr(begin, path.rfind('.') - begin);
}

Mistake read_mistake(const std::string& path) {
    std::map<std::string, std::string> values;
    int number = 0;
    for (const std::string& line : split_lines(read_file(path))) {
        ++number;
        if (line.empty()) continue;
        const std::string key = line.substr(0, line.find(' '));
        const std::string value = line.substr(std::min(value_begin, line.size()));
        const bool is_code = key == "before" || key == "after";
        require(is_code || key == "says" || key == "hint" || key == "file" || key == "caught", path, ":", number,
                ": there is no key ", key);
        require(line.find_first_not_of(' ', key.size()) >= value_begin, path, ":", number, ": the value begins in column ",
                value_begin + 1);
        require(is_code || values.count(key) == 0, path, ":", number, ": a second line of ", key);
        if (values.count(key) > 0) values[key] += "\n";
        values[key] += value;
    }
    for (const char* const key : {"says", "hint", "file", "before", "after", "caught"})
        require(values.count(key) > 0, path, ": there is no line of ", key);
    const std::string& caught = values["caught"];
    const std::size_t colon = caught.find(": ");
    require(colon != std::string::npos, path, ": caught is \"", caught, "\", expected \"suite: title of a test\"");
    return {.name = stem(path),
            .says = values["says"],
            .hint = values["hint"],
            .file = values["file"],
            .before = values["before"],
            .after = values["after"],
            .suite = caught.substr(0, colon),
            .title = caught.substr(colon + 2)};
}

std::vector<Mistake> all_mistakes(const std::string& folder) {
    std::vector<Mistake> mistakes;
    for (const std::string& path : files_below(folder))
        if (path.ends_with(".txt")) mistakes.push_back(read_mistake(path));
    return mistakes;
}

std::string with_mistake(const std::string& text, const Mistake& mistake) {
    int count = 0;
    for (std::size_t at = text.find(mistake.before); at != std::string::npos; at = text.find(mistake.before, at + 1)) ++count;
    require(count == 1, "course/mistakes/", mistake.name, ".txt: `before` appears ", count, " times in ", mistake.file,
            ", expected once: ", mistake.before);
    std::string changed = text;
    return changed.replace(text.find(mistake.before), mistake.before.size(), mistake.after);
}
