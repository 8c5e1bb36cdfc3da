#include <hlip/phantoms/radiograph.hpp>
#include <hlip/phantoms/radiograph_terms.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

// A sentence's mention of each finding but those in question.
void check_sentence(const ReportLabeller& labeller, std::string_view sentence, std::size_t finding,
                    Mention wanted) {
  PhantomFindingNote note;
  note.count = 2, note.mm = 12;
  note.side = "both", note.lobe = "upper", note.grade = "mild", note.size = "moderate";
  if (radiograph_finding_names[finding] == "Tube") note.size = "chest drain";
  const std::string text = detail::fill_sentence(sentence, note);
  CAPTURE(text);
  const auto mentions = labeller.mentions(text);
  for (std::size_t f = 0; f < mentions.size(); ++f) {
    CAPTURE(f);
    CHECK(mentions[f] == (f == finding ? wanted : Mention::blank));
  }
}

}  // namespace

TEST_CASE("radiograph terms: every sentence of the templates says what it says, and no more") {
  const ReportLabeller labeller(radiograph_finding_terms());
  REQUIRE(labeller.names().size() == radiograph_finding_count);
  for (std::size_t f = 0; f < radiograph_finding_count; ++f) {
    CHECK(labeller.names()[f] == radiograph_finding_names[f]);
    const auto& sentences = detail::radiograph_finding_sentences[f];
    for (const auto s : sentences.described)
      if (!s.empty()) check_sentence(labeller, s, f, Mention::positive);
    for (const auto s : sentences.concluded)
      if (!s.empty()) check_sentence(labeller, s, f, Mention::positive);
    for (const auto s : sentences.absent)
      if (!s.empty()) check_sentence(labeller, s, f, Mention::negative);
  }
  for (const auto s : detail::normal_radiograph_sentences)
    check_sentence(labeller, s, 0, Mention::blank);
  for (const auto s : detail::radiograph_words.nothing_found)
    check_sentence(labeller, s, 0, Mention::blank);
}

TEST_CASE("radiograph terms: labels of drawn radiographs are recovered from their reports") {
  const ReportLabeller labeller(radiograph_finding_terms());
  std::size_t wrong = 0, denied = 0, positives = 0;
  for (index_t i = 0; i < 300; ++i) {
    const RadiographPlan plan = plan_radiograph({}, 11, i);
    const PhantomRadiograph picture = draw_radiograph(plan, 16);
    const auto findings = labeller.mentions(picture.findings),
               impression = labeller.mentions(picture.impression);
    for (std::size_t f = 0; f < radiograph_finding_count; ++f) {
      const bool there = plan.labels[f] == 1;
      wrong += (findings[f] == Mention::positive) != there;
      wrong += (impression[f] == Mention::positive) != there;
      wrong += findings[f] == Mention::uncertain;
      denied += findings[f] == Mention::negative;
      positives += there;
    }
  }
  CHECK(wrong == 0);
  CHECK(denied > 300);
  CHECK(positives > 300);
}
