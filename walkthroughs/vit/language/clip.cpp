// clip.cpp: a model learns from images and their captions, then reads class names that it was never trained to tell apart.
//
//   paper    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, arXiv 2103.00020
//   shows    one table of similarities before and after training, zero-shot on held-out pairs, and a classifier built from prompts
//   symbols  B pairs   I, T rows of length 1, images and captions   s = log_scale
//   next     pacl.cpp asks where in the image the words are; coca.cpp also writes the caption
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/file.h"
#include "nn/data/file_kind.h"
#include "nn/training/contrastive.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/language/clip.h"
#include "vit/language/clip_tokenizer.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/coloured_shapes.h"

struct Choices {
    int steps = 1200, image_heads = 0, text_heads = 0;
    std::string image, text, weights, vocabulary, merges;
};

static clip::Config toy_config(const WordList& words) {
    return {
        .vision = {.grid = {.height = 16, .width = 16, .patch_size = 4, .channels = 3},
                   .width = 48,
                   .depth = 2,
                   .heads = 4,
                   .mlp_width = 192},
        .text = {.vocabulary = words.size(), .positions = caption_length, .width = 32, .depth = 2, .heads = 2, .mlp_width = 128},
        .shared_width = 32};
}

static std::vector<std::string> captions_of(const std::vector<ColouredShape>& shapes) {
    std::vector<std::string> captions;
    for (const ColouredShape shape : shapes) captions.push_back(caption_of(shape));
    return captions;
}

// --- the lesson's steps ---

static void step_1_pairs(Lesson& lesson, const WordList& words, int seed) {
    lesson.step("What is there to learn from?", "(image, caption) pairs, no classes", "section 2.2");
    Random random(seed);
    std::vector<Captioned> shown;
    for (const ColouredShape shape : {ColouredShape{0, 0}, ColouredShape{2, 1}, ColouredShape{3, 2}})
        shown.push_back({name_of(shape), picture(image_of(shape, random), lesson.colours)});
    lesson.pictures(shown);
    const TokenBatch one = sentence_tokens({caption_of({0, 0})}, words, caption_length);
    std::string ids;
    for (const int id : one.ids) ids += " " + text(id);
    lesson.say("\"", caption_of({0, 0}), "\" becomes the ids", ids, ": start, words, end of text.");
    lesson.why("5 colours and 4 shapes make 20 captions. Training sees 16 of them; ", name_of(unseen_shapes()[0]), ", ",
               name_of(unseen_shapes()[1]), ", ", name_of(unseen_shapes()[2]), " and ", name_of(unseen_shapes()[3]),
               " are kept back. Each of their words is known from other captions.");
}

static void step_2_towers(Lesson& lesson, const clip::Weights& w, const clip::Config& config, const WordList& words, int seed) {
    lesson.step("How do an image and a sentence become comparable?", "u = x / |x|", "Figure 3");
    Random random(seed);
    lesson.code(3);
    const TokenBatch texts = sentence_tokens({caption_of({0, 0}), caption_of({2, 1})}, words, caption_length);
    const std::vector<Image> images{image_of({0, 0}, random), image_of({2, 1}, random)};
    const clip::Steps steps = clip::forward(images, texts, w, config);
    lesson.table({{"step", "images", "texts"},
                  {"tokens", shape(steps.image.embeddings.value()), shape(steps.text.embeddings.value())},
                  {"last block", shape(steps.image.encoder.output.value()), shape(steps.text.encoder.output.value())},
                  {"one row each", shape(steps.image.pooled.value()), shape(steps.text.pooled.value())},
                  {"shared width, length 1", shape(steps.image_embeddings.value()), shape(steps.text_embeddings.value())}});
    lesson.matrix("logits per image", steps.logits_per_image.value());
    lesson.why(
        "the image is read at its class token, the sentence at its end token, which is the only one that has seen all words. "
        "Divided by their lengths, their product is a cosine; times exp(s) = ",
        fixed(std::exp(w.log_scale.value()[0]), 2), " it is a logit. Nothing is trained yet, so the four numbers mean nothing.");
}

// The similarity of one image of each of these shapes with each caption.
static Matrix similarity_table(const std::vector<ColouredShape>& shapes, const clip::Weights& w, const clip::Config& config,
                               const WordList& words, int seed) {
    const NoTape evaluation;
    Random random(seed);
    const Var images = clip::embed_images(images_of(shapes, random), w, config);
    const Var texts = clip::embed_texts(caption_tokens(shapes, words), w, config);
    return matmul_transposed(images, texts).value();
}

static std::vector<std::string> names_of(const std::vector<ColouredShape>& shapes) {
    std::vector<std::string> names;
    for (const ColouredShape& shape : shapes) names.push_back(name_of(shape));
    return names;
}

static void step_3_table(Lesson& lesson, const clip::Weights& w, const clip::Config& config, const WordList& words, int seed) {
    lesson.step("What does the batch ask?", "loss = (CE of rows + CE of columns) / 2", "section 2.3");
    const Matrix table = similarity_table(seen_shapes(), w, config, words, seed);
    lesson.heat("cosines before training: images down, captions across", table, names_of(seen_shapes()), names_of(seen_shapes()));
    const Contrastive losses = contrastive(scale(table, std::exp(w.log_scale.value()[0])));
    lesson.say("Each image must find its caption among ", table.cols, ": ", fixed(losses.loss_rows.value()[0], 3),
               "; each caption its image: ", fixed(losses.loss_columns.value()[0], 3), "; a uniform guess costs ln ", table.cols,
               " = ", fixed(std::log(table.cols), 3), ".");
    lesson.why(
        "the diagonal should be bright and the rest dark. The batch is its own list of classes: no label says what a cross is, "
        "only which caption came with which image.");
    lesson.predict("How low can the loss be of a batch that holds one caption twice? Step 8 measures it.",
                   {2 * std::log(2) / table.cols, 0.02});
}

namespace {
// Every batch holds each of the 16 pairs once, so that no caption fits two images.
struct PairLoss : Objective {
    clip::Weights& w;
    const clip::Config& config;
    const WordList& words;
    Random random;
    std::vector<ColouredShape> shapes = seen_shapes();
    TokenBatch texts;

    PairLoss(clip::Weights& w, const clip::Config& config, const WordList& words, int seed)
        : w(w), config(config), words(words), random(1000 + seed), texts(caption_tokens(shapes, words)) {}

    Var loss(int) override {
        clip::limit_scale(w);
        return clip::loss(clip::forward(images_of(shapes, random), texts, w, config));
    }
};
}  // namespace

static void step_4_train(Lesson& lesson, clip::Weights& w, const clip::Config& config, const WordList& words, int steps,
                         int seed) {
    lesson.step("Does it learn?", "16 pairs in every batch, fresh images");
    PairLoss objective(w, config, words, seed);
    const Recipe recipe{.schedule = {.peak = 2e-3f, .steps = steps}};
    std::vector<float> losses;
    {
        ShowProgress progress("training", steps);
        losses = train(objective, nothing_decays(variables(clip::parameters(w, config))), recipe, &progress);
    }
    lesson.curves({smoothed("loss", losses, std::max(1, steps / 60))}, {"training step", "loss, nats"});
    float last = 0;
    const int few = std::min(20, steps);
    for (int k = 0; k < few; ++k) last += losses[losses.size() - 1 - k] / few;
    lesson.say("The mean loss of the last ", few, " steps is ", fixed(last, 3), "; exp(s) has gone from ", fixed(1 / 0.07, 2),
               " to ", fixed(std::exp(w.log_scale.value()[0]), 2), ".");
    lesson.why(
        "once the order of the cosines is right, a larger scale makes the softmax sharper and the loss smaller; the model increases it by itself, to at most 100.");
    lesson.claim_at_most("mean loss of the last steps; a uniform guess costs 2.7726", last, 0.1);
    lesson.claim_at_least("exp(log_scale) after training, at the start 14.29", std::exp(w.log_scale.value()[0]), 18);
}

static void step_5_after(Lesson& lesson, const clip::Weights& w, const clip::Config& config, const WordList& words, int seed) {
    lesson.step("What do the cosines look like after training?", "", "new images, all 20 captions");
    const Matrix table = similarity_table(all_shapes(), w, config, words, 7000 + seed);
    lesson.heat("cosines after training: images down, captions across", table, names_of(all_shapes()), names_of(all_shapes()));
    double own = 0, colour = 0, kind = 0, neither = 0;
    const std::vector<ColouredShape> shapes = all_shapes();
    for (int i = 0; i < 20; ++i)
        for (int j = 0; j < 20; ++j) {
            const bool same_colour = shapes[i].colour == shapes[j].colour, same_kind = shapes[i].kind == shapes[j].kind;
            (same_colour && same_kind ? own : same_colour ? colour : same_kind ? kind : neither) += table(i, j);
        }
    lesson.table({{"caption shares", "mean cosine"},
                  {"colour and shape", fixed(own / 20, 3)},
                  {"the colour only", fixed(colour / 60, 3)},
                  {"the shape only", fixed(kind / 80, 3)},
                  {"neither", fixed(neither / 240, 3)}});
    lesson.why(
        "rows and columns are sorted by colour, then by shape: the blocks along the diagonal are the colours. Half-right captions "
        "are nearer than wrong ones, although no batch ever said that a red bar is a little like a red square.");
    lesson.claim("a caption that shares one word is nearer than one that shares none, for colour and for shape",
                 colour / 60 > neither / 240 && kind / 80 > neither / 240);
}

// How many new images of these shapes are nearest to their own caption, among all 20.
static double zero_shot_accuracy(const std::vector<ColouredShape>& asked, const clip::Weights& w, const clip::Config& config,
                                 const WordList& words, int rounds, int seed) {
    const NoTape evaluation;
    Random random(9000 + seed);
    const std::vector<ColouredShape> shapes = all_shapes();
    const Var texts = clip::embed_texts(caption_tokens(shapes, words), w, config);
    std::vector<Image> images;
    std::vector<int> labels;
    for (int round = 0; round < rounds; ++round)
        for (const ColouredShape shape : asked) {
            images.push_back(image_of(shape, random));
            labels.push_back(static_cast<int>(std::find(shapes.begin(), shapes.end(), shape) - shapes.begin()));
        }
    return accuracy(clip::class_probabilities(clip::embed_images(images, w, config), texts, w).value(), labels);
}

static void step_6_zero_shot(Lesson& lesson, const clip::Weights& w, const clip::Config& config, const WordList& words,
                             int seed) {
    lesson.step("Can it name what it has never been shown?", "argmax over captions of cos", "section 3.1, zero-shot");
    std::vector<std::vector<std::string>> rows{{"images of", "named correctly, of 20 captions"}};
    const double seen = zero_shot_accuracy(seen_shapes(), w, config, words, 20, seed);
    const double unseen = zero_shot_accuracy(unseen_shapes(), w, config, words, 50, seed);
    rows.push_back({"the 16 training pairs", fixed(seen, 3)});
    for (const ColouredShape shape : unseen_shapes())
        rows.push_back({name_of(shape) + " (never seen)", fixed(zero_shot_accuracy({shape}, w, config, words, 50, seed), 3)});
    rows.push_back({"the 4 held-out pairs", fixed(unseen, 3)});
    lesson.table(rows);
    lesson.why(
        "chance is 0.05. For the training pairs the caption is known and only the image is new. For the four others the "
        "caption is new too: it is put together from words that were learned elsewhere, and so is what the image says.");
    lesson.claim_at_least("training pairs, named correctly", seen, 0.95);
    lesson.claim_at_least("held-out pairs, named correctly; chance is 0.05", unseen, 0.35);
}

namespace {
struct Prompts {
    std::vector<TokenBatch> of_colour, of_kind;  // for each colour its captions with all shapes, for each shape with all colours
};

struct LabelledShapes {
    std::vector<Image> images;
    std::vector<int> colours, kinds;
};
}  // namespace

static Prompts prompts_of_classes(const WordList& words) {
    Prompts prompts;
    for (int c = 0; c < shape_colours; ++c) {
        std::vector<std::string> captions;
        for (int k = 0; k < shape_kinds; ++k) captions.push_back(caption_of({c, k}));
        prompts.of_colour.push_back(sentence_tokens(captions, words, caption_length));
    }
    for (int k = 0; k < shape_kinds; ++k) {
        std::vector<std::string> captions;
        for (int c = 0; c < shape_colours; ++c) captions.push_back(caption_of({c, k}));
        prompts.of_kind.push_back(sentence_tokens(captions, words, caption_length));
    }
    return prompts;
}

// `rounds` new images of each pair that training has not seen.
static LabelledShapes held_out_images(int rounds, Random& random) {
    LabelledShapes all;
    for (int round = 0; round < rounds; ++round)
        for (const ColouredShape shape : unseen_shapes()) {
            all.images.push_back(image_of(shape, random));
            all.colours.push_back(shape.colour);
            all.kinds.push_back(shape.kind);
        }
    return all;
}

static void step_7_prompts(Lesson& lesson, const clip::Weights& w, const clip::Config& config, const WordList& words, int seed) {
    lesson.step("What is a class?", "direction_c = the mean of the embeddings of its prompts",
                "section 3.1.4, prompt ensembling");
    const NoTape evaluation;
    const auto [of_colour, of_kind] = prompts_of_classes(words);
    lesson.code(2);
    const Var colours = clip::class_directions(of_colour, w, config);  // (5, D)
    const Var kinds = clip::class_directions(of_kind, w, config);      // (4, D)
    Random random(11000 + seed);
    const LabelledShapes unseen = held_out_images(50, random);
    const Var embeddings = clip::embed_images(unseen.images, w, config);
    const double colour = accuracy(clip::class_probabilities(embeddings, colours, w).value(), unseen.colours);
    const double kind = accuracy(clip::class_probabilities(embeddings, kinds, w).value(), unseen.kinds);
    lesson.table({{"classifier, on held-out pairs", "prompts", "right", "chance"},
                  {"5 colours", "\"a photo of a red square\", ... disc, ...", fixed(colour, 3), "0.200"},
                  {"4 shapes", "\"a photo of a red square\", green ..., ...", fixed(kind, 3), "0.250"}});
    lesson.why(
        "no classifier of colours was trained. The mean of four captions keeps what they share, and that is the colour. The "
        "published models average 80 sentences around a class name in the same way.");
    lesson.claim_at_least("colours of held-out pairs, by prompts alone; chance is 0.2", colour, 0.6);
    lesson.claim_at_least("shapes of held-out pairs, by prompts alone; chance is 0.25", kind, 0.4);
}

static void step_8_false_negatives(Lesson& lesson, const clip::Weights& w, const clip::Config& config, const WordList& words,
                                   int seed) {
    lesson.step("What if a caption occurs twice in a batch?", "loss >= d ln 2 / B");
    const NoTape evaluation;
    const int d = 4;  // rows whose caption occurs twice
    std::vector<ColouredShape> shapes = seen_shapes();
    const int B = static_cast<int>(shapes.size());
    shapes[1] = shapes[0];
    shapes[6] = shapes[5];
    Random random(13000 + seed);
    const clip::Steps steps = clip::forward(images_of(shapes, random), caption_tokens(shapes, words), w, config);
    const double loss = clip::loss(steps).value()[0], floor = d * std::log(2) / B;
    lesson.say("Two captions twice among ", B, " pairs: the loss of the trained model is ", fixed(loss, 3),
               ", and no model gets below ", fixed(floor, 3), ".");
    lesson.why(
        "equal captions have equal rows, so each of them gets at most half of the probability: ", d,
        " rows cost ln 2 each. Such "
        "pairs are called false negatives. Batches of 32,768 images from the web are full of them, and it works all the same.");
    lesson.claim_at_least("loss of a batch with two captions twice, less its floor", loss - floor, 0);
}

// --- the user's own ---

static void show_scores(Lesson& lesson, const std::vector<std::string>& sentences, const Var& cosines, const Var& probabilities) {
    std::vector<std::vector<std::string>> rows{{"sentence", "cosine", "probability"}};
    for (int c = 0; c < probabilities.cols(); ++c)
        rows.push_back(
            {sentences[static_cast<std::size_t>(c)], fixed(cosines.value()(0, c)), fixed(probabilities.value()(0, c))});
    lesson.table(rows);
}

static void step_own(Lesson& lesson, const Choices& choices, const clip::Weights& w, const clip::Config& config,
                     const WordList& words, int seed) {
    lesson.step("Which sentence fits yours?", "softmax over sentences of exp(s) cos",
                choices.image.empty() ? "a red square" : choices.image);
    const NoTape evaluation;
    Random random(seed);
    const Image fitted = choices.image.empty() ? image_of({0, 0}, random) : own_image(choices.image);
    lesson.picture("as the model sees it", fitted);
    const std::vector<std::string> given = choices.text.empty() ? captions_of(all_shapes()) : parts_of_list(choices.text);
    const Var image = clip::embed_images({fitted}, w, config);
    const Var texts = clip::embed_texts(sentence_tokens(given, words, caption_length), w, config);
    show_scores(lesson, given, matmul_transposed(image, texts), clip::class_probabilities(image, texts, w));
}

namespace {
struct PublishedClip {
    clip::Config config;
    clip::Weights w;
    clip::Tokenizer tokenizer;
};
}  // namespace

static PublishedClip read_published(const Choices& choices) {
    const Safetensors file(choices.weights);
    GivenSettings given;
    if (choices.image_heads > 0) given["vision_config.num_attention_heads"] = text(choices.image_heads);
    if (choices.text_heads > 0) given["text_config.num_attention_heads"] = text(choices.text_heads);
    const clip::Config config = clip::config_of(file, given);
    Random random;
    const clip::Weights w = clip::make_weights(config, random);
    load(clip::is_openai_layout(file) ? clip::openai_parameters(w, config) : clip::parameters(w, config), file,
         clip::load_rules());
    const std::string folder = folder_prefix(choices.weights);
    const std::string vocabulary = choices.vocabulary.empty() ? folder + "vocab.json" : choices.vocabulary;
    const clip::Tokenizer tokenizer =
        clip::load_vocabulary(vocabulary, choices.merges.empty() ? folder + "merges.txt" : choices.merges);
    require(tokenizer.size() == config.text.vocabulary, vocabulary, ": ", tokenizer.size(), " tokens, the model has ",
            config.text.vocabulary);
    return {config, w, tokenizer};
}

// A published checkpoint on the user's image: no toy, no training.
static void published(Lesson& lesson, const Choices& choices) {
    lesson.step("What does a published model see?", "softmax over sentences of exp(s) cos", choices.weights);
    require(!choices.image.empty() && !choices.text.empty(),
            "--weights needs --image and --text, sentences separated by semicolons");
    const NoTape evaluation;
    const auto [config, w, tokenizer] = read_published(choices);
    const std::vector<std::string> sentences = parts_of_list(choices.text);
    const clip::Preparation how = clip::preparation_of(choices.weights, config.vision);
    const Image photograph = read_image(choices.image), seen = clip::preprocess(photograph, config.vision, how);
    lesson.say("A photograph of ", shape(photograph), " becomes ", shape(seen),
               ": the shorter side resized, a centre crop, each channel "
               "minus its mean and divided by its standard deviation.");
    const Var image = clip::embed_images({seen}, w, config);
    const Var texts = clip::embed_texts(clip::make_sentences(sentences, tokenizer, config.text.positions), w, config);
    show_scores(lesson, sentences, matmul_transposed(image, texts), clip::class_probabilities(image, texts, w));
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    if (!choices.weights.empty()) return published(lesson, choices);
    const WordList words = shape_words({"<pad>"}, {"<start>", "<end>"});
    check_own(choices.image, choices.text, words);
    const clip::Config config = toy_config(words);
    Random random(seed);
    clip::Weights w = clip::make_weights(config, random);
    step_1_pairs(lesson, words, seed);
    step_2_towers(lesson, w, config, words, seed);
    step_3_table(lesson, w, config, words, seed);
    step_4_train(lesson, w, config, words, choices.steps, seed);
    step_5_after(lesson, w, config, words, seed);
    step_6_zero_shot(lesson, w, config, words, seed);
    step_7_prompts(lesson, w, config, words, seed);
    step_8_false_negatives(lesson, w, config, words, seed);
    if (!choices.image.empty() || !choices.text.empty()) step_own(lesson, choices, w, config, words, seed);
    lesson.say("Next: vit/language/pacl locates the words in the image.");
}

int main(int argc, char** argv) {
    Options options("vit/language/clip", "Images and captions in one space; any sentence is a classifier.",
                    "5 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps", 1, 100'000);
    options.add("image", choices.image, "a PPM or PNG file to score against the sentences");
    options.add("text", choices.text, "sentences, separated by semicolons, of the words that the lesson prints");
    options.add("image-heads", choices.image_heads, "with --weights: heads of the image tower; 0: what config.json says", 0, 256);
    options.add("text-heads", choices.text_heads, "with --weights: heads of the text tower; 0: what config.json says", 0, 256);
    options.add(
        "weights", choices.weights,
        "a published CLIP checkpoint (safetensors, its config.json and preprocessor_config.json beside it): only scores --image against --text");
    options.add("vocab", choices.vocabulary, "its vocab.json; without it the one in the same folder");
    options.add("merges", choices.merges, "its merges.txt; without it the one in the same folder");
    for (const char* const name : {"image-heads", "text-heads", "vocab", "merges"}) options.needs(name, "weights");
    options.excludes("steps", "weights");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
