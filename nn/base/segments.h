// segments.h: where each sequence of a batch begins and ends.
//
//   shows    that a batch needs no dimension of its own: it is row ranges of one matrix
//   used by  attention (nn/layers/attention.h) and the operations that sum over rows (nn/autograd/rows.h); every other layer
//            treats rows one by one and never asks
#pragma once
#include <vector>

// Where each sequence of a batch begins and how many rows it has.
struct Segment {
    int first;
    int count;
};
struct Segments {
    std::vector<Segment> list;

    static Segments one(int rows) { return {{{0, rows}}}; }
    static Segments equal(int count, int length);          // `count` sequences of `length` rows, one below the other
    static Segments of(const std::vector<int>& lengths);   // sequences of these lengths, one below the other

    int size() const { return static_cast<int>(list.size()); }
    int longest() const;
    int rows() const;  // of all segments together
    std::vector<int> first_rows() const;  // of every segment: where a class token stands
};
