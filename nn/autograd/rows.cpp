#include "nn/autograd/rows.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/formula.h"
#include "nn/base/parallel.h"

// --- gathering ---

namespace {

struct IndicesRecord : Record {
    std::vector<int> indices;
};

}  // namespace

static IndicesRecord* indices_record(const std::vector<int>& indices) {
    IndicesRecord* const record = new IndicesRecord;
    record->indices = indices;
    return record;
}

static std::map<std::string, std::vector<float>> index_table(const Record& y) {
    const std::vector<int>& indices = static_cast<const IndicesRecord&>(y).indices;
    return {{"index", {indices.begin(), indices.end()}}};
}

static void require_rows(const char* name, const Var& x, const std::vector<int>& indices, Where where) {
    for (const int index : indices)
        require(index >= -1 && index < x.rows(), where, name, ": row ", index, " of ", x.value(), ", -1 would stand for nothing");
}

// dx_index(i,k) += w_ik dy_i for the rows first ... last - 1 of dx. Every thread reads the whole list but writes only its own
// rows: no two write to the same row, and each row is summed in the order of the list.
static void add_mixed_gradient(Matrix& dx, const Matrix& dy, const Matrix& w, const std::vector<int>& indices, int first,
                               int last) {
    for (int i = 0; i < dy.rows; ++i)
        for (int k = 0; k < w.cols; ++k) {
            const int index = indices[static_cast<std::size_t>(i) * w.cols + k];
            if (index < first || index >= last) continue;
            const float weight = w(i, k);
            const float* const from = dy.row(i);
            float* const to = dx.row(index);
            for (int j = 0; j < dy.cols; ++j) to[j] += weight * from[j];
        }
}

// forward   y_i = sum over k of w_ik x_index(i,k)
// backward  dx_index(i,k) += w_ik dy_i,  dw_ik = dy_i . x_index(i,k)
static void mix_rows_backward(Record& y) {
    const std::vector<int>& indices = static_cast<IndicesRecord&>(y).indices;
    Var& x = y.inputs[0];
    Var& weights = y.inputs[1];
    const Matrix& dy = y.gradient;  // (n, C)
    const Matrix& w = weights.value();
    const int K = w.cols, C = dy.cols;
    if (x.requires_gradient()) {
        Matrix& dx = gradient_to_add_to(x);
        const int parts = dy.size() * K < 2 * grain_of_numbers ? 1 : thread_count();
        parallel_for(parts, [&](int part) {
            const int first = static_cast<int>(static_cast<long>(dx.rows) * part / parts);
            const int last = static_cast<int>(static_cast<long>(dx.rows) * (part + 1) / parts);
            add_mixed_gradient(dx, dy, w, indices, first, last);
        });
    }
    if (weights.requires_gradient()) {
        Matrix& dw = gradient_to_add_to(weights);
        for (int i = 0; i < dy.rows; ++i)
            for (int k = 0; k < K; ++k) {
                const int index = indices[static_cast<std::size_t>(i) * K + k];
                if (index < 0) continue;
                const float* const row = x.value().row(index);
                double dot = 0;
                for (int j = 0; j < C; ++j) dot += static_cast<double>(dy(i, j)) * row[j];
                dw(i, k) += static_cast<float>(dot);
            }
    }
}

static Explained mix_rows_explained(const Record& y, const std::vector<Var>&) {
    return {
        .value = "let(f, i * cols(b), sum(k, cols(b), if(0 <= index(f + k), b(i,k) * a(index(f + k),j), 0)))",
        .gradients =
            {"sum(k, rows(b) * cols(b), if(index(k) == i, b(floor(k / cols(b)), mod(k, cols(b))) * dy(floor(k / cols(b)),j), 0))",
             "let(n, index(i * cols(b) + j), if(n < 0, 0, sum(k, cols(y), dy(i,k) * a(n,k))))"},
        .tables = index_table(y)};
}

Var mix_rows(const Var& x, const std::vector<int>& indices, const Var& weights, Where where) {
    const Matrix& w = weights.value();
    require(indices.size() == w.size(), where, "mix_rows: ", indices.size(), " indices for weights of shape ", w,
            ", every weight needs one");
    require_rows("mix_rows", x, indices, where);
    const Matrix& rows = x.value();
    Matrix y(w.rows, x.cols());
    parallel_ranges(w.rows, grain_of_rows(w.cols * y.cols), [&](std::size_t first, std::size_t last) {
        for (int i = static_cast<int>(first); i < static_cast<int>(last); ++i)
            for (int k = 0; k < w.cols; ++k) {
                const int index = indices[static_cast<std::size_t>(i) * w.cols + k];
                if (index < 0) continue;
                const float weight = w(i, k);
                const float* const from = rows.row(index);
                float* const to = y.row(i);
                for (int j = 0; j < y.cols; ++j) to[j] += weight * from[j];
            }
    });
    return record_operation(indices_record(indices), "mix_rows", std::move(y), {x, weights},
                            {mix_rows_backward, mix_rows_explained}, where);
}

// forward   y_ij = max over k of x(index(i,k), j)
// backward  dx(argmax, j) += dy_ij; of equal maxima the first
static void max_rows_backward(Record& y) {
    const std::vector<int>& winners = static_cast<IndicesRecord&>(y).indices;  // one for each element of y
    Matrix& dx = gradient_to_add_to(y.inputs[0]);
    for (int i = 0; i < y.gradient.rows; ++i)
        for (int j = 0; j < y.gradient.cols; ++j)
            dx(winners[static_cast<std::size_t>(i) * y.gradient.cols + j], j) += y.gradient(i, j);
}

static Explained max_rows_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "a(index(i * cols(y) + j),j)",
            .gradients = {"sum(k, rows(y), if(index(k * cols(y) + j) == i, dy(k,j), 0))"},
            .tables = index_table(y)};
}

Var max_rows(const Var& x, const std::vector<int>& indices, int count, Where where) {
    require(count > 0 && indices.size() % count == 0, where, "max_rows: ", indices.size(),
            " indices do not split into groups of ", count);
    require_rows("max_rows", x, indices, where);
    Matrix y = Matrix::unset(static_cast<int>(indices.size() / count), x.cols());
    std::vector<int> winners(y.size());  // the row of the maximum, for each element of y
    for (int i = 0; i < y.rows; ++i) {
        int* const winner = winners.data() + static_cast<std::size_t>(i) * y.cols;
        bool found = false;
        for (int k = 0; k < count; ++k) {
            const int index = indices[static_cast<std::size_t>(i) * count + k];
            if (index < 0) continue;
            const float* const row = x.value().row(index);
            for (int j = 0; j < y.cols; ++j) {
                if (found && !(row[j] > y(i, j)) && !std::isnan(row[j])) continue;
                y(i, j) = row[j];
                winner[j] = index;
            }
            found = true;
        }
        require(found, where, "max_rows: all of the ", count, " indices of row ", i, " are -1, a maximum needs at least one row");
    }
    return record_operation(indices_record(winners), "max_rows", std::move(y), {x}, {max_rows_backward, max_rows_explained},
                            where);
}

// --- segments ---

namespace {

struct SegmentsRecord : Record {
    Segments segments;
};

}  // namespace

static SegmentsRecord* segments_record(const Segments& segments) {
    SegmentsRecord* const record = new SegmentsRecord;
    record->segments = segments;
    return record;
}

// Where each segment begins and how many rows it has.
static std::map<std::string, std::vector<float>> segments_table(const Record& y) {
    std::vector<float> first, count;
    for (const Segment& segment : static_cast<const SegmentsRecord&>(y).segments.list) {
        first.push_back(static_cast<float>(segment.first));
        count.push_back(static_cast<float>(segment.count));
    }
    return {{"first", first}, {"count", count}};
}

// Of each row: where its segment begins and ends; a row outside all of them is a segment of its own.
static std::map<std::string, std::vector<float>> ends_table(const Record& y) {
    std::vector<float> begin, end;
    for (int i = 0; i < y.value.rows; ++i) {
        begin.push_back(static_cast<float>(i));
        end.push_back(static_cast<float>(i + 1));
    }
    for (const auto [first, count] : static_cast<const SegmentsRecord&>(y).segments.list)
        for (int i = first; i < first + count; ++i) {
            begin[i] = static_cast<float>(first);
            end[i] = static_cast<float>(first + count);
        }
    return {{"begin", begin}, {"end", end}};
}

static void require_inside(const char* name, const Var& x, const Segments& segments, Where where) {
    for (const Segment& segment : segments.list)
        require(segment.first >= 0 && segment.count >= 0 && segment.first <= x.rows() - segment.count, where, name,
                ": a segment of rows ", segment.first, " to ", segment.first + segment.count, " of ", x.value(),
                ", counted from 0");
}

// forward   y_s = sum over the rows i of segment s of x_i
// backward  dx_i += dy_s for every row i of segment s
static void segment_sums_backward(Record& y) {
    const Segments& segments = static_cast<SegmentsRecord&>(y).segments;
    Matrix& dx = gradient_to_add_to(y.inputs[0]);
    for (int s = 0; s < segments.size(); ++s) {
        const auto [first, count] = segments.list[s];
        for (int i = first; i < first + count; ++i)
            for (int j = 0; j < dx.cols; ++j) dx(i, j) += y.gradient(s, j);
    }
}

static Explained segment_sums_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "sum(k, count(i), a(first(i) + k,j))",
            .gradients = {"sum(k, rows(y), if((first(k) <= i) * (i < first(k) + count(k)), dy(k,j), 0))"},
            .tables = segments_table(y)};
}

Var segment_sums(const Var& x, const Segments& segments, Where where) {
    require_inside("segment_sums", x, segments, where);
    Matrix y = Matrix::unset(segments.size(), x.cols());
    std::vector<double> total(x.cols());  // of each column
    for (int s = 0; s < segments.size(); ++s) {
        const auto [first, count] = segments.list[s];
        std::fill(total.begin(), total.end(), 0.0);
        for (int i = first; i < first + count; ++i) {
            const float* const row = x.value().row(i);
            for (int j = 0; j < y.cols; ++j) total[j] += row[j];
        }
        for (int j = 0; j < y.cols; ++j) y(s, j) = static_cast<float>(total[j]);
    }
    return record_operation(segments_record(segments), "segment_sums", std::move(y), {x},
                            {segment_sums_backward, segment_sums_explained}, where);
}

// forward   y_i = sum of x_k over the rows k of the same segment with k < i
// backward  dx_k += sum of dy_i over the rows i of the same segment with i > k: a cumulative sum from the other end
static void sums_before_backward(Record& y) {
    const Segments& segments = static_cast<SegmentsRecord&>(y).segments;
    const Matrix& dy = y.gradient;
    Matrix& dx = gradient_to_add_to(y.inputs[0]);
    std::vector<double> total(dy.cols);
    for (const auto [first, count] : segments.list) {
        std::fill(total.begin(), total.end(), 0.0);
        for (int k = first + count - 1; k >= first; --k)
            for (int j = 0; j < dy.cols; ++j) {
                dx(k, j) += static_cast<float>(total[j]);
                total[j] += dy(k, j);
            }
    }
}

static Explained sums_before_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "sum(k, i - begin(i), a(begin(i) + k,j))",
            .gradients = {"sum(k, end(i) - i - 1, dy(i + 1 + k,j))"},
            .tables = ends_table(y)};
}

Var sums_before(const Var& x, const Segments& segments, Where where) {
    require_inside("sums_before", x, segments, where);
    Matrix y(x.rows(), x.cols());
    std::vector<bool> taken(x.rows());
    std::vector<double> total(x.cols());
    for (const auto [first, count] : segments.list) {
        std::fill(total.begin(), total.end(), 0.0);
        for (int i = first; i < first + count; ++i) {
            require(!taken[i], where, "sums_before: row ", i, " of ", x.value(), " lies in two segments, each may lie in one");
            taken[i] = true;
            for (int j = 0; j < y.cols; ++j) {
                y(i, j) = static_cast<float>(total[j]);
                total[j] += x.value()(i, j);
            }
        }
    }
    return record_operation(segments_record(segments), "sums_before", std::move(y), {x},
                            {sums_before_backward, sums_before_explained}, where);
}
