// Kind logistic_regression: the optimum of binary and multinomial problems, and accuracy over given
// folds.
#pragma once

#include "../tolerances.hpp"

#include <hlip/eval/logistic_regression.hpp>
#include <hlip/eval/mean_sd.hpp>

namespace golden {

template <class B> void check_logistic_regression(Fixture& f) {
  const auto x = f.file().tensor<double, B>("input.X");
  LogisticRegressionOptions options;
  options.tol = 1e-12;
  for (const auto& name : f.file().names()) {
    // output.binary_C0.05.objective
    if (!name.starts_with("output.") || !name.ends_with(".objective")) continue;
    const std::string problem = name.substr(0, name.size() - std::string(".objective").size());
    const auto c = problem.rfind("_C");
    if (c == problem.npos) fail_file(f.path(), name, "does not say C");
    options.C = number_of(parse_json(problem.substr(c + 2), f.path() + ": " + name), "C");
    const auto labels = f.integers("input.y_" + problem.substr(7, c - 7));
    const auto model = logistic_regression(x, std::span<const std::int64_t>(labels), options);
    f.compare(name, model.objective, Limit{Limit::Scale::relative, 1e-11});
    f.compare(problem + ".coef", model.weight, {model.rows(), x.dim(1)}, of_an_operator);
    f.compare(problem + ".intercept", model.intercept, of_an_operator);
    f.compare(problem + ".proba", predict_probabilities(model, x),
              {x.dim(0), static_cast<index_t>(model.classes.size())}, of_an_operator);
  }
  options.C = 1;
  const auto accuracy = cross_validated_accuracy(
                            x, std::span<const std::int64_t>(f.integers("input.y_multi")),
                            f.integers("input.fold"), axis_of(f, "output.cv_accuracy", 1, 0),
                            options)
                            .accuracy;
  f.compare("output.cv_accuracy", accuracy, of_an_operator);
  const MeanSd m = mean_sd(accuracy);
  f.compare("output.cv_mean_std", {m.mean, m.sd}, of_an_operator);
}

}  // namespace golden
