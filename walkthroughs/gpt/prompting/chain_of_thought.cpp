// chain_of_thought.cpp: the lesson on chain of thought: a tiny GPT adds digits, by guessing directly, correctly with written steps.
//
//   paper    Wei et al., "Chain-of-Thought Prompting Elicits Reasoning in Large Language Models", 2022, arXiv 2201.11903
//   shows    one model, one question, two first tokens; and that the content of the steps helps, not their number
//   symbols  M digits   N of them in a question   s_k = (d_1 + ... + d_k) mod M
//   before   walkthroughs/gpt/prompting/in_context.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/prompting/chain_of_thought.h"
#include "nn/training/progress.h"
#include "walkthroughs/lesson/lesson.h"

namespace chain = chain_of_thought;
using chain::Format;

struct Choices {
    chain::Task task;
    chain::Training training;
    int questions = 1000;
    int votes = 15;
    int seed = 1;
};

static std::string question_and(const chain::Task& task, const std::vector<int>& prompts, const chain::Written& written, int q) {
    const int P = task.count + 2;
    std::vector<int> ids(prompts.begin() + q * P, prompts.begin() + (q + 1) * P);
    ids.insert(ids.end(), written[q].begin(), written[q].end());
    return chain::document_text(task, ids);
}

static void step_formats(Lesson& lesson, const chain::Task& task) {
    lesson.step("What is the task?", "s_N = (d_1 + ... + d_N) mod M");
    Random random(3);
    const chain::Questions question = chain::make_questions(task, random, 1);
    lesson.lines({chain::document_text(task, chain::documents_of(task, question, Format::direct)),
                  chain::document_text(task, chain::documents_of(task, question, Format::steps))});
    lesson.why(
        "both lines are the same sum modulo ", task.digits,
        ". The first gives the answer directly, the second writes the partial sum after each digit before the answer. One model is trained on both formats; the first token selects one.");
}

static void step_chance(Lesson& lesson, const chain::Task& task) {
    lesson.step("Why is the direct format harder?");
    Random random(4);
    const chain::Questions question = chain::make_questions(task, random, 1);
    std::vector<int> seen(task.digits, 0);
    for (int d = 0; d < task.digits; ++d) {
        chain::Questions other = question;
        other[0] = d;
        ++seen[chain::partial_sums(task, other).back()];
    }
    const bool even = std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; });
    lesson.why(
        "all digits but one say nothing about the answer: the ", task.digits, " values of the first digit give ",
        even ? "each answer exactly once" : "the answers unevenly",
        ". So combining only some of the digits does not lower the loss, and the gradient gives no direction. A single step needs the partial sum and one digit: ",
        task.digits * task.digits, " cases.");
}

static float accuracy_in(const gpt::Weights& w, const gpt::Config& config, const chain::Task& task,
                         const chain::Questions& questions, Format format) {
    return chain::accuracy(task, questions, chain::answers_of(chain::solve(w, config, task, questions, format)));
}

namespace {
// Both accuracies, 30 times during training.
struct AccuracyCurves : Watcher {
    const gpt::Weights& w;
    const gpt::Config& config;
    const chain::Task& task;
    const chain::Questions& questions;
    Progress progress;
    int every;
    Series with_steps{.name = "with steps", .x = {}, .y = {}}, direct{.name = "direct", .x = {}, .y = {}};

    AccuracyCurves(const gpt::Weights& w, const gpt::Config& config, const chain::Task& task, const chain::Questions& questions,
                   int steps)
        : w(w), config(config), task(task), questions(questions), progress("training", steps), every(std::max(1, steps / 30)) {}

    bool after_step(int step, float loss) override {
        progress.update(step, loss);
        if (step % every != every - 1) return true;
        for (Series* series : {&with_steps, &direct}) series->x.push_back(static_cast<float>(step + 1));
        with_steps.y.push_back(accuracy_in(w, config, task, questions, Format::steps));
        direct.y.push_back(accuracy_in(w, config, task, questions, Format::direct));
        return true;
    }
};
}  // namespace

static gpt::Weights step_train(Lesson& lesson, const gpt::Config& config, const Choices& choices) {
    lesson.step("What does it learn first?", "accuracy during training");
    Random random(choices.seed);
    const gpt::Weights w = gpt::make_weights(config, random, chain::start);
    Random other(choices.seed + 1000);
    const chain::Questions few = chain::make_questions(choices.task, other, 200);
    lesson.say(count_numbers(gpt::parameters(w, config)), " parameters; ", choices.training.steps, " steps of ",
               choices.training.batch, " fresh questions, half of them in each format. The loss covers the tokens after =.");
    std::vector<Series> accuracies;
    {
        AccuracyCurves curves(w, config, choices.task, few, choices.training.steps);
        chain::train(w, config, choices.task, choices.training, random, &curves);
        accuracies = {curves.with_steps, curves.direct};
    }
    lesson.curves(accuracies, {"training step", "accuracy"});
    lesson.why("all steps are the same small task, so every token after = trains it; the direct answer stays at chance.");
    return w;
}

struct Measured {
    double with_steps = 0, direct = 0, moved = 0, filler = 0, one_chain = 0, voted = 0;
};

static void step_ask(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Choices& choices,
                     const chain::Questions& questions, Measured& measured) {
    lesson.step("What does the first token change?", "same weights, same questions");
    lesson.code(2);
    const chain::Written direct = chain::solve(w, config, choices.task, questions, Format::direct);
    const chain::Written steps = chain::solve(w, config, choices.task, questions, Format::steps);
    const std::vector<int> direct_prompts = chain::prompts_of(choices.task, questions, Format::direct);
    const std::vector<int> steps_prompts = chain::prompts_of(choices.task, questions, Format::steps);
    const std::vector<int> sums = chain::partial_sums(choices.task, questions);
    std::vector<std::vector<std::string>> rows{{"generated", "correct"}};
    for (int q = 0; q < std::min(3, choices.questions); ++q) {
        const std::string right = text(sums[(q + 1) * choices.task.count - 1]);
        rows.push_back({question_and(choices.task, direct_prompts, direct, q), right});
        rows.push_back({question_and(choices.task, steps_prompts, steps, q), right});
    }
    lesson.table(rows);
    measured.direct = chain::accuracy(choices.task, questions, chain::answers_of(direct));
    measured.with_steps = chain::accuracy(choices.task, questions, chain::answers_of(steps));
    lesson.predict("What is the accuracy in the direct format? Chance is " + fixed(1.0 / choices.task.digits, 3) + ".",
                   {measured.direct, 0.03});
    lesson.say("Of ", choices.questions, " questions: ", fixed(measured.direct, 3), " right when answered directly, ",
               fixed(measured.with_steps, 3), " with steps; chance is ", fixed(1.0 / choices.task.digits, 3), ".");
    lesson.why(
        "each token is one pass through ", config.depth,
        " blocks, however hard the question. Steps that are generated and read again add one pass each. The steps are the model's own, right or wrong, not corrected.");
}

static void step_change(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const Choices& choices,
                        const chain::Questions& questions, Measured& measured) {
    lesson.step("Is the answer read off the chain?", "s_2 becomes s_2 + 1");
    const int M = choices.task.digits, k = std::min(2, choices.task.count);
    lesson.code(2);
    const chain::Written changed = chain::solve_with_changed_step(w, config, choices.task, questions, k, 1);
    const chain::Written unchanged = chain::solve(w, config, choices.task, questions, Format::steps);
    const std::vector<int> prompts = chain::prompts_of(choices.task, questions, Format::steps);
    lesson.lines({question_and(choices.task, prompts, unchanged, 0), question_and(choices.task, prompts, changed, 0)});
    int moved = 0;
    for (int q = 0; q < choices.questions; ++q) moved += changed[q].back() == (unchanged[q].back() + 1) % M;
    measured.moved = static_cast<double>(moved) / choices.questions;
    lesson.why(
        "in ", moved, " of ", choices.questions,
        " questions the answer changed by exactly 1: the model continues from the written step, not from the digits. An error in a chain is not corrected.");
}

static void step_filler(Lesson& lesson, const gpt::Config& config, const Choices& choices, const chain::Questions& questions,
                        Measured& measured) {
    lesson.step("Is it just the additional tokens?", "every s_k replaced by =");
    lesson.lines({chain::document_text(
        choices.task,
        chain::documents_of(choices.task, {questions.begin(), questions.begin() + choices.task.count}, Format::filler))});
    chain::Training training = choices.training;
    training.other = Format::filler;
    Random random(choices.seed);
    const gpt::Weights w = gpt::make_weights(config, random, chain::start);
    {
        ShowProgress progress("training with fillers", training.steps);
        chain::train(w, config, choices.task, training, random, &progress);
    }
    measured.filler = accuracy_in(w, config, choices.task, questions, Format::filler);
    lesson.why("a second model, trained equally long on lines of the same length, but with fillers instead of steps: accuracy ",
               fixed(measured.filler, 3), ". The content of the tokens helps, not their number.");
}

// Accuracy of single chains sampled at temperature 1, and of majority votes among `votes` of them.
static void vote(const gpt::Weights& w, const gpt::Config& config, const Choices& choices, const chain::Questions& questions,
                 int votes, Random& random, double& one_chain, double& voted) {
    const int Q = static_cast<int>(questions.size()) / choices.task.count;
    std::vector<std::vector<int>> answers(Q);
    one_chain = 0;
    for (int m = 0; m < votes; ++m) {
        const Matrix draws = uniform_matrix(random, Q, chain::written_length(choices.task, Format::steps));
        const std::vector<int> drawn = chain::answers_of(chain::sample_chains(w, config, choices.task, questions, 1, draws));
        one_chain += chain::accuracy(choices.task, questions, drawn) / votes;
        for (int q = 0; q < Q; ++q) answers[q].push_back(drawn[q]);
    }
    std::vector<int> winners;
    for (const std::vector<int>& given : answers) winners.push_back(chain::majority(given));
    voted = chain::accuracy(choices.task, questions, winners);
}

namespace {
// Ends training when a sampled chain is right half of the time, checked every 10 steps.
struct StopHalfSure : Watcher {
    const gpt::Weights& w;
    const gpt::Config& config;
    const Choices& choices;
    const chain::Questions& questions;
    Random& draws;
    int stopped = 0;

    StopHalfSure(const gpt::Weights& w, const gpt::Config& config, const Choices& choices, const chain::Questions& questions,
                 Random& draws)
        : w(w), config(config), choices(choices), questions(questions), draws(draws) {}

    bool after_step(int step, float) override {
        if (step % 10 != 9) return true;
        double one_chain = 0, voted = 0;
        vote(w, config, choices, questions, 1, draws, one_chain, voted);
        stopped = step + 1;
        return one_chain < 0.5;
    }
};
}  // namespace

static void step_vote(Lesson& lesson, const gpt::Config& config, const Choices& choices, const chain::Questions& questions,
                      Measured& measured) {
    lesson.step("What if chains are often wrong?", "self-consistency: majority vote over chains", "Wang et al. 2022");
    Random random(choices.seed);
    const gpt::Weights w = gpt::make_weights(config, random, chain::start);
    const int Q = std::min(300, choices.questions);
    const chain::Questions some(questions.begin(), questions.begin() + Q * choices.task.count);
    Random draws(choices.seed + 2000);
    StopHalfSure watcher(w, config, choices, some, draws);
    chain::train(w, config, choices.task, choices.training, random, &watcher);
    vote(w, config, choices, some, choices.votes, draws, measured.one_chain, measured.voted);
    lesson.why("the same model, but training ends after ", watcher.stopped,
               " steps, when a sampled chain is right about half of the time. Accuracy of single chains: ",
               fixed(measured.one_chain, 3), "; of the majority of ", choices.votes, " chains: ", fixed(measured.voted, 3),
               ". Wrong chains end in different answers, right ones in the same. Next: rlhf/ranking.");
}

static void walk(Lesson& lesson, const Choices& choices) {
    const gpt::Config config = chain::model_of(choices.task);
    Random random(choices.seed + 3000);
    const chain::Questions questions = chain::make_questions(choices.task, random, choices.questions);
    Measured measured;
    step_formats(lesson, choices.task);
    step_chance(lesson, choices.task);
    const gpt::Weights w = step_train(lesson, config, choices);
    step_ask(lesson, w, config, choices, questions, measured);
    step_change(lesson, w, config, choices, questions, measured);
    step_filler(lesson, config, choices, questions, measured);
    step_vote(lesson, config, choices, questions, measured);

    lesson.step("Does it hold?");
    const double chance = 1.0 / choices.task.digits, near_chance = 1.4 * chance;
    lesson.claim_at_least("accuracy with steps", measured.with_steps, 0.95);
    lesson.claim_at_most("accuracy in the direct format, near chance", measured.direct, near_chance);
    lesson.claim_at_least("fraction of answers that follow a changed step", measured.moved, 0.95);
    lesson.claim_at_most("accuracy with fillers, near chance", measured.filler, near_chance);
    lesson.claim_at_least("gain of a majority vote over single chains", measured.voted - measured.one_chain, 0.05);
}

int main(int argc, char** argv) {
    Options options("gpt/prompting/chain_of_thought", "A tiny GPT guesses the sum of six digits, unless it writes the steps.",
                    "10 seconds");
    Choices choices;
    options.add("digits", choices.task.digits, "M, the sum is taken modulo it", 2, 20);
    options.add("count", choices.task.count, "N, digits in a question", 2, 30);
    options.add("steps-of-training", choices.training.steps, "training steps", 1, 100'000);
    options.add("questions", choices.questions, "test questions", 1, 100'000);
    options.add("votes", choices.votes, "chains that vote", 1, 1000);
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
