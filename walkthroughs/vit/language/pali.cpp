// pali.cpp: image and question in, answer out; three tasks, one loss, no image layers in the language model.
//
//   paper    Chen et al., "PaLI: A Jointly-Scaled Multilingual Language-Image Model", 2022, arXiv 2209.06794
//   shows    that naming the task in the prompt is enough, and which answers hold for held-out pairs
//   symbols  N patches   S tokens of a prompt   T tokens of an answer
//   before   t5.cpp for the language model, vit.cpp for the other half
#include <algorithm>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/language/pali.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/pretraining.h"
#include "walkthroughs/toys/coloured_shapes.h"

struct Choices {
    int steps = 500;
    std::string image, text;
};

enum Task { colour_task, shape_task, caption_task, tasks };
static const std::vector<std::string> prompts{"colour ?", "shape ?", "caption ?"};
static const int prompt_length = 2, answer_length = 3;

static std::string answer_to(Task task, ColouredShape shape) {
    if (task == colour_task) return colour_word(shape.colour);
    return task == shape_task ? kind_word(shape.kind) : name_of(shape);
}

static pali::Config toy_config(const WordList& words) {
    return {.vision = {.grid = {.height = 16, .width = 16, .patch_size = 4, .channels = 3},
                       .width = 48,
                       .depth = 2,
                       .heads = 4,
                       .mlp_width = 192,
                       .classes = 0,
                       .eps = 1e-6f},
            .language = {.vocabulary = words.size(),
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
                         .max_distance = 32}};
}

namespace {
struct Questions {
    std::vector<Image> images;
    TokenBatch prompts;
    std::vector<int> labels;  // answer_length of each, the end token after the answer, then ignored
    std::vector<std::string> answers;
};
}  // namespace

static void ask(Questions& questions, Task task, ColouredShape shape, const WordList& words, Random& random) {
    questions.images.push_back(image_of(shape, random));
    for (const int id : words.ids(prompts[task])) questions.prompts.ids.push_back(id);
    ++questions.prompts.sequences;
    questions.prompts.length = prompt_length;
    std::vector<int> labels = words.ids(answer_to(task, shape) + " </s>");
    labels.resize(answer_length, ignored_label);
    questions.labels.insert(questions.labels.end(), labels.begin(), labels.end());
    questions.answers.push_back(answer_to(task, shape) + " </s>");
}

static pali::Steps forward(const Questions& questions, const pali::Weights& w, const pali::Config& config) {
    const TokenBatch target = t5::shifted_right(questions.labels, answer_length, config.language);
    return pali::forward(questions.images, questions.prompts, target, w, config);
}

namespace {
struct AnswerLoss : Objective {  // 32 questions of mixed tasks
    const pali::Weights& w;
    const pali::Config& config;
    const WordList& words;
    Random random;

    AnswerLoss(const pali::Weights& w, const pali::Config& config, const WordList& words, int seed)
        : w(w), config(config), words(words), random(1000 + seed) {}

    Var loss(int) override {
        const std::vector<ColouredShape> seen = seen_shapes();
        Questions questions;
        for (int i = 0; i < 32; ++i)
            ask(questions, static_cast<Task>(random.below(tasks)), seen[random.below(16)], words, random);
        return pali::loss(forward(questions, w, config), questions.labels);
    }
};
}  // namespace

// Fraction of images whose whole answer is right.
static double right_answers(Task task, const std::vector<ColouredShape>& shapes, int rounds, const pali::Weights& w,
                            const pali::Config& config, const WordList& words, int seed) {
    Random random(9000 + seed);
    Questions questions;
    for (int round = 0; round < rounds; ++round)
        for (const ColouredShape shape : shapes) ask(questions, task, shape, words, random);
    const std::vector<std::vector<int>> written = pali::answers(questions.images, questions.prompts, w, config, answer_length);
    double right = 0;
    for (std::size_t i = 0; i < written.size(); ++i) right += words.text(written[i]) == questions.answers[i];
    return right / static_cast<double>(written.size());
}

// --- the lesson's steps ---

static void step_1_rows(Lesson& lesson, const pali::Weights& w, const pali::Config& config, const WordList& words, int seed) {
    lesson.step("How does an image enter a language model?", "encoder input = [projected patches; words]", "section 3.1");
    Random random(seed);
    Questions one;
    ask(one, colour_task, {0, 1}, words, random);
    lesson.picture("\"colour ?\"", one.images[0]);
    lesson.code();
    const pali::Steps steps = forward(one, w, config);
    lesson.table({{"step", "shape"},
                  {"tokens of the ViT, class token dropped", shape(steps.image.tokens.value())},
                  {"projected to the width of the words", shape(steps.image.embeddings.value())},
                  {"followed by the tokens of the prompt", shape(steps.encoder_input.value())},
                  {"what the encoder makes of both", shape(steps.encoder.output.value())},
                  {"logits of the answer", shape(steps.decoder.logits.value())}});
    lesson.why("16 patches and ", prompt_length,
               " words are 18 rows of one text. The encoder's distances run over both: the first word "
               "is at distance 16 from the first patch. No layer of the T5 had to be changed.");
}

static void step_2_shift(Lesson& lesson, const pali::Config& config, const WordList& words) {
    lesson.step("What does the decoder read?", "the labels, shifted by one position", "teacher forcing");
    Random random(1);
    Questions one;
    ask(one, caption_task, {0, 1}, words, random);
    lesson.code();
    const TokenBatch target = t5::shifted_right(one.labels, answer_length, config.language);
    lesson.table({{"row", "reads", "is asked for"},
                  {"0", words.text({target.ids[0]}), words.text({one.labels[0]})},
                  {"1", words.text({target.ids[1]}), words.text({one.labels[1]})},
                  {"2", words.text({target.ids[2]}), words.text({one.labels[2]})}});
    lesson.why(
        "the start token is the padding token, 0. Were the labels not shifted, each row would read the token that it has to "
        "predict.");
    lesson.predict("the loss after a few hundred steps, and the answers, with unshifted labels.");
}

static void step_3_train(Lesson& lesson, const pali::Weights& w, const pali::Config& config, const WordList& words, int steps,
                         int seed) {
    lesson.step("Does one loss serve three tasks?", "mean of -log p(answer | image, prompt)");
    AnswerLoss objective(w, config, words, seed);
    std::vector<float> losses;
    {
        ShowProgress progress("training", steps);
        // At a constant learning rate the loss still fluctuates, and so does the table; a decay to 0 prevents that.
        losses = train(objective, nothing_decays(variables(pali::parameters(w, config))),
                       {.schedule = {.peak = 2e-3f, .steps = steps, .descent = Descent::cosine}}, &progress);
    }
    lesson.curves({smoothed("loss", losses, std::max(1, steps / 60))}, {"training step", "loss, nats"});
    std::vector<std::vector<std::string>> rows{{"prompt", "right, training pairs", "right, held-out pairs"}};
    double seen[tasks], unseen[tasks];
    for (int task = 0; task < tasks; ++task) {
        seen[task] = right_answers(static_cast<Task>(task), seen_shapes(), 5, w, config, words, seed);
        unseen[task] = right_answers(static_cast<Task>(task), unseen_shapes(), 20, w, config, words, seed);
        rows.push_back({prompts[task], fixed(seen[task], 3), fixed(unseen[task], 3)});
    }
    lesson.predict("What fraction of the captions of held-out pairs is right?", {unseen[caption_task], 0.1});
    lesson.table(rows);
    lesson.why(
        "the prompt alone selects the task for the same image. Training pairs are answered without error once the learning "
        "rate has fallen to 0. Colours are found on most new pairs too, shapes and captions of held-out pairs less often: the "
        "decoder is a language model, and it is easier to learn which pairs exist than to see them.");
    lesson.claim_at_least("colours, training pairs; chance is 0.2", seen[colour_task], 0.97);
    lesson.claim_at_least("colours, held-out pairs; chance is 0.2", unseen[colour_task], 0.45);
    lesson.claim_at_least("shapes, training pairs; chance is 0.25", seen[shape_task], 0.95);
    lesson.claim_at_least("captions, training pairs; chance is 0.05", seen[caption_task], 0.95);
    lesson.claim_at_least("captions: training pairs less held-out pairs", seen[caption_task] - unseen[caption_task], 0.2);
}

static void step_4_ask(Lesson& lesson, const Choices& choices, const pali::Weights& w, const pali::Config& config,
                       const WordList& words, int seed) {
    lesson.step("What does it answer?", "greedy decoding", choices.image.empty() ? "a yellow disc" : choices.image);
    Random random(seed);
    const Image own = choices.image.empty() ? image_of({3, 1}, random) : own_image(choices.image);
    lesson.picture("image", own);
    std::vector<std::vector<std::string>> rows{{"prompt", "answer"}};
    std::vector<std::string> asked = prompts;
    if (!choices.text.empty()) asked = parts_of_list(choices.text);
    for (const std::string& prompt : asked)
        rows.push_back({prompt, words.text(pali::answers({own}, make_batch({words.ids(prompt)}), w, config, answer_length)[0])});
    lesson.table(rows);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const WordList words = shape_words({"<pad>", "</s>"}, {"colour", "shape", "caption", "?"});
    check_own(choices.image, choices.text, words);
    const pali::Config config = toy_config(words);
    Random random(seed);
    const pali::Weights w = pali::make_weights(config, random, 0.2f);
    step_1_rows(lesson, w, config, words, seed);
    step_2_shift(lesson, config, words);
    step_3_train(lesson, w, config, words, choices.steps, seed);
    step_4_ask(lesson, choices, w, config, words, seed);
    lesson.say("Next: vit/language/digits_in_words names real digits in two languages.");
}

int main(int argc, char** argv) {
    Options options("vit/language/pali", "Image and question in, answer out: one model, three tasks, one loss.",
                    "15 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps", 1, 100'000);
    options.add("image", choices.image, "a PPM or PNG file to ask about");
    options.add("text", choices.text, "prompts, separated by semicolons: \"colour ?\", \"shape ?\", \"caption ?\"");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
