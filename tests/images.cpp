#include "tests/images.h"

#include <algorithm>

std::vector<Image> images_of_fixture(const Matrix& numbers, int channels, int height) {
    std::vector<Image> images;
    for (int first = 0; first < numbers.rows; first += channels * height)
        images.push_back(image_from_channels_first(numbers.row(first), channels, height, numbers.cols));
    return images;
}

Matrix as_in_fixture(const std::vector<Image>& images) {
    const Image& first = images.at(0);
    Matrix numbers(static_cast<int>(images.size()) * first.channels * first.height, first.width);
    float* to = numbers.begin();
    for (const Image& image : images) {
        const std::vector<float> stored = channels_first(image);
        to = std::copy(stored.begin(), stored.end(), to);
    }
    return numbers;
}
