#include "course/drawn/drawn.h"

#include <map>

static std::map<std::string, Questions>& known() {
    static std::map<std::string, Questions> all;
    return all;
}

Drawn::Drawn(const char* task, Questions questions) { known()[task] = questions; }

std::vector<std::string> drawn_tasks() {
    std::vector<std::string> names;
    for (const auto& [name, questions] : known()) names.push_back(name);
    return names;
}

int between(Random& random, int low, int high) { return low + random.below(high - low + 1); }

void answer_all(const std::string& task, int seed, Answers& answers) {
    const auto found = known().find(task);
    require(found != known().end(), "course: there are no questions for the task ", task);
    for (int round = 0; round < rounds; ++round) {
        Random random(static_cast<std::uint64_t>(seed) * 100 + static_cast<std::uint64_t>(round));
        found->second(random, round, answers);
    }
}
