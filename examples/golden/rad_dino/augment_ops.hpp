// Kind augment_ops: operations on 8-bit pictures, on the host whatever the backend; resizes of
// floats on it.
#pragma once

#include "../fixture.hpp"

#include <hlip/imaging/augment/colour.hpp>
#include <hlip/imaging/augment/crop_box.hpp>
#include <hlip/imaging/augment/gaussian_blur.hpp>
#include <hlip/imaging/augment/normalize.hpp>
#include <hlip/imaging/augment/resized_crop.hpp>
#include <hlip/ops/interpolate.hpp>

namespace golden {

namespace detail {

/// Source: README.md beside the fixtures.
inline constexpr Limit one_level{Limit::Scale::absolute, 1};
inline constexpr double operator_tolerance = 2e-5;  // relative to the largest magnitude

inline BytePicture picture_of(const Fixture& f, const std::string& name) {
  const Shape& s = f.shape(name);
  if (s.rank() != 3) fail_file(f.path(), name, "is {}, expected (C, H, W)", to_string(s));
  auto x = BytePicture::of_size(s[0], s[1], s[2]);
  const auto values = f.reals(name);
  std::transform(values.begin(), values.end(), x.levels.begin(), [&](double v) {
    if (!(v >= 0 && v <= 255)) fail_file(f.path(), name, "holds {}, expected 0 to 255", v);
    return static_cast<std::uint8_t>(v);
  });
  expect_picture(x, name);
  return x;
}

inline void compare_picture(Fixture& f, const std::string& name, const BytePicture& x) {
  f.compare(name, std::vector<double>(x.levels.begin(), x.levels.end()),
            {x.channels, x.height, x.width}, one_level);
}

/// Compares floats relative to the largest of them.
template <class B>
void compare_to_largest(Fixture& f, const std::string& name, const Tensor<float, B>& x) {
  double largest = 0;
  for (const double v : f.reals(name)) largest = std::max(largest, std::abs(v));
  f.compare(name, x, {Limit::Scale::absolute, operator_tolerance * std::max(largest, 1e-30)});
}

/// Calls fn(name, number) for the outputs that are called "`what`number".
template <class Fn> void each_numbered(const Fixture& f, const std::string& what, Fn fn) {
  const std::string prefix = "output." + what;
  for (const auto& name : f.file().names())
    if (name.starts_with(prefix)) fn(name, std::stod(name.substr(prefix.size())));
}

inline CropBox crop_of(const Fixture& f, const std::string& number, index_t& size) {
  const auto v = f.integers("input.crop" + number + ".top_left_h_w_size");
  if (v.size() != 5) fail_file(f.path(), "input.crop" + number, "expected five numbers");
  size = v[4];
  if (size < 1 || size > 4096) fail_file(f.path(), "input.crop" + number, "a size of {}", size);
  return {v[0], v[1], v[2], v[3]};
}

inline void compare_adjustments(Fixture& f, const BytePicture& image) {
  const auto changed = [&](const std::string& what, auto fn) {
    each_numbered(f, what, [&](const std::string& name, double number) {
      BytePicture x = image;
      fn(x, number);
      compare_picture(f, name, x);
    });
  };
  changed("brightness_", [](BytePicture& x, double v) { adjust_brightness(x, v); });
  changed("contrast_", [](BytePicture& x, double v) { adjust_contrast(x, v); });
  changed("saturation_", [](BytePicture& x, double v) { adjust_saturation(x, v); });
  changed("hue_", [](BytePicture& x, double v) { adjust_hue(x, v); });
  changed("blur_", [](BytePicture& x, double v) { gaussian_blur(x, v); });
  changed("solarize", [](BytePicture& x, double v) { solarize(x, static_cast<int>(v)); });
  changed("gray", [](BytePicture& x, double channels) {
    rgb_to_grayscale(x);
    if (channels == 1) x.levels.resize(x.plane_size()), x.channels = 1;
  });
  BytePicture flipped = image;
  hflip(flipped);
  compare_picture(f, "output.hflip", flipped);
}

/// Boxes drawn from a tape of uniforms, each from its place on it.
inline void compare_crop_boxes(Fixture& f) {
  const std::string name = "output.rrc.top_left_h_w_start";
  const auto want = f.integers(name);
  const auto tape = f.reals("input.rrc.tape"), given = f.reals("input.rrc.scale_hw");
  if (want.size() % 5 != 0 || given.size() != want.size() / 5 * 4)
    fail_file(f.path(), name, "{} numbers, of the input {}", want.size(), given.size());
  std::vector<std::int64_t> got;
  for (std::size_t i = 0; i < want.size() / 5; ++i) {
    for (std::size_t k = 0; k < 4; ++k)
      if (!(given[4 * i + k] > 0 && given[4 * i + k] <= 1e6))
        fail_file(f.path(), "input.rrc.scale_hw", "holds {}", given[4 * i + k]);
    std::size_t at = static_cast<std::size_t>(want[5 * i + 4]);
    const auto box = sample_crop_box(static_cast<index_t>(given[4 * i + 2]),
                                     static_cast<index_t>(given[4 * i + 3]),
                                     {given[4 * i], given[4 * i + 1]}, {3.0 / 4, 4.0 / 3}, [&] {
                                       if (at >= tape.size())
                                         fail_file(f.path(), "input.rrc.tape", "is too short");
                                       return tape[at++];
                                     });
    for (const index_t v : {box.top, box.left, box.height, box.width}) got.push_back(v);
    got.push_back(want[5 * i + 4]);
  }
  f.compare_exact(name, got, f.shape(name));
}

}  // namespace detail

template <class B> void check_augment_ops(Fixture& f) {
  const BytePicture image = detail::picture_of(f, "input.image");
  detail::compare_adjustments(f, image);
  detail::compare_crop_boxes(f);

  detail::each_numbered(f, "crop", [&](const std::string& name, double number) {
    index_t size = 0;
    const auto box = detail::crop_of(f, std::to_string(static_cast<int>(number)), size);
    detail::compare_picture(f, name, resized_crop(image, box, size, size));
  });

  LevelScale scale;
  const Json numbers = f.said_json("normalise_mean_std");
  for (std::size_t c = 0; c < 3; ++c) {
    scale.mean[c] = number_of(list_of(list_of(numbers, "mean", 2)[0], "mean", 3)[c], "mean");
    scale.std[c] = number_of(list_of(numbers[1], "std", 3)[c], "std");
  }
  detail::compare_to_largest(f, "output.normalised", normalize(image, scale));

  index_t size = 0;
  const auto box = detail::crop_of(f, "0", size);
  const Tensor<float, Cpu> part = normalize(image, {1.0 / 255})
                                      .slice(1, box.top, box.top + box.height)
                                      .slice(2, box.left, box.left + box.width);
  const auto on_backend = to_backend<B>(part.contiguous());
  const std::pair<const char*, Interpolation> resizes[] = {
      {"bicubic_antialias0", Interpolation::cubic},
      {"bicubic_antialias1", Interpolation::cubic_antialias},
      {"bilinear_antialias0", Interpolation::linear},
      {"bilinear_antialias1", Interpolation::linear_antialias}};
  for (const auto& [name, mode] : resizes)
    detail::compare_to_largest(f, std::string("output.float_") + name,
                               interpolate(on_backend, {size, size}, mode));
}

}  // namespace golden
