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
