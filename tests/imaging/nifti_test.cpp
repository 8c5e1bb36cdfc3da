#include "../io/temp_folder.hpp"

#include <hlip/core/random.hpp>
#include <hlip/imaging/nifti.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <numeric>

using namespace hlip;

namespace {

constexpr Affine oblique = {
    {{-0.7, 0, 0.35, 90}, {0, -0.8, 0, 100}, {0.1, 0, 2.45, -300}, {0, 0, 0, 1}}};

std::vector<std::int16_t> numbers(index_t n) {
  std::vector<std::int16_t> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), std::int16_t{-7});
  return v;
}

// A valid 2 x 3 x 4 file as bytes, to be spoilt.
std::string valid_bytes() {
  TempFolder folder;
  const auto v = numbers(24);
  write_nifti<std::int16_t>(folder / "a.nii", v, {2, 3, 4}, oblique);
  return read_file(folder / "a.nii");
}
template <class T> std::string with(std::string bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
  return bytes;
}
Volume load(const std::string& bytes, const NiftiOptions& options = {}) {
  TempFolder folder;
  atomic_write(folder / "a.nii", bytes);
  return read_nifti(folder / "a.nii", options);
}

}  // namespace

TEST_CASE("nifti: what is written is read, zipped or not, for every voxel type") {
  TempFolder folder;
  const auto check = [&]<class T>(T) {
    std::vector<T> v(24);
    std::iota(v.begin(), v.end(), T{3});
    for (const char* name : {"a.nii", "a.nii.gz"}) {
      write_nifti<T>(folder / name, v, {2, 3, 4}, oblique, 2, -10);
      const auto r = read_nifti(folder / name);
      CHECK(r.voxels.shape() == Shape{2, 3, 4});
      CHECK(r.voxels.at({0, 0, 0}) == 2 * 3 - 10);
      CHECK(r.voxels.at({1, 2, 3}) == 2 * 26 - 10);
      CHECK(r.unit == Unit::stored);
      CHECK(r.warnings.empty());
      CHECK(r.orientation_known);
      CHECK(orientation_code(r.affine) == "LPS");
      CHECK(r.spacing[0] == doctest::Approx(std::sqrt(0.35 * 0.35 + 2.45 * 2.45)));
      CHECK(r.spacing[1] == doctest::Approx(0.8));
    }
  };
  check(std::uint8_t{});
  check(std::int8_t{});
  check(std::int16_t{});
  check(std::uint16_t{});
  check(std::int32_t{});
  check(std::uint32_t{});
  check(std::int64_t{});
  check(std::uint64_t{});
  check(float{});
  check(double{});
}

TEST_CASE("nifti: a volume larger than one read step survives") {
  TempFolder folder;
  std::vector<std::int16_t> v(70 * 130 * 131);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<std::int16_t>(i * 31 % 4000);
  write_nifti<std::int16_t>(folder / "a.nii.gz", v, {70, 130, 131}, scaling_affine({5, 0.8, 0.7}));
  const auto r = read_nifti(folder / "a.nii.gz");
  bool same = true;
  for (std::size_t i = 0; i < v.size(); ++i)
    same = same && r.voxels.data()[i] == static_cast<float>(v[i]);
  CHECK(same);
}

TEST_CASE("nifti: writing twice gives the same bytes") {
  TempFolder folder;
  const auto v = numbers(24);
  write_nifti<std::int16_t>(folder / "a.nii.gz", v, {2, 3, 4}, oblique);
  write_nifti<std::int16_t>(folder / "b.nii.gz", v, {2, 3, 4}, oblique);
  CHECK(read_file(folder / "a.nii.gz") == read_file(folder / "b.nii.gz"));
  CHECK_THROWS_AS(write_nifti<std::int16_t>(folder / "c.nii", v, {2, 3, 5}, oblique), error);
  CHECK_THROWS_AS(write_nifti<std::int16_t>(folder / "c.nii", v, {24, 1}, oblique), error);
}

TEST_CASE("nifti: spoilt headers are refused with the field's name") {
  const auto good = valid_bytes();
  CHECK(load(good).voxels.numel() == 24);
  const auto fault = [&](const std::string& bytes, const char* part) {
    CHECK_THROWS_WITH_AS(load(bytes), doctest::Contains(part), error);
  };
  fault(with(good, 0, std::int32_t{349}), "sizeof_hdr is 349");
  fault(with(good, 40, std::int16_t{0}), "dim[0]: 0 dimensions");
  fault(with(good, 40, std::int16_t{200}), "dim[0]: 200 dimensions");
  fault(with(good, 42, std::int16_t{-4}), "dim[1]: is -4");
  fault(with(with(good, 42, std::int16_t{32767}), 44, std::int16_t{32767}), "voxels");
  auto seven = with(good, 40, std::int16_t{7});  // their product is beyond 64 bits
  for (std::size_t d = 1; d <= 7; ++d) seven = with(seven, 40 + 2 * d, std::int16_t{32767});
  fault(seven, "32767 x 32767 x 32767 x 32767 x 32767 x 32767 x 32767 voxels are beyond the limit");
  fault(with(good, 70, std::int16_t{3}), "datatype: 3");
  fault(with(good, 72, std::int16_t{8}), "bitpix: is 8");
  fault(with(good, 108, 340.f), "vox_offset: is 340");
  for (const float inside : {348.f, 349.f, 350.f, 351.f})
    fault(with(good, 108, inside), "inside the 352 bytes of the header and its extension flag");
  // 0: behind the flag
  CHECK(load(with(good, 108, -0.f)).voxels.to_vector() == load(good).voxels.to_vector());
  fault(with(good, 108, 1e30f), "vox_offset");
  fault(with(good, 108, 400.f), "do not fit");
  fault(with(good, 116, std::nanf("")), "scl_inter");
  fault(with(good, 344, 'x'), "magic");
  fault(good.substr(0, 347), "ends inside the header");
  fault(good.substr(0, 399), "do not fit");
  fault(good.substr(0, 3), "ends inside the header");
  fault("", "is empty");
}

TEST_CASE("nifti: the limit holds before anything is read") {
  NiftiOptions options;
  options.limits.max_bytes = 24 * 4;
  CHECK(load(valid_bytes(), options).voxels.numel() == 24);
  options.limits.max_bytes = 24 * 4 - 1;
  CHECK_THROWS_WITH_AS(load(valid_bytes(), options),
                       doctest::Contains("beyond the limit of 95 bytes"), error);
}

TEST_CASE("nifti: sform, then qform, then pixdim") {
  auto bytes = valid_bytes();
  bytes = with(bytes, 252, std::int16_t{1});  // qform: identity rotation, z flipped
  bytes = with(bytes, 76, -1.f);
  bytes = with(bytes, 268, 12.f);
  const auto both = load(bytes);
  CHECK(orientation_code(both.affine) == "LPS");
  CHECK(both.warnings.size() == 1);  // they disagree
  const auto q = load(with(bytes, 254, std::int16_t{0}));
  CHECK(orientation_code(q.affine) == "RAI");
  CHECK(q.affine[0][3] == 12);
  CHECK(q.spacing[1] == doctest::Approx(0.8));
  const auto broken_s = load(with(bytes, 280, std::nanf("")));
  CHECK(orientation_code(broken_s.affine) == "RAI");
  const auto p = load(with(with(bytes, 254, std::int16_t{0}), 256, 2.f));
  CHECK_FALSE(p.orientation_known);
  CHECK(p.spacing[1] == doctest::Approx(0.8));
  // a size whose square vanishes or overflows is none
  for (const float size : {0.f, 1e-30f, 3e38f})
    CHECK_THROWS_WITH_AS(load(with(with(with(bytes, 254, std::int16_t{0}), 256, 2.f), 84, size)),
                         doctest::Contains("voxel size is unknown"), error);
  NiftiOptions strict;
  strict.strict = true;
  CHECK_THROWS_WITH_AS(load(bytes, strict), doctest::Contains("strict"), error);
}

TEST_CASE("nifti: a rotated qform equals the sform of the same rotation") {
  auto bytes = valid_bytes();
  const double b = 0.1, c = -0.2, d = 0.3, a = std::sqrt(1 - b * b - c * c - d * d);
  bytes = with(with(with(bytes, 256, float(b)), 260, float(c)), 264, float(d));
  bytes = with(with(bytes, 254, std::int16_t{0}), 252, std::int16_t{1});
  const auto v = load(bytes);
  // q p q* for p = the voxel axes, by quaternion products
  const auto rotate = [&](double x, double y, double z) {
    const double w1 = -b * x - c * y - d * z, x1 = a * x + c * z - d * y,
                 y1 = a * y + d * x - b * z, z1 = a * z + b * y - c * x;
    return std::array<double, 3>{-w1 * b + x1 * a - y1 * d + z1 * c,
                                 -w1 * c + y1 * a - z1 * b + x1 * d,
                                 -w1 * d + z1 * a - x1 * c + y1 * b};
  };
  for (std::size_t k = 0; k < 3; ++k) {
    const auto axis = rotate(k == 0, k == 1, k == 2);
    for (std::size_t r = 0; r < 3; ++r)
      CHECK(v.affine[r][k] == doctest::Approx(axis[r] * v.spacing[2 - k]).epsilon(1e-5));
  }
}

TEST_CASE("nifti: units of the header become mm") {
  const auto bytes = with(valid_bytes(), 123, std::uint8_t{3});  // micrometre
  CHECK(load(bytes).spacing[1] == doctest::Approx(0.0008));
}

TEST_CASE("nifti: one volume of a 4-D file") {
  auto bytes = valid_bytes();
  const auto voxels = bytes.substr(352);
  bytes = with(with(bytes, 40, std::int16_t{4}), 48, std::int16_t{2}) + voxels;
  bytes = with(bytes, 352 + 48, std::int16_t{99});
  CHECK(load(bytes).voxels.at({0, 0, 0}) == -7);
  NiftiOptions second;
  second.volume = 1;
  CHECK(load(bytes, second).voxels.at({0, 0, 0}) == 99);
  second.volume = 2;
  CHECK_THROWS_WITH_AS(load(bytes, second), doctest::Contains("has no volume 2"), error);
}

TEST_CASE("nifti: a bomb that declares little is stopped, one that declares much is refused") {
  TempFolder folder;
  const auto zip = [&](const std::string& contents) {
    atomic_write(folder / "b.nii.gz", [&](AtomicFile& file) {
      GzipWriter gz(file);
      gz.write(std::as_bytes(std::span(contents.data(), contents.size())));
      gz.finish();
    });
  };
  zip(valid_bytes() + std::string(10'000'000, '\0'));
  CHECK_THROWS_WITH_AS(read_nifti(folder / "b.nii.gz"),
                       doctest::Contains("go on after the last voxel"), error);
  auto huge = valid_bytes();
  for (const std::size_t d : {42, 44, 46}) huge = with(huge, d, std::int16_t{900});
  zip(huge);
  CHECK_THROWS_WITH_AS(read_nifti(folder / "b.nii.gz"), doctest::Contains("can hold at most"),
                       error);
}

TEST_CASE("nifti: spoiling any byte of the header gives a volume or an hlip::error") {
  const auto good = valid_bytes();
  RandomStream random({11});
  int read = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    auto bytes = good;
    for (std::int64_t n = 1 + random.below(4); n > 0; --n)
      bytes[static_cast<std::size_t>(random.below(352))] = static_cast<char>(random.below(256));
    std::span<const std::byte> view = std::as_bytes(std::span(bytes.data(), bytes.size()));
    try {
      const auto h = parse_nifti_header(view, "x", 1 << 30);
      CHECK(h.data_bytes <= 1 << 30);
      ++read;
    } catch (const error&) {
      ++refused;
    }
  }
  CHECK(read > 100);
  CHECK(refused > 100);
}
