#include "nn/interpret/logit_lens.h"

#include <algorithm>
#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"

namespace logit_lens {

// --- the lens ---

Matrix logits(const Matrix& stream, const Readout& readout) {
    const Var normalised = normalise(stream, readout.norm, readout.kind, readout.eps);  // (n, E)
    return matmul_transposed(normalised, Var(readout.output_matrix)).value();           // (n, V)
}

Readout readout_of(const Inside& inside) {
    require(inside.head.size() == 1 && inside.head[0].normed && !inside.head[0].linear.bias &&
                inside.head[0].nonlinearity == Nonlinearity::none,
            "logit_lens: the head of this model is not one norm and one matrix; take outputs_of() of nn/interpret/inside.h");
    const HeadLayer& layer = inside.head[0];
    return {.norm = layer.norm, .eps = layer.eps, .output_matrix = transpose(layer.linear.weight.value()), .kind = layer.kind};
}

// log softmax of one row, in double
static std::vector<double> log_probabilities(const float* logits, int V) {
    const float largest = *std::max_element(logits, logits + V);
    double total = 0;
    for (int v = 0; v < V; ++v) total += std::exp(static_cast<double>(logits[v]) - largest);
    const double log_total = largest + std::log(total);
    std::vector<double> log_p(V);
    for (int v = 0; v < V; ++v) log_p[v] = logits[v] - log_total;
    return log_p;
}

// KL(p || q) = sum p (log p - log q)
static double kl_divergence(const std::vector<double>& log_p, const std::vector<double>& log_q) {
    double sum = 0;
    for (std::size_t v = 0; v < log_p.size(); ++v) sum += std::exp(log_p[v]) * (log_p[v] - log_q[v]);
    return sum;
}

Comparison compare(const Matrix& layer_logits, const Matrix& last_logits, const std::vector<int>& right) {
    require(same_shape(layer_logits, last_logits), "logit_lens: logits of a layer are ", layer_logits, ", of the last one ",
            last_logits, ", the shapes must be equal");
    require(static_cast<int>(right.size()) == layer_logits.rows, "logit_lens: ", right.size(), " right tokens for the rows of ",
            layer_logits, ", each row needs one");
    const int V = layer_logits.cols;
    require(V > 0, "logit_lens: logits ", layer_logits, ", there must be at least one token");
    require_finite(layer_logits, "logit_lens", "logits of a layer");
    require_finite(last_logits, "logit_lens", "logits of the last layer");
    Comparison result;
    for (int i = 0; i < layer_logits.rows; ++i) {
        require(right[i] >= 0 && right[i] < V, "logit_lens: the right token of row ", i, " is ", right[i], ", there are ", V,
                " tokens, counted from 0");
        const float* const row = layer_logits.row(i);
        const std::vector<double> log_p = log_probabilities(row, V), log_last = log_probabilities(last_logits.row(i), V);
        std::vector<double> log_mean(V);
        double entropy = 0;
        for (int v = 0; v < V; ++v) {
            log_mean[v] = std::log((std::exp(log_p[v]) + std::exp(log_last[v])) / 2);
            entropy -= std::exp(log_p[v]) * log_p[v];
        }
        const int top = argmax_row(layer_logits, i);
        result.kl.push_back(static_cast<float>(kl_divergence(log_last, log_p)));
        result.reverse_kl.push_back(static_cast<float>(kl_divergence(log_p, log_last)));
        result.js.push_back(static_cast<float>((kl_divergence(log_p, log_mean) + kl_divergence(log_last, log_mean)) / 2));
        result.entropy.push_back(static_cast<float>(entropy));
        result.cross_entropy.push_back(static_cast<float>(-log_p[right[i]]));
        result.max_probability.push_back(static_cast<float>(std::exp(log_p[top])));
        result.rank.push_back(1 + static_cast<int>(std::count_if(row, row + V, [&](float x) { return x > row[right[i]]; })));
        result.top.push_back(top);
    }
    return result;
}

// --- the same, linear ---

Unembedding folded(const Readout& readout) {
    const int V = readout.output_matrix.rows, E = readout.output_matrix.cols;
    const bool centres = readout.kind == NormKind::layer;
    for (const Var* const row : {&readout.norm.gain, &readout.norm.bias})
        require(!*row || static_cast<int>(row->value().size()) == E, "logit_lens: the last norm has ",
                *row ? row->value().size() : 0, " numbers, the output matrix is ", readout.output_matrix,
                "; gain and bias must be as wide as its rows");
    const auto gain = [&](int e) { return readout.norm.gain ? static_cast<double>(readout.norm.gain.value()[e]) : 1.0; };
    Unembedding result{.U = Matrix(E, V), .c = Matrix(1, V), .kind = readout.kind};
    for (int v = 0; v < V; ++v) {
        double mean = 0, constant = 0;
        for (int e = 0; e < E; ++e) {
            if (centres) mean += gain(e) * readout.output_matrix(v, e) / E;
            if (readout.norm.bias) constant += static_cast<double>(readout.norm.bias.value()[e]) * readout.output_matrix(v, e);
        }
        for (int e = 0; e < E; ++e) result.U(e, v) = static_cast<float>(gain(e) * readout.output_matrix(v, e) - mean);
        result.c[v] = static_cast<float>(constant);
    }
    return result;
}

// A row in double, less its mean where the norm subtracts it.
static std::vector<double> centred(const float* row, int E, NormKind kind) {
    double mean = 0;
    for (int e = 0; e < E && kind == NormKind::layer; ++e) mean += static_cast<double>(row[e]) / E;
    std::vector<double> result(E);
    for (int e = 0; e < E; ++e) result[e] = row[e] - mean;
    return result;
}

Matrix final_scale(const Matrix& last_stream, const Readout& readout) {
    require(last_stream.cols > 0, "logit_lens: a residual stream ", last_stream, ", a row must hold at least 1 number");
    require_eps("logit_lens", readout.eps);
    Matrix s(last_stream.rows, 1);
    for (int i = 0; i < s.rows; ++i) {
        double squares = 0;
        for (const double x : centred(last_stream.row(i), last_stream.cols, readout.kind)) squares += x * x;
        s(i, 0) = static_cast<float>(std::sqrt(squares / last_stream.cols + readout.eps));
    }
    return s;
}

// ((r - mean of r) / s) U for some rows
static Matrix linear_logits(const Matrix& stream, const std::vector<int>& rows, const Matrix& scale,
                            const Unembedding& unembedding) {
    require(scale.rows == stream.rows, "logit_lens: ", scale.rows, " standard deviations for a residual stream ", stream,
            ", each row needs one, see final_scale");
    for (const int row : rows)
        require(row >= 0 && row < stream.rows, "logit_lens: row ", row, " of a residual stream ", stream,
                ", they are counted from 0");
    require(unembedding.U.rows == stream.cols, "logit_lens: a residual stream ", stream, " meets an unembedding ", unembedding.U,
            ", which must have ", stream.cols, " rows; both must be of the same model");
    Matrix normalised = Matrix::unset(static_cast<int>(rows.size()), stream.cols);
    for (int i = 0; i < normalised.rows; ++i) {
        const std::vector<double> row = centred(stream.row(rows[i]), stream.cols, unembedding.kind);
        for (int e = 0; e < stream.cols; ++e) normalised(i, e) = static_cast<float>(row[e] / scale(rows[i], 0));
    }
    return matmul(normalised, unembedding.U);
}

static std::vector<int> all_rows(int count) {
    std::vector<int> rows(count);
    for (int i = 0; i < count; ++i) rows[i] = i;
    return rows;
}

Matrix frozen_logits(const Matrix& stream, const Matrix& scale, const Unembedding& unembedding) {
    Matrix result = linear_logits(stream, all_rows(stream.rows), scale, unembedding);
    for (int i = 0; i < result.rows; ++i)
        for (int v = 0; v < result.cols; ++v) result(i, v) += unembedding.c[v];
    return result;
}

// --- direct logit attribution ---

// What one head of a block adds to the residual stream: its context (n, hv) times its rows of the output matrix.
static Matrix head_output(const BlockSteps& steps, const Block& block, int head, int heads) {
    const Matrix& context = steps.attention.context.value();       // (n, H hv)
    const Matrix& output = block.attention.output.weight.value();  // (H hv, E)
    const int hv = context.cols / heads;
    return matmul(slice_cols(context, head * hv, hv), slice_rows(output, head * hv, hv));  // (n, E)
}

std::vector<Part> parts_of(const StackSteps& steps, const std::vector<Block>& blocks, int heads, const Matrix& tokens,
                           const Matrix& positions) {
    require(steps.blocks.size() == blocks.size(), "logit_lens: ", steps.blocks.size(), " kept steps of ", blocks.size(),
            " blocks; make a KeepSteps before the forward pass");
    require(same_shape(tokens, positions), "logit_lens: token embeddings ", tokens, " and positions ", positions,
            ", the shapes must be equal");
    require(heads > 0 && (blocks.empty() || blocks[0].attention.output.weight.rows() % heads == 0), "logit_lens: ", heads,
            " heads do not divide a context of width ", blocks.empty() ? 0 : blocks[0].attention.output.weight.rows());
    std::vector<Part> parts;
    Matrix bias(tokens.rows, tokens.cols);  // of all output projections together, the same for every token
    for (std::size_t l = 0; l < blocks.size(); ++l) {
        for (int head = 0; head < heads; ++head)
            parts.push_back(
                {"L" + std::to_string(l) + "H" + std::to_string(head), head_output(steps.blocks[l], blocks[l], head, heads)});
        if (const Var& b = blocks[l].attention.output.bias; b)
            for (int i = 0; i < bias.rows; ++i)
                for (int e = 0; e < bias.cols; ++e) bias(i, e) += b.value()[e];
    }
    for (std::size_t l = 0; l < blocks.size(); ++l)
        parts.push_back({std::to_string(l) + "_mlp_out", steps.blocks[l].mlp.output.value()});
    parts.push_back({"embed", tokens});
    parts.push_back({"pos_embed", positions});
    parts.push_back({"bias", bias});
    return parts;
}

std::vector<Part> parts_of(const Inspection& trace, const Inside& inside) {
    const BlockOptions& options = inside.options;
    require(
        (options.order == Order::pre || options.order == Order::parallel) && options.residual == 1,
        "logit_lens: the last residual stream is the sum of what the blocks write only with pre-norm or parallel blocks and a plain residual");
    for (const Block& block : inside.blocks)
        require(!block.scale1 && !block.scale2 && !block.cross.query.weight,
                "logit_lens: parts are not defined for blocks with layer scale or cross-attention");
    require(!trace.residual_streams.empty(), "logit_lens: a trace without residual streams; follow() keeps them");
    const Matrix& embedded = trace.residual_streams[0];
    std::vector<Part> parts = parts_of(trace.steps, inside.blocks, options.heads, embedded, Matrix(embedded.rows, embedded.cols));
    parts.erase(parts.end() - 2);  // "pos_embed": the input of the first block already contains the positions
    return parts;
}

Matrix contribution(const Part& part, const std::vector<int>& rows, const Matrix& scale, const Unembedding& unembedding) {
    return linear_logits(part.value, rows, scale, unembedding);
}

std::vector<float> contribution_to(const Part& part, const std::vector<int>& tokens, const Matrix& scale,
                                   const Unembedding& unembedding) {
    require(static_cast<int>(tokens.size()) == part.value.rows, "logit_lens: ", tokens.size(), " tokens for the rows of ",
            part.value, ", each row needs one");
    const Matrix all = linear_logits(part.value, all_rows(part.value.rows), scale, unembedding);  // (n, V)
    std::vector<float> result;
    for (int i = 0; i < all.rows; ++i) {
        require(tokens[i] >= 0 && tokens[i] < all.cols, "logit_lens: token ", tokens[i], " of row ", i, ", there are ", all.cols,
                ", counted from 0");
        result.push_back(all(i, tokens[i]));
    }
    return result;
}

}  // namespace logit_lens
