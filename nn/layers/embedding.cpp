#include "nn/layers/embedding.h"

#include "nn/autograd/rearrange.h"

Var make_embedding(Random& random, int vocabulary, int width, const Init& init) {
    return make_weight(random, vocabulary, width, init);
}

Var embed(const Var& table, const std::vector<int>& ids, Where where) {
    for (const int id : ids)
        require(id >= 0 && id < table.rows(), where, "embed: id ", id, " is outside a table of ", table.rows(),
                " rows, counted from 0");
    return gather_rows(table, ids, where);
}
