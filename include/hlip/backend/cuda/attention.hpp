// Attention of the Cuda backend as block programs. A block takes one tile of queries (or keys) of one head and walks the
// tiles of the other side. Forward streams the softmax and keeps the log-sum-exp; backward recomputes the scores twice, once with the
// keys outside (dk, dv) and once with the queries (dq), so that every gradient has one writer and the order of its sum is fixed.
// Two families of programs do it: attention_scalar.hpp in the arithmetic of T, attention_tensor_cores.hpp on operands that
// are rounded as set_matrix_precision(Cuda) says.
// Source: Dao et al., "FlashAttention", 2022; the two passes instead of atomic additions as in its deterministic variants.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/attention_scalar.hpp>
#include <hlip/backend/cuda/attention_tensor_cores.hpp>
#include <hlip/backend/cuda/gemm.hpp>
#include <hlip/backend/cuda/memory.hpp>

#include <type_traits>

HLIP_BEGIN

namespace detail {

/// Heads of more than 64 columns take half as many passes in tiles of 128, where a block may have memory for them.
template <class T>
bool takes_wide_tiles(Cuda, const AttentionArgs<T>& a) {
  return a.head_dim > 64 && AttentionPull<T, 128, true>::shared_bytes <= shared_memory_limit(Cuda{});
}

template <class OverKeys, class OverQueries, class T>
void attention_backward_by(Cuda, const AttentionGradArgs<T>& g) {
  const AttentionArgs<T>& a = g.forward;
  const index_t rows = a.sequences * a.heads * (a.prefix + a.patches);
  const CudaScratch<T> dot(rows);
  launch_rows(Cuda{}, rows, AttentionDots<T>{{}, g, dot.data()});
  launch_tiles(Cuda{}, a, OverKeys{g, dot.data()});
  launch_tiles(Cuda{}, a, OverQueries{g, dot.data()});
}

template <int Cols, class T>
void attention_forward_scalar(Cuda, const AttentionArgs<T>& a) {
  launch_tiles(Cuda{}, a, AttentionForwardProgram<T, Cols>{a});
}
template <int Cols, class T>
void attention_backward_scalar(Cuda, const AttentionGradArgs<T>& g) {
  attention_backward_by<AttentionPull<T, Cols, true>, AttentionPull<T, Cols, false>>(Cuda{}, g);
}
template <class Operand>
void attention_forward_tensor_cores(Cuda, const AttentionArgs<float>& a) {
  launch_tiles(Cuda{}, a, TensorForward<Operand>{a});
}
template <class Operand>
void attention_backward_tensor_cores(Cuda, const AttentionGradArgs<float>& g) {
  attention_backward_by<TensorPull<Operand, true>, TensorPull<Operand, false>>(Cuda{}, g);
}

}  // namespace detail

/// softmax(scale · q·kᵀ)·v for every sequence and head; see AttentionArgs.
template <class T>
void attention_forward(Cuda, const AttentionArgs<T>& a) {
  if constexpr (std::is_same_v<T, float>) {
    const MatrixPrecision precision = matrix_precision(Cuda{});
    if (precision != MatrixPrecision::float32 && detail::fits_tensor_cores(a)) {
      if (precision == MatrixPrecision::bfloat16) return detail::attention_forward_tensor_cores<detail::Bfloat16Operand>(Cuda{}, a);
      return detail::attention_forward_tensor_cores<detail::Tensorfloat32Operand>(Cuda{}, a);
    }
  }
  if (detail::takes_wide_tiles(Cuda{}, a)) detail::attention_forward_scalar<128>(Cuda{}, a);
  else detail::attention_forward_scalar<64>(Cuda{}, a);
}

/// dq, dk, dv from d_out; see AttentionGradArgs.
template <class T>
void attention_backward(Cuda, const AttentionGradArgs<T>& g) {
  if constexpr (std::is_same_v<T, float>) {
    const MatrixPrecision precision = matrix_precision(Cuda{});
    if (precision != MatrixPrecision::float32 && detail::fits_tensor_cores(g)) {
      if (precision == MatrixPrecision::bfloat16) return detail::attention_backward_tensor_cores<detail::Bfloat16Operand>(Cuda{}, g);
      return detail::attention_backward_tensor_cores<detail::Tensorfloat32Operand>(Cuda{}, g);
    }
  }
  if (detail::takes_wide_tiles(Cuda{}, g.forward)) detail::attention_backward_scalar<128>(Cuda{}, g);
  else detail::attention_backward_scalar<64>(Cuda{}, g);
}

HLIP_END
