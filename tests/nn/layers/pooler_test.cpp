#include "nn/layers/pooler.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/close.h"

TEST_SUITE_BEGIN("pooler");

static Matrix draws(int rows, int cols, int seed) {
    Random random(seed);
    return normal_matrix(random, rows, cols);
}

TEST_CASE("pool: one row per query for every sequence of any length, and sequences are independent") {
    Random random(1);
    const Pooler w = make_pooler(random, 3, 8, 6, {.stddev = 0.5f});
    const Matrix tokens = draws(7, 6, 2);
    const Segments two = Segments::of({4, 3});
    const Matrix both = pool(tokens, two, w, 2, 1e-5f).attention.output.value();
    REQUIRE(shape(both) == "(6, 8)");
    check_close("first", slice_rows(both, 0, 3),
                pool(slice_rows(tokens, 0, 4), Segments::one(4), w, 2, 1e-5f).attention.output.value());
    check_close("second", slice_rows(both, 3, 3),
                pool(slice_rows(tokens, 4, 3), Segments::one(3), w, 2, 1e-5f).attention.output.value());
}

TEST_CASE("pool: does not depend on the order of tokens, which have no positions here") {
    Random random(1);
    const Pooler w = make_pooler(random, 2, 8, 6, {.stddev = 0.5f});
    const Matrix tokens = draws(4, 6, 3);
    check_close("turned around", pool(gather_rows(tokens, {3, 2, 1, 0}), Segments::one(4), w, 2, 1e-5f).attention.output.value(),
                pool(tokens, Segments::one(4), w, 2, 1e-5f).attention.output.value());
}

static const ResamplerShape small{
    .latents = 3, .width = 8, .depth = 2, .heads = 2, .head_width = 3, .mlp_width = 10, .frames = 2};

TEST_CASE("resample: R rows for each sequence, from any number of tokens, and sequences are independent") {
    Random random(1);
    const Resampler w = make_resampler(random, small, {.stddev = 0.5f});
    const Matrix tokens = draws(12, 8, 4);  // 2 sequences of 2 frames of 3 tokens
    const Matrix both = resample(tokens, 2, w, 2, 1e-5f).latents.value();
    REQUIRE(shape(both) == "(6, 8)");
    check_close("second alone", slice_rows(both, 3, 3), resample(slice_rows(tokens, 6, 6), 1, w, 2, 1e-5f).latents.value());
    CHECK(shape(resample(draws(2, 8, 5), 1, w, 2, 1e-5f).latents.value()) == "(3, 8)");
}

TEST_CASE("resample: frame f of the table is added to the tokens of frame f only") {
    Random random(1);
    Resampler w = make_resampler(random, small, {.stddev = 0.5f});
    const Matrix tokens = draws(6, 8, 4);
    Matrix moved = tokens;
    for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 8; ++j) moved(i, j) += w.frames.value()(i / 3, j);
    const Matrix with_frames = resample(tokens, 1, w, 2, 1e-5f).latents.value();
    w.frames = slice_rows(w.frames, 1, 1);
    Matrix moved_alike = tokens;
    for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 8; ++j) moved_alike(i, j) += w.frames.value()[j];
    const Matrix with_one_frame = resample(tokens, 1, w, 2, 1e-5f).latents.value();
    w.frames = {};
    check_close("added by hand", resample(moved, 1, w, 2, 1e-5f).latents.value(), with_frames);
    check_close("one frame", resample(moved_alike, 1, w, 2, 1e-5f).latents.value(), with_one_frame);
}

TEST_CASE("resample: the latents are among their own keys, so tokens without weight still leave something to attend to") {
    Random random(1);
    const Resampler w = make_resampler(random, small, {.stddev = 0.5f});
    const KeepSteps keep;
    const ResamplerSteps steps = resample(draws(6, 8, 4), 1, w, 2, 1e-5f);
    CHECK(steps.layers.size() == 2);
    CHECK(shape(steps.layers[0].attention.weights.value()) == "(6, 9)");  // 2 heads of 3 latents, on 6 tokens and 3 latents
}

TEST_CASE("resample: gradients of tokens and latents agree with finite differences") {
    Random random(1);
    const Resampler fixed = make_resampler(random, small, {.stddev = 0.5f});
    check_gradient_by_differences(
        [&](const std::vector<Var>& in) {
            Resampler w = fixed;
            w.latents = in[1];
            w.frames = in[2];
            return resample(in[0], 1, w, 2, 1e-5f).latents;
        },
        {draws(4, 8, 6), draws(3, 8, 7), draws(2, 8, 8)});
}

TEST_CASE("add_parameters: a resampler's tensors, those of each layer under its number; frames where it has a table of them") {
    Random random(1);
    Resampler w = make_resampler(random, small);  // D = 8, H h = 6, m = 10
    const auto listing = [&] {
        Parameters table;
        add_parameters(table, "r.", w);
        std::string joined;
        for (const Parameter& parameter : table) joined += parameter.name + shape_text(parameter.shape) + " ";
        return joined;
    };
    const auto layer = [](const std::string& name) {
        return name + "0.norm_media.weight(8) " + name + "0.norm_media.bias(8) " + name + "0.norm_latents.weight(8) " + name +
               "0.norm_latents.bias(8) " + name + "0.to_q.weight(6, 8) " + name + "0.to_kv.weight(12, 8) " + name +
               "0.to_out.weight(8, 6) " + name + "1.0.weight(8) " + name + "1.0.bias(8) " + name + "1.1.weight(10, 8) " + name +
               "1.3.weight(8, 10) ";
    };
    const std::string rest = layer("r.layers.0.") + layer("r.layers.1.") + "r.norm.weight(8) r.norm.bias(8) ";
    CHECK(listing() == "r.latents(3, 8) r.frame_embs(2, 8) " + rest);
    w.frames = {};
    CHECK(listing() == "r.latents(3, 8) " + rest);
}

TEST_CASE("resample: tokens that do not divide into sequences are refused") {
    Random random(1);
    const Resampler w = make_resampler(random, small, {.stddev = 0.5f});
    CHECK_THROWS_WITH(resample(draws(5, 8, 4), 2, w, 2, 1e-5f),
                      "resample: 5 tokens are not a whole number for each of 2 sequences");
    CHECK_THROWS_WITH(resample(draws(5, 8, 4), 0, w, 2, 1e-5f),
                      "resample: 5 tokens are not a whole number for each of 0 sequences");
    CHECK_THROWS_WITH(resample(Matrix(0, 8), 2, w, 2, 1e-5f),
                      "resample: 0 tokens are not a whole number for each of 2 sequences");
    CHECK_THROWS_WITH(resample(draws(5, 8, 4), 1, w, 2, 1e-5f),
                      "resample: 5 tokens do not divide into 2 frames; give a multiple of 2");
}

TEST_CASE("make_resampler: 0 layers and 0 heads are refused") {
    Random random(1);
    CHECK_THROWS_WITH(make_resampler(random, {.depth = 0}),
                      "make_resampler: 0 layers of 8 heads of width 64, each must be at least 1");
    CHECK_THROWS_WITH(make_resampler(random, {.heads = 0}),
                      "make_resampler: 6 layers of 0 heads of width 64, each must be at least 1");
    CHECK_THROWS_WITH(make_resampler(random, {.head_width = 0}),
                      "make_resampler: 6 layers of 8 heads of width 0, each must be at least 1");
    const Resampler w =
        make_resampler(random, {.latents = 2, .width = 4, .depth = 1, .heads = 1, .head_width = 1, .mlp_width = 4});
    CHECK(!w.layers[0].attention.query.bias);
    CHECK(!w.layers[0].attention.key.bias);
    CHECK(!w.layers[0].attention.value.bias);
    CHECK(!w.layers[0].attention.output.bias);
    CHECK(resample(Matrix(1, 4), 1, w, 1, 1e-5f).latents.rows() == 2);  // a single token
}

TEST_CASE("ResamplerShape: the defaults") {
    const ResamplerShape usual{};
    CHECK(usual.latents == 64);
    CHECK(usual.width == 1024);
    CHECK(usual.depth == 6);
    CHECK(usual.heads == 8);
    CHECK(usual.head_width == 64);
    CHECK(usual.mlp_width == 4096);
    CHECK(usual.frames == 1);
}

TEST_CASE("pool, make_resampler: no sequence and no frame are refused") {
    Random random(1);
    const Pooler w = make_pooler(random, 1, 2, 2);
    CHECK_THROWS_WITH(pool(Matrix(3, 2), {}, w, 1, 1e-5f),
                      "pool: no sequence of the 3 tokens is given; Segments::one(rows) is a single one");
    CHECK_THROWS_WITH(make_resampler(random, {.frames = 0}), "make_resampler: 0 frames, there must be at least 1; 1 = images");
}

TEST_CASE("resample, make_resampler: a table of no frames, and heads wider than a matrix, are refused") {
    Random random(1);
    Resampler w = make_resampler(random, {.latents = 2, .width = 4, .depth = 1, .heads = 2, .head_width = 3, .mlp_width = 8});
    w.frames = Var(Matrix(0, 4));
    CHECK(error_of([&] { resample(Var(Matrix(6, 4)), 2, w, 2, 1e-5f); }) ==
          "resample: 3 tokens do not divide into 0 frames; give a multiple of 0");
    CHECK(error_of([&] { make_resampler(random, {.width = 4, .depth = 1, .heads = 65536, .head_width = 65536}); }) ==
          "make_resampler: 65536 heads of width 65536 are wider than the 2147483647 columns of a matrix");
}

TEST_SUITE_END();
