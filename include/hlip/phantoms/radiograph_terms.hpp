// The words in which the reports of phantom radiographs name and deny their findings, so that
// labels can be read off reports that a model writes.
#pragma once

#include <hlip/phantoms/parts/radiograph_options.hpp>
#include <hlip/text/label_report.hpp>

#include <vector>

HLIP_BEGIN

/// The vocabulary of `ReportLabeller` for reports of draw_radiograph, in the order of
/// RadiographFinding. From the findings section, and from the impression, it recovers the labels
/// that were drawn; of what a report does not mention nothing is said (`Mention::blank`).
HLIP_LAZY std::vector<FindingTerms> radiograph_finding_terms() {
  const auto name = [](RadiographFinding f) {
    return std::string(radiograph_finding_names[static_cast<std::size_t>(f)]);
  };
  using F = RadiographFinding;
  return {
      {name(F::emphysema), {"emphysema", "emphysematous", "hyperinflated"}, {}},
      {name(F::atelectasis), {"atelectasis", "atelectatic"}, {}},
      {name(F::lung_nodule), {"nodule", "nodules", "lung nodule"}, {}},
      {name(F::lung_opacity),
       {"lung opacity", "hazy lung opacity", "patchy opacity", "hazy opacity",
        "hazy opacification"},
       {}},
      {name(F::pleural_effusion),
       {"effusion", "pleural effusion", "pleural fluid", "costophrenic angle is blunted"},
       {"costophrenic angles are clear"}},
      {name(F::consolidation), {"consolidation", "consolidated"}, {}},
      {name(F::cardiomegaly),
       {"cardiomegaly", "heart is enlarged", "cardiothoracic ratio is increased"},
       {"heart is not enlarged", "heart size is normal"}},
      {name(F::hiatal_hernia), {"hernia", "hiatal hernia"}, {}},
      {name(F::tube),
       {"tube", "tubes", "lines", "catheter", "endotracheal tube", "nasogastric tube",
        "central venous catheter", "chest drain"},
       {}},
      {name(F::air_rim), {"pneumothorax", "air rim"}, {}},
  };
}

HLIP_END
