#include "nn/data/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <functional>
#include <thread>
#include <utility>

#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("file");

TEST_CASE("write_file_atomically, read_file: bytes survive, zeros and line ends included") {
    const TemporaryFolder folder;
    const std::string bytes("a\0\r\n\xFF", 5);
    write_file_atomically(folder.path("f"), bytes);
    CHECK(read_file(folder.path("f")) == bytes);
    CHECK(folder.names() == std::vector<std::string>{"f"});
    write_file_atomically(folder.path("f"), "");
    CHECK(read_file(folder.path("f")).empty());
}

TEST_CASE("read_file: a file of exactly the limit is read, a larger one is refused") {
    const TemporaryFolder folder;
    const std::string path = folder.file("f", std::string(100'000, 'x'));
    CHECK(read_file(path, 100'000).size() == 100'000);
    CHECK(error_of([&] { read_file(path, 99'999); }) == path + ": is larger than 99999 bytes, the most that is read here");
    CHECK(error_of([] { read_file("/dev/zero"); }) ==
          "/dev/zero: is larger than 1048576 bytes, the most that is read here of a device; a file is needed");
    CHECK(read_file("/dev/null").empty());
}

TEST_CASE("files_below: files of a folder and its subfolders, sorted") {
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

TEST_CASE("beside: another file of the same folder, when the file has the given name") {
    CHECK(folder_prefix("a/b/c") == "a/b/");
    CHECK(folder_prefix("c") == "");
    CHECK(folder_prefix("/c") == "/");
    CHECK(beside("a/b/vocab.json", "vocab.json", "merges.txt") == "a/b/merges.txt");
    CHECK(beside("vocab.json", "vocab.json", "merges.txt") == "merges.txt");
    CHECK(beside("a/my-vocab.json", "vocab.json", "merges.txt") == "");
    CHECK(beside("", "vocab.json", "merges.txt") == "");
}

TEST_CASE("read_file, write_file_atomically: failures give the path and the reason") {
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

TEST_CASE("AtomicFile: without commit the old file is unchanged and nothing is left") {
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

TEST_CASE("RandomAccessFile: reads inside and at the end, refuses beyond") {
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

TEST_CASE("write_file_atomically: a symbolic link stays one, and its target is replaced") {
    const TemporaryFolder folder;
    const std::string real = folder.file("real", "old"), link = folder.path("link"), chain = folder.path("chain");
    std::filesystem::create_symlink("real", link);
    std::filesystem::create_symlink(link, chain);  // by its whole path, to a link
    write_file_atomically(chain, "new");
    CHECK(std::filesystem::is_symlink(link));
    CHECK(std::filesystem::is_symlink(chain));
    CHECK(read_file(real) == "new");
    std::filesystem::create_symlink("nothing-yet", folder.path("dangling"));
    write_file_atomically(folder.path("dangling"), "made");
    CHECK(std::filesystem::is_symlink(folder.path("dangling")));
    CHECK(read_file(folder.path("nothing-yet")) == "made");
    std::filesystem::create_symlink("circle", folder.path("circle"));
    CHECK(error_of([&] { write_file_atomically(folder.path("circle"), "x"); }) ==
          folder.path("circle") + ": is a link that leads back to itself");
    CHECK(folder.names() == std::vector<std::string>{"chain", "circle", "dangling", "link", "nothing-yet", "real"});
}

TEST_CASE("write_file_atomically: follows as many links as Linux does, 40") {
    const TemporaryFolder folder;
    folder.file("0", "old");
    for (int k = 1; k <= 41; ++k) std::filesystem::create_symlink(std::to_string(k - 1), folder.path(std::to_string(k)));
    write_file_atomically(folder.path("40"), "new");
    CHECK(std::filesystem::is_symlink(folder.path("1")));
    CHECK(read_file(folder.path("0")) == "new");
    CHECK(error_of([&] { write_file_atomically(folder.path("41"), "x"); }) != "");
}

TEST_CASE("write_file_atomically: the permissions of an existing file are kept") {
    namespace fs = std::filesystem;
    const TemporaryFolder folder;
    const std::string path = folder.file("f", "old");
    for (const fs::perms mode : {fs::perms{0600}, fs::perms{0640}, fs::perms{0755}}) {
        fs::permissions(path, mode);
        write_file_atomically(path, "new");
        CHECK(fs::status(path).permissions() == mode);
    }
}

// With files limited to `most` bytes, to simulate a full disk.
static std::string error_with_small_files(rlim_t most, const std::function<void()>& action) {
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{most, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string error = error_of(action);
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    return error;
}

TEST_CASE("AtomicFile: a failed write gives the reason, at once or at the end, and leaves the old file") {
    const TemporaryFolder folder;
    const std::string path = folder.file("f", "old"), many(1 << 20, 'x'), few(2000, 'x');
    const std::string why = path + ": cannot be written: File too large";
    CHECK(error_with_small_files(1000, [&] { write_file_atomically(path, many); }) == why);  // in write()
    CHECK(error_with_small_files(1000, [&] { write_file_atomically(path, few); }) == why);   // held back until commit()
    CHECK(read_file(path) == "old");
    CHECK(folder.names() == std::vector<std::string>{"f"});
}

// Stands in for the system's fsync in this program, whose files need not survive a power failure.
static int error_of_fsync = 0;
extern "C" int fsync(int) {
    errno = error_of_fsync;
    return error_of_fsync == 0 ? 0 : -1;
}

TEST_CASE("AtomicFile: a file system that cannot sync is no failure; one that fails to is, and the old file stays") {
    const TemporaryFolder folder;
    const std::string path = folder.file("f", "old");
    const auto error_with = [&](int number) {
        error_of_fsync = number;
        const std::string error = error_of([&] { write_file_atomically(path, std::to_string(number)); });
        error_of_fsync = 0;
        return error;
    };
    for (const int unsupported : {0, EINVAL, ENOTSUP}) {
        CHECK(error_with(unsupported).empty());
        CHECK(read_file(path) == std::to_string(unsupported));
    }
    CHECK(error_with(EIO) == path + ": cannot be written: Input/output error");
    CHECK(read_file(path) == std::to_string(ENOTSUP));
    CHECK(folder.names() == std::vector<std::string>{"f"});
}

#ifdef __linux__
// Runs once in the moment between the creation of a part and its lock.
static std::function<void()> before_lock;
extern "C" int flock(int descriptor, int operation) noexcept {
    if (operation == LOCK_EX && before_lock) std::exchange(before_lock, nullptr)();
    return static_cast<int>(syscall(SYS_flock, descriptor, operation));
}

TEST_CASE("AtomicFile: a part that another writer removes before it is locked is made anew") {
    const TemporaryFolder folder;
    const std::string path = folder.path("f");
    before_lock = [&] { std::filesystem::remove(folder.path(folder.names().at(0))); };
    CHECK(error_of([&] { write_file_atomically(path, "whole"); }) == "");
    CHECK(!before_lock);
    CHECK(read_file(path) == "whole");
    CHECK(folder.names() == std::vector<std::string>{"f"});
}
#endif

TEST_CASE("AtomicFile: writers of one path at the same time do not remove each other's part") {
    const TemporaryFolder folder;
    const std::string path = folder.path("f");
    std::vector<std::string> errors(4);
    std::vector<std::thread> writers;
    for (std::string& error : errors)
        writers.emplace_back([&] {
            for (int k = 0; k < 200 && error.empty(); ++k) error = error_of([&] { write_file_atomically(path, "whole"); });
        });
    for (std::thread& writer : writers) writer.join();
    for (const std::string& error : errors) CHECK(error == "");
    CHECK(read_file(path) == "whole");
    CHECK(folder.names() == std::vector<std::string>{"f"});
}

TEST_CASE("require_writable: a path that cannot be written is refused, and nothing is left") {
    const TemporaryFolder folder;
    const std::string path = folder.file("f", "old");
    require_writable(path);
    require_writable(folder.path("fresh"));
    CHECK(read_file(path) == "old");
    CHECK(folder.names() == std::vector<std::string>{"f"});
    CHECK(error_of([&] { require_writable(folder.path("no/f")); }) ==
          folder.path("no/f") + ": cannot be written: No such file or directory");
    CHECK(error_of([&] { require_writable(path + "/g"); }) == path + "/g: cannot be written: Not a directory");
    CHECK(error_of([&] { require_writable(folder.path("")); }) ==
          folder.path("") + ": is not an ordinary file and is not replaced by one");
    CHECK_THROWS_WITH(require_writable(""), "a file to be written needs a name, this one is empty");
}

TEST_CASE("AtomicFile: the part file of a killed process is removed by the next write, that of a running one stays") {
    const TemporaryFolder folder;
    const std::string path = folder.path("f");
    folder.file("f.part123", "left behind");
    folder.file("f.part", "no part: a user's file");
    folder.file("f.part12x", "nor this");
    folder.file("g.part123", "of another file");
    {
        AtomicFile living(path);
        living.write("living", 6);
        write_file_atomically(path, "new");  // removes f.part123 and not the part of `living`
        CHECK(folder.names().size() == 5);
        living.commit();
    }
    CHECK(read_file(path) == "living");
    CHECK(folder.names() == std::vector<std::string>{"f", "f.part", "f.part12x", "g.part123"});
}

TEST_CASE("write_file_atomically: standard input may be closed, so that descriptor 0 is a file like any other") {
    const TemporaryFolder folder;
    folder.file("f.part123", "left behind");
    const int input = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    const std::string error = error_of([&] { write_file_atomically(folder.path("f"), "new"); });
    dup2(input, STDIN_FILENO);
    close(input);
    CHECK(error == "");
    CHECK(read_file(folder.path("f")) == "new");
    CHECK(folder.names() == std::vector<std::string>{"f"});
}

TEST_CASE("read_file, AtomicFile, is_file: a path with a byte 0 is refused, and no other file is opened") {
    const TemporaryFolder folder;
    const std::string path = folder.file("a", "a") + std::string("\0.txt", 5);
    const std::string rule = "\\x00.txt: a path cannot hold a byte 0, the name of a file ends there";
    CHECK(error_of([&] { read_file(path); }).ends_with("/a" + rule));
    CHECK(error_of([&] { write_file_atomically(path, "b"); }).ends_with("/a" + rule));
    CHECK_FALSE(is_file(path));
    CHECK(read_file(folder.path("a")) == "a");
}

TEST_CASE("read_file, RandomAccessFile: what opens but cannot be read is refused with the reason") {
    const TemporaryFolder folder;
    // On Linux the memory of a process opens as a file, and no byte can be read at address 0.
    if (std::filesystem::exists("/proc/self/mem"))
        CHECK_THROWS_WITH(read_file("/proc/self/mem"), "/proc/self/mem: cannot be read: Input/output error");
    const std::string pipe = folder.path("pipe"), path = folder.file("f", std::string(100'000, 'x'));
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    const int both_ends = open(pipe.c_str(), O_RDWR);  // so that opening it again does not wait
    CHECK(error_of([&] { RandomAccessFile file(pipe); }) == pipe + ": cannot be read in pieces, it is not an ordinary file");
    close(both_ends);
    const RandomAccessFile file(path);
    std::filesystem::resize_file(path, 40'000);
    std::string piece(2, ' ');
    CHECK(error_of([&] { file.read(50'000, piece.data(), 2); }) ==
          path + ": bytes 50000 to 50002 cannot be read: the file has become shorter");
    file.read(20'000, piece.data(), 2);
    CHECK(piece == "xx");
    CHECK_NOTHROW(file.read(100'000, piece.data(), 0));
}

TEST_CASE("RandomAccessFile: a pipe is refused at once, opening it would wait for a writer; a device has no length") {
    CHECK(error_of([] { RandomAccessFile{"/dev/zero"}; }) == "/dev/zero: cannot be read in pieces, it is not an ordinary file");
    const TemporaryFolder folder;
    REQUIRE(mkfifo(folder.path("pipe").c_str(), 0600) == 0);
    CHECK(error_of([&] { RandomAccessFile{folder.path("pipe")}; }) ==
          folder.path("pipe") + ": cannot be read in pieces, it is not an ordinary file");
}

TEST_CASE("AtomicFile: after commit() nothing more is written, and it is not committed again") {
    const TemporaryFolder folder;
    const std::string path = folder.path("f");
    AtomicFile file(path);
    CHECK(error_of([&] { file.write(nullptr, 3); }).starts_with(path + ": 3 bytes at no address cannot be written"));
    file.write("abc", 3);
    file.commit();
    CHECK(error_of([&] { file.write("d", 1); }).starts_with(path + ": 1 bytes after commit() cannot be written"));
    CHECK(error_of([&] { file.commit(); }) == path + ": commit() a second time; the file is complete after the first");
    CHECK(read_file(path) == "abc");
}

TEST_CASE("read_file, RandomAccessFile: an empty name is told") {
    const std::string rule = "a file to be read needs a name, this one is empty";
    CHECK(error_of([] { read_file(""); }) == rule);
    CHECK(error_of([] { const RandomAccessFile file(""); }) == rule);
}
