#include "../support/errors.hpp"

#include <hlip/imaging/augment/volume_views.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

using namespace hlip;
using test::error_of;

namespace {

/// A scan whose voxel (d, h, w) says where it lies.
Tensor<float, Cpu> scan_of(index_t d, index_t h, index_t w, float offset = 0) {
  auto scan = Tensor<float, Cpu>::empty({d, h, w});
  for (index_t i = 0; i < scan.numel(); ++i) scan.data()[i] = offset + static_cast<float>(i);
  return scan;
}
VolumeViewOptions options() {
  VolumeViewOptions o;
  o.global_size = {4, 6, 8}, o.local_size = {2, 3, 4};
  o.local_count = 3;
  return o;
}
bool same(const Tensor<float, Cpu>& a, const Tensor<float, Cpu>& b) {
  return a.shape() == b.shape() && a.to_vector() == b.to_vector();
}

}  // namespace

TEST_CASE("volume views: boxes lie inside, and have the share of voxels that was asked") {
  const Shape volume{20, 30, 40};
  double low = 1, high = 0;
  for (std::uint64_t draw = 0; draw < 500; ++draw) {
    RandomStream random({draw, 1, 0});
    const VoxelBox box = sample_voxel_box(volume, {0.2, 0.5}, 4.0 / 3,
                                          [&] { return random.uniform(); });
    double share = 1;
    for (int d = 0; d < 3; ++d) {
      const auto at = static_cast<std::size_t>(d);
      REQUIRE(box.size[at] >= 1);
      REQUIRE(box.from[at] >= 0);
      REQUIRE(box.from[at] + box.size[at] <= volume[d]);
      share *= static_cast<double>(box.size[at]) / static_cast<double>(volume[d]);
    }
    REQUIRE(share > 0.15);
    REQUIRE(share < 0.55);
    low = std::min(low, share), high = std::max(high, share);
  }
  CHECK(low < 0.25);
  CHECK(high > 0.45);
}

TEST_CASE("volume views: a volume of one voxel, and a whole volume, are boxes too") {
  for (std::uint64_t draw = 0; draw < 50; ++draw) {
    RandomStream random({draw, 2, 0});
    const auto uniform = [&] { return random.uniform(); };
    CHECK(sample_voxel_box({1, 1, 1}, {0.001, 0.001}, 4.0 / 3, uniform).size[2] == 1);
    const VoxelBox whole = sample_voxel_box({5, 6, 7}, {1, 1}, 1, uniform);
    CHECK(whole.size == std::array<index_t, 3>{5, 6, 7});
    CHECK(whole.from == std::array<index_t, 3>{0, 0, 0});
  }
}

TEST_CASE(
    "volume views: two large ones of all scans and small ones of some; one key draws the same, "
    "another key others") {
  const std::vector scans{scan_of(6, 8, 10), scan_of(5, 9, 9, 1000), scan_of(4, 6, 8, 2000)};
  VolumeViewOptions o = options();
  o.local_scans = 2;
  const RandomKey key{1, 2, 3};
  const MultiCropViews views = volume_views(scans, o, key);
  CHECK(views.global.shape() == Shape{2, 3, 1, 4, 6, 8});
  CHECK(views.local.shape() == Shape{3, 2, 1, 2, 3, 4});
  const MultiCropViews again = volume_views(scans, o, key);
  CHECK(same(views.global, again.global));
  CHECK(same(views.local, again.local));
  CHECK_FALSE(same(views.global, volume_views(scans, o, {1, 2, 4}).global));
  CHECK_FALSE(same(views.global.slice(0, 0, 1), views.global.slice(0, 1, 2)));
  o.local_count = 1;  // the number of small views changes no other
  const MultiCropViews fewer = volume_views(scans, o, key);
  CHECK(same(views.global, fewer.global));
  CHECK(same(views.local.slice(0, 0, 1), fewer.local));
  o.local_count = 0;
  CHECK(volume_views(scans, o, key).local.numel() == 0);
}

TEST_CASE("volume views: without cropping and jitter a view is the scan; jitter is c·x + b") {
  const std::vector scans{scan_of(4, 6, 8)};
  VolumeViewOptions o = options();
  o.global_scale = {1, 1}, o.aspect = 1, o.jitter = 0, o.local_count = 0;
  const auto plain = volume_views(scans, o, {}).global;
  CHECK(same(plain.slice(0, 0, 1).reshape({4, 6, 8}), scans[0]));
  o.jitter = 1;
  const auto changed = volume_views(scans, o, {}).global;
  for (index_t view = 0; view < 2; ++view) {
    const auto v = changed.slice(0, view, view + 1).contiguous().to_vector();
    const float c = v[1] - v[0], b = v[0];
    CHECK(std::abs(c - 1) <= 0.2001f);
    CHECK(std::abs(b) <= 0.2001f);
    for (std::size_t i = 0; i < v.size(); ++i)
      CHECK(v[i] == doctest::Approx(c * static_cast<float>(i) + b).epsilon(1e-4));
  }
}

TEST_CASE("volume views: a small view shows a part; what cannot be carried out is said") {
  const std::vector scans{scan_of(16, 16, 16)};
  VolumeViewOptions o = options();
  o.jitter = 0;
  o.local_scale = {0.2, 0.2};
  const auto local = volume_views(scans, o, {3, 0, 0}).local.select(0, 0).contiguous().to_vector();
  float least = local[0], most = local[0];
  for (const float x : local) least = std::min(least, x), most = std::max(most, x);
  CHECK(least >= 0);
  CHECK(most <= 16 * 16 * 16 - 1);
  CHECK(most - least < 0.97f * (16 * 16 * 16 - 1));  // twelve of sixteen slices at most
  o.local_scale = {0.5, 0.2};
  CHECK(error_of([&] { volume_views(scans, o, {}); }) ==
        "volume_views: a scale from 0.5 to 0.2, expected it within 0 to 1 (and above 0)");
  CHECK(error_of([&] { volume_views({}, options(), {}); }) ==
        "volume_views: a study without scans");
  CHECK(error_of([&] {
          volume_views({Tensor<float, Cpu>::zeros({2, 2})}, options(), {});
        }).find("scan") != std::string::npos);
}
