// command_line.h: the words of a command line, divided into options and the others.
//
//   use      const CommandLine line = read_command_line(words, {"--key"}, {"--seed"});
//            if (line.has("--key")) ...
//            line.whole("--seed", 1, 100)    a number from 0 to 100; 1 where it is not given
#pragma once
#include <map>
#include <string>
#include <vector>

struct CommandLine {
    std::vector<std::string> words;              // in their order, without the options
    std::map<std::string, std::string> options;  // value of each that was given, by its name; "" of a flag

    bool has(const std::string& name) const { return options.count(name) > 0; }
    std::string value(const std::string& name, const std::string& otherwise) const;

    //   throws  std::invalid_argument when the value is not a whole number from 0 to `most`
    int whole(const std::string& name, int otherwise, int most) const;

    // The only word; "" without one.
    //   throws  std::invalid_argument for a second word
    std::string only_word() const;
};

// An option may stand anywhere. Of an option that is given twice the last value counts.
//   flags       the options without a value: {"--key"}
//   with_value  the options that take the next word as their value
//   throws      std::invalid_argument for any other word that begins with --, and for an option without its value
CommandLine read_command_line(const std::vector<std::string>& words, const std::vector<std::string>& flags,
                              const std::vector<std::string>& with_value);
