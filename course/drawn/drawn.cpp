#include "course/drawn/drawn.h"

#include <unistd.h>

#include <map>
#include <memory>
#include <optional>

#include "nn/data/text.h"

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

void answer_command(const std::vector<std::string>& words) {
    require(words.size() == 3, "run_answers TASK SEED PIPE");
    const std::optional<long> seed = whole_number(words[1]), pipe = whole_number(words.back());
    require(seed && *seed >= 0 && *seed <= 100000000, "run_answers: the seed is \"", words[1],
            "\", expected a number from 0 to 100000000");
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(pipe ? fdopen(static_cast<int>(*pipe), "w") : nullptr,
                                                               std::fclose);
    require(file != nullptr, "run_answers: ", words.back(), " is not an open file");
    Answers answers(file.get());
    answer_all(words.front(), static_cast<int>(*seed), answers);
}
