// lesson.cpp: what tests/tools/debugger_test.cpp steps through in gdb. Never run for its own sake.
#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
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

// The constructor and the destructor are the compiler's, and would be shown as this line.
struct Halves {  // step passes by
    std::vector<float> numbers;
    int size() const { return static_cast<int>(numbers.size()); }  // step passes by
};

static void check(const Matrix& z) { require(z.rows > 0, "sort_halves: no rows"); }  // step passes by

// Calls into the standard library in many ways: step must go over all of them.
static Matrix sort_halves(const Matrix& z) {
    check(z);
    Halves halves;
    for (const float x : z) halves.numbers.push_back(half(x));
    std::sort(halves.numbers.begin(), halves.numbers.end(), std::greater<float>());
    const Halves again = halves;
    const std::string name = "z of shape " + shape(z) + text(again.size());
    Matrix sorted(z.rows, z.cols, static_cast<float>(name.size()));
    std::copy(again.numbers.begin(), again.numbers.end(), sorted.begin());
    return sorted;
}

static float total(const std::vector<std::vector<float>>& rows) { return rows[0][0] + rows[1][0]; }

// So that what a later function has not constructed yet does not look like an empty container.
static void leave_rubbish() {
    [[maybe_unused]] volatile char rubbish[4096];
    for (int k = 0; k < 4096; ++k) rubbish[k] = 0x5a;
}

static float walk(Lesson& lesson, const std::function<float(float)>& same) {
    const Matrix z{{1, 2.5f, -3}, {4, 0, 1e8f}};
    lesson.step("Which half is the largest?");
    const Matrix sorted = sort_halves(z);
    const Matrix large(20, 30, 0.5f);
    const Slice right{z.begin() + 1, 2, 2, 3, 1};  // the last two columns of z
    const Var v = parameter(slice_cols(sorted, 0, 2));
    Image image(2, 3, 1, 0.25f);
    image(1, 2, 0) = 1;
    const Matrix wide(2, 9, -12.5f);
    lesson.step("What is their sum?");
    const float sum = same(large(0, 0)) + v.value()(0, 0) + image(1, 2, 0);
    const std::vector<std::vector<float>> rows{{sum}, {right(0, 0)}};
    const std::string words = "after " + shape(wide);
    const std::map<std::string, float> named{{words, sum}};
    const std::set<int> numbers{1, 2};
    const std::unordered_map<int, int> squares{{2, 4}};
    return total(rows) + named.at(words) - sum;
}  // walk

int main() {
    Lesson lesson;
    leave_rubbish();
    return walk(lesson, half) > 0 && lesson.steps == 2 ? 0 : 1;
}
