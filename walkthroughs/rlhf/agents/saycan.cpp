// saycan.cpp: the lesson on SayCan: a language model scores which skill is useful, affordances score which is feasible.
//
//   paper    Ahn et al., "Do As I Can, Not As I Say", 2022, arXiv 2204.01691
//   shows    the scores say, can and their product at every step of a plan, and what each factor alone would choose
//   world    a kitchen with one drink (cola or water) and one tool (sponge or towel), which differ from day to day
//   before   walkthroughs/gpt/gpt.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/base/random.h"
#include "nn/text/batch.h"
#include "nn/training/train.h"
#include "rlhf/agents/saycan.h"
#include "walkthroughs/lesson/lesson.h"

namespace {

struct Choices {
    int steps = 150;
    int days = 200;
    int trials = 2000;
};

// --- the kitchen ---

const std::vector<std::string> things{"cola", "water", "sponge", "towel"};  // drinks are 0 and 1, tools 2 and 3
const std::vector<std::string> skill_names{"find cola",  "find water",  "find sponge", "find towel", "pick cola",
                                           "pick water", "pick sponge", "pick towel",  "bring it",   "done"};
constexpr int bring = 8, done = 9, skills_count = 10;
constexpr int drink_task = 10, clean_task = 11, tokens_count = 12;  // after the skills, which are one token each

// A state: the drink and the tool that are there, the object beside the robot, in its hand, and brought last; 4 = nothing.
struct Kitchen {
    int drink = 0, tool = 2, beside = 4, hand = 4, brought = 4;

    bool holds(int thing) const { return thing == drink || thing == tool; }
    int number() const { return (((drink * 2 + (tool - 2)) * 5 + beside) * 5 + hand) * 5 + brought; }
};
constexpr int states_count = 2 * 2 * 5 * 5 * 5;

Kitchen kitchen_of(int number) {
    Kitchen k;
    k.brought = number % 5;
    k.hand = number / 5 % 5;
    k.beside = number / 25 % 5;
    k.tool = 2 + number / 125 % 2;
    k.drink = number / 250;
    return k;
}

// Success probability of a skill.
float success(const Kitchen& k, int skill) {
    const int thing = skill % 4;
    if (skill < 4) return k.holds(thing) && k.hand == 4 ? 0.9f : 0;
    if (skill < 8) return k.beside == thing && k.hand == 4 ? 0.9f : 0.05f;
    if (skill == bring) return k.hand < 4 ? 0.9f : 0;
    return 0.2f;  // "done" has a small constant: with 1 the robot would stop at once, with 0 never
}

// The state after a skill; unchanged where it is not feasible.
Kitchen after(Kitchen k, int skill) {
    const int thing = skill % 4;
    if (skill < 4 && k.holds(thing) && k.hand == 4) {
        k.beside = thing;
    } else if (skill >= 4 && skill < 8 && k.beside == thing && k.hand == 4) {
        k.hand = thing;
    } else if (skill == bring && k.hand < 4) {
        k.brought = k.hand;
        k.hand = 4;
    }
    return k;
}

saycan::World true_world() {
    saycan::World world{.affordance = Matrix(states_count, skills_count), .next_state = {}};
    for (int s = 0; s < states_count; ++s)
        for (int k = 0; k < skills_count; ++k) {
            world.affordance(s, k) = success(kitchen_of(s), k);
            world.next_state.push_back(after(kitchen_of(s), k).number());
        }
    return world;
}

saycan::Skills skills() {
    saycan::Skills skills{.tokens = {}, .done = done};
    for (int k = 0; k < skills_count; ++k) skills.tokens.push_back({k});
    return skills;
}

// --- the language model ---

const gpt::Config speaker_config{
    .vocabulary = tokens_count, .positions = 8, .width = 32, .depth = 2, .heads = 4, .mlp_width = 128};

// Human plans: "drink: find X, pick X, bring it, done". Cola is more frequent than water, the sponge more frequent than the towel.
struct HumanPlans : Objective {
    const gpt::Weights& w;
    int batch;
    Random& random;
    HumanPlans(const gpt::Weights& w, int batch, Random& random) : w(w), batch(batch), random(random) {}

    Var loss(int) override {
        std::vector<int> ids;
        for (int b = 0; b < batch; ++b) {
            const bool drink = random.uniform() < 0.5f;
            const int thing = (drink ? 0 : 2) + (random.uniform() < 0.65f ? 0 : 1);
            for (const int token : {drink ? drink_task : clean_task, thing, 4 + thing, bring, done}) ids.push_back(token);
        }
        return gpt::loss(gpt::forward(ids, 5, w, speaker_config), next_tokens(ids, 5));
    }
};

gpt::Weights train_speaker(const Choices& choices, Random& random) {
    const gpt::Weights w = gpt::make_weights(speaker_config, random, {.stddev = 0.1f, .embedding_stddev = 0.3f});
    HumanPlans plans(w, 32, random);
    ShowProgress progress("training the language model", choices.steps);
    train(plans, weights_decay(gpt::parameters(w, speaker_config)),
          {.schedule = {.peak = 3e-3f, .steps = choices.steps, .descent = Descent::none}, .batch = 32}, &progress);
    return w;
}

// --- the lesson ---

struct Robot {
    const gpt::Weights& w;
    saycan::World world;  // learned affordances, true transitions

    saycan::Plan plan(int task, const Kitchen& kitchen, saycan::Choice choice = saycan::Choice::combined) const {
        return saycan::make_plan({task}, kitchen.number(), skills(), world, w, speaker_config, 6, choice);
    }
};

void show_step(Lesson& lesson, const saycan::StepOfPlan& step, int number) {
    std::vector<std::vector<std::string>> rows{{"step " + text(number), "say", "can", "say x can", ""}};
    for (int k = 0; k < skills_count; ++k) {
        std::string mark = k == step.chosen ? "<- chosen" : "";
        if (k == step.would_say && k != step.chosen) mark = "language model's choice";
        rows.push_back({skill_names[k], fixed(step.say[k], 3), fixed(step.can[k], 2), fixed(step.combined[k], 4), mark});
    }
    lesson.table(rows);
}

void step_messages(Lesson& lesson, const Robot& robot) {
    lesson.step("How is a skill chosen?", "chosen = argmax_k p_say(k) p_can(k)", "section 3");
    lesson.say(
        "A user asks for a drink. Today there is water, but no cola. The language model was trained on many plans, but has no information about this room.");
    lesson.code();
    const saycan::Plan plan = robot.plan(drink_task, {.drink = 1, .tool = 2});
    show_step(lesson, plan.steps[0], 1);
    lesson.why(
        "the language model alone would look for cola, the most frequent drink. The affordance of finding a thing that is not there is 0, and 0.9 times a smaller number is more than 0 times a larger one.");
    if (plan.steps.size() > 1) show_step(lesson, plan.steps[1], 2);
    std::vector<std::string> story{"you        I would like a drink."};
    for (const saycan::StepOfPlan& step : plan.steps) {
        story.push_back("model      " + skill_names[step.would_say] + "?");
        if (step.would_say != step.chosen) story.push_back("robot      not feasible; instead: " + skill_names[step.chosen] + ".");
        story.push_back("robot      " + skill_names[step.chosen] + (step.chosen == done ? "." : " ... done."));
    }
    lesson.lines(story);
    const saycan::Plan with_cola = robot.plan(drink_task, {.drink = 0, .tool = 2});
    lesson.predict("Which skill is chosen first when there is cola and no water?", {skill_names[with_cola.steps[0].chosen]});
}

// Whether an object of the requested kind was brought.
bool succeeded(const saycan::Plan& plan, int task, const saycan::World& world) {
    if (plan.steps.empty()) return false;
    const saycan::StepOfPlan& last = plan.steps.back();
    const int state =
        plan.stopped_by_done ? last.state : world.next_state[static_cast<std::size_t>(last.state) * skills_count + last.chosen];
    const int brought = kitchen_of(state).brought;
    return task == drink_task ? brought < 2 : brought >= 2 && brought < 4;
}

struct Score {
    double success = 0, steps = 0;
};

Score score(const Robot& robot, saycan::Choice choice, int days, int seed) {
    Random random(seed);
    Score result;
    for (int day = 0; day < days; ++day) {
        const int task = random.below(2) == 0 ? drink_task : clean_task;
        const Kitchen kitchen{.drink = random.below(2), .tool = 2 + random.below(2)};
        const saycan::Plan plan = robot.plan(task, kitchen, choice);
        result.success += succeeded(plan, task, robot.world) / static_cast<double>(days);
        result.steps += static_cast<double>(plan.steps.size()) / days;
    }
    return result;
}

void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    lesson.step("What does the language model know?", "p_say(k) = prod_j p(token_j | context, tokens before)", "Eq. 1");
    lesson.say(
        "A GPT of ", speaker_config.depth,
        " blocks is trained on human plans: drink, find cola, pick cola, bring it, done. 65 % of the drinks are cola, 65 % of the tools the sponge. It learns what is usual, and nothing about today's room.");
    lesson.code();
    const gpt::Weights w = train_speaker(choices, random);
    const std::vector<double> first = saycan::log_probabilities({drink_task}, skills(), w, speaker_config);
    lesson.say("After \"drink:\" it predicts \"", skill_names[0], "\" with probability ", fixed(std::exp(first[0]), 2), " and \"",
               skill_names[1], "\" with ", fixed(std::exp(first[1]), 2), ".");

    lesson.step("What can the robot do?", "V(s, k) <- V(s, k) + rate (reward - V(s, k))", "section 4");
    Robot robot{w, true_world()};
    lesson.code();
    const Matrix learned = saycan::learned_affordances(robot.world.affordance, choices.trials, 0.01f, random);
    double largest = 0;
    for (std::size_t k = 0; k < learned.size(); ++k)
        largest = std::max<double>(largest, std::abs(learned[k] - robot.world.affordance[k]));
    lesson.say("In each of ", states_count, " states it tried each of ", skills_count, " skills ", choices.trials,
               " times, with reward 1 for success. The learned affordances differ from the true probabilities by at most ",
               fixed(largest, 2), ".");
    for (int s = 0; s < states_count; ++s)
        for (int k = 0; k < done; ++k) robot.world.affordance(s, k) = learned(s, k);  // "done" is not tried

    step_messages(lesson, robot);

    lesson.step("What does each factor alone achieve?", "argmax p_say,  argmax p_can,  argmax of the product");
    lesson.say(choices.days, " days with a random task, drink or cleaning, a random drink and tool, and at most 6 skills:");
    const Score both = score(robot, saycan::Choice::combined, choices.days, seed + 1);
    const Score say = score(robot, saycan::Choice::say, choices.days, seed + 1);
    const Score can = score(robot, saycan::Choice::can, choices.days, seed + 1);
    lesson.predict("On what fraction of the days does the language model alone succeed?", {say.success, 0.1});
    lesson.table({{"choice by", "success rate", "skills per day"},
                  {"the language model alone", fixed(say.success, 3), fixed(say.steps, 1)},
                  {"the affordances alone", fixed(can.success, 3), fixed(can.steps, 1)},
                  {"SayCan", fixed(both.success, 3), fixed(both.steps, 1)}});
    lesson.why(
        "the language model asks for the usual thing whether or not it is there, and succeeds on days when it is. The affordances alone ignore the task and repeat whatever is most feasible. Next: rlhf/agents/socratic.");
    lesson.claim_at_least("SayCan: success rate", both.success, 0.99);
    lesson.claim_at_most("the language model alone: success rate", say.success, 0.7);
    lesson.claim_at_most("the affordances alone: success rate", can.success, 0.45);
}

}  // namespace

int main(int argc, char** argv) {
    Choices choices;
    Options options("rlhf/agents/saycan", "SayCan: usefulness by a language model times feasibility by affordances gives a plan.",
                    "5 seconds");
    options.add("steps", choices.steps, "training steps of the language model", 1, 10'000);
    options.add("days", choices.days, "number of plans", 1, 100'000);
    options.add("trials", choices.trials, "trials of each skill in each state", 1, 1'000'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
