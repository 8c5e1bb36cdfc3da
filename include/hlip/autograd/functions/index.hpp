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

/// x, to some of whose rows scaled others are added: out[index[i], :] += factor[i] · branch[i, :].
/// @param x (rows, C)  @param index (n), each row at most once  @param branch (n, C)
/// @param factor (n, 1)  @param out memory for the result
template <class T, class B>
Var<T, B> add_to_rows(const Var<T, B>& x, const Tensor<std::int64_t, B>& index,
                      const Var<T, B>& branch, const Tensor<T, B>& factor,
                      const Tensor<T, B>& out) {
  out.assign(x.value() + scatter_add(Tensor<T, B>(branch.value() * factor), index, x.dim(0)));
  return record("add_to_rows", out, {x, branch},
                [index, factor](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, dy);
                  if (grads.wants(1)) grads.add(1, Tensor<T, B>(index_select(dy, index) * factor));
                });
}

HLIP_END
