// Soft Dice and cross-entropy of masks: classes that exclude each other, or classes that overlap.
// Source: Milletari et al. 2016, "V-Net" (soft Dice); Isensee et al. 2021, "nnU-Net" (the sum of
// the two); reference document RAD-DINO §9.
#pragma once

#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/autograd/functions/softmax.hpp>
#include <hlip/losses/binary_cross_entropy.hpp>

HLIP_BEGIN

/// The two terms of a loss of masks, scalars each.
template <class T, class B> struct DiceCrossEntropy {
  Var<T, B> dice;           ///< 1 − soft Dice, the mean over pictures and classes (known ones)
  Var<T, B> cross_entropy;  ///< the mean over pixels (and classes, where they overlap)
  Var<T, B> total() const { return dice + cross_entropy; }
};

/// 1 − (2·Σ p·y + smooth) / (Σ p + Σ y + smooth), summed over `axis`, mean over the others.
///
/// @param p probabilities  @param y what is true, 0 to 1, in the shape of p
/// @param smooth what makes an empty class in an empty mask right: positive
/// @return scalar
template <class T, class B>
Var<T, B> soft_dice_loss(const Var<T, B>& p, const Tensor<T, B>& y, int axis,
                         double smooth = 1e-5) {
  expect(p.shape() == y.shape(), "soft_dice_loss", "y is {}, expected the shape of p {}",
         to_string(y.shape()), to_string(p.shape()));
  expect(smooth > 0, "soft_dice_loss", "smooth is {}, expected a positive number", smooth);
  const Var<T, B> both = p * y, overlap = sum(both, {axis}), guessed = sum(p, {axis});
  const Tensor<T, B> truth = sum(y, {axis});
  const Var<T, B> each = 1.0 - (overlap * 2.0 + smooth) / (guessed + truth + smooth);
  return mean(each);
}

/// Of classes of which every pixel has one: softmax over them.
///
/// @param logits (N, classes, …)  @param labels (N, …), each in [0, classes)
/// @throws hlip::error for shapes that do not fit, no pixels, and labels outside
template <class T, class B>
DiceCrossEntropy<T, B> dice_cross_entropy(const Var<T, B>& logits,
                                          const Tensor<std::int64_t, B>& labels,
                                          double smooth = 1e-5) {
  expect(logits.rank() >= 3 && logits.numel() > 0, "dice_cross_entropy",
         "logits are {}, expected (N, classes, …)", to_string(logits.shape()));
  const index_t n = logits.dim(0), classes = logits.dim(1), pixels = logits.numel() / (n * classes);
  Shape expected{n};
  for (int d = 2; d < logits.rank(); ++d) expected.push_back(logits.dim(d));
  expect(labels.shape() == expected, "dice_cross_entropy",
         "labels are {}, expected {} for logits {}", to_string(labels.shape()), to_string(expected),
         to_string(logits.shape()));
  const Var<T, B> rows = reshape(transpose(reshape(logits, {n, classes, pixels}), 1, 2),
                                 {n * pixels, classes});
  const Tensor<std::int64_t, B> label = labels.reshape({n, pixels, 1}),
                                number = Tensor<std::int64_t, B>::arange(classes).reshape(
                                    {1, 1, classes});
  const Var<T, B> entropy = cross_entropy(rows, labels.reshape({n * pixels}));
  const Tensor<T, B> truth = where(label == number, Tensor<T, B>::ones(Shape{}), 0);
  return {soft_dice_loss(reshape(softmax(rows), {n, pixels, classes}), truth, 1, smooth), entropy};
}

/// Of classes that overlap: every class by itself, sigmoid and binary cross-entropy.
///
/// @param logits (N, classes, …)  @param masks likewise, 0 to 1; NaN: not known, counts nowhere,
/// and neither does a class of a picture of which nothing is known
/// @throws hlip::error for shapes that do not fit and no pixels
template <class T, class B>
DiceCrossEntropy<T, B> dice_binary_cross_entropy(const Var<T, B>& logits, const Tensor<T, B>& masks,
                                                 double smooth = 1e-5) {
  expect(logits.rank() >= 3 && logits.numel() > 0, "dice_binary_cross_entropy",
         "logits are {}, expected (N, classes, …)", to_string(logits.shape()));
  expect(masks.shape() == logits.shape(), "dice_binary_cross_entropy",
         "masks are {}, expected the shape of logits {}", to_string(masks.shape()),
         to_string(logits.shape()));
  const index_t n = logits.dim(0), classes = logits.dim(1), pixels = logits.numel() / (n * classes);
  const Var<T, B> flat = reshape(logits, {n, classes, pixels});
  const Tensor<T, B> given = masks.reshape({n, classes, pixels}),
                     // (y == y) is false for NaN alone
      known = where(given == given, Tensor<T, B>::ones(Shape{}), 0),
                     truth = where(given == given, given, 0);
  const Var<T, B> p = sigmoid(flat) * known;
  // a class of which a picture has no known pixel adds 0: the mean is over the others
  const Tensor<T, B> count = sum(where(sum(known, {2}) > 0, Tensor<T, B>::ones(Shape{}), 0)),
                     share = static_cast<double>(n * classes) / maximum(count, 1);
  return {soft_dice_loss(p, truth, 2, smooth) * share,
          binary_cross_entropy_with_logits(flat, given)};
}

HLIP_END
