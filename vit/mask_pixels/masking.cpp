#include "vit/mask_pixels/masking.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "nn/autograd/operations.h"

// --- choosing ---

std::vector<int> sorting_order(const Matrix& numbers) {
    for (std::size_t k = 0; k < numbers.size(); ++k)
        require(!std::isnan(numbers[k]), "sorting_order: number ", k, " of ", numbers, " is NaN, which has no order");
    std::vector<int> order;
    order.reserve(numbers.size());
    for (int b = 0; b < numbers.rows; ++b) {
        std::vector<int> positions(numbers.cols);
        std::iota(positions.begin(), positions.end(), 0);
        std::stable_sort(positions.begin(), positions.end(), [&](int i, int j) { return numbers(b, i) < numbers(b, j); });
        order.insert(order.end(), positions.begin(), positions.end());
    }
    return order;
}

static void require_permutations(const std::vector<int>& permutations, int length) {
    require(length > 0 && permutations.size() % length == 0, "masking: ", permutations.size(),
            " numbers are not permutations of ", length, " positions; their number must be a multiple of that");
    std::vector<char> seen(permutations.size(), 0);
    for (std::size_t k = 0; k < permutations.size(); ++k) {
        const std::size_t first = k / length * length;  // where this permutation begins
        require(permutations[k] >= 0 && permutations[k] < length, "masking: permutation ", k / length, " names the position ",
                permutations[k], ", there are ", length, ", counted from 0");
        require(!seen[first + permutations[k]], "masking: permutation ", k / length, " names the position ", permutations[k],
                " twice");
        seen[first + permutations[k]] = 1;
    }
}

std::vector<int> inverse_permutations(const std::vector<int>& permutations, int length) {
    require_permutations(permutations, length);
    std::vector<int> inverse(permutations.size());
    for (std::size_t k = 0; k < permutations.size(); ++k) {
        const std::size_t first = k / length * length;
        inverse[first + permutations[k]] = static_cast<int>(k - first);
    }
    return inverse;
}

Matrix make_mask(const std::vector<int>& permutations, int length, int begin, int end) {
    require_permutations(permutations, length);
    require(begin >= 0 && begin <= end && end <= length, "masking: entries ", begin, " to ", end, " of permutations of ", length,
            " positions");
    Matrix mask(static_cast<int>(permutations.size()) / length, length);
    for (int b = 0; b < mask.rows; ++b)
        for (int j = begin; j < end; ++j) mask(b, permutations[static_cast<std::size_t>(b) * length + j]) = 1;
    return mask;
}

std::vector<int> draw_permutations(Random& random, int count, int length) {
    require(count >= 0, "draw_permutations: ", count, " images, there cannot be fewer than 0");
    require(static_cast<double>(count) * length <= std::numeric_limits<int>::max(), "draw_permutations: ", count, " images of ",
            length, " patches are more than an int can count");
    std::vector<int> permutations;
    for (int b = 0; b < count; ++b) {
        const std::vector<int> one = permutation(random, length);
        permutations.insert(permutations.end(), one.begin(), one.end());
    }
    return permutations;
}

Matrix draw_masks(Random& random, int count, int length, int masked) {
    return make_mask(draw_permutations(random, count, length), length, 0, masked);
}

// --- blocks ---

// The positions of a rectangle of about `area` patches; none when it does not fit.
static std::vector<int> draw_rectangle(Random& random, int down, int across, float area) {
    const float most = std::log(1 / 0.3f);
    const float ratio = std::exp(random.uniform(-most, most));  // height / width
    const int height = static_cast<int>(std::lround(std::sqrt(area * ratio)));
    const int width = static_cast<int>(std::lround(std::sqrt(area / ratio)));
    if (height >= down || width >= across) return {};
    const int top = random.below(down - height + 1), left = random.below(across - width + 1);
    std::vector<int> positions;
    for (int y = top; y < top + height; ++y)
        for (int x = left; x < left + width; ++x) positions.push_back(y * across + x);
    return positions;
}

// Masks one more rectangle, with 1 ... `most` patches that were visible.   returns  their number, 0 when ten attempts have failed
static int hide_rectangle(Random& random, float* mask, int down, int across, int most, int smallest) {
    for (int attempt = 0; attempt < 10; ++attempt) {
        const float area = random.uniform(static_cast<float>(smallest), static_cast<float>(most));
        const std::vector<int> positions = draw_rectangle(random, down, across, area);
        const auto is_visible = [mask](int position) { return mask[position] == 0; };
        const int visible = static_cast<int>(std::count_if(positions.begin(), positions.end(), is_visible));
        if (visible == 0 || visible > most) continue;
        for (const int position : positions) mask[position] = 1;
        return visible;
    }
    return 0;
}

Matrix draw_block_masks(Random& random, int count, int down, int across, int masked, int smallest) {
    const int N = down * across;
    require(count >= 0 && down > 0 && across > 0 && masked >= 0 && masked <= N && smallest > 0, "draw_block_masks: ", masked,
            " of ", down, " x ", across, " patches in blocks of at least ", smallest,
            "; there must be as many patches as are to be masked");
    Matrix mask(count, N);
    for (int b = 0; b < count; ++b) {
        int left = masked;
        for (int added = 1; left > 0 && added > 0; left -= added)
            added = hide_rectangle(random, mask.row(b), down, across, left, smallest);
        for (const int position : permutation(random, N))
            if (left > 0 && mask(b, position) == 0) {
                mask(b, position) = 1;
                --left;
            }
    }
    return mask;
}

static void require_ones_and_zeros(const char* name, const Matrix& mask) {
    for (const float mark : mask)
        require(mark == 0 || mark == 1, name, ": a mask ", mask, " holds ", mark, ", it must hold 1 (masked) and 0 (visible)");
}

static std::vector<int> rows_marked(const Matrix& mask, float mark) {
    require_ones_and_zeros("masking", mask);
    std::vector<int> rows;
    for (std::size_t k = 0; k < mask.size(); ++k)
        if (mask[k] == mark) rows.push_back(static_cast<int>(k));
    return rows;
}

std::vector<int> masked_rows(const Matrix& mask) { return rows_marked(mask, 1); }

std::vector<int> visible_rows(const Matrix& mask) { return rows_marked(mask, 0); }

// --- covering ---

Var cover(const Var& x, const Var& token, const Matrix& mask, Where where) {
    require(static_cast<std::size_t>(x.rows()) == mask.size(), where, "cover: a mask ", mask, " for ", x.rows(),
            " patches, one number is needed for each");
    require_ones_and_zeros("cover", mask);
    const Var m = reshape(mask, x.rows(), 1);                                     // (B*N, 1)
    const Var visible = multiply(x, subtract(Matrix(1, 1, 1), m, where), where);  // (B*N, D)  zeros where masked
    return add(visible, matmul(m, token, where), where);                          // (B*N, D)
}

// --- targets ---

namespace {
struct Spread {
    double mean;
    double deviation;  // sqrt(unbiased variance + 1e-6)
};
}  // namespace

static Spread spread_of(const Matrix& patches, int n) {
    const float* const t = patches.row(n);
    const int count = patches.cols;
    double mean = 0, squares = 0;
    for (int k = 0; k < count; ++k) mean += t[k] / static_cast<double>(count);
    for (int k = 0; k < count; ++k) squares += (t[k] - mean) * (t[k] - mean);
    return {mean, std::sqrt(squares / (count - 1) + 1e-6)};
}

Matrix normalise_patches(const Matrix& patches) {
    require(patches.cols > 1, "normalise_patches: patches of ", patches.cols, " number have no variance");
    Matrix normalised = Matrix::unset(patches.rows, patches.cols);
    for (int n = 0; n < patches.rows; ++n) {
        const Spread spread = spread_of(patches, n);
        for (int k = 0; k < patches.cols; ++k)
            normalised(n, k) = static_cast<float>((patches(n, k) - spread.mean) / spread.deviation);
    }
    return normalised;
}

Matrix denormalise_patches(const Matrix& patches, const Matrix& like) {
    require(same_shape(patches, like) && patches.cols > 1, "denormalise_patches: ", patches, " like ", like);
    Matrix pixels = Matrix::unset(patches.rows, patches.cols);
    for (int n = 0; n < patches.rows; ++n) {
        const Spread spread = spread_of(like, n);
        for (int k = 0; k < patches.cols; ++k) pixels(n, k) = static_cast<float>(patches(n, k) * spread.deviation + spread.mean);
    }
    return pixels;
}

// --- the loss over masked patches only ---

Var masked_mean(const Var& losses, const Matrix& mask, float extra, Where where) {
    require(losses.cols() == 1 && static_cast<std::size_t>(losses.rows()) == mask.size(), where, "masked_mean: losses ",
            losses.value(), " for a mask ", mask, ", one is needed for each patch");
    const float masked = std::accumulate(mask.begin(), mask.end(), 0.0f);
    require(masked + extra > 0, where,
            "masked_mean: no patch is masked, so there is nothing to take a mean of; a larger mask ratio masks some");
    const Var of_masked = multiply(losses, Var(reshape(mask, losses.rows(), 1)), where);  // (B*N, 1)  0 where visible
    return scale(sum(of_masked, where), 1 / (masked + extra), where);                     // (1, 1)
}
