// Trading time for memory: keep the inputs of a piece of network, run it again on the way back.
#pragma once

#include <hlip/autograd/var.hpp>

#include <tuple>

HLIP_BEGIN

/// fn(inputs…) without keeping what happens inside; backward runs fn again. Everything random in fn
/// must come from RandomKeys, so that both runs draw the same. Gradients of parameters that fn uses
/// are added to those directly.
///
/// @param fn called as `Var fn(const Var&…)`, kept until backward  @param inputs Vars
template <class Fn, class T, class B, class... Rest>
Var<T, B> checkpoint(Fn fn, const Var<T, B>& first, const Rest&... rest) {
  if (!is_grad_enabled()) return fn(first, rest...);
  const std::vector<Var<T, B>> inputs{first, rest...};
  Tensor<T, B> y;
  {
    NoGrad guard;
    y = fn(first, rest...).value();
  }
  std::vector<Tensor<T, B>> values;
  for (const auto& v : inputs) values.push_back(v.value());
  const auto pull = [fn, values](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
    EnableGrad guard;
    std::vector<Var<T, B>> leaves;
    for (std::size_t i = 0; i < values.size(); ++i) {
      leaves.emplace_back(values[i], grads.wants(i));
      if (grads.wants(i)) leaves.back().node()->passes_grad_on = true;
    }
    const Var<T, B> again = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return fn(leaves[I]...);
    }
    (std::make_index_sequence<1 + sizeof...(Rest)>{});
    if (!again.requires_grad()) return;
    again.backward(dy);
    for (std::size_t i = 0; i < leaves.size(); ++i)
      if (leaves[i].has_grad()) grads.add(i, leaves[i].grad());
  };
  return record("checkpoint", y, inputs, pull, true);  // always: fn may use parameters
}

HLIP_END
