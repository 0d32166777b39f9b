#include "nn/base/segments.h"

#include <algorithm>
#include <limits>

#include "nn/base/require.h"

Segments Segments::equal(int count, int length) {
    require(count >= 0, "Segments: ", count, " sequences of ", length, " rows, there cannot be fewer than 0");
    require(long{count} * length <= std::numeric_limits<int>::max(), "Segments: ", count, " sequences of ", length,
            " rows are more than 2147483647 rows, the maximum of a matrix");
    return of(std::vector<int>(count, length));
}

Segments Segments::of(const std::vector<int>& lengths) {
    Segments segments;
    int first = 0;
    for (const int length : lengths) {
        require(length >= 0 && first <= std::numeric_limits<int>::max() - length, "Segments: a sequence of ", length,
                " rows after ", first, "; it cannot be negative, and all together are at most 2147483647");
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
