// beit_v2.cpp: visual tokens are learned from a teacher, and turn out to be the teacher's concepts.
//
//   paper    Peng et al., "BEiT v2", 2022, arXiv 2208.06366
//   shows    that codes which reconstruct a teacher's features keep what the teacher distinguishes and nothing else; and that the
//            visual tokens of masked patches can then be predicted as BERT predicts tokens
//   symbols  B images   N patches   K codes   c width of a code   F width of the teacher's features   M masked patches
//   toy      every patch is a wave in one of 6 directions, its phase drawn anew; the teacher knows the direction only
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/base/functions.h"
#include "nn/training/loss.h"
#include "nn/training/train.h"
#include "vit/mask_latents/beit_v2.h"
#include "vit/mask_pixels/masking.h"
#include "walkthroughs/lesson/lesson.h"

struct Choices {
    int steps = 300;
    int mask_steps = 400;
    int codes = 12;
};

static constexpr int directions = 6, side = 6, across = 3, patches = across * across, teacher_width = 16;

// --- the toy ---

namespace {
struct Batch {
    std::vector<Image> images;   // 0 ... 1
    std::vector<int> direction;  // (B*N) of each patch
    Matrix teacher;              // (B*N, F)
};
struct World {
    Matrix concepts;  // (directions, F)  the teacher's feature of each, before noise
};
}  // namespace

static World make_world(int seed) {
    Random random(7'000'000 + seed);
    return {unit_rows(normal_matrix(random, directions, teacher_width)).value()};
}

// Waves of wavelength 5; row r of patches has the direction of row 0 turned r times.
static Batch draw_batch(const World& world, int count, Random& random) {
    Batch batch;
    batch.teacher = Matrix(count * patches, teacher_width);
    for (int b = 0; b < count; ++b) {
        Image image(across * side, across * side, 3);
        const int first = random.below(directions);
        for (int n = 0; n < patches; ++n) {
            const int direction = (first + n / across) % directions;
            const float angle = static_cast<float>(std::numbers::pi) / 6 * static_cast<float>(direction);
            const float phase = random.uniform(0, 2 * static_cast<float>(std::numbers::pi)),
                        k = 2 * static_cast<float>(std::numbers::pi) / 5;
            for (int y = 0; y < side; ++y)
                for (int x = 0; x < side; ++x)
                    for (int c = 0; c < 3; ++c)
                        image(n / across * side + y, n % across * side + x, c) =
                            0.5f + 0.5f * std::sin(k * (static_cast<float>(x) * std::cos(angle) +
                                                        static_cast<float>(y) * std::sin(angle)) +
                                                   phase);
            batch.direction.push_back(direction);
            for (int f = 0; f < teacher_width; ++f)
                batch.teacher(b * patches + n, f) = world.concepts(direction, f) + 0.1f * random.normal();
        }
        batch.images.push_back(image);
    }
    batch.teacher = unit_rows(batch.teacher).value();
    return batch;
}

static beit_v2::TokenizerConfig tokenizer_config(const Choices& choices) {
    return {.grid = {.height = across * side, .width = across * side, .patch_size = side, .channels = 3},
            .width = 32,
            .encoder_depth = 1,
            .decoder_depth = 1,
            .heads = 4,
            .mlp_ratio = 2,
            .codes = choices.codes,
            .code_width = 8,
            .teacher_width = teacher_width,
            .decay = 0.95f};
}

static beit_v2::Config model_config(const Choices& choices) {
    return {.grid = {.height = across * side, .width = across * side, .patch_size = side, .channels = 3},
            .width = 32,
            .depth = 2,
            .heads = 4,
            .mlp_ratio = 2,
            .layer_scale = {},
            .absolute_positions = true,
            .shared_relative_bias = false,
            .codes = choices.codes,
            .early_block = 1,
            .head_depth = 1};
}

// Initialises a tokenizer: every linear layer uniform within +-1 / sqrt(in), as PyTorch has it, its bias too; class tokens and
// positions small. With a truncated normal of 0.02 the decoder often learns to use the neighbours' codes, and codes stay
// ambiguous.
static void draw_uniformly(const Parameters& table, Random& random) {
    float bound = 0;  // of the weight, and of the bias that follows it in the table
    for (const Parameter& parameter : table) {
        const bool is_weight = parameter.name.ends_with("weight") && parameter.shape.size() > 1;
        const bool is_bias = parameter.name.ends_with("bias") && parameter.name.find("norm") == std::string::npos;
        if (parameter.name.starts_with("quantize") || !(is_weight || is_bias)) continue;
        for (Var part : parameter.parts) {
            if (is_weight) bound = 1 / std::sqrt(static_cast<float>(part.rows()));
            part.value() = uniform_matrix(random, part.rows(), part.cols(), -bound, bound);
        }
    }
}

// --- what a vocabulary is worth ---

// How often each code is assigned to each direction: (K, directions).
static Matrix code_table(const std::vector<int>& ids, const std::vector<int>& direction, int codes) {
    Matrix table(codes, directions);
    for (std::size_t i = 0; i < ids.size(); ++i) ++table(ids[i], direction[i]);
    return table;
}

// Fraction of patches whose direction is the most common one of their code.
static double purity(const Matrix& table) {
    double right = 0, all = 0;
    for (int k = 0; k < table.rows; ++k) {
        right += table(k, argmax_row(table, k));
        for (int d = 0; d < directions; ++d) all += table(k, d);
    }
    return right / all;
}

// --- one image, step by step ---

static void step_1_words(Lesson& lesson, const Batch& one, const beit_v2::TokenizerWeights& w,
                         const beit_v2::TokenizerConfig& config) {
    lesson.step("How does a patch become a visual token?", "id = argmin_k |z - v_k|", "Eq. 1");
    lesson.code();
    const beit_v2::TokenizerSteps steps = beit_v2::tokenize(one.images, w, config);
    lesson.picture("an image of 3 x 3 waves", one.images[0]);
    lesson.matrix("z (unit rows)", steps.z.value(), 4);
    lesson.matrix("distances", steps.quantized.distances.value(), 6);
    std::string ids;
    for (const int id : steps.quantized.ids) ids += text(id) + " ";
    lesson.say("visual tokens: ", ids);
    lesson.why(
        "both vectors and codes have length 1, so the nearest code is the one with the largest cosine, and a distance lies "
        "between 0 and 4. The image is now ",
        config.grid.count(), " visual tokens from a vocabulary of ", config.codes,
        ". Nothing is trained yet: the tokens mean nothing.");
}

static void step_2_gradient(Lesson& lesson, const Batch& one, const beit_v2::TokenizerWeights& w,
                            const beit_v2::TokenizerConfig& config) {
    lesson.step("How does the gradient pass the nearest-code choice?", "z_q = z + stop(v_id - z)", "straight-through");
    const Tape tape;
    const beit_v2::TokenizerSteps steps = beit_v2::tokenize(one.images, w, config);
    backward(beit_v2::reconstruction_loss(steps, one.teacher));
    lesson.matrix("gradient of the codes that the decoder reads", steps.quantized.output.gradient(), 4);
    lesson.matrix("gradient of z", steps.z.gradient(), 4);
    lesson.why(
        "argmin has no derivative: a small change of z changes nothing, until it changes everything. So the gradient of the code is passed on to z unchanged. It is not the gradient of anything, but it points the right way.");
    lesson.claim("z receives exactly the gradient of the code that it became",
                 identical(steps.quantized.output.gradient(), steps.z.gradient()));
    zero_gradients(variables(beit_v2::parameters(w, config)));
}

// --- stage 1 ---

namespace {
struct Tokenizing : Objective {
    beit_v2::TokenizerWeights& w;
    const beit_v2::TokenizerConfig& config;
    const World& world;
    Random random;
    bool move_codes = true;

    Tokenizing(beit_v2::TokenizerWeights& w, const beit_v2::TokenizerConfig& config, const World& world, int seed)
        : w(w), config(config), world(world), random(seed) {}

    Var loss(int) override {
        const Batch batch = draw_batch(world, 64, random);
        const beit_v2::TokenizerSteps steps = beit_v2::tokenize(batch.images, w, config);
        beit_v2::update_codebook(w, steps, config);
        return beit_v2::loss(steps, batch.teacher, config);
    }
};

// Purity, codes in use and the loss on new images.
struct Evaluation : Watcher {
    const beit_v2::TokenizerWeights& w;
    const beit_v2::TokenizerConfig& config;
    const Batch& test;
    Progress progress;
    int steps;
    Series loss_curve{.name = "1 - cosine with the teacher", .x = {}, .y = {}}, purity_curve{.name = "purity", .x = {}, .y = {}};
    std::vector<std::vector<std::string>> table{{"after step", "purity", "codes in use", "1 - cosine"}};

    Evaluation(const beit_v2::TokenizerWeights& w, const beit_v2::TokenizerConfig& config, const Batch& test, int steps)
        : w(w), config(config), test(test), progress("learning a vocabulary", steps), steps(steps) {}

    void measure(int step) {
        const NoTape evaluation;
        const beit_v2::TokenizerSteps found = beit_v2::tokenize(test.images, w, config);
        const float loss = beit_v2::reconstruction_loss(found, test.teacher).value()(0, 0);
        const double pure = purity(code_table(found.quantized.ids, test.direction, config.codes));
        loss_curve.x.push_back(static_cast<float>(step));
        loss_curve.y.push_back(loss);
        purity_curve.x.push_back(static_cast<float>(step));
        purity_curve.y.push_back(static_cast<float>(pure));
        if (step % std::max(1, steps / 5) == 0)
            table.push_back({text(step), fixed(pure, 2), text(codes_in_use(found.quantized.ids, config.codes)), fixed(loss)});
    }
    bool after_step(int step, float loss) override {
        progress.update(step, loss);
        if ((step + 1) % std::max(1, steps / 20) == 0) measure(step + 1);
        return true;
    }
};
}  // namespace

static void step_3_learn(Lesson& lesson, const World& world, const Batch& test, beit_v2::TokenizerWeights& w,
                         const beit_v2::TokenizerConfig& config, const Choices& choices, int seed) {
    lesson.step("What do the visual tokens mean?", "cos(reconstruction, teacher) + commitment", "Eq. 2");
    Tokenizing tokenizing(w, config, world, seed);
    Random random(seed);
    beit_v2::start_codebook(w, beit_v2::tokenize(draw_batch(world, 64, random).images, w, config), random);
    Evaluation evaluation(w, config, test, choices.steps);
    evaluation.measure(0);
    lesson.code(2);
    train(tokenizing, nothing_decays(variables(beit_v2::parameters(w, config))),
          {.schedule = {.peak = 2e-3f, .steps = choices.steps, .descent = Descent::none}, .batch = 64}, &evaluation);
    const beit_v2::TokenizerSteps found = beit_v2::tokenize(test.images, w, config);
    lesson.predict(
        "How many of the " + text(config.codes) + " codes are in use at the end? There are " + text(directions) + " directions.",
        {1.0 * codes_in_use(found.quantized.ids, config.codes), 1});
    lesson.curves({evaluation.loss_curve, evaluation.purity_curve}, {"training step", "loss; purity, a fraction"});
    lesson.table(evaluation.table);
    lesson.say(
        "Purity is the fraction of patches whose direction is the most frequent one of their code: 1 when every code has one meaning.");
    const Matrix counts = code_table(found.quantized.ids, test.direction, config.codes);
    std::vector<std::vector<std::string>> rows{{"code", "0", "30", "60", "90", "120", "150 degrees"}};
    for (int k = 0; k < config.codes; ++k) {
        rows.push_back({text(k)});
        for (int d = 0; d < directions; ++d) rows.back().push_back(text(static_cast<int>(counts(k, d))));
    }
    lesson.say("How often each code stands for each direction, in ", static_cast<int>(test.images.size()), " new images:");
    lesson.table(rows);
    lesson.why(
        "the teacher describes a wave by its direction, so a code that mixed two directions would rebuild neither. The phase, "
        "which fills the pixels just as much, is not encoded: the loss does not require it. With codes to spare, several "
        "stand for the same direction. Of the ",
        config.codes, " codes ", config.codes - codes_in_use(found.quantized.ids, config.codes),
        " are not used: no patch is nearest to them, so nothing moves them. BEiT v2 leaves such codes; UViM, in vit/sequence, "
        "restarts them by splitting the busiest.");
    lesson.predict("the table with --codes 4: fewer codes than concepts.");
    lesson.claim_at_least("purity on new images", purity(counts), choices.codes >= directions ? 0.9 : 0.0);
    lesson.claim_at_most("1 - cosine with the teacher", evaluation.loss_curve.y.back(), 0.2);
}

static void step_4_look(Lesson& lesson, const Batch& test, const beit_v2::TokenizerWeights& w,
                        const beit_v2::TokenizerConfig& config) {
    lesson.step("What do patches of the same token look like?", "patches with the same id");
    const beit_v2::TokenizerSteps found = beit_v2::tokenize(test.images, w, config);
    std::vector<Captioned> blocks;
    for (int k = 0; k < config.codes; ++k) {
        Image row(side, 4 * (side + 1) - 1, 1);
        int shown = 0;
        for (std::size_t i = 0; i < found.quantized.ids.size() && shown < 4; ++i) {
            if (found.quantized.ids[i] != k) continue;
            const Image& image = test.images[i / patches];
            const int top = static_cast<int>(i) % patches / across * side, left = static_cast<int>(i) % across * side;
            for (int y = 0; y < side; ++y)
                for (int x = 0; x < side; ++x) row(y, shown * (side + 1) + x, 0) = image(top + y, left + x, 0);
            ++shown;
        }
        if (shown > 0) blocks.push_back({"code " + text(k), picture(row, lesson.colours)});
    }
    lesson.pictures(blocks);
    lesson.why(
        "four patches for each code in use. Within a row the direction stays and the bright stripes move: the code has discarded the phase.");
}

// --- stage 2 ---

// Masks four patches of each image.
static Matrix mask_four(int count, Random& random) {
    return make_mask(sorting_order(uniform_matrix(random, count, patches)), patches, 0, 4);
}

// The masked model reads pixels scaled to about -1 ... 1.
static std::vector<Image> normalised(const std::vector<Image>& images) {
    std::vector<Image> result;
    for (const Image& image : images) result.push_back(normalise(image, {0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}));
    return result;
}

namespace {
struct Predicting : Objective {
    const beit_v2::TokenizerWeights& tokenizer;
    const beit_v2::TokenizerConfig& tokenizer_config;
    const beit_v2::Weights& w;
    const beit_v2::Config& config;
    const World& world;
    Random random;

    Predicting(const beit_v2::TokenizerWeights& tokenizer, const beit_v2::TokenizerConfig& tokenizer_config,
               const beit_v2::Weights& w, const beit_v2::Config& config, const World& world, int seed)
        : tokenizer(tokenizer), tokenizer_config(tokenizer_config), w(w), config(config), world(world), random(seed + 1) {}

    std::vector<int> words_of(const Batch& batch) const {
        const NoTape frozen;
        return beit_v2::tokenize(batch.images, tokenizer, tokenizer_config).quantized.ids;
    }
    Var loss(int) override {
        const Batch batch = draw_batch(world, 64, random);
        const beit_v2::Steps steps = beit_v2::forward(normalised(batch.images), mask_four(64, random), w, config);
        return beit_v2::loss(steps, beit_v2::masked_tokens(words_of(batch), steps));
    }
};
}  // namespace

// The best accuracy of a model that knows the direction of every masked patch, but not its phase.
static double best_possible(const Matrix& counts) {
    double right = 0, all = 0;
    for (int d = 0; d < directions; ++d) {
        float largest = 0;
        for (int k = 0; k < counts.rows; ++k) {
            largest = std::max(largest, counts(k, d));
            all += counts(k, d);
        }
        right += largest;
    }
    return right / all;
}

// Every n-th of the losses, about sixty of them.
static Series some_of(const std::vector<float>& losses) {
    Series curve{.name = "loss of both branches", .x = {}, .y = {}};
    for (std::size_t k = 0; k < losses.size(); k += std::max<std::size_t>(1, losses.size() / 60)) {
        curve.x.push_back(static_cast<float>(k));
        curve.y.push_back(losses[k]);
    }
    return curve;
}

// The share of the most frequent token.
static double share_of_most_frequent(const std::vector<int>& words, int codes) {
    const std::vector<int> counts = code_counts(words, codes);
    return static_cast<double>(*std::max_element(counts.begin(), counts.end())) / static_cast<double>(words.size());
}

static void step_5_predict(Lesson& lesson, const World& world, const Batch& test, const beit_v2::TokenizerWeights& tokenizer,
                           const beit_v2::TokenizerConfig& tokenizer_config, const Choices& choices, int seed) {
    lesson.step("Can the tokens of masked patches be predicted?", "-log p(token), masked patches only", "Eq. 3");
    const beit_v2::Config config = model_config(choices);
    Random random(seed);
    const beit_v2::Weights w = beit_v2::make_weights(config, random, {.draw = Draw::xavier_uniform});
    Predicting predicting(tokenizer, tokenizer_config, w, config, world, seed);
    ShowProgress progress("predicting tokens", choices.mask_steps);
    const std::vector<float> losses =
        train(predicting, nothing_decays(variables(beit_v2::parameters(w, config))),
              {.schedule = {.peak = 2e-3f, .steps = choices.mask_steps, .descent = Descent::none}, .batch = 64}, &progress);
    lesson.curves({some_of(losses)}, {"training step", "loss, nats"});
    const beit_v2::Steps steps =
        beit_v2::forward(normalised(test.images), mask_four(static_cast<int>(test.images.size()), random), w, config);
    const std::vector<int> all_words = predicting.words_of(test);
    const std::vector<int> words = beit_v2::masked_tokens(all_words, steps);
    const float accuracy_main = accuracy(steps.logits.value(), words),
                accuracy_branch = accuracy(steps.branch_logits.value(), words);
    const double common = share_of_most_frequent(all_words, config.codes);
    const double bound = best_possible(code_table(all_words, test.direction, config.codes));
    lesson.table({{"predicted by", "right tokens"},
                  {"always the most frequent token", fixed(common)},
                  {"the masked model", fixed(accuracy_main)},
                  {"its second branch", fixed(accuracy_branch)},
                  {"who knows every direction, and nothing else", fixed(bound)}});
    lesson.why(
        "the direction of a masked patch follows from any visible one: each row is turned by 30 degrees. Where two tokens share a direction, the phase of the masked patch decides between them, and it cannot be predicted. The second branch gets the patch tokens of "
        "block ",
        config.early_block, " and only the [cls] of block ", config.depth,
        ": all that it knows of the whole image comes from [cls].");
    lesson.claim_at_least("right tokens of masked patches, as a fraction of what can be known", accuracy_main / bound, 0.8);
    lesson.claim_at_least("right tokens of the second branch, as a fraction of what can be known", accuracy_branch / bound, 0.8);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const World world = make_world(seed);
    Random random(1'000'000 + seed);
    const Batch one = draw_batch(world, 1, random), test = draw_batch(world, 300, random);
    const beit_v2::TokenizerConfig config = tokenizer_config(choices);
    beit_v2::TokenizerWeights w = beit_v2::make_weights(config, random);
    draw_uniformly(beit_v2::parameters(w, config), random);
    step_1_words(lesson, one, w, config);
    step_2_gradient(lesson, one, w, config);
    step_3_learn(lesson, world, test, w, config, choices, seed);
    step_4_look(lesson, test, w, config);
    step_5_predict(lesson, world, test, w, config, choices, seed);
    lesson.say("Next: vit/mask_latents/maskgit generates images from discrete tokens.");
}

int main(int argc, char** argv) {
    Options options("vit/mask_latents/beit_v2", "Visual tokens distilled from a teacher, then predicted.",
                    "10 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps of the tokenizer", 1, 100'000);
    options.add("mask-steps", choices.mask_steps, "training steps of the masked model", 1, 100'000);
    options.add("codes", choices.codes, "size of the codebook", 2, 64);
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
