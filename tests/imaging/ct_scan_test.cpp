#include "../io/temp_folder.hpp"

#include <hlip/core/random.hpp>
#include <hlip/imaging/ct_scan.hpp>
#include <hlip/io/gzip_libdeflate.hpp>

#include <doctest/doctest.h>
#include <omp.h>

using namespace hlip;

namespace {

const Shape shape{9, 40, 30};
const Affine affine = scaling_affine({5, 0.8, 1.3});

// A body in air, with every value a CT has.
template <class T> std::vector<T> body() {
  std::vector<T> v(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<T>(std::is_unsigned_v<T> || sizeof(T) == 1
                              ? 100 * uniform_at({3, 2, 1}, i)
                              : 3000 * uniform_at({3, 2, 1}, i) - 200);
  return v;
}

// What the long way round makes of a file.
Volume slow(const std::string& path, double slope, double intercept) {
  return to_hounsfield(read_nifti(path), slope, intercept);
}
Tensor<float> slow_resample(const Volume& hu, const CtPreset& p) {
  const auto size = resampled_size(hu.voxels.shape(), hu.spacing, p.spacing);
  return interpolate(hu.voxels, std::span<const index_t>(size), Interpolation::linear);
}

template <class T>
void check(const std::string& path, double file_slope, double slope, double intercept) {
  write_nifti<T>(path, body<T>(), shape, affine, file_slope, file_slope == 1 ? 0 : 3.25);
  const CtScan scan(StoredVolume(path), slope, intercept);
  const auto hu = slow(path, slope, intercept);
  CHECK(to_volume(scan).voxels.to_vector() == hu.voxels.to_vector());
  CtPreset p;
  p.spacing = {3, 1.1, 1};
  const auto resampled = resample_to_spacing(scan, p.spacing);
  const auto want = resample_to_spacing(hu, p.spacing);
  CHECK(resampled.voxels.to_vector() == slow_resample(hu, p).to_vector());
  CHECK(want.voxels.to_vector() == resampled.voxels.to_vector());
  CHECK(resampled.affine == want.affine);
  CHECK(resampled.spacing == want.spacing);
  CHECK(resampled.unit == Unit::hounsfield);
  for (const std::array<index_t, 3>& size :
       {std::array<index_t, 3>{8, 16, 16}, {20, 50, 60}, {15, 100, 20}})
    for (const FitMode mode : {FitMode::crop, FitMode::resize}) {
      p.size = size;
      p.mode = mode;
      const auto input = ct_network_input(slow_resample(hu, p), p).to_vector();
      CHECK(preprocess_ct(scan, p).to_vector() == input);
      CHECK(preprocess_ct(hu, p).to_vector() == input);
    }
}

}  // namespace

TEST_CASE(
    "ct_scan: one pass gives the bits of the long way round, for every voxel type and any number "
    "of threads") {
  TempFolder folder;
  const int before = omp_get_max_threads();
  for (const int threads : {1, 3}) {
    omp_set_num_threads(threads);
    for (const char* name : {"a.nii", "a.nii.gz"}) {
      check<std::int16_t>(folder / name, 1, 1, -1024);
      check<std::int16_t>(folder / name, 0.7, 1.3, -1000.5);
      check<std::uint8_t>(folder / name, 1, 12, -1024);
      check<std::int8_t>(folder / name, 2, 1, 0);
      check<std::uint16_t>(folder / name, 1, 1, 0);
      check<std::int32_t>(folder / name, 1, 1, -1024);
      check<float>(folder / name, 1, 1, -1024);
      check<double>(folder / name, 0.5, 1, -1024);
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE(
    "ct_scan: a survey counts odd voxels and warns of values that are no HU, as the whole volume "
    "would") {
  TempFolder folder;
  std::vector<float> v(static_cast<std::size_t>(shape.numel()), 30.f);
  for (std::size_t i = 0; i < v.size(); i += 3) v[i] = -1000;
  write_nifti<float>(folder / "good.nii.gz", v, shape, affine);
  CtScan good(StoredVolume(folder / "good.nii.gz"), 1, 0);
  const HuRange range = survey(good);
  CHECK(good.frame.warnings.empty());
  CHECK(range.min == -1000);
  CHECK(range.max == 30);
  CHECK(range.air == doctest::Approx(1.0 / 3));
  CHECK(range.tissue == doctest::Approx(2.0 / 3));
  v[5] = std::nanf("");
  v[7] = INFINITY;
  write_nifti<float>(folder / "odd.nii", v, shape, affine);
  CtScan odd(StoredVolume(folder / "odd.nii"), 1, 2000);
  CHECK(survey(odd).warning == hu_range(to_volume(odd).voxels).warning);
  REQUIRE(odd.frame.warnings.size() == 2);
  CHECK(odd.frame.warnings[0] == "2 voxels are not finite and were replaced");
  // Voxel 5 is air now
  CHECK(odd.frame.warnings[1].find("was the intercept applied?") == std::string::npos);
  CHECK_THROWS_WITH_AS(CtScan(StoredVolume(folder / "odd.nii"), 0, 1),
                       doctest::Contains("give no HU"), error);
}

TEST_CASE("ct_scan: a damaged file is refused with or without the fast library") {
  TempFolder folder;
  write_nifti<std::int16_t>(folder / "a.nii.gz", body<std::int16_t>(), shape, affine);
  auto bytes = read_file(folder / "a.nii.gz");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
  atomic_write(folder / "b.nii.gz", bytes);
  atomic_write(folder / "c.nii.gz", bytes.substr(0, bytes.size() / 2));
  const auto fast = detail::fast_gunzip;
  REQUIRE(bool(fast));
  for (const auto engine : {fast, decltype(fast){nullptr}}) {
    detail::fast_gunzip = engine;
    CHECK(CtScan(StoredVolume(folder / "a.nii.gz"), 1, 0).shape() == shape);
    CHECK_THROWS_WITH_AS(StoredVolume(folder / "b.nii.gz"), doctest::Contains("b.nii.gz"), error);
    CHECK_THROWS_WITH_AS(StoredVolume(folder / "c.nii.gz"), doctest::Contains("c.nii.gz"), error);
  }
  detail::fast_gunzip = fast;
}
