// Prompts for head CT: RSNA's hemorrhage challenge and CQ500. One positive prompt a finding; the
// score is the cosine. Source: HLIP, zero-shot evaluation on RSNA and CQ500.
#pragma once

#include <hlip/core/error.hpp>

#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// A finding of a table of labels and the words of its prompt.
struct RankedFinding {
  std::string column, words;
};

/// The findings of a set and its templates, in which {} stands for the words.
struct RankingPrompts {
  std::vector<RankedFinding> findings;
  std::vector<std::string> templates;

  /// All templates of the first finding, then of the second, …
  std::vector<std::string> filled() const {
    std::vector<std::string> out;
    for (const auto& f : findings)
      for (const auto& t : templates) {
        const auto at = t.find("{}");
        out.push_back(t.substr(0, at) + f.words + t.substr(at + 2));
      }
    return out;
  }
};

/// RSNA: five columns; "Epidural" has labels but is not evaluated.
inline RankingPrompts rsna_prompts() {
  return {{{"Any", "intracranial hemorrhage"},
           {"Intraparenchymal", "intraparenchymal hemorrhage"},
           {"Intraventricular", "intraventricular hemorrhage"},
           {"Subarachnoid", "subarachnoid hemorrhage"},
           {"Subdural", "subdural hemorrhage"}},
          {"This CT study shows: {}."}};
}

/// CQ500: eleven findings, eighteen templates.
inline RankingPrompts cq500_prompts() {
  RankingPrompts p{{{"ICH", "intracranial hemorrhage"},
                    {"IPH", "intraparenchymal hemorrhage"},
                    {"IVH", "intraventricular hemorrhage"},
                    {"SDH", "subdural hemorrhage"},
                    {"EDH", "extradural hemorrhage"},
                    {"SAH", "subarachnoid hemorrhage"},
                    {"BleedLocation-Left", "left-sided intracranial hemorrhage"},
                    {"BleedLocation-Right", "right-sided intracranial hemorrhage"},
                    {"Fracture", "skull fracture"},
                    {"MassEffect", "mass effect"},
                    {"MidlineShift", "midline shift"}},
                   {}};
  for (const std::string_view phrase :
       {"{}", "{} identified", "{} noted", "{} seen", "new {}", "known {}", "prominent {}",
        "likely {}", "possibly {}", "indicating {}", "reflecting {}", "representing {}",
        "suggesting {}", "indicative of {}", "suggestive of {}", "related to {}",
        "consistent with {}", "compatible with {}"})
    p.templates.push_back("This study shows: " + std::string(phrase) + ".");
  return p;
}

HLIP_END
