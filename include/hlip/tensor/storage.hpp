// A counted, 64-byte aligned buffer in a backend's memory.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/tensor/dtype.hpp>
#include <hlip/tensor/memory_statistics.hpp>
#include <hlip/tensor/shape.hpp>

#include <cstddef>
#include <memory>

HLIP_BEGIN

namespace detail {

/// Frees what allocate_elements gave, and knows what it counts as.
template <class B> struct StorageDeleter {
  std::size_t bytes;
  MemoryCategory category;
  void operator()(void* p) const {
    deallocate(B{}, p, bytes);
    memory_statistics<B>().remove(category, bytes);
  }
};

}  // namespace detail

/// Allocates uninitialised memory for `shape` elements of T on backend B; freed with the last
/// handle.
/// @throws hlip::error if a size is negative or the byte count overflows
template <Element T, class B> std::shared_ptr<T> allocate_elements(const Shape& shape) {
  std::size_t bytes = sizeof(T);
  for (index_t s : shape) {
    if (s < 0) fail("tensor", "shape {} has a negative size", to_string(shape));
    if (s > 0 && __builtin_mul_overflow(bytes, static_cast<std::size_t>(s), &bytes))
      fail("tensor", "shape {} overflows the address space", to_string(shape));
    if (s == 0) bytes = 0;
  }
  if (bytes > (std::size_t{1} << 62))
    fail("tensor", "shape {} overflows the address space", to_string(shape));
  auto* memory = static_cast<T*>(allocate(B{}, bytes));
  memory_statistics<B>().add(detail::memory_category, bytes);
  return std::shared_ptr<T>(memory, detail::StorageDeleter<B>{bytes, detail::memory_category});
}

/// Counts memory under another category from now on. Memory that allocate_elements did not give
/// (mapped weights) counts nowhere and stays so. Not for two threads at once.
template <class B, Element T>
void recategorise(const std::shared_ptr<T>& storage, MemoryCategory category) {
  auto* deleter = std::get_deleter<detail::StorageDeleter<B>>(storage);
  if (!deleter || deleter->category == category) return;
  memory_statistics<B>().move(deleter->category, category, deleter->bytes);
  deleter->category = category;
}

HLIP_END
