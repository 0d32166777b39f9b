// fixture_views.h: convert between our rows and the shapes of fixtures; compare the steps of a block by the fixture's names.
//
//   shows    that our layouts and the published ones differ only in order: a batch is stacked rows, a head a slice of columns, an
//            image a row for each patch or pixel
//   symbols  B sequences or images   T, n, m tokens   D width   H heads   h head width   C channels   H, W height and width
//   layout   a tensor of a fixture is a Matrix as Safetensors::matrix gives it: the last dimension is the columns, all others
//            together are the rows. (B, T, D) is (B*T, D), which is our layout; attention weights (B, H, n, m) are (B*H*n, m),
//            which is ours too
//   names    a parameter `full_name` is "input.tokens" or "expected.tokens"; the latter counts as used
//   throws   std::invalid_argument, beginning with the function, when sizes do not fit
#pragma once
#include <string>
#include <vector>

#include "nn/data/image.h"
#include "nn/layers/transformer.h"
#include "tests/golden.h"

// --- reading a fixture ---

// "input.images" of shape (2, 3, 8, 12): {2, 3, 8, 12}
std::vector<int> dimensions_of(const Golden& golden, const std::string& full_name);

// The numbers of a float or integer tensor.
Matrix numbers_of(const Golden& golden, const std::string& full_name);

// --- dimensions in another order ---

// Dimension k of the result is dimension order[k] of the tensor, as in PyTorch's permute and NumPy's transpose.
//   numbers     as many as the product of the dimensions, in order; their matrix shape does not matter
//   returns     the last dimension as columns, all others as rows
//   Example: permuted({{1, 2, 3}, {4, 5, 6}}, {2, 3}, {1, 0}) is {{1, 4}, {2, 5}, {3, 6}}
Matrix permuted(const Matrix& numbers, const std::vector<int>& dimensions, const std::vector<int>& order);
std::vector<int> permuted(const std::vector<int>& numbers, const std::vector<int>& dimensions, const std::vector<int>& order);

// --- heads ---

Matrix by_heads(const Matrix& m, int heads, int sequences);               // (B*T, H*h) -> (B*H*T, h), the fixture's (B, H, T, h)
Matrix heads_side_by_side(const Matrix& m, int heads, int sequences);     // (B*H*T, h) -> (B*T, H*h)
Matrix mean_over_heads(const Matrix& weights, int heads, int sequences);  // (B*H*n, m) -> (B*n, m)

// Column blocks side by side, (n, 3*H*h) for query, key, value; and head by head, the three of head 0 first: the layout
// (n, H, 3, h) of fused projections in BLOOM and GLM.
Matrix side_by_side(const std::vector<Matrix>& parts);
Matrix interleaved_by_head(const std::vector<Matrix>& parts, int heads);

// The fixture's (T, B, D) of our (B*T, D).
Matrix sequence_second(const Matrix& m, int sequences);

// --- images and maps ---

std::vector<Image> images_of(const Golden& golden, const std::string& full_name);                // from (B, C, H, W)
std::vector<Image> channels_last_images_of(const Golden& golden, const std::string& full_name);  // from (B, H, W, C)
Matrix channels_first_of(const std::vector<Image>& images);  // (B*C*H, W), the fixture's (B, C, H, W)
Matrix channels_last_of(const std::vector<Image>& images);   // (B*H*W, C), the fixture's (B, H, W, C)

// From (B, C, frames, H, W): the frames of every video. And back.
std::vector<std::vector<Image>> videos_of(const Golden& golden, const std::string& full_name);
Matrix channels_first_of(const std::vector<std::vector<Image>>& videos);  // (B*C*frames*H, W)

// Feature maps: ours have a row for each position, left to right and top to bottom.
Matrix maps_channels_first(const Matrix& rows, int height, int width);    // (B*H*W, C) -> (B*C*H, W)
Matrix rows_of_maps(const Matrix& maps, int channels, int height);        // (B*C*H, W) -> (B*H*W, C)
Matrix rows_of_maps(const Golden& golden, const std::string& full_name);  // from (B, C, H, W)

// Patches of all images, (B*N, P*P*C): within a row the channel changes fastest, or slowest.
Matrix patches_of(const std::vector<Image>& images, int patch_size);
Matrix channel_major_patches_of(const std::vector<Image>& images, int patch_size);

// --- padding ---
// A mask is (B, T): 1 = a token, 0 = padding, at either end. Matrices have B*T rows, or B*H*T (attention weights): then the mask
// holds for the queries of every head.

Matrix mask_of_lengths(const std::vector<int>& lengths, int length);  // padding on the right

Matrix padding_zeroed(const Matrix& m, const Matrix& mask);     // padding rows set to 0, as in most fixtures
Matrix without_padding(const Matrix& m, const Matrix& mask);    // token rows only
Matrix with_padding(const Matrix& tokens, const Matrix& mask);  // and back; rows of padding are 0

// Compares token rows only, for a fixture that has other numbers than ours at padding.
void check_tokens(const Golden& golden, const std::string& name, const Matrix& ours, const Matrix& mask, Tolerance tolerance = {},
                  Where where = Where::current());

// The row of the last token of every sequence, (B, D); with one head.
Matrix last_tokens(const Matrix& m, const Matrix& mask);
Matrix last_tokens(const Matrix& m, int sequences);  // without padding: the last row of each

// --- integers and short lists ---

// (B, T) integers as a list for every sequence; with a mask, without padding.
std::vector<std::vector<int>> sequences_of(const Golden& golden, const std::string& full_name);
std::vector<std::vector<int>> sequences_of(const Golden& golden, const std::string& full_name, const Matrix& mask);

// All sequences one after the other, (B, longest); shorter ones end in `padding`.
std::vector<int> padded(const std::vector<std::vector<int>>& sequences, int padding = 0);
// The same for prompt + continuation of every sequence, as fixtures store greedy decoding.
std::vector<int> joined_continuations(const std::vector<std::vector<int>>& prompts,
                                      const std::vector<std::vector<int>>& continuations, int padding = 0);

std::vector<int> integers_of(const Matrix& m);     // 0/1 masks and other whole numbers; anything else fails the test
std::vector<int> argmax_of_rows(const Matrix& m);  // greedy_next and the like
Matrix row_of(const std::vector<float>& numbers);  // (1, n)

// --- the steps of a block ---

// Which value of BlockSteps.
enum class Step {
    norm1,
    query,
    key,
    value,
    query_key_value,
    rotated_query,
    rotated_key,
    weights,
    context,
    attention_output,
    after_attention,
    norm_cross,
    cross_query,
    cross_key,
    cross_value,
    cross_weights,
    cross_context,
    cross_output,
    after_cross,
    norm2,
    expanded,
    gate,
    hidden,
    mlp_output,
    output,
};

// The fixture's layout of heads.
enum class Heads {
    side_by_side,  // as ours: columns; attention weights (B, H, n, m)
    stacked,       // (B, H, T, h)
    interleaved,   // query_key_value as (B, T, H, 3, h)
    mean,          // attention weights averaged over the heads, (B, n, m)
};

// A value and its name in the fixture. optional: absent in some fixtures.
struct StepName {
    std::string name;
    Step step;
    Heads heads = Heads::side_by_side;
    bool optional = false;
};

// Sizes for other layouts and padding; not needed while all names are Heads::side_by_side without padding.
struct StepView {
    int sequences = 1;
    int heads = 1;
    Matrix mask = {};  // rows of padding are zeroed
};

// The value of a step in the fixture's layout.
Matrix step_value(const BlockSteps& steps, const StepName& name, const StepView& view = {});

// Compares each named step with expected.(prefix + name).
//   Example: check_block(golden, "layer.0.", steps.blocks[0], {{"query", Step::query}, {"attention_probs", Step::weights}});
void check_block(const Golden& golden, const std::string& prefix, const BlockSteps& steps, const std::vector<StepName>& names,
                 const StepView& view = {}, Where where = Where::current());

// The same for every block of a stack; # in a name stands for the index of the block. A stack with other than `depth` kept blocks
// fails the test.
//   Example: check_stack(golden, steps.encoder, depth, {{"layer.#.attention", Step::weights}, {"layer.#", Step::output}});
void check_stack(const Golden& golden, const StackSteps& steps, int depth, const std::vector<StepName>& names,
                 const StepView& view = {}, Where where = Where::current());
