// Contrastive losses between image and text features, in one process and over several.
// Source: reference document HLIP §4; Radford et al. 2021 (CLIP); Zhai et al. 2023 (SigLIP).
#pragma once

#include <hlip/autograd/functions/matmul.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/autograd/functions/softmax.hpp>
#include <hlip/distributed/communicator.hpp>

#include <span>
#include <vector>

HLIP_BEGIN

/// How ranks share their features; without effect in one process.
struct ContrastiveOptions {
  /// Each rank scores its own rows against everything, instead of all rows
  bool local_loss = false;
  /// Gathered features carry gradient back to the rank they came from
  bool gather_with_grad = false;
};

/// The features of all ranks, (W·b, E), in rank order.
/// With gradient: the pull-back sums over ranks. Without: constants, except the own rows when
/// `own_with_grad`.
template <class T, class B, Communicator C>
Var<T, B> gather_features(const Var<T, B>& x, const C& communicator, bool with_grad,
                          bool own_with_grad) {
  if (communicator.size() == 1) return with_grad || own_with_grad ? x : x.detach();
  const index_t b = x.dim(0), e = x.dim(1), ranks = communicator.size(),
                first = communicator.rank() * b;
  // Through the host: a communicator knows no backend
  const std::vector<T> own = x.value().to_vector();
  std::vector<T> gathered(static_cast<std::size_t>(ranks) * own.size());
  communicator.all_gather(own.data(), gathered.data(), own.size() * sizeof(T));
  const auto all = Tensor<T, B>::from_values({ranks * b, e}, std::span<const T>(gathered));
  if (!with_grad && !own_with_grad) return Var<T, B>(all);
  return record(
      "gather_features", all, {x},
      [communicator, with_grad, first, b](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
        Tensor<T, B> d = dy;
        if (with_grad) {
          std::vector<T> sums = dy.to_vector();
          communicator.all_reduce_sum(std::span<T>(sums));
          d = Tensor<T, B>::from_values(dy.shape(), std::span<const T>(sums));
        }
        grads.add(0, d.slice(0, first, first + b));
      });
}

/// The mean of a loss over several texts a study: pair k of study i is row i·targets + k of both,
/// and only pairs with the same k meet.
///
/// @param image, text (studies·targets, E)  @param loss called as loss(image, text), each (studies,
/// E) -> scalar  @return scalar
template <class T, class B, class Loss>
Var<T, B> mean_over_targets(const Var<T, B>& image, const Var<T, B>& text, index_t targets,
                            Loss&& loss) {
  if (targets == 1) return loss(image, text);
  const index_t rows = image.dim(0);
  expect(targets >= 1 && rows % targets == 0, "mean_over_targets",
         "image has {} rows, expected a multiple of {} targets", rows, targets);
  expect(text.shape() == image.shape(), "mean_over_targets",
         "text is {}, expected the shape of image {}", to_string(text.shape()),
         to_string(image.shape()));
  Var<T, B> total;
  for (index_t k = 0; k < targets; ++k) {
    const Var<T, B> one = loss(slice(image, 0, k, rows, targets), slice(text, 0, k, rows, targets));
    total = k == 0 ? one : Var<T, B>(total + one);
  }
  return total * (1.0 / static_cast<double>(targets));
}

/// Symmetric InfoNCE: ½·[CE(s·I·Tᵀ) + CE(s·T·Iᵀ)] with the matching pair as the label.
///
/// @param image, text (b, E), of length 1  @param scale s itself (not its log), one element
/// @return scalar
template <class T, class B, Communicator C = SingleProcess>
Var<T, B> clip_loss(const Var<T, B>& image, const Var<T, B>& text, const Var<T, B>& scale,
                    const Var<T, B>& bias = {}, const C& communicator = {},
                    const ContrastiveOptions& options = {}) {
  expect_shape("clip_loss", "image", image.shape(), {{"batch"}, {"embed_dim"}});
  expect(text.shape() == image.shape(), "clip_loss", "text is {}, expected the shape of image {}",
         to_string(text.shape()), to_string(image.shape()));
  const bool local = options.local_loss && communicator.size() > 1;
  const Var<T, B> images = gather_features(image, communicator, options.gather_with_grad, !local);
  const Var<T, B> texts = gather_features(text, communicator, options.gather_with_grad, !local);
  const auto logits = [&](const Var<T, B>& rows, const Var<T, B>& columns) {
    const Var<T, B> z = matmul(rows, transpose(columns, 0, 1));
    return bias.numel() > 0 ? Var<T, B>(z * scale + bias) : Var<T, B>(z * scale);
  };
  const Var<T, B> by_image = local ? logits(image, texts) : logits(images, texts);
  const Var<T, B> by_text = local ? logits(text, images) : transpose(by_image, 0, 1);
  const index_t n = by_image.dim(0), first = local ? communicator.rank() * n : 0;
  const auto labels = Tensor<std::int64_t, B>::arange(n, first);
  return (cross_entropy(by_image, labels) + cross_entropy(by_text, labels)) * 0.5;
}

/// Sigmoid loss: −Σ log σ(y·(s·I·Tᵀ + β)) / b with y = +1 for matching pairs and −1 elsewhere,
/// every text of every rank included.
///
/// @param image, text (b, E), of length 1  @param scale s itself  @param bias β  @return scalar
template <class T, class B, Communicator C = SingleProcess>
Var<T, B> siglip_loss(const Var<T, B>& image, const Var<T, B>& text, const Var<T, B>& scale,
                      const Var<T, B>& bias, const C& communicator = {}) {
  expect_shape("siglip_loss", "image", image.shape(), {{"batch"}, {"embed_dim"}});
  expect(text.shape() == image.shape(), "siglip_loss", "text is {}, expected the shape of image {}",
         to_string(text.shape()), to_string(image.shape()));
  const index_t b = image.dim(0), first = communicator.rank() * b;
  const Var<T, B> texts = gather_features(text, communicator, true, true);
  const Var<T, B> z = matmul(image, transpose(texts, 0, 1));
  const auto row = Tensor<std::int64_t, B>::arange(b, first).reshape({b, 1}),
             column = Tensor<std::int64_t, B>::arange(texts.dim(0));
  const Tensor<T, B> y = where(row == column, Tensor<T, B>::ones(Shape{}), -1);
  const Var<T, B> pairs = softplus(-(y * (z * scale + bias)));
  return sum(pairs) * (1.0 / static_cast<double>(b));
}

HLIP_END
