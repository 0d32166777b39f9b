#include "nn/data/file.h"

#include <filesystem>

#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("file");

TEST_CASE("bytes come back as they were written, zeros and line ends included") {
    const TemporaryFolder folder;
    const std::string bytes("a\0\r\n\xFF", 5);
    write_file_atomically(folder.path("f"), bytes);
    CHECK(read_file(folder.path("f")) == bytes);
    CHECK(folder.names() == std::vector<std::string>{"f"});
    write_file_atomically(folder.path("f"), "");
    CHECK(read_file(folder.path("f")).empty());
}

TEST_CASE("a file as large as the limit is read, a larger one is not") {
    const TemporaryFolder folder;
    const std::string path = folder.file("f", std::string(100'000, 'x'));
    CHECK(read_file(path, 100'000).size() == 100'000);
    CHECK(error_of([&] { read_file(path, 99'999); }) == path + ": is larger than 99999 bytes, the most that is read here");
}

TEST_CASE("the files of a folder and of those below it come in the order of their names") {
    const TemporaryFolder folder;
    CHECK(files_below(folder.path("")).empty());
    CHECK(files_below(folder.path("none")).empty());
    const std::string d = folder.file("d", ""), b = folder.file("b", ""), e = folder.file("e", ""), inner = folder.path("a/x");
    std::filesystem::create_directories(inner);
    write_file_atomically(inner + "/c", "");
    CHECK(files_below(folder.path("a")) == std::vector<std::string>{inner + "/c"});
    CHECK(files_below(folder.path("").substr(0, folder.path("").size() - 1)) == std::vector<std::string>{inner + "/c", b, d, e});
    CHECK(is_file(b));
    CHECK_FALSE(is_file(inner));
    CHECK_FALSE(is_file(folder.path("none")));
    CHECK_FALSE(is_file(std::string(100'000, 'x')));
}

TEST_CASE("what cannot be read or written says why") {
    const TemporaryFolder folder;
    CHECK(error_of([&] { read_file(folder.path("none")); }) ==
          folder.path("none") + ": cannot be opened: No such file or directory");
    CHECK(error_of([&] { read_file(folder.path("")); }) == folder.path("") + ": is a directory, a file is needed");
    CHECK(error_of([&] { write_file_atomically(folder.path("no/f"), "a"); }) ==
          folder.path("no/f") + ": cannot be written: No such file or directory");
    CHECK(error_of([&] { write_file_atomically(folder.path(""), "a"); }) ==
          folder.path("") + ": is not an ordinary file and is not replaced by one");
    CHECK_THROWS_WITH(write_file_atomically("/dev/null", "a"), "/dev/null: is not an ordinary file and is not replaced by one");
}

TEST_CASE("a file that is not committed leaves the old one as it was, and nothing else") {
    const TemporaryFolder folder;
    const std::string path = folder.file("f", "old");
    {
        AtomicFile file(path);
        file.write("new", 3);
        CHECK(folder.names().size() == 2);
        CHECK(read_file(path) == "old");
    }
    CHECK(read_file(path) == "old");
    CHECK(folder.names() == std::vector<std::string>{"f"});
}

TEST_CASE("pieces of a file: inside, at its end, beyond") {
    const TemporaryFolder folder;
    const std::string path = folder.file("f", "abcdef");
    const RandomAccessFile file(path);
    CHECK(file.size() == 6);
    std::string piece(2, ' ');
    file.read(4, piece.data(), 2);
    CHECK(piece == "ef");
    file.read(1, piece.data(), 2);
    CHECK(piece == "bc");
    CHECK(error_of([&] { file.read(5, piece.data(), 2); }) == path + ": bytes 5 to 7 of a file of 6");
    CHECK(error_of([&] { file.read(7, piece.data(), 0); }) == path + ": bytes 7 to 7 of a file of 6");
}
