// data2vec.cpp: a model predicts the layers of its own moving average, and learns the masked tokens without them as labels.
//
//   paper    Baevski et al., "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language", 2022,
//            arXiv 2202.03555
//   shows    student and teacher in numbers; that the moving average makes it learn, measured by a probe; and the collapse without
//            it: the targets lose their information while the loss falls
//   symbols  T tokens of a sequence   D width   K layers of the target   tau decay of the average   M masked tokens
//   next     eva.cpp has a fixed teacher, which cannot collapse
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/ridge_probe.h"
#include "nn/training/train.h"
#include "vit/mask_latents/data2vec.h"
#include "vit/mask_pixels/masking.h"
#include "walkthroughs/lesson/lesson.h"

struct Choices {
    int steps = 300;
    int batch = 64;
    double rate = 1e-2;
};

static const int letters = 8, length = 12, masked = 4;
static const int first_letter = 4, mask_token = first_letter + letters;  // after <s>, <pad>, </s>, <unk>

static data2vec::Config toy_config() {
    return {.width = 32,
            .depth = 2,
            .heads = 4,
            .mlp_width = 64,
            .average_layers = 2,
            .head_layers = 1,
            .beta = 0,
            .loss_scale = 0,
            .average = {.start = 0.99, .end = 0.999, .updates = 500},
            .vocabulary = mask_token + 1,
            .positions = length,
            .padding_token = 1,
            .mask_token = mask_token};
}

// Sequences s, s + k, s + 2 k, ... modulo 8, with k of 1, 2, 3: a few tokens determine the others.
struct Batch {
    std::vector<int> text, student;  // B*T
};

static Batch draw_batch(Random& random, int count) {
    Batch batch;
    for (int b = 0; b < count; ++b) {
        const int start = random.below(letters), step = 1 + random.below(3);
        for (int t = 0; t < length; ++t) batch.text.push_back(first_letter + (start + step * t) % letters);
    }
    batch.student = batch.text;
    for (const int row : masked_rows(draw_masks(random, count, length, masked))) batch.student[row] = mask_token;
    return batch;
}

static std::string readable(const std::vector<int>& text) {
    std::string line;
    for (const int token : text) line += token == mask_token ? " ?" : " " + std::to_string(token - first_letter);
    return line;
}

// --- one sequence, step by step ---

static data2vec::TextModelSteps step_1_two_networks(Lesson& lesson, Random& random, const data2vec::Weights& w,
                                                    const data2vec::Config& config) {
    lesson.step("What do student and teacher see?", "student(masked), teacher(whole)", "section 3.3");
    const Batch batch = draw_batch(random, 1);
    lesson.say("The student reads", readable(batch.student), ", the teacher", readable(batch.text), ".");
    const std::vector<int>&masked = batch.student, &whole = batch.text;
    lesson.code();
    const data2vec::TextModelSteps all = data2vec::forward(masked, whole, length, w, config);
    lesson.pictures({{"student's rows", heat_map(all.embedding.rows.value(), lesson.colours)},
                     {"teacher's rows", heat_map(all.teacher_embedding.rows.value(), lesson.colours)}});
    lesson.why(
        "the same network twice. The teacher has weights of its own, an average of the student's, and no gradient reaches it. It "
        "sees everything, so it can know at a masked position what the student has to infer.");
    return all;
}

static void step_2_targets(Lesson& lesson, const data2vec::TextModelSteps& all, const data2vec::Config& config) {
    lesson.step("What is the target?", "mean over K layers of norm(f)", "section 3.3, targets");
    lesson.code();
    const Matrix& targets = all.targets.targets;  // (T, D)
    lesson.matrix("targets", targets, 6);
    lesson.say("The spread of the targets, their standard deviation over the tokens: ", fixed(data2vec::spread(targets), 3), ".");
    lesson.why(
        "f is what the MLP of a layer adds, before residual connection and norm. Each of the ", config.average_layers,
        " layers is normalised by itself, so that none with large numbers dominates the others; then they are averaged. Such a "
        "target is not a function of the token alone: every number depends on the whole sequence.");
}

static void step_3_average(Lesson& lesson, const data2vec::Config& config) {
    lesson.step("How is the teacher updated?", "theta' = tau theta' + (1 - tau) theta");
    Series tau{.name = "tau", .x = {}, .y = {}};
    lesson.code(2);
    for (int update = 0; update <= config.average.updates * 3 / 2; update += 10) {
        const double decay = decay_at(config.average, update);
        tau.x.push_back(static_cast<float>(update));
        tau.y.push_back(static_cast<float>(decay));
    }
    lesson.curves({tau}, {"update", "tau"});
    lesson.why(
        "with tau = ", fixed(config.average.start, 3), " the average reaches back about ",
        fixed(1 / (1 - config.average.start), 0), " updates, with ", fixed(config.average.end, 3), " about ",
        fixed(1 / (1 - config.average.end), 0),
        ". At first the student changes fast and the teacher must follow; later a slowly changing teacher is better. Embeddings "
        "are copied.");
}

// --- training, with and without the moving average ---

namespace {
// A row of the table: a variant after training.
struct Measured {
    int step;
    double loss, probe, target_probe;
};

struct Learner : Objective, Watcher {
    const data2vec::Weights& w;
    const data2vec::Config& config;
    const Choices& choices;
    Random random;
    Batch fit, test;
    Progress progress;
    std::vector<Measured> measured;

    Learner(const std::string& what, const data2vec::Weights& w, const data2vec::Config& config, const Choices& choices, int seed)
        : w(w), config(config), choices(choices), random(seed), progress(what, choices.steps) {
        Random draws(1'000'000 + seed);
        fit = draw_batch(draws, 400);
        test = draw_batch(draws, 300);
        measure(0);
    }

    Var loss(int) override {
        const Batch batch = draw_batch(random, choices.batch);
        return data2vec::mean_loss(data2vec::forward(batch.student, batch.text, length, w, config).steps, config);
    }

    bool after_step(int step, float value) override {
        progress.update(step, value);
        data2vec::update_teacher(w, config, step);
        if ((step + 1) % std::max(1, choices.steps / 5) == 0) measure(step + 1);
        return true;
    }

    // The masked token, predicted by a linear probe of the student's last layer, and of the targets.
    void measure(int step) {
        const NoTape evaluation;
        Matrix features[2], targets[2];
        std::vector<int> labels[2];
        Measured line{.step = step, .loss = 0, .probe = 0, .target_probe = 0};
        for (const int k : {0, 1}) {
            const Batch& batch = k == 0 ? fit : test;
            const data2vec::TextModelSteps all = data2vec::forward(batch.student, batch.text, length, w, config);
            features[k] = gather_rows(all.steps.student.output, all.steps.masked_rows).value();
            for (const int row : all.steps.masked_rows) labels[k].push_back(batch.text[row] - first_letter);
            line.loss = data2vec::mean_loss(all.steps, config).value()(0, 0);
            targets[k] = all.steps.targets;
        }
        line.probe = ridge_probe(features[0], labels[0], features[1], labels[1], letters);
        line.target_probe = ridge_probe(targets[0], labels[0], targets[1], labels[1], letters);
        measured.push_back(line);
    }
};
}  // namespace

static std::vector<Measured> learn(const std::string& what, const data2vec::Config& config, const Choices& choices, int seed) {
    Random random(seed);
    const data2vec::Weights w = data2vec::make_weights(config, random, 0.1f);
    Learner learner(what, w, config, choices, seed);
    const Recipe recipe{.schedule = {.peak = static_cast<float>(choices.rate), .steps = choices.steps, .descent = Descent::none},
                        .batch = choices.batch};
    train(learner, nothing_decays(variables(data2vec::trained_parameters(w, config))), recipe, &learner);
    return learner.measured;
}

static Series series_of(const std::string& name, const std::vector<Measured>& measured, double Measured::*which) {
    Series series{.name = name, .x = {}, .y = {}};
    for (const Measured& line : measured) {
        series.x.push_back(static_cast<float>(line.step));
        series.y.push_back(static_cast<float>(line.*which));
    }
    return series;
}

static void step_4_learn(Lesson& lesson, const Choices& choices, int seed) {
    lesson.step("Does the moving average prevent collapse?", "probe: masked token from the student's last layer");
    const data2vec::Config config = toy_config();
    data2vec::Config itself = config;
    itself.average = {.start = 0, .end = 0, .updates = 0};
    const std::vector<Measured> full = learn("averaged teacher", config, choices, seed);
    const std::vector<Measured> collapsed = learn("tau = 0", itself, choices, seed);
    lesson.say("Can a linear classifier read the masked token off the student? (The model never had a token as label.)");
    lesson.predict("What fraction of the masked tokens can be read off the student with tau = 0?", {collapsed.back().probe, 0.1});
    lesson.curves({series_of("averaged teacher", full, &Measured::probe), series_of("tau = 0", collapsed, &Measured::probe)},
                  {"training step", "fraction of right tokens"});
    lesson.say("Can it read the masked token off the targets, which the teacher computes from the whole sequence?");
    lesson.curves(
        {series_of("averaged teacher", full, &Measured::target_probe), series_of("tau = 0", collapsed, &Measured::target_probe)},
        {"training step", "fraction of right tokens"});
    std::vector<std::vector<std::string>> rows{
        {"step", "averaged: loss", "student", "targets", "tau 0: loss", "student", "targets"}};
    for (std::size_t k = 0; k < full.size(); ++k) {
        std::vector<std::string> row{text(full[k].step)};
        for (const Measured& line : {full[k], collapsed[k]}) {
            row.push_back(fixed(line.loss, 3));
            row.push_back(fixed(line.probe, 2));
            row.push_back(fixed(line.target_probe, 2));
        }
        rows.push_back(row);
    }
    lesson.table(rows);
    const Measured &a = full.back(), &b = collapsed.back();
    lesson.why(
        "with tau = 0 the teacher is the student itself. A target that follows the student at once adapts to it: whatever is "
        "hard to predict, the token above all, disappears from the targets (",
        fixed(collapsed[0].target_probe, 2), " of the tokens could be read off them at first, ", fixed(b.target_probe, 2),
        " at the end), and what remains is easy. That is collapse. The loss does not reveal it: it falls from ",
        fixed(collapsed[0].loss, 2), " to ", fixed(b.loss, 3),
        " all the same. The averaged teacher changes too slowly to follow: its targets keep the tokens (",
        fixed(a.target_probe, 2), "), and the student has to learn them.");
    lesson.predict("both probes of tau = 0 with --rate 0.001 --steps 1000, where the student changes slowly.");
    lesson.claim_at_least("masked tokens read off the student, averaged", a.probe, 0.9);
    lesson.claim_at_most("masked tokens read off the student, averaged, with tau = 0", b.probe, 0.6);
    lesson.claim_at_least("tokens read off the targets, averaged", a.target_probe, 0.95);
    lesson.claim_at_most("tokens read off the targets, averaged, with tau = 0: collapse", b.target_probe, 0.7);
    lesson.claim_at_most("loss with tau = 0, as a fraction of the first", b.loss / collapsed[0].loss, 0.3);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const data2vec::Config config = toy_config();
    Random random(seed);
    const data2vec::Weights w = data2vec::make_weights(config, random, 0.1f);
    const data2vec::TextModelSteps all = step_1_two_networks(lesson, random, w, config);
    step_2_targets(lesson, all, config);
    step_3_average(lesson, config);
    step_4_learn(lesson, choices, seed);
    lesson.say("Next: vit/mask_latents/eva has a fixed teacher, which cannot collapse.");
}

int main(int argc, char** argv) {
    Options options("vit/mask_latents/data2vec", "A model predicts its own moving average.", "8 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps of each variant", 1, 100'000);
    options.add("rate", choices.rate, "learning rate", 0, 1);
    options.add("batch", choices.batch, "sequences in a step", 1, 1000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
