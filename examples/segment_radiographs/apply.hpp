// What a trained segmenter is used for: masks and overlays of pictures, Dice where masks are known,
// and a page.
#pragma once

#include "options.hpp"

#include <hlip/hlip.hpp>

#include <hlip/io/png.hpp>
#include <hlip/report/html.hpp>
#include <hlip/systems/rad_dino/segmentation/figures.hpp>
#include <hlip/systems/rad_dino/segmentation/segment_pictures.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace segment {

/// Adds what one argument stands for: a table, a folder, or a picture.
inline void collect(const ApplyOptions& o, const std::string& argument, MaskedFiles& all) {
  std::vector<std::string> unknown;
  for (const auto& s : all.structures) unknown.resize(unknown.size() + s.columns.size());
  if (!argument.ends_with(".csv") && !std::filesystem::is_directory(argument)) {
    all.names.push_back(argument), all.pictures.push_back(argument), all.masks.push_back(unknown);
    return;
  }
  RadiographTableOptions reading;
  reading.image_column = o.image_column;
  RadiographTable table = read_radiograph_table(argument, reading);
  bool has_masks = true;
  for (const auto& s : all.structures)
    for (const auto& column : s.columns) has_masks = has_masks && table.has(column);
  Problems absent;  // masks, without which a picture is marked all the same
  const auto masks = has_masks ? mask_files(table, all.structures, absent)
                               : std::vector<std::vector<std::string>>(table.size(), unknown);
  if (!o.skip_bad) table.problems.insert(table.problems.end(), absent.begin(), absent.end());
  tell_left_out(table, o.skip_bad);
  for (const auto& problem : absent) fmt::print(stderr, "not known: {}\n", problem);
  for (const std::size_t i : pictures_of_split(table, o.split)) {
    all.names.push_back(table.names[i]), all.pictures.push_back(table.images[i]);
    all.masks.push_back(masks[i]);
  }
}

/// Names of files for pictures: the last part of each without its ending, or with it, or the whole
/// path where that is not enough.
inline std::vector<std::string> file_names(const std::vector<std::string>& pictures) {
  std::vector<std::string> stems, short_names, long_names;
  for (const auto& name : pictures) {
    const auto path = std::filesystem::path(name);
    stems.push_back(path.stem().string());
    short_names.push_back(path.filename().string());
    std::string whole = path.relative_path().string();
    for (char& c : whole) c = c == '/' ? '_' : c;
    long_names.push_back(whole);
  }
  for (auto* names : {&stems, &short_names, &long_names}) {
    std::vector<std::string> sorted = *names;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end()) return *names;
  }
  fail("segment_radiographs", "a picture is given twice");
}

/// A folder below --out, made; with a slash at its end.
inline std::string folder_of(const ApplyOptions& o, const std::string& name) {
  const std::string folder = o.out + "/" + name;
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) fail_file(folder, "", "cannot be made: {}", failed.message());
  return folder + "/";
}

/// Writes the masks of one picture, a file for each structure. @param folders of the structures
inline void write_masks(const std::vector<std::string>& folders, const std::string& file,
                        const std::vector<MaskStructure>& structures,
                        const RadiographPreparation& preparation, const MaskedPicture& x,
                        std::span<const float> logits) {
  std::size_t first = 0;
  for (std::size_t s = 0; s < folders.size(); ++s) {
    const std::size_t classes = structures[s].classes();
    const auto mask = mask_in_file(logits.subspan(first * x.grey.plane_size()), classes, x.height,
                                   x.width, preparation);
    atomic_write(folders[s] + file, encode_grey_png(mask, static_cast<std::size_t>(x.width),
                                                    static_cast<std::size_t>(x.height)));
    first += classes;
  }
}

/// The table of Dice, where any mask is known, and the page. @return the last line
inline std::string write_results(const ApplyOptions& o, const MaskScores& scores, index_t pictures,
                                 const std::string& figures) {
  std::string line = fmt::format("{} pictures", pictures), text;
  if (scores.any()) {
    const DiceTable table = scores.table();
    atomic_write(o.out + "/dice.csv", table.pictures_csv());
    atomic_write(o.out + "/dice_summary.csv", table.to_csv());
    text = table.to_text(), line = table.last_line();
    fmt::print("{}", text);
  }
  const std::string body = (text.empty() ? "" : "<pre>" + escape_html(text) + "</pre>\n") +
                           figures + "<p class=\"soft\">For research; not a medical device.</p>\n";
  atomic_write(o.out + "/masks.html", html_page("Structures in radiographs", body));
  return line;
}

template <class B> int apply(B, const ApplyOptions& o) {
  constexpr index_t most_figures = 24;  // of the page
  const Segmenter<B> segmenter = load_segmenter<B>(o.model);
  MaskedFiles all{{}, {}, {}, segmenter.structures};
  for (const auto& argument : o.pictures) collect(o, argument, all);
  const std::vector<std::string> names = file_names(all.names);
  const MaskedRadiographs pictures(std::move(all), segmenter.preparation);
  const std::string overlays = folder_of(o, "overlays");
  std::vector<std::string> masks, problems;
  for (const auto& s : segmenter.structures) masks.push_back(folder_of(o, "masks/" + s.name));

  MaskScores scores(segmenter.structures);
  std::string figures;
  index_t done = 0;
  const auto take = [&](index_t i, const MaskedPicture& x, std::span<const float> logits) {
    const std::string file = names[static_cast<std::size_t>(i)] + ".png";
    write_masks(masks, file, segmenter.structures, segmenter.preparation, x, logits);
    const Picture drawn = draw_masks(x, logits, segmenter.structures);
    const std::string png = encode_png(drawn.pixels(), static_cast<std::size_t>(drawn.width()),
                                       static_cast<std::size_t>(drawn.height()));
    atomic_write(overlays + file, png);
    scores.add(pictures.name(i), x, logits);
    if (done++ < most_figures) figures += html_figure(png, pictures.name(i));
  };
  segment_pictures(segmenter, pictures, o.batch_size, o.skip_bad ? &problems : nullptr, take);
  for (const auto& problem : problems) fmt::print(stderr, "left out: {}\n", visible_text(problem));
  expect(done > 0, "segment_radiographs", "none of {} pictures could be read", pictures.size());
  const std::string line = write_results(o, scores, done, figures);
  fmt::print(
      "masks, overlays and masks.html are in {}\nFor research only: not a medical device.\n"
      "{}\n",
      visible_text(o.out), line);
  return 0;
}

}  // namespace segment
