// rearrange.h: operations that move numbers without computing. Their backward moves the gradients back.
//
//   throws   std::invalid_argument with the caller's line, the operation and the shapes
#pragma once
#include <vector>

#include "nn/autograd/variable.h"

Var transpose(const Var& a, Where where = Where::current());                    // (n, m) -> (m, n)
Var reshape(const Var& a, int rows, int cols, Where where = Where::current());  // the same numbers in the same order

Var slice_rows(const Var& a, int first, int count, Where where = Where::current());
Var slice_cols(const Var& a, int first, int count, Where where = Where::current());

// Stacks matrices of equal width vertically; joins matrices of equal height horizontally.
Var concat_rows(const std::vector<Var>& parts, Where where = Where::current());
Var concat_cols(const std::vector<Var>& parts, Where where = Where::current());

// Row i of the result is row indices[i] of a; a row may be taken several times (its gradients add up) or never.
Var gather_rows(const Var& a, const std::vector<int>& indices, Where where = Where::current());

// Column j of the result is column columns[j] of a; a column may be taken several times or never.
Var gather_cols(const Var& a, const std::vector<int>& columns, Where where = Where::current());

// Row i of the result is `count` rows of a side by side: rows indices[i * count], indices[i * count + 1], ...; -1 is a row of zeros.
//   a (r, m), n*count indices -> (n, count*m)
//   example  the input window of a 3 x 3 convolution at each pixel: nine rows side by side, zeros outside the image
Var gather_side_by_side(const Var& a, const std::vector<int>& indices, int count, Where where = Where::current());

// Adds row i mod t of `table` (t, m) to row i of a (k*t, m): position embeddings, the same for every sequence of a batch.
Var add_repeated(const Var& a, const Var& table, Where where = Where::current());

// Puts the row (1, m) before every group of `group` rows: (k*group, m) -> (k*(group+1), m). For a class token before each image.
Var prepend_to_each(const Var& row, const Var& a, int group, Where where = Where::current());

// Drops the first of every `group` rows: (k*group, m) -> (k*(group-1), m). Undoes prepend_to_each.
Var drop_first_of_each(const Var& a, int group, Where where = Where::current());
