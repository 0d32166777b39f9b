// variable.h: a value that remembers how it was computed, so that the chain rule can be walked backwards.
//
//   shows    that "automatic differentiation" is a list: operations are written down in the order in which they ran,
//            and backward() reads the list from its end
//   use      {
//                Tape tape;                           // from here on operations are written down
//                const Var loss = mean(square(subtract(linear(x, w), y)));
//                backward(loss);                      // every trained input now holds d loss / d input in gradient()
//            }                                        // without a Tape the same functions only compute
//   note     An operation is written down only where it matters: a Tape is running and at least one input wants a gradient.
//   next     operations.h
#pragma once
#include <source_location>
#include <vector>

#include "nn/base/matrix.h"
#include "nn/base/require.h"

struct Record;
struct Explained;  // formula.h
class Var;

// What an operation can do beside its forward.
//   backward  gets the record of the result; must add to the inputs' gradients with add_gradient()
//   explain   how each element follows from the inputs, for traces (formula.h); nullptr: not told
struct Rules {
    void (*backward)(Record&) = nullptr;
    Explained (*explain)(const Record&, const std::vector<Var>& inputs) = nullptr;

    Rules(void (*backward)(Record&)) : backward(backward) {}
    Rules(void (*backward)(Record&), Explained (*explain)(const Record&, const std::vector<Var>&))
        : backward(backward), explain(explain) {}
};

// A handle to a value. Copying the handle copies no numbers: both handles mean the same value and the same gradient.
class Var {
public:
    Var() = default;                  // no value at all: an absent bias, a part that a model does not have
    Var(Matrix value);                // a constant: no gradient flows into it
    Var(const Var& other) noexcept;
    Var(Var&& other) noexcept;
    Var& operator=(Var other) noexcept;
    ~Var();

    explicit operator bool() const { return record != nullptr; }

    const Matrix& value() const&;
    Matrix& value() &;                // for an optimizer or a loader; results of operations are not meant to be changed
    Matrix value() &&;                // of a temporary, as in softmax_rows(s).value(): the numbers themselves, since it will be gone
    int rows() const { return value().rows; }
    int cols() const { return value().cols; }

    // d loss / d this, the sum over everything that has flowed here since zero_gradient(); (0, 0) while nothing has.
    const Matrix& gradient() const;
    Matrix& gradient();
    void zero_gradient();
    bool wants_gradient() const;

    Record* operator->() const { return record; }
    bool same_as(const Var& other) const { return record == other.record; }

private:
    friend struct Record;
    explicit Var(Record* record);
    Record* record = nullptr;

    friend Var parameter(Matrix);
    friend Var record_operation(Record*, const char*, Matrix, std::vector<Var>, Rules, Where);
};

// A value that is trained: gradients flow into it.
Var parameter(Matrix value);

// What is known of one value: the numbers, and the operation that made them.
// An operation that must keep more for its backward derives from it.
struct Record {
    Matrix value;
    Matrix gradient;                        // (0, 0) until something flows in, then the shape of value
    const char* operation = "constant";     // "parameter", "matmul", "softmax_rows", ...
    std::vector<Var> inputs;                // empty unless written down
    void (*backward)(Record&) = nullptr;    // adds gradient's share to every input; nullptr unless written down
    Explained (*explain)(const Record&, const std::vector<Var>& inputs) = nullptr;  // formula.h
    Where where;                            // the line that asked for it
    bool wants_gradient = false;
    int handles = 0;                        // how many Vars mean this record; the last one deletes it

    Record() = default;
    Record(const Record&) = delete;
    virtual ~Record() = default;
};

// While one lives, operations are written down in it. Tapes nest: the youngest is the one written to.
class Tape {
public:
    Tape();
    ~Tape();  // forgets what was written down; the storage serves the next step
    Tape(const Tape&) = delete;

    std::vector<Var> operations;  // in the order in which they ran

private:
    Tape* outer;
};

// While one lives, nothing is written down: evaluation, and the parts of a model that stay frozen (a teacher, a reference).
class NoTape {
public:
    NoTape();
    ~NoTape();
    NoTape(const NoTape&) = delete;

private:
    Tape* outer;
};

// While one lives, forward passes keep every named step (attention weights, what each block computed) although no Tape runs. Without
// either, a step is given back as soon as the next one is computed, so that evaluation needs little memory. Tests, lessons and
// whoever looks inside a model ask for it here, and nowhere else:
//     const KeepSteps keep;
//     const vit::Steps steps = vit::forward(images, w, config);  // steps.encoder.blocks[3].attention.weights is there
class KeepSteps {
public:
    KeepSteps();
    ~KeepSteps();
    KeepSteps(const KeepSteps&) = delete;
};
bool steps_are_kept();  // a KeepSteps lives, or a Tape runs

// While one lives it is told of what is computed; for traces (trace.h).
class Observer {
public:
    Observer();
    virtual ~Observer();
    Observer(const Observer&) = delete;

    virtual void tape_began() = 0;
    virtual void made(const Var& result, const std::vector<Var>& inputs) = 0;  // every operation, whether it is recorded or not
    virtual void walked_back(const Var& loss) = 0;                              // a backward pass is over

private:
    Observer* outer;
};

// While on, the first operation whose result holds a NaN or an infinity throws, forwards and backwards; --trap-nan of every program
// turns it on. Off at first; it costs a pass over every result.
//   throws  (from then on, in place of the operation) std::runtime_error with the line that asked for the operation, its name, how
//           many of its numbers are not finite, where the first one stands, and which input held one already: then the operation
//           is innocent, and a weight or the data are not
void trap_nan(bool on);
bool nan_is_trapped();

// Walks the tape from its end and lets every operation hand its gradient on to its inputs. Each operation is forgotten once
// it has done so, unless somebody still holds its Var: what it held serves the operations before it.
//   loss    (1, 1), made on the running tape
//   throws  std::invalid_argument when loss has another shape, or nothing was written down for it
void backward(const Var& loss, Where where = Where::current());

// The end of every operation: wraps its result, and writes it down if a tape is running and an input wants a gradient.
//   name      as in the debugger and in the trace
//   rules     the backward, or {backward, explain}
Var record_operation(const char* name, Matrix value, std::vector<Var> inputs, Rules rules, Where where);

// The same for an operation that keeps more than its inputs and its value; owns `kept`.
Var record_operation(Record* kept, const char* name, Matrix value, std::vector<Var> inputs, Rules rules, Where where);

// input.gradient += share; does nothing for an input that wants none.
void add_gradient(Var& input, const Matrix& share);
void add_gradient(Var& input, Matrix&& share);  // keeps the storage of the share where it is the first one

// The matrix to add a gradient to in place (zeros at first), for a backward that would otherwise build a large share only to add it.
Matrix& gradient_to_add_to(Var& input);
