// run_mistakes.cpp: plants every mistake of course/mistakes in a copy of the project, one at a time, and looks which test
// notices.
//
//   make mistakes                     all of them; writes course/MISTAKES.md and course/suspects.txt
//   make mistakes ARGS="no_scale"     only these; the others keep their rows
//   make mistakes ARGS="--missing"    those without a row, or with another test in it than their file names. A run that was
//                                     stopped goes on where it was
//   make mistakes ARGS="--sample 8"   eight, spread over the table; nothing is written
//   make mistakes ARGS="--changed"    those of files that differ from the last commit; nothing is written
//
//   fails   when a mistake does not build, or is not caught by the test that its file names
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "course/command/command_line.h"
#include "course/grade/tree.h"
#include "course/mistake.h"
#include "course/pack/closure.h"
#include "course/suspects.h"
#include "nn/base/clock.h"
#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

namespace fs = std::filesystem;

// --- a copy of the project in which a mistake can be made ---

// Suites that cannot notice a wrong number but take long, or look at files and not at numbers.
static const std::string left_out = "house,debugger,review_models,unicode,matmul,parallel,functions,mistake,suspects,cause";
// Cases that train for a second: what they notice is noticed sooner.
static const std::string too_slow =
    "*after a short training*,*a short training finds*,*five answers with known*,*base* parameters,*base* number of "
    "parameters,*takes time in proportion*,*a few steps of plain descent*";
static constexpr int longest = 200;  // seconds for the tests; a mistake may make a loop endless

namespace {
struct Outcome {
    bool built = false, caught = false, timed_out = false;
    std::vector<Suspect> failures;  // the first failure of every case that failed; of a kept outcome, only the specific ones
    std::size_t failed_cases = 0;
    std::string divergence, cause;  // of the first parity case that differs; of one with a guess, if there is one
    std::string output;
    double seconds = 0;
};
}  // namespace

// Which suites can notice a change of a file: those whose tests need it, found by their #include lines.
class Noticing {
public:
    Noticing() {
        for (const std::string& path : files_below("tests")) {
            if (!path.ends_with("_test.cpp")) continue;
            Suites one;
            const std::string text = read_file(path);
            for (const std::string& mark : {std::string("TEST_SUITE_BEGIN(\""), std::string("TEST_SUITE(\"")})
                for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
                    const std::size_t begin = at + mark.size();
                    one.names += "," + text.substr(begin, text.find('"', begin) - begin);
                }
            one.needed = closure({path});
            all.push_back(one);
        }
    }

    // "attention,gpt"
    std::string suites_of(const std::string& file) const {
        std::string names;
        for (const Suites& one : all)
            if (one.needed.count(file) > 0) names += one.names;
        return names.empty() ? "" : names.substr(1);
    }

private:
    struct Suites {
        std::string names;
        std::set<std::string> needed;
    };
    std::vector<Suites> all;
};

static std::string read_if_there(const std::string& path) { return is_file(path) ? read_file(path) : ""; }

// "gpt-a.safetensors, block.0.attention (3, 0) ..." and the cause below it, from what the tests print.
static void find_divergence(Outcome& outcome) {
    const std::vector<std::string> lines = split_lines(outcome.output);
    const std::string mark = " (the first step that differs)", cause_mark = "    cause    ";
    for (std::size_t n = 0; n < lines.size(); ++n) {
        const std::size_t at = lines[n].find(mark);
        if (at == std::string::npos) continue;
        std::size_t begin = lines[n].rfind("ERROR: ", at);
        begin = begin == std::string::npos ? 0 : begin + 7;
        const std::string cause =
            n + 1 < lines.size() && lines[n + 1].starts_with(cause_mark) ? lines[n + 1].substr(cause_mark.size()) : "";
        const bool better = outcome.divergence.empty() || (!outcome.cause.starts_with("fits: ") && cause.starts_with("fits: "));
        if (!better) continue;
        outcome.divergence = lines[n].substr(begin, at - begin);
        outcome.divergence.erase(0, outcome.divergence.find_first_not_of(' '));
        outcome.cause = cause;
    }
}

//   suites   those that may notice it
static Outcome plant(const Mistake& mistake, const std::string& suites, const std::string& copy, const std::string& out,
                     const std::string& make) {
    const double begin = seconds_now();
    Outcome outcome;
    const std::string original = read_file(mistake.file);
    write_file_atomically(copy + "/" + mistake.file, with_mistake(original, mistake));
    const std::string program = out + "/tests/run", record = "failures", log = "log";
    fs::remove(copy + "/" + record);
    const std::string go = "cd " + copy + " && env -u MAKEFLAGS -u MFLAGS ";
    const std::string build = go + make + " " + program + " > " + log + " 2>&1";
    outcome.built = std::system(build.c_str()) == 0;
    outcome.output = read_if_there(copy + "/" + log);
    if (outcome.output.find("warning:") != std::string::npos) outcome.built = false;
    if (outcome.built) {
        const std::string run = go + "RECORD_FAILURES=" + record + " timeout " + std::to_string(longest) + " " + program +
                                " --test-suite=" + suites + " --test-suite-exclude=" + left_out +
                                " '--test-case-exclude=" + too_slow + "' > " + log + " 2>&1";
        const int status = std::system(run.c_str());
        outcome.timed_out = WIFEXITED(status) && WEXITSTATUS(status) == 124;
        outcome.output = read_if_there(copy + "/" + log);
        for (Suspect failure : read_suspects(copy + "/" + record)) {
            failure.mistake = mistake.name;
            outcome.caught = outcome.caught || failure.title == mistake.title;
            outcome.failures.push_back(failure);
        }
        outcome.failed_cases = outcome.failures.size();
        find_divergence(outcome);
    }
    // The right source and the object made from it are put back with their times, so that make compiles nothing for the next one.
    const std::string object = out + "/objects/" + mistake.file.substr(0, mistake.file.size() - 4) + ".o";
    for (const std::string& file : {mistake.file, object}) {
        fs::copy_file(file, copy + "/" + file, fs::copy_options::overwrite_existing);
        fs::last_write_time(copy + "/" + file, fs::last_write_time(file));
    }
    outcome.seconds = seconds_now() - begin;
    return outcome;
}

// --- outcomes are kept, so that the table can be written again when a few were planted again ---

static const std::string table_path = "course/MISTAKES.md";

static std::string outcome_path(const Mistake& mistake) { return "build/mistakes/outcomes/" + mistake.name; }

static void keep_outcome(const Mistake& mistake, const Outcome& o) {
    fs::create_directories("build/mistakes/outcomes");
    write_file_atomically(outcome_path(mistake) + ".failures", suspects_text(o.failures));
    const std::string head = std::to_string(o.built) + std::to_string(o.caught) + "\n" + o.divergence + "\n" + o.cause + "\n";
    write_file_atomically(outcome_path(mistake), head);
}

// Is there an outcome of the mistake as its file is now?
static bool has_outcome(const Mistake& mistake) {
    const std::string path = outcome_path(mistake);
    return is_file(path) && fs::last_write_time(path) > fs::last_write_time("course/mistakes/" + mistake.name + ".txt");
}

static Outcome kept_outcome(const Mistake& mistake) {
    const std::vector<std::string> lines = split_lines(read_file(outcome_path(mistake)));
    require(lines.size() == 3 && lines[0].size() == 2, outcome_path(mistake), ": is not an outcome");
    Outcome o;
    o.built = lines[0][0] == '1';
    o.caught = lines[0][1] == '1';
    o.divergence = lines[1];
    o.cause = lines[2];
    o.failures = read_suspects(outcome_path(mistake) + ".failures");
    o.failed_cases = o.failures.size();
    return o;
}

// A cell of a table must not end the cell.
static std::string cell(std::string words) {
    for (std::size_t at = words.find('|'); at != std::string::npos; at = words.find('|', at + 2)) words.replace(at, 1, "\\|");
    return words;
}

static std::string of_cell(std::string words) {
    for (std::size_t at = words.find("\\|"); at != std::string::npos; at = words.find("\\|", at)) words.erase(at, 1);
    return words;
}

static std::string caught_cell(const Mistake& mistake) { return mistake.suite + ": " + cell(mistake.title); }

// The outcomes read from the table and the suspects of an earlier run, under each mistake's name; only of those that name
// the same test as now.
static std::map<std::string, Outcome> outcomes_in_table(const std::vector<Mistake>& all) {
    std::map<std::string, Outcome> found;
    if (!is_file(table_path)) return found;
    std::map<std::string, std::vector<std::string>> rows;
    for (const std::string& line : split_lines(read_file(table_path))) {
        std::vector<std::string> cells;
        std::size_t begin = 2;
        for (std::size_t end = line.find(" | "); line.starts_with("| ") && end != std::string::npos;
             end = line.find(" | ", begin)) {
            cells.push_back(line.substr(begin, end - begin));
            begin = end + 3;
        }
        if (cells.size() == 6) rows[cells[0]] = cells;
    }
    const std::vector<Suspect> suspects = read_suspects();
    for (const Mistake& mistake : all) {
        const auto row = rows.find(mistake.name);
        if (row == rows.end() || row->second[2] != caught_cell(mistake)) continue;
        Outcome o;
        o.built = o.caught = true;
        o.failed_cases = static_cast<std::size_t>(std::atoi(row->second[3].c_str()));
        if (row->second[4] != "-") o.divergence = of_cell(row->second[4]);
        if (row->second[5] != "-" && row->second[5] != "no") o.cause = of_cell(row->second[5]);
        for (const Suspect& suspect : suspects)
            if (suspect.mistake == mistake.name) o.failures.push_back(suspect);
        found[mistake.name] = o;
    }
    return found;
}

// --- which mistakes ---

static std::vector<Mistake> sample(const std::vector<Mistake>& all, int count) {
    std::vector<Mistake> some;
    const int n = static_cast<int>(all.size());
    for (int k = 0; k < std::min(count, n); ++k) some.push_back(all[static_cast<std::size_t>(k) * n / std::min(count, n)]);
    return some;
}

static std::vector<Mistake> of_changed_files(const std::vector<Mistake>& all) {
    std::FILE* const pipe = popen("git diff --name-only HEAD", "r");
    require(pipe != nullptr, "mistakes: git cannot be asked for the changed files");
    std::string names;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) names += static_cast<char>(c);
    pclose(pipe);
    const std::vector<std::string> changed = split_lines(names);
    std::vector<Mistake> some;
    for (const Mistake& mistake : all)
        if (std::count(changed.begin(), changed.end(), mistake.file) +
                std::count(changed.begin(), changed.end(), "course/mistakes/" + mistake.name + ".txt") >
            0)
            some.push_back(mistake);
    return some;
}

// --- what is written ---

// Of the failures of one mistake those by which it may be recognised: the named test's, then the specific ones, six at most.
static std::vector<Suspect> to_remember(const Mistake& mistake, const Outcome& outcome) {
    std::vector<Suspect> kept;
    for (const bool named : {true, false})
        for (const Suspect& failure : outcome.failures)
            if ((failure.title == mistake.title) == named && is_specific(failure.failure) &&
                failure.failure.find("/tmp") == std::string::npos && kept.size() < 6)
                kept.push_back(failure);
    return kept;
}

// How the failures of a mistake are recognised among the suspects: itself alone, itself among two or three, or not.
static std::string recognised(const Outcome& outcome, const std::vector<Suspect>& suspects) {
    std::string best = "no";
    for (const Suspect& failure : outcome.failures) {
        const std::vector<std::string> names = suspected(suspects, failure.title, failure.failure);
        if (names.size() == 1) return "yes";
        if (names.size() > 1) best = "one of " + std::to_string(names.size());
    }
    return best;
}

static std::string relation_of(const Outcome& outcome) {
    if (outcome.divergence.empty()) return "-";
    return outcome.cause.empty() ? "no" : outcome.cause;
}

static std::string matrix_text(const std::vector<Mistake>& mistakes, const std::vector<Outcome>& outcomes,
                               const std::vector<Suspect>& suspects) {
    int caught = 0, by_relation = 0, by_place = 0, by_suspect = 0, by_either = 0;
    std::string rows;
    for (std::size_t n = 0; n < mistakes.size(); ++n) {
        const Mistake& m = mistakes[n];
        const Outcome& o = outcomes[n];
        const std::string relation = relation_of(o), suspect = recognised(o, suspects);
        const bool named = relation.starts_with("fits: ") || relation.find("not numbers") != std::string::npos ||
                           relation.starts_with("all of yours");
        caught += o.caught;
        by_relation += named;
        by_place += !named && relation != "no" && relation != "-";
        by_suspect += suspect != "no";
        by_either += named || suspect != "no";
        rows += "| " + m.name + " | " + cell(m.says) + " | " + (o.caught ? caught_cell(m) : "**not caught**") + " | " +
                std::to_string(o.failed_cases) + " | " + cell(o.divergence.empty() ? "-" : o.divergence) + " | " +
                cell(relation) + " | " + suspect + " |\n";
    }
    const std::string all = std::to_string(mistakes.size());
    return "# Mistakes, and the tests that catch them\n\nWritten by `make mistakes`, which plants every mistake of `course/mistakes` in a copy "
           "of the project, one at a\ntime, "
           "and runs the tests.\n\n- caught by the test that the table names: " +
           std::to_string(caught) + " of " + all +
           "\n- named from the numbers alone (a guess that begins with \"fits\"): " + std::to_string(by_relation) +
           "; at least located: " + std::to_string(by_place) +
           " more\n- recognised by the failure that it makes: " + std::to_string(by_suspect) +
           "\n- named by either: " + std::to_string(by_either) + " of " + all +
           "\n\n| mistake | what is wrong | caught by | cases that fail | first step that differs | cause, from the numbers | "
           "recognised |\n"
           "|---|---|---|---|---|---|---|\n" +
           rows;
}

// --- main ---

namespace {
struct Choices {
    std::string out, make;
    int sampled, jobs;
    bool changed, missing;
    std::set<std::string> names;
};
}  // namespace

static const char* const usage =
    "usage: run_mistakes [NAME ...] [--sample N | --changed | --missing] [--jobs N]\n"
    "  NAME        a file of course/mistakes; without names all of them\n"
    "  --sample N  this many, spread over the table; nothing is written\n"
    "  --changed   those of files that differ from the last commit; nothing is written\n"
    "  --missing   those without a row in the table, or with another test in it\n"
    "  --jobs N    at a time (2)\n"
    "  --out build/release --make \"make CXX=...\"   where programs are built, and how\n";

static Choices choices_of(const CommandLine& line) {
    return {.out = line.value("--out", "build/release"),
            .make = line.value("--make", "make"),
            .sampled = line.whole("--sample", 0, 100000),
            .jobs = std::max(1, line.whole("--jobs", 2, 1000)),
            .changed = line.has("--changed"),
            .missing = line.has("--missing"),
            .names = {line.words.begin(), line.words.end()}};
}

static std::vector<Mistake> without_row(const std::vector<Mistake>& all) {
    const std::map<std::string, Outcome> known = outcomes_in_table(all);
    std::vector<Mistake> some;
    for (const Mistake& mistake : all)
        if (known.count(mistake.name) == 0 && !has_outcome(mistake)) some.push_back(mistake);
    return some;
}

static std::vector<Mistake> chosen_of(const std::vector<Mistake>& all, const Choices& choices) {
    if (choices.names.empty()) {
        if (choices.missing) return without_row(all);
        if (choices.changed) return of_changed_files(all);
        return choices.sampled > 0 ? sample(all, choices.sampled) : all;
    }
    std::set<std::string> names = choices.names;
    std::vector<Mistake> chosen;
    for (const Mistake& mistake : all)
        if (names.erase(mistake.name) > 0) chosen.push_back(mistake);
    require(names.empty(), "mistakes: there is no course/mistakes/", names.empty() ? "" : *names.begin(), ".txt");
    return chosen;
}

static void print_outcome(const Mistake& mistake, const Outcome& o) {
    const char* const how = !o.built ? "DOES NOT BUILD" : o.caught ? "caught" : "NOT CAUGHT by the test it names";
    std::printf("%-28s %s, %zu cases fail, %.1f s%s\n", mistake.name.c_str(), how, o.failures.size(), o.seconds,
                o.timed_out ? ", stopped" : "");
    if (!o.divergence.empty()) std::printf("    %s\n", o.divergence.c_str());
    if (!o.cause.empty()) std::printf("    %s\n", o.cause.c_str());
    if (!o.built) std::printf("%s\n", o.output.c_str());
    if (!o.built || !o.caught)
        for (const Suspect& failure : o.failures) std::printf("    fails: %s\n", failure.title.c_str());
    std::fflush(stdout);
}

// Each worker plants its share in a copy of the project of its own.   returns how many were not caught
static int plant_all(const std::vector<Mistake>& chosen, const Choices& choices) {
    std::atomic<std::size_t> next{0};
    std::atomic<int> missed{0};
    std::mutex printing;
    const Noticing noticing;
    std::vector<std::thread> workers;
    for (int w = 0; w < std::min(choices.jobs, static_cast<int>(chosen.size())); ++w)
        workers.emplace_back([&, w] {
            const std::string copy = "build/mistakes/" + std::to_string(w);
            copy_project(copy, choices.out);
            for (std::size_t n = next++; n < chosen.size(); n = next++) {
                const Outcome outcome = plant(chosen[n], noticing.suites_of(chosen[n].file), copy, choices.out, choices.make);
                missed += !outcome.built || !outcome.caught;
                keep_outcome(chosen[n], outcome);
                const std::lock_guard<std::mutex> one_at_a_time(printing);
                print_outcome(chosen[n], outcome);
            }
        });
    for (std::thread& worker : workers) worker.join();
    return missed;
}

// The table and the suspects, from the outcomes of this run, of runs before it, and of the table as it is.
static void write_tables(const std::vector<Mistake>& all) {
    const std::map<std::string, Outcome> known = outcomes_in_table(all);
    std::vector<Mistake> planted;
    std::vector<Outcome> outcomes;
    std::vector<Suspect> suspects;
    for (const Mistake& mistake : all) {
        const auto before = known.find(mistake.name);
        if (!has_outcome(mistake) && before == known.end()) continue;
        planted.push_back(mistake);
        outcomes.push_back(has_outcome(mistake) ? kept_outcome(mistake) : before->second);
        for (const Suspect& failure : to_remember(mistake, outcomes.back())) suspects.push_back(failure);
    }
    write_file_atomically("course/suspects.txt", suspects_text(suspects));
    write_file_atomically(table_path, matrix_text(planted, outcomes, suspects));
    std::printf("wrote %s and course/suspects.txt: %zu of %zu mistakes\n", table_path.c_str(), planted.size(), all.size());
}

int main(int count, char** arguments) {
    try {
        const CommandLine line = read_command_line({arguments + 1, arguments + count}, {"--help", "--changed", "--missing"},
                                                   {"--out", "--make", "--sample", "--jobs"});
        if (line.has("--help")) return std::fputs(usage, stdout), 0;
        const Choices choices = choices_of(line);
        const std::vector<Mistake> all = all_mistakes(), chosen = chosen_of(all, choices);
        const int missed = plant_all(chosen, choices);
        std::printf("%zu mistakes planted, %zu caught, %d not\n", chosen.size(), chosen.size() - missed, missed);
        if (choices.sampled == 0 && !choices.changed) write_tables(all);
        if (const std::size_t rowless = without_row(all).size(); rowless > 0)
            std::printf("%zu of %zu mistakes have no row in %s: make mistakes ARGS=--missing\n", rowless, all.size(),
                        table_path.c_str());
        return missed == 0 ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
