// A tensor in one of two forms: whole, or in 16 bits where matrix products round their operands to
// bfloat16 anyway.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/tensor/tensor.hpp>

#include <type_traits>

HLIP_BEGIN

/// Whether what a pull-back needs is kept in bfloat16 now; see set_matrix_precision.
template <class T, class B> bool keeps_rounded() {
  if constexpr (std::is_same_v<T, float>) return matrix_precision(B{}) == MatrixPrecision::bfloat16;
  else return false;
}

/// Whether B has kernels whose operands lie in bfloat16, and arithmetic is in T = float.
template <class T, class B>
inline constexpr bool may_store_bfloat16 = stores_bfloat16<B>&& std::is_same_v<T, float>;

/// Whether operands of matrix products lie in bfloat16 now, from the operation that makes them on.
template <class T, class B> bool stores_operands() {
  if constexpr (may_store_bfloat16<T, B>) return keeps_rounded<T, B>();
  else return false;
}

/// What the result of an operation is there for.
enum class ResultFor {
  anything,
  /// It is only going to be an operand of products: where those round, it may be made rounded, and
  /// so may its gradient
  products,
  /// It is a branch that is going to be scaled and added to a stream of residuals: likewise
  branch,
};

/// The tensor itself, or a copy in another element type.
template <class S, class T, class B> Tensor<S, B> stored_as(const Tensor<T, B>& x) {
  if constexpr (std::is_same_v<S, T>) return x;
  else return x.template to<S>();
}

/// A tensor that is whole or rounded to bfloat16, and can be had in either form.
template <class T, class B> class Kept {
 public:
  Kept() = default;
  Kept(const Tensor<T, B>& whole) : whole_(whole) {}
  Kept(const Tensor<bfloat16, B>& rounded) : rounded_(true), half_(rounded) {}
  /// The value given, or where keeps_rounded() its rounded copy: half of the memory between forward
  /// and backward, and the same numbers for whatever becomes the operand of a matrix product.
  static Kept for_products(const Tensor<T, B>& value) {
    return keeps_rounded<T, B>() ? Kept(value.template to<bfloat16>()) : Kept(value);
  }

  /// Whether the tensor is in 16 bits: as<T>() then makes a new one.
  bool rounded() const { return rounded_; }
  const Shape& shape() const { return rounded_ ? half_.shape() : whole_.shape(); }
  template <class S = T> Tensor<S, B> as() const {
    return rounded_ ? stored_as<S>(half_) : stored_as<S>(whole_);
  }
  /// Rows [first, last) of the first axis.
  Kept rows(index_t first, index_t last) const {
    return rounded_ ? Kept(half_.slice(0, first, last)) : Kept(whole_.slice(0, first, last));
  }
  Kept reshape(const Shape& shape) const {
    return rounded_ ? Kept(half_.reshape(shape)) : Kept(whole_.reshape(shape));
  }

 private:
  bool rounded_ = false;
  Tensor<T, B> whole_;
  Tensor<bfloat16, B> half_;
};

HLIP_END
