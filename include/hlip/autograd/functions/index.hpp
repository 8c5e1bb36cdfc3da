// Picking rows of a Var by number: embeddings, and the tokens patch dropout keeps.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/ops/index.hpp>

HLIP_BEGIN

/// out[i…, :] = table[index[i…], :].
template <class T, class B>
Var<T, B> index_select(const Var<T, B>& table, const Tensor<std::int64_t, B>& index) {
  const index_t rows = table.dim(0);
  return record("index_select", index_select(table.value(), index), {table},
                [index, rows](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, scatter_add(dy, index, rows));
                });
}

/// out[index[i…], :] += x[i…, :], starting from zeros with `rows` rows.
template <class T, class B>
Var<T, B> scatter_add(const Var<T, B>& x, const Tensor<std::int64_t, B>& index, index_t rows) {
  return record("scatter_add", scatter_add(x.value(), index, rows), {x},
                [index](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, index_select(dy, index));
                });
}

HLIP_END
