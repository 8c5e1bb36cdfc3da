#include "../support/errors.hpp"
#include "../support/gradients.hpp"

#include <hlip/losses/restoration.hpp>

using namespace test;

namespace {
using Mask = Tensor<std::uint8_t, Cpu>;
constexpr RestorationLoss kinds[] = {RestorationLoss::l1, RestorationLoss::mse,
                                     RestorationLoss::smooth_l1};
}  // namespace

TEST_CASE("restoration_loss: by hand, with both sides of Huber's knee") {
  const Variable r(Array::from_values({1, 2, 2}, {0.5, -2, 1, 0}));
  const Array x = Array::from_values({1, 2, 2}, {0, 0, 1, 3});
  CHECK(restoration_loss(r, x, RestorationLoss::l1).item() == doctest::Approx(5.5 / 4));
  CHECK(restoration_loss(r, x, RestorationLoss::mse).item() == doctest::Approx(13.25 / 4));
  CHECK(restoration_loss(r, x, RestorationLoss::smooth_l1).item() ==
        doctest::Approx((0.125 + 1.5 + 0 + 2.5) / 4));
}

TEST_CASE("restoration_loss: of each sample the changed voxels, then the mean of the samples") {
  const Variable r(Array::from_values({3, 1, 2}, {1, 2, 5, 7, 1, 1}));
  const Array x = Array::zeros({3, 1, 2});
  const Mask changed = Mask::from_values({3, 1, 2}, {0, 1, 1, 1, 0, 0});
  CHECK(restoration_loss(r, x, RestorationLoss::l1, changed).item() ==
        doctest::Approx((2.0 + 6.0 + 0.0) / 3));
}

TEST_CASE("restoration_loss: gradients, whole and of the changed voxels") {
  const Array clean = numbers({2, 1, 2, 3}, 1, -2, 2);
  const Mask changed = Mask::from_values({2, 1, 2, 3}, {1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0});
  for (const RestorationLoss kind : kinds)
    for (const Mask& mask : {Mask(), changed})
      check_gradient(
          "restored",
          [&](const std::vector<Variable>& v) { return restoration_loss(v[0], clean, kind, mask); },
          {numbers({2, 1, 3, 2}, 2, -2, 2).transpose(2, 3)});
}

TEST_CASE("restoration_loss: other shapes and names are refused; psnr of a tenth is 20 dB") {
  const Variable r(Array::zeros({2, 3}));
  CHECK(error_of([&] {
          restoration_loss(r, Array::zeros({3, 2}));
        }).find("expected one shape") != std::string::npos);
  CHECK(error_of([&] {
          restoration_loss(r, Array::zeros({2, 3}), RestorationLoss::l1, Mask::ones({2, 2}));
        }).find("changed is (2, 2)") != std::string::npos);
  CHECK(restoration_loss_named("smooth-l1") == RestorationLoss::smooth_l1);
  CHECK(error_of([] { restoration_loss_named("l2"); }).find("expected l1, mse or smooth-l1") !=
        std::string::npos);
  CHECK(psnr(Array::full({4}, 0.1), Array::zeros({4})) == doctest::Approx(20));
}
