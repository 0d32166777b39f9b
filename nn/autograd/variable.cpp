#include "nn/autograd/variable.h"

#include <utility>

static thread_local Tape* running_tape = nullptr;
static thread_local int keepers = 0;  // KeepSteps that live

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
    require(record != nullptr, "Var: this one holds no value; a part that the model does not have, or a step that was not kept (make a KeepSteps before forward)");
    return *record;
}

const Matrix& Var::value() const& { return existing(record).value; }
Matrix& Var::value() & { return existing(record).value; }

Matrix Var::value() && {
    Record& last = existing(record);
    if (last.handles > 1) return last.value;  // somebody else holds it too
    return std::move(last.value);
}

const Matrix& Var::gradient() const { return existing(record).gradient; }
Matrix& Var::gradient() { return existing(record).gradient; }
void Var::zero_gradient() { existing(record).gradient = Matrix(); }
bool Var::wants_gradient() const { return record != nullptr && record->wants_gradient; }

Var parameter(Matrix value) {
    Var v(std::move(value));
    v.record->operation = "parameter";
    v.record->wants_gradient = true;
    return v;
}

Tape::Tape() : outer(std::exchange(running_tape, this)) {}

Tape::~Tape() {
    while (!operations.empty()) operations.pop_back();  // the last first, so that no record outlives the ones that use it
    running_tape = outer;
}

NoTape::NoTape() : outer(std::exchange(running_tape, nullptr)) {}

NoTape::~NoTape() { running_tape = outer; }

KeepSteps::KeepSteps() { ++keepers; }

KeepSteps::~KeepSteps() { --keepers; }

bool steps_are_kept() { return keepers > 0 || running_tape != nullptr; }

Var record_operation(const char* name, Matrix value, std::vector<Var> inputs, void (*backward)(Record&), Where where) {
    return record_operation(new Record, name, std::move(value), std::move(inputs), backward, where);
}

Var record_operation(Record* kept, const char* name, Matrix value, std::vector<Var> inputs, void (*backward)(Record&), Where where) {
    Var result(kept);
    kept->value = std::move(value);
    kept->operation = name;
    kept->where = where;
    if (running_tape == nullptr) return result;
    for (const Var& input : inputs) kept->wants_gradient = kept->wants_gradient || input.wants_gradient();
    if (!kept->wants_gradient) return result;
    kept->inputs = std::move(inputs);
    kept->backward = backward;
    running_tape->operations.push_back(result);
    return result;
}

void backward(const Var& loss, Where where) {
    require(loss.rows() == 1 && loss.cols() == 1, where, "backward: the loss is ", loss.value(), ", it must be (1, 1)");
    require(running_tape != nullptr, where, "backward: no Tape is running");
    require(loss->backward != nullptr, where, "backward: nothing was written down for this loss; no input of it wants a gradient");
    loss->gradient = Matrix{{1}};
    std::vector<Var>& operations = running_tape->operations;
    while (!operations.empty()) {
        const Var operation = std::move(operations.back());
        operations.pop_back();
        if (!operation.gradient().empty()) operation->backward(*operation.operator->());
        operation->inputs.clear();
        operation->backward = nullptr;
    }
}

Matrix& gradient_to_add_to(Var& input) {
    Matrix& gradient = input.gradient();
    if (gradient.empty()) gradient = Matrix(input.rows(), input.cols());
    return gradient;
}

static void check_share(const Var& input, const Matrix& share) {
    require(same_shape(share, input.value()), "add_gradient: a share of shape ", share, " for a value of shape ",
            input.value());
}

void add_gradient(Var& input, const Matrix& share) {
    if (!input.wants_gradient()) return;
    check_share(input, share);
    if (input.gradient().empty())
        input.gradient() = share;
    else
        add_to(input.gradient(), share);
}

void add_gradient(Var& input, Matrix&& share) {
    if (!input.wants_gradient()) return;
    check_share(input, share);
    if (input.gradient().empty())
        input.gradient() = std::move(share);
    else
        add_to(input.gradient(), share);
}
