// coloured_shapes.h: a synthetic world of captioned images: a square, disc, cross or bar in one of five colours.
//
//   shows   compositional generalisation: a model is trained on 16 of the 20 pairs of colour and shape and tested on the other
//           four, whose words occur in training, but not together
//   sizes   16 x 16 pixels, 3 channels, values about 0 ... 1; a shape reaches 5 pixels from its centre, which moves by up to 2
//   used by the lessons of walkthroughs/vit/language
#pragma once
#include <string>
#include <vector>

#include "nn/base/random.h"
#include "nn/data/image.h"
#include "nn/text/batch.h"

inline constexpr int shape_colours = 5, shape_kinds = 4;
inline constexpr int shape_image_side = 16;

// A pair of colour and shape: "red cross".
struct ColouredShape {
    int colour = 0;  // red green blue yellow white
    int kind = 0;    // square disc cross bar

    bool operator==(const ColouredShape&) const = default;
};

const std::string& colour_word(int colour);
const std::string& kind_word(int kind);
std::string name_of(ColouredShape shape);     // "red cross"
std::string caption_of(ColouredShape shape);  // "a photo of a red cross"

// All 20, colour by colour; the 16 to train on; and the four held out: red cross, green disc, blue bar, white square.
std::vector<ColouredShape> all_shapes();
std::vector<ColouredShape> seen_shapes();
std::vector<ColouredShape> unseen_shapes();
bool is_seen(ColouredShape shape);

// Paints a shape that reaches `reach` pixels from its centre.
void paint_shape(Image& image, ColouredShape shape, int centre_y, int centre_x, int reach);

// Dark grey with noise of standard deviation 0.05.
Image empty_image(Random& random, int side = shape_image_side);

// An image of the shape, its centre moved at random.
Image image_of(ColouredShape shape, Random& random);
std::vector<Image> images_of(const std::vector<ColouredShape>& shapes, Random& random);

// An image of the user's own as these models read it: grey in three channels, shorter side resized, the middle cut out.
//   throws  std::invalid_argument with the path as read_image does
Image own_image(const std::string& path, int side = shape_image_side);

// --- words ---

// A vocabulary of whole words: word i has the id i.
struct WordList {
    std::vector<std::string> words;

    int size() const { return static_cast<int>(words.size()); }
    int id(const std::string& word) const;                // throws std::invalid_argument with all known words
    std::vector<int> ids(const std::string& text) const;  // words between blanks
    std::string text(const std::vector<int>& ids) const;
};

// A vocabulary of `first`, the words of captions and names, and `last`.
WordList shape_words(const std::vector<std::string>& first, const std::vector<std::string>& last);

// "<start> a photo of a red cross <end>" for each text, filled up with id 0 to `length` tokens.
//   throws  std::invalid_argument for a text that is longer
TokenBatch sentence_tokens(const std::vector<std::string>& texts, const WordList& words, int length);

// The captions of shapes as such tokens: 8 of each.
inline constexpr int caption_length = 8;
TokenBatch caption_tokens(const std::vector<ColouredShape>& shapes, const WordList& words);

// The parts between semicolons, without blanks at the ends.   throws std::invalid_argument when that is nothing
std::vector<std::string> parts_of_list(const std::string& list);

// Reads the user's own image and sentences, where given, before anything is trained: an error appears at once.
//   throws  std::invalid_argument as own_image, parts_of_list and WordList::ids do
void check_own(const std::string& image, const std::string& text, const WordList& words);
