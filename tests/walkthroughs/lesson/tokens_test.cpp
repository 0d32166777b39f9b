// tokens_test.cpp: tokens on a line, and the text of the command line.
#include "walkthroughs/lesson/tokens.h"

#include <cstdio>

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

using Lines = std::vector<std::string>;

TEST_SUITE("tokens") {
    TEST_CASE("token_lines: a bar after each token in plain text, alternating backgrounds in colour") {
        CHECK(token_lines({"a", " b"}, Colours::none) == Lines{"a| b|"});
        CHECK(token_lines({"a", "b"}, Colours::few) == Lines{"\x1b[30;48;5;223ma\x1b[0m\x1b[30;48;5;152mb\x1b[0m"});
        CHECK(token_lines({}, Colours::none).empty());
    }

    TEST_CASE("token_lines: newlines end the line; incomplete and control characters are escaped") {
        CHECK(token_lines({"a", "\n", "b"}, Colours::none) == Lines{"a|\u21B5|", "b|"});
        CHECK(shown_token(" \xD0\x9F\xD0\t") == " \u041F<D0>\u00B7");
        CHECK(token_lines({"\xD0", "\x9F\x1B"}, Colours::none) == Lines{"<D0>|<9F>\u00B7|"});
    }

    TEST_CASE("token_lines: no wider than requested, unless a single token is") {
        CHECK(token_lines({"abc", "def", "g"}, Colours::none, 6) == Lines{"abc|", "def|g|"});
        CHECK(token_lines({"abcdefgh", "i"}, Colours::none, 4) == Lines{"abcdefgh|", "i|"});
        CHECK(token_lines({"abc", "def"}, Colours::none, 8) == Lines{"abc|def|"});
        CHECK(token_lines({"abc", "def"}, Colours::none, 7).size() == 2);
        CHECK(token_lines({"abc", "def"}, Colours::few, 6).size() == 1);
        CHECK(token_lines({"abc", "def"}, Colours::few, 5).size() == 2);
        CHECK(token_lines({"abc\n", "def"}, Colours::none, 80).size() == 2);
        // a line begins at column 0 again, after a newline and without one; one column is a line, too
        CHECK(token_lines({"abc", "def", "ghi"}, Colours::none, 8) == Lines{"abc|def|", "ghi|"});
        CHECK(token_lines({"a\n", "abc", "def"}, Colours::none, 8) == Lines{"a\u21B5|", "abc|def|"});
        CHECK(token_lines({"a", "bb"}, Colours::few, 2).size() == 2);
        CHECK(token_lines({"a"}, Colours::few, 2).size() == 1);
    }

    TEST_CASE("token_lines: six backgrounds, then the first again") {
        std::string line;
        for (const int background : {223, 152, 187, 182, 151, 217, 223})
            line += "\x1b[30;48;5;" + std::to_string(background) + "mx\x1b[0m";
        CHECK(token_lines(Lines(7, "x"), Colours::few) == Lines{line});
    }

    TEST_CASE("shown_token: which characters are control characters") {
        CHECK(shown_token("\x1f ~\x7f") == "\u00B7 ~\u00B7");
        CHECK(shown_token("\u0080\u009f\u00a0") == "\u00B7\u00B7\u00a0");
        CHECK(shown_token("\xff" + std::string("a")) == "<FF>a");
    }

    TEST_CASE("only_english, ascii_lines: en keeps the lines without Russian letters") {
        CHECK(only_english("en"));
        CHECK(!only_english("ru"));
        CHECK_THROWS_WITH(only_english("de"), "--language de: must be en or ru");
        CHECK(ascii_lines("\x80\nb\x7f\n") == "b\x7f\n");
        CHECK(ascii_lines("a cat\nкот\ncafé\nb") == "a cat\nb\n");
    }

    TEST_CASE("shown_text: a terminal gets no commands, line ends and tabs stay") {
        CHECK(shown_text("a\n\tb \u00E9\u4E2D") == "a\n\tb \u00E9\u4E2D");
        CHECK(shown_text("\x1B[31m\r\x7F\u009B2J\u00A0") == "\u00B7[31m\u00B7\u00B7\u00B72J\u00A0");
        CHECK(shown_text("\xFF") == "\uFFFD");
    }

    TEST_CASE("text_or_file: the file of this name, or the text itself") {
        const std::string path = "build/tokens_test.txt";
        write_file_atomically(path, "from the file");
        CHECK(text_or_file(path) == "from the file");
        std::remove(path.c_str());
        CHECK(error_of([&] { text_or_file(path); }) ==
              path + ": there is no such file; words that are no file's name may not end in .txt");
        CHECK(text_or_file("see a.txt") == "see a.txt");
        CHECK(text_or_file("tests") == "tests");  // a folder is not read
        CHECK(text_or_file(std::string("Makefile\0", 9)) == std::string("Makefile\0", 9));
        CHECK(text_or_file("/dev/null").empty());  // what is no ordinary file is: text_or_file(<(sort words))
        CHECK(text_or_file(std::string(10000, 'x')).size() == 10000);
    }

    TEST_CASE("class_names: a line for each class, and nothing else") {
        const TemporaryFolder folder;
        CHECK(class_names("", 3).empty());
        CHECK(class_names(folder.file("two",
                                      "\xEF\xBB\xBF"
                                      "a cat\r\na dog\n\n"),
                          2) == std::vector<std::string>{"a cat", "a dog"});
        const std::string page = folder.file("page", "<html>\n");
        CHECK(error_of([&] { class_names(page, 3); }) ==
              page +
                  ": holds 1 lines, the classifier has 3 classes; each needs a line with its name; it looks like an HTML page; "
                  "perhaps a download that asked for a log-in");
        const std::string none = folder.file("none", "");
        CHECK(error_of([&] { class_names(none, 3); }).starts_with(none + ": holds 0 lines, the classifier has 3 classes"));
    }
}
