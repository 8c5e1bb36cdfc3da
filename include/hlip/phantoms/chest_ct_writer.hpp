// Writes phantom studies as a CT-RATE tree - NIfTI volumes, report, label and metadata tables,
// training annotations - so that the demo runs the code path of real data. Needs zlib.
#pragma once

#include <hlip/imaging/nifti_write.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/unfinished_files.hpp>
#include <hlip/phantoms/chest_ct.hpp>
#include <hlip/phantoms/parts/folder.hpp>
#include <hlip/phantoms/parts/tables.hpp>

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Where a written phantom data set lies.
struct PhantomDataset {
  /// the folder with CT-RATE's layout: <split>/<patient>/<study>/<volume> beside the tables
  std::string dataset;
  std::string train_annotation;  ///< JSON: study -> {"recons": [volume], "report": [text]}
  std::string valid_annotation;
  bool reused = false;  ///< it was complete already and nothing was written
  /// volumes.csv: volume, report, study, split and mask of every study, for read_volume_table;
  /// empty where there are no label maps
  std::string table;
};

namespace detail {

/// Draws study i, writes what a run that was cut off has not left of it, and returns its table
/// rows.
HLIP_LAZY PhantomRows write_phantom_study(const std::string& dataset, const PhantomOptions& options,
                                          std::uint64_t data_seed, const std::string& split,
                                          index_t i) {
  const PhantomStudy s = make_phantom(options, data_seed, split, i);
  const std::string patient = fmt::format("{}_{}", split, i + 1), study = patient + "_a",
                    volume = study + "_1.nii.gz",
                    place = fmt::format("{}/{}/{}", split, patient, study);
  const std::string folder = dataset + "/" + place, path = folder + "/" + volume;
  if (!is_file(path)) {
    std::filesystem::remove_all(folder);  // what a killed run may have left of an unfinished file
    std::filesystem::create_directories(folder);
    write_nifti<std::int16_t>(path, s.hu, s.dhw, s.affine);
  }
  PhantomRows rows = phantom_rows(s, study, volume);
  if (!options.label_maps) return rows;
  const std::string mask = phantom_mask_path(dataset, split, volume);
  if (!is_file(mask)) write_nifti<std::uint8_t>(mask, s.label_map, s.dhw, s.affine);
  rows.volume = csv_row(std::vector<std::string>{fmt::format("dataset/{}/{}", place, volume),
                                                 phantom_annotation(s), study, split,
                                                 phantom_mask_path("dataset", split, volume)});
  return rows;
}

/// All studies and the tables of both splits. (A function: in a lambda of write_phantom_dataset it
/// makes nvcc 13 crash.)
template <class Progress>
void write_phantom_studies(const PhantomDataset& result, const PhantomOptions& options,
                           std::uint64_t data_seed, index_t n_train, index_t n_valid, int n_threads,
                           Progress& progress) {
  for (const char* tables : {"radiology_text_reports", "multi_abnormality_labels", "metadata"})
    std::filesystem::create_directories(result.dataset + "/" + tables);
  std::string volumes(phantom_volumes_header);
  index_t done = 0;
  std::mutex mutex;
  for (const std::string split : {"train", "valid"}) {
    if (options.label_maps) {
      const std::string masks = result.dataset + "/masks/" + split;
      std::filesystem::create_directories(masks);
      remove_unfinished_files(masks);  // of a killed run
    }
    std::vector<PhantomRows> rows(static_cast<std::size_t>(split == "train" ? n_train : n_valid));
    phantom_parallel(static_cast<index_t>(rows.size()), n_threads, [&](index_t i) {
      rows[static_cast<std::size_t>(i)] = write_phantom_study(result.dataset, options, data_seed,
                                                              split, i);
      const std::lock_guard lock(mutex);
      progress(++done, n_train + n_valid);
    });
    std::vector<std::string_view> label_columns = {"VolumeName"};
    label_columns.insert(label_columns.end(), phantom_label_columns.begin(),
                         phantom_label_columns.end());
    std::string reports =
                    "VolumeName,ClinicalInformation_EN,Technique_EN,Findings_EN,Impressions_EN\n",
                annotation = "{";
    std::string labels = csv_row(label_columns),
                metadata = std::string(phantom_metadata_header) + "\n";
    for (const auto& r : rows) {
      reports += r.report, labels += r.labels, metadata += r.metadata, volumes += r.volume;
      annotation += (annotation.size() > 1 ? ",\n" : "\n") + r.annotation;
    }
    // The release mixes both spellings
    const std::string name = split == "train" ? "train" : "validation";
    atomic_write(result.dataset + "/radiology_text_reports/" + name + "_reports.csv", reports);
    atomic_write(result.dataset + "/multi_abnormality_labels/" + split + "_predicted_labels.csv",
                 labels);
    atomic_write(result.dataset + "/metadata/" + name + "_metadata.csv", metadata);
    atomic_write(split == "train" ? result.train_annotation : result.valid_annotation,
                 annotation + "\n}\n");
  }
  if (options.label_maps) atomic_write(result.table, volumes);
}

/// The settings of what a folder holds or is about to hold: those wanted, and label maps if there
/// are some beside the very same studies.
HLIP_LAZY PhantomOptions options_of_folder(const std::string& root, PhantomOptions options,
                                           std::uint64_t data_seed, index_t n_train,
                                           index_t n_valid) {
  if (options.label_maps) return options;
  PhantomOptions with_maps = options;
  with_maps.label_maps = true;
  const std::string settings = phantom_settings(with_maps, data_seed, n_train, n_valid);
  for (const char* name : {"/phantom.json", "/phantom.unfinished.json"})
    if (is_file(root + name) && read_file(root + name, 1 << 16) == settings) return with_maps;
  return options;
}

}  // namespace detail

/// Writes a phantom data set below `root`, or finds it complete there.
///
/// Layout: root/dataset is a CT-RATE tree with the splits "train" and "valid",
/// root/<split>_raw_annotation.json are the annotations, root/README.txt says that the data are
/// synthetic. With options.label_maps there are label maps too (see phantom_mask_path), and
/// root/volumes.csv. The settings are kept in root/phantom.json, written last; a folder that has it
/// with the same settings is used as it is, and a run that was cut off is continued. A folder with
/// other settings, or with a dataset that is not a phantom, is refused and left alone. Label maps
/// that nobody asked for do no harm; where they are asked for and absent, the settings are others.
///
/// @param root      folder, made if need be; @param data_seed  chooses the studies
/// @param n_train, n_valid  studies a split (0 … 1 000 000); @param n_threads  at least 1; the
/// files do not depend on it
/// @param progress  called as progress(done, total) after each study, one call at a time
/// @throws hlip::error if settings are impossible, the folder holds something else, or a file
/// cannot be written
template <class Progress = detail::NoProgress>
PhantomDataset write_phantom_dataset(const std::string& root, const PhantomOptions& options,
                                     std::uint64_t data_seed, index_t n_train, index_t n_valid,
                                     int n_threads, Progress progress = {}) {
  using namespace detail;
  constexpr std::string_view where = "write_phantom_dataset";
  check_phantom_options(options);
  check_phantom_counts(where, n_train, n_valid, n_threads);
  PhantomDataset result{root + "/dataset", root + "/train_raw_annotation.json",
                        root + "/valid_raw_annotation.json", false, ""};
  const PhantomOptions drawn = options_of_folder(root, options, data_seed, n_train, n_valid);
  if (drawn.label_maps) result.table = root + "/volumes.csv";
  const std::string settings = phantom_settings(drawn, data_seed, n_train, n_valid),
                    readme = phantom_readme_text(drawn);
  result.reused = !write_phantom_folder(root, result.dataset, settings, readme, [&] {
    write_phantom_studies(result, drawn, data_seed, n_train, n_valid, n_threads, progress);
  });
  return result;
}

HLIP_END
