#include <hlip/datasets/ct_rate/prompts.hpp>
#include <hlip/eval.hpp>
#include <hlip/eval/auc_table.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace hlip;

TEST_CASE("ct_rate_prompts: sixteen pairs, with the exceptions of both templates") {
  const auto volume = ct_rate_prompts(PromptTemplate::volume),
             organ = ct_rate_prompts(PromptTemplate::organ);
  REQUIRE(volume.size() == 16);
  REQUIRE(organ.size() == 16);
  CHECK(volume.front().positive == "The volume shows: Emphysema.");
  CHECK(volume.front().negative == "The volume shows: Not emphysema.");
  CHECK(volume[1].negative == "The volume shows: Not atelectatic.");
  CHECK(volume[2].positive == "The volume shows: Lung nodule.");
  CHECK(volume[3].negative == "The volume shows: Not lung opacity.");
  CHECK(organ[1].negative == "The lung shows: Not atelectatic.");
  CHECK(organ[1].positive == "The lung shows: Atelectasis.");
  CHECK(organ[2].positive == "The lung shows: Nodule.");
  CHECK(organ[2].negative == "The lung shows: Not nodule.");
  CHECK(organ[3].positive == "The lung shows: Opacity.");
  CHECK(organ[2].label_column == "Lung nodule");
  CHECK(organ[13].negative == "The heart shows: Not coronary artery wall calcification.");
  CHECK(organ[14].positive == "The esophagus shows: Hiatal hernia.");
  CHECK(organ[15].positive == "The aorta shows: Arterial wall calcification.");
  std::set<std::string> all;
  for (const auto& list : {volume, organ})
    for (const auto& c : list) all.insert(c.negative), all.insert(c.positive);
  CHECK(all.size() == 64);
  CHECK(prompt_template("organ") == PromptTemplate::organ);
  CHECK_THROWS_WITH_AS(prompt_template("scan"), doctest::Contains("expected volume or organ"),
                       error);
}

TEST_CASE("binary_metrics: counts by hand, and NaN throughout when a class is absent") {
  const std::vector<double> s = {0.9, 0.6, 0.4, 0.2, 0.7};
  const std::vector<std::int64_t> y = {1, 0, 1, 0, 1};
  const auto n = count_binary(s, y);
  CHECK(n.true_positive == 2);
  CHECK(n.false_positive == 1);
  CHECK(n.true_negative == 1);
  CHECK(n.false_negative == 1);
  CHECK(n.balanced_accuracy() == doctest::Approx((2.0 / 3 + 0.5) / 2));
  CHECK(n.weighted_f1() == doctest::Approx((3 * (4.0 / 6) + 2 * (2.0 / 4)) / 5));
  const auto alone = binary_metrics(s, std::vector<std::int64_t>(5, 1));
  for (const double v : alone.values()) CHECK(std::isnan(v));
  CHECK(alone.positives == 5);
  CHECK(count_binary(s, y, 1.0).precision() == 0);
}

TEST_CASE("threshold_fitted_on_labels: of equally good thresholds the last wins") {
  const double t = threshold_fitted_on_labels(std::vector<double>{0.2, 0.8},
                                              std::vector<std::int64_t>{0, 1});
  CHECK(t < 0.8);
  CHECK(t + 1.0 / 99 >= 0.8);
}

TEST_CASE(
    "ZeroShotClassifier: probabilities are the softmax of each pair, and the encoder is called "
    "once") {
  const auto classes = ct_rate_prompts(PromptTemplate::volume);
  int calls = 0;
  // Negative prompts point along the first axis, positive ones along the second.
  const auto encode = [&](const std::vector<std::string>& prompts) {
    ++calls;
    std::vector<float> rows;
    for (const auto& p : prompts) {
      const bool negative = p.find("Not ") != std::string::npos;
      rows.insert(rows.end(), {negative ? 3.0f : 0.0f, negative ? 0.0f : 5.0f});
    }
    return rows;
  };
  const ZeroShotClassifier classifier(classes, encode, 10.0);
  CHECK(calls == 1);
  CHECK(classifier.dim() == 2);
  const auto p = classifier.probabilities(std::vector<float>{0.6f, 0.8f, 1, 0});
  REQUIRE(p.size() == 32);
  CHECK(p[0] == doctest::Approx(1 / (1 + std::exp(-2.0))).epsilon(1e-6));
  CHECK(p[31] == doctest::Approx(1 / (1 + std::exp(10.0))).epsilon(1e-6));
  CHECK_THROWS_AS(classifier.probabilities(std::vector<float>{1, 0, 0}), error);
  CHECK_THROWS_AS(ZeroShotClassifier({}, encode, 1.0), error);
}

TEST_CASE("ZeroShotTable: classes without both answers are named and left out of the means") {
  const std::vector<std::string> names = {"Emphysema", "Calcification, \"arterial\"", "Nodule"};
  std::vector<double> scores;
  std::vector<std::int64_t> labels;
  RandomStream random({1, 2, 3});
  for (int i = 0; i < 50; ++i) {
    for (int c = 0; c < 3; ++c) {
      labels.push_back(c == 1 ? 0 : random.chance(0.4));
      scores.push_back(0.5 * random.uniform() + 0.3 * static_cast<double>(labels.back()));
    }
  }
  const ZeroShotTable table(names, scores, labels);
  CHECK(table.studies() == 50);
  CHECK(table.left_out() == std::vector<std::string>{names[1]});
  CHECK(table.macro_auc() == (table.rows()[0].metrics.auc + table.rows()[2].metrics.auc) / 2);
  CHECK(table.macro_interval().low < table.macro_auc());
  CHECK(table.macro_interval().high > table.macro_auc());
  CHECK(std::isnan(table.rows()[1].auc_interval.low));

  const auto text = table.to_text(true);
  CHECK(text.find("left out of the means, because all studies have the same label: " + names[1]) !=
        std::string::npos);
  CHECK(text.find("fitted on these same test labels") != std::string::npos);
  CHECK(table.to_text().find('*') == std::string::npos);
  const auto csv = table.to_csv();
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 5);
  CHECK(csv.find("\n\"Calcification, \"\"arterial\"\"\",0,50,,,,") != std::string::npos);
  CHECK(csv.find("nan") == std::string::npos);
  CHECK(table.scalars().front().second == 50);
}

TEST_CASE(
    "ZeroShotTable: an interval of a finding with one positive or one negative is marked as too "
    "narrow") {
  CHECK(interval_note(2, 2).empty());
  CHECK(interval_note(0, 1).empty());  // no metrics at all, which is said elsewhere
  CHECK(interval_note(1, 7) == "one positive: too narrow");
  CHECK(interval_note(7, 1) == "one negative: too narrow");
  CHECK(interval_note(1, 1) == "one positive, one negative: too narrow");
  const std::vector<std::string> names = {"rare", "common"};
  const std::vector<double> scores = {0.1, 0.2, 0.9, 0.8, 0.3, 0.3, 0.2, 0.7};
  const std::vector<std::int64_t> labels = {0, 0, 1, 1, 0, 0, 0, 1};
  const ZeroShotTable table(names, scores, labels);
  const std::string text = table.to_text(), csv = table.to_csv();
  CHECK(text.find("1.000-1.000†") != std::string::npos);
  CHECK(text.find(interval_mark) != text.rfind(interval_mark));
  CHECK(text.find("† too narrow: of one kind of study there is only one") != std::string::npos);
  CHECK(csv.find(",one positive: too narrow\ncommon,") != std::string::npos);
  CHECK(csv.find("\nmean,,,") != std::string::npos);
}

TEST_CASE(
    "intervals: three against three that the scores part wholly have none worth the name, and "
    "every table says so") {
  const std::vector<std::string> names = {"parted"};
  const std::vector<double> scores = {0.9, 0.8, 0.7, 0.1, 0.2, 0.3};
  const std::vector<std::int64_t> labels = {0, 0, 0, 1, 1, 1};
  CHECK(interval_note(3, 3, {0, 0}) == "no width: too narrow");
  CHECK(interval_note(3, 3, {0.2, 0.9}).empty());
  CHECK(interval_note(3, 0, {0, 0}).empty());  // no metrics
  CHECK(interval_note(Interval{}).empty());
  const ZeroShotTable table(names, scores, labels);
  CHECK(table.rows()[0].metrics.auc == 0);
  for (const std::string& text : {table.to_text(), AucTable(names, scores, labels).to_text()}) {
    CHECK(text.find("0.000-0.000†") != std::string::npos);
    CHECK(text.find("† too narrow") != std::string::npos);
  }
  CHECK(table.last_line() == "macro AUC 0.000 (95 % CI 0.000-0.000†, 6 studies)");
  for (const std::string& csv : {table.to_csv(), AucTable(names, scores, labels).to_csv()}) {
    CHECK(csv.find(",no width: too narrow\nmean") != std::string::npos);
    CHECK(csv.ends_with(",no width: too narrow\n"));
  }
}

TEST_CASE("macro_auc_line: has the promised form") {
  CHECK(macro_auc_line(0.87249, {0.8611, 0.8839}, 400) ==
        "macro AUC 0.872 (95 % CI 0.861-0.884, 400 studies)");
}

TEST_CASE("ZeroShotTable: sizes that do not fit are refused") {
  const std::vector<std::string> names = {"a", "b"};
  const std::vector<double> scores = {0.1, 0.2, 0.3};
  const std::vector<std::int64_t> labels = {0, 1, 0};
  CHECK_THROWS_WITH_AS(ZeroShotTable(names, scores, labels), doctest::Contains("rows of 2 classes"),
                       error);
  CHECK_THROWS_AS(ZeroShotTable({}, scores, labels), error);
}

TEST_CASE("retrieval: a collapsed model ranks partners by chance, not first") {
  const std::vector<double> same(20, 1.0);
  const auto r = retrieval(same, same, 2);
  CHECK(r.image_to_text.mean_rank == 5.5);
  CHECK(r.image_to_text.recall_at_1 == doctest::Approx(0.1));
  CHECK(std::isnan(retrieval({}, {}, 3).clip_score));
  CHECK_THROWS_AS(retrieval(same, std::vector<double>(10, 1.0), 2), error);
}
