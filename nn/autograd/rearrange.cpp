#include "nn/autograd/rearrange.h"

#include <algorithm>
#include <utility>

#include "nn/autograd/formula.h"

// --- transpose and reshape ---

// forward   y = x^T
// backward  dx = dy^T
static void transpose_backward(Record& y) { add_gradient(y.inputs[0], transpose(y.gradient)); }

static Explained transpose_explained(const Record&, const std::vector<Var>&) {
    return {.value = "a(j,i)", .gradients = {"dy(j,i)"}};
}

Var transpose(const Var& a, Where where) {
    return record_operation("transpose", transpose(a.value()), {a}, {transpose_backward, transpose_explained}, where);
}

// forward   the same numbers in another shape
// backward  the same gradients in the old shape
static void reshape_backward(Record& y) {
    Var& x = y.inputs[0];
    add_gradient(x, reshape(y.gradient, x.rows(), x.cols()));
}

static Explained reshape_explained(const Record&, const std::vector<Var>&) {
    return {.value = "let(n, i * cols(y) + j, a(floor(n / cols(a)), mod(n, cols(a))))",
            .gradients = {"let(n, i * cols(a) + j, dy(floor(n / cols(y)), mod(n, cols(y))))"}};
}

Var reshape(const Var& a, int rows, int cols, Where where) {
    return record_operation("reshape", reshape(a.value(), rows, cols), {a}, {reshape_backward, reshape_explained}, where);
}

// --- slices ---

namespace {
struct SliceRecord : Record {
    int first = 0;
};
}  // namespace

static SliceRecord* slice_record(int first) {
    SliceRecord* const record = new SliceRecord;
    record->first = first;
    return record;
}

// forward   y_i = x_(first + i)
// backward  dx_(first + i) += dy_i
static void slice_rows_backward(Record& y) {
    const int first = static_cast<SliceRecord&>(y).first;
    Matrix& dx = gradient_to_add_to(y.inputs[0]);
    for (int i = 0; i < y.gradient.rows; ++i)
        for (int j = 0; j < y.gradient.cols; ++j) dx(first + i, j) += y.gradient(i, j);
}

static Explained slice_rows_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "a(first + i,j)",
            .gradients = {"if(i < first, 0, if(first + rows(y) <= i, 0, dy(i - first,j)))"},
            .tables = {{"first", {static_cast<float>(static_cast<const SliceRecord&>(y).first)}}}};
}

Var slice_rows(const Var& a, int first, int count, Where where) {
    require(first >= 0 && count >= 0 && first <= a.rows() - count, where, "slice_rows: rows ", first, " to ", first + count - 1,
            " of ", a.value(), ", counted from 0");
    return record_operation(slice_record(first), "slice_rows", slice_rows(a.value(), first, count), {a},
                            {slice_rows_backward, slice_rows_explained}, where);
}

// forward   y(i, j) = x(i, first + j)
// backward  dx(i, first + j) += dy(i, j)
static void slice_cols_backward(Record& y) {
    const int first = static_cast<SliceRecord&>(y).first;
    Matrix& dx = gradient_to_add_to(y.inputs[0]);
    for (int i = 0; i < y.gradient.rows; ++i)
        for (int j = 0; j < y.gradient.cols; ++j) dx(i, first + j) += y.gradient(i, j);
}

static Explained slice_cols_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "a(i,first + j)",
            .gradients = {"if(j < first, 0, if(first + cols(y) <= j, 0, dy(i,j - first)))"},
            .tables = {{"first", {static_cast<float>(static_cast<const SliceRecord&>(y).first)}}}};
}

Var slice_cols(const Var& a, int first, int count, Where where) {
    require(first >= 0 && count >= 0 && first <= a.cols() - count, where, "slice_cols: columns ", first, " to ",
            first + count - 1, " of ", a.value(), ", counted from 0");
    return record_operation(slice_record(first), "slice_cols", slice_cols(a.value(), first, count), {a},
                            {slice_cols_backward, slice_cols_explained}, where);
}

// --- joining ---

// Which part each row, or column, of the result comes from, and where each part begins.
static std::map<std::string, std::vector<float>> parts_table(const std::vector<Var>& parts, int Matrix::*size) {
    std::vector<float> part, first;
    for (std::size_t p = 0; p < parts.size(); ++p) {
        first.push_back(static_cast<float>(part.size()));
        part.insert(part.end(), static_cast<std::size_t>(parts[p].value().*size), static_cast<float>(p));
    }
    return {{"part", part}, {"first", first}};
}

// forward   y = the parts stacked vertically
// backward  each part gets its rows of dy
static void concat_rows_backward(Record& y) {
    int first = 0;
    for (Var& part : y.inputs) {
        if (part.requires_gradient()) add_gradient(part, slice_rows(y.gradient, first, part.rows()));
        first += part.rows();
    }
}

static Explained concat_rows_explained(const Record&, const std::vector<Var>& inputs) {
    return {.value = "input(part(i), i - first(part(i)), j)",
            .gradients = {"dy(i + first(p),j)"},
            .tables = parts_table(inputs, &Matrix::rows)};
}

Var concat_rows(const std::vector<Var>& parts, Where where) {
    require(!parts.empty(), where, "concat_rows: nothing to join; give at least one matrix");
    int rows = 0;
    for (const Var& part : parts) {
        require(part.cols() == parts[0].cols(), where, "concat_rows: ", part.value(), " below ", parts[0].value(),
                ", all must have the same number of columns");
        rows += part.rows();
    }
    Matrix joined = Matrix::unset(rows, parts[0].cols());
    float* to = joined.begin();
    for (const Var& part : parts) to = std::copy(part.value().begin(), part.value().end(), to);
    return record_operation("concat_rows", std::move(joined), parts, {concat_rows_backward, concat_rows_explained}, where);
}

// forward   y = the parts side by side
// backward  each part gets its columns of dy
static void concat_cols_backward(Record& y) {
    int first = 0;
    for (Var& part : y.inputs) {
        if (part.requires_gradient()) add_gradient(part, slice_cols(y.gradient, first, part.cols()));
        first += part.cols();
    }
}

static Explained concat_cols_explained(const Record&, const std::vector<Var>& inputs) {
    return {.value = "input(part(j), i, j - first(part(j)))",
            .gradients = {"dy(i,j + first(p))"},
            .tables = parts_table(inputs, &Matrix::cols)};
}

Var concat_cols(const std::vector<Var>& parts, Where where) {
    require(!parts.empty(), where, "concat_cols: nothing to join; give at least one matrix");
    int cols = 0;
    for (const Var& part : parts) {
        require(part.rows() == parts[0].rows(), where, "concat_cols: ", part.value(), " beside ", parts[0].value(),
                ", all must have the same number of rows");
        cols += part.cols();
    }
    Matrix joined = Matrix::unset(parts[0].rows(), cols);
    int first = 0;
    for (const Var& part : parts) {
        for (int i = 0; i < joined.rows; ++i) std::copy_n(part.value().row(i), part.cols(), joined.row(i) + first);
        first += part.cols();
    }
    return record_operation("concat_cols", std::move(joined), parts, {concat_cols_backward, concat_cols_explained}, where);
}

// --- gathering ---

namespace {
struct GatherRecord : Record {
    std::vector<int> indices;
};
}  // namespace

static std::map<std::string, std::vector<float>> index_table(const Record& y) {
    const std::vector<int>& indices = static_cast<const GatherRecord&>(y).indices;
    return {{"index", {indices.begin(), indices.end()}}};
}

// forward   y_i = x_indices[i]
// backward  dx_indices[i] += dy_i (scatter-add)
static void gather_rows_backward(Record& y) {
    const std::vector<int>& indices = static_cast<GatherRecord&>(y).indices;
    Matrix& dx = gradient_to_add_to(y.inputs[0]);
    for (int i = 0; i < y.gradient.rows; ++i) {
        const float* const from = y.gradient.row(i);
        float* const to = dx.row(indices[i]);
        for (int j = 0; j < dx.cols; ++j) to[j] += from[j];
    }
}

static Explained gather_rows_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "a(index(i),j)", .gradients = {"sum(k, rows(y), if(index(k) == i, dy(k,j), 0))"}, .tables = index_table(y)};
}

Var gather_rows(const Var& a, const std::vector<int>& indices, Where where) {
    Matrix gathered = Matrix::unset(static_cast<int>(indices.size()), a.cols());
    for (int i = 0; i < gathered.rows; ++i) {
        require(indices[i] >= 0 && indices[i] < a.rows(), where, "gather_rows: row ", indices[i], " of ", a.value(),
                ", counted from 0");
        std::copy_n(a.value().row(indices[i]), a.cols(), gathered.row(i));
    }
    GatherRecord* const record = new GatherRecord;
    record->indices = indices;
    return record_operation(record, "gather_rows", std::move(gathered), {a}, {gather_rows_backward, gather_rows_explained},
                            where);
}

// forward   y(i, j) = x(i, columns[j])
// backward  dx(i, columns[j]) += dy(i, j)
static void gather_cols_backward(Record& y) {
    const std::vector<int>& columns = static_cast<GatherRecord&>(y).indices;
    Matrix& dx = gradient_to_add_to(y.inputs[0]);
    for (int i = 0; i < y.gradient.rows; ++i) {
        const float* const from = y.gradient.row(i);
        float* const to = dx.row(i);
        for (int j = 0; j < y.gradient.cols; ++j) to[columns[j]] += from[j];
    }
}

static Explained gather_cols_explained(const Record& y, const std::vector<Var>&) {
    return {.value = "a(i,index(j))", .gradients = {"sum(k, cols(y), if(index(k) == j, dy(i,k), 0))"}, .tables = index_table(y)};
}

Var gather_cols(const Var& a, const std::vector<int>& columns, Where where) {
    for (const int column : columns)
        require(column >= 0 && column < a.cols(), where, "gather_cols: column ", column, " of ", a.value(), ", counted from 0");
    Matrix gathered = Matrix::unset(a.rows(), static_cast<int>(columns.size()));
    for (int i = 0; i < gathered.rows; ++i) {
        const float* const from = a.value().row(i);
        float* const to = gathered.row(i);
        for (int j = 0; j < gathered.cols; ++j) to[j] = from[columns[j]];
    }
    GatherRecord* const record = new GatherRecord;
    record->indices = columns;
    return record_operation(record, "gather_cols", std::move(gathered), {a}, {gather_cols_backward, gather_cols_explained},
                            where);
}

// forward   y_i = x_indices[i count], x_indices[i count + 1], ... side by side; -1 is a row of zeros
// backward  each of them adds its columns of dy_i
static void gather_side_by_side_backward(Record& y) {
    const std::vector<int>& indices = static_cast<GatherRecord&>(y).indices;
    Matrix& dx = gradient_to_add_to(y.inputs[0]);
    const float* from = y.gradient.begin();
    for (const int index : indices) {
        if (index >= 0) {
            float* const to = dx.row(index);
            for (int j = 0; j < dx.cols; ++j) to[j] += from[j];
        }
        from += dx.cols;
    }
}

static Explained gather_side_by_side_explained(const Record& y, const std::vector<Var>&) {
    return {
        .value = "let(n, index(i * cols(y) / cols(a) + floor(j / cols(a))), if(n < 0, 0, a(n, mod(j, cols(a)))))",
        .gradients =
            {"let(m, cols(y) / cols(a), sum(k, rows(y) * m, if(index(k) == i, dy(floor(k / m), mod(k, m) * cols(a) + j), 0)))"},
        .tables = index_table(y)};
}

Var gather_side_by_side(const Var& a, const std::vector<int>& indices, int count, Where where) {
    require(count > 0 && indices.size() % count == 0, where, "gather_side_by_side: ", indices.size(),
            " indices do not split into groups of ", count);
    Matrix gathered = Matrix::unset(static_cast<int>(indices.size() / count), count * a.cols());
    float* to = gathered.begin();
    for (const int index : indices) {
        require(index >= -1 && index < a.rows(), where, "gather_side_by_side: row ", index, " of ", a.value(),
                ", -1 would be a row of zeros");
        to = index < 0 ? std::fill_n(to, a.cols(), 0.0f) : std::copy_n(a.value().row(index), a.cols(), to);
    }
    GatherRecord* const record = new GatherRecord;
    record->indices = indices;
    return record_operation(record, "gather_side_by_side", std::move(gathered), {a},
                            {gather_side_by_side_backward, gather_side_by_side_explained}, where);
}

// --- the same rows for every sequence of a batch ---

// forward   y_i = x_i + table_(i mod t)
// backward  dx = dy,  dtable_(i mod t) += dy_i
static void add_repeated_backward(Record& y) {
    Var& table = y.inputs[1];
    if (table.requires_gradient()) {
        Matrix& dtable = gradient_to_add_to(table);
        for (int i = 0; i < y.gradient.rows; ++i) {
            const float* const from = y.gradient.row(i);
            float* const to = dtable.row(i % dtable.rows);
            for (int j = 0; j < dtable.cols; ++j) to[j] += from[j];
        }
    }
    add_gradient(y.inputs[0], y.gradient);
}

static Explained add_repeated_explained(const Record&, const std::vector<Var>&) {
    return {.value = "a(i,j) + b(mod(i, rows(b)),j)",
            .gradients = {"dy(i,j)", "sum(k, rows(y) / rows(b), dy(k * rows(b) + i,j))"}};
}

Var add_repeated(const Var& a, const Var& table, Where where) {
    require(table.rows() > 0 && a.rows() % table.rows() == 0 && a.cols() == table.cols(), where, "add_repeated: ", table.value(),
            " does not fit a whole number of times into ", a.value(),
            "; it must have as many columns, and its rows must divide the other's");
    Matrix total = a.value();
    for (int i = 0; i < total.rows; ++i) {
        const float* const from = table.value().row(i % table.rows());
        float* const to = total.row(i);
        for (int j = 0; j < total.cols; ++j) to[j] += from[j];
    }
    return record_operation("add_repeated", std::move(total), {a, table}, {add_repeated_backward, add_repeated_explained}, where);
}

// forward   y = row, x_0 ... x_(group-1), row, x_group ... and so on
// backward  drow = the sum of dy where the row was put, dx = the rest
static void prepend_to_each_backward(Record& y) {
    Var& row = y.inputs[0];
    Var& x = y.inputs[1];
    const int groups = y.gradient.rows - x.rows();  // one more row for each group
    const int group = x.rows() / groups;
    Matrix drow(1, row.cols());
    Matrix dx = Matrix::unset(x.rows(), x.cols());
    for (int g = 0; g < groups; ++g) {
        const float* const from = y.gradient.row(g * (group + 1));
        for (int j = 0; j < drow.cols; ++j) drow(0, j) += from[j];
        std::copy_n(from + drow.cols, static_cast<std::size_t>(group) * drow.cols, dx.row(g * group));
    }
    add_gradient(row, std::move(drow));
    add_gradient(x, std::move(dx));
}

static Explained prepend_to_each_explained(const Record&, const std::vector<Var>&) {
    return {.value = "let(g, rows(b) / (rows(y) - rows(b)) + 1, if(mod(i, g) == 0, a(0,j), b(i - floor(i / g) - 1,j)))",
            .gradients = {"let(g, rows(b) / (rows(y) - rows(b)) + 1, sum(k, rows(y) / g, dy(k * g,j)))",
                          "dy(i + floor(i / (rows(b) / (rows(y) - rows(b)))) + 1,j)"}};
}

Var prepend_to_each(const Var& row, const Var& a, int group, Where where) {
    require(group > 0 && a.rows() > 0 && a.rows() % group == 0, where, "prepend_to_each: ", a.value(),
            " does not split into groups of ", group, " rows");
    require(row.rows() == 1 && row.cols() == a.cols(), where, "prepend_to_each: the row is ", row.value(), ", expected (1, ",
            a.cols(), ")");
    const int groups = a.rows() / group;
    Matrix joined = Matrix::unset(groups * (group + 1), a.cols());
    for (int g = 0; g < groups; ++g) {
        float* const to = std::copy_n(row.value().begin(), row.cols(), joined.row(g * (group + 1)));
        std::copy_n(a.value().row(g * group), static_cast<std::size_t>(group) * a.cols(), to);
    }
    return record_operation("prepend_to_each", std::move(joined), {row, a}, {prepend_to_each_backward, prepend_to_each_explained},
                            where);
}

Var drop_first_of_each(const Var& a, int group, Where where) {
    require(group > 1 && a.rows() % group == 0, where, "drop_first_of_each: ", a.value(), " does not split into groups of ",
            group, " rows");
    std::vector<int> others;
    for (int i = 0; i < a.rows(); ++i)
        if (i % group != 0) others.push_back(i);
    return gather_rows(a, others, where);
}
