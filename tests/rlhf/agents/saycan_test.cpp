#include "rlhf/agents/saycan.h"

#include <cmath>

#include "nn/base/random.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("saycan");

// A tenth of the usual tolerance for log-probabilities: a wrong GELU or eps moves them by less than the usual one.
static const Tolerance tight{1e-6f, 1e-5f};

static gpt::Config config_of_fixture(const Golden& golden) {
    const Safetensors& file = golden.file;
    return {.vocabulary = file.metadata_int("vocab_size"),
            .positions = file.metadata_int("n_positions"),
            .width = file.metadata_int("n_embd"),
            .depth = file.metadata_int("n_layer"),
            .heads = file.metadata_int("n_head"),
            .mlp_width = static_cast<int>(file.tensors.at("weights.transformer.h.0.mlp.c_fc.weight").shape.at(1)),
            .eps = static_cast<float>(file.metadata_double("layer_norm_epsilon")),
            .activation = activation_of_name(file.metadata_text("activation_function"))};
}

static saycan::Skills skills_of_fixture(const Golden& golden) {
    saycan::Skills skills{.tokens = sequences_of(golden, "input.skill_tokens"), .done = golden.file.metadata_int("done_skill")};
    const std::vector<int> lengths = golden.integers("input.skill_lengths");
    for (std::size_t k = 0; k < lengths.size(); ++k) skills.tokens[k].resize(lengths[k]);  // what follows is -1
    return skills;
}

// One row for each step of the plan.
static Matrix rows_of(const saycan::Plan& plan, const std::vector<double> saycan::StepOfPlan::*scores) {
    Matrix m(static_cast<int>(plan.steps.size()), static_cast<int>((plan.steps[0].*scores).size()));
    for (int t = 0; t < m.rows; ++t)
        for (int k = 0; k < m.cols; ++k) m(t, k) = static_cast<float>((plan.steps[t].*scores)[k]);
    return m;
}

TEST_CASE("saycan: scores, choices and states of every step equal the published rule's") {
    for (const std::string& path : golden_files("saycan")) {
        const Golden golden(path);
        CHECK(!golden.flag("length_normalised"));
        const gpt::Config config = config_of_fixture(golden);
        const gpt::Weights w = gpt::empty_weights(config);
        golden.load_weights(gpt::parameters(w, config, "transformer."));
        const saycan::Skills skills = skills_of_fixture(golden);
        const saycan::World world{.affordance = golden.input("affordance"), .next_state = golden.integers("input.next_state")};
        const saycan::Plan plan = saycan::make_plan(golden.integers("input.prompt"), golden.integers("input.start_state").at(0),
                                                    skills, world, w, config, golden.file.metadata_int("max_steps"));
        CHECK(static_cast<int>(plan.steps.size()) == golden.file.metadata_int("steps"));
        CHECK(plan.stopped_by_done == golden.flag("stopped_by_done"));
        std::vector<int> states, chosen, llm_only;
        for (const saycan::StepOfPlan& step : plan.steps) {
            states.push_back(step.state);
            chosen.push_back(step.chosen);
            llm_only.push_back(step.would_say);
        }
        golden.check("llm_logp", rows_of(plan, &saycan::StepOfPlan::log_say), tight);
        golden.check("llm_score", rows_of(plan, &saycan::StepOfPlan::say));
        golden.check("step_affordance", rows_of(plan, &saycan::StepOfPlan::can));
        golden.check("combined", rows_of(plan, &saycan::StepOfPlan::combined));
        golden.check_integers("states", states);
        golden.check_integers("chosen", chosen);
        golden.check_integers("llm_only", llm_only);
        golden.check_integers("final_context", plan.context);
        golden.check_all_used();
    }
}

// --- properties ---

namespace {
struct SayCanCase {
    gpt::Config config{.vocabulary = 9, .positions = 16, .width = 8, .depth = 2, .heads = 2, .mlp_width = 12};
    gpt::Weights w;
    saycan::Skills skills{.tokens = {{1, 2, 3}, {4}, {5, 6}}, .done = 2};
    saycan::World world{.affordance = Matrix{{0.9f, 0.5f, 0.2f}, {0, 0, 1}}, .next_state = {0, 1, 0, 1, 1, 1}};
};
}  // namespace

static SayCanCase small_case() {
    SayCanCase c;
    Random random(1);
    c.w = gpt::make_weights(c.config, random, {.stddev = 0.5f, .embedding_stddev = 0.5f});
    return c;
}

TEST_CASE("log_probabilities: the sum over the tokens of a description, by batch and by cache") {
    const SayCanCase c = small_case();
    const std::vector<double> batch = saycan::log_probabilities({7, 8}, c.skills, c.w, c.config);
    const std::vector<double> cache = saycan::log_probabilities_with_cache({7, 8}, c.skills, c.w, c.config);
    for (int k = 0; k < 3; ++k) CHECK(batch[k] == Approx(cache[k]).epsilon(1e-5));
    // skill 0 alone, without padding beside it; and as a chain of three single tokens
    const saycan::Skills alone{.tokens = {{1, 2, 3}}};
    CHECK(saycan::log_probabilities({7, 8}, alone, c.w, c.config)[0] == Approx(batch[0]).epsilon(1e-5));
    double chain = 0;
    std::vector<int> context{7, 8};
    for (const int token : {1, 2, 3}) {
        chain += saycan::log_probabilities(context, {.tokens = {{token}}}, c.w, c.config)[0];
        context.push_back(token);
    }
    CHECK(chain == Approx(batch[0]).epsilon(1e-5));
}

TEST_CASE("make_plan: done stops the plan and is not added to the history; the other skills are") {
    const SayCanCase c = small_case();
    const saycan::Plan plan =
        saycan::make_plan({7, 8}, 1, c.skills, c.world, c.w, c.config, 4);  // in state 1 only done can be done
    CHECK(plan.stopped_by_done);
    CHECK(plan.steps.size() == 1);
    CHECK(plan.context == std::vector<int>{7, 8});
    const saycan::Plan longer = saycan::make_plan({7, 8}, 0, {.tokens = {{1, 2, 3}, {4}, {5, 6}}}, c.world, c.w, c.config, 1);
    CHECK(!longer.stopped_by_done);
    CHECK(longer.context.size() == 2 + c.skills.tokens[longer.steps[0].chosen].size());
}

TEST_CASE(
    "make_plan: language 0.30 0.45 0.25 times affordance 0.9 0.1 0.2 chooses the first skill; the language model alone, the second") {
    saycan::StepOfPlan step;
    const SayCanCase c = small_case();
    const saycan::Plan plan = saycan::make_plan({7, 8}, 0, c.skills, c.world, c.w, c.config, 1);
    step = plan.steps[0];
    for (int k = 0; k < 3; ++k) CHECK(step.combined[k] == Approx(std::exp(step.log_say[k]) * c.world.affordance(0, k)));
    const saycan::Plan say = saycan::make_plan({7, 8}, 0, c.skills, c.world, c.w, c.config, 1, saycan::Choice::say);
    CHECK(say.steps[0].chosen == step.would_say);
    const saycan::Plan can = saycan::make_plan({7, 8}, 0, c.skills, c.world, c.w, c.config, 1, saycan::Choice::can);
    CHECK(can.steps[0].chosen == 0);
}

TEST_CASE("learned_affordances: approach the true probabilities within sampling error") {
    Random random(1);
    const Matrix truth{{0, 1, 0.9f}, {0.5f, 0.05f, 0.2f}};
    const Matrix V = saycan::learned_affordances(truth, 4000, 0.005f, random);
    // the standard deviation of an average over about 2 / rate trials: sqrt(p (1 - p) rate / 2), at most 0.025
    for (std::size_t k = 0; k < V.size(); ++k) CHECK(std::abs(V[k] - truth[k]) < 0.1f);
    CHECK_THROWS_WITH(saycan::learned_affordances(truth, 0, 0.1f, random),
                      "saycan: 0 trials of each skill, at least 1 is needed");
    CHECK_THROWS_WITH(saycan::learned_affordances(truth, 1, 0, random),
                      "saycan: a learning rate of 0.000000, it must be above 0 and at most 1");
}

TEST_CASE("saycan: inconsistent skills, tables and states throw") {
    const SayCanCase c = small_case();
    CHECK_THROWS_WITH(saycan::log_probabilities({}, c.skills, c.w, c.config),
                      "saycan: a context of 0 tokens and 3 skills, both must be at least 1");
    CHECK_THROWS_WITH(saycan::log_probabilities({1}, {.tokens = {{}}}, c.w, c.config),
                      "saycan: skill 0 of 1 has no token; a description needs at least 1");
    CHECK_THROWS_WITH(
        saycan::log_probabilities(std::vector<int>(14, 1), c.skills, c.w, c.config),
        "saycan: a context of 14 tokens and skill 0 of 3 exceed the 16 positions of the language model; shorten one of them");
    CHECK_THROWS_WITH(saycan::make_plan({1}, 2, c.skills, c.world, c.w, c.config, 1), "saycan: state 2 of 2, counted from 0");
    CHECK_THROWS_WITH(saycan::make_plan({1}, 0, c.skills, {Matrix(2, 2), {0, 0, 0, 0}}, c.w, c.config, 1),
                      "saycan: affordances (2, 2) and 4 next states for 3 skills; each state needs both for each skill");
}

TEST_CASE("saycan: probabilities outside 0 to 1, a plan without steps and skills that do not exist are refused") {
    const SayCanCase c = small_case();
    Random random(1);
    saycan::World world = c.world;
    world.affordance[0] = NAN;
    saycan::Skills skills = c.skills;
    skills.done = 3;
    gpt::Weights broken = c.w;
    broken.token_embedding = broken.output = Matrix(c.w.token_embedding.rows(), c.w.token_embedding.cols(), NAN);
    CHECK_THROWS_WITH(saycan::make_plan({1}, 0, c.skills, world, c.w, c.config, 1),
                      "saycan: an affordance of nan, a probability lies between 0 and 1");
    CHECK_THROWS_WITH(saycan::make_plan({1}, 0, c.skills, c.world, c.w, c.config, 0),
                      "saycan: a plan of at most 0 steps, it must be at least 1");
    CHECK_THROWS_WITH(saycan::make_plan({1}, 0, skills, c.world, c.w, c.config, 1),
                      "saycan: the skill that ends a plan is 3 of 3, counted from 0");
    CHECK_THROWS_WITH(saycan::make_plan({1}, 0, c.skills, c.world, broken, c.config, 1),
                      "saycan: the log-probability of skill 0 is nan, it must be finite; the language model may hold NaN, "
                      "trap_nan(true) names the operation");
    CHECK_THROWS_WITH(saycan::learned_affordances({{1.5f}}, 1, 0.1f, random),
                      "saycan: a chance of success of 1.500000, it must lie between 0 and 1");
    CHECK_THROWS_WITH(saycan::learned_affordances({{0.5f}}, 0, 0.1f, random),
                      "saycan: 0 trials of each skill, at least 1 is needed");
}

TEST_CASE("make_plan, learned_affordances: each argument check fails by itself, the limits are allowed") {
    const SayCanCase c = small_case();
    Random random(1);
    CHECK_THROWS_WITH(saycan::log_probabilities({1}, {}, c.w, c.config),
                      "saycan: a context of 1 tokens and 0 skills, both must be at least 1");
    const int longest = 16 - static_cast<int>(c.skills.tokens[0].size());
    CHECK_NOTHROW(saycan::log_probabilities(std::vector<int>(longest, 1), {.tokens = {c.skills.tokens[0]}}, c.w, c.config));
    const int S = c.world.affordance.rows;
    CHECK_THROWS_WITH(saycan::make_plan({1}, -1, c.skills, c.world, c.w, c.config, 1),
                      ("saycan: state -1 of " + std::to_string(S) + ", counted from 0").c_str());
    saycan::World world = c.world;
    world.next_state.pop_back();
    CHECK(error_of([&] {
              saycan::make_plan({1}, 0, c.skills, world, c.w, c.config, 1);
          }).ends_with(" next states for 3 skills; each state needs both for each skill"));
    for (const int beyond : {-1, S}) {
        world = c.world;
        world.next_state.assign(world.next_state.size(), beyond);
        saycan::Skills endless = c.skills;
        endless.done = -1;  // no skill ends the plan
        CHECK(error_of([&] {
                  saycan::make_plan({1}, 0, endless, world, c.w, c.config, 1);
              }).ends_with(" leads to state " + std::to_string(beyond) + " of " + std::to_string(S) + ", counted from 0"));
    }
    world = c.world;
    for (const float wrong : {-0.5f, 1.5f}) {
        world.affordance[0] = wrong;
        CHECK(error_of([&] { saycan::make_plan({1}, 0, c.skills, world, c.w, c.config, 1); }) ==
              "saycan: an affordance of " + std::to_string(wrong) + ", a probability lies between 0 and 1");
    }
    // a rate of 1 keeps the last trial alone
    const Matrix last = saycan::learned_affordances({{0, 1}}, 1, 1, random);
    CHECK(last[0] == 0);
    CHECK(last[1] == 1);
    CHECK_THROWS_WITH(saycan::learned_affordances({{0.5f}}, 1, 1.5f, random),
                      "saycan: a learning rate of 1.500000, it must be above 0 and at most 1");
    CHECK_THROWS_WITH(saycan::learned_affordances({{-0.5f}}, 1, 1, random),
                      "saycan: a chance of success of -0.500000, it must lie between 0 and 1");
}

TEST_CASE("saycan::Skills: the defaults") {
    const saycan::Skills usual{};
    CHECK(usual.done == -1);
}

TEST_CASE("log_probabilities_with_cache, make_plan: a token outside the vocabulary and a last skill below none are refused") {
    SayCanCase c = small_case();
    const auto with_token = [&](int token) {
        const saycan::Skills skills{.tokens = {{1}, {2, token}}};
        const std::string words = error_of([&] { saycan::log_probabilities_with_cache({7}, skills, c.w, c.config); });
        CHECK(error_of([&] { saycan::log_probabilities({7}, skills, c.w, c.config); }) == words);
        return words;
    };
    CHECK(with_token(0).empty());
    CHECK(with_token(8).empty());
    CHECK(with_token(9) == "saycan: token 9 of skill 1, the language model knows 9, counted from 0");
    CHECK(with_token(-1) == "saycan: token -1 of skill 1, the language model knows 9, counted from 0");
    c.skills.done = -2;
    CHECK(error_of([&] { saycan::make_plan({7}, 0, c.skills, c.world, c.w, c.config, 1); }) ==
          "saycan: the skill that ends a plan is -2 of 3, counted from 0");
}

TEST_SUITE_END();
