// What the tests of differentiable code share: reproducible numbers, central differences, and a
// look at the graph.
#pragma once

#include "errors.hpp"

#include <hlip/backend/cpu.hpp>

#include <hlip/autograd/gradcheck.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace test {

using namespace hlip;

using Array = Tensor<double, Cpu>;
using Variable = Var<double, Cpu>;
// One type, so that gradcheck is compiled once per file
using Function = std::function<Variable(const std::vector<Variable>&)>;

/// Uniform numbers in [low, high); another stream gives others.
inline Array numbers(const Shape& shape, std::uint32_t stream, double low = -1, double high = 1) {
  std::vector<double> v(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = low + (high - low) * uniform_at({41, stream, 0}, i);
  return Array::from_values(shape, std::span<const double>(v));
}

/// Backward of fn against central differences, for every element of every input.
inline void check_gradient(const std::string& what, const Function& fn,
                           const std::vector<Array>& inputs) {
  CAPTURE(what);
  CHECK_EQ(gradcheck(fn, inputs), std::string());
}

/// The largest |a - b|; shapes must agree.
inline double largest_difference(const Array& a, const Array& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = a.to_vector(), y = b.to_vector();
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double d = x[i] == y[i] ? 0 : std::abs(x[i] - y[i]);
    most = d <= most ? most : d;  // NaN stays
  }
  return most;
}

/// Whether two tensors hold the same bits.
template <class T, class B> bool same_bits(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  if (!(a.shape() == b.shape())) return false;
  const auto x = a.to_vector(), y = b.to_vector();
  return x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
}

/// Recorded operations (not leaves) that a result holds on to.
template <class T> std::size_t operations_behind(const Var<T, Cpu>& y) {
  std::set<const Node<T, Cpu>*> seen;
  std::vector<const Node<T, Cpu>*> stack;
  if (y.node()) stack.push_back(y.node().get());
  while (!stack.empty()) {
    const auto* node = stack.back();
    stack.pop_back();
    if (node->is_leaf() || !seen.insert(node).second) continue;
    for (const auto& in : node->inputs)
      if (in) stack.push_back(in.get());
  }
  return seen.size();
}

}  // namespace test
