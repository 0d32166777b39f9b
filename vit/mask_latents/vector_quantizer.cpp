#include "vit/mask_latents/vector_quantizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/autograd/formula.h"
#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/base/functions.h"
#include "nn/training/loss.h"

// --- the nearest code ---

// forward   d_ik = sum over c of (x_ic - e_kc)^2
// backward  dx_i = 2 sum over k of dd_ik (x_i - e_k),   de_k = -2 sum over i of dd_ik (x_i - e_k)
static void squared_distances_backward(Record& d) {
    Var& x = d.inputs[0];
    Var& codebook = d.inputs[1];
    const Matrix& dd = d.gradient;  // (n, K)
    const int n = dd.rows, K = dd.cols, C = x.cols();
    std::vector<double> dx(static_cast<std::size_t>(n) * C), de(static_cast<std::size_t>(K) * C);
    for (int i = 0; i < n; ++i)
        for (int k = 0; k < K; ++k)
            for (int c = 0; c < C; ++c) {
                const double pull = 2.0 * dd(i, k) * (static_cast<double>(x.value()(i, c)) - codebook.value()(k, c));
                dx[static_cast<std::size_t>(i) * C + c] += pull;
                de[static_cast<std::size_t>(k) * C + c] -= pull;
            }
    Matrix of_vectors = Matrix::unset(n, C), of_codes = Matrix::unset(K, C);
    std::copy(dx.begin(), dx.end(), of_vectors.begin());
    std::copy(de.begin(), de.end(), of_codes.begin());
    add_gradient(x, std::move(of_vectors));
    add_gradient(codebook, std::move(of_codes));
}

static Explained squared_distances_explained(const Record&, const std::vector<Var>&) {
    return {
        .value = "sum(k, cols(a), (a(i,k) - b(j,k)) * (a(i,k) - b(j,k)))",
        .gradients = {"sum(k, cols(y), 2 * dy(i,k) * (a(i,j) - b(k,j)))", "sum(k, rows(y), 2 * dy(k,i) * (b(i,j) - a(k,j)))"}};
}

Var squared_distances(const Var& x, const Var& codebook, Where where) {
    require(x.cols() == codebook.cols(), where, "squared_distances: vectors ", x.value(), " and a codebook ", codebook.value(),
            ", both must have the same width");
    const int n = x.rows(), K = codebook.rows(), C = x.cols();
    std::vector<double> lengths(K);  // |e_k|^2
    for (int k = 0; k < K; ++k) lengths[k] = dot_in_double(codebook.value().row(k), codebook.value().row(k), C);
    Matrix d = Matrix::unset(n, K);  // (n, K)
    for (int i = 0; i < n; ++i) {
        const float* const row = x.value().row(i);
        const double length = dot_in_double(row, row, C);  // |x_i|^2
        for (int k = 0; k < K; ++k)
            d(i, k) = static_cast<float>(length - 2 * dot_in_double(row, codebook.value().row(k), C) + lengths[k]);
    }
    return record_operation("squared_distances", std::move(d), {x, codebook},
                            {squared_distances_backward, squared_distances_explained}, where);
}

std::vector<int> nearest_codes(const Matrix& distances) {
    require(distances.cols > 0, "nearest_codes: distances ", distances, ", there must be at least one code");
    std::vector<int> ids;
    for (int i = 0; i < distances.rows; ++i) {
        const float* const row = distances.row(i);
        const float* const nearest = std::min_element(row, row + distances.cols);
        require(!std::isnan(*nearest), "nearest_codes: a distance of row ", i, " is NaN; look for a NaN in the features");
        ids.push_back(static_cast<int>(nearest - row));
    }
    return ids;
}

Quantized quantize(const Var& x, const Var& codebook, Where where) {
    Quantized steps;
    steps.distances = squared_distances(x, codebook, where);  // (n, K)
    steps.ids = nearest_codes(steps.distances.value());       // (n)
    steps.codes = gather_rows(codebook, steps.ids, where);    // (n, C)
    steps.output = straight_through(steps.codes, x, where);   // (n, C)  x + stop(code - x)
    return steps;
}

Var commitment_loss(const Var& x, const Quantized& quantized) { return mean_squared_error(x, stop(quantized.codes)); }

Var codebook_loss(const Var& x, const Quantized& quantized) { return mean_squared_error(quantized.codes, stop(x)); }

// --- what a batch assigned ---

static void require_ids(const char* name, const std::vector<int>& ids, int codes) {
    for (const int id : ids)
        require(id >= 0 && id < codes, name, ": id ", id, " is not one of ", codes, " codes, counted from 0");
}

std::vector<int> code_counts(const std::vector<int>& ids, int codes) {
    require(codes >= 0, "code_counts: ", codes, " codes, there cannot be fewer than 0");
    require_ids("code_counts", ids, codes);
    std::vector<int> counts(codes);
    for (const int id : ids) ++counts[id];
    return counts;
}

int codes_in_use(const std::vector<int>& ids, int codes) {
    const std::vector<int> counts = code_counts(ids, codes);
    return codes - static_cast<int>(std::count(counts.begin(), counts.end(), 0));
}

Matrix sums_by_code(const Matrix& x, const std::vector<int>& ids, int codes) {
    require(static_cast<int>(ids.size()) == x.rows, "sums_by_code: ", ids.size(), " ids for the rows of ", x, ", each needs one");
    require_ids("sums_by_code", ids, codes);
    std::vector<double> total(static_cast<std::size_t>(codes) * x.cols);
    for (int i = 0; i < x.rows; ++i)
        for (int c = 0; c < x.cols; ++c) total[static_cast<std::size_t>(ids[i]) * x.cols + c] += x(i, c);
    Matrix sums = Matrix::unset(codes, x.cols);  // (K, C)
    std::copy(total.begin(), total.end(), sums.begin());
    return sums;
}

// --- codes that are averaged directions ---

// The row divided by its length, which must not be 0.
static void make_unit(float* row, int cols) {
    const double length = std::sqrt(dot_in_double(row, row, cols));
    for (int c = 0; c < cols; ++c) row[c] = static_cast<float>(row[c] / std::max(length, 1e-12));
}

void average_directions(Matrix& codes, Matrix& cluster_size, const Matrix& z, const std::vector<int>& ids, float decay) {
    const int K = codes.rows, C = codes.cols;
    require(z.cols == C && cluster_size.rows == 1 && cluster_size.cols == K, "average_directions: vectors ", z,
            " and cluster sizes ", cluster_size, " for codes ", codes,
            "; vectors must be as wide as codes, and each code have a size");
    require(decay >= 0 && decay <= 1, "average_directions: a decay of ", decay, ", it must be a fraction from 0 to 1");
    const std::vector<int> counts = code_counts(ids, K);
    Matrix directions = sums_by_code(z, ids, K);  // (K, C)  the mean has the direction of the sum
    for (int k = 0; k < K; ++k) {
        cluster_size(0, k) = decay * cluster_size(0, k) + (1 - decay) * static_cast<float>(counts[k]);
        float* const direction = directions.row(k);
        if (counts[k] == 0)
            std::copy_n(codes.row(k), C, direction);
        else
            make_unit(direction, C);  // e_k
        for (int c = 0; c < C; ++c) codes(k, c) = decay * codes(k, c) + (1 - decay) * direction[c];
        make_unit(codes.row(k), C);  // v_k
    }
}

Matrix spherical_k_means(const Matrix& z, const std::vector<int>& first, int rounds) {
    const Var start = gather_rows(z, first);  // (K, C)
    Matrix codes = start.value();
    Matrix sizes(1, codes.rows);
    for (int round = 0; round < rounds; ++round) {
        const std::vector<int> ids = nearest_codes(squared_distances(z, codes).value());  // of unit rows: the largest cosine
        average_directions(codes, sizes, z, ids, 0);                                      // decay 0: all the way to the mean
    }
    return codes;
}

std::vector<int> random_rows(Random& random, int rows, int count) {
    require(rows > 0 && count >= 0, "random_rows: ", count, " of ", rows,
            " rows; neither may be negative, and there must be a row");
    std::vector<int> chosen = permutation(random, rows);
    while (static_cast<int>(chosen.size()) < count) chosen.push_back(random.below(rows));
    chosen.resize(count);
    return chosen;
}

// --- codes that are averaged sums ---

static void require_book(const char* place, const SummedCodebook& book) {
    const Matrix &sums = book.sums.value(), &counts = book.counts.value();
    require(!sums.empty() && counts.rows == 1 && counts.cols == sums.rows, place, ": sums ", sums, " and counts ", counts,
            "; each code needs a row of sums and a count, and there must be one");
}

Matrix codewords(const SummedCodebook& book) {
    require_book("codewords", book);
    for (int k = 0; k < book.counts.cols(); ++k)
        require(book.counts.value()(0, k) > 0, "codewords: code ", k, " has a count of ", book.counts.value()(0, k),
                ", nothing was assigned to it; split_busiest restarts such codes");
    Matrix codes = book.sums.value();  // (K, C)
    for (int k = 0; k < codes.rows; ++k) {
        for (int c = 0; c < codes.cols; ++c) codes(k, c) /= book.counts.value()(0, k);  // the mean of what was assigned
        make_unit(codes.row(k), codes.cols);
    }
    return codes;
}

void average_sums(SummedCodebook& book, const Matrix& x, const std::vector<int>& ids, float momentum) {
    require_book("average_sums", book);
    Matrix& sums = book.sums.value();
    Matrix& counts = book.counts.value();
    require(x.cols == sums.cols, "average_sums: vectors ", x, " for codes ", sums, ", both must have the same number of columns");
    require(momentum >= 0 && momentum < 1, "average_sums: a momentum of ", momentum, " is outside [0, 1)");
    const std::vector<int> assigned = code_counts(ids, sums.rows);
    const Matrix batch = sums_by_code(x, ids, sums.rows);  // (K, C)
    for (int k = 0; k < sums.rows; ++k) {
        counts(0, k) = momentum * counts(0, k) + static_cast<float>(assigned[k]);
        for (int c = 0; c < sums.cols; ++c) sums(k, c) = momentum * sums(k, c) + batch(k, c);
    }
}

int split_busiest(SummedCodebook& book, float min_count, float perturb, const Matrix& uniforms) {
    require_book("split_busiest", book);
    require(std::isfinite(min_count) && perturb >= 0 && perturb <= 1, "split_busiest: codes below a count of ", min_count,
            " are restarted, perturbed by ", perturb, "; the count must be finite, the other from 0 to 1");
    Matrix& sums = book.sums.value();
    Matrix& counts = book.counts.value();
    require(uniforms.cols == sums.cols, "split_busiest: draws ", uniforms, " for codes ", sums,
            ", both must have the same number of columns");
    int splits = 0;
    while (true) {
        const int poorest = static_cast<int>(std::min_element(counts.begin(), counts.end()) - counts.begin());
        const int busiest = static_cast<int>(std::max_element(counts.begin(), counts.end()) - counts.begin());
        if (!(counts(0, poorest) < min_count)) return splits;
        require(splits < uniforms.rows, "split_busiest: after ", splits, " splits a code still has a count of ",
                counts(0, poorest), ", below ", min_count, "; all counts together are too small for ", sums.rows,
                " codes, or more draws are needed");
        for (int c = 0; c < sums.cols; ++c) {
            const float u = 1 - perturb + 2 * perturb * uniforms(splits, c);  // in 1 - perturb ... 1 + perturb
            sums(poorest, c) = sums(busiest, c) * u / 2;
            sums(busiest, c) /= 2;
        }
        counts(0, poorest) = counts(0, busiest) = counts(0, busiest) / 2;
        ++splits;
    }
}
