// The phantom's reports: template sentences filled with what was drawn. The impression has one
// sentence per finding and no negatives; the findings section describes, denies some of what is
// absent, and mentions normal anatomy.
#pragma once

#include <hlip/phantoms/parts/findings.hpp>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

namespace detail {

struct FindingSentences {
  std::array<std::string_view, 4> described;  ///< findings section
  std::array<std::string_view, 4> absent;     ///< findings section, finding not there
  std::array<std::string_view, 3> concluded;  ///< impression; some have two variants only
};

/// In the order of PhantomFinding. {name} stands for a word of the note, {Name} for the same at the
/// start of a sentence.
inline constexpr std::array<FindingSentences, phantom_finding_count> finding_sentences = {{
    {{"Emphysematous changes of {grade} degree are observed in both lungs.",
      "There is {grade} centrilobular emphysema, prominent in the upper lobes.",
      "Both lungs show {grade} emphysema with air cysts.",
      "{Grade} emphysema is seen in both lungs."},
     {"Emphysema was not detected.", "Not emphysematous.", "No emphysema is seen.",
      "Emphysema is not present."},
     {"Emphysema.", "{Grade} emphysema.", "Emphysematous changes in both lungs."}},
    {{"Linear atelectasis is observed in the {where}.",
      "There are subsegmental atelectatic changes in the {where}.",
      "Band like atelectasis is seen in the {where}.",
      "Volume loss and plate atelectasis are present in the {where}."},
     {"Atelectasis was not observed.", "Not atelectatic.", "There is no atelectasis.",
      "Atelectasis is not present."},
     {"Atelectasis.", "Atelectasis in the {where}.", "Atelectatic changes in the {where}."}},
    {{"A nodule of {mm} mm is observed in the {where}.",
      "There {are} in the lungs, the largest {mm} mm in the {where}.",
      "A {mm} mm solid lung nodule is seen in the {where}.",
      "{Count} measuring up to {mm} mm in the {where}."},
     {"A lung nodule was not detected.", "No lung nodule is seen.", "There is no nodule.",
      "Lung nodule is not present."},
     {"Lung nodule.", "{Count} in the {where}.", "Pulmonary nodule in the {where}."}},
    {{"Ground glass opacity is observed in the {where}.",
      "There are patchy ground glass areas in the {where}.",
      "A hazy lung opacity is seen in the {where}.",
      "Ground glass density increases are present in the {where}."},
     {"Lung opacity was not observed.", "Ground glass opacity is not seen.",
      "There is no lung opacity.", "Lung opacity is not present."},
     {"Lung opacity.", "Ground glass opacity in the {where}.", "Lung opacity in the {where}."}},
    {{"{Size} pleural effusion is observed {onside}.",
      "There is {size} fluid between the pleural leaves {onside}.",
      "Pleural effusion of {size} amount is seen {onside}.",
      "Free pleural fluid is present {onside}."},
     {"Pleural effusion was not detected.", "No pleural effusion is seen.",
      "There is no pleural fluid.", "Pleural effusion is not present."},
     {"Pleural effusion.", "{Size} pleural effusion {onside}.", "Pleural effusion {onside}."}},
    {{"A {size} consolidation with air bronchograms is observed in the {where}.",
      "There is a {size} consolidated area in the {where}.",
      "Consolidation is seen in the {where}.",
      "Dense airspace consolidation is present in the {where}."},
     {"Consolidation was not observed.", "No consolidation is seen.",
      "The lungs are not consolidated.", "Consolidation is not present."},
     {"Consolidation.", "Consolidation in the {where}.",
      "Pneumonic consolidation in the {where}."}},
    {{"The heart size is increased to a {grade} degree.", "{Grade} cardiomegaly is observed.",
      "The cardiothoracic ratio is increased.", "The heart is enlarged, cardiomegaly is seen."},
     {"The heart is not enlarged.", "The heart size is normal.", "There is no cardiomegaly.",
      "Cardiomegaly was not detected."},
     {"Cardiomegaly.", "{Grade} cardiomegaly."}},
    {{"{Size} pericardial effusion is observed.", "There is pericardial fluid reaching {mm} mm.",
      "Pericardial effusion of {mm} mm is seen.",
      "{Size} effusion is present in the pericardial space."},
     {"Pericardial effusion was not observed.", "No pericardial effusion is seen.",
      "There is no pericardial fluid.", "Pericardial effusion is not present."},
     {"Pericardial effusion.", "{Size} pericardial effusion."}},
    {{"A {size} hiatal hernia is observed at the lower end of the esophagus.",
      "There is {size} herniation of the stomach through the hiatus.", "Hiatal hernia is seen.",
      "A {size} sliding hernia is present behind the heart."},
     {"Hiatal hernia was not detected.", "No hiatal hernia is seen.",
      "There is no hernia at the hiatus.", "Hiatal hernia is not present."},
     {"Hiatal hernia.", "{Size} hiatal hernia."}},
    {{"{Grade} calcified plaques are observed in the aortic wall.",
      "There are {grade} arterial wall calcifications in the thoracic aorta.",
      "{Grade} wall calcification is seen in the aorta.",
      "Atheromatous calcification is present in the arterial wall."},
     {"Arterial wall calcification was not observed.",
      "No calcified plaque is seen in the aortic wall.",
      "There is no arterial wall calcification."},
     {"Arterial wall calcification.", "Arterial wall calcification in the aorta.",
      "Calcified aortic plaques."}},
}};

inline constexpr std::array<std::string_view, 10> normal_anatomy_sentences = {
    "Trachea and both main bronchi are open.",
    "Mediastinal main vascular structures are normal.",
    "Thyroid gland is normal.",
    "Upper abdominal organs in the sections are natural.",
    "Bone structures in the study area are natural.",
    "Vertebral corpus heights are preserved.",
    "No enlarged lymph node is seen in the axilla.",
    "The liver is of normal density.",
    "Both adrenal glands are normal.",
    "No fracture line is observed."};
inline constexpr std::array<std::string_view, 3> nothing_found_sentences = {
    "Thoracic CT examination within normal limits.", "No significant abnormality.",
    "Normal chest CT."};

/// The first letter as a capital.
HLIP_LAZY std::string capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

/// A template sentence with the words of a note.
HLIP_LAZY std::string fill_sentence(std::string_view sentence, const PhantomFindingNote& note) {
  std::string where, zone,
      nodules = note.count == 1   ? "a nodule"
                : note.count == 2 ? "two nodules"
                                  : "multiple nodules";
  if (!note.lobe.empty()) {
    where = note.side == "both" ? fmt::format("{} lobes of both lungs", note.lobe)
                                : fmt::format("{} {} lobe of the lung", note.side, note.lobe);
    zone = note.side == "both" ? fmt::format("{} zones of both lungs", note.lobe)
                               : fmt::format("{} {} zone", note.side, note.lobe);
  }
  const std::string on_the = note.side == "both" ? "on both sides"
                                                 : fmt::format("on the {}", note.side);
  const std::string size(note.size), grade(note.grade);
  return fmt::format(fmt::runtime(sentence), fmt::arg("where", where), fmt::arg("zone", zone),
                     fmt::arg("onside", on_the), fmt::arg("mm", note.mm),
                     fmt::arg("are", (note.count == 1 ? "is " : "are ") + nodules),
                     fmt::arg("Count", capitalized(nodules)), fmt::arg("size", size),
                     fmt::arg("Size", capitalized(size)), fmt::arg("grade", grade),
                     fmt::arg("Grade", capitalized(grade)));
}

/// One of the sentences that are not empty.
template <std::size_t N>
std::string_view pick_sentence(RandomStream& random,
                               const std::array<std::string_view, N>& sentences) {
  index_t n = 0;
  for (const auto s : sentences) n += s.empty() ? 0 : 1;
  return sentences[static_cast<std::size_t>(random.below(n))];
}

struct PhantomReport {
  std::vector<std::string> findings, impression;  ///< sentences
};

HLIP_LAZY std::string join_sentences(const std::vector<std::string>& sentences) {
  std::string text;
  for (const auto& s : sentences) text += (text.empty() ? "" : " ") + s;
  return text;
}

/// The words a kind of study is reported in.
struct ReportWords {
  std::span<const FindingSentences> findings;
  std::span<const std::string_view> normal_anatomy;  ///< at least four
  std::array<std::string_view, 3> nothing_found;
};

/// @param notes, prevalence as many as there are findings; one of prevalence 0 is not mentioned
/// @param mention probability that an absent finding is denied
HLIP_LAZY PhantomReport write_report(const ReportWords& words,
                                     std::span<const PhantomFindingNote> notes,
                                     std::span<const double> prevalence, double mention,
                                     RandomStream random) {
  PhantomReport report;
  for (std::size_t f = 0; f < notes.size(); ++f) {
    if (prevalence[f] == 0) continue;
    const auto& sentences = words.findings[f];
    if (notes[f].present) {
      report.findings.push_back(
          fill_sentence(pick_sentence(random, sentences.described), notes[f]));
      report.impression.push_back(
          fill_sentence(pick_sentence(random, sentences.concluded), notes[f]));
    } else if (random.chance(mention)) {
      report.findings.emplace_back(pick_sentence(random, sentences.absent));
    }
  }
  std::vector<std::string_view> normal(words.normal_anatomy.begin(), words.normal_anatomy.end());
  random.shuffle(normal);
  normal.resize(static_cast<std::size_t>(2 + random.below(3)));
  report.findings.insert(report.findings.end(), normal.begin(), normal.end());
  if (report.impression.empty())
    report.impression.emplace_back(pick_sentence(random, words.nothing_found));
  random.shuffle(report.findings);
  random.shuffle(report.impression);
  return report;
}

HLIP_LAZY PhantomReport write_report(
    const PhantomOptions& options,
    const std::array<PhantomFindingNote, phantom_finding_count>& notes, RandomStream random) {
  return write_report({finding_sentences, normal_anatomy_sentences, nothing_found_sentences}, notes,
                      options.prevalence, options.mention, random);
}

}  // namespace detail

HLIP_END
