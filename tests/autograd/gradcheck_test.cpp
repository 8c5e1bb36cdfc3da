#include "../support/gradients.hpp"

using namespace test;

namespace {

/// A cube; whether its pull-back is right is a template argument.
template <int Factor> struct Cube {
  static constexpr std::string_view name = "cube";
  template <class V> V operator()(V x) const { return x * x * x; }
  template <class V> V pull(V x, V, V dy) const { return V(Factor) * x * x * dy; }
};

}  // namespace

TEST_CASE("gradcheck: accepts a right pull-back and names the element of a wrong one") {
  const std::vector<Array> inputs = {Array::from_values({1, 2}, {0, 2})};
  CHECK(
      gradcheck(
          [](const std::vector<Variable>& v) { return Variable(map_expression(Cube<3>{}, v[0])); },
          inputs)
          .empty());
  const std::string worst = gradcheck(
      [](const std::vector<Variable>& v) { return Variable(map_expression(Cube<2>{}, v[0])); },
      inputs);
  CHECK(worst.find("input 0 at (0, 1): backward gives ") == 0);
}

TEST_CASE(
    "gradcheck: notices a gradient that is forgotten, one that is not a number, and one that is "
    "counted twice") {
  const std::vector<Array> inputs = {numbers({3}, 1), numbers({3}, 2)};
  CHECK(gradcheck([](const std::vector<Variable>& v) { return Variable(v[0] * v[1].detach()); },
                  inputs) == "input 1 received no gradient");
  CHECK_FALSE(
      gradcheck([](const std::vector<Variable>& v) { return Variable(v[0] + sqrt(v[1] * 0)); },
                inputs)
          .empty());
  const auto twice = [](const std::vector<Variable>& v) {
    const Array x = v[0].value();
    return record("identity", x, {v[0]}, [](const Array& dy, InputGrads<double, Cpu>& grads) {
      grads.add(0, dy);
      grads.add(0, dy);
    });
  };
  CHECK_FALSE(gradcheck(twice, std::vector<Array>{inputs[0]}).empty());
}

TEST_CASE("gradcheck: leaves its inputs as they were") {
  const Array x = numbers({3}, 1), before = x.clone();
  CHECK(gradcheck([](const std::vector<Variable>& v) { return Variable(sin(v[0])); },
                  std::vector<Array>{x})
            .empty());
  CHECK(same_bits(x, before));
}
