// Attention on tensor cores, forward: the softmax is streamed over tiles of keys.
#pragma once

#include <hlip/backend/cuda/attention_tensor_tiles.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

HLIP_BEGIN

namespace detail {

/// A tile of queries, all keys.
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

}  // namespace detail

HLIP_END
