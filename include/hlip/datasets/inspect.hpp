// What is in a file of the kinds hlip reads, found by the same readers training uses. Needs libcsv,
// zlib, libdeflate and nlohmann_json.
#pragma once

#include <hlip/datasets/ct_rate/tables.hpp>
#include <hlip/datasets/study_json.hpp>
#include <hlip/imaging/nifti.hpp>
#include <hlip/io/csv.hpp>
#include <hlip/io/npz.hpp>
#include <hlip/io/weights_file.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

HLIP_BEGIN

/// The result of looking into one file.
struct FileReport {
  std::string summary;                ///< one line; empty when the file could not be read at all
  std::vector<std::string> details;   ///< what else there is to know
  std::vector<std::string> warnings;  ///< read, but something was assumed or repaired
  Problems problems;                  ///< faults; the file is bad when there is one
  /// sound rows of a table, studies of an annotation file, tensors of a weight file, arrays
  std::size_t rows = 0;
  bool ok() const { return problems.empty(); }
};

/// Limits and strictness of inspect_file.
struct InspectOptions {
  NiftiOptions nifti;
};

namespace detail {

inline std::string_view nifti_type_name(NiftiType type) {
  switch (type) {
    case NiftiType::u8: return "uint8";
    case NiftiType::i8: return "int8";
    case NiftiType::i16: return "int16";
    case NiftiType::u16: return "uint16";
    case NiftiType::i32: return "int32";
    case NiftiType::u32: return "uint32";
    case NiftiType::i64: return "int64";
    case NiftiType::u64: return "uint64";
    case NiftiType::f32: return "float32";
    case NiftiType::f64: return "float64";
  }
  return "unknown";
}

HLIP_LAZY void inspect_volume(const std::string& path, const InspectOptions& options,
                              FileReport& report) {
  const auto info = inspect_nifti(path, true, options.nifti);
  const auto& h = info.header;
  const auto& g = h.geometry;
  report.summary = fmt::format(
      "NIfTI-{} volume {} of {:.4g} x {:.4g} x {:.4g} mm (D, H, W), {}, {}", h.version,
      to_string(h.shape()), g.spacing[0], g.spacing[1], g.spacing[2], nifti_type_name(h.type),
      g.orientation_known ? orientation_code(g.affine) : "orientation unknown");
  if (h.volumes() > 1)
    report.summary += fmt::format(
        ", 4-D with {} volumes, of which chest CT takes the first, brain MRI the first two",
        h.volumes());
  report.details.push_back(
      fmt::format("values {:.6g} to {:.6g} after slope {:.6g} and intercept {:.6g}", info.min,
                  info.max, h.slope, h.inter));
  report.details.push_back(
      fmt::format("geometry from the {}, {} byte order", g.from, h.swapped ? "swapped" : "native"));
  report.warnings = h.warnings;
  if (info.not_finite > 0)
    report.warnings.push_back(fmt::format("{} voxels are not finite", info.not_finite));
}

HLIP_LAZY void inspect_table(const std::string& path, FileReport& report) {
  const auto table = read_csv(path);
  const auto has = [&](std::string_view name) { return table.find(name) >= 0; };
  const bool labels = std::any_of(ct_rate_labels.begin(), ct_rate_labels.end(), has);
  std::string kind;
  if (has("Findings_EN") || has("Impressions_EN")) {
    kind = "reports";
    const auto rows = ct_rate_reports(table, report.problems);
    report.rows = rows.size();
    const auto empty = std::count_if(rows.begin(), rows.end(), [](const CtRateReport& r) {
      return ct_rate_annotation_text(r.impression, r.findings).empty();
    });
    if (empty > 0)
      report.warnings.push_back(fmt::format("{} rows have neither findings nor impression", empty));
  } else if (has("XYSpacing") || has("ZSpacing") || has("RescaleSlope") ||
             has("RescaleIntercept")) {
    kind = "metadata";
    report.rows = ct_rate_metadata(table, report.problems).size();
  } else if (labels) {
    kind = "labels";
    const auto rows = ct_rate_label_rows(table, report.problems);
    report.rows = rows.size();
    for (std::size_t k = 0; k < ct_rate_labels.size() && report.problems.empty(); ++k)
      report.details.push_back(
          fmt::format("{}: {} of {}", ct_rate_labels[k],
                      std::count_if(rows.begin(), rows.end(),
                                    [&](const CtRateLabels& r) { return r.present[k] == 1; }),
                      rows.size()));
  } else {
    // Neither; the most likely intention decides which columns the message asks for.
    expect_columns(table, {"VolumeName", "Findings_EN", "Impressions_EN"});
  }
  report.summary = fmt::format("CT-RATE table of {}, {} row{}", kind, table.rows(),
                               table.rows() == 1 ? "" : "s");
  if (report.rows != table.rows()) report.summary += fmt::format(", {} of them sound", report.rows);
}

HLIP_LAZY void inspect_annotation(const std::string& path, FileReport& report) {
  const auto studies = study_annotations(read_json(path), path, report.problems, false);
  std::size_t scans = 0, sentences = 0;
  for (const auto& s : studies) scans += s.scans.size(), sentences += s.report.size();
  if (const auto without = std::count_if(studies.begin(), studies.end(),
                                         [](const StudyAnnotation& s) { return s.report.empty(); });
      without > 0)
    report.warnings.push_back(
        fmt::format("{} of {} studies have no report, which training needs and evaluation does not",
                    without, studies.size()));
  report.rows = studies.size();
  report.summary = fmt::format("annotation of {} stud{}, {} scans, {} report texts", studies.size(),
                               studies.size() == 1 ? "y" : "ies", scans, sentences);
}

HLIP_LAZY void inspect_weights(const std::string& path, FileReport& report) {
  const TensorFile file = open_weights(path);
  index_t values = 0;
  std::map<std::string, std::size_t> types;
  for (const auto& name : file.names()) {
    const auto& info = file.info(name);
    values += info.shape.numel();
    ++types[std::string(dtype_name(info.dtype))];
    report.details.push_back(fmt::format("{} {} {}", quote_text(name, 200), dtype_name(info.dtype),
                                         to_string(info.shape)));
  }
  std::string list;
  for (const auto& [type, count] : types)
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", count, type);
  report.rows = file.names().size();
  report.summary = fmt::format("{} with {} tensors ({}), {} values, {} metadata entries",
                               is_torch_name(path) ? "PyTorch checkpoint" : "safetensors",
                               file.names().size(), list.empty() ? "none" : list, values,
                               file.metadata().size());
}

HLIP_LAZY void inspect_array(const std::string& path, FileReport& report) {
  std::string name;
  Tensor<float, Cpu> x;
  if (path.ends_with(".npz")) {
    const auto arrays = npz_arrays(path);
    if (arrays.empty()) fail_file(path, "", "holds no array");
    // what evaluate reads
    const bool ct = std::find(arrays.begin(), arrays.end(), "ct") != arrays.end();
    if (!ct && arrays.size() > 1)
      fail_file(path, "", "holds {} arrays and none \"ct\", the one that is read of several",
                arrays.size());
    name = ct ? "ct" : arrays.front();
    x = read_npz(path, name);
    name = "array " + quote_text(name) + " of ";
    if (arrays.size() > 1)
      report.details.push_back(
          fmt::format("{} other arrays, which are not read", arrays.size() - 1));
  } else {
    const MappedFile file(path);
    x = npy_tensor(parse_npy(file.bytes(), path));
  }
  const auto [low, high] = std::minmax_element(x.data(), x.data() + x.numel());
  report.rows = 1;
  report.summary = fmt::format("NumPy {}shape {}", name, to_string(x.shape()));
  if (x.numel() > 0) report.details.push_back(fmt::format("values {:.6g} to {:.6g}", *low, *high));
}

/// Calls look(report); what it throws becomes a problem of the file.
template <class Look> FileReport reported(const std::string& path, Look look) {
  FileReport report;
  try {
    look(report);
  } catch (const error& e) {
    report.problems.push_back(e.what());
  } catch (const std::bad_alloc&) {
    report.problems.push_back(visible_text(path) + ": there is not enough memory to read it");
  }
  return report;
}

}  // namespace detail

/// Looks into a volume (.nii, .nii.gz, .hdr, .img), a CT-RATE table (.csv), an annotation (.json),
/// weights (.safetensors, .pt, .pth, .bin) or an array (.npy, .npz), deciding by the end of the
/// name, and checks it as training would: to the last voxel, row and byte range.
/// @return a report; faults are in `problems`, never thrown, and name file and place
HLIP_LAZY FileReport inspect_file(const std::string& path, const InspectOptions& options = {}) {
  const auto ends = [&](std::string_view end) { return path.ends_with(end); };
  return detail::reported(path, [&](FileReport& report) {
    if (ends(".nii") || ends(".nii.gz") || ends(".hdr") || ends(".hdr.gz") || ends(".img") ||
        ends(".img.gz"))
      detail::inspect_volume(path, options, report);
    else if (ends(".csv")) detail::inspect_table(path, report);
    else if (ends(".json")) detail::inspect_annotation(path, report);
    else if (ends(".safetensors") || is_torch_name(path)) detail::inspect_weights(path, report);
    else if (ends(".npy") || ends(".npz")) detail::inspect_array(path, report);
    else
      fail_file(path, "",
                "has no ending hlip knows: .nii, .nii.gz, .hdr, .img, .csv, .json, .safetensors, "
                ".pt, .pth, .bin, .npy, .npz");
  });
}

HLIP_END
