// logit_lens.cpp: the prediction of a model after every layer, and the contribution of each component to its answer.
//
//   sources  nostalgebraist, "interpreting GPT: the logit lens", 2020; attribution as in TransformerLens
//   shows    after which sublayer a GPT of two blocks has the answer: where it must, by construction of the task
//   symbols  r_l residual stream before block l   mid_l between its attention and its MLP   T tokens   V words
//            s standard deviation of the last r
//   before   walkthroughs/nn/heads.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/interpret/logit_lens.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/lesson/published_gpt.h"
#include "walkthroughs/lesson/tokens.h"
#include "walkthroughs/toys/jumping_walk.h"

namespace toy = jumping_walk;

struct Choices {
    toy::Training training;
    int texts = 400;
    std::string weights, vocab, merges, prompt = "The capital of France is";
    ModelOptions model_options;  // settings that a checkpoint's shapes do not determine
};

namespace {
// Texts that end with a query right after a jump, and the model's steps on them.
struct Questions {
    std::vector<toy::Text> texts;
    gpt::Steps steps;
    std::vector<int> last_rows;  // the row of each text's query
    std::vector<int> right;      // the next token
    logit_lens::Readout readout;
};
}  // namespace

static Questions ask(const toy::Learned& model, int count, Random& random) {
    const NoTape evaluation;
    Questions asked;
    for (int b = 0; b < count; ++b) {
        asked.texts.push_back(toy::draw(random, {.query = random.below(toy::shown - 1)}));
        asked.last_rows.push_back((b + 1) * toy::length - 1);
        asked.right.push_back(asked.texts.back().ids.back());
    }
    asked.steps = gpt::forward(toy::inputs(asked.texts), toy::length, model.w, model.config);
    asked.readout = logit_lens::readout_of(gpt::inside(model.w, model.config));
    return asked;
}

static std::string letters(const std::vector<int>& ids, int begin, int end) {
    std::string line;
    for (int t = begin; t < end; ++t) line += std::string(1, static_cast<char>('a' + ids[t])) + " ";
    return line;
}

// Trains the model.
static Questions step_1_task(Lesson& lesson, toy::Learned& model, const Choices& choices, Random& random) {
    lesson.step("What is the task?", "next = the earlier successor of the last token");
    lesson.code(2);
    model = toy::learn(choices.training, random);
    const Questions asked = ask(model, choices.texts, random);
    const std::vector<int>& ids = asked.texts[0].ids;
    lesson.lines({"eight symbols   " + letters(ids, 0, toy::shown), "a walk          " + letters(ids, toy::shown, toy::length),
                  "right answer    " + letters(ids, toy::length, toy::length + 1)});
    lesson.curves({smoothed("loss", model.losses, std::max(1, static_cast<int>(model.losses.size()) / 60))},
                  {"training step", "loss, nats"});
    lesson.why(
        "at the query, which follows a jump, only the eight symbols at the beginning help. A token does not contain its "
        "neighbour: block 0 can write its predecessor into each of the eight, and only then can block 1 find the "
        "successor of the query. Nothing before the attention of block 1 can have the answer.");
    return asked;
}

namespace {
// The lens at one residual stream: means over texts at the query.
struct Reading {
    std::string position;
    double probability, rank, kl;
};
}  // namespace

static Reading reading(const std::string& position, const Var& stream, const Questions& asked) {
    const Matrix logits = logit_lens::logits(gather_rows(stream, asked.last_rows).value(), asked.readout);  // (B, V)
    const Matrix last = gather_rows(asked.steps.logits, asked.last_rows).value();
    const logit_lens::Comparison comparison = logit_lens::compare(logits, last, asked.right);
    Reading result{position, 0, 0, 0};
    const double B = logits.rows;
    for (int b = 0; b < logits.rows; ++b) {
        result.probability += std::exp(-comparison.cross_entropy[b]) / B;
        result.rank += comparison.rank[b] / B;
        result.kl += comparison.kl[b] / B;
    }
    return result;
}

static std::vector<Reading> step_2_lens(Lesson& lesson, const Questions& asked) {
    lesson.step("What does the model predict after each layer?", "logits_l = LayerNorm(r_l) W^T");
    const std::vector<BlockSteps>& blocks = asked.steps.decoder.blocks;
    lesson.code();
    std::vector<Reading> readings{reading("r_0, words and positions", asked.steps.embeddings, asked)};
    for (std::size_t l = 0; l < blocks.size(); ++l) {
        const std::string number = text(static_cast<int>(l)), next = text(static_cast<int>(l) + 1);
        readings.push_back(reading("mid_" + number + ", after attention " + number, blocks[l].after_attention, asked));
        readings.push_back(reading("r_" + next + ", after MLP " + number, blocks[l].output, asked));
    }
    lesson.predict("What is the probability of the right token after block 0? It is one of " + text(toy::shown) + " symbols.",
                   {readings[2].probability, 0.05});
    std::vector<std::vector<std::string>> rows{{"stream", "p(right)", "rank of 16", "KL(final || lens)"}};
    for (const Reading& r : readings) rows.push_back({r.position, fixed(r.probability, 3), fixed(r.rank, 1), fixed(r.kl, 2)});
    lesson.table(rows);
    lesson.why(
        "every block only adds to the residual stream, so the output layer can be applied after any block. After block 0 "
        "the prediction is any of the eight symbols. One attention layer later it is the answer.");
    return readings;
}

// The contribution of each part to logit(right) minus the mean of the other logits, at the queries.
namespace {
struct Shares {
    std::vector<std::string> names;
    std::vector<double> shares;  // means over texts
    double constant = 0;         // from the bias of the norm
    double total = 0;            // measured at the logits
};
}  // namespace

static double margin(const Matrix& logits, int row, int right) {
    double sum = 0;
    for (int v = 0; v < logits.cols; ++v) sum += logits(row, v);
    return logits(row, right) - (sum - logits(row, right)) / (logits.cols - 1);
}

static Shares shares_of(const toy::Learned& model, const Questions& asked) {
    const NoTape evaluation;
    const int n = static_cast<int>(asked.texts.size()) * toy::length;
    const Matrix words = gather_rows(model.w.token_embedding, toy::inputs(asked.texts)).value();
    const Matrix positions = subtract(asked.steps.embeddings, words).value();
    require(words.rows == n, "a row for each token");
    const Matrix scale = logit_lens::final_scale(asked.steps.decoder.output.value(), asked.readout);
    const logit_lens::Unembedding unembedding = logit_lens::folded(asked.readout);
    Shares result;
    const double B = static_cast<double>(asked.texts.size());
    for (const logit_lens::Part& part :
         logit_lens::parts_of(asked.steps.decoder, model.w.blocks, model.config.heads, words, positions)) {
        const Matrix logits = logit_lens::contribution(part, asked.last_rows, scale, unembedding);  // (B, V)
        double share = 0;
        for (int b = 0; b < logits.rows; ++b) share += margin(logits, b, asked.right[b]) / B;
        result.names.push_back(part.name);
        result.shares.push_back(share);
    }
    for (std::size_t b = 0; b < asked.texts.size(); ++b) {
        result.constant += margin(unembedding.c, 0, asked.right[b]) / B;
        result.total += margin(asked.steps.logits.value(), asked.last_rows[b], asked.right[b]) / B;
    }
    return result;
}

static Shares step_3_shares(Lesson& lesson, const toy::Learned& model, const Questions& asked) {
    lesson.step("Which part produced the answer?", "logits = sum over parts of ((part - mean) / s) U + c");
    lesson.code();
    const Shares shares = shares_of(model, asked);
    std::vector<std::vector<std::string>> rows{{"part", "adds to right - mean of the others"}};
    double sum = shares.constant;
    for (std::size_t p = 0; p < shares.names.size(); ++p) {
        rows.push_back({shares.names[p], fixed(shares.shares[p], 3)});
        sum += shares.shares[p];
    }
    rows.push_back({"bias of the last norm", fixed(shares.constant, 3)});
    rows.push_back({"sum", fixed(sum, 3)});
    rows.push_back({"measured at the logits", fixed(shares.total, 3)});
    lesson.table(rows);
    lesson.why(
        "with s, the standard deviation of the last residual stream, held fixed, the output layer is linear and the "
        "logits are a sum over parts. Heads of block 0 contribute almost nothing directly, but without them there would "
        "be no answer: block 1 reads what they write. Attribution shows only direct effects; indirect ones need "
        "interventions: activation_patching.cpp.");
    return shares;
}

// The margin of the right answer in each row, averaged.
static double mean_margin(const Matrix& logits, const std::vector<int>& right) {
    double mean = 0;
    for (int b = 0; b < logits.rows; ++b) mean += margin(logits, b, right[b]) / logits.rows;
    return mean;
}

static double step_4_frozen(Lesson& lesson, const Questions& asked) {
    lesson.step("Which standard deviation is used?", "lens: s of r_l.   frozen lens: s of r_L");
    const Matrix last = gather_rows(asked.steps.decoder.output, asked.last_rows).value();
    const Matrix scale = logit_lens::final_scale(last, asked.readout);
    const logit_lens::Unembedding unembedding = logit_lens::folded(asked.readout);
    std::vector<std::vector<std::string>> rows{{"right - mean of the others", "s of r_l", "s of r_L"}};
    double difference = 0;
    const std::vector<BlockSteps>& blocks = asked.steps.decoder.blocks;
    for (std::size_t l = 0; l <= blocks.size(); ++l) {
        const Var stream = gather_rows(l == 0 ? asked.steps.embeddings : blocks[l - 1].output, asked.last_rows);
        const Matrix own = logit_lens::logits(stream.value(), asked.readout);
        const Matrix frozen = logit_lens::frozen_logits(stream.value(), scale, unembedding);
        const double of_own = mean_margin(own, asked.right), of_frozen = mean_margin(frozen, asked.right);
        rows.push_back({"r_" + text(static_cast<int>(l)), fixed(of_own, 3), fixed(of_frozen, 3)});
        if (l == blocks.size()) difference = std::abs(of_own - of_frozen);
    }
    lesson.table(rows);
    lesson.why(
        "the residual stream grows from block to block, so with the standard deviation of the last one, early logits are "
        "small. Only the frozen lens is linear, so that layers may be subtracted; only the other is a prediction of the "
        "model. For the last residual stream they agree.");
    return difference;
}

// A published GPT-2 on the user's prompt: its prediction after every block, and the contribution of each part to its answer.
static void published(Lesson& lesson, const Choices& choices) {
    const PublishedGpt model =
        read_published_gpt(choices.weights, choices.vocab, choices.merges, choices.model_options.settings());
    const std::vector<int> ids = model.ids(text_or_file(choices.prompt));
    const int last = static_cast<int>(ids.size()) - 1;
    const Inside inside = gpt::inside(model.w, model.config);
    const auto run = [&] { return gpt::forward(ids, last + 1, model.w, model.config).logits; };
    const Inspection trace = follow(run, inside);
    Matrix logits = slice_rows(trace.outputs, last, 1);  // (1, V)
    const int said = argmax_row(logits, 0);

    lesson.step("What does it predict after each block?", "logits_l = LayerNorm(r_l) W^T", choices.weights);
    std::vector<std::vector<std::string>> rows{
        {"residual stream", "best", "p(best)", "p(" + model.name(said) + ")", "rank", "KL(final || lens)"}};
    lesson.code(3);
    for (int l = 0; l <= model.config.depth; ++l) {
        const Matrix early = outputs_of(slice_rows(trace.residual_streams[l], last, 1), inside);
        const logit_lens::Comparison c = logit_lens::compare(early, logits, {said});
        rows.push_back({"r_" + text(l), model.name(c.top[0]), fixed(c.max_probability[0]), fixed(std::exp(-c.cross_entropy[0])),
                        text(c.rank[0]), fixed(c.kl[0], 2)});
    }
    lesson.table(rows);

    lesson.step("Which part contributes most to the answer?", "logits = sum over parts of ((part - mean) / s) U + c");
    logits[said] = -INFINITY;
    const int second = argmax_row(logits, 0);
    const logit_lens::Readout readout = logit_lens::readout_of(inside);
    const Matrix scale = logit_lens::final_scale(trace.residual_streams.back(), readout);
    const logit_lens::Unembedding unembedding = logit_lens::folded(readout);
    std::vector<std::pair<double, std::string>> shares;
    for (const logit_lens::Part& part : logit_lens::parts_of(trace, inside)) {
        const Matrix of_part = logit_lens::contribution(part, {last}, scale, unembedding);  // (1, V)
        shares.push_back({of_part[said] - of_part[second], part.name});
    }
    std::sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) { return std::abs(a.first) > std::abs(b.first); });
    std::vector<std::vector<std::string>> largest{{"part", "adds to " + model.name(said) + " - " + model.name(second), ""}};
    for (std::size_t k = 0; k < std::min<std::size_t>(12, shares.size()); ++k)
        largest.push_back({shares[k].second, fixed(shares[k].first, 3), bar(shares[k].first, std::abs(shares[0].first))});
    lesson.table(largest);
    lesson.why(
        "L3H5 is head 5 of block 3, 3_mlp_out what the MLP of block 3 writes, embed word and position. The twelve largest are shown.");
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (!choices.weights.empty()) return published(lesson, choices);
    Random random(seed);
    toy::Learned model;
    const Questions asked = step_1_task(lesson, model, choices, random);
    const std::vector<Reading> readings = step_2_lens(lesson, asked);
    const Shares shares = step_3_shares(lesson, model, asked);
    const double agree = step_4_frozen(lesson, asked);

    double sum = shares.constant, block_1 = 0;
    for (std::size_t p = 0; p < shares.names.size(); ++p) {
        sum += shares.shares[p];
        if (shares.names[p].starts_with("L1") || shares.names[p].starts_with("1_")) block_1 += shares.shares[p];
    }
    lesson.say("Next: nn/interpret/activation_patching replaces one activation and measures the effect.");
    lesson.step("Do the claims hold?");
    lesson.claim_at_most("p(right) before the attention of block 1", readings[2].probability, 0.12);
    lesson.claim_at_least("p(right) after it", readings[3].probability, 0.95);
    lesson.claim_at_most("KL of the last lens to the model", readings.back().kl, 1e-6);
    lesson.claim_at_least("fraction of the answer contributed by block 1", block_1 / shares.total, 0.95);
    lesson.claim_at_most("sum of the parts minus the whole", std::abs(sum - shares.total), 1e-3);
    lesson.claim_at_most("lens minus frozen lens at the last residual stream", agree, 1e-3);
}

int main(int argc, char** argv) {
    Options options("nn/interpret/logit_lens", "The logit lens: after which layer does a GPT have the answer?", "5 seconds");
    Choices choices;
    options.add("steps", choices.training.steps, "steps of training", 1, 100'000);
    options.add("texts", choices.texts, "texts to ask", 1, 100'000);
    options.add("weights", choices.weights, "do not train: ask this checkpoint (safetensors), as published for gpt2");
    options.add("merges", choices.merges, "its merges.txt");
    options.add("vocab", choices.vocab, "its vocab.json");
    options.add("prompt", choices.prompt, "words, or a file, for it to go on from");
    choices.model_options.declare(options, 4);
    for (const char* const name : {"merges", "vocab", "prompt", "heads", "eps", "activation"}) options.needs(name, "weights");
    for (const char* const name : {"steps", "texts"}) options.excludes(name, "weights");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
