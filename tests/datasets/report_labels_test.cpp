#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/datasets/chest_xray/radgraph.hpp>
#include <hlip/datasets/chest_xray/report_labels.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using doctest::Approx;
using doctest::Contains;
using M = Mention;

namespace {

constexpr std::array<std::string_view, 2> two = {"Edema", "Fracture"};

ReportLabels labels_of(const TempFolder& folder, std::string_view text) {
  atomic_write(folder / "labels.csv", text);
  return read_report_labels(folder / "labels.csv", two);
}

RadgraphReports radgraph_of(const TempFolder& folder, RadgraphNumbers& numbers,
                            std::string_view text) {
  atomic_write(folder / "radgraph.json", text);
  return read_radgraph(folder / "radgraph.json", numbers);
}

}  // namespace

TEST_CASE("report labels: 1, 0, -1 and blank, columns by name, others passed over") {
  const TempFolder folder;
  const auto labels = labels_of(folder,
                                "Report Impression,Fracture,study_id,Edema\n"
                                "\"No edema,\nno fracture.\",0,7,0.0\n"
                                "Edema.,,8,1.0\n\"\",-1,9,-1.0\n");
  REQUIRE(labels.size() == 3);
  CHECK(labels.findings == std::vector<std::string>{"Edema", "Fracture"});
  CHECK(labels.mentions == std::vector<M>{M::negative, M::negative, M::positive, M::blank,
                                          M::uncertain, M::uncertain});
}

TEST_CASE("report labels: the 14 columns of CheXbert are the default") {
  const TempFolder folder;
  std::string header = "Report Impression", row = "text";
  for (const auto f : chexpert_findings) header += "," + std::string(f), row += ",";
  atomic_write(folder / "a.csv", header + "\n" + row + "1\n");
  const auto labels = read_report_labels(folder / "a.csv");
  REQUIRE(labels.mentions.size() == 14);
  CHECK(labels.mentions[13] == M::positive);
  CHECK(labels.mentions[0] == M::blank);
}

TEST_CASE("report labels: what is wrong is said with its line and column") {
  const TempFolder folder;
  CHECK_THROWS_WITH_AS(labels_of(folder, "Report,Edema\nx,1\n"),
                       Contains("column Fracture is absent"), error);
  const auto message = test::error_of(
      [&] { labels_of(folder, "Report,Edema,Fracture\nx,2,1\ny,1,yes\n"); });
  CHECK(message.find("line 2, column Edema: is \"2\", expected 1, 0, -1 or nothing") !=
        std::string::npos);
  CHECK(message.find("line 3, column Fracture: is \"yes\"") != std::string::npos);
  CHECK_THROWS_AS(labels_of(folder, ""), error);
  CHECK_THROWS_AS(read_report_labels(folder / "none.csv"), error);
}

TEST_CASE("report_label_f1: an uncertain finding is absent, or present if so wished") {
  const TempFolder folder;
  const auto reference = labels_of(folder, "r,Edema,Fracture\n,1,0\n,-1,\n,1,1\n");
  const auto hypothesis = labels_of(folder, "r,Edema,Fracture\n,1,0\n,1,\n,,1\n");
  // edema: one hit, one alarm, one miss; fracture: one hit
  const auto f1 = report_label_f1(reference, hypothesis);
  CHECK(f1.per_label[0] == Approx(0.5));
  CHECK(f1.per_label[1] == Approx(1));
  CHECK(f1.macro == Approx(0.75));
  // edema: two hits, one miss
  CHECK(report_label_f1(reference, hypothesis, true).per_label[0] == Approx(0.8));
  CHECK_THROWS_WITH_AS(report_label_f1(reference, labels_of(folder, "r,Edema,Fracture\n,1,0\n")),
                       Contains("has 3 reports and"), error);
  auto others = reference;
  std::swap(others.findings[0], others.findings[1]);
  CHECK_THROWS_WITH_AS(report_label_f1(reference, others), Contains("different findings"), error);
}

TEST_CASE("radgraph: entities as triples; the same text has the same number in every file") {
  const TempFolder folder;
  RadgraphNumbers numbers;
  const auto a = radgraph_of(folder, numbers, R"({
    "p1/s1.txt": {"text": "Left effusion", "data_split": "inference", "entities": {
      "1": {"tokens": "Left", "label": "ANAT-DP", "start_ix": 0, "end_ix": 0, "relations": []},
      "2": {"tokens": "effusion", "label": "OBS-DP", "start_ix": 1, "end_ix": 1,
            "relations": [["located_at", "1"]]}}},
    "p1/s2.txt": {"text": "", "entities": {}}})");
  const auto b = radgraph_of(folder, numbers, R"({
    "p1/s2.txt": {"entities": {"1": {"tokens": "clear", "label": "OBS-DP", "relations": []}}},
    "p1/s1.txt": {"entities": {
      "1": {"tokens": "Effusion", "label": "OBS-DP", "relations": [["located_at", "2"]]},
      "2": {"tokens": "left", "label": "OBS-DP", "relations": []},
      "3": {"tokens": "effusion", "label": "OBS-DP", "relations": []}}}})");
  REQUIRE(a.at("p1/s1.txt").size() == 2);
  CHECK(a.at("p1/s1.txt")[0] == EntityTriple{numbers("left"), numbers("ANAT-DP"), 0});
  CHECK(a.at("p1/s1.txt")[1] == EntityTriple{numbers("effusion"), numbers("OBS-DP"), 1});
  CHECK(a.at("p1/s2.txt").empty());
  // one of two and of three in common
  CHECK(radgraph_f1(a, b) == std::vector<double>{2.0 / 5, 0});
  CHECK(radgraph_f1(a, a) == std::vector<double>{1, 0});
}

TEST_CASE("radgraph: reports that only one file has are named") {
  const RadgraphReports one = {{"a", {}}}, both = {{"a", {}}, {"b", {}}};
  CHECK_THROWS_WITH_AS(radgraph_f1(one, both), Contains("\"b\" is among the hypotheses alone"),
                       error);
  CHECK_THROWS_WITH_AS(radgraph_f1(both, one), Contains("\"b\" is among the references alone"),
                       error);
}

TEST_CASE("radgraph: what is not of this form is refused with its place") {
  const TempFolder folder;
  RadgraphNumbers numbers;
  const auto refuses = [&](std::string_view text, const char* message) {
    CHECK_THROWS_WITH_AS(radgraph_of(folder, numbers, text), Contains(message), error);
  };
  refuses("[]", "is a JSON array, expected an object");
  refuses("", "is empty");
  refuses(R"({"r": 1})", "report \"r\": is a JSON number, expected an object");
  refuses(R"({"r": {"text": ""}})", "report \"r\": has no \"entities\"");
  refuses(R"({"r": {"entities": []}})", "\"entities\" is a JSON array, expected an object");
  refuses(R"({"r": {"entities": {"1": 3}}})", "report \"r\", entity \"1\": is a JSON number");
  refuses(R"({"r": {"entities": {"1": {"label": "x", "relations": []}}}})", "has no \"tokens\"");
  refuses(R"({"r": {"entities": {"1": {"tokens": 1, "label": "x", "relations": []}}}})",
          "\"tokens\" is a JSON number, expected a text");
  refuses(R"({"r": {"entities": {"1": {"tokens": "t", "label": "x", "relations": {}}}}})",
          "\"relations\" is a JSON object, expected a list");
  refuses(R"({"r": {"entities": {}}, "r": {"entities": {}}})", "\"r\": is there twice");
  refuses(std::string(100000, '['), "nested deeper");
}
