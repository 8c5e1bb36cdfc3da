#include <hlip/imaging/ct_grid.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

std::array<double, 3> to_mm(const Affine& a, const std::array<double, 3>& dhw) {
  std::array<double, 3> mm{};
  for (std::size_t r = 0; r < 3; ++r)
    mm[r] = a[r][0] * dhw[2] + a[r][1] * dhw[1] + a[r][2] * dhw[0] + a[r][3];
  return mm;
}
CtPreset preset(const std::array<index_t, 3>& size, FitMode mode) {
  CtPreset p;
  p.spacing = {3, 2, 2}, p.size = size, p.mode = mode, p.mean = 0, p.std = 1,
  p.window_hu = {0, 1000};
  return p;
}
/// An oblique LPS scan of 5 x 0.9 x 0.8 mm.
Volume scan(const Shape& shape) {
  Volume v;
  v.affine = {
      {{-0.8, 0.05, 0.1, 90}, {-0.04, -0.9, 0.2, 120}, {0.01, 0.02, 5, -700}, {0, 0, 0, 1}}};
  v.spacing = spacing_of(v.affine);
  v.unit = Unit::hounsfield;
  v.voxels = Tensor<float, Cpu>::zeros(shape);
  return v;
}

}  // namespace

TEST_CASE(
    "ct_grid: a voxel of the scan and its place in the input are the same place in mm, cropped, "
    "padded or resized") {
  for (const FitMode mode : {FitMode::crop, FitMode::resize})
    for (const auto& size :
         {std::array<index_t, 3>{8, 16, 24}, std::array<index_t, 3>{40, 16, 64}}) {
      const Volume v = scan({17, 61, 83});
      const auto grid = ct_input_grid(v.voxels.shape(), v.spacing, preset(size, mode));
      const Affine input = input_affine(v.affine, grid);
      for (const std::array<double, 3> at :
           {std::array<double, 3>{0, 0, 0}, {16, 60, 82}, {3, 40, 11}}) {
        std::array<double, 3> there{};
        for (std::size_t d = 0; d < 3; ++d) there[d] = grid.scale[d] * at[d] + grid.offset[d];
        const auto a = to_mm(v.affine, at), b = to_mm(input, there);
        for (std::size_t r = 0; r < 3; ++r) CHECK(std::abs(a[r] - b[r]) < 1e-9);
      }
    }
}

TEST_CASE(
    "ct_grid: a spot drawn into a scan is found in the prepared input where the grid says it is") {
  for (const FitMode mode : {FitMode::crop, FitMode::resize}) {
    const auto p = preset({12, 24, 30}, mode);
    Volume v = scan({17, 61, 83});
    const std::array<index_t, 3> centre = {9, 33, 40};
    for (index_t d = -1; d <= 1; ++d)
      for (index_t h = -5; h <= 5; ++h)
        for (index_t w = -5; w <= 5; ++w)
          v.voxels.data()[((centre[0] + d) * 61 + centre[1] + h) * 83 + centre[2] + w] = 1000;
    const auto grid = ct_input_grid(v.voxels.shape(), v.spacing, p);
    const auto input = preprocess_ct(v, p);  // 0 … 1
    std::array<double, 3> mass{};
    double total = 0;
    for (index_t i = 0; i < input.numel(); ++i) {
      const double value = input.data()[i];
      total += value;
      mass[0] += value * static_cast<double>(i / (24 * 30)),
          mass[1] += value * static_cast<double>(i / 30 % 24),
          mass[2] += value * static_cast<double>(i % 30);
    }
    CHECK(total > 1);
    // resampling without antialias wobbles
    for (std::size_t d = 0; d < 3; ++d)
      CHECK(std::abs(mass[d] / total -
                     (grid.scale[d] * static_cast<double>(centre[d]) + grid.offset[d])) < 0.35);
  }
}

TEST_CASE(
    "ct_grid: one marked patch comes back to the mm it stands for, and what was cropped away is "
    "0") {
  const Shape patch{4, 8, 6};
  const auto p = preset({12, 24, 30}, FitMode::crop);
  const Volume v = scan({17, 61, 83});
  const auto grid = ct_input_grid(v.voxels.shape(), v.spacing, p);
  const Affine input = input_affine(v.affine, grid);
  auto patches = Tensor<float, Cpu>::zeros({3, 3, 5});
  const std::array<index_t, 3> marked = {1, 2, 3};
  patches.data()[(marked[0] * 3 + marked[1]) * 5 + marked[2]] = 1;
  const auto map = patches_to_scan(patches, patch, grid);
  CHECK(map.shape() == v.voxels.shape());
  std::array<double, 3> want{};  // the centre of that patch, in voxels of the input
  for (std::size_t d = 0; d < 3; ++d)
    want[d] = (static_cast<double>(marked[d]) + 0.5) *
                  static_cast<double>(patch[static_cast<int>(d)]) -
              0.5;
  index_t best = 0;
  for (index_t i = 0; i < map.numel(); ++i)
    if (map.data()[i] > map.data()[best]) best = i;
  const auto mm = to_mm(v.affine,
                        {static_cast<double>(best / (61 * 83)), static_cast<double>(best / 83 % 61),
                         static_cast<double>(best % 83)}),
             centre = to_mm(input, want);
  CHECK(map.data()[best] > 0.7f);
  CHECK(std::abs(mm[0] - centre[0]) < 0.9);
  CHECK(std::abs(mm[1] - centre[1]) < 1.2);
  CHECK(std::abs(mm[2] - centre[2]) < 2.6);  // slices are 5 mm apart

  const auto everywhere = patches_to_scan(Tensor<float, Cpu>::ones({3, 3, 5}), patch, grid);
  for (index_t i = 0; i < everywhere.numel(); ++i) {
    const std::array<double, 3> at = {static_cast<double>(i / (61 * 83)),
                                      static_cast<double>(i / 83 % 61),
                                      static_cast<double>(i % 83)};
    bool inside = true;
    for (std::size_t d = 0; d < 3; ++d) {
      const double there = grid.scale[d] * at[d] + grid.offset[d];
      inside = inside && there >= -0.5 && there <= static_cast<double>(grid.input[d]) - 0.5;
    }
    if ((everywhere.data()[i] == 1.f) != inside)
      FAIL_CHECK("voxel " << i << " is " << everywhere.data()[i]);
  }
}

TEST_CASE(
    "scan_slices: the number a slice of the input has in the scan, after resampling, cropping and "
    "padding") {
  CtPreset p;
  p.spacing = {3, 1, 1}, p.size = {8, 4, 4};
  const auto numbers = [&](index_t depth, double mm) {
    return scan_slices(ct_input_grid(Shape{depth, 4, 4}, std::array<double, 3>{mm, 1, 1}, p));
  };
  CHECK(numbers(8, 3) == std::vector<index_t>{0, 1, 2, 3, 4, 5, 6, 7});
  // The middle is cut out
  CHECK(numbers(12, 3) == std::vector<index_t>{2, 3, 4, 5, 6, 7, 8, 9});
  // padded on both sides
  CHECK(numbers(4, 3) == std::vector<index_t>{-1, -1, 0, 1, 2, 3, -1, -1});
  CHECK(numbers(24, 1) == std::vector<index_t>{1, 4, 7, 10, 13, 16, 19, 22});  // every third
}
