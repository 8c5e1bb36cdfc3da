// Products of a few rows with a transposed matrix (decoding a text token by token): the matrix is
// read once, from where it lies, and its memory sets the pace. Lane l of a sum takes elements l,
// l + packet, … of K, whatever else is computed beside it: the bits of a row depend neither on the
// number of threads nor on the other rows.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/kernel.hpp>

#include <algorithm>

HLIP_BEGIN

namespace detail {

/// Whether a product is one of few rows: of a short K packing is faster (measured), and small
/// matrices lie in the cache either way; their rows keep the bits they have in larger products.
/// Packets of one number would leave it to the compiler, kernel by kernel, where sums are rounded.
template <class T> bool has_few_rows(const GemmArgs<T>& g) {
  constexpr int w = packet_width<T>;
  return w > 1 && g.m <= 8 && g.batch == 1 && g.trans_b && !g.trans_a && g.k % w == 0 &&
         g.k >= (g.m <= 4 ? 4 : 8) * w && g.n * g.k >= 16384;
}

/// The products of a tile of C, added to what is there if `add`: rows x cols numbers at `c`, of the
/// rows of A at `a` and of B at `b`. Four rows of A at a time; the last stands for those behind it:
/// one kernel for all, because each costs compile time and memory sets the pace either way.
template <class T>
[[gnu::noinline]] void few_rows_tile(const GemmArgs<T>& g, const T* a, const T* b, T* c,
                                     index_t rows, index_t cols, bool add) {
  using P = Packet<T>;
  constexpr int w = packet_width<T>;
  // The row of B that comes next is fetched meanwhile, as far as the second-level cache has room
  const index_t ahead = std::min<index_t>(g.ldb, 1 << 16);
  for (index_t i = 0; i < rows; i += 4) {
    const auto row = [&](index_t r) { return a + std::min(i + r, rows - 1) * g.lda; };
    const T *a0 = row(0), *a1 = row(1), *a2 = row(2), *a3 = row(3);
    for (index_t j = 0; j < cols; ++j) {
      const T* y = b + j * g.ldb;
      P s0 = simd::pset1<P>(T(0)), s1 = s0, s2 = s0, s3 = s0;
      for (index_t p = 0; p < g.k; p += w) {
        const P v = simd::ploadu<P>(y + p);
        __builtin_prefetch(y + p + ahead, 0, 2);
        s0 = simd::pmadd(simd::ploadu<P>(a0 + p), v, s0);
        s1 = simd::pmadd(simd::ploadu<P>(a1 + p), v, s1);
        s2 = simd::pmadd(simd::ploadu<P>(a2 + p), v, s2);
        s3 = simd::pmadd(simd::ploadu<P>(a3 + p), v, s3);
      }
      const T sums[] = {simd::predux(s0), simd::predux(s1), simd::predux(s2), simd::predux(s3)};
      for (index_t r = 0; r < std::min<index_t>(4, rows - i); ++r) {
        T& to = c[(i + r) * g.ldc + j];
        to = (add ? to : T(0)) + g.alpha * sums[r];
      }
    }
  }
}

}  // namespace detail

HLIP_END
