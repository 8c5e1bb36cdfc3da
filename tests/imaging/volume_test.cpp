#include <hlip/imaging/volume.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

Volume numbered() {
  Volume v;
  v.voxels = Tensor<float>::arange(2 * 3 * 4).reshape({2, 3, 4});
  // RAS, slightly oblique
  v.affine = {{{0.7, 0.02, 0, -11}, {-0.02, 0.8, 0.1, 5}, {0, -0.1, 2.5, 40}, {0, 0, 0, 1}}};
  v.spacing = spacing_of(v.affine);
  return v;
}

std::array<double, 3> place(const Affine& a, index_t i, index_t j, index_t k) {
  std::array<double, 3> p{};
  for (std::size_t r = 0; r < 3; ++r)
    p[r] = a[r][0] * double(i) + a[r][1] * double(j) + a[r][2] * double(k) + a[r][3];
  return p;
}

std::vector<std::string> all_codes() {
  std::vector<std::string> codes;
  const char letters[3][2] = {{'R', 'L'}, {'A', 'P'}, {'S', 'I'}};
  for (int x = 0; x < 3; ++x)
    for (int y = 0; y < 3; ++y)
      for (int s = 0; s < 8 && x != y; ++s) {
        const int z = 3 - x - y;
        codes.push_back({letters[x][s & 1], letters[y][s >> 1 & 1], letters[z][s >> 2 & 1]});
      }
  return codes;
}

}  // namespace

TEST_CASE("volume: every voxel keeps its value and its place in all 48 orientations") {
  const auto v = numbered();
  CHECK(orientation_code(v.affine) == "RAS");
  const auto codes = all_codes();
  REQUIRE(codes.size() == 48);
  for (const auto& code : codes) {
    CAPTURE(code);
    const auto r = reorient(v, code);
    CHECK(orientation_code(r.affine) == code);
    CHECK(r.voxels.numel() == v.voxels.numel());
    // Each place in mm holds the value it held before.
    bool same = true;
    const auto size = r.voxels.shape(), old = v.voxels.shape();
    for (index_t k = 0; k < size[0]; ++k)
      for (index_t j = 0; j < size[1]; ++j)
        for (index_t i = 0; i < size[2]; ++i) {
          const auto p = place(r.affine, i, j, k);
          const auto n = static_cast<index_t>(r.voxels.at({k, j, i}));
          const auto q = place(v.affine, n % old[2], n / old[2] % old[1], n / old[2] / old[1]);
          for (std::size_t a = 0; a < 3; ++a) same = same && std::abs(p[a] - q[a]) < 1e-9;
        }
    CHECK(same);
    const auto back = reorient(r, "RAS");
    CHECK(back.voxels.to_vector() == v.voxels.to_vector());
    for (std::size_t d = 0; d < 3; ++d) CHECK(back.spacing[d] == doctest::Approx(v.spacing[d]));
  }
}

TEST_CASE("volume: spacing is in array order") {
  const auto s = spacing_of(scaling_affine({5, 0.8, 0.7}));
  CHECK(s == std::array<double, 3>{5, 0.8, 0.7});
}

TEST_CASE("volume: impossible codes and unknown orientations are refused") {
  auto v = numbered();
  for (const char* code : {"RAR", "RA", "XYZ", "", "RASS", "ras"})
    CHECK_THROWS_WITH_AS(reorient(v, code), doctest::Contains("is not three letters"), error);
  v.orientation_known = false;
  CHECK_THROWS_WITH_AS(reorient(v, "LPS"), doctest::Contains("does not say how the volume lies"),
                       error);
}
