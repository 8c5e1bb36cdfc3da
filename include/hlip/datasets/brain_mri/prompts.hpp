// Prompts for brain MRI: each finding against a study without any.
#pragma once

#include <hlip/eval/zero_shot.hpp>

#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// What training texts and prompts of brain MRI begin with.
inline constexpr std::string_view brain_lead = "This MRI study shows: ";

/// "This MRI study shows: FINDING." against "This MRI study shows: No significant abnormalities."
/// for each finding. Source: HLIP, evaluation on Pub-Brain-5 (acute stroke, glioma, meningioma,
/// metastasis).
inline std::vector<ZeroShotClass> brain_prompts(const std::vector<std::string>& findings) {
  const std::string lead(brain_lead);
  std::vector<ZeroShotClass> classes;
  for (const auto& f : findings)
    classes.push_back({f, f, lead + "No significant abnormalities.", lead + f + "."});
  return classes;
}

HLIP_END
