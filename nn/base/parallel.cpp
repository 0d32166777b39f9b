#include "nn/base/parallel.h"

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
// A loop that is being shared out. Whoever has a hand free takes the next i.
struct Loop {
    const std::function<void(int)>& body;
    const int count;
    std::atomic<int> next{0};
    std::exception_ptr error{};  // the first one; guarded by the pool's mutex
};

struct Pool {
    std::mutex one_caller;  // held by the thread whose loop is being shared out

    std::mutex mutex;  // guards everything below; the two atomic ones may be looked at without it
    std::condition_variable work_came, helper_left;
    Loop* loop = nullptr;        // nullptr = nothing to do
    std::atomic<long> loops{0};  // shared out so far
    int helpers = 0;             // threads that have been started
    int invited = 0;             // helpers 0 ... invited - 1 may join this loop
    std::atomic<int> inside{0};  // helpers that have joined it
};
}  // namespace

// Never destroyed: the helpers sleep in it until the process ends, however it ends.
static Pool& pool() {
    static Pool* const the_pool = new Pool;
    return *the_pool;
}

static thread_local bool inside_a_body = false;

// To fall asleep and be woken takes longer than many a loop lasts, and often the next one comes soon. So a thread looks out for what it
// waits for, a millisecond long, before it sleeps. After each look it lets another thread have its core, if one wants it.
template <class Came>
static void look_out_for(const Came& came) {
    const double end = seconds_now() + 1e-3;
    while (!came() && seconds_now() < end) std::this_thread::yield();
}

static void take_part(Loop& loop) {
    inside_a_body = true;
    try {
        for (int i = loop.next.fetch_add(1); i < loop.count; i = loop.next.fetch_add(1)) loop.body(i);
    } catch (...) {
        loop.next = loop.count;  // nobody starts another part
        const std::lock_guard lock(pool().mutex);
        if (!loop.error) loop.error = std::current_exception();
    }
    inside_a_body = false;
}

// What a helper does all its life. One that wakes up late finds no loop any more and sleeps again; nobody waits for it.
static void help(int number) {
    Pool& p = pool();
    std::unique_lock lock(p.mutex);
    for (long seen = 0;;) {
        lock.unlock();
        look_out_for([&] { return p.loops != seen; });
        lock.lock();
        while (p.loops == seen) p.work_came.wait(lock);
        seen = p.loops;
        if (p.loop == nullptr || number >= p.invited) continue;
        Loop& loop = *p.loop;
        ++p.inside;
        lock.unlock();
        take_part(loop);
        lock.lock();
        if (--p.inside == 0) p.helper_left.notify_one();
    }
}

// The system may refuse a thread (too many of them, too little memory); then the loop has the hands that there are, at least the
// caller's own. The next loop tries again.
static void start_helpers(Pool& p, int wanted) {
    try {
        for (; p.helpers < wanted; ++p.helpers) std::thread(help, p.helpers).detach();
    } catch (const std::system_error&) {
    }
}

static void share_out(Loop& loop, int threads) {
    Pool& p = pool();
    {
        const std::lock_guard lock(p.mutex);
        start_helpers(p, threads - 1);
        p.loop = &loop;
        p.invited = std::min(threads - 1, p.helpers);
        ++p.loops;
    }
    p.work_came.notify_all();
    take_part(loop);
    std::unique_lock lock(p.mutex);
    p.loop = nullptr;
    lock.unlock();
    look_out_for([&] { return p.inside == 0; });
    lock.lock();
    while (p.inside > 0) p.helper_left.wait(lock);
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
    const int threads = count <= 1 || inside_a_body ? 1 : thread_count();
    std::unique_lock<std::mutex> turn(pool().one_caller, std::defer_lock);
    if (threads == 1 || !turn.try_lock()) {  // also when another thread of the program has all helpers
        for (int i = 0; i < count; ++i) body(i);
        return;
    }
    Loop loop{body, count};
    share_out(loop, threads < count ? threads : count);
    if (loop.error) std::rethrow_exception(loop.error);
}
