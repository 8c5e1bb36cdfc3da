// A collection of CT volumes of your own: NIfTI files in HU and a table (CSV) that names them, with
// a report each. Needs libcsv, zlib and nlohmann_json.
#pragma once

#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/io/csv.hpp>

#include <map>
#include <string>
#include <utility>

HLIP_BEGIN

/// What was found in a table.
struct VolumeTable : CtRateDataset {
  bool has_split = false;                    ///< whether it has that column
  std::map<std::string, std::string> masks;  ///< label map of a volume, by the volume's path
};

/// What a row has to have.
struct VolumeTableOptions {
  bool need_reports = true;
  bool need_masks = false;
};

namespace detail {

/// Adds a row to the studies of its table, by name, or a fault.
HLIP_LAZY void add_volume_row(const CsvTable& table, std::size_t row, const std::string& folder,
                              const VolumeTableOptions& options,
                              std::map<std::string, CtRateStudy>& studies, VolumeTable& data,
                              FileProblems& faults) {
  const int volumes = table.column("volume"), reports = table.find("report"),
            names = table.find("study"), masks = table.find("mask");
  const std::string volume(table.at(row, volumes));
  const auto fault = [&](int column, const std::string& what) {
    faults.add([&] { return fmt::format("{}: {}", table.place(row, column), what); });
  };
  if (volume.empty()) return fault(volumes, "is empty, expected a path");
  const auto placed = [&](const std::string& file) {
    return (file.starts_with('/') ? "" : folder) + file;
  };
  const std::string path = placed(volume);
  if (!is_file(path)) return fault(volumes, fmt::format("{} is not there", quote_text(volume)));
  const std::string name(names < 0 ? volume : table.at(row, names));
  if (name.empty()) return fault(names, "is empty, expected the name of a study");
  CtRateStudy& study = studies[name];
  for (const auto& known : study.recons)
    if (known.path == path)
      return fault(volumes, fmt::format("{} is there twice", quote_text(volume)));
  const std::string report(reports < 0 ? "" : table.at(row, reports));
  if (!report.empty() && !study.report.empty() && study.report[0] != report)
    return fault(reports, fmt::format("is another report of study {}", quote_text(name)));
  study.name = name;
  if (!report.empty()) study.report = {report};
  if (options.need_masks) {
    const std::string mask(table.at(row, masks));
    if (mask.empty()) return fault(masks, "is empty, expected the path of a label map");
    if (!is_file(placed(mask)))
      return fault(masks, fmt::format("{} is not there", quote_text(mask)));
    data.masks[path] = placed(mask);
  }
  CtRateVolume recon;
  recon.name = volume, recon.path = path;
  study.recons.push_back(std::move(recon));
}

}  // namespace detail

/// The table of volumes that a path is, or, as volumes.csv, that the folder there holds; empty
/// where there is none.
HLIP_LAZY std::string find_volume_table(const std::string& path) {
  const std::string in_folder = path + "/volumes.csv";
  return is_file(path) ? path : is_file(in_folder) ? in_folder : "";
}

/// Reads a table of volumes.
/// @param path the table: columns `volume` (paths count from its folder; HU by the file's own slope
/// and intercept), `report`, `mask` (a label map on the volume's grid), and if there are any
/// `study` (volumes of one visit; else each is one) and `split`
/// @param split rows whose column `split` says so; all where there is no such column
/// @return studies sorted by name, and every fault found; what is at fault is left out
/// @throws hlip::error when the table cannot be read or lacks a column
HLIP_LAZY VolumeTable read_volume_table(const std::string& path, const std::string& split,
                                        const VolumeTableOptions& options = {}) {
  VolumeTable data;
  data.root = path, data.split = split;
  const CsvTable table = read_csv(path, {"volume"});
  if (options.need_reports) table.column("report");
  if (options.need_masks) table.column("mask");
  const int splits = table.find("split");
  data.has_split = splits >= 0;
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  std::map<std::string, CtRateStudy> studies;
  FileProblems faults(data.problems, path);
  for (std::size_t row = 0; row < table.rows(); ++row)
    if (splits < 0 || split.empty() || table.at(row, splits) == split)
      detail::add_volume_row(table, row, folder, options, studies, data, faults);
  for (auto& [name, study] : studies) {
    if (study.recons.empty()) continue;
    if (options.need_reports && study.report.empty())
      faults.add(
          [&study] { return fmt::format("study {} has no report", quote_text(study.name)); });
    else data.studies.push_back(std::move(study));
  }
  return data;
}

HLIP_END
