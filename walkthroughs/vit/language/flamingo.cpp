// flamingo.cpp: a frozen language model learns to read images through gated cross-attention.
//
//   paper    Alayrac et al., "Flamingo: a Visual Language Model for Few-Shot Learning", 2022, arXiv 2204.14198
//   shows    a first step that equals the frozen model bit by bit, gates that open, and words that follow the last image before them
//   symbols  a gate   T images of a text   R latents of each
//   before   coca.cpp, and gpt.cpp for the language model
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/patches.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/language/flamingo.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/coloured_shapes.h"

struct Choices {
    int text_steps = 200, steps = 400;
    std::string image, text = "it is a";
};

static const int images_of_text = 3, tokens_of_piece = 7;  // <image> it is a red cross .
static const int text_length = images_of_text * tokens_of_piece;
static const int colour_position = 4, kind_position = 5;  // of the words in a piece

static flamingo::Config toy_config(const WordList& words) {
    return {
        .language = {.vocabulary = words.size(), .positions = text_length, .width = 32, .depth = 2, .heads = 2, .mlp_width = 128},
        .resampler = {.latents = 4, .width = 48, .depth = 1, .heads = 2, .head_width = 16, .mlp_width = 96},
        .heads = 2,
        .head_width = 16,
        .mlp_width = 64,
        .image_token = words.id("<image>")};
}

namespace {
// Texts of three pieces, "<image> it is a red cross .", and their images.
struct Texts {
    TokenBatch tokens;
    std::vector<ColouredShape> shapes;  // three of each text
    std::vector<Image> images;
};
}  // namespace

static TokenBatch tokens_of(const std::vector<ColouredShape>& shapes, const WordList& words) {
    std::vector<int> all;
    for (const ColouredShape shape : shapes)
        for (const int id : words.ids("<image> it is a " + name_of(shape) + " .")) all.push_back(id);
    return equal_batch(all, text_length);
}

static Texts draw_texts(const std::vector<ColouredShape>& from, int count, const WordList& words, Random& random) {
    Texts texts;
    for (int i = 0; i < count * images_of_text; ++i) texts.shapes.push_back(from[random.below(static_cast<int>(from.size()))]);
    texts.tokens = tokens_of(texts.shapes, words);
    texts.images = images_of(texts.shapes, random);
    return texts;
}

// What stands for the frozen image encoder: the 16 raw patches of each image, 48 numbers each.
static Var features_of(const std::vector<Image>& images) {
    return patchify_all(images, {.height = 16, .width = 16, .patch_size = 4, .channels = 3}, "flamingo");
}

static flamingo::Steps forward(const Texts& texts, const flamingo::Weights& w, const flamingo::Config& config) {
    return flamingo::forward(texts.tokens, features_of(texts.images), images_of_text, w, config);
}

// --- training ---

namespace {
struct TextLoss : Objective {  // of the language model, on text alone
    const gpt::Weights& w;
    const gpt::Config& config;
    const WordList& words;
    Random random;

    TextLoss(const gpt::Weights& w, const gpt::Config& config, const WordList& words, int seed)
        : w(w), config(config), words(words), random(1000 + seed) {}

    Var loss(int) override {
        const TokenBatch texts = draw_texts(seen_shapes(), 16, words, random).tokens;
        return gpt::loss(gpt::forward(texts.ids, texts.length, w, config), next_tokens(texts));
    }
};

struct SightLoss : Objective {  // of the new layers, on the two words that only the image determines
    const flamingo::Weights& w;
    const flamingo::Config& config;
    const WordList& words;
    Random random;
    std::vector<float> gates;

    SightLoss(const flamingo::Weights& w, const flamingo::Config& config, const WordList& words, int seed)
        : w(w), config(config), words(words), random(2000 + seed) {}

    Var loss(int) override {
        gates.push_back(std::abs(std::tanh(w.gated[0].attention_gate.value()[0])));
        const Texts texts = draw_texts(seen_shapes(), 16, words, random);
        std::vector<int> labels = next_tokens(texts.tokens);
        for (std::size_t i = 0; i < labels.size(); ++i) {
            const int next = static_cast<int>(i % tokens_of_piece) + 1;
            if (next != colour_position && next != kind_position) labels[i] = ignored_label;
        }
        return flamingo::loss(forward(texts, w, config), labels);
    }
};

struct Accuracy {
    double colour = 0, kind = 0;
};
}  // namespace

// How often the likeliest of the five colours, and of the four shapes after the right colour, is the right one.
static Accuracy accuracy_on(const std::vector<ColouredShape>& shapes, const flamingo::Weights& w, const flamingo::Config& config,
                            const WordList& words, int seed) {
    const NoTape evaluation;
    Random random(9000 + seed);
    const Texts texts = draw_texts(shapes, 60, words, random);
    const Matrix logits = forward(texts, w, config).logits.value();
    const Matrix colours = slice_cols(logits, words.id(colour_word(0)), shape_colours);
    const Matrix kinds = slice_cols(logits, words.id(kind_word(0)), shape_kinds);
    Accuracy right;
    const int pieces = static_cast<int>(texts.shapes.size());
    for (int i = 0; i < pieces; ++i) {
        const int first = i * tokens_of_piece;
        right.colour +=
            (argmax_row(colours, first + colour_position - 1) == texts.shapes[i].colour) / static_cast<double>(pieces);
        right.kind += (argmax_row(kinds, first + kind_position - 1) == texts.shapes[i].kind) / static_cast<double>(pieces);
    }
    return right;
}

// --- the lesson's steps ---

static void step_1_language(Lesson& lesson, const gpt::Weights& w, const gpt::Config& config, const WordList& words, int steps,
                            int seed) {
    lesson.step("What does the language model know?", "GPT, trained on text alone, then frozen");
    TextLoss objective(w, config, words, seed);
    std::vector<float> losses;
    {
        ShowProgress progress("language model", steps);
        losses = train(objective, nothing_decays(variables(gpt::parameters(w, config))),
                       {.schedule = {.peak = 3e-3f, .steps = steps}}, &progress);
    }
    lesson.curves({smoothed("loss of the text", losses, std::max(1, steps / 40))}, {"training step", "loss, nats"});
    Random shown(seed);
    std::vector<int> piece = draw_texts(seen_shapes(), 1, words, shown).tokens.ids;
    piece.resize(tokens_of_piece);
    lesson.say("A text: ", words.text(piece), " ..., three such pieces one after the other.");
    lesson.why(
        "five words of seven are always the same. Colour and shape cannot be predicted from the text: (ln 5 + ln 3.2) / 7 = ",
        fixed((std::log(5) + std::log(3.2)) / 7, 3), " nats per token is the lowest possible loss; the last steps had ",
        fixed(losses.back(), 3), ".");
}

static void step_2_first(Lesson& lesson, const flamingo::Weights& w, const flamingo::Config& config, const Texts& texts,
                         const WordList& words) {
    lesson.step("What changes when the new layers are put in?", "z + tanh(a) attention(z, media), a = 0", "section 2.2");
    lesson.code(3);
    const Matrix frozen = gpt::forward(texts.tokens.ids, text_length, w.language, config.language).logits.value();
    const Matrix first = forward(texts, w, config).logits.value();
    const bool same = identical(first, frozen);
    std::vector<std::string> tokens;
    for (int t = 0; t < text_length; ++t) tokens.push_back(words.text({texts.tokens.ids[t]}));
    lesson.heat("mask: which image (across) a token (down) of the first text may attend to",
                slice_rows(flamingo::visible_images(texts.tokens, images_of_text, config), 0, text_length), tokens);
    lesson.why("nothing: tanh(0) = 0, so every new layer adds 0 to what it found. The ", frozen.size(), " logits are the same ",
               same ? "to the last bit" : "not everywhere",
               ". Training starts from a model that can write, and not from noise. A token attends to the last image before "
               "it; earlier images act only through the text.");
    lesson.predict("the same comparison with a sigmoid for the tanh: sigmoid(0) is a half.");
    lesson.claim("with closed gates the logits are those of the frozen model bit by bit", same);
}

// The length of a gradient, "none" where there is none.
static std::string gradient_length(const Var& v) {
    const Matrix& g = v.gradient();
    double squares = 0;
    for (const float x : g) squares += static_cast<double>(x) * x;
    return g.size() == 0 ? "none" : fixed(std::sqrt(squares), 5);
}

static void step_3_gradients(Lesson& lesson, const flamingo::Weights& w, const flamingo::Config& config, const Texts& texts) {
    lesson.step("Where do gradients flow in the first step?", "d z / d a = attention (1 - tanh(a)^2)");
    const Tape tape;
    backward(flamingo::loss(forward(texts, w, config), flamingo::labels_of(texts.tokens, config)));
    lesson.table({{"tensor", "length of its gradient"},
                  {"gate of the first new layer", gradient_length(w.gated[0].attention_gate)},
                  {"its query matrix", gradient_length(w.gated[0].block.cross.query.weight)},
                  {"latents of the resampler", gradient_length(w.resampler.latents)},
                  {"words of the frozen model", gradient_length(w.language.token_embedding)}});
    lesson.why(
        "what is multiplied by 0 gets no gradient: in the first step only the gates move. The frozen weights are constants, so "
        "there is no gradient to keep for them, but gradients flow through them to the gates below.");
    lesson.claim("in the first step the gates get a gradient, the new matrices zeros, the frozen model none",
                 w.gated[0].attention_gate.gradient()[0] != 0 &&
                     gradient_length(w.gated[0].block.cross.query.weight) == fixed(0, 5) &&
                     w.language.token_embedding.gradient().size() == 0);
    zero_gradients(variables(flamingo::trained_parameters(w, config)));
}

static void step_4_train(Lesson& lesson, const flamingo::Weights& w, const flamingo::Config& config, const WordList& words,
                         int steps, int seed) {
    lesson.step("Do the gates open?", "loss on the colour and the shape only");
    const Accuracy before = accuracy_on(seen_shapes(), w, config, words, seed);
    SightLoss objective(w, config, words, seed);
    std::vector<float> losses;
    {
        ShowProgress progress("sight", steps);
        losses = train(objective, nothing_decays(variables(flamingo::trained_parameters(w, config))),
                       {.schedule = {.peak = 2e-3f, .steps = steps, .descent = Descent::none}}, &progress);
    }
    const int group = std::max(1, steps / 60);
    lesson.curves({smoothed("loss", losses, group)}, {"training step", "loss, nats"});
    lesson.curves({smoothed("|tanh(gate)| of the first new layer", objective.gates, group)}, {"training step", "|tanh(gate)|"});
    const Accuracy seen = accuracy_on(seen_shapes(), w, config, words, seed),
                   unseen = accuracy_on(unseen_shapes(), w, config, words, seed);
    lesson.table({{"right words", "colour, of 5", "shape, of 4"},
                  {"before, training pairs", fixed(before.colour, 3), fixed(before.kind, 3)},
                  {"after, training pairs", fixed(seen.colour, 3), fixed(seen.kind, 3)},
                  {"after, held-out pairs", fixed(unseen.colour, 3), fixed(unseen.kind, 3)}});
    lesson.say(count_numbers(flamingo::trained_parameters(w, config)), " numbers were trained, ",
               count_numbers(gpt::parameters(w.language, config.language)), " stayed as they were.");
    lesson.why(
        "small gates are enough, since the logits that have to be turned around are close together: the frozen model was undecided "
        "there. For held-out pairs the colour is still found. The shape has to be predicted against a frozen language model that has never read it after this colour.");
    float widest = 0;
    for (const flamingo::GatedLayer& layer : w.gated)
        widest = std::max(
            {widest, std::abs(std::tanh(layer.attention_gate.value()[0])), std::abs(std::tanh(layer.mlp_gate.value()[0]))});
    lesson.claim_at_most("colour before, training pairs; chance is 0.2", before.colour, 0.4);
    lesson.claim_at_least("colour after, training pairs", seen.colour, 0.95);
    lesson.claim_at_least("colour after, held-out pairs; chance is 0.2", unseen.colour, 0.5);
    lesson.claim_at_least("shape after, training pairs", seen.kind, 0.6);
    lesson.claim_at_least("the widest gate, |tanh(a)|", widest, 0.03);
}

// The two most probable next words after "<image> TEXT", one after the other.
static std::string continued(const Image& image, const std::string& text, const flamingo::Weights& w,
                             const flamingo::Config& config, const WordList& words) {
    const std::vector<int> prompt = words.ids("<image> " + text);
    flamingo::Reader reader(features_of({image}), 1, 1, w, config, text_length);
    return words.text(generate_greedily(make_batch({prompt}), reader, {.new_tokens = 2})[0]);
}

static void step_5_exchange(Lesson& lesson, const flamingo::Weights& w, const flamingo::Config& config, const WordList& words,
                            int seed) {
    lesson.step("Which image does a word follow?", "only the last one before it", "section 2.3");
    const NoTape evaluation;
    Random random(13000 + seed);
    const Texts texts = draw_texts(seen_shapes(), 40, words, random);
    Texts exchanged = texts;
    for (int b = 0; b < 40; ++b) {  // another image in the place of the first
        const ColouredShape old = texts.shapes[b * images_of_text];
        exchanged.images[b * images_of_text] = image_of({(old.colour + 1 + random.below(4)) % shape_colours, old.kind}, random);
    }
    const Matrix before = softmax_rows(forward(texts, w, config).logits).value();
    const Matrix after = softmax_rows(forward(exchanged, w, config).logits).value();
    double change[images_of_text] = {};
    for (int b = 0; b < 40; ++b)
        for (int piece = 0; piece < images_of_text; ++piece) {
            const int row = (b * images_of_text + piece) * tokens_of_piece + colour_position - 1;
            for (int j = 0; j < before.cols; ++j)
                change[piece] += std::abs(after(row, j) - before(row, j)) / (40.0 * before.cols);
        }
    lesson.predict("Image 1 is exchanged. Do the probabilities after image 2 change half as much as those after image 1?",
                   {std::string(change[1] > change[0] / 2 ? "yes" : "no")});
    lesson.table({{"another image 1 changes the probabilities of the colour", "by"},
                  {"after image 1", fixed(change[0], 4)},
                  {"after image 2", fixed(change[1], 4)},
                  {"after image 3", fixed(change[2], 4)}});
    std::vector<std::vector<std::string>> rows{{"text so far", "image", "it goes on"}};
    for (const ColouredShape shape : {ColouredShape{0, 0}, ColouredShape{2, 0}, ColouredShape{3, 2}}) {
        const Image one = image_of(shape, random);
        rows.push_back({"<image> it is a", name_of(shape), continued(one, "it is a", w, config, words)});
    }
    lesson.table(rows);
    lesson.why(
        "after the second image the first can act only through the text that it changed long ago, and here the text is the "
        "same. That is what lets Flamingo read five examples with an image each before the question.");
    lesson.claim_at_least("change at its own text as a multiple of the change after the next image",
                          change[0] / std::max(1e-9, change[1]), 5);
}

static void step_own(Lesson& lesson, const Choices& choices, const flamingo::Weights& w, const flamingo::Config& config,
                     const WordList& words, int seed) {
    lesson.step("How does it continue after yours?", "greedy decoding", choices.image.empty() ? "a yellow disc" : choices.image);
    Random random(seed);
    const Image own = choices.image.empty() ? image_of({3, 1}, random) : own_image(choices.image);
    lesson.picture("as the model sees it", own);
    lesson.say("\"<image> ", choices.text, "\" goes on: ", continued(own, choices.text, w, config, words));
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const WordList words = shape_words({"<pad>"}, {"it", "is", ".", "<image>"});
    check_own(choices.image, choices.text, words);
    const flamingo::Config config = toy_config(words);
    Random random(seed);
    const gpt::Weights language = gpt::make_weights(config.language, random);
    step_1_language(lesson, language, config.language, words, choices.text_steps, seed);
    const flamingo::Weights w = flamingo::make_weights(config, language, random);
    flamingo::freeze_language_model(w, config);
    const Texts texts = draw_texts(seen_shapes(), 2, words, random);
    step_2_first(lesson, w, config, texts, words);
    step_3_gradients(lesson, w, config, texts);
    step_4_train(lesson, w, config, words, choices.steps, seed);
    step_5_exchange(lesson, w, config, words, seed);
    if (!choices.image.empty() || choices.text != Choices().text) step_own(lesson, choices, w, config, words, seed);
    lesson.say("Next: vit/language/pali answers questions with a T5.");
}

int main(int argc, char** argv) {
    Options options("vit/language/flamingo", "A frozen language model reads images, unchanged itself.",
                    "10 seconds on two cores");
    Choices choices;
    options.add("text-steps", choices.text_steps, "training steps of the language model", 1, 100'000);
    options.add("steps", choices.steps, "training steps of the new layers", 1, 100'000);
    options.add("image", choices.image, "a PPM or PNG file to write about");
    options.add("text", choices.text, "the prompt after the image, such as \"it is a red\"");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
