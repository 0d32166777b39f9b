// convolution.h: convolution: the same matrix product at every position of a map.
//
//   shows    that a 3 x 3 convolution is nine rows side by side (im2col) and one product
//   symbols  k side of the kernel, s stride, C channels in, D channels out
//   source   Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv 1603.07285
//   note     As in every framework this is a cross-correlation: the kernel is not mirrored. No groups, no dilation.
#pragma once
#include <string>

#include "nn/layers/linear.h"
#include "nn/maps/map.h"

struct Convolution {
    Var weight;  // (k*k*C, D), rows in the order (kernel row, kernel column, channel), channel fastest
    Var bias;    // (1, D), or no value
};

// Initial weights for `in` channels, and a bias of 0. (In Xavier's formula: k*k*in in, k*k*out out.)
Convolution make_convolution(Random& random, int side, int in, int out, const Init& init = {});
Convolution make_convolution_without_bias(Random& random, int side, int in, int out, const Init& init = {});

// y(position) = sum over the pixels of the window of x(pixel) W(pixel) + b; padding counts as zeros.
//   x (images * H * W, C) -> (images * H' * W', D), H' and W' from size_after()
//   throws   std::invalid_argument when the window does not fit into the map, or the weight is not (k*k*C, D)
Map convolve(const Map& x, const Convolution& w, const Window& window, Where where = Where::current());

// The specification of convolve(): plain loops, in double.
Matrix convolve_textbook(const Matrix& x, const MapSize& size, const Matrix& weight, const Matrix& bias, const Window& window);

// A transposed convolution ("deconvolution") with stride k, so that nothing overlaps: every pixel becomes k x k pixels.
struct TransposedConvolution {
    Var weight;  // (C, k*k*D), columns in the order (kernel row, kernel column, channel), channel fastest
    Var bias;    // (1, D), or no value
};

TransposedConvolution make_transposed_convolution(Random& random, int side, int in, int out, const Init& init = {});

// y(k Y + i, k X + j) = x(Y, X) W(i, j) + b
//   x (images * H * W, C) -> (images * k H * k W, D)
//   throws   std::invalid_argument when the weight is not (C, k*k*D), or the bias not (1, D)
Map convolve_transposed(const Map& x, const TransposedConvolution& w, int side, Where where = Where::current());

// The specification: the map with k - 1 zeros between its pixels and k - 1 around it, convolved with the mirrored kernel.
Matrix convolve_transposed_textbook(const Matrix& x, const MapSize& size, const Matrix& weight, const Matrix& bias, int side);

// Adds `name`.weight and, if there is one, `name`.bias. Published as (D, C, k, k) by PyTorch (Stored::patches), as
// (k, k, C, D) by Flax (Stored::as_it_is).
void add_parameters(Parameters& table, const std::string& name, const Convolution& w, int side, Stored stored = Stored::patches);
// The same; published as (C, D, k, k) by PyTorch (Stored::deconvolution).
void add_parameters(Parameters& table, const std::string& name, const TransposedConvolution& w, int side);
