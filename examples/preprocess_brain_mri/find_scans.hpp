// Looks for MRI scans below a folder: NIfTI files, and folders that hold a DICOM series.
#pragma once

#include <hlip/datasets/study_json.hpp>
#include <hlip/imaging/dicom/recognise.hpp>

#include <fmt/format.h>

#include <cctype>
#include <exception>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace preprocess_brain_mri {

/// Whether a folder holds the files of a DICOM series. @throws when it cannot be listed, or none of
/// its files is DICOM and one cannot be read
inline bool is_series(const std::filesystem::path& folder) {
  std::exception_ptr unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::error_code unknown;
    if (!entry.is_regular_file(unknown)) continue;
    try {
      if (hlip::is_dicom_file(entry.path().string())) return true;
    } catch (const hlip::error&) {
      if (!unreadable) unreadable = std::current_exception();
    }
  }
  if (unreadable) std::rethrow_exception(unreadable);
  return false;
}

/// What went wrong, beginning with the path.
inline std::string look_fault(const std::string& path, const std::exception& e) {
  const auto* system = dynamic_cast<const std::filesystem::filesystem_error*>(&e);
  return system ? fmt::format("{}: cannot be looked at: {}", path, system->code().message())
                : std::string(e.what());
}

/// "T1W.nii.gz" without its endings, the name of a folder that holds a DICOM series, or nothing for
/// what is no scan: segmentations and masks lie beside scans in public sets. @throws when it cannot
/// be looked at
inline std::string scan_name(const std::filesystem::path& path) {
  std::string stem = path.filename().string(), lower;
  const auto kind = std::filesystem::status(path).type();
  bool scan = kind == std::filesystem::file_type::directory && is_series(path);
  if (kind == std::filesystem::file_type::regular)
    for (const char* end : {".gz", ".nii"})
      if (stem.ends_with(end))
        stem.resize(stem.size() - std::string_view(end).size()),
            scan = scan || std::string_view(end) == ".nii";
  for (const char c : stem) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return scan && lower.find("seg") == lower.npos && lower.find("mask") == lower.npos ? stem : "";
}

/// Every folder that holds scans, be they files or the folders of DICOM series, is a study. What
/// cannot be looked at, such as a folder without permission or a link to itself, is a problem, and
/// the rest is gone through all the same; links to folders are not followed, unless they hold a
/// series.
inline std::vector<hlip::StudyAnnotation> studies_below(const std::string& root,
                                                        hlip::Problems& problems) {
  std::map<std::string, hlip::StudyAnnotation> found;
  std::vector<std::filesystem::path> folders{root};
  while (!folders.empty()) {
    const auto folder = folders.back();
    folders.pop_back();
    std::error_code failed;
    for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end;
         it.increment(failed)) {
      const auto path = it->path();
      try {
        if (it->symlink_status().type() == std::filesystem::file_type::directory)
          folders.push_back(path);
        if (it->status().type() == std::filesystem::file_type::not_found &&
            path.string().find(".nii") != std::string::npos)
          problems.push_back(path.string() + ": is a link that leads nowhere");
        if (scan_name(path).empty()) continue;
      } catch (const std::exception& e) {
        const bool listed_later = !folders.empty() && folders.back() == path &&
                                  dynamic_cast<const std::filesystem::filesystem_error*>(&e);
        if (!listed_later) problems.push_back(look_fault(path.string(), e));
        continue;
      }
      const auto relative = path.lexically_relative(root);
      const std::string name = relative.has_parent_path()
                                   ? relative.parent_path().generic_string()
                                   : std::filesystem::canonical(root).filename().string();
      found[name].study = name;
      found[name].scans.push_back(relative.generic_string());
    }
    if (failed)
      problems.push_back(
          fmt::format("{}: cannot be listed: {}", folder.string(), failed.message()));
  }
  std::vector<hlip::StudyAnnotation> studies;
  for (auto& [name, study] : found) studies.push_back(std::move(study));
  return studies;
}

}  // namespace preprocess_brain_mri
