// Studies of the public test sets on disk: Rad-ChestCT, and the folders of prepared or raw scans of Pub-Brain-5, RSNA and CQ500. Needs zlib
// and nlohmann_json.
#pragma once

#include <hlip/data/brain_scan.hpp>
#include <hlip/data/preprocess_ct.hpp>
#include <hlip/io/npz.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// A Rad-ChestCT volume: array "ct" of a .npz, in HU, 0.8 mm apart in all directions. How it lies in the patient is not said.
/// @return voxels (D, H, W), as the array has them  @throws hlip::error naming file and fault
HLIP_LAZY Volume read_rad_chestct(const std::string& path) {
  Volume out;
  out.voxels = read_npz(path, "ct");
  if (out.voxels.rank() != 3 || out.voxels.numel() == 0) fail_file(path, "array \"ct\"", "is {}, expected (D, H, W)", to_string(out.voxels.shape()));
  out.spacing = {0.8, 0.8, 0.8};
  out.affine = scaling_affine(out.spacing);
  out.orientation_known = false;
  out.source = path;
  out.unit = Unit::stored;
  return to_hounsfield(std::move(out), 1, 0);
}

/// Files of scans in a folder, sorted by name: .safetensors, .npy, .nii and .nii.gz. Hidden files and those whose name has "seg" or "mask" in
/// it are no scans. @throws hlip::error when there is none
HLIP_LAZY std::vector<std::string> scan_files(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    const std::string name = it->path().filename().string();
    const bool scan = name.ends_with(".safetensors") || name.ends_with(".npy") || name.ends_with(".nii") || name.ends_with(".nii.gz");
    if (scan && !name.starts_with('.') && name.find("seg") == name.npos && name.find("mask") == name.npos) out.push_back(it->path().string());
  }
  if (failed) fail_file(folder, "", "cannot be listed: {}", failed.message());
  if (out.empty()) fail_file(folder, "", "holds no scans (.safetensors, .npy, .nii or .nii.gz; PyTorch files have to be converted)");
  std::sort(out.begin(), out.end());
  return out;
}

/// Folders in a folder, sorted. @throws hlip::error when there is none
HLIP_LAZY std::vector<std::string> folders_in(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
    if (std::error_code ignored; it->is_directory(ignored) && !it->path().filename().string().starts_with('.')) out.push_back(it->path().string());
  if (failed) fail_file(folder, "", "cannot be listed: {}", failed.message());
  if (out.empty()) fail_file(folder, "", "holds no folders");
  std::sort(out.begin(), out.end());
  return out;
}

/// Whether raw scans may be prepared here (brain MRI) or have to be prepared already (head CT, whose preparation is not published).
enum class RawScans { prepare, refuse };

/// One scan as the network wants it. Prepared ones (.safetensors, .npy) hold (slices, rows, columns) as uint8 or 0 … 1; of a 4-D array the
/// first channel, the last axis, counts. Of BraTS scans the axes stay.
/// @return (num_slices, crop, crop)  @throws hlip::error naming file and fault
HLIP_LAZY Tensor<float, Cpu> load_public_scan(const std::string& path, const MriPreset& preset, RawScans raw) {
  Tensor<float, Cpu> x;
  if (path.ends_with(".safetensors")) {
    x = read_prepared_scan(SafetensorsFile(path));
  } else if (path.ends_with(".npy")) {
    const MappedFile file(path);
    const NpyArray array = parse_npy(file.bytes(), path);
    x = npy_tensor(array);
    if (x.rank() == 4 && x.dim(3) > 0) x = x.slice(3, 0, 1).reshape({x.dim(0), x.dim(1), x.dim(2)});
    if (x.rank() != 3 || x.numel() == 0) fail_file(path, "", "is {}, expected (slices, rows, columns)", to_string(x.shape()));
    x = x.contiguous();
    const bool bytes = array.kind() == 'u' && array.item_bytes() == 1;
    for (index_t i = 0; i < x.numel(); ++i) {
      if (bytes) x.data()[i] /= 255;
      if (!(x.data()[i] >= 0 && x.data()[i] <= 1)) fail_file(path, "", "is no prepared scan: value {} is {}, expected 0 to 1 (or uint8)", i, x.data()[i]);
    }
  } else if (raw == RawScans::refuse) {
    fail_file(path, "", "is not prepared: head CT is read from .safetensors and .npy that hold uint8 or 0 … 1");
  } else {
    std::string lower = path;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    x = read_raw_scan(path, lower.find("brats") != lower.npos).voxels;
  }
  if (!(x.shape() == Shape{preset.num_slices, preset.crop, preset.crop})) x = fit_mri(x, preset);
  else x = x.clone();
  normalise_mri(x, preset);
  return x;
}

HLIP_END
