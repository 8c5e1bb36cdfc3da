// Four neighbouring elements: what a thread of a GPU asks of memory at once. 32 threads that do move as many bytes with a quarter of
// the instructions, and a multiprocessor has four times the bytes on their way.
#pragma once

#include <hlip/core/abi.hpp>

#include <cstdint>

HLIP_BEGIN

namespace detail {

template <class T>
struct alignas(4 * sizeof(T)) Quad {
  T v[4];
};

/// Whether quads can be read at p, and from there at every fourth element.
template <class T>
bool takes_quads(const T* p) {
  return reinterpret_cast<std::uintptr_t>(p) % alignof(Quad<T>) == 0;
}
template <class T>
HLIP_FN Quad<T> quad(const T* p) {
  return *reinterpret_cast<const Quad<T>*>(p);
}
template <class T>
HLIP_FN void store_quad(T* p, const Quad<T>& q) {  // nvcc makes four stores of one to a pointer that has been added up, unless it is told
  *static_cast<Quad<T>*>(__builtin_assume_aligned(p, alignof(Quad<T>))) = q;
}

}  // namespace detail

HLIP_END
