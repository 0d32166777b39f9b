#include "nn/base/parallel.h"

int thread_count() { return 1; }
void set_thread_count(int) {}

void parallel_for(int count, const std::function<void(int)>& body) {
    for (int i = 0; i < count; ++i) body(i);
}
