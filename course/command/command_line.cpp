#include "course/command/command_line.h"

#include <algorithm>
#include <optional>

#include "nn/base/require.h"
#include "nn/data/text.h"

std::string CommandLine::value(const std::string& name, const std::string& otherwise) const {
    const auto given = options.find(name);
    return given == options.end() ? otherwise : given->second;
}

int CommandLine::whole(const std::string& name, int otherwise, int most) const {
    if (!has(name)) return otherwise;
    const std::optional<long> number = whole_number(options.at(name));
    require(number && *number >= 0 && *number <= most, name, " is \"", options.at(name), "\", expected a number from 0 to ",
            most);
    return static_cast<int>(*number);
}

static bool holds(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

[[noreturn]] static void fail_unknown(const std::string& word) { fail({"unknown option ", word, "; --help lists them"}); }

std::string CommandLine::only_word() const {
    if (words.size() > 1) fail_unknown(words[1]);
    return words.empty() ? "" : words[0];
}

CommandLine read_command_line(const std::vector<std::string>& words, const std::vector<std::string>& flags,
                              const std::vector<std::string>& with_value) {
    CommandLine line;
    for (auto word = words.begin(); word != words.end(); ++word) {
        const std::string name = *word;
        if (!name.starts_with("--"))
            line.words.push_back(name);
        else if (holds(flags, name))
            line.options[name] = "";
        else if (!holds(with_value, name))
            fail_unknown(name);
        else {
            require(word + 1 != words.end(), name, " needs a value");
            line.options[name] = *++word;
        }
    }
    return line;
}
