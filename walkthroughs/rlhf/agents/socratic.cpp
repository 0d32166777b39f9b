// socratic.cpp: the lesson on Socratic models: vision, audio and language models that were never trained together exchange text.
//
//   paper    Zeng et al., "Socratic Models: Composing Zero-Shot Multimodal Reasoning with Language", 2022, arXiv 2204.00598
//   shows    every message between three models; the accuracy of the chain, and how to detect that a message is ignored
//   world    a coloured shape is seen, a low or a high tone is heard, and the right action depends on both
//   before   walkthroughs/vit/language/clip.cpp, walkthroughs/gpt/gpt.cpp, saycan.cpp
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "nn/base/random.h"
#include "nn/data/text.h"
#include "nn/text/batch.h"
#include "nn/training/train.h"
#include "rlhf/agents/socratic.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/toys/coloured_shapes.h"

namespace {

struct Choices {
    int eye_steps = 200;
    int brain_steps = 1000;
    int trials = 400;
    double fog = 0.5;
};

// --- the world ---

const std::vector<std::string> tones{"low", "high"};
constexpr double periods[2] = {3, 9};  // of a sound of 64 samples
constexpr int samples = 64;
const double pi = std::acos(-1.0);

struct Scene {
    ColouredShape shape;
    int tone = 0;  // low, high
};

// The right action; only the language model is trained on it.
std::string action_of(const Scene& scene) {
    if (scene.tone == 1) return scene.shape.colour == 0 ? "stop" : "look";
    return scene.shape.kind == 0 ? "push" : "wait";
}

std::vector<Scene> all_scenes() {
    std::vector<Scene> scenes;
    for (const ColouredShape shape : all_shapes())
        for (int tone = 0; tone < 2; ++tone) scenes.push_back({shape, tone});
    return scenes;
}

// A sine with a random phase, plus noise.
std::vector<double> sound_of(int tone, Random& random) {
    const double phase = 2 * pi * random.uniform();
    std::vector<double> sound;
    for (int t = 0; t < samples; ++t)
        sound.push_back(std::sin(2 * pi * periods[tone] * t / samples + phase) + 0.8 * random.normal());
    return sound;
}

// --- audio: no training, each frequency has a name ---

double power(const std::vector<double>& sound, double periods) {
    double along = 0, across = 0;
    for (int t = 0; t < samples; ++t) {
        along += sound[t] * std::cos(2 * pi * periods * t / samples);
        across += sound[t] * std::sin(2 * pi * periods * t / samples);
    }
    return along * along + across * across;
}

// "a low tone" and "a high tone" are scored by their fraction of the power.
socratic::Sense ears(const std::vector<double>& sound) {
    const double low = power(sound, periods[0]), high = power(sound, periods[1]);
    return [low, high](const std::vector<std::string>& sentences) {
        std::vector<double> scores;
        for (const std::string& sentence : sentences)
            scores.push_back(sentence == "a low tone" ? low / (low + high) : sentence == "a high tone" ? high / (low + high) : 0);
        return scores;
    };
}

// --- vision: a CLIP trained on images with captions ---

constexpr int sentence_length = 8;  // start, "a photo of a red cross", end

const WordList& eye_words() {
    static const WordList words = shape_words({"<pad>", "<unknown>"}, {"<start>", "<end>"});
    return words;
}

clip::Config eye_config() {
    return {.vision = {.grid = {.height = 16, .width = 16, .patch_size = 4, .channels = 3},
                       .width = 48,
                       .depth = 2,
                       .heads = 4,
                       .mlp_width = 192},
            .text = {.vocabulary = eye_words().size(),
                     .positions = sentence_length,
                     .width = 32,
                     .depth = 2,
                     .heads = 2,
                     .mlp_width = 128},
            .shared_width = 32};
}

// Start, words, end, padded with 0. Words outside the vocabulary become <unknown>.
TokenBatch eye_sentences(const std::vector<std::string>& texts) {
    std::vector<int> all;
    for (const std::string& text : texts) {
        std::vector<int> ids{eye_words().id("<start>")};
        for (const std::string& word : split(text, ' ')) {
            const std::vector<std::string>& known = eye_words().words;
            ids.push_back(eye_words().id(std::find(known.begin(), known.end(), word) == known.end() ? "<unknown>" : word));
        }
        ids.push_back(eye_words().id("<end>"));
        require(static_cast<int>(ids.size()) <= sentence_length, "\"", text, "\" has more than ", sentence_length - 2, " words");
        ids.resize(sentence_length, 0);
        all.insert(all.end(), ids.begin(), ids.end());
    }
    return equal_batch(all, sentence_length);
}

std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const ColouredShape shape : all_shapes()) names.push_back(name_of(shape));
    return names;
}

// Each of the 20 pairs once per batch.
struct ImagesAndCaptions : Objective {
    clip::Weights& w;
    Random& random;
    TokenBatch texts;

    ImagesAndCaptions(clip::Weights& w, Random& random) : w(w), random(random) {
        std::vector<std::string> captions;
        for (const ColouredShape shape : all_shapes()) captions.push_back(caption_of(shape));
        texts = eye_sentences(captions);
    }
    Var loss(int) override {
        clip::limit_scale(w);
        return clip::loss(clip::forward(images_of(all_shapes(), random), texts, w, eye_config()));
    }
};

clip::Weights train_eyes(int steps, Random& random) {
    clip::Weights w = clip::make_weights(eye_config(), random);
    ImagesAndCaptions pairs(w, random);
    ShowProgress progress("training CLIP", steps);
    train(pairs, nothing_decays(variables(clip::parameters(w, eye_config()))), {.schedule = {.peak = 2e-3f, .steps = steps}},
          &progress);
    return w;
}

// --- language: a GPT trained on texts ---

const std::string pattern = "see a {thing} . hear a {tone} tone . do";
constexpr int text_length = 12;

const WordList& brain_words() {
    static const WordList words =
        shape_words({".", "see", "hear", "do"}, {"low", "high", "tone", "stop", "look", "push", "wait"});
    return words;
}

gpt::Config brain_config() {
    return {.vocabulary = brain_words().size(), .positions = text_length, .width = 32, .depth = 2, .heads = 2, .mlp_width = 128};
}

std::string prompt_of(const Scene& scene, const std::string& written = pattern) {
    return socratic::fill(written, {{"thing", name_of(scene.shape)}, {"tone", tones[scene.tone]}});
}

struct Texts : Objective {
    const gpt::Weights& w;
    int batch;
    Random& random;
    Texts(const gpt::Weights& w, int batch, Random& random) : w(w), batch(batch), random(random) {}

    Var loss(int) override {
        std::vector<int> all;
        int length = 0;
        for (int b = 0; b < batch; ++b) {
            const Scene scene{{random.below(shape_colours), random.below(shape_kinds)}, random.below(2)};
            const std::vector<int> ids = brain_words().ids(prompt_of(scene) + " " + action_of(scene));
            length = static_cast<int>(ids.size());
            all.insert(all.end(), ids.begin(), ids.end());
        }
        return gpt::loss(gpt::forward(all, length, w, brain_config()), next_tokens(all, length));
    }
};

gpt::Weights train_brain(int steps, Random& random) {
    const gpt::Weights w = gpt::make_weights(brain_config(), random, {.stddev = 0.1f, .embedding_stddev = 0.3f});
    Texts texts(w, 32, random);
    ShowProgress progress("training GPT", steps);
    train(texts, nothing_decays(variables(gpt::parameters(w, brain_config()))),
          {.schedule = {.peak = 3e-3f, .steps = steps, .descent = Descent::none}, .batch = 32}, &progress);
    return w;
}

socratic::GptWriter writer(const gpt::Weights& w, const Limits& limits, float temperature, int seed) {
    return {w,
            brain_config(),
            [](const std::string& text) { return brain_words().ids(text); },
            [](const std::vector<int>& ids) { return brain_words().text(ids); },
            limits,
            {.temperature = temperature},
            seed};
}

// --- the chain ---

socratic::Steps answer(const Image& seen, const std::vector<double>& sound, socratic::ClipSense& eyes,
                       socratic::LanguageModel& brain) {
    const socratic::WordList things{.slot = "thing", .words = names()};
    const socratic::WordList heard{.slot = "tone", .words = tones, .sentence = "a {} tone"};
    return socratic::converse({{eyes.look(seen), things}, {ears(sound), heard}}, pattern, brain, 1);
}

// Accuracy of the language model over all scenes when the prompt contains the true words.
double right_when_told(socratic::LanguageModel& brain, const std::string& written) {
    double right = 0;
    for (const Scene& scene : all_scenes()) right += brain.write(prompt_of(scene, written), 1)[0] == action_of(scene);
    return right / static_cast<double>(all_scenes().size());
}

struct Models {
    socratic::ClipSense eyes;
    gpt::Weights brain;
};

void step_messages(Lesson& lesson, Models& models, socratic::LanguageModel& brain, int seed) {
    lesson.step("Which messages do they exchange?", "argmax_w cos(e_image, e_text(w)), inside each list", "section 3");
    Random random(seed);
    const Scene scenes[3] = {{{0, 2}, 1}, {{0, 2}, 0}, {{2, 0}, 0}};
    std::vector<socratic::Moment> moments;
    for (int k = 0; k < 3; ++k) {
        const Image seen = image_of(scenes[k].shape, random);
        const std::vector<double> sound = sound_of(scenes[k].tone, random);
        if (k == 0) {
            lesson.picture("the image", seen);
            lesson.code();
            const socratic::Steps steps = answer(seen, sound, models.eyes, brain);
            const socratic::Perception &eyes = steps.perceptions[0], &ears = steps.perceptions[1];
            const auto share = [&](const socratic::Perception& p) { return fixed(p.scores[p.best[0]], 2); };
            lesson.lines({"vision  a photo of a " + eyes.words[0] + " (" + share(eyes) + ")",
                          "audio   a " + ears.words[0] + " tone (" + share(ears) + ")", "prompt  " + steps.prompt,
                          "GPT     " + steps.answer()});
        }
        const socratic::Steps steps = answer(seen, sound, models.eyes, brain);
        moments.push_back({5 * k, steps.prompt + " " + steps.answer()});
    }
    lesson.say("Three moments, five seconds apart, as a text about the video:");
    std::vector<std::string> lines{""};
    for (const char c : socratic::history(moments))
        if (c == '\n')
            lines.push_back("");
        else
            lines.back() += c;
    lines.pop_back();
    lesson.lines(lines);
    lesson.why(
        "the GPT was never trained on images, the CLIP never on actions, and the two never together. Information that the template omits, such as the position of the shape, is lost to the next model.");
    lesson.predict("What does the GPT do about a red square under a high tone?", {brain.write(prompt_of({{0, 0}, 1}), 1)[0]});
}

struct Shares {
    double vision = 0, hearing = 0, chain = 0, other = 0, deaf = 0;
};

// fog  standard deviation of the noise on every pixel; the eyes were trained without
Shares measure(Models& models, socratic::LanguageModel& brain, int trials, float fog, int seed) {
    Random random(seed);
    const std::vector<Scene> scenes = all_scenes();
    std::vector<socratic::Slots> slots;
    Shares shares;
    const double one = 1.0 / trials;
    for (int trial = 0; trial < trials; ++trial) {
        const Scene& scene = scenes[trial % scenes.size()];
        Image seen = image_of(scene.shape, random);
        for (float& pixel : seen.pixels) pixel += fog * random.normal();
        const socratic::Steps steps = answer(seen, sound_of(scene.tone, random), models.eyes, brain);
        shares.vision += one * (steps.slots.at("thing") == name_of(scene.shape));
        shares.hearing += one * (steps.slots.at("tone") == tones[scene.tone]);
        shares.chain += one * (steps.answer() == action_of(scene));
        slots.push_back(steps.slots);
    }
    for (int trial = 0; trial < trials; ++trial) {  // the same messages, changed in transit
        const std::string right = action_of(scenes[trial % scenes.size()]);
        socratic::Slots other = slots[trial], deaf = slots[trial];
        other["thing"] = slots[random.below(trials)].at("thing");
        deaf["tone"] = "low";
        shares.other += one * (brain.write(socratic::fill(pattern, other), 1)[0] == right);
        shares.deaf += one * (brain.write(socratic::fill(pattern, deaf), 1)[0] == right);
    }
    return shares;
}

void step_chain(Lesson& lesson, Models& models, socratic::LanguageModel& brain, const Choices& choices, int seed) {
    lesson.step("How accurate is the chain?", "p_chain = p_vision p_audio p_LM + chance");
    const double told = right_when_told(brain, pattern);
    const float fog = static_cast<float>(choices.fog);
    const Shares clear = measure(models, brain, choices.trials, 0, seed + 100);
    const Shares in_fog = measure(models, brain, choices.trials, fog, seed + 100);
    std::vector<std::vector<std::string>> rows{{"accuracy on " + text(choices.trials) + " scenes", "clear", "noisy"}};
    const auto row = [&](const std::string& name, double first, double second) {
        rows.push_back({name, fixed(first, 3), fixed(second, 3)});
    };
    const double product = in_fog.vision * in_fog.hearing * told;
    row("vision: both words", clear.vision, in_fog.vision);
    row("audio", clear.hearing, in_fog.hearing);
    row("GPT, given the true words", told, told);
    row("the product of these three", clear.vision * clear.hearing * told, product);
    row("the chain: the action", clear.chain, in_fog.chain);
    row("with the words of another image", clear.other, in_fog.other);
    row("with the tone always \"low\"", clear.deaf, in_fog.deaf);
    lesson.table(rows);
    lesson.say("Noisy: pixel noise of standard deviation ", fixed(fog, 2), "; CLIP was trained without noise.");
    lesson.why(
        "with noise the chain is better than the product: some wrong words still lead to the right action, since under a high tone only red matters, and under a low one only square. So the accuracy of captions and of actions must be measured separately.");
    lesson.why(
        "the last two rows cut one link each. Another image gives the right action where it asks for the same one: (1/25 + 16/25) / 2 + (1/16 + 9/16) / 2 = 0.65. If one of these rows equalled the chain, the GPT would ignore that message.");
    lesson.predict("which part of the rule is not learned yet after --brain-steps 40, and which rows show it");
    lesson.claim_at_least("GPT, given the true words: accuracy", told, 0.97);
    lesson.claim_at_least("the chain: accuracy of actions", clear.chain, 0.9);
    lesson.claim_at_least("the chain with noise, minus the product of its links", in_fog.chain - product, 0.05);
    lesson.claim_at_most("with the words of another image: accuracy", clear.other, 0.75);
    lesson.claim_at_most("with the tone always low: accuracy", clear.deaf, 0.6);
}

void step_wording(Lesson& lesson, socratic::LanguageModel& brain) {
    lesson.step("Does the wording matter?", "prompt = template(words)");
    const std::vector<std::string> ways{pattern, "see a {thing} hear a {tone} tone do", "hear a {tone} tone . see a {thing} . do",
                                        "a {thing} . a {tone} tone . do"};
    std::vector<std::vector<std::string>> rows{{"template", "accuracy, true words"}};
    double worst = 1;
    for (const std::string& way : ways) {
        const double right = right_when_told(brain, way);
        rows.push_back({way, fixed(right, 3)});
        worst = std::min(worst, right);
    }
    lesson.table(rows);
    lesson.why(
        "to a person all templates mean the same. A small model knows only the wording it was trained on; a large one has read many, and gets examples in the prompt.");
    lesson.claim_at_most("accuracy of the worst other wording", worst, 0.5);
}

void step_check(Lesson& lesson, Models& models, int trials, int seed) {
    lesson.step("What if there is no word list?", "argmax_i cos(e_image, e_text(candidate_i))", "image captioning");
    lesson.say("The GPT continues \"see a\" m times at temperature 1, and CLIP chooses the best continuation.");
    Random random(seed + 200);
    std::vector<std::vector<std::string>> rows{{"m", "distinct candidates", "accuracy"}};
    double first = 0, last = 0;
    for (const int m : {1, 4, 16, 64}) {
        socratic::GptWriter brain = writer(models.brain, {.new_tokens = 2}, 1, seed + m);
        double right = 0, different = 0;
        for (int trial = 0; trial < trials; ++trial) {
            const ColouredShape shape = all_shapes()[trial % 20];
            const Image seen = image_of(shape, random);
            const socratic::Steps steps = socratic::converse({}, "see a", brain, m, {.sense = models.eyes.look(seen)});
            right += (steps.answer() == name_of(shape)) / static_cast<double>(trials);
            different += static_cast<double>(steps.candidates.size()) / trials;
        }
        rows.push_back({text(m), fixed(different, 1), fixed(right, 3)});
        if (m == 1) first = right;
        last = right;
    }
    lesson.table(rows);
    lesson.why(
        "without the image, a guess is right once in 20. CLIP's ranking turns guesses into a caption, but only if they differ: greedy decoding gives 64 equal candidates.");
    lesson.claim_at_most("accuracy of one guess", first, 0.17);
    lesson.claim_at_least("accuracy of the best of 64 guesses", last, 0.75);
}

struct Similarities {
    Matrix by_eyes, by_ears;  // (videos, captions)
};

// Every video of the scenes, seen and heard, with the caption of every scene.
Similarities compare_all(Models& models, const std::vector<Scene>& scenes, Random& random) {
    const int N = static_cast<int>(scenes.size());
    std::vector<std::string> seen_words, heard_words;
    for (const Scene& scene : scenes) {
        seen_words.push_back(caption_of(scene.shape));
        heard_words.push_back("a " + tones[scene.tone] + " tone");
    }
    Similarities all{.by_eyes = Matrix(N, N), .by_ears = Matrix(N, N)};
    for (int i = 0; i < N; ++i) {
        const std::vector<double> seen = models.eyes.look(image_of(scenes[i].shape, random))(seen_words);
        const std::vector<double> sound = ears(sound_of(scenes[i].tone, random))(heard_words);
        for (int j = 0; j < N; ++j) {
            all.by_eyes(i, j) = static_cast<float>(seen[j]);
            all.by_ears(i, j) = static_cast<float>(sound[j]);
        }
    }
    return all;
}

void step_retrieval(Lesson& lesson, Models& models, int seed) {
    lesson.step("Which caption belongs to which video?", "score = sum over modules of their similarities",
                "video-to-text retrieval");
    Random random(seed + 300);
    const std::vector<Scene> scenes = all_scenes();  // 40 videos, 40 captions: what was seen, and what was heard
    const auto [by_eyes, by_ears] = compare_all(models, scenes, random);
    std::vector<int> own(scenes.size());  // the caption of each video
    std::iota(own.begin(), own.end(), 0);
    lesson.code();
    const Matrix both = socratic::retrieval_scores({by_eyes, by_ears}, {1, 1});
    std::vector<std::vector<std::string>> rows{{"scored by", "recall at 1", "recall at 2"}};
    const auto row = [&](const std::string& name, const Matrix& scores) {
        rows.push_back({name, fixed(socratic::recall_at(1, scores, own), 3), fixed(socratic::recall_at(2, scores, own), 3)});
    };
    row("vision", by_eyes);
    row("audio", by_ears);
    row("both", both);
    lesson.table(rows);
    lesson.why(
        "pairs of captions differ only in the tone, so vision alone cannot exceed 1/2, and audio determines one word of three. In the sum each module decides what it can. Next: vit/language shows models that are trained on both.");
    lesson.claim_at_most("recall at 1 by vision", socratic::recall_at(1, by_eyes, own), 0.5);
    lesson.claim_at_least("recall at 1 by both", socratic::recall_at(1, both, own), 0.75);
}

void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    lesson.step("What does each model know?", "", "section 3");
    lesson.say(
        "Vision: a small CLIP, trained on images with captions. Audio: the power of a sound at two frequencies. Language: a GPT, trained on texts such as \"",
        prompt_of({{0, 2}, 1}), " ", action_of({{0, 2}, 1}),
        "\". Under a high tone red means stop, any other colour look; under a low one a square means push, any other shape wait.");
    lesson.code(2);
    const clip::Weights eyes = train_eyes(choices.eye_steps, random);
    const gpt::Weights read = train_brain(choices.brain_steps, random);
    Models models{.eyes = {eyes, eye_config(), eye_sentences}, .brain = read};
    lesson.say("From here on no weight changes.");

    socratic::GptWriter brain = writer(models.brain, {.new_tokens = 1}, 0, seed);
    step_messages(lesson, models, brain, seed);
    step_chain(lesson, models, brain, choices, seed);
    step_wording(lesson, brain);
    step_check(lesson, models, std::max(20, choices.trials / 2), seed);
    step_retrieval(lesson, models, seed);
}

}  // namespace

int main(int argc, char** argv) {
    Choices choices;
    Options options("rlhf/agents/socratic",
                    "Socratic models: vision, audio and language models that were never trained together exchange text.",
                    "5 seconds");
    options.add("eye-steps", choices.eye_steps, "training steps of the CLIP", 1, 100'000);
    options.add("brain-steps", choices.brain_steps, "training steps of the GPT", 1, 100'000);
    options.add("trials", choices.trials, "test scenes", 1, 100'000);
    options.add("fog", choices.fog, "standard deviation of the pixel noise", 0, 100);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
