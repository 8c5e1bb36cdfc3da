// Attention on the CPU in blocks of queries and keys with a streaming softmax. Forward keeps the
// log-sum-exp, backward recomputes the scores from it, so memory is tokens · head_dim per thread.
// Every (sequence, head, query block) is computed the same way whoever computes it: thread counts
// do not change bits.
// Source: Dao et al., "FlashAttention", 2022 (the block order of both passes).
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/kernel.hpp>
#include <hlip/backend/cpu/memory.hpp>
#include <hlip/backend/head_rows.hpp>

#include <cmath>
#include <limits>

HLIP_BEGIN

namespace detail {

inline constexpr index_t query_block = 64, key_block = 128;
// Leading dimensions of transposed blocks: a packet of slack, because transpose_into writes whole
// packets.
inline constexpr index_t query_ld = query_block + 16;
inline constexpr int key_ld = static_cast<int>(key_block) + 16;

/// Rows [first, first + n) times `scale` into to (n, cols), columns past head_dim zero.
template <class T>
void gather_block(const HeadRows<const T>& from, index_t first, index_t n, index_t head_dim,
                  index_t cols, T scale, T* to) {
  for (index_t i = 0; i < n; ++i, to += cols) {
    const T* row = from.row(first + i);
    for (index_t d = 0; d < head_dim; ++d) to[d] = scale * row[d];
    for (index_t d = head_dim; d < cols; ++d) to[d] = T(0);
  }
}

/// The same rows transposed into to (head_dim, ld), columns from n to the next multiple of
/// scratch_cols zero.
template <class T>
void gather_block_transposed(const HeadRows<const T>& from, index_t first, index_t n,
                             index_t head_dim, T scale, T* to, index_t ld) {
  const index_t in_prefix = std::min(n, std::max<index_t>(0, from.prefix_count - first));
  if (in_prefix > 0)
    transpose_into(in_prefix, head_dim, from.row(first), from.stride, to, ld, scale);
  if (in_prefix < n)
    transpose_into(n - in_prefix, head_dim, from.row(first + in_prefix), from.stride,
                   to + in_prefix, ld, scale);
  const index_t padded = round_up(n, scratch_cols<T>);
  for (index_t d = 0; d < head_dim; ++d)
    for (index_t i = n; i < padded; ++i) to[d * ld + i] = T(0);
}

/// What multiplies the probabilities of one query: 0 where dropped, 1/(1-dropout) elsewhere.
template <class T>
void dropout_factors(const AttentionArgs<T>& a, index_t pair, index_t query, index_t first_key,
                     index_t n, T* factor) {
  const index_t tokens = a.prefix + a.patches;
  const auto base = static_cast<std::uint64_t>((pair * tokens + query) * tokens + first_key);
  const T kept = static_cast<T>(1.0 / (1.0 - a.dropout));
  for (index_t j = 0; j < n; ++j)
    factor[j] = uniform_at(a.dropout_key, base + static_cast<std::uint64_t>(j)) < a.dropout ? T(0)
                                                                                            : kept;
}

/// 1 for visible keys, 0 for hidden ones; the padding up to a pack counts as hidden.
template <class T>
void expand_mask(const std::uint8_t* mask, index_t first, index_t n, T* visible) {
  for (index_t j = 0; j < n; ++j) visible[j] = !mask || mask[first + j] ? T(1) : T(0);
  for (index_t j = n; j < round_up(n, pack_size); ++j) visible[j] = T(0);
}

/// One thread's forward state: the keys and values of the pair (sequence, head) it works on.
template <class T> class AttentionForward {
 public:
  explicit AttentionForward(const AttentionArgs<T>& args)
      : a_(args),
        tokens_(args.prefix + args.patches),
        cols_(round_up(args.head_dim, scratch_cols<T>)) {
    const index_t blocks = div_up(tokens_, key_block), d = a_.head_dim;
    T* p = thread_scratch().get<T>(blocks * d * key_ld + tokens_ * cols_ + d * query_ld +
                                   query_block * (key_ld + cols_) + 8 * 16);
    keys_ = p;
    values_ = keys_ + round_up(blocks * d * key_ld + 16, 16);
    query_ = values_ + tokens_ * cols_;
    scores_ = query_ + d * query_ld + 16;
    out_ = scores_ + query_block * key_ld;
  }

  void run(index_t pair, index_t first) {
    const index_t sequence = pair / a_.heads, head = pair % a_.heads,
                  n = std::min(query_block, tokens_ - first), d = a_.head_dim;
    if (pair != pair_) load_pair(pair, sequence, head);
    gather_block_transposed(HeadRows<const T>(a_.q, a_, sequence, head), first, n, d, a_.scale,
                            query_, query_ld);
    T top[query_block], sum[query_block];
    std::fill(top, top + n, -std::numeric_limits<T>::infinity());
    std::fill(sum, sum + n, T(0));
    const std::uint8_t* mask = a_.key_mask ? a_.key_mask + sequence * tokens_ : nullptr;
    for (index_t k0 = 0, block = 0; k0 < tokens_; k0 += key_block, ++block) {
      const index_t nk = std::min(key_block, tokens_ - k0);
      block_product<1, T>(n, nk, d, query_, query_ld, keys_ + block * d * key_ld, key_ld, scores_,
                          key_ld, T(1), false);
      T visible[key_block];
      const bool partly = mask || nk % pack_size != 0;
      if (partly) expand_mask(mask, k0, nk, visible);
      for (index_t i = 0; i < n; ++i) {
        T* row = scores_ + i * key_ld;
        const T shrink = softmax_row(row, nk, partly ? visible : nullptr, top[i], sum[i]);
        if (a_.dropout > 0) {
          T factor[key_block];
          dropout_factors(a_, pair, first + i, k0, nk, factor);
          for (index_t j = 0; j < nk; ++j) row[j] *= factor[j];
        }
        if (k0 > 0 && shrink != T(1))
          for (index_t c = 0; c < cols_; ++c) out_[i * cols_ + c] *= shrink;
      }
      block_product<key_ld, T>(n, cols_, nk, scores_, 1, values_ + k0 * cols_, cols_, out_, cols_,
                               T(1), k0 > 0);
    }
    const HeadRows<T> out(a_.out, a_, sequence, head);
    for (index_t i = 0; i < n; ++i) {
      const T scale = T(1) / sum[i];
      T* row = out.row(first + i);
      for (index_t c = 0; c < d; ++c) row[c] = scale * out_[i * cols_ + c];
    }
    if (a_.lse)
      for (index_t i = 0; i < n; i += pack_size)
        store_lanes(a_.lse + pair * tokens_ + first + i, n - i,
                    load_lanes(top + i, n - i) + log_(load_lanes(sum + i, n - i, T(1))));
  }

 private:
  void load_pair(index_t pair, index_t sequence, index_t head) {
    const HeadRows<const T> k(a_.k, a_, sequence, head), v(a_.v, a_, sequence, head);
    for (index_t k0 = 0, block = 0; k0 < tokens_; k0 += key_block, ++block)
      gather_block_transposed(k, k0, std::min(key_block, tokens_ - k0), a_.head_dim, T(1),
                              keys_ + block * a_.head_dim * key_ld, key_ld);
    gather_block(v, 0, tokens_, a_.head_dim, cols_, T(1), values_);
    pair_ = pair;
  }

  /// Turns n scores into exp(score - maximum so far), updates maximum and sum, and returns by what
  /// earlier sums shrink. Reads and writes whole packs; without `visible` n is a number of whole
  /// packs and all are visible.
  static T softmax_row(T* row, index_t n, const T* visible, T& top, T& sum) {
    using P = Pack<T>;
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    P most(lowest);
    for (index_t j = 0; j < n; j += pack_size) {
      P x = load_lanes(row + j, pack_size);
      if (visible) x.v = (load_lanes(visible + j, pack_size).v > T(0)).select(x.v, lowest);
      most.v = most.v.max(x.v);
    }
    const T next = std::max(top, most.v.maxCoeff());
    if (next == lowest) {  // nothing visible yet
      std::fill(row, row + n, T(0));
      return T(1);
    }
    P total(T(0));
    for (index_t j = 0; j < n; j += pack_size) {
      P p = exp_(P(load_lanes(row + j, pack_size).v - next));
      if (visible) p.v = (load_lanes(visible + j, pack_size).v > T(0)).select(p.v, T(0));
      total.v += p.v;
      store_lanes(row + j, pack_size, p);
    }
    const T shrink = top == lowest ? T(0) : std::exp(top - next);
    sum = sum * shrink + total.v.sum();
    top = next;
    return shrink;
  }

  const AttentionArgs<T>& a_;
  index_t tokens_, cols_, pair_ = -1;
  T *keys_, *values_, *query_, *scores_, *out_;
};

/// Gradients of one (sequence, head): keys outside, queries inside.
template <class T>
[[gnu::noinline]] void attention_backward_pair(const AttentionGradArgs<T>& g, index_t pair) {
  // One function: one pass over the keys, whose buffers all of its steps share.
  using P = Pack<T>;
  const AttentionArgs<T>& a = g.forward;
  const index_t tokens = a.prefix + a.patches, d = a.head_dim, cols = round_up(d, scratch_cols<T>),
                query_blocks = div_up(tokens, query_block);
  const index_t sequence = pair / a.heads, head = pair % a.heads, rows = tokens * cols,
                turned = round_up(query_blocks * d * query_ld + 16, 16);
  const index_t turned_keys = round_up(d * key_ld + 16, 16);
  T* p = thread_scratch().get<T>(3 * rows + 2 * turned + 2 * turned_keys + 3 * key_block * cols +
                                 2 * query_block * key_ld + tokens);
  const auto take = [&](index_t n) { return std::exchange(p, p + n); };
  T *q = take(rows), *dout = take(rows), *dq = take(rows), *q_turned = take(turned),
    *dout_turned = take(turned);
  T *k = take(key_block * cols), *k_turned = take(turned_keys), *v_turned = take(turned_keys),
    *dk = take(key_block * cols), *dv = take(key_block * cols);
  T *scores = take(query_block * key_ld), *dscores = take(query_block * key_ld),
    *dot = take(tokens);

  const HeadRows<const T> q_rows(a.q, a, sequence, head), k_rows(a.k, a, sequence, head),
      v_rows(a.v, a, sequence, head), dout_rows(g.d_out, a, sequence, head);
  const HeadRows<T> out_rows(a.out, a, sequence, head), dq_rows(g.dq, a, sequence, head),
      dk_rows(g.dk, a, sequence, head), dv_rows(g.dv, a, sequence, head);
  const T* lse = a.lse + pair * tokens;
  const std::uint8_t* mask = a.key_mask ? a.key_mask + sequence * tokens : nullptr;

  gather_block(q_rows, 0, tokens, d, cols, a.scale, q);
  gather_block(dout_rows, 0, tokens, d, cols, T(1), dout);
  std::fill(dq, dq + rows, T(0));
  for (index_t q0 = 0, block = 0; q0 < tokens; q0 += query_block, ++block) {
    const index_t n = std::min(query_block, tokens - q0);
    gather_block_transposed(q_rows, q0, n, d, a.scale, q_turned + block * d * query_ld, query_ld);
    gather_block_transposed(dout_rows, q0, n, d, T(1), dout_turned + block * d * query_ld,
                            query_ld);
  }
  for (index_t i = 0; i < tokens; ++i) {  // Σ_j p_ij · dp_ij, which the softmax pull-back subtracts
    const T* out = out_rows.row(i);
    P total(T(0));
    for (index_t c = 0; c < d; c += pack_size)
      total.v += load_lanes(out + c, d - c).v * load_lanes(dout + i * cols + c, pack_size).v;
    dot[i] = total.v.sum();
  }

  for (index_t k0 = 0; k0 < tokens; k0 += key_block) {
    const index_t nk = std::min(key_block, tokens - k0);
    gather_block(k_rows, k0, nk, d, cols, T(1), k);
    gather_block_transposed(k_rows, k0, nk, d, T(1), k_turned, key_ld);
    gather_block_transposed(v_rows, k0, nk, d, T(1), v_turned, key_ld);
    T visible[key_block];
    if (mask) expand_mask(mask, k0, nk, visible);
    for (index_t q0 = 0, block = 0; q0 < tokens; q0 += query_block, ++block) {
      const index_t n = std::min(query_block, tokens - q0);
      block_product<1, T>(n, nk, d, q_turned + block * d * query_ld, query_ld, k_turned, key_ld,
                          scores, key_ld, T(1), false);
      block_product<1, T>(n, nk, d, dout_turned + block * d * query_ld, query_ld, v_turned, key_ld,
                          dscores, key_ld, T(1), false);
      for (index_t i = 0; i < n; ++i) {
        T *s = scores + i * key_ld, *ds = dscores + i * key_ld, factor[key_block];
        if (a.dropout > 0) {
          dropout_factors(a, pair, q0 + i, k0, nk, factor);
          std::fill(factor + nk, factor + key_block, T(0));
        }
        const T shift = lse[q0 + i], mean = dot[q0 + i];
        for (index_t j = 0; j < nk; j += pack_size) {
          P prob = exp_(P(load_lanes(s + j, pack_size).v - shift)),
            dprob = load_lanes(ds + j, pack_size);
          if (mask) prob.v = (load_lanes(visible + j, pack_size).v > T(0)).select(prob.v, T(0));
          P kept = prob;
          if (a.dropout > 0) {
            const P f = load_lanes(factor + j, pack_size);
            kept.v *= f.v;
            dprob.v *= f.v;
          }
          store_lanes(s + j, pack_size, kept);
          store_lanes(ds + j, pack_size, P(prob.v * (dprob.v - mean)));
        }
      }
      block_product<1, T>(nk, cols, n, scores, key_ld, dout + q0 * cols, cols, dv, cols, T(1),
                          q0 > 0);
      block_product<1, T>(nk, cols, n, dscores, key_ld, q + q0 * cols, cols, dk, cols, T(1),
                          q0 > 0);
      block_product<key_ld, T>(n, cols, nk, dscores, 1, k, cols, dq + q0 * cols, cols, a.scale,
                               true);
    }
    for (index_t j = 0; j < nk; ++j) {
      std::copy(dk + j * cols, dk + j * cols + d, dk_rows.row(k0 + j));
      std::copy(dv + j * cols, dv + j * cols + d, dv_rows.row(k0 + j));
    }
  }
  for (index_t i = 0; i < tokens; ++i) std::copy(dq + i * cols, dq + i * cols + d, dq_rows.row(i));
}

}  // namespace detail

/// softmax(scale · q·kᵀ)·v for every sequence and head; see AttentionArgs.
template <class T> void attention_forward(Cpu, const AttentionArgs<T>& a) {
  const index_t pairs = a.sequences * a.heads,
                blocks = detail::div_up(a.prefix + a.patches, detail::query_block),
                tasks = pairs * blocks;
  if (tasks <= 0 || a.head_dim <= 0) return;
#pragma omp parallel if (tasks > 1)
  {
    detail::AttentionForward<T> worker(a);
    // Runs of tasks share their keys and values.
#pragma omp for schedule(dynamic, 4)
    for (index_t task = 0; task < tasks; ++task)
      worker.run(task / blocks, task % blocks * detail::query_block);
  }
}

/// dq, dk, dv from d_out; see AttentionGradArgs.
template <class T> void attention_backward(Cpu, const AttentionGradArgs<T>& g) {
  const index_t pairs = g.forward.sequences * g.forward.heads;
  if (pairs <= 0 || g.forward.head_dim <= 0) return;
#pragma omp parallel for schedule(dynamic) if (pairs > 1)
  for (index_t pair = 0; pair < pairs; ++pair) detail::attention_backward_pair(g, pair);
}

HLIP_END
