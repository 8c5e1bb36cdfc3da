// From a CT volume to the network's input: Hounsfield units, spacing, window, size. One preset
// names all choices.
#pragma once

#include <hlip/backend/cpu/resample_planes.hpp>
#include <hlip/imaging/preset_text.hpp>
#include <hlip/imaging/volume.hpp>
#include <hlip/ops/interpolate.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>

HLIP_BEGIN

/// How a volume is brought to the input size: padded and cropped about its centre, or stretched.
enum class FitMode { crop, resize };

/// All choices between a scan in HU and the network. The defaults are HLIP's for chest CT.
struct CtPreset {
  std::array<double, 3> spacing = {3, 1, 1};       ///< (D, H, W) in mm
  std::array<double, 2> window_hu = {-1150, 350};  ///< becomes 0 … 1, clipped
  std::array<index_t, 3> size = {112, 336, 336};   ///< (D, H, W) voxels
  FitMode mode = FitMode::crop;
  double mean = 0.449, std = 0.226;
  bool already_hu = false;  ///< stored values are HU: slope and intercept are not applied
  friend bool operator==(const CtPreset&, const CtPreset&) = default;
};

/// The preset in one readable line: "spacing=3,1,1 window_hu=-1150,350 size=112,336,336 mode=crop
/// mean=0.449 std=0.226 already_hu=no"
HLIP_LAZY std::string to_string(const CtPreset& p) {
  return fmt::format(
      "spacing={},{},{} window_hu={},{} size={},{},{} mode={} mean={} std={} already_hu={}",
      p.spacing[0], p.spacing[1], p.spacing[2], p.window_hu[0], p.window_hu[1], p.size[0],
      p.size[1], p.size[2], p.mode == FitMode::crop ? "crop" : "resize", p.mean, p.std,
      p.already_hu ? "yes" : "no");
}

/// Throws unless the preset can be carried out.
HLIP_LAZY void check_preset(const CtPreset& p) {
  for (std::size_t d = 0; d < 3; ++d) {
    if (!(p.spacing[d] >= 0.01 && p.spacing[d] <= 1000))
      fail("ct preset", "spacing {} mm, expected 0.01 to 1000", p.spacing[d]);
    if (p.size[d] < 1 || p.size[d] > 4096)
      fail("ct preset", "size {}, expected 1 to 4096", p.size[d]);
  }
  if (!(p.window_hu[0] < p.window_hu[1]) || !std::isfinite(p.window_hu[0]) ||
      !std::isfinite(p.window_hu[1]))
    fail("ct preset", "window_hu {},{} is empty", p.window_hu[0], p.window_hu[1]);
  if (!(p.std > 0) || !std::isfinite(p.std) || !std::isfinite(p.mean))
    fail("ct preset", "mean {} and std {} cannot normalise", p.mean, p.std);
}

/// Makes one choice of a preset, as `to_string` names it: ("window_hu", "-1150,350"). @throws
/// hlip::error for unknown names and values that are none; whether the choices go together,
/// check_preset says
HLIP_LAZY void set_preset_entry(CtPreset& p, std::string_view name, std::string_view value) {
  const PresetEntry entry{"ct preset", name, value};
  if (name == "spacing") entry.list(p.spacing);
  else if (name == "window_hu") entry.list(p.window_hu);
  else if (name == "size") entry.list(p.size);
  else if (name == "mean") p.mean = entry.number();
  else if (name == "std") p.std = entry.number();
  else if (name == "mode" && (value == "crop" || value == "resize"))
    p.mode = value == "crop" ? FitMode::crop : FitMode::resize;
  else if (name == "already_hu" && (value == "yes" || value == "no")) p.already_hu = value == "yes";
  else entry.refuse("spacing, window_hu, size, mode=crop|resize, mean, std, already_hu=yes|no");
}

/// Reads what `to_string` writes; choices that are not named keep their defaults. @throws
/// hlip::error for unknown names and impossible values
HLIP_LAZY CtPreset parse_ct_preset(std::string_view text) {
  CtPreset p;
  each_preset_entry("ct preset", text,
                    [&](const PresetEntry& e) { set_preset_entry(p, e.name, e.value); });
  check_preset(p);
  return p;
}

namespace detail {

/// value * slope + intercept of a run of stored values, in place; NaN and -infinity become air
/// (-1024), +infinity 3071.
/// @return how many were replaced
HLIP_LAZY index_t make_hounsfield(float* v, index_t n, double slope, double intercept) {
  if (slope != 1 || intercept != 0)
    for (index_t i = 0; i < n; ++i)
      v[i] = static_cast<float>(multiply_add(static_cast<double>(v[i]), slope, intercept));
  constexpr float largest = std::numeric_limits<float>::max();
  std::int32_t odd = 0;
  for (index_t i = 0; i < n; ++i) odd += !(std::abs(v[i]) <= largest);
  if (odd > 0)
    for (index_t i = 0; i < n; ++i)
      if (!(std::abs(v[i]) <= largest)) v[i] = v[i] > 0 ? 3071.f : -1024.f;
  return odd;
}

HLIP_LAZY void check_rescale(const Volume& volume, double slope, double intercept) {
  if (volume.unit == Unit::hounsfield)
    fail("to_hounsfield", "{}: the volume is in HU already", volume.source);
  if (!std::isfinite(slope) || slope == 0 || !std::isfinite(intercept))
    fail("to_hounsfield", "{}: slope {} and intercept {} give no HU", volume.source, slope,
         intercept);
}

inline void warn_of_odd_voxels(Volume& volume, index_t odd) {
  if (odd > 0)
    volume.warnings.push_back(fmt::format("{} voxels are not finite and were replaced", odd));
}

}  // namespace detail

/// Turns stored values into HU: value * slope + intercept. NaN and -infinity become air (-1024),
/// +infinity 3071, with a warning.
/// @param volume unit `stored` or `unknown`; moved in, its voxels are changed where they lie;
/// @return the same geometry in HU
/// @throws hlip::error when the volume is in HU already: applying the values twice is the commonest
/// mistake with CT files
HLIP_LAZY Volume to_hounsfield(Volume volume, double slope, double intercept) {
  detail::check_rescale(volume, slope, intercept);
  if (volume.voxels.use_count() != 1 || !volume.voxels.is_contiguous())
    volume.voxels = volume.voxels.clone();
  const index_t total = volume.voxels.numel(), run = 1 << 16, runs = (total + run - 1) / run;
  float* v = volume.voxels.data();
  index_t odd = 0;
#pragma omp parallel for schedule(static) reduction(+ : odd) if (runs > 1)
  for (index_t r = 0; r < runs; ++r)
    odd += detail::make_hounsfield(v + r * run, std::min(run, total - r * run), slope, intercept);
  detail::warn_of_odd_voxels(volume, odd);
  volume.unit = Unit::hounsfield;
  return volume;
}

/// Voxels per axis at another spacing: trunc(length * spacing / target).
/// @param shape (D, H, W); @param spacing @param target mm, (D, H, W)
/// @throws hlip::error when an axis would vanish or the result exceed 2^31 voxels
HLIP_LAZY std::array<index_t, 3> resampled_size(const Shape& shape,
                                                const std::array<double, 3>& spacing,
                                                const std::array<double, 3>& target) {
  std::array<index_t, 3> size{};
  double total = 1;
  for (std::size_t d = 0; d < 3; ++d) {
    const double length = static_cast<double>(shape[static_cast<int>(d)]) * spacing[d] / target[d];
    total *= length;
    if (!(length >= 1) || !(total < 0x1p31))
      fail("resample",
           "{} voxels of {} x {} x {} mm cannot be brought to {} x {} x {} mm; is the spacing "
           "right?",
           to_string(shape), spacing[0], spacing[1], spacing[2], target[0], target[1], target[2]);
    size[d] = static_cast<index_t>(length);
  }
  return size;
}

namespace detail {

/// Geometry of a volume of `shape` after resampling to `size`.
HLIP_LAZY void resample_geometry(Volume& volume, const Shape& shape,
                                 const std::array<index_t, 3>& size) {
  std::array<double, 3> step{};
  for (std::size_t d = 0; d < 3; ++d)
    step[d] = static_cast<double>(shape[static_cast<int>(d)]) / static_cast<double>(size[d]);
  for (std::size_t c = 0; c < 3; ++c)  // new voxel i lies at old index (i + 1/2) * step - 1/2
    for (std::size_t r = 0; r < 3; ++r) {
      volume.affine[r][3] += volume.affine[r][c] * 0.5 * (step[2 - c] - 1);
      volume.affine[r][c] *= step[2 - c];
    }
  for (std::size_t d = 0; d < 3; ++d) volume.spacing[d] *= step[d];
}

/// Outputs [begin, begin + count) of an axis that goes from n_in to n_out.
HLIP_LAZY PlaneAxis plane_axis(index_t n_in, index_t n_out, index_t begin, index_t count) {
  expect(n_in <= std::numeric_limits<std::int32_t>::max(), "resample", "an axis of {} voxels",
         n_in);
  PlaneAxis axis{.n_in = n_in,
                 .begin = begin,
                 .count = count,
                 .same = n_in == n_out,
                 .index = {},
                 .next = {},
                 .first = {},
                 .second = {}};
  if (axis.same) return axis;
  const auto table = resample_weights<float>(n_in, n_out, Interpolation::linear);
  for (auto t = static_cast<std::size_t>(2 * begin);
       t < static_cast<std::size_t>(2 * (begin + count)); t += 2) {
    axis.index.push_back(static_cast<std::int32_t>(table.index[t]));
    axis.next.push_back(static_cast<std::int32_t>(table.index[t + 1]));
    axis.first.push_back(table.weight[t]);
    axis.second.push_back(table.weight[t + 1]);
  }
  return axis;
}

/// All of a volume given by rows (see resample_planes), resampled to `size`.
template <class Row>
Tensor<float, Cpu> resample_rows(const Shape& shape, const std::array<index_t, 3>& size, Row row) {
  auto out = Tensor<float, Cpu>::empty({size[0], size[1], size[2]});
  std::array<PlaneAxis, 3> axes;
  for (std::size_t d = 0; d < 3; ++d)
    axes[d] = plane_axis(shape[static_cast<int>(d)], size[d], 0, size[d]);
  float* to = out.data();
  resample_planes(
      Cpu{}, axes, row, [=](index_t d, index_t h) { return to + (d * size[1] + h) * size[2]; },
      [](float*) {});
  return out;
}

/// The rows of a tensor in memory.
inline auto rows_of(const Tensor<float, Cpu>& x) {
  return [data = x.data(), height = x.dim(1), width = x.dim(2)](index_t d, index_t h, float*) {
    return static_cast<const float*>(data + (d * height + h) * width);
  };
}
/// The rows of voxels that become HU when they are asked for: of a CtScan, of a CtCacheFile.
template <class Scan>
requires requires(const Scan& scan, float* hu) { scan.hounsfield(index_t{}, index_t{}, hu); }
auto rows_of(const Scan& scan) {
  return [&scan, height = scan.shape()[1], width = scan.shape()[2]](index_t d, index_t h,
                                                                    float* scratch) {
    scan.hounsfield((d * height + h) * width, width, scratch);
    return static_cast<const float*>(scratch);
  };
}

}  // namespace detail

/// Resamples to another spacing: trilinear, half-pixel, no antialiasing, source coordinates in
/// float as the reference.
/// @param volume any unit; @param target (D, H, W) in mm
/// @return its spacing is length * spacing / new length, which the truncated length makes a little
/// larger than the target
HLIP_LAZY Volume resample_to_spacing(Volume volume, const std::array<double, 3>& target) {
  expect_shape("resample_to_spacing", "voxels", volume.voxels.shape(), {{"D"}, {"H"}, {"W"}});
  const auto size = resampled_size(volume.voxels.shape(), volume.spacing, target);
  detail::resample_geometry(volume, volume.voxels.shape(), size);
  const auto from = volume.voxels.contiguous();
  volume.voxels = detail::resample_rows(from.shape(), size, detail::rows_of(from));
  return volume;
}

namespace detail {

/// How an axis of `have` voxels is fitted to `want`: `count` of them, from `from` on, go to `to`
/// and after. Padded, the extra voxel is at the end; cropped, it starts at floor((have - want) /
/// 2).
struct FittedAxis {
  index_t from, to, count;
  FittedAxis(index_t have, index_t want)
      : from(std::max<index_t>(0, (have - want) / 2)),
        to(std::max<index_t>(0, (want - have) / 2)),
        count(std::min(have, want)) {}
};

/// The last steps for a run of HU: window to 0 … 1 (NaN becomes 0, too), then normalise.
class InputValues {
 public:
  explicit InputValues(const CtPreset& p)
      : low_(static_cast<float>(p.window_hu[0])),
        range_(static_cast<float>(p.window_hu[1] - p.window_hu[0])),
        mean_(static_cast<float>(p.mean)),
        std_(static_cast<float>(p.std)) {}
  float operator()(float hu) const { return normalise(window(hu)); }
  float window(float hu) const {
    const float v = (hu - low_) / range_;
    return hu > low_ ? (v < 1.f ? v : 1.f) : 0.f;
  }
  float normalise(float v) const { return (v - mean_) / std_; }
  float padding() const { return normalise(0.f); }

 private:
  float low_, range_, mean_, std_;
};

/// Puts HU rows about the centre of the network's input. @param row row(d, h, w, count, out) writes
/// `count` HU from (d, h, w) on
template <class Row>
Tensor<float, Cpu> fit_rows(const Shape& shape, const CtPreset& preset, Row row) {
  const FittedAxis D(shape[0], preset.size[0]), H(shape[1], preset.size[1]),
      W(shape[2], preset.size[2]);
  const InputValues value(preset);
  const auto out = Tensor<float, Cpu>::empty({preset.size[0], preset.size[1], preset.size[2]});
  const index_t height = preset.size[1], width = preset.size[2], rows = preset.size[0] * height;
  float* to = out.data();
#pragma omp parallel for schedule(static) if (rows * width > 65536)
  for (index_t r = 0; r < rows; ++r) {
    const index_t d = r / height - D.to, h = r % height - H.to;
    float* at = to + r * width;
    if (d < 0 || d >= D.count || h < 0 || h >= H.count) {
      std::fill(at, at + width, value.padding());
      continue;
    }
    std::fill(at, at + W.to, value.padding());
    row(D.from + d, H.from + h, W.from, W.count, at + W.to);
    for (index_t i = W.to; i < W.to + W.count; ++i) at[i] = value(at[i]);
    std::fill(at + W.to + W.count, at + width, value.padding());
  }
  return out;
}

}  // namespace detail

/// Pads each axis with `value` (the extra voxel at the end) and crops it about the centre (start
/// floor((length - size) / 2)).
/// @param x (D, H, W); @return (size)
HLIP_LAZY Tensor<float, Cpu> pad_or_crop(const Tensor<float, Cpu>& x,
                                         const std::array<index_t, 3>& size, float value) {
  expect_shape("pad_or_crop", "x", x.shape(), {{"D"}, {"H"}, {"W"}});
  auto out = Tensor<float, Cpu>::full({size[0], size[1], size[2]}, value);
  Tensor<float, Cpu> from = x, to = out;
  for (int d = 0; d < 3; ++d) {
    const index_t have = x.shape()[d], want = size[static_cast<std::size_t>(d)];
    if (have > want) from = from.slice(d, (have - want) / 2, (have - want) / 2 + want);
    else to = to.slice(d, (want - have) / 2, (want - have) / 2 + have);
  }
  to.assign(from);
  return out;
}

/// From HU at the preset's spacing to the network's input: window to 0 … 1, fit to size (padding is
/// 0, the window's lower end), normalise.
/// @param hu (D, H, W), any size; @return (preset.size)
/// Source: HLIP, training and evaluation transform of chest CT.
HLIP_LAZY Tensor<float, Cpu> ct_network_input(const Tensor<float, Cpu>& hu,
                                              const CtPreset& preset) {
  expect_shape("ct_network_input", "hu", hu.shape(), {{"D"}, {"H"}, {"W"}});
  const auto x = hu.contiguous();
  if (preset.mode == FitMode::crop) {
    const auto row = detail::rows_of(x);
    return detail::fit_rows(x.shape(), preset,
                            [&](index_t d, index_t h, index_t w, index_t n, float* out) {
                              std::copy_n(row(d, h, nullptr) + w, n, out);
                            });
  }
  const detail::InputValues value(preset);
  auto windowed = Tensor<float, Cpu>::empty(x.shape());
  for (index_t i = 0; i < x.numel(); ++i) windowed.data()[i] = value.window(x.data()[i]);
  const auto out = interpolate(windowed, std::span<const index_t>(preset.size),
                               Interpolation::linear);
  for (index_t i = 0; i < out.numel(); ++i) out.data()[i] = value.normalise(out.data()[i]);
  return out;
}

namespace detail {

/// A scan given by rows of HU (see resample_planes) to the network's input. Where it is cropped
/// nothing is resampled but what is kept.
template <class Row>
Tensor<float, Cpu> rows_to_input(const Shape& shape, const std::array<double, 3>& spacing,
                                 const CtPreset& preset, Row row) {
  const auto size = resampled_size(shape, spacing, preset.spacing);
  if (preset.mode == FitMode::resize)
    return ct_network_input(resample_rows(shape, size, row), preset);
  std::array<PlaneAxis, 3> axes;
  std::array<index_t, 3> to{};
  bool padded = false;
  for (std::size_t d = 0; d < 3; ++d) {
    const FittedAxis fit(size[d], preset.size[d]);
    axes[d] = plane_axis(shape[static_cast<int>(d)], size[d], fit.from, fit.count);
    to[d] = fit.to;
    padded = padded || fit.count < preset.size[d];
  }
  const InputValues value(preset);
  const Shape want{preset.size[0], preset.size[1], preset.size[2]};
  const auto out = padded ? Tensor<float, Cpu>::full(want, value.padding())
                          : Tensor<float, Cpu>::empty(want);
  float* first = out.data() + (to[0] * want[1] + to[1]) * want[2] + to[2];
  const index_t count = axes[2].count;
  resample_planes(
      Cpu{}, axes, row, [=](index_t d, index_t h) { return first + (d * want[1] + h) * want[2]; },
      [=](float* v) {
        for (index_t i = 0; i < count; ++i) v[i] = value(v[i]);
      });
  return out;
}

}  // namespace detail

/// A whole scan in HU to the network's input: resample, window, fit, normalise.
/// @throws hlip::error when the volume is not in HU
HLIP_LAZY Tensor<float, Cpu> preprocess_ct(const Volume& volume, const CtPreset& preset) {
  if (volume.unit != Unit::hounsfield)
    fail("preprocess_ct", "{}: values are {}, expected HU; call to_hounsfield first", volume.source,
         unit_name(volume.unit));
  expect_shape("preprocess_ct", "voxels", volume.voxels.shape(), {{"D"}, {"H"}, {"W"}});
  const auto from = volume.voxels.contiguous();
  return detail::rows_to_input(from.shape(), volume.spacing, preset, detail::rows_of(from));
}

HLIP_END
