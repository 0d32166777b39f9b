// coca.cpp: one model selects an image's caption and writes one; on new pairs the two answers differ.
//
//   paper    Yu et al., "CoCa: Contrastive Captioners are Image-Text Foundation Models", 2022, arXiv 2205.01917
//   shows    two losses from one forward pass, and a language prior: the decoder relies on the text before more than on the image
//   symbols  Q queries of the pooler   T tokens of a caption
//   before   clip.cpp
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/contrastive.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/language/coca.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/coloured_shapes.h"

struct Choices {
    int steps = 300;
    std::string image, text;
};

static coca::Config toy_config(const WordList& words) {
    return {.vision = {.grid = {.height = 16, .width = 16, .patch_size = 4, .channels = 3},
                       .width = 48,
                       .depth = 2,
                       .heads = 4,
                       .mlp_width = 192,
                       .activation = Activation::gelu},
            .queries = 5,
            .pooler_heads = 4,
            .vocabulary = words.size(),
            .positions = caption_length,
            .width = 32,
            .text_depth = 2,
            .text_heads = 2,
            .decoder_depth = 2,
            .decoder_heads = 2};
}

// --- the lesson's steps ---

static void step_1_parts(Lesson& lesson, const coca::Weights& w, const coca::Config& config, const WordList& words, int seed) {
    lesson.step("Which half attends to the image?", "text half: no;  second half: yes", "section 3.2");
    Random random(seed);
    const std::vector<ColouredShape> shapes{{0, 0}, {2, 1}};
    const TokenBatch captions = caption_tokens(shapes, words);
    lesson.code();
    const coca::Steps steps = coca::forward(images_of(shapes, random), captions, w, config);
    lesson.table({{"step", "shape"},
                  {"image tokens of the last block", shape(steps.image.tower.encoder.output.value())},
                  {"after cross-attention from 5 learned queries", shape(steps.image.pooled.value())},
                  {"query 0: the image's direction", shape(steps.image.features.value())},
                  {"queries 1 to 4: what the decoder sees", shape(steps.image.tokens.value())},
                  {"[cls] at the end: the caption's direction", shape(steps.text.features.value())},
                  {"the other text tokens, for the decoder", shape(steps.text.tokens.value())},
                  {"logits: the next word of each", shape(steps.decoder.logits.value())}});
    const coca::Steps others = coca::forward(images_of({{3, 3}, {4, 2}}, random), captions, w, config);
    lesson.why(
        "the first blocks of the decoder have no cross-attention, so they are a text encoder. Other images beside the same "
        "captions leave its output as it was to the last bit, and change every logit.");
    lesson.claim("other images change nothing in the text half, and something in the second half",
                 identical(others.text.features.value(), steps.text.features.value()) &&
                     !identical(others.decoder.logits.value(), steps.decoder.logits.value()));
}

static void step_2_losses(Lesson& lesson, const coca::Weights& w, const coca::Config& config, const WordList& words, int seed) {
    lesson.step("What is the loss?", "loss = 1 contrastive + 2 caption", "section 3.2, Eq. 4");
    Random random(seed);
    const std::vector<ColouredShape> shapes = seen_shapes();
    const coca::Steps steps = coca::forward(images_of(shapes, random), caption_tokens(shapes, words), w, config);
    const coca::Losses losses = coca::losses(steps, w, config);
    lesson.table({{"loss", "value", "knowing nothing"},
                  {"which caption belongs to which image", fixed(losses.contrastive.value()[0], 3), fixed(std::log(16), 3)},
                  {"twice the next word", fixed(losses.caption.value()[0], 3), fixed(2 * std::log(words.size()), 3)}});
    lesson.why(
        "both come from one pass: the captioning loss needs every word predicted, and the text half has read them anyway. In the paper this costs 18 % more than a captioner alone.");
}

namespace {
struct BothLosses : Objective {
    coca::Weights& w;
    const coca::Config& config;
    Random random;
    std::vector<ColouredShape> shapes = seen_shapes();
    TokenBatch captions;
    std::vector<float> contrastive, caption;

    BothLosses(coca::Weights& w, const coca::Config& config, const WordList& words, int seed)
        : w(w), config(config), random(1000 + seed), captions(caption_tokens(shapes, words)) {}

    Var loss(int) override {
        const coca::Losses losses = coca::losses(coca::forward(images_of(shapes, random), captions, w, config), w, config);
        contrastive.push_back(losses.contrastive.value()[0]);
        caption.push_back(losses.caption.value()[0]);
        return losses.total;
    }
};
}  // namespace

static void step_3_train(Lesson& lesson, coca::Weights& w, const coca::Config& config, const WordList& words, int steps,
                         int seed) {
    lesson.step("Does it learn both?", "16 pairs in every batch, fresh images");
    BothLosses objective(w, config, words, seed);
    {
        ShowProgress progress("training", steps);
        train(objective, nothing_decays(variables(coca::parameters(w, config))),
              {.schedule = {.peak = 1e-3f, .steps = steps, .descent = Descent::none}}, &progress);
    }
    const int group = std::max(1, steps / 60);
    lesson.curves({smoothed("contrastive", objective.contrastive, group), smoothed("caption, twice", objective.caption, group)},
                  {"training step", "loss, nats"});
    lesson.why("the caption falls first: \"a photo of a\" and the end are the same in every caption, five words of seven.");
}

// --- two ways to name an image ---

namespace {
struct Named {
    double chosen = 0;   // fraction of images whose own caption is the nearest of 20
    double written = 0;  // fraction of images whose caption is written exactly
};
}  // namespace

static Named named(const std::vector<ColouredShape>& asked, const coca::Weights& w, const coca::Config& config,
                   const WordList& words, int rounds, int seed) {
    const NoTape evaluation;
    Random random(9000 + seed);
    const std::vector<ColouredShape> shapes = all_shapes();
    const Var texts = coca::read_texts(caption_tokens(shapes, words), w, config).features;
    std::vector<Image> images;
    std::vector<int> labels;
    for (int round = 0; round < rounds; ++round)
        for (const ColouredShape shape : asked) {
            images.push_back(image_of(shape, random));
            labels.push_back(static_cast<int>(std::find(shapes.begin(), shapes.end(), shape) - shapes.begin()));
        }
    Named result;
    result.chosen = accuracy(matmul_transposed(coca::read_images(images, w, config).features, texts).value(), labels);
    const Limits limits{.new_tokens = caption_length - 1, .end_of_text = words.id("<end>")};
    const std::vector<std::vector<int>> written = coca::captions(images, w, config, words.id("<start>"), limits);
    for (std::size_t i = 0; i < written.size(); ++i)
        result.written +=
            (words.text(written[i]) == caption_of(shapes[labels[i]]) + " <end>") / static_cast<double>(written.size());
    return result;
}

static void step_4_heads(Lesson& lesson, const coca::Weights& w, const coca::Config& config, const WordList& words, int seed) {
    lesson.step("Which of its answers is right?", "the nearest of 20 captions; the caption it writes");
    const Named seen = named(seen_shapes(), w, config, words, 10, seed),
                unseen = named(unseen_shapes(), w, config, words, 40, seed);
    std::vector<std::vector<std::string>> rows{{"images of", "chosen correctly", "written exactly"},
                                               {"the 16 training pairs", fixed(seen.chosen, 3), fixed(seen.written, 3)}};
    for (const ColouredShape shape : unseen_shapes()) {
        const Named of = named({shape}, w, config, words, 40, seed);
        rows.push_back({name_of(shape) + " (never seen)", fixed(of.chosen, 3), fixed(of.written, 3)});
    }
    rows.push_back({"the 4 held-out pairs", fixed(unseen.chosen, 3), fixed(unseen.written, 3)});
    lesson.predict("What fraction of the captions of held-out pairs is written exactly?", {unseen.written, 0.1});
    lesson.table(rows);
    lesson.why(
        "one model, one image tower, two answers, and on new pairs they are not the same. The contrastive head compares whole "
        "captions and does not know which are usual. The decoder writes one word after the other, and has learned from 16 captions "
        "which shape follows which colour.");
    lesson.claim_at_least("training pairs, chosen correctly", seen.chosen, 0.8);
    lesson.claim_at_least("training pairs, written exactly", seen.written, 0.9);
    lesson.claim_at_least("held-out pairs, chosen correctly; chance is 0.05", unseen.chosen, 0.3);
    lesson.claim_at_least("held-out pairs: chosen correctly less written exactly", unseen.chosen - unseen.written, 0.05);
}

// The writer's probabilities of the four shapes after "a photo of a COLOUR", among themselves.
static Matrix kind_probabilities(const std::vector<Image>& images, int colour, const coca::Weights& w, const coca::Config& config,
                                 const WordList& words) {
    const NoTape evaluation;
    coca::Captioner captioner(images, w, config, caption_length - 1);
    std::vector<int> prompts;
    for (std::size_t i = 0; i < images.size(); ++i)
        for (const int id : words.ids("<start> a photo of a " + colour_word(colour))) prompts.push_back(id);
    const Matrix logits = captioner.read(equal_batch(prompts, caption_length - 2));
    return softmax_rows(slice_cols(logits, words.id(kind_word(0)), shape_kinds)).value();
}

static double mean_of_column(const Matrix& m, int column) {
    double sum = 0;
    for (int i = 0; i < m.rows; ++i) sum += m(i, column);
    return sum / m.rows;
}

namespace {
// The probability of the right shape in 30 images of one pair that training has not seen, and of its rival in the same images.
struct Prior {
    double own = 0, other = 0;  // after the true colour, after another colour of the shape's training pairs
    double usual = 0;           // in images of these training pairs
    int rival = 0;              // the likeliest wrong shape after the true colour
    double of_rival = 0;
};
}  // namespace

static Prior measure_prior(ColouredShape shape, const coca::Weights& w, const coca::Config& config, const WordList& words,
                           Random& random) {
    const auto p_right = [&](const std::vector<Image>& images, int colour) {
        return mean_of_column(kind_probabilities(images, colour, w, config, words), shape.kind);
    };
    const auto draw = [&](int count, ColouredShape drawn) {
        std::vector<Image> images;
        for (int i = 0; i < count; ++i) images.push_back(image_of(drawn, random));
        return images;
    };
    const std::vector<Image> images = draw(30, shape);
    const Matrix p = kind_probabilities(images, shape.colour, w, config, words);  // (30, 4)
    Prior prior{.own = mean_of_column(p, shape.kind), .rival = shape.kind == 0 ? 1 : 0};
    for (int kind = 0; kind < shape_kinds; ++kind)
        if (kind != shape.kind && mean_of_column(p, kind) > mean_of_column(p, prior.rival)) prior.rival = kind;
    prior.of_rival = mean_of_column(p, prior.rival);
    for (int colour = 0; colour < shape_colours; ++colour) {
        if (colour == shape.colour || !is_seen({colour, shape.kind})) continue;
        prior.other += p_right(images, colour) / (shape_colours - 1);
        prior.usual += p_right(draw(8, {colour, shape.kind}), colour) / (shape_colours - 1);
    }
    return prior;
}

static void step_5_prior(Lesson& lesson, const coca::Weights& w, const coca::Config& config, const WordList& words, int seed) {
    lesson.step("Does it write what it sees?", "p(shape | image, text so far)", "the same images, another word before");
    Random random(11000 + seed);
    std::vector<std::vector<std::string>> rows{{"images of", "p(right shape)", "another word", "in training", "rival"}};
    double own = 0, other = 0, usual = 0;
    for (const ColouredShape shape : unseen_shapes()) {
        const Prior prior = measure_prior(shape, w, config, words, random);
        rows.push_back({name_of(shape), fixed(prior.own, 3), fixed(prior.other, 3), fixed(prior.usual, 3),
                        kind_word(prior.rival) + " " + fixed(prior.of_rival, 3)});
        own += prior.own / 4;
        other += prior.other / 4;
        usual += prior.usual / 4;
    }
    lesson.table(rows);
    lesson.say("Mean: ", fixed(own, 3), " after the true colour, ", fixed(other, 3),
               " for the same images when the text says another "
               "colour, ",
               fixed(usual, 3), " for the same shapes in training colours.");
    lesson.why(
        "the decoder knows these shapes in every other colour (third number). In a new colour two things are new: the image, and the word after the colour. In the second number only the colour in the text has changed, to one that the shape did follow in training: where it is larger than the first, the text alone had suppressed the word. That is a "
        "language prior; captioners that write what is usual instead of what is there do the same on photographs.");
    lesson.claim_at_least("p(right shape): training colours less new colours", usual - own, 0.05);
}

static void step_own(Lesson& lesson, const Choices& choices, const coca::Weights& w, const coca::Config& config,
                     const WordList& words, int seed) {
    lesson.step("What does it write about yours?", "", choices.image.empty() ? "a red square" : choices.image);
    Random random(seed);
    const Image fitted = choices.image.empty() ? image_of({0, 0}, random) : own_image(choices.image);
    lesson.picture("as the model sees it", fitted);
    const Limits limits{.new_tokens = caption_length - 1, .end_of_text = words.id("<end>")};
    lesson.say("It writes: ", words.text(coca::captions({fitted}, w, config, words.id("<start>"), limits)[0]));
    std::vector<std::string> given;
    for (const ColouredShape shape : all_shapes()) given.push_back(caption_of(shape));
    if (!choices.text.empty()) given = parts_of_list(choices.text);
    const NoTape evaluation;
    const Var texts = coca::read_texts(sentence_tokens(given, words, caption_length), w, config).features;     // (sentences, D)
    const Matrix cosines = matmul_transposed(coca::read_images({fitted}, w, config).features, texts).value();  // (1, sentences)
    std::vector<std::vector<std::string>> rows{{"sentence", "cosine"}};
    for (int c = 0; c < cosines.cols; ++c) rows.push_back({given[c], fixed(cosines[c])});
    lesson.table(rows);
    lesson.say("It chooses: ", given[argmax_row(cosines, 0)], ".");
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const WordList words = shape_words({"<pad>"}, {"<start>", "<end>"});
    check_own(choices.image, choices.text, words);
    const coca::Config config = toy_config(words);
    Random random(seed);
    coca::Weights w = coca::make_weights(config, random);
    step_1_parts(lesson, w, config, words, seed);
    step_2_losses(lesson, w, config, words, seed);
    step_3_train(lesson, w, config, words, choices.steps, seed);
    step_4_heads(lesson, w, config, words, seed);
    step_5_prior(lesson, w, config, words, seed);
    if (!choices.image.empty() || !choices.text.empty()) step_own(lesson, choices, w, config, words, seed);
    lesson.say("Next: vit/language/flamingo gives a frozen language model images.");
}

int main(int argc, char** argv) {
    Options options("vit/language/coca",
                    "One model that finds the caption of an image and writes it; on new pairs the two answers differ.",
                    "5 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps", 1, 100'000);
    options.add("image", choices.image, "a PPM or PNG file to write a caption for");
    options.add("text", choices.text, "sentences to choose from, separated by semicolons: \"a photo of a red bar; ...\"");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
