// Four neighbouring elements: what a thread of a GPU asks of memory at once. 32 threads that do
// move as many bytes with a quarter of the instructions, and a multiprocessor has four times the
// bytes on their way.
#pragma once

#include <hlip/core/abi.hpp>

#include <bit>
#include <cstdint>

HLIP_BEGIN

namespace detail {

/// N neighbouring elements, which can be read at once where they lie on a multiple of as many bytes
/// as they have.
template <class T, int N> struct alignas(N * sizeof(T)) Several { T v[N]; };
template <int N, class T> HLIP_FN Several<T, N> several(const T* p) {
  return *reinterpret_cast<const Several<T, N>*>(p);
}

template <class T> using Quad = Several<T, 4>;

/// Whether quads can be read at p, and from there at every fourth element.
template <class T> bool takes_quads(const T* p) {
  return reinterpret_cast<std::uintptr_t>(p) % alignof(Quad<T>) == 0;
}
template <class T> HLIP_FN Quad<T> quad(const T* p) { return several<4>(p); }
/// In so many words for a GPU: nvcc is free to make four stores of an assignment, and often does.
template <class T> HLIP_FN void store_quad(T* p, const Quad<T>& q) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(q) == 16) {
    const auto w = std::bit_cast<uint4>(q);
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(p)),
                 "r"(w.x), "r"(w.y), "r"(w.z), "r"(w.w)
                 : "memory");
    return;
  } else if constexpr (sizeof(q) == 8) {
    const auto w = std::bit_cast<uint2>(q);
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(p)), "r"(w.x),
                 "r"(w.y)
                 : "memory");
    return;
  }
#endif
  *reinterpret_cast<Quad<T>*>(p) = q;
}

/// The first n of the four, zeros for the others (n <= 0: for all). `Whole`: p takes quads, and n
/// is never 1, 2 or 3.
template <bool Whole, class T> HLIP_FN Quad<T> some_of_quad(const T* p, int n) {
  Quad<T> q{};
  if constexpr (Whole) {
    if (n > 0) q = quad(p);
  } else {
    HLIP_UNROLL
    for (int k = 0; k < 4; ++k)
      if (k < n) q.v[k] = p[k];
  }
  return q;
}
template <bool Whole, class T> HLIP_FN void store_some_of_quad(T* p, const Quad<T>& q, int n) {
  if constexpr (Whole) {
    if (n > 0) store_quad(p, q);
  } else {
    HLIP_UNROLL
    for (int k = 0; k < 4; ++k)
      if (k < n) p[k] = q.v[k];
  }
}

}  // namespace detail

HLIP_END
