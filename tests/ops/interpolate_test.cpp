#include <hlip/ops/interpolate.hpp>

#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>
#include <hlip/io/safetensors.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>

using namespace hlip;

namespace {

std::string golden(const std::string& name) {
  return std::string(HLIP_SOURCE_DIR) + "/tests/golden/hlip/" + name + ".safetensors";
}

template <class T, class B>
double largest_difference(const Tensor<T, B>& got, const Tensor<float, Cpu>& want) {
  REQUIRE(got.numel() == want.numel());
  const auto a = got.to_vector();
  const auto b = want.to_vector();
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= most)) most = difference;  // NaN counts
  }
  return most;
}

template <class T> Tensor<T, Cpu> random_tensor(const Shape& shape, std::uint32_t stream) {
  std::vector<T> v(static_cast<std::size_t>(shape.numel()));
  RandomStream random({11, stream, 0});
  for (auto& x : v) x = static_cast<T>(random.normal());
  return Tensor<T, Cpu>::from_values(shape, std::span<const T>(v));
}

double inner_product(const Tensor<double, Cpu>& a, const Tensor<double, Cpu>& b) {
  const auto x = a.to_vector(), y = b.to_vector();
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

constexpr Interpolation all_modes[] = {
    Interpolation::nearest, Interpolation::nearest_exact,    Interpolation::linear,
    Interpolation::cubic,   Interpolation::linear_antialias, Interpolation::cubic_antialias};

}  // namespace

// 1e-5: the README's limit for unit-scale data (float weights and sums).
TEST_CASE(
    "interpolate: trilinear, bilinear and nearest_exact agree with the published implementation") {
  const SafetensorsFile file(golden("volume_preparation"));
  const auto x = file.tensor<float>("input.kernel");
  for (int i = 0; i < 2; ++i) {
    const std::string n = std::to_string(i);
    const auto want = file.tensor<float>("output.trilinear" + n);
    const index_t d = want.dim(0), h = want.dim(1), w = want.dim(2);
    CHECK(largest_difference(interpolate(x, {d, h, w}, Interpolation::linear), want) < 1e-5);
    CHECK(largest_difference(interpolate(x, {h, w}, Interpolation::linear),
                             file.tensor<float>("output.bilinear" + n)) < 1e-5);
    CHECK(largest_difference(interpolate(x, {d, h, w}, Interpolation::nearest_exact),
                             file.tensor<float>("output.nearest_exact" + n)) == 0);
  }
}

TEST_CASE("interpolate: the same on the Reference backend") {
  const SafetensorsFile file(golden("volume_preparation"));
  const auto x = file.tensor<float, Reference>("input.kernel");
  CHECK(largest_difference(interpolate(x, {8, 5, 9}, Interpolation::linear),
                           file.tensor<float>("output.trilinear0")) < 1e-5);
}

// 2e-6: the README's limit for position tables; 1e-5 where resized.
TEST_CASE("interpolate: position tables stretch as published") {
  const SafetensorsFile file(golden("posemb_tables"));
  const index_t sizes[2][3] = {{4, 3, 6}, {2, 2, 2}};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 2; ++j) {
      const std::string name = "output.spatial" + std::to_string(i);
      const auto x = file.tensor<float>(name).permute({0, 4, 1, 2, 3});  // (1, C, D, H, W)
      const auto y = interpolate(x, std::span<const index_t>(sizes[j], 3), Interpolation::linear)
                         .permute({0, 2, 3, 4, 1});
      CHECK(largest_difference(y, file.tensor<float>(name + "_to" + std::to_string(j))) < 1e-5);
    }
}

TEST_CASE("interpolate: cubic without antialias resizes patch filters as published") {
  const SafetensorsFile file(golden("posemb_tables"));
  const index_t patch[3][3] = {{4, 8, 8}, {2, 12, 12}, {3, 6, 6}};
  for (int i = 0; i < 3; ++i) {
    const std::string n = std::to_string(i);
    // (12, 3, 8, 8)
    const auto filter = file.tensor<float>("input.convert" + n + ".patch_embed.proj.weight");
    // (12, 1, pd, ph, pw)
    const auto want = file.tensor<float>("output.convert" + n + ".patch_embed.proj.weight");
    const index_t pd = patch[i][0], ph = patch[i][1], pw = patch[i][2];
    const auto resized = interpolate(filter, {ph, pw}, Interpolation::cubic);
    double most = 0;
    for (index_t c = 0; c < 12; ++c)
      for (index_t y = 0; y < ph; ++y)
        for (index_t x = 0; x < pw; ++x) {
          const double sum = resized.at({c, 0, y, x}) + resized.at({c, 1, y, x}) +
                             resized.at({c, 2, y, x});
          for (index_t z = 0; z < pd; ++z)
            most = std::max(most,
                            std::abs(sum / static_cast<double>(pd) - want.at({c, 0, z, y, x})));
        }
    CHECK(most < 1e-5);
  }
}

TEST_CASE("interpolate: cubic with antialias resizes 2-D position tables as published") {
  const SafetensorsFile file(golden("posemb_tables"));
  struct Case {
    index_t dim, h, w, side;
  };
  const Case cases[] = {{48, 4, 4, 4}, {48, 6, 5, 4}, {24, 3, 3, 7}};
  for (int i = 0; i < 3; ++i) {
    const auto [dim, h, w, side] = cases[i];
    const auto in = file.tensor<float>("input.pretrained2d_" + std::to_string(i))
                        .reshape({1, side, side, dim})
                        .permute({0, 3, 1, 2});
    // (1, D, H, W, C) = depth table + 2-D table
    const auto want = file.tensor<float>("output.pretrained2d_" + std::to_string(i));
    const auto resized = h == side && w == side
                             ? in.contiguous()
                             : interpolate(in, {h, w}, Interpolation::cubic_antialias);
    double most = 0;
    for (index_t z = 0; z < want.dim(1); ++z)
      for (index_t y = 0; y < h; ++y)
        for (index_t x = 0; x < w; ++x)
          for (index_t c = 0; c < dim; ++c) {
            const index_t k = c % (dim / 2);
            const double angle = static_cast<double>(z) *
                                 std::pow(10000.0,
                                          -static_cast<double>(k) / (static_cast<double>(dim) / 2));
            const double depth = c < dim / 2 ? std::sin(angle) : std::cos(angle);
            most = std::max(most,
                            std::abs(depth + resized.at({0, c, y, x}) - want.at({0, z, y, x, c})));
          }
    CHECK(most < 1e-5);
  }
}

TEST_CASE("interpolate: weights of every output sum to one") {
  for (auto mode : all_modes)
    for (auto [n_in, n_out] : {std::pair<index_t, index_t>{1, 1},
                               {1, 5},
                               {5, 1},
                               {7, 3},
                               {3, 7},
                               {10, 10},
                               {64, 9},
                               {9, 64}}) {
      const auto table = resample_weights<double>(n_in, n_out, mode);
      REQUIRE(table.index.size() == static_cast<std::size_t>(n_out * table.taps));
      for (index_t o = 0; o < n_out; ++o) {
        double sum = 0;
        for (int t = 0; t < table.taps; ++t) {
          const auto at = static_cast<std::size_t>(o * table.taps + t);
          sum += table.weight[at];
          CHECK(table.index[at] >= 0);
          CHECK(table.index[at] < n_in);
        }
        CHECK(sum == doctest::Approx(1.0).epsilon(1e-12));
      }
    }
}

TEST_CASE("interpolate: a resize to the same size returns the values in fresh memory") {
  const auto x = random_tensor<float>({2, 4, 6}, 1);
  for (auto mode : all_modes) {
    const auto y = interpolate(x, {4, 6}, mode);
    CHECK(largest_difference(y, x) == 0);
    CHECK_FALSE(y.shares_storage(x));
  }
}

TEST_CASE("interpolate: the pull is the transpose") {
  // <interpolate(x), dy> = <x, pull(dy)> for every x and dy; 1e-11 relative: sums of some hundred
  // products in double.
  for (auto mode : all_modes) {
    const auto x = random_tensor<double>({2, 5, 4, 7}, 2);
    const auto dy = random_tensor<double>({2, 3, 9, 7}, 3);
    const auto y = interpolate(x, {3, 9, 7}, mode);
    const auto dx = interpolate_pull(dy, {5, 4, 7}, mode);
    REQUIRE(dx.shape() == x.shape());
    CHECK(inner_product(y, dy) == doctest::Approx(inner_product(x, dx)).epsilon(1e-11));
  }
}

TEST_CASE("interpolate: an explicit step moves the sampling points") {
  // Half the voxels at a step of 2 is the ordinary resize; another step is not.
  const auto plain = resample_weights<double>(8, 4, Interpolation::linear),
             same = resample_weights<double>(8, 4, Interpolation::linear, true, 2.0);
  CHECK(plain.weight == same.weight);
  CHECK(plain.weight !=
        resample_weights<double>(8, 4, Interpolation::linear, true, 8 / 4.1).weight);
}

TEST_CASE("interpolate: refuses impossible sizes") {
  const auto x = random_tensor<float>({2, 3}, 4);
  CHECK_THROWS_AS(interpolate(x, {1, 2, 3}, Interpolation::linear), error);
  CHECK_THROWS_AS(interpolate(x, {0}, Interpolation::linear), error);
  CHECK_THROWS_AS(interpolate(x, {-4}, Interpolation::cubic), error);
  CHECK_THROWS_AS(interpolate(Tensor<float, Cpu>::empty({2, 0}), {3}, Interpolation::linear),
                  error);
}
