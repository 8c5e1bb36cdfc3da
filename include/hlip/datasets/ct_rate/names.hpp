// The names of the CT-RATE release: volumes, folders, tables, labels.
#pragma once

#include <hlip/core/abi.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

HLIP_BEGIN

/// The columns of the label tables, in their order.
inline constexpr std::array<std::string_view, 18> ct_rate_labels = {
    "Medical material",
    "Arterial wall calcification",
    "Cardiomegaly",
    "Pericardial effusion",
    "Coronary artery wall calcification",
    "Hiatal hernia",
    "Lymphadenopathy",
    "Emphysema",
    "Atelectasis",
    "Lung nodule",
    "Lung opacity",
    "Pulmonary fibrotic sequela",
    "Pleural effusion",
    "Mosaic attenuation pattern",
    "Peribronchial thickening",
    "Consolidation",
    "Bronchiectasis",
    "Interlobular septal thickening"};

/// Reconstructions of the release that cannot be used. Source: the HLIP reference skips the same
/// three.
inline constexpr std::array<std::string_view, 3> ct_rate_unusable = {
    "train_1267_a_4", "train_11755_a_3", "train_11755_a_4"};

/// A volume name in its parts: train_1_a_2 is reconstruction 2 of study train_1_a of patient
/// train_1.
struct CtRateName {
  std::string volume, study, patient;
};

/// Takes "train_1_a_2" or "train_1_a_2.nii.gz" apart. Names are made of letters, digits, '-' and
/// '_' only, so that one can never lead out of the data folder.
/// @return nothing when the name is not of that form
HLIP_LAZY std::optional<CtRateName> parse_ct_rate_name(std::string_view name) {
  if (name.ends_with(".nii.gz")) name.remove_suffix(7);
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  };
  if (name.size() > 200 || !std::all_of(name.begin(), name.end(), plain) || name.starts_with('_') ||
      name.ends_with('_') || name.find("__") != name.npos)
    return {};
  if (std::count(name.begin(), name.end(), '_') < 3) return {};
  const auto study = name.substr(0, name.rfind('_')), patient = study.substr(0, study.rfind('_'));
  return CtRateName{std::string(name), std::string(study), std::string(patient)};
}

/// Where a volume lies below the folder of its split: train_1/train_1_a/train_1_a_2.nii.gz
inline std::string ct_rate_volume_path(const CtRateName& name) {
  return name.patient + "/" + name.study + "/" + name.volume + ".nii.gz";
}

namespace detail {

// "  one \n two " -> "one two", without the characters in `drop`.
HLIP_LAZY std::string squeeze_text(std::string_view text, std::string_view drop) {
  std::string out;
  bool blank = false;
  for (const char c : text) {
    if (drop.find(c) != drop.npos) continue;
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      blank = true;
      continue;
    }
    if (blank && !out.empty()) out += ' ';
    blank = false;
    out += c;
  }
  return out;
}

}  // namespace detail

/// The training text of a report, HLIP's raw_annotation: "The volume shows: IMPRESSION. The volume
/// looks like: FINDINGS." Quotes and parentheses are removed, white space is collapsed, a full stop
/// is ensured; an empty part is left out with its introduction.
HLIP_LAZY std::string ct_rate_annotation_text(std::string_view impression,
                                              std::string_view findings) {
  std::string out;
  const auto add = [&](std::string_view introduction, std::string_view part) {
    std::string text = detail::squeeze_text(part, "\"'()");
    if (text.empty()) return;
    if (text.back() != '.') text += '.';
    out += (out.empty() ? "" : " ") + std::string(introduction) + text;
  };
  add("The volume shows: ", impression);
  add("The volume looks like: ", findings);
  return out;
}

HLIP_END
