// positions.cpp: learned positions, rotation and ALiBi read texts four times longer than any that they were trained on.
//
//   papers   learned: Radford et al. 2019. Rotation: Su et al. 2021, arXiv 2104.09864, as in LLaMA, arXiv 2302.13971.
//            ALiBi: Press et al., "Train Short, Test Long", 2021, arXiv 2108.12409, as in BLOOM, arXiv 2211.05100
//   shows    that the kind of position embedding decides what happens past the training window
//   symbols  T training window   H heads   h head width   t position   m_h slope of head h
//   before   walkthroughs/gpt/gpt.cpp
//   next     palm.cpp
#include <cmath>
#include <string>
#include <vector>

#include "gpt/families/bloom.h"
#include "gpt/families/llama.h"
#include "gpt/gpt.h"
#include "nn/autograd/operations.h"
#include "nn/layers/position.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/chain_reader.h"

struct Choices {
    ChainTraining training{.length = 24, .batch = 16, .steps = 800};
    int longest = 96;
    int texts = 400;
};

static const int width = 32, depth = 2, symbols = 6;

namespace {
// GPT takes ids and a length.
class GptReader : public ChainReader {
public:
    GptReader(const gpt::Weights& w, const gpt::Config& config) : w(w), config(config) {
        parameters = gpt::parameters(w, config);
    }
    Var logits(const TokenBatch& batch) const override { return gpt::forward(batch.ids, batch.length, w, config).logits; }

private:
    const gpt::Weights& w;
    const gpt::Config& config;
};

// The three models. They have as many blocks of the same width; they differ mainly in their positions.
struct Models {
    gpt::Config gpt_config;
    gpt::Weights gpt;
    llama::Config llama_config;
    llama::Weights llama;
    bloom::Config bloom_config;
    bloom::Weights bloom;
};
}  // namespace

static Models make_models(const Choices& choices, Random& random) {
    const Init init{.draw = Draw::normal, .stddev = 0.1f};
    Models models;
    models.gpt_config = {.vocabulary = symbols,
                         .positions = choices.longest + 1,
                         .width = width,
                         .depth = depth,
                         .heads = 2,
                         .mlp_width = 4 * width};
    models.llama_config = {
        .vocabulary = symbols, .width = width, .depth = depth, .heads = 2, .key_value_heads = 2, .mlp_width = 48};
    models.bloom_config = {.vocabulary = symbols, .width = width, .depth = depth, .heads = 8};
    models.gpt = gpt::make_weights(models.gpt_config, random, {.stddev = 0.1f, .embedding_stddev = 0.1f});
    models.llama = llama::make_weights(models.llama_config, random, init);
    models.bloom = bloom::make_weights(models.bloom_config, random, init);
    return models;
}

static void step_1_language(Lesson& lesson, const SecondOrderChain& chain, Random& random) {
    lesson.step("What is the text?", "p(x_t | x_t-2, x_t-1)");
    std::string line;
    for (const int symbol : sample(chain, random, 36))
        line += (line.empty() ? "" : " ") + std::string(1, static_cast<char>('a' + symbol));
    lesson.lines({line});
    lesson.table({{"a reader that knows", "cannot be below (nats)"},
                  {"nothing", fixed(std::log(symbols), 3)},
                  {"the last symbol", fixed(bigram_entropy(chain), 3)},
                  {"the last two, in order", fixed(causal_entropy(chain), 3)}});
    lesson.why(
        "attention alone does not know the order: its input is a set of symbols. To reach the loss in the last row a model has to find the last two symbols and their order. It needs positions for nothing else, and the task is the same at position 1 and at position 1000.");
}

static void step_2_three_ways(Lesson& lesson, const Models& models) {
    lesson.step("How do positions enter the model?");
    lesson.table(
        {{"model", "what is done with position t", "where", "learned numbers"},
         {"GPT-2", "row t of a table is added to the token", "before block 1", text(models.gpt_config.positions * width)},
         {"LLaMA", "queries and keys are rotated by t w_k", "every block", "0"},
         {"BLOOM", "m_h times the distance is subtracted", "every score", "0"}});
    std::string slopes;
    lesson.code();
    for (const float slope : bloom::alibi_slopes(models.bloom_config.heads)) slopes += fixed(slope, 4) + " ";
    lesson.lines({"m_h  " + slopes});

    const int T = 12;
    const std::vector<float> all = bloom::alibi_slopes(models.bloom_config.heads);
    const Var nothing(Matrix(T, 2));
    std::vector<Captioned> maps;
    for (const float slope : {all.front(), all.back()}) {
        const Attended attended =
            attend(nothing, nothing, nothing, 1, {.may = causal(T, T), .bias = Var(bloom::alibi_bias({slope}, T, T))});
        maps.push_back({"slope " + fixed(slope, 4) + ", query down", heat_map(attended.weights.value(), lesson.colours)});
    }
    lesson.say("Attention weights when all scores are equal, so that the penalty alone decides:");
    lesson.pictures(maps);

    const Var one(Matrix{{1, 0}});
    std::vector<std::vector<std::string>> rows{{"query at", "key at", "distance", "score after rotation"}};
    for (const int t : {2, 23, 90}) {
        const Var q = rotate(one, {t}, 2, 10000), k = rotate(one, {t - 2}, 2, 10000);
        rows.push_back({text(t), text(t - 2), "2", fixed(matmul_transposed(q, k).value()[0], 4)});
    }
    lesson.table(rows);
    lesson.why(
        "rotated queries and keys meet in a product that depends on the distance alone: cos 2 in each row. So both rotation and "
        "ALiBi say the same about the last two symbols wherever they stand; rows of the table past the window were never trained.");
}

static void step_3_train(Lesson& lesson, const std::vector<const ChainReader*>& readers, const std::vector<std::string>& names,
                         const SecondOrderChain& chain, const Choices& choices, Random& random) {
    lesson.step("What do they train on?", "loss = mean of -log p(x_t | x_1 ... x_t-1), t <= T");
    std::vector<Series> series;
    for (std::size_t m = 0; m < readers.size(); ++m) {
        const std::vector<float> losses = learn_chain(*readers[m], chain, choices.training, random, names[m]);
        series.push_back(smoothed(names[m], losses, 20));
    }
    lesson.curves(series, {"training step", "loss, nats"});
    lesson.why(
        "texts of ", choices.training.length, " predictions, ", choices.training.batch, " new ones in each of ",
        choices.training.steps,
        " steps. In this window all three reach the floor. BLOOM takes longest: ALiBi does not select the previous symbol, the steepest slopes have to single it out, and only eight heads have one of ",
        fixed(bloom::alibi_slopes(8).front(), 1), "; two heads would have ", fixed(bloom::alibi_slopes(2).front(), 4), " and ",
        fixed(bloom::alibi_slopes(2).back(), 4), ".");
}

static std::vector<std::vector<float>> step_4_chart(Lesson& lesson, const std::vector<const ChainReader*>& readers,
                                                    const std::vector<std::string>& names, const SecondOrderChain& chain,
                                                    const Choices& choices, Random& random) {
    const int T = choices.training.length, end = choices.longest;
    lesson.step("What happens on longer texts?", "loss at each position, 1 ... " + text(end));
    std::vector<std::vector<float>> losses;
    std::vector<Series> series;
    const double floor = causal_entropy(chain);
    lesson.code(2);
    for (std::size_t m = 0; m < readers.size(); ++m) {
        losses.push_back(losses_by_position(*readers[m], chain, end, choices.texts, random));
        const Grouped curve = grouped(losses[m], 3);
        series.push_back({names[m], curve.x, curve.y});
    }
    series.push_back({"floor", {0, static_cast<float>(end)}, {static_cast<float>(floor), static_cast<float>(floor)}});
    std::size_t best = 0;
    for (std::size_t m = 1; m < names.size(); ++m)
        if (mean_between(losses[m], 2 * T, end) < mean_between(losses[best], 2 * T, end)) best = m;
    lesson.predict("Which model has the lowest loss past position " + text(2 * T) + ": learned, rotation or ALiBi?",
                   {names[best].substr(0, names[best].find(' '))});
    lesson.curves(series, {"position", "loss, nats"});
    std::vector<std::vector<std::string>> rows{
        {"loss above the floor", "to " + text(T), text(T) + "-" + text(2 * T), text(2 * T) + "-" + text(end)}};
    for (std::size_t m = 0; m < readers.size(); ++m)
        rows.push_back({names[m], fixed(mean_between(losses[m], 1, T) - floor, 3),
                        fixed(mean_between(losses[m], T, 2 * T) - floor, 3),
                        fixed(mean_between(losses[m], 2 * T, end) - floor, 3)});
    lesson.table(rows);
    lesson.say("The floor is ", fixed(floor, 3), " nats; it holds from the second symbol on, the first has no two before it.");
    return losses;
}

// The largest fraction of attention, over all heads of all blocks, that the query at t gives to the symbol before it: mean over
// texts.
static double on_previous(const StackSteps& decoder, int heads, int texts, int T, int t) {
    double best = 0;
    for (const BlockSteps& block : decoder.blocks) {
        const Matrix& A = block.attention.weights.value();  // (texts * heads * T, T)
        for (int head = 0; head < heads; ++head) {
            double sum = 0;
            for (int b = 0; b < texts; ++b) sum += A((b * heads + head) * T + t, t - 1);
            best = std::max(best, sum / texts);
        }
    }
    return best;
}

static void step_5_why(Lesson& lesson, const Models& models, const SecondOrderChain& chain, const Choices& choices,
                       Random& random) {
    lesson.step("What goes wrong?", "attention of the best head to the symbol before the last");
    const int T = choices.longest, texts = 20;
    std::vector<std::vector<int>> drawn;
    for (int b = 0; b < texts; ++b) drawn.push_back(sample(chain, random, T));
    const TokenBatch batch = make_batch(drawn);
    const StackSteps of_gpt = gpt::forward(batch.ids, T, models.gpt, models.gpt_config).decoder;
    const StackSteps of_llama = llama::forward(batch, models.llama, models.llama_config).decoder;
    const StackSteps of_bloom = bloom::forward(batch, models.bloom, models.bloom_config).decoder;
    std::vector<std::vector<std::string>> rows{{"at position", "GPT-2", "LLaMA", "BLOOM"}};
    for (const int t : {choices.training.length / 2, choices.training.length - 1, 3 * choices.training.length / 2, T - 1})
        rows.push_back({text(t), fixed(on_previous(of_gpt, models.gpt_config.heads, texts, T, t), 3),
                        fixed(on_previous(of_llama, models.llama_config.heads, texts, T, t), 3),
                        fixed(on_previous(of_bloom, models.bloom_config.heads, texts, T, t), 3)});
    lesson.table(rows);
    lesson.why(
        "each model had to learn a head that attends one symbol back. GPT-2 learned it from rows of its table, and the rows past ",
        choices.training.length,
        " still have their random initial values: the head fails at once. In LLaMA the "
        "distance of 1 looks the same everywhere, but distances beyond the window rotate by angles that training never saw, so some distant keys get high scores by chance, and there are more of them with every further symbol. In BLOOM the penalty of distant keys only grows.");
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    const SecondOrderChain chain = make_second_order_chain(random, symbols);
    const Models models = make_models(choices, random);
    const GptReader learned(models.gpt, models.gpt_config);
    const ReaderOf<llama::Weights, llama::Config> rotary(models.llama, models.llama_config,
                                                         llama::parameters(models.llama, models.llama_config));
    const ReaderOf<bloom::Weights, bloom::Config> alibi(models.bloom, models.bloom_config,
                                                        bloom::parameters(models.bloom, models.bloom_config));
    const std::vector<const ChainReader*> readers{&learned, &rotary, &alibi};
    const std::vector<std::string> names{"learned (GPT-2)", "rotation (LLaMA)", "ALiBi (BLOOM)"};

    step_1_language(lesson, chain, random);
    step_2_three_ways(lesson, models);
    step_3_train(lesson, readers, names, chain, choices, random);
    const std::vector<std::vector<float>> losses = step_4_chart(lesson, readers, names, chain, choices, random);
    step_5_why(lesson, models, chain, choices, random);
    lesson.say("Next: gpt/families/palm changes the block itself.");

    lesson.step("Does it hold?");
    const int T = choices.training.length, end = choices.longest;
    const double floor = causal_entropy(chain);
    double worst = 0;
    for (const std::vector<float>& of_model : losses) worst = std::max(worst, mean_between(of_model, 1, T) - floor);
    lesson.claim_at_most("in the training window, the worst of the three above the floor", worst, 0.1);
    lesson.claim_at_most("ALiBi, " + text(2 * T) + " to " + text(end) + ", above the floor",
                         mean_between(losses[2], 2 * T, end) - floor, 0.1);
    lesson.claim_at_least("learned positions, " + text(T) + " to " + text(2 * T) + ", above the floor",
                          mean_between(losses[0], T, 2 * T) - floor, 0.4);
    lesson.claim_at_least("just past the window, learned positions above rotation",
                          mean_between(losses[0], T, 2 * T) - mean_between(losses[1], T, 2 * T), 0.2);
    lesson.claim_at_least("far out, rotation above ALiBi",
                          mean_between(losses[1], 2 * T, end) - mean_between(losses[2], 2 * T, end), 0.3);
}

int main(int argc, char** argv) {
    Options options("gpt/families/positions", "Learned positions, rotation (LLaMA) and ALiBi (BLOOM) past the training window.",
                    "10 seconds");
    Choices choices;
    options.add("window", choices.training.length, "T, predictions in a text to train on", 4, 200);
    options.add("longest", choices.longest, "predictions in a text to test on, more than two windows", 12, 1000);
    options.add("steps", choices.training.steps, "steps of training", 1, 100'000);
    options.add("texts", choices.texts, "texts to test on", 1, 100'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) {
        require(choices.longest > 2 * choices.training.length, "positions: --longest ", choices.longest,
                " must be more than twice --window ", choices.training.length);
        walk(lesson, choices, options.seed);
    });
}
