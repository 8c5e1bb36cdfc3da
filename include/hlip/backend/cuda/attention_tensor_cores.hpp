// Attention on tensor cores, as block programs: heads of up to 64 columns, operands of the products rounded to bfloat16 or TF32 or
// stored in bfloat16, everything else float. A warp has 16 or 32 tokens of its own in registers, from the scores to the output; tiles
// of the other side lie in shared memory.
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

/// Whether the programs below can do it. (They compare scores before these are scaled.)
template <class S>
bool fits_tensor_cores(const AttentionArgs<float, S>& a) {
  return a.head_dim <= 64 && a.head_dim % at_once<S> == 0 && a.scale > 0 && reads_at_once(a.q) && reads_at_once(a.k) && reads_at_once(a.v) && (sizeof(S) == sizeof(float) || reads_at_once(a.out));
}
template <class S>
bool fits_tensor_cores(const AttentionGradArgs<float, S>& g) {
  return fits_tensor_cores(g.forward) && reads_at_once(g.d_out) && (sizeof(S) == sizeof(float) || (reads_at_once(g.dq) && reads_at_once(g.dk) && reads_at_once(g.dv)));
}

/// The own side of a block of four warps with 16·M tokens each.
template <class OperandType, int M>
struct OwnTokens {
  using Operand = OperandType;
  using Pair = typename Operand::Pair;
  static constexpr int height = M, threads = 128, rows = threads / 32 * 16 * M, cols = 64;
  static constexpr int own_rows = 2 * M;  ///< of a thread
  template <int Others>
  using Scores = WarpProduct<Operand, M, Others / 8, cols / 16>;  ///< own side times tokens of the other
  template <int Others>
  using Outputs = WarpProduct<Operand, M, cols / 8, Others / 16>;  ///< scores times tokens of the other

  /// Which of its own_rows value s of a product belongs to: it is row own_row(thread, …) of the block's tile.
  template <class Product>
  HLIP_FN static int own_of(int s) {
    return s / (Product::sums / M) * 2 + s / 2 % 2;
  }
  HLIP_FN static int own_row(int thread, int own) { return thread / 32 * 16 * M + own / 2 * 16 + own % 2 * 8 + thread % 32 / 4; }
  /// Threads of the warps that have any of n tokens.
  HLIP_FN static int busy(index_t n) { return static_cast<int>((n + 16 * M - 1) / (16 * M) * 32); }

  HLIP_FN static Pair read(const float* p) { return Operand::pair(p[0], p[1]); }
  HLIP_FN static Pair read(const bfloat16* p) { return std::bit_cast<Pair>(several<2>(p)); }
  HLIP_FN static void write(float* p, float first, float second) { p[0] = first, p[1] = second; }
  HLIP_FN static void write(bfloat16* p, float first, float second) { *reinterpret_cast<Several<bfloat16, 2>*>(p) = std::bit_cast<Several<bfloat16, 2>>(Bfloat16Operand::pair(first, second)); }

  /// Tokens [first, first + n): what this thread holds of them as a left side. Zeros beyond.
  template <class S, int Operands>
  HLIP_FN static void load_own(int thread, const HeadRows<const S>& from, index_t first, index_t n, index_t head_dim, Pair (&to)[Operands]) {
    using Left = Scores<16>;
    static_assert(Operands == Left::operands);
    HLIP_UNROLL
    for (int p = 0; p < Operands; ++p) {
      const int row = thread / 32 * 16 * M + Left::row_of_left(thread, p), column = 2 * Left::pair_of_left(thread, p);
      to[p] = row < n && column < head_dim ? read(from.row(first + row) + column) : Operand::pair(0, 0);
    }
  }
  /// factor · out to tokens [first, first + n).
  template <class S, int Sums>
  HLIP_FN static void store(int thread, const float (&out)[Sums], const float (&factor)[own_rows], const HeadRows<S>& to, index_t first, index_t n, index_t head_dim) {
    using Out = Outputs<16>;
    static_assert(Sums == Out::sums);
    HLIP_UNROLL
    for (int s = 0; s < Sums; s += 2) {
      const int i = own_of<Out>(s), row = own_row(thread, i), column = Out::column_of_sum(thread, s);
      if (row < n && column < head_dim) write(to.row(first + row) + column, factor[i] * out[s], factor[i] * out[s + 1]);
    }
  }
};

/// Floats in memory. A tile of `others` tokens of the other side is rounded on its way to shared memory, and laid out in two ways as it is
/// wanted: (token, pair of columns), to multiply with along the columns, and (pair of tokens, column), along the tokens.
template <class Operand, int M>
struct FloatTile : OwnTokens<Operand, M> {
  using Storage = float;
  using Element = typename Operand::Pair;
  static constexpr bool small = sizeof(Element) == 4;
  static constexpr int threads = 128, cols = 64, others = small ? 64 : 32, tiles = 1;
  static constexpr int row_ld = cols / 2 + 4, pair_ld = cols + (small ? 8 : 4);  // threads that read together are in different banks
  using AsColumns = InPairs<Operand, 1, row_ld>;
  using AsRows = InPairs<Operand, pair_ld, 1>;
  template <bool ByColumns, bool ByTokens>
  static constexpr int size = (ByColumns ? others * row_ld : 0) + (ByTokens ? others / 2 * pair_ld : 0);
  /// Where token `first` of a tile begins, for products along the columns and for those along the tokens; first is a multiple of 16.
  template <bool>
  HLIP_FN static const Element* by_columns(const Element* tile, int first) {
    return tile + first * row_ld;
  }
  template <bool ByColumns>
  HLIP_FN static const Element* by_tokens(const Element* tile, int first) {
    return tile + (ByColumns ? others * row_ld : 0) + first / 2 * pair_ld;
  }

  /// Tokens [first, first + n), zeros beyond; in the layouts that are wanted.
  template <bool ByColumns, bool ByTokens>
  HLIP_FN static void load(int thread, const HeadRows<const float>& from, index_t first, index_t n, index_t head_dim, Element* to) {
    Element *to_rows = to, *to_pairs = to + (ByColumns ? others * row_ld : 0);
    for (int at = thread; at < others / 2 * (cols / 4); at += threads) {
      const int p = at / (cols / 4), column = at % (cols / 4) * 4;
      const Quad<float> none{};
      const Quad<float> even = 2 * p < n && column < head_dim ? quad(from.row(first + 2 * p) + column) : none;
      const Quad<float> odd = 2 * p + 1 < n && column < head_dim ? quad(from.row(first + 2 * p + 1) + column) : none;
      if constexpr (ByColumns)
        for (int i = 0; i < 2; ++i) {
          to_rows[2 * p * row_ld + column / 2 + i] = Operand::pair(even.v[2 * i], even.v[2 * i + 1]);
          to_rows[(2 * p + 1) * row_ld + column / 2 + i] = Operand::pair(odd.v[2 * i], odd.v[2 * i + 1]);
        }
      if constexpr (ByTokens)
        for (int i = 0; i < 4; ++i) to_pairs[p * pair_ld + column + i] = Operand::pair(even.v[i], odd.v[i]);
    }
  }
};

/// bfloat16 in memory. A tile lies in shared memory as it does there, and there are two: one is copied while the other is worked on.
template <int M>
struct StoredTile : OwnTokens<Bfloat16Operand, M> {
  using Storage = bfloat16;
  using Element = bfloat16;
  static constexpr int threads = 128, cols = 64, others = 64, tiles = 2, ld = cols + 8;
  using AsColumns = Transposed<ld>;
  using AsRows = RowMajor<ld>;
  template <bool, bool>
  static constexpr int size = others * ld;
  template <bool>
  HLIP_FN static const Element* by_columns(const Element* tile, int first) {
    return tile + first * ld;
  }
  template <bool>
  HLIP_FN static const Element* by_tokens(const Element* tile, int first) {
    return tile + first * ld;
  }
  template <bool, bool>
  HLIP_FN static void load(int thread, const HeadRows<const bfloat16>& from, index_t first, index_t n, index_t head_dim, Element* to) {
    const int column = thread % 8 * 8;
    for (int row = thread / 8; row < others; row += threads / 8) {
      const bool there = row < n && column < head_dim;
      copy_async<16>(to + row * ld + column, there ? from.row(first + row) + column : from.patch, there);
    }
  }
};

/// Goes through `tokens` tokens of the other side: load(thread, first, n, tile) of those from `first` on into the tile's memory begins, where
/// there is memory for two, while work(first, n, tile) is busy with the n before.
template <class Tile, class Block, class Load, class Work>
HLIP_FN void walk_tiles(Block& block, index_t tokens, Load load, Work work) {
  const auto count = [tokens](index_t first) { return static_cast<int>(tokens - first < Tile::others ? tokens - first : Tile::others); };
  const auto start = [&](index_t first, int tile) {
    block.each([&](int thread) {
      load(thread, first, count(first), tile);
      commit_copies();
    });
  };
  int tile = 0;
  if constexpr (Tile::tiles == 2) start(0, 0);
  for (index_t first = 0; first < tokens; first += Tile::others) {
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
template <class Tile>
struct VisibleKeys {
  static constexpr int words = (Tile::others + 31) / 32;
  const std::uint8_t* mask;  ///< of the sequence, or none

  HLIP_FN bool all(int n) const { return !mask && n == Tile::others; }
  /// The bits that a thread knows, of n keys from `first` on; those of a warp together are all.
  HLIP_FN void look(int thread, index_t first, int n, std::uint32_t (&bits)[words]) const {
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

template <class TileType>
struct TensorForward {
  using Tile = TileType;
  using S = typename Tile::Storage;
  using Element = typename Tile::Element;
  using Pair = typename Tile::Pair;
  using Scores = typename Tile::template Scores<Tile::others>;
  using Outputs = typename Tile::template Outputs<Tile::others>;
  using Visible = VisibleKeys<Tile>;
  static constexpr int threads = Tile::threads, own_rows = Tile::own_rows;
  static constexpr int key_size = Tile::template size<true, false>, value_size = Tile::template size<false, true>;
  static constexpr std::size_t shared_bytes = sizeof(Element) * Tile::tiles * (key_size + value_size);
  AttentionArgs<float, S> a;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    constexpr float lowest = -std::numeric_limits<float>::infinity();
    const float kept_scale = static_cast<float>(1.0 / (1.0 - a.dropout)), to_log2 = a.scale * log2_of_e;
    const AttentionPlace<Tile> at(a, block.index());
    const HeadRows<const S> q(a.q, a, at.sequence, at.head), k(a.k, a, at.sequence, at.head), v(a.v, a, at.sequence, at.head);
    const Visible visible{a.key_mask ? a.key_mask + at.sequence * at.tokens : nullptr};
    Element *keys = block.template shared<Element>(Tile::tiles * key_size), *values = block.template shared<Element>(Tile::tiles * value_size);
    auto query = block.template per_thread<Pair, Scores::operands>();
    auto score = block.template per_thread<float, Scores::sums>();
    auto prob = block.template per_thread<Pair, Outputs::operands>();
    auto out = block.template per_thread<float, Outputs::sums>();
    auto top = block.template per_thread<float, own_rows>(), most = block.template per_thread<float, own_rows>();  // score of the keys so far; with this tile's
    auto sum = block.template per_thread<float, own_rows>();                                                       // of the columns a thread sees
    auto seen = block.template per_thread<std::uint32_t, Visible::words>();
    block.each([&](int thread) {
      for (float& x : top(thread)) x = lowest;
    });

    const auto load = [&](int thread, index_t first, int n, int tile) {
      if (first == 0) Tile::load_own(thread, q, at.first, at.n, a.head_dim, query(thread));
      Tile::template load<true, false>(thread, k, first, n, a.head_dim, keys + tile * key_size);
      Tile::template load<false, true>(thread, v, first, n, a.head_dim, values + tile * value_size);
    };
    const auto work = [&](index_t first, int n, int tile) {
      const bool all = visible.all(n);
      block.each([&](int thread) {
        if (!all) visible.look(thread, first, n, seen(thread));
        HLIP_UNROLL
        for (float& x : score(thread)) x = 0;
      });
      Scores::template add<typename Tile::AsColumns>(block, score, query, Tile::template by_columns<true>(keys + tile * key_size, 0), n);
      if (!all) {
        block.template reduce<32>(seen, typename Visible::Together{});
        block.each([&](int thread) {
          HLIP_UNROLL
          for (int s = 0; s < Scores::sums; ++s) {
            const int key = Scores::column_of_sum(0, s);
            if (!(seen(thread)[key / 32] >> thread % 4 * 2 >> key % 32 & 1)) score(thread)[s] = lowest;
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
        if (a.dropout > 0) {
          HLIP_UNROLL
          for (int s = 0; s < Scores::sums; ++s)
            score(thread)[s] *= keeps_probability(a, at, at.first + Tile::own_row(thread, Tile::template own_of<Scores>(s)), first + Scores::column_of_sum(thread, s)) ? kept_scale : 0;
        }
        as_operand<typename Tile::Operand>(score(thread), prob(thread));
        HLIP_UNROLL
        for (int s = 0; s < Outputs::sums; ++s) out(thread)[s] *= shrink[Tile::template own_of<Outputs>(s)];
      });
      Outputs::template add<typename Tile::AsRows>(block, out, prob, Tile::template by_tokens<false>(values + tile * value_size, 0), Tile::cols, n);
    };
    walk_tiles<Tile>(block, at.tokens, load, [&](index_t first, int n, int tile) { block.first_threads(Tile::busy(at.n), [&] { work(first, n, tile); }); });

    block.template reduce<4>(sum, Plus{});
    const HeadRows<S> to(a.out, a, at.sequence, at.head);
    block.each([&](int thread) {
      float factor[own_rows];
      for (int i = 0; i < own_rows; ++i) factor[i] = 1 / sum(thread)[i];
      Tile::store(thread, out(thread), factor, to, at.first, at.n, a.head_dim);
      if (!a.lse || thread % 4 != 0) return;
      for (int i = 0; i < own_rows; ++i) {
        const int row = Tile::own_row(thread, i);
        if (row < at.n) a.lse[at.pair * at.tokens + at.first + row] = a.scale * top(thread)[i] + std::log(sum(thread)[i]);
      }
    });
  }
};

/// OverKeys: a tile of keys, all queries: dk and dv. Otherwise a tile of queries, all keys: dq. Scores live for 16 tokens of the other
/// side at a time, which leaves registers for 32 own tokens of a warp.
template <class TileType, bool OverKeys>
struct TensorPull {
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
  static constexpr int size1 = Tile::template size<true, true>, size2 = Tile::template size<true, OverKeys>;
  static constexpr std::size_t shared_bytes = Tile::tiles * (sizeof(Element) * (size1 + size2) + (OverKeys ? sizeof(float) * 2 * others : 0));
  AttentionGradArgs<float, S> g;
  const float* dot;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    const AttentionArgs<float, S>& a = g.forward;
    const AttentionPlace<Tile> at(a, block.index());
    const PullSides<OverKeys, S> side(g, at.sequence, at.head);
    const Visible visible{a.key_mask ? a.key_mask + at.sequence * at.tokens : nullptr};
    const float *lse = a.lse + at.pair * at.tokens, *dots = dot + at.pair * at.tokens;  // of the queries
    Element *tiles1 = block.template shared<Element>(Tile::tiles * size1), *tiles2 = block.template shared<Element>(Tile::tiles * size2);
    float* tile_lse = OverKeys ? block.template shared<float>(Tile::tiles * others) : nullptr;
    float* tile_dot = OverKeys ? block.template shared<float>(Tile::tiles * others) : nullptr;
    auto left1 = block.template per_thread<Pair, Scores::operands>(), left2 = block.template per_thread<Pair, Scores::operands>();
    auto score = block.template per_thread<float, Scores::sums>(), dscore = block.template per_thread<float, Scores::sums>();
    auto factor = block.template per_thread<Pair, Outputs::operands>();                                                // scores or their gradients, rounded
    auto out1 = block.template per_thread<float, Outputs::sums>();                                                     // dk or dq
    auto out2 = block.template per_thread<float, OverKeys ? Outputs::sums : 1>();                                      // dv
    auto own_lse = block.template per_thread<float, own_rows>(), own_dot = block.template per_thread<float, own_rows>();  // where the own side has the queries
    auto seen = block.template per_thread<std::uint32_t, Visible::words>();

    const auto load = [&](int thread, index_t first, int n, int tile) {
      if (first == 0) {
        Tile::load_own(thread, side.own1, at.first, at.n, a.head_dim, left1(thread));
        Tile::load_own(thread, side.own2, at.first, at.n, a.head_dim, left2(thread));
        for (int i = 0; i < (OverKeys ? 0 : own_rows); ++i) {
          const int row = Tile::own_row(thread, i);
          own_lse(thread)[i] = row < at.n ? lse[at.first + row] : 0;
          own_dot(thread)[i] = row < at.n ? dots[at.first + row] : 0;
        }
      }
      Tile::template load<true, true>(thread, side.other1, first, n, a.head_dim, tiles1 + tile * size1);
      Tile::template load<true, OverKeys>(thread, side.other2, first, n, a.head_dim, tiles2 + tile * size2);
      if constexpr (OverKeys) {
        static_assert(2 * others <= threads);
        const int query = thread % others;
        if (thread < 2 * others) copy_async<4>((thread < others ? tile_lse : tile_dot) + tile * others + query, (thread < others ? lse : dots) + first + (query < n ? query : 0), query < n);
      }
    };
    const auto work = [&](index_t first, int n, int tile) {
      const Element *tile1 = tiles1 + tile * size1, *tile2 = tiles2 + tile * size2;
      const bool all = OverKeys || visible.all(n);  // a masked key of the own side gets its zeros at the end
      if (!all) {
        block.each([&](int thread) { visible.look(thread, first, n, seen(thread)); });
        block.template reduce<32>(seen, typename Visible::Together{});
      }
      for (int begin = 0; begin < n; begin += strip) {
        block.each([&](int thread) {
          HLIP_UNROLL
          for (int s = 0; s < Scores::sums; ++s) score(thread)[s] = dscore(thread)[s] = 0;
        });
        Scores::template add<typename Tile::AsColumns>(block, score, left1, Tile::template by_columns<true>(tile1, begin));
        Scores::template add<typename Tile::AsColumns>(block, dscore, left2, Tile::template by_columns<true>(tile2, begin));
        block.each([&](int thread) {
          const float *lse_here = OverKeys ? tile_lse + tile * others + begin : own_lse(thread), *dot_here = OverKeys ? tile_dot + tile * others + begin : own_dot(thread);
          pull_scores(thread, at, first, begin, score(thread), dscore(thread), lse_here, dot_here);
          if (all) return;
          const std::uint32_t bits = (begin < 32 ? seen(thread)[0] : seen(thread)[Visible::words - 1]) >> begin % 32 >> thread % 4 * 2;
          HLIP_UNROLL
          for (int s = 0; s < Scores::sums; ++s) {
            if (!(bits >> Scores::column_of_sum(0, s) & 1)) dscore(thread)[s] = 0;
          }
        });
        if constexpr (OverKeys) {
          block.each([&](int thread) { as_operand<Operand>(score(thread), factor(thread)); });
          Outputs::template add<typename Tile::AsRows>(block, out2, factor, Tile::template by_tokens<true>(tile2, begin));
        }
        block.each([&](int thread) { as_operand<Operand>(dscore(thread), factor(thread)); });
        Outputs::template add<typename Tile::AsRows>(block, out1, factor, Tile::template by_tokens<true>(tile1, begin));
      }
    };
    walk_tiles<Tile>(block, at.tokens, load, [&](index_t first, int n, int tile) { block.first_threads(Tile::busy(at.n), [&] { work(first, n, tile); }); });

    block.each([&](int thread) {
      float scale[own_rows], one[own_rows];
      for (int i = 0; i < own_rows; ++i) scale[i] = a.scale, one[i] = 1;
      if constexpr (OverKeys) {
        HLIP_UNROLL
        for (int s = 0; s < Outputs::sums; ++s) {
          const int row = Tile::own_row(thread, Tile::template own_of<Outputs>(s));
          if (visible.mask && row < at.n && !visible.mask[at.first + row]) out1(thread)[s] = out2(thread)[s] = 0;
        }
        Tile::store(thread, out2(thread), one, HeadRows<S>(g.dv, a, at.sequence, at.head), at.first, at.n, a.head_dim);
      }
      Tile::store(thread, out1(thread), scale, HeadRows<S>(OverKeys ? g.dk : g.dq, a, at.sequence, at.head), at.first, at.n, a.head_dim);
    });
  }

 private:
  /// Turns scores into kept probabilities and gradients of probabilities into those of scores (but for the scale). `lse` and `dots` are of
  /// the queries: of this strip, or of the thread's own. Keys that are not visible are left to the caller. Queries beyond the last have
  /// zeros everywhere, and add none to the products.
  HLIP_FN void pull_scores(int thread, const AttentionPlace<Tile>& at, index_t first, int begin, float (&score)[Scores::sums], float (&dscore)[Scores::sums], const float* lse, const float* dots) const {
    const AttentionArgs<float, S>& a = g.forward;
    const float to_log2 = a.scale * log2_of_e, kept_scale = static_cast<float>(1.0 / (1.0 - a.dropout));
    HLIP_UNROLL
    for (int s = 0; s < Scores::sums; ++s) {
      const int i = Tile::template own_of<Scores>(s), other = Scores::column_of_sum(thread, s), query = OverKeys ? other : i;
      const float prob = power_of_2(score[s] * to_log2 - lse[query] * log2_of_e);
      float kept = 1;
      if (a.dropout > 0) {
        const index_t own = at.first + Tile::own_row(thread, i), there = first + begin + other;
        kept = keeps_probability(a, at, OverKeys ? there : own, OverKeys ? own : there) ? kept_scale : 0;
      }
      score[s] = prob * kept;
      dscore[s] = prob * (dscore[s] * kept - dots[query]);
    }
  }
};

}  // namespace detail

HLIP_END
