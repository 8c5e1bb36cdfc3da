// The linear layer with what usually follows it: bias, GELU and residual are applied while a tile of the product
// is still in cache.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/tensor/check.hpp>

HLIP_BEGIN

namespace op {
/// dy · gelu'(x)
struct GeluGrad {
  static constexpr std::string_view name = "gelu_grad";
  static constexpr bool differentiable = false;
  template <class V> HLIP_FN V operator()(V x, V dy) const { return Gelu{}.pull(x, x, dy); }
};
}  // namespace op

/// What a linear layer applies to its product on the way out.
template <class T, class B>
struct LinearOptions {
  Activation activation = Activation::none;
  Var<T, B> residual = {};  ///< added last; same shape as the result; none when empty
  Tensor<T, B> out = {};    ///< memory for the result, when the caller has a place for it
};

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
  const bool has_bias = bias.numel() > 0, has_residual = options.residual.numel() > 0, gelu = options.activation == Activation::gelu;
  if (has_bias) expect_shape("linear", "bias", bias.shape(), {{"out", out}});
  if (has_residual) expect(options.residual.shape() == shape, "linear", "residual is {}, expected {}", to_string(options.residual.shape()), to_string(shape));

  const Tensor<T, B> input = x.value().contiguous(), w = weight.value().contiguous();
  const Tensor<T, B> y = options.out.numel() > 0 ? options.out : Tensor<T, B>::empty(shape);
  expect(y.shape() == shape && y.is_contiguous(), "linear", "out is {}, expected contiguous {}", to_string(y.shape()), to_string(shape));
  const bool recorded = is_recorded<T, B>({&x, &weight, &bias, &options.residual});
  const Tensor<T, B> pre = gelu && recorded ? Tensor<T, B>::empty(shape) : Tensor<T, B>();  // what GELU's derivative needs
  const Tensor<T, B> b = bias.value().contiguous(), residual = options.residual.value().contiguous();

  GemmArgs<T> args;
  args.m = rows, args.n = out, args.k = in;
  args.a = input.data(), args.lda = in;
  args.b = w.data(), args.ldb = in, args.trans_b = true;
  args.c = y.data(), args.ldc = out;
  args.bias = has_bias ? b.data() : nullptr;
  args.activation = options.activation;
  args.pre_activation = gelu && recorded ? pre.data() : nullptr;
  args.residual = has_residual ? residual.data() : nullptr;
  gemm(B{}, args);
  if (!recorded) return Var<T, B>(y);

  const SavedInput<T, B> saved(x);
  const Shape saved_shape = input.shape();
  const std::vector<Var<T, B>> inputs{x, weight, bias, options.residual};
  const auto pull = [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
    grads.add(3, dy);
    Tensor<T, B> dpre = dy;
    if (gelu) {
      dpre = grads.overwrite(dy);
      dpre.assign(map_expression(op::GeluGrad{}, pre, dy));
    }
    if (grads.wants(2)) grads.add(2, sum(dpre.reshape({rows, out}), {0}));
    if (grads.wants(1)) {
      const Tensor<T, B> again = saved.value();
      const GradSink<T> dw = grads.sink(1);
      GemmArgs<T> g;
      g.m = out, g.n = in, g.k = rows;
      g.a = dpre.data(), g.lda = out, g.trans_a = true, g.b = again.data(), g.ldb = in, g.c = dw.grad, g.ldc = in, g.beta = dw.add ? T(1) : T(0);
      gemm(B{}, g);
    }
    if (grads.wants(0)) {
      const auto dx = Tensor<T, B>::empty(saved_shape);
      GemmArgs<T> g;
      g.m = rows, g.n = in, g.k = out;
      g.a = dpre.data(), g.lda = out, g.b = w.data(), g.ldb = in, g.c = dx.data(), g.ldc = in;
      gemm(B{}, g);
      grads.add(0, dx);
    }
  };
  if (!gelu || has_residual) return record("linear", y, inputs, pull);
  return record("linear", y, inputs, pull, false, [pre] { return Tensor<T, B>(map_expression(op::Gelu{}, pre)); });
}

HLIP_END
