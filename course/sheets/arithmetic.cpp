// arithmetic.cpp: worksheets on attention, softmax, layer normalisation and patches.
#include <algorithm>
#include <string>
#include <utility>

#include "course/sheets/sheet.h"
#include "nn/autograd/operations.h"
#include "nn/data/patches.h"
#include "nn/layers/mask.h"
#include "nn/layers/norm.h"
#include "nn/text/batch.h"

// 1, 2 or 3, whose logarithms are the scores.
static std::vector<std::vector<int>> drawn_arguments(Random& random, int rows, int cols) {
    std::vector<std::vector<int>> arguments(rows, std::vector<int>(cols));
    for (std::vector<int>& row : arguments) {
        for (int& argument : row) argument = 1 + random.below(3);
        row[random.below(cols)] = 3;  // not all equal
        row[0] = row[0] == 3 && row[1] == 3 ? 1 : row[0];
    }
    return arguments;
}

static void add_rows(Sheet& sheet, const std::vector<std::string>& rows) {
    sheet.given.insert(sheet.given.end(), rows.begin(), rows.end());
}

static const SheetMaker attention_sheet(1, "attention", [](Sheet& sheet, Random& random) {
    sheet.title = "Attention";
    sheet.equation = "A = softmax(scores) in each row,  context = A v";
    sheet.header = "nn/layers/attention.h";
    const std::vector<std::vector<int>> arguments = drawn_arguments(random, 2, 3);
    Matrix v(3, 1);
    for (float& x : v) x = static_cast<float>(1 + random.below(9));
    const Matrix A = softmax_rows(logarithms(arguments)).value();  // (2, 3)
    const Matrix context = matmul(A, v);                           // (2, 1)
    sheet.given = {"Two queries, three keys. Scores, already divided by sqrt(h):"};
    add_rows(sheet, logarithm_rows(arguments));
    sheet.given.push_back("The values of the three keys, one number each:");
    sheet.given.push_back(row_text(transpose(v), 0));
    for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 3; ++j) sheet.ask("A(" + text(i) + ", " + text(j) + ")", A(i, j));
        sheet.ask("the context of query " + text(i), context(i, 0));
    }
});

static const SheetMaker softmax_sheet(2, "softmax_backward", [](Sheet& sheet, Random& random) {
    sheet.title = "The gradient of softmax";
    sheet.equation = "p = softmax(s),  ds_j = p_j (dp_j - sum over k of p_k dp_k)";
    sheet.header = "nn/autograd/operations.h";
    const std::vector<std::vector<int>> arguments = drawn_arguments(random, 1, 3);
    Matrix dp(1, 3);
    for (float& x : dp) x = static_cast<float>(random.below(13) - 6);
    const Var s = parameter(logarithms(arguments));
    const Tape tape;
    const Var p = softmax_rows(s);
    backward(sum(multiply(p, dp)));
    sheet.given = {"Scores s:"};
    add_rows(sheet, logarithm_rows(arguments));
    sheet.given.push_back("The gradient dp that arrives at p:");
    sheet.given.push_back(row_text(dp, 0));
    for (int j = 0; j < 3; ++j) sheet.ask("p(" + text(j) + ")", p.value()(0, j));
    for (int j = 0; j < 3; ++j) sheet.ask("ds(" + text(j) + ")", s.gradient()(0, j));
});

static const SheetMaker norm_sheet(3, "layer_norm", [](Sheet& sheet, Random& random) {
    sheet.title = "Layer normalisation";
    sheet.equation = "y = (x - mean) / sigma * gain + bias,  sigma^2 = mean of (x - mean)^2";
    sheet.header = "nn/layers/norm.h";
    const float pattern[4] = {7, 1, -1, -7};  // mean 0, sigma 5
    const std::vector<int> order = permutation(random, 4);
    const int mean = random.below(11) - 5, factor = 1 + random.below(3);
    Matrix x(1, 4), gain(1, 4), bias(1, 4);
    for (std::size_t j = 0; j < x.size(); ++j) {
        x[j] = static_cast<float>(mean) + static_cast<float>(factor) * pattern[order[j]];
        gain[j] = static_cast<float>(1 + random.below(5));
        bias[j] = static_cast<float>(random.below(5) - 2);
    }
    const Matrix y = layer_norm(x, {.gain = gain, .bias = bias}, 0).value();
    sheet.given = {"One token x, D = 4, its gain and its bias (eps is 0):", row_text(x, 0), row_text(gain, 0), row_text(bias, 0)};
    sheet.ask("the mean", mean);
    sheet.ask("sigma", 5 * factor);
    for (int j = 0; j < 4; ++j) sheet.ask("y(" + text(j) + ")", y(0, j));
});

static const SheetMaker patch_sheet(4, "patchify", [](Sheet& sheet, Random& random) {
    sheet.title = "Patches";
    sheet.equation = "(H, W, C) -> (N, P P C): a patch's pixel rows in order, channel fastest";
    sheet.header = "nn/data/patches.h";
    const std::vector<int> numbers = permutation(random, 16);
    Matrix pixels(4, 4);
    std::copy(numbers.begin(), numbers.end(), pixels.begin());
    Image image(4, 4, 1);
    image.pixels.assign(pixels.begin(), pixels.end());
    const Matrix patches = patchify(image, 2);  // (4, 4)
    sheet.given = {"An image of 4 x 4 pixels, one channel, cut into patches of side 2:"};
    for (int y = 0; y < pixels.rows; ++y) sheet.given.push_back(row_text(pixels, y));
    const int other = 1 + random.below(2);  // patch 1 or 2: one of them is not beside, the other not below patch 0
    for (const auto& [patch, col] : std::vector<std::pair<int, int>>{{0, 1}, {0, 2}, {other, 0}, {other, 3}, {3, 2}})
        sheet.ask("row " + text(patch) + ", column " + text(col) + " of the patches", patches(patch, col));
    sheet.ask("the row of the patches that holds the last pixel of the first image row", 1);
});

static const SheetMaker mask_sheet(5, "causal_and_padding", [](Sheet& sheet, Random& random) {
    sheet.title = "Causal mask and padding";
    sheet.equation = "a query attends to a key that is not padding, at its own position or before it";
    sheet.header = "nn/layers/mask.h, nn/text/batch.h";
    const int T = 5 + random.below(2), missing = 1 + random.below(2);
    const Side side = random.below(2) == 0 ? Side::right : Side::left;
    const std::vector<int> whole(T, 7), part(T - missing, 7);
    const MayAttend may = attending(make_batch({whole, part}, 0, side), true).may;
    sheet.given = {"Two texts of " + text(T) + " and " + text(T - missing) + " tokens, padded on the " +
                   (side == Side::left ? "left" : "right") + " to " + text(T) + "."};
    const auto allowed = [&](int text_number, int query) {
        int count = 0;
        for (int key = 0; key < T; ++key) count += may(text_number * T + query, key);
        return count;
    };
    const auto pairs = [&](int text_number) {
        int count = 0;
        for (int query = 0; query < T; ++query) count += allowed(text_number, query);
        return count;
    };
    sheet.ask("how many keys the query at position 2 of the first text attends to", allowed(0, 2));
    sheet.ask("and the one at position " + text(T - 1) + " of the second text", allowed(1, T - 1));
    sheet.ask("and the one at position 1 of the second text", allowed(1, 1));
    sheet.ask("all pairs of query and key that are allowed in the first text", pairs(0));
    sheet.ask("and in the second text, rows of padding included", pairs(1));
});
