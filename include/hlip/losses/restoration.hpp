// How far a restored volume is from the one that was hidden.
// Source: reference document T3D §4.
#pragma once

#include <hlip/autograd/functions/reduce.hpp>

#include <string_view>

HLIP_BEGIN

enum class RestorationLoss { l1, mse, smooth_l1 };

/// "l1", "mse" or "smooth-l1". @throws on another name
HLIP_LAZY RestorationLoss restoration_loss_named(std::string_view name) {
  if (name == "l1") return RestorationLoss::l1;
  if (name == "mse") return RestorationLoss::mse;
  if (name == "smooth-l1") return RestorationLoss::smooth_l1;
  fail("restoration_loss", "'{}', expected l1, mse or smooth-l1", name);
}

/// |r − x|, (r − x)², or Huber's with its knee at 1; the mean over all voxels, or, of each sample,
/// over those that were changed (0 where none was), and then over the samples.
///
/// @param restored, clean (N, …)
/// @param changed likewise, 0 leaves a voxel out; empty: all count
/// @return scalar
/// @throws hlip::error for shapes that differ
template <class T, class B>
Var<T, B> restoration_loss(const Var<T, B>& restored, const Tensor<T, B>& clean,
                           RestorationLoss loss = RestorationLoss::l1,
                           const Tensor<std::uint8_t, B>& changed = {}) {
  expect(restored.shape() == clean.shape() && restored.rank() >= 1 && restored.numel() > 0,
         "restoration_loss", "restored is {} and clean {}, expected one shape (N, …)",
         to_string(restored.shape()), to_string(clean.shape()));
  Var<T, B> each;
  if (loss == RestorationLoss::mse) each = square(restored - clean);
  else each = abs(restored - clean);
  if (loss == RestorationLoss::smooth_l1) each = where(each < 1.0, square(each) * 0.5, each - 0.5);
  if (changed.numel() == 0) return mean(each);
  expect(changed.shape() == clean.shape(), "restoration_loss", "changed is {}, expected {}",
         to_string(changed.shape()), to_string(clean.shape()));
  const index_t n = clean.dim(0);
  const Tensor<T, B> counts = where(changed != 0, Tensor<T, B>::ones(Shape{}), 0),
                     voxels = sum(counts.reshape({n, clean.numel() / n}), {1}),
                     share = 1.0 / (maximum(voxels, 1) * static_cast<double>(n));
  Shape per_sample = Shape::filled(clean.rank(), 1);
  per_sample[0] = n;
  return sum(Var<T, B>(each * counts * share.reshape(per_sample)));
}

/// Peak signal-to-noise ratio in dB of values in [0, 1]; infinite where nothing differs.
template <class T, class B> double psnr(const Tensor<T, B>& restored, const Tensor<T, B>& clean) {
  const Tensor<T, B> squares = square(restored - clean), error = mean(squares);
  return -10.0 * std::log10(static_cast<double>(error.item()));
}

HLIP_END
