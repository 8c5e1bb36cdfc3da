// Kind segmentation_heads: decoders of masks over patch maps.
#pragma once

#include "../tolerances.hpp"

#include <hlip/losses/dice_cross_entropy.hpp>
#include <hlip/models/segmentation/linear_head.hpp>
#include <hlip/models/segmentation/simple_pyramid.hpp>
#include <hlip/models/segmentation/uper_net.hpp>

namespace golden {

/// A tensor of the shape that others imply: no file can ask for a network far larger than itself.
inline void expect_stored(const Fixture& f, const std::string& name, const Shape& want) {
  if (!(f.shape(name) == want))
    fail_file(f.path(), name, "is {}, expected {}", to_string(f.shape(name)), to_string(want));
}

/// The parameters of the fixture below a prefix.
template <class M> void load_part(const Fixture& f, M& module, const std::string& prefix) {
  load_state_dict(module, Group(f, "param." + prefix));
}

/// Gradients of everything that trains.
template <class M> void compare_part_grads(Fixture& f, M& module, const std::string& prefix) {
  each_parameter(module, [&](const std::string& name, auto& p) {
    if (p.requires_grad()) f.compare("grad." + prefix + name, p.grad(), gradient_of_a_network);
  });
}

/// The same of the scales, whose biases batch norms take off again: their gradients are zero but
/// for rounding, and count beside those of the weights.
template <class B> void compare_scale_grads(Fixture& f, BlockScales<float, B>& scales) {
  const auto compare_layer = [&](const std::string& name, const ConvTranspose2d<float, B>& layer) {
    const std::string grad = "grad.scales." + name;
    f.compare(grad + ".weight", layer.weight.grad(), gradient_of_a_network);
    double largest = 0;
    for (const double g : f.reals(grad + ".weight")) largest = std::max(largest, std::abs(g));
    f.compare(grad + ".bias", layer.bias.grad(),
              {Limit::Scale::absolute, gradient_of_a_network.tolerance * largest});
  };
  compare_layer("a1", scales.a1);
  compare_layer("a2", scales.a2);
  compare_layer("b", scales.b);
  compare_part_grads(f, scales.an, "scales.an.");
}

/// Dice and cross-entropy of logits in the size of the labels; runs backwards from their sum.
template <class B>
void compare_mask_loss(Fixture& f, const Var<float, B>& logits, const std::string& part) {
  const auto loss = dice_cross_entropy(logits, f.indices<B>("input." + part + "target"));
  f.compare("output." + part + "dice_ce",
            std::vector<double>{loss.dice.item(), loss.cross_entropy.item()}, of_an_operator);
  loss.total().backward();
}

template <class B> void check_linear_head(Fixture& f) {
  const index_t dim = axis_of(f, "input.linear.x", 4, 1),
                classes = axis_of(f, "param.linear.conv.weight", 4, 0),
                rows = axis_of(f, "input.linear.target", 3, 1),
                columns = axis_of(f, "input.linear.target", 3, 2);
  expect_stored(f, "param.linear.conv.weight", {classes, dim, 1, 1});
  expect_stored(f, "output.linear.upsampled",
                {axis_of(f, "input.linear.x", 4, 0), classes, rows, columns});
  Initializer init(0);
  LinearHead<float, B> head(dim, classes, init);
  load_part(f, head, "linear.");
  const Var<float, B> x(f.tensor<B>("input.linear.x"), true);
  const Var<float, B> logits = head({x}, Context{true, {}});
  f.compare("output.linear.logits", logits.value(), of_an_operator);
  f.compare("output.linear.running_mean", head.bn.running_mean.value(), of_an_operator);
  f.compare("output.linear.running_var", head.bn.running_var.value(), of_an_operator);
  const Var<float, B> upsampled = resize_map(logits, rows, columns);
  f.compare("output.linear.upsampled", upsampled.value(), of_an_operator);
  compare_mask_loss(f, upsampled, "linear.");
  f.compare("grad.linear.x", x.grad(), gradient_of_a_network);
  compare_part_grads(f, head, "linear.");
}

template <class B> void check_simple_pyramid(Fixture& f) {
  const index_t dim = axis_of(f, "input.pyramid.x", 4, 1),
                width = axis_of(f, "param.pyramid.lat0.weight", 4, 0);
  expect_stored(f, "param.pyramid.up4a.weight", {dim, dim / 2, 2, 2});
  expect_stored(f, "param.pyramid.out0.weight", {width, width, 3, 3});
  expect_stored(f, "param.pyramid.lat3.weight", {width, dim, 1, 1});
  Initializer init(0);
  SimplePyramid<float, B> pyramid(dim, width, init);
  load_part(f, pyramid, "pyramid.");
  const Var<float, B> x(f.tensor<B>("input.pyramid.x"), true);
  const FeatureMaps<float, B> levels = pyramid({x});
  Var<float, B> objective(Tensor<float, B>::zeros(Shape{}));
  for (std::size_t i = 0; i < levels.size(); ++i) {
    f.compare(fmt::format("output.pyramid.level{}", i), levels[i].value(), of_an_operator);
    const Tensor<float, B> cotangent = f.tensor<B>(fmt::format("input.pyramid.cot{}", i));
    const Var<float, B> each = levels[i] * cotangent;
    objective = objective + sum(each);
  }
  objective.backward();
  f.compare("grad.pyramid.x", x.grad(), gradient_of_a_network);
  compare_part_grads(f, pyramid, "pyramid.");
}

template <class B> void check_uper_net(Fixture& f) {
  const index_t dim = axis_of(f, "input.decoder.x0", 4, 1),
                classes = axis_of(f, "param.decoder.cls.weight", 4, 0),
                width = axis_of(f, "param.decoder.cls.weight", 4, 1);
  expect_stored(f, "param.scales.a1.weight", {dim, dim, 2, 2});
  expect_stored(f, "param.decoder.bottleneck.conv.weight", {width, dim + 4 * width, 3, 3});
  Initializer init(0);
  UPerNet<float, B> net(dim, width, classes, init);
  net.decoder.dropout_rate = 0;  // the fixture drops nothing
  load_part(f, net.scales, "scales.");
  load_part(f, net.decoder, "decoder.");
  FeatureMaps<float, B> x;
  for (int i = 0; i < 4; ++i)
    x.emplace_back(f.tensor<B>(fmt::format("input.decoder.x{}", i)), true);
  const Context trains{true, {}};
  const FeatureMaps<float, B> scales = net.scales(x, trains);
  for (std::size_t i = 0; i < scales.size(); ++i)
    f.compare(fmt::format("output.scales.level{}", i), scales[i].value(), of_an_operator);
  const Var<float, B> logits = net.decoder(scales, trains);
  f.compare("output.decoder.logits", logits.value(), of_an_operator);
  compare_mask_loss(f, logits, "decoder.");
  for (std::size_t i = 0; i < x.size(); ++i)
    f.compare(fmt::format("grad.decoder.x{}", i), x[i].grad(), gradient_of_a_network);
  compare_scale_grads(f, net.scales);
  compare_part_grads(f, net.decoder, "decoder.");
  NoGrad guard;  // with the running moments after that one step
  f.compare("output.decoder.eval_logits", net(x).value(), of_an_operator);
}

template <class B> void check_segmentation_heads(Fixture& f) {
  check_linear_head<B>(f);
  check_simple_pyramid<B>(f);
  check_uper_net<B>(f);
}

}  // namespace golden
