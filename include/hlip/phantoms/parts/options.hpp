// What a phantom study is asked for: grid, prevalences, and the names everything else refers to.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/core/random.hpp>
#include <hlip/datasets/ct_rate/names.hpp>
#include <hlip/tensor/shape.hpp>

#include <array>
#include <cstdint>
#include <string_view>

HLIP_BEGIN

/// What the phantom can draw. The order is the order of sentences before shuffling and of
/// `PhantomOptions::prevalence`.
enum class PhantomFinding {
  emphysema,
  atelectasis,
  lung_nodule,
  lung_opacity,
  pleural_effusion,
  consolidation,
  cardiomegaly,
  pericardial_effusion,
  hiatal_hernia,
  arterial_wall_calcification
};
inline constexpr int phantom_finding_count = 10;

/// Names of the findings as CT-RATE spells them.
inline constexpr std::array<std::string_view, phantom_finding_count> phantom_finding_names = {
    "Emphysema",        "Atelectasis",
    "Lung nodule",      "Lung opacity",
    "Pleural effusion", "Consolidation",
    "Cardiomegaly",     "Pericardial effusion",
    "Hiatal hernia",    "Arterial wall calcification"};

/// Whether what is drawn for a finding is a lesion in label maps: a body in the lung or the pleura
/// that was not there before. (Bands, cysts and plaques are parts of what they lie in; the others
/// change an organ or surround it.)
constexpr bool phantom_is_lesion(PhantomFinding finding) {
  using F = PhantomFinding;
  return finding == F::lung_nodule || finding == F::lung_opacity || finding == F::consolidation ||
         finding == F::pleural_effusion;
}

/// CT-RATE's label columns; the phantom fills those it can draw and leaves 0 in the others.
inline constexpr const auto& phantom_label_columns = ct_rate_labels;

/// 0 or 1 for each of `phantom_label_columns`.
using PhantomLabels = std::array<int, 18>;

/// The column of a finding in `phantom_label_columns`.
constexpr int phantom_label_column(PhantomFinding finding) {
  for (std::size_t c = 0; c < phantom_label_columns.size(); ++c)
    if (phantom_label_columns[c] == phantom_finding_names[static_cast<std::size_t>(finding)])
      return static_cast<int>(c);
  return -1;
}

/// Settings of the generator. The defaults are the ones the demo's recipe was measured with.
struct PhantomOptions {
  index_t slices = 34;  ///< axial slices; the body keeps its size, so more slices are thinner ones
  index_t pixels = 64;  ///< rows and columns of a slice, likewise
  /// Probability of each finding, in the order of PhantomFinding. Plaques on the aorta are off: at
  /// 5 mm they could not be learned. A finding of probability 0 is not mentioned in reports at all.
  std::array<double, phantom_finding_count> prevalence = {.35, .35, .40, .35, .40,
                                                          .35, .35, .30, .35, .0};
  double mention = 0.7;  ///< probability that the findings section says an absent finding is absent
  bool label_maps = false;  ///< also PhantomStudy::label_map; the rest of a study does not change
};

/// Throws unless the settings are possible; the grid's limits keep a mistyped number from filling
/// the memory.
inline void check_phantom_options(const PhantomOptions& options) {
  if (options.slices < 8 || options.slices > 1024)
    fail("phantom", "{} slices, expected 8 to 1024", options.slices);
  if (options.pixels < 16 || options.pixels > 1024)
    fail("phantom", "{} pixels a row, expected 16 to 1024", options.pixels);
  if (!(options.mention >= 0 && options.mention <= 1))
    fail("phantom", "mention is {}, expected a probability", options.mention);
  for (std::size_t f = 0; f < options.prevalence.size(); ++f)
    if (!(options.prevalence[f] >= 0 && options.prevalence[f] <= 1))
      fail("phantom", "prevalence of {} is {}, expected a probability", phantom_finding_names[f],
           options.prevalence[f]);
}

namespace detail {

// Who draws. Findings use findings + their number, so that switching one on or off leaves every
// other draw as it was.
enum class PhantomStream : std::uint32_t {
  labels = 1,
  anatomy,
  vessels,
  texture,
  warp,
  noise,
  report,
  findings
};

/// The sequence of one purpose of one study. Splits are told apart by their name, so that any name
/// may be used.
inline RandomKey phantom_key(std::uint64_t data_seed, std::string_view split, index_t i,
                             std::uint32_t stream) {
  std::uint32_t hash = 2166136261u;  // FNV-1a
  for (const char c : split) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return {data_seed, (hash & ~0xFFu) | stream, static_cast<std::uint64_t>(i)};
}
inline RandomKey phantom_key(std::uint64_t data_seed, std::string_view split, index_t i,
                             PhantomStream stream) {
  return phantom_key(data_seed, split, i, static_cast<std::uint32_t>(stream));
}

}  // namespace detail

/// Whether finding number f is present in study i. Costs one random draw.
inline bool phantom_has(const PhantomOptions& options, std::uint64_t data_seed,
                        std::string_view split, index_t i, PhantomFinding finding) {
  const auto f = static_cast<std::uint64_t>(finding);
  return uniform_at(detail::phantom_key(data_seed, split, i, detail::PhantomStream::labels), f) <
         options.prevalence[f];
}

/// Labels of study i without drawing it: the same as make_phantom(...).labels.
/// @throws hlip::error if the options are impossible
inline PhantomLabels phantom_labels(const PhantomOptions& options, std::uint64_t data_seed,
                                    std::string_view split, index_t i) {
  check_phantom_options(options);
  PhantomLabels labels{};
  for (int f = 0; f < phantom_finding_count; ++f) {
    const auto finding = static_cast<PhantomFinding>(f);
    labels[static_cast<std::size_t>(phantom_label_column(finding))] =
        phantom_has(options, data_seed, split, i, finding) ? 1 : 0;
  }
  return labels;
}

HLIP_END
