// Slices of a study with the relevance of its patches as heat over grey, scores beside them: where
// the model looked. Source of the display: reference document HLIP §8.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/imaging/volume.hpp>
#include <hlip/models/interpret.hpp>
#include <hlip/report/picture.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// How an array is turned for looking at it, as radiologists do: the patient's right on the left,
/// the front above, the head first.
struct MontageView {
  std::array<bool, 3> flip{};  ///< (D, H, W)
  /// letters for the edges; 0: the orientation is not known
  char left = 0, right = 0, top = 0, bottom = 0;
};

/// The view of a volume with this affine. @param known whether its directions mean anything
HLIP_LAZY MontageView montage_view(const Affine& affine, bool known) {
  MontageView view;
  if (!known) return view;
  const std::string code = orientation_code(affine);  // where W, H and D lead
  const auto opposite = [](char c) { return "LRPAIS"[std::string_view("RLAPSI").find(c)]; };
  std::array<char, 3> end{};  // where D, H and W lead once turned
  for (std::size_t d = 0; d < 3; ++d) {
    const char letter = code[2 - d];
    view.flip[d] = letter == 'R' || letter == 'A' || letter == 'S';
    end[d] = view.flip[d] ? opposite(letter) : letter;
  }
  view.right = end[2], view.left = opposite(end[2]);
  view.bottom = end[1], view.top = opposite(end[1]);
  return view;
}

/// One map of a montage: relevance of the patches of every scan.
struct MontageMap {
  std::string title;             ///< "slice", "scan", "study"
  Tensor<float, Cpu> relevance;  ///< (N, d, h, w)
};

/// What stands beside the slices: a name with a value from 0 to 1.
struct MontageScore {
  std::string name;
  double value = 0;
  bool marked = false;  ///< the one the maps are about
};

/// What a montage is made of.
struct Montage {
  std::string title, subtitle;
  Tensor<float, Cpu> grey;  ///< (N, D, H, W), 0 … 1
  std::vector<MontageMap> maps;
  std::vector<MontageScore> scores;
  MontageView view;
  /// of the scan, for each of the D slices; -1: there is none. Empty: those of grey itself
  std::vector<index_t> slice_numbers;
  index_t panel = 224;      ///< pixels of the longer side of a slice, at most
  index_t most_layers = 0;  ///< patch layers shown, evenly chosen; 0: all
};

namespace detail {
/// Between the four pixels around a place in a plane, clamped at its edges.
inline double plane_value(const float* plane, index_t height, index_t width, double y, double x) {
  y = std::clamp(y, 0.0, static_cast<double>(height - 1));
  x = std::clamp(x, 0.0, static_cast<double>(width - 1));
  const auto j = static_cast<index_t>(y), i = static_cast<index_t>(x);
  const index_t below = std::min(j + 1, height - 1), beside = std::min(i + 1, width - 1);
  const double v = y - static_cast<double>(j), u = x - static_cast<double>(i);
  return (plane[j * width + i] * (1 - u) + plane[j * width + beside] * u) * (1 - v) +
         (plane[below * width + i] * (1 - u) + plane[below * width + beside] * u) * v;
}
}  // namespace detail

/// Draws it: one row per patch layer, its middle slice; for each scan a column of plain slices and
/// one for every map. Maps are stretched slice by slice and hidden below a quarter, as published;
/// the figure in their corner is the share of the whole map's relevance that lies in this layer,
/// which the stretching hides.
/// @throws hlip::error when the sizes of grey and maps do not fit
HLIP_LAZY Picture draw_montage(const Montage& m) {
  // One function: a picture from its measures to its last label.
  expect_shape("montage", "grey", m.grey.shape(), {{"N"}, {"D"}, {"H"}, {"W"}});
  expect(!m.maps.empty(), "montage", "no maps");
  const index_t scans = m.grey.dim(0), depth = m.grey.dim(1), height = m.grey.dim(2),
                width = m.grey.dim(3), layers = m.maps.front().relevance.dim(1);
  for (const auto& map : m.maps)
    expect_shape("montage", "relevance", map.relevance.shape(),
                 {{"scans", scans}, {"layers", layers}, {"h"}, {"w"}});
  expect(m.slice_numbers.empty() || static_cast<index_t>(m.slice_numbers.size()) == depth,
         "montage", "{} slice numbers for {} slices", m.slice_numbers.size(), depth);
  const auto slices = displayed_slices(layers, depth / layers);
  std::vector<Tensor<float, Cpu>> heat, amount;  // (N, layers, H, W) from 0 to 1; (N, layers)
  for (const auto& map : m.maps) {
    heat.push_back(
        stretched_slices(relevance_to_voxels(map.relevance, Shape{depth, height, width}), slices));
    amount.push_back(Tensor<float, Cpu>(sum(map.relevance, {2, 3})));
  }

  std::vector<index_t> rows;
  const index_t shown = m.most_layers > 0 ? std::min(m.most_layers, layers) : layers;
  for (index_t k = 0; k < shown; ++k) rows.push_back((2 * k + 1) * layers / (2 * shown));
  if (m.view.flip[0]) std::reverse(rows.begin(), rows.end());

  constexpr Colour ground{18, 20, 24}, bright{235, 238, 242}, dim{150, 158, 168},
      accent{255, 176, 59};
  constexpr index_t gap = 4, line = 18, margin = 12;
  const double shrink = std::min(
      4.0, static_cast<double>(m.panel) / static_cast<double>(std::max(height, width)));
  const auto panel_h = std::max<index_t>(
                 1, static_cast<index_t>(static_cast<double>(height) * shrink)),
             panel_w = std::max<index_t>(1,
                                         static_cast<index_t>(static_cast<double>(width) * shrink));
  const auto columns = scans * static_cast<index_t>(1 + m.maps.size());
  const index_t left = margin + 84, top = margin + 3 * line + 10;
  index_t bar = 120;  // as long as the longest name, so that values stand right of all names
  for (const auto& s : m.scores) bar = std::max(bar, Picture::text_width(s.name, 2));
  const index_t score_width = bar + 8 + Picture::text_width("0.000", 2);
  const index_t panels_right = left + columns * (panel_w + gap),
                panels_bottom = top + shown * (panel_h + gap), score_row = 48;
  const index_t head =
      margin + std::max(Picture::text_width(m.title, 2), Picture::text_width(m.subtitle, 2)) +
      margin;
  Picture picture(
      std::max(head, panels_right + (m.scores.empty() ? 0 : margin + score_width) + margin),
      std::max(panels_bottom, top + static_cast<index_t>(m.scores.size()) * score_row) + margin,
      ground);
  picture.text(margin, margin, m.title, bright);
  picture.text(margin, margin + line, m.subtitle, dim);

  const auto grey = m.grey.contiguous();
  for (index_t row = 0; row < shown; ++row) {
    const index_t layer = rows[static_cast<std::size_t>(row)], y0 = top + row * (panel_h + gap);
    const index_t slice = slices[static_cast<std::size_t>(layer)],
                  number = m.slice_numbers.empty()
                               ? slice
                               : m.slice_numbers[static_cast<std::size_t>(slice)];
    picture.text(margin, y0 + panel_h / 2 - 7, number < 0 ? "z -" : fmt::format("z {}", number),
                 dim);
    for (index_t column = 0; column < columns; ++column) {
      const index_t scan = column / static_cast<index_t>(1 + m.maps.size()),
                    kind = column % static_cast<index_t>(1 + m.maps.size());
      const index_t x0 = left + column * (panel_w + gap);
      if (row == 0) {
        const std::string name = kind == 0 ? (scans > 1 ? fmt::format("scan {}", scan) : "input")
                                           : m.maps[static_cast<std::size_t>(kind - 1)].title;
        picture.text(x0, top - line, name, dim);
      }
      const float* plane = grey.data() + (scan * depth + slices[static_cast<std::size_t>(layer)]) *
                                             height * width;
      const float* map = kind == 0 ? nullptr
                                   : heat[static_cast<std::size_t>(kind - 1)].data() +
                                         (scan * layers + layer) * height * width;
      for (index_t y = 0; y < panel_h; ++y)
        for (index_t x = 0; x < panel_w; ++x) {
          const double from_y =
              (static_cast<double>(m.view.flip[1] ? panel_h - 1 - y : y) + 0.5) / shrink - 0.5;
          const double from_x =
              (static_cast<double>(m.view.flip[2] ? panel_w - 1 - x : x) + 0.5) / shrink - 0.5;
          Colour c = grey_colour(detail::plane_value(plane, height, width, from_y, from_x));
          const double value = map ? detail::plane_value(map, height, width, from_y, from_x) : 0;
          if (map && value >= hidden_relevance) c = blend(c, jet_colour(value), 0.3);
          picture.set(x0 + x, y0 + y, c);
        }
      if (kind == 0 && m.view.left) {
        picture.text(x0 + 3, y0 + panel_h / 2 - 7, std::string(1, m.view.left), accent);
        picture.text(x0 + panel_w - 13, y0 + panel_h / 2 - 7, std::string(1, m.view.right), accent);
        picture.text(x0 + panel_w / 2 - 5, y0 + 3, std::string(1, m.view.top), accent);
        picture.text(x0 + panel_w / 2 - 5, y0 + panel_h - 17, std::string(1, m.view.bottom),
                     accent);
      }
      if (kind > 0) {
        const auto& a = amount[static_cast<std::size_t>(kind - 1)];
        const double whole = static_cast<double>(sum(a).item()),
                     share = whole > 0 ? static_cast<double>(a.at({scan, layer})) / whole : 0;
        picture.text(x0 + 4, y0 + 4, fmt::format("{:.0f} %", 100 * share),
                     share > 1.5 / static_cast<double>(layers * scans) ? accent : dim);
      }
    }
  }
  for (std::size_t i = 0; i < m.scores.size(); ++i) {
    const auto& s = m.scores[i];
    const index_t x = panels_right + margin, y = top + static_cast<index_t>(i) * score_row;
    picture.text(x, y, s.name, s.marked ? accent : bright);
    picture.fill(x, y + line + 2, bar, 10, {48, 54, 62});
    picture.fill(x, y + line + 2,
                 static_cast<index_t>(static_cast<double>(bar) * std::clamp(s.value, 0.0, 1.0)), 10,
                 s.marked ? accent : Colour{96, 165, 250});
    picture.text(x + bar + 8, y + line, fmt::format("{:.3f}", s.value), s.marked ? accent : dim);
  }
  return picture;
}

HLIP_END
