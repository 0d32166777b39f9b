#include "walkthroughs/toys/coloured_shapes.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("coloured_shapes");

TEST_CASE("seen_shapes, unseen_shapes: 16 and 4 of 20; every word of an unseen pair occurs in seen ones") {
    CHECK(all_shapes().size() == 20);
    CHECK(seen_shapes().size() == 16);
    for (const ColouredShape unseen : unseen_shapes()) {
        CHECK(!is_seen(unseen));
        int with_colour = 0, with_kind = 0;
        for (const ColouredShape seen : seen_shapes()) {
            with_colour += seen.colour == unseen.colour;
            with_kind += seen.kind == unseen.kind;
        }
        CHECK(with_colour == 3);
        CHECK(with_kind == 4);
    }
    CHECK(caption_of({0, 2}) == "a photo of a red cross");
    std::vector<std::string> names;
    for (const ColouredShape unseen : unseen_shapes()) names.push_back(name_of(unseen));
    CHECK(names == std::vector<std::string>{"red cross", "green disc", "blue bar", "white square"});
}

static int bright_pixels(const Image& image, int channel) {
    int count = 0;
    for (int y = 0; y < image.height; ++y)
        for (int x = 0; x < image.width; ++x) count += image(y, x, channel) > 0.5f;
    return count;
}

TEST_CASE("paint_shape: how many pixels each shape has") {
    // reach 5, thin 1: square 11 * 11; disc: the pixels with y^2 + x^2 <= 25, 11 + 2 (9 + 9 + 9 + 7 + 1); cross 11 * 3 + 3 * 8; bar 3 * 11
    const std::vector<int> pixels{121, 81, 57, 33};
    for (int kind = 0; kind < shape_kinds; ++kind) {
        Image image(16, 16, 3);
        paint_shape(image, {0, kind}, 7, 7, 5);
        CHECK(bright_pixels(image, 0) == pixels[kind]);
        CHECK(bright_pixels(image, 2) == 0);  // red
    }
}

TEST_CASE("paint_shape: adds the colour of the shape to its pixels, in an image of three channels") {
    const float values[shape_colours][3] = {
        {0.9f, 0.15f, 0.15f}, {0.15f, 0.8f, 0.2f}, {0.2f, 0.3f, 0.95f}, {0.9f, 0.85f, 0.1f}, {0.95f, 0.95f, 0.95f}};
    for (int colour = 0; colour < shape_colours; ++colour) {
        Image image(3, 3, 3, 1);
        paint_shape(image, {colour, 0}, 1, 2, 0);
        for (int c = 0; c < 3; ++c) {
            CHECK(image(1, 2, c) == 1 + values[colour][c]);
            image(1, 2, c) = 1;
        }
        CHECK(image.pixels == Image(3, 3, 3, 1).pixels);  // all others are as they were
        paint_shape(image, {colour, 0}, 1, 2, 1);         // two columns, at the right edge
        for (int y = 0; y < 3; ++y)
            for (int x = 0; x < 3; ++x) CHECK(image(y, x, 1) == (x == 0 ? 1 : 1 + values[colour][1]));
    }
    Image grey(3, 3, 1);
    CHECK_THROWS_WITH(paint_shape(grey, {0, 0}, 1, 1, 1), "paint_shape: an image of 1 channels, colours need three");
}

TEST_CASE("image_of: 25 centres from (5, 5) to (9, 9), on noise of standard deviation 0.05") {
    Random random(3);
    std::set<std::pair<int, int>> corners;
    double squares = 0;
    for (int trial = 0; trial < 400; ++trial) {
        const Image image = image_of({4, 0}, random);
        int top = image.height, left = image.width;
        for (int y = 0; y < image.height; ++y)
            for (int x = 0; x < image.width; ++x)
                if (image(y, x, 0) > 0.5f) top = std::min(top, y), left = std::min(left, x);
        corners.insert({top, left});
        squares += image(15, 15, 1) * image(15, 15, 1) / 400;  // no shape reaches the last row and column
    }
    CHECK(corners.size() == 25);
    CHECK(*corners.begin() == std::pair(0, 0));
    CHECK(*corners.rbegin() == std::pair(4, 4));
    CHECK(std::sqrt(squares) / 0.05 == Approx(1).epsilon(0.15));
}

TEST_CASE("image_of: the whole shape is inside the image for every centre") {
    Random random(3);
    for (int trial = 0; trial < 50; ++trial) CHECK(bright_pixels(image_of({4, 0}, random), 0) == 121);
}

TEST_CASE("WordList: words to ids and back, and an unknown word names the known ones") {
    const WordList list = shape_words({"<pad>"}, {"<end>"});
    CHECK(list.size() == 14);
    CHECK(list.text(list.ids("a photo of a  red cross <end>")) == "a photo of a red cross <end>");
    CHECK(list.id("<pad>") == 0);
    CHECK(list.id("<end>") == 13);
    const WordList small{{"on", "off"}};
    CHECK_THROWS_WITH(small.ids("on top"), "the word top is not one of on off");
}

TEST_CASE("sentence_tokens: start, words, end, padded with 0; rejects a longer text") {
    const WordList list = shape_words({"<pad>"}, {"<start>", "<end>"});
    const TokenBatch batch = sentence_tokens({"red cross", "a"}, list, 5);
    CHECK(batch.sequences == 2);
    CHECK(list.text(batch.ids) == "<start> red cross <end> <pad> <start> a <end> <pad> <pad>");
    CHECK(list.text(sentence_tokens({"a photo of"}, list, 5).ids) == "<start> a photo of <end>");
    CHECK_THROWS_WITH(sentence_tokens({"a photo of red"}, list, 5), "\"a photo of red\" has more than 3 words");
    CHECK(list.text(caption_tokens({{0, 2}}, list).ids) == "<start> a photo of a red cross <end>");
}

TEST_CASE("parts_of_list: between semicolons, without blanks at the ends") {
    CHECK(parts_of_list(" a red disc;blue bar ; ") == std::vector<std::string>{"a red disc", "blue bar"});
    CHECK(parts_of_list("  a red disc  ") == std::vector<std::string>{"a red disc"});
    CHECK_THROWS_WITH(parts_of_list(" ; "), "there is nothing in \" ; \"; separate several sentences by semicolons");
}

TEST_CASE("own_image: the middle of the user's image, grey in three channels") {
    const TemporaryFolder folder;
    const std::string colour = folder.file("colour.ppm", std::string("P6 6 2 255\n") + std::string(36, '\xff'));
    CHECK(shape(own_image(colour, 2)) == "2 x 2 x 3");
    CHECK(own_image(colour, 2)(0, 0, 0) == Approx(1));
    const std::string grey = folder.file("grey.pgm", std::string("P5 2 2 255\n") + std::string(4, '\xff'));
    CHECK(shape(own_image(grey, 2)) == "2 x 2 x 3");
    CHECK(own_image(grey, 2)(1, 1, 2) == Approx(1));
    const std::string none = folder.path("none.png");
    CHECK(error_of([&] { own_image(none); }).starts_with(none + ": "));
}

TEST_CASE("check_own: a missing image, an empty list and an unknown word throw; what is not given is not checked") {
    const TemporaryFolder folder;
    const WordList list = shape_words({"<pad>"}, {});
    const std::string white = folder.file("white.ppm", std::string("P6 1 1 255\n") + std::string(3, '\xff')),
                      none = folder.path("none.ppm");
    CHECK(error_of([&] { check_own("", "", list); }) == "");
    CHECK(error_of([&] { check_own(white, "a red disc; a bar", list); }) == "");
    CHECK(error_of([&] { check_own(none, "", list); }).starts_with(none + ": "));
    CHECK(error_of([&] { check_own("", "a red disc; an elephant", list); }).starts_with("the word an is not one of"));
    CHECK(error_of([&] { check_own("", ";", list); }) == error_of([] { parts_of_list(";"); }));
}

TEST_SUITE_END();
