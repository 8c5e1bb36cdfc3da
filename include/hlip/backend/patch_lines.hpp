// Where the elements of patches come from, for the kernels of every backend.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/tensor/lower.hpp>

HLIP_BEGIN

namespace detail {

/// How many lines the rows of a have: pieces of pw neighbouring elements.
template <class T, class S> index_t patch_lines(const PatchArgs<T, S>& a) {
  return (a.last - a.first) * a.channels * a.pd * a.ph;
}

/// Where line i of the rows begins in the volumes.
template <class T, class S> HLIP_FN const T* patch_line(const PatchArgs<T, S>& a, index_t i) {
  // Divisions from the inside out; `take` gives the remainder and keeps the quotient.
  index_t rest = i;
  const auto take = [&rest](index_t n) {
    const index_t whole = quotient(rest, n), part = rest - whole * n;
    rest = whole;
    return part;
  };
  const index_t y = take(a.ph), z = take(a.pd), channel = take(a.channels);
  rest += a.first;
  const index_t across = take(a.width / a.pw), down = take(a.height / a.ph),
                deep = take(a.depth / a.pd);
  return a.x +
         (((rest * a.channels + channel) * a.depth + deep * a.pd + z) * a.height + down * a.ph +
          y) *
             a.width +
         across * a.pw;
}

/// Copies line i whole.
template <class T, class S> struct CutLine {
  PatchArgs<T, S> a;
  HLIP_FN void operator()(index_t i) const {
    const T* from = patch_line(a, i);
    for (index_t k = 0; k < a.pw; ++k) a.rows[i * a.pw + k] = static_cast<S>(from[k]);
  }
};

}  // namespace detail

HLIP_END
