// in_context.cpp: the lesson on in-context learning: a tiny GPT answers by the examples in its prompt, without a weight update.
//
//   paper    Brown et al., "Language Models are Few-Shot Learners", 2020, arXiv 2005.14165
//   shows    accuracy over the number of examples in the prompt, compared with the best possible
//   symbols  K inputs   L labels   f the hidden table of a sequence   n shots
//   before   walkthroughs/gpt/gpt.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/prompting/in_context.h"
#include "nn/autograd/operations.h"
#include "nn/training/progress.h"
#include "walkthroughs/lesson/lesson.h"

struct Choices {
    in_context::Task task;
    in_context::Training training;
    int depth = 2;
    int test_sequences = 8000;
};

// Inputs as a, b, c, ..., labels as 0, 1, 2, ...
static std::string readable(const in_context::Task& task, const std::vector<int>& ids) {
    std::string line;
    for (const int id : ids)
        line += (id < task.inputs ? " " + std::string(1, static_cast<char>('a' + id)) : text(id - task.inputs));
    return line.substr(line.empty() ? 0 : 1);
}

static void step_text(Lesson& lesson, const in_context::Task& task, Random& random) {
    lesson.step("What is the training text?", "x_1 f(x_1) x_2 f(x_2) ... x_N f(x_N)");
    lesson.code();
    const in_context::Batch batch = in_context::make_batch(task, random, 3);
    const int T = 2 * task.pairs;
    std::vector<std::string> lines;
    for (int b = 0; b < 3; ++b) lines.push_back(readable(task, {batch.ids.begin() + b * T, batch.ids.begin() + (b + 1) * T}));
    lesson.lines(lines);
    lesson.why(
        "within a line a letter always has the same digit, but every line has its own random table. So the digits cannot be memorised: to predict them, the model must infer the table as it reads. The n-th digit has n - 1 examples before it, so one line trains all numbers of shots at once.");
}

static void step_best(Lesson& lesson, const in_context::Task& task) {
    lesson.step("What is the best possible accuracy?", "1 - (1 - 1/K)^n (1 - 1/L)");
    lesson.why("either the queried letter was among the n examples, and its digit is known, or it was not, and 1 of ",
               task.labels, " guesses is right: ", fixed(in_context::best_accuracy(task, 0), 3), " with no example, ",
               fixed(in_context::best_accuracy(task, 1), 3), " with one, ",
               fixed(in_context::best_accuracy(task, task.pairs - 1), 3), " with ", task.pairs - 1, ".");
}

static void step_train(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Choices& choices, Random& random) {
    lesson.step("How is it trained?", "loss = mean of -log p(f(x_n) | everything before)");
    lesson.say(count_numbers(gpt::parameters(w, config)), " parameters in ", config.depth, " blocks of width ", config.width,
               "; ", choices.training.steps, " steps of ", choices.training.batch, " fresh lines.");
    Series losses{.name = "loss", .x = {}, .y = {}};
    {
        ShowProgress progress("training", choices.training.steps);
        losses.y = in_context::train(w, config, choices.task, choices.training, random, &progress);
        for (std::size_t step = 0; step < losses.y.size(); ++step) losses.x.push_back(static_cast<float>(step));
    }
    lesson.curves({losses}, {"training step", "loss, nats"});
    double best = 0;
    for (int n = 0; n < choices.task.pairs; ++n) best += in_context::best_loss(choices.task, n) / choices.task.pairs;
    lesson.why(
        "at first the loss stays near ln ", choices.task.labels, " = ", fixed(std::log(choices.task.labels), 3),
        ", a uniform guess. It falls when the second block learns to attend to the matching example. The best possible mean is ",
        fixed(best, 3), "; the last step had ", fixed(losses.y.back(), 3), ".");
    lesson.predict(
        "the curve with --depth 1. One block cannot both mark each digit with the letter before it and look that letter up.");
}

static std::vector<float> step_shots(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Choices& choices,
                                     Random& random) {
    lesson.step("Does it learn from the prompt?", "accuracy with 0, 1, 2, ... shots");
    lesson.say("From here on the weights do not change. ", choices.test_sequences, " new lines, each with a new table:");
    lesson.code();
    const std::vector<float> accuracy = in_context::accuracy_by_shots(w, config, choices.task, random, choices.test_sequences);
    Series ours{.name = "this model", .x = {}, .y = accuracy}, best{.name = "best possible", .x = {}, .y = {}};
    std::vector<std::vector<std::string>> rows{{"shots", "this model", "best possible", "difference"}};
    for (int n = 0; n < choices.task.pairs; ++n) {
        const double most = in_context::best_accuracy(choices.task, n);
        ours.x.push_back(static_cast<float>(n));
        best.x.push_back(static_cast<float>(n));
        best.y.push_back(static_cast<float>(most));
        rows.push_back({text(n), fixed(accuracy[n], 3), fixed(most, 3), fixed(accuracy[n] - most, 3)});
    }
    lesson.curves({ours, best}, {"shots", "accuracy"});
    lesson.table(rows);
    return accuracy;
}

// The same query after the examples of two different tables.   returns the two answers
static std::vector<int> step_two_tables(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config,
                                        const in_context::Task& task) {
    lesson.step("What if the examples change?", "the same weights, the same query");
    std::vector<std::vector<int>> labels;
    for (int y = 0; y < task.labels; ++y) labels.push_back({task.inputs + y});
    std::vector<int> answers;
    std::vector<std::vector<std::string>> rows{{"prompt", "answer"}};
    for (const int first : {0, task.labels - 1}) {
        std::vector<std::pair<int, int>> examples;
        for (int n = 0; n + 1 < std::min(task.pairs, 2 * task.inputs); ++n)
            examples.push_back({n % task.inputs, (first + n % task.inputs) % task.labels});
        const std::vector<int> prompt = in_context::prompt_of(task, examples, 0);
        answers.push_back(in_context::choose(prompt, labels, w, config));
        rows.push_back({readable(task, prompt), text(answers.back())});
    }
    lesson.table(rows);
    lesson.why(
        "only the prompt differs. What fine-tuning would store in the weights is here in the keys and values of the prompt's tokens, and is gone with the next prompt.");
    return answers;
}

// The attention weight of the last token, in one head, on what follows the earlier tokens like it.
static double weight_on_matches(const Matrix& A, int head, const std::vector<int>& ids) {
    const int T = static_cast<int>(ids.size());
    double weight = 0;
    for (int t = 0; t + 1 < T; t += 2)
        if (ids[t] == ids.back()) weight += A(head * T + T - 1, t + 1);
    return weight;
}

// The attention weight of the query, in the best head of the last block, on labels of earlier examples with the same input.
static double step_attention(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const in_context::Task& task) {
    lesson.step("How does it find the example?", "A of the last block", "Olsson et al. 2022");
    std::vector<std::pair<int, int>> examples;
    for (int n = 0; n + 1 < std::min(task.pairs, task.inputs + 2); ++n)
        examples.push_back({n % task.inputs, (2 * n + 1) % task.labels});
    const int query = 1 % task.inputs;
    const std::vector<int> ids = in_context::prompt_of(task, examples, query);
    const int T = static_cast<int>(ids.size());
    lesson.say("The prompt: ", readable(task, ids));
    lesson.code();
    const gpt::Steps steps = gpt::forward(ids, T, w, config);
    const Matrix& A = steps.decoder.blocks.back().attention.weights.value();  // (heads * T, T)
    std::vector<Captioned> heads;
    std::vector<std::string> tokens;
    for (const int id : ids)
        tokens.push_back(id < task.inputs ? std::string(1, static_cast<char>('a' + id)) : text(id - task.inputs));
    double best = 0;
    for (int head = 0; head < config.heads; ++head) {
        heads.push_back({"head " + text(head) + " (query down, key across)",
                         heat_map(slice_rows(A, head * T, T), lesson.colours, tokens, tokens)});
        best = std::max(best, weight_on_matches(A, head, ids));
    }
    lesson.pictures(heads);
    lesson.why(
        "the last row is the query. In one head ", fixed(100 * best, 0),
        " % of its attention is on digits that followed the same letter: the first block adds the previous letter to each digit's residual stream, the second attends to digits with the queried letter. Such a pair of heads is called an induction head. Next: gpt/prompting/chain_of_thought.");
    return best;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    gpt::Config config = in_context::model_of(choices.task);
    config.depth = choices.depth;
    const gpt::Weights w = gpt::make_weights(config, random, in_context::start);

    step_text(lesson, choices.task, random);
    step_best(lesson, choices.task);
    step_train(lesson, w, config, choices, random);
    const std::vector<float> accuracy = step_shots(lesson, w, config, choices, random);
    const std::vector<int> answers = step_two_tables(lesson, w, config, choices.task);
    step_attention(lesson, w, config, choices.task);

    lesson.step("Does it hold?");
    double farthest = 0;
    for (int n = 0; n < choices.task.pairs; ++n)
        farthest = std::max(farthest, std::abs(accuracy[n] - in_context::best_accuracy(choices.task, n)));
    lesson.claim_at_most("largest distance from the best possible accuracy, over all numbers of shots", farthest, 0.03);
    lesson.claim_at_least(
        "gain of accuracy from zero-shot to most shots", accuracy.back() - accuracy.front(),
        0.9 * (in_context::best_accuracy(choices.task, choices.task.pairs - 1) - in_context::best_accuracy(choices.task, 0)));
    lesson.claim("the same query is answered according to its examples", answers == std::vector<int>{0, choices.task.labels - 1});
}

int main(int argc, char** argv) {
    Options options("gpt/prompting/in_context", "Zero-shot, one-shot, few-shot: a tiny GPT learns from examples in its prompt.",
                    "5 seconds");
    Choices choices;
    options.add("inputs", choices.task.inputs, "K, different inputs", 1, 26);
    options.add("labels", choices.task.labels, "L, different labels", 2, 10);
    options.add("pairs", choices.task.pairs, "N, pairs in a line", 2, 100);
    options.add("steps", choices.training.steps, "training steps", 1, 100'000);
    options.add("depth", choices.depth, "blocks of the model", 1, 8);
    options.add("test-sequences", choices.test_sequences, "test lines", 1, 1'000'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
