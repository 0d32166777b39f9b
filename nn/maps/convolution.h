// convolution.h: the same small matrix product at every pixel of a map.
//
//   shows    that a 3 x 3 convolution is nine rows side by side and one product
//   symbols  k side of the kernel, s stride, C channels in, D channels out
//   source   Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv 1603.07285
//   note     As in every framework this is a cross-correlation: the kernel is not mirrored. Groups and dilation do not exist here.
#pragma once
#include <string>

#include "nn/layers/linear.h"
#include "nn/maps/map.h"

struct Convolution {
    Var weight;  // (k*k*C, D), rows in the order (kernel row, kernel column, channel), channel fastest
    Var bias;    // (1, D), or no value at all
};

// Fresh weights for `in` channels, and a bias of 0. (Xavier's formula counts k*k*in numbers in and k*k*out out.)
Convolution make_convolution(Random& random, int side, int in, int out, const Init& init = {});
Convolution make_convolution_without_bias(Random& random, int side, int in, int out, const Init& init = {});

// y(place) = sum over the pixels of the window of x(pixel) W(pixel) + b; padding counts as zeros.
//   x (images * H * W, C) -> (images * H' * W', D), H' and W' as size_after() says
//   throws   std::invalid_argument when the window does not fit into the map, or the weight is not (k*k*C, D)
Map convolve(const Map& x, const Convolution& w, const Window& window, Where where = Where::current());

// The textbook form of the same, in plain loops and in double: the specification of convolve().
Matrix convolve_textbook(const Matrix& x, const MapSize& size, const Matrix& weight, const Matrix& bias, const Window& window);

// A transposed convolution ("deconvolution") whose stride is its kernel, so that nothing overlaps: every pixel becomes k x k pixels.
struct TransposedConvolution {
    Var weight;  // (C, k*k*D), columns in the order (row in the square, column in the square, channel), channel fastest
    Var bias;    // (1, D), or no value at all
};

TransposedConvolution make_transposed_convolution(Random& random, int side, int in, int out, const Init& init = {});

// y(k Y + i, k X + j) = x(Y, X) W(i, j) + b
//   x (images * H * W, C) -> (images * k H * k W, D)
//   throws   std::invalid_argument when the weight is not (C, k*k*D), or the bias not (1, D)
Map convolve_transposed(const Map& x, const TransposedConvolution& w, int side, Where where = Where::current());

// The textbook form: the map with k - 1 zeros put between its pixels and k - 1 around it, convolved with the mirrored kernel.
Matrix convolve_transposed_textbook(const Matrix& x, const MapSize& size, const Matrix& weight, const Matrix& bias, int side);

// Adds `name`.weight and, where there is one, `name`.bias. Published as (D, C, k, k) by PyTorch (Stored::patches), as
// (k, k, C, D) by Flax (Stored::as_it_is).
void add_parameters(Parameters& table, const std::string& name, const Convolution& w, int side, Stored stored = Stored::patches);
// The same; published as (C, D, k, k) by PyTorch (Stored::deconvolution).
void add_parameters(Parameters& table, const std::string& name, const TransposedConvolution& w, int side);
