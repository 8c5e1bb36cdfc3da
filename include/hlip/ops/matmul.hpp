// Matrix products of tensors: the last two axes are matrices, the axes before them a batch that
// broadcasts.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/ops/elementwise.hpp>

HLIP_BEGIN

namespace detail {

/// How gemm may read the last two axes of a tensor: as they are, or transposed. Copies if neither
/// fits.
template <class T, class B> struct MatrixOperand {
  Tensor<T, B> x;
  bool transposed = false;
  index_t ld = 0;

  explicit MatrixOperand(const Tensor<T, B>& input) : x(input) {
    const int r = input.rank();
    const auto fits = [&](int row, int column) {
      return (x.strides()[column] == 1 || x.shape()[column] == 1) &&
             (x.strides()[row] >= x.shape()[column] || x.shape()[row] == 1);
    };
    if (!fits(r - 2, r - 1)) {
      if (fits(r - 1, r - 2)) transposed = true;
      else x = input.clone();
    }
    const int row = transposed ? r - 1 : r - 2, column = transposed ? r - 2 : r - 1;
    ld = x.shape()[row] == 1 ? x.shape()[column] : x.strides()[row];
    if (ld < 1) ld = 1;
  }
};

}  // namespace detail

/// a (…, m, k) · b (…, k, n) -> (…, m, n). Transposed views are read in place.
/// @throws if the inner sizes differ or the batch axes do not broadcast
template <class T, class B> Tensor<T, B> matmul(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  expect(a.rank() >= 2 && b.rank() >= 2, "matmul",
         "a is {} and b is {}, expected at least two axes each", to_string(a.shape()),
         to_string(b.shape()));
  const index_t m = a.dim(-2), k = a.dim(-1), n = b.dim(-1);
  expect(b.dim(-2) == k, "matmul", "a is {} and b is {}: inner sizes {} and {} differ",
         to_string(a.shape()), to_string(b.shape()), k, b.dim(-2));
  const auto batch_of = [](const Shape& s) { return Shape(s.begin(), s.end() - 2); };
  const Shape batch = broadcast_shapes("matmul", batch_of(a.shape()), batch_of(b.shape()));
  const detail::MatrixOperand<T, B> left(a), right(b);
  Shape out_shape = batch;
  out_shape.push_back(m);
  out_shape.push_back(n);
  auto out = Tensor<T, B>::empty(out_shape);
  if (out.numel() == 0) return out;

  GemmArgs<T> args;
  args.m = m, args.n = n, args.k = k;
  args.lda = left.ld, args.trans_a = left.transposed;
  args.ldb = right.ld, args.trans_b = right.transposed;
  args.ldc = n;
  Shape a_stride = broadcast_strides(batch_of(left.x.shape()), batch_of(left.x.strides()), batch);
  Shape b_stride = broadcast_strides(batch_of(right.x.shape()), batch_of(right.x.strides()), batch);
  // The innermost batch axis goes to the backend in one call, the others are walked here.
  const int r = batch.rank();
  args.batch = r ? batch[r - 1] : 1;
  args.stride_a = r ? a_stride[r - 1] : 0;
  args.stride_b = r ? b_stride[r - 1] : 0;
  args.stride_c = m * n;
  for (index_t i = 0; i < batch.numel() / args.batch; ++i) {
    args.a = left.x.data();
    args.b = right.x.data();
    const Shape at = r ? row_index(batch, i) : Shape{};
    for (int d = 0; d + 1 < r; ++d) {
      args.a += at[d] * a_stride[d];
      args.b += at[d] * b_stride[d];
    }
    args.c = out.data() + i * args.batch * m * n;
    gemm(B{}, args);
  }
  return out;
}

HLIP_END
