// A counted, 64-byte aligned buffer in a backend's memory.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/tensor/dtype.hpp>
#include <hlip/tensor/shape.hpp>

#include <cstddef>
#include <memory>

HLIP_BEGIN

/// Allocates uninitialised memory for `shape` elements of T on backend B; freed with the last handle.
/// @throws hlip::error if a size is negative or the byte count overflows
template <Element T, class B>
std::shared_ptr<T> allocate_elements(const Shape& shape) {
  std::size_t bytes = sizeof(T);
  for (index_t s : shape) {
    if (s < 0) fail("tensor", "shape {} has a negative size", to_string(shape));
    if (s > 0 && __builtin_mul_overflow(bytes, static_cast<std::size_t>(s), &bytes)) fail("tensor", "shape {} overflows the address space", to_string(shape));
    if (s == 0) bytes = 0;
  }
  if (bytes > (std::size_t{1} << 62)) fail("tensor", "shape {} overflows the address space", to_string(shape));
  auto* memory = static_cast<T*>(allocate(B{}, bytes));
  return std::shared_ptr<T>(memory, [bytes](T* p) { deallocate(B{}, p, bytes); });
}

HLIP_END
