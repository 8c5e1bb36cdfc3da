// A tensor that waits for the way back: whole, or in 16 bits where matrix products round their operands to bfloat16 anyway.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/tensor/tensor.hpp>

HLIP_BEGIN

/// Whether what a pull-back needs is kept in bfloat16 now; see set_matrix_precision.
template <class T, class B>
bool keeps_bfloat16() {
  if constexpr (std::is_same_v<T, float>) return matrix_precision(B{}) == MatrixPrecision::bfloat16;
  else return false;
}

/// The value given, or where keeps_bfloat16() its rounded copy: half of the memory between forward and backward, and the same
/// numbers for whatever becomes the operand of a matrix product.
/// @param elsewhere the value stays in memory anyway (a leaf): a copy would only cost
template <class T, class B>
class Kept {
 public:
  explicit Kept(const Tensor<T, B>& value, bool elsewhere = false) : rounded_(!elsewhere && keeps_bfloat16<T, B>()) {
    if (rounded_) half_ = value.template to<bfloat16>();
    else whole_ = value;
  }
  /// Whether value() makes a new tensor.
  bool rounded() const { return rounded_; }
  Tensor<T, B> value() const { return rounded_ ? half_.template to<T>() : whole_; }
  /// Rows [first, last) of the first axis.
  Tensor<T, B> rows(index_t first, index_t last) const { return rounded_ ? half_.slice(0, first, last).template to<T>() : whole_.slice(0, first, last); }

 private:
  bool rounded_;
  Tensor<T, B> whole_;
  Tensor<bfloat16, B> half_;
};

HLIP_END
