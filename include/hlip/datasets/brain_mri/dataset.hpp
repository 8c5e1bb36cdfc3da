// Brain MRI (or head CT) studies of many scans in HLIP's JSON layout, with every fault found listed
// at once. Needs libcsv, zlib, libdeflate and nlohmann_json.
#pragma once

#include <hlip/data/problems.hpp>
#include <hlip/datasets/brain_mri/scan.hpp>
#include <hlip/datasets/study_json.hpp>
#include <hlip/io/csv.hpp>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

HLIP_BEGIN

/// One study: the unit of training.
struct BrainStudy {
  std::string name;
  std::vector<BrainScan> scans;     ///< sorted by name
  std::vector<std::string> report;  ///< sentences
  std::vector<std::int8_t> labels;  ///< in the order of BrainDataset::findings, or none
};

/// What is read of a data set and how faults count.
struct BrainOptions {
  std::string split = {};  ///< folder of the voxels below the root; empty: see brain_split
  /// CSV with a column "study" and one column of 0 and 1 for each finding; empty: no labels
  std::string labels = {};
  bool need_reports = true;
  VolumeCheck check = VolumeCheck::header;
};

/// What was found in one JSON file.
struct BrainDataset {
  std::string root, split;
  std::vector<BrainStudy> studies;    ///< sorted by name; faulty ones are left out
  std::vector<std::string> findings;  ///< columns of the table of labels
  Problems problems;                  ///< every fault found, one message each
};

/// The split a JSON file is about: its name up to the first underscore, "train" for
/// train_studies.json.
HLIP_LAZY std::string brain_split(const std::string& json) {
  const std::string name = json.substr(json.find_last_of('/') + 1);
  return name.substr(0, std::min(name.find('_'), name.rfind(".json")));
}

namespace detail {

/// Looks at a scan as closely as asked. @return its fault, or nothing
HLIP_LAZY std::string brain_scan_fault(const BrainScan& scan, VolumeCheck check) {
  try {
    if (scan.path.empty()) fail_absent_scan(scan.folder);
    if (check == VolumeCheck::exists) return "";
    std::string implausible;
    if (!is_prepared_name(scan.path)) {
      const NiftiInfo info = inspect_nifti(scan.path, check == VolumeCheck::voxels);
      if (info.voxels_read && !(info.min < info.max))
        implausible = info.not_finite == static_cast<std::uint64_t>(info.header.shape().numel())
                          ? "no voxel is finite"
                          : "all voxels are equal";
    } else if (const TensorFile file = open_weights(scan.path); check == VolumeCheck::voxels) {
      implausible = implausible_scan(read_prepared_scan(file));
    }
    if (!implausible.empty()) fail_file(scan.path, "", "{}", implausible);
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

HLIP_LAZY void check_brain_scans(BrainDataset& data, VolumeCheck check) {
  if (check == VolumeCheck::none) return;
  std::vector<const BrainScan*> all;
  for (const auto& study : data.studies)
    for (const auto& scan : study.scans) all.push_back(&scan);
  std::vector<std::string> fault(all.size());
#pragma omp parallel for schedule(dynamic, 8)
  for (std::size_t i = 0; i < all.size(); ++i) fault[i] = brain_scan_fault(*all[i], check);
  std::size_t i = 0;
  std::erase_if(data.studies, [&](const BrainStudy& study) {
    bool bad = false;
    for (std::size_t s = 0; s < study.scans.size(); ++s, ++i)
      if (!fault[i].empty()) data.problems.push_back(fault[i]), bad = true;
    return bad;
  });
}

/// Labels by study; bad rows go to `problems`.
HLIP_LAZY std::unordered_map<std::string, std::vector<std::int8_t>> brain_labels(
    const CsvTable& table, const std::string& path, std::vector<std::string>& findings,
    Problems& problems) {
  const auto key = static_cast<std::size_t>(table.column("study"));
  std::unordered_map<std::string, std::vector<std::int8_t>> labels;
  for (std::size_t c = 0; c < table.columns().size(); ++c)
    if (c != key) findings.push_back(table.columns()[c]);
  if (findings.empty())
    fail_file(path, "", "has no column beside study, expected one for each finding");
  FileProblems faults(problems, path);
  const auto wrong = [&](std::size_t row, std::size_t column,
                         fmt::format_string<std::string> what) {
    const auto c = static_cast<int>(column);
    faults.add([&] {
      return fmt::format("{}: {}", table.place(row, c),
                         fmt::format(what, quote_text(table.at(row, c))));
    });
  };
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const std::size_t before = faults.count();
    std::vector<std::int8_t> row;
    for (std::size_t c = 0; c < table.columns().size(); ++c) {
      if (c == key) continue;
      const std::string_view text = table.at(r, static_cast<int>(c));
      if (text != "0" && text != "1") wrong(r, c, "is {}, expected 0 or 1");
      row.push_back(text == "1");
    }
    if (faults.count() > before) continue;
    const std::string_view study = table.at(r, static_cast<int>(key));
    if (!labels.emplace(std::string(study), std::move(row)).second)
      wrong(r, key, "study {} is given twice");
  }
  return labels;
}

}  // namespace detail

/// Reads {study: {"series": {scan: {"num_slices", "view"}}, "report_length", "report":
/// [sentence]}}. Voxels lie in <root>/<split>/<study>/<scan>/, in a file named as brain_scan_names
/// says.
/// @param json the annotation; @param root of the voxels
/// @return the sound studies and every problem found; a study of which one scan is bad is left out
/// whole
/// @throws hlip::error when the JSON or the table of labels cannot be read at all
/// Source: HLIP, data of the brain MRI and head CT models.
HLIP_LAZY BrainDataset read_brain_mri(std::string root, const std::string& json,
                                      const BrainOptions& options = {}) {
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  BrainDataset data;
  data.split = options.split.empty() ? brain_split(json) : options.split;
  data.root = std::move(root);
  if (!is_inside_name(data.split))
    fail("read_brain_mri", "split {} is not a folder name", quote_text(data.split));
  const std::string folder = data.root + "/" + data.split;
  std::unordered_map<std::string, std::vector<std::int8_t>> labels;
  if (!options.labels.empty())
    labels = detail::brain_labels(read_csv(options.labels, {"study"}), options.labels,
                                  data.findings, data.problems);
  for (auto& entry :
       study_annotations(read_json(json), json, data.problems, options.need_reports)) {
    BrainStudy study{entry.study, {}, std::move(entry.report), {}};
    std::sort(entry.scans.begin(), entry.scans.end());
    for (const auto& scan : entry.scans) {
      std::string at = fmt::format("{}/{}/{}", folder, study.name, scan),
                  file = brain_scan_file(at);
      study.scans.push_back({scan, std::move(at), std::move(file)});
    }
    if (!options.labels.empty()) {
      const auto row = labels.find(study.name);
      if (row == labels.end()) {
        data.problems.push_back(
            fmt::format("{}: study {} has no row", options.labels, quote_text(study.name)));
        continue;
      }
      study.labels = row->second;
    }
    data.studies.push_back(std::move(study));
  }
  detail::check_brain_scans(data, options.check);
  return data;
}

HLIP_END
