// Normalisations of channels with their parameters: BatchNorm, GroupNorm, InstanceNorm.
#pragma once

#include <hlip/autograd/functions/channel_norm.hpp>
#include <hlip/nn/init.hpp>
#include <hlip/nn/module.hpp>

HLIP_BEGIN

/// torch.nn.BatchNorm2d and BatchNorm3d. Copies share the running moments, as they do parameters.
template <class T = float, class B = Cpu> struct BatchNorm {
  using value_type = T;
  using backend = B;
  Var<T, B> weight, bias;               ///< (C)
  Var<T, B> running_mean, running_var;  ///< (C), not trained
  double eps = 1e-5, momentum = 0.1;

  BatchNorm() = default;
  explicit BatchNorm(index_t channels)
      : weight(Initializer::constant<T, B>({channels}, 1)),
        bias(Initializer::constant<T, B>({channels}, 0)),
        running_mean(Tensor<T, B>::zeros({channels})),
        running_var(Tensor<T, B>::ones({channels})) {}
  template <class V> void visit(V&& v) {
    v("weight", weight);
    v("bias", bias);
    v("running_mean", running_mean);
    v("running_var", running_var);
  }
  /// @param x (N, C, …)  @param context whether it is training: then the running moments move
  Var<T, B> operator()(const Var<T, B>& x, const Context& context = {}) const {
    return batch_norm(x, weight, bias, moments(), context.training, eps);
  }
  /// The same and ReLU, see batch_norm_relu.
  Var<T, B> then_relu(const Var<T, B>& x, const Context& context = {}) const {
    return batch_norm_relu(x, weight, bias, moments(), context.training, eps);
  }
  RunningMoments<T, B> moments() const { return {running_mean, running_var, momentum}; }
};

/// torch.nn.GroupNorm
template <class T = float, class B = Cpu> struct GroupNorm {
  using value_type = T;
  using backend = B;
  Var<T, B> weight, bias;  ///< (C)
  index_t groups = 1;
  double eps = 1e-5;

  GroupNorm() = default;
  GroupNorm(index_t number, index_t channels)
      : weight(Initializer::constant<T, B>({channels}, 1)),
        bias(Initializer::constant<T, B>({channels}, 0)),
        groups(number) {}
  template <class V> void visit(V&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  Var<T, B> operator()(const Var<T, B>& x) const {
    return group_norm(x, groups, weight, bias, eps);
  }
};

/// torch.nn.InstanceNorm2d and InstanceNorm3d with affine = true.
template <class T = float, class B = Cpu> struct InstanceNorm {
  using value_type = T;
  using backend = B;
  Var<T, B> weight, bias;  ///< (C)
  double eps = 1e-5;

  InstanceNorm() = default;
  explicit InstanceNorm(index_t channels)
      : weight(Initializer::constant<T, B>({channels}, 1)),
        bias(Initializer::constant<T, B>({channels}, 0)) {}
  template <class V> void visit(V&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  Var<T, B> operator()(const Var<T, B>& x) const { return instance_norm(x, weight, bias, eps); }
};

HLIP_END
