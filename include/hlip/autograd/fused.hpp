// One node per elementwise statement. It keeps the leaves (alive anyway) and none of the
// intermediate values, and recomputes those in registers on the way back: one forward sweep and one
// reverse sweep per element.
#pragma once

#include <hlip/autograd/var.hpp>

#include <array>
#include <memory>
#include <vector>

HLIP_BEGIN

template <class T, class B> LeafView<T, true> lower(const Var<T, B>& leaf, const Shape& out) {
  return {leaf.value().data(), broadcast_strides(leaf.shape(), leaf.value().strides(), out)};
}
template <class T, class B, class Fn> void visit_tensors(const Var<T, B>& leaf, Fn&& fn) {
  fn(leaf.value());
}

namespace detail {

// The Vars of an expression that can receive a gradient, in the order the kernel numbers them.
template <class T, class B> void collect_vars(const Var<T, B>& leaf, std::vector<Var<T, B>>& to) {
  to.push_back(leaf);
}
template <class E, class T, class B> void collect_vars(const E&, std::vector<Var<T, B>>&) {}
template <class F, class... A, class T, class B>
void collect_vars(const Map<F, A...>& node, std::vector<Var<T, B>>& to) {
  if constexpr (differentiable_op<F>)
    with_operands(node.args, [&](const auto&... arg) { (collect_vars(arg, to), ...); });
}

/// The way back through a statement; only the loop itself depends on the expression.
template <class T, class B> struct StatementPullBack : PullBack<T, B> {
  std::vector<std::shared_ptr<const void>> alive;  // the view of the expression holds bare pointers
  std::vector<Shape> shapes;                       // of the Vars
  virtual void run(const Tensor<T, B>& dy, const GradSink<T>* sinks) const = 0;

  void pull(Node<T, B>& node) final {
    const Tensor<T, B>& dy = *node.grad;
    InputGrads<T, B> grads(node);
    std::array<GradSink<T>, max_leaves> sinks;
    // gradients in the shape of the result, summed afterwards
    std::array<Tensor<T, B>, max_leaves> broadcast;
    static T nowhere{};
    for (std::size_t k = 0; k < shapes.size(); ++k) {
      if (!grads.wants(k)) {
        sinks[k] = {&nowhere, 0, false};
      } else if (shapes[k] == dy.shape()) {
        sinks[k] = grads.sink(k);
      } else {
        broadcast[k] = Tensor<T, B>::empty(dy.shape());
        sinks[k] = {broadcast[k].data(), 1, false};
      }
    }
    run(dy, sinks.data());
    for (std::size_t k = 0; k < shapes.size(); ++k)
      if (grads.wants(k) && !(shapes[k] == dy.shape()))
        grads.add(k, sum_to(broadcast[k], shapes[k]));
  }
};
template <class T, class B, class View> struct StatementPullBackOf final : StatementPullBack<T, B> {
  View view;
  explicit StatementPullBackOf(const View& v) : view(v) {}
  void run(const Tensor<T, B>& dy, const GradSink<T>* sinks) const override {
    map_pull(B{}, dy.shape(), dy.data(), view, sinks);
  }
};

}  // namespace detail

/// Evaluates an expression over Vars into `out` (contiguous, of the expression's shape) and records
/// it.
template <Expression E, class T, class B>
Var<T, B> evaluate_into(const E& expression, const Tensor<T, B>& out) {
  static_assert(std::is_same_v<typename E::value_type, T> && std::is_same_v<typename E::backend, B>,
                "the expression has another element type or backend than its target");
  const auto view = lower(expression, out.shape());
  map(B{}, out.shape(), out.data(), out.strides(), view);

  std::vector<Var<T, B>> inputs;
  detail::collect_vars(expression, inputs);
  auto node = detail::node_for("elementwise", out.shape(), inputs);
  if (node) {
    auto* saved = new detail::StatementPullBackOf<T, B, std::remove_const_t<decltype(view)>>(view);
    node->saved.reset(saved);
    visit_tensors(expression, [&](const auto& leaf) { saved->alive.push_back(leaf.storage()); });
    for (const auto& in : inputs) saved->shapes.push_back(in.shape());
  }
  return Var<T, B>(out, std::move(node));
}

/// Evaluates an expression over Vars.
template <Expression E>
requires(E::recorded) auto eval(const E& expression) {
  return Var<typename E::value_type, typename E::backend>(expression);
}
template <class T, class B> Var<T, B> eval(const Var<T, B>& var) { return var; }

HLIP_END
