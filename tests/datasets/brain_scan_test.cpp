#include <hlip/datasets/brain_mri/scan.hpp>

#include "../io/temp_folder.hpp"
#include "../io/torch_bytes.hpp"
#include "../support/errors.hpp"

#include <doctest/doctest.h>

#include <cstring>

using namespace hlip;

namespace {

const MriPreset small{6, 16, 14};

// A volume whose voxel (k, j, i) says where it is.
std::vector<float> numbered(index_t d, index_t h, index_t w) {
  std::vector<float> v;
  for (index_t k = 0; k < d; ++k)
    for (index_t j = 0; j < h; ++j)
      for (index_t i = 0; i < w; ++i) v.push_back(static_cast<float>(100 * k + 10 * j + i));
  return v;
}

BrainScan at(const std::string& path) { return {"scan", "folder", path}; }

}  // namespace

TEST_CASE(
    "brain scan: a prepared scan comes back within half a grey value, and is not resampled when "
    "its size is right") {
  TempFolder folder;
  const auto x = Tensor<float>::empty({6, 14, 14});
  for (index_t i = 0; i < x.numel(); ++i)
    x.data()[i] = static_cast<float>(uniform_at({1, 0, 0}, static_cast<std::uint64_t>(i)));
  write_brain_scan(folder / "img.safetensors", x, {{"view", "axial"}});
  const SafetensorsFile file(folder / "img.safetensors");
  CHECK(file.metadata("view") == "axial");
  const auto back = read_prepared_scan(file);
  REQUIRE(back.shape() == x.shape());
  const auto loaded = load_brain_scan(at(folder / "img.safetensors"), small);
  for (index_t i = 0; i < x.numel(); ++i) {
    CHECK(std::abs(back.data()[i] - x.data()[i]) <= 0.5f / 255 + 1e-6f);
    CHECK(loaded.data()[i] == (back.data()[i] - 0.449f) / 0.226f);
  }
  CHECK(load_brain_scan(at(folder / "img.safetensors"), {12, 32, 28}).shape() == Shape{12, 28, 28});
}

TEST_CASE("brain scan: the published img.pt is read, and img.safetensors goes before it") {
  TempFolder folder;
  std::string bytes(6 * 14 * 14, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i % 256);
  atomic_write(folder / "img.pt", test::torch::file_of({6, 14, 14}, bytes));
  CHECK(brain_scan_file(folder.string()) == folder / "img.pt");
  const auto x = load_brain_scan(at(folder / "img.pt"), small);
  REQUIRE(x.shape() == Shape{6, 14, 14});
  CHECK(x.data()[200] == (200.f / 255 - 0.449f) / 0.226f);
  atomic_write(folder / "img.safetensors", "x");
  CHECK(brain_scan_file(folder.string()) == folder / "img.safetensors");
}

TEST_CASE(
    "brain scan: NIfTI is turned to RPI with the widest axis first, and gives what its prepared "
    "file gives") {
  TempFolder folder;
  // i to the left, j to the head, k to the back; the widest spacing is along k: a coronal scan
  const Affine affine = {{{-1, 0, 0, 0}, {0, 0, -5, 0}, {0, 1, 0, 0}, {0, 0, 0, 1}}};
  write_nifti<float>(folder / "img.nii", numbered(3, 4, 5), {3, 4, 5}, affine);
  const MriSlices scan = mri_slices(read_nifti(folder / "img.nii"));
  CHECK(scan.view == "coronal");
  REQUIRE(scan.voxels.shape() == Shape{3, 4, 5});
  // RPI: rows lead from head to foot, columns from left to right, slices from front to back as they
  // lie in the file
  CHECK(scan.voxels.at({0, 0, 0}) == 34);
  CHECK(scan.voxels.at({2, 3, 4}) == 200);
  CHECK(mri_slices(read_nifti(folder / "img.nii"), true).view == "axial");
  CHECK(mri_slices(read_nifti(folder / "img.nii"), true).voxels.shape() == Shape{4, 3, 5});

  const MriSlices scaled = read_raw_scan(folder / "img.nii");
  write_brain_scan(folder / "img.safetensors", fit_mri(scaled.voxels, small), {});
  const auto raw = load_brain_scan(at(folder / "img.nii"), small),
             prepared = load_brain_scan(at(folder / "img.safetensors"), small);
  REQUIRE(raw.shape() == Shape{6, 14, 14});
  for (index_t i = 0; i < raw.numel(); ++i)
    CHECK(std::abs(raw.data()[i] - prepared.data()[i]) <= 0.5f / 255 / 0.226f + 1e-5f);
}

TEST_CASE("brain scan: a turned scan of equal spacings is axial, as it is by its pixdim") {
  TempFolder folder;
  // Rotated about two axes: in float32 its columns are not quite of one length, and which is
  // longest is chance.
  int longest[3] = {};
  for (int turn = 1; turn <= 12; ++turn) {
    const double c = std::cos(0.03 * turn), s = std::sin(0.03 * turn), e = std::cos(0.02 * turn),
                 f = std::sin(0.02 * turn);
    const Affine affine = {
        {{c, -s * e, s * f, -9}, {s, c * e, -c * f, 7}, {0, f, e, 3}, {0, 0, 0, 1}}};
    write_nifti<float>(folder / "img.nii", numbered(3, 4, 5), {3, 4, 5}, affine);
    const Volume v = read_nifti(folder / "img.nii");
    ++longest[slice_axis(spacing_of(v.affine))];
    CHECK(v.spacing == std::array<double, 3>{1, 1, 1});
    CHECK(reorient(v, "RPI").spacing == std::array<double, 3>{1, 1, 1});
    CHECK(mri_slices(v).view == "axial");
    CHECK(mri_slices(v).voxels.shape() == Shape{3, 4, 5});
  }
  CHECK(longest[1] + longest[2] > 0);  // by the columns alone some of them were turned
}

TEST_CASE("brain scan: the two volumes of a diffusion file lie one behind the other") {
  TempFolder folder;
  write_nifti<float>(folder / "img.nii", numbered(4, 3, 3), {4, 3, 3}, scaling_affine({3, 1, 1}));
  auto bytes = read_file(folder / "img.nii");  // the same voxels read as two volumes of two slices
  const auto put = [&](std::size_t offset, std::int16_t value) {
    std::memcpy(bytes.data() + offset, &value, 2);
  };
  put(40, 4), put(46, 2), put(48, 2);
  atomic_write(folder / "two.nii", bytes);
  CHECK(read_raw_scan(folder / "two.nii").voxels.dim(0) == 4);
  CHECK(read_raw_scan(folder / "two.nii").warnings.empty());
  put(46, 1), put(48, 4);
  atomic_write(folder / "four.nii", bytes);
  const MriSlices four = read_raw_scan(
      folder / "four.nii");  // the first two, as published, and a word about the rest
  CHECK(four.voxels.dim(0) == 2);
  CHECK(four.voxels.at({0, 0, 0}) < four.voxels.at({1, 0, 0}));
  CHECK(four.warnings ==
        std::vector<std::string>{
            "holds 4 volumes, of which the first two are taken, one behind the other"});
}

TEST_CASE(
    "brain scan: a prepared scan of the network's rows and columns is never cropped again, "
    "whatever its slices") {
  TempFolder folder;
  const auto x = Tensor<float>::empty({3, 14, 14});
  for (index_t i = 0; i < x.numel(); ++i) x.data()[i] = static_cast<float>(i % 256) / 255;
  SafetensorsWriter file;
  file.add("img", x.to<double>());  // as the published preparation leaves scans of whole numbers
  file.write(folder / "img.safetensors");
  const auto loaded = load_brain_scan(at(folder / "img.safetensors"), small);
  REQUIRE(loaded.shape() == Shape{6, 14, 14});
  for (index_t z = 0; z < 6; ++z)
    for (index_t i = 0; i < 196; ++i)
      CHECK(loaded.data()[z * 196 + i] == (x.data()[z / 2 * 196 + i] - 0.449f) / 0.226f);
}

TEST_CASE("brain scan: a scan without a finite voxel is refused by name") {
  TempFolder folder;
  write_nifti<float>(folder / "img.nii", std::vector<float>(60, std::nanf("")), {3, 4, 5},
                     scaling_affine({3, 1, 1}));
  CHECK(test::error_of([&] {
          read_raw_scan(folder / "img.nii");
        }).find("img.nii: scale_by_percentiles: no voxel is finite") != std::string::npos);
}

TEST_CASE("brain scan: what is no prepared scan is refused with its name and fault") {
  TempFolder folder;
  const std::string path = folder / "img.safetensors";
  const auto refused = [&](auto fill) {
    SafetensorsWriter file;
    fill(file);
    file.write(path);
    return test::error_of([&] { load_brain_scan(at(path), small); });
  };
  CHECK(refused([](SafetensorsWriter& f) {
          f.add("image", Tensor<float>::zeros({1, 2, 2}));
        }).find("it has no tensor \"img\"") != std::string::npos);
  CHECK(refused([](SafetensorsWriter& f) {
          f.add("img", Tensor<float>::zeros({2, 2}));
        }).find("img is (2, 2), expected (slices, rows, columns)") != std::string::npos);
  CHECK(refused([](SafetensorsWriter& f) {
          f.add("img", Tensor<std::int64_t>::zeros({1, 2, 2}));
        }).find("img is I64") != std::string::npos);
  CHECK(refused([](SafetensorsWriter& f) {
          f.add("img", Tensor<float>::full({1, 2, 2}, 255.f));
        }).find("go from 0 to 255, expected 0 to 1 (or uint8)") != std::string::npos);
  CHECK(refused([](SafetensorsWriter& f) {
          f.add("img", Tensor<float>::full({1, 2, 2}, std::nanf("")));
        }).find("voxel 0 is not finite") != std::string::npos);
  CHECK(test::error_of([&] {
          load_brain_scan({"T1", "train/s1/T1", ""}, small);
        })
            .find("train/s1/T1: holds no scan, expected img.safetensors, img.pt, img.nii.gz or "
                  "img.nii") != std::string::npos);
}

TEST_CASE(
    "mri preset: the text of a preset reads back, and what cannot be carried out is refused") {
  CHECK(parse_mri_preset(to_string(mri_preset(48, 224))) == mri_preset(48, 224));
  CHECK(mri_preset(48, 224).resize == 256);
  CHECK(to_string(mri_preset(48, 224)) ==
        "mri num_slices=48 resize=256 crop=224 mean=0.449 std=0.226");
  for (const char* bad : {"mri crop=300", "mri num_slices=0", "mri std=0", "mri slices=3",
                          "mri crop=many", "mri crop"}) {
    CAPTURE(bad);
    CHECK_THROWS_WITH_AS(parse_mri_preset(bad), doctest::Contains("mri preset: "), error);
  }
}
