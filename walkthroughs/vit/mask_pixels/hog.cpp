// hog.cpp: an image described by the orientations of its edges, and drawn from them as a rose in each cell.
//
//   papers   Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", 2005
//            as the target of MaskFeat: Wei et al., 2021, arXiv 2112.09133, section 3.1
//   shows    the descriptor in four steps, with one pixel followed to its bin; what it keeps (contours) and what it ignores
//            (brightness, contrast, which side of an edge is bright)
//   symbols  gx, gy Sobel differences   b bins   c side of a cell
//   next     maskfeat.cpp predicts these descriptors where the image is masked
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "vit/detect/annotate.h"
#include "vit/mask_pixels/hog.h"
#include "walkthroughs/lesson/lesson.h"
#include "walkthroughs/lesson/restoring.h"

struct Choices {
    int cell = 8;
    int bins = 9;
    int digit = -1;  // a digit of the test set instead of the drawing; 0, 1, ...
    std::string image, out;
};

// --- the image ---

// A disc, a tilted square and a fan of stripes on a background that brightens to the right: edges of every direction.
static Image drawn_image() {
    const int side = 64;
    Image image(side, side, 1);
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) {
            const float across = static_cast<float>(x) + 0.5f, down = static_cast<float>(y) + 0.5f;
            float light = 0.15f + 0.1f * across / side;
            if (std::hypot(across - 18, down - 18) < 14) light = 0.9f;            // a disc
            if (std::abs(across - 47) + std::abs(down - 17) < 15) light = 0.65f;  // a square on its corner
            const float angle = std::atan2(side - down, across - 32), radius = std::hypot(across - 32, side - down);
            if (radius > 8 && radius < 29 && std::fmod(angle * 5, 2.0f) < 1) light = 0.8f;  // a fan
            image(y, x, 0) = light;
        }
    return image;
}

// The largest part of an image that consists of whole cells, from its upper left corner.
static Image whole_cells(const Image& given, int cell, const std::string& name) {
    Image cut(given.height / cell * cell, given.width / cell * cell, given.channels);
    require(cut.height > 0 && cut.width > 0, name, ": ", given.height, " x ", given.width, " pixels do not hold a cell of ",
            cell);
    for (int y = 0; y < cut.height; ++y)
        for (int x = 0; x < cut.width; ++x)
            for (int c = 0; c < cut.channels; ++c) cut(y, x, c) = given(y, x, c);
    return cut;
}

static Image image_to_describe(const Choices& choices) {
    if (!choices.image.empty()) return whole_cells(read_image(choices.image), choices.cell, choices.image);
    if (choices.digit < 0) return whole_cells(drawn_image(), choices.cell, "the drawing");
    const Dataset digits = digits_to_restore();
    require(choices.digit < static_cast<int>(digits.test.size()), "--digit: there are ", digits.test.size(), " digits");
    return whole_cells(as_light(digits.test[choices.digit], digits), choices.cell, "a digit");
}

static Image brightest_is_1(Image image) {
    const float most = *std::max_element(image.pixels.begin(), image.pixels.end());
    for (float& x : image.pixels) x = most > 0 ? x / most : 0;
    return image;
}

// Without colours a pixel takes two characters, so a large image is shown smaller.
static Drawing shown(const Image& image, Colours colours) {
    const int side = std::max(image.height, image.width), most = 34;
    if (colours != Colours::none || side <= most) return picture(image, colours);
    return picture(resize_bilinear_antialiased(image, image.height * most / side, image.width * most / side), colours);
}

// --- step by step ---

static hog::Steps step_1_gradients(Lesson& lesson, const Image& image, const hog::Config& config) {
    lesson.step("Where does the brightness change?", "magnitude = sqrt(gx^2 + gy^2)", "section 3.1");
    lesson.code();
    const hog::Steps steps = hog::describe(image, config);
    lesson.pictures(
        {{"the image", shown(image, lesson.colours)}, {"magnitude", shown(brightest_is_1(steps.magnitude), lesson.colours)}});
    lesson.why(
        "gx compares the columns left and right of a pixel, gy the rows above and below, each with weights 1 2 1 (Sobel). Inside "
        "a flat area both are 0. Beyond the border the image is reflected, so the border itself is not an edge.");
    return steps;
}

// The angle of an edge whose gradients fall into this bin: its middle, degrees from the horizontal.
static double edge_degrees(int bin, int bins) { return 180 * (bin + 0.5) / bins; }

static void step_2_vote(Lesson& lesson, const Image& image, const hog::Steps& steps, const hog::Config& config) {
    lesson.step("Which bin does a pixel vote for?", "bin = floor(atan2(gx, gy) / pi b) mod b");
    const auto most = std::max_element(steps.magnitude.pixels.begin(), steps.magnitude.pixels.end());
    const int strongest = static_cast<int>(most - steps.magnitude.pixels.begin());
    const int index = strongest / image.channels, y = index / image.width, x = index % image.width;
    const double gx = steps.gradient_x.pixels[strongest], gy = steps.gradient_y.pixels[strongest];
    const double phase = std::atan2(gx, gy) / std::numbers::pi * config.bins;
    lesson.say("The strongest gradient is in row ", y, ", column ", x, ": gx = ", fixed(gx, 3), ", gy = ", fixed(gy, 3),
               ", so the phase is ", fixed(phase, 2), " bins and the bin ", steps.bin[strongest], ".");
    const int cell = y / config.cell * (image.width / config.cell) + x / config.cell,
              first = strongest % image.channels * config.bins;
    std::vector<std::vector<std::string>> rows{{"bin", "edge at", "sum of magnitudes", "fraction of the length"}};
    for (int bin = 0; bin < config.bins; ++bin)
        rows.push_back({text(bin), fixed(edge_degrees(bin, config.bins), 0) + " degrees",
                        fixed(steps.histograms(cell, first + bin), 3), fixed(steps.descriptors(cell, first + bin), 3)});
    lesson.say("The histogram of its cell, ", config.cell, " x ", config.cell, " pixels:");
    lesson.table(rows);
    lesson.why(
        "a phase below 0 is counted from the last bin on, so a gradient and its opposite share a bin: an edge does not say which "
        "side is bright. The last column is the second to last divided by its length, for every cell and channel by itself.");
    lesson.predict("In which of the " + text(config.bins) + " bins is an upright edge, gy = 0?",
                   {std::floor(std::atan2(1.0, 0.0) / std::numbers::pi * config.bins), 0.5});
}

// The strongest orientation of every cell as a letter, where there is any edge.
static std::vector<std::string> letters_of(const Matrix& descriptors, int down, int across, int bins) {
    static const std::array<const char*, 4> strokes{"- ", "/ ", "| ", "\\ "};  // 0, 45, 90, 135 degrees
    std::vector<std::string> lines(down);
    for (int cell = 0; cell < descriptors.rows; ++cell) {
        std::vector<float> sums(bins);
        for (int j = 0; j < descriptors.cols; ++j) sums[j % bins] += descriptors(cell, j);
        const int strongest = static_cast<int>(std::max_element(sums.begin(), sums.end()) - sums.begin());
        const long nearest = std::lround(edge_degrees(strongest, bins) / 45) % 4;
        lines[cell / across] += sums[strongest] > 0 ? strokes[nearest] : ". ";
    }
    return lines;
}

static void write_page(const std::string& path, const Image& image, const Image& roses) {
    if (path.empty()) return;
    const int factor = roses.height / image.height;  // the roses are drawn at a multiple of the image's size
    write_image(path, in_a_row({enlarged(image, factor), enlarged(roses, 1)}, 8));
}

static void step_3_roses(Lesson& lesson, const Image& image, const hog::Steps& steps, const hog::Config& config,
                         const Choices& choices) {
    lesson.step("What do the descriptors look like?", "h / max(|h|, 1e-12)   in every cell and channel");
    const int down = image.height / config.cell, across = image.width / config.cell;
    const bool letters = lesson.colours == Colours::none;
    const int side = std::clamp((letters ? 34 : 70) / across, 3, 15);
    lesson.code();
    const Image roses = hog::roses(steps.descriptors, down, across, config.bins, side);
    if (!letters || side >= 5) lesson.picture("a rose of orientations in every cell", roses);
    const int shown = std::min(across, (lesson.page_width - 10) / 2);  // two columns for each cell
    std::vector<std::string> lines = letters_of(steps.descriptors, down, across, config.bins);
    for (std::string& line : lines) line.resize(2 * shown);
    lesson.say("The strongest orientation of each cell",
               shown < across ? ", of the left " + text(shown) + " of " + text(across) + " columns; --cell N makes fewer:" : ":");
    lesson.lines(lines);
    write_page(choices.out, image,
               hog::roses(steps.descriptors, down, across, config.bins, config.cell * std::max(1, 32 / config.cell)));
    lesson.why(
        "a line for every bin, along the edge, as long and as bright as its entry. What is left of the image is its contours. "
        "A cell in which the light only rises a little has a rose as long as any other: its few differences are all that it has, "
        "and the division makes them one.");
    lesson.predict("the roses of the image on its side: turn the page.");
}

static double largest_difference(const Matrix& a, const Matrix& b) {
    double most = 0;
    for (std::size_t k = 0; k < a.size(); ++k) most = std::max(most, static_cast<double>(std::abs(a[k] - b[k])));
    return most;
}

// The image mirrored left to right.
static Image mirrored(const Image& image) {
    Image result = image;
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x)
            for (int c = 0; c < image.channels; ++c) result(y, x, c) = image(y, image.width - 1 - x, c);
    return result;
}

static void step_4_invariances(Lesson& lesson, const Image& image, const hog::Steps& steps, const hog::Config& config) {
    lesson.step("What does HOG ignore?", "HOG(a x + b) = HOG(x)");
    Image dim = image, negative = image;
    for (float& x : dim.pixels) x = 0.5f * x + 0.3f;
    for (float& x : negative.pixels) x = -x;
    const Matrix& whole = steps.descriptors;
    const double of_dim = largest_difference(hog::describe(dim, config).descriptors, whole);
    const double of_negative = largest_difference(hog::describe(negative, config).descriptors, whole);
    const double of_mirror = largest_difference(hog::describe(mirrored(image), config).descriptors, whole);
    lesson.table({{"the image as", "largest difference of a descriptor"},
                  {"0.5 x + 0.3", fixed(of_dim, 8)},
                  {"-x", fixed(of_negative, 8)},
                  {"its mirror image", fixed(of_mirror, 8)}});
    lesson.why(
        "differences remove an added constant, the division by the length removes a factor, and opposite directions "
        "share a bin. A model that predicts HOG need predict none of this. A mirror image has another descriptor.");
    lesson.claim_at_most("HOG(0.5 x + 0.3) - HOG(x)", of_dim, 1e-3);
    lesson.claim_at_most("HOG(-x) - HOG(x)", of_negative, 0);
}

static void walk(Lesson& lesson, const Choices& choices) {
    const hog::Config config{.bins = choices.bins, .cell = choices.cell};
    const Image image = image_to_describe(choices);
    const hog::Steps steps = step_1_gradients(lesson, image, config);
    step_2_vote(lesson, image, steps, config);
    step_3_roses(lesson, image, steps, config, choices);
    step_4_invariances(lesson, image, steps, config);
    lesson.say("Next: vit/mask_pixels/maskfeat predicts these descriptors at masked patches.");
}

int main(int argc, char** argv) {
    Options options("vit/mask_pixels/hog", "An image described by the orientations of its edges.", "a second");
    Choices choices;
    options.add("image", choices.image, "a PNG, PPM or PGM file to describe instead of the drawing");
    options.add("digit", choices.digit, "a handwritten digit instead of the drawing, 0 ... 359; try --cell 2", -1, 359);
    options.add("cell", choices.cell, "side of a cell, pixels", 1, 1000);
    options.add("bins", choices.bins, "orientations that are told apart", 1, 180);
    options.add_output("out", choices.out, "a PPM or PNG file: the image and its roses");
    options.excludes("digit", "image");
    options.read_or_exit(argc, argv);
    return give_lesson(options, [&](Lesson& lesson) { walk(lesson, choices); });
}
