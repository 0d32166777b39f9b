// uvim.cpp: which of two discs is number 1? A feed-forward model cannot choose; two bits of code choose for it.
//
//   paper    Kolesnikov et al., "UViM: A Unified Modeling Approach for Vision with Learned Guiding Codes", 2022, arXiv 2205.10337
//   shows    the effect of a guiding code: without it a model predicts mixtures, with it a choice; the code can be switched by hand,
//            and a language model that sees only the image writes codes that lead to a consistent choice
//   symbols  n patches   D width   l code length   K codes   C width of a code vector
//   toy      12 x 12 pixels, a disc in each half; the truth numbers them 1 and 2 in random order
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/training/train.h"
#include "vit/detect/annotate.h"
#include "vit/sequence/uvim.h"
#include "vit/sequence/uvim_lm.h"
#include "walkthroughs/lesson/lesson.h"

struct Choices {
    int steps = 1500;
    int plain_steps = 500;
    int language_steps = 300;
    int codes = 4;
    std::string out;
};

static constexpr int size = 12, pixels = size * size, training_images = 800;

// --- the toy ---

namespace {
struct Scene {
    Image image;              // 3 channels, 0 ... 1
    std::vector<int> number;  // of each pixel: 0 background, 1 and 2 the discs
};
struct Batch {
    std::vector<Image> images;
    std::vector<int> numbers;      // of all pixels of all images
    std::vector<Matrix> one_hots;  // of the one output
};
}  // namespace

static Scene make_scene(Random& random) {
    Scene scene{.image = Image(size, size, 3), .number = std::vector<int>(pixels)};
    for (float& x : scene.image.pixels) x = random.uniform(0, 0.2f);
    const int first = 1 + random.below(2);  // the number of the left disc, which the image does not determine
    for (int side = 0; side < 2; ++side) {
        const float radius = random.uniform(1.6f, 2.6f);
        const float x0 = 6 * static_cast<float>(side) + random.uniform(2.5f, 3.0f), y0 = random.uniform(2.5f, 8.5f);
        const float colour[3] = {random.uniform(0.4f, 1), random.uniform(0.4f, 1), random.uniform(0.4f, 1)};
        for (int y = 0; y < size; ++y)
            for (int x = 6 * side; x < 6 * side + 6; ++x) {
                const float dx = static_cast<float>(x) - x0, dy = static_cast<float>(y) - y0;
                if (dx * dx + dy * dy > radius * radius) continue;
                for (int c = 0; c < 3; ++c) scene.image(y, x, c) = colour[c];
                scene.number[y * size + x] = side == 0 ? first : 3 - first;
            }
    }
    return scene;
}

static std::vector<Scene> make_scenes(int count, int seed) {
    Random random(seed);
    std::vector<Scene> scenes;
    for (int k = 0; k < count; ++k) scenes.push_back(make_scene(random));
    return scenes;
}

static uvim::Config base_config(const Choices& choices) {
    return {.grid = {.height = size, .width = size, .patch_height = 3, .patch_width = 3},
            .outputs = {{"instances", 3}},
            .width = 32,
            .oracle_depth = 1,
            .base_depth = 2,
            .heads = 4,
            .mlp_width = 128,
            .learned_positions = true,
            .code_length = 1,
            .codebook_size = choices.codes,
            .code_width = 8,
            .momentum = 0.9f};
}

static Batch batch_of(const std::vector<Scene>& scenes, const std::vector<int>& which, const uvim::Config& config) {
    Batch batch;
    for (const int k : which) {
        batch.images.push_back(scenes[k].image);
        batch.numbers.insert(batch.numbers.end(), scenes[k].number.begin(), scenes[k].number.end());
    }
    batch.one_hots = {uvim::one_hot(batch.numbers, 3, config.grid)};
    return batch;
}

static Batch all_of(const std::vector<Scene>& scenes, const uvim::Config& config) {
    std::vector<int> which;
    for (std::size_t k = 0; k < scenes.size(); ++k) which.push_back(static_cast<int>(k));
    return batch_of(scenes, which, config);
}

// --- judging and showing ---

namespace {
struct Score {
    double as_labelled = 0;  // disc pixels with the right number
    double up_to_swap = 0;   // the same where 1 and 2 may be exchanged in the whole image
};
}  // namespace

static Score score(const std::vector<int>& predicted, const std::vector<int>& truth) {
    Score total;
    double all = 0;
    for (std::size_t first = 0; first < truth.size(); first += pixels) {
        int right = 0, swapped = 0, count = 0;
        for (std::size_t p = first; p < first + pixels; ++p) {
            if (truth[p] == 0) continue;
            ++count;
            right += predicted[p] == truth[p];
            swapped += predicted[p] == 3 - truth[p];
        }
        total.as_labelled += right;
        total.up_to_swap += std::max(right, swapped);
        all += count;
    }
    return {total.as_labelled / all, total.up_to_swap / all};
}

// Number 1 red, number 2 blue.
static Image numbers_as_colours(const std::vector<int>& numbers, int image = 0) {
    Image shown(size, size, 3, 0.05f);
    for (int y = 0; y < size; ++y)
        for (int x = 0; x < size; ++x) {
            const int number = numbers[static_cast<std::size_t>(image) * pixels + y * size + x];
            if (number == 1) shown(y, x, 0) = 1;
            if (number == 2) shown(y, x, 2) = 1;
        }
    return shown;
}

// A terminal without colours has letters: 1 and 2.
static Drawing number_map(const std::vector<int>& numbers, Colours colours, int image = 0) {
    if (colours != Colours::none) return picture(numbers_as_colours(numbers, image), colours);
    Drawing drawing{.lines = {}, .width = 2 * size};
    for (int y = 0; y < size; ++y) {
        std::string line;
        for (int x = 0; x < size; ++x) {
            const int number = numbers[static_cast<std::size_t>(image) * pixels + y * size + x];
            line += number == 0 ? ". " : number == 1 ? "1 " : "2 ";
        }
        drawing.lines.push_back(line);
    }
    return drawing;
}

static std::vector<int> painted(const Var& code, const std::vector<Image>& images, const uvim::Weights& w,
                                const uvim::Config& config) {
    const NoTape evaluation;
    return uvim::classes_of(uvim::base(code, images, w, config).logits[0].value(), 3, config.grid);
}

// --- training ---

namespace {
// Stage I. Without a code the base model reads zeros in its place.
struct Guiding : Objective {
    uvim::Weights& w;
    const uvim::Config& config;
    const std::vector<Scene>& scenes;
    bool with_code;
    Random random;
    int reborn = 0;

    Guiding(uvim::Weights& w, const uvim::Config& config, const std::vector<Scene>& scenes, bool with_code, int seed)
        : w(w), config(config), scenes(scenes), with_code(with_code), random(seed) {}

    Var loss(int) override {
        std::vector<int> which;
        for (int b = 0; b < 16; ++b) which.push_back(random.below(static_cast<int>(scenes.size())));
        const Batch batch = batch_of(scenes, which, config);
        const Matrix keep(16 * config.code_length, 1, with_code ? 1.0f : 0.0f);
        const uvim::Steps steps = uvim::forward(batch.one_hots, batch.images, keep, w, config);
        if (with_code)
            reborn += uvim::update_dictionary(w, steps.oracle,
                                              uniform_matrix(random, 8 * config.codebook_size, config.code_width), config);
        return uvim::losses(steps, batch.one_hots, config).total;
    }
};

// Stage II: learns the codes that the oracle has written.
struct Writing : Objective {
    const uvim_lm::Weights& w;
    const uvim_lm::Config& config;
    const std::vector<Scene>& scenes;
    const std::vector<int>& code;  // of each scene
    Random random;

    Writing(const uvim_lm::Weights& w, const uvim_lm::Config& config, const std::vector<Scene>& scenes,
            const std::vector<int>& code, int seed)
        : w(w), config(config), scenes(scenes), code(code), random(seed) {}

    Var loss(int) override {
        std::vector<Image> images;
        std::vector<int> codes;
        for (int b = 0; b < 16; ++b) {
            const int k = random.below(static_cast<int>(scenes.size()));
            images.push_back(scenes[k].image);
            codes.push_back(code[k]);
        }
        const std::vector<int> tokens = uvim_lm::tokens_of(codes);
        return uvim_lm::loss(uvim_lm::forward(images, tokens, w, config), tokens);
    }
};
}  // namespace

static Recipe recipe(int steps, float peak) {
    return {.schedule = {.peak = peak, .warm_up = std::min(50, steps), .steps = steps, .descent = Descent::linear}, .batch = 16};
}

static Series train_guided(uvim::Weights& w, const uvim::Config& config, const std::vector<Scene>& scenes, bool with_code,
                           int steps, int seed, int* reborn = nullptr) {
    Guiding guiding(w, config, scenes, with_code, seed);
    ShowProgress progress(with_code ? "with a code" : "without a code", steps);
    const std::vector<float> losses =
        train(guiding, nothing_decays(variables(uvim::parameters(w, config))), recipe(steps, 3e-3f), &progress);
    if (reborn != nullptr) *reborn = guiding.reborn;
    return smoothed(with_code ? "with a code" : "without a code", losses, 20);
}

// --- the lesson ---

static void step_1_problem(Lesson& lesson, const std::vector<Scene>& test) {
    lesson.step("What does the image leave ambiguous?", "p(truth | image) has two peaks");
    const std::vector<int>& one = test[0].number;
    std::vector<int> other = one;
    for (int& number : other) number = number == 0 ? 0 : 3 - number;
    lesson.pictures({{"an image", picture(test[0].image, lesson.colours)},
                     {"a truth", number_map(one, lesson.colours)},
                     {"just as true", number_map(other, lesson.colours)}});
    lesson.why(
        "which disc is number 1 is a convention, drawn anew for each image. To segment is easy here; to number is a "
        "choice, and all pixels of the image must make the same one.");
    lesson.predict("what a network paints that is asked for the likeliest number at each pixel by itself.");
}

static Score step_2_without(Lesson& lesson, const std::vector<Scene>& scenes, const std::vector<Scene>& test,
                            const uvim::Config& config, const Choices& choices, int seed) {
    lesson.step("What does a feed-forward model predict?", "base(image), its code is 0");
    Random random(seed);
    uvim::Weights w = uvim::make_weights(config, random);
    const Series curve = train_guided(w, config, scenes, false, choices.plain_steps, seed);
    const Batch all = all_of(test, config);
    const Matrix nothing(static_cast<int>(test.size()), config.code_width);
    lesson.code();
    const std::vector<int> numbers = painted(nothing, all.images, w, config);
    const Score found = score(numbers, all.numbers);
    lesson.predict("What fraction of the disc pixels gets the number of the truth?", {found.as_labelled, 0.1});
    lesson.curves({curve}, {"training step", "loss"});
    lesson.pictures({{"image", picture(test[0].image, lesson.colours)},
                     {"painted", number_map(numbers, lesson.colours)},
                     {"image", picture(test[1].image, lesson.colours)},
                     {"painted", number_map(numbers, lesson.colours, 1)}});
    lesson.why("it finds the discs, but each pixel chooses by itself: ", fixed(100 * found.as_labelled, 1),
               " % of the disc pixels have the number of the truth, and even when 1 and 2 may be exchanged in each image only ",
               fixed(100 * found.up_to_swap, 1), " %. More layers do not help: the information is not in the image.");
    return found;
}

static void step_3_with(Lesson& lesson, const std::vector<Scene>& scenes, const std::vector<Scene>& test, uvim::Weights& w,
                        const uvim::Config& config, const Choices& choices, const Score& without, int seed) {
    lesson.step("What changes with a code of " + text(config.code_length) + " token?", "z = oracle(truth), base(image, z)",
                "section 3.1");
    int reborn = 0;
    const Series curve = train_guided(w, config, scenes, true, choices.steps, seed, &reborn);
    lesson.curves({curve}, {"training step", "loss"});
    const Batch all = all_of(test, config);
    lesson.code(2);
    const uvim::OracleSteps oracle = uvim::oracle(all.one_hots, all.images, w, config);
    const std::vector<int> numbers = painted(oracle.quantized.output, all.images, w, config);
    const Score with = score(numbers, all.numbers);
    std::vector<std::vector<std::string>> rows{{"code", "left disc is 1", "left disc is 2"}};
    std::vector<std::vector<int>> seen(config.codebook_size, std::vector<int>(2));
    for (std::size_t k = 0; k < test.size(); ++k)
        for (int p = 0; p < pixels; ++p)
            if (p % size < size / 2 && test[k].number[p] != 0) {
                ++seen[oracle.quantized.ids[k]][test[k].number[p] - 1];
                break;
            }
    for (int k = 0; k < config.codebook_size; ++k) rows.push_back({text(k), text(seen[k][0]), text(seen[k][1])});
    lesson.say("What the oracle writes for ", static_cast<int>(test.size()), " new images:");
    lesson.table(rows);
    lesson.table({{"disc pixels with the right number", "as labelled", "1 and 2 may be exchanged"},
                  {"without a code", fixed(without.as_labelled), fixed(without.up_to_swap)},
                  {"with the oracle's code", fixed(with.as_labelled), fixed(with.up_to_swap)}});
    lesson.why("the oracle sees the truth, but may output only one of ", config.codebook_size,
               " codes. So it encodes what the base model cannot infer: not where the discs are, but which is "
               "number 1. For a long time the loss does not fall: the codes mean nothing yet, so the base model ignores them, so "
               "nothing teaches the oracle. ",
               reborn, " times an unused code was re-initialised next to the most used one.");
    lesson.claim_at_least("disc pixels with the number of the truth, given the oracle's code", with.as_labelled, 0.9);
    lesson.claim_at_most("disc pixels with the number of the truth, without a code", without.as_labelled, 0.6);
}

// The output for an image with each code of the dictionary.
static std::vector<std::vector<int>> painted_by_each(const Image& image, const uvim::Weights& w, const uvim::Config& config) {
    std::vector<std::vector<int>> painted_by;
    for (int code_id = 0; code_id < config.codebook_size; ++code_id) {
        const Matrix code = uvim::vectors_of(std::vector<int>(config.code_length, code_id), w);  // (l, C)
        painted_by.push_back(painted(code, {image}, w, config));
    }
    return painted_by;
}

// Four images, and beside each the output for every code.
static void write_page(const std::string& path, const std::vector<Scene>& test, const uvim::Weights& w,
                       const uvim::Config& config) {
    if (path.empty()) return;
    std::vector<Image> rows;
    for (int k = 0; k < 4; ++k) {
        std::vector<Image> row{enlarged(test[k].image, 6)};
        for (const std::vector<int>& numbers : painted_by_each(test[k].image, w, config))
            row.push_back(enlarged(numbers_as_colours(numbers), 6));
        rows.push_back(in_a_row(row, 4));
    }
    write_image(path, in_a_column(rows, 4));
}

static void step_4_switch(Lesson& lesson, const std::vector<Scene>& test, const uvim::Weights& w, const uvim::Config& config,
                          const std::string& out) {
    lesson.step("What does the code do?", "base(image, code) for every code", "switched by hand");
    lesson.code(2);
    const std::vector<std::vector<int>> painted_by[2] = {painted_by_each(test[0].image, w, config),
                                                         painted_by_each(test[1].image, w, config)};
    bool changes = true;
    for (int k = 0; k < 2; ++k) {
        std::vector<Captioned> shown{{"image", picture(test[k].image, lesson.colours)}};
        int ones = 0, twos = 0;  // codes for which the left disc is 1, or 2
        for (const std::vector<int>& numbers : painted_by[k]) {
            shown.push_back({"code " + text(static_cast<int>(shown.size()) - 1), number_map(numbers, lesson.colours)});
            int left[3] = {};
            for (int p = 0; p < pixels; ++p)
                if (p % size < size / 2 && test[k].number[p] != 0) ++left[numbers[p]];
            ones += left[1] > left[2];
            twos += left[2] > left[1];
        }
        lesson.pictures(shown);
        changes = changes && ones > 0 && twos > 0;
    }
    write_page(out, test, w, config);
    lesson.why(
        "no oracle here: the code is set by hand. The discs stay where they are, their numbers change, and in the whole "
        "image at once. This is how a guiding code works.");
    lesson.claim("in both images with some codes the left disc is 1, others 2", changes);
}

static void step_5_write(Lesson& lesson, const std::vector<Scene>& scenes, const std::vector<Scene>& test, const uvim::Weights& w,
                         const uvim::Config& config, const Choices& choices, int seed) {
    lesson.step("What writes the code without the truth?", "p(z | image), a language model", "section 3.2, stage II");
    const uvim_lm::Config language{.grid = config.grid,
                                   .width = 32,
                                   .depth = 1,
                                   .heads = 4,
                                   .mlp_width = 128,
                                   .vocabulary = config.codebook_size + 1,
                                   .code_length = config.code_length,
                                   .learned_positions = true};
    Random random(seed);
    const uvim_lm::Weights writer = uvim_lm::make_weights(language, random);
    const Batch known = all_of(scenes, config);
    std::vector<int> code;
    {
        const NoTape evaluation;
        code = uvim::oracle(known.one_hots, known.images, w, config).quantized.ids;
    }
    Writing writing(writer, language, scenes, code, seed);
    ShowProgress progress("writing codes", choices.language_steps);
    train(writing, nothing_decays(variables(uvim_lm::parameters(writer, language))), recipe(choices.language_steps, 1e-3f),
          &progress);
    const Batch all = all_of(test, config);
    lesson.code(2);
    const std::vector<int> codes = uvim_lm::codes_of(uvim_lm::write(all.images, writer, language));
    const std::vector<int> numbers = painted(uvim::vectors_of(codes, w), all.images, w, config);
    const Score found = score(numbers, all.numbers);
    lesson.pictures({{"image", picture(test[0].image, lesson.colours)},
                     {"truth", number_map(all.numbers, lesson.colours)},
                     {"painted, code " + text(codes[0]), number_map(numbers, lesson.colours)}});
    lesson.table({{"disc pixels with the right number", "as labelled", "1 and 2 may be exchanged"},
                  {"with the code that the language model generated", fixed(found.as_labelled), fixed(found.up_to_swap)}});
    lesson.why(
        "which numbering the truth has drawn is not in the image: as labelled it is right half of the time. But it writes one "
        "code, and the code makes a choice that holds in the whole image.");
    lesson.claim_at_least("disc pixels with the right number, up to an exchange of 1 and 2", found.up_to_swap, 0.9);
    lesson.claim_at_most("as labelled", found.as_labelled, 0.65);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const std::vector<Scene> scenes = make_scenes(training_images, 1'000'000 + seed), test = make_scenes(300, 2'000'000 + seed);
    const uvim::Config config = base_config(choices);
    step_1_problem(lesson, test);
    const Score without = step_2_without(lesson, scenes, test, config, choices, seed);
    Random random(seed);
    uvim::Weights w = uvim::make_weights(config, random);
    step_3_with(lesson, scenes, test, w, config, choices, without, seed);
    step_4_switch(lesson, test, w, config, choices.out);
    step_5_write(lesson, scenes, test, w, config, choices, seed);
    lesson.say("Next: vit/sequence/unified_io does three tasks with one vocabulary.");
}

int main(int argc, char** argv) {
    Options options("vit/sequence/uvim", "A code of two bits decides what the image leaves ambiguous.",
                    "20 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps with a code", 1, 100'000);
    options.add("plain-steps", choices.plain_steps, "training steps without a code", 1, 100'000);
    options.add("language-steps", choices.language_steps, "training steps of the language model", 1, 100'000);
    options.add("codes", choices.codes, "size of the codebook", 2, 64);
    options.add_output("out", choices.out, "a PPM file: four images, and the output for each code");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
