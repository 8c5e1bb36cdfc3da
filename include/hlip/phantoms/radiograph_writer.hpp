// Writes phantom radiographs as a folder of pictures with one table, as public collections lie on
// disk, so that the demo runs the code path of real data. Needs libpng.
#pragma once

#include <hlip/io/csv_text.hpp>
#include <hlip/io/png.hpp>
#include <hlip/io/unfinished_files.hpp>
#include <hlip/phantoms/parts/folder.hpp>
#include <hlip/phantoms/radiograph.hpp>

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Which radiographs a folder gets.
struct RadiographPhantomSet {
  RadiographPhantomOptions options;
  std::uint64_t data_seed = 1;
  index_t pictures = 0;  ///< up to 1 000 000; two in a row are of one subject
  index_t size = 224;    ///< rows and columns
  bool masks = false;    ///< also masks/<mask>/<picture>.png, and a column of their paths each
};

/// Where written radiographs lie.
struct RadiographPhantomDataset {
  std::string root;
  std::string table;    ///< root/radiographs.csv
  bool reused = false;  ///< it was complete already and nothing was written
};

/// "train", "valid" or "test": of ten subjects in a row seven, one and two.
inline std::string_view radiograph_phantom_split(index_t subject) {
  const index_t of_ten = subject % 10;
  return of_ten < 7 ? "train" : of_ten < 8 ? "valid" : "test";
}

namespace detail {

// Raise it with every change that makes the same settings draw other pictures; it keeps old data
// sets from being reused.
inline constexpr int radiograph_phantom_version = 2;

inline constexpr std::string_view radiograph_phantom_readme =
    "Everything in this folder is SYNTHETIC.\n\n"
    "The radiographs are projections of geometric bodies drawn by a random number generator, and "
    "the reports are template sentences.\n"
    "No patient was X-rayed, no radiologist wrote a line; subjects, sex, age and size are drawn as "
    "well. Findings are independent of\n"
    "each other and, but for the rare one, far more frequent than in a hospital. Results on these "
    "data say whether a program learns\n"
    "what radiographs show. They say nothing about patients and must not be compared with "
    "published results.\n\n"
    "radiographs.csv has a row for each picture in images/; masks/, if it is there, has the masks "
    "(255 inside). phantom.json holds the\n"
    "settings; the same settings give the same pictures again.\n";

HLIP_LAZY std::string radiograph_phantom_settings(const RadiographPhantomSet& set) {
  std::string prevalence;
  for (const double p : set.options.prevalence)
    prevalence += fmt::format("{}{}", prevalence.empty() ? "" : ", ", p);
  return fmt::format(
      "{{\"what\": \"synthetic chest radiograph phantoms, no patients\", \"generator_version\": "
      "{}, \"data_seed\": {}, \"pictures\": {}, \"size\": {}, \"masks\": {}, \"lateral\": {}, "
      "\"mention\": {}, \"prevalence\": [{}]}}\n",
      radiograph_phantom_version, set.data_seed, set.pictures, set.size, set.masks,
      set.options.lateral, set.options.mention, prevalence);
}

HLIP_LAZY std::string radiograph_phantom_header(bool masks) {
  std::vector<std::string_view> columns = {"image", "subject", "view", "split"};
  columns.insert(columns.end(), radiograph_finding_names.begin(), radiograph_finding_names.end());
  columns.insert(columns.end(), {"sex", "age", "size", "report", "impression"});
  if (masks)
    columns.insert(columns.end(), radiograph_mask_names.begin(), radiograph_mask_names.end());
  return csv_row(columns);
}

HLIP_LAZY std::string radiograph_phantom_row(const RadiographPlan& plan, const std::string& name,
                                             const PhantomRadiograph& picture, bool masks) {
  std::vector<std::string> fields = {
      "images/" + name, fmt::format("synthetic_{:06d}", plan.subject),
      std::string(to_string(plan.view)), std::string(radiograph_phantom_split(plan.subject))};
  for (const int l : plan.labels) fields.emplace_back(l ? "1" : "0");
  fields.insert(fields.end(),
                {plan.female ? "F" : "M", fmt::format("{}", plan.age),
                 fmt::format("{:.3f}", plan.size), picture.findings, picture.impression});
  for (const auto mask : radiograph_mask_names)
    if (masks) fields.push_back(fmt::format("masks/{}/{}", mask, name));
  return csv_row(fields);
}

/// Draws picture i, writes what a run that was cut off has not left, and returns its row.
HLIP_LAZY std::string write_phantom_radiograph(const std::string& root,
                                               const RadiographPhantomSet& set, index_t i) {
  const RadiographPlan plan = plan_radiograph(set.options, set.data_seed, i);
  const PhantomRadiograph picture = draw_radiograph(plan, set.size);
  const std::string name = fmt::format("synthetic_{:06d}.png", i);
  const auto side = static_cast<std::size_t>(set.size);
  const auto write = [&](const std::string& path, const std::vector<std::uint8_t>& pixels) {
    if (!is_file(path)) atomic_write(path, encode_grey_png(pixels, side, side));
  };
  write(root + "/images/" + name, picture.pixels);
  for (std::size_t m = 0; m < picture.masks.size() && set.masks; ++m)
    write(fmt::format("{}/masks/{}/{}", root, radiograph_mask_names[m], name), picture.masks[m]);
  return radiograph_phantom_row(plan, name, picture, set.masks);
}

/// A folder for pictures, without the unfinished ones that a killed run has left.
inline void make_picture_folder(const std::string& folder) {
  std::filesystem::create_directories(folder);
  remove_unfinished_files(folder);
}

/// All pictures and the table. (A function: see write_phantom_studies.)
template <class Progress>
void write_phantom_radiographs(const RadiographPhantomDataset& result,
                               const RadiographPhantomSet& set, int n_threads, Progress& progress) {
  make_picture_folder(result.root + "/images");
  for (const auto mask : radiograph_mask_names)
    if (set.masks) make_picture_folder(fmt::format("{}/masks/{}", result.root, mask));
  index_t done = 0;
  std::mutex mutex;
  std::vector<std::string> rows(static_cast<std::size_t>(set.pictures));
  phantom_parallel(set.pictures, n_threads, [&](index_t i) {
    rows[static_cast<std::size_t>(i)] = write_phantom_radiograph(result.root, set, i);
    const std::lock_guard lock(mutex);
    progress(++done, set.pictures);
  });
  std::string table = radiograph_phantom_header(set.masks);
  for (const auto& row : rows) table += row;
  atomic_write(result.table, table);
}

}  // namespace detail

/// Writes phantom radiographs below `root`, or finds them complete there: root/images/*.png (8-bit
/// grey), root/radiographs.csv (image, subject, view, split, a column of 0 and 1 for each of
/// radiograph_finding_names, sex, age, size, report (its findings section), impression, and if
/// masks are wanted a column of paths for each of radiograph_mask_names), masks if wanted, and
/// root/README.txt, which says that they are synthetic. The splits are of subjects: see
/// radiograph_phantom_split.
/// Settings, continued and foreign folders are as for write_phantom_dataset.
/// @param n_threads at least 1; the files do not depend on it
/// @param progress called as progress(done, total) after each picture, one call at a time
/// @throws hlip::error if settings are impossible, the folder holds something else, or a file
/// cannot be written
template <class Progress = detail::NoProgress>
RadiographPhantomDataset write_radiograph_dataset(const std::string& root,
                                                  const RadiographPhantomSet& set, int n_threads,
                                                  Progress progress = {}) {
  using namespace detail;
  check_phantom_options(set.options);
  check_phantom_counts("write_radiograph_dataset", set.pictures, 0, n_threads);
  check_radiograph_size("write_radiograph_dataset", set.size);
  RadiographPhantomDataset result{root, root + "/radiographs.csv", false};
  result.reused = !write_phantom_folder(
      root, root + "/images", radiograph_phantom_settings(set), radiograph_phantom_readme,
      [&] { write_phantom_radiographs(result, set, n_threads, progress); });
  return result;
}

HLIP_END
