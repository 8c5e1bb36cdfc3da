// The linear layer of a weight that lies in memory as bfloat16 and does not train: it is widened
// panel by panel on its way into the product, so that models are half as large as their numbers.
#pragma once

#include <hlip/autograd/functions/linear.hpp>

#include <algorithm>

HLIP_BEGIN

namespace detail {

/// Products of a few rows with one row of the weight, cut into parts: sums[part, r, o] = x[r, i] ·
/// weight[o, i] over the part's i. There are more indices than rows, which threads share.
template <class T> struct StoredRowProduct {
  const T* x;
  const bfloat16* weight;
  T* sums;
  index_t rows, in, out, parts;
  HLIP_FN void operator()(index_t index) const {
    constexpr index_t lanes = 16;
    const index_t part = index % parts, o = index / parts, begin = in * part / parts,
                  end = in * (part + 1) / parts;
    const bfloat16* w = weight + o * in;
    for (index_t r = 0; r < rows; ++r) {
      const T* from = x + r * in;
      T sum[lanes] = {};
      index_t i = begin;
      for (; i + lanes <= end; i += lanes)
        for (index_t j = 0; j < lanes; ++j)
          sum[j] += from[i + j] * static_cast<T>(static_cast<float>(w[i + j]));
      T total = 0;
      for (; i < end; ++i) total += from[i] * static_cast<T>(static_cast<float>(w[i]));
      for (index_t j = 0; j < lanes; ++j) total += sum[j];
      sums[(part * rows + r) * out + o] = total;
    }
  }
};

/// Products of rows with a weight (out, in) that lies as bfloat16.
template <class T, class B> struct StoredProduct {
  Tensor<bfloat16, B> weight;
  static constexpr index_t few_rows = 4;  ///< for which no copy of the weight is made

  /// Rows of the weight that are widened at a time: some sixteen megabytes.
  index_t panel() const {
    return std::clamp<index_t>((index_t{1} << 22) / std::max<index_t>(1, in()), 64,
                               std::max<index_t>(64, out()));
  }
  index_t out() const { return weight.dim(0); }
  index_t in() const { return weight.dim(1); }
  /// fn(first, widened rows of the weight from there on)
  template <class Fn> void each_panel(Fn fn) const {
    const index_t step = panel();
    // one piece of memory for all: fresh pages cost more than the conversion
    const auto wide = Tensor<T, B>::empty({std::min(step, out()), in()});
    for (index_t o = 0; o < out(); o += step) {
      const index_t end = std::min(out(), o + step);
      const Tensor<T, B> some = wide.slice(0, 0, end - o);
      some.assign(cast<T>(weight.slice(0, o, end)));
      fn(o, some);
    }
  }
  /// x (rows, in) → (rows, out)
  Tensor<T, B> forward(const Tensor<T, B>& x) const {
    const index_t rows = x.dim(0);
    if (rows <= few_rows) {
      const index_t parts = std::clamp<index_t>(in() / 256, 1, 8);
      const auto sums = Tensor<T, B>::empty({parts, rows, out()});
      for_each_index(
          B{}, out() * parts,
          StoredRowProduct<T>{x.data(), weight.data(), sums.data(), rows, in(), out(), parts});
      return parts == 1 ? sums.reshape({rows, out()}) : sum(sums, {0});
    }
    const auto y = Tensor<T, B>::empty({rows, out()});
    each_panel([&](index_t o, const Tensor<T, B>& w) {
      GemmArgs<T> g;
      g.m = rows, g.n = w.dim(0), g.k = in();
      g.a = x.data(), g.lda = in(), g.b = w.data(), g.ldb = in(), g.trans_b = true;
      g.c = y.data() + o, g.ldc = out();
      gemm(B{}, g);
    });
    return y;
  }
  /// dy (rows, out) → gradient of x (rows, in)
  Tensor<T, B> input_gradient(const Tensor<T, B>& dy) const {
    const index_t rows = dy.dim(0);
    const auto dx = Tensor<T, B>::zeros({rows, in()});
    each_panel([&](index_t o, const Tensor<T, B>& w) {
      GemmArgs<T> g;
      g.m = rows, g.n = in(), g.k = w.dim(0);
      g.a = dy.data() + o, g.lda = out(), g.b = w.data(), g.ldb = in();
      g.c = dx.data(), g.ldc = in(), g.beta = 1;
      gemm(B{}, g);
    });
    return dx;
  }
};

}  // namespace detail

/// x · weightᵀ + bias + residual. The weight gets no gradient, everything else does.
///
/// @param x (…, in)  @param weight (out, in)  @param bias (out), or an empty Var
/// @param residual of the shape of the result, or an empty Var  @return (…, out)
/// @throws hlip::error when shapes do not fit
template <class T, class B>
Var<T, B> stored_linear(const Var<T, B>& x, const Tensor<bfloat16, B>& weight,
                        const Var<T, B>& bias = {}, const Var<T, B>& residual = {}) {
  expect_shape("linear", "weight", weight.shape(), {{"out"}, {"in"}});
  const index_t in = weight.dim(1);
  expect(x.rank() >= 1 && x.dim(-1) == in && in > 0, "linear", "x is {}, expected (…, in = {})",
         to_string(x.shape()), in);
  const detail::StoredProduct<T, B> product{weight.contiguous()};
  const Shape before = x.shape();
  Shape shape = before;
  shape[shape.rank() - 1] = product.out();
  const Shape rows{x.numel() / in, in};
  const Tensor<T, B> y = product.forward(x.value().contiguous().reshape(rows)).reshape(shape);
  Var<T, B> result = record("linear", y, {x},
                            [product, before](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                              const index_t n = before.numel() / product.in();
                              const Tensor<T, B> flat = dy.contiguous().reshape({n, product.out()});
                              grads.add(0, product.input_gradient(flat).reshape(before));
                            });
  if (bias.numel() > 0) result = result + bias;
  if (residual.numel() > 0) result = result + residual;
  return result;
}

HLIP_END
