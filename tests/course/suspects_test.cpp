#include "course/suspects.h"

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("suspects");

TEST_CASE("same_failure: equal text, and numbers within 2 in 1000") {
    CHECK(same_failure("element (2, 1): ours 0.7311, golden 0.5927", "element (2, 1): ours 0.7312, golden 0.5927"));
    CHECK_FALSE(same_failure("element (2, 1): ours 0.7311, golden 0.5927", "element (2, 1): ours 0.7411, golden 0.5927"));
    CHECK_FALSE(same_failure("element (2, 1): ours 0.7311, golden 0.5927", "element (2, 2): ours 0.7311, golden 0.5927"));
    CHECK_FALSE(same_failure("grad.wte", "grad.wpe"));
    CHECK_FALSE(same_failure("0.5 and 1", "0.5 and"));
    CHECK(same_failure("500", "501"));
    CHECK_FALSE(same_failure("500", "502"));
    CHECK(same_failure("0 and -0.0000009", "0 and 0"));
    CHECK(same_failure("0.000001", "0"));
    CHECK_FALSE(same_failure("0.000002", "0"));
    CHECK_FALSE(same_failure("x", "1"));
    CHECK_FALSE(same_failure("2 is 2-", "2 is 2"));
    CHECK_FALSE(same_failure("1", "x"));
    CHECK(same_failure("(-3, 2)", "(-3, 2)"));
}

TEST_CASE("same_failure: digits inside a name are text: block.1 is not block.2, and -3 is not 3") {
    CHECK_FALSE(same_failure("block.1000 0.5", "block.1001 0.5"));
    CHECK_FALSE(same_failure("norm1 is 0.5", "norm2 is 0.5"));
    CHECK_FALSE(same_failure("-3 == 2.5", "3 == 2.5"));
}

TEST_CASE("suspected: a failure without numbers has no suspects") {
    CHECK_FALSE(is_specific("identical(a, b) is false"));
    CHECK_FALSE(is_specific("a == 3 is 2 == 3"));
    CHECK(is_specific("w.value()(0, 0) is 1.9 == Approx( 1.825 )"));
    CHECK(is_specific("1, 2 and 3"));
    CHECK_FALSE(is_specific("1, 2 and 2"));
    CHECK(is_specific("it says \"no\""));
    CHECK_FALSE(is_specific("a_1.5"));  // digits of a name
    CHECK_FALSE(is_specific("a1.5"));
    CHECK_FALSE(is_specific("x 12 a.b"));  // the point is not the number's
    CHECK(is_specific("x -1.5"));
    CHECK_FALSE(is_specific("x - 1"));
    const std::vector<Suspect> suspects{{"no_scale", "the scale", "identical(a, b) is false"}};
    CHECK(suspected(suspects, "the scale", "identical(a, b) is false").empty());
}

TEST_CASE("suspected: a suspect failed the same test; up to three are named") {
    std::vector<Suspect> suspects{
        {"no_scale", "the scale", "0.1 == 0.25"}, {"root", "the scale", "0.1 == 0.25"}, {"sign", "the sign", "0.1 == 0.25"}};
    CHECK(suspected(suspects, "the scale", "0.1 == 0.25") == std::vector<std::string>{"no_scale", "root"});
    CHECK(suspected(suspects, "another", "0.1 == 0.25").empty());
    suspects.push_back({"third", "the scale", "0.1 == 0.25"});
    CHECK(suspected(suspects, "the scale", "0.1 == 0.25").size() == 3);
    suspects.push_back(suspects[0]);  // the same one again
    CHECK(suspected(suspects, "the scale", "0.1 == 0.25").size() == 3);
    suspects.push_back({"fourth", "the scale", "0.1 == 0.25"});
    CHECK(suspected(suspects, "the scale", "0.1 == 0.25").empty());
}

TEST_CASE("suspects: the cause finder's text is not compared, and line ends do not break the file") {
    CHECK(comparable("gpt-a, qkv: ours 0.5\n    cause    fits: twice") == "gpt-a, qkv: ours 0.5");
    CHECK(comparable("a\tb\rc\nd") == "a b c d");
    CHECK(comparable(std::string(401, 'x')) == std::string(400, 'x'));
    const TemporaryFolder folder;
    const std::vector<Suspect> suspects{{"sign", "title", comparable("a\n\tb")}};
    write_file_atomically(folder.path("s"), suspects_text(suspects));
    const std::vector<Suspect> read = read_suspects(folder.path("s"));
    REQUIRE(read.size() == 1);
    CHECK(read[0].mistake == "sign");
    CHECK(read[0].title == "title");
    CHECK(read[0].failure == "a  b");
    CHECK(read_suspects(folder.path("none")).empty());
    write_file_atomically(folder.path("s"), "no tabs here\n");
    CHECK(error_of([&] { read_suspects(folder.path("s")); }) ==
          folder.path("s") + ": a line has 1 parts, expected mistake, title and failure: no tabs here");
}

TEST_SUITE_END();
