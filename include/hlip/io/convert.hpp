// One stored element to one C++ value, for files that name their element type.
#pragma once

#include <hlip/tensor/dtype.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

HLIP_BEGIN

namespace detail {

/// Calls f(S{}) with the C++ type stored for `dtype`; BOOL is one byte.
template <class F> decltype(auto) with_stored_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::F64: return f(double{});
    case DType::F32: return f(float{});
    case DType::F16: return f(float16{});
    case DType::BF16: return f(bfloat16{});
    case DType::I64: return f(std::int64_t{});
    case DType::I32: return f(std::int32_t{});
    case DType::I16: return f(std::int16_t{});
    case DType::I8: return f(std::int8_t{});
    default: return f(std::uint8_t{});
  }
}

/// An element that may lie at any address.
template <class S> S load(const std::byte* at) {
  S value;
  std::memcpy(&value, at, sizeof(S));
  return value;
}

/// `value` as a T. Floating targets round; integer and bool targets take only values they hold
/// exactly.
/// @return false when the value does not fit
template <class T, class S> bool convert_element(S value, T& out) {
  if constexpr (std::is_same_v<S, T>) {
    out = value;
  } else if constexpr (is_half<S>) {
    return convert_element(static_cast<float>(value), out);
  } else if constexpr (is_half<T>) {
    out = T(static_cast<float>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    out = static_cast<T>(value);
  } else if constexpr (std::is_same_v<T, bool>) {
    out = value == S{1};
    return value == S{0} || value == S{1};
  } else if constexpr (std::is_floating_point_v<S>) {
    // The limits of T as floats: 2^k is exact, so the upper bound is compared with <.
    const S upper = std::ldexp(S{1}, std::numeric_limits<T>::digits),
            lower = std::is_signed_v<T> ? -upper : S{0};
    if (!(value >= lower && value < upper) || std::trunc(value) != value) return false;
    out = static_cast<T>(value);
  } else {
    if (!std::in_range<T>(value)) return false;
    out = static_cast<T>(value);
  }
  return true;
}

}  // namespace detail

HLIP_END
