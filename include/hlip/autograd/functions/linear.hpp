// The linear layer with what usually follows it: bias, GELU and residual are applied while a tile
// of the product is still in cache.
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

/// Hidden activations above this size are computed again on the way back instead of kept: one
/// product of four more, and in a block of a vision transformer two fifths of the memory less.
inline constexpr std::size_t keep_hidden_bytes = std::size_t{16} << 20;

/// What a linear layer applies to its product on the way out.
template <class T, class B> struct LinearOptions {
  Activation activation = Activation::none;
  Var<T, B> residual = {};  ///< added last; same shape as the result; none when empty
  Tensor<T, B> out = {};    ///< memory for the result, when the caller has a place for it
  ResultFor result = ResultFor::anything;  ///< has no effect beside a residual or `out`
  /// (out): what every column is multiplied by before the residual (LayerScale); none when empty,
  /// and only without activation
  Var<T, B> scale = {};
};

namespace detail {

/// Sums of the columns of x (rows, columns), whatever it lies in memory as.
template <class T, class S, class B> Tensor<T, B> column_sums(const Tensor<S, B>& x) {
  if constexpr (std::is_same_v<S, T>) return sum(x, {0});
  else {
    const auto y = Tensor<T, B>::empty({x.dim(1)});
    reduce(B{}, Reduction::sum, x.data(), y.data(), 1, x.dim(0), x.dim(1));
    return y;
  }
}

/// What a product and the activation behind it need on the way back. Operands lie in memory as S,
/// the result as R; see GemmArgs.
template <class T, class B, class S, class R> struct SavedLinear {
  SavedInput<T, B> input;
  Tensor<T, B> weight;
  Tensor<T, B> bias;      ///< may be empty
  Tensor<T, B> scale;     ///< of the columns of the result; may be empty
  Tensor<R, B> pre = {};  ///< values before the activation, as far as they were kept

  index_t in() const { return weight.dim(1); }
  index_t out() const { return weight.dim(0); }

  /// (rows, out): input · weightᵀ + bias, at the latest now.
  const Tensor<R, B>& pre_activation() {
    if (pre.numel() > 0 || input.rows() == 0) return pre;
    pre = Tensor<R, B>::empty({input.rows(), out()});
    const Tensor<S, B> w = operand_weight();
    for_input_rows([&](index_t first, const Tensor<S, B>& x) {
      forward(x, w, pre.data() + first * out(), {});
    });
    return pre;
  }

  /// Scaled and rounded for each product anew: a copy kept between them would take as much memory
  /// as the parameters. To scale the weight is to scale the result, of which nothing has to be
  /// kept.
  Tensor<S, B> operand_weight() const {
    if (scale.numel() == 0) return stored_as<S>(weight);
    return stored_as<S>(Tensor<T, B>(weight * scale.reshape({out(), 1})));
  }
  Tensor<T, B> operand_bias() const {
    if (scale.numel() == 0 || bias.numel() == 0) return bias;
    return Tensor<T, B>(bias * scale);
  }

  /// What the product is followed by; see GemmArgs.
  struct Epilogue {
    Activation activation = Activation::none;
    R* pre_activation = nullptr;
    const R* residual = nullptr;
  };
  void forward(const Tensor<S, B>& x, const Tensor<S, B>& w, R* y, const Epilogue& epilogue) const {
    GemmArgs<T, S, R> g;
    g.m = x.dim(0), g.n = out(), g.k = in();
    g.a = x.data(), g.lda = in(), g.b = w.data(), g.ldb = in(), g.trans_b = true, g.c = y,
    g.ldc = out();
    const Tensor<T, B> b = operand_bias();
    g.bias = b.numel() > 0 ? b.data() : nullptr;
    g.activation = epilogue.activation, g.pre_activation = epilogue.pre_activation,
    g.residual = epilogue.residual;
    gemm(B{}, g);
  }
  /// d (rows, in) = dpre · weight, as D
  template <class D> Tensor<D, B> input_gradient(const Tensor<S, B>& dpre) const {
    const auto dx = Tensor<D, B>::empty({input.rows(), in()});
    const Tensor<S, B> w = operand_weight();
    GemmArgs<T, S, D> g;
    g.m = input.rows(), g.n = in(), g.k = out();
    g.a = dpre.data(), g.lda = out(), g.b = w.data(), g.ldb = in(), g.c = dx.data(), g.ldc = in();
    gemm(B{}, g);
    return dx;
  }
  /// dw (out, in) = dpreᵀ · input, into the sink.
  void weight_gradient(const Tensor<S, B>& dpre, const GradSink<T>& dw) const {
    bool add = dw.add;
    for_input_rows([&](index_t first, const Tensor<S, B>& x) {
      GemmArgs<T, S, T> g;
      g.m = out(), g.n = in(), g.k = x.dim(0);
      g.a = dpre.data() + first * out(), g.lda = out(), g.trans_a = true, g.b = x.data(),
      g.ldb = in(), g.c = dw.grad, g.ldc = in(), g.beta = add ? T(1) : T(0);
      gemm(B{}, g);
      add = true;
    });
  }
  /// Gradients of weight, bias and scale of a scaled product: that of the scaled weight is made
  /// first, and holds what each of them needs.
  void scaled_gradients(const Tensor<S, B>& dpre, InputGrads<T, B>& grads) const {
    const auto scaled = Tensor<T, B>::empty({out(), in()});
    weight_gradient(dpre, {scaled.data(), 1, false});
    const Tensor<T, B> sums = column_sums<T>(dpre);
    if (grads.wants(4)) {
      const Tensor<T, B> along = sum(Tensor<T, B>(scaled * weight), {1});
      grads.add(4, bias.numel() > 0 ? Tensor<T, B>(along + sums * bias) : along);
    }
    if (grads.wants(2)) grads.add(2, Tensor<T, B>(sums * scale));
    if (grads.wants(1)) grads.add(1, Tensor<T, B>(scaled * scale.reshape({out(), 1})));
  }

 private:
  /// Calls fn(first row, rows) over all of the input, at least once.
  template <class Fn> void for_input_rows(Fn fn) const {
    const index_t step = std::max<index_t>(1, input.rows_at_a_time());
    for (index_t first = 0; first == 0 || first < input.rows(); first += step)
      fn(first, input.template rows<S>(first, std::min(input.rows(), first + step)));
  }
};

/// linear, its operands in memory as S and its result as R.
template <class S, class R, class T, class B>
Var<T, B> linear_as(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias,
                    const LinearOptions<T, B>& options, const Shape& shape) {
  const index_t in = weight.dim(1), out = weight.dim(0), rows = in > 0 ? x.numel() / in : 0;
  const bool has_residual = options.residual.numel() > 0,
             gelu = options.activation == Activation::gelu;
  Tensor<R, B> y;
  Tensor<T, B> residual;
  const R* added = nullptr;
  if constexpr (std::is_same_v<R, T>) {
    residual = options.residual.value().contiguous();
    if (has_residual) added = residual.data();
    if (options.out.numel() > 0) y = options.out;
  }
  if (y.numel() == 0) y = Tensor<R, B>::empty(shape);
  expect(y.shape() == shape && y.is_contiguous(), "linear", "out is {}, expected contiguous {}",
         to_string(y.shape()), to_string(shape));

  SavedLinear<T, B, S, R> saved{SavedInput<T, B>(x), weight.value().contiguous(),
                                bias.value().contiguous(), options.scale.value().contiguous()};
  const bool recorded = is_recorded<T, B>({&x, &weight, &bias, &options.residual, &options.scale});
  const bool keep = gelu && recorded &&
                    static_cast<std::size_t>(rows * out) * sizeof(R) <= keep_hidden_bytes;
  if (keep) saved.pre = Tensor<R, B>::empty({rows, out});
  saved.forward(x.template as<S>().reshape({rows, in}), saved.operand_weight(), y.data(),
                {options.activation, keep ? saved.pre.data() : nullptr, added});
  if (!recorded) return Var<T, B>(y, std::shared_ptr<Node<T, B>>());

  const auto state = std::make_shared<SavedLinear<T, B, S, R>>(std::move(saved));
  const Shape input_shape = x.shape();
  const std::vector<Var<T, B>> inputs{x, weight, bias, options.residual, options.scale};
  const auto pull = [=](const auto& dy, InputGrads<T, B>& grads) {
    grads.add(3, dy);
    const Tensor<S, B> dpre = [&] {
      if (!gelu) return stored_as<S>(dy).reshape({rows, out});
      const Tensor<S, B> d = grads.template result<S>(dy).reshape({rows, out});
      d.assign(map_expression(op::GeluGrad{}, state->pre_activation(), dy.reshape({rows, out})));
      return d;
    }();
    state->pre = {};
    if (state->scale.numel() > 0) {
      state->scaled_gradients(dpre, grads);
    } else {
      if (grads.wants(2)) grads.add(2, column_sums<T>(dpre));
      if (grads.wants(1)) state->weight_gradient(dpre, grads.sink(1));
    }
    if (!grads.wants(0)) return;
    if constexpr (!std::is_same_v<S, T>)
      if (grads.takes_half(0))
        return grads.add(0, state->template input_gradient<S>(dpre).reshape(input_shape));
    grads.add(0, state->template input_gradient<T>(dpre).reshape(input_shape));
  };
  if (!gelu || has_residual) return record_value("linear", y, inputs, pull);
  const auto again = [state](index_t first, index_t last) {
    return Tensor<R, B>(map_expression(op::Gelu{}, state->pre_activation().slice(0, first, last)));
  };
  return record_value("linear", y, inputs, pull, false, again);
}

}  // namespace detail

/// act(x · weightᵀ + bias) + residual, or scale · (x · weightᵀ + bias) + residual.
///
/// @param x (…, in)  @param weight (out, in)  @param bias (out), or an empty Var  @return (…, out)
template <class T, class B>
Var<T, B> linear(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias,
                 const LinearOptions<T, B>& options = {}) {
  expect_shape("linear", "weight", weight.shape(), {{"out"}, {"in"}});
  const index_t in = weight.dim(1), out = weight.dim(0);
  expect(x.rank() >= 1 && x.dim(-1) == in, "linear", "x is {}, expected (…, in = {})",
         to_string(x.shape()), in);
  Shape shape = x.shape();
  shape[shape.rank() - 1] = out;
  const bool has_residual = options.residual.numel() > 0;
  if (bias.numel() > 0) expect_shape("linear", "bias", bias.shape(), {{"out", out}});
  if (options.scale.numel() > 0) {
    expect_shape("linear", "scale", options.scale.shape(), {{"out", out}});
    expect(options.activation == Activation::none, "linear", "a scale behind an activation");
  }
  if (has_residual)
    expect(options.residual.shape() == shape, "linear", "residual is {}, expected {}",
           to_string(options.residual.shape()), to_string(shape));
  if constexpr (may_store_bfloat16<T, B>)
    if (stores_operands<T, B>()) {
      const bool rounded = options.result != ResultFor::anything && !has_residual &&
                           options.out.numel() == 0;
      return rounded ? detail::linear_as<bfloat16, bfloat16>(x, weight, bias, options, shape)
                     : detail::linear_as<bfloat16, T>(x, weight, bias, options, shape);
    }
  return detail::linear_as<T, T>(x, weight, bias, options, shape);
}

HLIP_END
