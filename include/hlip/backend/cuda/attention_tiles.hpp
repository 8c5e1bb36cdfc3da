// What the block programs of attention share, whichever way they multiply: which tile a block takes, dropout, and the sums that the
// pull-back of softmax subtracts.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/block.hpp>
#include <hlip/backend/cuda/quad.hpp>
#include <hlip/backend/cuda/rows.hpp>
#include <hlip/backend/head_rows.hpp>

#include <cstdint>

HLIP_BEGIN

namespace detail {

/// Which tile of Tile::rows tokens a block works on. Heads of more than Tile::cols columns are cut into parts: a block computes all
/// scores and one part of the outputs, going through the parts so that its own comes last.
template <class Tile>
struct AttentionPlace {
  index_t tokens, parts, first, n, part, pair, sequence, head;
  template <class T>
  HLIP_FN AttentionPlace(const AttentionArgs<T>& a, index_t block) {
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

/// Whether dropout keeps the probability with which `query` looks at `key`.
template <class Place, class T>
HLIP_FN bool keeps_probability(const AttentionArgs<T>& a, const Place& at, index_t query, index_t key) {
  return !(a.dropout > 0 && uniform_at(a.dropout_key, static_cast<std::uint64_t>((at.pair * at.tokens + query) * at.tokens + key)) < a.dropout);
}

/// dot (sequences, heads, tokens): Σ_c out · d_out, which is Σ_j p_ij · dp_ij and what the pull-back of softmax subtracts.
template <class T>
struct AttentionDots : RowProgram {
  AttentionGradArgs<T> g;
  T* dot;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    const AttentionArgs<T>& a = g.forward;
    const index_t tokens = a.prefix + a.patches, rows = a.sequences * a.heads * tokens;
    auto sum = block.template per_thread<T, 1>();
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      const index_t pair = row / tokens;
      const T *out = HeadRows<T>(a.out, a, pair / a.heads, pair % a.heads).row(row % tokens), *d = HeadRows<const T>(g.d_out, a, pair / a.heads, pair % a.heads).row(row % tokens);
      for (index_t c = lane; c < a.head_dim; c += row_lanes) sum(thread)[0] += out[c] * d[c];
    });
    block.template reduce<row_lanes>(sum, Plus{});
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      if (lane == 0) dot[row] = sum(thread)[0];
    });
  }
};

/// What the way back multiplies. OverKeys: keys are the own side, queries the other; otherwise the reverse. Scores are products of the
/// first of own and other, gradients of probabilities those of the second.
template <bool OverKeys, class T>
struct PullSides {
  HeadRows<const T> own1, own2, other1, other2;
  HLIP_FN PullSides(const AttentionGradArgs<T>& g, index_t sequence, index_t head)
      : own1(OverKeys ? g.forward.k : g.forward.q, g.forward, sequence, head),
        own2(OverKeys ? g.forward.v : g.d_out, g.forward, sequence, head),
        other1(OverKeys ? g.forward.q : g.forward.k, g.forward, sequence, head),
        other2(OverKeys ? g.d_out : g.forward.v, g.forward, sequence, head) {}
};

/// Runs a program of attention: a block for every tile, part of the columns, and head.
template <class Program, class T>
void launch_tiles(Cuda, const AttentionArgs<T>& a, const Program& program) {
  using Tile = typename Program::Tile;
  const index_t tiles = (a.prefix + a.patches + Tile::rows - 1) / Tile::rows, parts = (a.head_dim + Tile::cols - 1) / Tile::cols;
  launch_blocks(Cuda{}, a.sequences * a.heads * parts * tiles, Program::shared_bytes, program);
}

}  // namespace detail

HLIP_END
