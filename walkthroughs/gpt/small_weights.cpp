// small_weights.cpp: the lesson on small weights: what a token costs, what bfloat16 and int8 lose, and why rows have the scales.
//
//   paper    Dettmers et al., "LLM.int8()", 2022, arXiv 2208.07339 (section 3: a scale for each output)
//   shows    that generation waits for memory, and that a trained model needs few of the 32 bits of its weights
//   symbols  V tokens in the vocabulary   E width   q a whole number from -127 to 127   s a scale
//   before   walkthroughs/gpt/gpt.cpp
//   next     nn/autograd/small_matrix.h; walkthroughs/programs/generate.cpp --format int8
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/writing.h"
#include "nn/autograd/small_weights.h"
#include "nn/base/clock.h"
#include "nn/base/functions.h"
#include "nn/base/matmul.h"
#include "nn/base/parallel.h"
#include "walkthroughs/lesson/corpus.h"
#include "walkthroughs/lesson/lesson.h"

struct Choices {
    int steps = 300, batch = 8, length = 64, width = 64, depth = 2, merges = 300;
    int seed = 1;
};

static const std::vector<WeightFormat> all_formats{WeightFormat::float32, WeightFormat::bfloat16, WeightFormat::int8};

// --- one number, one block ---

static void step_bfloat16(Lesson& lesson) {
    lesson.step("What does bfloat16 keep of a number?", "bfloat16: the upper 16 of 32 bits");
    std::vector<std::vector<std::string>> rows{{"x", "bfloat16", "error / x"}};
    for (const float x : {1.0f, 1.00390625f, 1.01171875f, 0.1f, -3.14159f, 1234567.0f}) {
        const float rounded = from_bfloat16(to_bfloat16(x));
        rows.push_back({fixed(x, 6), fixed(rounded, 6), fixed((rounded - x) / x, 5)});
    }
    lesson.table(rows);
    lesson.why(
        "sign and exponent stay, and 8 of 24 significant bits. Between 1 and 2 the neighbours are 1/128 apart: 1 + 1/256 lies "
        "half-way and goes to the even one, 1; 1 + 3/256 goes to 1 + 2/128. The error is at most 1/256 of the number.");
    lesson.predict("1.005 becomes 1 or 1.0078125?", {from_bfloat16(to_bfloat16(1.005f)), 0.001});
}

static void step_int8(Lesson& lesson) {
    lesson.step("How does int8 store a block of 32?", "x = s q, s = max |x| / 127");
    const Matrix block{{2.54f, -1, 0.031f, 0.009f, 0.5f}};
    lesson.code();
    const Int8Rows small = to_int8_rows(block);
    const Matrix back = restored(small);
    std::vector<std::vector<std::string>> rows{{"x", "x / s", "q", "s q"}};
    for (int k = 0; k < block.cols; ++k)
        rows.push_back({fixed(block[k], 3), fixed(block[k] / small.scales[0], 2), text(static_cast<int>(small.numbers[k])),
                        fixed(back[k], 3)});
    lesson.say("s = 2.54 / 127 = ", fixed(small.scales[0], 3), " for the block:");
    lesson.table(rows);
    lesson.why(
        "the error is at most s / 2, equally for large and small numbers: 0.009 becomes 0. So a block should hold numbers "
        "of one size, and be small: 32 numbers share a scale of 4 bytes, 1.125 bytes a number.");
    lesson.predict("What would the error of 0.009 be without the 2.54 in its block?",
                   {std::abs(restored(to_int8_rows(Matrix{{-1, 0.031f, 0.009f, 0.5f}}))[2] - 0.009), 0.001});
}

// --- a model ---

// A trained model and its weights, which every rounding starts from.
struct Trained {
    gpt::Config config;
    gpt::Weights w;
    std::vector<Var> matrices;
    std::vector<Matrix> originals;

    void restore() {
        for (std::size_t k = 0; k < matrices.size(); ++k) matrices[k].value() = originals[k];
    }
    void read_token() const { gpt::generate_greedily({0}, 1, w, config, {.new_tokens = 1}); }
};

// How the model is trained before its weights are rounded.
static Recipe recipe_of(const Choices& choices) {
    return {.schedule = {.peak = 3e-3f, .warm_up = 20, .steps = choices.steps, .floor = 0.05f},
            .batch = choices.batch,
            .weight_decay = 0.01f,
            .beta2 = 0.98f};
}

static Trained step_train(Lesson& lesson, const Corpus& corpus, const Choices& choices) {
    lesson.step("Which model is rounded?");
    Trained model;
    model.config = {.vocabulary = corpus.vocabulary.size(),
                    .positions = choices.length,
                    .width = choices.width,
                    .depth = choices.depth,
                    .heads = 4,
                    .mlp_width = 4 * choices.width};
    Random random(choices.seed);
    model.w = gpt::make_weights(model.config, random, {.stddev = 0.05f, .embedding_stddev = 0.05f});
    const Parameters parameters = gpt::parameters(model.w, model.config);
    NextTokensOfText objective(model.w, model.config, choices.length, choices.batch, random, corpus.train);
    {
        ShowProgress progress("training", choices.steps);
        train(objective, weights_decay(parameters), recipe_of(choices), &progress);
    }
    model.matrices = variables(parameters);
    for (const Var& matrix : model.matrices) model.originals.push_back(matrix.value());
    lesson.say("A GPT of ", count_numbers(parameters), " parameters, trained for ", choices.steps,
               " steps on the sources of this project.");
    return model;
}

// What a format costs and loses.
struct Loss {
    double bytes = 0, perplexity = 0;
    double logit_change = 0;  // largest, over the standard deviation of the logits
};

static double standard_deviation(const Matrix& m) {
    const double n = static_cast<double>(m.size()), mean = sum_in_double(m.begin(), m.size()) / n;
    return std::sqrt(dot_in_double(m.begin(), m.begin(), m.size()) / n - mean * mean);
}

static double largest_difference(const Matrix& a, const Matrix& b) {
    double largest = 0;
    for (std::size_t k = 0; k < a.size(); ++k) largest = std::max(largest, std::abs(static_cast<double>(a[k]) - b[k]));
    return largest;
}

// The logits of the first T tokens of the test text, with the weights as they are now: (T, V).
static Matrix logits_of(const Trained& model, const Corpus& corpus) {
    const int T = model.config.positions;
    const std::vector<int> ids(corpus.test.begin(), corpus.test.begin() + T);
    return gpt::forward(ids, T, model.w, model.config).logits.value();
}

// Loss and logits of the model as it is now.
static Loss measured(const Trained& model, const Corpus& corpus, const Matrix& exact) {
    const Matrix logits = logits_of(model, corpus);
    return {.perplexity = std::exp(held_out_loss(corpus.test, model.config.positions, model.w, model.config)),
            .logit_change = exact.empty() ? 0 : largest_difference(logits, exact) / standard_deviation(exact)};
}

// A row for each format, in the order of all_formats.
static std::vector<std::vector<std::string>> loss_rows(const std::vector<Loss>& losses) {
    std::vector<std::vector<std::string>> rows{{"weights", "bytes a token", "perplexity", "largest change of a logit"}};
    for (std::size_t k = 0; k < losses.size(); ++k)
        rows.push_back({name_of(all_formats[k]), text(static_cast<int>(losses[k].bytes)), fixed(losses[k].perplexity, 3),
                        fixed(100 * losses[k].logit_change, 2) + " % of their standard deviation"});
    return rows;
}

static std::vector<Loss> step_loss(Lesson& lesson, Trained& model, const Corpus& corpus) {
    lesson.step("What is lost, what is gained?");
    const Matrix exact = logits_of(model, corpus);  // (T, V)
    std::vector<Loss> losses;
    lesson.code(4);
    for (const WeightFormat format : all_formats) {
        model.restore();
        const SmallWeights small(format, [&] { model.read_token(); });
        Loss loss = measured(model, corpus, exact);
        loss.bytes = small.bytes;
        losses.push_back(loss);
    }
    model.restore();
    lesson.table(loss_rows(losses));
    lesson.why(
        "rounding errors of many weights have different signs and cancel in a sum, and every weight was only found by noisy "
        "steps of training. Perplexity, on held-out text, hardly notices.");
    lesson.predict("Into what does int8 divide the bytes of f32?", {losses[0].bytes / losses[2].bytes, 0.2});
    return losses;
}

// --- rows and columns ---

// Both ways to lay blocks of 32 over a weight with a row for each output.
static Matrix rounded_along_inputs(const Matrix& rows) { return restored(to_int8_rows(rows)); }
static Matrix rounded_across_outputs(const Matrix& rows) { return transpose(rounded_along_inputs(transpose(rows))); }

static constexpr int every = small_block;  // one in this many tokens is made longer

// Mean of |error of a row| / |row| over the rows that are not made longer.
static double mean_relative_error(const Matrix& rounded, const Matrix& exact) {
    double sum = 0;
    int count = 0;
    for (int i = 0; i < exact.rows; ++i) {
        if (i % every == 0) continue;
        double error = 0;
        for (int j = 0; j < exact.cols; ++j) error += std::pow(rounded(i, j) - static_cast<double>(exact(i, j)), 2);
        sum += std::sqrt(error / dot_in_double(exact.row(i), exact.row(i), exact.cols));
        ++count;
    }
    return sum / count;
}

// Errors of the output matrix with blocks along the inputs, and across the outputs.
struct Directions {
    double along = 0, across = 0;
};

static Directions errors_of(const Matrix& words) {
    return {.along = mean_relative_error(rounded_along_inputs(words), words),
            .across = mean_relative_error(rounded_across_outputs(words), words)};
}

struct RowsMeasured {
    Directions trained, one_longer;
};

static RowsMeasured step_rows(Lesson& lesson, const Trained& model) {
    lesson.step("Why do rows have the scales?", "y_j = sum_b s_jb (sum over k in b of q_jk x_k)");
    Matrix words = model.w.output.value();  // (V, E)
    const Directions trained = errors_of(words);
    const float factor = 16;
    for (int i = 0; i < words.rows; i += every)
        for (int j = 0; j < words.cols; ++j) words(i, j) *= factor;
    const Directions one_longer = errors_of(words);
    lesson.say(
        "Mean error of a token's row of the output matrix, when 32 numbers with one scale belong to one token (a row, along "
        "the inputs), or to 32 tokens (a column, across the outputs). Then every 32nd token is made ",
        static_cast<int>(factor), " times as long, and the error of the other 31 is measured again:");
    lesson.table(
        {{"output matrix", "along the row", "along the column"},
         {"as trained", fixed(100 * trained.along, 2) + " %", fixed(100 * trained.across, 2) + " %"},
         {"one of 32 tokens longer", fixed(100 * one_longer.along, 2) + " %", fixed(100 * one_longer.across, 2) + " %"}});
    lesson.why(
        "here the tokens are about equally long, and both directions lose equally much. What decides is the equation: in a row, "
        "a scale is a factor of 32 products of one sum, and is multiplied once, after them; in a column every product has "
        "another scale. And where one output is larger than its neighbours, only the scales of rows leave the neighbours alone.");
    lesson.predict("By how much does the column's error grow when the longer tokens are 16 times as long?",
                   {one_longer.across / trained.across, 3});
    return {trained, one_longer};
}

// --- speed ---

static double best_seconds(int attempts, const std::function<void()>& work) {
    double best = 1e9;
    for (int attempt = 0; attempt < attempts; ++attempt) {
        const double start = seconds_now();
        work();
        best = std::min(best, seconds_now() - start);
    }
    return best;
}

// The time of a plain loop of additions over w. Each of 16 parts reads 8 streams alternately, as the products do.
static double seconds_to_read(const Matrix& w) {
    const int parts = 16, places = 8, count = w.rows / (parts * places);
    std::vector<float> sums(parts);
    const auto read_part = [&](int part) {
        for (int i = 0; i < count; ++i)
            for (int place = 0; place < places; ++place) sums[part] += sum_of(w.row((part * places + place) * count + i), w.cols);
    };
    return best_seconds(5, [&] { parallel_for(parts, read_part); });
}

// A row of the table: `bytes` of weights, the seconds of their product, and the seconds to read one byte.
static std::vector<std::string> speed_row(WeightFormat format, double bytes, double seconds, double read) {
    return {name_of(format), fixed(bytes / 1e6, 1), fixed(seconds * 1e3, 2), fixed(bytes / seconds / 1e9, 1),
            fixed(bytes * read * 1e3, 2)};
}

static void step_speed(Lesson& lesson, int seed) {
    lesson.step("What limits the speed of a product of one row?", "y = x W^T, W (32000, 768)");
    Random random(seed);
    const Matrix w = uniform_matrix(random, 32000, 768, -0.05f, 0.05f), x = normal_matrix(random, 1, 768);
    const Bfloat16Rows bf16 = to_bfloat16_rows(w);
    const Int8Rows int8 = to_int8_rows(w);
    const double read = seconds_to_read(w) / (4.0 * w.size());  // a byte
    const double float32_seconds = best_seconds(5, [&] { matmul_transposed(x, w); });
    const double bfloat16_seconds = best_seconds(5, [&] { matmul_transposed(x, bf16); });
    const double int8_seconds = best_seconds(5, [&] { matmul_transposed(x, int8); });
    lesson.table({{"weights", "MB", "ms", "GB/s", "ms to read as many bytes"},
                  speed_row(WeightFormat::float32, 4.0 * w.size(), float32_seconds, read),
                  speed_row(WeightFormat::bfloat16, bytes_of(bf16), bfloat16_seconds, read),
                  speed_row(WeightFormat::int8, bytes_of(int8), int8_seconds, read)});
    lesson.why(
        "a token uses every weight once, for one product and one sum; memory needs longer to deliver it than the processor "
        "to use it. make bench ARGS=\"--filter generate\" measures whole models, beside the limit of this machine.");
}

// --- the lesson ---

static void walk(Lesson& lesson, const Choices& choices) {
    step_bfloat16(lesson);
    step_int8(lesson);
    const Corpus corpus = make_corpus(own_text(), choices.merges, choices.length);
    Trained model = step_train(lesson, corpus, choices);
    const std::vector<Loss> losses = step_loss(lesson, model, corpus);
    const RowsMeasured rows = step_rows(lesson, model);
    step_speed(lesson, choices.seed);
    lesson.say("Next: make walk-generate ARGS=\"--weights model.safetensors --format int8\" writes with such weights.");

    lesson.step("Does it hold?");
    const Loss &f32 = losses[0], &bf16 = losses[1], &int8 = losses[2];
    lesson.claim_at_most("perplexity with bfloat16 over that with floats, minus 1",
                         std::abs(bf16.perplexity / f32.perplexity - 1), 0.0005);
    lesson.claim_at_most("perplexity with int8 over that with floats, minus 1", std::abs(int8.perplexity / f32.perplexity - 1),
                         0.001);
    lesson.claim_at_most("largest change of a logit with bfloat16, over their standard deviation", bf16.logit_change, 0.02);
    lesson.claim_at_most("largest change of a logit with int8, over their standard deviation", int8.logit_change, 0.05);
    lesson.claim_at_least("bytes of floats over those of int8", f32.bytes / int8.bytes, 3.5);
    lesson.claim_at_most("error along columns over that along rows, as trained", rows.trained.across / rows.trained.along, 1.2);
    lesson.claim_at_least("error along columns over that along rows, one of 32 tokens longer",
                          rows.one_longer.across / rows.one_longer.along, 4);
}

int main(int argc, char** argv) {
    Options options("gpt/small_weights", "Weights of 2 and 1.125 bytes: what a model loses, and what it gains.", "10 seconds");
    Choices choices;
    options.add("steps", choices.steps, "steps of training", 50, 1'000'000);
    options.add("batch", choices.batch, "sequences of text in a batch", 1, 10'000);
    options.add("length", choices.length, "T, tokens in a sequence", 16, 4096);
    options.add("width", choices.width, "E, width of a token, a multiple of 4", 4, 4096);
    options.add("depth", choices.depth, "L, blocks", 1, 96);
    options.add("merges", choices.merges, "merges of the tokenizer that is trained first", 0, 50'000);
    options.read_or_exit(argc, argv);
    choices.seed = options.seed;
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
