// Products of a few rows with a transposed matrix (decoding a text token by token): the matrix is
// read once, from where it lies, and its memory sets the pace. Lane l of a sum takes elements l,
// l + packet, … of K, whatever else is computed beside it: the bits of a row depend neither on the
// number of threads nor on the other rows.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/gemm_tiles.hpp>
#include <hlip/backend/cpu/kernel.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

HLIP_BEGIN

namespace detail {

/// Most rows of A that are multiplied this way, and most at a time.
inline constexpr index_t few_rows = 8, rows_at_once = 4;
/// Columns of C that are finished together.
inline constexpr index_t few_rows_cols = 64;
/// Rows of B that are read side by side beside R rows of A: sums take half of the registers.
template <int R>
inline constexpr int few_rows_across = static_cast<int>(std::bit_floor(std::min<unsigned>(
    8, (EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32 ? 16 : 8) / static_cast<unsigned>(R))));

/// sums[i · few_rows_cols + j] = Σ_p a(i, p) · b(j0 + j, p) for the R rows of A at `a` and columns
/// [j0, j0 + cols) of C; K is a packet at least. Writes up to few_rows_across<R> - 1 columns more.
template <int R, class T>
[[gnu::noinline]] void few_rows_sums(const GemmArgs<T>& g, const T* a, index_t j0, index_t cols,
                                     T* sums) {
  using P = Packet<T>;
  constexpr int w = packet_width<T>, across = few_rows_across<R>;
  constexpr index_t line = std::max<index_t>(w, 64 / sizeof(T));
  // The rows that come next are fetched meanwhile, as far as the second-level cache has room
  const index_t k = g.k, whole = k / w * w, ahead = std::min<index_t>(across * g.ldb, 1 << 16);
  // What is left of K are the last lanes of its last w elements; a NaN in the others must not count
  T lanes[w] = {};
  std::memset(lanes + w - (k - whole), 0xff, static_cast<std::size_t>(k - whole) * sizeof(T));
  const P rest = simd::ploadu<P>(lanes);
  [&]<int... I>(std::integer_sequence<int, I...>) {
    for (index_t j = 0; j < cols; j += across) {
      const T* b[across];
      for (int s = 0; s < across; ++s) b[s] = g.b + std::min(j0 + j + s, g.n - 1) * g.ldb;
      P sum[R * across];
      ((sum[I] = simd::pset1<P>(T(0))), ...);
      const auto packet = [&](index_t p, auto lanes_of) __attribute__((always_inline)) {
        P x[R], y;
        for (int i = 0; i < R; ++i) x[i] = lanes_of(simd::ploadu<P>(a + i * g.lda + p));
        ((y = I % R == 0 ? lanes_of(simd::ploadu<P>(b[I / R] + p)) : y,
          sum[I] = simd::pmadd(x[I % R], y, sum[I])),
         ...);
      };
      const auto all = [](const P& x) { return x; };
      index_t p = 0;
      for (; p + line <= whole; p += line) {
        for (int s = 0; s < across; ++s) __builtin_prefetch(b[s] + p + ahead, 0, 2);
        for (index_t q = 0; q < line; q += w) packet(p + q, all);
      }
      for (; p < whole; p += w) packet(p, all);
      if (p < k) packet(k - w, [&](const P& x) { return simd::pand(rest, x); });
      ((sums[I % R * few_rows_cols + j + I / R] = simd::predux(sum[I])), ...);
    }
  }
  (std::make_integer_sequence<int, R * across>{});
}

template <class T>
using FewRowsSums = void (*)(const GemmArgs<T>& g, const T* a, index_t j0, index_t cols, T* sums);
template <class T>
inline constexpr std::array<FewRowsSums<T>, rows_at_once> few_rows_kernels{
    &few_rows_sums<1, T>, &few_rows_sums<2, T>, &few_rows_sums<3, T>, &few_rows_sums<4, T>};

/// Whether few_rows_gemm can compute this product. Packets of one number would leave it to the
/// compiler, kernel by kernel, where sums are rounded.
template <class T> bool fits_few_rows(const GemmArgs<T>& g) {
  constexpr int w = packet_width<T>;
  return w > 1 && g.m <= few_rows && g.k >= w && g.batch == 1 && g.trans_b && !g.trans_a;
}
/// Whether it should: of a short K packing is faster (measured), and small matrices lie in the
/// cache either way; their rows keep the bits they have in larger products.
template <class T> bool has_few_rows(const GemmArgs<T>& g) {
  return fits_few_rows(g) && g.n * g.k >= 16384 &&
         g.k >= (g.m <= rows_at_once ? 4 : 8) * packet_width<T>;
}

/// gemm of a product that fits_few_rows.
template <class T> void few_rows_gemm(const GemmArgs<T>& g) {
  const index_t blocks = div_up(g.n, few_rows_cols);
  const bool worth_threads = blocks > 1 && static_cast<double>(g.m) * static_cast<double>(g.n) *
                                                   static_cast<double>(g.k + 8) >
                                               1e5;
#pragma omp parallel for schedule(static) if (worth_threads)
  for (index_t block = 0; block < blocks; ++block) {
    const index_t j0 = block * few_rows_cols, cols = std::min(few_rows_cols, g.n - j0);
    T sums[few_rows * few_rows_cols];
    const bool add = gemm_start(g, g.c + j0, g.bias ? g.bias + j0 : nullptr, g.m, cols);
    for (index_t i = 0; i < g.m; i += rows_at_once)
      few_rows_kernels<T>[static_cast<std::size_t>(std::min(rows_at_once, g.m - i) - 1)](
          g, g.a + i * g.lda, j0, cols, sums + i * few_rows_cols);
    for (index_t i = 0; i < g.m; ++i)
      for (index_t j = 0; j < cols; ++j) {
        T& c = g.c[i * g.ldc + j0 + j];
        c = (add ? c : T(0)) + g.alpha * sums[i * few_rows_cols + j];
      }
    gemm_epilogue(g, j0, g.m, cols);
  }
}

}  // namespace detail

HLIP_END
