// The views of a picture that self-distillation learns from: two large crops and several small
// ones, each changed at random.
// Source: Oquab et al., "DINOv2", 2023, and its data/augmentations.py; Pérez-García et al.,
// "RAD-DINO", 2024.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/core/random.hpp>
#include <hlip/imaging/augment/colour.hpp>
#include <hlip/imaging/augment/crop_box.hpp>
#include <hlip/imaging/augment/gaussian_blur.hpp>
#include <hlip/imaging/augment/normalize.hpp>
#include <hlip/imaging/augment/resized_crop.hpp>
#include <hlip/tensor/tensor.hpp>

#include <array>
#include <cstdint>
#include <vector>

HLIP_BEGIN

/// How the size of a crop is drawn: as a share of the picture's area, with an aspect, or as the
/// side of a square in shares of the picture's shorter side.
enum class CropMode { area, side };

/// Everything that is drawn at random. The defaults are DINOv2's, with local crops for patches of
/// 14. Of grey pictures, saturation, hue and `gray` change nothing.
struct MultiCropOptions {
  index_t global_size = 224, local_size = 98;  ///< sides of the views
  index_t local_count = 8;                     ///< global ones are two
  CropMode mode = CropMode::area;
  std::array<double, 2> global_scale = {0.32, 1}, local_scale = {0.05, 0.32};
  std::array<double, 2> aspect = {3.0 / 4, 4.0 / 3};  ///< width over height, of areas
  double flip = 0.5;                                  ///< probability, as all that follow
  double jitter = 0.8;
  /// Strengths of the jitter: factors are drawn from 1 - x … 1 + x, a shift of the hue from -x … x.
  double brightness = 0.4, contrast = 0.4, saturation = 0.2, hue = 0.1;
  double gray = 0.2;
  std::array<double, 2> global_blur = {1.0, 0.1};  ///< of the first and the second global view
  double local_blur = 0.5;
  std::array<double, 2> sigma = {0.1, 2};  ///< of the blur, in pixels of the view
  /// Blur with 1 - probability, as DINOv2's code does: 0, 0.9 and 0.5 of its settings.
  bool complement_blur = false;
  double solarize = 0.2;  ///< of the second global view
  int solarize_threshold = 128;
  LevelScale levels = imagenet_levels;
  index_t channels = 3;  ///< of the views; 1 for grey pictures only
  friend bool operator==(const MultiCropOptions&, const MultiCropOptions&) = default;
};

/// DINOv2's views.
HLIP_LAZY MultiCropOptions dinov2_crops() { return {}; }

/// RAD-DINO's: 518 and 196 pixels, larger crops, less blur, nothing that needs colour. What the
/// paper leaves open is a choice: the number of local crops, the rates of the blur, the strength of
/// the jitter, and that its ranges are shares of the area (CropMode::side: of the side).
HLIP_LAZY MultiCropOptions rad_dino_crops() {
  MultiCropOptions o;
  o.global_size = 518, o.local_size = 196;
  o.global_scale = {0.5, 1}, o.local_scale = {0.2, 0.5};
  o.saturation = o.hue = o.gray = o.solarize = 0;
  o.global_blur = {0.1, 0.1};
  o.levels = rad_dino_levels;
  return o;
}

/// Throws unless the options can be carried out.
HLIP_LAZY void check_multi_crop(const MultiCropOptions& o) {
  constexpr const char* where = "multi_crop";
  expect(o.global_size >= 1 && o.global_size <= 4096 && o.local_size >= 1 && o.local_size <= 4096,
         where, "views of {} and {} pixels, expected 1 to 4096", o.global_size, o.local_size);
  expect(o.local_count >= 0 && o.local_count <= 1024, where, "{} local views, expected 0 to 1024",
         o.local_count);
  for (const auto& [low, high] : {o.global_scale, o.local_scale})
    expect(low > 0 && low <= high && high <= 1, where,
           "a scale from {} to {}, expected it within 0 to 1 (and above 0)", low, high);
  expect(o.aspect[0] >= 0.01 && o.aspect[0] <= o.aspect[1] && o.aspect[1] <= 100, where,
         "an aspect from {} to {}, expected it within 0.01 to 100", o.aspect[0], o.aspect[1]);
  for (const double p : {o.flip, o.jitter, o.gray, o.global_blur[0], o.global_blur[1], o.local_blur,
                         o.solarize, o.brightness, o.contrast, o.saturation})
    expect(p >= 0 && p <= 1, where, "a probability or strength of {}, expected 0 to 1", p);
  expect(o.hue >= 0 && o.hue <= 0.5, where, "a hue of {} turns, expected 0 to 0.5", o.hue);
  expect(o.sigma[0] > 0 && o.sigma[0] <= o.sigma[1] && o.sigma[1] <= 1e3, where,
         "a sigma from {} to {}, expected it within 0 (and above) to 1000", o.sigma[0], o.sigma[1]);
  expect(o.solarize_threshold >= 0 && o.solarize_threshold <= 256, where,
         "a solarize_threshold of {}, expected 0 to 256", o.solarize_threshold);
  expect(o.channels == 1 || o.channels == 3, where, "{} channels, expected 1 or 3", o.channels);
  check_levels(o.levels);
}

namespace detail {

/// What views of one kind are.
struct ViewKind {
  index_t size = 0;
  std::array<double, 2> scale = {};
  double blur = 0, solarize = 0;
};

/// Brightness, contrast, saturation and hue, in an order that is drawn too.
HLIP_LAZY void jitter_colours(BytePicture& x, const MultiCropOptions& o, RandomStream& random) {
  std::vector<int> order = {0, 1, 2, 3};
  random.shuffle(order);
  const double strength[] = {o.brightness, o.contrast, o.saturation, o.hue};
  std::array<double, 4> drawn;  // in a fixed order, so that what one is does not move the others
  for (std::size_t k = 0; k < 4; ++k) drawn[k] = random.uniform(-strength[k], strength[k]);
  for (const int k : order) {
    const double v = drawn[static_cast<std::size_t>(k)];
    if (strength[k] == 0) continue;
    if (k == 0) adjust_brightness(x, 1 + v);
    else if (k == 1) adjust_contrast(x, 1 + v);
    else if (k == 2) adjust_saturation(x, 1 + v);
    else adjust_hue(x, v);
  }
}

/// One view, normalised, written to `to`.
HLIP_LAZY void draw_view(const BytePicture& x, const MultiCropOptions& o, const ViewKind& kind,
                         RandomStream& random, float* to) {
  const auto uniform = [&] { return random.uniform(); };
  const CropBox box = o.mode == CropMode::area
                          ? sample_crop_box(x.height, x.width, kind.scale, o.aspect, uniform)
                          : sample_square_box(x.height, x.width, kind.scale, uniform);
  auto view = resized_crop(x, box, kind.size, kind.size);
  if (random.chance(o.flip)) hflip(view);
  if (random.chance(o.jitter)) jitter_colours(view, o, random);
  if (random.chance(o.gray)) rgb_to_grayscale(view);
  if (random.chance(o.complement_blur ? 1 - kind.blur : kind.blur))
    gaussian_blur(view, random.uniform(o.sigma[0], o.sigma[1]));
  if (random.chance(kind.solarize)) solarize(view, o.solarize_threshold);
  normalize_into(view, o.levels, o.channels, to);
}

}  // namespace detail

/// The views of one picture, row by row of the batch dimension.
struct MultiCropViews {
  Tensor<float, Cpu> global;  ///< (2, C, global_size, global_size)
  Tensor<float, Cpu> local;   ///< (local_count, C, local_size, local_size)
};

/// Draws the views of a picture: crop (bicubic), flip, colour jitter, gray, blur, solarising,
/// normalisation. A pure function of its arguments, on one thread; grey pictures are worked on in
/// one channel.
/// @param key names the draw: seed, epoch and number of the picture; each view has a stream of its
/// own, so that the number of local views changes no other
/// @throws hlip::error for options that cannot be carried out
HLIP_LAZY MultiCropViews multi_crop(const BytePicture& x, const MultiCropOptions& o,
                                    RandomKey key) {
  expect_picture(x, "multi_crop");
  check_multi_crop(o);
  expect(o.channels == 3 || x.channels == 1, "multi_crop",
         "a coloured picture for views of {} channel, expected a grey one", o.channels);
  MultiCropViews out;
  out.global = Tensor<float, Cpu>::empty({2, o.channels, o.global_size, o.global_size});
  out.local = Tensor<float, Cpu>::empty({o.local_count, o.channels, o.local_size, o.local_size});
  for (index_t i = 0; i < 2 + o.local_count; ++i) {
    const bool global = i < 2;
    detail::ViewKind kind{global ? o.global_size : o.local_size,
                          global ? o.global_scale : o.local_scale, o.local_blur, 0};
    if (global) kind.blur = o.global_blur[static_cast<std::size_t>(i)];
    if (i == 1) kind.solarize = o.solarize;
    RandomStream random(key, static_cast<std::uint64_t>(i) << 32);
    const index_t floats = o.channels * kind.size * kind.size;
    float* to = global ? out.global.data() + i * floats : out.local.data() + (i - 2) * floats;
    detail::draw_view(x, o, kind, random, to);
  }
  return out;
}

/// The views of a radiograph, windowed to 8 bits.
HLIP_LAZY MultiCropViews multi_crop(const Radiograph& x, const MultiCropOptions& o, RandomKey key) {
  return multi_crop(to_byte_picture(x), o, key);
}

HLIP_END
