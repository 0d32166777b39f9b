// activation.h: the nonlinearities between linear layers; without them, two linear layers would collapse into one.
//
//   paper    Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016, arXiv 1606.08415
//   note     three forms of GELU are in use, which differ by up to 5e-4 (tanh form) and 2e-2 (quick form) per element: a model
//            must use the form its checkpoint was trained with
#pragma once
#include <string>

#include "nn/autograd/variable.h"

enum class Activation {
    gelu,        // x P(X <= x), X standard normal: 0.5 x (1 + erf(x / sqrt 2)).   BERT, ViT, MAE
    gelu_tanh,   // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).             GPT-2 ("gelu_new")
    gelu_quick,  // x sigmoid(1.702 x).                                            CLIP
    relu,        // max(x, 0), derivative 0 at 0
    silu,        // x sigmoid(x), also called swish
};

// The activation function, element by element.
Var activate(const Var& x, Activation activation, Where where = Where::current());

// The activation of a name in published configurations: "gelu" or "gelu_python"; "gelu_new", "gelu_fast" or "gelu_pytorch_tanh"
// (tanh form); "quick_gelu"; "relu"; "silu" or "swish". The configurations of GPT (2018) say "gelu" and mean the tanh form.
//   throws  std::invalid_argument for any other name
Activation activation_of_name(const std::string& name);
std::string name_of_activation(Activation activation);  // a name that activation_of_name reads back
