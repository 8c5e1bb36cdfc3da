// One node per elementwise statement. It keeps the leaves (alive anyway) and none of the intermediate values, and
// recomputes those in registers on the way back: one forward sweep and one reverse sweep per element.
#pragma once

#include <hlip/autograd/var.hpp>

HLIP_BEGIN

template <class T, class B>
LeafView<T, true> lower(const Var<T, B>& leaf, const Shape& out) {
  return {leaf.value().data(), broadcast_strides(leaf.shape(), leaf.value().strides(), out)};
}
template <class T, class B, class Fn>
void visit_tensors(const Var<T, B>& leaf, Fn&& fn) {
  fn(leaf.value());
}

namespace detail {

// The Vars of an expression that can receive a gradient, in the order the kernel numbers them.
template <class T, class B, class Fn>
void visit_vars(const Var<T, B>& leaf, Fn&& fn) {
  fn(leaf);
}
template <class E, class Fn>
void visit_vars(const E&, Fn&&) {}
template <class F, class... A, class Fn>
void visit_vars(const Map<F, A...>& node, Fn&& fn) {
  if constexpr (differentiable_op<F>) std::apply([&](const auto&... arg) { (visit_vars(arg, fn), ...); }, node.args);
}

}  // namespace detail

/// Evaluates an expression over Vars into `out` (contiguous, of the expression's shape) and records it.
template <Expression E, class T, class B>
Var<T, B> evaluate_into(const E& expression, const Tensor<T, B>& out) {
  static_assert(std::is_same_v<typename E::value_type, T> && std::is_same_v<typename E::backend, B>, "the expression has another element type or backend than its target");
  const auto view = lower(expression, out.shape());
  map(B{}, out.shape(), out.data(), out.strides(), view);

  std::vector<Var<T, B>> inputs;
  detail::visit_vars(expression, [&](const Var<T, B>& v) { inputs.push_back(v); });
  std::vector<std::shared_ptr<const void>> alive;  // the view holds bare pointers
  visit_tensors(expression, [&](const auto& leaf) { alive.push_back(leaf.storage()); });
  std::vector<Shape> shapes;
  std::vector<std::shared_ptr<Node<T, B>>> nodes;
  bool needed = false;
  for (const auto& in : inputs) {
    shapes.push_back(in.shape());
    nodes.push_back(in.node());
    needed = needed || in.requires_grad();
  }
  if (!needed) return Var<T, B>(out);
  // The node's own `inputs` keep the leaves' nodes alive while pull runs, so plain pointers do here.
  std::vector<Node<T, B>*> leaves;
  for (const auto& n : nodes) leaves.push_back(n.get());
  return record("elementwise", out, inputs, [view, alive, shapes, leaves](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
    std::array<GradSink<T>, 8> sinks;
    std::array<Tensor<T, B>, 8> broadcast;  // gradients in the shape of the result, summed afterwards
    static T nowhere{};
    for (std::size_t k = 0; k < leaves.size(); ++k) {
      if (!grads.wants(k)) {
        sinks[k] = {&nowhere, 0, false};
      } else if (shapes[k] == dy.shape()) {
        sinks[k] = leaves[k]->sink();
      } else {
        broadcast[k] = Tensor<T, B>::empty(dy.shape());
        sinks[k] = {broadcast[k].data(), 1, false};
      }
    }
    map_pull(B{}, dy.shape(), dy.data(), view, sinks.data());
    for (std::size_t k = 0; k < leaves.size(); ++k)
      if (grads.wants(k) && !(shapes[k] == dy.shape())) grads.add(k, sum_to(broadcast[k], shapes[k]));
  });
}

/// Evaluates an expression over Vars.
template <Expression E>
  requires(E::recorded)
auto eval(const E& expression) {
  return Var<typename E::value_type, typename E::backend>(expression);
}
template <class T, class B>
Var<T, B> eval(const Var<T, B>& var) {
  return var;
}

HLIP_END
