// What the block programs of attention share, whichever way they multiply: which tile a block
// takes, dropout, and the sums that the pull-back of softmax subtracts.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/block.hpp>
#include <hlip/backend/cuda/quad.hpp>
#include <hlip/backend/head_rows.hpp>
#include <hlip/core/random.hpp>
#include <hlip/tensor/lower.hpp>

#include <cmath>
#include <cstdint>

HLIP_BEGIN

namespace detail {

/// How many elements are 16 bytes, which is what a thread reads at once, and whether all rows of a
/// span start where it can.
template <class T> inline constexpr int at_once = 16 / sizeof(T);
template <class X> bool reads_at_once(const TokenRows<X>& rows) {
  return rows.stride % at_once<X> == 0 && reinterpret_cast<std::uintptr_t>(rows.prefix) % 16 == 0 &&
         reinterpret_cast<std::uintptr_t>(rows.patch) % 16 == 0;
}

/// Which tile of Tile::rows tokens a block works on. Heads of more than Tile::cols columns are cut
/// into parts: a block computes all scores and one part of the outputs, going through the parts so
/// that its own comes last.
template <class Tile> struct AttentionPlace {
  index_t tokens, parts, first, n, part, pair, sequence, head;
  template <class T, class S> HLIP_FN AttentionPlace(const AttentionArgs<T, S>& a, index_t block) {
    constexpr index_t rows = Tile::rows;
    tokens = a.prefix + a.patches;
    parts = (a.head_dim + Tile::cols - 1) / Tile::cols;
    const index_t tiles = (tokens + rows - 1) / rows;
    first = block % tiles * rows;
    n = tokens - first < rows ? tokens - first : rows;
    part = block / tiles % parts;
    pair = block / tiles / parts;
    sequence = pair / a.heads;
    head = pair % a.heads;
  }
  /// First column of the part that comes `turn`-th, turn from 1 to parts.
  HLIP_FN index_t column(index_t turn) const { return (part + turn) % parts * Tile::cols; }
};

/// The 53 bits of the least uniform_at(…) that is not below `dropout`. (A device is slow at
/// doubles.)
HLIP_FN std::uint64_t least_kept(double dropout) {
  return static_cast<std::uint64_t>(std::ceil(dropout * 0x1p53));
}
/// Whether dropout keeps the probability with which `query` looks at `key`; least =
/// least_kept(a.dropout).
template <class Place, class T, class S>
HLIP_FN bool keeps_probability(const AttentionArgs<T, S>& a, std::uint64_t least, const Place& at,
                               index_t query, index_t key) {
  const auto words = philox(
      a.dropout_key, static_cast<std::uint64_t>((at.pair * at.tokens + query) * at.tokens + key));
  return (std::uint64_t{words[0]} << 32 | words[1]) >> 11 >= least;
}

/// What the way back has to know of a query: its log-sum-exp, and Σ_c out · d_out, which is Σ_j
/// p_ij · dp_ij and what the pull-back of softmax subtracts.
template <class T> struct alignas(2 * sizeof(T)) QueryTerms { T lse, dot; };
/// terms (sequences, heads, tokens).
template <class T, class S> struct AttentionTerms {
  static constexpr int lanes = 8, rows_here = 32, threads = lanes * rows_here, wide = at_once<S>;
  AttentionGradArgs<T, S> g;
  QueryTerms<T>* terms;
  bool at_once_everywhere;
  AttentionTerms(const AttentionGradArgs<T, S>& args, QueryTerms<T>* to)
      : g(args),
        terms(to),
        at_once_everywhere(args.forward.head_dim % wide == 0 && reads_at_once(args.forward.out) &&
                           reads_at_once(args.d_out)) {}

  static index_t blocks(const AttentionArgs<T, S>& a) {
    return (a.sequences * a.heads * (a.prefix + a.patches) + rows_here - 1) / rows_here;
  }

  template <class Block> HLIP_FN void operator()(Block& block) const {
    const AttentionArgs<T, S>& a = g.forward;
    const index_t tokens = a.prefix + a.patches, rows = a.sequences * a.heads * tokens;
    auto sum = block.template per_thread<T, 1>();
    block.each([&](int thread) {
      const index_t row = block.index() * rows_here + thread / lanes;
      if (row >= rows) return;
      const index_t pair = quotient(row, tokens), sequence = quotient(pair, a.heads),
                    head = pair - sequence * a.heads;
      const S *out = HeadRows<S>(a.out, a, sequence, head).row(row - pair * tokens),
              *d = HeadRows<const S>(g.d_out, a, sequence, head).row(row - pair * tokens);
      for (index_t c = thread % lanes * wide; c < a.head_dim; c += lanes * wide) {
        if (at_once_everywhere) {
          const Several<S, wide> x = several<wide>(out + c), y = several<wide>(d + c);
          for (int i = 0; i < wide; ++i)
            sum(thread)[0] += static_cast<T>(x.v[i]) * static_cast<T>(y.v[i]);
        } else {
          for (int i = 0; i < wide && c + i < a.head_dim; ++i)
            sum(thread)[0] += static_cast<T>(out[c + i]) * static_cast<T>(d[c + i]);
        }
      }
    });
    block.template reduce<lanes>(sum, Plus{});
    block.each([&](int thread) {
      const index_t row = block.index() * rows_here + thread / lanes;
      if (row < rows && thread % lanes == 0) terms[row] = {a.lse[row], sum(thread)[0]};
    });
  }
};

/// What the way back multiplies. OverKeys: keys are the own side, queries the other; otherwise the
/// reverse. Scores are products of the first of own and other, gradients of probabilities those of
/// the second.
template <bool OverKeys, class S> struct PullSides {
  HeadRows<const S> own1, own2, other1, other2;
  template <class T>
  HLIP_FN PullSides(const AttentionGradArgs<T, S>& g, index_t sequence, index_t head)
      : own1(OverKeys ? g.forward.k : g.forward.q, g.forward, sequence, head),
        own2(OverKeys ? g.forward.v : g.d_out, g.forward, sequence, head),
        other1(OverKeys ? g.forward.q : g.forward.k, g.forward, sequence, head),
        other2(OverKeys ? g.d_out : g.forward.v, g.forward, sequence, head) {}
};

/// Runs a program of attention: a block for every tile, part of the columns, and head.
template <class Program, class T, class S>
void launch_tiles(Cuda, const AttentionArgs<T, S>& a, const Program& program) {
  using Tile = typename Program::Tile;
  const index_t tiles = (a.prefix + a.patches + Tile::rows - 1) / Tile::rows,
                parts = (a.head_dim + Tile::cols - 1) / Tile::cols;
  launch_blocks(Cuda{}, a.sequences * a.heads * parts * tiles, Program::shared_bytes, program);
}

}  // namespace detail

HLIP_END
