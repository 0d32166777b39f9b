#include "nn/base/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "nn/base/clock.h"
#include "nn/base/require.h"

namespace {
// A loop in progress. Each thread takes the next i until none is left.
struct Loop {
    const std::function<void(int)>& body;
    const int count;
    std::atomic<int> next{0};
    std::exception_ptr error{};  // the first exception; guarded by the pool's mutex
};

struct Pool {
    std::mutex one_caller;  // held by the thread whose loop is in progress

    std::mutex mutex;  // guards everything below; the two atomics may be read without it
    std::condition_variable loop_began, workers_done;
    Loop* loop = nullptr;        // nullptr: no loop is in progress
    std::atomic<long> loops{0};  // begun so far
    int workers = 0;             // threads that have been started
    int invited = 0;             // workers 0 ... invited - 1 may join this loop
    std::atomic<int> inside{0};  // workers that have joined it
};
}  // namespace

// Never destroyed: workers sleep in it until the process ends. A process that fork() makes has none of its parent's threads, and
// what they had locked stays locked, so it gets a pool of its own.
static Pool* current_pool = nullptr;

static void make_pool() { current_pool = new Pool; }

static Pool& pool() {
    [[maybe_unused]] static const int once = (make_pool(), pthread_atfork(nullptr, nullptr, make_pool));
    return *current_pool;
}

static thread_local bool inside_a_body = false;

// Sleeping and waking takes longer than many loops, and the next loop often follows at once. So a thread first polls its
// condition for a millisecond, yielding its core each time.
template <class Condition>
static void poll(const Condition& condition) {
    const double end = seconds_now() + 1e-3;
    while (!condition() && seconds_now() < end) std::this_thread::yield();
}

static void take_part(Loop& loop) {
    inside_a_body = true;
    try {
        for (int i = loop.next.fetch_add(1); i < loop.count; i = loop.next.fetch_add(1)) loop.body(i);
    } catch (...) {
        loop.next = loop.count;  // no thread takes another i
        const std::lock_guard lock(pool().mutex);
        if (!loop.error) loop.error = std::current_exception();
    }
    inside_a_body = false;
}

// A worker thread's main loop. A worker that wakes after the loop has finished goes back to sleep.
static void work(int number) {
    Pool& p = pool();
    std::unique_lock lock(p.mutex);
    for (long seen = 0;;) {
        lock.unlock();
        poll([&] { return p.loops != seen; });
        lock.lock();
        while (p.loops == seen) p.loop_began.wait(lock);
        seen = p.loops;
        if (p.loop == nullptr || number >= p.invited) continue;
        Loop& loop = *p.loop;
        ++p.inside;
        lock.unlock();
        take_part(loop);
        lock.lock();
        if (--p.inside == 0) p.workers_done.notify_one();
    }
}

// The system may refuse a thread; then the loop runs on those that exist, at least the caller's. The next loop tries again.
static void start_workers(Pool& p, int wanted) {
    try {
        for (; p.workers < wanted; ++p.workers) std::thread(work, p.workers).detach();
    } catch (const std::system_error&) {
    }
}

static void run_on_workers(Loop& loop, int threads) {
    Pool& p = pool();
    {
        const std::lock_guard lock(p.mutex);
        start_workers(p, threads - 1);
        p.loop = &loop;
        p.invited = std::min(threads - 1, p.workers);
        ++p.loops;
    }
    p.loop_began.notify_all();
    take_part(loop);
    std::unique_lock lock(p.mutex);
    p.loop = nullptr;
    lock.unlock();
    poll([&] { return p.inside == 0; });
    lock.lock();
    while (p.inside > 0) p.workers_done.wait(lock);
}

static int threads_from_environment() {
    const char* const asked = std::getenv("THREADS");
    if (asked == nullptr || *asked == '\0') {
        const int cores = static_cast<int>(std::thread::hardware_concurrency());
        return cores > 0 ? cores : 1;
    }
    char* end = nullptr;
    const long threads = std::strtol(asked, &end, 10);
    require(*end == '\0' && threads >= 1 && threads <= 1024, "THREADS=", asked, " is not a number of threads, 1 to 1024");
    return static_cast<int>(threads);
}

static std::atomic<int>& threads_in_use() {
    static std::atomic<int> threads{threads_from_environment()};
    return threads;
}

int thread_count() { return threads_in_use(); }

void set_thread_count(int threads) {
    require(threads >= 1 && threads <= 1024, "set_thread_count: ", threads, " is not a number of threads, 1 to 1024");
    threads_in_use() = threads;
}

void parallel_for(int count, const std::function<void(int)>& body) {
    require(count >= 0 && body, "parallel_for: ", count, " calls of ", body ? "a body" : "no body",
            "; there cannot be fewer than 0, and a body is needed");
    const int threads = count <= 1 || inside_a_body ? 1 : thread_count();
    std::unique_lock<std::mutex> turn(pool().one_caller, std::defer_lock);
    if (threads == 1 || !turn.try_lock()) {  // also when another thread's loop is in progress
        for (int i = 0; i < count; ++i) body(i);
        return;
    }
    Loop loop{body, count};
    run_on_workers(loop, threads < count ? threads : count);
    if (loop.error) std::rethrow_exception(loop.error);
}
