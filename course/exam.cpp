#include "course/exam.h"

#include <filesystem>
#include <memory>

#include "course/grade/body.h"
#include "nn/base/require.h"
#include "nn/data/file.h"

std::vector<Mistake> mistakes_of(const Task& task, const std::vector<Mistake>& all) {
    const std::string body = body_of(read_file(task.file), task.body, task.file);
    std::vector<Mistake> inside;
    for (const Mistake& mistake : all)
        if (mistake.file == task.file && body.find(mistake.before) != std::string::npos) inside.push_back(mistake);
    return inside;
}

std::string reference_text(const Task& task, const std::map<std::string, Mistake>& twists) {
    const std::string text = read_file(task.file);
    const auto twist = twists.find(task.name);
    return twist == twists.end() ? text : with_mistake(text, twist->second);
}

static std::vector<Answer> asked(const Task& task, int seed, const Tree& tree) {
    const Programs programs = programs_of(tree);
    const RunResult result = run({programs.answers, task.name, std::to_string(seed), "{answers}"}, programs.folder, {});
    return read_answers(result.answers);
}

// The answers of a text of the task's file, for every seed.
static std::vector<std::vector<Answer>> answers_of(const std::string& text, const Task& task, const std::vector<int>& seeds,
                                                   const Tree& tree, const std::string& what) {
    const Change change(tree, task.file, text);
    const std::string complaint = build(tree, false);
    require(complaint.empty(), "course: ", what, " does not compile: ", complaint);
    std::vector<std::vector<Answer>> answers;
    for (const int seed : seeds) answers.push_back(asked(task, seed, tree));
    return answers;
}

// What is right for every task and seed. The solution is asked first, all of it: afterwards the programs in the tree are those of
// twists.
static std::map<std::string, std::vector<std::vector<Answer>>> right_answers(const std::vector<Task>& tasks,
                                                                             const std::vector<int>& seeds,
                                                                             const std::map<std::string, Mistake>& twists,
                                                                             const Tree& tree) {
    const std::string complaint = build(tree, false);
    require(complaint.empty(), "course: the solution does not compile: ", complaint);
    std::map<std::string, std::vector<std::vector<Answer>>> right;
    for (const Task& task : tasks)
        if (twists.count(task.name) == 0)
            for (const int seed : seeds) right[task.name].push_back(asked(task, seed, tree));
    for (const Task& task : tasks)
        if (const auto twist = twists.find(task.name); twist != twists.end())
            right[task.name] = answers_of(reference_text(task, twists), task, seeds, tree, "the twist " + twist->second.name);
    return right;
}

std::vector<Exam> make_exams(const std::vector<Task>& tasks, const std::vector<int>& seeds,
                             const std::map<std::string, Mistake>& twists, const Tree& tree, bool with_mistakes,
                             Progressed progressed) {
    const std::vector<Mistake> all = all_mistakes();
    std::vector<Exam> exams;
    for (const int seed : seeds) exams.push_back({.tasks = tasks, .seed = seed, .expected = {}});
    const std::map<std::string, std::vector<std::vector<Answer>>> all_right = right_answers(tasks, seeds, twists, tree);
    for (const Task& task : tasks) {
        const auto twist = twists.find(task.name);
        const std::string published = read_file(task.file), reference = reference_text(task, twists);
        const std::vector<std::vector<Answer>>& right = all_right.at(task.name);
        for (std::size_t s = 0; s < seeds.size(); ++s) {
            require(!right[s].empty(), "course: nothing was answered for ", task.name);
            exams[s].expected[task.name].answers = right[s];
        }
        const auto add = [&](const std::string& name, const std::string& says, const std::string& hint, const std::string& text) {
            const auto wrong = answers_of(text, task, seeds, tree, "the mistake " + name);
            for (std::size_t s = 0; s < seeds.size(); ++s)
                exams[s].expected[task.name].mistakes.push_back({name, says, hint, wrong[s]});
        };
        if (twist != twists.end())
            add("published", "yours is what the paper and the published code have; in this course " + twist->second.says,
                "read the handout: what is different in this course?", published);
        int count = 0;
        if (with_mistakes)
            for (const Mistake& mistake : mistakes_of(task, all)) {
                if (twist != twists.end() && mistake.name == twist->second.name) continue;
                std::string text;
                try {
                    text = with_mistake(reference, mistake);
                } catch (const std::exception&) {
                    continue;  // the twist has taken its place
                }
                add(mistake.name, mistake.says, mistake.hint, text);
                ++count;
            }
        if (progressed)
            progressed(task.name + ": " + std::to_string(right[0].size()) + " answers, " + std::to_string(count) + " mistakes" +
                       (twist != twists.end() ? ", twist " + twist->second.name : ""));
    }
    return exams;
}

void write_exam(const std::string& folder, const Exam& exam) {
    std::filesystem::create_directories(folder);
    write_file_atomically(folder + "/seed", std::to_string(exam.seed) + "\n");
    for (const auto& [name, expected] : exam.expected) write_file_atomically(folder + "/" + name + ".txt", text_of(expected));
}
