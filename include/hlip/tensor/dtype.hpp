// Element types: the 16-bit storage floats, names, and the type arithmetic is done in.
#pragma once

#include <hlip/core/abi.hpp>

#include <bit>
#include <cstdint>
#include <string_view>
#include <type_traits>

HLIP_BEGIN

/// Brain float: the upper half of a float32. A storage type: arithmetic converts to float first.
struct bfloat16 {
  std::uint16_t bits = 0;
  bfloat16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN.
  HLIP_FN explicit bfloat16(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    if ((u & 0x7FFFFFFFu) > 0x7F800000u) bits = static_cast<std::uint16_t>((u >> 16) | 0x40u);
    else bits = static_cast<std::uint16_t>((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
  }
  HLIP_FN explicit operator float() const {
    return std::bit_cast<float>(std::uint32_t{bits} << 16);
  }
  friend bool operator==(bfloat16 a, bfloat16 b) {
    return static_cast<float>(a) == static_cast<float>(b);
  }
};

/// IEEE binary16. A storage type: arithmetic converts to float first.
struct float16 {
  std::uint16_t bits = 0;
  float16() = default;
  /// Rounds to nearest, ties to even; overflows to infinity.
  HLIP_FN explicit float16(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    const auto sign = static_cast<std::uint16_t>((u >> 16) & 0x8000u);
    std::uint32_t a = u & 0x7FFFFFFFu;
    if (a > 0x7F800000u) {
      bits = static_cast<std::uint16_t>(sign | 0x7E00u);
    } else if (a >= 0x477FF000u) {  // 65520 and above round to infinity
      bits = static_cast<std::uint16_t>(sign | 0x7C00u);
    } else if (a < 0x38800000u) {  // subnormal half: add 0.5 so that the float adder rounds for us
      const float f = std::bit_cast<float>(a) + 0.5f;
      bits = static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(f) - 0x3F000000u));
    } else {
      a += 0xC8000FFFu + ((a >> 13) & 1u);
      bits = static_cast<std::uint16_t>(sign | (a >> 13));
    }
  }
  HLIP_FN explicit operator float() const {
    // Without branches, so that a loop becomes SIMD instructions: the exponent is moved by an exact
    // product, subnormal halves included.
    const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16, rest = bits & 0x7FFFu;
    const std::uint32_t moved = std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest << 13) *
                                                             0x1p112f);
    return std::bit_cast<float>(sign | moved | (rest >= 0x7C00u ? 0x7F800000u : 0u));
  }
  friend bool operator==(float16 a, float16 b) {
    return static_cast<float>(a) == static_cast<float>(b);
  }
};

/// Element types by their safetensors names.
enum class DType { F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL };

/// "F32" and so on.
constexpr std::string_view dtype_name(DType d) {
  constexpr std::string_view names[] = {"F64", "F32", "F16", "BF16", "I64",
                                        "I32", "I16", "I8",  "U8",   "BOOL"};
  return names[static_cast<int>(d)];
}

/// Bytes of one element.
constexpr std::size_t dtype_size(DType d) {
  constexpr std::size_t sizes[] = {8, 4, 2, 2, 8, 4, 2, 1, 1, 1};
  return sizes[static_cast<int>(d)];
}

template <class T>
inline constexpr bool is_half = std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;
template <class T> inline constexpr bool is_floating = std::is_floating_point_v<T> || is_half<T>;

/// A type tensors may hold.
template <class T>
concept Element = std::is_arithmetic_v<T> || is_half<T>;

/// The type arithmetic on T is done in: float for the 16-bit floats, T otherwise.
template <class T> using compute_type = std::conditional_t<is_half<T>, float, T>;

/// The DType of a C++ element type.
template <Element T> constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, double>) return DType::F64;
  else if constexpr (std::is_same_v<T, float>) return DType::F32;
  else if constexpr (std::is_same_v<T, float16>) return DType::F16;
  else if constexpr (std::is_same_v<T, bfloat16>) return DType::BF16;
  else if constexpr (std::is_same_v<T, bool>) return DType::BOOL;
  else if constexpr (std::is_same_v<T, std::uint8_t>) return DType::U8;
  else if constexpr (sizeof(T) == 8) return DType::I64;
  else if constexpr (sizeof(T) == 4) return DType::I32;
  else if constexpr (sizeof(T) == 2) return DType::I16;
  else return DType::I8;
}

HLIP_END
