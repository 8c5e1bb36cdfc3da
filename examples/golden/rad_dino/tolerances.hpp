// How far fixtures of RAD-DINO may be off. Source: README.md beside them.
#pragma once

#include "../fixture.hpp"

namespace golden {

/// Relative to the largest magnitude of the tensor.
inline constexpr Limit of_an_operator{Limit::Scale::largest, 2e-5};
inline constexpr Limit gradient_of_a_network{Limit::Scale::largest, 1e-4};
inline constexpr Limit first_step{Limit::Scale::largest, 1e-5};
inline constexpr Limit of_a_trajectory{Limit::Scale::largest, 1e-4};

}  // namespace golden
