// Tensor cores in block programs: a warp multiplies small matrices whose operands are rounded to
// bfloat16 or TF32 and whose sums are float. Under nvcc it is mma.sync; on a host, loops over the
// same values of the same threads.
//
// The unit is sum (16, 8) += left (16, 16) · right (16, 8). Along the axis that is summed over,
// values come in pairs of neighbours. Of lane l of the warp, with row = l / 4 and pair = l % 4, are
//   of left    pairs `pair` and `pair` + 4 of rows `row` and `row` + 8
//   of right   pairs `pair` and `pair` + 4 of column `row`
//   of sum     columns 2·pair and 2·pair + 1 of rows `row` and `row` + 8
// so two sums side by side have the form of a left operand, and go on as one without leaving their
// threads (as_operand). Source: PTX ISA, "Matrix Fragments for mma.m16n8k16 with .bf16" and "…
// mma.m16n8k8 with .tf32". Of the latter two make a unit; the order of its summed axis is permuted,
// the same way on both sides, so that the pairs are those of the former. Also "Warp-level matrix
// load instruction: ldmatrix".
#pragma once

#include <hlip/backend/cuda/async_copy.hpp>
#include <hlip/backend/cuda/block.hpp>
#include <hlip/tensor/dtype.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Operands rounded to bfloat16, to nearest.
struct Bfloat16Operand {
  using Pair = std::uint32_t;  ///< the first value in the lower half
  HLIP_FN static Pair pair(float first, float second) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    Pair both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
#else
    return std::uint32_t{bfloat16(first).bits} | std::uint32_t{bfloat16(second).bits} << 16;
#endif
  }
  static void unpack(Pair p, float* to) {
    to[0] = std::bit_cast<float>(p << 16);
    to[1] = std::bit_cast<float>(p & 0xffff0000u);
  }
  /// A thread's part of sum += left · right of one unit: 4 values, 4 pairs, 2 pairs. All threads of
  /// the warp have to call it.
  HLIP_FN static void multiply([[maybe_unused]] float* sum, [[maybe_unused]] const Pair* left,
                               [[maybe_unused]] const Pair* right) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
#elif defined(__CUDA_ARCH__)
    __trap();  // set_matrix_precision lets nobody come here
#endif
  }
};

/// Operands rounded to TF32: float with 10 bits behind the point, to nearest, ties away from zero.
struct Tensorfloat32Operand {
  struct alignas(8) Pair {
    std::uint32_t v[2];
  };
  HLIP_FN static std::uint32_t rounded(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    std::uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
#else
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u;
#endif
  }
  HLIP_FN static Pair pair(float first, float second) {
    return {{rounded(first), rounded(second)}};
  }
  static void unpack(Pair p, float* to) {
    to[0] = std::bit_cast<float>(p.v[0]);
    to[1] = std::bit_cast<float>(p.v[1]);
  }
  HLIP_FN static void multiply([[maybe_unused]] float* sum, [[maybe_unused]] const Pair* left,
                               [[maybe_unused]] const Pair* right) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    HLIP_UNROLL
    for (int half = 0; half < 2; ++half)
      asm volatile(
          "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
          "{%8, %9}, {%0, %1, %2, %3};"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "r"(left[2 * half].v[0]), "r"(left[2 * half + 1].v[0]), "r"(left[2 * half].v[1]),
            "r"(left[2 * half + 1].v[1]), "r"(right[half].v[0]), "r"(right[half].v[1]));
#elif defined(__CUDA_ARCH__)
    __trap();
#endif
  }
};

// How the right side of a product lies in shared memory: load(…) gives a thread its pairs of the
// units at (k, n) and (k, n + 1), two of each. All threads of the warp have to call it.

/// In pairs: pair p of column n is at right[p · PairStride + n · ColumnStride].
template <class Operand, int PairStride, int ColumnStride> struct InPairs {
  using Element = typename Operand::Pair;
  HLIP_FN static void load(int thread, const Element* right, int k, int n, Element (&to)[4]) {
    const Element* at = right + (8 * k + thread % 4) * PairStride +
                        (8 * n + thread % 32 / 4) * ColumnStride;
    HLIP_UNROLL
    for (int i = 0; i < 4; ++i) to[i] = at[i % 2 * 4 * PairStride + i / 2 * 8 * ColumnStride];
  }
};

/// Four matrices of (8, 8) from shared memory: row r of the i-th starts at from[offset(8·i + r)],
/// on 16 bytes. Lane l gets of each the pair l % 4 of row l / 4, or, where they are read Turned, of
/// column l / 4.
template <bool Turned, class Offset>
HLIP_FN void load_matrices(int thread, const bfloat16* from, Offset offset,
                           std::uint32_t (&to)[4]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const std::uint32_t at = shared_address(from) + 2 * offset(thread % 32);
  if constexpr (Turned)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at));
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at));
#elif defined(__CUDA_ARCH__)
  __trap();
#else
  const int line = thread % 32 / 4, first = thread % 4 * 2;
  for (int i = 0; i < 4; ++i) {
    const auto bits = [&](int j) {
      return std::uint32_t{Turned ? from[offset(8 * i + first + j) + line].bits
                                  : from[offset(8 * i + line) + first + j].bits};
    };
    to[i] = bits(0) | bits(1) << 16;
  }
#endif
}

/// As a row-major matrix of bfloat16 with leading dimension Ld, a multiple of 8. Odd multiples have
/// no two rows of a (8, 8) in the same banks.
template <int Ld> struct RowMajor {
  using Element = bfloat16;
  HLIP_FN static void load(int thread, const bfloat16* right, int k, int n,
                           std::uint32_t (&to)[4]) {
    load_matrices<true>(
        thread, right,
        [k, n](int line) { return (16 * k + line % 16) * Ld + 8 * n + line / 16 * 8; }, to);
  }
};
/// Likewise, but its transpose is the right side: column n is row n in memory.
template <int Ld> struct Transposed {
  using Element = bfloat16;
  HLIP_FN static void load(int thread, const bfloat16* right, int k, int n,
                           std::uint32_t (&to)[4]) {
    load_matrices<false>(
        thread, right,
        [k, n](int line) {
          return (8 * n + line / 16 * 8 + line % 8) * Ld + 16 * k + line / 8 % 2 * 8;
        },
        to);
  }
};

/// A warp's matrices: sums of (16·M, 8·N) += left of (16·M, 16·K) times right of (16·K, 8·N).
template <class Operand, int M, int N, int K> struct WarpProduct {
  static_assert(N % 2 == 0);
  using Pair = typename Operand::Pair;
  static constexpr int sums = M * N * 4, operands = M * K * 4;  ///< floats and pairs of a thread

  // What the values of a thread are. Values of `sum` are numbered (M, N, row half, column), those
  // of left (M, K, pair half, row half).
  HLIP_FN static int row_of_sum(int thread, int s) {
    return s / (4 * N) * 16 + s / 2 % 2 * 8 + thread % 32 / 4;
  }
  HLIP_FN static int column_of_sum(int thread, int s) {
    return s / 4 % N * 8 + thread % 4 * 2 + s % 2;
  }
  HLIP_FN static int row_of_left(int thread, int p) {
    return p / (4 * K) * 16 + p % 2 * 8 + thread % 32 / 4;
  }
  HLIP_FN static int pair_of_left(int thread, int p) {
    return p / 4 % K * 8 + p / 2 % 2 * 4 + thread % 4;
  }

  /// Multiplies in every warp of the block. right is in shared memory and lies there as Right says.
  /// Sums of columns from `columns` on, and terms from `terms` on, are left out in steps of 16. A
  /// phase has to end between the writing of right and this, and before it is overwritten.
#if defined(HLIP_THRUST_CUDA)
  template <class Right, class Sums, class Left>
  HLIP_FN static void add(DeviceBlock& block, Sums& sum, Left& left,
                          const typename Right::Element* right, int columns = 8 * N,
                          int terms = 16 * K) {
    block.each([&](int thread) {
      HLIP_UNROLL
      for (int k = 0; k < K; ++k) {
        HLIP_UNROLL
        for (int n = 0; n < N; n += 2) {
          if (8 * n >= columns || 16 * k >= terms) continue;
          Pair from_right[4];
          Right::load(thread, right, k, n, from_right);
          HLIP_UNROLL
          for (int i = 0; i < 2; ++i) {
            HLIP_UNROLL
            for (int m = 0; m < M; ++m)
              Operand::multiply(sum(thread) + (m * N + n + i) * 4, left(thread) + (m * K + k) * 4,
                                from_right + 2 * i);
          }
        }
      }
    });
  }
#else
  template <class Right, class Sums, class Left>
  static void add(HostBlock& block, Sums& sum, Left& left, const typename Right::Element* right,
                  int columns = 8 * N, int terms = 16 * K) {
    std::vector<float> a(256 * M * K), b(128 * K * N), c(128 * M * N);
    const int width = std::min(8 * N, (columns + 15) / 16 * 16),
              depth = std::min(16 * K, (terms + 15) / 16 * 16);
    for (int k = 0; 16 * k < depth; ++k)
      for (int n = 0; 8 * n < width; n += 2)
        for (int thread = 0; thread < 32; ++thread) {  // every warp would read the same
          Pair pairs[4];
          Right::load(thread, right, k, n, pairs);
          for (int i = 0; i < 4; ++i) {
            float both[2];
            Operand::unpack(pairs[i], both);
            for (int j = 0; j < 2; ++j)
              b[static_cast<std::size_t>((16 * k + i % 2 * 8 + thread % 4 * 2 + j) * 8 * N +
                                         8 * (n + i / 2) + thread / 4)] = both[j];
          }
        }
    for (int warp = 0; warp < block.threads(); warp += 32) {
      for (int thread = warp; thread < warp + 32; ++thread) {
        for (int p = 0; p < operands; ++p)
          Operand::unpack(left(thread)[p],
                          &a[static_cast<std::size_t>(row_of_left(thread, p) * 16 * K +
                                                      2 * pair_of_left(thread, p))]);
        for (int s = 0; s < sums; ++s)
          c[static_cast<std::size_t>(row_of_sum(thread, s) * 8 * N + column_of_sum(thread, s))] =
              sum(thread)[s];
      }
      for (int i = 0; i < 16 * M; ++i)
        for (int k = 0; k < depth; ++k)
          for (int j = 0; j < width; ++j)
            c[static_cast<std::size_t>(i * 8 * N + j)] +=
                a[static_cast<std::size_t>(i * 16 * K + k)] *
                b[static_cast<std::size_t>(k * 8 * N + j)];
      for (int thread = warp; thread < warp + 32; ++thread)
        for (int s = 0; s < sums; ++s)
          sum(thread)[s] =
              c[static_cast<std::size_t>(row_of_sum(thread, s) * 8 * N + column_of_sum(thread, s))];
    }
  }
#endif
};

/// The sums of a thread, (16·M, 16·K), rounded as the left operand of the next product.
template <class Operand, int Sums>
HLIP_FN void as_operand(const float (&sum)[Sums], typename Operand::Pair (&left)[Sums / 2]) {
  HLIP_UNROLL
  for (int p = 0; p < Sums / 2; ++p)
    left[p] = Operand::pair(sum[p / 2 * 4 + p % 2 * 2], sum[p / 2 * 4 + p % 2 * 2 + 1]);
}

}  // namespace detail

HLIP_END
