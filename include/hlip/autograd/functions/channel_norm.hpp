// Normalisation of pictures and volumes channel by channel: batch_norm, group_norm, instance_norm.
// Sources: Ioffe and Szegedy, "Batch Normalization", 2015; Wu and He, "Group Normalization", 2018.
#pragma once

#include <hlip/autograd/functions/shape.hpp>
#include <hlip/autograd/var.hpp>
#include <hlip/ops/channels.hpp>
#include <hlip/tensor/check.hpp>

HLIP_BEGIN

namespace detail {

/// (C) so that it broadcasts along the channels of (N, C, elements).
template <class T, class B> Tensor<T, B> by_channel(const Tensor<T, B>& v) {
  return v.reshape({1, v.numel(), 1});
}

/// What a normalisation divides by, and takes off before: of every channel.
template <class T, class B> struct ChannelMoments {
  Tensor<T, B> mean, var;  ///< (C); the variance of all elements, not of a sample

  static ChannelMoments of(const Tensor<T, B>& x) {  // (N, C, elements)
    const double share = 1.0 / static_cast<double>(x.dim(0) * x.dim(2));
    const Tensor<T, B> mean = channel_sums(x) * share;
    const Tensor<T, B> centred = x - by_channel(mean);
    return {mean, channel_sums(Tensor<T, B>(square(centred))) * share};
  }
  Tensor<T, B> rstd(double eps) const { return Tensor<T, B>(1.0 / sqrt(var + eps)); }
};

/// What comes after a normalisation, in one pass with it.
enum class AfterNorm { nothing, relu };

/// (x − mean)·rstd·weight + bias of every channel of x (N, C, elements); weight and bias (C) or
/// both empty. The moments are those of x, and gradients go through them. Computed in the type of
/// the moments; keeps x alone, from which the way back computes anew where relu let through.
template <class C, class T, class B>
Var<T, B> channel_norm(std::string_view op, const Var<T, B>& x, const Var<T, B>& weight,
                       const Var<T, B>& bias, const ChannelMoments<C, B>& moments, double eps,
                       AfterNorm after = AfterNorm::nothing) {
  const Tensor<C, B> in = stored_as<C>(x.value()), mean = by_channel(moments.mean),
                     rstd = by_channel(moments.rstd(eps));
  const bool affine = weight.numel() > 0, positive = after == AfterNorm::relu;
  const Tensor<C, B> w = affine ? by_channel(stored_as<C>(weight.value()))
                                : Tensor<C, B>::ones({1, 1, 1}),
                     b = affine ? by_channel(stored_as<C>(bias.value()))
                                : Tensor<C, B>::zeros({1, 1, 1});
  const Tensor<C, B> y = positive ? Tensor<C, B>(relu((in - mean) * (rstd * w) + b))
                                  : Tensor<C, B>((in - mean) * (rstd * w) + b);
  const auto pull = [=](const Tensor<T, B>& given, InputGrads<T, B>& grads) {
    Tensor<C, B> dy = stored_as<C>(given);
    if (positive) dy = Tensor<C, B>(where((in - mean) * (rstd * w) + b > 0, dy, 0));
    const Tensor<C, B> sums = channel_sums(dy),
                       along = channel_sums(Tensor<C, B>(dy * ((in - mean) * rstd)));
    grads.add(2, stored_as<T>(sums));
    grads.add(1, stored_as<T>(along));
    if (!grads.wants(0)) return;
    const double share = 1.0 / static_cast<double>(in.dim(0) * in.dim(2));
    const Tensor<C, B> shift = by_channel(sums) * share, slope = by_channel(along) * share * rstd;
    grads.add(0, stored_as<T>(Tensor<C, B>((dy - shift - (in - mean) * slope) * (rstd * w))));
  };
  return record(op, stored_as<T>(y), {x, weight, bias}, pull);
}

/// One value a channel, times and plus x.
template <class T, class B>
Var<T, B> scale_channels(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias) {
  if (weight.numel() == 0) return x;
  Shape shape = Shape::filled(x.rank(), 1);
  shape[1] = x.dim(1);
  return x * reshape(weight, shape) + reshape(bias, shape);
}

template <class T, class B>
void expect_channels(std::string_view op, const Var<T, B>& x, const Var<T, B>& weight,
                     const Var<T, B>& bias) {
  expect(x.rank() >= 2, located(op), "x is {}, expected (N, C, …)", to_string(x.shape()));
  if (weight.numel() + bias.numel() == 0) return;
  expect_shape(op, "weight", weight.shape(), {{"C", x.dim(1)}});
  expect_shape(op, "bias", bias.shape(), {{"C", x.dim(1)}});
}

/// Groups of channels as channels of one picture, normalised.
template <class T, class B>
Var<T, B> group_norm(std::string_view op, const Var<T, B>& x, index_t groups,
                     const Var<T, B>& weight, const Var<T, B>& bias, double eps) {
  expect_channels(op, x, weight, bias);
  expect(groups > 0 && x.dim(1) % groups == 0, located(op),
         "x is {}, its channels are no multiple of {} groups", to_string(x.shape()), groups);
  const index_t rows = x.dim(0) * groups, each = rows > 0 ? x.numel() / rows : 0;
  expect(each > 0, located(op), "x is {}, a group holds no elements", to_string(x.shape()));
  const Var<T, B> flat = reshape(x, {1, rows, each});
  const Var<T, B> y = channel_norm(op, flat, {}, {}, ChannelMoments<T, B>::of(flat.value()), eps);
  return scale_channels(reshape(y, x.shape()), weight, bias);
}

}  // namespace detail

/// Statistics that a batch norm keeps, and how it goes on with them.
template <class T, class B> struct RunningMoments {
  Var<T, B> mean, var;    ///< (C), changed in training
  double momentum = 0.1;  ///< running = (1 − momentum)·running + momentum·batch
};

namespace detail {

/// Normalises with the moments of the batch, taken in C, and moves the running ones.
template <class C, class T, class B>
Var<T, B> batch_norm_in(std::string_view op, const Var<T, B>& x, const Var<T, B>& weight,
                        const Var<T, B>& bias, const RunningMoments<T, B>& running, double eps,
                        AfterNorm after) {
  const Var<T, B> flat = reshape(x, as_channels(x.value()).shape());
  const auto moments = ChannelMoments<C, B>::of(stored_as<C>(flat.value()));
  const double each = static_cast<double>(x.numel() / x.dim(1)), m = running.momentum;
  running.mean.value().assign(running.mean.value() * (1 - m) + stored_as<T>(moments.mean) * m);
  running.var.value().assign(running.var.value() * (1 - m) +
                             stored_as<T>(moments.var) * (m * each / (each - 1)));
  return reshape(channel_norm(op, flat, weight, bias, moments, eps, after), x.shape());
}

/// batch_norm, and what comes after it.
template <class T, class B>
Var<T, B> batch_norm_then(std::string_view op, const Var<T, B>& x, const Var<T, B>& weight,
                          const Var<T, B>& bias, const RunningMoments<T, B>& running, bool training,
                          double eps, AfterNorm after) {
  expect_channels(op, x, weight, bias);
  const index_t channels = x.dim(1), each = channels > 0 ? x.numel() / channels : 0;
  expect_shape(op, "running mean", running.mean.shape(), {{"C", channels}});
  expect_shape(op, "running variance", running.var.shape(), {{"C", channels}});
  if (!training) {
    const Tensor<T, B> rstd = ChannelMoments<T, B>{{}, running.var.value()}.rstd(eps);
    const Var<T, B> scale(rstd), shift(Tensor<T, B>(-(running.mean.value() * rstd)));
    const Var<T, B> y = scale_channels(scale_channels(x, scale, shift), weight, bias);
    return after == AfterNorm::relu ? Var<T, B>(relu(y)) : y;
  }
  expect(each > 1, located(op), "x is {}: one element a channel has no variance",
         to_string(x.shape()));
  // Gradients are what a mean and a slope leave: of two values next to nothing, which float32 loses
  constexpr index_t few = 8;
  if (each <= few) return batch_norm_in<double>(op, x, weight, bias, running, eps, after);
  return batch_norm_in<T>(op, x, weight, bias, running, eps, after);
}

}  // namespace detail

/// (x − mean) / √(var + eps) · weight + bias of every channel, as torch.nn.functional.batch_norm.
/// In training the moments are those of the batch, and the running ones move towards them (the
/// variance as that of a sample); otherwise they are the running ones, and constant.
/// @param x (N, C, …)  @param weight, bias (C), or both empty
/// @throws hlip::error for shapes that do not fit, and in training for one element a channel
template <class T, class B>
Var<T, B> batch_norm(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias,
                     const RunningMoments<T, B>& running, bool training, double eps = 1e-5) {
  return detail::batch_norm_then("batch_norm", x, weight, bias, running, training, eps,
                                 detail::AfterNorm::nothing);
}
/// relu(batch_norm(…)); in training in one pass each way, and only x is kept for the way back.
template <class T, class B>
Var<T, B> batch_norm_relu(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias,
                          const RunningMoments<T, B>& running, bool training, double eps = 1e-5) {
  return detail::batch_norm_then("batch_norm_relu", x, weight, bias, running, training, eps,
                                 detail::AfterNorm::relu);
}

/// Groups of neighbouring channels of a picture are normalised together, as
/// torch.nn.functional.group_norm. @param x (N, C, …)  @param weight, bias (C), or both empty
template <class T, class B>
Var<T, B> group_norm(const Var<T, B>& x, index_t groups, const Var<T, B>& weight = {},
                     const Var<T, B>& bias = {}, double eps = 1e-5) {
  return detail::group_norm("group_norm", x, groups, weight, bias, eps);
}
/// Every channel of every picture by itself, as torch.nn.functional.instance_norm.
template <class T, class B>
Var<T, B> instance_norm(const Var<T, B>& x, const Var<T, B>& weight = {},
                        const Var<T, B>& bias = {}, double eps = 1e-5) {
  expect(x.rank() >= 2, located("instance_norm"), "x is {}, expected (N, C, …)",
         to_string(x.shape()));
  return detail::group_norm("instance_norm", x, x.dim(1), weight, bias, eps);
}

HLIP_END
