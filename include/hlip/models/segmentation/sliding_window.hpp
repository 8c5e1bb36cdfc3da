// A network of small volumes over a large one: windows side by side that overlap, and of what
// they say the weighted mean. Source: MONAI's sliding_window_inference (places, weights, padding);
// reference document T3D §7.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/ops/elementwise.hpp>
#include <hlip/ops/shape.hpp>
#include <hlip/tensor/check.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

HLIP_BEGIN

/// How much a voxel of a window counts.
enum class WindowWeight {
  constant,
  gaussian,  ///< less towards the edges, where the network sees least of the surroundings
};

struct SlidingWindowOptions {
  double overlap = 0.5;  ///< share of a window that the next one sees again, below 1
  WindowWeight weight = WindowWeight::gaussian;
  index_t batch = 4;   ///< windows in one call of the network
  double padding = 0;  ///< around a volume that is smaller than a window
};

/// First voxels of the windows along an axis: steps of (1 − overlap) windows, rounded down, at
/// least 1; the last window is moved back to end where the axis does.
/// @throws hlip::error for a window that is not 1 to `size`, and an overlap outside of [0, 1)
HLIP_LAZY std::vector<index_t> window_starts(index_t size, index_t window, double overlap = 0.5) {
  expect(window >= 1 && window <= size, "window_starts",
         "a window of {} on an axis of {}, expected 1 to {}", window, size, size);
  expect(overlap >= 0 && overlap < 1, "window_starts",
         "overlap is {}, expected 0 to below 1 (hint: 0.5 is half a window)", overlap);
  // 1e-9: a fifth of 10 is 2, not 1.9999999999999996
  const auto step = std::max<index_t>(
      static_cast<index_t>(static_cast<double>(window) * (1 - overlap) + 1e-9), 1);
  std::vector<index_t> starts;
  for (index_t at = 0; at + window < size; at += step) starts.push_back(at);
  starts.push_back(size - window);
  return starts;
}

/// Weights of a window's voxels: a Gaussian around its middle, deviation an eighth of each side,
/// divided by its largest value, at least 1e-3 so that none is without.
/// @param window (d, h, w)  @return the same shape
HLIP_LAZY Tensor<float, Cpu> gaussian_window(const Shape& window) {
  expect(window.rank() == 3 && window.numel() > 0, "gaussian_window",
         "window is {}, expected (d, h, w)", to_string(window));
  std::array<std::vector<double>, 3> axes;
  for (int d = 0; d < 3; ++d) {
    std::vector<double>& axis = axes[static_cast<std::size_t>(d)];
    const auto n = static_cast<double>(window[d]);
    for (index_t i = 0; i < window[d]; ++i) {
      const double away = (static_cast<double>(i) - (n - 1) / 2) / (0.125 * n);
      axis.push_back(std::exp(-away * away / 2));
    }
    const double top = *std::max_element(axis.begin(), axis.end());
    for (double& v : axis) v /= top;
  }
  auto weight = Tensor<float, Cpu>::empty(window);
  float* out = weight.data();
  for (const double a : axes[0])
    for (const double b : axes[1])
      for (const double c : axes[2]) *out++ = static_cast<float>(std::max(a * b * c, 1e-3));
  return weight;
}

namespace detail {

/// The sum of weighted windows, and of weights.
template <class T, class B> class WindowMean {
 public:
  WindowMean(const Shape& volume, const Shape& window, WindowWeight kind)
      : volume_(volume),
        window_(window),
        weights_(Tensor<T, B>::zeros({volume[0], volume[1], volume[2]})) {
    weight_ = Tensor<T, B>::ones(window);
    if (kind == WindowWeight::constant) return;
    const auto values = gaussian_window(window).to_vector();
    const std::vector<T> cast(values.begin(), values.end());
    weight_ = Tensor<T, B>::from_values(window, std::span<const T>(cast));
  }

  /// @param from first voxel of the window  @param scores (classes, d, h, w)
  void add(const std::array<index_t, 3>& from, const Tensor<T, B>& scores) {
    if (sum_.rank() != 4)
      sum_ = Tensor<T, B>::zeros({scores.dim(0), volume_[0], volume_[1], volume_[2]});
    Tensor<T, B> part = sum_, weights = weights_;
    for (int d = 0; d < 3; ++d) {
      const index_t begin = from[static_cast<std::size_t>(d)];
      part = part.slice(d + 1, begin, begin + window_[d]);
      weights = weights.slice(d, begin, begin + window_[d]);
    }
    part.assign(part + scores * weight_);
    weights.assign(weights + weight_);
  }
  index_t classes() const { return sum_.rank() == 4 ? sum_.dim(0) : -1; }
  /// Divides in place. @return (classes, D, H, W)
  Tensor<T, B> mean() {
    sum_.assign(sum_ / weights_);
    return sum_;
  }

 private:
  Shape volume_, window_;
  Tensor<T, B> weight_, weights_, sum_;
};

/// First voxels of all windows.
HLIP_LAZY std::vector<std::array<index_t, 3>> window_places(const Shape& volume,
                                                            const Shape& window, double overlap) {
  std::vector<std::array<index_t, 3>> places;
  const auto along = [&](int d) { return window_starts(volume[d], window[d], overlap); };
  const std::vector<index_t> rows = along(1), columns = along(2);
  for (const index_t z : along(0))
    for (const index_t y : rows)
      for (const index_t x : columns) places.push_back({z, y, x});
  return places;
}

/// Windows of a volume as a batch. @return (places, C, d, h, w)
template <class T, class B>
Tensor<T, B> cut_windows(const Tensor<T, B>& volume, const Shape& window,
                         std::span<const std::array<index_t, 3>> places) {
  auto batch = Tensor<T, B>::empty(
      {static_cast<index_t>(places.size()), volume.dim(0), window[0], window[1], window[2]});
  for (std::size_t i = 0; i < places.size(); ++i) {
    Tensor<T, B> part = volume;
    for (int d = 0; d < 3; ++d) {
      const index_t begin = places[i][static_cast<std::size_t>(d)];
      part = part.slice(d + 1, begin, begin + window[d]);
    }
    batch.select(0, static_cast<index_t>(i)).assign(part);
  }
  return batch;
}

/// What a volume lacks to hold a window, half of it before (rounded down). @return by axis (C too)
HLIP_LAZY std::array<Padding, 4> window_padding(const Shape& volume, const Shape& window) {
  std::array<Padding, 4> padding;
  for (int d = 0; d < 3; ++d) {
    const index_t lacks = std::max<index_t>(window[d] - volume[d + 1], 0);
    padding[static_cast<std::size_t>(d) + 1] = {lacks / 2, lacks - lacks / 2};
  }
  return padding;
}

}  // namespace detail

/// Runs a network over windows of a volume. Beside the volume, only the sums for all voxels (one
/// per class, one of the weights) and a batch of windows are kept. A volume that is smaller than
/// the window on an axis is padded with `options.padding` on both sides, and the result cut back.
///
/// @param volume (C, D, H, W)  @param window (d, h, w), what the network takes
/// @param predict called as predict(Tensor<T, B> (n, C, d, h, w)), n at most `options.batch`; gives
/// (n, classes, d, h, w): logits or probabilities. Called without recording, if it is a network
/// @return (classes, D, H, W), the weighted mean of what windows say of a voxel
/// @throws hlip::error for other shapes, an overlap outside of [0, 1), and a batch below 1
template <class T, class B, class Predict>
Tensor<T, B> sliding_window(const Tensor<T, B>& volume, const Shape& window,
                            const SlidingWindowOptions& options, Predict&& predict) {
  constexpr const char* where = "sliding_window";
  expect_shape(where, "volume", volume.shape(), {{"C"}, {"D"}, {"H"}, {"W"}});
  expect_shape(where, "window", window, {{"d"}, {"h"}, {"w"}});
  expect(volume.numel() > 0 && window.numel() > 0, where,
         "volume is {} and window {}, expected some voxels", to_string(volume.shape()),
         to_string(window));
  expect(options.batch >= 1, where, "batch is {}, expected at least 1", options.batch);

  const auto padding = detail::window_padding(volume.shape(), window);
  const bool smaller = std::any_of(padding.begin(), padding.end(),
                                   [](const Padding& p) { return p.after > 0; });
  const Tensor<T, B> padded = smaller ? pad(volume, std::span<const Padding>(padding),
                                            static_cast<T>(options.padding))
                                      : volume;
  const Shape size{padded.dim(1), padded.dim(2), padded.dim(3)};
  const auto places = detail::window_places(size, window, options.overlap);
  detail::WindowMean<T, B> mean(size, window, options.weight);
  const std::span<const std::array<index_t, 3>> all(places);
  for (std::size_t first = 0; first < all.size();) {
    const auto now = all.subspan(
        first, std::min(static_cast<std::size_t>(options.batch), all.size() - first));
    const Tensor<T, B> scores = predict(detail::cut_windows(padded, window, now));
    expect_shape(where, "what predict gives", scores.shape(),
                 {{"n", static_cast<index_t>(now.size())},
                  {"classes", mean.classes()},
                  {"d", window[0]},
                  {"h", window[1]},
                  {"w", window[2]}});
    for (std::size_t i = 0; i < now.size(); ++i)
      mean.add(now[i], scores.select(0, static_cast<index_t>(i)));
    first += now.size();
  }
  Tensor<T, B> out = mean.mean();
  if (!smaller) return out;
  for (int d = 1; d < 4; ++d) {
    const index_t before = padding[static_cast<std::size_t>(d)].before;
    out = out.slice(d, before, before + volume.dim(d));
  }
  return out.contiguous();
}

HLIP_END
