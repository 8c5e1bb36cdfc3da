// Logistic regression on frozen features, and its accuracy over folds: a convex problem with one
// answer, so that encoders are compared and not optimisers.
// Source: scikit-learn, LogisticRegression (L2 penalty, lbfgs).
#pragma once

#include <hlip/eval/lbfgs.hpp>
#include <hlip/ops/elementwise.hpp>
#include <hlip/ops/matmul.hpp>
#include <hlip/ops/reduce.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

HLIP_BEGIN

struct LogisticRegressionOptions {
  double C = 1;  ///< how much the samples count against the penalty
  /// done when no entry of the gradient of objective / (C · samples) is larger
  double tol = 1e-6;
  int max_iterations = 1000;
};

/// A fitted classifier. Two classes share one row of weights, for the second of them; of more each
/// has its own.
struct LogisticRegression {
  std::vector<std::int64_t> classes;  ///< the labels that occurred, rising
  std::vector<double> weight;         ///< row-major (1 or classes, features)
  std::vector<double> intercept;      ///< 1 or one for each class; these have mean 0
  double objective = 0;               ///< ½|W|² + C · Σ log-loss
  int iterations = 0;
  bool converged = false;

  index_t rows() const { return static_cast<index_t>(intercept.size()); }
};

namespace detail {

/// x·Wᵀ + b, row-major (samples, rows).
template <class B>
std::vector<double> regression_logits(const Tensor<double, B>& x, std::span<const double> weight,
                                      std::span<const double> intercept) {
  const auto rows = static_cast<index_t>(intercept.size());
  const auto w = Tensor<double, B>::from_values({rows, x.dim(1)}, weight);
  auto logits = matmul(x, w.transpose(0, 1)).to_vector();
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] += intercept[i % intercept.size()];
  return logits;
}

/// Turns the logits of a sample into its probabilities of all but the first class where there are
/// two, of all where there are more. @return log-loss of class number `label`
inline double regression_loss(std::span<double> row, std::size_t label) {
  if (row.size() == 1) {
    const double z = row[0], e = std::exp(-std::abs(z));
    row[0] = z >= 0 ? 1 / (1 + e) : e / (1 + e);
    return std::max(z, 0.0) - (label == 1 ? z : 0.0) + std::log1p(e);
  }
  const double top = *std::max_element(row.begin(), row.end()), own = row[label] - top;
  double sum = 0;
  for (double& z : row) sum += z = std::exp(z - top);
  for (double& p : row) p /= sum;
  return std::log(sum) - own;
}

/// What is minimised, and its gradient. Parameters are the rows of weights, then the intercepts.
template <class B> struct RegressionObjective {
  const Tensor<double, B>& x;
  std::vector<std::size_t> labels;  ///< numbers of classes
  std::size_t rows;
  double C;

  double operator()(const std::vector<double>& at, std::vector<double>& gradient) const {
    const std::size_t weights = at.size() - rows, n = labels.size();
    const std::span<const double> all(at);
    auto error = regression_logits(x, all.first(weights), all.subspan(weights));
    double value = 0;
    std::fill(gradient.begin(), gradient.end(), 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      const auto row = std::span(error).subspan(i * rows, rows);
      value += C * regression_loss(row, labels[i]);
      if (rows == 1) row[0] -= labels[i] == 1 ? 1 : 0;
      else row[labels[i]] -= 1;
      for (std::size_t r = 0; r < rows; ++r) row[r] *= C, gradient[weights + r] += row[r];
    }
    const auto errors = Tensor<double, B>::from_values(
        {static_cast<index_t>(n), static_cast<index_t>(rows)}, std::span<const double>(error));
    const auto slopes = matmul(errors.transpose(0, 1), x).to_vector();
    for (std::size_t k = 0; k < weights; ++k)
      value += 0.5 * at[k] * at[k], gradient[k] = at[k] + slopes[k];
    return value;
  }
};

}  // namespace detail

/// Fits ½|W|² + C · Σ log-loss, the intercept free of the penalty: binary with one row of weights,
/// softmax with one row for each class otherwise. The same bits at every number of threads.
/// @param x (samples, features), finite; @param labels any whole numbers, one for each sample
/// @throws hlip::error if the sizes do not fit, a feature is not finite, or all labels are equal
template <class B>
LogisticRegression logistic_regression(const Tensor<double, B>& x,
                                       std::span<const std::int64_t> labels,
                                       const LogisticRegressionOptions& options = {}) {
  expect(x.rank() == 2 && x.dim(0) == static_cast<index_t>(labels.size()) && x.dim(1) > 0,
         "logistic_regression", "x is {}, expected (samples, features) with {} samples",
         to_string(x.shape()), labels.size());
  expect(options.C > 0 && std::isfinite(options.C), "logistic_regression",
         "C is {}, expected a positive number", options.C);
  for (const double v : x.to_vector())
    expect(std::isfinite(v), "logistic_regression", "a feature is {}, expected finite numbers", v);
  LogisticRegression model;
  model.classes.assign(labels.begin(), labels.end());
  std::sort(model.classes.begin(), model.classes.end());
  model.classes.erase(std::unique(model.classes.begin(), model.classes.end()), model.classes.end());
  expect(model.classes.size() >= 2, "logistic_regression",
         "all {} labels are of one class, expected two or more", labels.size());
  detail::RegressionObjective<B> f{
      x, {}, model.classes.size() == 2 ? 1 : model.classes.size(), options.C};
  for (const auto label : labels)
    f.labels.push_back(static_cast<std::size_t>(
        std::lower_bound(model.classes.begin(), model.classes.end(), label) -
        model.classes.begin()));
  const std::size_t weights = f.rows * static_cast<std::size_t>(x.dim(1));
  LbfgsOptions search;
  search.tolerance = options.tol * options.C * static_cast<double>(labels.size());
  search.max_iterations = options.max_iterations;
  const LbfgsResult found = minimize_lbfgs(f, std::vector<double>(weights + f.rows), search);
  const auto cut = found.x.begin() + static_cast<std::ptrdiff_t>(weights);
  model.weight.assign(found.x.begin(), cut), model.intercept.assign(cut, found.x.end());
  model.objective = found.value, model.iterations = found.iterations;
  model.converged = found.converged;
  if (f.rows == 1) return model;
  double mean = 0;  // which the softmax does not see
  for (const double b : model.intercept) mean += b / static_cast<double>(f.rows);
  for (double& b : model.intercept) b -= mean;
  return model;
}

/// Probability of each class. @param x (samples, features)  @return row-major (samples, classes)
/// @throws hlip::error when x has another number of features than the model
template <class B>
std::vector<double> predict_probabilities(const LogisticRegression& model,
                                          const Tensor<double, B>& x) {
  expect(x.rank() == 2 && x.dim(1) * model.rows() == static_cast<index_t>(model.weight.size()),
         "predict_probabilities", "x is {}, expected (samples, {})", to_string(x.shape()),
         static_cast<index_t>(model.weight.size()) / model.rows());
  auto p = detail::regression_logits(x, model.weight, model.intercept);
  const auto rows = static_cast<std::size_t>(model.rows());
  for (std::size_t i = 0; i < p.size(); i += rows)
    detail::regression_loss(std::span(p).subspan(i, rows), 0);
  if (rows > 1) return p;
  std::vector<double> both;
  for (const double second : p) both.insert(both.end(), {1 - second, second});
  return both;
}

/// The most probable class of each sample, as it was labelled; of equals the first.
template <class B>
std::vector<std::int64_t> predict_classes(const LogisticRegression& model,
                                          const Tensor<double, B>& x) {
  const auto p = predict_probabilities(model, x);
  const std::size_t k = model.classes.size();
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < p.size(); i += k) {
    const auto row = std::span(p).subspan(i, k);
    out.push_back(model.classes[static_cast<std::size_t>(std::max_element(row.begin(), row.end()) -
                                                         row.begin())]);
  }
  return out;
}

/// What classifiers were right about on folds they were not fitted on.
struct CrossValidation {
  std::vector<double> accuracy;  ///< of each fold
  int unfinished = 0;            ///< fits that ran out of iterations
};

/// Accuracy on each fold of classifiers fitted on the others. Which fold a sample is in is the
/// caller's to say: all pictures of a subject belong into one.
/// @param folds number of the fold of each sample, 0 … count - 1
/// @return one share of right answers for each fold; a class that is in one fold alone is never
/// named there
/// @throws hlip::error as logistic_regression, and if a fold is empty or outside of it all labels
/// are equal
template <class B>
CrossValidation cross_validated_accuracy(const Tensor<double, B>& x,
                                         std::span<const std::int64_t> labels,
                                         std::span<const std::int64_t> folds, std::int64_t count,
                                         const LogisticRegressionOptions& options = {}) {
  expect(labels.size() == folds.size() && x.rank() == 2 &&
             x.dim(0) == static_cast<index_t>(folds.size()),
         "cross_validation", "x is {}, with {} labels and {} folds", to_string(x.shape()),
         labels.size(), folds.size());
  expect(count >= 2, "cross_validation", "{} folds, expected two or more", count);
  const auto values = x.to_vector();
  const auto width = static_cast<std::size_t>(x.dim(1));
  CrossValidation result;
  for (std::int64_t fold = 0; fold < count; ++fold) {
    std::vector<double> of[2];
    std::vector<std::int64_t> own[2];
    for (std::size_t i = 0; i < folds.size(); ++i) {
      const int tested = folds[i] == fold;
      const auto row = std::span(values).subspan(i * width, width);
      of[tested].insert(of[tested].end(), row.begin(), row.end());
      own[tested].push_back(labels[i]);
    }
    expect(!own[0].empty() && !own[1].empty(), "cross_validation",
           "fold {} of {} holds {} of {} samples, expected some, and some in others", fold, count,
           own[1].size(), folds.size());
    const auto table = [&](int k) {
      return Tensor<double, B>::from_values({static_cast<index_t>(own[k].size()), x.dim(1)},
                                            std::span<const double>(of[k]));
    };
    const auto model = logistic_regression(table(0), std::span<const std::int64_t>(own[0]),
                                           options);
    const auto named = predict_classes(model, table(1));
    std::size_t right = 0;
    for (std::size_t i = 0; i < named.size(); ++i) right += named[i] == own[1][i];
    result.unfinished += model.converged ? 0 : 1;
    result.accuracy.push_back(static_cast<double>(right) / static_cast<double>(named.size()));
  }
  return result;
}

HLIP_END
