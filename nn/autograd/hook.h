// hook.h: look at a value in the middle of a forward pass, or put another in its place.
//
//   shows    that "what would the model have said, had this one number been different?" needs no copy of the model: every named step
//            of every block passes through here
//   use      struct Replace : Hook {                                   // block 1 reads what another run computed
//                Var at(const StepPlace& step, const Var& value) override {
//                    return step.block == 1 && step.is("input") ? other : value;
//                }
//                Var other;
//            };
//            Replace replace;                                          // while it lives, all forward passes ask it
//            gpt::forward(ids, T, w, config);
//   steps    of a block, in this order: "input", "norm1", "query", "key", "value", "weights", "context", "attention_output",
//            "after_attention", "norm2", "hidden", "mlp_output", "output". Those of a cross-attention have StepPlace::cross set;
//            its norm is "norm_cross", the sum after it "after_cross". With Order::post there are no steps for the norms: what they
//            make is "after_attention" and "output"
//            Before the first block: "words", what is looked up for each token; "embeddings", what BERT makes of them, and what an
//            encoder of T5 reads; "patches", what an image is cut into
//   stacks   A model with several stacks of blocks names them (InStack), and the name stands before that of the step: T5 and its
//            relatives have "encoder query" and "decoder cross query", CLIP "image output" and "text output". In a model with one
//            stack, and in the language model of Flamingo, nothing stands before it
//   note     What at() returns flows on, and the gradient goes to it. Weights are never touched. Where no hook lives this costs nothing.
//            While one lives, attention is computed operation by operation, so that its weights are an operation of their own,
//            which can be replaced and has a gradient.
//   next     nn/interpret
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/autograd/variable.h"

struct StepPlace {
    const char* stack = "";  // which stack of a model that has several: "encoder", "decoder", "image", ...
    int block = -1;          // which block of its stack, from 0; -1 outside of blocks
    bool cross = false;      // inside a cross-attention
    const char* name = "";

    std::string full_name() const;  // stack, "cross" and name, as far as there are: "decoder cross query"; "query"
    bool is(std::string_view words) const { return full_name() == words; }
};

// While one lives, named steps ask it. The youngest is asked last.
class Hook {
public:
    Hook();
    virtual ~Hook();
    Hook(const Hook&) = delete;

    // Returns the value, or another of the same shape.
    virtual Var at(const StepPlace& step, const Var& value) = 0;

private:
    friend Var named_step(const char*, const Var&);
    Hook* outer;
};

// While it lives it keeps every step of the forward pass, as handles: with a Tape they have gradients after backward().
class Recording : public Hook {
public:
    Var at(const StepPlace& step, const Var& value) override;

    // The step of a block, or of block -1, by its full name.   throws std::invalid_argument when there was none
    const Var& step(int block, const std::string& name) const;
    bool has(int block, const std::string& name) const { return steps.count({block, name}) == 1; }

private:
    std::map<std::pair<int, std::string>, Var> steps;
};

bool hook_lives();

// A step of a forward pass: the value itself, or what the hooks that live make of it.
//   throws  std::invalid_argument when a hook returns another shape
Var named_step(const char* name, const Var& value);

// While it lives, steps belong to this block of a stack.
class InBlock {
public:
    explicit InBlock(int block);
    ~InBlock();
    InBlock(const InBlock&) = delete;

private:
    int before;
};

// While it lives, steps belong to this stack of a model that has several.
class InStack {
public:
    explicit InStack(const char* stack);
    ~InStack();
    InStack(const InStack&) = delete;

private:
    const char* before;
};

// While it lives, steps belong to a cross-attention.
class InCrossAttention {
public:
    InCrossAttention();
    ~InCrossAttention();
    InCrossAttention(const InCrossAttention&) = delete;
};
