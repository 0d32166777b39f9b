// hook.h: read a value in the middle of a forward pass, or replace it.
//
//   shows    that an intervention ("what would the output be if this activation were different?") needs no copy of the model:
//            every named step of every block passes through here
//   use      struct Replace : Hook {                                   // block 1 reads the activations of another run
//                Var at(const StepPlace& step, const Var& value) override {
//                    return step.block == 1 && step.is("input") ? other : value;
//                }
//                Var other;
//            };
//            Replace replace;                                          // while it exists, every forward pass calls it
//            gpt::forward(ids, T, w, config);
//   steps    of a block, in this order: "input", "norm1", "query", "key", "value", "weights", "context", "attention_output",
//            "after_attention", "norm2", "hidden", "mlp_output", "output". Those of a cross-attention have StepPlace::cross set;
//            its norm is "norm_cross", the sum after it "after_cross". With Order::post the norms have no steps of their own:
//            their outputs are "after_attention" and "output"
//            Before the first block: "words", the token embeddings; "embeddings", BERT's sum of embeddings, normalised; "patches"
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

struct StepPlace {
    int block = -1;          // index of the block in its stack; -1 outside of stacks
    bool cross = false;      // inside a cross-attention
    const char* name = "";

    bool is(std::string_view words) const { return words == name; }
};

// While a Hook exists, every named step calls it. Hooks nest: the innermost is called last.
class Hook {
public:
    Hook();
    virtual ~Hook();
    Hook(const Hook&) = delete;

    // Returns the value, or a replacement of the same shape.
    virtual Var at(const StepPlace& step, const Var& value) = 0;

private:
    friend Var named_step(const char*, const Var&);
    Hook* outer;
};

// While it exists, keeps a handle to every step of the forward pass: with a Tape, these have gradients after backward().
class Recording : public Hook {
public:
    Var at(const StepPlace& step, const Var& value) override;

    // The step of a block, or of block -1.   throws std::invalid_argument when there was no such step
    const Var& step(int block, const std::string& name) const;

private:
    std::map<std::pair<int, std::string>, Var> steps;  // steps of cross-attention: "cross query", ...
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

// While it exists, steps belong to a cross-attention.
class InCrossAttention {
public:
    InCrossAttention();
    ~InCrossAttention();
    InCrossAttention(const InCrossAttention&) = delete;
};
