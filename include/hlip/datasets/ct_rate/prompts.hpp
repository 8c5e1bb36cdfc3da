// The sixteen findings of CT-RATE that are evaluated, with HLIP's prompt pairs.
#pragma once

#include <hlip/eval/zero_shot.hpp>

#include <string_view>

HLIP_BEGIN

/// "The volume shows: X." or, with the organ the finding belongs to, "The lung shows: X.".
enum class PromptTemplate { volume, organ };

/// Reads "volume" or "organ". @throws hlip::error on anything else
inline PromptTemplate prompt_template(std::string_view name) {
  if (name == "volume") return PromptTemplate::volume;
  if (name == "organ") return PromptTemplate::organ;
  fail("prompt_template", "unknown template \"{}\", expected volume or organ", name);
}

/// The classes in the reference's order. "Medical material" and "Lymphadenopathy" have labels but
/// are not evaluated. Source: reference evaluation of HLIP on CT-RATE.
HLIP_LAZY std::vector<ZeroShotClass> ct_rate_prompts(PromptTemplate kind) {
  struct Finding {
    std::string_view name, organ;
    std::string_view negative = {}, organ_word = {};  // exceptions
  };
  static constexpr Finding findings[] = {{"Emphysema", "lung"},
                                         {"Atelectasis", "lung", "Not atelectatic"},
                                         // "The lung shows: Lung nodule." would say it twice
                                         {"Lung nodule", "lung", {}, "Nodule"},
                                         {"Lung opacity", "lung", {}, "Opacity"},
                                         {"Pulmonary fibrotic sequela", "lung"},
                                         {"Pleural effusion", "lung"},
                                         {"Mosaic attenuation pattern", "lung"},
                                         {"Peribronchial thickening", "lung"},
                                         {"Consolidation", "lung"},
                                         {"Bronchiectasis", "lung"},
                                         {"Interlobular septal thickening", "lung"},
                                         {"Cardiomegaly", "heart"},
                                         {"Pericardial effusion", "heart"},
                                         {"Coronary artery wall calcification", "heart"},
                                         {"Hiatal hernia", "esophagus"},
                                         {"Arterial wall calcification", "aorta"}};
  std::vector<ZeroShotClass> classes;
  for (const auto& f : findings) {
    const bool organ = kind == PromptTemplate::organ;
    std::string positive(organ && !f.organ_word.empty() ? f.organ_word : f.name),
        negative(f.negative);
    if (negative.empty()) {
      negative = "Not " + positive;
      negative[4] = static_cast<char>(negative[4] - 'A' + 'a');  // every name begins with a capital
    }
    const std::string prefix = "The " + std::string(organ ? f.organ : "volume") + " shows: ";
    classes.push_back(ZeroShotClass{std::string(f.name), std::string(f.name),
                                    prefix + negative + ".", prefix + positive + "."});
  }
  return classes;
}

HLIP_END
