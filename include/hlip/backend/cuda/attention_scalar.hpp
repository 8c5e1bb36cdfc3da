// Attention in the arithmetic of T itself, as block programs. Scores of a tile are in registers,
// operands in shared memory. Heads may have any number of columns.
#pragma once

#include <hlip/backend/cuda/attention_tiles.hpp>

#include <cmath>
#include <limits>

HLIP_BEGIN

namespace detail {

/// The work of one thread on tiles of `rows` tokens by `Cols` columns of a head. 16 threads (x)
/// share 8 rows; a thread has 8 of the rows and every 16th of the other side's tokens. `turned`
/// tiles are (column, row), the others (row, column); both have leading dimensions that keep the
/// threads of a warp in different banks.
template <class T, int Cols> struct AttentionTile {
  static constexpr int rows = sizeof(T) == 4 ? 64 : 32, cols = Cols, high = 8, wide = rows / 16,
                       threads = rows / high * 16;
  static constexpr int turned_ld = rows + 4, row_ld = Cols + 4;
  static constexpr int turned_size = Cols * turned_ld, row_size = rows * row_ld,
                       score_size = rows * turned_ld;
  // values of a thread: (token, row), (column, row)
  static constexpr int scores = wide * high, outputs = Cols / 16 * high;

  HLIP_FN static int first_row(int thread) { return thread / 16 * high; }
  HLIP_FN static int x(int thread) { return thread % 16; }
  /// The column of the head that output `c` of a thread is.
  HLIP_FN static int column(int thread, int c) { return c / 4 * 64 + x(thread) * 4 + c % 4; }

  /// Tokens [first, first + n) times scale, columns [column, column + depth) of the head; zeros
  /// elsewhere.
  HLIP_FN static void load_turned(int thread, const HeadRows<const T>& from, index_t first,
                                  index_t n, index_t column, index_t depth, T scale, T* to) {
    for (int at = thread; at < rows * Cols; at += threads) {
      const int r = at / Cols, c = at % Cols;
      to[c * turned_ld + r] = r < n && c < depth ? scale * from.row(first + r)[column + c] : T(0);
    }
  }
  HLIP_FN static void load_rows(int thread, const HeadRows<const T>& from, index_t first, index_t n,
                                index_t column, index_t depth, T* to) {
    for (int at = thread; at < rows * Cols; at += threads) {
      const int r = at / Cols, c = at % Cols;
      to[r * row_ld + c] = r < n && c < depth ? from.row(first + r)[column + c] : T(0);
    }
  }

  /// score(j, i) += Σ_c turned(c, i) · side(j, c), c below depth (rounded up to 4).
  HLIP_FN static void add_scores(int thread, const T* turned, const T* side, index_t depth,
                                 T (&score)[scores]) {
    const T *a = turned + first_row(thread), *b = side + x(thread) * row_ld;
    T sum[wide][high];
    for (int k = 0; k < scores; ++k) sum[k / high][k % high] = score[k];
    for (int c = 0; c < depth; c += 4) {
      Quad<T> right[wide];
      for (int j = 0; j < wide; ++j) right[j] = quad(b + j * 16 * row_ld + c);
      for (int l = 0; l < 4; ++l) {
        T left[high];
        load_eight(a + (c + l) * turned_ld, left);
        for (int j = 0; j < wide; ++j)
          for (int i = 0; i < high; ++i) sum[j][i] += left[i] * right[j].v[l];
      }
    }
    for (int k = 0; k < scores; ++k) score[k] = sum[k / high][k % high];
  }

  /// out(c, i) += Σ_j score(j, i) · side(j, c), the scores in shared memory, j below n.
  HLIP_FN static void add_outputs(int thread, const T* score, const T* side, index_t n,
                                  T (&out)[outputs]) {
    const T *a = score + first_row(thread), *b = side + x(thread) * 4;
    T sum[outputs / high][high];
    for (int k = 0; k < outputs; ++k) sum[k / high][k % high] = out[k];
    for (int j = 0; j < n; ++j) {
      T left[high];
      load_eight(a + j * turned_ld, left);
      for (int c = 0; c < Cols / 64; ++c) {
        const Quad<T> right = quad(b + j * row_ld + c * 64);
        for (int l = 0; l < 4; ++l)
          for (int i = 0; i < high; ++i) sum[c * 4 + l][i] += left[i] * right.v[l];
      }
    }
    for (int k = 0; k < outputs; ++k) out[k] = sum[k / high][k % high];
  }

  /// Puts a thread's scores where all threads see them.
  HLIP_FN static void share(int thread, const T (&score)[scores], T* to) {
    for (int j = 0; j < wide; ++j)
      for (int i = 0; i < high; ++i)
        to[(x(thread) + 16 * j) * turned_ld + first_row(thread) + i] = score[j * high + i];
  }

  /// factor · out to tokens [first, first + n), columns [column, column + depth) of the head.
  HLIP_FN static void store(int thread, const T (&out)[outputs], const T (&factor)[high],
                            const HeadRows<T>& to, index_t first, index_t n, index_t begin,
                            index_t depth) {
    for (int i = 0; i < high; ++i) {
      if (first_row(thread) + i >= n) break;
      T* row = to.row(first + first_row(thread) + i) + begin;
      for (int c = 0; c < outputs / high; ++c)
        if (column(thread, c) < depth) row[column(thread, c)] = factor[i] * out[c * high + i];
    }
  }

 private:
  HLIP_FN static void load_eight(const T* from, T (&to)[high]) {
    const Quad<T> low = quad(from), upper = quad(from + 4);
    for (int i = 0; i < 4; ++i) to[i] = low.v[i], to[i + 4] = upper.v[i];
  }
};

/// Bit s is set where dropout keeps score s of a thread; `begin` is the first token of the other
/// side's tile.
template <bool OverKeys, class T, int Cols>
HLIP_FN std::uint32_t kept_scores(int thread, const AttentionArgs<T>& a,
                                  const AttentionPlace<AttentionTile<T, Cols>>& at, index_t begin) {
  using Tile = AttentionTile<T, Cols>;
  static_assert(Tile::scores <= 32);
  if (!(a.dropout > 0)) return 0xffffffffu;
  const std::uint64_t least = least_kept(a.dropout);
  std::uint32_t kept = 0;
  for (int s = 0; s < Tile::scores; ++s) {
    const index_t own = at.first + Tile::first_row(thread) + s % Tile::high,
                  other = begin + Tile::x(thread) + s / Tile::high * 16;
    if (OverKeys ? keeps_probability(a, least, at, other, own)
                 : keeps_probability(a, least, at, own, other))
      kept |= 1u << s;
  }
  return kept;
}

template <class T, int Cols> struct AttentionForwardProgram {
  using Tile = AttentionTile<T, Cols>;
  static constexpr int threads = Tile::threads, high = Tile::high;
  static constexpr std::size_t shared_bytes = sizeof(T) * (Tile::turned_size + Tile::row_size +
                                                           Tile::score_size);
  AttentionArgs<T> a;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    // One function: a block program, whose phases share its registers.
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    const T scale = static_cast<T>(1.0 / (1.0 - a.dropout));  // of probabilities that dropout keeps
    const AttentionPlace<Tile> at(a, block.index());
    const HeadRows<const T> q(a.q, a, at.sequence, at.head), k(a.k, a, at.sequence, at.head),
        v(a.v, a, at.sequence, at.head);
    const std::uint8_t* mask = a.key_mask ? a.key_mask + at.sequence * at.tokens : nullptr;
    T *query = block.template shared<T>(Tile::turned_size),
      *side = block.template shared<T>(Tile::row_size),
      *prob = block.template shared<T>(Tile::score_size);
    auto score = block.template per_thread<T, Tile::scores>();
    auto out = block.template per_thread<T, Tile::outputs>();
    // of the keys so far
    auto top = block.template per_thread<T, high>(), sum = block.template per_thread<T, high>();
    // of this tile of keys
    auto most = block.template per_thread<T, high>(), more = block.template per_thread<T, high>();
    auto shrink = block.template per_thread<T, high>();
    block.each([&](int thread) {
      for (int i = 0; i < high; ++i) top(thread)[i] = lowest;
    });

    for (index_t k0 = 0; k0 < at.tokens; k0 += Tile::rows) {
      const index_t nk = at.tokens - k0 < Tile::rows ? at.tokens - k0 : Tile::rows;
      for (index_t turn = 1; turn <= at.parts; ++turn) {
        const index_t column = at.column(turn),
                      depth = a.head_dim - column < Cols ? a.head_dim - column : Cols;
        block.phase([&](int thread) {
          if (k0 == 0 || at.parts > 1)
            Tile::load_turned(thread, q, at.first, at.n, column, depth, a.scale, query);
          Tile::load_rows(thread, k, k0, nk, column, depth, side);
        });
        block.phase([&](int thread) {
          if (turn == 1)
            for (T& x : score(thread)) x = T(0);
          Tile::add_scores(thread, query, side, depth, score(thread));
        });
      }
      block.each([&](int thread) {
        for (int i = 0; i < high; ++i) most(thread)[i] = top(thread)[i], more(thread)[i] = T(0);
        HLIP_UNROLL
        for (int s = 0; s < Tile::scores; ++s) {
          T& x = score(thread)[s];
          const int key = Tile::x(thread) + s / high * 16;
          if (key >= nk || (mask && !mask[k0 + key])) x = lowest;
          most(thread)[s % high] = Larger{}(x, most(thread)[s % high]);
        }
      });
      block.template reduce<16>(most, Larger{});
      block.phase([&](int thread) {
        for (int i = 0; i < high; ++i) {
          shrink(thread)[i] = top(thread)[i] == lowest ? T(0)
                                                       : std::exp(top(thread)[i] - most(thread)[i]);
          top(thread)[i] = most(thread)[i];
        }
        const std::uint32_t kept = kept_scores<false>(thread, a, at, k0);
        HLIP_UNROLL
        for (int s = 0; s < Tile::scores; ++s) {
          T& x = score(thread)[s];
          x = x == lowest ? T(0) : std::exp(x - top(thread)[s % high]);
          more(thread)[s % high] += x;
          x *= kept >> s & 1 ? scale : T(0);
        }
        Tile::share(thread, score(thread), prob);
        const index_t column = at.column(at.parts);
        Tile::load_rows(thread, v, k0, nk, column, a.head_dim - column, side);
      });
      block.template reduce<16>(more, Plus{});
      block.phase([&](int thread) {
        for (int i = 0; i < high; ++i) {
          sum(thread)[i] = sum(thread)[i] * shrink(thread)[i] + more(thread)[i];
          for (int c = 0; c < Tile::outputs / high; ++c)
            out(thread)[c * high + i] *= shrink(thread)[i];
        }
        Tile::add_outputs(thread, prob, side, nk, out(thread));
      });
    }

    const HeadRows<T> to(a.out, a, at.sequence, at.head);
    block.each([&](int thread) {
      T factor[high];
      for (int i = 0; i < high; ++i) factor[i] = T(1) / sum(thread)[i];
      const index_t column = at.column(at.parts);
      Tile::store(thread, out(thread), factor, to, at.first, at.n, column, a.head_dim - column);
      if (!a.lse || at.part != 0 || Tile::x(thread) != 0) return;
      for (int i = 0; i < high; ++i) {
        const int row = Tile::first_row(thread) + i;
        if (row < at.n)
          a.lse[at.pair * at.tokens + at.first + row] = top(thread)[i] + std::log(sum(thread)[i]);
      }
    });
  }
};

/// OverKeys: a tile of keys, all queries: dk and dv. Otherwise a tile of queries, all keys: dq.
template <class T, int Cols, bool OverKeys> struct AttentionPull {
  using Tile = AttentionTile<T, Cols>;
  static constexpr int threads = Tile::threads, high = Tile::high;
  static constexpr std::size_t shared_bytes = sizeof(T) * (2 * Tile::turned_size +
                                                           2 * Tile::row_size + Tile::score_size);
  AttentionGradArgs<T> g;
  const QueryTerms<T>* terms;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    const AttentionArgs<T>& a = g.forward;
    const AttentionPlace<Tile> at(a, block.index());
    const PullSides<OverKeys, T> side(g, at.sequence, at.head);
    T *own_score = block.template shared<T>(Tile::turned_size),
      *own_grad = block.template shared<T>(Tile::turned_size);
    T *side_score = block.template shared<T>(Tile::row_size),
      *side_grad = block.template shared<T>(Tile::row_size);
    T* shared_score = block.template shared<T>(Tile::score_size);
    auto score = block.template per_thread<T, Tile::scores>(),
         dscore = block.template per_thread<T, Tile::scores>();
    auto out1 = block.template per_thread<T, Tile::outputs>();                     // dk or dq
    auto out2 = block.template per_thread < T, OverKeys ? Tile::outputs : 1 > ();  // dv

    for (index_t begin = 0; begin < at.tokens; begin += Tile::rows) {
      const index_t n = at.tokens - begin < Tile::rows ? at.tokens - begin : Tile::rows;
      for (index_t turn = 1; turn <= at.parts; ++turn) {
        const index_t column = at.column(turn),
                      depth = a.head_dim - column < Cols ? a.head_dim - column : Cols;
        block.phase([&](int thread) {
          if (begin == 0 || at.parts > 1) {
            Tile::load_turned(thread, side.own1, at.first, at.n, column, depth, a.scale, own_score);
            Tile::load_turned(thread, side.own2, at.first, at.n, column, depth, T(1), own_grad);
          }
          Tile::load_rows(thread, side.other1, begin, n, column, depth, side_score);
          Tile::load_rows(thread, side.other2, begin, n, column, depth, side_grad);
        });
        block.phase([&](int thread) {
          if (turn == 1)
            for (int s = 0; s < Tile::scores; ++s) score(thread)[s] = dscore(thread)[s] = T(0);
          Tile::add_scores(thread, own_score, side_score, depth, score(thread));
          Tile::add_scores(thread, own_grad, side_grad, depth, dscore(thread));
        });
      }
      block.phase([&](int thread) {
        pull_scores(thread, at, begin, n, score(thread), dscore(thread));
        Tile::share(thread, OverKeys ? score(thread) : dscore(thread), shared_score);
      });
      if constexpr (OverKeys) {
        block.phase([&](int thread) {
          Tile::add_outputs(thread, shared_score, side_grad, n, out2(thread));
        });
        block.phase([&](int thread) { Tile::share(thread, dscore(thread), shared_score); });
      }
      block.phase([&](int thread) {
        Tile::add_outputs(thread, shared_score, side_score, n, out1(thread));
      });
    }

    const index_t column = at.column(at.parts), depth = a.head_dim - column;
    const HeadRows<T> to(OverKeys ? g.dk : g.dq, a, at.sequence, at.head);
    block.each([&](int thread) {
      T scale[high], one[high];
      for (int i = 0; i < high; ++i) scale[i] = a.scale, one[i] = T(1);
      Tile::store(thread, out1(thread), scale, to, at.first, at.n, column, depth);
      if constexpr (OverKeys)
        Tile::store(thread, out2(thread), one, HeadRows<T>(g.dv, a, at.sequence, at.head), at.first,
                    at.n, column, depth);
    });
  }

 private:
  /// Turns scores into kept probabilities and gradients of probabilities into those of scores (but
  /// for the scale).
  HLIP_FN void pull_scores(int thread, const AttentionPlace<Tile>& at, index_t begin, index_t n,
                           T (&score)[Tile::scores], T (&dscore)[Tile::scores]) const {
    const AttentionArgs<T>& a = g.forward;
    const std::uint8_t* mask = a.key_mask ? a.key_mask + at.sequence * at.tokens : nullptr;
    const std::uint32_t kept = kept_scores<OverKeys>(thread, a, at, begin);
    const T scale = static_cast<T>(1.0 / (1.0 - a.dropout));
    HLIP_UNROLL
    for (int s = 0; s < Tile::scores; ++s) {
      const int own = Tile::first_row(thread) + s % high, other = Tile::x(thread) + s / high * 16;
      const index_t query = at.pair * at.tokens + (OverKeys ? begin + other : at.first + own),
                    key = OverKeys ? at.first + own : begin + other;
      const bool visible = own < at.n && other < n && (!mask || mask[key]);
      const T prob = visible ? std::exp(score[s] - terms[query].lse) : T(0),
              factor = kept >> s & 1 ? scale : T(0);
      score[s] = prob * factor;
      dscore[s] = visible ? prob * (dscore[s] * factor - terms[query].dot) : T(0);
    }
  }
};

}  // namespace detail

HLIP_END
