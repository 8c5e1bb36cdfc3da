// The limits of the README beside the fixtures of RAD-DINO, for its kinds of evaluation: relative
// to the largest magnitude of a tensor.
#pragma once

#include "../fixture.hpp"

namespace golden {

/// Compares a tensor to 2e-5 of its largest element, the limit of single operators.
inline void compare_operator(Fixture& f, const std::string& name, std::span<const double> got,
                             const Shape& got_shape, double tolerance = 2e-5) {
  if (!(f.shape(name) == got_shape)) return f.compare(name, got, got_shape, exact);  // says it
  const auto want = f.reals(name);
  double largest = 0, error = 0;
  for (const double w : want) largest = std::max(largest, std::abs(w));
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double e = std::abs(got[i] - want[i]);
    error = std::max(error, std::isnan(e) ? std::numeric_limits<double>::infinity() : e);
  }
  f.note(name, largest > 0 ? error / largest : error, tolerance);
}
inline void compare_operator(Fixture& f, const std::string& name, const std::vector<double>& got,
                             double tolerance = 2e-5) {
  compare_operator(f, name, got, Shape{static_cast<index_t>(got.size())}, tolerance);
}
inline void compare_operator(Fixture& f, const std::string& name, double got,
                             double tolerance = 2e-5) {
  compare_operator(f, name, std::span(&got, 1), Shape{}, tolerance);
}
template <class T, class B>
void compare_operator(Fixture& f, const std::string& name, const Tensor<T, B>& got,
                      double tolerance = 2e-5) {
  const auto values = got.to_vector();
  compare_operator(f, name, std::vector<double>(values.begin(), values.end()), got.shape(),
                   tolerance);
}

/// The size of an axis of an input. @throws hlip::error when it has another number of axes
inline index_t axis_of(const Fixture& f, const std::string& name, int rank, int axis) {
  if (f.shape(name).rank() != rank)
    fail_file(f.path(), name, "is {}, expected {} axes", to_string(f.shape(name)), rank);
  return f.shape(name)[axis];
}

}  // namespace golden
