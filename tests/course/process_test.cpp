#include "course/grade/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "nn/base/clock.h"
#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

TEST_SUITE_BEGIN("process");

static RunResult shell(const std::string& words, double seconds = 10) {
    RunLimits limits;
    limits.seconds = seconds;
    limits.output_bytes = 100;
    limits.answer_bytes = 2000000;
    return run({"sh", "-c", words, "sh", "{answers}"}, ".", limits);
}

TEST_CASE("run: separates output from answers, and reports how the program ended") {
    const RunResult result = shell("echo printed; echo complained >&2; eval \"echo answered >&$1\"; exit 3");
    CHECK(result.output == "printed\ncomplained\n");
    CHECK(result.answers == "answered\n");
    CHECK(result.how == "ended with status 3");
    CHECK_FALSE(result.ended_well);
    CHECK(shell("printf a; sleep 0.2; printf b; sleep 0.2; printf c").output == "abc");  // it is read byte by byte
    CHECK(shell("true").ended_well);
    CHECK(shell("kill -9 $$").how == "ended by signal 9");
    CHECK(run({"/no/such/program"}, ".", {}).how == "ended with status 127");
}

TEST_CASE("run: stops endless loops, endless output, endless answers and remaining child processes") {
    const double begin = seconds_now();
    CHECK(shell("while true; do :; done", 0.5).how == "stopped after 0 s");
    const RunResult endless = shell("while true; do echo x; done", 0.5);
    CHECK(endless.output.size() == 100);
    CHECK_FALSE(endless.ended_well);
    CHECK(shell("eval \"yes >&$1\"", 20).answers.size() <= 2000000);
    RunLimits six;  // 6 bytes are allowed, 7 are not
    six.answer_bytes = 6;
    const auto answer = [&](const std::string& words, const std::string& seconds) {
        return run({"sh", "-c", "eval \"echo " + words + " >&$1\"; sleep " + seconds, "sh", "{answers}"}, ".", six);
    };
    CHECK(answer("12345", "0.2").answers == "12345\n");
    CHECK(answer("12345", "0.2").ended_well);
    CHECK(answer("123456", "5").how == "ended by signal 9");
    const TemporaryFolder folder;
    const RunResult left = shell("(sleep 2; touch " + folder.path("late") + ") & exit 0", 5);
    CHECK(left.ended_well);
    CHECK(shell("sleep 3").ended_well);
    CHECK_FALSE(is_file(folder.path("late")));
    CHECK(seconds_now() - begin < 30);
}

TEST_CASE("run: a program finds its limits: no core, seconds of four threads, 256 MB for a file, 2 GB of memory") {
    // in seconds, in blocks of 512 bytes, in kB
    CHECK(shell("ulimit -c; ulimit -t; ulimit -f", 10).output == "0\n42\n524288\n");
#ifndef __SANITIZE_ADDRESS__
    CHECK(shell("ulimit -v").output == "2097152\n");
#endif
    const TemporaryFolder folder;
    write_file_atomically(folder.path("words"), "words of ours\n");
    const int words = open(folder.path("words").c_str(), O_RDONLY);
    {
        const Redirected our_input(STDIN_FILENO, words);  // it has nothing to read, not what we have, and its folder
        CHECK(run({"sh", "-c", "cat; echo $MAKEFLAGS$MFLAGS; pwd"}, "/", {}).output == "\n/\n");
    }
    close(words);
    CHECK(shell("true", 1).how == "ended with status 0");
    if (geteuid() != 0) return;  // only root can change the user id
    RunLimits limits;
    limits.as_nobody = true;
    CHECK(run({"sh", "-c", "id -u; id -G; ulimit -p"}, "/", limits).output == "65534\n65534\n256\n");
}

TEST_CASE("run: under the account `nobody` a program cannot delete, change or read protected files") {
    if (geteuid() != 0) return;  // only root can change the user id
    const TemporaryFolder folder;
    const std::string results = folder.path("results.json"), secret = folder.path("secret");
    write_file_atomically(results, "0 points");
    write_file_atomically(secret, "the solution");
    std::filesystem::permissions(results, std::filesystem::perms(0644));
    std::filesystem::permissions(secret, std::filesystem::perms(0600));
    RunLimits limits;
    limits.as_nobody = true;
    const std::string attack = "rm -f " + results + "; echo 100 points > " + results + "; cat " + secret + "; id -u";
    CHECK(run({"sh", "-c", attack}, "/", limits).output.ends_with("\n65534\n"));
    CHECK(run({"sh", "-c", attack}, "/", limits).output.find("the solution") == std::string::npos);
    CHECK(read_file(results) == "0 points");
    limits.as_nobody = false;
    CHECK(run({"cat", secret}, "/", limits).output == "the solution");
}

TEST_SUITE_END();
