#include "gpt/prompting/chain_of_thought.h"

#include <algorithm>
#include <limits>

#include "gpt/writing.h"
#include "nn/autograd/operations.h"
#include "nn/text/batch.h"
#include "nn/training/loss.h"

namespace chain_of_thought {

// --- the text ---

static void check(const Task& task) {
    require(task.digits > 0 && task.count > 0, "chain_of_thought: ", task.count, " digits modulo ", task.digits,
            ", both must be at least 1");
    const int most = std::numeric_limits<int>::max() - 5;  // the other words have ids too
    require(task.digits <= most && task.count <= most / 3, "chain_of_thought: ", task.count, " digits modulo ", task.digits,
            " make more words or a longer document than an int can count");
}

Words words_of(const Task& task) {
    check(task);
    const int M = task.digits;
    return {.equals = M, .answer = M + 1, .end = M + 2, .direct = M + 3, .steps = M + 4};
}

int vocabulary(const Task& task) {
    check(task);
    return task.digits + 5;
}

static int count_of(const Task& task, const Questions& questions) {
    check(task);
    require(questions.size() % task.count == 0, "chain_of_thought: ", questions.size(),
            " digits are not a whole number of questions of ", task.count);
    for (const int digit : questions)
        require(digit >= 0 && digit < task.digits, "chain_of_thought: a digit ", digit, " of ", task.digits,
                ", they are counted from 0");
    return static_cast<int>(questions.size()) / task.count;
}

Questions make_questions(const Task& task, Random& random, int questions) {
    check(task);
    require(questions >= 0, "chain_of_thought: ", questions, " questions, there cannot be fewer than 0");
    require(long{questions} * task.count <= std::numeric_limits<int>::max(), "chain_of_thought: ", questions, " questions of ",
            task.count, " digits are more than an int can count");
    Questions digits;
    for (int k = 0; k < questions * task.count; ++k) digits.push_back(random.below(task.digits));
    return digits;
}

std::vector<int> partial_sums(const Task& task, const Questions& questions) {
    count_of(task, questions);
    std::vector<int> sums;
    for (std::size_t k = 0; k < questions.size(); ++k) {
        const int before = k % task.count == 0 ? 0 : sums.back();
        sums.push_back((before + questions[k]) % task.digits);
    }
    return sums;
}

std::vector<int> prompts_of(const Task& task, const Questions& questions, Format format) {
    const Words words = words_of(task);
    std::vector<int> ids;
    for (int q = 0; q < count_of(task, questions); ++q) {
        ids.push_back(format == Format::direct ? words.direct : words.steps);
        ids.insert(ids.end(), questions.begin() + q * task.count, questions.begin() + (q + 1) * task.count);
        ids.push_back(words.equals);
    }
    return ids;
}

int written_length(const Task& task, Format format) {
    check(task);
    return format == Format::direct ? 2 : task.count + 2;
}

int document_length(const Task& task, Format format) { return task.count + 2 + written_length(task, format); }

std::vector<int> documents_of(const Task& task, const Questions& questions, Format format) {
    const Words words = words_of(task);
    const int N = task.count;
    const std::vector<int> prompts = prompts_of(task, questions, format), sums = partial_sums(task, questions);
    std::vector<int> ids;
    for (int q = 0; q < count_of(task, questions); ++q) {
        ids.insert(ids.end(), prompts.begin() + q * (N + 2), prompts.begin() + (q + 1) * (N + 2));
        if (format != Format::direct)
            for (int k = 0; k < N; ++k) ids.push_back(format == Format::steps ? sums[q * N + k] : words.equals);
        ids.push_back(words.answer);
        ids.push_back(sums[q * N + N - 1]);
    }
    return ids;
}

std::vector<int> labels_of(const Task& task, const std::vector<int>& documents, Format format) {
    const int T = document_length(task, format), equals_row = task.count + 1;
    std::vector<int> labels = next_tokens(documents, T);
    for (std::size_t row = 0; row < labels.size(); ++row)
        if (static_cast<int>(row) % T < equals_row) labels[row] = ignored_label;
    return labels;
}

std::string document_text(const Task& task, const std::vector<int>& ids) {
    const char* const names[] = {"=", "ANSWER", "END", "DIRECT", "STEPS"};
    std::string line;
    for (const int id : ids) {
        require(id >= 0 && id < vocabulary(task), "document_text: id ", id, " is outside the vocabulary of ", vocabulary(task),
                ", counted from 0");
        line += (line.empty() ? "" : " ") + (id < task.digits ? std::to_string(id) : std::string(names[id - task.digits]));
    }
    return line;
}

// --- the model ---

gpt::Config model_of(const Task& task) {
    return {.vocabulary = vocabulary(task),
            .positions = document_length(task, Format::steps),
            .width = 32,
            .depth = 2,
            .heads = 2,
            .mlp_width = 128,
            .tied = false};
}

static Var loss_of_format(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Questions& questions,
                          Format format) {
    const std::vector<int> documents = documents_of(task, questions, format);
    const gpt::Steps steps = gpt::forward(documents, document_length(task, format), w, config);
    return gpt::loss(steps, labels_of(task, documents, format));
}

Var loss(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Questions& direct, const Questions& others,
         Format other) {
    const Var direct_loss = loss_of_format(w, config, task, direct, Format::direct);
    const Var other_loss = loss_of_format(w, config, task, others, other);
    const float in_direct = static_cast<float>(direct.size()) * written_length(task, Format::direct);
    const float in_others = static_cast<float>(others.size()) * written_length(task, other);
    return add(scale(direct_loss, in_direct / (in_direct + in_others)), scale(other_loss, in_others / (in_direct + in_others)));
}

Recipe recipe_of(const Training& training) {
    return {.schedule = {.peak = training.learning_rate,
                         .warm_up = std::min(100, training.steps),
                         .steps = training.steps,
                         .descent = Descent::linear,
                         .floor = 0.02f},
            .batch = training.batch,
            .beta2 = 0.98f};
}

namespace {
struct LossOfBothFormats : Objective {
    const gpt::Weights& w;
    const gpt::Config& config;
    const Task& task;
    const Training& training;
    Random& random;

    LossOfBothFormats(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Training& training,
                      Random& random)
        : w(w), config(config), task(task), training(training), random(random) {}

    Var loss(int) override {
        const Questions direct = make_questions(task, random, training.batch / 2);
        const Questions others = make_questions(task, random, training.batch - training.batch / 2);
        return chain_of_thought::loss(w, config, task, direct, others, training.other);
    }
};
}  // namespace

std::vector<float> train(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Training& training,
                         Random& random, Watcher* watcher) {
    LossOfBothFormats objective(w, config, task, training, random);
    return ::train(objective, nothing_decays(variables(gpt::parameters(w, config))), recipe_of(training), watcher);
}

// --- asking ---

Written solve(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Questions& questions, Format format) {
    return gpt::generate_greedily(prompts_of(task, questions, format), task.count + 2, w, config,
                                  {.new_tokens = written_length(task, format)});
}

Written sample_chains(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Questions& questions,
                      float temperature, const Matrix& draws) {
    return gpt::generate(prompts_of(task, questions, Format::steps), task.count + 2, w, config,
                         {.new_tokens = written_length(task, Format::steps)}, {.temperature = temperature}, draws);
}

Written solve_with_changed_step(const gpt::Weights& w, const gpt::Config& config, const Task& task, const Questions& questions,
                                int k, int offset) {
    const int N = task.count, M = task.digits;
    require(k >= 1 && k <= N, "solve_with_changed_step: step ", k, " of ", N, ", they are counted from 1");
    Written chains = solve(w, config, task, questions, Format::steps);
    const std::vector<int> prompts = prompts_of(task, questions, Format::steps);
    std::vector<int> longer_prompts;  // with the first k steps, the k-th changed
    for (std::size_t q = 0; q < chains.size(); ++q) {
        chains[q].resize(k);
        chains[q].back() = (chains[q].back() % M + M + offset % M) % M;
        longer_prompts.insert(longer_prompts.end(), prompts.begin() + q * (N + 2), prompts.begin() + (q + 1) * (N + 2));
        longer_prompts.insert(longer_prompts.end(), chains[q].begin(), chains[q].end());
    }
    const Written rest =
        gpt::generate_greedily(longer_prompts, N + 2 + k, w, config, {.new_tokens = written_length(task, Format::steps) - k});
    for (std::size_t q = 0; q < chains.size(); ++q) chains[q].insert(chains[q].end(), rest[q].begin(), rest[q].end());
    return chains;
}

std::vector<int> answers_of(const Written& written) {
    std::vector<int> answers;
    for (std::size_t q = 0; q < written.size(); ++q) {
        require(!written[q].empty(), "answers_of: continuation ", q, " of ", written.size(),
                " is empty; it has at least the answer");
        answers.push_back(written[q].back());
    }
    return answers;
}

float accuracy(const Task& task, const Questions& questions, const std::vector<int>& answers) {
    const int count = count_of(task, questions);
    require(count > 0 && static_cast<int>(answers.size()) == count, "chain_of_thought: ", answers.size(), " answers to ", count,
            " questions; each needs one, and there must be a question");
    const std::vector<int> sums = partial_sums(task, questions);
    int right = 0;
    for (int q = 0; q < count; ++q) right += answers[q] == sums[(q + 1) * task.count - 1];
    return static_cast<float>(right) / static_cast<float>(count);
}

int majority(const std::vector<int>& answers) {
    require(!answers.empty(), "majority: no answers; give at least one");
    int winner = answers[0];
    long most = 0;
    for (const int answer : answers) {
        const long votes = std::count(answers.begin(), answers.end(), answer);
        if (votes > most) most = votes, winner = answer;
    }
    return winner;
}

}  // namespace chain_of_thought
