// Attention on tensor cores, what forward and backward have in common. These are block programs for
// heads of up to 64 columns, operands of the products rounded to bfloat16 or TF32 or stored in
// bfloat16, everything else float. A warp has 16 or 32 tokens of its own in registers, from the
// scores to the output; tiles of the other side lie in shared memory.
#pragma once

#include <hlip/backend/cuda/async_copy.hpp>
#include <hlip/backend/cuda/attention_tiles.hpp>
#include <hlip/backend/cuda/tensor_cores.hpp>

#include <bit>
#include <cmath>
#include <cstdint>

HLIP_BEGIN

namespace detail {

/// Whether the programs can do it. (They compare scores before these are scaled, and count
/// rows and their length in 32 bits.)
template <class S> bool fits_tensor_cores(const AttentionArgs<float, S>& a) {
  const auto fits = [](const auto& rows) {
    return rows.stride <= 0x7fffffff && reads_at_once(rows);
  };
  return a.head_dim <= 64 && a.head_dim % at_once<S> == 0 && a.scale > 0 &&
         a.prefix + a.patches < 0x7fffff00 && fits(a.q) && fits(a.k) && fits(a.v) && fits(a.out);
}
template <class S> bool fits_tensor_cores(const AttentionGradArgs<float, S>& g) {
  const auto fits = [](const auto& rows) {
    return rows.stride <= 0x7fffffff && reads_at_once(rows);
  };
  return fits_tensor_cores(g.forward) && fits(g.d_out) && fits(g.dq) && fits(g.dk) && fits(g.dv);
}
/// rows.row(token), for a device: no branch, and one short product.
template <class X> HLIP_FN X* row_of(const HeadRows<X>& rows, int token) {
  const int prefix = static_cast<int>(rows.prefix_count), stride = static_cast<int>(rows.stride);
  const bool in_prefix = token < prefix;
  return (in_prefix ? rows.prefix : rows.patch) +
         index_t{in_prefix ? token : token - prefix} * stride;
}

/// The own side of a block of four warps with 16·M tokens each.
template <class OperandType, int M> struct OwnTokens {
  using Operand = OperandType;
  using Pair = typename Operand::Pair;
  static constexpr int height = M, threads = 128, rows = threads / 32 * 16 * M, cols = 64;
  static constexpr int own_rows = 2 * M;  ///< of a thread
  template <int Others>
  /// own side times tokens of the other
  using Scores = WarpProduct<Operand, M, Others / 8, cols / 16>;
  template <int Others>
  /// scores times tokens of the other
  using Outputs = WarpProduct<Operand, M, cols / 8, Others / 16>;

  /// Which of its own_rows value s of a product belongs to: it is row own_row(thread, …) of the
  /// block's tile.
  template <class Product> HLIP_FN static int own_of(int s) {
    return s / (Product::sums / M) * 2 + s / 2 % 2;
  }
  HLIP_FN static int own_row(int thread, int own) {
    return thread / 32 * 16 * M + own / 2 * 16 + own % 2 * 8 + thread % 32 / 4;
  }
  /// Threads of the warps that have any of n tokens.
  HLIP_FN static int busy(int n) { return (n + 16 * M - 1) / (16 * M) * 32; }
};

/// Floats in memory. A tile of `others` tokens of the other side is rounded on its way to shared
/// memory, and laid out in two ways as it is wanted: (token, pair of columns), to multiply with
/// along the columns, and (pair of tokens, column), along the tokens.
template <class Operand, int M> struct FloatTile : OwnTokens<Operand, M> {
  using Storage = float;
  using Element = typename Operand::Pair;
  static constexpr bool small = sizeof(Element) == 4;
  static constexpr int threads = 128, cols = 64, others = small ? 64 : 32, tiles = 1;
  // Threads that read together are in different banks
  static constexpr int row_ld = cols / 2 + 4, pair_ld = cols + (small ? 8 : 4);
  using AsColumns = InPairs<Operand, 1, row_ld>;
  using AsRows = InPairs<Operand, pair_ld, 1>;
  template <bool ByColumns, bool ByTokens>
  static constexpr int size = (ByColumns ? others * row_ld : 0) +
                              (ByTokens ? others / 2 * pair_ld : 0);
  /// Where token `first` of a tile begins, for products along the columns and for those along the
  /// tokens; first is a multiple of 16.
  template <bool> HLIP_FN static const Element* by_columns(const Element* tile, int first) {
    return tile + first * row_ld;
  }
  template <bool ByColumns>
  HLIP_FN static const Element* by_tokens(const Element* tile, int first) {
    return tile + (ByColumns ? others * row_ld : 0) + first / 2 * pair_ld;
  }

  static constexpr int own_size = 0;
  HLIP_FN static void start_own(int, const HeadRows<const float>&, int, int, int, Element*) {}
  /// Tokens [first, first + n) of the own side: what this thread holds of them as a left side.
  /// Zeros beyond.
  template <int Operands>
  HLIP_FN static void take_own(int thread, const HeadRows<const float>& from, int first, int n,
                               int head_dim, const Element*, Element (&to)[Operands]) {
    using Left = typename OwnTokens<Operand, M>::template Scores<16>;
    static_assert(Operands == Left::operands);
    HLIP_UNROLL
    for (int p = 0; p < Operands; ++p) {
      const int row = thread / 32 * 16 * M + Left::row_of_left(thread, p),
                column = 2 * Left::pair_of_left(thread, p);
      const bool there = row < n && column < head_dim;
      const float* at = there ? from.row(first + row) + column : nullptr;
      to[p] = there ? Operand::pair(at[0], at[1]) : Element{};
    }
  }
  /// out to tokens [first, first + n) of the own side.
  template <class Block, class Out>
  HLIP_FN static void store(Block& block, Out& out, const HeadRows<float>& to, int first, int n,
                            int head_dim, Element*) {
    using Product = typename OwnTokens<Operand, M>::template Outputs<16>;
    block.each([&](int thread) {
      HLIP_UNROLL
      for (int s = 0; s < Product::sums; ++s) {
        const int row = FloatTile::own_row(thread, FloatTile::template own_of<Product>(s)),
                  column = Product::column_of_sum(thread, s);
        if (row < n && column < head_dim) to.row(first + row)[column] = out(thread)[s];
      }
    });
  }
  /// Tokens [first, first + n) of the other side, zeros beyond; in the layouts that are wanted.
  template <bool ByColumns, bool ByTokens>
  HLIP_FN static void load(int thread, const HeadRows<const float>& from, int first, int n,
                           int head_dim, Element* to) {
    Element *to_rows = to, *to_pairs = to + (ByColumns ? others * row_ld : 0);
    for (int at = thread; at < others / 2 * (cols / 4); at += threads) {
      const int p = at / (cols / 4), column = at % (cols / 4) * 4;
      const Quad<float> none{};
      const Quad<float> even = 2 * p < n && column < head_dim
                                   ? quad(from.row(first + 2 * p) + column)
                                   : none;
      const Quad<float> odd = 2 * p + 1 < n && column < head_dim
                                  ? quad(from.row(first + 2 * p + 1) + column)
                                  : none;
      if constexpr (ByColumns)
        for (int i = 0; i < 2; ++i) {
          to_rows[2 * p * row_ld + column / 2 + i] = Operand::pair(even.v[2 * i],
                                                                   even.v[2 * i + 1]);
          to_rows[(2 * p + 1) * row_ld + column / 2 + i] = Operand::pair(odd.v[2 * i],
                                                                         odd.v[2 * i + 1]);
        }
      if constexpr (ByTokens)
        for (int i = 0; i < 4; ++i)
          to_pairs[p * pair_ld + column + i] = Operand::pair(even.v[i], odd.v[i]);
    }
  }
};

/// bfloat16 in memory. A tile lies in shared memory as it does there, and there are two: one is
/// copied while the other is worked on. The own side goes through shared memory too, on its way in
/// and out, so that threads read and write 16 bytes.
template <int M> struct StoredTile : OwnTokens<Bfloat16Operand, M> {
  using Storage = bfloat16;
  using Element = bfloat16;
  static constexpr int threads = 128, cols = 64, others = 64, tiles = 2, ld = cols + 8;
  using AsColumns = Transposed<ld>;
  using AsRows = RowMajor<ld>;
  template <bool, bool> static constexpr int size = others* ld;
  template <bool> HLIP_FN static const Element* by_columns(const Element* tile, int first) {
    return tile + first * ld;
  }
  template <bool> HLIP_FN static const Element* by_tokens(const Element* tile, int first) {
    return tile + first * ld;
  }

  static constexpr int own_size = StoredTile::rows * ld;
  HLIP_FN static void start_own(int thread, const HeadRows<const bfloat16>& from, int first, int n,
                                int head_dim, Element* to) {
    copy_rows<StoredTile::rows>(thread, from, first, n, head_dim, to);
  }
  template <int Operands>
  HLIP_FN static void take_own(int thread, const HeadRows<const bfloat16>&, int, int, int,
                               const Element* memory, std::uint32_t (&to)[Operands]) {
    constexpr int K = cols / 16;
    static_assert(Operands == 4 * M * K);
    HLIP_UNROLL
    for (int i = 0; i < M * K; ++i) {
      std::uint32_t four[4];
      load_matrices<false>(
          thread, memory + thread / 32 * 16 * M * ld,
          [i](int line) { return (i / K * 16 + line % 16) * ld + i % K * 16 + line / 16 * 8; },
          four);
      HLIP_UNROLL
      for (int j = 0; j < 4; ++j) to[4 * i + j] = four[j];
    }
  }
  template <class Block, class Out>
  HLIP_FN static void store(Block& block, Out& out, const HeadRows<bfloat16>& to, int first, int n,
                            int head_dim, Element* memory) {
    using Product = typename OwnTokens<Bfloat16Operand, M>::template Outputs<16>;
    block.phase([&](int thread) {
      HLIP_UNROLL
      for (int s = 0; s < Product::sums; s += 2) {
        const int row = StoredTile::own_row(thread, StoredTile::template own_of<Product>(s)),
                  column = Product::column_of_sum(thread, s);
        *reinterpret_cast<Several<bfloat16, 2>*>(memory + row * ld + column) =
            std::bit_cast<Several<bfloat16, 2>>(
                Bfloat16Operand::pair(out(thread)[s], out(thread)[s + 1]));
      }
    });
    block.each([&](int thread) {
      HLIP_UNROLL
      for (int i = 0; i < steps<StoredTile::rows>; ++i) {
        const int row = row_at(thread, i), column = column_at(thread);
        if (row < n && column < head_dim)
          *reinterpret_cast<Several<bfloat16, 8>*>(row_of(to, first + row) +
                                                   column) = several<8>(memory + row * ld + column);
      }
    });
  }
  template <bool, bool>
  HLIP_FN static void load(int thread, const HeadRows<const bfloat16>& from, int first, int n,
                           int head_dim, Element* to) {
    copy_rows<others>(thread, from, first, n, head_dim, to);
  }

 private:
  // Which 16 bytes of so many rows a thread moves.
  template <int Rows> static constexpr int steps = Rows* cols / at_once<bfloat16> / threads;
  HLIP_FN static int row_at(int thread, int step) { return thread / 8 + step * (threads / 8); }
  HLIP_FN static int column_at(int thread) { return thread % 8 * 8; }
  template <int Rows>
  HLIP_FN static void copy_rows(int thread, const HeadRows<const bfloat16>& from, int first, int n,
                                int head_dim, Element* to) {
    HLIP_UNROLL
    for (int i = 0; i < steps<Rows>; ++i) {
      const int row = row_at(thread, i), column = column_at(thread);
      copy_async<16>(to + row * ld + column, row_of(from, first + row) + column,
                     row < n && column < head_dim);
    }
  }
};

/// start_own(thread) and take_own(thread), for the own side; then goes through `tokens` tokens of
/// the other: load(thread, first, n, tile) of those from `first` on into the tile's memory begins,
/// where there is memory for two, while work(first, n, tile) is busy with the n before.
template <class Tile, class Block, class StartOwn, class TakeOwn, class Load, class Work>
HLIP_FN void walk_tiles(Block& block, int tokens, StartOwn start_own, TakeOwn take_own, Load load,
                        Work work) {
  const auto count = [tokens](int first) {
    return tokens - first < Tile::others ? tokens - first : Tile::others;
  };
  const auto start = [&](int first, int tile) {
    block.each([&](int thread) {
      load(thread, first, count(first), tile);
      commit_copies();
    });
  };
  block.each([&](int thread) {
    start_own(thread);
    commit_copies();
  });
  if constexpr (Tile::tiles == 2) start(0, 0);
  block.phase([](int) { wait_for_copies<Tile::tiles == 2 ? 1 : 0>(); });
  block.each(take_own);
  int tile = 0;
  for (int first = 0; first < tokens; first += Tile::others) {
    if constexpr (Tile::tiles == 1) start(first, 0);
    block.phase([](int) { wait_for_copies<0>(); });  // and everyone is done with the tile before
    if constexpr (Tile::tiles == 2)
      if (first + Tile::others < tokens) start(first + Tile::others, 1 - tile);
    work(first, count(first), tile);
    if constexpr (Tile::tiles == 2) tile = 1 - tile;
    else block.barrier();  // before the next tile is loaded
  }
}

/// Which keys of a tile a query sees: bit by bit, the same in all threads of a warp.
template <class Tile> struct VisibleKeys {
  static constexpr int words = (Tile::others + 31) / 32;
  const std::uint8_t* mask;  ///< of the sequence, or none

  HLIP_FN bool all(int n) const { return !mask && n == Tile::others; }
  /// The bits that a thread knows, of n keys from `first` on; those of a warp together are all.
  HLIP_FN void look(int thread, int first, int n, std::uint32_t (&bits)[words]) const {
    for (int i = 0; i < words; ++i) {
      const int key = 32 * i + thread % 32;
      bits[i] = key < n && (!mask || mask[first + key]) ? std::uint32_t{1} << thread % 32 : 0;
    }
  }
  struct Together {
    HLIP_FN std::uint32_t operator()(std::uint32_t a, std::uint32_t b) const { return a | b; }
  };
};

inline constexpr float log2_of_e = 1.44269504088896340736f;  // exponents are of 2, which is faster
/// 2^x; what is too small for a normal float is zero.
HLIP_FN float power_of_2(float x) {
#if defined(__CUDA_ARCH__)
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return std::exp2(x);
#endif
}

}  // namespace detail

HLIP_END
