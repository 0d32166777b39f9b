#include "nn/autograd/variable.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

static thread_local Tape* running_tape = nullptr;
static thread_local int keepers = 0;  // number of KeepSteps
static thread_local Observer* observer = nullptr;

Var::Var(Record* given) : record(given) { ++record->handles; }

Var::Var(Matrix value) : Var(new Record) { record->value = std::move(value); }

Var::Var(const Var& other) noexcept : record(other.record) {
    if (record != nullptr) ++record->handles;
}

Var::Var(Var&& other) noexcept : record(std::exchange(other.record, nullptr)) {}

Var& Var::operator=(Var other) noexcept {
    std::swap(record, other.record);
    return *this;
}

Var::~Var() {
    if (record != nullptr && --record->handles == 0) delete record;
}

static Record& existing(Record* record) {
    require(
        record != nullptr,
        "Var: this one holds no value: a part that the model does not have (a bias, a pooler, a classifier), or a step that was not kept; "
        "ask `if (var)` first, or make a KeepSteps before forward");
    return *record;
}

const Matrix& Var::value() const& { return existing(record).value; }
Matrix& Var::value() & { return existing(record).value; }

Matrix Var::value() && {
    Record& last = existing(record);
    if (last.handles > 1) return last.value;  // other handles need it too
    return std::move(last.value);
}

const Matrix& Var::gradient() const { return existing(record).gradient; }
Matrix& Var::gradient() { return existing(record).gradient; }
void Var::zero_gradient() { existing(record).gradient = Matrix(); }
bool Var::requires_gradient() const { return record != nullptr && record->requires_gradient; }

Var parameter(Matrix value) {
    Var v(std::move(value));
    v.record->operation = "parameter";
    v.record->requires_gradient = true;
    return v;
}

Tape::Tape() : outer(std::exchange(running_tape, this)) {
    if (observer != nullptr) observer->tape_began();
}

Tape::~Tape() {
    while (!operations.empty()) operations.pop_back();  // the last first, so that each record is released before its inputs
    running_tape = outer;
}

NoTape::NoTape() : outer(std::exchange(running_tape, nullptr)) {}

NoTape::~NoTape() { running_tape = outer; }

Observer::Observer() : outer(std::exchange(observer, this)) {}

Observer::~Observer() { observer = outer; }

KeepSteps::KeepSteps() { ++keepers; }

KeepSteps::~KeepSteps() { --keepers; }

bool steps_are_kept() { return keepers > 0 || running_tape != nullptr; }

// --- a NaN is reported where it arises ---

static std::atomic<bool> trapping = false;  // atomic because a program may run models in threads of its own

void trap_nan(bool on) { trapping = on; }
bool nan_is_trapped() { return trapping; }

static bool all_finite(const Matrix& m) {
    float sum = 0;  // x - x is 0, or NaN for what is not finite
    for (const float x : m) sum += x - x;
    return sum == 0;
}

// "3 of 12 numbers of (3, 4) are not finite, the first at (0, 2) is nan"
static std::string not_finite(const Matrix& m) {
    std::size_t count = 0, first = m.size();
    for (std::size_t k = 0; k < m.size(); ++k) {
        if (std::isfinite(m[k])) continue;
        ++count;
        first = std::min(first, k);
    }
    const int row = static_cast<int>(first) / m.cols, col = static_cast<int>(first) % m.cols;
    return joined(
        {count, " of ", m.size(), " numbers of ", m, " are not finite, the first, at (", row, ", ", col, "), is ", m[first]});
}

static void check_result(const Record& made, const std::vector<Var>& inputs) {
    if (all_finite(made.value)) return;
    std::string cause = "; its inputs are finite";
    for (std::size_t k = 0; k < inputs.size(); ++k) {
        if (!inputs[k] || all_finite(inputs[k].value())) continue;
        cause = joined({"; input ", k, ", a ", inputs[k]->operation, ", brought it in: ", not_finite(inputs[k].value())});
        break;
    }
    throw std::runtime_error(joined({made.where, made.operation, ": ", not_finite(made.value), cause}));
}

static void check_gradients(const Record& operation) {
    for (std::size_t k = 0; k < operation.inputs.size(); ++k) {
        const Var& input = operation.inputs[k];
        if (!input || all_finite(input.gradient())) continue;
        const bool came_in = !all_finite(operation.gradient);
        throw std::runtime_error(
            joined({operation.where, operation.operation, ", backward: the gradient of input ", k, ", a ", input->operation, ": ",
                    not_finite(input.gradient()),
                    came_in ? "; it came in with the gradient of the result" : "; the gradient of the result is finite"}));
    }
}

// --- the tape ---

Var record_operation(const char* name, Matrix value, std::vector<Var> inputs, Rules rules, Where where) {
    return record_operation(new Record, name, std::move(value), std::move(inputs), rules, where);
}

Var record_operation(Record* kept, const char* name, Matrix value, std::vector<Var> inputs, Rules rules, Where where) {
    Var result(kept);
    kept->value = std::move(value);
    kept->operation = name;
    kept->where = where;
    kept->explain = rules.explain;
    if (trapping) check_result(*kept, inputs);
    if (observer != nullptr) observer->made(result, inputs);
    if (running_tape == nullptr) return result;
    for (const Var& input : inputs) kept->requires_gradient = kept->requires_gradient || input.requires_gradient();
    if (!kept->requires_gradient) return result;
    kept->inputs = std::move(inputs);
    kept->backward = rules.backward;
    running_tape->operations.push_back(result);
    return result;
}

// Why a loss has nothing to walk back through, and the cure.
static std::string why_not_recorded(const Record& loss) {
    const std::string_view made_by = loss.operation;
    if (made_by == "constant" || made_by == "parameter")
        return joined({"the loss is a ", made_by, " and not the result of an operation; compute it from the parameters"});
    const std::string_view place = loss.where.file_name();
    const std::string loss_and_line = joined({"the loss, a ", made_by, " of ", place, ":", loss.where.line(), ", "});
    if (loss.requires_gradient)
        return loss_and_line +
               "has been walked back already, which releases what led to it; run the forward pass again, or add the "
               "losses and call backward once";
    return loss_and_line +
           "was not recorded: no Tape was running when it was computed, or no input of it is a parameter() or comes "
           "from one";
}

void backward(const Var& loss, Where where) {
    require(loss.rows() == 1 && loss.cols() == 1, where, "backward: the loss is ", loss.value(), ", it must be (1, 1)");
    require(running_tape != nullptr, where, "backward: no Tape is running; make one before the forward pass: Tape tape;");
    if (loss->backward == nullptr) require(false, where, "backward: ", why_not_recorded(*loss.operator->()));
    std::vector<Var>& operations = running_tape->operations;
    const bool is_on_tape =
        std::any_of(operations.rbegin(), operations.rend(), [&](const Var& made) { return made.same_as(loss); });
    require(is_on_tape, where, "backward: the loss, a ", loss->operation, " of ", loss->where.file_name(), ":",
            loss->where.line(), ", was recorded on another Tape than the running one, which holds ", operations.size(),
            " operations; compute it and call backward under the same Tape");
    loss->gradient = Matrix{{1}};
    while (!operations.empty()) {
        const Var operation = std::move(operations.back());
        operations.pop_back();
        if (!operation.gradient().empty()) {
            operation->backward(*operation.operator->());
            if (trapping) check_gradients(*operation.operator->());
        }
        operation->inputs.clear();
        operation->backward = nullptr;
    }
    if (observer != nullptr) observer->walked_back(loss);
}

Matrix& gradient_to_add_to(Var& input) {
    Matrix& gradient = input.gradient();
    if (gradient.empty()) gradient = Matrix(input.rows(), input.cols());
    return gradient;
}

static void check_contribution(const Var& input, const Matrix& contribution) {
    require(same_shape(contribution, input.value()), "add_gradient: a gradient of shape ", contribution, " for a value of shape ",
            input.value(), ", the shapes must be equal");
}

void add_gradient(Var& input, const Matrix& contribution) {
    if (!input.requires_gradient()) return;
    check_contribution(input, contribution);
    if (input.gradient().empty())
        input.gradient() = contribution;
    else
        add_to(input.gradient(), contribution);
}

void add_gradient(Var& input, Matrix&& contribution) {
    if (!input.requires_gradient()) return;
    check_contribution(input, contribution);
    if (input.gradient().empty())
        input.gradient() = std::move(contribution);
    else
        add_to(input.gradient(), contribution);
}
