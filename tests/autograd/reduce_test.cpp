#include "../support/gradients.hpp"

#include <hlip/autograd/functions/reduce.hpp>

using namespace test;

namespace {

const std::vector<Shape> axis_lists = {{}, {0}, {1}, {-1}, {0, 2}, {1, 2}, {2, 0, 1}};

void check_all(const std::string& what,
               const std::function<Variable(const Variable&, const Shape&, bool)>& fn) {
  for (const Shape& axes : axis_lists)
    for (bool keepdim : {false, true}) {
      const Function f = [&](const std::vector<Variable>& v) { return fn(v[0], axes, keepdim); };
      const std::string name = what + " over " + to_string(axes) + (keepdim ? " kept" : "");
      check_gradient(name, f, {numbers({2, 3, 5}, 1)});
      check_gradient(name + " of a permuted view", f,
                     {numbers({5, 3, 4}, 2).slice(2, 0, 4, 2).permute({2, 1, 0})});
    }
}

}  // namespace

TEST_CASE("reductions of Vars: gradients over any axes, kept or not, also of views") {
  check_all("sum",
            [](const Variable& x, const Shape& axes, bool keep) { return sum(x, axes, keep); });
  check_all("mean",
            [](const Variable& x, const Shape& axes, bool keep) { return mean(x, axes, keep); });
  check_all("max",
            [](const Variable& x, const Shape& axes, bool keep) { return max(x, axes, keep); });
  check_all("logsumexp", [](const Variable& x, const Shape& axes, bool keep) {
    return logsumexp(x, axes, keep);
  });
  for (index_t correction : {0, 1})
    check_all("var", [correction](const Variable& x, const Shape& axes, bool keep) {
      return var(x, VarOptions{axes, correction, keep});
    });
}

TEST_CASE("reductions of Vars: a scalar is its own sum, mean, maximum and logsumexp") {
  check_gradient("scalar",
                 [](const std::vector<Variable>& v) {
                   return Variable(sum(v[0]) + mean(v[0]) + max(v[0]) + logsumexp(v[0]));
                 },
                 {Array::scalar(0.3)});
}

TEST_CASE("reductions of Vars: equal maxima share the gradient") {
  const Variable x(Array::from_values({2, 3}, {1, 5, 5, 2, 2, 2}), true);
  sum(max(x, {1})).backward();
  const double third = 1.0 / 3;
  CHECK(x.grad().to_vector() == std::vector<double>{0, 0.5, 0.5, third, third, third});
}

TEST_CASE("reductions of Vars: logsumexp of hidden entries passes them nothing") {
  const double hidden = -std::numeric_limits<double>::infinity();
  const Variable x(Array::from_values({1, 3}, {hidden, 1, 2}), true);
  sum(logsumexp(x, {1})).backward();
  const auto g = x.grad().to_vector();
  CHECK(g[0] < 1e-300);  // exp(-inf) in SIMD packs is the smallest number, not 0
  CHECK(g[1] + g[2] == doctest::Approx(1).epsilon(1e-14));
}

TEST_CASE("reductions of Vars: an axis that does not exist is an error") {
  CHECK(error_of([] {
          sum(Variable(Array::ones({2, 3})), {2});
        }) == "sum: axis 2 does not exist in a tensor of 2 axes");
}
