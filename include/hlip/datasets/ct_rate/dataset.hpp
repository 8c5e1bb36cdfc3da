// A CT-RATE tree: which volumes, reports and labels belong to which study, with every fault found
// listed at once. Needs libcsv, zlib and nlohmann_json.
#pragma once

#include <hlip/datasets/ct_rate/tables.hpp>
#include <hlip/datasets/ct_rate/volume.hpp>
#include <hlip/datasets/study_json.hpp>
#include <hlip/imaging/plausible_ct.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

HLIP_BEGIN

/// One visit of a patient: the unit of training.
struct CtRateStudy {
  std::string name;  ///< "valid_1_a"
  std::vector<CtRateVolume> recons;
  std::vector<std::string> report;  ///< texts to shuffle and join
  /// as in the reports table; empty when an annotation file was read
  std::string impression, findings;
  std::vector<std::int8_t> labels;  ///< 18 values in the order of ct_rate_labels, or none
};

/// What is read of a tree and how faults count.
struct CtRateOptions {
  std::string annotation;  ///< annotation JSON; empty: the reports table
  /// without: a study is whatever any of the tables names, with or without a report
  bool need_reports = true;
  /// labels are read whenever their table is there; with: their absence is a problem
  bool need_labels = false;
  bool already_hu = false;  ///< the volumes hold HU: the metadata table is not needed
  /// Volumes that are in a table but not on disk are counted, not a problem (partial downloads)
  bool allow_absent = false;
  VolumeCheck check = VolumeCheck::header;
  NiftiOptions nifti;
};

/// What was found in one split.
struct CtRateDataset {
  std::string root, split;
  /// sorted by name, each with its sorted reconstructions; faulty ones are left out
  std::vector<CtRateStudy> studies;
  Problems problems;                 ///< every fault found, one message each
  std::vector<std::string> skipped;  ///< reconstructions known to be unusable
  /// volumes that are not on disk: left out, and problems unless allow_absent
  std::size_t absent = 0;
};

namespace detail {

/// Reads the parts of a tree one after another into a dataset.
HLIP_LAZY class CtRateReader {
 public:
  CtRateReader(std::string root, std::string split, CtRateOptions options)
      : options_(std::move(options)) {
    while (root.size() > 1 && root.ends_with('/')) root.pop_back();
    data_.root = std::move(root);
    data_.split = std::move(split);
  }

  CtRateDataset read() {
    if (data_.split.empty() || !parse_ct_rate_name(data_.split + "_1_a_1"))
      fail("read_ct_rate", "split {} is not a folder name", quote_text(data_.split));
    volumes_at_ = first_folder({data_.split, data_.split + "_fixed"});
    if (!options_.annotation.empty()) guarded([&] { read_annotation(); });
    else guarded([&] { read_reports(); });
    guarded([&] { read_labels(); });
    guarded([&] { read_metadata(); });
    if (any_table() && studies_.empty() && data_.skipped.empty() && data_.problems.empty())
      data_.problems.push_back(
          fmt::format("{}: no table of split {} names a volume", data_.root, data_.split));
    finish();
    check_volumes();
    return std::move(data_);
  }

 private:
  // CT-RATE says "validation" in some table names and "valid" in others.
  std::vector<std::string> table_names(const std::string& folder, const std::string& end) const {
    std::vector<std::string> names = {folder + "/" + data_.split + end};
    if (data_.split == "valid") names.push_back(folder + "/validation" + end);
    return names;
  }
  /// The first that is there, or an empty string.
  std::string first_file(const std::vector<std::string>& names) const {
    for (const auto& name : names)
      if (is_file(data_.root + "/" + name)) return data_.root + "/" + name;
    return "";
  }
  std::string first_folder(const std::vector<std::string>& names) const {
    for (const auto& name : names) {
      struct stat info {};
      if (::stat((data_.root + "/" + name).c_str(), &info) == 0 && S_ISDIR(info.st_mode))
        return data_.root + "/" + name;
    }
    return data_.root + "/" + names.front();
  }
  template <class F> void guarded(F&& f) {
    try {
      f();
    } catch (const error& e) {
      data_.problems.push_back(e.what());
    }
  }
  void absent_table(const std::string& what, const std::vector<std::string>& names) {
    data_.problems.push_back(
        fmt::format("{}/{}: the {} is absent", data_.root, names.back(), what));
  }
  CtRateStudy& study(const CtRateName& name) {
    auto& s = studies_[name.study];
    s.name = name.study;
    return s;
  }
  bool any_table() const { return !options_.need_reports && options_.annotation.empty(); }
  void add_recon(const CtRateName& name) {
    if (any_table() && !listed_.insert(name.volume).second) return;
    if (std::find(ct_rate_unusable.begin(), ct_rate_unusable.end(), name.volume) !=
        ct_rate_unusable.end()) {
      data_.skipped.push_back(name.volume);
      return;
    }
    CtRateVolume volume;
    volume.name = name.volume;
    volume.path = volumes_at_ + "/" + ct_rate_volume_path(name);
    study(name).recons.push_back(std::move(volume));
  }

  void read_reports() {
    const auto names = table_names("radiology_text_reports", "_reports.csv");
    const auto path = first_file(names);
    if (path.empty() && any_table()) return;
    if (path.empty()) return absent_table("table of reports", names);
    for (auto& row : ct_rate_reports(read_csv(path), data_.problems)) {
      add_recon(row.name);
      const auto found = studies_.find(row.name.study);
      // The reconstructions of a study repeat its text
      if (found == studies_.end() || !found->second.report.empty()) continue;
      auto text = ct_rate_annotation_text(row.impression, row.findings);
      if (text.empty()) continue;
      found->second.report = {std::move(text)};
      found->second.impression = std::move(row.impression);
      found->second.findings = std::move(row.findings);
    }
  }
  void read_annotation() {
    auto entries = study_annotations(read_json(options_.annotation), options_.annotation,
                                     data_.problems);
    FileProblems faults(data_.problems, options_.annotation);
    for (auto& entry : entries) {
      const auto wrong = [&](const std::string& scan) {
        faults.add([&] {
          return fmt::format("study {}: {} is not one of its volumes", quote_text(entry.study),
                             quote_text(scan));
        });
      };
      for (const auto& scan : entry.scans) {
        const auto name = parse_ct_rate_name(scan);
        if (!name || name->study != entry.study) wrong(scan);
        else add_recon(*name);
      }
      if (const auto found = studies_.find(entry.study); found != studies_.end())
        found->second.report = std::move(entry.report);
    }
  }
  void read_labels() {
    auto names = table_names("multi_abnormality_labels", "_predicted_labels.csv");
    const auto path = first_file(names);
    if (path.empty()) {
      if (options_.need_labels) absent_table("table of labels", {names.front()});
      return;
    }
    for (const auto& row : ct_rate_label_rows(read_csv(path), data_.problems)) {
      if (any_table()) add_recon(row.name);
      const auto found = studies_.find(row.name.study);
      if (found == studies_.end() || !found->second.labels.empty()) continue;
      found->second.labels.assign(row.present.begin(), row.present.end());
    }
  }
  void read_metadata() {
    const auto names = table_names("metadata", "_metadata.csv");
    const auto path = first_file(names);
    if (path.empty()) {
      if (!options_.already_hu) absent_table("table of metadata", names);
      return;
    }
    std::unordered_map<std::string, CtRateMetadata> rows;
    for (auto& row : ct_rate_metadata(read_csv(path), data_.problems)) {
      if (any_table()) add_recon(row.name);
      rows.emplace(row.name.volume, row);
    }
    metadata_read_ = true;
    for (auto& [name, s] : studies_)
      for (auto& recon : s.recons) {
        const auto it = rows.find(recon.name);
        if (it == rows.end()) continue;
        recon.has_metadata = true;
        recon.slope = it->second.slope;
        recon.intercept = it->second.intercept;
        recon.spacing = it->second.spacing;
      }
  }

  void finish() {
    for (auto& [name, s] : studies_) {
      std::sort(s.recons.begin(), s.recons.end(),
                [](const auto& a, const auto& b) { return a.name < b.name; });
      const auto twice = std::adjacent_find(
          s.recons.begin(), s.recons.end(),
          [](const auto& a, const auto& b) { return a.name == b.name; });
      if (twice != s.recons.end())
        data_.problems.push_back(
            fmt::format("study {}: volume {} is listed twice", name, twice->name));
      s.recons.erase(std::unique(s.recons.begin(), s.recons.end(),
                                 [](const auto& a, const auto& b) { return a.name == b.name; }),
                     s.recons.end());
      // Without slope and intercept a volume would be trained on in the wrong unit
      if (!options_.already_hu)
        std::erase_if(s.recons, [&](const CtRateVolume& v) {
          if (!v.has_metadata && metadata_read_)
            data_.problems.push_back(
                fmt::format("{}: has no usable row in the metadata table", v.path));
          return !v.has_metadata;
        });
      bool usable = true;
      if (options_.need_reports && s.report.empty()) {
        data_.problems.push_back(fmt::format("study {}: its report is empty", name));
        usable = false;
      }
      if (options_.need_labels && s.labels.empty()) {
        data_.problems.push_back(fmt::format("study {}: has no labels", name));
        usable = false;
      }
      if (usable && !s.recons.empty()) data_.studies.push_back(std::move(s));
    }
    std::sort(data_.skipped.begin(), data_.skipped.end());
  }

  /// Reads a volume to its end. @return why it is not to be trained on, or nothing
  std::string voxel_fault(const CtRateVolume& recon) const {
    CtPreset preset;
    preset.already_hu = options_.already_hu;
    const std::string fault = ct_fault(open_ct_rate_volume(recon, preset, options_.nifti));
    return fault.empty() ? fault : recon.path + ": " + fault;
  }

  void check_volumes() {
    if (options_.check == VolumeCheck::none) return;
    std::vector<CtRateVolume*> all;
    for (auto& s : data_.studies)
      for (auto& recon : s.recons) all.push_back(&recon);
    std::vector<std::string> fault(all.size());
#pragma omp parallel for schedule(dynamic, 8)
    for (std::size_t i = 0; i < all.size(); ++i) {
      try {  // exceptions must not leave the loop
        if (!is_file(all[i]->path)) fault[i] = all[i]->path + ": the volume is absent";
        else if (options_.check == VolumeCheck::header)
          inspect_nifti(all[i]->path, false, options_.nifti);
        else if (options_.check == VolumeCheck::voxels) fault[i] = voxel_fault(*all[i]);
      } catch (const std::exception& e) {
        fault[i] = e.what();
      }
    }
    std::size_t i = 0;
    for (auto& s : data_.studies) {
      std::erase_if(s.recons, [&](const CtRateVolume& v) {
        const auto& f = fault[i++];
        if (f.empty()) return false;
        const bool absent = !is_file(v.path);
        if (absent) ++data_.absent;
        if (!absent || !options_.allow_absent) data_.problems.push_back(f);
        return true;
      });
    }
    std::erase_if(data_.studies, [](const CtRateStudy& s) { return s.recons.empty(); });
  }

  CtRateOptions options_;
  CtRateDataset data_;
  std::string volumes_at_;
  std::map<std::string, CtRateStudy> studies_;
  std::set<std::string> listed_;
  bool metadata_read_ = false;  // else one problem already stands for all volumes
};

}  // namespace detail

/// Reads the tables of a split and looks for its volumes.
///
/// @param root  folder with <split>/, radiology_text_reports/, multi_abnormality_labels/ and
/// metadata/
/// @param split "train", "valid", or any other whose tables are named alike
/// @return the sound studies and every problem found; a caller that tolerates no faults calls
/// `expect_no_problems`
/// @throws hlip::error only for an impossible split name
/// Source: the CT-RATE release; HLIP's preparation of it.
HLIP_LAZY CtRateDataset read_ct_rate(const std::string& root, const std::string& split,
                                     const CtRateOptions& options = {}) {
  return detail::CtRateReader<>(root, split, options).read();
}

/// Throws one error that lists all problems, when there are any.
inline void expect_no_problems(const CtRateDataset& data) {
  expect_no_problems(data.problems, data.root, data.split);
}

HLIP_END
