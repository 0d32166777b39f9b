#include "nn/layers/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "nn/autograd/attention_formula.h"
#include "nn/autograd/hook.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/functions.h"
#include "nn/base/matmul.h"
#include "nn/base/parallel.h"

// --- the textbook: one query at a time ---

static const float minus_infinity = -std::numeric_limits<float>::infinity();

static void require_whole_heads(const Matrix& q, const Matrix& k, const Matrix& v, int heads) {
    require(heads > 0 && q.cols > 0 && q.cols % heads == 0, "attend_textbook: ", heads, " heads do not divide a width of ",
            q.cols);
    const int h = q.cols / heads, groups = k.cols / h;
    require(groups > 0 && k.cols == groups * h && heads % groups == 0 && v.cols % groups == 0, "attend_textbook: q ", q, " has ",
            heads, " heads of width ", h, ", k ", k, " must hold a number of such heads that divides ", heads, ", and v ", v,
            " as many");
}

// attention() rotates, and adds to the cache, before it calls these.
static void require_no_rotation(const Attending& how, Where where) {
    require(how.rotary.base == 0 && how.cache == nullptr, where,
            "attend: a rotation or a cache is given, which attention() applies to the projected queries and keys; call that");
}

static void require_fitting(const Matrix& q, const Matrix& k, const Matrix& v, int heads, const Attending& how, Where where);

Matrix attend_textbook(const Matrix& q, const Matrix& k, const Matrix& v, int heads, const Attending& how) {
    require_whole_heads(q, k, v, heads);
    require_fitting(q, k, v, heads, how, Where::current());
    const int h = q.cols / heads, groups = k.cols / h, value_width = v.cols / groups;
    const float scale = how.scale != 0 ? how.scale : 1 / std::sqrt(static_cast<float>(h));
    const Segments queries = how.segments.list.empty() ? Segments::one(q.rows) : how.segments;
    const Segments keys = !how.key_segments.list.empty() ? how.key_segments
                          : how.segments.list.empty()    ? Segments::one(k.rows)
                                                         : queries;
    Matrix context(q.rows, heads * value_width);
    int first_weight_row = 0;  // of the segment, where the bias is given for each
    for (int s = 0; s < queries.size(); ++s) {
        const Segment query_rows = queries.list[s], key_rows = keys.list[s];
        for (int head = 0; head < heads; ++head) {
            const int group = head / (heads / groups);
            for (int i = 0; i < query_rows.count; ++i) {
                const int query = query_rows.first + i;
                const int mask_row = how.may.queries == query_rows.count ? i : query;
                std::vector<float> weights(key_rows.count);  // first scores
                for (int j = 0; j < key_rows.count; ++j) {
                    double score = 0;
                    for (int d = 0; d < h; ++d)
                        score += static_cast<double>(q(query, head * h + d)) * k(key_rows.first + j, group * h + d);
                    score *= scale;
                    if (how.bias) {
                        const bool shared = how.bias.rows() == heads * queries.longest();
                        const int row = shared ? head * queries.longest() + i : first_weight_row + head * query_rows.count + i;
                        score += how.bias.value()(row, j);
                    }
                    const bool allowed = how.may.allows_all() || how.may(mask_row, j);
                    weights[j] = allowed ? static_cast<float>(score) : minus_infinity;
                }
                softmax_in_place(weights.data(), key_rows.count);
                for (int d = 0; d < value_width; ++d) {
                    double sum = 0;
                    for (int j = 0; j < key_rows.count; ++j)
                        sum += static_cast<double>(weights[j]) * v(key_rows.first + j, group * value_width + d);
                    context(query, head * value_width + d) = static_cast<float>(sum);
                }
            }
        }
        first_weight_row += heads * query_rows.count;
    }
    return context;
}

// --- the same with matrix products ---
//
// For each segment and head, q k^T and A v are two products. Under a mask the queries are taken in pieces, and each piece reads
// only the keys from the first to the last that one of its queries may attend to: a causal mask saves half of the scores.

namespace {

// Some queries of one segment, and the range of keys that they need.
struct Piece {
    int segment;
    int first, count;        // queries, counted in the segment
    int first_key, end_key;  // keys, counted in the segment
};

constexpr int piece_rows = 128;
constexpr long whole_limit = 1 << 18;  // most scores of a head that are computed at once without a mask

// Sizes and ranges that forward and backward share.
struct Plan {
    Segments queries, keys;
    std::vector<int> first_weight_row;  // of each segment, in the matrix of all weights
    std::vector<Piece> pieces;
    MayAttend may;
    int heads, key_heads;         // H, G
    int head_width, value_width;  // h, hv
    float scale;
    bool bias_of_segments;  // each segment has its own bias, laid out as the weights

    int key_head(int head) const { return head / (heads / key_heads); }
    int weight_row(int segment, int head) const { return first_weight_row[segment] + head * queries.list[segment].count; }
    int bias_row(int segment, int head) const { return bias_of_segments ? weight_row(segment, head) : head * queries.longest(); }
    // The row of the mask for query i of a segment, whether each segment has its own rows or all share them.
    int mask_row(int segment, int i) const {
        const Segment& s = queries.list[segment];
        return may.queries == s.count ? i : s.first + i;
    }
    const char* allowed(int segment, int i) const {
        return &may.table[static_cast<std::size_t>(mask_row(segment, i)) * may.keys];
    }
};

struct AttentionRecord : Record {
    Plan plan;
    Var weights;
};

}  // namespace

static void check_segments(const char* name, const Segments& segments, int rows, Where where) {
    for (const Segment& segment : segments.list)
        require(segment.first >= 0 && segment.count >= 0 && segment.first <= rows - segment.count, where,
                "attend: the segment of rows ", segment.first, " to ", segment.first + segment.count, " is outside ", name,
                ", which has ", rows, " rows");
}

// A query in two segments would be computed twice, each time for another sequence; one in none would attend to nothing. Keys may
// serve several segments, or none: a cache has rows that are not filled yet.
static void check_queries_once(const Segments& segments, int rows, Where where) {
    std::vector<Segment> list = segments.list;
    std::sort(list.begin(), list.end(), [](const Segment& a, const Segment& b) { return a.first < b.first; });
    int end = 0;  // of the rows before this segment
    for (const Segment& segment : list) {
        if (segment.count == 0) continue;
        require(segment.first >= end, where, "attend: two segments hold row ", segment.first,
                " of q; a row belongs to one sequence");
        if (segment.first > end) break;
        end = segment.first + segment.count;
    }
    require(end == rows, where, "attend: no segment holds row ", end, " of q, which has ", rows,
            "; each belongs to one sequence");
}

static void check_mask(const Plan& plan, Where where) {
    require(plan.may.table.size() == static_cast<std::size_t>(plan.may.queries) * plan.may.keys, where, "attend: a mask of ",
            plan.may.queries, " queries and ", plan.may.keys, " keys holds ", plan.may.table.size(),
            " entries, one for each pair is needed");
    for (int s = 0; s < plan.queries.size(); ++s) {
        const Segment queries = plan.queries.list[s];
        const bool of_batch = plan.may.queries == plan.queries.rows();
        require(of_batch || plan.may.queries == queries.count, where, "attend: a mask for ", plan.may.queries,
                " queries meets a segment of ", queries.count, " and a batch of ", plan.queries.rows(),
                "; it must have a row for each query of one of them");
        require(plan.may.keys >= plan.keys.list[s].count, where, "attend: a mask for ", plan.may.keys,
                " keys meets a segment of ", plan.keys.list[s].count, "; it must have a column for each of them");
    }
}

static void check_bias(Plan& plan, const Var& bias, Where where) {
    const int shared_rows = plan.heads * plan.queries.longest(), all_rows = plan.heads * plan.queries.rows();
    plan.bias_of_segments = bias.rows() != shared_rows;
    require((bias.rows() == shared_rows || bias.rows() == all_rows) && bias.cols() == plan.keys.longest(), where,
            "attend: the bias is ", bias.value(), ", ", plan.heads, " heads of ", plan.queries.longest(), " queries and ",
            plan.keys.longest(), " keys need (", shared_rows, ", ", plan.keys.longest(), "), or (", all_rows, ", ",
            plan.keys.longest(), ") for all segments");
}

// Narrows the keys of a piece to the range that its queries may attend to.
static void narrow_to_mask(Piece& piece, const Plan& plan) {
    const int m = piece.end_key;
    int first = m, end = 0;
    for (int i = piece.first; i < piece.first + piece.count; ++i) {
        const char* const may = plan.allowed(piece.segment, i);
        for (int j = 0; j < first; ++j)
            if (may[j]) first = j;
        for (int j = m; j > end; --j)
            if (may[j - 1]) end = j;
    }
    piece.first_key = std::min(first, end);
    piece.end_key = end;
}

static std::vector<Piece> cut_into_pieces(const Plan& plan) {
    std::vector<Piece> pieces;
    for (int s = 0; s < plan.queries.size(); ++s) {
        const int n = plan.queries.list[s].count, m = plan.keys.list[s].count;
        const bool at_once = n <= piece_rows || (plan.may.allows_all() && static_cast<long>(n) * m <= whole_limit);
        const int count = at_once ? 1 : (n + piece_rows - 1) / piece_rows;
        for (int p = 0; p < count; ++p) {
            const int first = static_cast<int>(static_cast<long>(n) * p / count),
                      end = static_cast<int>(static_cast<long>(n) * (p + 1) / count);
            Piece piece{.segment = s, .first = first, .count = end - first, .first_key = 0, .end_key = m};
            if (!plan.may.allows_all()) narrow_to_mask(piece, plan);
            pieces.push_back(piece);
        }
    }
    return pieces;
}

static Plan make_plan(const Var& q, const Var& k, const Var& v, int heads, const Attending& how, Where where) {
    require(k.rows() == v.rows(), where, "attend: k ", k.value(), " and v ", v.value(), " must have the same number of rows");
    require(heads > 0 && q.cols() % heads == 0, where, "attend: ", heads, " heads do not divide a width of ", q.cols());
    require(how.scale >= 0 && std::isfinite(how.scale), where, "attend: a scale of ", how.scale,
            ", it must be a number above 0, or 0 for 1 / sqrt(head width)");
    Plan plan;
    plan.heads = heads;
    plan.head_width = q.cols() / heads;
    require(plan.head_width > 0 && k.cols() > 0 && k.cols() % plan.head_width == 0 && heads % (k.cols() / plan.head_width) == 0,
            where, "attend: q ", q.value(), " has ", heads, " heads of width ", plan.head_width, ", k ", k.value(),
            " must hold a number of such heads that divides ", heads);
    plan.key_heads = k.cols() / plan.head_width;
    require(v.cols() > 0 && v.cols() % plan.key_heads == 0, where, "attend: v ", v.value(), " must hold ", plan.key_heads,
            " heads as k ", k.value(), " does");
    plan.value_width = v.cols() / plan.key_heads;
    plan.queries = how.segments.list.empty() ? Segments::one(q.rows()) : how.segments;
    plan.keys = !how.key_segments.list.empty() ? how.key_segments
                : how.segments.list.empty()    ? Segments::one(k.rows())
                                               : how.segments;
    plan.may = how.may;
    plan.scale = how.scale != 0 ? how.scale : 1 / std::sqrt(static_cast<float>(plan.head_width));
    plan.bias_of_segments = false;
    require(plan.queries.size() == plan.keys.size(), where, "attend: ", plan.queries.size(), " segments of queries but ",
            plan.keys.size(), " of keys");
    check_segments("q", plan.queries, q.rows(), where);
    check_segments("k", plan.keys, k.rows(), where);
    check_queries_once(plan.queries, q.rows(), where);
    if (!plan.may.allows_all()) check_mask(plan, where);
    if (how.bias) check_bias(plan, how.bias, where);
    int row = 0;
    for (const Segment& segment : plan.queries.list) {
        plan.first_weight_row.push_back(row);
        row += heads * segment.count;
    }
    plan.pieces = cut_into_pieces(plan);
    return plan;
}

// The part of a matrix of queries, or of keys or values, that belongs to a piece and a head.
static Slice query_part(const Matrix& q, const Plan& plan, const Piece& piece, int head, int width) {
    return part(q, plan.queries.list[piece.segment].first + piece.first, piece.count, head * width, width);
}
static OutSlice query_part(Matrix& q, const Plan& plan, const Piece& piece, int head, int width) {
    return part(q, plan.queries.list[piece.segment].first + piece.first, piece.count, head * width, width);
}
static Slice key_part(const Matrix& k, const Plan& plan, const Piece& piece, int head, int width) {
    return part(k, plan.keys.list[piece.segment].first + piece.first_key, piece.end_key - piece.first_key,
                plan.key_head(head) * width, width);
}
static OutSlice key_part(Matrix& k, const Plan& plan, const Piece& piece, int head, int width) {
    return part(k, plan.keys.list[piece.segment].first + piece.first_key, piece.end_key - piece.first_key,
                plan.key_head(head) * width, width);
}

// A = softmax(scale q k^T + bias, where allowed) of one piece and head: (queries of the piece, keys of the piece).
static void piece_weights(OutSlice A, const Plan& plan, const Matrix& q, const Matrix& k, const Var& bias, const Piece& piece,
                          int head) {
    const Slice q_head = query_part(q, plan, piece, head, plan.head_width);  // (n, h)
    const Slice k_head = key_part(k, plan, piece, head, plan.head_width);    // (m, h)
    multiply(A, q_head, transposed(k_head));                                 // (n, m)  scores
    for (int i = 0; i < A.rows; ++i) {
        float* const scores = A.first + i * A.row_step;
        for (int j = 0; j < A.cols; ++j) scores[j] *= plan.scale;
        if (bias) {
            const float* const b = bias.value().row(plan.bias_row(piece.segment, head) + piece.first + i) + piece.first_key;
            for (int j = 0; j < A.cols; ++j) scores[j] += b[j];
        }
        if (!plan.may.allows_all()) {
            const char* const may = plan.allowed(piece.segment, piece.first + i) + piece.first_key;
            for (int j = 0; j < A.cols; ++j)
                if (!may[j]) scores[j] = minus_infinity;
        }
        softmax_in_place(scores, A.cols);
    }
}

// forward   A = softmax(scale q k^T + bias),  context = A v, for every segment and head
// backward  dA = dcontext v^T,  dv = A^T dcontext,  ds = softmax backward of dA,  dbias = ds,
//           dq = scale ds k,  dk = scale ds^T q
static void piece_backward(const AttentionRecord& record, const Matrix& dcontext, Matrix& dq, Matrix& dk, Matrix& dv,
                           Matrix& dbias, const Piece& piece, int head) {
    const Plan& plan = record.plan;
    const int h = plan.head_width, hv = plan.value_width;
    const int n = piece.count, m = piece.end_key - piece.first_key;
    const Matrix& q = record.inputs[0].value();
    const Matrix& k = record.inputs[1].value();
    const Matrix& v = record.inputs[2].value();
    const int first_row = plan.weight_row(piece.segment, head) + piece.first;
    const Slice A = part(record.weights.value(), first_row, n, piece.first_key, m);   // (n, m)
    const Slice dcontext_head = query_part(dcontext, plan, piece, head, hv);          // (n, hv)
    multiply_add(key_part(dv, plan, piece, head, hv), transposed(A), dcontext_head);  // (m, hv)
    Matrix ds = Matrix::unset(n, m);                                                  // first dA, then ds
    multiply(whole(ds), dcontext_head, transposed(key_part(v, plan, piece, head, hv)));
    for (int i = 0; i < n; ++i) softmax_backward_row(A.first + i * A.row_step, ds.row(i), ds.row(i), m);
    if (!dbias.empty()) {
        const int first_bias_row = plan.bias_row(piece.segment, head) + piece.first;
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < m; ++j) dbias(first_bias_row + i, piece.first_key + j) += ds(i, j);
    }
    for (float& x : ds) x *= plan.scale;
    multiply_add(query_part(dq, plan, piece, head, h), whole(ds), key_part(k, plan, piece, head, h));              // (n, h)
    multiply_add(key_part(dk, plan, piece, head, h), transposed(whole(ds)), query_part(q, plan, piece, head, h));  // (m, h)
}

// Whether the products are large enough to be worth waking other threads.
static bool worth_sharing(const Plan& plan) {
    double multiplications = 0;
    for (const Piece& piece : plan.pieces)
        multiplications += 2.0 * plan.heads * piece.count * (piece.end_key - piece.first_key) * plan.head_width;
    return multiplications >= 1.5e6;
}

template <class Body>
static void for_each(int count, bool shared, const Body& body) {
    if (shared) return parallel_for(count, body);
    for (int i = 0; i < count; ++i) body(i);
}

// Query heads that share a key head run on one thread, which sums their dk and dv.
static void attend_backward(Record& record) {
    const AttentionRecord& kept = static_cast<AttentionRecord&>(record);
    const Plan& plan = kept.plan;
    const Var& bias = record.inputs[3];
    Matrix dq(record.inputs[0].rows(), record.inputs[0].cols());
    Matrix dk(record.inputs[1].rows(), record.inputs[1].cols());
    Matrix dv(record.inputs[2].rows(), record.inputs[2].cols());
    Matrix dbias = bias.requires_gradient() ? Matrix(bias.rows(), bias.cols()) : Matrix();
    const int sharing = plan.heads / plan.key_heads;
    for_each(plan.key_heads, worth_sharing(plan), [&](int group) {
        for (int head = group * sharing; head < (group + 1) * sharing; ++head)
            for (const Piece& piece : plan.pieces)
                if (piece.end_key > piece.first_key) piece_backward(kept, record.gradient, dq, dk, dv, dbias, piece, head);
    });
    add_gradient(record.inputs[0], std::move(dq));
    add_gradient(record.inputs[1], std::move(dk));
    add_gradient(record.inputs[2], std::move(dv));
    if (!dbias.empty()) add_gradient(record.inputs[3], std::move(dbias));
}

// --- the same as formulas ---

// The numbers of the plan that the formulas name.
//   rows  of q
static std::map<std::string, std::vector<float>> plan_tables(const Plan& plan, int rows) {
    const int most_keys = plan.keys.longest();
    std::map<std::string, std::vector<float>> tables;
    const auto number = [&](const char* name, double x) { tables[name] = {static_cast<float>(x)}; };
    number("h", plan.head_width), number("hv", plan.value_width), number("heads", plan.heads), number("scale", plan.scale);
    number("shared", plan.heads / plan.key_heads), number("segments", plan.queries.size());
    number("most_keys", most_keys), number("most_queries", plan.queries.longest());
    std::vector<float> segment(rows), may(plan.may.allows_all() ? 0 : static_cast<std::size_t>(rows) * most_keys);
    for (int s = 0; s < plan.queries.size(); ++s) {
        const Segment queries = plan.queries.list[s], keys = plan.keys.list[s];
        const auto append = [&](const char* name, int x) { tables[name].push_back(static_cast<float>(x)); };
        append("first_query", queries.first), append("queries", queries.count), append("first_key", keys.first);
        append("keys", keys.count), append("first_weight", plan.first_weight_row[s]);
        std::fill_n(segment.begin() + queries.first, queries.count, static_cast<float>(s));
        for (int i = 0; i < queries.count && !may.empty(); ++i)
            std::copy_n(plan.allowed(s, i), keys.count, may.begin() + static_cast<long>(queries.first + i) * most_keys);
    }
    tables["segment"] = std::move(segment);
    if (!may.empty()) tables["may"] = std::move(may);
    return tables;
}

static Explained attend_explained(const Record& record, const std::vector<Var>& inputs) {
    const Plan& plan = static_cast<const AttentionRecord&>(record).plan;
    const bool biased = static_cast<bool>(inputs[3]);
    const AttendFormulas formulas{.masked = !plan.may.allows_all(), .biased = biased, .own_bias = plan.bias_of_segments};
    Explained explained = formulas.explained();
    explained.tables = plan_tables(plan, inputs[0].rows());
    return explained;
}

static Attended attend_in_steps(const Var& q, const Var& k, const Var& v, const Plan& plan, const Var& bias);

// The doors of attend(), for its specification.
static void require_fitting(const Matrix& q, const Matrix& k, const Matrix& v, int heads, const Attending& how, Where where) {
    require_no_rotation(how, where);
    make_plan(q, k, v, heads, how, where);
}

// With a tape or a KeepSteps the weights of all pieces and heads are kept; otherwise each piece has temporary ones.
Attended attend(const Var& q, const Var& k, const Var& v, int heads, const Attending& how, Where where) {
    require_no_rotation(how, where);
    Plan plan = make_plan(q, k, v, heads, how, where);
    if (hook_lives()) return attend_in_steps(q, k, v, plan, how.bias);
    const bool keep = steps_are_kept();
    Matrix weights = keep ? Matrix(heads * plan.queries.rows(), plan.keys.longest()) : Matrix();  // (segments * H * n, m)
    Matrix context(q.rows(), heads * plan.value_width);                                           // (n, H hv)
    for_each(heads, worth_sharing(plan), [&](int head) {
        for (const Piece& piece : plan.pieces) {
            const int n = piece.count, m = piece.end_key - piece.first_key;
            if (m == 0) continue;  // these queries may attend to no key: zeros
            Matrix own = keep ? Matrix() : Matrix::unset(n, m);
            const OutSlice A =
                keep ? part(weights, plan.weight_row(piece.segment, head) + piece.first, n, piece.first_key, m) : whole(own);
            piece_weights(A, plan, q.value(), k.value(), how.bias, piece, head);
            const Slice v_head = key_part(v.value(), plan, piece, head, plan.value_width);  // (m, hv)
            multiply(query_part(context, plan, piece, head, plan.value_width), A, v_head);  // (n, hv)   [Attention 1]
        }
    });
    AttentionRecord* const record = new AttentionRecord;
    record->plan = std::move(plan);
    if (keep) record->weights = Var(std::move(weights));
    const Var kept_weights = record->weights;
    return {
        record_operation(record, "attend", std::move(context), {q, k, v, how.bias}, {attend_backward, attend_explained}, where),
        kept_weights};
}

// --- the same operation by operation, for a hook: the weights are a recorded value of their own ---

// The additive mask of one segment: 0 where attention is allowed, minus infinity elsewhere. (queries, keys)
static Matrix forbidden(const Plan& plan, int segment) {
    Matrix m(plan.queries.list[segment].count, plan.keys.list[segment].count);
    for (int i = 0; i < m.rows; ++i)
        for (int j = 0; j < m.cols; ++j)
            if (!plan.allowed(segment, i)[j]) m(i, j) = minus_infinity;
    return m;
}

// The weights of one segment and head, (n, m), with columns of zeros where other segments have more keys.
static Var weights_in_steps(const Plan& plan, const Var& q, const Var& k, const Var& bias, int segment, int head) {
    const Segment queries = plan.queries.list[segment], keys = plan.keys.list[segment];
    const int h = plan.head_width;
    const Var q_head = slice_cols(slice_rows(q, queries.first, queries.count), head * h, h);           // (n, h)
    const Var k_head = slice_cols(slice_rows(k, keys.first, keys.count), plan.key_head(head) * h, h);  // (m, h)
    Var scores = scale(matmul_transposed(q_head, k_head), plan.scale);                                 // (n, m)
    if (bias) scores = add(scores, slice_cols(slice_rows(bias, plan.bias_row(segment, head), queries.count), 0, keys.count));
    if (!plan.may.allows_all()) scores = add(scores, forbidden(plan, segment));
    const Var A = softmax_rows(scores);  // (n, m)
    const int missing = plan.keys.longest() - keys.count;
    return missing == 0 ? A : concat_cols({A, Var(Matrix(queries.count, missing))});
}

static Attended attend_in_steps(const Var& q, const Var& k, const Var& v, const Plan& plan, const Var& bias) {
    std::vector<Var> heads_weights, rows;
    for (int segment = 0; segment < plan.queries.size(); ++segment)
        for (int head = 0; head < plan.heads; ++head) heads_weights.push_back(weights_in_steps(plan, q, k, bias, segment, head));
    const Var A = named_step("weights", concat_rows(heads_weights));  // (segments * H * n, m)
    int next_row = 0;                                                 // of the context
    for (int segment = 0; segment < plan.queries.size(); ++segment) {
        const Segment queries = plan.queries.list[segment], keys = plan.keys.list[segment];
        require(queries.first == next_row, "attend: under a hook, segments must lie one after the other");
        next_row += queries.count;
        std::vector<Var> contexts;
        for (int head = 0; head < plan.heads; ++head) {
            const Var A_head = slice_cols(slice_rows(A, plan.weight_row(segment, head), queries.count), 0, keys.count);
            const Var v_head =
                slice_cols(slice_rows(v, keys.first, keys.count), plan.key_head(head) * plan.value_width, plan.value_width);
            contexts.push_back(matmul(A_head, v_head));  // (n, hv)
        }
        rows.push_back(concat_cols(contexts));  // (n, H hv)
    }
    return {concat_rows(rows), A};
}

// --- with a cache ---

KeyValueCache make_cache(int sequences, int capacity, int key_width, int value_width) {
    require(value_width >= 0, "make_cache: values of width ", value_width, ", it cannot be below 0; 0 = as wide as the keys");
    require(sequences > 0 && capacity > 0 && key_width > 0, "make_cache: ", sequences, " sequences of ", capacity,
            " tokens with keys of width ", key_width, ", each must be at least 1");
    require(long{sequences} * capacity <= std::numeric_limits<int>::max(), "make_cache: ", sequences, " sequences of ", capacity,
            " tokens are more than 2147483647 rows, the maximum of a matrix");
    KeyValueCache cache{.sequences = sequences, .capacity = capacity};
    cache.keys = Var(Matrix(sequences * capacity, key_width));
    cache.values = Var(Matrix(sequences * capacity, value_width > 0 ? value_width : key_width));
    return cache;
}

KeyValueCache make_source_cache() { return {.of_source = true}; }

// Copies some rows of `from` to the rows of `to` from `first` on.
static void copy_segment(const Var& from, Segment rows, Var& to, int first) {
    if (rows.count > 0) std::copy(from.value().row(rows.first), from.value().row(rows.first + rows.count), to.value().row(first));
}

KeyValueCache select_sequences(const KeyValueCache& cache, const std::vector<int>& chosen) {
    const int before = cache.of_source ? cache.segments.size() : cache.sequences;
    require(!chosen.empty(), "select_sequences: none of ", before, " sequences is chosen; choose at least one");
    if (cache.of_source && !cache.keys) return cache;  // nothing has been read yet
    for (const int s : chosen)
        require(s >= 0 && s < before, "select_sequences: there is no sequence ", s, " among ", before, ", counted from 0");
    std::vector<int> lengths;
    for (const int s : chosen) lengths.push_back(cache.of_source ? cache.segments.list[s].count : cache.capacity);
    const Segments target = Segments::of(lengths);
    KeyValueCache selected = cache;
    selected.sequences = static_cast<int>(chosen.size());
    selected.keys = Var(Matrix(target.rows(), cache.keys.cols()));
    selected.values = Var(Matrix(target.rows(), cache.values.cols()));
    if (cache.of_source) selected.segments = target;
    for (std::size_t s = 0; s < chosen.size(); ++s) {
        const Segment rows = cache.of_source ? cache.segments.list[chosen[s]] : Segment{chosen[s] * cache.capacity, cache.filled};
        copy_segment(cache.keys, rows, selected.keys, target.list[s].first);
        copy_segment(cache.values, rows, selected.values, target.list[s].first);
    }
    return selected;
}

// Appends the new keys and values of each sequence to the cache, and sets the segments and the mask.
static void extend(KeyValueCache& cache, const Var& k, const Var& v, int count, Attending& how) {
    require(k.rows() == cache.sequences * count && v.rows() == k.rows(), "attention: keys ", k.value(), " and values ", v.value(),
            " for a cache of ", cache.sequences, " sequences with ", count,
            " new tokens each; each token has one of both, a source needs make_source_cache");
    require(k.cols() == cache.keys.cols() && v.cols() == cache.values.cols(), "attention: keys ", k.value(), " and values ",
            v.value(), " for a cache of keys of width ", cache.keys.cols(), " and values of width ", cache.values.cols(),
            "; make it with the configuration of the weights");
    for (int s = 0; s < cache.sequences; ++s) {
        copy_segment(k, {s * count, count}, cache.keys, s * cache.capacity + cache.filled);
        copy_segment(v, {s * count, count}, cache.values, s * cache.capacity + cache.filled);
    }
    cache.filled += count;
    how.segments = Segments::equal(cache.sequences, count);
    how.key_segments = {};
    for (int s = 0; s < cache.sequences; ++s) how.key_segments.list.push_back({s * cache.capacity, cache.filled});
    if (how.may.allows_all() && count > 1) how.may = causal(count, cache.filled);  // a single new token needs no mask
}

// --- with projections ---

// The given positions, or 0, 1, 2, ... in each segment, continuing after the tokens in the cache.
static std::vector<int> rotary_positions(const Attending& how, int rows, int new_tokens) {
    if (!how.rotary.positions.empty()) return how.rotary.positions;
    std::vector<int> positions(rows);
    if (how.cache != nullptr) {
        for (int i = 0; i < rows; ++i) positions[i] = how.cache->filled + i % new_tokens;
        return positions;
    }
    const Segments segments = how.segments.list.empty() ? Segments::one(rows) : how.segments;
    for (const Segment& segment : segments.list)
        for (int i = 0; i < segment.count; ++i) positions[segment.first + i] = i;
    return positions;
}

// The number of new tokens of each sequence.
static int check_cache(const KeyValueCache& cache, int rows) {
    require(cache.sequences > 0 && rows % cache.sequences == 0, "attention: ", rows, " new tokens for a cache of ",
            cache.sequences, " sequences; each needs the same number");
    const int count = rows / cache.sequences;
    const bool is_whole = cache.filled >= 0 && cache.keys && cache.values &&
                          long{cache.keys.rows()} == long{cache.sequences} * cache.capacity &&
                          cache.values.rows() == cache.keys.rows();
    require(is_whole, "attention: a cache of ", cache.sequences, " sequences of ", cache.capacity, " tokens, ", cache.filled,
            " of them filled, holds ", cache.keys ? cache.keys.rows() : 0,
            " rows of keys; make it with make_cache, and leave its members alone");
    require(cache.filled <= cache.capacity - count, "attention: the cache holds ", cache.filled, " of ", cache.capacity,
            " tokens, ", count, " more do not fit; make it with a larger capacity");
    return count;
}

AttentionSteps attention(const Sources& from, const Attention& w, int heads, const Attending& how) {
    AttentionSteps steps;
    Attending attending = how;
    KeyValueCache* const cache = how.cache;
    const bool of_source = cache != nullptr && cache->of_source;
    require(!of_source || how.rotary.base == 0,
            "attention: a rotation and a cache of a source; the keys of a source have no positions among the queries");
    const bool source_is_known = of_source && cache->keys;
    const int new_tokens = cache != nullptr && !of_source ? check_cache(*cache, from.query.rows()) : 0;
    steps.query = named_step("query", linear(from.query, w.query));                          // (n, H h)  what a token looks for
    steps.key = named_step("key", source_is_known ? cache->keys : linear(from.key, w.key));  // (m, G h)  what a token offers
    steps.value = named_step("value", source_is_known ? cache->values : linear(from.value, w.value));  // (m, G h)  what it gives
    Var q = steps.query, k = steps.key, v = steps.value;
    if (how.rotary.base != 0) {
        const int h = q.cols() / std::max(1, heads);
        const std::vector<int> positions = rotary_positions(how, q.rows(), new_tokens);
        q = steps.rotated_query = rotate(q, positions, h, how.rotary.base, how.rotary.layout);
        k = steps.rotated_key = rotate(k, positions, h, how.rotary.base, how.rotary.layout);
    }
    if (of_source) {
        if (!source_is_known) {
            cache->keys = Var(k.value());
            cache->values = Var(v.value());
            cache->segments = how.key_segments.list.empty() ? Segments::one(k.rows()) : how.key_segments;
        }
        attending.key_segments = cache->segments;
    } else if (cache != nullptr) {
        extend(*cache, k, v, new_tokens, attending);
        k = cache->keys;
        v = cache->values;
    }
    attending.rotary = {};
    attending.cache = nullptr;
    const Attended attended = attend(q, k, v, heads, attending);  // (n, H h)
    steps.weights = attended.weights;
    steps.context = named_step("context", attended.context);
    steps.output = named_step("attention_output", linear(steps.context, w.output));  // (n, D)  mixes the heads
    return steps;
}
