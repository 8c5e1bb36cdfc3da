#include "../io/temp_folder.hpp"

#include <hlip/core/random.hpp>
#include <hlip/datasets/ct_rate/cache.hpp>
#include <hlip/datasets/ct_rate/load_volume.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <functional>

using namespace hlip;

namespace {

Volume scan() {
  Volume v;
  v.voxels = Tensor<float>::from_values({1, 2, 3}, {-1024, -100.25f, 0.125f, 40, 1000.5f, 3071});
  v.affine = {{{-0.7, 0, 0, 90}, {0, -0.8, 0.1, 100}, {0, 0.1, 2.5, -300}, {0, 0, 0, 1}}};
  v.spacing = spacing_of(v.affine);
  v.unit = Unit::hounsfield;
  v.source = "valid_1_a_1.nii.gz";
  return v;
}

}  // namespace

TEST_CASE("ct_cache: values, geometry, unit and source come back") {
  TempFolder folder;
  for (const auto type : {CacheType::float16, CacheType::int16}) {
    write_ct_cache(folder / "a.safetensors", scan(), type, ct_cache_settings({}, type),
                   {"row 1", "file 1"}, "0000abcd");
    const auto v = read_ct_cache(folder / "a.safetensors");
    const auto got = v.voxels.to_vector(), want = scan().voxels.to_vector();
    for (std::size_t i = 0; i < want.size(); ++i)
      CHECK(std::abs(got[i] - want[i]) <= (std::abs(want[i]) > 2048 ? 1.f : 0.5f));
    CHECK(v.affine == scan().affine);
    CHECK(v.spacing == scan().spacing);
    CHECK(v.unit == Unit::hounsfield);
    CHECK(v.source == "valid_1_a_1.nii.gz");
    CHECK(ct_cache_stamp(folder / "a.safetensors") == CtCacheStamp{"row 1", "file 1"});
    CHECK(CtCacheFile(folder / "a.safetensors").metadata("source_crc32") == "0000abcd");
  }
}

TEST_CASE("ct_cache: other settings have another key, broken files no stamp") {
  CtPreset a, b;
  b.spacing = {3, 1, 1.5};
  CHECK(ct_cache_key(ct_cache_settings(a, CacheType::float16)) !=
        ct_cache_key(ct_cache_settings(b, CacheType::float16)));
  CHECK(ct_cache_key(ct_cache_settings(a, CacheType::float16)) !=
        ct_cache_key(ct_cache_settings(a, CacheType::int16)));
  b.spacing = a.spacing;
  b.window_hu = {-1000, 1000};
  CHECK(ct_cache_key(ct_cache_settings(a, CacheType::int16)) ==
        ct_cache_key(ct_cache_settings(b, CacheType::int16)));
  TempFolder folder;
  CHECK(ct_cache_stamp(folder / "none") == CtCacheStamp{});
  atomic_write(folder / "bad", "xx");
  CHECK(ct_cache_stamp(folder / "bad") == CtCacheStamp{});
  auto raw = scan();
  raw.unit = Unit::stored;
  CHECK_THROWS_WITH_AS(write_ct_cache(folder / "c", raw, CacheType::int16, ""),
                       doctest::Contains("expected HU"), error);
}

TEST_CASE(
    "ct_cache: a cached volume becomes the network's input as the volume in memory does, resampled "
    "only at another spacing") {
  TempFolder folder;
  CtPreset made, other;
  made.spacing = {2, 2, 2};
  Volume v;
  v.voxels = Tensor<float>::empty({12, 30, 20});
  for (index_t i = 0; i < v.voxels.numel(); ++i)
    v.voxels.data()[i] = static_cast<float>(
        static_cast<int>(1600 * uniform_at({1, 1, 1}, static_cast<std::uint64_t>(i))) - 1100);
  v.spacing = {2.1, 2.02, 2.05};  // at 2 mm as far as whole voxels allow
  v.affine = scaling_affine(v.spacing);
  v.unit = Unit::hounsfield;
  for (const auto type : {CacheType::float16, CacheType::int16}) {
    write_ct_cache(folder / "a.safetensors", v, type, ct_cache_settings(made, type));
    const CtCacheFile file(folder / "a.safetensors");
    const auto hu = read_ct_cache(folder / "a.safetensors");
    for (const std::array<index_t, 3>& size :
         {std::array<index_t, 3>{8, 16, 16}, {20, 40, 24}, {6, 40, 10}})
      for (const FitMode mode : {FitMode::crop, FitMode::resize}) {
        made.size = other.size = size;
        made.mode = other.mode = mode;
        CHECK(preprocess_ct(file, made).to_vector() ==
              ct_network_input(hu.voxels, made).to_vector());
        CHECK(preprocess_ct(file, other).to_vector() == preprocess_ct(hu, other).to_vector());
      }
  }
}

TEST_CASE("ct_cache: files that are none are refused with a reason") {
  TempFolder folder;
  const auto refused = [&](const char* why, auto fill) {
    SafetensorsWriter file;
    file.add("affine", Tensor<double>::zeros({4, 4}));
    file.metadata("unit", "hounsfield");
    file.metadata("settings", ct_cache_settings({}, CacheType::int16));
    fill(file);
    file.write(folder / "x.safetensors");
    CHECK_THROWS_WITH_AS(CtCacheFile(folder / "x.safetensors"), doctest::Contains(why), error);
    CHECK_THROWS_WITH_AS(read_ct_cache(folder / "x.safetensors"),
                         doctest::Contains("x.safetensors"), error);
  };
  const auto hu = Tensor<std::int16_t>::zeros({1, 2, 2});
  const auto spacing = Tensor<double>::ones({3});
  refused("absent", [&](SafetensorsWriter& f) { f.add("hu", hu); });
  refused("expected (D, H, W)",
          [&](SafetensorsWriter& f) { f.add("hu", hu.reshape({4})), f.add("spacing", spacing); });
  refused("expected F16 or I16", [&](SafetensorsWriter& f) {
    f.add("hu", Tensor<float>::zeros({1, 2, 2})), f.add("spacing", spacing);
  });
  refused("spacing is 0 mm", [&](SafetensorsWriter& f) {
    f.add("hu", hu), f.add("spacing", Tensor<double>::zeros({3}));
  });
  refused("spacing 3", [&](SafetensorsWriter& f) {
    f.add("hu", hu), f.add("spacing", Tensor<double>::ones({4}));
  });
  refused("its unit is \"stored\"", [&](SafetensorsWriter& f) {
    f.add("hu", hu), f.add("spacing", spacing), f.metadata("unit", "stored");
  });
  refused("run preprocess_ct_rate again", [&](SafetensorsWriter& f) {
    f.add("hu", hu), f.add("spacing", spacing), f.metadata("settings", "ct-cache=1 spacing=3,1,1");
  });
}

TEST_CASE(
    "ct_cache: damage anywhere in a cached volume is found before a voxel of it is used, and "
    "warnings come back") {
  TempFolder folder;
  Volume v = scan();
  v.warnings = {"one", "two"};
  write_ct_cache(folder / "a.safetensors", v, CacheType::float16,
                 ct_cache_settings({}, CacheType::float16));
  const std::string sound = read_file(folder / "a.safetensors");
  CHECK(read_ct_cache(folder / "a.safetensors").warnings == v.warnings);
  CHECK(survey(CtCacheFile(folder / "a.safetensors")).max == 3072);
  const std::size_t data = sound.size() - (6 * 2 + 19 * 8);
  for (std::size_t at = data; at < sound.size(); at += 5) {
    std::string bytes = sound;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    atomic_write(folder / "a.safetensors", bytes);
    for (const auto& use : std::vector<std::function<void()>>{
             [&] { read_ct_cache(folder / "a.safetensors"); },
             [&] { preprocess_ct(CtCacheFile(folder / "a.safetensors"), {}); },
             [&] { survey(CtCacheFile(folder / "a.safetensors")); }})
      CHECK_THROWS_WITH_AS(use(), doctest::Contains("a.safetensors: is damaged: its CRC-32 is"),
                           error);
  }
}

TEST_CASE(
    "ct_cache: a source that changed is noticed, also at equal length, and one that was only "
    "copied is known by its contents") {
  TempFolder folder;
  CtRateVolume recon;
  recon.name = "valid_1_a_1", recon.path = folder / "a.nii.gz";
  atomic_write(recon.path, "first");
  const CtCacheStamp was = CtCacheStamp::of(recon);
  const std::string crc = file_crc32(recon.path);
  CHECK(CtCacheStamp::of(recon) == was);
  const auto time = std::filesystem::last_write_time(recon.path);
  atomic_write(recon.path, "other");
  std::filesystem::last_write_time(recon.path, time + std::chrono::milliseconds(1));
  CHECK(CtCacheStamp::of(recon).row == was.row);
  CHECK(CtCacheStamp::of(recon).file != was.file);
  CHECK(file_crc32(recon.path) != crc);
  recon.slope = 2;
  CHECK(CtCacheStamp::of(recon).row != was.row);
}

TEST_CASE(
    "load_ct_rate_volume: the table's rescale values and spacing are used, and disagreement is "
    "said") {
  TempFolder folder;
  const std::vector<std::int16_t> stored{24, 0, 1000, 1060, 1100, 3000};
  CtRateVolume recon;
  recon.path = folder / "a.nii.gz";
  write_nifti<std::int16_t>(recon.path, stored, {1, 2, 3}, scaling_affine({5, 0.8, 0.7}));
  CHECK_THROWS_WITH_AS(load_ct_rate_volume(recon, {}), doctest::Contains("no slope and intercept"),
                       error);
  recon.has_metadata = true;
  recon.intercept = -1024;
  recon.spacing = {5, 0.8, 0.6};
  const auto v = load_ct_rate_volume(recon, {});
  CHECK(v.voxels.to_vector() == std::vector<float>{-1000, -1024, -24, 36, 76, 1976});
  CHECK(v.spacing == recon.spacing);
  CHECK(spacing_of(v.affine)[2] == doctest::Approx(0.6));
  REQUIRE(v.warnings.size() == 1);
  CHECK(v.warnings[0].find("the table is used") != std::string::npos);
  CtPreset hu;
  hu.already_hu = true;
  CHECK(load_ct_rate_volume(recon, hu).voxels.at({0, 0, 0}) == 24);
}
