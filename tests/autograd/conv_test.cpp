#include "../support/gradients.hpp"

#include <hlip/autograd/functions/conv.hpp>

using namespace test;

namespace {

/// Tensors that say nothing but their shape.
Variable shaped(const Shape& shape) { return Variable(Array::zeros(shape)); }

}  // namespace

TEST_CASE("conv2d and conv_transpose2d: values by hand") {
  const auto x = Variable(Array::arange(9).reshape({1, 1, 3, 3}));
  const auto w = Variable(Array::from_values({1, 1, 2, 2}, {1, 2, 3, 4}));
  const auto b = Variable(Array::from_values({1}, {0.5}));
  CHECK(conv2d(x, w, b).value().to_vector() == std::vector<double>{27.5, 37.5, 57.5, 67.5});
  // the kernel is not turned round, and the transposed convolution paints it
  const auto two = Variable(Array::from_values({1, 1, 1, 2}, {1, 10}));
  CHECK(conv_transpose2d(two, w, {}, {.stride{2}}).value().to_vector() ==
        std::vector<double>{1, 2, 10, 20, 3, 4, 30, 40});
}

TEST_CASE("convolutions: gradients") {
  check_gradient("conv2d",
                 [](const std::vector<Variable>& v) {
                   return conv2d(v[0], v[1], v[2], {.stride{2, 1}, .padding{1}});
                 },
                 {numbers({2, 3, 5, 4}, 1), numbers({4, 3, 3, 2}, 2), numbers({4}, 3)});
  check_gradient("groups",
                 [](const std::vector<Variable>& v) {
                   return conv2d(v[0], v[1], v[2], {.dilation{2}, .groups = 2});
                 },
                 {numbers({1, 4, 6, 5}, 4), numbers({6, 2, 2, 2}, 5), numbers({6}, 6)});
  check_gradient("conv3d",
                 [](const std::vector<Variable>& v) {
                   return conv3d(v[0], v[1], v[2], {.stride{1, 2, 2}, .padding{1, 0, 1}});
                 },
                 {numbers({1, 2, 3, 4, 5}, 7), numbers({2, 2, 2, 3, 3}, 8), numbers({2}, 9)});
  check_gradient("conv_transpose2d",
                 [](const std::vector<Variable>& v) {
                   return conv_transpose2d(
                       v[0], v[1], v[2],
                       {.stride{2}, .padding{1}, .groups = 2, .output_padding{1}});
                 },
                 {numbers({2, 4, 3, 2}, 10), numbers({4, 3, 3, 3}, 11), numbers({6}, 12)});
  check_gradient("conv_transpose3d",
                 [](const std::vector<Variable>& v) {
                   return conv_transpose3d(v[0], v[1], v[2], {.stride{1, 2, 2}});
                 },
                 {numbers({1, 3, 2, 3, 2}, 13), numbers({3, 2, 1, 2, 2}, 14), numbers({2}, 15)});
  check_gradient("a view, one weight twice",
                 [](const std::vector<Variable>& v) { return conv2d(conv2d(v[0], v[1]), v[1]); },
                 {numbers({4, 5, 2, 1}, 16).permute({3, 2, 0, 1}), numbers({2, 2, 2, 2}, 17)});
}

TEST_CASE("convolutions say what does not fit") {
  const Variable x = shaped({2, 3, 8, 8}), w = shaped({4, 3, 3, 3});
  CHECK(
      error_of([&] { conv3d(x, w); }) ==
      "conv3d: x is (2, 3, 8, 8) and weight (4, 3, 3, 3) with groups = 1, expected 5 axes in both");
  CHECK(
      error_of([&] { conv2d(x, w, {}, {.groups = 3}); }) ==
      "conv2d: x is (2, 3, 8, 8) and weight (4, 3, 3, 3) with groups = 3: the first axis of weight "
      "is no multiple of the groups");
  CHECK(error_of([&] { conv2d(x, w, {}, {.groups = 2}); }) ==
        "conv2d: x is (2, 3, 8, 8) and weight (4, 3, 3, 3) with groups = 2, expected x (N, 6 "
        "channels, …)");
  CHECK(
      error_of([&] { conv_transpose2d(x, w); }) ==
      "conv_transpose2d: x is (2, 3, 8, 8) and weight (4, 3, 3, 3) with groups = 1, expected x (N, "
      "4 channels, …)");
  CHECK(error_of([&] { conv2d(x, w, shaped({3})); }) == "conv2d: bias is (3), expected (4)");
  CHECK(error_of([&] { conv2d(x, w, {}, {.stride{0}}); }) ==
        "conv2d: stride is (0), expected at least 1");
  CHECK(error_of([&] {
          conv2d(x, w, {}, {.padding{1, 2, 3}});
        }) == "conv2d: padding is (1, 2, 3), expected one number or 2");
  CHECK(error_of([&] { conv2d(x, w, {}, {.dilation{4}}); }) ==
        "conv2d: x is (2, 3, 8, 8) and weight (4, 3, 3, 3) with groups = 1: nothing is left of "
        "axis 2 "
        "(size 8, kernel 3, stride 1, padding 0, dilation 4)");
  CHECK(error_of([&] { conv2d(x, w, {}, {.output_padding{1}}); }) ==
        "conv2d: output_padding is (1), expected less than stride or dilation, and of a transposed "
        "convolution alone");
}
