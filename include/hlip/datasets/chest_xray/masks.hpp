// The masks that a table of radiographs names: which files belong to a picture, and what they say.
// Needs libcsv, libpng and libjpeg.
#pragma once

#include <hlip/datasets/chest_xray/mask_structures.hpp>
#include <hlip/datasets/chest_xray/table.hpp>
#include <hlip/imaging/prepare_radiograph.hpp>
#include <hlip/imaging/read_radiograph.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// The masks of one picture, prepared as it is: (classes, S, S), 255 inside and 0 outside.
struct PictureMasks {
  std::vector<std::uint8_t> levels;
  std::vector<char> known;  ///< of each class: whether there is a mask; otherwise its levels are 0
};

/// The files of masks of each picture of a table, in the order of the structures' columns; paths
/// count from the table's folder, and an empty field is a mask that is not known.
/// @param problems gets one message for all files that are not there; their fields count as empty
/// @return of each picture, one path for each column
/// @throws hlip::error naming a column that is absent
HLIP_LAZY std::vector<std::vector<std::string>> mask_files(
    const RadiographTable& all, const std::vector<MaskStructure>& structures, Problems& problems) {
  std::vector<int> columns;
  for (const auto& s : structures)
    for (const auto& name : s.columns) columns.push_back(all.column_of(name));
  const auto slash = all.path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : all.path.substr(0, slash + 1);
  std::vector<std::vector<std::string>> files(all.size());
  std::size_t absent = 0;
  std::string first;
  for (std::size_t i = 0; i < all.size(); ++i)
    for (const int column : columns) {
      const auto name = all.table.at(all.rows[i], column);
      std::string path = name.empty() ? ""
                                      : (name.starts_with('/') ? "" : folder) + std::string(name);
      if (!path.empty() && !is_file(path)) {
        if (absent++ == 0)
          first = fmt::format("{} ({})", quote_text(name), all.table.place(all.rows[i], column));
        path.clear();
      }
      files[i].push_back(std::move(path));
    }
  if (absent > 0)
    problems.push_back(
        fmt::format("{}: {} mask{} not there, the first is {}; paths count from the table's "
                    "folder, an empty field is a mask that is not known",
                    all.path, absent, absent == 1 ? " is" : "s are", first));
  return files;
}

namespace detail {

/// A class of a mask, as its picture is prepared.
HLIP_LAZY void prepare_mask(const BytePicture& mask, const RadiographPreparation& p,
                            std::uint8_t* to) {
  const ResizedCentre c = resized_centre(mask.height, mask.width, p);
  const BytePicture small = resized_crop(mask, {0, 0, mask.height, mask.width}, c.height, c.width,
                                         ByteResize::bilinear, c.part);
  std::transform(small.levels.begin(), small.levels.end(), to,
                 [](std::uint8_t v) { return static_cast<std::uint8_t>(v >= 128 ? 255 : 0); });
}

/// @throws hlip::error naming the first pixel of a value that no class has
HLIP_LAZY void expect_mask_values(const Radiograph& mask, int labels) {
  const auto inside = std::find_if(mask.levels.begin(), mask.levels.end(),
                                   [](auto v) { return v != 0; });
  if (inside == mask.levels.end()) return;
  const auto wrong = std::find_if(inside, mask.levels.end(), [&](auto v) {
    return labels > 0 ? v > labels : v != 0 && v != *inside;
  });
  if (wrong == mask.levels.end()) return;
  const auto at = wrong - mask.levels.begin();
  const std::string place = fmt::format("row {}, column {}", at / mask.width, at % mask.width);
  if (labels > 0)
    fail_file(mask.source, place, "is {}, expected 0 to {}, the labels of the classes", *wrong,
              labels);
  fail_file(mask.source, place,
            "is {}, and {} was met before: the mask of one class has 0 and one other value (hint: "
            "--classes NAME=COLUMN:N for label masks)",
            *wrong, *inside);
}

}  // namespace detail

/// Reads the masks of a picture and prepares them as it is prepared: resized, cut about the centre;
/// a pixel is inside when at least half of it is.
/// @param picture the radiograph itself, whose size they must have  @param files as mask_files
/// gives them, or none: nothing is known
/// @throws hlip::error naming the file: unreadable, of another size, or with values outside of the
/// classes
HLIP_LAZY PictureMasks read_masks(const Radiograph& picture, std::span<const std::string> files,
                                  const std::vector<MaskStructure>& structures,
                                  const RadiographPreparation& p) {
  const auto pixels = static_cast<std::size_t>(p.crop * p.crop);
  PictureMasks out;
  out.levels.resize(class_count(structures) * pixels);
  out.known.assign(class_count(structures), 0);
  std::size_t file = 0, k = 0;
  for (const auto& s : structures)
    for (std::size_t c = 0; c < s.columns.size(); ++c, ++file) {
      const std::size_t classes = s.labels > 0 ? static_cast<std::size_t>(s.labels) : 1;
      if (file < files.size() && !files[file].empty()) {
        const Radiograph mask = read_radiograph(files[file]);
        if (mask.height != picture.height || mask.width != picture.width)
          fail_file(mask.source, "", "is a mask of {} x {} pixels, its picture {} has {} x {}",
                    mask.height, mask.width, picture.source, picture.height, picture.width);
        detail::expect_mask_values(mask, s.labels);
        auto inside = BytePicture::of_size(1, mask.height, mask.width);
        for (std::size_t label = 1; label <= classes; ++label) {
          std::transform(
              mask.levels.begin(), mask.levels.end(), inside.levels.begin(), [&](auto v) {
                return static_cast<std::uint8_t>((s.labels > 0 ? v == label : v != 0) ? 255 : 0);
              });
          detail::prepare_mask(inside, p, out.levels.data() + (k + label - 1) * pixels);
          out.known[k + label - 1] = 1;
        }
      }
      k += classes;
    }
  return out;
}

HLIP_END
