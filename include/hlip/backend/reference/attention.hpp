// Reference attention: all probabilities of a head in one matrix, as in the textbook formula.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/reference/memory.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

HLIP_BEGIN

namespace detail {

/// The head's row of a token.
template <class X, class T>
X* token_row(const TokenRows<X>& rows, const AttentionArgs<T>& a, index_t sequence, index_t head,
             index_t token) {
  X* row = token < a.prefix ? rows.prefix + (sequence * a.prefix + token) * rows.stride
                            : rows.patch + (sequence * a.patches + token - a.prefix) * rows.stride;
  return row + head * a.head_dim;
}

template <class X, class Y> double dot_product(const X* x, const Y* y, index_t n) {
  double sum = 0;
  for (index_t d = 0; d < n; ++d) sum += static_cast<double>(x[d]) * static_cast<double>(y[d]);
  return sum;
}

/// (tokens, tokens) of one head: probabilities, what dropout multiplies them by, and the
/// log-sum-exp of each query.
struct Probabilities {
  std::vector<double> p, factor, lse;
};

template <class T>
Probabilities attention_probabilities(const AttentionArgs<T>& a, index_t sequence, index_t head) {
  const index_t tokens = a.prefix + a.patches;
  Probabilities r;
  for (index_t i = 0; i < tokens; ++i) {
    std::vector<double> score(static_cast<std::size_t>(tokens),
                              -std::numeric_limits<double>::infinity());
    for (index_t j = 0; j < tokens; ++j)
      if (!a.key_mask || a.key_mask[sequence * tokens + j])
        score[static_cast<std::size_t>(j)] = static_cast<double>(a.scale) *
                                             dot_product(token_row(a.q, a, sequence, head, i),
                                                         token_row(a.k, a, sequence, head, j),
                                                         a.head_dim);
    const double top = *std::max_element(score.begin(), score.end());
    double sum = 0;
    for (double s : score) sum += std::exp(s - top);
    r.lse.push_back(top + std::log(sum));
    for (double s : score) r.p.push_back(std::exp(s - r.lse.back()));
    for (index_t j = 0; j < tokens; ++j) {
      const index_t draw = ((sequence * a.heads + head) * tokens + i) * tokens + j;
      const bool dropped = a.dropout > 0 &&
                           uniform_at(a.dropout_key, static_cast<std::uint64_t>(draw)) < a.dropout;
      r.factor.push_back(dropped ? 0.0 : 1.0 / (1.0 - a.dropout));
    }
  }
  return r;
}

}  // namespace detail

/// softmax(scale · q·kᵀ)·v for every sequence and head; see AttentionArgs.
template <class T> void attention_forward(Reference, const AttentionArgs<T>& a) {
  const index_t tokens = a.prefix + a.patches;
  for (index_t s = 0; s < a.sequences; ++s)
    for (index_t h = 0; h < a.heads; ++h) {
      const auto prob = detail::attention_probabilities(a, s, h);
      for (index_t i = 0; i < tokens; ++i) {
        T* out = detail::token_row(a.out, a, s, h, i);
        for (index_t d = 0; d < a.head_dim; ++d) {
          double sum = 0;
          for (index_t j = 0; j < tokens; ++j) {
            const auto at = static_cast<std::size_t>(i * tokens + j);
            if (prob.p[at] > 0)
              sum += prob.p[at] * prob.factor[at] *
                     static_cast<double>(detail::token_row(a.v, a, s, h, j)[d]);
          }
          out[d] = static_cast<T>(sum);
        }
        if (a.lse)
          a.lse[(s * a.heads + h) * tokens + i] = static_cast<T>(
              prob.lse[static_cast<std::size_t>(i)]);
      }
    }
}

/// dq, dk, dv from d_out; see AttentionGradArgs. Everything is computed again from q, k, v.
template <class T> void attention_backward(Reference, const AttentionGradArgs<T>& g) {
  const AttentionArgs<T>& a = g.forward;
  const index_t tokens = a.prefix + a.patches, dim = a.head_dim;
  for (index_t s = 0; s < a.sequences; ++s)
    for (index_t h = 0; h < a.heads; ++h) {
      const auto prob = detail::attention_probabilities(a, s, h);
      std::vector<double> dq(static_cast<std::size_t>(tokens * dim)), dk(dq), dv(dq);
      for (index_t i = 0; i < tokens; ++i) {
        const T *dout = detail::token_row(g.d_out, a, s, h, i),
                *q = detail::token_row(a.q, a, s, h, i);
        std::vector<double> dprob(static_cast<std::size_t>(tokens));
        double mean = 0;
        for (index_t j = 0; j < tokens; ++j) {
          const auto at = static_cast<std::size_t>(i * tokens + j);
          if (prob.p[at] > 0)
            dprob[static_cast<std::size_t>(j)] = prob.factor[at] *
                                                 detail::dot_product(
                                                     dout, detail::token_row(a.v, a, s, h, j), dim);
          mean += prob.p[at] * dprob[static_cast<std::size_t>(j)];
        }
        for (index_t j = 0; j < tokens; ++j) {
          const auto at = static_cast<std::size_t>(i * tokens + j);
          if (!(prob.p[at] > 0)) continue;
          const double dscore = static_cast<double>(a.scale) * prob.p[at] *
                                (dprob[static_cast<std::size_t>(j)] - mean);
          const T* k = detail::token_row(a.k, a, s, h, j);
          for (index_t d = 0; d < dim; ++d) {
            dq[static_cast<std::size_t>(i * dim + d)] += dscore * static_cast<double>(k[d]);
            dk[static_cast<std::size_t>(j * dim + d)] += dscore * static_cast<double>(q[d]);
            dv[static_cast<std::size_t>(j * dim + d)] += prob.p[at] * prob.factor[at] *
                                                         static_cast<double>(dout[d]);
          }
        }
      }
      for (index_t i = 0; i < tokens; ++i)
        for (index_t d = 0; d < dim; ++d) {
          const auto at = static_cast<std::size_t>(i * dim + d);
          detail::token_row(g.dq, a, s, h, i)[d] = static_cast<T>(dq[at]);
          detail::token_row(g.dk, a, s, h, i)[d] = static_cast<T>(dk[at]);
          detail::token_row(g.dv, a, s, h, i)[d] = static_cast<T>(dv[at]);
        }
    }
}

HLIP_END
