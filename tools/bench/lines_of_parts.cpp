// lines_of_parts.cpp: the benchmarks of products, functions, the optimizer and the choice of a token.
#include <memory>
#include <utility>

#include "nn/autograd/operations.h"
#include "nn/base/functions.h"
#include "nn/base/matmul.h"
#include "nn/base/random.h"
#include "nn/layers/activation.h"
#include "nn/text/decoding.h"
#include "nn/training/optimizer.h"
#include "tools/bench/lines.h"
#include "tools/bench/loops.h"

// --- matrix products ---

namespace {
enum class Form { plain, b_transposed, a_transposed };
}  // namespace

static std::function<void()> prepare_product(int m, int k, int n, Form form) {
    Random random(1);
    const bool a_t = form == Form::a_transposed, b_t = form == Form::b_transposed;
    const auto a = std::make_shared<Matrix>(normal_matrix(random, a_t ? k : m, a_t ? m : k));
    const auto b = std::make_shared<Matrix>(normal_matrix(random, b_t ? n : k, b_t ? k : n));
    const auto c = std::make_shared<Matrix>(m, n);
    return [=] {
        const Slice a_read = whole(std::as_const(*a)), b_read = whole(std::as_const(*b));
        multiply_add(whole(*c), a_t ? transposed(a_read) : a_read, b_t ? transposed(b_read) : b_read);
    };
}

static void add_products(std::vector<Line>& lines, int m, int k, int n) {
    const std::string size = std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n);
    const double operations = 2.0 * m * k * n;
    const double bytes = m == 1 ? 4.0 * k * n : 0;
    lines.push_back({"matmul A B    " + size, operations, bytes, 0, [=] { return prepare_product(m, k, n, Form::plain); }});
    lines.push_back(
        {"matmul A B^T  " + size, operations, bytes, 0, [=] { return prepare_product(m, k, n, Form::b_transposed); }});
    if (m > 1)
        lines.push_back(
            {"matmul A^T B  " + size, operations, bytes, 0, [=] { return prepare_product(m, k, n, Form::a_transposed); }});
}

// --- functions, on as many numbers as the MLP or the attention of ViT-B/16 has for one image ---

static std::function<void()> prepare_function(Var (*function)(const Var&), int rows, int cols) {
    Random random(1);
    const Var x(normal_matrix(random, rows, cols));
    return [=] { function(x); };
}

// Each number is read and its value written; the arithmetic depends on the function.
static void add_function(std::vector<Line>& lines, const std::string& name, Var (*function)(const Var&), int rows, int cols) {
    const double bytes = 2.0 * 4 * rows * cols;
    lines.push_back({name, 0, bytes, 0, [=] { return prepare_function(function, rows, cols); }, true});
}

static Var exp_line(const Var& x) { return exp(x); }
static Var gelu_line(const Var& x) { return activate(x, Activation::gelu); }
static Var softmax_line(const Var& x) { return softmax_rows(x); }

// --- the optimizer: bound by memory ---

static std::function<void()> prepare_adamw(int rows, int cols) {
    Random random(1);
    Var w = parameter(normal_matrix(random, rows, cols));
    w.gradient() = normal_matrix(random, rows, cols);
    const auto optimizer = std::make_shared<AdamW>(std::vector<Var>{w}, std::vector<Var>{});
    return [=] { optimizer->update(); };
}

// --- functions as bare loops: one row in the cache, beside the standard library ---

static void add_loop(std::vector<Line>& lines, const std::string& name, Loop ours, Loop standard) {
    const int count = 3072;
    for (const bool plain : {true, false}) {
        const std::string line = name + (plain ? " std::" : " loop ") + " 100 rows of 3072";
        const Loop loop = plain ? standard : ours;
        const auto prepare = [=]() -> std::function<void()> {
            Random random(1);
            const auto x = std::make_shared<Matrix>(normal_matrix(random, 1, count));
            const auto y = std::make_shared<Matrix>(1, count);
            return [=] {
                for (int repeat = 0; repeat < 100; ++repeat) loop(x->begin(), y->begin(), count);
            };
        };
        lines.push_back({.name = line, .prepare = prepare, .rival = plain ? "" : lines.back().name, .numbers = 100.0 * count});
    }
}

// --- the choice of a token ---

// Draws one token with top-p 0.9. The smaller the spread of the logits, the more tokens are kept.
static std::function<void()> prepare_top_p(int vocabulary, float spread) {
    Random random(1);
    const Matrix logits = normal_matrix(random, 1, vocabulary, spread);
    return [=] { draw_token(sampling_probabilities(logits, {.top_p = 0.9f}), 0, 0.5f); };
}

static std::function<void()> prepare_top_p_textbook(int vocabulary, float spread) {
    Random random(1);
    const Matrix probabilities = softmax_rows(normal_matrix(random, 1, vocabulary, spread)).value();
    return [=] {
        Matrix kept = probabilities;
        keep_top_p_textbook(kept.begin(), vocabulary, 0.9f);
    };
}

std::vector<Line> lines_of_products() {
    std::vector<Line> lines;
    add_products(lines, 64, 64, 64);
    add_products(lines, 197, 768, 768);
    add_products(lines, 256, 768, 3072);
    add_products(lines, 1024, 1024, 1024);
    add_products(lines, 256, 768, 50257);
    add_products(lines, 1, 768, 3072);
    return lines;
}

std::vector<Line> lines_of_functions() {
    std::vector<Line> lines;
    add_function(lines, "exp      197x3072", exp_line, 197, 3072);
    add_function(lines, "gelu     197x3072", gelu_line, 197, 3072);
    add_function(lines, "softmax 2364x197", softmax_line, 12 * 197, 197);
    add_loop(lines, "exp    ", exp_loop, exp_standard);
    add_loop(lines, "gelu   ", gelu_loop, gelu_standard);
    add_loop(lines, "softmax", softmax_loop, softmax_standard);

    // For each number w, g, m and v are read, and w, m and v are written.
    lines.push_back({"adamw    4096x4096", 0, 7.0 * 4 * 4096 * 4096, 0, [] { return prepare_adamw(4096, 4096); }, true});
    for (const auto& [name, spread] : {std::pair("flat  ", 0.1f), std::pair("peaked", 5.0f)}) {
        const double bytes = 2.0 * 4 * 32000;  // logits are read, probabilities written
        const std::string line = std::string("top-p ") + name;
        lines.push_back({line + " V32000", 0, bytes, 0, [=, s = spread] { return prepare_top_p(32000, s); }});
        lines.push_back({line + " textbook", 0, bytes, 0, [=, s = spread] { return prepare_top_p_textbook(32000, s); }});
    }
    return lines;
}
