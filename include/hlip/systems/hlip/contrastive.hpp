// HLIP's objective: images and texts of one study are to be alike, those of different studies are
// not. Source: reference document HLIP §4 and §5; Radford et al. 2021 (CLIP); Zhai et al. 2023
// (SigLIP).
#pragma once

#include <hlip/losses/contrastive.hpp>
#include <hlip/models/clip.hpp>
#include <hlip/train/accumulation.hpp>
#include <hlip/train/averaged_weights.hpp>
#include <hlip/train/objective.hpp>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What the scale of the logits and the bias of SigLIP get when several batches share a step: each
/// batch passes the whole loss once more.
enum class ScaleGradient {
  once,        ///< the gradient of one large batch
  every_pass,  ///< one for each batch, added up, as the published loop does
};

struct ContrastiveSettings {
  double weight_decay = 0.2;
  double ema_decay = 0;  ///< of a moving average of the weights, 0: none
  bool siglip = false;
  double fixed_scale = 0;  ///< scale of the logits when it is not learned; 0: the model's own
  ScaleGradient scale_gradient = ScaleGradient::once;
  ContrastiveOptions gather;  ///< how several processes share their features
};

/// @tparam Encode called as encode(batch, Context) -> PairFeatures<T, B>
template <class Encode, int Levels = 3, class T = float, class B = Cpu,
          Communicator C = SingleProcess>
class ContrastiveObjective {
 public:
  using value_type = T;
  using backend = B;

  /// @param model must outlive the objective
  ContrastiveObjective(Clip<Levels, T, B>& model, const ContrastiveSettings& settings,
                       Encode encode, const C& communicator = {})
      : model_(model),
        settings_(settings),
        encode_(std::move(encode)),
        communicator_(communicator),
        averages_(model, settings.ema_decay) {}

  Clip<Levels, T, B>& model() { return model_; }
  AveragedWeights<Clip<Levels, T, B>>& averages() { return averages_; }
  /// The loss of every pass of the last step, when several batches shared it.
  const std::vector<Tensor<T, B>>& losses_of_passes() const { return losses_; }

  std::vector<OptimizedParameter<T, B>> parameter_groups() {
    return optimized_parameters(named_parameters(model_), settings_.weight_decay);
  }

  template <class Batch>
  requires requires(Encode& e, const Batch& b, const Context& c) { e(b, c); }
  StepScalars<T, B> backward(const std::vector<Batch>& parts, const StepContext& at) {
    const auto n = static_cast<index_t>(parts.size());
    const auto encode = [&](index_t j, AccumulationPass) -> PairFeatures<T, B> {
      return encode_(parts[static_cast<std::size_t>(j)],
                     n == 1 ? at.context : at.context.child(static_cast<std::uint32_t>(j)));
    };
    Tensor<T, B> scale_used;
    auto losses = accumulate_gradients(n, encode, [&](const PairFeatures<T, B>& pairs) {
      const Var<T, B> scale = settings_.fixed_scale > 0
                                  ? Var<T, B>(
                                        Tensor<T, B>::scalar(static_cast<T>(settings_.fixed_scale)))
                                  : Var<T, B>(exp(model_.logit_scale));
      scale_used = scale.value();
      return mean_over_targets(pairs.image, pairs.text, pairs.targets,
                               [&](const Var<T, B>& image, const Var<T, B>& text) {
                                 return settings_.siglip
                                            ? siglip_loss(image, text, scale, model_.logit_bias,
                                                          communicator_)
                                            : clip_loss(image, text, scale, Var<T, B>(),
                                                        communicator_, settings_.gather);
                               });
    });
    // Scale and bias got the gradient of the whole loss in every pass, the towers only once.
    if (n > 1 && settings_.scale_gradient == ScaleGradient::once)
      // (pointers: nvcc 13 mistakes the braces of a Var<T, B>)
      for (const auto* s : {&model_.logit_scale, &model_.logit_bias})
        if (s->has_grad()) s->grad().assign(s->grad() * (1.0 / static_cast<double>(n)));
    StepScalars<T, B> scalars{{"loss", losses.front()}, {"logit_scale", scale_used}};
    if (n > 1) losses_ = std::move(losses);
    return scalars;
  }

  /// Keeps the scale within [1, 100].
  void after_step(const StepContext&) {
    if (model_.logit_scale.requires_grad()) {
      const Tensor<T, B> s = model_.logit_scale.value();
      s.assign(clamp(s, 0.0, std::log(100.0)));
    }
    averages_.update();
  }

  template <class Visit> void each_state(Visit&& visit) { averages_.each_state(visit); }

 private:
  Clip<Levels, T, B>& model_;
  ContrastiveSettings settings_;
  Encode encode_;
  C communicator_;
  AveragedWeights<Clip<Levels, T, B>> averages_;
  std::vector<Tensor<T, B>> losses_;
};

HLIP_END
