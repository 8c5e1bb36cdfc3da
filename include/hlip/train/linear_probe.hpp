// A linear probe: what one linear layer can read off frozen features, trained by the trainer that
// trains everything else.
// Source: Pérez-García et al. 2024 (RAD-DINO), linear evaluation; Oquab et al. 2023 (DINOv2) for
// the first weights.
#pragma once

#include <hlip/data/sampler.hpp>
#include <hlip/losses/binary_cross_entropy.hpp>
#include <hlip/nn/linear.hpp>
#include <hlip/ops/index.hpp>
#include <hlip/train/supervised.hpp>
#include <hlip/train/trainer.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

HLIP_BEGIN

struct LinearProbeOptions {
  /// At the first step; half a cosine to 0, no warm-up. The paper's 5e-5 is for ten thousands of
  /// steps on drawn-anew views; features that stand still, and are few, want more.
  double lr = 1e-2;
  double weight_decay = 0.01;  ///< of the bias, too
  std::int64_t epochs = 100;
  index_t batch_size = 96;
  std::uint64_t seed = 0;  ///< of the first weights and of the order of the pictures
  AdamWOptions adamw{0.9, 0.999, 1e-8};
};

/// The layer a probe begins with: weights normal with standard deviation 0.01, bias 0.
/// @return (labels, features)
template <class B>
Linear<float, B> linear_probe_layer(index_t features, index_t labels, std::uint64_t seed) {
  Initializer init(seed);
  return Linear<float, B>(features, labels, true, 0.01, init);
}

/// Which pictures each step of a probe sees: every epoch all of them, in an order of its own; the
/// last batch of an epoch may be smaller.
class LinearProbeBatches {
 public:
  /// @throws hlip::error if there is no picture or an option makes no sense
  LinearProbeBatches(index_t pictures, const LinearProbeOptions& options)
      : epochs_(options.epochs),
        sampler_(pictures, {.batch_size = std::min(options.batch_size, pictures),
                            .drop_last = false,
                            .seed = options.seed}) {}
  std::int64_t steps() const { return epochs_ * sampler_.batches_per_epoch(); }
  /// The rows of a step. @param step 0 … steps() - 1, best in rising order
  std::vector<std::int64_t> operator()(std::int64_t step) {
    const index_t epoch = step / sampler_.batches_per_epoch(),
                  batch = step % sampler_.batches_per_epoch();
    if (epoch != epoch_) order_ = sampler_.order(epoch), epoch_ = epoch;
    const index_t size = sampler_.options().batch_size, begin = batch * size,
                  end = std::min(begin + size, sampler_.size());
    return {order_.begin() + begin, order_.begin() + end};
  }

 private:
  std::int64_t epochs_;
  Sampler sampler_;
  index_t epoch_ = -1;
  std::vector<index_t> order_;  // of that epoch
};

/// Trains a layer on given batches: mean binary cross-entropy with logits, AdamW, cosine per step.
/// @param head trained in place; its gradient flows nowhere else
/// @param features (pictures, C); @param labels (pictures, K), 0, 1 or NaN where it is not known
/// @param batch_of called as batch_of(step) -> rows of both, a vector of std::int64_t
/// @return the loss of each step
/// @throws hlip::error if the sizes do not fit, a batch names no such picture, or a loss is not
/// finite
template <class B, class BatchOf>
std::vector<double> train_linear_probe(Linear<float, B>& head, const Tensor<float, B>& features,
                                       const Tensor<float, B>& labels, std::int64_t steps,
                                       BatchOf&& batch_of, const LinearProbeOptions& options) {
  expect(features.rank() == 2 && labels.rank() == 2 && features.dim(0) == labels.dim(0),
         "linear_probe", "features are {}, labels {}, expected (pictures, C) and (pictures, K)",
         to_string(features.shape()), to_string(labels.shape()));
  expect(head.weight.shape() == Shape{labels.dim(1), features.dim(1)}, "linear_probe",
         "the layer is {}, expected {} labels x {} features", to_string(head.weight.shape()),
         labels.dim(1), features.dim(1));
  const auto loss = [&](const Tensor<std::int64_t, B>& rows, const Context&) {
    const Var<float, B> seen(index_select(features, rows));
    return binary_cross_entropy_with_logits(head(seen), index_select(labels, rows));
  };
  Supervised objective(head, {.weight_decay = options.weight_decay, .decay_all = true}, loss);
  TrainerOptions running;
  running.stage = "probe", running.steps = steps;
  running.schedule.lr = options.lr, running.adamw = options.adamw, running.seed = options.seed;
  Trainer trainer(objective, running, CheckpointStore("", {"probe"}));
  std::vector<double> losses;
  std::vector<Tensor<std::int64_t, B>> batch(1);
  for (std::int64_t step = 0; step < steps; ++step) {
    const std::vector<std::int64_t> rows = batch_of(step);
    batch[0] = Tensor<std::int64_t, B>::from_values({static_cast<index_t>(rows.size())},
                                                    std::span<const std::int64_t>(rows));
    const StepResult result = trainer.train_step(batch);
    expect(result.finite, "linear_probe",
           "loss {} or its gradient {} is not finite at step {}; a smaller learning rate than {:g} "
           "may help",
           result.loss, result.grad_norm, trainer.step(), options.lr);
    losses.push_back(result.loss);
  }
  return losses;
}

/// The same from a layer and batches drawn by `options.seed`. @return the trained layer
template <class B>
Linear<float, B> train_linear_probe(const Tensor<float, B>& features,
                                    const Tensor<float, B>& labels,
                                    const LinearProbeOptions& options) {
  expect(features.rank() == 2 && labels.rank() == 2, "linear_probe",
         "features are {}, labels {}, expected (pictures, C) and (pictures, K)",
         to_string(features.shape()), to_string(labels.shape()));
  auto head = linear_probe_layer<B>(features.dim(1), labels.dim(1), options.seed);
  LinearProbeBatches batches(features.dim(0), options);
  train_linear_probe(head, features, labels, batches.steps(), batches, options);
  return head;
}

/// The logits of pictures. @param features (pictures, C)  @return row-major (pictures, K); higher
/// is more likely
template <class B>
std::vector<double> linear_probe_scores(const Linear<float, B>& head,
                                        const Tensor<float, B>& features) {
  const NoGrad guard;
  const auto logits = head(Var<float, B>(features)).value().to_vector();
  return {logits.begin(), logits.end()};
}

HLIP_END
