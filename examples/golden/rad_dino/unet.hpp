// Kind unet: a U-Net, one step of training and what it says afterwards.
#pragma once

#include "segmentation_heads.hpp"

#include <hlip/models/segmentation/u_net.hpp>

namespace golden {

template <class B> void check_unet(Fixture& f) {
  UNetConfig c;
  c.in_chans = axis_of(f, "input.x", 4, 1);
  c.classes = axis_of(f, "param.cls.weight", 4, 0);
  c.width = axis_of(f, "param.cls.weight", 4, 1);
  c.levels = 0;
  while (f.contains(fmt::format("param.enc{}.a.conv.weight", c.levels))) ++c.levels;
  const std::string deepest = fmt::format("param.enc{}.", c.levels - 1);
  const index_t most = axis_of(f, deepest + "b.conv.weight", 4, 0);
  expect_stored(f, deepest + "b.conv.weight", {most, most, 3, 3});
  expect_stored(f, "param.enc0.b.conv.weight", {c.width, c.width, 3, 3});
  f.demand(c.levels <= 10 && most == c.width << (c.levels - 1),
           "{} channels at level {}, {} at the first", most, c.levels, c.width);
  if (!f.failures().empty()) return;
  Initializer init(0);
  UNet<float, B> net(c, init);
  load_part(f, net, "");
  const Var<float, B> x(f.tensor<B>("input.x"), true);
  const Var<float, B> logits = net(x, Context{true, {}});
  f.compare("output.logits", logits.value(), of_an_operator);
  compare_mask_loss(f, logits, "");
  f.compare("grad.x", x.grad(), gradient_of_a_network);
  compare_part_grads(f, net, "");
  NoGrad guard;  // with the running moments after that one step
  f.compare("output.eval_logits", net(x).value(), of_an_operator);
}

}  // namespace golden
