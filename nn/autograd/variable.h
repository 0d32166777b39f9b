// variable.h: a value that remembers how it was computed, so that the chain rule can be walked backwards.
//
//   shows    that "automatic differentiation" is a list: operations are recorded in the order in which they ran,
//            and backward() reads the list from its end
//   use      {
//                Tape tape;                           // from here on operations are recorded
//                const Var loss = mean(square(subtract(linear(x, w), y)));
//                backward(loss);                      // gradient() of every parameter is now d loss / d parameter
//            }                                        // without a Tape the same functions only compute
//   note     An operation is recorded only if a Tape is running and at least one input requires a gradient.
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
//   explain   how each element follows from the inputs, for traces (formula.h); nullptr: no explanation
struct Rules {
    void (*backward)(Record&) = nullptr;
    Explained (*explain)(const Record&, const std::vector<Var>& inputs) = nullptr;

    Rules(void (*backward)(Record&)) : backward(backward) {}
    Rules(void (*backward)(Record&), Explained (*explain)(const Record&, const std::vector<Var>&))
        : backward(backward), explain(explain) {}
};

// A handle to a value and its gradient. Copies of the handle share both.
class Var {
public:
    Var() = default;    // no value: an absent bias, a part that a model does not have
    Var(Matrix value);  // a constant: no gradient flows into it
    Var(const Var& other) noexcept;
    Var(Var&& other) noexcept;
    Var& operator=(Var other) noexcept;
    ~Var();

    explicit operator bool() const { return record != nullptr; }

    const Matrix& value() const&;
    Matrix& value() &;  // for an optimizer or a loader; do not change the result of an operation
    Matrix value() &&;  // of a temporary, as in softmax_rows(s).value(): moved out, not copied
    int rows() const { return value().rows; }
    int cols() const { return value().cols; }

    // d loss / d this, accumulated since zero_gradient(); (0, 0) before the first contribution.
    const Matrix& gradient() const;
    Matrix& gradient();
    void zero_gradient();
    bool requires_gradient() const;

    Record* operator->() const { return record; }
    bool same_as(const Var& other) const { return record == other.record; }

private:
    friend struct Record;
    explicit Var(Record* record);
    Record* record = nullptr;

    friend Var parameter(Matrix);
    friend Var record_operation(Record*, const char*, Matrix, std::vector<Var>, Rules, Where);
};

// A trainable value: gradients flow into it.
Var parameter(Matrix value);

// A value, its gradient and the operation that computed it. An operation that needs more for its backward derives from it.
struct Record {
    Matrix value;
    Matrix gradient;                      // (0, 0) until a gradient flows in, then the shape of value
    const char* operation = "constant";   // "parameter", "matmul", "softmax_rows", ...
    std::vector<Var> inputs;              // empty unless recorded
    void (*backward)(Record&) = nullptr;  // adds to the gradient of every input; nullptr unless recorded
    Explained (*explain)(const Record&, const std::vector<Var>& inputs) = nullptr;  // formula.h
    Where where;                                                                    // the line that called the operation
    bool requires_gradient = false;
    int handles = 0;  // number of Vars that refer to this record; the last one deletes it

    Record() = default;
    Record(const Record&) = delete;
    virtual ~Record() = default;
};

// While a Tape exists, operations are recorded on it. Tapes nest: the innermost one records.
class Tape {
public:
    Tape();
    ~Tape();  // releases what was recorded
    Tape(const Tape&) = delete;

    std::vector<Var> operations;  // in the order in which they ran

private:
    Tape* outer;
};

// While a NoTape exists, nothing is recorded: for frozen parts of a model (a teacher, a reference policy).
class NoTape {
public:
    NoTape();
    ~NoTape();
    NoTape(const NoTape&) = delete;

private:
    Tape* outer;
};

// While a KeepSteps exists, forward passes keep every named step (attention weights, the output of each block) although no Tape
// runs. Without either, a step is released as soon as the next is computed, so that evaluation needs little memory. Tests,
// lessons and programs that look inside a model make one:
//     const KeepSteps keep;
//     const vit::Steps steps = vit::forward(images, w, config);  // steps.encoder.blocks[3].attention.weights is there
class KeepSteps {
public:
    KeepSteps();
    ~KeepSteps();
    KeepSteps(const KeepSteps&) = delete;
};
bool steps_are_kept();  // a KeepSteps exists, or a Tape is running

// While one exists, it is notified of every operation; for traces (trace.h).
class Observer {
public:
    Observer();
    virtual ~Observer();
    Observer(const Observer&) = delete;

    virtual void tape_began() = 0;
    virtual void made(const Var& result, const std::vector<Var>& inputs) = 0;  // every operation, whether it is recorded or not
    virtual void walked_back(const Var& loss) = 0;                             // a backward pass is over

private:
    Observer* outer;
};

// While on, the first operation whose result or gradient holds a NaN or an infinity throws; the option --trap-nan of every
// program turns it on. Off by default, because it costs a pass over every result.
//   throws  std::runtime_error, from the operation: with the line that called it, its name, how many numbers are not finite, the
//           position of the first, and which input already held one (then look for the cause in the weights or the data)
void trap_nan(bool on);
bool nan_is_trapped();

// Walks the tape from its end; every operation adds to the gradients of its inputs. An operation is released as soon as its
// gradient has been passed on (unless a Var still refers to it), so that its memory can be reused.
//   loss    (1, 1), computed on the running tape
//   throws  std::invalid_argument when loss has another shape, or was not recorded
void backward(const Var& loss, Where where = Where::current());

// The last call of every operation: wraps its result, and records it if a tape is running and an input requires a gradient.
//   name      shown by the debugger and in errors
//   rules     the backward function, or {backward, explain}
Var record_operation(const char* name, Matrix value, std::vector<Var> inputs, Rules rules, Where where);

// The same for an operation that keeps more than its inputs and its value; takes ownership of `kept`.
Var record_operation(Record* kept, const char* name, Matrix value, std::vector<Var> inputs, Rules rules, Where where);

// input.gradient += contribution; does nothing for an input that requires no gradient.
void add_gradient(Var& input, const Matrix& contribution);
void add_gradient(Var& input, Matrix&& contribution);  // the first contribution is moved, not copied

// The gradient of input, zeros at first, to add to in place: saves a backward from building a large matrix only to add it.
Matrix& gradient_to_add_to(Var& input);
