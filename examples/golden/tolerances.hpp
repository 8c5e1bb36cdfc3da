// How far fixtures of RAD-DINO and T3D may be off. Source: README.md beside them.
#pragma once

#include "fixture.hpp"

namespace golden {

/// Relative to the largest magnitude of the tensor.
inline constexpr Limit of_an_operator{Limit::Scale::largest, 2e-5};
inline constexpr Limit gradient_of_a_network{Limit::Scale::largest, 1e-4};
/// of losses and weights in the course of a training
inline constexpr Limit of_a_trajectory{Limit::Scale::largest, 1e-4};

/// The size of an axis of an input. @throws hlip::error when it has another number of axes
inline index_t axis_of(const Fixture& f, const std::string& name, int rank, int axis) {
  if (f.shape(name).rank() != rank)
    fail_file(f.path(), name, "is {}, expected {} axes", to_string(f.shape(name)), rank);
  return f.shape(name)[axis];
}

}  // namespace golden
