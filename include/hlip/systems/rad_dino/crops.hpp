// A batch of crops, in the order in which self-distillation wants them.
// Source: reference document RAD-DINO §5.
#pragma once

#include <hlip/ops/shape.hpp>
#include <hlip/tensor/check.hpp>

#include <cstdint>
#include <vector>

HLIP_BEGIN

/// Crops of B pictures, crop by crop: all first ones, then all second ones. Those of studies are
/// (N, in_chans, D, H, W), N scans, in place of (in_chans, S, S).
template <class T, class B> struct CropBatch {
  Tensor<T, B> global;              ///< (2B, in_chans, S, S)
  Tensor<T, B> local;               ///< (L·B, in_chans, s, s), or empty
  std::vector<std::uint8_t> masks;  ///< (2B, patches) of the global crops; empty: drawn
};

/// Crops as pictures have them, in the order of a CropBatch. @param x (B, n, …)  @return (n·B, …)
template <class T, class B> Tensor<T, B> crop_major(const Tensor<T, B>& x) {
  expect(x.rank() >= 2, "crop_major", "crops are {}, expected (B, n, …)", to_string(x.shape()));
  Shape shape(x.shape().begin() + 1, x.shape().end());
  shape[0] = x.dim(0) * x.dim(1);
  return x.transpose(0, 1).contiguous().reshape(shape);
}

HLIP_END
