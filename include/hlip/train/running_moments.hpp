// What a step changes before it is one: batch norms move their running moments in the forward pass.
#pragma once

#include <hlip/nn/module.hpp>

#include <string_view>
#include <vector>

HLIP_BEGIN

/// The running moments of a model's batch norms, by the names of torch.nn.BatchNorm2d.
template <class M> auto running_moments(M& model) {
  std::vector<Tensor<typename M::value_type, typename M::backend>> moments;
  for (const auto& [name, p] : named_parameters(model))
    for (const std::string_view own : {"running_mean", "running_var"})
      if (name == own || std::string_view(name).ends_with("." + std::string(own)))
        moments.push_back(p->value());
  return moments;
}

/// Puts running moments back at the end of its scope, unless the step that moved them was taken.
template <class T, class B> class MomentsOfStep {
 public:
  /// @param moments see running_moments; must outlive this
  explicit MomentsOfStep(const std::vector<Tensor<T, B>>& moments) : moments_(moments) {
    for (const auto& x : moments) before_.push_back(x.clone());
  }
  ~MomentsOfStep() {
    for (std::size_t i = 0; i < before_.size(); ++i) moments_[i].assign(before_[i]);
  }
  MomentsOfStep(const MomentsOfStep&) = delete;
  MomentsOfStep& operator=(const MomentsOfStep&) = delete;
  /// The step is taken.
  void keep() { before_.clear(); }

 private:
  const std::vector<Tensor<T, B>>& moments_;
  std::vector<Tensor<T, B>> before_;
};

HLIP_END
