// options.cpp: any lines as the words of a command line.
// covers walkthroughs/lesson/options.cpp 7Options4find|7Options3set|7Options4read|only_digits
#include "walkthroughs/lesson/options.h"

#include <cstdint>
#include <cstdlib>
#include <stdexcept>

#include "nn/data/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    int steps = 300;
    double rate = 0.5;
    std::string image;
    bool flag = false;
    Options options("fuzz", "Reads anything.", "no time");
    options.add("steps", steps, "training steps", 1, 1000);
    options.add("rate", rate, "learning rate", 0, 1);
    options.add("image", image, "a file");
    options.add("flag", flag, "a flag");
    try {
        options.read(split({reinterpret_cast<const char*>(data), size}, '\n'));
    } catch (const std::invalid_argument&) {
    }
    if (steps < 1 || steps > 1000 || !(rate >= 0 && rate <= 1)) std::abort();
    return 0;
}
