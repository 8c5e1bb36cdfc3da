// The objective of a run that keeps its best weights: as supervised, and every so often a loss of
// pictures, texts or whatever that are not learned from.
#pragma once

#include <hlip/train/supervised.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Keeps the weights (buffers too) whose validation loss was lowest, in its checkpoints as well, so
/// that a run that goes on ends with the same ones. The averaged weights are validated and kept
/// where there are any.
/// @tparam Validate called as validate(steps done) -> double, with the model in place
template <class Model, class Loss, class Validate>
class Validated : public Supervised<Model, Loss> {
 public:
  using Base = Supervised<Model, Loss>;
  using typename Base::backend;
  using typename Base::value_type;

  /// @param every steps between validations, 0: only after the last
  Validated(Model& model, const SupervisedSettings& settings, Loss loss, std::int64_t every,
            Validate validate)
      : Base(model, settings, std::move(loss)), every_(every), validate_(std::move(validate)) {
    for (const auto& [name, p] : named_parameters(this->model()))
      best_.push_back(p->value().clone());
    lowest_ = Tensor<value_type, backend>::full(Shape{},
                                                std::numeric_limits<value_type>::infinity());
  }

  void after_step(const StepContext& at) {
    Base::after_step(at);
    const std::int64_t done = at.step + 1;
    if (done == at.steps || (every_ > 0 && done % every_ == 0)) validate(done);
  }

  template <class Visit> void each_state(Visit&& visit) {
    Base::each_state(visit);
    std::size_t i = 0;
    for (const auto& [name, p] : named_parameters(this->model()))
      visit("best.safetensors", name, best_[i++]);
    visit("best.safetensors", "validation_loss", lowest_);
  }
  template <class Visit> void each_count(Visit&& visit) { visit("best_step", step_); }

  double lowest_loss() const { return static_cast<double>(lowest_.item()); }
  /// The step after which the loss was lowest, 0: no validation gave a number.
  std::int64_t best_step() const { return step_; }
  /// Leaves the best weights in the model: the end of training. Where no validation gave a number,
  /// the last weights are validated first, and they stay whatever that gives: a last step that is
  /// not finite changes nothing and is followed by no validation.
  /// @param done steps of the run
  void take_best(std::int64_t done) {
    if (step_ == 0) validate(done);
    this->averages().take();
    std::size_t i = 0;
    for (const auto& [name, p] : named_parameters(this->model())) {
      if (step_ > 0) p->value().assign(best_[i]);
      ++i;
    }
  }

 private:
  void validate(std::int64_t done) {
    this->averages().with([&] {
      const auto loss = static_cast<value_type>(validate_(done));
      if (!(loss < lowest_.item())) return;
      lowest_.fill(loss);
      step_ = done;
      std::size_t i = 0;
      for (const auto& [name, p] : named_parameters(this->model())) best_[i++].assign(p->value());
    });
  }

  std::int64_t every_, step_ = 0;
  Validate validate_;
  std::vector<Tensor<value_type, backend>> best_;
  Tensor<value_type, backend> lowest_;
};

HLIP_END
