// t5.cpp: a tiny T5 fills gaps in a language of eight letters, and uses both sides of each gap.
//
//   paper    Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2019,
//            arXiv 1910.10683
//   shows    span corruption, distance buckets, and that the encoder shows the decoder what follows a gap: the loss falls
//            below the floor of every model that reads from left to right
//   symbols  S letters   N buckets   x_t a letter of the text
//   before   walkthroughs/gpt/gpt.cpp, walkthroughs/bert/mlm.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gpt/unified/t5.h"
#include "nn/autograd/operations.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/toys/markov_chain.h"

struct Choices {
    int symbols = 8;
    int length = 12;      // letters of a text
    int spans = 2;        // gaps in it
    int span_length = 2;  // letters of a gap
    int steps = 1500;
    int batch = 64;
    int test_texts = 1000;
};

// Ids: 0 padding and start, 1 end, then the letters, then the sentinels, the first of them last.
static int id_of_letter(int letter) { return letter + 2; }
static int vocabulary(const Choices& choices) { return 2 + choices.symbols + choices.spans + 1; }

static std::string readable(const Choices& choices, const std::vector<int>& ids) {
    std::string line;
    for (const int id : ids) {
        const bool is_letter = id >= 2 && id < 2 + choices.symbols;
        line += line.empty() ? "" : " ";
        line += id == 0     ? "_"
                : id == 1   ? "end"
                : is_letter ? std::string(1, static_cast<char>('a' + id - 2))
                            : "<" + text(vocabulary(choices) - 1 - id) + ">";
    }
    return line;
}

static std::vector<std::string> names_of(const Choices& choices, const std::vector<int>& ids) {
    std::vector<std::string> names;
    for (const int id : ids) names.push_back(readable(choices, {id}));
    return names;
}

// Gaps of equal length, a visible letter before and after each.
static std::vector<char> masked_letters(const Choices& choices, Random& random) {
    const int shorter =
        choices.length - 1 - choices.spans * (choices.span_length - 1);  // each gap one letter, the last letter apart
    std::vector<char> is_masked;
    for (const char masked : t5::random_spans(shorter, choices.spans, choices.spans, random))
        is_masked.insert(is_masked.end(), masked ? choices.span_length : 1, masked);
    is_masked.push_back(0);
    return is_masked;
}

namespace {
struct Examples {
    TokenBatch sources;
    std::vector<int> labels;  // one after the other
    int target_length = 0;
};
}  // namespace

static Examples make_examples(const MarkovChain& chain, const Choices& choices, Random& random, int count) {
    Examples examples;
    std::vector<std::vector<int>> sources;
    for (int i = 0; i < count; ++i) {
        std::vector<int> ids = sample(chain, random, choices.length);
        for (int& id : ids) id = id_of_letter(id);
        const std::vector<char> is_masked = masked_letters(choices, random);
        const t5::Corrupted corrupted = t5::corrupt(ids, is_masked, t5::sentinel(0, vocabulary(choices)), 1);
        sources.push_back(corrupted.input);
        examples.labels.insert(examples.labels.end(), corrupted.target.begin(), corrupted.target.end());
        examples.target_length = static_cast<int>(corrupted.target.size());
    }
    examples.sources = make_batch(sources);
    return examples;
}

static t5::Config model_of(const Choices& choices) {
    return {.vocabulary = vocabulary(choices),
            .width = 32,
            .encoder_depth = 2,
            .decoder_depth = 2,
            .heads = 2,
            .head_width = 16,
            .mlp_width = 64,
            .gated = true,
            .activation = Activation::gelu_tanh,
            .tied = false,
            .buckets = 16,
            .max_distance = 16};
}

// --- the lesson ---

static void step_text(Lesson& lesson, const MarkovChain& chain, const Choices& choices) {
    lesson.step("What is the task?", "text with gaps -> the missing spans", "section 3.1.4");
    Random random(2);
    std::vector<int> ids = sample(chain, random, choices.length);
    for (int& id : ids) id = id_of_letter(id);
    const std::vector<char> is_masked = masked_letters(choices, random);
    const int first = t5::sentinel(0, vocabulary(choices));
    lesson.code();
    const t5::Corrupted corrupted = t5::corrupt(ids, is_masked, first, 1);
    const int T = static_cast<int>(corrupted.target.size());
    lesson.code();
    const TokenBatch target = t5::shifted_right(corrupted.target, T, model_of(choices));
    lesson.table({{"text", readable(choices, ids)},
                  {"encoder reads", readable(choices, corrupted.input)},
                  {"decoder reads", readable(choices, target.ids)},
                  {"and predicts", readable(choices, corrupted.target)}});
    lesson.why(
        "each gap becomes one sentinel, <0>, <1>, ... The target repeats the sentinel, followed by the masked letters, so it is ",
        "short. Every other task has the same form: text to text.");
}

static void step_buckets(Lesson& lesson) {
    lesson.step("How do positions enter?", "bucket(key - query)", "section 2.1");
    std::vector<std::vector<std::string>> rows{{"key - query", "encoder", "decoder"}};
    lesson.code(3);
    for (const int offset : {-200, -100, -50, -20, -9, -8, -2, -1, 0, 1, 2, 8, 9, 20, 50, 100})
        rows.push_back(
            {text(offset), text(t5::relative_bucket(offset, true, 32, 128)), text(t5::relative_bucket(offset, false, 32, 128))});
    lesson.table(rows);
    lesson.why("near keys have a bucket for each distance, far keys share buckets: one position matters at distance 1, not at ",
               "distance 50. A decoder sees no key after the query, so all 32 buckets are for earlier keys.");
}

static void step_bias(Lesson& lesson, const t5::Weights& w, const t5::Config& config, const Choices& choices) {
    lesson.step("What has it learned about distances?", "softmax(q k^T + bias) v", "section 2.1");
    const int S = choices.length - choices.spans * (choices.span_length - 1) + 1;
    const TokenBatch any = equal_batch(std::vector<int>(S, 1), S);
    lesson.code();
    const Var bias = t5::forward(any, equal_batch({0}, 1), w, config).encoder.bias;
    std::vector<Captioned> heads;
    for (int head = 0; head < config.heads; ++head)
        heads.push_back(
            {"head " + text(head) + ": query down, key across", heat_map(slice_rows(bias.value(), head * S, S), lesson.colours)});
    lesson.pictures(heads);
    lesson.why(
        "one number for each bucket and head, ", config.buckets, " x ", config.heads,
        " for the whole encoder: equal along every ",
        "diagonal, and added to the scores of both blocks alike. The scores are not divided by sqrt(K); the initial query weights are smaller by that factor.");
}

static void step_floors(Lesson& lesson, const MarkovChain& chain, const Choices& choices) {
    lesson.step("What is the lowest possible loss?", "H(gap | before)   H(gap | before, after)");
    lesson.why("a letter depends on the letter before it. No left-to-right model can have a lower loss than ",
               fixed(causal_entropy(chain), 3), " nats a letter. A model that also sees the letter after the gap can reach ",
               fixed(span_entropy(chain, choices.span_length), 3),
               ". The encoder reads the whole input before the decoder writes ", "its first letter; so the lower floor is T5's.");
}

namespace {
struct FillGaps : Objective {
    const t5::Weights& w;
    const t5::Config& config;
    const MarkovChain& chain;
    const Choices& choices;
    Random random;

    FillGaps(const t5::Weights& w, const t5::Config& config, const MarkovChain& chain, const Choices& choices, int seed)
        : w(w), config(config), chain(chain), choices(choices), random(seed) {}

    Var loss(int) override {
        const Examples examples = make_examples(chain, choices, random, choices.batch);
        const TokenBatch target = t5::shifted_right(examples.labels, examples.target_length, config);
        return t5::loss(t5::forward(examples.sources, target, w, config), examples.labels);
    }
};

struct Losses {
    double letters = 0, sentinels = 0;
};
}  // namespace

// Mean loss of the letters in the gaps, and of all other tokens of the target.
static Losses measure(const t5::Weights& w, const t5::Config& config, const Choices& choices, const Examples& examples) {
    const NoTape no_tape;
    const TokenBatch target = t5::shifted_right(examples.labels, examples.target_length, config);
    const t5::Steps steps = t5::forward(examples.sources, target, w, config);
    const Matrix losses = token_losses(steps.decoder.logits, examples.labels).value();
    Losses sums;
    int letters = 0;
    for (int i = 0; i < losses.rows; ++i) {
        const bool is_letter = examples.labels[i] >= 2 && examples.labels[i] < 2 + choices.symbols;
        (is_letter ? sums.letters : sums.sentinels) += losses(i, 0);
        letters += is_letter;
    }
    return {sums.letters / letters, sums.sentinels / (losses.rows - letters)};
}

namespace {
// The loss on letters in held-out gaps, measured thirty times during training.
struct LetterCurve : Watcher {
    const t5::Weights& w;
    const t5::Config& config;
    const Choices& choices;
    const Examples& examples;
    Progress progress;
    int every;
    Series letters{.name = "letters in gaps", .x = {}, .y = {}};

    LetterCurve(const t5::Weights& w, const t5::Config& config, const Choices& choices, const Examples& examples)
        : w(w),
          config(config),
          choices(choices),
          examples(examples),
          progress("training", choices.steps),
          every(std::max(1, choices.steps / 30)) {}

    bool after_step(int step, float loss) override {
        progress.update(step, loss);
        if (step % every != every - 1) return true;
        letters.x.push_back(static_cast<float>(step + 1));
        letters.y.push_back(static_cast<float>(measure(w, config, choices, examples).letters));
        return true;
    }
};
}  // namespace

static void step_train(Lesson& lesson, const t5::Weights& w, const t5::Config& config, const MarkovChain& chain,
                       const Choices& choices, int seed) {
    lesson.step("What does training see?", "loss = mean of -log p(target_t | input, target before t)");
    lesson.say(count_numbers(t5::parameters(w, config)), " numbers; ", choices.steps, " steps of ", choices.batch,
               " fresh texts.");
    Random random(seed + 100);
    const Examples some = make_examples(chain, choices, random, 200);
    FillGaps objective(w, config, chain, choices, seed + 200);
    Series ours;
    {
        LetterCurve curve(w, config, choices, some);
        const Recipe recipe{
            .schedule = {.peak = 1e-2f, .warm_up = 50, .steps = choices.steps, .descent = Descent::linear, .floor = 0.02f},
            .batch = choices.batch};
        train(objective, nothing_decays(variables(t5::parameters(w, config))), recipe, &curve);
        ours = curve.letters;
    }
    Series causal{
        .name = "left to right", .x = ours.x, .y = std::vector<float>(ours.x.size(), static_cast<float>(causal_entropy(chain)))};
    Series both{.name = "both sides",
                .x = ours.x,
                .y = std::vector<float>(ours.x.size(), static_cast<float>(span_entropy(chain, choices.span_length)))};
    lesson.curves({ours, causal, both}, {"training step", "fraction of right letters"});
}

static Losses step_measure(Lesson& lesson, const t5::Weights& w, const t5::Config& config, const MarkovChain& chain,
                           const Choices& choices, const Examples& test) {
    lesson.step("Does the model use both sides of a gap?");
    const Losses losses = measure(w, config, choices, test);
    lesson.predict("What is the loss of the letters in the gaps? Step 3 gives both floors.", {losses.letters, 0.1});
    lesson.table({{"", "nats"},
                  {"letters in held-out gaps", fixed(losses.letters, 3)},
                  {"floor from left to right", fixed(causal_entropy(chain), 3)},
                  {"floor with both sides", fixed(span_entropy(chain, choices.span_length), 3)},
                  {"sentinels and end", fixed(losses.sentinels, 3)}});
    lesson.why(
        "the sentinels follow a fixed rule, so their loss is near 0. The loss of the letters is below that of any model that ",
        "does not see the text after the gap.");
    return losses;
}

static void step_look(Lesson& lesson, const t5::Weights& w, const t5::Config& config, const Choices& choices,
                      const Examples& test) {
    lesson.step("What does the decoder attend to?", "A of the last cross-attention");
    const int S = test.sources.length, T = test.target_length;
    const TokenBatch source = equal_batch({test.sources.ids.begin(), test.sources.ids.begin() + S}, S);
    const std::vector<int> labels(test.labels.begin(), test.labels.begin() + T);
    const TokenBatch target = t5::shifted_right(labels, T, config);
    lesson.say("Input (across): ", readable(choices, source.ids));
    lesson.say("Decoder (down): ", readable(choices, target.ids));
    lesson.code();
    const t5::Steps steps = t5::forward(source, target, w, config);
    const Matrix& A = steps.decoder.blocks.blocks.back().cross.weights.value();  // (H*T, S)
    const std::vector<std::string> down = names_of(choices, target.ids), across = names_of(choices, source.ids);
    std::vector<Captioned> heads;
    for (int head = 0; head < config.heads; ++head)
        heads.push_back({"head " + text(head), heat_map(slice_rows(A, head * T, T), lesson.colours, down, across)});
    lesson.pictures(heads);
    lesson.why(
        "the row of a sentinel or of a letter in a gap is brightest at the same sentinel in the input, or next to it, at the letters around the gap.");
}

// Writes the gaps of a few texts.
//   returns  the fraction of answers that have the right form: every sentinel in its position, then the end
// How many answers have their sentinels and their end where the truth has them, whatever the letters between.
static int count_of_right_form(const std::vector<std::vector<int>>& written, const Examples& test, const Choices& choices) {
    const int T = test.target_length;
    int right = 0;
    for (std::size_t i = 0; i < written.size(); ++i) {
        bool fits = static_cast<int>(written[i].size()) == T;
        for (int t = 0; fits && t < T; ++t) {
            const int label = test.labels[i * T + t];
            const bool is_letter = label >= 2 && label < 2 + choices.symbols;
            fits = is_letter || written[i][t] == label;
        }
        right += fits;
    }
    return right;
}

static double step_write(Lesson& lesson, const t5::Weights& w, const t5::Config& config, const Choices& choices,
                         const Examples& test) {
    lesson.step("What does it generate?", "greedy, and the likeliest of four beams");
    const int T = test.target_length, S = test.sources.length;
    const Limits limits{.new_tokens = T, .end_of_text = config.end_token};
    lesson.code();
    const auto written = t5::generate(test.sources, w, config, limits);
    std::vector<std::vector<std::string>> rows;
    for (int i = 0; i < 2; ++i) {
        const std::vector<int> source(test.sources.ids.begin() + i * S, test.sources.ids.begin() + (i + 1) * S);
        const std::vector<int> truth(test.labels.begin() + i * T, test.labels.begin() + (i + 1) * T);
        const std::vector<Beam> beams = t5::beam_search(source, 4, w, config, limits);
        rows.push_back({"input", readable(choices, source)});
        rows.push_back({"truth", readable(choices, truth)});
        rows.push_back({"greedy", readable(choices, written[i])});
        rows.push_back({"best of 4 beams", readable(choices, beams[0].ids)});
    }
    lesson.table(rows);
    const int right = count_of_right_form(written, test, choices);
    lesson.why(
        "the source is read once; its keys and values are kept, and each new token only attends to them. The letters are the most probable guesses; the form is right in ",
        right, " of ", static_cast<int>(written.size()), " answers.");
    return static_cast<double>(right) / static_cast<double>(written.size());
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random of_chain(7), random(seed);
    const MarkovChain chain = make_markov_chain(of_chain, choices.symbols);
    const t5::Config config = model_of(choices);
    const t5::Weights w = t5::make_weights(config, random, 0.05f);

    step_text(lesson, chain, choices);
    step_buckets(lesson);
    step_floors(lesson, chain, choices);
    step_train(lesson, w, config, chain, choices, seed);
    Random of_test(seed + 300);
    const Examples test = make_examples(chain, choices, of_test, choices.test_texts);
    const Losses losses = step_measure(lesson, w, config, chain, choices, test);
    step_bias(lesson, w, config, choices);
    step_look(lesson, w, config, choices, test);
    const double form = step_write(lesson, w, config, choices, test);
    lesson.say("Next: gpt/unified/gato turns games, numbers and images into tokens too.");

    lesson.step("Do the claims hold?");
    lesson.claim_at_least("nats below the floor from left to right", causal_entropy(chain) - losses.letters, 0.15);
    lesson.claim_at_most("nats above the floor with both sides", losses.letters - span_entropy(chain, choices.span_length), 0.1);
    lesson.claim_at_most("loss of sentinels and end", losses.sentinels, 0.02);
    lesson.claim_at_least("answers of the right form", form, 0.99);
}

int main(int argc, char** argv) {
    Options options("gpt/unified/t5", "A tiny T5 fills gaps, and uses both sides of each.", "10 seconds");
    Choices choices;
    options.add("symbols", choices.symbols, "letters of the language", 2, 26);
    options.add("length", choices.length, "letters of a text", 4, 100);
    options.add("spans", choices.spans, "gaps in a text", 1, 20);
    options.add("span-length", choices.span_length, "letters of a gap", 1, 20);
    options.add("steps", choices.steps, "steps of training", 1, 100'000);
    options.add("test-texts", choices.test_texts, "texts for measuring", 3, 100'000);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
