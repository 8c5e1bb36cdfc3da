// A moving average of a model's weights beside them, as objectives keep one: for evaluations, and
// as what a run leaves.
#pragma once

#include <hlip/nn/module.hpp>
#include <hlip/optim/ema.hpp>

#include <optional>
#include <string>

HLIP_BEGIN

/// Averages of the parameters that train, or nothing: then all that is asked of it does nothing.
template <class Model> class AveragedWeights {
 public:
  /// @param decay of the average, 0: there is none  @param model must outlive this
  AveragedWeights(Model& model, double decay) : model_(model) {
    if (decay > 0) averages_.emplace(trained(), decay);
  }
  explicit operator bool() const { return averages_.has_value(); }
  void update() {
    if (averages_) averages_->update();
  }
  /// Calls fn() while the model has the averaged weights.
  template <class Fn> auto with(Fn fn) {
    struct Swapped {
      AveragedWeights& a;
      explicit Swapped(AveragedWeights& of) : a(of) { a.swap(); }
      ~Swapped() { a.swap(); }
    } swapped(*this);
    return fn();
  }
  /// Leaves the averaged weights in the model: the end of training.
  void take() {
    swap();
    averages_.reset();
  }
  /// Shows every weight of the averaged model as of model_ema.safetensors; what does not train is
  /// the model's own.
  template <class Visit> void each_state(Visit&& visit) {
    if (!averages_) return;
    std::size_t next = 0;
    for (const auto& [name, var] : named_parameters(model_)) {
      const bool averaged = next < averages_->names().size() && averages_->names()[next] == name;
      visit("model_ema.safetensors", name, averaged ? averages_->averages()[next] : var->value());
      next += averaged;
    }
  }

 private:
  auto trained() {
    auto named = named_parameters(model_);
    std::erase_if(named, [](const auto& p) { return !p.second->requires_grad(); });
    return named;
  }
  void swap() {
    if (averages_) averages_->swap_with_parameters();
  }

  Model& model_;
  std::optional<Ema<typename Model::value_type, typename Model::backend>> averages_;
};

HLIP_END
