// The register tile that every matrix-shaped CPU kernel is made of: R rows by two SIMD registers of
// C, with Eigen's packets as the instruction set. The order of additions depends on the arguments
// alone, never on caches or threads.
#pragma once

#include <hlip/backend/cpu/eigen.hpp>
#include <hlip/backend/cpu/pack.hpp>
#include <hlip/tensor/shape.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <utility>

HLIP_BEGIN

namespace detail {

namespace simd = Eigen::internal;

template <class T> using Packet = typename simd::packet_traits<T>::type;
template <class T> inline constexpr int packet_width = simd::unpacket_traits<Packet<T>>::size;

/// Columns of a register tile.
template <class T> inline constexpr int tile_cols = 2 * packet_width<T>;
/// Most rows of a register tile: accumulators take three quarters of the registers.
inline constexpr int tile_rows = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32 ? 12 : 6;
/// Scratch rows are padded to this many columns, so that neither tiles nor packs have an edge.
template <class T> inline constexpr int scratch_cols = tile_cols<T> > 16 ? tile_cols<T> : 16;

constexpr index_t round_up(index_t n, index_t to) { return (n + to - 1) / to * to; }
constexpr index_t div_up(index_t n, index_t by) { return (n + by - 1) / by; }

/// c (R, tile_cols) = [c +] alpha · Σ_p a(i, p) · b(p, :), with a(i, p) = a[i·ARow + p·a_step],
/// b(p, :) = b[p·ldb …].
template <int R, int ARow, class T>
void tile_product(index_t k, const T* a, index_t a_step, const T* b, index_t ldb, T* c, index_t ldc,
                  T alpha, bool add) {
  using P = Packet<T>;
  constexpr int w = packet_width<T>;
  [&]<int... I>(std::integer_sequence<int, I...>) {
    P left[R], right[R];
    ((left[I] = simd::pset1<P>(T(0)), right[I] = left[I]), ...);
    for (index_t p = 0; p < k; ++p) {
      const P b0 = simd::ploadu<P>(b), b1 = simd::ploadu<P>(b + w);
      const auto row = [&](int i, P& l, P& r) __attribute__((always_inline)) {
        const P ai = simd::pset1<P>(a[i * ARow]);
        l = simd::pmadd(ai, b0, l);
        r = simd::pmadd(ai, b1, r);
      };
      (row(I, left[I], right[I]), ...);
      a += a_step;
      b += ldb;
    }
    const P scale = simd::pset1<P>(alpha);
    const auto store = [&](T * to, const P& l, const P& r) __attribute__((always_inline)) {
      const P l_old = add ? simd::ploadu<P>(to) : simd::pset1<P>(T(0)),
              r_old = add ? simd::ploadu<P>(to + w) : simd::pset1<P>(T(0));
      simd::pstoreu(to, simd::pmadd(scale, l, l_old));
      simd::pstoreu(to + w, simd::pmadd(scale, r, r_old));
    };
    (store(c + I * ldc, left[I], right[I]), ...);
  }
  (std::make_integer_sequence<int, R>{});
}

template <class T>
using TileProduct = void (*)(index_t k, const T* a, index_t a_step, const T* b, index_t ldb, T* c,
                             index_t ldc, T alpha, bool add);

/// tile_product for 1 … tile_rows rows.
template <int ARow, class T>
inline constexpr std::array<TileProduct<T>, tile_rows> tile_products = [
]<int... I>(std::integer_sequence<int, I...>) {
  return std::array<TileProduct<T>, tile_rows>{&tile_product<I + 1, ARow, T>...};
}
(std::make_integer_sequence<int, tile_rows>{});

/// Splits m rows into the fewest register tiles of nearly equal height; tile t covers [begin(t),
/// begin(t + 1)).
struct RowSplit {
  index_t m, count;
  explicit RowSplit(index_t rows) : m(rows), count(div_up(rows, tile_rows)) {}
  index_t begin(index_t t) const { return m * t / count; }
};

/// c (m, n) = [c +] alpha · a · b on scratch matrices whose rows are padded to scratch_cols; a as
/// in tile_product.
template <int ARow, class T>
void block_product(index_t m, index_t n, index_t k, const T* a, index_t a_step, const T* b,
                   index_t ldb, T* c, index_t ldc, T alpha, bool add) {
  const RowSplit rows(m);
  for (index_t j = 0; j < n; j += tile_cols<T>)
    for (index_t t = 0; t < rows.count; ++t) {
      const index_t i = rows.begin(t), r = rows.begin(t + 1) - i;
      tile_products<ARow, T>[static_cast<std::size_t>(r - 1)](k, a + i * ARow, a_step, b + j, ldb,
                                                              c + i * ldc + j, ldc, alpha, add);
    }
}

/// Lanes p[0 … count), the rest filled with `rest`.
template <class T> Pack<T> load_lanes(const T* p, index_t count, T rest = T(0)) {
  using Lanes = typename Pack<T>::Lanes;
  if (count >= pack_size) return Pack<T>(Lanes(Eigen::Map<const Lanes>(p)));
  Pack<T> x(rest);
  for (index_t i = 0; i < count; ++i) x.v[i] = p[i];
  return x;
}
/// Stores lanes [0, count) at p.
template <class T> void store_lanes(T* p, index_t count, const Pack<T>& x) {
  using Lanes = typename Pack<T>::Lanes;
  if (count >= pack_size) {
    Eigen::Map<Lanes> lanes(p);
    lanes = x.v;
  } else {
    for (index_t i = 0; i < count; ++i) p[i] = x.v[i];
  }
}

// g++ 12: PacketBlock<__m512, 16> drops an alignment attribute (harmless, the packets live in
// registers), and the AVX-512 intrinsics start from deliberately undefined registers.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

/// to[p·ld + i] = scale · from[i·stride + p] for i < rows, p < cols; the lanes that fill `rows` up
/// to a packet are written too (with zeros), so `to` needs room for them and the caller goes
/// through growing p.
template <class T>
void transpose_into(index_t rows, index_t cols, const T* from, index_t stride, T* to, index_t ld,
                    T scale = T(1)) {
  using P = Packet<T>;
  constexpr int w = packet_width<T>;
  index_t p = 0;
  for (; p + w <= cols; p += w)
    // Last rows first: what they write past `rows` lands where the first rows of the next p go
    // afterwards.
    for (index_t i = (div_up(rows, w) - 1) * w; i >= 0; i -= w) {
      simd::PacketBlock<P, w> block;
      const int valid = static_cast<int>(std::min<index_t>(w, rows - i));
      for (int r = 0; r < w; ++r)
        block.packet[r] = r < valid ? simd::ploadu<P>(from + (i + r) * stride + p)
                                    : simd::pset1<P>(T(0));
      simd::ptranspose(block);
      const P factor = simd::pset1<P>(scale);
      for (int r = 0; r < w; ++r)
        simd::pstoreu(to + (p + r) * ld + i, simd::pmul(factor, block.packet[r]));
    }
  for (; p < cols; ++p) {
    for (index_t i = 0; i < rows; ++i) to[p * ld + i] = scale * from[i * stride + p];
  }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// Scratch memory that a thread keeps from call to call (64-byte aligned, uninitialised, grows
/// only).
class Scratch {
 public:
  template <class T> T* get(index_t n) {
    const auto bytes = static_cast<std::size_t>(n) * sizeof(T);
    if (bytes > size_) {
      memory_.reset();
      memory_.reset(static_cast<std::byte*>(::operator new (bytes, std::align_val_t{64})));
      size_ = bytes;
    }
    return reinterpret_cast<T*>(memory_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

/// This thread's scratch. One kernel at a time uses it: kernels do not call each other.
inline Scratch& thread_scratch() {
  static thread_local Scratch scratch;
  return scratch;
}

}  // namespace detail

HLIP_END
