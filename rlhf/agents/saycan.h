// saycan.h: SayCan. A language model scores which skill is useful, value functions score which is feasible; the product decides.
//
//   paper    Ahn et al., "Do As I Can, Not As I Say: Grounding Language in Robotic Affordances", 2022, arXiv 2204.01691, section
//            3
//   shows    that a language model can choose without generating, by scoring the description of every skill; and that its scores
//            must be multiplied by the robot's affordances
//   symbols  K skills   S states of the world   P tokens of the context (instruction and history)   L_k tokens of skill k
//            p_say = p(description of k | context)   p_can = p(skill k succeeds | state), its affordance
//   differs  no robot: the world is two tables, so that every number can be inspected
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

// The world: success probabilities and transitions.
struct World {
    Matrix affordance;            // (S, K)  p_can of each state and skill, from 0 to 1
    std::vector<int> next_state;  // S*K     where skill k leads from state s
};

// --- usefulness: the language model ---

// log p_say of every skill, K numbers: the sum, not the mean, over its tokens of log p(token | everything before). A longer
// description is therefore less likely.
//   Computed as one batch of K rows: the context, then a skill, padded on the right.
//   throws  std::invalid_argument when the context or a description is empty, or both together exceed the model's positions
std::vector<double> log_probabilities(const std::vector<int>& context, const Skills& skills, const gpt::Weights& w,
                                      const gpt::Config& config);

// The same numbers with a key/value cache: the context is read once, then only the tokens of each skill.
std::vector<double> log_probabilities_with_cache(const std::vector<int>& context, const Skills& skills, const gpt::Weights& w,
                                                 const gpt::Config& config);

// --- feasibility: affordances ---

// Learns p_can from trials by temporal differences, with reward 1 for success and 0 for failure at the end of a one-step trial:
// V(s, k) <- V(s, k) + rate (reward - V(s, k)), `trials` times for every state and skill.
//   success  (S, K)  the true probabilities
//   throws   std::invalid_argument for a rate outside (0, 1] or fewer than 1 trial
Matrix learned_affordances(const Matrix& success, int trials, float rate, Random& random);

// --- the plan ---

struct StepOfPlan {
    int state = 0;
    std::vector<double> log_say = {};   // K
    std::vector<double> say = {};       // K  exp(log_say)
    std::vector<double> can = {};       // K  affordances of the state
    std::vector<double> combined = {};  // K  say * can
    int chosen = 0;                     // argmax of combined; of equal scores the first
    int would_say = 0;                  // argmax of say: the choice of the language model alone
    int could_do = 0;                   // argmax of can: the choice of the affordances alone
};

struct Plan {
    std::vector<StepOfPlan> steps;
    std::vector<int> context;  // the instruction and the descriptions of all chosen skills except "done"
    bool stopped_by_done = false;
};

// Which score decides: the product, or one of its factors for comparison.
enum class Choice { combined, say, can };

// Chooses and executes skills until "done" or `longest` steps.
//   throws  std::invalid_argument when the tables do not match the skills, or a state does not exist
Plan make_plan(const std::vector<int>& instruction, int start, const Skills& skills, const World& world, const gpt::Weights& w,
               const gpt::Config& config, int longest, Choice choice = Choice::combined);

}  // namespace saycan
