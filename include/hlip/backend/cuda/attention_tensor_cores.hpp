// Attention on tensor cores, as block programs: heads of up to 64 columns, operands of the products
// rounded to bfloat16 or TF32 or stored in bfloat16, everything else float. A warp has 16 or 32
// tokens of its own in registers, from the scores to the output; tiles of the other side lie in
// shared memory.
#pragma once

#include <hlip/backend/cuda/async_copy.hpp>
#include <hlip/backend/cuda/attention_tiles.hpp>
#include <hlip/backend/cuda/tensor_cores.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

HLIP_BEGIN

namespace detail {

/// Whether the programs below can do it. (They compare scores before these are scaled, and count
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
  // threads that read together are in different banks
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

template <class TileType, bool Dropout> struct TensorForward {
  using Tile = TileType;
  using S = typename Tile::Storage;
  using Element = typename Tile::Element;
  using Pair = typename Tile::Pair;
  using Scores = typename Tile::template Scores<Tile::others>;
  using Outputs = typename Tile::template Outputs<Tile::others>;
  using Visible = VisibleKeys<Tile>;
  static constexpr int threads = Tile::threads, own_rows = Tile::own_rows;
  // as loops need no memory for registers
  static constexpr int resident = Tile::height == 1 && (Tile::tiles == 2 || !Dropout) ? 3 : 2;
  static constexpr int key_size = Tile::template size<true, false>,
                       value_size = Tile::template size<false, true>;
  static constexpr std::size_t shared_bytes =
      sizeof(Element) * (Tile::own_size + Tile::tiles * (key_size + value_size));
  AttentionArgs<float, S> a;
  std::uint64_t least = least_kept(a.dropout);

  template <class Block> HLIP_FN void operator()(Block& block) const {
    // One function: a block program, whose phases share its registers.
    constexpr float lowest = -std::numeric_limits<float>::infinity();
    const float kept_scale = static_cast<float>(1.0 / (1.0 - a.dropout)),
                to_log2 = a.scale * log2_of_e;
    const AttentionPlace<Tile> at(a, block.index());
    const int own_first = static_cast<int>(at.first), own_n = static_cast<int>(at.n),
              head_dim = static_cast<int>(a.head_dim);
    const HeadRows<const S> q(a.q, a, at.sequence, at.head), k(a.k, a, at.sequence, at.head),
        v(a.v, a, at.sequence, at.head);
    const Visible visible{a.key_mask ? a.key_mask + at.sequence * at.tokens : nullptr};
    Element *own = block.template shared<Element>(Tile::own_size),
            *keys = block.template shared<Element>(Tile::tiles * key_size),
            *values = block.template shared<Element>(Tile::tiles * value_size);
    auto query = block.template per_thread<Pair, Scores::operands>();
    auto score = block.template per_thread<float, Scores::sums>();
    auto prob = block.template per_thread<Pair, Outputs::operands>();
    auto out = block.template per_thread<float, Outputs::sums>();
    // score of the keys so far; with this tile's
    auto top = block.template per_thread<float, own_rows>(),
         most = block.template per_thread<float, own_rows>();
    // of the columns a thread sees
    auto sum = block.template per_thread<float, own_rows>();
    auto seen = block.template per_thread<std::uint32_t, Visible::words>();

    const auto start_own = [&](int thread) {
      Tile::start_own(thread, q, own_first, own_n, head_dim, own);
    };
    const auto take_own = [&](int thread) {
      Tile::take_own(thread, q, own_first, own_n, head_dim, own, query(thread));
      for (float& x : top(thread)) x = lowest;
    };
    const auto load = [&](int thread, int first, int n, int tile) {
      Tile::template load<true, false>(thread, k, first, n, head_dim, keys + tile * key_size);
      Tile::template load<false, true>(thread, v, first, n, head_dim, values + tile * value_size);
    };
    const auto work = [&](int first, int n, int tile) {
      const bool all = visible.all(n);
      block.each([&](int thread) {
        if (!all) visible.look(thread, first, n, seen(thread));
        HLIP_UNROLL
        for (float& x : score(thread)) x = 0;
      });
      const Element *columns = Tile::template by_columns<true>(keys + tile * key_size, 0),
                    *rows = Tile::template by_tokens<false>(values + tile * value_size, 0);
      const bool whole = n == Tile::others;  // then nothing has to be asked between the products
      if (whole) Scores::template add<typename Tile::AsColumns>(block, score, query, columns);
      else Scores::template add<typename Tile::AsColumns>(block, score, query, columns, n);
      if (!all) {
        block.template reduce<32>(seen, typename Visible::Together{});
        block.each([&](int thread) {
          HLIP_UNROLL
          for (int s = 0; s < Scores::sums; ++s) {
            const int key = Scores::column_of_sum(0, s);
            if (!(seen(thread)[key / 32] >> thread % 4 * 2 >> key % 32 & 1))
              score(thread)[s] = lowest;
          }
        });
      }
      block.each([&](int thread) {
        for (int i = 0; i < own_rows; ++i) most(thread)[i] = top(thread)[i];
        HLIP_UNROLL
        for (int s = 0; s < Scores::sums; ++s) {
          float& x = most(thread)[Tile::template own_of<Scores>(s)];
          x = std::fmax(x, score(thread)[s]);  // NaN comes back in by the exponential
        }
      });
      block.template reduce<4>(most, Larger{});
      block.each([&](int thread) {
        float shrink[own_rows], base[own_rows];
        for (int i = 0; i < own_rows; ++i) {
          base[i] = most(thread)[i] == lowest ? 0 : most(thread)[i] * to_log2;
          shrink[i] = power_of_2(top(thread)[i] * to_log2 - base[i]);
          top(thread)[i] = most(thread)[i];
          sum(thread)[i] *= shrink[i];
        }
        HLIP_UNROLL
        for (int s = 0; s < Scores::sums; ++s) {
          const int i = Tile::template own_of<Scores>(s);
          score(thread)[s] = power_of_2(score(thread)[s] * to_log2 - base[i]);
          sum(thread)[i] += score(thread)[s];
        }
        if constexpr (Dropout) {
          HLIP_UNROLL
          for (int s = 0; s < Scores::sums; ++s)
            score(thread)[s] *= keeps_probability(
                                    a, least, at,
                                    at.first +
                                        Tile::own_row(thread, Tile::template own_of<Scores>(s)),
                                    first + Scores::column_of_sum(thread, s))
                                    ? kept_scale
                                    : 0;
        }
        as_operand<typename Tile::Operand>(score(thread), prob(thread));
        HLIP_UNROLL
        for (int s = 0; s < Outputs::sums; ++s)
          out(thread)[s] *= shrink[Tile::template own_of<Outputs>(s)];
      });
      if (whole) Outputs::template add<typename Tile::AsRows>(block, out, prob, rows);
      else Outputs::template add<typename Tile::AsRows>(block, out, prob, rows, Tile::cols, n);
    };
    walk_tiles<Tile>(block, static_cast<int>(at.tokens), start_own, take_own, load,
                     [&](int first, int n, int tile) {
                       block.first_threads(Tile::busy(own_n), [&] { work(first, n, tile); });
                     });

    block.template reduce<4>(sum, Plus{});
    block.each([&](int thread) {
      float factor[own_rows];
      for (int i = 0; i < own_rows; ++i) factor[i] = 1 / sum(thread)[i];
      HLIP_UNROLL
      for (int s = 0; s < Outputs::sums; ++s)
        out(thread)[s] *= factor[Tile::template own_of<Outputs>(s)];
      if (!a.lse || thread % 4 != 0) return;
      for (int i = 0; i < own_rows; ++i) {
        const int row = Tile::own_row(thread, i);
        if (row < own_n)
          a.lse[at.pair * at.tokens + own_first + row] = a.scale * top(thread)[i] +
                                                         std::log(sum(thread)[i]);
      }
    });
    Tile::store(block, out, HeadRows<S>(a.out, a, at.sequence, at.head), own_first, own_n, head_dim,
                own);
  }
};

/// OverKeys: a tile of keys, all queries: dk and dv. Otherwise a tile of queries, all keys: dq.
/// Scores live for 16 tokens of the other side at a time, which leaves registers for 32 own tokens
/// of a warp.
template <class TileType, bool Dropout, bool OverKeys> struct TensorPull {
  using Tile = TileType;
  using S = typename Tile::Storage;
  using Element = typename Tile::Element;
  using Pair = typename Tile::Pair;
  using Operand = typename Tile::Operand;
  static constexpr int strip = 16;
  using Scores = typename Tile::template Scores<strip>;
  using Outputs = typename Tile::template Outputs<strip>;
  using Visible = VisibleKeys<Tile>;
  static constexpr int threads = Tile::threads, own_rows = Tile::own_rows, others = Tile::others;
  // as loops need no memory for registers
  static constexpr int resident = Tile::height == 1 && (Tile::tiles == 2 || !OverKeys) ? 3 : 2;
  static constexpr int size1 = Tile::template size<true, true>,
                       size2 = Tile::template size<true, OverKeys>;
  static constexpr std::size_t shared_bytes =
      sizeof(Element) * 2 * Tile::own_size +
      Tile::tiles *
          (sizeof(Element) * (size1 + size2) + (OverKeys ? sizeof(QueryTerms<float>) * others : 0));
  AttentionGradArgs<float, S> g;
  const QueryTerms<float>* terms;
  std::uint64_t least = least_kept(g.forward.dropout);

  template <class Block> HLIP_FN void operator()(Block& block) const {
    // One function: a block program, whose phases share its registers.
    const AttentionArgs<float, S>& a = g.forward;
    const AttentionPlace<Tile> at(a, block.index());
    const int own_first = static_cast<int>(at.first), own_n = static_cast<int>(at.n),
              head_dim = static_cast<int>(a.head_dim);
    const PullSides<OverKeys, S> side(g, at.sequence, at.head);
    const Visible visible{a.key_mask ? a.key_mask + at.sequence * at.tokens : nullptr};
    const QueryTerms<float>* queries = terms + at.pair * at.tokens;
    // of the own side
    Element *memory1 = block.template shared<Element>(Tile::own_size),
            *memory2 = block.template shared<Element>(Tile::own_size);
    Element *tiles1 = block.template shared<Element>(Tile::tiles * size1),
            *tiles2 = block.template shared<Element>(Tile::tiles * size2);
    QueryTerms<float>* tile_queries =
        OverKeys ? block.template shared<QueryTerms<float>>(Tile::tiles * others) : nullptr;
    auto left1 = block.template per_thread<Pair, Scores::operands>(),
         left2 = block.template per_thread<Pair, Scores::operands>();
    auto score = block.template per_thread<float, Scores::sums>(),
         dscore = block.template per_thread<float, Scores::sums>();
    // scores or their gradients, rounded
    auto factor = block.template per_thread<Pair, Outputs::operands>();
    // dk or dq
    auto out1 = block.template per_thread<float, Outputs::sums>();
    // dv
    auto out2 = block.template per_thread < float, OverKeys ? Outputs::sums : 1 > ();
    // where the own side has the queries
    auto own_queries = block.template per_thread<QueryTerms<float>, own_rows>();
    auto seen = block.template per_thread<std::uint32_t, Visible::words>();

    const auto start_own = [&](int thread) {
      Tile::start_own(thread, side.own1, own_first, own_n, head_dim, memory1);
      Tile::start_own(thread, side.own2, own_first, own_n, head_dim, memory2);
    };
    const auto take_own = [&](int thread) {
      Tile::take_own(thread, side.own1, own_first, own_n, head_dim, memory1, left1(thread));
      Tile::take_own(thread, side.own2, own_first, own_n, head_dim, memory2, left2(thread));
      for (int i = 0; i < (OverKeys ? 0 : own_rows); ++i) {
        const int row = Tile::own_row(thread, i);
        if (row < own_n) own_queries(thread)[i] = queries[own_first + row];
      }
    };
    const auto load = [&](int thread, int first, int n, int tile) {
      Tile::template load<true, true>(thread, side.other1, first, n, head_dim,
                                      tiles1 + tile * size1);
      Tile::template load<true, OverKeys>(thread, side.other2, first, n, head_dim,
                                          tiles2 + tile * size2);
      if constexpr (OverKeys) {
        static_assert(others <= threads);
        if (thread < others)
          copy_async<sizeof(QueryTerms<float>)>(tile_queries + tile * others + thread,
                                                queries + first + (thread < n ? thread : 0),
                                                thread < n);
      }
    };
    const auto work = [&](int first, int n, int tile) {
      const Element *tile1 = tiles1 + tile * size1, *tile2 = tiles2 + tile * size2;
      // a masked key of the own side gets its zeros at the end
      const bool all = OverKeys || visible.all(n);
      if (!all) {
        block.each([&](int thread) { visible.look(thread, first, n, seen(thread)); });
        block.template reduce<32>(seen, typename Visible::Together{});
      }
      HLIP_UNROLL
      for (int begin = 0; begin < others; begin += strip) {
        if (begin >= n) break;
        block.each([&](int thread) {
          HLIP_UNROLL
          for (int s = 0; s < Scores::sums; ++s) score(thread)[s] = dscore(thread)[s] = 0;
        });
        Scores::template add<typename Tile::AsColumns>(
            block, score, left1, Tile::template by_columns<true>(tile1, begin));
        Scores::template add<typename Tile::AsColumns>(
            block, dscore, left2, Tile::template by_columns<true>(tile2, begin));
        block.each([&](int thread) {
          pull_scores(thread, at, first, begin, score(thread), dscore(thread),
                      OverKeys ? tile_queries + tile * others + begin : own_queries(thread));
          if (all) return;
          const std::uint32_t bits = (begin < 32 ? seen(thread)[0]
                                                 : seen(thread)[Visible::words - 1]) >>
                                     begin % 32 >> thread % 4 * 2;
          HLIP_UNROLL
          for (int s = 0; s < Scores::sums; ++s) {
            if (!(bits >> Scores::column_of_sum(0, s) & 1)) dscore(thread)[s] = 0;
          }
        });
        if constexpr (OverKeys) {
          block.each([&](int thread) { as_operand<Operand>(score(thread), factor(thread)); });
          Outputs::template add<typename Tile::AsRows>(
              block, out2, factor, Tile::template by_tokens<true>(tile2, begin));
        }
        block.each([&](int thread) { as_operand<Operand>(dscore(thread), factor(thread)); });
        Outputs::template add<typename Tile::AsRows>(block, out1, factor,
                                                     Tile::template by_tokens<true>(tile1, begin));
      }
    };
    walk_tiles<Tile>(block, static_cast<int>(at.tokens), start_own, take_own, load,
                     [&](int first, int n, int tile) {
                       block.first_threads(Tile::busy(own_n), [&] { work(first, n, tile); });
                     });

    block.each([&](int thread) {
      HLIP_UNROLL
      for (float& x : out1(thread)) x *= a.scale;
      HLIP_UNROLL
      for (int i = 0; i < (OverKeys ? own_rows : 0); ++i) {
        const int row = Tile::own_row(thread, i);
        if (!visible.mask || row >= own_n || visible.mask[own_first + row]) continue;
        HLIP_UNROLL
        for (int s = 0; s < Outputs::sums; ++s) {
          if (Tile::template own_of<Outputs>(s) == i)
            out1(thread)[s] = out2(thread)[OverKeys ? s : 0] = 0;
        }
      }
    });
    Tile::store(block, out1, HeadRows<S>(OverKeys ? g.dk : g.dq, a, at.sequence, at.head),
                own_first, own_n, head_dim, memory1);
    if constexpr (OverKeys)
      Tile::store(block, out2, HeadRows<S>(g.dv, a, at.sequence, at.head), own_first, own_n,
                  head_dim, memory2);
  }

 private:
  /// Turns scores into kept probabilities and gradients of probabilities into those of scores (but
  /// for the scale). `queries` are of this strip, or the thread's own. Keys that are not visible
  /// are left to the caller. Queries beyond the last have zeros everywhere, and add none to the
  /// products.
  HLIP_FN void pull_scores(int thread, const AttentionPlace<Tile>& at, index_t first, int begin,
                           float (&score)[Scores::sums], float (&dscore)[Scores::sums],
                           const QueryTerms<float>* queries) const {
    const AttentionArgs<float, S>& a = g.forward;
    const float to_log2 = a.scale * log2_of_e,
                kept_scale = static_cast<float>(1.0 / (1.0 - a.dropout));
    HLIP_UNROLL
    for (int s = 0; s < Scores::sums; ++s) {
      const int i = Tile::template own_of<Scores>(s), other = Scores::column_of_sum(thread, s),
                query = OverKeys ? other : i;
      const float prob = power_of_2(score[s] * to_log2 - queries[query].lse * log2_of_e);
      float kept = 1;
      if constexpr (Dropout) {
        const index_t own = at.first + Tile::own_row(thread, i), there = first + begin + other;
        kept = keeps_probability(a, least, at, OverKeys ? there : own, OverKeys ? own : there)
                   ? kept_scale
                   : 0;
      }
      score[s] = prob * kept;
      dscore[s] = prob * (dscore[s] * kept - queries[query].dot);
    }
  }
};

}  // namespace detail

HLIP_END
