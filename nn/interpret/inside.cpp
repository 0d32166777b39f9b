#include "nn/interpret/inside.h"

#include <optional>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"

Inside inside_of(std::vector<Block> blocks, const BlockOptions& options, const Norm& last, const Var& output_matrix) {
    const NoTape no_tape;
    const Linear to_logits{.weight = transpose(output_matrix), .bias = {}};  // (E, V)
    const HeadLayer layer{
        .normed = options.order != Order::post, .norm = last, .kind = options.norm, .eps = options.eps, .linear = to_logits};
    return {.stack = {}, .blocks = std::move(blocks), .options = options, .head = {layer}};
}

static Var apply(const Var& x, Nonlinearity kind) {
    if (kind == Nonlinearity::none) return x;
    return kind == Nonlinearity::tanh ? tanh(x) : activate(x, Activation::gelu);
}

Matrix outputs_of(const Matrix& stream, const Inside& inside) {
    require(!inside.head.empty(), "outputs_of: this stack has no outputs of its own; ask the stack that reads it");
    const NoTape no_tape;
    Var x = stream;  // (rows, E)
    for (const HeadLayer& layer : inside.head) {
        const Var read = layer.normed ? normalise(x, layer.norm, layer.kind, layer.eps) : x;  // (rows, in)
        x = apply(linear(read, layer.linear), layer.nonlinearity);                            // (rows, out)
    }
    return x.value();
}

// The value of a step as a constant; no value where the run had no such step.
static Var copy_of(const Recording& recording, int block, const std::string& name) {
    return recording.has(block, name) ? Var(recording.step(block, name).value()) : Var();
}

static BlockSteps steps_of_block(const Recording& recording, const Inside& inside, int l) {
    const auto step = [&](const std::string& name) { return copy_of(recording, l, inside.step(name)); };
    const auto fill = [&](AttentionSteps& attention, const std::string& prefix) {
        attention.query = step(prefix + "query");
        attention.key = step(prefix + "key");
        attention.value = step(prefix + "value");
        attention.weights = step(prefix + "weights");
        attention.context = step(prefix + "context");
        attention.output = step(prefix + "attention_output");
    };
    BlockSteps steps;
    steps.norm1 = step("norm1");
    fill(steps.attention, "");
    steps.after_attention = step("after_attention");
    steps.norm_cross = step("cross norm_cross");
    fill(steps.cross, "cross ");
    steps.after_cross = step("cross after_cross");
    steps.norm2 = step("norm2");
    steps.mlp.hidden = step("hidden");
    steps.mlp.output = step("mlp_output");
    steps.output = step("output");
    return steps;
}

Inspection follow(const std::function<Var()>& run, const Inside& inside, const std::vector<Asked>& asked) {
    require(static_cast<bool>(run), "follow: no run is given; give a function that runs the model once");
    std::optional<Tape> tape;
    if (!asked.empty()) tape.emplace();
    const Recording recording;
    const Var outputs = run();  // (rows, K)
    Inspection trace{
        .outputs = outputs.value(), .asked = asked, .steps = {}, .residual_streams = {}, .weights = {}, .gradients = {}};
    if (!asked.empty()) {
        Matrix chosen(outputs.rows(), outputs.cols());  // 1 at what was asked
        for (const Asked& one : asked) {
            require(one.row >= 0 && one.row < chosen.rows && one.column >= 0 && one.column < chosen.cols, "follow: output ",
                    one.row, ", ", one.column, " was requested, the run has returned ", outputs.value());
            chosen(one.row, one.column) = 1;
        }
        backward(sum(multiply(outputs, chosen)));
    }
    const int L = static_cast<int>(inside.blocks.size());
    for (int l = 0; l < L; ++l) {
        require(recording.has(l, inside.step("input")), "follow: the run did not come through block ", l, " of stack \"",
                inside.stack, "\" (see hook.h for the names of stacks)");
        const Var& A = recording.step(l, inside.step("weights"));
        trace.steps.blocks.push_back(steps_of_block(recording, inside, l));
        trace.residual_streams.push_back(recording.step(l, inside.step("input")).value());
        trace.weights.push_back(A.value());
        if (asked.empty()) continue;
        const Matrix& G = A.gradient();
        trace.gradients.push_back(G.empty() ? Matrix(A.rows(), A.cols()) : G);  // what does not reach the output has 0
    }
    if (L > 0) {
        trace.steps.output = trace.steps.blocks.back().output;
        trace.residual_streams.push_back(trace.steps.output.value());
    }
    return trace;
}
