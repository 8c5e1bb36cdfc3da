// Stochastic gradient descent with momentum; weight decay is added to the gradient, as
// torch.optim.SGD does.
#pragma once

#include <hlip/ops/elementwise.hpp>
#include <hlip/optim/parameters.hpp>

HLIP_BEGIN

struct SgdOptions {
  double momentum = 0.9;
  bool nesterov = false;
};

template <class T = float, class B = Cpu> class Sgd {
 public:
  Sgd(std::vector<OptimizedParameter<T, B>> parameters, const SgdOptions& options)
      : options_(options), parameters_(std::move(parameters)), velocity_(parameters_.size()) {}

  void step(double lr, double grad_scale = 1.0) {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const auto& p = parameters_[i];
      if (!p.var.has_grad()) continue;
      const Tensor<T, B> w = p.var.value();
      Tensor<T, B> update = p.var.grad() * grad_scale + w * p.weight_decay;
      if (options_.momentum != 0) {
        Tensor<T, B>& v = velocity_[i];
        v = v.numel() == 0 ? update : Tensor<T, B>(v * options_.momentum + update);
        recategorise<B>(v.storage(), MemoryCategory::optimizer);
        update = options_.nesterov ? Tensor<T, B>(update + v * options_.momentum) : v;
      }
      w.assign(w - update * (lr * p.lr_factor));
    }
  }
  void zero_grad() {
    for (auto& p : parameters_) p.var.zero_grad();
  }

 private:
  SgdOptions options_;
  std::vector<OptimizedParameter<T, B>> parameters_;
  std::vector<Tensor<T, B>> velocity_;
};

HLIP_END
