// The operands of an operation in one aggregate. std::tuple and std::apply would do, and are half
// of what the compiler then has to do for a statement: every one of them is checked for what it may
// throw, convert from and be assigned to.
#pragma once

#include <hlip/core/abi.hpp>
#include <hlip/core/config.hpp>

#include <cstddef>

HLIP_BEGIN

/// Made as Operands<A, B, C>{a, b, c}.
template <class... A> struct Operands;
template <class A> struct Operands<A> { A first; };
template <class A, class... Rest> struct Operands<A, Rest...> {
  A first;
  Operands<Rest...> rest;
};

/// Operand number k.
template <std::size_t k, class O> HLIP_FN constexpr const auto& operand(const O& operands) {
  if constexpr (k == 0) return operands.first;
  else return operand<k - 1>(operands.rest);
}

/// fn(a, b, …)
template <class O, class Fn, class... Before>
HLIP_FN constexpr decltype(auto) with_operands(O& operands, const Fn& fn, Before&... before) {
  if constexpr (requires { operands.rest; })
    return with_operands(operands.rest, fn, before..., operands.first);
  else return fn(before..., operands.first);
}

HLIP_END
