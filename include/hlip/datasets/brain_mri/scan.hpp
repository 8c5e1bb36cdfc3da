// One scan of a brain study on disk: prepared (img.safetensors, what preprocess_brain_mri writes,
// or img.pt, as the published layout keeps it) or as it came (NIfTI). Needs zlib, libdeflate and
// nlohmann_json.
#pragma once

#include <hlip/imaging/hu_range.hpp>
#include <hlip/imaging/nifti.hpp>
#include <hlip/imaging/preprocess_mri.hpp>
#include <hlip/io/checksum.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/io/weights_file.hpp>
#include <hlip/ops/shape.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// One scan of a study.
struct BrainScan {
  std::string name;
  std::string folder;  ///< <root>/<split>/<study>/<name>
  std::string path;    ///< its file of voxels, empty when there is none
};

/// Names under which a scan's folder may hold its voxels, the first that is there counts.
inline constexpr std::string_view brain_scan_names[] = {"img.safetensors", "img.pt", "img.nii.gz",
                                                        "img.nii"};

/// Whether a scan's file is prepared, by its name.
inline bool is_prepared_name(std::string_view path) {
  return path.ends_with(".safetensors") || is_torch_name(path);
}

/// The file of a scan's folder. @return an empty string when there is none
HLIP_LAZY std::string brain_scan_file(const std::string& folder) {
  for (const auto name : brain_scan_names)
    if (std::string path = folder + "/" + std::string(name); is_file(path)) return path;
  return "";
}

namespace detail {
[[noreturn]] inline void fail_absent_scan(const std::string& folder) {
  fail_file(folder, "",
            "holds no scan, expected {}, {}, {} or {} (hint: preprocess_brain_mri makes such "
            "folders of NIfTI files and DICOM series)",
            brain_scan_names[0], brain_scan_names[1], brain_scan_names[2], brain_scan_names[3]);
}
}  // namespace detail

/// How the text "stamp" begins that preprocess_brain_mri keeps beside a scan: one that has it was
/// padded, resized and cropped.
inline constexpr std::string_view brain_scan_stamp = "mri=";

/// Writes a prepared scan as uint8 under "img": 0 … 1 becomes 0 … 255, rounded.
/// @param x (slices, rows, columns); @param about text values to keep beside it, such as source and
/// view
HLIP_LAZY void write_brain_scan(const std::string& path, const Tensor<float, Cpu>& x,
                                const std::vector<std::pair<std::string, std::string>>& about) {
  expect_shape("write_brain_scan", "x", x.shape(), {{"slices"}, {"rows"}, {"columns"}});
  const auto bytes = Tensor<std::uint8_t, Cpu>::empty(x.shape());
  const auto from = x.contiguous();
  for (index_t i = 0; i < from.numel(); ++i)
    bytes.data()[i] = static_cast<std::uint8_t>(
        std::nearbyint(255 * std::clamp(from.data()[i], 0.f, 1.f)));
  SafetensorsWriter file;
  file.add("img", bytes);
  file.metadata(
      "crc32", fmt::format("{:08x}", crc32_of(std::as_bytes(std::span(
                                         bytes.data(), static_cast<std::size_t>(bytes.numel()))))));
  for (const auto& [key, value] : about) file.metadata(key, value);
  file.write(path);
}

namespace detail {

/// Values of a prepared scan as 0 … 1, in place: bytes are divided by 255. Of four axes the last
/// are channels, and the first of them counts.
/// @param name of the array, for messages  @return (slices, rows, columns)
HLIP_LAZY Tensor<float, Cpu> prepared_values(Tensor<float, Cpu> x, bool bytes,
                                             const std::string& path, const std::string& name) {
  const auto fault = [&](const std::string& what) {
    fail_file(path, "", "is not a prepared scan: {}", what);
  };
  if (x.rank() == 4 && x.dim(3) > 0)
    x = x.slice(3, 0, 1).reshape({x.dim(0), x.dim(1), x.dim(2)}).contiguous();
  if (x.rank() != 3 || x.numel() == 0)
    fault(fmt::format("{} is {}, expected (slices, rows, columns)", name, to_string(x.shape())));
  float low = 0, high = 0;
  for (index_t i = 0; i < x.numel(); ++i) {
    float& v = x.data()[i];
    if (bytes) v /= 255;
    if (!std::isfinite(v)) fault(fmt::format("voxel {} is not finite", i));
    low = std::min(low, v), high = std::max(high, v);
  }
  if (low < 0 || high > 1)
    fault(fmt::format("its values go from {} to {}, expected 0 to 1 (or uint8)", low, high));
  return x;
}

}  // namespace detail

/// A prepared scan, 0 … 1. Stored as uint8 it is divided by 255; floating-point values are taken as
/// 0 … 1 (the published preparation leaves double precision where the voxels were whole numbers).
/// @param file with the tensor "img", or a PyTorch file of one tensor and nothing else, as
/// published
/// @return (slices, rows, columns)  @throws hlip::error naming file and fault, also when the bytes
/// are not those that write_brain_scan wrote
HLIP_LAZY Tensor<float, Cpu> read_prepared_scan(const TensorFile& file) {
  const std::string name = file.names().size() == 1 && file.contains("tensor") ? "tensor" : "img";
  if (!file.contains(name))
    fail_file(file.path(), "", "is not a prepared scan: it has no tensor \"img\"");
  const DType type = file.info(name).dtype;
  if (type != DType::U8 && type != DType::F16 && type != DType::F32 && type != DType::F64)
    fail_file(file.path(), "", "is not a prepared scan: {} is {}, expected U8, F16, F32 or F64",
              name, dtype_name(type));
  if (const std::string written = file.metadata("crc32"); name == "img" && !written.empty())
    if (const std::string crc = fmt::format("{:08x}", crc32_of(file.info(name).bytes));
        crc != written)
      fail_file(file.path(), "",
                "is damaged: its CRC-32 is {}, {} was written (hint: preprocess_brain_mri --verify "
                "makes it again)",
                crc, quote_text(written));
  return detail::prepared_values(file.tensor<float>(name), type == DType::U8, file.path(), name);
}

/// A scan from NIfTI, scaled to 0 … 1 by its percentiles, at its own size. The first two volumes of
/// a 4-D file, diffusion as a rule, are put one behind the other along the slice axis; that there
/// are more is a warning.
/// @param keep_axes as for mri_slices  @throws hlip::error naming file and fault
/// Source: HLIP's preparation of the public brain MRI sets.
HLIP_LAZY MriSlices read_raw_scan(const std::string& path, bool keep_axes = false) {
  MriSlices scan = mri_slices(read_nifti(path), keep_axes);
  const index_t volumes = inspect_nifti(path, false).header.volumes();
  if (volumes >= 2)
    scan.voxels = concat(
        std::vector<Tensor<float, Cpu>>{
            scan.voxels,
            mri_slices(read_nifti(path, {.limits = {}, .volume = 1}), keep_axes).voxels},
        0);
  if (volumes > 2)
    scan.warnings.push_back(fmt::format(
        "holds {} volumes, of which the first two are taken, one behind the other", volumes));
  try {
    scan.voxels = scale_by_percentiles(scan.voxels);
  } catch (const error& e) {
    fail_file(path, "", "{}", e.what());
  }
  return scan;
}

/// Whether a prepared scan has the rows and columns of the network: then it was padded, resized and
/// cropped, and is not once more.
/// @param x (slices, rows, columns)
inline bool has_network_size(const Tensor<float, Cpu>& x, const MriPreset& preset) {
  return x.rank() == 3 && x.dim(1) == preset.crop && x.dim(2) == preset.crop;
}

/// A prepared scan as the network wants it, before normalising. One of the network's rows and
/// columns only gets the preset's number of slices.
/// @param x (slices, rows, columns), 0 … 1  @return (num_slices, crop, crop)
HLIP_LAZY Tensor<float, Cpu> fit_prepared_scan(const Tensor<float, Cpu>& x,
                                               const MriPreset& preset) {
  return has_network_size(x, preset) ? fit_slices(x, preset.num_slices) : fit_mri(x, preset);
}

/// One scan as the network wants it, from a prepared file or from NIfTI; a prepared scan of the
/// network's rows and columns is not resampled in plane.
/// @return (num_slices, crop, crop)  @throws hlip::error naming file and fault
HLIP_LAZY Tensor<float, Cpu> load_brain_scan(const BrainScan& scan, const MriPreset& preset) {
  const std::string& path = scan.path;
  if (path.empty()) detail::fail_absent_scan(scan.folder);
  Tensor<float, Cpu> x;
  if (is_prepared_name(path)) {
    x = fit_prepared_scan(read_prepared_scan(open_weights(path)), preset);
  } else {
    x = fit_mri(read_raw_scan(path).voxels, preset);
  }
  normalise_mri(x, preset);
  return x;
}

HLIP_END
