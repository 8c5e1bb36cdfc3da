// Weight normalisation: a matrix whose rows have a direction v and a length g. Its rows can be
// made, and differentiated, some at a time, so that the matrix is never held.
// Source: Salimans and Kingma 2016, "Weight normalization".
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/ops/reduce.hpp>
#include <hlip/tensor/check.hpp>

#include <algorithm>
#include <memory>

HLIP_BEGIN

/// Rows that are made at a time. The same for every backend and number of threads: sums over all of
/// them depend on it by rounding.
inline constexpr index_t normalised_rows_at_a_time = 1024;

/// Calls fn(first, end) for pieces of `rows` rows, from the first one on.
template <class Fn> void for_normalised_rows(index_t rows, Fn&& fn) {
  for (index_t first = 0; first < rows; first += normalised_rows_at_a_time)
    fn(first, std::min(rows, first + normalised_rows_at_a_time));
}

/// Where the gradients of g (out, 1) and v (out, in) of a weight-normalised matrix go, as inputs of
/// an operation. Rows are written to their place: what is handed over in pieces is nowhere whole
/// but there.
template <class T, class B> class WeightNormSinks {
 public:
  /// @param of_g, of_v numbers of the inputs
  WeightNormSinks(InputGrads<T, B>& grads, std::size_t of_g, std::size_t of_v, index_t out,
                  index_t in)
      : g_(grads, of_g, out, 1), v_(grads, of_v, out, in) {}
  bool wanted() const { return g_.wanted() || v_.wanted(); }
  template <class Dg, class Dv> void put(index_t first, const Dg& dg, const Dv& dv) const {
    g_.put(first, dg);
    v_.put(first, dv);
  }

 private:
  struct Sink {
    Tensor<T, B> rows;  // empty: not wanted
    bool add = false;

    Sink(InputGrads<T, B>& grads, std::size_t input, index_t out, index_t columns) {
      if (!grads.wants(input)) return;
      const GradSink<T> to = grads.sink(input);
      rows = Tensor<T, B>::wrap(std::shared_ptr<T>(), to.grad, {out, columns});
      add = to.add;
    }
    bool wanted() const { return rows.numel() > 0; }
    template <class E> void put(index_t first, const E& e) const {
      if (!wanted()) return;
      const Tensor<T, B> at = rows.slice(0, first, first + e.shape()[0]);
      if (add) at.assign(at + e);
      else at.assign(e);
    }
  };
  Sink g_, v_;
};

/// Rows [first, end) of g · v / ‖v‖.
template <class T, class B> struct WeightNormRows {
  index_t first;
  Tensor<T, B> v;        ///< (rows, in)
  Tensor<T, B> inverse;  ///< 1 / ‖v‖: (rows, 1)
  Tensor<T, B> scale;    ///< g / ‖v‖: (rows, 1)
  Tensor<T, B> weight;   ///< (rows, in)

  /// @param g (out, 1)  @param matrix (out, in)
  WeightNormRows(const Tensor<T, B>& g, const Tensor<T, B>& matrix, index_t from, index_t end)
      : first(from), v(matrix.slice(0, from, end)) {
    inverse = Tensor<T, B>(1.0 / sqrt(sum(v * v, {1}, true)));
    scale = Tensor<T, B>(g.slice(0, from, end) * inverse);
    weight = Tensor<T, B>(v * scale);
  }
  /// Hands on the gradients of these rows of g and v. @param dweight (rows, in)
  void pull(const Tensor<T, B>& dweight, const WeightNormSinks<T, B>& sinks) const {
    const Tensor<T, B> dg = sum(dweight * v, {1}, true) * inverse, along = dg * inverse;
    sinks.put(first, dg, (dweight - v * along) * scale);
  }
};

/// g · v / ‖v‖ of every row. @param g (out, 1)  @param v (out, in)  @return (out, in)
template <class T, class B> Var<T, B> weight_norm(const Var<T, B>& g, const Var<T, B>& v) {
  expect_shape("weight_norm", "v", v.shape(), {{"out"}, {"in"}});
  const index_t out = v.dim(0), in = v.dim(1);
  expect_shape("weight_norm", "g", g.shape(), {{"out", out}, {"1", 1}});
  const Tensor<T, B> lengths = g.value().contiguous(), directions = v.value().contiguous();
  const auto y = Tensor<T, B>::empty({out, in});
  for_normalised_rows(out, [&](index_t first, index_t end) {
    y.slice(0, first, end).assign(WeightNormRows<T, B>(lengths, directions, first, end).weight);
  });
  return record("weight_norm", y, {g, v}, [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
    const WeightNormSinks<T, B> sinks(grads, 0, 1, out, in);
    for_normalised_rows(out, [&](index_t first, index_t end) {
      WeightNormRows<T, B>(lengths, directions, first, end)
          .pull(dy.slice(0, first, end).contiguous(), sinks);
    });
  });
}

HLIP_END
