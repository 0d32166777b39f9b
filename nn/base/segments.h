// segments.h: the row range of each sequence of a batch.
//
//   shows    that a batch needs no dimension of its own: it is row ranges of one matrix
//   used by  attention (nn/layers/attention.h) and the operations that sum over rows (nn/autograd/rows.h); every other layer
//            treats each row by itself
#pragma once
#include <vector>

// The rows first ... first + count - 1.
struct Segment {
    int first;
    int count;
};
struct Segments {
    std::vector<Segment> list;

    static Segments one(int rows) { return {{{0, rows}}}; }
    static Segments equal(int count, int length);         // `count` consecutive sequences of `length` rows
    static Segments of(const std::vector<int>& lengths);  // consecutive sequences of these lengths

    int size() const { return static_cast<int>(list.size()); }
    int longest() const;                  // number of rows of the longest segment; 0 without segments
    int rows() const;                     // of all segments together
    std::vector<int> first_rows() const;  // of each segment: the row of its class token, if the model has one
};
