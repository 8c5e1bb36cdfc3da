// What a head looks at, as a matrix: for looking at attention, not for training, which never stores
// it.
#pragma once

#include <hlip/autograd/functions/matmul.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/autograd/functions/softmax.hpp>

#include <cmath>

HLIP_BEGIN

/// Column block `which` (0 q, 1 k, 2 v) of qkv (S, T, 3C) by heads: (S, heads, T, C/heads).
template <class T, class B> Var<T, B> by_heads(const Var<T, B>& qkv, index_t which, index_t heads) {
  const index_t s = qkv.dim(0), tokens = qkv.dim(1), dim = qkv.dim(2) / 3;
  return permute(
      reshape(slice(qkv, 2, which * dim, (which + 1) * dim), {s, tokens, heads, dim / heads}),
      {0, 2, 1, 3});
}

/// softmax(q·kᵀ/√(C/heads)), materialised.
///
/// @param qkv (S, T, 3C), as qkv = Linear(C → 3C) makes them  @return (S, heads, T, T)
template <class T, class B> Var<T, B> attention_probabilities(const Var<T, B>& qkv, index_t heads) {
  expect_shape("attention_probabilities", "qkv", qkv.shape(),
               {{"sequences"}, {"tokens"}, {"3·dim"}});
  expect(heads > 0 && qkv.dim(2) % (3 * heads) == 0, "attention_probabilities",
         "qkv is {}, which does not divide into {} heads", to_string(qkv.shape()), heads);
  const double scale = 1.0 / std::sqrt(static_cast<double>(qkv.dim(2) / 3 / heads));
  const Var<T, B> scores =
      matmul(by_heads(qkv, 0, heads), transpose(by_heads(qkv, 1, heads), 2, 3)) * scale;
  return softmax(scores);
}

HLIP_END
