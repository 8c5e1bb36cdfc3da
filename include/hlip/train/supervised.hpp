// The objective of everything with labels: a model and a loss of a batch.
#pragma once

#include <hlip/train/averaged_weights.hpp>
#include <hlip/train/objective.hpp>

#include <utility>
#include <vector>

HLIP_BEGIN

struct SupervisedSettings {
  double weight_decay = 0.05;  ///< of matrices; biases and norms do not decay, see decays()
  double ema_decay = 0;        ///< of a moving average of the weights, 0: none
  bool decay_all = false;      ///< biases and norms decay, too
};

/// Lowers loss(batch, Context) -> Var of one element, a mean over the batch. Batches that share a
/// step count alike.
template <class Model, class Loss> class Supervised {
 public:
  using value_type = typename Model::value_type;
  using backend = typename Model::backend;

  /// @param model must outlive the objective; what of it requires a gradient is trained
  Supervised(Model& model, const SupervisedSettings& settings, Loss loss)
      : model_(model),
        settings_(settings),
        loss_(std::move(loss)),
        averages_(model, settings.ema_decay) {}

  Model& model() { return model_; }
  AveragedWeights<Model>& averages() { return averages_; }

  std::vector<OptimizedParameter<value_type, backend>> parameter_groups() {
    auto all = optimized_parameters(named_parameters(model_), settings_.weight_decay);
    for (auto& p : all)
      if (settings_.decay_all) p.weight_decay = settings_.weight_decay;
    return all;
  }

  template <class Batch>
  requires requires(Loss& loss, const Batch& batch, const Context& context) {
    loss(batch, context);
  }
  StepScalars<value_type, backend> backward(const std::vector<Batch>& parts,
                                            const StepContext& at) {
    const double share = 1.0 / static_cast<double>(parts.size());
    Tensor<value_type, backend> mean;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Var<value_type, backend> part = loss_(
          parts[i],
          parts.size() == 1 ? at.context : at.context.child(static_cast<std::uint32_t>(i)));
      const Var<value_type, backend> counted = part * share;
      counted.backward();
      mean = i == 0 ? counted.value() : Tensor<value_type, backend>(mean + counted.value());
    }
    return {{"loss", mean}};
  }

  void after_step(const StepContext&) { averages_.update(); }

  template <class Visit> void each_state(Visit&& visit) { averages_.each_state(visit); }

 private:
  Model& model_;
  SupervisedSettings settings_;
  Loss loss_;
  AveragedWeights<Model> averages_;
};

HLIP_END
