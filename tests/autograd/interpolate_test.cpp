#include "../support/gradients.hpp"

#include <hlip/autograd/functions/interpolate.hpp>

using namespace test;

TEST_CASE(
    "interpolate of Vars: gradients in one, two and three dimensions, growing and shrinking") {
  using enum Interpolation;
  for (Interpolation mode :
       {nearest, nearest_exact, linear, cubic, linear_antialias, cubic_antialias}) {
    CAPTURE(static_cast<int>(mode));
    const auto resize = [mode](std::vector<index_t> sizes) -> Function {
      return [mode, sizes](const std::vector<Variable>& v) {
        return interpolate(v[0], std::span<const index_t>(sizes), mode);
      };
    };
    check_gradient("1-D", resize({7}), {numbers({2, 4}, 1)});
    check_gradient("2-D", resize({3, 9}), {numbers({2, 5, 4}, 2)});
    check_gradient("3-D", resize({2, 3, 5}), {numbers({1, 3, 4, 2}, 3)});
    check_gradient("a view", resize({3, 9}), {numbers({4, 5}, 4).transpose(0, 1)});
    check_gradient("the same size", resize({4}), {numbers({4}, 5)});
  }
}

TEST_CASE("interpolate of Vars: more sizes than axes is an error") {
  const index_t sizes[] = {2, 2, 2};
  CHECK(error_of([&] {
          interpolate(Variable(Array::ones({2, 2})), std::span<const index_t>(sizes),
                      Interpolation::linear);
        }) == "interpolate: 3 sizes for a tensor of shape (2, 2)");
}
