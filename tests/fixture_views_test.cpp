#include "tests/fixture_views.h"

#include "nn/data/patches.h"
#include "tests/temporary_folder.h"

TEST_SUITE_BEGIN("fixture_views");

namespace {

// first, first + 1, ...
Matrix counted(int rows, int cols, float first = 0) {
    Matrix m(rows, cols);
    for (float& x : m) x = first++;
    return m;
}

// A fixture with the tensors of one test.
Golden fixture(const TemporaryFolder& folder, const std::vector<TensorToWrite>& tensors) {
    const std::string path = folder.path("views-a.safetensors");
    write_safetensors(path, tensors);
    return Golden(path);
}

}  // namespace

TEST_CASE("permuted: dimension k of the result is dimension order[k]") {
    CHECK(identical(permuted(Matrix{{1, 2, 3}, {4, 5, 6}}, {2, 3}, {1, 0}), {{1, 4}, {2, 5}, {3, 6}}));
    // element (i, j, k) of (2, 2, 3) is 6i + 3j + k; in the order {2, 0, 1} element (k, i, j) of (3, 2, 2) is the same number
    CHECK(identical(permuted(counted(4, 3), {2, 2, 3}, {2, 0, 1}), {{0, 3}, {6, 9}, {1, 4}, {7, 10}, {2, 5}, {8, 11}}));
    CHECK(permuted(std::vector<int>{1, 2, 3, 4, 5, 6}, {2, 3}, {1, 0}) == std::vector<int>{1, 4, 2, 5, 3, 6});
    CHECK_THROWS_WITH(permuted(Matrix(2, 3), {2, 2}, {1, 0}), "permuted: 6 numbers do not fill dimensions whose product is 4");
    CHECK_THROWS_WITH(permuted(Matrix(2, 3), {2, 3}, {1, 1}), "permuted: the order must name each of the 2 dimensions once");
}

TEST_CASE("by_heads, heads_side_by_side: the columns of each head become rows, sequence by sequence; and back") {
    // two sequences of two tokens, three heads of one column
    const Matrix m{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}};
    const Matrix stacked{{1}, {4}, {2}, {5}, {3}, {6}, {7}, {10}, {8}, {11}, {9}, {12}};
    CHECK(identical(by_heads(m, 3, 2), stacked));
    CHECK(identical(heads_side_by_side(stacked, 3, 2), m));
    const Matrix wide = counted(6, 8);  // sequences of three tokens, four heads of two columns
    CHECK(identical(heads_side_by_side(by_heads(wide, 4, 2), 4, 2), wide));
    CHECK_THROWS_WITH(by_heads(m, 2, 2), "by_heads: 3 columns do not split into 2");
}

TEST_CASE("mean_over_heads: one (n, m) for each sequence") {
    // two sequences, two heads, one query, two keys
    CHECK(identical(mean_over_heads({{1, 0}, {0.5f, 0.5f}, {0, 1}, {0.25f, 0.75f}}, 2, 2), {{0.75f, 0.25f}, {0.125f, 0.875f}}));
}

TEST_CASE("interleaved_by_head: query, key and value of head 0, then of head 1") {
    const Matrix q{{1, 2}}, k{{3, 4}}, v{{5, 6}};  // one token, two heads of one column
    CHECK(identical(side_by_side({q, k, v}), {{1, 2, 3, 4, 5, 6}}));
    CHECK(identical(interleaved_by_head({q, k, v}, 2), {{1, 3, 5, 2, 4, 6}}));
}

TEST_CASE("sequence_second: (B, T, D) becomes (T, B, D)") {
    CHECK(identical(sequence_second({{1}, {2}, {3}, {4}, {5}, {6}}, 2), {{1}, {4}, {2}, {5}, {3}, {6}}));
}

TEST_CASE("images_of, videos_of, maps_channels_first: channels first in the fixture, channels last in ours, and back") {
    const TemporaryFolder folder;
    const Golden golden = fixture(folder, {{"input.image", {2, 3, 1, 2}, counted(6, 2)},
                                           {"input.last", {2, 1, 2, 3}, counted(4, 3)},
                                           {"input.video", {1, 2, 3, 1, 2}, counted(6, 2)}});
    const std::vector<Image> images = images_of(golden, "input.image");
    REQUIRE(images.size() == 2);
    CHECK(shape(images[1]) == "1 x 2 x 3");
    CHECK(images[0](0, 1, 2) == 5);  // channel 2 begins at 4
    CHECK(images[1](0, 0, 1) == 8);  // image 1 begins at 6, its channel 1 at 8
    CHECK(identical(channels_first_of(images), counted(6, 2)));
    CHECK(identical(channels_last_of(images), {{0, 2, 4}, {1, 3, 5}, {6, 8, 10}, {7, 9, 11}}));
    CHECK(identical(rows_of_maps(golden, "input.image"), channels_last_of(images)));
    CHECK(identical(maps_channels_first(channels_last_of(images), 1, 2), counted(6, 2)));
    CHECK(identical(channels_last_of(channels_last_images_of(golden, "input.last")), counted(4, 3)));

    const std::vector<std::vector<Image>> videos = videos_of(golden, "input.video");
    REQUIRE(videos.size() == 1);
    REQUIRE(videos[0].size() == 3);
    CHECK(videos[0][1].pixels == std::vector<float>{2, 8, 3, 9});  // frame 1 is 2 3 in channel 0 and 8 9 in channel 1
    CHECK(identical(channels_first_of(videos), counted(6, 2)));
}

TEST_CASE("patches_of, channel_major_patches_of: channel fastest, and channel slowest as in a convolution's weight") {
    Random random(1);
    std::vector<Image> images(2, Image(4, 2, 3));
    for (Image& image : images)
        for (float& x : image.pixels) x = random.normal();
    const Matrix patches = patches_of(images, 2), channel_major = channel_major_patches_of(images, 2);
    REQUIRE(shape(patches) == "(4, 12)");
    CHECK(identical(slice_rows(patches, 2, 2), patchify(images[1], 2)));
    CHECK(identical(slice_rows(channel_major, 2, 2), patchify_channel_major(images[1], 2)));
}

TEST_CASE("padding_zeroed, without_padding, with_padding: at either end, for tokens and for every head of attention weights") {
    const Matrix mask{{0, 1, 1}, {1, 1, 0}};  // left, right
    const Matrix m{{1}, {2}, {3}, {4}, {5}, {6}};
    CHECK(identical(padding_zeroed(m, mask), {{0}, {2}, {3}, {4}, {5}, {0}}));
    CHECK(identical(without_padding(m, mask), {{2}, {3}, {4}, {5}}));
    CHECK(identical(with_padding({{2}, {3}, {4}, {5}}, mask), {{0}, {2}, {3}, {4}, {5}, {0}}));
    CHECK(identical(last_tokens(m, mask), {{3}, {5}}));
    CHECK(identical(last_tokens(m, 2), {{3}, {6}}));
    // two heads: the first query row of both heads of sequence 0 is padding, the last of both heads of sequence 1
    CHECK(identical(padding_zeroed(counted(12, 1, 1), mask), {{0}, {2}, {3}, {0}, {5}, {6}, {7}, {8}, {0}, {10}, {11}, {0}}));
    CHECK(identical(mask_of_lengths({2, 0, 3}, 3), {{1, 1, 0}, {0, 0, 0}, {1, 1, 1}}));
    CHECK_THROWS_WITH(padding_zeroed(Matrix(5, 1), mask), "padding_zeroed: 5 rows do not split into 6");
    CHECK_THROWS_WITH(with_padding(Matrix(3, 1), mask), "with_padding: (3, 1) has fewer rows than the mask has tokens");
    CHECK_THROWS_WITH(with_padding(Matrix(5, 1), mask), "with_padding: (5, 1) has more rows than the 4 tokens of the mask");
}

TEST_CASE("check_tokens: compares rows of tokens, not of padding") {
    const TemporaryFolder folder;
    const Golden golden = fixture(folder, {{"expected.layer", {1, 2, 1}, {{7}, {2}}}});
    check_tokens(golden, "layer", {{-1}, {2}}, {{0, 1}});
    CHECK(golden.not_used() == "");
}

TEST_CASE("numbers_of, sequences_of, joined_continuations: integers of a fixture as lists, and back") {
    const TemporaryFolder folder;
    const Golden golden =
        fixture(folder, {{"input.ids", {2, 3}, {}, {0, 7, 8, 4, 5, 6}}, {"expected.mask", {2, 3}, {}, {0, 1, 1, 1, 1, 1}}});
    CHECK(dimensions_of(golden, "input.ids") == std::vector<int>{2, 3});
    const Matrix mask = numbers_of(golden, "expected.mask");
    CHECK(golden.not_used() == "");
    CHECK(identical(mask, {{0, 1, 1}, {1, 1, 1}}));
    CHECK(integers_of(mask) == std::vector<int>{0, 1, 1, 1, 1, 1});
    CHECK_THROWS_WITH(integers_of(Matrix{{0.5f}}), "integers_of: (1, 1) holds numbers that are not whole");
    CHECK(sequences_of(golden, "input.ids") == std::vector<std::vector<int>>{{0, 7, 8}, {4, 5, 6}});
    CHECK(sequences_of(golden, "input.ids", mask) == std::vector<std::vector<int>>{{7, 8}, {4, 5, 6}});
    CHECK(joined_continuations({{7, 8}, {4, 5, 6}}, {{1, 2}, {3}}) == std::vector<int>{7, 8, 1, 2, 4, 5, 6, 3});
    CHECK(joined_continuations({{7}, {4, 5}}, {{1}, {3}}, -1) == std::vector<int>{7, 1, -1, 4, 5, 3});
    CHECK(argmax_of_rows({{1, 3, 2}, {4, 0, 0}}) == std::vector<int>{1, 0});
    CHECK(identical(row_of({1, 2}), {{1, 2}}));
}

TEST_CASE("step_value: heads stacked, interleaved or averaged; rows of padding zeroed") {
    BlockSteps steps;
    steps.attention.query = Matrix{{1, 2}, {3, 4}};  // one sequence of two tokens, two heads of one column
    steps.attention.key = Matrix{{5}, {6}};          // one head serves both
    steps.attention.value = Matrix{{7}, {8}};
    steps.attention.weights = Matrix{{1, 0}, {0.5f, 0.5f}, {1, 0}, {0, 1}};
    const StepView view{.sequences = 1, .heads = 2};
    CHECK(identical(step_value(steps, {"q", Step::query}, view), {{1, 2}, {3, 4}}));
    CHECK(identical(step_value(steps, {"q", Step::query, Heads::stacked}, view), {{1}, {3}, {2}, {4}}));
    CHECK(identical(step_value(steps, {"k", Step::key, Heads::stacked}, view), {{5}, {6}}));
    CHECK(identical(step_value(steps, {"qkv", Step::query_key_value}, view), {{1, 2, 5, 7}, {3, 4, 6, 8}}));
    CHECK(identical(step_value(steps, {"A", Step::weights, Heads::mean}, view), {{1, 0}, {0.25f, 0.75f}}));
    CHECK(identical(step_value(steps, {"A", Step::weights}, {.sequences = 1, .heads = 2, .mask = {{1, 0}}}),
                    {{1, 0}, {0, 0}, {1, 0}, {0, 0}}));
    steps.attention.key = Matrix{{5, 50}, {6, 60}};
    steps.attention.value = Matrix{{7, 70}, {8, 80}};
    CHECK(identical(step_value(steps, {"qkv", Step::query_key_value, Heads::interleaved}, view),
                    {{1, 5, 7, 2, 50, 70}, {3, 6, 8, 4, 60, 80}}));
    CHECK_THROWS_WITH(step_value(steps, {"cross", Step::cross_output}),
                      "step_value: the block has no value for cross; are steps kept?");
}

TEST_CASE("check_stack: compares every step under its own name; an optional name may be missing") {
    const TemporaryFolder folder;
    // all 25 steps, each with a number of its own, so that two that are exchanged are seen
    BlockSteps steps;
    std::vector<TensorToWrite> tensors;
    std::vector<StepName> names;
    float number = 0;
    const auto add = [&](Var& var, Step step) {
        var = Matrix(1, 1, ++number);
        const std::string name = std::to_string(static_cast<int>(step));
        tensors.push_back({"expected.layer.0.step" + name, {1, 1, 1}, Matrix(1, 1, number)});
        names.push_back({"layer.#.step" + name, step});
    };
    add(steps.norm1, Step::norm1);
    add(steps.attention.query, Step::query);
    add(steps.attention.key, Step::key);
    add(steps.attention.value, Step::value);
    add(steps.attention.rotated_query, Step::rotated_query);
    add(steps.attention.rotated_key, Step::rotated_key);
    add(steps.attention.weights, Step::weights);
    add(steps.attention.context, Step::context);
    add(steps.attention.output, Step::attention_output);
    add(steps.after_attention, Step::after_attention);
    add(steps.norm_cross, Step::norm_cross);
    add(steps.cross.query, Step::cross_query);
    add(steps.cross.key, Step::cross_key);
    add(steps.cross.value, Step::cross_value);
    add(steps.cross.weights, Step::cross_weights);
    add(steps.cross.context, Step::cross_context);
    add(steps.cross.output, Step::cross_output);
    add(steps.after_cross, Step::after_cross);
    add(steps.norm2, Step::norm2);
    add(steps.mlp.expanded, Step::expanded);
    add(steps.mlp.gate, Step::gate);
    add(steps.mlp.hidden, Step::hidden);
    add(steps.mlp.output, Step::mlp_output);
    add(steps.output, Step::output);
    const Golden golden = fixture(folder, tensors);
    StackSteps stack;
    stack.blocks.push_back(steps);
    names.push_back({.name = "layer.#.not_there", .step = Step::output, .optional = true});
    check_stack(golden, stack, 1, names);
    golden.check_all_used();
    CHECK_THROWS_WITH(check_stack(golden, stack, 1, {{"layer", Step::output}}),
                      "check_stack: layer has no # for the number of the block");
}

TEST_SUITE_END();
