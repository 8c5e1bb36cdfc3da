// The contract between the library and the machine. A backend is an empty tag type B for which the
// free functions below exist, each taking the tag first. Everything above this folder is templated
// on B and calls nothing else.
//
// All pointers are B's memory; sizes are elements; matrices are row-major. Results may not depend
// on the number of threads. `T` is float or double unless said otherwise.
//
//   tag          B::name, and B::rows_at_a_time: into pieces of how many rows work is cut that
//                need not be in memory as a whole
//   memory       bool has_device(B);           whether this machine has what B computes on
//                void* allocate(B, size_t bytes);
//                void deallocate(B, void*, size_t bytes);
//                void empty_cache(B);          gives memory kept for reuse back to the system
//                size_t held_for_reuse(B);     bytes kept for reuse that no tensor uses
//                void copy_from_host(B, void* to, const void* from, size_t bytes);
//                                              `from` has been read when it returns
//                void upload_ahead(B, Fn fn);  fn(), in which this thread allocates and copies from
//                                              the host, and nothing else, past what B computes; it
//                                              has arrived on return
//                void copy_to_host(B, void* to, const void* from, size_t bytes);
//                                              waits for all that writes `from`, and throws what
//                                              kernels have found wrong
//   strided      void copy_strided(B, const Shape&, U* to, const Shape& to_stride, const T* from,
//                                  const Shape& from_stride);      any types, converts
//                void fill_strided(B, const Shape&, T* to, const Shape& stride, T value);
//   elementwise  void map(B, const Shape&, U* out, const Shape& out_stride, Lowered);
//                                              tensor/lower.hpp says what Lowered is
//                void map_pull(B, const Shape&, const T* dy, Lowered, GradSink<T>* sinks);
//                                              one sink per recorded leaf
//                void for_each_index(B, index_t n, Fn fn);
//                                              fn(i) for independent i; fn may run on a device:
//                                              HLIP_LAMBDA
//   reductions   void reduce(B, Reduction, const T* x, U* y, index_t outer, index_t n,
//                            index_t inner);   x (outer, n, inner) -> y (outer, inner)
//   matrices     void gemm(B, const GemmArgs<T>&);
//                bool has_bfloat16_products(B);  has_tensorfloat32_products(B) likewise
//                void set_matrix_precision(B, MatrixPrecision);
//                MatrixPrecision matrix_precision(B);
//   attention    void attention_forward(B, const AttentionArgs<T>&);
//                void attention_backward(B, const AttentionGradArgs<T>&);
//   rows         layer_norm_forward, layer_norm_backward, softmax_forward, softmax_backward,
//                cross_entropy_forward, cross_entropy_backward
//   index        gather_rows, scatter_add_rows
//                an index or label outside its table is an error that names it: of the call itself,
//                or, on a device that would have to be waited for, of the next copy_to_host; either
//                way nothing outside is read or written
//   resampling   void resample_axis(B, const ResampleArgs<T>&);
//   patches      void cut_patches(B, const PatchArgs<T>&);
//   convolution  void conv_forward(B, const ConvArgs<T>&);
//                void conv_backward_input(B, const ConvArgs<T>&);   also the transposed convolution
//                void conv_backward_weight(B, const ConvArgs<T>&);
//   optimiser    void adamw_update(B, const AdamWArgs<T>&);      all parameters at once, and in
//                void sums_of_squares(B, std::span<const Elements<T>>, T* to);
//   bfloat16     where the tag says `static constexpr bool stores_bfloat16 = true`, also these with
//                operands that lie as bfloat16 (S, and R where a result may):
//                gemm (float, S, float and float, S, S), attention_forward, attention_backward,
//                layer_norm_forward, layer_norm_backward, cut_patches, and
//                reduce(B, Reduction::sum, const bfloat16*, float*, …)
#pragma once

#include <hlip/core/random.hpp>
#include <hlip/fwd.hpp>
#include <hlip/tensor/shape.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

HLIP_BEGIN

/// Whether a backend also takes operands that lie in bfloat16; see above.
template <class B> inline constexpr bool stores_bfloat16 = requires {
  requires B::stores_bfloat16;
};

/// What `reduce` does along an axis.
enum class Reduction { sum, mean, max, argmax, logsumexp };
/// What float matrix products round their operands to; sums are float. float32 rounds nothing;
/// tensorfloat32 (TF32) keeps the exponent and 10 bits behind the point, bfloat16 the exponent and
/// 7.
enum class MatrixPrecision { float32, bfloat16, tensorfloat32 };
/// What a gemm applies to its result; gelu is the exact one.
enum class Activation { none, gelu };

/// Where map_pull puts the gradient of one leaf: element i of the (contiguous) output goes to
/// grad[i * step]; step 0 sends it to a scratch element. `add` keeps what is there.
template <class T> struct GradSink {
  T* grad = nullptr;
  index_t step = 0;
  bool add = false;
};

/// C (m, n) = act(alpha * op(A) (m, k) · op(B) (k, n) + beta * C + bias) + residual, for every
/// matrix of a batch.
///
/// Operands lie in memory as S, results as R: T itself, or bfloat16 where products of floats round
/// to that anyway and the backend `stores_bfloat16`. Sums are T either way; what is stored in
/// bfloat16 is rounded once, at the end.
template <class T, class S = T, class R = T> struct GemmArgs {
  index_t m = 0, n = 0, k = 0;
  const S* a = nullptr;  ///< (m, k), or (k, m) when trans_a
  index_t lda = 0;
  bool trans_a = false;
  const S* b = nullptr;  ///< (k, n), or (n, k) when trans_b
  index_t ldb = 0;
  bool trans_b = false;
  R* c = nullptr;
  index_t ldc = 0;
  T alpha = 1, beta = 0;
  /// elements from one matrix of the batch to the next
  index_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
  const T* bias = nullptr;  ///< (n), or none
  Activation activation = Activation::none;
  /// where to keep the values before the activation (leading dimension ldc), or none
  R* pre_activation = nullptr;
  /// (m, n) with leading dimension ldc, added last, or none; only with batch == 1
  const R* residual = nullptr;
};

/// Token rows in two places: sequence r owns `prefix` rows [r·P, (r+1)·P) and `patch` rows [r·L,
/// (r+1)·L), and its tokens are the P prefix rows followed by the L patch rows. Head h starts at
/// column h·head_dim.
template <class T> struct TokenRows {
  T* prefix = nullptr;
  T* patch = nullptr;
  index_t stride = 0;  ///< elements from one row to the next, in both places
};

/// softmax(scale · q·kᵀ)·v per sequence and head, streamed: no (tokens × tokens) matrix is ever
/// stored. S: what token rows lie in memory as, see GemmArgs.
template <class T, class S = T> struct AttentionArgs {
  index_t sequences = 0, prefix = 0, patches = 0, heads = 0, head_dim = 0;
  T scale = 1;
  TokenRows<const S> q, k, v;
  TokenRows<S> out;
  /// (sequences, heads, tokens): log-sum-exp of the scaled scores, saved for backward; may be none
  T* lse = nullptr;
  /// (sequences, tokens): 0 hides a key; a sequence always has one visible key
  const std::uint8_t* key_mask = nullptr;
  /// on the probabilities; kept ones are scaled by 1/(1-dropout)
  double dropout = 0;
  /// draw ((sequence·heads + h)·tokens + query)·tokens + key; dropped where uniform < dropout
  RandomKey dropout_key;
};

/// Gradients of attention. Scores are recomputed from q, k and lse. dq, dk, dv are overwritten.
template <class T, class S = T> struct AttentionGradArgs {
  AttentionArgs<T, S> forward;  ///< as given to attention_forward, `out` and `lse` filled
  TokenRows<const S> d_out;
  TokenRows<S> dq, dk, dv;
};

/// y = (x - mean) · rstd · weight + bias over the last axis. S: what y lies in memory as, see
/// GemmArgs.
template <class T, class S = T> struct LayerNormArgs {
  index_t rows = 0, cols = 0;
  T eps = 0;
  const T* x = nullptr;
  const T* weight = nullptr;
  const T* bias = nullptr;
  S* y = nullptr;
  T* mean = nullptr;  ///< (rows), kept for backward
  T* rstd = nullptr;  ///< (rows)
};
template <class T, class S = T> struct LayerNormGradArgs {
  index_t rows = 0, cols = 0;
  const T* x = nullptr;
  const T* weight = nullptr;
  const T* mean = nullptr;
  const T* rstd = nullptr;
  const S* dy = nullptr;
  T* dx = nullptr;       ///< or none
  T* dweight = nullptr;  ///< (cols) overwritten, or none
  T* dbias = nullptr;    ///< (cols) overwritten, or none
  bool add_dx = false;   ///< to what is in dx, instead of overwriting it
};

/// y[:, o, :] = Σ_t weight[o·taps + t] · x[:, index[o·taps + t], :], x (outer, n_in, inner), y
/// (outer, n_out, inner); transposed: x[:, index, :] += weight · y, with x zeroed first (the
/// pull-back).
template <class T> struct ResampleArgs {
  index_t outer = 0, n_in = 0, n_out = 0, inner = 0;
  int taps = 0;
  const index_t* index = nullptr;  ///< host memory
  const T* weight = nullptr;       ///< host memory
  T* x = nullptr;                  ///< read forward, written transposed
  T* y = nullptr;                  ///< written forward, read transposed
  bool transposed = false;
};

/// Rows [first, last) of the matrix (N · depth/pd · height/ph · width/pw, channels · pd · ph · pw)
/// whose rows are the patches of x (N, channels, depth, height, width); remainders at the end of an
/// axis belong to none. S: what the rows lie in memory as, see GemmArgs.
template <class T, class S = T> struct PatchArgs {
  const T* x = nullptr;
  index_t channels = 0, depth = 0, height = 0, width = 0;
  index_t pd = 0, ph = 0, pw = 0;
  index_t first = 0, last = 0;
  S* rows = nullptr;
};

/// Where a convolution over three axes takes its numbers from; pictures have a first axis of one.
/// Output q reads input q·stride − padding + t·dilation at tap t, zero outside of it. Channels are
/// those of one of `groups`.
struct ConvGeometry {
  using Axes = std::array<index_t, 3>;
  index_t batch = 0, groups = 1, in_channels = 0, out_channels = 0;
  Axes in{}, out{}, kernel{}, stride{1, 1, 1}, padding{}, dilation{1, 1, 1};

  static index_t volume(const Axes& a) { return a[0] * a[1] * a[2]; }
  /// Products that make one output.
  index_t products() const { return in_channels * volume(kernel); }
  index_t x_size() const { return batch * groups * in_channels * volume(in); }
  index_t y_size() const { return batch * groups * out_channels * volume(out); }
  index_t weight_size() const { return groups * out_channels * products(); }
};

/// x (N, groups·C, D, H, W), weight (groups·O, C, kd, kh, kw), y (N, groups·O, d, h, w).
/// conv_forward writes y = weight ∗ x + bias. conv_backward_input writes x, the transpose of that
/// applied to y, + bias. conv_backward_weight writes weight, the gradient for y of that product.
template <class T> struct ConvArgs {
  ConvGeometry g;
  T* x = nullptr;
  T* weight = nullptr;
  T* y = nullptr;
  const T* bias = nullptr;  ///< of the channels of what is written, or none
  bool add = false;         ///< to what is in weight, instead of overwriting it
};

/// Neighbouring elements, one entry of a list: of which `sums_of_squares` writes Σ x² of entry i to
/// to[i].
template <class T> struct Elements {
  const T* x = nullptr;
  index_t n = 0;
};

/// What AdamW changes of one parameter, and its gradient.
template <class T> struct AdamWParameter {
  index_t n = 0;
  T* p = nullptr;
  const T* grad = nullptr;
  T* exp_avg = nullptr;
  T* exp_avg_sq = nullptr;
  double weight_decay = 0;
};
/// One AdamW step: p ← p·(1 − lr·decay); bias-corrected moments; p ← p − lr·m̂/(√v̂ + eps).
template <class T> struct AdamWArgs {
  std::span<const AdamWParameter<T>> parameters;  ///< host memory
  /// grad_scale: what clipping multiplies gradients by
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, grad_scale = 1;
  std::int64_t step = 1;  ///< counted from 1
};

HLIP_END
