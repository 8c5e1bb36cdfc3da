// The head phantom's reports: for every finding one sentence that names it and one that describes
// it on the sequences. Nothing is denied.
#pragma once

#include <hlip/phantoms/parts/brain_head.hpp>
#include <hlip/phantoms/parts/reports.hpp>

HLIP_BEGIN

namespace detail {

struct BrainSentences {
  std::array<std::string_view, 3> named, early, late;
};

/// In the order of BrainFinding. {where}, {grade}, {Grade} and {mm} stand for the note's words.
/// What looks the same early and late is described the same.
inline constexpr std::array<BrainSentences, brain_finding_count> brain_sentences = {{
    {{"Ischaemic stroke.", "Ischaemic stroke in the {where}.", "Infarct in the {where}."},
     {"Restricted diffusion without change on FLAIR in the {where}.",
      "A fresh lesion of {mm} mm is bright on DWI only.",
      "The {where} is bright on DWI and normal on FLAIR."},
     {"An old defect in the {where} is bright on FLAIR without restricted diffusion.",
      "Gliosis of {mm} mm is bright on FLAIR only.",
      "The {where} is bright on FLAIR and normal on DWI."}},
    {{"Encephalitis.", "Encephalitis of the {where}.", "Findings suggest encephalitis."},
     {"Inflammation of {mm} mm is bright on FLAIR and on DWI.",
      "The {where} is swollen, bright on FLAIR and on DWI.",
      "The {where} is bright on DWI as well as on FLAIR."},
     {}},
    {{"Haemorrhage.", "Haemorrhage in the {where}.", "Intracerebral haemorrhage."},
     {"A fresh haematoma of {mm} mm is dark on T2 only.",
      "Blood in the {where} is dark on T2 and not seen on T1.",
      "Fresh blood products in the {where}."},
     {"An older haematoma of {mm} mm is bright on T1 only.",
      "Blood in the {where} is bright on T1 and not seen on T2.",
      "Older blood products in the {where}."}},
    {{"Metastasis.", "Metastasis in the {where}.", "Findings suggest a metastasis."},
     {"A melanotic deposit of {mm} mm is bright on T1 and dark on T2.",
      "A deposit of melanoma in the {where}.",
      "A nodule in the {where} is dark on T2 and bright on T1."},
     {}},
    {{"White matter lesions.", "{Grade} white matter lesions.",
      "Periventricular white matter lesions."},
     {"Multiple small foci beside the ventricles are bright on FLAIR.",
      "There are {grade} demyelinating changes.",
      "Scattered periventricular hyperintensities on FLAIR and T2."},
     {}},
    {{"Atrophy.", "{Grade} atrophy.", "{Grade} brain atrophy."},
     {"Ventricles and sulci are wide.", "There is {grade} loss of brain volume.",
      "The ventricles are enlarged by volume loss."},
     {}},
}};

inline constexpr std::array<std::string_view, 4> brain_nothing_found = {
    "No significant abnormalities.", "Normal brain MRI.", "The brain has a normal appearance.",
    "No abnormal signal on any sequence."};
inline constexpr std::array<std::string_view, 5> brain_remarks = {
    "The orbits are unremarkable.", "Paranasal sinuses are clear.",
    "The pituitary gland is of normal size.", "Flow voids of the large vessels are preserved.",
    "The mastoid cells are aerated."};

/// A template sentence with the words of a note.
inline std::string fill_sentence(std::string_view sentence, const BrainFindingNote& note) {
  const std::string where = fmt::format("{} {} lobe", note.side, note.lobe), grade(note.grade);
  return fmt::format(fmt::runtime(sentence), fmt::arg("where", where), fmt::arg("mm", note.mm),
                     fmt::arg("grade", grade), fmt::arg("Grade", capitalized(grade)));
}

/// The sentences of a study, shuffled.
inline std::vector<std::string> write_brain_report(
    const std::array<BrainFindingNote, brain_finding_count>& notes, RandomStream random) {
  std::vector<std::string> report;
  for (std::size_t f = 0; f < notes.size(); ++f) {
    if (!notes[f].present) continue;
    report.push_back(fill_sentence(pick_sentence(random, brain_sentences[f].named), notes[f]));
    const auto& late = brain_sentences[f].late;
    report.push_back(fill_sentence(
        pick_sentence(random,
                      notes[f].stage == 1 && !late[0].empty() ? late : brain_sentences[f].early),
        notes[f]));
  }
  if (report.empty()) {
    std::vector<std::string_view> normal(brain_nothing_found.begin() + 1,
                                         brain_nothing_found.end());
    random.shuffle(normal);
    report = {std::string(brain_nothing_found[0]), std::string(normal[0])};
  }
  if (random.chance(0.3)) report.emplace_back(pick_sentence(random, brain_remarks));
  random.shuffle(report);
  return report;
}

}  // namespace detail

HLIP_END
