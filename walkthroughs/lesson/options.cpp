#include "walkthroughs/lesson/options.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include "nn/autograd/variable.h"
#include "nn/base/decimal.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/json.h"
#include "nn/data/text.h"
#include "nn/layers/model_config.h"

Options::Options(std::string name, std::string purpose, std::string duration)
    : name(std::move(name)), purpose(std::move(purpose)), duration(std::move(duration)) {
    add("help", help_wanted, "show this");
    add("step", step, "wait for Enter between the steps");
    add("quiz", quiz, "ask for predictions and check them");
    add("seed", seed, "another seed, other random numbers", 0, std::numeric_limits<int>::max());
    add_output("page", page, "also write the lesson to this file as a web page");
    add_output("trace", trace, "write a run with all its arithmetic to this file, a web page; -: browse it here at the end");
    add("trace-backward", trace_backward, "which backward pass --trace keeps; 0: the last one", 0,
        std::numeric_limits<int>::max());
    needs("trace-backward", "trace");
    add("trap-nan", trap_nan, "stop at the first operation that makes a NaN or an infinity, and name it");
}

void Options::declare(Option option) {
    const bool spelled_well =
        !option.name.empty() && option.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
    require(spelled_well, "Options: --", option.name, " is not a valid name, use lower-case letters, digits and hyphens");
    for (const Option& other : options) require(other.name != option.name, "Options: --", option.name, " is declared twice");
    options.push_back(std::move(option));
}

// 0.001 as "0.001" and 3 as "3".
static std::string short_number(double number) { return short_digits(number, 10); }

void Options::add(const std::string& name, int& value, const std::string& help, int least, int most) {
    declare({name, help, text(value), Kind::whole, &value, static_cast<double>(least), static_cast<double>(most)});
}

void Options::add(const std::string& name, double& value, const std::string& help, double least, double most) {
    declare({name, help, short_number(value), Kind::decimal, &value, least, most});
}

void Options::add(const std::string& name, std::string& value, const std::string& help) {
    declare({name, help, value, Kind::words, &value});
}

void Options::add(const std::string& name, bool& value, const std::string& help) {
    declare({name, help, "", Kind::flag, &value});
}

void Options::add_output(const std::string& name, std::string& value, const std::string& help,
                         const std::vector<std::string>& endings) {
    declare({name, help, value, Kind::words, &value});
    options.back().endings = endings;
}

// Words of the command line in a message: those that are no typing error any more are shortened, and those that begin or end in
// what cannot be seen stand in quotation marks.
static std::string brief_words(const std::string& words) {
    const std::string_view blanks = " \t\n\r";
    const bool visible = !words.empty() && blanks.find(words.front()) == blanks.npos && blanks.find(words.back()) == blanks.npos;
    return visible && words.size() <= 80 ? words : brief_string(words);
}

Options::Option& Options::find(const std::string& wanted) {
    const Option* nearest = nullptr;
    std::size_t fewest = 3;  // edits; more than two are not a typing error
    for (Option& option : options) {
        if (option.name == wanted) return option;
        const bool is_beginning = wanted.size() >= 3 && option.name.starts_with(wanted);  // "temp" of "temperature"
        const std::size_t changes = is_beginning ? 0 : changes_between(option.name, wanted);
        if (changes < fewest) {
            nearest = &option;
            fewest = changes;
        }
    }
    const std::string cure = nearest == nullptr ? "; --help lists all options" : "; did you mean --" + nearest->name + "?";
    fail({"unknown option --", brief_words(wanted), cure});
}

static bool only_digits(std::string_view words) {
    const std::string_view digits = words.substr(words.starts_with('-') ? 1 : 0);
    return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

void Options::set(Option& option, const std::string& words) {
    const std::string place = "--" + option.name + " " + brief_words(words) + ": ";
    const std::string range = "from " + short_number(option.least) + " to " + short_number(option.most);
    if (option.kind == Kind::words) {
        require(!words.empty() || !option.endings.empty(), place, "an empty text is no value; leave the option out");
        *static_cast<std::string*>(option.value) = words;
    } else if (option.kind == Kind::whole) {
        require(only_digits(words), place, "a whole number in digits is needed, ", range);
        const std::optional<long> number = whole_number(words);  // nothing: more than 64 bits
        require(number && *number >= option.least && *number <= option.most, place, "the number must be ", range);
        *static_cast<int*>(option.value) = static_cast<int>(*number);
    } else {
        const std::optional<double> number = decimal_number(words);
        require(number.has_value(), place, "a number is needed, ", range);
        require(*number >= option.least && *number <= option.most, place, "the number must be ", range);
        *static_cast<double*>(option.value) = *number;
    }
}

// Two names of one file, which need not exist.
static bool same_file(const std::string& a, const std::string& b) {
    std::error_code failed;  // a file that does not exist is no other file
    const auto place = [&](const std::string& path) {
        return std::filesystem::weakly_canonical(std::filesystem::absolute(path, failed), failed);
    };
    return a == b || std::filesystem::equivalent(a, b, failed) || place(a) == place(b);
}

// A file that is written may be neither written twice nor the input of the same run. Training that resumes from a file may save
// there.
template <class OptionList>
static void require_outputs_apart(const OptionList& options) {
    struct Output {
        std::string option, path;
    };
    std::vector<Output> outputs;
    for (const auto& option : options) {
        if (!option.given || option.endings.empty()) continue;
        for (const std::string& ending : option.endings)
            outputs.push_back({option.name, *static_cast<const std::string*>(option.value) + ending});
    }
    for (std::size_t k = 0; k < outputs.size(); ++k)
        for (std::size_t j = 0; j < k; ++j)
            require(!same_file(outputs[j].path, outputs[k].path), "--", outputs[j].option, " and --", outputs[k].option,
                    " both write ", outputs[k].path, "; name two files");
    for (const auto& input : options) {
        const bool is_text = input.kind == decltype(input.kind)::words;
        if (!input.given || !is_text || !input.endings.empty() || input.name == "resume") continue;
        const std::string& path = *static_cast<const std::string*>(input.value);
        for (const Output& output : outputs)
            require(!is_file(path) || !same_file(path, output.path), "--", output.option, " would overwrite ", output.path,
                    ", which --", input.name, " reads; name another file");
    }
}

void Options::read(const std::vector<std::string>& words) {
    given_words = words;
    for (std::size_t k = 0; k < words.size(); ++k) {
        const std::string& word = words[k];
        require(word.size() > 2 && word.substr(0, 2) == "--", brief_string(word),
                " is not an option; options begin with --, see --help");
        const std::size_t equals = word.find('=');
        Option& option = find(word.substr(2, equals == std::string::npos ? equals : equals - 2));
        require(!option.given, "--", option.name, " is given twice");
        option.given = true;
        const bool is_flag = option.kind == Kind::flag;
        require(!is_flag || equals == std::string::npos, "--", option.name, " takes no value");
        if (is_flag) {
            *static_cast<bool*>(option.value) = true;
            continue;
        }
        const bool in_next_word = equals == std::string::npos;
        require(!in_next_word || k + 1 < words.size(), "--", option.name, " needs a value");
        set(option, in_next_word ? words[++k] : word.substr(equals + 1));
    }
    if (!help_wanted) require_pairs();
    for (const Option& option : options) {
        const bool in_terminal = option.value == &trace && trace == "-";  // needs no file
        if (option.given && !in_terminal) require_outputs_writable(option);
    }
    require_outputs_apart(options);
}

void Options::require_pairs() {
    for (const OptionPair& pair : pairs) {
        bool any_given = false;
        std::string others;
        for (const std::string& other : pair.others) {
            any_given = any_given || find(other).given;
            others += (others.empty() ? "--" : " or --") + other;
        }
        if (!find(pair.name).given || any_given == pair.together) continue;
        require(!pair.together, "--", pair.name, " means something only together with ", others,
                "; give that too, or leave it out");
        require(pair.together, "--", pair.name, " means nothing together with ", others, "; leave one of them out");
    }
}

void Options::require_outputs_writable(const Option& option) {
    if (option.endings.empty()) return;
    const std::string& path = *static_cast<const std::string*>(option.value);
    require(!path.empty(), "--", option.name, " needs the name of a file");
    for (const std::string& ending : option.endings) {
        try {
            require_writable(path + ending);
        } catch (const std::invalid_argument& error) {
            require(false, "--", option.name, " ", error.what());
        }
    }
}

void write_or_throw(const std::string& words, std::FILE* out) {
    const bool written = std::fputs(words.c_str(), out) >= 0 && std::fflush(out) == 0;
    const std::string why = written ? "" : std::strerror(errno);
    if (!written) throw std::runtime_error("the output cannot be written: " + why);
}

void Options::read_or_exit(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // a failed write is reported by the function that writes
    std::signal(SIGXFSZ, SIG_IGN);
    try {
        read(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
        std::exit(2);
    }
    if (help_wanted) {
        try {
            write_or_throw(help(), stdout);
        } catch (const std::runtime_error& error) {
            std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
            std::exit(1);
        }
        std::exit(0);
    }
    ::trap_nan(trap_nan);
}

std::string Options::command() const {
    std::string arguments;
    for (std::size_t k = 0; k < given_words.size(); ++k) {
        if (given_words[k].starts_with("--page")) {  // without --page, which does not change the run
            k += given_words[k] == "--page";
            continue;
        }
        arguments += (arguments.empty() ? "" : " ") + given_words[k];
    }
    const std::string stem = name.substr(name.rfind('/') + 1);
    return "make walk-" + stem + (arguments.empty() ? "" : " ARGS=\"" + arguments + "\"");
}

std::string Options::help() const {
    static constexpr const char* placeholders[] = {" n", " x", " text", ""};
    std::string words = name + ": " + purpose + "\nTakes about " + duration + ".\n\n";
    std::size_t width = 0;
    for (const Option& option : options)
        width = std::max(width, option.name.size() + std::string(placeholders[static_cast<int>(option.kind)]).size());
    for (const Option& option : options) {
        const std::string left = option.name + placeholders[static_cast<int>(option.kind)];
        const std::string initially = option.initially.empty() ? "" : " (" + option.initially + ")";
        words += "  --" + left + std::string(width - left.size() + 2, ' ') + option.help + initially + "\n";
    }
    return words;
}

void ModelOptions::declare(Options& options, int usual_heads) {
    options.add("heads", heads,
                joined({"heads; 0: ", usual_heads, ", and with --weights what the file or config.json beside it says"}), 0, 256);
    options.add("eps", eps,
                "with --weights: eps of its norms; 0: what the file or config.json says, or its kind's published value", 0, 1);
    options.add("activation", activation, "with --weights: gelu, gelu_new, quick_gelu, relu or silu instead of the file's");
}

void ModelOptions::declare_image_size(Options& options) {
    options.add("image-size", image_size, "with --weights: side of its images, pixels; 0: what the file or config.json says", 0,
                10'000);
}

GivenSettings ModelOptions::settings() const {
    GivenSettings given;
    if (heads > 0) given[settings::heads.keys[0]] = text(heads);
    if (eps > 0) given[settings::eps.keys[0]] = setting_text(static_cast<float>(eps));
    if (!activation.empty()) given[settings::activation.keys[0]] = activation;
    if (image_size > 0) given[settings::image_size.keys[0]] = text(image_size);
    return given;
}
