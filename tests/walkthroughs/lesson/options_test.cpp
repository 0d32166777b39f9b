#include "walkthroughs/lesson/options.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "nn/data/file.h"
#include "nn/layers/model_config.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

TEST_SUITE_BEGIN("options");

namespace {
struct Given {
    int steps = 300;
    double rate = 0.001;
    std::string image;
    bool no_positions = false;
    Options options{"toy", "Shows a toy.", "1 second"};

    Given() {
        options.add("steps", steps, "training steps", 1, 1000);
        options.add("rate", rate, "learning rate", 0, 1);
        options.add("image", image, "a PPM file");
        options.add("no-positions", no_positions, "leave them out");
    }
};
}  // namespace

static std::string refusal(const std::vector<std::string>& words) {
    Given given;
    return error_of([&] { given.options.read(words); });
}

TEST_CASE("Options: an option that is not given keeps its value") {
    Given given;
    given.options.read({});
    CHECK(given.steps == 300);
    CHECK(given.options.seed == 1);
    CHECK(!given.options.step);
    CHECK(!given.options.help_wanted);
}

TEST_CASE("Options: values as the next argument or after =, flags without") {
    Given given;
    given.options.read({"--steps", "7", "--rate=2e-2", "--image=a=b.ppm", "--no-positions", "--seed", "0", "--step"});
    CHECK(given.steps == 7);
    CHECK(given.rate == 2e-2);
    CHECK(given.image == "a=b.ppm");
    CHECK(given.no_positions);
    CHECK(given.options.seed == 0);
    CHECK(given.options.step);
    Given other;
    other.options.read({"--image", "--odd name", "--help"});
    CHECK(other.image == "--odd name");
    CHECK(other.options.help_wanted);
}

TEST_CASE("Options: rejects a wrong command line in one line") {
    CHECK(refusal({"--stps", "7"}) == "unknown option --stps; did you mean --steps?");
    CHECK(refusal({"--something-else"}) == "unknown option --something-else; --help lists all options");
    CHECK(refusal({"--stepsab"}) == "unknown option --stepsab; did you mean --steps?");  // two letters too many
    CHECK(refusal({"--stepsabc"}) == "unknown option --stepsabc; --help lists all options");
    CHECK(refusal({"--stes"}) == "unknown option --stes; did you mean --step?");  // the first of two that are as near
    CHECK(refusal({"--ste", "7"}) == "unknown option --ste; did you mean --step?");
    CHECK(refusal({"--no-p"}) == "unknown option --no-p; did you mean --no-positions?");  // a beginning
    CHECK(refusal({"--no"}) == "unknown option --no; --help lists all options");          // of two letters is none
    CHECK(refusal({"--rat"}) == "unknown option --rat; did you mean --rate?");
    bool team = false, temperature = false;  // a beginning is nearer than one letter too many
    Options two("toy", "", "");
    two.add("team", team, "");
    two.add("temperature", temperature, "");
    CHECK(error_of([&] { two.read({"--tem"}); }) == "unknown option --tem; did you mean --temperature?");
    CHECK(refusal({"--x"}) == "unknown option --x; --help lists all options");
    CHECK(refusal({"--steps", "1"}) == "");
    CHECK(refusal({"--steps", "1000"}) == "");
    CHECK(refusal({"--rate", "0"}) == "");
    CHECK(refusal({"--rate", "1"}) == "");
    CHECK(refusal({"--rate", "1.5"}) == "--rate 1.5: the number must be from 0 to 1");
    CHECK(refusal({"--seed", "2147483647"}) == "");
    CHECK(refusal({"--trace-backward", "0", "--trace", "-"}) == "");
    CHECK(refusal({"--trace-backward", "0"}).starts_with("--trace-backward means something only together with --trace"));
    CHECK(refusal({"--trace-backward", "-1"}) == "--trace-backward -1: the number must be from 0 to 2147483647");
    CHECK(refusal({"--seed", "-1"}) == "--seed -1: the number must be from 0 to 2147483647");
    const std::string beginning(60, 'x'), ending(40, 'x');
    CHECK(refusal({"--" + beginning + ending}) ==
          "unknown option --\"" + beginning + "\"... (100 bytes); --help lists all options");
    CHECK(refusal({beginning + ending}) ==
          "\"" + beginning + "\"... (100 bytes) is not an option; options begin with --, see --help");
    CHECK(refusal({"--steps", beginning + ending}) ==
          "--steps \"" + beginning + "\"... (100 bytes): a whole number in digits is needed, from 1 to 1000");
    CHECK(refusal({"--" + beginning + ending.substr(20)}) ==
          "unknown option --" + beginning + ending.substr(20) + "; --help lists all options");
    CHECK(refusal({"--a\nb"}) == "unknown option --a\\nb; --help lists all options");
    CHECK(refusal({"steps"}) == "\"steps\" is not an option; options begin with --, see --help");
    CHECK(refusal({""}) == "\"\" is not an option; options begin with --, see --help");
    CHECK(refusal({"--"}) == "\"--\" is not an option; options begin with --, see --help");
    CHECK(refusal({"-h"}) == "\"-h\" is not an option; options begin with --, see --help");
    CHECK(refusal({"--=3"}) == "unknown option --\"\"; --help lists all options");
    CHECK(refusal({"--steps"}) == "--steps needs a value");
    CHECK(refusal({"--steps", "3", "--steps", "4"}) == "--steps is given twice");
    CHECK(refusal({"--no-positions=1"}) == "--no-positions takes no value");
    for (const char* const words : {"-", "abc", "3x", "3.5", "+5", "0x10", "1e2", "5-3"})
        CHECK(refusal({"--steps", words}) ==
              "--steps " + std::string(words) + ": a whole number in digits is needed, from 1 to 1000");
    for (const char* const words : {"", " 5", "5 ", " "})  // what cannot be seen stands in quotation marks
        CHECK(refusal({"--steps", words}) ==
              "--steps \"" + std::string(words) + "\": a whole number in digits is needed, from 1 to 1000");
    CHECK(refusal({"--rate", "1\n"}) == "--rate \"1\\n\": a number is needed, from 0 to 1");
    for (const char* const words : {"0", "-1", "1001", "99999999999999999999999999", "-99999999999999999999999999"})
        CHECK(refusal({"--steps", words}) == "--steps " + std::string(words) + ": the number must be from 1 to 1000");
    for (const char* const words : {"abc", "nan", "inf", "1e999", "0x1", "1.0.0"})
        CHECK(refusal({"--rate", words}) == "--rate " + std::string(words) + ": a number is needed, from 0 to 1");
    CHECK(refusal({"--rate", "-0.5"}) == "--rate -0.5: the number must be from 0 to 1");
    CHECK(refusal({"--seed", "2147483648"}) == "--seed 2147483648: the number must be from 0 to 2147483647");
}

TEST_CASE("Options: help lists every option with its value") {
    CHECK(Given().options.help() ==
          "toy: Shows a toy.\n"
          "Takes about 1 second.\n"
          "\n"
          "  --help              show this\n"
          "  --step              wait for Enter between the steps\n"
          "  --quiz              ask for predictions and check them\n"
          "  --seed n            another seed, other random numbers (1)\n"
          "  --page text         also write the lesson to this file as a web page\n"
          "  --trace text        write a run with all its arithmetic to this file, a web page; -: browse it here at the end\n"
          "  --trace-backward n  which backward pass --trace keeps; 0: the last one (1)\n"
          "  --trap-nan          stop at the first operation that makes a NaN or an infinity, and name it\n"
          "  --steps n           training steps (300)\n"
          "  --rate x            learning rate (0.001)\n"
          "  --image text        a PPM file\n"
          "  --no-positions      leave them out\n");
}

#if !defined(__SANITIZE_ADDRESS__)  // at its end a copy of the process is searched for leaks, without its other threads
namespace {
// How a program ended that began with read_or_exit; 99 if it went on.
struct Ended {
    int status;
    std::string output, complaint;
};
}  // namespace

static Ended ended(std::vector<std::string> words, std::string output = "") {
    const TemporaryFolder folder;
    const bool own_output = output.empty();
    if (own_output) output = folder.path("output");
    words.insert(words.begin(), "toy");
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        const Redirected out(STDOUT_FILENO, output), complaints(STDERR_FILENO, folder.path("complaint"));
        Given given;
        given.options.read_or_exit(static_cast<int>(arguments.size()), arguments.data());
        std::printf("%d steps", given.steps);
        std::fflush(stdout);
        _exit(99);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, own_output ? read_file(output) : "",
            read_file(folder.path("complaint"))};
}

TEST_CASE("read_or_exit: goes on with the values; 0 after the help, 2 after a refusal, 1 when the help cannot be written") {
    const Ended goes_on = ended({"--steps", "7"}), no_words = ended({}), helped = ended({"--help"}), refused = ended({"--stps"});
    CHECK(goes_on.status == 99);
    CHECK(goes_on.output == "7 steps");
    CHECK(no_words.output == "300 steps");
    CHECK(helped.status == 0);
    CHECK(helped.output == Given().options.help());
    CHECK(refused.status == 2);
    CHECK(refused.output.empty());
    CHECK(refused.complaint == "toy: unknown option --stps; did you mean --steps?\n");
    if (!std::filesystem::exists("/dev/full")) return;
    const Ended full = ended({"--help"}, "/dev/full");
    CHECK(full.status == 1);
    CHECK(full.complaint == "toy: the output cannot be written: No space left on device\n");
}
#endif

TEST_CASE("command: the make command that repeats the run, without --page") {
    Given given;
    given.options.read({"--steps", "5", "--page", "/tmp/x.html", "--no-positions"});
    CHECK(given.options.command() == "make walk-toy ARGS=\"--steps 5 --no-positions\"");
    CHECK(Given().options.command() == "make walk-toy");
    Given joined;
    joined.options.read({"--page=/tmp/x.html", "--steps", "5"});
    CHECK(joined.options.command() == "make walk-toy ARGS=\"--steps 5\"");
}

TEST_CASE("ModelOptions: settings holds the options that were given, under the published keys") {
    Options options("toy", "Shows a toy.", "1 second");
    ModelOptions model;
    model.declare(options, 4);
    model.declare_image_size(options);
    CHECK(model.settings().empty());
    CHECK(model.heads_or(4) == 4);
    options.read({"--heads", "3", "--eps", "1e-5", "--activation", "relu", "--image-size", "8"});
    CHECK(model.heads_or(4) == 3);
    CHECK(model.settings() ==
          std::map<std::string, std::string>{
              {"num_attention_heads", "3"}, {"layer_norm_eps", "1e-05"}, {"hidden_act", "relu"}, {"image_size", "8"}});
    for (const auto& [option, most, least_too_many] : std::vector<std::array<std::string, 3>>{
             {"--heads", "256", "257"}, {"--eps", "1", "1.1"}, {"--image-size", "10000", "10001"}}) {
        Options other("toy", "Shows a toy.", "1 second");
        ModelOptions limits;
        limits.declare(other, 4);
        limits.declare_image_size(other);
        CHECK(error_of([&] { other.read({option, most}); }) == "");
        CHECK(limits.settings().size() == 1);
        Options beyond("toy", "Shows a toy.", "1 second");
        limits.declare(beyond, 4);
        limits.declare_image_size(beyond);
        CHECK(error_of([&] {
                  beyond.read({option, least_too_many});
              }).find("the number must be from 0 to " + most) != std::string::npos);
        Options none("toy", "Shows a toy.", "1 second");
        ModelOptions zero;
        zero.declare(none, 4);
        zero.declare_image_size(none);
        none.read({option, "0"});
        CHECK(zero.settings().empty());
        Options least("toy", "Shows a toy.", "1 second");
        ModelOptions one;
        one.declare(least, 4);
        one.declare_image_size(least);
        least.read({option, "1"});
        CHECK(one.settings().size() == 1);
    }
}

TEST_CASE("Options: a repeated or empty name is a programming error") {
    Given given;
    bool flag = false;
    CHECK_THROWS_WITH(given.options.add("steps", flag, ""), "Options: --steps is declared twice");
    CHECK_THROWS_WITH(given.options.add("A b", flag, ""),
                      "Options: --A b is not a valid name, use lower-case letters, digits and hyphens");
}

TEST_CASE("Options: --trace - is the terminal and no file") {
    std::filesystem::create_directory("-");  // where a file could not be written
    CHECK(refusal({"--trace", "-"}) == "");
    CHECK(refusal({"--page", "-"}) == "--page -: is not an ordinary file and is not replaced by one");
    CHECK(refusal({"--trace", "-", "--page", "-"}) == "--page -: is not an ordinary file and is not replaced by one");
    std::filesystem::remove("-");
}

TEST_CASE("add_output: rejects a file that cannot be written when the command line is read") {
    const TemporaryFolder folder;
    const auto error = [](const std::string& path) {
        std::string save;
        Options options("toy", "Shows a toy.", "1 second");
        options.add_output("save", save, "a file", {".a", ".b"});
        return error_of([&] { options.read({"--save", path}); });
    };
    CHECK(error(folder.path("model")) == "");
    CHECK(folder.names().empty());
    CHECK(error("/no/such/folder/model") == "--save /no/such/folder/model.a: cannot be written: No such file or directory");
    std::filesystem::create_directory(folder.path("model.b"));  // each of the files counts
    CHECK(error(folder.path("model")) ==
          "--save " + folder.path("model.b") + ": is not an ordinary file and is not replaced by one");
    CHECK(error("") == "--save needs the name of a file");
    std::string unused;
    Options options("toy", "Shows a toy.", "1 second");
    options.add_output("save", unused, "a file");
    options.read({});  // not given, not asked
}

TEST_CASE("Options: an option that means nothing without another, or beside it, is refused instead of being ignored") {
    const auto error = [](const std::vector<std::string>& words) {
        Given given;
        given.options.needs("image", "steps");
        given.options.excludes("rate", "no-positions");
        given.options.needs_one_of("quiz", {"rate", "no-positions"});
        return error_of([&] { given.options.read(words); });
    };
    CHECK(error({"--image", "a"}) == "--image means something only together with --steps; give that too, or leave it out");
    CHECK(error({"--steps", "5", "--image", "a"}) == "");
    CHECK(error({"--rate", "0.5", "--no-positions"}) ==
          "--rate means nothing together with --no-positions; leave one of them out");
    CHECK(error({"--quiz"}) ==
          "--quiz means something only together with --rate or --no-positions; give that too, or leave it out");
    CHECK(error({"--quiz", "--rate", "1"}) == "");
    CHECK(error({"--quiz", "--no-positions"}) == "");
    CHECK(error({"--rate", "0.5"}) == "");
    CHECK(error({"--no-positions"}) == "");
    CHECK(error({"--help", "--image", "a"}) == "");
}

TEST_CASE("Options: an empty text is no value: a variable of the shell that is not set must not start another run") {
    Given given;
    CHECK(error_of([&] {
              given.options.read({"--image", ""});
          }) == "--image \"\": an empty text is no value; leave the option out");
    Given other;
    CHECK(error_of([&] { other.options.read({"--image="}); }) == "--image \"\": an empty text is no value; leave the option out");
}

TEST_CASE("add_output: a file that is read or written by another option of the same run is not written; --resume may be") {
    const TemporaryFolder folder;
    const std::string model = folder.path("model"), corpus = folder.path("corpus");
    for (const std::string& path : {model, corpus}) write_file_atomically(path, "x");
    std::filesystem::create_symlink(corpus, folder.path("link"));
    const auto error = [](const std::vector<std::string>& words) {
        std::string save, text, resume;
        Options options("toy", "Shows a toy.", "1 second");
        options.add("text", text, "a file");
        options.add("resume", resume, "a file");
        options.add_output("save", save, "a file");
        return error_of([&] { options.read(words); });
    };
    const auto overwritten = [&](const std::string& path) {
        return "--save would overwrite " + path + ", which --text reads; name another file";
    };
    CHECK(error({"--text", corpus, "--save", model}) == "");
    CHECK(error({"--resume", model, "--save", model}) == "");
    CHECK(error({"--text", corpus, "--save", corpus}) == overwritten(corpus));
    CHECK(error({"--text", corpus, "--save", folder.path("link")}) == overwritten(folder.path("link")));
    CHECK(error({"--text", "new", "--save", folder.path("new")}) == "");  // words, not a file
    CHECK(error({"--save", model, "--page", model}) == "--page and --save both write " + model + "; name two files");
    CHECK(error({"--save", folder.path("a"), "--page", folder.path("b")}) == "");
    const std::string also_a = folder.path("./a");  // the same file, which does not exist yet
    CHECK(error({"--save", folder.path("a"), "--page", also_a}) ==
          "--page and --save both write " + folder.path("a") + "; name two files");
}
