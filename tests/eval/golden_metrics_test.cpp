// The reference's evaluation on random scores: every number of the fixture.
#include <hlip/eval.hpp>
#include <hlip/io/safetensors.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

const SafetensorsFile& fixture() {
  static const SafetensorsFile file(std::string(HLIP_SOURCE_DIR) +
                                    "/tests/golden/hlip/zero_shot_metrics.safetensors");
  return file;
}
std::vector<double> reals(const std::string& name) { return fixture().values<double>(name); }
std::vector<std::int64_t> integers(const std::string& name) {
  return fixture().values<std::int64_t>(name);
}

template <class T>
std::vector<T> column(const std::vector<T>& table, std::size_t width, std::size_t c) {
  std::vector<T> out;
  for (std::size_t i = c; i < table.size(); i += width) out.push_back(table[i]);
  return out;
}

/// Largest difference; infinite if the sizes differ.
double difference(std::span<const double> got, std::span<const double> want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(got[i] - want[i]);
    worst = d <= worst ? worst : d;  // NaN counts as a difference
  }
  return worst;
}

constexpr double exact = 1e-9, single_precision = 1e-6;
constexpr std::size_t classes = 16, threshold_column = 5;

}  // namespace

TEST_CASE(
    "binary_metrics: all columns of all classes and their means are the reference's, thresholds "
    "exactly") {
  const auto scores = reals("input.scores"), want = reals("output.binary");
  const auto labels = integers("input.labels");
  std::vector<BinaryMetrics> all;
  for (std::size_t c = 0; c < classes; ++c) {
    all.push_back(binary_metrics(column(scores, classes, c), column(labels, classes, c)));
    const auto row = std::span(want).subspan(c * BinaryMetrics::columns, BinaryMetrics::columns);
    CAPTURE(c);
    CHECK(difference(all.back().values(), row) < exact);
    CHECK(all.back().fitted_threshold == row[threshold_column]);
  }
  CHECK(difference(mean_over_classes(all), reals("output.binary_mean")) < exact);
}

TEST_CASE("merge_class_scores: the merged class and its metrics are the reference's") {
  const auto scores = reals("input.scores");
  const auto merged = merge_class_scores(column(scores, classes, classes - 2),
                                         column(scores, classes, classes - 1));
  CHECK(difference(merged, reals("output.merged_scores")) == 0);
  const auto metrics = binary_metrics(merged,
                                      column(integers("input.labels"), classes, classes - 2));
  CHECK(difference(metrics.values(), reals("output.merged")) < exact);
}

TEST_CASE("macro_roc_auc: several classes give the reference's balanced accuracy and macro AUC") {
  constexpr std::int64_t width = 5;
  const auto onehot = integers("input.onehot");
  std::vector<std::int64_t> labels;
  for (std::size_t i = 0; i < onehot.size(); i += width)
    labels.push_back(std::max_element(onehot.begin() + static_cast<long>(i),
                                      onehot.begin() + static_cast<long>(i) + width) -
                     onehot.begin() - static_cast<long>(i));
  const auto probabilities = row_softmax(reals("input.multi_logits"), width);
  CHECK(difference(probabilities, reals("output.multi_prob")) < single_precision);
  const auto published = reals("output.multi_prob");  // ties are those of single precision
  const std::vector<double> got = {balanced_accuracy(published, labels, width),
                                   macro_roc_auc(published, labels, width)};
  CHECK(difference(got, reals("output.multiclass")) < exact);
}

TEST_CASE("zero_shot: class weights, logits and probabilities are the reference's") {
  constexpr std::int64_t prompts = 5, templates = 3, dim = 24;
  const auto weights = zero_shot_weights(reals("input.prompt_embeddings"), prompts, templates, dim);
  CHECK(difference(weights, reals("output.class_weights")) < single_precision);
  const double scale = reals("input.logit_scale").at(0);
  const auto features = reals("input.study_features");
  const auto logits = zero_shot_logits(features, weights, dim, scale);
  CHECK(difference(logits, reals("output.class_logits")) < 1e-5);
  CHECK(difference(class_probabilities(features, weights, dim, scale), reals("output.class_prob")) <
        single_precision);
  CHECK(difference(pair_probabilities(logits, prompts, 0, 1), reals("output.pair_prob")) <
        single_precision);
}

TEST_CASE("retrieval: ranks and recalls are the reference's in both directions") {
  const auto r = retrieval(reals("input.image_features"), reals("input.text_features"), 16);
  std::vector<double> got;
  for (const auto& m : {r.image_to_text, r.text_to_image})
    for (const double v :
         {m.recall_at_1, m.recall_at_10, m.recall_at_5, m.mean_rank, m.median_rank})
      got.push_back(v);
  CHECK(difference(got, reals("output.retrieval")) < exact);
  CHECK(r.clip_score > 0);
}
