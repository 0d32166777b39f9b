// options.h: the command line of a walkthrough.
//
//   use      int steps = 300;
//            std::string image;
//            Options options("vit", "Trains a Vision Transformer on handwritten digits.", "20 seconds");
//            options.add("steps", steps, "training steps", 1, 100'000);
//            options.add("image", image, "a PPM or PGM file to use instead of a digit");
//            options.read_or_exit(argc, argv);
//   always   --help, --step (wait for Enter between the steps of the lesson), --quiz (ask for predictions), --seed n,
//            --page FILE.html (the lesson as a web page),
//            --trace FILE.html (every value and gradient of a backward pass with its arithmetic; "-": in the terminal), --trace-backward n,
//            --trap-nan (the first operation that makes a NaN or an infinity ends the program, and is named)
//   note     --name value and --name=value are the same. A wrong command line costs one line and exit code 2.
#pragma once
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

// Writes and flushes.   throws std::runtime_error when that fails: a full disk, a closed pipe
void write_or_throw(const std::string& words, std::FILE* out);

class Options {
public:
    // All three are shown by --help; the duration is, for example, "20 seconds".
    Options(std::string name, std::string purpose, std::string duration);

    // Declares --name. The variable keeps its value when the option is not given; it must outlive read().
    //   least, most   a number outside is refused
    //   throws        std::invalid_argument when the name is taken or invalid (lower-case letters, digits, hyphens)
    void add(const std::string& name, int& value, const std::string& help, int least, int most);
    void add(const std::string& name, double& value, const std::string& help, double least, double most);
    void add(const std::string& name, std::string& value, const std::string& help);
    void add(const std::string& name, bool& value, const std::string& help);  // --name alone sets it

    // Declares --name for a file that the program writes at its end. A path that cannot be written is refused by read(), before
    // anything is computed.
    //   endings  the program writes the value followed by each of these
    void add_output(const std::string& name, std::string& value, const std::string& help,
                    const std::vector<std::string>& endings = {""});

    // --name means nothing without --other, or together with it: read() refuses that, instead of ignoring what was given.
    void needs(const std::string& name, const std::string& other) { pairs.push_back({name, {other}, true}); }
    void needs_one_of(const std::string& name, const std::vector<std::string>& others) { pairs.push_back({name, others, true}); }
    void excludes(const std::string& name, const std::string& other) { pairs.push_back({name, {other}, false}); }

    // Reads the arguments.
    //   throws  std::invalid_argument in one line: an unknown option (with the nearest known one), a duplicate, a missing value,
    //           not a number, out of range, a file that cannot be written
    void read(const std::vector<std::string>& words);

    // The same for main: prints help and exits with 0, or prints the error to standard error and exits with 2. Also makes writing
    // to a closed pipe an ordinary error instead of a silent exit.
    void read_or_exit(int argc, char** argv);

    std::string help() const;

    // "make walk-vit ARGS="--seed 2"": what runs this again; after read().
    std::string command() const;

    std::string name, purpose, duration;
    bool help_wanted = false;
    bool step = false;  // wait for Enter between the steps
    bool quiz = false;  // ask for the predictions whose answer the run computes
    int seed = 1;
    bool trap_nan = false;
    std::string page;  // where the lesson writes itself as a web page; "" = nowhere
    std::string trace;
    int trace_backward = 1;

private:
    enum class Kind { whole, decimal, words, flag };
    struct Option {
        std::string name, help, initially;
        Kind kind;
        void* value;
        double least = 0, most = 0;
        bool given = false;
        std::vector<std::string> endings = {};  // of files to be written
    };
    struct OptionPair {
        std::string name;
        std::vector<std::string> others;  // one of them decides
        bool together;
    };
    std::vector<Option> options;
    std::vector<OptionPair> pairs;
    std::vector<std::string> given_words;  // the command line

    void declare(Option option);
    Option& find(const std::string& name);
    void require_pairs();
    static void set(Option& option, const std::string& words);
    static void require_outputs_writable(const Option& option);
};

struct GivenSettings;

// Options for settings that a checkpoint's tensor shapes do not determine (nn/layers/model_config.h): --heads, --eps, --activation,
// --image-size.
//   use  ModelOptions model;
//        model.declare(options, 4);                                      // 4: default number of heads of a model trained here
//        const gpt::Config config = gpt::config_of(file, model.settings());  // for --weights
struct ModelOptions {
    int heads = 0;  // 0, "" = not given
    double eps = 0;
    std::string activation;  // a name of activation_of_name: "gelu_new"
    int image_size = 0;      // pixels

    // usual_heads  the number of heads of a model that the program trains itself
    void declare(Options& options, int usual_heads);
    void declare_image_size(Options& options);

    int heads_or(int usual_heads) const { return heads > 0 ? heads : usual_heads; }
    GivenSettings settings() const;
};
