#include "nn/base/parallel.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "nn/base/clock.h"
#include "tests/command.h"
#include "tests/test.h"

namespace {
// Sets the number of threads until the end of the scope.
struct Threads {
    int before = thread_count();
    explicit Threads(int count) { set_thread_count(count); }
    ~Threads() { set_thread_count(before); }
};
}  // namespace

TEST_SUITE("parallel") {
    TEST_CASE("parallel_for: every part runs exactly once, with fewer and with more threads than parts") {
        for (const int threads : {1, 2, 3, 8})
            for (const int count : {0, 1, 2, 7, 1000}) {
                const Threads in_use(threads);
                std::vector<std::atomic<int>> runs(count);
                parallel_for(count, [&](int i) { ++runs[i]; });
                for (const std::atomic<int>& run : runs) CHECK(run == 1);
            }
    }

    // Whether two parts of a loop, each of which waits for the other, meet. They cannot where one thread runs both.
    static bool two_threads_take_part() {
        const Threads in_use(2);
        std::atomic<int> arrived{0}, met{0};
        const double end = seconds_now() + 5;
        parallel_for(2, [&](int) {
            ++arrived;
            while (arrived < 2 && seconds_now() < end) std::this_thread::yield();
            met += arrived == 2;
        });
        return met == 2;
    }

    TEST_CASE("parallel_for: a process made by fork() starts threads of its own") {
        REQUIRE(two_threads_take_part());
        const pid_t child = fork();
        if (child == 0) _exit(two_threads_take_part() ? 0 : 1);
        REQUIRE(child > 0);
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }

    TEST_CASE("parallel_for: thousands of short loops in a row") {
        const Threads in_use(3);
        std::atomic<long> sum{0};
        for (int round = 0; round < 3000; ++round) parallel_for(4, [&](int i) { sum += i; });
        CHECK(sum == 3000 * 6);  // 0 + 1 + 2 + 3
    }

    TEST_CASE("parallel_for: a nested loop runs on its own thread") {
        const Threads in_use(2);
        std::atomic<int> runs{0}, elsewhere{0};
        parallel_for(4, [&](int) {
            const std::thread::id mine = std::this_thread::get_id();
            parallel_for(5, [&](int) {
                ++runs;
                if (std::this_thread::get_id() != mine) ++elsewhere;
            });
        });
        CHECK(runs == 20);
        CHECK(elsewhere == 0);
    }

    TEST_CASE("parallel_for: a loop of one call leaves its nested loop to all threads") {
        const Threads in_use(2);
        bool shared = false;
        parallel_for(1, [&](int) { shared = two_threads_take_part(); });
        CHECK(shared);
    }

    TEST_CASE("parallel_for: no more threads than are set take part, also where more have been started") {
        {
            const Threads in_use(4);
            parallel_for(4, [](int) {});
        }
        const Threads in_use(2);
        std::mutex mutex;
        std::set<std::thread::id> seen;
        for (int round = 0; round < 20; ++round)
            parallel_for(20, [&](int) {
                std::this_thread::sleep_for(std::chrono::microseconds(100));  // time for another thread to come
                const std::lock_guard lock(mutex);
                seen.insert(std::this_thread::get_id());
            });
        CHECK(seen.size() <= 2);
    }

    TEST_CASE("parallel_for: two threads of a program may call it at the same time") {
        const Threads in_use(2);
        std::atomic<int> runs{0};
        const auto ask = [&] {
            for (int round = 0; round < 200; ++round) parallel_for(10, [&](int) { ++runs; });
        };
        std::thread other(ask);
        ask();
        other.join();
        CHECK(runs == 2 * 200 * 10);
    }

    TEST_CASE("parallel_ranges: ranges cover the loop, each at least a grain, the same for any number of threads") {
        for (const std::size_t count : {0, 1, 19, 20, 21, 105}) {
            std::vector<std::vector<std::size_t>> first_ranges;
            for (const int threads : {1, 3}) {
                const Threads in_use(threads);
                std::vector<std::size_t> ends(
                    count + 1,
                    0);  // ends[first] = last; a range per first, so no two threads write to the same element
                std::vector<std::atomic<int>> runs(count);
                parallel_ranges(count, 10, [&](std::size_t first, std::size_t last) {
                    ends[first] = last;
                    for (std::size_t i = first; i < last; ++i) ++runs[i];
                });
                for (const std::atomic<int>& run : runs) CHECK(run == 1);
                for (std::size_t first = 0; first < count; ++first) {
                    const bool short_one = ends[first] != 0 && count >= 10 && ends[first] - first < 10;
                    CHECK(!short_one);
                }
                first_ranges.push_back(ends);
            }
            CHECK(first_ranges[0] == first_ranges[1]);
        }
    }

    TEST_CASE("parallel_for: an exception of any part reaches the caller, and the next loop works") {
        for (const int threads : {1, 3}) {
            const Threads in_use(threads);
            for (const int bad : {0, 5, 99}) {
                const auto body = [&](int i) {
                    if (i == bad) throw std::runtime_error("part " + std::to_string(i));
                };
                CHECK(error_of([&] { parallel_for(100, body); }) == "part " + std::to_string(bad));
            }
            std::atomic<int> runs{0};
            parallel_for(10, [&](int) { ++runs; });
            CHECK(runs == 10);
        }
    }

#if !defined(__SANITIZE_ADDRESS__)  // its own memory would be refused too
    TEST_CASE("parallel_for: runs without a thread that the system refuses, and the next loop has it again") {
        std::size_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        if (pages == 0) return;  // no such system
        rlimit before{};
        getrlimit(RLIMIT_AS, &before);
        const rlimit nothing_more{pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)), before.rlim_max};
        const Threads in_use(40);
        std::vector<int> runs(200, 0);
        setrlimit(RLIMIT_AS, &nothing_more);  // a thread needs megabytes for its stack
        parallel_for(200, [&](int i) { ++runs[i]; });
        setrlimit(RLIMIT_AS, &before);
        CHECK(runs == std::vector<int>(200, 1));
        parallel_for(200, [&](int i) { ++runs[i]; });
        CHECK(runs == std::vector<int>(200, 2));
    }
#endif

    TEST_CASE("set_thread_count: below 1 or above 1024 is refused") {
        const int before = thread_count();
        CHECK_THROWS_WITH(set_thread_count(0), "set_thread_count: 0 is not a number of threads, 1 to 1024");
        CHECK_THROWS_WITH(set_thread_count(1025), "set_thread_count: 1025 is not a number of threads, 1 to 1024");
        CHECK(thread_count() == before);
        set_thread_count(1024);
        CHECK(thread_count() == 1024);
        set_thread_count(before);
    }

    TEST_CASE("thread_count: the environment variable THREADS, 1 to 1024, sets it; other words are refused") {
        std::error_code none;
        const std::string tests = std::filesystem::read_symlink("/proc/self/exe", none).string();
        if (none) return;  // no such system
        const auto started_with = [&](const std::string& threads) {
            return run_command("THREADS='" + threads + "' '" + tests + "' --test-case='set_thread_count: below 1 or*'");
        };
        for (const std::string good : {"", "1", "2", "1024"}) {
            CAPTURE(good);
            CHECK(started_with(good).status == 0);
        }
        for (const std::string wrong : {"0", "1025", "-1", "2x", "many"}) {
            CAPTURE(wrong);
            const CommandResult refused = started_with(wrong);
            CHECK(refused.status == 1);
            CHECK(refused.output.find("THREADS=" + wrong + " is not a number of threads, 1 to 1024") != std::string::npos);
        }
    }

    TEST_CASE("parallel_for: fewer than 0 calls and no body are refused") {
        CHECK_THROWS_WITH(parallel_for(-1, [](int) {}),
                          "parallel_for: -1 calls of a body; there cannot be fewer than 0, and a body is needed");
        CHECK_THROWS_WITH(parallel_for(3, nullptr),
                          "parallel_for: 3 calls of no body; there cannot be fewer than 0, and a body is needed");
        CHECK_NOTHROW(parallel_for(0, [](int) {}));
    }
}
