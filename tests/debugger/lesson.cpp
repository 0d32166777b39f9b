// lesson.cpp: what tests/tools/debugger_test.cpp steps through in gdb. Never run for its own sake.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "nn/autograd/variable.h"
#include "nn/base/matmul.h"
#include "nn/base/matrix.h"
#include "nn/data/image.h"

struct Lesson {
    int steps = 0;
    void step(const std::string&) { ++steps; }
};

static float half(float x) { return x / 2; }

// Calls into the standard library in many ways: step must go over all of them.
static Matrix sort_halves(const Matrix& z) {
    std::vector<float> numbers;
    for (const float x : z) numbers.push_back(half(x));
    std::sort(numbers.begin(), numbers.end(), std::greater<float>());
    const std::string name = "z of shape " + shape(z);
    Matrix sorted(z.rows, z.cols, static_cast<float>(name.size()));
    std::copy(numbers.begin(), numbers.end(), sorted.begin());
    return sorted;
}

static float walk(Lesson& lesson) {
    const Matrix z{{1, 2.5f, -3}, {4, 0, 1e8f}};
    lesson.step("Which half is the largest?");
    const Matrix sorted = sort_halves(z);
    const Matrix large(20, 30, 0.5f);
    const Slice right{z.begin() + 1, 2, 2, 3, 1};  // the last two columns of z
    const Var v = parameter(slice_cols(sorted, 0, 2));
    Image image(2, 3, 1, 0.25f);
    image(1, 2, 0) = 1;
    lesson.step("What is their sum?");
    const std::function<float(float)> same = half;
    const float sum = same(large(0, 0)) + v.value()(0, 0) + image(1, 2, 0);
    return sum + right(0, 0);
}

int main() {
    Lesson lesson;
    return walk(lesson) > 0 && lesson.steps == 2 ? 0 : 1;
}
