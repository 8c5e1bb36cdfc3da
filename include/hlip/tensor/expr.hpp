// Lazy elementwise expressions. A node owns its operands by value and a leaf is a Tensor handle
// (one reference count), so an `auto` expression can be returned, stored or moved without outliving
// anything it reads. Nothing is computed before the expression becomes a Tensor (or is assigned to
// one): then one fused loop runs.
#pragma once

#include <hlip/tensor/lower.hpp>
#include <hlip/tensor/tensor.hpp>

#include <concepts>
#include <string_view>

HLIP_BEGIN

/// An elementwise operation: a name, a value rule and a pull-back rule.
/// One operand: `V pull(x, y, dy)`; several: a tuple, one entry per operand, from `pull(a, b, …, y,
/// dy)`.
template <class F, class... T>
concept ElementwiseOp = requires(const F f, T... x) {
  { F::name } -> std::convertible_to<std::string_view>;
  f(x...);
}
&&(!differentiable_op<F> || requires(const F f, T... x) { f.pull(x..., f(x...), f(x...)); });

/// A number in an expression; it takes the element type of the tensor beside it.
template <class T> struct Constant : ExpressionTag {
  using value_type = T;
  using backend = void;  // fits any
  static constexpr bool recorded = false;
  static constexpr int leaf_count = 0, node_count = 0;
  T value;
  explicit Constant(T v) : value(v) {}
  Shape shape() const { return {}; }
};

namespace detail {

template <class... B> struct common_backend;
template <class B> struct common_backend<B> { using type = B; };
template <class A, class B, class... Rest> struct common_backend<A, B, Rest...> {
  static_assert(std::is_void_v<A> || std::is_void_v<B> || std::is_same_v<A, B>,
                "the operands of an expression live on different backends: copy one of them with "
                "to_backend<B>(x) first");
  using type = typename common_backend<std::conditional_t<std::is_void_v<A>, B, A>, Rest...>::type;
};

template <class E> constexpr int leaf_count() {
  if constexpr (requires { E::leaf_count; }) return E::leaf_count;
  else return 1;
}
template <class E> constexpr int node_count() {
  if constexpr (requires { E::node_count; }) return E::node_count;
  else return 0;
}

}  // namespace detail

/// One operation of an expression.
template <class F, Expression... A>
requires ElementwiseOp<F, compute_type<typename A::value_type>...>
struct Map : ExpressionTag {
  using backend = typename detail::common_backend<typename A::backend...>::type;
  using value_type = std::remove_cvref_t<decltype(std::declval<const F&>()(
      std::declval<compute_type<typename A::value_type>>()...))>;
  static constexpr bool recorded = (A::recorded || ...) && differentiable_op<F>;
  static constexpr int leaf_count = (detail::leaf_count<A>() + ...);
  static constexpr int node_count = 1 + (detail::node_count<A>() + ...);
  static_assert(leaf_count <= max_leaves && node_count <= 32,
                "expression too large for one fused loop: split the statement in two");

  F f;
  Operands<A...> args;

  Shape shape() const {
    return with_operands(args, [](const auto& first, const auto&... rest) {
      Shape s = first.shape();
      ((s = broadcast_shapes(F::name, s, rest.shape())), ...);
      return s;
    });
  }
};

/// Builds a node; operands are taken by value on purpose.
template <class F, Expression... A>
requires ElementwiseOp<F, compute_type<typename A::value_type>...>
auto map_expression(F f, A... args) { return Map<F, A...>{{}, std::move(f), {std::move(args)...}}; }

/// An operation not computed yet: named functions such as sum and mean evaluate it first.
template <class E>
concept LazyExpression = Expression<E> && requires {
  std::remove_cvref_t<E>::node_count;
};

// ---- lowering --------------------------------------------------------------------------------

/// Strides of an operand of shape `shape` aligned to `out`: 0 where it is broadcast.
inline Shape broadcast_strides(const Shape& shape, const Shape& stride, const Shape& out) {
  Shape aligned = Shape::filled(out.rank(), 0);
  for (int d = out.rank() - 1, s = shape.rank() - 1; s >= 0; --d, --s)
    aligned[d] = shape[s] == 1 ? 0 : stride[s];
  return aligned;
}

template <class T, class B> LeafView<T, false> lower(const Tensor<T, B>& leaf, const Shape& out) {
  return {leaf.data(), broadcast_strides(leaf.shape(), leaf.strides(), out)};
}
template <class T> ConstantView<T> lower(const Constant<T>& constant, const Shape&) {
  return {constant.value};
}
template <class F, class... A> auto lower(const Map<F, A...>& node, const Shape& out) {
  return with_operands(node.args, [&](const auto&... arg) {
    return MapView<F, typename Map<F, A...>::value_type, decltype(lower(arg, out))...>{
        node.f, {lower(arg, out)...}};
  });
}

/// Calls fn(tensor) for every tensor leaf.
template <class T, class B, class Fn> void visit_tensors(const Tensor<T, B>& leaf, Fn&& fn) {
  fn(leaf);
}
template <class T, class Fn> void visit_tensors(const Constant<T>&, Fn&&) {}
template <class F, class... A, class Fn> void visit_tensors(const Map<F, A...>& node, Fn&& fn) {
  with_operands(node.args, [&](const auto&... arg) { (visit_tensors(arg, fn), ...); });
}

// ---- evaluation ------------------------------------------------------------------------------

/// Runs the fused loop of an expression into a fresh tensor of the type pointed to.
template <class T, class B, Expression E>
Tensor<T, B> evaluate_as(const Tensor<T, B>*, const E& expression) {
  static_assert(std::is_void_v<typename E::backend> || std::is_same_v<typename E::backend, B>,
                "the expression lives on another backend: copy it with to_backend<B>(x)");
  static_assert(std::is_same_v<compute_type<typename E::value_type>, compute_type<T>>,
                "the expression has another element type: convert it with cast<T>(x)");
  const auto out = Tensor<T, B>::empty(expression.shape());
  map(B{}, out.shape(), out.data(), out.strides(), lower(expression, out.shape()));
  return out;
}

template <class T, class B>
template <Expression E>
void Tensor<T, B>::assign(const E& expression) const {
  static_assert(
      !E::recorded,
      "assign writes without recording: evaluate to a Var instead, or detach() the operands");
  static_assert(std::is_same_v<compute_type<typename E::value_type>, compute_type<T>>,
                "the expression has another element type: convert it with cast<T>(x)");
  const Shape from = expression.shape();
  expect(broadcast_shapes("assign", from, shape_) == shape_, "assign",
         "{} does not broadcast to the target {}", to_string(from), to_string(shape_));
  const auto extent = [](const auto& t) {  // [first byte, last byte] of the elements
    auto first = reinterpret_cast<std::uintptr_t>(t.data());
    auto last = first;
    for (int d = 0; d < t.rank(); ++d)
      last += static_cast<std::uintptr_t>((t.shape()[d] - 1) * t.strides()[d]) * sizeof(*t.data());
    return std::pair{first, last + sizeof(*t.data()) - 1};
  };
  if (numel() == 0) return;
  visit_tensors(expression, [&](const auto& leaf) {
    if (leaf.numel() == 0) return;
    const auto [a, b] = extent(*this);
    const auto [c, d] = extent(leaf);
    if (b < c || d < a) return;
    const bool same = static_cast<const void*>(leaf.data()) == static_cast<const void*>(data_) &&
                      broadcast_strides(leaf.shape(), leaf.strides(), shape_) ==
                          broadcast_strides(shape_, stride_, shape_);
    expect(same, "assign",
           "an operand of shape {} overlaps the target of shape {} with another index order (hint: "
           "write y = expression, which uses fresh storage)",
           to_string(leaf.shape()), to_string(shape_));
  });
  map(B{}, shape_, data_, stride_, lower(expression, shape_));
}

/// Evaluates an expression; always a Tensor (or Var) by value, never a reference into the
/// expression.
template <Expression E>
requires(!E::recorded) auto eval(const E& expression) {
  return Tensor<typename E::value_type, typename E::backend>(expression);
}
template <class T, class B> Tensor<T, B> eval(const Tensor<T, B>& tensor) { return tensor; }

HLIP_END
