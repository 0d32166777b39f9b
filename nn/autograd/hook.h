// hook.h: read a value in the middle of a forward pass, or replace it.
//
//   shows    that an intervention ("what would the output be if this activation were different?") needs no copy of the model:
//            every named step of every block passes through here
//   use      struct Replace : Hook {                                   // block 1 reads the activations of another run
//                Var at(const StepId& step, const Var& value) override {
//                    return step.block == 1 && step.is("input") ? other : value;
//                }
//                Var other;
//            };
//            Replace replace;                                          // while it exists, every forward pass calls it
//            gpt::forward(ids, T, w, config);
//   steps    of a block, in this order: "input", "norm1", "query", "key", "value", "weights", "context", "attention_output",
//            "after_attention", "norm2", "hidden", "mlp_output", "output". Those of a cross-attention have StepId::cross set;
//            its norm is "norm_cross", the sum after it "after_cross". With Order::post the norms have no steps of their own:
//            their outputs are "after_attention" and "output"
//            Before the first block: "token_embeddings"; "embeddings", BERT's sum of embeddings, normalised, and what an
//            encoder of T5 reads; "patches"
//   stacks   A model with several stacks of blocks names them (InStack), and the name stands before that of the step: T5 and its
//            relatives have "encoder query" and "decoder cross query", CLIP "image output" and "text output". A model with one
//            stack, and the language model of Flamingo, have no such name
//   note     The forward pass continues with the result of at(), and gradients flow to it. Weights are never changed. Without a
//            hook this costs nothing. With one, attention is computed operation by operation, so that its weights can be replaced
//            and have a gradient.
//   next     nn/interpret
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/autograd/variable.h"

struct StepId {
    const char* stack = "";  // of a model that has several: "encoder", "decoder", "image", ...
    int block = -1;          // index of the block in its stack; -1 outside stacks
    bool cross = false;      // inside a cross-attention
    const char* name = "";

    std::string full_name() const;  // stack, "cross" and name, as far as there are: "decoder cross query"; "query"
    bool is(std::string_view words) const { return full_name() == words; }
};

// While a Hook exists, every named step calls it. Hooks nest: the innermost is called last.
class Hook {
public:
    Hook();
    virtual ~Hook();
    Hook(const Hook&) = delete;

    // Returns the value, or a replacement of the same shape.
    virtual Var at(const StepId& step, const Var& value) = 0;

private:
    friend Var named_step(const char*, const Var&);
    Hook* outer;
};

// A step among those kept of a run, by block and full name.
//   throws  std::invalid_argument, which begins with `place` and names the steps that the block has, when it is not there
template <class Value>
const Value& step_of(const std::map<std::pair<int, std::string>, Value>& steps, int block, const std::string& name,
                     const char* place) {
    const auto found = steps.find({block, name});
    if (found != steps.end()) return found->second;
    std::string names;
    for (const auto& [known, value] : steps)
        if (known.first == block) names += (names.empty() ? "" : ", ") + known.second;
    fail({place, ": this run had no step ", name, " in block ", block, ", which has ", names.empty() ? "no steps at all" : names,
          "; blocks are counted from 0, -1 is what comes before them"});
}

// While it exists, keeps a handle to every step of the forward pass: with a Tape, these have gradients after backward().
class Recording : public Hook {
public:
    Var at(const StepId& step, const Var& value) override;

    // The step of a block, or of block -1, by its full name.   throws std::invalid_argument when there was none
    const Var& step(int block, const std::string& name) const;
    bool has(int block, const std::string& name) const { return steps.count({block, name}) == 1; }

private:
    std::map<std::pair<int, std::string>, Var> steps;
};

bool hook_lives();

// A step of a forward pass: the value, or its replacement by a hook.
//   throws  std::invalid_argument when a hook returns another shape
Var named_step(const char* name, const Var& value);

// While it exists, steps belong to this block of a stack.
class InBlock {
public:
    explicit InBlock(int block);
    ~InBlock();
    InBlock(const InBlock&) = delete;

private:
    int before;
};

// While it exists, steps belong to this stack of a model that has several.
class InStack {
public:
    explicit InStack(const char* stack);
    ~InStack();
    InStack(const InStack&) = delete;

private:
    const char* before;
};

// While it exists, steps belong to a cross-attention.
class InCrossAttention {
public:
    InCrossAttention();
    ~InCrossAttention();
    InCrossAttention(const InCrossAttention&) = delete;
};
