// The texts that go with a written phantom data set: table rows in CT-RATE's columns, annotations,
// settings, and a notice.
#pragma once

#include <hlip/io/csv_text.hpp>
#include <hlip/phantoms/chest_ct.hpp>

#include <algorithm>
#include <utility>

HLIP_BEGIN

namespace detail {

/// CT-RATE's metadata header. Cells that a phantom has no answer for stay empty, as many are in the
/// release.
inline constexpr std::string_view phantom_metadata_header =
    "VolumeName,Manufacturer,SeriesDescription,ManufacturerModelName,PatientSex,PatientAge,"
    "ReconstructionDiameter,"
    "DistanceSourceToDetector,DistanceSourceToPatient,GantryDetectorTilt,TableHeight,"
    "RotationDirection,ExposureTime,XRayTubeCurrent,"
    "Exposure,FilterType,GeneratorPower,FocalSpots,ConvolutionKernel,PatientPosition,"
    "RevolutionTime,SingleCollimationWidth,"
    "TotalCollimationWidth,TableSpeed,TableFeedPerRotation,SpiralPitchFactor,"
    "DataCollectionCenterPatient,"
    "ReconstructionTargetCenterPatient,ExposureModulationType,CTDIvol,ImagePositionPatient,"
    "ImageOrientationPatient,SliceLocation,"
    "SamplesPerPixel,PhotometricInterpretation,Rows,Columns,XYSpacing,RescaleIntercept,"
    "RescaleSlope,RescaleType,NumberofSlices,"
    "ZSpacing,StudyDate";

HLIP_LAZY std::string phantom_metadata_row(const std::string& volume, const PhantomStudy& s) {
  const auto value = [&](std::string_view column) -> std::string {
    if (column == "VolumeName") return volume;
    if (column == "Manufacturer") return "Phantom";
    if (column == "PatientSex") return s.sex;
    if (column == "PatientAge") return fmt::format("{:03d}Y", s.age);
    if (column == "SamplesPerPixel") return "1";
    if (column == "PhotometricInterpretation") return "MONOCHROME2";
    if (column == "Rows") return fmt::format("{}", s.dhw[1]);
    if (column == "Columns") return fmt::format("{}", s.dhw[2]);
    if (column == "XYSpacing") return fmt::format("[{:.6f}, {:.6f}]", s.spacing[2], s.spacing[1]);
    if (column == "RescaleIntercept") return "0";
    if (column == "RescaleSlope") return "1";
    if (column == "RescaleType") return "HU";
    if (column == "NumberofSlices") return fmt::format("{}", s.dhw[0]);
    if (column == "ZSpacing") return fmt::format("{:.6f}", s.spacing[0]);
    return "";
  };
  std::vector<std::string> fields;
  for (std::string_view rest = phantom_metadata_header; !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    fields.push_back(value(rest.substr(0, comma)));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return csv_row(fields);
}

/// What one study adds to the tables.
struct PhantomRows {
  std::string report, labels, metadata, annotation;
  std::string volume;  ///< of volumes.csv
};

inline constexpr std::string_view phantom_volumes_header = "volume,report,study,split,mask\n";

/// The rows of one study that has the one volume `volume`, without the one of volumes.csv.
HLIP_LAZY PhantomRows phantom_rows(const PhantomStudy& s, const std::string& study,
                                   const std::string& volume) {
  std::vector<std::string> labels = {volume};
  for (const int l : s.labels) labels.push_back(l ? "1" : "0");
  return {csv_row(std::vector<std::string>{volume, "Not given.", "Synthetic phantom, no contrast.",
                                           s.findings, s.impression}),
          csv_row(labels), phantom_metadata_row(volume, s),
          // Template sentences are plain ASCII without quotes or backslashes, so there is nothing
          // to escape
          fmt::format("\"{}\": {{\"recons\": [\"{}\"], \"report\": [\"{}\"]}}", study, volume,
                      phantom_annotation(s)),
          ""};
}

// Raise it with every change that makes the same settings draw other studies; it keeps old data
// sets from being reused.
inline constexpr int phantom_version = 1;

/// Settings without label maps do not mention them: folders that were written before there were any
/// stay good.
HLIP_LAZY std::string phantom_settings(const PhantomOptions& o, std::uint64_t data_seed,
                                       index_t n_train, index_t n_valid) {
  std::string prevalence;
  for (const double p : o.prevalence)
    prevalence += fmt::format("{}{}", prevalence.empty() ? "" : ", ", p);
  return fmt::format(
      "{{\"what\": \"synthetic chest CT phantoms, no patients\", \"generator_version\": {}, "
      "\"data_seed\": {}, "
      "\"train\": {}, \"valid\": {}, \"slices\": {}, \"pixels\": {}, \"mention\": {}, "
      "\"prevalence\": [{}]{}}}\n",
      phantom_version, data_seed, n_train, n_valid, o.slices, o.pixels, o.mention, prevalence,
      o.label_maps ? ", \"label_maps\": true" : "");
}

inline constexpr std::string_view phantom_readme =
    "Everything in this folder is SYNTHETIC.\n\n"
    "The volumes are geometric bodies drawn by a random number generator and the reports are "
    "template sentences. No patient was\n"
    "scanned, no radiologist wrote a line. The layout, file names and table columns are those of "
    "the CT-RATE data set, so that a\n"
    "program for CT-RATE reads this folder unchanged; nothing here is taken from CT-RATE. Findings "
    "are independent of each other\n"
    "and far more frequent than in a hospital. Results on these data say whether a program learns "
    "to match images and text. They say\n"
    "nothing about patients and must not be compared with published results.\n\n"
    "phantom.json holds the settings; the same settings give the same studies again.\n";

/// README.txt; with label maps it has a paragraph more.
HLIP_LAZY std::string phantom_readme_text(const PhantomOptions& options) {
  std::string text(phantom_readme);
  if (!options.label_maps) return text;
  std::string classes;
  for (std::size_t c = 0; c < phantom_structure_names.size(); ++c)
    classes += fmt::format("{}{} {}", c ? ", " : "", c, phantom_structure_names[c]);
  return text + fmt::format(
                    "\nvolumes.csv names every volume with its report, study, split and mask. The "
                    "masks, in dataset/masks/, are on the volumes'\n"
                    "grids and say what is drawn at a voxel: {}.\n",
                    classes);
}

}  // namespace detail

HLIP_END
