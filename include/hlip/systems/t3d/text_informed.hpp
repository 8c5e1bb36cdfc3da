// T3D's objective: two sub-volumes of a study are recognised as a pair, and restored after they
// were corrupted, both with the report as a condition of what is seen. Nowhere is a volume aligned
// with its text.
// Source: reference document T3D §3 to §5.
#pragma once

#include <hlip/losses/restoration.hpp>
#include <hlip/losses/view_contrast.hpp>
#include <hlip/systems/t3d/model.hpp>
#include <hlip/train/accumulation.hpp>
#include <hlip/train/averaged_weights.hpp>
#include <hlip/train/objective.hpp>
#include <hlip/train/running_moments.hpp>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Sub-volumes a and b of N studies, as they are and corrupted: (N, in_chans, D, H, W) each.
template <class T, class B> struct SubVolumePairs {
  Tensor<T, B> view_a, view_b, corrupt_a, corrupt_b;
  Tensor<std::uint8_t, B> changed_a, changed_b;  ///< voxels that corruption changed; or empty
  Tensor<std::int64_t, B> ids;                   ///< (N, L) tokens of the reports, 0 is padding
  /// (N): equal for rows that are not to be held against each other
  Tensor<std::int64_t, B> studies;
};

struct TextInformedSettings {
  ViewContrast contrast = ViewContrast::cross;
  double contrast_weight = 1, restoration_weight = 1;  ///< 0: the task is left out
  RestorationLoss restoration = RestorationLoss::l1;
  bool only_changed = false;  ///< restoration counts the voxels that corruption changed
  double text_dropout = 0.1;  ///< share of studies whose report is not there in a step
  double weight_decay = 0.01;
  double ema_decay = 0;  ///< of a moving average of the weights, 0: none
};

/// Embeddings of one batch (or micro-batch, or all of them), each (N, E) of length 1.
template <class T, class B> struct ViewFeatures : ViewEmbeddings<T, B> {
  /// What accumulate_gradients puts together from all micro-batches.
  std::vector<Var<T, B>*> rows() {
    return {&this->visual_a, &this->visual_b, &this->informed_a, &this->informed_b};
  }
};

/// The objective. Both tasks have a graph of their own, which is gone before the next one: of four
/// passes through the encoder two are kept at most.
/// @tparam Visual see TextInformedModel
template <class Visual, class T = float, class B = Cpu, Communicator C = SingleProcess>
class TextInformedObjective {
 public:
  using value_type = T;
  using backend = B;
  using Model = TextInformedModel<Visual, T, B>;
  using Batch = SubVolumePairs<T, B>;

  /// @param model must outlive the objective
  /// @throws hlip::error when neither task has a weight
  TextInformedObjective(Model& model, const TextInformedSettings& settings,
                        const C& communicator = {})
      : model_(model),
        settings_(settings),
        communicator_(communicator),
        averages_(model, settings.ema_decay),
        moments_(running_moments(model)) {
    each_parameter(model.text, [this](const std::string&, auto& p) {
      text_trains_ = text_trains_ || p.requires_grad();
    });
    expect(settings.contrast_weight > 0 || settings.restoration_weight > 0, "text_informed",
           "contrast_weight {} and restoration_weight {}, expected one above 0",
           settings.contrast_weight, settings.restoration_weight);
  }

  Model& model() { return model_; }
  AveragedWeights<Model>& averages() { return averages_; }

  /// All that is trained decays.
  std::vector<OptimizedParameter<T, B>> parameter_groups() {
    auto list = optimized_parameters(named_parameters(model_), settings_.weight_decay);
    for (auto& p : list) p.weight_decay = settings_.weight_decay;
    return list;
  }

  StepScalars<T, B> backward(const std::vector<Batch>& parts, const StepContext& at) {
    const auto n = static_cast<index_t>(parts.size());
    check(parts);
    const Tensor<T, B> zero = Tensor<T, B>::zeros(Shape{});
    Tensor<T, B> scale = zero, accuracy = zero, restored = zero;
    std::vector<Tensor<std::int64_t, B>> studies;
    for (const Batch& part : parts) studies.push_back(part.studies);
    const Tensor<std::int64_t, B> all_studies = n == 1 ? studies[0] : concat(studies, 0);
    const auto number = [](index_t j) { return static_cast<std::uint32_t>(j); };
    Reports now;  // of the micro-batch whose turn it is

    const auto encode = [&](index_t j, AccumulationPass pass) {
      const Context context = n == 1 ? at.context : at.context.child(number(j));
      const Batch& part = parts[static_cast<std::size_t>(j)];
      now = reports_of(part, context);
      if (pass == AccumulationPass::gradient) return features_of(part, now, context);
      const MomentsOfStep<T, B> still(moments_);  // the pass with a graph moves them
      return features_of(part, now, context);
    };
    const auto loss = [&](const ViewFeatures<T, B>& all) {
      const Var<T, B> s = exp(model_.log_scale);
      scale = s.value();
      accuracy = pair_accuracy(all.informed_a.value(), all.visual_b.value());
      return Var<T, B>(view_contrast_loss(all, settings_.contrast, s, all_studies, communicator_) *
                       settings_.contrast_weight);
    };
    const auto restore = [&](index_t j) {
      const Context context = n == 1 ? at.context : at.context.child(number(j));
      const Batch& part = parts[static_cast<std::size_t>(j)];
      if (settings_.contrast_weight == 0) now = reports_of(part, context);
      if (settings_.restoration_weight > 0) {
        const Tensor<T, B> of_part = restoration_backward(part, now, context,
                                                          1.0 / static_cast<double>(n));
        restored = Tensor<T, B>(restored + of_part);
      }
      now.backward();
    };

    Tensor<T, B> contrast = zero;
    if (settings_.contrast_weight > 0) {
      const Tensor<T, B> first = accumulate_gradients(n, encode, loss, restore).front();
      contrast = Tensor<T, B>(first.reshape(Shape{}) * (1 / settings_.contrast_weight));
      // The scale got the gradient of the whole loss in every pass, the towers only once.
      if (n > 1 && model_.log_scale.has_grad())
        model_.log_scale.grad().assign(model_.log_scale.grad() * (1.0 / static_cast<double>(n)));
    } else {
      for (index_t j = 0; j < n; ++j) restore(j);
    }
    const Tensor<T, B> total = contrast * settings_.contrast_weight +
                               restored * settings_.restoration_weight;
    return {{"loss", total},
            {"contrast", contrast},
            {"restoration", restored},
            {"logit_scale", scale},
            {"pair_accuracy", accuracy}};
  }

  /// Keeps the scale within [1, 100].
  void after_step(const StepContext&) {
    if (model_.log_scale.requires_grad()) {
      const Tensor<T, B> s = model_.log_scale.value();
      s.assign(clamp(s, 0.0, std::log(100.0)));
    }
    averages_.update();
  }

  template <class Visit> void each_state(Visit&& visit) { averages_.each_state(visit); }

 private:
  /// The tokens of a batch of reports. The tasks take them from `leaf`, so that the text tower's
  /// graph is walked once, when all of them are done.
  struct Reports {
    Var<T, B> tokens, leaf;
    Tensor<std::uint8_t, B> mask;  ///< (N, L); without the reports that were dropped

    void backward() const {
      if (tokens.requires_grad() && leaf.has_grad()) tokens.backward(leaf.grad());
    }
  };

  void check(const std::vector<Batch>& parts) const {
    for (const Batch& b : parts) {
      const index_t n = b.view_a.dim(0);
      for (const auto* x : {&b.view_b, &b.corrupt_a, &b.corrupt_b})
        expect(x->shape() == b.view_a.shape(), "text_informed",
               "a sub-volume batch of {} beside one of {}", to_string(x->shape()),
               to_string(b.view_a.shape()));
      expect_shape("text_informed", "ids", b.ids.shape(), {{"N", n}, {"L"}});
      expect_shape("text_informed", "studies", b.studies.shape(), {{"N", n}});
    }
  }

  Reports reports_of(const Batch& part, const Context& context) const {
    Reports r;
    // a tower that is not trained is not disturbed either
    r.tokens = model_.text(part.ids, text_trains_ ? context.child(0) : Context{});
    r.leaf = Var<T, B>(r.tokens.value(), r.tokens.requires_grad());
    r.mask = Bert<T, B>::padding_mask(part.ids);
    if (!context.training || settings_.text_dropout == 0) return r;
    const RandomKey key = context.child(1).key;
    std::vector<std::uint8_t> kept;
    for (index_t i = 0; i < part.ids.dim(0); ++i)
      kept.push_back(uniform_at(key, static_cast<std::uint64_t>(i)) >= settings_.text_dropout);
    const auto rows = Tensor<std::uint8_t, B>::from_values({part.ids.dim(0), 1},
                                                           std::span<const std::uint8_t>(kept));
    r.mask = where(rows != 0, r.mask, 0);
    return r;
  }

  /// Embeddings of both views, without and with their reports.
  ViewFeatures<T, B> features_of(const Batch& part, const Reports& reports,
                                 const Context& context) const {
    ViewFeatures<T, B> f;
    const auto view = [&](const Tensor<T, B>& x, std::uint32_t child, Var<T, B>& visual,
                          Var<T, B>& informed) {
      const Var<T, B> tokens = Model::tokens_of(
          model_.visual(Var<T, B>(x), context.child(child)).back());
      visual = model_.embed(tokens);
      informed = model_.embed(model_.fusion(tokens, reports.leaf, reports.mask));
    };
    view(part.view_a, 2, f.visual_a, f.informed_a);
    view(part.view_b, 3, f.visual_b, f.informed_b);
    return f;
  }

  /// The mean loss of both restored views, and its gradients. @param share of the batch in the step
  Tensor<T, B> restoration_backward(const Batch& part, const Reports& reports,
                                    const Context& context, double share) {
    Tensor<T, B> total = Tensor<T, B>::zeros(Shape{});
    const auto view = [&](const Tensor<T, B>& corrupt, const Tensor<T, B>& clean,
                          const Tensor<std::uint8_t, B>& changed, std::uint32_t child) {
      const Var<T, B> restored = model_.restore(Var<T, B>(corrupt), reports.leaf, reports.mask,
                                                context.child(child));
      const Var<T, B> loss = restoration_loss(
          restored, clean, settings_.restoration,
          settings_.only_changed ? changed : Tensor<std::uint8_t, B>());
      const Var<T, B> counted = loss * (0.5 * share * settings_.restoration_weight);
      counted.backward();
      total = Tensor<T, B>(total + loss.value().reshape(Shape{}) * (0.5 * share));
    };
    view(part.corrupt_a, part.view_a, part.changed_a, 4);
    view(part.corrupt_b, part.view_b, part.changed_b, 5);
    return total;
  }

  Model& model_;
  TextInformedSettings settings_;
  C communicator_;
  AveragedWeights<Model> averages_;
  std::vector<Tensor<T, B>> moments_;
  bool text_trains_ = false;
};

HLIP_END
