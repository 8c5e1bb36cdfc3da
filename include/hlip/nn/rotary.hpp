// Rotary positions: pairs of channels of queries and keys are turned by angles that grow with the
// position, so that their products depend on distances alone.
// Source: Su et al. 2021, "RoFormer"; channel i is paired with channel i + head_dim / 2, as in the
// Llama of transformers.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/tensor/check.hpp>

#include <cmath>
#include <span>
#include <vector>

HLIP_BEGIN

/// Cosines and sines of the angles of neighbouring positions.
template <class T, class B> struct RotaryPositions {
  Tensor<T, B> cosines, sines;  ///< (positions, head_dim / 2)

  RotaryPositions() = default;
  /// Positions first … first + count − 1. @param head_dim even  @param theta base of wavelengths
  RotaryPositions(index_t first, index_t count, index_t head_dim, double theta) {
    expect(head_dim > 0 && head_dim % 2 == 0, "rotary", "head_dim is {}, expected an even number",
           head_dim);
    const index_t half = head_dim / 2;
    std::vector<T> c(static_cast<std::size_t>(count * half)), s(c.size());
    for (index_t i = 0; i < half; ++i) {
      const double speed = std::pow(theta,
                                    -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
      for (index_t p = 0; p < count; ++p) {
        const double angle = static_cast<double>(first + p) * speed;
        const auto at = static_cast<std::size_t>(p * half + i);
        c[at] = static_cast<T>(std::cos(angle)), s[at] = static_cast<T>(std::sin(angle));
      }
    }
    cosines = Tensor<T, B>::from_values({count, half}, std::span<const T>(c));
    sines = Tensor<T, B>::from_values({count, half}, std::span<const T>(s));
  }
};

namespace detail {

/// Turns the pairs of the last axis of x (…, positions, head_dim).
template <class T, class B>
Tensor<T, B> turn_pairs(const Tensor<T, B>& x, const Tensor<T, B>& cosines,
                        const Tensor<T, B>& sines) {
  const int last = x.rank() - 1;
  const index_t half = cosines.dim(1);
  const Tensor<T, B> a = x.slice(last, 0, half), b = x.slice(last, half, 2 * half);
  const auto y = Tensor<T, B>::empty(x.shape());
  y.slice(last, 0, half).assign(a * cosines - b * sines);
  y.slice(last, half, 2 * half).assign(b * cosines + a * sines);
  return y;
}

}  // namespace detail

/// Turns queries or keys by the angles of their positions; the way back turns gradients back.
///
/// @param x (…, positions, head_dim)  @return the shape of x
template <class T, class B>
Var<T, B> rotary(const Var<T, B>& x, const RotaryPositions<T, B>& positions) {
  const index_t count = positions.cosines.dim(0), width = 2 * positions.cosines.dim(1);
  expect(x.rank() >= 2 && x.dim(-2) == count && x.dim(-1) == width, "rotary",
         "x is {}, expected (…, positions = {}, head_dim = {})", to_string(x.shape()), count,
         width);
  return record("rotary", detail::turn_pairs(x.value(), positions.cosines, positions.sines), {x},
                [positions](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  const Tensor<T, B> back = -positions.sines;
                  grads.add(0, detail::turn_pairs(dy, positions.cosines, back));
                });
}

HLIP_END
