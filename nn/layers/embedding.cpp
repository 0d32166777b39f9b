#include "nn/layers/embedding.h"

#include "nn/autograd/rearrange.h"

Var make_embedding(Random& random, int vocabulary, int width, const Init& init) {
    return make_weight(random, vocabulary, width, init);
}

void require_shape(std::string_view who, std::string_view what, const Var& matrix, int rows, int cols) {
    require(static_cast<bool>(matrix), who, ": the weights hold no ", what, ", the configuration says (", rows, ", ", cols,
            "); pass the configuration that the weights were made with");
    require(matrix.rows() == rows && matrix.cols() == cols, who, ": the ", what, " is ", matrix.value(),
            ", the configuration says (", rows, ", ", cols, "); pass the configuration that the weights were made with");
}

Var embed(const Var& table, const std::vector<int>& ids, Where where) {
    for (const int id : ids)
        require(id >= 0 && id < table.rows(), where, "embed: id ", id, " is outside a table of ", table.rows(),
                " rows, counted from 0");
    return gather_rows(table, ids, where);
}
