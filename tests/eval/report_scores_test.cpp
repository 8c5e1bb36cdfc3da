// Scores of generated reports: values, intervals, the control, tables.
#include "../support/errors.hpp"

#include <hlip/core/derangement.hpp>
#include <hlip/eval/report_scores.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using namespace test;
using doctest::Approx;

namespace {

/// Reports of findings a and b; every second hypothesis misses b.
ComparedReports compared() {
  ComparedReports all;
  all.findings = {"a", "b"};
  all.facts = true;
  for (std::int64_t i = 0; i < 12; ++i) {
    const std::string own = fmt::format("report number w{} of the lungs", i);
    all.references.push_back({own, {i % 3 == 0, 1}, {{i, 0, 1}, {7, 7, 0}}});
    all.hypotheses.push_back({own, {i % 3 == 0, i % 2}, {{i, 0, 1}}});
  }
  return all;
}

}  // namespace

TEST_CASE("score_reports: the numbers of the metrics, and of their resamples") {
  const ComparedReports all = compared();
  const auto scores = score_reports(all, {200});
  std::vector<std::string> names;
  for (const auto& s : scores) names.push_back(s.name);
  CHECK(names == std::vector<std::string>{"ROUGE-L", "BLEU-4", "label F1", "relation F1",
                                          "label F1: a", "label F1: b"});
  CHECK(scores[0].value == 1.0);
  CHECK(scores[1].value == Approx(1.0));
  CHECK(scores[2].value == Approx((1 + 2.0 / 3) / 2));  // b: 6 hits, 6 misses
  CHECK(scores[3].value == Approx(2.0 / 3));
  CHECK(scores[2].value == Approx(label_f1(std::vector<std::int64_t>{1, 1, 0, 1},
                                           std::vector<std::int64_t>{1, 1, 0, 0}, 2)
                                      .macro));
  const ResampledStatistic& b = scores[5].resampled;
  CHECK((b.interval.low < b.median && b.median < b.interval.high));
  CHECK((b.interval.low > 0.2 && b.interval.high < 0.95));
  CHECK(scores[3].resampled.interval.without_width());
}

TEST_CASE("score_reports: hypotheses of others score less, and tables have both") {
  const ComparedReports all = compared();
  const auto scores = score_reports(all, {50}),
             control = score_reports(all.with_hypotheses_of(derangement(12, 3)), {50});
  for (std::size_t k = 0; k < 4; ++k) CHECK((control[k].value < scores[k].value || k == 2));
  CHECK(control[3].value == 0.0);
  const std::string text = report_score_text(scores, control), csv = report_score_csv(scores),
                    both = report_score_csv(scores, control);
  CHECK(text.find("ROUGE-L      1.000 (1.000-1.000)  0.833 (0.833-0.833)\n") != text.npos);
  CHECK(csv.find("score,value,median,low,high\nROUGE-L,1,1,1,1\n") == 0);
  CHECK(both.find(",control_high\nROUGE-L,1,1,1,1,0.83") != both.npos);
  CHECK(report_score_text(scores).find("other") == text.npos);
}

TEST_CASE("compared reports: some of them keep what was read in them") {
  const ComparedReports all = compared(), some = all.subset({1, 4});
  REQUIRE(some.references.size() == 2);
  CHECK(some.references[1].text == all.references[4].text);
  CHECK(some.references[0].facts == all.references[1].facts);
  CHECK(some.hypotheses[1].labels == all.hypotheses[4].labels);
  CHECK((some.findings == all.findings && some.facts == all.facts));
}

TEST_CASE("score_reports: without findings and facts, and what does not fit") {
  ComparedReports few;
  few.references = {{"clear lungs"}, {"no nodule"}}, few.hypotheses = {{"clear"}, {""}};
  const auto scores = score_reports(few, {20});
  CHECK(scores.size() == 2);
  CHECK(scores[0].value == Approx(1.0 / 3));
  CHECK(scores[1].value == 0.0);
  few.findings = {"a"};
  CHECK(error_of([&] { score_reports(few); }) ==
        "score_reports: report 0 has 0 and 0 labels of 1 findings");
  few.hypotheses.pop_back();
  CHECK(error_of([&] { score_reports(few); }) ==
        "score_reports: 2 reports and 1 generated ones, expected as many, at least one");
}
