// Rad-ChestCT: 15 of the classes of CT-RATE, of which the two calcifications count as one. Source:
// reference document HLIP §7.1.
#pragma once

#include <hlip/datasets/ct_rate/prompts.hpp>

#include <algorithm>
#include <array>

HLIP_BEGIN

/// A class as the table of labels names it, and as Rad-ChestCT's own tables do.
struct RadChestCtColumn {
  std::string_view name, source;
};

/// The 15 classes in the order of the reference's table of labels.
inline constexpr std::array<RadChestCtColumn, 15> rad_chestct_columns = {
    {{"Emphysema", "emphysema"},
     {"Atelectasis", "atelectasis"},
     {"Lung nodule", "nodule"},
     {"Lung opacity", "opacity"},
     {"Pulmonary fibrotic sequela", "fibrosis"},
     {"Pleural effusion", "pleural_effusion"},
     {"Peribronchial thickening", "bronchial_wall_thickening"},
     {"Consolidation", "consolidation"},
     {"Bronchiectasis", "bronchiectasis"},
     {"Interlobular septal thickening", "septal_thickening"},
     {"Cardiomegaly", "cardiomegaly"},
     {"Pericardial effusion", "pericardial_effusion"},
     {"Hiatal hernia", "hernia"},
     {"Coronary artery wall calcification", "calcification"},
     {"Arterial wall calcification", "calcification"}}};

/// The prompts of CT-RATE for these classes, in this order: without "Mosaic attenuation pattern",
/// which Rad-ChestCT has no label for.
inline std::vector<ZeroShotClass> rad_chestct_prompts(PromptTemplate kind) {
  const auto all = ct_rate_prompts(kind);
  std::vector<ZeroShotClass> out;
  for (const auto& c : rad_chestct_columns)
    out.push_back(*std::find_if(all.begin(), all.end(),
                                [&](const ZeroShotClass& x) { return x.name == c.name; }));
  return out;
}

/// Names, scores and labels with the last two of 15 classes merged into "Calcification". Its score
/// is merge_class_scores; its label is that of either column.
/// @param scores P(positive), row-major (studies, 15); @param labels likewise, or empty
struct MergedCalcification {
  std::vector<std::string> names;
  std::vector<double> scores;
  std::vector<std::int64_t> labels;

  HLIP_LAZY MergedCalcification(std::span<const double> from, std::span<const std::int64_t> truth) {
    constexpr std::size_t C = rad_chestct_columns.size();
    expect(from.size() == truth.size() && from.size() % C == 0, "rad_chestct",
           "{} scores and {} labels, expected as many and rows of {}", from.size(), truth.size(),
           C);
    for (std::size_t c = 0; c + 2 < C; ++c) names.emplace_back(rad_chestct_columns[c].name);
    names.emplace_back("Calcification");
    for (std::size_t i = 0; i < from.size(); i += C) {
      scores.insert(scores.end(), from.begin() + static_cast<std::ptrdiff_t>(i),
                    from.begin() + static_cast<std::ptrdiff_t>(i + C - 2));
      scores.push_back(
          merge_class_scores(from.subspan(i + C - 2, 1), from.subspan(i + C - 1, 1))[0]);
      labels.insert(labels.end(), truth.begin() + static_cast<std::ptrdiff_t>(i),
                    truth.begin() + static_cast<std::ptrdiff_t>(i + C - 2));
      labels.push_back(std::max(truth[i + C - 2], truth[i + C - 1]));
    }
  }
};

HLIP_END
