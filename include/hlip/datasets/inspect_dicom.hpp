// What is in a DICOM file or a folder of them, found by the reader that programs use. Needs what
// dicom.hpp and inspect.hpp need.
#pragma once

#include <hlip/datasets/inspect.hpp>
#include <hlip/imaging/dicom.hpp>

#include <algorithm>
#include <string>

HLIP_BEGIN

namespace detail {

HLIP_LAZY void inspect_dicom_file(const std::string& path, const DicomOptions& options,
                                  FileReport& report) {
  const auto [h, samples] = read_dicom_file(path, options.limits);
  report.summary = fmt::format("DICOM {}, {} frame{} of {} x {} pixels, {}{} bits, {}",
                               h.modality.empty() ? "without Modality" : h.modality,
                               h.frames.size(), h.frames.size() == 1 ? "" : "s", h.rows, h.columns,
                               h.is_signed ? "signed " : "", h.bits_stored, h.syntax_name);
  const auto [low, high] = std::minmax_element(samples.begin(), samples.end());
  report.details.push_back(fmt::format("stored values {} to {}", *low, *high));
  const auto& f = h.frames.front();
  if (f.slope || f.intercept)
    report.details.push_back(fmt::format("slope {:.6g}, intercept {:.6g}", f.slope.value_or(1),
                                         f.intercept.value_or(0)));
  if (f.spacing)
    report.details.push_back(
        fmt::format("pixels of {:.4g} x {:.4g} mm", (*f.spacing)[0], (*f.spacing)[1]));
  if (f.position)
    report.details.push_back(
        fmt::format("{} at ({:.6g}, {:.6g}, {:.6g}) mm (LPS)",
                    h.frames.size() == 1 ? "its corner lies" : "the first frame begins",
                    (*f.position)[0], (*f.position)[1], (*f.position)[2]));
  else report.warnings.push_back("it does not say where it lies in the patient");
  if (!h.series.empty()) report.details.push_back("series " + quote_text(h.series, 80));
}

HLIP_LAZY void inspect_dicom_series(const std::string& path, const DicomOptions& options,
                                    FileReport& report) {
  const auto v = read_dicom(path, options);
  report.summary = fmt::format(
      "DICOM series, volume {} of {:.4g} x {:.4g} x {:.4g} mm (D, H, W), {}",
      to_string(v.voxels.shape()), v.spacing[0], v.spacing[1], v.spacing[2],
      v.orientation_known ? orientation_code(v.affine) : "orientation unknown");
  const float* x = v.voxels.data();
  const auto [low, high] = std::minmax_element(x, x + v.voxels.numel());
  report.details.push_back(fmt::format("values {:.6g} to {:.6g}, {}", *low, *high,
                                       v.unit == Unit::hounsfield ? "HU" : "unit not known"));
  report.warnings = v.warnings;
}

}  // namespace detail

/// Looks into one DICOM file, or a folder as one series, to the last pixel.
/// @return a report; faults are in `problems`, never thrown, and name file and place
HLIP_LAZY FileReport inspect_dicom(const std::string& path, const DicomOptions& options = {}) {
  return detail::reported(path, [&](FileReport& report) {
    is_folder(path) ? detail::inspect_dicom_series(path, options, report)
                    : detail::inspect_dicom_file(path, options, report);
  });
}

HLIP_END
