// gato.cpp: one network with one set of weights moves a joystick, continues rows of numbers and looks at images.
//
//   paper    Reed et al., "A Generalist Agent", 2022, arXiv 2205.06175
//   shows    that three tasks with nothing in common become one stream of tokens and one loss, and are learned side by side
//   symbols  x a number that is observed   u an action in [-1, 1]   n bins
//   before   walkthroughs/gpt/gpt.cpp, walkthroughs/vit/patch_embedding.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/unified/gato.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/lesson.h"

struct Choices {
    int steps = 500;
    int episodes = 8;  // of each task in a batch
    int moves = 5;     // of the joystick in an episode
    int numbers = 8;   // in a row
};

static const float longest_move = 0.3f;

static gato::Config small_gato() {
    return {.text_tokens = 12,
            .continuous_tokens = 64,
            .discrete_tokens = 4,
            .width = 32,
            .depth = 2,
            .heads = 2,
            .mlp_width = 128,
            .patch_size = 4,
            .channels = 3,
            .residual_channels = 8,
            .groups = 4,
            .patch_positions = 16,
            .observation_positions = 16};
}

// --- three tasks ---

static float expert_move(float position, float goal) { return std::clamp(goal - position, -longest_move, longest_move); }

// A joystick moves a point on a line to a goal: observed are both, the action is the next move.
static gato::Episode reach(const Choices& choices, float position, float goal) {
    gato::Episode episode{.continuous_observations = Matrix(choices.moves, 2), .continuous_actions = Matrix(choices.moves, 1)};
    for (int t = 0; t < choices.moves; ++t) {
        episode.continuous_observations(t, 0) = position;
        episode.continuous_observations(t, 1) = goal;
        episode.continuous_actions(t, 0) = expert_move(position, goal);
        position += expert_move(position, goal);
    }
    return episode;
}

// Text: a, a + k, a + 2k, ... modulo 12.
static gato::Episode count(const Choices& choices, int first, int step) {
    std::vector<int> numbers;
    for (int i = 0; i < choices.numbers; ++i) numbers.push_back((first + i * step) % 12);
    return {.text = {numbers}};
}

// An image of 8 x 8 pixels, one quarter of it bright; the action is the number of the quarter.
static gato::Episode look(int quarter, Random& random) {
    Image image(8, 8, 3);
    for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x) {
            const bool bright = y / 4 * 2 + x / 4 == quarter;
            for (int c = 0; c < 3; ++c) image(y, x, c) = (bright ? 0.6f : 0.1f) + 0.3f * random.uniform();
        }
    return {.images = {image}, .discrete_actions = {{quarter}}};
}

// The episodes of a batch: first those of reach, then count, then look.
static std::vector<gato::Episode> make_episodes(const Choices& choices, Random& random, int of_each) {
    std::vector<gato::Episode> episodes;
    for (int i = 0; i < of_each; ++i) episodes.push_back(reach(choices, random.uniform(-1, 1), random.uniform(-1, 1)));
    for (int i = 0; i < of_each; ++i) episodes.push_back(count(choices, random.below(12), 1 + random.below(3)));
    for (int i = 0; i < of_each; ++i) episodes.push_back(look(random.below(4), random));
    return episodes;
}

// --- measurements of each task ---

namespace {
struct Skill {
    double reach_error = 0;  // mean distance of the likeliest move from the expert's
    double counted = 0;      // fraction of right numbers, from the third on: the first two determine the rest
    double seen = 0;         // fraction of right quarters
};
}  // namespace

// The most probable token of a row.
static int likeliest(const Matrix& logits, int row) {
    return static_cast<int>(std::max_element(logits.row(row), logits.row(row) + logits.cols) - logits.row(row));
}

// A token as a move; a token that is not a bin counts as a move of 0.
static float move_of(int token, const gato::Config& config) {
    const bool is_bin = token >= config.first_continuous() && token < config.first_discrete();
    return is_bin ? gato::action_of_token(token, config) : 0.0f;
}

// The model's answers after the expert's own observations and earlier actions (teacher forcing).
static Skill measure(const gato::Weights& w, const gato::Config& config, const std::vector<gato::Episode>& episodes) {
    const NoTape no_tape;
    const gato::Steps steps = gato::forward(episodes, w, config);
    const int L = steps.batch.length, of_each = static_cast<int>(episodes.size()) / 3;
    Skill skill;
    int moves = 0, numbers = 0;
    for (int b = 0; b < 3 * of_each; ++b) {
        int seen_labels = 0;
        for (int t = 0; t < L; ++t) {
            const int row = b * L + t, label = steps.labels[row];
            if (label == ignored_label) continue;
            const int answer = likeliest(steps.logits.value(), row);
            if (b < of_each) {
                skill.reach_error += std::abs(move_of(answer, config) -
                                              episodes[b].continuous_actions(moves++ % episodes[b].continuous_actions.rows, 0));
            } else if (b < 2 * of_each) {
                // The first number is predicted by nothing, or by padding: labels begin with the second.
                if (seen_labels++ > 0) skill.counted += answer == label, ++numbers;
            } else {
                skill.seen += answer == label;
            }
        }
    }
    return {skill.reach_error / moves, skill.counted / numbers, skill.seen / of_each};
}

// --- the lesson ---

static std::string name_of(const gato::Token& token, const gato::Config& config) {
    if (token.kind == gato::Kind::patch) return "patch";
    if (token.kind == gato::Kind::separator) return "|";
    if (token.id < config.first_continuous()) return "text " + text(token.id);
    if (token.id < config.first_discrete()) return "bin " + text(token.id - config.first_continuous());
    return "value " + text(token.id - config.first_discrete());
}

static std::string stream_of(const gato::Episode& episode, const gato::Config& config, bool targets) {
    std::string line;
    for (const gato::Token& token : gato::tokens_of(episode, config)) {
        const std::string name = name_of(token, config);
        line += (line.empty() ? "" : "  ") + (targets ? std::string(name.size(), token.is_target ? '^' : ' ') : name);
    }
    return line.substr(0, std::min<std::size_t>(68, line.find_last_not_of(' ') + 1));
}

static void step_streams(Lesson& lesson, const gato::Config& config, const Choices& choices) {
    lesson.step("How does everything become a token?", "[patches, text, numbers] | [actions], and again", "section 2.1");
    Random random(5);
    for (const auto& [words, episode] : std::vector<std::pair<std::string, gato::Episode>>{
             {"Joystick: position and goal are observed, a move is the action.", reach(choices, -0.4f, 0.5f)},
             {"Numbers: a text.", count(choices, 3, 2)},
             {"Image: four patches are observed, the bright quarter is the action.", look(2, random)}}) {
        lesson.say(words);
        lesson.lines({stream_of(episode, config, false), stream_of(episode, config, true)});
    }
    lesson.why(
        "^ marks what is predicted: text and actions. Observations come from the world, not from the agent; a loss on them would spend capacity on predicting where the goal will be. The separator | is the row that predicts the first action.");
}

static void step_numbers(Lesson& lesson, const gato::Config& config) {
    lesson.step("How does a number become a token?", "F(x) = sign(x) ln(mu |x| + 1) / ln(mu M + 1)", "appendix B");
    std::vector<std::vector<std::string>> rows{{"x", "F(x)", "bin if observed", "bin if an action", "centre of it"}};
    lesson.code(3);
    for (const float x : {-100.f, -1.f, -0.1f, -0.01f, 0.f, 0.01f, 0.1f, 1.f, 100.f}) {
        const int observed = gato::bin_of(gato::mu_law(x, config), config.continuous_tokens);
        const int action = gato::bin_of(x, config.continuous_tokens);
        rows.push_back({fixed(x, 2), fixed(gato::mu_law(x, config), 3), text(observed), text(action),
                        fixed(gato::centre_of_bin(action, config.continuous_tokens), 3)});
    }
    lesson.table(rows);
    lesson.predict("In which bin is an action of 0.5?", {1.0 * gato::bin_of(0.5f, config.continuous_tokens), 0.5});
    lesson.why(
        "an observation may be of any size, and mu-law resolves small ones and keeps large ones in range. An action lies in [-1, 1] ",
        "already and is cut into ", config.continuous_tokens, " equal bins: no answer can be nearer than ",
        fixed(1.0 / config.continuous_tokens, 3), " to every action.");
}

static void step_image(Lesson& lesson, const gato::Weights& w, const gato::Config& config) {
    lesson.step("How does an image become tokens?", "linear(x + conv(gelu(norm(conv(gelu(x)))))) + row + column");
    Random random(5);
    const gato::Episode episode = look(2, random);
    lesson.code();
    const Var patches = gato::embed_images(episode.images, w, config);  // (4, E)
    lesson.pictures({{"8 x 8 pixels", picture(episode.images[0], lesson.colours)},
                     {"4 tokens of width 32", heat_map(patches.value(), lesson.colours)}});
    std::string rows;
    for (int r = 0; r < 2; ++r) rows += (r > 0 ? ", " : "") + text(gato::patch_position(r, 2, config.patch_positions));
    lesson.why(
        "a patch is refined by two small convolutions, as if it were an image of its own, and then projected. Its row and its ",
        "column are parts of the image, not numbers of patches: of ", config.patch_positions, " positions the two rows take ",
        rows, ", and images of other sizes would share them.");
}

namespace {
struct AllTasks : Objective {
    const gato::Weights& w;
    const gato::Config& config;
    const Choices& choices;
    Random random;

    AllTasks(const gato::Weights& w, const gato::Config& config, const Choices& choices, int seed)
        : w(w), config(config), choices(choices), random(seed) {}

    Var loss(int) override {
        const std::vector<gato::Episode> episodes = make_episodes(choices, random, choices.episodes);
        return gato::loss(gato::forward(episodes, w, config, &random));
    }
};

struct SkillCurves : Watcher {
    const gato::Weights& w;
    const gato::Config& config;
    const std::vector<gato::Episode>& episodes;
    Progress progress;
    int every;
    Series moves{.name = "distance of the move", .x = {}, .y = {}}, counted{.name = "numbers right", .x = {}, .y = {}},
        seen{.name = "quarters right", .x = {}, .y = {}};

    SkillCurves(const gato::Weights& w, const gato::Config& config, const std::vector<gato::Episode>& episodes, int steps)
        : w(w), config(config), episodes(episodes), progress("training", steps), every(std::max(1, steps / 25)) {}

    bool after_step(int step, float loss) override {
        progress.update(step, loss);
        if (step % every != every - 1) return true;
        const Skill skill = measure(w, config, episodes);
        for (Series* series : {&moves, &counted, &seen}) series->x.push_back(static_cast<float>(step + 1));
        moves.y.push_back(static_cast<float>(skill.reach_error));
        counted.y.push_back(static_cast<float>(skill.counted));
        seen.y.push_back(static_cast<float>(skill.seen));
        return true;
    }
};
}  // namespace

static void step_train(Lesson& lesson, const gato::Weights& w, const gato::Config& config, const Choices& choices, int seed) {
    lesson.step("Can one network learn all three?", "loss = mean of -log p(next token), where it is text or an action", "Eq. 2");
    lesson.say(count_numbers(gato::parameters(w, config)), " numbers; ", choices.steps, " steps, each with ", choices.episodes,
               " episodes of every task in one batch.");
    Random random(seed + 100);
    const std::vector<gato::Episode> some = make_episodes(choices, random, 30);
    AllTasks objective(w, config, choices, seed + 200);
    std::vector<Series> curves;
    {
        SkillCurves watcher(w, config, some, choices.steps);
        const Recipe recipe{.schedule = {.peak = 3e-3f,
                                         .warm_up = std::min(20, choices.steps),
                                         .steps = choices.steps,
                                         .descent = Descent::linear,
                                         .floor = 0.05f},
                            .batch = 3 * choices.episodes,
                            .weight_decay = 0};
        train(objective, nothing_decays(variables(gato::parameters(w, config))), recipe, &watcher);
        curves = {watcher.moves, watcher.counted, watcher.seen};
    }
    lesson.curves(curves, {"training step", "distance, or share"});
    lesson.why(
        "no part of the network belongs to a task; which output is required follows from the stream itself. The first number of a row and the step from it to the second cannot be predicted, so the loss does not go to 0.");
}

// An episode with one time step more: what is observed now, and an action that is not known yet.
static gato::Episode longer(const gato::Episode& episode, float position, float goal) {
    const int T = episode.continuous_actions.rows;
    gato::Episode next{.continuous_observations = Matrix(T + 1, 2), .continuous_actions = Matrix(T + 1, 1)};
    std::copy(episode.continuous_observations.begin(), episode.continuous_observations.end(),
              next.continuous_observations.begin());
    std::copy(episode.continuous_actions.begin(), episode.continuous_actions.end(), next.continuous_actions.begin());
    next.continuous_observations(T, 0) = position;
    next.continuous_observations(T, 1) = goal;
    return next;
}

// Lets the model move the joystick: from the second step on it reads the results of its own moves.
//   returns  the distance from the goal at the end, minus the expert's
static double drive(const gato::Weights& w, const gato::Config& config, const Choices& choices, float start, float goal,
                    std::vector<float>& path) {
    float position = start;
    path = {position};
    gato::Episode episode;
    for (int t = 0; t < choices.moves; ++t) {
        episode = longer(episode, position, goal);
        const int token = gato::generate({episode}, gato::Next::action, w, config, {.new_tokens = 1})[0][0];
        episode.continuous_actions(t, 0) = move_of(token, config);
        position += episode.continuous_actions(t, 0);
        path.push_back(position);
    }
    const float reachable = longest_move * static_cast<float>(choices.moves);
    return std::max(0.0f, std::abs(goal - position) - std::max(0.0f, std::abs(goal - start) - reachable));
}

namespace {
struct Interval {
    float low, high;
};
}  // namespace

// The numbers that are observed as the same bin as x, in steps of a thousandth.
static Interval numbers_of_bin(float x, const gato::Config& config) {
    const int bin = gato::token_of_observation(x, config);
    Interval numbers{x, x};
    while (gato::token_of_observation(numbers.low - 0.001f, config) == bin) numbers.low -= 0.001f;
    while (gato::token_of_observation(numbers.high + 0.001f, config) == bin) numbers.high += 0.001f;
    return numbers;
}

static double step_drive(Lesson& lesson, const gato::Weights& w, const gato::Config& config, const Choices& choices) {
    lesson.step("Does it find the goal by itself?", "observations follow from its own moves");
    Series model{.name = "model", .x = {}, .y = {}}, expert{.name = "expert", .x = {}, .y = {}},
        goal{.name = "goal", .x = {}, .y = {}};
    lesson.code();
    drive(w, config, choices, -0.6f, 0.45f, model.y);
    float position = -0.6f;
    for (std::size_t t = 0; t < model.y.size(); ++t) {
        for (Series* series : {&model, &expert, &goal}) series->x.push_back(static_cast<float>(t));
        expert.y.push_back(position);
        goal.y.push_back(0.45f);
        position += expert_move(position, 0.45f);
    }
    lesson.curves({model, expert, goal}, {"move", "position"});
    Random random(8);
    double distance = 0;
    const int drives = 40;
    std::vector<float> path;
    for (int i = 0; i < drives; ++i)
        distance += drive(w, config, choices, random.uniform(-1, 1), random.uniform(-1, 1), path) / drives;
    const int near = gato::token_of_observation(0.45f, config) - config.first_continuous();
    const auto [low, high] = numbers_of_bin(0.45f, config);
    lesson.why(
        "each move is read from the separator; it becomes part of the stream, and the next observation shows where it has led. ",
        "After ", choices.moves, " moves the point is ", fixed(distance, 3),
        " from the nearest point that it could reach (mean of ", drives,
        " drives). Its input is not more exact: all numbers from ", fixed(low, 2), " to ", fixed(high, 2),
        " are observed as bin ", near, ".");
    return distance;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const gato::Config config = small_gato();
    Random random(seed), of_test(seed + 300);
    const gato::Weights w = gato::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.1f});
    const std::vector<gato::Episode> test = make_episodes(choices, of_test, 100);
    const Skill before = measure(w, config, test);

    step_streams(lesson, config, choices);
    step_numbers(lesson, config);
    step_image(lesson, w, config);
    step_train(lesson, w, config, choices, seed);
    const double distance = step_drive(lesson, w, config, choices);
    lesson.say("Next: vit/sequence/unified_io does three image tasks with one vocabulary.");

    lesson.step("Does it hold?");
    const Skill after = measure(w, config, test);
    lesson.table({{"", "before", "after"},
                  {"joystick: mean distance from the expert's move", fixed(before.reach_error, 3), fixed(after.reach_error, 3)},
                  {"numbers: right from the third on", fixed(before.counted, 3), fixed(after.counted, 3)},
                  {"images: right quarter", fixed(before.seen, 3), fixed(after.seen, 3)}});
    lesson.claim_at_most("mean distance from the expert's move", after.reach_error, 0.08);
    lesson.claim_at_least("numbers right", after.counted, 0.95);
    lesson.claim_at_least("quarters right", after.seen, 0.95);
    lesson.claim_at_most("distance from the goal after its own moves", distance, 0.2);
}

int main(int argc, char** argv) {
    Options options("gpt/unified/gato", "One network moves a joystick, continues rows of numbers and looks at images.",
                    "15 seconds");
    Choices choices;
    options.add("steps", choices.steps, "steps of training", 1, 100'000);
    options.add("episodes", choices.episodes, "episodes of each task in a batch", 1, 1000);
    options.add("moves", choices.moves, "moves of the joystick in an episode", 1, 20);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
