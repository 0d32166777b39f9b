#include "course/grade/steps.h"

#include <map>
#include <set>
#include <vector>

#include "nn/data/text.h"

namespace {
struct Followed {
    std::set<std::string> agreed;
    int all = 0;
    bool differs = false;
};
}  // namespace

// By path of the fixture; filled as the tests run.
static std::map<std::string, Followed>& followed_fixtures() {
    static std::map<std::string, Followed> followed;
    return followed;
}

void open_fixture(const std::string& path, int steps) { followed_fixtures()[path].all = steps; }

void compare_step(const std::string& path, const std::string& step, bool agrees) {
    Followed& followed = followed_fixtures()[path];
    followed.differs = followed.differs || !agrees;
    if (!followed.differs) followed.agreed.insert(step);
}

StepsCompared steps_compared() {
    StepsCompared sum;
    for (const auto& [path, followed] : followed_fixtures()) {
        sum.agreed += static_cast<int>(followed.agreed.size());
        sum.all += followed.all;
    }
    return sum;
}

static const std::string what = " fixture steps agree before the first that differs";

std::string steps_line(const StepsCompared& steps) {
    return std::to_string(steps.agreed) + " of " + std::to_string(steps.all) + what;
}

std::optional<StepsCompared> read_steps_line(const std::string& line) {
    if (!line.ends_with(what)) return std::nullopt;
    const std::vector<std::string> words = split(line.substr(0, line.size() - what.size()), ' ');
    if (words.size() != 3 || words[1] != "of") return std::nullopt;
    const std::optional<long> agreed = whole_number(words[0]), all = whole_number(words[2]);
    if (!agreed || !all || *agreed < 0 || *all <= 0 || *agreed > *all || *all > 100000) return std::nullopt;
    return StepsCompared{.agreed = static_cast<int>(*agreed), .all = static_cast<int>(*all)};
}
