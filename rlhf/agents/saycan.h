// saycan.h: SayCan. A language model says what would be useful, value functions say what can be done; the product decides.
//
//   paper    Ahn et al., "Do As I Can, Not As I Say: Grounding Language in Robotic Affordances", 2022, arXiv 2204.01691, section 3
//   shows    that a language model can choose without writing: it scores the description of every skill; and that its advice must be
//            multiplied by what the robot knows of itself
//   symbols  K skills   S states of the world   P tokens of the context (instruction and history)   L_k tokens of skill k
//            p_say = p(description of k | context)   p_can = p(skill k succeeds | state), its affordance
//   differs  the world is two tables, so that every number can be looked at; no robot
//   neighbour  socratic.h joins models by what they say to each other; here two probabilities are multiplied
//   next     saycan.cpp, then its walkthrough
#pragma once
#include <string>
#include <vector>

#include "gpt/gpt.h"

namespace saycan {

struct Skills {
    std::vector<std::vector<int>> tokens;  // K descriptions, each of at least one token
    int done = -1;                         // the skill that ends a plan; -1 = none

    int count() const { return static_cast<int>(tokens.size()); }
};

// Everything about the world: what succeeds, and what it leads to.
struct World {
    Matrix affordance;             // (S, K)  p_can of each state and skill, from 0 to 1
    std::vector<int> next_state;   // S*K     where skill k leads from state s
};

// --- what the language model says ---

// log p_say of every skill, K numbers: the sum over its tokens of log p(token | everything before). Not the mean: a longer description
// is less likely, and the list of skills is written with that in mind.
//   One batch of K rows: the context, then a skill, padded on the right.
//   throws  std::invalid_argument when the context or a description is empty, or both together exceed the model's positions
std::vector<double> log_probabilities(const std::vector<int>& context, const Skills& skills, const gpt::Weights& w,
                                      const gpt::Config& config);

// The same numbers from a cache: the context is read once, and then only the tokens of each skill.
std::vector<double> log_probabilities_with_cache(const std::vector<int>& context, const Skills& skills, const gpt::Weights& w,
                                                 const gpt::Config& config);

// --- what can be done ---

// p_can as the robot learns it by trying: temporal differences with a reward of 1 for success and 0 for failure, after which the
// trial is over: V(s, k) <- V(s, k) + rate (reward - V(s, k)), `trials` of every state and skill.
//   success  (S, K)  the true probabilities
//   draws    uniform numbers come from `random`; success when below the probability
//   throws   std::invalid_argument for a rate outside (0, 1] or fewer than 1 trial
Matrix learned_affordances(const Matrix& success, int trials, float rate, Random& random);

// --- the plan ---

struct StepOfPlan {
    int state = 0;
    std::vector<double> log_say = {};   // K
    std::vector<double> say = {};       // K  exp(log_say)
    std::vector<double> can = {};       // K  affordances of the state
    std::vector<double> combined = {};  // K  say * can
    int chosen = 0;               // argmax of combined, the first of equal ones
    int would_say = 0;            // argmax of say: what the language model alone would do
    int could_do = 0;             // argmax of can: what the affordances alone would do
};

struct Plan {
    std::vector<StepOfPlan> steps;
    std::vector<int> context;     // the instruction and the descriptions of all skills chosen, but "done"
    bool stopped_by_done = false;
};

// Which scores choose: the product, or for comparison one of its factors.
enum class Choice { combined, say, can };

// Chooses, does, and asks again, until "done" or the longest plan.
//   throws  std::invalid_argument when the tables do not fit the skills, or a state is not one
Plan make_plan(const std::vector<int>& instruction, int start, const Skills& skills, const World& world, const gpt::Weights& w,
               const gpt::Config& config, int longest, Choice choice = Choice::combined);

}  // namespace saycan
