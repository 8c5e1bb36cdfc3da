#include <hlip/eval/probe_json.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using Scores = std::vector<double>;

namespace {
constexpr double unknown = not_a_number;
/// Six pictures, three findings: one found by the first seed and half found by the second, one
/// whose last label is not known, one that nobody has.
const Scores labels = {1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, unknown, 0};
const std::vector<Scores> two_seeds = {{5, 1, 0, 4, 2, 0, 1, 1, 0, 0, 2, 0, 6, 2, 0, 2, 9, 0},
                                       {5, 2, 0, 0, 1, 0, 1, 2, 0, 4, 1, 0, 6, 1, 0, 2, 9, 0}};
ProbeTable table() {
  return {"tiny", {"lung", "heart", "bone"}, two_seeds, labels, {.resamples = 200}};
}
}  // namespace

TEST_CASE("ProbeTable: means and deviations over seeds, unknown labels left out") {
  const ProbeTable t = table();
  REQUIRE(t.rows().size() == 3);
  CHECK(t.pictures() == 6);
  CHECK(t.rows()[0].positives == 3);
  CHECK(t.rows()[1].positives + t.rows()[1].negatives == 5);
  Scores of_seeds;
  for (const auto& s : two_seeds)
    of_seeds.push_back(average_precision(Scores{s[0], s[3], s[6], s[9], s[12], s[15]},
                                         std::vector<std::int64_t>{1, 1, 0, 0, 1, 0}));
  CHECK(of_seeds[0] == 1);
  CHECK(t.rows()[0].auprc.mean == doctest::Approx(mean_sd(of_seeds).mean));
  CHECK(t.rows()[0].auprc.sd == doctest::Approx(mean_sd(of_seeds).sd));
  CHECK(t.rows()[1].auroc.mean == doctest::Approx(0.5));  // all right, then all wrong
  CHECK(t.rows()[1].auroc.sd == doctest::Approx(0.5));
}

TEST_CASE("ProbeTable: a finding that nobody has counts in no mean and is named") {
  const ProbeTable t = table();
  CHECK(std::isnan(t.rows()[2].auprc.mean));
  CHECK(t.left_out() == std::vector<std::string>{"bone"});
  CHECK(t.macro().auprc.mean ==
        doctest::Approx((t.rows()[0].auprc.mean + t.rows()[1].auprc.mean) / 2));
  CHECK(t.macro().auprc_interval.low <= t.macro().auprc.mean);
  CHECK(t.macro().auprc_interval.high >= t.macro().auprc.mean);
  CHECK(t.to_text().find("because all tested pictures have the same label: bone\n") !=
        std::string::npos);
  CHECK(t.to_text().find("no label of a tested picture counts") == std::string::npos);
}

TEST_CASE("ProbeTable: of a finding without labels nobody says that they are the same") {
  const Scores some = {1, unknown, 0, unknown, 1, unknown};
  const std::string text =
      ProbeTable("tiny", {"lung", "tube"}, {{3, 0, 1, 0, 2, 0}}, some, {.resamples = 20}).to_text();
  CHECK(text.find("because no label of a tested picture counts: tube\n") != std::string::npos);
  CHECK(text.find("the same label") == std::string::npos);
}

TEST_CASE("ProbeTable: the last line, and a CSV of a line for each finding and the macro mean") {
  const ProbeTable t = table();
  CHECK(t.last_line() == fmt::format("macro AUPRC {:.3f} (95 % CI {:.3f}-{:.3f}), 6 pictures",
                                     t.macro().auprc.mean, t.macro().auprc_interval.low,
                                     t.macro().auprc_interval.high));
  const std::string csv = ProbeTable::csv_header() + t.to_csv();
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 5);
  CHECK(csv.find("\ntiny,bone,0,6,,,,,,,,,\n") != std::string::npos);
  CHECK(csv.find("\ntiny,macro,,,") != std::string::npos);
  CHECK(table().to_csv() == t.to_csv());
}

TEST_CASE("probe_json: every number of the table, null where there is none") {
  const ProbeTable t = table();
  const Json j = probe_json(t);
  CHECK(j["encoder"] == "tiny");
  CHECK(j["left_out"] == Json({"bone"}));
  CHECK(j["macro"]["auprc"]["mean"] == t.macro().auprc.mean);
  CHECK(j["macro"]["auroc"]["high"] == t.macro().auroc_interval.high);
  REQUIRE(j["findings"].size() == 3);
  CHECK(j["findings"][0]["finding"] == "lung");
  CHECK(j["findings"][0]["positives"] == 3);
  CHECK(j["findings"][1]["auprc"]["sd"] == t.rows()[1].auprc.sd);
  CHECK(j["findings"][1]["auprc"]["low"] == t.rows()[1].auprc_interval.low);
  CHECK(j["findings"][2]["auprc"]["mean"].is_null());
  CHECK(j["findings"][2]["interval_note"].is_null());
}

TEST_CASE("ProbeTable: sizes that do not fit are refused") {
  CHECK_THROWS_AS(ProbeTable("t", {"a", "b"}, {{1, 2, 3}}, {0, 1, 0}), error);
  CHECK_THROWS_AS(ProbeTable("t", {"a"}, {{1, 2}}, {0, 1, 0}), error);
  CHECK_THROWS_AS(ProbeTable("t", {"a"}, {}, {0, 1, 0}), error);
}
