#include "tests/fixture_views.h"

#include <algorithm>
#include <numeric>

#include "nn/base/require.h"
#include "nn/data/patches.h"

// --- reading a fixture ---

std::vector<int> dimensions_of(const Golden& golden, const std::string& full_name) {
    require(golden.has(full_name), "dimensions_of: ", golden.describe(), " has no tensor ", full_name);
    const std::vector<long>& shape = golden.file.tensors.at(full_name).shape;
    return std::vector<int>(shape.begin(), shape.end());
}

// The dimensions of a tensor, checked to be `count`.
static std::vector<int> dimensions_of(const Golden& golden, const std::string& full_name, std::size_t count) {
    const std::vector<int> dimensions = dimensions_of(golden, full_name);
    require(dimensions.size() == count, "dimensions_of: ", full_name, " of ", golden.describe(), " has ", dimensions.size(),
            " dimensions, not ", count);
    return dimensions;
}

Matrix numbers_of(const Golden& golden, const std::string& full_name) {
    const std::vector<int> dimensions = dimensions_of(golden, full_name);
    const std::string expected = "expected.";
    if (is_float_type(golden.file.tensors.at(full_name)))
        return full_name.starts_with(expected) ? golden.expected(full_name.substr(expected.size()))
                                               : golden.file.matrix(full_name);
    const std::vector<int> integers = golden.integers(full_name);
    const int cols = dimensions.empty() ? 1 : dimensions.back();
    Matrix numbers(cols > 0 ? static_cast<int>(integers.size()) / cols : 0, cols);
    std::copy(integers.begin(), integers.end(), numbers.begin());
    return numbers;
}

// --- dimensions in another order ---

// For each number of the result, in order, its index in the tensor.
static std::vector<std::size_t> offsets_after_permutation(std::size_t count, const std::vector<int>& dimensions,
                                                          const std::vector<int>& order) {
    const std::size_t rank = dimensions.size();
    std::size_t product = 1;
    for (const int dimension : dimensions) product *= dimension;
    std::vector<int> sorted = order, each(rank);
    std::sort(sorted.begin(), sorted.end());
    std::iota(each.begin(), each.end(), 0);
    require(product == count, "permuted: ", count, " numbers do not fill dimensions whose product is ", product);
    require(sorted == each, "permuted: the order must name each of the ", rank, " dimensions once");

    std::vector<std::size_t> stride(rank, 1);  // distance of neighbours along each dimension
    for (std::size_t k = rank; k-- > 1;) stride[k - 1] = stride[k] * dimensions[k];
    std::vector<std::size_t> offsets;
    offsets.reserve(count);
    std::vector<int> index(rank, 0);  // in the result
    for (std::size_t n = 0; n < count; ++n) {
        std::size_t offset = 0;
        for (std::size_t k = 0; k < rank; ++k) offset += index[k] * stride[order[k]];
        offsets.push_back(offset);
        for (std::size_t k = rank; k-- > 0;) {  // the last dimension changes fastest
            if (++index[k] < dimensions[order[k]]) break;
            index[k] = 0;
        }
    }
    return offsets;
}

Matrix permuted(const Matrix& numbers, const std::vector<int>& dimensions, const std::vector<int>& order) {
    const std::vector<std::size_t> offsets = offsets_after_permutation(numbers.size(), dimensions, order);
    if (offsets.empty()) return Matrix();
    const int cols = dimensions[order.back()];
    Matrix result = Matrix::unset(static_cast<int>(offsets.size()) / cols, cols);
    for (std::size_t n = 0; n < offsets.size(); ++n) result[n] = numbers[offsets[n]];
    return result;
}

std::vector<int> permuted(const std::vector<int>& numbers, const std::vector<int>& dimensions, const std::vector<int>& order) {
    std::vector<int> result;
    for (const std::size_t offset : offsets_after_permutation(numbers.size(), dimensions, order))
        result.push_back(numbers[offset]);
    return result;
}

// whole / part, checked to be exact.
static int divided(int whole, int part, const char* place, const char* what) {
    require(part > 0 && whole % part == 0, place, ": ", whole, " ", what, " do not split into ", part);
    return whole / part;
}

// --- heads ---

Matrix by_heads(const Matrix& m, int heads, int sequences) {
    const int T = divided(m.rows, sequences, "by_heads", "rows"), h = divided(m.cols, heads, "by_heads", "columns");
    return permuted(m, {sequences, T, heads, h}, {0, 2, 1, 3});
}

Matrix heads_side_by_side(const Matrix& m, int heads, int sequences) {
    const int T = divided(m.rows, sequences * heads, "heads_side_by_side", "rows");
    const Matrix by_token = permuted(m, {sequences, heads, T, m.cols}, {0, 2, 1, 3});  // (B*T*H, h)
    return reshape(by_token, sequences * T, heads * m.cols);
}

Matrix mean_over_heads(const Matrix& weights, int heads, int sequences) {
    const int n = divided(weights.rows, sequences * heads, "mean_over_heads", "rows");
    Matrix mean(sequences * n, weights.cols);
    for (int i = 0; i < mean.rows; ++i)
        for (int j = 0; j < mean.cols; ++j) {
            double sum = 0;
            for (int head = 0; head < heads; ++head) sum += weights((i / n * heads + head) * n + i % n, j);
            mean(i, j) = static_cast<float>(sum / heads);
        }
    return mean;
}

Matrix side_by_side(const std::vector<Matrix>& parts) {
    int cols = 0;
    for (const Matrix& part : parts) {
        require(part.rows == parts[0].rows, "side_by_side: ", part, " beside ", parts[0]);
        cols += part.cols;
    }
    Matrix all(parts.empty() ? 0 : parts[0].rows, cols);
    for (int i = 0; i < all.rows; ++i) {
        float* to = all.row(i);
        for (const Matrix& part : parts) to = std::copy_n(part.row(i), part.cols, to);
    }
    return all;
}

Matrix interleaved_by_head(const std::vector<Matrix>& parts, int heads) {
    for (const Matrix& part : parts) require(same_shape(part, parts[0]), "interleaved_by_head: ", part, " beside ", parts[0]);
    const Matrix blocks = side_by_side(parts);  // (n, parts * H * h)
    const int count = static_cast<int>(parts.size());
    const int h = divided(blocks.cols, count * heads, "interleaved_by_head", "columns");
    return reshape(permuted(blocks, {blocks.rows, count, heads, h}, {0, 2, 1, 3}), blocks.rows, blocks.cols);
}

Matrix sequence_second(const Matrix& m, int sequences) {
    return permuted(m, {sequences, divided(m.rows, sequences, "sequence_second", "rows"), m.cols}, {1, 0, 2});
}

// --- images and maps ---

std::vector<Image> images_of(const Golden& golden, const std::string& full_name) {
    const std::vector<int> BCHW = dimensions_of(golden, full_name, 4);
    const Matrix numbers = numbers_of(golden, full_name);  // (B*C*H, W)
    std::vector<Image> images;
    for (int b = 0; b < BCHW[0]; ++b)
        images.push_back(image_from_channels_first(numbers.row(b * BCHW[1] * BCHW[2]), BCHW[1], BCHW[2], BCHW[3]));
    return images;
}

std::vector<Image> channels_last_images_of(const Golden& golden, const std::string& full_name) {
    const std::vector<int> BHWC = dimensions_of(golden, full_name, 4);
    const Matrix numbers = numbers_of(golden, full_name);  // (B*H*W, C)
    std::vector<Image> images;
    for (int b = 0; b < BHWC[0]; ++b) {
        images.emplace_back(BHWC[1], BHWC[2], BHWC[3]);
        std::vector<float>& pixels = images.back().pixels;
        std::copy_n(numbers.row(b * BHWC[1] * BHWC[2]), pixels.size(), pixels.begin());
    }
    return images;
}

Matrix channels_first_of(const std::vector<Image>& images) {
    require(!images.empty(), "channels_first_of: there is no image");
    return maps_channels_first(channels_last_of(images), images[0].height, images[0].width);
}

Matrix channels_last_of(const std::vector<Image>& images) {
    require(!images.empty(), "channels_last_of: there is no image");
    const Image& first = images[0];
    Matrix pixels(static_cast<int>(images.size()) * first.height * first.width, first.channels);
    float* to = pixels.begin();
    for (const Image& image : images) {
        require(shape(image) == shape(first), "channels_last_of: an image of ", shape(image), " after one of ", shape(first));
        to = std::copy(image.pixels.begin(), image.pixels.end(), to);
    }
    return pixels;
}

std::vector<std::vector<Image>> videos_of(const Golden& golden, const std::string& full_name) {
    const std::vector<int> d = dimensions_of(golden, full_name, 5);                     // B, C, F frames, H, W
    const Matrix pixels = permuted(numbers_of(golden, full_name), d, {0, 2, 3, 4, 1});  // (B*F*H*W, C)
    std::vector<std::vector<Image>> videos(d[0]);
    const float* from = pixels.begin();
    for (std::vector<Image>& video : videos)
        for (int frame = 0; frame < d[2]; ++frame) {
            Image image(d[3], d[4], d[1]);
            std::copy_n(from, image.pixels.size(), image.pixels.begin());
            from += image.pixels.size();
            video.push_back(image);
        }
    return videos;
}

Matrix channels_first_of(const std::vector<std::vector<Image>>& videos) {
    require(!videos.empty() && !videos[0].empty(), "channels_first_of: there is no video");
    std::vector<Image> frames;
    for (const std::vector<Image>& video : videos) {
        require(video.size() == videos[0].size(), "channels_first_of: a video of ", video.size(), " frames after one of ",
                videos[0].size());
        frames.insert(frames.end(), video.begin(), video.end());
    }
    const int B = static_cast<int>(videos.size()), F = static_cast<int>(videos[0].size());
    const Image& first = frames[0];
    return permuted(channels_last_of(frames), {B, F, first.height, first.width, first.channels}, {0, 4, 1, 2, 3});
}

Matrix maps_channels_first(const Matrix& rows, int height, int width) {
    const int B = divided(rows.rows, height * width, "maps_channels_first", "rows");
    return permuted(rows, {B, height, width, rows.cols}, {0, 3, 1, 2});
}

Matrix rows_of_maps(const Matrix& maps, int channels, int height) {
    const int B = divided(maps.rows, channels * height, "rows_of_maps", "rows");
    return permuted(maps, {B, channels, height, maps.cols}, {0, 2, 3, 1});
}

Matrix rows_of_maps(const Golden& golden, const std::string& full_name) {
    const std::vector<int> BCHW = dimensions_of(golden, full_name, 4);
    return rows_of_maps(numbers_of(golden, full_name), BCHW[1], BCHW[2]);
}

Matrix patches_of(const std::vector<Image>& images, int patch_size) {
    require(!images.empty(), "patches_of: there is no image");
    const Image& first = images[0];
    return patchify_all(images, {first.height, first.width, patch_size, first.channels}, "patches_of");
}

Matrix channel_major_patches_of(const std::vector<Image>& images, int patch_size) {
    const Matrix patches = patches_of(images, patch_size);  // (B*N, P*P*C)
    const Matrix channel_slowest = permuted(patches, {patches.rows, patch_size * patch_size, images[0].channels}, {0, 2, 1});
    return reshape(channel_slowest, patches.rows, patches.cols);
}

// --- padding ---

Matrix mask_of_lengths(const std::vector<int>& lengths, int length) {
    Matrix mask(static_cast<int>(lengths.size()), length);
    for (int b = 0; b < mask.rows; ++b) {
        require(0 <= lengths[b] && lengths[b] <= length, "mask_of_lengths: sequence ", b, " has ", lengths[b], " tokens of ",
                length);
        std::fill_n(mask.row(b), lengths[b], 1.0f);
    }
    return mask;
}

// Whether row i of a matrix of `rows` rows, T for each sequence or for each of its heads, belongs to a token.
static bool is_token_row(const Matrix& mask, int rows, int i) {
    const int rows_of_sequence = rows / mask.rows;  // T, or H * T
    return mask(i / rows_of_sequence, i % mask.cols) != 0;
}

static void require_mask_fits(const Matrix& m, const Matrix& mask, const char* place) {
    divided(m.rows, mask.rows * mask.cols, place, "rows");
}

Matrix padding_zeroed(const Matrix& m, const Matrix& mask) {
    require_mask_fits(m, mask, "padding_zeroed");
    Matrix kept = m;
    for (int i = 0; i < m.rows; ++i)
        if (!is_token_row(mask, m.rows, i)) std::fill_n(kept.row(i), m.cols, 0.0f);
    return kept;
}

Matrix without_padding(const Matrix& m, const Matrix& mask) {
    require_mask_fits(m, mask, "without_padding");
    int tokens = 0;
    for (int i = 0; i < m.rows; ++i) tokens += is_token_row(mask, m.rows, i);
    Matrix kept(tokens, m.cols);
    float* to = kept.begin();
    for (int i = 0; i < m.rows; ++i)
        if (is_token_row(mask, m.rows, i)) to = std::copy_n(m.row(i), m.cols, to);
    return kept;
}

Matrix with_padding(const Matrix& tokens, const Matrix& mask) {
    const int T = static_cast<int>(mask.size());
    Matrix rows(T, tokens.cols);
    int next = 0;
    for (int i = 0; i < T; ++i) {
        if (!is_token_row(mask, T, i)) continue;
        require(next < tokens.rows, "with_padding: ", tokens, " has fewer rows than the mask has tokens");
        std::copy_n(tokens.row(next++), tokens.cols, rows.row(i));
    }
    require(next == tokens.rows, "with_padding: ", tokens, " has more rows than the ", next, " tokens of the mask");
    return rows;
}

void check_tokens(const Golden& golden, const std::string& name, const Matrix& ours, const Matrix& mask, Tolerance tolerance,
                  Where where) {
    const Matrix expected = golden.expected(name);
    Matrix compared = ours;
    if (same_shape(ours, expected)) {  // otherwise check() says what differs
        require_mask_fits(ours, mask, "check_tokens");
        for (int i = 0; i < ours.rows; ++i)
            if (!is_token_row(mask, ours.rows, i)) std::copy_n(expected.row(i), expected.cols, compared.row(i));
    }
    golden.check(name, compared, tolerance, where);
}

Matrix last_tokens(const Matrix& m, const Matrix& mask) {
    require(m.rows == static_cast<int>(mask.size()), "last_tokens: ", m, " with a mask of ", mask);
    Matrix last(mask.rows, m.cols);
    for (int b = 0; b < mask.rows; ++b) {
        int t = mask.cols - 1;
        while (t >= 0 && mask(b, t) == 0) --t;
        require(t >= 0, "last_tokens: sequence ", b, " has no token");
        std::copy_n(m.row(b * mask.cols + t), m.cols, last.row(b));
    }
    return last;
}

Matrix last_tokens(const Matrix& m, int sequences) {
    return last_tokens(m, Matrix(sequences, divided(m.rows, sequences, "last_tokens", "rows"), 1));
}

// --- integers and short lists ---

std::vector<std::vector<int>> sequences_of(const Golden& golden, const std::string& full_name) {
    const std::vector<int> BT = dimensions_of(golden, full_name, 2);
    return sequences_of(golden, full_name, Matrix(BT[0], BT[1], 1));
}

std::vector<std::vector<int>> sequences_of(const Golden& golden, const std::string& full_name, const Matrix& mask) {
    const std::vector<int> BT = dimensions_of(golden, full_name, 2), ids = golden.integers(full_name);
    require(BT[0] == mask.rows && BT[1] == mask.cols, "sequences_of: ", full_name, " is (", BT[0], ", ", BT[1], "), the mask ",
            mask);
    std::vector<std::vector<int>> sequences(BT[0]);
    for (int b = 0; b < BT[0]; ++b)
        for (int t = 0; t < BT[1]; ++t)
            if (mask(b, t) != 0) sequences[b].push_back(ids[b * BT[1] + t]);
    return sequences;
}

std::vector<int> padded(const std::vector<std::vector<int>>& sequences, int padding) {
    std::size_t longest = 0;
    for (const std::vector<int>& sequence : sequences) longest = std::max(longest, sequence.size());
    std::vector<int> ids;
    for (std::size_t b = 0; b < sequences.size(); ++b) {
        ids.insert(ids.end(), sequences[b].begin(), sequences[b].end());
        ids.resize((b + 1) * longest, padding);
    }
    return ids;
}

std::vector<int> joined_continuations(const std::vector<std::vector<int>>& prompts,
                                      const std::vector<std::vector<int>>& continuations, int padding) {
    require(prompts.size() == continuations.size(), "joined_continuations: ", prompts.size(), " prompts and ",
            continuations.size(), " continuations");
    std::vector<std::vector<int>> whole = prompts;
    for (std::size_t b = 0; b < whole.size(); ++b)
        whole[b].insert(whole[b].end(), continuations[b].begin(), continuations[b].end());
    return padded(whole, padding);
}

std::vector<int> integers_of(const Matrix& m) {
    std::vector<int> integers;
    for (const float x : m) {
        integers.push_back(static_cast<int>(x));
        require(static_cast<float>(integers.back()) == x, "integers_of: ", shape(m), " holds numbers that are not whole");
    }
    return integers;
}

std::vector<int> argmax_of_rows(const Matrix& m) {
    std::vector<int> best;
    for (int i = 0; i < m.rows; ++i) best.push_back(argmax_row(m, i));
    return best;
}

Matrix row_of(const std::vector<float>& numbers) {
    Matrix row(1, static_cast<int>(numbers.size()));
    std::copy(numbers.begin(), numbers.end(), row.begin());
    return row;
}

// --- the steps of a block ---

// The Var of a step other than query_key_value, which is three.
static const Var& step_var(const BlockSteps& steps, Step step) {
    switch (step) {
        case Step::norm1: return steps.norm1;
        case Step::query: return steps.attention.query;
        case Step::key: return steps.attention.key;
        case Step::value: return steps.attention.value;
        case Step::rotated_query: return steps.attention.rotated_query;
        case Step::rotated_key: return steps.attention.rotated_key;
        case Step::weights: return steps.attention.weights;
        case Step::context: return steps.attention.context;
        case Step::attention_output: return steps.attention.output;
        case Step::after_attention: return steps.after_attention;
        case Step::norm_cross: return steps.norm_cross;
        case Step::cross_query: return steps.cross.query;
        case Step::cross_key: return steps.cross.key;
        case Step::cross_value: return steps.cross.value;
        case Step::cross_weights: return steps.cross.weights;
        case Step::cross_context: return steps.cross.context;
        case Step::cross_output: return steps.cross.output;
        case Step::after_cross: return steps.after_cross;
        case Step::norm2: return steps.norm2;
        case Step::expanded: return steps.mlp.expanded;
        case Step::gate: return steps.mlp.gate;
        case Step::hidden: return steps.mlp.hidden;
        case Step::mlp_output: return steps.mlp.output;
        case Step::output: return steps.output;
        case Step::query_key_value: break;
    }
    fail({"step_var: query_key_value is three values"});
}

static const Matrix& value_of_step(const BlockSteps& steps, Step step, const std::string& name) {
    const Var& var = step_var(steps, step);
    require(static_cast<bool>(var), "step_value: the block has no value for ", name, "; are steps kept?");
    return var.value();
}

// Keys and values may have fewer heads than queries, all of the same width.
static int heads_of(const BlockSteps& steps, const Matrix& value, int query_heads) {
    if (!steps.attention.query) return query_heads;
    const int h = divided(steps.attention.query.cols(), query_heads, "step_value", "columns of the queries");
    return divided(value.cols, h, "step_value", "columns");
}

Matrix step_value(const BlockSteps& steps, const StepName& name, const StepView& view) {
    Matrix value;
    if (name.step == Step::query_key_value) {
        const std::vector<Matrix> three{value_of_step(steps, Step::query, name.name), value_of_step(steps, Step::key, name.name),
                                        value_of_step(steps, Step::value, name.name)};
        value = name.heads == Heads::interleaved ? interleaved_by_head(three, view.heads) : side_by_side(three);
    } else {
        value = value_of_step(steps, name.step, name.name);
        require(name.heads != Heads::interleaved, "step_value: ", name.name, ": only query_key_value can be interleaved");
    }
    if (name.heads == Heads::stacked) value = by_heads(value, heads_of(steps, value, view.heads), view.sequences);
    if (name.heads == Heads::mean) value = mean_over_heads(value, view.heads, view.sequences);
    return view.mask.empty() ? value : padding_zeroed(value, view.mask);
}

void check_block(const Golden& golden, const std::string& prefix, const BlockSteps& steps, const std::vector<StepName>& names,
                 const StepView& view, Where where) {
    for (const StepName& name : names) {
        if (name.optional && !golden.has("expected." + prefix + name.name)) continue;
        golden.check(prefix + name.name, step_value(steps, name, view), {}, where);
    }
}

void check_stack(const Golden& golden, const StackSteps& steps, int depth, const std::vector<StepName>& names,
                 const StepView& view, Where where) {
    const int kept = static_cast<int>(steps.blocks.size());
    check_none(
        kept == depth ? "" : golden.describe() + ": the steps of " + text(kept) + " blocks were kept, there are " + text(depth),
        where);
    for (int l = 0; l < kept; ++l) {
        std::vector<StepName> numbered = names;
        for (StepName& name : numbered) {
            const std::size_t place = name.name.find('#');
            require(place != std::string::npos, "check_stack: ", name.name, " has no # for the number of the block");
            name.name.replace(place, 1, std::to_string(l));
        }
        check_block(golden, "", steps.blocks[l], numbered, view, where);
    }
}
