// Kind volume_preparation: resampling kernels, CT to HU at a spacing, network inputs of CT and MRI.
// Volumes are prepared on the host whatever the backend; the kernels run on it.
#pragma once

#include "fixture.hpp"

#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/imaging/preprocess_mri.hpp>

namespace golden {

namespace detail {

inline void compare_sums(Fixture& f, const std::string& name, const Tensor<float, Cpu>& x) {
  double sum = 0, squares = 0;
  for (const double v : x.to_vector()) sum += v, squares += v * v;
  f.compare(name, std::vector<double>{sum, squares}, sums);
}

/// Numbers of a list that are spacings in mm.
inline std::vector<double> spacings_of(const Json& list, const char* what, std::size_t count) {
  std::vector<double> out;
  for (const auto& x : list_of(list, what, count)) out.push_back(number_of(x, what));
  for (const double mm : out)
    if (!(mm > 0)) fail("config", "{} holds {}, expected mm", what, mm);
  return out;
}

inline void compare_ct_input(Fixture& f, const std::string& chest, FitMode mode) {
  CtPreset preset;
  preset.mode = mode;
  const bool crop = mode == FitMode::crop;
  const Limit limit = crop ? forward : resized_volume;
  const auto x = ct_network_input(f.tensor<Cpu>("input." + chest), preset);
  const std::string at = "output." + chest + (crop ? ".crop." : ".resize.");
  f.compare(at + "sub",
            x.slice(0, 0, x.dim(0), 8).slice(1, 0, x.dim(1), 24).slice(2, 0, x.dim(2), 24), limit);
  f.compare(at + "corner", static_cast<double>(x.at({0, 0, 0})), limit);
  if (crop || f.contains(at + "centre"))
    f.compare(at + "centre", x.slice(0, 52, 60).slice(1, 160, 176).slice(2, 160, 176), limit);
  compare_sums(f, at + "sums", x);
}

}  // namespace detail

template <class B> void check_volume_preparation(Fixture& f) {
  // One function: the published steps in their order, each compared.
  const Json& j = f.config();
  const auto number = [](const std::string& name, std::size_t i) {
    return name + std::to_string(i);
  };

  std::size_t i = 0;
  const auto kernel = f.tensor<B>("input.kernel");
  for (const auto& sizes : list_of(entry(j, "kernel_out"), "kernel_out")) {
    const Shape to = shape_of(sizes, "kernel_out", 3);
    f.require(number("output.trilinear", i), to);
    f.compare(number("output.trilinear", i),
              interpolate(kernel, {to[0], to[1], to[2]}, Interpolation::linear), interpolated);
    f.compare(number("output.nearest_exact", i),
              interpolate(kernel, {to[0], to[1], to[2]}, Interpolation::nearest_exact), exact);
    f.compare(number("output.bilinear", i),
              interpolate(kernel, {to[1], to[2]}, Interpolation::linear), interpolated);
    ++i;
  }

  const auto xy = detail::spacings_of(entry(j, "spacing_xy"), "spacing_xy", 2);
  const double z = detail::spacings_of(Json::array({entry(j, "spacing_z")}), "spacing_z", 1)[0];
  Volume raw;
  raw.source = f.path();
  raw.voxels = f.tensor<Cpu>("input.raw");
  raw.spacing = {z, xy[1], xy[0]};
  raw.affine = scaling_affine(raw.spacing);
  raw.unit = Unit::stored;
  f.compare(
      "output.stored",
      resample_to_spacing(to_hounsfield(raw, number_at(j, "slope"), number_at(j, "intercept")),
                          CtPreset{}.spacing)
          .voxels,
      stored_hu);

  for (i = 0; i < list_of(entry(j, "stored_shapes"), "stored_shapes").size(); ++i)
    for (const FitMode mode : {FitMode::crop, FitMode::resize})
      detail::compare_ct_input(f, number("chest", i), mode);

  i = 0;
  for (const auto& spacing : list_of(entry(j, "mri_spacing"), "mri_spacing")) {
    const auto xyz = detail::spacings_of(spacing, "mri_spacing", 3);
    const std::array<double, 3> zyx{xyz[2], xyz[1], xyz[0]};
    f.compare(number("output.mri", i),
              scale_by_percentiles(slices_first(f.tensor<Cpu>("input.mri"), zyx)), interpolated);
    const char* view = std::array{"axial", "coronal",
                                  "sagittal"}[static_cast<std::size_t>(slice_axis(zyx))];
    const std::string wanted = f.file().metadata(number("mri_view", i));
    f.demand(wanted.empty() || wanted == view, "mri_view{} is {} here, {} in the file", i, view,
             wanted);
    ++i;
  }

  MriPreset preset;
  preset.num_slices = size_at(j, "brain_slices");
  f.require("output.brain.sub", {preset.num_slices, 14, 14});
  const auto x = mri_network_input(f.tensor<Cpu>("input.brain"), preset);
  f.compare("output.brain.sub", x.slice(1, 0, x.dim(1), 16).slice(2, 0, x.dim(2), 16),
            interpolated);
  f.compare("output.brain.centre",
            x.select(0, preset.num_slices / 2).slice(0, 104, 120).slice(1, 104, 120), interpolated);
  detail::compare_sums(f, "output.brain.sums", x);
}

}  // namespace golden
