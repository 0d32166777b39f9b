// galactica.cpp: how Galactica cuts a scientific text, why digits come one by one, and what the token <work> is good for.
//
//   paper    Taylor et al., "Galactica: A Large Language Model for Science", 2022, arXiv 2211.09085, section 3.1
//   shows    the rules of tokenisation; that byte-pair encoding cuts the same digits in many ways; and that a model that may
//            write its steps between <work> and the answer is right where the same weights only guess without
//   symbols  M digits   N of them in a question   s_k = (d_1 + ... + d_k) mod M
//   before   walkthroughs/gpt/bpe.cpp, walkthroughs/gpt/prompting/chain_of_thought.cpp
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "gpt/bpe.h"
#include "gpt/families/galactica.h"
#include "gpt/prompting/chain_of_thought.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/lesson.h"

namespace chain = chain_of_thought;
using chain::Format;

struct Choices {
    chain::Task task;
    int steps = 600;
    int batch = 64;
    int questions = 1000;
    int merges = 100;
};

// --- tokenisation ---

static std::string cut(const std::string& words) {
    std::string line;
    for (const galactica::Piece& piece : galactica::pieces(words)) line += (line.empty() ? "" : "|") + piece.text;
    return line;
}

static void step_rules(Lesson& lesson) {
    lesson.step("What becomes a token?", "rules first, byte-pair encoding inside what they leave", "section 3.1");
    std::vector<std::vector<std::string>> rows{{"content", "cut by the rules at |"}};
    const std::vector<std::pair<std::string, std::string>> examples{{"citation", "see [START_REF] OPT, Zhang [END_REF] for"},
                                                                    {"reasoning", "2 + 3? <work> 5 </work> 5"},
                                                                    {"molecule", "[START_SMILES]C(=O)O[END_SMILES]"},
                                                                    {"protein", "[START_AMINO]MIRLGAP[END_AMINO]"},
                                                                    {"DNA", "[START_DNA]CGGTACC[END_DNA]"},
                                                                    {"number", "about 737612.62 km"},
                                                                    {"mathematics", "E=m*c^2"}};
    lesson.code();
    for (const auto& [content, words] : examples) rows.push_back({content, cut(words)});
    lesson.table(rows);
    lesson.why(
        "all kinds of scientific data are one text, and special tokens mark where each begins. Bases, atoms and digits are the ",
        "units of the laws to be learned, so each is one token; a token of three bases would hide them.");
}

// The tokens of a number that hold any of its characters first ... first + count - 1, joined: "91,2".
static std::string tokens_around(const std::vector<std::string>& tokens, std::size_t first, std::size_t count) {
    std::string way;
    std::size_t at = 0;
    for (const std::string& token : tokens) {
        if (at < first + count && at + token.size() > first) way += (way.empty() ? "" : ",") + token;
        at += token.size();
    }
    return way;
}

static std::vector<std::string> tokens_by_merges(const std::string& number, const bpe::Vocabulary& vocabulary) {
    std::vector<std::string> tokens;
    for (const int id : bpe::encode(number, vocabulary)) tokens.push_back(vocabulary.tokens[id]);
    return tokens;
}

static std::vector<std::string> tokens_by_rules(const std::string& number) {
    std::vector<std::string> tokens;
    for (const galactica::Piece& piece : galactica::pieces(number)) tokens.push_back(piece.text);
    return tokens;
}

namespace {
struct Ways {
    std::set<std::string> by_merges, by_rules;
    int numbers = 0;
};
}  // namespace

// How the digits 12 are cut in all numbers below 10000 that hold them.
static Ways ways_to_cut_12(const bpe::Vocabulary& vocabulary) {
    Ways ways;
    for (int number = 0; number < 10'000; ++number) {
        const std::string digits = text(number);
        const std::size_t at = digits.find("12");
        if (at == std::string::npos) continue;
        ++ways.numbers;
        ways.by_merges.insert(tokens_around(tokens_by_merges(digits, vocabulary), at, 2));
        ways.by_rules.insert(tokens_around(tokens_by_rules(digits), at, 2));
    }
    return ways;
}

static Ways step_numbers(Lesson& lesson, const Choices& choices, int seed) {
    lesson.step("Why are digits single tokens?", "how often is 12 cut the same way?");
    Random random(seed);
    std::string numbers;
    for (int i = 0; i < 1000; ++i) numbers += text(random.below(10'000)) + "\n";
    lesson.code(2);
    const bpe::Training training = bpe::train(numbers, choices.merges);
    const bpe::Vocabulary vocabulary = bpe::vocabulary_of(training);
    const Ways ways = ways_to_cut_12(vocabulary);
    std::string examples;
    int shown = 0;
    for (const std::string& way : ways.by_merges)
        if (shown++ < 8) examples += way + "   ";
    if (shown > 8) examples += "...";
    lesson.table({{"tokens", "the digits 12 in a number, with what else is in their tokens"},
                  {text(choices.merges) + " merges", examples},
                  {"digit by digit", *ways.by_rules.begin()}});
    lesson.why("in the ", ways.numbers, " numbers below 10000 that hold the digits 12, byte-pair encoding writes them in ",
               static_cast<int>(ways.by_merges.size()),
               " ways, depending on its training text. For a model these are unrelated tokens, and it would have to learn ",
               "arithmetic for each. With single digits there is one way.");
    return ways;
}

// --- the work token ---

// Documents of the toy; its token STEPS is Galactica's <work>.
static std::string readable(const chain::Task& task, const std::vector<int>& ids) {
    std::string line = chain::document_text(task, ids);
    const std::size_t at = line.find("STEPS");
    return at == std::string::npos ? line : line.replace(at, 5, "<work>");
}

static void step_documents(Lesson& lesson, const chain::Task& task) {
    lesson.step("What is <work> for?", "s_N = (d_1 + ... + d_N) mod M", "section 3.1.1");
    Random random(3);
    const chain::Questions question = chain::make_questions(task, random, 1);
    lesson.lines({readable(task, chain::documents_of(task, question, Format::direct)),
                  readable(task, chain::documents_of(task, question, Format::steps))});
    lesson.why("the same sum modulo ", task.digits, " twice. After <work> the partial sums are written out, as on paper. ",
               "One model is trained on both kinds of document; the first token selects one.");
}

static galactica::Config small_galactica(const chain::Task& task) {
    return {.vocabulary = chain::vocabulary(task),
            .width = 32,
            .depth = 2,
            .heads = 2,
            .mlp_width = 128,
            .positions = chain::document_length(task, Format::steps)};
}

// Documents of N + 2 tokens of prompt each, as sequences.
static void add_documents(std::vector<std::vector<int>>& sequences, const std::vector<int>& documents, int length) {
    for (auto at = documents.begin(); at != documents.end(); at += length) sequences.push_back({at, at + length});
}

namespace {
struct AddDigits : Objective {
    const galactica::Weights& w;
    const galactica::Config& config;
    const Choices& choices;
    Random random;

    AddDigits(const galactica::Weights& w, const galactica::Config& config, const Choices& choices, int seed)
        : w(w), config(config), choices(choices), random(seed) {}

    // Both kinds in one batch, the shorter ones padded. The digits of questions are random: no loss on them.
    Var loss(int) override {
        const chain::Task& task = choices.task;
        std::vector<std::vector<int>> sequences;
        for (const Format format : {Format::direct, Format::steps}) {
            const chain::Questions questions = chain::make_questions(task, random, choices.batch / 2);
            add_documents(sequences, chain::documents_of(task, questions, format), chain::document_length(task, format));
        }
        const TokenBatch batch = make_batch(sequences, chain::words_of(task).end);
        std::vector<int> labels = next_tokens(batch);
        for (std::size_t row = 0; row < labels.size(); ++row)
            if (static_cast<int>(row) % batch.length < task.count + 1) labels[row] = ignored_label;
        return galactica::loss(galactica::forward(batch, w, config), labels);
    }
};
}  // namespace

static double right(const galactica::Weights& w, const galactica::Config& config, const chain::Task& task,
                    const chain::Questions& questions, Format format) {
    const TokenBatch prompts = equal_batch(chain::prompts_of(task, questions, format), task.count + 2);
    const chain::Written written = generate(prompts, w, config, {.new_tokens = chain::written_length(task, format)});
    return chain::accuracy(task, questions, chain::answers_of(written));
}

namespace {
struct Right {
    double with_work = 0, direct = 0;
};

// Both fractions of right answers, twenty times on the way.
struct RightCurves : Watcher {
    const galactica::Weights& w;
    const galactica::Config& config;
    const chain::Task& task;
    const chain::Questions& questions;
    Progress progress;
    int every;
    Series with_work{.name = "with <work>", .x = {}, .y = {}}, direct{.name = "direct", .x = {}, .y = {}};

    RightCurves(const galactica::Weights& w, const galactica::Config& config, const chain::Task& task,
                const chain::Questions& questions, int steps)
        : w(w), config(config), task(task), questions(questions), progress("training", steps), every(std::max(1, steps / 20)) {}

    bool after_step(int step, float loss) override {
        progress.update(step, loss);
        if (step % every != every - 1) return true;
        for (Series* series : {&with_work, &direct}) series->x.push_back(static_cast<float>(step + 1));
        with_work.y.push_back(static_cast<float>(right(w, config, task, questions, Format::steps)));
        direct.y.push_back(static_cast<float>(right(w, config, task, questions, Format::direct)));
        return true;
    }
};
}  // namespace

static void step_train(Lesson& lesson, const galactica::Weights& w, const galactica::Config& config, const Choices& choices,
                       int seed) {
    lesson.step("What does it learn?", "right answers while it is trained");
    lesson.say(count_numbers(galactica::parameters(w, config)), " numbers, no biases, norms without gains; ", choices.steps,
               " steps of ", choices.batch, " fresh documents, half of each kind.");
    Random random(seed + 1000);
    const chain::Questions few = chain::make_questions(choices.task, random, 100);
    AddDigits objective(w, config, choices, seed + 2000);
    const Recipe recipe{
        .schedule = {.peak = 3e-3f, .warm_up = 100, .steps = choices.steps, .descent = Descent::linear, .floor = 0.02f},
        .batch = choices.batch,
        .weight_decay = 0,
        .beta2 = 0.98f};
    std::vector<Series> curves;
    {
        RightCurves watcher(w, config, choices.task, few, choices.steps);
        train(objective, nothing_decays(variables(galactica::parameters(w, config))), recipe, &watcher);
        curves = {watcher.with_work, watcher.direct};
    }
    lesson.curves(curves, {"training step", "fraction of right answers"});
}

static Right step_ask(Lesson& lesson, const galactica::Weights& w, const galactica::Config& config, const Choices& choices,
                      int seed) {
    lesson.step("Same weights, same questions: what does <work> change?");
    const chain::Task& task = choices.task;
    Random random(seed + 3000);
    const chain::Questions questions = chain::make_questions(task, random, choices.questions);
    const Right shares{.with_work = right(w, config, task, questions, Format::steps),
                       .direct = right(w, config, task, questions, Format::direct)};
    lesson.predict("What fraction of the direct answers is right? Chance is " + fixed(1.0 / task.digits, 3) + ".",
                   {shares.direct, 0.1});
    std::vector<std::vector<std::string>> rows{{"what the model wrote", "right answer"}};
    const chain::Questions first(questions.begin(), questions.begin() + task.count);
    for (const Format format : {Format::direct, Format::steps}) {
        std::vector<int> ids = chain::prompts_of(task, first, format);
        const TokenBatch prompt = equal_batch(ids, task.count + 2);
        const auto written = generate(prompt, w, config, {.new_tokens = chain::written_length(task, format)});
        ids.insert(ids.end(), written[0].begin(), written[0].end());
        rows.push_back({readable(task, ids), text(chain::partial_sums(task, first).back())});
    }
    lesson.table(rows);
    lesson.say("Of ", choices.questions, " questions: ", fixed(shares.direct, 3), " right when answered directly, ",
               fixed(shares.with_work, 3), " with <work>; chance is ", fixed(1.0 / task.digits, 3), ".");
    lesson.why(
        "what is written between <work> and the answer is memory outside the network: each token is one more pass through "
        "its ",
        config.depth, " blocks, and reads what the passes before it have found.");
    return shares;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    step_rules(lesson);
    const Ways ways = step_numbers(lesson, choices, seed);
    step_documents(lesson, choices.task);
    Random random(seed);
    const galactica::Config config = small_galactica(choices.task);
    const galactica::Weights w = galactica::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.2f});
    step_train(lesson, w, config, choices, seed);
    const Right shares = step_ask(lesson, w, config, choices, seed);
    lesson.say("Next: gpt/families/biogpt is trained on one domain only.");

    lesson.step("Do the claims hold?");
    lesson.claim_at_least("ways in which byte-pair encoding cuts the digits 12", static_cast<double>(ways.by_merges.size()), 4);
    lesson.claim_at_most("ways in which Galactica's rules cut them", static_cast<double>(ways.by_rules.size()), 1);
    lesson.claim_at_least("right with <work>", shares.with_work, 0.95);
    lesson.claim_at_most("right when answered directly: chance", shares.direct, 1.4 / choices.task.digits);
}

int main(int argc, char** argv) {
    Options options("gpt/families/galactica", "How Galactica cuts a text, and what its token <work> is good for.", "10 seconds");
    Choices choices;
    options.add("digits", choices.task.digits, "M, the sum is taken modulo it", 2, 20);
    options.add("count", choices.task.count, "N, digits in a question", 2, 30);
    options.add("steps", choices.steps, "steps of training", 1, 100'000);
    options.add("questions", choices.questions, "questions for measuring", 1, 100'000);
    options.add("merges", choices.merges, "merges of the byte-pair encoding", 1, 10'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
