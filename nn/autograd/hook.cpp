#include "nn/autograd/hook.h"

#include <utility>

static thread_local Hook* innermost = nullptr;
static thread_local const char* running_stack = "";
static thread_local int running_block = -1;
static thread_local bool in_cross_attention = false;

std::string StepId::full_name() const {
    const std::string in_stack = *stack == '\0' ? "" : std::string(stack) + " ";
    return in_stack + (cross ? "cross " : "") + name;
}

Hook::Hook() : outer(std::exchange(innermost, this)) {}

Hook::~Hook() { innermost = outer; }

Var Recording::at(const StepId& step, const Var& value) {
    steps.insert_or_assign({step.block, step.full_name()}, value);
    return value;
}

const Var& Recording::step(int block, const std::string& name) const { return step_of(steps, block, name, "Recording"); }

bool hook_lives() { return innermost != nullptr; }

Var named_step(const char* name, const Var& value) {
    if (innermost == nullptr) return value;
    if (name == nullptr)
        fail({"named_step: no name is given for a value ", value ? shape(value.value()) : "that is absent",
              "; hook.h lists the names"});
    const StepId step{.stack = running_stack, .block = running_block, .cross = in_cross_attention, .name = name};
    std::vector<Hook*> hooks;  // the innermost first
    for (Hook* hook = innermost; hook != nullptr; hook = hook->outer) hooks.push_back(hook);
    Var result = value;
    for (auto hook = hooks.rbegin(); hook != hooks.rend(); ++hook) {
        result = (*hook)->at(step, result);
        require(result && same_shape(result.value(), value.value()), "hook: step ", step.full_name(), " of block ", running_block,
                " is ", value.value(), ", it cannot be replaced by ", result ? shape(result.value()) : std::string("nothing"));
    }
    return result;
}

InBlock::InBlock(int block) : before(std::exchange(running_block, block)) {}

InBlock::~InBlock() { running_block = before; }

InStack::InStack(const char* stack) : before(running_stack) {
    require(stack != nullptr, "InStack: no name is given; \"\" is that of a model with one stack");
    running_stack = stack;
}

InStack::~InStack() { running_stack = before; }

InCrossAttention::InCrossAttention() { in_cross_attention = true; }

InCrossAttention::~InCrossAttention() { in_cross_attention = false; }
