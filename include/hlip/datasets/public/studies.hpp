// Studies of the public test sets on disk: Rad-ChestCT, and the folders of prepared or raw scans of
// Pub-Brain-5, RSNA and CQ500. Needs zlib, libdeflate and nlohmann_json.
#pragma once

#include <hlip/datasets/brain_mri/scan.hpp>
#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/io/npz.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {
/// A CT in HU that says nothing about how it lies in the patient.
HLIP_LAZY Volume bare_ct(Tensor<float, Cpu> voxels, const std::array<double, 3>& spacing,
                         const std::string& path, const std::string& place) {
  Volume out;
  out.voxels = std::move(voxels);
  if (out.voxels.rank() != 3 || out.voxels.numel() == 0)
    fail_file(path, place, "is {}, expected (D, H, W)", to_string(out.voxels.shape()));
  out.spacing = spacing;
  out.affine = scaling_affine(out.spacing);
  out.orientation_known = false;
  out.source = path;
  out.unit = Unit::stored;
  return to_hounsfield(std::move(out), 1, 0);
}
}  // namespace detail

/// A chest CT as the published preparation leaves it: one tensor of HU in a .pt, 3 x 1 x 1 mm
/// apart. How it lies in the patient is not said.
/// @return voxels (D, H, W)  @throws hlip::error naming file and fault
HLIP_LAZY Volume read_prepared_ct(const std::string& path) {
  return detail::bare_ct(open_weights(path).tensor<float>("tensor"), {3, 1, 1}, path, "the tensor");
}

/// A Rad-ChestCT volume: array "ct" of a .npz, in HU, 0.8 mm apart in all directions; or a .pt, see
/// read_prepared_ct.
/// @return voxels (D, H, W), as the array has them  @throws hlip::error naming file and fault
HLIP_LAZY Volume read_rad_chestct(const std::string& path) {
  if (is_torch_name(path)) return read_prepared_ct(path);
  return detail::bare_ct(read_npz(path, "ct"), {0.8, 0.8, 0.8}, path, "array \"ct\"");
}

/// Files of scans in a folder, sorted by name: .safetensors, .pt, .npy, .nii and .nii.gz. Hidden
/// files and those whose name has "seg" or "mask" in it are no scans. @throws hlip::error when
/// there is none
HLIP_LAZY std::vector<std::string> scan_files(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end;
       it.increment(failed)) {
    const std::string name = it->path().filename().string();
    const bool scan = name.ends_with(".safetensors") || name.ends_with(".pt") ||
                      name.ends_with(".npy") || name.ends_with(".nii") || name.ends_with(".nii.gz");
    if (scan && !name.starts_with('.') && name.find("seg") == name.npos &&
        name.find("mask") == name.npos)
      out.push_back(it->path().string());
  }
  if (failed) fail_file(folder, "", "cannot be listed: {}", failed.message());
  if (out.empty())
    fail_file(folder, "", "holds no scans (.safetensors, .pt, .npy, .nii or .nii.gz)");
  std::sort(out.begin(), out.end());
  return out;
}

/// Folders in a folder, sorted. @throws hlip::error when there is none
HLIP_LAZY std::vector<std::string> folders_in(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end;
       it.increment(failed))
    if (std::error_code ignored;
        it->is_directory(ignored) && !it->path().filename().string().starts_with('.'))
      out.push_back(it->path().string());
  if (failed) fail_file(folder, "", "cannot be listed: {}", failed.message());
  if (out.empty()) fail_file(folder, "", "holds no folders");
  std::sort(out.begin(), out.end());
  return out;
}

/// What becomes of raw scans: brain MRI is prepared here (in sets that are told by their path,
/// BraTS keeps its axes); head CT, whose preparation is not published, has to be prepared already.
enum class RawScans { prepare, prepare_public, refuse };

/// How the scans of a set come to the network. The published evaluations of RSNA, CQ500 and MR-RATE
/// feed prepared scans as they are. That of Pub-Brain-5, whose files have each scan's own size,
/// pads, resizes and crops them: there only what preprocess_brain_mri wrote is prepared.
struct ScanPreparation {
  MriPreset preset;  ///< of scans that are not prepared
  RawScans raw = RawScans::prepare;
  /// A stored scan of the network's rows and columns is prepared; otherwise only one of
  /// preprocess_brain_mri.
  bool by_size = true;
  bool keep_slices = false;  ///< a prepared scan keeps its number of slices, not the preset's
};

/// "mri num_slices=48 resize=256 crop=224 mean=0.449 std=0.226; prepared scans of 224 x 224 are fed
/// as they are"
HLIP_LAZY std::string to_string(const ScanPreparation& p) {
  return fmt::format(
      "{}; {} of {} x {} {}", to_string(p.preset),
      p.by_size ? "prepared scans" : "scans that preprocess_brain_mri wrote", p.preset.crop,
      p.preset.crop,
      p.keep_slices
          ? "are fed as they are"
          : fmt::format("are brought to {} slices and else fed as they are", p.preset.num_slices));
}

/// One scan as the network wants it, and what was done to it.
struct PublicScan {
  Tensor<float, Cpu> input;           ///< (slices, rows, columns), normalised
  bool was_prepared = false;          ///< it was not padded, resized or cropped
  std::vector<std::string> warnings;  ///< what was assumed or chosen
};

/// Reads one scan. Stored ones (.safetensors, .pt, .npy) hold (slices, rows, columns) as uint8 or 0
/// … 1; of a 4-D array the first channel, the last axis, counts.
/// @throws hlip::error naming file and fault
/// Source: HLIP, evaluations on Pub-Brain-5, RSNA, CQ500 and MR-RATE.
HLIP_LAZY PublicScan load_public_scan(const std::string& path, const ScanPreparation& how) {
  PublicScan scan;
  Tensor<float, Cpu>& x = scan.input;
  bool stored = true, recognised = how.by_size;
  if (is_prepared_name(path)) {
    const TensorFile file = open_weights(path);
    x = read_prepared_scan(file);
    recognised = recognised || file.metadata("stamp").starts_with(brain_scan_stamp);
  } else if (path.ends_with(".npy")) {
    const LoadedFile file(path);
    const NpyArray array = parse_npy(file.bytes(), path);
    x = detail::prepared_values(npy_tensor(array), array.kind() == 'u' && array.item_bytes() == 1,
                                path, "the array");
  } else if (how.raw == RawScans::refuse) {
    fail_file(path, "",
              "is not prepared: head CT is read from .safetensors, .pt and .npy that hold uint8 or "
              "0 … 1");
  } else {
    std::string lower = path;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    MriSlices raw = read_raw_scan(
        path, how.raw == RawScans::prepare_public && lower.find("brats") != lower.npos);
    x = std::move(raw.voxels);
    scan.warnings = std::move(raw.warnings);
    stored = false;
  }
  if (std::string odd = implausible_scan(x); !odd.empty()) scan.warnings.push_back(std::move(odd));
  scan.was_prepared = stored && recognised && has_network_size(x, how.preset);
  if (!scan.was_prepared) x = fit_mri(x, how.preset);
  else if (!how.keep_slices) x = fit_slices(x, how.preset.num_slices);
  normalise_mri(x, how.preset);
  return scan;
}

HLIP_END
