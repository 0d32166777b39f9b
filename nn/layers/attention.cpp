#include "nn/layers/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/base/matmul.h"
#include "nn/base/parallel.h"

// --- scaled dot-product attention ---

// All that forward and backward have to agree on.
struct Plan {
    Segments queries, keys;
    std::vector<int> first_weight_row;  // of each segment, in A
    MayAttend may;
    int heads, head_width;
    float scale;

    int weight_row(int segment, int head) const { return first_weight_row[segment] + head * queries.list[segment].count; }
    // The row of the mask that speaks of query i of a segment: its own, or the one shared by all segments.
    int mask_row(int segment, int i) const {
        const Segment& s = queries.list[segment];
        return may.queries == s.count ? i : s.first + i;
    }
};

static void check_segments(const char* name, const Segments& segments, int rows, Where where) {
    for (const Segment& segment : segments.list)
        require(segment.first >= 0 && segment.count >= 0 && segment.first <= rows - segment.count, where,
                "attend: the segment of rows ", segment.first, " to ", segment.first + segment.count, " is outside ", name,
                ", which has ", rows, " rows");
}

static Plan make_plan(const Var& q, const Var& k, const Var& v, int heads, const Attending& how, Where where) {
    require(q.cols() == k.cols() && same_shape(k.value(), v.value()), where, "attend: q ", q.value(), ", k ", k.value(), ", v ",
            v.value(), ", all must be equally wide, k and v equally high");
    require(heads > 0 && q.cols() % heads == 0, where, "attend: ", heads, " heads do not divide a width of ", q.cols());
    Plan plan;
    plan.queries = how.segments.list.empty() ? Segments::one(q.rows()) : how.segments;
    plan.keys = !how.key_segments.list.empty() ? how.key_segments
                : how.segments.list.empty()    ? Segments::one(k.rows())
                                               : how.segments;
    plan.may = how.may;
    plan.heads = heads;
    plan.head_width = q.cols() / heads;
    plan.scale = how.scale != 0 ? how.scale : 1 / std::sqrt(static_cast<float>(plan.head_width));
    require(plan.queries.size() == plan.keys.size(), where, "attend: ", plan.queries.size(), " segments of queries but ",
            plan.keys.size(), " of keys");
    check_segments("q", plan.queries, q.rows(), where);
    check_segments("k", plan.keys, k.rows(), where);
    int row = 0;
    for (int s = 0; s < plan.queries.size(); ++s) {
        plan.first_weight_row.push_back(row);
        row += heads * plan.queries.list[s].count;
        if (plan.may.everybody()) continue;
        const bool of_batch =
            plan.may.queries == plan.queries.rows() && plan.mask_row(s, plan.queries.list[s].count) <= plan.may.queries;
        require(of_batch || plan.may.queries == plan.queries.list[s].count, where, "attend: a mask for ", plan.may.queries,
                " queries meets a segment of ", plan.queries.list[s].count, " and a batch of ", plan.queries.rows());
        require(plan.may.keys >= plan.keys.list[s].count, where, "attend: a mask for ", plan.may.keys,
                " keys meets a segment of ", plan.keys.list[s].count);
    }
    if (how.bias)
        require(how.bias.rows() == heads * plan.queries.longest() && how.bias.cols() == plan.keys.longest(), where,
                "attend: the bias is ", how.bias.value(), ", ", heads, " heads of ", plan.queries.longest(), " queries and ",
                plan.keys.longest(), " keys need (", heads * plan.queries.longest(), ", ", plan.keys.longest(), ")");
    return plan;
}

struct AttentionRecord : Record {
    Plan plan;
    Var weights;
};

// A = softmax(scale q k^T + bias, where allowed) of one segment and head.
static void head_weights(Matrix& weights, const Plan& plan, const Matrix& q, const Matrix& k, const Var& bias, int segment,
                         int head) {
    const Segment queries = plan.queries.list[segment], keys = plan.keys.list[segment];
    const int h = plan.head_width;
    const int first_row = plan.weight_row(segment, head);
    const Slice q_head = part(q, queries.first, queries.count, head * h, h);  // (n, h)
    const Slice k_head = part(k, keys.first, keys.count, head * h, h);        // (m, h)
    multiply_add(part(weights, first_row, queries.count, 0, keys.count), q_head, transposed(k_head));
    for (int i = 0; i < queries.count; ++i) {
        float* const scores = weights.row(first_row + i);
        for (int j = 0; j < keys.count; ++j) scores[j] *= plan.scale;
        if (bias) {
            const float* const b = bias.value().row(head * plan.queries.longest() + i);
            for (int j = 0; j < keys.count; ++j) scores[j] += b[j];
        }
        if (!plan.may.everybody()) {
            const char* const may = &plan.may.table[static_cast<std::size_t>(plan.mask_row(segment, i)) * plan.may.keys];
            for (int j = 0; j < keys.count; ++j)
                if (!may[j]) scores[j] = -std::numeric_limits<float>::infinity();
        }
        softmax_in_place(scores, keys.count);
    }
}

// forward   A = softmax(scale q k^T + bias),  context = A v, for every segment and head
// backward  dA = dcontext v^T,  dv = A^T dcontext,  ds = softmax backward of dA,  dbias = ds,
//           dq = scale ds k,  dk = scale ds^T q
static void attend_head_backward(const AttentionRecord& record, const Matrix& dcontext, Matrix& dq, Matrix& dk, Matrix& dv,
                                 Matrix& dbias, int segment, int head) {
    const Plan& plan = record.plan;
    const Segment queries = plan.queries.list[segment], keys = plan.keys.list[segment];
    const int n = queries.count, m = keys.count, h = plan.head_width;
    const int first_row = plan.weight_row(segment, head), first_col = head * h;
    const Matrix& q = record.inputs[0].value();
    const Matrix& k = record.inputs[1].value();
    const Matrix& v = record.inputs[2].value();
    const Slice A = part(record.weights.value(), first_row, n, 0, m);                   // (n, m)
    const Slice dcontext_head = part(dcontext, queries.first, n, first_col, h);         // (n, h)
    multiply_add(part(dv, keys.first, m, first_col, h), transposed(A), dcontext_head);  // (m, h)
    Matrix ds = Matrix::unset(n, m);                                                    // first dA, then ds
    multiply(whole(ds), dcontext_head, transposed(part(v, keys.first, m, first_col, h)));
    for (int i = 0; i < n; ++i) softmax_backward_row(A.first + i * A.row_step, ds.row(i), ds.row(i), m);
    if (!dbias.empty()) {
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < m; ++j) dbias(head * plan.queries.longest() + i, j) += ds(i, j);
    }
    for (float& x : ds) x *= plan.scale;
    multiply_add(part(dq, queries.first, n, first_col, h), whole(ds), part(k, keys.first, m, first_col, h));  // (n, h)
    multiply_add(part(dk, keys.first, m, first_col, h), transposed(whole(ds)),
                 part(q, queries.first, n, first_col, h));  // (m, h)
}

// Calls body(head) for every head, on several cores where the products are large enough to pay for waking them.
static void for_each_head(const Plan& plan, const std::function<void(int)>& body) {
    long multiplications = 0;
    for (int s = 0; s < plan.queries.size(); ++s)
        multiplications += 2L * plan.heads * plan.queries.list[s].count * plan.keys.list[s].count * plan.head_width;
    if (multiplications < 1'500'000)
        for (int head = 0; head < plan.heads; ++head) body(head);
    else
        parallel_for(plan.heads, body);
}

static void attend_backward(Record& record) {
    const AttentionRecord& kept = static_cast<AttentionRecord&>(record);
    const Var& bias = record.inputs[3];
    Matrix dq(record.inputs[0].rows(), record.inputs[0].cols());
    Matrix dk(record.inputs[1].rows(), record.inputs[1].cols());
    Matrix dv(record.inputs[2].rows(), record.inputs[2].cols());
    Matrix dbias = bias.wants_gradient() ? Matrix(bias.rows(), bias.cols()) : Matrix();
    for_each_head(kept.plan, [&](int head) {
        for (int segment = 0; segment < kept.plan.queries.size(); ++segment)
            attend_head_backward(kept, record.gradient, dq, dk, dv, dbias, segment, head);
    });
    add_gradient(record.inputs[0], std::move(dq));
    add_gradient(record.inputs[1], std::move(dk));
    add_gradient(record.inputs[2], std::move(dv));
    if (!dbias.empty()) add_gradient(record.inputs[3], std::move(dbias));
}

Attended attend(const Var& q, const Var& k, const Var& v, int heads, const Attending& how, Where where) {
    Plan plan = make_plan(q, k, v, heads, how, where);
    Matrix weights(heads * plan.queries.rows(), plan.keys.longest());  // (segments * H * n, m)
    Matrix context(q.rows(), v.cols());                                // (n, D)
    for_each_head(plan, [&](int head) {
        for (int segment = 0; segment < plan.queries.size(); ++segment) {
            const Segment queries = plan.queries.list[segment], keys = plan.keys.list[segment];
            const int h = plan.head_width;
            head_weights(weights, plan, q.value(), k.value(), how.bias, segment, head);
            const Slice A = part(std::as_const(weights), plan.weight_row(segment, head), queries.count, 0, keys.count);
            multiply_add(part(context, queries.first, queries.count, head * h, h), A,
                         part(v.value(), keys.first, keys.count, head * h, h));
        }
    });
    AttentionRecord* const record = new AttentionRecord;
    record->plan = std::move(plan);
    record->weights = Var(std::move(weights));
    const Var kept_weights = record->weights;
    return {record_operation(record, "attend", std::move(context), {q, k, v, how.bias}, attend_backward, where), kept_weights};
}

// --- with its four matrices ---

Attention make_attention(Random& random, int width, float deviation) {
    return {.query = make_linear(random, width, width, deviation),
            .key = make_linear(random, width, width, deviation),
            .value = make_linear(random, width, width, deviation),
            .output = make_linear(random, width, width, deviation)};
}

AttentionSteps attention(const Var& x, const Var& source, const Attention& w, int heads, const Attending& how) {
    const Var q = linear(x, w.query);                       // (n, D)  what each token looks for
    const Var k = linear(source, w.key);                    // (m, D)  what each token offers
    const Var v = linear(source, w.value);                  // (m, D)  what it hands over
    const Attended attended = attend(q, k, v, heads, how);  // (n, D)
    const Var output = linear(attended.context, w.output);  // (n, D)  the heads are mixed
    return {q, k, v, attended.weights, attended.context, output};
}

KeyValueCache make_cache(int sequences, int capacity, int width) {
    return {.sequences = sequences,
            .capacity = capacity,
            .filled = 0,
            .keys = Var(Matrix(sequences * capacity, width)),
            .values = Var(Matrix(sequences * capacity, width))};
}

static void append_to_each(Var& kept, const Var& fresh, const KeyValueCache& cache, int count) {
    for (int s = 0; s < cache.sequences; ++s)
        std::copy(fresh.value().row(s * count), fresh.value().row((s + 1) * count),
                  kept.value().row(s * cache.capacity + cache.filled));
}

AttentionSteps attention(const Var& x, const Attention& w, int heads, KeyValueCache& cache) {
    require(cache.sequences > 0 && x.rows() % cache.sequences == 0, "attention: ", x.rows(), " new tokens for a cache of ",
            cache.sequences, " sequences");
    const int count = x.rows() / cache.sequences;  // new tokens of each sequence
    require(cache.filled + count <= cache.capacity, "attention: the cache holds ", cache.filled, " of ", cache.capacity,
            " tokens, ", count, " more do not fit");
    const Var q = linear(x, w.query);  // (sequences * count, D)
    const Var k = linear(x, w.key);
    const Var v = linear(x, w.value);
    append_to_each(cache.keys, k, cache, count);
    append_to_each(cache.values, v, cache, count);
    cache.filled += count;
    Attending how{.segments = Segments::equal(cache.sequences, count)};
    if (count > 1) how.may = causal(count, cache.filled);  // a single new token may see everything before it anyway
    for (int s = 0; s < cache.sequences; ++s) how.key_segments.list.push_back({s * cache.capacity, cache.filled});
    const Attended attended = attend(q, cache.keys, cache.values, heads, how);
    const Var output = linear(attended.context, w.output);
    return {q, k, v, attended.weights, attended.context, output};
}
