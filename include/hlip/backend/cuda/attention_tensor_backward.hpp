// Attention on tensor cores, backward: scores are computed anew, once with the keys outside and
// once with the queries.
#pragma once

#include <hlip/backend/cuda/attention_tensor_tiles.hpp>

#include <cstddef>
#include <cstdint>

HLIP_BEGIN

namespace detail {

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
      // A masked key of the own side gets its zeros at the end
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
