// The vocabulary of the elementwise functors, for plain numbers. A functor is written once with
// these names; the CPU backend adds overloads for SIMD packs, a device compiler uses these.
#pragma once

#include <hlip/core/abi.hpp>

#include <cmath>
#include <type_traits>

HLIP_BEGIN

template <class T>
concept Number = std::is_arithmetic_v<T>;

template <Number T> HLIP_FN T exp_(T x) { return std::exp(x); }
template <Number T> HLIP_FN T log_(T x) { return std::log(x); }
template <Number T> HLIP_FN T log1p_(T x) { return std::log1p(x); }
template <Number T> HLIP_FN T sin_(T x) { return std::sin(x); }
template <Number T> HLIP_FN T cos_(T x) { return std::cos(x); }
template <Number T> HLIP_FN T tanh_(T x) { return std::tanh(x); }
template <Number T> HLIP_FN T erf_(T x) { return std::erf(x); }
template <Number T> HLIP_FN T sqrt_(T x) { return std::sqrt(x); }
template <Number T> HLIP_FN T abs_(T x) { return x < T(0) ? T(-x) : x; }
template <Number T> HLIP_FN T floor_(T x) { return std::floor(x); }
template <Number T> HLIP_FN T pow_(T x, T y) { return static_cast<T>(std::pow(x, y)); }
template <Number T> HLIP_FN T min_(T x, T y) { return y < x ? y : x; }
template <Number T> HLIP_FN T max_(T x, T y) { return x < y ? y : x; }
template <class U, Number T> HLIP_FN U cast_(T x) { return static_cast<U>(x); }
/// a·b + c, rounded once where the processor can, and then the same in every loop: left to itself a
/// compiler picks the product to fuse.
template <Number T> HLIP_FN T multiply_add(T a, T b, T c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}
template <Number T> HLIP_FN T select_(bool condition, T yes, T no) { return condition ? yes : no; }

HLIP_END
