// The linear layer with what usually follows it: bias, GELU and residual are applied while a tile of the product
// is still in cache.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/tensor/check.hpp>

#include <memory>

HLIP_BEGIN

namespace op {
/// dy · gelu'(x)
struct GeluGrad {
  static constexpr std::string_view name = "gelu_grad";
  static constexpr bool differentiable = false;
  template <class V> HLIP_FN V operator()(V x, V dy) const { return Gelu{}.pull(x, x, dy); }
};
}  // namespace op

/// Hidden activations above this size are computed again on the way back instead of kept: one product of four more, and
/// in a block of a vision transformer two fifths of the memory less.
inline constexpr std::size_t keep_hidden_bytes = std::size_t{16} << 20;

/// What a linear layer applies to its product on the way out.
template <class T, class B>
struct LinearOptions {
  Activation activation = Activation::none;
  Var<T, B> residual = {};  ///< added last; same shape as the result; none when empty
  Tensor<T, B> out = {};    ///< memory for the result, when the caller has a place for it
};

namespace detail {

/// What a product and the activation behind it need on the way back.
template <class T, class B>
struct SavedLinear {
  SavedInput<T, B> input;
  Tensor<T, B> weight, bias;  ///< bias may be empty
  Tensor<T, B> pre = {};      ///< values before the activation, as far as they were kept

  index_t in() const { return weight.dim(1); }
  index_t out() const { return weight.dim(0); }

  /// (rows, out): input · weightᵀ + bias, at the latest now.
  const Tensor<T, B>& pre_activation() {
    if (pre.numel() > 0 || input.rows() == 0) return pre;
    pre = Tensor<T, B>::empty({input.rows(), out()});
    for_input_rows([&](index_t first, const Tensor<T, B>& x) { forward(x, pre.data() + first * out(), {}); });
    return pre;
  }

  /// What the product is followed by; see GemmArgs.
  struct Epilogue {
    Activation activation = Activation::none;
    T* pre_activation = nullptr;
    const T* residual = nullptr;
  };
  void forward(const Tensor<T, B>& x, T* y, const Epilogue& epilogue) const {
    GemmArgs<T> g;
    g.m = x.dim(0), g.n = out(), g.k = in();
    g.a = x.data(), g.lda = in(), g.b = weight.data(), g.ldb = in(), g.trans_b = true, g.c = y, g.ldc = out();
    g.bias = bias.numel() > 0 ? bias.data() : nullptr;
    g.activation = epilogue.activation, g.pre_activation = epilogue.pre_activation, g.residual = epilogue.residual;
    gemm(B{}, g);
  }
  /// d (rows, in) = dpre · weight
  Tensor<T, B> input_gradient(const Tensor<T, B>& dpre) const {
    const auto dx = Tensor<T, B>::empty({input.rows(), in()});
    GemmArgs<T> g;
    g.m = input.rows(), g.n = in(), g.k = out();
    g.a = dpre.data(), g.lda = out(), g.b = weight.data(), g.ldb = in(), g.c = dx.data(), g.ldc = in();
    gemm(B{}, g);
    return dx;
  }
  /// dw (out, in) = dpreᵀ · input, into the sink.
  void weight_gradient(const Tensor<T, B>& dpre, const GradSink<T>& dw) const {
    bool add = dw.add;
    for_input_rows([&](index_t first, const Tensor<T, B>& x) {
      GemmArgs<T> g;
      g.m = out(), g.n = in(), g.k = x.dim(0);
      g.a = dpre.data() + first * out(), g.lda = out(), g.trans_a = true, g.b = x.data(), g.ldb = in(), g.c = dw.grad, g.ldc = in(), g.beta = add ? T(1) : T(0);
      gemm(B{}, g);
      add = true;
    });
  }

 private:
  /// Calls fn(first row, rows) over all of the input, at least once.
  template <class Fn>
  void for_input_rows(Fn fn) const {
    const index_t step = std::max<index_t>(1, input.rows_at_a_time());
    for (index_t first = 0; first == 0 || first < input.rows(); first += step) fn(first, input.rows(first, std::min(input.rows(), first + step)));
  }
};

}  // namespace detail

/// act(x · weightᵀ + bias) + residual.
///
/// @param x (…, in)  @param weight (out, in)  @param bias (out), or an empty Var  @return (…, out)
template <class T, class B>
Var<T, B> linear(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias, const LinearOptions<T, B>& options = {}) {
  expect_shape("linear", "weight", weight.shape(), {{"out"}, {"in"}});
  const index_t in = weight.dim(1), out = weight.dim(0), rows = in > 0 ? x.numel() / in : 0;
  expect(x.rank() >= 1 && x.dim(-1) == in, "linear", "x is {}, expected (…, in = {})", to_string(x.shape()), in);
  Shape shape = x.shape();
  shape[shape.rank() - 1] = out;
  const bool has_residual = options.residual.numel() > 0, gelu = options.activation == Activation::gelu;
  if (bias.numel() > 0) expect_shape("linear", "bias", bias.shape(), {{"out", out}});
  if (has_residual) expect(options.residual.shape() == shape, "linear", "residual is {}, expected {}", to_string(options.residual.shape()), to_string(shape));
  const Tensor<T, B> y = options.out.numel() > 0 ? options.out : Tensor<T, B>::empty(shape);
  expect(y.shape() == shape && y.is_contiguous(), "linear", "out is {}, expected contiguous {}", to_string(y.shape()), to_string(shape));

  detail::SavedLinear<T, B> saved{SavedInput<T, B>(x), weight.value().contiguous(), bias.value().contiguous()};
  const bool recorded = is_recorded<T, B>({&x, &weight, &bias, &options.residual});
  const bool keep = gelu && recorded && static_cast<std::size_t>(rows * out) * sizeof(T) <= keep_hidden_bytes;
  if (keep) saved.pre = Tensor<T, B>::empty({rows, out});
  const Tensor<T, B> residual = options.residual.value().contiguous();
  saved.forward(x.value().reshape({rows, in}), y.data(), {options.activation, keep ? saved.pre.data() : nullptr, has_residual ? residual.data() : nullptr});
  if (!recorded) return Var<T, B>(y);

  const auto state = std::make_shared<detail::SavedLinear<T, B>>(std::move(saved));
  const Shape input_shape = x.shape();
  const std::vector<Var<T, B>> inputs{x, weight, bias, options.residual};
  const auto pull = [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
    grads.add(3, dy);
    const Tensor<T, B> dpre = gelu ? grads.overwrite(dy) : dy;
    if (gelu) dpre.reshape({rows, out}).assign(map_expression(op::GeluGrad{}, state->pre_activation(), dy.reshape({rows, out})));
    state->pre = {};
    if (grads.wants(2)) grads.add(2, sum(dpre.reshape({rows, out}), {0}));
    if (grads.wants(1)) state->weight_gradient(dpre, grads.sink(1));
    if (grads.wants(0)) grads.add(0, state->input_gradient(dpre).reshape(input_shape));
  };
  if (!gelu || has_residual) return record("linear", y, inputs, pull);
  return record("linear", y, inputs, pull, false, [state](index_t first, index_t last) { return Tensor<T, B>(map_expression(op::Gelu{}, state->pre_activation().slice(0, first, last))); });
}

HLIP_END
