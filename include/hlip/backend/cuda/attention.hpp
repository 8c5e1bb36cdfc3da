// Attention of the Cuda backend as block programs. A block takes one tile of queries (or keys) of
// one head and walks the tiles of the other side. Forward streams the softmax and keeps the
// log-sum-exp; backward recomputes the scores twice, once with the keys outside (dk, dv) and once
// with the queries (dq), so that every gradient has one writer and the order of its sum is fixed.
// Two families of programs do it: attention_scalar.hpp in the arithmetic of T, and
// attention_tensor_forward.hpp with attention_tensor_backward.hpp on operands that are rounded as
// set_matrix_precision(Cuda) says, or are stored in bfloat16.
// Source: Dao et al., "FlashAttention", 2022; the two passes instead of atomic additions as in its
// deterministic variants.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/attention_scalar.hpp>
#include <hlip/backend/cuda/attention_tensor_backward.hpp>
#include <hlip/backend/cuda/attention_tensor_forward.hpp>
#include <hlip/backend/cuda/gemm.hpp>
#include <hlip/backend/cuda/memory.hpp>

#include <type_traits>

HLIP_BEGIN

namespace detail {

/// Heads of more than 64 columns take half as many passes in tiles of 128, where a block may have
/// memory for them.
template <class T> bool takes_wide_tiles(Cuda, const AttentionArgs<T>& a) {
  return a.head_dim > 64 &&
         AttentionPull<T, 128, true>::shared_bytes <= shared_memory_limit(Cuda{});
}

template <class OverKeys, class OverQueries, class T, class S>
void attention_backward_by(Cuda, const AttentionGradArgs<T, S>& g) {
  const AttentionArgs<T, S>& a = g.forward;
  const CudaScratch<QueryTerms<T>> terms(a.sequences * a.heads * (a.prefix + a.patches));
  launch_blocks(Cuda{}, AttentionTerms<T, S>::blocks(a), 0, AttentionTerms<T, S>(g, terms.data()));
  launch_tiles(Cuda{}, a, OverKeys{g, terms.data()});
  launch_tiles(Cuda{}, a, OverQueries{g, terms.data()});
}

template <int Cols, class T> void attention_forward_scalar(Cuda, const AttentionArgs<T>& a) {
  launch_tiles(Cuda{}, a, AttentionForwardProgram<T, Cols>{a});
}
template <int Cols, class T> void attention_backward_scalar(Cuda, const AttentionGradArgs<T>& g) {
  attention_backward_by<AttentionPull<T, Cols, true>, AttentionPull<T, Cols, false>>(Cuda{}, g);
}
/// The tile of operands that lie as floats, M as registers allow, or are stored in bfloat16. With
/// dropout the time goes into random numbers, and registers too.
template <class Operand, class S, int M, bool Dropout>
using TensorTile = std::conditional_t<std::is_same_v<S, bfloat16>, StoredTile<Dropout ? 1 : 2>,
                                      FloatTile<Operand, Dropout ? 1 : M>>;
template <class Operand, bool Dropout, class S>
void attention_forward_tensor_cores_by(Cuda, const AttentionArgs<float, S>& a) {
  launch_tiles(
      Cuda{}, a,
      TensorForward<TensorTile<Operand, S, sizeof(typename Operand::Pair) == 4 ? 2 : 1, Dropout>,
                    Dropout>{a});
}
template <class Operand, bool Dropout, class S>
void attention_backward_tensor_cores_by(Cuda, const AttentionGradArgs<float, S>& g) {
  using Tile = TensorTile<Operand, S, 1, Dropout>;
  attention_backward_by<TensorPull<Tile, Dropout, true>, TensorPull<Tile, Dropout, false>>(Cuda{},
                                                                                           g);
}
template <class Operand, class S>
void attention_forward_tensor_cores(Cuda, const AttentionArgs<float, S>& a) {
  if (a.dropout > 0) attention_forward_tensor_cores_by<Operand, true>(Cuda{}, a);
  else attention_forward_tensor_cores_by<Operand, false>(Cuda{}, a);
}
template <class Operand, class S>
void attention_backward_tensor_cores(Cuda, const AttentionGradArgs<float, S>& g) {
  if (g.forward.dropout > 0) attention_backward_tensor_cores_by<Operand, true>(Cuda{}, g);
  else attention_backward_tensor_cores_by<Operand, false>(Cuda{}, g);
}

/// Rows of one attention as floats, with nothing between those of one token and the next.
template <class S> class FloatRows {
 public:
  explicit FloatRows(const AttentionArgs<float, S>& a)
      : prefix_(a.sequences * a.prefix),
        patches_(a.sequences * a.patches),
        width_(a.heads * a.head_dim),
        memory_((prefix_ + patches_) * width_) {}
  FloatRows(const AttentionArgs<float, S>& a, const TokenRows<const S>& from) : FloatRows(a) {
    copy(prefix_, memory_.data(), width_, from.prefix, from.stride);
    copy(patches_, memory_.data() + prefix_ * width_, width_, from.patch, from.stride);
  }
  template <class X> operator TokenRows<X>() const {
    return {memory_.data(), memory_.data() + prefix_ * width_, width_};
  }
  void round_to(const TokenRows<S>& to) const {
    copy(prefix_, to.prefix, to.stride, memory_.data(), width_);
    copy(patches_, to.patch, to.stride, memory_.data() + prefix_ * width_, width_);
  }

 private:
  template <class U, class X>
  void copy(index_t rows, U* to, index_t to_stride, const X* from, index_t from_stride) const {
    copy_strided(Cuda{}, Shape{rows, width_}, to, Shape{to_stride, 1}, from, Shape{from_stride, 1});
  }
  index_t prefix_, patches_, width_;
  CudaScratch<float> memory_;
};
/// The same attention on other rows.
template <class S>
AttentionArgs<float> on_float_rows(const AttentionArgs<float, S>& a, const FloatRows<S>& q,
                                   const FloatRows<S>& k, const FloatRows<S>& v,
                                   const FloatRows<S>& out) {
  return {a.sequences, a.prefix, a.patches, a.heads, a.head_dim, a.scale,   q,
          k,           v,        out,       a.lse,   a.key_mask, a.dropout, a.dropout_key};
}

}  // namespace detail

/// softmax(scale · q·kᵀ)·v for every sequence and head; see AttentionArgs.
template <class T> void attention_forward(Cuda, const AttentionArgs<T>& a) {
  if constexpr (std::is_same_v<T, float>) {
    const MatrixPrecision precision = matrix_precision(Cuda{});
    if (precision != MatrixPrecision::float32 && detail::fits_tensor_cores(a)) {
      if (precision == MatrixPrecision::bfloat16)
        return detail::attention_forward_tensor_cores<detail::Bfloat16Operand>(Cuda{}, a);
      return detail::attention_forward_tensor_cores<detail::Tensorfloat32Operand>(Cuda{}, a);
    }
  }
  if (detail::takes_wide_tiles(Cuda{}, a)) detail::attention_forward_scalar<128>(Cuda{}, a);
  else detail::attention_forward_scalar<64>(Cuda{}, a);
}
/// Of rows in bfloat16; heads that tensor cores do not fit are converted.
HLIP_LAZY void attention_forward(Cuda, const AttentionArgs<float, bfloat16>& a) {
  if (has_bfloat16_products(Cuda{}) && detail::fits_tensor_cores(a))
    return detail::attention_forward_tensor_cores<detail::Bfloat16Operand>(Cuda{}, a);
  const detail::FloatRows<bfloat16> q(a, a.q), k(a, a.k), v(a, a.v), out(a);
  attention_forward(Cuda{}, detail::on_float_rows(a, q, k, v, out));
  out.round_to(a.out);
}

/// dq, dk, dv from d_out; see AttentionGradArgs.
template <class T> void attention_backward(Cuda, const AttentionGradArgs<T>& g) {
  if constexpr (std::is_same_v<T, float>) {
    const MatrixPrecision precision = matrix_precision(Cuda{});
    if (precision != MatrixPrecision::float32 && detail::fits_tensor_cores(g)) {
      if (precision == MatrixPrecision::bfloat16)
        return detail::attention_backward_tensor_cores<detail::Bfloat16Operand>(Cuda{}, g);
      return detail::attention_backward_tensor_cores<detail::Tensorfloat32Operand>(Cuda{}, g);
    }
  }
  if (detail::takes_wide_tiles(Cuda{}, g.forward))
    detail::attention_backward_scalar<128>(Cuda{}, g);
  else detail::attention_backward_scalar<64>(Cuda{}, g);
}
/// Likewise.
HLIP_LAZY void attention_backward(Cuda, const AttentionGradArgs<float, bfloat16>& g) {
  if (has_bfloat16_products(Cuda{}) && detail::fits_tensor_cores(g))
    return detail::attention_backward_tensor_cores<detail::Bfloat16Operand>(Cuda{}, g);
  const AttentionArgs<float, bfloat16>& a = g.forward;
  const TokenRows<bfloat16>& kept = a.out;
  const detail::FloatRows<bfloat16> q(a, a.q), k(a, a.k), v(a, a.v),
      out(a, {kept.prefix, kept.patch, kept.stride}), d_out(a, g.d_out), dq(a), dk(a), dv(a);
  attention_backward(
      Cuda{}, AttentionGradArgs<float>{detail::on_float_rows(a, q, k, v, out), d_out, dq, dk, dv});
  dq.round_to(g.dq), dk.round_to(g.dk), dv.round_to(g.dv);
}

HLIP_END
