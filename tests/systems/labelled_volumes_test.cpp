#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"
#include "../support/gradients.hpp"

#include <hlip/imaging/nifti_write.hpp>
#include <hlip/systems/t3d/labelled_volumes.hpp>
#include <hlip/systems/t3d/volume_segmenter.hpp>

#include <doctest/doctest.h>

using namespace test;

namespace {

const Affine lps{{{-2, 0, 0, 0}, {0, -2, 0, 0}, {0, 0, 3, 0}, {0, 0, 0, 1}}};

/// A volume of 6 x 8 x 10 voxels, left and back first, whose map marks where it is bright: class 1
/// in one corner, class 2 in a slab.
struct OnDisk {
  TempFolder folder;
  CtRateVolume recon;
  std::string mask = folder.string() + "/mask.nii";

  explicit OnDisk(const Affine& of_mask = lps, std::uint8_t slab = 2) {
    recon.path = folder.string() + "/volume.nii";
    std::vector<float> hu;
    std::vector<std::uint8_t> labels;
    for (int z = 0; z < 6; ++z)
      for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 10; ++x) {
          labels.push_back(z < 2 && y < 2 && x < 2 ? 1 : z == 5 ? slab : 0);
          hu.push_back(labels.back() == 1 ? 500.f : labels.back() > 1 ? 900.f : 0.f);
        }
    write_nifti<float>(recon.path, hu, {6, 8, 10}, lps);
    write_nifti<std::uint8_t>(mask, labels, {6, 8, 10}, of_mask);
  }
  LabelledFiles files() const {
    VolumeTable table;
    table.studies.resize(1);
    table.studies[0].recons = {recon};
    table.masks[recon.path] = mask;
    return LabelledFiles(table);
  }
};

VolumePreparation as_stored() {
  VolumePreparation how;
  how.spacing = {3, 2, 2}, how.window_hu = {0, 1000}, how.already_hu = true;
  return how;
}

}  // namespace

TEST_CASE("read_labelled_volume: volume and labels are turned and resampled alike") {
  const OnDisk disk;
  for (const auto& spacing : {std::array<double, 3>{3, 2, 2}, std::array<double, 3>{1.5, 1, 1}}) {
    VolumePreparation how = as_stored();
    how.spacing = spacing;
    const LabelledVolume x = read_labelled_volume(disk.recon, disk.mask, how, 3);
    REQUIRE(x.labels.shape() == x.volume.voxels.shape());
    index_t corner = 0, slab = 0, apart = 0;
    for (index_t i = 0; i < x.labels.numel(); ++i) {
      const int label = x.labels.data()[i];
      const float v = x.volume.voxels.data()[i];
      corner += label == 1, slab += label == 2;
      apart += std::abs(v - (label == 1 ? 0.5f : label == 2 ? 0.9f : 0.f)) > 0.3f;
    }
    const double voxel = spacing[0] * spacing[1] * spacing[2];
    CHECK(static_cast<double>(corner) * voxel == doctest::Approx(8 * 12));
    CHECK(static_cast<double>(slab) * voxel == doctest::Approx(80 * 12));
    CHECK(apart * 20 < x.labels.numel());  // at most what lies on an edge
  }
}

TEST_CASE("read_labelled_volume: a map on another grid, and values that are no class, are named") {
  const auto refusal = [](const OnDisk& disk, index_t classes) {
    return error_of([&] { read_labelled_volume(disk.recon, disk.mask, as_stored(), classes); });
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  Affine moved = lps;
  moved[0][3] = 40;
  CHECK(has(refusal(OnDisk(moved), 3), "mask.nii: lies elsewhere than its volume"));
  CHECK(
      has(refusal(OnDisk(), 2), "mask.nii: holds the value 2, expected whole numbers from 0 to 1"));
  const OnDisk disk;
  write_nifti<std::uint8_t>(disk.mask, std::vector<std::uint8_t>(8), {2, 2, 2}, lps);
  CHECK(has(refusal(disk, 3), "mask.nii: has (2, 2, 2) voxels, its volume"));
}

TEST_CASE("LabelledCrops: a crop is a function of its key, and half of them have what is rare") {
  const OnDisk disk;
  LabelledCropOptions o;
  o.size = {2, 3, 4}, o.classes = 3, o.intensity = 0;
  const LabelledCrops crops(disk.files(), as_stored(), o);
  CHECK(same_bits(crops.get(0, {1, 2, 3}).volume, crops.get(0, {1, 2, 3}).volume));
  const auto share_of = [](const LabelledCrops& from, int label) {
    int with = 0;
    for (std::uint64_t step = 0; step < 200; ++step) {
      const LabelledCrop c = from.get(0, {4, 5, step});
      with += std::count(c.labels.data(), c.labels.data() + c.labels.numel(), label) > 0;
      for (index_t i = 0; i < c.labels.numel(); ++i)
        if (c.labels.data()[i] == 1)
          CHECK(c.volume.data()[i] == doctest::Approx(0.5).epsilon(1e-3));
    }
    return with / 200.0;
  };
  o.foreground = 0;
  const LabelledCrops anywhere(disk.files(), as_stored(), o);
  CHECK(share_of(crops, 1) > share_of(anywhere, 1) + 0.1);
  o.size = {2, 9, 4};
  CHECK(error_of([&] {
          LabelledCrops(disk.files(), as_stored(), o).get(0, {});
        }).find("a crop 2 x 9 x 4 (hint: a smaller --size)") != std::string::npos);
}

TEST_CASE(
    "VolumeSegmenter: a scan of any size, and the same labels after it was written and read") {
  VolumeSegmenterConfig c;
  c.encoder = resnet3d_config("resnet_phantom");
  c.widths = {4}, c.classes = {"a", "b"}, c.input.size = {8, 8, 16};
  Initializer init(3);
  VolumeSegmenter<Cpu> segmenter(c, init);
  const auto scan = numbers({11, 8, 20}, 1, 0, 1).template to<float>();
  const auto labels = segmenter.segment(scan);
  CHECK(labels.shape() == scan.shape());
  CHECK(*std::max_element(labels.data(), labels.data() + labels.numel()) <= 2);
  const TempFolder folder;
  write_volume_segmenter(folder.string() + "/m", segmenter);
  const auto back = read_volume_segmenter<Cpu>(folder.string() + "/m");
  CHECK(back.config.classes == c.classes);
  CHECK(same_bits(back.segment(scan), labels));
}

TEST_CASE("score_labels: every class by itself, distances in mm") {
  const auto truth = Tensor<std::uint8_t, Cpu>::zeros({4, 4, 4}), guess = truth.clone();
  truth.data()[21] = 1, guess.data()[53] = 1, truth.data()[0] = 2;  // two slices apart
  const auto scores = score_labels(guess, truth, {2, 1, 1}, 4);
  REQUIRE(scores.size() == 3);
  CHECK(scores[0].dice == 0);
  CHECK(scores[0].distance95 == doctest::Approx(4));
  CHECK(scores[0].present);
  CHECK(std::isinf(scores[1].distance95));
  CHECK(scores[2].dice == 1);
  CHECK_FALSE(scores[2].present);
}
