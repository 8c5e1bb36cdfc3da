// AdamW: decoupled weight decay, bias-corrected moments. Source: Loshchilov and Hutter 2019;
// reference document HLIP §5.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/optim/parameters.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What stays the same from step to step; the learning rate is given to `step`.
struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.98, eps = 1e-6;
};

/// What changes from step to step.
struct AdamWStep {
  double lr = 0;
  double weight_decay_factor = 1;
  /// of the gradients, for each clip group: the last holds for all groups behind it
  std::vector<double> grad_scales = {1.0};
  /// factors of the learning rate by name, for parameters with an lr_schedule
  std::vector<std::pair<std::string, double>> lr_factors = {};
};

template <class T = float, class B = Cpu> class AdamW {
 public:
  AdamW() = default;
  AdamW(std::vector<OptimizedParameter<T, B>> parameters, const AdamWOptions& options)
      : options_(options), parameters_(std::move(parameters)) {
    const MemoryScope scope(MemoryCategory::optimizer);
    for (const auto& p : parameters_) {
      exp_avg_.push_back(Tensor<T, B>::zeros(p.var.shape()));
      exp_avg_sq_.push_back(Tensor<T, B>::zeros(p.var.shape()));
    }
  }

  /// One step with this learning rate; gradients are multiplied by `grad_scale` first. Parameters
  /// without gradient stay.
  void step(double lr, double grad_scale = 1.0) { step(AdamWStep{lr, 1.0, {grad_scale}, {}}); }
  void step(const AdamWStep& s) {
    expect(!s.grad_scales.empty(), "adamw",
           "grad_scales is empty, expected one for each clip group");
    ++steps_;
    // Parameters that share learning rate and gradient scale are one call.
    struct Alike {
      double lr, grad_scale;
      std::vector<AdamWParameter<T>> moved;
    };
    std::vector<Alike> calls;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const auto& p = parameters_[i];
      if (!p.var.has_grad()) continue;
      expect(p.var.value().is_contiguous() && p.var.grad().is_contiguous(), "adamw",
             "parameter {} or its gradient is not contiguous", p.name);
      const double rate = s.lr * p.lr_factor * scheduled_factor(s, p),
                   scale = s.grad_scales[std::min(p.clip_group, s.grad_scales.size() - 1)];
      auto call = std::find_if(calls.begin(), calls.end(), [&](const Alike& c) {
        return c.lr == rate && c.grad_scale == scale;
      });
      if (call == calls.end()) call = calls.insert(calls.end(), Alike{rate, scale, {}});
      call->moved.push_back({p.var.numel(), p.var.value().data(), p.var.grad().data(),
                             exp_avg_[i].data(), exp_avg_sq_[i].data(),
                             p.weight_decay * s.weight_decay_factor});
    }
    for (const Alike& c : calls)
      adamw_update(B{}, AdamWArgs<T>{c.moved, c.lr, options_.beta1, options_.beta2, options_.eps,
                                     c.grad_scale, steps_});
  }
  void zero_grad() {
    for (auto& p : parameters_) p.var.zero_grad();
  }

  const std::vector<OptimizedParameter<T, B>>& parameters() const { return parameters_; }
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  /// Calls fn(name, tensor) for the moments of every parameter: exp_avg.NAME and exp_avg_sq.NAME.
  template <class Fn> void each_state(Fn&& fn) const {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      fn("exp_avg." + parameters_[i].name, exp_avg_[i]);
      fn("exp_avg_sq." + parameters_[i].name, exp_avg_sq_[i]);
    }
  }

 private:
  static double scheduled_factor(const AdamWStep& s, const OptimizedParameter<T, B>& p) {
    if (p.lr_schedule.empty()) return 1;
    for (const auto& [name, value] : s.lr_factors)
      if (name == p.lr_schedule) return value;
    fail("adamw", "there is no schedule named {} for parameter {}", p.lr_schedule, p.name);
  }

  AdamWOptions options_;
  std::vector<OptimizedParameter<T, B>> parameters_;
  std::vector<Tensor<T, B>> exp_avg_, exp_avg_sq_;
  std::int64_t steps_ = 0;
};

HLIP_END
