#include <hlip/text/label_report.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using M = Mention;
using Words = std::vector<std::string>;

namespace {

const ReportLabeller& labeller() {
  static const std::vector<FindingTerms> vocabulary = {
      {"effusion", {"effusion", "effusions", "pleural fluid"}, {"costophrenic angles are clear"}},
      {"nodule", {"nodule", "nodules", "ground-glass nodule"}, {}},
      {"cardiomegaly",
       {"cardiomegaly", "heart is enlarged", "enlarged heart"},
       {"heart is not enlarged", "heart size is normal"}},
      {"pericardial", {"pericardial effusion"}, {}},
  };
  static const ReportLabeller made(vocabulary);
  return made;
}

// P, N, U or - for each of the four findings.
std::string said(std::string_view report) {
  std::string letters;
  for (const M m : labeller().mentions(report)) letters += "-PNU"[static_cast<int>(m)];
  return letters;
}

}  // namespace

TEST_CASE("report_sentences: words, commas, numbers, contractions, lines") {
  const auto s = report_sentences(
      "No 2.5 mm nodule, left. Isn\xE2\x80\x99t it?\n\nGround-glass (mild)");
  REQUIRE(s.size() == 3);
  CHECK(s[0] == Words{"no", "2.5", "mm", "nodule", ",", "left"});
  CHECK(s[1] == Words{"is", "not", "it"});
  CHECK(s[2] == Words{"ground", "glass", ",", "mild", ","});
  CHECK(report_sentences("one\nline").size() == 1);
  CHECK(report_sentences("\xE2\x80\xA2 one \xE2\x80\xA2 two").size() == 2);
  CHECK(report_sentences("").empty());
  CHECK(report_sentences(" .,;'()\n\n. ").empty());
}

TEST_CASE("labeller: named findings are positive, others blank") {
  CHECK(said("There is a small left pleural effusion.") == "P---");
  CHECK(said("GROUND GLASS NODULE of 5 mm. The heart is enlarged.") == "-PP-");
  CHECK(said("The bones are intact.") == "----");
  CHECK(said("") == "----");
  // whole words
  CHECK(said("A nodular pattern.") == "----");
}

TEST_CASE("labeller: of terms at one place the longest counts") {
  CHECK(said("Pericardial effusion is seen.") == "---P");
  CHECK(said("Pericardial effusion and pleural fluid.") == "P--P");
}

TEST_CASE("labeller: denied before and behind, and by phrases of a finding") {
  CHECK(said("No effusion is seen.") == "N---");
  CHECK(said("No effusion, nodule or cardiomegaly.") == "NNN-");
  CHECK(said("Without evidence of a nodule") == "-N--");
  CHECK(said("Effusion was not observed.") == "N---");
  CHECK(said("Effusion and nodule are not clearly seen.") == "NN--");
  CHECK(said("Nodules: none") == "-N--");
  CHECK(said("The effusion has resolved.") == "N---");
  CHECK(said("Lungs are free of nodules") == "-N--");
  CHECK(said("The study doesn't show an effusion seen before.") == "N---");
  CHECK(said("The costophrenic angles are clear. The heart size is normal.") == "N-N-");
  CHECK(said("The heart is not enlarged, a nodule is seen") == "-PN-");
}

TEST_CASE("labeller: uncertain before and behind") {
  CHECK(said("Possible effusion.") == "U---");
  CHECK(said("This may represent a nodule.") == "-U--");
  CHECK(said("An effusion cannot be excluded.") == "U---");
  CHECK(said("An effusion can not be entirely excluded.") == "U---");
  CHECK(said("Effusion is not ruled out.") == "U---");
  CHECK(said("We cannot exclude a nodule") == "-U--");
  CHECK(said("A nodule is suspected") == "-U--");
  CHECK(said("Nodule with possible effusion") == "UP--");
  CHECK(said("Effusion has been excluded.") == "N---");
}

TEST_CASE("labeller: cues end with the clause and with the next cue") {
  CHECK(said("No effusion is seen, but there is a nodule.") == "NP--");
  CHECK(said("No effusion is seen and the heart is enlarged.") == "N-P-");
  CHECK(said("There is no effusion, the heart is enlarged.") == "N-P-");
  CHECK(said("A nodule is present and effusion is not seen.") == "NP--");
  CHECK(said("Effusion without nodule") == "PN--");
  CHECK(said("No effusion, possible nodule") == "NU--");
  CHECK(said("No nodule, effusion cannot be excluded") == "UN--");
  CHECK(said("No effusion. Nodule.") == "NP--");
}

TEST_CASE("labeller: words that look like a denial and are none") {
  CHECK(said("No change in the effusion.") == "P---");
  CHECK(said("Not only an effusion but also a nodule") == "PP--");
}

TEST_CASE("labeller: of several mentions the one that says more") {
  CHECK(said("No effusion on the left. Effusion on the right.") == "P---");
  CHECK(said("Possible nodule. No nodule on the left.") == "-U--");
  CHECK(stronger_mention(M::blank, M::negative) == M::negative);
  CHECK(stronger_mention(M::positive, M::uncertain) == M::positive);
}

TEST_CASE("labeller: texts of any origin and length, in linear time") {
  CHECK(said("\xFF\xFE no \x01 effusion\xC3") == "N---");
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "no effusion, nodule and ";
  CHECK(said(text) == "NN--");
  std::string nots;
  for (int i = 0; i < 100000; ++i) nots += "not ";
  CHECK(said(nots + "effusion") == "N---");
}

TEST_CASE("labeller: one term may belong to two findings, but not twice to one") {
  const std::vector<FindingTerms> both = {{"a", {"opacity"}, {"lungs are clear"}},
                                          {"b", {"opacity", "haze"}, {"lungs are clear"}}};
  CHECK(ReportLabeller(both).mentions("An opacity.") == std::vector<M>{M::positive, M::positive});
  CHECK(ReportLabeller(both).mentions("Lungs are clear") ==
        std::vector<M>{M::negative, M::negative});
  CHECK(ReportLabeller(both).names() == Words{"a", "b"});
}

TEST_CASE("labeller: vocabularies that make no sense are refused, and the message says where") {
  const auto refuses = [](const std::vector<FindingTerms>& v, const char* message) {
    CHECK_THROWS_WITH_AS(ReportLabeller{v}, doctest::Contains(message), error);
  };
  refuses({}, "no findings");
  refuses({{"", {"x"}, {}}}, "finding 1 is named");
  refuses({{"a", {"x"}, {}}, {"a", {"y"}, {}}}, "finding 2 is named \"a\"");
  refuses({{"a", {}, {"x"}}}, "finding \"a\" has no terms");
  refuses({{"a", {" . "}, {}}}, "term \" . \" of \"a\"");
  refuses({{"a", {"x. y"}, {}}}, "term \"x. y\"");
  refuses({{"a", {"x, y"}, {}}}, "term \"x, y\"");
  refuses({{"a", {"x-y", "X y"}, {}}}, "term \"X y\" of \"a\" is given twice");
  refuses({{"a", {"x"}, {"x"}}}, "given twice");
}
