// biogpt.cpp: is a domain better served by a model of its own, or by a general one? Two languages whose best losses are known.
//
//   paper    Luo et al., "BioGPT: Generative Pre-trained Transformer for Biomedical Text Generation and Mining", 2022,
//            arXiv 2210.10341
//   shows    that a model trained on domain text beats a general one there by most of what a perfect general model would lose;
//            and that fine-tuning the general one for a few steps wins back most of it, when there is little domain text
//   symbols  G the general language, D the domain's: half of every row of its table is G's   H entropy rate, nats a letter
//   before   walkthroughs/gpt/gpt.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/families/biogpt.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/toys/markov_chain.h"

struct Choices {
    int letters = 12;
    int length = 16;
    int steps = 500;         // of pre-training
    int few_steps = 30;      // of domain text, where there is little
    int tuning_steps = 200;  // of fine-tuning to answer
    int virtual_tokens = 3;  // of the soft prompt; the paper takes 9
    int batch = 32;
};

static biogpt::Config small_biogpt(const Choices& choices) {
    return {.vocabulary = choices.letters, .width = 32, .depth = 2, .heads = 2, .mlp_width = 128, .positions = choices.length};
}

static std::string readable(const std::vector<int>& ids) {
    std::string line;
    for (const int id : ids) line += static_cast<char>('a' + id);
    return line;
}

static MarkovChain make_domain(const MarkovChain& general, Random& random) {
    const MarkovChain own = make_markov_chain(random, general.symbols());
    Matrix mixed = general.transitions;
    for (int a = 0; a < mixed.rows; ++a)
        for (int b = 0; b < mixed.cols; ++b) mixed(a, b) = 0.5f * general.transitions(a, b) + 0.5f * own.transitions(a, b);
    return markov_chain_of(mixed);
}

// What a perfect model of one language loses on text of another: - sum pi_a P_ab log Q_ab, nats a letter.
static double cross_entropy_of(const MarkovChain& text, const MarkovChain& model) {
    double nats = 0;
    for (int a = 0; a < text.symbols(); ++a)
        for (int b = 0; b < text.symbols(); ++b)
            if (text.transitions(a, b) > 0)
                nats -= static_cast<double>(text.stationary(0, a)) * text.transitions(a, b) * std::log(model.transitions(a, b));
    return nats;
}

static TokenBatch make_texts(const MarkovChain& chain, Random& random, int count, int length) {
    std::vector<int> ids;
    for (int i = 0; i < count; ++i) {
        const std::vector<int> text = sample(chain, random, length);
        ids.insert(ids.end(), text.begin(), text.end());
    }
    return equal_batch(ids, length);
}

// --- the lesson ---

static void step_languages(Lesson& lesson, const MarkovChain& general, const MarkovChain& domain, const Choices& choices) {
    lesson.step("Which texts are there?", "P_D = (P_G + P_own) / 2");
    Random random(3);
    lesson.table({{"general, G", readable(sample(general, random, 2 * choices.length))},
                  {"domain, D", readable(sample(domain, random, 2 * choices.length))}});
    std::vector<std::string> names;
    for (int id = 0; id < choices.letters; ++id) names.push_back(readable({id}));
    lesson.pictures({{"G: letter (down), next (across)", heat_map(general.transitions, lesson.colours, names, names)},
                     {"D", heat_map(domain.transitions, lesson.colours, names, names)}});
    lesson.why(
        "the domain's transition matrix is half the general one: the letters are the same, and half of the transitions follow ",
        "the general language. English and the English of PubMed are related in the same way.");
}

static void step_floors(Lesson& lesson, const MarkovChain& general, const MarkovChain& domain) {
    lesson.step("What is the lowest possible loss?", "- sum_ab pi_a P_ab ln Q_ab");
    lesson.table(
        {{"nats a letter", "on G", "on D"},
         {"perfect model of G", fixed(cross_entropy_of(general, general), 3), fixed(cross_entropy_of(domain, general), 3)},
         {"perfect model of D", fixed(cross_entropy_of(general, domain), 3), fixed(cross_entropy_of(domain, domain), 3)}});
    lesson.why(
        "a perfect general model has the wrong transition probabilities for the domain, and more general text does not help: ",
        fixed(cross_entropy_of(domain, general) - cross_entropy_of(domain, domain), 3), " nats are lost on D.");
}

static void step_embedding(Lesson& lesson, const biogpt::Weights& w, const biogpt::Config& config) {
    lesson.step("What does the model read?", "sqrt(E) token + position", "fairseq's and BioGPT's code");
    const TokenBatch both = make_batch({{0, 1, 2, 3, 4}, {5, 6}}, 0, Side::left);
    lesson.say("Two texts, the second padded on the left: ids 0 1 2 3 4 and _ _ _ 5 6.");
    lesson.code();
    const std::vector<int> rows = position_rows(both, config.position_offset);
    std::string line;
    for (const int row : rows) line += (line.empty() ? "" : " ") + text(row);
    lesson.say("Rows of the position embedding: ", line);
    const biogpt::Steps steps = biogpt::forward(both, w, config);
    double words = 0, positions = 0;  // sums of squares over the tokens of both texts
    for (int row = 0; row < steps.embeddings.rows(); ++row) {
        if (!both.is_token(row / both.length, row % both.length)) continue;
        for (int j = 0; j < config.width; ++j) {
            words += std::pow(steps.embeddings.value()(row, j) - steps.positions.value()(row, j), 2);
            positions += std::pow(steps.positions.value()(row, j), 2);
        }
    }
    lesson.why(
        "the first token of a text reads row 2, padding row 1; row 0 is never used. Both tables are drawn alike, but only ",
        "token embeddings are multiplied by sqrt(", config.width, ") = ", fixed(std::sqrt(config.width), 1),
        ": in these texts a token embedding is ", fixed(std::sqrt(words / positions), 1),
        " times as long as its position embedding. Without the factor the output matrix, which is the same table, would "
        "have to be large instead.");
}

namespace {
struct ReadTexts : Objective {
    const biogpt::Weights& w;
    const biogpt::Config& config;
    const MarkovChain& chain;
    const Choices& choices;
    Random random;

    ReadTexts(const biogpt::Weights& w, const biogpt::Config& config, const MarkovChain& chain, const Choices& choices, int seed)
        : w(w), config(config), chain(chain), choices(choices), random(seed) {}

    Var loss(int) override {
        const TokenBatch batch = make_texts(chain, random, choices.batch, choices.length);
        return biogpt::loss(biogpt::forward(batch, w, config), batch);
    }
};
}  // namespace

static std::vector<float> train_on(const MarkovChain& chain, const biogpt::Weights& w, const biogpt::Config& config,
                                   const Choices& choices, int steps, int seed, const char* what) {
    ReadTexts objective(w, config, chain, choices, seed);
    ShowProgress progress(what, steps);
    const Recipe recipe{
        .schedule = {.peak = 3e-3f, .warm_up = std::min(20, steps), .steps = steps, .descent = Descent::linear, .floor = 0.05f},
        .batch = choices.batch,
        .weight_decay = 0};
    return train(objective, nothing_decays(variables(biogpt::parameters(w, config))), recipe, &progress);
}

// Mean loss on texts that no model has seen.
static double loss_on(const MarkovChain& chain, const biogpt::Weights& w, const biogpt::Config& config, const Choices& choices) {
    const NoTape no_tape;
    Random random(4711);
    const TokenBatch batch = make_texts(chain, random, 600, choices.length);
    return biogpt::loss(biogpt::forward(batch, w, config), batch).value()(0, 0);
}

static biogpt::Weights fresh(const biogpt::Config& config, int seed) {
    Random random(seed);
    return biogpt::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.1f});
}

namespace {
struct Measured {
    double general_on_g = 0, general_on_d = 0, domain_on_g = 0, domain_on_d = 0;
    double few_from_scratch = 0, few_from_general = 0;
};

struct Models {
    biogpt::Weights general, domain;
};
}  // namespace

static Models step_train(Lesson& lesson, const MarkovChain& general, const MarkovChain& domain, const biogpt::Config& config,
                         const Choices& choices, int seed, Measured& measured) {
    lesson.step("Which model is better on the domain?", "the same network, the same number of steps, another text");
    const Models models{.general = fresh(config, seed), .domain = fresh(config, seed)};
    lesson.say(count_numbers(biogpt::parameters(models.general, config)), " numbers each; ", choices.steps, " steps of ",
               choices.batch, " texts.");
    train_on(general, models.general, config, choices, choices.steps, seed + 100, "the general model");
    train_on(domain, models.domain, config, choices, choices.steps, seed + 200, "the domain model");
    measured.general_on_g = loss_on(general, models.general, config, choices);
    measured.general_on_d = loss_on(domain, models.general, config, choices);
    measured.domain_on_g = loss_on(general, models.domain, config, choices);
    measured.domain_on_d = loss_on(domain, models.domain, config, choices);
    lesson.predict("What is the loss of the model trained on G on texts of D?", {measured.general_on_d, 0.05});
    lesson.table({{"nats a letter", "on G", "on D"},
                  {"trained on G", fixed(measured.general_on_g, 3), fixed(measured.general_on_d, 3)},
                  {"trained on D", fixed(measured.domain_on_g, 3), fixed(measured.domain_on_d, 3)}});
    lesson.why(
        "each model is close to the minimum on its own language and far from it on the other. On D the domain model wins by ",
        fixed(measured.general_on_d - measured.domain_on_d, 3), " nats: it would give a text of ", choices.length, " letters ",
        "e^", fixed(choices.length * (measured.general_on_d - measured.domain_on_d), 1), " times the probability.");
    return models;
}

static void step_few(Lesson& lesson, const Models& models, const MarkovChain& domain, const biogpt::Config& config,
                     const Choices& choices, int seed, Measured& measured) {
    lesson.step("What if there is little domain text?", text(choices.few_steps) + " steps on D, from two initial models");
    const biogpt::Weights scratch = fresh(config, seed), tuned = fresh(config, seed);
    const Parameters source = biogpt::parameters(models.general, config);
    lesson.code();
    copy_values(source, biogpt::parameters(tuned, config));
    Series from_scratch{.name = "from scratch", .x = {}, .y = {}},
        from_general{.name = "from the general model", .x = {}, .y = {}};
    from_scratch.y = train_on(domain, scratch, config, choices, choices.few_steps, seed + 300, "from scratch");
    from_general.y = train_on(domain, tuned, config, choices, choices.few_steps, seed + 300, "from the general model");
    for (std::size_t step = 0; step < from_scratch.y.size(); ++step)
        for (Series* series : {&from_scratch, &from_general}) series->x.push_back(static_cast<float>(step + 1));
    lesson.curves({from_scratch, from_general}, {"training step", "loss, nats"});
    measured.few_from_scratch = loss_on(domain, scratch, config, choices);
    measured.few_from_general = loss_on(domain, tuned, config, choices);
    lesson.table({{"on D after " + text(choices.few_steps) + " steps", "nats a letter"},
                  {"from scratch", fixed(measured.few_from_scratch, 3)},
                  {"from the general model", fixed(measured.few_from_general, 3)},
                  {"domain model, " + text(choices.steps) + " steps", fixed(measured.domain_on_d, 3)}});
    lesson.why(
        "the general model knows what the languages share and starts with a lower loss. BioGPT had 15 million abstracts, enough ",
        "for pre-training from scratch with its own vocabulary; with less text, fine-tuning a general model is better.");
}

// --- answers ---

namespace {
// A text of the domain with the pair that is to be extracted from it: its first two letters, head and tail.
struct Questions {
    std::vector<std::vector<int>> sources, answers;
};

// The answer to each source follows the soft prompt; the loss is on the answers alone, and trains all weights.
struct AnswerQuestions : Objective {
    const biogpt::Weights& w;
    const biogpt::Config& config;
    const MarkovChain& domain;
    const Choices& choices;
    Random random;

    AnswerQuestions(const biogpt::Weights& w, const biogpt::Config& config, const MarkovChain& domain, const Choices& choices,
                    int seed)
        : w(w), config(config), domain(domain), choices(choices), random(seed) {}

    Var loss(int) override;
};
}  // namespace

static Questions make_questions(const MarkovChain& domain, Random& random, int count) {
    Questions questions;
    for (int i = 0; i < count; ++i) {
        questions.sources.push_back(sample(domain, random, 5 + random.below(4)));
        questions.answers.push_back({questions.sources.back()[0], questions.sources.back()[1]});
    }
    return questions;
}

static std::vector<std::vector<int>> prompts_of(const Questions& questions, const biogpt::Config& config,
                                                const Choices& choices) {
    std::vector<std::vector<int>> prompts;
    for (const std::vector<int>& source : questions.sources)
        prompts.push_back(biogpt::with_soft_prompt(source, choices.virtual_tokens, config));
    return prompts;
}

Var AnswerQuestions::loss(int) {
    const Questions questions = make_questions(domain, random, choices.batch);
    const biogpt::Examples examples = biogpt::make_examples(prompts_of(questions, config, choices), questions.answers);
    return biogpt::loss(biogpt::forward(examples.batch, w, config), examples.labels);
}

// The fraction of answers that are written correctly.
static double right_answers(const biogpt::Weights& w, const biogpt::Config& config, const Choices& choices,
                            const Questions& questions) {
    const TokenBatch prompts = make_batch(prompts_of(questions, config, choices), 0, Side::left);
    const auto written = generate(prompts, w, config, Limits{.new_tokens = 2});
    double right = 0;
    for (std::size_t i = 0; i < written.size(); ++i) right += written[i] == questions.answers[i];
    return right / static_cast<double>(written.size());
}

// A model of its own with the values of `w`: fine-tuning leaves the original as it is.
static biogpt::Weights copy_of(const biogpt::Weights& w, const biogpt::Config& config, int seed) {
    const biogpt::Weights copy = fresh(config, seed);
    copy_values(biogpt::parameters(w, config), biogpt::parameters(copy, config));
    return copy;
}

// How a model learns to answer: a short warm-up, then a linear descent.
static Recipe tuning_recipe(const Choices& choices) {
    return {.schedule = {.peak = 3e-3f,
                         .warm_up = std::min(20, choices.tuning_steps),
                         .steps = choices.tuning_steps,
                         .descent = Descent::linear,
                         .floor = 0.05f},
            .batch = choices.batch};
}

// A row for each question: the text, the right answer and the one that the model writes.
static std::vector<std::vector<std::string>> answer_rows(const biogpt::Weights& w, const biogpt::Config& config,
                                                         const Choices& choices, const Questions& questions) {
    const TokenBatch prompts = make_batch(prompts_of(questions, config, choices), 0, Side::left);
    const auto written = generate(prompts, w, config, Limits{.new_tokens = 2});
    std::vector<std::vector<std::string>> rows{{"text", "head and tail", "written"}};
    for (std::size_t i = 0; i < written.size(); ++i)
        rows.push_back({readable(questions.sources[i]), readable(questions.answers[i]), readable(written[i])});
    return rows;
}

static double step_answer(Lesson& lesson, const Models& models, const MarkovChain& domain, biogpt::Config config,
                          const Choices& choices, int seed) {
    lesson.step("How does a language model extract information?", "source, virtual tokens, answer; loss on the answer alone");
    Random random(seed + 500);
    const biogpt::Weights copy = copy_of(models.domain, config, seed);
    lesson.code();
    const biogpt::Weights tuned = biogpt::add_virtual_tokens(copy, config, choices.virtual_tokens, random);
    const Questions shown = make_questions(domain, random, 2), test = make_questions(domain, random, 400);
    const double before = right_answers(tuned, config, choices, test);
    AnswerQuestions objective(tuned, config, domain, choices, seed + 600);
    {
        ShowProgress progress("learning to answer", choices.tuning_steps);
        train(objective, nothing_decays(variables(biogpt::parameters(tuned, config))), tuning_recipe(choices), &progress);
    }
    const double after = right_answers(tuned, config, choices, test);
    lesson.table(answer_rows(tuned, config, choices, shown));
    lesson.say("Right in ", fixed(before, 3), " of 400 texts before, in ", fixed(after, 3), " after ", choices.tuning_steps,
               " steps.");
    lesson.why(
        "the answer is a generated sentence. The ", choices.virtual_tokens,
        " virtual tokens correspond to no text: they mark the end of the source and the beginning of the answer, and their "
        "embeddings are trained with all other weights.");
    return after;
}

static void step_write(Lesson& lesson, const Models& models, const MarkovChain& domain, const biogpt::Config& config) {
    lesson.step("What does it generate?", "prompts of different lengths in one batch, padded on the left");
    const TokenBatch prompts = make_batch({{0, 1, 2}, {3}}, 0, Side::left);
    const Limits limits{.new_tokens = 10};
    lesson.code();
    const auto written = generate(prompts, models.domain, config, limits);
    const auto alone = generate(make_batch({{3}}), models.domain, config, limits);
    lesson.table({{"prompt", "continuation"},
                  {"abc", readable(written[0])},
                  {"d", readable(written[1])},
                  {"d, alone", readable(alone[0])}});
    int best = 0;
    for (int b = 0; b < domain.symbols(); ++b)
        if (domain.transitions(3, b) > domain.transitions(3, best)) best = b;
    lesson.why(
        "padding is masked and has no position, so the second text is the same as without padding. In D the most probable "
        "letter after d is ",
        readable({best}), ".");
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(6);
    const MarkovChain general = make_markov_chain(random, choices.letters);
    const MarkovChain domain = make_domain(general, random);
    const biogpt::Config config = small_biogpt(choices);
    Measured measured;
    step_languages(lesson, general, domain, choices);
    step_floors(lesson, general, domain);
    step_embedding(lesson, fresh(config, seed), config);
    const Models models = step_train(lesson, general, domain, config, choices, seed, measured);
    step_few(lesson, models, domain, config, choices, seed, measured);
    step_write(lesson, models, domain, config);
    const double answered = step_answer(lesson, models, domain, config, choices, seed);
    lesson.say("Next: gpt/unified/t5 turns every task into text.");

    lesson.step("Do the claims hold?");
    const double lost = cross_entropy_of(domain, general) - cross_entropy_of(domain, domain);
    const double gained = measured.general_on_d - measured.domain_on_d;
    lesson.claim_at_most("domain model above the floor of D, nats", measured.domain_on_d - cross_entropy_of(domain, domain),
                         0.05);
    lesson.claim_at_least("of what a perfect general model loses on D, the fraction that the domain model gains", gained / lost,
                          0.7);
    lesson.claim_at_least("with little text: nats ahead when started from the general model",
                          measured.few_from_scratch - measured.few_from_general, 0.02);
    lesson.claim_at_most("with little text: distance to the domain model, as a fraction of the gap between both models",
                         (measured.few_from_general - measured.domain_on_d) / gained, 0.2);
    lesson.claim_at_least("after a soft prompt, pairs extracted correctly", answered, 0.9);
}

int main(int argc, char** argv) {
    Options options("gpt/families/biogpt",
                    "A general model, a model of one domain, and one that moves from the first to the second.", "10 seconds");
    Choices choices;
    options.add("letters", choices.letters, "letters of both languages", 5, 26);
    options.add("length", choices.length, "letters of a text", 13, 200);
    options.add("steps", choices.steps, "steps of pre-training", 1, 100'000);
    options.add("few-steps", choices.few_steps, "steps on little domain text", 1, 100'000);
    options.add("tuning-steps", choices.tuning_steps, "steps of fine-tuning to answer", 1, 100'000);
    options.add("virtual-tokens", choices.virtual_tokens, "tokens of the soft prompt", 1, 3);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
