// maskgit.cpp: images are generated in a few rounds: predict all tokens, keep the most confident, mask the rest, predict again.
//
//   paper    Chang et al., "MaskGIT: Masked Generative Image Transformer", 2022, arXiv 2202.04200
//   shows    why one round is not enough (all tokens are drawn independently), how few rounds are, and how a tokenizer turns
//            handwritten digits into tokens that are generated in the same way
//   symbols  N tokens of an image   K codes   T rounds   gamma(r) fraction of the tokens that stays masked
//   toy      8 x 8 black and white pixels; class 0: every row is of one colour, class 1: every column is
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/base/functions.h"
#include "nn/data/idx.h"
#include "nn/data/patches.h"
#include "nn/training/train.h"
#include "vit/mask_latents/maskgit.h"
#include "vit/mask_latents/maskgit_vqgan.h"
#include "walkthroughs/lesson/lesson.h"

struct Choices {
    int steps = 2500;
    int samples = 200;
    int vqgan_steps = 400;
    int digit_steps = 700;
    double temperature = 0;
    std::string out;
};

static const std::vector<int> round_counts{1, 2, 4, 8, 16};

// --- the toy: rows or columns ---

static constexpr int size = 8, patch = 2;

static Image stripes(int of_class, Random& random) {
    Image image(size, size, 1);
    for (int k = 0; k < size; ++k) {
        const float colour = static_cast<float>(random.below(2));
        for (int j = 0; j < size; ++j) image(of_class == 0 ? k : j, of_class == 0 ? j : k, 0) = colour;
    }
    return image;
}

// 2 x 2 pixels, black or white, are one of 16 tokens: no tokenizer is needed.
static std::vector<int> tokens_of_stripes(const Image& image) {
    const Matrix patches = patchify(image, patch);  // (16, 4)
    std::vector<int> tokens;
    for (int n = 0; n < patches.rows; ++n) {
        int token = 0;
        for (int p = 0; p < patches.cols; ++p) token = 2 * token + (patches(n, p) > 0.5f ? 1 : 0);
        tokens.push_back(token);
    }
    return tokens;
}

// Masked tokens are grey.
static Image stripes_of_tokens(const int* tokens) {
    const int n = (size / patch) * (size / patch), area = patch * patch;
    Matrix patches(n, area, 0.5f);
    for (int k = 0; k < n; ++k)
        for (int p = 0; p < area && tokens[k] >= 0; ++p) patches(k, p) = static_cast<float>(tokens[k] >> (area - 1 - p) & 1);
    return unpatchify(patches, patch, size, size, 1);
}

static bool obeys(const Image& image, int of_class) {
    for (int k = 0; k < size; ++k)
        for (int j = 1; j < size; ++j) {
            const bool row = of_class == 0;
            if (image(row ? k : j, row ? j : k, 0) != image(row ? k : 0, row ? 0 : k, 0)) return false;
        }
    return true;
}

static maskgit::Config stripes_config() {
    return {.codebook_size = 16,
            .classes = 2,
            .down = size / patch,
            .across = size / patch,
            .width = 32,
            .depth = 2,
            .heads = 4,
            .mlp_width = 64,
            .label_smoothing = 0};
}

// Of the digits' tokens; codes is the size of the tokenizer's codebook.
static maskgit::Config digits_config(int codes) {
    return {.codebook_size = codes,
            .classes = 10,
            .down = 4,
            .across = 4,
            .width = 48,
            .depth = 2,
            .heads = 4,
            .mlp_width = 96,
            .label_smoothing = 0};
}

// --- training ---

namespace {
// The training data: tokens of images, with their class.
struct Source {
    virtual ~Source() = default;
    virtual void draw(int count, std::vector<int>& tokens, std::vector<int>& classes, Random& random) const = 0;
};

struct Stripes : Source {
    void draw(int count, std::vector<int>& tokens, std::vector<int>& classes, Random& random) const override {
        for (int b = 0; b < count; ++b) {
            classes.push_back(random.below(2));
            const std::vector<int> one = tokens_of_stripes(stripes(classes.back(), random));
            tokens.insert(tokens.end(), one.begin(), one.end());
        }
    }
};

struct Filling : Objective {
    const maskgit::Weights& w;
    const maskgit::Config& config;
    const Source& source;
    Random random;

    Filling(const maskgit::Weights& w, const maskgit::Config& config, const Source& source, int seed)
        : w(w), config(config), source(source), random(seed) {}

    Var loss(int) override {
        constexpr int batch = 32;
        std::vector<int> tokens, classes;
        source.draw(batch, tokens, classes, random);
        std::vector<float> r;
        for (int b = 0; b < batch; ++b) r.push_back(random.uniform());
        const Matrix noise = uniform_matrix(random, batch, config.count());
        const maskgit::MaskedBatch masked = maskgit::mask_tokens(tokens, classes, r, noise, {}, config);
        return maskgit::loss(maskgit::forward(masked.ids, w, config), masked, config);
    }
};
}  // namespace

static Series train_on(const Source& source, const maskgit::Weights& w, const maskgit::Config& config, int steps, int seed,
                       const char* what) {
    Filling filling(w, config, source, seed);
    ShowProgress progress(what, steps);
    const std::vector<float> losses =
        train(filling, nothing_decays(variables(maskgit::parameters(w, config))),
              {.schedule = {.peak = 4e-3f, .warm_up = std::min(100, steps), .steps = steps, .descent = Descent::linear},
               .batch = 32,
               .beta2 = 0.96f},
              &progress);
    return smoothed("loss of masked tokens, means of 20 steps", losses, 20);
}

// --- step by step ---

static void step_1_mask(Lesson& lesson, const maskgit::Config& config, Random& random) {
    lesson.step("How many tokens are masked in training?", "ceil(cos(pi r / 2) N), r in [0, 1)", "section 3.1");
    const Image image = stripes(0, random);
    const std::vector<int> tokens = tokens_of_stripes(image);
    std::vector<Captioned> shown{{"all tokens", picture(image, lesson.colours)}};
    for (const float r : {0.9f, 0.6f, 0.3f}) {
        const Matrix noise = uniform_matrix(random, 1, config.count());
        const maskgit::MaskedBatch masked = maskgit::mask_tokens(tokens, {0}, {r}, noise, {}, config);
        shown.push_back({"r = " + fixed(r, 1), picture(stripes_of_tokens(&masked.ids[1]), lesson.colours)});
    }
    lesson.pictures(shown);
    lesson.why(
        "BERT always masks 15 %. A generator must predict when no token is known yet, and when nearly all are: so the fraction is drawn anew for each image. A token here is a square of 2 x 2 pixels, masked ones are grey.");
}

static void step_2_learn(Lesson& lesson, const maskgit::Weights& w, const maskgit::Config& config, const Choices& choices,
                         int seed) {
    lesson.step("What is the loss?", "-log p(token | class, visible tokens)", "Eq. 1");
    lesson.curves({train_on(Stripes(), w, config, choices.steps, seed, "filling in stripes")}, {"training step", "loss, nats"});
    const double all_masked = std::log(4.0), bits = 8 * std::log(2.0) / 16;
    lesson.why("with everything masked a token of class 0 is one of 4 (two rows, two colours), ", fixed(all_masked),
               " nats at best; a whole image holds 8 bits, ", fixed(bits),
               " nats per token. The difference is gained by attending to other tokens.");
}

static void step_3_round(Lesson& lesson, const maskgit::Weights& w, const maskgit::Config& config, Random& random) {
    lesson.step("What happens in a round of decoding?", "keep the tokens of the highest confidence", "section 3.2");
    const maskgit::Decoding how{.rounds = 4, .choice_temperature = 0};
    lesson.code(2);
    const maskgit::Draws draws = maskgit::draw_gumbel(random, 1, config, how);
    const std::vector<maskgit::Round> rounds = maskgit::decode(maskgit::empty_images({0}, config), draws, w, config, how);
    std::vector<Captioned> shown;
    for (std::size_t t = 0; t < rounds.size(); ++t) {
        shown.push_back(
            {"round " + text(static_cast<int>(t) + 1) + " sees", picture(stripes_of_tokens(&rounds[t].ids[1]), lesson.colours)});
        shown.push_back({"and samples", picture(stripes_of_tokens(&rounds[t].sampled[1]), lesson.colours)});
    }
    lesson.pictures(shown);
    lesson.matrix("probabilities of the samples in round 2",
                  reshape(slice_cols(rounds[1].probabilities, 1, config.count()), config.down, config.across));
    std::string masked;
    for (const maskgit::Round& round : rounds) masked += text(round.to_mask[0]) + " ";
    lesson.say("Masked again after each round: ", masked,
               "(the last number is not used: the samples of that round are the image).");
    lesson.why(
        "every masked token is drawn from its own distribution, all at once, so neighbours may contradict each other. The tokens with the highest confidence stay (infinity: known before), the others are masked again, and the next round conditions on what has been decided.");
    const maskgit::Decoding of_eight{.rounds = 8};
    const int again = maskgit::tokens_to_mask(3, config.count(), config.count(), of_eight);
    lesson.predict("How many tokens are masked again after round 4 of 8: floor(" + text(config.count()) + " cos(pi t / 16))?",
                   {1.0 * again, 0.5});
}

// --- painting ---

namespace {
struct Painted {
    std::vector<maskgit::Round> rounds;
    std::vector<int> classes;
};
}  // namespace

static Painted paint(int count, int rounds, double temperature, const maskgit::Weights& w, const maskgit::Config& config,
                     int seed) {
    Random random(3'000'000 + seed);
    const maskgit::Decoding how{.rounds = rounds, .choice_temperature = static_cast<float>(temperature)};
    std::vector<int> classes;
    for (int b = 0; b < count; ++b) classes.push_back(b % config.classes);
    const maskgit::Draws draws = maskgit::draw_gumbel(random, count, config, how);
    return {maskgit::decode(maskgit::empty_images(classes, config), draws, w, config, how), classes};
}

// Image b after each round.
static std::vector<std::vector<int>> states(const Painted& painted, int b, const maskgit::Config& config) {
    const int length = config.count() + 1;
    std::vector<std::vector<int>> after;
    for (std::size_t t = 1; t <= painted.rounds.size(); ++t) {
        const std::vector<int>& ids = t < painted.rounds.size() ? painted.rounds[t].ids : painted.rounds.back().sampled;
        after.emplace_back(ids.begin() + b * length + 1, ids.begin() + (b + 1) * length);
    }
    return after;
}

static double share_that_obeys(const Painted& painted, const maskgit::Config& config) {
    int right = 0;
    const std::vector<int> tokens = maskgit::tokens_of(painted.rounds.back().sampled, config);
    for (std::size_t b = 0; b < painted.classes.size(); ++b)
        right += obeys(stripes_of_tokens(&tokens[b * config.count()]), painted.classes[b]);
    return static_cast<double>(right) / static_cast<double>(painted.classes.size());
}

static void step_4_paint(Lesson& lesson, const maskgit::Weights& w, const maskgit::Config& config, const Choices& choices,
                         int seed) {
    lesson.step("How many rounds does an image need?", "T = 1, 2, 4, 8, 16", "images after each round");
    std::vector<std::vector<std::string>> rows{{"rounds", "images that obey their class"}};
    std::vector<double> shares;
    for (const int rounds : round_counts) {
        const Painted painted = paint(choices.samples, rounds, choices.temperature, w, config, seed);
        shares.push_back(share_that_obeys(painted, config));
        rows.push_back({text(rounds), fixed(shares.back())});
        std::vector<Captioned> shown;
        int round = 0;
        for (const std::vector<int>& tokens : states(painted, 1, config))
            shown.push_back(
                {"after " + text(++round) + " of " + text(rounds), picture(stripes_of_tokens(tokens.data()), lesson.colours)});
        lesson.pictures(shown);
    }
    const double noisy = share_that_obeys(paint(choices.samples, 16, 4.5, w, config, seed), config);
    rows.push_back({"16, choice temperature 4.5", fixed(noisy)});
    lesson.table(rows);
    lesson.why(
        "in one round 16 tokens are drawn independently of each other: of 2^8 columns hardly ever the same in each row. Each "
        "further round sees what has been decided. With 16 rounds one token is decided at a time. Noise on the confidence, which "
        "gives variety on photographs, here keeps tokens of low probability.");
    lesson.claim_at_most("images that match their class after 1 round", shares.front(), 0.05);
    lesson.claim_at_least("after 8 rounds", shares[3], 0.5);
    lesson.claim_at_least("after 16 rounds", shares.back(), 0.8);
    lesson.claim_at_least("gained by 16 rounds over 4", shares.back() - shares[2], 0.2);
}

// --- handwritten digits ---

static maskgit_vqgan::Config vqgan_config() {
    return {.channels = 1,
            .filters = 8,
            .multipliers = {1, 2},
            .res_blocks = 1,
            .groups = 4,
            .code_width = 8,
            .codes = 48,
            .entropy_ratio = 0.1f,
            .entropy_temperature = 0.5f};
}

namespace {
struct Tokenizing : Objective {
    const maskgit_vqgan::Weights& w;
    const maskgit_vqgan::Config& config;
    const LabelledImages& digits;
    Random random;

    Tokenizing(const maskgit_vqgan::Weights& w, const maskgit_vqgan::Config& config, const LabelledImages& digits, int seed)
        : w(w), config(config), digits(digits), random(seed) {}

    Var loss(int) override {
        std::vector<Image> images;
        for (int b = 0; b < 32; ++b) images.push_back(digits.images[random.below(digits.count())]);
        return maskgit_vqgan::losses(maskgit_vqgan::forward(images, w, config), images, config).total;
    }
};
}  // namespace

static std::vector<Image> shown_digits(const maskgit_vqgan::Steps& steps) { return images_of(steps.reconstruction); }

static void step_5_words(Lesson& lesson, const LabelledImages& train_set, const LabelledImages& test_set,
                         const maskgit_vqgan::Weights& w, const maskgit_vqgan::Config& config, const Choices& choices, int seed) {
    lesson.step("How does a digit become tokens?", "encoder, nearest of K codes, decoder", "VQGAN");
    Tokenizing tokenizing(w, config, train_set, seed);
    ShowProgress progress("learning tokens for digits", choices.vqgan_steps);
    train(tokenizing, nothing_decays(variables(maskgit_vqgan::parameters(w, config))),
          {.schedule = {.peak = 5e-3f, .warm_up = std::min(20, choices.vqgan_steps), .steps = choices.vqgan_steps}, .batch = 32},
          &progress);
    lesson.code();
    const maskgit_vqgan::Steps steps = maskgit_vqgan::forward(test_set.images, w, config);
    const std::vector<Image> painted = shown_digits(steps);
    std::vector<Captioned> shown;
    for (int k = 0; k < 4; ++k) {
        shown.push_back({"digit", picture(test_set.images[k], lesson.colours)});
        shown.push_back({"from 16 tokens", picture(painted[k], lesson.colours)});
    }
    lesson.pictures(shown);
    std::string ids;
    for (int k = 0; k < 16; ++k) ids += text(steps.quantized.ids[k]) + (k % 4 == 3 ? ";  " : " ");
    const double error = maskgit_vqgan::losses(steps, test_set.images, config).reconstruction.value()(0, 0);
    double sum = 0, squares = 0, count = 0;
    for (const Image& image : test_set.images)
        for (const float x : image.pixels) {
            sum += x;
            squares += x * x;
            ++count;
        }
    const double variance = squares / count - sum / count * (sum / count);
    lesson.say("The first digit in tokens, row by row: ", ids);
    lesson.say(codes_in_use(steps.quantized.ids, config.codes), " of ", config.codes, " codes are in use; squared error ",
               fixed(error), ", variance of the pixels ", fixed(variance), ".");
    lesson.why(
        "there is no teacher here: the codes must reconstruct the pixels. Codes and vectors move towards each other, and the entropy term "
        "keeps all codes in use.");
    lesson.claim_at_most("squared error of digits of unseen writers, as a fraction of the variance", error / variance, 0.4);
}

namespace {
struct Digits : Source {
    std::vector<int> tokens;  // of all images
    const std::vector<int>& labels;
    int length;

    Digits(std::vector<int> tokens, const std::vector<int>& labels, int length)
        : tokens(std::move(tokens)), labels(labels), length(length) {}

    void draw(int count, std::vector<int>& drawn, std::vector<int>& classes, Random& random) const override {
        for (int b = 0; b < count; ++b) {
            const int k = random.below(static_cast<int>(labels.size()));
            drawn.insert(drawn.end(), tokens.begin() + k * length, tokens.begin() + (k + 1) * length);
            classes.push_back(labels[k]);
        }
    }
};
}  // namespace

// The class of the training image that is nearest, pixel by pixel.
static int nearest_class(const Image& image, const LabelledImages& known) {
    double least = 1e30;
    int label = 0;
    for (int k = 0; k < known.count(); ++k) {
        double distance = 0;
        for (std::size_t p = 0; p < image.pixels.size(); ++p) {
            const double d = image.pixels[p] - known.images[k].pixels[p];
            distance += d * d;
        }
        if (distance < least) {
            least = distance;
            label = known.labels[k];
        }
    }
    return label;
}

// Tokens as an image; masked ones are grey.
static Image digit_of_tokens(const std::vector<int>& tokens, const maskgit_vqgan::Weights& w,
                             const maskgit_vqgan::Config& config) {
    std::vector<int> known = tokens;
    for (int& token : known) token = std::max(token, 0);
    Image image = images_of(maskgit_vqgan::paint(known, {1, 4, 4}, w, config))[0];
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x) {
            float& pixel = image(y, x, 0);
            pixel = tokens[y / 2 * 4 + x / 2] < 0 ? 0.4f : std::clamp(pixel, 0.0f, 1.0f);
        }
    return image;
}

static double share_read_as_asked(const Painted& painted, const LabelledImages& known, const maskgit::Config& config,
                                  const maskgit_vqgan::Weights& w, const maskgit_vqgan::Config& vqgan) {
    const std::vector<int> tokens = maskgit::tokens_of(painted.rounds.back().sampled, config);
    const int count = static_cast<int>(painted.classes.size());
    const std::vector<Image> images = images_of(maskgit_vqgan::paint(tokens, {count, config.down, config.across}, w, vqgan));
    int right = 0;
    for (int b = 0; b < count; ++b) right += nearest_class(images[b], known) == painted.classes[b];
    return static_cast<double>(right) / count;
}

// All ten digits beside one another, one row for each number of rounds.
static void write_page(const std::string& path, const std::vector<std::vector<Image>>& rows) {
    if (path.empty()) return;
    const int scale = 6, cell = 8 * scale + 4;
    Image page(static_cast<int>(rows.size()) * cell, static_cast<int>(rows[0].size()) * cell, 3, 0.2f);
    for (std::size_t r = 0; r < rows.size(); ++r)
        for (std::size_t c = 0; c < rows[r].size(); ++c)
            for (int y = 0; y < 8 * scale; ++y)
                for (int x = 0; x < 8 * scale; ++x)
                    for (int k = 0; k < 3; ++k)
                        page(static_cast<int>(r) * cell + 2 + y, static_cast<int>(c) * cell + 2 + x, k) =
                            rows[r][c](y / scale, x / scale, 0);
    write_image(path, page);
}

// Trains the model on the tokens of the digits.
static maskgit::Weights learn_digits(Lesson& lesson, const LabelledImages& train_set, const maskgit_vqgan::Weights& tokenizer,
                                     const maskgit_vqgan::Config& vqgan, const maskgit::Config& config, int steps, int seed) {
    Random random(seed);
    const maskgit::Weights w = maskgit::make_weights(config, random);
    std::vector<int> tokens;
    {
        const NoTape evaluation;
        tokens = maskgit_vqgan::forward(train_set.images, tokenizer, vqgan).quantized.ids;
    }
    const Digits digits(tokens, train_set.labels, config.count());
    lesson.curves({train_on(digits, w, config, steps, seed, "filling in digits")}, {"training step", "loss, nats"});
    return w;
}

// Image b after each round.
static std::vector<Captioned> rounds_of(const Painted& painted, int b, const maskgit::Config& config,
                                        const maskgit_vqgan::Weights& w, const maskgit_vqgan::Config& vqgan, Colours colours) {
    std::vector<Captioned> shown;
    const std::string count = text(static_cast<int>(painted.rounds.size()));
    for (const std::vector<int>& state : states(painted, b, config))
        shown.push_back({"a " + text(painted.classes[b]) + ", after " + text(static_cast<int>(shown.size()) + 1) + " of " + count,
                         picture(digit_of_tokens(state, w, vqgan), colours)});
    return shown;
}

// One image of each class, 0 to 9, after the last round.
static std::vector<Image> ten_digits(const Painted& painted, const maskgit::Config& config, const maskgit_vqgan::Weights& w,
                                     const maskgit_vqgan::Config& vqgan) {
    std::vector<Image> digits;
    for (int b = 0; b < 10; ++b) digits.push_back(digit_of_tokens(states(painted, b, config).back(), w, vqgan));
    return digits;
}

// The ten digits under their classes and the number of rounds.
static std::vector<Captioned> captioned_digits(const std::vector<Image>& digits, int rounds, Colours colours) {
    std::vector<Captioned> shown;
    for (int b = 0; b < 10; ++b) shown.push_back({"a " + text(b) + ", " + text(rounds) + " rounds", picture(digits[b], colours)});
    return shown;
}

static void step_6_digits(Lesson& lesson, const LabelledImages& train_set, const maskgit_vqgan::Weights& tokenizer,
                          const maskgit_vqgan::Config& vqgan, const Choices& choices, int seed) {
    lesson.step("Can it generate digits?", "class in, 16 tokens out, VQGAN's decoder", "no image is given");
    const maskgit::Config config = digits_config(vqgan.codes);
    const maskgit::Weights w = learn_digits(lesson, train_set, tokenizer, vqgan, config, choices.digit_steps, seed);
    std::vector<std::vector<std::string>> table{{"rounds", "read as the digit that was asked for"}};
    std::vector<double> shares;
    std::vector<std::vector<Image>> page;
    for (const int rounds : round_counts) {
        const Painted painted = paint(choices.samples, rounds, 1, w, config, seed);
        shares.push_back(share_read_as_asked(painted, train_set, config, tokenizer, vqgan));
        table.push_back({text(rounds), fixed(shares.back())});
        page.push_back(ten_digits(painted, config, tokenizer, vqgan));
        if (rounds == 4 || rounds == 8) lesson.pictures(rounds_of(painted, 3, config, tokenizer, vqgan, lesson.colours));
    }
    write_page(choices.out, page);
    lesson.pictures(captioned_digits(page[3], round_counts[3], lesson.colours));
    lesson.table(table);
    lesson.why(
        "digits are read by the nearest of ", train_set.count(),
        " training digits, pixel by pixel. A digit constrains its tokens less than a stripe does, so even one round often generates something that can be read; further rounds make its parts agree.");
    lesson.claim_at_least("digits read as asked, 8 rounds", shares[3], 0.8);
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    Random random(seed);
    const maskgit::Config config = stripes_config();
    const maskgit::Weights w = maskgit::make_weights(config, random);
    step_1_mask(lesson, config, random);
    step_2_learn(lesson, w, config, choices, seed);
    step_3_round(lesson, w, config, random);
    step_4_paint(lesson, w, config, choices, seed);

    const std::string folder = "walkthroughs/data/digits-";
    const LabelledImages train_set = read_labelled_images(folder + "train-images.idx3-ubyte", folder + "train-labels.idx1-ubyte");
    const LabelledImages test_set = read_labelled_images(folder + "test-images.idx3-ubyte", folder + "test-labels.idx1-ubyte");
    const maskgit_vqgan::Config vqgan = vqgan_config();
    const maskgit_vqgan::Weights tokenizer = maskgit_vqgan::make_weights(vqgan, random);
    step_5_words(lesson, train_set, test_set, tokenizer, vqgan, choices, seed);
    step_6_digits(lesson, train_set, tokenizer, vqgan, choices, seed);
    lesson.say("Next: vit/masked_family compares eight masked models by a linear probe.");
}

int main(int argc, char** argv) {
    Options options("vit/mask_latents/maskgit", "Generates images in a few parallel rounds.", "25 seconds on two cores");
    Choices choices;
    options.add("steps", choices.steps, "training steps on the stripes", 1, 100'000);
    options.add("samples", choices.samples, "images painted for each number of rounds", 10, 10'000);
    options.add("vqgan-steps", choices.vqgan_steps, "training steps of the digits' tokenizer", 1, 100'000);
    options.add("digit-steps", choices.digit_steps, "training steps on the digits' tokens", 1, 100'000);
    options.add("temperature", choices.temperature, "noise on the confidence when stripes are painted", 0, 100);
    options.add_output("out", choices.out, "a PPM or PNG file for ten digits in 1, 2, 4, 8 and 16 rounds");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
