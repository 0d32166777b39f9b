// patch_embedding.cpp: how an image becomes a sequence of tokens, in the seven steps of ViT.
//
//   paper    Dosovitskiy et al., "An Image Is Worth 16x16 Words", 2021, arXiv 2010.11929, section 3.1 and Eq. 1
//   shows    all of patch embedding: cut, flatten, multiply, put [cls] in front, add positions
//   symbols  H, W height and width   C channels   P patch side   N = (H / P)(W / P) patches   D token width
//   next     vit.cpp trains the model that begins like this
#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/idx.h"
#include "nn/data/patches.h"
#include "vit/vit.h"
#include "walkthroughs/lesson/lesson.h"

struct Choices {
    std::string image;
    int digit = 7;
    int patch_size = 0;
    int width = 16;
};

// --- what is cut ---

// Sides at most 224 pixels, and whole numbers of patches: what does not fit is resized.
static Image fitted(const Image& image, int P) {
    const double shrink = std::min(1.0, 224.0 / std::max(image.height, image.width));
    const int down = std::max(1, static_cast<int>(std::lround(image.height * shrink / P)));
    const int across = std::max(1, static_cast<int>(std::lround(image.width * shrink / P)));
    return down * P == image.height && across * P == image.width ? image
                                                                 : resize_bilinear_antialiased(image, down * P, across * P);
}

// The image with a blue line between its squares, small enough for the page; in colours small ones are enlarged.
static Image with_gaps(const Image& image, int P, Colours colours) {
    const int down = image.height / P, across = image.width / P;
    const bool plain = colours == Colours::none;
    const int widest = plain ? 45 : 90;
    const int enlarged = P * (plain ? 1 : std::max(1, 24 / std::max(image.height, image.width)));
    const int side =
        std::max(1, std::min(enlarged, (widest + 1) / std::max(down, across) - 1));  // of a square on this page, in pixels
    Image cut(down * (side + 1) - 1, across * (side + 1) - 1, 3);
    for (int y = 0; y < cut.height; ++y)
        for (int x = 0; x < cut.width; ++x)
            for (int c = 0; c < 3; ++c) {
                const bool gap = y % (side + 1) == side || x % (side + 1) == side;
                const int from_y = y / (side + 1) * P + y % (side + 1) * P / side;  // the pixel that is shown here
                const int from_x = x / (side + 1) * P + x % (side + 1) * P / side;
                const float blue = c == 2 ? 0.8f : 0.2f;
                cut(y, x, c) = gap ? blue : image(from_y, from_x, std::min(c, image.channels - 1));
            }
    return cut;
}

static Matrix channel(const Image& image, int c) {  // (H, W)
    Matrix pixels(image.height, image.width);
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x) pixels(y, x) = image(y, x, c);
    return pixels;
}

// --- the seven steps ---

static void step_1_look(Lesson& lesson, const Image& image) {
    lesson.step("What is the input?", "x (H, W, C)");
    lesson.picture("", image);
    lesson.matrix("channel 0 of x", channel(image, 0));
    lesson.say(image.height, " x ", image.width, " pixels with ", image.channels, image.channels == 1 ? " channel" : " channels",
               ": ", image.pixels.size(), " numbers from 0 (black) to 1 (white).");
}

static void step_2_cut(Lesson& lesson, const Image& image, int P) {
    const int down = image.height / P, across = image.width / P;
    lesson.step("How does an image become a sequence?", "N = (H / P)(W / P)");
    lesson.picture("", with_gaps(image, P, lesson.colours));
    lesson.say("Cut into squares of ", P, " x ", P, " it has ", down, " rows of ", across, ": N = ", down * across,
               " squares, numbered from left to right, then from top to bottom.");
    const int half = std::max(1, P / 2);
    lesson.predict("What is N with --patch-size " + text(half) + "?", {1.0 * (image.height / half) * (image.width / half), 0.5});
}

static Matrix step_3_flatten(Lesson& lesson, const Image& image, int P) {
    lesson.step("How is a patch represented?", "x_p (N, P*P*C)");
    lesson.code();
    const Matrix patches = patchify(image, P);  // (N, P*P*C)
    const int C = image.channels;
    int brightest = 0;
    for (int n = 0; n < patches.rows; ++n) {
        const Matrix row = slice_rows(patches, n, 1), best = slice_rows(patches, brightest, 1);
        if (sum(row).value()(0, 0) > sum(best).value()(0, 0)) brightest = n;
    }
    const Matrix one = slice_rows(patches, brightest, 1);  // (1, P*P*C)
    lesson.matrix("square " + std::to_string(brightest), reshape(one, P, P * C));
    lesson.matrix("its row", one);
    lesson.matrix("patches", patches);
    lesson.why("a matrix has no squares, so each one is laid out in one row of P*P*C = ", patches.cols,
               " numbers: its pixel rows one after the other", C > 1 ? ", and for every pixel its channels side by side." : ".");
    lesson.predict("Which column of patches holds the pixel in row 1, column 0 of a square (channel 0)?", {1.0 * P * C, 0.5});
    return patches;
}

static Var step_4_project(Lesson& lesson, const Matrix& patches, const Linear& projection) {
    lesson.step("How does a row of pixels become a token?", "x_p E + b   (N, P*P*C)(P*P*C, D)   Eq. 1");
    lesson.code();
    const Var patch_embeddings = linear(patches, projection);  // (N, D)
    const Matrix& E = projection.weight.value();
    lesson.matrix("E", E);
    lesson.matrix("patch_embeddings", patch_embeddings.value());
    double by_hand = projection.bias.value()(0, 0);
    for (int k = 0; k < patches.cols; ++k) by_hand += patches(0, k) * E(k, 0);
    lesson.why("element (0, 0) is square 0 times column 0 of E: the sum of ", patches.cols, " products is ", fixed(by_hand),
               ". Column d of E is a question about a square (how bright above, is there an edge?), and training chooses the "
               "questions; here they are random.");
    return patch_embeddings;
}

static void step_5_tokens(Lesson& lesson, const Var& patch_embeddings) {
    lesson.step("What is the result so far?", "N tokens of width D");
    lesson.heat("patch_embeddings", patch_embeddings.value());
    lesson.say("One line for each square, one cell for each of its ", patch_embeddings.cols(),
               " numbers, dark for the smallest and bright for the largest. From here on the model never sees a pixel again: it "
               "works on ",
               patch_embeddings.rows(), " tokens of width ", patch_embeddings.cols(),
               ", as it would on the words of a sentence.");
    lesson.predict("what changes in this heat map when two squares of the image change places.");
}

static Var step_6_class_token(Lesson& lesson, const Var& patch_embeddings, const Var& class_token) {
    lesson.step("Which token represents the whole image?", "[x_class; x_p E]   (N+1, D)");
    lesson.code();
    const Var tokens = concat_rows({class_token, patch_embeddings});  // (N+1, D)
    lesson.matrix("tokens", tokens.value());
    lesson.why(
        "row 0 belongs to no square. It is learned, the same for every image, and its row at the output of the model is read as the answer: it has to collect from the others what it needs.");
    return tokens;
}

// The two squares that are most alike, and how far apart their tokens are.
struct Pair {
    int a = 0, b = 1;
    float distance = INFINITY;
};
static float row_distance(const Matrix& m, int a, int b) {
    float squares = 0;
    for (int j = 0; j < m.cols; ++j) squares += (m(a, j) - m(b, j)) * (m(a, j) - m(b, j));
    return std::sqrt(squares);
}
static Pair nearest_rows(const Matrix& m) {
    Pair nearest;
    for (int a = 0; a < m.rows; ++a)
        for (int b = a + 1; b < m.rows; ++b)
            if (row_distance(m, a, b) < nearest.distance) nearest = {a, b, row_distance(m, a, b)};
    return nearest;
}

static Var step_7_positions(Lesson& lesson, const Var& tokens, const Var& positions, const Matrix& patches) {
    lesson.step("How does the model know the position of a patch?", "z0 = [x_class; x_p E] + E_pos   (N+1, D)   Eq. 1");
    lesson.code();
    const Var z0 = add(tokens, positions);  // (N+1, D)
    lesson.matrix("z0", z0.value());
    lesson.pictures({{"tokens", heat_map(tokens.value(), lesson.colours)},
                     {"+ positions", heat_map(positions.value(), lesson.colours)},
                     {"= z0", heat_map(z0.value(), lesson.colours)}});
    if (patches.rows > 1) {
        const Pair alike = nearest_rows(patches);
        lesson.why("squares ", alike.a, " and ", alike.b, " are the most alike. Their tokens were ",
                   fixed(row_distance(tokens.value(), alike.a + 1, alike.b + 1)), " apart and are now ",
                   fixed(row_distance(z0.value(), alike.a + 1, alike.b + 1)),
                   ": each row got a vector of its own, so that the same ink above and below is no longer the same.");
    }
    lesson.predict("the accuracy of a model without this line on a question about order. Walkthrough vit/vit measures it.");
    return z0;
}

// --- the same as a convolution ---

// What a convolution with stride P computes, from its definition: five loops over a kernel (D, C, P, P), as checkpoints store it.
static Matrix convolve(const Image& image, const Matrix& kernel, const Matrix& bias, int P) {
    const int C = image.channels, D = bias.cols, across = image.width / P;
    Matrix result((image.height / P) * across, D);  // (N, D)
    for (int n = 0; n < result.rows; ++n)
        for (int d = 0; d < D; ++d) {
            double sum = bias(0, d);
            for (int c = 0; c < C; ++c)
                for (int y = 0; y < P; ++y)
                    for (int x = 0; x < P; ++x)
                        sum += image(n / across * P + y, n % across * P + x, c) *
                               kernel[((static_cast<std::size_t>(d) * C + c) * P + y) * P + x];
            result(n, d) = static_cast<float>(sum);
        }
    return result;
}

static float largest_difference(const Matrix& a, const Matrix& b) {
    float largest = 0;
    for (std::size_t k = 0; k < a.size(); ++k) largest = std::max(largest, std::abs(a[k] - b[k]));
    return largest;
}

static Parameter projection_of(const vit::Weights& w, const vit::Config& config) {
    for (const Parameter& parameter : vit::parameters(w, config))
        if (parameter.stored == Stored::patches) return parameter;
    throw std::logic_error("patch_embedding: the table of parameters has no patch projection");
}

static float step_8_convolution(Lesson& lesson, const Image& image, const vit::Weights& w, const vit::Config& config,
                                const Var& patch_embeddings) {
    lesson.step("Published code calls this a convolution. Is it?", "kernel P x P, stride P");
    const Matrix kernel = published_value(projection_of(w, config));  // (D*C*P, P)
    const Matrix& bias = w.projection.bias.value();                   // (1, D)
    lesson.code();
    const Matrix convolved = convolve(image, kernel, bias, config.grid.patch_size);  // (N, D)
    lesson.matrix("convolved", convolved);
    const float difference = largest_difference(convolved, patch_embeddings.value());
    lesson.why(
        "a kernel that moves by its own width never covers a pixel twice, so sliding it is the same as cutting and multiplying. "
        "The largest difference between the two ways is ",
        fixed(difference, 8),
        ". The numbers of the kernel are those of E in another order: a checkpoint stores (D, C, P, P), channel slowest; our "
        "rows have the channel fastest.");
    return difference;
}

// The first test digit with this label.
static Image test_digit(int label) {
    const std::vector<int> labels = read_idx_labels("walkthroughs/data/digits-test-labels.idx1-ubyte");
    const auto found = std::find(labels.begin(), labels.end(), label);
    return read_idx_images("walkthroughs/data/digits-test-images.idx3-ubyte").at(found - labels.begin());
}

static void walk(Lesson& lesson, const Choices& choices, int seed) {
    const Image whole = choices.image.empty() ? test_digit(choices.digit) : read_image(choices.image);
    const int preset = std::max(whole.height, whole.width) <= 32 ? 4 : 16;
    const int P = choices.patch_size > 0 ? choices.patch_size : preset;
    const Image image = fitted(whole, P);
    const vit::Config config{.grid = {.height = image.height, .width = image.width, .patch_size = P, .channels = image.channels},
                             .width = choices.width,
                             .depth = 0,
                             .heads = 1,
                             .classes = 10};
    Random random(seed);
    const vit::Weights w = vit::make_weights(config, random, {.stddev = 0.1f});

    step_1_look(lesson, image);
    step_2_cut(lesson, image, P);
    const Matrix patches = step_3_flatten(lesson, image, P);                     // (N, P*P*C)
    const Var patch_embeddings = step_4_project(lesson, patches, w.projection);  // (N, D)
    step_5_tokens(lesson, patch_embeddings);
    const Var tokens = step_6_class_token(lesson, patch_embeddings, w.class_token);  // (N+1, D)
    const Var z0 = step_7_positions(lesson, tokens, w.positions, patches);           // (N+1, D)
    const float difference = step_8_convolution(lesson, image, w, config, patch_embeddings);

    const vit::PatchEmbedding model = vit::embed_patches({image}, w, config);
    lesson.say("Next: vit/vit trains the model that begins like this.");
    lesson.claim("the seven steps give the z0 " + shape(z0.value()) + " of vit::embed_patches, bit for bit",
                 identical(z0.value(), model.z0.value()));
    lesson.claim_at_most("cut and multiply against a convolution in plain loops, largest difference", difference, 1e-5);
    lesson.claim("nothing was lost in cutting: the squares put together are the image again",
                 unpatchify(patches, P, image.height, image.width, image.channels).pixels == image.pixels);
}

int main(int argc, char** argv) {
    Options options("vit/patch_embedding", "An image becomes a sequence of tokens.", "a second");
    Choices choices;
    options.add("image", choices.image, "an image of your own, PNG, PPM or PGM, instead of a digit");
    options.add("digit", choices.digit, "the digit, from 0 to 9", 0, 9);
    options.add("patch-size", choices.patch_size, "side of a square in pixels; 0: 4 for small images, 16 for large ones", 0, 64);
    options.add("width", choices.width, "numbers in a token", 1, 1024);
    options.excludes("digit", "image");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices, options.seed); });
}
