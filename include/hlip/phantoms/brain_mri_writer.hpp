// Writes brain phantoms in the JSON layout of real brain MRI studies, so that the demo runs the
// code path of real data. Needs zlib and nlohmann_json.
#pragma once

#include <hlip/datasets/brain_mri/scan.hpp>
#include <hlip/io/json.hpp>
#include <hlip/phantoms/brain_mri.hpp>
#include <hlip/phantoms/parts/folder.hpp>
#include <hlip/phantoms/parts/tables.hpp>

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Where a written brain phantom data set lies.
struct BrainPhantomDataset {
  /// of the voxels: root/<split>/<study>/<scan>/img.safetensors
  std::string root;
  std::string train_json, valid_json;  ///< the studies of each split
  std::string valid_labels;            ///< CSV: study and one column for each finding
  bool reused = false;                 ///< it was complete already and nothing was written
};

namespace detail {

// Raise it with every change that makes the same settings draw other studies; it keeps old data
// sets from being reused.
inline constexpr int brain_phantom_version = 2;

inline constexpr std::string_view brain_phantom_readme =
    "Everything in this folder is SYNTHETIC.\n\n"
    "The scans are geometric bodies drawn by a random number generator, four MR sequences of one "
    "head each, and the reports are template\n"
    "sentences. No patient was scanned, no radiologist wrote a line. Findings are independent of "
    "each other and far more frequent than\n"
    "in a hospital. Results on these data say whether a program learns to match images and text. "
    "They say nothing about patients and must\n"
    "not be compared with published results.\n\n"
    "phantom.json holds the settings; the same settings give the same studies again.\n";

HLIP_LAZY std::string brain_phantom_settings(const BrainPhantomOptions& o, std::uint64_t data_seed,
                                             index_t n_train, index_t n_valid) {
  std::string prevalence;
  for (const double p : o.prevalence)
    prevalence += fmt::format("{}{}", prevalence.empty() ? "" : ", ", p);
  return fmt::format(
      "{{\"what\": \"synthetic brain MRI phantoms, no patients\", \"generator_version\": {}, "
      "\"data_seed\": {}, \"train\": {}, \"valid\": {}, \"slices\": {}, \"pixels\": {}, "
      "\"prevalence\": [{}]}}\n",
      brain_phantom_version, data_seed, n_train, n_valid, o.slices, o.pixels, prevalence);
}

/// What one study adds to the annotation and to the table of labels.
struct BrainPhantomRows {
  Json annotation;
  std::string labels;
};

/// Draws study i and writes the scans that a run that was cut off has not left.
HLIP_LAZY BrainPhantomRows write_brain_phantom_study(const std::string& folder,
                                                     const BrainPhantomOptions& options,
                                                     std::uint64_t data_seed,
                                                     const std::string& split, index_t i) {
  const BrainPhantomStudy study = make_brain_phantom(options, data_seed, split, i);
  BrainPhantomRows rows;
  for (int s = 0; s < brain_sequence_count; ++s) {
    const std::string scan(brain_sequence_names[static_cast<std::size_t>(s)]),
        at = folder + "/" + scan;
    rows.annotation["series"][scan] = {{"num_slices", study.dhw[0]}, {"view", "axial"}};
    if (is_file(at + "/img.safetensors")) continue;
    std::filesystem::remove_all(at);  // what a killed run may have left of an unfinished file
    std::filesystem::create_directories(at);
    SafetensorsWriter file;
    file.add("img", std::span<const std::uint8_t>(study.scans[static_cast<std::size_t>(s)]),
             study.dhw);
    file.metadata("view", "axial");
    file.metadata("source", "synthetic phantom, no patient");
    file.write(at + "/img.safetensors");
  }
  rows.annotation["report_length"] = study.report.size();
  rows.annotation["report"] = study.report;
  for (const int l : study.labels) rows.labels += l ? ",1" : ",0";
  return rows;
}

/// All studies and the tables of both splits. (A function: see write_phantom_studies.)
template <class Progress>
void write_brain_phantom_studies(const std::string& root, const BrainPhantomOptions& options,
                                 std::uint64_t data_seed, index_t n_train, index_t n_valid,
                                 int n_threads, Progress& progress) {
  index_t done = 0;
  std::mutex mutex;
  for (const std::string split : {"train", "valid"}) {
    std::vector<BrainPhantomRows> rows(
        static_cast<std::size_t>(split == "train" ? n_train : n_valid));
    const auto name = [&](std::size_t i) { return fmt::format("{}_{:06d}", split, i + 1); };
    phantom_parallel(static_cast<index_t>(rows.size()), n_threads, [&](index_t i) {
      const auto at = static_cast<std::size_t>(i);
      rows[at] = write_brain_phantom_study(fmt::format("{}/{}/{}", root, split, name(at)), options,
                                           data_seed, split, i);
      const std::lock_guard lock(mutex);
      progress(++done, n_train + n_valid);
    });
    std::string labels = "study", annotation = "{";
    for (const auto finding : brain_finding_names) labels += "," + csv_field(finding);
    labels += "\n";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      labels += name(i) + rows[i].labels + "\n";
      annotation += fmt::format("{}\n\"{}\": {}", i > 0 ? "," : "", name(i),
                                rows[i].annotation.dump());
    }
    atomic_write(fmt::format("{}/{}_labels.csv", root, split), labels);
    atomic_write(fmt::format("{}/{}_phantom.json", root, split), annotation + "\n}\n");
  }
}

}  // namespace detail

/// Writes a brain phantom data set below `root`, or finds it complete there:
/// root/train_phantom.json and root/valid_phantom.json in HLIP's layout, voxels in
/// root/<split>/<study>/<scan>/img.safetensors, root/valid_labels.csv (and train), root/README.txt
/// that says that the data are synthetic. Settings, continued and foreign folders are as for
/// write_phantom_dataset.
/// @param n_train, n_valid studies a split (0 … 1 000 000); @param n_threads at least 1; the files
/// do not depend on it
/// @param progress called as progress(done, total) after each study, one call at a time
/// @throws hlip::error if settings are impossible, the folder holds something else, or a file
/// cannot be written
template <class Progress = detail::NoProgress>
BrainPhantomDataset write_brain_phantom_dataset(const std::string& root,
                                                const BrainPhantomOptions& options,
                                                std::uint64_t data_seed, index_t n_train,
                                                index_t n_valid, int n_threads,
                                                Progress progress = {}) {
  using namespace detail;
  check_phantom_options(options);
  check_phantom_counts("write_brain_phantom_dataset", n_train, n_valid, n_threads);
  BrainPhantomDataset result{root, root + "/train_phantom.json", root + "/valid_phantom.json",
                             root + "/valid_labels.csv", false};
  const std::string settings = brain_phantom_settings(options, data_seed, n_train, n_valid);
  result.reused = !write_phantom_folder(root, root + "/train", settings, brain_phantom_readme, [&] {
    write_brain_phantom_studies(root, options, data_seed, n_train, n_valid, n_threads, progress);
  });
  return result;
}

HLIP_END
