// Pack<T>: 16 numbers that move through a functor together. Eigen supplies the SIMD instructions
// for whatever processor the program is compiled for; the functors see an ordinary number type.
#pragma once

#include <hlip/backend/cpu/eigen.hpp>
#include <hlip/backend/scalar_math.hpp>
#include <hlip/tensor/dtype.hpp>
#include <hlip/tensor/shape.hpp>

HLIP_BEGIN

inline constexpr int pack_size = 16;

template <class T> struct Pack {
  using value_type = T;
  using Lanes = Eigen::Array<T, pack_size, 1>;
  Lanes v;

  Pack() = default;
  Pack(const Lanes& lanes) : v(lanes) {}
  explicit Pack(T x) : v(Lanes::Constant(x)) {}
  template <class X>
  requires(std::is_arithmetic_v<X> && !std::is_same_v<X, T>) explicit Pack(X x)
      : Pack(static_cast<T>(x)) {}
  template <class U> explicit Pack(const Pack<U>& other) : v(other.v.template cast<T>()) {}

  friend Pack operator+(const Pack& a, const Pack& b) { return Lanes(a.v + b.v); }
  friend Pack operator-(const Pack& a, const Pack& b) { return Lanes(a.v - b.v); }
  friend Pack operator*(const Pack& a, const Pack& b) { return Lanes(a.v * b.v); }
  friend Pack operator/(const Pack& a, const Pack& b) { return Lanes(a.v / b.v); }
  friend Pack operator-(const Pack& a) { return Lanes(-a.v); }
  friend Pack<bool> operator<(const Pack& a, const Pack& b) {
    return Pack<bool>(typename Pack<bool>::Lanes(a.v < b.v));
  }
  friend Pack<bool> operator<=(const Pack& a, const Pack& b) {
    return Pack<bool>(typename Pack<bool>::Lanes(a.v <= b.v));
  }
  friend Pack<bool> operator>(const Pack& a, const Pack& b) { return b < a; }
  friend Pack<bool> operator>=(const Pack& a, const Pack& b) { return b <= a; }
  friend Pack<bool> operator==(const Pack& a, const Pack& b) {
    return Pack<bool>(typename Pack<bool>::Lanes(a.v == b.v));
  }
  friend Pack<bool> operator!=(const Pack& a, const Pack& b) {
    return Pack<bool>(typename Pack<bool>::Lanes(a.v != b.v));
  }
  friend Pack<bool> operator!(const Pack& a) {
    return Pack<bool>(typename Pack<bool>::Lanes(!a.v));
  }
  friend Pack operator&&(const Pack& a, const Pack& b) requires(std::is_same_v<T, bool>) {
    return Lanes(a.v && b.v);
  }
  friend Pack operator||(const Pack& a, const Pack& b) requires(std::is_same_v<T, bool>) {
    return Lanes(a.v || b.v);
  }
};

template <class T> Pack<T> exp_(const Pack<T>& x) { return typename Pack<T>::Lanes(x.v.exp()); }
template <class T> Pack<T> log_(const Pack<T>& x) { return typename Pack<T>::Lanes(x.v.log()); }
template <class T> Pack<T> log1p_(const Pack<T>& x) { return typename Pack<T>::Lanes(x.v.log1p()); }
template <class T> Pack<T> sin_(const Pack<T>& x) { return typename Pack<T>::Lanes(x.v.sin()); }
template <class T> Pack<T> cos_(const Pack<T>& x) { return typename Pack<T>::Lanes(x.v.cos()); }
template <class T> Pack<T> tanh_(const Pack<T>& x) { return typename Pack<T>::Lanes(x.v.tanh()); }
template <class T> Pack<T> erf_(const Pack<T>& x) {
  return typename Pack<T>::Lanes(Eigen::erf(x.v));
}
template <class T> Pack<T> sqrt_(const Pack<T>& x) { return typename Pack<T>::Lanes(x.v.sqrt()); }
template <class T> Pack<T> abs_(const Pack<T>& x) { return typename Pack<T>::Lanes(x.v.abs()); }
template <class T> Pack<T> floor_(const Pack<T>& x) { return typename Pack<T>::Lanes(x.v.floor()); }
template <class T> Pack<T> min_(const Pack<T>& x, const Pack<T>& y) {
  return typename Pack<T>::Lanes(x.v.min(y.v));
}
template <class T> Pack<T> max_(const Pack<T>& x, const Pack<T>& y) {
  return typename Pack<T>::Lanes(x.v.max(y.v));
}
template <class T> Pack<T> select_(const Pack<bool>& c, const Pack<T>& yes, const Pack<T>& no) {
  return typename Pack<T>::Lanes(c.v.select(yes.v, no.v));
}
template <class U, class T> Pack<U> cast_(const Pack<T>& x) { return Pack<U>(x); }
template <class T> Pack<T> pow_(const Pack<T>& x, const Pack<T>& y) {
  Pack<T> r;
  for (int i = 0; i < pack_size; ++i) r.v[i] = static_cast<T>(std::pow(x.v[i], y.v[i]));
  return r;
}

/// Loads up to pack_size elements `step` apart (0 repeats one element), converting 16-bit floats to
/// float.
template <class T>
Pack<compute_type<T>> load_pack(const T* p, index_t step, index_t count = pack_size) {
  using C = compute_type<T>;
  Pack<C> r;
  if (step == 0) return Pack<C>(static_cast<C>(*p));
  if constexpr (std::is_same_v<C, T>) {
    if (step == 1 && count == pack_size)
      return Pack<C>(typename Pack<C>::Lanes(Eigen::Map<const typename Pack<C>::Lanes>(p)));
  } else if (step == 1 && count == pack_size) {
    for (int i = 0; i < pack_size; ++i) r.v[i] = static_cast<C>(p[i]);
    return r;
  }
  // Lanes past the end repeat the last element: harmless to compute on, never stored.
  for (int i = 0; i < pack_size; ++i)
    r.v[i] = static_cast<C>(p[(i < count ? i : count - 1) * step]);
  return r;
}

/// Stores the first `count` lanes `step` apart, converting to U.
template <class U, class T>
void store_pack(U* p, index_t step, const Pack<T>& x, index_t count = pack_size) {
  if constexpr (std::is_same_v<U, T>)
    if (step == 1 && count == pack_size) {
      Eigen::Map<typename Pack<T>::Lanes> target(p);
      target = x.v;
      return;
    }
  for (index_t i = 0; i < count; ++i)
    p[i * step] = static_cast<U>(static_cast<compute_type<U>>(x.v[i]));
}

HLIP_END
