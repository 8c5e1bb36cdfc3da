// Picking rows of a Var by number: embeddings, and the tokens patch dropout keeps.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/ops/index.hpp>

#include <memory>

HLIP_BEGIN

/// out[i…, :] = table[index[i…], :].
template <class T, class B>
Var<T, B> index_select(const Var<T, B>& table, const Tensor<std::int64_t, B>& index) {
  const Shape shape = table.shape();
  return record("index_select", index_select(table.value(), index), {table},
                [index, shape](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  if (!grads.wants(0)) return;
                  // added where the gradient lies: it may be of many more rows than are picked
                  const GradSink<T> to = grads.sink(0);
                  const auto table_grad = Tensor<T, B>::wrap(std::shared_ptr<T>(), to.grad, shape);
                  if (!to.add) table_grad.fill(T(0));
                  add_rows_at(dy, index, table_grad);
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
  out.assign(x.value());
  add_rows_at(Tensor<T, B>(branch.value() * factor), index, out);
  return record("add_to_rows", out, {x, branch},
                [index, factor](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, dy);
                  if (grads.wants(1)) grads.add(1, Tensor<T, B>(index_select(dy, index) * factor));
                });
}

HLIP_END
