// Kind encoder3d: a small residual network over volumes.
#pragma once

#include "../tolerances.hpp"

#include <hlip/models/resnet3d.hpp>
#include <hlip/train/running_moments.hpp>

namespace golden {

/// The network of the fixtures: a stem of 3x3x3 without pool, two layers of one block and one
/// width.
inline ResNet3dConfig encoder3d_config(index_t width) {
  ResNet3dConfig c;
  c.name = "encoder3d";
  c.stem_width = width, c.stem_kernel = 3, c.stem_pool = false;
  c.layers = {{width, 1, 1}, {width, 1, 2}};
  return c;
}

/// Our name for a parameter of the fixtures' network: "s1.c2.weight" is "layer1.0.conv2.weight".
inline std::string name_in_resnet3d(std::string theirs) {
  const auto dot = theirs.find('.');
  const std::string first = theirs.substr(0, dot), rest = theirs.substr(dot);
  if (first == "stem") return "conv1" + rest;
  if (first == "bn") return "bn1" + rest;
  const std::pair<std::string_view, std::string_view> parts[] = {
      {".sc.", ".downsample.0."}, {".sb.", ".downsample.1."}, {".c", ".conv"}, {".b", ".bn"}};
  for (const auto& [part, name] : parts)
    if (rest.starts_with(part))
      return "layer" + first.substr(1) + ".0" + std::string(name) + rest.substr(part.size());
  return theirs;
}

template <class B> void check_encoder3d(Fixture& f) {
  const index_t width = size_of(f.said_json("width"), "width");
  Initializer init(0);
  ResNet3d<float, B> net(encoder3d_config(width), init);
  const Group parameters(f, "param.", name_in_resnet3d);
  load_state_dict(net, parameters);
  // Running moments in the file are those behind its one step; they began at 0 and 1.
  const auto moments = running_moments(net);
  for (std::size_t i = 0; i < moments.size(); ++i) moments[i].fill(i % 2 == 0 ? 0.0f : 1.0f);

  const Var<float, B> x(f.tensor<B>("input.x"), true);
  const FeatureMaps<float, B> maps = net(x, {.training = true});
  Var<float, B> objective;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    f.compare(fmt::format("output.map{}", i), maps[i].value(), of_an_operator);
    const Var<float, B> cotangent(f.tensor<B>(fmt::format("input.cot{}", i))),
        part = sum(Var<float, B>(maps[i] * cotangent));
    objective = i == 0 ? part : Var<float, B>(objective + part);
  }
  objective.backward();
  f.compare("grad.x", x.grad(), gradient_of_a_network);
  const bool behind = f.scalar("param.bn.num_batches_tracked") == 1;
  for (const auto& [name, p] : named_parameters(net)) {
    const std::string& theirs = parameters.in_file(name);
    if (p->requires_grad()) f.compare("grad." + theirs, p->grad(), gradient_of_a_network);
    else if (behind) f.compare("param." + theirs, p->value(), of_an_operator);
  }
  f.compare("output.running_mean", net.bn1.running_mean.value(), of_an_operator);
  f.compare("output.running_var", net.bn1.running_var.value(), of_an_operator);
  NoGrad guard;
  f.compare("output.eval_map2", net(x).back().value(), of_an_operator);
}

}  // namespace golden
