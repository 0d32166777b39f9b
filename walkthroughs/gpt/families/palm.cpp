// palm.cpp: one block whose halves do not wait for each other, and a cache that is as small as one head.
//
//   papers   Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", 2022, arXiv 2204.02311, section 2
//            Shazeer, "Fast Transformer Decoding: One Write-Head is All You Need", 2019, arXiv 1911.02150
//   shows    that the parallel block predicts as well as the serial one, and what one shared key saves while writing
//   symbols  E width   H heads of queries   h head width   I inner width   L blocks   T training window
//   before   positions.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/families/llama.h"
#include "gpt/families/palm.h"
#include "nn/autograd/operations.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/chain_reader.h"

struct Choices {
    ChainTraining training{.length = 24, .batch = 16, .steps = 500};
    int texts = 400;
};

static const int symbols = 6;
static const palm::Config parallel_config{
    .vocabulary = symbols, .width = 32, .depth = 2, .heads = 2, .head_width = 16, .mlp_width = 64};
static const llama::Config serial_config{
    .vocabulary = symbols, .width = 32, .depth = 2, .heads = 2, .key_value_heads = 2, .mlp_width = 64};

static std::string letters(const std::vector<int>& ids) {
    std::string line;
    for (const int id : ids) line += std::string(1, static_cast<char>('a' + id)) + " ";
    return line;
}

static double root_mean_square(const Matrix& m) {
    double sum = 0;
    for (const float x : m) sum += x * x;
    return std::sqrt(sum / static_cast<double>(m.size()));
}

static double largest_difference(const Matrix& a, const Matrix& b) {
    double largest = 0;
    for (std::size_t k = 0; k < a.size(); ++k) largest = std::max(largest, std::abs(static_cast<double>(a[k]) - b[k]));
    return largest;
}

// --- the block ---

static double step_1_block(Lesson& lesson, const palm::Weights& w, const TokenBatch& batch) {
    lesson.step("What is a parallel block?", "z' = z + attention(N(z)) + mlp(N(z))", "PaLM section 2");
    lesson.code();
    const palm::Steps steps = palm::forward(batch, w, parallel_config);
    const BlockSteps& block = steps.decoder.blocks[0];
    const Var sum = add(add(steps.embeddings, block.attention.output), block.mlp.output);  // (B*T, E)
    lesson.table(
        {{"value", "shape", "root mean square"},
         {"z, what comes in", shape(steps.embeddings.value()), fixed(root_mean_square(steps.embeddings.value()), 4)},
         {"N(z), read by both", shape(block.norm1.value()), fixed(root_mean_square(block.norm1.value()), 4)},
         {"attention(N(z))", shape(block.attention.output.value()), fixed(root_mean_square(block.attention.output.value()), 4)},
         {"mlp(N(z))", shape(block.mlp.output.value()), fixed(root_mean_square(block.mlp.output.value()), 4)},
         {"z', what goes out", shape(block.output.value()), fixed(root_mean_square(block.output.value()), 4)}});
    const double difference = largest_difference(block.output.value(), sum.value());
    lesson.say("Largest difference between z' and the sum of the three: ", fixed(difference, 8));
    lesson.why(
        "in a serial block the MLP reads the output of attention, so it must wait, and it needs a second norm. Here both read "
        "the same N(z): one norm per block, and all projections of it can be one matrix product.");
    return difference;
}

static void step_2_one_matrix(Lesson& lesson, const palm::Weights& w) {
    lesson.step("What is read from N(z)?", "f = N(z) W^T,  W (H h + 2 h + 2 I, E)");
    const palm::Config& c = parallel_config;
    lesson.code();
    const Parameters table = palm::parameters(w, c);
    const int queries = c.heads * c.head_width;
    lesson.table({{"rows of W", "how many", "what"},
                  {"0 ... " + text(queries - 1), text(queries), "queries of " + text(c.heads) + " heads"},
                  {text(queries) + " ...", text(c.head_width), "the key, one for all heads"},
                  {text(queries + c.head_width) + " ...", text(c.head_width), "the value, one for all heads"},
                  {text(queries + 2 * c.head_width) + " ...", text(c.mlp_width), "the MLP's values"},
                  {text(queries + 2 * c.head_width + c.mlp_width) + " ...", text(c.mlp_width),
                   "the MLP's gate, which goes through SiLU"}});
    lesson.say("In a file: ", table[2].name, " (", table[2].shape[0], ", ", table[2].shape[1], ").");
    lesson.why(
        "checkpoints store one matrix, this program five: the numbers are the same, and each has a name. On large machines one "
        "large product is faster than five small ones; the paper reports about 15 % for training.");
}

// --- what it predicts ---

struct Losses {
    double parallel, serial, floor;
};

static Losses step_3_train(Lesson& lesson, const ChainReader& parallel, const ChainReader& serial, const SecondOrderChain& chain,
                           const Choices& choices, Random& random) {
    lesson.step("Does the parallel block cost accuracy?", "mean of -log p(x_t | x_1 ... x_t-1)");
    Series curves[2];
    const ChainReader* const readers[2] = {&parallel, &serial};
    const std::string names[2] = {"parallel (PaLM)", "serial (LLaMA)"};
    double losses[2], past[2];
    const int T = choices.training.length;
    for (int m = 0; m < 2; ++m) {
        curves[m] = smoothed(names[m], learn_chain(*readers[m], chain, choices.training, random, names[m]), 20);
        const std::vector<float> by_position = losses_by_position(*readers[m], chain, 2 * T, choices.texts, random);
        losses[m] = mean_between(by_position, 1, T);
        past[m] = mean_between(by_position, T, 2 * T);
    }
    const double floor = causal_entropy(chain);
    lesson.curves({curves[0], curves[1]}, {"training step", "loss, nats"});
    lesson.table({{"model", "parameters", "training window", "above floor", "next window"},
                  {names[0], text(static_cast<int>(count_numbers(parallel.parameters))), fixed(losses[0], 3),
                   fixed(losses[0] - floor, 3), fixed(past[0], 3)},
                  {names[1], text(static_cast<int>(count_numbers(serial.parameters))), fixed(losses[1], 3),
                   fixed(losses[1] - floor, 3), fixed(past[1], 3)}});
    lesson.why(
        "the losses are means over the training window and over the window after it. The text is a chain in which the last two symbols decide; no model can be below the floor, ",
        fixed(floor, 3),
        " nats. In a parallel block the MLP does not see what its own attention found; only the "
        "next block's does, so one block fewer combines the symbols. In the paper "
        "that costs a little at 8 B parameters and nothing at 62 B.");
    lesson.predict(
        "the loss of the parallel model with a single block: which of its two sublayers would combine the two symbols?");
    return {losses[0], losses[1], floor};
}

static void step_4_heads(Lesson& lesson, const palm::Weights& w, const TokenBatch& batch) {
    lesson.step("What do heads share?", "A_j = softmax(q_j k^T / sqrt(h)), one k");
    const palm::Steps steps = palm::forward(batch, w, parallel_config);
    std::vector<std::string> tokens;
    for (int t = 0; t < batch.length; ++t) tokens.push_back(std::string(1, static_cast<char>('a' + batch.ids[t])));
    std::vector<Captioned> maps;
    for (int l = 0; l < parallel_config.depth; ++l) {
        const Matrix& A = steps.decoder.blocks[l].attention.weights.value();  // (H T, T)
        for (int head = 0; head < parallel_config.heads; ++head)
            maps.push_back({"block " + text(l) + ", head " + text(head),
                            heat_map(slice_rows(A, head * batch.length, batch.length), lesson.colours, tokens, tokens)});
    }
    lesson.pictures(maps);
    lesson.why("all heads of a block use the same keys. Their queries differ, and so do their attention weights.");
}

// --- what it remembers ---

// Bytes of keys and values for one token of one text, as they are held here (four bytes a number).
static long bytes_per_token(const Memory& memory) {
    long numbers = 0;
    for (const KeyValueCache& block : memory.blocks)
        numbers += static_cast<long>(block.keys.value().size() + block.values.value().size());
    return 4 * numbers / (static_cast<long>(memory.sequences) * memory.capacity);
}

// "118 kB"
static std::string bytes_text(long bytes) {
    if (bytes < 10'000) return text(bytes) + " B";
    if (bytes < 10'000'000) return text(bytes / 1000) + " kB";
    return text(bytes / 1'000'000) + " MB";
}

static double step_5_cache(Lesson& lesson) {
    lesson.step("What does the cache hold?", "2 L h numbers a token, not 2 L H h");
    struct Size {
        std::string name;
        palm::Config config;
    };
    const std::vector<Size> sizes{{"this one", parallel_config},
                                  {"PaLM 8B", {.width = 4096, .depth = 32, .heads = 16}},
                                  {"PaLM 62B", {.width = 8192, .depth = 64, .heads = 32}},
                                  {"PaLM 540B", {}}};
    std::vector<std::vector<std::string>> rows{
        {"model", "H", "L", "a key for each head", "one for all", "2048 tokens of one text"}};
    double least = 1e9;
    lesson.predict("How many bytes does one token take in the cache of a model with L = " + text(parallel_config.depth) +
                       " blocks and h = " + text(parallel_config.head_width) + ", at 4 bytes a number?",
                   {1.0 * static_cast<double>(bytes_per_token(palm::make_memory(parallel_config, 1, 1))), 0.5});
    lesson.code(4);
    for (const Size& size : sizes) {
        const palm::Config& c = size.config;
        const long shared = bytes_per_token(palm::make_memory(c, 1, 1));
        const long of_each = bytes_per_token(make_memory(c.depth, 1, 1, c.heads * c.head_width));
        rows.push_back({size.name, text(c.heads), text(c.depth), bytes_text(of_each), bytes_text(shared),
                        bytes_text(2048 * of_each) + " or " + bytes_text(2048 * shared)});
        least = std::min(least, static_cast<double>(of_each) / static_cast<double>(shared) / c.heads);
    }
    lesson.table(rows);
    lesson.why(
        "each new token reads the keys and values of all earlier tokens, so memory traffic, not arithmetic, limits the speed of "
        "generation. With one key for all heads the cache is H times smaller. Llama 2's large models choose a compromise, "
        "grouped-query attention: one key for each group of heads.");
    return least;
}

// The continuation without a cache: the whole text is read again for every token.
static std::vector<int> written_without_cache(std::vector<int> ids, int count, const palm::Weights& w) {
    const NoTape no_tape;
    const std::size_t prompt = ids.size();
    for (int n = 0; n < count; ++n) {
        const Matrix logits = palm::forward(make_batch({ids}), w, parallel_config).logits.value();  // (T, V)
        ids.push_back(argmax_row(logits, logits.rows - 1));
    }
    return {ids.begin() + static_cast<long>(prompt), ids.end()};
}

static bool step_6_write(Lesson& lesson, const palm::Weights& w, const SecondOrderChain& chain, Random& random) {
    lesson.step("Is generation with the cache faster?");
    const std::vector<int> prompt = sample(chain, random, 8);
    lesson.code();
    const std::vector<int> written = generate(make_batch({prompt}), w, parallel_config, Limits{.new_tokens = 14})[0];
    const std::vector<int> again = written_without_cache(prompt, 14, w);
    lesson.lines(
        {"prompt           " + letters(prompt), "with cache       " + letters(written), "without a cache  " + letters(again)});
    lesson.why("with the cache only the new token goes through the model; without it the whole text does, at every step.");
    return written == again;
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    const SecondOrderChain chain = make_second_order_chain(random, symbols);
    const Init init{.draw = Draw::normal, .stddev = 0.1f};
    const palm::Weights w = palm::make_weights(parallel_config, random, init);
    const llama::Weights serial_weights = llama::make_weights(serial_config, random, init);
    const ReaderOf<palm::Weights, palm::Config> parallel(w, parallel_config, palm::parameters(w, parallel_config));
    const ReaderOf<llama::Weights, llama::Config> serial(serial_weights, serial_config,
                                                         llama::parameters(serial_weights, serial_config));
    const TokenBatch text_to_show = make_batch({sample(chain, random, 12)});

    const double difference = step_1_block(lesson, w, text_to_show);
    step_2_one_matrix(lesson, w);
    const Losses losses = step_3_train(lesson, parallel, serial, chain, choices, random);
    step_4_heads(lesson, w, text_to_show);
    const double ratio = step_5_cache(lesson);
    const bool same = step_6_write(lesson, w, chain, random);
    lesson.say("Next: gpt/families/glm reads both sides of a gap.");

    lesson.step("Do the claims hold?");
    lesson.claim_at_most("a block is z + attention(N(z)) + mlp(N(z)), largest difference", difference, 1e-5);
    lesson.claim_at_most("loss of the parallel model above the floor", losses.parallel - losses.floor, 0.06);
    lesson.claim_at_most("loss of the parallel model above the serial one's", losses.parallel - losses.serial, 0.05);
    lesson.claim_at_least("ratio of the two cache sizes, divided by the number of heads", ratio, 1);
    lesson.claim("the generated text is the same with and without the cache", same);
}

int main(int argc, char** argv) {
    Options options("gpt/families/palm", "PaLM: the parallel block, and one key for all heads.", "5 seconds");
    Choices choices;
    options.add("steps", choices.training.steps, "steps of training", 1, 100'000);
    options.add("window", choices.training.length, "T, predictions in a text to train on", 4, 200);
    options.add("texts", choices.texts, "texts to test on", 1, 100'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
