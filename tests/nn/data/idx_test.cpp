#include "nn/data/idx.h"

#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("idx");

// Two images of 1 x 3 pixels.
static const std::string two_images("\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x03\0\x33\xFF\x01\x02\x03", 22);
static const std::string three_labels("\0\0\x08\x01\0\0\0\x03\x07\0\xFF", 11);

static std::string refusal(const std::string& bytes) {
    return error_of([&] { parse_idx_images(bytes, "x"); });
}

TEST_CASE("parse_idx_images, parse_idx_labels: byte by byte") {
    const std::vector<Image> images = parse_idx_images(two_images, "x");
    REQUIRE(images.size() == 2);
    CHECK(shape(images[0]) == "1 x 3 x 1");
    CHECK(images[0].pixels == std::vector<float>{0, 0.2f, 1});
    CHECK(images[1](0, 2, 0) == 3.f / 255);
    CHECK(parse_idx_labels(three_labels, "x") == std::vector<int>{7, 0, 255});
}

TEST_CASE("read_labelled_images: the digits of the project: 1437 for training, 360 for testing, ten classes") {
    const std::string folder = "walkthroughs/data/digits-";
    const LabelledImages train = read_labelled_images(folder + "train-images.idx3-ubyte", folder + "train-labels.idx1-ubyte");
    const LabelledImages test = read_labelled_images(folder + "test-images.idx3-ubyte", folder + "test-labels.idx1-ubyte");
    CHECK(train.count() == 1437);
    CHECK(test.count() == 360);
    CHECK(train.classes == 10);
    CHECK(shape(train.images[5]) == "8 x 8 x 1");
}

TEST_CASE("parse_idx_images: an inconsistent file is refused in one line") {
    CHECK(refusal("") == "x: 0 bytes are too few for an IDX file of 3 dimensions");
    CHECK(refusal("\x1F\x8B") ==
          "x: is not an IDX file, it looks like a file compressed with gzip; unpack it first: gunzip -k FILE");
    std::string other = two_images;
    other[0] = 1;
    CHECK(refusal(other) == "x: is not an IDX file, it must begin with two bytes 0");
    other = two_images;
    other[2] = 0x0D;
    CHECK(refusal(other) == "x: holds numbers of type 13, only bytes (type 8) are read");
    other = two_images;
    other[3] = 2;
    CHECK(refusal(other) == "x: has 2 dimensions, 3 are needed (images)");
    CHECK_THROWS_WITH(parse_idx_labels(two_images, "x"), "x: has 3 dimensions, 1 is needed (labels)");
    other = two_images;
    other[11] = 0;
    CHECK(refusal(other) == "x: dimension 2 is 0, it must be at least 1");
    CHECK(refusal(two_images + "x") == "x: the header promises 6 numbers, the file holds 7");
    // 65536 x 65536 x 65536 = 2^48, which 32 bits would take for 0
    CHECK(refusal(std::string("\0\0\x08\x03\0\x01\0\0\0\x01\0\0\0\x01\0\0", 16)) ==
          "x: the header promises at least 2147483648 numbers, the file holds 0");
    std::string largest = two_images.substr(0, 4);
    largest.append(12, '\xFF');
    CHECK(refusal(largest) == "x: the header promises at least 2147483648 numbers, the file holds 0");
}

TEST_CASE("parse_idx_images: a truncated file is refused, wherever it is cut") {
    for (std::size_t length = 0; length < two_images.size(); ++length)
        CHECK_MESSAGE(refusal(two_images.substr(0, length)) != "", length);
    for (std::size_t length = 0; length < three_labels.size(); ++length)
        CHECK_MESSAGE(error_of([&] { parse_idx_labels(three_labels.substr(0, length), "x"); }) != "", length);
}

TEST_CASE("read_labelled_images: the numbers of labels and images must be equal") {
    const TemporaryFolder folder;
    const std::string images = folder.file("i", two_images), labels = folder.file("l", three_labels);
    CHECK(error_of([&] { read_labelled_images(images, labels); }) ==
          labels + ": 3 labels for the 2 images of " + images + ", each needs one");
    const std::string two_labels = folder.file("m", std::string("\0\0\x08\x01\0\0\0\x02\x04\x02", 10));
    const LabelledImages both = read_labelled_images(images, two_labels);
    CHECK(both.labels == std::vector<int>{4, 2});
    CHECK(both.classes == 5);
}
