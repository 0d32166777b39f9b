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
//            Before the first block: "words", what is looked up for each token; "embeddings", what BERT makes of them;
//            "patches", what a picture is cut into
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
    int block = -1;          // which block of its stack, from 0; -1 outside of stacks
    bool cross = false;      // inside a cross-attention
    const char* name = "";

    bool is(std::string_view words) const { return words == name; }
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

    // The step of a block, or of block -1.   throws std::invalid_argument when there was none
    const Var& step(int block, const std::string& name) const;

private:
    std::map<std::pair<int, std::string>, Var> steps;  // those of cross-attentions as "cross query", ...
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

// While it lives, steps belong to a cross-attention.
class InCrossAttention {
public:
    InCrossAttention();
    ~InCrossAttention();
    InCrossAttention(const InCrossAttention&) = delete;
};
