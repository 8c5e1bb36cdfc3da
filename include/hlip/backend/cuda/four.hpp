// Four<T>: four numbers that move through a functor together, as Pack<T> does on a CPU, each in a
// register of its own.
#pragma once

#include <hlip/backend/cuda/quad.hpp>
#include <hlip/backend/scalar_math.hpp>
#include <hlip/tensor/dtype.hpp>
#include <hlip/tensor/shape.hpp>

#include <type_traits>

HLIP_BEGIN

template <class T> struct Four {
  T v[4];

  Four() = default;
  HLIP_FN Four(T a, T b, T c, T d) : v{a, b, c, d} {}
  template <class X>
  requires std::is_arithmetic_v<X> HLIP_FN explicit Four(X x)
      : v{static_cast<T>(x), static_cast<T>(x), static_cast<T>(x), static_cast<T>(x)} {}
  template <class U>
  HLIP_FN explicit Four(const Four<U>& x)
      : v{static_cast<T>(x.v[0]), static_cast<T>(x.v[1]), static_cast<T>(x.v[2]),
          static_cast<T>(x.v[3])} {}
  friend HLIP_FN Four operator-(const Four& a) { return {-a.v[0], -a.v[1], -a.v[2], -a.v[3]}; }
  friend HLIP_FN Four<bool> operator!(const Four& a) {
    return {!a.v[0], !a.v[1], !a.v[2], !a.v[3]};
  }
};

#define HLIP_FOUR_OPERATOR(symbol, Result)                                                      \
  template <class T> HLIP_FN Four<Result> operator symbol(const Four<T>& a, const Four<T>& b) { \
    return {a.v[0] symbol b.v[0], a.v[1] symbol b.v[1], a.v[2] symbol b.v[2],                   \
            a.v[3] symbol b.v[3]};                                                              \
  }
HLIP_FOUR_OPERATOR(+, T)
HLIP_FOUR_OPERATOR(-, T)
HLIP_FOUR_OPERATOR(*, T)
HLIP_FOUR_OPERATOR(/, T)
HLIP_FOUR_OPERATOR(<, bool)
HLIP_FOUR_OPERATOR(<=, bool)
HLIP_FOUR_OPERATOR(>, bool)
HLIP_FOUR_OPERATOR(>=, bool)
HLIP_FOUR_OPERATOR(==, bool)
HLIP_FOUR_OPERATOR(!=, bool)
HLIP_FOUR_OPERATOR(&&, bool)
HLIP_FOUR_OPERATOR(||, bool)
#undef HLIP_FOUR_OPERATOR

#define HLIP_FOUR_UNARY(f)                                 \
  template <class T> HLIP_FN Four<T> f(const Four<T>& x) { \
    return {f(x.v[0]), f(x.v[1]), f(x.v[2]), f(x.v[3])};   \
  }
HLIP_FOUR_UNARY(exp_)
HLIP_FOUR_UNARY(log_)
HLIP_FOUR_UNARY(log1p_)
HLIP_FOUR_UNARY(sin_)
HLIP_FOUR_UNARY(cos_)
HLIP_FOUR_UNARY(tanh_)
HLIP_FOUR_UNARY(erf_)
HLIP_FOUR_UNARY(sqrt_)
HLIP_FOUR_UNARY(abs_)
HLIP_FOUR_UNARY(floor_)
#undef HLIP_FOUR_UNARY

#define HLIP_FOUR_BINARY(f)                                                              \
  template <class T> HLIP_FN Four<T> f(const Four<T>& x, const Four<T>& y) {             \
    return {f(x.v[0], y.v[0]), f(x.v[1], y.v[1]), f(x.v[2], y.v[2]), f(x.v[3], y.v[3])}; \
  }
HLIP_FOUR_BINARY(pow_)
HLIP_FOUR_BINARY(min_)
HLIP_FOUR_BINARY(max_)
#undef HLIP_FOUR_BINARY

template <class U, class T> HLIP_FN Four<U> cast_(const Four<T>& x) { return Four<U>(x); }
template <class T>
HLIP_FN Four<T> select_(const Four<bool>& c, const Four<T>& x, const Four<T>& y) {
  return {c.v[0] ? x.v[0] : y.v[0], c.v[1] ? x.v[1] : y.v[1], c.v[2] ? x.v[2] : y.v[2],
          c.v[3] ? x.v[3] : y.v[3]};
}

namespace detail {

/// Elements stand for four neighbours, or four times the same one where a row has step 0; 16-bit
/// floats for floats.
struct FourLanes {
  static constexpr index_t width = 4;
  template <class T> using value = Four<T>;
  template <class T> HLIP_FN static Quad<T> elements(const T* p, index_t step) {
    if (step == 1) return quad(p);
    return {{*p, *p, *p, *p}};
  }
  template <class T> HLIP_FN static auto load(const T* p, index_t step, index_t i, index_t) {
    using C = compute_type<T>;
    const Quad<T> q = elements(p + i * step, step);
    return Four<C>(static_cast<C>(q.v[0]), static_cast<C>(q.v[1]), static_cast<C>(q.v[2]),
                   static_cast<C>(q.v[3]));
  }
  template <class T> HLIP_FN static Four<T> constant(T v) { return Four<T>(v); }
  template <class U, class T> HLIP_FN static void store(U* p, index_t, index_t, const Four<T>& x) {
    const Four<compute_type<U>> v(x);
    store_quad(p, Quad<U>{{static_cast<U>(v.v[0]), static_cast<U>(v.v[1]), static_cast<U>(v.v[2]),
                           static_cast<U>(v.v[3])}});
  }
  template <class T> HLIP_FN static void copy(T* to, const T* from, index_t step) {
    store_quad(to, elements(from, step));
  }
};

}  // namespace detail

HLIP_END
