#include "nn/data/parameters.h"

#include "nn/base/random.h"
#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("parameters");

static Var zeros(int rows, int cols) { return parameter(Matrix(rows, cols)); }

// Loads one entry from a file that holds one tensor of these numbers.
static void load_one(const Parameter& entry, const Matrix& numbers) {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{.name = entry.name, .shape = entry.shape, .floats = numbers}});
    load({entry}, Safetensors(folder.path("f")));
}

TEST_CASE("Stored::as_it_is: the last dimension is the columns, the others are the rows") {
    const Var cls = zeros(1, 3), grid = zeros(4, 2), gain = zeros(1, 2), scalar = zeros(1, 1);
    load_one({"cls", {1, 1, 3}, Stored::as_it_is, {cls}}, Matrix{{1, 2, 3}});
    load_one({"grid", {2, 2, 2}, Stored::as_it_is, {grid}}, Matrix{{1, 2, 3, 4, 5, 6, 7, 8}});
    load_one({"gain", {2}, Stored::as_it_is, {gain}}, Matrix{{5, 6}});
    load_one({"scalar", {}, Stored::as_it_is, {scalar}}, Matrix{{9}});
    CHECK(identical(cls.value(), Matrix{{1, 2, 3}}));
    CHECK(identical(grid.value(), Matrix{{1, 2}, {3, 4}, {5, 6}, {7, 8}}));
    CHECK(identical(gain.value(), Matrix{{5, 6}}));
    CHECK(identical(scalar.value(), Matrix{{9}}));
}

TEST_CASE("Stored::out_by_in: y = x W^T as published is y = x W as ours") {
    const Var w = zeros(3, 2);
    load_one({"w", {2, 3}, Stored::out_by_in, {w}}, Matrix{{1, 2, 3}, {4, 5, 6}});
    CHECK(identical(w.value(), Matrix{{1, 4}, {2, 5}, {3, 6}}));
    const Var convolution = zeros(4, 1);  // (out, in, width): the dimensions after the first together are our rows
    load_one({"c", {1, 2, 2}, Stored::out_by_in, {convolution}}, Matrix{{1, 2, 3, 4}});
    CHECK(identical(convolution.value(), Matrix{{1}, {2}, {3}, {4}}));
}

TEST_CASE("load: a fused tensor is split into its parts from left to right, of any widths") {
    const Var q = zeros(2, 1), k = zeros(2, 2), v = zeros(2, 1), bq = zeros(1, 1), bk = zeros(1, 2), bv = zeros(1, 1);
    // published (4, 2): one row for q, two for k, one for v
    load_one({"qkv", {4, 2}, Stored::out_by_in, {q, k, v}}, Matrix{{1, 2}, {3, 4}, {5, 6}, {7, 8}});
    CHECK(identical(q.value(), Matrix{{1}, {2}}));
    CHECK(identical(k.value(), Matrix{{3, 5}, {4, 6}}));
    CHECK(identical(v.value(), Matrix{{7}, {8}}));
    load_one({"bias", {4}, Stored::as_it_is, {bq, bk, bv}}, Matrix{{1, 2, 3, 4}});
    CHECK(identical(bk.value(), Matrix{{2, 3}}));
    CHECK(identical(bv.value(), Matrix{{4}}));
    load_one({"bias", {4}, Stored::out_by_in, {bq, bk, bv}}, Matrix{{5, 6, 7, 8}});
    CHECK(identical(bk.value(), Matrix{{6, 7}}));
    // (in, out) as GPT-2 stores it: side by side already
    load_one({"c_attn", {2, 4}, Stored::as_it_is, {q, k, v}}, Matrix{{1, 2, 3, 4}, {5, 6, 7, 8}});
    CHECK(identical(k.value(), Matrix{{2, 3}, {6, 7}}));
}

TEST_CASE("Stored::patches: a convolution weight becomes rows with the channel fastest") {
    // (d, C, p, p) = (1, 2, 2, 2): channel 0 holds 1 2 3 4, channel 1 holds 5 6 7 8
    const Var w = zeros(8, 1);
    load_one({"w", {1, 2, 2, 2}, Stored::patches, {w}}, Matrix{{1, 2, 3, 4, 5, 6, 7, 8}});
    CHECK(identical(w.value(), Matrix{{1}, {5}, {2}, {6}, {3}, {7}, {4}, {8}}));
    // (d, C, 1, p) = (2, 2, 1, 2), not square
    const Var flat = zeros(4, 2);
    load_one({"w", {2, 2, 1, 2}, Stored::patches, {flat}}, Matrix{{1, 2, 3, 4, 5, 6, 7, 8}});
    CHECK(identical(flat.value(), Matrix{{1, 5}, {3, 7}, {2, 6}, {4, 8}}));
    // (d, C, p, p) = (2, 1, 2, 2), of grey images
    const Var grey = zeros(4, 2);
    load_one({"w", {2, 1, 2, 2}, Stored::patches, {grey}}, Matrix{{1, 2, 3, 4, 5, 6, 7, 8}});
    CHECK(identical(grey.value(), Matrix{{1, 5}, {2, 6}, {3, 7}, {4, 8}}));
}

TEST_CASE("Stored::as_it_is, out_by_in: also serve vectors, kernels and convolutions of other frameworks") {
    // Flax's output (H, h, D) = (2, 1, 3), head 0 is row 0
    const Var output = zeros(2, 3);
    load_one({"out", {2, 1, 3}, Stored::as_it_is, {output}}, Matrix{{1, 2, 3}, {4, 5, 6}});
    CHECK(identical(output.value(), Matrix{{1, 2, 3}, {4, 5, 6}}));
    // Flax's convolution (kh, kw, in, out) = (1, 2, 2, 2): position 0 holds [1 2; 3 4], channel by channel, as our rows
    const Var kernel = zeros(4, 2);
    load_one({"k", {1, 2, 2, 2}, Stored::as_it_is, {kernel}}, Matrix{{1, 2, 3, 4, 5, 6, 7, 8}});
    CHECK(identical(kernel.value(), Matrix{{1, 2}, {3, 4}, {5, 6}, {7, 8}}));
    // the same convolution as PyTorch publishes it, (out, in, kh, kw): out 0 = (in 0: 1 5), (in 1: 3 7)
    const Var torch = zeros(4, 2);
    load_one({"k", {2, 2, 1, 2}, Stored::patches, {torch}}, Matrix{{1, 5, 3, 7, 2, 6, 4, 8}});
    CHECK(identical(torch.value(), kernel.value()));
    // a convolution of one position, (out, in, 1), and a vector as (1, 1, D)
    const Var point = zeros(2, 3), vector = zeros(1, 2);
    load_one({"p", {3, 2, 1}, Stored::out_by_in, {point}}, Matrix{{1, 2, 3, 4, 5, 6}});
    CHECK(identical(point.value(), Matrix{{1, 3, 5}, {2, 4, 6}}));
    load_one({"v", {1, 1, 2}, Stored::as_it_is, {vector}}, Matrix{{7, 8}});
    CHECK(identical(vector.value(), Matrix{{7, 8}}));
}

TEST_CASE("Stored::in_by_rest, one_row: Flax's query kernel (D, H, h) and bias (H, h)") {
    // D = 2, H = 2 heads of width 2: head 0 are our columns 0 and 1
    const Var w = zeros(2, 4), b = zeros(1, 4);
    load_one({"kernel", {2, 2, 2}, Stored::in_by_rest, {w}}, Matrix{{1, 2, 3, 4, 5, 6, 7, 8}});
    CHECK(identical(w.value(), Matrix{{1, 2, 3, 4}, {5, 6, 7, 8}}));
    load_one({"bias", {2, 2}, Stored::one_row, {b}}, Matrix{{1, 2}, {3, 4}});
    CHECK(identical(b.value(), Matrix{{1, 2, 3, 4}}));
    CHECK(identical(published_value({"bias", {2, 2}, Stored::one_row, {b}}), Matrix{{1, 2}, {3, 4}}));
}

TEST_CASE("Stored::deconvolution: (in, out, 2, 2) becomes rows of in, columns by kernel position, the channel fastest") {
    // in 1, out 2: channel 0 of the four positions is 1 2 3 4, channel 1 is 5 6 7 8
    const Var w = zeros(1, 8);
    load_one({"w", {1, 2, 2, 2}, Stored::deconvolution, {w}}, Matrix{{1, 2, 3, 4, 5, 6, 7, 8}});
    CHECK(identical(w.value(), Matrix{{1, 5, 2, 6, 3, 7, 4, 8}}));
    // in 2, out 1: a row for each
    const Var two = zeros(2, 4);
    load_one({"w", {2, 1, 2, 2}, Stored::deconvolution, {two}}, Matrix{{1, 2, 3, 4, 5, 6, 7, 8}});
    CHECK(identical(two.value(), Matrix{{1, 2, 3, 4}, {5, 6, 7, 8}}));
}

TEST_CASE("columns_head_by_head: query, key and value fused head by head are separated") {
    CHECK(columns_head_by_head(2, 2, 1) == std::vector<int>{0, 2, 1, 3});
    // (H, 3, h) = (2, 3, 2) rows of PyTorch's (12, 1): q of head 0 = 0 1, k = 2 3, v = 4 5, q of head 1 = 6 7, ...
    const Var q = zeros(1, 4), k = zeros(1, 4), v = zeros(1, 4);
    const Parameter fused{"qkv", {12, 1}, Stored::out_by_in, {q, k, v}, columns_head_by_head(3, 2, 2)};
    load_one(fused, Matrix{{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}});
    CHECK(identical(q.value(), Matrix{{0, 1, 6, 7}}));
    CHECK(identical(k.value(), Matrix{{2, 3, 8, 9}}));
    CHECK(identical(v.value(), Matrix{{4, 5, 10, 11}}));
    CHECK(identical(transpose(published_value(fused)), Matrix{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}));
    Var key = k;
    key.gradient() = Matrix{{1, 2, 3, 4}};  // gradients go back to where the values came from
    CHECK(identical(transpose(published_gradient(fused)), Matrix{{0, 0, 1, 2, 0, 0, 0, 0, 3, 4, 0, 0}}));
}

TEST_CASE("columns_of_pairs: adjacent rotary pairs become columns half a head apart") {
    CHECK(columns_of_pairs(1, 4) == std::vector<int>{0, 2, 1, 3});
    // two heads of width 6, pairs (0 1) (2 3) (4 5): row 2j of a head = our j, row 2j + 1 = our j + 3
    const Var w = zeros(1, 12);
    const Parameter query{"wq", {12, 1}, Stored::out_by_in, {w}, columns_of_pairs(2, 6)};
    load_one(query, Matrix{{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}});
    CHECK(identical(w.value(), Matrix{{0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11}}));
    CHECK(identical(transpose(published_value(query)), Matrix{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}));
    CHECK_THROWS_WITH(columns_of_pairs(1, 3), "columns_of_pairs: a head of width 3 does not split into pairs");
}

// Every layout once, with random numbers.
static Parameters every_layout(Random& random) {
    const auto matrix = [&](int rows, int cols) { return parameter(normal_matrix(random, rows, cols)); };
    return {{"plain", {2, 3, 4}, Stored::as_it_is, {matrix(6, 4)}},
            {"linear", {5, 3}, Stored::out_by_in, {matrix(3, 5)}},
            {"fused", {6, 3}, Stored::out_by_in, {matrix(3, 1), matrix(3, 2), matrix(3, 3)}},
            {"side", {3, 6}, Stored::as_it_is, {matrix(3, 4), matrix(3, 2)}},
            {"bias", {6}, Stored::as_it_is, {matrix(1, 1), matrix(1, 2), matrix(1, 3)}},
            {"patch", {4, 3, 2, 5}, Stored::patches, {matrix(30, 1), matrix(30, 3)}},
            {"tube", {2, 3, 2, 2, 2}, Stored::patches, {matrix(24, 2)}},
            {"heads", {3, 2, 4}, Stored::in_by_rest, {matrix(3, 5), matrix(3, 3)}},
            {"biases", {2, 4}, Stored::one_row, {matrix(1, 8)}},
            {"up", {3, 5, 2, 3}, Stored::deconvolution, {matrix(3, 30)}},
            {"grey_patch", {4, 1, 2, 5}, Stored::patches, {matrix(10, 4)}},
            {"grey_up", {3, 1, 2, 3}, Stored::deconvolution, {matrix(3, 6)}},
            {"by_head", {18, 4}, Stored::out_by_in, {matrix(4, 6), matrix(4, 6), matrix(4, 6)}, columns_head_by_head(3, 2, 3)},
            {"pairs", {4, 16}, Stored::as_it_is, {matrix(4, 16)}, columns_of_pairs(2, 8)},
            {"point", {4, 3, 1}, Stored::out_by_in, {matrix(3, 4)}},
            {"scalar", {}, Stored::as_it_is, {matrix(1, 1)}}};
}

TEST_CASE("save: loads back bit for bit, in every layout") {
    const TemporaryFolder folder;
    Random random(1), other(2);
    const Parameters saved = every_layout(random), loaded = every_layout(other);
    save(saved, folder.path("f"), {{"format", "pt"}});
    const Safetensors file(folder.path("f"));
    CHECK(file.metadata_text("format") == "pt");
    CHECK(file.tensors.at("tube").shape == std::vector<long>{2, 3, 2, 2, 2});
    load(loaded, file);
    for (std::size_t k = 0; k < saved.size(); ++k) {
        CHECK_MESSAGE(identical(published_value(saved[k]), file.matrix(saved[k].name)), saved[k].name);
        for (std::size_t p = 0; p < saved[k].parts.size(); ++p)
            CHECK_MESSAGE(identical(saved[k].parts[p].value(), loaded[k].parts[p].value()), saved[k].name);
    }
}

TEST_CASE("published_gradient: in the published layout, zeros if there is no gradient") {
    Var a = zeros(2, 1), b = zeros(2, 2);
    a.gradient() = Matrix{{1}, {2}};
    const Parameter fused{"w", {3, 2}, Stored::out_by_in, {a, b}};
    CHECK(identical(published_gradient(fused), Matrix{{1, 2}, {0, 0}, {0, 0}}));
    b.gradient() = Matrix{{3, 4}, {5, 6}};
    CHECK(identical(published_gradient(fused), Matrix{{1, 2}, {3, 5}, {4, 6}}));
}

TEST_CASE("load: an error lists everything that is wrong, and nothing is changed") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{"a", {2}, Matrix{{1, 2}}},
                                         {"b", {2, 1}, Matrix{{1, 2}}},
                                         {"more", {1}, Matrix{{1}}},
                                         {"extra", {1}, Matrix{{1}}},
                                         {.name = "n", .shape = {1}, .integers = {1}}});
    const Var a = zeros(1, 2), b = zeros(1, 2), c = zeros(1, 1), n = zeros(1, 1), d = zeros(1, 1);
    const Parameters parameters = {{"a", {2}, Stored::as_it_is, {a}},
                                   {"b", {1, 2}, Stored::as_it_is, {b}},
                                   {"c", {1}, Stored::as_it_is, {c}},
                                   {"d", {1}, Stored::as_it_is, {d}},
                                   {"n", {1}, Stored::as_it_is, {n}}};
    CHECK(
        error_of([&] { load(parameters, Safetensors(folder.path("f"))); }) ==
        folder.path("f") +
            ": does not hold these parameters, nothing was loaded; missing: c (near it: a, b, n), d (near it: a, b, n); "
            "unexpected: extra, more; misshapen: b is (2, 1) instead of (1, 2), n is of type I64, not of F32, F64, F16 or BF16");
    CHECK(identical(a.value(), Matrix(1, 2)));
}

TEST_CASE("load: a long list of names is cut") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {});
    Parameters parameters;
    for (int k = 0; k < 25; ++k) parameters.push_back({std::to_string(k), {1}, Stored::as_it_is, {zeros(1, 1)}});
    const std::string error = error_of([&] { load(parameters, Safetensors(folder.path("f"))); });
    CHECK(error.ends_with("missing: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 15 more"));
    parameters.resize(11);
    CHECK(error_of([&] { load(parameters, Safetensors(folder.path("f"))); }).ends_with("7, 8, 9 and 1 more"));
    parameters.resize(10);
    CHECK(error_of([&] { load(parameters, Safetensors(folder.path("f"))); }).ends_with("7, 8, 9"));
}

TEST_CASE("LoadRules: optional prefixes, other endings, ignored endings, unexpected tensors") {
    const TemporaryFolder folder;
    const Var a = zeros(1, 1), b = zeros(1, 1);
    const Parameters parameters = {{"h.norm.weight", {1}, Stored::as_it_is, {a}}, {"t.bias", {1}, Stored::as_it_is, {b}}};
    const auto write = [&](const std::vector<std::string>& names) {
        std::vector<TensorToWrite> tensors;
        for (const std::string& name : names) tensors.push_back({name, {1}, Matrix{{static_cast<float>(tensors.size() + 1)}}});
        write_safetensors(folder.path("f"), tensors);
        return Safetensors(folder.path("f"));
    };
    const LoadRules rules{
        .optional_prefixes = {"t."}, .other_endings = {{"norm.weight", "norm.gamma"}}, .ignored_endings = {".mask"}};
    load(parameters, write({"h.norm.weight", "t.bias"}), rules);
    CHECK(a.value()(0, 0) == 1);
    CHECK(b.value()(0, 0) == 2);
    load(parameters, write({"bias", "t.h.norm.weight"}), rules);
    CHECK(a.value()(0, 0) == 2);
    CHECK(b.value()(0, 0) == 1);
    load(parameters, write({"x.mask", "bias", "t.h.norm.gamma"}), rules);
    CHECK(a.value()(0, 0) == 3);
    CHECK(b.value()(0, 0) == 2);
    // both names at once: ours is used and the other is unexpected
    CHECK(error_of([&] {
              load(parameters, write({"h.norm.weight", "h.norm.gamma", "bias"}), rules);
          }).ends_with("unexpected: h.norm.gamma"));
    CHECK(error_of([&] {
              load(parameters, write({"h.norm.weight", "t.bias", "x.mask", "x"}), rules);
          }).ends_with("unexpected: x"));
    const auto refusal_of = [&](const std::string& name) {
        return error_of([&] { load(parameters, write({"h.norm.weight", "t.bias", name}), rules); });
    };
    CHECK(refusal_of(std::string(80, 'x')).ends_with("unexpected: " + std::string(80, 'x')));  // longer names are cut
    CHECK(refusal_of(std::string(81, 'x')).ends_with("unexpected: \"" + std::string(60, 'x') + "\"... (81 bytes)"));
    LoadRules generous = rules;
    generous.allow_unexpected = true;
    load(parameters, write({"x", "h.norm.weight", "t.bias"}), generous);
    CHECK(a.value()(0, 0) == 2);
}

TEST_CASE("load: with a prefix, only tensors that have it are considered") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{"weights.a", {1}, Matrix{{5}}}, {"input.x", {1}, Matrix{{6}}}});
    const Var a = zeros(1, 1);
    load({{"a", {1}, Stored::as_it_is, {a}}}, Safetensors(folder.path("f")), {}, "weights.");
    CHECK(a.value()(0, 0) == 5);
}

TEST_CASE("load: an entry whose parts do not add up to its shape is an error of the table") {
    const Var w = zeros(2, 3);
    CHECK_THROWS_WITH(published_value({"w", {2, 3}, Stored::out_by_in, {w}}),
                      "parameter w: published as (2, 3) our matrix must have 3 rows, it is (2, 3)");
    CHECK_THROWS_WITH(published_value({"w", {2, 4}, Stored::as_it_is, {w}}),
                      "parameter w: published as (2, 4) our matrices must have 4 columns together, they have 3");
    CHECK_THROWS_WITH(published_value({"w", {3, 2}, Stored::patches, {w}}),
                      "parameter w: a shape of (3, 2) has fewer than 3 dimensions");
    CHECK_THROWS_WITH(published_value({"w", {2, 3}, Stored::as_it_is, {w}, {0, 1, 1}}),
                      "parameter w: its list of 3 columns does not name each of 3 columns once");
    CHECK_THROWS_WITH(published_value({"w", {2, 3}, Stored::as_it_is, {w}, {0, -1, 3}}),
                      "parameter w: its list of 3 columns does not name each of 3 columns once");
    CHECK_THROWS_WITH(published_value({"w", {2, 3}, Stored::as_it_is, {w}, {0, 1}}),
                      "parameter w: its list of 2 columns does not name each of 3 columns once");
    CHECK_THROWS_WITH(published_value({"w", {2, 3}, Stored::as_it_is, {w}, {0, 1, 2, 2}}),
                      "parameter w: its list of 4 columns does not name each of 3 columns once");
}

TEST_CASE("variables, count_numbers: each variable once, in order, without constants; all numbers once") {
    const Var a = zeros(2, 3), b = zeros(1, 4), frozen = Var(Matrix(1, 5));
    const Parameters parameters = {{"b", {4}, Stored::as_it_is, {b}},
                                   {"a", {2, 3}, Stored::as_it_is, {a}},
                                   {"tied", {2, 3}, Stored::as_it_is, {a}},
                                   {"frozen", {5}, Stored::as_it_is, {frozen}}};
    const std::vector<Var> found = variables(parameters);
    REQUIRE(found.size() == 2);
    CHECK(found[0].same_as(b));
    CHECK(found[1].same_as(a));
    CHECK(count_numbers(parameters) == 15);
}

// Writes tensors of one number each, 1, 2, ... in the order of the names.
static Safetensors numbered(const TemporaryFolder& folder, const std::vector<std::string>& names) {
    std::vector<TensorToWrite> tensors;
    for (const std::string& name : names) tensors.push_back({name, {1}, Matrix{{static_cast<float>(tensors.size() + 1)}}});
    write_safetensors(folder.path("numbered"), tensors);
    return Safetensors(folder.path("numbered"));
}

TEST_CASE("LoadRules::other_names: either name, with and without a prefix, or both if equal") {
    const TemporaryFolder folder;
    const Var words = zeros(1, 1);
    const Parameters parameters = {{"t.wte.weight", {1}, Stored::as_it_is, {words}}};
    const LoadRules rules{.optional_prefixes = {"t."}, .other_names = {{"wte.weight", "lm_head.weight"}}};
    for (const std::string name : {"wte.weight", "t.wte.weight", "lm_head.weight", "t.lm_head.weight"}) {
        Var(words).value() = Matrix{{0}};
        load(parameters, numbered(folder, {name}), rules);
        CHECK_MESSAGE(words.value()(0, 0) == 1, name);
        CHECK(name_in_file(numbered(folder, {name}), "t.wte.weight", rules) == name);
    }
    CHECK(name_in_file(numbered(folder, {"wte"}), "t.wte.weight", rules).empty());
    CHECK(error_of([&] {
              load(parameters, numbered(folder, {"wte.weight", "lm_head.weight"}), rules);
          }) == folder.path("numbered") +
                    ": does not hold these parameters, nothing was loaded; different: lm_head.weight and wte.weight");
    write_safetensors(folder.path("twice"), {{"lm_head.weight", {1}, Matrix{{7}}}, {"wte.weight", {1}, Matrix{{7}}}});
    load(parameters, Safetensors(folder.path("twice")), rules);
    CHECK(words.value()(0, 0) == 7);
    write_safetensors(folder.path("shapes"), {{"lm_head.weight", {1, 1}, Matrix{{7}}}, {"wte.weight", {1}, Matrix{{7}}}});
    CHECK(error_of([&] {
              load(parameters, Safetensors(folder.path("shapes")), rules);
          }).ends_with("different: lm_head.weight and wte.weight"));
    // integers under one of the names are not its numbers
    for (const std::string whole : {"lm_head.weight", "wte.weight"}) {
        const std::string other = whole == "wte.weight" ? "lm_head.weight" : "wte.weight";
        write_safetensors(folder.path("types"), {{.name = whole, .shape = {1}, .integers = {7}}, {other, {1}, Matrix{{7}}}});
        CHECK(error_of([&] {
                  load(parameters, Safetensors(folder.path("types")), rules);
              }).ends_with("different: lm_head.weight and wte.weight"));
    }
    // the name must fit as a whole
    CHECK(error_of([&] { load(parameters, numbered(folder, {"x.lm_head.weight"}), rules); }) != "");
}

TEST_CASE("LoadRules::other_names: tensors at the same byte of two shards are compared, not taken for one") {
    const TemporaryFolder folder;
    const std::string first = "model-1-of-2.safetensors", second = "model-2-of-2.safetensors";
    folder.file("index.json", "{\"weight_map\": {\"lm_head\": \"" + first + "\", \"wte\": \"" + second + "\"}}");
    const Var words = zeros(1, 1);
    const auto error = [&](float one, float other) {
        write_safetensors(folder.path(first), {{"lm_head", {1}, Matrix{{one}}}});
        write_safetensors(folder.path(second), {{"wte", {1}, Matrix{{other}}}});
        const Safetensors file(folder.path("index.json"));
        return error_of([&] { load({{"wte", {1}, Stored::as_it_is, {words}}}, file, {.other_names = {{"wte", "lm_head"}}}); });
    };
    CHECK(error(7, 7).empty());
    CHECK(words.value()(0, 0) == 7);
    CHECK(error(7, 8).ends_with("; different: lm_head and wte"));
}

TEST_CASE("load: an empty tensor that begins where an expected one does is unexpected") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{"none", {0}, Matrix(1, 0)}, {"b", {2}, Matrix{{2, 3}}}});
    const Var b = zeros(1, 2), none = zeros(1, 0);
    const Parameter last{"b", {2}, Stored::as_it_is, {b}}, empty{"none", {0}, Stored::as_it_is, {none}};
    CHECK(error_of([&] { load({last}, Safetensors(folder.path("f"))); }).ends_with("; unexpected: none"));
    CHECK_NOTHROW(load({last, empty}, Safetensors(folder.path("f"))));
    CHECK(identical(b.value(), Matrix{{2, 3}}));
}

TEST_CASE("load: a tensor with two names, both in the file, is not unexpected") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{"kept", {2}, Matrix{{1, 2}}}}, {{"left_out", "kept"}});
    const Var a = zeros(1, 2);
    load({{"left_out", {2}, Stored::as_it_is, {a}}}, Safetensors(folder.path("f")));
    CHECK(identical(a.value(), Matrix{{1, 2}}));
}

TEST_CASE("LoadRules::ignored_prefixes: a part that is not loaded is ignored, after the given prefix") {
    const TemporaryFolder folder;
    const Var a = zeros(1, 1);
    const Parameters parameters = {{"a", {1}, Stored::as_it_is, {a}}};
    load(parameters, numbered(folder, {"decoder.b", "a"}), {.ignored_prefixes = {"decoder."}});
    CHECK(a.value()(0, 0) == 2);
    load(parameters, numbered(folder, {"w.decoder.b", "other", "w.a"}), {.ignored_prefixes = {"decoder."}}, "w.");
    CHECK(a.value()(0, 0) == 3);
    CHECK(error_of([&] {
              load(parameters, numbered(folder, {"decoder2.b", "a"}), {.ignored_prefixes = {"decoder."}});
          }).ends_with("; unexpected: decoder2.b"));
}

TEST_CASE("load: a checkpoint of another kind is named instead of listing its tensors") {
    const TemporaryFolder folder;
    Parameters gpt;
    for (const std::string name : {"wte.weight", "wpe.weight", "h.0.ln_1.weight"})
        gpt.push_back({name, {1}, Stored::as_it_is, {zeros(1, 1)}});
    CHECK(error_of([&] {
              load(gpt, numbered(folder, {"vit.embeddings.cls_token", "vit.embeddings.patch_embeddings.projection.weight"}));
          }) == folder.path("numbered") +
                    ": does not hold these parameters, nothing was loaded; this looks like a ViT "
                    "(vit.embeddings.patch_embeddings.projection.weight), a GPT-2 (wte.weight) was asked for");
    // half of the tensors are there: only the missing ones are named
    gpt.pop_back();
    CHECK(error_of([&] {
              load(gpt, numbered(folder, {"wte.weight", "vit.embeddings.patch_embeddings.projection.weight"}));
          }).find("; missing: wpe.weight") != std::string::npos);
    gpt.push_back({"h.0.ln_1.weight", {1}, Stored::as_it_is, {zeros(1, 1)}});
    // of the same or an unknown kind: the names, with similar ones
    CHECK(
        error_of([&] { load(gpt, numbered(folder, {"x.wte.weight"})); })
            .ends_with(
                "; missing: wte.weight (near it: x.wte.weight; take off what stands in front of the names), wpe.weight (near it: x.wte.weight), h.0.ln_1.weight; unexpected: x.wte.weight"));
}

TEST_CASE("load: transposed matrices are refused with both shapes") {
    const TemporaryFolder folder;
    write_safetensors(folder.path("f"), {{"w", {6, 2}, Matrix(6, 2)}});
    CHECK(error_of([&] {
              load({{"w", {2, 6}, Stored::as_it_is, {zeros(2, 6)}}}, Safetensors(folder.path("f")));
          }).ends_with("; misshapen: w is (6, 2) instead of (2, 6)"));
}

TEST_CASE("copy_values: lists, parts and matrices that do not match are refused") {
    const Parameter one{.name = "a", .shape = {1, 2}, .parts = {zeros(1, 2)}};
    const Parameter two{.name = "b", .shape = {1, 4}, .parts = {zeros(1, 2), zeros(1, 2)}};
    const Parameter high{.name = "c", .shape = {2, 2}, .parts = {zeros(2, 2)}};
    CHECK_NOTHROW(copy_values({}, {}));
    CHECK_NOTHROW(copy_values({one, two}, {one, two}));
    CHECK_THROWS_WITH(copy_values({one}, {}),
                      "copy_values: a list of 1 parameters into one of 0; both must have the same number, from the same "
                      "configuration");
    CHECK_THROWS_WITH(copy_values({one}, {one, two}),
                      "copy_values: a list of 1 parameters into one of 2; both must have the same number, from the same "
                      "configuration");
    CHECK_THROWS_WITH(copy_values({one}, {two}), "copy_values: a of 1 matrices into b of 2; both must have the same number");
    CHECK_THROWS_WITH(copy_values({one}, {high}), "copy_values: a is (1, 2), c is (2, 2), the shapes must be equal");
}

TEST_CASE("load: a single number may be stored as () or as (1), and no other shape stands for another") {
    const TemporaryFolder folder;
    const auto refusal = [&](const std::vector<long>& in_file, const std::vector<long>& published, int numbers_here) {
        long count = 1;
        for (const long dimension : in_file) count *= dimension;
        write_safetensors(folder.path("f"), {{.name = "a", .shape = in_file, .floats = Matrix(1, static_cast<int>(count), 7)}});
        const Var a = zeros(1, numbers_here);
        const std::string error = error_of([&] {
            load({{"a", published, Stored::as_it_is, {a}}}, Safetensors(folder.path("f")));
        });
        CHECK((!error.empty() || a.value()[0] == 7));
        return error;
    };
    CHECK(refusal({}, {1}, 1).empty());
    CHECK(refusal({1}, {}, 1).empty());
    CHECK(refusal({2}, {2}, 2).empty());
    CHECK(refusal({2}, {}, 1).find("(2)") != std::string::npos);
    CHECK(refusal({1}, {2}, 2).find("(1)") != std::string::npos);
    CHECK(refusal({1, 1}, {1}, 1).find("(1, 1)") != std::string::npos);
    CHECK(refusal({1}, {1, 1}, 1).find("(1, 1)") != std::string::npos);
}

TEST_CASE("columns_head_by_head, columns_of_pairs: sizes below 1 and more columns than an int counts are refused") {
    const std::string rule = "; each must be at least 1, and a matrix has at most 2147483647 columns";
    for (const auto& [parts, heads, width] : {std::tuple{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {3, -1, 4}, {3, 2147483647, 4}})
        CHECK(error_of([&] { columns_head_by_head(parts, heads, width); }) ==
              joined({"columns_head_by_head: ", parts, " parts of ", heads, " heads of width ", width, rule}));
    CHECK(columns_head_by_head(1, 1, 1) == std::vector<int>{0});
    CHECK(error_of([] { columns_of_pairs(-1, 2); }) == "columns_of_pairs: 1 parts of -1 heads of width 2" + rule);
    CHECK(error_of([] { columns_of_pairs(1, 0); }) == "columns_of_pairs: 1 parts of 1 heads of width 0" + rule);
}
