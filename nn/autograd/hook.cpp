#include "nn/autograd/hook.h"

#include <utility>

static thread_local Hook* youngest = nullptr;
static thread_local int running_block = -1;
static thread_local bool in_cross_attention = false;

Hook::Hook() : outer(std::exchange(youngest, this)) {}

Hook::~Hook() { youngest = outer; }

Var Recording::at(const StepPlace& step, const Var& value) {
    steps.insert_or_assign({step.block, (step.cross ? "cross " : "") + std::string(step.name)}, value);
    return value;
}

const Var& Recording::step(int block, const std::string& name) const {
    const auto found = steps.find({block, name});
    require(found != steps.end(), "Recording: this run had no step ", name, " in block ", block, " among its ", steps.size(),
            " steps; hook.h lists the names, blocks are counted from 0");
    return found->second;
}

bool hook_lives() { return youngest != nullptr; }

Var named_step(const char* name, const Var& value) {
    if (youngest == nullptr) return value;
    const StepPlace step{.block = running_block, .cross = in_cross_attention, .name = name};
    std::vector<Hook*> hooks;  // the youngest first
    for (Hook* hook = youngest; hook != nullptr; hook = hook->outer) hooks.push_back(hook);
    Var result = value;
    for (auto hook = hooks.rbegin(); hook != hooks.rend(); ++hook) {
        result = (*hook)->at(step, result);
        require(result && same_shape(result.value(), value.value()), "hook: step ", name, " of block ", running_block, " is ", value.value(),
                ", it cannot be replaced by ", result ? shape(result.value()) : std::string("nothing"));
    }
    return result;
}

InBlock::InBlock(int block) : before(std::exchange(running_block, block)) {}

InBlock::~InBlock() { running_block = before; }

InCrossAttention::InCrossAttention() { in_cross_attention = true; }

InCrossAttention::~InCrossAttention() { in_cross_attention = false; }
