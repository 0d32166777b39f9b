#include "nn/base/segments.h"

#include <algorithm>

Segments Segments::equal(int count, int length) { return of(std::vector<int>(count, length)); }

Segments Segments::of(const std::vector<int>& lengths) {
    Segments segments;
    int first = 0;
    for (const int length : lengths) {
        segments.list.push_back({first, length});
        first += length;
    }
    return segments;
}

int Segments::longest() const {
    int longest = 0;
    for (const Segment& segment : list) longest = std::max(longest, segment.count);
    return longest;
}

int Segments::rows() const {
    int rows = 0;
    for (const Segment& segment : list) rows += segment.count;
    return rows;
}

std::vector<int> Segments::first_rows() const {
    std::vector<int> rows;
    for (const Segment& segment : list) rows.push_back(segment.first);
    return rows;
}
