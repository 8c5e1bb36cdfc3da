// Attention on tensor cores, as block programs: heads of up to 64 columns in float, operands of the products rounded to bfloat16 or
// TF32, everything else float. A warp has 16 or 32 tokens of its own in registers, from the scores to the output; tiles of
// the other side lie in shared memory, rounded already.
#pragma once

#include <hlip/backend/cuda/attention_tiles.hpp>
#include <hlip/backend/cuda/tensor_cores.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

HLIP_BEGIN

namespace detail {

/// Whether rows of a span start where four floats can be read at once.
template <class X>
bool reads_quads(const TokenRows<X>& rows) {
  return rows.stride % 4 == 0 && reinterpret_cast<std::uintptr_t>(rows.prefix) % sizeof(Quad<float>) == 0 && reinterpret_cast<std::uintptr_t>(rows.patch) % sizeof(Quad<float>) == 0;
}
/// Whether the programs below can do it.
inline bool fits_tensor_cores(const AttentionArgs<float>& a) { return a.head_dim <= 64 && a.head_dim % 4 == 0 && reads_quads(a.q) && reads_quads(a.k) && reads_quads(a.v); }
inline bool fits_tensor_cores(const AttentionGradArgs<float>& g) { return fits_tensor_cores(g.forward) && reads_quads(g.d_out); }

/// A block of four warps with 16·M tokens each of its own side, and a tile of `others` tokens of the other side, which is laid out
/// in two ways: `rows` (token, pair of columns), to multiply with along the columns, and `pairs` (pair of tokens, column), along the tokens.
template <class Operand, int M>
struct TensorTile {
  using Pair = typename Operand::Pair;
  static constexpr bool small = sizeof(Pair) == 4;
  static constexpr int threads = 128, rows = threads / 32 * 16 * M, cols = 64, others = small ? 64 : 32;
  static constexpr int row_ld = cols / 2 + 4, pair_ld = cols + (small ? 8 : 4);  // threads that read together are in different banks
  static constexpr int row_size = others * row_ld, pair_size = others / 2 * pair_ld;
  using Scores = WarpProduct<Operand, M, others / 8, cols / 16>;   // own side times rows
  using Outputs = WarpProduct<Operand, M, cols / 8, others / 16>;  // scores times pairs
  static constexpr int own_rows = 2 * M;                           // of a thread

  /// Which of its own_rows value s of a product belongs to: it is row own_row(thread, …) of the block's tile.
  template <class Product>
  HLIP_FN static int own_of(int s) {
    return s / (Product::sums / M) * 2 + s / 2 % 2;
  }
  HLIP_FN static int own_row(int thread, int own) { return thread / 32 * 16 * M + own / 2 * 16 + own % 2 * 8 + thread % 32 / 4; }

  /// Tokens [first, first + n) of the block's own side: what this thread holds of them. Zeros beyond.
  HLIP_FN static void load_own(int thread, const HeadRows<const float>& from, index_t first, index_t n, index_t head_dim, Pair (&to)[Scores::operands]) {
    HLIP_UNROLL
    for (int p = 0; p < Scores::operands; ++p) {
      const int row = thread / 32 * 16 * M + Scores::row_of_left(thread, p), column = 2 * Scores::pair_of_left(thread, p);
      const bool there = row < n && column < head_dim;
      const float* at = there ? from.row(first + row) + column : nullptr;
      to[p] = there ? Operand::pair(at[0], at[1]) : Operand::pair(0, 0);
    }
  }
  /// Tokens [first, first + n) of the other side in one layout or both. Zeros beyond.
  HLIP_FN static void load_others(int thread, const HeadRows<const float>& from, index_t first, index_t n, index_t head_dim, Pair* to_rows, Pair* to_pairs) {
    for (int at = thread; at < others / 2 * (cols / 4); at += threads) {
      const int p = at / (cols / 4), column = at % (cols / 4) * 4;
      const Quad<float> none{};
      const Quad<float> even = 2 * p < n && column < head_dim ? quad(from.row(first + 2 * p) + column) : none;
      const Quad<float> odd = 2 * p + 1 < n && column < head_dim ? quad(from.row(first + 2 * p + 1) + column) : none;
      if (to_rows)
        for (int i = 0; i < 2; ++i) {
          to_rows[2 * p * row_ld + column / 2 + i] = Operand::pair(even.v[2 * i], even.v[2 * i + 1]);
          to_rows[(2 * p + 1) * row_ld + column / 2 + i] = Operand::pair(odd.v[2 * i], odd.v[2 * i + 1]);
        }
      if (to_pairs)
        for (int i = 0; i < 4; ++i) to_pairs[p * pair_ld + column + i] = Operand::pair(even.v[i], odd.v[i]);
    }
  }

  /// factor · out to tokens [first, first + n) of the own side.
  HLIP_FN static void store(int thread, const float (&out)[Outputs::sums], const float (&factor)[own_rows], const HeadRows<float>& to, index_t first, index_t n, index_t head_dim) {
    HLIP_UNROLL
    for (int s = 0; s < Outputs::sums; ++s) {
      const int i = own_of<Outputs>(s), row = own_row(thread, i), column = Outputs::column_of_sum(thread, s);
      if (row < n && column < head_dim) to.row(first + row)[column] = factor[i] * out[s];
    }
  }
};

inline constexpr float log2_of_e = 1.44269504088896340736f, log_of_2 = 0.69314718055994530942f;  // exponents are of 2, which is faster

template <class Operand>
struct TensorForward {
  using Pair = typename Operand::Pair;
  using Tile = TensorTile<Operand, sizeof(Pair) == 4 ? 2 : 1>;
  using Scores = typename Tile::Scores;
  using Outputs = typename Tile::Outputs;
  static constexpr int threads = Tile::threads, own_rows = Tile::own_rows;
  static constexpr std::size_t shared_bytes = sizeof(Pair) * (Tile::row_size + Tile::pair_size);
  AttentionArgs<float> a;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    constexpr float lowest = -std::numeric_limits<float>::infinity();
    const float scale = static_cast<float>(1.0 / (1.0 - a.dropout));  // of probabilities that dropout keeps
    const AttentionPlace<Tile> at(a, block.index());
    const HeadRows<const float> q(a.q, a, at.sequence, at.head), k(a.k, a, at.sequence, at.head), v(a.v, a, at.sequence, at.head);
    const std::uint8_t* mask = a.key_mask ? a.key_mask + at.sequence * at.tokens : nullptr;
    Pair *keys = block.template shared<Pair>(Tile::row_size), *values = block.template shared<Pair>(Tile::pair_size);
    auto query = block.template per_thread<Pair, Scores::operands>();
    auto score = block.template per_thread<float, Scores::sums>();
    auto prob = block.template per_thread<Pair, Outputs::operands>();
    auto out = block.template per_thread<float, Outputs::sums>();
    auto top = block.template per_thread<float, own_rows>(), most = block.template per_thread<float, own_rows>();  // of the keys so far; with this tile's
    auto sum = block.template per_thread<float, own_rows>();                                                       // of the columns a thread sees
    block.each([&](int thread) {
      Tile::load_own(thread, q, at.first, at.n, a.head_dim, query(thread));
      for (float& x : top(thread)) x = lowest;
    });

    for (index_t k0 = 0; k0 < at.tokens; k0 += Tile::others) {
      const index_t nk = at.tokens - k0 < Tile::others ? at.tokens - k0 : Tile::others;
      block.phase([&](int thread) {
        Tile::load_others(thread, k, k0, nk, a.head_dim, keys, nullptr);
        Tile::load_others(thread, v, k0, nk, a.head_dim, nullptr, values);
        for (float& x : score(thread)) x = 0;
      });
      Scores::template add<1, Tile::row_ld>(block, score, query, keys);
      block.each([&](int thread) {
        for (int i = 0; i < own_rows; ++i) most(thread)[i] = top(thread)[i];
        HLIP_UNROLL
        for (int s = 0; s < Scores::sums; ++s) {
          float& x = score(thread)[s];
          const int key = Scores::column_of_sum(thread, s);
          x = key >= nk || (mask && !mask[k0 + key]) ? lowest : x * (a.scale * log2_of_e);
          most(thread)[Tile::template own_of<Scores>(s)] = Larger{}(x, most(thread)[Tile::template own_of<Scores>(s)]);
        }
      });
      block.template reduce<4>(most, Larger{});
      block.each([&](int thread) {
        float shrink[own_rows];
        for (int i = 0; i < own_rows; ++i) {
          shrink[i] = top(thread)[i] == lowest ? 0 : std::exp2(top(thread)[i] - most(thread)[i]);
          top(thread)[i] = most(thread)[i];
          sum(thread)[i] *= shrink[i];
        }
        HLIP_UNROLL
        for (int s = 0; s < Scores::sums; ++s) {
          float& x = score(thread)[s];
          const int i = Tile::template own_of<Scores>(s);
          x = x == lowest ? 0 : std::exp2(x - top(thread)[i]);
          sum(thread)[i] += x;
          if (a.dropout > 0) x *= keeps_probability(a, at, at.first + Tile::own_row(thread, i), k0 + Scores::column_of_sum(thread, s)) ? scale : 0;
        }
        as_operand<Operand>(score(thread), prob(thread));
        HLIP_UNROLL
        for (int s = 0; s < Outputs::sums; ++s) out(thread)[s] *= shrink[Tile::template own_of<Outputs>(s)];
      });
      Outputs::template add<Tile::pair_ld, 1>(block, out, prob, values);
      block.barrier();  // before the next tile is loaded
    }

    block.template reduce<4>(sum, Plus{});
    const HeadRows<float> to(a.out, a, at.sequence, at.head);
    block.each([&](int thread) {
      float factor[own_rows];
      for (int i = 0; i < own_rows; ++i) factor[i] = 1 / sum(thread)[i];
      Tile::store(thread, out(thread), factor, to, at.first, at.n, a.head_dim);
      if (!a.lse || thread % 4 != 0) return;
      for (int i = 0; i < own_rows; ++i) {
        const int row = Tile::own_row(thread, i);
        if (row < at.n) a.lse[at.pair * at.tokens + at.first + row] = log_of_2 * top(thread)[i] + std::log(sum(thread)[i]);
      }
    });
  }
};

/// OverKeys: a tile of keys, all queries: dk and dv. Otherwise a tile of queries, all keys: dq.
template <class Operand, bool OverKeys>
struct TensorPull {
  using Pair = typename Operand::Pair;
  using Tile = TensorTile<Operand, 1>;
  using Scores = typename Tile::Scores;
  using Outputs = typename Tile::Outputs;
  static constexpr int threads = Tile::threads, own_rows = Tile::own_rows;
  static constexpr std::size_t shared_bytes = sizeof(Pair) * (2 * Tile::row_size + (OverKeys ? 2 : 1) * Tile::pair_size);
  AttentionGradArgs<float> g;
  const float* dot;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    const AttentionArgs<float>& a = g.forward;
    const AttentionPlace<Tile> at(a, block.index());
    const PullSides<OverKeys, float> side(g, at.sequence, at.head);
    Pair *rows1 = block.template shared<Pair>(Tile::row_size), *rows2 = block.template shared<Pair>(Tile::row_size), *pairs1 = block.template shared<Pair>(Tile::pair_size);
    Pair* pairs2 = OverKeys ? block.template shared<Pair>(Tile::pair_size) : nullptr;
    auto left1 = block.template per_thread<Pair, Scores::operands>(), left2 = block.template per_thread<Pair, Scores::operands>();
    auto score = block.template per_thread<float, Scores::sums>(), dscore = block.template per_thread<float, Scores::sums>();
    auto factor = block.template per_thread<Pair, Outputs::operands>();                 // scores or their gradients, rounded
    auto out1 = block.template per_thread<float, Outputs::sums>();                      // dk or dq
    auto out2 = block.template per_thread<float, OverKeys ? Outputs::sums : 1>();       // dv
    block.each([&](int thread) {
      Tile::load_own(thread, side.own1, at.first, at.n, a.head_dim, left1(thread));
      Tile::load_own(thread, side.own2, at.first, at.n, a.head_dim, left2(thread));
    });

    for (index_t begin = 0; begin < at.tokens; begin += Tile::others) {
      const index_t n = at.tokens - begin < Tile::others ? at.tokens - begin : Tile::others;
      block.phase([&](int thread) {
        Tile::load_others(thread, side.other1, begin, n, a.head_dim, rows1, pairs1);
        Tile::load_others(thread, side.other2, begin, n, a.head_dim, rows2, pairs2);
        for (float& x : score(thread)) x = 0;
        for (float& x : dscore(thread)) x = 0;
      });
      Scores::template add<1, Tile::row_ld>(block, score, left1, rows1);
      Scores::template add<1, Tile::row_ld>(block, dscore, left2, rows2);
      block.each([&](int thread) { pull_scores(thread, at, begin, n, score(thread), dscore(thread)); });
      if constexpr (OverKeys) {
        block.each([&](int thread) { as_operand<Operand>(score(thread), factor(thread)); });
        Outputs::template add<Tile::pair_ld, 1>(block, out2, factor, pairs2);
      }
      block.each([&](int thread) { as_operand<Operand>(dscore(thread), factor(thread)); });
      Outputs::template add<Tile::pair_ld, 1>(block, out1, factor, pairs1);
      block.barrier();  // before the next tile is loaded
    }

    block.each([&](int thread) {
      float scale[own_rows], one[own_rows];
      for (int i = 0; i < own_rows; ++i) scale[i] = a.scale, one[i] = 1;
      Tile::store(thread, out1(thread), scale, HeadRows<float>(OverKeys ? g.dk : g.dq, a, at.sequence, at.head), at.first, at.n, a.head_dim);
      if constexpr (OverKeys) Tile::store(thread, out2(thread), one, HeadRows<float>(g.dv, a, at.sequence, at.head), at.first, at.n, a.head_dim);
    });
  }

 private:
  /// Turns scores into kept probabilities and gradients of probabilities into those of scores (but for the scale).
  HLIP_FN void pull_scores(int thread, const AttentionPlace<Tile>& at, index_t begin, index_t n, float (&score)[Scores::sums], float (&dscore)[Scores::sums]) const {
    const AttentionArgs<float>& a = g.forward;
    const std::uint8_t* mask = a.key_mask ? a.key_mask + at.sequence * at.tokens : nullptr;
    const float scale = static_cast<float>(1.0 / (1.0 - a.dropout));
    HLIP_UNROLL
    for (int s = 0; s < Scores::sums; ++s) {
      const int own = Tile::own_row(thread, Tile::template own_of<Scores>(s)), other = Scores::column_of_sum(thread, s);
      const index_t query = OverKeys ? begin + other : at.first + own, key = OverKeys ? at.first + own : begin + other, row = at.pair * at.tokens + query;
      const bool visible = own < at.n && other < n && (!mask || mask[key]);
      const float prob = visible ? std::exp2(log2_of_e * (a.scale * score[s] - a.lse[row])) : 0, kept = keeps_probability(a, at, query, key) ? scale : 0;
      score[s] = prob * kept;
      dscore[s] = visible ? prob * (dscore[s] * kept - dot[row]) : 0;
    }
  }
};

}  // namespace detail

HLIP_END
