#include "gpt/families/opt.h"

#include <cmath>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "tests/close.h"
#include "tests/fixture_views.h"
#include "tests/test.h"

// Numbers of the published code: galactica_test.cpp and biogpt_test.cpp, whose fixtures hold this decoder in both forms.
TEST_SUITE_BEGIN("opt");

// All sizes differ: V = 11, E = 12, 3 heads of 4, F = 10, 9 positions.
static opt::Config tiny() { return {.vocabulary = 11, .width = 12, .depth = 2, .heads = 3, .mlp_width = 10, .positions = 9}; }

static opt::Weights tiny_weights(const opt::Config& config) {
    Random random(1);
    return opt::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.3f});
}

TEST_CASE("opt: the first token uses row 2 of the position embedding, padding uses row 1") {
    const opt::Weights w = tiny_weights(tiny());
    const Matrix rows = opt::forward(make_batch({{5, 6, 7}, {8}}, 0, Side::left), w, tiny()).positions.value();  // (6, E)
    const Matrix& table = w.positions.value();
    // by hand: positions 0 1 2 | padding padding 0
    const int expected[] = {2, 3, 4, 1, 1, 2};
    for (int row = 0; row < 6; ++row) CHECK(identical(slice_rows(rows, row, 1), slice_rows(table, expected[row], 1)));
}

TEST_CASE("opt: embedding_scale scales token embeddings only; OPT itself has ReLU, biases and gains") {
    opt::Config config = tiny();
    const opt::Weights w = tiny_weights(config);
    CHECK(w.norm.gain.value().cols == 12);
    CHECK(w.blocks[0].mlp.expand.bias.value().cols == 10);
    config.embedding_scale = 3;
    const Matrix x = opt::forward(make_batch({{7}}), w, config).embeddings.value();
    CHECK(x(0, 5) == Approx(3 * w.token_embedding.value()(7, 5) + w.positions.value()(2, 5)));
    const KeepSteps keep;
    const opt::Steps steps = opt::forward(make_batch({{7, 1, 4}}), w, tiny());
    const MlpSteps& mlp = steps.decoder.blocks[0].mlp;
    for (std::size_t i = 0; i < mlp.hidden.value().size(); ++i)
        CHECK(mlp.hidden.value()[i] == std::max(0.0f, mlp.expanded.value()[i]));
}

TEST_CASE("opt: the tied token embedding sums the gradients of both of its uses") {
    opt::Config config = tiny();
    config.activation = Activation::gelu;
    config.embedding_scale = std::sqrt(12.0f);
    const opt::Weights w = tiny_weights(config);
    const TokenBatch batch = make_batch({{4, 5, 6, 7}, {1, 2}}, 0, Side::left);
    const auto loss_of = [&](const std::vector<Var>& tables) {
        opt::Weights moved = w;
        moved.token_embedding = tables[0];
        moved.positions = tables[1];
        return opt::loss(opt::forward(batch, moved, config), batch);
    };
    check_gradient_by_differences(loss_of, {w.token_embedding.value(), w.positions.value()});
}

TEST_CASE("opt: rejects an inconsistent config or batch, and names the reason") {
    Random random;
    const opt::Config config = tiny();
    opt::Config odd = config;
    odd.heads = 5;
    CHECK_THROWS_WITH(opt::make_weights(odd, random), "opt: 5 heads must divide a width of 12");
    odd = config;
    odd.vocabulary = 0;
    CHECK_THROWS_WITH(opt::make_weights(odd, random),
                      "opt: 0 tokens, width 12, depth 2, inner width 10, 9 positions: sizes must be positive");
    odd = config;
    odd.position_offset = 0;
    CHECK_THROWS_WITH(opt::make_weights(odd, random),
                      "opt: a position offset of 0: padding reads the row before that of the first token, so there must be one");
    const opt::Weights w = tiny_weights(config);
    CHECK_THROWS_WITH(opt::forward(equal_batch(std::vector<int>(10, 1), 10), w, config),
                      "opt: a text of 10 tokens, but there are 9 positions; cut the text");
    CHECK_NOTHROW(opt::forward(equal_batch(std::vector<int>(9, 1), 9), w, config));
    CHECK(without_place(error_of([&] {
              opt::forward(make_batch({{1, 11}}), w, config);
          })) == "embed: id 11 is outside a table of 11 rows, counted from 0");
    odd = config;
    odd.depth = 3;
    CHECK_THROWS_WITH(
        opt::forward(equal_batch({1}, 1), w, odd),
        "opt: the configuration says 3 blocks, the weights hold 2; pass the configuration that the weights were made with");
    Memory memory = opt::make_memory(config, 1, 20);
    opt::read_on(equal_batch(std::vector<int>(9, 1), 9), w, config, memory);
    CHECK_THROWS_WITH(opt::read_on(equal_batch({1}, 1), w, config, memory),
                      "opt: 9 tokens were read, 1 more exceed 9 positions; ask for fewer");
}

TEST_CASE("make_weights: every invalid size is refused by itself, the smallest valid one is accepted") {
    Random random;
    const std::string rule = ": sizes must be positive";
    for (const auto& [config, text] : std::vector<std::pair<opt::Config, std::string>>{
             {{.vocabulary = 0}, "opt: 0 tokens, width 4096, depth 32, inner width 16384, 2048 positions" + rule},
             {{.width = 0}, "opt: 50272 tokens, width 0, depth 32, inner width 16384, 2048 positions" + rule},
             {{.depth = -1}, "opt: 50272 tokens, width 4096, depth -1, inner width 16384, 2048 positions" + rule},
             {{.mlp_width = 0}, "opt: 50272 tokens, width 4096, depth 32, inner width 0, 2048 positions" + rule},
             {{.positions = 0}, "opt: 50272 tokens, width 4096, depth 32, inner width 16384, 0 positions" + rule},
             {{.heads = 0}, "opt: 0 heads must divide a width of 4096"},
             {{.position_offset = 0},
              "opt: a position offset of 0: padding reads the row before that of the first token, so there must be one"},
         })
        CHECK_THROWS_WITH(opt::make_weights(config, random), text.c_str());
    const opt::Config least{
        .vocabulary = 1, .width = 1, .depth = 0, .heads = 1, .mlp_width = 1, .positions = 1, .position_offset = 1, .eps = 0};
    CHECK_NOTHROW(opt::make_weights(least, random));
}

TEST_CASE("opt::Config: the defaults") {
    const opt::Config usual{};
    CHECK(usual.vocabulary == 50272);
    CHECK(usual.width == 4096);
    CHECK(usual.depth == 32);
    CHECK(usual.heads == 32);
    CHECK(usual.mlp_width == 16384);
    CHECK(usual.positions == 2048);
    CHECK(usual.position_offset == 2);
    CHECK(usual.biases);
    CHECK(usual.affine_norms);
    CHECK(usual.embedding_scale == 1);
    CHECK(usual.activation == Activation::relu);
    CHECK(usual.eps == 1e-5f);
}

TEST_CASE("make_weights: a factor of the embeddings that is not finite is refused") {
    Random random(1);
    for (const float factor : {NAN, INFINITY}) {
        opt::Config config = tiny();
        config.embedding_scale = factor;
        CHECK(error_of([&] {
                  opt::make_weights(config, random);
              }).ends_with(", the factor must be finite; 1 leaves them as they are"));
    }
}

TEST_SUITE_END();
