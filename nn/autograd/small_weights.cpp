#include "nn/autograd/small_weights.h"

#include <string_view>
#include <utility>

static thread_local SmallWeights* running = nullptr;

// With four rows the small form takes half the time of the floats, with eight as long: the matrix product reuses the floats of a
// tile for all of its rows.
static constexpr int most_rows = 4;

static const std::vector<std::pair<WeightFormat, std::string>> formats{
    {WeightFormat::float32, "f32"}, {WeightFormat::bfloat16, "bf16"}, {WeightFormat::int8, "int8"}};

WeightFormat weight_format(const std::string& name) {
    for (const auto& [format, known] : formats)
        if (name == known) return format;
    fail({"weight format ", name, " is unknown; it may be f32, bf16 or int8"});
}

std::string name_of(WeightFormat format) {
    for (const auto& [known, name] : formats)
        if (known == format) return name;
    return "";
}

// --- which weights a pass multiplies by ---

namespace {
// Watches the operations of a pass.
struct ProductObserver : Observer {
    std::vector<Multiplied> found;

    void tape_began() override {}
    void walked_back(const Var&) override {}
    void made(const Var& result, const std::vector<Var>& inputs) override {
        const std::string_view operation = result->operation;
        if (operation != "linear" && operation != "matmul_transposed") return;
        if (std::string_view(inputs[1]->operation) == "parameter") add({inputs[1], operation == "matmul_transposed"});
    }
    void add(const Multiplied& seen) {
        for (const Multiplied& known : found) {
            if (!known.weight.same_as(seen.weight)) continue;
            require(known.outputs_are_rows == seen.outputs_are_rows, "multiplied_in: a weight ", seen.weight.value(),
                    " is multiplied both as it is and transposed; it cannot have one small form");
            return;
        }
        found.push_back(seen);
    }
};
}  // namespace

std::vector<Multiplied> multiplied_in(const std::function<void()>& pass) {
    require(static_cast<bool>(pass), "multiplied_in: no pass is given; give a function that runs the model once");
    ProductObserver observer;
    pass();
    return observer.found;
}

// --- the small forms ---

// The restored values in the layout of the weight.
template <class Small>
static Matrix rounded(const Small& small, bool outputs_are_rows) {
    return outputs_are_rows ? restored(small) : transpose(restored(small));
}

SmallWeights::SmallWeights(WeightFormat format, const std::function<void()>& pass) : outer(running) {
    const std::vector<Multiplied> weights = multiplied_in(pass);
    for (const auto& [weight, outputs_are_rows] : weights) {
        numbers += static_cast<double>(weight.value().size());
        if (format == WeightFormat::float32) continue;
        const Matrix rows = outputs_are_rows ? weight.value() : transpose(weight.value());
        if (format == WeightFormat::bfloat16)
            entries.push_back({weight, to_bfloat16_rows(rows)});
        else
            entries.push_back({weight, to_int8_rows(rows)});
    }
    if (format == WeightFormat::float32) bytes = sizeof(float) * numbers;
    for (std::size_t i = 0; i < entries.size(); ++i)
        std::visit(
            [&](const auto& small) {
                bytes += bytes_of(small);
                entries[i].weight.value() = rounded(small, weights[i].outputs_are_rows);
            },
            entries[i].small);
    running = this;
}

SmallWeights::~SmallWeights() { running = outer; }

Matrix SmallWeights::product_with(const Matrix& x, const Var& weight, Where where) const {
    for (const Entry& entry : entries)
        if (entry.weight.same_as(weight))
            return std::visit([&](const auto& small) { return matmul_transposed(x, small, where); }, entry.small);
    return {};
}

Matrix SmallWeights::product(const Matrix& x, const Var& weight, Where where) {
    if (running == nullptr || x.rows > most_rows) return {};
    return running->product_with(x, weight, where);
}
