#include "course/command/command_line.h"

#include "tests/test.h"

TEST_SUITE_BEGIN("command_line");

TEST_CASE("read_command_line: options stand anywhere, the last value counts, the others keep their order") {
    const CommandLine line =
        read_command_line({"--seed", "3", "b", "--key", "a", "--seed", "--key"}, {"--key"}, {"--seed", "--out"});
    CHECK(line.words == std::vector<std::string>{"b", "a"});
    CHECK(line.has("--key"));
    CHECK(line.value("--key", "x").empty());
    CHECK(line.value("--seed", "1") == "--key");  // a value may begin with --
    CHECK_FALSE(line.has("--out"));
    CHECK(line.value("--out", "here") == "here");
}

TEST_CASE("read_command_line: an unknown option and one without its value are refused") {
    CHECK(error_of([] { read_command_line({"--keys"}, {"--key"}, {}); }) == "unknown option --keys; --help lists them");
    CHECK(error_of([] { read_command_line({"a", "--seed"}, {}, {"--seed"}); }) == "--seed needs a value");
}

TEST_CASE("whole, only_word: the limits are allowed, other numbers and a second word are refused") {
    const auto seed = [](const std::string& value) {
        return read_command_line({"--seed", value}, {}, {"--seed"}).whole("--seed", 5, 7);
    };
    CHECK(read_command_line({}, {}, {}).whole("--seed", 5, 7) == 5);
    CHECK(seed("0") == 0);
    CHECK(seed("7") == 7);
    for (const std::string value : {"8", "-1", "1.5", "x", ""})
        CHECK(error_of([&] { seed(value); }) == "--seed is \"" + value + "\", expected a number from 0 to 7");
    CHECK(read_command_line({}, {}, {}).only_word().empty());
    CHECK(read_command_line({"a"}, {}, {}).only_word() == "a");
    CHECK(error_of([] { read_command_line({"a", "b"}, {}, {}).only_word(); }) == "unknown option b; --help lists them");
}

TEST_SUITE_END();
