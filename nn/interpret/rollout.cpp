#include "nn/interpret/rollout.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/finite.h"

namespace rollout {

static Matrix identity(int n) {
    Matrix m(n, n);
    for (int i = 0; i < n; ++i) m(i, i) = 1;
    return m;
}

static void require_heads(const Matrix& weights, int heads) {
    require(heads > 0 && weights.rows == heads * weights.cols, "rollout: attention weights ", weights, " are not ", heads,
            " square matrices stacked vertically; they must be of one sequence");
    require_finite(weights, "rollout", "attention weights");
}

static void require_square(const char* what, const Matrix& m) {
    require(m.rows > 0 && m.rows == m.cols, "rollout: ", what, " ", m, " must be square, a row and a column for each token");
}

// Checks the attention weights of all layers: square, with the same number of tokens.
static void require_layers(const std::vector<Matrix>& layers) {
    for (const Matrix& layer : layers) {
        require_square("the weights of a layer", layer);
        require(same_shape(layer, layers[0]), "rollout: the weights of a layer are ", layer, ", those of the first ", layers[0],
                ", the shapes must be equal");
        require_finite(layer, "rollout", "weights of a layer");
    }
}

// --- products ---

Matrix mean_over_heads(const Matrix& weights, int heads) { return fused(weights, heads, Fusion::mean); }

Matrix rows_divided_by_sums(const Matrix& m) {
    Matrix result = m;
    for (int i = 0; i < m.rows; ++i) {
        double sum = 0;
        for (int j = 0; j < m.cols; ++j) sum += m(i, j);
        for (int j = 0; j < m.cols && sum != 0; ++j) result(i, j) = static_cast<float>(m(i, j) / sum);
    }
    return result;
}

Matrix augmented(const Matrix& mean_attention) {
    require_square("attention weights", mean_attention);
    Matrix sum = mean_attention;
    add_to(sum, identity(mean_attention.rows));
    return rows_divided_by_sums(sum);
}

std::vector<Matrix> products(const std::vector<Matrix>& layers) {
    require_layers(layers);
    std::vector<Matrix> joint;
    for (const Matrix& B : layers) joint.push_back(joint.empty() ? B : matmul(B, joint.back()));  // the later layer on the left
    return joint;
}

// --- flow ---

namespace {
// Edges between the tokens of adjacent layers. Node (level, token) has the number level * n + token; level 0 is the input.
struct Graph {
    int n, levels;
    std::vector<double> residual;  // [from][to] remaining capacity

    Graph(const std::vector<Matrix>& layers, int used)
        : n(layers[0].rows), levels(used + 1), residual(static_cast<std::size_t>(nodes()) * nodes()) {
        for (int l = 0; l < used; ++l)
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < n; ++j) at((l + 1) * n + i, l * n + j) = layers[l](i, j);
    }
    int nodes() const { return n * levels; }
    double& at(int from, int to) { return residual[static_cast<std::size_t>(from) * nodes() + to]; }
};
}  // namespace

static constexpr double no_capacity = 1e-9;

// An augmenting path from source to sink, by breadth-first search: the node before each; -1 = not reached.
static std::vector<int> augmenting_path(Graph& graph, int source, int sink) {
    std::vector<int> before(graph.nodes(), -1), queue{source};
    before[source] = source;
    for (std::size_t at = 0; at < queue.size() && before[sink] < 0; ++at) {
        const int from = queue[at], level = from / graph.n;
        for (int to_level = std::max(0, level - 1); to_level <= std::min(graph.levels - 1, level + 1); to_level += 2) {
            if (to_level == level) break;
            for (int to = to_level * graph.n; to < (to_level + 1) * graph.n; ++to)
                if (before[to] < 0 && graph.at(from, to) > no_capacity) {
                    before[to] = from;
                    queue.push_back(to);
                }
        }
    }
    return before;
}

// Ford and Fulkerson: saturate augmenting paths until there are none.
static double max_flow(Graph graph, int source, int sink) {
    double flow = 0;
    for (;;) {
        const std::vector<int> before = augmenting_path(graph, source, sink);
        if (before[sink] < 0) return flow;
        double capacity = graph.at(before[sink], sink);
        for (int node = sink; node != source; node = before[node]) capacity = std::min(capacity, graph.at(before[node], node));
        for (int node = sink; node != source; node = before[node]) {
            graph.at(before[node], node) -= capacity;
            graph.at(node, before[node]) += capacity;
        }
        flow += capacity;
    }
}

std::vector<Matrix> max_flows(const std::vector<Matrix>& layers) {
    require_layers(layers);
    for (const Matrix& layer : layers)
        for (const float x : layer) require(x >= 0, "max_flows: an attention weight of ", x, ", it must not be negative");
    std::vector<Matrix> result;
    for (int l = 0; l < static_cast<int>(layers.size()); ++l) {
        const int n = layers[l].rows;
        const Graph graph(layers, l + 1);
        Matrix flows(n, n);
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < n; ++j) flows(i, j) = static_cast<float>(max_flow(graph, (l + 1) * n + i, j));
        result.push_back(flows);
    }
    return result;
}

// --- vit-explain ---

Matrix fused(const Matrix& weights, int heads, Fusion fusion) {
    require_heads(weights, heads);
    const int n = weights.cols;
    Matrix result(n, n);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            double sum = 0;
            float largest = weights(i, j), smallest = weights(i, j);
            for (int h = 0; h < heads; ++h) {
                const float a = weights(h * n + i, j);
                sum += a;
                largest = std::max(largest, a);
                smallest = std::min(smallest, a);
            }
            result(i, j) = fusion == Fusion::mean ? static_cast<float>(sum / heads) : fusion == Fusion::max ? largest : smallest;
        }
    return result;
}

Matrix discarded(Matrix fused, double discard, bool spare_first) {
    require(discard >= 0 && discard <= 1, "rollout: a fraction of ", discard, " to discard is not between 0 and 1");
    require_finite(fused, "rollout", "attention weights");
    std::vector<int> order(fused.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return fused[a] < fused[b]; });
    order.resize(static_cast<std::size_t>(static_cast<double>(fused.size()) * discard));
    for (const int k : order)
        if (k != 0 || !spare_first) fused[k] = 0;
    return fused;
}

Matrix half_residual(const Matrix& discarded, Normalisation normalisation) {
    require_square("attention weights", discarded);
    Matrix a = discarded;
    add_to(a, identity(a.rows));
    for (float& x : a) x /= 2;
    if (normalisation == Normalisation::rows) return rows_divided_by_sums(a);
    std::vector<double> sums(a.rows);  // of rows
    for (int i = 0; i < a.rows; ++i)
        for (int j = 0; j < a.cols; ++j) sums[i] += a(i, j);
    Matrix result = a;
    for (int i = 0; i < a.rows; ++i)
        for (int j = 0; j < a.cols; ++j) result(i, j) = static_cast<float>(a(i, j) / sums[j]);
    return result;
}

Matrix class_map(const Matrix& joint) {
    require(joint.rows == joint.cols && joint.cols >= 2, "class_map: attention ", joint,
            " must have a row and a column for the class token and for at least one other");
    require_finite(joint, "class_map", "attention weights");
    Matrix map = slice_cols(slice_rows(joint, 0, 1), 1, joint.cols - 1);
    const float largest = *std::max_element(map.begin(), map.end());
    require(largest > 0, "class_map: the largest weight of the class token is ", largest,
            ", it must be above 0 to be a measure of the others");
    for (float& x : map) x /= largest;
    return map;
}

static Matrix element_products(const Matrix& weights, const Matrix& gradient, bool positive_only) {
    require(same_shape(weights, gradient), "rollout: attention weights ", weights, " and a gradient ", gradient,
            ", the shapes must be equal");
    Matrix product = Matrix::unset(weights.rows, weights.cols);
    for (std::size_t k = 0; k < product.size(); ++k) {
        const float x = weights[k] * gradient[k];
        product[k] = positive_only ? std::max(0.0f, x) : x;
    }
    return product;
}

Matrix weighted_mean(const Matrix& weights, const Matrix& gradient, int heads) {
    Matrix mean = mean_over_heads(element_products(weights, gradient, false), heads);
    for (float& x : mean) x = std::max(0.0f, x);
    return mean;
}

// --- gradient relevance ---

Matrix positive_weighted_mean(const Matrix& weights, const Matrix& gradient, int heads) {
    return mean_over_heads(element_products(weights, gradient, true), heads);
}

std::vector<Matrix> gradient_relevance(const std::vector<Matrix>& weighted) {
    std::vector<Matrix> result;
    for (const Matrix& C : weighted) {
        Matrix R = result.empty() ? identity(C.rows) : result.back();
        const Matrix more = matmul(C, R);
        add_to(R, more);
        result.push_back(R);
    }
    return result;
}

// --- relevance ---

static float divided(double a, double b) { return b == 0 ? 0 : static_cast<float>(a / (b + 1e-9)); }

static Matrix divided(const Matrix& a, const Matrix& b) {
    Matrix result = Matrix::unset(a.rows, a.cols);
    for (std::size_t k = 0; k < a.size(); ++k) result[k] = divided(a[k], b[k]);
    return result;
}

static Matrix times(const Matrix& a, const Matrix& b, float factor = 1) {
    Matrix result = Matrix::unset(a.rows, a.cols);
    for (std::size_t k = 0; k < a.size(); ++k) result[k] = a[k] * b[k] * factor;
    return result;
}

static Matrix positive_part(const Matrix& m) {
    Matrix result = m;
    for (float& x : result) x = std::max(0.0f, x);
    return result;
}

static Matrix negative_part(const Matrix& m) {
    Matrix result = m;
    for (float& x : result) x = std::min(0.0f, x);
    return result;
}

static double sum_of(const Matrix& m) {
    double sum = 0;
    for (const float x : m) sum += x;
    return sum;
}

Matrix linear_relevance(const Matrix& x, const Matrix& weight, const Matrix& relevance) {
    const Matrix x_plus = positive_part(x), x_minus = negative_part(x);            // (n, in)
    const Matrix W_plus = positive_part(weight), W_minus = negative_part(weight);  // (in, out)
    Matrix products = matmul(x_plus, W_plus);                                      // (n, out)  the positive products of x W
    add_to(products, matmul(x_minus, W_minus));
    const Matrix S = divided(relevance, products);                // (n, out)
    Matrix result = times(x_plus, matmul_transposed(S, W_plus));  // (n, in)
    add_to(result, times(x_minus, matmul_transposed(S, W_minus)));
    return result;
}

Summands sum_relevance(const Matrix& u, const Matrix& v, const Matrix& relevance) {
    require(same_shape(u, v) && same_shape(u, relevance), "sum_relevance: summands ", u, " and ", v, " with a relevance of ",
            relevance, ", the shapes must be equal");
    Matrix y = u;
    add_to(y, v);
    const Matrix S = divided(relevance, y);
    Summands parts{times(u, S), times(v, S)};
    const double total = sum_of(relevance), of_u = sum_of(parts.u), of_v = sum_of(parts.v);
    const double all = std::abs(of_u) + std::abs(of_v);
    for (float& r : parts.u) r = static_cast<float>(r * divided(std::abs(of_u), all) * total / (of_u == 0 ? 1 : of_u));
    for (float& r : parts.v) r = static_cast<float>(r * divided(std::abs(of_v), all) * total / (of_v == 0 ? 1 : of_v));
    return parts;
}

// Z = A v, and Z = q k^T: half of the relevance to each factor; head by head.
static void attention_relevance(BlockRelevance& r, const AttentionSteps& steps, int heads) {
    const Matrix &q = steps.query.value(), &k = steps.key.value(), &v = steps.value.value();
    const int n = q.rows, h = q.cols / heads, hv = v.cols / heads;
    std::vector<Var> weights, query, key, value;
    for (int head = 0; head < heads; ++head) {
        const Matrix A = slice_rows(steps.weights.value(), head * n, n);  // (n, n)
        const Matrix v_head = slice_cols(v, head * hv, hv), Z = slice_cols(steps.context.value(), head * hv, hv);
        const Matrix S = divided(slice_cols(r.context, head * hv, hv), Z);  // (n, hv)
        const Matrix R_A = times(A, matmul_transposed(S, v_head), 0.5f);    // (n, n)
        value.push_back(times(v_head, transposed_matmul(A, S), 0.5f));      // (n, hv)
        const Matrix q_head = slice_cols(q, head * h, h), k_head = slice_cols(k, head * h, h);
        const Matrix S_scores = divided(R_A, matmul_transposed(q_head, k_head));  // (n, n)
        query.push_back(times(q_head, matmul(S_scores, k_head), 0.5f));           // (n, h)
        key.push_back(times(k_head, transposed_matmul(S_scores, q_head), 0.5f));  // (n, h)
        weights.push_back(R_A);
    }
    r.weights = concat_rows(weights).value();
    r.query = concat_cols(query).value();
    r.key = concat_cols(key).value();
    r.value = concat_cols(value).value();
}

BlockRelevance block_relevance(const BlockSteps& steps, const Block& w, const BlockOptions& options, const Matrix& input,
                               const Matrix& relevance) {
    require(options.order == Order::pre || options.order == Order::post, "rollout: a block of order number ",
            static_cast<int>(options.order), "; relevance is known for 0 (pre-norm) and 1 (post-norm) only");
    require(!w.mlp.gate.weight && steps.attention.key.cols() == steps.attention.query.cols(),
            "rollout: no rule of relevance is known for gated MLPs and shared key heads; gradient relevance needs none");
    require(static_cast<bool>(steps.attention.weights),
            "rollout: the steps of the block were not kept; make a KeepSteps before the forward pass");
    require_heads(steps.attention.weights.value(), options.heads);
    require(same_shape(input, relevance) && same_shape(input, steps.after_attention.value()), "rollout: an input ", input,
            " and relevance ", relevance, " for a block of tokens ", steps.after_attention.value(), ", the shapes must be equal");
    const bool post = options.order == Order::post;
    BlockRelevance r;
    // z' = u + mlp(x), where u is the residual stream (pre-norm), or u = x its normalised value (post-norm)
    const Summands second = sum_relevance(steps.after_attention.value(), steps.mlp.output.value(), relevance);
    r.mlp_residual = second.u;
    r.mlp_output = second.v;
    r.hidden = linear_relevance(steps.mlp.hidden.value(), w.mlp.contract.weight.value(), r.mlp_output);
    const Matrix& mlp_input = post ? steps.after_attention.value() : steps.norm2.value();
    r.mlp_input = linear_relevance(mlp_input, w.mlp.expand.weight.value(), r.hidden);
    r.after_attention = r.mlp_residual;
    add_to(r.after_attention, r.mlp_input);
    // u = z + attention(x)
    const Summands first = sum_relevance(input, steps.attention.output.value(), r.after_attention);
    r.attention_residual = first.u;
    r.attention_output = first.v;
    r.context = linear_relevance(steps.attention.context.value(), w.attention.output.weight.value(), r.attention_output);
    attention_relevance(r, steps.attention, options.heads);
    const Matrix& attention_input = post ? input : steps.norm1.value();
    r.attention_input = linear_relevance(attention_input, w.attention.query.weight.value(), r.query);
    add_to(r.attention_input, linear_relevance(attention_input, w.attention.key.weight.value(), r.key));
    add_to(r.attention_input, linear_relevance(attention_input, w.attention.value.weight.value(), r.value));
    r.input = r.attention_residual;
    add_to(r.input, r.attention_input);
    return r;
}

Matrix relevance_product(const std::vector<Matrix>& weighted, int start, bool normalise_rows) {
    require(start >= 0 && start < static_cast<int>(weighted.size()), "rollout: there is no layer ", start, " among ",
            weighted.size(), ", counted from 0");
    require_layers(weighted);
    std::vector<Matrix> layers;
    for (std::size_t l = start; l < weighted.size(); ++l) {
        Matrix a = weighted[l];
        add_to(a, identity(a.rows));
        layers.push_back(normalise_rows ? rows_divided_by_sums(a) : a);
    }
    return products(layers).back();
}

// --- the whole way ---

// The sequence and the row of the asked output.
static int asked_row(const Inspection& trace, const Inside& inside) {
    require(!trace.asked.empty() && !trace.weights.empty(),
            "rollout: no output was requested, or there is no block; give follow() the output");
    const int row = trace.asked[0].row, n = trace.residual_streams[0].rows;
    require(trace.weights[0].rows == inside.options.heads * n && trace.weights[0].cols == n, "rollout: attention weights ",
            trace.weights[0], " of ", inside.options.heads, " heads and ", n, " tokens; one sequence at a time can be explained");
    require(row < n, "rollout: output row ", row, " was requested, the stack has ", n, " tokens");
    return row;
}

// A row of a product, minus the identity.
static Matrix row_without_self(const Matrix& joint, int row) {
    Matrix map = slice_rows(joint, row, 1);
    map[row] -= 1;
    return map;
}

Matrix token_rollout(const Inspection& trace, const Inside& inside) {
    const int row = asked_row(trace, inside);
    std::vector<Matrix> layers;
    for (const Matrix& A : trace.weights) layers.push_back(augmented(mean_over_heads(A, inside.options.heads)));
    return slice_rows(products(layers).back(), row, 1);
}

Matrix token_gradient_relevance(const Inspection& trace, const Inside& inside) {
    const int row = asked_row(trace, inside);
    std::vector<Matrix> weighted;
    for (std::size_t l = 0; l < trace.weights.size(); ++l)
        weighted.push_back(positive_weighted_mean(trace.weights[l], trace.gradients[l], inside.options.heads));
    return row_without_self(gradient_relevance(weighted).back(), row);
}

// From 1 at the asked output through the layers of the head, (1, K) -> (1, E).
static Matrix head_relevance(const Inspection& trace, const Inside& inside, int row) {
    const Matrix last = slice_rows(trace.residual_streams.back(), row, 1);  // (1, E)
    std::vector<Matrix> inputs;                                             // of each linear layer
    for (std::size_t k = 0; k < inside.head.size(); ++k) {
        const HeadLayer& layer = inside.head[k];
        const Inside below{.stack = {}, .blocks = {}, .options = {}, .head = {inside.head.begin(), inside.head.begin() + k}};
        const Var x = k == 0 ? Var(last) : Var(outputs_of(last, below));
        inputs.push_back(layer.normed ? normalise(x, layer.norm, layer.kind, layer.eps).value() : x.value());
    }
    const Matrix outputs = outputs_of(last, inside);  // (1, K)
    const int column = trace.asked[0].column;
    require(column >= 0 && column < trace.outputs.cols, "rollout: output ", column, " was requested, the run has returned ",
            trace.outputs, "; they are counted from 0");
    const float said = trace.outputs(row, column), ours = outputs.cols == trace.outputs.cols ? outputs(0, column) : said + 1e9f;
    require(std::isfinite(said), "rollout: output ", column, " is ", said,
            ", there is nothing to explain; look for a NaN or an infinity in the weights or in the input");
    require(std::abs(ours - said) <= 1e-3f * (1 + std::abs(said)), "rollout: the head makes ", ours,
            " of the last residual stream, the run has returned ", said, " for output ", column,
            "; the Inside must be that of the model that ran");
    Matrix relevance(1, outputs.cols);
    relevance[column] = 1;
    for (std::size_t k = inside.head.size(); k > 0; --k)
        relevance = linear_relevance(inputs[k - 1], inside.head[k - 1].linear.weight.value(), relevance);
    return relevance;
}

Matrix token_relevance(const Inspection& trace, const Inside& inside) {
    const int row = asked_row(trace, inside), L = static_cast<int>(inside.blocks.size());
    const Matrix of_row = head_relevance(trace, inside, row);           // (1, E)
    Matrix relevance(trace.residual_streams.back().rows, of_row.cols);  // (n, E)  the other rows were not read
    std::copy(of_row.begin(), of_row.end(), relevance.row(row));
    std::vector<Matrix> weighted(L);
    for (int l = L - 1; l >= 0; --l) {
        const BlockRelevance r =
            block_relevance(trace.steps.blocks[l], inside.blocks[l], inside.options, trace.residual_streams[l], relevance);
        weighted[l] = positive_weighted_mean(r.weights, trace.gradients[l], inside.options.heads);
        relevance = r.input;
    }
    return row_without_self(relevance_product(weighted, 0, false), row);
}

}  // namespace rollout
