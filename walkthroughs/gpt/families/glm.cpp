// glm.cpp: one set of weights fills a gap from both sides and continues a text from one, because both are the same question.
//
//   paper    Du et al., "GLM: General Language Model Pretraining with Autoregressive Blank Infilling", 2021, arXiv 2103.10360
//   shows    spans below the floor of every left-to-right model, the tail of a text on it
//   symbols  n symbols of a text   part A the text with its mask   part B the span   S symbols of the chain
//   before   walkthroughs/bert/bert.cpp, walkthroughs/gpt/gpt.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/families/glm.h"
#include "nn/autograd/operations.h"
#include "nn/base/matmul.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/markov_chain.h"

struct Choices {
    int steps = 3000;
    int texts = 2000;
};

static const int symbols = 8, length = 12;  // S and n
static const int mask = symbols, long_mask = symbols + 1, start = symbols + 2, end_of_piece = symbols + 3;
static const glm::Config config{.vocabulary = symbols + 4,
                                .positions = length,
                                .width = 32,
                                .depth = 2,
                                .heads = 2,
                                .mlp_width = 128,
                                .special = {.mask = mask, .long_mask = long_mask, .start = start, .end = end_of_piece}};

static std::string letter(int id) {
    if (id == mask) return "[M]";
    if (id == long_mask) return "[gM]";
    if (id == start) return "[S]";
    if (id == end_of_piece) return "[E]";
    return std::string(1, static_cast<char>('a' + id));
}

static std::string letters(const std::vector<int>& ids) {
    std::string line;
    for (const int id : ids) line += letter(id) + " ";
    return line;
}

// --- what is asked ---

// A text with `count` symbols in its middle cut out: at least one is known on either side.
static glm::Sequence with_gap(const std::vector<int>& text_ids, int count, Random& random) {
    const int begin = 1 + random.below(length - count - 1);
    return glm::cut_spans(text_ids, {{begin, begin + count}}, {0}, mask, config.special);
}

// A text without its last `count` symbols.
static glm::Sequence without_tail(const std::vector<int>& text_ids, int count) {
    return glm::cut_spans(text_ids, {{length - count, length}}, {0}, long_mask, config.special);
}

namespace {
// One half of every batch has a gap of 1 to 4 symbols, the other lacks its last 4 to 6.
struct FillBlanks : Objective {
    const glm::Weights& w;
    const MarkovChain& chain;
    int batch;
    Random& random;
    FillBlanks(const glm::Weights& w, const MarkovChain& chain, int batch, Random& random)
        : w(w), chain(chain), batch(batch), random(random) {}

    Var loss(int) override {
        std::vector<glm::Sequence> sequences;
        for (int b = 0; b < batch; ++b) {
            const std::vector<int> ids = sample(chain, random, length);
            sequences.push_back(b % 2 == 0 ? with_gap(ids, 1 + random.below(4), random) : without_tail(ids, 4 + random.below(3)));
        }
        const glm::Batch blanks = glm::make_batch(sequences);
        return glm::loss(glm::forward(blanks, w, config), blanks);
    }
};
}  // namespace

static void step_1_sequence(Lesson& lesson, const MarkovChain& chain, Random& random) {
    lesson.step("What is a training example?", "part A with masks, then the spans", "GLM Figure 2");
    const std::vector<int> ids = sample(chain, random, length);
    lesson.say("The text: ", letters(ids));
    lesson.code();
    const glm::Sequence sequence = glm::cut_spans(ids, {{2, 4}, {7, 10}}, {1, 0}, mask, config.special);
    std::vector<std::vector<std::string>> rows{{"", "token", "target", "in the loss", "position", "block position"}};
    for (std::size_t t = 0; t < sequence.tokens.size(); ++t)
        rows.push_back({static_cast<int>(t) < sequence.context ? "A" : "B", letter(sequence.tokens[t]),
                        letter(sequence.targets[t]), text(sequence.loss_mask[t]), text(sequence.positions[t]),
                        text(sequence.block_positions[t])});
    lesson.table(rows);
    lesson.why(
        "part B is the masked spans in shuffled order. Each begins with the input [S] and ends with the target [E]. The position "
        "tells which gap a token of B belongs to, the block position where in the gap. Targets are already shifted: a second "
        "shift would be wrong.");

    lesson.step("Which tokens attend to which?", "key j from query i: j in A, or j <= i");
    lesson.code();
    const glm::Batch batch = glm::make_batch({sequence});
    Matrix table(batch.length, batch.length);
    for (int i = 0; i < batch.length; ++i)
        for (int j = 0; j < batch.length; ++j) table(i, j) = batch.may(i, j);
    lesson.predict("To how many tokens may the first token of B attend?",
                   {row_sums(slice_rows(table, sequence.context, 1)).value()[0], 0.5});
    std::vector<std::string> tokens;
    for (const int token : sequence.tokens) tokens.push_back(letter(token));
    lesson.pictures({{"bright: row may attend to column", heat_map(table, lesson.colours, tokens, tokens)}});
    lesson.why(
        "the left ", sequence.context,
        " columns are bright everywhere: part A is bidirectional, as in BERT, and does not attend to B. The triangle on the "
        "right is causal, as in GPT. One attention mask holds both.");
}

static void step_2_train(Lesson& lesson, const glm::Weights& w, const MarkovChain& chain, const Choices& choices,
                         Random& random) {
    lesson.step("What is the loss?", "sum of loss mask * -log p(target), over their number");
    const Recipe recipe{.schedule = {.peak = 6e-3f,
                                     .warm_up = std::min(100, choices.steps),
                                     .steps = choices.steps,
                                     .descent = Descent::cosine,
                                     .floor = 0.05f},
                        .batch = 48,
                        .beta2 = 0.98f};
    FillBlanks objective(w, chain, recipe.batch, random);
    std::vector<float> losses;
    {
        ShowProgress progress("training", choices.steps);
        losses = train(objective, nothing_decays(variables(glm::parameters(w, config))), recipe, &progress);
    }
    // The first twentieth is left out: embeddings of standard deviation 1 start at a loss of 10, next to which the rest looks
    // flat.
    const int skipped = choices.steps / 20;
    Series curve = smoothed("loss", {losses.begin() + skipped, losses.end()}, std::max(1, choices.steps / 60));
    for (float& step : curve.x) step += static_cast<float>(skipped);
    lesson.curves({curve}, {"training step", "loss, nats"});
    lesson.why(
        choices.steps, " steps of ", recipe.batch,
        " texts. In half of them a gap of 1 to 4 symbols, the rest lack their last 4 to 6, "
        "with another mask, [gM]. First the model learns what follows what, which serves both. It uses the right side of a gap only later: it has to find out which symbol of A follows the mask.");
}

// The mean loss on the symbols of the span themselves, without [E], whose position follows from part A.
static double loss_on_symbols(const std::vector<glm::Sequence>& sequences, const glm::Weights& w) {
    const NoTape no_tape;
    double sum = 0;
    int count = 0;
    const glm::Batch batch = glm::make_batch(sequences);
    const Matrix losses = glm::target_losses(glm::forward(batch, w, config), batch).value();  // (B*T, 1)
    for (std::size_t row = 0; row < losses.size(); ++row) {
        if (batch.loss_mask[row] == 0 || batch.targets[row] == end_of_piece) continue;
        sum += losses[row];
        ++count;
    }
    return sum / count;
}

struct Measured {
    std::vector<double> spans;  // of 1, 2, 3 symbols
    double tail = 0;
};

static Measured step_3_measure(Lesson& lesson, const glm::Weights& w, const MarkovChain& chain, const Choices& choices,
                               Random& random) {
    lesson.step("Does the model use both sides of a gap?", "loss a symbol, beside the exact floors");
    Measured measured;
    const double causal_floor = causal_entropy(chain);
    std::vector<std::vector<std::string>> rows{{"what is missing", "this model", "floor, both sides", "floor, left side only"}};
    for (int count = 1; count <= 3; ++count) {
        std::vector<glm::Sequence> sequences;
        for (int b = 0; b < choices.texts; ++b) sequences.push_back(with_gap(sample(chain, random, length), count, random));
        measured.spans.push_back(loss_on_symbols(sequences, w));
        rows.push_back({"a gap of " + text(count), fixed(measured.spans.back(), 3), fixed(span_entropy(chain, count), 3),
                        fixed(causal_floor, 3)});
    }
    std::vector<glm::Sequence> sequences;
    for (int b = 0; b < choices.texts; ++b) sequences.push_back(without_tail(sample(chain, random, length), 5));
    measured.tail = loss_on_symbols(sequences, w);
    rows.push_back({"the last 5", fixed(measured.tail, 3), "-", fixed(causal_floor, 3)});
    lesson.table(rows);
    lesson.why(
        "no left-to-right model can be below ", fixed(causal_floor, 3),
        ", however large it is. In the gaps this one is, because it has read what follows them; nothing follows the tail, and there it is a left-to-right model like any other.");
    return measured;
}

static void step_4_fill(Lesson& lesson, const glm::Weights& w, const MarkovChain& chain, Random& random) {
    lesson.step("What does it generate?", "generate(), part A and [S] as the prompt");
    std::vector<std::string> lines;
    for (int example = 0; example < 2; ++example) {
        const std::vector<int> ids = sample(chain, random, length);
        const glm::Sequence sequence = example == 0 ? with_gap(ids, 3, random) : without_tail(ids, 5);
        const std::vector<int> prompt(sequence.tokens.begin(), sequence.tokens.begin() + sequence.context + 1);
        const std::vector<int> written =
            generate(make_batch({prompt}), w, config, Limits{.new_tokens = 8, .end_of_text = end_of_piece})[0];
        lines.push_back("prompt   " + letters(prompt));
        lines.push_back("written  " + letters(written));
        lines.push_back("was      " + letters({sequence.targets.begin() + sequence.context, sequence.targets.end()}));
    }
    lesson.lines(lines);
    lesson.why(
        "the most probable symbol at each step, until [E]. The loop is the same for every decoder here: part A and its [S] are "
        "read in one pass, and then each new token needs only the cache.");
}

namespace {
struct Neighbours {
    int before = 0, after = 0;
};
}  // namespace

// Pairs of neighbours, not too rare, where the left one alone misleads: knowing the right one changes the likeliest symbol.
static Neighbours misleading(const MarkovChain& chain) {
    Neighbours best;
    double largest = 0;
    const Matrix& P = chain.transitions;
    const Matrix two_steps = matmul(P, P);
    for (int a = 0; a < symbols; ++a) {
        for (int c = 0; c < symbols; ++c) {
            const Matrix odds = between(chain, a, c);  // (1, S)
            const double moved = odds[argmax_row(odds, 0)] - odds[argmax_row(P, a)];
            const double often = chain.stationary[a] * two_steps(a, c);
            if (moved * often <= largest) continue;
            largest = moved * often;
            best = {a, c};
        }
    }
    return best;
}

static void step_5_right_side(Lesson& lesson, const glm::Weights& w, const MarkovChain& chain, Random& random) {
    lesson.step("How does the right context change the prediction?", "p(b | a, c) = P_ab P_bc / sum over b");
    const auto [before, after] = misleading(chain);
    const Matrix& P = chain.transitions;
    lesson.say("A gap of one between ", letter(before), " and ", letter(after), ":");
    std::vector<int> ids = sample(chain, random, length);
    ids[5] = before;
    ids[7] = after;
    const glm::Batch batch = glm::make_batch({glm::cut_spans(ids, {{6, 7}}, {0}, mask, config.special)});
    const NoTape no_tape;
    const Matrix p = softmax_rows(glm::forward(batch, w, config).logits).value();  // (T, V)
    const Matrix exact = between(chain, before, after);
    std::vector<std::vector<std::string>> rows{
        {"symbol", "after " + letter(before) + " alone", "between both, exactly", "this model"}};
    for (int b = 0; b < symbols; ++b)
        rows.push_back({letter(b), fixed(P(before, b), 3), fixed(exact[b], 3), fixed(p(batch.length - 2, b), 3)});
    lesson.table(rows);
    lesson.why("the row of [S] has seen ", letter(after), " in part A. What is likely after ", letter(before),
               " but does not lead to ", letter(after), " gets no probability.");
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    const MarkovChain chain = make_markov_chain(random, symbols, 0.3f, 0.03f);
    const glm::Weights w =
        glm::make_weights(config, random, {.draw = Draw::normal, .stddev = 0.15f}, {.draw = Draw::normal, .stddev = 1});

    step_1_sequence(lesson, chain, random);
    step_2_train(lesson, w, chain, choices, random);
    const Measured measured = step_3_measure(lesson, w, chain, choices, random);
    step_4_fill(lesson, w, chain, random);
    step_5_right_side(lesson, w, chain, random);
    lesson.say("Next: gpt/families/galactica decides what becomes a token.");

    lesson.step("Do the claims hold?");
    const double causal_floor = causal_entropy(chain);
    lesson.claim_at_least("a gap of one symbol, nats below the causal floor", causal_floor - measured.spans[0], 0.1);
    lesson.claim_at_most("a gap of one symbol, nats above the exact floor", measured.spans[0] - span_entropy(chain, 1), 0.3);
    lesson.claim_at_least("a gap of two symbols, nats below the causal floor", causal_floor - measured.spans[1], 0.06);
    lesson.claim_at_most("the tail, nats away from the causal floor", std::abs(measured.tail - causal_floor), 0.05);
}

int main(int argc, char** argv) {
    Options options("gpt/families/glm", "GLM: fill a gap from both sides, continue a text from one, with the same weights.",
                    "10 seconds");
    Choices choices;
    options.add("steps", choices.steps, "steps of training", 1, 100'000);
    options.add("texts", choices.texts, "texts to test on, for each kind of gap", 1, 100'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
