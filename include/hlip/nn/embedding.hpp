// Embedding: rows of a table by number.
#pragma once

#include <hlip/autograd/functions/index.hpp>
#include <hlip/nn/init.hpp>
#include <hlip/nn/module.hpp>

HLIP_BEGIN

/// A table of vectors, read by row number.
template <class T = float, class B = Cpu> struct Embedding {
  using value_type = T;
  using backend = B;
  Var<T, B> weight;  ///< (rows, dim)

  Embedding() = default;
  Embedding(index_t rows, index_t dim, double std, Initializer& init)
      : weight(init.normal<T, B>({rows, dim}, std)) {}
  template <class V> void visit(V&& v) { v("weight", weight); }
  /// @param ids any shape, each in [0, rows)  @return ids.shape + (dim)
  Var<T, B> operator()(const Tensor<std::int64_t, B>& ids) const {
    return index_select(weight, ids);
  }
};

HLIP_END
