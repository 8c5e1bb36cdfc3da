// Patches of volumes on Cuda: neighbouring threads write neighbouring elements, four each where
// lines are a multiple of that.
#pragma once

#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/quad.hpp>
#include <hlip/backend/patch_lines.hpp>

HLIP_BEGIN

namespace detail {

/// Copies piece i of `Run` elements.
template <int Run, class T, class S> struct CutPiece {
  PatchArgs<T, S> a;
  HLIP_FN void operator()(index_t i) const {
    const index_t pieces = quotient(a.pw, Run), line = quotient(i, pieces);
    const T* from = patch_line(a, line) + (i - line * pieces) * Run;
    if constexpr (Run == 4) {
      Quad<S> four;
      HLIP_UNROLL
      for (int k = 0; k < 4; ++k) four.v[k] = static_cast<S>(from[k]);
      store_quad(a.rows + i * 4, four);
    } else {
      a.rows[i] = static_cast<S>(*from);
    }
  }
};

}  // namespace detail

/// Patches of volumes as the rows of a matrix; see PatchArgs.
template <class T, class S> void cut_patches(Cuda, const PatchArgs<T, S>& a) {
  const index_t elements = detail::patch_lines(a) * a.pw;
  if (a.pw % 4 == 0 && detail::takes_quads(a.rows))
    for_each_index(Cuda{}, elements / 4, detail::CutPiece<4, T, S>{a});
  else for_each_index(Cuda{}, elements, detail::CutPiece<1, T, S>{a});
}

HLIP_END
