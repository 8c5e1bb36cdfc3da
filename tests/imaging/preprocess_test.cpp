#include <hlip/imaging/hu_range.hpp>
#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/imaging/preprocess_mri.hpp>
#include <hlip/io/json.hpp>
#include <hlip/io/safetensors.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

// Largest difference, relative to 1 + |wanted|.
double difference(const Tensor<float>& got, const Tensor<float>& want) {
  REQUIRE(got.shape() == want.shape());
  const auto g = got.to_vector(), w = want.to_vector();
  double worst = 0;
  for (std::size_t i = 0; i < g.size(); ++i)
    worst = std::max(worst, std::abs(double(g[i]) - w[i]) / (1 + std::abs(double(w[i]))));
  return worst;
}
double absolute_difference(const Tensor<float>& got, const Tensor<float>& want) {
  REQUIRE(got.shape() == want.shape());
  const auto g = got.to_vector(), w = want.to_vector();
  double worst = 0;
  for (std::size_t i = 0; i < g.size(); ++i) worst = std::max(worst, std::abs(double(g[i]) - w[i]));
  return worst;
}
// Sum and sum of squares against the fixture, relative.
double sums_difference(const Tensor<float>& x, const std::vector<double>& want) {
  double sum = 0, squares = 0;
  for (const double v : x.to_vector()) sum += v, squares += v * v;
  return std::max(std::abs(sum - want[0]) / std::abs(want[0]),
                  std::abs(squares - want[1]) / std::abs(want[1]));
}

struct Fixture {
  SafetensorsFile file{std::string(HLIP_SOURCE_DIR) +
                       "/tests/golden/hlip/volume_preparation.safetensors"};
  Json config = parse_json(file.metadata("config"), "config");
  Tensor<float> operator()(const std::string& name) const { return file.tensor<float>(name); }
};

}  // namespace

TEST_CASE("preprocess: resampling kernels equal the reference") {
  const Fixture golden;
  const auto x = golden("input.kernel");
  for (const int i : {0, 1}) {
    const auto n =
        golden.config["kernel_out"][static_cast<std::size_t>(i)].get<std::array<index_t, 3>>();
    const auto id = std::to_string(i);
    CHECK(difference(interpolate(x, {n[0], n[1], n[2]}, Interpolation::linear),
                     golden("output.trilinear" + id)) < 1e-5);
    CHECK(difference(interpolate(x, {n[0], n[1], n[2]}, Interpolation::nearest_exact),
                     golden("output.nearest_exact" + id)) == 0);
    CHECK(difference(interpolate(x, {n[1], n[2]}, Interpolation::linear),
                     golden("output.bilinear" + id)) < 1e-5);
  }
}

TEST_CASE("preprocess: stored values become HU at 3 x 1 x 1 mm as in the reference") {
  const Fixture golden;
  const auto xy = golden.config["spacing_xy"].get<std::array<double, 2>>();
  Volume v;
  v.voxels = golden("input.raw");
  v.spacing = {golden.config["spacing_z"].get<double>(), xy[1], xy[0]};
  v.affine = scaling_affine(v.spacing);
  v.unit = Unit::stored;
  const CtPreset preset;
  const auto hu = resample_to_spacing(
      to_hounsfield(v, golden.config["slope"], golden.config["intercept"]), preset.spacing);
  CHECK(hu.unit == Unit::hounsfield);
  CHECK(absolute_difference(hu.voxels, golden("output.stored")) < 5e-3);
}

TEST_CASE("preprocess: the network's input equals the reference, cropped and resized") {
  const Fixture golden;
  for (const std::string name : {"chest0", "chest1"})
    for (const FitMode mode : {FitMode::crop, FitMode::resize}) {
      CAPTURE(name);
      CtPreset preset;
      preset.mode = mode;
      const bool crop = mode == FitMode::crop;
      const auto x = ct_network_input(golden("input." + name), preset);
      CHECK(x.shape() == Shape{112, 336, 336});
      const auto at = "output." + name + (crop ? ".crop." : ".resize.");
      const double tolerance = crop ? 1e-5 : 2e-4;
      CHECK(difference(x.slice(0, 0, 112, 8).slice(1, 0, 336, 24).slice(2, 0, 336, 24),
                       golden(at + "sub")) < tolerance);
      CHECK(std::abs(x.at({0, 0, 0}) - golden(at + "corner").item()) < tolerance);
      if (crop)
        CHECK(difference(x.slice(0, 52, 60).slice(1, 160, 176).slice(2, 160, 176),
                         golden(at + "centre")) < tolerance);
      CHECK(sums_difference(x, golden.file.values<double>(at + "sums")) < (crop ? 1e-5 : 2e-4));
    }
}

TEST_CASE("preprocess: MRI scans equal the reference") {
  const Fixture golden;
  for (const std::size_t i : {0, 1, 2}) {
    const auto xyz = golden.config["mri_spacing"][i].get<std::array<double, 3>>();
    CHECK(difference(
              scale_by_percentiles(slices_first(golden("input.mri"), {xyz[2], xyz[1], xyz[0]})),
              golden("output.mri" + std::to_string(i))) < 1e-5);
  }
  MriPreset preset;
  preset.num_slices = golden.config["brain_slices"];
  const auto x = mri_network_input(golden("input.brain"), preset);
  CHECK(x.shape() == Shape{preset.num_slices, 224, 224});
  CHECK(difference(x.slice(1, 0, 224, 16).slice(2, 0, 224, 16), golden("output.brain.sub")) < 2e-4);
  CHECK(difference(x.select(0, preset.num_slices / 2).slice(0, 104, 120).slice(1, 104, 120),
                   golden("output.brain.centre")) < 2e-4);
  CHECK(sums_difference(x, golden.file.values<double>("output.brain.sums")) < 1e-5);
}

TEST_CASE("preprocess: HU are applied once and odd voxels replaced") {
  Volume v;
  v.voxels = Tensor<float>::from_values({1, 2, 3},
                                        {0, 1024, 2000, std::nanf(""), INFINITY, -INFINITY});
  v.unit = Unit::stored;
  const auto hu = to_hounsfield(v, 1, -1024);
  CHECK(hu.voxels.to_vector() == std::vector<float>{-1024, 0, 976, -1024, 3071, -1024});
  CHECK(hu.warnings.size() == 1);
  CHECK(v.voxels.at({0, 0, 0}) == 0);
  CHECK_THROWS_WITH_AS(to_hounsfield(hu, 1, -1024), doctest::Contains("in HU already"), error);
  CHECK_THROWS_AS(to_hounsfield(v, 0, 1), error);
  CHECK_THROWS_WITH_AS(preprocess_ct(v, {}), doctest::Contains("expected HU"), error);
}

TEST_CASE("preprocess: resampling keeps the scan where it lies") {
  Volume v;
  v.voxels = Tensor<float>::zeros({10, 20, 31});
  v.affine = {{{-0.7, 0, 0, 90}, {0, -0.8, 0.1, 100}, {0, 0.1, 2.5, -300}, {0, 0, 0, 1}}};
  v.spacing = spacing_of(v.affine);
  const auto r = resample_to_spacing(v, {3, 1, 1});
  // The outer corners of the first and the last voxel stay in place.
  const auto corner = [](const Volume& w, bool last, std::size_t row) {
    double p = w.affine[row][3];
    for (std::size_t c = 0; c < 3; ++c)
      p += w.affine[row][c] *
           (last ? double(w.voxels.shape()[static_cast<int>(2 - c)]) - 0.5 : -0.5);
    return p;
  };
  for (std::size_t row = 0; row < 3; ++row)
    for (const bool last : {false, true})
      CHECK(corner(r, last, row) == doctest::Approx(corner(v, last, row)));
  for (std::size_t d = 0; d < 3; ++d)
    CHECK(spacing_of(r.affine)[d] == doctest::Approx(r.spacing[d]));
  v.spacing = {1e-9, 1, 1};
  CHECK_THROWS_WITH_AS(resample_to_spacing(v, {3, 1, 1}),
                       doctest::Contains("is the spacing right?"), error);
  v.spacing = {1e9, 1, 1};
  CHECK_THROWS_AS(resample_to_spacing(v, {3, 1, 1}), error);
}

TEST_CASE("preprocess: padding puts the extra voxel at the end, cropping starts at the floor") {
  const auto x = Tensor<float>::from_values({1, 1, 3}, {1, 2, 3});
  CHECK(pad_or_crop(x, {1, 1, 6}, 0).to_vector() == std::vector<float>{0, 1, 2, 3, 0, 0});
  CHECK(pad_or_crop(x, {1, 1, 2}, 0).to_vector() == std::vector<float>{1, 2});
  CHECK(pad_or_crop(x, {2, 1, 1}, 9).to_vector() == std::vector<float>{2, 9});
}

TEST_CASE("preprocess: a preset goes through its text unchanged") {
  CtPreset p;
  p.spacing = {9, 5.25, 5};
  p.window_hu = {-1000, 400.5};
  p.size = {32, 48, 64};
  p.mode = FitMode::resize;
  p.already_hu = true;
  CHECK(parse_ct_preset(to_string(p)) == p);
  CHECK(parse_ct_preset("") == CtPreset{});
  for (const char* bad :
       {"size=1,2", "size=1,2,3,4", "size=1,2,x", "size=0,1,1", "size=1.5,1,1", "mode=pad",
        "colour=red", "spacing", "window_hu=3,3", "spacing=nan,1,1", "std=0"})
    CHECK_THROWS_AS(parse_ct_preset(bad), error);
  set_preset_entry(p, "window_hu", "-100,200");
  CHECK(p.window_hu == std::array<double, 2>{-100, 200});
  CHECK_THROWS_WITH_AS(set_preset_entry(p, "window_hu", "-100,200 mode=crop"),
                       "ct preset: window_hu is \"200 mode=crop\", expected a number", error);
  CHECK_THROWS_WITH_AS(set_preset_entry(p, "mode", "pad"),
                       doctest::Contains("\"mode=pad\" is not understood; names are"), error);
}

TEST_CASE("preprocess: the range report tells HU from other values") {
  const auto trunk = Tensor<float>::from_values({6}, {-1000, -850, -50, 30, 60, 900});
  CHECK(hu_range(trunk).warning.empty());
  Volume v;
  v.voxels = trunk;
  v.unit = Unit::stored;
  CHECK(hu_range(to_hounsfield(v, 1, 1024).voxels).warning.find("was the intercept applied?") !=
        std::string::npos);
  v.voxels = Tensor<float>::from_values({5}, {-1000, -850, -50, 30, 60});
  CHECK(hu_range(to_hounsfield(v, 1, -1024).voxels).warning.find("twice") != std::string::npos);
  CHECK_FALSE(hu_range(Tensor<float>::full({3}, 7)).warning.empty());
}

TEST_CASE("preprocess: percentiles interpolate between order statistics") {
  std::vector<float> v{4, 1, 3, 2};
  CHECK(percentile(v, 50) == 2.5f);
  CHECK(percentile(v, 0) == 1);
  CHECK(percentile(v, 100) == 4);
  CHECK(scale_by_percentiles(Tensor<float>::full({2, 2, 2}, 7)).at({1, 1, 1}) == 0);
}
