// A DICOM series to a Volume: a folder of slices, or one file. Needs DCMTK, OpenJPEG and zlib
// (CMake component dicom).
#pragma once

#include <hlip/imaging/dicom/file.hpp>
#include <hlip/imaging/dicom/recognise.hpp>
#include <hlip/imaging/slice_stack.hpp>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

HLIP_BEGIN

/// How a series is read.
struct DicomOptions {
  DicomLimits limits = {};
  /// SeriesInstanceUID to take from a folder that holds several; empty: there must be one
  std::string series = {};
  std::string modality = {};  ///< refuse a series that says it is of another; empty: any
};

namespace detail {

/// One slice of a series before it has its place.
struct DicomSlice {
  std::size_t file = 0, frame = 0;
  const DicomFrame* about = nullptr;
};

/// The DICOM files of a folder (not of folders in it), by name. A DICOMDIR and hidden files do not
/// count.
HLIP_LAZY std::vector<std::string> dicom_files(const std::string& folder,
                                               std::vector<std::string>& warnings) {
  std::vector<std::string> paths, others;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end;
       it.increment(failed)) {
    const std::string path = it->path().string(), name = it->path().filename().string();
    if (name.starts_with('.') || name == "DICOMDIR" || !is_file(path)) continue;
    (is_dicom_file(path) ? paths : others).push_back(path);
  }
  if (failed) fail_file(folder, "", "cannot be listed: {}", failed.message());
  std::sort(paths.begin(), paths.end());
  std::sort(others.begin(), others.end());
  if (paths.empty())
    fail_file(folder, "", "holds no DICOM files{}",
              others.empty() ? ""
                             : fmt::format(", but {} others, such as {}", others.size(),
                                           quote_text(others.front())));
  if (!others.empty())
    warnings.push_back(fmt::format("{} file{} no DICOM and left out, such as {}", others.size(),
                                   others.size() == 1 ? " is" : "s are",
                                   quote_text(others.front())));
  return paths;
}

/// Leaves the headers of one series. @throws hlip::error listing them when several are there and
/// none was chosen
HLIP_LAZY void choose_series(const std::string& path, const std::string& wanted,
                             std::vector<DicomHeader>& headers) {
  std::map<std::string, std::size_t> count;
  for (const auto& h : headers) ++count[h.series];
  if (count.size() == 1 && wanted.empty()) return;
  if (wanted.empty() || !count.contains(wanted)) {
    std::string list;
    for (const auto& [uid, files] : count) {
      const auto h = std::find_if(headers.begin(), headers.end(),
                                  [&, id = &uid](const DicomHeader& x) { return x.series == *id; });
      list += fmt::format(
          "{}{} ({}{}{} file{})", list.empty() ? "" : ", ",
          uid.empty() ? "one without SeriesInstanceUID" : uid,
          h->modality.empty() ? "" : h->modality + ", ",
          h->series_description.empty() ? "" : quote_text(h->series_description, 40) + ", ", files,
          files == 1 ? "" : "s");
      if (list.size() > 600) {
        list += ", …";
        break;
      }
    }
    fail_file(path, "", "holds {} series, expected {}: {}", count.size(),
              wanted.empty() ? "one (hint: choose one by its UID, or give each a folder)" : wanted,
              list);
  }
  std::erase_if(headers, [&](const DicomHeader& h) { return h.series != wanted; });
}

/// Sizes, kind and scale must be those of one volume.
HLIP_LAZY void check_same_volume(const std::vector<DicomHeader>& headers) {
  const auto& first = headers.front();
  for (const auto& h : headers) {
    if (h.rows != first.rows || h.columns != first.columns)
      fail_file(h.path, "Rows",
                "{} x {} pixels, but {} x {} in {}: these are not slices of one volume", h.rows,
                h.columns, first.rows, first.columns, first.path);
    if (h.modality != first.modality)
      fail_file(h.path, "Modality", "is \"{}\", but \"{}\" in {}", h.modality, first.modality,
                first.path);
    for (const auto& f : h.frames)
      if (f.slope && *f.slope == 0) fail_file(h.path, "RescaleSlope", "is 0");
  }
}

/// Geometry of slices without a place: a single image may have a pixel size and nothing else.
HLIP_LAZY SliceStack stack_dicom(const std::vector<DicomHeader>& headers,
                                 const std::vector<DicomSlice>& slices, Volume& out) {
  std::vector<SlicePlane> planes;
  for (const auto& s : slices) {
    const auto& h = headers[s.file];
    const auto& f = *s.about;
    SlicePlane p;
    p.name = h.frames.size() == 1 ? h.path : fmt::format("{}: frame {}", h.path, s.frame + 1);
    if (!f.spacing) fail_file(p.name, "PixelSpacing", "is absent: the size of a pixel is unknown");
    p.spacing = *f.spacing;
    if (f.position && f.orientation) {
      const auto& o = *f.orientation;
      p.position = *f.position;
      p.along_row = {o[0], o[1], o[2]};
      p.along_column = {o[3], o[4], o[5]};
    } else if (slices.size() > 1) {
      fail_file(p.name, f.position ? "ImageOrientationPatient" : "ImagePositionPatient",
                "is absent: where {} slices lie is unknown", slices.size());
    } else {
      out.orientation_known = false;
      out.warnings.push_back("the orientation in the patient is unknown, only the pixel size is");
    }
    planes.push_back(std::move(p));
  }
  const double thickness = slices.front().about->thickness.value_or(0);
  if (slices.size() == 1 && !(thickness > 0 && thickness <= 1000))
    out.warnings.push_back(
        "SliceThickness is absent or impossible, taken as 1 mm for a single slice");
  return stack_slices(planes, thickness > 0 && thickness <= 1000 ? thickness : 1);
}

/// slope * stored + intercept of every slice, into its place. @param where position of each slice
/// in the volume
HLIP_LAZY void fill_dicom(const std::vector<DicomHeader>& headers,
                          const std::vector<std::vector<std::size_t>>& where,
                          const DicomLimits& limits, Tensor<float, Cpu>& voxels) {
  const auto pixels = static_cast<std::size_t>(headers.front().rows * headers.front().columns);
  const auto n = static_cast<index_t>(headers.size());
  std::vector<std::exception_ptr> faults(headers.size());
#pragma omp parallel for schedule(dynamic) if (n > 1)
  for (index_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    try {
      const auto samples = read_dicom_file(headers[at].path, limits).samples;
      if (samples.size() != pixels * where[at].size())
        fail_file(headers[at].path, "", "changed while it was read");
      for (std::size_t f = 0; f < where[at].size(); ++f) {
        const auto& frame = headers[at].frames[f];
        const double slope = frame.slope.value_or(1), intercept = frame.intercept.value_or(0);
        float* to = voxels.data() + where[at][f] * pixels;
        for (std::size_t p = 0; p < pixels; ++p)
          to[p] = static_cast<float>(
              multiply_add(static_cast<double>(samples[f * pixels + p]), slope, intercept));
      }
    } catch (...) {
      faults[at] = std::current_exception();
    }
  }
  for (const auto& fault : faults)
    if (fault) std::rethrow_exception(fault);
}

}  // namespace detail

/// Reads a series: a folder of single slices or of enhanced multi-frame files, or one file. Slices
/// are put in the order of their positions in the patient (see stack_slices, which says what is
/// refused); values are slope * stored + intercept, slice by slice. CT whose rescaling is not said
/// to give something else is in HU; anything else has the unit `stored`.
/// Files that are no DICOM are left out with a warning. Transfer syntaxes: uncompressed, deflated,
/// RLE, JPEG (baseline, extended, lossless), JPEG-LS, JPEG 2000.
/// @return voxels (D, H, W): W along a row, H down the columns, D along their normal  @throws
/// hlip::error naming file and fault
HLIP_LAZY Volume read_dicom(const std::string& path, const DicomOptions& options = {}) {
  Volume out;
  std::vector<DicomHeader> headers;
  for (const auto& file :
       is_folder(path) ? detail::dicom_files(path, out.warnings) : std::vector{path})
    headers.push_back(read_dicom_file(file, options.limits, false).header);
  detail::choose_series(path, options.series, headers);
  detail::check_same_volume(headers);
  const auto& first = headers.front();
  if (!options.modality.empty() && !first.modality.empty() && first.modality != options.modality)
    fail_file(first.path, "Modality", "is {}, expected {}", first.modality, options.modality);
  std::vector<detail::DicomSlice> slices;
  for (std::size_t i = 0; i < headers.size(); ++i)
    for (std::size_t f = 0; f < headers[i].frames.size(); ++f)
      slices.push_back({i, f, &headers[i].frames[f]});
  const auto bytes = static_cast<std::uint64_t>(first.rows * first.columns) * slices.size() *
                     sizeof(float);
  if (bytes > options.limits.max_bytes)
    fail_file(path, "", "{} slices of {} x {} pixels need {} bytes, the limit is {}", slices.size(),
              first.rows, first.columns, bytes, options.limits.max_bytes);

  const SliceStack stack = detail::stack_dicom(headers, slices, out);
  std::vector<std::vector<std::size_t>> where;
  for (const auto& h : headers) where.emplace_back(h.frames.size());
  for (std::size_t k = 0; k < slices.size(); ++k) {
    const auto& s = slices[stack.order[k]];
    where[s.file][s.frame] = k;
  }
  out.affine = stack.affine;
  out.spacing = stack.spacing;
  out.source = path;
  bool scaled = true, hu = true;
  for (const auto& s : slices) scaled = scaled && s.about->slope && s.about->intercept;
  for (const auto& h : headers) hu = hu && (h.rescale_type.empty() || h.rescale_type == "HU");
  out.unit = first.modality == "CT" && scaled && hu ? Unit::hounsfield : Unit::stored;
  if (first.modality.empty())
    out.warnings.push_back("Modality is absent: whether the values are HU is unknown");
  else if (first.modality == "CT" && out.unit != Unit::hounsfield)
    out.warnings.push_back("CT without a rescaling to HU: whether the values are HU is unknown");
  if (first.photometric == "MONOCHROME1")
    out.warnings.push_back("MONOCHROME1: high values are dark; values are used as they are");
  out.voxels = Tensor<float, Cpu>::empty(
      {static_cast<index_t>(slices.size()), first.rows, first.columns});
  detail::fill_dicom(headers, where, options.limits, out.voxels);
  return out;
}

HLIP_END
