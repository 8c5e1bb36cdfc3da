// Walks one lowered row of an expression for a few elements at a time: its value alone, or the
// values of all nodes on the way forward and then adjoints on the way back. Each node's value is
// computed once per element and kept in registers. `Lanes` says what "a few elements" are: SIMD
// packs for Cpu, single numbers for the other backends (element_loop.hpp), or four for Cuda
// (cuda/four.hpp).
//
//   Lanes::value<T>                         the number type standing for T
//   Lanes::load(const T* p, step, i, n)     elements i … i+n-1 of a row
//   Lanes::constant<T>(value)
//   Lanes::store(U* p, step, i, n, v)
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/tensor/lower.hpp>

#include <tuple>

HLIP_BEGIN

namespace detail {

/// The value of a row for elements i … i+n-1. Not forward(…).value: compilers store the values of
/// all nodes then, which nobody reads, and a statement takes half as long again.
template <class Lanes, class T, bool R>
HLIP_FN auto value_of(const LeafRow<T, R>& leaf, index_t i, index_t n) {
  return Lanes::load(leaf.data, leaf.step, i, n);
}
template <class Lanes, class T>
HLIP_FN auto value_of(const ConstantView<T>& constant, index_t, index_t) {
  return Lanes::template constant<T>(constant.value);
}
template <class Lanes, class F, class V, class... A>
HLIP_FN auto value_of(const MapView<F, V, A...>& node, index_t i, index_t n) {
  return with_operands(node.args, [&](const auto&... arg) {
    return typename Lanes::template value<V>(node.f(value_of<Lanes>(arg, i, n)...));
  });
}

template <class V> struct LeafValue { V value; };
template <class V, class... Kids> struct NodeValue {
  V value;
  Operands<Kids...> kids;
};

/// The values of all nodes of a row, for elements i … i+n-1.
template <class Lanes, class T, bool R>
HLIP_FN auto forward(const LeafRow<T, R>& leaf, index_t i, index_t n) {
  return LeafValue<decltype(value_of<Lanes>(leaf, i, n))>{value_of<Lanes>(leaf, i, n)};
}
template <class Lanes, class T>
HLIP_FN auto forward(const ConstantView<T>& constant, index_t i, index_t n) {
  return LeafValue<decltype(value_of<Lanes>(constant, i, n))>{value_of<Lanes>(constant, i, n)};
}
template <class Lanes, class F, class V, class... A>
HLIP_FN auto forward(const MapView<F, V, A...>& node, index_t i, index_t n) {
  return with_operands(node.args, [&](const auto&... arg) {
    using Out = typename Lanes::template value<V>;
    // Filled where it stays: copied operands are copies in memory to some compilers
    NodeValue<Out, decltype(forward<Lanes>(arg, i, n))...> of{{}, {forward<Lanes>(arg, i, n)...}};
    of.value = with_operands(of.kids,
                             [&](const auto&... kid) { return Out(node.f(kid.value...)); });
    return of;
  });
}

// Sinks are numbered from the left: Leaf is the number of the first recorded leaf below a node.
template <class Lanes, int Leaf, class T, bool R, class Value, class D, class S>
HLIP_FN void pull(const LeafRow<T, R>&, const Value&, const D& dy, const GradSink<S>* sinks,
                  index_t i, index_t n) {
  if constexpr (R) {
    const GradSink<S>& sink = sinks[Leaf];
    S* to = sink.grad + i * sink.step;
    if (sink.step == 0) return;
    if (sink.add) Lanes::store(to, 1, n, dy + Lanes::load(to, 1, 0, n));
    else Lanes::store(to, 1, n, dy);
  }
}
template <class Lanes, int Leaf, class T, class Value, class D, class S>
HLIP_FN void pull(const ConstantView<T>&, const Value&, const D&, const GradSink<S>*, index_t,
                  index_t) {}

template <class Lanes, int Leaf, class F, class V, class... A, class Value, class D, class S>
HLIP_FN void pull(const MapView<F, V, A...>& node, const Value& values, const D& dy,
                  const GradSink<S>* sinks, index_t i, index_t n) {
  if constexpr (MapView<F, V, A...>::recorded_leaves > 0) {
    const auto adjoints = with_operands(values.kids, [&](const auto&... kid) {
      return node.f.pull(kid.value..., values.value, dy);
    });
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      constexpr auto first_leaf = [](std::size_t k) {
        constexpr int counts[] = {A::recorded_leaves...};
        int leaf = Leaf;
        for (std::size_t j = 0; j < k; ++j) leaf += counts[j];
        return leaf;
      };
      const auto one = [&]<std::size_t J, class Arg>(std::integral_constant<std::size_t, J>,
                                                     const Arg& arg) {
        if constexpr (Arg::recorded_leaves == 0) return;
        else if constexpr (sizeof...(A) == 1)
          pull<Lanes, first_leaf(J)>(arg, operand<J>(values.kids), adjoints, sinks, i, n);
        else
          pull<Lanes, first_leaf(J)>(arg, operand<J>(values.kids), std::get<J>(adjoints), sinks, i,
                                     n);
      };
      (one(std::integral_constant<std::size_t, K>{}, operand<K>(node.args)), ...);
    }
    (std::index_sequence_for<A...>{});
  }
}

}  // namespace detail

HLIP_END
