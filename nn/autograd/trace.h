// trace.h: a run as data: every operation in the order in which they ran, with its inputs, value, gradient, formula and line of source.
//
//   use      Tracing tracing;                          // the first backward pass that ends
//            ... forward, backward ...
//            const Trace trace = tracing.trace();
//   note     It keeps what the program computes anyway and copies it when the backward pass is over, before an optimizer changes the
//            weights. While it waits it is a Hook, so attention is computed operation by operation and every operation has a formula.
//            A program without a backward pass: what it computed first, up to 2 million numbers.
//   next     walkthroughs/page/trace_page.h shows it
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nn/autograd/formula.h"
#include "nn/autograd/hook.h"

struct TracedValue {
    std::string operation;         // "matmul"; "parameter" and "constant" for what no operation made
    std::string step = {};         // of the model: "block 1, weights"; "" for most
    Where where = {};              // the line that asked for it
    std::vector<int> inputs = {};  // their numbers in the trace; -1 for an absent input
    Matrix value = {};
    Matrix gradient = {};      // (0, 0) where nothing flowed in
    Explained explained = {};  // value == "" for a leaf, and for an operation that has no formula
};

struct Trace {
    std::vector<TracedValue> values;  // inputs stand before what is computed from them
    int loss = -1;                    // its number; -1 without a backward pass
};

// What the formulas of value number `index` are computed from.
Facts facts_of(const Trace& trace, int index);

// Where a value is read: {number of the reader, which of its inputs}.
std::vector<std::pair<int, int>> readers_of(const Trace& trace, int index);

// The first value that holds a NaN or an infinity, in the order in which they were computed; -1 = all are finite. Minus infinity in
// a constant is not a mistake: masks are made of it.
int first_not_finite(const Trace& trace);

// The first value of which the two traces differ: another operation, another shape, or an element by more than 1e-5 + 1e-4 of its
// size. Equal lengths and no difference: -1.
int first_difference(const Trace& a, const Trace& b);

class Tracing : public Hook, public Observer {
public:
    // number  of the backward pass, from 1; 0: the last one
    explicit Tracing(int number = 1) : wanted(number) {}

    // What was kept; also of an unfinished run.
    Trace trace() const;

    Var at(const StepId& step, const Var& value) override;
    void tape_began() override;
    void made(const Var& result, const std::vector<Var>& inputs) override;
    void walked_back(const Var& loss) override;

private:
    struct Made {
        Var result;
        std::vector<Var> inputs;
    };
    static constexpr std::size_t most_numbers = 2'000'000;  // without a tape

    int wanted, passes = 0;
    bool collecting = true, on_tape = false;
    std::size_t numbers = 0;
    std::vector<Made> run;
    std::vector<std::pair<Var, std::string>> steps;
    Trace kept;

    Trace copied(const Var& loss) const;
};
