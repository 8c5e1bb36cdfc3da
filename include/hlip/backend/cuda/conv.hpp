// Convolution on Cuda: products of columns.
#pragma once

#include <hlip/backend/conv_columns.hpp>
#include <hlip/backend/cuda/gemm.hpp>
#include <hlip/backend/cuda/loop.hpp>

HLIP_BEGIN

/// y = weight ∗ x + bias; see ConvArgs.
template <class T> void conv_forward(Cuda, const ConvArgs<T>& a) {
  detail::conv_forward_by_columns(Cuda{}, a);
}
/// x = the transpose of that product applied to y, + bias; see ConvArgs.
template <class T> void conv_backward_input(Cuda, const ConvArgs<T>& a) {
  detail::conv_backward_input_by_columns(Cuda{}, a);
}
/// weight = [weight +] its gradient for y; see ConvArgs.
template <class T> void conv_backward_weight(Cuda, const ConvArgs<T>& a) {
  detail::conv_backward_weight_by_columns(Cuda{}, a);
}

HLIP_END
