#include "walkthroughs/toys/coloured_shapes.h"

#include <algorithm>
#include <cstdlib>

#include "nn/base/require.h"
#include "nn/data/file_kind.h"
#include "nn/data/text.h"
#include "vit/language/photograph.h"

static const std::vector<std::string> colour_words{"red", "green", "blue", "yellow", "white"};
static const std::vector<std::string> kind_words{"square", "disc", "cross", "bar"};
static const float colour_values[shape_colours][3] = {
    {0.9f, 0.15f, 0.15f}, {0.15f, 0.8f, 0.2f}, {0.2f, 0.3f, 0.95f}, {0.9f, 0.85f, 0.1f}, {0.95f, 0.95f, 0.95f}};

const std::string& colour_word(int colour) { return colour_words.at(static_cast<std::size_t>(colour)); }
const std::string& kind_word(int kind) { return kind_words.at(static_cast<std::size_t>(kind)); }
std::string name_of(ColouredShape shape) { return colour_word(shape.colour) + " " + kind_word(shape.kind); }
std::string caption_of(ColouredShape shape) { return "a photo of a " + name_of(shape); }

std::vector<ColouredShape> all_shapes() {
    std::vector<ColouredShape> shapes;
    for (int colour = 0; colour < shape_colours; ++colour)
        for (int kind = 0; kind < shape_kinds; ++kind) shapes.push_back({colour, kind});
    return shapes;
}

std::vector<ColouredShape> unseen_shapes() { return {{0, 2}, {1, 1}, {2, 3}, {4, 0}}; }

bool is_seen(ColouredShape shape) {
    const std::vector<ColouredShape> unseen = unseen_shapes();
    return std::find(unseen.begin(), unseen.end(), shape) == unseen.end();
}

std::vector<ColouredShape> seen_shapes() {
    std::vector<ColouredShape> seen;
    for (const ColouredShape shape : all_shapes())
        if (is_seen(shape)) seen.push_back(shape);
    return seen;
}

// Whether the pixel at offset (dy, dx) from the centre belongs to a shape that reaches `reach` pixels.
static bool belongs(int kind, int dy, int dx, int reach) {
    const int y = std::abs(dy), x = std::abs(dx), thin = reach / 3;
    if (y > reach || x > reach) return false;
    switch (kind) {
        case 0: return true;                            // square
        case 1: return y * y + x * x <= reach * reach;  // disc
        case 2: return y <= thin || x <= thin;          // cross
        default: return y <= thin;                      // bar
    }
}

void paint_shape(Image& image, ColouredShape shape, int centre_y, int centre_x, int reach) {
    require(image.channels == 3, "paint_shape: an image of ", image.channels, " channels, colours need three");
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x) {
            if (!belongs(shape.kind, y - centre_y, x - centre_x, reach)) continue;
            for (int c = 0; c < 3; ++c) image(y, x, c) += colour_values[shape.colour][c];
        }
}

Image empty_image(Random& random, int side) {
    Image image(side, side, 3);
    for (float& pixel : image.pixels) pixel = 0.05f * random.normal();
    return image;
}

Image image_of(ColouredShape shape, Random& random) {
    Image image = empty_image(random);
    const int centre_y = 5 + random.below(5), centre_x = 5 + random.below(5);  // 7 and up to 2 to each side
    paint_shape(image, shape, centre_y, centre_x, 5);
    return image;
}

std::vector<Image> images_of(const std::vector<ColouredShape>& shapes, Random& random) {
    std::vector<Image> images;
    for (const ColouredShape shape : shapes) images.push_back(image_of(shape, random));
    return images;
}

Image own_image(const std::string& path, int side) {
    return centre_crop(resize_shorter_side(in_colour(read_image(path)), side), side, side);
}

// --- words ---

int WordList::id(const std::string& word) const {
    const auto found = std::find(words.begin(), words.end(), word);
    std::string known;
    if (found == words.end())
        for (const std::string& one : words) known += " " + one;
    require(found != words.end(), "the word ", word, " is not one of", known);
    return static_cast<int>(found - words.begin());
}

std::vector<int> WordList::ids(const std::string& text) const {
    std::vector<int> result;
    for (const std::string& word : split(text, ' '))
        if (!word.empty()) result.push_back(id(word));
    return result;
}

std::string WordList::text(const std::vector<int>& ids) const {
    std::string line;
    for (const int id : ids) line += (line.empty() ? "" : " ") + words.at(static_cast<std::size_t>(id));
    return line;
}

WordList shape_words(const std::vector<std::string>& first, const std::vector<std::string>& last) {
    WordList list{first};
    for (const std::string word : {"a", "photo", "of"}) list.words.push_back(word);
    list.words.insert(list.words.end(), colour_words.begin(), colour_words.end());
    list.words.insert(list.words.end(), kind_words.begin(), kind_words.end());
    list.words.insert(list.words.end(), last.begin(), last.end());
    return list;
}

TokenBatch sentence_tokens(const std::vector<std::string>& texts, const WordList& words, int length) {
    std::vector<int> all;
    for (const std::string& text : texts) {
        std::vector<int> ids = words.ids("<start> " + text + " <end>");
        require(static_cast<int>(ids.size()) <= length, "\"", text, "\" has more than ", length - 2, " words");
        ids.resize(length, 0);
        all.insert(all.end(), ids.begin(), ids.end());
    }
    return equal_batch(all, length);
}

TokenBatch caption_tokens(const std::vector<ColouredShape>& shapes, const WordList& words) {
    std::vector<std::string> captions;
    for (const ColouredShape shape : shapes) captions.push_back(caption_of(shape));
    return sentence_tokens(captions, words, caption_length);
}

std::vector<std::string> parts_of_list(const std::string& list) {
    std::vector<std::string> parts;
    for (const std::string& part : split(list, ';')) {
        const std::size_t first = part.find_first_not_of(' '), last = part.find_last_not_of(' ');
        if (first != std::string::npos) parts.push_back(part.substr(first, last - first + 1));
    }
    require(!parts.empty(), "there is nothing in \"", list, "\"; separate several sentences by semicolons");
    return parts;
}

void check_own(const std::string& image, const std::string& text, const WordList& words) {
    if (!image.empty()) own_image(image);
    if (text.empty()) return;
    for (const std::string& sentence : parts_of_list(text)) words.ids(sentence);
}
