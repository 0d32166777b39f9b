// small_weights.h: a model's weights as bfloat16 or int8 while it generates text.
//
//   shows    that only weights that are multiplied for every token need to be small; one forward pass determines which they are
//   use      const SmallWeights small(WeightFormat::int8, [&] { reader.read(one_token); });   // for any model
//            generate(prompt, reader, ...);                                    // products of a few rows read the small form
//   exact    The model's own weights are rounded to the values of the small form. So a prompt, whose many rows multiply the floats,
//            and single tokens, which multiply the small form, see the same numbers.
//   note     Both forms stay in memory; fewer bytes are read for each token.
//   next     small_matrix.h; walkthroughs/gpt/small_weights.cpp
#pragma once
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "nn/autograd/small_matrix.h"
#include "nn/autograd/variable.h"

enum class WeightFormat { float32, bfloat16, int8 };

// "f32", "bf16", "int8"
WeightFormat weight_format(const std::string& name);  // throws std::invalid_argument for another name
std::string name_of(WeightFormat format);

// A parameter that a pass multiplies by.
struct Multiplied {
    Var weight;
    bool outputs_are_rows = false;  // (out, in), multiplied by its transpose; else (in, out), as in linear()
};

// The parameters on the right of the products in a pass, each once, in the order of their first use.
//   throws  std::invalid_argument when one is multiplied both as it is and transposed
std::vector<Multiplied> multiplied_in(const std::function<void()>& pass);

// While one exists, linear() and matmul_transposed() read the small form of the weights. They nest: the innermost counts.
class SmallWeights {
public:
    // Rounds the weights that `pass` multiplies by, for good, and makes their small forms. float32: only counts them.
    // While this exists the weights must not change (by a training step, by load).
    //   pass    reads one token, for example
    //   throws  std::invalid_argument when a weight is not finite; nothing is changed then
    SmallWeights(WeightFormat format, const std::function<void()>& pass);
    ~SmallWeights();
    SmallWeights(const SmallWeights&) = delete;

    double bytes = 0;    // of all these weights, which every token reads once
    double numbers = 0;  // how many they are

    // x W, or x W^T, from the small form of the weight. (0, 0) without one, and for more rows than read it faster than the floats.
    static Matrix product(const Matrix& x, const Var& weight, Where where);

private:
    using Small = std::variant<Bfloat16Rows, Int8Rows>;
    struct Entry {
        Var weight;  // keeps the record, so that no other gets its address
        Small small;
    };
    std::vector<Entry> entries;
    SmallWeights* outer;

    Matrix product_with(const Matrix& x, const Var& weight, Where where) const;
};
